/** The kernels that netwatch is tried on, and where Debian has them. */

/** As Debian calls it. */
export type Architecture = 'amd64' | 'arm64';

export interface Kernel {
  /** As in the table of docs/kernels.md. */
  readonly name: string;
  readonly architecture: Architecture;
  readonly suites: readonly string[];
  /** A metapackage, or a pattern whose newest match is meant: versions move. */
  readonly package: string;
}

const debian = (
  name: string,
  suites: readonly string[],
  which = 'cloud',
  architecture: Architecture = 'amd64',
): Kernel => ({ name, architecture, suites, package: `linux-image-${which}-${architecture}` });

export const KERNELS: readonly Kernel[] = [
  debian('5.10', ['bullseye', 'bullseye-security']),
  debian('6.1', ['bookworm', 'bookworm-security']),
  debian('6.12', ['bookworm', 'bookworm-security'], '6.12-cloud'),
  debian('6.18', ['trixie-backports'], '6.18.*-cloud'),
  debian('7.2', ['trixie-backports'], '7.2.*-cloud'),
  // 6.1 again, on a machine whose functions no program can be attached to
  debian('arm64', ['bookworm', 'bookworm-security'], 'cloud', 'arm64'),
];

/** The one without which a run proves nothing: it is in Debian's oldest suite that is still kept. */
export const MUST_RUN = '6.1';

/** What --quick means: an old and a new kernel, and one exact count for each source. */
export const QUICK = {
  kernels: [MUST_RUN, '6.18'],
  tests: ['attach', 'connections', 'packets', 'faults', 'insight', 'tools'],
} as const;

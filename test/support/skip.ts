/** Reasons to skip a test; with NETWATCH_STRICT=1 nothing is skipped, so that a skip cannot hide a gap. */
import { spawnSync } from 'node:child_process';

const strict = process.env['NETWATCH_STRICT'] === '1';

/** False when `holds`, else the reason: what tap's `skip` option takes. */
export function unless(holds: boolean, reason: string): string | false {
  return holds || strict ? false : reason;
}

/** False when every command can be started here. */
export function needsCommands(...commands: readonly string[]): string | false {
  const missing = commands.filter((command) => spawnSync(command, ['-V']).error !== undefined);
  return unless(missing.length === 0, `needs ${missing.join(', ')}`);
}

/** Namespaces, packet captures and BPF are root's. */
export const needsRoot = unless(process.getuid?.() === 0, 'needs root');

/**
 * A peer that sends the kernel's TCP exactly the segments of a script, with a program at the kernel's
 * end that the script leads as well. The lines' language is in scripted-peer/peer.py.
 */
import { join } from 'node:path';
import type { Namespace } from './netns.js';

const PROGRAM = join(import.meta.dirname, '..', 'scripted-peer', 'peer.py');

/** What holds in every script that does not ask for something else; below net/ipv4. */
const SYSCTLS = { tcp_early_retrans: 0, tcp_fastopen: 0, tcp_ecn: 2, tcp_syn_linear_timeouts: 4 };

export const FAMILIES = [4, 6] as const;
export type Family = (typeof FAMILIES)[number];

export interface SegmentScript {
  readonly lines: readonly string[];
  readonly sysctls?: Readonly<Record<string, string | number>>;
  /** So short is a retransmission timer at least; default: longer than any script takes. */
  readonly rtoMinMs?: number;
}

/** What the peer itself has seen. */
export interface PeerCounts {
  /** Segments whose first byte (or SYN, or FIN) it had already. */
  readonly again: number;
  readonly resets: number;
}

let played = 0;

/** Plays a script to its end, when the kernel has no socket of it any more. */
export async function playSegments(
  namespace: Namespace,
  family: Family,
  { lines, sysctls = {}, rtoMinMs = 60_000 }: SegmentScript,
): Promise<PeerCounts> {
  const settings = Object.entries({ ...SYSCTLS, ...sysctls });
  await namespace.exec('sysctl', [
    ...['-q', '-e'], // without those that are younger than the kernel
    ...settings.map(([name, value]) => `net.ipv4.${name}=${value}`),
  ]);
  const text = await namespace.exec(
    'python3',
    [PROGRAM, `${family}`, `${++played}`, `${rtoMinMs}ms`],
    { input: lines.join('\n'), timeoutMs: 120_000 },
  );
  return JSON.parse(text) as PeerCounts;
}

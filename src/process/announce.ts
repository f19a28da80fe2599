/** What a run says when it has begun: what cannot be had here, by its reason, and what can. */
import { performance } from 'node:perf_hooks';
import type { ProgramState, SourceMissing } from '../kernel/source.js';
import type { Say } from './streams.js';

export interface Begun {
  readonly programs: readonly ProgramState[];
  /** Sources that this machine does not let be; their programs are not named one by one. */
  readonly missing?: readonly SourceMissing[];
  /** Of performance.now(). */
  readonly startMs: number;
  /** Where the output goes, for the end of the sentence. */
  readonly where?: string;
}

/** Names of programs that are not attached, by the reason, which often is one for many. */
function reasonsOf(programs: readonly ProgramState[]): Map<string, string[]> {
  const reasons = new Map<string, string[]>();
  for (const { program, reason, attached } of programs) {
    if (attached) continue;
    const text = reason ?? 'not attached';
    reasons.set(text, [...(reasons.get(text) ?? []), program]);
  }
  return reasons;
}

/** Call it when signals are listened for: whoever reads it may send one. */
export function announce({ programs, missing = [], startMs, where = '' }: Begun, say: Say): void {
  const left = new Set(missing.map(({ source }) => source));
  const reasons = reasonsOf(programs.filter(({ source }) => !left.has(source)));
  for (const { source, obstacle } of missing) {
    const names = [`${source} records`, ...(reasons.get(obstacle.reason) ?? [])].join(', ');
    say(`without ${names}: ${obstacle.reason}; to fix it: ${obstacle.fix ?? ''}`);
    reasons.delete(obstacle.reason);
  }
  for (const [reason, names] of reasons) say(`without ${names.join(', ')}: ${reason}`);
  const ms = Math.round(performance.now() - startMs);
  const attached = programs.filter((program) => program.attached).length;
  say(`ready after ${ms} ms: ${attached} programs attached${where}`);
}

/** Everything that netwatch.prom counts as lost, in words, each with its number. */
import type { LabelValue } from '../metrics/families.js';
import type { Snapshot } from '../metrics/snapshot.js';
import { PROM_FILE } from './files.js';

type Stage = LabelValue<'stage'>;
/** Rows of standard output. */
const ROWS = 'queue';
/** Its table holds durations; those of sources, owners of sockets. */
const HTTP = 'http';

/** By the place of the loss; `of` is the source's name. */
const LOST: Readonly<Record<Exclude<Stage, typeof ROWS>, (count: number, of: string) => string>> = {
  ringbuf: (n, of) => `${n} ${of} records (ring buffer)`,
  recursion: (n, of) => `${n} runs of ${of} programs (they interrupted themselves)`,
  socket_memory: (n, of) => `${n} notes of ${of} in sockets (no memory left in them)`,
  map_full: (n, of) => `${n} ${of === HTTP ? 'durations' : 'owners'} of ${of} (table full)`,
  file: (n, of) => `${n} lines of ${of}`,
  decode: (n, of) => `${n} ${of} records (a bug kept them from becoming lines)`,
};

/**
 * Empty: nothing was lost. Without the rows of standard output, of which some are lost after the last
 * netwatch.prom. `stateErrors`: failed writes of that file by the name of the error, of which the
 * last one cannot be in it.
 */
export function losses(state: Snapshot, stateErrors: ReadonlyMap<string, number>): string[] {
  // Each program of a source has its own count.
  const found = new Map<string, { stage: keyof typeof LOST; source: string; count: number }>();
  for (const { labels, value } of state.samplesOf('netwatch_events_lost_total')) {
    const { source = '', stage } = labels as { source?: string; stage: Stage };
    if (stage === ROWS || value === 0) continue;
    const key = `${stage} ${source}`;
    found.set(key, { stage, source, count: value + (found.get(key)?.count ?? 0) });
  }
  const series = state
    .samplesOf('netwatch_series_dropped_total')
    .reduce((sum, { value }) => sum + value, 0);
  return [
    ...[...found.values()].map(({ stage, source, count }) => LOST[stage](count, source)),
    ...[...stateErrors].map(([errno, count]) => `${count} writes of ${PROM_FILE} (${errno})`),
    ...(series > 0
      ? [`${series} series left out of netwatch.prom (their families were full)`]
      : []),
  ];
}

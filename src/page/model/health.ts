/** The program about itself: losses, BPF programs, rings, files. */
import type { PageSnapshot } from '../../serve/types.js';
import { increases, scalars, type Step } from './series.js';

export interface Loss {
  readonly source: string;
  readonly stage: string;
  readonly total: number;
  /** Per second; null before the second snapshot. */
  readonly rate: number | null;
}

/** Largest first. */
export function losses(now: PageSnapshot, step: Step | null): Loss[] {
  return ratedSeries(now, step, 'netwatch_events_lost_total')
    .map(({ labels, total, rate }) => ({
      source: labels['source'] ?? '',
      stage: labels['stage'] ?? '',
      total,
      rate,
    }))
    .sort((a, b) => b.total - a.total);
}

export interface Program {
  readonly source: string;
  readonly name: string;
  readonly type: string;
  readonly attached: boolean;
  /** Share of one CPU. */
  readonly cpu: number | null;
  readonly runsPerSecond: number | null;
  readonly secondsPerRun: number | null;
}

/** Sources may name programs alike. */
const keyOf = ({ source = '', program = '' }: Readonly<Record<string, string>>): string =>
  `${source} ${program}`;

/** The most expensive first; run times are only known while BPF statistics are on. */
export function programs(now: PageSnapshot, step: Step | null): Program[] {
  const growth = (name: string): Map<string, number> =>
    new Map(
      step === null ? [] : increases(step, name).map((one) => [keyOf(one.labels), one.increase]),
    );
  const time = growth('netwatch_bpf_program_run_time_seconds_total');
  const runs = growth('netwatch_bpf_program_run_count_total');
  return scalars(now, 'netwatch_bpf_program_attached')
    .map(({ labels, value }) => {
      const seconds = time.get(keyOf(labels));
      const count = runs.get(keyOf(labels));
      return {
        source: labels['source'] ?? '',
        name: labels['program'] ?? '',
        type: labels['attach_type'] ?? '',
        attached: value === 1,
        cpu: step === null || seconds === undefined ? null : seconds / step.seconds,
        runsPerSecond: step === null || count === undefined ? null : count / step.seconds,
        secondsPerRun: seconds === undefined || !count ? null : seconds / count,
      };
    })
    .sort((a, b) => Number(a.attached) - Number(b.attached) || (b.cpu ?? -1) - (a.cpu ?? -1));
}

export interface Ring {
  readonly source: string;
  readonly usedBytes: number;
  readonly capacityBytes: number;
  readonly eventsPerSecond: number | null;
}

export function rings(now: PageSnapshot, step: Step | null): Ring[] {
  const events = ratedSeries(now, step, 'netwatch_events_total');
  const used = scalars(now, 'netwatch_ringbuf_used_bytes');
  return scalars(now, 'netwatch_ringbuf_capacity_bytes').map(({ labels, value }) => {
    const source = labels['source'] ?? '';
    return {
      source,
      usedBytes: used.find((one) => one.labels['source'] === source)?.value ?? 0,
      capacityBytes: value ?? 0,
      eventsPerSecond: events.find((one) => one.labels['source'] === source)?.rate ?? null,
    };
  });
}

export interface FileRecords {
  readonly file: string;
  readonly written: number;
  readonly rate: number | null;
  /** Accepted, and neither written nor lost yet. */
  readonly waiting: number;
}

export function files(now: PageSnapshot, step: Step | null): FileRecords[] {
  const accepted = scalars(now, 'netwatch_records_accepted_total');
  const lost = scalars(now, 'netwatch_events_lost_total');
  return ratedSeries(now, step, 'netwatch_records_written_total').map(({ labels, total, rate }) => {
    const file = labels['file'] ?? '';
    const taken = accepted.find((one) => one.labels['file'] === file)?.value ?? total;
    const gone = lost.find(({ labels: l }) => l['source'] === file && l['stage'] === 'file');
    return { file, written: total, rate, waiting: taken - total - (gone?.value ?? 0) };
  });
}

export interface Rated {
  readonly labels: Readonly<Record<string, string>>;
  readonly total: number;
  readonly rate: number | null;
}

/** Totals of a counter's series, with their growth per second if there is a step. */
export function ratedSeries(now: PageSnapshot, step: Step | null, name: string): Rated[] {
  if (step === null)
    return scalars(now, name).map(({ labels, value }) => ({
      labels,
      total: value ?? 0,
      rate: null,
    }));
  return increases(step, name).map(({ labels, total, increase }) => ({
    labels,
    total,
    rate: increase / step.seconds,
  }));
}

/** Runs `netwatch insight` as a child on a namespace and reads its events as JSON. */
import type { EventName } from '../../src/sources/insight-events.js';
import type { Namespace, Teardown } from './netns.js';
import { startTool, type RunningTool } from './tool.js';

/** One line of `-o json`. */
export interface InsightEvent {
  readonly time: string;
  readonly process: string | null;
  readonly pid: number | null;
  readonly tid: number | null;
  readonly event: EventName;
  readonly network_local_address: string;
  readonly network_local_port: number;
  readonly network_peer_address: string;
  readonly network_peer_port: number;
  readonly state: string | null;
  readonly state_before?: string;
  readonly cwnd: number | null;
  readonly rtt_us: number | null;
  readonly bytes: number | null;
  readonly sock: string | null;
  readonly age_ms: number | null;
  readonly details: Readonly<Record<string, string | number | boolean | null>>;
}

export interface Insight extends RunningTool {
  /** Those that are on standard output by now. */
  events(): InsightEvent[];
  /** Of one kind. */
  of(event: EventName): InsightEvent[];
  /** What -T says in JSON, after the end. */
  statistics(): Readonly<Record<string, unknown>>;
}

/** Starts it and returns when everything is attached. */
export async function startInsight(
  t: Teardown,
  namespace: Namespace,
  args: readonly string[] = [],
  format: 'json' | 'table' | 'csv' = 'json',
): Promise<Insight> {
  const tool = await startTool(t, namespace, 'insight', ['-o', format, ...args]);
  const events = (): InsightEvent[] =>
    tool.objects().filter((object) => 'event' in object) as unknown as InsightEvent[];
  return {
    ...tool,
    events,
    of: (event) => events().filter((found) => found.event === event),
    statistics: () => {
      const last = tool.objects().find((object) => 'statistics' in object);
      return (last?.['statistics'] ?? {}) as Readonly<Record<string, unknown>>;
    },
  };
}

/** How often each kind was seen. */
export function countsOf(events: readonly InsightEvent[]): Partial<Record<EventName, number>> {
  const counts: Partial<Record<EventName, number>> = {};
  for (const { event } of events) counts[event] = (counts[event] ?? 0) + 1;
  return counts;
}

/** Sum of the bytes of events of one kind. */
export function bytesOf(events: readonly InsightEvent[]): number {
  return events.reduce((sum, { bytes }) => sum + (bytes ?? 0), 0);
}

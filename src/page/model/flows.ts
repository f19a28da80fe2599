/** Flows of a snapshot: who talks to whom, and how much of that was in the last minute. */
import { OTHER_FLOWS, type FlowRow, type Labels, type PageSnapshot } from '../../serve/types.js';
import type { Step } from './series.js';

export const SPANS = ['last minute', 'since start'] as const;
export type Span = (typeof SPANS)[number];

export interface Flow {
  /** The same for the same flow. */
  readonly key: string;
  readonly process: string;
  /** As {@link placeOf}. */
  readonly unit: string | null;
  readonly role: string;
  readonly port: string;
  readonly peer: string;
  /** All flows that have no name of their own. */
  readonly isOther: boolean;
  /** Payload bytes in the span. */
  readonly received: number;
  readonly sent: number;
  readonly connections: number;
  readonly retransmits: number;
  /** Seconds; null where none was measured. */
  readonly rtt: number | null;
}

export interface Flows {
  /** Most bytes first; all others last. */
  readonly flows: readonly Flow[];
  /** Of the sums; null: since the start. */
  readonly seconds: number | null;
}

type Sums = Pick<Flow, 'received' | 'sent' | 'connections' | 'retransmits'>;

const NONE: Sums = { received: 0, sent: 0, connections: 0, retransmits: 0 };
const SUMS = ['received', 'sent', 'connections', 'retransmits'] as const;

export const bytesOf = ({ received, sent }: Pick<Flow, 'received' | 'sent'>): number =>
  received + sent;

/** What a process is part of, by the innermost name: its container, pod or unit; null: none is known. */
export function placeOf({ unit, container, pod }: Labels): string | null {
  return container ?? pod ?? unit ?? null;
}

function flowOf(row: FlowRow): Flow {
  const [process, unit, container, pod, role, port, peer] = row;
  const [, , , , , , , received, sent, connections, retransmits, rtt] = row;
  return {
    key: JSON.stringify([process, unit, container, pod, role, port, peer]),
    ...{ process, unit: container ?? pod ?? unit, role, port, peer },
    isOther: role === OTHER_FLOWS,
    ...{ received, sent, connections, retransmits, rtt },
  };
}

function sumsOf(of: (name: keyof Sums) => number): Sums {
  return {
    received: of('received'),
    sent: of('sent'),
    connections: of('connections'),
    retransmits: of('retransmits'),
  };
}

/**
 * What has been added. A flow that is lower than before has lost its name in between, and found it again. The
 * others get the sums of those that lose theirs, which is no growth: theirs is what is left of all growth.
 */
function growth(before: readonly Flow[], now: readonly Flow[]): Flow[] {
  const old = new Map(before.map((flow) => [flow.key, flow]));
  const total = (flows: readonly Flow[], name: keyof Sums): number =>
    flows.reduce((sum, flow) => sum + flow[name], 0);
  const grown = now
    .filter(({ isOther }) => !isOther)
    .map((flow) => {
      const known = old.get(flow.key);
      const fell = known === undefined || SUMS.some((name) => flow[name] < known[name]);
      const base = fell ? NONE : known;
      return { ...flow, ...sumsOf((name) => flow[name] - base[name]) };
    });
  const rest = sumsOf((name) =>
    Math.max(0, total(now, name) - total(before, name) - total(grown, name)),
  );
  const others = now.filter(({ isOther }) => isOther).map((flow) => ({ ...flow, ...rest }));
  return [...grown, ...others];
}

/** Null: the snapshot says nothing of flows. Where the last minute is not known, it is since the start. */
export function flowsOf(
  snapshot: PageSnapshot | null,
  minute: Step | null,
  span: Span,
): Flows | null {
  if (snapshot === null || snapshot.flows === null) return null;
  const now = snapshot.flows.map(flowOf);
  const before = minute?.before?.flows ?? null;
  const isRecent = span === 'last minute' && minute !== null && before !== null;
  const flows = isRecent ? growth(before.map(flowOf), now) : now;
  return {
    flows: flows.sort(
      (a, b) =>
        Number(a.isOther) - Number(b.isOther) ||
        bytesOf(b) - bytesOf(a) ||
        (a.key < b.key ? -1 : 1),
    ),
    seconds: isRecent ? minute.seconds : null,
  };
}

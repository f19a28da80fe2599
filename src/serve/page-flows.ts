/** The flows of netwatch.prom: the families `netwatch_flow_*` side by side, one row for each flow. */
import { parseSample } from '../metrics/sample.js';
import { linesOf, type Scan } from './scan.js';
import type { FlowRow } from './types.js';

const PREFIX = 'netwatch_flow_';
const BYTES = 'netwatch_flow_bytes_total';

interface Growing {
  readonly labels: ReadonlyMap<string, string>;
  received: number;
  sent: number;
  connections: number;
  retransmits: number;
  rtt: number | null;
}

type Add = (flow: Growing, value: number, labels: ReadonlyMap<string, string>) => void;

const VALUES: Readonly<Record<string, Add>> = {
  [BYTES]: (flow, value, labels) => {
    if (labels.get('network_io_direction') === 'receive') flow.received = value;
    else flow.sent = value;
  },
  netwatch_flow_connections_total: (flow, value) => (flow.connections = value),
  netwatch_flow_retransmits_total: (flow, value) => (flow.retransmits = value),
  netwatch_flow_rtt_seconds: (flow, value) => (flow.rtt = value),
};

/** Labels that make a flow, in the order of its row. */
const NAMES = ['process', 'unit', 'container', 'pod', 'role'] as const;
const ENDS = ['server_port', 'network_peer_address'] as const;

/** Whether a family is shown in these rows, not by its name. */
export function isOfFlow(family: string): boolean {
  return family.startsWith(PREFIX);
}

/** Null if netwatch.prom has none. */
export function flowRows({ bytes, families }: Scan): readonly FlowRow[] | null {
  if (!families.has(BYTES)) return null;
  const flows = new Map<string, Growing>();
  for (const [name, add] of Object.entries(VALUES))
    for (const line of linesOf(bytes, families.get(name)?.ranges ?? [])) {
      const sample = parseSample(line);
      const labels = new Map(sample.labels);
      if (Number.isFinite(sample.value)) add(flowOf(flows, labels), sample.value, labels);
    }
  return Array.from(flows.values(), rowOf);
}

function flowOf(flows: Map<string, Growing>, labels: ReadonlyMap<string, string>): Growing {
  const key = JSON.stringify([...NAMES, ...ENDS].map((name) => labels.get(name) ?? null));
  let flow = flows.get(key);
  if (flow === undefined) {
    flow = { labels, received: 0, sent: 0, connections: 0, retransmits: 0, rtt: null };
    flows.set(key, flow);
  }
  return flow;
}

function rowOf({ labels, received, sent, connections, retransmits, rtt }: Growing): FlowRow {
  const text = (name: (typeof NAMES | typeof ENDS)[number]): string => labels.get(name) ?? '';
  const known = (name: 'unit' | 'container' | 'pod'): string | null => labels.get(name) ?? null;
  return [
    ...([text('process'), known('unit'), known('container'), known('pod')] as const),
    ...([text('role'), text('server_port'), text('network_peer_address')] as const),
    ...([received, sent, connections, retransmits] as const),
    rtt,
  ];
}

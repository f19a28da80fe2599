/**
 * The NDJSON files against the logs they stand beside: what a line of a log says, as the object that
 * has to be there for it. Written apart from the product's own mapping, from the lines.
 */
import type { Sample } from './samples.js';

export type Json = Readonly<Record<string, unknown>>;

/** The objects of a file; throws at a torn line and at a line that holds no object. */
export function parseNdjson(text: string): Json[] {
  if (text !== '' && !text.endsWith('\n')) throw new Error('the last line has no newline');
  return text
    .split('\n')
    .slice(0, -1)
    .map((line) => {
      const value: unknown = JSON.parse(line);
      if (typeof value !== 'object' || value === null || Array.isArray(value))
        throw new Error(`no object: ${line}`);
      return value as Json;
    });
}

const known = (label: string | undefined): string | null =>
  label === undefined || label === '-' ? null : label;
const numeric = (label: string | undefined): number | null =>
  known(label) === null ? null : Number(label);

function split(endpoint: string): [address: string, port: number] {
  const [, address = '', port = ''] = /^\[?(.*?)\]?:(\d+)$/.exec(endpoint) ?? [];
  return [address, Number(port)];
}

/** What an object says of time and connection, in the words of the logs. */
function where({ labels, timestampMs }: Sample): Json {
  const [localAddress, localPort] = split(labels['src'] ?? '');
  const [peerAddress, peerPort] = split(labels['dst'] ?? '');
  return {
    time: new Date(timestampMs ?? NaN).toISOString(),
    sock: known(labels['sock']),
    network_local_address: localAddress,
    network_local_port: localPort,
    network_peer_address: peerAddress,
    network_peer_port: peerPort,
  };
}

/** The object for a line of packets.log. */
export function packetJson(sample: Sample): Json {
  const { labels, value } = sample;
  const optional = {
    mac_time_us: 'mac_time' in labels ? numeric(labels['mac_time']) : undefined,
    ip_time_us: 'ip_time' in labels ? numeric(labels['ip_time']) : undefined,
    tcp_time_us: 'tcp_time' in labels ? numeric(labels['tcp_time']) : undefined,
    // what waited for nothing has no label; of packets without data, and where TCP's is unknown, none
    reorder_time_us:
      'tcp_time' in labels && labels['rx'] === '1'
        ? (numeric(labels['reorder_time']) ?? (numeric(labels['tcp_time']) === null ? null : 0))
        : undefined,
    http_info: 'http_info' in labels ? known(labels['http_info']) : undefined,
  };
  return {
    ...where(sample),
    event: 'packet',
    network_io_direction: labels['rx'] === '1' ? 'receive' : 'transmit',
    seq: Number(labels['seq']),
    ack: Number(labels['ack']),
    retransmit: labels['retransmit'] === '1',
    length_bytes: value,
    ...Object.fromEntries(Object.entries(optional).filter(([, of]) => of !== undefined)),
  };
}

/** What packets.ndjson says beside the line of packets.log: whose the packet is. */
export function withoutOwner(event: Json): Json {
  const owner = ['pid', 'process', 'unit', 'container', 'pod'];
  return Object.fromEntries(Object.entries(event).filter(([field]) => !owner.includes(field)));
}

/** The object for a line of err.log. */
export function errorJson(sample: Sample): Json {
  const { labels } = sample;
  const { type, reason, seq, ack } = labels;
  const sender = {
    peer_pid: numeric(labels['peer_pid']),
    peer_process: known(labels['peer_process']),
    peer_reason: known(labels['peer_reason']),
  };
  return {
    ...where(sample),
    event: 'tcp_error',
    type,
    reason,
    pid: numeric(labels['pid']),
    process: known(labels['process']),
    unit: known(labels['unit']),
    container: known(labels['container']),
    pod: known(labels['pod']),
    seq: Number(seq),
    ack: Number(ack),
    event_id: labels['event'],
    ...(type === 'reset_received' ? sender : {}),
  };
}

const OF_CONNECTION = [
  ...['time', 'event', 'sock', 'network_local_address', 'network_local_port'],
  ...['network_peer_address', 'network_peer_port', 'pid', 'process', 'is_server'],
  ...['unit', 'container', 'pod', 'cgroup'],
];

const NAMES = ['unit', 'container', 'pod'];

/** The facts that a line of connects.log states, each as a text that can be compared. */
function factsOfLine(sample: Sample): string[] {
  const { name, labels, value } = sample;
  const is = (field: string, what: unknown): string =>
    JSON.stringify([...Object.values(where(sample)), field, what]);
  const field = name.replace('netwatch_connection_', '');
  const suffix = value === 0 ? '_before' : '';
  if (field === 'info')
    return [
      is('owner', [
        numeric(labels['pid']),
        known(labels['process']),
        labels['is_server'] === '-' ? null : labels['is_server'] === '1',
        ...NAMES.map((name) => known(labels[name])),
      ]),
    ];
  if (field === 'state_info')
    return [is(`network_connection_state${suffix}`, labels['network_connection_state'])];
  if (field === 'congestion_info')
    return [
      is(`congestion_algorithm${suffix}`, labels['algorithm']),
      is(`congestion_state${suffix}`, labels['state']),
    ];
  return [is(field, value)];
}

/** The same of an object of connects.ndjson: of its owner, and of every value that changed. */
function factsOfEvent(event: Json): { owner: string; values: string[] } {
  const of = [
    ...['time', 'sock', 'network_local_address', 'network_local_port'],
    ...['network_peer_address', 'network_peer_port'],
  ].map((field) => event[field]);
  const is = (field: string, what: unknown): string => JSON.stringify([...of, field, what]);
  return {
    owner: is('owner', [
      ...[event['pid'], event['process'], event['is_server']],
      ...NAMES.map((name) => event[name]),
    ]),
    values: Object.entries(event)
      .filter(([field]) => !OF_CONNECTION.includes(field))
      .map(([field, what]) => is(field, what)),
  };
}

export interface Correspondence {
  /** Facts of the log that no object has, and values of objects that no line has. */
  readonly missing: readonly string[];
  readonly surplus: readonly string[];
}

/**
 * Compares connects.log with connects.ndjson: every line has its value in an object, every value of
 * an object its line, as often as there. Owners, which every object repeats, are compared one way.
 */
export function compareConnections(
  lines: readonly Sample[],
  events: readonly Json[],
): Correspondence {
  const stated = lines.flatMap(factsOfLine);
  const isOwner = (fact: string): boolean => fact.includes(',"owner",');
  const facts = events.map(factsOfEvent);
  const owners = new Set(facts.map(({ owner }) => owner));
  const values = count(facts.flatMap(({ values: of }) => of));
  const wanted = count(stated.filter((fact) => !isOwner(fact)));
  const differ = (a: Map<string, number>, b: Map<string, number>): string[] =>
    [...a].filter(([fact, times]) => b.get(fact) !== times).map(([fact]) => fact);
  return {
    missing: [
      ...stated.filter((fact) => isOwner(fact) && !owners.has(fact)),
      ...differ(wanted, values),
    ],
    surplus: differ(values, wanted),
  };
}

function count(facts: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const fact of facts) counts.set(fact, (counts.get(fact) ?? 0) + 1);
  return counts;
}

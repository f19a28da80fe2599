/**
 * The filter table: which source takes which filter by which flag, what it says when it has run, and what
 * it has to say of each deed. What a command has no flag for is not in its row; the test compares that
 * with the command's help.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ConnectionEnd, Deed, Place } from './filter-cast.js';
import type { Json } from './ndjson.js';
import { packetLines } from './packets.js';
import { parseExposition, select, total, type Sample } from './samples.js';

export const FILTERS = [
  'pid',
  'comm',
  'local address',
  'peer address',
  'local port',
  'peer port',
  'either port',
  'IPv4',
  'IPv6',
  'netns',
  'cgroup',
  'unit',
  'container',
  'clients',
  'servers',
  'listeners',
] as const;
export type FilterName = (typeof FILTERS)[number];

/**
 * Whom a fact is told of: who has connected or accepted, and owns it until another process sends or
 * reads, or the one who does; `either`: both would do.
 */
type Teller = 'owner' | 'caller' | 'either';
export type Fact = readonly [by: Teller, text: string];

/** What a netwatch that has ended has left. */
export interface Finished {
  readonly objects: readonly Json[];
  /** Of the collector. */
  readonly dataFolder: string;
}

export interface Source {
  /** As it is typed; of the collector nothing. */
  readonly command: string;
  readonly args: readonly string[];
  readonly flags: Readonly<Partial<Record<FilterName, string | readonly string[]>>>;
  readonly found: (finished: Finished) => readonly string[];
  /** Facts of one deed. */
  readonly facts?: (deed: Deed) => readonly Fact[];
  /**
   * Of all together, where the source adds up: `chosen` by owner, `used` by caller, `listened` by who
   * listens; `unfiltered`: what it finds without a filter.
   */
  readonly sums?: (
    chosen: readonly Deed[],
    unfiltered: readonly string[],
    used: readonly Deed[],
    listened: readonly Deed[],
  ) => readonly string[];
  /** Each fact counts once, however often it is told. */
  readonly once?: true;
}

const COMMON = {
  netns: '--netns',
  cgroup: '--cgroup',
  unit: '--unit',
  container: '--container',
} as const;
const FAMILY = { IPv4: '-4', IPv6: '-6' } as const;
const PID = { pid: '-p' } as const;
const EITHER = { 'either port': '--port' } as const;
/** Options of every tool at once, each of which keeps something out that the others let through. */
const CLIENTS = { clients: ['--comm', '--saddr', '--dport'] } as const;
const SERVERS = { servers: ['--comm', '--daddr', '--sport'] } as const;
const ENDS = { ...CLIENTS, ...SERVERS } as const;
const ALL_FIVE = ['--comm', '--saddr', '--dport', '--daddr', '--sport'] as const;
/** Of sources that show ends of one kind only. */
const ONLY_CLIENTS = { clients: ALL_FIVE } as const;
const ONLY_SERVERS = { servers: ALL_FIVE } as const;

const at = ({ ip, port }: Place): string => `${ip.includes(':') ? `[${ip}]` : ip}:${port}`;
const endsOf = ({ local, peer }: Deed): string => `${at(local)} ${at(peer)}`;
const endsIn = (o: Json): string =>
  ['local', 'peer']
    .map((side) => {
      const [ip, port] = [o[`network_${side}_address`], o[`network_${side}_port`]];
      return at({ ip: String(ip), port: Number(port) });
    })
    .join(' ');

const byPid = ({ owner }: Deed, text: string): Fact => ['owner', `${owner} ${text}`];
const byCaller = ({ caller }: Deed, text: string): Fact => ['caller', `${caller} ${text}`];

const isEnd = (deed: Deed): deed is ConnectionEnd => deed.kind === 'connection';
const isNew = (deed: Deed): deed is ConnectionEnd => isEnd(deed) && !deed.early;
const isClient = (deed: Deed): boolean =>
  deed.kind === 'refused' || (isNew(deed) && deed.role === 'client');
const isServer = (deed: Deed): boolean => isNew(deed) && deed.role === 'server';
/** A source of new ends, one row for each. */
const whoIs =
  (isOne: (deed: Deed) => boolean) =>
  (deed: Deed): Fact[] =>
    isOne(deed) ? [byPid(deed, endsOf(deed))] : [];
const pidAndEnds = (o: Json): string => `${String(o['pid'])} ${endsIn(o)}`;
const rows =
  (text: (o: Json) => string) =>
  ({ objects }: Finished): string[] =>
    objects.map(text);

const volume = (o: Json): string =>
  `${pidAndEnds(o)} ${String(o['bytes_sent'])} ${String(o['bytes_received'])}`;

/** Changes of state before anybody sends or reads. */
const BEGINNINGS = /^(CLOSE|LISTEN|SYN_SENT|SYN_RECV)>/;

/** Changes of state, by the way that an end goes. */
function statesOf(deed: Deed): readonly string[] {
  if (deed.kind === 'listen') return deed.early ? [] : ['CLOSE>LISTEN'];
  if (deed.kind === 'refused') return ['CLOSE>SYN_SENT', 'SYN_SENT>CLOSE'];
  if (!isEnd(deed)) return [];
  const [first, last] =
    deed.role === 'client'
      ? [
          ['CLOSE>SYN_SENT', 'SYN_SENT>ESTABLISHED'],
          ['ESTABLISHED>FIN_WAIT1', 'FIN_WAIT1>FIN_WAIT2', 'FIN_WAIT2>CLOSE'],
        ]
      : [
          ['LISTEN>SYN_RECV', 'SYN_RECV>ESTABLISHED'],
          ['ESTABLISHED>CLOSE_WAIT', 'CLOSE_WAIT>LAST_ACK', 'LAST_ACK>CLOSE'],
        ];
  return [...(deed.early ? [] : first), ...(deed.reset ? ['ESTABLISHED>CLOSE'] : last)];
}

/** Whether a segment of a deed was dropped, and how the kernel calls that. */
function dropsOf(deed: Deed): readonly string[] {
  if (deed.kind === 'refusal') return ['NO_SOCKET'];
  if (!isEnd(deed)) return [];
  const isWrong = deed.wrong && deed.role === 'server';
  return [...(deed.lost ? ['SOCKET_FILTER'] : []), ...(isWrong ? ['SEQUENCE'] : [])];
}
/** Below or above the window: that is left to chance. */
const reasonOf = (reason: unknown): string =>
  String(reason).replace(/^TCP_(OLD|INVALID)_SEQUENCE$|^TCP_INVALID_END_SEQUENCE$/, 'SEQUENCE');

/** All, the ports by the letters of bcc's. */
const LETTERED: Source['flags'] = {
  ...ENDS,
  ...COMMON,
  ...FAMILY,
  ...PID,
  ...EITHER,
  'local port': '-L',
  'peer port': '-D',
};

const LIFE: readonly Source[] = [
  {
    command: 'tcplife',
    args: [],
    flags: LETTERED,
    found: rows(volume),
    facts: (deed) => {
      if (deed.kind === 'refused') return [byPid(deed, `${endsOf(deed)} 0 0`)];
      return isNew(deed) ? [byCaller(deed, `${endsOf(deed)} ${deed.sent} ${deed.received}`)] : [];
    },
  },
  {
    command: 'tcptracer',
    args: [],
    flags: { ...ENDS, ...COMMON, ...FAMILY, ...PID, ...EITHER },
    found: rows((o) => `${String(o['event'])} ${pidAndEnds(o)}`),
    facts: (deed) => {
      if (!isEnd(deed)) return [];
      const begin = deed.role === 'client' ? 'connect' : 'accept';
      return [
        ...(deed.early ? [] : [['owner', `${begin} ${deed.owner} ${endsOf(deed)}`] as const]),
        ['caller', `close ${deed.caller} ${endsOf(deed)}`],
      ];
    },
  },
  {
    command: 'tcpstates',
    args: [],
    flags: LETTERED,
    // whose it is is not known before accept()
    found: rows((o) => `${String(o['state_before'])}>${String(o['state'])} ${endsIn(o)}`),
    facts: (deed) => {
      const ends = deed.kind === 'listen' ? `${at(deed.local)} ${anyOf(deed.local)}` : endsOf(deed);
      return statesOf(deed).map((states) => [
        BEGINNINGS.test(states) ? 'owner' : 'caller',
        `${states} ${ends}`,
      ]);
    },
  },
  {
    command: 'tcpconnect',
    args: ['-L'],
    flags: {
      ...ONLY_CLIENTS,
      ...COMMON,
      ...FAMILY,
      ...PID,
      'peer port': '-P',
      'either port': '--either-port',
    },
    found: rows(pidAndEnds),
    facts: whoIs(isClient),
  },
  {
    command: 'tcpaccept',
    args: [],
    flags: {
      ...ONLY_SERVERS,
      ...COMMON,
      ...FAMILY,
      ...PID,
      'local port': '-P',
      'either port': '--either-port',
    },
    found: rows(pidAndEnds),
    facts: whoIs(isServer),
  },
  {
    command: 'tcp_connection',
    args: [],
    flags: {
      ...ENDS,
      ...COMMON,
      ...FAMILY,
      ...PID,
      'local port': '-P',
      'either port': '--either-port',
    },
    found: rows(pidAndEnds),
    facts: whoIs((deed) => isClient(deed) || isServer(deed)),
  },
  {
    command: 'tcpconnlat',
    args: [],
    flags: { ...ONLY_CLIENTS, ...COMMON, ...FAMILY, ...PID, ...EITHER },
    found: rows(pidAndEnds),
    facts: whoIs(isClient),
  },
];

/** As the kernel writes "no peer". */
const anyOf = ({ ip }: Place): string => (ip.includes(':') ? '[::]:0' : '0.0.0.0:0');

/** Of the SACK block in the segment that is wrong. */
const SACKED_BYTES = 12_345;

/** Events of insight with a number that is known. */
const INSIGHT: Source = {
  command: 'insight',
  args: [],
  flags: {
    ...FAMILY,
    ...EITHER,
    ...COMMON,
    ...PID,
    comm: '-c',
    'local address': '-s',
    'peer address': '-d',
    'local port': '--sport',
    'peer port': '--dport',
  },
  found: ({ objects }) =>
    objects.flatMap((o) => {
      const { event, bytes } = o as { readonly event: string; readonly bytes: number };
      const any = `any event ${endsIn(o)}`;
      if (event === 'CONNECT' || event === 'ACCEPT') return [any, `${event} ${pidAndEnds(o)}`];
      if (event === 'CLOSE' || event === 'RESET') return [any, `${event} ${endsIn(o)}`];
      // perhaps before accept(): without a filter by process it is the listener's
      if (event === 'SACK' && bytes === SACKED_BYTES) return [any, `${event} ${endsIn(o)}`];
      if (event === 'RETRANSMIT') return [any, `${event} ${pidAndEnds(o)}`];
      if (event === 'SEND' || event === 'RECEIVE')
        return [any, `${event} ${pidAndEnds(o)} ${bytes}`];
      return [any];
    }),
  facts: (deed) => {
    const ends = endsOf(deed);
    if (deed.kind === 'refused' || deed.kind === 'refusal') {
      const events: Fact[] = ['any event', 'RESET'].map((event) => ['owner', `${event} ${ends}`]);
      const connect: Fact = ['owner', `CONNECT ${deed.owner} ${ends}`];
      return deed.kind === 'refusal' ? events : [...events, connect, ['owner', `CLOSE ${ends}`]];
    }
    if (!isEnd(deed)) return [];
    const owned = (event: string): Fact => ['owner', `${event} ${deed.owner} ${ends}`];
    return [
      ['either', `any event ${ends}`],
      ['caller', `SEND ${deed.caller} ${ends} ${deed.sent}`],
      ['caller', `RECEIVE ${deed.caller} ${ends} ${deed.received}`],
      ['caller', `CLOSE ${ends}`],
      ...(deed.early ? [] : [owned(deed.role === 'client' ? 'CONNECT' : 'ACCEPT')]),
      ...(deed.lost ? [owned('RETRANSMIT')] : []),
      ...(deed.wrong && deed.role === 'server' ? [['owner', `SACK ${ends}`] as const] : []),
      ...(deed.reset ? [['owner', `RESET ${ends}`] as const] : []),
    ];
  },
  once: true,
};

const moved = (deed: Deed): Fact[] =>
  isEnd(deed) ? [byCaller(deed, `${endsOf(deed)} ${deed.sent} ${deed.received}`)] : [];

function sumsBy(
  deeds: readonly Deed[],
  key: (end: ConnectionEnd) => string | null,
  by: 'sent' | 'count',
): string[] {
  const sums = new Map<string, number>();
  for (const deed of deeds) {
    const name = isEnd(deed) ? key(deed) : null;
    if (name === null || !isEnd(deed)) continue;
    sums.set(name, (sums.get(name) ?? 0) + (by === 'sent' ? deed.sent : 1));
  }
  return [...sums].map(([name, sum]) => `${name} ${sum}`);
}

interface Histogram {
  readonly buckets: readonly { readonly count: number }[];
}
const countIn = (o: Json): number =>
  (o as unknown as Histogram).buckets.reduce((sum, { count }) => sum + count, 0);

const TRAFFIC: readonly Source[] = [
  {
    command: 'tcptop',
    args: ['600'],
    flags: { ...ENDS, ...COMMON, ...FAMILY, ...PID, ...EITHER },
    found: rows(volume),
    facts: moved,
  },
  {
    command: 'tcp_bytes',
    args: ['-i', '600'],
    flags: { ...ENDS, ...COMMON, ...FAMILY, ...PID, ...EITHER },
    found: rows(volume),
    facts: moved,
  },
  {
    command: 'flows',
    args: ['600'],
    flags: { ...ENDS, ...COMMON, ...FAMILY, ...PID, ...EITHER },
    // a connection that was refused has moved nothing
    found: ({ objects }) =>
      objects
        .filter(({ bytes_sent: sent }) => sent !== 0)
        .map(
          (o) =>
            `${String(o['role'])} ${String(o['server_port'])} ` +
            `${String(o['network_peer_address'])} ${String(o['bytes_sent'])}`,
        ),
    // whose it is shows with its first use, and what was moved before counts too
    sums: (_chosen, _unfiltered, used) =>
      sumsBy(
        used,
        ({ role, local, peer }) => `${role} ${(role === 'client' ? peer : local).port} ${peer.ip}`,
        'sent',
      ),
  },
  {
    command: 'tcpsubnet',
    args: ['-i', '600', '127.0.1.1/32,127.0.1.2/32,fd77::2:1/128,fd77::2:2/128'],
    flags: { ...PID, ...FAMILY, ...ENDS, ...COMMON, ...EITHER },
    found: rows((o) => `${String(o['subnet'])} ${String(o['bytes_sent'])}`),
    sums: (_chosen, _unfiltered, used) =>
      sumsBy(used, ({ peer: { ip } }) => `${ip}/${ip.includes(':') ? 128 : 32}`, 'sent'),
  },
  {
    command: 'tcpcong',
    args: [],
    flags: {
      ...PID,
      ...ENDS,
      ...COMMON,
      ...FAMILY,
      ...EITHER,
      'local port': '-L',
      'peer port': '-R',
    },
    found: rows(endsIn),
    facts: (deed) => (isEnd(deed) && deed.lost ? [['owner', endsOf(deed)]] : []),
  },
  {
    command: 'tcprtt',
    args: ['-b'],
    flags: {
      ...ENDS,
      ...COMMON,
      ...FAMILY,
      ...EITHER,
      'local port': '-p',
      'peer port': '-P',
      'local address': '-a',
      'peer address': '-A',
    },
    found: rows((o) => `${String(o['network_local_address'])} ${countIn(o)}`),
    // how many segments the kernel makes of the same data is its own affair: the same as unfiltered
    sums: (deeds, unfiltered) => {
      const addresses = new Set(deeds.filter(isEnd).map(({ local }) => local.ip));
      return unfiltered.filter((line) => addresses.has(line.split(' ')[0] ?? ''));
    },
  },
  {
    command: 'tcpsynbl',
    args: [],
    flags: { ...ONLY_SERVERS, ...COMMON, ...FAMILY, ...EITHER, ...PID },
    found: rows((o) => `${String(o['backlog_max'])} ${countIn(o)}`),
    sums: (_chosen, _unfiltered, _used, listened) =>
      sumsBy(listened.filter(isServer), ({ backlog }) => String(backlog), 'count'),
  },
  {
    command: 'tcppktlat',
    args: [],
    flags: {
      ...ENDS,
      ...COMMON,
      ...FAMILY,
      ...PID,
      ...EITHER,
      'local port': '-l',
      'peer port': '-r',
    },
    found: rows(pidAndEnds),
    facts: (deed) => (isEnd(deed) ? [byCaller(deed, endsOf(deed))] : []),
  },
];

const REQUESTS: Source = {
  command: 'requests',
  args: [],
  flags: LETTERED,
  found: rows((o) => `${String(o['side'])} ${pidAndEnds(o)} ${String(o['url_path'])}`),
  facts: (deed) => {
    if (!isEnd(deed)) return [];
    return [byCaller(deed, `${endsOf(deed)} /${deed.way}/${deed.party}`)].map(
      ([by, text]): Fact => [by, `${deed.role} ${text}`],
    );
  },
};

const LOSS: readonly Source[] = [
  {
    command: 'tcpdrop',
    args: [],
    flags: { ...ENDS, ...COMMON, ...FAMILY, ...PID, ...EITHER },
    // whose it is is not known before accept()
    found: rows((o) => `${endsIn(o)} ${reasonOf(o['reason'])}`),
    facts: (deed) => dropsOf(deed).map((reason) => ['owner', `${endsOf(deed)} ${reason}`]),
    once: true,
  },
  {
    command: 'tcp_inerrs',
    args: [],
    flags: { ...ONLY_SERVERS, ...COMMON, ...FAMILY, ...PID, ...EITHER },
    found: rows(endsIn),
    facts: (deed) => (dropsOf(deed).includes('SEQUENCE') ? [['owner', endsOf(deed)]] : []),
  },
  {
    command: 'tcpretrans',
    args: [],
    flags: { ...ENDS, ...COMMON, ...FAMILY, ...PID, ...EITHER },
    found: rows(pidAndEnds),
    facts: (deed) => (isEnd(deed) && deed.lost ? [byPid(deed, endsOf(deed))] : []),
    once: true,
  },
];

const SOCKETS: readonly Source[] = [
  {
    command: 'solisten',
    args: [],
    flags: { ...FAMILY, listeners: ['--comm', '--saddr', '--sport'], ...COMMON, ...PID, ...EITHER },
    found: rows(
      (o) =>
        `${String(o['pid'])} ${at({ ip: String(o['network_local_address']), port: Number(o['network_local_port']) })}`,
    ),
    facts: (deed) =>
      deed.kind === 'listen' && !deed.early ? [byCaller(deed, at(deed.local))] : [],
  },
  {
    command: 'sofdsnoop',
    args: [],
    flags: { comm: '--comm', ...COMMON, ...PID },
    found: rows((o) => `${String(o['pid'])} ${String(o['action'])} ${String(o['socket_inode'])}`),
    facts: (deed) => (deed.kind === 'pass' ? [byCaller(deed, `${deed.action} ${deed.inode}`)] : []),
  },
];

/** The files of a collector that has ended. */
function filesOf({ dataFolder }: Finished): (name: string) => readonly Sample[] {
  return (name) =>
    parseExposition(readFileSync(join(dataFolder, name), 'utf8'), { log: name.endsWith('.log') })
      .samples;
}

/** Payload by end and direction, each byte once; heads; whether what was read has a TCP time. */
function packetFacts(samples: readonly Sample[]): string[] {
  const seen = new Map<string, number>();
  const facts: string[] = [];
  for (const { src, dst, seq, received, bytes, http, tcpUs } of packetLines(samples)) {
    const way = `${received ? 'received' : 'sent'} ${src} ${dst}`;
    facts.push(`any packet ${src} ${dst}`);
    if (http !== null && http !== undefined) facts.push(`${way} ${http}`);
    if (bytes > 0) seen.set(`${way} ${seq}`, bytes);
    if (received && bytes > 0 && tcpUs === null) facts.push(`without TCP time ${src} ${dst}`);
  }
  for (const [key, bytes] of seen) facts.push(`${key.replace(/ \d+$/, '')} ${bytes}`);
  return facts;
}

function collectorFound(finished: Finished): string[] {
  const samples = filesOf(finished);
  const state = samples('netwatch.prom');
  const connects = samples('connects.log');
  const opened = (role: string): number =>
    total(state, 'netwatch_tcp_connections_total', { network_tcp_handshake_role: role });
  const timed = (side: string): number =>
    total(state, `http_${side}_request_duration_seconds_count`);
  return [
    ...select(connects, 'netwatch_connection_info').map(
      ({ labels: { src, dst, pid, process } }) => `info ${src} ${dst} ${pid} ${process}`,
    ),
    ...select(connects, 'netwatch_connection_retransmits_total')
      .filter(({ value }) => value > 0)
      .map(({ labels: { src, dst } }) => `sent again ${src} ${dst}`),
    ...packetFacts(samples('packets.log')),
    ...select(samples('err.log'), 'netwatch_tcp_error').map(
      ({ labels: { src, dst, type, reason } }) =>
        `${type} ${src} ${dst}${type === 'drop' ? ` ${reasonOf(reason)}` : ''}`,
    ),
    ...['client', 'server'].map((role) => `opened as ${role}: ${opened(role)}`),
    ...['client', 'server'].map((side) => `requests as ${side}: ${timed(side)}`),
  ];
}

function collectorFacts(deed: Deed): Fact[] {
  const owned = (text: string): Fact => ['owner', text];
  const ends = endsOf(deed);
  const drops = dropsOf(deed).map((reason) => owned(`drop ${ends} ${reason}`));
  if (deed.kind === 'listen')
    return [owned(`info ${at(deed.local)} ${anyOf(deed.local)} ${deed.owner} ${deed.party}`)];
  if (deed.kind === 'refused')
    return [`any packet`, 'reset_received'].map((w) => owned(`${w} ${ends}`));
  if (deed.kind === 'refusal')
    return [...drops, ...[`any packet`, 'reset_sent'].map((what) => owned(`${what} ${ends}`))];
  if (!isEnd(deed)) return [];
  const [asks, answers] = [`GET /${deed.way}/${deed.party} HTTP/1.1`, 'HTTP/1.1 200 OK'];
  const [out, back] = deed.role === 'client' ? [asks, answers] : [answers, asks];
  // the request is in the kernel's hands before its caller is known
  const [sends, reads] =
    deed.role === 'client' ? (['owner', 'caller'] as const) : (['caller', 'owner'] as const);
  return [
    owned(`info ${ends} ${deed.owner} ${deed.party}`),
    ['caller', `info ${ends} ${deed.caller} ${deed.party}`],
    ['either', `any packet ${ends}`],
    [sends, `sent ${ends} ${deed.sent}`],
    [reads, `received ${ends} ${deed.received}`],
    [sends, `sent ${ends} ${out}`],
    [reads, `received ${ends} ${back}`],
    ...drops,
    ...(deed.reset ? [owned(`reset_${deed.role === 'client' ? 'sent' : 'received'} ${ends}`)] : []),
    ...(deed.lost ? [owned(`sent again ${ends}`)] : []),
  ];
}

function collectorSums(
  chosen: readonly Deed[],
  _: readonly string[],
  used: readonly Deed[],
): string[] {
  const refused = chosen.filter(({ kind }) => kind === 'refused').length;
  return ['client', 'server'].flatMap((role) => {
    const ends = (all: readonly Deed[]): ConnectionEnd[] =>
      all.filter(isEnd).filter((end) => end.role === role);
    return [
      `opened as ${role}: ${ends(chosen).filter(isNew).length + (role === 'client' ? refused : 0)}`,
      `requests as ${role}: ${ends(used).length}`,
    ];
  });
}

const COLLECTOR: Source = {
  command: '',
  args: ['-q', '-x', '-r', '-t', '-i', '-e', '--interval', '600'],
  flags: {
    ...COMMON,
    ...FAMILY,
    ...EITHER,
    ...PID,
    comm: '--comm',
    'local address': '--saddr',
    'peer address': '--daddr',
    'local port': '-s',
    'peer port': '-d',
  },
  found: collectorFound,
  facts: collectorFacts,
  sums: collectorSums,
  once: true,
};

export const SOURCES: readonly Source[] = [
  COLLECTOR,
  INSIGHT,
  ...LIFE,
  ...TRAFFIC,
  REQUESTS,
  ...LOSS,
  ...SOCKETS,
];

/** Commands that take the common options, and why no connection is theirs to choose. */
export const WITHOUT_CONNECTIONS: Readonly<Record<string, string>> = {
  netqtop: 'counts what queues of a device carry: a packet there belongs to no process yet',
  nic_throughput: 'counts what a device carries',
  softirqs: 'times interrupts, which belong to a CPU',
};

/** Options whose effect the traffic does not tell, and which the command's own test has. */
export const UNKNOWN_COUNTS: Readonly<Record<string, readonly string[]>> = {
  // segments of some processes of an address
  tcprtt: ['--pid'],
};

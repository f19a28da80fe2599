/**
 * The state file without a kernel: totals of the kernel's maps and the connections of now, as the
 * lines that stand in netwatch.prom.
 */
import t from 'tap';
import { ClosedListeners } from '../src/collector/closed-listeners.js';
import { addConnections, busiest } from '../src/collector/state/each-connection.js';
import { addFaults } from '../src/collector/state/faults.js';
import { addFiles } from '../src/collector/state/files.js';
import { addHttp } from '../src/collector/state/http.js';
import { addLayers } from '../src/collector/state/packets.js';
import { addMaps, addPrograms, addRings } from '../src/collector/state/programs.js';
import { addListeners } from '../src/collector/state/listeners.js';
import { addSockets } from '../src/collector/state/sockets.js';
import {
  addConnectionTotals,
  addRetransmits,
  NeverFalling,
  sumLive,
} from '../src/collector/state/totals.js';
import {
  CONNECTION_TOTALS,
  decodeConnectionTotals,
  type ConnectionTotals,
} from '../src/generated/connection.js';
import { decodeLayerTotals, LAYER_TOTALS } from '../src/generated/packet.js';
import { Snapshot } from '../src/metrics/snapshot.js';
import { at, collectorTable, entriesOf, info, LISTENER, SOCKET } from './fixtures/collector.js';
import { parseExposition } from './support/parse.js';

/** The lines of a family in the state file, which has to be a valid one. */
function stateLines(fill: (snapshot: Snapshot) => void, ...families: string[]): string[] {
  const snapshot = new Snapshot();
  fill(snapshot);
  const text = snapshot.text().toString();
  const { issues } = parseExposition(text);
  if (issues.length > 0) throw new Error(JSON.stringify(issues));
  return text
    .split('\n')
    .filter((line) =>
      families.some((name) => new RegExp(`^${name}(_bucket|_sum|_count)?[{ ]`).test(line)),
    );
}

/** Connection totals with these 64-bit words; all others are 0. */
function totals(words: Record<number, number>): ConnectionTotals {
  const view = new DataView(new ArrayBuffer(CONNECTION_TOTALS.size));
  for (const [at, count] of Object.entries(words))
    view.setBigUint64(Number(at) * 8, BigInt(count), true);
  return decodeConnectionTotals(view, 0);
}

const NOTHING = { bytesSent: 0, bytesReceived: 0, segsIn: 0, segsOut: 0 };

function totalLines(
  words: Record<number, number>,
  live = NOTHING,
  ...families: string[]
): string[] {
  const counters = new NeverFalling();
  return stateLines(
    (snapshot) => addConnectionTotals(snapshot, totals(words), live, counters),
    ...families,
  );
}

t.test('connections are counted by role and by how opening them ended', (t) => {
  const words = Object.fromEntries(Array.from({ length: 16 }, (_, i) => [i, 100 + i]));
  const family = 'netwatch_tcp_connections_total';
  const line = (role: string, error: string, count: number): string =>
    `${family}{network_tcp_handshake_role="${role}"${error && `,error_type="${error}"`}} ${count}`;
  const errors = [
    ...['', 'refused', 'reset', 'timed_out', 'host_unreachable', 'net_unreachable', '_OTHER'],
    'closed',
  ];
  t.strictSame(totalLines(words, NOTHING, family), [
    ...errors.map((error, i) => line('client', error, 100 + i)),
    ...errors.map((error, i) => line('server', error, 108 + i)),
  ]);
  t.equal(totalLines({}, NOTHING, family).length, 16, 'present before the first connection');
  t.end();
});

t.test('kernel histograms fold into the buckets of their family without a loss', (t) => {
  // Slots 0, 8, 9, 176, 177 and 257 of the server's handshakes, and their sum.
  const first = 279;
  const slots = { 0: 1, 8: 2, 9: 3, 176: 4, 177: 5, 257: 6, 258: 1_500_000_001 };
  const words = Object.fromEntries(
    Object.entries(slots).map(([slot, count]) => [first + Number(slot), count]),
  );
  const family = 'netwatch_tcp_handshake_duration_seconds';
  const lines = totalLines(words, NOTHING, family).filter((line) => line.includes('server'));
  const bucket = (le: string, count: number): string =>
    `${family}_bucket{network_tcp_handshake_role="server",le="${le}"} ${count}`;
  t.equal(lines.length, 178 + 2);
  t.strictSame(lines.slice(0, 1), [bucket('1.6384e-05', 1)]);
  t.strictSame(lines.slice(8, 10), [bucket('3.2768e-05', 3), bucket('3.5733e-05', 6)]);
  t.strictSame(lines.slice(-5), [
    bucket('63.016038013', 6),
    bucket('68.719476736', 10),
    bucket('+Inf', 21),
    `${family}_sum{network_tcp_handshake_role="server"} 1.500000001`,
    `${family}_count{network_tcp_handshake_role="server"} 21`,
  ]);
  t.end();
});

t.test('every histogram of connections comes from its own place', (t) => {
  const places: Record<number, string> = {
    20: 'netwatch_tcp_handshake_duration_seconds_count{network_tcp_handshake_role="client"}',
    279: 'netwatch_tcp_handshake_duration_seconds_count{network_tcp_handshake_role="server"}',
    538: 'netwatch_tcp_connection_duration_seconds_count{network_tcp_handshake_role="client"}',
    797: 'netwatch_tcp_connection_duration_seconds_count{network_tcp_handshake_role="server"}',
  };
  for (const [i, name] of [
    ...([
      [1, 'established'],
      [2, 'syn_sent'],
      [3, 'syn_received'],
      [4, 'fin_wait_1'],
    ] as const),
    ...([
      [5, 'fin_wait_2'],
      [6, 'time_wait'],
      [8, 'close_wait'],
      [9, 'last_ack'],
    ] as const),
    ...([[11, 'closing']] as const),
  ])
    places[1251 + i * 41] =
      `netwatch_tcp_state_duration_seconds_count{network_connection_state="${name}"}`;
  for (const [word, name] of Object.entries(places)) {
    const counts = totalLines({ [word]: 3 }, NOTHING, 'netwatch_tcp_.*').filter((line) =>
      /_count[{ ]/.test(line),
    );
    t.equal(counts.length, 15);
    t.strictSame(
      counts.filter((line) => !line.endsWith(' 0')),
      [`${name} 3`],
    );
  }
  const ofRtt = totalLines({ 1056: 3 }, NOTHING, 'netwatch_tcp_.*_count');
  t.strictSame(
    ofRtt.filter((line) => !line.endsWith(' 0')),
    ['netwatch_tcp_rtt_seconds_count 3', 'netwatch_tcp_rtt_fine_seconds_count 3'],
    'once in wide and once in narrow buckets',
  );
  t.end();
});

t.test('bytes and segments are those of closed and of open connections, and never fall', (t) => {
  const counters = new NeverFalling();
  const lines = (closed: number, live: number): string[] =>
    stateLines(
      (snapshot) => {
        const words = { 16: closed, 17: closed + 1, 18: closed + 2, 19: closed + 3 };
        const sums = { bytesSent: live, bytesReceived: live, segsIn: live, segsOut: live };
        addConnectionTotals(snapshot, totals(words), sums, counters);
      },
      'netwatch_tcp_io_bytes_total',
      'netwatch_tcp_segments_total',
    ).map((line) => line.replace('network_io_direction', 'd'));
  t.strictSame(lines(100, 1000), [
    'netwatch_tcp_io_bytes_total{d="receive"} 1101',
    'netwatch_tcp_io_bytes_total{d="transmit"} 1100',
    'netwatch_tcp_segments_total{d="receive"} 1102',
    'netwatch_tcp_segments_total{d="transmit"} 1103',
  ]);
  t.strictSame(lines(100, 10), lines(100, 1000), 'closed since, but not in the totals yet');
  t.match(lines(1100, 1)[0], / 1102$/);
  t.end();
});

t.test('the bytes of open connections are counted once each, listeners left out', (t) => {
  const traffic = { bytesSent: 1000, bytesRetrans: 100, bytesReceived: 7, segsIn: 3, segsOut: 4 };
  const entries = entriesOf(at(1, traffic), at(1, traffic), at(1, { ...LISTENER, ...traffic }));
  const sums = { bytesSent: 1800, bytesReceived: 14, segsIn: 6, segsOut: 8 };
  t.strictSame(sumLive(entries), sums);
  t.match(sumLive(entries, { received: 20, sent: 10 }), { segsIn: 26, segsOut: 18 }, 'TIME_WAIT');
  for (const closing of [8, 9, 11])
    t.equal(
      sumLive(entriesOf(at(1, { ...traffic, state: closing }))).bytesReceived,
      6,
      'a received FIN is no byte',
    );
  for (const half of [1, 4, 5])
    t.equal(sumLive(entriesOf(at(1, { ...traffic, state: half }))).bytesReceived, 7);
  const server = sumLive(entriesOf(at(1, { ...traffic, role: 2 })));
  t.equal(server.segsOut, 5, 'its SYN-ACK is in no socket');
  t.end();
});

t.test('retransmits are counted by cause', (t) => {
  const family = 'netwatch_tcp_retransmits_total';
  const lines = stateLines(
    (snapshot) =>
      addRetransmits(snapshot, { segments: [1, 2, 3, 4, 2 ** 53 - 1, 6, 7, 8], recovered: 0 }),
    family,
  );
  const counts = {
    ...{ fast: 1, timeout: 2, tail_loss_probe: 3, syn: 4, synack: '9007199254740991' },
    ...{ path_mtu: 6, fast_open: 7, zero_window: 8 },
  };
  const label = 'network_tcp_retransmit_type';
  t.strictSame(
    lines,
    Object.entries(counts).map(([type, count]) => `${family}{${label}="${type}"} ${count}`),
  );
  t.end();
});

t.test('layer times are histograms of what packets have had, up to fourteen', (t) => {
  const family = 'netwatch_packet_layer_duration_seconds';
  const names: string[] = [];
  for (const direction of ['receive', 'transmit'])
    for (const layer of ['mac', 'ip', 'tcp', 'reorder'])
      for (const type of ['ipv4', 'ipv6'])
        names.push(`layer="${layer}",network_io_direction="${direction}",network_type="${type}"`);
  for (const [i, name] of names.entries()) {
    // nothing that is sent waits for an earlier segment
    if (name.includes('reorder') && name.includes('transmit')) continue;
    const view = new DataView(new ArrayBuffer(LAYER_TOTALS.size));
    const slots = { 0: 1, 144: 2, 145: 3, 146: 125 };
    for (const [slot, count] of Object.entries(slots))
      view.setBigUint64((i * 147 + Number(slot)) * 8, BigInt(count), true);
    const lines = stateLines((snapshot) => addLayers(snapshot, decodeLayerTotals(view, 0)), family);
    t.equal(lines.length, 146 + 2);
    t.strictSame(
      lines.filter((line) => !line.endsWith(' 0')).filter((_, line) => line === 0 || line > 143),
      [
        `${family}_bucket{${name},le="6.4e-08"} 1`,
        `${family}_bucket{${name},le="0.016777216"} 3`,
        `${family}_bucket{${name},le="+Inf"} 6`,
        `${family}_sum{${name}} 0.000000125`,
        `${family}_count{${name}} 6`,
      ],
    );
  }
  t.end();
});

t.test('HTTP durations have the labels of OpenTelemetry', (t) => {
  const key = { status: 200, serverPort: 80, role: 2, method: 3, version: 1, outcome: 0 };
  const buckets = [1, ...Array.from({ length: 13 }, () => 0), 2];
  const none = { buckets: [], sum: 0 };
  const of = (changes: Partial<typeof key>) => ({
    key: { ...key, ...changes },
    duration: { buckets, sum: 12_000_000_001 },
    firstByte: none,
    requestBody: none,
    responseBody: none,
  });
  const names = (...durations: ReturnType<typeof of>[]): string[] =>
    stateLines(
      (snapshot) => addHttp(snapshot, durations),
      'http_(server|client)_request_duration_seconds_(count|sum)',
    );
  const labels = (
    method: string,
    status: number | '_OTHER' | null,
    version: string,
    port: number | '_OTHER',
    error = '',
  ): string =>
    `{http_request_method="${method}",` +
    (status === null ? '' : `http_response_status_code="${status}",`) +
    `url_scheme="http",` +
    `network_protocol_version="${version}",server_port="${port}"${error}}`;
  const server = 'http_server_request_duration_seconds';
  const client = 'http_client_request_duration_seconds';
  t.strictSame(names(of({})), [
    `${server}_sum${labels('GET', 200, '1.1', 80)} 12.000000001`,
    `${server}_count${labels('GET', 200, '1.1', 80)} 3`,
  ]);
  const counts = (...changes: Partial<typeof key>[]): string[] =>
    names(...changes.map(of)).filter((line) => line.includes('_count'));
  t.strictSame(counts({ status: 404 }), [`${server}_count${labels('GET', 404, '1.1', 80)} 3`]);
  t.strictSame(counts({ status: 503, version: 0, serverPort: 65_535, method: 7 }), [
    `${server}_count${labels('POST', 503, '1.0', 65_535, ',error_type="503"')} 3`,
  ]);
  t.strictSame(counts({ status: 404, role: 1 }), [
    `${client}_count${labels('GET', 404, '1.1', 80, ',error_type="404"')} 3`,
  ]);
  t.strictSame(
    counts({ method: 11 }, { method: 0 }, { method: 99 }),
    [`${server}_count${labels('_OTHER', 200, '1.1', 80)} 9`],
    'unknown methods are one series',
  );
  t.strictSame(counts({ status: 0, outcome: 1 }), [
    `${server}_count${labels('GET', null, '1.1', 80, ',error_type="reset"')} 3`,
  ]);
  t.strictSame(counts({ outcome: 4, role: 1, status: 404 }), [
    `${client}_count${labels('GET', 404, '1.1', 80, ',error_type="truncated"')} 3`,
  ]);
  t.strictSame(counts({ status: 1023, serverPort: 0 }), [
    `${server}_count${labels('GET', '_OTHER', '1.1', '_OTHER', ',error_type="_OTHER"')} 3`,
  ]);
  t.end();
});

t.test('drops, resets and bad segments are counted by the reason of the kernel', (t) => {
  const fault = { kind: 'drop', family: 4, received: true, count: 5 } as const;
  const lines = stateLines(
    (snapshot) =>
      addFaults(snapshot, [
        { ...fault, reason: 'TCP_INVALID_SEQUENCE' },
        { ...fault, reason: 'TCP_INVALID_SEQUENCE', family: 6, count: 7 },
        { ...fault, reason: 'TCP_CSUM' },
        { ...fault, reason: 'TCP_RFC7323_PAWS' },
        { ...fault, reason: 'NO_SOCKET' },
        { ...fault, kind: 'reset', reason: 'NO_SOCKET' },
        { ...fault, kind: 'reset', reason: 'NO_SOCKET', family: 6 },
        { ...fault, kind: 'reset', reason: 'TCP_STATE', received: false },
      ]),
    'netwatch_.*',
  );
  t.strictSame(lines, [
    'netwatch_tcp_resets_total{network_io_direction="receive",reason="NO_SOCKET"} 10',
    'netwatch_tcp_resets_total{network_io_direction="transmit",reason="TCP_STATE"} 5',
    'netwatch_tcp_errors_total{reason="TCP_INVALID_SEQUENCE"} 12',
    'netwatch_tcp_errors_total{reason="TCP_CSUM"} 5',
    'netwatch_tcp_errors_total{reason="TCP_RFC7323_PAWS"} 5',
    'netwatch_skb_drops_total{reason="TCP_INVALID_SEQUENCE",network_type="ipv4"} 5',
    'netwatch_skb_drops_total{reason="TCP_INVALID_SEQUENCE",network_type="ipv6"} 7',
    'netwatch_skb_drops_total{reason="TCP_CSUM",network_type="ipv4"} 5',
    'netwatch_skb_drops_total{reason="TCP_RFC7323_PAWS",network_type="ipv4"} 5',
    'netwatch_skb_drops_total{reason="NO_SOCKET",network_type="ipv4"} 5',
  ]);
  t.end();
});

t.test('sockets are counted by state, and listeners show their accept queues', (t) => {
  const entries = entriesOf(
    ...[at(1), at(1), at(1, { state: 12 })],
    at(1, { ...LISTENER, overflows: 3 }),
  );
  const lines = stateLines((snapshot) => {
    addSockets(snapshot, entries);
    addListeners(snapshot, entries, { overflows: new ClosedListeners() });
  }, 'netwatch_.*');
  const listener =
    '{network_local_address="10.77.0.1",network_local_port="40000",netns="4026531992",sock="ffff881234567b80",pid="4711",process="curl"}';
  t.strictSame(lines, [
    'netwatch_tcp_sockets{network_connection_state="established"} 2',
    'netwatch_tcp_sockets{network_connection_state="syn_received"} 1',
    'netwatch_tcp_sockets{network_connection_state="listen"} 1',
    `netwatch_tcp_accept_queue_length${listener} 2`,
    `netwatch_tcp_accept_queue_limit${listener} 511`,
    `netwatch_tcp_accept_queue_overflows_total${listener} 3`,
  ]);
  t.end();
});

t.test('listeners that share an address show their accept queues each for itself', (t) => {
  // SO_REUSEPORT, or the same port in several network namespaces.
  const entries = entriesOf(
    at(1, LISTENER),
    at(1, { ...LISTENER, backlog: 500, sock: 64 }),
    at(1, { ...LISTENER, backlog: 7, netns: 2, ownerSource: 0 }),
  );
  const lines = stateLines((snapshot) => {
    addListeners(snapshot, entries, { overflows: null });
  }, 'netwatch_tcp_accept_queue_.*');
  t.strictSame(
    lines.map((line) => line.replace(/\{.*netns=/, ' ').replace(/ "(.*)",sock=.*pid=/, ' $1 ')),
    [
      'netwatch_tcp_accept_queue_length 4026531992 "4711",process="curl"} 2',
      'netwatch_tcp_accept_queue_length 4026531992 "4711",process="curl"} 500',
      'netwatch_tcp_accept_queue_length 2 "-",process="-"} 7',
      'netwatch_tcp_accept_queue_limit 4026531992 "4711",process="curl"} 511',
      'netwatch_tcp_accept_queue_limit 4026531992 "4711",process="curl"} 511',
      'netwatch_tcp_accept_queue_limit 2 "-",process="-"} 511',
    ],
  );
  t.end();
});

t.test('a listener that has closed keeps its last count for five minutes', (t) => {
  let nowMs = 0;
  const closed = new ClosedListeners(() => nowMs);
  const overflowed = (overflows: number, sock: number): ReturnType<typeof at> =>
    at(1, { ...LISTENER, overflows, sock });
  const counts = (...present: readonly ReturnType<typeof at>[]): string[] =>
    stateLines((snapshot) => {
      addListeners(snapshot, entriesOf(...present), { overflows: closed });
    }, 'netwatch_tcp_accept_queue_overflows_total').map((line) =>
      line.replace(/.*sock="f*0*(\w+)".* (\d+)$/, '$1 $2'),
    );
  const close = (listener: ReturnType<typeof at>): void =>
    closed.add({ last: listener, names: null });
  close(overflowed(0, 1));
  close(overflowed(45, 2));
  t.strictSame(counts(overflowed(3, 3)), ['3 3', '2 45'], 'none of one that had no overflow');
  nowMs += 299_000;
  t.strictSame(counts(overflowed(4, 2)), ['2 49'], 'a series goes on that is there again');
  nowMs += 299_000;
  t.strictSame(counts(), ['2 45']);
  close(overflowed(4, 2));
  t.strictSame(counts(), ['2 49']);
  nowMs += 300_001;
  t.strictSame(counts(), []);
  for (let sock = 1; sock <= 1025; sock++) close(overflowed(1, sock));
  const kept = counts();
  t.equal(kept.length, 1024);
  t.notOk(kept.includes('1 1'), 'the oldest has made room');
  t.end();
});

t.test('the busiest connections are shown, among equals the newest, the rest is counted', (t) => {
  const { table: connections } = collectorTable();
  const sample = (sock: number, bytes: number, openNs: number | null): void => {
    const half = { bytesAcked: bytes / 2, bytesReceived: bytes / 2 };
    connections.sampled(at(1, { sock, openNs, ...half }));
  };
  sample(4, 100, null);
  sample(1, 5000, 1);
  sample(2, 100, 2);
  sample(3, 100, 3);
  connections.sampled(at(1, { sock: 5, ...LISTENER }));
  sample(1, 5010, 1);
  sample(2, 1000, 2);
  const shown = (most: number): [socks: number[], left: number] => {
    const [entries, left] = busiest(connections.entries.values(), most);
    return [entries.map(({ last }) => last.sock), left];
  };
  t.strictSame(shown(3), [[2, 3, 4], 1], 'what counts is the traffic since the last look');
  t.strictSame(shown(1), [[2], 3]);
  t.strictSame(shown(4), [[4, 1, 2, 3], 0]);
  t.end();
});

t.test(
  'single connections have their gauges in the state file, without those of listeners',
  (t) => {
    const lines = (extra: boolean, retrans: boolean): string[] =>
      stateLines(
        (snapshot) =>
          addConnections(snapshot, entriesOf(at(3.5, { comm: 'a"\n' })), {
            extra,
            retrans,
          }),
        'netwatch_connection_.*',
      );
    const named = info(0, '4711', 'a\\"\\n', '0').replace(/ 0$/, '');
    t.strictSame(lines(false, true), [
      named,
      `netwatch_connection_fast_retransmits_total{${SOCKET}} 0`,
      `netwatch_connection_timeout_retransmits_total{${SOCKET}} 0`,
    ]);
    const all = lines(true, false);
    t.equal(all.length, 3 + 21 + 17 + 1);
    t.equal(all[0], named);
    t.equal(
      all[1],
      `netwatch_connection_state_info{${SOCKET},network_connection_state="established"} 1`,
    );
    t.equal(
      all[2],
      `netwatch_connection_congestion_info{${SOCKET},algorithm="cubic",state="open"} 1`,
    );
    t.ok(all.includes(`netwatch_connection_srtt_seconds{${SOCKET}} 0.000068`));
    t.ok(all.includes(`netwatch_connection_duration_seconds{${SOCKET}} 2.5`));
    t.ok(all.includes(`netwatch_connection_rto_seconds{${SOCKET}} 0.204`));
    t.notMatch(all.join('\n'), /backlog/);
    t.end();
  },
);

t.test('netwatch reports its programs, its rings and its files', (t) => {
  const program = {
    source: 'packet',
    attachType: 'tp_btf',
    info: () => null,
    reason: null,
    fix: null,
  };
  const lines = stateLines((snapshot) => {
    addPrograms(snapshot, [
      { state: { ...program, program: 'a', attached: true }, info: null },
      { state: { ...program, source: 'fault', program: 'a', attached: true }, info: null },
      {
        state: { ...program, program: 'b', attached: false },
        info: { runTimeNs: 1_500_000_000, runCount: 3, recursionMisses: 2 },
      },
    ]);
    const ring = { source: 'packet', usedBytes: 96, capacityBytes: 4096 };
    addRings(snapshot, [{ ...ring, counts: { accepted: 9, lost: 1, lostHttp: 0 } }], null);
    addMaps(snapshot, [{ map: 'http_durations', entries: 5, capacity: 4096 }]);
    const stats = { pending: 0, bytesWritten: 0, rotations: 0, down: false };
    const writeErrors = new Map([['ENOSPC', 4]]);
    const counts = { accepted: 12, written: 10, lost: 2, writeErrors };
    addFiles(snapshot, new Map([['packets.log', { ...stats, ...counts }]]));
  }, 'netwatch_.*').map((line) => line.replace('netwatch_', ''));
  t.strictSame(lines, [
    'events_total{source="packet"} 9',
    'events_lost_total{source="packet",stage="recursion"} 2',
    'events_lost_total{source="packet",stage="ringbuf"} 1',
    'events_lost_total{source="packets.log",stage="file"} 2',
    'records_accepted_total{file="packets.log"} 12',
    'records_written_total{file="packets.log"} 10',
    'file_write_errors_total{file="packets.log",errno="ENOSPC"} 4',
    'bpf_program_attached{source="packet",program="a",attach_type="tp_btf"} 1',
    'bpf_program_attached{source="fault",program="a",attach_type="tp_btf"} 1',
    'bpf_program_attached{source="packet",program="b",attach_type="tp_btf"} 0',
    'bpf_program_run_time_seconds_total{source="packet",program="b"} 1.5',
    'bpf_program_run_count_total{source="packet",program="b"} 3',
    'map_entries{map="http_durations"} 5',
    'map_capacity{map="http_durations"} 4096',
    'ringbuf_used_bytes{source="packet"} 96',
    'ringbuf_capacity_bytes{source="packet"} 4096',
  ]);
  t.end();
});

/** Which values of a connection get a line in connects.log: not all, and none that matters is missing. */
import t from 'tap';
import type { Connection } from '../src/generated/connection.js';
import {
  at,
  CLOSED,
  collectorTable,
  congestionLine,
  info,
  LISTENER,
  stateLine,
  value,
  type TestTable,
} from './fixtures/collector.js';

const changes = (): TestTable =>
  collectorTable({ extra: true, retrans: true, connects: 'changes' });

/** A pull that shows the connection. */
function pull({ table, lines }: TestTable, connection: Connection): string[] {
  table.beginDump();
  table.sampled(connection);
  table.endDump();
  return lines();
}

t.test('a short connection has what the handshake brought, and what has moved since', (t) => {
  const { table, lines } = changes();
  table.opened(at(1, { bytesAcked: 1, counted: 1 }));
  t.strictSame(lines(), [
    info(1000, '4711', 'curl', '0'),
    value('rwnd_bytes', 65_535, 1000),
    value('cwnd_segments', 10, 1000),
    value('srtt_seconds', '0.000068', 1000),
  ]);
  table.closed(
    at(1.5, {
      ...CLOSED,
      ...{ bytesAcked: 90, bytesReceived: 200, delivered: 3, totalRetrans: 1, counted: 1 | 2 | 4 },
      ...{ bytesSent: 99, bytesRetrans: 11, segsIn: 9, segsOut: 9, busyNs: 5e8 },
      ...{ retransmits: [1, 0], srttUs: 75 << 3, cwnd: 12, sndbuf: 90_000 },
    }),
  );
  t.strictSame(
    lines(),
    [
      stateLine('closed', 1, 1500),
      value('cwnd_segments', 12, 1500),
      value('acked_bytes_total', 90, 1500),
      value('received_bytes_total', 200, 1500),
      value('srtt_seconds', '0.000075', 1500),
      value('retransmits_total', 1, 1500),
      value('delivered_segments_total', 3, 1500),
      value('fast_retransmits_total', 1, 1500),
      value('sent_payload_bytes_total', 88, 1500),
      value('received_payload_bytes_total', 199, 1500),
      value('duration_seconds', '0.5', 1500),
    ],
    'the send buffer moved by 3 %, and how an open one is doing no pull has seen',
  );
  t.end();
});

t.test('a SYN that was sent again is told when the connection opens', (t) => {
  const { table, lines } = changes();
  table.opened(at(1, { totalRetrans: 2 }));
  t.equal(lines().at(-1), value('retransmits_total', 2, 1000));
  t.end();
});

t.test('the first pull tells all that is not 0, later ones what moved by over 10 %', (t) => {
  const connections = changes();
  connections.table.opened(at(1));
  connections.lines();
  t.strictSame(pull(connections, at(2)), [
    stateLine('established', 1, 2000),
    congestionLine('open', 1, 2000),
    value('max_backlog', 128, 2000),
    value('sndbuf_bytes', 87_040, 2000),
    value('rcvbuf_bytes', 131_072, 2000),
    value('mdev_seconds', '0.000034', 2000),
    value('rttvar_seconds', '0.00005', 2000),
    value('min_rtt_seconds', '0.00006', 2000),
    value('reordering_segments', 3, 2000),
    value('delivered_segments_total', 1, 2000),
    value('pacing_rate_bytes_per_second', 12_500, 2000),
    value('sent_segments_total', 2, 2000),
    value('received_segments_total', 1, 2000),
    value('mss_bytes', 1448, 2000),
    value('rto_seconds', '0.204', 2000),
    value('snd_wnd_bytes', 64_256, 2000),
  ]);
  const more = { bytesAcked: 1000, packetsOut: 2, unacked: 2896 };
  t.strictSame(pull(connections, at(3, more)), [
    value('acked_bytes_total', 1000, 3000),
    value('packets_out_segments', 2, 3000),
    value('unacked_bytes', 2896, 3000),
    value('in_flight_bytes', 2896, 3000),
    value('sent_payload_bytes_total', 1000, 3000),
  ]);
  const at10 = { ...more, bytesAcked: 1100, cwnd: 11, srttUs: 74 << 3, rcvbuf: 144_179 };
  t.strictSame(pull(connections, at(4, at10)), [], '10 % is not more than 10 %');
  const over = { ...more, bytesAcked: 1101, cwnd: 9, packetsOut: 0, srttUs: 75 << 3, caState: 4 };
  t.strictSame(pull(connections, at(5, over)), [
    congestionLine('open', 0, 5000),
    congestionLine('loss', 1, 5000),
    value('acked_bytes_total', 1101, 5000),
    value('srtt_seconds', '0.000075', 5000),
    value('packets_out_segments', 0, 5000),
    value('in_flight_bytes', 0, 5000),
    value('sent_payload_bytes_total', 1101, 5000),
  ]);
  t.end();
});

t.test('small moves add up, from the last line and not from the last look', (t) => {
  const connections = changes();
  connections.table.opened(at(1));
  pull(connections, at(2));
  const moved = [10, 10.5, 11, 11.5, 12].map((cwnd) =>
    pull(connections, at(cwnd, { cwnd: Math.floor(cwnd) })),
  );
  t.strictSame(moved, [[], [], [], [], [value('cwnd_segments', 12, 12_000)]]);
  t.end();
});

t.test('at close each total is exact, however little it moved', (t) => {
  const connections = changes();
  connections.table.opened(at(1));
  const big = { bytesAcked: 1e9, bytesReceived: 1e6, cwnd: 100, segsIn: 1e6 };
  pull(connections, at(2, big));
  connections.table.closed(
    at(3, { ...CLOSED, ...big, bytesAcked: 1e9 + 1, cwnd: 101, segsIn: 1e6 + 1 }),
  );
  t.strictSame(connections.lines(), [
    stateLine('established', 0, 3000),
    stateLine('closed', 1, 3000),
    value('acked_bytes_total', 1_000_000_001, 3000),
    value('sent_payload_bytes_total', 1_000_000_001, 3000),
    value('received_segments_total', 1_000_001, 3000),
    value('duration_seconds', '2', 3000),
  ]);
  t.end();
});

t.test('a connection older than netwatch tells all that is not 0, also if it only closes', (t) => {
  const [seen, closing] = [changes(), changes()];
  const names = (lines: readonly string[]): string[] =>
    lines.map((line) => /^netwatch_connection_([a-z_]+)/.exec(line)?.[1] ?? line);
  const older = { openNs: null, bytesAcked: 7 };
  const inPull = names(pull(seen, at(2, older)));
  closing.table.closed(at(2, { ...CLOSED, ...older }));
  t.equal(inPull.length, 3 + 13 + 6);
  t.ok(inPull.includes('acked_bytes_total'));
  t.notOk(inPull.includes('received_bytes_total'), 'it is 0');
  t.strictSame(names(closing.lines()), inPull);
  t.end();
});

t.test('the queue of a listening socket is told while it is not empty, and once it is', (t) => {
  const connections = changes();
  const backlog = (seconds: number, length: number): string[] =>
    pull(connections, at(seconds, { ...LISTENER, backlog: length }))
      .filter((line) => /_backlog\{/.test(line))
      .map((line) => line.replace(/^netwatch_connection_(\w+)\{.*\} /, '$1 '));
  t.strictSame(backlog(1, 0), ['max_backlog 511 1000']);
  t.strictSame(backlog(2, 3), ['backlog 3 2000']);
  t.strictSame(backlog(3, 0), ['backlog 0 3000']);
  t.end();
});

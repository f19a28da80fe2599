/** The closing summary: what the numbers of netwatch.prom and the last connections say in words. */
import t from 'tap';
import type { Summary } from '../src/collector/collector.js';
import { losses } from '../src/collector/losses.js';
import { summaryLines } from '../src/collector/summary.js';
import { Overflows } from '../src/collector/overflows.js';
import { Traffic } from '../src/collector/traffic.js';
import { familyOf, type HistogramName } from '../src/metrics/families.js';
import { quantileBound } from '../src/metrics/histogram.js';
import { Snapshot } from '../src/metrics/snapshot.js';
import { readExchange } from '../src/sources/exchange.js';
import { ExchangeParts } from '../src/sources/exchange-parts.js';
import { RequestLines } from '../src/sources/request-lines.js';
import { CLOSED, collectorTable, at } from './fixtures/collector.js';
import { CONNECTION } from './fixtures/records.js';
import { CLIENT, exchangeRecord, headRecord } from './support/exchanges.js';

const EMPTY: Summary = {
  ...{ seconds: 61.26, packets: 0, connections: 0, faults: 0, lost: 0, open: [] },
  ...{ written: new Map([['connects.log', 0]]), state: new Snapshot(), traffic: new Traffic() },
  overflows: new Overflows(),
  stateErrors: new Map(),
  requests: { counts: new ExchangeParts(), slowest: [] },
};
const FIRST = '61.3 s: 0 packets, 0 connections closed, 0 drops and resets; 0 records lost';
const FILES = 'lines written: 0 in connects.log';

/** Counts in the buckets of a family, by their place. */
function counts(name: HistogramName, filled: Readonly<Record<number, number>>): number[] {
  return Array.from({ length: familyOf(name).buckets.length + 1 }, (_, i) => filled[i] ?? 0);
}

t.test('a run in which nothing happened is three lines', (t) => {
  t.strictSame(summaryLines(EMPTY, 0), [FIRST, FILES, 'nothing lost']);
  t.end();
});

t.test('packets are not counted in words where not all of them are told', (t) => {
  const [first] = summaryLines({ ...EMPTY, packets: null }, 0);
  t.equal(first, '61.3 s: 0 connections closed, 0 drops and resets; 0 records lost');
  t.end();
});

t.test('units and containers that moved the most are named, the rest is not', (t) => {
  const state = new Snapshot();
  const moved = (labels: { unit: string; container?: string }, count: number): void => {
    for (const network_io_direction of ['transmit', 'receive'] as const)
      state.add('netwatch_unit_io_bytes_total', { ...labels, network_io_direction }, count);
  };
  moved({ unit: '-' }, 9e9);
  moved({ unit: 'other' }, 9e9);
  moved({ unit: '-', container: '4f3c2b1a0d9e' }, 1000);
  moved({ unit: 'nginx.service' }, 600_000);
  moved({ unit: 'idle.service' }, 0);
  t.ok(
    summaryLines({ ...EMPTY, state }, 0).includes(
      'busiest units: nginx.service 1.2 MB, 4f3c2b1a0d9e 2 kB',
    ),
  );
  t.end();
});

t.test('a run in which everything happened has a line for each subject', (t) => {
  const state = new Snapshot();
  const connections = (
    network_tcp_handshake_role: 'client' | 'server',
    error_type: string,
    count: number,
  ): void => {
    state.add('netwatch_tcp_connections_total', { network_tcp_handshake_role, error_type }, count);
  };
  connections('client', '', 7);
  connections('server', '', 9);
  connections('client', 'refused', 2);
  connections('client', 'timed_out', 3);
  connections('server', 'timed_out', 1);
  connections('client', '_OTHER', 1);
  connections('client', 'reset', 0);
  const rtt = 'netwatch_tcp_rtt_fine_seconds';
  const { buckets } = familyOf(rtt);
  const under = (seconds: number): number => buckets.findIndex((bound) => seconds <= bound);
  const rtts = { [under(0.00006)]: 90, [under(0.001)]: 9, [buckets.length]: 1 };
  state.histogram(rtt, {}, counts(rtt, rtts), 1);
  const served = 'http_server_request_duration_seconds';
  for (const [status, filled] of [
    [200, { 0: 95 }],
    [404, { 3: 4 }],
    [503, { 14: 1 }],
  ] as const)
    state.histogram(
      served,
      {
        ...{ http_request_method: 'GET', http_response_status_code: status, url_scheme: 'http' },
        ...{ network_protocol_version: '1.1', server_port: 80 },
      },
      counts(served, filled),
      1,
    );
  const retransmits = 'netwatch_tcp_retransmits_total';
  state.add(retransmits, { network_tcp_retransmit_type: 'fast' }, 4);
  state.add(retransmits, { network_tcp_retransmit_type: 'tail_loss_probe' }, 5);
  state.add(retransmits, { network_tcp_retransmit_type: 'syn' }, 0);
  state.add('netwatch_tcp_segments_total', { network_io_direction: 'transmit' }, 2000);
  state.add('netwatch_tcp_segments_total', { network_io_direction: 'receive' }, 1000);
  for (const network_type of ['ipv4', 'ipv6'] as const)
    state.add('netwatch_skb_drops_total', { reason: 'NO_SOCKET', network_type }, 3);
  const resets = 'netwatch_tcp_resets_total';
  state.add(resets, { network_io_direction: 'transmit', reason: 'NO_SOCKET' }, 5);
  state.add(resets, { network_io_direction: 'receive', reason: '-' }, 2);
  const traffic = new Traffic();
  traffic.add({ ...CONNECTION, comm: 'curl\x1b[2J', peerAddr: '10.0.0.1' }, 999);
  traffic.add({ ...CONNECTION, comm: 'nginx', peerAddr: '10.0.0.2' }, 1_234_567);
  traffic.add({ ...CONNECTION, comm: 'nginx', peerAddr: '10.0.0.1' }, 1);
  traffic.add({ ...CONNECTION, ownerSource: 0, peerAddr: '10.0.0.1' }, 2e9);
  const open = [
    { ...CONNECTION, state: 8 },
    { ...CONNECTION, state: 8, comm: 'java', pid: 5 },
    { ...CONNECTION, state: 8, comm: 'java', pid: 5 },
    { ...CONNECTION, state: 1 },
  ];
  t.strictSame(summaryLines({ ...EMPTY, state, traffic, open }, 0), [
    FIRST,
    'connections: 16 opened (9 as server, 7 as client); 7 failed (4 timed out, 2 refused, 1 for other reasons)',
    'round trips: p50 ≤ 64 us, p95 ≤ 1.02 ms, p99 ≤ 1.02 ms (100 closed connections)',
    'requests served: 100, p50 ≤ 5 ms, p95 ≤ 5 ms, p99 ≤ 50 ms; 4 with 404, 1 with 503',
    'retransmits: 9 of 2000 segments sent (0.45 %): 5 tail loss probe, 4 fast',
    'drops and resets: 6 dropped NO_SOCKET, 5 resets sent NO_SOCKET, 2 resets received',
    'busiest processes: - 2 GB, nginx 1.23 MB, curl\ufffd[2J 999 B',
    'busiest peers: 10.0.0.1 2 GB, 10.0.0.2 1.23 MB',
    'left in CLOSE_WAIT: 2 of java (pid 5), 1 of curl (pid 4711)',
    FILES,
    'nothing lost',
  ]);
  t.end();
});

t.test('with -r a run without retransmits says so', (t) => {
  const state = new Snapshot();
  const type = { network_tcp_retransmit_type: 'fast' } as const;
  state.add('netwatch_tcp_retransmits_total', type, 0);
  state.add('netwatch_tcp_segments_total', { network_io_direction: 'transmit' }, 12);
  t.equal(summaryLines({ ...EMPTY, state }, 0)[1], 'retransmits: none of 12 segments sent');
  t.end();
});

t.test('every loss that netwatch.prom tells is named with its number', (t) => {
  const state = new Snapshot();
  const lost = (
    source: string,
    stage: 'ringbuf' | 'recursion' | 'socket_memory' | 'map_full' | 'queue' | 'file' | 'decode',
    count: number,
  ): void => {
    state.add('netwatch_events_lost_total', { source, stage }, count);
  };
  lost('packet', 'ringbuf', 11);
  lost('connection', 'ringbuf', 0);
  lost('packet', 'recursion', 12);
  lost('http', 'map_full', 13);
  lost('packet', 'socket_memory', 17);
  lost('packets.log', 'file', 14);
  lost('connects.ndjson', 'file', 15);
  lost('packet', 'decode', 16);
  lost('stdout', 'queue', 18);
  const errors = 'netwatch_file_write_errors_total';
  // the last failed write cannot be in the file
  state.add(errors, { file: 'netwatch.prom', errno: 'ENOSPC' }, 1);
  const stateErrors = new Map([['ENOSPC', 2]]);
  state.add(errors, { file: 'packets.log', errno: 'ENOSPC' }, 3);
  state.add('netwatch_series_dropped_total', { family: 'netwatch_connection_info' }, 19);
  const named = [
    '11 packet records (ring buffer)',
    '12 runs of packet programs (they interrupted themselves)',
    '13 durations of http (table full)',
    '17 notes of packet in sockets (no memory left in them)',
    '14 lines of packets.log',
    '15 lines of connects.ndjson',
    '16 packet records (a bug kept them from becoming lines)',
    '2 writes of netwatch.prom (ENOSPC)',
    '19 series left out of netwatch.prom (their families were full)',
  ];
  t.strictSame(losses(state, stateErrors), named);
  t.strictSame(summaryLines({ ...EMPTY, state, stateErrors, lost: 11 }, 20), [
    FIRST.replace('0 records lost', '11 records lost'),
    FILES,
    `lost: ${named.join(', ')}`,
    '20 rows not shown: the reader was too slow',
  ]);
  t.strictSame(summaryLines(EMPTY, 20).slice(2), ['20 rows not shown: the reader was too slow']);
  t.strictSame(summaryLines(EMPTY, 0, 3).slice(2), [
    '3 status lines not shown: the terminal took nothing',
    'nothing lost',
  ]);
  t.end();
});

t.test('bytes count from when netwatch saw a connection, once, also while it is open', (t) => {
  const { table } = collectorTable();
  const moved = (bytesSent: number, bytesReceived: number) => ({ bytesSent, bytesReceived });
  table.opened(at(1));
  table.closed(at(2, { ...CLOSED, ...moved(100, 20), bytesRetrans: 10 }));
  table.sampled(at(3, { openNs: null, ...moved(1e6, 1e6) }));
  table.sampled(at(4, { openNs: null, ...moved(1e6 + 5, 1e6) }));
  table.addTraffic();
  table.addTraffic();
  t.strictSame(table.traffic.processes.largest(5), [['curl', 115]]);
  t.strictSame(table.traffic.peers.largest(5), [['10.77.0.2', 115]]);
  t.end();
});

t.test('of many names the largest stay', (t) => {
  const traffic = new Traffic();
  for (let i = 0; i < 70_000; i++)
    traffic.add({ ...CONNECTION, peerAddr: `peer ${i}` }, i === 3 ? 1e9 : 1 + (i % 7));
  traffic.add({ ...CONNECTION, peerAddr: 'peer 3' }, 1);
  t.strictSame(traffic.peers.largest(1), [['peer 3', 1e9 + 1]]);
  t.end();
});

t.test('a quantile is no more than the bound of its bucket', (t) => {
  const bounds = [1, 2, 4];
  t.equal(quantileBound(0.5, [0, 0, 0, 0], bounds), null);
  t.equal(quantileBound(0.5, [1, 1, 0, 0], bounds), 1);
  t.equal(quantileBound(0.51, [1, 1, 0, 0], bounds), 2);
  t.equal(quantileBound(0.99, [98, 0, 0, 2], bounds), Infinity);
  t.end();
});

t.test('requests are told with true quantiles, the part that dominates and the slowest', (t) => {
  const state = new Snapshot();
  const served = 'http_server_request_duration_seconds';
  const labels = {
    http_request_method: 'GET',
    http_response_status_code: 200,
    url_scheme: 'http',
    network_protocol_version: '1.1',
    server_port: 80,
  } as const;
  state.histogram(served, labels, counts(served, { 0: 99, 7: 1 }), 1);
  state.histogram('http_client_request_duration_seconds', labels, counts(served, { 0: 1 }), 1);
  const parts = new ExchangeParts();
  for (let i = 1; i < 100; i++) parts.add(exchangeRecord({ durationNs: 1000 * i }), 0);
  const slow = exchangeRecord({
    durationNs: 300_000_000,
    partNs: [0, 0, 0, 290_000_000, 0, 10_000_000],
  });
  parts.add(slow, 0);
  const reset = { role: CLIENT, durationNs: 2_000_000, partNs: [], pid: 0, status: 0, outcome: 1 };
  parts.add(exchangeRecord(reset), 0);
  const lines = new RequestLines();
  lines.add(headRecord({ line: `GET /${'a b/'.repeat(30)} HTTP/1.1` }), 0);
  const slowest = [readExchange(slow, 0, lines), readExchange(exchangeRecord(reset), 0, lines)];
  const said = summaryLines({ ...EMPTY, state, requests: { counts: parts, slowest } }, 0);
  t.strictSame(said.slice(1, 4), [
    'requests served: 100, p50 49.7 us, p95 94.7 us, p99 100 us; mostly application (97 %)',
    'requests made: 1, p50 2 ms, p95 2 ms, p99 2 ms',
    `slowest requests: 300 ms GET /${'a b/'.repeat(13)}a … 200 (server of nginx, application 290 ms); 2 ms GET reset (client)`,
  ]);
  t.end();
});

t.test('the slowest request names what lies inside its longest part and explains it', (t) => {
  const lost = { role: CLIENT, durationNs: 206_000_000, pid: 0, status: 200 };
  const partNs = [0, 0, 205_000_000, 1_000_000, 0];
  const told = (networkNs: number, waitRetransmitNs: number): string => {
    const record = exchangeRecord({ ...lost, partNs, inside: { networkNs, waitRetransmitNs } });
    const slowest = [readExchange(record, 0, new RequestLines())];
    const requests = { counts: new ExchangeParts(), slowest };
    return summaryLines({ ...EMPTY, requests }, 0)[1] ?? '';
  };
  const line = 'slowest requests: 206 ms GET 200 (client, remote 205 ms';
  t.equal(told(1_000_000, 201_000_000), `${line}, of which retransmit 201 ms)`);
  t.equal(told(20_000_000, 0), `${line})`, 'less than a tenth');
  t.end();
});

t.test('overflows are told by listener, of those that have closed too', (t) => {
  const overflows = new Overflows();
  const listener = { ...CONNECTION, localAddr: '::1', localPort: 80, state: 10, comm: 'web' };
  for (const [pid, count] of [
    [7, 2],
    [8, 5],
    [8, 4],
    [7, 1],
    [9, 0],
  ] as const)
    overflows.add({ ...listener, pid, overflows: count });
  overflows.add({ ...listener, pid: 0, ownerSource: 0, overflows: 1 });
  t.equal(
    summaryLines({ ...EMPTY, overflows }, 0)[1],
    'accept queue was full: 9 at [::1]:80 of web (pid 8), 3 at [::1]:80 of web (pid 7), 1 at [::1]:80 of nobody known',
  );
  t.end();
});

/** `netwatch requests` from records: rows, groups with their quantiles and shares, keys of the screen. */
import t from 'tap';
import { HTTP_OUTCOME, UNEXPLAINED } from '../src/generated/packet.js';
import { Quantiles } from '../src/metrics/quantiles.js';
import { readExchange, type Exchange, type Side } from '../src/sources/exchange.js';
import { RequestLines } from '../src/sources/request-lines.js';
import { formatter, jsonFields } from '../src/terminal/format.js';
import { keysIn } from '../src/terminal/screen.js';
import { exchangeColumns } from '../src/tools/requests/columns.js';
import {
  amountOf,
  fittingColumns,
  groupColumns,
  sharesText,
} from '../src/tools/requests/group-columns.js';
import { Groups } from '../src/tools/requests/groups.js';
import { CLIENT, exchangeRecord, headRecord, type ExchangeFields } from './support/exchanges.js';

function exchange(fields: ExchangeFields, line: string | null = 'GET /a/1?k=v HTTP/1.1'): Exchange {
  const lines = new RequestLines();
  if (line !== null) lines.add(headRecord({ line }), 0);
  return readExchange(exchangeRecord(fields), 0, lines);
}

const SLOW: ExchangeFields = {
  durationNs: 21_000_600,
  partNs: [1_000_000, 2_000_000, 0, 12_000_600, 4_000_000, 2_000_000],
};
const BROKEN: ExchangeFields = {
  ...{ role: CLIENT, pid: 0, comm: '', status: 0, outcome: HTTP_OUTCOME.NW_HTTP_TIMEOUT },
  ...{ partNs: [5000], retransmits: 3, unexplained: UNEXPLAINED.NW_UNEXPLAINED_UNFINISHED },
};

function rows(
  records: readonly Exchange[],
  output: 'table' | 'csv',
  side: Side | null = null,
): string[][] {
  const columns = exchangeColumns({ output, wide: false, side }, { wallMs: () => 0 });
  const { head, line } = formatter(output, columns);
  const cells = (text: string): string[] =>
    text
      .trimEnd()
      .split(output === 'csv' ? ',' : / +/)
      .slice(1);
  return [cells(head), ...records.map((record) => cells(line(record)))];
}

t.test('a row has each part in milliseconds, and a mark at the largest', (t) => {
  t.strictSame(rows([exchange(SLOW), exchange(BROKEN, null)], 'table'), [
    [
      ...['PROCESS', 'PID', 'SIDE', 'METHOD', 'TARGET', 'STATUS', 'TOTAL', 'REQ_XFER', 'RECV_Q'],
      ...['BEHIND', 'APP', 'RESP_WRITE', 'SEND_WAIT', 'REQ_WRITE', 'REMOTE', 'RESP_XFER'],
    ],
    [
      ...['nginx', '4711', 'server', 'GET', '/a/1?k=*', '200', '21.001', '1.000', '2.000'],
      ...['0.000', '12.001*', '4.000', '2.000', '-', '-', '-'],
    ],
    [
      ...['N/A', 'N/A', 'client', 'GET', 'N/A', 'timeout', '1.000', '-', 'N/A'],
      ...['-', '-', '-', 'N/A', '0.005*', 'N/A', 'N/A'],
    ],
  ]);
  t.strictSame(
    rows([], 'table', 'client')[0]?.slice(7),
    ['REQ_WRITE', 'SEND_WAIT', 'REMOTE', 'RESP_XFER', 'RECV_Q'],
    'of one side only its own parts',
  );
  t.end();
});

t.test('CSV has no marks, and the ends besides', (t) => {
  const [head = [], server = [], client = []] = rows(
    [exchange(SLOW), exchange(BROKEN, null)],
    'csv',
  );
  const from = head.indexOf('APP');
  t.strictSame(server.slice(from, from + 6), ['12.001', '4.000', '2.000', '', '', '']);
  t.strictSame(head.slice(-8), [
    ...['LADDR', 'LPORT', 'RADDR', 'RPORT'],
    ...['RETRANS', 'CONNECT', 'EARLY', 'UNEXPLAINED'],
  ]);
  t.strictSame(client.slice(-8), [
    ...['10.0.0.2', '40000', '10.0.0.1', '80'],
    ...['3', '', '0', 'unfinished'],
  ]);
  t.end();
});

t.test('quantiles are within 6.25 % of the exact ones, and within what was seen', (t) => {
  let seed = 7;
  const random = (): number => (seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0) / 2 ** 32;
  const values = Array.from({ length: 10_000 }, () => Math.floor(Math.exp(random() * 30)));
  const quantiles = new Quantiles();
  for (const value of values) quantiles.add(value);
  values.sort((a, b) => a - b);
  for (const q of [0.001, 0.01, 0.25, 0.5, 0.9, 0.95, 0.99, 0.999]) {
    const exact = values[Math.ceil(q * values.length) - 1]!;
    const error = Math.abs(quantiles.at(q)! - exact) / exact;
    t.ok(error <= 1 / 16, `p${q * 100}: ${quantiles.at(q)!} for ${exact}`);
  }
  t.equal(quantiles.at(1), values.at(-1));
  t.equal(quantiles.count, 10_000);
  t.equal(
    quantiles.sum,
    values.reduce((sum, value) => sum + value, 0),
  );
  t.end();
});

t.test('quantiles of few, equal, small and huge values', (t) => {
  const of = (...values: number[]): (number | null)[] => {
    const quantiles = new Quantiles();
    for (const value of values) quantiles.add(value);
    return [0, 0.5, 0.99, 1].map((q) => quantiles.at(q));
  };
  t.strictSame(of(), [null, null, null, null]);
  t.strictSame(of(1_234_567), [1_234_567, 1_234_567, 1_234_567, 1_234_567]);
  t.strictSame(of(0, 0, 0), [0, 0, 0, 0]);
  const year = 365 * 86_400e9;
  t.strictSame(of(year, year), [year, year, year, year], 'never beyond the largest');
  const [least, half] = of(2 ** 21, 2 ** 40);
  t.ok(least! >= 2 ** 21 && half! < 2 ** 21 * 1.0625);
  t.end();
});

const FAST: ExchangeFields = { durationNs: 1_000_000, partNs: [0, 0, 0, 1_000_000, 0, 0] };

t.test('exchanges are added up by route and process, the most time first', (t) => {
  const groups = new Groups('target');
  for (let i = 0; i < 19; i++) groups.add(exchange(FAST, `GET /orders/${i} HTTP/1.1`));
  const lossy = {
    durationNs: 400_000_000,
    partNs: [0, 0, 0, 100_000_000, 0, 300_000_000],
    inside: { sendRetransmitNs: 299_000_000 },
    ...{ status: 503, comm: 'node' },
  };
  groups.add(exchange(lossy, 'POST /upload HTTP/1.1'));
  groups.add(exchange({ ...BROKEN, comm: 'curl', pid: 9 }, null));
  groups.rate(2);
  const largest = groups.largest(10, amountOf('time'));
  t.strictSame(
    largest.map(({ side, process, name, errors, rate, durations }) => [
      ...[side, process, name, durations.count, errors, rate],
    ]),
    [
      ['server', 'node', 'POST /upload', 1, 1, 0.5],
      ['server', 'nginx', 'GET /orders/*', 19, 0, 9.5],
      ['client', 'curl', 'GET (unknown)', 1, 1, 0.5],
    ],
  );
  t.strictSame(largest.map(sharesText), [
    'send_wait 75% (retransmit 75%), application 25%',
    'application 100%',
    'request_write 100%',
  ]);
  const json = jsonFields(groupColumns('target'), largest[0]!);
  t.match(json, {
    ...{ count: 1, time_seconds: 0.4, p50_seconds: 0.4, p99_seconds: 0.4, errors: 1 },
    ...{ route: 'POST /upload', process: 'node', dominating_part: 'send_wait' },
    ...{ send_wait_share: 0.75, application_share: 0.25, send_wait_retransmit_share: 0.7475 },
  });
  t.equal(groups.count, 21);
  t.strictSame(groups.largest(1, amountOf('count'))[0]?.name, 'GET /orders/*');
  groups.clear();
  t.strictSame([groups.count, groups.largest(9, amountOf('time'))], [0, []]);
  t.end();
});

t.test('what a process asks of others on the same route explains its own part', (t) => {
  const groups = new Groups('target');
  const asks = { role: CLIENT, durationNs: 8_000_000, partNs: [0, 0, 8_000_000, 0, 0] };
  groups.add(exchange({ ...asks, comm: 'nginx' }));
  groups.add(exchange({ ...FAST, durationNs: 10_000_000, partNs: [0, 0, 0, 10_000_000, 0, 0] }));
  groups.add(exchange({ ...FAST, comm: 'node' }));
  groups.add(exchange({ ...asks, comm: 'curl' }));
  const [passes, ...others] = groups.largest(4, amountOf('time'));
  t.equal(sharesText(passes!), 'application 100% (upstream 80%)');
  t.match(jsonFields(groupColumns('target'), passes!), { application_upstream_share: 0.8 });
  t.strictSame(others.map(sharesText), ['remote 100%', 'remote 100%', 'application 100%']);
  t.end();
});

t.test('what was lost behind the end of a response is named behind its parts', (t) => {
  const text = (deliveryNs: number, waitRetransmitNs: number): string | null => {
    const groups = new Groups('target');
    groups.add(exchange({ ...FAST, inside: { deliveryNs, waitRetransmitNs } }));
    return sharesText(groups.largest(1, amountOf('time'))[0]!);
  };
  t.equal(text(2_000_000, 1_900_000), 'application 100%; then delivery 200% (retransmit 190%)');
  t.equal(text(2_000_000, 0), 'application 100%', 'the way is long, and that is all');
  t.end();
});

t.test('a narrow terminal has fewer columns, and always that of the sort', (t) => {
  const titles = (width: number, sort: 'rate' | 'p99'): string[] =>
    fittingColumns('target', false, sort, width).map(({ title }) => title);
  t.equal(titles(200, 'p99').length, 11);
  const names = ['ROUTE', 'SIDE', 'PROCESS'];
  t.strictSame(titles(80, 'p99'), [...names, 'P99 ms', 'WHERE THE TIME GOES']);
  t.strictSame(titles(80, 'rate'), [...names, 'RATE/s', 'WHERE THE TIME GOES']);
  t.strictSame(titles(117, 'p99'), [...names, 'COUNT', 'P95 ms', 'P99 ms', 'WHERE THE TIME GOES']);
  t.strictSame(titles(116, 'p99'), [...names, 'COUNT', 'P99 ms', 'WHERE THE TIME GOES']);
  t.end();
});

t.test('groups by status, process and peer', (t) => {
  const names = (by: 'status' | 'process' | 'peer'): unknown[] => {
    const groups = new Groups(by);
    for (const one of [FAST, { ...FAST, status: 404 }, BROKEN]) groups.add(exchange(one));
    return groups
      .largest(9, amountOf('count'))
      .map(({ name, process, durations }) => [name, process, durations.count]);
  };
  t.strictSame(names('status'), [
    ['200', null, 1],
    ['404', null, 1],
    ['timeout', null, 1],
  ]);
  t.strictSame(names('process'), [
    ['nginx', 'nginx', 2],
    ['(unknown)', null, 1],
  ]);
  t.strictSame(names('peer'), [
    ['10.0.0.2', null, 2],
    ['10.0.0.1', null, 1],
  ]);
  t.end();
});

t.test('more groups than there is room for are one more of each side', (t) => {
  const groups = new Groups('target', 3);
  for (const name of 'abcdefgh') groups.add(exchange(FAST, `GET /${name} HTTP/1.1`));
  groups.add(exchange(BROKEN));
  t.strictSame(
    groups
      .largest(9, amountOf('count'))
      .map(({ side, name, durations }) => [side, name, durations.count]),
    [
      ['server', '(other)', 5],
      ['server', 'GET /a', 1],
      ['server', 'GET /b', 1],
      ['server', 'GET /c', 1],
      ['client', '(other)', 1],
    ],
  );
  t.end();
});

t.test('keys are told apart in whatever a terminal sends at once', (t) => {
  t.strictSame(keysIn('\u001b[C\u001b[Dxc\u001bOC'), ['right', 'left', 'clear', 'right']);
  t.strictSame(keysIn('\u0003q'), ['end', 'end']);
  t.strictSame(keysIn('\u001b[A'), []);
  t.end();
});

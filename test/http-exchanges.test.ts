/** What becomes of the records of HTTP exchanges, and of the headers that proxies put in front. */
import t from 'tap';
import { HTTP_EXCHANGE, type HttpKey } from '../src/generated/packet.js';
import { readProxyHeader } from '../src/http/proxy-header.js';
import { HttpExchanges, type HttpCounts } from '../src/sources/http-exchanges.js';

const SERVER = 2;
const CLIENT = 1;
const GET: HttpKey = {
  status: 200,
  serverPort: 80,
  role: SERVER,
  method: 3,
  version: 1,
  outcome: 0,
};
const UNKNOWN = 2n ** 64n - 1n;

interface Times {
  readonly durationNs?: number;
  readonly firstByteNs?: number | null;
  readonly requestBytes?: number | null;
  readonly responseBytes?: number;
}

function record(changes: Partial<HttpKey> = {}, times: Times = {}): DataView {
  const { at: field, size } = HTTP_EXCHANGE;
  const key = { ...GET, ...changes };
  const view = new DataView(new ArrayBuffer(size));
  const put = (at: number, value: number | null | undefined): void => {
    view.setBigUint64(at, value === null ? UNKNOWN : BigInt(value ?? 0), true);
  };
  put(field.durationNs, times.durationNs);
  put(field.firstByteNs, times.firstByteNs);
  put(field.requestBytes, times.requestBytes);
  put(field.responseBytes, times.responseBytes);
  view.setUint16(field.status, key.status, true);
  view.setUint16(field.serverPort, key.serverPort, true);
  view.setUint8(field.role, key.role);
  view.setUint8(field.method, key.method);
  view.setUint8(field.version, key.version);
  view.setUint8(field.outcome, key.outcome);
  return view;
}

const sum = (buckets: readonly number[]): number => buckets.reduce((a, b) => a + b, 0);
const total = (counts: readonly HttpCounts[]): number =>
  sum(counts.map(({ duration }) => sum(duration.buckets)));

t.test('a record counts in each distribution of which its value is known', (t) => {
  const exchanges = new HttpExchanges();
  const add = (changes: Partial<HttpKey>, times: Times): void => {
    exchanges.add(record(changes, times), 0);
  };
  add({}, { durationNs: 5_000_000, firstByteNs: 5_000_001, requestBytes: 0, responseBytes: 64 });
  add({}, { durationNs: 10_000_000_001, firstByteNs: null, requestBytes: null, responseBytes: 65 });
  const [counts, ...others] = exchanges.counts();
  t.strictSame(others, []);
  t.strictSame(counts?.duration, {
    buckets: [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1],
    sum: 10_005_000_001,
  });
  t.equal(counts?.firstByte.buckets[7], 1, 'above 4.096 ms, up to 8.192 ms');
  t.equal(sum(counts?.firstByte.buckets ?? []), 1);
  t.strictSame(counts?.requestBody, { buckets: [1, 0, 0, 0, 0, 0, 0, 0], sum: 0 });
  t.strictSame(counts?.responseBody, { buckets: [1, 1, 0, 0, 0, 0, 0, 0], sum: 129 });
  add({ outcome: 4 }, { durationNs: 1, responseBytes: 9 });
  t.equal(sum(exchanges.counts()[1]?.responseBody.buckets ?? []), 0, 'it was cut: of which size?');
  t.end();
});

t.test('a peer cannot make series as it likes', (t) => {
  const exchanges = new HttpExchanges();
  for (let status = 100; status < 1000; status++) {
    exchanges.add(record({ status }), 0);
    exchanges.add(record({ status, role: CLIENT }), 0);
  }
  const shown = (role: number): number[] =>
    exchanges
      .counts()
      .filter(({ key }) => key.role === role)
      .map(({ key }) => key.status);
  t.equal(shown(SERVER).length, 501, 'its own server may use all of 100 to 599');
  t.ok(shown(CLIENT).length < 70, `${shown(CLIENT).length} of a server that chose them`);
  t.ok(shown(CLIENT).includes(404) && !shown(CLIENT).includes(299));
  t.equal(total(exchanges.counts()), 1800, 'none is lost');
  t.end();
});

t.test('more kinds than there is room for are counted as others', (t) => {
  const exchanges = new HttpExchanges();
  for (let serverPort = 1; serverPort <= 10_000; serverPort++)
    exchanges.add(record({ serverPort }), 0);
  const counts = exchanges.counts();
  t.equal(counts.length, 4097);
  t.equal(total(counts), 10_000);
  const other = counts.find(({ key }) => key.serverPort === 0);
  t.equal(sum(other?.duration.buckets ?? []), 10_000 - 4096);
  t.end();
});

t.test('what was idle for an hour makes room', (t) => {
  let now = 0;
  const exchanges = new HttpExchanges(() => now);
  exchanges.add(record({ serverPort: 1 }), 0);
  now = 3_599_000;
  exchanges.add(record({ serverPort: 2 }), 0);
  t.equal(exchanges.counts().length, 2);
  now = 3_601_000;
  t.strictSame(
    exchanges.counts().map(({ key }) => key.serverPort),
    [2],
  );
  exchanges.add(record({ serverPort: 1 }), 0);
  t.equal(total(exchanges.counts()), 2, 'it begins anew');
  t.end();
});

t.test('an exchange that differs from the last one in one respect is of another kind', (t) => {
  const exchanges = new HttpExchanges();
  const others = [
    ...[{ status: 404 }, { serverPort: 81 }, { role: CLIENT }, { method: 4 }],
    ...[{ version: 0 }, { outcome: 2 }],
  ];
  for (const other of others)
    for (const changes of [{}, other, {}]) exchanges.add(record(changes), 0);
  t.strictSame(
    exchanges.counts().map(({ key, duration }) => [key, sum(duration.buckets)]),
    [[GET, 2 * others.length], ...others.map((other) => [{ ...GET, ...other }, 1])],
  );
  t.end();
});

t.test('the kind of the last exchange begins anew when it was forgotten', (t) => {
  let now = 0;
  const exchanges = new HttpExchanges(() => now);
  exchanges.add(record(), 0);
  t.equal(exchanges.counts().length, 1);
  now = 3_601_000;
  t.equal(exchanges.counts().length, 0);
  exchanges.add(record(), 0);
  t.equal(total(exchanges.counts()), 1);
  t.end();
});

t.test('what the kernel counts by itself is added once', (t) => {
  const exchanges = new HttpExchanges();
  const buckets = (first: number): number[] => [first, ...Array<number>(14).fill(0)];
  exchanges.add(record({}, { durationNs: 7 }), 0);
  exchanges.takeOver([{ key: GET, buckets: buckets(2), sumNs: 20 }]);
  exchanges.takeOver([{ key: GET, buckets: buckets(2), sumNs: 20 }]);
  exchanges.takeOver([{ key: GET, buckets: buckets(5), sumNs: 50 }]);
  t.strictSame(exchanges.counts()[0]?.duration, { buckets: buckets(6), sum: 57 });
  exchanges.takeOver([{ key: GET, buckets: buckets(6), sumNs: 50 }]);
  t.strictSame(exchanges.counts()[0]?.duration, { buckets: buckets(7), sum: 57 }, 'one of 0 ns');
  t.end();
});

const bytes = (text: string): Uint8Array => Buffer.from(text, 'latin1');
const SIGNATURE = '\r\n\r\n\0\r\nQUIT\n';

t.test('a PROXY protocol header names the client, or nobody', (t) => {
  const client = { address: '192.0.2.1', port: 5000 };
  t.strictSame(readProxyHeader(bytes('PROXY TCP4 192.0.2.1 192.0.2.2 5000 80')), client);
  t.strictSame(readProxyHeader(bytes('PROXY TCP4 192.0.2.1 192.0.2.2 5000 80\r')), client);
  t.strictSame(readProxyHeader(bytes('PROXY TCP6 2001:db8::1 ::1 5000 80')), {
    ...client,
    address: '2001:db8::1',
  });
  const v4 = '\xc0\0\x02\x01\xc0\0\x02\x02\x13\x88\0\x50';
  t.strictSame(readProxyHeader(bytes(`${SIGNATURE}\x21\x11\0\x0c${v4}`)), client);
  const v6 = `\x20\x01\x0d\xb8${'\0'.repeat(11)}\x01${'\0'.repeat(16)}\x13\x88\0\x50`;
  t.strictSame(readProxyHeader(bytes(`${SIGNATURE}\x21\x21\0\x24${v6}`)), {
    ...client,
    address: '2001:db8::1',
  });
  for (const [what, header] of [
    ['a check of the proxy itself', `${SIGNATURE}\x20\x11\0\x0c${v4}`],
    ['a UNIX socket', `${SIGNATURE}\x21\x31\0\x0c${v4}`],
    ['a header that is cut', `${SIGNATURE}\x21\x11\0\x0c\xc0\0`],
    ['an unknown family', 'PROXY UNKNOWN'],
    ['an address of the other family', 'PROXY TCP4 2001:db8::1 ::1 5000 80'],
    ['no address', 'PROXY TCP4 <script> 192.0.2.2 5000 80'],
    ['a port beyond all', 'PROXY TCP4 192.0.2.1 192.0.2.2 65536 80'],
    ['nothing', ''],
  ] as const)
    t.equal(readProxyHeader(bytes(header)), null, what);
  t.end();
});

/** `netwatch serve`: what each path answers, in which format, and what is refused before it gets there. */
import { gunzipSync } from 'node:zlib';
import { hostname } from 'node:os';
import t from 'tap';
import { hostAndPort, listenAddress } from '../src/cli/listen.js';
import { isLoopback, isOwnHost } from '../src/serve/hosts.js';
import { readAssets } from '../src/serve/assets.js';
import { dial, exchange, fakeStore, get, readAll, startEndpoint } from './support/endpoint.js';
import { until } from './support/wait.js';
import { parseExposition } from './support/parse.js';

const TEXT = 'text/plain; version=0.0.4; charset=utf-8';
const OPENMETRICS = 'application/openmetrics-text; version=1.0.0; charset=utf-8';
const OLD_OPENMETRICS = 'application/openmetrics-text; version=0.0.1; charset=utf-8';

/** What scrapers send, and what they get. */
const ACCEPTS: readonly (readonly [accept: string | undefined, type: string])[] = [
  [undefined, TEXT],
  ['*/*', TEXT],
  ['text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8', TEXT],
  ['application/json', TEXT],
  ['text/plain', TEXT],
  ['text/plain;version=0.0.4', TEXT],
  ['application/openmetrics-text', OPENMETRICS],
  ['application/openmetrics-text;version=1.0.0', OPENMETRICS],
  ['application/openmetrics-text; version=1.0.0; charset=utf-8', OPENMETRICS],
  ['application/openmetrics-text;version=0.0.1', OLD_OPENMETRICS],
  ['application/openmetrics-text;version=2.0.0', TEXT],
  ['text/plain;version=0.0.4;q=0.9,application/openmetrics-text;version=1.0.0;q=0.5', TEXT],
  ['application/openmetrics-text;q=0', TEXT],
  ['application/openmetrics-text;version=1.0.0;q=0,application/openmetrics-text', OLD_OPENMETRICS],
  // Prometheus 2.42 and 3
  [
    'application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1',
    OPENMETRICS,
  ],
  [
    'application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.6,application/openmetrics-text;version=0.0.1;q=0.5,text/plain;version=1.0.0;escaping=allow-utf-8;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2',
    OPENMETRICS,
  ],
  [
    'application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.7,text/plain;version=0.0.4;q=0.3',
    TEXT,
  ],
  [';;;,,q=,/;=', TEXT],
];

t.test('the format is the one that the scraper likes best', async (t) => {
  const endpoint = await startEndpoint(t);
  for (const [accept, type] of ACCEPTS) {
    const { status, headers } = await get(endpoint, '/metrics', {
      headers: accept === undefined ? {} : { accept },
    });
    t.strictSame([status, headers['content-type']], [200, type], accept ?? 'no Accept');
    t.equal(headers.vary, 'Accept, Accept-Encoding');
    const { format } = endpoint.store.requests.at(-1) ?? {};
    t.equal(format, type === TEXT ? 'text' : 'openmetrics');
  }
});

t.test('gzip is used for who takes it, and said', async (t) => {
  const endpoint = await startEndpoint(t);
  const cases: [string | undefined, boolean][] = [
    [undefined, false],
    ['gzip', true],
    ['gzip, deflate, br', true],
    ['*', true],
    ['gzip;q=0', false],
    ['gzip;q=0, *', false],
    ['identity', false],
    ['identity;q=1, gzip;q=0.5', false],
    ['br', false],
  ];
  for (const [accept, wanted] of cases) {
    const { headers } = await get(endpoint, '/metrics', {
      headers: accept === undefined ? {} : { 'accept-encoding': accept },
    });
    t.equal(endpoint.store.requests.at(-1)?.gzip, wanted, accept ?? 'no Accept-Encoding');
    t.equal(headers['content-encoding'], wanted ? 'gzip' : undefined);
  }
});

t.test('/metrics is whole: length, no ETag, the same headers for HEAD', async (t) => {
  const endpoint = await startEndpoint(t);
  const { headers, body } = await get(endpoint);
  t.equal(headers['content-length'], String(body.length));
  t.match(headers, { 'cache-control': 'no-store' });
  t.notOk('etag' in headers || 'x-powered-by' in headers || 'transfer-encoding' in headers);
  const head = await get(endpoint, '/metrics', { method: 'HEAD' });
  t.strictSame([head.status, head.body.length], [200, 0]);
  t.equal(head.headers['content-type'], headers['content-type']);
  t.ok(Number(head.headers['content-length']) > 0);
});

t.test('collect[] chooses parts, and an unknown part is refused by the known ones', async (t) => {
  const endpoint = await startEndpoint(t);
  const asked = async (query: string): Promise<unknown> => {
    const { status, text } = await get(endpoint, `/metrics${query}`);
    const { groups, own } = endpoint.store.requests.pop() ?? {};
    return status === 200 ? [groups && [...groups], (own?.length ?? 0) > 0] : [status, text];
  };
  t.strictSame(await asked(''), [null, true]);
  t.strictSame(await asked('?collect[]=tcp&collect[]=http'), [['http', 'tcp'], false]);
  t.strictSame(await asked('?collect%5B%5D=netwatch'), [['netwatch'], true]);
  t.strictSame(await asked('?collect=packets&collect=packets'), [['packets'], false]);
  const known = 'connections, http, packets, tcp, netwatch, other';
  const refusal = [400, `There is no such part; collect[] is one of: ${known}.\n`];
  for (const query of [
    '?collect[]=x',
    '?collect[]=',
    '?collect=tcp,http',
    '?collect[]=tcp&collect=x',
  ])
    t.strictSame(await asked(query), refusal, query);
});

t.test('its own families are a valid exposition and count what happened', async (t) => {
  const endpoint = await startEndpoint(t);
  await get(endpoint, '/-/healthy');
  await get(endpoint, '/no/such/path');
  await get(endpoint, '/another');
  await get(endpoint, '/metrics?collect[]=x');
  endpoint.store.collector = 'stale';
  endpoint.store.body = Buffer.alloc(0);
  const { text } = await get(endpoint);
  const { issues } = parseExposition(Buffer.from(text));
  t.strictSame(issues, []);
  const value = (series: string): string | undefined =>
    text
      .split('\n')
      .find((line) => line.startsWith(`${series} `))
      ?.split(' ')
      .at(-1);
  t.equal(value('netwatch_collector_up'), '0');
  t.equal(value('netwatch_textfile_mtime_seconds{file="netwatch.prom"}'), '1.5');
  t.equal(value('netwatch_textfile_scrape_error{file="netwatch.prom"}'), '0');
  const requests = 'netwatch_endpoint_requests_total';
  t.equal(value(`${requests}{handler="health",code="200"}`), '1');
  t.equal(value(`${requests}{handler="none",code="404"}`), '2', 'no series for a path');
  t.equal(value(`${requests}{handler="metrics",code="400"}`), '1');
  t.equal(value('netwatch_endpoint_stream_clients'), '0');
  t.equal(value('netwatch_endpoint_slow_clients_total'), '0');
  t.match(value('netwatch_endpoint_connections'), /^[1-5]$/);
  t.ok(Number(value('process_resident_memory_bytes')) > 1e7);
  t.ok(Number(value('process_open_fds')) > 3);
  const startedAgo = Date.now() / 1000 - Number(value('process_start_time_seconds'));
  t.ok(startedAgo > 0 && startedAgo < 600, `${startedAgo} s ago`);
});

t.test('last says how many samples of a log, within bounds', async (t) => {
  const asked: string[] = [];
  const tail = (log: string, last: number): Promise<Buffer> => {
    asked.push(`${log} ${last}`);
    return Promise.resolve(Buffer.from('y 2\n'.repeat(500)));
  };
  const endpoint = await startEndpoint(t, { tail });
  for (const path of ['connects', 'packets?last=1', 'err?last=10000']) {
    const { status, headers, text } = await get(endpoint, `/metrics/${path}`);
    t.strictSame([status, headers['content-type'], text.length], [200, TEXT, 2000], path);
  }
  t.strictSame(asked, ['connects 1000', 'packets 1', 'err 10000']);
  const packed = await get(endpoint, '/metrics/err', { headers: { 'accept-encoding': 'gzip' } });
  t.equal(packed.headers['content-encoding'], 'gzip');
  t.equal(gunzipSync(packed.body).length, 2000);
  asked.length = 0;
  for (const bad of ['0', '-1', '10001', '1e3', '1.5', 'x', '', '1&last=2', '99999999999999']) {
    const { status, text } = await get(endpoint, `/metrics/err?last=${bad}`);
    t.strictSame([status, text], [400, 'last is a number of samples from 1 to 10000.\n'], bad);
  }
  t.strictSame(asked, []);
});

t.test('healthy is always so, ready says what it waits for', async (t) => {
  let isRead = (): void => undefined;
  const store = fakeStore(new Promise<void>((resolve) => (isRead = resolve)));
  const endpoint = await startEndpoint(t, { store });
  const ready = async (): Promise<unknown> => {
    const { status, text } = await get(endpoint, '/-/ready');
    return [status, text];
  };
  t.match(await get(endpoint, '/-/healthy'), { status: 200, text: 'Healthy.\n' });
  t.strictSame(await ready(), [503, 'Not ready: the directory has not been read yet.\n']);
  isRead();
  t.strictSame(await ready(), [200, 'Ready.\n']);
  store.collector = 'stale';
  t.strictSame(await ready(), [
    503,
    'Not ready: netwatch.prom is old; start the collector of this directory.\n',
  ]);
  store.collector = 'missing';
  t.strictSame(await ready(), [
    503,
    'Not ready: there is no netwatch.prom that can be read; start the collector of this directory.\n',
  ]);
  t.equal((await get(endpoint, '/-/healthy')).status, 200);
});

t.test('the page is what was built, and only that', async (t) => {
  const folder = t.testdir({
    'index.html': '<html>',
    'page.js': 'x'.repeat(5000),
    'page.js.map': 'secret',
    '.built': '',
  });
  const assets = await readAssets(new URL(`file://${folder}/`));
  const endpoint = await startEndpoint(t, { assets });
  const page = await get(endpoint, '/');
  t.match(page, { status: 200, text: '<html>' });
  t.match(page.headers, {
    'content-type': 'text/html; charset=utf-8',
    'cache-control': 'no-cache',
  });
  const script = await get(endpoint, '/page.js', { headers: { 'accept-encoding': 'gzip' } });
  t.equal(script.headers['content-type'], 'text/javascript; charset=utf-8');
  t.equal(gunzipSync(script.body).toString(), 'x'.repeat(5000));
  t.match(await get(endpoint, '/favicon.ico'), { status: 204, text: '' });
  for (const path of [
    '/page.css',
    '/index.html',
    '/page.js.map',
    '/.built',
    '/PAGE.JS',
    '/page.js/',
  ])
    t.equal((await get(endpoint, path)).status, 404, path);
});

t.test('the data of the page is JSON', async (t) => {
  const endpoint = await startEndpoint(t);
  for (const [path, json] of [
    ['status', JSON.stringify(endpoint.store.status())],
    ['snapshot', '{"n":0}'],
    ['history', '[]'],
  ] as const) {
    const { status, headers, text } = await get(endpoint, `/api/v1/${path}`);
    t.strictSame([status, text], [200, json], path);
    t.equal(headers['content-type'], 'application/json; charset=utf-8');
  }
});

const SAFE = {
  'content-security-policy':
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  'x-content-type-options': 'nosniff',
  'referrer-policy': 'no-referrer',
  'cross-origin-opener-policy': 'same-origin',
  'cross-origin-resource-policy': 'same-origin',
};

t.test('every answer tells the browser to do nothing else with it', async (t) => {
  const endpoint = await startEndpoint(t);
  for (const path of ['/metrics', '/-/healthy', '/api/v1/status', '/x', '/metrics/err?last=x'])
    t.match((await get(endpoint, path)).headers, SAFE, path);
  const post = await get(endpoint, '/metrics', { method: 'POST' });
  t.match(post.headers, { ...SAFE, allow: 'GET, HEAD' });
});

/** Ways to write a path that lead out of a folder. */
const OUTWARD = [
  '/metrics/../../etc/passwd',
  '/../../../../etc/passwd',
  '/%2e%2e/%2e%2e/etc/passwd',
  '/%2e%2e%2f%2e%2e%2fetc%2fpasswd',
  '/..%2f..%2fetc/passwd',
  '/..%5c..%5cetc%5cpasswd',
  '/%252e%252e%252fetc/passwd',
  '/metrics/%00',
  '/metrics/err%00.log',
  '//etc/passwd',
  '/metrics//err',
  '/metrics/err/',
  '/metrics/packets.log',
  '/metrics/.netwatch.lock',
  '/.git/config',
  '/.env',
  '/data/netwatch.prom',
  '/%c0%ae%c0%ae/etc/passwd',
  '/%',
  '/%zz',
  '/metrics;/../etc/passwd',
  '/\\..\\etc\\passwd',
];

t.test('no path leads out, and none is repeated in the answer', async (t) => {
  const endpoint = await startEndpoint(t);
  for (const path of OUTWARD) {
    const answer = await exchange(
      endpoint,
      `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`,
    );
    t.match(answer, /^HTTP\/1\.1 4\d\d /, path);
    const [, body = ''] = answer.split('\r\n\r\n');
    t.notMatch(body, /root:|passwd|etc|\.git/, path);
  }
});

t.test('a request that is none gets an answer without a stack', async (t) => {
  const endpoint = await startEndpoint(t);
  const host = 'Host: localhost\r\n';
  const cases: [request: string, status: number][] = [
    [`FETCH /metrics HTTP/1.1\r\n${host}\r\n`, 400],
    ['\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03 a TLS greeting\r\n\r\n', 400],
    [`GET /metrics HTTP/1.1\r\n${host}Bad Header: x\r\n\r\n`, 400],
    ['GET /metrics HTTP/1.1\r\n\r\n', 400],
    [`GET /metrics HTTP/1.1\r\n${host}Host: localhost\r\n\r\n`, 400],
    [`GET http://[bad/metrics HTTP/1.1\r\n${host}\r\n`, 400],
    [`GET http://localhost/metrics HTTP/1.1\r\n${host}\r\n`, 400],
    [`GET * HTTP/1.1\r\n${host}\r\n`, 400],
    [`GET /metrics HTTP/9.9\r\n${host}\r\n`, 400],
    [`GET / HTTP/1.1\r\n${host}Content-Length: 1\r\nContent-Length: 2\r\n\r\n`, 400],
    [`GET / HTTP/1.1\r\n${host}X: ${'x'.repeat(20_000)}\r\n\r\n`, 431],
    [`GET /${'x'.repeat(20_000)} HTTP/1.1\r\n${host}\r\n`, 431],
    [`CONNECT example.org:443 HTTP/1.1\r\n${host}\r\n`, 405],
    [`TRACE / HTTP/1.1\r\n${host}Connection: close\r\n\r\n`, 405],
    [`DELETE /metrics HTTP/1.1\r\n${host}Connection: close\r\n\r\n`, 405],
    [`OPTIONS / HTTP/1.1\r\n${host}Connection: close\r\n\r\n`, 405],
    [`GET /metrics HTTP/1.1\r\n${host}Content-Length: 5\r\n\r\nhello`, 413],
    [`GET /metrics HTTP/1.1\r\n${host}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, 413],
    [`POST / HTTP/1.1\r\n${host}Content-Length: 5\r\nExpect: 100-continue\r\n\r\n`, 405],
    ['GET /-/healthy HTTP/1.0\r\n\r\n', 200],
    [`GET /-/healthy HTTP/1.1\r\n${host}Connection: close\r\nUpgrade: websocket\r\n\r\n`, 200],
  ];
  for (const [request, status] of cases) {
    const name = request.slice(0, 60);
    const answer = await exchange(endpoint, request);
    t.match(answer, new RegExp(`^HTTP/1\\.1 ${status} `), name);
    if (status === 405) t.match(answer, /^allow: GET, HEAD\r$/im, name);
    t.notMatch(answer, /\.[jt]s:\d|node_modules|\n {4}at |x-powered-by/i, name);
    t.match(answer, /\r\nx-content-type-options: nosniff\r\n/i, name);
  }
  const { text } = await get(endpoint);
  t.match(text, 'netwatch_endpoint_requests_total{handler="none",code="431"} 2');
});

t.test('a failure is told to the terminal once, to the client without its reason', async (t) => {
  const tail = (): Promise<Buffer> => Promise.reject(new Error('EIO in /secret/place'));
  const endpoint = await startEndpoint(t, { tail });
  for (let i = 0; i < 3; i++) {
    const { status, text } = await get(endpoint, '/metrics/err');
    t.equal(status, 500);
    t.notMatch(text, /secret|EIO/);
  }
  t.strictSame(endpoint.said, [
    'a request failed: EIO in /secret/place\n  this is a bug, please report it',
  ]);
});

t.test('a Host that somebody else may own is refused', async (t) => {
  const machine = 'Box';
  for (const host of [
    ...['localhost', 'localhost:41420', 'LOCALHOST.', 'a.localhost:1', '127.0.0.1', '10.1.2.3:80'],
    ...['[::1]:41420', '[fe80::1]', 'box', 'BOX:9'],
  ])
    t.equal(isOwnHost(host, machine), true, host);
  for (const host of [
    ...['', 'example.org', 'localhost.example.org', 'notlocalhost', '127.0.0.1.nip.io', 'box.evil'],
    ...['::1', 'localhost:x', '[localhost]:1', 'a b', '1.2.3', '[::1'],
  ])
    t.equal(isOwnHost(host, machine), false, host);
  const endpoint = await startEndpoint(t);
  const refused = await get(endpoint, '/metrics', { headers: { host: 'evil.example:80' } });
  t.equal(refused.status, 421);
  t.match(refused.text, /^This Host is none of this machine; use .*\n$/);
  t.equal((await get(endpoint, '/metrics', { headers: { host: hostname() } })).status, 200);
  t.strictSame(
    [
      '127.0.0.1',
      '127.9.9.9',
      '::1',
      '::ffff:127.0.0.1',
      '0.0.0.0',
      '::',
      '10.0.0.1',
      '1.127.0.0',
    ].map(isLoopback),
    [true, true, true, true, false, false, false, false],
  );
});

t.test('pipelined requests are answered in order, too many of them are not', async (t) => {
  const endpoint = await startEndpoint(t);
  const one = 'GET /api/v1/history HTTP/1.1\r\nHost: localhost\r\n\r\n';
  const last = 'GET /-/healthy HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n';
  const answer = await exchange(endpoint, one.repeat(5) + last);
  t.equal(answer.split('HTTP/1.1 200 OK').length - 1, 6);
  t.match(answer, /Healthy\.\n$/);
  endpoint.store.gate = new Promise(() => undefined);
  const flood = await exchange(
    endpoint,
    'GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n'.repeat(50),
  );
  t.equal(flood, '', 'cut');
  t.equal(endpoint.store.requests.length, 16);
});

t.test('an address to listen on is what it looks like', (t) => {
  const good: [string, { host: string | null; port: number }][] = [
    ['127.0.0.1:41420', { host: '127.0.0.1', port: 41_420 }],
    [':41420', { host: null, port: 41_420 }],
    ['[::1]:41420', { host: '::1', port: 41_420 }],
    ['[::]:0', { host: '::', port: 0 }],
    ['0.0.0.0:65535', { host: '0.0.0.0', port: 65_535 }],
    ['localhost:80', { host: 'localhost', port: 80 }],
    ['web-1.example.org:80', { host: 'web-1.example.org', port: 80 }],
  ];
  for (const [text, address] of good) t.strictSame(listenAddress(text), address, text);
  for (const text of [
    ...['', '41420', '127.0.0.1', '::1:80', '[::1]', '127.0.0.1:', ':65536', ':-1', ':8o', '[]:80'],
    ...[
      '1.2.3:80',
      '999.1.1.1:80',
      '[1.2.3.4]:80',
      'a b:80',
      '-a:80',
      'http://localhost:80',
      'a_b:80',
    ],
  ])
    t.throws(() => listenAddress(text), { code: 'commander.invalidArgument' }, text);
  t.equal(hostAndPort('::1', 80), '[::1]:80');
  t.equal(hostAndPort('127.0.0.1', 80), '127.0.0.1:80');
  t.end();
});

t.test('the stream sends the snapshot of now and every new one', async (t) => {
  const endpoint = await startEndpoint(t, { limits: { heartbeatMs: 20 } });
  const socket = await dial(endpoint);
  let text = '';
  socket.on('data', (chunk) => (text += chunk.toString()));
  socket.write('GET /api/v1/stream HTTP/1.0\r\n\r\n');
  await until(() => text.includes('data: {"n":0}\n\n'), { what: 'the first snapshot' });
  endpoint.store.publish('{"n":1}');
  await until(() => text.includes('event: snapshot\ndata: {"n":1}\n\n'), { what: 'the second' });
  await until(() => text.includes('\n:\n\n'), { what: 'a heartbeat' });
  t.match(text, /^HTTP\/1\.1 200 OK\r\n/);
  t.match(text, /content-type: text\/event-stream; charset=utf-8\r\n/);
  t.match((await get(endpoint)).text, /^netwatch_endpoint_stream_clients 1$/m);
  socket.destroy();
  const left = async (): Promise<boolean> =>
    (await get(endpoint)).text.includes('netwatch_endpoint_stream_clients 0\n');
  await until(left, { what: 'the stream is forgotten' });
  const head = await get(endpoint, '/api/v1/stream', { method: 'HEAD' });
  t.strictSame(
    [head.status, head.headers['content-type']],
    [200, 'text/event-stream; charset=utf-8'],
  );
});

t.test(
  'at the end streams close, answers are finished, idle connections are not waited for',
  async (t) => {
    const endpoint = await startEndpoint(t);
    let open = (): void => undefined;
    endpoint.store.gate = new Promise((resolve) => (open = resolve));
    const [idle, answered, stream] = [
      await dial(endpoint),
      await dial(endpoint),
      await dial(endpoint),
    ];
    const texts = [idle, answered, stream].map(readAll);
    answered.write('GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n');
    stream.write('GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await until(() => endpoint.store.requests.length === 1, { what: 'the scrape has come' });
    await until(() => stream.bytesRead > 0, { what: 'the stream has begun' });
    const closed = endpoint.close();
    t.equal(await texts[0], '');
    t.match(await texts[2], /\r\n0\r\n\r\n$/, 'the stream ends in order');
    open();
    t.match(await texts[1], /^HTTP\/1\.1 200 OK\r\n[^]*\r\n\r\nx 1\n/);
    await closed;
    await t.rejects(dial(endpoint), { code: 'ECONNREFUSED' });
    t.equal(endpoint.store.listeners.size, 0);
  },
);

/** `netwatch serve` under clients that are slow, many, gone or hostile: the others notice nothing. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync } from 'node:fs';
import type { Socket } from 'node:net';
import t from 'tap';
import {
  dial,
  exchange,
  get,
  readAll,
  startEndpoint,
  type TestEndpoint,
} from './support/endpoint.js';
import { until } from './support/wait.js';

const SCRAPE = 'GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n';
/** More than the kernel takes for a client that reads nothing. */
const LARGE = Buffer.alloc(16 << 20, 'x');

const value = async (endpoint: TestEndpoint, family: string): Promise<number> => {
  const { text } = await get(endpoint, '/metrics?collect[]=netwatch');
  return Number(new RegExp(`^${family} (\\d+)$`, 'm').exec(text)?.[1]);
};
const slowClients = (endpoint: TestEndpoint): Promise<number> =>
  value(endpoint, 'netwatch_endpoint_slow_clients_total');
const openFiles = (): number => readdirSync('/proc/self/fd').length;

t.test('500 connections that dribble their heads are cut, and nobody waits for them', async (t) => {
  const limits = { headersMs: 400, requestMs: 500, checkEveryMs: 50 };
  const endpoint = await startEndpoint(t, { limits });
  const slow = await Promise.all(Array.from({ length: 500 }, () => dial(endpoint)));
  const answers = slow.map(readAll);
  // Ten say nothing at all; the others never finish the head.
  for (const socket of slow.slice(10)) socket.write('GET /metrics HTTP/1.1\r\nHost: loc');
  const dribble = setInterval(() => {
    for (const socket of slow.slice(10)) if (socket.writable) socket.write('a');
  }, 100);
  t.teardown(() => clearInterval(dribble));
  t.equal((await get(endpoint)).status, 200, 'served meanwhile');
  const texts = await Promise.all(answers);
  t.strictSame(
    [...new Set(texts.map((text) => text.split('\r\n')[0]))].filter((line) => line !== ''),
    ['HTTP/1.1 408 Request Timeout'],
  );
  const left = async (): Promise<boolean> =>
    (await value(endpoint, 'netwatch_endpoint_connections')) <= 1;
  await until(left, { what: 'all are gone' });
  t.ok((await slowClients(endpoint)) >= 490);
});

t.test('beyond the most connections a new one is closed at once', async (t) => {
  const endpoint = await startEndpoint(t, { limits: { connections: 5 } });
  const sockets = await Promise.all(Array.from({ length: 5 }, () => dial(endpoint)));
  const counted = sockets[0] as Socket;
  counted.write(SCRAPE);
  await once(counted, 'data');
  t.equal(await exchange(endpoint, SCRAPE), '');
  for (const socket of sockets) socket.destroy();
  await until(async () => (await get(endpoint)).status === 200, { what: 'room again' });
});

t.test('who does not read the answer is cut and counted', async (t) => {
  const endpoint = await startEndpoint(t, { limits: { answerMs: 300 } });
  endpoint.store.body = LARGE;
  const socket = await dial(endpoint);
  socket.write(SCRAPE);
  await until(() => endpoint.store.requests.length === 1, { what: 'the scrape has come' });
  endpoint.store.body = Buffer.from('x 1\n');
  await until(async () => (await slowClients(endpoint)) === 1, { what: 'it is counted' });
  const text = await readAll(socket);
  t.ok(text.length < LARGE.length, 'shorter than its Content-Length says, so no scraper takes it');
  t.equal(await slowClients(endpoint), 1, 'the others are not');
});

t.test('an answer that is being sent is not disturbed by what comes behind', async (t) => {
  const endpoint = await startEndpoint(t);
  endpoint.store.body = Buffer.alloc(1 << 20, 'x');
  endpoint.store.gate = new Promise((resolve) => setImmediate(resolve));
  const text = await exchange(endpoint, `${SCRAPE}no request at all\r\n\r\n`);
  t.notMatch(text, /xHTTP\/1\.1 400/);
});

t.test('only so many answers are made at a time; the next one is told to come again', async (t) => {
  const endpoint = await startEndpoint(t, { limits: { answers: 3 } });
  let open = (): void => undefined;
  endpoint.store.gate = new Promise((resolve) => (open = resolve));
  const scrapes = [1, 2, 3].map(() => get(endpoint));
  await until(() => endpoint.store.requests.length === 3, { what: 'three are under way' });
  const refused = await get(endpoint);
  t.strictSame([refused.status, refused.headers['retry-after']], [503, '1']);
  open();
  t.strictSame(
    (await Promise.all(scrapes)).map(({ status }) => status),
    [200, 200, 200],
  );
  t.equal((await get(endpoint)).status, 200, 'room again');
});

t.test('clients that go away in the middle leave nothing behind', async (t) => {
  const endpoint = await startEndpoint(t, { limits: { answers: 12 } });
  endpoint.store.body = LARGE;
  await get(endpoint);
  const settled = async (): Promise<boolean> =>
    (await value(endpoint, 'netwatch_endpoint_connections')) === 1;
  await until(settled, { what: 'only this connection is left' });
  const before = openFiles();
  for (let round = 0; round < 5; round++) {
    const aborted = await Promise.all(Array.from({ length: 10 }, () => dial(endpoint)));
    for (const socket of aborted) {
      socket.on('error', () => undefined);
      socket.write(SCRAPE);
      socket.once('data', () => socket.resetAndDestroy());
    }
    await Promise.all(aborted.map((socket) => once(socket, 'close')));
    const whole = await get(endpoint);
    t.strictSame([whole.status, whole.body.length], [200, Number(whole.headers['content-length'])]);
  }
  await until(settled, { what: 'all are gone' });
  await until(() => openFiles() <= before, { what: 'no descriptor more than before' });
  t.equal((await get(endpoint)).status, 200, 'no place is lost');
});

t.test('a body of a gigabyte is not read', async (t) => {
  const endpoint = await startEndpoint(t);
  await get(endpoint);
  const before = process.memoryUsage.rss();
  const upload = (...args: string[]) =>
    new Promise<string>((resolve) => {
      const url = `http://127.0.0.1:${endpoint.port}/metrics`;
      const line = `head -c 1G /dev/zero | curl -s -o /dev/null -w '%{http_code}' -T - "$@" ${url}`;
      const child = spawn('bash', ['-c', line, 'bash', ...args]);
      let said = '';
      child.stdout.on('data', (chunk: Buffer) => (said += chunk.toString()));
      child.once('close', () => resolve(said));
    });
  // Who goes on sending may find the connection closed before it sees the answer (RFC 9112, 9.6).
  const answered = async (...args: string[]): Promise<string> => {
    const cut = '000';
    for (let tries = 1; ; tries++) {
      const status = await upload(...args);
      if (status !== cut || tries === 4) return status;
    }
  };
  let highest = before;
  const watch = setInterval(() => (highest = Math.max(highest, process.memoryUsage.rss())), 5);
  t.teardown(() => clearInterval(watch));
  t.equal(await upload('-X', 'POST'), '405', 'who asks first need not send');
  t.equal(await answered('-X', 'POST', '-H', 'Expect:'), '405');
  t.equal(await answered('-X', 'GET', '-H', 'Expect:'), '413');
  t.ok(highest - before < 20e6, `${highest - before} bytes more`);
});

t.test('a page that does not keep up misses snapshots, then is cut', async (t) => {
  const endpoint = await startEndpoint(t, { limits: { answerMs: 600 } });
  const { store } = endpoint;
  const socket = await dial(endpoint);
  socket.write('GET /api/v1/stream HTTP/1.0\r\n\r\n');
  await once(socket, 'data');
  socket.pause();
  const large = JSON.stringify(LARGE.toString());
  const before = process.memoryUsage.rss();
  for (let i = 0; i < 50; i++) store.publish(large);
  t.ok(process.memoryUsage.rss() - before < 100e6, 'of 800 MB hardly anything waits');
  store.snapshot = Buffer.from('{}');
  const cut = async (): Promise<boolean> => (await slowClients(endpoint)) === 1;
  await until(cut, { what: 'it is cut and counted' });
  t.equal(await value(endpoint, 'netwatch_endpoint_stream_clients'), 0);
});

t.test('a page that catches up again gets the next snapshot', async (t) => {
  const endpoint = await startEndpoint(t);
  const socket = await dial(endpoint);
  socket.write('GET /api/v1/stream HTTP/1.0\r\n\r\n');
  await once(socket, 'data');
  socket.pause();
  endpoint.store.publish(JSON.stringify(LARGE.toString()));
  endpoint.store.publish('{"missed":1}');
  let text = '';
  let sent = 0;
  socket.on('data', (chunk) => (text = (text + chunk.toString()).slice(-1000))).resume();
  const seen = (): boolean => {
    endpoint.store.publish(`{"next":${++sent}}`);
    return /"next":\d+\}\n\n$/.test(text);
  };
  await until(seen, { what: 'a later one' });
  t.notMatch(text, /missed/);
  socket.destroy();
});

t.test('only so many pages follow the stream', async (t) => {
  const endpoint = await startEndpoint(t, { limits: { streams: 2 } });
  const pages = await Promise.all([dial(endpoint), dial(endpoint)]);
  for (const page of pages) {
    page.write('GET /api/v1/stream HTTP/1.1\r\nHost: localhost\r\n\r\n');
    await once(page, 'data');
  }
  const { status, headers } = await get(endpoint, '/api/v1/stream');
  t.strictSame([status, headers['retry-after']], [503, '10']);
  pages[0]?.destroy();
  const room = async (): Promise<boolean> =>
    (await value(endpoint, 'netwatch_endpoint_stream_clients')) === 1;
  await until(room, { what: 'room for another' });
  pages[1]?.destroy();
});

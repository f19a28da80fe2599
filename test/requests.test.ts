/** What becomes of the records of exchanges: their request's line, their parts, their object, their route. */
import t from 'tap';
import { CLIENT_PART, HTTP_OUTCOME, SERVER_PART, UNEXPLAINED } from '../src/generated/packet.js';
import { redactTarget } from '../src/http/redact.js';
import { pathOf, routeOf } from '../src/http/route.js';
import { exchangeEvent } from '../src/sources/exchange-event.js';
import {
  BEYOND,
  isError,
  largestPart,
  PARTS,
  placesOf,
  readExchange,
  SIDES,
} from '../src/sources/exchange.js';
import { RequestLines } from '../src/sources/request-lines.js';
import { NONE, SocketTable } from '../src/sources/socket-table.js';
import { ORDINARY_PATHS } from './fixtures/ordinary-paths.js';
import {
  CLIENT,
  exchangeRecord,
  headRecord,
  SERVER,
  type ExchangeFields,
} from './support/exchanges.js';

const lineOf = (lines: RequestLines, fields: ExchangeFields = {}): string | null => {
  const line = lines.take(exchangeRecord(fields), 0);
  return line === null ? null : `${line.method} ${line.target}`;
};

t.test('a table of sockets finds what a map finds, whatever came and went', (t) => {
  const most = 64;
  const table = new SocketTable(most);
  const map = new Map<string, number>();
  let seed = 1;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return (seed >>> 8) % below;
  };
  for (let step = 0; step < 20_000; step++) {
    const [low, high] = [random(50) * 64 - 1600, -30_720 + random(3)];
    const key = `${low} ${high}`;
    if (random(2) === 0) {
      table.delete(low, high);
      map.delete(key);
    } else if (map.has(key) || map.size < most) {
      table.set(low, high, step);
      map.set(key, step);
    }
    if (step % 100 !== 0) continue;
    for (let other = 0; other < 50; other++)
      for (const half of [-30_720, -30_719, -30_718]) {
        const found = table.get(other * 64 - 1600, half);
        if (found !== (map.get(`${other * 64 - 1600} ${half}`) ?? NONE)) t.fail(`at ${step}`);
      }
  }
  t.equal(map.size > 10, true);
  t.end();
});

t.test('an exchange finds the first line of its request by socket and number', (t) => {
  const lines = new RequestLines();
  const add = (sock: number, number: number, line: string, status = 0): void => {
    lines.add(headRecord({ sock, number, line, status }), 0);
  };
  add(1, 0, 'GET /a?key=secret HTTP/1.1\r\n');
  add(2, 0, 'POST /other HTTP/1.1');
  add(1, 0, 'HTTP/1.1 200 OK', 200);
  add(1, 1, 'GET /b HTTP/1.1');
  add(1, 2, 'DELETE /c HTTP/1.0');
  t.equal(lines.size, 4, 'responses are not kept');
  t.equal(lineOf(lines, { sock: 1, number: 0 }), 'GET /a?key=*', 'and credentials are not shown');
  t.equal(lineOf(lines, { sock: 1, number: 0 }), null, 'once');
  t.equal(lineOf(lines, { sock: 1, number: 2 }), 'DELETE /c');
  t.equal(lines.size, 2, 'what is older in the connection may end later');
  t.equal(lineOf(lines, { sock: 1, number: 1 }), 'GET /b');
  t.equal(lineOf(lines, { sock: 2, number: 128 }), null);
  t.equal(lines.size, 1, 'but not whatever comes');
  t.equal(lineOf(lines, { sock: 2, number: 129 }), null);
  t.equal(lines.size, 0, 'the end of what is so far behind has been lost');
  t.equal(lineOf(lines, { sock: 3 }), null, 'of a connection that nothing is known of');
  t.equal(lines.forgotten, 0);
  t.end();
});

t.test('a connection at the address of an older one begins anew, and numbers may wrap', (t) => {
  const lines = new RequestLines();
  lines.add(headRecord({ number: 4, line: 'GET /old HTTP/1.1' }), 0);
  lines.add(headRecord({ number: 5, line: 'GET /old HTTP/1.1' }), 0);
  lines.add(headRecord({ number: 0, line: 'GET /new HTTP/1.1' }), 0);
  t.equal(lines.size, 1);
  t.equal(lineOf(lines, { number: 0 }), 'GET /new');
  lines.add(headRecord({ number: 0xffff_ffff, line: 'GET /last HTTP/1.1' }), 0);
  lines.add(headRecord({ number: 0, line: 'GET /first HTTP/1.1' }), 0);
  t.equal(lineOf(lines, { number: 0xffff_ffff }), 'GET /last');
  t.equal(lineOf(lines, { number: 0 }), 'GET /first');
  t.end();
});

t.test('lines without an exchange are bounded in all and per connection, the oldest goes', (t) => {
  const lines = new RequestLines('full', { all: 6, perConnection: 3 });
  for (let number = 0; number < 5; number++)
    lines.add(headRecord({ sock: 1, number, line: `GET /${number} HTTP/1.1` }), 0);
  t.equal(lines.size, 3);
  t.equal(lines.forgotten, 2);
  for (let sock = 2; sock < 7; sock++)
    lines.add(headRecord({ sock, line: `GET /of/${sock} HTTP/1.1` }), 0);
  t.equal(lines.size, 6);
  t.equal(lines.forgotten, 4);
  t.equal(lineOf(lines, { sock: 1, number: 3 }), null);
  t.equal(lineOf(lines, { sock: 1, number: 4 }), 'GET /4');
  for (let sock = 2; sock < 7; sock++) t.equal(lineOf(lines, { sock }), `GET /of/${sock}`);
  t.equal(lines.size, 0);
  t.end();
});

t.test('slots are used again in any order without mixing lines up', (t) => {
  const lines = new RequestLines('full', { all: 64, perConnection: 8 });
  const known = new Map<number, number[]>();
  let seed = 1;
  const random = (below: number): number => {
    seed = (Math.imul(seed, 1_103_515_245) + 12_345) >>> 0;
    return (seed >>> 8) % below;
  };
  const next = new Array<number>(8).fill(0);
  for (let step = 0; step < 20_000; step++) {
    const sock = random(8);
    const waiting = known.get(sock) ?? [];
    if (random(2) === 0 && waiting.length < 8) {
      const number = next[sock]!++;
      lines.add(headRecord({ sock, number, line: `GET /${sock}/${number} HTTP/1.1` }), 0);
      known.set(sock, [...waiting, number]);
    } else if (waiting.length > 0) {
      const at = random(waiting.length);
      const number = waiting[at]!;
      const found = lineOf(lines, { sock, number });
      if (found !== `GET /${sock}/${number}`)
        t.fail(`line ${number} of connection ${sock}: ${String(found)}`);
      known.set(
        sock,
        waiting.filter((one) => one !== number),
      );
    }
  }
  t.equal(
    lines.size,
    [...known.values()].reduce((sum, { length }) => sum + length, 0),
  );
  t.equal(lines.forgotten, 0);
  t.end();
});

t.test('--targets and cuts hold for the lines of exchanges too', (t) => {
  const shown = (targets: 'path' | 'first-segment' | 'none', line: string, truncated = false) => {
    const lines = new RequestLines(targets);
    lines.add(headRecord({ line, truncated }), 0);
    return lineOf(lines);
  };
  t.equal(shown('path', 'GET /a/b?x=1 HTTP/1.1'), 'GET /a/b');
  t.equal(shown('first-segment', 'GET /a/b?x=1 HTTP/1.1'), 'GET /a/*');
  t.equal(shown('none', 'GET /a/b?x=1 HTTP/1.1'), 'GET *');
  t.equal(shown('path', 'GET /a/list', true), 'GET /a/list…');
  t.end();
});

t.test('a path that is copied is the one that is shown, whoever has looked at the line', (t) => {
  const targets = [...ORDINARY_PATHS, '/a?b=*', '/?a=*&b=*', '/', '/a?token=x', '/a"b\\c', '/a#x'];
  let copied = 0;
  for (const [number, target] of targets.entries())
    for (const isClean of [undefined, false]) {
      const lines = new RequestLines();
      lines.add(headRecord({ number, line: `GET ${target} HTTP/1.1` }), 0, isClean);
      const slot = lines.takeSlot(exchangeRecord({ number }), 0);
      const path = lines.pathIn(slot);
      t.equal(String(path), lines.lineIn(slot)?.path);
      t.equal(String(path), pathOf(redactTarget(target)));
      if (typeof path !== 'string') copied++;
    }
  t.ok(copied > ORDINARY_PATHS.length / 2, `${copied} are copied`);
  const lines = new RequestLines();
  t.equal(lines.pathIn(lines.takeSlot(exchangeRecord(), 0)), null, 'nothing is known');
  t.end();
});

t.test('the parts of each side are those of the kernel, in order', (t) => {
  t.strictSame(
    PARTS.server.map(({ name }) => name),
    [
      ...['request_transfer', 'receive_queue', 'behind'],
      ...['application', 'response_write', 'send_wait'],
    ],
  );
  t.strictSame(
    PARTS.client.map(({ name }) => name),
    ['request_write', 'send_wait', 'remote', 'response_transfer', 'receive_queue'],
  );
  t.strictSame(
    PARTS.server.map(({ index }) => index),
    Object.values(SERVER_PART),
  );
  t.strictSame(
    PARTS.client.map(({ index }) => index),
    Object.values(CLIENT_PART),
  );
  for (const side of SIDES) {
    const places = placesOf(side);
    t.equal(new Set(places.map(({ at }) => at)).size, places.length, 'each has a place of its own');
    t.equal(
      places.length,
      PARTS[side].reduce((sum, { inside }) => sum + 1 + inside.length, BEYOND[side].length),
    );
  }
  t.end();
});

const read = (fields: ExchangeFields, line?: string) => {
  const lines = new RequestLines();
  if (line !== undefined) lines.add(headRecord({ line }), 0);
  return readExchange(exchangeRecord(fields), 0, lines);
};

t.test('an exchange of a server is an object with each of its parts', (t) => {
  const exchange = read(
    {
      durationNs: 21_000_000,
      partNs: [1_000_000, 2_000_000, 0, 12_000_000, 4_000_000, 2_000_000],
      inside: {
        ...{ reorderingNs: 500_000, runQueueNs: 1000, sendBufferNs: 3_000_001 },
        ...{
          sendRetransmitNs: 0,
          receiveWindowNs: 1_500_000,
          waitRetransmitNs: 7,
          deliveryNs: 250_000_000,
        },
      },
      retransmits: 2,
      early: true,
    },
    'GET /orders/17?token=abc HTTP/1.1',
  );
  t.strictSame(exchangeEvent(exchange, 1_700_000_000_123), {
    time: '2023-11-14T22:13:20.123Z',
    event: 'http_exchange',
    side: 'server',
    pid: 4711,
    process: 'nginx',
    sock: 'ffff881200000040',
    network_local_address: '10.0.0.1',
    network_local_port: 80,
    network_peer_address: '10.0.0.2',
    network_peer_port: 40_000,
    http_request_method: 'GET',
    url_path: '/orders/17',
    http_response_status_code: 200,
    outcome: 'answered',
    total_seconds: 0.021,
    request_transfer_seconds: 0.001,
    request_transfer_reordering_seconds: 0.0005,
    receive_queue_seconds: 0.002,
    receive_queue_run_queue_seconds: 0.000001,
    behind_seconds: 0,
    application_seconds: 0.012,
    response_write_seconds: 0.004,
    response_write_send_buffer_seconds: 0.003000001,
    send_wait_seconds: 0.002,
    send_wait_retransmit_seconds: 0,
    send_wait_receive_window_seconds: 0.0015,
    delivery_seconds: 0.25,
    delivery_retransmit_seconds: 7e-9,
    retransmits: 2,
    connect_seconds: null,
    name_lookup_seconds: null,
    early: true,
    partly_explained: null,
  });
  t.equal(largestPart(exchange)?.name, 'application');
  t.end();
});

t.test('what a client does not know of an exchange is null and has its cause', (t) => {
  const exchange = read({
    role: CLIENT,
    durationNs: 300_000_000,
    partNs: [100_000, null, null, null, null, null],
    inside: { sendBufferNs: 0 },
    status: 0,
    outcome: HTTP_OUTCOME.NW_HTTP_RESET,
    pid: 0,
    comm: '',
    method: 11,
    unexplained: UNEXPLAINED.NW_UNEXPLAINED_UNFINISHED,
  });
  const event = exchangeEvent({ ...exchange, connectNs: 1_500_000 }, 0);
  t.strictSame(event, {
    time: '1970-01-01T00:00:00.000Z',
    event: 'http_exchange',
    side: 'client',
    pid: null,
    process: null,
    sock: 'ffff881200000040',
    network_local_address: '10.0.0.2',
    network_local_port: 40_000,
    network_peer_address: '10.0.0.1',
    network_peer_port: 80,
    http_request_method: '_OTHER',
    url_path: null,
    http_response_status_code: null,
    outcome: 'reset',
    total_seconds: 0.3,
    request_write_seconds: 0.0001,
    request_write_send_buffer_seconds: 0,
    send_wait_seconds: null,
    send_wait_retransmit_seconds: null,
    send_wait_receive_window_seconds: null,
    remote_seconds: null,
    remote_network_seconds: null,
    remote_retransmit_seconds: null,
    response_transfer_seconds: null,
    response_transfer_reordering_seconds: null,
    receive_queue_seconds: null,
    receive_queue_run_queue_seconds: null,
    retransmits: 0,
    connect_seconds: 0.0015,
    name_lookup_seconds: null,
    early: false,
    partly_explained: 'unfinished',
  });
  t.equal(largestPart(read({ partNs: [] })), null);
  t.end();
});

t.test('a 4xx is a failure to a client and an answer of a server', (t) => {
  const failed = (role: number, status: number, outcome = 0): boolean =>
    isError({ role, status, outcome });
  t.strictSame(
    [failed(SERVER, 404), failed(CLIENT, 404), failed(SERVER, 500), failed(CLIENT, 399)],
    [false, true, true, false],
  );
  t.ok(failed(SERVER, 200, HTTP_OUTCOME.NW_HTTP_TRUNCATED));
  t.end();
});

t.test('targets that differ in what they name fold into one route', (t) => {
  const routes = {
    '/': '/',
    '/orders': '/orders',
    '/orders/': '/orders/',
    '/orders/17': '/orders/*',
    '/orders/17/items/3?x=*': '/orders/*/items/*',
    '/u/0b6f5cbe-3a86-4f4d-9d11-0a7a0d1a2b3c/mail': '/u/*/mail',
    '/blob/9f86d081884c7d65': '/blob/*',
    '/blob/decade': '/blob/decade',
    '/v2/users/me': '/v2/users/me',
    '/music/song.mp3': '/music/song.mp3',
    '/order-4711.html': '/*',
    '/reset/*': '/reset/*',
    '/a/this-is-the-title-of-an-article-that-somebody-wrote': '/a/*',
    'http://example.test:8080/orders/17?a=*': '/orders/*',
    'http://example.test': '/',
    'example.test:443': 'example.test:443',
    '*': '*',
    '/a/b/c/d/e/f/g/h/i/j': '/a/b/c/d/e/f/g/h/*',
  };
  t.strictSame(
    Object.fromEntries(Object.keys(routes).map((target) => [target, routeOf(target)])),
    routes,
  );
  t.end();
});

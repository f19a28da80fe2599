// `netwatch requests`: every request at both ends, as the client's own list has them; groups of them on a
// terminal's other screen, which is given back however the program ends.
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import t, { type Test } from 'tap';
import { startCollector } from '../support/collector.js';
import { createNamespace, type Namespace } from '../support/netns.js';
import { parseNdjson, type Json } from '../support/ndjson.js';
import { total } from '../support/samples.js';
import { needsRoot } from '../support/skip.js';
import { startTop, type OnScreen } from '../support/requests-screen.js';
import { startTool, type RunningTool } from '../support/tool.js';
import { runHttp } from '../support/traffic.js';
import { until } from '../support/wait.js';

const skip = needsRoot;
const SLOW_MS = 150;

const PATHS: Readonly<Record<string, number>> = {
  '/orders/17?token=abc': 200,
  '/status/404': 404,
  '/status/503': 503,
  [`/delay/${SLOW_MS}`]: 200,
};
const REQUESTS = Object.keys(PATHS).map((path) => ({ path }));
const EACH = 3;
const TOTAL = EACH * REQUESTS.length;
const SIDES = ['server', 'client'];
/** They add up to the total. */
const PART_NAMES: Readonly<Record<string, string>> = {
  server: 'request_transfer receive_queue behind application response_write send_wait',
  client: 'request_write send_wait remote response_transfer receive_queue',
};

/** So many of each request, one after the other; how long they took the client. */
async function ask(namespace: Namespace): Promise<readonly number[]> {
  const { client } = await runHttp(namespace, { total: TOTAL, requests: REQUESTS });
  if (client.responses !== TOTAL) throw new Error(`${client.responses} responses`);
  return client.durationsMs;
}

/** Waits until `count` rows are there, and ends it. */
async function rowsOf(running: RunningTool, count: number): Promise<Json[]> {
  await until(() => running.objects().length >= count, { what: `${count} rows` });
  await running.stop();
  return running.objects();
}

const path = (shown: string): string => shown.replace(/\?.*/, '');

t.test('each request is a row at either end, with all its fields', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const running = await startTool(t, namespace, 'requests', ['-o', 'json']);
  const durations = await ask(namespace);
  const rows = await rowsOf(running, 2 * TOTAL);
  t.equal(rows.length, 2 * TOTAL);
  for (const side of SIDES) {
    const own = rows.filter((row) => row['side'] === side);
    t.strictSame(
      own.map((row) => [row['url_path'], row['http_response_status_code']]),
      Array.from({ length: EACH }, () => Object.entries(PATHS))
        .flat()
        .map(([target, status]) => [path(target), status]),
      `${side}: in order, without query`,
    );
    t.ok(own.every((row) => row['event'] === 'http_exchange' && row['outcome'] === 'answered'));
    t.ok(own.every((row) => row['http_request_method'] === 'GET'));
    const seconds = own.map((row) => Number(row['total_seconds']));
    t.ok(
      seconds.every((total, i) => total > 0 && total * 1000 < durations[i]!),
      'no request is longer than its client found it',
    );
    t.ok(seconds.every((total, i) => i % 4 !== 3 || total * 1000 >= SLOW_MS));
    t.equal(new Set(own.map((row) => row['sock'])).size, 1, 'one connection');
    const [first, ...others] = own.map((row) => row['connect_seconds']);
    t.ok(others.every((value) => value === null));
    if (side === 'server') t.equal(first, null);
    else t.ok(typeof first === 'number' && first > 0, 'its first request waited for connecting');
  }
  const fields = new Map(SIDES.map((side) => [side, rows.find((row) => row['side'] === side)]));
  for (const [side, names] of Object.entries(PART_NAMES))
    for (const name of names.split(' '))
      t.ok(`${name}_seconds` in (fields.get(side) ?? {}), `${side} has ${name}`);
});

/** A client that never reads its answer, and says so when the answer is there. */
const NEVER_READS = `
import select, socket, sys
listener = socket.create_server(('127.0.0.1', 7300))
client = socket.create_connection(('127.0.0.1', 7300))
server, _ = listener.accept()
client.sendall(b'GET /unread HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n')
server.recv(1000)
server.sendall(b'HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok')
select.select([client], [], [])
print('there', flush=True)
sys.stdin.read()
`;

t.test('what nobody has read by the end is a row all the same', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const running = await startTool(t, namespace, 'requests', ['-o', 'json']);
  const program = namespace.spawn('python3', ['-c', NEVER_READS], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  t.teardown(() => program.kill('SIGKILL'));
  await once(program.stdout!, 'data');
  await until(() => running.objects().length > 0, { what: 'the row of the server' });
  await running.stop();
  t.strictSame(
    running
      .objects()
      .map((row) => [
        ...[row['side'], row['url_path'], row['http_response_status_code'], row['outcome']],
        ...[row['network_peer_port'] === 7300, row['partly_explained']],
        typeof row['receive_queue_seconds'],
      ]),
    [
      ['server', '/unread', 200, 'answered', false, null, 'number'],
      // without parts: null
      ['client', '/unread', 200, 'answered', true, 'unfinished', 'object'],
    ],
  );
});

const PIPELINED = 6;

/** Of its pipelined requests a client reads two answers; the ends of the others come all at once. */
const READS_IN_PIECES = `
import socket
listener = socket.create_server(('127.0.0.1', 7301))
client = socket.create_connection(('127.0.0.1', 7301))
server, _ = listener.accept()
count, answer = ${PIPELINED}, b'HTTP/1.1 200 OK\\r\\nContent-Length: 2\\r\\n\\r\\nok'
client.sendall(b''.join(b'GET /%d HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n' % i for i in range(count)))
server.recv(10000)
for _ in range(4):
    server.sendall(answer)
client.recv(2 * len(answer), socket.MSG_WAITALL)
for _ in range(count - 4):
    server.sendall(answer)
client.recv((count - 2) * len(answer), socket.MSG_WAITALL)
server.close()
client.recv(1)
`;

t.test('pipelined requests have their target whichever ends first', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const running = await startTool(t, namespace, 'requests', ['-o', 'json']);
  const program = namespace.spawn('python3', ['-c', READS_IN_PIECES], { stdio: 'inherit' });
  t.teardown(() => program.kill('SIGKILL'));
  const rows = await rowsOf(running, 2 * PIPELINED);
  for (const side of SIDES)
    t.strictSame(
      rows.flatMap((row) => (row['side'] === side ? [String(row['url_path'])] : [])).sort(),
      Array.from({ length: PIPELINED }, (_, i) => `/${i}`),
      side,
    );
});

const CONNECTIONS = 8;

/**
 * On each connection an answer before its request is whole, a request behind it, and one whose answer ends
 * with the connection, long after its last byte.
 */
const ODD_ENDS = `
import socket, time
listener = socket.create_server(('127.0.0.1', 7302))
def tell(source, target, text):
    source.sendall(text)
    left = len(text)
    while left:
        left -= len(target.recv(left))
for _ in range(${CONNECTIONS}):
    client = socket.create_connection(('127.0.0.1', 7302))
    server, _ = listener.accept()
    tell(client, server, b'POST /early HTTP/1.1\\r\\nContent-Length: 1000\\r\\n\\r\\n' + b'x' * 500)
    tell(server, client, b'HTTP/1.1 413 Too Large\\r\\nContent-Length: 0\\r\\n\\r\\n')
    tell(client, server, b'y' * 500)
    tell(client, server, b'GET /next HTTP/1.1\\r\\nHost: a\\r\\n\\r\\n')
    time.sleep(0.002)
    tell(server, client, b'HTTP/1.1 204 No Content\\r\\n\\r\\n')
    tell(client, server, b'GET /until-close HTTP/1.0\\r\\n\\r\\n')
    tell(server, client, b'HTTP/1.0 200 OK\\r\\n\\r\\nall of it')
    time.sleep(${SLOW_MS / 1000})
    server.close()
    client.recv(1)
    client.close()
`;

t.test(
  'an early answer, and one that ends late, have their time where it was',
  { skip },
  async (t) => {
    const namespace = createNamespace(t);
    const running = await startTool(t, namespace, 'requests', ['-o', 'json', '--side', 'server']);
    const program = namespace.spawn('python3', ['-c', ODD_ENDS], { stdio: 'inherit' });
    t.teardown(() => program.kill('SIGKILL'));
    const rows = await rowsOf(running, 3 * CONNECTIONS);
    const of = (path: string): Json[] => rows.filter((row) => row['url_path'] === path);
    t.strictSame(
      of('/early').map(({ early, partly_explained: why }) => [early, why]),
      Array.from({ length: CONNECTIONS }, () => [true, null]),
    );
    const next = of('/next');
    t.equal(next.length, CONNECTIONS);
    for (const { early, receive_queue_seconds: queue, application_seconds: application } of next) {
      t.equal(early, false, 'the request behind an early answer is read before its own');
      t.ok(Number(queue) >= 0 && Number(application) >= 0.002);
    }
    const last = of('/until-close').map((row) => Number(row['response_write_seconds']) * 1000);
    t.equal(last.length, CONNECTIONS);
    t.ok(
      Math.min(...last) >= SLOW_MS,
      'what ends with the connection is written until its close()',
    );
  },
);

t.test('--slow and --side leave out what they say, the table has the rest', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const args = ['--slow', String(SLOW_MS), '--side', 'client'];
  const [slow, csv, table, http] = await Promise.all([
    startTool(t, namespace, 'requests', [...args, '-o', 'json']),
    startTool(t, namespace, 'requests', [...args, '-o', 'csv']),
    startTool(t, namespace, 'requests', ['--side', 'server', '--targets', 'path']),
    startTool(t, namespace, 'http', ['-o', 'json', '--port', '1']),
  ]);
  await ask(namespace);
  await until(() => table.lines().length > TOTAL, { what: 'all rows' });
  const rows = await rowsOf(slow, EACH);
  t.ok(rows.every((row) => row['side'] === 'client'));
  // on a busy machine others may be slow, too
  t.ok(rows.every((row) => Number(row['total_seconds']) * 1000 >= SLOW_MS));
  const delayed = rows.filter((row) => row['url_path'] === `/delay/${SLOW_MS}`);
  t.equal(delayed.length, EACH);
  await csv.stop();
  const [head = '', ...lines] = csv.lines();
  t.match(head, /^TIME,PROCESS,PID,SIDE,METHOD,TARGET,STATUS,TOTAL,/);
  t.equal(lines.length, rows.length);
  await table.stop();
  const [titles = '', ...shown] = table.lines();
  t.match(titles, /^TIME +PROCESS +PID +SIDE +METHOD +TARGET +STATUS +TOTAL +REQ_XFER +RECV_Q +/);
  t.equal(shown.length, TOTAL);
  t.ok(shown.every((line) => / server +GET +\/[a-z0-9/]+ +\d{3} +\d+\.\d{3} /.test(line)));
  await http.stop();
  t.strictSame(http.objects(), [], 'of a port that nobody uses');
});

t.test('--top adds up by route, as blocks where there is no terminal', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const top = ['--top', '2', '--side', 'server'];
  const [json, table, statuses] = await Promise.all([
    startTool(t, namespace, 'requests', [...top, '-o', 'json', '-i', '100']),
    startTool(t, namespace, 'requests', [...top, '-i', '100']),
    startTool(t, namespace, 'requests', ['--top', '9', '--by', 'status', '-o', 'json', '-i', '1']),
  ]);
  const durations = await ask(namespace);
  await until(() => statuses.objects().some((row) => row['status'] === '503'), {
    what: 'a report',
  });
  await Promise.all([json, table, statuses].map((tool) => tool.stop()));
  const [first, second, ...more] = json.objects();
  t.strictSame(more, []);
  t.match(first, { route: 'GET /delay/*', side: 'server', count: EACH, errors: 0 });
  t.ok(Number(first?.['p50_seconds']) * 1000 >= SLOW_MS);
  const others = durations.filter((_, i) => i % REQUESTS.length !== 3);
  t.ok(Number(second?.['p99_seconds']) * 1000 <= 1.1 * Math.max(...others), 'no wider than 10 %');
  t.match(table.lines()[0], new RegExp(`^[\\d:]{8} ${TOTAL} requests by target, most time first$`));
  t.match(
    table.lines()[1],
    /^ROUTE +SIDE +PROCESS +COUNT +RATE\/s +TIME s +P50 ms .+ WHERE THE TIME GOES/,
  );
  t.match(table.lines()[2], /^GET \/delay\/\* /);
  t.equal(table.lines().length, 4);
  const last = new Map(
    statuses.objects().map((row) => [`${String(row['side'])} ${String(row['status'])}`, row]),
  );
  t.strictSame(
    SIDES.flatMap((side) =>
      ['200', '404', '503'].map((status) => {
        const { count, errors } = last.get(`${side} ${status}`) ?? {};
        return [side, status, count, errors];
      }),
    ),
    [
      ...[
        ['server', '200', 2 * EACH, 0],
        ['server', '404', EACH, 0],
        ['server', '503', EACH, EACH],
      ],
      ['client', '200', 2 * EACH, 0],
      ['client', '404', EACH, EACH],
      ['client', '503', EACH, EACH],
    ],
  );
});

t.test(
  '-i writes each request to requests.log and requests.ndjson, with its parts',
  { skip },
  async (t) => {
    const namespace = createNamespace(t);
    const collector = await startCollector(t, namespace, ['-i', '-q', '--ndjson']);
    await ask(namespace);
    t.strictSame(await collector.stop(), { code: 0, signal: null });
    const lines = collector.samples('requests.log');
    const objects = parseNdjson(collector.read('requests.ndjson'));
    t.equal(lines.length, 2 * TOTAL);
    const state = collector.samples('netwatch.prom');
    for (const file of ['requests.log', 'requests.ndjson'])
      t.equal(total(state, 'netwatch_records_written_total', { file }), 2 * TOTAL, file);
    t.strictSame(
      objects.map((one) => [one['side'], one['url_path'], one['total_seconds']]),
      lines.map(({ labels, value }) => [labels['side'], labels['url_path'], value]),
    );
    for (const side of SIDES) {
      const own = objects.filter((one) => one['side'] === side);
      const counted = { side, part: side === 'server' ? 'application' : 'remote' };
      const whole = own.filter((one) => one['partly_explained'] === null);
      t.equal(total(state, 'netwatch_http_request_part_seconds_count', counted), whole.length);
      t.ok(whole.length > 0, `${whole.length} of ${own.length} are explained`);
      for (const one of whole) {
        const parts = PART_NAMES[side]!.split(' ').map((name) => Number(one[`${name}_seconds`]));
        const sum = parts.reduce((all, seconds) => all + Math.round(seconds * 1e9), 0);
        t.equal(sum, Math.round(Number(one['total_seconds']) * 1e9), 'the parts add up');
        t.ok(parts.every((seconds) => seconds >= 0));
      }
      const slow = whole.filter((one) => one['url_path'] === `/delay/${SLOW_MS}`);
      t.ok(slow.every((one) => Number(one[`${counted.part}_seconds`]) * 1000 >= SLOW_MS - 1));
    }
    t.equal(typeof objects.find((one) => one['side'] === 'client')?.['connect_seconds'], 'number');
  },
);

const ENTER = '\u001b[?1049h\u001b[?25l';
const LEAVE = '\u001b[?25h\u001b[?1049l';
const RIGHT = '\u001b[C';
/** Something that nobody has thought of. */
const CRASH = `data:text/javascript,process.on('SIGUSR2',()=>{throw new Error('a bug')})`;

const startOnScreen = (t: Test, namespace: Namespace): Promise<OnScreen> =>
  startTop(t, [namespace], ['--top', '5'], { nodeArgs: ['--import', CRASH] });

t.test(
  'on a terminal the groups are a picture of their own, and keys sort',
  { skip },
  async (t) => {
    const namespace = createNamespace(t);
    const { terminal, exited, picture } = await startOnScreen(t, namespace);
    await until(() => picture().includes('0 requests by target'), { what: 'a picture' });
    t.ok(terminal.shown().startsWith(ENTER));
    await ask(namespace);
    const shows = (text: string): Promise<unknown> =>
      until(() => picture().includes(text), { what: text });
    await shows(`${2 * TOTAL} requests by target, most time first`);
    t.match(picture().split('\r\n')[2], /^GET \/delay\/\* +(server|client) /);
    terminal.press(RIGHT);
    await shows('most p50 first');
    terminal.press('\u001b[D');
    terminal.press('\u001b[D');
    await shows('most rate first');
    terminal.press('c');
    await shows('0 requests by target');
    t.equal(terminal.shown().split(ENTER).length, 2, 'entered once');
    terminal.press('q');
    t.strictSame(await exited, { code: 0, signal: null });
    await until(() => terminal.shown().includes(LEAVE), { what: 'the terminal is given back' });
    t.match(terminal.shown().split(LEAVE)[1], / COUNT +RATE/, 'the last table stays');
  },
);

for (const [how, end] of [
  ['SIGTERM', (child: ChildProcess) => child.kill('SIGTERM')],
  ['a bug', (child: ChildProcess) => child.kill('SIGUSR2')],
] as const) {
  t.test(`the terminal is given back after ${how}`, { skip }, async (t) => {
    const { terminal, child, exited, picture } = await startOnScreen(t, createNamespace(t));
    await until(() => picture().includes('requests by target'), { what: 'a picture' });
    end(child);
    t.equal((await exited).code === 0, how === 'SIGTERM');
    await until(() => terminal.shown().includes(LEAVE), { what: 'the terminal is given back' });
    t.equal(terminal.shown().split(LEAVE).length, 2);
  });
}

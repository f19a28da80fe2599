// What netwatch makes of real servers' traffic, request by request, against their own access logs.
import t, { type Test } from 'tap';
import type { HttpClientOptions, HttpRequest } from '../../scripts/traffic/programs.js';
import { startCollector, type Collector } from '../support/collector.js';
import { createNamespace, type Namespace } from '../support/netns.js';
import { parseNdjson, type Json } from '../support/ndjson.js';
import { startNginx } from '../support/nginx.js';
import { packetLines, portOf, type PacketLine } from '../support/packets.js';
import { losses, select, total, type Sample } from '../support/samples.js';
import { needsCommands, needsRoot, unless } from '../support/skip.js';
import { startProgram } from '../support/traffic.js';
import {
  FILE,
  haveWebServers,
  startApache,
  startHaproxy,
  startNodeServer,
  startPythonServer,
  type LoggedAnswer,
} from '../support/web-servers.js';

const skip =
  needsRoot ||
  needsCommands('nginx', 'python3') ||
  unless(haveWebServers, 'needs apache2 and haproxy');

const FIRST_PORT = 8001;
const SIDES = ['server', 'client'] as const;
type Side = (typeof SIDES)[number];

/** What is asked, and what of it may be shown. */
const MASKED: Readonly<Record<string, string>> = {
  '/file?token=hunter2&page=3': '/file?token=*&page=*',
  '/reset/hunter2': '/reset/*',
  '/users/jane@mail.example/x': '/users/*@mail.example/x',
};

const GETS = [{}, { path: FILE.path }, { path: '/file/none' }, { method: 'HEAD', path: FILE.path }];

/** Answers without a body, whatever their heads say of one: 204 and 304 where the server has them. */
const BODILESS: readonly HttpRequest[] = ['GET', 'HEAD'].flatMap((method) => [
  { method, path: '/empty' },
  { method, path: FILE.path, headers: { 'If-None-Match': '*' } },
  { method, path: FILE.path, headers: { 'If-Modified-Since': 'Fri, 31 Dec 2100 00:00:00 GMT' } },
]);

/** What goes to and fro behind it is no HTTP, though it looks like it. */
/** Connections that are upgraded. */
const UPGRADES = 2;
const UPGRADE: HttpRequest = {
  path: '/socket',
  headers: { Connection: 'Upgrade', Upgrade: 'websocket', 'Sec-WebSocket-Version': '13' },
  echo: 5000,
};
const SECRETS = Object.keys(MASKED).map((path) => ({ path }));
type Asked = Partial<HttpClientOptions> & { readonly total: number };

/** What any server takes on connections that go on. */
const KEPT_ALIVE: readonly Asked[] = [
  { total: 35, connections: 4, concurrency: 2, requests: [...GETS, ...SECRETS] },
  { total: 12, connections: 2, pipeline: 4, requests: GETS },
  { total: 14, connections: 2, requests: BODILESS },
  { total: 14, connections: 2, pipeline: 7, requests: [...BODILESS, {}] },
  { total: 4, connections: 2, connectFirst: true, requests: [{ split: 7 }] },
  // once on each: HAProxy answers before the body has come, and then closes
  { total: 2, connections: 2, requests: [{ method: 'POST', chunks: [3, 4000, 1] }] },
  { total: 3, connections: 3, close: 'wait', requests: [{ version: '1.0' }] },
];

const ONCE = { total: 3, connections: 3, concurrency: 3, close: 'wait' } as const;

/** And on connections with one request each. */
const CLOSED: readonly Asked[] = [
  ...[...GETS, ...SECRETS, ...BODILESS].map((request) => ({ ...ONCE, requests: [request] })),
  { ...ONCE, connections: 1, total: 1, requests: [{ method: 'POST', chunks: [3, 4000, 1] }] },
  { total: 4, connections: 4, connectFirst: true, requests: [{ split: 7 }], close: 'wait' },
];

/** Requests that most servers refuse; what comes back is an answer to them. */
const REFUSED: readonly HttpRequest[] = [
  { path: '/two words' },
  { headers: { 'Bad Header': 'x' } },
  { path: `/${'long/'.repeat(1800)}` },
  { headers: { 'Content-Length': '5, 6' } },
  { headers: { 'Content-Length': '99999999999999999999' } },
  { headers: { 'Transfer-Encoding': 'gzip' } },
  { path: '/\0' },
  { method: 'A'.repeat(31) },
  { headers: { Expect: 'the-unexpected' } },
];

async function ask(namespace: Namespace, port: number, asked: readonly Asked[]): Promise<void> {
  for (const options of asked) {
    const client = await startProgram(namespace, 'http-client', { port, ...options });
    await client.go();
    await client.stop();
  }
}

interface HeadLine {
  readonly client: number;
  readonly isRequest: boolean;
  readonly http: string;
}

/** `port method path status` of each exchange, by the order of the heads on each connection. */
function paired(lines: readonly HeadLine[]): string[] {
  const perClient = new Map<number, { requests: string[]; statuses: string[] }>();
  for (const { client, isRequest, http } of lines) {
    const of = perClient.get(client) ?? { requests: [], statuses: [] };
    perClient.set(client, of);
    for (const head of http.split(' | ')) {
      const [first = '', second = ''] = head.split(' ');
      if (isRequest) of.requests.push(`${first} ${head.replace(/^\S+ | HTTP\/1\.\d$/g, '')}`);
      else if (!/^10[03]$/.test(second)) of.statuses.push(second);
    }
  }
  return [...perClient].flatMap(([client, { requests, statuses }]) =>
    Array.from({ length: Math.max(requests.length, statuses.length) }, (_, at) =>
      [client, requests[at] ?? '-', statuses[at] ?? '-'].join(' '),
    ),
  );
}

/** The exchanges of a port that the packets of one side tell. */
function seenBy(side: Side, port: number, lines: readonly PacketLine[]): string[] {
  const ends = lines.map(({ src, dst, received, http }) => {
    const [server, client] = side === 'server' ? [src, dst] : [dst, src];
    const isRequest = received === (side === 'server');
    return { server: portOf(server), client: portOf(client), isRequest, http: http ?? '' };
  });
  return paired(ends.filter(({ server, http }) => server === port && http !== ''));
}

const logged = (answers: readonly LoggedAnswer[]): string[] =>
  answers.map(({ peerPort, method, path, status }) =>
    [peerPort, method, MASKED[path] ?? path, status].join(' '),
  );

/** By method and status, from the histogram of durations; `-` is no answer. */
function counted(state: readonly Sample[], side: Side, port: number): Record<string, number> {
  const counts: Record<string, number> = {};
  const name = `http_${side}_request_duration_seconds_count`;
  for (const { labels, value } of select(state, name, { server_port: String(port) })) {
    const key = `${labels['http_request_method']} ${labels['http_response_status_code'] ?? '-'}`;
    counts[key] = (counts[key] ?? 0) + value;
  }
  return counts;
}

function tally(answers: readonly LoggedAnswer[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const { method, status } of answers) {
    const key = `${method} ${status}`;
    counts[key] = (counts[key] ?? 0) + 1;
  }
  return counts;
}

interface Watched {
  readonly lines: readonly PacketLine[];
  readonly state: readonly Sample[];
}

async function stopped(t: Test, collector: Collector): Promise<Watched> {
  t.strictSame(await collector.stop(), { code: 0, signal: null });
  const state = collector.samples('netwatch.prom');
  t.strictSame(losses(state), {}, 'nothing is lost');
  t.equal(total(state, 'netwatch_http_responses_unmatched_total'), 0, 'nor an answer');
  return { lines: packetLines(collector.samples('packets.log')), state };
}

function compare(
  t: Test,
  { lines, state }: Watched,
  port: number,
  answers: readonly LoggedAnswer[],
): void {
  t.not(answers.length, 0);
  for (const side of SIDES) {
    t.strictSame(seenBy(side, port, lines).sort(), logged(answers).sort(), `as the ${side}`);
    t.strictSame(counted(state, side, port), tally(answers), `counts at the ${side}`);
  }
}

interface Served {
  readonly port: number;
  answers(): readonly LoggedAnswer[];
  stop(): Promise<void>;
}

type Start = (t: Test, namespace: Namespace, port: number) => Promise<Served>;

const SERVERS: Readonly<Record<string, readonly [Start, readonly Asked[]]>> = {
  nginx: [(t, namespace, port) => startNginx(t, namespace, { port }), KEPT_ALIVE],
  'nginx that defers accept': [
    (t, namespace, port) => startNginx(t, namespace, { port, listen: 'deferred' }),
    KEPT_ALIVE,
  ],
  'Apache with the defaults of its distribution': [startApache, KEPT_ALIVE],
  'HAProxy that defers accept': [
    (t, namespace, port) => startHaproxy(t, namespace, { port, bind: 'defer-accept' }),
    KEPT_ALIVE,
  ],
  'a Node.js server': [
    startNodeServer,
    [...KEPT_ALIVE, { total: UPGRADES, connections: UPGRADES, requests: [UPGRADE] }],
  ],
  'a Python server': [startPythonServer, CLOSED],
};

t.test('every request to a real server is seen as it was logged', { skip }, async (t) => {
  const served = await Promise.all(
    Object.entries(SERVERS).map(async ([name, [start, asked]], at) => {
      const namespace = createNamespace(t);
      return { name, asked, namespace, server: await start(t, namespace, FIRST_PORT + at) };
    }),
  );
  const netns = served.map(({ namespace }) => namespace.name);
  const collector = await startCollector(t, served[0]!.namespace, ['-i', '-q'], { netns });
  for (const { namespace, server, asked } of served) {
    await ask(namespace, server.port, asked);
    await server.stop();
  }
  const watched = await stopped(t, collector);
  const statuses = new Set(served.flatMap(({ server }) => server.answers().map((a) => a.status)));
  for (const status of [101, 204, 304]) t.ok(statuses.has(status), `there is a ${status}`);
  const tunnels = { taken_for: 'tunnel' };
  t.equal(
    total(watched.state, 'netwatch_http_connections_total', tunnels),
    2 * UPGRADES,
    'tunnels, at both ends',
  );
  for (const { name, server } of served) {
    await t.test(`as ${name} logged it`, (t) => {
      compare(t, watched, server.port, server.answers());
      t.end();
    });
  }
});

const PROXY = 9001;
const BEHIND = 9002;

t.test('a proxy and what is behind it are seen as both log', { skip }, async (t) => {
  const behind: Readonly<Record<string, Start>> = {
    nginx: (t, namespace, port) => startNginx(t, namespace, { port, listen: 'proxy_protocol' }),
    HAProxy: (t, namespace, port) => startHaproxy(t, namespace, { port, bind: 'accept-proxy' }),
  };
  for (const [name, start] of Object.entries(behind)) {
    await t.test(`with ${name} behind it`, async (t) => {
      const namespace = createNamespace(t);
      const origin = await start(t, namespace, BEHIND);
      const proxy = await startHaproxy(t, namespace, {
        port: PROXY,
        bind: 'defer-accept',
        backend: `127.0.0.1:${BEHIND} send-proxy-v2`,
      });
      const collector = await startCollector(t, namespace, ['-i', '-q', '--ndjson']);
      await ask(namespace, PROXY, KEPT_ALIVE);
      await proxy.stop();
      await origin.stop();
      const watched = await stopped(t, collector);
      compare(t, watched, PROXY, proxy.answers());
      for (const side of SIDES)
        t.strictSame(counted(watched.state, side, BEHIND), tally(origin.answers()), side);
      // behind the proxy each head is told of the client that the proxy names, at either end
      const objects = parseNdjson(collector.read('packets.ndjson'));
      for (const local of [true, false])
        t.strictSame(seenProxied(objects, local).sort(), logged(proxy.answers()).sort());
    });
  }
});

/** As {@link seenBy} behind the proxy, by the client that it names. */
function seenProxied(objects: readonly Json[], isServer: boolean): string[] {
  const field = isServer ? 'network_local_port' : 'network_peer_port';
  const lines = objects
    .filter((object) => object[field] === BEHIND && object['http_info'] !== null)
    .map((object) => ({
      client: Number(object['client_port']),
      isRequest: (object['network_io_direction'] === 'receive') === isServer,
      http: String(object['http_info']),
    }));
  return paired(lines);
}

t.test(
  'what a server refuses is an exchange of its method with the status that came back',
  { skip },
  async (t) => {
    const served = await Promise.all(
      Object.entries(SERVERS).map(async ([name, [start]], at) => {
        const namespace = createNamespace(t);
        return { name, namespace, server: await start(t, namespace, FIRST_PORT + at) };
      }),
    );
    const netns = served.map(({ namespace }) => namespace.name);
    const collector = await startCollector(t, served[0]!.namespace, ['-i', '-q'], { netns });
    const answers: Record<string, number>[] = [];
    for (const { namespace, server } of served) {
      const statuses: Record<string, number> = {};
      for (const request of REFUSED) {
        const options = { port: server.port, requests: [request] };
        const client = await startProgram(namespace, 'http-client', options);
        const { statuses: came, errors } = await client.go();
        await client.stop();
        const status = Object.keys(came)[0] ?? (errors['ECLOSED'] === 1 ? '-' : 'no end');
        const method = request.method === undefined ? 'GET' : '_OTHER';
        statuses[`${method} ${status}`] = (statuses[`${method} ${status}`] ?? 0) + 1;
      }
      answers.push(statuses);
      await server.stop();
    }
    const { state } = await stopped(t, collector);
    for (const [at, { name, server }] of served.entries())
      for (const side of SIDES)
        t.strictSame(counted(state, side, server.port), answers[at], `${name}, ${side}`);
  },
);

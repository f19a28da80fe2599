// What netwatch makes of real servers' traffic, request by request, against their own access logs.
import t, { type Test } from 'tap';
import type { HttpClientOptions } from '../../scripts/traffic/programs.js';
import { startCollector, type Collector } from '../support/collector.js';
import { createNamespace, type Namespace } from '../support/netns.js';
import { startNginx } from '../support/nginx.js';
import { packetLines, portOf, type PacketLine } from '../support/packets.js';
import { select, total, type Sample } from '../support/samples.js';
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

const SIDES = ['server', 'client'] as const;
type Side = (typeof SIDES)[number];

/** What is asked, and what of it may be shown. */
const MASKED: Readonly<Record<string, string>> = {
  '/file?token=hunter2&page=3': '/file?token=*&page=*',
  '/reset/hunter2': '/reset/*',
  '/users/jane@mail.example/x': '/users/*@mail.example/x',
};

const GETS = [{}, { path: FILE.path }, { path: '/file/none' }, { method: 'HEAD', path: FILE.path }];
const SECRETS = Object.keys(MASKED).map((path) => ({ path }));
type Asked = Partial<HttpClientOptions> & { readonly total: number };

/** What any server takes on connections that go on. */
const KEPT_ALIVE: readonly Asked[] = [
  { total: 35, connections: 4, concurrency: 2, requests: [...GETS, ...SECRETS] },
  { total: 12, connections: 2, pipeline: 4, requests: GETS },
  { total: 4, connections: 2, connectFirst: true, requests: [{ split: 7 }] },
  { total: 3, requests: [{ method: 'POST', chunks: [3, 4000, 1] }, {}] },
  { total: 3, connections: 3, close: 'wait', requests: [{ version: '1.0' }] },
];

const ONCE = { total: 3, connections: 3, concurrency: 3, close: 'wait' } as const;

/** And on connections with one request each. */
const CLOSED: readonly Asked[] = [
  ...[...GETS, ...SECRETS].map((request) => ({ ...ONCE, requests: [request] })),
  { ...ONCE, connections: 1, total: 1, requests: [{ method: 'POST', chunks: [3, 4000, 1] }] },
  { total: 4, connections: 4, connectFirst: true, requests: [{ split: 7 }], close: 'wait' },
];

/** Requests that servers refuse; what comes back is an answer to them. */
const REFUSED: readonly Asked[] = [
  { total: 1, close: 'wait', requests: [{ path: '/two words' }] },
  { total: 1, close: 'wait', requests: [{ headers: { 'Bad Header': 'x' } }] },
  { total: 1, close: 'wait', requests: [{ path: `/${'long/'.repeat(20_000)}` }] },
];

async function ask(namespace: Namespace, port: number, asked: readonly Asked[]): Promise<void> {
  for (const options of asked) {
    const client = await startProgram(namespace, 'http-client', { port, ...options });
    await client.go();
    await client.stop();
  }
}

/** `port method path status` of each exchange that the packets of one side tell, in order. */
function seenBy(side: Side, port: number, lines: readonly PacketLine[]): string[] {
  const perClient = new Map<number, { requests: string[]; statuses: string[] }>();
  for (const { src, dst, received, http } of lines) {
    const [server, client] = side === 'server' ? [src, dst] : [dst, src];
    if (portOf(server) !== port) continue;
    const heads = (http ?? '').split(' | ').filter(Boolean);
    const of = perClient.get(portOf(client)) ?? { requests: [], statuses: [] };
    perClient.set(portOf(client), of);
    const isRequest = received === (side === 'server');
    for (const head of heads) {
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

const logged = (answers: readonly LoggedAnswer[]): string[] =>
  answers.map(({ peerPort, method, path, status }) =>
    [peerPort, method, MASKED[path] ?? path, status].join(' '),
  );

/** By method and status, from the histogram of durations. */
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
  t.equal(total(state, 'netwatch_events_lost_total'), 0, 'nothing is lost');
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
type Start = (t: Test, namespace: Namespace) => Promise<Served>;

const SERVERS: Readonly<Record<string, readonly [Start, readonly Asked[]]>> = {
  nginx: [(t, namespace) => startNginx(t, namespace), KEPT_ALIVE],
  'nginx that defers accept': [
    (t, namespace) => startNginx(t, namespace, { listen: 'deferred' }),
    KEPT_ALIVE,
  ],
  'Apache with the defaults of its distribution': [startApache, KEPT_ALIVE],
  'HAProxy that defers accept': [
    (t, namespace) => startHaproxy(t, namespace, { port: 8080, bind: 'defer-accept' }),
    KEPT_ALIVE,
  ],
  'a Node.js server': [(t, namespace) => startNodeServer(t, namespace, 8080), KEPT_ALIVE],
  'a Python server': [(t, namespace) => startPythonServer(t, namespace, 8080), CLOSED],
};

for (const [name, [start, asked]] of Object.entries(SERVERS)) {
  t.test(`${name}: every request is seen as it was logged`, { skip }, async (t) => {
    const namespace = createNamespace(t);
    const server = await start(t, namespace);
    const collector = await startCollector(t, namespace, ['-i', '-q']);
    await ask(namespace, server.port, asked);
    await server.stop();
    compare(t, await stopped(t, collector), server.port, server.answers());
  });
}

// -i against what both ends of the HTTP traffic count themselves: every head on its packet, every request
// in the histograms, no secret anywhere.
import { METHODS } from 'node:http';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { dropPackets, plainDevice, wideWindow } from '../../scripts/traffic/faults.js';
import type {
  HttpClientOptions,
  HttpRequest,
  HttpServerOptions,
} from '../../scripts/traffic/programs.js';
import { startCollector } from '../support/collector.js';
import { createNamespace } from '../support/netns.js';
import { startNginx } from '../support/nginx.js';
import { difference, hasPort, packetLines, SAME, type PacketLine } from '../support/packets.js';
import { select, total, type Sample } from '../support/samples.js';
import { needsCommands, needsRoot } from '../support/skip.js';
import { runHttp, SECRET_REQUESTS, SECRETS, startProgram } from '../support/traffic.js';

interface HttpCase {
  readonly client: Partial<HttpClientOptions> & { readonly total: number };
  readonly server?: Partial<HttpServerOptions>;
  /** How often each request is made, by method and status; default: GET 200 as often as there are. */
  readonly answers?: Readonly<Record<string, number>>;
  /** Provisional answers. */
  readonly informational?: number;
  readonly version?: '1.0';
}

/** What a body may hold to be mistaken for messages. */
const FAKE = 'GET /fake HTTP/1.1\r\nHost: fake\r\n\r\nHTTP/1.1 500 Fake\r\n\r\n';

const CASES: Readonly<Record<string, HttpCase>> = {
  'keep-alive': { client: { total: 101, connections: 3 } },
  'keep-alive over IPv6': { client: { total: 31, connections: 2, host: '::1' } },
  'connections at the same time': { client: { total: 199, connections: 13, concurrency: 13 } },
  pipelining: { client: { total: 101, pipeline: 10 } },
  'pipelining with joined answers': {
    client: { total: 101, pipeline: 10 },
    server: { coalesce: true },
  },
  'a long answer': { client: { total: 7, requests: [{ path: '/bytes/1000003' }] } },
  'a long request': {
    client: { total: 7, requests: [{ method: 'PUT', body: 300_007 }] },
    answers: { 'PUT 200': 7 },
  },
  'chunked answers': { client: { total: 7, requests: [{ path: '/chunked/3/100' }] } },
  'chunked requests': {
    client: { total: 7, requests: [{ method: 'POST', chunks: [3, 4000, 1] }] },
    answers: { 'POST 200': 7 },
  },
  'heads in single bytes': { client: { total: 3, requests: [{ split: 1 }] } },
  'answers in single bytes': { client: { total: 3, requests: [{ path: '/split' }] } },
  'answers without a body': {
    client: {
      total: 12,
      requests: [
        { method: 'HEAD', path: '/bytes/10' },
        { path: '/status/204' },
        { path: '/status/304' },
        { path: '/bytes/3' },
      ],
    },
    answers: { 'HEAD 200': 3, 'GET 204': 3, 'GET 304': 3, 'GET 200': 3 },
  },
  '100 Continue': {
    client: { total: 5, requests: [{ method: 'POST', body: 70, expect: true }] },
    answers: { 'POST 200': 5 },
    informational: 5,
  },
  'early hints': { client: { total: 5, requests: [{ path: '/hints' }] }, informational: 5 },
  'an upgrade': {
    client: { total: 1, requests: [{ headers: { Upgrade: 'echo' }, echo: 500 }] },
    answers: { 'GET 101': 1 },
  },
  'a tunnel': {
    client: { total: 1, requests: [{ method: 'CONNECT', path: 'a:1', echo: 500 }] },
    answers: { 'CONNECT 200': 1 },
  },
  'any method': {
    client: {
      total: 10,
      requests: [
        { method: 'FROB' },
        { method: 'DELETE' },
        { method: 'X-Y!' },
        { method: 'PATCH' },
        { method: 'OPTIONS', path: '*' },
      ],
    },
    answers: { '_OTHER 200': 4, 'DELETE 200': 2, 'PATCH 200': 2, 'OPTIONS 200': 2 },
  },
  errors: {
    client: { total: 4, requests: [{ path: '/status/404' }, { path: '/status/503' }] },
    answers: { 'GET 404': 2, 'GET 503': 2 },
  },
  'answers that look like heads': { client: { total: 5, requests: [{ path: '/fake' }] } },
  'requests that look like heads': {
    client: { total: 5, requests: [{ method: 'POST', body: FAKE }] },
    answers: { 'POST 200': 5 },
  },
  'HTTP/1.0': {
    client: { total: 3, connections: 3, requests: [{ version: '1.0' }], close: 'wait' },
    version: '1.0',
  },
  'answers that end with the connection': {
    client: { total: 3, connections: 3, requests: [{ path: '/close' }], close: 'wait' },
  },
};

const FIRST_PORT = 8001;

const ROLES = ['server', 'client'] as const;

/** Requests by role, method and status. */
function counted(state: readonly Sample[], port: number): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const role of ROLES) {
    for (const { labels, value } of select(state, `http_${role}_request_duration_seconds_count`, {
      server_port: String(port),
    })) {
      const key = `${role} ${labels['http_request_method']} ${labels['http_response_status_code']}`;
      counts[key] = (counts[key] ?? 0) + value;
    }
  }
  return counts;
}

/** First lines by kind, one for each head. */
function heads(lines: readonly PacketLine[]): { requests: string[]; answers: string[] } {
  const all = lines.flatMap(({ http, received }) =>
    (http ?? '')
      .split(' | ')
      .filter(Boolean)
      .map((text) => `${received ? 'rx' : 'tx'} ${text}`),
  );
  const isAnswer = (text: string): boolean => /^.x HTTP\//.test(text);
  return { requests: all.filter((text) => !isAnswer(text)), answers: all.filter(isAnswer) };
}

/** A method that nobody has registered may be anything, even a secret. */
const shownMethod = (method: string): string => (METHODS.includes(method) ? method : '_OTHER');

const bothWays = (texts: readonly string[]): string[] =>
  ['tx', 'rx'].flatMap((way) => texts.map((text) => `${way} ${text}`));

t.test(
  'every head and every request is counted once at either end',
  { skip: needsRoot },
  async (t) => {
    const namespace = createNamespace(t);
    wideWindow(namespace);
    const collectors = [];
    for (const args of [
      ['-i', '-q'],
      ['-i', '-t', '-q'],
    ])
      collectors.push(await startCollector(t, namespace, args));
    const results: Awaited<ReturnType<typeof runHttp>>[] = [];
    for (const [i, { client, server }] of Object.values(CASES).entries()) {
      const port = FIRST_PORT + i;
      results.push(await runHttp(namespace, { port, ...client }, { port, ...server }));
    }
    for (const collector of collectors) t.match(await collector.stop(), { code: 0 });
    const seen = collectors.map((collector) => ({
      lines: packetLines(collector.samples('packets.log')),
      state: collector.samples('netwatch.prom'),
    }));
    for (const [
      i,
      [name, { client, answers, informational = 0, version = '1.1' }],
    ] of Object.entries(CASES).entries()) {
      await t.test(name, (t) => {
        const port = FIRST_PORT + i;
        const { total: requests } = client;
        t.match(results[i], {
          client: { responses: requests, informational, errors: {} },
          server: { requests },
        });
        const wanted = Object.fromEntries(
          ROLES.flatMap((role) =>
            Object.entries(answers ?? { 'GET 200': requests }).map(([what, n]) => [
              `${role} ${what}`,
              n,
            ]),
          ),
        );
        const asked = Array.from({ length: requests }, (_, n) => nth(client, n));
        const texts = asked.map(
          ({ method = 'GET', path = '/' }) => `${shownMethod(method)} ${path} HTTP/${version}`,
        );
        for (const { lines, state } of seen) {
          t.strictSame(counted(state, port), wanted, 'histograms');
          const own = heads(lines.filter((line) => hasPort(line, port)));
          t.strictSame(difference(bothWays(texts), own.requests), SAME, 'request lines');
          t.equal(own.answers.length, 2 * (requests + informational), 'status lines');
          const statuses = own.answers
            .map((text) => text.split(' ')[2])
            .filter((status) => !/^10[03]$/.test(status ?? ''));
          const byStatus = Object.entries(results[i]?.client.statuses ?? {});
          t.strictSame(
            difference(
              byStatus.flatMap(([status, n]) => Array<string>(2 * n).fill(status)),
              statuses as string[],
            ),
            SAME,
          );
        }
        t.end();
      });
    }
    for (const { lines, state } of seen) {
      t.equal(total(state, 'netwatch_http_resyncs_total'), 0);
      const series = state.filter(({ name }) =>
        /^http_.*_request_duration_seconds_count$/.test(name),
      );
      const old = String(FIRST_PORT + Object.keys(CASES).indexOf('HTTP/1.0'));
      const odd = series.filter(
        ({ labels }) =>
          labels['url_scheme'] !== 'http' ||
          labels['network_protocol_version'] !== (labels['server_port'] === old ? '1.0' : '1.1'),
      );
      t.strictSame(odd, [], 'the version is that of the request');
      const errors = series.map(({ name, labels }) => {
        const { http_response_status_code: status = '', error_type = '-' } = labels;
        return status < '400'
          ? `other ${error_type}`
          : `${name.split('_')[1]} ${status} ${error_type}`;
      });
      t.strictSame(
        [...new Set(errors)].sort(),
        ['client 404 404', 'client 503 503', 'other -', 'server 404 -', 'server 503 503'],
        'what a server answers well is an error to its client',
      );
      t.equal(lines.filter(({ http }) => http === undefined).length, 0, 'every line has the label');
    }
  },
);

/** As the client takes them: in turn on each connection from the start. */
function nth(
  { total: all, connections = 1, requests = [{}] }: HttpCase['client'],
  n: number,
): HttpRequest {
  const first = all % connections;
  const share = Math.floor(all / connections);
  const long = first * (share + 1);
  const place = n < long ? n % (share + 1) : (n - long) % share;
  return requests[place % requests.length] ?? {};
}

t.test(
  'durations hold what the server waits, and no more than the client sees',
  { skip: needsRoot },
  async (t) => {
    const namespace = createNamespace(t);
    const collector = await startCollector(t, namespace, ['-i', '-q']);
    const requests = [{ path: '/delay/30' }, { path: '/delay/110' }, { path: '/bytes/1' }];
    const { client } = await runHttp(namespace, { total: 9, requests });
    await collector.stop();
    const state = collector.samples('netwatch.prom');
    const secondsSeen = client.durationsMs.reduce((a, b) => a + b, 0) / 1000;
    for (const role of ROLES) {
      const name = `http_${role}_request_duration_seconds`;
      const sum = total(state, `${name}_sum`);
      t.ok(sum >= 3 * 0.14, `${role}: ${sum} s`);
      t.ok(sum <= secondsSeen, `${role}: ${sum} s of ${secondsSeen} s`);
      const above = (le: string): number => 9 - total(state, `${name}_bucket`, { le });
      t.equal(above('+Inf'), 0);
      t.ok(
        above('0.025') >= 6 && above('0.1') >= 3,
        'in their buckets, or above on a busy machine',
      );
    }
  },
);

t.test(
  'connections that are under way are read from their next head on',
  { skip: needsRoot },
  async (t) => {
    const namespace = createNamespace(t);
    const server = await startProgram(namespace, 'http-server', { port: 8080 });
    const options = { port: 8080, connections: 3, total: 31, close: 'hold' } as const;
    const requests = [{}, { path: '/bytes/5000' }, { method: 'POST', body: 3000 }];
    const client = await startProgram(namespace, 'http-client', { ...options, requests });
    await client.go();
    const collector = await startCollector(t, namespace, ['-i', '-q']);
    const { statuses } = await client.go();
    t.strictSame(statuses, { 200: 31 });
    await client.stop();
    await server.stop();
    await collector.stop();
    const sums: Record<string, number> = {};
    for (const [what, n] of Object.entries(counted(collector.samples('netwatch.prom'), 8080))) {
      const role = what.split(' ')[0] ?? '';
      sums[role] = (sums[role] ?? 0) + n;
    }
    t.strictSame(sums, { server: 31, client: 31 });
  },
);

t.test('loss invents no request', { skip: needsRoot || needsCommands('nft') }, async (t) => {
  const namespace = createNamespace(t);
  plainDevice(namespace);
  const collector = await startCollector(t, namespace, ['-i', '-r', '-q']);
  const loss = dropPackets(namespace, { percent: 2 });
  const requests = [
    { path: '/bytes/30011' },
    { method: 'PUT', body: 20_011 },
    { path: '/chunked/7/900' },
  ];
  const client = { total: 211, connections: 5, concurrency: 5, requests };
  const played = await runHttp(namespace, client);
  t.strictSame(played.client.statuses, { 200: 211 });
  t.ok(loss.dropped() > 50, `${loss.dropped()} lost`);
  await collector.stop();
  const state = collector.samples('netwatch.prom');
  const { GET = 0, PUT = 0 } = played.server.methods;
  // where a head arrives out of order, its exchange is not counted, but that is
  const bounds = {
    'client GET 200': GET,
    'client PUT 200': PUT,
    'server GET 200': GET,
    'server PUT 200': PUT,
  };
  const found = counted(state, 8080);
  t.strictSame(Object.keys(found).sort(), Object.keys(bounds));
  for (const [what, most] of Object.entries(bounds)) {
    const count = found[what] ?? 0;
    t.ok(count <= most && count >= 0.8 * most, `${what}: ${count} of ${most}`);
  }
  const missing = 2 * 211 - Object.values(found).reduce((a, b) => a + b, 0);
  const resyncs = total(state, 'netwatch_http_resyncs_total');
  t.ok(missing === 0 || resyncs > 0, `${missing} missing, ${resyncs} resyncs`);
});

t.test(
  'nginx with sendfile is counted as it logs',
  { skip: needsRoot || needsCommands('nginx') },
  async (t) => {
    const namespace = createNamespace(t);
    const nginx = await startNginx(t, namespace);
    const collector = await startCollector(t, namespace, ['-i', '-t', '-q']);
    const requests = [
      {},
      { path: '/file' },
      { method: 'HEAD', path: '/file' },
      { path: '/file/none' },
    ];
    const options = { port: nginx.port, connections: 7, concurrency: 3, total: 131, requests };
    const client = await startProgram(namespace, 'http-client', options);
    const { responses, responseBodyBytes } = await client.go();
    t.equal(responses, 131);
    t.ok(responseBodyBytes > 30 * 100_003);
    await nginx.stop();
    await collector.stop();
    const logged: Record<string, number> = {};
    for (const { method, status } of nginx.answers()) {
      const key = `${method} ${status}`;
      logged[key] = (logged[key] ?? 0) + 1;
    }
    const state = collector.samples('netwatch.prom');
    const wanted = ROLES.flatMap((role) =>
      Object.entries(logged).map(([what, n]) => [`${role} ${what}`, n]),
    );
    t.strictSame(counted(state, nginx.port), Object.fromEntries(wanted));
    const { answers, requests: asked } = heads(packetLines(collector.samples('packets.log')));
    t.equal(answers.length, 2 * 131);
    t.equal(asked.length, 2 * 131);
  },
);

t.test('what a path holds stays on its line, cut if it is long', { skip: needsRoot }, async (t) => {
  const namespace = createNamespace(t);
  const collector = await startCollector(t, namespace, ['-i']);
  const paths = [
    '/"} 1',
    '/a\\nb',
    '/netwatch_fake{x="y"} 1',
    '/\x1b[2J',
    '/\xff\xfe',
    '/\u00e9',
    `/${'a/'.repeat(3000)}`,
  ];
  const requests = paths.map((path) => ({ path }));
  await runHttp(namespace, { total: 7, requests });
  await collector.stop();
  const lines = packetLines(collector.samples('packets.log')); // strictly parsed: one name only
  const asked = heads(lines).requests.filter((text) => text.startsWith('tx '));
  t.equal(asked.length, 7);
  t.strictSame(
    asked.slice(0, 3),
    paths.slice(0, 3).map((path) => `tx GET ${path} HTTP/1.1`),
  );
  t.ok(asked.every((text) => text.length <= 3 + 256 && !/\p{Cc}/u.test(text)));
  t.match(asked.at(-1), /^tx GET \/(a\/)+.*…/);
  const rows = collector.stdout();
  t.notMatch(rows, /[^\n\P{Cc}]/u, 'nor does the table steer the terminal');
  t.equal(rows.split('\n').length, lines.length + 2);
});

t.test('no secret reaches a file or the screen', { skip: needsRoot }, async (t) => {
  const namespace = createNamespace(t);
  for (const split of [0, 7]) {
    const collector = await startCollector(t, namespace, [
      '-x',
      '-r',
      '-t',
      '-i',
      '-e',
      '-a',
      '-v',
      '--ndjson',
    ]);
    const requests = SECRET_REQUESTS.map((request) => (split ? { ...request, split } : request));
    const { client } = await runHttp(namespace, { total: requests.length, requests });
    t.equal(client.responses, requests.length);
    await collector.stop();
    t.equal(
      heads(packetLines(collector.samples('packets.log'))).requests.length,
      2 * requests.length,
    );
    const outputs = readdirSync(collector.dataFolder).map(
      (name) => [name, readFileSync(join(collector.dataFolder, name))] as const,
    );
    const all = Object.fromEntries([
      ...outputs,
      ['stdout', Buffer.from(collector.stdout())],
      ['stderr', Buffer.from(collector.stderr())],
    ]) as Record<string, Buffer>;
    t.match(
      Object.keys(all).sort().join(),
      /connects.log,.*netwatch.prom,packets.log,packets.ndjson,requests.log,requests.ndjson,stderr,stdout/,
    );
    const found = Object.entries(all).flatMap(([name, bytes]) =>
      [...Object.values(SECRETS), 'S3CR3T']
        .filter((secret) => bytes.includes(secret))
        .map((secret) => `${secret} in ${name}`),
    );
    t.strictSame(found, [], split ? 'with heads in pieces' : 'with heads in one piece');
  }
});

// What the collector says at its end, against the traffic programs, nstat and netwatch.prom.
import t from 'tap';
import { dropPackets, plainDevice } from '../../scripts/traffic/faults.js';
import { startCollector, type Collector } from '../support/collector.js';
import { createNamespace } from '../support/netns.js';
import { countFrom } from '../support/nstat.js';
import { select } from '../support/samples.js';
import { needsCommands, needsRoot } from '../support/skip.js';
import { sockets } from '../support/ss.js';
import { CLOSED_PORT, runHttp, runTcp, startProgram } from '../support/traffic.js';
import { until } from '../support/wait.js';

const skip = needsRoot || needsCommands('nft', 'nstat');

/** What the line says that begins so. */
const said = (collector: Collector, what: string): string | undefined =>
  new RegExp(`^netwatch: ${what}: (.*)$`, 'm').exec(collector.stderr())?.[1];

t.test('the summary names what has happened', { skip }, async (t) => {
  const namespace = createNamespace(t);
  plainDevice(namespace, 'lo');
  const collector = await startCollector(t, namespace, ['-q', '-r', '-i', '-e']);
  const grown = await countFrom(namespace);
  const common = { connections: 5, requestBytes: 1000, replyBytes: 20_000 };
  const server = await startProgram(namespace, 'tcp-server', { port: 7000, ...common });
  const client = await startProgram(
    namespace,
    'tcp-client',
    { port: 7000, ...common },
    { comm: 'the-client' },
  );
  t.equal((await client.go()).completed, 5);
  await client.stop();
  await server.stop();
  const refused = { port: CLOSED_PORT, connections: 3 };
  const caller = await startProgram(namespace, 'tcp-client', refused);
  t.match((await caller.go()).errors, { ECONNREFUSED: 3 });
  await caller.stop();
  await runHttp(namespace, {
    total: 7,
    requests: [{ path: '/bytes/10' }, { path: '/status/404' }],
  });
  const rule = dropPackets(namespace, { to: 7001, only: 'data', kth: [5, 6] });
  await runTcp(namespace, { port: 7001, requestBytes: 300_007 }, { port: 7001 });
  rule.remove();
  const { TcpRetransSegs } = await grown();
  await collector.stop();

  t.match(collector.stderr(), / s: \d+ packets, 17 connections closed, 11 drops and resets; 0 rec/);
  t.equal(
    said(collector, 'connections'),
    '14 opened (7 as client, 7 as server); 3 failed (3 refused)',
  );
  t.match(
    said(collector, 'round trips'),
    /^p50 ≤ [\d.]+ (us|ms), p95 ≤ [\d.]+ (us|ms), p99 ≤ [\d.]+ (us|ms) \(14 closed connections\)$/,
  );
  t.match(
    said(collector, 'requests served'),
    /^7, p50 [\d.]+ [um]s, .*; 3 with 404; mostly [a-z ]+ \(\d+ %\)$/,
  );
  t.match(
    said(collector, 'slowest requests'),
    /^[\d.]+ [um]s GET \/(bytes|status)\/\d+ (200|404) \(/,
  );
  t.match(
    said(collector, 'requests made'),
    /^7, p50 [\d.]+ [um]s, .*; 3 with 404; mostly [a-z ]+ \(\d+ %\)$/,
  );
  t.equal(TcpRetransSegs, 2);
  t.match(
    said(collector, 'retransmits'),
    /^2 of \d+ segments sent \(0\.\d+ %\): (2 fast|1 fast, 1 \w)/,
  );
  t.equal(
    said(collector, 'drops and resets'),
    '3 dropped NO_SOCKET, 3 resets received, 3 resets sent NO_SOCKET, 2 dropped NETFILTER_DROP',
  );
  t.match(said(collector, 'busiest processes'), /^node 706 kB, the-client 105 kB$/);
  t.match(said(collector, 'busiest peers'), /^127\.0\.0\.1 811 kB$/);
  t.equal(said(collector, 'left in CLOSE_WAIT'), undefined);
  t.match(collector.stderr(), /^netwatch: nothing lost$/m);
  t.strictSame(
    select(collector.samples('netwatch.prom'), 'netwatch_events_lost_total').filter(
      ({ value }) => value > 0,
    ),
    [],
  );
});

t.test('sockets that a process leaves in CLOSE_WAIT are named', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const collector = await startCollector(t, namespace, ['-q']);
  const hang = { port: 7000, mode: 'hang' } as const;
  const server = await startProgram(namespace, 'tcp-server', hang, { comm: 'leaks' });
  const call = { port: 7000, connections: 3, concurrency: 3, replyBytes: 0 };
  const client = await startProgram(namespace, 'tcp-client', call);
  const answer = client.go().catch(() => undefined);
  const leaked = async (): Promise<boolean> =>
    (await sockets(namespace, 'state', 'close-wait')).length === 3;
  await until(leaked, { what: 'three sockets are in CLOSE_WAIT' });
  await collector.stop();
  t.equal(said(collector, 'left in CLOSE_WAIT'), `3 of leaks (pid ${server.pid})`);
  client.signal('SIGKILL');
  server.signal('SIGKILL');
  await answer;
});

t.test('what is lost in the ring is named, and nothing else', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const collector = await startCollector(t, namespace, ['-q', '--simulate-drops', '5']);
  await runTcp(namespace, { connections: 5, rounds: 20 });
  await collector.stop();
  const lost = select(collector.samples('netwatch.prom'), 'netwatch_events_lost_total')
    .filter(({ value }) => value > 0)
    .map(({ labels, value }) => `${value} ${labels['source']} records (ring buffer)`);
  t.ok(lost.length > 0);
  t.strictSame(said(collector, 'lost')?.split(', '), lost);
  t.notMatch(collector.stderr(), /nothing lost/);
});

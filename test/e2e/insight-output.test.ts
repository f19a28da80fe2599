// What `netwatch insight` writes: statistics that agree with the kernel and the rows, also when rows get lost; a
// .prom file; a table whose reader may go away; what is wrong on the command line.
import { spawn, spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { PROGRAM, temporaryFolder } from '../support/collector.js';
import { bytesOf, countsOf, startInsight } from '../support/insight.js';
import { provoke } from '../support/provoke.js';
import { createNamespace } from '../support/netns.js';
import { parseExposition, total } from '../support/samples.js';
import { needsRoot } from '../support/skip.js';
import { runTcp, startProgram, TCP_PORT } from '../support/traffic.js';
import { until } from '../support/wait.js';

const skip = needsRoot;

interface Statistics {
  readonly events: Readonly<Record<string, number>>;
  readonly total: number;
  readonly connections: number;
  readonly bytesSent: number;
  readonly bytesReceived: number;
  readonly rttUs: Readonly<Record<'mean' | 'p50' | 'p95' | 'p99', number>>;
  readonly active: number;
  readonly lost: number;
}

t.test('-T says what the rows say, and how many connections are open', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const run = async () => {
    const server = await startProgram(namespace, 'tcp-server', { port: TCP_PORT });
    const insight = await startInsight(t, namespace, ['-T']);
    await runTcp(namespace, { port: 7001, connections: 3 }, { port: 7001 });
    const held = { port: TCP_PORT, connections: 2, close: 'hold' } as const;
    const client = await startProgram(namespace, 'tcp-client', held);
    await client.go();
    await insight.stop();
    await client.stop();
    await server.stop();
    return { insight, said: insight.statistics() as unknown as Statistics };
  };
  const { insight, said } = await provoke(run, ({ said }) => said.connections === 10);
  const events = insight.events();
  t.equal(said.connections, 10);
  t.equal(said.active, 4, 'both ends of two connections');
  t.equal(said.total, events.length);
  t.equal(said.lost, 0);
  const shown = Object.entries(said.events).filter(([, count]) => count > 0);
  t.strictSame(Object.fromEntries(shown), countsOf(events));
  t.equal(said.bytesSent, bytesOf(insight.of('SEND')));
  t.equal(said.bytesReceived, bytesOf(insight.of('RECEIVE')));
  const rtts = insight.of('RTT_UPDATE').map(({ rtt_us }) => rtt_us ?? NaN);
  const mean = rtts.reduce((sum, rtt) => sum + rtt, 0) / rtts.length;
  t.ok(Math.abs(said.rttUs.mean - mean) < 0.01, `${said.rttUs.mean} us, by the rows ${mean}`);
  rtts.sort((a, b) => a - b);
  const median = rtts[Math.ceil(rtts.length / 2) - 1] ?? NaN;
  t.ok(said.rttUs.p50 >= median * 0.8 - 1 && said.rttUs.p50 <= median * 1.25 + 1);
  t.ok(said.rttUs.p50 <= said.rttUs.p95 && said.rttUs.p95 <= said.rttUs.p99);
});

t.test(
  'events that come too fast are counted, and the statistics stay exact',
  { skip },
  async (t) => {
    const namespace = createNamespace(t);
    const insight = await startInsight(t, namespace, [
      '-T',
      '-e',
      'SEND,RECEIVE,RTT_UPDATE,CWND_CHANGE',
    ]);
    const traffic = { requestBytes: 1, replyBytes: 1, rounds: 12_007, timeoutMs: 60_000 };
    process.kill(insight.pid, 'SIGSTOP');
    const { client, server } = await runTcp(namespace, traffic);
    process.kill(insight.pid, 'SIGCONT');
    await until(() => /too fast/.test(insight.stderr()) || insight.events().length > 0, {
      what: 'rows',
    });
    await insight.stop();
    const said = insight.statistics() as unknown as Statistics;
    t.ok(said.lost > 0, `${said.lost} lost`);
    t.match(insight.stderr(), new RegExp(`${said.lost} events came too fast to be shown`));
    t.equal(said.total, insight.events().length + said.lost);
    const wanted = client.bytesOut + server.bytesOut;
    t.ok(
      said.bytesSent > 0.99 * wanted && said.bytesSent <= wanted,
      `${said.bytesSent} of ${wanted}`,
    );
  },
);

t.test('--data keeps the counters by event in a .prom file', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const folder = temporaryFolder(t);
  const insight = await startInsight(t, namespace, ['-e', 'CONNECT,CLOSE', '--data', folder]);
  await runTcp(namespace, { connections: 3 });
  await insight.stop();
  const text = readFileSync(join(folder, 'insight.prom'), 'utf8');
  const { samples } = parseExposition(text);
  const counts = countsOf(insight.events());
  const family = 'netwatch_tcp_events_total';
  t.equal(total(samples, family, { event: 'CONNECT' }), counts.CONNECT);
  t.equal(total(samples, family, { event: 'CLOSE' }), counts.CLOSE);
  t.equal(samples.filter(({ name }) => name === family).length, 2);
  t.equal(total(samples, 'netwatch_events_lost_total', { source: 'insight', stage: 'ringbuf' }), 0);
});

t.test('the table has the columns of tcp-insight, and time first with -t', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const insight = await startInsight(t, namespace, ['-t', '-e', 'CLOSE'], 'table');
  await runTcp(namespace);
  await insight.stop();
  const [head = '', row = ''] = insight.stdout().split('\n');
  t.strictSame(head.trim().split(/ +/), [
    ...['TIME', 'COMM', 'PID', 'TID', 'EVENT', 'SADDR:SPORT', 'DADDR:DPORT', 'STATE', 'CWND'],
    ...['RTT', 'BYTES', 'DETAILS'],
  ]);
  t.match(row, /^\d\d:\d\d:\d\d\.\d{3} node +\d+ +N\/A +CLOSE /);
  t.match(row, / \w+->CLOSE +\d+ +\d+ +2 +sent=1 received=1 duration_ms=[\d.]+$/);
  t.equal(row.indexOf('CLOSE'), head.indexOf('EVENT'));
});

t.test('a reader that goes away ends it quietly', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const line = [process.execPath, PROGRAM, 'insight', '--netns', namespace.name].join(' ');
  const script = `set -o pipefail; ${line} -e CLOSE | head -1; echo "status $?"`;
  const child = spawn('bash', ['-c', script], { stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  await until(() => / ready /.test(stderr), { what: 'it is ready' });
  const isOver = async (): Promise<boolean> => {
    await runTcp(namespace);
    return /status/.test(stdout);
  };
  await until(isOver, { what: 'the end' });
  t.match(stdout, /^COMM .*\nstatus 0\n$/);
  t.match(stderr, /^netwatch insight: ready after \d+ ms: \d+ programs attached\n$/);
});

t.test('what is wrong on the command line is one sentence and exit code 2', (t) => {
  const wrong: Readonly<Record<string, RegExp>> = {
    '-e NOPE': /'NOPE' is invalid\. It should be a mask from 1 to 0xFFFF/,
    '-S 13': /'13' is invalid\. It should be a number from 1 to 12/,
    '--sport 0': /It should be a port from 1 to 65535/,
    '--min-rtt 9 --max-rtt 8':
      /^netwatch: --min-rtt 9 is more than --max-rtt 8\n {2}exchange the two\n$/,
    positional: /too many arguments/,
  };
  for (const [line, message] of Object.entries(wrong)) {
    const args = [PROGRAM, 'insight', ...line.split(' ')];
    const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
    t.equal(status, 2, line);
    t.match(stderr, message);
  }
  t.end();
});

// `netwatch tcpcong`: states of congestion control under exact losses, against the kernel's own counters.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import t, { type Test } from 'tap';
import { dropPackets, plainDevice, type DropOptions } from '../../scripts/traffic/faults.js';
import type { TcpClientOptions } from '../../scripts/traffic/programs.js';
import { temporaryFolder } from '../support/collector.js';
import { provoke } from '../support/provoke.js';
import type { Json } from '../support/ndjson.js';
import { createNamespace, type Namespace } from '../support/netns.js';
import { countFrom, type Counters } from '../support/nstat.js';
import { parseExposition, total } from '../support/samples.js';
import { needsCommands, needsRoot } from '../support/skip.js';
import { startTool } from '../support/tool.js';
import { runTcp } from '../support/traffic.js';
import { needsKernel } from '../support/vm-kernel.js';
import { until } from '../support/wait.js';

const skip =
  needsRoot ||
  needsCommands('nft', 'nstat', 'taskset') ||
  needsKernel('5.16', 'nftables that look into the payload');

/** Segments that overtake each other between two CPUs are a disorder more. */
const IN_ORDER = { oneCpu: true } as const;

const PORT = 7300;
/** The fifth data segment of many: its loss is seen by duplicate acknowledgements. */
const MIDDLE: DropOptions = { only: 'data', kth: 5, to: PORT };
const UPLOAD = { requestBytes: 300_007, replyBytes: 1 };
/** The last one and the probe for it: nothing tells of the loss but the clock. */
const TAIL: DropOptions = { only: 'data', kth: [7, 8], to: PORT };
const SHORT = { requestBytes: 7 * 1448, replyBytes: 1 };

interface Seen {
  readonly lines: readonly string[];
  readonly rows: readonly Json[];
  readonly counters: Counters;
  /** From before the connection to after it. */
  readonly elapsedMs: number;
}

interface Run {
  readonly args?: readonly string[];
  readonly drop: DropOptions;
  readonly client: Partial<TcpClientOptions>;
  readonly host?: string;
}

async function watch(t: Test, namespace: Namespace, run: Run): Promise<Seen> {
  const { args = ['-o', 'json'], drop, client, host = '127.0.0.1' } = run;
  const running = await startTool(t, namespace, 'tcpcong', args);
  const counted = await countFrom(namespace);
  const rule = dropPackets(namespace, drop);
  const startMs = performance.now();
  await runTcp(namespace, { ...client, host, port: PORT }, { host, port: PORT });
  const elapsedMs = performance.now() - startMs;
  rule.remove();
  await running.stop();
  const rows = args.includes('json') ? running.objects() : [];
  return { lines: running.lines(), rows, counters: await counted(), elapsedMs };
}

const STATES = ['open_ms', 'disorder_ms', 'recovery_ms', 'cwr_ms', 'loss_ms'] as const;
const timesOf = (row: Json | undefined): number[] => STATES.map((state) => Number(row?.[state]));
const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);

t.test('a loss in the middle is a disorder, then a recovery', { skip }, async (t) => {
  for (const host of ['127.0.0.1', '::1']) {
    const namespace = createNamespace(t, IN_ORDER);
    plainDevice(namespace);
    const { rows, counters, elapsedMs } = await provoke(
      () => watch(t, namespace, { drop: MIDDLE, client: UPLOAD, host }),
      ({ rows }) => rows[0]?.['changes'] === 3,
    );
    t.match(counters, { TcpExtTCPSackRecovery: 1, TcpExtTCPTimeouts: 0 });
    t.equal(rows.length, 1, 'the sender alone has changed its state');
    const [row] = rows;
    t.match(row, { network_local_address: host, network_peer_port: PORT, changes: 3 });
    const [open = 0, disorder = 0, recovery = 0, ...rest] = timesOf(row);
    t.ok(open > 0 && disorder > 0 && recovery > 0, JSON.stringify(row));
    t.strictSame(rest, [0, 0]);
    t.ok(open + disorder + recovery <= elapsedMs, 'no longer than the connection');
  }
});

t.test('a loss that only the clock tells of has its time too', { skip }, async (t) => {
  const namespace = createNamespace(t, IN_ORDER);
  plainDevice(namespace);
  const folder = temporaryFolder(t);
  const args = ['-o', 'json', '--data', folder];
  const { rows, counters, elapsedMs } = await provoke(
    () => watch(t, namespace, { args, drop: TAIL, client: SHORT }),
    ({ rows }) => Number(rows[0]?.['loss_ms']) > 0,
  );
  t.equal(counters.TcpExtTCPTimeouts, 1);
  t.equal(rows.length, 1);
  const times = timesOf(rows[0]);
  t.ok(Number(rows[0]?.['loss_ms']) > 0);
  t.ok(sum(times) >= 200 && sum(times) <= elapsedMs, `${sum(times)} of ${elapsedMs} ms`);
  const { samples } = parseExposition(readFileSync(join(folder, 'tcpcong.prom'), 'utf8'));
  const states = ['open', 'disorder', 'recovery', 'cwr', 'loss'];
  const kept = states.map((state) =>
    Math.round(total(samples, 'netwatch_tcp_congestion_seconds_total', { state }) * 1e9),
  );
  t.strictSame(
    kept,
    times.map((ms) => Math.round(ms * 1e6)),
    'the file has the same',
  );
});

const ROW = /^127\.0\.0\.1\/\d+ +127\.0\.0\.1\/7300 {8}\d+ +\d+ +\d+ +0 {7}0 {6}3 {4}$/;
const ROW_IPV6 = /^::1\/\d+ +::1\/7300 +[1-9]\d* +[1-9]\d* +[1-9]\d* +0 +0 +3 +$/;

t.test('the table is that of the original, by local port', { skip }, async (t) => {
  const namespace = createNamespace(t, IN_ORDER);
  plainDevice(namespace);
  const { lines } = await provoke(
    () => watch(t, namespace, { args: ['-T'], drop: MIDDLE, client: UPLOAD }),
    ({ lines }) => lines.length === 5 && ROW.test(lines[4] ?? ''),
  );
  t.equal(lines[0], 'Tracing tcp congestion control status duration... Hit Ctrl-C to end.');
  t.equal(lines[1], '');
  t.match(lines[2], /^\d\d:\d\d:\d\d$/);
  t.equal(
    lines[3],
    'LAddrPort             RAddrPort             Open_ms Dod_ms Rcov_ms Cwr_ms  Los_ms Chgs ',
  );
  t.match(lines[4], ROW);
  const six = await provoke(
    () => watch(t, namespace, { args: ['-u'], drop: MIDDLE, client: UPLOAD, host: '::1' }),
    ({ lines }) => lines.length === 4 && ROW_IPV6.test(lines[3] ?? ''),
  );
  t.match(
    six.lines[2],
    /^LAddrPort6 {23}RAddrPort6 {23}Open_us Dod_us Rcov_us Cwr_us {2}Los_us Chgs $/,
  );
  t.match(six.lines[3], ROW_IPV6);
});

t.test('histograms by state hold each visit once', { skip }, async (t) => {
  const namespace = createNamespace(t, IN_ORDER);
  plainDevice(namespace);
  const visits = (rows: readonly Json[], state: string): number => {
    const of = rows.find((row) => row['state'] === state);
    return sum(((of?.['buckets'] ?? []) as { readonly count: number }[]).map(({ count }) => count));
  };
  const states = ['open', 'disorder', 'cwr', 'recovery', 'loss'];
  const found = await provoke(
    async () => {
      const args = ['-d', '-u', '-o', 'json'];
      const { rows } = await watch(t, namespace, { args, drop: MIDDLE, client: UPLOAD });
      return states.map((state) => visits(rows, state));
    },
    // where the sender was held up, the first answer tells enough of the segment's age (RACK): no disorder
    ([open, disorder]) => open === 2 && disorder === 1,
  );
  t.strictSame(found, [2, 1, 0, 1, 0], 'before the loss and after it it was open');
  const { lines } = await watch(t, namespace, { args: ['-d'], drop: MIDDLE, client: UPLOAD });
  t.strictSame(lines.slice(1, 5), [
    '',
    '',
    'tcp_congest_state = open',
    '     msecs               : count     distribution',
  ]);
});

t.test('each filter keeps what it should', { skip }, async (t) => {
  const namespace = createNamespace(t, IN_ORDER);
  plainDevice(namespace);
  const cases = [
    [[], 1],
    [['-R', '7299-7301'], 1],
    [['-R', '7300'], 1],
    [['-R', '7301-8000'], 0],
    [['-L', '7000-7400'], 0],
    [['-L', '1-65535', '-4'], 1],
    [['-6'], 0],
    [['--port', '7300'], 1],
    [['--port', '7301'], 0],
  ] as const;
  const wanted = cases.map(([, rows]) => rows);
  const found = await provoke(
    async () => {
      const running = await Promise.all(
        cases.map(([args]) => startTool(t, namespace, 'tcpcong', [...args, '-o', 'json'])),
      );
      const rule = dropPackets(namespace, MIDDLE);
      await runTcp(namespace, { ...UPLOAD, port: PORT }, { port: PORT });
      rule.remove();
      await Promise.all(running.map((tool) => tool.stop()));
      return running.map((tool) => tool.objects().length);
    },
    (rows) => isDeepStrictEqual(rows, wanted),
  );
  t.strictSame(found, wanted);
});

/** Two losses; the second comes when the tool has told of the first. */
async function twoLosses(t: Test, namespace: Namespace, folder: string): Promise<readonly Json[]> {
  const args = ['0.05', '-o', 'json', '--data', folder];
  const running = await startTool(t, namespace, 'tcpcong', args);
  for (let losses = 0; losses < 2; losses++) {
    const rule = dropPackets(namespace, MIDDLE);
    await runTcp(namespace, { ...UPLOAD, port: PORT }, { port: PORT });
    rule.remove();
    await until(() => running.objects().length > 0, { what: 'an interval with a row' });
  }
  await running.stop();
  return running.objects();
}

t.test('intervals add up, and it ends after as many as were asked for', { skip }, async (t) => {
  const namespace = createNamespace(t, IN_ORDER);
  plainDevice(namespace);
  const folder = temporaryFolder(t);
  const changesOf = (rows: readonly Json[]): number =>
    sum(rows.map(({ changes }) => Number(changes)));
  const rows = await provoke(
    () => twoLosses(t, namespace, folder),
    (rows) => changesOf(rows) === 6,
  );
  t.equal(changesOf(rows), 6);
  t.ok(new Set(rows.map(({ time }) => time)).size > 1, 'the states end in several intervals');
  const { samples } = parseExposition(readFileSync(join(folder, 'tcpcong.prom'), 'utf8'));
  const keptMs = total(samples, 'netwatch_tcp_congestion_seconds_total') * 1000;
  t.equal(sum(rows.map(timesOf).map(sum)).toFixed(4), keptMs.toFixed(4), 'each once');
  const two = await startTool(t, namespace, 'tcpcong', ['0.1', '2']);
  t.strictSame(await two.exited, { code: 0, signal: null });
  const nothing = 'no connection has changed its state of congestion control';
  t.strictSame(two.lines().slice(1), ['', nothing, '', nothing]);
});

// Starts that fail halfway, and ends of every kind: in order, at once, by SIGKILL, by a bug, by a reader
// that goes away. Nothing of ours may stay in the kernel, and what was read must be in the files.
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import {
  countLines,
  countPackets,
  logFiles,
  logLines,
  logText,
  packetAccount,
  PROM,
  summaryOf,
} from '../support/account.js';
import { blast, startBlast } from '../support/blast.js';
import { bpfObjectsGone, bpfObjectsOf } from '../support/bpf.js';
import {
  PROGRAM,
  startCollector,
  temporaryFolder,
  type Collector,
  type Exit,
} from '../support/collector.js';
import { createNamespace, type Namespace } from '../support/netns.js';
import { copyProgram } from '../support/program-copy.js';
import { parseExposition, select, total } from '../support/samples.js';
import { needsCommands, needsRoot } from '../support/skip.js';
import { TCP_PORT } from '../support/traffic.js';
import { until } from '../support/wait.js';

const skip = needsRoot || needsCommands('perl', 'nstat', 'bpftool');
const QUIET = ['--quiet', '--interval', '0.2'];
const LOCK = '.netwatch.lock';

/** By program: whether netwatch.prom says that it is attached. */
function attached(collector: Collector): Record<string, number> {
  const all = select(collector.samples(PROM), 'netwatch_bpf_program_attached');
  return Object.fromEntries(all.map(({ labels, value }) => [labels['program'] ?? '', value]));
}

// Table 16
t.test('a program that the kernel refuses is left out, and said to be', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const copy = copyProgram(t);
  const options = ['-r', '-t', '-e', ...QUIET];
  const whole = await startCollector(t, namespace, options, { program: copy.program });
  await whole.waitFor(PROM, (all) => all.length > 0, 'the first state');
  const all = attached(whole);
  t.match(await whole.stop(), { code: 0 });
  t.ok(Object.values(all).every((on) => on === 1));

  copy.refuse('connection', '?tp_btf/tcp_retransmit_skb');
  copy.rename('fault', 'tp_btf/tcp_receive_reset', 'tp_btf/tcp_receive_rezet');
  const collector = await startCollector(t, namespace, options, { program: copy.program });
  const seen = await countPackets(namespace);
  await blast(t, namespace, { port: TCP_PORT, rounds: 1009 });
  t.match(await collector.stop(), { code: 0 });
  t.match(collector.stderr(), /^netwatch: without tcp_retransmit_skb: \S.*$/m);
  t.match(
    collector.stderr(),
    /^netwatch: without tcp_receive_rezet: no tracepoint tcp_receive_rezet$/m,
  );
  const { tcp_receive_reset: renamed, ...others } = all;
  t.equal(renamed, 1);
  t.strictSame(attached(collector), { ...others, tcp_retransmit_skb: 0, tcp_receive_rezet: 0 });
  t.equal(countLines(collector.dataFolder, 'packets.log'), await seen(), 'the others run');

  const strict = startCollector(t, namespace, ['--strict', ...options], { program: copy.program });
  await t.rejects(strict, /ended \(4\): netwatch: cannot attach tcp_re\w+: /);

  copy.refuse('packet', '?cgroup_skb/ingress');
  const without = startCollector(t, namespace, options, { program: copy.program });
  await t.rejects(without, /ended \(4\): netwatch: the kernel refused program timed_ingress: /);
});

// Table 19
t.test('one collector per directory, any number beside each other', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const first = await startCollector(t, namespace, QUIET);
  const again = startCollector(t, namespace, QUIET, { dataFolder: first.dataFolder });
  const refusal = new RegExp(`ended \\(3\\): netwatch: already running with pid ${first.pid} in `);
  await t.rejects(again, refusal);
  const second = await startCollector(t, namespace, QUIET);
  const seen = await countPackets(namespace);
  await blast(t, namespace, { port: TCP_PORT, rounds: 1009 });
  for (const collector of [first, second]) {
    t.match(await collector.stop(), { code: 0 });
    t.equal(countLines(collector.dataFolder, 'packets.log'), await seen());
    t.notOk(existsSync(join(collector.dataFolder, LOCK)));
  }
});

// Table 21
for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  t.test(`${signal} under load: all that was accepted is written`, { skip }, async (t) => {
    const namespace = createNamespace(t);
    // it holds seconds of this load, should the machine have no time for the reader
    const collector = await startCollector(t, namespace, [...QUIET, '--ring', '67108864']);
    const objects = bpfObjectsOf(collector.pid);
    const seen = await countPackets(namespace);
    const load = await startBlast(t, namespace, { port: TCP_PORT, rate: 8000 });
    await until(async () => (await seen()) > 20_000, { what: '20,000' });
    const before = await seen();
    t.strictSame(await collector.stop(signal), { code: 0, signal: null });
    const atMost = await seen();
    await load.stop();
    const account = packetAccount(collector.samples(PROM));
    t.match(account, { lostInFile: 0, lostInRing: 0, written: account.accepted });
    t.ok(account.written >= before && account.written <= atMost, 'also the last ones');
    t.equal(logLines(collector.dataFolder, 'packets.log').length, account.written);
    t.match(summaryOf(collector), { packets: account.written, lost: 0 });
    await bpfObjectsGone(objects);
  });
}

t.test('a signal before anything was read loses nothing', { skip }, async (t) => {
  const namespace = createNamespace(t);
  for (const options of [[], ['-x', '-r', '-t', '-i', '-e']]) {
    const collector = await startCollector(t, namespace, [...QUIET, ...options]);
    const seen = await countPackets(namespace);
    process.kill(collector.pid, 'SIGSTOP'); // everything waits in the ring
    await blast(t, namespace, { port: TCP_PORT, rounds: 5003 });
    const stopping = collector.stop('SIGTERM');
    process.kill(collector.pid, 'SIGCONT');
    t.strictSame(await stopping, { code: 0, signal: null });
    const all = await seen();
    t.ok(all > 20_000);
    t.equal(logLines(collector.dataFolder, 'packets.log').length, all);
  }
});

t.test('what still waits at the end is in the files and in the last state', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const slow = ['--rotate-size', '50k', '--keep-files', '2000', '--gzip']; // more than it can do
  const collector = await startCollector(t, namespace, [...QUIET, ...slow]);
  const seen = await countPackets(namespace);
  await blast(t, namespace, { port: TCP_PORT, rounds: 40_009 });
  t.strictSame(await collector.stop('SIGTERM'), { code: 0, signal: null });
  const { accepted, written, lostInFile, lostInRing } = packetAccount(collector.samples(PROM));
  t.equal(accepted + lostInRing, await seen());
  t.equal(written + lostInFile, accepted);
  t.equal(logLines(collector.dataFolder, 'packets.log').length, written);
});

t.test('a hangup ends it on a terminal', { skip: skip || needsCommands('script') }, async (t) => {
  const namespace = createNamespace(t);
  const folder = temporaryFolder(t);
  const run = `${process.execPath} ${PROGRAM} --netns ${namespace.name} --data ${folder} --quiet`;
  const terminal = spawn('script', ['-qefc', run, '/dev/null'], { stdio: 'pipe' });
  t.teardown(() => terminal.kill('SIGKILL'));
  let shown = '';
  terminal.stdout.setEncoding('utf8').on('data', (text: string) => (shown += text));
  const ended = new Promise<number | null>((resolve) => terminal.once('close', resolve));
  await until(() => shown.includes('netwatch: ready'), { what: 'ready on the terminal' });
  const pid = Number(readFileSync(join(folder, LOCK), 'utf8').split(' ')[0]);
  const objects = bpfObjectsOf(pid);
  process.kill(pid, 'SIGHUP');
  t.equal(await ended, 0);
  t.match(shown, / s: 0 packets, /);
  await bpfObjectsGone(objects);
});

/** The collector with a standard output that nobody reads before its end. */
interface Unread {
  readonly child: ChildProcess;
  readonly folder: string;
  readonly stderr: () => string;
  /** How it ended, within 5 s, and how many rows had then got into the pipe. */
  readonly end: () => Promise<Exit & { readonly rows: number }>;
}

async function startUnread(t: Test, namespace: Namespace): Promise<Unread> {
  const folder = temporaryFolder(t);
  const args = [PROGRAM, '--netns', namespace.name, '--data', folder, '--interval', '0.2'];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'pipe'] });
  let [stdout, stderr] = ['', ''];
  let exit: Exit | undefined;
  let closed = false;
  child.stderr.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  child.once('exit', (code, signal) => {
    exit = { code, signal };
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  });
  child.once('close', () => (closed = true));
  t.teardown(() => child.kill('SIGKILL'));
  const ready = (): boolean => stderr.includes('netwatch: ready') || child.exitCode !== null;
  await until(ready, { what: 'ready' });
  const end = async (): ReturnType<Unread['end']> => {
    const how = await until(() => closed && exit, { what: 'its end', everyMs: 5 });
    return { ...how, rows: stdout.split('\n').length - 1 };
  };
  return { child, folder, stderr: () => stderr, end };
}

function residentBytes(pid = 0): number {
  return (
    Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) << 10
  );
}

// Table 25
t.test('a reader that is too slow costs rows, not memory', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const { child, folder, stderr, end } = await startUnread(t, namespace);
  const seen = await countPackets(namespace);
  // as many as fill all queues, also that of a slow disk
  await blast(t, namespace, { port: TCP_PORT, rounds: 40_009 });
  const memory = residentBytes(child.pid);
  await blast(t, namespace, { port: TCP_PORT, rounds: 80_021 });
  const grown = residentBytes(child.pid) - memory;
  t.ok(grown < 50 * 2 ** 20, `${grown >> 20} MiB more`);
  child.kill('SIGINT');
  const { rows, ...exit } = await end();
  t.strictSame(exit, { code: 0, signal: null });
  const { packets, lost } = /(?<packets>\d+) packets, .* (?<lost>\d+) records lost$/m.exec(stderr())
    ?.groups ?? { packets: '', lost: '' };
  t.equal(Number(packets) + Number(lost), await seen());
  t.equal(countLines(folder, 'packets.log'), Number(packets), 'all are in the file');
  const notShown = Number(/^netwatch: (\d+) rows not shown: /m.exec(stderr())?.[1]);
  // of the rows that were on their way, part of which has arrived, all count as not shown
  const balanced = notShown <= Number(packets) && rows + notShown > Number(packets);
  t.ok(balanced, `${rows} shown, ${notShown} not`);
});

t.test('the second signal ends it at once', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const { child, folder, end } = await startUnread(t, namespace);
  await blast(t, namespace, { port: TCP_PORT, rounds: 20_011 });
  child.kill('SIGINT'); // now it waits 1.5 s for the reader
  await until(() => !existsSync(join(folder, LOCK)), { what: 'the files are done', everyMs: 5 });
  child.kill('SIGINT');
  t.match(await end(), { code: 130, signal: null });
});

t.test('a reader that goes away ends it quietly', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const folder = temporaryFolder(t);
  const run = '"$@" | head -1; exit "${PIPESTATUS[0]}"';
  const options = ['--netns', namespace.name, '--data', folder];
  const shell = spawn('bash', ['-c', run, 'bash', process.execPath, PROGRAM, ...options], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  t.teardown(() => shell.kill('SIGKILL'));
  let [shown, said] = ['', ''];
  shell.stdout.setEncoding('utf8').on('data', (text: string) => (shown += text));
  shell.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  const ended = new Promise<number | null>((resolve) => shell.once('close', resolve));
  await until(() => said.includes('netwatch: ready'), { what: 'ready' });
  const load = await startBlast(t, namespace, { port: TCP_PORT, rate: 1000 });
  t.equal(await ended, 0);
  await load.stop();
  t.match(shown, /^TIME .*\n$/);
  t.notMatch(said, /EPIPE|error|bug|^ +at /im);
  t.notOk(existsSync(join(folder, LOCK)));
  t.ok(logLines(folder, 'packets.log').length > 0);
});

interface CgroupPrograms {
  readonly programs: readonly { readonly id: number }[];
}

/** The ids of all programs in the cgroup tree. */
function programsInCgroups(): Set<number> {
  const text = execFileSync('bpftool', ['-j', 'cgroup', 'tree'], { encoding: 'utf8' });
  const cgroups = JSON.parse(text) as CgroupPrograms[];
  return new Set(cgroups.flatMap(({ programs }) => programs.map(({ id }) => id)));
}

// Table 22 and 26
t.test(
  'SIGKILL leaves nothing in the kernel, and a start repairs the rest',
  { skip },
  async (t) => {
    const namespace = createNamespace(t);
    const dataFolder = temporaryFolder(t);
    const killed = await startCollector(t, namespace, ['-x', '-r', '-t', '-i', '-e', ...QUIET], {
      dataFolder,
    });
    await blast(t, namespace, { port: TCP_PORT, rounds: 101 });
    const objects = bpfObjectsOf(killed.pid);
    t.ok(objects.programs.length > 20 && objects.links.length > 10 && objects.maps.length > 5);
    const inTree = programsInCgroups();
    t.equal(objects.programs.filter((id) => inTree.has(id)).length, 3);
    t.strictSame(await killed.stop('SIGKILL'), { code: null, signal: 'SIGKILL' });
    await bpfObjectsGone(objects);
    const after = programsInCgroups();
    t.notOk(objects.programs.some((id) => after.has(id)));

    const locks = [
      readFileSync(join(dataFolder, LOCK), 'utf8'),
      '',
      'no lock at all\n',
      '1 2 3 4\n',
    ];
    for (const lock of locks) {
      writeFileSync(join(dataFolder, LOCK), lock);
      writeFileSync(join(dataFolder, `.${PROM}.1-2-0123456789ab.tmp`), 'half a sta');
      const lines = countLines(dataFolder, 'packets.log');
      const collector = await startCollector(t, namespace, QUIET, { dataFolder });
      t.match(readFileSync(join(dataFolder, LOCK), 'utf8'), new RegExp(`^${collector.pid}\n`));
      const seen = await countPackets(namespace);
      await blast(t, namespace, { port: TCP_PORT, rounds: 101 });
      t.match(await collector.stop(), { code: 0 });
      t.equal(countLines(dataFolder, 'packets.log'), lines + (await seen()));
      t.strictSame(
        readdirSync(dataFolder).filter((file) => file.startsWith('.')),
        [],
      );
    }
  },
);

// Table 23
t.test(
  'SIGKILL in the middle of writing, ten times, tears one line at most',
  { skip },
  async (t) => {
    const namespace = createNamespace(t);
    const dataFolder = temporaryFolder(t);
    const load = await startBlast(t, namespace, { port: TCP_PORT, rate: 10_000 });
    const rotate = ['--rotate-size', '100k', '--keep-files', '1000'];
    let lines = 0;
    for (let i = 0; i < 10; i++) {
      const options = [...QUIET, ...rotate, ...(i % 3 === 0 ? ['--gzip'] : [])];
      const collector = await startCollector(t, namespace, options, { dataFolder });
      const grown = (): boolean => countLines(dataFolder, 'packets.log') > lines + 100 * (i + 5);
      await until(grown, { what: 'more lines', everyMs: 1 });
      t.match(await collector.stop('SIGKILL'), { signal: 'SIGKILL' });
      lines = checkTorn(t, dataFolder);
    }
    const collector = await startCollector(t, namespace, QUIET.concat(rotate), { dataFolder });
    t.match(await collector.stop(), { code: 0 });
    await load.stop();
    t.ok(logFiles(dataFolder, 'packets.log').length > 2, 'some rotations');
    for (const file of logFiles(dataFolder, 'packets.log')) {
      const { samples, types } = parseExposition(logText(dataFolder, file), { log: true });
      t.strictSame([...types.keys()], ['netwatch_packet_bytes'], 'it starts with its header');
      t.ok(
        samples.every(({ name, timestampMs }) => name in Object.fromEntries(types) && timestampMs),
      );
    }
    t.ok(logLines(dataFolder, 'packets.log').length >= lines, 'no whole line was cut off');
    t.strictSame(
      readdirSync(dataFolder).filter(
        (file) => !/^(connects|packets)\.log|^netwatch\.prom$/.test(file),
      ),
      [],
    );
  },
);

/** Whole lines but at most one torn tail in each file that is written to; the number of lines. */
function checkTorn(t: Test, folder: string): number {
  // Between the two steps of a rotation there is no file of that name.
  const path = join(folder, 'packets.log');
  const current = existsSync(path) ? readFileSync(path, 'utf8') : '';
  const end = current.lastIndexOf('\n') + 1;
  parseExposition(current.slice(0, end), { log: true });
  t.notMatch(current.slice(end), /\n/);
  return logFiles(folder, 'packets.log')
    .filter((file) => !file.endsWith('.0') && !file.endsWith('.0.gz'))
    .map((file) => logText(folder, file).match(/^netwatch_.*\n/gm)?.length ?? 0)
    .reduce((sum, lines) => sum + lines, 0);
}

// Table 24: a bug ends the program in order, with its stack.
t.test('an exception while records are read ends it with a flush', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const folder = temporaryFolder(t);
  const module = new URL('../../build/collector/packet-lines.js', import.meta.url).href;
  const fault = join(folder, 'fault.mjs');
  writeFileSync(
    fault,
    `import { PacketText } from '${module}';
    const { add } = PacketText.prototype;
    let calls = 0;
    PacketText.prototype.add = function (...args) {
      if (++calls >= 5000 && calls < 5003) throw new TypeError('injected fault');
      return add.apply(this, args);
    };`,
  );
  const env = { NODE_OPTIONS: `--import=${fault}` };
  const collector = await startCollector(t, namespace, QUIET, { env });
  const objects = bpfObjectsOf(collector.pid);
  const load = await startBlast(t, namespace, { port: TCP_PORT, rate: 5000 });
  t.strictSame(await collector.exited, { code: 1, signal: null });
  await load.stop();
  t.match(collector.stderr(), /^netwatch: this is a bug, .*\nTypeError: injected fault\n +at /m);
  await bpfObjectsGone(objects);
  t.notOk(existsSync(join(collector.dataFolder, LOCK)));
  const samples = collector.samples(PROM);
  const lines = logLines(collector.dataFolder, 'packets.log').length;
  t.equal(lines, packetAccount(samples).written);
  t.ok(lines > 2000, `${lines} lines were saved`);
  const undecoded = total(samples, 'netwatch_events_lost_total', { stage: 'decode' });
  t.ok(undecoded >= 1, 'the others are counted');
});

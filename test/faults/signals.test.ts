/**
 * Signals: those that end, each in order and with its accounts; those that are ignored, which leave
 * the program at work; and the one with which Node.js would open a debugger.
 */
import { chmodSync, existsSync, readdirSync, readFileSync } from 'node:fs';
import { constants } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { isProfiled } from '../../src/process/signals.js';
import { bpfObjectsGone, bpfObjectsOf } from '../support/bpf.js';
import { startCollector, temporaryFolder } from '../support/collector.js';
import { createNamespace } from '../support/netns.js';
import { startServe } from '../support/serve-process.js';
import { needsCommands, needsRoot } from '../support/skip.js';
import { runTcp } from '../support/traffic.js';
import { until } from '../support/wait.js';

const skip = needsRoot || needsCommands('bpftool');

/** Without the hooks of tap, which has its own mind about signals. */
const PLAIN = { wrapper: ['env', '-u', 'NODE_OPTIONS'] } as const;

const ENDING: readonly NodeJS.Signals[] = [
  ...(['SIGINT', 'SIGTERM', 'SIGQUIT', 'SIGUSR2', 'SIGALRM', 'SIGVTALRM', 'SIGPROF'] as const),
  ...(['SIGIO', 'SIGPWR', 'SIGXCPU', 'SIGSTKFLT', 'SIGTRAP', 'SIGSYS'] as const),
];
const IGNORED: readonly NodeJS.Signals[] = [
  ...(['SIGUSR1', 'SIGPIPE', 'SIGXFSZ', 'SIGCHLD', 'SIGURG', 'SIGWINCH', 'SIGCONT'] as const),
];
/** A fault of the program, what stops it, and what no program hears of. */
const OTHERS: readonly NodeJS.Signals[] = [
  ...(['SIGILL', 'SIGABRT', 'SIGBUS', 'SIGFPE', 'SIGSEGV', 'SIGKILL'] as const),
  ...(['SIGSTOP', 'SIGTSTP', 'SIGTTIN', 'SIGTTOU', 'SIGHUP'] as const),
];

t.test('every signal that there is has its place in these lists', (t) => {
  const numbers = (names: readonly NodeJS.Signals[]): number[] =>
    names.map((name) => constants.signals[name]);
  const known = new Set(numbers([...ENDING, ...IGNORED, ...OTHERS]));
  t.strictSame(
    Object.entries(constants.signals).filter(([, number]) => !known.has(number)),
    [],
  );
  t.end();
});

for (const signal of ENDING) {
  t.test(`${signal} ends the collector in order, with every record`, { skip }, async (t) => {
    const namespace = createNamespace(t);
    const collector = await startCollector(t, namespace, ['-q', '--interval', '3600'], PLAIN);
    const objects = bpfObjectsOf(collector.pid);
    t.ok(objects.programs.length > 0);
    await runTcp(namespace, { connections: 3 });
    t.strictSame(await collector.stop(signal), { code: 0, signal: null });
    const opened = collector
      .samples('netwatch.prom')
      .filter(({ name }) => name === 'netwatch_tcp_connections_total')
      .reduce((sum, { value }) => sum + value, 0);
    t.equal(opened, 6, 'three at each end');
    t.notOk(existsSync(join(collector.dataFolder, '.netwatch.lock')), 'the directory is free');
    await bpfObjectsGone(objects);
    t.match(collector.stderr(), /^netwatch: nothing lost$/m);
  });
}

/** A data directory that everybody may read. */
function openFolder(t: Test): string {
  const folder = temporaryFolder(t);
  chmodSync(folder, 0o755);
  return folder;
}

/** Ports that a process listens on, from its own view of the network. */
function listening(pid: number): string[] {
  return ['tcp', 'tcp6'].flatMap((family) =>
    readFileSync(`/proc/${pid}/net/${family}`, 'utf8')
      .split('\n')
      .map((line) => line.trim().split(/\s+/))
      .filter(([, , , state]) => state === '0A')
      .map(([, local = '']) => String(Number.parseInt(local.split(':')[1] ?? '', 16))),
  );
}

const DEBUGGER = '9229';

t.test('SIGUSR1 opens no debugger, and no ignored signal ends a run', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const collector = await startCollector(t, namespace, ['-q', '--interval', '0.2'], PLAIN);
  for (const signal of IGNORED) process.kill(collector.pid, signal);
  await runTcp(namespace, { connections: 3 });
  await collector.waitFor('connects.log', (samples) => samples.length > 0, 'it works on');
  t.notMatch(collector.stderr(), /[Dd]ebugger/);
  const served = await startServe(t, openFolder(t));
  for (const signal of IGNORED) process.kill(served.pid, signal);
  // the first answer may come before the signals are looked at
  for (let i = 0; i < 2; i++) t.match(await served.get('/-/healthy'), 'Healthy.');
  t.notMatch(served.stderr(), /[Dd]ebugger/);
  const ports = listening(served.pid);
  t.ok(ports.includes(String(served.port)), 'its own port is seen');
  t.notOk(ports.includes(DEBUGGER));
  t.strictSame(await collector.stop(), { code: 0, signal: null });
});

for (const signal of ENDING) {
  t.test(`${signal} ends the endpoint in order`, { skip: needsRoot }, async (t) => {
    const served = await startServe(t, openFolder(t));
    process.kill(served.pid, signal);
    t.strictSame(await served.exited, { code: 0, signal: null });
    t.match(served.stderr(), /^netwatch: serving [^\n]+\n$/);
  });
}

t.test(
  'of signals that nobody sends twice to hurry a second changes nothing',
  { skip },
  async (t) => {
    const namespace = createNamespace(t);
    const collector = await startCollector(t, namespace, ['-q'], PLAIN);
    process.kill(collector.pid, 'SIGXCPU');
    process.kill(collector.pid, 'SIGXCPU');
    process.kill(collector.pid, 'SIGUSR2');
    await until(() => collector.stderr().includes('lines written'), { what: 'its summary' });
    t.strictSame(await collector.exited, { code: 0, signal: null });
  },
);

t.test(
  'a profiler that samples with SIGPROF ends nothing, and writes its profile',
  { skip },
  async (t) => {
    const namespace = createNamespace(t);
    const profiles = temporaryFolder(t);
    const profiled = `exec "$1" --cpu-prof --cpu-prof-dir=${profiles} "\${@:2}"`;
    const collector = await startCollector(t, namespace, ['-q', '--interval', '0.2'], {
      wrapper: ['env', '-u', 'NODE_OPTIONS', 'bash', '-c', profiled, 'profiled'],
    });
    await runTcp(namespace, { connections: 3 });
    await collector.waitFor('connects.log', (samples) => samples.length > 0, 'it works on');
    t.strictSame(await collector.stop(), { code: 0, signal: null });
    t.match(collector.stderr(), /^netwatch: nothing lost$/m);
    const [profile = ''] = readdirSync(profiles).filter((name) => name.endsWith('.cpuprofile'));
    const { samples } = JSON.parse(readFileSync(join(profiles, profile), 'utf8')) as {
      readonly samples: readonly number[];
    };
    t.ok(samples.length > 0);
  },
);

t.test('options that start a profiler are known wherever Node.js has them from', (t) => {
  for (const option of ['--cpu-prof', '--cpu_prof', '--prof', '--inspect=127.0.0.1:0']) {
    t.ok(isProfiled([option], ''), option);
    t.ok(isProfiled([], `--no-warnings ${option}`), option);
  }
  for (const option of ['--cpu-prof-dir=/tmp', '--prof-process', '--no-warnings', 'prof'])
    t.notOk(isProfiled([option], option), option);
  t.end();
});

// The edge of the process: what becomes of standard output and standard error must not cost the files a
// record, nor a signal its effect. The program runs under each condition, and each end is in order.
import { execFileSync, spawn, type StdioOptions } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  closeSync,
  constants,
  existsSync,
  openSync,
  readFileSync,
  renameSync,
  statSync,
  utimesSync,
  writeFileSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { blast } from '../support/blast.js';
import { bpfObjectsGone, bpfObjectsOf } from '../support/bpf.js';
import { PROGRAM, temporaryFolder, type Exit } from '../support/collector.js';
import { createNamespace, type Namespace } from '../support/netns.js';
import { freePort } from '../support/servers.js';
import { needsCommands, needsRoot } from '../support/skip.js';
import { asNobody } from '../support/surroundings.js';
import { CTRL_Q, CTRL_S, openTerminal } from '../support/terminal.js';
import { TCP_PORT } from '../support/traffic.js';
import { until } from '../support/wait.js';

const skip = needsRoot || needsCommands('perl', 'bpftool', 'setsid', 'bash');
const { O_RDWR, O_WRONLY, O_NONBLOCK } = constants;
const ORDERLY: Exit = { code: 0, signal: null };
const LOCK = '.netwatch.lock';

/** A command that runs until it is told to end. */
interface Kind {
  readonly name: string;
  readonly args: readonly string[];
  /** Written a last time at the end; null: it writes nothing. */
  readonly prom: string | null;
}

const COLLECTOR: Kind = {
  name: 'the collector',
  args: ['--interval', '3600'],
  prom: 'netwatch.prom',
};
const QUIET: Kind = { ...COLLECTOR, name: 'netwatch -q', args: [...COLLECTOR.args, '-q'] };
const EVENTS: Kind = { name: 'insight', args: ['insight'], prom: 'insight.prom' };
const REPORTS: Kind = { name: 'tcptop', args: ['tcptop', '-C', '1'], prom: 'tcptop.prom' };
const SERVE: Kind = { name: 'serve', args: ['serve'], prom: null };

interface Running {
  readonly pid: number;
  readonly folder: string;
  /** Where it serves, if it does. */
  readonly url: string;
  /** Of standard error, where that is a pipe. */
  said(): string;
  /** Of standard output, where that is a pipe. */
  shown(): string;
  readonly kill: (signal: NodeJS.Signals) => void;
  readonly exited: Promise<Exit>;
}

interface Setting {
  readonly stdio: StdioOptions;
  /** A command that executes the rest of its line. */
  readonly within?: readonly string[];
  /** A session of its own, which no terminal controls. */
  readonly detached?: boolean;
  /** Whose the directory is. */
  readonly owner?: number;
  /** Standard output is a pipe that nobody reads. */
  readonly unread?: boolean;
}

/** Starts it and returns when it has written its files for the first time, or answers. */
async function start(
  t: Test,
  kind: Kind,
  namespace: Namespace,
  setting: Setting,
): Promise<Running> {
  const folder = temporaryFolder(t);
  chmodSync(folder, 0o755); // nobody serves it
  if (setting.owner !== undefined) chownSync(folder, setting.owner, setting.owner);
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const where = kind === SERVE ? ['--listen', `127.0.0.1:${port}`] : ['--netns', namespace.name];
  // without what tap has each Node program do at its end: as nobody it may not, and complains
  const plain = ['env', '-u', 'NODE_OPTIONS'];
  const line = [...(setting.within ?? []), ...plain, process.execPath, PROGRAM, ...kind.args];
  const [command, ...args] = [...line, ...where, '--data', folder];
  const child = spawn(command, args, {
    stdio: setting.stdio,
    detached: setting.detached === true,
  });
  let [shown, said] = ['', ''];
  if (setting.unread !== true)
    child.stdout?.setEncoding('utf8').on('data', (text: string) => (shown += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (said += text));
  const exited = new Promise<Exit>((resolve) => {
    child.once('exit', (code, signal) => {
      child.stdout?.resume();
      child.once('close', () => {
        resolve({ code, signal });
      });
    });
  });
  t.teardown(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  const { prom } = kind;
  const isUp = async (): Promise<boolean> =>
    prom === null ? (await fetch(`${url}/-/healthy`)).ok : existsSync(join(folder, prom));
  await until(async () => child.exitCode !== null || (await isUp()), {
    what: `${kind.name} is up`,
  });
  return {
    pid: child.pid ?? 0,
    folder,
    url,
    said: () => said,
    shown: () => shown,
    kill: (signal) => void child.kill(signal),
    exited,
  };
}

/**
 * Has it end by `what`, and looks at all that an orderly end leaves: the last state in its file, the
 * directory free for the next one, nothing in the kernel, no stack.
 */
async function endsInOrder(
  t: Test,
  kind: Kind,
  running: Running,
  what: () => unknown,
  exit = ORDERLY,
): Promise<void> {
  const { folder, pid } = running;
  const prom = kind.prom === null ? null : join(folder, kind.prom);
  const objects = bpfObjectsOf(pid);
  t.equal(objects.programs.length > 0, kind !== SERVE, 'something is in the kernel');
  if (prom !== null) utimesSync(prom, 1, 1);
  await what();
  let found: Exit | undefined;
  void running.exited.then((how) => (found = how));
  t.strictSame(await until(() => found, { what: `the end of ${kind.name}` }), exit);
  if (prom !== null) t.ok(statSync(prom).mtimeMs > 1000, 'the last state is written');
  t.notOk(existsSync(join(folder, LOCK)), 'the directory is free');
  await bpfObjectsGone(objects);
  t.notMatch(running.said(), /^ +at |this is a bug|\bError\b/m);
}

/** Some connections, for rows. */
async function traffic(t: Test, namespace: Namespace): Promise<void> {
  await blast(t, namespace, { port: TCP_PORT, rounds: 101 });
}

const fullDisk = (): number => openSync('/dev/full', O_WRONLY);

t.test('rows for a full disk: the files of the collector go on', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const stdout = fullDisk();
  const running = await start(t, COLLECTOR, namespace, { stdio: ['ignore', stdout, 'pipe'] });
  closeSync(stdout);
  await until(() => running.said().includes('ready after'), { what: 'ready' });
  await traffic(t, namespace);
  await endsInOrder(t, COLLECTOR, running, () => {
    running.kill('SIGTERM');
  });
  const refusals = running.said().match(/^.*ENOSPC.*$/gm);
  t.strictSame(refusals, ['netwatch: standard output takes no more rows: ENOSPC; the files go on']);
  t.notMatch(running.said(), /too slow/);
  const state = readFileSync(join(running.folder, 'netwatch.prom'), 'utf8');
  t.match(state, /^netwatch_records_written_total\{file="packets\.log"\} [1-9]\d+$/m);
  const again = [PROGRAM, '-q', '--netns', namespace.name, '--data', running.folder];
  execFileSync(process.execPath, [...again, '--duration', '0.1'], { stdio: 'ignore' });
});

for (const kind of [EVENTS, REPORTS]) {
  t.test(`rows for a full disk end ${kind.name} with one sentence`, { skip }, async (t) => {
    const stdout = fullDisk();
    const setting: Setting = { stdio: ['ignore', stdout, 'pipe'] };
    const running = await start(t, kind, createNamespace(t), setting);
    closeSync(stdout);
    t.strictSame(await running.exited, { code: 3, signal: null });
    const [ready = '', ...rest] = running.said().split('\n');
    t.match(ready, / ready after /);
    t.strictSame(rest, [
      'netwatch: cannot write to standard output: ENOSPC; send it to another file or pipe',
      '',
    ]);
  });
}

for (const args of [['-h'], ['tcplife', '-h'], ['doctor']]) {
  t.test(`\`netwatch ${args.join(' ')}\` for a full disk is one sentence`, { skip }, async (t) => {
    const stdout = fullDisk();
    const child = spawn(process.execPath, [PROGRAM, ...args], {
      stdio: ['ignore', stdout, 'pipe'],
    });
    closeSync(stdout);
    let said = '';
    child.stderr?.setEncoding('utf8').on('data', (text: string) => (said += text));
    const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
    t.equal(code, 3);
    t.match(said, /^netwatch: cannot write to standard output: ENOSPC; [^\n]*\n$/);
  });
}

for (const kind of [COLLECTOR, QUIET, EVENTS, REPORTS, SERVE]) {
  t.test(`a terminal that vanishes hangs up ${kind.name}`, { skip }, async (t) => {
    const namespace = createNamespace(t);
    const terminal = openTerminal(t);
    const { fd } = terminal;
    // no process group leader, so it does not fork: the pid stays that of the child
    const within = ['setsid', '--ctty'];
    const running = await start(t, kind, namespace, { stdio: [fd, fd, fd], within });
    await until(() => / (ready after|serving) /.test(terminal.shown()), { what: 'it is ready' });
    await traffic(t, namespace);
    await endsInOrder(t, kind, running, () => {
      terminal.vanish();
    });
  });
}

for (const kind of [COLLECTOR, EVENTS, REPORTS]) {
  t.test(`a terminal that vanishes takes ${kind.name} along, unheard`, { skip }, async (t) => {
    const namespace = createNamespace(t);
    const terminal = openTerminal(t);
    const { fd } = terminal;
    const running = await start(t, kind, namespace, { stdio: [fd, fd, fd], detached: true });
    await until(() => terminal.shown().includes(' ready after '), { what: 'it is ready' });
    await endsInOrder(t, kind, running, async () => {
      terminal.vanish();
      await traffic(t, namespace); // who does not write does not see it
    });
  });
}

/** Sends the signal and returns when the process has heard it and goes on. */
async function outlivesHangUp(kind: Kind, { folder, url, kill }: Running): Promise<void> {
  const log = join(folder, 'packets.log');
  if (kind !== SERVE) renameSync(log, `${log}.moved`);
  kill('SIGHUP');
  if (kind === SERVE) {
    // the first answer may come before the signal is looked at
    for (let i = 0; i < 2; i++) await fetch(url, { headers: { connection: 'close' } });
  } else await until(() => existsSync(log), { what: 'the log is opened anew' });
}

for (const kind of [QUIET, SERVE]) {
  t.test(`${kind.name} outlives a terminal that it has no rows for`, { skip }, async (t) => {
    const terminal = openTerminal(t);
    const { fd } = terminal;
    const setting: Setting = { stdio: ['ignore', fd, fd], detached: true };
    const running = await start(t, kind, createNamespace(t), setting);
    await until(() => / (ready after|serving) /.test(terminal.shown()), { what: 'it is ready' });
    terminal.vanish();
    await outlivesHangUp(kind, running);
    await endsInOrder(t, kind, running, () => {
      running.kill('SIGTERM');
    });
  });
}

t.test('a terminal hangs up more than once, which is no second signal', { skip }, async (t) => {
  const { fd } = openTerminal(t);
  const namespace = createNamespace(t);
  const running = await start(t, COLLECTOR, namespace, {
    stdio: [fd, 'pipe', 'pipe'],
    unread: true,
  });
  await until(() => running.said().includes('ready after'), { what: 'ready' });
  // more rows than the pipe holds: at the end it waits for their reader
  await blast(t, namespace, { port: TCP_PORT, rounds: 20_011 });
  await endsInOrder(t, COLLECTOR, running, async () => {
    running.kill('SIGHUP');
    await until(() => !existsSync(join(running.folder, LOCK)), { what: 'the files are done' });
    running.kill('SIGHUP');
  });
});

for (const kind of [COLLECTOR, QUIET, EVENTS, REPORTS, SERVE]) {
  t.test(`Ctrl-S does not stop ${kind.name}, nor its end`, { skip }, async (t) => {
    const namespace = createNamespace(t);
    const terminal = openTerminal(t);
    const { fd } = terminal;
    const running = await start(t, kind, namespace, { stdio: ['ignore', fd, fd], detached: true });
    await until(() => / (ready after|serving) /.test(terminal.shown()), { what: 'it is ready' });
    terminal.press(CTRL_S);
    await traffic(t, namespace);
    if (kind === SERVE) await complains(running);
    await endsInOrder(t, kind, running, () => {
      running.kill('SIGTERM');
    });
    t.notMatch(terminal.shown(), /lines written/, 'it was stopped');
  });
}

t.test('status lines that a stopped terminal leaves out are counted', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const terminal = openTerminal(t);
  const { fd } = terminal;
  const stdio: StdioOptions = ['ignore', fd, fd];
  const kind: Kind = { ...QUIET, args: ['-q', '--interval', '0.5'] };
  const running = await start(t, kind, namespace, { stdio, detached: true });
  await until(() => terminal.shown().includes(' records/s '), { what: 'a status line' });
  terminal.press(CTRL_S);
  const prom = join(running.folder, 'netwatch.prom');
  const sinceMs = Date.now();
  // at least two lines of one second each fall due meanwhile
  await until(() => statSync(prom).mtimeMs > sinceMs + 4000, { what: 'it goes on' });
  terminal.press(CTRL_Q);
  const before = terminal.shown().length;
  const line = (): boolean => terminal.shown().slice(before).includes(' records/s ');
  await until(line, { what: 'the terminal takes lines again' });
  await endsInOrder(t, kind, running, () => {
    running.kill('SIGTERM');
  });
  const said = await until(
    () => / (\d+) status lines not shown: the terminal took nothing/.exec(terminal.shown()),
    {
      what: 'the count',
    },
  );
  t.ok(Number(said[1]) >= 2, said[0]);
  await until(() => terminal.shown().includes('nothing lost'), { what: 'no record is lost' });
});

/** Who may watch, but may not open a terminal of root. */
const STRANGER: Omit<Setting, 'stdio'> = {
  owner: 65_534,
  within: asNobody(['CAP_BPF', 'CAP_PERFMON', 'CAP_NET_ADMIN', 'CAP_SYS_ADMIN', 'CAP_SYS_PTRACE']),
  detached: true,
};

for (const kind of [COLLECTOR, QUIET, EVENTS, REPORTS, SERVE]) {
  t.test(
    `Ctrl-S on the terminal of another user does not stop ${kind.name}, nor its end`,
    { skip },
    async (t) => {
      const namespace = createNamespace(t);
      const terminal = openTerminal(t);
      const { fd } = terminal;
      const running = await start(t, kind, namespace, { ...STRANGER, stdio: ['ignore', fd, fd] });
      await until(() => / (ready after|serving) /.test(terminal.shown()), { what: 'it is ready' });
      terminal.press(CTRL_S);
      await traffic(t, namespace);
      if (kind === SERVE) await complains(running);
      await endsInOrder(t, kind, running, () => {
        running.kill('SIGTERM');
      });
      t.notMatch(terminal.shown(), /lines written/, 'it was stopped');
    },
  );
}

t.test(
  'the terminal of another user has the last word, and vanishes in order',
  { skip },
  async (t) => {
    const namespace = createNamespace(t);
    for (const vanishes of [false, true]) {
      const terminal = openTerminal(t);
      const { fd } = terminal;
      const stdio: StdioOptions = ['ignore', fd, fd];
      const running = await start(t, COLLECTOR, namespace, { ...STRANGER, stdio });
      await until(() => terminal.shown().includes(' ready after '), { what: 'it is ready' });
      await endsInOrder(t, COLLECTOR, running, async () => {
        if (vanishes) terminal.vanish();
        else running.kill('SIGTERM');
        await traffic(t, namespace);
      });
      if (!vanishes)
        await until(() => terminal.shown().includes('nothing lost'), { what: 'the summary' });
    }
  },
);

/** Gives `serve` a file to say something of; returns when it has, and still answers. */
async function complains({ folder, url }: Running): Promise<void> {
  writeFileSync(join(folder, 'bad.prom'), 'no metric\n');
  const status = async (): Promise<string> => {
    const answer = await fetch(`${url}/api/v1/status`, { signal: AbortSignal.timeout(1000) });
    return answer.text();
  };
  await until(async () => (await status()).includes('bad.prom is left out'), { what: 'its say' });
}

/** Standard error as a pipe of which we hold the other end, or do not. */
function errorPipe(t: Test): { readonly writer: number; readonly reader: number } {
  const path = join(temporaryFolder(t), 'stderr');
  execFileSync('mkfifo', [path]);
  const reader = openSync(path, O_RDWR | O_NONBLOCK);
  return { reader, writer: openSync(path, O_WRONLY) };
}

function fill(fd: number): void {
  const bytes = Buffer.alloc(4096, '.');
  try {
    for (;;) writeSync(fd, bytes);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EAGAIN') throw error;
  }
}

// One tool stands for all: they have this in common.
for (const kind of [COLLECTOR, EVENTS, SERVE]) {
  const ended = async (t: Test, setting: Setting): Promise<void> => {
    const namespace = createNamespace(t);
    const running = await start(t, kind, namespace, setting);
    await traffic(t, namespace);
    await endsInOrder(t, kind, running, () => {
      running.kill('SIGINT');
    });
  };

  t.test(`${kind.name} runs and ends with a closed standard error`, { skip }, async (t) => {
    const within = ['bash', '-c', 'exec "$@" 2>&-', 'bash'];
    await ended(t, { stdio: ['ignore', 'pipe', 'ignore'], within });
  });

  t.test(`${kind.name} runs and ends when standard error is read only`, { skip }, async (t) => {
    const stderr = openSync('/dev/null', 'r');
    await ended(t, { stdio: ['ignore', 'pipe', stderr] });
    closeSync(stderr);
  });

  t.test(`${kind.name} runs and ends when standard error is full`, { skip }, async (t) => {
    const stderr = fullDisk();
    await ended(t, { stdio: ['ignore', 'pipe', stderr] });
    closeSync(stderr);
  });

  t.test(`${kind.name} runs and ends when nobody reads standard error`, { skip }, async (t) => {
    const { reader, writer } = errorPipe(t);
    fill(reader);
    await ended(t, { stdio: ['ignore', 'pipe', writer] });
    for (const fd of [reader, writer]) closeSync(fd);
  });

  t.test(
    `${kind.name} runs and ends when standard error has lost its reader`,
    { skip },
    async (t) => {
      const { reader, writer } = errorPipe(t);
      closeSync(reader);
      await ended(t, { stdio: ['ignore', 'pipe', writer] });
      closeSync(writer);
    },
  );
}

for (const kind of [EVENTS, REPORTS]) {
  t.test(`${kind.name} ends when nobody reads its rows`, { skip }, async (t) => {
    const namespace = createNamespace(t);
    const { reader, writer } = errorPipe(t);
    fill(reader);
    const running = await start(t, kind, namespace, { stdio: ['ignore', writer, 'pipe'] });
    closeSync(writer);
    await until(() => running.said().includes(' ready after '), { what: 'ready' });
    await traffic(t, namespace);
    await endsInOrder(t, kind, running, () => {
      running.kill('SIGINT');
    });
    closeSync(reader);
    t.match(running.said(), /^netwatch \w+: [1-9]\d* rows not shown: the reader was too slow$/m);
  });
}

for (const kind of [COLLECTOR, EVENTS, REPORTS]) {
  t.test(`${kind.name} ends quietly when the reader of its rows goes away`, { skip }, async (t) => {
    const namespace = createNamespace(t);
    const { reader, writer } = errorPipe(t);
    const running = await start(t, kind, namespace, { stdio: ['ignore', writer, 'pipe'] });
    closeSync(writer);
    await until(() => running.said().includes(' ready after '), { what: 'ready' });
    await endsInOrder(t, kind, running, async () => {
      closeSync(reader);
      await traffic(t, namespace);
    });
    t.notMatch(running.said(), /EPIPE|not shown|standard output/);
  });
}

t.test('a signal while it starts is an orderly end, too', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const folder = temporaryFolder(t);
  const args = [PROGRAM, '--netns', namespace.name, '--data', folder];
  const child = spawn(process.execPath, args, { stdio: 'ignore' });
  const exited = new Promise<Exit>((resolve) => {
    child.once('close', (code, signal) => {
      resolve({ code, signal });
    });
  });
  // it is taken before anything is loaded
  await until(() => existsSync(join(folder, LOCK)), { what: 'the lock', everyMs: 1 });
  child.kill('SIGINT');
  t.strictSame(await exited, ORDERLY);
  t.ok(existsSync(join(folder, 'netwatch.prom')));
  t.notOk(existsSync(join(folder, LOCK)));
});

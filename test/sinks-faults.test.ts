// Sinks on a disk that misbehaves: full, read-only, replaced under our feet, stuck; and processes
// that are killed. Faults are real (mounts, links, permissions) wherever the kernel can be made to
// produce them.
import { execFileSync, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import * as sync from 'node:fs';
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import { createStream } from 'rotating-file-stream';
import t, { type Test } from 'tap';
import ts from 'typescript';
import { errnoOf, explainSinkError } from '../src/sinks/errors.js';
import { openOnDisk, type LogHandle, type OpenFile } from '../src/sinks/log-file.js';
import { logFilesOldestFirst } from '../src/sinks/log-names.js';
import { RotatingLog, type RotatingLogOptions } from '../src/sinks/rotating.js';
import { DEADLINE_MS } from './support/wait.js';

const HEADER = '# HELP nw_test A test.\n# TYPE nw_test gauge\n';
const MIB = 1024 * 1024;
/** For a disk that works, however busy the machine is. */
const PATIENCE_MS = 10_000;

/** Why tests with mounts are skipped, or null: root in a container may not be allowed to mount. */
function whyNoMounts(): string | null {
  if (process.getuid?.() !== 0) return 'mounting needs root';
  const directory = sync.mkdtempSync(join(tmpdir(), 'netwatch-test-'));
  try {
    execFileSync('mount', ['-t', 'tmpfs', 'netwatch-test', directory], { stdio: 'pipe' });
    execFileSync('umount', [directory], { stdio: 'pipe' });
    return null;
  } catch (thrown) {
    return `mounting is refused here: ${String(thrown)}`;
  } finally {
    sync.rmdirSync(directory);
  }
}

const noMounts = whyNoMounts();
const needsRoot = noMounts === null ? {} : { skip: noMounts };

function optionsFor(
  directory: string,
  changes: Partial<RotatingLogOptions> = {},
): RotatingLogOptions {
  return {
    directory,
    name: 'packets.log',
    header: HEADER,
    rotateBytes: 1e8,
    rotateIntervalSeconds: null,
    keepFiles: 10,
    keepBytes: 1e9,
    gzip: false,
    maxBufferedBytes: 4e6,
    now: () => Date.now(),
    log: () => undefined,
    checkMs: 20,
    ...changes,
  };
}

async function openLog(t: Test, options: RotatingLogOptions): Promise<RotatingLog> {
  const opened = await RotatingLog.open(options);
  if (!opened.ok) throw new Error(explainSinkError(opened.error));
  t.teardown(() => opened.value.close());
  return opened.value;
}

/** A writer of numbered lines that says what it gave. */
function numbered(log: RotatingLog): { readonly give: (count: number) => void; n: number } {
  const source = {
    n: 0,
    give: (count: number): void => {
      let text = '';
      for (let i = 0; i < count; i += 1, source.n += 1) text += `nw_test{n="${source.n}"} 1\n`;
      log.write(Buffer.from(text), count);
    },
  };
  return source;
}

/** The numbers in one file; throws when it holds anything but its header and whole lines. */
function numbersIn(path: string): readonly number[] {
  const bytes = sync.readFileSync(path);
  const text = (path.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString('latin1');
  if (!text.startsWith(HEADER)) throw new Error(`${path} has no header`);
  const found = text.slice(HEADER.length).split('\n');
  if (found.pop() !== '') throw new Error(`${path} ends in half a line`);
  return found.map((line) => {
    const match = /^nw_test\{n="(\d+)"\} +1$/.exec(line);
    if (match === null) throw new Error(`${path} holds the line ${JSON.stringify(line)}`);
    return Number(match[1]);
  });
}

/** The numbers in all files of the log, oldest first. */
async function numbers(directory: string): Promise<readonly number[]> {
  const paths = await logFilesOldestFirst(directory, 'packets.log');
  if (!paths.ok) throw new Error(explainSinkError(paths.error));
  return paths.value.flatMap(numbersIn);
}

function upTo(end: number): readonly number[] {
  return Array.from({ length: end }, (_, n) => n);
}

function isAscending(values: readonly number[]): boolean {
  return values.every((value, index) => index === 0 || value > (values[index - 1] ?? NaN));
}

/** 0, 1, 2 …: quicker than comparing with such a list. */
function isGapless(values: readonly number[]): boolean {
  return values.every((value, index) => value === index);
}

async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + PATIENCE_MS;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`gave up waiting: ${what}`);
    await sleep(5);
  }
}

/** Waits until the last rotated file has its number. */
function aged(directory: string): Promise<void> {
  return until('ageing is done', () =>
    sync.readdirSync(directory).every((file) => !/\.0(\.gz)?$/.test(file)),
  );
}

function accountedFor(log: RotatingLog): boolean {
  const { accepted, written, lost, pending } = log.stats();
  return accepted === written + lost + pending;
}

function openDescriptors(): number {
  return sync.readdirSync('/proc/self/fd').length;
}

/** Of this directory and what is in it. */
function descriptorsIn(directory: string): number {
  const pathOf = (fd: string): string => {
    try {
      return sync.readlinkSync(`/proc/self/fd/${fd}`);
    } catch {
      return ''; // closed meanwhile
    }
  };
  const paths = sync.readdirSync('/proc/self/fd').map(pathOf);
  return paths.filter((path) => path === directory || path.startsWith(`${directory}/`)).length;
}

/** Files, and directories one level deep, by name. */
interface Tree {
  readonly [name: string]: string | Readonly<Record<string, string>>;
}

/**
 * A new directory. Not tap's: that one is removed before a log in it is closed, and with something
 * still mounted in it.
 */
function scratch(t: Test, tree: Tree = {}): string {
  const directory = sync.mkdtempSync(join(tmpdir(), 'netwatch-test-'));
  t.teardown(() => sync.rmSync(directory, { recursive: true, force: true }));
  for (const [name, content] of Object.entries(tree)) {
    const path = join(directory, name);
    if (typeof content === 'string') sync.writeFileSync(path, content);
    else sync.mkdirSync(path);
    for (const [inner, text] of typeof content === 'string' ? [] : Object.entries(content)) {
      sync.writeFileSync(join(path, inner), text);
    }
  }
  return directory;
}

/** Mounts something on `directory` until the test ends, even if it ends by being killed. */
function mount(t: Test, directory: string, ...args: readonly string[]): string {
  execFileSync('mount', [...args, directory]);
  // Waits for the end of its standard input, which comes with the end of this process at the
  // latest.
  const guard = spawn('sh', ['-c', 'read -r _; umount -l "$1"', 'sh', directory], {
    stdio: ['pipe', 'ignore', 'inherit'],
    detached: true,
  });
  t.teardown(async () => {
    guard.stdin.end();
    await once(guard, 'exit');
  });
  return directory;
}

function smallDisk(t: Test, bytes: number): string {
  return mount(t, scratch(t), '-t', 'tmpfs', '-o', `size=${bytes},mode=0750`, 'netwatch-test');
}

// Why the log writes through a descriptor of its own: the package, by itself, under the same
// faults.

t.test('rotating-file-stream alone says ok to half a write, and dies', needsRoot, async (t) => {
  const directory = smallDisk(t, MIB);
  const stream = createStream('a.log', { path: directory, size: '1G', rotate: 2 });
  stream.on('error', () => undefined);
  const chunk = Buffer.alloc(300_000, 'x');
  const write = (): Promise<string> =>
    new Promise((resolve) => {
      stream.write(chunk, (error) => resolve(error ? String(errnoOf(error)) : 'ok'));
    });
  const answers = [await write(), await write(), await write(), await write()];
  t.same(answers, ['ok', 'ok', 'ok', 'ok'], 'the fourth does not fit');
  t.equal(sync.statSync(join(directory, 'a.log')).size, MIB);
  t.equal(await write(), 'ENOSPC');
  await fs.truncate(join(directory, 'a.log'));
  t.equal(await write(), 'ERR_STREAM_DESTROYED', 'though there is room again');
});

t.test('rotating-file-stream alone writes through a link', async (t) => {
  const directory = scratch(t, { outside: '', data: {} });
  await fs.symlink('../outside', join(directory, 'data/a.log'));
  const stream = createStream('a.log', { path: join(directory, 'data'), size: '1G', rotate: 2 });
  await new Promise<void>((resolve) => stream.end('text\n', resolve));
  t.equal(await fs.readFile(join(directory, 'outside'), 'utf8'), 'text\n');
});

t.test('rotating-file-stream alone leaks a descriptor per failed gzip', needsRoot, async (t) => {
  const directory = smallDisk(t, MIB);
  const noise = randomBytes(700_000);
  const before = openDescriptors();
  for (let round = 0; round < 3; round += 1) {
    await fs.writeFile(join(directory, 'a.log'), noise);
    const options = { path: directory, size: '1B', rotate: 2, compress: 'gzip' } as const;
    const stream = createStream('a.log', options);
    stream.on('error', () => undefined);
    await new Promise<void>((resolve) => stream.once('close', resolve));
    await fs.rm(join(directory, 'a.log.1.gz'), { force: true });
  }
  await sleep(50);
  t.equal(openDescriptors(), before + 3);
});

t.test('a full disk: no exit, no torn line, all counted, resumes', needsRoot, async (t) => {
  const directory = smallDisk(t, 2 * MIB);
  const warnings: string[] = [];
  const log = await openLog(
    t,
    optionsFor(directory, { maxBufferedBytes: MIB, log: (sentence) => warnings.push(sentence) }),
  );
  const source = numbered(log);
  for (let chunk = 0; chunk < 40; chunk += 1) {
    source.give(10_000);
    await log.flush(20);
    if (!accountedFor(log)) t.fail('records unaccounted for');
  }
  const { lost, pending, written, writeErrors, down } = log.stats();
  t.ok(lost > 0 && pending > 0, 'memory is full as well');
  t.ok(down);
  t.ok((writeErrors.get('ENOSPC') ?? 0) > 0);
  t.same([...writeErrors.keys()], ['ENOSPC']);
  t.same(await numbers(directory), upTo(written), 'exactly what is counted, no torn line');
  t.equal(warnings.length, 1);
  t.match(warnings[0], /^cannot write .*packets\.log: ENOSPC; trying again, \d+ records wait/);
  execFileSync('mount', ['-o', 'remount,size=16m', directory]);
  await until('it writes again', () => !log.stats().down && log.stats().pending === 0);
  source.give(100);
  t.ok(await log.close(PATIENCE_MS));
  const after = log.stats();
  t.match(after, { accepted: source.n, pending: 0, lost });
  t.equal(after.written, source.n - lost);
  const kept = await numbers(directory);
  t.equal(kept.length, after.written);
  t.ok(isAscending(kept), 'each record once and in order');
});

t.test('closing on a full disk counts the rest as lost, at once', needsRoot, async (t) => {
  const directory = smallDisk(t, MIB);
  const log = await openLog(t, optionsFor(directory));
  const source = numbered(log);
  source.give(100_000);
  await until('the disk is full', () => log.stats().down);
  t.ok(await log.close(PATIENCE_MS), 'it does not wait for the disk');
  const { written, lost } = log.stats();
  t.equal(written + lost, source.n);
  t.same(await numbers(directory), upTo(written));
});

for (const gzip of [false, true]) {
  t.test(`a disk as large as the cap never fills (gzip: ${gzip})`, needsRoot, async (t) => {
    // A page per file is what the file system rounds up to.
    const directory = smallDisk(t, MIB + 16 * 4096);
    const before = openDescriptors();
    const log = await openLog(t, optionsFor(directory, { keepBytes: MIB, gzip, keepFiles: 12 }));
    const source = numbered(log);
    for (let chunk = 0; chunk < 150; chunk += 1) {
      source.give(2000);
      await log.flush(PATIENCE_MS);
    }
    t.match(log.stats(), { written: source.n, lost: 0, down: false });
    t.same(log.stats().writeErrors, new Map());
    t.ok(log.stats().rotations > 10);
    await log.close();
    t.equal(
      openDescriptors(),
      before,
      'a leaked descriptor would hold the space of a removed file',
    );
  });
}

t.test('a disk too small to compress on: nothing leaks, nothing is lost', needsRoot, async (t) => {
  const directory = smallDisk(t, 2 * MIB);
  const options = { rotateBytes: 1.2 * MIB, gzip: true, maxBufferedBytes: 8 * MIB };
  const log = await openLog(t, optionsFor(directory, options));
  const noise = Buffer.from(
    randomBytes(600_000).toString('hex').replaceAll(/.{99}/g, '$&\n') + '\n',
  );
  const count = noise.toString().split('\n').length - 1;
  const before = openDescriptors();
  log.write(noise, count);
  await log.flush(PATIENCE_MS);
  log.write(noise.subarray(0, 600_000), 6000);
  await log.flush(PATIENCE_MS);
  t.equal(log.stats().rotations, 1);
  await until('it failed', () => (log.stats().writeErrors.get('ENOSPC') ?? 0) >= 2);
  t.ok(openDescriptors() <= before + 3, 'only those of a try that is on');
  t.notOk(sync.existsSync(join(directory, 'packets.log.1.gz')));
  t.ok(sync.statSync(join(directory, 'packets.log.0')).size > noise.length, 'whole');
  execFileSync('mount', ['-o', 'remount,size=16m', directory]);
  await until('it is packed', () => sync.existsSync(join(directory, 'packets.log.1.gz')));
  t.match(log.stats(), { written: count + 6000, lost: 0 });
});

t.test('records beyond the memory cap are dropped while a rotation waits', async (t) => {
  const directory = scratch(t);
  const log = await openLog(
    t,
    optionsFor(directory, { rotateBytes: 100_000, gzip: true, maxBufferedBytes: 300_000 }),
  );
  const source = numbered(log);
  let most = 0;
  for (let chunk = 0; chunk < 300; chunk += 1) {
    source.give(1000);
    most = Math.max(most, log.stats().pending);
    // Lets the disk work a little, but not keep up.
    if (chunk % 10 === 0) await sleep(1);
    if (!accountedFor(log)) t.fail('records unaccounted for');
  }
  await log.flush(PATIENCE_MS);
  const { accepted, written, lost, pending } = log.stats();
  t.ok(lost > 0 && written > 0);
  t.equal(pending, 0);
  t.equal(accepted, written + lost);
  t.ok(most * 19 <= 300_000, 'the memory cap in bytes');
});

t.test('a removed log, a removed directory: written anew at once', async (t) => {
  const directory = join(scratch(t), 'data');
  const log = await openLog(t, optionsFor(directory));
  const source = numbered(log);
  source.give(5);
  await log.flush(PATIENCE_MS);
  await fs.rm(join(directory, 'packets.log'));
  source.give(5);
  await log.flush(PATIENCE_MS);
  t.same(await numbers(directory), [5, 6, 7, 8, 9], 'seen before the next write, not after');
  await fs.rm(directory, { recursive: true });
  await until('it is back without traffic', () => sync.existsSync(join(directory, 'packets.log')));
  source.give(2);
  await log.close();
  t.same(await numbers(directory), [10, 11]);
  t.match(log.stats(), { accepted: 12, written: 12, lost: 0 });
});

t.test('logrotate: a rename and SIGHUP, or a rename alone', async (t) => {
  const directory = scratch(t);
  const [current, moved] = [join(directory, 'packets.log'), join(directory, 'moved')];
  const log = await openLog(t, optionsFor(directory, { checkMs: 3_600_000 }));
  const source = numbered(log);
  source.give(3);
  await log.flush(PATIENCE_MS);
  await fs.rename(current, moved);
  source.give(3);
  await log.flush(PATIENCE_MS);
  t.same(numbersIn(moved), [0, 1, 2, 3, 4, 5], 'the moved file, until told');
  log.reopen();
  source.give(3);
  await log.flush(PATIENCE_MS);
  t.same(numbersIn(current), [6, 7, 8]);
  const watching = await openLog(t, optionsFor(directory, { name: 'b.log' }));
  await fs.rename(join(directory, 'b.log'), moved);
  await until('it is noticed', () => sync.existsSync(join(directory, 'b.log')));
  t.match(watching.stats(), { down: false });
});

t.test('copytruncate: no sparse hole, and the header is back', async (t) => {
  const directory = scratch(t);
  const current = join(directory, 'packets.log');
  const log = await openLog(t, optionsFor(directory, { checkMs: 3_600_000 }));
  const source = numbered(log);
  source.give(1000);
  await log.flush(PATIENCE_MS);
  await fs.truncate(current, 0);
  source.give(3);
  await log.flush(PATIENCE_MS);
  t.same(numbersIn(current), [1000, 1001, 1002]);
});

t.test('a rotation never moves what is not ours', async (t) => {
  const directory = scratch(t);
  const current = join(directory, 'packets.log');
  const rotateBytes = HEADER.length + 3 * 17;
  const log = await openLog(t, optionsFor(directory, { checkMs: 3_600_000, rotateBytes }));
  const source = numbered(log);
  source.give(3);
  await log.flush(PATIENCE_MS);
  await fs.rename(current, join(directory, 'moved'));
  await fs.mkdir(current);
  source.give(4);
  await until('the rotation fails', () => log.stats().down);
  t.ok(sync.statSync(current).isDirectory(), 'stays where it is');
  await fs.rmdir(current);
  t.ok(await log.flush(PATIENCE_MS));
  await log.close();
  t.same(numbersIn(join(directory, 'moved')), [0, 1, 2]);
  t.same(await numbers(directory), [3, 4, 5, 6]);
});

const impostors = {
  link: async (path: string) => fs.symlink('../outside', path),
  'dangling link': async (path: string) => fs.symlink('../nowhere', path),
  directory: async (path: string) => fs.mkdir(path),
  pipe: async (path: string) => void execFileSync('mkfifo', [path]),
};

for (const [name, create] of Object.entries(impostors)) {
  t.test(`a ${name} in place of the log is refused until it is gone`, async (t) => {
    const root = scratch(t, { outside: 'untouched', data: {} });
    const directory = join(root, 'data');
    const current = join(directory, 'packets.log');
    const log = await openLog(t, optionsFor(directory));
    const source = numbered(log);
    await fs.rm(current);
    await create(current);
    await until('it is noticed', () => log.stats().down);
    source.give(10);
    t.notOk(await log.flush(50));
    const errors = [...log.stats().writeErrors.keys()];
    t.equal(errors.length, 1);
    t.equal(log.stats().writeErrors.get(errors[0] ?? ''), 1, 'the next try comes later');
    t.match(errors[0], /^(ELOOP|EISDIR|EINVAL)$/);
    await fs.rm(current, { recursive: true });
    t.ok(await log.flush(PATIENCE_MS), 'it resumes');
    t.same(await numbers(directory), upTo(10));
    t.equal(await fs.readFile(join(root, 'outside'), 'utf8'), 'untouched');
    t.notOk(sync.existsSync(join(root, 'nowhere')));
    await log.close();
    await fs.rm(current);
    await create(current);
    const refused = await RotatingLog.open(optionsFor(directory));
    t.notOk(refused.ok, 'at start it is an error value');
  });
}

for (const obstacle of ['packets.log.1', 'packets.log.0', 'packets.log.7']) {
  t.test(`a directory named ${obstacle}: writing goes on, rotation is retried`, async (t) => {
    const directory = scratch(t, { [obstacle]: { precious: 'x' } });
    const log = await openLog(t, optionsFor(directory, { rotateBytes: 1000 }));
    const source = numbered(log);
    for (let chunk = 0; chunk < 20; chunk += 1) {
      source.give(20);
      await log.flush();
    }
    t.match(log.stats(), { written: 400, lost: 0, down: false });
    t.ok((log.stats().writeErrors.get('EISDIR') ?? 0) > 0);
    t.equal(await fs.readFile(join(directory, obstacle, 'precious'), 'utf8'), 'x');
    await fs.rm(join(directory, obstacle), { recursive: true });
    const { rotations } = log.stats();
    await until('it rotates again', () => {
      source.give(20);
      return log.stats().rotations > rotations + 2;
    });
    await log.flush();
    await aged(directory);
    const kept = await numbers(directory);
    t.same(kept, upTo(source.n).slice(-kept.length), 'no gap');
  });
}

t.test('a rotation that stays impossible is held by the disk cap', async (t) => {
  const directory = scratch(t, { 'packets.log.1': { precious: 'x' } });
  const log = await openLog(t, optionsFor(directory, { rotateBytes: 1000, keepBytes: 20_000 }));
  const source = numbered(log);
  for (let chunk = 0; chunk < 100; chunk += 1) {
    source.give(20);
    await log.flush();
  }
  const { written, lost, writeErrors } = log.stats();
  t.ok(lost > 0 && (writeErrors.get('EDQUOT') ?? 0) > 0);
  t.equal(written + lost, source.n);
  t.same(await numbers(directory), upTo(written));
  const sizes = sync.readdirSync(directory).map((file) => sync.statSync(join(directory, file)));
  const bytes = sizes.reduce((sum, found) => sum + (found.isFile() ? found.size : 0), 0);
  t.ok(bytes <= 20_000, `${bytes} bytes`);
});

t.test('permissions revoked while running', needsRoot, async (t) => {
  const root = scratch(t);
  await fs.chmod(root, 0o755);
  const directory = join(root, 'data');
  await fs.mkdir(directory, { mode: 0o750 });
  await fs.chown(directory, 65534, 65534);
  process.seteuid?.(65534);
  try {
    const log = await openLog(t, optionsFor(directory));
    const source = numbered(log);
    source.give(3);
    await log.flush(PATIENCE_MS);
    await fs.chmod(directory, 0);
    await until('it is noticed', () => log.stats().down);
    source.give(3);
    t.same([...log.stats().writeErrors.keys()], ['EACCES']);
    const refused = await RotatingLog.open(optionsFor(directory));
    t.match(refused, { ok: false, error: { errno: 'EACCES' } }, 'at start it is an error value');
    await fs.chmod(directory, 0o750);
    t.ok(await log.flush(PATIENCE_MS), 'it resumes');
    t.same(await numbers(directory), upTo(6));
  } finally {
    process.seteuid?.(0);
  }
});

t.test('a read-only file system', needsRoot, async (t) => {
  const directory = smallDisk(t, MIB);
  execFileSync('mount', ['-o', 'remount,ro', directory]);
  const refused = await RotatingLog.open(optionsFor(directory));
  t.match(refused, { ok: false, error: { errno: 'EROFS' } });
  execFileSync('mount', ['-o', 'remount,rw', directory]);
  const log = await openLog(t, optionsFor(directory));
  const source = numbered(log);
  await fs.rm(join(directory, 'packets.log'));
  await until('it is open again', () => sync.existsSync(join(directory, 'packets.log')));
  // The kernel refuses to remount a file system that has a file open for writing.
  const blind = smallDisk(t, MIB);
  execFileSync('mount', ['-o', 'remount,ro', blind]);
  mount(t, directory, '--bind', blind);
  await until('it is noticed', () => log.stats().down);
  t.same([...log.stats().writeErrors.keys()], ['EROFS']);
  source.give(3);
  for (const path of [blind, directory]) execFileSync('mount', ['-o', 'remount,rw', path]);
  t.ok(await log.flush(PATIENCE_MS));
  t.same(await numbers(directory), upTo(3));
});

/** Disks that misbehave on demand: `fault.write` replaces write(2) while it is set. */
function faultyDisk(): {
  open: OpenFile;
  fault: { write: ((handle: LogHandle, bytes: Buffer, from: number) => Promise<number>) | null };
} {
  const fault: ReturnType<typeof faultyDisk>['fault'] = { write: null };
  const open: OpenFile = async (path, flags, mode) => {
    const handle = await openOnDisk(path, flags, mode);
    const write = handle.write.bind(handle);
    Object.assign(handle, {
      write: async (bytes: Buffer, from = 0) =>
        fault.write === null
          ? write(bytes, from)
          : { bytesWritten: await fault.write({ ...handle, write }, bytes, from), buffer: bytes },
    });
    return handle;
  };
  return { open, fault };
}

t.test('an input/output error in the middle of a line', async (t) => {
  const directory = scratch(t);
  const { open, fault } = faultyDisk();
  const log = await openLog(t, optionsFor(directory, { openFile: open }));
  const source = numbered(log);
  let calls = 0;
  fault.write = async (handle, bytes, from) => {
    calls += 1;
    // First a short write that ends inside a line, then the error; two tries long.
    if (calls % 2 === 1) return (await handle.write(bytes, from, 47)).bytesWritten;
    if (calls === 4) fault.write = null;
    throw Object.assign(new Error('injected'), { code: 'EIO' });
  };
  source.give(100);
  await until('the first try failed', () => log.stats().down);
  t.match(log.stats(), { written: 2, lost: 0, pending: 98 });
  t.same(await numbers(directory), upTo(2), 'the torn line is cut off');
  t.ok(await log.flush(PATIENCE_MS));
  t.same(await numbers(directory), upTo(100));
  t.same(log.stats().writeErrors, new Map([['EIO', 2]]));
});

t.test('a slow disk at start: the file is opened once', async (t) => {
  const directory = scratch(t);
  let opens = 0;
  const openFile: OpenFile = async (path, flags, mode) => {
    opens += 1;
    await sleep(60);
    return openOnDisk(path, flags, mode);
  };
  const log = await openLog(t, optionsFor(directory, { openFile, checkMs: 5 }));
  numbered(log).give(3);
  t.ok(await log.close(PATIENCE_MS));
  t.equal(opens, 1);
});

t.test('closing tries once more', async (t) => {
  const directory = scratch(t);
  const { open, fault } = faultyDisk();
  const log = await openLog(t, optionsFor(directory, { openFile: open }));
  fault.write = async () => {
    fault.write = null;
    throw Object.assign(new Error('injected'), { code: 'EIO' });
  };
  numbered(log).give(10);
  await until('it failed', () => log.stats().down);
  t.ok(await log.close(PATIENCE_MS));
  t.match(log.stats(), { written: 10, lost: 0 });
});

t.test('short writes are gone on with', async (t) => {
  const directory = scratch(t);
  const { open, fault } = faultyDisk();
  const log = await openLog(t, optionsFor(directory, { openFile: open }));
  const source = numbered(log);
  fault.write = async (handle, bytes, from) =>
    (await handle.write(bytes, from, Math.min(7, bytes.length - from))).bytesWritten;
  source.give(50);
  t.ok(await log.close(PATIENCE_MS));
  t.same(await numbers(directory), upTo(50));
});

t.test('a stuck disk does not hold up the exit', async (t) => {
  const directory = scratch(t);
  const { open, fault } = faultyDisk();
  const log = await openLog(t, optionsFor(directory, { openFile: open }));
  const source = numbered(log);
  let unstick = (): void => undefined;
  fault.write = async (_handle, bytes, from) => {
    await new Promise<void>((resolve) => (unstick = resolve));
    return bytes.length - from;
  };
  source.give(10);
  t.notOk(await log.flush(50));
  source.give(10);
  t.notOk(await log.close(100), 'false: something is stuck in the kernel');
  const before = log.stats();
  t.match(before, { accepted: 20, written: 0, lost: 20, pending: 0 });
  unstick();
  await sleep(20);
  t.same(log.stats(), before, 'what happens afterwards no longer changes the counts');
});

t.test('a file that opens only after the end is closed, and nothing written to it', async (t) => {
  const directory = scratch(t);
  let isStuck = false;
  let unstick = (): void => undefined;
  const openFile: OpenFile = async (path, flags, mode) => {
    if (isStuck) await new Promise<void>((resolve) => (unstick = resolve));
    return openOnDisk(path, flags, mode);
  };
  const held = (): number => descriptorsIn(directory);
  const log = await openLog(t, optionsFor(directory, { openFile, checkMs: 1e6 }));
  const source = numbered(log);
  source.give(10);
  t.ok(await log.flush(PATIENCE_MS));
  t.equal(held(), 2, 'the directory and the file');
  const path = join(directory, 'packets.log');
  sync.unlinkSync(path);
  isStuck = true;
  source.give(10);
  await until('it opens anew', () => held() === 1);
  t.notOk(await log.close(50), 'false: something is stuck in the kernel');
  t.match(log.stats(), { accepted: 20, written: 10, lost: 10, pending: 0 });
  unstick();
  await until('both are closed', () => held() === 0);
  t.equal(sync.readFileSync(path, 'utf8'), HEADER);
});

/**
 * The sinks as plain JavaScript beside a program that uses them, so that a child process starts in
 * 50 ms.
 */
function programIn(t: Test, text: string): string {
  const directory = scratch(t, { 'package.json': '{"type":"module"}' });
  const source = join(import.meta.dirname, '../src/sinks');
  sync.symlinkSync(join(import.meta.dirname, '../node_modules'), join(directory, 'node_modules'));
  const compilerOptions = { module: ts.ModuleKind.ESNext, target: ts.ScriptTarget.ES2022 };
  for (const file of sync.readdirSync(source)) {
    const { outputText } = ts.transpileModule(sync.readFileSync(join(source, file), 'utf8'), {
      compilerOptions,
    });
    sync.writeFileSync(join(directory, file.replace(/ts$/, 'js')), outputText);
  }
  sync.writeFileSync(join(directory, 'program.js'), text);
  return join(directory, 'program.js');
}

/** Writes numbered lines; the options are those above. */
const CHILD = `
import { RotatingLog } from './rotating.js';
const options = JSON.parse(process.argv[2]);
const { value: log } = await RotatingLog.open({ ...options, now: Date.now, log() {} });
let n = 0;
const make = (count, pad = ' ') => {
  let text = '';
  for (let i = 0; i < count; i += 1, n += 1) text += 'nw_test{n="' + n + '"}' + pad + '1\\n';
  return Buffer.from(text);
};
const give = (count) => log.write(make(count), count);
`;

t.test('a normal exit loses nothing, with or without close', async (t) => {
  const endings = [
    'give(50_000);',
    'give(50_000); await log.close(); process.exit(0);',
    'process.on("SIGTERM", async () => { await log.close(); process.exit(0); });' +
      'give(50_000); process.kill(process.pid, "SIGTERM"); setTimeout(() => {}, 60_000);',
  ];
  for (const ending of endings) {
    const program = programIn(t, CHILD + ending);
    const directory = join(dirname(program), 'data');
    const options = JSON.stringify(optionsFor(directory, { rotateBytes: 200_000 }));
    execFileSync(process.execPath, [program, options], { timeout: DEADLINE_MS });
    t.same(await numbers(directory), upTo(50_000));
  }
});

t.test('SIGKILL in the middle of writing: at most one torn tail, which is repaired', async (t) => {
  // Large writes, as fast as the disk takes them: a kill then hits the middle of one now and then.
  const writing = `
    const PAD = ' '.repeat(200);
    const chunks = Array.from({ length: 40 }, () => make(10_000, PAD));
    for (const chunk of chunks) {
      log.write(chunk, 10_000);
      await log.flush();
      process.send?.(log.stats().written);
    }
    setTimeout(() => {}, 60_000);`;
  const program = programIn(t, CHILD + writing);
  const directory = join(dirname(program), 'data');
  let torn = 0;
  for (let round = 0; round < 20; round += 1) {
    await fs.rm(directory, { recursive: true, force: true });
    const gzip = round % 2 === 1;
    const options = optionsFor(directory, { rotateBytes: 3e6, gzip, keepFiles: 1000 });
    const child = spawn(process.execPath, [program, JSON.stringify(options)], {
      stdio: ['ignore', 'inherit', 'inherit', 'ipc'],
    });
    let told = 0;
    child.on('message', (written) => (told = Number(written)));
    const gone = new Promise((resolve) => child.once('exit', resolve));
    await until('it writes', () => told > 10_000 * (round % 7));
    child.kill('SIGKILL');
    await gone;
    // Killed between the two steps of a rotation there is no current file.
    const current = join(directory, 'packets.log');
    const text = sync.existsSync(current) ? sync.readFileSync(current, 'latin1') : '\n';
    if (!text.endsWith('\n')) torn += 1;
    const log = await openLog(t, options);
    await aged(directory);
    await log.close();
    const kept = await numbers(directory);
    t.ok(kept.length >= told, `${kept.length} records, ${told} were reported as written`);
    t.ok(isGapless(kept), 'every record once, from the first on');
  }
  t.comment(`${torn} of 20 had a torn tail`);
});

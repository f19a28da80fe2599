// Sinks on a healthy disk: the rotating log, the .prom file, the directory lock and standard
// output, all with real files.
import { spawn } from 'node:child_process';
import {
  createWriteStream,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
} from 'node:fs';
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { setTimeout as sleep } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import t, { type Test } from 'tap';
import { backoffMs } from '../src/sinks/backoff.js';
import { ByteQueue } from '../src/sinks/byte-queue.js';
import { lockDirectory, lockHolder } from '../src/sinks/directory-lock.js';
import { explainSinkError, type Result } from '../src/sinks/errors.js';
import { logFilesOldestFirst } from '../src/sinks/log-names.js';
import { ownGroupIn } from '../src/sinks/own-group.js';
import { writePromFile } from '../src/sinks/prom-file.js';
import { RotatingLog, type RotatingLogOptions } from '../src/sinks/rotating.js';
import { StandardOutput, type ClosedReason } from '../src/sinks/standard-output.js';
import { quietWarnings } from '../src/sinks/warnings.js';
import { diskUse } from './support/disk-use.js';

/** For a disk that works, however busy the machine is. */
const PATIENCE_MS = 10_000;

const HEADER = '# HELP nw_test A test.\n# TYPE nw_test gauge\n';

/**
 * A directory that does not exist yet, below one that is removed after the test. Not tap's, which
 * is removed before a log in it is closed.
 */
function directoryOf(t: Test): string {
  const parent = mkdtempSync(join(tmpdir(), 'netwatch-test-'));
  t.teardown(() => rmSync(parent, { recursive: true, force: true }));
  return join(parent, 'data');
}

function optionsFor(
  directory: string,
  changes: Partial<RotatingLogOptions> = {},
): RotatingLogOptions {
  return {
    directory,
    name: 'packets.log',
    header: HEADER,
    rotateBytes: 1e6,
    rotateIntervalSeconds: null,
    keepFiles: 1000,
    keepBytes: 1e9,
    gzip: false,
    maxBufferedBytes: 4e6,
    now: () => Date.now(),
    log: () => undefined,
    ...changes,
  };
}

function valueOf<T>(result: Result<T>): T {
  if (result.ok) return result.value;
  throw new Error(explainSinkError(result.error));
}

async function openLog(t: Test, options: RotatingLogOptions): Promise<RotatingLog> {
  const log = valueOf(await RotatingLog.open(options));
  t.teardown(() => log.close());
  return log;
}

/** Lines `nw_test{n="FROM"} 1` … as one chunk. */
function lines(from: number, count: number): Buffer {
  let text = '';
  for (let n = from; n < from + count; n += 1) text += `nw_test{n="${n}"} 1\n`;
  return Buffer.from(text);
}

/** Text of each file of the log, oldest first, unpacked. */
async function contents(directory: string): Promise<readonly string[]> {
  const paths = valueOf(await logFilesOldestFirst(directory, 'packets.log'));
  const read = paths.map(async (path) => {
    const bytes = await fs.readFile(path);
    return (path.endsWith('.gz') ? gunzipSync(bytes) : bytes).toString();
  });
  return Promise.all(read);
}

/**
 * The numbers of all records, in file order; throws when a file does not start with the header or
 * ends in half a line.
 */
async function numbers(directory: string): Promise<readonly number[]> {
  return (await contents(directory)).flatMap((text) => {
    if (!text.startsWith(HEADER) || text.lastIndexOf('#') > HEADER.length)
      throw new Error('a file without exactly one header');
    const rest = text.slice(HEADER.length);
    if (rest !== '' && !rest.endsWith('\n')) throw new Error('a torn line');
    return [...rest.matchAll(/^nw_test\{n="(\d+)"\} 1$/gm)].map((match) => Number(match[1]));
  });
}

function upTo(from: number, to: number): readonly number[] {
  return Array.from({ length: to - from }, (_, index) => from + index);
}

/** Waits until `condition` holds; a deadline turns a hang into a failure. */
async function until(what: string, condition: () => boolean | Promise<boolean>): Promise<void> {
  const end = performance.now() + PATIENCE_MS;
  while (!(await condition())) {
    if (performance.now() > end) throw new Error(`gave up waiting: ${what}`);
    await sleep(5);
  }
}

/** Waits until the last rotated file has its number. */
function aged(directory: string): Promise<void> {
  return until('ageing is done', () => !readdirSync(directory).some((f) => /\.0(\.gz)?$/.test(f)));
}

async function mode(path: string): Promise<string> {
  return ((await fs.stat(path)).mode & 0o777).toString(8);
}

t.test('the queue hands out what was pushed, in order, while the next batch fills', async (t) => {
  const queue = new ByteQueue(1e6);
  t.equal(queue.take(), null);
  const reused = Buffer.from('a\n');
  queue.push(reused, 1);
  reused.write('b\n');
  queue.push(reused, 1);
  const batch = queue.take();
  t.match(batch, { records: 2 });
  queue.push(Buffer.from('c\nd\n'), 2);
  t.equal(batch?.bytes.toString(), 'a\nb\n', 'what was taken stays as it was');
  t.equal(queue.take(), null, 'one batch at a time');
  queue.release();
  t.match(queue.take()?.bytes.toString(), 'c\nd\n');
});

t.test('the queue refuses what would exceed its memory and keeps what it has', async (t) => {
  const queue = new ByteQueue(300_000);
  const chunk = Buffer.alloc(100_000);
  t.same(
    [1, 2, 3].map(() => queue.push(chunk, 1)),
    [true, true, true],
  );
  t.notOk(queue.push(Buffer.alloc(1), 1));
  t.equal(queue.take()?.bytes.length, 300_000);
  t.notOk(queue.push(Buffer.alloc(1), 1), 'the batch under way counts too');
  queue.release();
  t.ok(queue.push(chunk, 1));
});

t.test('a log starts with its header, once, also after a restart', async (t) => {
  const directory = directoryOf(t);
  for (const start of [0, 10]) {
    const log = await openLog(t, optionsFor(directory));
    log.write(lines(start, 10), 10);
    t.ok(await log.close(PATIENCE_MS));
  }
  t.equal((await contents(directory)).join(), HEADER + lines(0, 20).toString());
});

t.test('rotation by size loses nothing and no file exceeds the limit', async (t) => {
  const directory = directoryOf(t);
  const rotateBytes = 10_000;
  const log = await openLog(t, optionsFor(directory, { rotateBytes }));
  let n = 0;
  // Chunks smaller and larger than a file.
  for (const count of [1, 7, 300, 2, 1500, 1, 1000]) {
    log.write(lines(n, count), count);
    n += count;
    if (count > 100) await log.flush(PATIENCE_MS);
  }
  await log.close();
  t.same(await numbers(directory), upTo(0, n));
  const stats = log.stats();
  t.match(stats, { accepted: n, written: n, lost: 0, pending: 0, down: false });
  t.equal(stats.bytesWritten, lines(0, n).length);
  const sizes = readdirSync(directory).map((file) => statSync(join(directory, file)).size);
  t.equal(sizes.length, stats.rotations + 1);
  t.ok(stats.rotations >= 5);
  t.ok(Math.max(...sizes) <= rotateBytes, `largest file ${Math.max(...sizes)}`);
  t.ok(readdirSync(directory).includes(`packets.log.${stats.rotations}`), 'classic names');
});

t.test('a record longer than the limit gets a file of its own', async (t) => {
  const directory = directoryOf(t);
  const log = await openLog(t, optionsFor(directory, { rotateBytes: 200 }));
  const long = `nw_test{n="1",pad="${'x'.repeat(500)}"} 1\n`;
  log.write(Buffer.concat([lines(0, 1), Buffer.from(long), lines(2, 1)]), 3);
  await log.flush(PATIENCE_MS);
  await aged(directory);
  t.same(await contents(directory), [
    HEADER + lines(0, 1).toString(),
    HEADER + long,
    HEADER + lines(2, 1).toString(),
  ]);
  t.match(log.stats(), { written: 3, lost: 0 });
});

t.test('rotation by time needs no traffic, skips empty files and catches up', async (t) => {
  const directory = directoryOf(t);
  const clock = { ms: 1_000_000 * 60_000 };
  const timed = { rotateIntervalSeconds: 60, checkMs: 10, now: () => clock.ms };
  const log = await openLog(t, optionsFor(directory, timed));
  log.write(lines(0, 3), 3);
  await log.flush(PATIENCE_MS);
  // The file's own time decides only after a restart.
  clock.ms += 60_000;
  await until('the interval ends', () => log.stats().rotations === 1);
  clock.ms += 60_000;
  await sleep(50);
  t.equal(log.stats().rotations, 1, 'a file without records is not rotated');
  log.write(lines(3, 3), 3);
  await log.close();
  const written = new Date(clock.ms);
  await fs.utimes(join(directory, 'packets.log'), written, written);
  clock.ms += 60_000;
  const next = await openLog(t, optionsFor(directory, timed));
  next.write(lines(6, 3), 3);
  await next.flush(PATIENCE_MS);
  t.equal(next.stats().rotations, 1, 'the interval that ended while nothing ran');
  await aged(directory);
  t.equal((await contents(directory)).length, 3);
  t.same(await numbers(directory), upTo(0, 9));
});

t.test('only the newest files are kept', async (t) => {
  const directory = directoryOf(t);
  const log = await openLog(t, optionsFor(directory, { rotateBytes: 2000, keepFiles: 3 }));
  for (let n = 0; n < 2000; n += 10) log.write(lines(n, 10), 10);
  await log.flush(PATIENCE_MS);
  await log.close();
  t.equal(readdirSync(directory).length, 4);
  const kept = await numbers(directory);
  t.ok(kept.length > 100);
  t.same(kept, upTo(2000 - kept.length, 2000), 'the newest, without a gap');
});

for (const gzip of [false, true]) {
  t.test(`the disk cap holds at every moment (gzip: ${gzip})`, async (t) => {
    const directory = directoryOf(t);
    const keepBytes = 100_000;
    const log = await openLog(t, optionsFor(directory, { rotateBytes: 1e9, keepBytes, gzip }));
    let most = 0;
    for (let n = 0; n < 100_000; n += 500) {
      log.write(lines(n, 500), 500);
      most = Math.max(most, diskUse(directory) ?? 0);
      if (n % 2000 === 0) await log.flush(PATIENCE_MS);
      most = Math.max(most, diskUse(directory) ?? 0);
    }
    await log.flush(PATIENCE_MS);
    t.match(log.stats(), { accepted: 100_000, written: 100_000, lost: 0 });
    t.ok(most > keepBytes / 4 && most <= keepBytes, `at most ${most} bytes`);
    await aged(directory);
    await log.close();
    const rotated = readdirSync(directory).filter((file) => file !== 'packets.log');
    t.ok(rotated.length > 0);
    t.ok(rotated.every((file) => file.endsWith('.gz') === gzip));
  });
}

t.test('compressed files hold every record', async (t) => {
  const directory = directoryOf(t);
  const log = await openLog(t, optionsFor(directory, { rotateBytes: 50_000, gzip: true }));
  for (let n = 0; n < 20_000; n += 100) log.write(lines(n, 100), 100);
  await log.flush(PATIENCE_MS);
  await aged(directory);
  await log.close();
  const files = readdirSync(directory);
  t.equal(files.length, log.stats().rotations + 1);
  t.ok(files.every((file) => file === 'packets.log' || file.endsWith('.gz')));
  t.same(await numbers(directory), upTo(0, 20_000));
});

t.test('an exit does not wait for a compression; the next start takes it up', async (t) => {
  const directory = directoryOf(t);
  mkdirSync(directory);
  const options = optionsFor(directory, { keepBytes: 1e14, gzip: true });
  // A terabyte, nearly all of it a hole: no compressor is done with it before the close.
  const current = await fs.open(join(directory, 'packets.log'), 'w');
  await current.write(Buffer.from('\n'), 0, 1, 1e12);
  await current.close();
  const log = await openLog(t, options);
  const count = 100_000; // more than one file holds
  log.write(lines(10, count), count);
  await until('the rest waits for the compressor', () => log.stats().pending < count);
  t.ok(await log.close(PATIENCE_MS));
  t.match(log.stats(), { written: count, lost: 0, rotations: 1 }, 'the rest went to the old file');
  t.same(readdirSync(directory), ['packets.log', 'packets.log.0'], 'nothing half-packed');
  const waiting = join(directory, 'packets.log.0');
  t.equal(statSync(waiting).size, 1e12 + 1, 'its source is whole');
  await fs.writeFile(waiting, HEADER + lines(0, 10).toString());
  const again = await openLog(t, options);
  await aged(directory);
  await again.close();
  t.same(readdirSync(directory), ['packets.log', 'packets.log.1.gz']);
  t.same(await numbers(directory), upTo(0, 10 + count));
});

t.test('what a crash left between two steps of a rotation is put in order', async (t) => {
  const directory = directoryOf(t);
  mkdirSync(directory);
  const file = (name: string): string => join(directory, name);
  const old = HEADER + lines(0, 10).toString();
  await fs.writeFile(file('packets.log.0'), old);
  await fs.writeFile(file('packets.log.0.gz'), Buffer.from([0x1f, 0x8b, 8, 0]));
  t.same(await numbers(directory), upTo(0, 10), 'a reader ignores the half-packed copy');
  const log = await openLog(t, optionsFor(directory, { gzip: true }));
  await aged(directory);
  t.same(await numbers(directory), upTo(0, 10));
  await log.close();
  await fs.writeFile(file('packets.log.0'), HEADER + lines(10, 10).toString());
  await fs.writeFile(file('packets.log.0.gz'), Buffer.from([0x1f, 0x8b, 8, 0]));
  const plain = await openLog(t, optionsFor(directory));
  await until('it is aged', () => readdirSync(directory).includes('packets.log.1'));
  await plain.close();
  t.same(await numbers(directory), upTo(0, 20), 'also when compression was switched off since');
  await fs.writeFile(file('packets.log.0.gz'), '');
  await fs.writeFile(file('packets.log.0'), '');
  await openLog(t, optionsFor(directory));
  await until('the empty ones are gone', () => readdirSync(directory).length === 3);
  t.same(await numbers(directory), upTo(0, 20));
});

t.test('switching compression on ages the plain files of before out', async (t) => {
  const directory = directoryOf(t);
  let n = 0;
  for (const gzip of [false, true]) {
    const log = await openLog(t, optionsFor(directory, { rotateBytes: 2000, keepFiles: 3, gzip }));
    for (let chunk = 0; chunk < 100; chunk += 1, n += 10) log.write(lines(n, 10), 10);
    await log.flush(PATIENCE_MS);
    await aged(directory);
    await log.close();
    t.equal(readdirSync(directory).length, 4);
    const kept = await numbers(directory);
    t.same(kept, upTo(n - kept.length, n));
  }
  t.equal(readdirSync(directory).filter((file) => file.endsWith('.gz')).length, 3);
});

t.test('modes do not depend on the umask', async (t) => {
  const before = process.umask(0);
  t.teardown(() => process.umask(before));
  const root = directoryOf(t);
  for (const [index, umask] of [0, 0o027, 0o777].entries()) {
    process.umask(umask);
    const directory = join(root, `${index}`, 'deep', 'data');
    const log = await openLog(t, optionsFor(directory, { rotateBytes: 500, gzip: index === 1 }));
    log.write(lines(0, 40), 40);
    await log.flush(PATIENCE_MS);
    await until('a file is aged', () => readdirSync(directory).some((f) => /log\.1/.test(f)));
    await log.close();
    process.umask(before);
    t.equal(await mode(directory), '750');
    t.equal(await mode(join(directory, '..')), '750');
    for (const file of readdirSync(directory)) t.equal(await mode(join(directory, file)), '640');
  }
});

t.test('an unusable directory is an error value and nothing hangs', async (t) => {
  const plain = join(t.testdir({ plain: 'x' }), 'plain');
  const codes: unknown[] = [];
  for (const directory of ['/proc/netwatch/data', '/sys/netwatch', `${plain}/data`, plain]) {
    const opened = await RotatingLog.open(optionsFor(directory));
    codes.push(opened.ok ? opened : explainSinkError(opened.error));
  }
  t.match(codes, [
    /^\/proc is on a proc file system/,
    /^\/sys is on a sysfs file system/,
    /^cannot create the directory .*: ENOTDIR$/,
    /^cannot create the directory .*: ENOTDIR$/,
  ]);
});

t.test('a torn tail is cut off, a torn header written again', async (t) => {
  const whole = HEADER + lines(0, 5).toString();
  const cases = [
    [`${whole}nw_test{n="5`, whole],
    [HEADER.slice(0, 9), HEADER],
    [HEADER.slice(0, 30), HEADER],
    [HEADER, HEADER],
    ['', HEADER],
    ['no line end at all', HEADER],
    [whole + 'x'.repeat(1_500_000), `${whole}${'x'.repeat(1_500_000)}\n`],
  ] as const;
  for (const [torn, repaired] of cases) {
    const directory = t.testdir({ 'packets.log': torn });
    const log = await openLog(t, optionsFor(directory, { rotateBytes: 1e7 }));
    await log.close();
    const now = await fs.readFile(join(directory, 'packets.log'), 'utf8');
    t.ok(now === repaired, `${torn.length} bytes became ${now.length}`);
  }
});

t.test('every record is accounted for, also those that cannot be taken', async (t) => {
  const directory = directoryOf(t);
  const log = await openLog(t, optionsFor(directory, { maxBufferedBytes: 100_000 }));
  log.write(Buffer.from('no newline'), 1);
  log.write(Buffer.alloc(0), 0);
  log.write(lines(0, 10), 10);
  log.write(lines(0, 10_000), 10_000);
  const { accepted, written, lost, pending } = log.stats();
  t.equal(accepted, written + lost + pending);
  t.equal(lost, 10_001, 'the line without an end and the chunk that exceeds the memory');
  await log.close();
  t.equal(await log.close(), true, 'closing twice is fine');
  log.write(lines(0, 1), 1);
  t.match(log.stats(), { accepted: 10_012, written: 10, lost: 10_002, pending: 0 });
  t.equal((await numbers(directory)).length, 10);
});

t.test('a million records take a fraction of a second', async (t) => {
  const log = await openLog(t, optionsFor(directoryOf(t), { rotateBytes: 5e7 }));
  const chunk = lines(0, 10_000);
  let inWrite = 0;
  for (let n = 0; n < 100; n += 1) {
    const before = process.cpuUsage();
    log.write(chunk, 10_000);
    const { user, system } = process.cpuUsage(before);
    inWrite += user + system;
    if (n % 4 === 3) await log.flush(PATIENCE_MS);
  }
  const perRecord = (inWrite * 1e3) / 1e6;
  t.comment(`${perRecord.toFixed(1)} ns of CPU per record in write()`);
  t.match(log.stats(), { written: 1e6, lost: 0 });
  t.ok(perRecord < 1000, 'a tripwire: 20 times what it takes');
});

t.test('tries after a failure get rarer, but never rarer than every 4 s', async (t) => {
  t.same([1, 2, 3, 4, 5, 6, 99].map(backoffMs), [250, 500, 1000, 2000, 4000, 4000, 4000]);
});

t.test('warnings about one fault come at most every 30 s', async (t) => {
  const said: string[] = [];
  const clock = { ms: 5_000_000 };
  const warn = quietWarnings(
    (sentence) => said.push(sentence),
    () => clock.ms,
  );
  for (let second = 0; second <= 60; second += 1, clock.ms += 1000) warn(`${second}`);
  t.same(said, ['0', '30', '60']);
  clock.ms = 1000;
  warn('the clock was set back');
  t.equal(said.length, 4);
});

t.test('a thousand readers of a .prom file each see one whole version', async (t) => {
  const directory = t.testdir({});
  const versions = ['a', 'b', 'c'].map((letter) => Buffer.from(`${letter.repeat(99_999)}\n`));
  const write = async (n: number): Promise<void> => {
    const written = await writePromFile(directory, 'nw.prom', versions[n % 3] ?? Buffer.alloc(0));
    t.ok(written.ok);
  };
  await write(0);
  let reads = 0;
  const read = async (): Promise<void> => {
    const text = await fs.readFile(join(directory, 'nw.prom'), 'latin1');
    const letter = text.charAt(0);
    if (text !== `${letter.repeat(99_999)}\n`) t.fail(`a mixed version of ${text.length} bytes`);
    reads += 1;
  };
  const writing = (async () => {
    for (let n = 1; reads < 1000; n += 1) await Promise.all([write(n), write(n + 1)]);
  })();
  while (reads < 1000) await Promise.all(Array.from({ length: 20 }, read));
  await writing;
  t.same(readdirSync(directory), ['nw.prom'], 'no temporary file is left');
});

t.test(
  'a .prom file is readable for node_exporter, and crashes leave nothing behind',
  async (t) => {
    const stale = '.nw.prom.1-1700000000000-0123456789ab.tmp';
    const foreign = '.nw.prom.notes.tmp';
    const started = Math.round(performance.timeOrigin);
    const underWay = `.nw.prom.${process.pid}-${started}-0123456789ab.tmp`;
    const tree = { [stale]: 'x', [foreign]: 'x', [underWay]: 'x', 'dir.prom': {} };
    const directory = t.testdir(tree);
    const before = process.umask(0o077);
    t.teardown(() => process.umask(before));
    t.ok((await writePromFile(directory, 'nw.prom', lines(0, 1))).ok);
    t.equal(await mode(join(directory, 'nw.prom')), '644');
    t.same(readdirSync(directory).sort(), [foreign, underWay, 'dir.prom', 'nw.prom'].sort());
    const errors = [
      await writePromFile(join(directory, 'none'), 'nw.prom', lines(0, 1)),
      await writePromFile(directory, 'dir.prom', lines(0, 1)),
      await writePromFile(directory, '../nw.prom', lines(0, 1)),
    ];
    t.match(
      errors.map((result) => (result.ok ? null : explainSinkError(result.error))),
      [/ENOENT$/, /EISDIR$/, /EINVAL$/],
    );
    t.equal(readdirSync(directory).length, 4, 'failed writes leave nothing either');
  },
);

t.test('one collector per directory', async (t) => {
  const directory = t.testdir({});
  const lock = valueOf(await lockDirectory(directory));
  const second = await lockDirectory(directory);
  t.same(second.ok ? null : second.error, {
    code: 'already-running',
    pid: process.pid,
    directory,
  });
  await lock.release();
  t.same(readdirSync(directory), []);
  const again = valueOf(await lockDirectory(directory));
  await lock.release();
  t.same(readdirSync(directory), ['.netwatch.lock'], 'a released lock releases nothing else');
  await again.release();
});

/** A process that holds the lock of a directory as another collector would, until it is killed. */
async function otherHolder(
  t: Test,
  directory: string,
): Promise<{ pid: number; kill: () => Promise<void> }> {
  const path = join(directory, '.netwatch.lock');
  const child = spawn('flock', [
    '--no-fork',
    path,
    'sh',
    '-c',
    'echo $$ > "$0"; exec sleep 60',
    path,
  ]);
  const gone = new Promise<void>((done) => child.once('exit', () => done()));
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    await gone;
  };
  t.teardown(kill);
  const pid = child.pid ?? 0;
  await until(
    'the other process',
    () => existsSync(path) && readFileSync(path, 'utf8') === `${pid}\n`,
  );
  return { pid, kill };
}

t.test('a lock of another living process holds, one of a dead process does not', async (t) => {
  const directory = t.testdir({});
  const other = await otherHolder(t, directory);
  t.match(await lockDirectory(directory), {
    error: { code: 'already-running', pid: other.pid, directory },
  });
  t.equal(await lockHolder(directory), other.pid);
  await other.kill();
  t.equal(await lockHolder(directory), null, 'what is left in the file is no holder');
  const lock = valueOf(await lockDirectory(directory));
  t.equal(await lockHolder(directory), process.pid);
  await lock.release();
  for (const content of ['1 1 boot 0', 'garbage', '']) {
    await fs.writeFile(join(directory, '.netwatch.lock'), content);
    await valueOf(await lockDirectory(directory)).release();
  }
  t.same(readdirSync(directory), []);
});

t.test('a look at the lock never keeps a collector from it', async (t) => {
  const directory = t.testdir({});
  for (let round = 0; round < 50; round += 1) {
    const looks = [1, 2, 3].map(() => lockHolder(directory));
    const lock = valueOf(await lockDirectory(directory));
    await Promise.all(looks);
    await lock.release();
  }
  t.same(readdirSync(directory), []);
});

t.test('a lock that was removed while it was held is of no directory', async (t) => {
  const directory = t.testdir({});
  const first = valueOf(await lockDirectory(directory));
  await fs.unlink(first.path);
  const second = valueOf(await lockDirectory(directory));
  await first.release();
  t.same(readdirSync(directory), ['.netwatch.lock'], 'the lock of the second stays');
  t.match(await lockDirectory(directory), { error: { code: 'already-running' } });
  await second.release();
});

t.test('of many that take over a stale lock at once, one gets it', async (t) => {
  for (let round = 0; round < 20; round += 1) {
    const directory = t.testdir({ '.netwatch.lock': '999999999 1 boot 0\n' });
    const taken = await Promise.all(Array.from({ length: 10 }, () => lockDirectory(directory)));
    const locks = taken.flatMap((result) => (result.ok ? [result.value] : []));
    t.equal(locks.length, 1);
    t.same(readdirSync(directory), ['.netwatch.lock']);
    // Its descriptor is the lock: not to be left to the garbage collector.
    await locks[0]?.release();
  }
});

t.test('a lock that cannot be is an error value', async (t) => {
  const directory = t.testdir({ '.netwatch.lock': t.fixture('symlink', '/etc/hostname') });
  t.match(await lockDirectory(directory), { error: { code: 'io', errno: 'ELOOP' } });
  t.match(await lockDirectory(join(directory, 'x')), { error: { code: 'io', errno: 'ENOENT' } });
});

/** A reader that takes one write at a time, when told to. */
function slowReader(): { stream: Writable; taken: Buffer[]; proceed: () => void } {
  const taken: Buffer[] = [];
  let proceed: (() => void) | null = null;
  const stream = new Writable({
    write(chunk: Buffer, _encoding, callback) {
      proceed = () => {
        taken.push(Buffer.from(chunk));
        callback();
      };
    },
  });
  return { stream, taken, proceed: () => proceed?.() };
}

t.test('rows leave standard output as one write per flush', async (t) => {
  const { stream, taken, proceed } = slowReader();
  const output = new StandardOutput({
    stream,
    maxQueuedBytes: 1e6,
    onClosed: () => t.fail('closed'),
  });
  for (let n = 0; n < 5; n += 1) output.write(`row ${n} é\n`, 1);
  t.equal(stream.writableLength, 0, 'nothing before the flush');
  output.flush();
  output.write('row 5\n', 1);
  output.flush();
  t.match(output.stats(), { accepted: 6, written: 0, dropped: 0, pending: 6 });
  const closing = output.close();
  proceed();
  await until('the second batch is under way', () => output.stats().written === 5);
  proceed();
  t.ok(await closing);
  t.equal(taken.length, 2);
  t.equal(Buffer.concat(taken).toString().split('\n').length, 7);
  t.match(output.stats(), { accepted: 6, written: 6, dropped: 0, pending: 0 });
});

t.test('no text is no row, however many it is said to be', async (t) => {
  const { stream, taken } = slowReader();
  const onClosed = (): unknown => t.fail('closed');
  const output = new StandardOutput({ stream, maxQueuedBytes: 1e6, onClosed });
  output.write('', 5000);
  output.flush();
  t.ok(await output.close());
  t.match(output.stats(), { accepted: 0, written: 0, dropped: 0, pending: 0 });
  t.equal(taken.length, 0);
});

t.test('a slow reader costs bounded memory and then rows, all counted', async (t) => {
  const { stream, taken, proceed } = slowReader();
  const output = new StandardOutput({
    stream,
    maxQueuedBytes: 1e6,
    onClosed: () => t.fail('closed'),
  });
  const chunk = lines(0, 1000);
  for (let n = 0; n < 1000; n += 1) {
    output.write(chunk, 1000);
    output.flush();
    const { accepted, written, dropped, pending } = output.stats();
    if (accepted !== written + dropped + pending) t.fail('rows unaccounted for');
  }
  t.ok(output.stats().dropped > 900_000);
  t.ok(stream.writableLength <= 1e6);
  const { pending } = output.stats();
  while (output.stats().pending > 0) {
    proceed();
    await sleep(1);
  }
  t.equal(output.stats().written, pending);
  t.equal(Buffer.concat(taken).length, chunk.length * (pending / 1000));
  output.write(chunk, 1000);
  t.notOk(await output.close(20), 'a reader that never reads does not hold up the exit');
  t.match(output.stats(), { written: pending, pending: 0 });
});

t.test('a reader that is gone is no error', async (t) => {
  const head = spawn('head', ['-1'], { stdio: ['pipe', 'ignore', 'ignore'] });
  const reasons: ClosedReason[] = [];
  const output = new StandardOutput({
    stream: head.stdin,
    maxQueuedBytes: 1e6,
    onClosed: (reason) => reasons.push(reason),
  });
  await until('the pipe breaks', () => {
    output.write(lines(0, 100), 100);
    output.flush();
    return reasons.length > 0;
  });
  output.write(lines(0, 100), 100);
  output.flush();
  t.notOk((await output.close()) && output.stats().dropped === 0);
  t.same(reasons, [{ code: 'reader-gone' }], 'said once');
  const { accepted, written, dropped, pending } = output.stats();
  t.equal(accepted, written + dropped + pending);
  t.equal(pending, 0);
});

t.test('any other failure of standard output is told by name', async (t) => {
  const reasons: ClosedReason[] = [];
  const stream = createWriteStream('/dev/full');
  const onClosed = (reason: ClosedReason): unknown => reasons.push(reason);
  const output = new StandardOutput({ stream, maxQueuedBytes: 1e6, onClosed });
  output.write('row\n', 1);
  output.flush();
  await until('the error', () => reasons.length > 0);
  t.same(reasons, [{ code: 'io', errno: 'ENOSPC' }]);
  t.match(output.stats(), { accepted: 1, written: 0, dropped: 1, pending: 0 });
  const broken = new Writable({ write: (_chunk, _encoding, callback) => callback() });
  new StandardOutput({ stream: broken, maxQueuedBytes: 1e6, onClosed });
  broken.destroy(Object.assign(new Error('injected'), { code: 'EPIPE' }));
  await until('an error outside of a write', () => reasons.length > 1);
  t.same(reasons[1], { code: 'reader-gone' });
});

t.test('what root makes has the group netwatch, else one that is nobody’s', (t) => {
  t.equal(ownGroupIn('root:x:0:\nnetwatch:x:987:prometheus\n'), 987);
  t.equal(ownGroupIn('root:x:0:\nnetwatch:x:0:\n'), 65_520, 'never the group of root');
  t.equal(ownGroupIn('+\nother:x:65520:\n'), 65_521, 'an id that is in use is passed over');
  t.equal(ownGroupIn(''), 65_520);
  const all = Array.from({ length: 14 }, (_, i) => `g${i}:x:${65_520 + i}:`);
  t.equal(ownGroupIn(all.join('\n')), null);
  t.end();
});

// Trouble with the files of the whole program: disks that fill up, files that are taken away or are
// something else, rotation under load. (Each by itself, with the disk's own faults: sinks-faults.test.ts.)
import {
  copyFileSync,
  existsSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  renameSync,
  rmSync,
  rmdirSync,
  statSync,
  symlinkSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
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
  type Account,
} from '../support/account.js';
import { blast, startBlast } from '../support/blast.js';
import { startCollector, temporaryFolder, type Collector } from '../support/collector.js';
import { diskUse } from '../support/disk-use.js';
import { mountDisk } from '../support/disk.js';
import { createNamespace } from '../support/netns.js';
import { parseExposition, total, type Sample } from '../support/samples.js';
import { needsCommands, needsRoot } from '../support/skip.js';
import { TCP_PORT } from '../support/traffic.js';
import { until } from '../support/wait.js';

const skip = needsRoot || needsCommands('perl', 'nstat', 'mount');
const QUIET = ['--quiet', '--interval', '0.2'];
const LOG = 'packets.log';

/** After the end: every packet the kernel saw is written, lost in the ring or lost at the file. */
function checkBalance(t: Test, collector: Collector, seen: number): Account {
  const account = packetAccount(collector.samples(PROM));
  t.equal(account.accepted + account.lostInRing, seen, 'every packet was read or lost');
  t.equal(account.written + account.lostInFile, account.accepted, 'and written or lost');
  t.match(summaryOf(collector), { packets: account.accepted, lost: account.lostInRing });
  return account;
}

function writeErrors(samples: readonly Sample[], file: string, errno: string): number {
  return total(samples, 'netwatch_file_write_errors_total', { file, errno });
}

/** Clock ticks of CPU that a process has used. */
function ticks(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  const [, user = NaN, system = NaN] =
    /\) \S( \S+){10} (\d+) (\d+)/.exec(stat)?.slice(1).map(Number) ?? [];
  return user + system;
}

/** Waits until a process has nothing more to do: no more than 2 ticks in half a second. */
async function becomesIdle(pid: number): Promise<void> {
  let [used, since] = [ticks(pid), performance.now()];
  const idle = (): boolean => {
    if (ticks(pid) > used + 2) [used, since] = [ticks(pid), performance.now()];
    return performance.now() - since > 500;
  };
  await until(idle, { what: 'nothing more to do', everyMs: 20 });
}

// Table 27
t.test('a full disk is survived, counted and left behind', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const disk = mountDisk(t, 2 * 2 ** 20);
  const collector = await startCollector(t, namespace, QUIET, { dataFolder: disk.folder });
  const seen = await countPackets(namespace);
  await blast(t, namespace, { port: TCP_PORT, rounds: 150_011 }); // 88 MB of lines, 64 MiB fit memory
  const said = (): boolean => /cannot write \S+packets\.log: ENOSPC/.test(collector.stderr());
  await until(said, { what: 'it says that the disk is full' });
  await becomesIdle(collector.pid);
  const full = statSync(join(disk.folder, LOG)).size;
  t.ok(full < 2 * 2 ** 20);
  disk.resize(256 * 2 ** 20);
  const resumed = (): boolean => statSync(join(disk.folder, LOG)).size > full;
  await until(resumed, { what: 'it writes again' });
  await blast(t, namespace, { port: TCP_PORT, rounds: 503 });
  t.match(await collector.stop(), { code: 0 });
  const { accepted, written, lostInFile } = checkBalance(t, collector, await seen());
  // on a busy machine so much is lost in the ring that the rest fits memory
  t.ok(lostInFile > 0 || accepted < 520_000, `${lostInFile} found no place in memory`);
  t.ok(written >= Math.min(accepted, 200_000), 'what had waited in memory was written');
  const lines = logLines(disk.folder, LOG);
  t.equal(lines.length, written);
  const torn = lines.filter((line) => !/^netwatch_packet_bytes\{\S+\} \d+ \d{13}$/.test(line));
  t.strictSame(torn, [], 'whole lines only');
  const state = collector.samples(PROM);
  t.ok(writeErrors(state, LOG, 'ENOSPC') > 0);
  t.ok(writeErrors(state, PROM, 'ENOSPC') > 0, 'also those of the state file');
  const told = /^netwatch: lost: (.*)$/m.exec(collector.stderr())?.[1]?.split(', ') ?? [];
  t.ok(told.includes(`${writeErrors(state, PROM, 'ENOSPC')} writes of netwatch.prom (ENOSPC)`));
  t.equal(told.includes(`${lostInFile} lines of packets.log`), lostInFile > 0);
  t.notMatch(collector.stderr(), /^netwatch: nothing lost$/m);
  const warnings = collector.stderr().match(/cannot write \S+packets\.log/g);
  t.equal(warnings?.length, 1, 'said once in 30 s');
});

/** Every fsync takes a second. */
const SLOW_SYNC = `import { open } from 'node:fs/promises';
import { setTimeout } from 'node:timers/promises';
const handle = await open('/dev/null');
Object.getPrototypeOf(handle).sync = () => setTimeout(1000);
await handle.close();`;

t.test('a slow disk does not hold up the end', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const slow = join(temporaryFolder(t), 'slow.mjs');
  writeFileSync(slow, SLOW_SYNC);
  const env = { NODE_OPTIONS: `--import=${slow}` };
  const options = ['--quiet', '--interval', '0.05'];
  const collector = await startCollector(t, namespace, options, { env });
  const seen = await countPackets(namespace);
  await blast(t, namespace, { port: TCP_PORT, rounds: 1009 });
  await collector.waitFor(PROM, (all) => packetAccount(all).accepted > 0, 'the third version');
  t.match(await collector.stop('SIGTERM'), { code: 0 });
  checkBalance(t, collector, await seen());
});

// Table 28: at the start
t.test(
  'a data directory that cannot be used ends the start in one sentence',
  { skip },
  async (t) => {
    const namespace = createNamespace(t);
    const folder = temporaryFolder(t);
    const disk = mountDisk(t, 2 ** 20);
    disk.setReadOnly(true);
    writeFileSync(join(folder, 'file'), '');
    mkdirSync(join(folder, 'directory', LOG), { recursive: true });
    mkdirSync(join(folder, 'link'));
    symlinkSync('/etc/hostname', join(folder, 'link', 'connects.log'));
    const bad: Readonly<Record<string, RegExp>> = {
      [join(folder, 'file')]: /ENOTDIR/,
      [join(folder, 'file', 'below')]: /ENOTDIR/,
      [join(folder, 'directory')]: /EISDIR/,
      [join(folder, 'link')]: /ELOOP/,
      [disk.folder]: /EROFS/,
      '/proc/netwatch': /proc file system/,
      '/dev/null': /ENOTDIR/,
    };
    for (const [dataFolder, reason] of Object.entries(bad)) {
      const collector = await startCollector(t, namespace, QUIET, { dataFolder, ready: false });
      t.strictSame(await collector.exited, { code: 3, signal: null }, dataFolder);
      const [first = '', ...rest] = collector.stderr().split('\n');
      t.ok(first.startsWith(`netwatch: cannot use the directory ${dataFolder}: `), first);
      t.match(first, reason);
      t.strictSame(rest, ['  choose another one with --data DIR', '']);
      t.equal(collector.stdout(), '');
    }
  },
);

// Table 28: while it runs
t.test(
  'a log that is taken away is begun anew, what stands in its way is left alone',
  {
    skip,
  },
  async (t) => {
    const namespace = createNamespace(t);
    const collector = await startCollector(t, namespace, QUIET);
    const path = (name: string): string => join(collector.dataFolder, name);
    const strangers = temporaryFolder(t);
    writeFileSync(join(strangers, 'file'), 'not ours\n');
    const seen = await countPackets(namespace);
    const load = await startBlast(t, namespace, { port: TCP_PORT, rate: 500 });
    const writes = (): Promise<unknown> => {
      const regular = (): boolean => lstatSync(path(LOG)).isFile();
      const grown = (): boolean => regular() && logText(collector.dataFolder, LOG).length > 1000;
      return until(grown, { what: 'a new file is written' });
    };
    const refused = (errno: string): Promise<unknown> =>
      collector.waitFor(PROM, (all) => writeErrors(all, LOG, errno) > 0, errno);
    await writes();

    linkSync(path(LOG), path('kept-1'));
    unlinkSync(path(LOG));
    await writes();

    renameSync(path(LOG), path('kept-2'));
    symlinkSync(join(strangers, 'file'), path(LOG));
    await refused('ELOOP');
    unlinkSync(path(LOG));
    await writes();

    renameSync(path(LOG), path('kept-3'));
    mkdirSync(path(LOG));
    await refused('EISDIR');
    rmdirSync(path(LOG));
    await writes();

    await load.stop();
    t.match(await collector.stop(), { code: 0 });
    t.equal(readFileSync(join(strangers, 'file'), 'utf8'), 'not ours\n', 'no link was followed');
    const { written, lostInFile } = checkBalance(t, collector, await seen());
    t.equal(lostInFile, 0, 'all waited in memory');
    const files = ['kept-1', 'kept-2', 'kept-3', LOG];
    const lines = files.map((file) => countLines(collector.dataFolder, file));
    t.ok(lines.every((count) => count > 0));
    t.equal(
      lines.reduce((a, b) => a + b),
      written,
    );
  },
);

/** Bytes of the longest line, its end included. */
const LONGEST = 400;
const HEADER = /^# HELP netwatch_packet_bytes .*\n# TYPE netwatch_packet_bytes gauge\nn/;

// Table 29
for (const gzip of [[], ['--gzip']]) {
  t.test(`rotation under load loses nothing (${gzip.join() || 'plain'})`, { skip }, async (t) => {
    const limit = 500_000;
    const namespace = createNamespace(t);
    const rotate = ['--rotate-size', String(limit), '--keep-files', '1000', ...gzip];
    const collector = await startCollector(t, namespace, [...QUIET, ...rotate]);
    const seen = await countPackets(namespace);
    await blast(t, namespace, { port: TCP_PORT, rounds: 50_021 });
    const all = await seen();
    const done = (samples: readonly Sample[]): boolean => {
      const { written, lostInRing, lostInFile } = packetAccount(samples);
      return written + lostInRing + lostInFile === all;
    };
    // a stop does not wait for compression, then the last file may grow beyond the limit
    await collector.waitFor(PROM, done, 'nothing waits any more');
    t.match(await collector.stop(), { code: 0 });
    const { written } = checkBalance(t, collector, all);
    t.equal(logLines(collector.dataFolder, LOG).length, written);
    const files = logFiles(collector.dataFolder, LOG);
    t.ok(files.length > 20, `${files.length} files`);
    for (const file of files) {
      const text = logText(collector.dataFolder, file);
      t.ok(text.length < limit + LONGEST, `${file}: ${text.length}`);
      t.match(text.slice(0, 400), HEADER);
    }
  });
}

for (const gzip of [[], ['--gzip']]) {
  t.test(
    `the files never take more than they may (${gzip.join() || 'plain'})`,
    { skip },
    async (t) => {
      const most = 3_000_000;
      const namespace = createNamespace(t);
      const limits = ['--rotate-size', '700000', '--keep-bytes', String(most), ...gzip];
      const collector = await startCollector(t, namespace, [...QUIET, ...limits]);
      const seen = await countPackets(namespace);
      const load = await startBlast(t, namespace, { port: TCP_PORT, rounds: 50_021 });
      let over = false;
      void load.done.finally(() => (over = true));
      let largest = 0;
      const watched = (): boolean => {
        largest = Math.max(largest, diskUse(collector.dataFolder, LOG) ?? 0);
        return over;
      };
      await until(watched, { what: 'the end of the load', everyMs: 1 });
      t.match(await collector.stop(), { code: 0 });
      largest = Math.max(largest, diskUse(collector.dataFolder, LOG) ?? 0);
      t.ok(largest <= most, `at most ${largest} bytes`);
      t.ok(largest > most / 2);
      const { written } = checkBalance(t, collector, await seen());
      t.ok(written > logLines(collector.dataFolder, LOG).length, 'the oldest were removed');
    },
  );
}

// Table 30
t.test('a rotation that is in somebody’s way waits, the writing does not', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const rotate = ['--rotate-size', '100k', '--keep-files', '100'];
  const collector = await startCollector(t, namespace, [...QUIET, ...rotate]);
  const obstacle = join(collector.dataFolder, `${LOG}.1`);
  mkdirSync(obstacle);
  const seen = await countPackets(namespace);
  await blast(t, namespace, { port: TCP_PORT, rounds: 1009 });
  const written = async (): Promise<boolean> =>
    countLines(collector.dataFolder, LOG) === (await seen());
  await until(written, { what: 'all is written all the same' });
  t.match(collector.stderr(), /^netwatch: cannot rotate to \S+packets\.log\.1: EISDIR/m);
  t.strictSame(readdirSync(obstacle), []);
  rmdirSync(obstacle);
  const load = await startBlast(t, namespace, { port: TCP_PORT + 1, rate: 1000 });
  await until(() => existsSync(obstacle) && lstatSync(obstacle).isFile(), { what: 'a rotation' });
  await load.stop();
  t.match(await collector.stop(), { code: 0 });
  t.equal(checkBalance(t, collector, await seen()).lostInFile, 0);
  t.equal(logLines(collector.dataFolder, LOG).length, await seen());
});

// Table 31
t.test('an external logrotate: rename and SIGHUP, or copy and truncate', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const collector = await startCollector(t, namespace, QUIET);
  const path = (name: string): string => join(collector.dataFolder, name);
  const seen = await countPackets(namespace);
  const load = await startBlast(t, namespace, { port: TCP_PORT, rate: 2000 });
  const lines = (): number => countLines(collector.dataFolder, LOG);
  await until(() => lines() > 1000, { what: 'the first lines' });
  for (const file of ['connects.log', LOG]) renameSync(path(file), path(`moved-${file}`));
  process.kill(collector.pid, 'SIGHUP');
  await until(() => existsSync(path(LOG)) && lines() > 1000, { what: 'a new file' });
  await load.stop();

  const moved = countLines(collector.dataFolder, `moved-${LOG}`);
  const allWritten = async (): Promise<boolean> => moved + lines() === (await seen());
  await until(allWritten, { what: 'all is written' });
  const { ino } = statSync(path(LOG));
  copyFileSync(path(LOG), path('copied'));
  truncateSync(path(LOG));
  await blast(t, namespace, { port: TCP_PORT, rounds: 101 });
  t.match(await collector.stop(), { code: 0 });
  t.equal(statSync(path(LOG)).ino, ino, 'the same file');
  const text = logText(collector.dataFolder, LOG);
  t.match(text.slice(0, 100), /^# HELP netwatch_packet_bytes /, 'with its header, and no hole');
  parseExposition(text, { log: true });
  const { written, lostInFile } = checkBalance(t, collector, await seen());
  t.equal(lostInFile, 0);
  t.equal(moved + countLines(collector.dataFolder, 'copied') + lines(), written);
  const ends = ['moved-connects.log', 'connects.log'].flatMap((file) =>
    logLines(collector.dataFolder, file),
  );
  t.ok(ends.length >= 4, 'both ends of both connections');
});

// Table 32
t.test('modes do not depend on the umask', { skip }, async (t) => {
  const namespace = createNamespace(t);
  for (const umask of [0o000, 0o077, 0o777]) {
    const dataFolder = join(temporaryFolder(t), 'a', 'b');
    const before = process.umask(umask);
    const rotate = ['--rotate-size', '100k', '--gzip', '-e'];
    const starting = startCollector(t, namespace, [...QUIET, ...rotate], { dataFolder });
    process.umask(before);
    const collector = await starting;
    await blast(t, namespace, { port: TCP_PORT, rounds: 1009 });
    const packed = (): boolean => existsSync(join(dataFolder, `${LOG}.2.gz`));
    await until(packed, { what: 'compressed files' });
    await collector.waitFor(PROM, (all) => all.length > 0, 'the state');
    const mode = (...path: string[]): string =>
      (statSync(join(dataFolder, ...path)).mode & 0o7777).toString(8);
    t.equal(mode('.netwatch.lock'), '640');
    t.match(await collector.stop(), { code: 0 });
    t.equal(mode(), '750');
    t.equal(mode('..'), '750');
    t.equal(mode(PROM), '644', 'node_exporter reads it');
    const logs = readdirSync(dataFolder).filter((file) => file !== PROM);
    t.ok(['connects.log', 'err.log', LOG, `${LOG}.1.gz`].every((file) => logs.includes(file)));
    t.strictSame([...new Set(logs.map((file) => mode(file)))], ['640']);
  }
});

// Table 33
t.test('whoever reads netwatch.prom reads one whole version', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const options = ['-x', '-r', '-t', '-i', '-e', '--quiet', '--interval', '0.01'];
  const collector = await startCollector(t, namespace, options);
  const load = await startBlast(t, namespace, { port: TCP_PORT, rate: 500 });
  await collector.waitFor(PROM, (all) => all.length > 0, 'the first version');
  const versions = new Set<string>();
  let reads = 0;
  const read = (): boolean => {
    for (let i = 0; i < 10; i++) {
      const text = readFileSync(join(collector.dataFolder, PROM), 'utf8');
      if (!versions.has(text)) {
        const { samples } = parseExposition(text);
        if (total(samples, 'netwatch_process_max_fds') === 0) throw new Error(`cut: ${text}`);
      }
      versions.add(text);
      reads++;
    }
    return reads >= 1000 && versions.size >= 30;
  };
  const problems: unknown[] = [];
  const watched = (): boolean => {
    try {
      return read();
    } catch (error) {
      problems.push(error);
      return problems.length > 5;
    }
  };
  await until(watched, { what: '1,000 reads', everyMs: 5 });
  t.strictSame(problems, []);
  t.comment(`${reads} reads, ${versions.size} versions`);
  await load.stop();
  t.match(await collector.stop(), { code: 0 });
  rmSync(collector.dataFolder, { recursive: true });
});

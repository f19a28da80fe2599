// --ndjson with real traffic: the same events as in the logs, no more and no less, through rotation, a full
// disk and a stop under load; nothing of it without the option.
import { readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { logFiles, logLines, logText, PROM } from '../support/account.js';
import { blast, startBlast } from '../support/blast.js';
import { startCollector, temporaryFolder, type Collector } from '../support/collector.js';
import { mountDisk } from '../support/disk.js';
import {
  compareConnections,
  errorJson,
  packetJson,
  parseNdjson,
  withoutOwner,
} from '../support/ndjson.js';
import { createNamespace } from '../support/netns.js';
import { total } from '../support/samples.js';
import { needsCommands, needsRoot } from '../support/skip.js';
import {
  CLOSED_PORT,
  runHttp,
  runTcp,
  SECRET_REQUESTS,
  SECRETS,
  TCP_PORT,
} from '../support/traffic.js';
import { until } from '../support/wait.js';

const skip = needsRoot || needsCommands('perl', 'mount');
const QUIET = ['--quiet', '--interval', '0.2', '--ndjson'];
const LOGS = ['connects', 'packets', 'err'] as const;

/** Where the records of a file went, as netwatch.prom has it after the end. */
function accountOf(collector: Collector, file: string): Record<string, number> {
  const samples = collector.samples(PROM);
  return {
    accepted: total(samples, 'netwatch_records_accepted_total', { file }),
    written: total(samples, 'netwatch_records_written_total', { file }),
    lost: total(samples, 'netwatch_events_lost_total', { source: file, stage: 'file' }),
  };
}

/** After the end: what is accounted for is there, and it is as many as in the log beside it. */
function checkPackets(t: Test, collector: Collector): void {
  const objects = logFiles(collector.dataFolder, 'packets.ndjson').flatMap((file) =>
    parseNdjson(logText(collector.dataFolder, file)),
  );
  const { accepted, written, lost = NaN } = accountOf(collector, 'packets.ndjson');
  t.equal(objects.length, written);
  t.equal((written ?? NaN) + lost, accepted, 'written or lost');
  t.equal(accepted, accountOf(collector, 'packets.log')['accepted'], 'as many as in packets.log');
}

t.test('every event is in its log and in its NDJSON file, without secrets', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const collector = await startCollector(t, namespace, ['-xrtiea', ...QUIET]);
  for (const host of ['127.0.0.1', '::1']) {
    await runTcp(namespace, { host, connections: 13, concurrency: 4, rounds: 7 });
    await runHttp(namespace, { host, total: 31, connections: 3 });
  }
  await runHttp(namespace, { total: SECRET_REQUESTS.length, requests: SECRET_REQUESTS });
  await namespace.exec('perl', [
    '-MIO::Socket::INET',
    '-e',
    `IO::Socket::INET->new('127.0.0.1:${CLOSED_PORT}') and die`,
  ]);
  const load = await startBlast(t, namespace, { port: TCP_PORT + 1, rate: 50 });
  await collector.pulled();
  await load.stop();
  t.match(await collector.stop(), { code: 0 });

  const objects = (name: string) => parseNdjson(collector.read(`${name}.ndjson`));
  const packets = collector.samples('packets.log');
  t.ok(packets.length > 500, `${packets.length} packets`);
  t.strictSame(objects('packets').map(withoutOwner), packets.map(packetJson), 'packets, in order');
  const errors = collector.samples('err.log');
  t.ok(errors.length > 0, `${errors.length} errors`);
  t.strictSame(objects('err'), errors.map(errorJson), 'errors, in order');
  const connections = objects('connects');
  const lines = collector.samples('connects.log');
  t.strictSame(compareConnections(lines, connections), { missing: [], surplus: [] });
  const kinds = new Set(connections.map(({ event }) => event));
  t.strictSame(
    [...kinds].sort(),
    ['accept', 'close', 'open', 'sample'].map((kind) => `connection_${kind}`),
  );
  for (const log of LOGS) {
    const there = objects(log).length;
    const account = { accepted: there, written: there, lost: 0 };
    t.strictSame(accountOf(collector, `${log}.ndjson`), account, log);
    t.equal(statSync(join(collector.dataFolder, `${log}.ndjson`)).mode & 0o777, 0o640);
  }
  const all = LOGS.map((log) => collector.read(`${log}.ndjson`)).join('');
  t.strictSame(
    Object.values(SECRETS).filter((secret) => all.includes(secret)),
    [],
  );
  t.match(
    collector.stderr(),
    'writing connects.log, packets.log, requests.log, err.log, connects.ndjson, packets.ndjson, requests.ndjson, err.ndjson, netwatch.prom',
  );
  t.match(collector.stderr(), `${packets.length} in packets.ndjson`);
});

t.test('a stop under load writes every object that was accepted', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const collector = await startCollector(t, namespace, ['-t', ...QUIET]);
  const load = await startBlast(t, namespace, { port: TCP_PORT, rate: 5000 });
  await collector.waitFor(
    PROM,
    (all) => total(all, 'netwatch_records_written_total', { file: 'packets.ndjson' }) > 20_000,
    'load',
  );
  t.match(await collector.stop('SIGTERM'), { code: 0 });
  await load.stop();
  checkPackets(t, collector);
  t.equal(accountOf(collector, 'packets.ndjson')['lost'], 0);
});

t.test('rotation and compression leave whole objects in every file', { skip }, async (t) => {
  for (const more of [[], ['--gzip']]) {
    const namespace = createNamespace(t);
    const args = ['--rotate-size', '64k', '--keep-files', '10000', ...more, ...QUIET];
    const collector = await startCollector(t, namespace, args);
    await blast(t, namespace, { port: TCP_PORT, rounds: 2003 });
    const rotated = (): boolean => logFiles(collector.dataFolder, 'packets.ndjson').length > 30;
    await until(rotated, { what: '30 files of 64 KiB' });
    t.match(await collector.stop(), { code: 0 });
    checkPackets(t, collector);
    const files = logFiles(collector.dataFolder, 'packets.ndjson');
    const times = files.flatMap((file) =>
      parseNdjson(logText(collector.dataFolder, file)).map(({ time }) => String(time)),
    );
    t.strictSame(times, [...times].sort(), 'oldest first');
    t.equal(times.length, logLines(collector.dataFolder, 'packets.log').length);
  }
});

t.test('a full disk is survived and counted, and tears no object', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const disk = mountDisk(t, 2 * 2 ** 20);
  const collector = await startCollector(t, namespace, QUIET, { dataFolder: disk.folder });
  await blast(t, namespace, { port: TCP_PORT, rounds: 5003 });
  const said = (): boolean => /cannot write \S+packets\.ndjson: ENOSPC/.test(collector.stderr());
  await until(said, { what: 'it says that the disk is full' });
  const file = 'packets.ndjson';
  const full = statSync(join(disk.folder, file)).size;
  disk.resize(256 * 2 ** 20);
  const resumed = (): boolean => statSync(join(disk.folder, file)).size > full;
  await until(resumed, { what: 'it writes again' });
  t.match(await collector.stop(), { code: 0 });
  checkPackets(t, collector);
  const errors = total(collector.samples(PROM), 'netwatch_file_write_errors_total', {
    ...{ file, errno: 'ENOSPC' },
  });
  t.ok(errors > 0, `${errors} failed writes`);
});

/** Writes which CommonJS modules a process has loaded when it ends. */
const LIST_MODULES = `const { writeFileSync } = require('node:fs');
process.on('exit', () => {
  const loaded = Object.keys(require.cache).join('\\n');
  writeFileSync(process.env.NETWATCH_TEST_MODULES, loaded);
});`;

t.test('without the option its package is not loaded and no file made', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const folder = temporaryFolder(t);
  const preload = join(folder, 'list.cjs');
  writeFileSync(preload, LIST_MODULES);
  const loadedWith = async (
    args: readonly string[],
  ): Promise<[modules: string, files: string[]]> => {
    const list = join(folder, `modules-${args.length}`);
    const env = { NODE_OPTIONS: `--require=${preload}`, NETWATCH_TEST_MODULES: list };
    const collector = await startCollector(t, namespace, args, { env });
    t.match(await collector.stop(), { code: 0 });
    return [readFileSync(list, 'utf8'), readdirSync(collector.dataFolder)];
  };
  const [without, files] = await loadedWith(['-q']);
  t.match(without, /node_modules\/commander\//, 'the list is one');
  t.notMatch(without, /node_modules\/(ndjson|through2|readable-stream)\//);
  t.notOk(files.some((file) => file.endsWith('.ndjson')));
  const [loaded, written] = await loadedWith(['-q', '--ndjson']);
  t.match(loaded, /node_modules\/ndjson\//);
  t.strictSame(written.filter((file) => file.endsWith('.ndjson')).sort(), [
    'connects.ndjson',
    'packets.ndjson',
  ]);
});

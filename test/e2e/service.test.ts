// netwatch as a service: with the capabilities and the user of its unit, under a service manager
// that hears it, with a logrotate that takes its files away; and what it gives up once it runs.
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  chownSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import t, { type Test } from 'tap';
import { keptCapabilities, maskOf, type Capability } from '../../src/kernel/capabilities.js';
import { countLines, countPackets, packetAccount, PROM, summaryOf } from '../support/account.js';
import { blast, startBlast } from '../support/blast.js';
import { heldPrograms } from '../support/bpf.js';
import { startCollector, temporaryFolder, type Collector } from '../support/collector.js';
import { install } from '../support/install.js';
import { createNamespace, type Namespace } from '../support/netns.js';
import { startManager } from '../support/notify.js';
import { select } from '../support/samples.js';
import { needsCommands, needsRoot } from '../support/skip.js';
import { allowedCalls, madeCalls, tracing } from '../support/system-calls.js';
import { TCP_PORT } from '../support/traffic.js';
import { asService, readUnit, SERVICE_UID } from '../support/unit.js';
import { until } from '../support/wait.js';

const skip = needsRoot || needsCommands('perl', 'nstat', 'setpriv', 'nsenter', 'bpftool');
const EVERYTHING = ['--quiet', '--interval', '0.2', '-x', '-r', '-t', '-i', '-e'];
const LOG = 'packets.log';

const GRANTED = readUnit('netwatch.service').one('AmbientCapabilities').split(' ') as Capability[];

/** Installed once for all tests here. */
const installed = skip ? null : install(t);

/** A directory as LogsDirectory= makes it. */
function logsDirectory(t: Test): string {
  const folder = temporaryFolder(t);
  chownSync(folder, SERVICE_UID, SERVICE_UID);
  chmodSync(folder, 0o750);
  return folder;
}

interface ServiceOptions {
  readonly capabilities?: readonly Capability[];
  readonly args?: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly ready?: false;
}

/** The collector as systemd would run it. */
function startService(
  t: Test,
  namespace: Namespace,
  { capabilities = GRANTED, args = EVERYTHING, ...more }: ServiceOptions = {},
): Promise<Collector> {
  return startCollector(t, namespace, args, {
    dataFolder: logsDirectory(t),
    program: installed?.program ?? '',
    wrapper: asService(namespace.path, capabilities),
    ...more,
  });
}

/** A set of capabilities (`CapEff`) of every thread of a process, the main one first. */
function capabilitiesOf(pid: number, set: string): bigint[] {
  return readdirSync(`/proc/${pid}/task`)
    .sort((a, b) => Number(a) - Number(b))
    .map((task) => readFileSync(`/proc/${pid}/task/${task}/status`, 'utf8'))
    .map((status) => BigInt(`0x${new RegExp(`^${set}:\\s*(\\w+)$`, 'm').exec(status)?.[1] ?? ''}`));
}

/** How many links of BPF programs a process holds. */
function attachedLinks(pid: number): number {
  const folder = `/proc/${pid}/fd`;
  // A file may be closed between the two looks.
  const isLink = (fd: string): boolean => {
    try {
      return readlinkSync(join(folder, fd)) === 'anon_inode:bpf_link';
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
      throw error;
    }
  };
  return readdirSync(folder).filter(isLink).length;
}

t.test('as its unit runs it, it works, and keeps CAP_BPF alone', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const old = await startBlast(t, namespace, { port: TCP_PORT, rate: 100 });
  const collector = await startService(t, namespace);
  t.notMatch(collector.stderr(), /without|cannot/, 'every program is attached');
  t.equal(statSync(`/proc/${collector.pid}`).uid, SERVICE_UID, 'its own user');
  const [main, ...others] = capabilitiesOf(collector.pid, 'CapEff');
  t.equal(main, maskOf(['CAP_BPF']), 'effective');
  t.equal(capabilitiesOf(collector.pid, 'CapPrm')[0], main, 'permitted: nothing to get back');
  t.equal(capabilitiesOf(collector.pid, 'CapInh')[0], 0n, 'nothing for programs it starts');
  t.equal(capabilitiesOf(collector.pid, 'CapAmb')[0], 0n, 'nor ambient');
  t.not(others.length, 0, 'Node.js has helper threads');
  for (const set of ['CapEff', 'CapPrm', 'CapAmb'])
    t.strictSame(new Set(capabilitiesOf(collector.pid, set).slice(1)), new Set([0n]), set);

  const isPulled = (now: ReturnType<Collector['samples']>): boolean =>
    select(now, 'netwatch_connection_info', { process: 'perl' }).length === 2;
  await collector.waitFor(PROM, isPulled, 'both ends of the old connection, with their owner');
  await old.stop();
  await blast(t, namespace, { port: TCP_PORT + 1, rounds: 103 });
  const accepted = { process: 'perl', is_server: '1', src: `127.0.0.1:${TCP_PORT + 1}` };
  await collector.waitFor(
    'connects.log',
    (now) => select(now, 'netwatch_connection_info', accepted).length > 0,
    'who accepted',
  );
  t.match(await collector.stop('SIGTERM'), { code: 0, signal: null });
  const { written, lostInFile, lostInRing } = packetAccount(collector.samples(PROM));
  t.strictSame([lostInFile, lostInRing], [0, 0]);
  t.equal(written, summaryOf(collector).packets);
  t.equal(countLines(collector.dataFolder, LOG), written);
});

t.test('its files are for its group, the directory for nobody else', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const collector = await startService(t, namespace);
  await collector.pulled();
  const mode = (file: string): string =>
    (statSync(join(collector.dataFolder, file)).mode & 0o777).toString(8);
  t.strictSame(['.', 'connects.log', LOG, 'err.log'].map(mode), ['750', '640', '640', '640']);
  t.equal(statSync(join(collector.dataFolder, PROM)).mode & 0o040, 0o040, 'the group reads it');
});

t.test('rotation works without the capabilities it gave up', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const rotating = ['--quiet', '--rotate-size', '20000', '--keep-files', '100', '--gzip'];
  const collector = await startService(t, namespace, { args: rotating });
  const seen = await countPackets(namespace);
  await blast(t, namespace, { port: TCP_PORT, rounds: 401, rate: 2000 });
  await until(() => existsSync(join(collector.dataFolder, `${LOG}.2.gz`)), {
    what: 'two rotations',
  });
  t.match(await collector.stop(), { code: 0 });
  t.equal(countLines(collector.dataFolder, LOG), await seen());
});

for (const missing of ['CAP_BPF', 'CAP_PERFMON', 'CAP_NET_ADMIN'] as const) {
  t.test(`without ${missing} it says which one and what for`, { skip }, async (t) => {
    const namespace = createNamespace(t);
    const capabilities = GRANTED.filter((name) => name !== missing);
    const collector = await startService(t, namespace, { capabilities, ready: false });
    t.match(await collector.exited, { code: 3 });
    const said = new RegExp(
      `^netwatch: need ${missing} \\([a-z ]+\\); running as uid 4242\n {2}run`,
    );
    t.match(collector.stderr(), said);
  });
}

t.test(
  'without the right to read tracefs only the hooks of accept and listen are missing',
  { skip },
  async (t) => {
    const namespace = createNamespace(t);
    const capabilities = ['CAP_BPF', 'CAP_PERFMON', 'CAP_NET_ADMIN'] as const;
    const collector = await startService(t, namespace, { capabilities });
    const missing = [...collector.stderr().matchAll(/^netwatch: without (.*)$/gm)].map(
      ([, x]) => x,
    );
    const hooks =
      'sys_exit_accept, sys_exit_accept4, ring_submitted, ring_completed, sys_exit_listen';
    const reason =
      'no CAP_DAC_READ_SEARCH (read tracefs, to find the tracepoints of accept and listen)';
    t.strictSame(missing, [`${hooks}: ${reason}`]);
    t.equal(capabilitiesOf(collector.pid, 'CapEff')[0], maskOf(['CAP_BPF']));
  },
);

t.test('as root it keeps what files and namespaces of others need', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const dataFolder = logsDirectory(t);
  const before = capabilitiesOf(process.pid, 'CapEff')[0] ?? 0n;
  const collector = await startCollector(t, namespace, EVERYTHING, { dataFolder });
  const kept = maskOf(keptCapabilities({ root: true, listens: false }));
  t.equal(
    kept,
    maskOf([
      ...(['CAP_BPF', 'CAP_SYS_ADMIN', 'CAP_SYS_PTRACE', 'CAP_SYS_NICE'] as const),
      ...(['CAP_DAC_OVERRIDE', 'CAP_FOWNER'] as const),
    ]),
  );
  for (const set of ['CapEff', 'CapPrm', 'CapBnd'])
    t.equal(capabilitiesOf(collector.pid, set)[0], kept & before, set);
  const load = await startBlast(t, namespace, { port: TCP_PORT, rate: 100 });
  await collector.waitFor(
    PROM,
    (now) => select(now, 'netwatch_connection_srtt_seconds').length === 2,
    'the connection of another namespace, pulled',
  );
  await load.stop();
  t.match(await collector.stop(), { code: 0 });
  t.notMatch(collector.stderr(), /cannot/);
});

function childrenOf(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  return children === '' ? [] : children.split(' ').map(Number);
}

/** Pid of the endpoint that a collector has started, once it serves. */
async function endpointOf(collector: Collector): Promise<number> {
  const serves = (): boolean => /^netwatch: serving /m.test(collector.stderr());
  await until(serves, { what: 'the endpoint serves' });
  return childrenOf(collector.pid)[0] ?? 0;
}

const LISTENING = ['--quiet', '--interval', '0.2', '--listen', '127.0.0.1:0'];

t.test('an endpoint that root starts ends up without any capability', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const options = { dataFolder: logsDirectory(t) };
  const collector = await startCollector(t, namespace, LISTENING, options);
  const kept = maskOf(keptCapabilities({ root: true, listens: true }));
  const before = capabilitiesOf(process.pid, 'CapEff')[0] ?? 0n;
  t.equal(capabilitiesOf(collector.pid, 'CapEff')[0], kept & before);
  const first = await endpointOf(collector);
  t.strictSame(new Set(capabilitiesOf(first, 'CapPrm')), new Set([0n]));
  t.not(statSync(`/proc/${first}`).uid, 0, 'nor as root');
  process.kill(first, 'SIGKILL');
  const again = /^netwatch: serving [^]*^netwatch: serving /m;
  await until(() => again.test(collector.stderr()), { what: 'started again' });
  const second = await endpointOf(collector);
  t.not(second, first);
  t.strictSame(new Set(capabilitiesOf(second, 'CapPrm')), new Set([0n]));
  t.match(await collector.stop(), { code: 0 });
});

t.test('an endpoint that the service starts inherits no capability', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const collector = await startService(t, namespace, { args: LISTENING });
  const pid = await endpointOf(collector);
  t.equal(statSync(`/proc/${pid}`).uid, SERVICE_UID);
  t.strictSame(new Set(capabilitiesOf(pid, 'CapPrm')), new Set([0n]));
  t.match(await collector.stop(), { code: 0 });
});

t.test('the service manager hears of readiness, life, reload and end', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const address = join(temporaryFolder(t), 'notify');
  chmodSync(resolve(address, '..'), 0o755);
  const manager = await startManager(t, address);
  const env = { NOTIFY_SOCKET: address, WATCHDOG_USEC: '200000' };
  const collector = await startService(t, namespace, { env, ready: false });
  await manager.hears('READY=1');
  // the socket and the pipe are read in any order
  const [, attached = ''] =
    (await until(() => /: (\d+) programs attached/.exec(collector.stderr()), {
      what: 'the ready line',
    })) ?? [];
  const nested = heldPrograms(collector.pid).filter(({ name }) => name?.endsWith('_nested'));
  t.equal(
    attachedLinks(collector.pid) - nested.length,
    Number(attached) - 1,
    'all programs, without the one that is over',
  );
  for (const file of ['connects.log', LOG, 'err.log'])
    t.ok(existsSync(join(collector.dataFolder, file)), `${file} is open`);
  t.match(manager.said()[0], ['READY=1', /^STATUS=0 records, 0 lost; writing in \//]);
  await manager.hears('WATCHDOG=1', 3);

  const path = join(collector.dataFolder, LOG);
  renameSync(path, `${path}-moved`);
  process.kill(collector.pid, 'SIGHUP');
  await manager.hears('RELOADING=1');
  await manager.hears('READY=1', 2);
  await until(() => existsSync(path), { what: 'a new file' });
  t.match(await collector.stop('SIGTERM'), { code: 0 });
  await manager.hears('STOPPING=1');
});

t.test(
  'an abstract notify socket is heard, and one that is gone does no harm',
  { skip },
  async (t) => {
    const namespace = createNamespace(t);
    const address = `@netwatch-test-${process.pid}`;
    const manager = await startManager(t, address, ['nsenter', `--net=${namespace.path}`]);
    const heard = await startService(t, namespace, { env: { NOTIFY_SOCKET: address } });
    await manager.hears('READY=1');
    t.match(await heard.stop(), { code: 0 });
    const env = { NOTIFY_SOCKET: '/no/such/socket' };
    t.match(await (await startService(t, namespace, { env })).stop(), { code: 0 });
  },
);

const noTrace = skip || needsCommands('strace', 'systemd-analyze');

/** V8 does without protection keys where it gets none. */
const REFUSED = ['pkey_alloc'];

t.test('the unit allows every system call of the collector', { skip: noTrace }, async (t) => {
  const namespace = createNamespace(t);
  const trace = join(temporaryFolder(t), 'trace');
  const args = [...EVERYTHING, '--rotate-size', '20000', '--gzip', '--duration', '3'];
  const collector = await startCollector(t, namespace, args, {
    dataFolder: logsDirectory(t),
    program: installed?.program ?? '',
    wrapper: [...tracing(trace), ...asService(namespace.path, GRANTED)],
    env: { NOTIFY_SOCKET: '/no/such/socket', WATCHDOG_USEC: '200000' },
  });
  await blast(t, namespace, { port: TCP_PORT, rounds: 201 });
  t.match(await collector.exited, { code: 0 });
  const [made, allowed] = [madeCalls(trace), allowedCalls(readUnit('netwatch.service'))];
  for (const name of ['bpf', 'perf_event_open', 'capset', 'setresuid', 'sendto'])
    t.ok(made.has(name), `${name} was traced`);
  t.strictSame(
    [...made].filter((name) => !allowed.has(name)),
    REFUSED,
  );
});

/** Starts `netwatch serve` as its unit does, a user of its own in the group of the files. */
function startEndpoint(t: Test, dataFolder: string, trace: string): () => string {
  const user = ['--reuid=4343', '--regid=4343', `--groups=${SERVICE_UID}`];
  const nothing = ['--bounding-set=-all', '--inh-caps=-all', '--no-new-privs'];
  const program = [process.execPath, installed?.program ?? '', 'serve'];
  const args = ['--data', dataFolder, '--listen', '127.0.0.1:0'];
  const line = [...tracing(trace), 'setpriv', ...user, ...nothing, ...program, ...args];
  const child = spawn(line[0] ?? '', line.slice(1), { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => (said += text));
  const exited = once(child, 'exit');
  t.teardown(async () => {
    // strace ends when what it traces does
    for (const pid of childrenOf(child.pid ?? 0)) process.kill(pid, 'SIGKILL');
    await exited;
  });
  return () => said;
}

t.test('as its unit runs it, the endpoint reads and serves all', { skip: noTrace }, async (t) => {
  const namespace = createNamespace(t);
  const collector = await startService(t, namespace);
  await blast(t, namespace, { port: TCP_PORT, rounds: 7 });
  await collector.waitFor('packets.log', (now) => now.length > 0, 'packets');
  const trace = join(temporaryFolder(t), 'trace');
  const said = startEndpoint(t, collector.dataFolder, trace);
  const address = (): string => /^netwatch: serving .* on (\S+)$/m.exec(said())?.[1] ?? '';
  await until(address, { what: 'the endpoint serves' });
  const bodyOf = async (path: string): Promise<string> =>
    (await fetch(new URL(path, address()))).text();
  const family = /^netwatch_tcp_connections_total/m;
  await until(async () => family.test(await bodyOf('/metrics')), { what: 'totals are served' });
  t.match(await bodyOf('/metrics/packets?last=3'), /^netwatch_packet_bytes\{/m, 'the logs, too');
  t.match(await bodyOf('/'), /<html/);
  const [made, allowed] = [madeCalls(trace), allowedCalls(readUnit('netwatch-serve.service'))];
  t.ok(made.has('listen'), 'listen was traced');
  t.strictSame(
    [...made].filter((name) => !allowed.has(name)),
    REFUSED,
  );
});

/** Runs logrotate once with these directives on the logs of a collector. */
function logrotate(t: Test, collector: Collector, directives: readonly string[]): void {
  const folder = temporaryFolder(t);
  const configuration = join(folder, 'netwatch');
  const body = ['rotate 8', ...directives];
  writeFileSync(
    configuration,
    `${collector.dataFolder}/*.log {\n${body.map((line) => `  ${line}\n`).join('')}}\n`,
  );
  execFileSync('logrotate', ['--force', '--state', join(folder, 'state'), configuration]);
}

const noRotate = skip || needsCommands('logrotate');

for (const how of ['SIGHUP', 'copytruncate'] as const) {
  t.test(`logrotate with ${how} takes nothing away`, { skip: noRotate }, async (t) => {
    const namespace = createNamespace(t);
    const collector = await startService(t, namespace, { args: EVERYTHING });
    const { dataFolder, pid } = collector;
    const seen = await countPackets(namespace);
    const lines = (): number => countLines(dataFolder, LOG);
    const written = async (): Promise<boolean> => lines() === (await seen());
    const reload = ['create 0640', 'sharedscripts', 'postrotate', `kill -HUP ${pid}`, 'endscript'];
    for (const port of [TCP_PORT, TCP_PORT + 1, TCP_PORT + 2]) {
      await blast(t, namespace, { port, rounds: 101 });
      await until(written, { what: 'all is written' });
      logrotate(t, collector, how === 'SIGHUP' ? reload : ['copytruncate']);
    }
    await blast(t, namespace, { port: TCP_PORT + 3, rounds: 101 });
    t.match(await collector.stop(), { code: 0 });
    t.equal(lines(), await seen());
    const rotated = readdirSync(dataFolder).filter((name) => name.startsWith(`${LOG}.`));
    t.strictSame(rotated.sort(), [`${LOG}.1`, `${LOG}.2`, `${LOG}.3`]);
    for (const name of [LOG, ...rotated]) {
      const text = readFileSync(join(dataFolder, name), 'utf8');
      t.match(
        text.slice(0, 40),
        /^# HELP netwatch_packet_bytes /,
        `${name} begins with its header`,
      );
    }
  });
}

t.test('the installed file for logrotate is one that logrotate takes', { skip: noRotate }, (t) => {
  const folder = temporaryFolder(t);
  const logs = join(folder, 'logs');
  mkdirSync(logs);
  const text = readFileSync(
    resolve(import.meta.dirname, '../../contrib/logrotate/netwatch'),
    'utf8',
  )
    .replaceAll('/var/log/netwatch', logs)
    .replaceAll('netwatch netwatch', 'root root');
  const path = join(folder, 'netwatch');
  writeFileSync(path, text, { mode: 0o644 });
  const args = ['--debug', '--state', join(folder, 'state'), path];
  t.doesNotThrow(() => execFileSync('logrotate', args, { stdio: 'pipe' }));
  t.end();
});

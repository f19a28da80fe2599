/**
 * The built `netwatch serve`, alone and beside the collector: its rights, its files, its end.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import {
  appendFileSync,
  chmodSync,
  chownSync,
  existsSync,
  lchownSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { join, resolve } from 'node:path';
import t from 'tap';
import { PROGRAM, startCollector, temporaryFolder } from '../support/collector.js';
import { get } from '../support/endpoint.js';
import { createNamespace, type Teardown } from '../support/netns.js';
import { copyProgram } from '../support/program-copy.js';
import { needsRoot, unless } from '../support/skip.js';
import { runTcp } from '../support/traffic.js';
import { until } from '../support/wait.js';

const skip = unless(existsSync(PROGRAM), 'build/main.js is missing: run make build');
const asRoot = skip || needsRoot;
const USER = 1000;
const NOBODY = 65_534;
/** Of what root's collector makes. */
const OWN_GROUP = 65_520;

interface Served {
  readonly child: ChildProcess;
  readonly pid: number;
  readonly port: number;
  readonly stderr: () => string;
  readonly end: (signal: NodeJS.Signals) => Promise<unknown[]>;
}

interface Start {
  readonly program?: string;
  readonly cwd?: string;
  readonly uid?: number;
}

function start(t: Teardown, args: readonly string[], { program = PROGRAM, ...how }: Start = {}) {
  // Without the hooks with which tap follows child processes: nobody cannot write what they note.
  const line = ['-u', 'NODE_OPTIONS', process.execPath, program, 'serve', ...args];
  const child = spawn('env', line, {
    stdio: ['ignore', 'ignore', 'pipe'],
    ...how,
  });
  const exited = once(child, 'close');
  let said = '';
  child.stderr?.on('data', (chunk: Buffer) => (said += chunk.toString()));
  t.teardown(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  return { child, exited, stderr: () => said };
}

/** Starts it and returns when it serves. */
async function serve(t: Teardown, args: readonly string[], how: Start = {}): Promise<Served> {
  const { child, exited, stderr } = start(t, ['--listen', '127.0.0.1:0', ...args], how);
  const port = await until(
    () => {
      if (child.exitCode !== null) throw new Error(stderr());
      return Number(portIn(stderr()));
    },
    { what: 'it serves' },
  );
  const end = (signal: NodeJS.Signals): Promise<unknown[]> => {
    child.kill(signal);
    return exited;
  };
  return { child, pid: child.pid ?? 0, port, stderr, end };
}

const portIn = (text: string): string | undefined =>
  /^netwatch: serving \S+ on https?:\/\/[^/]*:(\d+)\/$/m.exec(text)?.[1];

/** Runs it to its end. */
async function refused(t: Teardown, args: readonly string[], how: Start = {}) {
  const { exited, stderr } = start(t, args, how);
  const [code] = (await exited) as [number];
  return { code, said: stderr() };
}

const HEAD = (name: string): string => `# HELP ${name} h\n# TYPE ${name} gauge\n`;
const STATE = `${HEAD('netwatch_collection_interval_seconds')}netwatch_collection_interval_seconds 5\n`;
const INFO =
  'netwatch_connection_info{pid="1",process="a",sock="1",src="x:1",dst="x:2",is_server="0"} 1';

/** A data directory as a collector leaves it. */
function dataFolder(parent: string): string {
  const folder = join(parent, 'data');
  mkdirSync(folder, { mode: 0o750 });
  writeFileSync(join(folder, 'netwatch.prom'), STATE, { mode: 0o644 });
  const log = `${HEAD('netwatch_connection_info')}${INFO} ${Date.now()}\n`;
  writeFileSync(join(folder, 'connects.log'), log, { mode: 0o640 });
  if (process.getuid?.() === 0)
    for (const name of ['.', 'netwatch.prom', 'connects.log'])
      chownSync(join(folder, name), 0, OWN_GROUP);
  return folder;
}

/** A directory that the collector makes itself, with its own rights; and no hooks, as above. */
const asInstalled = (t: Teardown) => ({
  dataFolder: join(temporaryFolder(t), 'data'),
  wrapper: ['env', '-u', 'NODE_OPTIONS'],
});

/** A line of /proc/PID/status of each thread. */
function statusOf(pid: number, name: string): Set<string> {
  const values = readdirSync(`/proc/${pid}/task`).map((thread) => {
    const text = readFileSync(`/proc/${pid}/task/${thread}/status`, 'utf8');
    return new RegExp(`^${name}:\\s*(.*?)\\s*$`, 'm').exec(text)?.[1] ?? '';
  });
  return new Set(values);
}

t.test(
  'as root it becomes nobody, keeps no capability and reads what root wrote',
  { skip: asRoot },
  async (t) => {
    const data = dataFolder(temporaryFolder(t));
    chmodSync(join(data, '..'), 0o755);
    const served = await serve(t, ['--data', data]);
    for (const name of ['CapEff', 'CapPrm', 'CapInh', 'CapAmb'])
      t.strictSame([...statusOf(served.pid, name)], ['0000000000000000'], name);
    for (const name of ['Uid', 'Gid'])
      t.strictSame([...statusOf(served.pid, name)], [Array(4).fill(NOBODY).join('\t')], name);
    t.strictSame([...statusOf(served.pid, 'Groups')], [String(OWN_GROUP)]);
    const { text } = await get(served, '/metrics/connects');
    t.match(text, INFO);
    t.match(await get(served, '/-/ready'), { status: 200 });
    appendFileSync(join(data, 'netwatch.prom'), `${HEAD('later')}later 1\n`);
    const later = async (): Promise<boolean> => (await get(served)).text.includes('\nlater 1\n');
    await until(later, { what: 'what is written later' });
    t.match((await get(served)).text, /^process_open_fds \d+$/m);
  },
);

t.test(
  "root's own group goes with root where the directory has another one",
  { skip: asRoot },
  async (t) => {
    const folder = temporaryFolder(t);
    chmodSync(folder, 0o755);
    const data = join(folder, 'data');
    mkdirSync(data, { mode: 0o750 });
    chownSync(data, 0, NOBODY);
    const groups = ({ pid }: Served): string[] => [...statusOf(pid, 'Groups')];
    t.strictSame(groups(await serve(t, ['--data', data])), [String(NOBODY)], 'an empty one');
    const state = join(data, 'netwatch.prom');
    writeFileSync(state, STATE, { mode: 0o644 });
    const served = await serve(t, ['--data', data]);
    t.strictSame(groups(served), [String(NOBODY)], 'everybody may read what root wrote');

    const log = join(data, 'connects.log');
    writeFileSync(log, `${HEAD('netwatch_connection_info')}${INFO} ${Date.now()}\n`);
    chmodSync(log, 0o640);
    const { status, text } = await get(served, '/metrics/connects');
    t.equal(status, 503, 'a log of root that came later is not an empty one');
    t.equal(
      text,
      'connects.log cannot be read: EACCES\n' +
        '  make it readable for the group of its directory, or start netwatch serve again.\n',
    );
    const again = await serve(t, ['--data', data]);
    t.strictSame(groups(again), [String(NOBODY)], 'no file brings the group of root');
    chownSync(log, 0, NOBODY);
    t.match((await get(again, '/metrics/connects')).text, INFO);
  },
);

t.test(
  'it reads the directory of another user, in a closed home too',
  { skip: asRoot },
  async (t) => {
    const { program } = copyProgram({ teardown: () => undefined });
    const folder = resolve(program, '../..');
    t.teardown(() => execFileSync('rm', ['-rf', folder]));
    const data = dataFolder(folder);
    for (const path of [folder, data, join(data, 'connects.log')]) chownSync(path, USER, USER);
    chmodSync(folder, 0o700);
    // The program itself is out of reach for nobody, too.
    const served = await serve(t, [], { program, cwd: folder });
    t.strictSame([...statusOf(served.pid, 'Uid')], [Array(4).fill(NOBODY).join('\t')]);
    t.match((await get(served, '/metrics/connects')).text, INFO);
    t.match(await get(served, '/'), { status: 200, text: /<!doctype html>/i });
    const now = new Date();
    utimesSync(join(data, 'netwatch.prom'), now, now);
    t.match(await get(served, '/-/ready'), { status: 200 });
  },
);

t.test('what nobody may read is said with what to do', { skip: asRoot }, async (t) => {
  const data = dataFolder(temporaryFolder(t));
  chmodSync(data, 0o700);
  const { code, said } = await refused(t, ['--data', data, '--listen', '127.0.0.1:0']);
  t.equal(code, 3);
  t.match(
    said,
    /^netwatch: without root .*data cannot be read: EACCES\n {2}make it readable .*\n$/,
  );
});

t.test(
  "a directory for root's group alone is refused with a sentence",
  { skip: asRoot },
  async (t) => {
    const data = dataFolder(temporaryFolder(t));
    chmodSync(join(data, '..'), 0o755);
    chownSync(data, 0, 0);
    const { code, said } = await refused(t, ['--data', data, '--listen', '127.0.0.1:0']);
    t.equal(code, 3);
    t.match(
      said,
      /^netwatch: without root .*data cannot be read: EACCES\n {2}make it readable for a group that is not root's .*\n$/,
    );
  },
);

t.test(
  'a link of another user to the directory leads root nowhere',
  { skip: asRoot },
  async (t) => {
    const folder = temporaryFolder(t);
    chmodSync(folder, 0o755);
    const link = join(folder, 'link');
    symlinkSync(dataFolder(folder), link);
    lchownSync(link, USER, USER);
    const args = ['--listen', '127.0.0.1:0', '--data', link];
    const { code, said } = await refused(t, args);
    t.equal(code, 3);
    t.match(
      said,
      /^netwatch: [^\n]*link: [^\n]* is a link that another user [^\n]*\n {2}[^\n]*\n$/,
    );
    lchownSync(link, 0, 0);
    const served = await serve(t, args.slice(2));
    t.strictSame([...statusOf(served.pid, 'Groups')], [String(OWN_GROUP)], "root's own link does");
  },
);

t.test('as somebody else it stays who it is', { skip: asRoot }, async (t) => {
  const folder = temporaryFolder(t);
  const data = dataFolder(folder);
  execFileSync('chown', ['-R', `${USER}:${USER}`, folder]);
  const served = await serve(t, ['--data', data], { uid: USER });
  t.strictSame([...statusOf(served.pid, 'Uid')], [Array(4).fill(USER).join('\t')]);
  t.match((await get(served, '/metrics/connects')).text, INFO);
});

t.test('a key that only root can read is read before root is gone', { skip: asRoot }, async (t) => {
  const folder = temporaryFolder(t);
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-keyout', 'key'];
  const names = ['-subj', '/CN=x', '-addext', 'subjectAltName=IP:127.0.0.1'];
  const line = ['req', '-x509', ...key, '-out', 'cert', ...names];
  execFileSync('openssl', line, { cwd: folder, stdio: 'pipe' });
  const config = join(folder, 'web.yml');
  writeFileSync(config, 'tls_server_config: {cert_file: cert, key_file: key}\n');
  const served = await serve(t, ['--data', dataFolder(folder), '--web-config', config]);
  const ca = readFileSync(join(folder, 'cert'), 'utf8');
  t.equal((await get(served, '/-/ready', { ca })).status, 200);
  utimesSync(join(folder, 'key'), 1, 1);
  const said = (): boolean => served.stderr().includes('keeps the previous web configuration');
  await until(said, { what: 'that it cannot be read again' });
  t.match(
    served.stderr(),
    /^netwatch: serving [^\n]*\nnetwatch: keeps [^\n]* EACCES[^\n]*\n {2}correct the path[^\n]*\n$/,
  );
  t.equal((await get(served, '/-/ready', { ca })).status, 200);
});

t.test('links and hidden files of the directory are not served', { skip }, async (t) => {
  const folder = temporaryFolder(t);
  chmodSync(folder, 0o755);
  const data = dataFolder(folder);
  const secret = join(folder, 'secret');
  writeFileSync(secret, `${HEAD('secret')}secret 1\n`, { mode: 0o644 });
  symlinkSync(secret, join(data, 'link.prom'));
  symlinkSync(secret, join(data, 'packets.log'));
  writeFileSync(join(data, '.hidden.prom'), `${HEAD('hidden')}hidden 1\n`);
  mkdirSync(join(data, 'folder.prom'));
  const served = await serve(t, ['--data', data]);
  const { status, text } = await get(served);
  t.equal(status, 200);
  t.notMatch(text, /^(secret|hidden) /m);
  t.notMatch((await get(served, '/metrics/packets')).text, 'secret');
  for (const path of ['/link.prom', '/data/link.prom', '/.hidden.prom', '/metrics/link'])
    t.equal((await get(served, path)).status, 404, path);
});

t.test('it listens where it is told to, on 127.0.0.1 if not told', { skip }, async (t) => {
  const folder = temporaryFolder(t);
  const data = dataFolder(folder);
  chmodSync(folder, 0o755);
  const help = execFileSync(process.execPath, [PROGRAM, 'serve', '-h'], { encoding: 'utf8' });
  t.match(help, /--listen <ADDR> .*\(default:\s+127\.0\.0\.1:41420\)/s);
  t.notMatch(help, '--child');
  const loopback = await serve(t, ['--data', data]);
  t.match(loopback.stderr(), /^netwatch: serving \S+ on http:\/\/127\.0\.0\.1:\d+\/\n$/);
  const everywhere = start(t, ['--data', data, '--listen', ':0']);
  const warned = (): boolean => portIn(everywhere.stderr()) !== undefined;
  await until(warned, { what: 'it serves everywhere' });
  t.match(
    everywhere.stderr(),
    /^netwatch: everybody who reaches .* can read this\n {2}set passwords/,
  );

  const taken = createServer().listen(0, '127.0.0.1');
  t.teardown(() => taken.close());
  await once(taken, 'listening');
  const { port } = taken.address() as { port: number };
  const wrong: [args: string[], code: number, says: RegExp][] = [
    [['--listen', `127.0.0.1:${port}`], 3, /cannot listen on 127.*EADDRINUSE.*\n {2}see ss/],
    [
      ['--listen', '192.0.2.1:80'],
      3,
      /does not have the address \(EADDRNOTAVAIL\)\n {2}see ip addr/,
    ],
    [['--listen', '41420'], 2, /It should be an address with a port/],
    [
      ['--listen', '127.0.0.1:0', '--web-config', 'none.yml'],
      3,
      /cannot read the web configuration/,
    ],
    [
      ['--listen', '127.0.0.1:0', '--data', '/no/such'],
      3,
      /directory \/no\/such.*\n {2}start the coll/,
    ],
  ];
  for (const [args, code, says] of wrong) {
    const run = await refused(t, ['--data', data, ...args]);
    t.strictSame([run.code, says.test(run.said)], [code, true], `${args.join(' ')}: ${run.said}`);
    t.notMatch(run.said, /\n {4}at /);
  }
});

t.test('a signal ends it in order', { skip }, async (t) => {
  const folder = temporaryFolder(t);
  chmodSync(folder, 0o755);
  const data = dataFolder(folder);
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    const served = await serve(t, ['--data', data]);
    await get(served);
    t.strictSame(await served.end(signal), [0, null], signal);
    t.notMatch(served.stderr(), /bug|ended/);
  }
});

t.test('it does not load what only the collector needs', { skip }, async (t) => {
  const folder = temporaryFolder(t);
  chmodSync(folder, 0o755);
  const served = await serve(t, ['--data', dataFolder(folder)]);
  const maps = readFileSync(`/proc/${served.pid}/maps`, 'utf8');
  t.notMatch(maps, /koffi|libbpf/);
});

t.test(
  'beside the collector it serves what that writes, and ends with it',
  { skip: asRoot },
  async (t) => {
    const namespace = createNamespace(t);
    const args = ['-q', '--interval', '0.2', '--listen', '127.0.0.1:0'];
    for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
      const collector = await startCollector(t, namespace, args, asInstalled(t));
      const port = Number(await until(() => portIn(collector.stderr()), { what: 'it serves' }));
      const up = async (): Promise<boolean> =>
        (await get({ port })).text.includes('\nnetwatch_collector_up 1\n');
      await until(up, { what: 'the collector is seen' });
      await runTcp(namespace, { connections: 7 });
      const counted = async (): Promise<boolean> =>
        /^netwatch_tcp_connections_total\{network_tcp_handshake_role="client"\} 7$/m.test(
          (await get({ port })).text,
        );
      await until(counted, { what: 'seven connections' });
      t.match(
        (await get({ port }, '/metrics/connects')).text,
        /netwatch_connection_info\{.*\} 1\n/,
      );
      const { code } = await collector.stop(signal);
      t.equal(code, signal === 'SIGTERM' ? 0 : null);
      const gone = (): Promise<boolean> =>
        get({ port }).then(
          () => false,
          () => true,
        );
      await until(gone, { what: `the endpoint is gone after ${signal}` });
    }
  },
);

t.test(
  'the collector goes on without an endpoint, and starts a dead one again',
  { skip: asRoot },
  async (t) => {
    const namespace = createNamespace(t);
    const taken = createServer().listen(0, '127.0.0.1');
    await once(taken, 'listening');
    const { port } = taken.address() as { port: number };
    const args = ['-q', '--interval', '0.2', '--listen', `127.0.0.1:${port}`];
    const collector = await startCollector(t, namespace, args, asInstalled(t));
    const said = (): boolean => collector.stderr().includes('EADDRINUSE');
    await until(said, { what: 'that the port is taken' });
    await runTcp(namespace, { connections: 3 });
    await collector.waitFor(
      'connects.log',
      (samples) => samples.length >= 3,
      'the collector goes on',
    );
    taken.close();
    const answers = (): Promise<boolean> => get({ port }).then(({ status }) => status === 200);
    await until(answers, { what: 'it is served as soon as the port is free' });
    const child = execFileSync('pgrep', ['-P', `${collector.pid}`], { encoding: 'utf8' }).trim();
    process.kill(Number(child), 'SIGKILL');
    const again = (): boolean => collector.stderr().split('netwatch: serving').length === 3;
    await until(again, { what: 'it is started again' });
    await until(answers, { what: 'and serves' });
    t.equal(collector.stderr().split('EADDRINUSE').length, 2, 'said once');
    t.match(await collector.stop(), { code: 0 });
  },
);

// The collector on machines that lack something: it says what, and what to do; what can run, runs.
import { spawnSync } from 'node:child_process';
import { resolve } from 'node:path';
import t, { type Test } from 'tap';
import type { Capability } from '../../src/kernel/capabilities.js';
import { countLines, countPackets, PROM } from '../support/account.js';
import { blast } from '../support/blast.js';
import {
  PROGRAM,
  startCollector,
  temporaryFolder,
  type CollectorOptions,
} from '../support/collector.js';
import { createNamespace, type Namespace } from '../support/netns.js';
import { copyProgram } from '../support/program-copy.js';
import { select, total } from '../support/samples.js';
import { needsCommands, needsRoot } from '../support/skip.js';
import {
  asNobody,
  OLD_LIBBPF,
  VERY_OLD_LIBBPF,
  withCgroup2At,
  withLibbpf,
  WITHOUT_BTF,
} from '../support/surroundings.js';
import { CLOSED_PORT, runTcp, TCP_PORT } from '../support/traffic.js';

const skip = needsRoot || needsCommands('unshare', 'setpriv', 'perl', 'nstat');
const noCompiler = skip || needsCommands('cc');
const QUIET = ['--quiet', '--interval', '0.2'];

/** Without what tap loads into every process: it opens files, and looks at the working directory. */
const WITHOUT_HOOKS = ['env', '--unset=NODE_OPTIONS', 'sh', '-c'] as const;

/** How it ends and what it says where it cannot start. */
async function refusal(
  t: Test,
  namespace: Namespace,
  options: CollectorOptions,
  args: readonly string[] = [],
): Promise<{ readonly code: number | null; readonly says: string }> {
  const collector = await startCollector(t, namespace, [...QUIET, ...args], {
    ...options,
    ready: false,
  });
  const { code } = await collector.exited;
  return { code, says: collector.stderr() };
}

/** One sentence, one line of advice: no stack, nothing from libraries. */
const message = (says: string, next: string): RegExp =>
  new RegExp(`^netwatch: [^\\n]*${says}[^\\n]*\\n {2}[^\\n]*${next}[^\\n]*\\n$`);

// Table 13
t.test('without BTF it names the file and the kernel option', { skip }, async (t) => {
  const { code, says } = await refusal(t, createNamespace(t), { wrapper: WITHOUT_BTF });
  t.equal(code, 4);
  t.match(says, message('no BTF: /sys/kernel/btf/vmlinux', 'CONFIG_DEBUG_INFO_BTF=y'));
});

// Table 14
t.test('each missing right is named, and none that is there', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const essential: readonly Capability[] = ['CAP_BPF', 'CAP_PERFMON', 'CAP_NET_ADMIN'];
  for (const held of [[], ['CAP_BPF'], ['CAP_BPF', 'CAP_PERFMON'], ['CAP_SYS_ADMIN']] as const) {
    const { code, says } = await refusal(t, namespace, { wrapper: asNobody(held) });
    t.equal(code, 3, held.join(' '));
    t.match(says, message('need CAP_.*running as uid 65534', 'sudo'));
    const all = held.some((name) => name === 'CAP_SYS_ADMIN') ? essential.slice(0, 2) : [];
    for (const name of essential) {
      const has = [...held, ...all].some((one) => one === name);
      t.equal(says.includes(`${name} (`), !has, `${name} with ${held.join(' ')}`);
    }
  }
});

// Table 15
for (const path of ['/sys/fs/cgroup', '/sys/fs/cgroup/unified'])
  t.test(`with cgroup v2 at ${path} every packet is seen`, { skip }, async (t) => {
    const namespace = createNamespace(t);
    const wrapper = withCgroup2At(path);
    const collector = await startCollector(t, namespace, [...QUIET, '--strict'], { wrapper });
    const seen = await countPackets(namespace);
    await blast(t, namespace, { port: TCP_PORT, rounds: 503 });
    t.match(await collector.stop(), { code: 0 });
    t.equal(countLines(collector.dataFolder, 'packets.log'), await seen());
  });

// mount points come with octal numbers in place of blanks, tabs, newlines and backslashes
t.test('with cgroup v2 at an odd name every packet is seen', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const wrapper = withCgroup2At('"/sys/fs/cgroup/a\tb \\\\c"');
  const collector = await startCollector(t, namespace, [...QUIET, '--strict'], { wrapper });
  const seen = await countPackets(namespace);
  await blast(t, namespace, { port: TCP_PORT, rounds: 101 });
  t.match(await collector.stop(), { code: 0 });
  t.equal(countLines(collector.dataFolder, 'packets.log'), await seen());
});

t.test('a removed working directory is one sentence for each command', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const cases = {
    data: ['--netns', namespace.name, '--data', 'data'],
    serve: ['serve', '--data', '.'],
    export: ['export', 'data/packets.log'],
  };
  for (const [name, args] of Object.entries(cases)) {
    const script = 'mkdir gone && cd gone && rmdir ../gone && exec "$@"';
    const [command, ...shell] = WITHOUT_HOOKS;
    const line = [...shell, script, 'sh', process.execPath, PROGRAM, ...args];
    const { status, stderr } = spawnSync(command, line, {
      cwd: temporaryFolder(t),
      encoding: 'utf8',
    });
    t.equal(status, 3, name);
    t.match(stderr, /^netwatch: [^\n]+\n {2}[^\n]+\n$/, 'one sentence, one line of advice');
  }
});

t.test('where few files may be open it says so in one sentence', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const wrapper = [...WITHOUT_HOOKS, 'ulimit -n 40; exec "$@"', 'sh'];
  const { code, says } = await refusal(t, namespace, { wrapper });
  t.equal(code, 3);
  t.match(says, message('not enough files may be open: EMFILE', 'ulimit -n'));
});

t.test('where Node.js itself needs more files the launcher says so', { skip }, (t) => {
  const [command, ...shell] = WITHOUT_HOOKS;
  const launcher = resolve(import.meta.dirname, '../../netwatch');
  const files = { 40: 'EMFILE', 39: '39', 30: '30', 20: '20', 12: '12' };
  for (const [limit, said] of Object.entries(files)) {
    const line = [...shell, `ulimit -n ${limit}; exec "$@"`, 'sh', launcher, '--data', 'data'];
    const cwd = temporaryFolder(t);
    const { status, stdout, stderr } = spawnSync(command, line, { cwd, encoding: 'utf8' });
    t.equal(status, 3, limit);
    t.equal(stdout, '', limit);
    t.match(stderr, message(`not enough files may be open: ${said}`, 'ulimit -n'), limit);
  }
  t.end();
});

t.test('without cgroup v2 all but packets are seen, and that is said once', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const wrapper = withCgroup2At(null);
  const options = ['-x', '-r', '-t', '-i', '-e', '--ndjson', ...QUIET];
  const collector = await startCollector(t, namespace, options, { wrapper });
  t.match(
    collector.stderr(),
    /^netwatch: without packet records, listener_ingress: no cgroup v2 .*: mount -t cgroup2 .*\nnetwatch: /m,
  );
  t.equal(collector.stderr().match(/cgroup v2/g)?.length, 1);
  await runTcp(namespace, { connections: 7, rounds: 3 });
  await runTcp(namespace, { connections: 3, port: CLOSED_PORT });
  const state = await collector.pulled();
  const off = select(state, 'netwatch_bpf_program_attached').filter(({ value }) => value === 0);
  const names = off.map(({ labels }) => labels['program']);
  for (const name of ['timed_ingress', 'timed_egress', 'net_dev_queue'])
    t.ok(names.includes(name), `the state says that ${name} is not attached`);
  t.notOk(names.includes('inet_sock_set_state'));
  t.match(await collector.stop(), { code: 0 });
  t.equal(countLines(collector.dataFolder, 'packets.log'), 0);
  t.ok(countLines(collector.dataFolder, 'err.log') > 0);
  const good = select(collector.samples(PROM), 'netwatch_tcp_connections_total')
    .filter(({ labels }) => !('error_type' in labels))
    .map(({ value }) => value);
  t.strictSame(good, [7, 7], 'as client, as server');

  const strict = await refusal(t, namespace, { wrapper }, ['--strict']);
  t.equal(strict.code, 3);
  t.match(strict.says, message('source packet cannot run: no cgroup v2', 'mount -t cgroup2'));
});

// Table 17
t.test('a field that this kernel lacks costs the programs that need it', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const copy = copyProgram(t);
  copy.rename('connection', 'total_rto', 'total_rtx'); // asked for before it is read
  copy.rename('fault', 'skb_iif', 'skb_iix'); // read without asking
  const options = ['-r', '-e', ...QUIET];
  const collector = await startCollector(t, namespace, options, { program: copy.program });
  t.match(
    collector.stderr(),
    /^netwatch: without .*tcp_send_reset: this kernel has no field skb_iix in/m,
  );
  const state = select(await collector.pulled(), 'netwatch_bpf_program_attached');
  const off = state.filter(({ value }) => value === 0).map(({ labels }) => labels['program']);
  t.ok(off.includes('tcp_send_reset'));
  for (const name of ['tcp_receive_reset', 'tcp_retransmit_skb', 'tcp'])
    t.notOk(off.includes(name), `with ${name}`);
  await blast(t, namespace, { port: TCP_PORT, rounds: 101 });
  t.match(await collector.stop(), { code: 0 });
  t.equal(total(collector.samples(PROM), 'netwatch_tcp_retransmits_total'), 0, 'nothing made up');
});

// Table 18
t.test(
  'without libbpf, or with an old one, it names the package',
  { skip: noCompiler },
  async (t) => {
    const namespace = createNamespace(t);
    const libraries: readonly (readonly [string | null, string])[] = [
      [null, 'libbpf.so.1 was not found'],
      [OLD_LIBBPF, 'libbpf v0.8 is too old'],
      [VERY_OLD_LIBBPF, 'libbpf v0.5 or older is too old'],
    ];
    for (const [source, says] of libraries) {
      const { code, says: said } = await refusal(t, namespace, { env: withLibbpf(t, source) });
      t.equal(code, 3);
      t.match(said, message(says, 'package libbpf1'));
    }
  },
);

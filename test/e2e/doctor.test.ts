// netwatch doctor on the real kernel: what it says is what the collector gets, whoever asks, wherever.
import { readdirSync } from 'node:fs';
import { release } from 'node:os';
import { resolve } from 'node:path';
import t, { type Test } from 'tap';
import type { ProgramFinding, Report } from '../../src/doctor/report.js';
import { bpfObjectsOf } from '../support/bpf.js';
import { startCollector, temporaryFolder } from '../support/collector.js';
import { diagnosis, flagOf, runDoctor, toolOf } from '../support/doctor.js';
import { createNamespace } from '../support/netns.js';
import { copyProgram } from '../support/program-copy.js';
import { select } from '../support/samples.js';
import { needsCommands, needsRoot } from '../support/skip.js';
import {
  asNobody,
  OLD_LIBBPF,
  VERY_OLD_LIBBPF,
  withCgroup2At,
  withLibbpf,
  WITHOUT_BTF,
} from '../support/surroundings.js';

const skip = needsRoot || needsCommands('unshare', 'setpriv');
const noCompiler = skip || needsCommands('cc');
const EVERYTHING = ['-x', '-r', '-t', '-i', '-e', '--quiet', '--interval', '0.2'];
const SOURCES = resolve(import.meta.dirname, '../../bpf');

const all = ({ sources }: Report): ProgramFinding[] =>
  sources.flatMap(({ programs }) => [...programs]);

/** Never a stack, whatever is missing. */
function noStack(t: Test, { out, err }: { readonly out: string; readonly err: string }): void {
  t.notMatch(`${out}${err}`, /\n\s+at .*:\d+|this is a bug|undefined|\[object/);
}

t.test('what it finds attached is what the collector attaches', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const collector = await startCollector(t, namespace, EVERYTHING);
  const samples = select(await collector.pulled(), 'netwatch_bpf_program_attached');
  await collector.stop();
  const report = await diagnosis();
  for (const { labels, value } of samples) {
    const { program, attach_type: attachType } = labels;
    const found = all(report).filter((one) => one.program === program && one.wanted);
    const attached = value === 1;
    t.ok(
      found.some((one) => one.attachType === attachType && one.attached === attached),
      `${program ?? ''}: ${attached ? 'attached' : 'not attached'}`,
    );
  }
  t.ok(samples.length > 20, `${samples.length} programs`);
  const objects = readdirSync(SOURCES).filter((name) => name.endsWith('.bpf.o'));
  t.equal(report.sources.length, objects.length, 'every object there is');
  t.equal(report.exitCode, 0, 'and this kernel can');
  t.equal(toolOf(report, 'netwatch').problem, null);
});

t.test('every program has an attachment or a reason, every loss its cause', { skip }, async (t) => {
  const report = await diagnosis();
  for (const { program, attached, reason } of all(report))
    t.equal(attached === true, reason === null, `${program}: ${reason ?? 'attached'}`);
  t.strictSame(
    all(report).flatMap(({ program, reason }) => (/\binsn/.test(reason ?? '') ? [program] : [])),
    [],
    'with every filter at its longest none is too large for the verifier',
  );
  for (const { verdict, without, problem } of [...report.flags, ...report.tools]) {
    t.equal(verdict === 'degraded', without.length > 0);
    t.equal(verdict === 'cannot', problem !== null);
    for (const loss of without) t.ok(loss.problem.reason.length > 0, loss.what);
  }
  t.equal(report.facts.kernel.release, release());
  t.match(report.facts.libbpf, { version: /^1\./, path: /libbpf\.so/ });
  t.equal(report.facts.ringBuffer, true);
  t.equal(report.facts.fentry.possible, report.facts.fentry.reason === null);
});

t.test(
  'it writes nothing, and does not disturb a collector, which it names',
  { skip },
  async (t) => {
    const namespace = createNamespace(t);
    const collector = await startCollector(t, namespace, EVERYTHING);
    const before = bpfObjectsOf(collector.pid);
    const folder = temporaryFolder(t);
    const there = { cwd: collector.dataFolder };
    const report = await diagnosis(there, ['--data', '.']);
    t.strictSame(bpfObjectsOf(collector.pid), before);
    t.equal(report.facts.data.collectorPid, collector.pid);
    const { code, out } = await runDoctor([], { cwd: folder });
    t.equal(code, 0);
    t.match(out, /^This machine\n/);
    t.strictSame(readdirSync(folder), [], 'not even the data directory');
    t.match(await collector.stop(), { code: 0 });
  },
);

t.test('nobody hears which rights are missing, or what the kernel has', { skip }, async (t) => {
  const wrapper = asNobody();
  const run = await runDoctor(['--data', '/tmp'], { wrapper });
  t.equal(run.code, 3, run.err);
  t.equal(run.err, '');
  noStack(t, run);
  t.match(run.out, /need CAP_BPF \(.*\),\s+CAP_PERFMON \(.*\)\s+and\s+CAP_NET_ADMIN/);
  const asked = await diagnosis({ wrapper }, ['--no-load']);
  t.equal(asked.exitCode, 0);
  t.equal(asked.facts.fentry.possible, null, 'not tried');
  const root = await diagnosis();
  t.strictSame(
    all(asked).map(({ program }) => program),
    all(root).map(({ program }) => program),
  );
  for (const { program, wanted, attached } of all(asked)) {
    t.not(attached, true, `${program} is not loaded`);
    const known = all(root).find((one) => one.program === program);
    if (attached === false && wanted) t.equal(known?.attached, false, `${program} cannot be had`);
  }
  for (const { name } of asked.facts.capabilities.missing) t.match(name, /^CAP_/);
  t.ok(asked.facts.capabilities.missing.some(({ essential }) => essential));
});

t.test('without BTF, or on an empty one, it is the kernel that lacks', { skip }, async (t) => {
  const run = await runDoctor([], { wrapper: WITHOUT_BTF });
  t.equal(run.code, 4);
  t.equal(run.err, '');
  t.match(run.out, /no BTF: \/sys\/kernel\/btf\/vmlinux[^]*CONFIG_DEBUG_INFO_BTF/);
  noStack(t, run);
});

t.test(
  'without libbpf, or with an old one, it names the package',
  { skip: noCompiler },
  async (t) => {
    const libraries: readonly (readonly [string | null, RegExp])[] = [
      [null, /libbpf\.so\.1 was not found/],
      [OLD_LIBBPF, /libbpf v0\.8 is too old/],
      [VERY_OLD_LIBBPF, /libbpf v0\.5 or older is too old/],
    ];
    for (const [source, says] of libraries) {
      const run = await runDoctor([], { env: withLibbpf(t, source) });
      t.equal(run.code, 3);
      t.match(run.out.replaceAll(/\s+/g, ' '), says);
      t.match(run.out, /package\s+libbpf1/);
      t.match(run.out, /libbpf +cannot be used/);
      noStack(t, run);
    }
  },
);

t.test('cgroup v2 is found where it is, and missed where it is not', { skip }, async (t) => {
  for (const path of ['/sys/fs/cgroup', '/sys/fs/cgroup/unified']) {
    const report = await diagnosis({ wrapper: withCgroup2At(path) });
    t.equal(report.facts.cgroup2.path, path);
    t.equal(report.exitCode, 0);
    t.not(flagOf(report, '--cgroup').verdict, 'cannot');
  }
  const report = await diagnosis({ wrapper: withCgroup2At(null) });
  t.equal(report.facts.cgroup2.path, null);
  t.equal(report.exitCode, 3);
  for (const name of ['-t', '-i', '--cgroup'])
    t.match(flagOf(report, name), { verdict: 'cannot', fix: [/^mount -t cgroup2 /] }, name);
  for (const name of ['-x', '-r', '-a']) t.not(flagOf(report, name).verdict, 'cannot', name);
  t.match(toolOf(report, 'netwatch').without[0], { what: 'packet records' });
});

t.test(
  'a refused program costs what it gives, in one line from the kernel',
  { skip },
  async (t) => {
    const copy = copyProgram(t);
    copy.refuse('connection', '?tp_btf/tcp_retransmit_skb');
    copy.rename('fault', 'tp_btf/tcp_receive_reset', 'tp_btf/tcp_receive_rezet');
    const report = await diagnosis({ program: copy.program });
    const reasonOf = (name: string): string | null =>
      all(report).find(({ program }) => program === name)?.reason ?? null;
    t.match(reasonOf('tcp_retransmit_skb'), /^\S[^\n]+$/);
    t.equal(reasonOf('tcp_receive_rezet'), 'no tracepoint tcp_receive_rezet');
    t.match(flagOf(report, '-r'), { verdict: 'degraded', without: [{ what: /retransmits/ }] });
    t.equal(flagOf(report, '-e').verdict, 'degraded');
    t.equal(report.exitCode, 0);
    copy.refuse('connection', 'iter/tcp');
    const without = await diagnosis({ program: copy.program });
    t.equal(without.exitCode, 4, 'nothing works without it');
  },
);

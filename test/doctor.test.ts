// netwatch doctor without a kernel: facts as they stand in files, rules on made-up findings, words.
import { stripVTControlCharacters } from 'node:util';
import t from 'tap';
import { loadCommand, commandNames } from '../src/commands.js';
import { chosenWord, lockedMemoryLimit } from '../src/doctor/facts.js';
import { planOf, type SeenProgram, type SeenSource } from '../src/doctor/hooks.js';
import { isOlder, problemOf, problemOfError, refusalOf } from '../src/doctor/problems.js';
import type { Facts, Problem, Report } from '../src/doctor/report.js';
import { judge, toolKey, type Findings } from '../src/doctor/verdicts.js';
import { fold, renderReport } from '../src/doctor/words.js';
import { NO_FILTER } from '../src/sources/filter.js';
import { NetwatchError } from '../src/failure.js';
import { flagOf, toolOf } from './support/doctor.js';
import { programsInSources, type Program } from './support/vm-programs.js';

const sourcesOf = (programs: readonly Program[]): string[] => [
  ...new Set(programs.map(({ source }) => source)),
];

t.test('the word in brackets is what holds of a lockdown', (t) => {
  t.equal(chosenWord('none [integrity] confidentiality'), 'integrity');
  t.equal(chosenWord('[none] integrity confidentiality'), 'none');
  t.equal(chosenWord('none'), null);
  t.end();
});

t.test('the soft limit of locked memory is read, none is no number', (t) => {
  const limits = (soft: string): string =>
    `Limit                     Soft Limit           Hard Limit           Units\nMax locked memory         ${soft}              8388608              bytes\n`;
  t.equal(lockedMemoryLimit(limits('65536')), 65_536);
  t.equal(lockedMemoryLimit(limits('unlimited')), null);
  t.end();
});

t.test('kernels are compared by their numbers, not by their text', (t) => {
  t.ok(isOlder('5.10.0-46-cloud-amd64', '5.12'));
  t.ok(isOlder('6.1.0', '6.11'));
  t.ok(isOlder('5.19', '6.0'));
  t.notOk(isOlder('6.12.117+deb12', '6.2'));
  t.notOk(isOlder('6.16', '6.16'));
  t.notOk(isOlder('7.2', '6.18'));
  t.end();
});

t.test('a kernel is to blame unless the machine can be fixed', (t) => {
  const hook = { reason: 'no tracepoint x', fix: null };
  t.strictSame(problemOf(hook, '6.16', '6.1.0'), {
    reason: 'no tracepoint x',
    fault: 'kernel',
    fix: 'Linux 6.16 or newer',
  });
  t.equal(problemOf(hook, '6.16', '6.18').fix, null, 'it is new enough and still lacks it');
  t.match(problemOf({ reason: 'not mounted', fix: 'mount it' }, '5.10', '6.1'), {
    fault: 'environment',
    fix: 'mount it',
  });
  const btf = new NetwatchError({ code: 'no-btf', path: '/btf', kernel: '5.4' });
  t.match(problemOfError(btf), { fault: 'kernel', reason: /\/btf/, fix: /CONFIG_DEBUG_INFO_BTF/ });
  const library = new NetwatchError({ code: 'no-libbpf', tried: 'libbpf.so.1' });
  t.match(problemOfError(library), { fault: 'environment', fix: /package libbpf1/ });
  t.end();
});

t.test('what a refusal means depends on lockdown and on locked memory', (t) => {
  const error = new NetwatchError({ code: 'system', what: 'cannot load x', reason: 'EPERM' });
  const fix = (lockdown: string | null, matters: boolean, limitBytes: number | null): string =>
    refusalOf(error, { lockdown, memlock: { matters, limitBytes } }).fix ?? '';
  t.match(fix('confidentiality', true, 65_536), /lockdown/);
  t.match(fix('none', true, 65_536), /locked memory.*LimitMEMLOCK/);
  t.match(fix('none', true, null), /security module/);
  t.match(fix(null, false, 65_536), /security module/);
  t.end();
});

t.test(
  'every command that watches says what it would load, of a source that doctor knows',
  async (t) => {
    const sources = sourcesOf(programsInSources());
    const tools = await Promise.all(commandNames().map(loadCommand));
    const watching = tools.filter(({ trial }) => trial !== undefined);
    t.strictSame(
      tools.filter((tool) => !watching.includes(tool)).map(({ name }) => name),
      ['doctor', 'export', 'serve'],
    );
    for (const { name, trial } of watching) {
      const spec = await trial?.(NO_FILTER);
      t.ok(spec && sources.includes(spec.name), `${name} opens ${spec?.name ?? 'nothing'}`);
    }
  },
);

t.test('every program of every source says what is lost without it', async (t) => {
  const all = programsInSources();
  t.not(all.length, 0);
  for (const name of sourcesOf(all)) {
    const programs = all.filter(({ source }) => source === name).map((program) => program.name);
    const plan = await planOf(name);
    t.strictSame(Object.keys(plan?.programs ?? {}).sort(), programs.sort(), name);
    for (const { gives, since = '5.10' } of [
      ...Object.values(plan?.programs ?? {}),
      ...(plan?.features ?? []),
    ]) {
      t.match(gives, /^[a-zA-Z].*[^.]$/, 'completes "works without"');
      t.match(since, /^\d\.\d+$/);
    }
  }
});

const FACTS: Facts = {
  kernel: { release: '6.1.0-56-amd64', architecture: 'x86_64' },
  node: { version: '20.20.2' },
  btf: { path: '/sys/kernel/btf/vmlinux', bytes: 5 << 20 },
  tracefs: { path: '/sys/kernel/tracing', readable: true },
  cgroup2: { path: '/sys/fs/cgroup' },
  capabilities: { uid: 0, held: ['CAP_BPF'], missing: [] },
  lockdown: 'none',
  unprivilegedBpfDisabled: 2,
  memlock: { limitBytes: null, matters: false },
  libbpf: { version: '1.1', path: '/usr/lib/libbpf.so.1' },
  ringBuffer: true,
  kprobes: true,
  fentry: { possible: true, reason: null },
  jit: 1,
  bpfStats: 0,
  data: { directory: 'data', reason: null, collectorPid: null },
};

function program(name: string, more: Partial<SeenProgram> = {}): SeenProgram {
  return {
    program: name,
    attachType: 'tp_btf',
    hook: name,
    wanted: true,
    attached: true,
    obstacle: null,
    gives: `the ${name}`,
    since: '5.10',
    options: [],
    ...more,
  };
}

const missing = { attached: false, obstacle: { reason: 'no tracepoint', fix: null } } as const;
const unmounted = { attached: false, obstacle: { reason: 'no mount', fix: 'mount it' } } as const;

/** Two programs at all times, two more for -t. */
function source(programs: readonly SeenProgram[], more: Partial<SeenSource> = {}): SeenSource {
  return {
    source: 'thing',
    programs,
    features: [],
    demands: {
      '': { programs: ['main', 'side'], essential: ['main'] },
      time: { programs: ['clock', 'watch'], essential: ['main'] },
      http: { programs: [], essential: ['main'] },
    },
    refusal: null,
    ...more,
  };
}

const WHOLE = [program('main'), program('side'), program('clock'), program('watch')];

/** The whole source, with some of its programs in another state. */
const with_ = (states: Readonly<Record<string, Partial<SeenProgram>>>): SeenProgram[] =>
  WHOLE.map((one) => ({ ...one, ...states[one.program] }));

function judged(sources: readonly SeenSource[], more: Partial<Findings> = {}): Report {
  return judge({
    facts: FACTS,
    blockers: [],
    sources,
    options: [
      { name: 'time', flag: '-t, --time' },
      { name: 'http', flag: '-i, --http' },
      { name: 'netns', flag: '--netns <NAMES>' },
      { name: 'cgroup', flag: '--cgroup <PATH>' },
      { name: 'data', flag: '--data <DIR>' },
    ],
    tools: [
      { name: 'export', opensSources: false },
      { name: 'view', opensSources: true },
    ],
    judgesHost: true,
    ...more,
  });
}

t.test('where nothing is missing everything works', (t) => {
  const report = judged([source(WHOLE)]);
  t.equal(report.exitCode, 0);
  t.strictSame(
    new Set([...report.flags, ...report.tools].map(({ verdict }) => verdict)),
    new Set(['works']),
  );
  t.strictSame(
    report.tools.map(({ tool }) => tool),
    ['netwatch', 'export', 'view'],
  );
  t.end();
});

t.test('a missing program of an option costs the option what it gives, nothing else', (t) => {
  const report = judged([source(with_({ watch: { ...missing, since: '6.16' } }))]);
  const { verdict, without, fix } = flagOf(report, '-t');
  t.equal(verdict, 'degraded');
  t.match(without, [{ what: 'the watch', problem: { reason: 'no tracepoint' } }]);
  t.strictSame(fix, ['Linux 6.16 or newer']);
  t.equal(flagOf(report, '-i').verdict, 'works');
  t.equal(toolOf(report, 'netwatch').verdict, 'works');
  t.equal(report.exitCode, 0, 'the kernel cannot give it');
  t.end();
});

t.test('an option all of whose programs are missing cannot work', (t) => {
  const report = judged([source(with_({ clock: missing, watch: missing }))]);
  t.match(flagOf(report, '-t'), { verdict: 'cannot', problem: { reason: 'no tracepoint' } });
  t.equal(report.exitCode, 0, 'the rest works, and only another kernel helps');
  const fixable = judged([source(with_({ clock: unmounted, watch: unmounted }))]);
  t.match(flagOf(fixable, '-t'), { verdict: 'cannot', fix: ['mount it'] });
  t.equal(fixable.exitCode, 3);
  t.end();
});

t.test('without an essential program of the kernel nothing works', (t) => {
  const report = judged([source(with_({ main: missing })), source(WHOLE)]);
  t.equal(report.exitCode, 4);
  t.ok(report.flags.every(({ verdict }) => verdict === 'cannot'));
  t.equal(toolOf(report, 'export').verdict, 'works', 'files can still be read');
  t.end();
});

t.test('a source that could be fixed is left out, with the options that need it', (t) => {
  const other: SeenSource = {
    ...source([program('other')]),
    source: 'other',
    demands: { '': { programs: ['other'], essential: ['other'] } },
  };
  const report = judged([other, source(with_({ main: unmounted }))]);
  t.match(toolOf(report, 'netwatch'), {
    verdict: 'degraded',
    without: [{ what: 'thing records' }],
  });
  t.equal(flagOf(report, '-t').verdict, 'cannot');
  t.equal(flagOf(report, '-i').verdict, 'cannot', 'also an option that adds no program');
  t.equal(flagOf(report, '--netns').verdict, 'works');
  t.equal(report.exitCode, 3);
  t.end();
});

t.test('programs and features are missed by the options that they name', (t) => {
  const feature = (name: string, options: readonly string[]): SeenSource['features'][number] => ({
    needs: name,
    gives: `the ${name}`,
    since: '6.2',
    options,
    obstacle: missing.obstacle,
  });
  const programs = with_({ side: { ...missing, options: ['netns'] } });
  const features = [feature('always', []), feature('sometimes', ['time'])];
  const report = judged([source(programs, { features })]);
  const losses = (verdict: Report['flags'][number] | Report['tools'][number]): string[] =>
    verdict.without.map(({ what }) => what);
  t.strictSame(losses(toolOf(report, 'netwatch')), ['the side', 'the always']);
  t.strictSame(losses(flagOf(report, '--netns')), ['the side']);
  t.strictSame(losses(flagOf(report, '-t')), ['the sometimes']);
  t.strictSame(losses(flagOf(report, '-i')), []);
  t.end();
});

t.test('a command that opens a source is judged by what it asks of it', (t) => {
  const view = (programs: readonly SeenProgram[]): Report => {
    const demands = { [toolKey('view')]: { programs: ['main', 'watch'], essential: ['main'] } };
    return judged([source(WHOLE), { ...source(programs), source: 'view', demands }]);
  };
  t.equal(toolOf(view(WHOLE), 'view').verdict, 'works');
  t.match(toolOf(view(with_({ watch: missing })), 'view').without, [{ what: 'the watch' }]);
  const without = view(with_({ main: missing }));
  t.equal(toolOf(without, 'view').verdict, 'cannot');
  t.equal(without.exitCode, 0, 'the collector does not need it');
  t.equal(view(with_({ main: unmounted })).exitCode, 3);
  t.end();
});

t.test('what is not needed here is missed by nobody', (t) => {
  const spare = { wanted: false, attached: false } as const;
  const report = judged([source([...WHOLE, program('spare', spare)])]);
  t.ok(report.flags.every(({ verdict }) => verdict === 'works'));
  t.match(report.sources[0]?.programs.at(-1), { wanted: false, reason: 'not needed here' });
  t.end();
});

t.test('a refused source has one reason for all its programs', (t) => {
  const refusal = new NetwatchError({ code: 'system', what: 'cannot load x', reason: 'EPERM' });
  const report = judged([
    source(
      WHOLE.map((one) => ({ ...one, attached: false })),
      { refusal },
    ),
  ]);
  t.match(toolOf(report, 'netwatch'), {
    verdict: 'degraded',
    without: [{ what: 'thing records' }],
  });
  t.match(report.sources[0]?.programs[0], { reason: 'cannot load x: EPERM' });
  t.equal(report.exitCode, 3);
  t.end();
});

t.test('what blocks the collector blocks its options; the kernel is blamed first', (t) => {
  const right: Problem = { reason: 'need CAP_BPF', fault: 'environment', fix: 'use sudo' };
  const kernel: Problem = { reason: 'no BTF', fault: 'kernel', fix: 'another kernel' };
  const blocked = judged([], { blockers: [right] });
  t.equal(blocked.exitCode, 3);
  t.ok(blocked.flags.every(({ problem }) => problem?.reason === 'need CAP_BPF'));
  t.equal(toolOf(blocked, 'view').problem?.reason, 'need CAP_BPF', 'it opens a source');
  t.equal(toolOf(blocked, 'export').verdict, 'works');
  const both = judged([], { blockers: [right, kernel] });
  t.equal(both.exitCode, 4);
  t.match(toolOf(both, 'netwatch'), {
    problem: { reason: 'no BTF' },
    fix: ['another kernel', 'use sudo'],
  });
  t.end();
});

t.test('options that need something of the host are judged by the facts', (t) => {
  const facts: Facts = {
    ...FACTS,
    cgroup2: { path: null },
    data: { directory: 'x', reason: 'x cannot be written: EROFS', collectorPid: null },
  };
  const report = judged([source(WHOLE)], { facts });
  t.match(flagOf(report, '--cgroup'), { verdict: 'cannot', fix: [/mount -t cgroup2/] });
  t.match(flagOf(report, '--data'), { verdict: 'cannot', problem: { reason: /EROFS/ } });
  t.equal(report.exitCode, 3);
  t.equal(judged([source(WHOLE)], { facts, judgesHost: false }).exitCode, 0, '--no-load');
  t.end();
});

t.test('long texts are broken between words, never within one', (t) => {
  t.strictSame(fold('one two three', 7), ['one two', 'three']);
  t.strictSame(fold('immeasurable', 4), ['immeasurable']);
  t.strictSame(fold('', 4), ['']);
  t.end();
});

t.test('the text is aligned, marked and says what would fix what', (t) => {
  const report = judged([source(with_({ watch: { ...missing, since: '6.16' }, side: unmounted }))]);
  const text = renderReport(report, { colors: false });
  for (const line of text.split('\n')) t.ok(line.length <= 100, line);
  t.match(text, /^ {2}✓ kernel {10}Linux 6\.1\.0-56-amd64, x86_64$/m);
  t.match(text, /^ {2}✗ watch {2}tp_btf\/watch: no tracepoint \(Linux 6\.16 or newer\)$/m);
  t.match(
    text,
    /^ {2}– -t, --time +works without the watch: no tracepoint \(Linux 6\.16 or newer\)$/m,
  );
  t.match(text, /^ {2}– netwatch {2}works without the side: no mount \(mount it\)$/m);
  t.match(text, /^ {2}✓ 4 of them +-i --netns --cgroup --data: works$/m, 'a crowd shares a row');
  t.match(text, /\nnetwatch works here; .*\n$/);
  t.match(renderReport(judged([source(WHOLE)]), { colors: false }), /\nEverything works\.\n$/);
  t.end();
});

t.test('several losses are a list, and no reason is told twice', (t) => {
  const lost = {
    attached: false,
    since: '5.12',
    obstacle: { reason: 'needs Linux 5.12', fix: null },
  };
  const facts = { ...FACTS, kernel: { ...FACTS.kernel, release: '5.10' } };
  const report = judged([source(with_({ watch: lost, side: { ...missing, options: ['time'] } }))], {
    facts,
  });
  const text = renderReport(report, { colors: false });
  t.match(text, /works without\n +- the watch: needs Linux 5\.12\n +- the side: no tracepoint\n/);
  t.end();
});

t.test('colors are for terminals, and change nothing else', (t) => {
  const report = judged([source(with_({ watch: missing, main: unmounted }))]);
  const plain = renderReport(report, { colors: false });
  const colored = renderReport(report, { colors: true });
  t.ok(colored.includes('\x1b[31m✗\x1b[0m'));
  t.notOk(plain.includes('\x1b'));
  t.equal(stripVTControlCharacters(colored), plain);
  t.end();
});

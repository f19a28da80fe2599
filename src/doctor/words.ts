/** The report as text for a person. Pure. Part three of three: facts -> rules -> words. */
import type { Facts, Problem, ProgramFinding, Report, SourceFinding, Verdict } from './report.js';

export interface Looks {
  readonly colors: boolean;
}

const WIDTH = 100;

/** Codes of ECMA-48. Node's styleText looks at streams and variables in some versions only. */
const [BOLD, RED, GREEN, YELLOW] = [1, 31, 32, 33];

/** Works; works without something, or does not matter; cannot. */
const MARKS = { good: [GREEN, '✓'], so: [YELLOW, '–'], bad: [RED, '✗'] } as const;
type Mark = keyof typeof MARKS;

/** One row: a mark, a name, and what there is to say. */
interface Row {
  readonly mark: Mark;
  readonly name: string;
  readonly text: string;
}

const MARK_OF = { works: 'good', degraded: 'so', cannot: 'bad' } as const;

function paint(text: string, code: number, { colors }: Looks): string {
  return colors ? `\x1b[${code}m${text}\x1b[0m` : text;
}

const heading = (text: string, looks: Looks): string => paint(text, BOLD, looks);

/** Breaks a text between words into lines of at most `width`. */
export function fold(text: string, width: number): string[] {
  const lines: string[] = [];
  for (const word of text.split(' ')) {
    const line = lines.at(-1);
    if (line !== undefined && line.length + 1 + word.length <= width)
      lines[lines.length - 1] = `${line} ${word}`;
    else lines.push(word);
  }
  return lines;
}

function renderRow({ mark, name, text }: Row, nameWidth: number, looks: Looks): string {
  const [color, sign] = MARKS[mark];
  const indent = ' '.repeat('  ✓ '.length + nameWidth);
  const lines = text.split('\n').flatMap((line) => fold(line, WIDTH - indent.length));
  return `  ${paint(sign, color, looks)} ${name.padEnd(nameWidth)}${lines.join(`\n${indent}`)}`;
}

function renderRows(rows: readonly Row[], looks: Looks): string[] {
  const width = Math.max(...rows.map(({ name }) => name.length)) + 2;
  return rows.map((row) => renderRow(row, width, looks));
}

const megabytes = (bytes: number): string => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
const yesOr = (good: boolean): Mark => (good ? 'good' : 'bad');

function capabilityText({ uid, held, missing }: Facts['capabilities']): string {
  const essential = missing.filter((one) => one.essential);
  const shown = essential.length > 0 ? essential : missing;
  const list = shown.map(({ name, purpose }) => `${name} (${purpose})`).join(', ');
  const has = held.length === 0 ? 'none' : held.join(' ');
  return `uid ${uid}: ${has}${list === '' ? '' : `; without ${list}`}`;
}

function memlockRow({ limitBytes, matters }: Facts['memlock']): Row {
  const limit = limitBytes === null ? 'unlimited' : `at most ${megabytes(limitBytes)}`;
  const counts =
    matters === null ? '' : matters ? '; maps count against it' : '; maps do not count against it';
  const mark = matters === true && limitBytes !== null ? 'so' : 'good';
  return { mark, name: 'locked memory', text: `${limit}${counts}` };
}

function libbpfRow({ version, path }: Facts['libbpf']): Row {
  const text = version === null ? 'cannot be used' : `${version}, ${path ?? 'from nowhere'}`;
  return { mark: yesOr(version !== null), name: 'libbpf', text };
}

function dataRow({ directory, reason, collectorPid }: Facts['data']): Row {
  const running = collectorPid === null ? '' : `; a collector runs there, pid ${collectorPid}`;
  const text = `${reason ?? `${directory} can be written`}${running}`;
  return { mark: yesOr(reason === null), name: 'data directory', text };
}

/** Facts that no verdict hangs on are never bad. */
function sideRows(facts: Facts): Row[] {
  const { lockdown, unprivilegedBpfDisabled, kprobes, fentry, jit, bpfStats } = facts;
  const known = (value: string | number | null): string => `${value ?? 'unknown'}`;
  const fentryText = fentry.possible === null ? 'not tried' : (fentry.reason ?? 'can be attached');
  const on = (is: boolean | null): Mark => (is === true ? 'good' : 'so');
  return [
    { mark: on(kprobes), name: 'kprobes', text: kprobes ? 'there' : 'not in this kernel' },
    { mark: on(fentry.possible), name: 'fentry', text: fentryText },
    { mark: on(jit !== 0), name: 'JIT', text: jit === 0 ? 'off: programs are slow' : 'on' },
    {
      mark: on(lockdown === 'none' || lockdown === null),
      name: 'lockdown',
      text: known(lockdown),
    },
    {
      mark: 'good',
      name: 'sysctls',
      text: `kernel.unprivileged_bpf_disabled ${known(unprivilegedBpfDisabled)}, kernel.bpf_stats_enabled ${known(bpfStats)}`,
    },
  ];
}

function factRows(facts: Facts): Row[] {
  const { kernel, node, btf, tracefs, cgroup2, capabilities, ringBuffer } = facts;
  const hasBtf = btf.bytes !== null && btf.bytes > 0;
  const essential = capabilities.missing.some((one) => one.essential);
  const tracefsText = `${tracefs.path ?? 'not mounted'}${tracefs.readable ? '' : ', cannot be read'}`;
  return [
    { mark: 'good', name: 'kernel', text: `Linux ${kernel.release}, ${kernel.architecture}` },
    { mark: 'good', name: 'Node.js', text: node.version },
    libbpfRow(facts.libbpf),
    {
      mark: yesOr(hasBtf),
      name: 'BTF',
      text: hasBtf ? `${btf.path}, ${megabytes(btf.bytes)}` : `${btf.path} is missing or empty`,
    },
    {
      mark: ringBuffer === null ? 'so' : yesOr(ringBuffer),
      name: 'ring buffer',
      text: ringBuffer === null ? 'not known' : ringBuffer ? 'there' : 'not in this kernel',
    },
    { mark: tracefs.readable ? 'good' : 'so', name: 'tracefs', text: tracefsText },
    {
      mark: yesOr(cgroup2.path !== null),
      name: 'cgroup v2',
      text: cgroup2.path ?? 'not mounted',
    },
    { mark: yesOr(!essential), name: 'capabilities', text: capabilityText(capabilities) },
    memlockRow(facts.memlock),
    dataRow(facts.data),
    ...sideRows(facts),
  ];
}

/** Not where the reason names the kernel that is needed. */
const remedy = ({ reason, fix }: Problem): string =>
  fix === null || / Linux \d/.test(reason) ? '' : ` (${fix})`;

const explain = (problem: Problem): string => `${problem.reason}${remedy(problem)}`;

function programRow({ program, attachType, hook, ...rest }: ProgramFinding): Row {
  const { wanted, attached, reason, problem } = rest;
  const place = `${attachType}/${hook}`;
  if (!wanted) return { mark: 'so', name: program, text: `${place}: ${reason ?? ''}` };
  if (problem !== null)
    return { mark: 'bad', name: program, text: `${place}: ${explain(problem)}` };
  const asked = attached === null ? ': not tried' : '';
  return { mark: attached === null ? 'so' : 'good', name: program, text: `${place}${asked}` };
}

function sourceLines({ source, programs, features }: SourceFinding, looks: Looks): string[] {
  const missing = features.flatMap(({ needs, problem, gives }): Row[] =>
    problem === null
      ? []
      : [{ mark: 'so', name: needs, text: `missing${remedy(problem)}: without ${gives}` }],
  );
  return [
    heading(`Source ${source}`, looks),
    ...renderRows([...programs.map(programRow), ...missing], looks),
  ];
}

/** What there is to say about a verdict. */
function verdictText({ verdict, without, problem, fix }: Verdict): string {
  if (verdict === 'works') return 'works';
  if (problem !== null) {
    const fixes = fix.filter((one) => !problem.reason.includes(one.replace(' or newer', '')));
    return `cannot: ${problem.reason}${fixes.length === 0 ? '' : `; to fix it: ${fixes.join('; ')}`}`;
  }
  const losses = without.map((loss) => `${loss.what}: ${explain(loss.problem)}`);
  return losses.length === 1
    ? `works without ${losses.join('')}`
    : ['works without', ...losses.map((loss) => `- ${loss}`)].join('\n');
}

interface Named extends Verdict {
  /** As help shows it. */
  readonly name: string;
}

/** So many of which the same is said share a row. */
const CROWD = 4;

/** `-t` of `-t, --time`, `--data` of `--data <DIR>`. */
const shortName = (name: string): string => /^[^ ,]+/.exec(name)?.[0] ?? name;

function verdictRows(verdicts: readonly Named[]): Row[] {
  const groups = new Map<string, Named[]>();
  for (const one of verdicts) {
    const text = verdictText(one);
    groups.set(text, [...(groups.get(text) ?? []), one]);
  }
  return [...groups].flatMap(([text, group]) => {
    const rows = group.map(({ name, verdict }) => ({ mark: MARK_OF[verdict], name, text }));
    const [first] = rows;
    if (first === undefined || rows.length < CROWD) return rows;
    const names = rows.map(({ name }) => shortName(name)).join(' ');
    return [{ mark: first.mark, name: `${rows.length} of them`, text: `${names}: ${text}` }];
  });
}

function conclusion({ exitCode, tools, flags }: Report): string {
  if (exitCode === 4) return 'netwatch cannot run on this kernel.';
  if (exitCode === 3)
    return 'Something cannot work as this machine is set up; how to fix it is shown above.';
  return [...tools, ...flags].every(({ verdict }) => verdict === 'works')
    ? 'Everything works.'
    : 'netwatch works here; what it is without takes another kernel.';
}

/** The whole report; ends in a line feed. */
export function renderReport(report: Report, looks: Looks): string {
  const { facts, sources, tools, flags } = report;
  const lines = [
    heading('This machine', looks),
    ...renderRows(factRows(facts), looks),
    ...sources.flatMap((source) => ['', ...sourceLines(source, looks)]),
    '',
    heading('Commands', looks),
    ...renderRows(verdictRows(tools.map((one) => ({ ...one, name: one.tool }))), looks),
    '',
    heading('Options of netwatch', looks),
    ...renderRows(verdictRows(flags.map((one) => ({ ...one, name: one.flag }))), looks),
    '',
    conclusion(report),
  ];
  return `${lines.join('\n')}\n`;
}

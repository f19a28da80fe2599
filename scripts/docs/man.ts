/**
 * The man pages: netwatch(8) with the overview and the collector, and for every command a page of its
 * own, netwatch-NAME(8).
 */
import { symptomTable } from '../../src/symptoms.js';
import { FAMILIES, FAMILY_NAMES, familyOf, type FamilyFile } from '../../src/metrics/families.js';
import type { CommandModel, OptionModel, ProgramModel } from './model.js';
import { bold, escape, italic, item, paragraphs, section, subsection, verbatim } from './roff.js';

const FILES: readonly (readonly [path: string, text: string])[] = [
  [
    'connects.log',
    'Connections: who, from where, to where; with -x and -r their state as it changes.',
  ],
  [
    'packets.log',
    'Packets: a line for each; the value is its payload, the times are microseconds.',
  ],
  ['err.log', 'With -e: drops and resets, with the reason that the kernel gives.'],
  [
    'netwatch.prom',
    'Totals without timestamps, replaced in every interval, for the endpoint and for the textfile collector of node_exporter.',
  ],
  ['TOOL.prom', 'The counters of a tool, with its --data.'],
  [
    '.netwatch.lock',
    'Which collector writes into this directory; .TOOL.lock: which run of a tool.',
  ],
  ['/etc/default/netwatch', 'Options of the systemd units.'],
];

const EXITS: readonly (readonly [code: string, text: string])[] = [
  ['0', 'Ended by a signal, by --duration, or because the reader of the table went away.'],
  ['1', 'A bug, with its stack.'],
  ['2', 'Wrong options.'],
  ['3', 'The machine or its files are not as needed.'],
  ['4', 'The kernel refused something.'],
];

/** Where families are found, in the order of the page. */
const PLACES: Readonly<Record<FamilyFile, string>> = {
  prom: 'netwatch.prom',
  connects: 'connects.log, and netwatch.prom with -x',
  packets: 'packets.log',
  requests: 'requests.log',
  err: 'err.log',
  endpoint: '/metrics only',
};

function option({ names, value, description }: OptionModel): string {
  const term = names.map(bold).join(', ') + (value === null ? '' : ` ${italic(value)}`);
  return item(term, escape(description));
}

function optionGroups(options: readonly OptionModel[]): string[] {
  const groups = [...new Set(options.map(({ group }) => group))];
  return groups.map((group) =>
    subsection(
      group.replace(/:$/, ''),
      ...options.filter((candidate) => candidate.group === group).map(option),
    ),
  );
}

/** `netwatch tcplife`. */
const commandLine = (name: string): string => (name === '' ? 'netwatch' : `netwatch ${name}`);
const pageName = (name: string): string => (name === '' ? 'netwatch' : `netwatch-${name}`);
const reference = (page: string, part = 8): string => `.BR ${escape(page)} (${part})`;

function synopsis({ name, usage }: CommandModel): string {
  const line = commandLine(name);
  return `${bold(line)}${escape(usage.slice(line.length))}`;
}

/** Without hyphens and filled lines: names of pages and options stay whole. */
const title = (name: string, version: string): string =>
  `.TH ${escape(pageName(name).toUpperCase())} 8 "" "netwatch ${version}" "System Administration"\n.nh\n.ad l`;

const seeAlso = (references: readonly string[]): string =>
  section('SEE ALSO', references.join(',\n'));

/** The commands under their headings, as help has them. */
function commands(tools: readonly CommandModel[]): string[] {
  const groups = [...new Set(tools.map(({ group }) => group))];
  return groups.map((group) =>
    subsection(
      group.replace(/:$/, ''),
      ...tools
        .filter((tool) => tool.group === group)
        .map(({ name, summary }) => `.TP\n${reference(pageName(name))}\n${escape(summary)}`),
    ),
  );
}

function metrics(): string[] {
  const places = Object.keys(PLACES) as FamilyFile[];
  return places.flatMap((place) => {
    const names = FAMILY_NAMES.filter((name) => FAMILIES[name].file === place);
    const items = names.map((name) => {
      const { type, labels, optional, help } = familyOf(name);
      const all = [...labels, ...optional.map((label) => `[${label}]`)].join(', ');
      return item(
        `${bold(name)} ${escape(`(${type})${all === '' ? '' : ` {${all}}`}`)}`,
        escape(help),
      );
    });
    return items.length === 0 ? [] : [subsection(PLACES[place], ...items)];
  });
}

const list = (entries: readonly (readonly [string, string])[]): string[] =>
  entries.map(([term, text]) => item(bold(term), escape(text)));

/** netwatch(8) as man(7) source. */
function overviewPage(program: ProgramModel): string {
  const { version, description, options, tools, examples } = program;
  return [
    title('', version),
    section('NAME', 'netwatch \\- watch TCP from inside the kernel'),
    section(
      'SYNOPSIS',
      `${bold('netwatch')} [options]`,
      '.br',
      `${bold('netwatch')} ${italic('command')} [options]`,
    ),
    section(
      'DESCRIPTION',
      paragraphs(`${description}\n\n${INTRODUCTION}`),
      paragraphs(
        'Without a command it is the collector, which needs root or the capabilities CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN and CAP_DAC_READ_SEARCH. It ends in order at SIGINT or SIGTERM, and at once at the second one. Without a terminal SIGHUP opens the log files anew.',
      ),
    ),
    section('WHICH COMMAND', verbatim(symptomTable().trimEnd())),
    section('OPTIONS', ...optionGroups(options)),
    section('COMMANDS', ...commands(tools)),
    section('FILES', ...list(FILES)),
    section('METRICS', ...metrics()),
    section('EXIT STATUS', ...list(EXITS)),
    section('EXAMPLES', verbatim(examples)),
    seeAlso([
      ...tools.map(({ name }) => reference(pageName(name))),
      ...['ss', 'tcpdump', 'bpftool'].map((name) => reference(name)),
      reference('systemctl', 1),
    ]),
    '',
  ].join('\n');
}

/** netwatch-NAME(8). */
function commandPage(model: CommandModel, { version, tools }: ProgramModel): string {
  const { name, summary, description, options, notes, examples } = model;
  const siblings = tools.filter((tool) => tool.group === model.group && tool !== model);
  return [
    title(name, version),
    section('NAME', `${escape(pageName(name))} \\- ${escape(summary)}`),
    section('SYNOPSIS', synopsis(model)),
    section('DESCRIPTION', paragraphs(description), ...(notes === '' ? [] : [verbatim(notes)])),
    section(
      'OPTIONS',
      ...model.arguments.map((argument) =>
        item(italic(argument.name), escape(argument.description)),
      ),
      ...options.map(option),
    ),
    section('EXIT STATUS', `As of\n${reference('netwatch')}.`),
    ...(examples === '' ? [] : [section('EXAMPLES', verbatim(examples))]),
    seeAlso(
      [pageName(''), ...siblings.map((tool) => pageName(tool.name))].map((page) => reference(page)),
    ),
    '',
  ].join('\n');
}

/** All pages, by file name. */
export function manPages(program: ProgramModel): ReadonlyMap<string, string> {
  return new Map([
    ['netwatch.8', overviewPage(program)],
    ...program.tools.map(
      (tool) => [`${pageName(tool.name)}.8`, commandPage(tool, program)] as const,
    ),
  ]);
}

const INTRODUCTION =
  'Every connection, every packet with the time it spent in each layer, HTTP/1 requests, retransmits by cause, drops and resets with the reason that the kernel gives. It needs no compiler and no kernel headers: its hooks are tracepoints, cgroup programs and iterators of eBPF, and functions where an older kernel has no tracepoint.';

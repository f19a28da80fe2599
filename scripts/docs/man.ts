/** The man page netwatch(8): the collector and its tools on one page. */
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
  ['.netwatch.lock', 'Which collector writes into this directory.'],
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

function tool(model: CommandModel): string {
  return subsection(
    model.usage,
    paragraphs(model.description),
    ...model.arguments.map(({ name, description }) => item(italic(name), escape(description))),
    ...model.options.map(option),
    ...(model.notes === '' ? [] : [verbatim(model.notes)]),
    ...(model.examples === '' ? [] : [verbatim(model.examples)]),
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

/** The page as man(7) source. */
export function manPage(program: ProgramModel): string {
  const { version, description, options, tools, usage, examples } = program;
  const synopsis = [usage, ...tools.map((model) => model.usage)].flatMap((line, index) => [
    ...(index === 0 ? [] : ['.br']),
    escape(line).replace(/^netwatch( [a-z]+)?/, (words) => `\\fB${words}\\fR`),
  ]);
  return [
    `.TH NETWATCH 8 "" "netwatch ${version}" "System Administration"`,
    section('NAME', 'netwatch \\- watch TCP from inside the kernel'),
    section('SYNOPSIS', ...synopsis),
    section(
      'DESCRIPTION',
      paragraphs(`${description}\n\n${INTRODUCTION}`),
      paragraphs(
        'Without a tool it is the collector, which needs root or the capabilities CAP_BPF, CAP_PERFMON, CAP_NET_ADMIN and CAP_DAC_READ_SEARCH. It ends in order at SIGINT or SIGTERM, and at once at the second one. Without a terminal SIGHUP opens the log files anew.',
      ),
    ),
    section('OPTIONS', ...optionGroups(options)),
    section('TOOLS', ...tools.map(tool)),
    section('FILES', ...list(FILES)),
    section('METRICS', ...metrics()),
    section('EXIT STATUS', ...list(EXITS)),
    section('EXAMPLES', verbatim(examples)),
    section('SEE ALSO', '.BR ss (8),\n.BR tcpdump (8),\n.BR bpftool (8),\n.BR systemctl (1)'),
    '',
  ].join('\n');
}

const INTRODUCTION =
  'Every connection, every packet with the time it spent in each layer, HTTP/1 requests, retransmits by cause, drops and resets with the reason that the kernel gives. All hooks are tracepoints, cgroup programs and iterators of eBPF.';

/** The table of docs/kernels.md: kernel × program × how it is attached, from what `netwatch doctor` finds. */

/** The part of `netwatch doctor -o json` that the table shows. */
export interface DoctorReport {
  readonly sources: readonly {
    readonly source: string;
    readonly programs: readonly {
      readonly program: string;
      readonly attachType: string;
      /** False: another one does its work on this kernel. */
      readonly wanted: boolean;
      readonly attached: boolean | null;
    }[];
  }[];
}

/** By name of the kernel, oldest first. */
export type Matrix = Readonly<Record<string, DoctorReport>>;

const MARKERS = ['<!-- kernels -->', '<!-- /kernels -->'] as const;

const UNATTACHED = '–';
const NOT_NEEDED = '';

interface Row {
  readonly source: string;
  readonly programs: string[];
  /** One for each kernel. */
  readonly cells: readonly string[];
}

/** Programs of a source that fare alike on every kernel share a row. */
function rows(matrix: Matrix): Row[] {
  const reports = Object.values(matrix);
  const found = new Map<string, Row>();
  const names = new Map<string, readonly [source: string, program: string]>();
  for (const { sources } of reports)
    for (const { source, programs } of sources)
      for (const { program } of programs) names.set(`${source} ${program}`, [source, program]);
  for (const [source, program] of names.values()) {
    const cells = reports.map((report) => cellOf(report, source, program));
    const key = [source, ...cells].join('|');
    const row = found.get(key);
    if (row === undefined) found.set(key, { source, programs: [program], cells });
    else row.programs.push(program);
  }
  return [...found.values()].sort((a, b) =>
    a.source < b.source ? -1 : a.source > b.source ? 1 : 0,
  );
}

function cellOf({ sources }: DoctorReport, source: string, program: string): string {
  const state = sources
    .find((other) => other.source === source)
    ?.programs.find((other) => other.program === program);
  if (state === undefined || !state.wanted) return NOT_NEEDED;
  return state.attached === true ? state.attachType : UNATTACHED;
}

/** As Markdown, with its last newline. */
export function renderTable(matrix: Matrix): string {
  const kernels = Object.keys(matrix);
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |\n`;
  return [
    line(['source', 'programs', ...kernels]),
    `|${'---|'.repeat(2 + kernels.length)}\n`,
    ...rows(matrix).map(({ source, programs, cells }) =>
      line([source, programs.map((name) => `\`${name}\``).join(', '), ...cells]),
    ),
  ].join('');
}

/** A text with the table between its markers; null if it has no markers. */
export function withTable(text: string, table: string): string | null {
  const [begin, end] = MARKERS;
  const from = text.indexOf(begin);
  const to = text.indexOf(end);
  if (from < 0 || to < from) return null;
  return `${text.slice(0, from + begin.length)}\n\n${table}\n${text.slice(to)}`;
}

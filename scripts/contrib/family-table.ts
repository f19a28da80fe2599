/** The table of all metric families in docs/files-and-metrics.md, between its markers. */
import { FAMILIES, type Family, type FamilyFile } from '../../src/metrics/families.js';

const BEGIN = '<!-- families -->';
const END = '<!-- /families -->';

/** In the order in which the table shows them. */
const FILES: Readonly<Record<FamilyFile, string>> = {
  connects: 'connects.log',
  packets: 'packets.log',
  requests: 'requests.log',
  err: 'err.log',
  prom: '*.prom',
  endpoint: 'the endpoint alone',
};

function row([name, { type, labels, optional, help }]: readonly [string, Family]): string {
  const words = [...labels, ...optional.map((label) => `${label}?`)].map((label) => `\`${label}\``);
  return `| \`${name}\` | ${type} | ${words.join(', ')} | ${help} |`;
}

function tableOf(file: FamilyFile, title: string): string {
  const rows = Object.entries<Family>(FAMILIES).filter(([, family]) => family.file === file);
  return [
    `**${title}**`,
    '',
    '| family | type | labels (`?`: may be absent) | what |',
    '|---|---|---|---|',
    ...rows.map(row),
    '',
  ].join('\n');
}

/** The document with a fresh table. Throws if the markers are missing. */
export function withFamilyTable(text: string): string {
  const [before, rest] = text.split(BEGIN);
  const after = rest?.split(END)[1];
  if (before === undefined || after === undefined)
    throw new Error(`no place for the table of families: ${BEGIN} ${END}`);
  const tables = Object.entries(FILES).map(([file, title]) => tableOf(file as FamilyFile, title));
  return `${before}${BEGIN}\n\n${tables.join('\n')}\n${END}${after}`;
}

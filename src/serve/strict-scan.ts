/**
 * The strict parser's verdict on a file, for all that scan.ts cannot judge: unusual spelling,
 * unusual families, and what is wrong. 5 us a line.
 */
import { ExpositionParser, readExposition, type ParseRules } from '../metrics/parse.js';
import type { Sample } from '../metrics/sample.js';
import { quoteLabel } from '../metrics/text.js';
import type { Bytes } from './file-bytes.js';
import type { FamilyPart, ScanResult } from './scan.js';

/** Of node_exporter's textfile collector: families may be interleaved, or have no header. */
const TEXTFILE_RULES: ParseRules = {
  timestamps: 'forbid',
  grouped: false,
  unique: true,
  documented: false,
  asScraped: true,
};

/** Each line becomes objects of a kilobyte, and the worker's heap has an end. */
const MOST_BYTES = 16 << 20;

interface FamilyLines {
  readonly part: FamilyPart;
  readonly lines: string[];
}

/** The scan of a file, its lines spelled as everybody spells them; or the first thing wrong. */
export function strictScan(bytes: Bytes): ScanResult {
  if (bytes.length > MOST_BYTES) {
    return {
      ok: false,
      error: 'it is larger than 16 MiB and not in the plain form that can be checked quickly',
    };
  }
  const found = new Map<string, FamilyLines>();
  const parser = new ExpositionParser(TEXTFILE_RULES, (sample, _, { name }) => {
    let family = found.get(name);
    if (family === undefined) {
      const part = { name, type: null, help: null, isIncomplete: false, ranges: [] };
      found.set(name, (family = { part, lines: [] }));
    }
    family.lines.push(spell(sample));
  });
  const [issue] = readExposition(bytes.subarray(0, bytes.length), parser, { toFirstIssue: true });
  if (issue !== undefined) {
    const { line, message } = issue;
    return { ok: false, error: line === 0 ? message : `line ${line}: ${message}` };
  }
  for (const { name, type, help, isIncomplete } of parser.families.values()) {
    const part = found.get(name)?.part;
    if (part !== undefined) Object.assign(part, { type, help, isIncomplete });
  }
  return { ok: true, scan: layOut(found) };
}

/** `name{a="x",b="y"} 1` with a newline; an empty value is an absent label. */
function spell({ name, labels, valueText }: Sample): string {
  const shown = labels.filter(([, value]) => value !== '');
  const text = shown.map(([label, value]) => `${label}="${quoteLabel(value)}"`).join(',');
  return `${name}${text === '' ? '' : `{${text}}`} ${valueText}\n`;
}

function layOut(found: ReadonlyMap<string, FamilyLines>): {
  bytes: Buffer;
  families: ReadonlyMap<string, FamilyPart>;
} {
  const blocks: Buffer[] = [];
  const families = new Map<string, FamilyPart>();
  let at = 0;
  for (const [name, { part, lines }] of found) {
    const block = Buffer.from(lines.join(''));
    blocks.push(block);
    part.ranges.push(at, (at += block.length));
    families.set(name, part);
  }
  return { bytes: Buffer.concat(blocks), families };
}

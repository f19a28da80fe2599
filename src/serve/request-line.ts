/** A line of requests.log as the page's endpoint needs it. */
import { ExpositionError, parseSample } from '../metrics/sample.js';
import { routeOf } from '../http/route.js';
import { BEYOND, PARTS, SIDES, type Side } from '../sources/exchange.js';
import type { PartSeconds } from './types.js';

/** A request that has ended. */
export interface SeenRequest {
  readonly endMs: number;
  readonly side: Side;
  readonly method: string;
  readonly path: string | null;
  readonly route: string | null;
  /** Empty: no response. */
  readonly status: string;
  readonly outcome: string;
  /** Empty: it did not fail. */
  readonly errorType: string;
  readonly process: string | null;
  readonly sock: string;
  readonly src: string;
  readonly dst: string;
  /** Of the server. */
  readonly port: string;
  readonly seconds: number;
  /** In the order of `PARTS`. */
  readonly parts: readonly (number | null)[];
  readonly inside: PartSeconds;
  readonly retransmits: number;
}

const FAMILY = 'netwatch_http_exchange_seconds';
const HEAD = `${FAMILY}{`;
/** Milliseconds of our time; of a torn line they are fewer. */
const VALUE_AND_TIME = /^(\S+) (\d{13})$/;
const FIRST_CLIENT_ERROR = 400;
const FIRST_SERVER_ERROR = 500;
const ANSWERED = 'answered';

interface Fields {
  /** The value of a label; null: it is not there. */
  readonly label: (name: string) => string | null;
  readonly seconds: number;
  readonly endMs: number;
}

/** The fast way; a backslash in a label asks for the strict one. Null: no such line. */
function fieldsOf(line: string): Fields | null {
  if (!line.startsWith(HEAD)) return null;
  const end = line.lastIndexOf('"} ');
  if (end < 0) return null;
  if (line.includes('\\')) return strictFields(line);
  const [, seconds, endMs] = VALUE_AND_TIME.exec(line.slice(end + 3)) ?? [];
  // No value holds a quote, so that what is found is the label itself.
  const label = (name: string): string | null => {
    const found = line.indexOf(`${name}="`, HEAD.length);
    if (found < 0) return null;
    const before = line[found - 1];
    if (before !== ',' && before !== '{') return null;
    const from = found + name.length + 2;
    return line.slice(from, line.indexOf('"', from));
  };
  return { label, seconds: Number(seconds), endMs: Number(endMs) };
}

function strictFields(line: string): Fields | null {
  try {
    const { labels, value, timestampMs } = parseSample(line);
    const byName = new Map(labels);
    const label = (name: string): string | null => byName.get(name) ?? null;
    return { label, seconds: value, endMs: timestampMs ?? NaN };
  } catch (error) {
    if (error instanceof ExpositionError) return null;
    throw error;
  }
}

const labelOf = ({ name }: { readonly name: string }): string => `${name}_seconds`;

/** Labels of the parts of a side, and of what is inside of them or behind the end. */
const LABELS: Readonly<
  Record<Side, { readonly parts: readonly string[]; readonly inside: readonly string[] }>
> = { server: labelsOf('server'), client: labelsOf('client') };

function labelsOf(side: Side): (typeof LABELS)[Side] {
  const inside = [...PARTS[side].flatMap((part) => part.inside), ...BEYOND[side]];
  return { parts: PARTS[side].map(labelOf), inside: inside.map(labelOf) };
}

/** What took no time is left out: most of it, as a rule. */
function insideOf({ label }: Fields, names: readonly string[]): PartSeconds {
  const found: Record<string, number> = {};
  for (const name of names) {
    const text = label(name);
    if (text !== null && text !== '0') found[name.slice(0, -'_seconds'.length)] = Number(text);
  }
  return found;
}

/** As `error_type` of http_*_request_duration_seconds. */
function errorOf(side: Side, outcome: string, status: string): string {
  if (outcome !== ANSWERED) return outcome;
  const first = side === 'server' ? FIRST_SERVER_ERROR : FIRST_CLIENT_ERROR;
  return Number(status) >= first ? status : '';
}

const portOf = (end: string): string => end.slice(end.lastIndexOf(':') + 1);

/** Null: no line of a request, or a torn one. `routeOfPath`: of masked paths. */
export function readRequest(
  line: string,
  routeOfPath: (path: string) => string = routeOf,
): SeenRequest | null {
  const fields = fieldsOf(line);
  if (fields === null) return null;
  const { label, seconds, endMs } = fields;
  const text = (name: string): string => label(name) ?? '';
  const asked = text('side');
  const side = SIDES.find((one) => one === asked);
  if (side === undefined || !Number.isFinite(seconds) || !Number.isFinite(endMs)) return null;
  const path = label('url_path');
  const [status, outcome] = [text('http_response_status_code'), text('outcome')];
  const [src, dst] = [text('src'), text('dst')];
  const { parts, inside } = LABELS[side];
  return {
    ...{ endMs, side, path, status, outcome, src, dst, seconds },
    method: text('http_request_method'),
    route: path === null ? null : routeOfPath(path),
    errorType: errorOf(side, outcome, status),
    process: label('process'),
    sock: text('sock'),
    port: portOf(side === 'server' ? src : dst),
    parts: parts.map((name) => numberOf(label(name))),
    inside: insideOf(fields, inside),
    retransmits: Number(text('retransmits')),
  };
}

const numberOf = (text: string | null): number | null => (text === null ? null : Number(text));

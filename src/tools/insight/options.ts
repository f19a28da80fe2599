/** The options of tcp-insight, as they are typed and what they mean. Pure. */
import { InvalidArgumentError } from 'commander';
import { EITHER_PORT, LOCAL_PORT, PEER_PORT } from '../../cli/ends.js';
import { FAMILY } from '../../cli/family.js';
import { option } from '../../cli/options.js';
import * as parse from '../../cli/parse.js';
import type { InsightOptions, Range } from '../../sources/insight.js';
import type { Scope } from '../../terminal/common.js';
import { filterOf } from '../../terminal/tool-options.js';
import type { ToolOptions } from '../../terminal/watching-tool.js';
import { NetwatchError } from '../../failure.js';
import { ALL_EVENTS, EVENT_NAMES, parseMask } from '../../sources/insight-events.js';
import { parseState, STATES } from '../../sources/tcp-states.js';

const RING_BYTES = 1 << 23;
const MAX_U32 = 0xffff_ffff;

function mask(text: string): number {
  const value = parseMask(text);
  if (value !== null) return value;
  throw new InvalidArgumentError(
    `It should be a mask from 1 to 0xFFFF, or names such as CONNECT,CLOSE: ${EVENT_NAMES.join(' ')}.`,
  );
}

function state(text: string): number {
  const value = parseState(text);
  if (value !== null) return value;
  throw new InvalidArgumentError(
    `It should be a number from 1 to ${STATES.length} or a name: ${STATES.join(' ')}.`,
  );
}

/** A whole number, 0 or more. */
function limit(most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (/^\d+$/.test(text) && value <= most) return value;
    throw new InvalidArgumentError(`It should be a whole number from 0 to ${most}.`);
  };
}

/** The longest that nanoseconds in 64 bits and a double can hold: 104 days. */
const MAX_MS = 9_007_199_254;

const DURATION = { parse: limit(MAX_MS) };
const BYTES = { parse: limit(Number.MAX_SAFE_INTEGER) };
const RTT = { parse: limit(MAX_U32) };

/** All of tcp-insight's options, in the order of its help. */
export const OPTIONS = {
  ...option('-p, --pid <PIDS>', 'process ids', { parse: parse.pids }),
  ...option('-c, --comm <TEXT>', 'process names (their first 15 characters) that hold this text', {
    parse: parse.name,
  }),
  ...option('-s, --saddr <ADDRESSES>', "the socket's own addresses or prefixes", {
    parse: parse.addresses,
  }),
  ...option('-d, --daddr <ADDRESSES>', "the other end's addresses or prefixes", {
    parse: parse.addresses,
  }),
  ...LOCAL_PORT,
  ...PEER_PORT,
  ...EITHER_PORT,
  ...FAMILY,
  ...option('-e, --events <MASK>', 'which events: a mask, or names separated by commas', {
    parse: mask,
    default: ALL_EVENTS,
    shownDefault: 'all',
  }),
  ...option('--min-duration <MS>', 'connections at least so old', DURATION),
  ...option('--max-duration <MS>', 'connections at most so old', DURATION),
  ...option('--min-bytes <N>', 'events of at least so many bytes', BYTES),
  ...option('--max-bytes <N>', 'events of at most so many bytes', BYTES),
  ...option('--min-rtt <US>', 'sockets whose round-trip time is at least this', RTT),
  ...option('--max-rtt <US>', 'sockets whose round-trip time is at most this', RTT),
  ...option('-S, --state <STATE>', 'sockets in this state, by name or number', { parse: state }),
  ...option('-t, --timestamp', 'show the time'),
  ...option('-T, --stats', 'show statistics at the end'),
};
export type TypedOptions = ToolOptions<typeof OPTIONS>;

function range(name: string, min: number | undefined, max: number | undefined): Range {
  if (min !== undefined && max !== undefined && min > max)
    throw new NetwatchError({
      code: 'usage',
      message: `--min-${name} ${min} is more than --max-${name} ${max}`,
      next: 'exchange the two',
    });
  return { min: min ?? null, max: max ?? null };
}

/** What the source is to do. Throws NetwatchError for a range that is the wrong way round. */
export function insightOptions(typed: TypedOptions, scope: Scope): InsightOptions {
  return {
    filter: filterOf(scope, typed, { isCommPart: true }),
    events: typed.events,
    state: typed.state ?? 0,
    durationMs: range('duration', typed.minDuration, typed.maxDuration),
    bytes: range('bytes', typed.minBytes, typed.maxBytes),
    rttUs: range('rtt', typed.minRtt, typed.maxRtt),
    statistics: typed.stats,
    ringBytes: RING_BYTES,
  };
}

/**
 * Option values as the user types them. Each parser returns the value or throws
 * commander's InvalidArgumentError with what would have been right.
 */
import { InvalidArgumentError } from 'commander';
import {
  FILTER_LIST_LIMIT,
  parsePrefix,
  type PortRange,
  type Ports,
  type Prefix,
} from '../sources/filter.js';

const invalid = (text: string): never => {
  throw new InvalidArgumentError(text);
};

/** A list separated by commas; repeated options add to it. */
function list<T>(one: (text: string) => T): (text: string, before?: readonly T[]) => T[] {
  return (text, before = []) => {
    const values = [...before, ...text.split(',').map((part) => one(part.trim()))];
    if (values.length > FILTER_LIST_LIMIT) invalid(`At most ${FILTER_LIST_LIMIT} are possible.`);
    return values;
  };
}

function integer(text: string, from: number, to: number, what: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < from || value > to)
    return invalid(`It should be ${what} from ${from} to ${to}.`);
  return value;
}

const MAX_PORT = 65_535;
/** PID_MAX_LIMIT of the kernel. */
const MAX_PID = 4_194_304;

/** The most that Linux can have (NR_CPUS_RANGE_END of x86-64). */
const MAX_CPUS = 8192;

/** `80`, `3000-3006`. */
export function portRange(text: string): PortRange {
  const [first = '', last = first, ...rest] = text.split('-');
  if (rest.length > 0) return invalid('It should be a port, or two with a dash between.');
  const end = (port: string): number => integer(port, 1, MAX_PORT, 'a port, or two with a dash,');
  const range = { from: end(first), to: end(last) };
  return range.from <= range.to
    ? range
    : invalid(`No port is in it: the smaller one comes first, ${last}-${first}.`);
}

/** `80`, `443,8000-8099`. */
export const ports = list((text): Ports =>
  /^\d+-/.test(text) ? portRange(text) : integer(text, 1, MAX_PORT, 'a port'),
);

export const pids = list((text) => integer(text, 1, MAX_PID, 'a process id'));
/** Any text but none. */
export const name = (text: string): string =>
  text === '' ? invalid('It must not be empty.') : text;

export const names = list(name);

/** What a cgroup's own name is compared with in the kernel: see PATTERN_BYTES_LIMIT. */
const PATTERN_BYTES = 100;

/** Names with `*` for any characters and `?` for one. */
export const patterns = list((text) =>
  Buffer.byteLength(name(text)) > PATTERN_BYTES
    ? invalid(`It should be at most ${PATTERN_BYTES} bytes long.`)
    : text,
);

/** Ids of containers, how they begin, or patterns of them. */
export const containers = list((text) =>
  /^[0-9a-f*?]{1,64}$/.test(text)
    ? text
    : invalid('It should be the id of a container or how it begins: 4f3c2b1a0d9e.'),
);

export const addresses = list(
  (text): Prefix =>
    parsePrefix(text) ??
    invalid('It should be an IPv4 or IPv6 address, with a prefix length if wanted: 10.0.0.0/8.'),
);

export function cpu(text: string): number {
  return integer(text, 0, MAX_CPUS - 1, 'a CPU');
}

export function count(text: string): number {
  return integer(text, 1, 1_000_000_000, 'a number');
}

/** The longest a timer can wait (2^31 - 1 ms). */
const MAX_SECONDS = 2_147_483;

/** Seconds with a fraction, more than 0. */
export function seconds(text: string): number {
  const value = Number(text);
  if (!/^\d+(\.\d+)?$/.test(text) || value <= 0 || value > MAX_SECONDS)
    return invalid(`It should be seconds, more than 0 and at most ${MAX_SECONDS}.`);
  return value;
}

const UNITS: Readonly<Record<string, number>> = { '': 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 };

/** Bytes: 1048576, 64k, 100M, 1G (powers of 1024). */
export function bytes(text: string): number {
  const match = /^(\d+)([kmg]?)i?b?$/i.exec(text);
  const value = Number(match?.[1]) * (UNITS[(match?.[2] ?? '').toLowerCase()] ?? NaN);
  return value >= 1 && Number.isSafeInteger(value)
    ? value
    : invalid('It should be a size such as 65536, 64k, 100M or 1G.');
}

/** A duration such as 90, 90s, 15m, 1h, 1d; in seconds. */
export function interval(text: string): number {
  const match = /^(\d+)([smhd]?)$/.exec(text);
  const unit = { '': 1, s: 1, m: 60, h: 3600, d: 86_400 }[match?.[2] ?? ''] ?? NaN;
  const value = Number(match?.[1]) * unit;
  return value >= 1 ? value : invalid('It should be a time such as 90s, 15m, 1h or 1d.');
}

/** The ring buffer's size must be a power of two pages. */
export function ringBytes(text: string): number {
  const value = bytes(text);
  const most = 2 ** 30;
  return value >= 4096 && value <= most && (value & (value - 1)) === 0
    ? value
    : invalid('It should be a power of two from 4k to 1G.');
}

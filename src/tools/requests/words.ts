/** Words and numbers that rows of exchanges and of their groups share. Pure. */
import { PARTS, SIDES, type PartName, type Side } from '../../sources/exchange.js';

const NS_PER_MS = 1e6;

/** `0.123`, `12.345`, `1234.567`: to the microsecond. */
export const milliseconds = (ns: number): string => (ns / NS_PER_MS).toFixed(3);

const SHORT: Readonly<Record<string, string>> = {
  request: 'REQ',
  response: 'RESP',
  transfer: 'XFER',
  receive: 'RECV',
  queue: 'Q',
  application: 'APP',
};

/** A part as the head of a column: `REQ_XFER`. */
export function partTitle(part: PartName): string {
  return part
    .split('_')
    .map((word) => SHORT[word] ?? word.toUpperCase())
    .join('_');
}

/** The parts that rows of these sides can have, each once, in order of time. */
export function partNames(side: Side | null): readonly PartName[] {
  const sides = side === null ? SIDES : [side];
  return [...new Set(sides.flatMap((one) => PARTS[one].map(({ name }) => name)))];
}

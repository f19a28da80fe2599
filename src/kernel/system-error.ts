/** Names of error numbers, for messages and labels. */
import { constants } from 'node:os';
import { getSystemErrorMap } from 'node:util';

const NAMES = new Map<number, string>(
  Object.entries(constants.errno).map(([name, number]) => [number, name]),
);

/** `ENOSPC` for 28; `errno 999` if there is no such name. */
export function errnoName(number: number): string {
  return NAMES.get(Math.abs(number)) ?? `errno ${Math.abs(number)}`;
}

/** `no space left on device (ENOSPC)`. */
export function describeErrno(number: number): string {
  const entry = getSystemErrorMap().get(-Math.abs(number));
  return entry === undefined ? errnoName(number) : `${entry[1]} (${entry[0]})`;
}

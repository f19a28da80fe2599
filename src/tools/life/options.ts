/** Options that several tools of the source life have. */
import { InvalidArgumentError } from 'commander';
import { option } from '../../cli/options.js';
import * as parse from '../../cli/parse.js';

/** Of the clock on the wall. */
export const TIME = option('-T, --time', 'show the time (HH:MM:SS)');

export const TIMESTAMP = option(
  '-t, --timestamp',
  'show the time since the first event, in seconds',
);

export const LISTED_PORTS = {
  ...option('-L, --localport <PORTS>', 'these local ports only', { parse: parse.ports }),
  ...option('-D, --remoteport <PORTS>', 'these remote ports only', { parse: parse.ports }),
};

export const WIDE = option('-w, --wide', 'wider columns, which IPv6 addresses fit in');

export const CSV = option('-s, --csv', 'the same as -o csv', { implies: { output: 'csv' } });

/** The largest but one: the last means "no user" to the kernel. */
const MAX_UID = 4_294_967_294;

function uid(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value <= MAX_UID) return value;
  throw new InvalidArgumentError(`It should be the number of a user, from 0 to ${MAX_UID}.`);
}

export const UIDS = {
  ...option('-U, --print-uid', 'show the user of the process'),
  ...option('-u, --uid <UID>', "this user's processes only", { parse: uid }),
};

/** `-L`, where it shows a column. */
export const LOCAL_PORT_COLUMN = option('-L, --lport', 'show the local port');

/** `-C` and `-M`: the letters of libbpf-tools. */
export const LETTERED_PINNED_MAPS = {
  ...option('-C, --cgroupmap <PATH>', 'cgroups in this pinned BPF map only'),
  ...option('-M, --mntnsmap <PATH>', 'mount namespaces in this pinned BPF map only'),
};

/** The longest that nanoseconds in a double can hold: 104 days. */
const MAX_MS = 9_007_199_254;

/** Milliseconds with a fraction, more than 0. */
export function milliseconds(text: string): number {
  const value = Number(text);
  if (/^\d+(\.\d*)?$|^\.\d+$/.test(text) && value > 0 && value <= MAX_MS) return value;
  throw new InvalidArgumentError(`It should be milliseconds, more than 0 and at most ${MAX_MS}.`);
}

/** Options that several tools of the source life have. */
import { InvalidArgumentError, Option, type Command } from 'commander';
import * as parse from '../../cli/parse.js';

export interface TimeOptions {
  /** Of the clock on the wall. */
  readonly time: boolean;
  /** Since the first event. */
  readonly timestamp: boolean;
}

/** `-T`. */
export function addTime(command: Command): void {
  command.option('-T, --time', 'show the time (HH:MM:SS)', false);
}

/** `-t`. */
export function addTimestamp(command: Command): void {
  command.option('-t, --timestamp', 'show the time since the first event, in seconds', false);
}

export interface ListedPorts {
  readonly localport?: readonly number[];
  readonly remoteport?: readonly number[];
}

/** `-L` and `-D`. */
export function addListedPorts(command: Command): void {
  command
    .addOption(
      new Option('-L, --localport <PORTS>', 'these local ports only').argParser(parse.ports),
    )
    .addOption(
      new Option('-D, --remoteport <PORTS>', 'these remote ports only').argParser(parse.ports),
    );
}

/** `-w`. */
export function addWide(command: Command): void {
  command.option('-w, --wide', 'wider columns, which IPv6 addresses fit in', false);
}

/** `-s`: what `-o csv` is. */
export function addCsv(command: Command): void {
  command.addOption(new Option('-s, --csv', 'the same as -o csv').implies({ output: 'csv' }));
}

export interface UidOptions {
  readonly uid?: number;
  readonly printUid: boolean;
}

/** The largest but one: the last means "no user" to the kernel. */
const MAX_UID = 4_294_967_294;

function uid(text: string): number {
  const value = Number(text);
  if (/^\d+$/.test(text) && value <= MAX_UID) return value;
  throw new InvalidArgumentError(`It should be the number of a user, from 0 to ${MAX_UID}.`);
}

/** `-U` and `-u`. */
export function addUids(command: Command): void {
  command
    .option('-U, --print-uid', 'show the user of the process', false)
    .addOption(new Option('-u, --uid <UID>', "this user's processes only").argParser(uid));
}

/** `-L`, where it shows a column. */
export function addLocalPortColumn(command: Command): void {
  command.option('-L, --lport', 'show the local port', false);
}

/** `-C` and `-M`: the letters of libbpf-tools. */
export function addLetteredPinnedMaps(command: Command): void {
  command
    .option('-C, --cgroupmap <PATH>', 'cgroups in this pinned BPF map only')
    .option('-M, --mntnsmap <PATH>', 'mount namespaces in this pinned BPF map only');
}

/** The longest that nanoseconds in a double can hold: 104 days. */
const MAX_MS = 9_007_199_254;

/** Milliseconds with a fraction, more than 0. */
export function milliseconds(text: string): number {
  const value = Number(text);
  if (/^\d+(\.\d*)?$|^\.\d+$/.test(text) && value > 0 && value <= MAX_MS) return value;
  throw new InvalidArgumentError(`It should be milliseconds, more than 0 and at most ${MAX_MS}.`);
}

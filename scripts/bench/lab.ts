/**
 * Where the measuring happens: a network namespace of our own with only `lo`, a folder on disk, and
 * the processes we started. All of it is gone at the end, also after a failure or Ctrl-C.
 */
import {
  execFileSync,
  spawn,
  spawnSync,
  type ChildProcess,
  type SpawnOptions,
} from 'node:child_process';
import {
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
} from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname, join, resolve } from 'node:path';

export const ROOT = resolve(import.meta.dirname, '../..');
/** The program under test, as it is installed. */
export const NETWATCH = join(ROOT, 'build', 'main.js');
/** What `make` leaves at the top of the checkout: gives Node.js its options. */
export const LAUNCHER = join(ROOT, 'netwatch');
/** What is compiled and written here may be thrown away; on the disk of the checkout. */
export const CACHE = join(ROOT, '.cache', 'bench');

const PREFIX = 'nwbench-';
const NAMED = '/run/netns';
const EXIT_INTERRUPTED = 130;

/** Corking merges small writes; remembered metrics of one connection change the next. */
const SETUP = `ip link set lo up &&
echo 0 > /proc/sys/net/ipv4/tcp_autocorking && echo 1 > /proc/sys/net/ipv4/tcp_no_metrics_save`;

/** How much a row does: what the table stands on, and the least that still measures. */
export interface Sizes<T> {
  readonly full: T;
  readonly smoke: T;
}

export interface Lab {
  /** The namespace's name and path. */
  readonly name: string;
  readonly path: string;
  /** Removed with the lab. */
  readonly folder: string;
  /** Loads run here, both ends on one CPU: across two, the scheduler decides what is measured. */
  readonly loadCpu: number;
  /** This run only shows that every row can be measured: its numbers are not judged. */
  readonly isSmoke: boolean;
  /** How much this run does. */
  size<T>(sizes: Sizes<T>): T;
  /** Starts a process that ends with us at the latest. */
  start(command: string, args: readonly string[], options?: SpawnOptions): ChildProcess;
  /** Starts a process inside the namespace; its pid is the command's own. */
  startInside(command: string, args: readonly string[]): ChildProcess;
  /** Runs a command inside to its end and gives its output. */
  runInside(command: string, args: readonly string[]): string;
  /** Ends what a measurement that failed has left running. */
  killChildren(): void;
  close(): void;
}

/** Removes the namespaces of benches that died. */
function sweep(): void {
  for (const name of existsSync(NAMED) ? readdirSync(NAMED) : []) {
    const pid = /^nwbench-(\d+)$/.exec(name)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) spawnSync('ip', ['netns', 'del', name]);
  }
}

/** The cache folder; under sudo it belongs to whom the checkout belongs. */
function makeCache(): void {
  if (existsSync(CACHE)) return;
  mkdirSync(CACHE, { recursive: true });
  const { uid, gid } = statSync(ROOT);
  for (const path of [dirname(CACHE), CACHE]) chownSync(path, uid, gid);
}

/** Opens the lab; it closes itself when the process ends. */
export function openLab(isSmoke: boolean): Lab {
  sweep();
  makeCache();
  const name = `${PREFIX}${process.pid}`;
  const path = join(NAMED, name);
  const folder = mkdtempSync(join(CACHE, 'data-'));
  const children = new Set<ChildProcess>();
  const killChildren = (): void => {
    for (const child of children) child.kill('SIGKILL');
    children.clear();
  };
  const close = (): void => {
    killChildren();
    if (existsSync(path)) spawnSync('ip', ['netns', 'del', name]);
    rmSync(folder, { recursive: true, force: true });
  };
  process.once('exit', close);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.once(signal, () => process.exit(EXIT_INTERRUPTED));
  execFileSync('ip', ['netns', 'add', name]);
  const enter = (command: string, args: readonly string[]): string[] => [
    `--net=${path}`,
    '--',
    command,
    ...args,
  ];
  execFileSync('nsenter', enter('sh', ['-c', SETUP]));
  const start: Lab['start'] = (command, args, options = {}) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
    children.add(child);
    child.once('exit', () => children.delete(child));
    return child;
  };
  return {
    name,
    path,
    folder,
    loadCpu: availableParallelism() - 1,
    isSmoke,
    size: ({ full, smoke }) => (isSmoke ? smoke : full),
    start,
    startInside: (command, args) => start('nsenter', enter(command, args)),
    runInside: (command, args) =>
      execFileSync('nsenter', enter(command, args), { encoding: 'utf8', maxBuffer: 1 << 28 }),
    killChildren,
    close,
  };
}

/**
 * TCP segments of the namespace, received and sent, by the kernel's own counters (TcpInSegs and
 * TcpOutSegs; a retransmission counts apart).
 */
export function segments(lab: Lab): number {
  const [names = '', values = ''] = lab
    .runInside('cat', ['/proc/net/snmp'])
    .split('\n')
    .filter((line) => line.startsWith('Tcp:'));
  const fields = names.split(' ');
  const value = (name: string): number => Number(values.split(' ')[fields.indexOf(name)]);
  return value('InSegs') + value('OutSegs') + value('RetransSegs');
}

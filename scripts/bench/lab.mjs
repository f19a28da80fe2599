/**
 * Where the measuring happens: a network namespace of our own with only `lo`, a folder on disk, and
 * the processes we started. All of it is gone at the end, also after a failure or Ctrl-C.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
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
/** What is compiled and written here may be thrown away; on the disk of the checkout. */
export const CACHE = join(ROOT, '.cache', 'bench');

const PREFIX = 'nwbench-';
const NAMED = '/run/netns';
const EXIT_INTERRUPTED = 130;

/** Corking merges small writes; remembered metrics of one connection change the next. */
const SETUP = `ip link set lo up &&
echo 0 > /proc/sys/net/ipv4/tcp_autocorking && echo 1 > /proc/sys/net/ipv4/tcp_no_metrics_save`;

/** Removes the namespaces of benches that died. */
function sweep() {
  for (const name of existsSync(NAMED) ? readdirSync(NAMED) : []) {
    const pid = /^nwbench-(\d+)$/.exec(name)?.[1];
    if (pid !== undefined && !existsSync(`/proc/${pid}`)) spawnSync('ip', ['netns', 'del', name]);
  }
}

/** The cache folder; under sudo it belongs to whom the checkout belongs. */
function makeCache() {
  if (existsSync(CACHE)) return;
  mkdirSync(CACHE, { recursive: true });
  const { uid, gid } = statSync(ROOT);
  for (const path of [dirname(CACHE), CACHE]) chownSync(path, uid, gid);
}

/** @typedef {ReturnType<typeof openLab>} Lab */

/** Opens the lab; it closes itself when the process ends. */
export function openLab() {
  sweep();
  makeCache();
  const name = `${PREFIX}${process.pid}`;
  const path = join(NAMED, name);
  const folder = mkdtempSync(join(CACHE, 'data-'));
  /** @type {Set<import('node:child_process').ChildProcess>} */
  const children = new Set();
  const killChildren = () => {
    for (const child of children) child.kill('SIGKILL');
    children.clear();
  };
  const close = () => {
    killChildren();
    if (existsSync(path)) spawnSync('ip', ['netns', 'del', name]);
    rmSync(folder, { recursive: true, force: true });
  };
  process.once('exit', close);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'])
    process.once(signal, () => process.exit(EXIT_INTERRUPTED));
  execFileSync('ip', ['netns', 'add', name]);
  const enter = (/** @type {string} */ command, /** @type {readonly string[]} */ args) => [
    `--net=${path}`,
    '--',
    command,
    ...args,
  ];
  execFileSync('nsenter', enter('sh', ['-c', SETUP]));

  /**
   * Starts a process that ends with us at the latest.
   * @param {string} command
   * @param {readonly string[]} args
   * @param {import('node:child_process').SpawnOptions} [options]
   */
  const start = (command, args, options = {}) => {
    const child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'], ...options });
    children.add(child);
    child.once('exit', () => children.delete(child));
    return child;
  };
  return {
    /** The namespace's name, path and inode number. */
    name,
    path,
    inode: statSync(path).ino,
    /** Removed with the lab. */
    folder,
    /** Loads run here, both ends on one CPU: across two, the scheduler decides what is measured. */
    loadCpu: availableParallelism() - 1,
    start,
    /** Starts a process inside the namespace; its pid is the command's own. */
    startInside: (command, args, options = {}) => start('nsenter', enter(command, args), options),
    /** Runs a command inside to its end and gives its output. */
    runInside: (command, args) =>
      execFileSync('nsenter', enter(command, args), { encoding: 'utf8', maxBuffer: 1 << 28 }),
    /** Ends what a measurement that failed has left running. */
    killChildren,
    close,
  };
}

/**
 * TCP segments of the namespace, received and sent, by the kernel's own counters (TcpInSegs and
 * TcpOutSegs; a retransmission counts apart).
 * @param {Lab} lab
 */
export function segments(lab) {
  const [names = '', values = ''] = lab
    .runInside('cat', ['/proc/net/snmp'])
    .split('\n')
    .filter((line) => line.startsWith('Tcp:'));
  const fields = names.split(' ');
  const value = (/** @type {string} */ name) => Number(values.split(' ')[fields.indexOf(name)]);
  return value('InSegs') + value('OutSegs') + value('RetransSegs');
}

/** Resolves when the process has ended. @param {import('node:child_process').ChildProcess} child */
export function ended(child) {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => child.once('exit', () => resolve(undefined)));
}

/**
 * Sends the signal and waits for the end; SIGKILL after `ms`.
 * @param {import('node:child_process').ChildProcess} child
 * @param {NodeJS.Signals} [signal]
 */
export async function stop(child, signal = 'SIGINT', ms = 10_000) {
  const timer = setTimeout(() => child.kill('SIGKILL'), ms);
  child.kill(signal);
  await ended(child);
  clearTimeout(timer);
}

// @ts-check
/**
 * Private network namespaces: made here, filled with bounded traffic, removed without a trace.
 * Used by the demo and by the end-to-end tests. Needs root and iproute2, util-linux.
 */
import { execFile, execFileSync, spawn } from 'node:child_process';
import { existsSync, statSync } from 'node:fs';

/**
 * @typedef {object} NamespaceOptions
 * @property {string} [prefix] start of the name; the rest is our pid and a number
 * @property {Record<string, string | number>} [sysctls] below net, e.g. {'ipv4/tcp_sack': 0}
 */

/**
 * @typedef {object} ExecOptions
 * @property {string} [input] standard input
 * @property {number} [timeoutMs] default 20 s
 */

/**
 * A namespace with `lo` up.
 * @typedef {object} Namespace
 * @property {string} name as in `ip netns`
 * @property {string} path what `nsenter --net=` and setns take
 * @property {number} inode the number the kernel shows as `net:[inode]`
 * @property {(cmd: string, args?: readonly string[], options?: ExecOptions) => Promise<string>} exec
 *   runs a command inside to its end; its stdout, or an error that carries its stderr
 * @property {(cmd: string, args?: readonly string[], options?: ExecOptions) => string} execSync
 * @property {(cmd: string, args?: readonly string[], options?: import('node:child_process').SpawnOptions)
 *   => import('node:child_process').ChildProcess} spawn
 *   starts a command inside; the pid is the command's own
 * @property {(script: string, args?: readonly string[],
 *   options?: import('node:child_process').SpawnOptions) => import('node:child_process').ChildProcess} spawnNode
 * @property {() => void} close ends every process inside and removes the namespace; safe to repeat
 */

/**
 * What every namespace starts from. Defaults of the host leak into a new namespace (congestion
 * control does, and only reno may be set there always), remembered metrics of one connection change the next, corking merges small writes.
 */
const SYSCTLS = {
  'ipv4/tcp_congestion_control': 'reno',
  'ipv4/tcp_no_metrics_save': 1,
  'ipv4/tcp_autocorking': 0,
  'ipv6/conf/all/accept_dad': 0,
  'ipv6/conf/default/accept_dad': 0,
};

const SETUP = `ip link set lo up || exit
while [ $# -gt 1 ]; do echo "$2" > "/proc/sys/net/$1" || exit; shift 2; done`;

/** @type {Set<Namespace>} */
const open = new Set();
let serial = 0;

process.on('exit', closeAllNamespaces);

/** Removes what is still open; also runs on process exit. */
export function closeAllNamespaces() {
  for (const namespace of open) namespace.close();
}

/**
 * Makes a namespace whose name holds our pid, so that a later run can sweep it if we die.
 * @param {NamespaceOptions} [options]
 * @returns {Namespace}
 */
export function openNamespace({ prefix = 'nwtest', sysctls = {} } = {}) {
  if (serial === 0) sweepNamespaces(prefix);
  const name = `${prefix}-${process.pid}-${++serial}`;
  const path = `/run/netns/${name}`;
  execFileSync('ip', ['netns', 'add', name], { stdio: ['ignore', 'ignore', 'pipe'] });
  /** @type {(cmd: string, args: readonly string[]) => string[]} */
  const enter = (cmd, args) => [`--net=${path}`, '--', cmd, ...args];
  /** @type {Namespace} */
  const namespace = {
    name,
    path,
    inode: statSync(path).ino,
    exec: (cmd, args = [], options = {}) => run(enter(cmd, args), options),
    execSync: (cmd, args = [], { input = '', timeoutMs = 20_000 } = {}) =>
      execFileSync('nsenter', enter(cmd, args), { input, timeout: timeoutMs, ...OUTPUT }),
    spawn: (cmd, args = [], options = {}) => spawn('nsenter', enter(cmd, args), { ...options }),
    spawnNode: (script, args = [], options = {}) =>
      spawn('nsenter', enter(process.execPath, [script, ...args]), options),
    close() {
      if (open.delete(namespace)) removeNamespace(name);
    },
  };
  open.add(namespace);
  const settings = Object.entries({ ...SYSCTLS, ...sysctls })
    .flat()
    .map(String);
  namespace.execSync('sh', ['-c', SETUP, 'setup', ...settings]);
  return namespace;
}

/**
 * Joins two namespaces by a veth pair, `veth0` in each, with one IPv4 and one IPv6 address.
 * @param {Namespace} left
 * @param {Namespace} right
 */
export function joinNamespaces(left, right) {
  const ends = [
    { namespace: left, device: 'veth0', v4: '10.77.0.1', v6: 'fd77::1' },
    { namespace: right, device: 'veth0', v4: '10.77.0.2', v6: 'fd77::2' },
  ];
  left.execSync('ip', ['link', 'add', 'veth0', 'type', 'veth', 'peer', 'name', 'peer0']);
  left.execSync('ip', ['link', 'set', 'peer0', 'netns', right.name, 'name', 'veth0']);
  for (const { namespace, device, v4, v6 } of ends) {
    const batch = [
      `addr add ${v4}/24 dev ${device}`,
      `addr add ${v6}/64 dev ${device} nodad`,
      `link set ${device} up`,
    ];
    namespace.execSync('ip', ['-batch', '-'], { input: batch.join('\n') + '\n' });
  }
  return { left: { v4: '10.77.0.1', v6: 'fd77::1' }, right: { v4: '10.77.0.2', v6: 'fd77::2' } };
}

/**
 * Removes namespaces that processes which no longer live have left behind.
 * @param {string} prefix
 * @returns {string[]} the names removed
 */
export function sweepNamespaces(prefix) {
  const ours = new RegExp(`^${prefix}-(\\d+)-\\d+$`);
  const dead = listNamespaces().filter((name) => {
    const pid = ours.exec(name)?.[1];
    return pid !== undefined && !existsSync(`/proc/${pid}`);
  });
  dead.forEach(removeNamespace);
  return dead;
}

/** The names `ip netns` knows. */
export function listNamespaces() {
  const list = execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' });
  return list.split('\n').flatMap((line) => line.split(' ')[0] || []);
}

const OUTPUT = { encoding: /** @type {const} */ ('utf8'), maxBuffer: 256 << 20 };

/** @param {string} name */
function removeNamespace(name) {
  try {
    const pids = execFileSync('ip', ['netns', 'pids', name], { encoding: 'utf8' });
    for (const pid of pids.split('\n').filter(Boolean)) kill(Number(pid));
    execFileSync('ip', ['netns', 'del', name], { stdio: 'ignore' });
  } catch {
    // another process swept it first, or it is already gone
  }
}

/** @param {number} pid */
function kill(pid) {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // it ended by itself
  }
}

/**
 * @param {string[]} args
 * @param {ExecOptions} options
 * @returns {Promise<string>}
 */
function run(args, { input = '', timeoutMs = 20_000 }) {
  return new Promise((resolve, reject) => {
    const options = { timeout: timeoutMs, maxBuffer: OUTPUT.maxBuffer };
    const child = execFile('nsenter', args, options, (error, stdout) =>
      error ? reject(error) : resolve(stdout),
    );
    child.stdin?.on('error', () => {}).end(input); // a command may end without reading its input
  });
}

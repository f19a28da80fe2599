/**
 * Private network namespaces: made here, filled with bounded traffic, removed without a trace. For
 * the demo and the end-to-end tests. Needs root, iproute2 and util-linux.
 */
import {
  execFile,
  execFileSync,
  spawn,
  spawnSync,
  type ChildProcess,
  type SpawnOptions,
} from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';

export interface NamespaceOptions {
  /** Start of the name; the rest is our pid and a number. */
  readonly prefix?: string;
  /** Below net, as in {'ipv4/tcp_sack': 0}. */
  readonly sysctls?: Readonly<Record<string, string | number>>;
  /**
   * Everything inside runs on one CPU, whose queue the loopback device then uses alone: packets arrive
   * in the order in which they were sent.
   */
  readonly oneCpu?: boolean;
}

export interface ExecOptions {
  /** Standard input. */
  readonly input?: string;
  /** Default two minutes. */
  readonly timeoutMs?: number;
}

type Args = readonly string[];

/** A namespace with `lo` up. */
export interface Namespace {
  /** As in `ip netns`. */
  readonly name: string;
  /** What `nsenter --net=` and setns take. */
  readonly path: string;
  /** The number the kernel shows as `net:[inode]`. */
  readonly inode: number;
  /** Runs a command inside to its end; its stdout, or an error that carries its stderr. */
  exec(cmd: string, args?: Args, options?: ExecOptions): Promise<string>;
  execSync(cmd: string, args?: Args, options?: ExecOptions): string;
  /** Starts a command inside; the pid is the command's own. */
  spawn(cmd: string, args?: Args, options?: SpawnOptions): ChildProcess;
  spawnNode(script: string, args?: Args, options?: SpawnOptions): ChildProcess;
  /** Kills every process inside and removes the namespace; safe to repeat. */
  close(): void;
}

/**
 * What every namespace starts from. The host's congestion control leaks into a new namespace, where
 * only reno can always be chosen; remembered metrics of one connection change the next; corking
 * merges small writes.
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

const OUTPUT = { encoding: 'utf8', maxBuffer: 256 << 20 } as const;

const open = new Set<Namespace>();
let serial = 0;

process.on('exit', closeAllNamespaces);

/** Removes what is still open; also runs on process exit, but not when a signal ends us. */
export function closeAllNamespaces(): void {
  for (const namespace of open) namespace.close();
}

/** Makes a namespace whose name holds our pid, so that a later run can sweep it if we die. */
export function openNamespace(options: NamespaceOptions = {}): Namespace {
  const { prefix = 'nwtest', sysctls = {}, oneCpu = false } = options;
  if (serial === 0) sweepNamespaces(prefix);
  const name = `${prefix}-${process.pid}-${++serial}`;
  execFileSync('ip', ['netns', 'add', name], { stdio: ['ignore', 'ignore', 'pipe'] });
  const namespace = enterable(name, oneCpu ? ['taskset', '-c', firstCpu()] : []);
  open.add(namespace);
  const settings = Object.entries({ ...SYSCTLS, ...sysctls }).flat();
  namespace.execSync('sh', ['-c', SETUP, 'setup', ...settings.map(String)]);
  return namespace;
}

/** The first CPU that this process may use. */
function firstCpu(): string {
  const status = readFileSync('/proc/self/status', 'utf8');
  return /^Cpus_allowed_list:\s*(\d+)/m.exec(status)?.[1] ?? '0';
}

/** `wrapper`: a command that executes the rest of its line. */
function enterable(name: string, wrapper: Args): Namespace {
  const path = `/run/netns/${name}`;
  const enter = (cmd: string, args: Args) => [`--net=${path}`, '--', ...wrapper, cmd, ...args];
  const namespace: Namespace = {
    name,
    path,
    inode: statSync(path).ino,
    exec: (cmd, args = [], options = {}) => run(enter(cmd, args), options),
    execSync: (cmd, args = [], { input = '', timeoutMs = 120_000 } = {}) =>
      execFileSync('nsenter', enter(cmd, args), { input, timeout: timeoutMs, ...OUTPUT }),
    spawn: (cmd, args = [], options = {}) => spawn('nsenter', enter(cmd, args), options),
    spawnNode: (script, args = [], options = {}) =>
      namespace.spawn(process.execPath, [script, ...args], options),
    close() {
      if (open.delete(namespace)) removeNamespace(name);
    },
  };
  return namespace;
}

export interface Addresses {
  readonly v4: string;
  readonly v6: string;
}

/** Joins two namespaces by a veth pair, `veth0` in each, with an IPv4 and an IPv6 address. */
export function joinNamespaces(
  left: Namespace,
  right: Namespace,
): { readonly left: Addresses; readonly right: Addresses } {
  left.execSync('ip', ['link', 'add', 'veth0', 'type', 'veth', 'peer', 'name', 'peer0']);
  left.execSync('ip', ['link', 'set', 'peer0', 'netns', right.name, 'name', 'veth0']);
  const configure = (namespace: Namespace, { v4, v6 }: Addresses) => {
    const lines = [`addr add ${v4}/24 dev veth0`, `addr add ${v6}/64 dev veth0 nodad`];
    const input = [...lines, 'link set veth0 up', ''].join('\n');
    namespace.execSync('ip', ['-batch', '-'], { input });
  };
  const addresses = {
    left: { v4: '10.77.0.1', v6: 'fd77::1' },
    right: { v4: '10.77.0.2', v6: 'fd77::2' },
  };
  configure(left, addresses.left);
  configure(right, addresses.right);
  return addresses;
}

/** Removes namespaces that dead processes have left behind; their names. */
export function sweepNamespaces(prefix: string): string[] {
  const ours = new RegExp(`^${prefix}-(\\d+)-\\d+$`);
  const dead = listNamespaces().filter((name) => {
    const pid = ours.exec(name)?.[1];
    return pid !== undefined && !existsSync(`/proc/${pid}`);
  });
  dead.forEach(removeNamespace);
  return dead;
}

/** The names `ip netns` knows. */
export function listNamespaces(): string[] {
  const list = execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' });
  return list.split('\n').flatMap((line) => line.split(' ')[0] || []);
}

function removeNamespace(name: string): void {
  const inside = spawnSync('ip', ['netns', 'pids', name], { encoding: 'utf8' });
  for (const pid of inside.stdout.split('\n').filter(Boolean)) kill(Number(pid));
  spawnSync('ip', ['netns', 'del', name]); // fails if another process swept it first
}

function kill(pid: number): void {
  try {
    process.kill(pid, 'SIGKILL');
  } catch {
    // it ended by itself
  }
}

function run(args: Args, { input = '', timeoutMs = 120_000 }: ExecOptions): Promise<string> {
  return new Promise((resolve, reject) => {
    const options = { timeout: timeoutMs, maxBuffer: OUTPUT.maxBuffer };
    const child = execFile('nsenter', args, options, (error, stdout) => {
      if (error) reject(new Error(error.message, { cause: error }));
      else resolve(stdout);
    });
    child.stdin?.on('error', () => undefined); // a command may end without reading its input
    child.stdin?.end(input);
  });
}

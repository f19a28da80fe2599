/**
 * Expected failures. Each is data; {@link explain} is the one place that turns
 * them into sentences: what is wrong, and on the next line what to do.
 */
export type Failure =
  /** The command line is wrong. `next`: what to do, or empty. */
  | { readonly code: 'usage'; readonly message: string; readonly next: string }
  /** The machine or its files are not as needed. `next`: what to do, or empty. */
  | { readonly code: 'environment'; readonly message: string; readonly next: string }
  /** `missing`: capabilities with what they are for, `CAP_BPF (load programs)`. */
  | { readonly code: 'privilege'; readonly uid: number; readonly missing: readonly string[] }
  | { readonly code: 'no-libbpf'; readonly tried: string }
  | { readonly code: 'old-libbpf'; readonly version: string }
  | { readonly code: 'no-btf'; readonly path: string; readonly kernel: string }
  | { readonly code: 'no-object'; readonly path: string }
  | {
      readonly code: 'no-source';
      readonly source: string;
      readonly reason: string;
      readonly fix: string;
    }
  | { readonly code: 'no-netns'; readonly name: string }
  | { readonly code: 'no-cgroup'; readonly path: string }
  | { readonly code: 'big-endian' }
  | {
      readonly code: 'verifier';
      readonly program: string;
      readonly line: string;
      readonly omitted: number;
    }
  | { readonly code: 'attach'; readonly program: string; readonly reason: string }
  | {
      readonly code: 'layout';
      readonly what: string;
      readonly expected: number;
      readonly found: number;
    }
  | { readonly code: 'system'; readonly what: string; readonly reason: string }
  | { readonly code: 'pinned-map'; readonly path: string; readonly reason: string }
  | { readonly code: 'directory'; readonly path: string; readonly reason: string }
  | {
      readonly code: 'already-running';
      readonly pid: number;
      readonly directory: string;
      /** Absent: the collector. */
      readonly tool?: string | undefined;
    };

/** An expected failure: printed as a sentence, without a stack. */
export class NetwatchError extends Error {
  readonly failure: Failure;

  constructor(failure: Failure) {
    super(explain(failure));
    this.name = 'NetwatchError';
    this.failure = failure;
  }

  /** The sentence that says what to do; empty where there is none. */
  get next(): string {
    return this.message.split('\n', 2)[1]?.trim() ?? '';
  }

  get exitCode(): ExitCode {
    return exitCodeOf(this.failure);
  }
}

/** What the exit code says: 2 usage, 3 environment, 4 kernel. 1 is a bug, which is no failure. */
export type ExitCode = 2 | 3 | 4;

/** Which exit code a failure ends the program with. */
export function exitCodeOf(failure: Failure): ExitCode {
  switch (failure.code) {
    case 'usage':
    case 'no-netns':
    case 'no-cgroup':
    case 'pinned-map':
      return 2;
    case 'no-btf':
    case 'verifier':
    case 'attach':
      return 4;
    default:
      return 3;
  }
}

/** `a`, `a and b`, `a, b and c`. */
function list(words: readonly string[]): string {
  const [last = '', ...before] = [...words].reverse();
  return before.length === 0 ? last : `${before.reverse().join(', ')} and ${last}`;
}

/** What is wrong, and (after the line break) what to do about it. */
export function explain(failure: Failure): string {
  switch (failure.code) {
    case 'usage':
    case 'environment':
      return failure.next === '' ? failure.message : `${failure.message}\n  ${failure.next}`;
    case 'privilege':
      return (
        `need ${list(failure.missing)}; running as uid ${failure.uid}\n` +
        (failure.uid === 0
          ? '  give them to the container or service that runs it'
          : '  run it with sudo, or as a service: see docs/service.md')
      );
    case 'no-libbpf':
      return `${failure.tried} was not found\n  install the package libbpf1`;
    case 'old-libbpf':
      return `libbpf ${failure.version} is too old\n  install libbpf 1.0 or newer (package libbpf1)`;
    case 'no-btf':
      return (
        `this kernel (${failure.kernel}) has no BTF: ${failure.path} cannot be read\n` +
        '  use a kernel built with CONFIG_DEBUG_INFO_BTF=y (every current distribution has one)'
      );
    case 'no-object':
      return `the BPF object ${failure.path} is missing\n  build it with: make`;
    case 'no-source':
      return `the source ${failure.source} cannot run: ${failure.reason}\n  ${failure.fix}`;
    case 'no-netns':
      return `no network namespace ${failure.name}\n  give a name of \`ip netns list\`, a path such as /proc/PID/ns/net, or an inode number`;
    case 'no-cgroup':
      return `no cgroup v2 directory ${failure.path}\n  give a path below the cgroup v2 mount, for example /sys/fs/cgroup/system.slice`;
    case 'big-endian':
      return 'this machine is big-endian\n  netwatch runs on x86-64 and arm64';
    case 'verifier':
      return (
        `the kernel refused program ${failure.program}: ${failure.line} (${failure.omitted} lines omitted)\n` +
        '  run again with --verbose to see them all, and report it: this should not happen'
      );
    case 'attach':
      return `cannot attach ${failure.program}: ${failure.reason}\n  run again with --verbose to see what libbpf said`;
    case 'layout':
      return (
        `${failure.what} is ${failure.found} bytes where ${failure.expected} were built in\n` +
        '  the BPF objects and the program do not belong together: build again with make'
      );
    case 'system':
      return `${failure.what}: ${failure.reason}`;
    case 'pinned-map':
      return `cannot use the pinned BPF map ${failure.path}: ${failure.reason}\n  give the path of a hash map below /sys/fs/bpf, see: bpftool map list`;
    case 'directory':
      return `cannot use the directory ${failure.path}: ${failure.reason}\n  choose another one with --data DIR`;
    case 'already-running':
      return (
        `${failure.tool ?? ''} already running with pid ${failure.pid} in ${failure.directory}\n`.trimStart() +
        '  stop it, or give this one a directory of its own with --data DIR'
      );
  }
}

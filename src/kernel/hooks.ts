/** Whether this kernel has the hook that a program's section names, and what is in the way if not. */
import { cgroupRoot, hasKprobes } from './host.js';
import { hasFunction, hasTracepoint } from './kernel-btf.js';
import { ensureTracefs, hasClassicTracepoint } from './system.js';
import { whyNoTrampoline } from './trampoline.js';

/** Why something cannot be had here. */
export interface Obstacle {
  readonly reason: string;
  /** What to do about it on this machine; null: only another kernel helps. */
  readonly fix: string | null;
}

/** Where a program goes: the parts of `?tp_btf/tcp_send_reset`. */
export interface Place {
  /** `tp_btf`, `tracepoint`, `cgroup_skb`, `iter`, `fentry`, `kprobe`. */
  readonly type: string;
  /** `tcp_send_reset`, `syscalls/sys_exit_accept`, `ingress`, `tcp`. */
  readonly hook: string;
}

export function placeOf(section: string): Place {
  const [type = '', ...rest] = section.replace('?', '').split('/');
  return { type, hook: rest.join('/') };
}

const kernelLacks = (reason: string): Obstacle => ({ reason, fix: null });

/**
 * Null if the kernel has the hook of this section. With `mayAct` tracefs is mounted where it is not,
 * and fentry tried.
 */
export function missingHook(section: string, mayAct = true): Obstacle | null {
  const { type, hook } = placeOf(section);
  switch (type) {
    case 'tp_btf':
      return hasTracepoint(hook) ? null : kernelLacks(`no tracepoint ${hook}`);
    case 'tracepoint':
      return missingTracepoint(hook, mayAct);
    case 'fentry':
    case 'fexit':
      return missingFunction(type, hook, mayAct);
    case 'kprobe':
    case 'kretprobe':
      if (!hasFunction(hook)) return kernelLacks(`no function ${hook}`);
      return hasKprobes() ? null : kernelLacks('no kprobes');
    case 'cgroup_skb':
      return cgroupRoot() === null ? NO_CGROUP2 : null;
    default:
      return null;
  }
}

function missingTracepoint(name: string, mayMount: boolean): Obstacle | null {
  const unreadable = ensureTracefs(mayMount);
  if (unreadable !== null) return unreadable;
  return hasClassicTracepoint(name) ? null : kernelLacks(`no tracepoint ${name}`);
}

/** Asked before it is loaded: every program that is refused means to load all others again. */
function missingFunction(type: string, name: string, mayTry: boolean): Obstacle | null {
  if (!hasFunction(name)) return kernelLacks(`no function ${name}`);
  const reason = mayTry ? whyNoTrampoline() : null;
  return reason === null ? null : kernelLacks(`${type} is refused: ${reason}`);
}

const NO_CGROUP2: Obstacle = {
  reason: 'no cgroup v2 hierarchy is mounted',
  fix: 'mount -t cgroup2 none /sys/fs/cgroup/unified',
};

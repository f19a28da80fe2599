/** Commands that run the rest of their line in a poorer world: without a mount, a right, a library. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Capability } from '../../src/kernel/capabilities.js';
import { temporaryFolder } from './collector.js';
import type { Teardown } from './netns.js';

/** In a mount namespace of its own, after a shell script. */
function inMounts(script: string): string[] {
  return ['unshare', '--mount', 'sh', '-e', '-c', `${script}\nexec "$@"`, 'sh'];
}

/** With cgroup v2 at a path below /sys/fs/cgroup or there; null: nowhere. */
export function withCgroup2At(path: string | null): string[] {
  const away = `
    while path=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/self/mounts) && [ -n "$path" ]
    do umount -l "$path"
    done`;
  if (path === null) return inMounts(away);
  return inMounts(`${away}
    mount -t tmpfs none /sys/fs/cgroup
    mkdir -p ${path}
    mount -t cgroup2 none ${path}`);
}

/** Without BTF: an empty file lies over it. */
export const WITHOUT_BTF = inMounts(`
  empty=$(mktemp)
  mount --bind "$empty" /sys/kernel/btf/vmlinux
  rm "$empty"`);

/** With everything read-only but what is below a folder: writing elsewhere fails, root's too. */
export function writableOnly(folder: string): string[] {
  return inMounts(`
    mount --bind ${folder} ${folder}
    awk '$2 !~ "^/(proc|sys|dev)(/|$)" && $2 != "${folder}" { print $2 }' /proc/self/mounts |
      while read -r at; do mount -o remount,bind,ro "$at"; done
    cd ${folder}`);
}

const NOBODY = '65534';

/**
 * As nobody, with some capabilities only. Without the hooks of tap, which nobody could write for.
 */
export function asNobody(capabilities: readonly Capability[] = []): string[] {
  const names = capabilities.map((name) => `+${name.toLowerCase().replace('cap_', '')}`);
  const set = ['-all', ...names].join(',');
  return [
    ...[
      'env',
      '--unset=NODE_OPTIONS',
      'setpriv',
      `--reuid=${NOBODY}`,
      `--regid=${NOBODY}`,
      '--clear-groups',
    ],
    ...[`--bounding-set=${set}`, `--inh-caps=${set}`, `--ambient-caps=${set}`],
  ];
}

/** The environment in which libbpf.so.1 is made of this C source; null: it is no library at all. */
export function withLibbpf(t: Teardown, source: string | null): NodeJS.ProcessEnv {
  const folder = temporaryFolder(t);
  const library = join(folder, 'libbpf.so.1');
  if (source === null) writeFileSync(library, '');
  else {
    const flags = ['-shared', '-fPIC', '-x', 'c', '-', '-o', library];
    execFileSync('cc', flags, { input: source, stdio: ['pipe', 'ignore', 'inherit'] });
  }
  return { LD_LIBRARY_PATH: folder };
}

export const OLD_LIBBPF = 'const char *libbpf_version_string(void) { return "v0.8"; }';
/** Before 0.6 it could not even tell. */
export const VERY_OLD_LIBBPF = 'int bpf_object__load(void *object) { return object == 0; }';

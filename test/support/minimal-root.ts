/**
 * A minimal system of the distribution's own packages in a folder, and commands that run in it. It is
 * made once for a checkout (.cache/minimal-root) and unpacked for each test.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { temporaryFolder } from './collector.js';
import type { Teardown } from './netns.js';

const CACHE = resolve(import.meta.dirname, '../../.cache/minimal-root');

/** What the package depends on but Node.js, and what makes accounts. */
const PACKAGES = ['libbpf1', 'libstdc++6', 'systemd-standalone-sysusers'];

export interface MinimalRoot {
  readonly folder: string;
  /** Where its /mnt is from; no part of {@link MinimalRoot.changed}. */
  readonly packages: string;
  /** The line that runs a command in it, with /proc, /sys and /dev of this machine, not our environment. */
  command(...line: readonly string[]): string[];
  run(...line: readonly string[]): { readonly status: number | null; readonly said: string };
  /** Paths that are not as they were at first; without dpkg's own records and the accounts. */
  changed(): string[];
}

const output = (command: string, ...args: readonly string[]): string =>
  execFileSync(command, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });

/** Where apt gets packages from on this machine. */
function sources(): string[] {
  const folder = '/etc/apt/sources.list.d';
  const more = existsSync(folder) ? readdirSync(folder).map((name) => join(folder, name)) : [];
  return ['/etc/apt/sources.list', ...more].filter(
    (path) => /\.(list|sources)$/.test(path) && existsSync(path),
  );
}

/** The system as one archive. */
function archive(): string {
  const release = readFileSync('/etc/os-release', 'utf8');
  const suite = /^VERSION_CODENAME=(\w+)$/m.exec(release)?.[1] ?? 'stable';
  const path = join(CACHE, `${suite}.tar`);
  if (existsSync(path)) return path;
  mkdirSync(CACHE, { recursive: true });
  const unfinished = join(CACHE, `${suite}-${process.pid}.tar`);
  const include = `--include=${PACKAGES.join(',')}`;
  // Kept in the system's own configuration: nothing here has to survive a power failure.
  const quick = '--dpkgopt=force-unsafe-io';
  try {
    output('mmdebstrap', '--variant=essential', quick, include, suite, unfinished, ...sources());
    renameSync(unfinished, path);
  } finally {
    rmSync(unfinished, { force: true });
  }
  return path;
}

const MOUNTS = `
  root=$1 packages=$2
  shift 2
  for name in proc sys dev; do mount --rbind /$name "$root/$name"; done
  mount --bind "$packages" "$root/mnt"
  mount -t tmpfs none "$root/run"
  mkdir "$root/run/netns"
  [ ! -d /run/netns ] || mount --rbind /run/netns "$root/run/netns"
  exec chroot "$root" env -i DEBIAN_FRONTEND=noninteractive PATH=/usr/sbin:/usr/bin:/sbin:/bin "$@"`;

/** What dpkg, its helpers and the account leave by design, and what a run of anything leaves. */
const RECORDS =
  /^\/(var\/(lib\/dpkg|log\/dpkg\.log|cache\/ldconfig)|etc\/(g?shadow|passwd|group|\.pwd\.lock)|proc|sys|dev|mnt|run|tmp)/;

/** Every path, and what it is: kind, mode, owners, target, and size if it is a file. */
function treeOf(folder: string): ReadonlyMap<string, string> {
  const is = '/%P\\t%y %m %U %G %l';
  const format = ['(', '-type', 'f', '-printf', `${is} %s\\n`, ')', '-o', '-printf', `${is}\\n`];
  const lines = output('find', folder, '-mindepth', '1', ...format).split('\n');
  const entries = lines.map((line) => line.split('\t'));
  return new Map(
    entries.flatMap(([path = '', what = '']) => (RECORDS.test(path) ? [] : [[path, what]])),
  );
}

/** Gone with the test. */
export function minimalRoot(t: Teardown): MinimalRoot {
  const place = temporaryFolder(t);
  const [folder, packages] = [join(place, 'root'), join(place, 'packages')];
  mkdirSync(folder);
  mkdirSync(packages);
  output('tar', '-C', folder, '--numeric-owner', '-xpf', archive());
  const before = treeOf(folder);
  const command = (...line: readonly string[]): string[] =>
    ['unshare', '--mount', 'sh', '-euc', MOUNTS, 'sh', folder, packages].concat(line);
  return {
    folder,
    packages,
    command,
    run(...line) {
      const [program = '', ...args] = command(...line);
      const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8' });
      return { status, said: `${stdout}${stderr}` };
    },
    changed() {
      const now = treeOf(folder);
      const paths = new Set([...now.keys(), ...before.keys()]);
      return [...paths].filter((path) => now.get(path) !== before.get(path)).sort();
    },
  };
}

/**
 * A package `nodejs` of the version that runs this test: Debian 12's own is too old. It holds the
 * program and those of its libraries that the root lacks.
 */
export function nodejsPackage({ folder, packages }: MinimalRoot): string {
  const stage = join(packages, 'nodejs');
  const put = (from: string, to: string): void => {
    mkdirSync(dirname(join(stage, to)), { recursive: true });
    copyFileSync(realpathSync(from), join(stage, to));
  };
  put(process.execPath, '/usr/bin/node');
  for (const [, path = ''] of output('ldd', process.execPath).matchAll(/=> (\/\S+)/g))
    if (!existsSync(join(folder, path))) put(path, path);
  mkdirSync(join(stage, 'DEBIAN'));
  const fields = {
    Package: 'nodejs',
    Version: `${process.versions.node}-0test`,
    Architecture: output('dpkg', '--print-architecture').trim(),
    Maintainer: 'a test <test@packages.invalid>',
    Description: 'stand-in for a Node.js that is new enough',
  };
  const control = Object.entries(fields).map(([name, value]) => `${name}: ${value}\n`);
  writeFileSync(join(stage, 'DEBIAN/control'), control.join(''));
  output('dpkg-deb', '-Znone', '--root-owner-group', '--build', stage, `${stage}.deb`);
  rmSync(stage, { recursive: true });
  return '/mnt/nodejs.deb';
}

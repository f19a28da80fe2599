/**
 * make install and uninstall: into a folder, as a package would; what is installed runs from there,
 * and nothing but configuration stays behind.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import t, { type Test } from 'tap';
import { VERSION } from '../src/version.js';
import { temporaryFolder } from './support/collector.js';
import { install, runInstall, treeOf, type Installed } from './support/install.js';
import { needsCommands, unless } from './support/skip.js';

const root = resolve(import.meta.dirname, '..');
const built = ['build/main.js', 'bpf/packet.bpf.o'].every((path) => existsSync(join(root, path)));
const skip = unless(built, 'run make first');

const BIN = '/usr/local/bin/netwatch';
const LIB = '/usr/local/lib/netwatch';
const CONFIGURATION = '/etc/default/netwatch';

/** Files and links of it. */
function filesIn(folder: string): string[] {
  return treeOf(folder).filter((path) => !path.endsWith('/'));
}

function run(program: string, ...args: readonly string[]): string {
  return execFileSync(program, args, { encoding: 'utf8', cwd: '/' });
}

let once: Installed | undefined;
/** Installed once for the tests that only look. */
const installed = (): Installed => (once ??= install(t));

t.test('what is installed runs, and knows its tools', { skip }, (t) => {
  const { path } = installed();
  t.equal(run(path(BIN), '--version'), `${VERSION}\n`);
  t.match(run(path(BIN), '-h'), /^Usage: netwatch .*^ {2}export /ms);
  t.match(run(path(BIN), 'export', '-h'), /^Usage: netwatch export/);
  t.equal(statSync(path(BIN)).mode & 0o777, 0o755);
  t.end();
});

t.test('only what runs is installed', { skip }, (t) => {
  const { folder, path } = installed();
  const packages = readdirSync(path(`${LIB}/node_modules`));
  const { dependencies, devDependencies } = JSON.parse(
    readFileSync(join(root, 'package.json'), 'utf8'),
  ) as Record<'dependencies' | 'devDependencies', Record<string, string>>;
  t.strictSame(
    Object.keys(dependencies).filter((name) => !packages.includes(name)),
    [],
  );
  t.strictSame(
    Object.keys(devDependencies).filter((name) => packages.includes(name)),
    [],
  );
  t.strictSame(
    filesIn(folder).filter(
      (name) => /\.map$|\/\.built$/.test(name) && name.startsWith(`${LIB}/build`),
    ),
    [],
  );
  const objects = readdirSync(path(`${LIB}/bpf`));
  t.ok(
    objects.length > 0 && objects.every((name) => name.endsWith('.bpf.o')),
    'objects, no sources',
  );
  t.end();
});

const noMan = skip || needsCommands('man');

t.test(
  'man page, completions, units and examples are where a system looks',
  { skip: noMan },
  (t) => {
    const { folder, path } = installed();
    const files = filesIn(folder).filter((name) => !name.startsWith(LIB));
    for (const name of [
      '/usr/local/share/bash-completion/completions/netwatch',
      '/usr/local/share/fish/vendor_completions.d/netwatch.fish',
      '/usr/local/share/zsh/site-functions/_netwatch',
      '/usr/local/lib/systemd/system/netwatch.service',
      '/usr/local/lib/systemd/system/netwatch-serve.service',
      '/usr/local/lib/sysusers.d/netwatch.conf',
      '/usr/local/share/netwatch/kubernetes/daemonset.yaml',
      CONFIGURATION,
    ])
      t.ok(files.includes(name), name);
    const page = path('/usr/local/share/man/man8/netwatch.8');
    const { stdout, stderr } = spawnSync('man', ['--warnings', '-l', page], { encoding: 'utf8' });
    t.equal(stderr, '');
    t.match(stdout, /NETWATCH\(8\)/);
    t.end();
  },
);

t.test('tcp-insight is netwatch insight under its own name', { skip }, (t) => {
  const { path } = installed();
  t.match(run(path('/usr/local/bin/tcp-insight'), '-h'), /^Usage: netwatch insight \[options\]\n/);
  t.end();
});

t.test('another PREFIX is also that of the units', { skip }, (t) => {
  const { path } = install(t, { PREFIX: '/usr' });
  t.equal(run(path('/usr/bin/netwatch'), '--version'), `${VERSION}\n`);
  const unit = readFileSync(path('/usr/lib/systemd/system/netwatch.service'), 'utf8');
  t.match(unit, /^ExecStart=\/usr\/bin\/netwatch /m);
  t.notMatch(unit, '/usr/local');
  const elsewhere = install(t, { PREFIX: '/opt/netwatch' });
  const own = readFileSync(elsewhere.path('/etc/systemd/system/netwatch.service'), 'utf8');
  t.match(own, /^ExecStart=\/opt\/netwatch\/bin\/netwatch /m);
  t.end();
});

t.test('installing again replaces the program and keeps the options', { skip }, (t) => {
  const { folder, path } = install(t);
  const before = filesIn(folder);
  writeFileSync(path(CONFIGURATION), 'NETWATCH_OPTIONS="-x"\n');
  writeFileSync(path(`${LIB}/build/main.js`), 'broken');
  // A file of an older version, which this one does not have.
  writeFileSync(path(`${LIB}/old.js`), '');
  writeFileSync(path(`${LIB}/files`), `${LIB}/old.js\n`, { flag: 'a' });
  const said = runInstall({ DESTDIR: folder });
  t.match(said, /^netwatch: installed below .*; nothing was started\n$/);
  t.strictSame(filesIn(folder), before);
  t.equal(readFileSync(path(CONFIGURATION), 'utf8'), 'NETWATCH_OPTIONS="-x"\n');
  t.equal(run(path(BIN), '--version'), `${VERSION}\n`);
  t.end();
});

t.test('uninstall leaves the configuration and files of others', { skip }, (t) => {
  const { folder, path } = install(t);
  // Folders of others too, an empty one; and what the first installation made, the second takes away.
  mkdirSync(path('/usr/local/lib/other'));
  writeFileSync(path('/usr/local/share/man/man8/other.8'), '');
  runInstall({ DESTDIR: folder });
  t.match(runInstall({ DESTDIR: folder }, '--remove'), /^netwatch: removed from .*\/etc\/default/);
  t.strictSame(
    treeOf(folder),
    [
      ...['/etc/', '/etc/default/', CONFIGURATION, '/usr/', '/usr/local/'],
      ...['/usr/local/lib/', '/usr/local/lib/other/', '/usr/local/share/'],
      ...['/usr/local/share/man/', '/usr/local/share/man/man8/'],
      '/usr/local/share/man/man8/other.8',
    ],
    'no empty folder of ours',
  );
  t.match(runInstall({ DESTDIR: folder }, '--remove'), /^netwatch: not installed below /);
  t.end();
});

/** scripts/install as a user who may write nowhere; root gives its rights up for it. */
function refused(t: Test, env: NodeJS.ProcessEnv): { code: number | null; said: string } {
  // A copy: the checkout may be closed to other users.
  const copy = temporaryFolder(t);
  execFileSync('cp', ['-R', join(root, 'scripts'), copy]);
  execFileSync('chmod', ['-R', 'go=u-w', copy]);
  const drop = process.getuid?.() === 0 ? ['setpriv', '--reuid=65534', '--clear-groups'] : [];
  const line = [...drop, join(copy, 'scripts/install'), '--check'];
  const done = spawnSync(line[0] ?? '', line.slice(1), {
    encoding: 'utf8',
    env: { ...process.env, ...env },
  });
  return { code: done.status, said: `${done.stdout}${done.stderr}` };
}

t.test(
  'who may not write there gets one clear sentence',
  { skip: skip || needsCommands('setpriv') },
  (t) => {
    const folder = closedFolder(t);
    t.strictSame(refused(t, { PREFIX: '/usr/local', DESTDIR: folder }), {
      code: 3,
      said:
        `netwatch: cannot write into ${folder} as uid ${process.getuid?.() || 65_534}\n` +
        '  run: sudo make install, or choose another place with PREFIX=/DIRECTORY\n',
    });
    t.match(refused(t, { PREFIX: 'relative', DESTDIR: '' }), {
      code: 3,
      said: /must be absolute paths/,
    });
    t.end();
  },
);

/** A folder that only its owner may write into, and not even that one without root. */
function closedFolder(t: Test): string {
  const folder = join(temporaryFolder(t), 'closed');
  rmSync(folder, { recursive: true, force: true });
  execFileSync('install', ['-d', '-m', '555', folder]);
  execFileSync('chmod', ['755', resolve(folder, '..')]);
  return folder;
}

// make install with a PREFIX of one's own, by root and by a user without rights: nothing leaves it, which
// the kernel watches over, and uninstall leaves no empty folder.
import { execFileSync, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import t, { type Test } from 'tap';
import { VERSION } from '../../src/version.js';
import { temporaryFolder } from '../support/collector.js';
import { install, treeOf } from '../support/install.js';
import { needsCommands, needsRoot } from '../support/skip.js';
import { writableOnly } from '../support/surroundings.js';

const ROOT = resolve(import.meta.dirname, '../..');
const skip = needsRoot || needsCommands('unshare', 'setpriv');
const UNPRIVILEGED = ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups'];

/** A folder in which a user may write: `home`, `tmp`, and a checkout that he may read. */
function desk(t: Test): string {
  const folder = temporaryFolder(t);
  const checkout = join(folder, 'checkout');
  const { path } = install(t);
  const sources = ['scripts', 'build', 'bpf', 'contrib', 'docs', 'package.json'].concat(
    ['LICENSE', 'README.md', 'CHANGELOG.md'], // what make install reads
  );
  mkdirSync(join(checkout, 'node_modules'), { recursive: true });
  execFileSync('cp', ['-R', ...sources.map((name) => join(ROOT, name)), checkout]);
  execFileSync('cp', [
    '-RT',
    path('/usr/local/lib/netwatch/node_modules'),
    join(checkout, 'node_modules'),
  ]);
  const lock = 'node_modules/.package-lock.json';
  execFileSync('cp', [join(ROOT, lock), join(checkout, lock)]);
  execFileSync('chmod', ['-R', 'go=u-w', folder]);
  for (const name of ['home', 'tmp']) {
    mkdirSync(join(folder, name));
    chmodSync(join(folder, name), 0o1777);
  }
  return folder;
}

for (const { user, prefix: below, as } of [
  { user: 'root', prefix: 'home/x/y', as: [] },
  { user: 'a user without rights', prefix: 'home/.local', as: UNPRIVILEGED },
]) {
  t.test(`what ${user} installs to a PREFIX of his own stays there`, { skip }, (t) => {
    const folder = desk(t);
    const prefix = join(folder, below);
    const env = { ...process.env, PREFIX: prefix, DESTDIR: '', TMPDIR: join(folder, 'tmp') };
    // Every write outside is an error of the kernel's; tap's hooks would write outside.
    const walls = [...writableOnly(folder), ...as, 'env', '--unset=NODE_OPTIONS'];
    const alone = (...line: readonly string[]): { status: number | null; said: string } => {
      const [command = '', ...args] = [...walls, ...line];
      const { status, stdout, stderr } = spawnSync(command, args, { encoding: 'utf8', env });
      return { status, said: `${stdout}${stderr}` };
    };
    const script = join(folder, 'checkout/scripts/install');
    const before = treeOf(folder);
    t.match(alone('touch', '/etc/default/netwatch'), { status: 1 }, 'the walls stand');

    t.match(alone(script), {
      status: 0,
      said: new RegExp(`^netwatch: installed below ${prefix}; .* options: +${prefix}/etc/`, 's'),
    });
    t.strictSame(alone(join(prefix, 'bin/netwatch'), '--version'), {
      status: 0,
      said: `${VERSION}\n`,
    });
    const unit = readFileSync(join(prefix, 'lib/systemd/system/netwatch.service'), 'utf8');
    t.match(unit, `\nExecStart=${prefix}/bin/netwatch --quiet `);
    t.match(unit, `\nEnvironmentFile=-${prefix}/etc/default/netwatch\n`);

    t.match(alone(script, '--remove'), { status: 0, said: `removed from ${prefix}; ` });
    const left = treeOf(folder).filter((path) => !before.includes(path));
    const places = below.slice('home/'.length).split('/').concat('etc', 'default');
    const made = places.map((_, i) => `/home/${places.slice(0, i + 1).join('/')}/`);
    t.strictSame(left, [...made, `${made.at(-1) ?? ''}netwatch`], 'the options, nothing empty');
    t.end();
  });
}

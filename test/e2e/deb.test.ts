// The Debian package as its users meet it: judged by lintian, then installed, run, removed and purged by
// dpkg in a minimal system of the distribution's own packages.
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { gunzipSync } from 'node:zlib';
import t from 'tap';
import { VERSION } from '../../src/version.js';
import { startCollector, temporaryFolder } from '../support/collector.js';
import { minimalRoot, nodejsPackage, type MinimalRoot } from '../support/minimal-root.js';
import { createNamespace } from '../support/netns.js';
import { needsCommands, needsRoot } from '../support/skip.js';
import { runHttp } from '../support/traffic.js';

const ROOT = resolve(import.meta.dirname, '../..');
const skip =
  needsRoot ||
  needsCommands('dpkg-deb', 'dpkg-shlibdeps', 'lintian', 'mmdebstrap', 'unshare', 'chroot', 'man');

const OPTIONS = '/etc/default/netwatch';
const LOGS = '/var/log/netwatch';
/** What `systemctl enable netwatch` makes. */
const ENABLED = '/etc/systemd/system/multi-user.target.wants/netwatch.service';

/** Made as `make deb` does; its path. */
function makePackage(folder: string): string {
  const env = { ...process.env, PREFIX: '', DESTDIR: '', DEBFULLNAME: '', DEBEMAIL: '' };
  return execFileSync('scripts/deb', [folder], { cwd: ROOT, encoding: 'utf8', env }).trim();
}

if (skip === false)
  execFileSync('make', ['docs'], { cwd: ROOT, stdio: ['ignore', 'ignore', 'inherit'] });
const deb = skip ? '' : makePackage(temporaryFolder(t));
const field = (name: string): string =>
  execFileSync('dpkg-deb', ['--field', deb, name], { encoding: 'utf8' }).trim();

t.test('lintian finds no error in the package', { skip }, (t) => {
  const { status, stdout, stderr } = spawnSync(
    'lintian',
    ['--allow-root', '--tag-display-limit', '0', '--fail-on', 'error', deb],
    { encoding: 'utf8' },
  );
  t.equal(status, 0);
  t.strictSame(`${stdout}${stderr}`.match(/^E: .*/gm), null, 'no error');
  t.end();
});

t.test('what it needs and what it is called are in the package', { skip }, (t) => {
  t.equal(basename(deb), `netwatch_${VERSION}-1_${field('Architecture')}.deb`);
  const depends = field('Depends').split(', ');
  t.strictSame(depends.slice(0, 2), ['nodejs (>= 20)', 'libbpf1']);
  t.match(depends, [/^nodejs/, /^libbpf1/, /^libc6 \(>= 2\.\d+\)$/], 'and the libraries of koffi');
  t.end();
});

t.test('the same sources make the same package', { skip }, (t) => {
  const again = makePackage(temporaryFolder(t));
  t.ok(readFileSync(again).equals(readFileSync(deb)));
  t.end();
});

let made: MinimalRoot | undefined;
/** One for all tests below, each of which goes on where the last one ended. */
const root = (): MinimalRoot => (made ??= minimalRoot(t));
const path = (name: string): string => join(root().folder, name);
const inRoot = (...line: readonly string[]): ReturnType<MinimalRoot['run']> => root().run(...line);

t.test('dpkg configures it only beside a Node.js that is new enough', { skip }, (t) => {
  execFileSync('cp', [deb, join(root().packages, 'netwatch.deb')]);
  t.match(inRoot('dpkg', '--install', '/mnt/netwatch.deb'), {
    status: 1,
    said: /netwatch depends on nodejs \(>= 20\); however:\n +Package nodejs is not installed/,
  });
  t.match(inRoot('dpkg', '--install', nodejsPackage(root())), { status: 0 });
  t.match(inRoot('dpkg', '--configure', 'netwatch'), { status: 0 });
  t.strictSame(
    inRoot('dpkg', '--verify', 'netwatch'),
    { status: 0, said: '' },
    'all sums are right',
  );
  t.end();
});

t.test('what is installed runs in the minimal system', { skip }, (t) => {
  t.strictSame(inRoot('netwatch', '--version'), { status: 0, said: `${VERSION}\n` });
  t.match(inRoot('tcp-insight', '-h'), { status: 0, said: /^Usage: netwatch insight / });
  const doctor = inRoot('netwatch', 'doctor', '--no-load');
  t.equal(doctor.status, 0, doctor.said);
  t.match(doctor.said, /^ +✓ libbpf +1\.\d+, \/usr\/lib\/\S+\/libbpf\.so\.1\.\d/m);
  t.end();
});

t.test('every command has its man page, and every page is one that man reads', { skip }, (t) => {
  const pages = readdirSync(path('/usr/share/man/man8'));
  for (const name of readdirSync(join(ROOT, 'build/share/man/man8')))
    t.ok(pages.includes(`${name}.gz`), name);
  for (const name of ['netwatch', 'tcp-insight']) t.ok(pages.includes(`${name}.8.gz`), name);
  const page = path('/usr/share/man/man8/netwatch.8.gz');
  const { stdout, stderr } = spawnSync('man', ['--warnings', '-l', page], { encoding: 'utf8' });
  t.equal(stderr, '');
  t.match(stdout, /NETWATCH\(8\)/);
  const log = gunzipSync(readFileSync(path('/usr/share/doc/netwatch/changelog.Debian.gz')));
  t.match(String(log), new RegExp(`^netwatch \\(${VERSION}-1\\) `));
  t.end();
});

t.test('installing makes the account, and enables and starts nothing', { skip }, (t) => {
  t.match(readFileSync(path('/etc/passwd'), 'utf8'), /^netwatch:[^\n]*:\/usr\/sbin\/nologin$/m);
  const units = readdirSync(path('/usr/lib/systemd/system')).filter((unit) =>
    /netwatch/.test(unit),
  );
  t.strictSame(units.sort(), ['netwatch-serve.service', 'netwatch.service']);
  const unit = readFileSync(path('/usr/lib/systemd/system/netwatch.service'), 'utf8');
  t.match(unit, '\nExecStart=/usr/bin/netwatch --quiet ');
  const etc = root()
    .changed()
    .filter((name) => name.startsWith('/etc/'));
  t.strictSame(etc, [OPTIONS], 'the options are all of /etc');
  t.end();
});

t.test('the collector of the package sees a connection', { skip }, async (t) => {
  const namespace = createNamespace(t);
  // The line is: NODE PROGRAM --netns NAME --data FOLDER …
  const asInstalled = `name=$4; shift 6; exec netwatch --netns "$name" --data ${LOGS} "$@"`;
  const collector = await startCollector(t, namespace, ['-x', '-i', '--quiet'], {
    dataFolder: path(LOGS),
    wrapper: root().command('sh', '-c', asInstalled, 'sh'),
  });
  await runHttp(namespace, { requests: [{ path: '/from-the-package' }] });
  await collector.waitFor('packets.log', (samples) => samples.length > 0, 'a packet');
  t.match(await collector.stop(), { code: 0, signal: null });
  t.match(collector.read('packets.log'), '/from-the-package');
  t.match(collector.read('connects.log'), 'netwatch_');
});

t.test('installing again keeps changed options without asking', { skip }, (t) => {
  writeFileSync(path(OPTIONS), 'NETWATCH_OPTIONS="-x"\n');
  t.match(inRoot('dpkg', '--install', '/mnt/netwatch.deb'), { status: 0 });
  t.equal(readFileSync(path(OPTIONS), 'utf8'), 'NETWATCH_OPTIONS="-x"\n');
  t.end();
});

t.test('removing keeps options and logs; purging leaves nothing', { skip }, (t) => {
  mkdirSync(path(join(ENABLED, '..')), { recursive: true });
  symlinkSync('/usr/lib/systemd/system/netwatch.service', path(ENABLED));
  inRoot('dpkg', '--purge', '--force-depends', 'nodejs');

  t.match(inRoot('dpkg', '--remove', 'netwatch'), { status: 0 });
  const kept = root().changed();
  t.ok(kept.includes(OPTIONS), OPTIONS);
  t.ok(kept.includes(`${LOGS}/packets.log`), LOGS);
  t.ok(kept.includes(ENABLED), 'enabled again when installed again');
  t.strictSame(
    kept.filter((name) => name.startsWith('/usr/')),
    [],
  );

  t.match(inRoot('dpkg', '--purge', 'netwatch'), { status: 0 });
  t.strictSame(root().changed(), []);
  t.match(readFileSync(path('/etc/passwd'), 'utf8'), /^netwatch:/m, 'but the account');
  t.equal(inRoot('dpkg', '--status', 'netwatch').status, 1, 'dpkg knows it no longer');
  t.end();
});

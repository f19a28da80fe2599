// Sinks of root in the directory of another user, who swaps names between a look and a use: at every
// moment there is, each in a run of its own. What is outside must stay as it is.
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { lockDirectory } from '../src/sinks/directory-lock.js';
import { explainSinkError, type Result } from '../src/sinks/errors.js';
import { ownDirectory } from '../src/sinks/own-directory.js';
import { writePromFile } from '../src/sinks/prom-file.js';
import { RotatingLog, type RotatingLogOptions } from '../src/sinks/rotating.js';
import { needsCommands, needsRoot } from './support/skip.js';
import { asStranger, interrupted, STRANGER } from './support/stranger.js';
import { until } from './support/wait.js';

const skip = needsRoot || needsCommands('setpriv', 'zcat');
const HEADER = '# HELP nw_test A test.\n';
const SECRET = 'SECRET of root\n';

interface Stage {
  /** Of root, closed to everybody else; has one file, `secret`. */
  readonly vault: string;
  /** Of the stranger; files made in it are of the stranger's group. */
  readonly home: string;
  readonly data: string;
}

function setStage(t: Test, { ready }: { readonly ready: boolean }): Stage {
  const root = mkdtempSync(join(tmpdir(), 'netwatch-test-'));
  t.teardown(() => rmSync(root, { recursive: true, force: true }));
  chmodSync(root, 0o755);
  const [vault, home] = [join(root, 'vault'), join(root, 'home')];
  mkdirSync(vault, { mode: 0o700 });
  writeFileSync(join(vault, 'secret'), SECRET, { mode: 0o600 });
  const data = join(home, 'data');
  for (const directory of ready ? [home, data] : [home]) {
    mkdirSync(directory);
    chownSync(directory, STRANGER, STRANGER);
    chmodSync(directory, 0o2777);
  }
  return { vault, home, data };
}

const optionsFor = (directory: string): RotatingLogOptions => ({
  directory,
  name: 'packets.log',
  header: HEADER,
  rotateBytes: 200,
  rotateIntervalSeconds: null,
  keepFiles: 3,
  keepBytes: 1e6,
  gzip: true,
  maxBufferedBytes: 1e6,
  now: Date.now,
  log: () => undefined,
  checkMs: 1e6,
});

const LINES = Buffer.from('nw_test{n="1"} 1\n'.repeat(8));

/** All that the collector does in its directory; refusals and errors are no matter here. */
async function workIn(data: string): Promise<void> {
  const lock = await ownDirectory(data).catch(() => null);
  const opened = await RotatingLog.open(optionsFor(data));
  if (opened.ok) {
    for (let file = 0; file < 3; file++) {
      opened.value.write(LINES, 8);
      await opened.value.flush(20);
    }
    await opened.value.close();
  }
  await writePromFile(data, 'nw.prom', LINES);
  await lock?.release();
}

/** What is wrong with the vault, in words; empty: nothing. */
function damage({ vault, data }: Stage): string[] {
  const secret = join(vault, 'secret');
  const mode = (path: string): string => (lstatSync(path).mode & 0o7777).toString(8);
  const found = [
    `vault ${mode(vault)}`,
    `secret ${mode(secret)}`,
    ...readdirSync(vault).filter((name) => name !== 'secret'),
  ];
  const text = readFileSync(secret, 'utf8');
  const copied = copies(data);
  return [
    ...found.filter((line) => line !== 'vault 700' && line !== 'secret 600'),
    ...(text === SECRET ? [] : [`secret is now ${text}`]),
    ...copied.map((name) => `${name} has the secret`),
  ];
}

/**
 * Archives in which the stranger can read the secret. One that was moved away while it was made, by a
 * close that does not wait for it, may end early: what it has until there is looked at.
 */
function copies(data: string): string[] {
  const names = lstatSync(data).isDirectory() ? readdirSync(data) : [];
  return names.filter((name) => {
    const found = lstatSync(join(data, name));
    const isReadable = (found.mode & 0o044) !== 0;
    if (!name.endsWith('.gz') || !found.isFile() || !isReadable) return false;
    const { error, stdout } = spawnSync('zcat', ['-f', join(data, name)]);
    if (error !== undefined) throw error;
    return stdout.includes(SECRET);
  });
}

const NAMES = [
  'packets.log',
  'packets.log.0',
  'packets.log.0.gz',
  'packets.log.1.gz',
  '.packets.log.ageing',
  '.netwatch.lock',
  'nw.prom',
];

const each = (command: string): string => `for name in ${NAMES.join(' ')}; do ${command}; done`;

const swaps: Readonly<Record<string, { ready: boolean; act: (stage: Stage) => void }>> = {
  'a link to somebody’s directory in place of the data directory': {
    ready: true,
    act: ({ vault, data }) => asStranger(`mv ${data} ${data}.old; ln -s ${vault} ${data}`),
  },
  'a link in place of a directory that is about to be made': {
    ready: false,
    act: ({ vault, data }) => asStranger(`mv ${data} ${data}.old; ln -s ${vault} ${data}`),
  },
  'links to files that are not there in place of all names': {
    ready: true,
    act: ({ vault, data }) =>
      asStranger(`cd ${data}; ${each(`mv $name old-$name; ln -s ${vault}/new-$name $name`)}`),
  },
  'links to a file of root in place of all names': {
    ready: true,
    act: ({ vault, data }) =>
      asStranger(`cd ${data}; ${each(`mv $name old-$name; ln -s ${vault}/secret $name`)}`),
  },
  // Done by root: the kernel's fs.protected_hardlinks may forbid it to the stranger.
  'further names of a file of root in place of all names': {
    ready: true,
    act: ({ vault, data }) => {
      const script = `cd ${data}; ${each(`mv $name old-$name; ln ${vault}/secret $name`)}`;
      execFileSync('sh', ['-c', `{ ${script}\n} 2> /dev/null || :`]);
    },
  },
};

for (const [name, { ready, act }] of Object.entries(swaps)) {
  t.test(`${name}, at any moment`, { skip }, async (t) => {
    const forgotten: string[] = [];
    const note = ({ message }: Error): void => void forgotten.push(message);
    process.on('warning', note);
    t.teardown(() => process.off('warning', note));
    const workWith = async (moment: number): Promise<number> => {
      const stage = setStage(t, { ready });
      const work = (): Promise<void> => workIn(stage.data);
      const before = readdirSync('/proc/self/fd').length;
      const operations = await interrupted(moment, () => act(stage), work);
      // a compression for which a close does not wait has two
      const closed = (): boolean => readdirSync('/proc/self/fd').length === before;
      await until(closed, { what: 'every descriptor is closed' });
      t.strictSame(damage(stage), [], `before operation ${moment}`);
      return operations;
    };
    const moments = await workWith(Infinity);
    // how many depends on how much is written at once: each file is opened, rotated and packed at least
    t.ok(moments > 50, `${moments} moments`);
    for (let moment = 0; moment < moments; moment++) await workWith(moment);
    t.strictSame(forgotten, [], 'none was left for the collector of the engine to close');
  });
}

const sentence = (result: Result<unknown>): string =>
  result.ok ? 'no error' : explainSinkError(result.error);

t.test('a log that others have made, or may write to, is not filled', { skip }, async (t) => {
  const { data, vault } = setStage(t, { ready: true });
  const path = join(data, 'packets.log');
  const refusal = async (): Promise<string> => {
    const text = readFileSync(path, 'utf8');
    const said = sentence(await RotatingLog.open(optionsFor(data)));
    t.equal(readFileSync(path, 'utf8'), text, 'it stays as it was');
    rmSync(path);
    return said;
  };
  asStranger(`umask 0; echo mine > ${path}`);
  t.equal(await refusal(), `cannot use ${path}: it belongs to user ${STRANGER}; remove it`);
  writeFileSync(path, 'text\n');
  chmodSync(path, 0o666);
  t.equal(
    await refusal(),
    `cannot use ${path}: it may be written to by everybody; chmod o-w, or remove it`,
  );
  execFileSync('ln', [join(vault, 'secret'), path]);
  t.equal(
    await refusal(),
    `cannot use ${path}: it has 2 names (hard links); leave it one, or remove it`,
  );
});

t.test('a lock that others have made is not written to', { skip }, async (t) => {
  const { data } = setStage(t, { ready: true });
  const path = join(data, '.netwatch.lock');
  asStranger(`umask 0; echo mine > ${path}`);
  t.equal(
    sentence(await lockDirectory(data)),
    `cannot use ${path}: it belongs to user ${STRANGER}; remove it`,
  );
  t.equal(readFileSync(path, 'utf8'), 'mine\n');
});

t.test('links of root lead to the directory, those of others do not', { skip }, async (t) => {
  const { data, home, vault } = setStage(t, { ready: true });
  const ours = join(vault, 'link');
  symlinkSync(data, ours);
  const lock = await ownDirectory(ours);
  t.ok(readdirSync(data).includes('.netwatch.lock'));
  await lock.release();
  const theirs = join(home, 'link');
  asStranger(`ln -s ${data} ${theirs}`);
  await t.rejects(ownDirectory(theirs), {
    message: new RegExp(`${theirs}: it is a link that another user may have put there`),
  });
  const replaceable = join(home, 'ours');
  symlinkSync(data, replaceable);
  await t.rejects(ownDirectory(replaceable), { message: /another user may have put there/ });
});

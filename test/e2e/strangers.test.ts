// Root's program in a directory of another user: nothing of root's is written, opened to others or
// copied, whatever that user puts there, before or meanwhile. (At every moment: sinks-strangers.test.ts.)
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { packetAccount, PROM } from '../support/account.js';
import { blast } from '../support/blast.js';
import { PROGRAM, startCollector, temporaryFolder } from '../support/collector.js';
import { createNamespace } from '../support/netns.js';
import { needsCommands, needsRoot } from '../support/skip.js';
import { asStranger, STRANGER } from '../support/stranger.js';
import { startTool } from '../support/tool.js';
import { TCP_PORT } from '../support/traffic.js';
import { until } from '../support/wait.js';

const skip = needsRoot || needsCommands('setpriv', 'zcat', 'perl', 'unshare');
const QUIET = ['--quiet', '--interval', '0.2'];
const LOG = 'packets.log';
const SECRET = 'SECRET of root\n';

interface Stage {
  readonly vault: string;
  readonly secret: string;
  /** Of the stranger, whose group new files in it get. */
  readonly data: string;
}

function setStage(t: Test): Stage {
  const root = temporaryFolder(t);
  chmodSync(root, 0o755);
  const [vault, data] = [join(root, 'vault'), join(root, 'data')];
  mkdirSync(vault, { mode: 0o700 });
  const secret = join(vault, 'secret');
  writeFileSync(secret, SECRET.repeat(10_000), { mode: 0o600 });
  mkdirSync(data);
  chownSync(data, STRANGER, STRANGER);
  chmodSync(data, 0o2777);
  return { vault, secret, data };
}

function checkVault(t: Test, { vault, secret }: Stage): void {
  t.strictSame(readdirSync(vault), ['secret'], 'nothing was made');
  t.equal(lstatSync(vault).mode & 0o7777, 0o700);
  t.equal(lstatSync(secret).mode & 0o7777, 0o600);
  t.equal(readFileSync(secret, 'utf8'), SECRET.repeat(10_000));
}

/** What the stranger puts there before, by what is said of it. */
const before: Readonly<Record<string, (stage: Stage) => string>> = {
  'it belongs to user 65534; remove it': ({ data }) => `umask 0; echo mine > ${data}/${LOG}`,
  ELOOP: ({ data, secret }) => `ln -s ${secret} ${data}/${LOG}`,
  'another user may have put there': ({ data, vault }) =>
    `mv ${data} ${data}.x; ln -s ${vault} ${data}`,
};

t.test('what another user has put there before is refused at the start', { skip }, async (t) => {
  const namespace = createNamespace(t);
  for (const [reason, script] of Object.entries(before)) {
    const stage = setStage(t);
    chmodSync(join(stage.data, '..'), 0o777);
    asStranger(script(stage));
    const collector = await startCollector(t, namespace, QUIET, {
      dataFolder: stage.data,
      ready: false,
    });
    t.strictSame(await collector.exited, { code: 3, signal: null });
    const [first = '', next, ...rest] = collector.stderr().split('\n');
    t.ok(first.startsWith(`netwatch: cannot use the directory ${stage.data}: `), first);
    t.ok(first.includes(reason), first);
    t.strictSame([next, ...rest], ['  choose another one with --data DIR', '']);
    checkVault(t, stage);
  }
});

/**
 * Stands still just before the program renames the log for the second time, until the test says that
 * the names are swapped: the program itself has no right to become another user.
 */
const standingStill = (folder: string): string => `
import { execFileSync } from 'node:child_process';
import promises from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
const { rename } = promises;
let renames = 0;
promises.rename = (from, to) => {
  if (to.endsWith('/${LOG}.0') && ++renames === 2)
    execFileSync('sh', ['-c', 'touch asked; until [ -e done ]; do sleep 0.01; done'], { cwd: '${folder}' });
  return rename(from, to);
};
syncBuiltinESMExports();`;

const swaps: Readonly<Record<string, (stage: Stage) => string>> = {
  'a link to a file of root': ({ secret }) => `mv ${LOG} mine; ln -s ${secret} ${LOG}`,
  'a link to nothing, and links where files will be made': ({ vault }) =>
    `mv ${LOG} mine; for name in ${LOG} ${LOG}.0.gz ${LOG}.1.gz; do ln -s ${vault}/new $name; done`,
  'a file of their own': () => `mv ${LOG} mine; umask 0; echo theirs > ${LOG}`,
};

for (const [name, script] of Object.entries(swaps)) {
  t.test(
    `${name} in place of the log that is rotated: neither written nor packed`,
    { skip },
    async (t) => {
      const stage = setStage(t);
      const folder = temporaryFolder(t);
      const hook = join(folder, 'hook.mjs');
      writeFileSync(hook, standingStill(folder));
      const namespace = createNamespace(t);
      const options = [...QUIET, '--rotate-size', '100k', '--gzip'];
      const collector = await startCollector(t, namespace, options, {
        dataFolder: stage.data,
        env: { NODE_OPTIONS: `--import=${hook}` },
      });
      await blast(t, namespace, { port: TCP_PORT, rounds: 2003 });
      await until(() => existsSync(join(folder, 'asked')), { what: 'the second rotation' });
      asStranger(`cd ${stage.data}; ${script(stage)}`);
      t.ok(existsSync(join(stage.data, 'mine')), 'the names are swapped');
      writeFileSync(join(folder, 'done'), '');
      t.match(await collector.stop(), { code: 0 });
      checkVault(t, stage);
      const packed = readdirSync(stage.data).filter((file) => file.endsWith('.gz'));
      for (const file of packed.filter((file) => lstatSync(join(stage.data, file)).isFile()))
        t.notMatch(execFileSync('zcat', [join(stage.data, file)]).toString(), /SECRET|theirs/);
      const { accepted, written, lostInFile } = packetAccount(collector.samples(PROM));
      t.ok(accepted > 4000);
      t.equal(written + lostInFile, accepted);
    },
  );
}

t.test('the files of a tool follow no link either', { skip }, async (t) => {
  const stage = setStage(t);
  chmodSync(join(stage.data, '..'), 0o777);
  asStranger(`mv ${stage.data} ${stage.data}.x; ln -s ${stage.vault} ${stage.data}`);
  const namespace = createNamespace(t);
  await t.rejects(
    startTool(t, namespace, 'tcprtt', ['-i', '1', '--data', stage.data]),
    /ended \(3\): .*another user may have put there/,
  );
  checkVault(t, stage);
});

t.test('an export of root goes where nobody else leads it', { skip }, (t) => {
  const stage = setStage(t);
  const log = join(stage.vault, '..', 'a.log');
  writeFileSync(log, '# HELP x X.\n# TYPE x gauge\nx 1 1795248000000\n');
  const run = (out: string): ReturnType<typeof spawnSync> =>
    spawnSync(process.execPath, [PROGRAM, 'export', '--out', out, log], { encoding: 'utf8' });
  const isPiped = lstatSync('/dev/stdout').isSymbolicLink();
  // a pipe: what Node.js itself would give it is a socket, which has no name to open
  const line = [process.execPath, PROGRAM, 'export', '--out', '/dev/stdout', log];
  const piped = execFileSync('sh', ['-c', '"$@" 2>&1 | cat', 'sh', ...line], { encoding: 'utf8' });
  t.match(piped, /^x 1 1795248000$/m);
  t.equal(lstatSync('/dev/stdout').isSymbolicLink(), isPiped, 'it is not replaced');

  asStranger(`cd ${stage.data}; ln -s ${stage.vault}/new file; ln -s ${stage.secret} there`);
  asStranger(`cd ${stage.data}; ln -s ${stage.vault} folder`);
  for (const out of ['file', 'there', 'folder/new']) {
    const refused = run(join(stage.data, out));
    t.equal(refused.status, 3);
    t.match(
      refused.stderr,
      /^netwatch: cannot use \S+: it is a link that another user may have put there[^\n]*\n[^\n]+\n$/,
    );
  }
  checkVault(t, stage);
  t.equal(run(join(stage.data, 'plain')).status, 0);
  t.match(readFileSync(join(stage.data, 'plain'), 'utf8'), /^x 1 1795248000$/m);
  t.end();
});

t.test('another PID and mount namespace is no way around the lock', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const first = await startCollector(t, namespace, QUIET);
  const { dataFolder } = first;
  const alias = temporaryFolder(t);
  const mounts = ['sh', '-ec', `mount --bind ${dataFolder} ${alias}; exec "$@"`, 'sh'];
  const wrapper = ['unshare', '--pid', '--fork', '--mount-proc', '--kill-child', ...mounts];
  for (const folder of [dataFolder, alias]) {
    const second = await startCollector(t, namespace, QUIET, {
      ...{ dataFolder: folder, wrapper, ready: false },
    });
    t.match(await second.exited, { code: 3 });
    t.match(second.stderr(), new RegExp(`already running with pid ${first.pid} `));
  }
  t.match(await first.stop(), { code: 0 });
});

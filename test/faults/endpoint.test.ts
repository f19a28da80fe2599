/**
 * What is put before the endpoint: files that nobody would write, many clients at once, wrong
 * passwords, links to what is not its own. It answers on, with bounded work and bounded words.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import {
  chmodSync,
  chownSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import bcrypt from 'bcryptjs';
import t, { type Test } from 'tap';
import { GROUPS } from '../../src/serve/types.js';
import { PROGRAM, startCollector, temporaryFolder } from '../support/collector.js';
import { get } from '../support/endpoint.js';
import { createNamespace } from '../support/netns.js';
import { startServe } from '../support/serve-process.js';
import { needsRoot } from '../support/skip.js';
import { DEADLINE_MS, until } from '../support/wait.js';

/** Of a sentence about a file. */
const MOST_CHARS = 400;
const MB = 2 ** 20;

/** A data directory that everybody may read. */
function dataFolder(t: Test): string {
  const folder = join(temporaryFolder(t), 'data');
  mkdirSync(folder);
  for (const path of [folder, join(folder, '..')]) chmodSync(path, 0o755);
  return folder;
}

interface Listed {
  readonly files: readonly {
    readonly name: string;
    readonly bytes: number;
    readonly error: string | null;
  }[];
}

const labels = (count: number): string =>
  Array.from({ length: count }, (_, i) => `l${i}="v"`).join();

/** A file, and what is said of it; null: it is served. */
const FILES: readonly (readonly [what: string, text: string, says: RegExp | null])[] = [
  ['a name of 70,000 characters', `${'n'.repeat(70_000)} 1\n`, null],
  ['a label of 900,000 characters', `m{${'n'.repeat(900_000)}="v"} 1\n`, null],
  ['20,000 labels', `q{${labels(20_000)}} 1\n`, null],
  ['5 MB of one value', `p{a="${'x'.repeat(5 * MB)}"} 1\n`, null],
  ['le without TYPE', 'u_bucket{le="1"} 1\n', null],
  ['a histogram without +Inf', '# TYPE h histogram\nh_bucket{le="1"} 1\n', null],
  [
    '15 MB of errors',
    'm{a="x} 1\n'.repeat(1_500_000),
    /^x\.prom is left out: line 1: .* not closed$/,
  ],
  [
    'a value that never ends',
    `m{a="${'\\\\'.repeat(500_000)} 1\n`,
    /line 1: .*… is not closed|not closed/,
  ],
  ['keys of a terminal', 'm{a="\x1b]0;x\x07\x9b31m 1\n', /line 1: label value .* is not closed$/],
  ['twice a name of 100,000', `${'n'.repeat(100_000)} 1\n`.repeat(2), /second sample .*…$/],
];

t.test(
  'no file ends the endpoint, and what it says of one is short and plain',
  { skip: needsRoot },
  async (t) => {
    const folder = dataFolder(t);
    const served = await startServe(t, folder);
    const found = async (name: string, bytes: number): Promise<string | null> => {
      const file = await until(
        async () =>
          (JSON.parse(await served.get('/api/v1/status')) as Listed).files.find(
            (one) => one.name === name && one.bytes === bytes,
          ),
        { what: `${name} of ${bytes} bytes` },
      );
      return file.error;
    };
    for (const [what, text, says] of FILES) {
      writeFileSync(join(folder, '.new'), text);
      execFileSync('mv', [join(folder, '.new'), join(folder, 'x.prom')]);
      const error = await found('x.prom', Buffer.byteLength(text));
      if (says === null) t.equal(error, null, what);
      else t.match(error ?? '', says, what);
      t.ok((error ?? '').length <= MOST_CHARS, `${what}: bounded`);
      const { status, text: body } = await get(served);
      t.equal(status, 200, what);
      if (says === null)
        t.ok(body.includes(text.split('\n').findLast((line) => line !== '') ?? ''), what);
    }
    const name = Buffer.concat([Buffer.from(`${folder}/`), Buffer.of(0xff), Buffer.from('.prom')]);
    writeFileSync(name, 'x 1\n');
    t.equal(
      await found('\ufffd.prom', 4),
      '\ufffd.prom is left out: its name is not UTF-8; rename it',
    );
    const said = await until(
      () => /^netwatch: \ufffd\.prom is left out: .*\n/m.test(served.stderr()) && served.stderr(),
      { what: 'that is said on the terminal, too' },
    );
    // eslint-disable-next-line no-control-regex
    t.notMatch(said, /[\x00-\x09\x0b-\x1f\x7f-\x9f]/);
    t.ok(
      said.split('\n').every((line) => line.length <= MOST_CHARS + 20),
      'each line is bounded',
    );
    t.strictSame(await served.stop(), { code: 0, signal: null });
  },
);

/** Every set of parts, each once, as a query. */
const SETS = Array.from({ length: 2 ** GROUPS.length }, (_, set) => {
  const parts = GROUPS.filter((_, bit) => ((set >> bit) & 1) === 1);
  return `/metrics?${parts.map((part) => `collect[]=${part}`).join('&')}`;
});

t.test('all 64 sets of parts are answered at once, and again', { skip: needsRoot }, async (t) => {
  const folder = dataFolder(t);
  const lines = Array.from({ length: 20_000 }, (_, i) => `big{a="value number ${i}"} ${i}\n`);
  writeFileSync(join(folder, 'big.prom'), lines.join(''));
  const served = await startServe(t, folder);
  for (const round of [1, 2]) {
    const replies = await Promise.all(SETS.map((path) => get(served, path)));
    for (const [i, { status, text }] of replies.entries()) {
      t.equal(status, 200, `round ${round}: ${SETS[i] ?? ''}`);
      // without a part the query asks for all
      const hasOther = i === 0 || (SETS[i] ?? '').includes('other');
      t.equal(text.includes(lines.at(-1) ?? ''), hasOther);
    }
  }
});

const PASSWORD = 'secret';
const basic = (password: string): string =>
  `Basic ${Buffer.from(`u:${password}`).toString('base64')}`;
const asked = (password: string) => ({ headers: { authorization: basic(password) } });

/** The path of a web configuration with one user. */
function withUser(t: Test, cost: number): string {
  const file = join(temporaryFolder(t), 'web.yml');
  chmodSync(join(file, '..'), 0o755);
  writeFileSync(file, `basic_auth_users:\n  u: ${bcrypt.hashSync(PASSWORD, cost)}\n`);
  return file;
}

t.test('a known user does not wait for 200 wrong passwords', { skip: needsRoot }, async (t) => {
  const args = ['--web-config', withUser(t, 10)];
  const served = await startServe(t, dataFolder(t), { args });
  t.equal((await get(served, '/metrics', asked(PASSWORD))).status, 200);
  const order: number[] = [];
  const ask = async (password: string): Promise<void> => {
    order.push((await get(served, '/metrics', asked(password))).status);
  };
  const flood = Array.from({ length: 200 }, (_, i) => ask(`wrong ${i}`));
  await until(() => order.length > 0, { what: 'the flood has begun' });
  await ask(PASSWORD);
  await Promise.all(flood);
  t.ok(order.indexOf(200) < order.lastIndexOf(401), 'answered before the last of the flood');
  const count = (status: number): number => order.filter((one) => one === status).length;
  t.equal(count(200), 1);
  t.ok(count(401) >= 16, 'of one address sixteen may wait');
  t.equal(count(401) + count(503), 200, 'the others are told to come again');
  t.ok(count(503) > 0);
});

t.test(
  'while a password is checked everything else is answered',
  { skip: needsRoot },
  async (t) => {
    const args = ['--web-config', withUser(t, 14)];
    const served = await startServe(t, dataFolder(t), { args });
    t.equal((await get(served, '/-/healthy', asked(PASSWORD))).status, 200);
    let isOver = false;
    const wrong = get(served, '/-/healthy', asked('wrong')).then(({ status }) => {
      isOver = true;
      return status;
    });
    let answers = 0;
    while (!isOver) {
      t.equal((await get(served, '/-/healthy', asked(PASSWORD))).status, 200);
      answers += 1;
    }
    t.equal(await wrong, 401);
    // a check of 1.2 s in the thread that answers left room for 20
    t.ok(answers >= 60, `${answers} answers during one check`);
  },
);

t.test('a certificate that is a FIFO ends the start with one sentence', (t) => {
  const folder = temporaryFolder(t);
  execFileSync('mkfifo', [join(folder, 'cert')]);
  const config = join(folder, 'web.yml');
  writeFileSync(config, 'tls_server_config: {cert_file: cert, key_file: key}\n');
  const args = ['serve', '--data', folder, '--listen', '127.0.0.1:0', '--web-config', config];
  const { status, stderr } = spawnSync(process.execPath, [PROGRAM, ...args], {
    encoding: 'utf8',
    timeout: DEADLINE_MS,
  });
  t.equal(status, 3);
  t.match(
    stderr,
    /^netwatch: \S+web\.yml: cert_file cannot be read: \S+cert is not a regular file\n {2}[^\n]+\n$/,
  );
  t.end();
});

t.test('a link or a file of root brings the endpoint no group', { skip: needsRoot }, async (t) => {
  const [shadow, reader] = [42, 4242];
  const folder = dataFolder(t);
  const secret = join(folder, '..', 'secret');
  writeFileSync(secret, 'x 1\n');
  chownSync(secret, 0, shadow);
  chmodSync(secret, 0o640);
  symlinkSync(secret, join(folder, 'link.prom'));
  for (const [name, group] of [['root.prom', 0] as const, ['reader.prom', reader] as const]) {
    writeFileSync(join(folder, name), `${name.replace('.', '_')} 1\n`);
    chownSync(join(folder, name), 0, group);
    chmodSync(join(folder, name), 0o640);
  }
  const served = await startServe(t, folder);
  const { pid } = served;
  for (const thread of readdirSync(`/proc/${pid}/task`)) {
    const status = readFileSync(`/proc/${pid}/task/${thread}/status`, 'utf8');
    t.equal(/^Groups:\s*(.*?)\s*$/m.exec(status)?.[1], String(reader), thread);
  }
  const body = await served.get('/metrics');
  t.match(body, /^reader_prom 1$/m);
  t.notMatch(body, /^x 1$/m);
});

t.test(
  "what root's collector makes is served without the group of root",
  { skip: needsRoot },
  async (t) => {
    const folder = temporaryFolder(t);
    chmodSync(folder, 0o755);
    const data = join(folder, 'made', 'data');
    const collector = await startCollector(
      t,
      createNamespace(t),
      ['-q', '-e', '--interval', '0.2', '--listen', '127.0.0.1:0'],
      // without what tap has each Node program do at its end: as nobody it may not
      { dataFolder: data, wrapper: ['env', '-u', 'NODE_OPTIONS'] },
    );
    const address = await until(() => / on (http:\S+)\/\n/.exec(collector.stderr())?.[1], {
      what: 'where it serves',
    });
    const children = readFileSync(`/proc/${collector.pid}/task/${collector.pid}/children`, 'utf8');
    const pid = Number(children);
    const group = String(lstatSync(data).gid);
    t.not(group, '0');
    for (const thread of readdirSync(`/proc/${pid}/task`)) {
      const status = readFileSync(`/proc/${pid}/task/${thread}/status`, 'utf8');
      const line = (name: string): string[] =>
        (new RegExp(`^${name}:\\s*(.*?)\\s*$`, 'm').exec(status)?.[1] ?? '').split(/\s+/);
      t.strictSame(line('Gid'), Array(4).fill('65534'), thread);
      t.strictSame(line('Groups'), [group], thread);
    }
    for (const name of ['netwatch.prom', 'connects.log', 'packets.log', 'err.log'])
      t.equal(String(lstatSync(join(data, name)).gid), group, name);
    const paths = ['/metrics', '/metrics/connects', '/metrics/packets', '/metrics/err'];
    for (const path of paths) t.equal((await fetch(address + path)).status, 200, path);
    t.match(await collector.stop(), { code: 0 });
  },
);

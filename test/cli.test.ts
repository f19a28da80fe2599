/**
 * The command line: every option with good and bad values, help, and what `netwatch` itself does
 * with arguments that do not start the collector.
 */
import { execFile, spawnSync } from 'node:child_process';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { Command, CommanderError } from 'commander';
import t from 'tap';
import {
  addCollectorOptions,
  filterOf,
  namespacesOf,
  type CollectorOptions,
} from '../src/collector/options.js';
import { commandNames, loadCommand } from '../src/commands.js';
import { findCgroup, listNamespaces } from '../src/kernel/host.js';
import { logHeader } from '../src/metrics/exposition.js';
import { parsePrefix } from '../src/sources/filter.js';
import { SYMPTOMS } from '../src/symptoms.js';
import { unless } from './support/skip.js';
import { DEADLINE_MS } from './support/wait.js';

const root = join(import.meta.dirname, '..');

/** What the arguments become: options, or the words of the refusal. */
function parse(...args: string[]): CollectorOptions | string {
  let said = '';
  const program = addCollectorOptions(new Command('netwatch'))
    .allowExcessArguments(false)
    .exitOverride()
    .configureOutput({ writeErr: (text) => (said += text), writeOut: (text) => (said += text) })
    .action(() => undefined);
  try {
    program.parse(args, { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) return said;
    throw error;
  }
  return program.opts<CollectorOptions>();
}

const DEFAULTS = {
  ...{ all: false, err: false, extra: false, http: false, retrans: false, time: false },
  ...{ quiet: false, verbose: false, strict: false, ipv4: false, ipv6: false, gzip: false },
  ...({ format: 'table', numbers: false, connects: 'changes', targets: 'full' } as const),
  ...({ packets: 'all' } as const),
  ...{ data: 'data', interval: 5, maxConnections: 1000, keepFiles: 8 },
  ...{ ndjson: false, rotateSize: 67_108_864, keepBytes: 1_073_741_824, ring: 8_388_608 },
};

t.test('without options everything optional is off, the rest has its documented value', (t) => {
  t.strictSame(parse(), DEFAULTS);
  t.end();
});

const list = (length: number, from = 1): number[] => Array.from({ length }, (_, i) => from + i);
const GOOD: readonly (readonly [args: string, options: Record<string, unknown>])[] = [
  ['-x', { extra: true }],
  ['--extra', { extra: true }],
  ['-r', { retrans: true }],
  ['--retrans', { retrans: true }],
  ['-t', { time: true }],
  ['--time', { time: true }],
  ['-i', { http: true }],
  ['--http', { http: true }],
  ['-e', { err: true }],
  ['--err', { err: true }],
  ['-a', { all: true }],
  ['--all', { all: true }],
  ['-xrtie', { extra: true, retrans: true, time: true, http: true, err: true }],
  ['-s 80', { sport: [80] }],
  ['-s80', { sport: [80] }],
  ['--sport 1,65535', { sport: [1, 65_535] }],
  ['-s 80 --sport=443,8443', { sport: [80, 443, 8443] }],
  [`-d ${list(16).join()}`, { dport: list(16) }],
  ['--dport 443', { dport: [443] }],
  ['--port 443', { port: [443] }],
  ['-s 80 -d 80', { sport: [80], dport: [80] }],
  ['-p 1,4194304', { pid: [1, 4_194_304] }],
  ['--pid 7 --pid 8', { pid: [7, 8] }],
  ['--comm nginx', { comm: 'nginx' }],
  ['--saddr 10.77.0.1', { saddr: [parsePrefix('10.77.0.1')] }],
  ['--daddr 10.0.0.0/8,2001:db8::/32', { daddr: ['10.0.0.0/8', '2001:db8::/32'].map(parsePrefix) }],
  ['--netns web,/run/netns/db,4026531992', { netns: ['web', '/run/netns/db', '4026531992'] }],
  ['--cgroup /sys/fs/cgroup/x', { cgroup: '/sys/fs/cgroup/x' }],
  ['--unit nginx,app-*', { unit: ['nginx', 'app-*'] }],
  ['--container 4f3c2b1a0d9e', { container: ['4f3c2b1a0d9e'] }],
  ['-4', { ipv4: true }],
  ['--ipv4', { ipv4: true }],
  ['-6', { ipv6: true }],
  ['--ipv6', { ipv6: true }],
  ['--data /tmp/x', { data: '/tmp/x' }],
  ['--interval 0.5', { interval: 0.5 }],
  ['--interval 2147483', { interval: 2_147_483 }],
  ['--duration 60', { duration: 60 }],
  ['-q', { quiet: true }],
  ['--quiet', { quiet: true }],
  ['--max-connections 1', { maxConnections: 1 }],
  ['--rotate-size 64k', { rotateSize: 65_536 }],
  ['--rotate-size 1', { rotateSize: 1 }],
  ['--keep-bytes 100M', { keepBytes: 104_857_600 }],
  ['--keep-bytes 2g', { keepBytes: 2_147_483_648 }],
  ['--keep-bytes 2GiB', { keepBytes: 2_147_483_648 }],
  ['--rotate-interval 90', { rotateInterval: 90 }],
  ['--rotate-interval 15m', { rotateInterval: 900 }],
  ['--rotate-interval 1h', { rotateInterval: 3600 }],
  ['--rotate-interval 1d', { rotateInterval: 86_400 }],
  ['--rotate-interval 5s', { rotateInterval: 5 }],
  ['--keep-files 1000000000', { keepFiles: 1e9 }],
  ['--gzip', { gzip: true }],
  ['--ndjson', { ndjson: true }],
  ['--ring 4k', { ring: 4096 }],
  ['--ring 1G', { ring: 1_073_741_824 }],
  ['--simulate-drops 10', { simulateDrops: 10 }],
  ['--strict', { strict: true }],
  ['--listen', { listen: '127.0.0.1:41420' }],
  ['--listen -x', { listen: '127.0.0.1:41420', extra: true }],
  ['--listen :9000', { listen: ':9000' }],
  ['--listen=[::1]:9000', { listen: '[::1]:9000' }],
  ['--web-config web.yml', { webConfig: 'web.yml' }],
  ['--web-config web.yml --listen :1', { webConfig: 'web.yml', listen: ':1' }],
  ['-v', { numbers: true }],
  ['--numbers', { numbers: true }],
  ...(['full', 'path', 'first-segment', 'none'] as const).map(
    (targets) => [`--targets ${targets}`, { targets }] as const,
  ),
  ['--connects all', { connects: 'all' }],
  ...(['all', 'http', 'none'] as const).map(
    (packets) => [`--packets ${packets}`, { packets }] as const,
  ),
  ['--connects changes', { connects: 'changes' }],
  ['--format lmp', { format: 'lmp' }],
  ['--format table', { format: 'table' }],
  ['--verbose', { verbose: true }],
];

t.test('every option takes the values it promises, by its short and its long name', (t) => {
  for (const [args, options] of GOOD)
    t.strictSame(parse(...args.split(' ')), { ...DEFAULTS, ...options }, args);
  t.strictSame(parse('-s', ' 80, 443 '), { ...DEFAULTS, sport: [80, 443] }, 'spaces in a list');
  const tried = new Set(GOOD.flatMap(([, options]) => Object.keys(options)));
  const command = addCollectorOptions(new Command());
  const names = command.options.map((option) => option.attributeName());
  t.strictSame(
    names.filter((name) => !tried.has(name)),
    [],
    'no option is left out here',
  );
  t.end();
});

const PORT =
  /'-[sd], --[sd]port <PORTS>' argument '.*' is invalid\. It should be a port from 1 to 65535\./;
const SIZE = /It should be a size such as 65536, 64k, 100M or 1G\./;
const RING = /--ring <BYTES>.*(It should be a power of two from 4k to 1G|a size such as)/;
const TIME = /It should be a time such as 90s, 15m, 1h or 1d\./;
const SECONDS = /It should be seconds, more than 0 and at most 2147483\./;
const ADDRESS =
  /It should be an IPv4 or IPv6 address, with a prefix length if wanted: 10\.0\.0\.0\/8\./;
const NUMBER = /It should be a number from 1 to 1000000000\./;
const LISTEN =
  /--listen \[ADDR\].* It should be an address with a port: 127\.0\.0\.1:41420, .* all addresses\./;
const BAD: readonly (readonly [option: string, values: readonly string[], says: RegExp])[] = [
  [
    '--sport',
    ['', 'x', '0', '65536', '80,', ',80', '80 443', '-1', '+1', '1.5', '1e3', '0x50'],
    PORT,
  ],
  ['-d', ['http', '80;443', '99999999999999999999'], PORT],
  ['-s', [list(17).join()], /-s, --sport.*At most 16 are possible\./],
  [
    '--pid',
    ['0', '4194305', 'self', ''],
    /-p, --pid.*It should be a process id from 1 to 4194304\./,
  ],
  ['--saddr', ['', 'localhost', '10.0.0.0/33', '1.2.3', 'fe80::1%eth0', '::/129'], ADDRESS],
  ['--daddr', ['10.0.0.1,', '10.0.0.1:80', '[::1]'], ADDRESS],
  ['--netns', ['', 'a,,b'], /--netns.*It must not be empty\./],
  ['--interval', ['0', '-1', '0.0', '2147484', '5s', '1e3', '', 'Infinity', 'NaN', '.5'], SECONDS],
  ['--duration', ['0', 'x', '1m'], SECONDS],
  ['--max-connections', ['0', '-1', '1.5', '', '1000000001', 'all'], NUMBER],
  ['--keep-files', ['0', 'x'], NUMBER],
  ['--rotate-size', ['0', '-1', '', '1T', '1.5G', 'k', '99999999999G', '1 M'], SIZE],
  ['--keep-bytes', ['0', 'all'], SIZE],
  ['--rotate-interval', ['0', '0h', '', '1w', '-5m', '1h30m', '1.5h'], TIME],
  ['--listen', ['41420', '127.0.0.1', '::1:80', ':65536', 'a b:80'], LISTEN],
  ['--ring', ['0', '5k', '4095', '2k', '2G', '12345678', 'x', ''], RING],
];

t.test('every option refuses other values, and says what would be right', (t) => {
  for (const [option, values, says] of BAD)
    for (const value of values) {
      const refusal = parse(`${option.startsWith('--') ? `${option}=` : option}${value}`);
      t.type(refusal, 'string', `${option} ${value}`);
      t.match(refusal, says, `${option} ${value}`);
      t.match(refusal, /^error: option [^\n]*\n$/, 'in one line');
    }
  for (const option of ['-s', '--comm', '--data', '--cgroup', '--ring', '--duration'])
    t.match(parse(option), /^error: option '.*' argument missing\n$/, option);
  t.end();
});

t.test('an empty process name is refused: no process has one', (t) => {
  t.match(parse('--comm='), /--comm <NAME>.* It must not be empty\./);
  t.end();
});

t.test('-4 and -6 exclude each other', (t) => {
  const says = /^error: option '-6, --ipv6' cannot be used with option '-4, --ipv4'\n$/;
  t.match(parse('-4', '-6'), says);
  t.match(parse('--ipv6', '--ipv4'), says);
  t.end();
});

t.test('a mistyped option gets a suggestion, a stray word is refused', (t) => {
  t.match(parse('--qiet'), /unknown option '--qiet'\n\(Did you mean --quiet\?\)/);
  t.match(parse('--max-connection=5'), /Did you mean --max-connections\?/);
  t.match(parse('-z'), /unknown option '-z'/);
  t.match(parse('80'), /too many arguments/);
  t.end();
});

t.test('the filter is what the options say', (t) => {
  const filter = (...args: string[]) => {
    const options = parse(...args);
    if (typeof options === 'string') throw new Error(options);
    return filterOf(options, namespacesOf(options));
  };
  const none = {
    ...{ pids: [], comm: null, localPorts: [], peerPorts: [], ports: [], localAddresses: [] },
    ...{ peerAddresses: [], family: null, namespaces: [], cgroup: null },
  };
  t.strictSame(filter(), none);
  t.strictSame(filter('-p', '7', '--comm', 'x'), { ...none, pids: [7], comm: 'x' });
  t.strictSame(filter('-s', '80', '-d', '443'), { ...none, localPorts: [80], peerPorts: [443] });
  t.strictSame(filter('--saddr', '10.0.0.1', '--daddr', '::1'), {
    ...none,
    localAddresses: [parsePrefix('10.0.0.1')],
    peerAddresses: [parsePrefix('::1')],
  });
  t.equal(filter('-4').family, 4);
  t.equal(filter('-6').family, 6);
  const own = statSync('/proc/self/ns/net').ino;
  t.strictSame(filter('--netns', '/proc/self/ns/net').namespaces, [own]);
  t.strictSame(filter('--netns', `${own}`).namespaces, [own]);
  t.end();
});

t.test('namespaces and cgroups that do not exist are refused by name', (t) => {
  const refusal = (failure: Record<string, unknown>) => ({ name: 'NetwatchError', failure });
  for (const name of ['no-such-namespace', '/no/such/file', '1', '4294967297'])
    t.throws(
      () => namespacesOf({ ...DEFAULTS, netns: ['/proc/self/ns/net', name] }),
      refusal({ code: 'no-netns', name }),
    );
  for (const path of ['/no/such/cgroup', '/tmp', '/proc/self/status'])
    t.throws(() => findCgroup(path), refusal({ code: 'no-cgroup', path }));
  t.end();
});

const mounts = readFileSync('/proc/self/mounts', 'utf8');
const cgroup2 = /^\S+ (\S+) cgroup2 /m.exec(mounts)?.[1];
const noCgroup = unless(
  cgroup2 !== undefined && existsSync(`${cgroup2}/cgroup.controllers`),
  'no cgroup v2 is mounted',
);

t.test('a cgroup is known to the kernel by its inode number', { skip: noCgroup }, (t) => {
  const root = statSync(cgroup2 ?? '', { bigint: true }).ino;
  t.strictSame(findCgroup(cgroup2 ?? ''), { id: root, level: root === 1n ? 0 : null });
  t.end();
});

t.test('the namespaces of the host are listed once each, with a way in', (t) => {
  const found = listNamespaces();
  const own = statSync('/proc/self/ns/net').ino;
  t.ok(found.has(own));
  for (const [inode, path] of found) {
    // The process that held it may be gone.
    if (existsSync(path)) t.equal(statSync(path).ino, inode, path);
  }
  t.end();
});

/** The lines under `Examples:`, which has to be the last section. */
function examples(help: string): string[] {
  const [, last] = /\nExamples:\n((?: {2,}\S[^\n]*\n)+)\n?$/.exec(help) ?? [];
  return (last ?? '').split('\n').filter((line) => line !== '');
}

const words = (line: string): string[] =>
  line
    .replace(/ {2,}\S.*$|#.*$/, '')
    .trim()
    .split(/\s+/)
    .filter((word) => word !== 'sudo');

t.test('help explains every option and ends in examples that work', (t) => {
  let help = '';
  const command = addCollectorOptions(new Command('netwatch')).configureOutput({
    writeOut: (text) => (help += text),
  });
  command.outputHelp();
  for (const { flags, description } of command.options) {
    t.ok(help.includes(`  ${flags} `), flags);
    t.match(description, /^\S.{5,}[^.]$/, `${flags} says what it does`);
  }
  const lines = examples(help);
  t.ok(lines.length >= 5, 'examples come last');
  for (const line of lines) {
    const [program, ...args] = words(line.trim());
    if (program === 'netwatch') t.type(parse(...args), 'object', line);
    else t.equal(program, 'tail', line);
  }
  for (const line of help.split('\n'))
    t.ok(line.length <= 100, `fits a terminal: ${line.slice(0, 40)}`);
  t.end();
});

t.test(
  'every tool is named after its file, says what it is and ends its help in examples',
  async (t) => {
    t.ok(commandNames().length > 0);
    for (const name of commandNames()) {
      const tool = await loadCommand(name);
      t.equal(tool.name, name);
      t.match(tool.summary, /^(TCP |[a-z])[^.\n]{10,}[^.]$/, `${name}: ${tool.summary}`);
      let help = '';
      const command = tool.command().configureOutput({ writeOut: (text) => (help += text) });
      t.equal(command.name(), name);
      command.outputHelp();
      const lines = examples(help).filter((line) => line.startsWith('  ') && line[2] !== ' ');
      t.ok(
        lines.some((line) =>
          line
            .trim()
            .replace(/^sudo /, '')
            .startsWith(`netwatch ${name} `),
        ),
        `${name}: examples`,
      );
    }
  },
);

const MAIN = join(root, 'build/main.js');
const skip = unless(existsSync(MAIN), 'build/main.js is missing: run make build');

interface Run {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs the built program. */
function run(args: readonly string[], env: Record<string, string> = {}): Promise<Run> {
  return spawned(process.execPath, [MAIN, ...args], env);
}

/** A shell line in which `$netwatch` is the built program. */
function shell(line: string): Promise<Run> {
  return spawned('bash', ['-c', line], { netwatch: `${process.execPath} ${MAIN}` });
}

function spawned(
  program: string,
  args: readonly string[],
  env: Record<string, string>,
): Promise<Run> {
  return new Promise((resolve) => {
    const environment = { ...process.env, NODE_OPTIONS: '', ...env };
    const options = { cwd: t.testdirName, env: environment, timeout: DEADLINE_MS };
    execFile(program, args, options, (error, out, err) => {
      const code = error === null ? 0 : typeof error.code === 'number' ? error.code : -1;
      resolve({ code, out, err });
    });
  });
}

t.testdir({});

t.test('wrong arguments end with exit code 2 and a pointer to the help', { skip }, async (t) => {
  const wrong = {
    '--dport=x': /^error: option '-d, --dport <PORTS>' argument 'x' is invalid\./,
    '--qiet': /^error: unknown option '--qiet'\n\(Did you mean --quiet\?\)/,
    '-4 -6': /^error: option '-6, --ipv6' cannot be used/,
    'exprot x.log': /^error: unknown command 'exprot'; did you mean export\?\n/,
    'tcplif -t --what': /^error: unknown command 'tcplif'; did you mean tcplife\?\n/,
    'help tcplif': /^error: unknown command 'tcplif'; did you mean tcplife\?\n/,
    'help nope': /^error: unknown command 'nope'\n/,
    'tcpto -h': /^error: unknown command 'tcpto'; did you mean tcptop\?\n/,
    tcpl: /^error: unknown command 'tcpl'; did you mean one of tcplife, tcprtt, tcptop\?\n/,
    '-x -q srve': /^error: unknown command 'srve'; did you mean serve\?\n/,
    '-x tcplife -t': /^error: 'tcplife' has to come first: netwatch tcplife \[options\]\n/,
  };
  await Promise.all(
    Object.entries(wrong).map(async ([args, says]) => {
      const { code, out, err } = await run(args.split(' '));
      t.strictSame([code, out], [2, ''], args);
      t.match(err, says, args);
      t.match(err, /\(netwatch -h shows all options, with examples\)\n$/, args);
      t.notMatch(err, /\n {4}at /, 'no stack');
    }),
  );
});

t.test('the errors of every command point to its own help', { skip }, async (t) => {
  await Promise.all(
    commandNames().map(async (name) => {
      const { code, err } = await run([name, '--qqq']); // near to no option
      t.equal(code, 2, name);
      const [says = '', hint] = err.split('\n');
      t.match(says, /^error: (unknown|required) option '/, name);
      t.equal(hint, `(netwatch ${name} -h shows all options, with examples)`);
    }),
  );
});

t.test('help leads from a symptom to a command before anything else', { skip }, async (t) => {
  const { out } = await run(['-h']);
  const [, , table = ''] = out.split('\n\n');
  const [title, ...rows] = table.split('\n');
  t.equal(title, 'What you see, and what shows why:');
  t.strictSame(
    rows.map((row) => row.trim().split(/ {2,}/)),
    SYMPTOMS.map(({ symptom, command }) => [symptom, command]),
  );
  for (const row of rows) t.ok(row.length <= 80, row);
  t.notMatch((await run(['tcplife', '-h'])).out, title ?? '', 'not in the help of a command');
});

t.test('every symptom leads to a command that there is', async (t) => {
  for (const { command: line } of SYMPTOMS) {
    const [program, name = '', ...rest] = words(line);
    t.equal(program, 'netwatch', line);
    if (name.startsWith('-')) {
      t.type(parse(name, ...rest), 'object', line);
      continue;
    }
    t.ok(commandNames().includes(name), line);
    const command = (await loadCommand(name)).command();
    command.exitOverride().action(() => undefined);
    t.doesNotThrow(() => command.parse(rest, { from: 'user' }), line);
  }
});

t.test('help and version are printed and end well', { skip }, async (t) => {
  const [short, long, version, shortVersion] = await Promise.all(
    ['-h', '--help', '--version', '-V'].map((arg) => run([arg])),
  );
  t.strictSame([short?.code, short?.err], [0, '']);
  t.equal(long?.out, short?.out);
  t.match(short?.out, /^Usage: netwatch \[options\] \[command\]\n/);
  t.match(
    short?.out,
    /\nAbout the files:\n(.*\n)* {2}export \[options\] <LOG\.\.\.> .*/,
    'with the tools',
  );
  t.ok(examples(short?.out ?? '').length >= 5, 'examples come last');
  const { version: wanted } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
    version: string;
  };
  t.strictSame(version, { code: 0, out: `${wanted}\n`, err: '' });
  t.strictSame(shortVersion, version);
});

t.test('a reader that goes away is no error', { skip }, async (t) => {
  const status = '; echo ${PIPESTATUS[0]}';
  const [first, none] = await Promise.all(
    ['$netwatch -h | head -1', '$netwatch -h | true'].map((line) => shell(line + status)),
  );
  t.strictSame(first, { code: 0, out: 'Usage: netwatch [options] [command]\n0\n', err: '' });
  t.strictSame(none, { code: 0, out: '0\n', err: '' });
});

t.test('a reader of errors that goes away changes no exit code', { skip }, async (t) => {
  const { out } = await shell('$netwatch --bogus 2>&1 | true; echo ${PIPESTATUS[0]}');
  t.equal(out, '2\n');
});

t.test('help is a command, also for one tool', { skip }, async (t) => {
  const [all, one] = await Promise.all([run(['help']), run(['help', 'export'])]);
  t.strictSame([all.code, all.err], [0, '']);
  t.match(all.out, /^Usage: netwatch \[options\]/);
  t.strictSame([one.code, one.err], [0, '']);
  t.match(one.out, /^Usage: netwatch export \[options\] <LOG\.\.\.>/);
});

t.test('options that make no sense together are refused at once', { skip }, async (t) => {
  const data = join(t.testdir({}), 'data');
  const refusal = (...args: string[]): Promise<Run> =>
    run(['--data', data, '--netns', '/no/such', ...args]);
  t.strictSame(await refusal('--web-config', 'web.yml'), {
    code: 2,
    out: '',
    err: 'netwatch: --web-config is of no use without --listen\n  add --listen, or leave it out\n',
  });
  t.strictSame(await refusal('--packets', 'http'), {
    code: 2,
    out: '',
    err: 'netwatch: --packets http is of no use without -i\n  add -i, or ask for --packets none\n',
  });
  const header = logHeader('connects').length;
  const [plain, gzip] = [2, 3.01].map((files) => Math.ceil((header + 1) * files));
  const cases: readonly (readonly [least: number, option: readonly string[]])[] = [
    [plain ?? 0, []],
    [gzip ?? 0, ['--gzip']],
  ];
  const passed = /^netwatch: (no network namespace|need CAP_BPF|libbpf)/;
  for (const [least, option] of cases) {
    const bytes = least - 1;
    t.strictSame(await refusal(...option, '--keep-bytes', `${bytes}`), {
      code: 2,
      out: '',
      err:
        `netwatch: --keep-bytes ${bytes} is too little for connects.log, whose files begin with a header of ${header} bytes\n` +
        `  give it at least ${Math.ceil(least / 1024)}k\n`,
    });
    t.match((await refusal(...option, '--keep-bytes', `${least}`)).err, passed);
  }
  const readable = join(t.testdir({ 'web.yml': '' }), 'web.yml');
  t.match((await refusal('--web-config', readable, '--listen')).err, passed);
  t.strictSame(await refusal('--web-config', 'no.yml', '--listen'), {
    code: 3,
    out: '',
    err:
      "netwatch: cannot read the web configuration: ENOENT: no such file or directory, access 'no.yml'\n" +
      '  correct the path after --web-config, or the permissions of the file\n',
  });
  t.notOk(existsSync(data));
});

t.test('export is reached, with its own help, errors and exit codes', { skip }, async (t) => {
  const dir = t.testdir({
    'x.log': '# HELP x y\n# TYPE x gauge\nx{a="b"} 1 1795262400000\n',
    'x.prom': '# HELP x y\n# TYPE x gauge\nx 1\nx{a="b"} 1\n',
  });
  const files = [[join(dir, 'x.prom')], [join(dir, 'x.log')]];
  const runs = [['-h'], [], ['--since', 'x', 'y.log'], ['no.log'], ...files];
  const [help, bare, since, absent, snapshot, good] = await Promise.all(
    runs.map((args) => run(['export', ...args])),
  );
  t.equal(help?.code, 0);
  t.match(help?.out, /^Usage: netwatch export \[options\] <LOG\.\.\.>/);
  t.match(bare, { code: 2, out: '', err: /^error: missing required argument 'LOG'/ });
  t.match(since, { code: 2, out: '', err: /--since <TIME>.* invalid/ });
  t.match(absent, { code: 2, out: '', err: /^netwatch: .*no\.log\n {2}\S.*\n$/ });
  t.match(snapshot, {
    code: 2,
    out: '',
    err: /^netwatch: .*x\.prom is no history: .*\n {2}\S.*\n$/,
  });
  t.match(good, { code: 0, out: /^x\{a="b"\} 1\.?0? 1795262400(\.000)?\n# EOF\n$/m });
});

/** Would start the collector; the namespace that does not exist keeps it from doing so here. */
const START = ['--netns', '/no/such/namespace', '--quiet', '--duration', '1'];

t.test('without libbpf it says which package is missing; help needs none', { skip }, async (t) => {
  // A file that is no library stands before the real one.
  const env = { LD_LIBRARY_PATH: t.testdir({ 'libbpf.so.1': '' }) };
  const [start, help] = await Promise.all([run(START, env), run(['-h'], env)]);
  t.strictSame(start, {
    code: 3,
    out: '',
    err: 'netwatch: libbpf.so.1 was not found\n  install the package libbpf1\n',
  });
  t.equal(help.code, 0);
});

const isRoot = process.getuid?.() === 0;
const drop = ['--bounding-set', '-all', '--inh-caps', '-all'];
const canDrop = !isRoot || spawnSync('setpriv', [...drop, 'true']).status === 0;
const noDrop = skip || unless(canDrop, 'setpriv cannot take the capabilities away');

t.test('without privileges it says which ones it needs', { skip: noDrop }, async (t) => {
  const command = [process.execPath, MAIN, ...START];
  const [program = '', ...args] = isRoot ? ['setpriv', ...drop, ...command] : command;
  const { code, out, err } = await spawned(program, args, {});
  t.strictSame([code, out], [3, '']);
  t.match(err, /^netwatch: need CAP_BPF .*CAP_PERFMON .*CAP_NET_ADMIN .*\n {2}(give|run) .*\n$/);
});

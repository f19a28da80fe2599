/**
 * What ships the NDJSON files: the configurations in contrib/ against names of files and fields as
 * netwatch makes them, and real programs that follow a file through rotation.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import t, { type Test } from 'tap';
import { parse } from 'yaml';
import { packetEvent } from '../src/metrics/ndjson.js';
import { NdjsonLog } from '../src/sinks/ndjson-log.js';
import { RotatingLog } from '../src/sinks/rotating.js';
import { unless } from './support/skip.js';
import { until } from './support/wait.js';

const ROOT = resolve(import.meta.dirname, '..');
const DATA = '/var/log/netwatch';
const FILES = ['connects.ndjson', 'packets.ndjson', 'err.ndjson'];
const inData = (name: string): string => `${DATA}/${name}`;

type Options = Readonly<Record<string, unknown>>;
interface Vector {
  readonly sources: Readonly<Record<string, Options>>;
  readonly transforms: Readonly<Record<string, Options>>;
  readonly sinks: Readonly<Record<string, Options>>;
}
interface FluentBit {
  readonly parsers: readonly Options[];
  readonly pipeline: { readonly inputs: readonly Options[]; readonly outputs: readonly Options[] };
}

/** A configuration; with its examples, the lines that are commented out with their indentation. */
function configuration(path: string, examples = false): unknown {
  const text = readFileSync(join(ROOT, 'contrib', path), 'utf8');
  return parse(examples ? text.replace(/^#(?= {2,})/gm, '') : text);
}

/** A shell pattern with `*` as an expression; `*` of a whole path matches no slash. */
function globExpression(pattern: string): RegExp {
  const parts = pattern.split('*').map((part) => part.replace(/[.\\[\](){}+?^$|]/g, '\\$&'));
  return new RegExp(`^${parts.join('[^/]*')}$`);
}

function folder(t: Test): string {
  const made = mkdtempSync(join(tmpdir(), 'nwtest-'));
  t.teardown(() => rmSync(made, { recursive: true, force: true }));
  return made;
}

async function openLog(t: Test, directory: string, gzip = false): Promise<NdjsonLog> {
  const opened = await RotatingLog.open({
    ...{ directory, name: 'packets.ndjson', header: '', rotateBytes: 2000, gzip },
    ...{ rotateIntervalSeconds: null, keepFiles: 1000, keepBytes: 1e9 },
    ...{ maxBufferedBytes: 4e6, now: Date.now, log: () => undefined },
  });
  if (!opened.ok) throw new Error(opened.error.code);
  const log = new NdjsonLog(opened.value);
  t.teardown(() => log.close());
  return log;
}

/** Names of files that netwatch leaves behind, rotated and not. */
async function fileNames(t: Test): Promise<string[]> {
  const directory = folder(t);
  for (const gzip of [false, true]) {
    const log = await openLog(t, directory, gzip);
    for (let n = 0; n < 100; n++) {
      log.write({ n, rest: 'x'.repeat(100) });
      await log.flush();
    }
    await log.close();
  }
  const rotated = readdirSync(directory).filter((name) => name !== 'packets.ndjson');
  const staged = ['packets.ndjson.0', 'packets.ndjson.0.gz'];
  return [...rotated, ...staged];
}

t.test('shippers follow the three files and none of the rotated ones', async (t) => {
  const rotated = await fileNames(t);
  t.ok(
    rotated.length > 10 && rotated.some((name) => name.endsWith('.gz')),
    `${rotated.length} names`,
  );
  const vector = configuration('vector/vector.yaml') as Vector;
  const { include, exclude } = vector.sources['netwatch_files'] as Record<string, string[]>;
  const tail = (configuration('fluent-bit/fluent-bit.yaml') as FluentBit).pipeline.inputs[0];
  const patterns = {
    vector: { include: include?.[0] ?? '', exclude: exclude?.[0] ?? '' },
    // Fluent Bit compares exclude_path with the whole path, where * matches slashes too.
    'fluent-bit': {
      include: String(tail?.['path']),
      exclude: inData(String(tail?.['exclude_path'])),
    },
  };
  for (const [shipper, pattern] of Object.entries(patterns)) {
    const [included, excluded] = [globExpression(pattern.include), globExpression(pattern.exclude)];
    for (const name of FILES) {
      t.match(inData(name), included, `${shipper} reads ${name}`);
      t.notMatch(inData(name), excluded);
    }
    const followed = rotated.filter((name) => included.test(inData(name)));
    t.strictSame(followed, [], `${shipper} follows no rotated file`);
    t.strictSame(
      rotated.filter((name) => !excluded.test(inData(name))),
      [],
      `${shipper} excludes each of them`,
    );
    for (const other of ['packets.log', 'packets.log.1', 'netwatch.prom', 'netwatch.lock'])
      t.notMatch(inData(other), included);
  }
});

t.test('the configuration of Vector connects its components, each with its documentation', (t) => {
  for (const examples of [false, true]) {
    const { sources, transforms, sinks } = configuration('vector/vector.yaml', examples) as Vector;
    const text = readFileSync(join(ROOT, 'contrib/vector/vector.yaml'), 'utf8');
    const all = { ...sources, ...transforms, ...sinks };
    t.equal(Object.keys(sinks).length, examples ? 6 : 2);
    const offered = [...Object.keys({ ...sources, ...transforms }), 'netwatch_events.dropped'];
    for (const [name, component] of Object.entries(all)) {
      t.match(text, `/${String(component['type'])}/\n`, `${name} says where it is documented`);
      const inputs = (component['inputs'] ?? []) as string[];
      t.strictSame(
        inputs.filter((input) => !offered.includes(input)),
        [],
        `inputs of ${name}`,
      );
    }
  }
  t.end();
});

t.test('the configuration of Fluent Bit connects its plugins, those of the examples too', (t) => {
  for (const examples of [false, true]) {
    const { pipeline, parsers } = configuration(
      'fluent-bit/fluent-bit.yaml',
      examples,
    ) as FluentBit;
    const { inputs, outputs } = pipeline;
    t.equal(outputs.length, examples ? 6 : 2);
    const tags = inputs.map(({ tag }) => tag);
    for (const { name, match } of outputs) t.ok(tags.includes(match), `${String(name)} is fed`);
    for (const tag of tags)
      t.ok(
        outputs.some(({ match }) => match === tag),
        'and nothing is left',
      );
    t.equal(inputs[0]?.['parser'], parsers[0]?.['name']);
  }
  t.end();
});

const PACKET = {
  ...{
    seq: 1,
    ack: 2,
    received: true,
    retransmitted: false,
    macNs: null,
    ipNs: 8643,
    tcpNs: 1_449_000,
    reorderNs: 0,
  },
  ...{ httpInfo: 'GET / HTTP/1.1', lengthBytes: 92, timestampMs: 1_795_237_097_833 },
};
const ENDS = {
  ...{ sock: 'ffff88811ffddc80', localAddress: '127.0.0.1', localPort: 55_584 },
  ...{ peerAddress: '127.0.0.1', peerPort: 8099 },
};

t.test('the time of an event has the form that the shippers are told to expect', (t) => {
  const event = packetEvent(ENDS, PACKET, { times: true, http: true });
  t.equal(event['time'], '2026-11-21T04:58:17.833Z');
  const [parser] = (configuration('fluent-bit/fluent-bit.yaml') as FluentBit).parsers;
  t.equal(parser?.['time_key'], 'time');
  const forms = {
    ...{ Y: '\\d{4}', m: '\\d\\d', d: '\\d\\d', H: '\\d\\d', M: '\\d\\d', S: '\\d\\d' },
    ...{ L: '\\d{1,9}', z: '(Z|[+-]\\d{4})' },
  };
  const expected = String(parser?.['time_format'])
    .replaceAll('.', '\\.')
    .replace(/%(\w)/g, (_, letter: keyof typeof forms) => forms[letter]);
  t.match(event['time'], new RegExp(`^${expected}$`));
  // Vector's %+ is RFC 3339: what Date reads and writes.
  const { source } = (configuration('vector/vector.yaml') as Vector).transforms['netwatch_events']!;
  t.match(source, '.timestamp = parse_timestamp!(.time, "%+")');
  t.equal(new Date(event['time'] as string).getTime(), PACKET.timestampMs);
  t.end();
});

interface Follower {
  /** Numbers of the events that have arrived. */
  readonly seen: () => number[];
}

/** Ends a program that the test has started, and waits for that. */
function endWith(t: Test, child: ChildProcess): void {
  const ended = new Promise((resolve) => child.once('exit', resolve));
  t.teardown(async () => {
    child.kill('SIGTERM');
    await ended;
  });
}

const numbers = (text: string): number[] =>
  text
    .slice(0, text.lastIndexOf('\n') + 1)
    .split('\n')
    .slice(0, -1)
    .map((line) => Number((JSON.parse(line) as { n: unknown }).n));

/** Writes through ten rotations, at the pace of the follower, and compares what has arrived. */
async function throughRotations(t: Test, log: NdjsonLog, { seen }: Follower): Promise<void> {
  let written = 0;
  let rotations = 0;
  const write = async (): Promise<void> => {
    log.write({ n: written++, rest: 'x'.repeat(100) });
    await log.flush();
  };
  const arrived = (): Promise<boolean> =>
    until(() => seen().length >= written, { what: `event ${written} has arrived` });
  await write();
  await arrived(); // it follows the file
  while (rotations < 10) {
    await write();
    if (log.stats().rotations > rotations) await arrived();
    ({ rotations } = log.stats());
  }
  t.ok(written > 100, `${written} events`);
  const all = Array.from({ length: written }, (_, n) => n);
  t.strictSame(seen(), all, 'each once, in order');
}

t.test('tail -F loses nothing through ten rotations', async (t) => {
  for (const gzip of [false, true]) {
    const directory = folder(t);
    const log = await openLog(t, directory, gzip);
    let text = '';
    const tail = spawn('tail', ['-n', '+1', '-F', '-s', '0.1', join(directory, 'packets.ndjson')]);
    endWith(t, tail);
    tail.stdout.setEncoding('utf8').on('data', (more: string) => (text += more));
    await throughRotations(t, log, { seen: () => numbers(text) });
  }
});

/** rsyslogd as installed, or as scripts/setup has unpacked it for the tests. */
function rsyslog(): { program: string; modules: string; libraries: string } | null {
  for (const base of ['/usr', join(ROOT, '.cache/tools/usr')]) {
    const program = join(base, 'sbin/rsyslogd');
    if (!existsSync(program)) continue;
    const triplets = readdirSync(join(base, 'lib')).map((name) => join(base, 'lib', name));
    const libraries = triplets.find((path) => existsSync(join(path, 'rsyslog/imfile.so')));
    if (libraries !== undefined) return { program, modules: join(libraries, 'rsyslog'), libraries };
  }
  return null;
}

const installed = rsyslog();

t.test(
  'a real shipper, rsyslog, loses nothing through ten rotations',
  { skip: unless(installed !== null, 'needs rsyslogd') },
  async (t) => {
    const { program = '', modules = '', libraries = '' } = installed ?? {};
    const directory = folder(t);
    const work = join(directory, 'work');
    mkdirSync(work);
    const shipped = join(work, 'shipped');
    writeFileSync(
      join(work, 'rsyslog.conf'),
      `global(workDirectory="${work}")
       module(load="imfile")
       template(name="whole" type="string" string="%msg%\\n")
       input(type="imfile" File="${directory}/*.ndjson" Tag="netwatch" ruleset="ship")
       ruleset(name="ship") { action(type="omfile" file="${shipped}" template="whole") }\n`,
    );
    const env = { ...process.env, LD_LIBRARY_PATH: libraries };
    const args = ['-M', modules, '-i', join(work, 'pid'), '-f', join(work, 'rsyslog.conf')];
    const checked = spawnSync(program, ['-N1', ...args], { env, encoding: 'utf8' });
    t.equal(checked.status, 0, checked.stderr);
    const log = await openLog(t, directory);
    endWith(t, spawn(program, ['-n', ...args], { env, stdio: 'ignore' }));
    const text = (): string => (existsSync(shipped) ? readFileSync(shipped, 'utf8') : '');
    await throughRotations(t, log, { seen: () => numbers(text()) });
  },
);

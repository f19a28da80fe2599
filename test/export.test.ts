/**
 * `netwatch export`: which files and times it takes, what it makes of torn, doubled and disordered
 * lines, and that promtool builds from its output exactly the samples that were written to the
 * logs.
 */
import { execFileSync, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import {
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { PassThrough, Writable } from 'node:stream';
import { gzipSync } from 'node:zlib';
import { CommanderError } from 'commander';
import t, { type Test } from 'tap';
import { writeToFile } from '../src/export/output.js';
import { runExport, type ExportRequest } from '../src/export/run.js';
import { parseTime } from '../src/export/time.js';
import { ByteWriter } from '../src/metrics/bytes.js';
import { connectionLabels, logHeader } from '../src/metrics/exposition.js';
import { logLine, packetLine, packetPrefix } from '../src/metrics/lines.js';
import { seriesKey } from '../src/metrics/sample.js';
import tool from '../src/export/command.js';
import { NetwatchError } from '../src/failure.js';
import { HOSTILE, missing } from './support/exposition.js';
import { LOG_RULES, parseExposition } from './support/parse.js';

/** 2026-11-21T08:00:00Z */
const T = 1_795_248_000_000;

const HEADER = '# HELP x_seconds X "x" \\\\ x.\n# TYPE x_seconds gauge\n';

interface Exported {
  readonly text: string;
  readonly said: string;
}

async function exported(
  logs: readonly string[],
  more: Partial<ExportRequest> = {},
): Promise<Exported> {
  const [stdout, stderr] = [new PassThrough(), new PassThrough()];
  const pieces: Buffer[] = [];
  stdout.on('data', (piece: Buffer) => pieces.push(piece));
  const request = { logs, sinceMs: -Infinity, untilMs: Infinity, out: null, ...more };
  await runExport(request, { stdout, stderr });
  const said = (stderr.read() as Buffer | null)?.toString() ?? '';
  return { text: Buffer.concat(pieces).toString(), said };
}

const refused = (
  logs: readonly string[],
  more: Partial<ExportRequest> = {},
): Promise<NetwatchError> =>
  exported(logs, more).then(
    () => {
      throw new Error('was not refused');
    },
    (error: unknown) => {
      if (error instanceof NetwatchError) return error;
      throw error;
    },
  );

t.test('a time is a date, seconds, milliseconds or an age', (t) => {
  const now = T + 123;
  const times: readonly (readonly [text: string, ms: number | null])[] = [
    ['2026-11-21T08:00:00Z', T],
    ['2026-11-21t09:30:00.250+01:30', T + 250],
    ['2026-11-21 08:00Z', T],
    ['2024-02-29T00:00:00Z', 1_709_164_800_000],
    ['1795248000', T],
    ['1795248000.5', T + 500],
    ['1795248000000', T],
    ['now', now],
    ['2h', now - 7_200_000],
    ['1d12h', now - 129_600_000],
    ['1.5m', now - 90_000],
    ['250ms', now - 250],
    ['2026-02-29T00:00:00Z', null],
    ['2026-13-01T00:00:00Z', null],
    ['2026-11-21T25:00:00Z', null],
    ['2026-11-21T08:00:00', null],
    ['2026-11-21', null],
    ['yesterday', null],
    ['-2h', null],
    ['2 h', null],
    ['2y', null],
    ['1e9', null],
    ['', null],
  ];
  for (const [text, ms] of times) t.equal(parseTime(text, now), ms, text);
  t.end();
});

t.test('a log means all its rotated files, merged in the order of time', async (t) => {
  const directory = t.testdir({
    'connects.log': `${HEADER}x_seconds{a="1"} 0.5 ${T + 5}\nx_seconds{a="2"} 7 ${T + 6}\n`,
    'connects.log.1': `${HEADER}x_seconds{a="1"} 0.4 ${T + 4}\nx_seconds{a="1"} 0.3 ${T + 3}\n`,
    'connects.log.bak': 'not a log\n',
    'connects.log.2.gz': gzipSync(`${HEADER}x_seconds{a="1"} 0.000002 ${T + 2}\n`),
  });
  const { text, said } = await exported([join(directory, 'connects.log')]);
  t.equal(
    text,
    '# TYPE x_seconds gauge\n' +
      '# HELP x_seconds X \\"x\\" \\\\ x.\n' +
      'x_seconds{a="1"} 0.000002 1795248000.002\n' +
      'x_seconds{a="1"} 0.3 1795248000.003\n' +
      'x_seconds{a="1"} 0.4 1795248000.004\n' +
      'x_seconds{a="1"} 0.5 1795248000.005\n' +
      'x_seconds{a="2"} 7 1795248000.006\n' +
      '# EOF\n',
  );
  t.equal(
    said,
    'netwatch: 5 samples of 2 series in 1 family from 3 files, ' +
      '2026-11-21T08:00:00.002Z to 2026-11-21T08:00:00.006Z\n',
  );
  const one = await exported([join(directory, 'connects.log.1')]);
  t.match(one.said, 'netwatch: 2 samples of 1 series in 1 family from 1 file', 'one file is one');
  symlinkSync('connects.log.1', join(directory, 'same.log.7'));
  const twice = [1, 1].map(() => join(directory, 'connects.log.1'));
  const again = await exported([...twice, join(directory, 'same.log.7')]);
  t.equal(again.said, one.said, 'every file is read once, under whatever names');
});

t.test('--since and --until belong to the span themselves', async (t) => {
  const lines = [1, 2, 3, 4, 5].map((i) => `x_seconds{n="${i % 2}"} ${i} ${T + i}\n`);
  const directory = t.testdir({ 'a.log': HEADER + lines.join('') });
  const span = { sinceMs: T + 2, untilMs: T + 4 };
  const { text, said } = await exported([join(directory, 'a.log')], span);
  t.strictSame(
    text.split('\n').filter((line) => line.startsWith('x_')),
    [
      'x_seconds{n="0"} 2 1795248000.002',
      'x_seconds{n="0"} 4 1795248000.004',
      'x_seconds{n="1"} 3 1795248000.003',
    ],
  );
  t.match(said, 'left out 2 samples outside --since and --until');
  const none = await exported([join(directory, 'a.log')], {
    ...span,
    sinceMs: T + 9,
    untilMs: T + 10,
  });
  t.equal(none.text, '# EOF\n');
  t.match(none.said, /^netwatch: 0 samples of 0 series in 0 families from 1 file\n/);
});

t.test('of samples that share series and millisecond the last one read stays', async (t) => {
  const directory = t.testdir({
    'a.log':
      `${HEADER}x_seconds{a="1",b="2"} 1 ${T}\nx_seconds{b="2",a="1"} 2 ${T}\n` +
      `x_seconds{a="1",b="2",c=""} 3 ${T}\nx_seconds{ a="1", b="2" } 3 ${T}\n` +
      `x_seconds{a="1",b="3"} NaN ${T}\nx_seconds{a="1",b="3"} NaN ${T}\n` +
      `x_seconds{a="2"} 5 ${T + 2}\nx_seconds{a="2"} 6 ${T + 2}\nx_seconds{a="2"} 4 ${T + 1}\n`,
  });
  const { text, said } = await exported([join(directory, 'a.log')]);
  t.strictSame(text.split('\n').slice(2), [
    'x_seconds{a="1",b="2"} 3 1795248000',
    'x_seconds{a="1",b="3"} NaN 1795248000',
    'x_seconds{a="2"} 4 1795248000.001',
    'x_seconds{a="2"} 6 1795248000.002',
    '# EOF',
    '',
  ]);
  t.match(
    said,
    'left out 5 samples of a series and millisecond that has a later one (3 with another value)',
  );
});

t.test('torn and foreign lines are left out and named', async (t) => {
  const lines = [
    `x_seconds{a="1"} 1 ${T}`,
    `x_seconds{a="1"} 2 17952x_seconds{a="1"} 3 ${T + 1}`,
    `x_seconds{a="1"} 4 ${String(T).slice(0, -1)}`,
    `x_seconds{a="1"} 5 ${T / 1000}`,
    'x_seconds{a="1"} 6',
    `x_seconds{a="1\x1b[2J" 7 ${T}`,
    'COMM PID',
    '# TYPE x_seconds counter',
    `x_seconds{a="\0"} 8 ${T}`,
    '# a remark',
    '',
    `x_seconds{a="1"} 9 ${T + 9}`,
  ];
  const directory = t.testdir({
    'a.log': `${HEADER}${lines.join('\n')}\nx_seconds{a="1"} 10 ${T}`,
  });
  writeFileSync(
    join(directory, 'b.log'),
    Buffer.concat([Buffer.from('y{a="'), Buffer.of(0xff), Buffer.from(`"} 1 ${T}\n`)]),
  );
  const logs = ['a.log', 'b.log'].map((name) => join(directory, name));
  const { text, said } = await exported(logs);
  t.strictSame(
    text.split('\n').filter((line) => line.startsWith('x_') || line.startsWith('y')),
    ['x_seconds{a="1"} 1 1795248000', 'x_seconds{a="1"} 9 1795248000.009'],
  );
  t.strictSame(said.trimEnd().split('\n').slice(1), [
    '  left out 10 lines that could not be read:',
    `    ${logs[0]}:4: spurious string after timestamp: "3 ${T + 1}"`,
    `    ${logs[0]}:5: timestamp 179524800000 is not one in milliseconds, or torn`,
    `    ${logs[0]}:6: timestamp 1795248000 is not one in milliseconds, or torn`,
    `    ${logs[0]}:7: no timestamp: not a line of a history log, or torn`,
    `    ${logs[0]}:8: unexpected end of label value "1\\u001b[2J"`,
    '    and 5 more',
  ]);
});

t.test('a file of the present state is refused whole, in one sentence', async (t) => {
  const directory = t.testdir({
    'netwatch.prom': `${HEADER}${'x_seconds 1\n'.repeat(379)}`,
    'a.log': `${HEADER}x_seconds 1 ${T}\nx_seconds 2\n`,
    'torn.log': `${HEADER}x_seconds{a="1\nx_seconds 2\nx_seconds 1 ${T}\n`,
  });
  const [state = '', log = '', torn = ''] = ['netwatch.prom', 'a.log', 'torn.log'].map((name) =>
    join(directory, name),
  );
  for (const logs of [[state], [log, state]])
    t.match(await refused(logs), {
      exitCode: 2,
      message:
        `${state} is no history: its samples have no timestamps\n` +
        `  export the logs beside it, as ${directory}/connects.log; for what is now see netwatch serve -h`,
    });
  t.match(
    (await exported([log])).said,
    /1 sample .*\n.*left out 1 line /,
    'a torn line is not that',
  );
  t.match((await exported([torn])).said, /1 sample .*\n.*left out 2 lines /);
});

t.test('a gzip file that was cut gives what is whole, and the rest is named', async (t) => {
  const lines = Array.from(
    { length: 5000 },
    (_, i) => `x_seconds{n="${i}"} ${Math.sqrt(i)} ${T + i}`,
  );
  const whole = gzipSync(`${HEADER}${lines.join('\n')}\n`);
  const directory = t.testdir({
    'a.log.1.gz': whole.subarray(0, whole.length / 2),
    'b.log.1.gz': 'no gzip at all',
  });
  const cut = await exported([join(directory, 'a.log.1.gz')]);
  const count = Number(/netwatch: ([\d,]+) samples/.exec(cut.said)?.[1]?.replace(',', ''));
  t.ok(count > 1000 && count < 5000, `${count} of 5000`);
  t.match(cut.said, /damaged, read up to the damage: .*a\.log\.1\.gz: unexpected end of file/);
  t.match(
    (await exported([join(directory, 'b.log.1.gz')])).said,
    /damaged.*incorrect header check/,
  );
});

t.test('a line without end does not fill the memory, and the next one counts', async (t) => {
  const directory = t.testdir({});
  const log = join(directory, 'a.log');
  writeFileSync(
    log,
    Buffer.concat([Buffer.alloc(5_000_000, 'z'), Buffer.from(`\n${HEADER}x_seconds 1 ${T}\n`)]),
  );
  const { text, said } = await exported([log]);
  t.match(text, 'x_seconds 1 1795248000\n# EOF');
  t.match(said, `${log}:1: longer than any line of netwatch`);
  const long = `x_seconds{a="${'é'.repeat(100_000)}"} 1 ${T}\n`;
  writeFileSync(log, HEADER + long.repeat(20) + long.replace('é', 'e'));
  t.match((await exported([log])).said, /netwatch: 2 samples of 2 series/, 'over any chunk border');
});

t.test('families get the names and types of OpenMetrics', async (t) => {
  const head = (name: string, type: string): string => `# HELP ${name} h\n# TYPE ${name} ${type}\n`;
  const directory = t.testdir({
    'a.log': [
      head('a_total', 'counter'),
      `a_total 1 ${T}\n`,
      head('b', 'counter'),
      `b 1 ${T}\n`,
      head('c_info', 'gauge'),
      `c_info{v="1"} 1 ${T}\n`,
      head('d_info', 'gauge'),
      `d_info{v="1"} 0 ${T}\n`,
      `e 1 ${T}\n`,
      head('f', 'histogram'),
      `f_bucket{le="+Inf"} 1 ${T}\nf_sum 2 ${T}\nf_count 1 ${T}\n`,
      head('g_unused', 'gauge'),
    ].join(''),
  });
  const { text, said } = await exported([join(directory, 'a.log')]);
  t.strictSame(
    text.split('\n').filter((line) => line.startsWith('# TYPE')),
    [
      '# TYPE a counter',
      '# TYPE b unknown',
      '# TYPE c info',
      '# TYPE d_info gauge',
      '# TYPE e unknown',
      '# TYPE f histogram',
    ],
  );
  t.match(text, 'c_info{v="1"} 1 1795248000\n');
  t.match(said, '8 samples of 8 series in 6 families');
});

t.test('what cannot be done is said in one sentence, with another for what next', async (t) => {
  const directory = t.testdir({ 'a.log': `${HEADER}x_seconds 1 ${T}\n`, sub: {} });
  const absent = await refused([join(directory, 'none.log')]);
  t.match(absent, { exitCode: 2, message: `there is no file ${directory}/none.log` });
  t.equal(absent.next, `see what is there: ls ${directory}`);
  t.match(await refused([join(directory, 'none', 'x.log')]), { exitCode: 3, message: /ENOENT/ });
  t.match(await refused([join(directory, 'sub')]), { exitCode: 2, message: /is not a file/ });
  const log = join(directory, 'a.log');
  t.match(await refused([log], { out: join(directory, 'sub') }), {
    exitCode: 3,
    message: /EISDIR/,
  });
  t.match(await refused([log], { out: join(directory, 'none', 'x') }), {
    exitCode: 3,
    message: /cannot write .*ENOENT/,
  });
  t.strictSame(readdirSync(directory).sort(), ['a.log', 'sub'], 'nothing is left behind');

  const parse = (...args: string[]): Promise<unknown> =>
    tool
      .command()
      .exitOverride()
      .configureOutput({ writeErr: () => undefined })
      .parseAsync(args, { from: 'user' })
      .then(() => null)
      .catch((error: unknown) => error);
  t.match(await parse(), { code: 'commander.missingArgument' });
  const wrong = await parse('--since', 'tomorrow', log);
  t.type(wrong, CommanderError);
  t.match(wrong, { code: 'commander.invalidArgument', message: /'tomorrow' is invalid.*2h/ });
  t.match(await parse('--since', '1h', '--until', '2h', log), {
    exitCode: 2,
    message: /--since is later than --until/,
  });
  t.match(tool.command().helpInformation(), tool.command().description());
});

t.test('the output file appears whole, and what is no file is not replaced', async (t) => {
  const directory = t.testdir({ 'a.log': `${HEADER}x_seconds 1 ${T}\n`, 'old.om': 'old' });
  const log = join(directory, 'a.log');
  const { text } = await exported([log]);
  symlinkSync('old.om', join(directory, 'link.om'));
  await exported([log], { out: join(directory, 'link.om') });
  t.equal(readFileSync(join(directory, 'old.om'), 'utf8'), text, 'the link stays a link');
  t.equal(statSync(join(directory, 'old.om')).mode & 0o777 & ~0o640, 0, 'no wider than the logs');

  const broken = function* (): Generator<Buffer> {
    yield Buffer.from('half');
    throw new Error('in the middle');
  };
  await t.rejects(writeToFile(join(directory, 'old.om'), broken()), /in the middle/);
  t.equal(readFileSync(join(directory, 'old.om'), 'utf8'), text, 'what was there stays');
  t.strictSame(readdirSync(directory).sort(), ['a.log', 'link.om', 'old.om'], 'nothing beside it');

  const pipe = join(directory, 'pipe');
  execFileSync('mkfifo', [pipe]);
  const reader = spawn('cat', [pipe], { stdio: ['ignore', 'pipe', 'inherit'] });
  t.teardown(() => reader.kill());
  let read = '';
  reader.stdout.on('data', (chunk: Buffer) => (read += chunk.toString()));
  const closed = once(reader, 'close');
  await exported([log], { out: pipe });
  if (!t.ok(statSync(pipe).isFIFO(), 'the pipe is still a pipe')) return;
  await closed;
  t.equal(read, text);
});

const manyLines = (count: number): string =>
  HEADER + Array.from({ length: count }, (_, i) => `x_seconds{n="${i}"} ${i} ${T}\n`).join('');

t.test('a reader that goes away ends the export quietly', async (t) => {
  const directory = t.testdir({ 'a.log': manyLines(20_000) });
  let pieces = 0;
  const stdout = new Writable({
    write: (_piece, _encoding, done) => {
      pieces++;
      done(Object.assign(new Error('write EPIPE'), { code: 'EPIPE' }));
    },
  });
  const request = { logs: [join(directory, 'a.log')], sinceMs: 0, untilMs: Infinity, out: null };
  await runExport(request, { stdout, stderr: new PassThrough() });
  t.equal(pieces, 1, 'nothing more is made once nobody reads');
  const full = new Writable({
    write: (_piece, _encoding, done) => {
      done(Object.assign(new Error('write ENOSPC'), { code: 'ENOSPC' }));
    },
  });
  await t.rejects(runExport(request, { stdout: full, stderr: new PassThrough() }), {
    exitCode: 3,
    message: /ENOSPC/,
  });
});

t.test('a slow reader gets one piece after the other', async (t) => {
  const directory = t.testdir({ 'a.log': manyLines(30_000) });
  let [waiting, most, bytes] = [0, 0, 0];
  const stdout = new Writable({
    highWaterMark: 1,
    write: (piece: Buffer, _encoding, done) => {
      waiting++;
      most = Math.max(most, waiting, stdout.writableLength / piece.length);
      bytes += piece.length;
      setTimeout(() => {
        waiting--;
        done();
      }, 2);
    },
  });
  const request = { logs: [join(directory, 'a.log')], sinceMs: 0, untilMs: Infinity, out: null };
  await runExport(request, { stdout, stderr: new PassThrough() });
  t.ok(bytes > 1e6, `${bytes} bytes`);
  t.equal(most, 1, 'no piece waits in memory behind another');
});

t.test('a terminal sees the progress, and is left clean', async (t) => {
  const directory = t.testdir({ 'a.log': manyLines(100) });
  const stderr = Object.assign(new PassThrough(), { isTTY: true });
  const request = { logs: [join(directory, 'a.log')], sinceMs: 0, untilMs: Infinity, out: null };
  await runExport(request, { stdout: new PassThrough().resume(), stderr });
  const said = (stderr.read() as Buffer).toString();
  t.match(said.replace('\x1b', 'ESC'), /^\rreading 0 MB, \d+ % \rESC\[Knetwatch: 100 samples/);
});

/** Logs as a collector leaves them, some rotated; returns what is in them as promtool dumps it. */
function writeLogs(directory: string): ReadonlyMap<string, string> {
  const out = new ByteWriter();
  const expected = new Map<string, string>();
  const flush = (name: string, header: 'connects' | 'packets' | 'err'): void => {
    const body = Buffer.concat([logHeader(header), out.view()]);
    out.reset();
    for (const { name: metric, labels, value, timestampMs } of parseExposition(body, LOG_RULES)
      .samples) {
      expected.set(`${seriesKey(metric, labels)} ${timestampMs}`, String(value));
    }
    writeFileSync(join(directory, name), name.endsWith('.gz') ? gzipSync(body) : body);
  };
  const connections = Array.from({ length: 7 }, (_, i) => ({
    labels: connectionLabels(`ffff${i}`, `10.0.0.1:${i}`, '[2001:db8::1]:443'),
    prefix: packetPrefix(`ffff${i}`, `10.0.0.1:${i}`, '[2001:db8::1]:443'),
  }));
  // Neighbouring milliseconds over five hours, so that blocks are crossed; 503 is prime.
  const timeOf = (i: number): number => T - 86_400_000 + i * 35_789 + (i % 2);
  for (const [file, name] of ['connects.log.2.gz', 'connects.log.1', 'connects.log'].entries()) {
    for (let i = file * 503; i < (file + 1) * 503; i++) {
      const { labels } = connections[i % 7]!;
      logLine(out, 'netwatch_connection_srtt_seconds', labels, (i * 13) / 1e6, timeOf(i));
      logLine(
        out,
        'netwatch_connection_acked_bytes_total',
        labels,
        2n ** 53n + BigInt(i),
        timeOf(i) + 1,
      );
      logLine(out, 'netwatch_connection_acked_bytes_total', labels, i, timeOf(i) + 2);
    }
    flush(name, 'connects');
  }
  for (const [i, [process]] of HOSTILE.entries()) {
    const info = { pid: i, process, sock: 's', src: 'a', dst: 'b', is_server: 1 };
    logLine(out, 'netwatch_connection_info', info, 1, timeOf(i));
  }
  flush('info.log', 'connects');
  for (let i = 0; i < 503; i++) {
    const packet = {
      ...{
        seq: i * 1448,
        ack: i,
        received: i % 2 === 0,
        retransmitted: i % 3 === 0,
        macNs: i * 10,
        ipNs: null,
        tcpNs: 1,
        reorderNs: 0,
      },
      ...{ httpInfo: HOSTILE[i % HOSTILE.length]![0], lengthBytes: i, timestampMs: timeOf(i) },
    };
    packetLine(out, connections[i % 7]!.prefix, packet, { times: true, http: true });
  }
  flush('packets.log', 'packets');
  return expected;
}

/** What a data directory of Prometheus holds, in the form of `writeLogs`. */
function dump(t: Test, blocks: string): ReadonlyMap<string, string> {
  mkdirSync(join(blocks, 'wal'), { recursive: true });
  const done = spawnSync('promtool', ['tsdb', 'dump', blocks], {
    encoding: 'utf8',
    maxBuffer: 1e9,
  });
  t.equal(done.status, 0, done.stderr);
  // `{__name__="x", a="1"} value time`, quoted as Go quotes.
  const found = new Map<string, string>();
  for (const line of done.stdout.split('\n').slice(0, -1)) {
    const end = line.lastIndexOf('}');
    const labels: [string, string][] = [];
    for (const [, name = '', value = ''] of line
      .slice(0, end)
      .matchAll(/(\w+)=("(?:[^"\\]|\\.)*")/g)) {
      labels.push([name, JSON.parse(value) as string]);
    }
    const [, value, time] = line.slice(end + 1).split(' ');
    const name = labels.find(([label]) => label === '__name__')?.[1] ?? '';
    const key = seriesKey(
      name,
      labels.filter(([label]) => label !== '__name__'),
    );
    found.set(`${key} ${time}`, String(Number(value)));
  }
  return found;
}

t.test(
  'Prometheus gets from the export exactly the samples of the logs',
  missing('promtool'),
  async (t) => {
    const directory = t.testdir({});
    const expected = writeLogs(directory);
    const om = join(directory, 'history.om');
    const logs = ['connects.log', 'info.log', 'packets.log'].map((name) => join(directory, name));
    const { said } = await exported(logs, { out: om });
    t.match(said, `netwatch: ${expected.size.toLocaleString('en-US')} samples`);
    t.notMatch(said, 'left out');
    const blocks = join(directory, 'blocks');
    const made = spawnSync('promtool', ['tsdb', 'create-blocks-from', 'openmetrics', om, blocks], {
      encoding: 'utf8',
    });
    t.equal(made.status, 0, made.stderr);
    const found = dump(t, blocks);
    t.equal(found.size, expected.size);
    t.equal(found.size, 3 * 3 * 503 + HOSTILE.length + 503);
    t.strictSame(found, expected);

    const listed = spawnSync('promtool', ['tsdb', 'list', blocks], { encoding: 'utf8' }).stdout;
    const rows = listed.trim().split('\n').slice(1);
    const samples = rows.map((row) => Number(row.trim().split(/\s+/)[4]));
    t.ok(rows.length >= 3, `${rows.length} blocks`);
    t.equal(
      samples.reduce((sum, n) => sum + n, 0),
      expected.size,
      'no block holds a sample twice',
    );
  },
);

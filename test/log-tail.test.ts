/** The newest samples of a history log: across rotation, compression, torn lines and huge files. */
import { appendFileSync, renameSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import t from 'tap';
import { linesBackwards } from '../src/serve/backwards.js';
import { MOST_TAIL_SAMPLES, tailExposition } from '../src/serve/tail.js';
import { familyHeader, logHeader } from '../src/metrics/exposition.js';
import { HOSTILE } from './support/exposition.js';
import { escapeLabel } from '../src/metrics/text.js';
import { LOG_RULES, parseExposition } from './support/parse.js';

const START_MS = 1_795_000_000_000;
const HEADER = logHeader('packets').toString();

/** Packet number `n`; its series is its own unless `seq` says otherwise. */
function packet(n: number, seq = n, http = '-'): string {
  const labels = `sock="s",src="a:1",dst="b:2",seq="${seq}",ack="0",rx="1",http_info="${http}"`;
  return `netwatch_packet_bytes{${labels}} ${n} ${START_MS + n}\n`;
}

function packets(from: number, to: number): string {
  return Array.from({ length: to - from }, (_, i) => packet(from + i)).join('');
}

async function tail(directory: string, last: number): Promise<readonly number[]> {
  const { samples, issues } = parseExposition(await tailExposition(directory, 'packets', last));
  t.strictSame(issues, [], 'what is answered keeps all rules');
  return samples.map(({ value }) => value);
}

t.test('the newest samples come in the order of the log, without their time', async (t) => {
  const directory = t.testdir({ 'packets.log': HEADER + packets(0, 5) });
  t.equal(
    (await tailExposition(directory, 'packets', 2)).toString(),
    HEADER + (packet(3) + packet(4)).replace(/ \d+$/gm, ''),
  );
  t.strictSame(await tail(directory, 99), [0, 1, 2, 3, 4]);
  t.strictSame(await tail(directory, 0), []);
});

t.test('a log that is missing, or is a link to elsewhere, has no samples', async (t) => {
  const directory = t.testdir({ secret: packets(0, 1) });
  t.equal((await tailExposition(directory, 'packets', 5)).toString(), '');
  t.equal((await tailExposition(join(directory, 'none'), 'packets', 5)).toString(), '');
  symlinkSync('secret', join(directory, 'packets.log'));
  t.equal((await tailExposition(directory, 'packets', 5)).toString(), '');
});

t.test('of several samples of one series the newest is shown', async (t) => {
  const log = packet(1, 7) + packet(2, 8) + packet(3, 7);
  const directory = t.testdir({ 'packets.log': HEADER + log });
  t.strictSame(await tail(directory, 99), [2, 3]);
  t.strictSame(await tail(directory, 2), [2, 3], 'the third sample is not needed');
});

t.test('what went wrong keeps its time, and what went wrong twice comes twice', async (t) => {
  const line = (seq: number, ms: number): string =>
    `netwatch_tcp_error{sock="-",src="a:1",dst="b:2",seq="${seq}",ack="0",type="drop",reason="X"} 1 ${START_MS + ms}\n`;
  const header = logHeader('err').toString();
  const log = [line(1, 0), line(1, 5), line(2, 5), line(2, 5), line(1, 9)];
  const directory = t.testdir({ 'err.log': header + log.join('') });
  const shown = async (last: number): Promise<string> =>
    (await tailExposition(directory, 'err', last)).toString();
  t.equal(await shown(1), header + line(1, 9));
  t.equal(await shown(99), header + line(1, 0) + line(1, 5) + line(2, 5) + line(1, 9));
  const { issues } = parseExposition(await tailExposition(directory, 'err', 99), LOG_RULES);
  t.strictSame(issues, []);
});

t.test('families stand together, each with its own header', async (t) => {
  const ends = 'sock="s",src="a:1",dst="b:2"';
  const bytes = (n: number): string =>
    `netwatch_connection_acked_bytes_total{${ends.replace('"s"', `"${n}"`)}} ${n}`;
  const rtt = `netwatch_connection_srtt_seconds{${ends}} 0.5`;
  const log = [bytes(1), rtt, bytes(2)].map((line) => `${line} ${START_MS}\n`).join('');
  const directory = t.testdir({ 'connects.log': logHeader('connects').toString() + log });
  t.equal(
    (await tailExposition(directory, 'connects', 3)).toString(),
    `${familyHeader('netwatch_connection_acked_bytes_total')}${bytes(1)}\n${bytes(2)}\n` +
      `${familyHeader('netwatch_connection_srtt_seconds')}${rtt}\n`,
  );
});

t.test('rotated files are read as far as needed, compressed ones too', async (t) => {
  const files: readonly (readonly [name: string, content: string | Buffer])[] = [
    ['packets.log.3.gz', 'damaged, and not needed'],
    ['packets.log.2.gz', gzipSync(HEADER + packets(0, 4))],
    ['packets.log.1.gz', gzipSync(HEADER + packets(4, 8))],
    ['packets.log.0', HEADER + packets(8, 10)],
    ['packets.log', HEADER + packets(10, 12)],
  ];
  const directory = t.testdir({});
  for (const [i, [name, content]] of files.entries()) {
    writeFileSync(join(directory, name), content);
    utimesSync(join(directory, name), START_MS / 1000 + i, START_MS / 1000 + i);
  }
  t.strictSame(await tail(directory, 1), [11]);
  t.strictSame(await tail(directory, 5), [7, 8, 9, 10, 11]);
  t.strictSame(await tail(directory, 12), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
  t.strictSame(await tail(directory, 13), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]);
});

t.test('torn, broken and foreign lines do not count', async (t) => {
  const lines = [
    packet(1),
    'netwatch_packet_bytes{sock="s",src="a\n',
    packet(2).replace(/ \d+$/m, ''),
    packet(3).replace(/\d$/m, ''),
    packet(4).replace('netwatch_packet_bytes', 'netwatch_tcp_error'),
    packet(5).replace('seq="5"', 'seq="\\5"'),
    '\n',
    packet(6),
    packet(7).slice(0, -1),
  ];
  const directory = t.testdir({ 'packets.log': HEADER + lines.join('') });
  t.strictSame(await tail(directory, 2), [1, 6], 'the last line may still be being written');
  const invalid = Buffer.concat([Buffer.from(packet(8)), Buffer.of(0xff, 0x0a)]);
  writeFileSync(join(directory, 'packets.log'), invalid);
  t.strictSame(await tail(directory, 2), [8]);
});

t.test('hostile values pass as they are', async (t) => {
  const lines = HOSTILE.map(([given], n) => packet(n, n, escapeLabel(given)));
  const directory = t.testdir({ 'packets.log': HEADER + lines.join('') });
  const { samples } = parseExposition(await tailExposition(directory, 'packets', 99));
  t.strictSame(
    samples.map(({ labels }) => labels.at(-1)?.[1]),
    HOSTILE.map(([, read]) => read),
  );
});

t.test('however large the logs are, only so many samples are shown', async (t) => {
  const many = MOST_TAIL_SAMPLES + 2000;
  const directory = t.testdir({ 'packets.log': HEADER + packets(0, many) });
  const values = await tail(directory, 1e9);
  t.equal(values.length, MOST_TAIL_SAMPLES);
  t.strictSame([values[0], values.at(-1)], [2000, many - 1]);
  const window = 17 << 20;
  const text = packets(0, Math.ceil(window / packet(0).length));
  writeFileSync(join(directory, 'packets.log.1.gz'), gzipSync(text, { level: 1 }));
  const found: string[] = [];
  for await (const lines of linesBackwards(join(directory, 'packets.log.1.gz'))) {
    for (const line of lines) found.unshift(`${line.toString()}\n`);
    if (found.length > 5) break;
  }
  t.ok(text.endsWith(found.join('')), 'a compressed file is read from its end too');
});

t.test('lines are found whole wherever blocks end, and too long ones are left out', async (t) => {
  const directory = t.testdir({ empty: '' });
  const path = join(directory, 'log');
  for (const size of [1, 65_533, 65_534, 65_535, 65_536, 131_072, 200_000]) {
    const lines = ['first', 'x'.repeat(size), '', 'last'];
    writeFileSync(path, `${lines.join('\n')}\n`);
    t.strictSame(await all(path), lines.toReversed(), `${size} bytes`);
    appendFileSync(path, 'torn');
    t.strictSame(await all(path), lines.toReversed(), `${size} bytes, then a torn line`);
  }
  writeFileSync(path, `first\n${'x'.repeat(400_000)}\nlast\n`);
  t.strictSame(await all(path), ['last', 'first']);
  t.strictSame(await all(join(directory, 'empty')), []);
});

async function all(path: string): Promise<readonly string[]> {
  const found: string[] = [];
  for await (const lines of linesBackwards(path)) found.push(...lines.map(String));
  return found;
}

t.test('a rotation while it reads loses nothing and shows nothing twice', async (t) => {
  const directory = t.testdir({ 'packets.log': HEADER + packets(0, 50) });
  const at = (suffix: string): string => join(directory, `packets.log${suffix}`);
  let files = 1;
  const rotate = (): void => {
    for (let index = files - 1; index > 0; index--)
      renameSync(at(`.${index}`), at(`.${index + 1}`));
    renameSync(at(''), at('.1'));
    writeFileSync(at(''), HEADER + packets(files * 50, files * 50 + 50));
    files++;
  };
  rotate();
  rotate();
  const gaps: string[] = [];
  for (let reading = 0; reading < 60; reading++) {
    const before = files * 50;
    const values = tail(directory, 120);
    for (let turn = 0; turn < 40 * reading; turn++) await nextTurn();
    rotate();
    const [first = NaN, ...others] = await values;
    const isWhole = others.length === 119 && others.every((value, i) => value === first + 1 + i);
    if (!isWhole || first + 120 < before) gaps.push([first, ...others].join());
  }
  t.strictSame(gaps, []);
});

/** The pure parts of the benchmark: statistics, judgement, and the table for the README. */
import { readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import t from 'tap';
import { BARS, grade } from '../scripts/bench/bar.js';
import { median, pairRatios, quantile, spread } from '../scripts/bench/statistics.js';
import { number, render, verdict, type Machine, type Row } from '../scripts/bench/table.js';

const MACHINE: Machine = {
  date: '2026-01-02',
  kernel: '6.18.0',
  cpu: 'A CPU | with a bar',
  cpus: 2,
  node: 'v20.20.2',
  busy: 0,
};

t.test('quantiles interpolate and leave their input as it was', (t) => {
  const values = [4, 1, 3, 2];
  t.equal(median(values), 2.5);
  t.equal(median([3, 1, 2]), 2);
  t.equal(quantile(values, 0), 1);
  t.equal(quantile(values, 1), 4);
  t.equal(quantile(values, 0.25), 1.75);
  t.same(values, [4, 1, 3, 2]);
  t.ok(Number.isNaN(median([])));
  t.equal(median([7]), 7);
  t.end();
});

t.test('the spread is the median and the middle half', (t) => {
  t.same(spread([1, 2, 3, 4, 5]), { median: 3, q1: 2, q3: 4, iqr: 2 });
  t.end();
});

t.test('a steady drift of the machine cancels out of pair ratios', (t) => {
  const off = [100, 110, 120];
  const on = [52.5, 57.5];
  t.same(pairRatios(off, on), [0.5, 0.5]);
  t.end();
});

t.test('a row is judged by its limits, both ways round', (t) => {
  t.equal(grade('kernel-packet', 180), 'excellent');
  t.equal(grade('kernel-packet', 181), 'good');
  t.equal(grade('kernel-packet', 400), 'fair');
  t.equal(grade('kernel-packet', 401), 'fails');
  t.equal(grade('lossless', 200_000), 'excellent');
  t.equal(grade('lossless', 99_999), 'fair');
  t.equal(grade('lossless', 19_999), 'fails');
  t.equal(grade('truth', 0), 'excellent');
  t.equal(grade('truth', 1), 'fails');
  t.equal(grade('kernel-packet', null), '');
  t.equal(grade('kernel-packet-all', 1e9), '', 'no limits, no judgement');
  t.equal(verdict({ id: 'rr-all', value: 0.99, detail: '', refused: 'noise' }), 'not judged');
  t.equal(verdict({ id: 'rr-all', value: null, detail: 'no cc' }), 'not measured');
  t.end();
});

t.test('limits get looser from excellent to fails', (t) => {
  for (const [id, { limits, more = false }] of Object.entries(BARS)) {
    const [excellent, good, fails] = limits ?? [0, 0, 0];
    const ordered = more ? excellent >= good && good >= fails : excellent <= good && good <= fails;
    t.ok(ordered, id);
  }
  t.end();
});

t.test('numbers have three digits, counts all of theirs', (t) => {
  const cases: readonly (readonly [number, string])[] = [
    [0, '0'],
    [243_101, '243,101'],
    [1234.5, '1,235'],
    [99.96, '100.0'],
    [12.34, '12.3'],
    [1.294, '1.29'],
    [0.9456, '0.946'],
    [0.0312, '0.031'],
    [0.005, '0.005'],
    [NaN, '-'],
  ];
  for (const [value, text] of cases) t.equal(number(value), text);
  t.end();
});

t.test('the table is whole Markdown: a row per line, no stray bars', (t) => {
  const rows: Row[] = [
    {
      id: 'kernel-packet',
      value: 123.4,
      detail: 'a | b\nc',
      hooks: [
        { program: 'packet_egress', runsPerPacket: 0.5, ours: 180.2, twin: 50.1 },
        { program: 'rare', runsPerPacket: 0.00001, ours: 1, twin: 1 },
      ],
    },
    { id: 'rr-all', value: 0.9, detail: 'x', refused: 'not quiet' },
    { id: 'attach-bpftrace', value: null, detail: 'bpftrace does not run here' },
  ];
  const text = render(MACHINE, rows);
  const lines = text.split('\n').filter((line) => line.startsWith('|'));
  t.equal(lines.length, 2 + 3 + 2 + 1);
  const bars = (line: string): number => line.replaceAll('\\|', '').split('|').length - 1;
  t.ok(lines.slice(0, 5).every((line) => bars(line) === 6));
  t.ok(lines.slice(5).every((line) => bars(line) === 6));
  t.match(text, /\| 123 ns \| excellent \| ≤ 180 · ≤ 260 · > 400 \| a \\\| b c \|/);
  t.match(text, /\| 0\.9 × \| not judged \|.*\| not quiet; x \|/);
  t.match(text, /\| - \| not measured \|/);
  t.match(text, /\| `packet_egress` \| 0\.5 \| 180 \| 50\.1 \| 130 \|/);
  t.notMatch(text, /`rare`/);
  t.notMatch(text, /Noisy/);
  t.match(render({ ...MACHINE, busy: 0.31 }, rows), /Noisy: 31 % of the CPUs were busy/);
  t.end();
});

t.test('what the tools cost is a table of its own, never less than nothing', (t) => {
  const tools = [
    { tool: 'tcplife', perConnection: 1234.4, perRoundTrip: -3 },
    { tool: 'tcptop', perConnection: 99, perRoundTrip: 250 },
  ];
  const text = render(MACHINE, [{ id: 'kernel-tools', value: 250, detail: 'tcptop', tools }]);
  t.match(text, '| `tcplife` | 1,234 | 0 |\n| `tcptop` | 99 | 250 |');
  t.end();
});

t.test('every row that is measured has a bar, and every bar is measured', (t) => {
  const folder = resolve(import.meta.dirname, '../scripts/bench/rows');
  const source = readdirSync(folder)
    .map((name) => readFileSync(resolve(folder, name), 'utf8'))
    .join('\n');
  const built = new Set(
    ['', '-time', '-all'].flatMap((suffix) => [`kernel-packet${suffix}`, `user-packet${suffix}`]),
  );
  for (const id of Object.keys(BARS)) t.ok(built.has(id) || source.includes(`'${id}'`), id);
  t.end();
});

/** The parts of the benchmark that need no kernel: statistics, judgement, what makes it red, the table. */
import { readdirSync } from 'node:fs';
import { resolve } from 'node:path';
import t from 'tap';
import { BARS, grade, ROW_IDS, type RowId } from '../scripts/bench/bar.js';
import type { Lab } from '../scripts/bench/lab.js';
import { outcome, run, type Outcome, type RowModule } from '../scripts/bench/row-module.js';
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

const ROWS = resolve(import.meta.dirname, '../scripts/bench/rows');

t.test('every row that is measured has a bar, and every bar is measured', async (t) => {
  const modules = await Promise.all(
    readdirSync(ROWS).map(
      async (file) => (await import(resolve(ROWS, file))) as { readonly rows: RowModule },
    ),
  );
  const ids = modules.flatMap(({ rows }) => rows.ids);
  t.strictSame([...ids].sort(), Object.keys(BARS).sort(), 'each by one file');
});

/** A lab that can do nothing but count how often what was started is ended. */
function emptyLab(): Lab & { readonly cleared: () => number } {
  let cleared = 0;
  const never = (): never => {
    throw new Error('this lab has nothing');
  };
  return {
    ...{ name: '', path: '', folder: '', loadCpu: 0, isSmoke: true },
    ...{ size: ({ smoke }) => smoke, start: never, startInside: never, runInside: never },
    close: never,
    killChildren: () => cleared++,
    cleared: () => cleared,
  };
}

/** Runs one file of rows as the bench does; what came of it, and what was said. */
async function runRows(
  ids: readonly RowId[],
  measure: RowModule['measure'],
): Promise<{ outcome: Outcome; said: string; cleared: number }> {
  const lab = emptyLab();
  let said = '';
  const wanted = new Set(ids);
  const rows = await run({ ids, measure }, lab, wanted, (text) => (said += `${text}\n`));
  return { outcome: outcome(wanted, rows), said, cleared: lab.cleared() };
}

t.test('a row that throws is a failed test, and ends what it has started', async (t) => {
  const { outcome, said, cleared } = await runRows(['dump', 'rss-10k'], (lab) => {
    lab.runInside('ss', []);
    return Promise.resolve([]);
  });
  t.same(outcome, {
    passed: 0,
    failed: 2,
    skipped: 0,
    notes: [
      'FAILED: dump was not measured (this lab has nothing)',
      'FAILED: rss-10k was not measured (this lab has nothing)',
    ],
  });
  t.equal(cleared, 1);
  t.match(said, /Error: this lab has nothing\n +at .*bench\.test\.ts/, 'with the stack');
  t.match(said, /dump - not measured · rss-10k - not measured/);
});

t.test('a row that is forgotten, or has no number, is not measured', async (t) => {
  const { outcome, cleared } = await runRows(['attach', 'ready', 'truth'], () =>
    Promise.resolve([
      { id: 'ready', value: NaN, detail: '0 of 0' },
      { id: 'truth', value: 776, detail: 'bad, but a number' },
    ]),
  );
  t.same(outcome, {
    passed: 1,
    failed: 2,
    skipped: 0,
    notes: [
      'FAILED: attach was not measured (there was none)',
      'FAILED: ready was not measured (0 of 0)',
    ],
  });
  t.equal(cleared, 0);
});

t.test('a row that no file measured is a failed test too', (t) => {
  const rows: Row[] = [{ id: 'truth', value: 0, detail: '' }];
  t.same(outcome(new Set(ROW_IDS), rows).failed, ROW_IDS.length - 1);
  t.same(outcome(new Set(['truth']), rows), { passed: 1, failed: 0, skipped: 0, notes: [] });
  t.end();
});

t.test('only a peer that does not run here may be missing, with its reason', async (t) => {
  const { outcome } = await runRows(['attach-bpftrace'], () =>
    Promise.resolve([
      {
        id: 'attach-bpftrace',
        value: null,
        detail: 'bpftrace does not run here',
        absent: 'bpftrace',
      },
    ]),
  );
  t.same(outcome, {
    passed: 0,
    failed: 0,
    skipped: 1,
    notes: ['skipped: attach-bpftrace was not measured (bpftrace does not run here)'],
  });
});

t.test('a smoke run judges nothing and says so', (t) => {
  const bad: Row = { id: 'truth', value: 776, detail: '' };
  t.equal(verdict(bad), 'fails');
  t.equal(verdict(bad, true), 'measured');
  t.equal(verdict({ ...bad, value: NaN }, true), 'not measured');
  t.notMatch(render(MACHINE, [bad]), /Smoke run/);
  t.match(render(MACHINE, [bad], true), /Smoke run: .*\n\n.*\n.*\n.*\| 776 \| measured \|/);
  t.end();
});

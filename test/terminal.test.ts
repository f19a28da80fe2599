// Unit: what a tool declares, as a table, as JSON, as CSV and as bcc's bars.
import t from 'tap';
import { argument, option } from '../src/cli/options.js';
import { column, type Column } from '../src/terminal/column.js';
import { formatter } from '../src/terminal/format.js';
import { bucketRange, histogramBuckets, histogramLines } from '../src/terminal/histogram.js';
import {
  histogramBlock,
  reportText,
  rowsBlock,
  textBlock,
  type Block,
} from '../src/terminal/report.js';
import { watchingTool } from '../src/terminal/watching-tool.js';
import { bucketOf } from './support/buckets.js';

interface Sample {
  readonly name: string | null;
  readonly size: number;
}

const COLUMNS: readonly Column<Sample>[] = [
  column('NAME', 6, 'name', ({ name }) => name),
  { ...column<Sample>('HIDDEN', 3, 'hidden', () => 1), inTable: false },
  column('SIZE', 4, 'size', ({ size }) => size),
];

t.test('one declaration of columns gives a table, JSON lines and CSV', (t) => {
  const shown = (format: 'table' | 'json' | 'csv', sample: Sample): string => {
    const { head, line } = formatter(format, COLUMNS);
    return head + line(sample);
  };
  t.equal(shown('table', { name: 'a', size: 7 }), 'NAME   SIZE\na      7   \n');
  t.equal(shown('table', { name: null, size: 7 }), 'NAME   SIZE\nN/A    7   \n');
  t.equal(shown('json', { name: null, size: 7 }), '{"name":null,"hidden":1,"size":7}\n');
  t.equal(shown('csv', { name: 'a,"b"', size: 7 }), 'NAME,HIDDEN,SIZE\n"a,""b""",1,7\n');
  t.equal(shown('csv', { name: null, size: 7 }), 'NAME,HIDDEN,SIZE\n,1,7\n');
  t.end();
});

t.test('a hostile name cannot break a line or move the cursor', (t) => {
  const name = 'a\nb\x1b[2J\u202e';
  for (const format of ['table', 'csv', 'json'] as const) {
    const line = formatter(format, COLUMNS).line({ name, size: 1 });
    t.equal(line.indexOf('\n'), line.length - 1, format);
    t.notOk(line.includes('\u001b'), format);
  }
  t.end();
});

t.test('a column is placed as printf places it', (t) => {
  const columns: readonly Column<Sample>[] = [
    column('LONGEST', 5, 'name', ({ name }) => name, { most: 5 }),
    column('N', 4, 'size', ({ size }) => size, { alignRight: true, before: ' -> ' }),
    column('LAST', 0, 'last', ({ size }) => size),
  ];
  const { head, line } = formatter('table', columns);
  t.equal(head, 'LONGE ->    N LAST\n');
  t.equal(line({ name: 'abcdefgh', size: 12 }), 'abcde ->   12 12\n');
  t.equal(line({ name: 'a', size: 123_456 }), 'a     -> 123456 123456\n');
  t.match(formatter('csv', columns).line({ name: 'abcdefgh', size: 1 }), 'abcdefgh,1,1\n');
  t.end();
});

t.test("a histogram has bcc's lines", (t) => {
  t.strictSame([0, 1, 2, 3, 4, 1023, 1024].map(bucketOf), [1, 1, 2, 2, 3, 10, 11]);
  t.strictSame(bucketRange(11), { low: 1024, high: 2047 });
  // what bcc's print_log2_hist prints for these counts
  t.strictSame(histogramLines([0, 0, 3, 0, 40, 1], 'usecs'), [
    '     usecs               : count     distribution',
    '         0 -> 1          : 0        |                                        |',
    '         2 -> 3          : 3        |***                                     |',
    '         4 -> 7          : 0        |                                        |',
    '         8 -> 15         : 40       |****************************************|',
    '        16 -> 31         : 1        |*                                       |',
  ]);
  t.strictSame(histogramLines([0, 0, 0], 'usecs'), [], 'nothing was counted');
  const wide = histogramLines([...Array<number>(33).fill(0), 7], 'nsecs');
  t.equal(wide.length, 34);
  t.equal(wide[0], `${' '.repeat(15)}nsecs${' '.repeat(24)} : count     distribution`);
  t.equal(
    wide[33],
    '          4294967296 -> 8589934591           : 7        |********************|',
  );
  t.strictSame(histogramBuckets([0, 2, 0, 5]), [
    { from: 0, to: 1, count: 2 },
    { from: 4, to: 7, count: 5 },
  ]);
  t.end();
});

const TIME = '2026-01-02T03:04:05.000Z';
const BLOCKS: readonly Block[] = [
  textBlock('03:04:05', ''),
  rowsBlock(COLUMNS, [{ name: 'a', size: 7 }], { block: 1 }),
  histogramBlock({
    title: 'Local Address = x',
    labels: { laddr: 'x' },
    unit: 'usecs',
    counts: [0, 1],
  }),
];

t.test('a report is a table for a person and objects for a program', (t) => {
  const shown = (format: 'table' | 'json' | 'csv', told = new Set<string>()): string =>
    reportText(BLOCKS, format, TIME, told);
  t.equal(
    shown('table'),
    [
      '03:04:05',
      '',
      'NAME   SIZE',
      'a      7   ',
      'Local Address = x',
      ...histogramLines([0, 1], 'usecs'),
      '',
    ].join('\n'),
  );
  t.equal(
    shown('json'),
    `{"time":"${TIME}","block":1,"name":"a","hidden":1,"size":7}\n` +
      `{"time":"${TIME}","laddr":"x","unit":"usecs","buckets":[{"from":0,"to":1,"count":1}]}\n`,
  );
  const told = new Set<string>();
  const csv = `${TIME},a,1,7\n`;
  t.equal(
    shown('csv', told),
    `TIME,NAME,HIDDEN,SIZE\n${csv}TIME,laddr,FROM,TO,COUNT\n${TIME},x,0,1,1\n`,
  );
  t.equal(shown('csv', told), `${csv}${TIME},x,0,1,1\n`, 'heads are told once');
  t.end();
});

t.test('a tool may take a common option for itself', async (t) => {
  const typed: Record<string, unknown>[] = [];
  const own = {
    ...argument('[interval]', 'its own'),
    ...option('-d, --duration <S>', 'its own'),
    ...option('-v, --verbose', 'its own'),
  };
  const about = { group: 'The machine:', summary: '', description: '', help: '' } as const;
  const trial = (): never => {
    throw new Error('nobody asks');
  };
  const take = async (options: object): Promise<void> => void typed.push({ ...options });
  const all = { hasMetrics: true, showsProcesses: true };
  const none = { hasMetrics: false, showsProcesses: false };
  const tool = watchingTool({ ...about, name: 'x', trial, options: own }, all, take);
  const flags = tool.command().options.map((one) => one.flags);
  t.strictSame(flags, [
    '-d, --duration <S>',
    '-v, --verbose',
    '-o, --output <FORMAT>',
    '--netns <NAMES>',
    '--cgroup <PATH>',
    '--unit <NAMES>',
    '--container <IDS>',
    '--show-unit',
    '--data <DIR>',
    ...['-?', '--usage'],
  ]);
  await tool.command().parseAsync(['5', '-v', '-d', '3'], { from: 'user' });
  t.match(typed[0], { interval: '5', duration: '3', output: 'table', libbpfLog: false });

  const plain = watchingTool({ ...about, name: 'y', trial, options: {} }, none, take);
  const longs = plain.command().options.map(({ long }) => long);
  t.notOk(longs.includes('--data'), 'it has no metrics');
  t.notOk(longs.includes('--show-unit'), 'it names no process');
  await plain.command().parseAsync(['--verbose'], { from: 'user' });
  t.match(typed[1], { output: 'table', libbpfLog: true });
});

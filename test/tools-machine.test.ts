/** The tools for the machine without a kernel: numbers, reports, options. */
import { CommanderError } from 'commander';
import t from 'tap';
import { portRange } from '../src/cli/parse.js';
import { countText, rateText } from '../src/tools/nic/number.js';
import { nicReport } from '../src/tools/nic/report.js';
import { Growth } from '../src/sources/growth.js';
import type { Device, Direction, QueueCounts } from '../src/sources/nic.js';
import type { Format } from '../src/terminal/format.js';
import { reportText } from '../src/terminal/report.js';
import netqtop from '../src/tools/netqtop.js';
import nicThroughput from '../src/tools/nic_throughput.js';
import softirqs from '../src/tools/softirqs.js';
import tcpcong from '../src/tools/tcpcong.js';
import type { Tool } from '../src/terminal/tool.js';
import { NetwatchError } from '../src/failure.js';

t.test('numbers are rounded and shortened as Python does it for the originals', (t) => {
  const counts = [
    [0, '0'],
    [1000, '1000'],
    [1001, '0.98K'],
    [1024, '1.0K'],
    [1152, '1.12K'],
    [1_000_000, '976.56K'],
    [1_000_001, '0.95M'],
    [12_345_678, '11.77M'],
    [5_000_000_000, '4768.37M'],
  ] as const;
  for (const [count, text] of counts) t.equal(countText(count), text);
  const rates = [
    [0, '0.0'],
    [0.125, '0.12'],
    [0.375, '0.38'],
    [0.001, '0.0'],
    [1.005, '1.0'],
    [2.675, '2.67'],
    [8.345, '8.35'],
    [384, '384.0'],
    [250 / 3, '83.33'],
    [999.999, '1000.0'],
    [1000.5, '0.98K'],
    [1_179_648, '1.12M'],
  ] as const;
  for (const [rate, text] of rates) t.equal(rateText(rate), text, String(rate));
  t.end();
});

t.test('what has grown since the last look is told once', (t) => {
  const growth = new Growth((now: number, before: number) => now - before);
  t.strictSame(growth.of([1, 20]), [1, 20], 'all of it the first time');
  t.strictSame(growth.of([1, 25]), [0, 5]);
  t.strictSame(growth.of([3, 25]), [2, 0]);
  t.end();
});

const DEVICE: Device = {
  name: 'eth0',
  ifindex: 2,
  netns: 4026531840,
  queues: { transmit: 2, receive: 1 },
};
const MOMENT = {
  wallMs: new Date(2026, 10, 1, 9, 8, 7).getTime(),
  elapsedSeconds: 2,
  namesOf: () => null,
};

function counts(
  direction: Direction,
  queue: number | null,
  bytes = 0,
  sizes: readonly number[] = [0, 0, 0, 0, 0],
): QueueCounts {
  return { direction, queue, bytes, packets: sizes.reduce((a, b) => a + b), sizes };
}

const COUNTED: readonly QueueCounts[] = [
  counts('transmit', 0, 4000, [1, 2, 3, 0, 0]),
  counts('transmit', 1),
  counts('transmit', null),
  counts('receive', 0, 60, [1, 0, 0, 0, 0]),
  counts('receive', null, 65_000, [0, 0, 0, 0, 2]),
];

function text(format: Format, sizes = true, rates = false): string[] {
  const blocks = nicReport(COUNTED, DEVICE, MOMENT, { sizes, rates }, 20);
  return reportText(blocks, format, 'NOW', new Set()).split('\n').slice(0, -1);
}

t.test('a report has a row for each queue, and the total of all packets', (t) => {
  const head = ' QueueID    avg_size   [0, 64)    [64, 512)  [512, 2K)  [2K, 16K)  [16K, 64K) ';
  t.strictSame(text('table'), [
    'Sun Nov  1 09:08:07 2026',
    'TX',
    head,
    ' 0          666.67     1          2          3          0          0          ',
    ' 1          0          0          0          0          0          0          ',
    ' Total      666.67     1          2          3          0          0          ',
    '',
    'RX',
    head,
    ' 0          60.0       1          0          0          0          0          ',
    ' Total      21.18K     1          0          0          0          2          ',
    '-'.repeat(20),
  ]);
  t.end();
});

t.test('rates are per second of the time that has passed', (t) => {
  t.strictSame(text('table', false, true).slice(1, 6), [
    'TX',
    ' QueueID    avg_size   BPS        PPS        ',
    ' 0          666.67     1.95K      3.0        ',
    ' 1          0          0.0        0.0        ',
    ' Total      666.67     1.95K      3.0        ',
  ]);
  t.end();
});

t.test('a program gets exact numbers, and packets of no queue apart', (t) => {
  const rows = text('json').map((line) => JSON.parse(line) as Record<string, unknown>);
  t.strictSame(
    rows.map((row) => [row['network_io_direction'], row['queue'], row['packets'], row['bytes']]),
    [
      ['transmit', 0, 6, 4000],
      ['transmit', 1, 0, 0],
      ['receive', 0, 1, 60],
      ['receive', null, 2, 65_000],
    ],
  );
  t.strictSame(rows[0], {
    time: 'NOW',
    network_interface_name: 'eth0',
    network_io_direction: 'transmit',
    queue: 0,
    packets: 6,
    bytes: 4000,
    average_bytes: 4000 / 6,
    packets_below_64_bytes: 1,
    packets_below_512_bytes: 2,
    packets_below_2048_bytes: 3,
    packets_below_16384_bytes: 0,
    packets_of_16384_bytes_or_more: 0,
    bytes_per_second: 2000,
    packets_per_second: 3,
  });
  const csv = text('csv');
  t.match(
    csv[0],
    /^TIME,DEVICE,DIRECTION,QUEUE,PACKETS,BYTES,AVERAGE_BYTES,PACKETS_BELOW_64_BYTES,/,
  );
  t.equal(csv[4], 'NOW,eth0,receive,,2,65000,32500,0,0,0,0,2,32500,1');
  t.equal(csv.length, 5, 'one head');
  t.end();
});

/** What stops a command before it starts; '' if it is something else. */
async function complaint(tool: Tool, args: readonly string[]): Promise<string> {
  let said = '';
  const command = tool.command().exitOverride();
  command.configureOutput({ writeErr: (part) => (said += part) });
  try {
    await command.parseAsync(args, { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) return said;
    if (error instanceof NetwatchError) return error.message;
    throw error;
  }
  return '';
}

t.test(
  'netqtop and nic_throughput refuse what they cannot do, in words of the original',
  async (t) => {
    const cases = [
      [
        [],
        /required option '-n, --name <INTERFACE>' not specified\. Please specify a network interf/,
      ],
      [['-n', ''], /Please specify a network interface\./],
      [['-n', 'x'.repeat(16)], /NIC name too long/],
      [['-n', 'lo', '-i', '0'], /print interval must be non-zero/],
      [['-n', 'lo', '-i', '-1'], /It should be seconds/],
      [['-n', 'lo', '-c', '0'], /It should be a number from 1/],
      [['-n', 'lo', '--netns', 'a,b'], /one network namespace/],
      [['-n', 'lo', '--cgroup', '/'], /belong to no cgroup/],
      [['-n', 'lo', 'eth0'], /too many arguments/],
    ] as const;
    for (const tool of [netqtop, nicThroughput])
      for (const [args, says] of cases)
        t.match(await complaint(tool, args), says, `${tool.name} ${args.join(' ')}`);
  },
);

t.test('tcpcong takes a port or a range, and nothing else', async (t) => {
  const cases = [
    [['-L', '80-'], /It should be a port, or two with a dash, from 1 to 65535/],
    [['-R', '1-2-3'], /It should be a port, or two with a dash between/],
    [['-R', '65536'], /It should be a port/],
    [['-L', '3006-3000'], /the smaller one comes first, 3000-3006/],
    [['-4', '-6'], /cannot be used with/],
    [['0'], /It should be seconds/],
  ] as const;
  for (const [args, says] of cases) t.match(await complaint(tcpcong, args), says, args.join(' '));
  t.strictSame(portRange('3000-3006'), { from: 3000, to: 3006 });
  t.strictSame(portRange('80'), { from: 80, to: 80 });
});

t.test('softirqs refuses what it cannot do', async (t) => {
  const cases = [
    [['-C', '-d'], /^The --events option can't be used with time-based options\n/],
    [['-C', '--distributed'], /^The --events option can't be used with time-based options\n/],
    [['-C', '--count'], /'--count' cannot be used with option '-C, --events'/],
    [['-C', '-N'], /^The --events option can't be used with time-based options\n/],
    [['--cgroup', '/'], /belong to no cgroup/],
    [['-c', 'all'], /It should be a CPU from 0 to 8191/],
    [['0'], /It should be seconds, more than 0/],
    [['1', '0'], /It should be a number from 1/],
    [['1', '2', '3'], /too many arguments/],
  ] as const;
  for (const [args, says] of cases) t.match(await complaint(softirqs, args), says, args.join(' '));
});

/** The report of netqtop and nic_throughput: a row for each queue, and their sum. Pure. */
import type { Device, Direction, QueueCounts } from '../../sources/nic.js';
import { column, columnWith, type Column } from '../../terminal/column.js';
import { asctime } from '../../metrics/wall-clock.js';
import type { Moment } from '../../terminal/report-tool.js';
import { onlyData, onlyTable, rowsBlock, textBlock, type Block } from '../../terminal/report.js';
import { countText, rateText } from './number.js';

/** A queue's counts, or those of all of them, and how long they took. */
export interface QueueRow extends QueueCounts {
  readonly isTotal: boolean;
  readonly seconds: number;
}

/** What a table has besides the queue and its average. */
export interface TableParts {
  readonly sizes: boolean;
  readonly rates: boolean;
}

const WIDTH = 11;
const SIZE_TITLES = ['[0, 64)', '[64, 512)', '[512, 2K)', '[2K, 16K)', '[16K, 64K)'] as const;
const SIZE_FIELDS = [
  'packets_below_64_bytes',
  'packets_below_512_bytes',
  'packets_below_2048_bytes',
  'packets_below_16384_bytes',
  'packets_of_16384_bytes_or_more',
] as const;

const averageOf = ({ bytes, packets }: QueueRow): number => (packets === 0 ? 0 : bytes / packets);
const bytesPerSecond = ({ bytes, seconds }: QueueRow): number => bytes / seconds;
const packetsPerSecond = ({ packets, seconds }: QueueRow): number => packets / seconds;

/** The first cell stands behind a space, all others directly behind the one before. */
function cellColumn(title: string, cell: (row: QueueRow) => string, before = ''): Column<QueueRow> {
  return columnWith(title, WIDTH, cell, () => ({}), { before });
}

/** As the originals print it; an average of nothing is a whole number there. */
function tableColumns({ sizes, rates }: TableParts): Column<QueueRow>[] {
  return [
    cellColumn('QueueID', ({ isTotal, queue }) => (isTotal ? 'Total' : String(queue)), ' '),
    cellColumn('avg_size', (row) => (row.packets === 0 ? '0' : rateText(averageOf(row)))),
    ...(sizes
      ? SIZE_TITLES.map((title, i) => cellColumn(title, (row) => countText(row.sizes[i] ?? 0)))
      : []),
    ...(rates
      ? [
          cellColumn('BPS', (row) => rateText(bytesPerSecond(row))),
          cellColumn('PPS', (row) => rateText(packetsPerSecond(row))),
        ]
      : []),
  ];
}

/** All of it, in exact numbers. */
function dataColumns(device: Device): Column<QueueRow>[] {
  return [
    column('DEVICE', 0, 'network_interface_name', () => device.name),
    column('DIRECTION', 0, 'network_io_direction', ({ direction }) => direction),
    column('QUEUE', 0, 'queue', ({ queue }) => queue),
    column('PACKETS', 0, 'packets', ({ packets }) => packets),
    column('BYTES', 0, 'bytes', ({ bytes }) => bytes),
    column('AVERAGE_BYTES', 0, 'average_bytes', averageOf),
    ...SIZE_FIELDS.map((field, i) =>
      column<QueueRow>(field.toUpperCase(), 0, field, ({ sizes }) => sizes[i] ?? 0),
    ),
    column('BYTES_PER_SECOND', 0, 'bytes_per_second', bytesPerSecond),
    column('PACKETS_PER_SECOND', 0, 'packets_per_second', packetsPerSecond),
  ];
}

function totalOf(direction: Direction, rows: readonly QueueRow[], seconds: number): QueueRow {
  const sum = (of: (row: QueueRow) => number): number =>
    rows.reduce((all, row) => all + of(row), 0);
  return {
    direction,
    queue: null,
    isTotal: true,
    seconds,
    packets: sum(({ packets }) => packets),
    bytes: sum(({ bytes }) => bytes),
    sizes: SIZE_TITLES.map((_, i) => sum(({ sizes }) => sizes[i] ?? 0)),
  };
}

/** Packets of no queue are in the total, and in a row of their own only for a program. */
function directionBlocks(
  direction: Direction,
  all: readonly QueueRow[],
  { device, seconds }: { readonly device: Device; readonly seconds: number },
  parts: TableParts,
): Block[] {
  const rows = all.filter((row) => row.direction === direction);
  const queues = rows.filter(({ queue }) => queue !== null);
  const shown = [...queues, totalOf(direction, rows, seconds)];
  const data = rows.filter(({ queue, packets }) => queue !== null || packets > 0);
  return [
    onlyTable(rowsBlock(tableColumns(parts), shown)),
    onlyData(rowsBlock(dataColumns(device), data)),
  ];
}

/** `line`: how many dashes end it. */
export function nicReport(
  counts: readonly QueueCounts[],
  device: Device,
  { wallMs, elapsedSeconds: seconds }: Moment,
  parts: TableParts,
  line: number,
): Block[] {
  const rows = counts.map((one) => ({ ...one, isTotal: false, seconds }));
  return [
    textBlock(asctime(wallMs), 'TX'),
    ...directionBlocks('transmit', rows, { device, seconds }, parts),
    textBlock('', 'RX'),
    ...directionBlocks('receive', rows, { device, seconds }, parts),
    textBlock('-'.repeat(line)),
  ];
}

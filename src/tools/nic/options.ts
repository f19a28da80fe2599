/** What netqtop and nic_throughput have in common: options, messages, schedule, metrics. */
import { InvalidArgumentError } from 'commander';
import { option } from '../../cli/options.js';
import * as parse from '../../cli/parse.js';
import type { Snapshot } from '../../metrics/snapshot.js';
import type { SourceSpec } from '../../kernel/source.js';
import type { NicSource } from '../../sources/nic.js';
import type { Schedule } from '../../terminal/report-tool.js';
import { COUNT } from '../../terminal/tool-options.js';
import type { ToolOptions } from '../../terminal/watching-tool.js';
import { NetwatchError } from '../../failure.js';

/** IFNAMSIZ without its NUL. */
const MAX_NAME_BYTES = 15;
const NO_NAME = 'Please specify a network interface.';

function interfaceName(text: string): string {
  if (text === '') throw new InvalidArgumentError(NO_NAME);
  if (Buffer.byteLength(text) > MAX_NAME_BYTES) throw new InvalidArgumentError('NIC name too long');
  return text;
}

function interval(text: string): number {
  if (Number(text) === 0) throw new InvalidArgumentError('print interval must be non-zero');
  return parse.seconds(text);
}

export const NIC = {
  ...option(
    '-n, --name <INTERFACE>',
    'of the network namespace that --netns names, or this one',
    // the original's words
    { parse: interfaceName, missing: NO_NAME },
  ),
  ...option('-i, --interval <SECONDS>', 'between two reports', { parse: interval, default: 1 }),
  ...COUNT,
};
export type NicOptions = ToolOptions<typeof NIC>;

/** For `netwatch doctor`. */
export async function tryNic(): Promise<SourceSpec> {
  return (await import('../../sources/nic.js')).trial();
}

/** Throws NetwatchError. */
export function checkNic({ netns = [], cgroup, unit, container }: NicOptions): void {
  if (netns.length > 1)
    throw new NetwatchError({
      code: 'usage',
      message: 'a device is in one network namespace',
      next: 'give --netns one of them',
    });
  if ((cgroup ?? unit ?? container) !== undefined)
    throw new NetwatchError({
      code: 'usage',
      message: 'packets of a device belong to no cgroup',
      next: 'leave out --cgroup, --unit and --container',
    });
}

/** What was cut short at the end is shown too. */
export const nicSchedule = ({ interval: everySeconds, count }: NicOptions): Schedule => ({
  everySeconds,
  count: count ?? null,
  clears: false,
  atEnd: true,
});

export async function openNic({ name, netns = [] }: NicOptions): Promise<NicSource> {
  const { NicSource } = await import('../../sources/nic.js');
  return new NicSource(name, netns[0] ?? null);
}

/** Packets of no queue that the device has are those of queue "-". */
export function nicMetrics(tool: string, source: NicSource, snapshot: Snapshot): void {
  for (const { direction, queue, packets, bytes } of source.totals()) {
    if (queue === null && packets === 0) continue;
    const labels = {
      tool,
      device: source.device.name,
      queue: queue ?? '-',
      network_io_direction: direction,
    } as const;
    snapshot.add('netwatch_nic_queue_bytes_total', labels, bytes);
    snapshot.add('netwatch_nic_queue_packets_total', labels, packets);
  }
}

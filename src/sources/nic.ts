/**
 * Source `nic`: packets and bytes of each queue of one network device. Kernel side: bpf/nic.bpf.c.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { decodeQueue, DIRECTION, QUEUE, RODATA, type Queue } from '../generated/nic.js';
import { resolveNamespace } from '../kernel/host.js';
import { sumPerCpu } from '../kernel/map.js';
import { u32 } from '../kernel/rodata.js';
import { openCounts, type Attached, type SourceSpec } from '../kernel/source.js';
import { OWN_NAMESPACE, withSysfs } from '../kernel/sysfs.js';
import { NetwatchError } from '../failure.js';
import type { CountingSource } from './counting.js';
import { Growth } from './growth.js';
import type { SourcePlan } from './plan.js';

/** As bcc: more queues are refused. */
const MAX_QUEUES = 1024;

const DIRECTIONS = ['transmit', 'receive'] as const;
export type Direction = (typeof DIRECTIONS)[number];

/** A device of a network namespace, and how many queues are in use. */
export interface Device {
  readonly name: string;
  readonly ifindex: number;
  /** Inode number. */
  readonly netns: number;
  readonly queues: Readonly<Record<Direction, number>>;
}

/** Packets and bytes, and how many packets of each size. */
interface Counts extends Queue {
  readonly packets: number;
}

/** What went through a queue, by size too; null: no queue that the device has. */
export interface QueueCounts extends Counts {
  readonly direction: Direction;
  readonly queue: number | null;
}

const WIRE_DIRECTION: Readonly<Record<Direction, number>> = {
  transmit: DIRECTION.NW_DIRECTION_TRANSMIT,
  receive: DIRECTION.NW_DIRECTION_RECEIVE,
};

const noDevice = (name: string): NetwatchError =>
  // bcc's words, without its spelling ("does not exits")
  new NetwatchError({
    code: 'usage',
    message: `Net interface ${name} does not exist.`,
    next: 'see: ip link, in that namespace',
  });

function deviceIn(sysfs: string, name: string): Omit<Device, 'netns'> {
  const folder = `${sysfs}/class/net/${name}`;
  try {
    const queues = readdirSync(`${folder}/queues`);
    const countOf = (letter: string): number =>
      queues.filter((queue) => queue.startsWith(letter)).length;
    const ifindex = Number(readFileSync(`${folder}/ifindex`, 'utf8'));
    return { name, ifindex, queues: { transmit: countOf('t'), receive: countOf('r') } };
  } catch {
    throw noDevice(name);
  }
}

/** `namespace`: as `--netns` takes it; null: this one. Throws NetwatchError if there is no such device. */
function findDevice(name: string, namespace: string | null): Device {
  const { path, inode } = resolveNamespace(namespace ?? OWN_NAMESPACE);
  if (name.includes('/')) throw noDevice(name);
  const device = withSysfs(path ?? OWN_NAMESPACE, (sysfs) => deviceIn(sysfs, name));
  const most = Math.max(device.queues.transmit, device.queues.receive);
  if (most > MAX_QUEUES)
    throw new NetwatchError({
      code: 'usage',
      message: `number of queues over ${MAX_QUEUES} is not supported`,
      next: `${name} has ${most}; give it fewer with ethtool -L`,
    });
  return { ...device, netns: inode };
}

/** Queues that the kernel side tells apart in each direction; what is beyond has one entry more. */
const keptQueues = ({ queues }: Device): number => Math.max(queues.transmit, queues.receive);

function specOf(device: Device): SourceSpec {
  return {
    name: 'nic',
    rodata: [
      [RODATA.nw_ifindex, u32(device.ifindex)],
      [RODATA.nw_device_netns, u32(device.netns)],
      [RODATA.nw_queues, u32(keptQueues(device))],
    ],
    mapSizes: new Map([['nic_queues', DIRECTIONS.length * (keptQueues(device) + 1)]]),
    essential: () => true,
  };
}

/** Nothing goes through it. */
const NO_DEVICE: Device = {
  name: '',
  ifindex: 0,
  netns: 0,
  queues: { transmit: MAX_QUEUES, receive: MAX_QUEUES },
};

/** As a tool opens it that is asked for all it can. */
export function trial(): SourceSpec {
  return specOf(NO_DEVICE);
}

/** For `netwatch doctor`. */
export const PLAN: SourcePlan = {
  spec: () => null,
  programs: {
    net_dev_start_xmit: { gives: 'what a device sends' },
    netif_receive_skb: { gives: 'what a device receives' },
  },
  features: [],
};

const plus = (a: Counts, b: Counts): Counts => ({
  packets: a.packets + b.packets,
  bytes: a.bytes + b.bytes,
  sizes: a.sizes.map((count, i) => count + (b.sizes[i] ?? 0)),
});

const minus = (a: QueueCounts, b: QueueCounts): QueueCounts => ({
  ...a,
  packets: a.packets - b.packets,
  bytes: a.bytes - b.bytes,
  sizes: a.sizes.map((count, i) => count - (b.sizes[i] ?? 0)),
});

export class NicSource implements CountingSource<readonly QueueCounts[]> {
  readonly source: Attached;
  readonly device: Device;
  readonly #growth = new Growth(minus);

  /** Throws NetwatchError if there is no such device, NetwatchError if the kernel does not let us. */
  constructor(name: string, namespace: string | null) {
    this.device = findDevice(name, namespace);
    this.source = openCounts(specOf(this.device));
  }

  #read(direction: Direction, entry: number): Counts {
    const first = WIRE_DIRECTION[direction] * (keptQueues(this.device) + 1);
    const map = this.source.map('nic_queues', QUEUE.size);
    const queue = decodeQueue(sumPerCpu(map, first + entry), 0);
    return { packets: queue.sizes.reduce((sum, count) => sum + count, 0), ...queue };
  }

  #countsOf(direction: Direction): QueueCounts[] {
    const own = this.device.queues[direction];
    const entries = Array.from({ length: keptQueues(this.device) + 1 }, (_, entry) =>
      this.#read(direction, entry),
    );
    const others = entries.slice(own).reduce(plus);
    const known = entries.slice(0, own).map((counts, queue) => ({ direction, queue, ...counts }));
    return [...known, { direction, queue: null, ...others }];
  }

  /** Sums since the start: of each direction its queues, then what was in none of them. */
  totals(): readonly QueueCounts[] {
    return DIRECTIONS.flatMap((direction) => this.#countsOf(direction));
  }

  take(): readonly QueueCounts[] {
    return this.#growth.of(this.totals());
  }

  /** Every packet has a place. */
  lost(): number {
    return 0;
  }

  finish(): void {
    this.source.detach();
  }
}

/** Exact trouble inside a namespace: lost packets (nftables), slow queues (tbf), plain devices. */
import type { Namespace } from './namespace.js';

export interface DropOptions {
  /** Destination port of the packets meant. */
  readonly to?: number;
  /** Source port of the packets meant. */
  readonly from?: number;
  /** data: segments that carry bytes; syn: SYN without ACK; syn-ack; default: all TCP packets. */
  readonly only?: 'data' | 'syn' | 'syn-ack';
  /** Which of them: a share, every n-th, or exactly the k-th ones (from 1); default: all. */
  readonly percent?: number;
  readonly every?: number;
  readonly kth?: number | readonly number[];
  /**
   * Where. At `input` (default) the packet was sent and is lost on the way: what a network does. At
   * `output` the sender's own kernel refuses it, which TCP sees as a local failure, not as loss.
   */
  readonly hook?: 'input' | 'output';
}

export interface DropRule {
  /** Packets dropped so far. */
  dropped(): number;
  remove(): void;
}

let serial = 0;

/** Loses packets, IPv4 and IPv6, until `remove` or the end of the namespace. */
export function dropPackets(namespace: Namespace, options: DropOptions = {}): DropRule {
  const table = `inet loss${++serial}`;
  const hook = options.hook ?? 'input';
  const rule = [...packets(options), ...choice(options), 'counter drop'].join(' ');
  const nft = (script: string, ...args: string[]) =>
    namespace.execSync('nft', [...args, '-f', '-'], { input: script });
  nft(`table ${table} {
    chain ${hook} { type filter hook ${hook} priority 0; ${rule}; }
  }`);
  return {
    dropped: () => Number(/counter packets (\d+)/.exec(nft(`list table ${table}`))?.[1]),
    remove: () => void nft(`delete table ${table}`),
  };
}

function packets({ to, from, only }: DropOptions): string[] {
  const kinds = {
    data: '@ih,0,8 >= 0', // true when there is a byte behind the TCP header
    syn: 'tcp flags & (syn | ack) == syn',
    'syn-ack': 'tcp flags & (syn | ack) == (syn | ack)',
  };
  return [
    'meta l4proto tcp',
    ...(to === undefined ? [] : [`tcp dport ${to}`]),
    ...(from === undefined ? [] : [`tcp sport ${from}`]),
    ...(only === undefined ? [] : [kinds[only]]),
  ];
}

function choice({ percent, every, kth }: DropOptions): string[] {
  if (percent !== undefined) return [`numgen random mod 1000 < ${Math.round(percent * 10)}`];
  if (every !== undefined) return [`numgen inc mod ${every} ${every - 1}`];
  if (kth === undefined) return [];
  const places = [kth].flat().map((k) => k - 1);
  return [`numgen inc mod 2147483647 { ${places.join(', ')} }`];
}

export interface QueueOptions {
  readonly device?: string;
  readonly rateMbit: number;
  readonly burstBytes?: number;
  readonly limitBytes?: number;
}

export interface SlowQueue {
  stats(): { readonly packets: number; readonly drops: number; readonly overlimits: number };
  remove(): void;
}

/** Puts a token bucket in front of a device, so that packets wait in its queue. */
export function slowQueue(namespace: Namespace, options: QueueOptions): SlowQueue {
  const { device = 'lo', rateMbit, burstBytes = 200_000, limitBytes = 4_000_000 } = options;
  const size = ['burst', String(burstBytes), 'limit', String(limitBytes)];
  const tc = (...args: string[]) => namespace.execSync('tc', args);
  tc('qdisc', 'replace', 'dev', device, 'root', 'tbf', 'rate', `${rateMbit}mbit`, ...size);
  return {
    stats() {
      const text = tc('-s', 'qdisc', 'show', 'dev', device);
      const [, packets, drops, overlimits] =
        /Sent \d+ bytes (\d+) pkt \(dropped (\d+), overlimits (\d+)/.exec(text) ?? [];
      return { packets: Number(packets), drops: Number(drops), overlimits: Number(overlimits) };
    },
    remove: () => void tc('qdisc', 'del', 'dev', device, 'root'),
  };
}

/**
 * Lets new connections over `lo` send so many segments before the first ACK. A sender that has to
 * wait merges small writes; with a window this wide each write is its own segment under any load.
 */
export function wideWindow(namespace: Namespace, segments = 250): void {
  const route = (...args: string[]): string => namespace.execSync('ip', args);
  const tail = ['dev', 'lo', 'table', 'local'];
  const window = ['initcwnd', String(segments), 'initrwnd', String(segments)];
  const own = ['proto', 'kernel', 'scope', 'host', 'src', '127.0.0.1'];
  route('route', 'replace', 'local', '127.0.0.1', ...tail, ...own, ...window);
  route('-6', 'route', 'del', 'local', '::1', ...tail);
  route('-6', 'route', 'add', 'local', '::1', ...tail, ...window);
}

/** The `ioctl`s behind `ethtool -K`, by perl, which every Debian and Ubuntu has. */
const OFFLOADS = `use Socket;
my ($device, @want) = @ARGV;
my %set = (tx => 0x17, tso => 0x1f, gso => 0x24, gro => 0x2c);
socket(my $s, AF_INET, SOCK_DGRAM, 0) or die $!;
while (my ($name, $on) = splice @want, 0, 2) {
  my $value = pack('LL', $set{$name}, $on);
  ioctl($s, 0x8946, pack('a16 P x16', $device, $value)) or die "$name: $!";
}`;

export interface Offloads {
  /** Checksums of sent packets. */
  readonly tx?: boolean;
  /** Segmentation by the device. */
  readonly tso?: boolean;
  /** Segmentation just before the device. */
  readonly gso?: boolean;
  /** Merging of received segments. */
  readonly gro?: boolean;
}

/** Switches offloads of a device on or off, as `ethtool -K` does. */
export function setOffloads(namespace: Namespace, device: string, offloads: Offloads): void {
  const want = Object.entries(offloads).flatMap(([name, on]) => [name, on ? '1' : '0']);
  namespace.execSync('perl', ['-', device, ...want], { input: OFFLOADS });
}

/**
 * Makes one packet one segment: no TSO, GSO or GRO on the device, and Ethernet's MTU. With
 * `checksums` a veth also computes them in software, so that the receiver verifies them.
 */
export function plainDevice(namespace: Namespace, device = 'lo', { checksums = false } = {}): void {
  const off = { tso: false, gso: false, gro: false, ...(checksums ? { tx: false } : {}) };
  setOffloads(namespace, device, off);
  namespace.execSync('ip', ['link', 'set', device, 'mtu', '1500', 'gso_max_segs', '1']);
}

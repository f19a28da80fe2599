/** A network device with several queues, and packets that go through a known one of them. */
import { execFileSync } from 'node:child_process';
import { createNamespace, type Namespace, type Teardown } from './netns.js';

export const DEVICE = 'veth0';
/** Nobody has this address: what is sent there is received and dropped. */
const NOWHERE = '10.77.0.2';
/** Headers of Ethernet, IPv4 and UDP. */
export const HEADER_BYTES = 14 + 20 + 8;
const MTU = 65_000;

export interface QueuePair {
  /** Has an address. */
  readonly left: Namespace;
  /** Has none, so that nothing comes from there. */
  readonly right: Namespace;
}

/** Two namespaces joined by a device that has so many queues on the left, one on the right. */
export function createQueuePair(t: Teardown, queues: number): QueuePair {
  const sysctls = { 'ipv6/conf/all/disable_ipv6': 1, 'ipv6/conf/default/disable_ipv6': 1 };
  const left = createNamespace(t, { sysctls });
  const right = createNamespace(t, { sysctls });
  const shape = ['numtxqueues', String(queues), 'numrxqueues', String(queues)];
  left.execSync('ip', ['link', 'add', DEVICE, ...shape, 'type', 'veth', 'peer', 'name', 'peer0']);
  left.execSync('ip', ['link', 'set', 'peer0', 'netns', right.name, 'name', DEVICE]);
  const up = `link set ${DEVICE} mtu ${MTU} up\n`;
  right.execSync('ip', ['-batch', '-'], { input: up });
  const [{ address }] = JSON.parse(right.execSync('ip', ['-j', 'link', 'show', DEVICE])) as [
    { readonly address: string },
  ];
  const neighbour = `neigh add ${NOWHERE} lladdr ${address} dev ${DEVICE} nud permanent\n`;
  const input = `${up}addr add 10.77.0.1/24 dev ${DEVICE}\n${neighbour}`;
  left.execSync('ip', ['-batch', '-'], { input });
  return { left, right };
}

/** Sends what the first CPU sends through one queue (XPS). */
function chooseQueue({ name }: Namespace, queue: number): void {
  const line = `for q in /sys/class/net/${DEVICE}/queues/tx-*; do
    if [ "$q" = "\${q%-*}-${queue}" ]; then echo 1; else echo 0; fi > $q/xps_cpus || exit
  done`;
  // it mounts a sysfs that shows the namespace's devices
  execFileSync('ip', ['netns', 'exec', name, 'sh', '-c', line]);
}

const SEND = `use Socket; my ($to, $bytes, $count) = @ARGV;
socket(my $socket, AF_INET, SOCK_DGRAM, 0) or die $!;
my $address = pack_sockaddr_in(9, inet_aton($to));
for (1..$count) { defined send($socket, "x" x $bytes, 0, $address) or die $! }`;

/** Datagrams from the first CPU; their payload in bytes. */
export async function sendDatagrams(
  namespace: Namespace,
  to: string,
  bytes: number,
  count: number,
): Promise<void> {
  const line = ['perl', '-e', SEND, to, String(bytes), String(count)];
  await namespace.exec('taskset', ['-c', '0', ...line]);
}

/** The same through one queue of the device on the left. */
export async function sendThrough(
  { left }: QueuePair,
  queue: number,
  bytes: number,
  count: number,
): Promise<void> {
  chooseQueue(left, queue);
  await sendDatagrams(left, NOWHERE, bytes, count);
}

interface Counters {
  readonly bytes: number;
  readonly packets: number;
}

/** What the device has counted itself. */
export async function linkCounters(
  namespace: Namespace,
): Promise<{ readonly rx: Counters; readonly tx: Counters }> {
  const text = await namespace.exec('ip', ['-j', '-s', 'link', 'show', DEVICE]);
  const [{ stats64 }] = JSON.parse(text) as [
    { readonly stats64: { readonly rx: Counters; readonly tx: Counters } },
  ];
  return stats64;
}

/** Which CPU what arrives on loopback goes up on (receive packet steering). */
import type { Namespace } from './netns.js';

/** With a sysfs of the namespace's own, for a moment: the machine's shows other devices. */
const SET_RPS = 'mount -t sysfs sysfs /sys && echo "$1" > /sys/class/net/lo/queues/rx-0/rps_cpus';

/** From here on `cpu` receives what any CPU of the namespace sends to itself; it is interrupted for that. */
export function receiveOn(namespace: Namespace, cpu: number): void {
  const mask = (1 << cpu).toString(16);
  namespace.execSync('unshare', ['-m', 'sh', '-c', SET_RPS, 'rps', mask]);
}

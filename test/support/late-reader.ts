/** A server that sleeps while packets arrive, and reads them later. */
import type { Namespace } from './netns.js';
import { sockets } from './ss.js';
import { startProgram } from './traffic.js';
import { until } from './wait.js';

/** How long the server sleeps once all has arrived. */
export const STOPPED_MS = 150;

export interface LateReading {
  /** Each is a write of its own, of 101 bytes. */
  readonly segments: number;
  readonly host: string;
  readonly port: number;
  /** Between two writes, so that a slow machine does not put them into one packet; default 0. */
  readonly pauseMs?: number;
}

/** Plays it; returns when all has been read. */
export async function readLate(
  namespace: Namespace,
  { segments, host, port, pauseMs = 0 }: LateReading,
): Promise<void> {
  const common = { host, port, requestBytes: 101, replyBytes: 0 };
  const server = await startProgram(namespace, 'tcp-server', common);
  const client = await startProgram(namespace, 'tcp-client', {
    ...common,
    rounds: segments,
    pauseMs,
    connectFirst: true,
    close: 'hold',
  });
  server.signal('SIGSTOP');
  await client.go();
  // a slow machine has some of them still to send
  const toServer = ['state', 'established', 'dport', '=', `:${port}`];
  const areThere = async (): Promise<boolean> =>
    (await sockets(namespace, ...toServer)).every(({ sendQueue }) => sendQueue === 0);
  await until(areThere, { what: 'all has arrived' });
  const arrivedMs = performance.now();
  await until(() => performance.now() > arrivedMs + STOPPED_MS, { what: 'a pause' });
  server.signal('SIGCONT');
  await client.stop();
  await server.stop();
}

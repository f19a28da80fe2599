/** Bytes by process and connection, as the traffic programs count them and as the tools tell them. */
import { startProgram } from './traffic.js';
import type { Namespace } from './netns.js';
import type { Json } from './ndjson.js';

/** Sent and received, by `pid local peer`. */
export type ByteCounts = Readonly<Record<string, readonly [sent: number, received: number]>>;

export interface Exchange {
  readonly port: number;
  /** Where the client connects to. */
  readonly host: string;
  /** Where the server listens; default: the same. */
  readonly serverHost?: string;
  readonly connections: number;
  readonly rounds: number;
  readonly requestBytes: number;
  readonly replyBytes: number;
  readonly pauseMs?: number;
  readonly concurrency?: number;
}

export interface Exchanged {
  readonly clientPid: number;
  readonly serverPid: number;
  readonly counts: ByteCounts;
}

/** Runs a client and a server to their ends; what both say they have sent and received. */
export async function exchange(
  namespace: Namespace,
  { serverHost, port, host, requestBytes, replyBytes, ...client }: Exchange,
): Promise<Exchanged> {
  const sizes = { port, requestBytes, replyBytes };
  const serving = await startProgram(
    namespace,
    'tcp-server',
    { ...sizes, host: serverHost ?? host },
    { comm: 'bytes-server' },
  );
  const options = { ...sizes, ...client, host };
  const calling = await startProgram(namespace, 'tcp-client', options, { comm: 'bytes-client' });
  const sent = await calling.go();
  await calling.stop();
  const served = await serving.stop();
  const counts: Record<string, readonly [number, number]> = {};
  for (const { localPort, bytesOut, bytesIn } of sent.connections)
    counts[`${calling.pid} ${host}:${localPort} ${host}:${port}`] = [bytesOut, bytesIn];
  for (const { peerPort, bytesOut, bytesIn } of served.connections)
    counts[`${serving.pid} ${host}:${port} ${host}:${peerPort}`] = [bytesOut, bytesIn];
  return { clientPid: calling.pid, serverPid: serving.pid, counts };
}

/** The same out of what `-o json` of tcptop or tcp_bytes says, all reports together. */
export function countsOfRows(rows: readonly Json[]): ByteCounts {
  const counts: Record<string, readonly [number, number]> = {};
  for (const row of rows) {
    const end = (side: string): string =>
      `${String(row[`network_${side}_address`])}:${String(row[`network_${side}_port`])}`;
    const key = `${String(row['pid'])} ${end('local')} ${end('peer')}`;
    const [sent, received] = counts[key] ?? [0, 0];
    counts[key] = [sent + Number(row['bytes_sent']), received + Number(row['bytes_received'])];
  }
  return counts;
}

/** Whether two are the same, whatever the order of their keys. */
export function sameCounts(a: ByteCounts, b: ByteCounts): boolean {
  const text = (counts: ByteCounts): string => JSON.stringify(Object.entries(counts).sort());
  return text(a) === text(b);
}

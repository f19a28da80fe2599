/**
 * Some of everything TCP does, for a first look: bounded in count and time, on the loopback of one
 * namespace.
 */
import { dropPackets, plainDevice, wideWindow } from '../traffic/faults.js';
import { injectSegment } from '../traffic/inject.js';
import type { Namespace } from '../traffic/namespace.js';
import type {
  HttpClientOptions,
  HttpRequest,
  TcpClientOptions,
  TcpServerOptions,
} from '../traffic/programs.js';
import { startProgram, type Program } from '../traffic/start.js';

const V4 = '127.0.0.1';
const V6 = '::1';
const PORTS = { http: 8080, http6: 8081, echo: 7000, bulk: 9000, old: 6000, closed: 1 } as const;

export type Say = (what: string) => void;

/** Connections from before netwatch starts. */
export interface OldConnections {
  readonly server: Program<'tcp-server'>;
  readonly client: Program<'tcp-client'>;
}

/** Opens two connections that netwatch has to find by itself. */
export async function openOldConnections(namespace: Namespace): Promise<OldConnections> {
  const port = PORTS.old;
  const server = await startProgram(namespace, 'tcp-server', { port }, { comm: 'old-server' });
  const client = await startProgram(
    namespace,
    'tcp-client',
    { port, connections: 2, rounds: 20, connectFirst: true, close: 'hold' },
    { comm: 'old-client' },
  );
  return { server, client };
}

const PAGES: readonly HttpRequest[] = [
  { path: '/bytes/1000' },
  { path: '/bytes/200000?user=me&token=not-for-your-eyes' },
  { method: 'POST', path: '/orders', body: 300, headers: { Authorization: 'Bearer secret' } },
  { path: '/delay/40' },
  { path: '/chunked/5/400' },
  { method: 'HEAD', path: '/bytes/5' },
  { path: '/status/404' },
  { path: '/status/304' },
];

/** Plays all of it; about 8 seconds. */
export async function playTraffic(
  namespace: Namespace,
  { server, client }: OldConnections,
  say: Say,
): Promise<void> {
  wideWindow(namespace);
  await playHttp(namespace, say);
  await playConnections(namespace, say);
  say('the two connections from before netwatch started, 20 round trips each');
  await client.go();
  await playErrors(namespace, client, say);
  await playBulk(namespace, say);
  await client.stop();
  await server.stop();
}

async function playHttp(namespace: Namespace, say: Say): Promise<void> {
  const server = await startProgram(
    namespace,
    'http-server',
    { port: PORTS.http },
    { comm: 'shop' },
  );
  const play = async (options: Partial<HttpClientOptions>): Promise<void> => {
    const client = await startProgram(namespace, 'http-client', options, { comm: 'browser' });
    await client.go();
    await client.stop();
  };
  say('HTTP: 5 connections with keep-alive, 160 requests of 8 kinds');
  await play({
    port: PORTS.http,
    connections: 5,
    concurrency: 5,
    total: 160,
    requests: PAGES,
    pauseMs: 15,
  });
  say('HTTP: 100 requests pipelined by 10; 5 requests sent byte by byte');
  await play({ port: PORTS.http, total: 100, pipeline: 10, requests: [{ path: '/pipelined' }] });
  await play({ port: PORTS.http, total: 5, requests: [{ path: '/in-pieces', split: 1 }] });
  await server.stop();
  say('HTTP over IPv6: 20 requests');
  const six = { port: PORTS.http6, host: V6 };
  const server6 = await startProgram(namespace, 'http-server', six, { comm: 'shop6' });
  await play({ ...six, total: 20, requests: PAGES });
  await server6.stop();
}

async function playTcp(
  namespace: Namespace,
  client: Partial<TcpClientOptions>,
  server: Partial<TcpServerOptions> = {},
): Promise<void> {
  const common = { host: V4, port: PORTS.echo };
  const s = await startProgram(namespace, 'tcp-server', { ...common, ...server });
  const c = await startProgram(namespace, 'tcp-client', { ...common, ...client });
  await c.go();
  await c.stop();
  await s.stop();
}

async function playConnections(namespace: Namespace, say: Say): Promise<void> {
  say('50 short connections, 500 one-byte round trips');
  await playTcp(namespace, { connections: 50, concurrency: 4 });
  await playTcp(namespace, { rounds: 500 });
  say('7 refused connections, 5 resets by the client, 3 by the server');
  await playTcp(namespace, { connections: 7, port: PORTS.closed });
  await playTcp(namespace, { connections: 5, close: 'reset' });
  await playTcp(namespace, { connections: 3 }, { mode: 'reset' });
}

async function playErrors(
  namespace: Namespace,
  client: Program<'tcp-client'>,
  say: Say,
): Promise<void> {
  say('4 segments from nowhere, 3 with a wrong checksum');
  const from = { address: V4, port: PORTS.old };
  const to = { address: V4, port: client.ready.localPorts[0] ?? 0 };
  const segment = { from, to, seq: 0, ack: 1, flags: 'A' };
  // from all quarters of the sequence space: half of them beyond the window
  for (const seq of [0, 2 ** 30, 2 ** 31, 3 * 2 ** 30])
    await injectSegment(namespace, { ...segment, seq });
  for (let i = 0; i < 3; i++) await injectSegment(namespace, { ...segment, badChecksum: true });
}

async function playBulk(namespace: Namespace, say: Say): Promise<void> {
  const port = PORTS.bulk;
  say('20 MB up, 20 MB down');
  const size = 20_000_000;
  await playTcp(namespace, { port, requestBytes: size, replyBytes: 0 }, { port, replyBytes: 0 });
  const download = { port, requestBytes: 1, replyBytes: size };
  await playTcp(namespace, download, download);
  say('3 MB through a network that loses 3 % of the packets; then a lost SYN and a silent peer');
  plainDevice(namespace); // small packets: more of them to lose
  const loss = dropPackets(namespace, { to: port, only: 'data', percent: 3 });
  const lossy = { port, requestBytes: 3_000_000, replyBytes: 0 };
  await playTcp(namespace, lossy, { port, replyBytes: 0 });
  loss.remove();
  const tail = dropPackets(namespace, { to: port, only: 'data', kth: [1, 2, 3] });
  const syn = dropPackets(namespace, { to: port, only: 'syn', kth: 1 });
  await playTcp(namespace, { port, requestBytes: 100 }, { port, requestBytes: 100 });
  tail.remove();
  syn.remove();
}

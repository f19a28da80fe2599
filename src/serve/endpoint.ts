/** The endpoint: server, application, stream and store put together, and taken apart in order. */
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { hostAndPort, type ListenAddress } from '../cli/listen.js';
import { NetwatchError } from '../failure.js';
import { createApp } from './app.js';
import type { Asset } from './assets.js';
import { Authenticator } from './basic-auth.js';
import { isLoopback } from './hosts.js';
import type { Limits } from './limits.js';
import { OwnMetrics } from './own-metrics.js';
import { PasswordThread } from './password-thread.js';
import { createHttpServer, type HttpServer } from './server.js';
import { Streams } from './streams.js';
import type { WantedPackets } from './request-packets.js';
import type { RequestWindow } from './request-window.js';
import type { TailedLog } from './tail.js';
import type { Store } from './store-interface.js';
import type { PacketsReport } from './types.js';
import type { WebConfigFile } from './web-config-file.js';

/** What is served. */
export interface Content {
  readonly store: Store;
  /** The newest `last` samples of a log, in the text format. */
  readonly tail: (log: TailedLog, last: number) => Promise<Buffer>;
  /** The requests of the last minute. */
  readonly requests: Pick<RequestWindow, 'report' | 'close'>;
  /** Those of one request. */
  readonly packets: (wanted: WantedPackets) => Promise<PacketsReport | null>;
  readonly assets: readonly Asset[];
}

export interface EndpointOptions {
  readonly listen: ListenAddress;
  readonly configFile: WebConfigFile;
  readonly limits: Limits;
  /** Opens what is served; called when the port is ours, for ports that only root can have. */
  readonly open: () => Promise<Content>;
  /** One-sentence messages for the person at the terminal. */
  readonly say: (message: string) => void;
}

export interface Endpoint {
  readonly address: AddressInfo;
  /** Finishes the answers under way, then closes everything. */
  close(): Promise<void>;
}

/** Listens, and answers from then on. Throws NetwatchError if it cannot. */
export async function openEndpoint(options: EndpointOptions): Promise<Endpoint> {
  const { configFile, limits, say } = options;
  const config = () => configFile.current;
  const metrics = new OwnMetrics();
  const http = createHttpServer(config, limits, metrics);
  const address = await listen(http, options.listen);
  // Before root is given up: the program's own files may be closed to others.
  const passwords = configFile.exists ? await PasswordThread.start() : null;
  const content = await options.open().catch(async (error: unknown) => {
    http.server.close();
    await Promise.all([http.connections.end(0), passwords?.close()]);
    throw error;
  });
  const { store, requests } = content;
  const onSlow = (): void => {
    metrics.cutSlowClient();
  };
  const streams = new Streams({ store, limits, onSlow });
  const { connections } = http;
  http.serve(
    createApp({
      ...content,
      ...{ connections, streams, metrics, config, say },
      authenticator: new Authenticator(limits.passwordChecks, passwords?.compare ?? nobody),
      isLoopback: isLoopback(address.address),
      mostAnswers: limits.answers,
      turnMs: limits.turnMs,
    }),
  );
  configFile.watch(limits.reloadMs, http.update);
  return {
    address,
    close: async () => {
      configFile.close();
      http.server.close();
      streams.close();
      await connections.end(limits.stopMs);
      await Promise.all([store.close(), requests.close(), passwords?.close()]);
    },
  };
}

/** Without a web configuration there are no users. */
const nobody = (): Promise<boolean> => Promise.resolve(false);

async function listen({ server }: HttpServer, { host, port }: ListenAddress): Promise<AddressInfo> {
  server.listen(host === null ? { port } : { host, port });
  try {
    await once(server, 'listening');
  } catch (error) {
    throw cannotListen(error as NodeJS.ErrnoException, hostAndPort(host ?? '', port));
  }
  return server.address() as AddressInfo;
}

const OTHER_PORT = 'choose another one with --listen ADDR:PORT';

/** Why, and what to do, by the error's code. */
const REASONS: Readonly<Record<string, readonly [what: string, next: string]>> = {
  EADDRINUSE: ['another program does already (EADDRINUSE)', `see ss -tlnp, or ${OTHER_PORT}`],
  EADDRNOTAVAIL: [
    'this machine does not have the address (EADDRNOTAVAIL)',
    'see ip addr, or use --listen :PORT for all addresses',
  ],
  EACCES: ['this port is for root (EACCES)', OTHER_PORT],
  ENOTFOUND: ['there is no such name (ENOTFOUND)', 'use an IP address: --listen 127.0.0.1:41420'],
};

function cannotListen(error: NodeJS.ErrnoException, where: string): NetwatchError {
  const [what, next] = REASONS[error.code ?? ''] ?? [error.message, OTHER_PORT];
  return new NetwatchError({
    code: 'environment',
    message: `cannot listen on ${where}: ${what}`,
    next,
  });
}

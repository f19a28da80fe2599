/** The HTTP endpoint in this process, over a store that tests can steer; and clients to try it with. */
import { once } from 'node:events';
import {
  request as httpRequest,
  type IncomingHttpHeaders,
  type IncomingMessage,
  type RequestOptions,
} from 'node:http';
import { request as httpsRequest } from 'node:https';
import { connect, type Socket } from 'node:net';
import { openEndpoint, type Content } from '../../src/serve/endpoint.js';
import { LIMITS, type Limits } from '../../src/serve/limits.js';
import type { MetricsRequest, Store } from '../../src/serve/store-interface.js';
import type { CollectorState } from '../../src/serve/types.js';
import { WebConfigFile } from '../../src/serve/web-config-file.js';
import type { Teardown } from './netns.js';

/** A store whose answers are put into it. */
export interface FakeStore extends Store {
  collector: CollectorState;
  body: Buffer;
  snapshot: Buffer;
  readonly requests: MetricsRequest[];
  /** Holds answers back until it resolves. */
  gate: Promise<void>;
  publish(json: string): void;
  readonly listeners: ReadonlySet<(json: Buffer) => void>;
}

export function fakeStore(ready: Promise<void> = Promise.resolve()): FakeStore {
  const listeners = new Set<(json: Buffer) => void>();
  const store: FakeStore = {
    ready,
    collector: 'running',
    body: Buffer.from('x 1\n'),
    snapshot: Buffer.from('{"n":0}'),
    requests: [],
    gate: Promise.resolve(),
    listeners,
    status: () => ({
      collector: store.collector,
      writtenMs: 1000,
      intervalSeconds: 5,
      files: [{ name: 'netwatch.prom', mtimeMs: 1500, bytes: 9, error: null }],
    }),
    async metrics(request) {
      store.requests.push(request);
      await store.gate;
      return { parts: [Buffer.concat([store.body, request.own])], files: [] };
    },
    snapshotJson: () => Promise.resolve(store.snapshot),
    historyJson: () => Buffer.from('[]'),
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    publish(json) {
      store.snapshot = Buffer.from(json);
      for (const listener of listeners) listener(store.snapshot);
    },
    close: () => Promise.resolve(),
  };
  return store;
}

export interface TestEndpoint {
  readonly port: number;
  readonly store: FakeStore;
  /** What it said to the terminal. */
  readonly said: readonly string[];
  close(): Promise<void>;
}

export interface TestEndpointOptions extends Partial<Omit<Content, 'store'>> {
  readonly store?: FakeStore;
  readonly limits?: Partial<Limits>;
  /** Path of a web configuration. */
  readonly config?: string;
}

export async function startEndpoint(
  t: Teardown,
  options: TestEndpointOptions = {},
): Promise<TestEndpoint> {
  const {
    store = fakeStore(),
    assets = [],
    tail = () => Promise.resolve(Buffer.alloc(0)),
    requests = { report: () => Promise.resolve(null), close: () => Promise.resolve() },
    packets = () => Promise.resolve(null),
  } = options;
  const said: string[] = [];
  const say = (message: string): void => void said.push(message);
  const endpoint = await openEndpoint({
    listen: { host: '127.0.0.1', port: 0 },
    configFile: await WebConfigFile.open(options.config ?? null, say),
    limits: { ...LIMITS, ...options.limits },
    open: () => Promise.resolve({ store, assets, requests, packets, tail }),
    say,
  });
  let closing: Promise<void> | null = null;
  const close = (): Promise<void> => (closing ??= endpoint.close());
  t.teardown(close);
  return { port: endpoint.address.port, store, said, close };
}

export interface Reply {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly body: Buffer;
  readonly text: string;
}

type Ask = RequestOptions & { readonly ca?: string; readonly rejectUnauthorized?: boolean };

/** One request on a connection of its own; over TLS if `ask` has something of it. */
export async function get(
  { port }: Pick<TestEndpoint, 'port'>,
  path = '/metrics',
  ask: Ask & Record<string, unknown> = {},
): Promise<Reply> {
  const isTls = 'ca' in ask || 'rejectUnauthorized' in ask;
  const options = { host: '127.0.0.1', port, path, agent: false, ...ask };
  const request = (isTls ? httpsRequest : httpRequest)(options);
  request.end();
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  const chunks: Buffer[] = [];
  for await (const chunk of response) chunks.push(chunk as Buffer);
  const body = Buffer.concat(chunks);
  const { statusCode: status = 0, headers } = response;
  return { status, headers, body, text: body.toString() };
}

/** A bare connection. */
export async function dial({ port }: Pick<TestEndpoint, 'port'>): Promise<Socket> {
  const socket = connect(port, '127.0.0.1');
  await once(socket, 'connect');
  return socket;
}

/** Everything that comes until the other end closes; a reset ends it like a close. */
export async function readAll(socket: Socket): Promise<string> {
  let text = '';
  socket.on('error', () => undefined).on('data', (chunk) => (text += chunk.toString('latin1')));
  if (!socket.destroyed) await new Promise((resolve) => socket.once('close', resolve));
  return text;
}

/** Sends bytes as they are and gives what comes back. */
export async function exchange(
  endpoint: Pick<TestEndpoint, 'port'>,
  bytes: string,
): Promise<string> {
  const socket = await dial(endpoint);
  const answer = readAll(socket);
  socket.write(bytes, 'latin1');
  return answer;
}

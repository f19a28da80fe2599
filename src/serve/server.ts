/** The HTTP server under the application: its limits, and requests too broken to reach a path. */
import { createServer, STATUS_CODES, type IncomingMessage, type Server } from 'node:http';
import type { ServerOptions, ServerResponse } from 'node:http';
import { createServer as createTlsServer, Server as TlsServer } from 'node:https';
import type { Duplex } from 'node:stream';
import { Connections } from './connections.js';
import type { Limits } from './limits.js';
import type { OwnMetrics } from './own-metrics.js';
import type { WebConfig } from './web-config.js';
import { hasName } from './web-config-tls.js';

export interface HttpServer {
  readonly server: Server;
  readonly connections: Connections;
  /** New connections use the certificate of this configuration. */
  readonly update: (config: WebConfig) => void;
  /** Who answers the requests, those too that have come before. */
  readonly serve: (app: Application) => void;
}

type Application = (request: IncomingMessage, response: ServerResponse) => void;

export function createHttpServer(
  config: () => WebConfig,
  limits: Limits,
  metrics: OwnMetrics,
): HttpServer {
  const { tls } = config();
  const server = tls === null ? createServer(options(limits)) : tlsServer(config, limits);
  server.maxConnections = limits.connections;
  const onSlow = (): void => {
    metrics.cutSlowClient();
  };
  const connections = new Connections(server, tls !== null, { answerMs: limits.answerMs, onSlow });
  answerBroken(server, connections, limits, metrics);
  return {
    server,
    connections,
    update: ({ tls: now }) => {
      if (now !== null && server instanceof TlsServer) server.setSecureContext(now.context);
    },
    serve: answerPlain(server, connections),
  };
}

/** Requests wait for the application: the port is open before it is made. */
function answerPlain(server: Server, connections: Connections): (app: Application) => void {
  let serve: (app: Application) => void = () => undefined;
  const application = new Promise<Application>((resolve) => (serve = resolve));
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    if (!connections.begin(request, response)) return;
    const app = await application;
    if (isPlain(request)) app(request, response);
    else response.writeHead(400, PLAIN_TEXT).end(REFUSALS[400]);
  };
  // Who asks before it sends a body gets the same answer, and need not send it.
  for (const event of ['request', 'checkContinue'])
    server.on(event, (request: IncomingMessage, response: ServerResponse) => {
      void answer(request, response);
    });
  return serve;
}

/** Requests that Node.js makes no request of. */
function answerBroken(
  server: Server,
  connections: Connections,
  { keepAliveMs }: Limits,
  metrics: OwnMetrics,
): void {
  const answer = (socket: Duplex, status: keyof typeof REFUSALS): void => {
    const late = setTimeout(() => socket.destroy(), keepAliveMs);
    socket.once('close', () => {
      clearTimeout(late);
    });
    refuse(socket, status);
    metrics.answered('none', status);
  };
  server.on('clientError', ({ code = '' }: NodeJS.ErrnoException, socket) => {
    if (TOO_SLOW.has(code)) metrics.cutSlowClient();
    // In the middle of an answer another one would be taken for a part of it.
    const canAnswer = connections.isOpen(socket) && !connections.isAnswering(socket);
    if (canAnswer && socket.writable && code !== 'ECONNRESET')
      answer(socket, STATUS_OF_ERROR[code] ?? 400);
    else socket.destroy();
  });
  server.on('connect', (_request: IncomingMessage, socket: Duplex) => {
    answer(socket, 405);
  });
}

function options(limits: Limits): ServerOptions {
  return {
    headersTimeout: limits.headersMs,
    requestTimeout: limits.requestMs,
    connectionsCheckingInterval: limits.checkEveryMs,
    keepAliveTimeout: limits.keepAliveMs,
    maxHeaderSize: limits.headerBytes,
    // Refused here, with a sentence.
    requireHostHeader: false,
  };
}

function tlsServer(config: () => WebConfig, limits: Limits): Server {
  const { tls } = config();
  const server = createTlsServer({
    ...options(limits),
    ...tls?.context,
    handshakeTimeout: limits.headersMs,
    requestCert: tls?.clientCertificate ?? false,
    rejectUnauthorized: true,
  });
  // Before the server's own listener: nothing of such a connection is read.
  server.prependListener('secureConnection', (socket) => {
    const names = config().tls?.clientNames ?? null;
    const certificate = socket.getPeerX509Certificate();
    if (names === null) return;
    if (certificate === undefined || !hasName(certificate, names)) socket.destroy();
  });
  return server;
}

/** A path of this server, not of a proxy, and one Host; HTTP/1.0 had none. */
function isPlain({ url = '', headersDistinct, httpVersion }: IncomingMessage): boolean {
  const hosts = headersDistinct['host']?.length ?? 0;
  return url.startsWith('/') && (hosts === 1 || (hosts === 0 && httpVersion === '1.0'));
}

const STATUS_OF_ERROR: Readonly<Record<string, 408 | 431>> = {
  ERR_HTTP_REQUEST_TIMEOUT: 408,
  HPE_HEADER_OVERFLOW: 431,
};

const TOO_SLOW = new Set(['ERR_HTTP_REQUEST_TIMEOUT', 'ERR_TLS_HANDSHAKE_TIMEOUT']);

const REFUSALS = {
  400: 'This is no request that can be understood.\n',
  405: 'Nothing here can be changed; use GET.\n',
  408: 'The request took too long.\n',
  431: 'The head of the request is too large.\n',
} as const;

const PLAIN_TEXT = {
  'content-type': 'text/plain; charset=utf-8',
  'x-content-type-options': 'nosniff',
  'cache-control': 'no-store',
  connection: 'close',
} as const;

/** An answer without a request that Node.js could have made one of. */
function refuse(socket: Duplex, status: keyof typeof REFUSALS): void {
  const body = REFUSALS[status];
  const headers = {
    ...PLAIN_TEXT,
    ...(status === 405 ? { allow: 'GET, HEAD' } : {}),
    'content-length': Buffer.byteLength(body),
  };
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}`);
  const head = [`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ''}`, ...lines].join('\r\n');
  socket.end(`${head}\r\n\r\n${body}`, () => socket.destroy());
}

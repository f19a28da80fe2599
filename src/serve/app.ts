/** The paths behind their guards, as one express application. */
import express, {
  type ErrorRequestHandler,
  type Express,
  type RequestHandler,
  type Response,
} from 'express';
import { quietWarnings } from '../sinks/warnings.js';
import { sendText } from './answer.js';
import type { Authenticator } from './basic-auth.js';
import type { Connections } from './connections.js';
import { basicAuth, ownHostOnly, readOnly, securityHeaders } from './guard.js';
import type { Handler, OwnMetrics } from './own-metrics.js';
import { routesOf, type RouteParts } from './routes.js';
import type { Streams } from './streams.js';
import type { WebConfig } from './web-config.js';

export interface AppParts extends Omit<RouteParts, 'own' | 'endOf'> {
  readonly connections: Connections;
  readonly streams: Streams;
  readonly metrics: OwnMetrics;
  readonly authenticator: Authenticator;
  /** The web configuration of now. */
  readonly config: () => WebConfig;
  /** Whether only this machine can connect: then the Host must be this machine, too. */
  readonly isLoopback: boolean;
  /** Most answers made or sent at the same time. */
  readonly mostAnswers: number;
  /** How long another one waits for its turn, milliseconds. */
  readonly turnMs: number;
  /** One-sentence messages for the person at the terminal. */
  readonly say: (message: string) => void;
}

export function createApp(parts: AppParts): Express {
  const { store, metrics, connections, streams } = parts;
  const app = express().set('env', 'production');
  app.disable('x-powered-by').disable('etag').disable('query parser');
  app.enable('case sensitive routing').enable('strict routing');
  app.use(securityHeaders(parts.config));
  const handlers = new Map<string, Handler>([['/api/v1/stream', 'stream']]);
  app.use(counted(metrics, handlers));
  if (parts.isLoopback) app.use(ownHostOnly);
  app.use(basicAuth(parts.config, parts.authenticator), readOnly);
  app.get('/api/v1/stream', streamRoute(parts));
  app.use(fewAtATime(parts));
  const own = (): Buffer =>
    metrics.render({
      directory: store.status(),
      connections: connections.count,
      streamClients: streams.count,
    });
  for (const { path, handler, answer } of routesOf({ ...parts, own, endOf: endIn(connections) })) {
    handlers.set(path, handler);
    app.get(path, answer);
  }
  app.use((_request, response) => {
    sendText(response, 404, 'There is nothing at this path; try /, /metrics or /-/healthy.');
  });
  app.use(failed(quietWarnings(parts.say, Date.now)));
  return app;
}

function counted(metrics: OwnMetrics, handlers: ReadonlyMap<string, Handler>): RequestHandler {
  return (request, response, next) => {
    const handler = handlers.get(request.path) ?? 'none';
    response.once('finish', () => {
      metrics.answered(handler, response.statusCode);
    });
    next();
  };
}

function streamRoute({ store, streams, connections }: AppParts): RequestHandler {
  return async (request, response) => {
    await store.ready;
    if (response.destroyed) return;
    if (request.method === 'HEAD') {
      response.type('text/event-stream').end();
    } else if (streams.open(response)) {
      connections.withoutDeadline(response);
    } else {
      sendText(
        response,
        503,
        'Too many pages follow the stream already; close one, or try again.',
        { 'retry-after': '10' },
      );
    }
  };
}

function endIn(connections: Connections): (response: Response) => AbortSignal {
  return (response) => {
    const end = new AbortController();
    connections.onEnd(response, () => {
      end.abort();
    });
    return end.signal;
  };
}

/**
 * Each answer may hold many megabytes until its client has taken it. Beyond the most a request waits
 * for its turn, then is told to come again.
 */
function fewAtATime({ connections, mostAnswers, turnMs }: AppParts): RequestHandler {
  let answers = 0;
  const queue = new Set<() => void>();
  const leave = (): void => {
    answers -= 1;
    const [first] = queue;
    first?.();
  };
  return (_request, response, next) => {
    const enter = (): void => {
      answers += 1;
      connections.onEnd(response, leave);
      next();
    };
    if (answers < mostAnswers) {
      enter();
      return;
    }
    const refuse = setTimeout(() => {
      queue.delete(take);
      sendText(response, 503, 'Too many requests at a time; try again.', { 'retry-after': '1' });
    }, turnMs);
    const giveUp = (): void => {
      clearTimeout(refuse);
      queue.delete(take);
    };
    const take = (): void => {
      giveUp();
      enter();
    };
    queue.add(take);
    connections.onEnd(response, giveUp);
  };
}

/** What a handler threw: the client learns that it happened, the terminal what. */
function failed(say: (message: string) => void): ErrorRequestHandler {
  // Express knows it by its four parameters.
  // eslint-disable-next-line @typescript-eslint/no-unused-vars
  return (error: unknown, request, response, _next) => {
    if (response.headersSent) {
      request.socket.destroy();
      return;
    }
    const what = error instanceof Error ? error.message : String(error);
    say(`a request failed: ${what}\n  this is a bug, please report it`);
    sendText(response, 500, 'This failed; what happened is on standard error of netwatch serve.');
  };
}

/** The paths: what each serves, and under which name its requests are counted. */
import type { Request, RequestHandler, Response } from 'express';
import { NetwatchError } from '../failure.js';
import { acceptsGzip, sendCompressed, sendText } from './answer.js';
import { sendParts } from './send-parts.js';
import type { Asset } from './assets.js';
import { negotiate } from './negotiate.js';
import type { Handler } from './own-metrics.js';
import { LOG_FILES } from '../metrics/family.js';
import { MOST_TAIL_SAMPLES, type TailedLog } from './tail.js';
import { wantedPackets, type WantedPackets } from './request-packets.js';
import type { RequestWindow } from './request-window.js';
import type { Store } from './store-interface.js';
import { GROUPS, type Group, type PacketsReport } from './types.js';

export interface Route {
  readonly path: string;
  readonly handler: Handler;
  readonly answer: RequestHandler;
}

export interface RouteParts {
  readonly store: Store;
  /** The newest `last` samples of a log, in the text format. */
  readonly tail: (log: TailedLog, last: number) => Promise<Buffer>;
  /** The requests of the last minute. */
  readonly requests: Pick<RequestWindow, 'report'>;
  /** Those of one request. */
  readonly packets: (wanted: WantedPackets) => Promise<PacketsReport | null>;
  readonly assets: readonly Asset[];
  /** The endpoint's own families in the text format. */
  readonly own: () => Uint8Array;
  /** Aborts when the answer is over, or its connection. */
  readonly endOf: (response: Response) => AbortSignal;
}

const JSON_TYPE = 'application/json; charset=utf-8';
const HISTORY_TYPE = 'text/plain; version=0.0.4; charset=utf-8';
const DEFAULT_LAST = 1000;
const NONE = Buffer.alloc(0);

/** The query of a request; the host in it means nothing. */
function queryOf(request: Request): URLSearchParams {
  return new URL(request.url, 'http://localhost').searchParams;
}

/** The groups of `?collect[]=`, null for all; undefined if one does not exist. */
function groupsOf(query: URLSearchParams): ReadonlySet<Group> | null | undefined {
  const names = [...query.getAll('collect[]'), ...query.getAll('collect')];
  const groups = GROUPS.filter((group) => names.includes(group));
  if (names.length === 0) return null;
  return names.every((name) => groups.some((group) => group === name))
    ? new Set(groups)
    : undefined;
}

function metricsRoute({ store, own, endOf }: RouteParts): RequestHandler {
  return async (request, response) => {
    const groups = groupsOf(queryOf(request));
    if (groups === undefined) {
      sendText(response, 400, `There is no such part; collect[] is one of: ${GROUPS.join(', ')}.`);
      return;
    }
    const { format, contentType } = negotiate(request);
    const gzip = acceptsGzip(request);
    const left = endOf(response);
    await store.ready;
    const ownPart = groups === null || groups.has('netwatch') ? own() : NONE;
    const asked = { format, gzip, groups, own: ownPart, left };
    const body = await store.metrics(asked).catch((error: unknown) => {
      if (!left.aborted) throw error;
      return null;
    });
    if (body === null) return;
    response.vary('Accept, Accept-Encoding');
    await sendParts(response, contentType, body, gzip ? { 'content-encoding': 'gzip' } : {});
  };
}

/** How many samples `?last=` asks for; null if that is no such number. */
function lastOf(query: URLSearchParams): number | null {
  const [text = String(DEFAULT_LAST), ...more] = query.getAll('last');
  const last = Number(text);
  const good = /^\d{1,6}$/.test(text) && last >= 1 && last <= MOST_TAIL_SAMPLES;
  return good && more.length === 0 ? last : null;
}

function historyRoute(log: TailedLog, tail: RouteParts['tail']): RequestHandler {
  return async (request, response) => {
    const last = lastOf(queryOf(request));
    if (last === null) {
      sendText(response, 400, `last is a number of samples from 1 to ${MOST_TAIL_SAMPLES}.`);
      return;
    }
    try {
      await sendCompressed(request, response, { type: HISTORY_TYPE, body: await tail(log, last) });
    } catch (error) {
      if (!(error instanceof NetwatchError)) throw error;
      sendText(response, 503, `${error.message}.`);
    }
  };
}

function readyRoute(store: Store): RequestHandler {
  let isRead = false;
  void store.ready.then(
    () => (isRead = true),
    () => undefined,
  );
  return (_request, response) => {
    if (!isRead) {
      sendText(response, 503, 'Not ready: the directory has not been read yet.');
      return;
    }
    const { collector } = store.status();
    switch (collector) {
      case 'running':
        sendText(response, 200, 'Ready.');
        return;
      case 'stale':
        sendText(
          response,
          503,
          'Not ready: netwatch.prom is old; start the collector of this directory.',
        );
        return;
      case 'missing':
        sendText(
          response,
          503,
          'Not ready: there is no netwatch.prom that can be read; start the collector of this directory.',
        );
    }
  };
}

function jsonRoute(store: Store, json: () => Buffer | Promise<Buffer>): RequestHandler {
  return async (request, response) => {
    await store.ready;
    await sendCompressed(request, response, { type: JSON_TYPE, body: await json() });
  };
}

/** A page must not be older than the data it asks for. */
const REVALIDATED = { 'cache-control': 'no-cache' };

function assetRoute({ type, body }: Asset): RequestHandler {
  return (request, response) =>
    sendCompressed(request, response, { type, body, headers: REVALIDATED });
}

/** Everything but the stream. */
export function routesOf(parts: RouteParts): Route[] {
  const { store, tail, requests, packets, assets } = parts;
  const route = (path: string, handler: Handler, answer: RequestHandler): Route => {
    return { path, handler, answer };
  };
  return [
    route('/metrics', 'metrics', metricsRoute(parts)),
    ...LOG_FILES.map((log) => route(`/metrics/${log}`, 'history', historyRoute(log, tail))),
    ...assets.map((asset) => route(asset.path, 'page', assetRoute(asset))),
    route('/favicon.ico', 'page', noIcon),
    route('/-/healthy', 'health', (_request, response) => {
      sendText(response, 200, 'Healthy.');
    }),
    route('/-/ready', 'health', readyRoute(store)),
    route(
      '/api/v1/status',
      'api',
      jsonRoute(store, () => Buffer.from(JSON.stringify(store.status()))),
    ),
    route(
      '/api/v1/snapshot',
      'api',
      jsonRoute(store, () => store.snapshotJson()),
    ),
    route(
      '/api/v1/history',
      'api',
      jsonRoute(store, () => store.historyJson()),
    ),
    route(
      '/api/v1/requests',
      'api',
      jsonRoute(store, async () => Buffer.from(JSON.stringify(await requests.report()))),
    ),
    route('/api/v1/requests/packets', 'api', packetsRoute(packets)),
  ];
}

function packetsRoute(packets: RouteParts['packets']): RequestHandler {
  return async (request, response) => {
    const wanted = wantedPackets(queryOf(request));
    if (wanted === null) {
      sendText(response, 400, 'sock is an address as in the logs, from and to are milliseconds.');
      return;
    }
    try {
      const body = Buffer.from(JSON.stringify(await packets(wanted)));
      await sendCompressed(request, response, { type: JSON_TYPE, body });
    } catch (error) {
      if (!(error instanceof NetwatchError)) throw error;
      sendText(response, 503, `${error.message}.`);
    }
  };
}

/** Browsers ask for it by themselves. */
function noIcon(_request: Request, response: Response): void {
  response.status(204).end();
}

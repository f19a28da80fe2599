// @ts-check
/**
 * An HTTP/1.1 client on bare sockets: exactly `total` requests over `connections` connections,
 * written as asked: pipelined, split, chunked, with or without patience.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { connectTo } from './connection.mjs';
import { obey, readOptions } from './control.mjs';
import { isPlain, pieces, wireParts } from './http-request.mjs';
import { declaredFraming, httpReader } from './http-wire.mjs';

/** @typedef {import('./programs.js').HttpRequest} HttpRequest */

const options = readOptions(
  /** @type {import('./programs.js').HttpClientOptions} */ ({
    host: '127.0.0.1',
    port: 0,
    connections: 1,
    concurrency: 1,
    total: 1,
    requests: [{}],
    pipeline: 1,
    pauseMs: 0,
    close: 'fin',
    connectFirst: false,
    timeoutMs: 10_000,
  }),
);

/** @typedef {ReturnType<typeof openSession>} Session */
/** @type {Session[]} */
const kept = [];

if (options.connectFirst) {
  for (let i = 0; i < options.connections; i++) {
    kept.push(openSession());
    await kept[i]?.connection.opened;
  }
}
obey({ localPorts: kept.map(({ connection }) => connection.localPort()) }, { go, stop });

/** @returns {Promise<import('./programs.js').HttpClientTotals>} */
async function go() {
  /** @type {import('./programs.js').Draft<import('./programs.js').HttpClientTotals>} */
  const totals = {
    requests: 0,
    responses: 0,
    statuses: {},
    informational: 0,
    responseBodyBytes: 0,
    bytesOut: 0,
    bytesIn: 0,
    errors: {},
    durationsMs: [],
    connections: [],
  };
  let next = 0;
  const worker = async () => {
    while (next < options.connections) await runSession(next++, totals);
  };
  await Promise.all(Array.from({ length: options.concurrency }, worker));
  return totals;
}

async function stop() {
  const open = kept.filter(({ connection }) => !connection.socket.destroyed);
  await Promise.all(open.map(({ connection }) => connection.close('fin').catch(() => {})));
  return {};
}

/**
 * @param {number} i
 * @param {import('./programs.js').Draft<import('./programs.js').HttpClientTotals>} totals
 */
async function runSession(i, totals) {
  const session = kept[i] ?? openSession();
  if (options.close === 'hold') kept[i] = session;
  const { connection } = session;
  const { total, connections, pipeline } = options;
  const share = Math.floor(total / connections) + (i < total % connections ? 1 : 0);
  const mine = { localPort: 0, requests: 0, responses: 0, ...connection.counts };
  const before = { ...connection.counts };
  session.onMessage((status, bodyBytes, startedAt) => {
    if (status >= 100 && status < 200 && status !== 101) return void totals.informational++;
    mine.responses++;
    totals.responses++;
    totals.responseBodyBytes += bodyBytes;
    totals.statuses[status] = (totals.statuses[status] ?? 0) + 1;
    totals.durationsMs.push(performance.now() - startedAt);
  });
  try {
    await connection.opened;
    while (mine.requests < share) {
      const batch = Math.min(pipeline, share - mine.requests);
      const requests = Array.from({ length: batch }, (_, k) => nth(mine.requests + k));
      mine.requests += batch;
      totals.requests += batch;
      await session.exchange(requests, () => mine.responses === mine.requests);
      if (options.pauseMs > 0) await sleep(options.pauseMs);
    }
    await connection.close(options.close);
  } catch (e) {
    const code = /** @type {NodeJS.ErrnoException} */ (e).code ?? String(e);
    totals.errors[code] = (totals.errors[code] ?? 0) + 1;
    connection.socket.destroy();
  }
  mine.localPort = connection.localPort();
  mine.bytesOut = connection.counts.bytesOut - before.bytesOut;
  mine.bytesIn = connection.counts.bytesIn - before.bytesIn;
  totals.bytesOut += mine.bytesOut;
  totals.bytesIn += mine.bytesIn;
  totals.connections[i] = mine;
}

/** @param {number} n @returns {HttpRequest} */
function nth(n) {
  return options.requests[n % options.requests.length] ?? {};
}

/** One connection and the reader of its answers. */
function openSession() {
  const { host, port, timeoutMs } = options;
  /** @type {{ method: string, startedAt: number }[]} */
  const asked = [];
  /** @type {(status: number, bodyBytes: number, startedAt: number) => void} */
  let deliver = () => {};
  let continued = 0;
  const reader = httpReader({
    onHead(head) {
      const status = Number(head.first.split(' ')[1]);
      const { method = 'GET', startedAt = 0 } = asked[0] ?? {};
      if (status === 100) continued++;
      if (status === 101 || method === 'CONNECT') {
        deliver(status, 0, startedAt);
        return 'raw';
      }
      if (status < 200 || status === 204 || status === 304 || method === 'HEAD') return 0;
      return declaredFraming(head) ?? 'until-close';
    },
    onMessage(head, bodyBytes) {
      const status = Number(head.first.split(' ')[1]);
      const startedAt = asked[0]?.startedAt ?? 0;
      if (status >= 200) asked.shift();
      deliver(status, bodyBytes, startedAt);
    },
  });
  const connection = connectTo({ host, port }, timeoutMs, reader);

  /** @param {HttpRequest} request */
  const note = ({ method = 'GET' }) => asked.push({ method, startedAt: performance.now() });

  return {
    connection,
    /** @param {typeof deliver} callback */
    onMessage: (callback) => (deliver = callback),
    /**
     * @param {HttpRequest[]} requests
     * @param {() => boolean} answered
     */
    async exchange(requests, answered) {
      requests.forEach(note);
      if (requests.every(isPlain)) {
        await connection.write(
          Buffer.concat(requests.flatMap((request) => wireParts(request, options.host))),
        );
      } else {
        for (const request of requests) {
          const target = continued + 1;
          const [head, ...body] = wireParts(request, options.host);
          for (const piece of pieces(head ?? Buffer.alloc(0), request.split)) {
            await connection.write(piece);
          }
          if (request.expect) await connection.until(() => continued === target);
          for (const part of body) await connection.write(part);
        }
      }
      await connection.until(answered);
      for (const { echo = 0 } of requests) if (echo > 0) await connection.exchange(echo, echo);
    },
  };
}

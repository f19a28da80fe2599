// @ts-check
/**
 * A TCP client with exact numbers: `connections` connections, each `rounds` times `requestBytes` out
 * and `replyBytes` back. (1, 1) is ping-pong, (N, 0) upload, (1, N) download, rounds 0 connects only.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { obey, readOptions } from './control.mjs';
import { connectTo } from './connection.mjs';

const options = readOptions(
  /** @type {import('./programs.js').TcpClientOptions} */ ({
    host: '127.0.0.1',
    port: 0,
    localPort: 0,
    connections: 1,
    concurrency: 1,
    rounds: 1,
    requestBytes: 1,
    replyBytes: 1,
    pauseMs: 0,
    close: 'fin',
    connectFirst: false,
    timeoutMs: 10_000,
  }),
);

/** @type {import('./connection.mjs').Connection[]} */
const kept = [];

if (options.connectFirst) await eachConnection(async (i) => (await keep(i)).opened);
obey({ localPorts: kept.map(({ localPort }) => localPort()) }, { go, stop });

/** @param {number} i */
async function keep(i) {
  const connection = openConnection(i);
  kept[i] = connection;
  await connection.opened;
  return connection;
}

/** @returns {Promise<import('./programs.js').TcpClientTotals>} */
async function go() {
  /** @type {import('./programs.js').Draft<import('./programs.js').TcpClientTotals>} */
  const totals = {
    attempted: 0,
    completed: 0,
    bytesOut: 0,
    bytesIn: 0,
    errors: {},
    connections: [],
  };
  await eachConnection(async (i) => {
    totals.attempted++;
    const connection = kept[i] ?? openConnection(i);
    if (options.close === 'hold') kept[i] = connection;
    const before = { ...connection.counts };
    let error = null;
    try {
      await connection.opened;
      for (let round = 0; round < options.rounds; round++) {
        if (round > 0 && options.pauseMs > 0) await sleep(options.pauseMs);
        await connection.exchange(options.requestBytes, options.replyBytes);
      }
      await connection.close(options.close);
      totals.completed++;
    } catch (e) {
      error = /** @type {NodeJS.ErrnoException} */ (e).code ?? String(e);
      totals.errors[error] = (totals.errors[error] ?? 0) + 1;
      connection.socket.destroy();
    }
    const bytesOut = connection.counts.bytesOut - before.bytesOut;
    const bytesIn = connection.counts.bytesIn - before.bytesIn;
    totals.bytesOut += bytesOut;
    totals.bytesIn += bytesIn;
    totals.connections[i] = { localPort: connection.localPort(), bytesOut, bytesIn, error };
    if (options.pauseMs > 0) await sleep(options.pauseMs);
  });
  return totals;
}

/** Ends the connections that were held, each by FIN, and waits for the peer's. */
async function stop() {
  await Promise.all(
    kept.filter(({ socket }) => !socket.destroyed).map((c) => c.close('fin').catch(() => {})),
  );
  return {};
}

/**
 * Runs `work` for every connection number, `concurrency` at a time.
 * @param {(i: number) => Promise<unknown>} work
 */
async function eachConnection(work) {
  let next = 0;
  const worker = async () => {
    while (next < options.connections) await work(next++);
  };
  await Promise.all(Array.from({ length: options.concurrency }, worker));
}

/** @param {number} i */
function openConnection(i) {
  const { host, port, localAddress, localPort, timeoutMs } = options;
  const binding = {
    ...(localAddress === undefined ? {} : { localAddress }),
    ...(localPort === 0 ? {} : { localPort: localPort + i }),
  };
  return connectTo({ host, port, ...binding }, timeoutMs);
}

// @ts-check
/**
 * A TCP echo server in several processes, for tests of who owns a socket: the primary listens and
 * either the workers accept on the shared socket ('none') or the primary accepts and passes the
 * descriptor on ('rr'). Every worker names itself in the totals.
 */
import cluster from 'node:cluster';
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { obey, readOptions } from './control.mjs';

const options = readOptions(
  /** @type {import('./programs.js').ClusterServerOptions} */ ({
    host: '127.0.0.1',
    port: 7000,
    workers: 2,
    scheduling: 'none',
  }),
);

if (cluster.isPrimary) await runPrimary();
else runWorker();

async function runPrimary() {
  cluster.schedulingPolicy = options.scheduling === 'none' ? cluster.SCHED_NONE : cluster.SCHED_RR;
  cluster.setupPrimary({ args: process.argv.slice(2) });
  /** @type {import('./programs.js').Draft<import('./programs.js').ClusterServerTotals>} */
  const totals = { connections: [] };
  const workers = Array.from({ length: options.workers }, () => cluster.fork());
  let listening = 0;
  let flushed = 0;
  let open = 0;
  cluster.on('listening', () => listening++);
  cluster.on('message', (_worker, message) => {
    if (message === 'opened') open++;
    else if (message === 'flushed') flushed++;
    else open -= totals.connections.push(message) && 1;
  });
  while (listening < workers.length) await sleep(5);
  const pids = workers.map((worker) => worker.process.pid ?? 0);
  obey({ port: options.port, workers: pids }, { stop });

  async function stop() {
    // messages keep their order: after this, everything said before has arrived
    for (const worker of workers) worker.send('flush');
    while (flushed < workers.length) await sleep(1);
    for (let waited = 0; open > 0 && waited < 2000; waited += 5) await sleep(5);
    for (const worker of workers) worker.process.kill();
    return totals;
  }
}

function runWorker() {
  const server = createServer({ noDelay: true }, (socket) => {
    const connection = { pid: process.pid, peerPort: socket.remotePort ?? 0, bytesIn: 0 };
    process.send?.('opened');
    socket.on('data', (chunk) => {
      connection.bytesIn += chunk.length;
      socket.write(chunk);
    });
    socket.on('error', () => {});
    socket.on('close', () => process.send?.(connection));
  });
  server.listen(options.port, options.host);
  process.on('message', () => process.send?.('flushed'));
}

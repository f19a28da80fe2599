// @ts-check
/** A TCP server that counts every byte and can behave badly on demand. */
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { obey, readOptions } from './control.mjs';

const options = readOptions(
  /** @type {import('./programs.js').TcpServerOptions} */ ({
    host: '127.0.0.1',
    port: 0,
    backlog: 511,
    mode: 'respond',
    requestBytes: 1,
    replyBytes: 1,
    slowMs: 20,
  }),
);
const { mode, requestBytes, replyBytes } = options;
const BLOCK = Buffer.alloc(64 << 10, 0x72);

/** @type {import('./programs.js').Draft<import('./programs.js').TcpServerTotals>} */
const totals = { accepted: 0, bytesIn: 0, bytesOut: 0, forced: 0, connections: [] };
/** @type {Set<import('node:net').Socket>} */
const sockets = new Set();

const server = createServer(
  { allowHalfOpen: true, noDelay: true, pauseOnConnect: mode === 'hang' || mode === 'slow' },
  serve,
);
server.listen({ host: options.host, port: options.port, backlog: options.backlog }, () => {
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  obey({ port }, { stop });
});

/** @param {import('node:net').Socket} socket */
function serve(socket) {
  const counts = { peerPort: socket.remotePort ?? 0, bytesIn: 0, bytesOut: 0, end: 'open' };
  totals.accepted++;
  totals.connections.push(counts);
  sockets.add(socket);
  let owed = 0;
  /** @param {number} size */
  const reply = (size) => {
    counts.bytesOut += size;
    for (let left = size; left > 0; left -= BLOCK.length) socket.write(BLOCK.subarray(0, left));
  };
  socket.on('data', (chunk) => {
    counts.bytesIn += chunk.length;
    if (mode === 'reset') {
      counts.end = 'reset';
      return void socket.resetAndDestroy();
    }
    if (mode === 'slow') return void pauseFor(socket, options.slowMs);
    if (mode !== 'respond') return;
    for (owed += chunk.length; owed >= requestBytes; owed -= requestBytes) reply(replyBytes);
  });
  socket.on('end', () => {
    counts.end = 'fin';
    if (mode === 'after-fin') reply(replyBytes);
    socket.end();
  });
  socket.on('error', (error) => {
    counts.end = /** @type {NodeJS.ErrnoException} */ (error).code ?? error.message;
  });
  socket.on('close', () => {
    sockets.delete(socket);
    totals.bytesIn += counts.bytesIn;
    totals.bytesOut += counts.bytesOut;
  });
  if (mode === 'close') socket.end();
  if (mode === 'slow') pauseFor(socket, 0);
}

/**
 * @param {import('node:net').Socket} socket
 * @param {number} ms
 */
function pauseFor(socket, ms) {
  socket.pause();
  setTimeout(() => socket.resume(), ms);
}

/** Lets the peers finish, ends what remains, and gives the totals. */
async function stop() {
  server.close();
  const patience = mode === 'hang' ? 0 : 2000;
  for (let waited = 0; sockets.size > 0 && waited < patience; waited += 5) await sleep(5);
  totals.forced = sockets.size;
  for (const socket of sockets) socket.destroy();
  while (sockets.size > 0) await sleep(1);
  return totals;
}

// @ts-check
/**
 * An HTTP/1.1 server on bare sockets: each answer leaves in exactly the writes asked for, any method
 * is served, and the path says what to answer (http-routes.mjs).
 */
import { createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { obey, readOptions } from './control.mjs';
import { answerTo, text } from './http-routes.mjs';
import { declaredFraming, httpReader } from './http-wire.mjs';

const options = readOptions(
  /** @type {import('./programs.js').HttpServerOptions} */ ({
    host: '127.0.0.1',
    port: 0,
    coalesce: false,
  }),
);
/** @type {import('./programs.js').Draft<import('./programs.js').HttpServerTotals>} */
const totals = {
  connections: 0,
  requests: 0,
  methods: {},
  statuses: {},
  informational: 0,
  requestBodyBytes: 0,
  bytesIn: 0,
  bytesOut: 0,
};
/** @type {Set<import('node:net').Socket>} */
const sockets = new Set();

const server = createServer({ allowHalfOpen: true, noDelay: true }, serve);
server.listen(options.port, options.host, () => {
  const { port } = /** @type {import('node:net').AddressInfo} */ (server.address());
  obey({ port }, { stop });
});

/**
 * Never less than asked for: a timer counts from when its loop last looked at the clock, some
 * milliseconds ago on a busy machine.
 * @param {number} ms
 */
async function pause(ms) {
  const endMs = performance.now() + ms;
  for (let left = ms; left > 0; left = endMs - performance.now()) await sleep(Math.ceil(left));
}

/** @param {import('node:net').Socket} socket */
function serve(socket) {
  totals.connections++;
  sockets.add(socket);
  let turn = Promise.resolve();
  /** @type {(bytes: string | Buffer) => Promise<void>} */
  const write = (bytes) => {
    totals.bytesOut += bytes.length;
    return new Promise((resolve) => socket.write(bytes, 'latin1', () => resolve()));
  };
  const reader = httpReader({
    onHead(head) {
      const [method = ''] = head.first.split(' ');
      const upgrade = head.headers.has('upgrade');
      if (upgrade || method === 'CONNECT') {
        count(method, upgrade ? 101 : 200, 0);
        const fields = upgrade ? ['Connection: Upgrade', 'Upgrade: echo'] : [];
        turn = turn.then(() => write(text(upgrade ? 101 : 200, fields)));
        return 'raw';
      }
      if (head.headers.get('expect') === '100-continue') {
        totals.informational++;
        turn = turn.then(() => write(text(100, [])));
      }
      return declaredFraming(head) ?? 0;
    },
    onMessage(head, bodyBytes) {
      const [method = '', path = '', version = ''] = head.first.split(' ');
      const answer = answerTo({ method, path, version, bodyBytes });
      count(method, answer.status, bodyBytes);
      totals.informational += answer.informational ?? 0;
      turn = turn.then(async () => {
        if (answer.delayMs) await pause(answer.delayMs);
        for (const part of answer.parts) {
          const written = write(part);
          if (!options.coalesce) await written; // else it waits for the cork
        }
        if (answer.close || version === 'HTTP/1.0') socket.end();
      });
    },
    onRaw: (bytes) => void write(bytes),
  });
  socket.on('data', (chunk) => {
    totals.bytesIn += chunk.length;
    if (options.coalesce) {
      socket.cork();
      setImmediate(() => socket.uncork());
    }
    reader.push(chunk);
  });
  socket.on('end', () => void turn.then(() => socket.end()));
  socket.on('error', () => {});
  socket.on('close', () => sockets.delete(socket));
}

/**
 * @param {string} method
 * @param {number} status
 * @param {number} bodyBytes
 */
function count(method, status, bodyBytes) {
  totals.requests++;
  totals.requestBodyBytes += bodyBytes;
  totals.methods[method] = (totals.methods[method] ?? 0) + 1;
  totals.statuses[status] = (totals.statuses[status] ?? 0) + 1;
}

async function stop() {
  server.close();
  for (let waited = 0; sockets.size > 0 && waited < 2000; waited += 5) await sleep(5);
  for (const socket of sockets) socket.destroy();
  while (sockets.size > 0) await sleep(1);
  return totals;
}

// @ts-check
/** One client connection that counts its bytes and turns every way to fail into a rejection. */
import { connect } from 'node:net';

const BLOCK = Buffer.alloc(64 << 10, 0x71);

/** @typedef {ReturnType<typeof connectTo>} Connection */

/**
 * @param {import('node:net').TcpNetConnectOpts} where
 * @param {number} timeoutMs limit for each step without progress; idle between steps is no failure
 * @param {{ push: (chunk: Buffer) => void, end: () => void }} [reader] of what arrives
 */
export function connectTo(where, timeoutMs, reader) {
  const socket = connect({ noDelay: true, ...where });
  const counts = { bytesOut: 0, bytesIn: 0 };
  let localPort = 0;
  let steps = 0; // under way
  let progress = () => {};

  /** @type {Promise<void>} */
  const closed = new Promise((resolve, reject) => {
    socket.once('close', () => resolve());
    socket.once('error', reject);
  });
  /** Rejects when the connection is over, for whoever still expects something of it. */
  const over = closed.then(() => {
    throw failure('ECLOSED', 'closed early');
  });
  over.catch(() => {}); // a connection may be over while nobody expects anything

  socket.on('data', (chunk) => {
    counts.bytesIn += chunk.length;
    reader?.push(chunk);
    progress();
  });
  socket.on('end', () => {
    reader?.end();
    progress();
  });
  socket.on('timeout', () => socket.destroy(failure('ETIMEOUT', 'no progress')));

  /**
   * @template T
   * @param {Promise<T>} what
   * @returns {Promise<T>}
   */
  const step = async (what) => {
    if (steps++ === 0) socket.setTimeout(timeoutMs);
    try {
      return await Promise.race([what, over]);
    } finally {
      if (--steps === 0) socket.setTimeout(0);
    }
  };

  const opened = step(
    new Promise((resolve) => {
      socket.once('connect', () => resolve((localPort = socket.localPort ?? 0)));
    }),
  );
  opened.catch(() => {}); // as above

  /**
   * @param {(done: () => void) => void} start
   * @returns {Promise<void>}
   */
  const signal = (start) => new Promise((resolve) => start(resolve));

  return {
    socket,
    counts,
    opened,
    localPort: () => localPort,
    /** @param {Uint8Array} bytes */
    write(bytes) {
      counts.bytesOut += bytes.length;
      return step(signal((done) => socket.write(bytes, () => done())));
    },
    /** @param {() => boolean} predicate checked after each arrival */
    until(predicate) {
      return step(
        signal((done) => {
          progress = () => predicate() && done();
          progress();
        }),
      );
    },
    /**
     * Sends `out` bytes and waits for `back`.
     * @param {number} out
     * @param {number} back
     */
    async exchange(out, back) {
      const target = counts.bytesIn + back;
      const answered = this.until(() => counts.bytesIn >= target);
      answered.catch(() => {}); // a failing write rejects first
      for (let left = out; left > 0; left -= BLOCK.length)
        await this.write(BLOCK.subarray(0, left));
      await answered;
    },
    /** @param {'fin' | 'reset' | 'wait' | 'hold'} how see TcpClientOptions */
    async close(how) {
      if (how === 'hold') return;
      if (how === 'reset') socket.resetAndDestroy();
      else if (how === 'fin') socket.end();
      socket.setTimeout(timeoutMs);
      await closed;
    },
  };
}

/**
 * @param {string} code
 * @param {string} message
 */
function failure(code, message) {
  return Object.assign(new Error(message), { code });
}

// @ts-check
/**
 * Reads HTTP/1 messages out of a byte stream: heads, bodies by length, by chunks, until close.
 * For the traffic programs of this folder, which send what they say; it is no defence against others.
 */

/**
 * @typedef {object} Head
 * @property {string} first the request or status line
 * @property {Map<string, string>} headers lower-case names
 */

/** @typedef {number | 'chunked' | 'until-close' | 'raw'} Framing a number of bytes, or the way */

/**
 * @typedef {object} Handlers
 * @property {(head: Head) => Framing} onHead says how its body is framed; raw: HTTP ends here
 * @property {(head: Head, bodyBytes: number) => void} onMessage
 * @property {(bytes: Buffer) => void} [onRaw]
 */

/** @param {Handlers} handlers */
export function httpReader({ onHead, onMessage, onRaw = () => {} }) {
  /** @type {Buffer} */
  let buffer = Buffer.alloc(0);
  /** @type {Head} */
  let head = { first: '', headers: new Map() };
  /** @type {Framing | 'head'} */
  let state = 'head';
  let bodyBytes = 0;
  let left = 0; // of the body or of the current chunk

  const finish = () => {
    state = 'head';
    onMessage(head, bodyBytes);
  };

  /** Takes `n` bytes or less, as many as there are. @param {number} n */
  const skip = (n) => {
    const taken = Math.min(n, buffer.length);
    buffer = buffer.subarray(taken);
    bodyBytes += taken;
    return taken;
  };

  /** @param {string} end @returns {string | null} */
  const takeThrough = (end) => {
    const at = buffer.indexOf(end);
    if (at < 0) return null;
    const text = buffer.toString('latin1', 0, at);
    buffer = buffer.subarray(at + end.length);
    return text;
  };

  const readHead = () => {
    const text = takeThrough('\r\n\r\n');
    if (text === null) return false;
    head = parseHead(text);
    state = onHead(head);
    bodyBytes = 0;
    left = typeof state === 'number' ? state : 0;
    if (state === 0) finish();
    return true;
  };

  const readChunk = () => {
    if (left > 0) {
      left -= skip(left);
      return left === 0;
    }
    const line = takeThrough('\r\n');
    if (line === null) return false;
    if (line === '') return true; // the end of the chunk before
    left = parseInt(line, 16);
    if (left > 0) return true;
    // no trailers in our traffic: the last chunk's line is followed by one empty line
    if (buffer.length < 2) {
      buffer = Buffer.concat([Buffer.from(line + '\r\n'), buffer]);
      return false;
    }
    buffer = buffer.subarray(2);
    finish();
    return true;
  };

  const readLength = () => {
    left -= skip(left);
    if (left > 0) return false;
    finish();
    return true;
  };

  /** One step; false when more bytes are needed. */
  const step = () => {
    if (buffer.length === 0) return false;
    if (state === 'head') return readHead();
    if (state === 'chunked') return readChunk();
    if (typeof state === 'number') return readLength();
    if (state === 'raw') onRaw(buffer);
    skip(buffer.length);
    return false;
  };

  return {
    /** @param {Buffer} chunk */
    push(chunk) {
      buffer = buffer.length === 0 ? chunk : Buffer.concat([buffer, chunk]);
      while (step());
    },
    /** The peer has sent its FIN. */
    end() {
      if (state === 'until-close') finish();
    },
  };
}

/** @param {string} text @returns {Head} */
function parseHead(text) {
  const [first = '', ...lines] = text.split('\r\n');
  const headers = new Map();
  for (const line of lines) {
    const colon = line.indexOf(':');
    headers.set(line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim());
  }
  return { first, headers };
}

/** How any body of this head is framed, apart from the rules that depend on the request.
 * @param {Head} head
 * @returns {number | 'chunked' | null} null: the head does not say
 */
export function declaredFraming({ headers }) {
  if (headers.get('transfer-encoding')?.toLowerCase() === 'chunked') return 'chunked';
  const length = headers.get('content-length');
  return length === undefined ? null : Number(length);
}

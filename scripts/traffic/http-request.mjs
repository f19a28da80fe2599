// @ts-check
/** HTTP/1 requests as data, and as the bytes that go out. */

/**
 * Whether it can leave in one write with its neighbours.
 * @param {import('./programs.js').HttpRequest} request
 */
export function isPlain({ expect, split, chunks }) {
  return !expect && !split && !chunks;
}

/**
 * The head and the parts of the body.
 * @param {import('./programs.js').HttpRequest} request
 * @param {string} host
 * @returns {Buffer[]}
 */
export function wireParts(request, host) {
  const { method = 'GET', path = '/', version = '1.1', headers = {}, ...rest } = request;
  const fields = { Host: host.includes(':') ? `[${host}]` : host, ...headers };
  const body = typeof rest.body === 'number' ? 'q'.repeat(rest.body) : (rest.body ?? '');
  const framing = rest.chunks
    ? { 'Transfer-Encoding': 'chunked' }
    : rest.body === undefined
      ? {}
      : { 'Content-Length': String(body.length) };
  const expect = rest.expect ? { Expect: '100-continue' } : {};
  const lines = Object.entries({ ...fields, ...framing, ...expect }).map(([k, v]) => `${k}: ${v}`);
  const head = [`${method} ${path} HTTP/${version}`, ...lines].join('\r\n') + '\r\n\r\n';
  const parts = rest.chunks
    ? [...rest.chunks.map((n) => `${n.toString(16)}\r\n${'q'.repeat(n)}\r\n`), '0\r\n\r\n']
    : body === ''
      ? []
      : [body];
  return [head, ...parts].map((part) => Buffer.from(part, 'latin1'));
}

/**
 * @param {Buffer} bytes
 * @param {number} [size]
 */
export function pieces(bytes, size = bytes.length) {
  const list = [];
  for (let at = 0; at < bytes.length; at += size) list.push(bytes.subarray(at, at + size));
  return list;
}

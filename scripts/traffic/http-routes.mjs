// @ts-check
/** What the HTTP server of this folder answers: the first segment of the path chooses. */

/** @typedef {{ method: string, path: string, version: string, bodyBytes: number }} Request */
/**
 * @typedef {object} Answer
 * @property {number} status
 * @property {(string | Buffer)[]} parts each in its own write
 * @property {boolean} [close] our FIN after it
 * @property {number} [delayMs]
 * @property {number} [informational] provisional answers among the parts
 */

/** @type {Record<number, string>} */
const REASONS = { 200: 'OK', 204: 'No Content', 304: 'Not Modified', 404: 'Not Found' };

/**
 * By the first path segment; `args` are the others.
 * @type {Record<string, (args: string[], request: Request) => Answer>} */
const ROUTES = {
  bytes: ([n]) => plain(200, Buffer.alloc(Number(n), 0x62)),
  chunked: ([count, size]) => chunked(Number(count), Number(size)),
  status: ([code]) => plain(Number(code), '', bodyless(Number(code)) ? null : 0),
  delay: ([ms]) => ({ ...plain(200, 'late\n'), delayMs: Number(ms) }),
  // the head byte by byte, then the body
  split: () => ({ status: 200, parts: [...text(200, ['Content-Length: 3']), 'ok\n'] }),
  // a body that looks like messages
  fake: () => plain(200, 'HTTP/1.1 500 Fake\r\n\r\nGET /fake HTTP/1.1\r\nHost: fake\r\n\r\n'),
  close: () => ({ status: 200, parts: [text(200, ['Connection: close']), 'bye\n'], close: true }),
  // a provisional answer first
  hints: () => ({
    status: 200,
    informational: 1,
    parts: [text(103, ['Link: </x.css>']), text(200, ['Content-Length: 3']) + 'ok\n'],
  }),
  // whatever the query gives, in places where servers put credentials
  secret: ([value]) => ({
    status: 302,
    parts: [
      text(302, [
        `Location: http://user:${value}@127.0.0.1/next?token=${value}`,
        `Set-Cookie: session=${value}; HttpOnly`,
        'Content-Length: 0',
      ]),
    ],
  }),
};

/** @param {Request} request @returns {Answer} */
export function answerTo(request) {
  const [, route = '', ...args] = (request.path.split('?')[0] ?? '').split('/');
  const answer = ROUTES[route]?.(args, request) ?? plain(200, 'ok\n');
  if (request.method !== 'HEAD') return answer;
  const head = answer.parts.join('').split('\r\n\r\n', 1)[0] + '\r\n\r\n';
  return { ...answer, parts: [head] };
}

/** @param {number} status @param {string[]} fields */
export function text(status, fields) {
  const lines = [`HTTP/1.1 ${status} ${REASONS[status] ?? 'Status'}`, ...fields];
  return lines.join('\r\n') + '\r\n\r\n';
}

/**
 * Head and body in one write.
 * @param {number} status
 * @param {string | Buffer} body
 * @param {number | null} length null: without a Content-Length
 * @returns {Answer}
 */
function plain(status, body, length = body.length) {
  const head = text(status, length === null ? [] : [`Content-Length: ${length}`]);
  return { status, parts: [Buffer.concat([Buffer.from(head), Buffer.from(body)])] };
}

/** @param {number} status */
function bodyless(status) {
  return status === 204 || status === 304;
}

/** The head and every chunk in its own write.
 * @param {number} chunks @param {number} size @returns {Answer} */
function chunked(chunks, size) {
  const chunk = `${size.toString(16)}\r\n${'c'.repeat(size)}\r\n`;
  const head = text(200, ['Transfer-Encoding: chunked']);
  return { status: 200, parts: [head, ...Array(chunks).fill(chunk), '0\r\n\r\n'] };
}

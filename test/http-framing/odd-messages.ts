/**
 * Classes of odd requests, after what the tests of public parsers try (llhttp, http-parser,
 * picohttpparser): each makes one of its kind from a seed, and says what has to become of it.
 */
import type { Random } from './corpus.js';

/**
 * `read`: it ends, with a body of so many bytes. `broken`: its head is known, its end is not. `open`: its
 * head never ends. Else what the connection is taken for, as it begins with this.
 */
export type Fate = { readonly read: number } | 'broken' | 'open' | 'other' | 'http2';

export interface OddMessage {
  readonly wire: string;
  readonly fate: Fate;
}

const LETTERS = 'ABCDEFGHIJKLMNOPQRSTUVWXYZ';
const TEXT = 'abcdefghijklmnopqrstuvwxyz0123456789-';
const WHOLE: Fate = { read: 0 };
/** The longest method that is taken for one. */
const METHOD_MAX = 31;
const HELLO: Fate = { read: 5 };

const get = (line: string, fate: Fate, fields = ''): OddMessage => ({
  wire: `${line}\r\n${fields}\r\n`,
  fate,
});
const post = (fields: string, rest: string, fate: Fate): OddMessage => ({
  wire: `POST /a HTTP/1.1\r\n${fields}\r\n\r\n${rest}`,
  fate,
});
const chunked = (rest: string, fate: Fate): OddMessage =>
  post('Transfer-Encoding: chunked', rest, fate);
const some = (random: Random, most: number): string => random.text(TEXT, 1 + random.int(most));

/** By what is odd. */
export const ODD_MESSAGES: Readonly<Record<string, (random: Random) => OddMessage>> = {
  'a head that never ends': (random) => ({
    wire: `GET /a HTTP/1.1\r\n${`X: ${some(random, 90)}\r\n`.repeat(1 + random.int(60))}`,
    fate: 'open',
  }),
  'a NUL in the target': () => get('GET /\0a HTTP/1.1', WHOLE),
  'a NUL in the method': () => get('G\0T / HTTP/1.1', 'other'),
  'a NUL in a header': () => get('GET /a HTTP/1.1', WHOLE, 'X: \0\r\n'),
  'a method of up to 31 letters': (random) =>
    get(`${random.text(LETTERS, 1 + random.int(METHOD_MAX))} /a HTTP/1.1`, WHOLE),
  'a longer method': (random) =>
    get(`${random.text(LETTERS, METHOD_MAX + 1 + random.int(20))} /a HTTP/1.1`, 'other'),
  'a method of no letters': () => get(' /a HTTP/1.1', 'other'),
  'a method in lower case': () => get('get /a HTTP/1.1', WHOLE),
  'a target beyond what is captured': (random) =>
    get(`GET /${random.text(TEXT, 230 + random.int(9000))} HTTP/1.1`, WHOLE),
  'bytes that are not ASCII': () => get('GET /\x80\xff\xc3\xa9 HTTP/1.1', WHOLE),
  'no target': () => get('GET HTTP/1.1', 'other'),
  'a tab for a space': () => get('GET\t/a\tHTTP/1.1', 'other'),
  'a folded value': (random) =>
    post(`Content-Length:\r\n${random.pick([' ', '\t', ' \t '])}5`, 'hello', HELLO),
  'a folded line that looks like a header': (random) =>
    post(`X: ${some(random, 20)}\r\n Content-Length: 7\r\nContent-Length: 5`, 'hello', HELLO),
  'bare line feeds': () => ({ wire: 'POST /a HTTP/1.1\nContent-Length: 5\n\nhello', fate: HELLO }),
  'a bare carriage return in a header': (random) =>
    get('GET /a HTTP/1.1', WHOLE, `X: ${some(random, 20)}\rContent-Length: 9\r\n`),
  'a line without a colon': (random) => get('GET /a HTTP/1.1', WHOLE, `${some(random, 40)}\r\n`),
  'a header without a name': () => get('GET /a HTTP/1.1', WHOLE, ': x\r\n'),
  'empty lines before it': (random) => {
    const { wire } = get('GET /a HTTP/1.1', WHOLE);
    return { wire: '\r\n'.repeat(1 + random.int(3)) + wire, fate: WHOLE };
  },
  'chunk extensions and trailers': (random) =>
    chunked(
      `5;a="b;${some(random, 700)}";d\r\nhello\r\n00;x=${some(random, 20)}\r\nT: 1\r\nContent-Length: 9\r\n\r\n`,
      HELLO,
    ),
  'chunk sizes with zeros before them': (random) =>
    chunked(`${'0'.repeat(random.int(30))}5\r\nhello\r\n0\r\n\r\n`, HELLO),
  'a line feed in a chunk extension': () => chunked('5;a=\n0\r\n\r\nhello\r\n0\r\n\r\n', 'broken'),
  'a chunk size of more than 60 bits': (random) =>
    chunked(`f${random.text('0123456789abcdef', 14 + random.int(6))}\r\nhello`, 'broken'),
  'a chunk size with a sign': (random) =>
    chunked(`${random.pick(['-', '+', '0x'])}5\r\nhello\r\n0\r\n\r\n`, 'broken'),
  'Content-Length twice, the same': (random) =>
    post(
      random.pick(['Content-Length: 5\r\nContent-Length: 5', 'Content-Length: 5, 5']),
      'hello',
      HELLO,
    ),
  'Content-Length twice, not the same': (random) =>
    post(
      random.pick(['Content-Length: 5\r\nContent-Length: 6', 'Content-Length: 6,5']),
      'hello',
      'broken',
    ),
  'a Content-Length that is no number': (random) =>
    post(`Content-Length: ${random.pick(['-1', '+5', '5x', '0x5', '1e3', '5 5'])}`, '', 'broken'),
  'a Content-Length beyond 64 bits': (random) =>
    post(`Content-Length: 1${random.text('0123456789', 19 + random.int(20))}`, '', 'broken'),
  'Transfer-Encoding and Content-Length': () =>
    post('Content-Length: 3\r\nTransfer-Encoding: chunked', '5\r\nhello\r\n0\r\n\r\n', HELLO),
  'a request with another last coding': (random) =>
    post(
      `Transfer-Encoding: ${random.pick(['identity', 'xchunked', 'chunkedx', 'chunked, gzip'])}`,
      'hello',
      'broken',
    ),
  'an upgrade that is refused': () =>
    get('GET /a HTTP/1.1', WHOLE, 'Connection: Upgrade\r\nUpgrade: x\r\n'),
  'HTTP/0.9': () => ({ wire: 'GET /a\r\n', fate: 'other' }),
  'another version': (random) =>
    get(`GET /a HTTP/${random.pick(['2.0', '0.9', '11.1', '1.', '1', '1.1x'])}`, 'other'),
  'another protocol': (random) =>
    get(`OPTIONS /s ${random.pick(['RTSP/1.0', 'ICE/1.0', 'http/1.1'])}`, 'other'),
  'the preface of HTTP/2': () => ({ wire: 'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n', fate: 'http2' }),
};

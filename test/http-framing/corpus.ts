/**
 * Seeded HTTP/1 conversations, good and odd. Each message has two forms: `wire`, what the framing gets,
 * and `plain`, the same message as strictly written as llhttp wants it (no bare LF after a request line,
 * no folded lines, a method it knows …). Both must give the same heads and the same bodies.
 */

/** mulberry32: small, fast, the same everywhere. */
export class Random {
  #state: number;

  constructor(seed: number) {
    this.#state = seed >>> 0;
  }

  /** 0 <= n < limit */
  int(limit: number): number {
    this.#state = (this.#state + 0x6d2b79f5) >>> 0;
    let t = this.#state;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return Math.floor((((t ^ (t >>> 14)) >>> 0) / 4294967296) * limit);
  }

  chance(percent: number): boolean {
    return this.int(100) < percent;
  }

  pick<T>(list: readonly T[]): T {
    return list[this.int(list.length)]!;
  }

  text(alphabet: string, length: number): string {
    let text = '';
    for (let i = 0; i < length; i++) text += alphabet[this.int(alphabet.length)]!;
    return text;
  }
}

export interface Message {
  readonly wire: string;
  readonly plain: string;
  /** Empty lines before the message, in `wire`. */
  readonly lead: number;
}

export interface Exchange {
  /** As the framing names it. */
  readonly method: string;
  /** As llhttp is told. */
  readonly plainMethod: string;
  readonly target: string;
  readonly version: number;
  readonly status: number;
  readonly request: Message;
  /** Interim responses included. */
  readonly response: Message;
  /** The response's body ends with the connection. */
  readonly untilClose: boolean;
  /** Both sides go on with something else; `tails` is what they say. */
  readonly tunnel: boolean;
}

export interface Conversation {
  readonly exchanges: readonly Exchange[];
  readonly tails: readonly [string, string];
}

const LETTERS = 'abcdefghijklmnopqrstuvwxyz';
const TOKEN = `${LETTERS}ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_`;
const DECOYS = [
  ...[
    'HTTP/1.1 200 OK\r\n\r\n',
    'GET / HTTP/1.1\r\n\r\n',
    'HTTP/1.1 200 OK\r\nContent-Length: 5\r\n',
  ],
  ...[
    'POST /x HTTP/1.0\r\nContent-Length: 99\r\n\r\n',
    '\r\n\r\n',
    '0\r\n\r\n',
    '\n\n',
    '\0\xff\x16\x03',
  ],
  ...['Content-Length: 7\r\n', 'Transfer-Encoding: chunked\r\n\r\n'],
];
const LOOKALIKES = [
  ...['X-Content-Length: 9', 'Content-Lengthy: 9', 'Content-Type: text/plain', 'C: d', 'T: u'],
  ...['Transfer-Encodin: chunked', 'Transfer: chunked', 'Content-: 1', 'cookie: Content-Length: 9'],
  ...[
    'Content-Encoding: gzip',
    'TE: trailers',
    'Trailer: X',
    'contentlength: 5',
    'Cache-Control: no-cache',
  ],
];

class Builder {
  wire = '';
  plain = '';
  readonly #random: Random;
  readonly #bareLf: boolean;

  constructor(random: Random) {
    this.#random = random;
    this.#bareLf = random.chance(15);
  }

  both(text: string): void {
    this.wire += text;
    this.plain += text;
  }

  eol(): void {
    this.wire += this.#bareLf && this.#random.chance(50) ? '\n' : '\r\n';
    this.plain += '\r\n';
  }

  line(text: string): void {
    this.both(text);
    this.eol();
  }
}

function body(random: Random): string {
  const parts: string[] = [];
  const size = random.pick([0, 1, 3, 40, 200, random.int(3000)]);
  let bytes = 0;
  while (bytes < size) {
    const part = random.chance(40) ? random.pick(DECOYS) : random.text(TOKEN, 1 + random.int(60));
    parts.push(part);
    bytes += part.length;
  }
  return parts.join('').slice(0, size);
}

function randomCase(random: Random, name: string): string {
  const how = random.int(4);
  if (how === 0) return name;
  if (how === 1) return name.toLowerCase();
  if (how === 2) return name.toUpperCase();
  return name.replace(/./g, (c) => (random.chance(50) ? c.toUpperCase() : c.toLowerCase()));
}

function otherHeader(random: Random, to: Builder): void {
  const how = random.int(10);
  if (how < 3) {
    to.line(random.pick(LOOKALIKES));
    return;
  }
  const name = random.text(TOKEN, 1 + random.int(24));
  if (how === 3) {
    to.both(`x-${name}: folded`);
    to.wire += '\r\n \t';
    to.line('on');
    return;
  }
  const length = random.chance(4) ? random.int(2500) : random.int(60);
  to.line(`x-${name}: ${random.text(`${TOKEN} :/;=,`, length)}`.trimEnd());
}

function lengthHeader(random: Random, to: Builder, length: number): void {
  const name = randomCase(random, 'Content-Length');
  const text = random.chance(10) ? `000${length}` : `${length}`;
  const how = random.int(12);
  to.both(`${name}:`);
  to.both(random.pick(['', ' ', '  ', '\t']));
  if (how === 0) to.wire += '\r\n ';
  to.both(text);
  if (how === 1) to.wire += `, ${length}`;
  if (how === 2) to.wire += `\r\n${name}: ${length}`;
  if (how === 3) to.wire += ' \t';
  to.eol();
}

function codingHeader(random: Random, to: Builder): void {
  const name = randomCase(random, 'Transfer-Encoding');
  const how = random.int(8);
  to.both(`${name}:${random.pick(['', ' ', '\t '])}`);
  if (how === 0) to.wire += '\r\n  ';
  if (how === 1) to.wire += 'gzip, ';
  if (how === 2) to.wire += `gzip\r\n${name}: `;
  if (how === 3) to.wire += 'gzip,\r\n ,';
  to.both(randomCase(random, 'chunked'));
  if (how === 4) to.wire += ' \t';
  if (how === 5) to.wire += ',';
  to.eol();
}

function headers(random: Random, to: Builder, framing: readonly (() => void)[]): void {
  // without it llhttp carries state over to the next message
  if (to.plain.includes('HTTP/1.0')) to.both('Connection: keep-alive\r\n');
  const left = [...framing];
  const others = random.pick([0, 1, 2, 5, 12]);
  for (let i = 0; i < others; i++) {
    if (left.length > 0 && random.chance(30)) left.shift()!();
    otherHeader(random, to);
  }
  for (const write of left) write();
  to.eol();
}

function chunks(random: Random, to: Builder, content: string): void {
  let at = 0;
  while (at < content.length) {
    const bytes = Math.min(content.length - at, 1 + random.int(random.pick([3, 20, 2000])));
    const hex = bytes.toString(16);
    to.both(random.chance(10) ? `00${hex}` : random.chance(30) ? hex.toUpperCase() : hex);
    if (random.chance(10)) to.wire += random.pick([' ', '\t ']);
    if (random.chance(10)) to.both(random.pick([';a', ';name=value', ';q="x;y"', ';a=b;c=d']));
    if (random.chance(3)) to.wire += `;${random.text(TOKEN, 600)}`;
    to.eol();
    to.both(content.slice(at, at + bytes));
    to.eol();
    at += bytes;
  }
  to.both(random.pick(['0', '000']));
  to.eol();
  if (random.chance(20)) to.line('X-Trailer: yes');
  if (random.chance(5)) to.wire += 'Content-Length: 7\r\nTransfer-Encoding: gzip\r\n';
  to.eol();
}

function framedBody(random: Random, to: Builder, how: string): void {
  const content = body(random);
  const length = (): void => lengthHeader(random, to, content.length);
  const coding = (): void => codingHeader(random, to);
  // what Transfer-Encoding overrules must not matter (llhttp has been told to let it pass)
  const overruled = (): void => to.line(`Content-Length: ${random.int(99)}`);
  if (how === 'length') headers(random, to, [length]);
  else if (how !== 'chunked') headers(random, to, []);
  else headers(random, to, random.chance(10) ? [coding, overruled] : [coding]);
  if (how === 'chunked') chunks(random, to, content);
  else if (how !== 'none') to.both(content);
}

const METHODS = [
  ...[
    'GET',
    'GET',
    'GET',
    'HEAD',
    'POST',
    'POST',
    'PUT',
    'DELETE',
    'OPTIONS',
    'PATCH',
    'TRACE',
    'QUERY',
  ],
  ...['PURGE', 'M-SEARCH', 'PROPFIND', 'UNSUBSCRIBE', 'G', 'get', 'X+Y', "W!#$%&'*+-.^_`|~9"],
];
const ORACLE_KNOWS = new Set(METHODS.slice(0, 16));
const NAMED = new Set(METHODS.slice(0, 12));

function target(random: Random, method: string): string {
  if (method === 'OPTIONS' && random.chance(40)) return '*';
  let path = `/${random.text(`${TOKEN}/.%~@:;`, random.chance(5) ? random.int(400) : random.int(40))}`;
  if (random.chance(15))
    path = `http://${random.chance(50) ? 'user:pa@ss@' : ''}host.example:80${path}`;
  if (random.chance(30)) path += `?${random.text('ab=&;/?%+', random.int(40))}`;
  if (random.chance(5)) path += `&end=${random.text(TOKEN, 20)}`;
  return path;
}

function request(random: Random, method: string, uri: string, version: number): Message {
  const to = new Builder(random);
  const lead = random.chance(5) ? random.pick(['\r\n', '\n', '\r\n\r\n']) : '';
  to.wire += `${lead}${method} ${uri} HTTP/1.${version}`;
  to.plain += `${ORACLE_KNOWS.has(method) || method === 'CONNECT' ? method : 'PURGE'} `;
  to.plain += `${uri} HTTP/1.${version}`;
  to.eol();
  if (method === 'CONNECT') headers(random, to, []);
  else framedBody(random, to, random.pick(['none', 'none', 'length', 'chunked']));
  return { wire: to.wire, plain: to.plain, lead: lead.length };
}

/** In this corpus CONNECT always succeeds. */
const BODILESS = new Set(['HEAD', 'CONNECT']);
const STATUSES = [200, 200, 200, 201, 204, 206, 301, 304, 400, 404, 500, 503, 599, 999];

interface ResponsePlan {
  readonly method: string;
  readonly version: number;
  readonly status: number;
  readonly untilClose: boolean;
}

function response(random: Random, plan: ResponsePlan): Message {
  const to = new Builder(random);
  const { method, status, version } = plan;
  let lead = '';
  while (random.chance(10)) {
    to.line(`HTTP/1.${version} ${random.pick(['100 Continue', '103 Early Hints', '102 '])}`);
    headers(random, to, []);
  }
  if (to.wire === '' && random.chance(3)) to.wire += lead = '\r\n';
  const reason = random.pick([
    ' OK',
    ' ',
    '',
    ' Not \xa7 Found',
    ' HTTP/1.1',
    ` ${'x'.repeat(300)}`,
  ]);
  to.line(`HTTP/1.${version} ${status}${reason}`);
  const bodiless = BODILESS.has(method) || status === 204 || status === 304;
  if (status === 101) {
    to.both('Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n');
  } else if (bodiless) {
    // says how long a body would be, has none
    if (version === 0) to.line('Connection: keep-alive');
    if (random.chance(50)) to.line(`Content-Length: ${1 + random.int(5000)}`);
    else if (random.chance(30)) to.line('Transfer-Encoding: chunked');
    to.eol();
  } else {
    framedBody(random, to, plan.untilClose ? 'close' : random.pick(['length', 'chunked']));
  }
  return { wire: to.wire, plain: to.plain, lead: lead.length };
}

function exchange(random: Random, last: boolean): Exchange {
  let method = random.pick(METHODS);
  let status = random.pick(STATUSES);
  const tunnel = last && random.chance(15);
  if (tunnel && random.chance(50)) method = 'CONNECT';
  if (tunnel) status = method === 'CONNECT' ? random.pick([200, 204]) : 101;
  const bodiless = BODILESS.has(method) || status === 204 || status === 304;
  const untilClose = last && !tunnel && !bodiless && random.chance(30);
  const uri = method === 'CONNECT' ? 'host.example:443' : target(random, method);
  const version = Number(random.chance(90));
  const responseVersion = Number(random.chance(90));
  return {
    method: NAMED.has(method) || method === 'CONNECT' ? method : '_OTHER',
    plainMethod: ORACLE_KNOWS.has(method) || method === 'CONNECT' ? method : 'PURGE',
    ...{ target: uri, version, status, untilClose, tunnel },
    request: request(random, method, uri, version),
    response: response(random, { method, status, untilClose, version: responseVersion }),
  };
}

export function conversation(random: Random): Conversation {
  const count = random.pick([1, 1, 2, 3, 5, 9, 16]);
  const exchanges: Exchange[] = [];
  for (let i = 0; i < count; i++) exchanges.push(exchange(random, i === count - 1));
  const tail = (): string => (exchanges.at(-1)!.tunnel ? body(random) : '');
  return { exchanges, tails: [tail(), tail()] };
}

/** Does some harm to a text: bytes changed, lost, doubled or put in. */
export function harm(random: Random, text: string): string {
  let harmed = text;
  for (let times = 1 + random.int(3); times > 0; times--) {
    const at = random.int(harmed.length + 1);
    const length = random.pick([1, 1, 2, random.int(40)]);
    const instead = random.pick([
      ...['', '', random.pick(DECOYS), random.text('\r\n :;,0a\t', 1 + random.int(3))],
      ...[harmed.slice(at, at + length).repeat(2), random.text(TOKEN, length)],
    ]);
    harmed = harmed.slice(0, at) + instead + harmed.slice(at + (random.chance(30) ? 0 : length));
  }
  return harmed;
}

/** Cuts `bytes` into segments, as TCP may. */
export function segments(random: Random, bytes: Uint8Array, how: string): Uint8Array[] {
  const list: Uint8Array[] = [];
  let at = 0;
  while (at < bytes.length) {
    const largest = { whole: Infinity, one: 1, small: 12, mixed: 700, large: 4000 }[how] ?? 1448;
    const size = largest === Infinity || largest === 1 ? largest : 1 + random.int(largest);
    list.push(bytes.subarray(at, at + size));
    at += size;
  }
  return list;
}

/** First lines: parsed as llhttp parses them, redacted, and made fit for a label and a terminal. */
import t from 'tap';
import {
  HeadCache,
  INFO_MAX,
  LINE_MAX,
  describeHead,
  joinHttpInfo,
} from '../src/http/http-info.js';
import { redactReason, redactTarget } from '../src/http/redact.js';
import { parseStartLine, type StartLine } from '../src/http/start-line.js';
import { conversation, harm, Random } from './http-framing/corpus.js';
import { Oracle, type OracleHead } from './http-framing/oracle.js';

const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1');
const seed = Number(process.env['SEED'] ?? 1);

/** What llhttp makes of a first line with nothing behind it. */
function judge(oracle: Oracle, line: string, isRequest: boolean): OracleHead | null {
  const bytes = latin1(`${line}\r\n${isRequest ? '' : 'Content-Length: 0\r\n'}\r\n`);
  const result = isRequest ? oracle.requests(bytes) : oracle.responses(bytes, ['GET'], true);
  const head = result.events[0];
  return head?.kind === 'head' && result.events.length === 2 ? head : null;
}

/** First lines good and harmed, without line ends. */
function* lines(random: Random, count: number): Generator<readonly [string, boolean]> {
  let given = 0;
  while (given < count) {
    for (const { request, response } of conversation(random).exchanges) {
      for (const [text, isRequest] of [
        [request.plain, true],
        [response.plain, false],
      ] as const) {
        const line = text.slice(0, text.indexOf('\r\n'));
        yield [line, isRequest];
        const harmed = harm(random, line);
        if (!/[\r\n]/.test(harmed)) yield [harmed, isRequest];
        given += 2;
      }
    }
  }
}

t.test('what llhttp takes for a first line is one, with the same parts', (t) => {
  const oracle = new Oracle();
  let taken = 0;
  let given = 0;
  for (const [line, isRequest] of lines(new Random(seed), 20_000)) {
    const judged = judge(oracle, line, isRequest);
    given++;
    if (judged === null) continue;
    taken++;
    const parsed = parseStartLine(line);
    const ours =
      parsed?.kind === 'request'
        ? [parsed.method, parsed.target, parsed.version]
        : [parsed?.status, parsed?.reason, parsed?.version];
    const theirs = isRequest
      ? [judged.method, judged.target, `1.${judged.version}`]
      : [judged.status, judged.reason, `1.${judged.version}`];
    if (JSON.stringify(ours) !== JSON.stringify(theirs)) {
      t.same(ours, theirs, `seed ${seed}: ${JSON.stringify(line)}`);
      break;
    }
  }
  t.comment(`${given} lines, ${taken} of them good`);
  t.ok(taken > given / 2);
  t.end();
});

t.test('a cut line gives what is there and says so', (t) => {
  let cuts = 0;
  for (const [line] of lines(new Random(seed + 1), 1500)) {
    const whole = parseStartLine(line);
    if (whole === null) continue;
    for (let at = 0; at < line.length; at += 1 + (at >> 4)) {
      const part = parseStartLine(line.slice(0, at), true);
      cuts++;
      if (part?.kind === 'request' && whole.kind === 'request') {
        const good =
          part.method === whole.method &&
          (part.version === null) === part.truncated &&
          whole.target.startsWith(part.target.split(' ', 1)[0]!);
        if (!good) return t.same(part, whole, line.slice(0, at));
      } else if (part?.kind === 'response' && whole.kind === 'response') {
        if (
          part.status !== whole.status ||
          !whole.reason.startsWith(part.reason) ||
          !part.truncated
        )
          return t.same(part, whole, line.slice(0, at));
      } else if (at > enough(whole, line)) {
        return t.fail(`nothing was made of ${line.slice(0, at)}`);
      }
    }
  }
  t.comment(`${cuts} cuts`);
  t.ok(cuts > 10_000);
  return t.end();
});

/** From here on a cut line gives something; not if the target looks like the version behind it. */
function enough(whole: StartLine, line: string): number {
  if (whole.kind === 'response') return 12;
  if (whole.target.startsWith('H')) return line.length;
  return line.indexOf(whole.target[0]!, whole.method.length) + 1;
}

t.test('first lines by hand', (t) => {
  const request = (method: string, target: string, version: string | null, truncated = false) => ({
    kind: 'request',
    ...{ method, target, version, truncated },
  });
  const table: readonly (readonly [string, boolean, unknown])[] = [
    ['GET / HTTP/1.1\r\nHost: x\r\n', false, request('GET', '/', '1.1')],
    ['GET / HTTP/1.0\n', true, request('GET', '/', '1.0')],
    ['BREW  /pot  HTTP/1.9', false, request('BREW', '/pot', '1.9')],
    ['GET /two words HTTP/1.1', false, request('GET', '/two words', '1.1')],
    ['GET /a HTTP/1.', true, request('GET', '/a', null, true)],
    ['GET /a HT', true, request('GET', '/a', null, true)],
    ['GET /a ', true, request('GET', '/a', null, true)],
    ['GET /a HTTP/1.1', true, request('GET', '/a', '1.1')],
    ['GET ', true, null],
    ['GE', true, null],
    ['GET /a', false, null],
    ['GET /a HTTP/2.0', false, null],
    ['GET /a HTTP/1.', false, null],
    ['GET  HTTP/1.1', false, null],
    ['G(T / HTTP/1.1', false, null],
    [`${'X'.repeat(32)} / HTTP/1.1`, false, null],
    ['PRI * HTTP/2.0\r\n', false, null],
    ['\x16\x03\x01\x02', true, null],
    ['', false, null],
    ['HTTP/1.1 200', false, { kind: 'response', status: 200, reason: '', version: '1.1' }],
    ['HTTP/1.0 404 Not Found\r\n', false, { kind: 'response', reason: 'Not Found' }],
    ['HTTP/1.1 200 O', true, { kind: 'response', reason: 'O', truncated: true }],
    ['HTTP/1.1 20', true, null],
    ['HTTP/1.1 2000', false, null],
    ['HTTP/1.1 099 Low', false, null],
    ['HTTP/2 200', false, null],
  ];
  for (const [line, truncated, wanted] of table) {
    if (wanted === null) t.equal(parseStartLine(latin1(line), truncated), null, line);
    else t.match(parseStartLine(latin1(line), truncated), wanted, line);
  }
  t.end();
});

t.test('credentials go, the rest of an address stays', (t) => {
  const jwt = 'eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U';
  const table: Readonly<Record<string, string>> = {
    '/': '/',
    '*': '*',
    '/a/b.html?': '/a/b.html?',
    '/a?token=x&b=&c': '/a?token=*&b=&*',
    '/a?b=c=d==&e=*': '/a?b=*&e=*',
    '/a?b=c#access_token=d': '/a?b=*#access_token=*',
    '/a?0123456789abcdef01234567': '/a?*',
    'http://user:pw@host:8/a': 'http://host:8/a',
    'http://host/a@b?c=d@e': 'http://host/a@b?c=*',
    'user:pw@host:443': 'host:443',
    'host.example:443': 'host.example:443',
    '//user:pw@host/a': '//host/a',
    '/proxy/http://user:pw@host/a': '/proxy/http://host/a',
    '/proxy?url=http%3A%2F%2Fu%3Ap%40host': '/proxy?url=*',
    '/http%3A%2F%2Fu%3Ap%40host%2Fa': '/http%3A%2F%2Fhost%2Fa',
    '/a;jsessionid=1234/b;c': '/a;jsessionid=*/b;c',
    '/cart;jsessionid=ABC;x=y?z': '/cart;jsessionid=*;x=*?*',
    '/v1/token/abc/use': '/v1/token/*/use',
    '/api-key/abc': '/api-key/*',
    '/api_keys/1/x': '/api_keys/*/x',
    '/access-token/abc': '/access-token/*',
    '/Secret/abc': '/Secret/*',
    '/%74oken/abc': '/%74oken/*',
    '/password/hunter': '/password/*',
    '/password/./hunter': '/password/./*',
    '/password/%2E/hunter': '/password/%2E/*',
    '/call/0049-170-1234567': '/call/*',
    '/c/0044%2020%207946%200958/x': '/c/*/x',
    '/build/0012-2026-11-29': '/build/0012-2026-11-29',
    '/password/reset/hunter': '/password/*/*',
    '/reset/hunter': '/reset/*',
    '/reset-password/abc': '/reset-password/*',
    '/auth/login': '/auth/login',
    '/auth/s3cret': '/auth/*',
    '/oauth2/token': '/oauth2/token',
    '/oauth2/token/abc': '/oauth2/token/*',
    '/bearer/abc': '/bearer/*',
    '/login': '/login',
    '/keys': '/keys',
    '/x/token=abc/y': '/x/token=*/y',
    '/x/apikey:abc': '/x/apikey:*',
    '/x/size=10': '/x/size=10',
    [`/a/${jwt}/b`]: '/a/*/b',
    [`/ab/x-${jwt}`]: '/ab/x-*',
    '/bot123456:AAE-abc_def/getMe': '/bot*/getMe',
    '/bot123456%3AAAE/getMe': '/bot*/getMe',
    '/robots.txt': '/robots.txt',
    '/bottle/1': '/bottle/1',
    '/services/T00000000/B00000000/XXXXXXXXXXXXXXXXXXXXXXX1': '/services/T00000000/B00000000/*',
    '/hooks/catch/123': '/hooks/*/123',
    '/a/ghp_0123456789abcdef': '/a/*',
    '/a/xoxb-123456-abcdef': '/a/*',
    '/a/AKIAIOSFODNN7EXAMPLE': '/a/*',
    '/a/d41d8cd98f00b204e9800998ecf8427e': '/a/*',
    '/a/dGhpcyBpcyBhIHNl-Y3JldCB0_b2tlbiBm1': '/a/*',
    '/js/main.3f2a9c1b.js': '/js/main.3f2a9c1b.js',
    '/how-to-build-a-house-in-10-days-2024': '/how-to-build-a-house-in-10-days-2024',
    '/MyComponentTestFileOfTheYear2024.js': '/MyComponentTestFileOfTheYear2024.js',
    '/users/550e8400-e29b-41d4-a716-446655440000': '/users/550e8400-e29b-41d4-a716-446655440000',
    '/orders/1234567890123456789': '/orders/1234567890123456789',
    '/orders/12345678901234567890': '/orders/*',
    '/%D0%BF%D1%80%D0%B8%D0%B2%D0%B5%D1%82': '/%D0%BF%D1%80%D0%B8%D0%B2%D0%B5%D1%82',
    '/a/Authorization: Basic dTpw': '/a/*',
    '/a/cookie=a=b': '/a/*',
    '/a/Bearer%20abc': '/a/*',
    '/cookies': '/cookies',
  };
  for (const [target, shown] of Object.entries(table)) {
    t.equal(redactTarget(target), shown, target);
    t.equal(redactTarget(shown), shown, `${shown} stays as it is`);
  }
  t.equal(redactTarget('/a/abc123', true), '/a/*', 'half a secret');
  t.equal(redactTarget('/a/abcdef', true), '/a/abcdef');
  t.equal(redactTarget('/a?b=c&d', true), '/a?b=*&*');
  t.equal(redactReason('Not Found'), 'Not Found');
  t.equal(redactReason('Bad token=abc'), 'Bad token=*');
  t.equal(redactReason('Set-Cookie: a=b'), '*');
  t.end();
});

t.test('no secret survives, wherever it is put', (t) => {
  const random = new Random(seed + 2);
  const hex = '0123456789abcdef';
  const base = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';
  const word = (): string => random.pick(['api', 'v1', 'users', 'x', 'shop', 'a-b', 'index.html']);
  const path = (): string => `/${word()}${random.chance(50) ? `/${word()}` : ''}`;
  const kinds: readonly (() => readonly [string, string])[] = [
    () => {
      const secret = random.text(base, 4 + random.int(30));
      return [`${path()}?${random.pick(['token', 'q', 'a%20b'])}=${secret}&b=1`, secret];
    },
    () => {
      const secret = random.text(base, 6 + random.int(20));
      return [`http://user:${secret}@host${path()}`, secret];
    },
    () => {
      const secret = random.text(base, 6 + random.int(30));
      return [`${path()};jsessionid=${secret}${path()}`, secret];
    },
    () => {
      const secret = random.text(base, 6 + random.int(30));
      const name = random.pick([
        'token',
        'API-KEY',
        'secrets',
        'reset',
        'auth',
        'bearer',
        'password',
      ]);
      return [`${path()}/${name}/${secret}${path()}`, secret];
    },
    () => {
      const secret = `1${random.text(hex, 40)}a`;
      return [`${path()}/${secret}${path()}`, secret];
    },
    () => {
      const secret = `eyJ${random.text(base, 20)}.${random.text(base, 30)}.${random.text(base, 43)}`;
      return [`${path()}/${secret}`, secret];
    },
  ];
  for (let i = 0; i < 5000; i++) {
    const [target, secret] = random.pick(kinds)();
    const line = `GET ${target} HTTP/1.1`;
    const shown = describeHead(line);
    const cut = describeHead(line.slice(0, line.length - random.int(12)), true);
    if (shown.includes(secret) || cut.includes(secret))
      return t.fail(`${line} -> ${shown}, ${cut}`);
    if (!shown.startsWith('GET ') || !shown.endsWith(' HTTP/1.1')) return t.fail(shown);
  }
  t.pass();
  return t.end();
});

t.test('a line is one line of harmless characters, however hostile its bytes', (t) => {
  const table: readonly (readonly [string, string])[] = [
    ['GET /\x1b[2J HTTP/1.1', 'GET /\ufffd[2J HTTP/1.1'],
    ['GET /a\x00b\x7f HTTP/1.1', 'GET /a\ufffdb\ufffd HTTP/1.1'],
    ['GET /\xc3\xa9 HTTP/1.1', 'GET /é HTTP/1.1'],
    ['GET /\xff\xfe HTTP/1.1', 'GET /\ufffd\ufffd HTTP/1.1'],
    ['GET /\xe2\x80\xae HTTP/1.1', 'GET /\ufffd HTTP/1.1'],
    ['GET /a"b\\c HTTP/1.1', 'GET /a"b\\c HTTP/1.1'],
    ['GET /a\rb HTTP/1.1\r\nCookie: a=b', 'GET /a\ufffdb HTTP/1.1'],
    ['HTTP/1.1 200 \xc0\x80\x07', 'HTTP/1.1 200 \ufffd\ufffd\ufffd'],
    ['HTTP/1.1 200 OK\nnetwatch_fake 1\n', 'HTTP/1.1 200 OK'],
    ['nonsense', '?'],
    ['', '?'],
  ];
  for (const [line, shown] of table)
    t.equal(describeHead(latin1(line)), shown, JSON.stringify(line));

  const random = new Random(seed + 3);
  for (let i = 0; i < 5000; i++) {
    const bytes = Uint8Array.from({ length: random.int(300) }, () => random.int(256));
    if (bytes.length >= 5 && random.chance(70)) bytes.set(latin1('GET /'));
    const shown = describeHead(bytes, random.chance(50));
    // eslint-disable-next-line no-control-regex
    if (/[\0-\x1f\x7f-\x9f\u2028-\u202e]/.test(shown) || shown.length > LINE_MAX)
      return t.fail(Buffer.from(bytes).toString('hex'));
  }
  const long = describeHead(`GET /${'a'.repeat(65_536)} HTTP/1.1`);
  t.equal(long.length, LINE_MAX);
  t.ok(long.endsWith('a…'));
  t.equal(describeHead('GET /abc/def', true), 'GET /abc/def…');
  t.equal(describeHead('HTTP/1.1 200 Al', true), 'HTTP/1.1 200 Al…');
  return t.end();
});

t.test('the heads of one packet are joined, and bounded', (t) => {
  t.equal(joinHttpInfo(['a']), 'a');
  t.equal(
    joinHttpInfo(['GET /a HTTP/1.1', 'GET /b HTTP/1.1']),
    'GET /a HTTP/1.1 | GET /b HTTP/1.1',
  );
  t.equal(joinHttpInfo([]), '');
  const many = joinHttpInfo(Array.from({ length: 4000 }, (_, i) => `GET /${i} HTTP/1.1`));
  t.ok(many.length <= INFO_MAX && many.length > INFO_MAX - 40);
  t.ok(many.endsWith(' HTTP/1.1 | …'));
  const large = joinHttpInfo(Array.from({ length: 9 }, () => 'x'.repeat(LINE_MAX)));
  t.ok(large.length <= INFO_MAX && large.endsWith('x | …'));
  t.end();
});

t.test('the cache remembers by bytes, and never more than its slots', (t) => {
  const cache = new HeadCache(4);
  const bytes = latin1('xxGET /a HTTP/1.1GET /b HTTP/1.1');
  t.equal(cache.text(bytes, 2, 15, false), 'GET /a HTTP/1.1');
  t.equal(cache.text(bytes, 17, 15, false), 'GET /b HTTP/1.1');
  t.equal(cache.text(bytes, 2, 15, false), 'GET /a HTTP/1.1');
  t.equal(cache.text(bytes, 2, 12, true), 'GET /a…', 'a cut line is another one');
  bytes[6] = 0x7a; // the ring's memory changes under it
  t.equal(cache.text(bytes, 2, 15, false), 'GET za HTTP/1.1');
  t.equal(cache.hits + cache.misses, 5);
  for (let i = 0; i < 1000; i++) {
    const line = latin1(`GET /${i % 10} HTTP/1.1`);
    if (cache.text(line, 0, line.length, false) !== `GET /${i % 10} HTTP/1.1`) return t.fail();
  }
  t.throws(() => new HeadCache(3), RangeError);

  const spread = new HeadCache(2048);
  for (let i = 0; i < 2000; i++) {
    const line = latin1(`GET /some/path/to/${i % 200}/it?key=* HTTP/1.1`);
    spread.text(line, 0, line.length, false);
  }
  t.ok(spread.hits > 1500, `${spread.hits} of 2000 lines, 200 of them different, were remembered`);

  const large = new HeadCache();
  const line = latin1('GET /some/path/to/it?key=*&other=* HTTP/1.1');
  const time = (times: number, work: () => unknown): number => {
    const from = process.cpuUsage();
    for (let i = 0; i < times; i++) work();
    const { user, system } = process.cpuUsage(from);
    return ((user + system) / times) * 1e3;
  };
  time(20_000, () => large.text(line, 0, line.length, false));
  const hit = time(200_000, () => large.text(line, 0, line.length, false));
  time(5_000, () => describeHead(line));
  const miss = time(20_000, () => describeHead(line));
  t.comment(`${line.length} bytes: ${hit.toFixed(0)} ns remembered, ${miss.toFixed(0)} ns anew`);
  t.ok(hit < miss);
  return t.end();
});

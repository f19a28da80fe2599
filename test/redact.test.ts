/** What is hidden of first lines, and what is not: forms and secrets from a seed, paths as they are. */
import { METHODS } from 'node:http';
import t from 'tap';
import { putClean } from '../src/http/clean.js';
import { describeHead } from '../src/http/http-info.js';
import { methodName } from '../src/http/methods.js';
import { redactReason, redactTarget } from '../src/http/redact.js';
import { reduceTarget } from '../src/http/targets.js';
import { HOSTILE_TARGETS } from './fixtures/hostile-targets.js';
import { ORDINARY_PATHS } from './fixtures/ordinary-paths.js';
import { Random } from './http-framing/corpus.js';
import { BASE62, secretLines, shownOf } from './support/secrets.js';

const seed = Number(process.env['SEED'] ?? 1);
/** Fewer characters of a secret tell nothing. */
const MOST_SHOWN = 6;
/** Of the beginning of one: small letters that may be a word, the mark of a service. */
const MOST_OF_HALF = 10;

t.test('of no secret more than six characters are shown, in whatever form it comes', (t) => {
  let lines = 0;
  const found: string[] = [];
  for (const { line, secret, form } of secretLines(new Random(seed), 20)) {
    lines++;
    const shown = describeHead(Buffer.from(line, 'latin1'));
    if (shownOf(secret, shown) > Math.min(MOST_SHOWN, secret.length - 1))
      found.push(`${form}: ${line} -> ${shown}`);
  }
  t.comment(`${lines} lines`);
  t.ok(lines > 4000);
  t.strictSame(found, []);
  t.end();
});

t.test('addresses that are known to carry secrets show what is expected of them', (t) => {
  for (const [target, shown] of Object.entries(HOSTILE_TARGETS)) {
    t.equal(redactTarget(target), shown, target);
    t.equal(redactTarget(shown), shown, `${shown} stays as it is`);
  }
  t.end();
});

t.test('nor of one that is cut anywhere', (t) => {
  const found: string[] = [];
  for (const { line, secret, form } of secretLines(new Random(seed + 1), 2)) {
    const from = line.indexOf(secret);
    if (from < 0) continue;
    for (let end = from + 3; end < from + secret.length; end += 3) {
      const shown = describeHead(Buffer.from(line.slice(0, end), 'latin1'), true);
      if (shownOf(secret, shown) > MOST_OF_HALF)
        found.push(`${form}: ${line.slice(0, end)} -> ${shown}`);
    }
  }
  t.strictSame(found, []);
  t.end();
});

t.test('short random strings of both cases and digits are mostly known too', (t) => {
  const random = new Random(seed + 2);
  for (const [length, least] of [
    [14, 950],
    [17, 980],
  ] as const) {
    let hidden = 0;
    for (let i = 0; i < 1000; i++)
      if (redactTarget(`/things/${random.text(BASE62, length)}`) === '/things/*') hidden++;
    t.comment(`${hidden} of 1000 with ${length} characters`);
    t.ok(hidden >= least);
  }
  t.end();
});

t.test('ordinary paths stay readable', (t) => {
  t.equal(new Set(ORDINARY_PATHS).size, 200);
  const changed = ORDINARY_PATHS.filter((path) => redactTarget(path) !== path);
  t.strictSame(changed, [
    '/golang.org/x/sys/@v/v0.0.0-20240115103000-3f2a9c1b4d5e.zip',
    '/account/password/new',
    '/objects/507f1f77bcf86cd799439011',
    '/events/01ARZ3NDEKTSV4RRFFQ69G5FAV',
  ]);
  t.end();
});

t.test('a UUID names a thing, but behind words that give a right it is one', (t) => {
  const uuid = '9f8b2c1d-3e4f-4a5b-8c6d-7e8f9a0b1c2d';
  for (const name of ['users', 'orders', 'api', 'images'])
    t.equal(redactTarget(`/${name}/${uuid}`), `/${name}/${uuid}`);
  for (const name of ['download', 'share', 'join', 's', 'guest', 'session', 'token', 'reset'])
    t.equal(redactTarget(`/${name}/${uuid}/x`), `/${name}/*/x`);
  t.end();
});

t.test('the digest of something public stays where its name stands before it', (t) => {
  const digest = '6d36c728bc2e2d632f4b0dea00df5532e20dfdab';
  t.equal(redactTarget(`/o/r/commit/${digest}`), `/o/r/commit/${digest}`);
  t.equal(redactTarget(`/v2/x/blobs/sha256:${digest}`), `/v2/x/blobs/sha256:${digest}`);
  t.equal(redactTarget(`/things/${digest}`), '/things/*');
  t.equal(redactTarget(`/main-${digest.slice(0, 20)}.js`), `/main-${digest.slice(0, 20)}.js`);
  t.equal(redactTarget(`/main-${digest.slice(0, 20)}.png`), '/main-*.png');
  t.end();
});

t.test('numbers with a checksum count only if it is right', (t) => {
  t.equal(redactTarget('/pay/5555555555554444'), '/pay/*');
  t.equal(redactTarget('/pay/5555555555554445'), '/pay/5555555555554445');
  t.equal(redactTarget('/pay/5555-5555-5555-4444'), '/pay/*');
  t.equal(redactTarget('/acc/GB82WEST12345698765432'), '/acc/*');
  t.equal(redactTarget('/acc/GB82%20WEST%201234%205698%207654%2032/x'), '/acc/*/x');
  t.equal(redactTarget('/acc/1234567890123456'), '/acc/1234567890123456');
  t.end();
});

t.test('what stands before an @ is a person or a password, or the name of a package', (t) => {
  t.equal(redactTarget('/users/jane@mail.example'), '/users/*@mail.example');
  t.equal(redactTarget('/users/jane%40163.com'), '/users/*%40163.com');
  t.equal(redactTarget('/npm/lodash@4.17.21'), '/npm/lodash@4.17.21');
  t.equal(redactTarget('/img/logo@2x.png'), '/img/logo@2x.png');
  t.equal(redactTarget('/@jane/posts'), '/@jane/posts');
  t.equal(redactTarget('/git/user:pw@host/x'), '/git/*@host/x');
  t.end();
});

t.test('phrases of servers stay what they are', (t) => {
  for (const phrase of [
    'OK',
    'Not Found',
    'Moved Permanently',
    'Network Authentication Required',
    'Token expired',
    'Invalid API key',
    'Session has timed out',
    'CSRF token missing or incorrect.',
    'Password required',
    'Non-Authoritative Information',
    "I'm a teapot",
  ])
    t.equal(redactReason(phrase), phrase);
  t.end();
});

t.test('methods that nobody has registered are _OTHER', (t) => {
  for (const method of METHODS) t.equal(methodName(method), method);
  for (const method of ['get', 'BREW', 'ghp_x', 'Get', '']) t.equal(methodName(method), '_OTHER');
  t.equal(describeHead('BREW /pot HTTP/1.0'), '_OTHER /pot HTTP/1.0');
  t.end();
});

t.test('--targets shows less of a target', (t) => {
  const table = {
    '/': ['/', '/', '*'],
    '/a': ['/a', '/a', '*'],
    '/a/': ['/a/', '/a', '*'],
    '/a?b=*': ['/a', '/a', '*'],
    '/a/b/c?d=*#*': ['/a/b/c', '/a/*', '*'],
    '//a/b': ['//a/b', '//a/*', '*'],
    'http://host:8/a/b': ['http://host:8/a/b', 'http://host:8/a/*', '*'],
    'host:443': ['host:443', 'host:443', '*'],
    '*': ['*', '*', '*'],
  } as const;
  for (const [target, [path, first, none]] of Object.entries(table)) {
    t.equal(reduceTarget(target, 'full'), target);
    t.equal(reduceTarget(target, 'path'), path);
    t.equal(reduceTarget(target, 'first-segment'), first, `the first segment of ${target}`);
    t.equal(reduceTarget(target, 'none'), none);
  }
  const head = (line: string, targets: 'path' | 'first-segment' | 'none'): string =>
    describeHead(line, false, targets);
  t.equal(head('GET /jane/x?y=z HTTP/1.1', 'first-segment'), 'GET /jane/* HTTP/1.1');
  t.equal(head('GET /jane/x?y=z HTTP/1.1', 'none'), 'GET * HTTP/1.1');
  t.equal(head('HTTP/1.1 404 No /jane/x', 'path'), 'HTTP/1.1 404 No /jane/x');
  t.equal(head('HTTP/1.1 404 No /jane/x', 'none'), 'HTTP/1.1 404', 'a phrase may repeat it');
  t.end();
});

/** What the quick look makes of a line; null: it leaves it to the other one. */
function clean(line: string): string | null {
  const bytes = Buffer.from(`xx${line}yy`, 'latin1');
  const to = Buffer.alloc(600);
  const end = putClean(bytes, 2, bytes.length - 4, to, 5);
  return end < 0 ? null : to.toString('latin1', 5, end);
}

t.test('what the quick look lets through has nothing to hide', (t) => {
  const random = new Random(seed + 3);
  const alphabet = `${BASE62}${'/-_.'.repeat(6)}aeiou`;
  const words = [
    ...[
      'posts',
      'list',
      'en',
      'images',
      'x',
      '7',
      'a-b',
      'search',
      'Home',
      'v2',
      'css',
      '2024',
      'de',
    ],
    ...['orders', 'new', 'cart', 'shop', 'main', '10', 'news', 'app', 'web', 'blog', 'wiki'],
    ...['users', 'v1', 'api', 'a', 'd', 'items', '42', 'index.html', 'TODO', 'camelCase', 'bot12'],
    ...[
      'tok-en',
      'key',
      'api-key-x7',
      'reset',
      'otp',
      '2-fa-123456',
      'check-out',
      'sk',
      'pass',
      '00',
    ],
    ...[
      '555-123-4567',
      '4111-1111-1111-1111',
      'sha256',
      'GB82WEST12345698765432',
      'npm_Abcdefghijklm',
      'npm_Abcde_fghij',
    ],
    ...[
      'eyJabcdefgh',
      'x7Kq9',
      '3f2504e0-4f89-41d3-9a0c-0305e82c3301',
      'JSESSIONID',
      'download',
      'facade-decade-facade-decade',
      'qzxvkj-wqzjx',
    ],
    ...[
      'newPassword',
      'mytoken',
      'key2',
      'pass2Word',
      'verify-email',
      'code',
      'x-pass-code',
      'tokens',
    ],
    ...[
      'hvs.CAESIabc',
      'HRKU-1234abc',
      'ST-12-abcdefghijklm4567',
      'WDJB-1234',
      'licence',
      '..',
      '.',
    ],
    ...['T0123ABCDE', 'B0123ABCDE', 'pass', 'word', 'basic-auth', 'jane'],
  ];
  const made: (() => string)[] = [
    () => `/${random.text(alphabet, random.int(60))}`,
    () => `/${Array.from({ length: 1 + random.int(5) }, () => random.pick(words)).join('/')}`,
    () => `/${Array.from({ length: 1 + random.int(5) }, () => random.pick(words)).join('-')}`,
    () => random.pick(ORDINARY_PATHS),
    () => `/${random.pick(words)}?${random.pick(words)}=*&${random.pick(words)}=`,
    () => `/x?${random.text(`${alphabet}=&*?`, random.int(30))}`,
    () => `/${random.text('abcdefghijklmnopqrstuvwxyz-', random.int(60))}/${random.pick(words)}`,
  ];
  const lines = [...secretLines(new Random(seed + 4), 5)].map(({ line }) => line);
  for (let i = 0; i < 60_000; i++) lines.push(`GET ${random.pick(made)()} HTTP/1.1`);
  for (let i = 0; i < 5000; i++)
    lines.push(`HTTP/1.1 ${random.int(1100)} ${random.pick(words)} ${random.pick(words)}`);
  let through = 0;
  for (const line of lines) {
    const shown = clean(line);
    if (shown === null) continue;
    through++;
    if (shown !== line) return t.fail(`${line} -> ${shown}`);
    if (shown !== describeHead(line)) return t.fail(`${line} is ${describeHead(line)}`);
  }
  t.comment(`${through} of ${lines.length} lines were let through`);
  t.ok(through > lines.length / 6);
  return t.end();
});

t.test('the quick look knows most of what servers see', (t) => {
  const known = ORDINARY_PATHS.filter((path) => clean(`GET ${path} HTTP/1.1`) !== null);
  t.comment(`${known.length} of ${ORDINARY_PATHS.length}`);
  t.ok(known.length >= 95);
  for (const line of [
    'GET / HTTP/1.1',
    'GET /users/550e8400-E29B-41d4-a716-446655440000/orders?page=* HTTP/1.1',
    'GET /api/v1/items/12345?page=*&sort=* HTTP/1.0',
    'POST /graphql HTTP/1.1',
    'HTTP/1.1 200 OK',
    'HTTP/1.1 200',
    'HTTP/1.1 404 Not Found',
    'HTTP/1.1 503 Service Temporarily Unavailable',
  ])
    t.equal(clean(line), line);
  for (const line of [
    'GET /a?b HTTP/1.1',
    'GET /a?b=c HTTP/1.1',
    'GET /a',
    'GET /a HTTP/1.',
    'GET /a b HTTP/1.1',
    'GET //a HTTP/1.1',
    'get /a HTTP/1.1',
    'BREW /a HTTP/1.1',
    'GET /a"b HTTP/1.1',
    'GET /%41 HTTP/1.1',
    'GET /token/a HTTP/1.1',
    'HTTP/1.1 2000 OK',
    'HTTP/1.1 401 token abc',
  ])
    t.equal(clean(line), null);
  t.end();
});

/**
 * The web configuration: what it may say, what is refused by name, TLS, client certificates, passwords,
 * and new versions of it while the endpoint runs.
 */
import { execFileSync } from 'node:child_process';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { connect as connectTls, type ConnectionOptions, type TLSSocket } from 'node:tls';
import bcrypt from 'bcryptjs';
import t, { type Test } from 'tap';
import { Authenticator, credentialsOf } from '../src/serve/basic-auth.js';
import { readWebConfig } from '../src/serve/web-config.js';
import { dial, exchange, get, readAll, startEndpoint } from './support/endpoint.js';
import { until } from './support/wait.js';

const HASH = bcrypt.hashSync('secret', 4);
const basic = (user: string, password: string): string =>
  `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`;

/** A folder with a CA, a server's and two clients' certificates, made by openssl. */
function certificates(t: Test): string {
  const folder = t.testdir({
    ext: 'subjectAltName=IP:127.0.0.1,DNS:localhost\n',
    'ext-client': 'subjectAltName=DNS:prometheus.example,URI:spiffe://x/a\n',
  });
  const openssl = (...args: string[]): void => {
    execFileSync('openssl', args, { cwd: folder, stdio: 'pipe' });
  };
  const key = (name: string): string[] => [
    ...['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes'],
    ...['-keyout', `${name}.key`, '-subj', `/CN=${name}`],
  ];
  openssl('req', '-x509', ...key('ca'), '-out', 'ca.crt', '-days', '2');
  openssl('req', '-x509', ...key('stranger'), '-out', 'stranger.crt', '-days', '2');
  for (const [name, ext] of [
    ['server', 'ext'],
    ['renewed', 'ext'],
    ['client', 'ext-client'],
    ['nameless', 'ext'],
  ] as const) {
    openssl('req', ...key(name), '-out', `${name}.csr`);
    const signed = ['-in', `${name}.csr`, '-CA', 'ca.crt', '-CAkey', 'ca.key', '-extfile', ext];
    openssl('x509', '-req', ...signed, '-out', `${name}.crt`, '-days', '2');
  }
  execFileSync('mkfifo', ['fifo'], { cwd: folder });
  return folder;
}

const TLS = 'tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n';

function writeConfig(folder: string, text: string): string {
  const file = join(folder, 'web.yml');
  writeFileSync(`${file}.new`, text);
  renameSync(`${file}.new`, file);
  return file;
}

t.test('a complete configuration is understood, an empty one allows everything', async (t) => {
  const folder = certificates(t);
  const file = writeConfig(
    folder,
    `${TLS}  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.crt
  client_allowed_sans: [prometheus.example]
  min_version: TLS12
  max_version: TLS13
  cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA,
    TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, TLS_AES_128_GCM_SHA256]
  prefer_server_cipher_suites: false
  curve_preferences: [X25519, CurveP256]
http_server_config:
  http2: false
  headers:
    X-Frame-Options: deny
    Strict-Transport-Security: max-age=60
basic_auth_users:
  ada: ${HASH}
  "42": ${HASH.replace('$2b$', '$2y$')}
`,
  );
  const files: string[] = [];
  const config = await readWebConfig(file, (path) => {
    files.push(relative(folder, path));
    return readFile(path, 'utf8');
  });
  t.match(config.tls?.context, {
    ...{ minVersion: 'TLSv1.2', maxVersion: 'TLSv1.3', honorCipherOrder: false },
    ecdhCurve: 'X25519:P-256',
    ciphers: [
      'TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256',
      'ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES256-SHA:ECDHE-ECDSA-CHACHA20-POLY1305',
    ].join(':'),
    cert: readFileSync(join(folder, 'server.crt'), 'utf8'),
  });
  t.equal(config.tls?.clientCertificate, true);
  t.strictSame([...(config.tls?.clientNames ?? [])], ['prometheus.example']);
  t.strictSame([...config.users.keys()].sort(), ['42', 'ada']);
  t.strictSame(
    [...config.headers],
    [
      ['Strict-Transport-Security', 'max-age=60'],
      ['X-Frame-Options', 'deny'],
    ],
  );
  const named = ['web.yml', 'server.crt', 'server.key', 'ca.crt'];
  t.strictSame(files, named, 'paths begin where the file is');
  for (const text of ['', '# nothing\n', 'tls_server_config:\nbasic_auth_users: {}\n']) {
    const empty = await readWebConfig(writeConfig(folder, text));
    t.match(empty, { tls: null, users: new Map(), headers: new Map() });
  }
});

const BAD: readonly (readonly [text: string, says: RegExp])[] = [
  ['tls_server_confg: {}', /tls_server_confg is not a key that netwatch knows/],
  [`${TLS}  cert_fil: x`, /tls_server_config\.cert_fil is not a key/],
  ['http_server_config: {http3: true}', /http_server_config\.http3 is not a key/],
  ['http_server_config: {http2: true}', /netwatch speaks HTTP\/1\.1 only/],
  ['http_server_config: {http2: yes}', /http_server_config\.http2 should be true or false/],
  [
    'http_server_config: {headers: {Server: x}}',
    /http_server_config\.headers\.Server is not a key/,
  ],
  ['http_server_config: {headers: {X-Frame-Options: x}}', /should be one of deny, sameorigin/],
  [
    'http_server_config: {headers: {X-XSS-Protection: "a\\r\\nb: c"}}',
    /characters that no header may have/,
  ],
  ['rate_limit: {interval: 1s, burst: 5}', /rate_limit is not supported/],
  ['basic_auth_users: {ada: plain}', /the password of basic_auth_users\.ada is not a bcrypt hash/],
  ['basic_auth_users: {ada: 5}', /basic_auth_users\.ada should be a text/],
  ['basic_auth_users: {ada: }', /not a bcrypt hash/],
  ['basic_auth_users: [ada]', /basic_auth_users should be a mapping/],
  ['just text', /web\.yml: it should be a mapping/],
  ['a: 1\na: 2', /web\.yml:2 is not valid YAML \(DUPLICATE_KEY\)/],
  ['a: [', /web\.yml:1 is not valid YAML/],
  ['a: !!js/function x', /web\.yml:1 is not valid YAML/],
  ['a: *nowhere', /aliases|not valid YAML/],
  ['tls_server_config: {cert_file: server.crt}', /lacks a certificate or its key/],
  ['tls_server_config: {min_version: TLS12}', /lacks a certificate or its key/],
  [TLS.replace('server.key', 'no.key'), /key_file cannot be read: ENOENT/],
  [TLS.replace('server.crt', 'fifo'), /cert_file cannot be read: .*fifo is not a regular file/],
  [TLS.replace('server.key', 'ca.key'), /cannot be used: .*key values mismatch/],
  [TLS.replace('server.crt', 'ext'), /tls_server_config cannot be used/],
  [`${TLS}  cert: x`, /cert and cert_file exclude each other/],
  [`${TLS}  min_version: TLS11`, /min_version should be one of TLS12, TLS13/],
  [`${TLS}  min_version: TLS13\n  max_version: TLS12`, /min_version is newer than max_version/],
  [`${TLS}  cipher_suites: [TLS_RSA_INVENTED]`, /cipher_suites: TLS_RSA_INVENTED is not known/],
  [`${TLS}  cipher_suites: AES`, /cipher_suites should be a list of texts/],
  [`${TLS}  curve_preferences: [Curve1]`, /curve_preferences: Curve1 is not known/],
  [`${TLS}  client_auth_type: RequestClientCert`, /should be one of NoClientCert, Require/],
  [`${TLS}  client_auth_type: RequireAndVerifyClientCert`, /contradict each other/],
  [`${TLS}  client_ca_file: ca.crt`, /contradict each other/],
  [`${TLS}  client_allowed_sans: [x]`, /contradict each other/],
];

t.test('what is wrong or cannot be done is refused by name, without secrets', async (t) => {
  const folder = certificates(t);
  for (const [text, says] of BAD) {
    const file = writeConfig(folder, text);
    const error: unknown = await readWebConfig(file).then(
      () => null,
      (thrown: unknown) => thrown,
    );
    t.match(error, { name: 'NetwatchError', exitCode: 3, message: says, next: /\S/ }, text);
  }
  await t.rejects(readWebConfig(join(folder, 'none.yml')), {
    name: 'NetwatchError',
    message: /ENOENT/,
  });
  const leaky = readWebConfig(writeConfig(folder, `basic_auth_users: {ada: ${HASH}x, "b`));
  const said: unknown = await leaky.catch((thrown: unknown) => thrown);
  t.notMatch((said as Error).message, HASH);
});

t.test('without the right password there is nothing to see', async (t) => {
  const file = writeConfig(t.testdir({}), `basic_auth_users:\n  ada: ${HASH}\n`);
  const endpoint = await startEndpoint(t, { config: file });
  const status = async (authorization?: string): Promise<number> =>
    (await get(endpoint, '/metrics', { headers: authorization ? { authorization } : {} })).status;
  for (const path of ['/', '/metrics', '/api/v1/stream', '/-/healthy', '/no/such'])
    t.match(
      await get(endpoint, path),
      { status: 401, headers: { 'www-authenticate': /^Basic realm="netwatch"/ } },
      path,
    );
  for (const wrong of [
    ...[basic('ada', 'wrong'), basic('ada', ''), basic('eve', 'secret'), basic('', '')],
    ...['Basic', 'Basic !!!', 'Basic YWRh', `Bearer ${HASH}`, basic('ada', HASH)],
  ])
    t.equal(await status(wrong), 401, wrong);
  t.equal(await status(basic('ada', 'secret')), 200);
  t.equal(await status(basic('ada', 'secret').replace('Basic', 'basic')), 200);
  t.equal(endpoint.store.requests.length, 2);
});

const [HERE, THERE] = ['192.0.2.1', '192.0.2.2'] as const;

t.test('a password is checked once; a stranger costs as much as a user', async (t) => {
  const checked: string[] = [];
  const compare = (password: string, hash: string): Promise<boolean> => {
    checked.push(`${password} ${hash.slice(0, 7)}`);
    return bcrypt.compare(password, hash);
  };
  const auth = new Authenticator({ perAddress: 2, inAll: 3 }, compare);
  const cost12 = HASH.replace('$04$', '$12$');
  const users = new Map([['ada', HASH]]);
  t.equal(await auth.check(users, basic('ada', 'secret'), HERE), 'right');
  t.equal(await auth.check(users, basic('ada', 'secret'), HERE), 'right');
  t.strictSame(checked.splice(0), ['secret $2b$04$'], 'remembered');
  t.equal(
    await auth.check(new Map([['ada', bcrypt.hashSync('other', 4)]]), basic('ada', 'secret'), HERE),
    'wrong',
  );
  t.equal(checked.splice(0).length, 1, 'not with another hash');
  t.equal(await auth.check(users, undefined, HERE), 'wrong');
  t.equal(await auth.check(users, basic('eve', 'fakepassword'), HERE), 'wrong');
  t.strictSame(checked.splice(0), ['fakepassword $2y$10$'], 'somebody unknown is checked, too');
  const costly = new Authenticator({ perAddress: 2, inAll: 3 }, (_password, hash) =>
    Promise.resolve(checked.push(hash) > 0),
  );
  t.equal(
    await costly.check(new Map([['ada', cost12]]), basic('eve', 'x'), HERE),
    'wrong',
    'even then',
  );
  t.match(checked.splice(0), [/^\$2y\$12\$/], 'at the cost of the others');
});

t.test('only so many passwords wait to be checked, one after the other', async (t) => {
  const checked: string[] = [];
  let answer: (matches: boolean) => void = () => undefined;
  const most = { perAddress: 3, inAll: 4 };
  const auth = new Authenticator(most, (password) => {
    checked.push(password);
    return new Promise((resolve) => (answer = resolve));
  });
  const users = new Map([['ada', HASH]]);
  const check = (password: string, address: string): Promise<string> =>
    auth.check(users, basic('ada', password), address);
  const [a, b, c] = ['a', 'b', 'c'].map((password) => check(password, HERE));
  t.equal(await check('x', HERE), 'busy', 'three of one address');
  const d = check('d', THERE);
  t.equal(await check('x', THERE), 'busy', 'four in all');
  for (const [turn, [verdict, matches]] of [[a, true] as const, [b, false] as const].entries()) {
    await until(() => checked.length === turn + 1, { what: `check ${turn + 1}` });
    answer(matches);
    t.equal(await verdict, matches ? 'right' : 'wrong');
  }
  t.equal(await check('a', HERE), 'right', 'known ones never wait');
  for (const verdict of [d, c]) {
    answer(true);
    t.equal(await verdict, 'right');
  }
  t.strictSame(checked, ['a', 'b', 'd', 'c'], 'addresses take turns');
});

t.test('user and password may hold colons and any letters', (t) => {
  t.strictSame(credentialsOf(basic('ü', 'a:b:ñ')), { user: 'ü', password: 'a:b:ñ' });
  t.equal(credentialsOf(undefined), null);
  t.equal(credentialsOf(`Basic ${Buffer.from('nocolon').toString('base64')}`), null);
  t.end();
});

/** A TLS connection; rejects if it is refused, also after the handshake. */
function connected(port: number, options: ConnectionOptions): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const socket = connectTls({ host: '127.0.0.1', port, ...options }, () => {
      socket.write('GET /-/healthy HTTP/1.1\r\nHost: localhost\r\n\r\n');
      socket.once('data', () => resolve(socket));
    });
    socket.once('error', reject);
    socket.once('close', () => reject(new Error('closed')));
    t.teardown(() => socket.destroy());
  });
}

t.test('TLS is 1.2 or newer, with the configured certificate', async (t) => {
  const folder = certificates(t);
  const ca = readFileSync(join(folder, 'ca.crt'), 'utf8');
  const endpoint = await startEndpoint(t, { config: writeConfig(folder, TLS) });
  t.match(await get(endpoint, '/metrics', { ca }), { status: 200, text: /^x 1\n/ });
  const versions: string[] = [];
  for (const version of ['TLSv1.2', 'TLSv1.3'] as const) {
    const socket = await connected(endpoint.port, { ca, minVersion: version, maxVersion: version });
    versions.push(socket.getProtocol() ?? '');
    socket.destroy();
  }
  t.strictSame(versions, ['TLSv1.2', 'TLSv1.3']);
  for (const version of ['TLSv1', 'TLSv1.1'] as const) {
    const old = { ca, minVersion: version, maxVersion: version, ciphers: 'ALL:@SECLEVEL=0' };
    await t.rejects(connected(endpoint.port, old), version);
  }
  t.notMatch(await exchange(endpoint, 'GET /metrics HTTP/1.0\r\n\r\n'), /HTTP\/1\.1 200/);
  const silent = await dial(endpoint);
  const idle = await connected(endpoint.port, { ca });
  await endpoint.close();
  t.ok(
    idle.destroyed ||
      !idle.writable ||
      (await new Promise((done) => idle.once('close', () => done(true)))),
  );
  silent.destroy();
});

t.test('a connection that never agrees on TLS is cut', async (t) => {
  const config = writeConfig(certificates(t), TLS);
  const endpoint = await startEndpoint(t, { config, limits: { headersMs: 50 } });
  t.equal(await readAll(await dial(endpoint)), '');
  const hesitating = await dial(endpoint);
  hesitating.write(Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01]));
  t.equal(await readAll(hesitating), '');
});

t.test('the configured versions and ciphers hold', async (t) => {
  const folder = certificates(t);
  const ca = readFileSync(join(folder, 'ca.crt'), 'utf8');
  const cipher = 'TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384';
  const config = writeConfig(folder, `${TLS}  max_version: TLS12\n  cipher_suites: [${cipher}]\n`);
  const endpoint = await startEndpoint(t, { config });
  const socket = await connected(endpoint.port, { ca });
  t.strictSame(
    [socket.getProtocol(), socket.getCipher().name],
    ['TLSv1.2', 'ECDHE-ECDSA-AES256-GCM-SHA384'],
  );
  await t.rejects(connected(endpoint.port, { ca, minVersion: 'TLSv1.3' }));
  const other = { ca, maxVersion: 'TLSv1.2', ciphers: 'ECDHE-ECDSA-AES128-GCM-SHA256' } as const;
  await t.rejects(connected(endpoint.port, other));
});

t.test('a client needs a certificate of the CA and one of the names', async (t) => {
  const folder = certificates(t);
  const read = (name: string): string => readFileSync(join(folder, name), 'utf8');
  const ca = read('ca.crt');
  const verified = `${TLS}  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.crt\n`;
  const as = (name: string): ConnectionOptions => ({
    ...{ ca, cert: read(`${name}.crt`), key: read(`${name}.key`) },
  });
  const any = await startEndpoint(t, { config: writeConfig(folder, verified) });
  for (const name of ['client', 'nameless']) await t.resolves(connected(any.port, as(name)), name);
  await t.rejects(connected(any.port, { ca }), 'without one');
  await t.rejects(connected(any.port, as('stranger')), 'of another CA');
  for (const san of ['prometheus.example', 'spiffe://x/a']) {
    const config = writeConfig(folder, `${verified}  client_allowed_sans: ["${san}"]\n`);
    const named = await startEndpoint(t, { config });
    await t.resolves(connected(named.port, as('client')), san);
    await t.rejects(connected(named.port, as('nameless')), 'another name');
    t.equal(named.store.requests.length, 0);
  }
});

t.test(
  'a new version is used at once, a broken one is said once and changes nothing',
  async (t) => {
    const folder = certificates(t);
    const ca = readFileSync(join(folder, 'ca.crt'), 'utf8');
    const withUser = (hash: string): string => `${TLS}basic_auth_users: {ada: "${hash}"}\n`;
    const config = writeConfig(folder, withUser(HASH));
    const endpoint = await startEndpoint(t, { config, limits: { reloadMs: 10 } });
    const status = async (password: string): Promise<number> =>
      (
        await get(endpoint, '/-/healthy', {
          ca,
          headers: { authorization: basic('ada', password) },
        })
      ).status;
    const subject = async (): Promise<string> => {
      const { promise, resolve } = withResolvers<string>();
      const socket = connectTls({ host: '127.0.0.1', port: endpoint.port, ca }, () =>
        resolve(socket.getPeerCertificate().subject.CN as string),
      );
      const name = await promise;
      socket.destroy();
      return name;
    };
    t.strictSame([await status('secret'), await subject()], [200, 'server']);
    writeConfig(folder, withUser(bcrypt.hashSync('changed', 4)));
    await until(async () => (await status('changed')) === 200, { what: 'the new password' });
    t.equal(await status('secret'), 401, 'the old one is no longer right');

    writeConfig(folder, 'nonsense: 1\n');
    await until(() => endpoint.said.length === 1, { what: 'it is said' });
    t.match(endpoint.said[0], /^keeps the previous web configuration: .*nonsense is not a key/);
    t.equal(await status('changed'), 200);

    for (const part of ['crt', 'key'])
      renameSync(join(folder, `renewed.${part}`), join(folder, `server.${part}`));
    writeConfig(folder, withUser(bcrypt.hashSync('third', 4)));
    await until(async () => (await status('third')) === 200, { what: 'the third password' });
    await until(async () => (await subject()) === 'renewed', { what: 'the renewed certificate' });

    const before = endpoint.said.length;
    writeConfig(folder, '');
    await until(() => endpoint.said.length === before + 1, { what: 'that TLS cannot end is said' });
    t.match(endpoint.said.at(-1), /TLS and client certificates begin and end with a restart/);
    t.equal(await status('third'), 200);
  },
);

t.test('a certificate may come after the version that names it', async (t) => {
  const folder = certificates(t);
  const ca = readFileSync(join(folder, 'ca.crt'), 'utf8');
  const config = writeConfig(folder, TLS);
  const endpoint = await startEndpoint(t, { config, limits: { reloadMs: 10 } });
  const subject = async (): Promise<unknown> => {
    const socket = await connected(endpoint.port, { ca });
    const { CN } = socket.getPeerCertificate().subject;
    socket.destroy();
    return CN;
  };
  writeConfig(folder, TLS.replaceAll('server.', 'later.'));
  const [certificate, key] = ['later.crt', 'later.key'].map((name) => join(folder, name));
  const saidOf = (what: string): RegExp =>
    new RegExp(`^keeps the previous web configuration: .*${what}_file cannot be read: ENOENT`);
  await until(() => endpoint.said.length === 1, { what: 'the certificate is missed' });
  renameSync(join(folder, 'renewed.crt'), certificate ?? '');
  await until(() => endpoint.said.length === 2, { what: 'the key is missed' });
  t.match(endpoint.said, [saidOf('cert'), saidOf('key')]);
  t.equal(await subject(), 'server', 'the version of before');
  renameSync(join(folder, 'renewed.key'), key ?? '');
  await until(async () => (await subject()) === 'renewed', { what: 'the new certificate' });
  t.equal(endpoint.said.length, 2);
});

function withResolvers<T>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve: (value: T) => void = () => undefined;
  const promise = new Promise<T>((done) => (resolve = done));
  return { promise, resolve };
}

t.test('configured headers replace our own, an empty one takes it away', async (t) => {
  const config = writeConfig(
    t.testdir({}),
    'http_server_config:\n  headers:\n    X-Frame-Options: sameorigin\n    Content-Security-Policy: ""\n',
  );
  const { headers } = await get(await startEndpoint(t, { config }), '/-/healthy');
  t.equal(headers['x-frame-options'], 'sameorigin');
  t.equal(headers['content-security-policy'], undefined);
  t.equal(headers['x-content-type-options'], 'nosniff');
});

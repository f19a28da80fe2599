/** Known traffic for tests: a server and a client in a namespace, with exact counts of both. */
import type {
  HttpClientOptions,
  HttpClientTotals,
  HttpRequest,
  HttpServerOptions,
  HttpServerTotals,
  TcpClientOptions,
  TcpClientTotals,
  TcpServerOptions,
  TcpServerTotals,
} from '../../scripts/traffic/programs.js';
import { startProgram } from '../../scripts/traffic/start.js';
import type { Namespace } from './netns.js';

export { startProgram };

export const TCP_PORT = 7000;
const HTTP_PORT = 8080;
/** Where nothing listens. */
export const CLOSED_PORT = 7999;

/**
 * Runs one TCP client against one TCP server, from start to end of both processes. Reply and request
 * sizes are the client's; the server follows.
 */
export async function runTcp(
  namespace: Namespace,
  client: Partial<TcpClientOptions> = {},
  server: Partial<TcpServerOptions> = {},
): Promise<{ readonly client: TcpClientTotals; readonly server: TcpServerTotals }> {
  const { requestBytes = 1, replyBytes = 1, host = '127.0.0.1' } = client;
  const common = { port: TCP_PORT, host };
  const serving = startProgram(namespace, 'tcp-server', {
    ...common,
    requestBytes,
    replyBytes,
    ...server,
  });
  if (client.connectFirst) await serving;
  const calling = startProgram(namespace, 'tcp-client', { ...common, ...client });
  const [s, c] = await Promise.all([serving, calling]);
  const totals = await c.go();
  await c.stop();
  return { client: totals, server: await s.stop() };
}

/** Runs one HTTP client against one HTTP server, from start to end of both processes. */
export async function runHttp(
  namespace: Namespace,
  client: Partial<HttpClientOptions>,
  server: Partial<HttpServerOptions> = {},
): Promise<{ readonly client: HttpClientTotals; readonly server: HttpServerTotals }> {
  const common = { port: HTTP_PORT, host: client.host ?? '127.0.0.1' };
  const serving = startProgram(namespace, 'http-server', { ...common, ...server });
  if (client.connectFirst) await serving;
  const calling = startProgram(namespace, 'http-client', { ...common, ...client });
  const [s, c] = await Promise.all([serving, calling]);
  const totals = await c.go();
  await c.stop();
  return { client: totals, server: await s.stop() };
}

/** Texts that must appear in no file and on no screen; each is unmistakable in a grep. */
export const SECRETS = {
  query: 'S3CR3T-query-token',
  password: 'S3CR3T-query-password',
  userinfo: 'S3CR3T-userinfo',
  path: 'S3CR3Tpathtoken0123456789abcdef0123456789abcdef',
  bearer: 'S3CR3T-bearer',
  basic: Buffer.from('user:S3CR3T-basic').toString('base64'),
  cookie: 'S3CR3T-cookie',
  header: 'S3CR3T-api-key',
  response: 'S3CR3T-response',
  bare: 'S3CR3T-without-a-name',
  inner: 'S3CR3T-in-an-address',
  encoded: 'S3CR3T-in-percent-encoding',
  parameter: 'S3CR3T-parameter',
  person: 'S3CR3T.jane',
  link: '8d3fa1c2-5b6e-4f70-9a8b-c0ffee123456',
  paired: 'opensesame-behind-a-name',
  said: 'opensesame-in-a-sentence',
  disguised: 'opensesame-behind-full-width',
} as const;

/** Requests that carry every secret where real clients put them; `response` comes back in answers. */
export const SECRET_REQUESTS: readonly HttpRequest[] = [
  { path: `/bytes/1?token=${SECRETS.query}&page=1` },
  { path: `/bytes/1?page=1&password=${SECRETS.password}`, method: 'POST', body: 3 },
  { path: `http://user:${SECRETS.userinfo}@127.0.0.1/bytes/1` },
  { path: `/reset/${SECRETS.path}` },
  { headers: { Authorization: `Bearer ${SECRETS.bearer}` } },
  { headers: { Authorization: `Basic ${SECRETS.basic}` } },
  { headers: { Cookie: `session=${SECRETS.cookie}` } },
  { headers: { 'X-Api-Key': SECRETS.header } },
  { path: `/secret/${SECRETS.response}` },
  { path: `/bytes/1?${SECRETS.bare}` },
  { path: `/bytes/1?a=b#${SECRETS.bare}` },
  { path: `/fetch/https://user:${SECRETS.inner}@host/x` },
  { path: `/fetch//https:/user:${SECRETS.inner}@host/x` },
  { path: `/x%3Ftoken%3D${SECRETS.encoded}` },
  { path: `/x%252Fpassword%252F${SECRETS.encoded}` },
  { path: `/x;sid=${SECRETS.parameter}/y` },
  { path: `/users/${SECRETS.person}@mail.example` },
  { path: `/users/${SECRETS.person}%40mail.example/orders` },
  { path: `/download/${SECRETS.link}` },
  { path: `/basic-auth/jane/${SECRETS.paired}` },
  { path: `/say/password+is+${SECRETS.said}` },
  { path: `/x/token%EF%BC%8F${SECRETS.disguised}` },
  { path: '/x', method: 'S3CR3T' },
];

/**
 * Real web servers in a namespace, each with its access log: Apache with Debian's own configuration,
 * HAProxy, Node's http and Python's http.server. What netwatch saw has to equal what they logged.
 */
import {
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join, resolve } from 'node:path';
import { temporaryFolder } from './collector.js';
import type { Namespace, Teardown } from './netns.js';
import { sockets } from './ss.js';
import { until } from './wait.js';

/** A line of an access log. */
export interface LoggedAnswer {
  /** The port that the server names as the client's. */
  readonly peerPort: number;
  readonly status: number;
  readonly method: string;
  readonly path: string;
}

export interface WebServer {
  readonly port: number;
  /** One entry for each answer so far. */
  answers(): readonly LoggedAnswer[];
  /** Orderly end, after which the log is complete. */
  stop(): Promise<void>;
}

/** A file that every server here has. */
export const FILE = { path: '/file', bytes: 100_003 } as const;

/** What every server here is told to log, in its own words for it. */
const LINE = /^(\d+) (\d+) (\S+) (.*?)(?: HTTP\/1\.\d)?$/;

function answersIn(text: string): LoggedAnswer[] {
  return text.split('\n').flatMap((line) => {
    const found = LINE.exec(line);
    if (found === null) return [];
    const [, peerPort, status, method = '', path = ''] = found;
    return [{ peerPort: Number(peerPort), status: Number(status), method, path }];
  });
}

interface Command {
  readonly program: string;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly port: number;
  /** Asks for an orderly end. */
  readonly signal: NodeJS.Signals;
  /** Where its log goes; default: what it writes to standard output. */
  readonly log?: string;
}

/** Starts a server in the foreground and returns when it listens. */
async function start(t: Teardown, namespace: Namespace, command: Command): Promise<WebServer> {
  const { program, args, port, signal, log } = command;
  const child = namespace.spawn(program, args, {
    env: { ...process.env, ...command.env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const closed = new Promise<void>((done) => child.once('close', () => done()));
  let stdout = '';
  let stderr = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (stdout += text));
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (stderr += text));
  const stop = async (): Promise<void> => {
    child.kill(signal);
    await closed;
  };
  t.teardown(() => (child.exitCode === null && child.signalCode === null ? stop() : undefined));
  await until(
    async () => {
      if (child.exitCode !== null) throw new Error(stderr);
      const listening = await sockets(namespace, 'state', 'listening', 'sport', '=', `:${port}`);
      return listening.length > 0;
    },
    { what: `${program} listens on ${port}` },
  );
  const text = (): string =>
    log === undefined ? stdout : existsSync(log) ? readFileSync(log, 'utf8') : '';
  return { port, answers: () => answersIn(text()), stop };
}

interface Installation {
  readonly program: string;
  /** As /etc. */
  readonly etc: string;
  /** As /usr. */
  readonly usr: string;
  readonly env: NodeJS.ProcessEnv;
}

/** A server as installed, or as scripts/setup has unpacked it for the tests. */
function installation(name: string): Installation | null {
  const tools = resolve(import.meta.dirname, '../../.cache/tools');
  for (const base of ['/', tools]) {
    const usr = join(base, 'usr');
    const program = join(usr, 'sbin', name);
    if (!existsSync(program)) continue;
    const folders = readdirSync(join(usr, 'lib')).filter((folder) => folder.endsWith('-linux-gnu'));
    const libraries = folders.map((folder) => join(usr, 'lib', folder)).join(':');
    const env = base === '/' ? {} : { LD_LIBRARY_PATH: libraries };
    return { program, etc: join(base, 'etc'), usr, env };
  }
  return null;
}

/** Whether Apache and HAProxy are there to be started. */
export const haveWebServers = ['apache2', 'haproxy'].every((name) => installation(name) !== null);

function installed(name: string): Installation {
  const found = installation(name);
  if (found === null) throw new Error(`no ${name}; scripts/setup --test gets it`);
  return found;
}

/** A folder that any user may read, with {@link FILE} in it. */
function documents(t: Teardown): string {
  const folder = temporaryFolder(t);
  chmodSync(folder, 0o755);
  writeFileSync(join(folder, FILE.path), Buffer.alloc(FILE.bytes, 'f'));
  writeFileSync(join(folder, 'index.html'), 'index\n');
  return folder;
}

/** What Debian's package enables when it is installed. */
const APACHE_MODULES = [
  ...['mpm_event', 'authz_host', 'auth_basic', 'access_compat', 'authn_file', 'authz_user'],
  ...['authn_core', 'authz_core', 'alias', 'dir', 'autoindex', 'env', 'mime', 'negotiation'],
  ...['setenvif', 'filter', 'deflate', 'status', 'reqtimeout'],
];
const APACHE_CONFIGURATIONS = [
  ...['charset', 'localized-error-pages', 'other-vhosts-access-log', 'security'],
  'serve-cgi-bin',
];

/**
 * Apache on port 80 as Debian ships it, TCP_DEFER_ACCEPT included; only the paths are others, and the
 * format of the log that its default site writes.
 */
export async function startApache(t: Teardown, namespace: Namespace): Promise<WebServer> {
  const { program, etc, usr, env } = installed('apache2');
  const folder = temporaryFolder(t);
  chmodSync(folder, 0o755);
  const www = join(folder, 'www');
  mkdirSync(www);
  cpSync(documents(t), join(www, 'html'), { recursive: true });
  const own = join(folder, 'apache2');
  cpSync(join(etc, 'apache2'), own, { recursive: true });
  for (const kind of ['mods', 'conf', 'sites'])
    mkdirSync(join(own, `${kind}-enabled`), { recursive: true });
  const enable = (kind: string, file: string): void => {
    const link = join(own, `${kind}-enabled`, file);
    const to = join('..', `${kind}-available`, file);
    if (existsSync(join(own, `${kind}-available`, file)) && !existsSync(link))
      symlinkSync(to, link);
  };
  for (const name of APACHE_MODULES) {
    enable('mods', `${name}.load`);
    enable('mods', `${name}.conf`);
  }
  for (const name of APACHE_CONFIGURATIONS) enable('conf', `${name}.conf`);
  enable('sites', '000-default.conf');
  writeFileSync(
    join(own, 'conf-enabled', 'zz-log.conf'),
    `LogFormat "%{remote}p %>s %r" combined\nServerName localhost\n`,
  );
  writeFileSync(join(folder, 'mime.types'), '');
  for (const file of readdirSync(own, { recursive: true, encoding: 'utf8' })) {
    if (!/\.(conf|load)$/.test(file) || (!file.includes('-available') && file !== 'apache2.conf'))
      continue;
    const path = join(own, file);
    const text = readFileSync(path, 'utf8')
      .replaceAll('/etc/mime.types', join(folder, 'mime.types'))
      .replaceAll('/usr/lib/', join(usr, 'lib/'))
      .replaceAll('/usr/share/apache2', join(usr, 'share/apache2'))
      .replaceAll('/var/www', www);
    writeFileSync(path, text);
  }
  const run = {
    APACHE_RUN_USER: 'www-data',
    APACHE_RUN_GROUP: 'www-data',
    APACHE_PID_FILE: join(folder, 'pid'),
    APACHE_RUN_DIR: folder,
    APACHE_LOCK_DIR: folder,
    APACHE_LOG_DIR: folder,
  };
  return start(t, namespace, {
    program,
    args: ['-d', own, '-f', join(own, 'apache2.conf'), '-D', 'FOREGROUND'],
    env: { ...env, ...run },
    port: 80,
    signal: 'SIGWINCH',
    log: join(folder, 'access.log'),
  });
}

export interface HaproxyOptions {
  readonly port: number;
  /** Options of `bind`, as in `defer-accept`. */
  readonly bind?: string;
  /** Where requests go, with options of `server`; default: it answers itself. */
  readonly backend?: string;
}

/** HAProxy; without a backend it answers 404 to /file/none and 200 to all else. */
export async function startHaproxy(
  t: Teardown,
  namespace: Namespace,
  { port, bind = '', backend }: HaproxyOptions,
): Promise<WebServer> {
  const { program, env } = installed('haproxy');
  const folder = temporaryFolder(t);
  const answers =
    backend === undefined
      ? `http-request return status 404 if { path /file/none }
         http-request return status 200 content-type text/plain string ok`
      : `default_backend there
       backend there
         server there ${backend}`;
  writeFileSync(
    join(folder, 'haproxy.cfg'),
    `global
       log stdout format raw local0
       nbthread 1
     defaults
       mode http
       timeout connect 10s
       timeout client 10s
       timeout server 10s
     frontend here
       bind 127.0.0.1:${port} ${bind}
       log global
       log-format "%cp %ST %HM %HU"
       ${answers}
`,
  );
  return start(t, namespace, {
    program,
    args: ['-db', '-f', join(folder, 'haproxy.cfg')],
    env,
    port,
    signal: 'SIGUSR1',
  });
}

const NODE = `
import { createServer } from 'node:http';
import { readFileSync } from 'node:fs';
const [, , port, folder] = process.argv;
const file = readFileSync(folder + '${FILE.path}');
const log = (socket, status, method, path) =>
  process.stdout.write([socket.remotePort, status, method, path].join(' ') + '\\n');
const server = createServer((request, response) => {
  const { method, url, socket } = request;
  const path = url.split('?')[0];
  const isSame = path === '${FILE.path}' && request.headers['if-none-match'] === '*';
  const status = isSame ? 304 : path === '/file/none' ? 404 : path === '/empty' ? 204 : 200;
  request.resume().on('end', () => {
    log(socket, status, method, url);
    response.writeHead(status).end(path === '${FILE.path}' ? file : 'ok\\n');
  });
});
server.on('upgrade', (request, socket, head) => {
  log(socket, 101, request.method, request.url);
  socket.write('HTTP/1.1 101 Switching Protocols\\r\\nConnection: Upgrade\\r\\nUpgrade: websocket\\r\\n\\r\\n');
  socket.write(head);
  socket.pipe(socket);
});
server.on('connect', (request, socket) => {
  log(socket, 200, 'CONNECT', request.url);
  socket.end('HTTP/1.1 200 OK\\r\\n\\r\\n');
});
server.listen(Number(port), '127.0.0.1');
process.on('SIGTERM', () => server.close(() => process.exit()));
`;

/**
 * Node's own http server; keep-alive, chunked answers, 204 for /empty. On a connection that is upgraded all
 * that comes goes back.
 */
export async function startNodeServer(
  t: Teardown,
  namespace: Namespace,
  port: number,
): Promise<WebServer> {
  const folder = documents(t);
  const script = join(folder, 'server.mjs');
  writeFileSync(script, NODE);
  const args = [script, String(port), folder];
  return start(t, namespace, { program: process.execPath, args, port, signal: 'SIGTERM' });
}

const PYTHON = `
import http.server, os, signal, sys
class Handler(http.server.SimpleHTTPRequestHandler):
    def log_request(self, code='-', size='-'):
        line = self.raw_requestline.decode('latin1').split()
        sys.stdout.write(f'{self.client_address[1]} {int(code)} {line[0]} {line[1]}\\n')
        sys.stdout.flush()
    def log_error(self, *args):
        pass
os.chdir(sys.argv[2])
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
http.server.ThreadingHTTPServer(('127.0.0.1', int(sys.argv[1])), Handler).serve_forever()
`;

/** Python's http.server: HTTP/1.0, and answers that end with the connection. */
export async function startPythonServer(
  t: Teardown,
  namespace: Namespace,
  port: number,
): Promise<WebServer> {
  const args = ['-c', PYTHON, String(port), documents(t)];
  return start(t, namespace, { program: 'python3', args, port, signal: 'SIGTERM' });
}

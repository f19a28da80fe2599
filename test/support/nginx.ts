/** A real nginx in a namespace: one master, several workers, its own files in a temporary folder. */
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Namespace, Teardown } from './netns.js';
import { sockets } from './ss.js';
import { until } from './wait.js';

export interface Nginx {
  readonly port: number;
  /** Of the master; it listens and never accepts. */
  readonly pid: number;
  /** Of the workers; they accept. */
  readonly workers: readonly number[];
  /** One entry for each answer so far, as nginx logged it. */
  answers(): readonly NginxAnswer[];
  /** Orderly end: open requests are finished. */
  stop(): Promise<void>;
}

export interface NginxAnswer {
  readonly worker: number;
  readonly peerPort: number;
  readonly method: string;
  readonly path: string;
  readonly status: number;
  readonly seconds: number;
}

/**
 * Starts nginx and returns when it listens and its workers run. `/file` is sent with sendfile; `listen` has
 * options of that directive, as in `deferred`.
 */
export async function startNginx(
  t: Teardown,
  namespace: Namespace,
  { port = 8080, workers = 2, fileBytes = 100_003, listen = '' } = {},
): Promise<Nginx> {
  const folder = mkdtempSync(join(tmpdir(), 'nwtest-nginx-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, 'file'), Buffer.alloc(fileBytes, 'n'));
  writeFileSync(join(folder, 'nginx.conf'), configuration({ folder, port, workers, listen }));
  const arguments_ = ['-p', folder, '-c', join(folder, 'nginx.conf')];
  const child = namespace.spawn('nginx', arguments_, { stdio: ['ignore', 'ignore', 'pipe'] });
  const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  let errors = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (errors += text));
  const pid = child.pid ?? 0;
  const stop = async (): Promise<void> => {
    child.kill('SIGQUIT');
    await exited;
  };
  t.teardown(() => (child.exitCode === null ? stop() : undefined));
  await until(
    async () => {
      if (child.exitCode !== null) throw new Error(errors);
      const listening = await sockets(namespace, 'state', 'listening', 'sport', '=', `:${port}`);
      return listening.length > 0 && childrenOf(pid).length === workers;
    },
    { what: `nginx listens on ${port}` },
  );
  return { port, pid, workers: childrenOf(pid), answers: () => answersIn(folder), stop };
}

interface Settings {
  readonly folder: string;
  readonly port: number;
  readonly workers: number;
  readonly listen: string;
}

function configuration({ folder, port, workers, listen }: Settings): string {
  return `daemon off; master_process on; worker_processes ${workers}; user root;
    pid ${folder}/pid; error_log stderr warn;
    events { worker_connections 256; }
    http {
      log_format answers '$pid $remote_port $request_time $status $request_method $request_uri';
      access_log ${folder}/access.log answers;
      client_body_temp_path ${folder}; proxy_temp_path ${folder}; fastcgi_temp_path ${folder};
      uwsgi_temp_path ${folder}; scgi_temp_path ${folder};
      sendfile on; keepalive_requests 1000000;
      server {
        listen 127.0.0.1:${port} ${listen}; listen [::1]:${port} ${listen};
        location /file { root ${folder}; }
        location / { return 200 "ok\\n"; }
      }
    }`;
}

function answersIn(folder: string): NginxAnswer[] {
  const log = join(folder, 'access.log');
  const lines = existsSync(log) ? readFileSync(log, 'utf8').split('\n').filter(Boolean) : [];
  return lines.map((line) => {
    const [worker, peerPort, seconds, status, method = '', path = ''] = line.split(' ');
    return {
      worker: Number(worker),
      peerPort: Number(peerPort),
      method,
      path,
      status: Number(status),
      seconds: Number(seconds),
    };
  });
}

function childrenOf(pid: number): number[] {
  const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
  return children.split(' ').filter(Boolean).map(Number);
}

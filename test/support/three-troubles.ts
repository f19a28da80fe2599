/**
 * nginx in front of node, with three troubles at once, each on a route of its own: 1 of 20 orders waits
 * for the application, photos cross a path that loses 3 % of its segments, and who exports reads slowly.
 */
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { ChildProcess } from 'node:child_process';
import { dropPackets, plainDevice } from '../../scripts/traffic/faults.js';
import { createJoinedNamespaces, type Namespace, type Teardown } from './netns.js';
import { sockets } from './ss.js';
import { until } from './wait.js';

const NODE_PORT = 9000;
const PORT = 8080;
/** Of the path that loses. */
const LOSSY_PORT = 8081;
const LOSS_PERCENT = 3;
const SLEEP_MS = 300;
const SLOW_EVERY = 20;

export interface Troubles {
  readonly server: Namespace;
  readonly client: Namespace;
  /** Packets that were lost so far. */
  lost(): number;
}

const APPLICATION = `
const { createServer } = require('node:http');
let orders = 0;
const answers = {
  orders: (res) => ++orders % ${SLOW_EVERY} === 0
    ? void setTimeout(() => res.end('{}'), ${SLEEP_MS})
    : void res.end('{}'),
  photos: (res) => void res.end(Buffer.alloc(40_000)),
  exports: (res) => void res.end(Buffer.alloc(2_000_000)),
};
createServer((req, res) => answers[req.url.split('/')[1]](res))
  .listen(${NODE_PORT}, '127.0.0.1');
`;

/** One request after another, on one connection; reads so much at once and rests so long in between. */
const CLIENT = `
import socket, sys, time
name, host, port, path, most, rest = sys.argv[1:]
open('/proc/self/comm', 'w').write(name)
s = socket.socket()
if float(rest): s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
s.connect((host, int(port)))
s.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
n = 0
while True:
    n += 1
    s.sendall(f'GET /{path}/{n} HTTP/1.1\\r\\nHost: shop\\r\\n\\r\\n'.encode())
    got = b''
    while b'\\r\\n\\r\\n' not in got:
        got += s.recv(int(most))
    head, body = got.split(b'\\r\\n\\r\\n', 1)
    left = int(head.lower().split(b'content-length: ')[1].split(b'\\r')[0]) - len(body)
    while left > 0:
        time.sleep(float(rest))
        left -= len(s.recv(int(most)))
    time.sleep(0.005)
`;

const configuration = (folder: string): string => `daemon off; worker_processes 1; user root;
  pid ${folder}/pid; error_log stderr error;
  events { worker_connections 256; }
  http {
    access_log off;
    client_body_temp_path ${folder}; proxy_temp_path ${folder}; fastcgi_temp_path ${folder};
    uwsgi_temp_path ${folder}; scgi_temp_path ${folder};
    keepalive_requests 1000000;
    upstream application { server 127.0.0.1:${NODE_PORT}; keepalive 8; }
    server {
      listen ${PORT}; listen ${LOSSY_PORT};
      location / {
        proxy_pass http://application;
        proxy_http_version 1.1;
        proxy_set_header Connection "";
      }
    }
  }`;

async function listens(namespace: Namespace, port: number, child: ChildProcess): Promise<void> {
  await until(
    async () => {
      if (child.exitCode !== null) throw new Error(`ended with ${child.exitCode}`);
      const found = await sockets(namespace, 'state', 'listening', 'sport', '=', `:${port}`);
      return found.length > 0;
    },
    { what: `a server listens on ${port}` },
  );
}

/** Starts all of it; it runs until the end of the test. */
export async function startTroubles(t: Teardown): Promise<Troubles> {
  const { left: server, right: client, device, addresses } = createJoinedNamespaces(t);
  for (const namespace of [server, client]) plainDevice(namespace, device);
  const folder = mkdtempSync(join(tmpdir(), 'nwtest-troubles-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  writeFileSync(join(folder, 'nginx.conf'), configuration(folder));
  const start = (namespace: Namespace, command: string, args: readonly string[]): ChildProcess => {
    const child = namespace.spawn(command, args, { stdio: ['ignore', 'ignore', 'inherit'] });
    t.teardown(async () => {
      if (child.exitCode !== null || child.signalCode !== null) return;
      const exit = once(child, 'exit');
      child.kill(command === 'nginx' ? 'SIGTERM' : 'SIGKILL');
      await exit;
    });
    return child;
  };
  await listens(server, NODE_PORT, start(server, process.execPath, ['-e', APPLICATION]));
  const nginx = ['-p', folder, '-c', join(folder, 'nginx.conf')];
  await listens(server, LOSSY_PORT, start(server, 'nginx', nginx));
  const rules = [
    dropPackets(server, { to: LOSSY_PORT, percent: LOSS_PERCENT }),
    dropPackets(client, { from: LOSSY_PORT, percent: LOSS_PERCENT }),
  ];
  const asks = (name: string, port: number, path: string, most: number, rest: number): void => {
    const args = [name, addresses.left.v4, port, path, most, rest].map(String);
    start(client, 'python3', ['-c', CLIENT, ...args]);
  };
  asks('shop', PORT, 'orders', 65_536, 0);
  asks('phone', LOSSY_PORT, 'photos', 65_536, 0);
  asks('reports', PORT, 'exports', 32_768, 0.02);
  return { server, client, lost: () => rules.reduce((sum, rule) => sum + rule.dropped(), 0) };
}

// A process that does not close what the other end has closed is named, with how long that has been so.
import { performance } from 'node:perf_hooks';
import t from 'tap';
import { startCollector } from '../support/collector.js';
import { createNamespace } from '../support/netns.js';
import { select, total } from '../support/samples.js';
import { needsCommands, needsRoot } from '../support/skip.js';

const skip = needsRoot || needsCommands('python3');

/** Leaves 7 connections unclosed whose clients are gone; one is open on both sides. */
const LEAK = `import socket, sys
server = socket.create_server(('127.0.0.1', 7000))
clients = [socket.create_connection(('127.0.0.1', 7000)) for _ in range(8)]
ends = [server.accept()[0] for _ in clients]
for client in clients[:7]:
    client.close()
print('closed', flush=True)
sys.stdin.readline()
for end in ends[:7]:
    end.close()
print('all', flush=True)
sys.stdin.read()`;

t.test('a leak of CLOSE_WAIT is named with its process and its age', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const collector = await startCollector(t, namespace, ['-x', '-q', '--interval', '0.2']);
  const beganMs = performance.now();
  const leak = namespace.spawn('python3', ['-c', LEAK], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.teardown(() => leak.kill('SIGKILL'));
  const labels = { pid: `${leak.pid}`, process: 'python3' };
  const name = 'netwatch_tcp_close_wait_oldest_seconds';
  const state = await collector.waitFor(
    'netwatch.prom',
    (now) => total(now, name, labels) > 1,
    'it lasts more than a second',
  );
  t.equal(total(state, 'netwatch_tcp_close_wait_sockets', labels), 7);
  const waiting = select(state, 'netwatch_connection_state_info', {
    network_connection_state: 'close_wait',
  });
  t.equal(waiting.length, 7);
  const oldest = Math.max(
    ...waiting.map(({ labels: { sock = '', src = '', dst = '' } }) =>
      total(state, 'netwatch_connection_state_age_seconds', { sock, src, dst }),
    ),
  );
  t.equal(oldest, total(state, name, labels));
  t.ok(oldest * 1000 < performance.now() - beganMs, 'no older than the process');
  leak.stdout?.resume();
  leak.stdin?.write('\n');
  await collector.waitFor(
    'netwatch.prom',
    (now) => select(now, 'netwatch_tcp_close_wait_sockets').length === 0,
    'none is left',
  );
  await collector.stop();
});

// Keepalive probes are no trouble: counted as such, and in no drop, no error and no row of tcpdrop.
import t from 'tap';
import { injectSegment } from '../../scripts/traffic/inject.js';
import { startCollector } from '../support/collector.js';
import { createNamespace } from '../support/netns.js';
import { select, total } from '../support/samples.js';
import { needsCommands, needsRoot } from '../support/skip.js';
import { startTool } from '../support/tool.js';
import { needsKernel } from '../support/vm-kernel.js';

const PROBES = 'netwatch_tcp_keepalive_probes_total';
const skip =
  needsRoot || needsCommands('python3', 'perl') || needsKernel('6.11', 'the socket of a drop');

/** Two ends that ask each other every second; prints the ports when they are connected. */
const IDLE = `import socket, sys
server = socket.create_server(('127.0.0.1', 7000))
ends = [socket.create_connection(('127.0.0.1', 7000)), server.accept()[0]]
for end in ends:
    end.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for option in (socket.TCP_KEEPIDLE, socket.TCP_KEEPINTVL):
        end.setsockopt(socket.IPPROTO_TCP, option, 1)
print(ends[0].getsockname()[1], flush=True)
sys.stdin.read()`;

t.test('keepalive probes are counted apart, and are no drops', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const collector = await startCollector(t, namespace, ['-e', '-q', '--interval', '0.2']);
  const tools = await Promise.all(
    [[], ['--keepalives']].map((args) =>
      startTool(t, namespace, 'tcpdrop', ['-o', 'json', '--no-stack', ...args]),
    ),
  );
  const idle = namespace.spawn('python3', ['-c', IDLE], { stdio: ['pipe', 'pipe', 'inherit'] });
  t.teardown(() => idle.kill('SIGKILL'));
  const port = await new Promise<number>((resolve) => {
    idle.stdout?.once('data', (text: Buffer) => resolve(Number(text.toString())));
  });
  const asked = await collector.waitFor(
    'netwatch.prom',
    (state) => total(state, PROBES) >= 3,
    'three probes',
  );
  t.strictSame(select(asked, PROBES)[0]?.labels, { network_type: 'ipv4' });
  t.strictSame(select(asked, 'netwatch_skb_drops_total'), []);
  t.strictSame(select(asked, 'netwatch_tcp_errors_total'), []);
  // old too, but not by one
  const [from, to] = [
    { address: '127.0.0.1', port },
    { address: '127.0.0.1', port: 7000 },
  ];
  await injectSegment(namespace, { from, to, seq: 1, ack: 1, flags: 'A' });
  await collector.waitFor(
    'netwatch.prom',
    (state) => total(state, 'netwatch_skb_drops_total') === 1,
    'the drop that is one',
  );
  await collector.stop();
  t.equal(select(collector.samples('err.log'), 'netwatch_tcp_error', { type: 'drop' }).length, 1);
  for (const tool of tools) await tool.stop();
  const [plain = [], all = []] = tools.map((tool) => tool.objects());
  t.equal(plain.length, 1);
  t.notOk('keepalive' in (plain[0] ?? {}));
  t.notOk('stack' in (plain[0] ?? {}), '--no-stack');
  const probes = all.filter(({ keepalive }) => keepalive === true);
  t.ok(probes.length >= 3);
  t.match(probes[0], { reason: 'TCP_OLD_SEQUENCE', process: 'python3', state: 'ESTABLISHED' });
  t.equal(all.length, probes.length + 1);
});

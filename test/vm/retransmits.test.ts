// On this kernel: as many retransmissions as it counts itself.
import t from 'tap';
import { dropPackets, plainDevice } from '../../scripts/traffic/faults.js';
import { startCollector } from '../support/collector.js';
import { createNamespace } from '../support/netns.js';
import { countFrom } from '../support/nstat.js';
import { total } from '../support/samples.js';
import { sockets } from '../support/ss.js';
import { runTcp } from '../support/traffic.js';
import { until } from '../support/wait.js';

t.test('under loss the retransmissions are those that the kernel has counted', async (t) => {
  const namespace = createNamespace(t);
  plainDevice(namespace);
  const collector = await startCollector(t, namespace, ['-r', '-x', '-q']);
  const grown = await countFrom(namespace);
  const rule = dropPackets(namespace, { to: 7000, every: 29 });
  const client = { connections: 2, concurrency: 2, requestBytes: 500_003, replyBytes: 1 };
  for (const host of ['127.0.0.1', '::1']) {
    const { server } = await runTcp(namespace, { ...client, host, timeoutMs: 60_000 }, { host });
    t.equal(server.bytesIn, 1_000_006);
  }
  rule.remove();
  // Ends go on being sent again after the programs have what they want.
  const open = ['state', 'all', 'exclude', 'listening', 'exclude', 'time-wait'];
  const quiet = async (): Promise<boolean> => (await sockets(namespace, ...open)).length === 0;
  await until(quiet, { what: 'all connections are over' });
  t.strictSame(await collector.stop(), { code: 0, signal: null });
  const { TcpRetransSegs } = await grown();
  t.ok(TcpRetransSegs > 20, `${TcpRetransSegs} segments sent again`);
  const state = collector.samples('netwatch.prom');
  t.equal(total(state, 'netwatch_tcp_retransmits_total'), TcpRetransSegs);
  t.equal(total(state, 'netwatch_tcp_retransmits_recovered_total'), 0, 'each by its event');
});

t.test('a lost SYN is a retransmission of its own kind', async (t) => {
  const namespace = createNamespace(t);
  const collector = await startCollector(t, namespace, ['-r', '-q']);
  const rule = dropPackets(namespace, { to: 7000, only: 'syn', kth: 1 });
  const { client } = await runTcp(namespace, { connections: 3, concurrency: 3 });
  t.equal(client.completed, 3);
  t.equal(rule.dropped(), 1);
  await collector.stop();
  const state = collector.samples('netwatch.prom');
  const syn = { network_tcp_retransmit_type: 'syn' };
  t.equal(total(state, 'netwatch_tcp_retransmits_total', syn), 1);
});

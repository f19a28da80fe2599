// On this kernel: as many resets as it counts, and drops with its reasons where it has any.
import t from 'tap';
import { dropPackets } from '../../scripts/traffic/faults.js';
import { startCollector } from '../support/collector.js';
import { createNamespace } from '../support/netns.js';
import { countFrom } from '../support/nstat.js';
import { select, total, type Sample } from '../support/samples.js';
import { CLOSED_PORT, runTcp } from '../support/traffic.js';
import { needsKernel, since } from '../support/vm-kernel.js';

/** Lines of err.log of a type, and their reasons. */
const faults = (samples: readonly Sample[], type: string): string[] =>
  select(samples, 'netwatch_tcp_error', { type }).map(({ labels }) => labels['reason'] ?? '?');

t.test('resets are as many as the kernel has sent', async (t) => {
  const namespace = createNamespace(t);
  const collector = await startCollector(t, namespace, ['-e', '-q']);
  const grown = await countFrom(namespace);
  await runTcp(namespace, { port: CLOSED_PORT, connections: 7 });
  await runTcp(namespace, { connections: 5, close: 'reset' });
  await runTcp(namespace, { connections: 3, host: '::1' }, { mode: 'reset', host: '::1' });
  const { TcpOutRsts } = await grown();
  t.strictSame(await collector.stop(), { code: 0, signal: null });
  const log = collector.samples('err.log');
  const sent = faults(log, 'reset_sent');
  // before 6.10 the kernel does not tell of those that belong to no socket
  const untold = since('6.10') ? 0 : 7;
  t.equal(TcpOutRsts, 7 + 5 + 3);
  t.equal(sent.length, TcpOutRsts - untold);
  t.equal(faults(log, 'reset_received').length, 7 + 5 + 3);
  const state = collector.samples('netwatch.prom');
  const told = total(state, 'netwatch_tcp_resets_total');
  t.equal(told, 2 * (7 + 5 + 3) - untold, 'the totals say the same');
  const nameless = sent.filter((reason) => reason === '-' || /^\d+$/.test(reason));
  if (since('6.10')) t.strictSame(nameless, [], 'with a reason since 6.10');
});

t.test(
  'drops have the reason that the kernel gives',
  { skip: needsKernel('5.18', 'drops with reasons of a firewall') },
  async (t) => {
    const namespace = createNamespace(t);
    const collector = await startCollector(t, namespace, ['-e', '-q']);
    const rule = dropPackets(namespace, { to: 7000, only: 'syn', kth: [1, 3] });
    await runTcp(namespace, { connections: 5 });
    await runTcp(namespace, { port: CLOSED_PORT, connections: 11 });
    t.equal(rule.dropped(), 2);
    t.strictSame(await collector.stop(), { code: 0, signal: null });
    const reasons = faults(collector.samples('err.log'), 'drop');
    const count = (name: string): number => reasons.filter((reason) => reason === name).length;
    t.equal(count('NETFILTER_DROP'), 2);
    t.equal(count('NO_SOCKET'), 11);
    t.equal(reasons.length, 2 + 11, 'nothing else was dropped');
    t.equal(total(collector.samples('netwatch.prom'), 'netwatch_skb_drops_total'), 2 + 11);
  },
);

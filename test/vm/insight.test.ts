// On this kernel: `netwatch insight` tells each connection, byte, retransmission and reset as often as the kernel
// counts it, and says what it cannot tell.
import t from 'tap';
import { dropPackets, plainDevice } from '../../scripts/traffic/faults.js';
import { bytesOf, countsOf, startInsight } from '../support/insight.js';
import { createNamespace } from '../support/netns.js';
import { countFrom } from '../support/nstat.js';
import { CLOSED_PORT, runTcp } from '../support/traffic.js';
import { since } from '../support/vm-kernel.js';

t.test('insight tells each connection and each byte once, and so do its statistics', async (t) => {
  const namespace = createNamespace(t);
  const insight = await startInsight(t, namespace, ['-T']);
  let bytes = 0;
  for (const host of ['127.0.0.1', '::1']) {
    const sizes = { connections: 3, rounds: 5, requestBytes: 20_011, replyBytes: 101 };
    const { client, server } = await runTcp(namespace, { ...sizes, host }, { host });
    bytes += client.bytesOut + server.bytesOut;
  }
  t.strictSame(await insight.stop(), { code: 0, signal: null });
  const events = insight.events();
  const counts = countsOf(events);
  t.match(counts, { CONNECT: 6, ACCEPT: 6, CLOSE: 12, SLOW_START: 12 });
  t.equal(bytes, 2 * 3 * 5 * (20_011 + 101));
  t.strictSame([bytesOf(insight.of('SEND')), bytesOf(insight.of('RECEIVE'))], [bytes, bytes]);
  t.notMatch(insight.stderr(), /without/, 'no kernel is without one of the events');
  t.ok((counts.RTT_UPDATE ?? 0) >= 12, 'a round trip at either end of each');
  t.match(insight.statistics(), { total: events.length, connections: 12, lost: 0, active: 0 });
  t.match(insight.statistics(), { bytesSent: bytes, bytesReceived: bytes });
});

t.test('insight tells what is lost, and sent again, as the kernel counts it', async (t) => {
  const namespace = createNamespace(t);
  plainDevice(namespace);
  const insight = await startInsight(t, namespace, ['-e', 'RETRANSMIT,FAST_RECOVERY,TIMEOUT']);
  const grown = await countFrom(namespace);
  const rule = dropPackets(namespace, { to: 7000, every: 29 });
  const upload = { connections: 2, requestBytes: 500_003, replyBytes: 1, timeoutMs: 60_000 };
  await runTcp(namespace, upload);
  rule.remove();
  const counters = await grown();
  t.strictSame(await insight.stop(), { code: 0, signal: null });
  const segments = insight
    .of('RETRANSMIT')
    .reduce((sum, { details }) => sum + Number(details['segments']), 0);
  t.ok(counters.TcpRetransSegs > 20, `${counters.TcpRetransSegs} segments sent again`);
  t.equal(segments, counters.TcpRetransSegs);
  t.equal(insight.of('TIMEOUT').length, counters.TcpExtTCPTimeouts);
  t.equal(insight.of('FAST_RECOVERY').length, counters.TcpExtTCPSackRecovery);
});

t.test('insight tells of resets, with the reason where the kernel has one', async (t) => {
  const namespace = createNamespace(t);
  const insight = await startInsight(t, namespace, ['-e', 'RESET']);
  await runTcp(namespace, { port: CLOSED_PORT, connections: 3 });
  await runTcp(namespace, { connections: 2, close: 'reset' });
  t.strictSame(await insight.stop(), { code: 0, signal: null });
  const ways = (way: string) => insight.of('RESET').filter((e) => e.details['direction'] === way);
  t.equal(ways('received').length, 3 + 2);
  // before 6.10 nobody hears of those that belong to no socket
  t.equal(ways('sent').length, (since('6.10') ? 3 : 0) + 2);
  const reasons = ways('sent').map(({ details }) => details['reason']);
  const named = reasons.filter((reason) => typeof reason === 'string');
  t.equal(named.length, since('6.10') ? 5 : 0, reasons.join());
});

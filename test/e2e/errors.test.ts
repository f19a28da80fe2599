// -e against nstat, nftables and segments that are wrong on purpose: each fault once, under the kernel's own
// reason, in err.log and in the totals; clean traffic has none.
import t, { type Test } from 'tap';
import { dropPackets } from '../../scripts/traffic/faults.js';
import { injectSegment, type Segment } from '../../scripts/traffic/inject.js';
import { startCollector, type Collector } from '../support/collector.js';
import { createNamespace, type Namespace } from '../support/netns.js';
import { countFrom, type Counters } from '../support/nstat.js';
import { difference, SAME } from '../support/packets.js';
import { select, type Sample } from '../support/samples.js';
import { needsCommands, needsRoot } from '../support/skip.js';
import { startCapture, tally } from '../support/tcpdump.js';
import { CLOSED_PORT, runHttp, runTcp, startProgram } from '../support/traffic.js';

const skip = needsRoot || needsCommands('nft', 'nstat', 'tcpdump');

/** Lines of err.log as `type reason family`, and how often each came. */
function lines(samples: readonly Sample[]): Record<string, number> {
  return tallied(
    select(samples, 'netwatch_tcp_error').map(({ labels: { type, reason, src }, value }) => {
      if (value !== 1) throw new Error(`an error of value ${value}`);
      return `${type} ${reason}${type === 'drop' ? (src?.startsWith('[') ? ' ipv6' : ' ipv4') : ''}`;
    }),
  );
}

/** The totals of netwatch.prom in the same words. */
function totals(state: readonly Sample[]): Record<string, number> {
  const drops = select(state, 'netwatch_skb_drops_total').map(
    ({ labels: { reason, network_type }, value }) =>
      [`drop ${reason} ${network_type}`, value] as const,
  );
  const resets = select(state, 'netwatch_tcp_resets_total').map(
    ({ labels: { reason, network_io_direction: way }, value }) =>
      [`${way === 'receive' ? 'reset_received' : 'reset_sent'} ${reason}`, value] as const,
  );
  return Object.fromEntries([...drops, ...resets].filter(([, value]) => value > 0));
}

function tallied(words: readonly string[]): Record<string, number> {
  const counts: Record<string, number> = {};
  for (const word of words) counts[word] = (counts[word] ?? 0) + 1;
  return counts;
}

/** Plays the traffic under -e; log and totals must agree, and are given. */
async function faultsOf(
  t: Test,
  namespace: Namespace,
  play: () => Promise<unknown>,
  args: readonly string[] = [],
): Promise<{ found: Record<string, number>; counters: Counters; collector: Collector }> {
  const collector = await startCollector(t, namespace, ['-e', '-q', ...args]);
  const grown = await countFrom(namespace);
  await play();
  const counters = await grown();
  t.match(await collector.stop(), { code: 0 });
  const found = lines(collector.samples('err.log'));
  t.strictSame(totals(collector.samples('netwatch.prom')), found, 'log and totals agree');
  return { found, counters, collector };
}

t.test('clean traffic has no line', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const clean = async (): Promise<void> => {
    for (const host of ['127.0.0.1', '::1']) {
      await runTcp(namespace, { host, connections: 13, concurrency: 4, rounds: 7 });
      await runTcp(namespace, { host, requestBytes: 2_000_003, replyBytes: 1_000_003 });
      await runTcp(
        namespace,
        { host, connections: 5, rounds: 0, close: 'wait' },
        { mode: 'close' },
      );
      await runTcp(
        namespace,
        { host, requestBytes: 7, replyBytes: 0 },
        { mode: 'after-fin', replyBytes: 11 },
      );
      await runHttp(namespace, { host, total: 31, pipeline: 5, connections: 3 });
    }
  };
  for (let tries = 1; ; tries++) {
    const { found, counters } = await faultsOf(t, namespace, clean);
    // on a busy machine the kernel sends again what has only been late: that is not clean
    if (counters.TcpRetransSegs > 0 && tries < 5) continue;
    t.strictSame(found, {});
    t.match(counters, { TcpOutRsts: 0, TcpInErrs: 0, TcpRetransSegs: 0 });
    return;
  }
});

/** What is wrong with a segment that would be the next one, and what the kernel calls it. */
const WRONG: Readonly<
  Record<string, { readonly change: (right: Segment) => Partial<Segment>; readonly times: number }>
> = {
  TCP_CSUM: { change: () => ({ badChecksum: true }), times: 3 },
  TCP_INVALID_SEQUENCE: { change: ({ seq }) => ({ seq: seq + 1e9 }), times: 5 },
  TCP_OLD_SEQUENCE: { change: ({ seq }) => ({ seq: seq - 1e6 }), times: 2 },
  TCP_FLAGS: { change: () => ({ flags: 'P' }), times: 3 },
  TCP_ACK_UNSENT_DATA: { change: ({ ack = 0 }) => ({ ack: ack + 1e6 }), times: 2 },
  TCP_INVALID_SYN: { change: () => ({ flags: 'SA' }), times: 1 },
};

/** Of those, the ones whose segment itself was wrong. */
const SEGMENT_ERRORS = ['TCP_CSUM', 'TCP_INVALID_SEQUENCE', 'TCP_OLD_SEQUENCE', 'TCP_FLAGS'];

t.test('a wrong segment is refused for the reason that the kernel gives', { skip }, async (t) => {
  const namespace = createNamespace(t, { sysctls: { 'ipv4/tcp_invalid_ratelimit': 0 } });
  const wanted: string[] = [];
  const { found, counters, collector } = await faultsOf(t, namespace, async () => {
    for (const host of ['127.0.0.1', '::1']) {
      const server = await startProgram(namespace, 'tcp-server', { host, port: 7000 });
      const options = { host, port: 7000, connectFirst: true, close: 'hold' } as const;
      const client = await startProgram(namespace, 'tcp-client', options);
      const capture = await startCapture(t, namespace);
      await client.go();
      const { packets } = await capture.stop();
      const reply = packets.findLast(({ length, srcPort }) => length > 0 && srcPort === 7000);
      if (!reply) throw new Error('no reply was seen');
      const to = { address: host, port: reply.dstPort };
      const right = {
        from: { address: host, port: 7000 },
        to,
        seq: reply.seq + reply.length,
        ack: reply.ack ?? 0,
        flags: 'PA',
        payload: 'odd',
      };
      for (const [reason, { change, times }] of Object.entries(WRONG)) {
        const segment = { ...right, ...change(right) };
        for (let i = 0; i < times; i++) {
          await injectSegment(namespace, segment);
          const at = host.includes(':') ? `[${host}]` : host;
          const ends = `${at}:${to.port} ${at}:7000`;
          wanted.push(
            `${reason} ${ends} ${segment.seq % 2 ** 32} ${segment.flags === 'P' ? right.ack : segment.ack % 2 ** 32}`,
          );
        }
      }
      await client.stop();
      await server.stop();
    }
  });
  const expected = Object.entries(WRONG).flatMap(([reason, { times }]) =>
    ['ipv4', 'ipv6'].map((type) => [`drop ${reason} ${type}`, times]),
  );
  t.strictSame(found, Object.fromEntries(expected));
  t.match(counters, { TcpInCsumErrors: 6, TcpInErrs: 6 + 2 }, 'a SYN in the middle is one, too');
  const log = select(collector.samples('err.log'), 'netwatch_tcp_error');
  const said = log.map(
    ({ labels: { reason, src, dst, seq, ack } }) => `${reason} ${src} ${dst} ${seq} ${ack}`,
  );
  t.strictSame(difference(wanted, said), SAME, 'with its ends, seq and ack');
  const errors = select(collector.samples('netwatch.prom'), 'netwatch_tcp_errors_total');
  t.strictSame(
    Object.fromEntries(errors.map(({ labels, value }) => [labels['reason'], value])),
    Object.fromEntries(SEGMENT_ERRORS.map((reason) => [reason, 2 * (WRONG[reason]?.times ?? 0)])),
    'netwatch_tcp_errors_total',
  );
});

t.test('what a firewall drops is counted as the firewall counts it', { skip }, async (t) => {
  const namespace = createNamespace(t, { sysctls: { 'ipv4/tcp_early_retrans': 0 } });
  let dropped = 0;
  const { found } = await faultsOf(t, namespace, async () => {
    for (const hook of ['input', 'output'] as const) {
      const rule = dropPackets(namespace, { to: 7000, only: 'data', every: 7, hook });
      await runTcp(namespace, { rounds: 53, timeoutMs: 20_000 });
      t.ok(rule.dropped() > 5);
      dropped += rule.dropped();
      rule.remove();
    }
  });
  const again = found['drop TCP_OLD_DATA ipv4']; // what was sent again too early
  t.strictSame(found, {
    'drop NETFILTER_DROP ipv4': dropped,
    ...(again === undefined ? {} : { 'drop TCP_OLD_DATA ipv4': again }),
  });
});

t.test('resets are those that the kernel sent and received', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const capture = await startCapture(t, namespace);
  const { found, counters } = await faultsOf(t, namespace, async () => {
    await runTcp(namespace, { port: CLOSED_PORT, connections: 7 });
    await runTcp(namespace, { port: CLOSED_PORT, connections: 3, host: '::1' });
    await runTcp(namespace, { connections: 5, close: 'reset' });
    await runTcp(namespace, { connections: 11, host: '::1' }, { mode: 'reset', host: '::1' });
    // closed with data nobody has read
    const server = await startProgram(namespace, 'tcp-server', { port: 7001, mode: 'hang' });
    const client = await startProgram(namespace, 'tcp-client', {
      port: 7001,
      replyBytes: 0,
      connections: 2,
      close: 'hold',
    });
    await client.go();
    await server.stop();
    await client.stop();
  });
  const sum = (way: string): number =>
    Object.entries(found).reduce((all, [what, n]) => all + (what.startsWith(way) ? n : 0), 0);
  const { packets } = await capture.stop();
  t.equal(tally(packets).rst, 28);
  t.equal(sum('reset_sent '), counters.TcpOutRsts);
  t.equal(sum('reset_sent '), 28);
  t.equal(sum('reset_received '), 28);
  t.equal(counters.TcpEstabResets, 2 * (5 + 11 + 2), 'of both ends');
  t.match(found, {
    'reset_sent NO_SOCKET': 10,
    'drop NO_SOCKET ipv4': 7,
    'drop NO_SOCKET ipv6': 3,
  });
  const drops = Object.keys(found).filter((what) => what.startsWith('drop '));
  t.strictSame(
    drops.sort(),
    ['drop NO_SOCKET ipv4', 'drop NO_SOCKET ipv6'],
    'nothing else was dropped',
  );
});

t.test('filters apply to faults too', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const play = async (): Promise<void> => {
    await runTcp(namespace, { port: CLOSED_PORT, connections: 3 });
    await runTcp(namespace, { port: 7998, connections: 5 });
    await runTcp(namespace, { port: 7997, connections: 2, host: '::1' });
  };
  const port = await faultsOf(t, namespace, play, ['-d', '7998']);
  t.strictSame(port.found, { 'reset_received NOT_SPECIFIED': 5 });
  const family = await faultsOf(t, namespace, play, ['-6', '-s', '7997,7998']);
  t.strictSame(family.found, { 'reset_sent NO_SOCKET': 2, 'drop NO_SOCKET ipv6': 2 });
});

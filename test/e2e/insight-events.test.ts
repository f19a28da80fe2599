// Each of the fifteen events of `netwatch insight`, provoked for real, with its count and its details.
import t, { type Test } from 'tap';
import type { EventName } from '../../src/insight/events.js';
import { dropPackets, plainDevice, type DropOptions } from '../../scripts/traffic/faults.js';
import type { TcpClientOptions, TcpServerOptions } from '../../scripts/traffic/programs.js';
import { bytesOf, countsOf, provoke, startInsight, type InsightEvent } from '../support/insight.js';
import { createNamespace, type Namespace } from '../support/netns.js';
import { countFrom, type Counters } from '../support/nstat.js';
import { needsCommands, needsRoot } from '../support/skip.js';
import { CLOSED_PORT, runTcp, startProgram, TCP_PORT } from '../support/traffic.js';
import { hasLengths, needsKernel, since } from '../support/vm-kernel.js';
import { until } from '../support/wait.js';

const skip = needsRoot || needsCommands('nft', 'nstat');

interface Seen {
  readonly events: readonly InsightEvent[];
  readonly counters: Counters;
  readonly of: (event: EventName) => InsightEvent[];
}

/** What insight shows of some traffic, and what the kernel counted meanwhile. */
async function watch(
  t: Test,
  namespace: Namespace,
  args: readonly string[],
  traffic: () => Promise<unknown>,
): Promise<Seen> {
  const insight = await startInsight(t, namespace, args);
  const grown = await countFrom(namespace);
  await traffic();
  const counters = await grown();
  const { code } = await insight.stop();
  if (code !== 0) throw new Error(`insight ended with ${code}: ${insight.stderr()}`);
  return { events: insight.events(), counters, of: (event) => insight.of(event) };
}

/** To tell data from other packets nftables looks behind the TCP header. */
const needsInnerHeader = skip || needsKernel('5.16', 'nftables that look into the payload');

const noLengths = hasLengths() ? false : 'this kernel cannot tell SEND and RECEIVE';

const SIZES = { requestBytes: 11, replyBytes: 1 } as const;
const UPLOAD = { requestBytes: 300_007, replyBytes: 1 } as const;

/** One connection that loses the packets that `drop` says. */
async function lossy(
  namespace: Namespace,
  drop: DropOptions,
  client: Partial<TcpClientOptions>,
): Promise<void> {
  const rule = dropPackets(namespace, { to: TCP_PORT, ...drop });
  try {
    await runTcp(namespace, client);
  } finally {
    rule.remove();
  }
}

t.test(
  'CONNECT, ACCEPT and CLOSE: one for each connection, by its process',
  { skip },
  async (t) => {
    const namespace = createNamespace(t);
    for (const host of ['127.0.0.1', '::1']) {
      const server = await startProgram(namespace, 'tcp-server', {
        port: TCP_PORT,
        host,
        ...SIZES,
      });
      const client = await startProgram(
        namespace,
        'tcp-client',
        { port: TCP_PORT, host, connections: 7, ...SIZES },
        { comm: 'caller' },
      );
      const { of } = await provoke(
        () => watch(t, namespace, ['-e', 'CONNECT,ACCEPT,CLOSE'], () => client.go()),
        ({ events }) => events.length === 28,
      );
      t.equal(of('CONNECT').length, 7);
      t.equal(of('ACCEPT').length, 7);
      t.equal(of('CLOSE').length, 14);
      for (const event of of('CONNECT')) {
        t.match(event, { process: 'caller', pid: client.pid, tid: client.pid, age_ms: 0 });
        t.match(event, { state_before: 'CLOSE', state: 'SYN_SENT', network_local_address: host });
        t.equal(event.network_peer_port, TCP_PORT);
        t.ok(event.network_local_port > 0);
      }
      for (const event of of('ACCEPT')) {
        t.match(event, { pid: server.pid, network_local_port: TCP_PORT });
        t.type(event.details['waited_us'], 'number');
      }
      const [caller, called] = [client.pid, server.pid].map((pid) =>
        of('CLOSE').filter((event) => event.pid === pid),
      );
      t.strictSame(
        caller?.map(({ details: { sent, received } }) => [sent, received]),
        Array(7).fill([11, 1]),
      );
      t.strictSame(
        called?.map(({ details: { sent, received } }) => [sent, received]),
        Array(7).fill([1, 11]),
      );
      t.ok(of('CLOSE').every(({ bytes }) => bytes === 12));
      await client.stop();
      await server.stop();
    }
  },
);

t.test('SEND and RECEIVE: every byte, once', { skip: skip || noLengths }, async (t) => {
  const namespace = createNamespace(t);
  let sent = 0;
  const seen = await provoke(
    () =>
      watch(t, namespace, ['-e', 'SEND,RECEIVE'], async () => {
        const { client, server } = await runTcp(namespace, {
          connections: 3,
          rounds: 5,
          requestBytes: 20_011,
          replyBytes: 101,
        });
        sent = client.bytesOut + server.bytesOut;
      }),
    ({ of }) => bytesOf(of('SEND')) === sent && bytesOf(of('RECEIVE')) === sent,
  );
  t.equal(sent, 3 * 5 * (20_011 + 101));
  t.equal(bytesOf(seen.of('SEND')), sent);
  t.equal(bytesOf(seen.of('RECEIVE')), sent);
  t.ok(seen.events.every(({ tid, pid }) => tid !== null && pid !== null));
  t.ok(seen.of('RECEIVE').every(({ details }) => typeof details['unread'] === 'number'));
});

t.test(
  'RETRANSMIT, SACK, FAST_RECOVERY, CONG_AVOID: a segment lost in the middle',
  { skip: needsInnerHeader },
  async (t) => {
    const namespace = createNamespace(t);
    plainDevice(namespace);
    const seen = await provoke(
      () => watch(t, namespace, [], () => lossy(namespace, { only: 'data', kth: 5 }, UPLOAD)),
      ({ events, counters }) => {
        const { RETRANSMIT = 0, FAST_RECOVERY = 0 } = countsOf(events);
        return RETRANSMIT === counters.TcpRetransSegs && FAST_RECOVERY === 1;
      },
    );
    const { of, counters } = seen;
    t.match(counters, { TcpExtTCPFastRetrans: 1, TcpExtTCPSackRecovery: 1, TcpExtTCPTimeouts: 0 });
    t.match(of('RETRANSMIT'), [{ bytes: 1448, details: { cause: 'fast', segments: 1 } }]);
    t.match(of('FAST_RECOVERY'), [{ details: { ca_state: 'recovery' } }]);
    t.ok(of('SACK').length >= 3, 'three duplicate acknowledgements begin a recovery');
    const growing = of('SACK').map(({ bytes }) => bytes ?? 0);
    // in no order: two CPUs tell them
    t.equal(new Set(growing).size, growing.length, 'one hole: each one has sacked more');
    t.ok(growing.every((bytes) => bytes > 0 && bytes <= 300_007));
    t.ok(of('SACK').every(({ details }) => details['blocks'] === 1 && details['dsack'] === false));
    t.equal(of('CONG_AVOID').length, 1);
    t.equal(of('TIMEOUT').length, 0);
    t.equal(of('SLOW_START').length, 2, 'each end begins so');
  },
);

t.test(
  'TIMEOUT: the last segment and its probe are lost',
  { skip: needsInnerHeader },
  async (t) => {
    const namespace = createNamespace(t);
    plainDevice(namespace);
    const client = { requestBytes: 7 * 1448, replyBytes: 1 };
    const { of, counters } = await provoke(
      () =>
        watch(t, namespace, ['-e', 'TIMEOUT,RETRANSMIT,FAST_RECOVERY'], () =>
          lossy(namespace, { only: 'data', kth: [7, 8] }, client),
        ),
      ({ events }) => events.length === 3,
    );
    t.equal(counters.TcpExtTCPTimeouts, 1);
    t.match(of('TIMEOUT'), [{ details: { ca_state: 'loss' } }]);
    t.ok(Number(of('TIMEOUT')[0]?.details['rto_ms']) >= 200);
    t.strictSame(
      of('RETRANSMIT').map(({ details }) => details['cause']),
      ['tail_loss_probe', 'timeout'],
    );
  },
);

t.test("under loss every count is the kernel's own", { skip }, async (t) => {
  const namespace = createNamespace(t);
  plainDevice(namespace);
  const args = ['-e', 'RETRANSMIT,SACK,FAST_RECOVERY,TIMEOUT'];
  const client = { connections: 2, requestBytes: 500_003, replyBytes: 1, timeoutMs: 60_000 };
  const retransmitted = (events: readonly InsightEvent[]): number =>
    events
      .filter(({ event }) => event === 'RETRANSMIT')
      .reduce((sum, { details }) => sum + Number(details['segments']), 0);
  const { events, counters, of } = await provoke(
    () => watch(t, namespace, args, () => lossy(namespace, { every: 29 }, client)),
    ({ events, counters }) => retransmitted(events) === counters.TcpRetransSegs,
  );
  t.ok(counters.TcpRetransSegs > 20, `${counters.TcpRetransSegs} segments sent again`);
  t.equal(retransmitted(events), counters.TcpRetransSegs);
  t.equal(of('TIMEOUT').length, counters.TcpExtTCPTimeouts);
  t.equal(of('FAST_RECOVERY').length, counters.TcpExtTCPSackRecovery);
  t.ok(of('SACK').length >= of('FAST_RECOVERY').length);
});

t.test('RETRANSMIT: a SYN that is lost, and a SYN-ACK', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const { of } = await provoke(
    () =>
      watch(t, namespace, ['-e', '0x4011'], () => lossy(namespace, { only: 'syn', kth: 1 }, {})),
    ({ events }) => events.length === 3,
  );
  t.match(of('RETRANSMIT'), [{ state: 'SYN_SENT', details: { cause: 'syn', segments: 1 } }]);
  t.equal(of('CONNECT').length, 1);
  t.equal(of('TIMEOUT').length, 1);
  const again = await provoke(
    () =>
      watch(t, namespace, ['-e', 'RETRANSMIT'], async () => {
        const rule = dropPackets(namespace, { from: TCP_PORT, only: 'syn-ack', kth: 1 });
        await runTcp(namespace, {});
        rule.remove();
      }),
    ({ of }) => of('RETRANSMIT').some(({ details }) => details['cause'] === 'synack'),
  );
  const synack = again.of('RETRANSMIT').filter(({ details }) => details['cause'] === 'synack');
  t.match(synack, [{ state: 'NEW_SYN_RECV', network_local_port: TCP_PORT }]);
});

t.test('RESET: nothing listens, and a connection thrown away', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const closed = await provoke(
    () =>
      watch(t, namespace, ['-e', 'RESET,CLOSE'], () =>
        startProgram(namespace, 'tcp-client', { port: CLOSED_PORT }).then(async (client) => {
          await client.go();
          await client.stop();
        }),
      ),
    ({ of }) => of('RESET').some(({ details }) => details['direction'] === 'received'),
  );
  t.match(closed.of('CLOSE'), [{ state_before: 'SYN_SENT', details: { error: 'ECONNREFUSED' } }]);
  const bySocket = closed.of('RESET').filter(({ sock }) => sock !== null);
  t.match(bySocket, [{ network_peer_port: CLOSED_PORT, details: { direction: 'received' } }]);
  // without a socket behind it the tracepoint is silent before 6.10
  if (since('6.11')) {
    const sent = closed.of('RESET').filter(({ sock }) => sock === null);
    t.match(sent, [{ state: null, details: { direction: 'sent', reason: 'NO_SOCKET' } }]);
  }
  const thrown = await provoke(
    () => watch(t, namespace, ['-e', 'RESET'], () => runTcp(namespace, { close: 'reset' })),
    ({ events }) => events.length === 2,
  );
  t.strictSame(
    thrown.events.map(({ details, pid }) => [details['direction'], pid !== null]).sort(),
    [
      ['received', true],
      ['sent', true],
    ],
  );
});

/** Each change starts where the one before it ended. */
function isChain(events: readonly InsightEvent[], name: string): boolean {
  const last = new Map<string, unknown>();
  return events.every(({ network_local_port, network_peer_port, details }) => {
    const connection = `${network_local_port} ${network_peer_port}`;
    const known = last.get(connection);
    last.set(connection, details[name]);
    return known === undefined || known === details[`${name}_before`];
  });
}

t.test(
  'CWND_CHANGE, RTT_UPDATE, SLOW_START: from one value to the next without a gap',
  { skip },
  async (t) => {
    const namespace = createNamespace(t);
    plainDevice(namespace);
    const { of } = await watch(t, namespace, ['-e', 'CWND_CHANGE,RTT_UPDATE,SLOW_START'], () =>
      runTcp(namespace, { ...UPLOAD, connections: 3 }),
    );
    t.equal(of('SLOW_START').length, 6);
    t.ok(of('SLOW_START').every(({ details }) => details['ssthresh'] === null));
    t.ok(of('CWND_CHANGE').length > 9);
    t.ok(isChain(of('CWND_CHANGE'), 'cwnd'));
    t.ok(isChain(of('RTT_UPDATE'), 'rtt_us'));
    t.ok(of('CWND_CHANGE').every(({ cwnd, details }) => cwnd === details['cwnd']));
    const first = of('RTT_UPDATE').filter(({ details }) => details['rtt_us_before'] === null);
    t.equal(first.length, 6, 'the handshake is the first measurement');
  },
);

t.test('WINDOW_UPDATE: a reader that does not read closes its window', { skip }, async (t) => {
  const namespace = createNamespace(t, { sysctls: { 'ipv4/tcp_rmem': '4096 8192 8192' } });
  plainDevice(namespace);
  const hang: Partial<TcpServerOptions> = { port: TCP_PORT, mode: 'hang' };
  const seen = await watch(t, namespace, ['-e', 'WINDOW_UPDATE'], async () => {
    const server = await startProgram(namespace, 'tcp-server', hang);
    const client = await startProgram(namespace, 'tcp-client', {
      port: TCP_PORT,
      requestBytes: 200_000,
      replyBytes: 1,
      timeoutMs: 1500,
    });
    await client.go();
    await client.stop();
    await server.stop();
  });
  const updates = seen.of('WINDOW_UPDATE');
  const ofReader = updates.filter(({ network_local_port }) => network_local_port === TCP_PORT);
  const ofWriter = updates.filter(({ network_peer_port }) => network_peer_port === TCP_PORT);
  t.ok(seen.counters.TcpExtTCPToZeroWindowAdv >= 1);
  t.ok(
    ofReader.some(({ details }) => Number(details['rcv_wnd']) < Number(details['rcv_wnd_before'])),
  );
  t.ok(
    ofWriter.some(({ details }) => details['snd_wnd'] === 0),
    'the writer hears of it',
  );
});

t.test(
  'where a kernel lacks the tracepoints of SEND, it is said or made good',
  { skip },
  async (t) => {
    const namespace = createNamespace(t);
    const insight = await startInsight(t, namespace, ['-e', 'SEND,RECEIVE']);
    const said = /without .*tcp_sendmsg/.test(insight.stderr());
    await runTcp(namespace);
    t.equal(said, !hasLengths(), insight.stderr());
    if (!said) await until(() => insight.of('SEND').length > 0, { what: 'a SEND' });
    t.equal((await insight.stop()).code, 0);
  },
);

t.test(
  'reset reasons are the kernel’s own',
  { skip: skip || needsKernel('6.11', 'reset reasons') },
  async (t) => {
    const namespace = createNamespace(t);
    const { of } = await provoke(
      () => watch(t, namespace, ['-e', 'RESET'], () => runTcp(namespace, { close: 'reset' })),
      ({ events }) => events.length === 2,
    );
    const sent = of('RESET').filter(({ details }) => details['direction'] === 'sent');
    t.match(sent, [{ details: { reason: /^TCP_/ } }]);
  },
);

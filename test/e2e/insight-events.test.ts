// Each of the fifteen events of `netwatch insight`, provoked for real, with its count and its details.
import { isDeepStrictEqual } from 'node:util';
import t, { type Test } from 'tap';
import type { EventName } from '../../src/sources/insight-events.js';
import { dropPackets, plainDevice, type DropOptions } from '../../scripts/traffic/faults.js';
import type { TcpClientOptions, TcpServerOptions } from '../../scripts/traffic/programs.js';
import { bytesOf, countsOf, startInsight, type InsightEvent } from '../support/insight.js';
import { provoke } from '../support/provoke.js';
import { createNamespace, type Namespace } from '../support/netns.js';
import { countFrom, type Counters } from '../support/nstat.js';
import { needsCommands, needsRoot } from '../support/skip.js';
import { sockets, type SocketRow } from '../support/ss.js';
import { startCapture } from '../support/tcpdump.js';
import { CLOSED_PORT, runTcp, startProgram, TCP_PORT } from '../support/traffic.js';
import { needsKernel, since } from '../support/vm-kernel.js';

const skip = needsRoot || needsCommands('nft', 'nstat', 'tcpdump');

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

const byValue = (a: number, b: number): number => a - b;

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

t.test('SEND and RECEIVE: every byte, once', { skip }, async (t) => {
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
    const play = async () => {
      const capture = await startCapture(t, namespace, { filter: `tcp src port ${TCP_PORT}` });
      const drop = { only: 'data', kth: 5 } as const;
      const seen = await watch(t, namespace, [], () => lossy(namespace, drop, UPLOAD));
      const { packets } = await capture.stop();
      const sacks = packets.map(({ sackedBytes }) => sackedBytes).filter((bytes) => bytes > 0);
      return { ...seen, sacks: sacks.sort(byValue) };
    };
    const { of, counters, sacks } = await provoke(play, ({ events, counters, sacks }) => {
      const { RETRANSMIT = 0, FAST_RECOVERY = 0, SACK = 0 } = countsOf(events);
      return (
        RETRANSMIT === 1 &&
        counters.TcpRetransSegs === 1 &&
        FAST_RECOVERY === 1 &&
        SACK === sacks.length
      );
    });
    t.match(counters, { TcpExtTCPFastRetrans: 1, TcpExtTCPSackRecovery: 1, TcpExtTCPTimeouts: 0 });
    t.match(of('RETRANSMIT'), [{ bytes: 1448, details: { cause: 'fast', segments: 1 } }]);
    t.match(of('FAST_RECOVERY'), [{ details: { ca_state: 'recovery' } }]);
    t.ok(of('SACK').length >= 3, 'three duplicate acknowledgements begin a recovery');
    // in no order: two CPUs tell them
    t.strictSame(
      of('SACK')
        .map(({ bytes }) => bytes ?? 0)
        .sort(byValue),
      sacks,
      'as tcpdump saw',
    );
    t.ok(of('SACK').every(({ details }) => details['dsack'] === false));
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

type Detail = InsightEvent['details'][string];

/** Where the changes of each connection end; says so if one does not start where the one before it ended. */
function chainEnds(events: readonly InsightEvent[], name: string): string[] {
  const last = new Map<number, Detail>();
  const gaps: string[] = [];
  for (const { network_local_port: port, details } of events) {
    const value = details[name];
    if (value === undefined) continue;
    const [known, before] = [last.get(port), details[`${name}_before`]];
    if (known !== undefined && known !== before) gaps.push(`${port} from ${known} to ${before}`);
    last.set(port, value);
  }
  // ss has no eighths of a microsecond
  const ends = [...last].map(([port, value]) => `${port} ends at ${Math.floor(Number(value))}`);
  return [...gaps, ...ends].sort();
}

t.test(
  'CWND_CHANGE, RTT_UPDATE, SLOW_START: from one value to the next without a gap',
  { skip },
  async (t) => {
    const namespace = createNamespace(t);
    plainDevice(namespace);
    const options = { port: TCP_PORT, ...UPLOAD };
    const play = async () => {
      const connections = { ...options, connections: 3, close: 'hold' } as const;
      const server = await startProgram(namespace, 'tcp-server', options);
      const client = await startProgram(namespace, 'tcp-client', connections);
      const args = ['-e', 'CWND_CHANGE,RTT_UPDATE,SLOW_START'];
      const seen = await watch(t, namespace, args, () => client.go());
      const held = await sockets(namespace, 'state', 'established', 'dport', '=', `:${TCP_PORT}`);
      await client.stop();
      await server.stop();
      // those that acknowledge nothing any more: the others hear of the reply's arrival later
      const ends = (name: string): string[] =>
        chainEnds(
          seen.events.filter(({ network_peer_port }) => network_peer_port === TCP_PORT),
          name,
        );
      return { ...seen, held, cwnd: ends('cwnd'), rtt: ends('rtt_us') };
    };
    const said = (held: readonly SocketRow[], value: (row: SocketRow) => number): string[] =>
      held.map((row) => `${row.local.port} ends at ${value(row)}`).sort();
    const cwnds = (held: readonly SocketRow[]) => said(held, ({ cwnd }) => cwnd ?? 0);
    const rtts = (held: readonly SocketRow[]) =>
      said(held, ({ srttMs }) => Math.round((srttMs ?? 0) * 1000));
    const { of, held, cwnd, rtt } = await provoke(
      play,
      ({ of, held, cwnd, rtt }) =>
        of('SLOW_START').length === 6 &&
        isDeepStrictEqual(cwnd, cwnds(held)) &&
        isDeepStrictEqual(rtt, rtts(held)),
    );
    t.equal(held.length, 3);
    t.equal(of('SLOW_START').length, 6);
    t.ok(of('SLOW_START').every(({ details }) => details['ssthresh'] === null));
    t.strictSame(cwnd, cwnds(held), 'the window, as ss says');
    t.strictSame(rtt, rtts(held), 'the round-trip time, as ss says');
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

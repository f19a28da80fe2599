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
import { needsKernel, since } from '../support/vm-kernel.js';
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


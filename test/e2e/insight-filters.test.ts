// Every filter of `netwatch insight`, alone and in pairs: what it shows is what an unfiltered one shows of the
// same traffic, less what the filter should keep back. Each of the two is the other's witness.
import t from 'tap';
import { startInsight, type InsightEvent } from '../support/insight.js';
import { createNamespace, type Namespace } from '../support/netns.js';
import { needsRoot } from '../support/skip.js';
import { runTcp, startProgram } from '../support/traffic.js';

const skip = needsRoot;

const V4_PORT = 7101;
const V6_PORT = 7102;
const SLOW_PORT = 7103;
const PAUSE_MS = 700;
/** In the middle of the pause: no connection is about so old. */
const OLD_MS = 350;

type Keeps = (event: InsightEvent) => boolean;

interface FilterCase {
  readonly args: readonly string[];
  readonly keeps: Keeps;
}

/** Whether its end lies in a network of the traffic below. */
const isV6 = ({ network_local_address }: InsightEvent): boolean =>
  network_local_address.includes(':');

function casesFor(pid: number): FilterCase[] {
  const alone: FilterCase[] = [
    { args: ['-p', String(pid)], keeps: (e) => e.pid === pid },
    { args: ['-c', 'filtered'], keeps: (e) => e.process === 'filtered' },
    { args: ['-s', '::1'], keeps: isV6 },
    { args: ['-d', '127.0.0.0/8'], keeps: (e) => !isV6(e) },
    { args: ['--sport', String(V4_PORT)], keeps: (e) => e.network_local_port === V4_PORT },
    {
      args: ['--dport', `${V6_PORT},${SLOW_PORT}`],
      keeps: (e) => e.network_peer_port === V6_PORT || e.network_peer_port === SLOW_PORT,
    },
    { args: ['-e', '0x21'], keeps: (e) => e.event === 'CONNECT' || e.event === 'CLOSE' },
    { args: ['-e', 'accept,Send'], keeps: (e) => e.event === 'ACCEPT' || e.event === 'SEND' },
    { args: ['--min-duration', String(OLD_MS)], keeps: (e) => (e.age_ms ?? -1) >= OLD_MS },
    {
      args: ['--max-duration', String(OLD_MS)],
      keeps: (e) => e.age_ms !== null && e.age_ms <= OLD_MS,
    },
    { args: ['--min-bytes', '2000'], keeps: (e) => (e.bytes ?? -1) >= 2000 },
    { args: ['--max-bytes', '2000'], keeps: (e) => e.bytes !== null && e.bytes <= 2000 },
    { args: ['--min-rtt', '1'], keeps: (e) => (e.rtt_us ?? 0) >= 1 },
    { args: ['--max-rtt', '4000000'], keeps: (e) => e.rtt_us !== null },
    { args: ['--min-rtt', '4000000'], keeps: () => false },
    { args: ['-S', '1'], keeps: (e) => e.state === 'ESTABLISHED' },
    { args: ['-S', 'close'], keeps: (e) => e.state === 'CLOSE' },
    { args: ['-d', '192.0.2.0/24'], keeps: () => false },
    { args: ['--sport', `1-${V4_PORT}`], keeps: (e) => (e.network_local_port ?? 0) <= V4_PORT },
  ];
  const pairs = [
    [0, 6],
    [2, 10],
    [4, 15],
    [5, 8],
    [1, 9],
    [3, 11],
    [6, 16],
    [12, 7],
  ] as const;
  const both = pairs.map(([a, b]) => {
    const [first, second] = [alone[a], alone[b]];
    return {
      args: [...(first?.args ?? []), ...(second?.args ?? [])],
      keeps: (e: InsightEvent) => (first?.keeps(e) ?? false) && (second?.keeps(e) ?? false),
    };
  });
  return [...alone, ...both];
}

/** Two sizes, two families, and a connection that lives longer than the others. */
async function traffic(namespace: Namespace): Promise<void> {
  const sizes = { requestBytes: 101, replyBytes: 20_011 };
  await runTcp(namespace, { ...sizes, port: V4_PORT, connections: 2 }, { port: V4_PORT });
  const six = { host: '::1', port: V6_PORT };
  await runTcp(namespace, { ...sizes, ...six, connections: 3 }, six);
  await runTcp(namespace, { port: SLOW_PORT, rounds: 2, pauseMs: PAUSE_MS }, { port: SLOW_PORT });
}

/** Two runs of netwatch never agree on times and addresses; all else is the same. */
const keyOf = ({ event, state, bytes, cwnd, pid, details, ...e }: InsightEvent): string =>
  JSON.stringify([
    event,
    e.network_local_port,
    e.network_peer_port,
    state,
    bytes,
    cwnd,
    pid,
    { ...details, waited_us: 0, duration_ms: 0 },
  ]);

const sorted = (events: readonly InsightEvent[]): string[] => events.map(keyOf).sort();

/** Each takes a second of CPU to start. */
const AT_A_TIME = 9;

t.test('each filter, alone and with another, keeps exactly what it should', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const sizes = { port: 7104, requestBytes: 7, replyBytes: 3 };
  const server = await startProgram(namespace, 'tcp-server', sizes);
  const options = { ...sizes, connections: 2 };
  const client = await startProgram(namespace, 'tcp-client', options, { comm: 'filtered' });
  const cases = casesFor(client.pid);
  for (let from = 0; from < cases.length; from += AT_A_TIME) {
    const some = cases.slice(from, from + AT_A_TIME);
    const lines = [[], ...some.map(({ args }) => args)];
    const started = await Promise.all(lines.map((args) => startInsight(t, namespace, args)));
    await traffic(namespace);
    await client.go();
    await Promise.all(started.map((insight) => insight.stop()));
    const [all = [], ...found] = started.map((insight) => insight.events());
    t.ok(all.length > 100, `${all.length} events`);
    for (const [i, { args, keeps }] of some.entries()) {
      const wanted = sorted(all.filter(keeps));
      const name = args.join(' ');
      t.strictSame(sorted(found[i] ?? []), wanted, `${name}: ${wanted.length} of ${all.length}`);
      t.equal(wanted.length === 0, /192|min-rtt 4/.test(name), 'the traffic has something for it');
      t.ok(wanted.length < all.length, 'and something that it keeps back');
    }
  }
  await client.stop();
  await server.stop();
});

t.test('a part of a process name is enough, wherever it stands in it', { skip }, async (t) => {
  const name = 'fifteen-letters';
  const parts = ['fifteen', 'n-l', 'letters', 's', 'ifteen-letter', name, `${name}-more`];
  const others = ['fifteen-lettersx', 'lettersf', 'Fifteen', 'fifteen.letters'];
  const namespace = createNamespace(t);
  const sizes = { port: 7105, requestBytes: 7, replyBytes: 3 };
  const server = await startProgram(namespace, 'tcp-server', sizes);
  const client = await startProgram(namespace, 'tcp-client', sizes, { comm: name });
  const started = await Promise.all(
    [...parts, ...others].map((part) => startInsight(t, namespace, ['-e', 'SEND', '-c', part])),
  );
  await client.go();
  await Promise.all(started.map((insight) => insight.stop()));
  const found = started.map((insight) => insight.events().map(({ process }) => process));
  for (const [i, part] of parts.entries())
    t.strictSame([...new Set(found[i])], [name], `-c ${part} keeps the client, nobody else`);
  // sixteen letters are one more than the kernel keeps: the first fifteen are compared
  t.strictSame(found[parts.length]?.[0], name, `-c ${others[0]} is the whole name`);
  for (const [i, part] of others.entries())
    if (i > 0) t.strictSame(found[parts.length + i], [], `-c ${part} keeps nobody`);
  await client.stop();
  await server.stop();
});

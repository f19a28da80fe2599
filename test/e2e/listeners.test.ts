// Listening sockets: each one's queue and what it had no room for, against nstat and by hand.
import t, { type Test } from 'tap';
import { startCollector, type Collector } from '../support/collector.js';
import { startListeners, type Listeners } from '../support/listeners.js';
import { createNamespace, type Namespace, type NamespaceOptions } from '../support/netns.js';
import { countFrom, type Counters } from '../support/nstat.js';
import { select, total, type Sample } from '../support/samples.js';
import { needsCommands, needsRoot } from '../support/skip.js';
import { startTool, type RunningTool } from '../support/tool.js';
import { startProgram } from '../support/traffic.js';

const skip = needsRoot || needsCommands('nft', 'nstat', 'python3');

const OVERFLOWS = 'netwatch_tcp_accept_queue_overflows_total';
const at = (port: number): Record<string, string> => ({
  network_local_address: '127.0.0.1',
  network_local_port: `${port}`,
});

interface Play {
  readonly namespace: Namespace;
  readonly collector: Collector;
  readonly listeners: Listeners;
  readonly grown: () => Promise<Counters>;
}

/** A namespace with the listeners and a collector that watches it. */
async function begin(
  t: Test,
  sysctls: NamespaceOptions['sysctls'] = {},
  args: readonly string[] = ['-e'],
): Promise<Play> {
  const namespace = createNamespace(t, { sysctls: { 'ipv4/tcp_syn_retries': 1, ...sysctls } });
  const listeners = await startListeners(t, namespace);
  const collector = await startCollector(t, namespace, ['-q', '--interval', '0.2', ...args]);
  return { namespace, collector, listeners, grown: await countFrom(namespace) };
}

/** Lines of err.log for it, by local and remote end. */
const refused = (samples: readonly Sample[]): string[] =>
  select(samples, 'netwatch_tcp_error', { type: 'drop', reason: 'TCP_LISTEN_OVERFLOW' }).map(
    ({ labels: { src = '', dst = '' } }) => `${src} ${dst}`,
  );

/** What the kernel has counted and what each listener had, after the collector's end. */
async function overflowsOf({ collector, grown }: Play): Promise<{
  kernel: number;
  drops: number;
  ours: number;
  lines: string[];
}> {
  const counters = await grown();
  const state = await collector.pulled();
  await collector.stop();
  return {
    kernel: counters.TcpExtListenOverflows,
    drops: counters.TcpExtListenDrops,
    ours: total(state, OVERFLOWS),
    lines: refused(collector.samples('err.log')),
  };
}

t.test(
  'SYNs that find an accept queue full are counted, and each has its line',
  { skip },
  async (t) => {
    const play = await begin(t);
    await play.listeners.play(
      'listen a 7000 2',
      'connect 3 7000',
      'syn 7000 5001 5002 5003 5004 5005',
    );
    const found = await overflowsOf(play);
    t.match(found, { kernel: 5, drops: 5, ours: 5 });
    t.strictSame(
      found.lines,
      [5001, 5002, 5003, 5004, 5005].map((port) => `127.0.0.1:7000 127.0.0.9:${port}`),
    );
    const said = /accept queue was full: (.*)/.exec(play.collector.stderr())?.[1];
    t.match(said, /^5 at 127\.0\.0\.1:7000 of \S+ \(pid \d+\)$/);
  },
);

t.test(
  'listeners that close between two pulls leave their last counts, each its own',
  { skip },
  async (t) => {
    // nothing is pulled but at the start and, as the program ends, once more
    const play = await begin(t, {}, ['-e', '--interval', '3600']);
    const { collector, listeners, grown } = play;
    const flood = (port: number, count: number): string =>
      `syn ${port} ${Array.from({ length: count }, (_, i) => 5001 + i).join(' ')}`;
    await listeners.play('listen a 7000 2', 'connect 3 7000', flood(7000, 45), 'close a');
    await listeners.play('listen b 7001 1 any', 'connect 2 7001', flood(7001, 30), 'close b');
    await listeners.play('listen c 7002 1', 'close c', 'listen d 7003 1', 'connect 2 7003');
    await listeners.play(flood(7003, 7));
    t.equal((await grown()).TcpExtListenOverflows, 82);
    await collector.stop();
    const state = collector.samples('netwatch.prom');
    const { inode } = play.namespace;
    const counts = select(state, OVERFLOWS).map(({ labels, value }) => {
      const { network_local_port: port, netns, pid, process } = labels;
      return `${port} ${value} ${netns} ${pid} ${process}`;
    });
    const whose = `${inode} ${listeners.pid} python3`;
    t.strictSame(counts.sort(), [`7000 45 ${whose}`, `7001 30 ${whose}`, `7003 7 ${whose}`]);
    t.strictSame(
      select(state, 'netwatch_tcp_accept_queue_limit').map((it) => it.labels['network_local_port']),
      ['7003'],
      'it has no queue any more',
    );
    t.equal(refused(collector.samples('err.log')).length, 82);
    const said = /accept queue was full: (.*)/.exec(collector.stderr())?.[1];
    const named = [`45 at 127.0.0.1:7000`, `30 at 0.0.0.0:7001`, `7 at 127.0.0.1:7003`];
    t.equal(said, named.map((one) => `${one} of python3 (pid ${listeners.pid})`).join(', '));
  },
);

t.test(
  'a listener of another process is none of a filter, also as it closes',
  { skip },
  async (t) => {
    const { collector, listeners } = await begin(t, {}, ['-e', '--interval', '3600', '--pid', '1']);
    await listeners.play('listen a 7000 2', 'connect 3 7000', 'syn 7000 5001', 'close a');
    await collector.stop();
    t.strictSame(select(collector.samples('netwatch.prom'), OVERFLOWS), []);
  },
);

t.test(
  'a last ACK that finds the queue full counts, as often as the kernel tries it',
  { skip },
  async (t) => {
    const play = await begin(t);
    await play.listeners.play(
      'listen a 7000 4',
      'syn 7000 5001 5002 5003',
      'connect 5 7000',
      'bad-ack 7000 5001', // no handshake ends so
      'ack 7000 5001 5002',
      'data 7000 5002',
      'syn 7000 5003', // a known request: its SYN-ACK is sent again
    );
    const found = await overflowsOf(play);
    t.match(found, { kernel: 3, drops: 3, ours: 3 });
    t.strictSame(found.lines, [
      '127.0.0.1:7000 127.0.0.9:5001',
      '127.0.0.1:7000 127.0.0.9:5002',
      '127.0.0.1:7000 127.0.0.9:5002',
    ]);
  },
);

t.test(
  'a listener that waits for data does not overflow by an ACK without any',
  { skip },
  async (t) => {
    const play = await begin(t);
    await play.listeners.play(
      'listen a 7000 4 defer',
      'syn 7000 5001 5002 5003',
      'ack 7000 5001 5002 5003',
      'data 7000 5001 5002 5003',
      'syn 7000 5004 5005 5006',
      'data 7000 5004 5005', // the queue has five
      'ack 7000 5006',
      'data 7000 5006',
    );
    const found = await overflowsOf(play);
    t.match(found, { kernel: 1, drops: 1, ours: 1 });
  },
);

t.test('a SYN cookie that comes back to a full queue counts', { skip }, async (t) => {
  const play = await begin(t, { 'ipv4/tcp_syncookies': 2 });
  await play.listeners.play(
    'listen a 7000 2',
    'syn 7000 5001 5002',
    'connect 3 7000',
    'ack 7000 5001 5002',
  );
  const found = await overflowsOf(play);
  t.match(found, { kernel: 2, drops: 2, ours: 2 });
});

t.test(
  'SYN cookies are counted as they are sent, come back and turn out wrong',
  { skip },
  async (t) => {
    const { listeners, collector } = await begin(t, { 'ipv4/tcp_syncookies': 2 });
    await listeners.play('listen a 7000 9', 'syn 7000 5001 5002 5003 5004 5005');
    await listeners.play('ack 7000 5001 5002', 'bad-ack 7000 5003', 'connect 1 7000');
    const state = await collector.pulled();
    const cookies = select(state, 'netwatch_tcp_syn_cookies_total').map(
      ({ labels, value }) => `${labels['event']} ${value}`,
    );
    t.strictSame(cookies, ['sent 6', 'received 3', 'failed 1']);
    await collector.stop();
  },
);

t.test('tcpsynbl counts the handshakes that found the queue full too', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const listeners = await startListeners(t, namespace);
  const tools: RunningTool[] = [];
  for (const args of [[], ['-6'], ['--port', '7000']])
    tools.push(await startTool(t, namespace, 'tcpsynbl', ['-o', 'json', ...args]));
  await listeners.play('listen a 7000 4', 'syn 7000 5001 5002', 'connect 5 7000');
  await listeners.play('syn 7000 5003', 'ack 7000 5001 5002', 'data 7000 5001');
  for (const tool of tools) t.strictSame(await tool.stop(), { code: 0, signal: null });
  const found = tools.map((tool) =>
    tool.objects().map((it) => [it['backlog_max'], it['buckets']] as const),
  );
  const expected = [
    4,
    [
      { from: 0, to: 1, count: 2 },
      { from: 2, to: 3, count: 2 },
      { from: 4, to: 7, count: 1 + 3 },
    ],
  ] as const;
  t.strictSame(found, [[expected], [], [expected]]);
});

t.test('a full queue of requests without cookies is no overflow', { skip }, async (t) => {
  const play = await begin(t, { 'ipv4/tcp_syncookies': 0 });
  await play.listeners.play(
    'listen a 7000 2',
    'syn 7000 5001 5002 5003 5004 5005 5006',
    'connect 0 7000',
  );
  const { kernel, ours, drops } = await overflowsOf(play);
  t.match({ kernel, ours }, { kernel: 0, ours: 0 });
  t.ok(drops > 0, 'the kernel dropped some for the other reason');
});

t.test('each listening socket of a group has its own series and owner', { skip }, async (t) => {
  const { listeners, collector, namespace } = await begin(t);
  await listeners.play('listen a 7000 3 reuseport', 'listen b 7000 5 reuseport', 'listen c 7001 7');
  const server = await startProgram(namespace, 'tcp-server', { port: 7002, backlog: 9 });
  const state = await collector.pulled();
  const limits = select(state, 'netwatch_tcp_accept_queue_limit').map(({ labels, value }) => {
    const { network_local_port: port, netns, pid, process } = labels;
    return `${port} ${value} ${netns} ${pid} ${process}`;
  });
  const { inode } = namespace;
  t.strictSame(limits.sort(), [
    `7000 3 ${inode} ${listeners.pid} python3`,
    `7000 5 ${inode} ${listeners.pid} python3`,
    `7001 7 ${inode} ${listeners.pid} python3`,
    `7002 9 ${inode} ${server.pid} node`,
  ]);
  const sockets = select(state, OVERFLOWS, at(7000)).map(({ labels }) => labels['sock']);
  t.equal(new Set(sockets).size, 2);
  await server.stop();
});

t.test('equal addresses in two namespaces are two listeners', { skip }, async (t) => {
  const { listeners, namespace } = await begin(t);
  const other = createNamespace(t);
  const others = await startListeners(t, other);
  const options = { netns: [namespace.name, other.name] };
  const both = await startCollector(t, namespace, ['-e', '-q', '--interval', '0.2'], options);
  await listeners.play('listen a 7000 1', 'connect 2 7000', 'syn 7000 5001 5002 5003');
  await others.play('listen a 7000 2', 'connect 3 7000', 'syn 7000 5001');
  const state = await both.pulled();
  const mine = { ...at(7000), netns: `${namespace.inode}`, pid: `${listeners.pid}` };
  const theirs = { ...at(7000), netns: `${other.inode}`, pid: `${others.pid}` };
  t.equal(total(state, OVERFLOWS, mine), 3);
  t.equal(total(state, OVERFLOWS, theirs), 1);
  t.equal(total(state, 'netwatch_tcp_accept_queue_length', mine), 2);
  t.equal(total(state, 'netwatch_tcp_accept_queue_length', theirs), 3);
});

t.test('a new listener counts nothing of one that is gone a second time', { skip }, async (t) => {
  const { listeners, collector } = await begin(t);
  await listeners.play('listen a 7000 1', 'connect 2 7000', 'syn 7000 5001', 'close a');
  await listeners.play('listen b 7000 1', 'listen c 7001 1');
  const state = await collector.pulled();
  // the new one may have the socket's address, and the series with it
  t.equal(total(state, OVERFLOWS, at(7000)), 1);
  t.equal(total(state, OVERFLOWS, at(7001)), 0);
  t.equal(select(state, 'netwatch_tcp_accept_queue_limit', at(7000)).length, 1);
});

t.test('without -e no overflows are shown, rather than none', { skip }, async (t) => {
  const { listeners, collector } = await begin(t, {}, []);
  await listeners.play('listen a 7000 1');
  const state = await collector.pulled();
  t.equal(total(state, 'netwatch_tcp_accept_queue_limit', at(7000)), 1);
  t.strictSame(select(state, OVERFLOWS), []);
});

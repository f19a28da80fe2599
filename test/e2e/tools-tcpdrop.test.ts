// tcpdrop against nftables and closed ports: each drop once, with the packet's own ends, the owner of the
// socket, the kernel's reason and the way that led there.
import t, { type Test } from 'tap';
import { dropPackets } from '../../scripts/traffic/faults.js';
import { createJoinedNamespaces, createNamespace, type Namespace } from '../support/netns.js';
import type { Json } from '../support/ndjson.js';
import { needsCommands, needsRoot } from '../support/skip.js';
import { startCapture } from '../support/tcpdump.js';
import { startTool } from '../support/tool.js';
import { CLOSED_PORT, runTcp, startProgram, TCP_PORT } from '../support/traffic.js';

const skip = needsRoot || needsCommands('nft', 'tcpdump');

/** Connections to ports where nothing listens: `CLOSED_PORT` by IPv4, the one below by IPv6. */
async function knock(namespace: Namespace, v4: number, v6: number): Promise<void> {
  await runTcp(namespace, { port: CLOSED_PORT, connections: v4 });
  await runTcp(namespace, { port: CLOSED_PORT - 1, connections: v6, host: '::1' });
}

/** Objects of a run of tcpdrop over some traffic. */
async function dropsOf(
  t: Test,
  namespace: Namespace,
  args: readonly string[],
  play: () => Promise<unknown>,
): Promise<Json[]> {
  const tool = await startTool(t, namespace, 'tcpdrop', ['-o', 'json', ...args]);
  await play();
  t.strictSame(await tool.stop(), { code: 0, signal: null });
  return tool.objects();
}

t.test('a drop is a row, its stack, and an empty line', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const tool = await startTool(t, namespace, 'tcpdrop');
  await knock(namespace, 1, 1);
  t.strictSame(await tool.stop(), { code: 0, signal: null });
  const [head, ...rows] = tool.lines();
  t.equal(
    head,
    'TIME     PID     IP SADDR:SPORT          > DADDR:DPORT          STATE (FLAGS)        REASON (CODE)',
  );
  t.equal(rows.at(-1), '', 'an empty line behind each');
  const blocks = rows
    .join('\n')
    .split('\n\n')
    .map((block) => block.split('\n'));
  t.equal(blocks.length, 2);
  for (const [i, [row = '', ...stack]] of blocks.entries()) {
    const [host, port] = i === 0 ? ['127.0.0.1', CLOSED_PORT] : ['[::1]', CLOSED_PORT - 1];
    const [time, pid, ip, source, arrow, destination, state, flags, reason, code] = row.split(/ +/);
    t.match(time, /^\d\d:\d\d:\d\d$/);
    t.strictSame([pid, ip, arrow], ['N/A', i === 0 ? '4' : '6', '>']);
    t.ok(source?.startsWith(`${host}:`), 'the client sent it');
    t.equal(destination, `${host}:${port}`);
    t.strictSame([state, flags, reason], ['N/A', '(SYN)', 'NO_SOCKET']);
    t.match(code, /^\(\d+\)$/);
    const names = stack.map((line) => /^\t(\S+)\+0x[0-9a-f]+$/.exec(line)?.[1] ?? line);
    t.match(names[0], /skb/, 'first the function that gives up packets');
    t.match(names[1], i === 0 ? 'tcp_v4_rcv' : 'tcp_v6_rcv', 'then who called it');
    t.ok(names.includes('__sys_connect'), 'down to the system call that sent the SYN');
    t.notOk(
      names.some((name) => /bpf/.test(name)),
      'none of our own',
    );
  }
});

/** Both ends of a connection between two namespaces, connected; each request is one segment. */
async function connected(left: Namespace, right: Namespace, host: string) {
  const at = { host, port: TCP_PORT, requestBytes: 700 };
  const server = await startProgram(right, 'tcp-server', at);
  const client = await startProgram(left, 'tcp-client', {
    ...at,
    connectFirst: true,
    close: 'hold',
  });
  return { server, client };
}

t.test('what a firewall drops is told with its socket and its owner', { skip }, async (t) => {
  const { left, right, addresses } = createJoinedNamespaces(t);
  for (const family of ['v4', 'v6'] as const) {
    for (const hook of ['input', 'output'] as const) {
      const [there, here] = [addresses.right[family], addresses.left[family]];
      const { server, client } = await connected(left, right, there);
      const capture = await startCapture(t, right, { device: 'veth0' });
      const receives = hook === 'input';
      const watched = receives ? right : left;
      const rule = dropPackets(watched, { to: TCP_PORT, only: 'data', kth: 1, hook });
      let callerPort: number | undefined;
      const drops = await dropsOf(t, watched, [], async () => {
        const { connections } = await client.go();
        callerPort = connections[0]?.localPort;
      });
      t.equal(rule.dropped(), 1);
      rule.remove();
      const { packets } = await capture.stop();
      const sent = packets.find(({ length }) => length > 0);
      const lost = drops.filter(({ reason }) => reason === 'NETFILTER_DROP');
      t.equal(lost.length, 1, `${family} ${hook}`);
      const [calls, answers] = [
        { address: here, port: callerPort, pid: client.pid },
        { address: there, port: TCP_PORT, pid: server.pid },
      ];
      const [local, peer] = receives ? [answers, calls] : [calls, answers];
      t.match(lost[0], {
        pid: local.pid,
        process: 'node',
        network_type: family === 'v4' ? 'ipv4' : 'ipv6',
        network_io_direction: receives ? 'receive' : 'transmit',
        network_local_address: local.address,
        network_local_port: local.port,
        network_peer_address: peer.address,
        network_peer_port: peer.port,
        seq: sent?.seq,
        ack: sent?.ack,
        tcp_flags: ['PSH', 'ACK'],
        packet_bytes: 700 + (family === 'v4' ? 20 : 40) + 32,
        state: 'ESTABLISHED',
        reason: 'NETFILTER_DROP',
        netns: watched.inode,
      });
      const stack = lost[0]?.['stack'] as string[];
      t.ok(
        stack.some((frame) => frame.startsWith('nf_hook_slow+0x')),
        'by netfilter',
      );
      await client.stop();
      await server.stop();
    }
  }
});

t.test('the owner is known of a socket that is older, too', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const { server, client } = await connected(namespace, namespace, '127.0.0.1');
  const tool = await startTool(t, namespace, 'tcpdrop', ['-o', 'json']);
  const picked = await startTool(t, namespace, 'tcpdrop', ['-o', 'json', '-p', `1,${server.pid}`]);
  const later = await startProgram(namespace, 'tcp-server', { port: 7001 });
  const data = { only: 'data', kth: 1 } as const;
  const rules = [
    dropPackets(namespace, { ...data, from: TCP_PORT, hook: 'output' }),
    // over lo, a packet has no socket yet when the firewall sees it
    dropPackets(namespace, { ...data, to: 7001, hook: 'input' }),
  ];
  await client.go();
  const caller = await startProgram(namespace, 'tcp-client', { port: 7001 });
  await caller.go();
  t.strictSame(
    rules.map((rule) => rule.dropped()),
    [1, 1],
  );
  await Promise.all([tool.stop(), picked.stop()]);
  const lost = tool.objects().filter(({ reason }) => reason === 'NETFILTER_DROP');
  t.strictSame(
    picked.objects().map(({ pid, reason }) => [pid, reason]),
    [[server.pid, 'NETFILTER_DROP']],
    '-p shows what is of that process',
  );
  t.strictSame(
    lost.map((drop) => [drop['network_local_port'], drop['pid']]),
    [
      [TCP_PORT, server.pid],
      [7001, later.pid],
    ],
    'both servers, of which only one was there before',
  );
  await Promise.all([client, caller, server, later].map((program) => program.stop()));
});

t.test('each option of tcpdrop lets through what it says', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const other = createNamespace(t);
  const inhabitant = await startProgram(other, 'tcp-server', { port: 7001 });
  const play = async (): Promise<void> => {
    await knock(namespace, 3, 2);
    await knock(other, 1, 0);
  };
  const of = async (...args: string[]): Promise<Record<string, number>> => {
    const counts: Record<string, number> = {};
    for (const drop of await dropsOf(t, namespace, args, play)) {
      const where = drop['netns'] === other.inode ? 'other' : drop['network_type'];
      const key = `${String(where)} ${String(drop['reason'])}`;
      counts[key] = (counts[key] ?? 0) + 1;
    }
    return counts;
  };
  const [v4, v6, elsewhere] = [
    { 'ipv4 NO_SOCKET': 3 },
    { 'ipv6 NO_SOCKET': 2 },
    { 'other NO_SOCKET': 1 },
  ];
  t.strictSame(await of(), { ...v4, ...v6 });
  t.strictSame(await of('-4'), v4);
  t.strictSame(await of('-6'), v6);
  t.strictSame(await of('-p', '1'), {}, 'no socket, no process');
  t.strictSame(await of('--port', String(CLOSED_PORT)), v4);
  t.strictSame(await of('--netns-id', String(other.inode)), { ...v4, ...v6, ...elsewhere });
  t.strictSame(await of('--pid-netns', String(inhabitant.pid)), { ...v4, ...v6, ...elsewhere });
  await inhabitant.stop();
});

t.test(
  'without CAP_SYSLOG stacks are addresses, which is said',
  { skip: skip || needsCommands('setpriv') },
  async (t) => {
    const namespace = createNamespace(t);
    const without = ['setpriv', '--bounding-set', '-syslog', '--inh-caps', '-syslog'];
    const tool = await startTool(t, namespace, 'tcpdrop', ['-o', 'json'], without);
    await knock(namespace, 1, 0);
    await tool.stop();
    t.match(tool.stderr(), /^netwatch tcpdrop: stacks show addresses: without CAP_SYSLOG /m);
    const [drop] = tool.objects();
    t.match(drop, { reason: 'NO_SOCKET' });
    const stack = drop?.['stack'] as string[];
    t.ok(stack.length > 5 && stack.every((frame) => /^0x[0-9a-f]{16}$/.test(frame)));
  },
);

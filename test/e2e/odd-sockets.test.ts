// Sockets that are not ordinary. The witness is what the sockets themselves say of their ends.
import { join } from 'node:path';
import { execFileSync } from 'node:child_process';
import t, { type Test } from 'tap';
import { startCollector } from '../support/collector.js';
import { createNamespace, type Namespace } from '../support/netns.js';
import { losses, select, total, type Sample } from '../support/samples.js';
import { needsRoot } from '../support/skip.js';

const SCRIPT = join(import.meta.dirname, '..', 'odd-sockets', 'odd.py');
/** As odd.py has it. */
const EXCHANGES = 5;
const ANY_FASTOPEN = 0x207;

interface Ends {
  /** Ports of the clients' ends, in order. */
  readonly clients: readonly number[];
  readonly acceptor?: number;
  readonly connector?: number;
}

interface Seen {
  readonly ends: Ends;
  readonly packets: readonly Sample[];
  readonly connections: readonly Sample[];
  readonly state: readonly Sample[];
}

const PORT = 7100;

function play(namespace: Namespace, kind: string): Ends {
  const args = ['netns', 'exec', namespace.name, 'python3', SCRIPT, kind, String(PORT)];
  return JSON.parse(execFileSync('ip', args, { encoding: 'utf8' })) as Ends;
}

/** What the collector sees of a kind of socket. */
async function see(
  t: Test,
  kind: string,
  sysctls: Readonly<Record<string, number>> = {},
): Promise<Seen> {
  const namespace = createNamespace(t, { sysctls });
  const collector = await startCollector(t, namespace, ['-x', '-t', '-i', '-q']);
  const ends = play(namespace, kind);
  t.strictSame(await collector.stop(), { code: 0, signal: null });
  const state = collector.samples('netwatch.prom');
  t.strictSame(losses(state), {}, 'nothing is lost');
  return {
    ends,
    packets: select(collector.samples('packets.log'), 'netwatch_packet_bytes'),
    connections: select(collector.samples('connects.log'), 'netwatch_connection_info'),
    state,
  };
}

const end = (port: number): string => `127.0.0.1:${port}`;

/** Of the server's side: each request with its socket, its time and its head. */
function serverSide(t: Test, { ends, packets, connections, state }: Seen): void {
  for (const [i, client] of ends.clients.entries()) {
    const labels = { src: end(PORT), dst: end(client) };
    const accepted = select(connections, 'netwatch_connection_info', { ...labels, is_server: '1' });
    t.equal(accepted.length, 1, `connection ${i} is accepted once`);
    const heads = select(packets, 'netwatch_packet_bytes', labels).filter(
      (packet) => packet.labels['http_info'] !== '-',
    );
    t.strictSame(
      heads.map(({ labels: { http_info: info, rx, sock } }) => [info, rx, sock]),
      [
        [`GET /${i} HTTP/1.1`, '1', accepted[0]?.labels['sock']],
        ['HTTP/1.1 200 OK', '0', accepted[0]?.labels['sock']],
      ],
      `request and answer ${i} are at the socket that was accepted`,
    );
    t.not(heads[0]?.labels['tcp_time'], '-', 'it is known how long the request waited');
  }
  t.equal(total(state, 'http_server_request_duration_seconds_count'), EXCHANGES);
  t.equal(total(state, 'http_client_request_duration_seconds_count'), EXCHANGES);
}

const skip = needsRoot;

t.test("a request that comes with the last ACK is the connection's", { skip }, async (t) => {
  serverSide(t, await see(t, 'deferred'));
});

t.test("a request that comes with the SYN is the connection's", { skip }, async (t) => {
  serverSide(t, await see(t, 'fastopen', { 'ipv4/tcp_fastopen': ANY_FASTOPEN }));
});

t.test('a connection made of a SYN cookie is like any other', { skip }, async (t) => {
  serverSide(t, await see(t, 'cookies', { 'ipv4/tcp_syncookies': 2 }));
});

t.test('a socket that connects anew starts anew', { skip }, async (t) => {
  const { ends, packets, state } = await see(t, 'reused');
  const [before = 0, after = 0] = ends.clients;
  const bytes = (labels: Readonly<Record<string, string>>): number =>
    select(packets, 'netwatch_packet_bytes', labels).reduce((sum, { value }) => sum + value, 0);
  const received = { rx: '1', dst: end(PORT), src: end(before) };
  t.equal(bytes(received), 3000, 'what nobody has read keeps its ends');
  t.strictSame(
    select(packets, 'netwatch_packet_bytes', { ...received, tcp_time: '-' }).length,
    select(packets, 'netwatch_packet_bytes', received).length,
    'and has no time of reading',
  );
  t.equal(bytes({ rx: '1', src: end(after), dst: end(PORT) }), 0);
  const heads = select(packets, 'netwatch_packet_bytes', { src: end(after), dst: end(PORT + 1) })
    .map(({ labels }) => labels['http_info'])
    .filter((info) => info !== '-');
  t.strictSame(heads, ['GET /0 HTTP/1.1', 'HTTP/1.1 200 OK']);
  t.equal(total(state, 'http_client_request_duration_seconds_count'), 1);
});

t.test('both ends that connect to each other are clients', { skip }, async (t) => {
  const { connections, state } = await see(t, 'simultaneous');
  t.strictSame(
    connections.map(({ labels: { src, dst, is_server: isServer } }) => [src, dst, isServer]),
    [[end(PORT), end(PORT), '0']],
  );
  const handshakes = 'netwatch_tcp_handshake_duration_seconds_count';
  t.equal(total(state, handshakes, { network_tcp_handshake_role: 'client' }), 1);
  t.equal(total(state, handshakes, { network_tcp_handshake_role: 'server' }), 0);
});

t.test(
  'a subflow of MPTCP belongs to the process that has the MPTCP socket',
  { skip },
  async (t) => {
    const { ends, connections } = await see(t, 'mptcp', { 'mptcp/enabled': 1 });
    const owners = connections.map(({ labels: { pid, is_server: isServer } }) => [isServer, pid]);
    t.strictSame(owners.sort(), [
      ['0', String(ends.connector)],
      ['1', String(ends.acceptor)],
    ]);
  },
);

// What stands between an IP header and a TCP header, with packets that a raw socket sends: fragments, of
// which only the first has a TCP header, and IPv6 extension headers, behind which one is found.
import t from 'tap';
import { startCollector } from '../support/collector.js';
import { startInsight } from '../support/insight.js';
import { createNamespace } from '../support/netns.js';
import { packetLines } from '../support/packets.js';
import { select } from '../support/samples.js';
import { needsCommands, needsRoot } from '../support/skip.js';
import { startTool } from '../support/tool.js';

const skip = needsRoot || needsCommands('nft', 'python3');

/**
 * Sends one packet: extension headers as kind and length in bytes, then a SYN of `port`, or, of a
 * fragment that is not the first, bytes that look like the SYN's.
 */
const SEND = `
import json, socket, struct, sys
port, headers, place, more = json.loads(sys.argv[1]).values()
v6 = headers is not None
family, ip = (socket.AF_INET6, '::1') if v6 else (socket.AF_INET, '127.0.0.1')
ends = socket.inet_pton(family, ip) * 2
def checksum(data):
    total = sum(struct.unpack(f'!{len(data) // 2}H', data))
    while total >> 16: total = (total & 0xffff) + (total >> 16)
    return struct.pack('!H', ~total & 0xffff)
segment = struct.pack('!HHIIBBHHH', port + 1000, port, 1, 0, 5 << 4, 2, 1000, 0, 0)
pseudo = ends + struct.pack('!II', len(segment), 6)
segment = segment[:16] + checksum(pseudo + segment) + segment[18:]
fragment = place << 3 | more
if v6:
    between = b''
    kinds = [kind for kind, _ in headers] + [6]
    for (kind, length), following in zip(headers, kinds[1:]):
        if kind == 44: between += struct.pack('!BBHI', following, 0, fragment, 7)
        elif kind == 43: between += struct.pack('!BBBB', following, length // 8 - 1, 4, 0) + bytes(length - 4)
        else: between += struct.pack('!BBBB', following, length // 8 - 1, 1, length - 4) + bytes(length - 4)
    packet = struct.pack('!IHBB', 6 << 28, len(between) + 20, kinds[0], 64) + ends + between + segment
else:
    flags = place | more << 13
    packet = struct.pack('!BBHHHBBH', 0x45, 0, 40, 7, flags, 64, 6, 0) + ends + segment
raw = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW)
raw.sendto(packet, (ip, 0))
`;

interface Packet {
  readonly port: number;
  /** Of IPv6: extension headers, kind and bytes; null: IPv4. */
  readonly headers: readonly (readonly [kind: number, bytes: number])[] | null;
  /** Of a fragment, in 8 bytes. */
  readonly place: number;
  /** 1: more fragments follow. */
  readonly more: 0 | 1;
  /** Whether there is a TCP header in it. */
  readonly isTcp: boolean;
  /** Whether TCP gets it. */
  readonly isWhole: boolean;
}

const [HOP_BY_HOP, FRAGMENT, DESTINATION] = [0, 44, 60];
const whole = { place: 0, more: 0, isTcp: true, isWhole: true } as const;
const first = { place: 0, more: 1, isTcp: true, isWhole: false } as const;
const second = { place: 3, more: 0, isTcp: false, isWhole: false } as const;

const PACKETS: readonly Packet[] = [
  { port: 7301, headers: null, ...whole },
  { port: 7302, headers: null, ...first },
  { port: 7303, headers: null, ...second },
  { port: 7304, headers: [], ...whole },
  { port: 7305, headers: [[DESTINATION, 8]], ...whole },
  {
    port: 7306,
    headers: [
      [HOP_BY_HOP, 8],
      [DESTINATION, 8],
    ],
    ...whole,
  },
  { port: 7307, headers: [[FRAGMENT, 8]], ...whole },
  { port: 7308, headers: [[FRAGMENT, 8]], ...first },
  { port: 7309, headers: [[FRAGMENT, 8]], ...second },
  {
    port: 7310,
    headers: [
      [DESTINATION, 8],
      [FRAGMENT, 8],
    ],
    ...second,
  },
];

/** Fragments never come together: they are dropped before the kernel keeps them. */
const DROP = `table inet fragments {
  chain before {
  type filter hook prerouting priority -450
  ip frag-off & 0x3fff != 0 drop
  frag more-fragments 1 drop
  frag frag-off != 0 drop
  }
}`;

const localPorts = (rows: readonly { readonly network_local_port?: unknown }[]): unknown[] =>
  rows.map(({ network_local_port }) => network_local_port).sort();

t.test('a TCP header is found where there is one, and nowhere else', { skip }, async (t) => {
  const namespace = createNamespace(t);
  namespace.execSync('nft', ['-f', '-'], { input: DROP });
  const collector = await startCollector(t, namespace, ['-q', '-e']);
  const tcpdrop = await startTool(t, namespace, 'tcpdrop', ['-o', 'json']);
  const insight = await startInsight(t, namespace, ['-e', 'reset']);
  for (const { port, headers, place, more } of PACKETS)
    await namespace.exec('python3', ['-c', SEND, JSON.stringify({ port, headers, place, more })]);
  await Promise.all([collector, tcpdrop, insight].map((one) => one.stop()));
  const seen = PACKETS.filter(({ isTcp }) => isTcp).map(({ port }) => port);
  const answered = PACKETS.filter(({ isWhole }) => isWhole).map(({ port }) => port);
  // an answer finds no socket either
  const drops = tcpdrop.objects().filter((row) => Number(row['network_local_port']) < 8000);
  t.strictSame(localPorts(drops), seen, 'tcpdrop');
  t.strictSame(
    drops.map(({ network_peer_port }) => network_peer_port),
    seen.map((port) => port + 1000),
  );
  t.strictSame(
    drops.map(({ tcp_flags }) => tcp_flags),
    seen.map(() => ['SYN']),
  );
  t.strictSame(localPorts(insight.of('RESET')), answered, 'insight');
  const portOf = (src: string): number => Number(src.replace(/.*:/, ''));
  const errors = select(collector.samples('err.log'), 'netwatch_tcp_error')
    .map(({ labels: { type, src = '' } }) => ({ type, port: portOf(src) }))
    .filter(({ port }) => port < 8000);
  t.strictSame(
    errors.map(({ type, port }) => `${type} ${port}`).sort(),
    [...seen.map((port) => `drop ${port}`), ...answered.map((port) => `reset_sent ${port}`)],
    'err.log',
  );
  const received = packetLines(collector.samples('packets.log'))
    .map((line) => ({ ...line, port: portOf(line.src) }))
    .filter((line) => line.received && line.port < 8000);
  t.strictSame(
    received.map(({ port, bytes }) => `${port} ${bytes}`),
    answered.map((port) => `${port} 0`),
    'packets.log',
  );
});

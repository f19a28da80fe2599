/** Sends single TCP segments that no kernel would send: wrong checksum, impossible sequence. */
import { isIPv6 } from 'node:net';
import type { Namespace } from './namespace.js';

export interface Segment {
  readonly from: { readonly address: string; readonly port: number };
  readonly to: { readonly address: string; readonly port: number };
  readonly seq: number;
  readonly ack?: number;
  /** Letters as in tcpdump: S F R P A. */
  readonly flags: string;
  readonly payload?: string;
  readonly badChecksum?: boolean;
  /** Length of the TCP header in words of four bytes, as the header says; default: 5, the truth. */
  readonly dataOffset?: number;
}

const FLAGS: Readonly<Record<string, number>> = { F: 1, S: 2, R: 4, P: 8, A: 16 };

/** A raw socket writes the IP header and leaves ours alone. */
const SEND = `use Socket qw(:DEFAULT pack_sockaddr_in6 AF_INET6);
my ($segment, $from, $to) = map { pack 'H*', $_ } @ARGV;
my $v6 = length($to) == 16;
my $name = sub { $v6 ? pack_sockaddr_in6(0, $_[0]) : pack_sockaddr_in(0, $_[0]) };
socket(my $s, $v6 ? AF_INET6 : AF_INET, SOCK_RAW, 6) or die $!;
bind($s, $name->($from)) or die $!;
defined send($s, $segment, 0, $name->($to)) or die $!;`;

/** Sends `segment` from inside the namespace; its source address must be one of the namespace's. */
export async function injectSegment(namespace: Namespace, segment: Segment): Promise<void> {
  const from = addressBytes(segment.from.address);
  const to = addressBytes(segment.to.address);
  const bytes = encode(segment);
  const pseudo = Buffer.from([0, 6, bytes.length >> 8, bytes.length & 255]);
  const sum = checksum(Buffer.concat([from, to, pseudo, bytes]));
  bytes.writeUInt16BE(segment.badChecksum ? sum ^ 0x5555 : sum, 16);
  const args = [bytes, from, to].map((part) => part.toString('hex'));
  await namespace.exec('perl', ['-', ...args], { input: SEND });
}

function encode({ dataOffset = 5, ...segment }: Segment): Buffer {
  const { from, to, seq, ack = 0, flags, payload = '' } = segment;
  const header = Buffer.alloc(20);
  header.writeUInt16BE(from.port, 0);
  header.writeUInt16BE(to.port, 2);
  header.writeUInt32BE(seq >>> 0, 4);
  header.writeUInt32BE(ack >>> 0, 8);
  header[12] = dataOffset << 4;
  header[13] = flags.split('').reduce((bits, letter) => bits | (FLAGS[letter] ?? 0), 0);
  header.writeUInt16BE(1024, 14);
  return Buffer.concat([header, Buffer.from(payload)]);
}

function checksum(bytes: Buffer): number {
  let sum = 0;
  for (let i = 0; i < bytes.length; i += 2) sum += ((bytes[i] ?? 0) << 8) | (bytes[i + 1] ?? 0);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}

function addressBytes(address: string): Buffer {
  if (!isIPv6(address)) return Buffer.from(address.split('.').map(Number));
  const [head = '', tail] = address.split('::');
  const groups = (text = '') => text.split(':').filter(Boolean);
  const zeros = 8 - groups(head).length - groups(tail).length;
  const all = [...groups(head), ...Array<string>(zeros).fill('0'), ...groups(tail)];
  return Buffer.from(all.map((group) => group.padStart(4, '0')).join(''), 'hex');
}

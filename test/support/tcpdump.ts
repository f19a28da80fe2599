/** Every packet of a device, by tcpdump; a witness for everything per packet. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Namespace, Teardown } from './netns.js';
import { until } from './wait.js';

export interface Packet {
  /** Unix time. */
  readonly timeSeconds: number;
  readonly src: string;
  readonly srcPort: number;
  readonly dst: string;
  readonly dstPort: number;
  /** As tcpdump prints them: S, S., ., P., F., R, R. */
  readonly flags: string;
  /** Absolute, as all of them. */
  readonly seq: number;
  /** Null in a packet without the ACK flag. */
  readonly ack: number | null;
  readonly length: number;
  /** All its SACK blocks together. */
  readonly sackedBytes: number;
}

export interface Capture {
  /** Ends the capture when everything sent so far is in it. */
  stop(): Promise<{ readonly packets: readonly Packet[]; readonly droppedByKernel: number }>;
}

export interface CaptureOptions {
  readonly device?: string;
  /** A pcap filter; default all of TCP. */
  readonly filter?: string;
}

/** Starts to capture and returns when no packet can be missed any more. */
export async function startCapture(
  t: Teardown,
  namespace: Namespace,
  { device = 'lo', filter = 'tcp' }: CaptureOptions = {},
): Promise<Capture> {
  const folder = mkdtempSync(join(tmpdir(), 'nwtest-'));
  t.teardown(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, 'capture.pcap');
  const options = ['-i', device, '-s', '160', '-B', '32768', '-U', '--immediate-mode'];
  const child = namespace.spawn('tcpdump', [...options, '-Z', 'root', '-w', file, filter], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const exited = new Promise((resolve) => child.once('exit', resolve));
  t.teardown(async () => {
    child.kill('SIGKILL');
    await exited;
  });
  let said = '';
  child.stderr?.setEncoding('utf8').on('data', (text: string) => (said += text));
  await until(() => said.includes('listening on'), { what: 'tcpdump listens' });

  /** Asks the running tcpdump for its counts. */
  const counts = async () => {
    said = '';
    child.kill('SIGUSR1');
    const found = await until(() => COUNTS.exec(said), { what: 'counts of tcpdump', everyMs: 2 });
    return found.slice(1).map(Number) as [number, number, number];
  };
  return {
    async stop() {
      // libpcap reads the packets of `lo` twice, leaving and arriving, and keeps the arriving ones
      const copies = device === 'lo' ? 2 : 1;
      const caughtUp = async () => {
        const [captured, received] = await counts();
        return captured * copies === received;
      };
      await until(caughtUp, { what: 'tcpdump has read all packets' });
      const [, , droppedByKernel] = await counts();
      child.kill('SIGINT');
      await exited;
      // -vv: without it a bare ACK has no seq
      const text = await namespace.exec('tcpdump', ['-nn', '-S', '-tt', '-vv', '-r', file]);
      const packets = text
        .replaceAll('\n    ', ' ')
        .split('\n')
        .filter((line) => /^\d/.test(line)) // what it makes of the payload is indented
        .map(parsePacket);
      return { packets, droppedByKernel };
    },
  };
}

const COUNTS = /(\d+) packets? captured, (\d+) packets? received by filter, (\d+) packets? dropped/;

const LINE = new RegExp(
  [
    String.raw`^(\d+\.\d+) IP6? \(.*?\) (\S+)\.(\d+) > (\S+)\.(\d+): Flags \[([^\]]*)\]`,
    String.raw`(?:, cksum .*?\))?, seq (\d+)(?::\d+)?(?:, ack (\d+))?, .*length (\d+)(?:: |$)`,
  ].join(''),
);

const SACK_BLOCK = /\{(\d+):(\d+)\}/g;

/** One packet of `tcpdump -nn -S -tt -vv`, its two lines joined. */
export function parsePacket(line: string): Packet {
  const found = LINE.exec(line);
  if (!found) throw new Error(`not a line of tcpdump: ${line}`);
  const [, time, src = '', srcPort, dst = '', dstPort, flags = '', seq, ack, length] = found;
  return {
    timeSeconds: Number(time),
    src,
    srcPort: Number(srcPort),
    dst,
    dstPort: Number(dstPort),
    flags,
    seq: Number(seq),
    ack: ack === undefined ? null : Number(ack),
    length: Number(length),
    sackedBytes: [...line.matchAll(SACK_BLOCK)].reduce(
      (sum, [, start, end]) => sum + ((Number(end) - Number(start)) >>> 0),
      0,
    ),
  };
}

export interface Tally {
  readonly all: number;
  readonly data: number;
  readonly bytes: number;
  /** With SYN-ACKs. */
  readonly syn: number;
  readonly fin: number;
  readonly rst: number;
}

/** Numbers of packets by kind. */
export function tally(packets: readonly Packet[]): Tally {
  const having = (letter: string) => packets.filter(({ flags }) => flags.includes(letter)).length;
  return {
    all: packets.length,
    data: packets.filter(({ length }) => length > 0).length,
    bytes: packets.reduce((sum, { length }) => sum + length, 0),
    syn: having('S'),
    fin: having('F'),
    rst: having('R'),
  };
}

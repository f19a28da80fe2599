// Where packets wait between two hooks, on the way over two CPUs and with stamps of pacing: a time is
// the packet's own or unknown.
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { performance } from 'node:perf_hooks';
import t from 'tap';
import { blast, SEGMENTS_PER_ROUND, startBlast } from '../support/blast.js';
import { startCollector, temporaryFolder } from '../support/collector.js';
import { compile } from '../support/compile.js';
import { createNamespace, type Namespace } from '../support/netns.js';
import { packetLines } from '../support/packets.js';
import { receiveOn } from '../support/rps.js';
import { losses } from '../support/samples.js';
import { needsRoot } from '../support/skip.js';

const PORT = 7001;
const BYTES = 60_000;
const source = join(import.meta.dirname, '..', 'unread-queue', 'traffic.c');
const program = compile(source, temporaryFolder(t), ['-pthread']);
const skip = needsRoot || (program === null && 'no C compiler (cc or clang) on this machine');

/** Segments with data of a stream of single bytes, as its receiver counts them, and those sent again. */
async function sendBytes(namespace: Namespace): Promise<readonly number[]> {
  const said = await namespace.exec(program ?? '', [String(PORT), String(BYTES)], {
    timeoutMs: 60_000,
  });
  return said.split(' ').map(Number);
}

const LINE =
  /dst="[^"]*:(\d+)",.*rx="([01])"(?:,retransmit="1")?,mac_time="([^"]*)",ip_time="([^"]*)",tcp_time="([^"]*)"\} (\d+) /;

interface Times {
  /** Lines by direction of the stream's segments with data. */
  readonly stream: { sent: number; received: number };
  lines: number;
  /** Lines without MAC or IP time. */
  untimed: number;
  /** Times that nothing in the test took. */
  readonly impossible: string[];
}

async function readTimes(log: string, longestUs: number): Promise<Times> {
  const times: Times = { stream: { sent: 0, received: 0 }, lines: 0, untimed: 0, impossible: [] };
  for await (const line of createInterface({ input: createReadStream(log) })) {
    if (line.startsWith('#')) continue;
    const [, dst, rx, mac, ip, tcp, bytes] = LINE.exec(line) ?? [];
    times.lines++;
    const isPossible = (us: string | undefined): boolean =>
      us === '-' || (Number(us) >= 0 && Number(us) <= longestUs);
    if (![mac, ip, tcp].every(isPossible)) times.impossible.push(line);
    if (mac === '-' || ip === '-') times.untimed++;
    // both lines name the peer
    if (bytes === '0') continue;
    if (rx === '0' && dst === String(PORT)) times.stream.sent++;
    if (rx === '1' && line.includes(`src="127.0.0.1:${PORT}"`)) times.stream.received++;
  }
  return times;
}

for (const cpu of [0, 1])
  t.test(`packets that CPU ${cpu} receives for both have their own times`, { skip }, async (t) => {
    const namespace = createNamespace(t, { sysctls: { 'ipv4/tcp_autocorking': 0 } });
    receiveOn(namespace, cpu);
    const files = ['--ring', '134217728', '--rotate-size', '1073741824'];
    const collector = await startCollector(t, namespace, ['-t', '-q', ...files]);
    const start = performance.now();
    const blasts = await Promise.all(
      [0, 1].map((own) => startBlast(t, namespace, { port: 7010 + own, cpu: own })),
    );
    const [segments = 0, sentAgain = 0] = await sendBytes(namespace);
    const rounds = (await Promise.all(blasts.map((one) => one.stop()))).reduce((a, b) => a + b, 0);
    t.strictSame(await collector.stop('SIGINT'), { code: 0, signal: null });
    const longestUs = (performance.now() - start) * 1000;
    const times = await readTimes(join(collector.dataFolder, 'packets.log'), longestUs);
    t.comment(`${segments} segments, ${sentAgain} sent again, ${rounds} rounds`);
    t.comment(`${times.lines} lines, ${times.untimed} of them untimed`);
    t.strictSame(times.impossible, [], 'no time is negative or longer than the test');
    t.strictSame(losses(collector.samples('netwatch.prom')), {}, 'nothing is lost');
    t.equal(times.stream.received, segments, 'each segment was received once');
    t.equal(times.stream.sent, segments, 'and sent once');
    t.ok(times.lines >= rounds * SEGMENTS_PER_ROUND, 'those of the others too');
    // some kernels leave tracing programs out now and then (README, Limits)
    t.ok(times.untimed <= times.lines / 100, `untimed: ${times.untimed} of ${times.lines}`);
  });

t.test(
  'a stamp in the future is no time that TCP held the packet',
  { skip: needsRoot },
  async (t) => {
    const DELAY_US = 20_000_000;
    const namespace = createNamespace(t);
    const collector = await startCollector(t, namespace, ['-t', '-q']);
    const start = performance.now();
    await blast(t, namespace, { port: PORT, rounds: 500, delayUs: DELAY_US });
    const tookUs = (performance.now() - start) * 1000;
    t.ok(tookUs < DELAY_US, 'loopback waits for no stamp');
    await collector.stop();
    const sent = packetLines(collector.samples('packets.log')).filter(({ received }) => !received);
    const data = sent.filter(({ bytes }) => bytes > 0);
    t.equal(data.length, 1000);
    const wrong = data.filter(({ tcpUs }) => tcpUs === null || (tcpUs ?? tookUs) >= tookUs);
    t.strictSame(wrong, [], 'TCP held none of them that long');
    const untimed = sent.filter(({ ipUs, macUs }) => ipUs === null || macUs === null);
    t.strictSame(untimed, [], 'and each has the times of IP and MAC');
  },
);

// Of a received packet's time in TCP the part in which an earlier segment was missing, on segments that
// come exactly as a script has them. What a packet waits for is another packet of the same read, so the
// rest of its time in TCP is that one's: but for the moment between them, as a read takes one after the
// other.
import { existsSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import t, { type Test } from 'tap';
import { startCollector } from '../support/collector.js';
import { parseNdjson } from '../support/ndjson.js';
import { createNamespace } from '../support/netns.js';
import { provoke } from '../support/provoke.js';
import { select } from '../support/samples.js';
import { FAMILIES, playSegments, type Family } from '../support/scripted-peer.js';
import { needsCommands, needsRoot, unless } from '../support/skip.js';
import { until } from '../support/wait.js';

const skip =
  needsRoot || needsCommands('python3') || unless(existsSync('/dev/net/tun'), 'needs /dev/net/tun');

const SEGMENT_BYTES = 1000;
const OPENED = ['listen', '< S mss=1000', '> SA', '< A', 'accept'];
const ENDED = ['close', '> FA', '< FA', 'state gone'];

/** Segment k of the stream, the first is 1. */
const segment = (k: number): string => `< A seq=${(k - 1) * SEGMENT_BYTES + 1} data=1000`;

/** A received data segment. */
interface Received {
  /** Which one of the stream. */
  readonly segment: number;
  readonly tcpUs: number | null;
  readonly reorderUs: number | null;
}

interface Found {
  readonly received: readonly Received[];
  /** Of the histogram: how many waited, and how long in all. */
  readonly count: number;
  readonly sumSeconds: number;
  /** Labels of packets.log, by segment in order of the lines. */
  readonly labels: readonly (string | undefined)[];
}

/** Plays the steps between a connection's beginning and its end. */
async function play(t: Test, family: Family, steps: readonly string[]): Promise<Found> {
  const namespace = createNamespace(t);
  const collector = await startCollector(t, namespace, ['-t', '-q', '--ndjson']);
  await playSegments(namespace, family, { lines: [...OPENED, ...steps, ...ENDED] });
  const data = () =>
    parseNdjson(collector.read('packets.ndjson')).filter(
      ({ network_io_direction: direction, length_bytes: bytes }) =>
        direction === 'receive' && bytes !== 0,
    );
  const sent = steps.filter((step) => step.startsWith('<')).length;
  await until(() => data().length === sent, { what: 'every segment has its line' });
  t.match(await collector.stop(), { code: 0 });
  const rows = data();
  const first = Math.min(...rows.map(({ seq }) => Number(seq)));
  const histogram = (part: 'count' | 'sum'): number =>
    select(
      collector.samples('netwatch.prom'),
      `netwatch_packet_layer_duration_seconds_${part}`,
    ).reduce((all, { labels, value }) => all + (labels['layer'] === 'reorder' ? value : 0), 0);
  return {
    received: rows.map(({ seq, tcp_time_us: tcp, reorder_time_us: reorder }) => ({
      segment: (Number(seq) - first) / SEGMENT_BYTES + 1,
      tcpUs: tcp as number | null,
      reorderUs: reorder as number | null,
    })),
    count: histogram('count'),
    sumSeconds: histogram('sum'),
    labels: collector
      .samples('packets.log')
      .filter(({ labels, value }) => labels['rx'] === '1' && value > 0)
      .map(({ labels }) => labels['reorder_time']),
  };
}

/** What each segment waited for: the one that filled the gap before it; null: nothing. */
type Waits = Readonly<Record<number, number | null>>;

/** So close are two packets of one read; a pause of a script is twice as long. */
const SAME_READ_US = 5000;

/** Segments that waited for what they ought to, as names of what they waited for. */
function waitsOf({ received }: Found, waits: Waits): Record<number, number | null | string> {
  const tcpUs = new Map(received.map((row) => [row.segment, row.tcpUs ?? NaN]));
  return Object.fromEntries(
    received.map(({ segment: k, tcpUs: tcp, reorderUs: reorder }) => {
      const filler = waits[k] ?? null;
      if (reorder === 0 || reorder === null || tcp === null || filler === null)
        return [k, reorder === 0 ? null : `${reorder} us`];
      const between = tcp - reorder - Number(tcpUs.get(filler));
      const isSame = between > -0.001 && between < SAME_READ_US;
      return [k, isSame ? filler : `read ${between} us after it`];
    }),
  );
}

async function check(t: Test, family: Family, [steps, waits]: Script): Promise<void> {
  // on a busy machine one read may take long
  const found = await provoke(
    () => play(t, family, steps),
    (found) => isDeepStrictEqual(waitsOf(found, waits), waits),
  );
  t.strictSame(waitsOf(found, waits), waits, 'each waited for what filled the gap before it');
  const waited = found.received.flatMap(({ reorderUs }) => (reorderUs ? [reorderUs] : []));
  t.equal(found.count, waited.length, 'the histogram has those that waited');
  t.equal(
    Math.round(found.sumSeconds * 1e9),
    waited.reduce((all, us) => all + Math.round(us * 1000), 0),
  );
  t.strictSame(
    found.labels,
    found.received.map(({ reorderUs }) => (reorderUs ? `${reorderUs}` : undefined)),
    'packets.log says it of those that waited',
  );
}

type Script = readonly [steps: readonly string[], waits: Waits];

const SCRIPTS: Readonly<Record<string, Script>> = {
  'nothing is missing and the application is late': [
    [segment(1), segment(2), 'pause 20', 'read'],
    { 1: null, 2: null },
  ],
  'one segment is late': [
    [segment(2), 'pause 20', segment(3), 'pause 20', segment(1), 'pause 20', 'read'],
    { 1: null, 2: 1, 3: 1 },
  ],
  'two gaps are filled in order': [
    [segment(2), segment(4), 'pause 10', segment(1), 'pause 10', segment(3), 'pause 5', 'read'],
    { 1: null, 2: 1, 3: null, 4: 3 },
  ],
  'two gaps are filled in the other order': [
    [segment(2), segment(4), 'pause 10', segment(3), 'pause 10', segment(1), 'pause 5', 'read'],
    { 1: null, 2: 1, 3: 1, 4: 1 },
  ],
  'what follows a filled gap waits for nothing': [
    [segment(2), 'pause 10', segment(1), segment(3), 'pause 10', segment(4), 'read'],
    { 1: null, 2: 1, 3: null, 4: null },
  ],
  'a gap comes after one that has been read': [
    [segment(2), segment(1), 'read', segment(4), 'pause 10', segment(3), 'read'],
    { 1: null, 2: 1, 3: null, 4: 3 },
  ],
};

for (const family of FAMILIES)
  t.test(
    `over IPv${family} a packet waits for earlier segments or for the application`,
    { skip },
    async (t) => {
      for (const [name, script] of Object.entries(SCRIPTS))
        await t.test(`each part is right where ${name}`, async (t) => {
          await check(t, family, script);
        });
    },
  );

t.test('data that comes twice fills nothing', { skip }, async (t) => {
  // the second one has been received and waits for the application as well
  const steps = [
    segment(1),
    segment(2),
    segment(4),
    'pause 10',
    segment(2),
    'pause 10',
    segment(3),
    'read',
  ];
  const { received } = await play(t, 4, steps);
  const waits = (k: number): (number | null)[] =>
    received.filter(({ segment }) => segment === k).map(({ reorderUs }) => reorderUs);
  t.strictSame([waits(1), waits(2), waits(3)], [[0], [0, 0], [0]]);
  t.ok(Number(waits(4)[0]) > 19_000, 'not the packet that came in the middle');
});

t.test('a wait is unknown where more gaps were filled than are remembered', { skip }, async (t) => {
  const pairs = Array.from({ length: 20 }, (_, i) => 2 * i + 1);
  const late = pairs.map((k) => segment(k + 1));
  const { received } = await play(t, 4, [...late, 'pause 10', ...pairs.map(segment), 'read']);
  const waits = new Map(received.map(({ segment, reorderUs }) => [segment, reorderUs]));
  t.strictSame(
    pairs.map((k) => (waits.get(k + 1) === null ? 'unknown' : Number(waits.get(k + 1)) > 9000)),
    pairs.map((_, i) => (i < 4 ? 'unknown' : true)),
    'of the first four the filling segment is no longer remembered',
  );
});

// What the first request has waited for is noticed as filled when the next packet comes, which is the second.
t.test('a request has none of the wait of the one before it', { skip }, async (t) => {
  const answer = 'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok';
  const first = 'GET /a HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n';
  const second = 'GET /b HTTP/1.1\r\nHost: h\r\n\r\n';
  const answered = (n: number): string[] => [
    `say ${encodeURIComponent(answer)}`,
    `> A ${(n - 1) * answer.length + 1}:${n * answer.length + 1}`,
  ];
  const namespace = createNamespace(t);
  const collector = await startCollector(t, namespace, ['-t', '-i', '-q', '--ndjson']);
  await playSegments(namespace, 4, {
    lines: [
      ...OPENED,
      ...[`< A seq=${1 + first.length} text=body`, 'pause 20'],
      ...[`< A seq=1 text=${encodeURIComponent(first)}`, 'read', 'pause 20'],
      ...[...answered(1), `< A text=${encodeURIComponent(second)}`, 'read', ...answered(2)],
      ...['< A', ...ENDED],
    ],
  });
  const exchanges = () =>
    parseNdjson(collector.read('requests.ndjson')).map((row) => [
      row['url_path'],
      row['request_transfer_reordering_seconds'],
    ]);
  await until(() => exchanges().length === 2, { what: 'both requests have their line' });
  t.match(await collector.stop(), { code: 0 });
  // the first byte of the first one came last
  t.strictSame(exchanges(), [
    ['/a', 0],
    ['/b', 0],
  ]);
});

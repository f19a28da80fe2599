// --packets: what has a line in packets.log, and that what is counted does not depend on it. Several
// collectors watch the same traffic at the same time.
import t, { type Test } from 'tap';
import { logLines, PROM } from '../support/account.js';
import { startCollector, type Collector } from '../support/collector.js';
import { createNamespace } from '../support/netns.js';
import { select, total, type Sample } from '../support/samples.js';
import { needsRoot } from '../support/skip.js';
import { runHttp, runTcp } from '../support/traffic.js';

const REQUESTS = 23;
const WORDS = ['all', 'http', 'none'] as const;
type Word = (typeof WORDS)[number];

/** What is counted of packets, connections and requests, and may not depend on lines. */
const COUNTED = [
  'netwatch_packet_layer_duration_seconds_count',
  'netwatch_tcp_segments_total',
  'netwatch_tcp_connections_total',
  'netwatch_tcp_io_bytes_total',
  'http_server_request_duration_seconds_count',
  'http_client_request_duration_seconds_count',
] as const;

const counted = (samples: readonly Sample[]): Record<string, number> =>
  Object.fromEntries(
    COUNTED.flatMap((name) =>
      select(samples, name).map(({ labels, value }) => [
        `${name} ${JSON.stringify(labels)}`,
        value,
      ]),
    ),
  );

/** HTTP and other traffic, watched by a collector for each word; what they have at the end. */
async function watch(t: Test, options: readonly string[]): Promise<Record<Word, Collector>> {
  const namespace = createNamespace(t);
  const start = (word: Word): Promise<Collector> =>
    startCollector(t, namespace, ['-q', ...options, '--packets', word]);
  const collectors = {
    all: await start('all'),
    http: await start('http'),
    none: await start('none'),
  };
  await runHttp(namespace, { connections: 2, total: REQUESTS });
  await runTcp(namespace, { connections: 3, rounds: 11, requestBytes: 3000 });
  for (const word of WORDS) {
    t.match(await collectors[word].stop(), { code: 0 }, word);
    t.match(collectors[word].stderr(), /nothing lost/, word);
  }
  return collectors;
}

const lines = ({ dataFolder }: Collector, log: string): string[] => logLines(dataFolder, log);

t.test(
  'without lines of packets all that is counted is the same',
  { skip: needsRoot },
  async (t) => {
    const { all, http, none } = await watch(t, ['-x', '-r', '-t', '-i', '-e', '--ndjson']);
    const withHead = lines(all, 'packets.log').filter((line) => !line.includes('http_info="-"'));
    t.equal(withHead.length, 4 * REQUESTS, 'a request and a response, at both ends');
    // each measures times by itself
    const own = (line: string): string => line.replace(/_time="[^"]*"| \d+$/g, '');
    t.strictSame(lines(http, 'packets.log').map(own).sort(), withHead.map(own).sort());
    t.strictSame(lines(none, 'packets.log'), []);
    t.equal(none.read('packets.ndjson'), '');
    const expected = counted(all.samples(PROM));
    t.ok(Object.keys(expected).length > 15);
    for (const other of [http, none]) t.strictSame(counted(other.samples(PROM)), expected);
    for (const collector of [all, http, none])
      t.equal(lines(collector, 'requests.log').length, 2 * REQUESTS);
    const records = (of: Collector, source: string): number =>
      total(of.samples(PROM), 'netwatch_events_total', { source });
    t.equal(records(http, 'packet'), 4 * REQUESTS);
    t.equal(records(none, 'packet'), 0);
    t.equal(
      records(none, 'http'),
      4 * REQUESTS,
      'at both ends the head of a request and an exchange',
    );
    t.match(http.stderr(), /^netwatch: [\d.]+ s: \d+ connections closed, /m);
  },
);

t.test(
  'a filter by process counts the same without lines of packets',
  { skip: needsRoot },
  async (t) => {
    const { all, http, none } = await watch(t, ['-t', '-i', '--comm', 'node']);
    const expected = counted(all.samples(PROM));
    t.ok(total(all.samples(PROM), 'netwatch_packet_layer_duration_seconds_count') > 100);
    for (const other of [http, none]) t.strictSame(counted(other.samples(PROM)), expected);
    t.strictSame(lines(none, 'packets.log'), []);
  },
);

t.test(
  'where nothing is asked of packets, no program sees them',
  { skip: needsRoot },
  async (t) => {
    const namespace = createNamespace(t);
    const collector = await startCollector(t, namespace, ['-x', '-r', '--packets', 'none']);
    await runTcp(namespace, { connections: 3 });
    t.match(await collector.stop(), { code: 0 });
    const samples = collector.samples(PROM);
    t.strictSame(select(samples, 'netwatch_bpf_program_attached', { source: 'packet' }), []);
    t.equal(total(samples, 'netwatch_tcp_connections_total'), 6);
    t.equal(collector.stdout(), '', 'no table either');
  },
);

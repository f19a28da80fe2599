/** What the collector makes of exchanges: lines, objects, counts of parts, how long connecting took. */
import t from 'tap';
import { HTTP_OUTCOME, UNEXPLAINED } from '../src/generated/packet.js';
import { ExchangeText } from '../src/collector/exchange-text.js';
import { UnitTotals } from '../src/collector/state/unit-totals.js';
import { Requests } from '../src/collector/requests.js';
import { addRequests } from '../src/collector/state/requests.js';
import { ByteWriter } from '../src/metrics/bytes.js';
import type { PlainText } from '../src/metrics/lines.js';
import { familyOf, LABEL_VALUES } from '../src/metrics/families.js';
import { logHeader } from '../src/metrics/exposition.js';
import { Snapshot } from '../src/metrics/snapshot.js';
import { causeOf, outcomeOf, PARTS, placesOf, SIDES } from '../src/sources/exchange.js';
import { ExchangeParts, partBucket } from '../src/sources/exchange-parts.js';
import { Handshakes } from '../src/sources/handshakes.js';
import { RequestLines } from '../src/sources/request-lines.js';
import { CONNECTION } from './fixtures/records.js';
import {
  CLIENT,
  exchangeRecord,
  headRecord,
  SERVER,
  type ExchangeFields,
} from './support/exchanges.js';
import { parseExposition } from './support/samples.js';

const WALL_MS = 1_700_000_000_000;
const toWallMs = (ns: number): number => WALL_MS + Math.floor(ns / 1e6);

function pathOf(line: string): string | PlainText | null {
  const lines = new RequestLines();
  lines.add(headRecord({ line }), 0);
  return lines.pathIn(lines.takeSlot(exchangeRecord(), 0));
}

function lineOf(
  fields: ExchangeFields,
  request: string | null,
  connectNs: number | null = null,
): string {
  const text = new ExchangeText(new ByteWriter(), toWallMs);
  text.add(exchangeRecord(fields), 0, request === null ? null : pathOf(request), connectNs);
  return text.lines.view().toString();
}

const ODD = 'GET /a"b\\c/17?token=x HTTP/1.1';

t.test(
  'an exchange is a line with its parts in seconds, and no label for what is not known',
  (t) => {
    const line = lineOf(
      {
        tsNs: 5_000_000,
        durationNs: 21_000_001,
        partNs: [1_000_000, 2_000_000, 0, 12_000_001, 4_000_000, 2_000_000],
        inside: { runQueueNs: 1000, deliveryNs: 250_000_000 },
        comm: 'ngi"nx',
        early: true,
        retransmits: 2,
      },
      ODD,
    );
    t.equal(
      line,
      'netwatch_http_exchange_seconds{sock="ffff881200000040",src="10.0.0.1:80",dst="10.0.0.2:40000",' +
        'side="server",http_request_method="GET",outcome="answered",pid="4711",process="ngi\\"nx",' +
        'url_path="/a\\"b\\\\c/17",http_response_status_code="200",request_transfer_seconds="0.001",' +
        'receive_queue_seconds="0.002",receive_queue_run_queue_seconds="0.000001",' +
        'behind_seconds="0",application_seconds="0.012000001",response_write_seconds="0.004",' +
        'send_wait_seconds="0.002",delivery_seconds="0.25",retransmits="2",early="1"} ' +
        `0.021000001 ${WALL_MS + 5}\n`,
    );
    const broken = lineOf(
      {
        ...{ role: CLIENT, pid: 0, status: 0, outcome: HTTP_OUTCOME.NW_HTTP_CLOSED },
        ...{ partNs: [], unexplained: UNEXPLAINED.NW_UNEXPLAINED_OLD },
      },
      null,
      1_500_000,
    );
    t.equal(
      broken,
      'netwatch_http_exchange_seconds{sock="ffff881200000040",src="10.0.0.2:40000",dst="10.0.0.1:80",' +
        'side="client",http_request_method="GET",outcome="closed",retransmits="0",' +
        `connect_seconds="0.0015",partly_explained="old"} 0.001 ${WALL_MS}\n`,
    );
    t.end();
  },
);

t.test('lines are valid exposition with the labels of their family', (t) => {
  const all = { reorderingNs: 1, runQueueNs: 2, sendBufferNs: 3, sendRetransmitNs: 4 };
  const inside = { ...all, receiveWindowNs: 8, waitRetransmitNs: 5, networkNs: 6, deliveryNs: 7 };
  const text = SIDES.map((side) =>
    lineOf({ role: side === 'server' ? SERVER : CLIENT, inside }, ODD, 9),
  ).join('');
  const { samples } = parseExposition(logHeader('requests').toString() + text, { log: true });
  const { labels, optional } = familyOf('netwatch_http_exchange_seconds');
  t.equal(samples.length, 2);
  for (const { labels: found } of samples) {
    t.strictSame(
      Object.keys(found).filter((name) => ![...labels, ...optional].includes(name)),
      [],
    );
    t.ok(labels.every((name) => name in found));
  }
  const names = samples.flatMap((sample) => Object.keys(sample.labels));
  for (const side of SIDES)
    for (const { name } of placesOf(side)) t.ok(names.includes(`${name}_seconds`), name);
  t.end();
});

t.test('a part counts in the first bucket whose bound is no less', (t) => {
  const { buckets } = familyOf('netwatch_http_request_part_seconds');
  for (const [i, bound] of buckets.entries()) {
    const ns = Math.round(bound * 1e9);
    t.strictSame([partBucket(ns), partBucket(ns + 1)], [i, i + 1], `${bound} s`);
  }
  t.strictSame([partBucket(0), partBucket(1), partBucket(1e15)], [0, 0, buckets.length]);
  t.strictSame([buckets[0], buckets.at(-1)], [0.000064, 16.777216]);
  t.end();
});

t.test('parts, what has no answer and what is not explained are counted', (t) => {
  const counts = new ExchangeParts();
  const add = (fields: ExchangeFields): void => {
    counts.add(exchangeRecord(fields), 0);
  };
  add({ durationNs: 1_000_000, partNs: [0, 0, 0, 900_000, 0, 100_000] });
  add({ durationNs: 2_000_000, partNs: [0, 0, 0, 2_000_000, 0, 0] });
  const { NW_HTTP_RESET } = HTTP_OUTCOME;
  const { NW_UNEXPLAINED_UNFINISHED: unexplained } = UNEXPLAINED;
  const broken = { role: CLIENT, serverPort: 8080, outcome: NW_HTTP_RESET, unexplained };
  add({ ...broken, durationNs: 7, partNs: [64_001] });
  add({ ...broken, durationNs: 7, partNs: [] });
  const snapshot = new Snapshot();
  addRequests(snapshot, counts, 3);
  const text = snapshot.text().toString();
  const lines = text.split('\n').filter((line) => !/^#|_bucket/.test(line));
  const part = (side: string, name: string, port: number, sum: string, count: number): string[] => [
    `netwatch_http_request_part_seconds_sum{side="${side}",part="${name}",server_port="${port}"} ${sum}`,
    `netwatch_http_request_part_seconds_count{side="${side}",part="${name}",server_port="${port}"} ${count}`,
  ];
  t.strictSame(lines.slice(0, -1), [
    ...part('server', 'request_transfer', 80, '0', 2),
    ...part('server', 'receive_queue', 80, '0', 2),
    ...part('server', 'behind', 80, '0', 2),
    ...part('server', 'application', 80, '0.0029', 2),
    ...part('server', 'response_write', 80, '0', 2),
    ...part('server', 'send_wait', 80, '0.0001', 2),
    ...part('client', 'request_write', 8080, '0.000064001', 1),
    'netwatch_http_requests_unanswered_total{side="client",outcome="reset"} 2',
    'netwatch_http_requests_partly_explained_total{cause="unfinished"} 2',
    'netwatch_events_lost_total{source="request_lines",stage="map_full"} 3',
  ]);
  t.match(text, /part="request_write",server_port="8080",le="6.4e-05"} 0\n/);
  t.match(text, /part="request_write",server_port="8080",le="0.000128"} 1\n/);
  t.equal(counts.totals('server').durations.at(0.5), 1_000_000);
  t.strictSame(counts.totals('server').partNs, [0, 0, 0, 2_900_000, 0, 100_000]);
  t.end();
});

t.test('ports are bounded: those that find no room are counted together', (t) => {
  const counts = new ExchangeParts();
  for (let serverPort = 1; serverPort <= 100; serverPort++)
    counts.add(exchangeRecord({ serverPort }), 0);
  const ports = counts.parts().filter(({ part }) => part === 'application');
  t.equal(ports.length, 65);
  t.equal(ports.at(-1)?.serverPort, 0);
  t.equal(
    ports.at(-1)?.buckets.reduce((sum, count) => sum + count, 0),
    36,
  );
  t.end();
});

t.test('the closed lists of labels have every part, outcome and cause', (t) => {
  const parts: readonly string[] = LABEL_VALUES.part;
  const names = new Set(SIDES.flatMap((side) => PARTS[side].map(({ name }) => name)));
  t.strictSame([...names].sort(), parts.toSorted());
  const outcomes: readonly string[] = LABEL_VALUES.outcome;
  t.strictSame(Object.values(HTTP_OUTCOME).map(outcomeOf), outcomes);
  const causes: readonly string[] = LABEL_VALUES.cause;
  for (const code of Object.values(UNEXPLAINED)) t.ok(causes.includes(causeOf(code) ?? 'lost'));
  t.end();
});

const OPEN = { ...CONNECTION, openNs: 1000, handshakeNs: 300 };

t.test('how long connecting took is known once, of the connection that was there then', (t) => {
  const handshakes = new Handshakes(2);
  handshakes.opened(OPEN);
  t.equal(handshakes.take(OPEN.sock, 999), null, 'a request that began before');
  t.equal(handshakes.take(OPEN.sock, 1000), 300);
  t.equal(handshakes.take(OPEN.sock, 1001), null, 'once');
  handshakes.opened(OPEN);
  handshakes.opened({ ...OPEN, openNs: 5000, handshakeNs: 400 });
  t.equal(handshakes.take(OPEN.sock, 2000), 300, 'of the one before');
  t.equal(handshakes.take(OPEN.sock, 5001), 400);
  for (const more of [1, 2, 3]) handshakes.opened({ ...OPEN, sock: OPEN.sock + 8 * more });
  t.equal(handshakes.take(OPEN.sock + 8, 2000), null, 'it had to make room');
  t.equal(handshakes.take(OPEN.sock + 24, 2000), 300);
  handshakes.opened({ ...OPEN, role: 2 });
  handshakes.opened({ ...OPEN, handshakeNs: null });
  t.equal(handshakes.take(OPEN.sock, 2000), null);
  t.end();
});

t.test('the three slowest are kept with their requests', (t) => {
  const handshakes = new Handshakes();
  const requests = new Requests('full', {
    ...{ log: null, ndjson: null, toWallMs, handshakes },
    namesOf: () => null,
    units: new UnitTotals(),
  });
  for (const [number, ms] of [3, 9, 1, 7, 8, 2].entries()) {
    requests.head(headRecord({ number, line: `GET /${ms} HTTP/1.1` }), 0);
    requests.exchange(exchangeRecord({ number, durationNs: ms * 1e6 }), 0);
  }
  requests.flush();
  t.strictSame(
    requests.slowest.map(({ request, durationNs }) => [request?.target, durationNs]),
    [
      ['/9', 9_000_000],
      ['/8', 8_000_000],
      ['/7', 7_000_000],
    ],
  );
  t.end();
});

/** Durations of requests in fine bounds: that what people are shown of them is what was measured. */
import t from 'tap';
import { addRequestDurations } from '../src/collector/state/requests.js';
import { familyOf } from '../src/metrics/families.js';
import { Snapshot } from '../src/metrics/snapshot.js';
import { durationBucket, RequestDurations } from '../src/sources/request-durations.js';
import { quantile } from '../src/page/model/histogram.js';
import { CLIENT, exchangeRecord, SERVER } from './support/exchanges.js';

const NAME = 'netwatch_http_request_duration_seconds';
const { buckets: BOUNDS } = familyOf(NAME);
const NS_PER_S = 1e9;

t.test('bounds are less than 10 % apart, from 16 us to a minute', (t) => {
  t.equal(BOUNDS.length, 177);
  t.strictSame([BOUNDS[0], BOUNDS[1], BOUNDS.at(-1)], [0.000016, 0.0000174, 67.1]);
  const ratios = BOUNDS.slice(1).map((bound, i) => bound / BOUNDS[i]!);
  t.ok(Math.max(...ratios) < 1.1, `${Math.max(...ratios)}`);
  t.ok(Math.min(...ratios) > 1.08, `${Math.min(...ratios)}`);
  t.end();
});

t.test('a duration counts in the first bound that is no less', (t) => {
  for (const [i, bound] of BOUNDS.entries()) {
    const ns = Math.round(bound * NS_PER_S);
    t.strictSame([durationBucket(ns), durationBucket(ns + 1)], [i, i + 1], `${bound} s`);
  }
  t.strictSame([durationBucket(0), durationBucket(1), durationBucket(1e15)], [0, 0, BOUNDS.length]);
  t.end();
});

/** What is written of servers on port 80 when requests took so many seconds. */
function countsOf(durations: readonly number[]): readonly number[] {
  const all = new RequestDurations();
  for (const seconds of durations)
    all.add(exchangeRecord({ durationNs: Math.round(seconds * NS_PER_S) }), 0);
  const snapshot = new Snapshot();
  addRequestDurations(snapshot, all);
  const [only, ...others] = snapshot.histogramsOf(NAME);
  if (only === undefined || others.length > 0) throw new Error('one series was expected');
  return only.counts;
}

t.test('a quantile that is shown is within 10 % of the values themselves', (t) => {
  const spread = (from: number, to: number): number[] =>
    Array.from({ length: 1000 }, (_, i) => from * (to / from) ** (i / 999));
  const cases: Readonly<Record<string, readonly number[]>> = {
    'a fast service': new Array<number>(50).fill(0.0001),
    'one request of 1.23 s': [1.23],
    'all between 80 us and 300 us': spread(0.00008, 0.0003),
    'from 20 us to a minute': spread(0.00002, 60),
    'two kinds': [...new Array<number>(900).fill(0.0007), ...new Array<number>(100).fill(0.31)],
  };
  for (const [what, values] of Object.entries(cases)) {
    const counts = countsOf(values);
    for (const q of [0.5, 0.95, 0.99]) {
      const exact = values.toSorted((a, b) => a - b)[Math.ceil(q * values.length) - 1]!;
      const shown = quantile(q, { bounds: BOUNDS, counts }) ?? NaN;
      t.ok(Math.abs(shown / exact - 1) < 0.1, `${what}, ${q}: ${shown} for ${exact}`);
    }
  }
  t.end();
});

t.test('sides and ports are apart, and ports are bounded', (t) => {
  const all = new RequestDurations();
  for (const role of [SERVER, CLIENT])
    for (let serverPort = 1; serverPort <= 20; serverPort++)
      all.add(exchangeRecord({ role, serverPort, durationNs: 3 }), 0);
  const counts = all.counts();
  t.equal(counts.length, 2 * 17);
  const shared = counts.filter(({ serverPort }) => serverPort === 0);
  t.strictSame(
    shared.map(({ side, sumNs }) => [side, sumNs]),
    [
      ['server', 12],
      ['client', 12],
    ],
  );
  const snapshot = new Snapshot();
  addRequestDurations(snapshot, all);
  t.match(snapshot.text().toString(), `${NAME}_count{side="client",server_port="_OTHER"} 4\n`);
  t.end();
});

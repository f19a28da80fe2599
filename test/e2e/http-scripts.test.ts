// HTTP whose both ends are scripted (test/fixtures/http_scripts.py): slow and broken ends, resets in each
// phase, what looks like HTTP and is not. Both sides count what the scripts have done, or say what is lost.
import { join } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import t from 'tap';
import { dropPackets, plainDevice } from '../../scripts/traffic/faults.js';
import { startCollector } from '../support/collector.js';
import { createNamespace, type Namespace, type Teardown } from '../support/netns.js';
import { select, total, type Sample } from '../support/samples.js';
import { needsCommands, needsRoot } from '../support/skip.js';
import { untilWhole } from '../support/tries.js';

const skip = needsRoot || needsCommands('python3');
const PROGRAM = join(import.meta.dirname, '../fixtures/http_scripts.py');
const SIDES = ['server', 'client'] as const;

type Counts = Readonly<Record<string, number>>;

/** Requests at either side, by status and error_type. */
const EXPECTED: Readonly<Record<string, Counts>> = {
  plain: { 200: 1 },
  'request-by-the-byte': { 200: 1 },
  'response-by-the-byte': { 200: 1 },
  'split-everywhere': { 200: 6 },
  trailers: { 200: 2 },
  'client-resets-in-a-head': {},
  'client-resets-in-a-body': { reset: 1 },
  'client-resets-before-the-response': { reset: 1 },
  'client-resets-in-the-response': { '200 reset': 1 },
  'server-resets-before-the-response': { reset: 1 },
  'server-resets-in-the-head': { reset: 1 },
  'server-resets-in-the-body': { '200 reset': 1 },
  'server-closes-before-the-response': { closed: 1 },
  'server-closes-in-the-body': { '200 truncated': 1 },
  'body-until-close': { 200: 1 },
  '100-continue': { 200: 1 },
  '103-early-hints': { 200: 1 },
  'pipelined-head-304-204': { 200: 2, 204: 1, 304: 1 },
  'pipelined-and-reset': { 200: 2, reset: 3 },
  'pipelined-300': { 200: 300 },
  'line-feeds-alone': { 200: 1 },
  'head-of-64-kb': { 200: 2 },
  upgrade: { 101: 1 },
  connect: { 200: 1 },
  'connect-denied': { 200: 1, 407: 1 },
  noise: {},
  tls: {},
  'http-2': {},
  '413-before-the-body': { 413: 1 },
  'chunked-with-a-length': { 200: 2 },
  'client-shuts-down': { 200: 1 },
  'http-1.0': { 200: 1 },
};

async function play(namespace: Namespace, names: readonly string[]): Promise<Counts> {
  const stdout = await namespace.exec('python3', [PROGRAM, ...names]);
  return JSON.parse(stdout) as Counts;
}

/** What one side has counted at a port. */
function countsAt(state: readonly Sample[], side: (typeof SIDES)[number], port: number): Counts {
  const counts: Record<string, number> = {};
  const family = `http_${side}_request_duration_seconds_count`;
  for (const { labels, value } of select(state, family, { server_port: String(port) })) {
    if (value === 0) continue;
    const { http_response_status_code: status = '', error_type: error = '' } = labels;
    const key = `${status} ${/^\d+$/.test(error) ? '' : error}`.trim();
    counts[key] = (counts[key] ?? 0) + value;
  }
  return counts;
}

type Seen = Readonly<Record<string, Counts>>;

async function watch(t: Teardown, options: readonly string[]): Promise<Seen> {
  const namespace = createNamespace(t);
  const collector = await startCollector(t, namespace, ['-q', '--interval', '3600', ...options]);
  const ports = await play(namespace, []);
  await collector.stop();
  const state = collector.samples('netwatch.prom');
  const entries = Object.entries(ports).flatMap(([name, port]) =>
    SIDES.map((side) => [`${name} (${side})`, countsAt(state, side, port ?? 0)] as const),
  );
  const lost = total(state, 'netwatch_http_responses_unmatched_total');
  const waiting = SIDES.map((side) => total(state, `http_${side}_active_requests`));
  return { ...Object.fromEntries(entries), rest: { lost, waiting: waiting[0]! + waiting[1]! } };
}

const WANTED: Seen = {
  ...Object.fromEntries(
    Object.entries(EXPECTED).flatMap(([name, counts]) =>
      SIDES.map((side) => [`${name} (${side})`, counts]),
    ),
  ),
  rest: { lost: 0, waiting: 0 },
};

for (const options of [['-i'], ['-x', '-r', '-t', '-i', '-e']])
  t.test(`with ${options.join(' ')} both sides count what the scripts do`, { skip }, async (t) => {
    const seen = await untilWhole(
      t,
      (t) => watch(t, options),
      (seen) => isDeepStrictEqual(seen, WANTED),
    );
    t.strictSame(seen, WANTED);
  });

/** Many small segments, so that some get lost in the middle of a head. */
const SMALL = ['request-by-the-byte', 'response-by-the-byte', 'split-everywhere'];
const REQUESTS = 8;

t.test(
  'where segments of heads come late, a request is counted or said to be lost',
  { skip: skip || needsCommands('nft') },
  async (t) => {
    let lost = 0;
    // which segments it is decides what is lost
    for (const kth of [[3, 20], [40], [45, 90, 200], [7, 60, 130, 260]]) {
      const namespace = createNamespace(t);
      plainDevice(namespace);
      const collector = await startCollector(t, namespace, ['-q', '-i', '--interval', '3600']);
      const rules = [8101, 8102, 8103].flatMap((port) => [
        dropPackets(namespace, { to: port, kth }),
        dropPackets(namespace, { from: port, kth }),
      ]);
      await play(namespace, SMALL);
      for (const rule of rules) rule.remove();
      await collector.stop();
      const state = collector.samples('netwatch.prom');
      for (const side of SIDES) {
        const answered = total(state, `http_${side}_request_duration_seconds_count`, {
          http_response_status_code: '200',
        });
        const all = total(state, `http_${side}_request_duration_seconds_count`);
        const unmatched = total(state, 'netwatch_http_responses_unmatched_total', { side });
        t.equal(all, answered, `${side}: none is said to be closed or reset, ${kth.join()}`);
        t.equal(answered + unmatched, REQUESTS, `${side}: each is told of, ${kth.join()}`);
        lost += unmatched;
      }
    }
    t.ok(lost > 0, 'some were lost: it was tried');
  },
);

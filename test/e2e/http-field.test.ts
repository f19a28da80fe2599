// Exchanges that HTTP watchers are known to count wrongly, by what must hold. The witness is the script that
// plays them.
import t from 'tap';
import { startCollector } from '../support/collector.js';
import { counted, play, PORT, SIDES, stopped, TIMES } from '../support/http-play.js';
import { createNamespace } from '../support/netns.js';
import { total, type Sample } from '../support/samples.js';
import { needsCommands, needsRoot } from '../support/skip.js';

const skip = needsRoot || needsCommands('python3');
/** As play.py has it. */
const BODY = 1_000_003;

type Counts = Readonly<Record<string, number>>;

/** What must hold: how play.py calls it, what is counted at either end, and the bytes of the bodies. */
const CASES: Readonly<Record<string, readonly [kind: string, counts: Counts, bodyBytes?: number]>> =
  {
    'a client that goes before the answer leaves one exchange, without a status': [
      'given-up',
      { 'GET - closed': TIMES },
    ],
    'interim responses end nothing, not even in one segment with the final one': [
      'interim',
      { 'GET 200 -': 2 * TIMES },
      2 * TIMES * 2,
    ],
    'an answer that is not copied is whole': ['without-copy', { 'GET 200 -': 6 }, 6 * BODY],
    // whole, at nine places around 512 and around 1,024, at four before the end; fewer where these meet
    'a head of any size may be cut anywhere': ['seams', { 'GET 200 -': 14 + 14 + 15 + 23 + 23 }],
    'an answer may follow a half-close': ['half-closed', { 'GET 200 -': 1 }, BODY],
    'a segment may hold one byte': ['in-pieces', { 'GET 200 -': 2 }, 4],
    'a deferred accept may begin with any number of requests': [
      'deferred',
      { 'GET 200 -': 1 + 4 + 5 + 32 },
    ],
    'heads that never end are no answered exchanges, and disturb none': [
      'slow-heads',
      { 'GET - closed': TIMES, 'GET 200 -': 1 },
    ],
  };

const bodies = (state: readonly Sample[], side: string, port: number): number =>
  total(state, `http_${side}_response_body_size_bytes_sum`, { server_port: String(port) });

t.test(
  'exchanges that are easy to get wrong are counted right at both ends',
  { skip },
  async (t) => {
    const namespace = createNamespace(t);
    const collector = await startCollector(t, namespace, ['-i', '-q']);
    const cases = Object.entries(CASES);
    for (const [at, [, [kind]]] of cases.entries()) await play(namespace, kind, PORT + at).ended();
    const state = await stopped(t, collector);
    for (const [at, [name, [, counts, bodyBytes]]] of cases.entries())
      for (const side of SIDES) {
        t.strictSame(counted(state, side, PORT + at), counts, `${name} (${side})`);
        if (bodyBytes !== undefined) t.equal(bodies(state, side, PORT + at), bodyBytes, name);
      }
    t.equal(total(state, 'netwatch_http_responses_unmatched_total'), 0);
    t.equal(total(state, 'netwatch_http_resyncs_total'), 0);
  },
);

t.test('a request inherits no start from the one before in its place', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const collector = await startCollector(t, namespace, ['-i', '-q']);
  const player = play(namespace, 'never-answered');
  const seconds = Number(await player.line());
  await player.ended();
  const state = await stopped(t, collector);
  for (const side of SIDES) {
    t.strictSame(counted(state, side), { 'GET - closed': 1, 'GET 200 -': 1 });
    const labels = { http_response_status_code: '200' };
    const took = total(state, `http_${side}_request_duration_seconds_sum`, labels);
    t.ok(took > 0 && took <= seconds, `${took} s of ${seconds} s`);
  }
});

t.test(
  'a connection taken over within a chunked body is read from its end on',
  { skip },
  async (t) => {
    const namespace = createNamespace(t);
    const player = play(namespace, 'older-chunks');
    await player.ready();
    const collector = await startCollector(t, namespace, ['-i', '-q']);
    player.go();
    await player.ended();
    const state = await stopped(t, collector);
    for (const side of SIDES) t.strictSame(counted(state, side), { 'GET 200 -': 10 * TIMES });
  },
);

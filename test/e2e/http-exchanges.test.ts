// Exchanges that end oddly, begin oddly, or were there before netwatch: each is counted, and nothing in
// silence. The witness is the script that plays them.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { startCollector } from '../support/collector.js';
import { counted, play, PORT, SIDES, stopped, TIMES } from '../support/http-play.js';
import { createNamespace } from '../support/netns.js';
import { parseNdjson } from '../support/ndjson.js';
import { select, total } from '../support/samples.js';
import { needsCommands, needsRoot } from '../support/skip.js';

const skip = needsRoot || needsCommands('python3', 'nft');

const FROM_THE_BEGINNING: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  reset: { 'GET - reset': TIMES },
  'given-up': { 'GET - closed': TIMES },
  cut: { 'GET 200 truncated': TIMES },
  'cut-chunk': { 'GET 200 reset': TIMES },
  'body-unread': { 'POST 200 -': TIMES },
  pipelined: { 'HEAD 200 -': 334, 'GET 200 -': 666 },
  urgent: { 'GET 200 -': 1 },
  proxied: { 'GET 200 -': 4 },
};

t.test('exchanges that end or begin oddly are counted at both ends', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const collector = await startCollector(t, namespace, ['-i', '-q']);
  const cases = Object.entries(FROM_THE_BEGINNING);
  for (const [at, [kind]] of cases.entries()) await play(namespace, kind, PORT + at).ended();
  const state = await stopped(t, collector);
  for (const [at, [kind, wanted]] of cases.entries())
    for (const side of SIDES)
      t.strictSame(counted(state, side, PORT + at), wanted, `${kind} at the ${side}`);
  t.equal(total(state, 'netwatch_http_responses_unmatched_total'), 0);
  t.equal(total(state, 'netwatch_http_resyncs_total'), 0);
});

const OLDER: Readonly<Record<string, Readonly<Record<string, number>>>> = {
  'older-in-two': { 'GET 200 -': 2 * TIMES },
  'older-closing': { 'GET 200 -': TIMES },
  'older-lower-case': { '_OTHER 200 -': TIMES },
  'older-download': { 'GET 200 -': TIMES },
  'older-upload': { 'GET 200 -': TIMES },
};

t.test('connections older than netwatch are read right', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const cases = Object.entries(OLDER);
  const players = cases.map(([kind], at) => play(namespace, kind, PORT + at));
  for (const player of players) await player.ready();
  const collector = await startCollector(t, namespace, ['-i', '-q']);
  for (const player of players) {
    player.go();
    await player.ended();
  }
  const state = await stopped(t, collector);
  for (const [at, [kind, wanted]] of cases.entries())
    for (const side of SIDES)
      t.strictSame(counted(state, side, PORT + at), wanted, `${kind} at the ${side}`);
  const taken = { taken_for: 'midstream' };
  t.equal(total(state, 'netwatch_http_connections_total', taken), cases.length * 2 * TIMES);
  // the uploads had begun before: their answers have no request that is known
  for (const side of SIDES)
    t.equal(
      total(state, 'netwatch_http_responses_unmatched_total', { side, cause: 'midstream' }),
      TIMES,
    );
});

t.test('a request that is never acknowledged ends with the timeout', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const collector = await startCollector(t, namespace, ['-i', '-q']);
  const player = play(namespace, 'timed-out');
  await player.ready();
  const rules = `add table ip t
    add chain ip t c { type filter hook input priority 0; }
    add rule ip t c tcp dport ${PORT} drop`;
  await namespace.exec('nft', ['-f', '-'], { input: rules });
  player.go();
  await player.ended();
  const state = await stopped(t, collector);
  t.strictSame(counted(state, 'client'), { 'GET 200 -': 1, 'GET - timeout': 1 });
  t.strictSame(counted(state, 'server'), { 'GET 200 -': 1 });
});

t.test('connections are counted by what their first bytes are', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const collector = await startCollector(t, namespace, ['-i', '-q']);
  await play(namespace, 'first-bytes').ended();
  const state = await stopped(t, collector);
  const taken: Record<string, number> = Object.fromEntries(
    select(state, 'netwatch_http_connections_total').map(({ labels, value }) => [
      String(labels['taken_for']),
      value,
    ]),
  );
  t.strictSame(taken, { http: 4, http2: 2, tls: 2, other: 4, midstream: 0, tunnel: 2 });
});

t.test('an answer without a request is counted as that', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const collector = await startCollector(t, namespace, ['-i', '-q']);
  await play(namespace, 'unasked').ended();
  const state = await stopped(t, collector);
  for (const side of SIDES) {
    t.strictSame(counted(state, side), {});
    const unmatched = { side, cause: 'unasked' };
    t.equal(total(state, 'netwatch_http_responses_unmatched_total', unmatched), 1);
  }
});

t.test('requests under way are shown until they are answered', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const collector = await startCollector(t, namespace, ['-i', '-q']);
  const player = play(namespace, 'waiting');
  for (const waiting of [2, 1]) {
    await player.ready();
    const state = await collector.pulled();
    for (const side of SIDES) t.equal(total(state, `http_${side}_active_requests`), waiting);
    player.go();
  }
  await player.ended();
  await stopped(t, collector);
});

t.test('who speaks through a proxy is named with each head', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const collector = await startCollector(t, namespace, ['-i', '-q', '--ndjson']);
  await play(namespace, 'proxied').ended();
  await stopped(t, collector);
  const text = readFileSync(join(collector.dataFolder, 'packets.ndjson'), 'utf8');
  const clients = parseNdjson(text)
    .filter((line) => typeof line['http_info'] === 'string')
    .map((line) => `${String(line['client_address'])}:${String(line['client_port'])}`);
  t.strictSame([...new Set(clients)].sort(), ['192.0.2.1:5000', '192.0.2.9:5001']);
  t.equal(clients.length, 2 * 2 * 4);
});

t.test('--targets none writes no target into any file', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const args = ['-i', '-q', '--ndjson', '--targets', 'none'];
  const collector = await startCollector(t, namespace, args);
  await play(namespace, 'unfolded').ended();
  await stopped(t, collector);
  for (const file of ['packets.log', 'packets.ndjson']) {
    const text = readFileSync(join(collector.dataFolder, file), 'utf8');
    t.match(text, /GET \* HTTP\/1\.1/);
    t.notMatch(text, /jane/);
  }
});

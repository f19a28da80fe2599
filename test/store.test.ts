/** The store: a directory served from memory, as it changes, breaks, grows old and goes away. */
import {
  chmodSync,
  mkdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import t, { type Test } from 'tap';
import { keyOf } from '../src/serve/body.js';
import { wholeOf } from '../src/serve/render.js';
import { WaitingBodies } from '../src/serve/waiting-bodies.js';
import { openStore, type StoreOptions } from '../src/serve/store.js';
import type { MetricsRequest, Store } from '../src/serve/store-interface.js';
import type { PageSnapshot } from '../src/serve/types.js';
import { Snapshot } from '../src/metrics/snapshot.js';
import { writePromFile } from '../src/sinks/prom-file.js';
import { temporaryFolder } from './support/collector.js';
import { until } from './support/wait.js';
import { parseExposition } from './support/parse.js';

const START_MS = 1_795_000_000_000;
const OWN = Buffer.from(
  '# HELP netwatch_collector_up up\n# TYPE netwatch_collector_up gauge\nnetwatch_collector_up 1\n',
);
const TEXT: MetricsRequest = { format: 'text', gzip: false, groups: null, own: OWN };
const GAUGE = '# HELP x x\n# TYPE x gauge\n';

/** A store on a directory of its own, and a clock that stands still. */
function storeOn(t: Test, options: Partial<StoreOptions> = {}): Fixture {
  const directory = options.directory ?? join(t.testdir({ data: {}, outside: 'x 1\n' }), 'data');
  const clock = { nowMs: START_MS };
  const store = openStore({ directory, now: () => clock.nowMs, ...options });
  t.teardown(() => store.close());
  return {
    store,
    directory,
    clock,
    write: (name, text, ageMs = 0) => {
      writeFileSync(join(directory, `.${name}.tmp`), text);
      const time = (START_MS - ageMs) / 1000;
      utimesSync(join(directory, `.${name}.tmp`), time, time);
      renameSync(join(directory, `.${name}.tmp`), join(directory, name));
    },
    text: async () => (await whole(store, TEXT)).toString(),
  };
}

/** A body as a client gets it. */
const whole = async (store: Store, request: MetricsRequest): Promise<Buffer> =>
  wholeOf((await store.metrics(request)).parts);

interface Fixture {
  readonly store: Store;
  readonly directory: string;
  readonly clock: { nowMs: number };
  readonly write: (name: string, text: string | Uint8Array, ageMs?: number) => void;
  readonly text: () => Promise<string>;
}

/** What a collector with `intervalSeconds` writes. */
function collected(intervalSeconds: number, events = 1): Buffer {
  const snapshot = new Snapshot();
  snapshot.add('netwatch_collection_interval_seconds', {}, intervalSeconds);
  snapshot.add('netwatch_events_total', { source: 'packet' }, events);
  return snapshot.text();
}

t.test('an empty or missing directory is served as nothing but the own families', async (t) => {
  const parent = t.testdir({ empty: {} });
  for (const name of ['empty', 'missing']) {
    const fixture = storeOn(t, { directory: join(parent, name) });
    await fixture.store.ready;
    t.equal(await fixture.text(), OWN.toString());
    t.strictSame(fixture.store.status(), {
      collector: 'missing',
      writtenMs: null,
      intervalSeconds: null,
      files: [],
    });
  }
});

t.test('a directory that comes later, or is replaced by another, is found', async (t) => {
  const directory = join(t.testdir({}), 'later');
  const { store, text } = storeOn(t, { directory, pollMs: 20 });
  await store.ready;
  mkdirSync(directory);
  writeFileSync(join(directory, 'a.prom'), `${GAUGE}x 1\n`);
  await until(async () => (await text()).includes('\nx 1\n'), { what: 'the file is served' });
  renameSync(directory, `${directory}.old`);
  mkdirSync(directory);
  await until(async () => (await text()) === OWN.toString(), { what: 'the file is gone' });
  writeFileSync(join(directory, 'a.prom'), `${GAUGE}x 2\n`);
  await until(async () => (await text()).includes('\nx 2\n'), { what: 'the other file is served' });
});

t.test('a replaced file is noticed without the poll', async (t) => {
  const { store, text, write } = storeOn(t, { pollMs: 3_600_000 });
  await store.ready;
  write('a.prom', `${GAUGE}x 1\n`);
  await until(async () => (await text()).includes('\nx 1\n'), { what: 'the file is served' });
  write('a.prom', `${GAUGE}x 2\n`);
  await until(async () => (await text()).includes('\nx 2\n'), { what: 'the new one is served' });
});

t.test('a file that cannot be served is left out with a reason, the others stay', async (t) => {
  const said: string[] = [];
  const { store, directory, write, text } = storeOn(t, { say: (message) => said.push(message) });
  write('good.prom', `${GAUGE}x 1\n`);
  write('time.prom', `${GAUGE.replaceAll('x', 'y')}y 1 1795000000000\n`);
  write('two.prom', `${GAUGE}x 2\n`);
  write('own.prom', '# TYPE process_open_fds gauge\nprocess_open_fds 7\n');
  write('.hidden.prom', 'broken');
  write('notes.txt', 'broken');
  mkdirSync(join(directory, 'folder.prom'));
  symlinkSync('../outside', join(directory, 'link.prom'));
  const errors = (): Record<string, string | null> =>
    Object.fromEntries(store.status().files.map(({ name, error }) => [name, error]));
  await until(() => store.status().files.length === 6, { what: 'all files are seen' });
  t.strictSame(errors(), {
    'folder.prom': 'folder.prom is left out: it is not a regular file',
    'good.prom': null,
    'link.prom': 'link.prom is left out: it is a link, which is not followed',
    'own.prom':
      'own.prom is left out: it has process_open_fds, which only the endpoint itself exports',
    'time.prom': 'time.prom is left out: line 3: y has a timestamp',
    'two.prom': 'two.prom is left out: it has a series of x that good.prom has too',
  });
  t.equal(await text(), `${GAUGE}x 1\n${OWN.toString()}`);
  t.strictSame(new Set(said), new Set(Object.values(errors()).filter((error) => error !== null)));
  t.equal(said.length, 5, 'each is said once');
  write('two.prom', `${GAUGE}x{a="2"} 2\n`);
  await until(() => errors()['two.prom'] === null, { what: 'the repaired file is taken' });
  t.equal(await text(), `${GAUGE}x 1\nx{a="2"} 2\n${OWN.toString()}`);
});

t.test('a file that may not be read is an error of that file', async (t) => {
  const directory = temporaryFolder(t);
  chmodSync(directory, 0o777);
  const isRoot = process.geteuid?.() === 0;
  if (isRoot) process.seteuid?.('nobody'); // root may read everything
  t.teardown(() => isRoot && process.seteuid?.(0));
  const { store, write } = storeOn(t, { directory });
  write('closed.prom', `${GAUGE}x 1\n`);
  chmodSync(join(directory, 'closed.prom'), 0);
  const closed = /closed\.prom is left out: it cannot be read: EACCES/;
  await until(() => closed.test(store.status().files[0]?.error ?? ''), { what: 'EACCES' });
  chmodSync(join(directory, 'closed.prom'), 0o644);
  await until(() => store.status().files[0]?.error === null, { what: 'it is served again' });
});

t.test('netwatch.prom grows stale by time alone, and comes back with the next write', async (t) => {
  const { store, clock, write, text } = storeOn(t, { pollMs: 3_600_000 });
  write('netwatch.prom', collected(5));
  write('other.prom', `${GAUGE}x 1\n`);
  await until(() => store.status().files.length === 2, { what: 'both files are seen' });
  t.strictSame(
    { ...store.status(), files: [] },
    {
      collector: 'running',
      writtenMs: START_MS,
      intervalSeconds: 5,
      files: [],
    },
  );
  t.match(await text(), /^netwatch_events_total/m);
  clock.nowMs = START_MS + 15_000;
  t.equal(store.status().collector, 'running', 'three intervals may pass');
  clock.nowMs++;
  t.equal(store.status().collector, 'stale');
  t.equal(await text(), `${GAUGE}x 1\n${OWN.toString()}`, 'the first scrape knows it');
  t.equal(store.status().files[0]?.error, null, 'old is not broken');
  const shown = JSON.parse((await store.snapshotJson()).toString()) as PageSnapshot;
  t.match(shown, { collector: 'stale', writtenMs: START_MS, atMs: START_MS + 15_001 });
  t.strictSame([shown.scalars, shown.histograms, shown.connections], [{}, {}, null]);
  write('netwatch.prom', collected(5, 2), -15_001);
  await until(async () => /^netwatch_events_total.* 2$/m.test(await text()), {
    what: 'it is back',
  });
  t.equal(store.status().collector, 'running');
});

t.test('a collector that is broken or gone is missing, not stale', async (t) => {
  const { store, directory, write } = storeOn(t);
  write('netwatch.prom', collected(5).subarray(0, -1));
  await until(() => store.status().files.length === 1, { what: 'the file is seen' });
  t.match(store.status(), { collector: 'missing', writtenMs: START_MS });
  t.match(store.status().files[0]?.error, /unexpected end of input stream/);
  write('netwatch.prom', collected(5));
  await until(() => store.status().collector === 'running', { what: 'it runs' });
  rmSync(join(directory, 'netwatch.prom'));
  await until(() => store.status().collector === 'missing', { what: 'it is gone' });
  t.equal(store.status().writtenMs, null);
});

t.test('every kind of body is a whole, valid document with the same samples', async (t) => {
  const { store, write } = storeOn(t);
  write('netwatch.prom', collected(5));
  write('other.prom', `${GAUGE}x{a="é"} 1\n# TYPE c_total counter\nc_total 3\n`);
  await until(() => store.status().files.length === 2, { what: 'both files are seen' });
  for (const format of ['text', 'openmetrics'] as const) {
    const plain = await whole(store, { ...TEXT, format });
    const packed = await whole(store, { ...TEXT, format, gzip: true });
    t.strictSame(gunzipSync(packed), plain, `${format}: gzip holds the same`);
  }
  const body = await whole(store, TEXT);
  const { issues, samples } = parseExposition(body);
  t.strictSame(issues, []);
  t.strictSame(
    samples.map(({ name }) => name),
    [
      'c_total',
      'netwatch_collection_interval_seconds',
      'netwatch_events_total',
      'x',
      'netwatch_collector_up',
    ],
  );
  const groups = new Set(['other'] as const);
  const other = await whole(store, { ...TEXT, groups, own: Buffer.alloc(0) });
  t.strictSame([...parseExposition(other).families.keys()], ['c_total', 'x']);
});

t.test('a thousand reads during replacements each give one whole version', async (t) => {
  const { store, directory } = storeOn(t, { now: Date.now });
  const SERIES = 500;
  const version = (n: number): Buffer => {
    const snapshot = new Snapshot();
    for (let i = 0; i < SERIES; i++) snapshot.add('netwatch_map_entries', { map: `m${i}` }, n);
    return snapshot.text();
  };
  await writePromFile(directory, 'netwatch.prom', version(0));
  await until(() => store.status().collector === 'running', { what: 'the first version' });
  let isWriting = true;
  t.teardown(() => (isWriting = false));
  let written = 0;
  const writing = (async () => {
    while (isWriting) await writePromFile(directory, 'netwatch.prom', version(++written));
  })();
  const seen = new Set<number>();
  const broken: string[] = [];
  for (let read = 0; read < 1000 || seen.size < 3; read++) {
    // Requests come with turns of the event loop.
    await nextTurn();
    const gzip = read % 2 === 1;
    const body = await whole(store, { ...TEXT, gzip, own: Buffer.alloc(0) });
    const { samples, issues } = parseExposition(gzip ? gunzipSync(body) : body);
    const values = new Set(samples.map(({ value }) => value));
    if (issues.length > 0 || samples.length !== SERIES || values.size !== 1) {
      broken.push(body.toString());
    }
    for (const value of values) seen.add(value);
  }
  isWriting = false;
  await writing;
  t.strictSame(broken, []);
  t.ok([...seen].every((value) => value >= 0 && value <= written));
  await until(async () => parseExposition(await whole(store, TEXT)).samples[0]?.value === written, {
    what: 'the last version is served',
  });
});

t.test(
  'subscribers get each new snapshot, the history keeps them without connections',
  async (t) => {
    const { store, clock, write, text } = storeOn(t, { pollMs: 3_600_000 });
    const got: PageSnapshot[] = [];
    const end = store.subscribe((json) => got.push(JSON.parse(json.toString()) as PageSnapshot));
    // What was under way with the first time has ended then.
    await text();
    for (let n = 1; n <= 3; n++) {
      clock.nowMs = START_MS + n * 10_000;
      write('netwatch.prom', collected(20, n), -n * 10_000);
      await until(() => got.length === n + 1, { what: `snapshot ${n}` });
    }
    end();
    t.strictSame(
      got.map(({ collector, scalars }) => [
        collector,
        scalars['netwatch_events_total']?.[0]?.value,
      ]),
      [
        ['missing', undefined],
        ['running', 1],
        ['running', 2],
        ['running', 3],
      ],
    );
    t.strictSame(JSON.parse((await store.snapshotJson()).toString()), got.at(-1));
    t.strictSame(got.at(-1)?.connections?.rows, []);
    const history = JSON.parse(store.historyJson().toString()) as PageSnapshot[];
    t.strictSame(
      history,
      got.map((snapshot) => ({ ...snapshot, connections: null })),
    );
    write('netwatch.prom', collected(20, 4), -30_000);
    await until(async () => (await store.snapshotJson()).includes('"value":4'), {
      what: 'one more snapshot',
    });
    t.equal(got.length, 4, 'nobody listens any more');
  },
);

t.test('a body whose clients have left is not made', async (t) => {
  const waiting = new WaitingBodies();
  const [one, two] = [new AbortController(), new AbortController()];
  const tcp = { format: 'text', gzip: false, groups: new Set(['tcp'] as const) } as const;
  const asked = [one, two].map(({ signal }) => waiting.wait(tcp, signal));
  const rest = waiting.wait(TEXT);
  t.strictSame(waiting.next(4), [tcp, TEXT], 'made once for both, in the order of asking');
  one.abort();
  await t.rejects(asked[0]!, /has gone/);
  t.equal(waiting.next(4).length, 2, 'one still waits');
  two.abort();
  await t.rejects(asked[1]!, /has gone/);
  t.strictSame(waiting.next(4), [TEXT], 'nobody waits');
  await t.rejects(waiting.wait(tcp, two.signal), /has gone/, 'nor does who left before');
  const body = { parts: [new Uint8Array(1)], files: [], textBytes: 1, crc: 0 };
  waiting.give(keyOf(TEXT), body);
  t.equal(await rest, body);
  t.ok(waiting.isEmpty);

  const { store, write } = storeOn(t);
  write('a.prom', `${GAUGE}x 1\n`);
  await t.rejects(store.metrics({ ...TEXT, left: one.signal }), /has gone/);
});

t.test('closing ends what waits for the store', async (t) => {
  const { store } = storeOn(t);
  const refused = t.rejects(store.metrics(TEXT), { message: 'the store is closed' });
  await store.close();
  await refused;
  await t.rejects(store.metrics(TEXT), { message: 'the store is closed' });
});

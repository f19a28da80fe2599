// Records that are copied out of a ring while others are worked on: none missing, none twice, in order.
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import t from 'tap';
import { RingReader } from '../src/kernel/ring.js';
import { drain, fakeRing } from './fixtures/fake-ring.js';

const PAGE = 4096;
/** More of a ring than relieve() leaves in it. */
const SIZE = 65_536;
const text = (i: number): string => `record ${i} ${'x'.repeat(i % 60)}`;
const texts = (from: number, to: number): string[] =>
  Array.from({ length: to - from }, (_, i) => text(from + i));

t.test('what is aside comes first and in order, and the ring has room again', (t) => {
  const ring = fakeRing(SIZE, 8n * 1021n);
  for (const one of texts(0, 500)) ring.put(`${one}.`);
  const { used } = ring.reader;
  ring.reader.relieve();
  t.equal(ring.reader.used, 0);
  t.equal(ring.consumer[0], BigInt(ring.reader.produced), 'the kernel may write there again');
  t.equal(ring.reader.unread, used);
  t.notOk(ring.reader.isEmpty);
  for (const one of texts(500, 900)) ring.put(`${one}.`);
  t.equal(ring.reader.waiting, 900);
  const end = ring.reader.produced;
  ring.put('later.');
  const seen: string[] = [];
  for (let some = drain(ring, 64); some.length > 0; some = drain(ring, 64)) seen.push(...some);
  t.strictSame(seen, [...texts(0, 900), 'later']);
  t.ok(ring.reader.consumed > end);
  t.equal(ring.reader.unread, 0);
  t.ok(ring.reader.isEmpty);
  t.equal(ring.reader.records, 901);
  t.end();
});

t.test('a little is left where it is, and what is being written too', (t) => {
  const ring = fakeRing(SIZE);
  for (const one of texts(0, 10)) ring.put(`${one}.`);
  const { used } = ring.reader;
  ring.reader.relieve();
  t.equal(ring.reader.used, used, 'below a 64th of the ring');
  for (const one of texts(10, 100)) ring.put(`${one}.`);
  const finish = ring.put(`${text(100)}.`, 'busy');
  for (const one of texts(101, 200)) ring.put(`${one}.`);
  const behind = ring.reader.used;
  ring.reader.relieve();
  t.ok(ring.reader.used > 0 && ring.reader.used < behind);
  t.strictSame(drain(ring, 300), texts(0, 100));
  t.strictSame(drain(ring, 300), []);
  finish('ready');
  t.strictSame(drain(ring, 300), texts(100, 200));
  t.end();
});

t.test('a batch that lies in the ring stays there until it is done', (t) => {
  const ring = fakeRing(SIZE);
  for (const one of texts(0, 400)) ring.put(`${one}.`);
  const { used } = ring.reader;
  ring.reader.drain(new Int32Array(10), () => {
    ring.reader.relieve();
    t.equal(ring.reader.used, used);
  });
  ring.reader.relieve();
  const old = ring.reader.produced;
  const taken = ring.reader.drain(new Int32Array(10), () => {
    for (const one of texts(400, 800)) ring.put(`${one}.`);
    ring.reader.relieve();
    t.equal(ring.reader.used, 0, 'one that is aside does not keep it from making room');
  });
  t.equal(taken, 390, 'what was taken out at once comes at once');
  t.equal(
    ring.reader.drain(new Int32Array(10), () => undefined, old),
    0,
    'not what came later',
  );
  t.strictSame(drain(ring), texts(400, 800));
  t.end();
});

t.test('what waits outside is bounded: once more what the ring holds', (t) => {
  const ring = fakeRing(SIZE);
  let put = 0;
  for (let last = -1; ring.reader.unread !== last && put < 100_000;) {
    last = ring.reader.unread;
    while (ring.reader.used < SIZE / 2) ring.put(`${text(put++)}.`);
    ring.reader.relieve();
  }
  t.ok(ring.reader.unread - ring.reader.used >= SIZE);
  t.ok(ring.reader.unread - ring.reader.used < 2 * SIZE);
  const seen: string[] = [];
  for (let some = drain(ring); some.length > 0; some = drain(ring)) seen.push(...some);
  t.strictSame(seen, texts(0, put));
  t.end();
});

t.test('records that were given up are no end of what waits', (t) => {
  const ring = fakeRing(SIZE);
  for (let i = 0; i < 100; i++) ring.put('gone.', 'discarded');
  const finish = ring.put(`${text(0)}.`, 'busy');
  ring.reader.relieve();
  finish('ready');
  for (const one of texts(1, 100)) ring.put(`${one}.`);
  ring.reader.relieve();
  t.strictSame(drain(ring), texts(0, 100));
  t.equal(ring.reader.unread, 0);
  t.end();
});

t.test('beside a writer on another CPU each record is whole, and comes once', async (t) => {
  const [size, records] = [1 << 17, 200_000];
  const memory = new SharedArrayBuffer(PAGE + size + PAGE);
  const positions = new SharedArrayBuffer(8);
  const reader = new RingReader({
    size,
    producer: new BigUint64Array(memory, 0, 1),
    consumer: new BigUint64Array(positions),
    // of the same shape; the kernel's is no SharedArrayBuffer for the compiler only
    data: memory as unknown as ArrayBuffer,
    dataOffset: PAGE,
  });
  const worker = new Worker(join(import.meta.dirname, 'fixtures/ring-writer.mjs'), {
    workerData: { memory, positions, size, records },
  });
  const ended = new Promise<number>((done, fail) => {
    worker.on('error', fail);
    worker.on('exit', done);
  });
  const places = new Int32Array(512);
  let [next, wrong, aside, turn] = [0, 0, 0, 0];
  const take = (view: DataView, batch: Int32Array, count: number): void => {
    for (let i = 0; i < count; i++) {
      if (i % 64 === 0) reader.relieve();
      const at = batch[i]!;
      // header: the length in bytes
      const length = view.getInt32(at - 8, true);
      for (let byte = 0; byte < length; byte += 4)
        if (view.getInt32(at + byte, true) !== next) wrong++;
      next++;
    }
  };
  while (next < records && wrong === 0) {
    if (turn++ % 3 !== 0) reader.relieve();
    aside = Math.max(aside, reader.unread - reader.used);
    reader.drain(places, take);
  }
  if (wrong > 0) await worker.terminate();
  t.equal(await ended, wrong > 0 ? 1 : 0);
  t.strictSame([wrong, next, reader.unread], [0, records, 0]);
  t.ok(aside > size / 64, `at most ${aside} bytes were aside`);
});

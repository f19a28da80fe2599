/** Connections that are kept as rows of numbers, and those that a pull has shown: nothing of them changes. */
import t from 'tap';
import { CONNECTION, decodeConnection, KeptConnection } from '../src/generated/connection.js';
import { RowStore } from '../src/kernel/rows.js';
import { PulledConnections } from '../src/sources/pulled-connections.js';
import { at } from './fixtures/collector.js';
import { CONNECTION_READ } from './fixtures/expected.js';
import { framed, hexBytes } from './fixtures/records.js';

t.test('a kept connection has every field of its record, also after others came and went', (t) => {
  const store = KeptConnection.store();
  const kept = new KeptConnection(store, CONNECTION_READ);
  const others = Array.from({ length: 1000 }, (_, i) => new KeptConnection(store, at(i)));
  t.strictSame(kept.read(), CONNECTION_READ);
  for (const other of others.slice(0, 500)) other.release();
  const more = Array.from({ length: 600 }, (_, i) => new KeptConnection(store, at(2000 + i)));
  t.strictSame(kept.read(), CONNECTION_READ);
  t.strictSame(others[999]?.read(), at(999));
  t.strictSame(
    more.map(({ tsNs }) => tsNs / 1e9),
    Array.from({ length: 600 }, (_, i) => 2000 + i),
  );
  t.end();
});

t.test('a kept connection takes over what a later record says, unknown values too', (t) => {
  const kept = new KeptConnection(KeptConnection.store(), CONNECTION_READ);
  const later = {
    ...CONNECTION_READ,
    tsNs: 2 ** 53 - 1,
    comm: 'later',
    openNs: null,
    handshakeNs: 7,
  };
  kept.set(later);
  t.strictSame(kept.read(), later);
  kept.set({ ...kept.read(), pid: 0xffff_ffff, retransmits: [3, 4] });
  t.strictSame(kept.read(), { ...later, pid: 0xffff_ffff, retransmits: [3, 4] });
  t.end();
});

t.test('a record that is loaded says what its decoder says, whatever its row had before', (t) => {
  const store = KeptConnection.store();
  const kept = new KeptConnection(store);
  const bytes = hexBytes('connection');
  const view = framed(bytes, 8);
  kept.load(view, 8);
  t.strictSame(kept.read(), CONNECTION_READ);
  // every byte another one: no field is left out, and none reads its neighbour's
  for (let i = 0; i < CONNECTION.size; i++) {
    view.setUint8(8 + i, view.getUint8(8 + i) ^ 0x5a);
    kept.load(view, 8);
    t.strictSame(kept.read(), decodeConnection(view, 8), `byte ${i}`);
  }
  const copy = new KeptConnection(store, kept);
  t.strictSame(copy.read(), kept.read(), 'a row of a row');
  t.end();
});

t.test('some fields change, the others stay', (t) => {
  const kept = new KeptConnection(KeptConnection.store(), CONNECTION_READ);
  const some = { pid: 7, comm: '', openNs: null, retransmits: [9, 8], cgroup: 0 };
  kept.merge(some);
  t.strictSame(kept.read(), { ...CONNECTION_READ, ...some });
  kept.merge({});
  t.strictSame(kept.read(), { ...CONNECTION_READ, ...some });
  t.end();
});

t.test('no two rows that are out are the same, and rows that came back are used again', (t) => {
  const store = new RowStore(2, 1);
  const name = new Map<unknown, number>();
  const rows = Array.from({ length: 300 }, () => store.take());
  for (const { chunk } of rows) name.set(chunk, name.get(chunk) ?? name.size);
  const places = new Set(rows.map(({ chunk, index }) => `${name.get(chunk)} ${index}`));
  t.equal(places.size, 300);
  t.equal(name.size, 3);
  const [first] = rows;
  t.ok(first);
  if (first === undefined) return;
  store.give(first);
  const again = [...Array.from({ length: 84 }, () => store.take()), store.take()];
  t.ok(again.some(({ chunk, index }) => chunk === first.chunk && index === first.index));
  t.ok(
    again.every(({ chunk }) => name.has(chunk)),
    'there was room in the chunks that are there',
  );
  t.end();
});

t.test('a chunk of rows goes when all of it came back, but for one', (t) => {
  const store = new RowStore(1, 1);
  const rows = Array.from({ length: 256 }, () => store.take());
  const before = new Set(rows.map(({ chunk }) => chunk));
  for (const row of rows) store.give(row);
  const after = new Set(Array.from({ length: 256 }, () => store.take().chunk));
  t.equal(before.size, 2);
  t.equal(after.size, 2);
  t.equal([...after].filter((chunk) => before.has(chunk)).length, 1);
  t.end();
});

t.test('what a pull has shown is read as it came, in the next pull too', (t) => {
  const pulled = new PulledConnections();
  const bytes = hexBytes('connection');
  for (const count of [6000, 3, 6000]) {
    pulled.clear();
    t.equal(pulled.count, 0);
    for (let i = 0; i < count; i++) {
      const record = framed(bytes, 24);
      record.setUint32(24 + CONNECTION.at.netns, i, true);
      pulled.add(record, 24);
      record.setUint32(24 + CONNECTION.at.netns, 0, true);
    }
    t.equal(pulled.count, count);
    for (const i of [0, 2, count - 1])
      t.strictSame(pulled.read(i), { ...CONNECTION_READ, netns: i });
  }
  t.end();
});

/** How long the collector waits between two looks at the rings. */
import t from 'tap';
import { nextWaitMs } from '../src/sources/pace.js';

/** A ring that fills at a steady rate (parts of it per ms) and is emptied by each drain. */
function steady(perMs: number): { waitMs: number; highest: number } {
  let waitMs = 50;
  let highest = 0;
  for (let drains = 0; drains < 20; drains++) {
    const fill = waitMs * perMs;
    if (drains > 0) highest = Math.max(highest, fill);
    waitMs = nextWaitMs(waitMs, fill, 0);
  }
  return { waitMs, highest };
}

t.test('nothing to do: the longest wait, within which a line must be in its file', (t) => {
  t.equal(nextWaitMs(50, 0, 0), 50);
  t.equal(nextWaitMs(5, 0, 0), 50);
  t.end();
});

t.test('a batch that did not empty the ring is followed by the next at once', (t) => {
  t.equal(nextWaitMs(50, 0.9, 0.5), 0);
  t.end();
});

t.test('a steady stream is taken in portions of an eighth of the ring', (t) => {
  // 200,000 packets of 160 bytes per second into 8 MiB fill 0.0038 per ms.
  const { waitMs, highest } = steady(0.0038);
  t.ok(Math.abs(waitMs - 1 / 8 / 0.0038) < 1e-9, `${waitMs} ms`);
  t.ok(highest < 0.15, `${highest} of the ring`);
  t.end();
});

t.test('a trickle costs as many wake-ups as silence, a flood no more than 200 per second', (t) => {
  t.equal(steady(1e-7).waitMs, 50);
  t.equal(steady(0.05).waitMs, 5);
  t.end();
});

/** When the collector raises its priority, and what happens where it may not. */
import { spawn } from 'node:child_process';
import { getPriority } from 'node:os';
import t from 'tap';
import { Urgency } from '../src/collector/urgency.js';
import { ownNice, Priority, usualPriority, type Nice } from '../src/kernel/priority.js';
import { needsRoot } from './support/skip.js';

/** A thread's priority, and every change of it. */
function fakeNice(start: number, allowed = true): Nice & { readonly changes: number[] } {
  let value = start;
  const changes: number[] = [];
  return {
    changes,
    get: () => value,
    set: (wanted) => {
      changes.push(wanted);
      if (allowed) value = wanted;
      return allowed;
    },
  };
}

t.test('a full ring raises it once; five quiet seconds give it back', (t) => {
  const nice = fakeNice(0);
  const urgency = new Urgency(new Priority(nice));
  urgency.look(0.25, 0);
  t.strictSame(nice.changes, [], 'a quarter is what may lie there');
  for (const nowMs of [100, 200, 300]) urgency.look(0.3, nowMs);
  t.strictSame(nice.changes, [-10]);
  urgency.look(0.1, 5299);
  t.equal(nice.get(), -10, 'kept for a while');
  urgency.look(0.1, 5300);
  t.strictSame(nice.changes, [-10, 0]);
  urgency.look(0.9, 9000);
  t.equal(nice.get(), -10, 'and again');
  t.end();
});

t.test('a nice value that somebody has chosen stays', (t) => {
  for (const chosen of [5, -3]) {
    const nice = fakeNice(chosen);
    new Urgency(new Priority(nice)).look(1, 0);
    t.strictSame(nice.changes, []);
  }
  t.end();
});

t.test('where the kernel refuses it is asked once', (t) => {
  const nice = fakeNice(0, false);
  const urgency = new Urgency(new Priority(nice));
  for (const nowMs of [0, 1, 10_000]) urgency.look(1, nowMs);
  t.strictSame(nice.changes, [-10]);
  t.end();
});

t.test('the priority is that of the thread, and of no child', { skip: needsRoot }, (t) => {
  const priority = new Priority();
  const usual = getPriority();
  priority.raise();
  t.equal(ownNice.get(), usual === 0 ? -10 : usual);
  const child = spawn('sleep', ['60']);
  t.teardown(() => child.kill());
  const { pid = 0 } = child;
  t.equal(getPriority(pid), ownNice.get(), 'as it is made');
  usualPriority(pid);
  t.equal(getPriority(pid), usual);
  priority.giveBack();
  t.equal(ownNice.get(), usual);
  t.end();
});

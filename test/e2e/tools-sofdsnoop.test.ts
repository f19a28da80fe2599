// sofdsnoop against processes that pass known files: each descriptor of each message once, by its sender
// and by its receiver, and none of a message that was refused.
import t from 'tap';
import { startPasser, type Passed, type Way } from '../support/descriptors.js';
import { createNamespace, type Namespace } from '../support/netns.js';
import type { Json } from '../support/ndjson.js';
import { needsRoot } from '../support/skip.js';
import { startTool, type RunningTool } from '../support/tool.js';
import { until } from '../support/wait.js';

const skip = needsRoot;

/** Lets a process pass files, and keeps it until each tool has as many rows: until then they have names. */
async function passed(
  namespace: Namespace,
  tools: readonly RunningTool[],
  way: Way,
  count: number,
  rows: number,
): Promise<Passed> {
  const passer = await startPasser(namespace, way, count);
  const done = await passer.pass();
  await until(() => tools.every((tool) => tool.lines().length >= rows), { what: `${rows} rows` });
  await passer.end();
  return done;
}

const numbers = (rows: readonly Json[]): unknown[] => rows.map(({ fd }) => fd);
const ofAction = (rows: readonly Json[], action: string): Json[] =>
  rows.filter((row) => row['action'] === action);

t.test('each descriptor that is passed is told by both ends', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const tool = await startTool(t, namespace, 'sofdsnoop', ['-o', 'json']);
  const { pid, sent, names, left, right } = await passed(namespace, [tool], 'one', 3, 6);
  t.strictSame(await tool.stop(), { code: 0, signal: null });
  const rows = tool.objects();
  const [sends, receives] = [ofAction(rows, 'SEND'), ofAction(rows, 'RECV')];
  t.equal(rows.length, 6);
  t.strictSame(numbers(sends), sent);
  t.strictSame(
    sends.map(({ file }) => file),
    names,
    'a file, a pipe, a socket: as /proc names them',
  );
  t.equal(new Set(numbers([...sends, ...receives])).size, 6, 'the receiver has new numbers');
  t.strictSame(
    receives.map(({ file }) => file),
    names,
    'the same files',
  );
  for (const [[fd, name], some] of [
    [left, sends],
    [right, receives],
  ] as const)
    for (const row of some) {
      t.match(row, { pid, tid: pid, process: 'perl', thread: 'perl', netns: namespace.inode });
      t.equal(row['socket_fd'], fd);
      t.equal(`socket:[${String(row['socket_inode'])}]`, name);
    }
});

t.test('as many descriptors are told as the kernel passes at once', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const tool = await startTool(t, namespace, 'sofdsnoop', ['-o', 'json']);
  const most = await passed(namespace, [tool], 'one', 253, 506);
  await tool.stop();
  t.strictSame(numbers(ofAction(tool.objects(), 'SEND')), most.sent);
  t.equal(ofAction(tool.objects(), 'RECV').length, 253);
});

t.test('several messages in one call are told', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const tool = await startTool(t, namespace, 'sofdsnoop', ['-o', 'json']);
  const { sent } = await passed(namespace, [tool], 'many', 4, 10);
  await tool.stop();
  t.strictSame(numbers(ofAction(tool.objects(), 'SEND')), [...sent, sent[0]]);
  t.equal(ofAction(tool.objects(), 'RECV').length, 5);
});

t.test('what one call passes beyond a bound is left out and counted', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const tool = await startTool(t, namespace, 'sofdsnoop', ['-o', 'json']);
  // 102 of 2,048 steps for each message: 20 of 40, and 6 descriptors of the next
  const rows = 20 * 100 + 6;
  await passed(namespace, [tool], 'lots', 100, rows);
  await tool.stop();
  t.equal(tool.objects().length, rows);
  // the others of that message, and at least one of each of the rest
  t.match(tool.stderr(), ` ${94 + 19} events came too fast to be shown `);
});

t.test('what passes nothing has no row', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const tool = await startTool(t, namespace, 'sofdsnoop', ['-o', 'json']);
  await passed(namespace, [tool], 'fails', 2, 0);
  await tool.stop();
  t.strictSame(tool.objects(), []);
});

t.test("the table has bcc's columns, and time if asked", { skip }, async (t) => {
  const namespace = createNamespace(t);
  const plain = await startTool(t, namespace, 'sofdsnoop');
  const timed = await startTool(t, namespace, 'sofdsnoop', ['-T']);
  const { pid, sent, names, left, right } = await passed(namespace, [plain, timed], 'one', 1, 3);
  await Promise.all([plain.stop(), timed.stop()]);
  const start = (action: string): string => `${action}   ${String(pid).padEnd(6)} perl            `;
  const [head, send, receive = ''] = plain.lines();
  t.equal(head, 'ACTION TID    COMM             SOCKET                    FD    NAME');
  t.equal(
    send,
    `${start('SEND')} ${left.join(':').padEnd(25)} ${String(sent[0]).padEnd(5)} ${names[0]}`,
  );
  t.match(receive, new RegExp(`^RECV +${pid} +perl +${right[0]}:socket:\\[\\d+\\] +\\d+ +$`));
  const [timedHead = '', ...rows] = timed.lines();
  t.equal(timedHead, `TIME(s)       ${head}`);
  t.strictSame(
    rows.map((row) => row.slice(14)),
    [send, receive],
  );
  t.equal(rows[0]?.slice(0, 14), '0.000000000   ');
  t.match(rows[1]?.slice(0, 14), /^0\.\d{9} {3}$/);
});

t.test('each filter of sofdsnoop lets through what it says', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const other = createNamespace(t);
  const [one, two] = await Promise.all([1, 2].map(() => startPasser(namespace, 'one', 1)));
  const elsewhere = await startPasser(other, 'one', 1);
  if (!one || !two) throw new Error('they have not started');
  const filters = [
    [],
    ['-p', String(one.pid)],
    ['-p', `${one.pid},${two.pid}`],
    ['-t', String(two.pid)],
    ['-t', String(two.pid), '-p', String(one.pid)],
    ['-n', 'er'],
    ['-n', 'perls'],
    ['--netns', other.name],
  ];
  const tools = await Promise.all(
    filters.map((args) => startTool(t, namespace, 'sofdsnoop', ['-o', 'json', ...args])),
  );
  for (const passer of [one, two, elsewhere]) {
    await passer.pass();
    await passer.end();
  }
  await Promise.all(tools.map((tool) => tool.stop()));
  t.strictSame(
    tools.map((tool) => tool.objects().map(({ pid }) => pid)),
    [
      [one, one, two, two],
      [one, one],
      [one, one, two, two],
      [two, two],
      [two, two],
      [one, one, two, two],
      [],
      [one, one, two, two, elsewhere, elsewhere],
    ].map((list) => list.map(({ pid }) => pid)),
  );
});

t.test('sofdsnoop ends after the time that -d gives', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const tool = await startTool(t, namespace, 'sofdsnoop', ['-d', '0.2']);
  t.strictSame(await tool.exited, { code: 0, signal: null });
});

// The virtual-machine matrix, as far as it needs no machine: reading TAP, the table of kernels, what
// excuses a test, and how its scripts refuse.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import t from 'tap';
import { KERNELS, MUST_RUN, QUICK } from '../scripts/vm/kernels.js';
import { renderTable, withTable, type DoctorReport } from '../scripts/vm/matrix.js';
import { TapReader, type TestResult } from '../scripts/vm/tap.js';
import { hasTrampolines, needsKernel, since } from './support/vm-kernel.js';
import {
  expectedOfAll,
  expectedState,
  programsInSources,
  staleRules,
} from './support/vm-programs.js';

const root = resolve(import.meta.dirname, '..');

function readTap(text: string): { tests: TestResult[]; reader: TapReader } {
  const reader = new TapReader();
  const tests = text.split('\n').flatMap((line) => reader.line(line) ?? []);
  return { tests, reader };
}

const STREAM = `TAP version 14
# Subtest: a thing that works
    ok 1 - one
    1..1
ok 1 - a thing that works # time=1234.5ms

# Subtest: a thing that fails
    ok 1 - should be equal
    not ok 2 - as the kernel has counted
      ---
      compare: ===
      at:
        lineNumber: 7
      stack: |
        Test.<anonymous> (x.test.js:7:1)
      diff: |
        -15
        +8
      ...
    ok 3 - another
    1..3
not ok 2 - a thing that fails # time=10ms
  ---
  source: t.test
  ...

ok 3 - a thing too new # SKIP needs 6.16; this is 6.1
`;

t.test('tests are read from TAP with their verdicts', (t) => {
  const { tests, reader } = readTap(`${STREAM}1..3\n# time=5ms\n`);
  t.strictSame(
    tests.map(({ name, verdict, reason, ms }) => [name, verdict, reason, ms]),
    [
      ['a thing that works', 'passed', '', 1234.5],
      ['a thing that fails', 'failed', '', 10],
      ['a thing too new', 'skipped', 'needs 6.16; this is 6.1', 0],
    ],
  );
  t.strictSame(
    tests[1]?.output.map((line) => line.trim()),
    ['not ok 2 - as the kernel has counted', 'stack: |', 'Test.<anonymous> (x.test.js:7:1)'].concat(
      ['diff: |', '-15', '+8'],
    ),
    'only what failed is shown',
  );
  t.ok(reader.complete);
  t.end();
});

t.test('a stream that breaks off is not complete, and its last words are kept', (t) => {
  const { tests, reader } = readTap(`${STREAM}# Subtest: the next\nError: out of memory\n`);
  t.equal(tests.length, 3);
  t.notOk(reader.complete);
  t.strictSame(reader.rest(), ['Error: out of memory']);
  t.end();
});

const report = (
  ...programs: readonly (readonly [string, boolean, boolean | null])[]
): DoctorReport => {
  const all = programs.map(([program, wanted, attached]) => {
    return { program, attachType: 'tp_btf', wanted, attached };
  });
  return { sources: [{ source: 'packet', programs: all }] };
};

t.test('programs that fare alike share a row of the table', (t) => {
  const table = renderTable({
    '5.10': report(['old', true, true], ['a', true, false], ['b', true, false]),
    '6.1': report(['old', false, null], ['a', true, true], ['b', true, true]),
  });
  t.equal(
    table,
    [
      '| source | programs | 5.10 | 6.1 |',
      '|---|---|---|---|',
      '| packet | `old` | tp_btf |  |',
      '| packet | `a`, `b` | – | tp_btf |',
      '',
    ].join('\n'),
  );
  t.end();
});

t.test('the table goes between its markers and nowhere else', (t) => {
  const text = 'before\n<!-- kernels -->\nold\n<!-- /kernels -->\nafter\n';
  const once = withTable(text, '| new |\n');
  t.equal(once, 'before\n<!-- kernels -->\n\n| new |\n\n<!-- /kernels -->\nafter\n');
  t.equal(withTable(once ?? '', '| new |\n'), once, 'the same again changes nothing');
  t.equal(withTable('no markers\n', '| new |\n'), null);
  t.end();
});

t.test('too old excuses a test only on kernels that are older', (t) => {
  t.equal(
    needsKernel('6.16', 'x', '6.1.0-56-cloud-amd64'),
    'x since Linux 6.16; this is 6.1.0-56-cloud-amd64',
  );
  t.equal(needsKernel('6.16', 'x', '6.18.15+deb13-cloud-amd64'), false);
  t.ok(since('5.10', '5.10.0-46-cloud-amd64'));
  t.ok(since('6.9', '6.12.117+deb12'));
  t.notOk(since('6.2', '6.1.0'));
  t.ok(since('6.18', '7.2.12+deb13'));
  t.equal(typeof hasTrampolines(), 'boolean');
  t.end();
});

t.test('every program has one expected state, and no rule is about none', (t) => {
  t.strictSame(staleRules(), []);
  const program = (source: string, name: string) =>
    programsInSources().find((one) => one.source === source && one.name === name)!;
  const state = program('connection', 'inet_sock_set_state');
  t.equal(expectedState(state, []), 'attached', 'those without a rule');
  t.equal(expectedState(program('fault', 'tcp_send_reset'), []), 'unasked');
  t.not(expectedState(program('fault', 'tcp_send_reset'), ['-e']), 'unasked');
  t.not(expectedOfAll(program('fault', 'tcp_send_reset')), 'unasked');
  t.equal(expectedState(program('insight', 'tcp_send_reset'), ['-e']), 'unasked', 'of a command');
  t.equal(expectedOfAll(program('insight', 'tcp_send_reset')), 'attached');
  t.end();
});

t.test('the quick run is a part of the whole one, with the kernel that must run', (t) => {
  const names = KERNELS.map(({ name }) => name);
  for (const name of QUICK.kernels) t.ok(names.includes(name), name);
  t.ok(QUICK.kernels.includes(MUST_RUN));
  t.equal(MUST_RUN, '6.1', 'most machines have it');
  for (const name of QUICK.tests) t.ok(existsSync(join(root, 'test/vm', `${name}.test.ts`)), name);
  t.end();
});

t.test('a kernel that is there is not fetched again, and wrong use is refused', (t) => {
  const script = (name: string, ...args: string[]) =>
    spawnSync(join(root, 'scripts/vm', name), args, { encoding: 'utf8' });
  const folder = join(t.testdir({}), 'kernel');
  mkdirSync(folder);
  writeFileSync(join(folder, '.packages'), 'linux-image\n');
  writeFileSync(join(folder, '.wanted'), 'nowhere linux-image-none\n');
  t.match(script('fetch', folder, 'nowhere', 'linux-image-none'), { status: 0, stderr: '' });
  t.match(script('fetch', folder, 'nowhere', 'linux-image-none', 'python3'), { status: 3 });
  t.ok(
    existsSync(join(folder, '.packages')),
    'what was there is there if the new list cannot be had',
  );
  t.match(script('fetch', folder), { status: 2, stderr: /^usage: / });
  t.match(script('boot', folder), { status: 125, stderr: /usage: / });
  t.match(script('boot', join(folder, 'none'), 'true'), { status: 125, stderr: /no folder / });
  t.end();
});

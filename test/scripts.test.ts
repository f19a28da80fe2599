/**
 * The scripts a newcomer meets first: the launcher, scripts/setup, and the counting of tests. Run on
 * stand-ins for node, apt-get and id, so nothing is installed and no root is needed.
 */
import { spawnSync } from 'node:child_process';
import * as fs from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import t, { type Test } from 'tap';
import { closingLine, TapCounter, type FileResult } from '../scripts/tap-count.js';

const root = resolve(import.meta.dirname, '..');

function count(tap: string, code: number | null = 0): { line: string; files: FileResult[] } {
  const files: FileResult[] = [];
  const counter = new TapCounter((file) => files.push(file));
  for (const line of tap.split('\n')) counter.line(line);
  counter.end(code);
  return { line: closingLine(counter.total), files };
}

t.test('tests are counted, assertions are not', (t) => {
  const { line, files } = count(`TAP version 14
1..1
# Subtest: test/a.test.ts
    # Subtest: two assertions hold
        ok 1 - one
        ok 2 - two
        1..2
    ok 1 - two assertions hold # time=2.15ms
    # Subtest: a group of tests
        # Subtest: the inner test holds
            ok 1 - should be equal
            1..1
        ok 1 - the inner test holds # time=0.9ms
        ok 2 - the other one is skipped # SKIP needs root
        1..2
    ok 2 - a group of tests # time=2.7ms
    # Subtest: skips itself
        ok 1 - no fentry here # SKIP
        1..1
    ok 3 - skips itself # time=0.5ms
    1..3
ok 1 - test/a.test.ts # time=11.4ms
# { total: 5, pass: 3, skip: 2 }`);
  t.equal(line, '2 passed, 0 failed, 2 skipped');
  t.match(files, [{ file: 'test/a.test.ts', ms: 11.4 }]);
  t.match(files[0]?.notes, [/the other one is skipped needs root/, /skips itself.*no fentry here/]);
  t.end();
});

t.test('a failed test is counted once and keeps its explanation', (t) => {
  const { line, files } = count(
    `# Subtest: test/b.test.ts
    # Subtest: the outer test
        # Subtest: the inner test
            not ok 1 - should be equal
              ---
              diff: |
                -2
                +1
              ...
            1..1
        not ok 1 - the inner test # time=1ms
          ---
          at:
            fileName: test/b.test.ts
          ...
        1..1
    not ok 1 - the outer test # time=2ms
    1..1
not ok 1 - test/b.test.ts # time=3ms
  ---
  exitCode: 1
  ...`,
    1,
  );
  t.equal(line, '0 passed, 1 failed');
  t.strictSame(files[0]?.notes, [
    'FAILED: the outer test > the inner test',
    '    - should be equal',
    '    diff: |',
    '      -2',
    '      +1',
  ]);
  t.end();
});

t.test('a file that crashes, hangs, or has no test is a failure', (t) => {
  const died = `# Subtest: test/c.test.ts
    # Subtest: the process dies in this test
        ok 1 - so far
    1..0 # no tests found
not ok 1 - test/c.test.ts # time=640ms`;
  t.equal(count(died, 1).line, '0 passed, 1 failed');
  const empty = `# Subtest: test/g.test.ts
    1..0 # no tests found
ok 1 - test/g.test.ts # SKIP no tests found`;
  t.equal(count(empty).line, '0 passed, 1 failed');
  t.equal(count('not ok 8 - timeout!\n  ---\n  expired: x\n  ...', 1).line, '0 passed, 1 failed');
  t.equal(count('TAP version 14', 7).line, '0 passed, 1 failed', 'tap itself died');
  const cut = '# Subtest: test/d.test.ts\n    # Subtest: a test\n        ok 1 - x';
  t.equal(count(cut, null).line, '0 passed, 1 failed', 'the stream was cut');
  t.end();
});

/** t.testdir() empties itself when called a second time in a test. */
function folder(t: Test): string {
  const dir = fs.mkdtempSync(join(tmpdir(), 'netwatch-test-'));
  t.teardown(() => {
    fs.rmSync(dir, { recursive: true });
  });
  return dir;
}

/** A folder of stand-in programs, and what they were called with. */
function standIns(t: Test, programs: Record<string, string>): { dir: string; calls: () => string } {
  const dir = folder(t);
  fs.writeFileSync(join(dir, 'calls'), '');
  for (const [name, body] of Object.entries(programs)) {
    fs.writeFileSync(join(dir, name), `#!/bin/sh\necho "${name} $*" >>"${dir}/calls"\n${body}\n`);
    fs.chmodSync(join(dir, name), 0o755);
  }
  return { dir, calls: () => fs.readFileSync(join(dir, 'calls'), 'utf8') };
}

function run(command: string, args: string[], env: NodeJS.ProcessEnv = {}): Result {
  const { PATH = '', ...others } = process.env;
  const path = env['PATH'] ? `${env['PATH']}:${PATH}` : PATH;
  const result = spawnSync(command, args, {
    encoding: 'utf8',
    env: { ...others, ...env, PATH: path },
  });
  return { status: result.status, stdout: result.stdout, stderr: result.stderr };
}
interface Result {
  status: number | null;
  stdout: string;
  stderr: string;
}

function checkout(t: Test, program: string | null): string {
  const dir = folder(t);
  fs.mkdirSync(join(dir, 'build'));
  const launcher = fs.readFileSync(join(root, 'scripts/launcher'), 'utf8');
  fs.writeFileSync(join(dir, 'netwatch'), launcher.replace("'@NODE@'", '/nonexistent/node'));
  fs.chmodSync(join(dir, 'netwatch'), 0o755);
  fs.writeFileSync(join(dir, 'package.json'), '{"type":"module"}');
  if (program !== null) fs.writeFileSync(join(dir, 'build/main.js'), program);
  return dir;
}

t.test('the launcher runs the program through a symlink and passes all on', (t) => {
  const dir = checkout(t, 'console.log(JSON.stringify(process.argv.slice(2))); process.exit(5);');
  fs.symlinkSync(join(dir, 'netwatch'), join(dir, 'link'));
  fs.symlinkSync('link', join(dir, 'link to link'));
  const { status, stdout } = run(join(dir, 'link to link'), ['-x', 'two words', '']);
  t.equal(status, 5);
  t.equal(stdout, '["-x","two words",""]\n');
  t.end();
});

t.test('the launcher says so when the program is not built', (t) => {
  const { status, stderr } = run(join(checkout(t, null), 'netwatch'), []);
  t.equal(status, 3);
  t.match(
    stderr,
    /^netwatch: the program is not built: .*build\/main\.js is missing\n {2}run: make/,
  );
  t.end();
});

t.test('the launcher says so when Node.js is too old', (t) => {
  const dir = checkout(t, 'console.log("ran")');
  const { dir: bin } = standIns(t, { node: 'echo v18.20.4' });
  const { status, stdout, stderr } = run(join(dir, 'netwatch'), [], { PATH: bin });
  t.equal(status, 3);
  t.equal(stdout, '');
  t.match(stderr, /^netwatch: needs Node\.js 20 or newer; this is v18\.20\.4\n {2}\S/);
  t.end();
});

t.test('a Node.js in the home of who called sudo is found', (t) => {
  const home = folder(t);
  for (const version of ['v20.9.0', 'v22.10.1', 'v18.0.0']) {
    const bin = join(home, '.nvm/versions/node', version, 'bin');
    fs.mkdirSync(bin, { recursive: true });
    fs.writeFileSync(join(bin, 'node'), `#!/bin/sh\necho ${version}\n`);
    fs.chmodSync(join(bin, 'node'), 0o755);
  }
  const old = standIns(t, {
    node: 'echo v18.20.4',
    getent: `echo "u:x:1000:1000::${home}:/bin/sh"`,
  });
  const { stdout } = run(join(root, 'scripts/find-node'), [], { PATH: old.dir, SUDO_USER: 'u' });
  t.equal(stdout.trim(), join(home, '.nvm/versions/node/v22.10.1/bin'));
  t.end();
});

/** A run of scripts/setup on a machine where clang is missing and apt-get does as told. */
function setup(t: Test, uid: number, aptGet: string): Result & { calls: string } {
  const dir = folder(t);
  fs.cpSync(join(root, 'scripts'), join(dir, 'scripts'), { recursive: true });
  const programs = standIns(t, {
    id: `echo ${uid}`,
    'apt-get': aptGet,
    'apt-cache': 'echo "  Candidate: 1:14.0"',
    ...Object.fromEntries(['bpftool', 'make', 'npm'].map((name) => [name, 'exit 0'])),
    ldconfig: 'echo "libbpf.so.1 (libc6,x86-64) => /usr/lib/libbpf.so.1"',
  });
  const env = { PATH: programs.dir, CLANG: 'no-such-clang', LLVM_STRIP: 'sh' };
  return { ...run(join(dir, 'scripts/setup'), [], env), calls: programs.calls() };
}

t.test('setup installs what is missing and says why', (t) => {
  const { status, stdout, calls } = setup(t, 0, 'exit 0');
  t.equal(status, 0);
  t.match(stdout, /clang +compiles the BPF programs\n/);
  t.match(calls, /^apt-get .*install .*\bclang\b/m);
  t.end();
});

t.test('setup without root says what to run instead of failing in apt-get', (t) => {
  const { status, stdout, stderr, calls } = setup(t, 1000, 'exit 0');
  t.equal(status, 3);
  t.equal(stdout, '');
  t.match(stderr, /^netwatch: missing: .*\bclang\b.*\n {2}run: sudo scripts\/setup\n$/);
  t.notMatch(calls, /apt-get/);
  t.end();
});

t.test('setup on a machine without a network ends with one clear sentence', (t) => {
  const complaint = 'E: Unable to fetch some archives';
  const { status, stderr } = setup(t, 0, `echo "${complaint}" >&2; exit 100`);
  t.equal(status, 3);
  t.match(stderr, /^netwatch: apt-get could not install .*clang.*Unable to fetch some archives\n/);
  t.match(stderr, /if this machine is offline/);
  t.end();
});

/** .ci/run in a checkout whose make ends as told. */
function ci(t: Test, bench: string): { status: number | null; last: string } {
  const dir = folder(t);
  fs.cpSync(join(root, '.ci'), join(dir, '.ci'), { recursive: true });
  fs.mkdirSync(join(dir, 'scripts'));
  fs.symlinkSync('/bin/true', join(dir, 'scripts/setup'));
  const make = `case "$SMOKE $*" in
    ' test') mkdir -p .tap && echo '5 passed, 0 failed, 2 skipped' | tee .tap/closing-line ;;
    '1 bench') ${bench} ;;
    ' test-vm VM_ARGS=--quick') echo '3 passed, 0 failed' ;;
    ' check') ;;
    *) exit 9 ;;
  esac`;
  const { dir: bin } = standIns(t, { make });
  const { status, stdout } = run(join(dir, '.ci/run'), [], { PATH: bin, SMOKE: '' });
  t.equal(stdout.match(/ passed, /g)?.length, 1, 'one closing line');
  return { status, last: stdout.trimEnd().split('\n').at(-1) ?? '' };
}

t.test('CI counts each row of the benchmark, and is red with one', (t) => {
  const good = ci(t, "echo '38 passed, 0 failed, 1 skipped'");
  t.strictSame(good, { status: 0, last: '47 passed, 0 failed, 3 skipped' });
  const bad = ci(t, "echo '37 passed, 1 failed'; exit 2");
  t.strictSame(bad, { status: 1, last: '46 passed, 1 failed, 2 skipped' });
  const dead = ci(t, 'exit 2');
  t.strictSame(
    dead,
    { status: 1, last: '9 passed, 1 failed, 2 skipped' },
    'it does not even start',
  );
  t.end();
});

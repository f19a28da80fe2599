/**
 * bpf/include/unread.h, compiled natively: packets that wait to be read while several CPUs and soft
 * interrupts push, read and end the socket. STEPS and SEED say how many packets, and which pauses.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import t from 'tap';
import { temporaryFolder } from './support/collector.js';
import { compile } from './support/compile.js';

const { STEPS = '2000000', SEED = '1' } = process.env;
const source = join(import.meta.dirname, 'unread-queue', 'race.c');
const program = compile(source, temporaryFolder(t), ['-pthread']);
const skip = program === null && 'no C compiler (cc or clang) on this machine';

t.test('each packet leaves the queue once, whoever meets whom in it', { skip }, (t) => {
  const { status, stdout } = spawnSync(program ?? '', [STEPS, SEED], { encoding: 'utf8' });
  t.match(stdout, new RegExp(`^packets ${STEPS} .* wrong 0\n$`), 'nothing was wrong');
  t.equal(status, 0);
  t.comment(stdout.trim());
  t.end();
});

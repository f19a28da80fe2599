/**
 * bpf/include/sent.h, received.h and gaps.h, compiled natively: where packets wait between two hooks
 * while two CPUs and their interrupts hand over, find, evict and drop them, and which of them filled
 * a gap. STEPS says how many packets.
 */
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import t from 'tap';
import { temporaryFolder } from './support/collector.js';
import { compile } from './support/compile.js';

const { STEPS = '2000000' } = process.env;
const RACES = {
  sent: 'each sent packet gets one record, with its own times or none',
  received: 'each received packet finds its own times or none',
  gaps: 'each packet that waited finds the one that filled its gap or none',
};

for (const [name, promise] of Object.entries(RACES)) {
  const source = join(import.meta.dirname, 'slots', `${name}.c`);
  const program = compile(source, temporaryFolder(t), ['-pthread']);
  const skip = program === null && 'no C compiler (cc or clang) on this machine';

  t.test(promise, { skip }, (t) => {
    const { status, stdout } = spawnSync(program ?? '', [STEPS], { encoding: 'utf8' });
    t.match(stdout, new RegExp(`^packets ${STEPS} timed [1-9].* wrong 0\n$`), 'nothing was wrong');
    t.equal(status, 0);
    t.comment(stdout.trim());
    t.end();
  });
}

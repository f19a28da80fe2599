// The parts of an exchange against what an application made slow on purpose; `make accuracy` does the
// same with 1,000 exchanges each and takes the application's own clock as the witness.
import { join } from 'node:path';
import t from 'tap';
import { INJECTIONS } from '../../scripts/accuracy/injections.js';
import { measure } from '../../scripts/accuracy/measure.js';
import { jiffiesPerSecond } from '../../src/kernel/kernel-config.js';
import { temporaryFolder } from '../support/collector.js';
import { compile } from '../support/compile.js';
import { needsCommands, needsRoot, unless } from '../support/skip.js';

const EXCHANGES = 8;

const source = join(import.meta.dirname, '../../scripts/accuracy/application.c');
const program = compile(source, temporaryFolder(t));
const skip =
  needsRoot ||
  needsCommands('nft', 'ip', 'python3') ||
  unless(program !== null, 'no C compiler (cc or clang) on this machine');

t.test(
  'what is slow in an exchange shows in its part, and the parts add up',
  { skip },
  async (t) => {
    // the kernel counts windows in jiffies
    const injections = INJECTIONS.filter(
      ({ inner }) => inner !== 'receiveWindowNs' || jiffiesPerSecond() !== null,
    );
    for (const injection of injections) {
      const { name, side, part, isFair = false } = injection;
      const seen = await measure(program ?? '', injection, EXCHANGES);
      const what = `${name}: ${side} ${part}`;
      t.equal(seen.exchanges, EXCHANGES, `${what}: every exchange is there`);
      t.equal(seen.explained, EXCHANGES, `${what}: all their parts are known`);
      t.equal(seen.exactSums, EXCHANGES, `${what}: they add up, to the nanosecond`);
      const least = isFair ? EXCHANGES / 2 : EXCHANGES;
      t.ok(seen.delayed >= least, `${what}: the delay is in the part, in ${seen.delayed}`);
    }
  },
);

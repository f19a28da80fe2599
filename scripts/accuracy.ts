/**
 * How exact the parts of an exchange are: one delay is injected per exchange, and has to show in the
 * right part, as long as the application's own clock says. Prints a table; 1 where a part was wrong.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { spawnSync } from 'node:child_process';
import { INJECTIONS } from './accuracy/injections.js';
import { measure, type Accuracy } from './accuracy/measure.js';

const EXCHANGES = 1000;
const NS_PER_US = 1000;

const folder = join(import.meta.dirname, '..', '.cache', 'accuracy');
const source = join(import.meta.dirname, 'accuracy', 'application.c');
const program = join(folder, 'application');

function build(): void {
  mkdirSync(folder, { recursive: true });
  const { status } = spawnSync('cc', ['-O2', '-std=gnu11', '-o', program, source], {
    stdio: ['ignore', 'inherit', 'inherit'],
  });
  if (status !== 0) throw new Error('needs a C compiler (cc); install gcc, then run it again');
}

/** The error that 99 % do not exceed, in microseconds. */
function p99(errorsNs: readonly number[]): string {
  if (errorsNs.length === 0) return '–';
  const at = Math.ceil(errorsNs.length * 0.99) - 1;
  return ((errorsNs[at] ?? 0) / NS_PER_US).toFixed(1);
}

function row(a: Accuracy): string {
  const close = a.errorsNs.length === 0 ? '–' : `${a.close}`;
  return `| ${a.name} | ${a.side}: \`${a.part}\` | ${a.right} of ${a.exchanges} | ${close} | ${p99(a.errorsNs)} | ${a.exactSums} |`;
}

const count = Number(process.argv[2] ?? EXCHANGES);
build();

console.log(
  '\n| injected | part | right part | within 1 % or 50 µs | error, p99 (µs) | sum = total |',
);
console.log('|---|---|---|---|---|---|');
let wrong = 0;
for (const injection of INJECTIONS) {
  const accuracy = await measure(program, injection, count);
  console.log(row(accuracy));
  wrong += accuracy.exchanges - accuracy.right;
}
process.exitCode = wrong === 0 ? 0 : 1;

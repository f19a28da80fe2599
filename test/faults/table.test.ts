/** The table of faults: every test that it names exists, every test of this suite is named. */
import { readdirSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import t from 'tap';
import { FAULT_GROUPS, type Proof } from './table.js';

const root = resolve(import.meta.dirname, '..');
const PROOFS = FAULT_GROUPS.flatMap(({ faults }) => faults.flatMap(({ proofs }) => proofs));

/** What is wrong with a proof, given the text of its file. */
function complaint([file, title]: Proof, text: string): string[] {
  const isThere = ["'", '"', '`'].some((quote) => text.includes(`${quote}${title}${quote}`));
  return isThere ? [] : [`${file} has no test: ${title}`];
}

const read = (file: string): string => readFileSync(resolve(root, file), 'utf8');

t.test('every test that the table names exists', (t) => {
  t.strictSame(
    complaint(['x.test.ts', 'it works'], "t.test('it works not')"),
    ['x.test.ts has no test: it works'],
    'a title that is gone is seen',
  );
  t.strictSame(
    PROOFS.flatMap((proof) => complaint(proof, read(proof[0]))),
    [],
  );
  t.end();
});

t.test('every fault has a proof, and every file of this suite proves one', (t) => {
  const faults = FAULT_GROUPS.flatMap((group) => group.faults);
  t.strictSame(
    faults.filter(({ proofs }) => proofs.length === 0).map((one) => one.fault),
    [],
  );
  t.equal(new Set(faults.map((one) => one.fault)).size, faults.length, 'no fault comes twice');
  const files = readdirSync(import.meta.dirname)
    .filter((name) => name.endsWith('.test.ts') && name !== 'table.test.ts')
    .map((name) => `faults/${name}`);
  const named = new Set(PROOFS.map(([file]) => file));
  t.strictSame(
    files.filter((file) => !named.has(file)),
    [],
  );
  t.end();
});

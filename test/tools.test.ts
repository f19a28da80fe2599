// What every tool must have: a row in README.md and a test that runs it.
import { readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import t from 'tap';
import { commandNames } from '../src/commands.js';

const root = resolve(import.meta.dirname, '..');
const read = (...path: string[]): string => readFileSync(join(root, ...path), 'utf8');

t.test('every tool has a row in the README, with its overhead', (t) => {
  const rows = read('README.md')
    .split('\n')
    .filter((line) => line.startsWith('| `netwatch '));
  for (const name of commandNames()) {
    const row = rows.find((line) => new RegExp(`^\\| \`netwatch ${name}\\b`).test(line));
    const cells = (row ?? '').split('|').map((cell) => cell.trim());
    t.ok(cells.slice(1, 4).every((cell) => cell !== '') && cells.length === 5, name);
  }
  t.end();
});

t.test('every tool is run by an end-to-end test', (t) => {
  const folder = join('test', 'e2e');
  const tests = readdirSync(join(root, folder))
    .filter((file) => file !== 'tools-common.test.ts')
    .map((file) => read(folder, file))
    .join('\n');
  const support = readdirSync(join(root, 'test', 'support'))
    .map((file) => read('test', 'support', file))
    .join('\n');
  for (const name of commandNames()) t.match(tests + support, `'${name}'`, name);
  t.end();
});

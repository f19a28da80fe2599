/** What tests of the Prometheus text share: promtool, hostile values, awkward numbers. */
import { spawnSync } from 'node:child_process';

/**
 * Options of a test that needs programs: skips it, with the reason, where they are not installed.
 */
export function missing(...programs: string[]): { skip?: string } {
  const absent = programs.filter((name) => spawnSync('which', [name]).status !== 0);
  return absent.length === 0 ? {} : { skip: `not installed: ${absent.join(', ')}` };
}

/** What promtool says to a body: its exit code (0 good, 1 refused, 3 only lint) and words. */
export function promtool(body: string | Uint8Array): { code: number | null; said: string } {
  const done = spawnSync('promtool', ['check', 'metrics'], { input: body, encoding: 'utf8' });
  return { code: done.status, said: `${done.stdout}${done.stderr}`.trim() };
}

/** Values that strangers choose, and what a reader has to get back. */
export const HOSTILE: readonly (readonly [given: string, read: string])[] = [
  ['a"b\\c\nd', 'a"b\\c\nd'],
  ['\x1b[2J', '\ufffd[2J'],
  ['{}=,', '{}=,'],
  ['C:\\dir\\new', 'C:\\dir\\new'],
  ['\\', '\\'],
  ['"} 1\nnetwatch_fake 1\n', '"} 1\nnetwatch_fake 1\n'],
  ['GET / HTTP/1.1\r\nX: y', 'GET / HTTP/1.1\ufffd\nX: y'],
  ['a\0b\tc\x7f\x85', 'a\ufffdb\ufffdc\ufffd\ufffd'],
  ['half \ud83d and \ude00 half', 'half \ufffd and \ufffd half'],
  ['line\u2028line\u2029\u202egnp\u2066', 'line\ufffdline\ufffd\ufffdgnp\ufffd'],
  ['日本語 é 😀', '日本語 é 😀'],
  ['x'.repeat(4096), 'x'.repeat(4096)],
];

/** Sample values and how they have to be written. */
export const NUMBERS: readonly (readonly [value: number | bigint, text: string])[] = [
  [0, '0'],
  [-0, '0'],
  [1, '1'],
  [-1, '-1'],
  [0.1, '0.1'],
  [-0.5, '-0.5'],
  [0.000068, '0.000068'],
  [1e-7, '0.0000001'],
  [-1.25e-9, '-0.00000000125'],
  [123456.789012345, '123456.789012345'],
  [1795233307.771, '1795233307.771'],
  [4294967295, '4294967295'],
  [4294967296, '4294967296'],
  [-4294967297, '-4294967297'],
  [1000000000, '1000000000'],
  [1e21, '1000000000000000000000'],
  [1e300, '1e+300'],
  [5e-324, '5e-324'],
  [2 ** 53 - 1, '9007199254740991'],
  [2 ** 53, '9007199254740992'],
  [2 ** 64, '18446744073709551616'],
  [9007199254740993n, '9007199254740993'],
  [18446744073709551615n, '18446744073709551615'],
  [-5n, '-5'],
  [NaN, 'NaN'],
  [Infinity, '+Inf'],
  [-Infinity, '-Inf'],
];

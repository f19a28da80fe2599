/** C programs of the tests: headers of bpf/include compiled natively, traffic that Node.js is too slow for. */
import { spawnSync } from 'node:child_process';
import { basename, join } from 'node:path';

const headers = join(import.meta.dirname, '..', '..', 'bpf', 'include');

/** The path of the program that `source` becomes in `directory`; null without a C compiler. */
export function compile(
  source: string,
  directory: string,
  flags: readonly string[] = [],
): string | null {
  const program = join(directory, basename(source, '.c'));
  for (const compiler of ['cc', 'clang', 'clang-14', 'gcc']) {
    const built = spawnSync(
      compiler,
      [
        ...['-O2', '-std=gnu11', '-Wall', '-Wextra', '-Werror', ...flags],
        ...['-I', headers, '-o', program, source],
      ],
      { encoding: 'utf8' },
    );
    if (built.error) continue;
    if (built.status !== 0) throw new Error(`${compiler}: ${built.stderr}`);
    return program;
  }
  return null;
}

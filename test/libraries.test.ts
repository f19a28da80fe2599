/** Who needs only a system call does not load libbpf: it may be missing, and costs what it maps. */
import { execFileSync } from 'node:child_process';
import { chmodSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import t from 'tap';
import { temporaryFolder } from './support/collector.js';
import { startServe } from './support/serve-process.js';

const build = resolve(import.meta.dirname, '../build');

/** The shared libraries that a process has loaded, by the beginning of their names. */
const librariesIn = (maps: string): string[] =>
  ['libbpf', 'libc'].filter((name) => new RegExp(`/${name}[.-]`).test(maps));

/** What a process has loaded after it has imported these modules of the program. */
function librariesOf(...modules: string[]): string[] {
  const imports = modules.map((name) => `await import('${build}/${name}.js');`).join('');
  const program = `${imports}process.stdout.write((await import('node:fs')).readFileSync('/proc/self/maps'))`;
  const args = ['--input-type=module', '--eval', program];
  return librariesIn(execFileSync(process.execPath, args, { encoding: 'utf8' }));
}

t.test('locks, the journal, notifications and export do without libbpf', (t) => {
  t.strictSame(librariesOf('kernel/map'), ['libbpf', 'libc'], 'what needs it loads it');
  const modules = ['sinks/directory-lock', 'sinks/journal', 'kernel/notify', 'export/run'];
  t.strictSame(librariesOf(...modules), ['libc']);
  t.end();
});

t.test('the endpoint does without libbpf while it serves', async (t) => {
  const folder = temporaryFolder(t);
  chmodSync(folder, 0o755); // it gives root away
  const serve = await startServe(t, folder);
  t.match(await serve.get('/metrics'), /netwatch_collector_up 0/);
  t.strictSame(librariesIn(readFileSync(`/proc/${serve.pid}/maps`, 'utf8')), ['libc']);
});

/** The benchmark itself, with its smallest sizes: what makes it red, and what it leaves behind. */
import { spawn } from 'node:child_process';
import { chmodSync, existsSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import t, { type Test } from 'tap';
import { temporaryFolder } from '../support/collector.js';
import { needsCommands, needsRoot } from '../support/skip.js';

const root = resolve(import.meta.dirname, '../..');
const skip = needsRoot || needsCommands('cc', 'clang', 'tcpdump');

interface Run {
  readonly code: number | null;
  readonly lines: readonly string[];
  readonly errors: string;
}

/** Runs some rows; its namespace must be gone afterwards. */
async function smoke(t: Test, rows: string, env: NodeJS.ProcessEnv): Promise<Run> {
  const args = [...process.execArgv, 'scripts/bench.ts', '--smoke', '--only', rows];
  const child = spawn(process.execPath, args, { cwd: root, env: { ...process.env, ...env } });
  let [output, errors] = ['', ''];
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => (errors += text));
  const code = await new Promise<number | null>((done) => child.once('close', done));
  t.notOk(existsSync(`/run/netns/nwbench-${child.pid ?? 0}`), 'its namespace is gone');
  return { code, lines: output.trimEnd().split('\n'), errors };
}

t.test(
  'the bench is red when a row is not measured, and measures the others',
  { skip },
  async (t) => {
    const { code, lines, errors } = await smoke(t, 'truth,kernel-insight', { CLANG: 'false' });
    t.equal(code, 1);
    t.equal(lines.at(-1), '1 passed, 1 failed');
    const cells = (title: RegExp): string[] | undefined =>
      lines
        .find((line) => title.test(line))
        ?.split(' | ')
        .slice(1, 3);
    t.same(cells(/^\| kernel, `netwatch insight`/), ['-', 'not measured']);
    t.match(cells(/^\| packet records missing/), [/^\d+$/, 'measured']);
    t.match(errors, /^bench: FAILED: kernel-insight was not measured \(Command failed: false /m);
  },
);

t.test(
  'a peer that does not run here leaves its rows out, and the bench green',
  { skip },
  async (t) => {
    const folder = temporaryFolder(t);
    writeFileSync(join(folder, 'bpftrace'), '#!/bin/sh\nexit 1\n');
    chmodSync(join(folder, 'bpftrace'), 0o755);
    const PATH = `${folder}:${process.env['PATH'] ?? ''}`;
    const { code, lines, errors } = await smoke(t, 'ready,rss-bpftrace', { PATH });
    t.equal(code, 0);
    t.equal(lines.at(-1), '1 passed, 0 failed, 1 skipped');
    t.match(
      errors,
      /^bench: skipped: rss-bpftrace was not measured \(bpftrace does not run here\)/m,
    );
  },
);

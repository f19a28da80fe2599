/**
 * A first look in 20 seconds: a private network namespace with traffic of every kind, netwatch
 * watching it, and then what netwatch wrote, section by section. Nothing remains of it.
 */
import { spawn, type ChildProcess } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { openOldConnections, playTraffic } from './demo/traffic.js';
import { report, type Section } from './demo/report.js';
import { closeAllNamespaces, openNamespace } from './traffic/namespace.js';

const EXIT_ENVIRONMENT = 3;
const EXIT_INTERRUPTED = 130;
const SECONDS = 20;
const READY_MS = 20_000;
/** More than one interval, so that the last values are pulled. */
const SETTLE_MS = 1200;
const OPTIONS = ['-x', '-r', '-t', '-i', '-e', '--interval', '1', '--duration', String(SECONDS)];

const program = resolve(import.meta.dirname, '../netwatch');
const say = (text: string): void => void process.stdout.write(`${text}\n`);

/** Why it cannot run here, and what to do about it; null if it can. */
function obstacle(): readonly [what: string, next: string] | null {
  if (process.getuid?.() !== 0)
    return [
      'the demo makes a network namespace and loads BPF programs: it needs root',
      'run: sudo make demo',
    ];
  if (!existsSync(program)) return [`${program} does not exist`, 'run: make'];
  return null;
}

/** Resolves at the ready line; rejects with what netwatch said if it ends before. */
function ready(child: ChildProcess): Promise<void> {
  return new Promise((fulfil, reject) => {
    let said = '';
    const fail = (why: string): void => reject(new Error(`${why}\n${said}`));
    const timer = setTimeout(() => fail('netwatch is not ready'), READY_MS);
    child.once('error', reject);
    child.once('exit', () => fail('netwatch ended early'));
    child.stderr?.setEncoding('utf8').on('data', (text: string) => {
      said += text;
      process.stderr.write(text);
      if (!/^netwatch: ready/m.test(said)) return;
      clearTimeout(timer);
      child.removeAllListeners('exit');
      fulfil();
    });
  });
}

function show({ title, about, lines }: Section): void {
  const width = process.stdout.isTTY ? process.stdout.columns : 200;
  const cut = (line: string): string =>
    line.length > width ? `${line.slice(0, width - 1)}…` : line;
  say(`\n── ${title}\n   ${about}\n`);
  for (const line of lines) say(cut(line));
  if (lines.length === 0) say('(nothing)');
}

async function run(folder: string): Promise<void> {
  const children: ChildProcess[] = [];
  process.once('exit', () => {
    for (const child of children) child.kill('SIGKILL'); // unless it has ended as it should
    closeAllNamespaces();
    rmSync(folder, { recursive: true, force: true });
  });
  const namespace = openNamespace({ prefix: 'nwdemo' });
  const old = await openOldConnections(namespace);
  const where = ['--netns', namespace.name, '--data', folder];
  say(`$ sudo ./netwatch ${[...where, ...OPTIONS].join(' ')}`);
  const child = spawn(program, [...where, ...OPTIONS], { stdio: ['ignore', 'pipe', 'pipe'] });
  children.push(child);
  const ended = new Promise((fulfil) => child.once('close', fulfil));
  let table = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => (table += text));
  await ready(child);
  const start = performance.now();
  const at = (): string => ((performance.now() - start) / 1000).toFixed(1).padStart(5);
  await playTraffic(namespace, old, (what) => say(`${at()} s  ${what}`));
  await sleep(SETTLE_MS);
  say(`${at()} s  done: Ctrl-C for netwatch`);
  child.kill('SIGINT');
  await ended;

  const read = (file: string): string => {
    const path = join(folder, file);
    return existsSync(path) ? readFileSync(path, 'utf8') : '';
  };
  const sections = report({
    table,
    connects: read('connects.log'),
    packets: read('packets.log'),
    errors: read('err.log'),
    state: read('netwatch.prom'),
  });
  sections.forEach(show);
  say('\nThe same on this machine: sudo make run. All options: ./netwatch --help');
}

// ip and nft are there, which not everybody's PATH knows.
process.env['PATH'] = `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`;
const why = obstacle();
if (why === null) {
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const)
    process.once(signal, () => process.exit(EXIT_INTERRUPTED));
  try {
    await run(mkdtempSync(join(tmpdir(), 'netwatch-demo-')));
  } catch (error) {
    process.stderr.write(`demo: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(1); // programs of the demo may still run
  }
} else {
  process.stderr.write(`demo: ${why.join('\n  ')}\n`);
  process.exitCode = EXIT_ENVIRONMENT;
}

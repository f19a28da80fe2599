/** Which system calls a program makes, and which ones a systemd unit allows. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import type { Unit } from './unit.js';

/** Names of a SystemCallFilter=, with the sets that systemd knows. */
function expand(name: string): string[] {
  if (!name.startsWith('@')) return [name];
  return execFileSync('systemd-analyze', ['syscall-filter', name], { encoding: 'utf8' })
    .split('\n')
    .slice(1)
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('#'))
    .flatMap(expand);
}

/** What the lines of a unit allow: the first, less those that begin with `~`. */
export function allowedCalls(unit: Unit): Set<string> {
  const allowed = new Set<string>();
  for (const line of unit.all('SystemCallFilter')) {
    const names = line.replace(/^~/, '').split(' ').flatMap(expand);
    for (const name of names) {
      if (line.startsWith('~')) allowed.delete(name);
      else allowed.add(name);
    }
  }
  return allowed;
}

/** A command that notes the system calls of what it runs in a file. */
export const tracing = (file: string): string[] => ['strace', '-f', '-qq', '-o', file];

/** The calls that were noted since Node.js was executed: those before are of its wrapper. */
export function madeCalls(file: string): Set<string> {
  const text = readFileSync(file, 'utf8');
  const begin = text.indexOf(`execve("${process.execPath}"`);
  if (begin < 0) throw new Error(`Node.js was never executed: ${text.slice(0, 200)}`);
  const calls = text.slice(begin).matchAll(/^\d+ +(\w+)\(/gm);
  return new Set([...calls].map(([, name]) => name ?? ''));
}

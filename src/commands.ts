/**
 * Which commands there are: no list, but the files themselves. A tool is a file in src/tools; the
 * long jobs beside the collector are a file `command` in a folder of their own.
 */
import { existsSync, readdirSync } from 'node:fs';
import type { Tool } from './terminal/tool.js';

const HERE = new URL('./', import.meta.url);
/** `.js` when built, `.ts` in a test. */
const EXTENSION = /\.[jt]s$/.exec(import.meta.url)?.[0] ?? '.js';
const JOB = `command${EXTENSION}`;

/** Where the command of this name is, if there is one. */
const fileOfTool = (name: string): URL => new URL(`tools/${name}${EXTENSION}`, HERE);
const fileOfJob = (name: string): URL => new URL(`${name}/${JOB}`, HERE);

/** Names of all commands, in the order of the alphabet. */
export function commandNames(): string[] {
  const tools = readdirSync(new URL('tools/', HERE), { withFileTypes: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(EXTENSION))
    .map(({ name }) => name.slice(0, -EXTENSION.length));
  const jobs = readdirSync(HERE).filter((folder) => existsSync(fileOfJob(folder)));
  return [...tools, ...jobs].sort();
}

/** Other words for a command, by its name. */
const SECOND_NAMES: ReadonlyMap<string, readonly string[]> = new Map([['requests', ['http']]]);

export const secondNamesOf = (name: string): readonly string[] => SECOND_NAMES.get(name) ?? [];

/** The name of the command that a word stands for; the word itself if it is no second name. */
export function commandNamed(word: string): string {
  for (const [name, others] of SECOND_NAMES) if (others.includes(word)) return name;
  return word;
}

/** The definition of a command, from its file. */
export async function loadCommand(name: string): Promise<Tool> {
  const file = existsSync(fileOfJob(name)) ? fileOfJob(name) : fileOfTool(name);
  const module = (await import(file.href)) as { default: Tool };
  return module.default;
}

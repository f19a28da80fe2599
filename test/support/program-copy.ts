/** A copy of the built program, to break: its BPF objects may be refused, its hooks unknown. */
import { cpSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { temporaryFolder } from './collector.js';
import type { Teardown } from './netns.js';

const ROOT = resolve(import.meta.dirname, '../..');

export interface ProgramCopy {
  /** For {@link CollectorOptions.program}. */
  readonly program: string;
  /** Makes the verifier refuse a program: it runs over its end. */
  refuse(object: string, section: string): void;
  /** Replaces a text of the same length wherever it stands in an object, as in a hook's name. */
  rename(object: string, from: string, to: string): void;
}

export function copyProgram(t: Teardown): ProgramCopy {
  const folder = temporaryFolder(t);
  for (const part of ['build', 'package.json'])
    cpSync(join(ROOT, part), join(folder, part), { recursive: true });
  const isObject = (path: string): boolean => !path.includes('.bpf.') || path.endsWith('.bpf.o');
  cpSync(join(ROOT, 'bpf'), join(folder, 'bpf'), { recursive: true, filter: isObject });
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  const change = (object: string, action: (bytes: Buffer) => Buffer): void => {
    const path = join(folder, 'bpf', `${object}.bpf.o`);
    writeFileSync(path, action(readFileSync(path)));
  };
  return {
    program: join(folder, 'build/main.js'),
    refuse: (object, section) => change(object, (bytes) => withoutExit(bytes, section)),
    rename: (object, from, to) =>
      change(object, (bytes) => {
        const text = bytes.toString('latin1');
        if (from.length !== to.length || !text.includes(from)) throw new Error(`rename ${from}`);
        return Buffer.from(text.replaceAll(from, to), 'latin1');
      }),
  };
}

const INSTRUCTION_BYTES = 8;
/** What a program can end in. */
const EXIT = 0x95;
const JUMP = 0x05;
const MOVE_IMMEDIATE = 0xb7;

function withoutExit(bytes: Buffer, section: string): Buffer {
  const { offset, size } = findSection(bytes, section);
  const last = offset + size - INSTRUCTION_BYTES;
  if (bytes[last] !== EXIT && bytes[last] !== JUMP) throw new Error(`the end of ${section}`);
  bytes[last] = MOVE_IMMEDIATE;
  return bytes;
}

/** Where the content of a section lies, by the headers of ELF64. */
function findSection(bytes: Buffer, wanted: string): { offset: number; size: number } {
  const headers = Number(bytes.readBigUInt64LE(0x28));
  const [entryBytes, count, names] = [0x3a, 0x3c, 0x3e].map((at) => bytes.readUInt16LE(at));
  const header = (index: number): number => headers + index * (entryBytes ?? 0);
  const contentOf = (index: number): number => Number(bytes.readBigUInt64LE(header(index) + 0x18));
  const strings = contentOf(names ?? 0);
  for (let index = 0; index < (count ?? 0); index++) {
    const name = strings + bytes.readUInt32LE(header(index));
    if (bytes.toString('latin1', name, bytes.indexOf(0, name)) !== wanted) continue;
    const size = Number(bytes.readBigUInt64LE(header(index) + 0x20));
    return { offset: contentOf(index), size };
  }
  throw new Error(`no section ${wanted}`);
}

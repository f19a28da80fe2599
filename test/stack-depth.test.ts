/**
 * Chains of calls in the BPF objects against the stack that the verifier allows. Linux before 6.8
 * counts each frame in steps of 32 bytes, so that what loads here may be refused there.
 */
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { unless } from './support/skip.js';

const ALLOWED_BYTES = 512;
const STEP_BYTES = 32;
/** The section of functions that programs share. */
const TEXT = '.text';

const bpf = join(import.meta.dirname, '..', 'bpf');
const objects = readdirSync(bpf).filter((name) => name.endsWith('.bpf.o'));
const tool = ['llvm-objdump', 'llvm-objdump-14'].find(
  (command) => spawnSync(command, ['--version']).error === undefined,
);
const skip = unless(
  tool !== undefined && objects.length > 0,
  'needs llvm-objdump and built objects',
);

interface Frame {
  bytes: number;
  /** Of its section, in bytes. */
  readonly at: number;
  readonly section: string;
  readonly calls: Set<string>;
}

/** The functions of an object by name, from a listing with relocations. */
class Listing {
  readonly frames = new Map<string, Frame>();
  /** Calls by place, in instructions of a section. */
  readonly #near: { readonly from: Frame; readonly section: string; readonly to: number }[] = [];
  readonly #copies = new Set<string>();
  #section = '';
  #frame: Frame | null = null;
  /** A call that may get a relocation in the next line. */
  #call: { readonly place: number; readonly distance: number } | null = null;

  constructor(lines: readonly string[]) {
    for (const line of lines) this.#read(line);
    this.#endCall();
    for (const { from, section, to } of this.#near)
      for (const [name, frame] of this.frames)
        if (frame.section === section && frame.at === to * 8) from.calls.add(name);
  }

  #read(line: string): void {
    this.#section = /^Disassembly of section (.*):$/.exec(line)?.[1] ?? this.#section;
    const [, address = '', name] = /^([0-9a-f]+) <(\w+)>:$/.exec(line) ?? [];
    if (name !== undefined && !name.startsWith('LBB')) {
      this.#endCall();
      const at = parseInt(address, 16);
      this.#frame = { bytes: 0, at, section: this.#section, calls: new Set() };
      this.frames.set(name, this.#frame);
    }
    if (this.#frame === null) return;
    const relocation = /R_BPF_64_(?:32|64)\s+(\S+)/.exec(line)?.[1];
    if (relocation !== undefined) this.#relocate(this.#frame, relocation);
    const [, place, code] = /^\s+(\d+):\s((?:[0-9a-f]{2} ){7}[0-9a-f]{2})\s/.exec(line) ?? [];
    if (code === undefined) return;
    this.#endCall();
    // a call of a function, not of a helper
    if (code.startsWith('85 10'))
      this.#call = {
        place: Number(place),
        distance: Buffer.from(code.replaceAll(' ', ''), 'hex').readInt32LE(4),
      };
    this.#measure(line, this.#frame);
  }

  #relocate(from: Frame, symbol: string): void {
    if (symbol === TEXT && this.#call !== null)
      this.#near.push({ from, section: TEXT, to: this.#call.distance + 1 });
    else from.calls.add(symbol);
    this.#call = null;
  }

  /** A call without a relocation is one within its section. */
  #endCall(): void {
    const from = this.#frame;
    if (this.#call !== null && from !== null) {
      const { place, distance } = this.#call;
      this.#near.push({ from, section: from.section, to: place + 1 + distance });
    }
    this.#call = null;
  }

  /** r10 is the end of the frame; other registers get their places from it. */
  #measure(line: string, frame: Frame): void {
    const grow = (bytes = '0'): void => {
      frame.bytes = Math.max(frame.bytes, Number(bytes));
    };
    grow(/\(r10 - (\w+)\)/.exec(line)?.[1]);
    const [, register = '', operator, value = ''] = /\s(r\d) (\+?=) (r10|-?\w+)?/.exec(line) ?? [];
    if (operator === '=' && value === 'r10') {
      this.#copies.add(register);
      return;
    }
    if (operator === '+=' && value.startsWith('-') && this.#copies.has(register))
      grow(value.slice(1));
    this.#copies.delete(register);
  }
}

interface Chain {
  readonly bytes: number;
  readonly names: readonly string[];
}

function longest(frames: ReadonlyMap<string, Frame>, name: string): Chain {
  const { bytes = 0, calls = [] } = frames.get(name) ?? {};
  const own = Math.max(1, Math.ceil(bytes / STEP_BYTES)) * STEP_BYTES;
  const below = [...calls]
    .filter((callee) => frames.has(callee))
    .map((callee) => longest(frames, callee))
    .reduce((a, b) => (b.bytes > a.bytes ? b : a), { bytes: 0, names: [] });
  return { bytes: own + below.bytes, names: [`${name} ${bytes}`, ...below.names] };
}

t.test('no chain of calls needs more stack than the verifier of 6.1 allows', { skip }, (t) => {
  for (const name of objects) {
    const { stdout } = spawnSync(tool ?? '', ['-dr', join(bpf, name)], {
      encoding: 'utf8',
      maxBuffer: 1 << 28,
    });
    const { frames } = new Listing(stdout.split('\n'));
    const programs = [...frames].filter(([, { section }]) => section !== TEXT);
    const chains = programs.map(([program]) => longest(frames, program));
    const most = chains.reduce((a, b) => (b.bytes > a.bytes ? b : a), { bytes: 0, names: [] });
    t.ok(most.bytes > 0, `${name} has programs`);
    t.strictSame(most.bytes > ALLOWED_BYTES ? most : null, null, name);
    t.comment(`${name}: ${most.bytes} bytes: ${most.names.join(' > ')}`);
  }
  t.end();
});

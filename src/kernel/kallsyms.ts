/**
 * Names of the kernel's functions by address, out of /proc/kallsyms. The file is read when the first
 * name is asked for (5 MB, 120,000 functions: 0.2 s), as it is then.
 */
import { closeSync, openSync, readFileSync, readSync } from 'node:fs';

const PATH = '/proc/kallsyms';
const TWO_32 = 0x1_0000_0000;
const HEX_DIGITS = 16;
const NEWLINE = 10;
/** Kinds of symbols that are code. */
const CODE = new Set(Buffer.from('tTwW'));
/** No function is longer: what lies so far behind the last one known is in none. */
const LONGEST_FUNCTION = 2 ** 20;
/** Names that are kept ready. */
const MOST_KNOWN = 4096;
const CHUNK_BYTES = 2 ** 16;

export interface KernelSymbols {
  /** `tcp_v4_rcv+0x9c7`; null for an address that is in no function. */
  readonly nameOf: (address: number) => string | null;
}

/** Functions in the order of their addresses. */
interface Functions {
  readonly addresses: Float64Array;
  readonly names: readonly string[];
}

/** As readAddress() reads it: a signed number. */
function parseAddress(digits: string): number {
  return (parseInt(digits.slice(0, 8), 16) | 0) * TWO_32 + parseInt(digits.slice(8), 16);
}

/** A line is `ffffffff81000000 T _text`, with a tab and `[module]` behind it where it is one's. */
function parseSymbols(text: Buffer): Functions {
  const found: { readonly address: number; readonly name: string }[] = [];
  for (let at = 0; at < text.length;) {
    const newline = text.indexOf(NEWLINE, at);
    const end = newline < 0 ? text.length : newline;
    if (CODE.has(text[at + HEX_DIGITS + 1] ?? 0)) {
      const address = parseAddress(text.toString('latin1', at, at + HEX_DIGITS));
      const [name = ''] = text.toString('latin1', at + HEX_DIGITS + 3, end).split('\t', 1);
      if (address !== 0) found.push({ address, name });
    }
    at = end + 1;
  }
  found.sort((a, b) => a.address - b.address);
  return {
    addresses: Float64Array.from(found, ({ address }) => address),
    names: found.map(({ name }) => name),
  };
}

/** The last function that begins at or before an address; -1 for none. */
function indexBefore(addresses: Float64Array, address: number): number {
  let low = 0;
  let high = addresses.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((addresses[middle] ?? 0) <= address) low = middle + 1;
    else high = middle;
  }
  return low - 1;
}

function describe({ addresses, names }: Functions, address: number): string | null {
  const index = indexBefore(addresses, address);
  const offset = address - (addresses[index] ?? -Infinity);
  return offset < LONGEST_FUNCTION ? `${names[index]}+0x${offset.toString(16)}` : null;
}

/** Symbols out of a text like that of /proc/kallsyms, which `read` gives when it is needed. */
export function kernelSymbols(read: () => Buffer = () => readFileSync(PATH)): KernelSymbols {
  let functions: Functions | null = null;
  // the same few call sites come again and again
  const known = new Map<number, string | null>();
  return {
    nameOf: (address) => {
      const before = known.get(address);
      if (before !== undefined) return before;
      functions ??= parseSymbols(read());
      const name = describe(functions, address);
      if (known.size >= MOST_KNOWN) known.clear();
      known.set(address, name);
      return name;
    },
  };
}

/** The address of a symbol that is data or code; null if there is none, or the kernel hides it. */
export function symbolAddress(name: string, text = readFileSync(PATH, 'latin1')): bigint | null {
  const digits = new RegExp(`^([0-9a-f]+) [a-z] ${name}$`, 'im').exec(text)?.[1];
  const address = BigInt(`0x${digits ?? 0}`);
  return address === 0n ? null : address;
}

/** True if the kernel shows zeros instead of its addresses: no CAP_SYSLOG, or kptr_restrict. */
export function areSymbolsHidden(): boolean {
  try {
    return !/^0*[1-9a-f][0-9a-f]* [tT] /m.test(firstFunctions());
  } catch {
    return true;
  }
}

/** So much of the file that it holds a function: what comes before are variables of each CPU. */
function firstFunctions(): string {
  const file = openSync(PATH, 'r');
  try {
    const chunk = Buffer.alloc(CHUNK_BYTES);
    let text = '';
    for (;;) {
      const bytes = readSync(file, chunk);
      text += chunk.toString('latin1', 0, bytes);
      if (bytes === 0 || / [tT] /.test(text)) return text;
    }
  } finally {
    closeSync(file);
  }
}

/**
 * Counts of an interval, exactly: of two hash maps the programs see the one in a slot. Swapping them
 * returns when no program uses the first one any more; then it is read and emptied. Kernel side:
 * swapped.bpf.h.
 */
import { NetwatchError } from '../failure.js';
import { errno } from './ffi.js';
import { libbpf } from './libbpf.js';
import { sumPerCpu } from './map.js';
import type { BpfMap } from './object.js';
import { readU64 } from './read.js';
import type { Attached } from './source.js';
import { describeErrno } from './system-error.js';

/** A key and its counts; the views are good until the next entry. */
export type TakeCounts = (key: DataView, value: DataView) => void;

const ENOENT = 2;
const BATCH = 512;
const SLOT = new Uint8Array(4);

function fail(map: BpfMap, number: number, doing: string): never {
  const reason = describeErrno(number);
  throw new NetwatchError({
    code: 'system',
    what: `cannot ${doing} the BPF map ${map.name}`,
    reason,
  });
}

export class SwappedMap {
  readonly #slot: BpfMap;
  readonly #lost: BpfMap;
  /** The first one is in the slot. */
  #maps: readonly [now: BpfMap, other: BpfMap];

  /** The pair called `name` of a source. Throws NetwatchError if its sizes are not as built. */
  constructor(source: Attached, name: string, valueSize: number) {
    this.#slot = source.map(name);
    this.#lost = source.map('counts_lost');
    this.#maps = [source.map(`${name}_a`, valueSize), source.map(`${name}_b`, valueSize)];
  }

  /** Hands over what was counted since the last call; each count comes once. Blocks for some ms. */
  drain(take: TakeCounts): void {
    const [now, other] = this.#maps;
    const descriptor = new Uint8Array(Uint32Array.of(other.fd).buffer);
    if (libbpf.update(this.#slot.fd, SLOT, descriptor, 0) !== 0) fail(this.#slot, errno(), 'swap');
    this.#maps = [other, now];
    empty(now, take);
  }

  /** What found no room since the start. */
  get lost(): number {
    return readU64(sumPerCpu(this.#lost), 0);
  }
}

/** Reads a map that nobody writes, and takes everything out of it. */
function empty(map: BpfMap, take: TakeCounts): void {
  const { fd, keySize, valueSize, maxEntries } = map;
  const keys = new Uint8Array(BATCH * keySize);
  const values = new Uint8Array(BATCH * valueSize);
  const place = new Uint8Array(Math.max(8, keySize));
  const count = new Uint32Array(1);
  let from: Uint8Array | null = null;
  // Each batch moves on by at least one bucket, so this ends.
  for (let batch = 0; batch <= maxEntries + 1; batch++) {
    count[0] = BATCH;
    const result = libbpf.lookupAndDeleteBatch(fd, from, place, keys, values, count, null);
    const number = result === 0 ? 0 : errno();
    if (number !== 0 && number !== ENOENT) fail(map, number, 'read');
    for (let i = 0; i < count[0]; i++)
      take(
        new DataView(keys.buffer, i * keySize, keySize),
        new DataView(values.buffer, i * valueSize, valueSize),
      );
    if (number === ENOENT) return;
    from = place;
  }
}

/** Reads BPF maps: one value, a sum over CPUs, or everything in batches. */
import { errno } from './ffi.js';
import { libbpf } from './libbpf.js';
import { NetwatchError } from '../failure.js';
import { describeErrno } from './system-error.js';
import type { BpfMap } from './object.js';

const ENOENT = 2;
const E2BIG = 7;
const ENOSPC = 28;

/** Values in per-CPU maps are padded to 8 bytes. */
const padded = (size: number): number => (size + 7) & ~7;

export const cpuCount = libbpf.possibleCpus();

function fail(map: BpfMap, number: number): never {
  throw new NetwatchError({
    code: 'system',
    what: `cannot read the BPF map ${map.name}`,
    reason: describeErrno(number),
  });
}

function keyBytes(index: number): Uint8Array {
  const key = new Uint8Array(4);
  new DataView(key.buffer).setUint32(0, index, true);
  return key;
}

const FIRST = keyBytes(0);

/** One value of an array map. */
export function readArrayValue(map: BpfMap, index: number): DataView {
  const value = new Uint8Array(padded(map.valueSize));
  if (libbpf.lookup(map.fd, keyBytes(index), value) !== 0) fail(map, errno());
  return new DataView(value.buffer);
}

/** Sets the first value of an array map. */
export function setArrayValue(map: BpfMap, value: Uint8Array): void {
  if (libbpf.update(map.fd, FIRST, value, 0) === 0) return;
  throw new NetwatchError({
    code: 'system',
    what: `cannot write the BPF map ${map.name}`,
    reason: describeErrno(errno()),
  });
}

/** A per-CPU array value of all CPUs in a row, and how far apart they are. */
export function readPerCpu(map: BpfMap, index = 0): { view: DataView; stride: number } {
  const stride = padded(map.valueSize);
  const all = new Uint8Array(stride * cpuCount);
  if (libbpf.lookup(map.fd, keyBytes(index), all) !== 0) fail(map, errno());
  return { view: new DataView(all.buffer), stride };
}

/**
 * Sum over CPUs of a per-CPU array value that consists of u64 counters only.
 * The result looks like one such value.
 */
export function sumPerCpu(map: BpfMap, index = 0): DataView {
  const { view, stride } = readPerCpu(map, index);
  return sumCounters(new Uint8Array(view.buffer), stride);
}

/** Adds up consecutive blocks of u64 counters. */
export function sumCounters(all: Uint8Array, size: number): DataView {
  const counters = new BigUint64Array(all.buffer, all.byteOffset, all.byteLength / 8);
  const width = size / 8;
  const sum = new BigUint64Array(width);
  for (let i = 0; i < counters.length; i++) {
    const column = i % width;
    sum[column] = (sum[column] ?? 0n) + (counters[i] ?? 0n);
  }
  return new DataView(sum.buffer);
}

/** Puts a value into a hash map; false: it is full. */
export function setKey(map: BpfMap, key: Uint8Array, value: Uint8Array): boolean {
  if (libbpf.update(map.fd, key, value, 0) === 0) return true;
  const number = errno();
  if (number !== E2BIG) fail(map, number);
  return false;
}

/** Takes a value out of a hash map, if it is there. */
export function deleteKey(map: BpfMap, key: Uint8Array): void {
  if (libbpf.deleteKey(map.fd, key) === 0) return;
  const number = errno();
  if (number !== ENOENT) fail(map, number);
}

const BATCH = 512;

/**
 * Everything in a hash map, as [key, value] views; for a per-CPU map the value
 * is the sum of its u64 counters. Batches where the kernel has them (73 times
 * faster than key by key), else key by key. A map that changes meanwhile may
 * show a key twice: the last one counts.
 */
export function readHash(map: BpfMap, perCpu: boolean): Map<string, [DataView, DataView]> {
  const size = padded(map.valueSize);
  const valueBytes = perCpu ? size * cpuCount : map.valueSize;
  const entries = new Map<string, [DataView, DataView]>();
  const take = (keys: Uint8Array, values: Uint8Array, count: number): void => {
    for (let i = 0; i < count; i++) {
      const key = keys.slice(i * map.keySize, (i + 1) * map.keySize);
      const value = values.slice(i * valueBytes, (i + 1) * valueBytes);
      const view = perCpu ? sumCounters(value, size) : new DataView(value.buffer);
      entries.set(Buffer.from(key).toString('latin1'), [new DataView(key.buffer), view]);
    }
  };
  if (!readBatches(map, valueBytes, take)) readKeys(map, valueBytes, take);
  return entries;
}

type Take = (keys: Uint8Array, values: Uint8Array, count: number) => void;

function readBatches(map: BpfMap, valueBytes: number, take: Take): boolean {
  const keys = new Uint8Array(BATCH * map.keySize);
  const values = new Uint8Array(BATCH * valueBytes);
  const count = new Uint32Array(1);
  const place = new Uint8Array(Math.max(8, map.keySize));
  let first = true;
  // Each batch moves on by at least one bucket, so this ends.
  for (let batch = 0; batch <= map.maxEntries + 1; batch++) {
    count[0] = BATCH;
    const result = libbpf.lookupBatch(
      map.fd,
      first ? null : place,
      place,
      keys,
      values,
      count,
      null,
    );
    const number = result === 0 ? 0 : errno();
    if (number !== 0 && number !== ENOENT) {
      if (first && number !== ENOSPC) return false;
      fail(map, number);
    }
    take(keys, values, count[0]);
    if (number === ENOENT) return true;
    first = false;
  }
  return true;
}

function readKeys(map: BpfMap, valueBytes: number, take: Take): void {
  let key: Uint8Array | null = null;
  const value = new Uint8Array(valueBytes);
  for (let i = 0; i <= map.maxEntries; i++) {
    const next = new Uint8Array(map.keySize);
    if (libbpf.nextKey(map.fd, key, next) !== 0) return;
    if (libbpf.lookup(map.fd, next, value) === 0) take(next, value, 1);
    key = next;
  }
}

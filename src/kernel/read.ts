/**
 * Reads single values out of kernel records: all of them little-endian. The
 * generated decoders are made of these; the ns are per call on the development
 * machine (Node 20).
 */
import { textOf } from '../metrics/text.js';

const UNKNOWN_HIGH = 0xffffffff;
const TWO_32 = 0x1_0000_0000;

/** An unsigned 64-bit value as a number, exact up to 2^53 (8 ns; as BigInt 30 ns). */
export function readU64(view: DataView, at: number): number {
  return view.getUint32(at + 4, true) * TWO_32 + view.getUint32(at, true);
}

/** Nanoseconds, or null where the kernel side wrote NW_UNKNOWN (all bits set). */
export function readDuration(view: DataView, at: number): number | null {
  const high = view.getUint32(at + 4, true);
  if (high === UNKNOWN_HIGH) return null;
  return high * TWO_32 + view.getUint32(at, true);
}

/**
 * A kernel address as a signed number: kernel addresses lie within 2^56 of the
 * top and objects are aligned to 8 bytes, so a double holds each of them exactly,
 * with five-level page tables (ff11…) and 52-bit arm64 (fff0…) too.
 */
export function readAddress(view: DataView, at: number): number {
  return view.getInt32(at + 4, true) * TWO_32 + view.getUint32(at, true);
}

export function readBytes(view: DataView, at: number, length: number): Uint8Array {
  return new Uint8Array(view.buffer, view.byteOffset + at, length);
}

const COMM_LENGTH = 16;
const CACHE_LIMIT = 4096;
const comms = new Map<bigint, Map<bigint, string>>();
let commCount = 0;

function decodeComm(view: DataView, at: number): string {
  return textOf(readBytes(view, at, COMM_LENGTH).slice());
}

/**
 * A NUL-terminated name of up to 16 bytes. Names repeat, so the text is cached
 * by its bytes; invalid UTF-8 becomes U+FFFD, everything else is left as it is.
 */
export function readComm(view: DataView, at: number): string {
  const high = view.getBigUint64(at, true);
  const low = view.getBigUint64(at + 8, true);
  if (commCount >= CACHE_LIMIT) {
    comms.clear();
    commCount = 0;
  }
  let byLow = comms.get(high);
  if (byLow === undefined) {
    byLow = new Map();
    comms.set(high, byLow);
  }
  let text = byLow.get(low);
  if (text === undefined) {
    text = decodeComm(view, at);
    byLow.set(low, text);
    commCount++;
  }
  return text;
}

const MAPPED = 0xffff;

/** An address in text: dotted for IPv4 (IPv4-mapped), RFC 5952 for IPv6. */
export function readIp(view: DataView, at: number): string {
  if (
    view.getUint32(at + 8) === MAPPED &&
    view.getUint32(at) === 0 &&
    view.getUint32(at + 4) === 0
  ) {
    const a = at + 12;
    return `${view.getUint8(a)}.${view.getUint8(a + 1)}.${view.getUint8(a + 2)}.${view.getUint8(a + 3)}`;
  }
  return formatIpv6(view, at);
}

/** RFC 5952: lower case, no leading zeros, the longest run of zeros (two or more) as `::`. */
function formatIpv6(view: DataView, at: number): string {
  const groups = Array.from({ length: 8 }, (_, i) => view.getUint16(at + i * 2));
  let best = -1;
  let bestLength = 1;
  for (let i = 0; i < 8; i++) {
    let length = 0;
    while (i + length < 8 && groups[i + length] === 0) length++;
    if (length > bestLength) {
      best = i;
      bestLength = length;
    }
  }
  const text = (part: number[]): string => part.map((group) => group.toString(16)).join(':');
  if (best < 0) return text(groups);
  return `${text(groups.slice(0, best))}::${text(groups.slice(best + bestLength))}`;
}

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

/** Texts of values that repeat are made once while they have their slot; another value may take it. */
const SLOT_BITS = 10;
const texts = (): string[] => new Array<string>(1 << SLOT_BITS).fill('');
const slotOf = (mixed: number): number => Math.imul(mixed, 0x9e3779b1) >>> (32 - SLOT_BITS);

const COMM_LENGTH = 16;
const COMM_WORDS = COMM_LENGTH / 4;
const commKeys = new Int32Array(COMM_WORDS << SLOT_BITS);
const comms = texts();

function decodeComm(view: DataView, at: number): string {
  return textOf(readBytes(view, at, COMM_LENGTH).slice());
}

/**
 * A NUL-terminated name of up to 16 bytes; invalid UTF-8 becomes U+FFFD, everything else is left as it
 * is.
 */
export function readComm(view: DataView, at: number): string {
  const a = view.getInt32(at, true);
  const b = view.getInt32(at + 4, true);
  const c = view.getInt32(at + 8, true);
  const d = view.getInt32(at + 12, true);
  const slot = slotOf(Math.imul(a ^ (b << 7) ^ (c << 3), 0x85ebca6b) ^ d);
  const key = slot * COMM_WORDS;
  const isThere =
    commKeys[key] === a &&
    commKeys[key + 1] === b &&
    commKeys[key + 2] === c &&
    commKeys[key + 3] === d;
  if (!isThere) {
    commKeys[key] = a;
    commKeys[key + 1] = b;
    commKeys[key + 2] = c;
    commKeys[key + 3] = d;
    comms[slot] = decodeComm(view, at);
  }
  return comms[slot]!;
}

const MAPPED = 0xffff;
const ipv4Keys = new Int32Array(1 << SLOT_BITS);
/** As keys are 0 where nothing is. */
const ipv4s = texts().fill('0.0.0.0');

/** An address in text: dotted for IPv4 (IPv4-mapped), RFC 5952 for IPv6. */
export function readIp(view: DataView, at: number): string {
  if (view.getUint32(at + 8) !== MAPPED || view.getUint32(at) !== 0 || view.getUint32(at + 4) !== 0)
    return formatIpv6(view, at);
  const address = view.getInt32(at + 12);
  const slot = slotOf(address);
  if (ipv4Keys[slot] !== address) {
    ipv4Keys[slot] = address;
    ipv4s[slot] =
      `${address >>> 24}.${(address >>> 16) & 255}.${(address >>> 8) & 255}.${address & 255}`;
  }
  return ipv4s[slot]!;
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

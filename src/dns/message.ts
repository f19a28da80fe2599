/**
 * Reads answers of name servers (RFC 1035) as they came off the wire, perhaps cut short: which name
 * was asked for, and its addresses. Pure. What a stranger has sent never throws and never loops.
 */
import { readIp } from '../kernel/read.js';

/** An answer that has at least one address. */
export interface DnsAnswer {
  /** What was asked for, without the dot at its end. */
  readonly name: string;
  /** In text, IPv4-mapped ones as IPv4. */
  readonly addresses: readonly string[];
}

const HEADER_BYTES = 12;
const FIXED_BYTES = 10; // of a record, after its name: type, class, TTL, length
const ANSWER = 0x8000;
const CLASS_IN = 1;
const TYPE_A = 1;
const TYPE_CNAME = 5;
const TYPE_AAAA = 28;
const ADDRESS_BYTES: Readonly<Record<number, number>> = { [TYPE_A]: 4, [TYPE_AAAA]: 16 };
/** Labels with their lengths; a longer name is none. */
const MAX_NAME_BYTES = 255;
const POINTER = 0xc0;
const DOT = 0x2e;
const BACKSLASH = 0x5c;

/** A name, and where what follows it begins. */
interface ReadName {
  readonly name: string;
  readonly next: number;
}

interface ResourceRecord {
  /** In lower case: names know no case. */
  readonly owner: string;
  readonly type: number;
  /** Where its data begins, and how long it is; all of it is there. */
  readonly at: number;
  readonly length: number;
}

/** One byte of a label, as zone files write it. */
function labelCharacter(byte: number): string {
  if (byte === DOT || byte === BACKSLASH) return `\\${String.fromCharCode(byte)}`;
  if (byte > 0x20 && byte < 0x7f) return String.fromCharCode(byte);
  return `\\${String(byte).padStart(3, '0')}`;
}

/**
 * Null if it is cut off or none. A pointer leads to what stands before it, always further back, so
 * that a loop ends.
 */
function readName(view: DataView, start: number): ReadName | null {
  const labels: string[] = [];
  let at = start;
  let before = start;
  let next: number | null = null;
  let bytes = 1;
  for (;;) {
    if (at >= view.byteLength) return null;
    const length = view.getUint8(at);
    if (length === 0) return { name: labels.join('.'), next: next ?? at + 1 };
    if (length >= POINTER) {
      if (at + 2 > view.byteLength) return null;
      next ??= at + 2;
      at = view.getUint16(at) & 0x3fff;
      if (at >= before) return null;
      before = at;
      continue;
    }
    bytes += length + 1;
    if (length >= 0x40 || bytes > MAX_NAME_BYTES || at + 1 + length > view.byteLength) return null;
    const label = Array.from({ length }, (_, i) => labelCharacter(view.getUint8(at + 1 + i)));
    labels.push(label.join(''));
    at += length + 1;
  }
}

const lower = ({ name }: ReadName): string => name.toLowerCase();

/** The records of the answer section that are whole. */
function readAnswers(view: DataView, start: number, count: number): ResourceRecord[] {
  const records: ResourceRecord[] = [];
  let at = start;
  for (let i = 0; i < count; i++) {
    const owner = readName(view, at);
    if (owner === null || owner.next + FIXED_BYTES > view.byteLength) break;
    const fixed = owner.next;
    const length = view.getUint16(fixed + 8);
    const data = fixed + FIXED_BYTES;
    if (data + length > view.byteLength) break;
    if (view.getUint16(fixed + 2) === CLASS_IN)
      records.push({ owner: lower(owner), type: view.getUint16(fixed), at: data, length });
    at = data + length;
  }
  return records;
}

/** The name that was asked for and those it leads to. */
function namesOf(view: DataView, asked: string, records: readonly ResourceRecord[]): Set<string> {
  const aliases = records
    .filter(({ type }) => type === TYPE_CNAME)
    .map(({ owner, at }) => {
      const target = readName(view, at);
      return [owner, target === null ? owner : lower(target)] as const;
    });
  const names = new Set([asked]);
  for (let known = 0; known < names.size;) {
    known = names.size;
    for (const [owner, target] of aliases) if (names.has(owner)) names.add(target);
  }
  return names;
}

function addressText(view: DataView, { type, at }: ResourceRecord): string {
  if (type === TYPE_AAAA) return readIp(view, at);
  return Array.from({ length: 4 }, (_, i) => view.getUint8(at + i)).join('.');
}

/** `bytes`: as many of the message as there are. Null: no answer with an address. */
export function parseAnswer(bytes: Uint8Array): DnsAnswer | null {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.byteLength < HEADER_BYTES) return null;
  const isAnswer = (view.getUint16(2) & ANSWER) !== 0;
  const questions = view.getUint16(4);
  const question = isAnswer && questions === 1 ? readName(view, HEADER_BYTES) : null;
  if (question === null) return null;
  // after the question's name its type and class, two bytes each
  const records = readAnswers(view, question.next + 4, view.getUint16(6));
  const names = namesOf(view, lower(question), records);
  const addresses = records
    .filter(({ owner, type, length }) => {
      return length === ADDRESS_BYTES[type] && names.has(owner);
    })
    .map((record) => addressText(view, record));
  return addresses.length === 0
    ? null
    : { name: question.name, addresses: [...new Set(addresses)] };
}

/** The fifteen events: their names, their bits, their classes; masks of them as text. Pure. */
import { EVENT } from '../generated/insight.js';
import { parseNumber } from './c-number.js';

type Wire = Exclude<keyof typeof EVENT, 'NW_EVENTS'>;
export type EventName = Wire extends `NW_EVENT_${infer Name}` ? Name : never;

/** By bit. */
export const EVENT_NAMES = Object.keys(EVENT)
  .filter((name) => name !== 'NW_EVENTS')
  .map((name) => name.replace('NW_EVENT_', '')) as readonly EventName[];

/** The bit of each event, as a mask. */
export const EVENT_BITS = Object.fromEntries(
  EVENT_NAMES.map((name, bit) => [name, 1 << bit]),
) as Readonly<Record<EventName, number>>;

export const ALL_EVENTS = (1 << EVENT_NAMES.length) - 1;

export function maskOf(names: readonly EventName[]): number {
  return names.reduce((mask, name) => mask | EVENT_BITS[name], 0);
}

export function namesIn(mask: number): EventName[] {
  return EVENT_NAMES.filter((name) => (mask & EVENT_BITS[name]) !== 0);
}

/** What the statistics add up; each event is in one of them. */
export const EVENT_CLASSES = {
  Connection: ['CONNECT', 'ACCEPT', 'CLOSE'],
  Data: ['SEND', 'RECEIVE'],
  Performance: [
    'CWND_CHANGE',
    'RTT_UPDATE',
    'SLOW_START',
    'CONG_AVOID',
    'FAST_RECOVERY',
    'WINDOW_UPDATE',
  ],
  Error: ['RETRANSMIT', 'RESET', 'SACK', 'TIMEOUT'],
} as const satisfies Readonly<Record<string, readonly EventName[]>>;

/** Events that have a number of bytes; the kernel side's NW_EVENTS_WITH_BYTES. */
export const EVENTS_WITH_BYTES = maskOf(['SEND', 'RECEIVE', 'RETRANSMIT', 'CLOSE', 'SACK']);

/** The largest mask that is accepted: bit 15 is of no event, and 0xFFFF a habit. */
const LARGEST_MASK = 0xffff;
/**
 * A mask: a number, or names separated by commas in any case (`CONNECT,close`). Null if it is
 * neither, or holds no event.
 */
export function parseMask(text: string): number | null {
  const number = parseNumber(text);
  if (!Number.isNaN(number)) {
    const mask = number & ALL_EVENTS;
    return number <= LARGEST_MASK && mask !== 0 ? mask : null;
  }
  const names = text.split(',').map((name) => name.trim().toUpperCase());
  const isEvent = (name: string): name is EventName => name in EVENT_BITS;
  return names.every(isEvent) ? maskOf(names) : null;
}

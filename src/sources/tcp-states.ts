/** What the kernel numbers and people name: states of a TCP socket, and of its congestion control. */
import { parseNumber } from './c-number.js';

/** By the kernel's number (include/net/tcp_states.h), its name and OpenTelemetry's; the first is 1. */
const TCP_STATES = [
  ['ESTABLISHED', 'established'],
  ['SYN_SENT', 'syn_sent'],
  ['SYN_RECV', 'syn_received'],
  ['FIN_WAIT1', 'fin_wait_1'],
  ['FIN_WAIT2', 'fin_wait_2'],
  ['TIME_WAIT', 'time_wait'],
  ['CLOSE', 'closed'],
  ['CLOSE_WAIT', 'close_wait'],
  ['LAST_ACK', 'last_ack'],
  ['LISTEN', 'listen'],
  ['CLOSING', 'closing'],
  ['NEW_SYN_RECV', 'syn_received'],
] as const;

/** A state as OpenTelemetry's network.connection.state names it. */
export type ConnectionState = (typeof TCP_STATES)[number][1];

/** The kernel's names, in the order of its numbers from 1 on. */
export const STATES = TCP_STATES.map(([name]) => name);

const numberOf = (name: (typeof STATES)[number]): number => STATES.indexOf(name) + 1;

export const TCP_SYN_SENT = numberOf('SYN_SENT');
export const TCP_SYN_RECV = numberOf('SYN_RECV');
export const TCP_CLOSE = numberOf('CLOSE');
export const TCP_CLOSE_WAIT = numberOf('CLOSE_WAIT');
export const TCP_LAST_ACK = numberOf('LAST_ACK');
export const TCP_LISTEN = numberOf('LISTEN');
export const TCP_CLOSING = numberOf('CLOSING');
export const TCP_NEW_SYN_RECV = numberOf('NEW_SYN_RECV');

/** The kernel's name of a state; null for none (0). */
export function stateName(state: number): (typeof STATES)[number] | null {
  return STATES[state - 1] ?? null;
}

/** OpenTelemetry's name of a state; a socket that has none yet (0) is closed. */
export function connectionState(state: number): ConnectionState {
  return TCP_STATES[state - 1]?.[1] ?? 'closed';
}

/** A state by number (1-12) or name, in any case; null if there is no such state. */
export function parseState(text: string): number | null {
  const byName = STATES.findIndex((name) => name === text.toUpperCase()) + 1;
  if (byName > 0) return byName;
  const number = parseNumber(text);
  return number >= 1 && number <= STATES.length ? number : null;
}

/** By the kernel's number (enum tcp_ca_state). */
export const CONGESTION_STATES = ['open', 'disorder', 'cwr', 'recovery', 'loss'] as const;
export type CongestionState = (typeof CONGESTION_STATES)[number];

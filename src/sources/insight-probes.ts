/**
 * Which program serves which events, so that none is loaded for an event that nobody wants. The
 * kernel side has the same table at its head: bpf/insight.bpf.c.
 */
import {
  TAKEN_PROGRAMS,
  TRANSFER_PROGRAMS,
  transferPrograms,
  type Transfer,
  type TransferHooks,
} from './transfers.js';
import { ACCEPT_PROGRAMS } from './owners.js';
import { ALL_EVENTS, maskOf, type EventName } from './insight-events.js';

/** What the running kernel has, as far as it decides. */
export interface KernelHas {
  /** For SEND and RECEIVE. */
  readonly transfers: TransferHooks;
  /** tcp_cong_state_set: 5.19. */
  readonly congestionStates: boolean;
  /** Storage in sockets for tracing programs: 5.11. */
  readonly socketStorage: boolean;
}

const BY_LOOKING: readonly EventName[] = [
  'CWND_CHANGE',
  'RTT_UPDATE',
  'SLOW_START',
  'CONG_AVOID',
  'WINDOW_UPDATE',
];
const RECOVERY: readonly EventName[] = ['FAST_RECOVERY', 'TIMEOUT'];

interface Probe {
  /** Mask of the events that need it. */
  readonly events: number;
  /** Whether it is the one to use here; absent: always. */
  readonly fits?: (kernel: KernelHas) => boolean;
}

const probe = (events: readonly EventName[], fits?: Probe['fits']): Probe =>
  fits === undefined ? { events: maskOf(events) } : { events: maskOf(events), fits };
/** It tells whose a socket is and how old, whatever happens to it. */
const always = (fits?: Probe['fits']): Probe =>
  fits === undefined ? { events: ALL_EVENTS } : { events: ALL_EVENTS, fits };

/** Those of a transfer, each only where the kernel has nothing better. */
function transferProbes(transfer: Transfer, event: EventName): Record<string, Probe> {
  const probeOf = (program: string): Probe =>
    probe([event], ({ transfers }) => transferPrograms(transfer, transfers).includes(program));
  return Object.fromEntries(
    TRANSFER_PROGRAMS[transfer].map((program) => [program, probeOf(program)]),
  );
}

/** By the name of the program; open_connections is for statistics alone. */
export const PROBES: Readonly<Record<string, Probe>> = {
  inet_sock_set_state: always(),
  ...Object.fromEntries(ACCEPT_PROGRAMS.map((program) => [program, always()])),
  user_sends: always(({ transfers }) => transfers.by === 'tracepoint'),
  user_receives: always(({ transfers }) => transfers.by === 'tracepoint'),
  user_reads: always(({ transfers }) => transfers.by !== 'tracepoint'),
  task_file: always(),
  forget_socket: always(({ socketStorage }) => !socketStorage),
  ...transferProbes('send', 'SEND'),
  ...transferProbes('receive', 'RECEIVE'),
  ...Object.fromEntries(TAKEN_PROGRAMS.map((program) => [program, probe(['RECEIVE'])])),
  tcp_retransmit_skb: probe(['RETRANSMIT', 'CONNECT', ...RECOVERY]),
  tcp_retransmit_synack: probe(['RETRANSMIT']),
  tcp_send_reset: probe(['RESET']),
  tcp_receive_reset: probe(['RESET']),
  tcp_probe: probe([...BY_LOOKING, 'SACK', 'FAST_RECOVERY']),
  tcp_rcv_space_adjust: probe(['WINDOW_UPDATE']),
  tcp_cong_state_set: probe(RECOVERY, ({ congestionStates }) => congestionStates),
};

/** Where FAST_RECOVERY and TIMEOUT have a tracepoint of their own, nobody has to look for them. */
function eventsOf(program: string, kernel: KernelHas): number {
  const events = PROBES[program]?.events ?? 0;
  const isOther = program === 'tcp_retransmit_skb' || program === 'tcp_probe';
  return isOther && kernel.congestionStates ? events & ~maskOf(RECOVERY) : events;
}

/** Whether a program is to be loaded for these events. */
export function isWanted(program: string, mask: number, kernel: KernelHas): boolean {
  const fits = PROBES[program]?.fits?.(kernel) ?? true;
  return fits && (eventsOf(program, kernel) & mask) !== 0;
}

/**
 * Which drops and resets belong together: a packet that is dropped because nobody listens, the reset that
 * answers it and the arrival of that reset are one event, if both ends are on this host. Each of them has its
 * line; what they share is the name of the event. So the end that was reset can say who did it, and why.
 */
import { formatEndpoint } from '../metrics/address.js';
import type { ProcessOwner } from '../metrics/ndjson.js';
import type { FaultRecord } from '../sources/fault.js';

/** Events whose other parts may still come. */
const MOST = 4096;

/** Who has sent a reset that arrived here, on this host. */
export interface ResetSender {
  readonly owner: ProcessOwner;
  /** Of the kernel, for sending it. */
  readonly reason: string;
}

/** A drop or reset with what is known beside its record. */
export interface ToldFault {
  readonly fault: FaultRecord;
  readonly owner: ProcessOwner;
  /** The same for all parts of one event. */
  readonly event: string;
  /** Of a reset that was received; null: the other end is not on this host. */
  readonly sender: ResetSender | null;
}

interface Event {
  readonly name: string;
  sender: ResetSender | null;
}

export class FaultEvents {
  /** By the ends as the sender of the reset has them, and a sequence number of the packet. */
  readonly #recent = new Map<string, Event>();

  /** `owner`: of the socket, see {@link Owners}. */
  tell(fault: FaultRecord, owner: ProcessOwner): ToldFault {
    const isReceived = fault.kind === 'reset' && fault.received;
    const event = this.#find(keysOf(fault, isReceived)) ?? this.#begin(fault);
    if (fault.kind === 'reset' && !fault.received) event.sender = { owner, reason: fault.reason };
    return { fault, owner, event: event.name, sender: isReceived ? event.sender : null };
  }

  #find(keys: readonly string[]): Event | null {
    for (const key of keys) {
      const event = this.#recent.get(key);
      if (event !== undefined) return event;
    }
    return null;
  }

  #begin(fault: FaultRecord): Event {
    const event: Event = { name: fault.tsNs.toString(36), sender: null };
    if (fault.kind === 'reset' && fault.received) return event;
    for (const key of keysOf(fault, false)) this.#recent.set(key, event);
    if (this.#recent.size > MOST) {
      const oldest = this.#recent.keys().next().value;
      if (oldest !== undefined) this.#recent.delete(oldest);
    }
    return event;
  }
}

/**
 * A reset that answers a packet has that packet's number, which its arrival finds acknowledged; one that a
 * socket decides has its own next number, which its arrival finds awaited.
 */
function keysOf(fault: FaultRecord, isReceived: boolean): readonly string[] {
  const own = formatEndpoint(fault.localAddr, fault.localPort);
  const other = formatEndpoint(fault.peerAddr, fault.peerPort);
  if (!isReceived) return [`${own} ${other} ${fault.seq}`];
  return [`${other} ${own} ${fault.ack}`, `${other} ${own} ${fault.seq}`];
}

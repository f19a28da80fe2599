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

const wasReceived = ({ kind, received }: FaultRecord): boolean => kind === 'reset' && received;

export class FaultEvents {
  /** By the ends as the sender of the reset has them, and a sequence number of the packet. */
  readonly #recent = new Map<string, Event>();

  /**
   * What was read together, in its order. A reset may arrive on the same host before the kernel says that it
   * was sent, so those that were sent are looked at first.
   */
  tell(
    faults: readonly FaultRecord[],
    ownerOf: (fault: FaultRecord) => ProcessOwner,
  ): readonly ToldFault[] {
    const owned = faults.map((fault) => ({ fault, owner: ownerOf(fault) }));
    const events = new Map<FaultRecord, Event>();
    for (const isReceived of [false, true])
      for (const { fault, owner } of owned) {
        if (wasReceived(fault) !== isReceived) continue;
        const event = this.#find(keysOf(fault)) ?? this.#begin(fault);
        if (fault.kind === 'reset' && !isReceived) event.sender = { owner, reason: fault.reason };
        events.set(fault, event);
      }
    return owned.flatMap(({ fault, owner }) => {
      const event = events.get(fault);
      if (event === undefined) return [];
      const { name, sender } = event;
      return [{ fault, owner, event: name, sender: wasReceived(fault) ? sender : null }];
    });
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
    if (wasReceived(fault)) return event;
    for (const key of keysOf(fault)) this.#recent.set(key, event);
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
function keysOf(fault: FaultRecord): readonly string[] {
  const own = formatEndpoint(fault.localAddr, fault.localPort);
  const other = formatEndpoint(fault.peerAddr, fault.peerPort);
  if (!wasReceived(fault)) return [`${own} ${other} ${fault.seq}`];
  return [`${other} ${own} ${fault.ack}`, `${other} ${own} ${fault.seq}`];
}

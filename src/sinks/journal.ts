/**
 * Entries for systemd's journal, by journald's native protocol: a datagram with all fields of an
 * entry. One that is too large for a datagram, or finds journald not listening, is counted.
 */
import { DatagramSender } from '../kernel/unix-datagram.js';
import { NetwatchError } from '../failure.js';

const JOURNAL_SOCKET = '/run/systemd/journal/socket';
/** Longest wait for journald to take one entry; a journald that hangs is waited for once. */
const PATIENCE_US = 100_000;

/** By name: upper case letters, digits and underscores, as journald wants them. */
export type JournalFields = Readonly<Record<string, string | number>>;

export interface Journal {
  /** False if the entry is lost. */
  send(fields: JournalFields): boolean;
  /** Entries that are lost. */
  readonly lost: number;
  close(): void;
}

/** `KEY=value`; with a newline in the value the length goes before it, as 64 bits. */
function encodeField(name: string, value: string): Buffer {
  if (!value.includes('\n')) return Buffer.from(`${name}=${value}\n`);
  const bytes = Buffer.from(value);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(bytes.length));
  return Buffer.concat([Buffer.from(`${name}\n`), length, bytes, Buffer.from('\n')]);
}

/** An entry as journald reads it. */
export function encodeEntry(fields: JournalFields): Buffer {
  return Buffer.concat(
    Object.entries(fields).map(([name, value]) => encodeField(name, String(value))),
  );
}

class JournalSocket implements Journal {
  readonly #sender: DatagramSender;
  #isPrompt = true;
  #lost = 0;

  constructor(sender: DatagramSender) {
    this.#sender = sender;
  }

  send(fields: JournalFields): boolean {
    this.#isPrompt = this.#sender.send(encodeEntry(fields), this.#isPrompt);
    if (!this.#isPrompt) this.#lost += 1;
    return this.#isPrompt;
  }

  get lost(): number {
    return this.#lost;
  }

  close(): void {
    this.#sender.close();
  }
}

/** Throws NetwatchError if no journal listens. */
export function openJournal(path = JOURNAL_SOCKET): Journal {
  const sender = DatagramSender.open(path, PATIENCE_US);
  const reason = sender === null ? 'it can be no socket' : sender.whyUnheard();
  if (sender !== null && reason === null) return new JournalSocket(sender);
  sender?.close();
  throw new NetwatchError({
    code: 'environment',
    message: `no journal listens at ${path}: ${reason ?? ''}`,
    next: 'run it where systemd-journald runs, or without the option',
  });
}

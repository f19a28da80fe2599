/** What tcpstates writes to systemd's journal: an entry for each change of state. */
import { ipVersion } from '../../sources/address-family.js';
import { stateName } from '../../sources/tcp-states.js';
import type { Journal, JournalFields } from '../../sinks/journal.js';
import type { LifeRecord } from '../../sources/life.js';
import type { Summary } from '../../terminal/common.js';
import { addressOf, type Side } from '../../terminal/record-columns.js';

/** LOG_NOTICE. */
const PRIORITY = 5;
const NS_PER_US = 1000;

/** The fields of bcc's tcpstates; MESSAGE is what `journalctl` shows. */
export function stateEntry(record: LifeRecord): JournalFields {
  const { pid, comm, family, localPort, peerPort, durationNs } = record;
  const [before, now] = [record.oldState, record.state].map((state) => stateName(state) ?? '');
  const version = `IPV${ipVersion(family)}`;
  const address = (side: Side): string => addressOf(record, side);
  return {
    SYSLOG_IDENTIFIER: 'tcpstates',
    PRIORITY,
    // journald adds what else it knows of this process
    ...(pid === 0 ? {} : { OBJECT_PID: pid }),
    [`OBJECT_${version}_SOURCE_ADDRESS`]: address('local'),
    OBJECT_TCP_SOURCE_PORT: localPort,
    [`OBJECT_${version}_DESTINATION_ADDRESS`]: address('peer'),
    OBJECT_TCP_DESTINATION_PORT: peerPort,
    OBJECT_TCP_OLD_STATE: before ?? '',
    OBJECT_TCP_NEW_STATE: now ?? '',
    OBJECT_TCP_SPAN_TIME: Math.floor((durationNs ?? 0) / NS_PER_US),
    MESSAGE: `${comm} ${address('local')} ${localPort} → ${address('peer')} ${peerPort} ${before ?? ''} → ${now ?? ''}`,
  };
}

class StateJournal {
  readonly #journal: Journal;

  constructor(journal: Journal) {
    this.#journal = journal;
  }

  send(record: LifeRecord): void {
    this.#journal.send(stateEntry(record));
  }

  /** Closes it; says what was lost, if something was. */
  end(): Summary | null {
    const { lost } = this.#journal;
    this.#journal.close();
    if (lost === 0) return null;
    return {
      lines: [`${lost} entries lost: the journal did not take them`],
      json: { journal_entries_lost: lost },
    };
  }
}

export type Journaled<S> = S & { readonly journal: StateJournal | null };

/** Throws NetwatchError if a journal is wanted and there is none. */
export async function openStateJournal(isWanted: boolean): Promise<StateJournal | null> {
  if (!isWanted) return null;
  // it needs libbpf, which `-h` must do without
  const { openJournal } = await import('../../sinks/journal.js');
  return new StateJournal(openJournal());
}

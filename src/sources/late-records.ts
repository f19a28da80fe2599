/**
 * Records of a source whose filter asks for a process: what happened before accept() is handed over
 * when it shows whose it is, and is told of the process that has accepted.
 */
import {
  decodeConnectionOwner,
  KIND,
  type ConnectionOwner,
  type Connection,
} from '../generated/connection.js';
import { isUnjudgedIn, KeptRecords, type KeptLayout } from './kept-records.js';

type Owned = Pick<Connection, 'startNs' | 'pid' | 'uid' | 'comm' | 'acceptedBy' | 'acceptedByComm'>;
type Take<R> = (record: R) => void;

interface Layout extends KeptLayout {
  readonly at: KeptLayout['at'] & { readonly kind: number };
}

const OWNERS: readonly number[] = [
  KIND.NW_KIND_CONNECTION_OWNER,
  KIND.NW_KIND_CONNECTION_UNACCEPTED,
];

function ownedBy<R extends Owned>(record: R, owner: ConnectionOwner | null): R {
  if (owner === null) return record;
  const { startNs, pid, uid, comm, acceptedBy, acceptedByComm } = owner;
  return { ...record, startNs, pid, uid, comm, acceptedBy, acceptedByComm };
}

export class LateRecords<R extends Owned> {
  readonly #layout: Layout;
  readonly #decode: (view: DataView, at: number) => R;
  readonly #kept: KeptRecords;
  readonly #released: R[] = [];

  constructor(layout: Layout, decode: (view: DataView, at: number) => R) {
    this.#layout = layout;
    this.#decode = decode;
    this.#kept = new KeptRecords(
      layout,
      (view, at, owner) => this.#released.push(ownedBy(decode(view, at), owner)),
      () => undefined,
    );
  }

  /** A record of the ring: `take` gets it if it counts, `takeLate` those that turn out to. */
  read(view: DataView, at: number, take: Take<R>, takeLate: Take<R>): void {
    if (OWNERS.includes(view.getUint32(at + this.#layout.at.kind, true))) {
      this.#kept.judge(decodeConnectionOwner(view, at));
      this.#release(takeLate);
    } else if (isUnjudgedIn(this.#layout, view, at)) {
      this.#kept.keep(view, at);
      this.#release(takeLate);
    } else take(this.#decode(view, at));
  }

  /** Gives up what has waited too long; `isOver`: everything, as nobody will accept any more. */
  giveUp(isOver: boolean, takeLate: Take<R>): void {
    if (isOver) this.#kept.finish();
    else this.#kept.expire();
    this.#release(takeLate);
  }

  #release(takeLate: Take<R>): void {
    for (const record of this.#released.splice(0)) takeLate(record);
  }
}

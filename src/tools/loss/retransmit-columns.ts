/** The columns of tcpretrans. Pure. */
import { RETRANSMIT_TYPE } from '../../generated/insight.js';
import { causeName } from '../../sources/retransmit-causes.js';
import { stateName } from '../../sources/tcp-states.js';
import type { InsightRecord } from '../../sources/insight.js';
import { column, columnWith, type Column } from '../../terminal/column.js';
import {
  acceptedByColumn,
  clockColumn,
  endColumn,
  ipColumn,
  jsonFields,
  pidColumn,
} from '../../terminal/record-columns.js';

type R = InsightRecord;

export interface RetransmitColumns {
  readonly isJson: boolean;
  /** Tail loss probes as L, not as the retransmissions that they are, too. */
  readonly lossprobe: boolean;
  /** The column SEQ. */
  readonly sequence: boolean;
}

/** A SYN-ACK is sent again by its listener, which knows no sequence number any more. */
function sequenceOf({ cause, seq }: R): number | null {
  return cause === RETRANSMIT_TYPE.NW_RETRANSMIT_SYNACK ? null : seq;
}

const letterOf =
  (lossprobe: boolean) =>
  ({ cause }: R): 'L' | 'R' =>
    lossprobe && cause === RETRANSMIT_TYPE.NW_RETRANSMIT_TAIL_LOSS_PROBE ? 'L' : 'R';

export function retransmitColumns(
  { isJson, lossprobe, sequence }: RetransmitColumns,
  wallMs: (tsNs: number) => number,
): readonly Column<R>[] {
  return [
    clockColumn(8, wallMs),
    pidColumn(7),
    ipColumn(),
    endColumn('LADDR:LPORT', 20, () => 'local'),
    columnWith('T', 1, letterOf(lossprobe), (r) => ({ type: letterOf(lossprobe)(r) })),
    endColumn('RADDR:RPORT', 20, () => 'peer', { before: '> ' }),
    column('STATE', sequence ? 12 : 4, 'state', ({ state }) => stateName(state)),
    ...(sequence ? [column('SEQ', 10, 'seq', sequenceOf)] : []),
    ...jsonFields<R>(isJson, (r) => ({
      process: r.pid === 0 ? null : r.comm,
      cause: causeName(r),
      seq: sequenceOf(r),
      segments: r.segments,
      bytes: r.bytes,
    })),
    ...acceptedByColumn<R>(isJson),
  ];
}

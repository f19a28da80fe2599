/** The columns of tcplife. Pure. */
import type { LifeRecord } from '../../sources/life.js';
import { columnWith } from '../../terminal/column.js';
import type { Context } from '../../terminal/common.js';
import {
  acceptedByColumn,
  addressColumn,
  commColumn,
  ipColumn,
  pidColumn,
  portColumn,
} from '../../terminal/record-columns.js';
import { durationColumn, millisecondsOf, type LifeColumn } from './columns.js';
import { addressWidth, timeColumns, type WideOptions } from './state-columns.js';

const KIB = 1024;

/** Whole KiB to a person, bytes of data to a program. */
function volumeColumn(
  title: string,
  width: number,
  counted: (record: LifeRecord) => number,
  data: (record: LifeRecord) => Readonly<Record<string, number>>,
): LifeColumn {
  return columnWith(title, width, (r) => Math.floor(counted(r) / KIB), data, { alignRight: true });
}

export function lifeColumns(options: WideOptions, context: Context): readonly LifeColumn[] {
  const { wide } = options;
  const most = wide ? 16 : 10;
  const width = addressWidth(options);
  const volumeWidth = wide ? 6 : 5;
  const duration = durationColumn('MS', 2);
  return [
    ...timeColumns(options, context),
    pidColumn(5),
    commColumn(most, { most }),
    { ...ipColumn(), inTable: wide },
    addressColumn('LADDR', 'local', width),
    portColumn('LPORT', 'local', 5),
    addressColumn('RADDR', 'peer', width),
    portColumn('RPORT', 'peer', 5),
    volumeColumn(
      'TX_KB',
      volumeWidth,
      ({ bytesAcked }) => bytesAcked,
      ({ dataSent }) => ({ bytes_sent: dataSent }),
    ),
    volumeColumn(
      'RX_KB',
      volumeWidth,
      ({ bytesReceived }) => bytesReceived,
      ({ dataReceived }) => ({ bytes_received: dataReceived }),
    ),
    {
      ...duration,
      fields: (r) => ({ ...duration.fields(r), handshake_ms: millisecondsOf(r.handshakeNs) }),
    },
    ...acceptedByColumn<LifeRecord>(options.output === 'json'),
  ];
}

/** The columns of tcpstates. Pure. */
import { stateName } from '../../sources/tcp-states.js';
import { formatAddress } from '../../metrics/address.js';
import type { LifeRecord } from '../../sources/life.js';
import { column } from '../../terminal/column.js';
import type { Context } from '../../terminal/common.js';
import {
  acceptedByColumn,
  addressColumn,
  commColumn,
  ipColumn,
  pidColumn,
  portColumn,
} from '../../terminal/record-columns.js';
import {
  wallClockColumn,
  durationColumn,
  secondsColumn,
  timeForPrograms,
  type LifeColumn,
} from './columns.js';
import type { ToolOptions } from '../../terminal/watching-tool.js';
import type { TIME, TIMESTAMP, WIDE } from './options.js';

export type WideOptions = ToolOptions<typeof TIME & typeof TIMESTAMP & typeof WIDE>;

/** Of an address, in characters; an IPv6 address has 39 at most. */
export function addressWidth({ wide }: WideOptions): number {
  return wide ? 39 : 15;
}

/** TIME and TIME(s), as tcpstates and tcplife show them. */
export function timeColumns(options: WideOptions, context: Context): LifeColumn[] {
  const { time, timestamp } = options;
  return [
    ...timeForPrograms(options, context),
    ...(time ? [wallClockColumn(8, context)] : []),
    ...(timestamp ? [secondsColumn(6)] : []),
  ];
}

export function stateColumns(options: WideOptions, context: Context): readonly LifeColumn[] {
  const { wide } = options;
  const most = wide ? 16 : 10;
  const width = addressWidth(options);
  const state = (title: string, field: string, of: (r: LifeRecord) => number): LifeColumn =>
    column(title, 11, field, (r) => stateName(of(r)));
  return [
    ...timeColumns(options, context),
    column('SKADDR', 16, 'sock', ({ sock }) => formatAddress(sock)),
    pidColumn(5, 'C-PID'),
    commColumn(most, { most }, 'C-COMM'),
    { ...ipColumn(), inTable: wide },
    addressColumn('LADDR', 'local', width),
    portColumn('LPORT', 'local', 5),
    addressColumn('RADDR', 'peer', width),
    portColumn('RPORT', 'peer', 5),
    state('OLDSTATE', 'state_before', ({ oldState }) => oldState),
    { ...state('NEWSTATE', 'state', (r) => r.state), before: ' -> ' },
    durationColumn('MS', 3),
    ...acceptedByColumn<LifeRecord>(options.output === 'json'),
  ];
}

/** The columns of tcpconnect. Pure. */
import { queryText, type DnsCache, type Query } from '../../dns/cache.js';
import type { LifeRecord } from '../../sources/life.js';
import { columnWith } from '../../terminal/column.js';
import type { CommonOptions, Context } from '../../terminal/common.js';
import {
  addressColumn,
  commColumn,
  ipColumn,
  pidColumn,
  portColumn,
} from '../../terminal/record-columns.js';
import {
  glued,
  optional,
  secondsColumn,
  timeForPrograms,
  uidColumn,
  type LifeColumn,
} from './columns.js';

export interface ConnectOptions extends CommonOptions {
  readonly timestamp: boolean;
  readonly printUid: boolean;
  readonly lport: boolean;
  readonly sourcePort: boolean;
  readonly dns: boolean;
}

/** The name that was asked for before. */
function queryColumn(names: DnsCache): LifeColumn {
  const find = ({ netns, peerAddr, tsNs }: LifeRecord): Query => names.find(netns, peerAddr, tsNs);
  return columnWith(
    'QUERY',
    0,
    (r) => queryText(find(r), r.peerAddr),
    (r) => {
      const { name, ageMs } = find(r);
      return { dns_question_name: name, dns_age_ms: ageMs };
    },
  );
}

export function connectColumns(
  options: ConnectOptions,
  context: Context,
  { names }: { readonly names: DnsCache },
): readonly LifeColumn[] {
  const { timestamp, printUid, lport, sourcePort, dns } = options;
  const front = [
    ...timeForPrograms(options, context),
    ...(timestamp ? [secondsColumn(3)] : []),
    ...optional(printUid, options, uidColumn()),
  ];
  const localPort = portColumn(sourcePort ? 'SPORT' : 'LPORT', 'local', 6);
  return [
    ...glued(front, [pidColumn(7)]),
    commColumn(12, { most: 12 }),
    ipColumn(),
    addressColumn('SADDR', 'local', 16),
    ...optional(lport || sourcePort, options, localPort),
    addressColumn('DADDR', 'peer', 16),
    portColumn('DPORT', 'peer', 6),
    ...(dns ? [queryColumn(names)] : []),
  ];
}

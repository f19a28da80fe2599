/** `tcpconnect -c`: how often was connected from where to where. Pure. */
import { ipVersion } from '../../sources/address-family.js';
import type { LifeRecord } from '../../sources/life.js';
import { column, type Column } from '../../terminal/column.js';
import type { Summary } from '../../terminal/common.js';
import { formatter, jsonFields } from '../../terminal/format.js';

interface Count {
  readonly first: LifeRecord;
  connects: number;
}

function countColumns(sourcePort: boolean): readonly Column<Count>[] {
  const lport = column<Count>('LPORT', 20, 'network_local_port', ({ first }) => first.localPort);
  return [
    column('LADDR', 25, 'network_local_address', ({ first }) => first.localAddr),
    ...(sourcePort ? [lport] : []),
    column('RADDR', 25, 'network_peer_address', ({ first }) => first.peerAddr),
    column('RPORT', 20, 'network_peer_port', ({ first }) => first.peerPort),
    column('CONNECTS', 10, 'connects', ({ connects }) => connects),
  ];
}

export class ConnectCounts {
  readonly #sourcePort: boolean;
  readonly #counts = new Map<string, Count>();

  /** `sourcePort`: each local port is counted by itself. */
  constructor(sourcePort: boolean) {
    this.#sourcePort = sourcePort;
  }

  take(record: LifeRecord): void {
    const { localAddr, localPort, peerAddr, peerPort } = record;
    const key = [localAddr, this.#sourcePort ? localPort : '', peerAddr, peerPort].join(' ');
    const count = this.#counts.get(key);
    if (count === undefined) this.#counts.set(key, { first: record, connects: 1 });
    else count.connects += 1;
  }

  /** IPv4 before IPv6, the most first. */
  #sorted(): readonly Count[] {
    const rank = ({ first }: Count): number => ipVersion(first.family);
    return [...this.#counts.values()].sort((a, b) => rank(a) - rank(b) || b.connects - a.connects);
  }

  summary(): Summary {
    const columns = countColumns(this.#sourcePort);
    const counts = this.#sorted();
    const lines = (format: 'table' | 'csv'): string[] => {
      const { head, line } = formatter(format, columns);
      return [head, ...counts.map(line)].map((text) => text.slice(0, -1));
    };
    return {
      lines: ['', ...lines('table')],
      csv: lines('csv'),
      json: { connects: counts.map((count) => jsonFields(columns, count)) },
    };
  }
}

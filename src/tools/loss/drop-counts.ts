/** Counts drops by why and whose, as tcpdrop -c shows them at the end. */
import { formatEndpoint } from '../../metrics/address.js';
import { DropSource, type DropRecord } from '../../sources/drop.js';
import { csvText } from '../../terminal/format.js';
import type { Summary } from '../../terminal/common.js';

interface Group {
  readonly record: DropRecord;
  drops: number;
}

/** Groups that are told apart; the rest is one row. */
const MAX_GROUPS = 10_000;

const HEAD = ['REASON', 'PID', 'COMM', 'LADDR:LPORT', 'DROPS'] as const;
const WIDTHS = [24, 7, 16, 24] as const;

const textsOf = ({ reasonName, pid, comm, localAddr, localPort }: DropRecord): string[] => [
  reasonName ?? 'N/A',
  pid === 0 ? 'N/A' : `${pid}`,
  pid === 0 ? 'N/A' : comm,
  formatEndpoint(localAddr, localPort),
];

const row = (texts: readonly string[], drops: string): string =>
  [...texts.map((text, i) => text.padEnd(WIDTHS[i] ?? 0)), drops].join(' ');

export class DropCounts {
  readonly #groups = new Map<string, Group>();
  #others = 0;

  add(record: DropRecord): void {
    const key = textsOf(record).join(' ');
    const group = this.#groups.get(key);
    if (group !== undefined) group.drops++;
    else if (this.#groups.size < MAX_GROUPS) this.#groups.set(key, { record, drops: 1 });
    else this.#others++;
  }

  /** The most drops first. */
  summary(): Summary {
    const groups = [...this.#groups.values()].sort((a, b) => b.drops - a.drops);
    const others = this.#others === 0 ? [] : [row(['others', '', '', ''], `${this.#others}`)];
    return {
      lines: [
        '',
        row(HEAD.slice(0, -1), 'DROPS'),
        ...groups.map(({ record, drops }) => row(textsOf(record), `${drops}`)),
        ...others,
      ],
      csv: [
        HEAD.join(','),
        ...groups.map(({ record, drops }) => [...textsOf(record), drops].map(csvText).join(',')),
      ],
      json: {
        drops: groups.map(({ record, drops }) => ({ ...fieldsOf(record), drops })),
        others: this.#others,
      },
    };
  }
}

function fieldsOf({
  reasonName,
  pid,
  comm,
  localAddr,
  localPort,
}: DropRecord): Record<string, unknown> {
  return {
    reason: reasonName,
    pid: pid === 0 ? null : pid,
    process: pid === 0 ? null : comm,
    network_local_address: localAddr,
    network_local_port: localPort,
  };
}

/** The source of tcpdrop, with what it has counted. */
export class CountedDrops extends DropSource {
  readonly counts = new DropCounts();
}

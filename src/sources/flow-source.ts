/** The source connection, its connections added up by who talks to whom: for `netwatch flows`. */
import { listNamespaces } from '../kernel/host.js';
import type { Source, SourceSpec } from '../kernel/source.js';
import type { CgroupNames } from './cgroup-names.js';
import { ConnectionSource, PLAN } from './connection.js';
import type { CountingSource } from './counting.js';
import type { Filter } from './filter.js';
import { FlowTable, type FlowInterval } from './flows.js';

const RING_BYTES = 1 << 23;
/** Between two looks at the ring, which then holds thousands of connections. */
const DRAIN_MS = 50;
const LIMITS = { named: 4096, perInterval: 65_536 };

/** As a tool opens it that is asked for all it can. */
export function trial(filter: Filter): SourceSpec {
  const options = { filter, retrans: true, time: false, http: false, err: false };
  const spec = PLAN.spec(options);
  if (spec === null) throw new Error('the source connection is always there');
  return spec;
}

export class FlowSource implements CountingSource<FlowInterval> {
  readonly #connections: ConnectionSource;
  readonly #namespaces: readonly number[];
  readonly #table = new FlowTable(LIMITS);
  readonly #timer: NodeJS.Timeout;
  #isFinished = false;

  readonly #namesOf: (cgroup: number) => CgroupNames | null;

  /** `namesOf`: of a cgroup, which tells flows apart. Throws NetwatchError if the kernel does not let us. */
  constructor(filter: Filter, namesOf: (cgroup: number) => CgroupNames | null) {
    this.#namesOf = namesOf;
    this.#namespaces = filter.namespaces;
    const ring = { bytes: RING_BYTES, loseEvery: 0 };
    this.#connections = new ConnectionSource({ filter, retrans: false, ring });
    this.#connections.seedOwners();
    this.#timer = setInterval(() => this.#drain(), DRAIN_MS);
  }

  get source(): Source {
    return this.#connections.source;
  }

  /** Flows since the start, and all others. */
  get table(): FlowTable {
    return this.#table;
  }

  #drain(): void {
    this.#connections.drain((record) => {
      if (record.kind === 'close')
        this.#table.closed(record.connection, this.#namesOf(record.connection.cgroup));
      else if (record.kind === 'handover' && record.owner.allowed === 0)
        this.#table.left(record.owner.sock);
    });
  }

  #dump(): void {
    const all = [...listNamespaces()];
    for (const [inode, path] of all) {
      if (this.#namespaces.length > 0 && !this.#namespaces.includes(inode)) continue;
      try {
        this.#connections.dump(path, (connection) =>
          this.#table.sampled(connection, this.#namesOf(connection.cgroup)),
        );
      } catch {
        // gone, or without CAP_SYS_ADMIN: its connections count when they close
      }
    }
  }

  /** Most bytes first. */
  take(): FlowInterval {
    if (!this.#isFinished) {
      this.#drain();
      this.#dump();
    }
    return this.#table.endInterval();
  }

  lost(): number {
    return this.source.ringCounts().lost;
  }

  /** Looks at what is open a last time. */
  finish(): void {
    if (this.#isFinished) return;
    clearInterval(this.#timer);
    this.#drain();
    this.#dump();
    this.source.detach();
    this.#drain();
    this.#isFinished = true;
  }
}

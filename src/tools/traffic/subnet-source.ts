/** Sent bytes by subnet: what source `bytes` counts by connection, put together. */
import { BytesSource, type BytesOptions } from '../../sources/bytes.js';
import type { CountingSource } from '../../sources/counting.js';
import type { Attached } from '../../kernel/source.js';
import { subnetOf, type Subnet } from './subnets.js';

/** Bytes by the name of the subnet, only of those that got some. */
export type SubnetBytes = ReadonlyMap<string, number>;

export class SubnetSource implements CountingSource<SubnetBytes> {
  readonly #bytes: BytesSource;
  readonly #subnets: readonly Subnet[];
  /** Since the start, and since the last answer. */
  readonly #totals = new Map<string, number>();
  #interval = new Map<string, number>();

  /** Throws NetwatchError if the kernel does not let us. */
  constructor(options: BytesOptions, subnets: readonly Subnet[]) {
    this.#bytes = new BytesSource(options);
    this.#subnets = subnets;
  }

  get source(): Attached {
    return this.#bytes.source;
  }

  #collect(): void {
    for (const { peerAddr, sent } of this.#bytes.take()) {
      const name = subnetOf(peerAddr, this.#subnets);
      if (name === null || sent === 0) continue;
      for (const sums of [this.#totals, this.#interval])
        sums.set(name, (sums.get(name) ?? 0) + sent);
    }
  }

  take(): SubnetBytes {
    this.#collect();
    const taken = this.#interval;
    this.#interval = new Map();
    return taken;
  }

  totals(): SubnetBytes {
    this.#collect();
    return this.#totals;
  }

  lost(): number {
    return this.#bytes.lost();
  }

  finish(): void {
    this.#bytes.finish();
  }
}

/**
 * Work that is done one piece after the other, for many addresses: each has a short queue, and they
 * take turns, so that one that asks for a lot waits only for itself.
 */
export interface TurnLimits {
  /** Waiting or under way for one address. */
  readonly perAddress: number;
  /** For all together. */
  readonly inAll: number;
}

type Job = () => Promise<void>;

export class Turns {
  readonly #limits: TurnLimits;
  /** The address whose turn is next stands first. */
  readonly #queues = new Map<string, Job[]>();
  #count = 0;
  #working: { readonly address: string } | null = null;

  constructor(limits: TurnLimits) {
    this.#limits = limits;
  }

  /** The result of `work` when its turn has come; null if too much waits already. */
  take<T>(address: string, work: () => Promise<T>): Promise<T> | null {
    const queue = this.#queues.get(address) ?? [];
    const underWay = this.#working?.address === address ? 1 : 0;
    const { perAddress, inAll } = this.#limits;
    if (queue.length + underWay >= perAddress || this.#count >= inAll) return null;
    this.#count += 1;
    return new Promise<T>((resolve, reject) => {
      queue.push(() => work().then(resolve, reject));
      this.#queues.set(address, queue);
      if (this.#working === null) void this.#work();
    });
  }

  async #work(): Promise<void> {
    for (const [address, [job, ...rest]] of this.#queues) {
      this.#queues.delete(address);
      // Behind all others: a Map is gone through in the order in which keys were added.
      if (rest.length > 0) this.#queues.set(address, rest);
      this.#working = { address };
      await job?.();
      this.#count -= 1;
    }
    this.#working = null;
  }
}

/**
 * Bodies that requests wait for: each is made once, however many wait for it, in the order in which
 * they were asked for, and only while somebody does.
 */
import { keyOf, type BodyKind, type PreparedBody } from './body.js';

interface Client {
  readonly resolve: (body: PreparedBody) => void;
  readonly reject: (why: unknown) => void;
}

interface Wanted {
  readonly kind: BodyKind;
  readonly clients: Set<Client>;
}

export class WaitingBodies {
  readonly #wanted = new Map<string, Wanted>();

  get isEmpty(): boolean {
    return this.#wanted.size === 0;
  }

  /** Resolves when the body has been made; rejects when `left` says that nobody waits any more. */
  wait(kind: BodyKind, left?: AbortSignal): Promise<PreparedBody> {
    const key = keyOf(kind);
    const wanted = this.#wanted.get(key) ?? { kind, clients: new Set() };
    this.#wanted.set(key, wanted);
    return new Promise((resolve, reject) => {
      const client = { resolve, reject };
      wanted.clients.add(client);
      const leave = (): void => {
        wanted.clients.delete(client);
        if (wanted.clients.size === 0 && this.#wanted.get(key) === wanted) this.#wanted.delete(key);
        reject(new Error('who asked has gone'));
      };
      if (left?.aborted === true) leave();
      else left?.addEventListener('abort', leave, { once: true });
    });
  }

  /** Those that have waited longest. */
  next(most: number): readonly BodyKind[] {
    return [...this.#wanted.values()].slice(0, most).map(({ kind }) => kind);
  }

  /** A body that nobody waits for is none of ours. */
  give(key: string, body: PreparedBody): void {
    const clients = this.#wanted.get(key)?.clients ?? [];
    this.#wanted.delete(key);
    for (const { resolve } of clients) resolve(body);
  }

  /** Nothing is made any more. */
  fail(why: Error): void {
    for (const { clients } of this.#wanted.values()) for (const { reject } of clients) reject(why);
    this.#wanted.clear();
  }
}

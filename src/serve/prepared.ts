/**
 * Which bodies are kept ready: those that were asked for of late. Bounded, as a client can ask for
 * 256 different ones.
 */
import { keyOf, type BodyKind, type PreparedBody } from './body.js';
import { isInFile, lengthOf } from './render.js';

/** Longer than any sensible scrape interval. */
const KEEP_MS = 5 * 60_000;
const MOST_BODIES = 8;
/** Beyond this only the body that was asked for last is kept. */
const MOST_BYTES = 512 << 20;

interface Entry {
  readonly kind: BodyKind;
  body: PreparedBody | null;
  askedMs: number;
}

export class PreparedBodies {
  /** The one asked for last stands last. */
  readonly #entries = new Map<string, Entry>();

  /** Somebody asks for this body: keep it ready from now on. */
  want(kind: BodyKind, nowMs: number): void {
    const key = keyOf(kind);
    const entry = this.#entries.get(key) ?? { kind, body: null, askedMs: nowMs };
    entry.askedMs = nowMs;
    this.#entries.delete(key);
    this.#entries.set(key, entry);
    this.#trim();
  }

  get(kind: BodyKind): PreparedBody | null {
    return this.#entries.get(keyOf(kind))?.body ?? null;
  }

  /** A body that nobody wants any more is not kept. */
  put(key: string, body: PreparedBody): void {
    const entry = this.#entries.get(key);
    if (entry === undefined) return;
    entry.body = body;
    this.#trim();
  }

  /** All that are ready. */
  get bodies(): readonly PreparedBody[] {
    return [...this.#entries.values()].flatMap(({ body }) => body ?? []);
  }

  /** All that are worth preparing. */
  wanted(nowMs: number): readonly BodyKind[] {
    for (const [key, { askedMs }] of this.#entries) {
      if (nowMs - askedMs > KEEP_MS) this.#entries.delete(key);
    }
    return [...this.#entries.values()].map(({ kind }) => kind);
  }

  #trim(): void {
    for (const [key] of this.#entries) {
      if (this.#entries.size <= 1) return;
      if (this.#entries.size <= MOST_BODIES && this.#bytes() <= MOST_BYTES) return;
      this.#entries.delete(key);
    }
  }

  #bytes(): number {
    let sum = 0;
    for (const { parts } of this.bodies) sum += lengthOf(parts.filter((part) => !isInFile(part)));
    return sum;
  }
}

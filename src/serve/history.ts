/**
 * The snapshots of the last minutes, so that the page begins with curves and not with points.
 * Bounded by time, by count and by bytes: 180 snapshots of 20 KB are 3.6 MB.
 */

/** 15 minutes in steps of 5 seconds. */
const SPAN_MS = 15 * 60_000;
const STEP_MS = 5000;
const MOST_BYTES = 16 << 20;
const COMMA = Buffer.from(',');

interface Moment {
  readonly atMs: number;
  readonly json: Buffer;
}

export class History {
  readonly #moments: Moment[] = [];
  #bytes = 0;
  #array: Buffer | null = null;

  /** The newest is always kept; of those before, one for each step. */
  add(atMs: number, json: Buffer): void {
    const [last, before] = [this.#moments.at(-1), this.#moments.at(-2)];
    if (last !== undefined && before !== undefined && last.atMs - before.atMs < STEP_MS) {
      this.#moments.pop();
      this.#bytes -= last.json.length;
    }
    this.#moments.push({ atMs, json });
    this.#bytes += json.length;
    this.#forget(atMs);
    this.#array = null;
  }

  /** All of them as one JSON array, oldest first. */
  json(): Buffer {
    this.#array ??= Buffer.concat([
      Buffer.from('['),
      ...this.#moments.flatMap(({ json }, i) => (i === 0 ? [json] : [COMMA, json])),
      Buffer.from(']'),
    ]);
    return this.#array;
  }

  #forget(nowMs: number): void {
    for (;;) {
      const [oldest] = this.#moments;
      if (oldest === undefined || this.#moments.length === 1) return;
      if (nowMs - oldest.atMs <= SPAN_MS && this.#bytes <= MOST_BYTES) return;
      this.#moments.shift();
      this.#bytes -= oldest.json.length;
    }
  }
}

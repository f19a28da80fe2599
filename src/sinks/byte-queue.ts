/**
 * A bounded queue of whole lines between a producer that reuses its buffer and a slow writer. One
 * buffer fills while the other is on its way out, so a line is copied once and everything that
 * piled up leaves in one write.
 */

/**
 * Size of a fresh buffer in bytes; a buffer that had to grow beyond it shrinks back when traffic
 * calms down.
 */
const START_BYTES = 64 * 1024;

/** What the writer took: valid until `release()`. */
export interface Batch {
  readonly bytes: Buffer;
  /** How many records those bytes hold. */
  readonly records: number;
}

/** Holds at most `maxBytes` bytes of memory, the batch being written included. */
export class ByteQueue {
  readonly #maxBytes: number;
  #filling = Buffer.alloc(0);
  #spare = Buffer.alloc(0);
  #used = 0;
  #records = 0;
  #taken = false;
  #takenBytes = 0;

  /** @param maxBytes memory cap in bytes */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Records waiting, without those of the taken batch. */
  get records(): number {
    return this.#records;
  }

  /** Bytes waiting, without those of the taken batch. */
  get bytes(): number {
    return this.#used;
  }

  /** Copies `bytes` to the end; false, and nothing kept, when that would exceed the memory cap. */
  push(bytes: Uint8Array, records: number): boolean {
    const needed = this.#used + bytes.length;
    if (needed > this.#filling.length && !this.#grow(needed)) return false;
    this.#filling.set(bytes, this.#used);
    this.#used = needed;
    this.#records += records;
    return true;
  }

  /**
   * Hands out everything that waits, or null when nothing does or the last batch was not released
   * yet.
   */
  take(): Batch | null {
    if (this.#taken || this.#used === 0) return null;
    const batch = { bytes: this.#filling.subarray(0, this.#used), records: this.#records };
    [this.#filling, this.#spare] = [this.#spare, this.#filling];
    this.#taken = true;
    this.#takenBytes = this.#used;
    this.#used = 0;
    this.#records = 0;
    return batch;
  }

  /** Says that the taken batch is dealt with: its memory is filled again. */
  release(): void {
    this.#taken = false;
    const oversized = this.#spare.length > START_BYTES && this.#takenBytes < this.#spare.length / 4;
    if (oversized) this.#spare = Buffer.alloc(0);
  }

  #grow(needed: number): boolean {
    // An idle spare is only a convenience: it gives way before a record does.
    if (!this.#taken && needed > this.#maxBytes - this.#spare.length) this.#spare = Buffer.alloc(0);
    const limit = this.#maxBytes - this.#spare.length;
    if (needed > limit) return false;
    const wanted = Math.max(needed, 2 * this.#filling.length, START_BYTES);
    const grown = Buffer.allocUnsafeSlow(Math.min(wanted, limit));
    grown.set(this.#filling.subarray(0, this.#used));
    this.#filling = grown;
    return true;
  }
}

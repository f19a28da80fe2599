/**
 * What a pull has shown, as the kernel wrote it: read one after the other, a record is an object for a
 * moment only. Objects of all of them at once are older than the engine's young ones by then, and stay.
 */
import { CONNECTION, decodeConnection, type Connection } from '../generated/connection.js';
import { LentMemory } from '../kernel/own-memory.js';

/** Of a chunk: 1 MB. */
const CHUNK_RECORDS = 2730;

export class PulledConnections {
  readonly #chunks: LentMemory[] = [];
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** Copies the record at `at`. */
  add(view: DataView, at: number): void {
    const index = Math.floor(this.#count / CHUNK_RECORDS);
    const chunk = (this.#chunks[index] ??= new LentMemory(CHUNK_RECORDS * CONNECTION.size));
    const from = new Uint8Array(view.buffer, view.byteOffset + at, CONNECTION.size);
    chunk.bytes.set(from, (this.#count % CHUNK_RECORDS) * CONNECTION.size);
    this.#count++;
  }

  read(index: number): Connection {
    const { view } = this.#chunks[Math.floor(index / CHUNK_RECORDS)]!;
    return decodeConnection(view, (index % CHUNK_RECORDS) * CONNECTION.size);
  }

  /** Begins anew; the kernel gets its memory back until the next pull. */
  clear(): void {
    for (const chunk of this.#chunks) chunk.giveBack();
    this.#count = 0;
  }
}

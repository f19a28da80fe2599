/**
 * What a pull has shown, as the kernel wrote it: read one after the other, a record is an object for a
 * moment only. Objects of all of them at once are older than the engine's young ones by then, and stay.
 */
import { CONNECTION, decodeConnection, type Connection } from '../generated/connection.js';

/** Of a chunk: 96 kB. */
const CHUNK_RECORDS = 256;

export class PulledConnections {
  readonly #chunks: DataView[] = [];
  #count = 0;

  get count(): number {
    return this.#count;
  }

  /** Copies the record at `at`. */
  add(view: DataView, at: number): void {
    const index = Math.floor(this.#count / CHUNK_RECORDS);
    const chunk = (this.#chunks[index] ??= new DataView(
      new ArrayBuffer(CHUNK_RECORDS * CONNECTION.size),
    ));
    const from = new Uint8Array(view.buffer, view.byteOffset + at, CONNECTION.size);
    const offset = (this.#count % CHUNK_RECORDS) * CONNECTION.size;
    new Uint8Array(chunk.buffer, offset, CONNECTION.size).set(from);
    this.#count++;
  }

  read(index: number): Connection {
    const chunk = this.#chunks[Math.floor(index / CHUNK_RECORDS)]!;
    return decodeConnection(chunk, (index % CHUNK_RECORDS) * CONNECTION.size);
  }

  /** Begins anew; the room that was needed stays. */
  clear(): void {
    this.#chunks.length = Math.ceil(this.#count / CHUNK_RECORDS);
    this.#count = 0;
  }
}

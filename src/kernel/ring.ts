/**
 * Walks a BPF ring buffer through mapped memory: no call into C and no
 * allocation per record (17-45 ns each; libbpf's callback takes 124-197 ns).
 *
 * Layout (kernel/bpf/ringbuf.c): one page with the consumer's position, one
 * with the producer's, then the data mapped twice in a row, so that a record
 * never wraps. A record is a header word (bit 31 busy, bit 30 discarded, the
 * rest its length), a word of padding and the data, rounded up to 8 bytes.
 *
 * A ring holds a tenth of a second of what busy cores write. Whoever may take
 * longer (code that has not been compiled yet is ten times as slow) calls
 * {@link RingReader.relieve} meanwhile: what is in the ring is copied and waits
 * in memory of our own, in the same order and form.
 */
import { viewMemory } from './ffi.js';
import { c } from './libc.js';
import { MAP_SHARED, mapMemory, PROT_READ, PROT_WRITE } from './mapping.js';

const BUSY = 0x8000_0000;
const DISCARDED = 0x4000_0000;
const LENGTH = 0x3fff_ffff;
const HEADER_BYTES = 8;

/** Part of a ring that may be in use before relieve() makes room. */
const RELIEVED_FROM = 1 / 64;
/** What may wait outside of a ring, in its sizes: with what is in it, what the queues of the logs can take at once. */
const MOST_ASIDE = 1;
/** What is taken out at once: so many bytes, and records. */
const PIECE_BYTES = 1 << 20;
export const PIECE_RECORDS = 8192;
/** The longest record, which may begin right before the end of a piece. */
const LONGEST_RECORD = 4096;
/** Pieces of full size, kept for the next time: at a high rate one is always in use, another one filled. */
const WHOLE_PIECES = 2;

const SC_PAGESIZE = 30;

/** The three regions a walk needs; tests make them from plain buffers. */
export interface RingMemory {
  readonly size: number;
  readonly consumer: BigUint64Array;
  readonly producer: BigUint64Array;
  /** The data and once more its beginning, as much as the longest record needs. */
  readonly data: ArrayBuffer;
  readonly dataOffset: number;
}

/**
 * Called with the places of a batch of records in the view, oldest first. What
 * it needs later it must copy: the memory is the kernel's again afterwards.
 */
export type TakeBatch = (view: DataView, places: Int32Array, count: number) => void;

/** Records that were copied out of a ring, with their places in `view`. */
interface Piece {
  readonly bytes: Uint8Array;
  /** The same memory. */
  readonly view: DataView;
  readonly places: Int32Array;
  count: number;
  /** The ring's position behind the last one. */
  to: number;
}

/** Room for what is taken out at once, however many or few records that is. */
const WHOLE_BYTES = PIECE_BYTES + LONGEST_RECORD;

function newPiece(bytes = WHOLE_BYTES, records = PIECE_RECORDS): Piece {
  const memory = new ArrayBuffer(bytes);
  return {
    ...{ bytes: new Uint8Array(memory), view: new DataView(memory) },
    ...{ places: new Int32Array(records), count: 0, to: 0 },
  };
}

export class RingReader {
  readonly #memory: RingMemory;
  readonly #bytes: Uint8Array;
  readonly #headers: Int32Array;
  readonly #view: DataView;
  /** Copied out of the ring, oldest first. */
  readonly #aside: Piece[] = [];
  readonly #spare: Piece[] = [];
  /** Pieces of full size that were made. */
  #whole = 0;
  /** Where the records lie that are being taken out. */
  readonly #found = new Int32Array(PIECE_RECORDS);
  /** A position: what is before it was handed over. */
  #consumed: number;
  /** A position: what is before it is out of the ring. */
  #taken: number;
  /** The low words of both positions, which say by themselves whether these are the same. */
  readonly #producerLow: Int32Array;
  readonly #consumerLow: Int32Array;
  #unmap: (() => void) | null;
  #records = 0;
  /** A batch that lies in the ring is being worked on. */
  #isBusy = false;

  constructor(memory: RingMemory, unmap: () => void = () => undefined) {
    this.#memory = memory;
    const { producer, consumer, data, dataOffset, size } = memory;
    this.#bytes = new Uint8Array(data, dataOffset, size);
    this.#headers = new Int32Array(data, dataOffset, size / 4);
    this.#view = new DataView(data, dataOffset);
    this.#consumed = this.#taken = Number(Atomics.load(consumer, 0));
    this.#producerLow = new Int32Array(producer.buffer, producer.byteOffset, 1);
    this.#consumerLow = new Int32Array(consumer.buffer, consumer.byteOffset, 1);
    this.#unmap = unmap;
  }

  /** Nothing was written that was not read; no BigInt is made for that, as it is asked when all is quiet. */
  get isEmpty(): boolean {
    const [produced, taken] = [this.#producerLow, this.#consumerLow];
    return Atomics.load(produced, 0) === Atomics.load(taken, 0) && this.#aside.length === 0;
  }

  get size(): number {
    return this.#memory.size;
  }

  /** Bytes ever read. */
  get consumed(): number {
    return this.#consumed;
  }

  /** Bytes ever written. */
  get produced(): number {
    return Number(Atomics.load(this.#memory.producer, 0));
  }

  /** Bytes of the ring that are in use. */
  get used(): number {
    return this.produced - this.#taken;
  }

  /** Bytes written and not yet read, in the ring or outside of it. */
  get unread(): number {
    return this.produced - this.#consumed;
  }

  /** Records ever handed over, without those that were taken back. */
  get records(): number {
    return this.#records;
  }

  /** Some records that were handed over do not count: the filter was not to let them through. */
  takeBack(records: number): void {
    this.#records -= records;
  }

  /** Records that are there and were not handed over yet. */
  get waiting(): number {
    const { count } = this.#walk(this.produced, Infinity, () => undefined);
    return this.#aside.reduce((sum, piece) => sum + piece.count, count);
  }

  /**
   * From the oldest record in the ring up to the position `end`, one that is being written, or `most` of
   * them: the positions of what they hold, how many there are, and the position behind them.
   */
  #walk(
    end: number,
    most: number,
    each: (position: number, index: number) => void,
  ): { readonly count: number; readonly position: number } {
    // Positions pass 2^53 after 285 years at 1 GB/s: numbers are exact.
    let position = this.#taken;
    let count = 0;
    while (position < end && count < most) {
      // Ring sizes are powers of two, but & would cut the position to 32 bits.
      const header = Atomics.load(this.#headers, (position % this.#memory.size) >> 2);
      if ((header & BUSY) !== 0) break;
      if ((header & DISCARDED) === 0) each(position + HEADER_BYTES, count++);
      position += ((header & LENGTH) + HEADER_BYTES + 7) & ~7;
    }
    return { count, position };
  }

  /**
   * Makes room in the ring if much of it is in use, by taking what is there into memory of our own, as
   * much as may wait there. To be called now and then while records are worked on; a batch that lies in
   * the ring stays where it is. `end`: a value of {@link produced}; what was written since then stays.
   */
  relieve(end = this.produced): void {
    const { size } = this.#memory;
    while (
      end - this.#taken > size * RELIEVED_FROM &&
      this.#taken - this.#consumed < size * MOST_ASIDE &&
      !this.#isBusy
    )
      if (!this.#putAside(Math.min(end, this.#taken + PIECE_BYTES))) return;
  }

  /** False: the next record is still being written. */
  #putAside(end: number): boolean {
    const from = this.#taken;
    const { count, position } = this.#walk(end, PIECE_RECORDS, (at, index) => {
      this.#found[index] = at - from;
    });
    const length = position - from;
    if (length === 0) return false;
    const piece = this.#pieceFor(length, count);
    const { size } = this.#memory;
    const offset = from % size;
    const first = Math.min(length, size - offset);
    piece.bytes.set(this.#bytes.subarray(offset, offset + first));
    piece.bytes.set(this.#bytes.subarray(0, length - first), first);
    piece.places.set(this.#found.subarray(0, count));
    piece.count = count;
    piece.to = position;
    this.#aside.push(piece);
    this.#free(position);
    return true;
  }

  /** One that is used again, or where all of these are in use one of just that size. */
  #pieceFor(bytes: number, records: number): Piece {
    const spare = this.#spare.pop();
    if (spare !== undefined) return spare;
    if (this.#whole === WHOLE_PIECES) return newPiece(bytes, records);
    this.#whole++;
    return newPiece();
  }

  /** The kernel may write again up to a position. */
  #free(position: number): void {
    this.#taken = position;
    Atomics.store(this.#memory.consumer, 0, BigInt(position));
  }

  /**
   * Hands the records that are there, at most `places.length` of them, to `take`
   * as one batch and then frees their space; returns how many there were. Stops
   * at a record that is still being written. A batch that `take` throws on is
   * freed all the same: it must not come again for ever. `end`: a value of
   * {@link produced}; what was written since then stays. What {@link relieve} has
   * taken out comes first, and in the batches in which it was taken.
   */
  drain(places: Int32Array, take: TakeBatch, end = this.produced): number {
    for (;;) {
      const [piece] = this.#aside;
      if (piece === undefined) break;
      if (piece.to > end) return 0;
      // one of discarded records is no end
      if (this.#handOver(piece, take) > 0) return piece.count;
    }
    const { size } = this.#memory;
    const { count, position } = this.#walk(end, places.length, (at, index) => {
      places[index] = at % size;
    });
    this.#records += count;
    this.#isBusy = true;
    try {
      if (count > 0) take(this.#view, places, count);
    } finally {
      this.#isBusy = false;
      this.#consumed = position;
      this.#free(position);
    }
    return count;
  }

  #handOver(piece: Piece, take: TakeBatch): number {
    this.#records += piece.count;
    try {
      if (piece.count > 0) take(piece.view, piece.places, piece.count);
    } finally {
      this.#consumed = piece.to;
      this.#aside.shift();
      if (piece.bytes.length === WHOLE_BYTES) this.#spare.push(piece);
    }
    return piece.count;
  }

  /** Unmaps the memory; the reader must not be used any more. */
  close(): void {
    this.#unmap?.();
    this.#unmap = null;
  }
}

/** Maps the ring buffer behind a map's descriptor; `size` is its max_entries. */
export function openRing(fd: number, size: number): RingReader {
  const page = c.sysconf(SC_PAGESIZE);
  const ring = { what: 'a ring buffer', flags: MAP_SHARED, fd } as const;
  const both = PROT_READ | PROT_WRITE;
  const consumer = mapMemory({ ...ring, length: page, protection: both, offset: 0 });
  // The kernel offers the data twice in a row. One page of the second copy is
  // enough for a record at the end, and the rest would double our memory (RSS).
  const length = page + size + page;
  const producer = mapMemory({ ...ring, length, protection: PROT_READ, offset: page });
  const memory = viewMemory(producer, length);
  return new RingReader(
    {
      size,
      consumer: new BigUint64Array(viewMemory(consumer, page), 0, 1),
      producer: new BigUint64Array(memory, 0, 1),
      data: memory,
      dataOffset: page,
    },
    // Not unmapped: a view that is still reachable would fault. The kernel
    // does it when the process ends.
    () => undefined,
  );
}

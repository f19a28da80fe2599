/**
 * Times in the layers, counted from the packet records as they are read: what the kernel counts only
 * of records that are lost (bpf/include/layers.bpf.h), with the same buckets and in the same order.
 * Runs for every packet. Pure.
 */
import { LAYER_TOTALS, MARK, PACKET, SHORT_HISTOGRAM } from '../generated/packet.js';

const { at: FIELD } = PACKET;
const BUCKETS = SHORT_HISTOGRAM.at.sumNs / 8;
const HISTOGRAM_WORDS = SHORT_HISTOGRAM.size / 8;
/** MAC, IP, TCP and reordering; of each one histogram for IPv4 and one for IPv6. */
const LAYERS = 4;
const LAYER_WORDS = 2 * HISTOGRAM_WORDS;
const DIRECTION_WORDS = LAYERS * LAYER_WORDS;
const NOT_MEASURED = LAYER_TOTALS.at.notMeasured / 8;

const AF_INET6 = 10;
/** Of the kernel's short histograms: see nw_fine_bin(). */
const STEPS = 8;
const FIRST_POWER = 6;
const FIRST_BOUND_NS = 2 ** FIRST_POWER;
/** The whole numbers at most 2^(k/8), by k from 0: a duration in bucket k is no more than bound k. */
const BOUNDS_NS = Float64Array.from({ length: BUCKETS - 1 }, (_, k) =>
  Math.floor(2 ** (FIRST_POWER + k / STEPS)),
);
const WORD = 0x1_0000_0000;
const UNKNOWN_WORD = -1;

/** The bucket of a duration: the first whose bound is no less; the last one is all above. */
function layerBucket(ns: number): number {
  if (ns <= FIRST_BOUND_NS) return 0;
  if (ns > BOUNDS_NS[BUCKETS - 2]!) return BUCKETS - 1;
  // from the power of two below it on: at most eight steps
  let bucket = STEPS * (31 - Math.clz32(ns - 1) - FIRST_POWER) + 1;
  while (ns > BOUNDS_NS[bucket]!) bucket++;
  return bucket;
}

export class LayerCounts {
  /** As the words of `struct nw_layer_totals`; sums are exact up to 104 days. */
  readonly #words = new Float64Array(LAYER_TOTALS.size / 8);
  #records: Int32Array = new Int32Array(0);
  #view: DataView | null = null;

  /** Counts the packet whose record is at `at`. */
  add(view: DataView, at: number): void {
    if (view !== this.#view) {
      this.#view = view;
      this.#records = new Int32Array(view.buffer, view.byteOffset, view.byteLength >> 2);
    }
    // what is sent again was written long before
    if ((view.getUint8(at + FIELD.marks) & MARK.NW_MARK_RETRANSMITTED) !== 0) return;
    const transmit = view.getUint8(at + FIELD.rx) === 1 ? 0 : 1;
    const isIpv6 = view.getUint16(at + FIELD.family, true) === AF_INET6;
    const missed = NOT_MEASURED + transmit * LAYERS;
    const first = transmit * DIRECTION_WORDS + (isIpv6 ? HISTOGRAM_WORDS : 0);
    this.#count(at + FIELD.macNs, first, missed);
    this.#count(at + FIELD.ipNs, first + LAYER_WORDS, missed + 1);
    if (this.#records[(at + FIELD.payloadBytes) >> 2] === 0) return;
    this.#count(at + FIELD.tcpNs, first + 2 * LAYER_WORDS, missed + 2);
    if (this.#hadToWait(at + FIELD.reorderNs))
      this.#count(at + FIELD.reorderNs, first + 3 * LAYER_WORDS, missed + 3);
  }

  /** Whether a duration is known and not 0. */
  #hadToWait(at: number): boolean {
    const low = this.#records[at >> 2]!;
    const high = this.#records[(at + 4) >> 2]!;
    return (low | high) !== 0 && (low & high) !== UNKNOWN_WORD;
  }

  #count(at: number, histogram: number, missed: number): void {
    const words = this.#words;
    const high = this.#records[(at + 4) >> 2]!;
    const low = this.#records[at >> 2]! >>> 0;
    if (high === UNKNOWN_WORD && low === WORD - 1) {
      words[missed]!++;
      return;
    }
    const ns = high === 0 ? low : (high >>> 0) * WORD + low;
    words[histogram + layerBucket(ns)]!++;
    words[histogram + BUCKETS]! += ns;
  }

  /** Adds what was counted to a `struct nw_layer_totals`, in place. */
  addTo(totals: DataView): void {
    for (const [word, count] of this.#words.entries()) {
      const at = word * 8;
      totals.setBigUint64(at, totals.getBigUint64(at, true) + BigInt(count), true);
    }
  }
}

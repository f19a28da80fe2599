/**
 * The counts of an interval by key, out of a pair of maps that are swapped. They may be looked at in
 * between, for metrics: what was found then is part of the next answer too.
 */
import type { SwappedMap } from '../kernel/swapped-map.js';

/** How keys and counts are read, and counts of one key put together. */
export interface CountsLayout<K, V> {
  readonly key: (view: DataView) => K;
  readonly value: (view: DataView) => V;
  readonly sum: (a: V, b: V) => V;
}

const textOf = (view: DataView): string =>
  Buffer.from(view.buffer, view.byteOffset, view.byteLength).toString('latin1');

export class IntervalCounts<K, V> {
  readonly #map: SwappedMap;
  readonly #layout: CountsLayout<K, V>;
  #counts = new Map<string, { readonly key: K; value: V }>();

  constructor(map: SwappedMap, layout: CountsLayout<K, V>) {
    this.#map = map;
    this.#layout = layout;
  }

  /** Takes over what the kernel has counted by now; `each` is told of it once. */
  collect(each: (key: K, value: V) => void): void {
    const { key: readKey, value: readValue, sum } = this.#layout;
    this.#map.drain((keyView, valueView) => {
      const value = readValue(valueView);
      const text = textOf(keyView);
      const known = this.#counts.get(text);
      const key = known?.key ?? readKey(keyView);
      if (known === undefined) this.#counts.set(text, { key, value });
      else known.value = sum(known.value, value);
      each(key, value);
    });
  }

  /** What was collected since the last call. */
  take(): readonly { readonly key: K; readonly value: V }[] {
    const counts = [...this.#counts.values()];
    this.#counts = new Map();
    return counts;
  }

  /** What found no room since the start. */
  get lost(): number {
    return this.#map.lost;
  }
}

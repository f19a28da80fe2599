/**
 * Orders records by ts_ns in place. CPUs reserve records a little out of order,
 * so the batch is nearly sorted: insertion sort, one comparison per record.
 */
export function sortByTime(
  view: DataView,
  places: Int32Array,
  count: number,
  times: Float64Array,
): void {
  for (let i = 0; i < count; i++) {
    const place = places[i] ?? 0;
    const time = view.getUint32(place + 4, true) * 0x1_0000_0000 + view.getUint32(place, true);
    let j = i;
    for (; j > 0 && (times[j - 1] ?? 0) > time; j--) {
      times[j] = times[j - 1] ?? 0;
      places[j] = places[j - 1] ?? 0;
    }
    times[j] = time;
    places[j] = place;
  }
}

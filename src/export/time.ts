/**
 * Points in time as people write them: RFC 3339, epoch seconds or milliseconds, or an age like
 * `2h`.
 */

const RFC_3339 = /^(\d{4})-(\d\d)-(\d\d)[Tt ](\d\d:\d\d(?::\d\d(?:\.\d+)?)?)([Zz]|[+-]\d\d:\d\d)$/;
const NUMBER = /^\d+(?:\.\d+)?$/;
const AGE = /^(?:\d+(?:\.\d+)?(?:ms|s|m|h|d|w))+$/;
const UNIT_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  h: 3_600_000,
  d: 86_400_000,
  w: 604_800_000,
};
/** As seconds the year 5138, as milliseconds 1973: nothing in between is meant. */
const SECONDS_BELOW = 1e11;

/** Milliseconds since 1970, or null if the text is no point in time. */
export function parseTime(text: string, nowMs: number): number | null {
  if (text === 'now') return nowMs;
  if (NUMBER.test(text)) {
    const value = Number(text);
    return Math.round(value < SECONDS_BELOW ? value * 1000 : value);
  }
  if (AGE.test(text)) {
    let age = 0;
    for (const [, count, unit = ''] of text.matchAll(/([\d.]+)([a-z]+)/g)) {
      age += Number(count) * UNIT_MS[unit]!;
    }
    return Math.round(nowMs - age);
  }
  return parseDate(text);
}

function parseDate(text: string): number | null {
  const parts = RFC_3339.exec(text);
  if (parts === null) return null;
  const [, year, month, day, clock, zone = ''] = parts;
  // Date takes February 30 for March 2.
  const lastDay = new Date(Date.UTC(Number(year), Number(month), 0)).getUTCDate();
  if (Number(day) > lastDay) return null;
  const time = Date.parse(`${year}-${month}-${day}T${clock}${zone.toUpperCase()}`);
  return Number.isNaN(time) ? null : time;
}

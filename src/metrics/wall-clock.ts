/** The wall clock as people read it, in local time. Pure. */

/** `HH:MM:SS`, as the clock on the wall shows it. */
export function clockTime(wallMs: number): string {
  const date = new Date(wallMs);
  const two = (value: number): string => String(value).padStart(2, '0');
  return [date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join(':');
}

/** `HH:MM:SS.mmm`. */
export function timeOfDay(wallMs: number): string {
  const ms = String(new Date(wallMs).getMilliseconds()).padStart(3, '0');
  return `${clockTime(wallMs)}.${ms}`;
}

const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'];
const MONTHS = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ');

/** `Sat Nov 21 13:07:29 2026`, as asctime() of C and Python writes it. */
export function asctime(wallMs: number): string {
  const date = new Date(wallMs);
  const day = `${DAYS[date.getDay()] ?? ''} ${MONTHS[date.getMonth()] ?? ''}`;
  const ofMonth = String(date.getDate()).padStart(2);
  return `${day} ${ofMonth} ${clockTime(wallMs)} ${date.getFullYear()}`;
}

/** What is said of the requests of the last minute as a whole. */
import type { RequestsReport } from '../../serve/types.js';
import { grouped, quantity } from './format.js';

const MS_PER_SECOND = 1000;
/** Where less than this is known, more requests came than are looked at, or netwatch has just begun. */
const MOST_OF_A_MINUTE_SECONDS = 55;

/** Null if the requests are there, or have not been asked for yet. */
export function missingRequests(report: RequestsReport | null | undefined): string | null {
  return report === null
    ? 'requests.log is not there, or closed to netwatch serve: make it readable for the group of its directory.'
    : null;
}

type Window = Pick<RequestsReport, 'atMs' | 'fromMs'>;

/** Null where no time has gone by. */
export function ratePerSecond(count: number, { atMs, fromMs }: Window): number | null {
  return atMs > fromMs ? (count * MS_PER_SECOND) / (atMs - fromMs) : null;
}

/** Of what the quantiles are, so that nobody takes a few seconds for a minute. */
export function windowText(report: RequestsReport | null | undefined): string {
  if (report === null || report === undefined) return '';
  const { count, atMs, fromMs } = report;
  const seconds = (atMs - fromMs) / MS_PER_SECOND;
  const of = seconds >= MOST_OF_A_MINUTE_SECONDS ? 'minute' : quantity(seconds, 'seconds');
  return `Exact: from each of the ${grouped(count)} requests of the last ${of}.`;
}

/** `-4` and `-6`, which the collector and most tools have. */
import type { Filter } from '../sources/filter.js';
import { option, type ValuesOf } from './options.js';

export const FAMILY = {
  ...option('-4, --ipv4', 'IPv4 only'),
  ...option('-6, --ipv6', 'IPv6 only', { conflicts: 'ipv4' }),
};

/** Null: both. */
export function familyOf({ ipv4, ipv6 }: Partial<ValuesOf<typeof FAMILY>>): Filter['family'] {
  if (ipv4 === true) return 4;
  return ipv6 === true ? 6 : null;
}

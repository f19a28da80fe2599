/** Subnets of tcpsubnet: which one an address belongs to, and how amounts are shown. Pure. */
import { parsePrefix, type Prefix } from '../../sources/filter.js';

export interface Subnet {
  /** As the user wrote it. */
  readonly name: string;
  readonly prefix: Prefix;
}

/** Those of bcc's tcpsubnet. */
export const DEFAULT_SUBNETS = '127.0.0.1/32,10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,0.0.0.0/0';

/** Units of amounts, by their letters: bits, and bytes, in powers of 1024. */
const DIVISORS = { b: 1 / 8, k: 1024 / 8, m: 1024 ** 2 / 8, B: 1, K: 1024, M: 1024 ** 2 };

export type AmountFormat = keyof typeof DIVISORS;
export const AMOUNT_FORMATS = Object.keys(DIVISORS) as readonly AmountFormat[];

export function amountOf(bytes: number, format: AmountFormat): number {
  return bytes / DIVISORS[format];
}

/** Of a list separated by commas; null where one is none, with its text. */
export function parseSubnets(
  text: string,
): { readonly subnets: readonly Subnet[] } | { readonly wrong: string } {
  const subnets: Subnet[] = [];
  for (const part of text.split(',')) {
    const name = part.trim();
    const prefix = parsePrefix(name);
    if (prefix === null) return { wrong: name };
    subnets.push({ name, prefix });
  }
  return { subnets };
}

function contains({ address, bits }: Prefix, other: Uint8Array): boolean {
  const whole = bits >> 3;
  for (let i = 0; i < whole; i++) if (address[i] !== other[i]) return false;
  const rest = bits & 7;
  if (rest === 0) return true;
  const mask = (0xff << (8 - rest)) & 0xff;
  return ((address[whole] ?? 0) & mask) === ((other[whole] ?? 0) & mask);
}

const isIpv6 = (text: string): boolean => text.includes(':');

/** The name of the first subnet that holds an address; null if none does. */
export function subnetOf(address: string, subnets: readonly Subnet[]): string | null {
  const other = parsePrefix(address)?.address;
  if (other === undefined) return null;
  const found = subnets.find(
    ({ name, prefix }) => isIpv6(name) === isIpv6(address) && contains(prefix, other),
  );
  return found?.name ?? null;
}

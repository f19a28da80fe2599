/** Where to listen, as the user types it and as a URL shows it. */
import { isIP, isIPv6 } from 'node:net';
import { InvalidArgumentError } from 'commander';

export const DEFAULT_LISTEN = '127.0.0.1:41420';

export interface ListenAddress {
  /** A name or an IP address without brackets; null: all addresses of the machine. */
  readonly host: string | null;
  /** 0: any free one. */
  readonly port: number;
}

const MAX_PORT = 65_535;
const NAME = /^(?!-)[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$/;
/** `1.2.3` and `999.1.1.1` are mistyped addresses, not names. */
const DIGITS_AND_DOTS = /^[\d.]+$/;

/** Reads `host:port`, `[IPv6]:port` or `:port`. Throws commander's InvalidArgumentError. */
export function listenAddress(text: string): ListenAddress {
  const [, bracketed, plain = '', digits = ''] =
    /^(?:\[([^\]]*)\]|([^:[\]]*)):(\d{1,5})$/.exec(text) ?? [];
  const host = bracketed ?? plain;
  const port = Number(digits);
  const known = bracketed === undefined ? plain === '' || isHost(plain) : isIPv6(bracketed);
  if (digits === '' || port > MAX_PORT || !known)
    throw new InvalidArgumentError(
      `It should be an address with a port: ${DEFAULT_LISTEN}, [::1]:41420, or :41420 for all addresses.`,
    );
  return { host: host === '' ? null : host, port };
}

function isHost(text: string): boolean {
  return isIP(text) === 4 || (NAME.test(text) && !DIGITS_AND_DOTS.test(text));
}

/** `127.0.0.1:41420`, `[::1]:41420`. */
export function hostAndPort(host: string, port: number): string {
  return isIPv6(host) ? `[${host}]:${port}` : `${host}:${port}`;
}

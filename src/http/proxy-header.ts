/**
 * The header of the PROXY protocol, in which a proxy says whose connection it passes on:
 * https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt, sections 2.1 (text) and 2.2 (binary).
 * Pure; the bytes may be anybody's.
 */
import { isIPv4, isIPv6 } from 'node:net';

/** Who speaks through the proxy. */
export interface ProxiedClient {
  readonly address: string;
  readonly port: number;
}

const TEXT = /^PROXY TCP([46]) (\S+) (\S+) (\d{1,5}) (\d{1,5})$/;
const PORT_MAX = 65_535;

/** After the 12 bytes of the signature. */
const COMMAND_AT = 12;
const FAMILY_AT = 13;
const ADDRESSES_AT = 16;
const PROXY_V2 = 0x21;
const TCP_IPV4 = 0x11;
const TCP_IPV6 = 0x21;
const IPV4_BYTES = 4;
const IPV6_BYTES = 16;

/** Null: it names nobody (a health check of the proxy itself), or nobody over TCP. */
export function readProxyHeader(header: Uint8Array): ProxiedClient | null {
  return header[0] === 'P'.charCodeAt(0) ? readText(header) : readBinary(header);
}

function readText(header: Uint8Array): ProxiedClient | null {
  const text = Buffer.from(header)
    .toString('latin1')
    .replace(/\r?\n?$/, '');
  const [, family, address = '', , port = ''] = TEXT.exec(text) ?? [];
  const isAddress = family === '4' ? isIPv4(address) : family === '6' && isIPv6(address);
  return isAddress && Number(port) <= PORT_MAX ? { address, port: Number(port) } : null;
}

function readBinary(header: Uint8Array): ProxiedClient | null {
  const family = header[FAMILY_AT];
  const size = family === TCP_IPV4 ? IPV4_BYTES : family === TCP_IPV6 ? IPV6_BYTES : 0;
  const portAt = ADDRESSES_AT + 2 * size;
  if (header[COMMAND_AT] !== PROXY_V2 || size === 0 || header.length < portAt + 2) return null;
  const bytes = header.subarray(ADDRESSES_AT, ADDRESSES_AT + size);
  return {
    address: size === IPV4_BYTES ? bytes.join('.') : ipv6(bytes),
    port: (header[portAt]! << 8) | header[portAt + 1]!,
  };
}

/** As RFC 5952 writes it: the URL parser does. */
function ipv6(bytes: Uint8Array): string {
  const groups = Array.from({ length: 8 }, (_, i) =>
    ((bytes[2 * i]! << 8) | bytes[2 * i + 1]!).toString(16),
  );
  return new URL(`http://[${groups.join(':')}]`).hostname.slice(1, -1);
}

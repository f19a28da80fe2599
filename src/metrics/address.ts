/** How addresses look in every output: of the kernel's objects, and of the ends of a connection. */

const TWO_32 = 0x1_0000_0000;

/** A kernel address (see kernel/read.ts) as the kernel prints it, or `-` for none. */
export function formatAddress(address: number): string {
  if (address === 0) return '-';
  const high = Math.floor(address / TWO_32);
  return (high >>> 0).toString(16) + (address - high * TWO_32).toString(16).padStart(8, '0');
}

/** `address:port`, IPv6 in brackets. */
export function formatEndpoint(ip: string, port: number): string {
  return ip.includes(':') ? `[${ip}]:${port}` : `${ip}:${port}`;
}

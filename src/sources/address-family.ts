/** The kernel's numbers of IPv4 and IPv6 (include/linux/socket.h), and what they are called. */
export const AF_INET = 2;
export const AF_INET6 = 10;

/** OpenTelemetry's network.type. */
export type NetworkType = 'ipv4' | 'ipv6';

/** What a kernel's number means: 4 or 6. */
export function ipVersion(family: number): 4 | 6 {
  return family === AF_INET6 ? 6 : 4;
}

export function networkType(version: 4 | 6): NetworkType {
  return version === 6 ? 'ipv6' : 'ipv4';
}

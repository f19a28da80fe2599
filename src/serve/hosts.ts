/**
 * Which Host a request may name. A page on the internet can have its own name resolve to 127.0.0.1
 * and so read what listens there (DNS rebinding); only the Host header tells such a request apart.
 */
import { isIP } from 'node:net';
import { hostname } from 'node:os';

const LOOPBACK = /^(127\.|::1$|::ffff:127\.)/;

/** True for an IP address that only this machine can reach. */
export function isLoopback(address: string): boolean {
  return LOOPBACK.test(address);
}

/** The name in a Host header, without port, brackets and the root's dot; null if it is none. */
function nameOf(host: string): string | null {
  const [, bracketed, plain] = /^(?:\[([\da-f:.]+)\]|([^:]+))(?::\d+)?$/i.exec(host) ?? [];
  return (bracketed ?? plain)?.toLowerCase().replace(/\.$/, '') ?? null;
}

/** True if the header names this machine in a way that nobody else's DNS can. */
export function isOwnHost(host: string, machine: string = hostname()): boolean {
  const name = nameOf(host);
  if (name === null) return false;
  return (
    isIP(name) !== 0 ||
    name === 'localhost' ||
    name.endsWith('.localhost') ||
    name === machine.toLowerCase()
  );
}

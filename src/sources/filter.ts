/**
 * The filter common to all sources, as the user means it and as the kernel side
 * wants it (struct nw_filter in .rodata). It is evaluated in the kernel: what it
 * rejects costs no record.
 */
import { isIPv4, isIPv6 } from 'node:net';
import { FILTER, PREFIX } from '../generated/connection.js';
import type { Cgroup } from '../kernel/host.js';
import { AF_INET, AF_INET6 } from './address-family.js';

/** An address or a CIDR block. */
export interface Prefix {
  /** 16 bytes, IPv4 as ::ffff:a.b.c.d. */
  readonly address: Uint8Array;
  /** Leading bits that must agree, 0-128. */
  readonly bits: number;
}

/** Ports from one to another; both ends belong to it. */
export interface PortRange {
  readonly from: number;
  readonly to: number;
}

/** One port, or some in a row. */
export type Ports = number | PortRange;

/** Empty lists and nulls mean "any". Local is the watched socket's own end. */
export interface Filter {
  readonly pids: readonly number[];
  readonly comm: string | null;
  /** `comm` may be a part of the name; absent: it is the whole. */
  readonly isCommPart?: boolean;
  readonly localPorts: readonly Ports[];
  readonly peerPorts: readonly Ports[];
  /** Of either end. */
  readonly ports: readonly Ports[];
  readonly localAddresses: readonly Prefix[];
  readonly peerAddresses: readonly Prefix[];
  readonly family: 4 | 6 | null;
  /** Inode numbers of network namespaces. */
  readonly namespaces: readonly number[];
  /** Processes in it or below it. */
  readonly cgroup: Cgroup | null;
  /** Only in the cgroups that source `cgroup` was told to choose by their names; absent: in any. */
  readonly isNamed?: boolean;
}

export const NO_FILTER: Filter = {
  pids: [],
  comm: null,
  localPorts: [],
  peerPorts: [],
  ports: [],
  localAddresses: [],
  peerAddresses: [],
  family: null,
  namespaces: [],
  cgroup: null,
};

/** Whether it asks for nothing but network namespaces: what is theirs alone counts then. */
export function asksForNamespacesOnly(filter: Filter): boolean {
  const { pids, localPorts, peerPorts, ports, localAddresses, peerAddresses } = filter;
  const lists = [pids, localPorts, peerPorts, ports, localAddresses, peerAddresses];
  const { comm, family, cgroup } = filter;
  return lists.every((list) => list.length === 0) && !comm && !family && !cgroup;
}

/** Entries the kernel side has room for in each list (NW_FILTER_MAX). */
export const FILTER_LIST_LIMIT = 16;

const COMM_BYTES = 16;
/** NW_COMM_ANYWHERE */
const COMM_ANYWHERE = 0x100;

function ipv4Bytes(text: string): number[] {
  return text.split('.').map(Number);
}

function ipv6Bytes(text: string): Uint8Array {
  const bytes = new Uint8Array(16);
  const dotted = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  let plain = text;
  if (dotted !== null) {
    const [a = 0, b = 0, c = 0, d = 0] = ipv4Bytes(dotted[2] ?? '');
    plain = `${dotted[1] ?? ''}${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
  }
  const [head = '', tail] = plain.split('::');
  const groups = (part: string): number[] =>
    part === '' ? [] : part.split(':').map((group) => parseInt(group, 16));
  const front = groups(head);
  const back = tail === undefined ? [] : groups(tail);
  const view = new DataView(bytes.buffer);
  front.forEach((group, i) => {
    view.setUint16(i * 2, group);
  });
  back.forEach((group, i) => {
    view.setUint16((8 - back.length + i) * 2, group);
  });
  return bytes;
}

/** Reads `10.0.0.0/8`, `192.0.2.1`, `2001:db8::/32`; null if it is none of these. */
export function parsePrefix(text: string): Prefix | null {
  const [ip = '', length, ...rest] = text.split('/');
  if (rest.length > 0 || (length !== undefined && !/^\d{1,3}$/.test(length))) return null;
  if (isIPv4(ip)) {
    const bits = length === undefined ? 32 : Number(length);
    if (bits > 32) return null;
    const address = new Uint8Array(16);
    address.set([0xff, 0xff, ...ipv4Bytes(ip)], 10);
    return { address, bits: 96 + bits };
  }
  if (!isIPv6(ip) || ip.includes('%')) return null;
  const bits = length === undefined ? 128 : Number(length);
  return bits > 128 ? null : { address: ipv6Bytes(ip), bits };
}

function maskOf(bits: number): Uint8Array {
  return Uint8Array.from({ length: 16 }, (_, i) => {
    const inByte = Math.min(8, Math.max(0, bits - i * 8));
    return (0xff << (8 - inByte)) & 0xff;
  });
}

/** As the kernel side reads it: one port, or the first and above it the last. */
function portWord(ports: Ports): number {
  return typeof ports === 'number' ? ports : ports.from + ports.to * 0x1_0000;
}

/** The filter as struct nw_filter; lists longer than the limit are an error of the caller. */
export function encodeFilter(filter: Filter): Uint8Array {
  const bytes = new Uint8Array(FILTER.size);
  const view = new DataView(bytes.buffer);
  const list = (countAt: number, at: number, values: readonly number[]): void => {
    if (values.length > FILTER_LIST_LIMIT) throw new RangeError('filter list too long');
    view.setUint32(countAt, values.length, true);
    values.forEach((value, i) => {
      view.setUint32(at + i * 4, value, true);
    });
  };
  const prefixes = (countAt: number, at: number, values: readonly Prefix[]): void => {
    if (values.length > FILTER_LIST_LIMIT) throw new RangeError('filter list too long');
    view.setUint32(countAt, values.length, true);
    values.forEach(({ address, bits }, i) => {
      const mask = maskOf(bits);
      const place = at + i * PREFIX.size;
      bytes.set(
        address.map((byte, j) => byte & (mask[j] ?? 0)),
        place + PREFIX.at.addr,
      );
      bytes.set(mask, place + PREFIX.at.mask);
    });
  };
  const { at } = FILTER;
  view.setBigUint64(at.cgroup, filter.cgroup?.id ?? 0n, true);
  view.setUint32(at.cgroupLevel, filter.cgroup?.level ?? 0, true);
  view.setUint32(at.named, filter.isNamed === true ? 1 : 0, true);
  list(at.netnsCount, at.netns, filter.namespaces);
  list(at.pidCount, at.pid, filter.pids);
  list(at.localPortCount, at.localPort, filter.localPorts.map(portWord));
  list(at.peerPortCount, at.peerPort, filter.peerPorts.map(portWord));
  list(at.portCount, at.port, filter.ports.map(portWord));
  prefixes(at.localAddrCount, at.localAddr, filter.localAddresses);
  prefixes(at.peerAddrCount, at.peerAddr, filter.peerAddresses);
  view.setUint32(
    at.family,
    filter.family === 4 ? AF_INET : filter.family === 6 ? AF_INET6 : 0,
    true,
  );
  if (filter.comm !== null) encodeComm(bytes, view, filter.comm, filter.isCommPart === true);
  return bytes;
}

/** A whole name has its NUL, so that `nginx` does not match `nginx-debug`. */
function encodeComm(bytes: Uint8Array, view: DataView, comm: string, isPart: boolean): void {
  const encoded = new TextEncoder().encode(comm).slice(0, COMM_BYTES - 1);
  const length = isPart ? encoded.length | COMM_ANYWHERE : encoded.length + 1;
  view.setUint32(FILTER.at.commLength, length, true);
  bytes.set(encoded, FILTER.at.comm);
}

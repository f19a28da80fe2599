/** The labels that name a connection, its owner and its states. */
import { OWNER_SOURCE, ROLE } from '../../generated/connection.js';
import { formatAddress, formatEndpoint } from '../../metrics/address.js';
import { connectionLabels, type ConnectionLabels } from '../../metrics/exposition.js';
import type { CgroupNames } from '../../sources/cgroup-names.js';
import type { Connection } from '../../sources/connection.js';
import { connectionState, type ConnectionState } from '../../sources/tcp-states.js';
import { congestionState } from './connection-values.js';

/** An open connection as last seen. */
export interface Shown {
  readonly src: string;
  readonly dst: string;
  readonly last: Connection;
  /** Of its cgroup; null: that is not known. */
  readonly names: CgroupNames | null;
  /** Payload bytes both ways since the last but one look, for "busiest". */
  readonly recentBytes: number;
}

/** The two ends as the logs have them. */
export function endsOf(connection: Connection): [src: string, dst: string] {
  return [
    formatEndpoint(connection.localAddr, connection.localPort),
    formatEndpoint(connection.peerAddr, connection.peerPort),
  ];
}

/** The labels that all values of a connection have. */
export function labelsOf({
  last,
  src,
  dst,
}: Pick<Shown, 'last' | 'src' | 'dst'>): ConnectionLabels {
  return connectionLabels(formatAddress(last.sock), src, dst);
}

/** Labels of netwatch_connection_state_info, of the present state. */
export function stateLabels({ last, src, dst }: Shown): {
  sock: string;
  src: string;
  dst: string;
  network_connection_state: ConnectionState;
} {
  const sock = formatAddress(last.sock);
  return { sock, src, dst, network_connection_state: connectionState(last.state) };
}

/** Labels of netwatch_connection_congestion_info, as it is now. */
export function congestionLabels({ last, src, dst }: Shown): {
  sock: string;
  src: string;
  dst: string;
  algorithm: string;
  state: string;
} {
  const sock = formatAddress(last.sock);
  return { sock, src, dst, algorithm: last.caName, state: congestionState(last) };
}

/** Whose a socket is; `-` where that is not known. */
export function ownerLabels({ ownerSource, pid, comm }: Connection): {
  pid: string;
  process: string;
} {
  const known = ownerSource !== OWNER_SOURCE.NW_OWNER_NONE;
  return { pid: known ? `${pid}` : '-', process: known ? comm : '-' };
}

/** Labels that say whose cgroup it is; what it has no name for is left out. */
export function nameLabels(names: CgroupNames | null): {
  unit?: string;
  container?: string;
  pod?: string;
} {
  if (names === null) return {};
  const { unit, container, pod } = names;
  return {
    ...(unit === null ? {} : { unit }),
    ...(container === null ? {} : { container }),
    ...(pod === null ? {} : { pod }),
  };
}

/** Labels of netwatch_connection_info; `-` where the owner is not known. */
export function infoLabels({ last, names, src, dst }: Shown): ReturnType<typeof nameLabels> & {
  pid: string;
  process: string;
  sock: string;
  src: string;
  dst: string;
  is_server: string;
} {
  const { pid, process } = ownerLabels(last);
  const isServer =
    last.role === ROLE.NW_ROLE_UNKNOWN ? '-' : last.role === ROLE.NW_ROLE_CLIENT ? '0' : '1';
  const labels = { pid, process, sock: formatAddress(last.sock), src, dst, is_server: isServer };
  // most have none: the engine makes an object out of others slowly
  return names === null ? labels : { ...labels, ...nameLabels(names) };
}

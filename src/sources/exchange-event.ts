/** An HTTP exchange as a flat object: a line of requests.ndjson, and of `netwatch requests -o json`. */
import { formatAddress } from '../metrics/address.js';
import { cgroupFields, timeOf, type NdjsonEvent, type NdjsonValue } from '../metrics/ndjson.js';
import { safeValue } from '../metrics/text.js';
import type { CgroupNames } from './cgroup-names.js';
import {
  BEYOND,
  causeOf,
  httpMethod,
  outcomeOf,
  PARTS,
  sideOf,
  type Exchange,
} from './exchange.js';

const NS_PER_S = 1e9;

/** Seconds, exact to the nanosecond; null where that is not known. */
export const seconds = (ns: number | null | undefined): number | null =>
  ns === null || ns === undefined ? null : ns / NS_PER_S;

/** The parts of a side with what is inside them, then what is behind the end. */
function durations(exchange: Exchange): NdjsonEvent {
  const side = sideOf(exchange.role);
  const event: Record<string, NdjsonValue> = {};
  for (const { name, index, inside } of PARTS[side]) {
    event[`${name}_seconds`] = seconds(exchange.partNs[index]);
    for (const { name: of, key } of inside) event[`${of}_seconds`] = seconds(exchange[key]);
  }
  for (const { name, key } of BEYOND[side]) event[`${name}_seconds`] = seconds(exchange[key]);
  return event;
}

/** `names`: of the process's cgroup; absent: not said. */
export function exchangeEvent(
  exchange: Exchange,
  timestampMs: number,
  names?: CgroupNames | null,
): NdjsonEvent {
  const { sock, pid, comm, status } = exchange;
  return {
    time: timeOf(timestampMs),
    event: 'http_exchange',
    side: sideOf(exchange.role),
    pid: pid === 0 ? null : pid,
    process: pid === 0 ? null : safeValue(comm),
    ...(names === undefined ? {} : cgroupFields(names)),
    sock: sock === 0 ? null : formatAddress(sock),
    network_local_address: exchange.localAddr,
    network_local_port: exchange.localPort,
    network_peer_address: exchange.peerAddr,
    network_peer_port: exchange.peerPort,
    http_request_method: httpMethod(exchange.method),
    url_path: exchange.request === null ? null : safeValue(exchange.request.path),
    http_response_status_code: status === 0 ? null : status,
    outcome: outcomeOf(exchange.outcome),
    total_seconds: seconds(exchange.durationNs),
    ...durations(exchange),
    retransmits: exchange.retransmits,
    connect_seconds: seconds(exchange.connectNs),
    // no answer of a name server is joined to a connection so far
    name_lookup_seconds: null,
    early: exchange.early === 1,
    partly_explained: causeOf(exchange.unexplained),
  };
}

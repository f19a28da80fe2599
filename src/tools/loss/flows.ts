/**
 * Counts the segments that were sent again by flow, and shows them as bcc's tcpretrans -c does: with
 * the process, and the worst first. Pure.
 */
import { formatEndpoint } from '../../metrics/address.js';
import { csvText } from '../../terminal/format.js';
import type { Ends } from '../../terminal/record-columns.js';
import type { Summary } from '../../terminal/common.js';

/** What a record says of one flow. */
export interface Retransmission extends Ends {
  readonly segments: number;
  /** 0 = not known. */
  readonly pid: number;
  readonly comm: string;
}

interface Flow {
  /** The last one. */
  ends: Retransmission;
  retransmits: number;
}

/** `[10.0.0.1]#22`. */
const endpoint = (address: string, port: number): string => `[${address}]#${port}`;

const line = (left: string, right: string, ...rest: readonly [string, string, string]): string =>
  `${left.padEnd(25)} ${right.padEnd(25)} ${rest[0].padEnd(11)} ${rest[1].padEnd(7)} ${rest[2]}`;

const ownerOf = ({ pid, comm }: Retransmission): [pid: string, comm: string] =>
  pid === 0 ? ['N/A', 'N/A'] : [`${pid}`, comm];

export class FlowCounts {
  readonly #flows = new Map<string, Flow>();

  add(ends: Retransmission): void {
    const { localAddr, localPort, peerAddr, peerPort, segments } = ends;
    const key = `${localAddr} ${localPort} ${peerAddr} ${peerPort}`;
    const flow = this.#flows.get(key);
    // who owns a connection may be known only later
    this.#flows.set(key, {
      ends: flow !== undefined && ends.pid === 0 ? flow.ends : ends,
      retransmits: (flow?.retransmits ?? 0) + segments,
    });
  }

  #sorted(): Flow[] {
    return [...this.#flows.values()].sort((a, b) => b.retransmits - a.retransmits);
  }

  summary(): Summary {
    const flows = this.#sorted();
    const rows = flows.map(({ ends, retransmits }) => {
      const local = endpoint(ends.localAddr, ends.localPort).padEnd(20);
      const peer = endpoint(ends.peerAddr, ends.peerPort).padEnd(20);
      const [pid, comm] = ownerOf(ends);
      return `${local} <-> ${peer} ${String(retransmits).padStart(10)}  ${pid.padEnd(7)} ${comm}`;
    });
    return {
      lines: ['', line('LADDR:LPORT', 'RADDR:RPORT', 'RETRANSMITS', 'PID', 'COMM'), ...rows],
      csv: ['LADDR:LPORT,RADDR:RPORT,RETRANSMITS,PID,COMM', ...flows.map(csvLine)],
      json: { flows: flows.map(({ ends, retransmits }) => ({ ...fieldsOf(ends), retransmits })) },
    };
  }
}

function csvLine({ ends, retransmits }: Flow): string {
  const local = formatEndpoint(ends.localAddr, ends.localPort);
  const peer = formatEndpoint(ends.peerAddr, ends.peerPort);
  return [local, peer, retransmits, ...ownerOf(ends)].map(csvText).join(',');
}

function fieldsOf(ends: Retransmission): Readonly<Record<string, unknown>> {
  return {
    pid: ends.pid === 0 ? null : ends.pid,
    process: ends.pid === 0 ? null : ends.comm,
    network_local_address: ends.localAddr,
    network_local_port: ends.localPort,
    network_peer_address: ends.peerAddr,
    network_peer_port: ends.peerPort,
  };
}

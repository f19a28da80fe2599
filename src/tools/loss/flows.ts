/** Counts retransmissions by flow, and shows them as bcc's tcpretrans -c does. Pure. */
import { formatEndpoint } from '../../metrics/address.js';
import type { Ends } from '../../terminal/record-columns.js';
import type { Summary } from '../../terminal/common.js';

interface Flow {
  readonly ends: Ends;
  retransmits: number;
}

/** `[10.0.0.1]#22`. */
const endpoint = (address: string, port: number): string => `[${address}]#${port}`;

const line = (left: string, right: string, count: string): string =>
  `${left.padEnd(25)} ${right.padEnd(25)} ${count.padEnd(10)}`;

const isIpv6 = ({ ends }: Flow): boolean => ends.localAddr.includes(':');

export class FlowCounts {
  readonly #flows = new Map<string, Flow>();

  add(ends: Ends): void {
    const { localAddr, localPort, peerAddr, peerPort } = ends;
    const key = `${localAddr} ${localPort} ${peerAddr} ${peerPort}`;
    const flow = this.#flows.get(key);
    if (flow) flow.retransmits += 1;
    else this.#flows.set(key, { ends, retransmits: 1 });
  }

  /** IPv4 first, fewest first. */
  #sorted(): Flow[] {
    return [...this.#flows.values()].sort(
      (a, b) => Number(isIpv6(a)) - Number(isIpv6(b)) || a.retransmits - b.retransmits,
    );
  }

  summary(): Summary {
    const flows = this.#sorted();
    const rows = flows.map(({ ends, retransmits }) => {
      const local = endpoint(ends.localAddr, ends.localPort).padEnd(20);
      const peer = endpoint(ends.peerAddr, ends.peerPort).padEnd(20);
      return `${local} <-> ${peer} ${String(retransmits).padStart(10)}`;
    });
    return {
      lines: ['', line('LADDR:LPORT', 'RADDR:RPORT', 'RETRANSMITS'), ...rows],
      csv: ['LADDR:LPORT,RADDR:RPORT,RETRANSMITS', ...flows.map(csvLine)],
      json: { flows: flows.map(({ ends, retransmits }) => ({ ...fieldsOf(ends), retransmits })) },
    };
  }
}

function csvLine({ ends, retransmits }: Flow): string {
  const local = formatEndpoint(ends.localAddr, ends.localPort);
  return `${local},${formatEndpoint(ends.peerAddr, ends.peerPort)},${retransmits}`;
}

function fieldsOf(ends: Ends): Readonly<Record<string, unknown>> {
  return {
    network_local_address: ends.localAddr,
    network_local_port: ends.localPort,
    network_peer_address: ends.peerAddr,
    network_peer_port: ends.peerPort,
  };
}

/** The packet table as lmp's net_watcher prints it (--format lmp). */
import { PACKET } from '../generated/packet.js';
import { readAddress } from '../kernel/read.js';
import { formatAddress } from '../metrics/address.js';
import type { PacketSample } from '../metrics/lines.js';
import type { PacketRows } from './packet-rows.js';

type Row = Omit<PacketSample, 'lengthBytes' | 'timestampMs'>;

const column = (text: string | number, width: number): string => `${text}`.padEnd(width);
const micros = (ns: number | null): string => (ns === null ? '-' : `${Math.round(ns / 1000)}`);

/** Widths and names are the original's. */
const HEADER = `${[
  column('SOCK', 22),
  column('SEQ', 10),
  column('ACK', 10),
  column('MAC_TIME', 10),
  column('IP_TIME', 10),
  column('TCP_TIME', 10),
  column('RX', 5),
].join(' ')} HTTP\n`;

/** One row: times in microseconds, `-` where something is not known. */
export function lmpRow(sock: number, row: Row): string {
  const cells = [
    column(formatAddress(sock), 22),
    column(row.seq, 10),
    column(row.ack, 10),
    column(micros(row.macNs), 10),
    column(micros(row.ipNs), 10),
    column(micros(row.tcpNs), 10),
    column(row.received ? 1 : 0, 5),
  ];
  return `${cells.join(' ')} ${String(row.httpInfo ?? '-')}\n`;
}

/** All columns, whatever the options. */
export function lmpRows(): PacketRows {
  return {
    header: HEADER,
    row: (view, at, packet) => lmpRow(readAddress(view, at + PACKET.at.sock), packet),
  };
}

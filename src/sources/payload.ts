/** Payload in the kernel's byte counts, which hold the numbers that SYN and FIN take too. Needs no libbpf. */
import { COUNTED, type Connection } from '../generated/connection.js';

/** Data received in order. */
export const payloadReceived = ({ bytesReceived, counted }: Connection): number =>
  bytesReceived - Number((counted & COUNTED.NW_COUNTED_PEER_FIN) !== 0);

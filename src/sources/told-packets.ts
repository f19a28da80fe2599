/** Which packets come as records, and have a line: in a file of its own, as help needs no kernel. */

/** All, those with HTTP heads, or none; what is counted of packets is counted of all. */
export const TOLD_PACKETS = ['all', 'http', 'none'] as const;
export type ToldPackets = (typeof TOLD_PACKETS)[number];

/** What the source `congestion` and its tool call things by. */

/** By the kernel's number (enum tcp_ca_state). */
export const CONGESTION_STATES = ['open', 'disorder', 'cwr', 'recovery', 'loss'] as const;
export type CongestionState = (typeof CONGESTION_STATES)[number];

/** Both ends are in it. */
export interface PortRange {
  readonly from: number;
  readonly to: number;
}

export const ANY_PORT: PortRange = { from: 0, to: 65_535 };

/** Where an alert begins, and where its number on the dashboard turns red. */
export const LIMITS = {
  failedConnections: 0.05,
  retransmits: 0.02,
  acceptQueue: 0.8,
  httpErrors: 0.05,
  httpSeconds: 1,
} as const;

/** Where an alert begins, and where its number on the dashboard turns red. */
export const LIMITS = {
  failedConnections: 0.05,
  retransmits: 0.02,
  acceptQueue: 0.8,
  /** Events that a program missed in five minutes while it was at work: one a second. */
  recursions: 300,
  httpErrors: 0.05,
  httpSeconds: 1,
  /** Of p99: a part that takes more explains it. */
  partOfP99: 0.5,
} as const;

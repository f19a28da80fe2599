/**
 * How much of anybody's time and memory the endpoint spends. Node.js itself would wait a minute for
 * a request's head and five for its end.
 */
import type { TurnLimits } from './turns.js';

export interface Limits {
  /** For the head of a request, milliseconds. */
  readonly headersMs: number;
  /** For a whole request. */
  readonly requestMs: number;
  /** How often the two are looked at. */
  readonly checkEveryMs: number;
  /** For the next request of a connection. */
  readonly keepAliveMs: number;
  /** For an answer, from the request to the last byte taken by the kernel; a stream: for a snapshot. */
  readonly answerMs: number;
  /** For answers under way when the endpoint ends. */
  readonly stopMs: number;
  readonly heartbeatMs: number;
  /** How often the web configuration is looked at. */
  readonly reloadMs: number;
  readonly connections: number;
  readonly headerBytes: number;
  /** Answers made or sent at the same time: each may hold many megabytes. */
  readonly answers: number;
  /** For the turn of another one, before it is told to come again, milliseconds. */
  readonly turnMs: number;
  /** Pages that follow the stream. */
  readonly streams: number;
  /** Passwords that wait to be checked: each check is 60 ms of CPU. */
  readonly passwordChecks: TurnLimits;
}

export const LIMITS: Limits = {
  headersMs: 10_000,
  requestMs: 15_000,
  checkEveryMs: 1000,
  keepAliveMs: 5000,
  answerMs: 30_000,
  stopMs: 1500,
  heartbeatMs: 15_000,
  reloadMs: 1000,
  connections: 1024,
  headerBytes: 8192,
  answers: 40,
  turnMs: 1000,
  streams: 64,
  passwordChecks: { perAddress: 16, inAll: 64 },
};

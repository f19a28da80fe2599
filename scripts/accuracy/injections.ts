/**
 * What is made slow in an exchange, the part in which that has to show, and how long it took by the
 * application's own clock (scripts/accuracy/application.c).
 */
import type { DropOptions } from '../traffic/faults.js';
import type { PartName, Side } from '../../src/sources/exchange.js';

/** In the order in which the application prints them; nanoseconds of CLOCK_MONOTONIC. */
export const STAMPS = [
  'delay',
  'clientWrite',
  'clientLastWrite',
  'clientWritten',
  'serverFirstRead',
  'serverRead',
  'serverWrite',
  'serverLastWrite',
  'serverWritten',
  'clientFirstRead',
  'clientRead',
  'clientConnect',
  'clientConnected',
] as const;

export type Stamps = Readonly<Record<(typeof STAMPS)[number], number>>;

/** Not shorter and not longer, in nanoseconds. */
export type Span = readonly [least: number, most: number];

export interface Injection {
  /** As the application knows it. */
  readonly name: string;
  readonly side: Side;
  /** The largest part; `connect` is in no sum. */
  readonly part: PartName | 'connect';
  /** How long that part took; absent: the application cannot know. */
  readonly witness?: (at: Stamps) => Span;
  /** The part cannot be shorter than the delay that was injected. */
  readonly delays?: true;
  /** Exchanges at most, where each takes long. */
  readonly most?: number;
  /** On a machine with much to do the kernel sometimes ends the delay early, for fairness. */
  readonly isFair?: true;
  /** Requests of one exchange of the application; the last of them counts. */
  readonly pipelined?: number;
  /** So many exchanges come before those that count: in a new connection's window a loss is repaired at once. */
  readonly ahead?: number;
  /** Lost on the way: which of so many exchanges' packets. */
  readonly loss?: (exchanges: number) => DropOptions;
  /** What the largest part has to hold then. */
  readonly inner?:
    | ('reorderingNs' | 'waitRetransmitNs' | 'sendBufferNs')
    | ('networkNs' | 'runQueueNs' | 'receiveWindowNs');
  /** Each packet takes so long between two namespaces. */
  readonly wireSeconds?: number;
}

/** The `kth` of every `of` packets, for so many exchanges. */
const each = (exchanges: number, kth: number, of: number): number[] =>
  Array.from({ length: exchanges }, (_, i) => i * of + kth);

const exactly = (ns: number): Span => [ns, ns];

export const INJECTIONS: readonly Injection[] = [
  {
    name: 'late read',
    delays: true,
    side: 'server',
    part: 'receive_queue',
    // it arrives while it is written
    witness: (at) => [at.serverRead - at.clientWritten, at.serverRead - at.clientLastWrite],
  },
  {
    name: 'application',
    delays: true,
    side: 'server',
    part: 'application',
    witness: (at) => exactly(at.serverWrite - at.serverRead),
  },
  {
    name: 'response in two writes',
    delays: true,
    side: 'server',
    part: 'response_write',
    witness: (at) => exactly(at.serverLastWrite - at.serverWrite),
  },
  {
    name: 'request in two halves',
    delays: true,
    side: 'server',
    part: 'request_transfer',
    witness: (at) => exactly(at.clientLastWrite - at.clientWrite),
  },
  {
    name: 'late client',
    delays: true,
    side: 'client',
    part: 'receive_queue',
    witness: (at) => [at.clientRead - at.serverWritten, at.clientRead - at.serverLastWrite],
  },
  {
    name: 'pipelining',
    delays: true,
    side: 'server',
    part: 'behind',
    pipelined: 8,
    witness: (at) => [at.delay, at.serverWrite - at.serverRead],
  },
  {
    name: 'send buffer',
    side: 'server',
    part: 'response_write',
    inner: 'sendBufferNs',
    // the last piece is written behind the last of many waits
    witness: (at) => [0, at.serverWritten - at.serverWrite],
  },
  { name: 'slow reader', side: 'client', part: 'response_transfer' },
  // all is written at once, and waits for the reader
  { name: 'full window', side: 'server', part: 'send_wait', inner: 'receiveWindowNs' },
  { name: 'small receive buffer', side: 'server', part: 'request_transfer' },
  { name: 'older connection', side: 'client', part: 'remote' },
  {
    name: 'request segment lost',
    side: 'server',
    part: 'request_transfer',
    inner: 'reorderingNs',
    // the second of three, and then once more
    ahead: 1,
    loss: (exchanges) => ({ to: 8080, only: 'data', kth: each(exchanges, 2, 4) }),
  },
  {
    name: 'response segment lost',
    side: 'client',
    part: 'response_transfer',
    inner: 'reorderingNs',
    ahead: 1,
    loss: (exchanges) => ({ from: 8080, only: 'data', kth: each(exchanges, 2, 4) }),
  },
  {
    name: 'response tail lost',
    side: 'client',
    part: 'remote',
    loss: (exchanges) => ({ from: 8080, only: 'data', kth: each(exchanges, 1, 2) }),
  },
  {
    name: 'CPU busy',
    delays: true,
    side: 'server',
    part: 'receive_queue',
    inner: 'runQueueNs',
    isFair: true,
    witness: (at) => [at.serverRead - at.clientWritten, at.serverRead - at.clientLastWrite],
  },
  {
    name: 'SYN lost',
    side: 'client',
    part: 'connect',
    // TCP sends it again after a second
    most: 60,
    witness: (at) => exactly(at.clientConnected - at.clientConnect),
    loss: (exchanges) => ({ to: 8080, only: 'syn', kth: each(exchanges, 1, 2) }),
  },
  { name: 'wire', side: 'client', part: 'remote', inner: 'networkNs', wireSeconds: 0.01 },
];

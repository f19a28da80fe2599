/**
 * Scripts for a scripted peer, and what the kernel counts in each. What netwatch counts differently on
 * purpose stands beside it with its reason.
 */
import type { Family, SegmentScript } from './scripted-peer.js';

/** The kernel's counters that netwatch has something to say about, by nstat's names. */
export const COUNTERS = [
  'TcpActiveOpens',
  'TcpPassiveOpens',
  'TcpAttemptFails',
  'TcpEstabResets',
  'TcpOutRsts',
  'TcpRetransSegs',
  'TcpExtTCPTimeouts',
  'TcpExtTCPLossProbes',
  'TcpExtTCPFastRetrans',
  'TcpExtTCPSlowStartRetrans',
  'TcpExtTCPSynRetrans',
  'TcpExtTCPAbortOnTimeout',
  'TcpExtTCPAbortOnData',
  'TcpExtTCPAbortOnClose',
  'TcpExtTCPAbortOnLinger',
  'TcpExtTCPAbortOnMemory',
] as const;
export type Counter = (typeof COUNTERS)[number];

export interface CountedScript extends SegmentScript {
  /** All that are not 0. */
  readonly kernel: Readonly<Partial<Record<Counter, number>>>;
  /** What netwatch has instead, and why. */
  readonly explained?: Readonly<Partial<Record<Counter, readonly [ours: number, why: string]>>>;
  /** Segments sent again, by cause; default: none. */
  readonly causes?: Readonly<Record<string, number>>;
  /** Handshakes that did not succeed, by error_type; default: none. */
  readonly failures?: Readonly<Record<string, number>>;
}

/** A client sends data in its SYN, without a cookie. */
const CLIENT = { tcp_fastopen: 5 };
/** A server takes data in a SYN, without a cookie and on any socket. */
const SERVER = { tcp_fastopen: 0x602 };

const CONNECTED = ['connect', '> S', '< SA mss=1000', '> A'];
const ACCEPTED = ['listen', '< S mss=1000', '> SA', '< A', 'accept'];
/** A child of fast open, before its SYN-ACK is answered. */
const CHILD = ['listen', '< S data=5 mss=1000', '> SA'];
const CLOSED = ['close', '> FA', '< FA', '> A'];
const RESET = ['< RA', 'error ECONNRESET', 'close'];

/** A path of the least MTU that its family has need of: what fits into a segment before and after. */
const PATH = {
  4: { mss: 1000, mtu: 600, less: 560 },
  6: { mss: 2180, mtu: 1280, less: 1220 },
} as const;

const NOT_COUNTED =
  'the kernel sends the same reset as for a close() without lingering, and counts only that';
const UNSEEN = 'counted where the request is dropped, for which there is no socket';
const TWICE = `the reset counts once for the request (${UNSEEN}) and once for its socket`;
const NO_TIMEOUT = 'an expiry into a closed window asks again and is no timeout';

/** The path's MTU shrinks under three segments. */
function shrinking(family: Family): string[] {
  const { mss, mtu, less } = PATH[family];
  const end = 3 * mss + 1;
  return [
    ...['connect', '> S', `< SA mss=${mss}`, '> A', `write ${3 * mss}`],
    ...[`> A ${2 * mss + 1}:${end}`, `< too-big ${mtu}`, `> A ${5 * less + 1}:${end}`, '< A'],
    ...CLOSED,
  ];
}

/** The same under one, after another one has timed out and has been acknowledged. */
function shrinkingLater(family: Family): string[] {
  const { mss, mtu, less } = PATH[family];
  const first = `> A 1:${mss + 1}`;
  const end = 2 * mss + 1;
  return [
    ...['connect', '> S', `< SA mss=${mss}`, '> A', `write ${mss}`, first, first, '< A'],
    ...[`write ${mss}`, `> A ${mss + 1}:${end}`, `< too-big ${mtu}`],
    ...[`> A ${mss + less + 1}:${end}`, '< A'],
    ...CLOSED,
  ];
}

export const scriptsOver = (family: Family): Readonly<Record<string, CountedScript>> => ({
  'the path MTU shrinks': {
    lines: shrinking(family),
    kernel: { TcpActiveOpens: 1, TcpRetransSegs: 6, TcpExtTCPSlowStartRetrans: 6 },
    causes: { path_mtu: 6 },
  },
  'the path MTU shrinks after a timeout that is over': {
    rtoMinMs: 200,
    lines: shrinkingLater(family),
    kernel: {
      ...{ TcpActiveOpens: 1, TcpRetransSegs: 3, TcpExtTCPTimeouts: 1 },
      TcpExtTCPSlowStartRetrans: 2,
    },
    causes: { timeout: 1, path_mtu: 2 },
  },
  'a timeout of three segments': {
    rtoMinMs: 200,
    lines: [
      ...CONNECTED,
      ...['write 3000', '> A 2001:3001', '> A 1:1001', '< A ack=1001', '> A 2001:3001', '< A'],
      ...CLOSED,
    ],
    kernel: {
      ...{ TcpActiveOpens: 1, TcpRetransSegs: 3, TcpExtTCPTimeouts: 1 },
      TcpExtTCPSlowStartRetrans: 2,
    },
    causes: { timeout: 3 },
  },
  'the last of several timeouts ends a connection': {
    rtoMinMs: 200,
    lines: [
      ...['user_timeout 100', ...CONNECTED, 'write 1000', '> A 1:1001', '> A 1:1001'],
      ...['error ETIMEDOUT', 'close'],
    ],
    kernel: {
      ...{ TcpActiveOpens: 1, TcpEstabResets: 1, TcpRetransSegs: 1 },
      ...{ TcpExtTCPTimeouts: 2, TcpExtTCPAbortOnTimeout: 1 },
    },
    causes: { timeout: 1 },
  },
  'nobody answers a SYN': {
    sysctls: { tcp_syn_linear_timeouts: 0 },
    lines: ['syns 1', 'connect', '> S', '> S', 'error ETIMEDOUT', 'close'],
    kernel: {
      ...{ TcpActiveOpens: 1, TcpAttemptFails: 1, TcpRetransSegs: 1, TcpExtTCPSynRetrans: 1 },
      ...{ TcpExtTCPTimeouts: 2, TcpExtTCPAbortOnTimeout: 1 },
    },
    causes: { syn: 1 },
    failures: { timed_out: 1 },
  },
  'the ACK of a handshake comes late': {
    lines: ['listen', '< S mss=1000', '> SA', '> SA', '< A', 'accept', ...CLOSED],
    kernel: {
      ...{ TcpPassiveOpens: 1, TcpRetransSegs: 1, TcpExtTCPSynRetrans: 1 },
      TcpExtTCPTimeouts: 1,
    },
    causes: { synack: 1 },
  },
  'a hole that SACK shows': {
    lines: [
      ...[...CONNECTED, 'write 5000', '> A 4001:5001', '< A ack=1 sack=1001-5001', '> A 1:1001'],
      ...['< A', ...CLOSED],
    ],
    kernel: { TcpActiveOpens: 1, TcpRetransSegs: 1, TcpExtTCPFastRetrans: 1 },
    causes: { fast: 1 },
  },
  'the last segment is lost': {
    sysctls: { tcp_early_retrans: 3 },
    lines: [...CONNECTED, 'write 3000', '> A 2001:3001', '> A 2001:3001', '< A', ...RESET],
    kernel: {
      ...{ TcpActiveOpens: 1, TcpEstabResets: 1, TcpRetransSegs: 1 },
      TcpExtTCPLossProbes: 1,
    },
    causes: { tail_loss_probe: 1 },
  },
  'the window closes over what was sent': {
    rtoMinMs: 200,
    lines: [
      ...[...CONNECTED, 'write 3000', '> A 2001:3001', '< A ack=1 win=0', '> A 1:1001'],
      ...['< A ack=1001', '> A 2001:3001', '< A', ...CLOSED],
    ],
    kernel: { TcpActiveOpens: 1, TcpRetransSegs: 3, TcpExtTCPSlowStartRetrans: 2 },
    explained: { TcpExtTCPSlowStartRetrans: [3, NO_TIMEOUT] },
    causes: { zero_window: 3 },
  },
  'the window closes before anything is sent': {
    rtoMinMs: 200,
    lines: [...CONNECTED, '< A win=0', 'write 1000', '> A', '< A', '> A 1:1001', '< A', ...CLOSED],
    kernel: { TcpActiveOpens: 1 },
  },
  'a timeout comes while ECN holds the window back': {
    sysctls: { tcp_ecn: 1 },
    rtoMinMs: 200,
    lines: [
      ...['connect', '> S', '< SAE mss=1000', '> A', 'write 3000', '> A 2001:3001'],
      ...['< AE ack=1001', '> A 1001:2001', '< A ack=2001', '> A 2001:3001', '< A', ...CLOSED],
    ],
    kernel: {
      ...{ TcpActiveOpens: 1, TcpRetransSegs: 2, TcpExtTCPTimeouts: 1 },
      TcpExtTCPSlowStartRetrans: 1,
    },
    causes: { timeout: 2 },
  },
  'a router reports after a timeout, later than the timer would have been without': {
    rtoMinMs: 200,
    lines: [
      ...[...CONNECTED, 'write 1000', '> A 1:1001', '> A 1:1001', 'pause 300', '< no-route'],
      ...['> A 1:1001', '< A', ...CLOSED],
    ],
    kernel: { TcpActiveOpens: 1, TcpRetransSegs: 2, TcpExtTCPTimeouts: 2 },
    causes: { timeout: 2 },
  },
  'a server does not take the data of a SYN': {
    sysctls: CLIENT,
    lines: ['connect 500', '> S', '< SA ack=1 mss=1000', '> A 1:501', '< A', ...CLOSED],
    kernel: { TcpActiveOpens: 1, TcpRetransSegs: 1, TcpExtTCPSlowStartRetrans: 1 },
    causes: { fast_open: 1 },
  },
  'a server takes the data of a SYN': {
    sysctls: CLIENT,
    lines: ['connect 500', '> S', '< SA mss=1000', '> A', ...CLOSED],
    kernel: { TcpActiveOpens: 1 },
  },
  'a SYN with data is lost': {
    sysctls: CLIENT,
    lines: ['connect 500', '> S', '> S', '< SA ack=1 mss=1000', '> A 1:501', '< A', ...CLOSED],
    kernel: {
      ...{ TcpActiveOpens: 1, TcpRetransSegs: 2, TcpExtTCPSynRetrans: 1 },
      ...{ TcpExtTCPTimeouts: 1, TcpExtTCPSlowStartRetrans: 1 },
    },
    causes: { syn: 1, fast_open: 1 },
  },
  'data of a SYN that was not taken is lost again': {
    sysctls: CLIENT,
    rtoMinMs: 200,
    lines: [
      ...['connect 500', '> S', '< SA ack=1 mss=1000', '> A 1:501', '> A 1:501', '< A'],
      ...CLOSED,
    ],
    kernel: {
      ...{ TcpActiveOpens: 1, TcpRetransSegs: 2 },
      ...{ TcpExtTCPTimeouts: 1, TcpExtTCPSlowStartRetrans: 1 },
    },
    causes: { fast_open: 1, timeout: 1 },
  },
  'a child of fast open is accepted and its SYN-ACK sent again': {
    sysctls: SERVER,
    lines: [...CHILD, 'accept', 'read', '> SA', '> SA', '< A', 'state ESTABLISHED', ...CLOSED],
    kernel: {
      ...{ TcpPassiveOpens: 1, TcpRetransSegs: 2, TcpExtTCPSynRetrans: 2 },
      TcpExtTCPTimeouts: 2,
    },
    causes: { synack: 2 },
  },
  'a child of fast open is closed before its SYN-ACK is answered': {
    sysctls: SERVER,
    lines: [...CHILD, 'accept', 'read', 'close', '> FA', '< A ack=1', '< FA'],
    kernel: { TcpPassiveOpens: 1 },
  },
  'a child of fast open is closed, its SYN-ACK sent again and never answered': {
    sysctls: SERVER,
    lines: [...CHILD, 'accept', 'read', 'close', '> FA', '> SA', '< R'],
    kernel: {
      ...{ TcpPassiveOpens: 1, TcpRetransSegs: 1, TcpExtTCPSynRetrans: 1 },
      ...{ TcpExtTCPTimeouts: 1, TcpAttemptFails: 1 },
    },
    explained: { TcpAttemptFails: [0, UNSEEN] },
    causes: { synack: 1 },
  },
  'a child of fast open is shut down before its SYN-ACK is answered': {
    sysctls: SERVER,
    lines: [...CHILD, 'accept', 'read', 'shutdown', '< A', '> FA', '< FA', '> A', 'close'],
    kernel: { TcpPassiveOpens: 1 },
  },
  'a child of fast open is closed with data unread': {
    sysctls: SERVER,
    lines: [...CHILD, 'accept', 'readable', 'close', '> RA'],
    kernel: { TcpPassiveOpens: 1, TcpOutRsts: 1, TcpExtTCPAbortOnClose: 1 },
    failures: { closed: 1 },
  },
  'a child of fast open is closed without lingering': {
    sysctls: SERVER,
    lines: [...CHILD, 'accept', 'read', 'linger', 'close', '> RA'],
    kernel: { TcpPassiveOpens: 1, TcpOutRsts: 1, TcpExtTCPAbortOnData: 1 },
    failures: { closed: 1 },
  },
  'the listener of a child of fast open is closed': {
    sysctls: SERVER,
    lines: [...CHILD, 'unlisten', '> RA'],
    kernel: { TcpPassiveOpens: 1, TcpOutRsts: 1 },
    explained: { TcpExtTCPAbortOnData: [1, NOT_COUNTED] },
    failures: { closed: 1 },
  },
  'a child of fast open is reset by its peer': {
    sysctls: SERVER,
    lines: [...CHILD, 'accept', 'read', '< R', 'error ECONNRESET', 'close'],
    kernel: { TcpPassiveOpens: 1, TcpAttemptFails: 2 },
    explained: { TcpAttemptFails: [1, TWICE] },
    failures: { reset: 1 },
  },
  'connect() waits for data and is closed': {
    sysctls: CLIENT,
    lines: ['defer', 'close'],
    kernel: {},
  },
  'connect() waits for data, which comes': {
    sysctls: CLIENT,
    lines: ['defer', 'write 500', '> S', '< SA mss=1000', '> A', ...CLOSED],
    kernel: { TcpActiveOpens: 1 },
  },
  'connect() waits for data on a socket that has been used': {
    sysctls: CLIENT,
    lines: ['connect', '> S', 'disconnect', 'defer', 'close'],
    kernel: { TcpActiveOpens: 1 },
    failures: { closed: 1 },
  },
  'connect() finds its two ends in use': {
    lines: [...CONNECTED, 'connect_from_there', ...CLOSED],
    kernel: { TcpActiveOpens: 1 },
  },
  'connect() is closed before an answer': {
    lines: ['connect', '> S', 'close'],
    kernel: { TcpActiveOpens: 1 },
    failures: { closed: 1 },
  },
  'connect() is called off before an answer': {
    lines: ['connect', '> S', 'disconnect', 'close'],
    kernel: { TcpActiveOpens: 1 },
    failures: { closed: 1 },
  },
  'connect() is refused': {
    lines: ['connect', '> S', '< RA', 'error ECONNREFUSED', 'close'],
    kernel: { TcpActiveOpens: 1, TcpAttemptFails: 1 },
    failures: { refused: 1 },
  },
  'a router says that there is no such host': {
    lines: ['connect', '> S', '< unreachable', 'error EHOSTUNREACH', 'close'],
    kernel: { TcpActiveOpens: 1, TcpAttemptFails: 1 },
    failures: { host_unreachable: 1 },
  },
  'a request is reset before it is a connection': {
    lines: ['listen', '< S mss=1000', '> SA', '< R', 'state gone', 'unlisten'],
    kernel: { TcpAttemptFails: 1 },
    explained: { TcpAttemptFails: [0, UNSEEN] },
  },
  'a connection is reset by its peer': {
    lines: [...ACCEPTED, ...RESET],
    kernel: { TcpPassiveOpens: 1, TcpEstabResets: 1 },
  },
  'a connection is closed with data unread': {
    lines: [...ACCEPTED, '< A data=10', 'readable', 'close', '> RA'],
    kernel: {
      ...{ TcpPassiveOpens: 1, TcpEstabResets: 1, TcpOutRsts: 1 },
      TcpExtTCPAbortOnClose: 1,
    },
  },
  'a connection is closed without lingering': {
    lines: [...ACCEPTED, 'linger', 'close', '> RA'],
    kernel: {
      ...{ TcpPassiveOpens: 1, TcpEstabResets: 1, TcpOutRsts: 1 },
      TcpExtTCPAbortOnData: 1,
    },
  },
  'a connection is called off by connect() to nowhere': {
    lines: [...CONNECTED, 'disconnect', '> RA', 'close'],
    kernel: { TcpActiveOpens: 1, TcpEstabResets: 1, TcpOutRsts: 1 },
    explained: { TcpExtTCPAbortOnData: [1, NOT_COUNTED] },
  },
  'data comes after close()': {
    lines: [...CONNECTED, 'close', '> FA', '< A data=10', '> R'],
    kernel: { TcpActiveOpens: 1, TcpOutRsts: 1, TcpExtTCPAbortOnData: 1 },
  },
  'close() after shutdown() does not wait for the peer': {
    lines: [
      ...['linger2 -1', ...CONNECTED, 'shutdown', '> FA', '< A', 'state FIN_WAIT2', 'close'],
      '> RA',
    ],
    kernel: { TcpActiveOpens: 1, TcpOutRsts: 1, TcpExtTCPAbortOnLinger: 1 },
  },
});

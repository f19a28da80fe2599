/** What `ss` says about the TCP sockets of a namespace, typed; a witness for everything per socket. */
import type { Namespace } from './netns.js';

export interface Endpoint {
  readonly address: string;
  /** Null for `*`. */
  readonly port: number | null;
}

export interface SocketRow {
  /** As in ESTAB; null when the filter names one state, as `ss` then leaves the column out. */
  readonly state: string | null;
  readonly recvQueue: number;
  readonly sendQueue: number;
  readonly local: Endpoint;
  readonly peer: Endpoint;
  readonly owners: readonly { readonly comm: string; readonly pid: number; readonly fd: number }[];
  /** As in `on`, `keepalive`, `timewait`, `persist`. */
  readonly timer: string | null;
  readonly inode: number | null;
  readonly uid: number | null;
  /** The socket cookie in hex. (Kernels do not show socket addresses to `ss`.) */
  readonly cookie: string | null;
  readonly congestion: string | null;
  readonly skmem: Readonly<Record<string, number>>;
  readonly rtoMs: number | null;
  readonly srttMs: number | null;
  readonly rttvarMs: number | null;
  readonly minRttMs: number | null;
  readonly mss: number | null;
  readonly cwnd: number | null;
  readonly ssthresh: number | null;
  readonly sndWnd: number | null;
  readonly bytesSent: number;
  readonly bytesAcked: number;
  readonly bytesReceived: number;
  readonly bytesRetrans: number;
  readonly segsOut: number;
  readonly segsIn: number;
  readonly dataSegsOut: number;
  readonly dataSegsIn: number;
  readonly delivered: number;
  readonly unacked: number;
  readonly notSent: number;
  readonly lost: number;
  readonly sacked: number;
  readonly reordering: number;
  readonly retransOut: number;
  readonly retransTotal: number;
  /** With something to send; held up by the other end's window; by the send buffer. */
  readonly busyMs: number;
  readonly rwndLimitedMs: number;
  readonly sndbufLimitedMs: number;
  readonly ecn: boolean;
  readonly ecnSeen: boolean;
  readonly deliveredCe: number;
  /** Everything else, as printed. */
  readonly info: Readonly<Record<string, string>>;
}

/**
 * The sockets of the namespace, all states.
 * @example (await sockets(ns, 'sport', '=', ':7000'))[0]?.srttMs
 */
export async function sockets(namespace: Namespace, ...filter: string[]): Promise<SocketRow[]> {
  const text = await namespace.exec('ss', ['-tinmaepOH', ...filter]);
  return text.split('\n').filter(Boolean).map(parseSocket);
}

/** One line of `ss -tinmaepOH`. */
export function parseSocket(line: string): SocketRow {
  const owners = [...line.matchAll(/\("(.*?)",pid=(\d+),fd=(\d+)\)/g)];
  const all = line
    .replace(/users:\(\(.*?,fd=\d+\)\)/, '')
    .trim()
    .split(/\s+/);
  const state = /^\d/.test(all[0] ?? '') ? null : (all.shift() ?? null);
  const [recvQueue, sendQueue, local = '', peer = '', ...words] = all;
  const info: Record<string, string> = {};
  for (const [i, word] of words.entries()) {
    const colon = word.indexOf(':');
    if (word === 'send' || word === 'pacing_rate' || word === 'delivery_rate') {
      info[word] = words[i + 1] ?? '';
    } else if (colon > 0) {
      info[word.slice(0, colon)] = word.slice(colon + 1);
    }
  }
  const congestion = words.find((word) => /^(reno|cubic|bbr|dctcp|vegas|westwood)$/.test(word));
  const [srtt, rttvar] = info['rtt']?.split('/') ?? [];
  const [retransOut, retransTotal] = info['retrans']?.split('/') ?? [];
  const known = (name: string) => numberOr(info[name], null);
  const count = (name: string) => numberOr(info[name], 0);
  return {
    state,
    recvQueue: Number(recvQueue),
    sendQueue: Number(sendQueue),
    local: endpoint(local),
    peer: endpoint(peer),
    owners: owners.map(([, comm = '', pid, fd]) => ({ comm, pid: Number(pid), fd: Number(fd) })),
    timer: /^\((\w+)/.exec(info['timer'] ?? '')?.[1] ?? null,
    inode: known('ino'),
    uid: known('uid'),
    cookie: info['sk'] ?? null,
    congestion: congestion ?? null,
    skmem: skmem(info['skmem'] ?? ''),
    rtoMs: known('rto'),
    srttMs: numberOr(srtt, null),
    rttvarMs: numberOr(rttvar, null),
    minRttMs: known('minrtt'),
    mss: known('mss'),
    cwnd: known('cwnd'),
    ssthresh: known('ssthresh'),
    sndWnd: known('snd_wnd'),
    bytesSent: count('bytes_sent'),
    bytesAcked: count('bytes_acked'),
    bytesReceived: count('bytes_received'),
    bytesRetrans: count('bytes_retrans'),
    segsOut: count('segs_out'),
    segsIn: count('segs_in'),
    dataSegsOut: count('data_segs_out'),
    dataSegsIn: count('data_segs_in'),
    delivered: count('delivered'),
    unacked: count('unacked'),
    notSent: count('notsent'),
    lost: count('lost'),
    sacked: count('sacked'),
    reordering: count('reordering'),
    retransOut: numberOr(retransOut, 0),
    retransTotal: numberOr(retransTotal, 0),
    busyMs: parseFloat(info['busy'] ?? '0'),
    rwndLimitedMs: parseFloat(info['rwnd_limited'] ?? '0'),
    sndbufLimitedMs: parseFloat(info['sndbuf_limited'] ?? '0'),
    ecn: words.includes('ecn'),
    ecnSeen: words.includes('ecnseen'),
    deliveredCe: count('delivered_ce'),
    info,
  };
}

function endpoint(text: string): Endpoint {
  const colon = text.lastIndexOf(':');
  const port = text.slice(colon + 1);
  const address = text.slice(0, colon).replace(/^\[|\]$/g, '');
  return { address, port: port === '*' ? null : Number(port) };
}

function skmem(text: string): Record<string, number> {
  const pairs = [...text.matchAll(/([a-z]+)(\d+)/g)];
  return Object.fromEntries(pairs.map(([, name = '', value]) => [name, Number(value)]));
}

function numberOr<T>(text: string | undefined, otherwise: T): number | T {
  return text === undefined ? otherwise : Number(text);
}

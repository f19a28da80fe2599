/** The column DETAILS: what exactly an event is about, in words and as JSON fields. Pure. */
import { CONGESTION_STATES } from '../../sources/tcp-states.js';
import { getSystemErrorName } from 'node:util';
import { causeName } from '../../sources/retransmit-causes.js';
import type { InsightRecord, KernelNames } from '../../sources/insight.js';
import { EVENT_NAMES, type EventName } from '../../sources/insight-events.js';

type Detail = string | number | boolean | null;
export type Details = Readonly<Record<string, Detail>>;

/** tcp_sock's "no limit yet". */
const INFINITE_SSTHRESH = 0x7fff_ffff;
/** Its smallest round-trip time before there was one. */
const UNSET_MIN_RTT = 0xffff_ffff;

export function eventName({ event }: InsightRecord): EventName {
  return EVENT_NAMES[event] ?? 'CONNECT';
}

/** Microseconds of the kernel's srtt_us, which is in eighths; null: none measured. */
export function srttUs(eighths: number): number | null {
  return eighths === 0 ? null : eighths / 8;
}

function ssthresh(value: number): number | null {
  return value >= INFINITE_SSTHRESH ? null : value;
}

function errorOf(error: number): Details {
  return error === 0 ? {} : { error: getSystemErrorName(-error) };
}

/** Only the window that has changed. */
function windows(record: InsightRecord): Details {
  const { rcvWnd, oldRcvWnd, sndWnd, oldSndWnd } = record;
  return {
    ...(rcvWnd === oldRcvWnd ? {} : { rcv_wnd_before: oldRcvWnd, rcv_wnd: rcvWnd }),
    ...(sndWnd === oldSndWnd ? {} : { snd_wnd_before: oldSndWnd, snd_wnd: sndWnd }),
  };
}

function congestion({ caState, oldCaState }: InsightRecord): Details {
  return {
    ca_state_before: CONGESTION_STATES[oldCaState] ?? null,
    ca_state: CONGESTION_STATES[caState] ?? null,
  };
}

type Describe = (record: InsightRecord, names: KernelNames) => Details;

const phase: Describe = (r) => ({ cwnd: r.cwnd, ssthresh: ssthresh(r.ssthresh) });

const reset: Describe = ({ received, cause }, { resetReasons }) =>
  received === 1
    ? { direction: 'received' }
    : {
        direction: 'sent',
        ...(resetReasons === null ? {} : { reason: resetReasons.get(cause) ?? `${cause}` }),
      };

const DESCRIBE: Readonly<Record<EventName, Describe>> = {
  CONNECT: () => ({}),
  ACCEPT: ({ ageNs }) => ({ waited_us: ageNs === null ? null : ageNs / 1000 }),
  SEND: ({ queued }) => ({ unsent: queued }),
  RECEIVE: ({ queued }) => ({ unread: queued }),
  RETRANSMIT: (r) => ({ cause: causeName(r), segments: r.segments, seq: r.seq }),
  CLOSE: (r) => ({
    sent: r.bytesSent,
    received: r.bytesReceived,
    duration_ms: r.ageNs === null ? null : r.ageNs / 1e6,
    ...errorOf(r.error),
  }),
  RESET: reset,
  CWND_CHANGE: (r) => ({ cwnd_before: r.oldCwnd, cwnd: r.cwnd, ssthresh: ssthresh(r.ssthresh) }),
  RTT_UPDATE: (r) => ({
    rtt_us_before: srttUs(r.oldSrttUs),
    rtt_us: srttUs(r.srttUs),
    rttvar_us: r.srttUs === 0 ? null : r.mdevUs / 4,
    min_rtt_us: r.minRttUs === UNSET_MIN_RTT ? null : r.minRttUs,
  }),
  SLOW_START: phase,
  CONG_AVOID: phase,
  FAST_RECOVERY: (r) => ({ ...congestion(r), sacked: r.sackedOut, lost: r.lostOut }),
  WINDOW_UPDATE: windows,
  SACK: (r) => ({ blocks: r.segments, bytes: r.bytes, dsack: r.dsack === 1 }),
  TIMEOUT: (r, { msPerJiffy }) => ({
    ...congestion(r),
    rto_ms: msPerJiffy === null ? null : r.rto * msPerJiffy,
  }),
};

/** By the name of the JSON field; `X_before` is what X was until then. */
export function detailsOf(record: InsightRecord, names: KernelNames): Details {
  return DESCRIBE[eventName(record)](record, names);
}

/** In place of what was not known before a change; a dash would be part of the arrow. */
const NOT_KNOWN_BEFORE = 'N/A';

function shown(value: Detail): string {
  if (value === null) return '-';
  return typeof value === 'number' ? String(Math.round(value * 1000) / 1000) : String(value);
}

/** `cwnd=10->20 ssthresh=-`; null where there is nothing to say. */
export function detailsText(record: InsightRecord, names: KernelNames): string | null {
  const details = detailsOf(record, names);
  const words = Object.entries(details)
    .filter(([name, value]) => !name.endsWith('_before') && value !== false)
    .map(([name, value]) => {
      const before = details[`${name}_before`];
      const from = before === null ? NOT_KNOWN_BEFORE : shown(before ?? '');
      return `${name}=${before === undefined ? '' : `${from}->`}${shown(value)}`;
    });
  return words.length === 0 ? null : words.join(' ');
}

/** What happened before accept() is handed over when it shows whose it is, and counted by the reader. */
import t from 'tap';
import { KIND, MARK } from '../src/generated/connection.js';
import {
  decodeInsight,
  decodeInsightTotals,
  EVENT,
  INSIGHT,
  INSIGHT_TOTALS,
  type Insight,
} from '../src/generated/insight.js';
import { bucketOfRtt, LateInsight } from '../src/sources/insight-totals.js';
import { LateRecords } from '../src/sources/late-records.js';
import { rttBucket } from '../src/tools/insight/statistics.js';
import { CONNECTION_OWNER } from '../src/generated/shared.js';

const S = 1_000_000_000;
const NOTHING = decodeInsight(new DataView(new ArrayBuffer(INSIGHT.size)), 0);

interface Ends {
  readonly seconds: number;
  readonly sock: number;
  readonly peerPort?: number;
}

function record(
  { seconds, sock, peerPort = 40_000 }: Ends,
  { size, at }: typeof INSIGHT | typeof CONNECTION_OWNER,
): DataView {
  const view = new DataView(new ArrayBuffer(size));
  view.setBigUint64(at.tsNs, BigInt(Math.round(seconds * S)), true);
  view.setBigUint64(at.sock, BigInt(sock), true);
  view.setUint16(at.peerPort, peerPort, true);
  return view;
}

/** An event of a connection that nobody has accepted; `marks` says if its listener would do. */
function event(ends: Ends, marks: number = MARK.NW_MARK_UNJUDGED): DataView {
  const view = record(ends, INSIGHT);
  view.setUint32(INSIGHT.at.kind, KIND.NW_KIND_INSIGHT, true);
  view.setUint32(INSIGHT.at.pid, 1, true);
  view.setUint8(INSIGHT.at.marks, marks);
  return view;
}

function accepted(ends: Ends, pid: number, isAllowed = true): DataView {
  const view = record(ends, CONNECTION_OWNER);
  view.setUint32(CONNECTION_OWNER.at.kind, KIND.NW_KIND_CONNECTION_OWNER, true);
  view.setUint32(CONNECTION_OWNER.at.pid, pid, true);
  view.setUint8(CONNECTION_OWNER.at.allowed, Number(isAllowed));
  return view;
}

/** What is handed over: the second of the event and its pid, late ones with a `+`. */
function reader() {
  const records = new LateRecords<Insight>(INSIGHT, decodeInsight);
  const given: string[] = [];
  const note =
    (sign: string) =>
    ({ tsNs, pid }: Insight): void => {
      given.push(`${sign}${tsNs / S} of ${pid}`);
    };
  return {
    read: (view: DataView) => {
      records.read(view, 0, note(''), note('+'));
    },
    end: () => {
      records.giveUp(true, note('+'));
    },
    given: () => given.splice(0).join(', '),
  };
}

t.test('what came before accept() is told of who accepts, or of nobody', (t) => {
  const { read, given } = reader();
  const one = { sock: 7, peerPort: 40_001 };
  const other = { sock: 8, peerPort: 40_002 };
  read(event({ seconds: 1, ...one }));
  read(event({ seconds: 2, ...other }));
  read(event({ seconds: 3, sock: 9, peerPort: 40_003 }, MARK.NW_MARK_NONE));
  t.equal(given(), '3 of 1', 'what is judged does not wait');
  read(accepted({ seconds: 4, ...one }, 4711));
  t.equal(given(), '+1 of 4711');
  read(accepted({ seconds: 5, ...other }, 4712, false));
  t.equal(given(), '');
  t.end();
});

t.test('a hook that runs while accept() returns is late, and no other connection', (t) => {
  const { read, end, given } = reader();
  read(accepted({ seconds: 4, sock: 7 }, 4711));
  read(event({ seconds: 4.05, sock: 7 }));
  t.equal(given(), '+4.05 of 4711');
  read(event({ seconds: 4.06, sock: 8 }));
  t.equal(given(), '', 'another socket between the same ends is another connection');
  end();
  t.equal(given(), '', 'whose listener the filter does not ask for');
  t.end();
});

t.test('what nobody accepts until the end is its listener’s', (t) => {
  const { read, end, given } = reader();
  const listeners = MARK.NW_MARK_UNJUDGED | MARK.NW_MARK_LISTENER_ALLOWED;
  read(event({ seconds: 1, sock: 7, peerPort: 40_001 }, listeners));
  read(event({ seconds: 2, sock: 8, peerPort: 40_002 }));
  end();
  t.equal(given(), '+1 of 1');
  t.end();
});

t.test('late events are in the totals as the kernel would have counted them', (t) => {
  const late = new LateInsight();
  const of = (event: number, rest: Partial<Insight>): Insight => ({ ...NOTHING, event, ...rest });
  late.add(of(EVENT.NW_EVENT_SEND, { bytes: 5 }));
  late.add(of(EVENT.NW_EVENT_RECEIVE, { bytes: 7 }));
  late.add(of(EVENT.NW_EVENT_RETRANSMIT, { segments: 3 }));
  late.add(of(EVENT.NW_EVENT_RTT_UPDATE, { srttUs: 100 << 3, cwnd: 10 }));
  late.add(of(EVENT.NW_EVENT_CLOSE, { bytes: 9 }));
  const kernel = decodeInsightTotals(new DataView(new ArrayBuffer(INSIGHT_TOTALS.size)), 0);
  const sum = late.addedTo({ ...kernel, bytesSent: 1000, rttUs: 1 });
  t.match(sum, { bytesSent: 1005, bytesReceived: 7, segmentsRetransmitted: 3, cwnd: 10 });
  t.equal(sum.rttUs, 101);
  const counted = sum.events.flatMap((count, event) => (count > 0 ? [[event, count]] : []));
  t.strictSame(counted, [
    [EVENT.NW_EVENT_SEND, 1],
    [EVENT.NW_EVENT_RECEIVE, 1],
    [EVENT.NW_EVENT_RETRANSMIT, 1],
    [EVENT.NW_EVENT_CLOSE, 1],
    [EVENT.NW_EVENT_RTT_UPDATE, 1],
  ]);
  t.equal(sum.rtt[bucketOfRtt(100)], 1);
  t.end();
});

t.test('a round-trip time lies in the bucket that has its value', (t) => {
  for (const us of [0, 1, 2, 3, 4, 5, 7, 8, 100, 1000, 123_456, 2 ** 28]) {
    const { from, to } = rttBucket(bucketOfRtt(us));
    t.ok(from <= us && us < to, `${us} from ${from} to ${to}`);
  }
  t.end();
});

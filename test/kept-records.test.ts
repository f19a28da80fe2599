/** Packets that are kept until it shows whose they are: which of them count, and when. */
import t from 'tap';
import { KeptRecords } from '../src/sources/kept-records.js';
import { MARK, type ConnectionOwner } from '../src/generated/connection.js';
import { PACKET } from '../src/generated/packet.js';
import { OWNER_READ } from './fixtures/expected.js';
import { framed, hexBytes } from './fixtures/records.js';
import { readU64 } from '../src/kernel/read.js';

const AT = 24;
const { at: FIELD } = PACKET;
const SYN = 0x02;
const ACK = 0x10;
const S = 1_000_000_000;

interface Changes {
  readonly seconds: number;
  readonly peerPort?: number;
  readonly flags?: number;
  readonly listenerAllowed?: boolean;
}

/** The packet of the fixture, of a connection that nobody has accepted. */
function packet({
  seconds,
  peerPort = 12_345,
  flags = ACK,
  listenerAllowed = false,
}: Changes): DataView {
  const view = framed(hexBytes('packet'), AT);
  view.setBigUint64(AT, BigInt(seconds * S), true);
  view.setUint16(AT + FIELD.peerPort, peerPort, true);
  view.setUint8(AT + FIELD.tcpFlags, flags);
  const fallback = listenerAllowed ? MARK.NW_MARK_LISTENER_ALLOWED : 0;
  view.setUint8(AT + FIELD.marks, MARK.NW_MARK_UNJUDGED | fallback);
  return view;
}

const owner = (seconds: number, allowed: boolean, peerPort = 12_345): ConnectionOwner => ({
  ...OWNER_READ,
  tsNs: seconds * S,
  netns: 0xf000_0099,
  ...{ localAddr: '10.77.0.1', localPort: 80, peerAddr: '10.77.0.2', peerPort },
  allowed: allowed ? 1 : 0,
});

/** What has been let go so far: seconds with + for those that count, - for the others. */
function keeper(): { readonly kept: KeptRecords; readonly gone: () => string } {
  const gone: string[] = [];
  const note =
    (sign: string) =>
    (view: DataView, at: number): void => {
      gone.push(`${sign}${readU64(view, at) / S}`);
    };
  const kept = new KeptRecords(PACKET, note('+'), note('-'));
  return { kept, gone: () => gone.splice(0).join(' ') };
}

t.test('accept() decides about what came before it, in order, and what is read later', (t) => {
  const { kept, gone } = keeper();
  kept.keep(packet({ seconds: 1 }), AT);
  kept.keep(packet({ seconds: 2 }), AT);
  kept.keep(packet({ seconds: 3, peerPort: 999 }), AT);
  t.equal(gone(), '');
  kept.judge(owner(10, true));
  t.equal(gone(), '+1 +2', 'the other connection waits');
  kept.keep(packet({ seconds: 4 }), AT);
  t.equal(gone(), '+4', 'its ring is read later');
  kept.judge(owner(11, false, 999));
  t.equal(gone(), '-3');
  kept.keep(packet({ seconds: 5, peerPort: 999 }), AT);
  t.equal(gone(), '-5');
  t.end();
});

t.test('a later SYN between the same ends begins another connection', (t) => {
  const { kept, gone } = keeper();
  kept.judge(owner(10, true));
  kept.keep(packet({ seconds: 9, flags: SYN }), AT);
  t.equal(gone(), '+9', 'the SYN of that very connection');
  kept.keep(packet({ seconds: 20, flags: SYN }), AT);
  kept.keep(packet({ seconds: 21 }), AT);
  t.equal(gone(), '');
  kept.judge(owner(22, false));
  t.equal(gone(), '-20 -21');
  t.end();
});

t.test("what nobody accepts counts as the listener's, when time is up or at the end", (t) => {
  const { kept, gone } = keeper();
  kept.keep(packet({ seconds: 1, listenerAllowed: true }), AT);
  kept.keep(packet({ seconds: 2, peerPort: 999 }), AT);
  kept.expire();
  t.equal(gone(), '', 'it is early');
  kept.expire(performance.now() + 76_000);
  t.equal(gone(), '+1 -2');
  kept.keep(packet({ seconds: 3, listenerAllowed: true }), AT);
  kept.finish();
  t.equal(gone(), '+3');
  t.end();
});

t.test('more than 65,536 records are not kept: the oldest connection gives way', (t) => {
  const { kept, gone } = keeper();
  kept.keep(packet({ seconds: 1, listenerAllowed: true }), AT);
  for (let i = 0; i < 65_536; i++) kept.keep(packet({ seconds: 2, peerPort: 1 + (i & 0x3ff) }), AT);
  t.equal(gone(), '+1');
  t.end();
});

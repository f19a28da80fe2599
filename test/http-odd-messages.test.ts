/**
 * Odd requests of every class, cut in every way: the same is made of each however it arrives, and where it
 * does no harm the next exchange on its connection is counted exactly. SEED=n for others.
 */
import t from 'tap';
import { Random, segments } from './http-framing/corpus.js';
import { IN, OUT, run, Script, type Report } from './http-framing/framing.js';
import { framingHarness, GET, OK } from './http-framing/harness.js';
import { ODD_MESSAGES, type Fate } from './http-framing/odd-messages.js';

const { skip, program, watch } = framingHarness(t);
const seed = Number(process.env['SEED'] ?? 1);
const CUTS = ['whole', 'one', 'small', 'mixed', 'large'];
const TIMES = 8;

/** Heads, and ends with the bytes of the bodies; `said` has times, too. */
function told(reports: readonly Report[]): string[] {
  return reports.flatMap((report) => {
    if (report.kind === 'request') return ['request'];
    if (report.kind === 'sent') return [`sent ${report.body}`];
    if (report.kind !== 'end') return [];
    const isKnown = report.start !== null;
    return [`${isKnown ? report.outcome : `unmatched ${report.cause}`} ${report.status}`];
  });
}

const NEXT = ['request', 'sent 0', 'answered 200'];

/** What has to be told of a request of this fate, its answer, and an exchange behind them. */
function wanted(fate: Fate): string[] {
  if (fate === 'other' || fate === 'http2') return [];
  // what follows a head that never ends is one more header
  if (fate === 'open') return ['request', 'answered 200', 'sent 0', 'unmatched unasked 200'];
  if (fate === 'broken') return ['request', 'answered 200', ...NEXT];
  return ['request', `sent ${fate.read}`, 'answered 200', ...NEXT];
}

for (const [name, make] of Object.entries(ODD_MESSAGES)) {
  t.test(`${name} is the same however it arrives`, { skip }, (t) => {
    const random = new Random(seed);
    const script = new Script();
    const played: { readonly fate: Fate; readonly about: string }[] = [];
    for (let time = 0; time < TIMES; time++) {
      const { wire, fate } = make(random);
      for (const cut of CUTS) {
        script.connection();
        for (const segment of segments(random, Buffer.from(wire, 'latin1'), cut))
          script.send(IN, segment);
        script.send(OUT, OK).send(IN, GET).send(OUT, OK).state();
        played.push({ fate, about: `${cut}, seed ${seed}: ${JSON.stringify(wire.slice(0, 200))}` });
      }
    }
    const connections = run(program, script);
    t.equal(connections.length, played.length);
    for (const [at, { fate, about }] of played.entries()) {
      const reports = connections[at] ?? [];
      t.strictSame(told(reports), wanted(fate), about);
      const state = {
        off: fate === 'other' || fate === 'http2' ? fate : 'on',
        resyncs: Number(fate === 'broken'),
        waiting: 0,
      };
      t.match(reports.at(-1), state, about);
    }
    t.end();
  });
}

t.test(
  'what came before an upgrade was answered is in its tunnel, and not waited for',
  { skip },
  (t) => {
    const { said, state } = watch((s) => {
      s.send(IN, `GET /ws HTTP/1.1\r\nUpgrade: websocket\r\n\r\n${GET}`);
      for (let i = 0; i < 1100; i++) s.send(IN, GET);
      s.send(OUT, 'HTTP/1.1 101 Switching Protocols\r\n\r\n').ended('closed');
    });
    t.same(said.at(-1), 'end GET 101 10-11020 0');
    t.match(state, { off: 'tunnel', outstanding: 0, waiting: 0, hasDeep: false });
    t.end();
  },
);

/**
 * bpf/include/http.h, compiled natively, against llhttp: the same heads, in the same order, with the
 * same bodies, whatever the messages look like and wherever TCP cuts them; and, with literal
 * expectations, what llhttp has no word for: durations, retransmissions, gaps, tunnels, privacy.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import {
  type Conversation,
  conversation,
  type Exchange,
  harm,
  Random,
  segments,
} from './http-framing/corpus.js';
import {
  buildFraming,
  IN,
  METHODS,
  OUT,
  type Report,
  type Role,
  run,
  Script,
  type Way,
} from './http-framing/framing.js';
import { Oracle, type OracleResult } from './http-framing/oracle.js';

const directory = mkdtempSync(join(tmpdir(), 'netwatch-framing-'));
t.teardown(() => rmSync(directory, { recursive: true }));
const built = buildFraming(directory);
const skip = built === null && 'no C compiler (cc or clang) on this machine';
const program = built ?? '';
const latin1 = (text: string): Buffer => Buffer.from(text, 'latin1');
const seed = Number(process.env['SEED'] ?? 1);

/** Our reports in the words of the oracle. */
function events(reports: readonly Report[], side: 'request' | 'response'): string[] {
  const list: string[] = [];
  for (const report of reports) {
    if (report.kind === side)
      list.push(`head ${report.method || report.status} HTTP/1.${report.version}`);
    else if (report.kind === (side === 'request' ? 'sent' : 'end'))
      list.push(`end ${report.body}`);
  }
  return list;
}

type Side = 'request' | 'response';

function ourName(method: string): string {
  return (METHODS as readonly string[]).includes(method) ? method : '_OTHER';
}

/** The oracle's events in ours: interim responses do not end, methods have our names. */
function expected(result: OracleResult, exchanges: readonly Exchange[] | null): string[] {
  const list: string[] = [];
  let requests = 0;
  let interim = false;
  for (const event of result.events) {
    if (event.kind === 'head') {
      const name = event.status || (exchanges ? exchanges[requests++]!.method : ourName(event.method));
      interim = event.status >= 100 && event.status < 200 && event.status !== 101;
      list.push(`head ${name} HTTP/1.${event.version}`);
    } else if (!interim) {
      list.push(`end ${event.body}`);
    }
  }
  return list;
}

/** What a first line looks like outside the kernel. */
function hidden(exchange: Exchange, method: string): string {
  const at = exchange.target.search(/[?#]/);
  const path = at < 0 ? exchange.target : exchange.target.slice(0, at);
  const query = at < 0 ? '' : exchange.target.slice(at);
  const shown =
    path.replace(/^([a-z]+:\/\/)[^/]*@/, '$1') + query.replaceAll(/=[^&#]+/g, () => '=*');
  return `${method} ${shown} HTTP/1.${exchange.version}`;
}

/** What llhttp says about both sides of a conversation. */
function judged(oracle: Oracle, { exchanges }: Conversation, what: string): string[][] {
  const texts = [
    exchanges.map((e) => e.request.plain).join(''),
    exchanges.map((e) => e.response.plain).join(''),
  ];
  const methods = exchanges.map((e) => e.plainMethod);
  const results = [
    oracle.requests(latin1(texts[0]!)),
    oracle.responses(latin1(texts[1]!), methods, exchanges.at(-1)!.untilClose),
  ];
  return results.map((result, side) => {
    if (result.stopped === 'error') {
      const near = texts[side]!.slice(Math.max(0, result.taken - 40), result.taken + 20);
      throw new Error(`llhttp refuses the corpus (${what}): ${JSON.stringify(near)}`);
    }
    return expected(result, exchanges);
  });
}

interface Played {
  /** When each request's first byte and each response's last byte passed. */
  readonly times: (readonly [number, number])[];
}

/** Feeds a conversation: each exchange by itself, or all requests first. */
function play(
  script: Script,
  random: Random,
  talk: Conversation,
  how: string,
  pipelined: boolean,
): Played {
  const role = random.pick<Role>(['server', 'client', 'unknown']);
  const ways: readonly [Way, Way] = role === 'client' ? [OUT, IN] : [IN, OUT];
  script.connection(role, random.int(0xffffffff));
  const starts: number[] = [];
  const ends: number[] = [];
  const groups = pipelined ? [talk.exchanges] : talk.exchanges.map((one) => [one]);
  for (const group of groups) {
    say(script, random, ways[0], group, 'request', how, starts);
    say(script, random, ways[1], group, 'response', how, ends);
  }
  if (talk.exchanges.at(-1)!.untilClose) {
    script.close(ways[1]);
    ends[ends.length - 1] = script.now;
  }
  script.send(ways[0], talk.tails[0]).send(ways[1], talk.tails[1]).state();
  return { times: starts.map((start, i) => [start, ends[i]!]) };
}

function say(
  script: Script,
  random: Random,
  way: Way,
  group: readonly Exchange[],
  side: 'request' | 'response',
  how: string,
  times: number[],
): void {
  const marks: number[] = [];
  let text = '';
  for (const exchange of group) {
    const message = exchange[side];
    if (side === 'request') marks.push(text.length + message.lead);
    text += message.wire;
    if (side === 'response') marks.push(text.length - 1);
  }
  let at = 0;
  for (const segment of segments(random, latin1(text), how)) {
    script.send(way, segment);
    at += segment.length;
    while (marks.length > 0 && marks[0]! < at) {
      times.push(script.now);
      marks.shift();
    }
  }
}

t.test('heads, ends and body bytes are those of llhttp, however TCP cuts them', { skip }, (t) => {
  const oracle = new Oracle();
  const random = new Random(seed);
  const script = new Script();
  const wanted: { talk: Conversation; played: Played; lists: string[][]; how: string }[] = [];
  let messages = 0;
  for (let i = 0; i < 3000; i++) {
    const talk = conversation(random);
    const { exchanges } = talk;
    const lists = judged(oracle, talk, `seed ${seed}, conversation ${i}`);
    const bytes = exchanges.reduce((sum, e) => sum + e.request.wire.length, 0);
    const cuts = ['whole', 'small', 'mixed', 'large', ...(bytes < 2000 ? ['one'] : [])];
    for (const how of [random.pick(cuts), random.pick(cuts)]) {
      const played = play(script, random, talk, how, random.chance(50));
      wanted.push({ talk, played, lists, how });
      messages += exchanges.length * 2;
    }
  }
  const got = run(program, script);
  t.equal(got.length, wanted.length);
  for (const [i, { talk, played, lists, how }] of wanted.entries()) {
    const reports = got[i]!;
    const what = `seed ${seed}, conversation ${i >> 1} (${how})`;
    if (!same(t, reports, lists, what)) break;
    if (!exactTimes(t, reports, talk, played, what)) break;
    if (!honestLines(t, reports, talk, how, what)) break;
  }
  t.comment(`${messages} messages in ${wanted.length} connections`);
  t.end();
});

function same(
  t: Tap,
  reports: readonly Report[],
  lists: readonly string[][],
  what: string,
): boolean {
  const ours = [events(reports, 'request'), events(reports, 'response')];
  const state = reports.at(-1);
  if (JSON.stringify(ours) !== JSON.stringify(lists)) return t.same(ours, lists, what);
  if (state?.kind !== 'state' || state.resyncs > 0)
    return t.match(state, { kind: 'state', resyncs: 0 }, what);
  return true;
}

type Tap = typeof t;

function exactTimes(
  t: Tap,
  reports: readonly Report[],
  talk: Conversation,
  { times }: Played,
  what: string,
): boolean {
  const ends = reports.filter((report) => report.kind === 'end');
  const ours = ends.map(({ method, status, start, end }) => [method, status, start, end]);
  const right = talk.exchanges.map(({ method, status }, i) => [method, status, ...times[i]!]);
  return JSON.stringify(ours) === JSON.stringify(right) || t.same(ours, right, what);
}

function honestLines(
  t: Tap,
  reports: readonly Report[],
  talk: Conversation,
  how: string,
  what: string,
): boolean {
  const heads = reports.filter((report) => report.kind === 'request');
  return heads.every((head, i) => {
    const exchange = talk.exchanges[i]!;
    const method = exchange.request.wire.trimStart().split(' ', 1)[0]!;
    const whole = `${method} ${exchange.target} HTTP/1.1`.length <= 256;
    if (head.truncated) return (how !== 'whole' || !whole) && head.line.length <= 256;
    const line = hidden(exchange, method);
    return line === head.line || t.equal(head.line, line, what);
  });
}

/**
 * What llhttp reads in its own way: a bare LF behind a request line (refused, or not, as it comes) and
 * CR CR LF (a line end, and another one).
 */
const ODD = /HTTP\/1\.\d\n|\r\r/;

/** Where one side's events end for lack of bytes, the framing has said one more head than llhttp. */
function agrees(ours: readonly string[], result: OracleResult, judged: readonly string[]): boolean {
  const common = JSON.stringify(ours.slice(0, judged.length)) === JSON.stringify(judged);
  if (result.stopped === 'error') return common;
  const more = ours.slice(judged.length);
  return common && (more.length === 0 || (more.length === 1 && more[0]!.startsWith('head')));
}

t.test('harmed messages: as far as llhttp goes, the framing goes with it', { skip }, (t) => {
  const oracle = new Oracle(true);
  const random = new Random(seed + 1000);
  const script = new Script();
  const cases: { text: string; result: OracleResult; judged: string[]; side: Side; how: string }[] =
    [];
  for (let i = 0; i < 4000; i++) {
    const { exchanges } = conversation(random);
    const side = random.pick<Side>(['request', 'response']);
    const text = harm(random, exchanges.map((e) => e[side].plain).join(''));
    const methods = exchanges.map((e) => e.plainMethod);
    const result =
      side === 'request'
        ? oracle.requests(latin1(text))
        : oracle.responses(latin1(text), methods, false);
    const judged = expected(result, side === 'request' ? null : exchanges);
    for (const how of ['whole', random.pick(['small', 'mixed'])]) {
      script.connection('server');
      if (side === 'response')
        script.send(IN, methods.map((method) => `${method} / HTTP/1.1\r\n\r\n`).join(''));
      for (const segment of segments(random, latin1(text), how))
        script.send(side === 'request' ? IN : OUT, segment);
      script.state();
      cases.push({ text, result, judged, side, how });
    }
  }
  const got = run(program, script);
  for (const [i, { text, result, judged, side, how }] of cases.entries()) {
    const ours = events(got[i]!, side);
    if (ODD.test(text) || agrees(ours, result, judged)) continue;
    t.same(ours, judged, `seed ${seed}, case ${i} (${how}), ${result.errno}: ${JSON.stringify(text.slice(0, result.taken).slice(-600))}`);
    break;
  }
  t.comment(`${cases.length} harmed streams`);
  t.end();
});

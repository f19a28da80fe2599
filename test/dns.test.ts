/** Answers of name servers: what is read out of them, and what is remembered. */
import { randomBytes, randomInt } from 'node:crypto';
import t from 'tap';
import { DnsCache, queryText, type DnsRecord } from '../src/dns/cache.js';
import { parseAnswer } from '../src/dns/message.js';

const [A, NS, CNAME, AAAA] = [1, 2, 5, 28];
const ANSWER = 0x8180;
/** Points to the name in the question. */
const ASKED = Buffer.from([0xc0, 0x0c]);

const hexBytes = (hex: string): Buffer => Buffer.from(hex.replaceAll(/\s/g, ''), 'hex');

const u16 = (...values: readonly number[]): Buffer => {
  const bytes = Buffer.alloc(values.length * 2);
  values.forEach((value, i) => bytes.writeUInt16BE(value, i * 2));
  return bytes;
};

function name(text: string): Buffer {
  const labels = text === '' ? [] : text.split('.');
  const parts = labels.map((label) => Buffer.from(`${String.fromCharCode(label.length)}${label}`));
  return Buffer.concat([...parts, Buffer.of(0)]);
}

function record(owner: Buffer, type: number, data: Buffer, dnsClass = 1): Buffer {
  return Buffer.concat([owner, u16(type, dnsClass, 0, 300, data.length), data]);
}

const ipv4 = (text: string): Buffer => Buffer.from(text.split('.').map(Number));

interface Parts {
  readonly flags?: number;
  readonly questions?: number;
  readonly asked?: Buffer;
  readonly answers: readonly Buffer[];
  /** If it is not how many there are. */
  readonly count?: number;
}

function message({ flags = ANSWER, questions = 1, asked, answers, count }: Parts): Buffer {
  const header = u16(0x1234, flags, questions, count ?? answers.length, 0, 0);
  return Buffer.concat([header, asked ?? name('www.example.org'), u16(A, 1), ...answers]);
}

const PLAIN = message({ answers: [record(ASKED, A, ipv4('192.0.2.7'))] });

t.test('answers as name servers send them', (t) => {
  const github = hexBytes(`
    8c4a 8180 0001 0001 0000 0001 0667 6974 6875 6203 636f 6d00 0001 0001
    c00c 0001 0001 0000 002c 0004 8c52 7904 0000 2904 d000 0000 0000 00`);
  t.strictSame(parseAnswer(github), { name: 'github.com', addresses: ['140.82.121.4'] });
  const wikipedia = hexBytes(`
    1f0e 8180 0001 0002 0000 0000 0377 7777 0977 696b 6970 6564 6961 036f 7267 0000 1c00 01
    c00c 0005 0001 0000 0e10 0011 0464 796e 6109 7769 6b69 6d65 6469 61c0 1a
    c02f 001c 0001 0000 00b4 0010 2a02 ec80 0300 ed1a 0000 0000 0000 0001`);
  t.strictSame(parseAnswer(wikipedia), {
    name: 'www.wikipedia.org',
    addresses: ['2a02:ec80:300:ed1a::1'],
  });
  t.end();
});

t.test('every address counts once, IPv4-mapped ones are IPv4', (t) => {
  const mapped = Buffer.concat([Buffer.alloc(10), Buffer.of(0xff, 0xff), ipv4('198.51.100.9')]);
  const answers = [
    record(ASKED, A, ipv4('192.0.2.7')),
    record(ASKED, A, ipv4('192.0.2.8')),
    record(ASKED, A, ipv4('192.0.2.7')),
    record(ASKED, AAAA, mapped),
  ];
  t.strictSame(parseAnswer(message({ answers })), {
    name: 'www.example.org',
    addresses: ['192.0.2.7', '192.0.2.8', '198.51.100.9'],
  });
  t.end();
});

t.test('a chain of aliases leads to the name that was asked for, in any order and case', (t) => {
  const chain = [
    record(name('c.example.net'), A, ipv4('192.0.2.3')),
    record(name('B.example.net'), CNAME, name('c.Example.net')),
    record(ASKED, CNAME, name('b.example.net')),
    record(name('b.example.net'), NS, name('ns.example.net')),
  ];
  const asked = name('Www.Example.ORG');
  const wanted = { name: 'Www.Example.ORG', addresses: ['192.0.2.3'] };
  t.strictSame(parseAnswer(message({ asked, answers: chain })), wanted);
  t.strictSame(parseAnswer(message({ asked, answers: [...chain].reverse() })), wanted);
  const loop = [
    record(ASKED, CNAME, name('b.example.net')),
    record(name('b.example.net'), CNAME, ASKED),
  ];
  t.equal(parseAnswer(message({ answers: loop })), null);
  t.end();
});

t.test('what nobody asked for is left out', (t) => {
  const cases: Readonly<Record<string, Buffer>> = {
    'another name': message({ answers: [record(name('x.org'), A, ipv4('192.0.2.1'))] }),
    'another class': message({ answers: [record(ASKED, A, ipv4('192.0.2.1'), 3)] }),
    'an address of the wrong length': message({ answers: [record(ASKED, A, Buffer.alloc(16))] }),
    'another type': message({ answers: [record(ASKED, 16, ipv4('192.0.2.1'))] }),
    'no answers': message({ answers: [] }),
    'a question': message({ flags: 0x0100, answers: [record(ASKED, A, ipv4('192.0.2.1'))] }),
    'two questions': message({ questions: 2, answers: [record(ASKED, A, ipv4('192.0.2.1'))] }),
    'records behind the answers': message({
      answers: [record(ASKED, A, ipv4('192.0.2.1'))],
      count: 0,
    }),
  };
  for (const [what, bytes] of Object.entries(cases)) t.equal(parseAnswer(bytes), null, what);
  t.end();
});

t.test('bytes of a name that are no letters are written as in zone files', (t) => {
  const asked = Buffer.concat([Buffer.of(5), Buffer.from('a.\\\n\xff', 'latin1'), name('org')]);
  const answers = [record(ASKED, A, ipv4('192.0.2.1'))];
  t.equal(parseAnswer(message({ asked, answers }))?.name, 'a\\.\\\\\\010\\255.org');
  t.equal(parseAnswer(message({ asked: name(''), answers }))?.name, '', 'the root');
  t.end();
});

t.test('of a message that was cut off, whole records count', (t) => {
  const answers = [1, 2, 3].map((i) => record(ASKED, A, ipv4(`192.0.2.${i}`)));
  const whole = message({ answers });
  const bytes = answers[0]?.length ?? 0;
  for (let length = 0; length <= whole.length; length++) {
    const missing = Math.ceil((whole.length - length) / bytes);
    const found = parseAnswer(whole.subarray(0, length))?.addresses.length ?? 0;
    t.equal(found, Math.max(0, 3 - missing), `${length} of ${whole.length} bytes`);
  }
  t.end();
});

t.test('names that lead astray end', (t) => {
  const pointerTo = (at: number): Buffer => Buffer.of(0xc0 | (at >> 8), at & 0xff);
  const answers = [record(ASKED, A, ipv4('192.0.2.1'))];
  const long = name(Array(5).fill('x'.repeat(60)).join('.'));
  for (const [what, asked] of Object.entries({
    itself: pointerTo(12),
    'what comes after it': pointerTo(14),
    'beyond the end': pointerTo(0x3fff),
    'a longer name than there can be': long,
    'a label of an unknown kind': Buffer.of(0x41, 0),
    'half a pointer': Buffer.of(0xc0),
  }))
    t.equal(parseAnswer(message({ asked, answers })), null, what);
  const most = name(`${Array(3).fill('x'.repeat(63)).join('.')}.${'y'.repeat(61)}`);
  t.equal(most.length, 255);
  t.ok(parseAnswer(message({ asked: most, answers })), 'the longest name');
  t.end();
});

t.test('bytes that nobody would send never throw', (t) => {
  const seeds = [PLAIN, message({ answers: [record(ASKED, CNAME, name('b.example.net'))] })];
  const broken = (i: number): Buffer => {
    const bytes = Buffer.concat([seeds[i % 2] ?? PLAIN, randomBytes(randomInt(64))]);
    for (let flips = randomInt(1, 12); flips > 0; flips--)
      bytes[randomInt(2, bytes.length)] = [0, 0xc0, 0xff, randomInt(256)][randomInt(4)] ?? 0;
    return bytes.subarray(0, randomInt(bytes.length + 1));
  };
  const noise = (): Buffer => Buffer.concat([u16(0, ANSWER, 1, 0xffff, 0, 0), randomBytes(500)]);
  let parsed = 0;
  for (let i = 0; i < 30_000; i++) {
    const bytes = i % 5 === 0 ? noise() : broken(i);
    try {
      if (parseAnswer(bytes) !== null) parsed++;
    } catch (error) {
      t.fail(`${bytes.toString('hex')}: ${String(error)}`);
    }
  }
  t.ok(parsed > 100, `${parsed} were whole enough`);
  t.end();
});

const NS_PER_MS = 1e6;
const NETNS = 4026531840;

const recordOf = (bytes: Buffer, tsNs: number, netns = NETNS): DnsRecord => ({
  tsNs,
  netns,
  length: bytes.length,
  message: Buffer.concat([bytes, Buffer.alloc(512)]).subarray(0, 512),
});

t.test('the column says the name, and the age of an answer that is old', (t) => {
  const cache = new DnsCache();
  const at = 1e15;
  cache.take(recordOf(PLAIN, at));
  const textAfter = (ms: number, address = '192.0.2.7', netns = NETNS): string =>
    queryText(cache.find(netns, address, at + ms * NS_PER_MS), address);
  t.equal(textAfter(0), 'www.example.org');
  t.equal(textAfter(100), 'www.example.org');
  t.equal(textAfter(100.5), 'www.example.org (100.500ms)');
  t.equal(textAfter(86_400_000), 'www.example.org (86400000.000ms)');
  t.equal(textAfter(86_400_001), 'No DNS Query', 'after a day');
  t.equal(textAfter(0, '192.0.2.8'), 'No DNS Query');
  t.equal(textAfter(0, '192.0.2.7', 1), 'No DNS Query', 'another namespace has its own answers');
  t.equal(textAfter(0, '127.0.0.1'), 'localhost');
  t.equal(textAfter(0, '::1'), 'localhost');
  t.equal(textAfter(0, '127.0.0.2'), 'No DNS Query');
  t.end();
});

t.test('the newest answer counts, and has the newest age', (t) => {
  const cache = new DnsCache();
  const named = (text: string): Buffer =>
    message({ asked: name(text), answers: [record(ASKED, A, ipv4('192.0.2.7'))] });
  cache.take(recordOf(named('old.example.org'), 0));
  cache.take(recordOf(named('new.example.org'), 5 * NS_PER_MS));
  t.strictSame(cache.find(NETNS, '192.0.2.7', 7 * NS_PER_MS), {
    name: 'new.example.org',
    ageMs: 2,
  });
  cache.take(recordOf(Buffer.from('no message'), 0));
  t.equal(cache.size, 1);
  t.end();
});

t.test('10,240 addresses are remembered, the oldest make room', (t) => {
  const cache = new DnsCache();
  const address = (i: number): string => `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`;
  const take = (i: number): void =>
    cache.take(recordOf(message({ answers: [record(ASKED, A, ipv4(address(i)))] }), i));
  for (let i = 0; i < 10_240; i++) take(i);
  take(0);
  take(10_240);
  t.equal(cache.size, 10_240);
  const isKnown = (i: number): boolean => cache.find(NETNS, address(i), i).name !== null;
  t.strictSame([0, 1, 2, 10_240].map(isKnown), [true, false, true, true]);
  t.end();
});

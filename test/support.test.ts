// The readers of the test harness: they take what is right and reject what is not.
import t from 'tap';
import { parseExposition, select, total } from './support/samples.js';
import { parseSocket } from './support/ss.js';
import { parsePacket } from './support/tcpdump.js';
import { until } from './support/wait.js';

t.test('the exposition reader takes what the format allows and nothing else', (t) => {
  const { samples, types } = parseExposition(
    [
      '# HELP a_seconds Says \\\\ and \\n.',
      '# TYPE a_seconds histogram',
      'a_seconds_bucket{le="0.1"} 1',
      'a_seconds_bucket{le="+Inf",} 2',
      'a_seconds_sum 1.5e-3',
      'a_seconds_count 2',
      'b{x="q\\"s\\\\l\\nn",y="ü{}=,"} -Inf 1700000000123',
      'b{x="z"} NaN',
      '',
    ].join('\n'),
  );
  t.equal(types.get('a_seconds'), 'histogram');
  t.equal(total(samples, 'a_seconds_bucket'), 3);
  t.equal(select(samples, 'a_seconds_bucket', { le: '+Inf' })[0]?.value, 2);
  t.match(samples[4], { labels: { x: 'q"s\\l\nn', y: 'ü{}=,' }, timestampMs: 1700000000123 });
  t.equal(samples[4]?.value, -Infinity);
  t.ok(Number.isNaN(samples[5]?.value));
  const wrong = {
    'a 1': /newline/,
    'a{x="1"\n': /labels not closed/,
    'a{x="1",x="2"} 1\n': /twice/,
    'a{x="\\t"} 1\n': /bad label/,
    'a one\n': /bad value/,
    'a 1 2.5\n': /bad value/,
    'a  1\n': /bad value/,
    '9a 1\n': /no metric name/,
    'a 1\nb 1\na 2\n': /two pieces/,
    'a 1\na 2\n': /twice/,
    '# TYPE a gauge\n# TYPE a gauge\n': /second TYPE/,
    '# TYPE a number\n': /unknown type/,
  };
  for (const [text, error] of Object.entries(wrong)) t.throws(() => parseExposition(text), error);
  t.end();
});

t.test('the parsers of ss and tcpdump know their lines', (t) => {
  const line =
    'ESTAB 0 64 [::ffff:10.0.0.1]:7000 [fd77::2]:50004 users:(("a b",pid=7,fd=19),("c",pid=8,fd=3)) ' +
    'timer:(on,204ms,0) uid:33 ino:36374 sk:1a cgroup:/ <-> skmem:(r0,rb131072,t0,d1) ts sack cubic ' +
    'wscale:10,10 rto:204 rtt:0.323/0.606 mss:1448 cwnd:10 ssthresh:7 bytes_sent:9 bytes_acked:8 ' +
    'send 56Mbps delivery_rate 1Mbps retrans:1/3 minrtt:0.003';
  t.match(parseSocket(line), {
    state: 'ESTAB',
    sendQueue: 64,
    local: { address: '::ffff:10.0.0.1', port: 7000 },
    peer: { address: 'fd77::2', port: 50004 },
    owners: [
      { comm: 'a b', pid: 7, fd: 19 },
      { comm: 'c', pid: 8, fd: 3 },
    ],
    timer: 'on',
    uid: 33,
    cookie: '1a',
    congestion: 'cubic',
    skmem: { rb: 131072, d: 1 },
    srttMs: 0.323,
    cwnd: 10,
    ssthresh: 7,
    bytesAcked: 8,
    retransOut: 1,
    retransTotal: 3,
    minRttMs: 0.003,
    info: { delivery_rate: '1Mbps' },
  });
  t.match(parseSocket('LISTEN 0 511 *:7000 *:* ino:1 sk:4'), {
    local: { address: '*', port: 7000 },
    peer: { port: null },
    srttMs: null,
    timer: null,
  });
  t.strictSame(
    parsePacket(
      '17.25 IP6 (hlim 64, next-header TCP (6) payload length: 37) ::1.40000 > ::1.80: Flags [P.], cksum 0x0030 (correct), ' +
        'seq 10:15, ack 7, win 64, options [nop,TS val 1 ecr 2], length 5: HTTP, length: 5',
    ),
    {
      timeSeconds: 17.25,
      src: '::1',
      srcPort: 40000,
      dst: '::1',
      dstPort: 80,
      flags: 'P.',
      seq: 10,
      ack: 7,
      length: 5,
      sackedBytes: 0,
    },
  );
  const sack = 'options [nop,nop,TS val 1 ecr 2,nop,nop,sack 2 {50:70}{4294967295:2}], length 0';
  t.equal(
    parsePacket(
      `1.5 IP (tos 0x0, proto TCP (6), length 1) 10.0.0.1.1 > 10.0.0.2.2: Flags [.], seq 9, ack 5, ${sack}`,
    ).sackedBytes,
    23,
  );
  const cut =
    '1.5 IP (tos 0x0, proto TCP (6), length 1) 10.0.0.1.1 > 10.0.0.2.2: Flags [S], seq 9, win 64, length 0';
  t.match(parsePacket(cut), { seq: 9, ack: null });
  t.throws(() => parsePacket('garbage'), /not a line/);
  t.end();
});

t.test('waiting ends with a value, or with the name of what did not happen', async (t) => {
  let n = 0;
  t.equal(await until(() => (n++ < 3 ? null : n), { what: 'four', everyMs: 1 }), 4);
  const never = until(() => JSON.parse('{') as unknown, { what: 'sense', deadlineMs: 20 });
  await t.rejects(never, { message: /not in 20 ms: sense/, cause: SyntaxError });
});

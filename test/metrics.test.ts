/**
 * The metrics of netwatch as text: families, escaping, numbers, histograms, lines of the logs,
 * snapshots.
 */
import t from 'tap';
import { ByteWriter } from '../src/metrics/bytes.js';
import {
  connectionLabels,
  familyHeader,
  logHeader,
  renderLabels,
  type LabelsFor,
} from '../src/metrics/exposition.js';
import {
  FAMILIES,
  familiesIn,
  FAMILY_NAMES,
  familyOf,
  type ScalarName,
  type SnapshotName,
} from '../src/metrics/families.js';
import { cumulative, foldLog2, log2Seconds, OTEL_HTTP_SECONDS } from '../src/metrics/histogram.js';
import { logLine, packetLine, packetPrefix, PrefixCache } from '../src/metrics/lines.js';
import { ExpositionParser } from '../src/metrics/parse.js';
import type { Sample } from '../src/metrics/sample.js';
import { buildInSlices, Snapshot } from '../src/metrics/snapshot.js';
import {
  clip,
  escapeHelp,
  escapeLabel,
  formatBound,
  formatValue,
  textOf,
} from '../src/metrics/text.js';
import { bucketWithin, LOG2_SLOTS, log2Slot } from './support/buckets.js';
import { HOSTILE, missing, NUMBERS, promtool } from './support/exposition.js';
import { LOG_RULES, parseExposition, STATE_RULES } from './support/parse.js';

const written = (write: (out: ByteWriter) => void, capacity = 1): string => {
  const out = new ByteWriter(capacity);
  write(out);
  return out.view().toString();
};

/** The same numbers in every run. */
function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

t.test('every family passes the lint of promtool', missing('promtool'), (t) => {
  let body = '';
  for (const name of FAMILY_NAMES) {
    const sum = `${name}_bucket{le="+Inf"} 0\n${name}_sum 0\n${name}_count 0\n`;
    body += familyHeader(name) + (familyOf(name).type === 'histogram' ? sum : `${name} 0\n`);
  }
  t.strictSame(promtool(body), { code: 0, said: '' });
  const bad =
    '# HELP netwatch_tcp_connection_count x\n# TYPE netwatch_tcp_connection_count gauge\n';
  t.match(promtool(`${bad}netwatch_tcp_connection_count 0\n`), {
    code: 3,
    said: /"_count" suffix/,
  });
  t.end();
});

t.test('names, labels, buckets and help texts of the families follow the rules', (t) => {
  for (const name of FAMILY_NAMES) {
    const { type, help, labels, optional, buckets, file } = familyOf(name);
    t.match(name, /^(netwatch|http|process)_[a-z0-9_]+$/);
    t.equal(name.endsWith('_total'), type === 'counter', `${name}: _total exactly for counters`);
    t.match(help, /^[A-Z1].{9,}\.$|; always 1\.$/, `${name} says what it is in a sentence`);
    const all = [...labels, ...optional];
    t.equal(new Set(all).size, all.length, `${name} has no label twice`);
    for (const label of all) t.match(label, /^(?!le$|__)[a-z][a-z_0-9]*$/);
    t.equal(buckets.length > 0, type === 'histogram');
    t.ok(buckets.every((bound, i) => i === 0 || bound > buckets[i - 1]!));
    if (file === 'connects') t.ok(['sock', 'src', 'dst'].every((label) => labels.includes(label)));
    if (name.startsWith('process_')) t.equal(file, 'endpoint', 'never in a textfile directory');
  }
  t.strictSame(familiesIn('packets'), ['netwatch_packet_bytes']);
  t.strictSame(familiesIn('err'), ['netwatch_tcp_error']);
  t.strictSame(FAMILIES.http_server_request_duration_seconds.buckets, OTEL_HTTP_SECONDS);
  t.end();
});

t.test('a sample with a wrong label set does not compile', (t) => {
  const snapshot = new Snapshot();
  const who = connectionLabels('1', 'a', 'b');
  const check = (): void => {
    snapshot.add('netwatch_tcp_retransmits_total', { network_tcp_retransmit_type: 'fast' }, 1);
    snapshot.add('netwatch_connection_cwnd_segments', who, 10);
    snapshot.add('netwatch_http_resyncs_total', {}, 10);
    // @ts-expect-error a label is missing
    snapshot.add('netwatch_tcp_retransmits_total', {}, 1);
    // @ts-expect-error no such cause
    snapshot.add('netwatch_tcp_retransmits_total', { network_tcp_retransmit_type: 'slow' }, 1);
    // @ts-expect-error a label too many
    snapshot.add('netwatch_http_resyncs_total', { reason: 'x' }, 1);
    // @ts-expect-error a label too many beside the right one
    snapshot.add('netwatch_records_written_total', { file: 'x', reason: 'x' }, 1);
    // @ts-expect-error no such family
    snapshot.add('netwatch_tcp_connection_count', {}, 1);
    // @ts-expect-error a histogram is more than a number
    snapshot.add('netwatch_tcp_rtt_seconds', {}, 1);
    // @ts-expect-error the labels of a connection are not those of a packet
    logLine(new ByteWriter(), 'netwatch_packet_bytes', who, 1, 1);
    // @ts-expect-error one packet is no state
    snapshot.add('netwatch_packet_bytes', { sock: '', src: '', dst: '', seq: 1, ack: 1, rx: 1 }, 1);
    // @ts-expect-error a counter of the state file is no history
    logLine(new ByteWriter(), 'netwatch_http_resyncs_total', {}, 1, 1);
  };
  t.type(check, 'function', 'the compiler judges the lines above');
  t.end();
});

t.test('label values come back as they were, harmless characters aside', (t) => {
  for (const [given, read] of HOSTILE) {
    const line = `x{a="${escapeLabel(given)}"} 1\n`;
    t.equal(line.indexOf('\n'), line.length - 1, 'one line');
    // eslint-disable-next-line no-control-regex
    t.notMatch(line.slice(0, -1), /[\0-\x1f\x7f-\x9f\u2028\u2029\u202e]/, 'nothing for a terminal');
    const { samples, issues } = parseExposition(line, { ...STATE_RULES, documented: false });
    t.strictSame(issues, []);
    t.strictSame(samples[0]?.labels, [['a', read]]);
    t.equal(
      written((out) => out.label(given)),
      escapeLabel(given),
      'the byte writer agrees',
    );
  }
  t.equal(escapeLabel('a"b\\c\nd'), 'a\\"b\\\\c\\nd');
  t.equal(escapeHelp('a"b\\c\nd\x1b'), 'a"b\\\\c\\nd\ufffd');
  t.end();
});

t.test('bytes of a process name become text without a throw or a rest', (t) => {
  t.equal(textOf(Buffer.from('nginx\0garbage')), 'nginx');
  t.equal(textOf(Buffer.from('fifteen_bytes_x')), 'fifteen_bytes_x');
  t.equal(textOf(Buffer.from([0x61, 0xff, 0xfe, 0x62, 0])), 'a\ufffd\ufffdb');
  t.equal(textOf(Buffer.from('caf\u00e9').subarray(0, 4)), 'caf\ufffd', 'cut inside a character');
  t.equal(textOf(Buffer.from([0xef, 0xbb, 0xbf, 0x61])), '\ufeffa', 'a BOM is not swallowed');
  t.equal(textOf(new Uint8Array(0)), '');
  t.equal(clip('short', 5), 'short');
  t.equal(clip('longer', 5), 'long…');
  t.equal(clip('ab😀cd', 4), 'ab…', 'no half character');
  t.end();
});

t.test('numbers are exact and without exponents, as text and as bytes', (t) => {
  for (const [value, text] of NUMBERS) {
    t.equal(formatValue(value), text);
    t.equal(
      written((out) => out.number(value)),
      text,
    );
  }
  const next = random(7);
  for (let i = 0; i < 20_000; i++) {
    const size = 10 ** Math.floor(next() * 20 - 8);
    const value =
      (next() < 0.5 ? Math.round(next() * size) : next() * size) * (next() < 0.2 ? -1 : 1);
    const text = written((out) => out.number(value));
    if (Number(text) !== value || text !== formatValue(value)) t.equal(text, formatValue(value));
    const whole = Math.floor(next() * 2 ** Math.floor(next() * 53));
    if (written((out) => out.uint(whole)) !== String(whole)) t.fail(`uint ${whole}`);
    const fixed = written((out) => out.fixed(whole, 3));
    if (Number(fixed) !== whole / 1000) t.fail(`fixed ${whole} gave ${fixed}`);
  }
  t.equal(
    written((out) => out.fixed(1500, 3)),
    '1.5',
  );
  t.equal(
    written((out) => out.fixed(7, 3)),
    '0.007',
  );
  t.equal(
    written((out) => out.fixed(12_000, 3)),
    '12',
  );
  t.equal(
    written((out) => out.fixed(4_294_967_296_001, 6)),
    '4294967.296001',
  );
  t.end();
});

t.test('the byte writer grows and keeps what it has', (t) => {
  const out = new ByteWriter(1);
  let expected = '';
  for (let i = 0; i < 2000; i++) {
    out.ascii(`line ${i} of a text longer than any loop takes: `);
    out.uint(i);
    out.label('é"');
    out.byte(0x0a);
    expected += `line ${i} of a text longer than any loop takes: ${i}é\\"\n`;
  }
  t.equal(out.view().toString(), expected);
  out.reset();
  t.equal(out.view().length, 0);
  t.end();
});

t.test('slots of the kernel fold into buckets without an error', (t) => {
  const slots = [0, 1, 1000, 1001, 2000, 2001, 4000, 4001, 1e9, 2 ** 50, 2 ** 53];
  t.strictSame(
    slots.map((ns) => log2Slot(ns)),
    [0, 0, 0, 1, 1, 2, 2, 3, 20, 39, 39],
  );
  t.equal(log2Slot(126, 125), 1);
  t.strictSame(log2Seconds(0, 3), [0.000001, 0.000002, 0.000004, 0.000008]);
  t.strictSame(log2Seconds(0, 17, 1, 125e-9).at(-1), 0.016384);
  t.equal(log2Seconds(0, 24).at(-1), 16.777216);

  const next = random(3);
  const bounds = log2Seconds(6, 36, 2);
  const counts = new Array<number>(LOG2_SLOTS).fill(0);
  const direct = new Array<number>(bounds.length + 1).fill(0);
  for (let i = 0; i < 5000; i++) {
    const us = Math.ceil(2 ** (next() * 40));
    counts[log2Slot(us * 1000)]!++;
    direct[bucketWithin(us / 1e6, bounds)]!++;
  }
  t.strictSame(foldLog2(counts, bounds), direct, 'as if each had been put into its bucket');
  t.strictSame(foldLog2([1n, 2n, 3n, 4n], [0.000001, 0.000002]), [1, 2, 7]);
  t.throws(() => foldLog2(counts, [0.005]), /0.005 s is not the bound of a kernel slot/);
  t.strictSame(
    [1.25e-7, 0.000001, 0.000064, 0.0001, 0.000128, 0.25, 1, 68719.476736, 999999, 2097152].map(
      formatBound,
    ),
    // As strconv.FormatFloat(x, 'g', -1, 64) of Go writes them.
    [
      ...['1.25e-07', '1e-06', '6.4e-05', '0.0001', '0.000128', '0.25', '1', '68719.476736'],
      ...['999999', '2.097152e+06'],
    ],
  );
  t.strictSame(cumulative([1, 0, 2, 4n]), [1, 1, 3, 7]);
  t.strictSame(
    [0.005, 0.0051, 10, 10.1].map((s) => bucketWithin(s, OTEL_HTTP_SECONDS)),
    [0, 1, 13, 14],
  );
  t.end();
});

t.test('a snapshot is text with each family together, whatever the order of adding', (t) => {
  const snapshot = new Snapshot();
  const role = { network_tcp_handshake_role: 'client' } as const;
  snapshot.add('netwatch_http_resyncs_total', {}, 18446744073709551615n);
  snapshot.add('netwatch_tcp_connections_total', { ...role, error_type: '' }, 5);
  snapshot.add('netwatch_tcp_sockets', { network_connection_state: 'listen' }, 2);
  snapshot.add('netwatch_tcp_connections_total', { ...role, error_type: 'refused' }, 1);
  const counts = [1, 0, 2, ...new Array<number>(11).fill(0), 4];
  const http = {
    network_protocol_version: '1.1',
    http_request_method: 'GET',
    http_response_status_code: 200,
    url_scheme: 'http',
    server_port: 80,
  } as const;
  snapshot.histogram('http_server_request_duration_seconds', http, counts, 80.5);
  const name = 'http_server_request_duration_seconds';
  const labels =
    'http_request_method="GET",http_response_status_code="200",url_scheme="http",' +
    'network_protocol_version="1.1",server_port="80"';
  const totals = [1, 1, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 7];
  const bounds = [...OTEL_HTTP_SECONDS, '+Inf'];
  t.equal(
    snapshot.text().toString(),
    `# HELP ${name} ${FAMILIES[name].help}\n# TYPE ${name} histogram\n` +
      bounds.map((le, i) => `${name}_bucket{${labels},le="${le}"} ${totals[i]}\n`).join('') +
      `${name}_sum{${labels}} 80.5\n${name}_count{${labels}} 7\n` +
      `# HELP netwatch_tcp_connections_total ${FAMILIES.netwatch_tcp_connections_total.help}\n` +
      '# TYPE netwatch_tcp_connections_total counter\n' +
      'netwatch_tcp_connections_total{network_tcp_handshake_role="client"} 5\n' +
      'netwatch_tcp_connections_total{network_tcp_handshake_role="client",error_type="refused"} 1\n' +
      '# HELP netwatch_tcp_sockets TCP sockets that exist now, by state.\n' +
      '# TYPE netwatch_tcp_sockets gauge\n' +
      'netwatch_tcp_sockets{network_connection_state="listen"} 2\n' +
      `# HELP netwatch_http_resyncs_total ${FAMILIES.netwatch_http_resyncs_total.help}\n` +
      '# TYPE netwatch_http_resyncs_total counter\n' +
      'netwatch_http_resyncs_total 18446744073709551615\n',
  );
  t.throws(
    () => snapshot.histogram(name, http, [1, 2], 1),
    /has 15 buckets with \+Inf, not 2/,
    'counts of another family are refused',
  );
  t.equal(new Snapshot().text().toString(), '', 'nothing to say, nothing said');
  t.end();
});

t.test('a label set comes once: counters add up, of gauges the newer one counts', (t) => {
  const snapshot = new Snapshot();
  const { text } = connectionLabels('s', 'a', 'b');
  const twice = (): readonly ReturnType<typeof connectionLabels>[] => [
    connectionLabels('s', 'a', 'b'),
    connectionLabels('s', 'a', 'b'),
  ];
  for (const [i, who] of twice().entries()) {
    snapshot.add('netwatch_connection_cwnd_segments', who, 10 + i);
    snapshot.add('netwatch_connection_retransmits_total', who, 2 ** 53);
    snapshot.add('netwatch_connection_retransmits_total', who, 1n);
  }
  const bucket = new Array<number>(26).fill(1);
  snapshot.histogram('netwatch_tcp_rtt_seconds', {}, bucket, 1);
  snapshot.histogram('netwatch_tcp_rtt_seconds', {}, bucket, 2);
  const { samples, issues } = parseExposition(snapshot.text());
  t.strictSame(issues, []);
  const shown = new Map(samples.map(({ name, valueText }) => [name, valueText]));
  t.equal(shown.get('netwatch_connection_cwnd_segments'), '11');
  t.equal(shown.get('netwatch_connection_retransmits_total'), '18014398509481986');
  t.equal(shown.get('netwatch_tcp_rtt_seconds_count'), '52');
  t.equal(shown.get('netwatch_tcp_rtt_seconds_sum'), '3');
  t.equal(samples.filter(({ name }) => name.includes('cwnd')).length, 1);
  t.equal(snapshot.duplicates, 1 + 3 + 1);
  t.equal(text, 'sock="s",src="a",dst="b"');
  t.end();
});

t.test('series beyond the cap are left out, and counted from snapshot to snapshot', (t) => {
  const dropped = new Map<string, number>();
  const last = (cap: number): readonly Sample[] => {
    const snapshot = new Snapshot({ cap, dropped });
    for (let i = 0; i < 10; i++) {
      const who = connectionLabels(`s${i}`, 'a', 'b');
      snapshot.add('netwatch_connection_rwnd_bytes', who, i);
      snapshot.add('netwatch_connection_rwnd_bytes', who, i + 100);
    }
    const { samples, issues } = parseExposition(snapshot.text());
    t.strictSame(issues, []);
    return samples;
  };
  t.equal(last(10).length, 10, 'none left out, nothing counted');
  last(3);
  const samples = last(3);
  t.strictSame(
    samples.map(({ value }) => value),
    [100, 101, 102, 28],
    'two snapshots with seven series added twice',
  );
  t.strictSame(samples.at(-1)?.labels, [['family', 'netwatch_connection_rwnd_bytes']]);
  t.end();
});

t.test('what a tool has left out is told from what the collector has', (t) => {
  const snapshot = new Snapshot({ cap: 1, tool: 'tcptop' });
  for (const process of ['a', 'b'])
    snapshot.add(
      'netwatch_tcp_process_bytes_total',
      { tool: 'tcptop', process, network_io_direction: 'receive' },
      1,
    );
  t.match(
    snapshot.text().toString(),
    '\nnetwatch_series_dropped_total{family="netwatch_tcp_process_bytes_total",tool="tcptop"} 1\n',
  );
  t.end();
});

t.test('ten thousand connections are rendered in slices, fast and strictly right', async (t) => {
  const names = familiesIn('connects').filter((name) => familyOf(name).labels.length === 3);
  const fill = (): Snapshot => {
    const snapshot = new Snapshot();
    for (let i = 0; i < 10_000; i++) {
      const who = connectionLabels(`ffff${i}`, `10.0.${i >> 8}.${i & 255}:40000`, '10.1.2.3:443');
      for (const [k, name] of names.entries()) {
        const scalar = name as ScalarName & SnapshotName;
        snapshot.add(scalar, who as LabelsFor<typeof scalar>, k % 2 ? i * k : i / 1e6);
      }
    }
    return snapshot;
  };
  fill().text();
  const start = process.cpuUsage();
  const snapshot = fill();
  let turns = 0;
  let building = true;
  const count = (): void => {
    turns++;
    if (building) setImmediate(count);
  };
  setImmediate(count);
  const text = await buildInSlices(snapshot);
  building = false;
  const { user, system } = process.cpuUsage(start);
  const ms = (user + system) / 1000;
  t.ok(turns >= 3, `the event loop turned ${turns} times meanwhile`);
  t.ok(ms < 2000, `${ms.toFixed(0)} ms of CPU for ${names.length} families, ${text.length} bytes`);
  let samples = 0;
  const parser = new ExpositionParser(STATE_RULES, () => samples++);
  for (const line of text.toString().split('\n').slice(0, -1)) parser.line(line);
  t.strictSame(parser.end(), []);
  t.equal(samples, 10_000 * names.length);
  const slices = [...fill().build(0)].length;
  t.ok(slices > 100, `a patience of nothing gives way ${slices} times`);
});

const PACKET = {
  seq: 4294967295,
  ack: 7,
  received: true,
  retransmitted: false,
  macNs: 312,
  ipNs: null,
  tcpNs: 12_340_000,
  reorderNs: 0,
  httpInfo: 'GET /a"b\\c HTTP/1.1',
  lengthBytes: 1448,
  timestampMs: 1795233307771,
};

t.test('a packet line has the labels whose option is on', (t) => {
  const prefix = packetPrefix('ffff9c3a40001234', '127.0.0.1:40001', '[::1]:80');
  const line = (times: boolean, http: boolean, packet = PACKET): string =>
    written((out) => packetLine(out, prefix, packet, { times, http }));
  const start =
    'netwatch_packet_bytes{sock="ffff9c3a40001234",src="127.0.0.1:40001",dst="[::1]:80",' +
    'seq="4294967295",ack="7",rx="1"';
  t.equal(line(false, false), `${start}} 1448 1795233307771\n`);
  t.equal(
    line(true, false),
    `${start},mac_time="0.312",ip_time="-",tcp_time="12340"} 1448 1795233307771\n`,
  );
  t.equal(
    line(true, false, { ...PACKET, reorderNs: 340_001 }),
    `${start},mac_time="0.312",ip_time="-",tcp_time="12340",reorder_time="340.001"} 1448 1795233307771\n`,
  );
  t.equal(
    line(true, false, { ...PACKET, reorderNs: null as never }),
    line(true, false),
    'what is not known, and what waited for nothing, has no label',
  );
  t.equal(line(false, true), `${start},http_info="GET /a\\"b\\\\c HTTP/1.1"} 1448 1795233307771\n`);
  t.match(line(true, true), 'tcp_time="12340",http_info="GET /a');
  t.match(line(false, true, { ...PACKET, httpInfo: null as never }), 'http_info="-"} 1448');
  t.match(line(false, false, { ...PACKET, received: false }), 'rx="0"}');
  const again = { ...PACKET, received: false, retransmitted: true };
  t.match(line(false, false, again), 'rx="0",retransmit="1"}');
  const parser = new ExpositionParser(LOG_RULES);
  for (const text of logHeader('packets').toString().trimEnd().split('\n')) parser.line(text);
  for (const [hostile] of HOSTILE) {
    const text = line(true, true, { ...PACKET, httpInfo: hostile });
    t.equal(text.indexOf('\n'), text.length - 1);
    t.ok(parser.line(text.slice(0, -1)));
  }
  t.strictSame(parser.end(), []);
  t.end();
});

t.test('lines of the other logs follow their headers', missing('promtool'), (t) => {
  const who = connectionLabels('ffff1', '10.0.0.1:5', '10.0.0.2:80');
  const body = written((out) => {
    out.bytes(logHeader('connects'));
    logLine(out, 'netwatch_connection_srtt_seconds', who, 0.000068, 1795233307771);
    logLine(out, 'netwatch_connection_acked_bytes_total', who, 2n ** 64n - 1n, 1795233307771);
    const info = { pid: 1, process: 'a"b', sock: 'x', src: 'y', dst: 'z', is_server: 1 };
    logLine(out, 'netwatch_connection_info', info, 1, 1795233307772);
    out.bytes(logHeader('err'));
    const error = {
      sock: 'x',
      src: 'y',
      dst: 'z',
      seq: 1,
      ack: 2,
      type: 'drop',
      reason: 'TCP_CSUM',
    } as const;
    logLine(out, 'netwatch_tcp_error', error, 1, 1795233307773);
  });
  t.strictSame(parseExposition(body, LOG_RULES).issues, []);
  t.strictSame(promtool(body), { code: 0, said: '' });
  const lines = body.split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  t.strictSame(lines, [
    'netwatch_connection_srtt_seconds{sock="ffff1",src="10.0.0.1:5",dst="10.0.0.2:80"} 0.000068 1795233307771',
    'netwatch_connection_acked_bytes_total{sock="ffff1",src="10.0.0.1:5",dst="10.0.0.2:80"} 18446744073709551615 1795233307771',
    'netwatch_connection_info{pid="1",process="a\\"b",sock="x",src="y",dst="z",is_server="1"} 1 1795233307772',
    'netwatch_tcp_error{sock="x",src="y",dst="z",seq="1",ack="2",type="drop",reason="TCP_CSUM"} 1 1795233307773',
  ]);
  t.end();
});

t.test('labels stand in the order of their family, whatever the order given', (t) => {
  const labels = {
    reason: 'r',
    sock: 's',
    ack: 2,
    type: 'drop',
    seq: 1,
    dst: 'd',
    src: 'c',
  } as const;
  const { text } = renderLabels('netwatch_tcp_error', labels);
  t.equal(text, 'sock="s",src="c",dst="d",seq="1",ack="2",type="drop",reason="r"');
  t.end();
});

t.test('cached prefixes are those of their words, also when the table is crowded', (t) => {
  for (const slots of [16, 4096]) {
    const cache = new PrefixCache(3, slots);
    const words = Int32Array.from({ length: 3 * 500 }, (_, i) => Math.imul(i, 0x9e3779b1));
    const render = (record: Int32Array, at: number): Uint8Array =>
      Buffer.from(record.subarray(at, at + 3).join());
    for (let round = 0; round < 3; round++) {
      for (let at = 0; at < words.length; at += 3) {
        const text = Buffer.from(cache.get(words, at, render)).toString();
        if (text !== words.subarray(at, at + 3).join()) t.fail(`${text} at ${at}`);
      }
    }
    t.equal(cache.hits + cache.misses, 1500);
    if (slots === 4096) t.equal(cache.misses, 500, 'each rendered once');
    else t.ok(cache.misses > 500, 'a small table forgets');
  }
  t.end();
});

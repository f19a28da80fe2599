// connects.log and the totals of netwatch.prom against what the traffic programs say of themselves, `ss`
// and `nstat`: who owns a connection, how it is, how many there were and how they ended.
import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import t from 'tap';
import { dropPackets, plainDevice } from '../../scripts/traffic/faults.js';
import { startCollector } from '../support/collector.js';
import { HOSTILE } from '../support/exposition.js';
import { createJoinedNamespaces, createNamespace } from '../support/netns.js';
import { startNginx } from '../support/nginx.js';
import { countFrom } from '../support/nstat.js';
import { difference, first, packetLines, portOf, SAME } from '../support/packets.js';
import { select, total, type Sample } from '../support/samples.js';
import { needsCommands, needsRoot } from '../support/skip.js';
import { sockets, type SocketRow } from '../support/ss.js';
import { startTool } from '../support/tool.js';
import { CLOSED_PORT, runHttp, startProgram } from '../support/traffic.js';
import { until } from '../support/wait.js';

const skip = needsRoot || needsCommands('ss', 'nstat');

/** What an info line says, but for the kernel's address. */
const owner = (
  pid: number,
  process: string,
  src: string,
  dst: string,
  side: 'client' | 'server',
): string => JSON.stringify([String(pid), process, src, dst, side === 'server' ? '1' : '0']);

const infos = (samples: readonly Sample[]): string[] =>
  select(samples, 'netwatch_connection_info').map(({ labels }) => {
    const { pid, process, src, dst, is_server } = labels;
    return JSON.stringify([pid, process, src, dst, is_server]);
  });

const commOf = (pid: number): string => readFileSync(`/proc/${pid}/comm`, 'utf8').trimEnd();

/** Names of processes and what the label has to be. */
const COMMS: readonly (readonly [comm: string | Uint8Array, label: string])[] = [
  ...HOSTILE.filter(([name]) => !name.includes('\0') && Buffer.byteLength(name) < 16),
  [Buffer.from('ff:\xff\xfe', 'latin1'), 'ff:\ufffd\ufffd'],
  ['ééééééééé', 'ééééééé\ufffd'], // the kernel keeps 15 bytes
];

t.test('each connection is one line at either end, with its owner', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const collector = await startCollector(t, namespace, ['-q']);
  const wanted: string[] = [];

  const common = { port: 7000, comm: 'x' };
  const server = await startProgram(
    namespace,
    'tcp-server',
    { port: 7000, host: '::' },
    { comm: 'nw-server' },
  );
  const call = async (
    host: string,
    connections: number,
    comm: string | Uint8Array,
    label: string,
  ) => {
    const options = { host, port: common.port, connections, concurrency: 4 };
    const client = await startProgram(namespace, 'tcp-client', options, { comm });
    for (const { localPort } of (await client.go()).connections) {
      const at = host.includes(':') ? `[${host}]` : host;
      const [ours, theirs] = [`${at}:${localPort}`, `${at}:7000`];
      wanted.push(owner(client.pid, label, ours, theirs, 'client'));
      wanted.push(owner(server.pid, 'nw-server', theirs, ours, 'server'));
    }
    await client.stop();
  };
  await call('127.0.0.1', 13, 'nw-client', 'nw-client');
  await call('::1', 7, 'nw-client6', 'nw-client6');
  for (const [comm, label] of COMMS) await call('127.0.0.1', 1, comm, label);
  await server.stop();

  // the primary of a cluster listens, its workers accept
  const cluster = await startProgram(namespace, 'cluster-server', { port: 7001 });
  const names = new Map(cluster.ready.workers.map((pid) => [pid, commOf(pid)]));
  const client = await startProgram(
    namespace,
    'tcp-client',
    { port: 7001, connections: 11, concurrency: 4 },
    { comm: 'nw-client' },
  );
  await client.go();
  await client.stop();
  for (const { pid, peerPort } of (await cluster.stop()).connections) {
    const [ours, theirs] = [`127.0.0.1:${peerPort}`, '127.0.0.1:7001'];
    wanted.push(owner(client.pid, 'nw-client', ours, theirs, 'client'));
    wanted.push(owner(pid, names.get(pid) ?? '?', theirs, ours, 'server'));
  }
  t.equal(wanted.length, 2 * (13 + 7 + COMMS.length + 11));

  await collector.stop();
  const samples = collector.samples('connects.log');
  t.strictSame(difference(wanted, infos(samples)), SAME);
  t.ok(
    samples.every(({ name }) => name === 'netwatch_connection_info'),
    'and nothing else',
  );
  const named = new Set(samples.map(({ labels: { sock, src, dst } }) => `${sock} ${src} ${dst}`));
  const used = new Set(
    packetLines(collector.samples('packets.log'))
      .filter(({ sock }) => sock !== '-')
      .map(({ sock, src, dst }) => `${sock} ${src} ${dst}`),
  );
  t.strictSame(
    [...named].filter((connection) => !used.has(connection)),
    [],
    'packets.log names it the same way',
  );
});

t.test(
  'a worker of nginx owns what it accepts',
  { skip: skip || needsCommands('nginx') },
  async (t) => {
    const namespace = createNamespace(t);
    const collector = await startCollector(t, namespace, ['-q']);
    const nginx = await startNginx(t, namespace);
    const options = { port: nginx.port, connections: 13, concurrency: 5, total: 41 };
    const client = await startProgram(namespace, 'http-client', options, { comm: 'nw-client' });
    await client.go();
    await nginx.stop();
    await collector.stop();
    const peers = new Map(nginx.answers().map(({ peerPort, worker }) => [peerPort, worker]));
    t.equal(peers.size, 13);
    const wanted = [...peers].flatMap(([port, worker]) => {
      const [ours, theirs] = [`127.0.0.1:${port}`, `127.0.0.1:${nginx.port}`];
      return [
        owner(client.pid, 'nw-client', ours, theirs, 'client'),
        owner(worker, 'nginx', theirs, ours, 'server'),
      ];
    });
    t.strictSame(difference(wanted, infos(collector.samples('connects.log'))), SAME);
  },
);

t.test('connections that existed before are found with their owners', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const wanted: string[] = [];
  for (const [host, port, connections] of [
    ['127.0.0.1', 7000, 5],
    ['::1', 7001, 3],
  ] as const) {
    const options = { host, port, connections, connectFirst: true, close: 'hold' } as const;
    const server = await startProgram(namespace, 'tcp-server', options, { comm: 'old-server' });
    const client = await startProgram(namespace, 'tcp-client', options, { comm: 'old-client' });
    await client.go();
    const at = host.includes(':') ? `[${host}]` : host;
    for (const localPort of client.ready.localPorts) {
      const [ours, theirs] = [`${at}:${localPort}`, `${at}:${port}`];
      wanted.push(owner(client.pid, 'old-client', ours, theirs, 'client'));
      wanted.push(owner(server.pid, 'old-server', theirs, ours, 'server'));
    }
  }
  const collector = await startCollector(t, namespace, ['-q', '-x', '--interval', '0.2']);
  const known = (samples: readonly Sample[]): string[] =>
    infos(samples.filter(({ labels }) => !labels['dst']?.endsWith(':0'))); // without the listeners
  const found = await collector.waitFor(
    'connects.log',
    (samples) => known(samples).length >= wanted.length,
    'all connections',
  );
  t.strictSame(difference(wanted, known(found)), SAME);
  t.equal(
    select(found, 'netwatch_connection_srtt_seconds').length,
    wanted.length,
    'and their state',
  );
  await collector.stop();
  t.equal(known(collector.samples('connects.log')).length, wanted.length, 'once');
});

t.test('a connection of a millisecond has its state on record', { skip }, async (t) => {
  const namespace = createNamespace(t);
  // the state is pulled once, at the start: what is there was recorded at open and close
  const collector = await startCollector(t, namespace, ['-q', '-x', '--interval', '3600']);
  const server = await startProgram(namespace, 'tcp-server', { port: 7000 });
  const options = { port: 7000, connections: 31, rounds: 3 };
  const client = await startProgram(namespace, 'tcp-client', options);
  const grown = await countFrom(namespace);
  const { connections } = await client.go();
  await server.stop();
  const { TcpInSegs, TcpOutSegs } = await grown();
  await collector.stop();
  const samples = collector.samples('connects.log');
  const last = (name: string, src: string): number | undefined =>
    select(samples, name, { src }).at(-1)?.value;
  const records = connections.map(({ localPort }) => {
    const src = `127.0.0.1:${localPort}`;
    const seconds = last('netwatch_connection_duration_seconds', src) ?? NaN;
    const received = last('netwatch_connection_received_bytes_total', src) ?? NaN;
    return {
      seconds: seconds > 0 && seconds < 1,
      srtt: (last('netwatch_connection_srtt_seconds', src) ?? NaN) > 0,
      cwnd: last('netwatch_connection_cwnd_segments', src),
      acked: last('netwatch_connection_acked_bytes_total', src),
      received: received >= 3 && received <= 4,
    };
  });
  // in the kernel's counts SYN and FIN are bytes too
  const wanted = { seconds: true, srtt: true, cwnd: 10, acked: 3 + 2, received: true };
  t.strictSame(records, Array(31).fill(wanted));
  const segments = (network_io_direction: string): number =>
    total(collector.samples('netwatch.prom'), 'netwatch_tcp_segments_total', {
      network_io_direction,
    });
  t.equal(segments('receive'), TcpInSegs);
  t.equal(segments('transmit'), TcpOutSegs);
});

/** A client that shuts down and closes later, before the server does. */
const SHUT_DOWN = `
import socket, time
server = socket.create_server(('127.0.0.1', 7000))
client = socket.create_connection(('127.0.0.1', 7000))
accepted, _ = server.accept()
client.shutdown(socket.SHUT_WR)
assert accepted.recv(1) == b''
time.sleep(0.1)
client.close()
accepted.close()
`;

t.test(
  'who closes what was shut down stays in its state, and that is one stay',
  { skip: skip || needsCommands('python3') },
  async (t) => {
    const namespace = createNamespace(t);
    const collector = await startCollector(t, namespace, ['-q', '--interval', '3600']);
    // the kernel tells of it: once as it is entered, once as it is closed
    const states = await startTool(t, namespace, 'tcpstates', ['-o', 'json']);
    await namespace.exec('python3', ['-c', SHUT_DOWN]);
    await states.stop();
    await collector.stop();
    const told = states.objects().filter(({ state_before }) => state_before === 'FIN_WAIT2');
    t.strictSame(
      told.map(({ state }) => state),
      ['FIN_WAIT2', 'CLOSE'],
    );
    const toldMs = told.reduce((sum, { duration_ms }) => sum + Number(duration_ms), 0);
    const stay = (what: string): number =>
      total(collector.samples('netwatch.prom'), `netwatch_tcp_state_duration_seconds_${what}`, {
        network_connection_state: 'fin_wait_2',
      });
    t.equal(stay('count'), 1);
    const differenceMs = Math.abs(stay('sum') * 1000 - toldMs);
    t.ok(differenceMs < 1, `${differenceMs} ms besides the ${toldMs} ms of both`);
  },
);

t.test('a short connection costs less than 2 KB in connects.log', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const bytes = async (...options: string[]): Promise<number[]> => {
    // no pull after the start
    const args = ['-q', '-x', '-r', '--interval', '3600', ...options];
    const collector = await startCollector(t, namespace, args);
    const request = { total: 5, connections: 5, requests: [{ path: '/bytes/3000' }] };
    const { client } = await runHttp(namespace, request);
    t.equal(client.responses, 5);
    await collector.stop();
    const sizes = new Map<string, number>();
    for (const line of collector.read('connects.log').split('\n')) {
      const [, ends = ''] = /(src="[^"]*",dst="127[^"]*")/.exec(line) ?? [];
      if (ends !== '') sizes.set(ends, (sizes.get(ends) ?? 0) + Buffer.byteLength(line) + 1);
    }
    t.equal(sizes.size, 10, 'both ends of each');
    return [...sizes.values()];
  };
  t.ok(Math.max(...(await bytes())) < 2048);
  t.ok(Math.min(...(await bytes('--connects', 'all'))) > 4096, 'with every change it is more');
});

t.test('each series of connects.log goes forward in time', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const collector = await startCollector(t, namespace, [
    '-x',
    '-r',
    '-a',
    '-q',
    '--interval',
    '0.02',
    '--connects',
    'all',
  ]);
  const server = await startProgram(namespace, 'tcp-server', { port: 7000 });
  const options = { port: 7000, connections: 401, concurrency: 8, rounds: 2 };
  const client = await startProgram(namespace, 'tcp-client', options);
  await client.go();
  await server.stop();
  await collector.stop();
  const last = new Map<string, number>();
  const back = collector.samples('connects.log').filter(({ name, labels, timestampMs }) => {
    const series = `${name} ${JSON.stringify(labels)}`;
    const before = last.get(series) ?? 0;
    last.set(series, timestampMs ?? NaN);
    return !((timestampMs ?? NaN) >= before);
  });
  t.ok(last.size > 802 * 20, `${last.size} series`);
  t.strictSame(first(back.map(({ name, line }) => `line ${line}: ${name}`)), []);
});

/** The connection's values in netwatch.prom that `ss` shows too, under one name. */
const SAME_IN_SS: Readonly<Record<string, (row: SocketRow) => number | null>> = {
  cwnd_segments: ({ cwnd }) => cwnd,
  ssthresh_segments: ({ ssthresh }) => ssthresh,
  srtt_seconds: ({ srttMs }) => seconds(srttMs),
  mdev_seconds: ({ rttvarMs }) => seconds(rttvarMs), // ss calls it rttvar
  min_rtt_seconds: ({ minRttMs }) => seconds(minRttMs),
  acked_bytes_total: ({ bytesAcked }) => bytesAcked,
  received_bytes_total: ({ bytesReceived }) => bytesReceived,
  sndbuf_bytes: ({ skmem }) => skmem['tb'] ?? null,
  rcvbuf_bytes: ({ skmem }) => skmem['rb'] ?? null,
  wmem_queued_bytes: ({ skmem }) => skmem['w'] ?? null,
  retransmits_total: ({ retransTotal }) => retransTotal,
  retrans_out_segments: ({ retransOut }) => retransOut,
  packets_out_segments: ({ unacked }) => unacked,
  lost_segments: ({ lost }) => lost,
  delivered_segments_total: ({ delivered }) => delivered,
  notsent_bytes: ({ notSent }) => notSent,
  reordering_segments: ({ reordering }) => reordering || 3, // ss leaves out the usual
  pacing_rate_bytes_per_second: ({ info }) => Math.floor(parseInt(info['pacing_rate'] ?? '') / 8),
  sent_bytes_total: ({ bytesSent }) => bytesSent,
  retransmitted_bytes_total: ({ bytesRetrans }) => bytesRetrans,
  sent_segments_total: ({ segsOut }) => segsOut,
  received_segments_total: ({ segsIn }) => segsIn,
  mss_bytes: ({ mss }) => mss,
  rto_seconds: ({ rtoMs }) => seconds(rtoMs),
  snd_wnd_bytes: ({ sndWnd }) => sndWnd,
  sacked_segments: ({ sacked }) => sacked,
  busy_seconds_total: ({ busyMs }) => busyMs / 1000,
  rwnd_limited_seconds_total: ({ rwndLimitedMs }) => rwndLimitedMs / 1000,
  sndbuf_limited_seconds_total: ({ sndbufLimitedMs }) => sndbufLimitedMs / 1000,
  ecn_negotiated: ({ ecn }) => Number(ecn),
  ecn_seen: ({ ecnSeen }) => Number(ecnSeen),
  delivered_ce_segments_total: ({ deliveredCe }) => deliveredCe,
  receive_queue_bytes: ({ recvQueue }) => recvQueue,
};

/** To the microsecond: `ss` prints six digits. */
function seconds(ms: number | null): number | null {
  return ms === null ? null : Math.round(ms * 1000) / 1e6;
}

/** To the microsecond; times of sending to the millisecond, cut off. */
function shownBySs(name: string, value: number): number {
  return name.endsWith('_seconds_total')
    ? Math.floor(value * 1000 + 1e-6) / 1000
    : Number(value.toFixed(6));
}

type Values = Readonly<Record<string, Readonly<Record<string, number | null>>>>;

const inSs = (rows: readonly SocketRow[]): Values => {
  const at = ({ local }: SocketRow): string => {
    const address = local.address.replace('::ffff:', '');
    return address.includes(':') ? `[${address}]:${local.port}` : `${address}:${local.port}`;
  };
  const values = (row: SocketRow) =>
    Object.fromEntries(Object.entries(SAME_IN_SS).map(([name, of]) => [name, of(row)]));
  const peerPort = ({ peer }: SocketRow): string => String(peer.port);
  return Object.fromEntries(rows.map((row) => [`${at(row)} > ${peerPort(row)}`, values(row)]));
};

const inProm = (samples: readonly Sample[]): Values => {
  const found: Record<string, Record<string, number | null>> = {};
  for (const { labels } of select(samples, 'netwatch_connection_info')) {
    const { sock = '', src = '', dst = '' } = labels;
    found[`${src} > ${dst.slice(dst.lastIndexOf(':') + 1)}`] = Object.fromEntries(
      Object.keys(SAME_IN_SS).map((name) => {
        const [sample] = select(samples, `netwatch_connection_${name}`, { sock, src, dst });
        return [name, sample ? shownBySs(name, sample.value) : null];
      }),
    );
  }
  return found;
};

t.test('-x says what ss says', { skip: skip || needsCommands('nft') }, async (t) => {
  const namespace = createNamespace(t);
  plainDevice(namespace);
  const server = await startProgram(namespace, 'tcp-server', {
    port: 7000,
    host: '::',
    requestBytes: 100_003,
    replyBytes: 30_011,
  });
  const clients = [];
  for (const [host, connections] of [
    ['127.0.0.1', 3],
    ['::1', 2],
  ] as const) {
    const options = {
      host,
      port: 7000,
      connections,
      requestBytes: 100_003,
      replyBytes: 30_011,
      rounds: 2,
      connectFirst: true,
      close: 'hold',
    } as const;
    const client = await startProgram(namespace, 'tcp-client', options);
    const loss = dropPackets(namespace, { to: 7000, only: 'data', kth: [29, 61] });
    await client.go();
    loss.remove();
    clients.push(client);
  }
  const collector = await startCollector(t, namespace, ['-x', '-q', '--interval', '0.1']);
  const established = ['state', 'established'];
  let wanted: Values = {};
  let found: Values = {};
  // a delayed ACK may still be under way
  const agree = async (): Promise<boolean> => {
    wanted = inSs(await sockets(namespace, ...established));
    found = inProm(await collector.pulled());
    return JSON.stringify(sorted(found)) === JSON.stringify(sorted(wanted));
  };
  await until(agree, { what: 'ss and netwatch agree' }).catch(() => undefined);
  t.equal(Object.keys(wanted).length, 10);
  t.strictSame(found, wanted);
  const values = Object.values(wanted);
  t.ok(values.some((row) => row['retransmits_total']! > 0 && row['ssthresh_segments'] !== null));
  const offered = await sockets(namespace, ...established);
  const far = select(collector.samples('netwatch.prom'), 'netwatch_connection_rwnd_bytes').filter(
    ({ labels: { src = '', dst = '' }, value }) => {
      const peer = offered.find(
        ({ local, peer }) => local.port === portOf(dst) && peer.port === portOf(src),
      );
      return !(Math.abs(value - (peer?.sndWnd ?? NaN)) <= 2048); // in steps of 2^wscale
    },
  );
  t.strictSame(far, [], 'the window one end offers is what the other may send');
  const [congestion] = select(
    collector.samples('connects.log'),
    'netwatch_connection_congestion_info',
  );
  t.match(congestion?.labels, { algorithm: 'reno', state: 'open' });
  await Promise.all(clients.map((client) => client.stop()));
  await server.stop();
});

/** The time with something to send goes on while there is. */
const withoutBusy = (values: Values): Values =>
  Object.fromEntries(
    Object.entries(values).map(([ends, row]) => [ends, { ...row, busy_seconds_total: null }]),
  );

function sorted(values: Values): [string, unknown][] {
  return Object.entries(values).sort(([a], [b]) => (a < b ? -1 : 1));
}

t.test(
  'ECN, time behind a closed window and holes in what has arrived are those of ss',
  { skip: skip || needsCommands('nft') },
  async (t) => {
    const namespace = createNamespace(t, { sysctls: { 'ipv4/tcp_ecn': 1 } });
    plainDevice(namespace);
    const sizes = { requestBytes: 9_000_001, replyBytes: 1 };
    const held = { connectFirst: true, close: 'hold' } as const;
    const server = await startProgram(namespace, 'tcp-server', { port: 7000, ...sizes });
    const client = await startProgram(namespace, 'tcp-client', { port: 7000, ...sizes, ...held });
    const collector = await startCollector(t, namespace, ['-x', '-q', '--interval', '0.1']);
    server.signal('SIGSTOP');
    const going = client.go();
    const isLimited = async (): Promise<boolean> =>
      (await sockets(namespace, 'dport', '=', ':7000')).some(({ rwndLimitedMs }) => rwndLimitedMs);
    await until(isLimited, { what: 'the window is closed' });
    server.signal('SIGCONT');
    await going;

    const few = { requestBytes: 10_000, replyBytes: 1 };
    const lossy = await startProgram(namespace, 'tcp-server', { port: 7001, ...few });
    const holes = await startProgram(namespace, 'tcp-client', { port: 7001, ...few, ...held });
    // of seven segments the second is lost, however often it is sent again
    const again = Array.from({ length: 60 }, (_, i) => 8 + i);
    const loss = dropPackets(namespace, { to: 7001, only: 'data', kth: [2, ...again] });
    lossy.signal('SIGSTOP');
    const mended = holes.go();
    const asSs = async (): Promise<Values> =>
      inSs(await sockets(namespace, 'state', 'established'));
    let before: Values = {};
    let found: Values = {};
    let after: Values = {};
    const agree = async (): Promise<boolean> => {
      before = await asSs();
      found = inProm(await collector.pulled());
      after = await asSs();
      const isAsked = Object.values(after).some((row) => row['sacked_segments']! > 0);
      return isAsked && isDeepStrictEqual(withoutBusy(found), withoutBusy(before));
    };
    await until(agree, { what: 'ss and netwatch agree' }).catch(() => undefined);
    t.equal(Object.keys(before).length, 4);
    t.strictSame(withoutBusy(found), withoutBusy(before));
    for (const [ends, { busy_seconds_total: busy }] of Object.entries(found)) {
      const [least, most] = [before, after].map((values) => values[ends]?.['busy_seconds_total']);
      t.ok(least! <= busy! && busy! <= most!, `${ends}: ${least} <= ${busy} <= ${most}`);
    }
    const rows = Object.values(found);
    const each = (name: string): unknown[] => rows.map((row) => row[name]).sort();
    t.strictSame(each('sacked_segments'), [0, 0, 0, 5]);
    t.strictSame(each('receive_queue_bytes'), [0, 0, 0, 1448], 'the first segment is not read');
    t.strictSame(each('ecn_negotiated'), [1, 1, 1, 1]);
    t.strictSame(each('ecn_seen'), [0, 1, 1, 1], 'the one that no data has reached has seen none');
    for (const name of ['rwnd_limited_seconds_total', 'busy_seconds_total'])
      t.ok(
        rows.some((row) => row[name]! > 0),
        name,
      );
    loss.remove();
    lossy.signal('SIGCONT');
    await mended;
    await Promise.all([client, holes, server, lossy].map((program) => program.stop()));
  },
);

t.test('-a and -x show what waits in an accept queue', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const collector = await startCollector(t, namespace, ['-x', '-q', '--interval', '0.1']);
  const server = await startProgram(namespace, 'tcp-server', { port: 7000, backlog: 7 });
  server.signal('SIGSTOP');
  const options = { port: 7000, connections: 5, connectFirst: true } as const;
  const client = await startProgram(namespace, 'tcp-client', options);
  const state = await collector.pulled();
  const listener = { network_local_address: '127.0.0.1', network_local_port: '7000' };
  t.equal(total(state, 'netwatch_tcp_accept_queue_length', listener), 5);
  t.equal(total(state, 'netwatch_tcp_accept_queue_limit', listener), 7);
  const log = collector.samples('connects.log');
  const end = { src: '127.0.0.1:7000', dst: '0.0.0.0:0' };
  t.equal(select(log, 'netwatch_connection_backlog', end).at(-1)?.value, 5);
  t.equal(select(log, 'netwatch_connection_max_backlog', end).at(-1)?.value, 7);
  server.signal('SIGCONT');
  await client.go();
  const after = await collector.pulled();
  t.equal(total(after, 'netwatch_tcp_accept_queue_length', listener), 0);
  t.equal(total(after, 'netwatch_tcp_sockets', { network_connection_state: 'listen' }), 1);
  await server.stop();
});

t.test(
  'connections are counted by side and by how they ended',
  { skip: skip || needsCommands('nft') },
  async (t) => {
    const sysctls = { 'ipv4/tcp_syn_retries': 1 };
    const { left: namespace, device } = createJoinedNamespaces(t, { sysctls });
    const collectors = [];
    for (const args of [['-q', '-a', '--interval', '0.2'], ['-q']])
      collectors.push(await startCollector(t, namespace, args));
    const nobody = { port: 7990, connections: 3, concurrency: 3 };
    const dropped = dropPackets(namespace, { to: nobody.port });
    // nobody answers its ARP
    const unreachable = { port: 7991, connections: 5, concurrency: 5, host: '10.77.0.99' };
    const patience = `/proc/sys/net/ipv4/neigh/${device}/retrans_time_ms`;
    namespace.execSync('sh', ['-c', `echo 100 > ${patience}`]);
    const call = async (options: Parameters<typeof startProgram<'tcp-client'>>[2]) =>
      (await startProgram(namespace, 'tcp-client', options)).go();
    const grown = await countFrom(namespace);
    const slow = Promise.all([call(nobody), call(unreachable)]); // three seconds

    const server = await startProgram(namespace, 'tcp-server', {
      port: 7000,
      host: '::',
      requestBytes: 1009,
      replyBytes: 503,
    });
    const sizes = { port: 7000, requestBytes: 1009, replyBytes: 503, rounds: 3 };
    await call({ ...sizes, connections: 11 });
    await call({ ...sizes, connections: 7, host: '::1', close: 'reset' });
    const { errors } = await call({ port: CLOSED_PORT, connections: 13 });
    t.strictSame(errors, { ECONNREFUSED: 13 });
    const gaveUp = await call({ ...nobody, connections: 2, concurrency: 2, timeoutMs: 100 });
    t.strictSame(gaveUp.errors, { ETIMEOUT: 2 });
    const held = await startProgram(namespace, 'tcp-client', {
      ...sizes,
      connections: 5,
      close: 'hold',
    });
    await held.go();
    const goneMs = performance.now();
    const results = await slow;
    t.strictSame(
      results.map((result) => result.errors),
      [{ ETIMEDOUT: 3 }, { EHOSTUNREACH: 5 }],
    );
    const heldMs = performance.now() - goneMs;
    await held.stop();
    await server.stop();
    const { TcpPassiveOpens, TcpAttemptFails } = await grown();
    t.equal(TcpPassiveOpens, 23);
    t.equal(TcpAttemptFails, 13 + 3 + 5, 'the kernel has counted the same');
    dropped.remove();
    for (const collector of collectors) t.match(await collector.stop(), { code: 0 });

    const [all, plain] = collectors.map((collector) => collector.samples('connects.log')) as [
      Sample[],
      Sample[],
    ];
    for (const collector of collectors) {
      const state = collector.samples('netwatch.prom');
      const counted = select(state, 'netwatch_tcp_connections_total').map(({ labels, value }) => {
        const { network_tcp_handshake_role: role, error_type = 'success' } = labels;
        return [`${role} ${error_type}`, value] as const;
      });
      t.strictSame(Object.fromEntries(counted.filter(([, value]) => value > 0)), {
        'client success': 23,
        'client refused': 13,
        'client timed_out': 3,
        'client host_unreachable': 5,
        'client closed': 2,
        'server success': 23,
      });
      const bytes = 23 * 3 * (1009 + 503);
      for (const network_io_direction of ['receive', 'transmit'])
        t.equal(
          total(state, 'netwatch_tcp_io_bytes_total', { network_io_direction }),
          bytes,
          network_io_direction,
        );
      const count = (name: string, labels = {}): number => total(state, `${name}_count`, labels);
      for (const network_tcp_handshake_role of ['client', 'server']) {
        const side = { network_tcp_handshake_role };
        t.equal(count('netwatch_tcp_handshake_duration_seconds', side), 23);
        t.equal(count('netwatch_tcp_connection_duration_seconds', side), 23);
      }
      const visits = (network_connection_state: string): number =>
        count('netwatch_tcp_state_duration_seconds', { network_connection_state });
      const closing = ['fin_wait_1', 'fin_wait_2', 'close_wait', 'last_ack'];
      t.strictSame(['syn_sent', 'syn_received', 'established', ...closing].map(visits), [
        46,
        23,
        46,
        ...closing.map(() => 16),
      ]);
      const seconds = total(state, 'netwatch_tcp_state_duration_seconds_sum', {
        network_connection_state: 'established',
      });
      t.ok(seconds >= (10 * heldMs) / 1000, `ten ends were held for ${heldMs} ms: ${seconds}`);
    }
    const failed = (samples: readonly Sample[]): number =>
      new Set(
        select(samples, 'netwatch_connection_info')
          .filter(({ labels }) => /:(7990|7991|7999)$/.test(labels['dst'] ?? ''))
          .map(({ labels }) => labels['src']),
      ).size;
    t.equal(failed(all), 23, '-a shows failed connections');
    t.equal(failed(plain), 0, 'by default they are not shown');
    const listeners = (samples: readonly Sample[]): string[] =>
      select(samples, 'netwatch_connection_info', { dst: '[::]:0' }).map(
        ({ labels }) => `${labels['src']} ${labels['pid']}`,
      );
    t.strictSame(listeners(all), [`[::]:7000 ${server.pid}`], 'and the listener');
    t.strictSame(listeners(plain), []);
  },
);

t.test(
  '--max-connections caps the connections of netwatch.prom and counts the rest',
  { skip },
  async (t) => {
    const namespace = createNamespace(t);
    const options = { port: 7000, connections: 11, connectFirst: true, close: 'hold' } as const;
    const server = await startProgram(namespace, 'tcp-server', options);
    const client = await startProgram(namespace, 'tcp-client', options);
    const args = ['-x', '-q', '--max-connections', '5', '--interval', '0.1'];
    const collector = await startCollector(t, namespace, args);
    const of = (samples: readonly Sample[]) => ({
      shown: select(samples, 'netwatch_connection_info').length,
      left: total(samples, 'netwatch_series_dropped_total', { family: 'netwatch_connection_info' }),
    });
    const first = of(await collector.pulled());
    t.match(first, { shown: 5 });
    t.equal(first.left % (22 - 5), 0, 'the same at each pull');
    t.ok(first.left > 0);
    await client.stop();
    await server.stop();
    const { shown, left } = of(await collector.pulled());
    t.equal(shown, 0);
    t.ok(left >= first.left, 'a counter');
  },
);

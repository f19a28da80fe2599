// tcpretrans against nstat: each retransmission is a row with its cause, and no other segment is.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t, { type Test } from 'tap';
import { dropPackets, plainDevice, type DropOptions } from '../../scripts/traffic/faults.js';
import type { TcpClientOptions } from '../../scripts/traffic/programs.js';
import { temporaryFolder } from '../support/collector.js';
import { provoke } from '../support/provoke.js';
import { createNamespace, type Namespace } from '../support/netns.js';
import type { Json } from '../support/ndjson.js';
import { countFrom, type Counters } from '../support/nstat.js';
import { needsCommands, needsRoot } from '../support/skip.js';
import { startTool } from '../support/tool.js';
import { runTcp, startProgram } from '../support/traffic.js';
import { until } from '../support/wait.js';

const skip = needsRoot || needsCommands('nft', 'nstat');

interface Loss {
  readonly drop: DropOptions;
  readonly client: Partial<TcpClientOptions>;
  /** Cause and state of each retransmission. */
  readonly wanted: readonly (readonly [cause: string, state: string])[];
}

const UPLOAD = { requestBytes: 300_007, replyBytes: 1 } as const;
const SEVEN_SEGMENTS = { requestBytes: 7 * 1448, replyBytes: 1 } as const;

const LOSSES: Readonly<Record<string, Loss>> = {
  'a segment in the middle': {
    drop: { only: 'data', kth: 5 },
    client: UPLOAD,
    wanted: [['fast', 'ESTABLISHED']],
  },
  'a segment in the middle, over IPv6': {
    drop: { only: 'data', kth: 5 },
    client: { ...UPLOAD, host: '::1' },
    wanted: [['fast', 'ESTABLISHED']],
  },
  'the last segment': {
    drop: { only: 'data', kth: 7 },
    client: SEVEN_SEGMENTS,
    wanted: [['tail_loss_probe', 'ESTABLISHED']],
  },
  'the last segment and its probe': {
    drop: { only: 'data', kth: [7, 8] },
    client: SEVEN_SEGMENTS,
    wanted: [
      ['tail_loss_probe', 'ESTABLISHED'],
      ['timeout', 'ESTABLISHED'],
    ],
  },
  'two SYNs': {
    drop: { only: 'syn', kth: [1, 2] },
    client: {},
    wanted: [
      ['syn', 'SYN_SENT'],
      ['syn', 'SYN_SENT'],
    ],
  },
};

interface Played {
  readonly rows: readonly Json[];
  readonly counters: Counters;
  readonly client: { readonly pid: number; readonly port: number };
}

/** One connection that loses what `drop` says, and what tcpretrans shows of it. */
async function play(
  t: Test,
  namespace: Namespace,
  { drop, client }: Loss,
  args: readonly string[],
): Promise<Played> {
  const tool = await startTool(t, namespace, 'tcpretrans', ['-o', 'json', ...args]);
  const at = { port: 7001, ...client };
  const server = await startProgram(namespace, 'tcp-server', at);
  const grown = await countFrom(namespace);
  const rule = dropPackets(namespace, { to: 7001, ...drop });
  const caller = await startProgram(namespace, 'tcp-client', at);
  const { connections } = await caller.go();
  const counters = await grown();
  t.equal(rule.dropped(), [drop.kth].flat().length);
  rule.remove();
  await caller.stop();
  await server.stop();
  await tool.stop();
  const port = connections[0]?.localPort ?? 0;
  return { rows: tool.objects(), counters, client: { pid: caller.pid, port } };
}

const told = (rows: readonly Json[]): unknown[] => rows.map(({ cause, state }) => [cause, state]);

t.test('each retransmission is told with its cause and its owner', { skip }, async (t) => {
  const namespace = createNamespace(t);
  plainDevice(namespace);
  for (const [name, loss] of Object.entries(LOSSES)) {
    // on a busy machine the kernel sends more again than what was lost: then it is tried anew
    const { rows, counters, client } = await provoke(
      () => play(t, namespace, loss, ['-l']),
      ({ rows }) => JSON.stringify(told(rows)) === JSON.stringify(loss.wanted),
    );
    t.strictSame(told(rows), loss.wanted, name);
    const segments = rows.reduce((sum, row) => sum + Number(row['segments']), 0);
    t.equal(segments, counters.TcpRetransSegs, 'as many as the kernel has counted');
    const { host = '127.0.0.1' } = loss.client;
    for (const row of rows)
      t.match(row, {
        pid: client.pid,
        process: 'node',
        type: row['cause'] === 'tail_loss_probe' ? 'L' : 'R',
        network_type: host === '::1' ? 'ipv6' : 'ipv4',
        network_local_address: host,
        network_local_port: client.port,
        network_peer_address: host,
        network_peer_port: 7001,
        seq: Number,
      });
  }
});

t.test("a SYN-ACK that is sent again is its listener's", { skip }, async (t) => {
  const namespace = createNamespace(t);
  const found = await provoke(
    async () => {
      const tool = await startTool(t, namespace, 'tcpretrans', ['-o', 'json']);
      const server = await startProgram(namespace, 'tcp-server', { port: 7001 });
      // the ACK of the handshake: nothing follows it, so the server asks again
      const rule = dropPackets(namespace, { to: 7001, kth: 2 });
      const grown = await countFrom(namespace);
      const client = await startProgram(namespace, 'tcp-client', {
        port: 7001,
        connectFirst: true,
      });
      await until(async () => (await grown()).TcpRetransSegs > 0, { what: 'it is sent again' });
      await client.go();
      const { TcpRetransSegs } = await grown();
      rule.remove();
      await client.stop();
      await server.stop();
      await tool.stop();
      return { rows: tool.objects(), pid: server.pid, TcpRetransSegs };
    },
    ({ rows, TcpRetransSegs }) => rows.length === 1 && TcpRetransSegs === 1,
  );
  t.equal(found.TcpRetransSegs, 1);
  t.strictSame(told(found.rows), [['synack', 'NEW_SYN_RECV']]);
  t.match(found.rows[0], {
    pid: found.pid,
    type: 'R',
    seq: null,
    network_local_address: '127.0.0.1',
    network_local_port: 7001,
  });
});

t.test("the table has bcc's columns, with -s and -l what they add", { skip }, async (t) => {
  const namespace = createNamespace(t);
  plainDevice(namespace);
  const loss = LOSSES['the last segment'];
  if (!loss) throw new Error('there is no such loss');
  const args = [[], ['-l'], ['-s']];
  const tables = await provoke(
    async () => {
      const tools = await Promise.all(
        args.map((options) => startTool(t, namespace, 'tcpretrans', options)),
      );
      const { client, rows } = await play(t, namespace, loss, []);
      await Promise.all(tools.map((tool) => tool.stop()));
      return { client, rows, lines: tools.map((tool) => tool.lines()) };
    },
    ({ rows, lines }) => rows.length === 1 && lines.every(({ length }) => length === 3),
  );
  const { client, rows, lines } = tables;
  const [plain, probes, sequences] = lines.map(([banner, head, row = '']) => {
    t.equal(banner, 'Tracing retransmits ... Hit Ctrl-C to end');
    t.match(row, /^\d\d:\d\d:\d\d /);
    return { head, row: row.slice(9) };
  });
  const start = `${String(client.pid).padEnd(7)} 4  ${`127.0.0.1:${client.port}`.padEnd(20)}`;
  const peer = '127.0.0.1:7001'.padEnd(20);
  t.strictSame(plain, {
    head: 'TIME     PID     IP LADDR:LPORT          T> RADDR:RPORT          STATE',
    row: `${start} R> ${peer} ESTABLISHED`,
  });
  t.strictSame(probes?.row, `${start} L> ${peer} ESTABLISHED`);
  t.strictSame(sequences, {
    head: 'TIME     PID     IP LADDR:LPORT          T> RADDR:RPORT          STATE        SEQ       ',
    row: `${start} R> ${peer} ESTABLISHED  ${String(rows[0]?.['seq']).padEnd(10)}`,
  });
});

t.test('-c counts by connection and says so at the end', { skip }, async (t) => {
  const namespace = createNamespace(t);
  plainDevice(namespace);
  const all = await provoke(
    async () => {
      const data = temporaryFolder(t);
      const tool = await startTool(t, namespace, 'tcpretrans', ['-c', '--data', data]);
      const [json, csv] = await Promise.all(
        ['json', 'csv'].map((to) => startTool(t, namespace, 'tcpretrans', ['-c', '-o', to])),
      );
      const grown = await countFrom(namespace);
      for (const kth of [[1, 2], [1]]) {
        const rule = dropPackets(namespace, { to: 7000, only: 'syn', kth });
        await runTcp(namespace);
        rule.remove();
      }
      const { TcpRetransSegs } = await grown();
      await Promise.all([tool, json, csv].map(async (each) => each?.stop()));
      const kept = readFileSync(join(data, 'tcpretrans.prom'), 'utf8');
      const [lines, rows] = [tool, csv].map((each) => each?.lines() ?? []);
      return { lines: lines ?? [], csv: rows, objects: json?.objects(), kept, TcpRetransSegs };
    },
    ({ lines, TcpRetransSegs }) => lines.length === 5 && TcpRetransSegs === 3,
  );
  t.equal(all.TcpRetransSegs, 3);
  const [banner, empty, head, ...rows] = all.lines;
  t.strictSame(
    [banner, empty, head],
    [
      'Tracing retransmits ... Hit Ctrl-C to end',
      '',
      'LADDR:LPORT               RADDR:RPORT               RETRANSMITS PID     COMM',
    ],
  );
  t.strictSame(
    rows.map((row) => row.replace(/#\d{5}/, '#.....').replace(/ \d+ +node$/, ' PID node')),
    [2, 1].map(
      (n) => `[127.0.0.1]#.....    <-> [127.0.0.1]#7000     ${String(n).padStart(10)}  PID node`,
    ),
    'most first',
  );
  t.match(all.objects, [{ flows: [{ retransmits: 2, process: 'node' }, { retransmits: 1 }] }]);
  t.strictSame(
    all.csv?.map((row) => row.replace(/:\d{5},/, ':.....,').replace(/\d+,node$/, 'PID,node')),
    [
      'LADDR:LPORT,RADDR:RPORT,RETRANSMITS,PID,COMM',
      ...[2, 1].map((n) => `127.0.0.1:.....,127.0.0.1:7000,${n},PID,node`),
    ],
  );
  t.match(
    all.kept,
    /^netwatch_tcp_events_total\{tool="tcpretrans",event="RETRANSMIT"\} 3$/m,
    'the .prom file',
  );
});

t.test('each filter of tcpretrans lets through what it says', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const filters = [['-4'], ['-6'], ['--port', '7000'], ['--port', '7001'], ['-p', '1']];
  const counts = await provoke(
    async () => {
      const tools = await Promise.all(
        filters.map((args) => startTool(t, namespace, 'tcpretrans', ['-o', 'json', ...args])),
      );
      for (const host of ['127.0.0.1', '::1']) {
        const rule = dropPackets(namespace, { to: 7000, only: 'syn', kth: 1 });
        await runTcp(namespace, { host }, { host });
        rule.remove();
      }
      await Promise.all(tools.map((tool) => tool.stop()));
      return tools.map((tool) => tool.objects().length);
    },
    (found) => found.join() === '1,1,2,0,0',
  );
  t.strictSame(counts, [1, 1, 2, 0, 0]);
});

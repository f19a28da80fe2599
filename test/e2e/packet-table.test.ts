// The packet table on the screen against packets.log, nstat and the processes behind the traffic.
import t from 'tap';
import { dropPackets, plainDevice } from '../../scripts/traffic/faults.js';
import { startCollector, type Collector } from '../support/collector.js';
import { createNamespace } from '../support/netns.js';
import { countFrom } from '../support/nstat.js';
import { packetLines } from '../support/packets.js';
import { needsCommands, needsRoot } from '../support/skip.js';
import { runTcp, startProgram } from '../support/traffic.js';
import { until } from '../support/wait.js';

const skip = needsRoot || needsCommands('nft', 'nstat');

interface Row {
  readonly process: string;
  readonly src: string;
  readonly dst: string;
  readonly received: boolean;
  readonly flags: string;
  /** Numbers between FLAGS and the text at the end. */
  readonly numbers: readonly string[];
  readonly isMarked: boolean;
  readonly rest: string;
}

const ROW =
  /^\d\d:\d\d:\d\d\.\d{3} (.+?) +(\S+:\d+) +([→←]) (\S+:\d+) +([SFRPUEW.]+)((?: +(?:[\d.]+|-))+)(?: +(\[retransmit\]))?(?: (.*))?$/;

function rowsOf(collector: Collector): Row[] {
  const [, ...rows] = collector.stdout().split('\n').slice(0, -1);
  return rows.map((row) => {
    const found = ROW.exec(row);
    if (found === null) throw new Error(`no row: ${row}`);
    const [, process = '', src = '', arrow, dst = '', flags = '', numbers = '', mark, rest = ''] =
      found;
    return {
      ...{ process, src, dst, received: arrow === '←', flags, rest },
      ...{ numbers: numbers.trim().split(/ +/), isMarked: mark !== undefined },
    };
  });
}

t.test('the table has a row for every line, with its process', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const http = { port: 8080, host: '127.0.0.1' };
  const older = await startProgram(namespace, 'http-server', http, { comm: 'web-server' });
  const collector = await startCollector(t, namespace, ['-t', '-i', '-v', '--interval', '1']);
  for (const host of ['127.0.0.1', '::1']) {
    const tcp = { port: 7000, host, connections: 3, rounds: 7 };
    const server = await startProgram(namespace, 'tcp-server', tcp, { comm: 'tcp-server' });
    const caller = await startProgram(namespace, 'tcp-client', tcp, { comm: 'tcp-client' });
    t.equal((await caller.go()).completed, 3);
    await caller.stop();
    await server.stop();
  }
  const requests = [{ path: '/bytes/10' }, { method: 'PUT', body: 3 }];
  const calls = { ...http, total: 5, requests };
  const client = await startProgram(namespace, 'http-client', calls, { comm: 'web-client' });
  await client.go();
  await client.stop();
  await older.stop();
  await collector.stop();
  const [header] = collector.stdout().split('\n', 1);
  const columns = 'TIME PROCESS SRC → DST FLAGS SEQ ACK LENGTH MAC_us IP_us TCP_us HTTP';
  t.equal(header?.replace(/ +/g, ' '), columns);
  const lines = packetLines(collector.samples('packets.log'));
  const rows = rowsOf(collector);
  t.ok(lines.length > 100);
  const us = (text: string | undefined): number | null => (text === '-' ? null : Number(text));
  const rounded = (time: number | null | undefined): number | null =>
    typeof time !== 'number' ? null : Number(time < 9.95 ? time.toFixed(1) : time.toFixed(0));
  t.strictSame(
    rows.map(({ src, dst, received, numbers: [seq, ack, length, ...times], rest }) => ({
      ...{ src, dst, received, seq, ack, length, times: times.map(us), http: rest },
    })),
    lines.map(({ src, dst, received, seq, ack, bytes, macUs, ipUs, tcpUs, http }) => ({
      ...{ src, dst, received, seq: `${seq}`, ack: `${ack}`, length: `${bytes}` },
      ...{ times: [macUs, ipUs, tcpUs].map(rounded), http: http ?? '' },
    })),
  );
  const owner = ({ src, dst }: Row): string => {
    const side = /:(7000|8080)$/.test(src) ? 'server' : 'client';
    const kind = /:7000$/.test(src) || /:7000$/.test(dst) ? 'tcp' : 'web';
    return `${kind}-${side}`;
  };
  t.strictSame(
    rows.map(({ process }) => process),
    rows.map(owner),
    'of the handshake, of the last ACK, of a listener older than netwatch',
  );
  t.equal(rows.filter(({ isMarked }) => isMarked).length, 0, 'nothing was sent again');
});

t.test('what is sent again is marked, and nothing else', { skip }, async (t) => {
  const namespace = createNamespace(t);
  plainDevice(namespace, 'lo');
  const collector = await startCollector(t, namespace);
  const grown = await countFrom(namespace);
  const upload = { requestBytes: 300_007, replyBytes: 1 } as const;
  const losses = [
    { drop: { only: 'data', kth: [5, 6, 9] }, client: upload },
    { drop: { only: 'data', kth: [7, 8] }, client: { requestBytes: 7 * 1448 } },
    { drop: { only: 'syn', kth: 1 }, client: {} },
    { drop: { only: 'syn-ack', kth: [1, 2] }, client: {} },
    { drop: { percent: 3 }, client: { ...upload, rounds: 3 } },
  ] as const;
  for (const [i, { drop, client }] of losses.entries()) {
    const port = 7000 + i;
    const rule = dropPackets(namespace, {
      ...('only' in drop && drop.only === 'syn-ack' ? { from: port } : { to: port }),
      ...drop,
    });
    await runTcp(namespace, { port, ...client }, { port });
    t.ok(rule.dropped() > 0);
    rule.remove();
  }
  const { TcpRetransSegs, TcpOutSegs } = await grown();
  await collector.stop();
  const rows = rowsOf(collector);
  const sent = rows.filter(({ received }) => !received);
  t.equal(sent.filter(({ isMarked }) => isMarked).length, TcpRetransSegs);
  // The kernel counts a SYN-ACK that is sent again among both.
  const again = (flags: string): number =>
    sent.filter((row) => row.isMarked && row.flags === flags).length;
  t.equal(sent.filter(({ isMarked }) => !isMarked).length, TcpOutSegs - again('S.'));
  t.ok(again('S') >= 1);
  t.ok(again('S.') >= 2);
  t.equal(rows.filter(({ received, isMarked }) => received && isMarked).length, 0);
});

t.test('a SYN that nobody answers names its process while it waits', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const collector = await startCollector(t, namespace);
  dropPackets(namespace, { to: 7000, only: 'syn' });
  const options = { port: 7000, host: '127.0.0.1' };
  const caller = await startProgram(namespace, 'tcp-client', options, { comm: 'waits' });
  const answer = caller.go().catch(() => undefined);
  const syn = (): Row | undefined => rowsOf(collector).find(({ flags }) => flags === 'S');
  const { process, dst } = await until(syn, { what: 'the row of the SYN' });
  t.strictSame({ process, dst }, { process: 'waits', dst: '127.0.0.1:7000' });
  caller.signal('SIGKILL');
  await answer;
  await collector.stop();
});

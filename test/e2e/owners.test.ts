// Whose a connection is: the process that reads and writes it, whoever accepted it and whenever the
// tool was started. The witness is the cast itself, which knows its pids and its bytes.
import t, { type Test } from 'tap';
import {
  ANSWER_BYTES,
  CAST,
  compileCast,
  PAGES_BYTES,
  REQUEST_BYTES,
  startCast,
  WORKER,
  type Cast,
  type CastKind,
} from '../support/cast.js';
import { startCollector } from '../support/collector.js';
import { parseNdjson, type Json } from '../support/ndjson.js';
import { createNamespace, type Namespace } from '../support/netns.js';
import { losses, select } from '../support/samples.js';
import { needsRoot } from '../support/skip.js';
import { startTool, type RunningTool } from '../support/tool.js';
import { until } from '../support/wait.js';

const PORT = 7400;
const program = compileCast(t);
const skip = needsRoot || (program === null && 'no C compiler (cc or clang) on this machine');

const json = ['-o', 'json'];

const play = (t: Test, namespace: Namespace, kind: CastKind): Promise<Cast> =>
  startCast(t, namespace, program ?? '', kind, PORT);

/** What a tool said of the server's end, once `enough` of it is there. */
async function ofServer(
  tool: RunningTool,
  enough: (rows: readonly Json[]) => boolean,
): Promise<readonly Json[]> {
  const rows = (): readonly Json[] =>
    tool.objects().filter((row) => row['network_local_port'] === PORT && row['network_peer_port']);
  await until(() => enough(rows()), { what: `the server's end in ${tool.stdout()}` });
  await tool.stop();
  return rows();
}

const hasClosed = (rows: readonly Json[]): boolean =>
  rows.some(({ state, event }) => state === 'CLOSE' || event === 'CLOSE' || event === 'close');
const hasRow = (rows: readonly Json[]): boolean => rows.length > 0;

const pick = (rows: readonly Json[], ...fields: readonly string[]): Json[] =>
  rows.map((row) => Object.fromEntries(fields.map((field) => [field, row[field]])) as Json);

for (const kind of ['fork', 'exec'] as const)
  t.test(`a worker by ${kind} after accept() owns what it serves`, { skip }, async (t) => {
    const namespace = createNamespace(t);
    const early = await Promise.all([
      startTool(t, namespace, 'tcpstates', json),
      startTool(t, namespace, 'tcplife', json),
      startTool(t, namespace, 'insight', ['-e', 'CLOSE', ...json]),
      startTool(t, namespace, 'tcptracer', json),
    ]);
    const cast = await play(t, namespace, kind);
    const { acceptor, worker } = await cast.connect();
    const late = await Promise.all([
      startTool(t, namespace, 'tcpstates', json),
      startTool(t, namespace, 'tcpstates', ['-p', `${worker}`, ...json]),
      startTool(t, namespace, 'tcpstates', ['-p', `${acceptor}`, ...json]),
    ]);
    await cast.exchange();
    await cast.close();

    const owner = { pid: worker, process: kind === 'exec' ? WORKER : CAST };
    const acceptedBy = { accepted_by: { pid: acceptor, process: CAST } };
    const [states, life, insight, tracer] = early;
    const changes = await ofServer(states, hasClosed);
    const ends = changes.filter(({ state_before: before }) => before !== 'LISTEN').slice(1);
    t.strictSame(
      pick(ends, 'pid', 'process', 'accepted_by', 'state'),
      ['FIN_WAIT1', 'FIN_WAIT2', 'CLOSE'].map((state) => ({ ...owner, ...acceptedBy, state })),
    );
    t.strictSame(pick(await ofServer(life, hasRow), 'pid', 'process', 'accepted_by'), [
      { ...owner, ...acceptedBy },
    ]);
    t.strictSame(pick(await ofServer(insight, hasClosed), 'pid', 'process', 'accepted_by'), [
      { ...owner, ...acceptedBy },
    ]);
    const traced = await ofServer(tracer, hasClosed);
    t.strictSame(pick(traced, 'event', 'pid', 'process', 'accepted_by'), [
      { event: 'accept', pid: acceptor, process: CAST, accepted_by: undefined },
      { event: 'close', ...owner, ...acceptedBy },
    ]);

    const [all, ofWorker, ofAcceptor] = late;
    const seen = await ofServer(all, hasClosed);
    t.strictSame(pick(seen, 'pid', 'process', 'state'), pick(ends, 'pid', 'process', 'state'));
    t.notOk('accepted_by' in (seen[0] ?? {}), 'who accepted it is not known any more');
    t.strictSame(pick(await ofServer(ofWorker, hasClosed), 'state'), pick(ends, 'state'));
    await ofAcceptor.stop();
    t.strictSame(
      ofAcceptor.objects().filter((row) => row['network_peer_port']),
      [],
      'nothing of the connection is its acceptor’s',
    );
  });

for (const kind of ['fork', 'reset'] as const)
  t.test(`one that closes without a word owns it too: ${kind}`, { skip }, async (t) => {
    const namespace = createNamespace(t);
    const [life, tracer, states] = await Promise.all([
      startTool(t, namespace, 'tcplife', json),
      startTool(t, namespace, 'tcptracer', json),
      startTool(t, namespace, 'tcpstates', json),
    ]);
    const cast = await play(t, namespace, kind);
    const { acceptor, worker } = await cast.connect();
    await cast.close();
    const owner = { pid: worker, accepted_by: { pid: acceptor, process: CAST } };
    t.strictSame(pick(await ofServer(life, hasRow), 'pid', 'accepted_by'), [owner]);
    const traced = (await ofServer(tracer, hasClosed)).filter(({ event }) => event === 'close');
    t.strictSame(pick(traced, 'pid', 'accepted_by'), [owner]);
    const end = (await ofServer(states, hasClosed)).filter(
      ({ state_before: before }) => before === 'ESTABLISHED',
    );
    const state = kind === 'reset' ? 'CLOSE' : 'FIN_WAIT1';
    t.strictSame(pick(end, 'pid', 'accepted_by', 'state'), [{ ...owner, state }]);
  });

t.test('the collector hands a connection over to its worker', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const collector = await startCollector(t, namespace, ['--ndjson', '-q', '--interval', '0.2']);
  const cast = await play(t, namespace, 'fork');
  const { acceptor, worker } = await cast.connect();
  const late = await startCollector(t, namespace, [
    '-q',
    '--pid',
    `${worker}`,
    '--interval',
    '0.2',
  ]);
  await cast.exchange();
  const owned = await late.waitFor(
    'connects.log',
    (samples) => select(samples, 'netwatch_connection_info', { pid: `${worker}` }).length === 1,
    'the connection of the worker',
  );
  t.equal(select(owned, 'netwatch_connection_info').length, 1, 'and no other');
  await cast.close();
  t.strictSame(await collector.stop(), { code: 0, signal: null });
  t.strictSame(await late.stop(), { code: 0, signal: null });
  const events = parseNdjson(collector.read('connects.ndjson')).filter(
    (event) => event['network_local_port'] === PORT,
  );
  const named = events.filter(({ event }) =>
    ['connection_accept', 'connection_handover'].includes(String(event)),
  );
  t.strictSame(pick(named, 'event', 'pid', 'accepted_by'), [
    { event: 'connection_accept', pid: acceptor, accepted_by: undefined },
    {
      event: 'connection_handover',
      pid: worker,
      accepted_by: { pid: acceptor, process: CAST },
    },
  ]);
  t.strictSame(losses(collector.samples('netwatch.prom')), {});
});

/** Bytes by process of tcptop's or tcp_bytes' rows. */
const moved = (tool: RunningTool, pid: number): { sent: number; received: number } => {
  const rows = tool.objects().filter((row) => row['pid'] === pid);
  const sum = (field: string): number => rows.reduce((all, row) => all + Number(row[field]), 0);
  return { sent: sum('bytes_sent'), received: sum('bytes_received') };
};

for (const kind of ['mptcp', 'mptcp-fork', 'ring', 'multishot'] as const)
  t.test(`what ${kind} accepts, sends and receives is told once`, { skip }, async (t) => {
    const namespace = createNamespace(t);
    const cast = await play(t, namespace, kind);
    if (cast.lacks !== null) {
      t.comment(cast.lacks);
      t.ok(true, 'this kernel has no such sockets');
      return;
    }
    const [top, bytes, subnets, insight, accepts, both, tracer, states] = await Promise.all([
      startTool(t, namespace, 'tcptop', ['600', ...json]),
      startTool(t, namespace, 'tcp_bytes', json),
      startTool(t, namespace, 'tcpsubnet', ['-i', '600', ...json]),
      startTool(t, namespace, 'insight', ['-e', 'ACCEPT,SEND,RECEIVE,CLOSE', ...json]),
      startTool(t, namespace, 'tcpaccept', json),
      startTool(t, namespace, 'tcp_connection', json),
      startTool(t, namespace, 'tcptracer', json),
      startTool(t, namespace, 'tcpstates', json),
    ]);
    const { acceptor, worker, client } = await cast.connect();
    await cast.exchange();
    await cast.close();
    const changes = await ofServer(states, hasClosed);
    const last = changes.slice(-1);
    t.strictSame(pick(last, 'pid', 'state'), [{ pid: worker, state: 'CLOSE' }]);
    const pids = new Set(states.objects().map(({ pid }) => pid));
    t.strictSame(
      [...pids].filter((pid) => pid !== null && ![acceptor, worker, client].includes(Number(pid))),
      [],
      'no kernel thread owns anything',
    );
    const events = await ofServer(insight, hasClosed);
    t.strictSame(
      pick(
        events.filter(({ event }) => event === 'ACCEPT'),
        'pid',
      ),
      [{ pid: acceptor }],
    );
    const bytesOf = (name: string): number =>
      events
        .filter(({ event }) => event === name)
        .reduce((sum, { bytes }) => sum + Number(bytes), 0);
    t.equal(bytesOf('RECEIVE'), REQUEST_BYTES);
    t.equal(bytesOf('SEND'), ANSWER_BYTES);
    t.strictSame(pick(await ofServer(accepts, hasRow), 'pid'), [{ pid: acceptor }]);
    t.strictSame(pick(await ofServer(both, hasRow), 'pid', 'direction'), [
      { pid: acceptor, direction: 'accept' },
    ]);
    t.strictSame(pick(await ofServer(tracer, hasClosed), 'event', 'pid'), [
      { event: 'accept', pid: acceptor },
      { event: 'close', pid: worker },
    ]);
    for (const tool of [top, bytes]) {
      await tool.stop();
      t.strictSame(moved(tool, worker), { sent: ANSWER_BYTES, received: REQUEST_BYTES });
      t.strictSame(moved(tool, client), { sent: REQUEST_BYTES, received: ANSWER_BYTES });
    }
    await subnets.stop();
    const sent = subnets.objects().reduce((sum, row) => sum + Number(row['bytes_sent']), 0);
    t.equal(sent, REQUEST_BYTES + ANSWER_BYTES);
  });

t.test('pages that TCP_ZEROCOPY_RECEIVE maps are received bytes', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const cast = await play(t, namespace, 'zerocopy');
  const [top, bytes, insight] = await Promise.all([
    startTool(t, namespace, 'tcptop', ['600', ...json]),
    startTool(t, namespace, 'tcp_bytes', json),
    startTool(t, namespace, 'insight', ['-e', 'RECEIVE,CLOSE', ...json]),
  ]);
  const { worker } = await cast.connect();
  await cast.exchange();
  await cast.close();
  t.ok(cast.mapped() > PAGES_BYTES / 2, `${cast.mapped()} bytes were mapped`);
  const events = await ofServer(insight, hasClosed);
  const received = events
    .filter(({ event }) => event === 'RECEIVE')
    .reduce((sum, row) => sum + Number(row['bytes']), 0);
  t.equal(received, PAGES_BYTES);
  for (const tool of [top, bytes]) {
    await tool.stop();
    t.strictSame(moved(tool, worker), { sent: ANSWER_BYTES, received: PAGES_BYTES });
  }
});

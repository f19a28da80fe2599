// Tables of owners: what they have no room for is counted and reported, and what they hold leaves with
// its socket. Each is filled to its last place while a tool runs.
import t, { type Test } from 'tap';
import { hashEntries } from '../support/bpf.js';
import { compileCast, startCast, type CastKind } from '../support/cast.js';
import { startCollector } from '../support/collector.js';
import { emptyMap, fillMap } from '../support/map-fill.js';
import { createNamespace, type Namespace } from '../support/netns.js';
import { total } from '../support/samples.js';
import { needsRoot } from '../support/skip.js';
import { startTool } from '../support/tool.js';
import { until } from '../support/wait.js';

const PORT = 7450;
const program = compileCast(t);
const skip = needsRoot || (program === null && 'no C compiler (cc or clang) on this machine');

interface Table {
  readonly name: string;
  readonly entries: number;
  readonly tool: string;
  readonly args: readonly string[];
  readonly kind: CastKind;
  /** How often a connection that is accepted and closed asks for a place. */
  readonly asks: number;
}

const TABLES: readonly Table[] = [
  // accept() has returned
  {
    ...{ name: 'shared_accepted', entries: 16_384, tool: 'tcplife', args: [] },
    ...{ kind: 'plain', asks: 1 },
  },
  // both ends, and once more when the server's has been accepted
  {
    ...{ name: 'owners_by_ends', entries: 65_536, tool: 'tcpdrop', args: [] },
    ...{ kind: 'plain', asks: 3 },
  },
  // listen(), connect(), accept()
  {
    ...{ name: 'shared_mptcp', entries: 16_384, tool: 'tcpstates', args: [] },
    ...{ kind: 'mptcp', asks: 3 },
  },
  // one request, which accepts until it is cancelled
  {
    ...{ name: 'accepting', entries: 4096, tool: 'tcpaccept', args: [] },
    ...{ kind: 'multishot', asks: 1 },
  },
  // a child of the listener
  {
    ...{ name: 'insight_waiting', entries: 16_384, tool: 'insight', args: ['-e', 'ACCEPT'] },
    ...{ kind: 'plain', asks: 1 },
  },
];

/** A connection from listen() to its last ACK; why this kernel cannot have it, or null. */
async function playOnce(t: Test, namespace: Namespace, kind: CastKind): Promise<string | null> {
  const cast = await startCast(t, namespace, program ?? '', kind, PORT);
  if (cast.lacks !== null) return cast.lacks;
  await cast.connect();
  await cast.close();
  await cast.end();
  return null;
}

for (const { name, entries, tool, args, kind, asks } of TABLES)
  t.test(`${name} counts what it has no room for, and keeps nothing`, { skip }, async (t) => {
    const namespace = createNamespace(t);
    const running = await startTool(t, namespace, tool, args);
    const held = (): number | undefined => hashEntries(running.pid)[name.slice(0, 15)];
    t.equal(fillMap(running.pid, name), entries);
    const lacks = await playOnce(t, namespace, kind);
    if (lacks !== null) {
      t.comment(lacks);
      return;
    }
    t.equal(emptyMap(running.pid, name), entries);
    t.equal(held(), 0, 'a refused entry is not there later');
    await playOnce(t, namespace, kind);
    await until(() => held() === 0, { what: `${name} is empty, not ${held()}` });
    t.match(await running.stop(), { code: 0 });
    const said = / (\d+) times a table of sockets and their owners was full /.exec(
      running.stderr(),
    );
    t.equal(said?.[1], `${asks}`, 'only of the connection that found it full');
  });

t.test('the collector counts the same in its file, and at its end', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const collector = await startCollector(t, namespace, ['-q', '--interval', '0.2']);
  const table = 'shared_accepted';
  const entries = fillMap(collector.pid, table);
  await playOnce(t, namespace, 'plain');
  t.equal(emptyMap(collector.pid, table), entries);
  await playOnce(t, namespace, 'plain');
  await until(() => hashEntries(collector.pid)[table] === 0, { what: `${table} is empty` });
  t.match(await collector.stop(), { code: 0 });
  const samples = collector.samples('netwatch.prom');
  const lost = (labels: Readonly<Record<string, string>>): number =>
    total(samples, 'netwatch_events_lost_total', labels);
  t.equal(lost({ source: 'connection', stage: 'map_full' }), 1);
  t.equal(lost({}), 1, 'nothing else was lost');
  t.match(collector.stderr(), '1 owners of connection (table full)');
});

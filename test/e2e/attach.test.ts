// Every program there is gets attached, and nothing of them is left after any kind of end.
import t from 'tap';
import { bpfObjectsGone, bpfObjectsOf, heldPrograms } from '../support/bpf.js';
import { startCollector, type Collector } from '../support/collector.js';
import { createNamespace } from '../support/netns.js';
import { select } from '../support/samples.js';
import { needsCommands, needsRoot } from '../support/skip.js';
import { CLOSED_PORT, runHttp, runTcp } from '../support/traffic.js';
import { programsInSources } from '../support/vm-programs.js';

const skip = needsRoot || needsCommands('bpftool');
const EVERYTHING = ['-a', '-x', '-r', '-t', '-i', '-e', '--strict'];

/**
 * What stands in for others on older kernels (drops without a reason, no storage in sockets, io_uring), and
 * the packet programs without layer times.
 */
const INSTEAD = [
  ...['tcp_bad_csum', 'forget_socket', 'user_reads', 'ring_submitted_sqe'],
  ...['packet_ingress', 'packet_egress', 'socket_begins'],
];

/** What the collector watches with; the other objects are those of tools. */
const SOURCES = ['cgroup', 'connection', 'packet', 'fault'];

/** The programs of these sources, by name; without those for kernels that allow fentry. */
const programNames = (): string[] =>
  programsInSources()
    .filter(({ source, attachType }) => SOURCES.includes(source) && attachType !== 'fentry')
    .map(({ name }) => name);

t.test('every program is attached, and gone after any end', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const programs = programNames().filter((name) => !INSTEAD.includes(name));
  t.ok(programs.length >= 20, `${programs.length} programs`);
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGKILL'] as const) {
    await t.test(signal, async (t) => {
      const collector = await startCollector(t, namespace, [
        ...EVERYTHING,
        '-q',
        '--interval',
        '0.1',
      ]);
      t.match(
        collector.stderr(),
        new RegExp(`^netwatch: ready after \\d+ ms: ${programs.length} programs attached; `),
      );
      const state = select(await collector.pulled(), 'netwatch_bpf_program_attached');
      t.strictSame(state.map(({ labels }) => labels['program']).sort(), programs.sort());
      t.ok(state.every(({ value }) => value === 1));
      const held = bpfObjectsOf(collector.pid);
      t.ok(held.programs.length >= programs.length);
      t.ok(held.links.length > 0);
      const exit = await collector.stop(signal);
      t.strictSame(exit, signal === 'SIGKILL' ? { code: null, signal } : { code: 0, signal: null });
      await t.resolves(bpfObjectsGone(held));
    });
  }
});

t.test(
  'without options there are fewer programs, and they end by --duration',
  { skip },
  async (t) => {
    const namespace = createNamespace(t);
    const collector = await startCollector(t, namespace, ['-q', '--strict', '--duration', '0.3']);
    const held = bpfObjectsOf(collector.pid);
    const own = heldPrograms(collector.pid).filter(({ name }) => !name?.endsWith('_nested'));
    t.ok(own.length > 0 && own.length < 20, `${own.length} programs`);
    t.strictSame(await collector.exited, { code: 0, signal: null });
    await t.resolves(bpfObjectsGone(held));
  },
);

t.test('the summary counts the lines of the files', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const collector = await startCollector(t, namespace, EVERYTHING);
  await runTcp(namespace, { connections: 7, rounds: 3 });
  await runTcp(namespace, { connections: 3, port: CLOSED_PORT });
  await runHttp(namespace, { total: 13, host: '::1' });
  await collector.stop();
  const lines = (file: string): number => collector.samples(file).length;
  const said = collector.stderr();
  const number = (pattern: RegExp): number => Number(pattern.exec(said)?.[1]);
  t.equal(number(/ (\d+) packets, /), lines('packets.log'));
  t.equal(number(/ (\d+) connections closed, /), 2 * (7 + 1) + 3);
  t.equal(number(/ (\d+) drops and resets; /), lines('err.log'));
  t.equal(number(/; (\d+) records lost/), 0);
  for (const file of ['connects.log', 'packets.log', 'err.log']) {
    t.ok(lines(file) > 0);
    t.equal(number(new RegExp(` (\\d+) in ${file}`)), lines(file));
    t.equal(written(collector, file), lines(file));
  }
});

const written = (collector: Collector, file: string): number | undefined =>
  select(collector.samples('netwatch.prom'), 'netwatch_records_written_total', { file })[0]?.value;

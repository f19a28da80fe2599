// `netwatch softirqs` against /proc/softirqs and a known number of packets. Other work on the machine makes
// interrupts too: what is counted lies between those that were provoked and the kernel's own count.
import { execFile } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { cpus } from 'node:os';
import { join } from 'node:path';
import t from 'tap';
import { PROGRAM, temporaryFolder } from '../support/collector.js';
import { provoke } from '../support/provoke.js';
import type { Json } from '../support/ndjson.js';
import { createNamespace, type Namespace, type Teardown } from '../support/netns.js';
import { sendDatagrams } from '../support/nic.js';
import { parseExposition, total } from '../support/samples.js';
import { needsRoot } from '../support/skip.js';
import { startTool } from '../support/tool.js';

const skip = needsRoot;

/** Each packet to this namespace itself raises NET_RX, on the first CPU. */
const PACKETS = 2003;

/** The kernel's counts by name, for each CPU. */
function softirqCounts(): ReadonlyMap<string, readonly number[]> {
  const [, ...lines] = readFileSync('/proc/softirqs', 'utf8').trimEnd().split('\n');
  return new Map(
    lines.map((line) => {
      const [name = '', ...counts] = line.trim().split(/:?\s+/);
      return [name, counts.map(Number)];
    }),
  );
}

/** bcc's names of vectors, where they are not the kernel's in lower case. */
const KERNEL_NAMES: Readonly<Record<string, string>> = { irq_poll: 'IRQ_POLL' };
const kernelName = (vector: string): string => KERNEL_NAMES[vector] ?? vector.toUpperCase();

interface Seen {
  readonly lines: readonly string[];
  readonly objects: readonly Json[];
  /** What the kernel has counted meanwhile, and before and after it too. */
  readonly atMost: (vector: string, cpu?: number) => number;
}

/** A run during which a known number of packets comes. */
async function watch(t: Teardown, namespace: Namespace, args: readonly string[]): Promise<Seen> {
  const before = softirqCounts();
  const running = await startTool(t, namespace, 'softirqs', args);
  await sendDatagrams(namespace, '127.0.0.1', 10, PACKETS);
  await running.stop();
  const after = softirqCounts();
  const counts = (of: typeof before, vector: string, cpu?: number): number => {
    const all = of.get(kernelName(vector)) ?? [];
    return all.filter((_, i) => cpu === undefined || i === cpu).reduce((a, b) => a + b, 0);
  };
  return {
    lines: running.lines(),
    objects: args.includes('json') ? running.objects() : [],
    atMost: (vector, cpu) => counts(after, vector, cpu) - counts(before, vector, cpu),
  };
}

const eventsOf = (objects: readonly Json[], vector: string): number =>
  objects
    .filter(({ softirq }) => softirq === vector)
    .reduce((sum, { events }) => sum + Number(events), 0);

t.test('each kind is counted, never more often than by the kernel', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const { objects, atMost } = await provoke(
    () => watch(t, namespace, ['-C', '-o', 'json']),
    ({ objects }) => eventsOf(objects, 'net_rx') >= PACKETS,
  );
  t.ok(eventsOf(objects, 'net_rx') >= PACKETS, `${eventsOf(objects, 'net_rx')} of ${PACKETS}`);
  for (const { softirq, events } of objects) {
    const most = atMost(String(softirq));
    t.ok(Number(events) > 0 && Number(events) <= most, `${String(softirq)}: ${most} in all`);
  }
  const counts = objects.map(({ events }) => Number(events));
  t.strictSame(
    counts,
    [...counts].sort((a, b) => a - b),
    'the smallest first',
  );
});

t.test('with -c only the interrupts of one CPU count', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const { objects, atMost } = await provoke(
    () => watch(t, namespace, ['-C', '-c', '0', '-o', 'json']),
    ({ objects }) => eventsOf(objects, 'net_rx') >= PACKETS,
  );
  t.ok(eventsOf(objects, 'net_rx') >= PACKETS);
  for (const { softirq, events } of objects)
    t.ok(Number(events) <= atMost(String(softirq), 0), `${String(softirq)} of the first CPU`);
  if (cpus().length < 2) return;
  const other = await watch(t, namespace, ['-C', '-c', '1', '-o', 'json']);
  const most = other.atMost('net_rx', 1);
  t.ok(eventsOf(other.objects, 'net_rx') <= most, `${most} of the second, which sends nothing`);
  t.ok(other.atMost('net_rx', 0) >= PACKETS, 'while the first one has them all');
});

t.test('intervals add up to the sums of the file', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const folder = temporaryFolder(t);
  const args = ['-N', '0.02', '-o', 'json', '--data', folder];
  const { objects, atMost } = await provoke(
    () => watch(t, namespace, args),
    ({ objects }) => eventsOf(objects, 'net_rx') >= PACKETS,
  );
  t.ok(new Set(objects.map(({ time }) => time)).size > 1, 'several reports');
  const { samples } = parseExposition(readFileSync(join(folder, 'softirqs.prom'), 'utf8'));
  const vectors = new Set(objects.map(({ softirq }) => String(softirq)));
  for (const vector of vectors) {
    const count = total(samples, 'netwatch_softirqs_total', { vector });
    t.equal(eventsOf(objects, vector), count, `${vector}: each in one report`);
    t.ok(count <= atMost(vector));
    const ns = objects
      .filter(({ softirq }) => softirq === vector)
      .reduce((sum, object) => sum + Number(object['duration_ns']), 0);
    const seconds = total(samples, 'netwatch_softirq_seconds_total', { vector });
    t.ok(Math.abs(ns / 1e9 - seconds) < 1e-9, `${vector}: ${ns} ns`);
  }
});

t.test('tables and histograms are those of the original', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const banner = 'Tracing soft irq event time... Hit Ctrl-C to end.';
  const { lines } = await watch(t, namespace, ['-T']);
  t.strictSame(lines.slice(0, 2), [banner, '']);
  t.match(lines[2], /^\d\d:\d\d:\d\d$/);
  t.equal(lines[3], 'SOFTIRQ          TOTAL_usecs');
  t.ok(lines.slice(4).every((line) => /^[a-z_]{2,8} +\d+$/.test(line) && line.length === 28));
  t.ok(lines.some((line) => line.startsWith('net_rx ')));
  const nanoseconds = await watch(t, namespace, ['-N']);
  t.equal(nanoseconds.lines[2], 'SOFTIRQ          TOTAL_nsecs');
  const events = await watch(t, namespace, ['-C']);
  t.strictSame(events.lines.slice(0, 3), [
    'Tracing soft irq events... Hit Ctrl-C to end.',
    '',
    'SOFTIRQ          TOTAL_count',
  ]);
  const dist = await watch(t, namespace, ['-d']);
  t.strictSame(dist.lines.slice(0, 3), [banner, '', '']);
  t.match(dist.lines[3], /^softirq = [a-z_]+$/);
  t.equal(dist.lines[4], '     usecs               : count     distribution');
  t.match(dist.lines[5], /^ {9}0 -> 1 {10}: \d+ +\|[* ]{40}\|$/);
});

t.test("libbpf-tools' long names do what they do there", { skip }, async (t) => {
  const namespace = createNamespace(t);
  const { lines, atMost } = await provoke(
    () => watch(t, namespace, ['--count']),
    ({ lines }) => Number(/^net_rx .* (\d+)$/m.exec(lines.join('\n'))?.[1]) >= PACKETS,
  );
  t.equal(lines[2], 'SOFTIRQ          TOTAL_usecs  TOTAL_count');
  const row = lines.find((line) => line.startsWith('net_rx '));
  t.match(row, /^net_rx {11} *[1-9]\d* {2} +\d+$/, 'time, then how many');
  t.ok(Number(row?.slice(-11)) <= atMost('net_rx'));
  const { lines: dist } = await watch(t, namespace, ['--distributed']);
  t.match(dist[3], /^softirq = [a-z_]+$/);
});

t.test('a histogram holds each interrupt once', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const inBuckets = (objects: readonly Json[]): number => {
    const of = objects.find(({ softirq }) => softirq === 'net_rx');
    const buckets = (of?.['buckets'] ?? []) as readonly { readonly count: number }[];
    return buckets.reduce((sum, { count }) => sum + count, 0);
  };
  const { objects, atMost } = await provoke(
    () => watch(t, namespace, ['-d', '-N', '-o', 'json']),
    ({ objects }) => inBuckets(objects) >= PACKETS,
  );
  t.ok(inBuckets(objects) >= PACKETS && inBuckets(objects) <= atMost('net_rx'));
  t.equal(objects[0]?.['unit'], 'nsecs');
});

function run(args: readonly string[]): Promise<{ code: unknown; stdout: string; stderr: string }> {
  return new Promise((resolve) => {
    execFile(process.execPath, [PROGRAM, 'softirqs', ...args], (error, stdout, stderr) => {
      resolve({ code: error?.code ?? 0, stdout, stderr });
    });
  });
}

t.test('it ends after as many reports as were asked for', { skip }, async (t) => {
  const { code, stdout } = await run(['0.1', '3', '-C']);
  t.equal(code, 0);
  t.equal(stdout.split('SOFTIRQ ').length - 1, 3);
});

t.test(
  'a CPU that there is not, and options that exclude each other, are refused',
  { skip },
  async (t) => {
    const cases = [
      [['-c', '8000'], /^netwatch: there is no CPU 8000\n {2}this machine has CPUs 0 to \d+\n$/],
      [
        ['-C', '-d'],
        /^netwatch: The --events option can't be used with time-based options\n {2}\S/,
      ],
      [
        ['-C', '-N'],
        /^netwatch: The --events option can't be used with time-based options\n {2}\S/,
      ],
      [['--cgroup', '/'], /^netwatch: software interrupts belong to no cgroup\n {2}\S/],
    ] as const;
    for (const [args, says] of cases) {
      const { code, stderr } = await run(args);
      t.equal(code, 2, args.join(' '));
      t.match(stderr, says);
    }
  },
);

// The memory of sockets (net.core.optmem_max), which netwatch shares with the application.
import { spawnSync } from 'node:child_process';
import { join } from 'node:path';
import t from 'tap';
import { startCollector, temporaryFolder } from '../support/collector.js';
import { compile } from '../support/compile.js';
import { createNamespace, type Namespace } from '../support/netns.js';
import { losses, total } from '../support/samples.js';
import { needsRoot, unless } from '../support/skip.js';

const PORT = 7003;
/** More than have a place: 2 in the socket, 32 and 256 outside. */
const WAITING = 400;
const PLACES = 2 + 32 + 256;
/** What all of netwatch may take in a socket. */
const MOST_BYTES = 1024;
const EVERYTHING = ['-x', '-r', '-t', '-i', '-q'];

const source = join(import.meta.dirname, '..', 'socket-memory', 'application.c');
const program = compile(source, temporaryFolder(t));
const inNamespace = ['-n', 'test', '-e', '/proc/sys/net/core/optmem_max'];
const skip =
  needsRoot ||
  (program === null && 'no C compiler (cc or clang) on this machine') ||
  unless(
    spawnSync('unshare', inNamespace).status === 0,
    'the sysctl net.core.optmem_max is not of a network namespace here',
  );

interface Ran {
  /** What the calls gave that take memory of the socket. */
  readonly calls: readonly string[];
  readonly segments: number;
  readonly optmem: number;
  readonly filled: number;
}

async function runApplication(namespace: Namespace): Promise<Ran> {
  const child = namespace.spawn(program ?? '', [`${PORT}`, `${WAITING}`]);
  let said = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (said += text));
  const code = await new Promise((resolve) => child.once('close', resolve));
  if (code !== 0) throw new Error(`the application ended with ${String(code)}`);
  const lines = said.trim().split('\n');
  const [, segments, optmem, filled] =
    /^segments (\d+) optmem (\d+) filled (\d+)$/.exec(lines.at(-1) ?? '') ?? [];
  return {
    calls: lines.slice(0, -1),
    segments: Number(segments),
    optmem: Number(optmem),
    filled: Number(filled),
  };
}

const withLimit = (t: Parameters<typeof createNamespace>[0], bytes: number): Namespace =>
  createNamespace(t, { sysctls: { 'core/optmem_max': bytes, 'ipv4/tcp_autocorking': 0 } });

/** Data that the server received, and how much of it has no time of a read. */
function countArrivals(lines: string): { readonly lines: number; readonly untimed: number } {
  const received = lines
    .split('\n')
    .filter((line) => line.includes(`dst="127.0.0.1:`) && line.includes(',rx="1"'))
    .filter((line) => line.includes(`src="127.0.0.1:${PORT}"`) && !/} 0 \d+$/.test(line));
  const untimed = received.filter((line) => line.includes(',tcp_time="-"'));
  return { lines: received.length, untimed: untimed.length };
}

t.test('no call of an application fails for want of what netwatch takes', { skip }, async (t) => {
  const namespace = withLimit(t, 20_480);
  const alone = await runApplication(namespace);
  t.strictSame(alone.calls, ['filter ok', 'filter ok', 'zero-copy ok']);
  t.equal(alone.optmem, 0);
  const collector = await startCollector(t, namespace, EVERYTHING);
  const watched = await runApplication(namespace);
  t.strictSame(watched.calls, alone.calls);
  t.ok(watched.optmem > 0 && watched.optmem <= MOST_BYTES, `in a socket: ${watched.optmem} bytes`);
  t.equal(watched.filled, watched.optmem, 'packets that wait take nothing more of it');
  t.match(await collector.stop(), { code: 0 });
  const samples = collector.samples('netwatch.prom');
  t.strictSame(losses(samples), {});
});

t.test('packets that wait have a place outside of the socket', { skip }, async (t) => {
  const namespace = withLimit(t, 20_480);
  const collector = await startCollector(t, namespace, EVERYTHING);
  const { segments } = await runApplication(namespace);
  t.ok(segments > PLACES, `segments: ${segments}`);
  t.match(await collector.stop(), { code: 0 });
  const { lines, untimed } = countArrivals(collector.read('packets.log'));
  t.comment(`${segments} segments before the zero-copy send, ${lines} lines, ${untimed} untimed`);
  t.ok(lines >= segments, `lines: ${lines}`);
  // the requests were read one by one
  t.equal(untimed, segments - 5 - PLACES, 'only those beyond all places have no time');
});

t.test('what a socket has no memory for is counted and said', { skip }, async (t) => {
  const namespace = withLimit(t, 150);
  const collector = await startCollector(t, namespace, EVERYTHING);
  await runApplication(namespace);
  const stage = 'socket_memory';
  const lostBy = (source: string): number =>
    total(collector.samples('netwatch.prom'), 'netwatch_events_lost_total', { source, stage });
  t.match(await collector.stop(), { code: 0 });
  t.ok(lostBy('connection') > 0, `connection: ${lostBy('connection')}`);
  t.ok(lostBy('packet') > 0, `packet: ${lostBy('packet')}`);
  const said = collector.stderr().split('\n');
  t.equal(said.filter((line) => line.includes('raise the sysctl net.core.optmem_max')).length, 1);
  t.ok(said.some((line) => line.includes('notes of packet in sockets (no memory left in them)')));
});

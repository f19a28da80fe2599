// On this kernel: a stop under load loses nothing, and what only the start needed is given up.
import { readFileSync } from 'node:fs';
import t from 'tap';
import { keptCapabilities, maskOf } from '../../src/kernel/capabilities.js';
import { countPackets, logLines, packetAccount, PROM, summaryOf } from '../support/account.js';
import { blast, startBlast } from '../support/blast.js';
import { startCollector } from '../support/collector.js';
import { createNamespace } from '../support/netns.js';
import { TCP_PORT } from '../support/traffic.js';
import { until } from '../support/wait.js';

t.test('a stop under load loses nothing', async (t) => {
  const namespace = createNamespace(t);
  const collector = await startCollector(t, namespace, ['-q', '-x', '-r', '-i', '-e']);
  const seen = await countPackets(namespace);
  const load = await startBlast(t, namespace, { port: TCP_PORT });
  await until(async () => (await seen()) > 5000, { what: '5,000 packets' });
  const before = await seen();
  t.strictSame(await collector.stop('SIGTERM'), { code: 0, signal: null });
  const atMost = await seen();
  await load.stop();
  const account = packetAccount(collector.samples(PROM));
  t.match(account, { lostInFile: 0, lostInRing: 0, written: account.accepted });
  t.ok(account.written >= before && account.written <= atMost, 'also the last ones');
  t.equal(logLines(collector.dataFolder, 'packets.log').length, account.written);
  t.match(summaryOf(collector), { packets: account.written, lost: 0 });
});

t.test('what waits in the ring at the end is written', async (t) => {
  const namespace = createNamespace(t);
  const collector = await startCollector(t, namespace, ['-q']);
  const seen = await countPackets(namespace);
  process.kill(collector.pid, 'SIGSTOP'); // everything waits in the ring
  await blast(t, namespace, { port: TCP_PORT, rounds: 1009 });
  const stopping = collector.stop('SIGTERM');
  process.kill(collector.pid, 'SIGCONT');
  t.strictSame(await stopping, { code: 0, signal: null });
  const all = await seen();
  t.ok(all > 4 * 1009);
  t.equal(logLines(collector.dataFolder, 'packets.log').length, all);
});

/** A set of capabilities of the main thread of a process. */
const capabilitiesOf = (pid: number, set: string): bigint =>
  BigInt(`0x${new RegExp(`^${set}:\\s*(\\w+)`, 'm').exec(status(pid))?.[1] ?? '0'}`);
const status = (pid: number): string => readFileSync(`/proc/${pid}/status`, 'utf8');

t.test('capabilities that only the start needs are given up', async (t) => {
  const namespace = createNamespace(t);
  const args = ['-q', '-x', '-r', '-t', '-i', '-e', '--interval', '0.5'];
  const collector = await startCollector(t, namespace, args);
  await collector.pulled(); // and it goes on working without them
  const kept = maskOf(keptCapabilities({ root: true, listens: false }));
  for (const set of ['CapEff', 'CapPrm', 'CapBnd'])
    t.equal(capabilitiesOf(collector.pid, set), kept, set);
  t.equal(capabilitiesOf(collector.pid, 'CapAmb'), 0n);
  t.strictSame(await collector.stop(), { code: 0, signal: null });
});

// Received packets that wait to be read, where reads meet segments that are just arriving.
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import t from 'tap';
import { startCollector, temporaryFolder } from '../support/collector.js';
import { compile } from '../support/compile.js';
import { createNamespace, type Namespace } from '../support/netns.js';
import { total } from '../support/samples.js';
import { needsRoot } from '../support/skip.js';

const PORT = 7001;
const source = join(import.meta.dirname, '..', 'unread-queue', 'traffic.c');
const program = compile(source, temporaryFolder(t), ['-pthread']);
const skip = needsRoot || (program === null && 'no C compiler (cc or clang) on this machine');

/** Sends so many bytes one by one; segments with data, as received and as sent again. */
async function sendBytes(namespace: Namespace, bytes: number): Promise<readonly number[]> {
  const child = namespace.spawn(program ?? '', [String(PORT), String(bytes)]);
  let said = '';
  child.stdout?.setEncoding('utf8').on('data', (text: string) => (said += text));
  const code = await new Promise((resolve) => child.once('close', resolve));
  if (code !== 0) throw new Error(`the traffic ended with ${String(code)}`);
  return said.split(' ').map(Number);
}

/** Lines of received packets with data, and those of them without the time of a read. */
async function countArrivals(log: string): Promise<{ lines: number; untimed: number }> {
  const count = { lines: 0, untimed: 0 };
  for await (const line of createInterface({ input: createReadStream(log) })) {
    if (!line.includes(',rx="1"') || /} 0 \d+$/.test(line)) continue;
    count.lines++;
    if (line.includes(',tcp_time="-"')) count.untimed++;
  }
  return count;
}

t.test('each segment is one packet, with the time until it was read', { skip }, async (t) => {
  const namespace = createNamespace(t, { sysctls: { 'ipv4/tcp_autocorking': 0 } });
  const files = ['--ring', '67108864', '--rotate-size', '1073741824'];
  const args = ['-t', '-q', '--sport', String(PORT), ...files];
  const collector = await startCollector(t, namespace, args);
  const [segments = 0, sentAgain = 0] = await sendBytes(namespace, 400_000);
  t.ok(segments > 1000, `segments: ${segments}`);
  t.strictSame(await collector.stop('SIGINT'), { code: 0, signal: null });
  const { lines, untimed } = await countArrivals(join(collector.dataFolder, 'packets.log'));
  const lost = total(collector.samples('netwatch.prom'), 'netwatch_events_lost_total');
  t.comment(`${segments} segments, ${sentAgain} sent again; ${lines} lines, ${untimed} untimed`);
  t.ok(lines <= segments && segments <= lines + lost, `${segments}: ${lines} and lost ${lost}`);
  // what has been read already is not read again
  t.ok(untimed <= sentAgain, `without time: ${untimed}, sent again: ${sentAgain}`);
});

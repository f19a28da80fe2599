// `netwatch nic_throughput`: rates of each queue, against what was sent.
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import t from 'tap';
import { PROGRAM, temporaryFolder } from '../support/collector.js';
import { provoke } from '../support/provoke.js';
import { createQueuePair, DEVICE, HEADER_BYTES, sendThrough } from '../support/nic.js';
import { parseExposition, total } from '../support/samples.js';
import { needsRoot } from '../support/skip.js';
import { startTool } from '../support/tool.js';

const skip = needsRoot;

const HEAD = ' QueueID    avg_size   BPS        PPS        ';
const COUNT = 211;
const PAYLOAD_BYTES = 86;
const BYTES = COUNT * (PAYLOAD_BYTES + HEADER_BYTES);

t.test('the table is that of the original, and its averages are exact', { skip }, async (t) => {
  const pair = createQueuePair(t, 2);
  const lines = await provoke(
    async () => {
      // the last is what newer originals want, or they print nothing
      const args = ['-n', DEVICE, '-i', '1000', '-c', '1', '--print'];
      const running = await startTool(t, pair.left, 'nic_throughput', args);
      await sendThrough(pair, 1, PAYLOAD_BYTES, COUNT);
      await running.stop();
      return running.lines();
    },
    (found) => found[4]?.startsWith(' 1          128.0 ') ?? false,
  );
  t.match(lines[0], /^[A-Z][a-z]{2} [A-Z][a-z]{2} [ 1-3]\d \d\d:\d\d:\d\d 20\d\d$/);
  t.strictSame(lines.slice(1, 4), ['TX', HEAD, ` 0          0          0.0        0.0        `]);
  t.match(lines[4], /^ 1 {10}128\.0 {6}[\d.]+[KM]? +[\d.]+[KM]? +$/);
  t.equal(lines[5], (lines[4] ?? '').replace(' 1    ', ' Total'));
  t.strictSame(lines.slice(6), [
    '',
    'RX',
    HEAD,
    ' 0          0          0.0        0.0        ',
    ' 1          0          0.0        0.0        ',
    ' Total      0          0.0        0.0        ',
    '-'.repeat(60),
  ]);
});

t.test(
  'rates are those of the time that has passed, and the file keeps sums',
  { skip },
  async (t) => {
    const pair = createQueuePair(t, 2);
    const folder = temporaryFolder(t);
    const args = ['-n', DEVICE, '-i', '1000', '-o', 'json', '--data', folder];
    const { rows, seconds } = await provoke(
      async () => {
        const startMs = performance.now();
        const running = await startTool(t, pair.left, 'nic_throughput', args);
        await sendThrough(pair, 1, PAYLOAD_BYTES, COUNT);
        await running.stop();
        return { rows: running.objects(), seconds: (performance.now() - startMs) / 1000 };
      },
      (found) => found.rows[1]?.['packets'] === COUNT,
    );
    const sent = rows[1];
    t.match(sent, {
      network_interface_name: DEVICE,
      network_io_direction: 'transmit',
      queue: 1,
      packets: COUNT,
      bytes: BYTES,
      average_bytes: PAYLOAD_BYTES + HEADER_BYTES,
    });
    t.equal(rows.length, 4);
    const packetRate = Number(sent?.['packets_per_second']);
    t.ok(packetRate > COUNT / seconds, `${packetRate} per second: it took less than ${seconds} s`);
    t.equal(Math.round((Number(sent?.['bytes_per_second']) / packetRate) * 1e6), 128e6);
    const { samples } = parseExposition(readFileSync(join(folder, 'nic_throughput.prom'), 'utf8'));
    const labels = { device: DEVICE, queue: '1', network_io_direction: 'transmit' };
    t.equal(total(samples, 'netwatch_nic_queue_packets_total', labels), COUNT);
    t.equal(total(samples, 'netwatch_nic_queue_bytes_total', labels), BYTES);
    t.equal(total(samples, 'netwatch_nic_queue_bytes_total'), BYTES, 'and nothing else');
  },
);

t.test('without --netns it is a device of the namespace that it runs in', { skip }, async (t) => {
  const pair = createQueuePair(t, 3);
  const line = [PROGRAM, 'nic_throughput', '-n', DEVICE, '--duration', '0.1', '-o', 'csv'];
  const text = await pair.left.exec(process.execPath, line);
  t.equal(text.split('\n').length, 1 + 6 + 1, 'a head and three queues each way');
});

// The panels that say who: listening sockets and flows, in a real Chromium, from what the collector has
// written of real traffic.
import { chmodSync } from 'node:fs';
import t, { type Test } from 'tap';
import { chromiumPath, rowsOf, startBrowser, visit } from '../support/browser.js';
import { startCollector, temporaryFolder, type Collector } from '../support/collector.js';
import { startListeners } from '../support/listeners.js';
import { createNamespace, type Namespace } from '../support/netns.js';
import { startServe } from '../support/serve-process.js';
import { needsCommands, needsRoot, unless } from '../support/skip.js';
import { until } from '../support/wait.js';

const skip =
  needsRoot || needsCommands('nft', 'python3') || unless(chromiumPath() !== '', 'needs chromium');
const browser = skip === false ? await startBrowser(t) : null;
const PHONE = { viewport: { width: 390, height: 844 } };

async function watched(
  t: Test,
  namespace: Namespace,
  args: readonly string[],
): Promise<{ collector: Collector; address: string }> {
  const dataFolder = temporaryFolder(t);
  chmodSync(dataFolder, 0o755); // as root, the endpoint becomes nobody
  const collector = await startCollector(t, namespace, ['-q', '--interval', '0.2', ...args], {
    dataFolder,
  });
  const { address } = await startServe(t, dataFolder);
  return { collector, address: `http://${address}/` };
}

t.test('the page names the process whose accept queue overflows', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const listeners = await startListeners(t, namespace);
  const { address } = await watched(t, namespace, ['-e']);
  await listeners.play('listen idle 7001 64', 'listen full 7000 2', 'connect 3 7000');
  await listeners.play('syn 7000 5001 5002 5003 5004');
  for (const options of [{}, PHONE]) {
    const { page, problems } = await visit(t, browser!, address, options);
    const rows = await until(
      async () => {
        const all = await rowsOf(page, 'Listening');
        return all.length === 2 && all[0]?.values[4] === '4' ? all : null;
      },
      { what: 'both listeners', everyMs: 50 },
    );
    const pid = `${listeners.pid}`;
    t.strictSame(
      rows.map(({ texts }) => texts.slice(0, 5)),
      [
        ['python3', pid, '127.0.0.1:7000', '3 / 2', '4'],
        ['python3', pid, '127.0.0.1:7001', '0 / 64', '0'],
      ],
    );
    const wide = await page.evaluate<boolean>('document.body.scrollWidth > innerWidth');
    t.notOk(wide, 'nothing is wider than the screen');
    t.strictSame(problems, []);
  }
});

t.test('without -e overflows are unknown, not none', { skip }, async (t) => {
  const namespace = createNamespace(t);
  const listeners = await startListeners(t, namespace);
  const { address } = await watched(t, namespace, []);
  await listeners.play('listen a 7000 2');
  const { page } = await visit(t, browser!, address);
  const rows = await until(
    async () => {
      const all = await rowsOf(page, 'Listening');
      return all.length === 1 ? all : null;
    },
    { what: 'the listener', everyMs: 50 },
  );
  t.strictSame(rows[0]?.values.slice(3, 6), ['0', '', '']);
});

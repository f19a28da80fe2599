// The panel "Who talks to whom" in a real Chromium: its rows are those of /metrics, names from strangers stay
// text, the keyboard is enough, and it fits on a phone.
import { chmodSync } from 'node:fs';
import t, { type Test } from 'tap';
import type { Labels } from '../../src/serve/types.js';
import { chromiumPath, rowsOf, startBrowser, visit, type Page } from '../support/browser.js';
import { createCgroup } from '../support/cgroup.js';
import { startCollector, temporaryFolder } from '../support/collector.js';
import { createNamespace } from '../support/netns.js';
import { pageState, writeState } from '../support/page-state.js';
import { parseExposition, total } from '../support/samples.js';
import { startServe } from '../support/serve-process.js';
import { needsCommands, needsRoot, unless } from '../support/skip.js';
import { until } from '../support/wait.js';

const skip = unless(chromiumPath() !== '', 'needs chromium');
const browser = skip === false ? await startBrowser(t) : null;
const UNTIL = { everyMs: 50 };
const PHONE = { viewport: { width: 390, height: 844 } };
const TITLE = 'Who talks to whom';
/** As root, the endpoint becomes nobody. */
const readableFolder = (t: Test): string => {
  const folder = temporaryFolder(t);
  chmodSync(folder, 0o755);
  return folder;
};

/** Bytes each way; leaves three connections unclosed whose clients are gone. */
const PLAY = `import socket, sys
server = socket.create_server(('127.0.0.1', 7000))
clients = [socket.create_connection(('127.0.0.1', 7000)) for _ in range(4)]
ends = [server.accept()[0] for _ in clients]
for client in clients:
    client.sendall(b'x' * 1009)
for end in ends:
    end.recv(1009, socket.MSG_WAITALL)
    end.sendall(b'y' * 499)
for client in clients:
    client.recv(499, socket.MSG_WAITALL)
for client in clients[:3]:
    client.close()
print('done', flush=True)
sys.stdin.read()`;
const ENTER = 'echo $$ > "$1/web.service/cgroup.procs"; exec python3 -c "$2"';

t.test(
  'flows, listeners and sockets left behind are named with process and unit',
  { skip: skip || needsRoot || needsCommands('python3') },
  async (t) => {
    const namespace = createNamespace(t);
    const cgroup = createCgroup(t, 'web.service');
    const args = ['-q', '-x', '--interval', '0.2'];
    const { dataFolder } = await startCollector(t, namespace, args, {
      dataFolder: readableFolder(t),
    });
    const serve = await startServe(t, dataFolder);
    const play = namespace.spawn('sh', ['-c', ENTER, 'sh', cgroup, PLAY], {
      stdio: ['pipe', 'ignore', 'inherit'],
    });
    t.teardown(() => play.kill('SIGKILL'));
    const { page, problems } = await visit(t, browser!, `http://${serve.address}/`);
    await page.getByLabel('since start').check();
    const rows = async () => {
      const all = await rowsOf(page, TITLE);
      return all.length === 2 && all.every(({ values }) => values[7] === '4') ? all : null;
    };
    const flows = (await until(rows, { ...UNTIL, what: 'both ends of four connections' })) ?? [];
    const samples = parseExposition(await serve.get('/metrics')).samples;
    for (const { values } of flows) {
      const [process = '', peer = '', port = '', role = '', unit = ''] = values;
      t.strictSame([process, peer, port, unit], ['python3', '127.0.0.1', '7000', 'web.service']);
      const moved = (network_io_direction: string): number =>
        total(samples, 'netwatch_flow_bytes_total', {
          ...{ process, role, server_port: port, network_peer_address: peer, unit },
          network_io_direction,
        });
      t.strictSame(values.slice(5, 7).map(Number), [moved('receive'), moved('transmit')], role);
    }
    t.strictSame(flows.map(({ values }) => values.slice(3, 7).join(' ')).sort(), [
      'client web.service 1996 4036',
      'server web.service 4036 1996',
    ]);
    const pid = `${play.pid}`;
    const first = async (title: string) => (await rowsOf(page, title))[0]?.texts.slice(0, 4);
    const listener = (await rowsOf(page, 'Listening'))[0]?.texts ?? [];
    t.strictSame(
      [...listener.slice(0, 3), listener.at(-1)],
      ['python3', pid, '127.0.0.1:7000', 'web.service'],
    );
    const left = async () => {
      const found = await first('Sockets left behind');
      return found?.[3] === '3' ? found : null;
    };
    const leak = await until(left, { ...UNTIL, what: 'three sockets left behind' });
    t.strictSame(leak, ['python3', pid, 'web.service', '3']);
    t.strictSame(problems, []);
  },
);

const HOSTILE = '"><img src=x onerror=alert(1)>\u202e</text>';
/** What turns text around does not get into a file. */
const SHOWN = HOSTILE.replace('\u202e', '\ufffd');

interface Flow extends Labels {
  readonly process: string;
  readonly role: string;
  readonly server_port: string;
  readonly network_peer_address: string;
}

/** So many peers of nginx, and a client that is called strangely; all have moved `bytes` each way. */
function manyFlows(bytes: number) {
  const state = pageState();
  const peers = Array.from({ length: 40 }, (_, i): Flow => {
    const ends = { server_port: '443', network_peer_address: `10.1.0.${i}` };
    return { process: 'nginx', role: 'server', ...ends };
  });
  const strange = { server_port: '22', network_peer_address: '2001:db8::1' };
  const flows = [...peers, { process: HOSTILE, role: 'client', ...strange, unit: HOSTILE }];
  for (const [i, labels] of flows.entries()) {
    for (const network_io_direction of ['receive', 'transmit'] as const)
      state.add('netwatch_flow_bytes_total', { ...labels, network_io_direction }, bytes * (i + 1));
    state.add('netwatch_flow_connections_total', labels, 1);
  }
  return state;
}

const nodeNames = (page: Page): Promise<string[]> => page.locator('.node-name').allTextContents();
/** The ends of names that are not whole to be seen. */
const cutEnds = (page: Page): Promise<string[]> =>
  page.evaluate<string[]>(`[...document.querySelectorAll('.node-name :last-child')]
    .filter((end) => end.getBoundingClientRect().right > end.closest('.node').getBoundingClientRect().right)
    .map((end) => end.textContent)`);
const focused = (page: Page): Promise<string> =>
  page.evaluate<string>('document.activeElement.querySelector(".node-name").textContent');

t.test('a phone shows the ports of the longest addresses', { skip }, async (t) => {
  const folder = readableFolder(t);
  const state = pageState();
  const peers = ['203.113.113.201', '203.113.113.202', '2001:db8:1:2:3:4:5555:6666'];
  for (const network_peer_address of peers)
    for (const role of ['client', 'server'] as const) {
      const labels = { process: 'nginx', role, server_port: '65535', network_peer_address };
      state.add('netwatch_flow_bytes_total', { ...labels, network_io_direction: 'receive' }, 1000);
      state.add('netwatch_flow_bytes_total', { ...labels, network_io_direction: 'transmit' }, 9);
      state.add('netwatch_flow_connections_total', labels, 1);
    }
  await writeState(folder, state);
  const serve = await startServe(t, folder);
  const { page, problems } = await visit(t, browser!, `http://${serve.address}/`, PHONE);
  await until(async () => (await nodeNames(page)).length === 7, { ...UNTIL, what: 'the graph' });
  t.strictSame(await cutEnds(page), []);
  t.strictSame(
    (await page.locator('.node-name :last-child').allTextContents()).filter(Boolean).sort(),
    ['201', '201:65535', '202', '202:65535', '6666', '6666]:65535'],
  );
  t.ok((await page.locator('.node.called').first().getAttribute('title'))?.includes(':65535, '));
  t.strictSame(problems, []);
});

for (const [where, options] of [
  ['a screen', {}],
  ['a phone', PHONE],
] as const)
  t.test(`the graph on ${where} is bounded and works by keyboard`, { skip }, async (t) => {
    const folder = readableFolder(t);
    await writeState(folder, manyFlows(1000));
    const serve = await startServe(t, folder);
    const { page, problems } = await visit(t, browser!, `http://${serve.address}/`, options);
    const drawn = async () => (await nodeNames(page)).length === 12;
    await until(drawn, { ...UNTIL, what: 'the graph' });
    const names = await nodeNames(page);
    t.equal(names.filter((name) => name.startsWith('10.1.0.')).length, 8);
    t.strictSame(names.filter((name) => !name.startsWith('10.1.0.')).sort(), [
      ...[SHOWN, '[2001:db8::1]:22', 'nginx', 'others'],
    ]);
    t.strictSame(await cutEnds(page), [], 'the end of an address, and the port, are in their box');
    t.equal(await page.locator('.ribbon').count(), 10);
    t.equal((await rowsOf(page, TITLE)).length, 41);

    await page.locator('.flow-graph .node[tabindex="0"]').focus();
    t.equal(await page.locator('.flow-graph .node[tabindex="0"]').count(), 1);
    for (let i = 0; i < 3; i++) await page.keyboard.press('ArrowLeft');
    for (let i = 0; i < 9; i++) await page.keyboard.press('ArrowUp');
    t.equal(await focused(page), '10.1.0.39', 'the largest caller');
    await page.keyboard.press('Enter');
    t.strictSame(
      (await rowsOf(page, TITLE)).map(({ values }) => values[1]),
      ['10.1.0.39'],
    );
    t.equal(await page.locator('.ribbon:not(.is-dim)').count(), 1);
    await writeState(folder, manyFlows(3000));
    const grown = async () => (await rowsOf(page, TITLE))[0]?.values[5] === '80000';
    await until(grown, { ...UNTIL, what: 'what has been received since' });
    t.equal(await focused(page), '10.1.0.39', 'the focus stays through a snapshot');
    await page.keyboard.press('ArrowRight');
    t.equal(await focused(page), 'nginx');
    await page.keyboard.press('Escape');
    t.equal((await rowsOf(page, TITLE)).length, 41);

    await page.getByLabel('unit', { exact: true }).check();
    t.ok((await nodeNames(page)).includes('(no unit)'));
    t.equal(await page.locator('main img').count(), 0);
    t.notOk(await page.evaluate<boolean>('document.body.scrollWidth > innerWidth'));
    t.strictSame(problems, []);
  });

t.test('the graph is drawn in the colours of either theme', { skip }, async (t) => {
  const folder = readableFolder(t);
  await writeState(folder, manyFlows(1000));
  const serve = await startServe(t, folder);
  const { page, problems } = await visit(t, browser!, `http://${serve.address}/`);
  await until(async () => (await nodeNames(page)).length > 0, { ...UNTIL, what: 'the graph' });
  const colours = (): Promise<string[]> =>
    page.evaluate<string[]>(`{
      const of = (what, name) => getComputedStyle(document.querySelector(what))[name];
      [of('.node', 'backgroundColor'), of('.node', 'color'), of('.ribbon', 'stroke')];
    }`);
  const light = await colours();
  await page.getByLabel('dark', { exact: true }).check();
  const dark = await colours();
  for (const [i, colour] of light.entries()) t.not(dark[i], colour);
  t.strictSame(problems, []);
});

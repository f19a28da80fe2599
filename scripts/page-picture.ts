/**
 * Takes contrib/page-light.png and contrib/page-dark.png: the page in a headless Chromium, over a collector
 * that watches the demo's traffic in a namespace of its own. Needs root, `make`, and chromium.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { chmodSync, existsSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { chromium, type Browser, type Page } from 'playwright-core';
import { openOldConnections, playTraffic } from './demo/traffic.js';
import { closeAllNamespaces, openNamespace, type Namespace } from './traffic/namespace.js';
import { startProgram } from './traffic/start.js';

const ROOT = resolve(import.meta.dirname, '..');
const PROGRAM = join(ROOT, 'build/main.js');
const ADDRESS = '127.0.0.1:41429';
const OPTIONS = ['-x', '-r', '-t', '-i', '-e', '-q', '--interval', '1'];
const SIZE = { width: 1200, height: 720 };
/** Connections that stay open, so that the table has rows. */
const CHATS = {
  ...{ port: 7100, connections: 24, concurrency: 24, rounds: 100_000, pauseMs: 40 },
  ...{ requestBytes: 900, replyBytes: 5000, timeoutMs: 30_000 },
};
const SETTLE_MS = 2500;
/** About 8 seconds each. */
const ROUNDS = 5;

const children: ChildProcess[] = [];

function start(...args: readonly string[]): void {
  children.push(spawn(process.execPath, [PROGRAM, ...args], { stdio: 'inherit' }));
}

async function answers(): Promise<void> {
  for (let tries = 0; tries < 100; tries++) {
    const response = await fetch(`http://${ADDRESS}/-/ready`).catch(() => null);
    if (response?.ok === true) return;
    await sleep(100);
  }
  throw new Error('netwatch serve does not answer');
}

async function chat(namespace: Namespace): Promise<void> {
  const { port, requestBytes, replyBytes } = CHATS;
  await startProgram(namespace, 'tcp-server', { port, requestBytes, replyBytes });
  const client = await startProgram(namespace, 'tcp-client', CHATS, {
    comm: 'chat',
    deadlineMs: 600_000,
  });
  client.go().catch(() => undefined); // it is cut off at the end
}

async function openPage(browser: Browser, colorScheme: 'light' | 'dark'): Promise<Page> {
  const page = await browser.newPage({ viewport: SIZE, colorScheme });
  await page.goto(`http://${ADDRESS}/`);
  return page;
}

if (!existsSync(PROGRAM)) throw new Error(`${PROGRAM} does not exist; run make`);
const folder = mkdtempSync(join(tmpdir(), 'netwatch-page-'));
chmodSync(folder, 0o755);
process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL');
  closeAllNamespaces();
  rmSync(folder, { recursive: true, force: true });
});
process.env['PATH'] = `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`;
const namespace = openNamespace({ prefix: 'nwpage' });
start('--netns', namespace.name, '--data', folder, ...OPTIONS);
await sleep(SETTLE_MS);
start('serve', '--data', folder, '--listen', ADDRESS);
await answers();
const executablePath = spawnSync('which', ['chromium'], { encoding: 'utf8' }).stdout.trim();
const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-gpu'] });
const schemes = ['light', 'dark'] as const;
const pages = await Promise.all(schemes.map((scheme) => openPage(browser, scheme)));
await chat(namespace);
const traffic = async (): Promise<void> =>
  playTraffic(namespace, await openOldConnections(namespace), () => undefined);
for (let round = 0; round < ROUNDS; round++) await traffic();
traffic().catch(() => undefined); // cut off at the end, too
for (const [i, page] of pages.entries()) {
  const path = join(ROOT, `contrib/page-${schemes[i] ?? ''}.png`);
  await page.bringToFront(); // a hidden page does not draw
  await sleep(SETTLE_MS);
  await page.screenshot({ path });
  process.stdout.write(`${path}\n`);
}
await browser.close();
process.exit(0);

/**
 * Takes contrib/page-dark.png, the top of the page, and contrib/page-light.png, where the time of requests
 * goes: in a headless Chromium, over a collector that watches the demo's traffic in a namespace of its own.
 * Needs root, `make`, and chromium.
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
/** Of the light one, so that the tables of requests are in it. */
const LIGHT_SIZE = { width: 1200, height: 1000 };
const SIZE = { width: 1200, height: 720 };
/** Connections that stay open, so that the table has rows. */
const CHATS = {
  ...{ port: 7100, connections: 24, concurrency: 24, rounds: 100_000, pauseMs: 40 },
  ...{ requestBytes: 900, replyBytes: 5000, timeoutMs: 30_000 },
};
/** A shop whose pages differ in what they wait for. */
const SHOP = { port: 8090 };
const BROWSING = {
  ...{ port: SHOP.port, connections: 4, concurrency: 4, total: 100_000, pauseMs: 90 },
  requests: [
    { path: '/orders' },
    { path: '/delay/35' },
    { path: '/products/4711' },
    { path: '/bytes/300000' },
    { method: 'POST', path: '/orders', chunks: [400, 400] },
    { path: '/chunked/12/900' },
    { path: '/search?q=words', split: 20 },
    { path: '/status/404' },
  ],
};
const SETTLE_MS = 2500;
/** About 8 seconds each. */
const ROUNDS = 3;
/** So long requests come before the pictures. */
const BROWSE_MS = 45_000;
const READY_TRIES = 600;

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

async function browse(namespace: Namespace): Promise<void> {
  await startProgram(namespace, 'http-server', SHOP, { comm: 'shop' });
  const client = await startProgram(namespace, 'http-client', BROWSING, {
    comm: 'browser',
    deadlineMs: 600_000,
  });
  client.go().catch(() => undefined); // it is cut off at the end
}

/** The endpoint gives up root, and reads the files that are there then. */
async function writes(file: string): Promise<void> {
  for (let tries = 0; !existsSync(file); tries++) {
    if (tries === READY_TRIES) throw new Error(`${file} does not come`);
    await sleep(100);
  }
}

async function openPage(browser: Browser, colorScheme: 'light' | 'dark'): Promise<Page> {
  const viewport = colorScheme === 'light' ? LIGHT_SIZE : SIZE;
  const page = await browser.newPage({ viewport, colorScheme });
  await page.goto(`http://${ADDRESS}/`);
  return page;
}

if (!existsSync(PROGRAM)) throw new Error(`${PROGRAM} does not exist; run make`);
const folder = mkdtempSync(join(tmpdir(), 'netwatch-page-'));
chmodSync(folder, 0o755); // the endpoint reads it as nobody
process.once('exit', () => {
  for (const child of children) child.kill('SIGKILL');
  closeAllNamespaces();
  rmSync(folder, { recursive: true, force: true });
});
process.env['PATH'] = `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`;
const namespace = openNamespace({ prefix: 'nwpage' });
start('--netns', namespace.name, '--data', folder, ...OPTIONS);
await writes(join(folder, 'netwatch.prom'));
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
await browse(namespace);
traffic().catch(() => undefined); // cut off at the end, too
await sleep(BROWSE_MS);
for (const [i, page] of pages.entries()) {
  const path = join(ROOT, `contrib/page-${schemes[i] ?? ''}.png`);
  await page.bringToFront(); // a hidden page does not draw
  if (schemes[i] === 'light')
    await page.evaluate(
      `scrollTo(0, [...document.querySelectorAll('.area')]
        .find((area) => area.textContent.includes('Where the time goes')).offsetTop - 48)`,
    );
  await sleep(SETTLE_MS);
  await page.screenshot({ path });
  process.stdout.write(`${path}\n`);
}
await browser.close();
process.exit(0);

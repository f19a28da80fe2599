/** A headless Chromium for the tests of the page; whatever it complains about is kept. */
import { spawnSync } from 'node:child_process';
import { chromium, type Browser, type BrowserContextOptions, type Page } from 'playwright-core';
import type { Teardown } from './netns.js';

export type { Page };

/** The path of chromium in PATH; empty if there is none. */
export function chromiumPath(): string {
  return spawnSync('sh', ['-c', 'command -v chromium'], { encoding: 'utf8' }).stdout.trim();
}

/** No sandbox: tests run as root. Nothing that would ask the network for something. */
const ARGS = [
  '--no-sandbox',
  '--disable-gpu',
  '--disable-quic',
  '--no-first-run',
  '--disable-background-networking',
  '--disable-component-update',
  '--disable-sync',
];

export async function startBrowser(t: Teardown): Promise<Browser> {
  // Its profile is a new folder, which it removes at its end.
  const browser = await chromium.launch({ executablePath: chromiumPath(), args: ARGS });
  t.teardown(() => browser.close());
  return browser;
}

export interface Visit {
  readonly page: Page;
  /** Errors and warnings of the console, exceptions, requests that failed, violations of the policy. */
  readonly problems: readonly string[];
}

export async function visit(
  t: Teardown,
  browser: Browser,
  url: string,
  options: BrowserContextOptions = {},
): Promise<Visit> {
  const context = await browser.newContext({
    viewport: { width: 1440, height: 900 },
    colorScheme: 'light',
    ...options,
  });
  t.teardown(() => context.close());
  const page = await context.newPage();
  page.setDefaultTimeout(20_000);
  const problems: string[] = [];
  page.on('console', (message) => {
    if (message.type() === 'error' || message.type() === 'warning')
      problems.push(`console: ${message.text()}`);
  });
  page.on('pageerror', (error) => problems.push(`exception: ${error.message}`));
  page.on('requestfailed', (request) => {
    const why = request.failure()?.errorText ?? '';
    // What was under way when the page was left is given up.
    if (why !== 'net::ERR_ABORTED') problems.push(`failed: ${request.url()} ${why}`);
  });
  page.on('response', (response) => {
    if (response.status() >= 400) problems.push(`${response.status()}: ${response.url()}`);
  });
  page.on('dialog', (dialog) => {
    problems.push(`dialog: ${dialog.message()}`);
    void dialog.dismiss();
  });
  await page.goto(url);
  return { page, problems };
}

export interface PageRow {
  readonly texts: readonly string[];
  /** The numbers themselves; empty where nobody measured. */
  readonly values: readonly string[];
  /** By the names of the columns, in the table of connections. */
  readonly byColumn: Readonly<Record<string, string>>;
}

/** The rows of the panel with this heading. */
export async function rowsOf(page: Page, heading: string): Promise<readonly PageRow[]> {
  return page.evaluate<PageRow[]>(`{
    const panel = [...document.querySelectorAll('.panel')].find(
      (one) => one.querySelector('h3').textContent === ${JSON.stringify(heading)});
    [...panel.querySelectorAll('tbody tr')].map((row) => {
      const cells = [...row.children];
      return {
        texts: cells.map((cell) => cell.textContent),
        values: cells.map((cell) => cell.dataset.value),
        byColumn: Object.fromEntries(
          cells.map((cell) => [cell.dataset.key ?? '', cell.dataset.value])),
      };
    });
  }`);
}

/** The number of a tile; null while it is unknown. */
export async function tileOf(page: Page, id: string): Promise<number | null> {
  const text = await page.locator(`[data-tile="${id}"] .tile-value`).getAttribute('data-value');
  return text === null || text === '' ? null : Number(text);
}

export async function statusOf(page: Page): Promise<string> {
  return ((await page.locator('.state-sentence').textContent()) ?? '').replaceAll('\u00a0', ' ');
}

/**
 * The requests of the last minute, read from requests.log while a page asks for them: by route, by kind, and
 * the slowest. Nothing is read, and nothing kept, when nobody looks.
 */
import { join } from 'node:path';
import { routeOf } from '../http/route.js';
import { GrowingLog } from './growing-log.js';
import { readRequest, type SeenRequest } from './request-line.js';
import { reportOf } from './request-report.js';
import type { RequestsReport } from './types.js';

const SPAN_MS = 60_000;
/** 8 MB, and 50 ms for a report; where more come in a minute, the newest of them. */
const MOST_REQUESTS = 10_000;
/** Two pages that ask in turn get the same. */
const FRESH_MS = 500;
/** Nobody has asked for so long: nobody looks any more. */
const IDLE_MS = 30_000;
/** Paths whose routes are remembered. */
const MOST_ROUTES = 4096;

export interface WindowOptions {
  readonly directory: string;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
  readonly mostRequests?: number;
}

export class RequestWindow {
  readonly #now: () => number;
  readonly #mostRequests: number;
  readonly #log: GrowingLog;
  readonly #routes = new Map<string, string>();
  /** In the order of the log. */
  #requests: SeenRequest[] = [];
  /** From when on all requests are known; null: not yet. */
  #fromMs: number | null = null;
  #last: RequestsReport | null = null;
  #looking: Promise<RequestsReport | null> | null = null;
  #idle: NodeJS.Timeout | null = null;

  constructor({ directory, now = Date.now, mostRequests = MOST_REQUESTS }: WindowOptions) {
    this.#now = now;
    this.#mostRequests = mostRequests;
    this.#log = new GrowingLog(join(directory, 'requests.log'), {
      lines: (text) => {
        for (const line of text.split('\n')) this.#add(line);
      },
      gap: ({ birthtimeMs }, isFromStart) => {
        this.#requests = [];
        // Of the file's beginning the first request tells too late when it was.
        this.#fromMs = isFromStart && birthtimeMs > 0 ? birthtimeMs : null;
      },
    });
  }

  /** Null if there is no requests.log that can be read. */
  report(): Promise<RequestsReport | null> {
    this.#looking ??= this.#look().finally(() => {
      this.#looking = null;
    });
    return this.#looking;
  }

  async close(): Promise<void> {
    if (this.#idle !== null) clearTimeout(this.#idle);
    this.#idle = null;
    await this.#looking?.catch(() => undefined);
    this.#requests = [];
    this.#last = null;
    await this.#log.close();
  }

  async #look(): Promise<RequestsReport | null> {
    const nowMs = this.#now();
    if (this.#last !== null && nowMs - this.#last.atMs < FRESH_MS) return this.#last;
    this.#closeWhenIdle();
    this.#last = null;
    if (!(await this.#log.look())) return null;
    this.#forget(nowMs);
    const fromMs = Math.max(nowMs - SPAN_MS, this.#fromMs ?? nowMs);
    return (this.#last = reportOf(this.#requests, nowMs, fromMs));
  }

  #add(line: string): void {
    const request = readRequest(line, (path) => this.#routeOf(path));
    if (request === null) return;
    this.#fromMs ??= request.endMs;
    this.#requests.push(request);
    // Not at each one: that would move all of them.
    if (this.#requests.length > 2 * this.#mostRequests) this.#cut();
  }

  #forget(nowMs: number): void {
    this.#cut();
    const first = this.#requests.findIndex(({ endMs }) => endMs >= nowMs - SPAN_MS);
    this.#requests = first < 0 ? [] : this.#requests.slice(first);
  }

  #cut(): void {
    if (this.#requests.length <= this.#mostRequests) return;
    this.#requests = this.#requests.slice(-this.#mostRequests);
    this.#fromMs = this.#requests[0]?.endMs ?? null;
  }

  #routeOf(path: string): string {
    const known = this.#routes.get(path);
    if (known !== undefined) return known;
    if (this.#routes.size >= MOST_ROUTES) this.#routes.clear();
    const route = routeOf(path);
    this.#routes.set(path, route);
    return route;
  }

  #closeWhenIdle(): void {
    if (this.#idle !== null) clearTimeout(this.#idle);
    this.#idle = setTimeout(() => void this.close(), IDLE_MS);
    this.#idle.unref();
  }
}

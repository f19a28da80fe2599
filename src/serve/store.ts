/**
 * The data directory, read in the background and ready to be served. The worker reads, checks and
 * compresses; here prepared bytes are only passed on, so that no request waits for another's, or for
 * a file.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { finishBody, keyOf, type Body, type PreparedBody } from './body.js';
import { History } from './history.js';
import { pageSnapshot, snapshotJson } from './page-model.js';
import { PreparedBodies } from './prepared.js';
import { wholeOf } from './render.js';
import { collectorState } from './staleness.js';
import type { MetricsRequest, Store } from './store-interface.js';
import type { CollectorState, DirectoryStatus } from './types.js';
import { DirectoryWatch } from './watch.js';
import { WaitingBodies } from './waiting-bodies.js';
import { WorkerClient } from './worker-client.js';
import type { Answer, SnapshotBytes, Version } from './worker-protocol.js';

export interface StoreOptions {
  /** May be missing now and come later. */
  readonly directory: string;
  /** Milliseconds since 1970. */
  readonly now?: () => number;
  /** How often to look even if nothing is heard of changes. */
  readonly pollMs?: number;
  /** Hears, in one sentence, of each file that has to be left out from now on. */
  readonly say?: (message: string) => void;
}

const POLL_MS = 1000;
/**
 * How long a scrape waits for the numbers of a collector that has just become stale to be taken out.
 * It takes 2 s only where the other files have 300 MB; the scrape then gets the old ones once more.
 */
const PATIENCE_MS = 1000;
/** Bodies that the worker makes at a stretch; between two it looks at the directory. */
const MADE_AT_ONCE = 4;

const EMPTY: Version = {
  files: [],
  collectorFile: { writtenMs: null, valid: false, intervalSeconds: null },
  collector: 'missing',
};

/** Somebody who waits for the newest snapshot. */
interface Asking {
  readonly resolve: (json: Buffer) => void;
  readonly reject: (why: Error) => void;
}

/** Starts reading at once. */
export function openStore(options: StoreOptions): Store {
  return new DirectoryStore(options);
}

class DirectoryStore implements Store {
  readonly ready: Promise<void>;
  readonly #now: () => number;
  readonly #say: (message: string) => void;
  readonly #worker: WorkerClient;
  readonly #watch: DirectoryWatch;
  readonly #prepared = new PreparedBodies();
  readonly #waiting = new WaitingBodies();
  readonly #history = new History();
  readonly #listeners = new Set<(json: Buffer) => void>();
  #version = EMPTY;
  /** Of the newest state; null: nobody has looked at it. */
  #snapshot: Buffer | null;
  /** Who waits for it. */
  #asking: Asking[] = [];
  /** Those of the last answer: who waited for one of them has it in a moment. */
  #newest: readonly PreparedBody[] = [];
  /** Under way to clients. */
  readonly #sent = new Set<{ readonly body: PreparedBody }>();
  #isClosed = false;
  /** The look that is under way, and the one that will follow it. */
  #running: Promise<void> = Promise.resolve();
  #next: Promise<void> | null = null;

  constructor({ directory, now = Date.now, pollMs = POLL_MS, say = () => {} }: StoreOptions) {
    this.#now = now;
    this.#say = say;
    const facts = { writtenMs: null, intervalSeconds: null, collector: 'missing' } as const;
    this.#snapshot = Buffer.from(snapshotJson(pageSnapshot({ ...facts, atMs: now() }, null)).full);
    this.#worker = new WorkerClient({ directory });
    this.#watch = new DirectoryWatch(directory, pollMs, () => this.#lookSoon());
    this.ready = this.#look();
    // Who awaits it hears of it; nobody has to.
    this.ready.catch(() => undefined);
  }

  status(): DirectoryStatus {
    const { files, collectorFile } = this.#version;
    const { writtenMs, intervalSeconds } = collectorFile;
    return { collector: this.#collector(), writtenMs, intervalSeconds, files };
  }

  async metrics(request: MetricsRequest): Promise<Body> {
    await this.ready;
    if (this.#collector() !== this.#version.collector) {
      await Promise.race([this.#look(), sleep(PATIENCE_MS, null, { ref: false })]);
    }
    const body = this.#prepared.get(request) ?? (await this.#made(request));
    this.#prepared.want(request, this.#now());
    this.#prepared.put(keyOf(request), body);
    const whole = finishBody(body, request);
    if (request.left === undefined) return { parts: [wholeOf(whole.parts)], files: [] };
    this.#hold(body, request.left);
    return whole;
  }

  /** Its files stay open until `left`. */
  #hold(body: PreparedBody, left: AbortSignal): void {
    if (left.aborted) return;
    const sent = { body };
    this.#sent.add(sent);
    left.addEventListener('abort', () => this.#sent.delete(sent), { once: true });
  }

  #held(): readonly number[] {
    const sent = Array.from(this.#sent, ({ body }) => body);
    const bodies = [...sent, ...this.#prepared.bodies, ...this.#newest];
    return bodies.flatMap(({ files }) => files.map(({ fd }) => fd));
  }

  async snapshotJson(): Promise<Buffer> {
    if (this.#snapshot !== null) return this.#snapshot;
    if (this.#isClosed) throw new Error('the store is closed');
    return new Promise((resolve, reject) => {
      this.#asking.push({ resolve, reject });
      this.#lookSoon();
    });
  }

  historyJson(): Buffer {
    return this.#history.json();
  }

  subscribe(listener: (json: Buffer) => void): () => void {
    // A function of its own: the same listener may subscribe twice.
    const own = (json: Buffer): void => listener(json);
    this.#listeners.add(own);
    return () => this.#listeners.delete(own);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    this.#watch.close();
    this.#listeners.clear();
    const why = new Error('the store is closed');
    this.#waiting.fail(why);
    for (const { reject } of this.#asking) reject(why);
    await this.#worker.close();
  }

  #collector(): CollectorState {
    return collectorState(this.#version.collectorFile, this.#now());
  }

  #made(request: MetricsRequest): Promise<PreparedBody> {
    if (this.#isClosed) return Promise.reject(new Error('the store is closed'));
    const body = this.#waiting.wait(request, request.left);
    this.#lookSoon();
    return body;
  }

  #lookSoon(): void {
    // Fails only when the store is closed.
    this.#look().catch(() => undefined);
  }

  /** Asks the worker what is new; an answer that is under way may be too old to count. */
  #look(): Promise<void> {
    this.#next ??= this.#running.then(() => {
      this.#next = null;
      return (this.#running = this.#lookNow());
    });
    return this.#next;
  }

  async #lookNow(): Promise<void> {
    if (this.#isClosed) throw new Error('the store is closed');
    const nowMs = this.#now();
    const wanted = this.#prepared.wanted(nowMs);
    const missing = this.#waiting.next(MADE_AT_ONCE);
    const isWatched = this.#listeners.size > 0 || this.#asking.length > 0;
    this.#take(await this.#worker.ask({ nowMs, wanted, missing, isWatched, held: this.#held() }));
  }

  #take({ version, snapshot, bodies, directoryIdentity }: Answer): void {
    if (this.#isClosed) return;
    if (version !== null) this.#change(version);
    this.#newest = bodies.map(({ body }) => body);
    for (const { key, body } of bodies) {
      this.#prepared.put(key, body);
      this.#waiting.give(key, body);
    }
    this.#watch.found(directoryIdentity);
    if (snapshot !== null) this.#show(snapshot);
    if (!this.#waiting.isEmpty || this.#asking.length > 0) this.#lookSoon();
  }

  #change(version: Version): void {
    const before = new Set(this.#version.files.map(({ error }) => error));
    this.#version = version;
    for (const { error } of version.files) {
      if (error !== null && !before.has(error)) this.#say(error);
    }
  }

  #show({ atMs, full, brief }: SnapshotBytes): void {
    if (brief !== null) this.#history.add(atMs, Buffer.from(brief.buffer));
    this.#snapshot = full === null ? null : Buffer.from(full.buffer);
    if (this.#snapshot === null) return;
    for (const { resolve } of this.#asking) resolve(this.#snapshot);
    this.#asking = [];
    for (const listener of this.#listeners) listener(this.#snapshot);
  }
}

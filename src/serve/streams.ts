/**
 * The live stream (server-sent events): every new snapshot to every page that is open. A page that
 * does not keep up misses snapshots; they are never queued.
 */
import type { Response } from 'express';
import type { Limits } from './limits.js';
import type { Store } from './store-interface.js';

export interface StreamOptions {
  readonly store: Pick<Store, 'snapshotJson' | 'subscribe'>;
  readonly limits: Pick<Limits, 'streams' | 'heartbeatMs' | 'answerMs'>;
  /** A page was cut because it took nothing for too long. */
  readonly onSlow: () => void;
}

const HEADERS = {
  'content-type': 'text/event-stream; charset=utf-8',
  // A proxy that collects an answer before it passes it on would never pass this one on.
  'x-accel-buffering': 'no',
};
/** A comment, which browsers ignore; it shows both ends that the other is there. */
const HEARTBEAT = Buffer.from(':\n\n');
const RETRY = Buffer.from('retry: 2000\n\n');

function eventOf(json: Buffer): Buffer {
  return Buffer.concat([Buffer.from('event: snapshot\ndata: '), json, Buffer.from('\n\n')]);
}

export class Streams {
  readonly #options: StreamOptions;
  /** Each with the timer that cuts it, while it does not take what it was sent. */
  readonly #clients = new Map<Response, NodeJS.Timeout | null>();
  /** Those that have not been sent a snapshot yet. */
  readonly #waiting = new Set<Response>();
  readonly #heartbeat: NodeJS.Timeout;
  /** While somebody follows; null: nobody does. */
  #unsubscribe: (() => void) | null = null;

  constructor(options: StreamOptions) {
    this.#options = options;
    this.#heartbeat = setInterval(() => {
      this.#send(HEARTBEAT);
    }, options.limits.heartbeatMs);
  }

  get count(): number {
    return this.#clients.size;
  }

  /** Begins a stream with the snapshot of now; false if there are too many. */
  open(response: Response): boolean {
    if (this.#clients.size >= this.#options.limits.streams) return false;
    response.writeHead(200, HEADERS);
    this.#clients.set(response, null);
    response.on('drain', () => {
      this.#tookAll(response);
    });
    response.once('close', () => {
      this.#tookAll(response);
      this.#leave(response);
    });
    this.#unsubscribe ??= this.#options.store.subscribe((json) => {
      this.#waiting.clear();
      this.#send(eventOf(json));
    });
    this.#waiting.add(response);
    void this.#begin(response);
    return true;
  }

  /** A snapshot that comes meanwhile is newer. */
  async #begin(response: Response): Promise<void> {
    this.#write(response, RETRY);
    // Fails only when the store is closed, and so is this.
    const json = await this.#options.store.snapshotJson().catch(() => null);
    if (json !== null && this.#waiting.delete(response)) this.#write(response, eventOf(json));
  }

  #leave(response: Response): void {
    this.#clients.delete(response);
    this.#waiting.delete(response);
    if (this.#clients.size > 0) return;
    this.#unsubscribe?.();
    this.#unsubscribe = null;
  }

  /** Ends all streams in order. */
  close(): void {
    clearInterval(this.#heartbeat);
    this.#unsubscribe?.();
    for (const response of this.#clients.keys()) response.end();
  }

  #send(bytes: Buffer): void {
    for (const [response, cut] of this.#clients) if (cut === null) this.#write(response, bytes);
  }

  #write(response: Response, bytes: Buffer): void {
    if (response.write(bytes)) return;
    const cut = setTimeout(() => {
      this.#options.onSlow();
      response.destroy();
    }, this.#options.limits.answerMs);
    this.#clients.set(response, cut);
  }

  #tookAll(response: Response): void {
    const cut = this.#clients.get(response);
    if (cut === undefined || cut === null) return;
    clearTimeout(cut);
    this.#clients.set(response, null);
  }
}

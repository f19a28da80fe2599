/** What the HTTP side asks of the data directory. (Apart from types.ts, which a browser reads too.) */
import type { Body } from './body.js';
import type { DirectoryStatus, Format, Group } from './types.js';

export interface MetricsRequest {
  readonly format: Format;
  readonly gzip: boolean;
  /** null: all. */
  readonly groups: ReadonlySet<Group> | null;
  /** The endpoint's own families in the text format, appended as they are now. */
  readonly own: Uint8Array;
  /**
   * Aborts when who asked has got it all, or has gone: what it would get is not made. Until then the
   * files of the body stay open; without it there are none.
   */
  readonly left?: AbortSignal;
}

/** The data directory, read in the background and ready to be served. */
export interface Store {
  /** Resolves when the directory has been read for the first time. */
  readonly ready: Promise<void>;
  status(): DirectoryStatus;
  /** The whole body of /metrics in parts, encoded as asked; rejects when who asked has gone. */
  metrics(request: MetricsRequest): Promise<Body>;
  /** The newest `PageSnapshot` as JSON; connections are read for it only when it is asked for. */
  snapshotJson(): Promise<Buffer>;
  /** A JSON array of `PageSnapshot`s without connections, oldest first, the newest last. */
  historyJson(): Buffer;
  /** Calls back with the JSON of every new snapshot, connections and all; returns how to end that. */
  subscribe(listener: (json: Buffer) => void): () => void;
  close(): Promise<void>;
}

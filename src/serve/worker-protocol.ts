/** What the store and its worker say to each other: one question, one answer, in turn. */
import type { BodyKind, PreparedBody } from './body.js';
import type { CollectorFile } from './staleness.js';
import type { CollectorState, TextFile } from './types.js';

/** What the worker is started with. */
export interface WorkerSettings {
  readonly directory: string;
}

/** "What is new?" */
export interface Question {
  /** Milliseconds since 1970. */
  readonly nowMs: number;
  /** Bodies to prepare if anything has changed. */
  readonly wanted: readonly BodyKind[];
  /** Bodies to prepare in any case: somebody waits for them. */
  readonly missing: readonly BodyKind[];
  /** Somebody looks at the page. */
  readonly isWatched: boolean;
  /** Descriptors of the files of bodies that are still needed. */
  readonly held: readonly number[];
}

/** The state of the directory; a new one whenever anything in it has changed. */
export interface Version {
  readonly files: readonly TextFile[];
  readonly collectorFile: CollectorFile;
  /** As it was judged when this was made. */
  readonly collector: CollectorState;
}

export interface KeyedBody {
  /** `keyOf` its kind. */
  readonly key: string;
  readonly body: PreparedBody;
}

/** JSON of a `PageSnapshot`, as UTF-8. */
export interface SnapshotBytes {
  readonly atMs: number;
  /** Without connections; null: it has been handed over before. */
  readonly brief: Uint8Array<ArrayBuffer> | null;
  /** Null: nobody looks. */
  readonly full: Uint8Array<ArrayBuffer> | null;
}

export interface Answer {
  /** null: nothing has changed. */
  readonly version: Version | null;
  /** null: the page would show the same. */
  readonly snapshot: SnapshotBytes | null;
  readonly bodies: readonly KeyedBody[];
  /** Another one when the directory was replaced; null if there is none. */
  readonly directoryIdentity: string | null;
}

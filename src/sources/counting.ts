/** A source that counts in the kernel and is asked for its counts now and then. */
import type { Attached } from '../kernel/source.js';

export interface CountingSource<C> {
  readonly source: Attached;
  /** To be said at the start: what this kernel cannot tell. */
  readonly notes?: readonly string[];
  /** What was counted since the last call, or since the start; each thing is in one answer only. */
  take(): C;
  /** What found no room in a map since the start. */
  lost(): number;
  /** Detaches the programs; what they counted can still be taken once. */
  finish(): void;
}

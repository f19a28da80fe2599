/** A source whose records are shown as they come. */
import type { Source } from '../kernel/source.js';

export interface LiveSource<R> {
  readonly source: Source;
  /** To be said at the start: what this kernel cannot tell. */
  readonly notes?: readonly string[];
  /** Hands over what happened since the last call, a batch at most; returns how much it was. */
  drain(take: (record: R) => void): number;
  /** Takes what can only be had while the programs are attached, and detaches them. */
  finish(): void;
}

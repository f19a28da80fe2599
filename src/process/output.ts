/** Rows for standard output, and what became of their reader. */
import { StandardOutput, type ClosedReason } from '../sinks/standard-output.js';
import { abandonOutput, openStandardOutput } from './streams.js';

const MAX_QUEUED_BYTES = 8 * 2 ** 20;

export class Output {
  readonly rows: StandardOutput;
  #closed: ClosedReason | null = null;

  /** `onClosed` is called once when nothing can be written any more. */
  constructor(onClosed: (reason: ClosedReason) => void) {
    this.rows = new StandardOutput({
      stream: openStandardOutput(),
      maxQueuedBytes: MAX_QUEUED_BYTES,
      onClosed: (reason) => {
        this.#closed = reason;
        onClosed(reason);
      },
    });
  }

  /** Why nothing more could be written (`ENOSPC`, …); null where it could, or its reader has gone. */
  get errno(): string | null {
    return this.#closed?.code === 'io' ? this.#closed.errno : null;
  }

  /**
   * Waits for the reader, within reason.
   * @param unread rows that were not even written
   * @returns how many rows a reader that is still there was too slow for
   */
  async close(unread = 0): Promise<number> {
    const isTaken = await this.rows.close();
    if (!isTaken) abandonOutput();
    return this.#closed === null ? this.rows.stats().dropped + unread : 0;
  }
}

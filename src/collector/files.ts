/** The files of one data directory: lock, logs, and who is told of trouble. */
import { logHeader } from '../metrics/exposition.js';
import type { HistoryLog } from '../metrics/families.js';
import type { DirectoryLock } from '../sinks/directory-lock.js';
import { errorName, explainSinkError, type SinkError } from '../sinks/errors.js';
import { ownDirectory, usable } from '../sinks/own-directory.js';
import { RotatingLog, type RotatingLogOptions, type RotatingLogStats } from '../sinks/rotating.js';
import type { Ndjson } from './ndjson.js';
import type { FileOptions } from './options.js';

export const PROM_FILE = 'netwatch.prom';

/** What a disk that does not answer may hold up: a second at 30 MB/s. */
const MAX_BUFFERED_BYTES = 32 * 2 ** 20;
/** An object is about twice as long as its line; a full ring has to fit, which a stop reads at once. */
const MAX_BUFFERED_NDJSON_BYTES = 2 * MAX_BUFFERED_BYTES;
const WARN_MS = 30_000;

/** What all logs can do, whatever is in them. */
type Log = Pick<RotatingLog, 'stats' | 'reopen' | 'close'>;

export class Files {
  readonly connects: RotatingLog;
  readonly packets: RotatingLog;
  /** Null without -i. */
  readonly requests: RotatingLog | null;
  readonly err: RotatingLog | null;
  /** Null without --ndjson. */
  readonly ndjson: Ndjson | null;
  readonly #lock: DirectoryLock;
  readonly #say: (message: string) => void;
  readonly #stateErrors = new Map<string, number>();
  #stateWarnedMs = -Infinity;

  static async open(options: FileOptions, say: (message: string) => void): Promise<Files> {
    const directory = options.data;
    const lock = await ownDirectory(directory);
    const opened: RotatingLog[] = [];
    try {
      const open = async (contents: Contents): Promise<RotatingLog> => {
        const settings = logOptions(options, contents, say);
        const log = usable(await RotatingLog.open(settings), directory);
        opened.push(log);
        return log;
      };
      const connects = await open(linesOf('connects'));
      const packets = await open(linesOf('packets'));
      const requests = options.http ? await open(linesOf('requests')) : null;
      const err = options.err ? await open(linesOf('err')) : null;
      const ndjson = options.ndjson
        ? await openNdjson(options, (name) => open(objectsIn(name)))
        : null;
      return new Files(lock, say, { connects, packets, requests, err, ndjson });
    } catch (error) {
      await Promise.all(opened.map((log) => log.close()));
      await lock.release();
      throw error;
    }
  }

  private constructor(
    lock: DirectoryLock,
    say: (message: string) => void,
    logs: Pick<Files, 'connects' | 'packets' | 'requests' | 'err' | 'ndjson'>,
  ) {
    this.#lock = lock;
    this.#say = say;
    this.connects = logs.connects;
    this.packets = logs.packets;
    this.requests = logs.requests;
    this.err = logs.err;
    this.ndjson = logs.ndjson;
  }

  /** By file name. */
  get #logs(): ReadonlyMap<string, Log> {
    return new Map<string, Log>([
      ['connects.log', this.connects],
      ['packets.log', this.packets],
      ...(this.requests === null ? [] : [['requests.log', this.requests] as const]),
      ...(this.err === null ? [] : [['err.log', this.err] as const]),
      ...(this.ndjson?.logs ?? []),
    ]);
  }

  stats(): Map<string, RotatingLogStats> {
    return new Map([...this.#logs].map(([name, log]) => [name, log.stats()]));
  }

  /** Waits until the lines of the connections are with the kernel, or the disk is too slow. */
  async flushConnects(): Promise<void> {
    await Promise.all([this.connects.flush(), this.ndjson?.flushConnects()]);
  }

  /** Failed writes of the state file, by error name. */
  get stateErrors(): ReadonlyMap<string, number> {
    return this.#stateErrors;
  }

  stateFailed(error: SinkError): void {
    const name = errorName(error);
    this.#stateErrors.set(name, (this.#stateErrors.get(name) ?? 0) + 1);
    if (performance.now() - this.#stateWarnedMs < WARN_MS) return;
    this.#stateWarnedMs = performance.now();
    this.#say(`${explainSinkError(error)}; trying again at the next interval`);
  }

  reopen(): void {
    for (const log of this.#logs.values()) log.reopen();
  }

  /** Writes what is pending and closes the logs; the directory stays ours. */
  async closeLogs(): Promise<void> {
    await Promise.all([...this.#logs.values()].map((log) => log.close()));
  }

  async close(): Promise<void> {
    await this.closeLogs();
    await this.#lock.release();
  }
}

/** What tells one log from another. */
type Contents = Pick<RotatingLogOptions, 'name' | 'header' | 'maxBufferedBytes'>;

function linesOf(log: HistoryLog): Contents {
  const header = logHeader(log).toString();
  return { name: `${log}.log`, header, maxBufferedBytes: MAX_BUFFERED_BYTES };
}

const objectsIn = (name: string): Contents => ({
  name,
  header: '',
  maxBufferedBytes: MAX_BUFFERED_NDJSON_BYTES,
});

/** Loads what only --ndjson needs. */
async function openNdjson(
  options: FileOptions,
  open: (name: string) => Promise<RotatingLog>,
): Promise<Ndjson> {
  const { Ndjson } = await import('./ndjson.js');
  return Ndjson.open(options, open);
}

function logOptions(
  options: FileOptions,
  contents: Contents,
  say: (message: string) => void,
): RotatingLogOptions {
  return {
    directory: options.data,
    ...contents,
    rotateBytes: options.rotateSize,
    rotateIntervalSeconds: options.rotateInterval ?? null,
    keepFiles: options.keepFiles,
    keepBytes: options.keepBytes,
    gzip: options.gzip,
    now: Date.now,
    log: say,
  };
}

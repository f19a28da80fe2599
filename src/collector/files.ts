/** The files of one data directory: lock, three logs, and who is told of trouble. */
import { NetwatchError } from '../kernel/errors.js';
import { logHeader } from '../metrics/exposition.js';
import { lockDirectory, type DirectoryLock } from '../sinks/directory-lock.js';
import { explainSinkError, type Result, type SinkError } from '../sinks/errors.js';
import { makeDirectory } from '../sinks/make-directory.js';
import { RotatingLog, type RotatingLogStats } from '../sinks/rotating.js';
import type { CollectorOptions } from './options.js';

export const PROM_FILE = 'netwatch.prom';

/** What a disk that does not answer may hold up: a second at 30 MB/s. */
const MAX_BUFFERED_BYTES = 32 * 2 ** 20;
const WARN_MS = 30_000;

function unwrap<T>(result: Result<T>, directory: string): T {
  if (result.ok) return result.value;
  const { error } = result;
  if (error.code === 'already-running')
    throw new NetwatchError({ code: 'already-running', pid: error.pid, directory });
  throw new NetwatchError({ code: 'directory', path: directory, reason: explainSinkError(error) });
}

type LogName = 'connects' | 'packets' | 'err';

export class Files {
  readonly connects: RotatingLog;
  readonly packets: RotatingLog;
  readonly err: RotatingLog | null;
  readonly #lock: DirectoryLock;
  readonly #say: (message: string) => void;
  readonly #stateErrors = new Map<string, number>();
  #stateWarnedMs = -Infinity;

  static async open(options: CollectorOptions, say: (message: string) => void): Promise<Files> {
    const directory = options.data;
    unwrap(await makeDirectory(directory), directory);
    const lock = unwrap(await lockDirectory(directory), directory);
    const opened: RotatingLog[] = [];
    try {
      const open = async (name: LogName): Promise<RotatingLog> => {
        const log = unwrap(await RotatingLog.open(logOptions(options, name, say)), directory);
        opened.push(log);
        return log;
      };
      const connects = await open('connects');
      const packets = await open('packets');
      const err = options.err ? await open('err') : null;
      return new Files(lock, say, connects, packets, err);
    } catch (error) {
      await Promise.all(opened.map((log) => log.close()));
      await lock.release();
      throw error;
    }
  }

  private constructor(
    lock: DirectoryLock,
    say: (message: string) => void,
    connects: RotatingLog,
    packets: RotatingLog,
    err: RotatingLog | null,
  ) {
    this.#lock = lock;
    this.#say = say;
    this.connects = connects;
    this.packets = packets;
    this.err = err;
  }

  get #logs(): [LogName, RotatingLog][] {
    const logs: [LogName, RotatingLog][] = [
      ['connects', this.connects],
      ['packets', this.packets],
    ];
    return this.err === null ? logs : [...logs, ['err', this.err]];
  }

  stats(): Map<string, RotatingLogStats> {
    return new Map(this.#logs.map(([name, log]) => [`${name}.log`, log.stats()]));
  }

  /** Failed writes of the state file, by error name. */
  get stateErrors(): ReadonlyMap<string, number> {
    return this.#stateErrors;
  }

  stateFailed(error: SinkError): void {
    const name = error.code === 'io' ? error.errno : error.code;
    this.#stateErrors.set(name, (this.#stateErrors.get(name) ?? 0) + 1);
    if (performance.now() - this.#stateWarnedMs < WARN_MS) return;
    this.#stateWarnedMs = performance.now();
    this.#say(`${explainSinkError(error)}; trying again at the next interval`);
  }

  reopen(): void {
    for (const [, log] of this.#logs) log.reopen();
  }

  /** Writes what is pending and closes the logs; the directory stays ours. */
  async closeLogs(): Promise<void> {
    await Promise.all(this.#logs.map(([, log]) => log.close()));
  }

  async close(): Promise<void> {
    await this.closeLogs();
    await this.#lock.release();
  }
}

function logOptions(
  options: CollectorOptions,
  name: LogName,
  say: (message: string) => void,
): Parameters<typeof RotatingLog.open>[0] {
  return {
    directory: options.data,
    name: `${name}.log`,
    header: logHeader(name).toString(),
    rotateBytes: options.rotateSize,
    rotateIntervalSeconds: options.rotateInterval ?? null,
    keepFiles: options.keepFiles,
    keepBytes: options.keepBytes,
    gzip: options.gzip,
    maxBufferedBytes: MAX_BUFFERED_BYTES,
    now: Date.now,
    log: say,
  };
}

/**
 * The web configuration as it is now: read again when one of its files changes. A version that is
 * broken, or cannot be read any more, is said once and leaves the one before in force.
 */
import { stat } from 'node:fs/promises';
import { NetwatchError } from '../failure.js';
import { NO_WEB_CONFIG, readWebConfig, type WebConfig } from './web-config.js';
import { readRegularFile } from './regular-file.js';

export class WebConfigFile {
  readonly #path: string | null;
  readonly #say: (message: string) => void;
  #current: WebConfig;
  /** Of the last version that was read, even if it was refused: what it named may come later. */
  #files: ReadFiles;
  #timer: NodeJS.Timeout | null = null;

  /** `path` null: no file. Throws NetwatchError if the file is broken. */
  static async open(path: string | null, say: (message: string) => void): Promise<WebConfigFile> {
    const files = new ReadFiles();
    const config = path === null ? NO_WEB_CONFIG : await readWebConfig(path, files.read);
    return new WebConfigFile(path, say, config, files);
  }

  private constructor(
    path: string | null,
    say: (message: string) => void,
    current: WebConfig,
    files: ReadFiles,
  ) {
    this.#path = path;
    this.#say = say;
    this.#current = current;
    this.#files = files;
  }

  /** Whether there is such a file: only then can there ever be users. */
  get exists(): boolean {
    return this.#path !== null;
  }

  get current(): WebConfig {
    return this.#current;
  }

  /** Looks every `everyMs`, and calls back with every new version. */
  watch(everyMs: number, onChange: (config: WebConfig) => void): void {
    if (this.#path === null) return;
    const look = async (): Promise<void> => {
      if (await this.#changed()) onChange(this.#current);
      if (this.#timer !== null) this.#timer = setTimeout(() => void look(), everyMs);
    };
    this.#timer = setTimeout(() => void look(), everyMs);
  }

  close(): void {
    if (this.#timer !== null) clearTimeout(this.#timer);
    this.#timer = null;
  }

  async #changed(): Promise<boolean> {
    if (this.#path === null || !(await this.#files.changed())) return false;
    this.#files = new ReadFiles();
    try {
      const read = await readWebConfig(this.#path, this.#files.read);
      if (kindOf(read) !== kindOf(this.#current))
        throw new NetwatchError({
          code: 'environment',
          message: 'TLS and client certificates begin and end with a restart',
          next: 'restart netwatch to use the new version',
        });
      this.#current = read;
      return true;
    } catch (error) {
      if (!(error instanceof NetwatchError)) throw error;
      this.#say(`keeps the previous web configuration: ${error.message}`);
      return false;
    }
  }
}

/** What a server is made for. */
function kindOf({ tls }: WebConfig): 'http' | 'https' | 'https with client certificates' {
  if (tls === null) return 'http';
  return tls.clientCertificate ? 'https with client certificates' : 'https';
}

/** The files of one reading, and how each of them looked then. */
class ReadFiles {
  readonly #looks = new Map<string, string>();

  /** Text of a file that is remembered, even if it is not there. */
  readonly read = async (path: string): Promise<string> => {
    // Looked at before it is read, so that no change can come between the two.
    this.#looks.set(path, await lookOf(path));
    return readRegularFile(path);
  };

  /** Whether one of them has changed since, has come or has gone. */
  async changed(): Promise<boolean> {
    const looks = [...this.#looks].map(async ([path, before]) => before !== (await lookOf(path)));
    return (await Promise.all(looks)).includes(true);
  }
}

/** Differs when the file does. */
async function lookOf(path: string): Promise<string> {
  try {
    const { ino, mtimeMs, size } = await stat(path);
    return `${ino} ${mtimeMs} ${size}`;
  } catch {
    return 'none';
  }
}

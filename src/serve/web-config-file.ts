/**
 * The web configuration as it is now: read again when one of its files changes. A version that is
 * broken, or cannot be read any more, is said once and leaves the one before in force.
 */
import { stat } from 'node:fs/promises';
import { NetwatchError } from '../failure.js';
import { NO_WEB_CONFIG, readWebConfig, type WebConfig } from './web-config.js';

export class WebConfigFile {
  readonly #path: string | null;
  readonly #say: (message: string) => void;
  #current: WebConfig;
  #state: string;
  #timer: NodeJS.Timeout | null = null;

  /** `path` null: no file. Throws NetwatchError if the file is broken. */
  static async open(path: string | null, say: (message: string) => void): Promise<WebConfigFile> {
    if (path === null) return new WebConfigFile(null, say, NO_WEB_CONFIG, '');
    const { files } = await readWebConfig(path);
    // Looked at before it is read, so that no change can come between the two.
    const state = await stateOf(files);
    return new WebConfigFile(path, say, await readWebConfig(path), state);
  }

  private constructor(
    path: string | null,
    say: (message: string) => void,
    current: WebConfig,
    state: string,
  ) {
    this.#path = path;
    this.#say = say;
    this.#current = current;
    this.#state = state;
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
    if (this.#path === null) return false;
    const state = await stateOf(this.#current.files);
    if (state === this.#state) return false;
    this.#state = state;
    try {
      const read = await readWebConfig(this.#path);
      if (kindOf(read) !== kindOf(this.#current))
        throw new NetwatchError({
          code: 'environment',
          message: 'TLS and client certificates begin and end with a restart',
          next: '',
        });
      this.#current = read;
      return true;
    } catch (error) {
      if (!(error instanceof NetwatchError)) throw error;
      this.#say(`keeps the web configuration of before: ${error.message}`);
      return false;
    }
  }
}

/** What a server is made for. */
function kindOf({ tls }: WebConfig): 'http' | 'https' | 'https with client certificates' {
  if (tls === null) return 'http';
  return tls.clientCertificate ? 'https with client certificates' : 'https';
}

/** Differs when one of the files does. */
async function stateOf(files: readonly string[]): Promise<string> {
  const states = files.map(async (file) => {
    try {
      const { ino, mtimeMs, size } = await stat(file);
      return `${ino} ${mtimeMs} ${size}`;
    } catch {
      return 'none';
    }
  });
  return (await Promise.all(states)).join('\n');
}

/** Reading a YAML file strictly: what nobody asked for is an error that names it, never ignored. */
import { LineCounter, parseDocument, type Document } from 'yaml';
import { NetwatchError } from '../failure.js';

export class YamlMapping {
  readonly #file: string;
  /** What stands before a key in messages: `tls_server_config.`, or nothing. */
  readonly #prefix: string;
  readonly #values: ReadonlyMap<string, unknown>;
  readonly #known = new Set<string>();

  /** An empty text is an empty mapping. Throws NetwatchError, which never quotes the text: it has secrets. */
  static parse(file: string, text: string): YamlMapping {
    const lineCounter = new LineCounter();
    const document = parseDocument(text, { lineCounter, prettyErrors: false });
    const [problem] = [...document.errors, ...document.warnings];
    if (problem !== undefined) {
      const { line } = lineCounter.linePos(problem.pos[0]);
      throw new NetwatchError({
        code: 'environment',
        message: `${file}:${line} is not valid YAML (${problem.code})`,
        next: 'correct it',
      });
    }
    return new YamlMapping(file, '', valueOf(document, file));
  }

  private constructor(file: string, prefix: string, value: unknown) {
    this.#file = file;
    this.#prefix = prefix;
    this.#values = entriesOf(value) ?? this.#wrong('', 'a mapping of keys to values');
  }

  /** Null if the key is not there. */
  text(key: string): string | null {
    return this.#read(key, 'a text', (value) => (typeof value === 'string' ? value : null));
  }

  /** One of the words. */
  choice<T extends string>(key: string, words: readonly T[]): T | null {
    const isWord = (value: unknown): value is T => words.some((word) => word === value);
    return this.#read(key, `one of ${words.join(', ')}`, (value) => (isWord(value) ? value : null));
  }

  flag(key: string): boolean | null {
    return this.#read(key, 'true or false', (value) => (typeof value === 'boolean' ? value : null));
  }

  texts(key: string): readonly string[] | null {
    const isText = (value: unknown): value is string => typeof value === 'string';
    return this.#read(key, 'a list of texts', (value) =>
      Array.isArray(value) && value.every(isText) ? value : null,
    );
  }

  /** An empty one if the key is not there, or has no value. */
  mapping(key: string): YamlMapping {
    this.#known.add(key);
    return new YamlMapping(this.#file, `${this.#prefix}${key}.`, this.#values.get(key));
  }

  get keys(): readonly string[] {
    return [...this.#values.keys()];
  }

  get isEmpty(): boolean {
    return this.#values.size === 0;
  }

  /** To be called when everything has been asked for. */
  done(): void {
    const stray = this.keys.find((key) => !this.#known.has(key));
    if (stray === undefined) return;
    const known = [...this.#known].join(', ');
    this.fail(`${this.#prefix}${stray} is not a key that netwatch knows`, `known here: ${known}`);
  }

  /** Throws a NetwatchError about this file. */
  fail(message: string, next: string): never {
    throw new NetwatchError({ code: 'environment', message: `${this.#file}: ${message}`, next });
  }

  #read<T>(key: string, what: string, read: (value: unknown) => T | null): T | null {
    this.#known.add(key);
    const value = this.#values.get(key);
    if (value === undefined || value === null) return null;
    return read(value) ?? this.#wrong(key, what);
  }

  #wrong(key: string, what: string): never {
    const name = `${this.#prefix}${key}`.replace(/\.$/, '');
    return this.fail(`${name === '' ? 'it' : name} should be ${what}`, 'correct it');
  }
}

function valueOf(document: Document, file: string): unknown {
  try {
    return document.toJS();
  } catch {
    throw new NetwatchError({
      code: 'environment',
      message: `${file} has aliases that lead nowhere or too far`,
      next: 'write them out',
    });
  }
}

function entriesOf(value: unknown): ReadonlyMap<string, unknown> | null {
  if (value === undefined || value === null) return new Map();
  const isMapping = typeof value === 'object' && !Array.isArray(value);
  return isMapping ? new Map(Object.entries(value)) : null;
}

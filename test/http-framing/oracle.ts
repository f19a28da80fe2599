/**
 * llhttp, the parser of Node and undici, as the judge of what our own HTTP code makes of bytes.
 * undici carries it as WebAssembly, under an internal path: for tests only.
 */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';

/** As much of it as is used here: Node has it, its types have not. */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object;
  readonly Instance: new (
    module: object,
    imports: Readonly<Record<string, Readonly<Record<string, (...values: never[]) => number>>>>,
  ) => { readonly exports: unknown };
};

interface Wasm {
  readonly memory: { readonly buffer: ArrayBuffer };
  readonly malloc: (bytes: number) => number;
  readonly llhttp_alloc: (type: number) => number;
  readonly llhttp_free: (parser: number) => void;
  readonly llhttp_execute: (parser: number, data: number, bytes: number) => number;
  readonly llhttp_finish: (parser: number) => number;
  readonly llhttp_resume_after_upgrade: (parser: number) => void;
  readonly llhttp_get_error_pos: (parser: number) => number;
  readonly llhttp_get_method: (parser: number) => number;
  readonly llhttp_get_status_code: (parser: number) => number;
  readonly llhttp_get_http_major: (parser: number) => number;
  readonly llhttp_get_http_minor: (parser: number) => number;
  readonly llhttp_set_lenient_chunked_length: (parser: number, on: number) => void;
  readonly llhttp_set_lenient_optional_cr_before_lf: (parser: number, on: number) => void;
  readonly llhttp_set_lenient_spaces_after_chunk_size: (parser: number, on: number) => void;
}

export interface OracleHead {
  readonly kind: 'head';
  readonly method: string;
  readonly status: number;
  readonly version: number;
  readonly target: string;
  readonly reason: string;
}

export type OracleEvent = OracleHead | { readonly kind: 'end'; readonly body: number };

export interface OracleResult {
  readonly events: readonly OracleEvent[];
  /** What ended the parsing before the bytes did. */
  readonly stopped: 'error' | 'tunnel' | null;
  readonly errno: number;
  /** Bytes taken before it stopped. */
  readonly taken: number;
}

const REQUEST = 1;
const RESPONSE = 2;
const PAUSED_UPGRADE = 22;
const REFUSE = -1;
const SKIP_BODY = 1;
const SKIP_BODY_AND_UPGRADE = 2;
const BUFFER_BYTES = 1 << 17;

const require = createRequire(import.meta.url);
const methodNames = new Map(
  Object.entries((require('undici/lib/llhttp/constants.js') as LlhttpConstants).METHODS).map(
    ([name, code]) => [code, name] as const,
  ),
);

interface LlhttpConstants {
  readonly METHODS: Readonly<Record<string, number>>;
}

/** Everything the callbacks of one parse need; llhttp's callbacks carry only the parser's address. */
interface Parse {
  readonly events: OracleEvent[];
  /** Request methods, for responses: what the answered request was. */
  readonly methods: readonly string[];
  readonly isRequest: boolean;
  target: string;
  reason: string;
  body: number;
  finals: number;
  tunnel: boolean;
}

function bytesOf(module: string): Buffer {
  const path = require.resolve(`undici/lib/llhttp/${module}`);
  const loaded: unknown = require(path);
  return Buffer.isBuffer(loaded) ? loaded : readFileSync(path);
}

function headersComplete(parse: Parse, wasm: Wasm, parser: number, status: number): number {
  // llhttp lets HTTP/0.9 and status 099 pass, the framing does not
  const foreign = wasm.llhttp_get_http_major(parser) !== 1 || (!parse.isRequest && status < 100);
  if (foreign) return REFUSE;
  parse.events.push({
    kind: 'head',
    method: parse.isRequest ? (methodNames.get(wasm.llhttp_get_method(parser)) ?? '') : '',
    status,
    version: wasm.llhttp_get_http_minor(parser),
    target: parse.target,
    reason: parse.reason,
  });
  parse.target = '';
  parse.reason = '';
  if (parse.isRequest) return 0;
  const method = parse.methods[parse.finals];
  if (status >= 200) parse.finals++;
  if (status === 101) parse.tunnel = true;
  if (method === 'CONNECT' && status >= 200 && status < 300) {
    parse.tunnel = true;
    return SKIP_BODY_AND_UPGRADE;
  }
  return method === 'HEAD' ? SKIP_BODY : 0;
}

/**
 * Calls llhttp; one object serves any number of parses, one after the other. Unless `strict`,
 * Transfer-Encoding may overrule a Content-Length.
 */
export class Oracle {
  readonly #wasm: Wasm;
  readonly #buffer: number;
  #parse: Parse | null = null;

  readonly #strict: boolean;

  constructor(strict = false) {
    this.#strict = strict;
    const parse = (): Parse => {
      if (!this.#parse) throw new Error('llhttp called back outside a parse');
      return this.#parse;
    };
    const text = (at: number, bytes: number): string =>
      Buffer.from(this.#wasm.memory.buffer, at, bytes).toString('latin1');
    const instance = new WebAssembly.Instance(new WebAssembly.Module(bytesOf('llhttp-wasm.js')), {
      env: {
        wasm_on_message_begin: () => 0,
        wasm_on_url: (_p: number, at: number, bytes: number) => {
          parse().target += text(at, bytes);
          return 0;
        },
        wasm_on_status: (_p: number, at: number, bytes: number) => {
          parse().reason += text(at, bytes);
          return 0;
        },
        wasm_on_header_field: () => 0,
        wasm_on_header_value: () => 0,
        wasm_on_headers_complete: (parser: number, status: number) =>
          headersComplete(parse(), this.#wasm, parser, status),
        wasm_on_body: (_p: number, _at: number, bytes: number) => {
          parse().body += bytes;
          return 0;
        },
        wasm_on_message_complete: () => {
          const now = parse();
          now.events.push({ kind: 'end', body: now.body });
          now.body = 0;
          return 0;
        },
      },
    });
    this.#wasm = instance.exports as Wasm;
    this.#buffer = this.#wasm.malloc(BUFFER_BYTES);
  }

  requests(bytes: Uint8Array): OracleResult {
    return this.#run(bytes, true, [], false);
  }

  /** `methods`: those of the requests these responses answer, in order. */
  responses(bytes: Uint8Array, methods: readonly string[], closed: boolean): OracleResult {
    return this.#run(bytes, false, methods, closed);
  }

  #run(
    bytes: Uint8Array,
    isRequest: boolean,
    methods: readonly string[],
    closed: boolean,
  ): OracleResult {
    const wasm = this.#wasm;
    const parser = wasm.llhttp_alloc(isRequest ? REQUEST : RESPONSE);
    wasm.llhttp_set_lenient_chunked_length(parser, Number(!this.#strict));
    wasm.llhttp_set_lenient_optional_cr_before_lf(parser, 1);
    wasm.llhttp_set_lenient_spaces_after_chunk_size(parser, 1);
    const state: Parse = {
      ...{ events: [], methods, isRequest, target: '', reason: '' },
      ...{ body: 0, finals: 0, tunnel: false },
    };
    this.#parse = state;
    try {
      return { events: state.events, ...this.#feed(parser, state, bytes, closed) };
    } finally {
      this.#parse = null;
      wasm.llhttp_free(parser);
    }
  }

  #feed(
    parser: number,
    state: Parse,
    bytes: Uint8Array,
    closed: boolean,
  ): Omit<OracleResult, 'events'> {
    const wasm = this.#wasm;
    let taken = 0;
    while (taken < bytes.length) {
      const piece = bytes.subarray(taken, taken + BUFFER_BYTES);
      new Uint8Array(wasm.memory.buffer, this.#buffer, piece.length).set(piece);
      const errno = wasm.llhttp_execute(parser, this.#buffer, piece.length);
      if (errno === 0) {
        taken += piece.length;
        continue;
      }
      taken += wasm.llhttp_get_error_pos(parser) - this.#buffer;
      if (errno !== PAUSED_UPGRADE) return { stopped: 'error', errno, taken };
      const last = state.events.findLast((event) => event.kind === 'head');
      if (state.tunnel || last?.method === 'CONNECT') return { stopped: 'tunnel', errno: 0, taken };
      wasm.llhttp_resume_after_upgrade(parser);
    }
    const errno = closed ? wasm.llhttp_finish(parser) : 0;
    return { stopped: errno ? 'error' : null, errno, taken };
  }
}

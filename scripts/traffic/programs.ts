/**
 * What each traffic program takes and answers. The programs themselves are plain JavaScript beside
 * this file: they must start in 40 ms, without a TypeScript loader.
 */

export interface TcpServerOptions {
  /** '127.0.0.1' (default), '::1', or '::' for IPv4 seen by an IPv6 socket. */
  readonly host: string;
  /** 0 (default): the kernel chooses. */
  readonly port: number;
  readonly backlog: number;
  /**
   * respond: `replyBytes` for every `requestBytes`; after-fin: `replyBytes` once the peer has sent its
   * FIN; close: FIN at once; reset: RST on the first byte; hang: never reads; slow: one read (64 KiB)
   * every `slowMs`.
   */
  readonly mode: 'respond' | 'after-fin' | 'close' | 'reset' | 'hang' | 'slow';
  readonly requestBytes: number;
  readonly replyBytes: number;
  readonly slowMs: number;
}

export interface TcpServerTotals {
  readonly accepted: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
  /** Connections that had to be destroyed because the peer never closed. */
  readonly forced: number;
  readonly connections: readonly {
    readonly peerPort: number;
    readonly bytesIn: number;
    readonly bytesOut: number;
    /** 'fin', 'reset' (by the server), 'open' (forced), or a code such as ECONNRESET. */
    readonly end: string;
  }[];
}

/**
 * Each of `connections` connections does `rounds` times: `requestBytes` out, `replyBytes` back. (1, 1)
 * is ping-pong, (N, 0) an upload, (1, N) a download, no rounds only connects and closes.
 */
export interface TcpClientOptions {
  readonly host: string;
  readonly port: number;
  readonly localAddress?: string;
  /** 0 (default): the kernel chooses; else connection i binds localPort + i. */
  readonly localPort: number;
  readonly connections: number;
  /** How many at a time; default 1, one after the other. */
  readonly concurrency: number;
  readonly rounds: number;
  readonly requestBytes: number;
  readonly replyBytes: number;
  /** Between rounds, and after each connection. */
  readonly pauseMs: number;
  /**
   * How each connection ends: our FIN, our RST (SO_LINGER 0), the peer's FIN, or not before 'stop':
   * then 'go' may be given again and uses the same connections.
   */
  readonly close: 'fin' | 'reset' | 'wait' | 'hold';
  /** Connect before 'ready'; 'go' only exchanges. */
  readonly connectFirst: boolean;
  /** For a step without progress; counted as error ETIMEOUT. */
  readonly timeoutMs: number;
}

export interface TcpClientTotals {
  readonly attempted: number;
  readonly completed: number;
  /** Given to the kernel; after an error not all of them have arrived. */
  readonly bytesOut: number;
  readonly bytesIn: number;
  /** By code, as { ECONNREFUSED: 7 }. */
  readonly errors: Readonly<Record<string, number>>;
  readonly connections: readonly {
    readonly localPort: number;
    readonly bytesOut: number;
    readonly bytesIn: number;
    readonly error: string | null;
  }[];
}

/** Its answers are chosen by the path: see http-routes.mjs. */
export interface HttpServerOptions {
  readonly host: string;
  readonly port: number;
  /** Answers to requests that arrive together leave in one write; else each part has its own. */
  readonly coalesce: boolean;
}

export interface HttpServerTotals {
  readonly connections: number;
  readonly requests: number;
  readonly methods: Readonly<Record<string, number>>;
  /** Final ones, and 101. */
  readonly statuses: Readonly<Record<string, number>>;
  /** 1xx without 101. */
  readonly informational: number;
  readonly requestBodyBytes: number;
  readonly bytesIn: number;
  readonly bytesOut: number;
}

export interface HttpRequest {
  /** Any token; default GET. */
  readonly method?: string;
  /** As sent, also absolute or with userinfo; default '/'. */
  readonly path?: string;
  readonly version?: '1.0' | '1.1';
  readonly headers?: Readonly<Record<string, string>>;
  /** A body with a Content-Length: so many bytes, or this text. */
  readonly body?: number | string;
  /** Or its chunks, each in its own write. */
  readonly chunks?: readonly number[];
  /** Wait for '100 Continue' before the body. */
  readonly expect?: boolean;
  /** The head in writes of so many bytes, each its own segment. */
  readonly split?: number;
  /** After the answer (to an upgrade, to CONNECT) so many bytes there and back. */
  readonly echo?: number;
}

export interface HttpClientOptions {
  readonly host: string;
  readonly port: number;
  readonly connections: number;
  readonly concurrency: number;
  /** Requests in all; the first connections carry one more where it is uneven. */
  readonly total: number;
  /** Taken in turn, on each connection from the start. */
  readonly requests: readonly HttpRequest[];
  /** Requests before their answers are awaited; one write, unless one splits, chunks or waits. */
  readonly pipeline: number;
  /** After each batch. */
  readonly pauseMs: number;
  readonly close: 'fin' | 'hold' | 'wait';
  readonly connectFirst: boolean;
  readonly timeoutMs: number;
}

export interface HttpClientTotals {
  readonly requests: number;
  /** Final ones, and 101. */
  readonly responses: number;
  readonly statuses: Readonly<Record<string, number>>;
  readonly informational: number;
  readonly responseBodyBytes: number;
  readonly bytesOut: number;
  readonly bytesIn: number;
  readonly errors: Readonly<Record<string, number>>;
  /** First byte written to last byte read, in order of completion. */
  readonly durationsMs: readonly number[];
  readonly connections: readonly {
    readonly localPort: number;
    readonly requests: number;
    readonly responses: number;
    readonly bytesOut: number;
    readonly bytesIn: number;
  }[];
}

/** An echo server in several processes: who owns a socket is not who listens. */
export interface ClusterServerOptions {
  readonly host: string;
  readonly port: number;
  readonly workers: number;
  /** none: the workers accept on the shared socket; rr: the primary accepts and passes it on. */
  readonly scheduling: 'none' | 'rr';
}

export interface ClusterServerTotals {
  readonly connections: readonly {
    /** The worker that served it. */
    readonly pid: number;
    readonly peerPort: number;
    readonly bytesIn: number;
  }[];
}

/** The same, while it is being counted. */
export type Draft<T> = T extends object ? { -readonly [K in keyof T]: Draft<T[K]> } : T;

interface Server<Options, Totals> {
  readonly options: Partial<Options>;
  readonly ready: { readonly port: number };
  readonly result: object;
  readonly stopped: Totals;
}

interface Client<Options, Totals> {
  readonly options: Partial<Options>;
  /** Those of `connectFirst`. */
  readonly ready: { readonly localPorts: readonly number[] };
  readonly result: Totals;
  readonly stopped: object;
}

/** By the name of their file. */
export interface Programs {
  readonly 'tcp-server': Server<TcpServerOptions, TcpServerTotals>;
  readonly 'tcp-client': Client<TcpClientOptions, TcpClientTotals>;
  readonly 'http-server': Server<HttpServerOptions, HttpServerTotals>;
  readonly 'http-client': Client<HttpClientOptions, HttpClientTotals>;
  readonly 'cluster-server': Server<ClusterServerOptions, ClusterServerTotals> & {
    readonly ready: { readonly workers: readonly number[] };
  };
}

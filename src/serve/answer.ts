/** Sending whole answers: the body is complete before its first header goes out. */
import { promisify } from 'node:util';
import { constants, gzip as gzipWithCallback } from 'node:zlib';
import type { Request, Response } from 'express';

const gzip = promisify(gzipWithCallback);

/** Below this a compressed body is hardly smaller. */
const WORTH_COMPRESSING_BYTES = 1024;

export interface Answer {
  /** Default 200. */
  readonly status?: number;
  /** The Content-Type. */
  readonly type: string;
  readonly body: Buffer;
  readonly headers?: Readonly<Record<string, string>>;
}

/** Sends the body as it is. To HEAD, Node.js leaves it out. */
function send(response: Response, { status = 200, type, body, headers = {} }: Answer): void {
  // The client may have gone while the body was made.
  if (response.destroyed) return;
  response.writeHead(status, { 'content-type': type, 'content-length': body.length, ...headers });
  response.end(body);
}

/** Sends the body compressed if the client takes it so. */
export async function sendCompressed(
  request: Request,
  response: Response,
  answer: Answer,
): Promise<void> {
  response.vary('Accept-Encoding');
  if (answer.body.length < WORTH_COMPRESSING_BYTES || !acceptsGzip(request)) {
    send(response, answer);
    return;
  }
  const body = await gzip(answer.body, { level: constants.Z_BEST_SPEED });
  send(response, { ...answer, body, headers: { ...answer.headers, 'content-encoding': 'gzip' } });
}

export function acceptsGzip(request: Request): boolean {
  return request.acceptsEncodings('gzip', 'identity') === 'gzip';
}

const TEXT = 'text/plain; charset=utf-8';

/** One sentence for whoever reads the answer of a probe or a refusal. */
export function sendText(
  response: Response,
  status: number,
  sentence: string,
  headers: Readonly<Record<string, string>> = {},
): void {
  send(response, { status, type: TEXT, body: Buffer.from(`${sentence}\n`), headers });
}

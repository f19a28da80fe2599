/** Sending a body in parts, some of them out of files, at the pace of the client. */
import { read } from 'node:fs';
import { promisify } from 'node:util';
import type { Response } from 'express';
import type { Body } from './body.js';
import { isAsChecked } from './file-bytes.js';
import { isInFile, lengthOf, type BodyPart } from './render.js';

const readAt = promisify(read);

/** Read at a time. */
const SLICE_BYTES = 512 << 10;
/** One is read into while another is sent. */
const SLICES = 2;
/** Of answers that have ended, for the next ones: new memory costs more than what is written to it. */
const MOST_SPARE = 8;
const spare: Buffer[] = [];

/** What ends an answer before its end: the client has gone, or a file has been written to. */
class Ended extends Error {}

/** Resolves when all is sent, or the client has gone. */
export async function sendParts(
  response: Response,
  type: string,
  { parts, files }: Body,
  headers: Readonly<Record<string, string>>,
): Promise<void> {
  if (response.destroyed) return;
  response.writeHead(200, { 'content-type': type, 'content-length': lengthOf(parts), ...headers });
  const last = parts.at(-1);
  if (response.req.method === 'HEAD' || last === undefined || isInFile(last)) {
    response.end();
    return;
  }
  const sender = new Sender(response);
  try {
    for (const part of parts.slice(0, -1)) await sender.send(part);
    // Until here nobody takes it for whole.
    if (files.every(isAsChecked)) response.end(last);
    else response.destroy();
  } catch (error) {
    if (!(error instanceof Ended)) throw error;
    response.destroy();
  } finally {
    await sender.close();
  }
}

class Sender {
  readonly #response: Response;
  /** Ends with the connection. */
  readonly #gone: Promise<never>;
  /** Of each slice: done when it may be written to again. */
  readonly #slices = Array.from({ length: SLICES }, () => ({
    bytes: spare.pop() ?? Buffer.allocUnsafeSlow(SLICE_BYTES),
    sent: Promise.resolve(),
  }));
  #next = 0;

  constructor(response: Response) {
    this.#response = response;
    this.#gone = new Promise((_, reject) => {
      response.once('close', () => {
        reject(new Ended());
      });
    });
    this.#gone.catch(() => undefined);
  }

  async send(part: BodyPart): Promise<void> {
    if (!isInFile(part)) {
      await this.#until(this.#write(part));
      return;
    }
    for (let at = part.start; at < part.end;) {
      const slice = this.#slices[this.#next++ % SLICES]!;
      await this.#until(slice.sent);
      const wanted = Math.min(SLICE_BYTES, part.end - at);
      const { bytesRead } = await readAt(part.file.fd, slice.bytes, 0, wanted, at);
      // It has been cut.
      if (bytesRead === 0) throw new Ended();
      slice.sent = this.#write(slice.bytes.subarray(0, bytesRead));
      at += bytesRead;
    }
  }

  /** What is still being sent is not used again. */
  async close(): Promise<void> {
    const all = Promise.all(this.#slices.map(({ sent }) => sent)).then(
      () => true,
      () => false,
    );
    const isSent = await Promise.race([all, this.#gone.catch(() => false)]);
    if (!isSent) return;
    for (const { bytes } of this.#slices) if (spare.length < MOST_SPARE) spare.push(bytes);
  }

  #until(action: Promise<void>): Promise<void> {
    return Promise.race([action, this.#gone]);
  }

  #write(bytes: Uint8Array): Promise<void> {
    const written = new Promise<void>((resolve, reject) => {
      this.#response.write(bytes, (error) => {
        if (error) reject(new Ended());
        else resolve();
      });
    });
    written.catch(() => undefined);
    return written;
  }
}

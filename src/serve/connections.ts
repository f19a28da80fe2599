/**
 * The open connections and the answers under way on each: no answer takes for ever, nothing outlives
 * its client, and at the end what is being answered is finished first.
 */
import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { TLSSocket } from 'node:tls';

interface Answering {
  deadline: NodeJS.Timeout | null;
  readonly onEnd: (() => void)[];
}

export interface ConnectionLimits {
  /** For each answer, from its request to its last byte. */
  readonly answerMs: number;
  /** A client was cut for being too slow. */
  readonly onSlow: () => void;
}

/** Requests of one connection that wait for their answers; no honest client sends so many. */
const MOST_PIPELINED = 16;

export class Connections {
  readonly #limits: ConnectionLimits;
  readonly #isTls: boolean;
  /** With TLS both the connection and what is spoken over it. */
  readonly #sockets = new Set<Duplex>();
  readonly #answers = new Map<Duplex, Map<ServerResponse, Answering>>();
  #stopping = false;

  constructor(server: Server, isTls: boolean, limits: ConnectionLimits) {
    this.#limits = limits;
    this.#isTls = isTls;
    for (const event of ['connection', 'secureConnection'])
      server.on(event, (socket: Socket) => {
        this.#sockets.add(socket);
        socket.once('close', () => {
          this.#closed(socket);
        });
      });
  }

  get count(): number {
    let count = 0;
    for (const socket of this.#sockets) if (!(socket instanceof TLSSocket)) count += 1;
    return count;
  }

  /** False before a TLS connection has been agreed on: nothing can be said on it yet. */
  isOpen(socket: Duplex): boolean {
    return this.#sockets.has(socket);
  }

  /** True while something is being sent on the connection. */
  isAnswering(socket: Duplex): boolean {
    return this.#answers.has(socket);
  }

  /** Starts the clock of an answer. False if the client wants too much at a time: it has been cut. */
  begin({ socket }: IncomingMessage, response: ServerResponse): boolean {
    const answers = this.#answers.get(socket) ?? new Map<ServerResponse, Answering>();
    if (answers.size >= MOST_PIPELINED) {
      socket.destroy();
      return false;
    }
    const deadline = setTimeout(() => {
      this.#limits.onSlow();
      socket.destroy();
    }, this.#limits.answerMs);
    this.#answers.set(socket, answers.set(response, { deadline, onEnd: [] }));
    response.once('close', () => {
      this.#ended(socket, response);
    });
    return true;
  }

  /** Takes the clock away, for an answer without end. */
  withoutDeadline(response: ServerResponse): void {
    const answering = this.#find(response);
    if (answering?.deadline) clearTimeout(answering.deadline);
  }

  /**
   * Calls back once when the answer is over, or its connection. The response's own event is not
   * enough: a pipelined one that never got its turn has none.
   */
  onEnd(response: ServerResponse, action: () => void): void {
    const answering = this.#find(response);
    if (answering === undefined) action();
    else answering.onEnd.push(action);
  }

  /** Closes what is idle at once, the rest when it has been answered, all after `ms` milliseconds. */
  async end(ms: number): Promise<void> {
    this.#stopping = true;
    for (const socket of this.#sockets)
      if (socket instanceof TLSSocket === this.#isTls && !this.isAnswering(socket))
        socket.destroy();
    const deadline = setTimeout(() => {
      for (const socket of this.#sockets) socket.destroy();
    }, ms);
    const open = [...this.#sockets].filter((socket) => !socket.destroyed);
    await Promise.all(open.map((socket) => new Promise((done) => socket.once('close', done))));
    clearTimeout(deadline);
  }

  #find(response: ServerResponse): Answering | undefined {
    return this.#answers.get(response.req.socket)?.get(response);
  }

  #ended(socket: Socket, response: ServerResponse): void {
    const answers = this.#answers.get(socket);
    const answering = answers?.get(response);
    if (answers === undefined || answering === undefined) return;
    answers.delete(response);
    if (answers.size === 0) this.#answers.delete(socket);
    if (answering.deadline !== null) clearTimeout(answering.deadline);
    for (const action of answering.onEnd) action();
    if (this.#stopping && answers.size === 0) socket.destroySoon();
  }

  #closed(socket: Socket): void {
    this.#sockets.delete(socket);
    for (const response of this.#answers.get(socket)?.keys() ?? []) this.#ended(socket, response);
  }
}

/**
 * Source `fdpass`: open files that processes pass to each other through unix sockets. Kernel side:
 * bpf/fdpass.bpf.c.
 */
import { kernelFacts } from '../kernel/rodata.js';
import { decodeFdPass, FD_ACTION, RODATA, type FdPass } from '../generated/fdpass.js';
import { openSource, type Source, type SourceSpec } from '../kernel/source.js';
import { textOf } from '../metrics/text.js';
import { nameOfFile } from './file-name.js';
import { encodeFilter, type Filter } from './filter.js';
import type { LiveSource } from './live.js';
import { TRIAL_RING_BYTES, type SourcePlan } from './plan.js';

export interface FdPassRecord extends Omit<FdPass, 'action' | 'name'> {
  readonly action: 'SEND' | 'RECV';
  /** As `ls -l /proc/PID/fd` shows it; null if it was closed before anybody could look. */
  readonly file: string | null;
}

export interface FdPassOptions {
  readonly filter: Filter;
  /** Threads; none: any. */
  readonly tids: readonly number[];
  /** Text that the thread's name holds; null: any. */
  readonly name: string | null;
  readonly ringBytes: number;
}

const BATCH = 512;

function encodeTids(tids: readonly number[]): Uint8Array {
  const bytes = new Uint8Array(RODATA.nw_tids.size);
  bytes.set(new Uint8Array(Uint32Array.from(tids).buffer));
  return bytes;
}

function specOf({ filter, tids, ringBytes }: FdPassOptions): SourceSpec {
  return {
    name: 'fdpass',
    rodata: [
      [RODATA.nw_filter, encodeFilter(filter)],
      ...kernelFacts(RODATA),
      [RODATA.nw_tid_count, Uint8Array.of(tids.length, 0, 0, 0)],
      [RODATA.nw_tids, encodeTids(tids)],
    ],
    mapSizes: new Map([['events', ringBytes]]),
    essential: (program) => /_(send|recv)msg$/.test(program),
  };
}

const SENT = { gives: 'files that are sent' };
const RECEIVED = { gives: 'files that are received' };
const SENT_TOGETHER = { gives: 'files that are sent by sendmmsg()' };
const RECEIVED_TOGETHER = { gives: 'files that are received by recvmmsg()' };

/** As a tool opens it that is asked for all it can. */
export function trial(filter: Filter): SourceSpec {
  return specOf({ filter, tids: [], name: null, ringBytes: TRIAL_RING_BYTES });
}

/** For `netwatch doctor`. */
export const PLAN: SourcePlan = {
  spec: () => null,
  programs: {
    sys_enter_sendmsg: SENT,
    sys_exit_sendmsg: SENT,
    sys_enter_recvmsg: RECEIVED,
    sys_exit_recvmsg: RECEIVED,
    sys_enter_sendmmsg: SENT_TOGETHER,
    sys_exit_sendmmsg: SENT_TOGETHER,
    sys_enter_recvmmsg: RECEIVED_TOGETHER,
    sys_exit_recvmmsg: RECEIVED_TOGETHER,
  },
  features: [],
};

export class FdPassSource implements LiveSource<FdPassRecord> {
  readonly source: Source;
  readonly #name: string | null;
  readonly #places = new Int32Array(BATCH);

  constructor(options: FdPassOptions) {
    this.#name = options.name;
    this.source = openSource(specOf(options));
  }

  drain(take: (record: FdPassRecord) => void): number {
    return this.source.ring.drain(this.#places, (view, places, count) => {
      for (let i = 0; i < count; i++) {
        const { action, name, ...wire } = decodeFdPass(view, places[i] ?? 0);
        if (this.#name !== null && !wire.threadComm.includes(this.#name)) continue;
        take({
          ...wire,
          action: action === FD_ACTION.NW_FD_SEND ? 'SEND' : 'RECV',
          file: nameOfFile({ ...wire, name: textOf(name.slice()) }),
        });
      }
    });
  }

  finish(): void {
    this.source.detach();
  }
}

/**
 * HTTP exchanges whose response is whole and whose last point has not come by the end of the watching:
 * a client has not read it, or not all of a server's is acknowledged. They are taken out of the
 * connections' blocks (bpf/include/http_points.bpf.h) with their duration and without their parts.
 */
import { ENDED, ENDED_STATE, HTTP_EXCHANGE, POINTS, UNEXPLAINED } from '../generated/packet.js';
import { readArrayValue, readHash } from '../kernel/map.js';
import { readU64 } from '../kernel/read.js';
import type { Source } from '../kernel/source.js';

const { at: FIELD } = HTTP_EXCHANGE;
const { at: BLOCK } = POINTS;
const STATE_BYTES = 4;
const PLACES = (BLOCK.endSeq - BLOCK.state) / STATE_BYTES;
const COMM_BYTES = FIELD.pid - FIELD.comm;
const TUPLE_BYTES = FIELD.comm - FIELD.localAddr;
const CGROUP_BYTES = FIELD.localAddr - FIELD.cgroup;
const ALL_BITS = 0xff;

/**
 * What is the whole connection's lies in the block; the record gets it, and its parts, when it is
 * submitted.
 */
function complete(view: DataView, record: number): void {
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  const copy = (from: number, to: number, length: number): void => {
    bytes.copyWithin(record + to, from, from + length);
  };
  bytes.fill(ALL_BITS, record + FIELD.partNs, record + FIELD.reorderingNs);
  copy(BLOCK.cgroup, FIELD.cgroup, CGROUP_BYTES);
  copy(BLOCK.localAddr, FIELD.localAddr, TUPLE_BYTES);
  copy(BLOCK.comm, FIELD.comm, COMM_BYTES);
  copy(BLOCK.pid, FIELD.pid, 4);
  view.setUint8(record + FIELD.unexplained, UNEXPLAINED.NW_UNEXPLAINED_UNFINISHED);
}

function takeBlock(view: DataView, take: (view: DataView, at: number) => void): void {
  if (readU64(view, BLOCK.owner) === 0) return;
  for (let place = 0; place < PLACES; place++) {
    const state = view.getUint32(BLOCK.state + place * STATE_BYTES, true);
    if (state !== ENDED_STATE.NW_ENDED_TO_READ && state !== ENDED_STATE.NW_ENDED_TO_ACK) continue;
    const record = BLOCK.ended + place * ENDED.size;
    complete(view, record);
    take(view, record);
  }
}

/** Once nothing watches any more; the records are like those of the ring. */
export function takeWaitingExchanges(
  source: Source,
  take: (view: DataView, at: number) => void,
): void {
  const atHand = source.map('request_blocks_at_hand', POINTS.size);
  for (let index = 0; index < atHand.maxEntries; index++)
    takeBlock(readArrayValue(atHand, index), take);
  for (const [, view] of readHash(source.map('request_blocks', POINTS.size), false).values())
    takeBlock(view, take);
}

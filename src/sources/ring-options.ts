/** The ring of a source: how large it is, and what it loses on purpose. */
import { u32 } from '../kernel/rodata.js';
import { TRIAL_RING_BYTES } from './plan.js';

export interface RingOptions {
  readonly bytes: number;
  /** Of so many records of a CPU one is lost, to see what a loss leads to; 0: none. */
  readonly loseEvery: number;
}

export const TRIAL_RING: RingOptions = { bytes: TRIAL_RING_BYTES, loseEvery: 0 };

/** `loseEvery` as the constant of ring.bpf.h. */
export function encodeLoss({ loseEvery }: RingOptions): Uint8Array {
  return u32(loseEvery);
}

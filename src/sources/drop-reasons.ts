/** The kernel's reasons for drops and resets: numbers that differ from version to version. */
import { enumNames } from '../kernel/kernel-btf.js';

/** Arguments of kfree_skb: skb, location, then reason (5.17), then rx_sk (6.11). */
export const KFREE_SKB_REASON = 3;
export const KFREE_SKB_SOCKET = 4;

/** A number that no drop has, in any kernel. */
export const NO_REASON = 0xffff_ffff;

function reasonNames(kernelEnum: string, prefix: RegExp): Map<number, string> {
  const names = enumNames(kernelEnum);
  return new Map([...names].map(([value, name]) => [value, name.replace(prefix, '')]));
}

/** Names by number of this kernel: `TCP_INVALID_SEQUENCE`. */
export function dropReasons(): Map<number, string> {
  return reasonNames('skb_drop_reason', /^SKB_(DROP_REASON_)?/);
}

/** Names by number of this kernel: `NO_SOCKET`. */
export function resetReasons(): Map<number, string> {
  return reasonNames('sk_rst_reason', /^SK_RST_REASON_/);
}

/** The number of a drop reason; 0 (no reason at all) if this kernel does not have it. */
export function reasonNumber(name: string): number {
  return [...dropReasons()].find(([, other]) => other === name)?.[0] ?? 0;
}

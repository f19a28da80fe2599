/** A kernel stack as text, without the frames of those who look at it. */
import type { KernelSymbols } from '../kernel/kallsyms.js';
import { formatAddress } from '../metrics/address.js';

/** From our program to the tracepoint that it hangs on. */
const TRACING = /^(bpf_|__bpf_|__traceiter_|____bpf_)/;

/**
 * Where the stack of what happened begins: at the function that `location` called, or, where that is
 * not known (0), behind the frames whose names are of tracing.
 */
function startOf(stack: readonly number[], location: number, symbols: KernelSymbols): number {
  const called = location === 0 ? -1 : stack.indexOf(location) - 1;
  if (called >= 0) return called;
  const start = stack.findIndex((address) => !TRACING.test(symbols.nameOf(address) ?? ''));
  return Math.max(0, start);
}

/** `NAME+0xOFFSET` for each address, the innermost function first; the address where it has no name. */
export function framesOf(
  stack: readonly number[],
  location: number,
  symbols: KernelSymbols,
): string[] {
  return stack
    .slice(startOf(stack, location, symbols))
    .map((address) => symbols.nameOf(address) ?? `0x${formatAddress(address)}`);
}

/**
 * Constants of BPF programs: what is written into an object's .rodata before it is loaded, so that the
 * verifier leaves out what they rule out.
 */
import { symbolAddress } from './kallsyms.js';
import { hasFunction, hasHelper } from './kernel-btf.js';
import type { Rodata } from './object.js';

/** A `bool`. */
export const flag = (on: boolean): Uint8Array => Uint8Array.of(on ? 1 : 0);

/** A `__u32`. */
export const u32 = (value: number): Uint8Array => new Uint8Array(Uint32Array.of(value).buffer);

/** A `__u64`. */
const u64 = (value: bigint): Uint8Array => new Uint8Array(BigUint64Array.of(value).buffer);

type Variable = Rodata[number][0];

/** What an object asks about the kernel; those that read files have the second, too. */
interface Facts {
  readonly nw_has_kernel_context: Variable;
  readonly nw_socket_file_ops?: Variable;
}

/**
 * What the kernel is like, for an object with these variables: whether its memory can be read by its
 * types, without a helper (bpf_cast_to_kern_ctx() and bpf_rdonly_cast(), 6.2), and what a file's
 * operations are if it is a socket, where no helper says that (before 5.11).
 */
export function kernelFacts(variables: Facts): Rodata {
  const facts: Rodata[number][] = [
    [variables.nw_has_kernel_context, flag(hasFunction('bpf_cast_to_kern_ctx'))],
  ];
  if (variables.nw_socket_file_ops !== undefined && !hasHelper('sock_from_file'))
    facts.push([variables.nw_socket_file_ops, u64(symbolAddress('socket_file_ops') ?? 0n)]);
  return facts;
}

/** What this kernel says about itself through its BTF: tracepoints, kfuncs, enums. */
import { accessSync, constants, statSync } from 'node:fs';
import { release } from 'node:os';
import { viewMemory, type Pointer } from './ffi.js';
import { libbpf } from './libbpf.js';
import { NetwatchError } from '../failure.js';

const BTF_PATH = '/sys/kernel/btf/vmlinux';

const KIND_ENUM = 6;
const KIND_TYPEDEF = 8;
const KIND_FUNC = 12;
const TYPE_BYTES = 12;
const ENUM_VALUE_BYTES = 8;

let loaded: Pointer | null = null;

function kernelBtf(): Pointer {
  if (loaded !== null) return loaded;
  // Asked first: libbpf would complain on standard error.
  loaded = kernelBtfBytes() > 0 ? libbpf.btfLoadKernel() : null;
  if (loaded === null) {
    throw new NetwatchError({ code: 'no-btf', path: BTF_PATH, kernel: release() });
  }
  return loaded;
}

function kernelBtfBytes(): number {
  try {
    accessSync(BTF_PATH, constants.R_OK);
    return statSync(BTF_PATH).size;
  } catch {
    return 0;
  }
}

/** Gives the memory back (7 MB); the next question loads it again. */
export function releaseKernelBtf(): void {
  if (loaded !== null) libbpf.btfFree(loaded);
  loaded = null;
}

/** True if the kernel has this tracepoint, in a form tp_btf can attach to. */
export function hasTracepoint(name: string): boolean {
  return libbpf.btfFind(kernelBtf(), `btf_trace_${name}`, KIND_TYPEDEF) > 0;
}

/**
 * How many values a tracepoint passes on (without the hidden first one); 0 if
 * the kernel does not have it. They grow at the end from version to version.
 */
export function tracepointArguments(name: string): number {
  const typedef = libbpf.btfFind(kernelBtf(), `btf_trace_${name}`, KIND_TYPEDEF);
  if (typedef <= 0) return 0;
  const pointer = typeWords(typedef)[2];
  const prototype = typeWords(pointer)[2];
  return (typeWords(prototype)[1] & 0xffff) - 1;
}

/** name offset, info, and size or the id of the type it refers to. */
function typeWords(id: number): [number, number, number] {
  const type = libbpf.btfType(kernelBtf(), id);
  if (type === null) return [0, 0, 0];
  const view = new DataView(viewMemory(type, TYPE_BYTES));
  return [view.getUint32(0, true), view.getUint32(4, true), view.getUint32(8, true)];
}

/** The id of a function in the kernel's BTF; null if vmlinux does not have it (a module may). */
export function functionId(name: string): number | null {
  const id = libbpf.btfFind(kernelBtf(), name, KIND_FUNC);
  return id > 0 ? id : null;
}

/** How many parameters a function of the kernel has; 0 if vmlinux does not have it. */
export function functionParameters(name: string): number {
  const id = functionId(name);
  return id === null ? 0 : typeWords(typeWords(id)[2])[1] & 0xffff;
}

/** True if the kernel has this function, in vmlinux (not in a module). */
export function hasFunction(name: string): boolean {
  return functionId(name) !== null;
}

let helpers: Set<string> | null = null;

/** True if BPF programs can call this helper (`loop` for bpf_loop). */
export function hasHelper(name: string): boolean {
  helpers ??= new Set(enumNames('bpf_func_id').values());
  return helpers.has(`BPF_FUNC_${name}`);
}

/** True if tracing programs reach storage in sockets (5.11, with all they may do with sockets). */
export function hasSocketStorage(): boolean {
  return hasHelper('sock_from_file');
}

/** Names by value of a kernel enum; empty if the kernel does not have it. */
export function enumNames(name: string): Map<number, string> {
  const names = new Map<number, string>();
  const id = libbpf.btfFind(kernelBtf(), name, KIND_ENUM);
  const type = id > 0 ? libbpf.btfType(kernelBtf(), id) : null;
  if (type === null) return names;
  const info = new DataView(viewMemory(type, TYPE_BYTES)).getUint32(4, true);
  const count = info & 0xffff;
  const values = new DataView(viewMemory(type, TYPE_BYTES + count * ENUM_VALUE_BYTES));
  for (let i = 0; i < count; i++) {
    const at = TYPE_BYTES + i * ENUM_VALUE_BYTES;
    const text = libbpf.btfName(kernelBtf(), values.getUint32(at, true));
    names.set(values.getUint32(at + 4, true), text);
  }
  return names;
}

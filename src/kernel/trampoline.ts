/**
 * Whether programs may be attached to the entry of kernel functions (fentry). Configurations say
 * yes where security policies say no, so one is loaded and attached for a moment. It does nothing.
 */
import { closeSync } from 'node:fs';
import { errno } from './ffi.js';
import { libbpf } from './libbpf.js';
import { functionId } from './kernel-btf.js';
import { describeErrno } from './system-error.js';

const BPF_PROG_TYPE_TRACING = 26;
const BPF_TRACE_FENTRY = 24;

/** `r0 = 0; exit`. */
const NOTHING = Uint8Array.of(0xb7, 0, 0, 0, 0, 0, 0, 0, 0x95, 0, 0, 0, 0, 0, 0, 0);
const INSTRUCTIONS = NOTHING.length / 8;

/** struct bpf_prog_load_opts of libbpf, up to attach_btf_obj_fd. */
const OPTIONS_BYTES = 48;
const EXPECTED_ATTACH_TYPE = 12;
const ATTACH_BTF_ID = 32;

/** A function that every kernel has, and that is not busy. */
const FUNCTION = 'tcp_v4_connect';

function loadOptions(functionId: number): Uint8Array {
  const options = new DataView(new ArrayBuffer(OPTIONS_BYTES));
  options.setBigUint64(0, BigInt(OPTIONS_BYTES), true);
  options.setUint32(EXPECTED_ATTACH_TYPE, BPF_TRACE_FENTRY, true);
  options.setUint32(ATTACH_BTF_ID, functionId, true);
  return new Uint8Array(options.buffer);
}

let known: string | null | undefined;

/** Null if fentry and fexit work here, else why not. Asked once: it takes rights, and some time. */
export function whyNoTrampoline(): string | null {
  if (known === undefined) known = tryOne();
  return known;
}

function tryOne(): string | null {
  const id = functionId(FUNCTION);
  if (id === null) return `no function ${FUNCTION}`;
  const options = loadOptions(id);
  const program = libbpf.programLoad(
    BPF_PROG_TYPE_TRACING,
    'nw_nothing',
    'Dual BSD/GPL',
    NOTHING,
    INSTRUCTIONS,
    options,
  );
  if (program < 0) return describeErrno(errno());
  const link = libbpf.rawTracepointOpen(null, program);
  const reason = link < 0 ? describeErrno(errno()) : null;
  closeSync(program);
  if (link >= 0) closeSync(link);
  return reason;
}

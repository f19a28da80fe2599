/**
 * The functions of libbpf that netwatch calls: objects, maps, links and BTF. Importing this loads the
 * library, or throws NetwatchError; who needs only a system call imports libc.ts.
 */
import { NetwatchError } from '../failure.js';
import { callback, fn, load, type Library, type Maybe, type Pointer } from './ffi.js';
import { c } from './libc.js';

const LIBBPF = 'libbpf.so.1';

/** `v1.1`. Libraries before 0.6 cannot tell. */
function versionOf(library: Library): string {
  try {
    return fn<() => string>(library, 'str libbpf_version_string()')();
  } catch {
    return 'v0.5 or older';
  }
}

/** Asked first: an old one lacks functions, and koffi would only say that. */
function loadLibbpf(): Library {
  let library: Library;
  try {
    library = load(LIBBPF);
  } catch {
    throw new NetwatchError({ code: 'no-libbpf', tried: LIBBPF });
  }
  const version = versionOf(library);
  if (version.startsWith('v0.')) throw new NetwatchError({ code: 'old-libbpf', version });
  return library;
}

const bpf = loadLibbpf();

export const libbpf = {
  objectOpen: fn<(path: string, options: null) => Maybe>(
    bpf,
    'void *bpf_object__open_file(const char *path, const void *opts)',
  ),
  objectLoad: fn<(object: Pointer) => number>(bpf, 'int bpf_object__load(void *obj)'),
  objectClose: fn<(object: Pointer) => void>(bpf, 'void bpf_object__close(void *obj)'),
  findMap: fn<(object: Pointer, name: string) => Maybe>(
    bpf,
    'void *bpf_object__find_map_by_name(void *obj, const char *name)',
  ),
  nextMap: fn<(object: Pointer, map: Maybe) => Maybe>(
    bpf,
    'void *bpf_object__next_map(void *obj, void *map)',
  ),
  nextProgram: fn<(object: Pointer, program: Maybe) => Maybe>(
    bpf,
    'void *bpf_object__next_program(void *obj, void *prog)',
  ),
  programName: fn<(program: Pointer) => string>(bpf, 'str bpf_program__name(void *prog)'),
  programSection: fn<(program: Pointer) => string>(
    bpf,
    'str bpf_program__section_name(void *prog)',
  ),
  setAutoload: fn<(program: Pointer, load: boolean) => number>(
    bpf,
    'int bpf_program__set_autoload(void *prog, bool autoload)',
  ),
  programFd: fn<(program: Pointer) => number>(bpf, 'int bpf_program__fd(void *prog)'),
  attach: fn<(program: Pointer) => Maybe>(bpf, 'void *bpf_program__attach(void *prog)'),
  attachCgroup: fn<(program: Pointer, cgroupFd: number) => Maybe>(
    bpf,
    'void *bpf_program__attach_cgroup(void *prog, int fd)',
  ),
  attachIterator: fn<(program: Pointer, options: null) => Maybe>(
    bpf,
    'void *bpf_program__attach_iter(void *prog, const void *opts)',
  ),
  linkFd: fn<(link: Pointer) => number>(bpf, 'int bpf_link__fd(void *link)'),
  linkDestroy: fn<(link: Pointer) => number>(bpf, 'int bpf_link__destroy(void *link)'),
  iteratorCreate: fn<(linkFd: number) => number>(bpf, 'int bpf_iter_create(int link_fd)'),
  mapName: fn<(map: Pointer) => string>(bpf, 'str bpf_map__name(void *map)'),
  mapFd: fn<(map: Pointer) => number>(bpf, 'int bpf_map__fd(void *map)'),
  mapKeySize: fn<(map: Pointer) => number>(bpf, 'uint32_t bpf_map__key_size(void *map)'),
  mapValueSize: fn<(map: Pointer) => number>(bpf, 'uint32_t bpf_map__value_size(void *map)'),
  mapMaxEntries: fn<(map: Pointer) => number>(bpf, 'uint32_t bpf_map__max_entries(void *map)'),
  mapSetMaxEntries: fn<(map: Pointer, entries: number) => number>(
    bpf,
    'int bpf_map__set_max_entries(void *map, uint32_t max_entries)',
  ),
  mapReuseFd: fn<(map: Pointer, fd: number) => number>(
    bpf,
    'int bpf_map__reuse_fd(void *map, int fd)',
  ),
  objectGet: fn<(path: string) => number>(bpf, 'int bpf_obj_get(const char *path)'),
  mapInitialValue: fn<(map: Pointer, size: BigUint64Array) => Maybe>(
    bpf,
    'void *bpf_map__initial_value(void *map, void *size)',
  ),
  lookup: fn<(fd: number, key: Uint8Array, value: Uint8Array) => number>(
    bpf,
    'int bpf_map_lookup_elem(int fd, const void *key, void *value)',
  ),
  lookupBatch: fn<
    (
      fd: number,
      inBatch: Uint8Array | null,
      outBatch: Uint8Array,
      keys: Uint8Array,
      values: Uint8Array,
      count: Uint32Array,
      options: null,
    ) => number
  >(
    bpf,
    'int bpf_map_lookup_batch(int fd, void *in_batch, void *out_batch, void *keys, void *values, void *count, const void *opts)',
  ),
  lookupAndDeleteBatch: fn<
    (
      fd: number,
      inBatch: Uint8Array | null,
      outBatch: Uint8Array,
      keys: Uint8Array,
      values: Uint8Array,
      count: Uint32Array,
      options: null,
    ) => number
  >(
    bpf,
    'int bpf_map_lookup_and_delete_batch(int fd, void *in_batch, void *out_batch, void *keys, void *values, void *count, const void *opts)',
  ),
  update: fn<(fd: number, key: Uint8Array, value: Uint8Array, flags: number) => number>(
    bpf,
    'int bpf_map_update_elem(int fd, const void *key, const void *value, uint64_t flags)',
  ),
  deleteKey: fn<(fd: number, key: Uint8Array) => number>(
    bpf,
    'int bpf_map_delete_elem(int fd, const void *key)',
  ),
  nextKey: fn<(fd: number, key: Uint8Array | null, next: Uint8Array) => number>(
    bpf,
    'int bpf_map_get_next_key(int fd, const void *key, void *next_key)',
  ),
  infoByFd: fn<(fd: number, info: Uint8Array, length: Uint32Array) => number>(
    bpf,
    'int bpf_obj_get_info_by_fd(int fd, void *info, void *len)',
  ),
  programLoad: fn<
    (
      type: number,
      name: string,
      license: string,
      instructions: Uint8Array,
      count: number,
      options: Uint8Array,
    ) => number
  >(
    bpf,
    'int bpf_prog_load(int type, const char *name, const char *license, const void *insns, size_t count, const void *opts)',
  ),
  rawTracepointOpen: fn<(name: null, programFd: number) => number>(
    bpf,
    'int bpf_raw_tracepoint_open(const char *name, int prog_fd)',
  ),
  enableStats: fn<(type: number) => number>(bpf, 'int bpf_enable_stats(int type)'),
  possibleCpus: fn<() => number>(bpf, 'int libbpf_num_possible_cpus()'),
  version: fn<() => string>(bpf, 'str libbpf_version_string()'),
  setPrint: fn<(callback: unknown) => unknown>(bpf, 'void *libbpf_set_print(void *fn)'),
  btfLoadKernel: fn<() => Maybe>(bpf, 'void *btf__load_vmlinux_btf()'),
  btfFree: fn<(btf: Pointer) => void>(bpf, 'void btf__free(void *btf)'),
  btfFind: fn<(btf: Pointer, name: string, kind: number) => number>(
    bpf,
    'int btf__find_by_name_kind(void *btf, const char *name, uint32_t kind)',
  ),
  btfType: fn<(btf: Pointer, id: number) => Maybe>(
    bpf,
    'void *btf__type_by_id(void *btf, uint32_t id)',
  ),
  btfName: fn<(btf: Pointer, offset: number) => string>(
    bpf,
    'str btf__name_by_offset(void *btf, uint32_t offset)',
  ),
};

const PRINT = 'int netwatch_print(int level, void *format, void *args)';
/** The largest log of the verifier that libbpf takes. Pages that no message needs take no memory. */
const MESSAGE_BYTES = 1 << 24;

/**
 * Hands every message of libbpf to `take`. An exception in a callback from C
 * would vanish and wedge the process, so it must not throw.
 */
export function captureLibbpf(take: (message: string) => void): void {
  const buffer = Buffer.alloc(MESSAGE_BYTES);
  const print = (_level: number, format: Pointer, args: Pointer): number => {
    try {
      const length = c.vsnprintf(buffer, MESSAGE_BYTES, format, args);
      take(buffer.toString('utf8', 0, Math.min(length, MESSAGE_BYTES - 1)));
    } catch {
      return -1;
    }
    return 0;
  };
  libbpf.setPrint(callback(PRINT, print));
}

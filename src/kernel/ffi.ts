/**
 * The C functions netwatch calls, each with its exact signature: libbpf for
 * objects, maps, links and BTF, libc for mmap, read, setns, capabilities and
 * datagrams. The only module with untyped values. Pointers are BigInt, null pointers null; a null pointer
 * must never reach `koffi.view` (it ends the process).
 */
import koffi from 'koffi';
import { NetwatchError } from '../failure.js';

export type Pointer = bigint;

const LIBBPF = 'libbpf.so.1';

type Library = ReturnType<typeof koffi.load>;

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
    library = koffi.load(LIBBPF);
  } catch {
    throw new NetwatchError({ code: 'no-libbpf', tried: LIBBPF });
  }
  const version = versionOf(library);
  if (version.startsWith('v0.')) throw new NetwatchError({ code: 'old-libbpf', version });
  return library;
}

const bpf = loadLibbpf();
const libc = koffi.load('libc.so.6');

// koffi returns `any`; the signature written beside each symbol is the promise.
// eslint-disable-next-line @typescript-eslint/no-unnecessary-type-parameters
function fn<F>(library: Library, prototype: string): F {
  return library.func(prototype) as unknown as F;
}

type Maybe = Pointer | null;

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
  mapSetInitialValue: fn<(map: Pointer, data: Uint8Array, size: number) => number>(
    bpf,
    'int bpf_map__set_initial_value(void *map, const void *data, size_t size)',
  ),
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

export const c = {
  mmap: fn<
    (
      at: null,
      length: number,
      protection: number,
      flags: number,
      fd: number,
      offset: number,
    ) => Maybe
  >(libc, 'void *mmap(void *addr, size_t length, int prot, int flags, int fd, int64_t offset)'),
  munmap: fn<(at: Pointer, length: number) => number>(
    libc,
    'int munmap(void *addr, size_t length)',
  ),
  read: fn<(fd: number, into: Uint8Array, count: number) => number>(
    libc,
    'int64_t read(int fd, void *buf, size_t count)',
  ),
  setns: fn<(fd: number, type: number) => number>(libc, 'int setns(int fd, int nstype)'),
  capset: fn<(header: Uint32Array, data: Uint32Array) => number>(
    libc,
    'int capset(void *hdrp, void *datap)',
  ),
  prctl: fn<(option: number, a: number, b: number, c: number, d: number) => number>(
    libc,
    'int prctl(int option, uint64_t a, uint64_t b, uint64_t c, uint64_t d)',
  ),
  setresuid: fn<(real: number, effective: number, saved: number) => number>(
    libc,
    'int setresuid(uint32_t ruid, uint32_t euid, uint32_t suid)',
  ),
  socket: fn<(domain: number, type: number, protocol: number) => number>(
    libc,
    'int socket(int domain, int type, int protocol)',
  ),
  sendto: fn<
    (
      fd: number,
      data: Uint8Array,
      length: number,
      flags: number,
      to: Uint8Array,
      toLength: number,
    ) => number
  >(
    libc,
    'int64_t sendto(int fd, const void *buf, size_t len, int flags, const void *addr, uint32_t addrlen)',
  ),
  connect: fn<(fd: number, to: Uint8Array, toLength: number) => number>(
    libc,
    'int connect(int fd, const void *addr, uint32_t addrlen)',
  ),
  setsockopt: fn<
    (fd: number, level: number, option: number, value: Uint8Array, length: number) => number
  >(libc, 'int setsockopt(int fd, int level, int optname, const void *optval, uint32_t optlen)'),
  close: fn<(fd: number) => number>(libc, 'int close(int fd)'),
  pthreadSigmask: fn<(how: number, set: Uint8Array, before: Uint8Array | null) => number>(
    libc,
    'int pthread_sigmask(int how, void *set, _Out_ void *oldset)',
  ),
  mount: fn<(source: string, target: string, type: string, flags: number, data: null) => number>(
    libc,
    'int mount(const char *source, const char *target, const char *fstype, uint64_t flags, const void *data)',
  ),
  // libc has no functions for these before glibc 2.36
  fsopen: fn<(number: number, type: string, flags: number) => number>(
    libc,
    'int64_t syscall(int64_t number, const char *fs_name, uint32_t flags)',
  ),
  fsconfig: fn<
    (number: number, fd: number, command: number, key: null, value: null, aux: number) => number
  >(
    libc,
    'int64_t syscall(int64_t number, int fd, uint32_t cmd, const void *key, const void *value, int aux)',
  ),
  fsmount: fn<(number: number, fd: number, flags: number, attributes: number) => number>(
    libc,
    'int64_t syscall(int64_t number, int fd, uint32_t flags, uint32_t attr_flags)',
  ),
  sysconf: fn<(name: number) => number>(libc, 'int64_t sysconf(int name)'),
  vsnprintf: fn<(into: Uint8Array, size: number, format: Pointer, args: Pointer) => number>(
    libc,
    'int vsnprintf(void *str, size_t size, void *format, void *ap)',
  ),
};

export const MAP_FAILED = 0xffffffffffffffffn;

/** errno of the call just made; read it before anything else is called. */
export function errno(): number {
  return koffi.errno();
}

/** The memory at a pointer, without copying. The mapping must outlive it. */
export function viewMemory(pointer: Pointer, length: number): ArrayBuffer {
  if (pointer === 0n || pointer === MAP_FAILED) throw new Error('view of a null pointer');
  return koffi.view(pointer, length);
}

const LIBBPF_PRINT = koffi.proto('int netwatch_print(int level, void *format, void *args)');
/** The largest log of the verifier that libbpf takes. Pages that no message needs take no memory. */
const MESSAGE_BYTES = 1 << 24;

/**
 * Hands every message of libbpf to `take`. An exception in a callback from C
 * would vanish and wedge the process, so it must not throw.
 */
export function captureLibbpf(take: (message: string) => void): void {
  const buffer = Buffer.alloc(MESSAGE_BYTES);
  const callback = (_level: number, format: Pointer, args: Pointer): number => {
    try {
      const length = c.vsnprintf(buffer, MESSAGE_BYTES, format, args);
      take(buffer.toString('utf8', 0, Math.min(length, MESSAGE_BYTES - 1)));
    } catch {
      return -1;
    }
    return 0;
  };
  libbpf.setPrint(koffi.register(callback, koffi.pointer(LIBBPF_PRINT)));
}

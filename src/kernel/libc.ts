/** The functions of libc that netwatch calls: system calls that Node.js has no function for. */
import { fn, fnLater, load, type Maybe, type Pointer } from './ffi.js';

const libc = load('libc.so.6');

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
  madvise: fn<(at: Pointer, length: number, advice: number) => number>(
    libc,
    'int madvise(void *addr, size_t length, int advice)',
  ),
  mallopt: fn<(option: number, value: number) => number>(libc, 'int mallopt(int param, int value)'),
  mallocTrim: fn<(keep: number) => number>(libc, 'int malloc_trim(size_t pad)'),
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
  eventfd: fn<(value: number, flags: number) => number>(
    libc,
    'int eventfd(uint32_t initval, int flags)',
  ),
  flock: fn<(fd: number, operation: number) => number>(libc, 'int flock(int fd, int operation)'),
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
  getpriority: fn<(which: number, who: number) => number>(
    libc,
    'int getpriority(int which, uint32_t who)',
  ),
  setpriority: fn<(which: number, who: number, value: number) => number>(
    libc,
    'int setpriority(int which, uint32_t who, int prio)',
  ),
  sysconf: fn<(name: number) => number>(libc, 'int64_t sysconf(int name)'),
  vsnprintf: fn<(into: Uint8Array, size: number, format: Pointer, args: Pointer) => number>(
    libc,
    'int vsnprintf(void *str, size_t size, void *format, void *ap)',
  ),
};

/** poll(2) in another thread; an error of it looks like the end of the time. */
export const pollLater = fnLater<
  (fds: Uint8Array, count: number, timeoutMs: number, done: () => void) => void
>(libc, 'int poll(_Inout_ void *fds, uint64_t nfds, int timeout)');

/** Fills a hash of a running netwatch to the last place, by bare calls to bpf(2), and empties it again. */
import { execFileSync } from 'node:child_process';
import { bpfMapIds } from './bpf.js';

/** Keys that no socket, connection or request has: all bytes but the first four are 0xee. */
const PROGRAM = `
import ctypes, platform, struct, sys
what, name, ids = sys.argv[1], sys.argv[2], [int(one) for one in sys.argv[3:]]
call = {'x86_64': 321, 'aarch64': 280}[platform.machine()]
libc = ctypes.CDLL(None, use_errno=True)
def bpf(command, attributes):
    room = ctypes.create_string_buffer(attributes, 128)
    found = libc.syscall(call, command, room, 128)
    if found < 0: sys.exit(f'bpf {command}: errno {ctypes.get_errno()}')
    return found, room
for one in ids:
    fd, _ = bpf(14, struct.pack('I', one))
    info = ctypes.create_string_buffer(256)
    bpf(15, struct.pack('IIQ', fd, 256, ctypes.addressof(info)))
    kind, _, key_bytes, value_bytes, entries, _ = struct.unpack_from('6I', info)
    found = info.raw[24:40].split(b'\\0')[0].decode()
    if found != name[:15]: continue
    keys = b''.join(struct.pack('I', i) + b'\\xee' * (key_bytes - 4) for i in range(entries))
    keys = ctypes.create_string_buffer(keys, len(keys))
    values = ctypes.create_string_buffer(value_bytes * entries)
    batch = struct.pack('QQQQIIQQ', 0, 0, ctypes.addressof(keys), ctypes.addressof(values), entries, fd, 0, 0)
    _, room = bpf(26 if what == 'fill' else 27, batch)
    print(struct.unpack_from('I', room, 32)[0])
`;

function change(what: 'fill' | 'empty', pid: number, name: string): number {
  const args = ['-c', PROGRAM, what, name, ...bpfMapIds(pid).map(String)];
  return Number(execFileSync('python3', args, { encoding: 'utf8' }));
}

/** How many entries it has taken. The map is empty, and `pid` holds one of this name. */
export const fillMap = (pid: number, name: string): number => change('fill', pid, name);

/** Takes the same entries out again. */
export const emptyMap = (pid: number, name: string): number => change('empty', pid, name);

/**
 * A connection that reads and writes in ways that Node.js does not know: splice, sendfile, a look ahead
 * and a partial write, by python.
 */
import { join } from 'node:path';
import type { ByteCounts } from './byte-counts.js';
import { temporaryFolder } from './collector.js';
import type { Namespace, Teardown } from './netns.js';

const PORT = 7310;

const UNUSUAL = `
import os, select, socket, sys, threading
host, port = sys.argv[1], int(sys.argv[2])
server = socket.socket(socket.AF_INET6 if ':' in host else socket.AF_INET)
server.bind((host, port)); server.listen(1)
taken = 0
cut = threading.Event()
def serve():
    global taken
    c, _ = server.accept()
    c.recv(500, socket.MSG_PEEK)                     # takes nothing
    while taken < 5000: taken += len(c.recv(5000 - taken))
    into, out = os.pipe()[::-1]
    while taken < 12000:
        n = os.splice(c.fileno(), into, 12000 - taken)
        taken += len(os.read(out, n))
    cut.wait()                                       # or there would be room for all of it, now and then
    while True:
        data = c.recv(1 << 20)
        if not data: break
        taken += len(data)
thread = threading.Thread(target=serve); thread.start()
c = socket.create_connection((host, port))
own = c.getsockname()[1]
c.sendall(b'x' * 5000)
sent = 5000
with open('/dev/zero', 'rb') as zero, open(sys.argv[3], 'wb+') as file:
    file.truncate(7000)
    while sent < 12000: sent += os.sendfile(c.fileno(), file.fileno(), sent - 5000, 12000 - sent)
select.select([], [c], [])                           # what is not acknowledged yet fills a small buffer
c.setblocking(False)
asked = 64 << 20
part = c.send(b'x' * asked)                          # the kernel takes what it has room for
assert 0 < part < asked
c.setblocking(True)
print(os.getpid(), own, sent + part, flush=True)
cut.set()
c.shutdown(socket.SHUT_WR)
thread.join()
print(taken, flush=True)
`;

/** Makes one, to itself; what both ends have sent and received. */
export async function moveUnusually(
  t: Teardown,
  namespace: Namespace,
  host: string,
): Promise<ByteCounts> {
  const file = join(temporaryFolder(t), 'sent');
  const script = ['-c', UNUSUAL, host, String(PORT), file];
  const text = await namespace.exec('python3', script);
  const [first = '', taken = ''] = text.split('\n');
  const [pid = '', own = '', sent = ''] = first.split(' ');
  return {
    [`${pid} ${host}:${own} ${host}:${PORT}`]: [Number(sent), 0],
    [`${pid} ${host}:${PORT} ${host}:${own}`]: [0, Number(taken)],
  };
}

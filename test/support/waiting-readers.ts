/** Many threads that wait for data at the same time, in one process, by python. */
import type { Namespace } from './netns.js';

const READERS = `
import socket, sys, threading, time
count, port = int(sys.argv[1]), int(sys.argv[2])
server = socket.create_server(('127.0.0.1', port), backlog=count)
threads, done = [], []
def read():
    c = socket.create_connection(('127.0.0.1', port))
    threads.append(threading.get_native_id())
    done.append(c.recv(1))
    c.recv(2, socket.MSG_PEEK)                       # takes nothing
readers = [threading.Thread(target=read) for _ in range(count)]
for thread in readers: thread.start()
peers = [server.accept()[0] for _ in range(count)]
def waits(thread):
    with open(f'/proc/self/task/{thread}/wchan') as place: return 'wait_woken' in place.read()
def wait_for_all(names):
    deadline = time.monotonic() + 120
    while len(names) < count or not all(map(waits, threads)):
        if time.monotonic() > deadline: sys.exit('the readers do not wait')
        time.sleep(0.01)
wait_for_all(threads)
for peer in peers: peer.send(b'x')
wait_for_all(done)
for peer in peers: peer.send(b'yy')
for thread in readers: thread.join()
`;

/** `count` threads wait, take one byte each, wait again, and look at two more. The server is at `port`. */
export async function waitingReaders(
  namespace: Namespace,
  count: number,
  port: number,
): Promise<void> {
  await namespace.exec('python3', ['-c', READERS, String(count), String(port)]);
}

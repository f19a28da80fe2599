"""
Connections out of control groups that the test names: each client is a process of its own that lives as long
as one connection, in a group that is made for it and removed when it has ended. For test/e2e/units.test.ts.

  cast.py ROOT SERVER_GROUP PORT    by line on standard input
    {"clients": [[GROUP, LOCAL_PORT], …]}    one after another; a group is a path below ROOT
    {"keep": [GROUP, LOCAL_PORT]}            stays open, in a process that stays
    {"fail": [[GROUP, HOW, PORT, COUNT], …]} so many connect() to PORT that nobody answers: HOW is refused (by a
                                             reset) or closed (by the client, which does not wait)
    {"other": GROUP}                         from now on a child in this group accepts
Each is answered by a line when it is done. Groups are bytes in Latin-1.
"""
import errno
import json
import os
import signal
import socket
import sys

ADDRESS = '127.0.0.1'
REQUEST = b'GET /unit HTTP/1.1\r\nHost: a\r\n\r\n'
RESPONSE = b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'

root = sys.argv[1].encode()
port = int(sys.argv[3])
children = []


def path_of(group):
    return root + b'/' + group.encode('latin-1')


def enter(group):
    with open(path_of(group) + b'/cgroup.procs', 'w') as procs:
        procs.write(str(os.getpid()))


def serve(listener):
    """Answers one request of each connection, and waits for its end."""
    while True:
        connection, _ = listener.accept()
        if os.fork():
            connection.close()
            continue
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        while connection.recv(4096):
            connection.sendall(RESPONSE)
        os._exit(0)


def fork_server(listener, group):
    pid = os.fork()
    if pid == 0:
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        enter(group)
        serve(listener)
    children.append(pid)
    return pid


def connect(own):
    client = socket.socket()
    client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    client.bind((ADDRESS, own))
    client.connect((ADDRESS, port))
    client.sendall(REQUEST)
    client.recv(4096)
    return client


def fail(how, to, count):
    for _ in range(count):
        client = socket.socket()
        client.setblocking(how == 'refused')
        error = client.connect_ex((ADDRESS, to))
        client.close()
        if error != {'refused': errno.ECONNREFUSED, 'closed': errno.EINPROGRESS}[how]:
            raise RuntimeError(f'{how}: errno {error}')


def once(group, work):
    """A process, its connections and its group come and go."""
    os.makedirs(path_of(group), exist_ok=True)
    pid = os.fork()
    if pid == 0:
        enter(group)
        work()
        os._exit(0)
    _, status = os.waitpid(pid, 0)
    if status:
        raise RuntimeError(f'the client in {group!r} ended with {status}')
    os.rmdir(path_of(group))


def keep(group, own):
    os.makedirs(path_of(group), exist_ok=True)
    ready, told = os.pipe()
    pid = os.fork()
    if pid == 0:
        enter(group)
        client = connect(own)
        os.write(told, b'.')
        client.recv(1)
        os._exit(0)
    children.append(pid)
    os.read(ready, 1)


os.makedirs(path_of(sys.argv[2]), exist_ok=True)
listener = socket.create_server((ADDRESS, port), backlog=1024)
server = fork_server(listener, sys.argv[2])
print('{}', flush=True)
for line in sys.stdin:
    wanted = json.loads(line)
    for group, own in wanted.get('clients', []):
        once(group, lambda: connect(own).close())
    for group, *what in wanted.get('fail', []):
        once(group, lambda: fail(*what))
    if 'keep' in wanted:
        keep(*wanted['keep'])
    if 'other' in wanted:
        os.makedirs(path_of(wanted['other']), exist_ok=True)
        os.kill(server, signal.SIGKILL)
        os.waitpid(server, 0)
        children.remove(server)
        server = fork_server(listener, wanted['other'])
    print('{}', flush=True)
for pid in children:
    os.kill(pid, signal.SIGKILL)

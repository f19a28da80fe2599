"""
Two parties in one network namespace, with every way in which a process comes to a TCP socket: opened
before or after netwatch, accepted, accepted by the worker of another process's listener, inherited, handed
over through a unix socket, in a control group that was joined after listen(). Which of them does what is
written here and nowhere else: each stage prints as JSON what has been done, for test/e2e/filter-table.test.ts.

  cast.py PARTIES      a JSON list of Party's fields; stages by line on standard input: open, play
"""
import ctypes
import json
import os
import signal
import socket
import struct
import sys
import threading
import time

MOST_ACTORS = 48
DEADLINE_S = 20
LINGER_0 = struct.pack('ii', 1, 0)
SO_ATTACH_FILTER = 26
SO_DETACH_FILTER = 27
# of struct tcp_info, and what it says after the retransmission timer went off
CONGESTION_STATE = 1
LOSS = 4
# of /proc/net/tcp
TIME_WAIT = '06'
# no initial sequence number of a clock that starts at random is just there
OUT_OF_WINDOW = 0x12345678
# NOP, NOP, SACK: of so many bytes
SACKED_BYTES = 12345
SACK = struct.pack('!4BII', 1, 1, 5, 10, OUT_OF_WINDOW, OUT_OF_WINDOW + SACKED_BYTES)
ACK = 0x10
RETURN_0 = struct.pack('HBBI', 0x06, 0, 0, 0)

# both ends of each actor's pipes: made first, so that every child has them
pipes = [(os.pipe(), os.pipe()) for _ in range(MOST_ACTORS)]
used = iter(range(MOST_ACTORS))


def read_line(fd):
    line = b''
    while not line.endswith(b'\n'):
        part = os.read(fd, 1)
        if not part:
            sys.exit(0)
        line += part
    return json.loads(line)


def write_line(fd, what):
    os.write(fd, json.dumps(what).encode() + b'\n')


class Deeds:
    """What an actor can do; runs in its process. `held`: its sockets by name."""

    def __init__(self):
        self.held = {}
        self.hold = None  # of the filter, while it is attached

    def become(self, comm, cgroup):
        with open('/proc/self/comm', 'w') as name:
            name.write(comm)
        self.join(cgroup)
        return os.getpid()

    def join(self, cgroup):
        with open(f'{cgroup}/cgroup.procs', 'w') as group:
            group.write(str(os.getpid()))

    def fork(self, index):
        child = os.fork()
        if child == 0:
            self.serve(index)
        return child

    def serve(self, index):
        (orders, _), (_, answers) = pipes[index]
        while True:
            deed, arguments = read_line(orders)
            try:
                answer = [True, getattr(self, deed)(*arguments)]
            except Exception as error:
                answer = [False, f'{deed}: {error!r}']
            write_line(answers, answer)

    def prepare(self, name, ip):
        """A socket that will listen: whoever is forked until then has it, too."""
        self.held[name] = socket.socket(socket.AF_INET6 if ':' in ip else socket.AF_INET)

    def listen(self, name, ip, port, backlog):
        server = self.held[name]
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((ip, port))
        server.listen(backlog)

    def connect(self, name, own, port, ip, to):
        client = socket.socket(socket.AF_INET6 if ':' in ip else socket.AF_INET)
        client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        client.bind((own, port))
        client.settimeout(DEADLINE_S)
        self.held[name] = client
        error = client.connect_ex((ip, to))
        if error:
            client.close()
        return error

    def accept(self, listener, name):
        self.held[listener].settimeout(DEADLINE_S)
        self.held[name], _ = self.held[listener].accept()
        self.held[name].setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.held[name].settimeout(DEADLINE_S)

    def send(self, name, text):
        self.held[name].sendall(text.encode())

    def receive(self, name, count):
        """All at once, so that it is one read."""
        connection = self.held[name]
        wait_until(lambda: len(connection.recv(count, socket.MSG_PEEK)) == count)
        return len(connection.recv(count))

    def receive_end(self, name):
        return len(self.held[name].recv(1))

    def close(self, name):
        self.held.pop(name).close()

    def reset(self, name):
        self.held[name].setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_0)
        self.close(name)

    def wait_for_reset(self, name):
        try:
            self.held[name].recv(1)
        except ConnectionResetError:
            self.close(name)
            return
        raise RuntimeError('no reset')

    def drop(self, name):
        """From now on what comes is dropped by a filter of the socket."""
        self.hold = ctypes.create_string_buffer(RETURN_0)
        program = struct.pack('HxxxxxxQ', 1, ctypes.addressof(self.hold))
        self.held[name].setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, program)

    def stop_dropping(self, name):
        self.held[name].setsockopt(socket.SOL_SOCKET, SO_DETACH_FILTER, 0)

    def send_wrong(self, own, port, ip, to):
        """A segment of this connection that is out of its window, past the socket, with a SACK block."""
        family = socket.AF_INET6 if ':' in ip else socket.AF_INET
        ends = socket.inet_pton(family, own) + socket.inet_pton(family, ip)
        offset = (20 + len(SACK)) // 4 << 4
        segment = struct.pack('!HHIIBBHHH', port, to, OUT_OF_WINDOW, 0, offset, ACK, 1000, 0, 0) + SACK
        pseudo = ends + struct.pack('!II', len(segment), socket.IPPROTO_TCP)
        segment = segment[:16] + checksum(pseudo + segment) + segment[18:]
        if family == socket.AF_INET:
            header = struct.pack('!BBHHHBBH', 0x45, 0, 20 + len(segment), 0, 0, 64, socket.IPPROTO_TCP, 0) + ends
        else:
            header = struct.pack('!IHBB', 6 << 28, len(segment), socket.IPPROTO_TCP, 64) + ends
        with socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_RAW) as raw:
            raw.sendto(header + segment, (ip, 0))

    def wait_for_timeout(self, name):
        """A loss probe, which comes first, is no change of the state: it may even get through."""
        def timed_out():
            return self.held[name].getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 128)[CONGESTION_STATE] == LOSS

        wait_until(timed_out)

    def pair(self):
        """For what is handed over between this actor and those that it forks."""
        self.held['give'], self.held['take'] = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)

    def give(self, name):
        socket.send_fds(self.held['give'], [b'x'], [self.held[name].fileno()])
        inode = os.fstat(self.held['give'].fileno()).st_ino
        self.close(name)
        return inode

    def take(self, name):
        _, descriptors, _, _ = socket.recv_fds(self.held['take'], 1, 1)
        self.held[name] = socket.socket(fileno=descriptors[0])
        self.held[name].settimeout(DEADLINE_S)
        return os.fstat(self.held['take'].fileno()).st_ino


def checksum(data):
    total = sum(struct.unpack(f'!{len(data) // 2}H', data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return struct.pack('!H', ~total & 0xFFFF)


def has_ended(port):
    """Whether of a client's connection nothing is left but its TIME_WAIT: the kernel has told all of it."""
    left = []
    for table in 'tcp', 'tcp6':
        with open(f'/proc/net/{table}') as rows:
            left += [row[3] for row in map(str.split, rows) if f'{port:04X}' in (row[1][-4:], row[2][-4:])]
    return all(state == TIME_WAIT for state in left)


def wait_until(condition):
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        if time.monotonic() > deadline:
            raise RuntimeError('it has taken too long')
        time.sleep(0.001)


class Actor:
    """A process of a party, as the director has it."""

    def __init__(self, party, parent=None, cgroup=None):
        self.index = next(used)
        if parent is None:
            self.pid = os.fork()
            if self.pid == 0:
                Deeds().serve(self.index)
        else:
            self.pid = parent.do('fork', self.index)
        self.do('become', party.name, cgroup or party.cgroup)

    def do(self, deed, *arguments):
        (_, orders), (answers, _) = pipes[self.index]
        write_line(orders, [deed, arguments])
        done, answer = read_line(answers)
        if not done:
            raise RuntimeError(answer)
        return answer


class Party:
    """One of the two: its name is its processes' too."""

    def __init__(self, name, server, client, port, first, cgroup, other_cgroup):
        self.name, self.cgroup, self.other_cgroup = name, cgroup, other_cgroup
        self.server_ip, self.client_ip, self.port = server, client, port
        self.next_port = first
        self.connections, self.listens, self.passes, self.refused = [], [], [], []
        self.known = []

    def listen(self, actor, place, early, ip=None, prepared=False):
        """A listener; each has a limit of its own, by which tcpsynbl tells them apart."""
        ip, port, backlog = ip or self.server_ip, self.port + place, self.port - 7000 + place + 1
        if not prepared:
            actor.do('prepare', f'listener {place}', ip)
        actor.do('listen', f'listener {place}', ip, port, backlog)
        self.listens.append({'ip': ip, 'port': port, 'pid': actor.pid, 'backlog': backlog, 'early': early})

    def connect(self, way, client, listener, place, early=False, ip=None):
        """A connection of `client` to what `listener` has opened; not accepted yet."""
        self.next_port += 1
        name = f'{way} {self.next_port}'
        own = (self.client_ip, self.next_port)
        to = (ip or self.server_ip, self.port + place)
        assert client.do('connect', name, *own, *to) == 0, way
        connection = {
            'name': name, 'way': way, 'early': early, 'backlog': self.port - 7000 + place + 1,
            'listener': listener.pid,
            'client': {'ip': own[0], 'port': own[1], 'owner': client.pid, 'caller': client.pid, 'sent': 0},
            'server': {'ip': to[0], 'port': to[1], 'owner': 0, 'caller': 0, 'sent': 0},
            'reset': False, 'lost': False, 'wrong': False,
        }
        self.connections.append(connection)
        return connection

    def ask(self, connection, client):
        request = f"GET /{connection['way']}/{self.name} HTTP/1.1\r\nHost: x\r\n\r\n"
        client.do('send', connection['name'], request)
        connection['client'].update(caller=client.pid, sent=len(request))

    def accept(self, connection, server, place):
        server.do('accept', f'listener {place}', connection['name'])
        connection['server'].update(owner=server.pid, caller=server.pid)

    def send_answer(self, connection, server):
        body = self.name * 7
        answer = f'HTTP/1.1 200 OK\r\nContent-Length: {len(body)}\r\n\r\n{body}'
        server.do('send', connection['name'], answer)
        connection['server'].update(caller=server.pid, sent=len(answer))
        return len(answer)

    def answer(self, connection, server, client):
        server.do('receive', connection['name'], connection['client']['sent'])
        client.do('receive', connection['name'], self.send_answer(connection, server))

    def wrong(self, connection, client):
        own, to = connection['client'], connection['server']
        client.do('send_wrong', own['ip'], own['port'], to['ip'], to['port'])
        connection.update(wrong=True)

    def finish(self, connection, server, client):
        name = connection['name']
        client.do('close', name)
        assert server.do('receive_end', name) == 0
        server.do('close', name)
        wait_until(lambda: has_ended(connection['client']['port']))

    def whole(self, connection, server, client, place=None):
        """Data comes before accept(), where that is still to come; then one segment that is wrong."""
        self.ask(connection, client)
        if place is not None:
            self.accept(connection, server, place)
        self.wrong(connection, client)
        self.answer(connection, server, client)
        self.finish(connection, server, client)

    def hand_over(self, connection, giver, taker, seen):
        name = connection['name']
        inodes = giver.do('give', name), taker.do('take', name)
        if seen:
            for actor, inode, action in zip((giver, taker), inodes, ('SEND', 'RECV')):
                self.passes.append({'pid': actor.pid, 'inode': inode, 'action': action})

    def open(self):
        """Before netwatch is there."""
        self.client, self.server = Actor(self), Actor(self)
        self.parent, self.late_parent = Actor(self), Actor(self)
        self.joiner = Actor(self, cgroup=self.other_cgroup)
        self.server.do('pair')
        self.taker = Actor(self, self.server)
        self.listen(self.server, 0, True)
        self.listen(self.parent, 1, True)
        self.listen(self.joiner, 2, True)
        self.joiner.do('join', self.cgroup)
        self.workers = [Actor(self, self.parent) for _ in range(2)]
        self.late_parent.do('prepare', 'listener 3', self.server_ip)
        self.late_workers = [Actor(self, self.late_parent) for _ in range(2)]
        self.mapped = Actor(self)
        self.early = self.connect('early', self.client, self.server, 0, True)
        self.accept(self.early, self.server, 0)
        self.early_handed = self.connect('early-handed', self.client, self.server, 0, True)
        self.accept(self.early_handed, self.server, 0)
        self.hand_over(self.early_handed, self.server, self.taker, False)
        # who has it when netwatch comes, as nobody saw who accepted it
        self.early_handed['server'].update(owner=self.taker.pid)
        # those that a user of -p names: of the workers one of two, and none of their parents
        some = (self.client, self.server, self.taker, self.joiner, self.mapped)
        self.known = [actor.pid for actor in (*some, self.workers[0], self.late_workers[0])]

    def play(self):
        self.whole(self.early, self.server, self.client)
        self.whole(self.early_handed, self.taker, self.client)
        self.whole(self.connect('accepted', self.client, self.server, 0), self.server, self.client, 0)
        self.play_prefork('prefork', self.workers, 1)
        self.listen(self.late_parent, 3, False, prepared=True)
        self.play_prefork('late-prefork', self.late_workers, 3)
        self.play_inherited()
        self.play_handed()
        self.whole(self.connect('joined', self.client, self.joiner, 2), self.joiner, self.client, 2)
        if ':' not in self.client_ip:
            self.play_mapped()
        self.play_refused()
        self.play_reset()
        self.play_lost()

    def play_prefork(self, way, workers, place):
        """Two requests lie there, and a wrong segment, before the second worker, then the first, accepts."""
        both = [self.connect(way, self.client, self.parent, place) for _ in workers]
        for connection in both:
            self.ask(connection, self.client)
            self.wrong(connection, self.client)
        for connection, worker in zip(both, reversed(workers)):
            self.accept(connection, worker, place)
            self.answer(connection, worker, self.client)
            self.finish(connection, worker, self.client)

    def play_inherited(self):
        connection = self.connect('inherited', self.client, self.server, 0)
        self.accept(connection, self.server, 0)
        client, server = Actor(self, self.client), Actor(self, self.server)
        self.client.do('close', connection['name'])
        self.server.do('close', connection['name'])
        self.whole(connection, server, client)

    def play_handed(self):
        connection = self.connect('handed', self.client, self.server, 0)
        self.accept(connection, self.server, 0)
        self.hand_over(connection, self.server, self.taker, True)
        self.whole(connection, self.taker, self.client)

    def play_mapped(self):
        """IPv4 at a socket of IPv6."""
        self.listen(self.mapped, 4, False, '::')
        self.whole(self.connect('mapped', self.client, self.mapped, 4), self.mapped, self.client, 4)

    def play_refused(self):
        self.next_port += 1
        own, to = (self.client_ip, self.next_port), (self.server_ip, self.port + 99)
        assert self.client.do('connect', 'refused', *own, *to) != 0
        self.refused.append({'ip': own[0], 'port': own[1], 'to': to[0], 'toPort': to[1], 'pid': self.client.pid})

    def play_reset(self):
        connection = self.connect('cut', self.client, self.server, 0)
        self.ask(connection, self.client)
        self.accept(connection, self.server, 0)
        self.answer(connection, self.server, self.client)
        self.client.do('reset', connection['name'])
        self.server.do('wait_for_reset', connection['name'])
        connection.update(reset=True)

    def play_lost(self):
        """The request, then the answer, is dropped where it arrives, and comes again."""
        connection = self.connect('lost', self.client, self.server, 0)
        name = connection['name']
        self.accept(connection, self.server, 0)
        self.server.do('drop', name)
        self.ask(connection, self.client)
        self.client.do('wait_for_timeout', name)
        self.server.do('stop_dropping', name)
        self.server.do('receive', name, connection['client']['sent'])
        self.client.do('drop', name)
        answer = self.send_answer(connection, self.server)
        self.server.do('wait_for_timeout', name)
        self.client.do('stop_dropping', name)
        self.client.do('receive', name, answer)
        self.finish(connection, self.server, self.client)
        connection.update(lost=True)

    def deeds(self):
        keys = ('name', 'known', 'connections', 'listens', 'passes', 'refused')
        return {key: getattr(self, key) for key in keys}


def at_once(parties, stage):
    """Side by side, so that no filter can go by the time."""
    errors = []

    def run(party):
        try:
            getattr(party, stage)()
        except Exception as error:
            errors.append(f'{party.name}: {error!r}')

    threads = [threading.Thread(target=run, args=[party]) for party in parties]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        sys.exit('; '.join(errors))


def main():
    os.setpgid(0, 0)  # all who are killed at the end
    parties = [Party(**fields) for fields in json.loads(sys.argv[1])]
    for stage in map(str.strip, sys.stdin):
        if stage == 'open':
            for party in parties:  # forks: before there are threads
                party.open()
        else:
            at_once(parties, stage)
        print(json.dumps([party.deeds() for party in parties]), flush=True)


try:
    main()
finally:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.killpg(0, signal.SIGTERM)

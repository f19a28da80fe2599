"""A TCP that does what a script says, behind a TUN device, against the kernel's and a program of its own.

peer.py FAMILY NUMBER RTO_MIN < SCRIPT: plays the script's lines over IPv4 or IPv6 (4, 6) and prints a line
of JSON: what the peer itself has seen. NUMBER gives the peer an address that no other script has used. The
lines, one step each:

  < FLAGS [seq=N] [ack=N] [data=N|text=TEXT] [win=N] [mss=N] [sack=FROM-TO]   the peer sends a segment
  < too-big MTU | < unreachable | < no-route                        or an ICMP error for the last one
  > FLAGS [FROM:TO]                                                  waits until the kernel sends one
  anything else                                                     a step of the program, see APPLICATION

Sequence numbers count from each end's SYN (0), so that data begins at 1. A segment without seq follows
the peer's last one; without ack it acknowledges everything. FLAGS are of S F R A, from the peer also E
(ECE); what the kernel sends may have PSH, ECE and CWR too. Other segments may come before the one that is waited for.
A TEXT is percent-encoded.
"""
import errno
import fcntl
import json
import os
import select
import socket
import struct
import subprocess
import sys
import time
from urllib.parse import unquote_to_bytes

TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 1, 0x1000
PORT = 8080
# segments of more than IPv6's least MTU fit too
DEVICE_MTU = 4000
PEER_ISN, WINDOW = 5_000_000, 60_000
DEADLINE_S = 8
FLAGS = {'F': 1, 'S': 2, 'R': 4, 'P': 8, 'A': 16, 'E': 64}
TCP_FASTOPEN_CONNECT, TCP_USER_TIMEOUT, TCP_SYNCNT, TCP_LINGER2 = 30, 18, 7, 8
AF_UNSPEC_ADDRESS = bytes(16)
RTF_LOCAL = 0x80000000


def checksum(data):
    total = sum(struct.unpack(f'!{len(data) // 2}H', data[:len(data) & ~1]))
    total += data[-1] << 8 if len(data) & 1 else 0
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class IPv4:
    family, version, host, prefix, table = socket.AF_INET, 4, '192.0.2.1', 24, '/proc/net/tcp'
    # as numbers of type and code
    errors = {'unreachable': (3, 1), 'no-route': (3, 0), 'too-big': (3, 4)}

    @staticmethod
    def peer(number):
        return f'192.0.2.{10 + number}'

    @staticmethod
    def payload(packet):
        """What TCP has sent; None: it is something else."""
        return packet[(packet[0] & 15) * 4:] if packet[9] == socket.IPPROTO_TCP else None

    @staticmethod
    def packet(source, target, protocol, payload):
        head = struct.pack('!BBHHHBBH', 0x45, 0, 20 + len(payload), 0, 0x4000, 64, protocol, 0) + source + target
        return head[:10] + struct.pack('!H', checksum(head)) + head[12:] + payload

    @staticmethod
    def icmp(_ends, error, mtu, packet):
        head = struct.pack('!BBHHH', *error, 0, 0, mtu) + packet[:28]
        return socket.IPPROTO_ICMP, head[:2] + struct.pack('!H', checksum(head)) + head[4:]


class IPv6:
    family, version, host, prefix, table = socket.AF_INET6, 6, '2001:db8::1', 64, '/proc/net/tcp6'
    errors = {'unreachable': (1, 3), 'no-route': (1, 0), 'too-big': (2, 0)}

    @staticmethod
    def peer(number):
        return f'2001:db8::{10 + number:x}'

    @staticmethod
    def payload(packet):
        return packet[40:] if packet[6] == socket.IPPROTO_TCP else None

    @staticmethod
    def packet(source, target, protocol, payload):
        return struct.pack('!IHBB', 6 << 28, len(payload), protocol, 64) + source + target + payload

    @staticmethod
    def icmp(ends, error, mtu, packet):
        head = struct.pack('!BBHI', *error, 0, mtu) + packet[:100]
        pseudo = ends + struct.pack('!II', len(head), socket.IPPROTO_ICMPV6)
        return socket.IPPROTO_ICMPV6, head[:2] + struct.pack('!H', checksum(pseudo + head)) + head[4:]


class Segment:
    """One that the kernel has sent."""

    def __init__(self, packet, tcp):
        self.packet = packet
        self.source, self.target, self.seq, self.ack = struct.unpack('!HHII', tcp[:12])
        self.flags = ''.join(name for name in 'SFRA' if tcp[13] & FLAGS[name])
        self.data = len(tcp) - (tcp[12] >> 4) * 4
        self.length = self.data + ('S' in self.flags) + ('F' in self.flags)


class Peer:
    def __init__(self, ip, number, rto_min):
        self.ip, self.host = ip, ip.peer(number)
        self.address, self.kernel = (socket.inet_pton(ip.family, host) for host in (self.host, ip.host))
        words = struct.unpack(f'={len(self.address) // 4}I', self.address)
        self.hex = ''.join(f'{word:08X}' for word in words)
        self.tun = os.open('/dev/net/tun', os.O_RDWR | os.O_NONBLOCK)
        name = struct.pack('16sH', b'peer0', IFF_TUN | IFF_NO_PI)
        fcntl.ioctl(self.tun, TUNSETIFF, name)
        subprocess.run(['ip', 'link', 'set', 'peer0', 'mtu', str(DEVICE_MTU), 'up'], check=True)
        own = ['addr', 'add', f'{ip.host}/{ip.prefix}', 'dev', 'peer0', *(['nodad'] if ip is IPv6 else [])]
        route = ['route', 'replace', self.host, 'dev', 'peer0', 'rto_min', rto_min]
        for command in (own, route):
            subprocess.run(['ip', f'-{ip.version}', *command], check=True)
        if ip is IPv6:
            self.wait_for_local_route()
        self.port, self.kernel_port = 40_000 + number, PORT
        self.next_seq = self.seen_to = 0
        self.kernel_isn = self.last = None
        self.heads = set()
        self.waiting, self.counts = [], {'again': 0, 'resets': 0}

    def wait_for_local_route(self):
        """Until the address takes packets: the kernel makes its route later, in a work queue (addrconf_dad_work)."""
        until = time.monotonic() + DEADLINE_S
        while True:
            with open('/proc/net/ipv6_route', encoding='ascii') as table:
                rows = [line.split() for line in table]
            if any(row[0] == self.kernel.hex() and int(row[8], 16) & RTF_LOCAL for row in rows):
                return
            if time.monotonic() > until:
                raise TimeoutError(f'no local route of {self.ip.host}')
            time.sleep(0.001)

    def read(self):
        """What the kernel has sent since, into `waiting`."""
        while True:
            try:
                packet = os.read(self.tun, 65536)
            except BlockingIOError:
                return
            tcp = self.ip.payload(packet) if packet[0] >> 4 == self.ip.version else None
            if tcp is not None:
                self.take(Segment(packet, tcp))

    def take(self, segment):
        if 'S' in segment.flags and self.kernel_isn is None:
            self.kernel_isn = segment.seq
            self.kernel_port, self.port = segment.source, segment.target
        at = (segment.seq - self.kernel_isn) & 0xFFFFFFFF if self.kernel_isn is not None else 0
        segment.at = at
        if 'R' in segment.flags:
            self.counts['resets'] += 1
        elif segment.length:
            # a keepalive or a window probe lies before what is sent and is none
            self.counts['again'] += at < self.seen_to
            self.seen_to = max(self.seen_to, at + segment.length)
        self.last = segment
        self.waiting.append(segment)

    def expect(self, flags, span=None):
        wanted = sorted(flags)
        ends = [int(end) for end in span.split(':')] if span else None
        until = time.monotonic() + DEADLINE_S
        while True:
            self.read()
            while self.waiting:
                found = self.waiting.pop(0)
                if sorted(found.flags) == wanted and ends in (None, [found.at, found.at + found.data]):
                    return
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError(f'no segment {flags} {span or ""}')
            select.select([self.tun], [], [], left)

    def send(self, flags, seq=None, ack=None, data=0, text=None, win=WINDOW, mss=None, sack=None):
        self.read()
        payload = b'd' * int(data) if text is None else unquote_to_bytes(text)
        options = b''
        if mss:
            options += struct.pack('!BBHBBBB', 2, 4, int(mss), 1, 1, 4, 2)
        if sack:
            ends = [int(end) + self.kernel_isn & 0xFFFFFFFF for end in sack.split('-')]
            options += struct.pack('!BBBBII', 1, 1, 5, 10, *ends)
        at = self.next_seq if seq is None else int(seq)
        acknowledged = self.seen_to if ack is None else int(ack)
        bits = sum(FLAGS[name] for name in flags)
        number = (self.kernel_isn or 0) + acknowledged & 0xFFFFFFFF if 'A' in flags else 0
        data, win = len(payload), int(win)
        tcp = struct.pack('!HHIIBBHHH', self.port, self.kernel_port, PEER_ISN + at, number,
                          (20 + len(options)) // 4 << 4, bits, win, 0, 0) + options + payload
        ends = self.address + self.kernel
        tcp = tcp[:16] + struct.pack(
            '!H', checksum(ends + struct.pack('!HH', socket.IPPROTO_TCP, len(tcp)) + tcp)) + tcp[18:]
        self.next_seq = max(self.next_seq, at + data + ('S' in flags) + ('F' in flags))
        self.write(socket.IPPROTO_TCP, tcp)

    def write(self, protocol, payload):
        os.write(self.tun, self.ip.packet(self.address, self.kernel, protocol, payload))

    def icmp(self, error, mtu=0):
        ends = self.address + self.kernel
        self.write(*self.ip.icmp(ends, self.ip.errors[error], int(mtu), self.last.packet))


class Application:
    def __init__(self, peer):
        self.peer = peer
        self.socket = self.listener = None
        self.options = []

    def option(self, level, name, value):
        self.options.append((int(level), int(name), int(value)))

    def syns(self, count):
        self.option(socket.IPPROTO_TCP, TCP_SYNCNT, count)

    def user_timeout(self, ms):
        self.option(socket.IPPROTO_TCP, TCP_USER_TIMEOUT, ms)

    def linger2(self, seconds):
        self.option(socket.IPPROTO_TCP, TCP_LINGER2, seconds)

    def new(self):
        one = socket.socket(self.peer.ip.family)
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for option in self.options:
            one.setsockopt(*option)
        one.setblocking(False)
        return one

    def connect(self, fast_open_bytes=None):
        """Also once more on a socket that has been disconnected."""
        self.socket = self.socket or self.new()
        try:
            if fast_open_bytes is None:
                self.socket.connect((self.peer.host, 80))
            else:
                data = bytes(int(fast_open_bytes))
                self.socket.sendto(data, socket.MSG_FASTOPEN, (self.peer.host, 80))
        except BlockingIOError:
            pass

    def defer(self):
        """connect() that waits for data to send along with the SYN."""
        self.socket = self.socket or self.new()
        self.socket.setsockopt(socket.IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)
        self.connect()

    def connect_from_there(self):
        """Another connect() between the same two ends, which the kernel refuses."""
        other = self.new()
        other.bind(self.socket.getsockname())
        try:
            other.connect((self.peer.host, 80))
        except OSError as error:
            if error.errno == errno.EADDRNOTAVAIL:
                return
        raise ValueError('a second connection between the same ends')

    def listen(self):
        self.listener = self.new()
        self.listener.bind((self.peer.ip.host, PORT))
        self.listener.listen(5)

    def unlisten(self):
        self.listener.close()

    def accept(self):
        self.wait_for(self.listener, select.POLLIN)
        self.socket = self.listener.accept()[0]
        self.socket.setblocking(False)

    def write(self, count):
        self.socket.send(bytes(int(count)))

    def say(self, text):
        self.socket.send(unquote_to_bytes(text))

    def read(self):
        self.wait_for(self.socket, select.POLLIN)
        self.socket.recv(65536)

    def pause(self, ms):
        """So long nothing happens: for what the kernel does if something comes late."""
        time.sleep(int(ms) / 1000)

    def shutdown(self):
        self.socket.shutdown(socket.SHUT_WR)

    def linger(self):
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack('ii', 1, 0))

    def close(self):
        self.socket.close()

    def disconnect(self):
        """connect() to nowhere ends the connection and keeps the socket."""
        libc_connect(self.socket.fileno(), AF_UNSPEC_ADDRESS)

    def readable(self):
        self.wait_for(self.socket, select.POLLIN)

    def error(self, name):
        """Waits until the connection has ended with this error."""
        self.wait_for(self.socket, select.POLLERR | select.POLLHUP)
        found = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if errno.errorcode.get(found) != name:
            raise ValueError(f'{errno.errorcode.get(found)}, not {name}')

    def state(self, name):
        """Waits until the connection is in this state, or gone."""
        until = time.monotonic() + DEADLINE_S
        states = None
        while states != ([] if name == 'gone' else [name]):
            if time.monotonic() > until:
                raise TimeoutError(f'{states}, not {name}')
            with open(self.peer.ip.table, encoding='ascii') as table:
                rows = [line.split() for line in table.readlines()[1:]]
            found = [STATES[int(row[3], 16)] for row in rows if row[2].startswith(self.peer.hex)]
            states = [state for state in found if state != 'TIME_WAIT']
            time.sleep(0.002)

    @staticmethod
    def wait_for(one, what):
        poll = select.poll()
        poll.register(one, what)
        if not poll.poll(DEADLINE_S * 1000):
            raise TimeoutError('nothing to poll')


STATES = ('', 'ESTABLISHED', 'SYN_SENT', 'SYN_RECV', 'FIN_WAIT1', 'FIN_WAIT2', 'TIME_WAIT', 'CLOSE',
          'CLOSE_WAIT', 'LAST_ACK', 'LISTEN', 'CLOSING', 'NEW_SYN_RECV')


def libc_connect(descriptor, address):
    import ctypes
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.connect(descriptor, address, len(address)) != 0:
        raise OSError(ctypes.get_errno(), 'connect')


def play(peer, application, line):
    word, *rest = line.split()
    if word == '<' and rest[0] in peer.ip.errors:
        peer.icmp(*rest)
    elif word == '<':
        peer.send(rest[0], **dict(value.split('=') for value in rest[1:]))
    elif word == '>':
        peer.expect(*rest)
    else:
        getattr(application, word)(*rest)


def main():
    family, number, rto_min = sys.argv[1:]
    peer = Peer(IPv4 if family == '4' else IPv6, int(number), rto_min)
    application = Application(peer)
    for number, line in enumerate([*sys.stdin.read().splitlines(), 'state gone'], 1):
        try:
            play(peer, application, line)
        except Exception as error:
            raise SystemExit(f'line {number}: {line}: {error}') from error
    peer.read()
    print(json.dumps(peer.counts))


main()

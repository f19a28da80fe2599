"""Listening sockets, connections that wait in their queues, and handshakes that are done by hand.

listeners.py: a step per line of standard input, a line of JSON for each when it is done:

  listen NAME PORT BACKLOG [reuseport] [defer] [any]   a listening socket on 127.0.0.1, or on any address
  accept NAME COUNT | close NAME
  connect COUNT PORT                              whole connections, kept open
  try COUNT PORT                                  begun, not waited for
  syn PORT FROM…                                  a SYN by hand, from 127.0.0.9 and the ports FROM
  ack PORT FROM… | bad-ack PORT FROM…             the last ACK of a handshake, to the newest SYN-ACK
  data PORT FROM…                                 the same with a byte

The peers by hand answer no SYN-ACK: whoever plays this keeps the kernel's resets away.
"""
import json
import socket
import struct
import sys

HOST, PEER, ISN = '127.0.0.1', '127.0.0.9', 1_000_000
FIN, SYN, ACK = 1, 2, 16

listeners, connections, answers = {}, [], {}
raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_TCP)
raw.bind((PEER, 0))
raw.settimeout(2)


def checksum(data):
    data += b'\0' * (len(data) & 1)
    total = sum(struct.unpack(f'!{len(data) // 2}H', data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def send(port, source, flags, seq, ack=0, payload=b''):
    header = struct.pack('!HHIIBBHHH', source, port, seq, ack, 5 << 4, flags, 8000, 0, 0)
    pseudo = socket.inet_aton(PEER) + socket.inet_aton(HOST) + struct.pack('!HH', 6, 20 + len(payload))
    total = checksum(pseudo + header + payload)
    raw.sendto(header[:16] + struct.pack('!H', total) + header[18:] + payload, (HOST, port))


def listen(name, port, backlog, *how):
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if 'reuseport' in how:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    if 'defer' in how:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 30)
    sock.bind(('' if 'any' in how else HOST, int(port)))
    sock.listen(int(backlog))
    listeners[name] = sock


def accept(name, count):
    for _ in range(int(count)):
        connections.append(listeners[name].accept()[0])


def close(name):
    listeners.pop(name).close()


def connect(count, port):
    for _ in range(int(count)):
        connections.append(socket.create_connection((HOST, int(port)), timeout=5))


def attempt(count, port):
    for _ in range(int(count)):
        sock = socket.socket()
        sock.setblocking(False)
        sock.connect_ex((HOST, int(port)))
        connections.append(sock)


def syn(port, *sources):
    for source in map(int, sources):
        send(int(port), source, SYN, ISN)


def heard(source):
    """The sequence number of the newest SYN-ACK to this port."""
    while source not in answers:
        packet = raw.recv(4096)
        tcp = packet[(packet[0] & 15) * 4:]
        _, to, seq = struct.unpack('!HHI', tcp[:8])
        if tcp[13] & (SYN | ACK) == SYN | ACK:
            answers[to] = seq
    return answers[source]


def ack(port, *sources, wrong=0, payload=b''):
    for source in map(int, sources):
        send(int(port), source, ACK, ISN + 1, heard(source) + 1 + wrong, payload)


STEPS = {
    'listen': listen, 'accept': accept, 'close': close, 'connect': connect, 'try': attempt,
    'syn': syn, 'ack': ack,
    'bad-ack': lambda *args: ack(*args, wrong=1000),
    'data': lambda *args: ack(*args, payload=b'x'),
}

print(json.dumps('ready'), flush=True)
for line in sys.stdin:
    step, *args = line.split()
    STEPS[step](*args)
    print(json.dumps(step), flush=True)

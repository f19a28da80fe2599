"""Plays HTTP exchanges of one kind on loopback, byte by byte: play.py KIND PORT. Kinds that begin before
netwatch say `ready` and go on when they read a line."""
import os
import socket
import struct
import sys
import tempfile
import threading
import time

ONE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf"
CHUNK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
TO_CLOSE = b"HTTP/1.0 200 OK\r\n\r\nall of it"
TIMES = 5
BODY = 1_000_003

kind, port = sys.argv[1], int(sys.argv[2])
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("127.0.0.1", port))
listener.listen(64)


def pair():
    client = socket.create_connection(("127.0.0.1", port))
    server, _ = listener.accept()
    for end in (client, server):
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return client, server


def take(end, count):
    got = b""
    while len(got) < count:
        more = end.recv(count - len(got))
        if not more:
            raise EOFError(got)
        got += more


def tell(source, target, text):
    source.sendall(text)
    take(target, len(text))


def exchange(client, server, request=GET, response=ONE):
    tell(client, server, request)
    tell(server, client, response)


def reset(end):
    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    end.close()


def drained(end):
    """Waits until the other end has closed or reset."""
    try:
        while end.recv(1000):
            pass
    except OSError:
        pass


def acknowledged(end):
    while True:
        outq = struct.unpack("i", __import__("fcntl").ioctl(end, 0x5411, b"\0\0\0\0"))[0]
        if not outq:
            return
        time.sleep(0.001)


def ready():
    print("ready", flush=True)
    sys.stdin.readline()


def unfinished(response, ending):
    def play():
        client, server = pair()
        tell(client, server, GET)
        if response:
            tell(server, client, response)
        ending(client, server)
        client.close()
        server.close()

    for _ in range(TIMES):
        play()


def server_resets(client, server):
    reset(server)
    drained(client)


def client_gives_up(client, server):
    client.close()
    drained(server)


def server_closes(client, server):
    server.close()
    drained(client)


def body_unread():
    for _ in range(TIMES):
        client, server = pair()
        body = b"y" * 5000
        client.sendall(b"POST /a HTTP/1.1\r\nContent-Length: 5000\r\n\r\n" + body)
        take(server, 100)
        tell(server, client, TO_CLOSE)
        acknowledged(server)
        server.close()  # with a reset, as the body was not read
        drained(client)
        client.close()


def timed_out():
    client, server = pair()
    exchange(client, server)
    ready()  # from here on what the client sends is lost
    client.setsockopt(socket.IPPROTO_TCP, 18, 300)  # TCP_USER_TIMEOUT, in ms
    client.sendall(GET)
    drained(client)
    client.close()
    server.close()


def first_bytes():
    for text in (
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"*1\r\n$4\r\nPING\r\n",
        b"GET\0 / HTTP/1.1\r\n\r\n",
    ):
        client, server = pair()
        tell(client, server, text)
        tell(server, client, b"something else")
        client.close()
        server.close()
    client, server = pair()
    exchange(client, server, b"CONNECT h:443 HTTP/1.1\r\n\r\n", b"HTTP/1.1 200 Yes\r\n\r\n")
    exchange(client, server, GET, ONE)
    client.close()
    server.close()
    client, server = pair()
    exchange(client, server)
    client.close()
    server.close()
    # one that says nothing is none of them, also where its end has made it
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 30)
    socket.create_connection(("127.0.0.1", port)).close()
    server, _ = listener.accept()
    drained(server)
    server.close()


def unasked():
    client, server = pair()
    tell(server, client, b"HTTP/1.1 408 Slow\r\nContent-Length: 0\r\n\r\n")
    server.close()
    client.close()


def waiting():
    client, server = pair()
    tell(client, server, GET + GET)
    ready()
    tell(server, client, ONE)
    ready()
    tell(server, client, ONE)
    client.close()
    server.close()


def pipelined():
    """Each request a segment of its own; every third is HEAD."""
    client, server = pair()
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n"
    for i in range(1000):
        tell(client, server, b"HEAD /h HTTP/1.1\r\n\r\n" if i % 3 == 0 else GET)
    for i in range(1000):
        tell(server, client, head if i % 3 == 0 else ONE)
    client.close()
    server.close()


def urgent():
    client, server = pair()
    client.sendall(GET[:10])
    client.send(b"!", socket.MSG_OOB)
    client.sendall(GET[10:])
    take(server, len(GET))
    tell(server, client, ONE)
    client.close()
    server.close()


def proxied():
    headers = (
        b"PROXY TCP4 192.0.2.1 192.0.2.2 5000 80\r\n",
        b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c\xc0\0\2\x09\xc0\0\2\2\x13\x89\0\x50",
    )
    for header in headers:
        client, server = pair()
        exchange(client, server, header + GET)
        exchange(client, server)
        client.close()
        server.close()


def older(before, after):
    pairs = [pair() for _ in range(TIMES)]
    for client, server in pairs:
        before(client, server)
    ready()
    for client, server in pairs:
        after(client, server)
    for client, server in pairs:
        client.close()
        server.close()


def in_two(client, server):
    tell(client, server, GET[:10])
    tell(client, server, GET[10:])
    tell(server, client, ONE)
    exchange(client, server)


def download_of_requests(client, server):
    for _ in range(3):
        tell(server, client, GET.ljust(1000, b"x"))
    exchange(client, server)


def unfolded():
    client, server = pair()
    exchange(client, server, b"GET /people/jane?doe=1 HTTP/1.1\r\nHost: x\r\n\r\n")
    client.close()
    server.close()


def never_answered():
    """The next connection has the number of the one that nobody answered."""
    client = socket.create_connection(("127.0.0.1", port))
    server, _ = listener.accept()
    number = client.fileno()
    tell(client, server, GET)
    time.sleep(0.5)
    client.close()
    drained(server)
    before = time.monotonic()
    again = socket.create_connection(("127.0.0.1", port))
    assert again.fileno() == number
    other, _ = listener.accept()
    exchange(again, other)
    print(time.monotonic() - before, flush=True)
    for end in (again, other, server):
        end.close()


def interim():
    """Each alone, and all in one segment."""
    parts = (b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n", ONE)
    for pieces in (parts, [b"".join(parts)]):
        client, server = pair()
        for _ in range(TIMES):
            tell(client, server, GET)
            for piece in pieces:
                tell(server, client, piece)
        client.close()
        server.close()


def without_copy():
    """BODY bytes each: by sendfile(), by splice() through a pipe, by MSG_ZEROCOPY."""
    file = tempfile.TemporaryFile()
    file.write(b"z" * BODY)
    file.flush()

    def by_sendfile(server):
        sent = 0
        while sent < BODY:
            sent += os.sendfile(server.fileno(), file.fileno(), sent, BODY - sent)

    def by_splice(server):
        out, into = os.pipe()
        sent = 0
        while sent < BODY:
            there = os.splice(file.fileno(), into, min(65536, BODY - sent), offset_src=sent)
            sent += there
            while there:
                there -= os.splice(out, server.fileno(), there)
        os.close(out)
        os.close(into)

    def by_zerocopy(server):
        server.setsockopt(socket.SOL_SOCKET, 60, 1)  # SO_ZEROCOPY
        rest = memoryview(b"z" * BODY)
        while rest:
            rest = rest[server.send(rest, 0x4000000) :]

    for send in (by_sendfile, by_splice, by_zerocopy):
        client, server = pair()
        for _ in range(2):
            tell(client, server, GET)
            tell(server, client, b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BODY)
            reader = threading.Thread(target=take, args=(client, BODY))
            reader.start()
            send(server)
            reader.join()
        client.close()
        server.close()


def seams():
    """Heads of these sizes, whole and in two segments with the seam around every 512 bytes."""
    for size in (1023, 1024, 1025, 4096, 65536):
        client, server = pair()
        head = b"GET /a HTTP/1.1\r\nX: "
        head += b"x" * (size - len(head) - 4) + b"\r\n\r\n"
        near = [at + by for at in (512, 1024, size) for by in range(-4, 5)]
        for cut in sorted({0} | {at for at in near if at < size}):
            if cut:
                tell(client, server, head[:cut])
            tell(client, server, head[cut:])
            tell(server, client, ONE)
        client.close()
        server.close()


def half_closed():
    client, server = pair()
    tell(client, server, GET)
    client.shutdown(socket.SHUT_WR)
    drained(server)
    reader = threading.Thread(target=drained, args=(client,))
    reader.start()
    server.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % BODY + b"b" * BODY)
    server.close()
    reader.join()
    client.close()


def in_pieces():
    """One byte to a segment, both ways."""
    client, server = pair()
    for text, source, target in ((GET, client, server), (ONE, server, client)) * 2:
        for at in range(len(text)):
            tell(source, target, text[at : at + 1])
    client.close()
    server.close()


def deferred():
    """Many requests in the segment that makes the connection."""
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 30)
    for depth in (1, 4, 5, 32):
        client = socket.create_connection(("127.0.0.1", port))
        client.sendall(GET * depth)
        server, _ = listener.accept()
        take(server, depth * len(GET))
        for _ in range(depth):
            tell(server, client, ONE)
        client.close()
        server.close()


def slow_heads():
    """Clients that never end their heads, and one that does."""
    slow = [pair() for _ in range(TIMES)]
    for client, server in slow:
        tell(client, server, b"GET /slow HTTP/1.1\r\n")
    for header in range(20):
        for client, server in slow:
            tell(client, server, b"X-%d: y\r\n" % header)
    client, server = pair()
    exchange(client, server)
    for a, b in slow + [(client, server)]:
        a.close()
        b.close()


def rest_of_chunks(client, server):
    tell(server, client, b"5\r\nworld\r\n" * 3 + b"0\r\n\r\n")
    for _ in range(10):
        exchange(client, server)


KINDS = {
    "never-answered": never_answered,
    "interim": interim,
    "without-copy": without_copy,
    "seams": seams,
    "half-closed": half_closed,
    "in-pieces": in_pieces,
    "deferred": deferred,
    "slow-heads": slow_heads,
    "older-chunks": lambda: older(
        lambda c, s: exchange(c, s, GET, CHUNK), rest_of_chunks
    ),
    "reset": lambda: unfinished(b"", server_resets),
    "given-up": lambda: unfinished(b"", client_gives_up),
    "cut": lambda: unfinished(HALF, server_closes),
    "cut-chunk": lambda: unfinished(CHUNK, server_resets),
    "body-unread": body_unread,
    "timed-out": timed_out,
    "first-bytes": first_bytes,
    "unasked": unasked,
    "waiting": waiting,
    "pipelined": pipelined,
    "urgent": urgent,
    "proxied": proxied,
    "unfolded": unfolded,
    "older-in-two": lambda: older(exchange, in_two),
    # a server that has stopped listening still serves who is connected
    "older-closing": lambda: older(
        lambda c, s: (exchange(c, s), listener.close()), exchange
    ),
    "older-lower-case": lambda: older(
        exchange, lambda c, s: exchange(c, s, GET.replace(b"GET", b"get"))
    ),
    "older-download": lambda: older(
        lambda c, s: exchange(c, s, GET, b"HTTP/1.1 200 OK\r\nContent-Length: 3000\r\n\r\n"),
        download_of_requests,
    ),
    "older-upload": lambda: older(
        lambda c, s: tell(c, s, b"POST /p HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % len(GET)),
        lambda c, s: (exchange(c, s), exchange(c, s)),
    ),
}
KINDS[kind]()

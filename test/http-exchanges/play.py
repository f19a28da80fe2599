"""Plays HTTP exchanges of one kind on loopback, byte by byte: play.py KIND PORT. Kinds that begin before
netwatch say `ready` and go on when they read a line."""
import socket
import struct
import sys
import time

ONE = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
GET = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\n"
HALF = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nhalf"
CHUNK = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"
TO_CLOSE = b"HTTP/1.0 200 OK\r\n\r\nall of it"
TIMES = 5

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


KINDS = {
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

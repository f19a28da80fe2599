"""Sockets that are not ordinary: each kind of connection that TCP can make, a few times, one after another.

odd.py KIND PORT: prints a line of JSON, what the sockets themselves say of it.
"""
import json
import os
import socket
import sys
import threading

HOST = '127.0.0.1'
EXCHANGES = 5
ANSWER = b'HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok'
FASTOPEN_BACKLOG = 16
AF_UNSPEC_ADDRESS = bytes(16)
IPPROTO_MPTCP = 262


def listener(port, options=(), protocol=0):
    one = socket.socket(socket.AF_INET, socket.SOCK_STREAM, protocol)
    one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    for level, name, value in options:
        one.setsockopt(level, name, value)
    one.bind((HOST, port))
    one.listen(16)
    return one


def request(i):
    return b'GET /%d HTTP/1.1\r\nHost: a\r\n\r\n' % i


def answer_all(server, count):
    """Answers one request of each connection; the peer closes first."""
    for _ in range(count):
        connection, _ = server.accept()
        connection.recv(4096)
        connection.sendall(ANSWER)
        connection.recv(4096)
        connection.close()


def exchanges(port, options, begin):
    """`begin` connects and sends the request; gives the clients' ends."""
    server = listener(port, options)
    thread = threading.Thread(target=answer_all, args=(server, EXCHANGES))
    thread.start()
    clients = []
    for i in range(EXCHANGES):
        client = begin(port, request(i))
        clients.append(client.getsockname()[1])
        client.recv(4096)
        client.close()
    thread.join()
    return {'clients': clients}


def connect_then_send(port, data):
    client = socket.create_connection((HOST, port))
    client.sendall(data)
    return client


def send_with_syn(port, data):
    client = socket.socket()
    client.sendto(data, socket.MSG_FASTOPEN, (HOST, port))
    return client


def deferred(port):
    return exchanges(port, [(socket.IPPROTO_TCP, socket.TCP_DEFER_ACCEPT, 5)], connect_then_send)


def fastopen(port):
    options = [(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, FASTOPEN_BACKLOG)]
    return exchanges(port, options, send_with_syn)


def cookies(port):
    return exchanges(port, [], connect_then_send)


def wait_for_data(one):
    """Until what the peer has sent is here, unread."""
    one.recv(1, socket.MSG_PEEK)


def reused(port):
    """The socket of one connection, with data that nobody reads, becomes that of another one."""
    import ctypes

    first, second = listener(port), listener(port + 1)
    client = socket.create_connection((HOST, port))
    before = client.getsockname()[1]
    peer, _ = first.accept()
    peer.sendall(b'x' * 3000)
    wait_for_data(client)
    ctypes.CDLL(None).connect(client.fileno(), AF_UNSPEC_ADDRESS, 16)
    client.connect((HOST, port + 1))
    client.sendall(request(0))
    other, _ = second.accept()
    other.recv(4096)
    other.sendall(ANSWER)
    client.recv(4096)
    after = client.getsockname()[1]
    for one in (client, other, peer):
        one.close()
    return {'clients': [before, after]}


def simultaneous(port):
    """A socket that connects to itself: both ends send a SYN."""
    client = socket.socket()
    client.bind((HOST, port))
    client.connect((HOST, port))
    client.sendall(b'x')
    client.recv(1)
    client.close()
    return {'clients': [port]}


def mptcp(port):
    """One process listens, another one accepts."""
    server = listener(port, protocol=IPPROTO_MPTCP)
    child = os.fork()
    if child == 0:
        connection, _ = server.accept()
        connection.recv(10)
        connection.sendall(b'y' * 1000)
        connection.recv(10)
        os._exit(0)
    client = socket.socket(socket.AF_INET, socket.SOCK_STREAM, IPPROTO_MPTCP)
    client.connect((HOST, port))
    client.sendall(b'x')
    received = 0
    while received < 1000:
        received += len(client.recv(2000))
    end = client.getsockname()[1]
    client.close()
    os.waitpid(child, 0)
    return {'clients': [end], 'acceptor': child, 'connector': os.getpid()}


KINDS = {kind.__name__: kind for kind in (deferred, fastopen, cookies, reused, simultaneous, mptcp)}

print(json.dumps(KINDS[sys.argv[1]](int(sys.argv[2]))), flush=True)

"""A wire that takes its time: joins two network namespaces by a TUN device in each.

    relay.py SECONDS NETNS ADDRESS/PREFIX NETNS ADDRESS/PREFIX

Each packet leaves SECONDS after it came. Prints READY, ends with its standard input.
"""
import ctypes
import fcntl
import heapq
import os
import select
import struct
import subprocess
import sys
import time

TUNSETIFF = 0x400454CA
IFF_TUN_NO_PI = 0x1001
CLONE_NEWNET = 0x40000000
libc = ctypes.CDLL(None, use_errno=True)


def device(path, address):
    with open(path) as netns:
        if libc.setns(netns.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), path)
    tun = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(tun, TUNSETIFF, struct.pack("16sH", b"wire", IFF_TUN_NO_PI))
    for command in (f"addr add {address} dev wire", "link set wire up mtu 1500"):
        subprocess.run(["ip", *command.split()], check=True)
    return tun


def main():
    delay = float(sys.argv[1])
    ends = [device(sys.argv[2], sys.argv[3]), device(sys.argv[4], sys.argv[5])]
    waiting, serial = [], 0
    print("READY", flush=True)
    while True:
        left = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        ready = select.select([*ends, 0], [], [], left)[0]
        now = time.monotonic()
        if 0 in ready and not os.read(0, 1):
            return
        for i, end in enumerate(ends):
            if end in ready:
                serial += 1
                heapq.heappush(waiting, (now + delay, serial, ends[1 - i], os.read(end, 65536)))
        while waiting and waiting[0][0] <= time.monotonic():
            _, _, to, packet = heapq.heappop(waiting)
            os.write(to, packet)


main()

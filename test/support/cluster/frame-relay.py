"""What a bad line does to frames, where the kernel has no netem.

frame-relay.py plain DEVICE
    Whoever sends by this device sends frames as they are on a wire: with their checksums, and none longer than a packet.
frame-relay.py relay ONE OTHER DELAY_MS JITTER_MS LOST_PERCENT TWICE_PERCENT SEED
    Carries frames from one device to the other and back: each takes DELAY_MS, up to JITTER_MS more or less, so that some pass others;
    some are lost, and some arrive twice. Writes an empty line when it has begun; ends with its standard input.
"""
import ctypes
import fcntl
import heapq
import itertools
import random
import selectors
import socket
import struct
import sys
import time

SIOCETHTOOL = 0x8946
ETHTOOL_STXCSUM = 0x17
ETH_P_ALL = 3
PACKET_OUTGOING = 4
FRAME_BYTES_MAX = 65_536
# What arrives while this process is not running waits in the kernel, as in the buffer of a router.
BUFFER_BYTES = 4 * 1024 * 1024
# Of one device, before it is the turn of what is due.
FRAMES_AT_ONCE = 64


def plain(device):
    # A device that computes no checksums does not cut what is longer than a packet either: the kernel does both before it.
    off = ctypes.create_string_buffer(struct.pack("II", ETHTOOL_STXCSUM, 0))
    request = struct.pack("16sP16x", device.encode(), ctypes.addressof(off))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCETHTOOL, request)


def opened(device):
    line = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
    line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
    line.bind((device, 0))
    line.setblocking(False)
    return line


def arrived(line):
    """Frames that wait at a device; not those that were sent by it."""
    for _ in range(FRAMES_AT_ONCE):
        try:
            frame, address = line.recvfrom(FRAME_BYTES_MAX)
        except BlockingIOError:
            return
        if address[2] != PACKET_OUTGOING:
            yield frame


def relay(one, other, delay_s, jitter_s, lost, twice, seed):
    chance, order, waiting = random.Random(seed), itertools.count(), []
    first, second = opened(one), opened(other)
    to = {first: second, second: first}
    ready = selectors.DefaultSelector()
    for source in (first, second, sys.stdin):
        ready.register(source, selectors.EVENT_READ)
    print(flush=True)
    while True:
        wait_s = max(0, waiting[0][0] - time.monotonic()) if waiting else None
        for key, _ in ready.select(wait_s):
            if key.fileobj is sys.stdin:
                return
            for frame in arrived(key.fileobj):
                if chance.random() < lost:
                    continue
                for _ in range(2 if chance.random() < twice else 1):
                    due = time.monotonic() + delay_s + chance.uniform(-jitter_s, jitter_s)
                    heapq.heappush(waiting, (due, next(order), to[key.fileobj], frame))
        while waiting and waiting[0][0] <= time.monotonic():
            _, _, line, frame = heapq.heappop(waiting)
            try:
                line.send(frame)
            except OSError:
                # Lost, as where a queue is full or a cable is pulled.
                pass


if sys.argv[1] == "plain":
    plain(sys.argv[2])
else:
    delay_ms, jitter_ms, lost_percent, twice_percent = map(float, sys.argv[4:8])
    relay(sys.argv[2], sys.argv[3], delay_ms / 1000, jitter_ms / 1000, lost_percent / 100, twice_percent / 100, sys.argv[8])

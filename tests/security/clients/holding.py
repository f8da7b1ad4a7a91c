# SPDX-License-Identifier: Apache-2.0
"""Clients that are slow, never read, or come in great numbers."""
import socket
import struct
import time

from clients.wire import DEADLINE, FRAME_MAX, SOCKET, alive, answer, case, connect, frame, verdict


@case("slow:half-frames", "served")
def slowloris():
    """200 clients that never end their frame; others are served."""
    socks = []
    try:
        for n in range(200):
            try:
                sock = connect()
                sock.send(struct.pack("<I", FRAME_MAX) + b"{" * (n % 7))
                socks.append(sock)
            except OSError:
                break
        return "served" if alive() else "not served"
    finally:
        for sock in socks:
            sock.close()


@case("slow:half-frame-ends", "closed")
def half_frame():
    """A client that goes silent within a frame loses its connection long before one that has asked for nothing."""
    sock = connect()
    sock.send(struct.pack("<I", 2) + b"{")
    reply = answer(sock)
    sock.close()
    return verdict(reply)


@case("slow:byte-by-byte", "ok")
def byte_by_byte():
    sock = connect()
    for byte in frame({"op": "version"}):
        sock.send(bytes([byte]))
        time.sleep(0.002)
    reply = answer(sock)
    sock.close()
    return verdict(reply)


@case("slow:never-reads", "served")
def never_reads():
    """Sends requests without end and reads no answer: memory is bounded, and others are served."""
    sock = connect()
    sock.setblocking(False)
    data = frame({"op": "ps", "all": True}) * 64
    sent = 0
    end = time.monotonic() + 2
    while time.monotonic() < end and sent < 64 << 20:
        try:
            sent += sock.send(data)
        except BlockingIOError:
            time.sleep(0.01)
        except OSError:
            break
    served = alive()
    sock.close()
    return "served" if served else "not served"


@case("many:connections", "served")
def many_connections():
    """More connections than the daemon will take: refused ones must not starve the rest."""
    socks = []
    try:
        for _ in range(900):
            sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            sock.settimeout(1)
            try:
                sock.connect(SOCKET)
            except OSError:
                sock.close()
                break
            socks.append(sock)
    finally:
        for sock in socks:
            sock.close()
    end = time.monotonic() + DEADLINE
    while time.monotonic() < end:
        if alive():
            return "served"
        time.sleep(0.05)
    return "not served"


@case("many:pipelined", "ok")
def pipelined():
    sock = connect()
    sock.send(frame({"op": "version", "tag": 7}) * 200)
    replies = [answer(sock) for _ in range(200)]
    sock.close()
    good = all(r and r.get("ok") and r.get("tag") == 7 for r in replies)
    return "ok" if good else "lost"

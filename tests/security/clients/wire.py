# SPDX-License-Identifier: Apache-2.0
"""What all hostile clients of the control socket speak with, and the list of their cases.

The command line of hostile_client.py names the socket and an image.
"""
import json
import socket
import struct
import sys

SOCKET, IMAGE = sys.argv[1:3]
FRAME_MAX = 8 << 20
TASK = {"code": "print(1)"}
DEADLINE = 80.0
RUN = {"op": "run", "image": IMAGE, "task": {"exec": "x.py"}, "detach": True}


def connect():
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.settimeout(DEADLINE)
    sock.connect(SOCKET)
    return sock


def frame(body):
    if not isinstance(body, bytes):
        body = json.dumps(body).encode()
    return struct.pack("<I", len(body)) + body


def read_exactly(sock, n):
    data = b""
    while len(data) < n:
        piece = sock.recv(n - len(data))
        if not piece:
            return None
        data += piece
    return data


def answer(sock):
    """The next answer as an object; None when the daemon has closed the connection."""
    try:
        head = read_exactly(sock, 4)
        if head is None:
            return None
        body = read_exactly(sock, struct.unpack("<I", head)[0])
        return None if body is None else json.loads(body)
    except (ConnectionResetError, BrokenPipeError):
        return None


def verdict(reply):
    """closed, refused (with a code and a text) or ok."""
    if reply is None:
        return "closed"
    if reply.get("ok") is True:
        return "ok"
    if not reply.get("error") or not reply.get("code"):
        return "refused without words"
    return "internal error" if reply["code"] == "internal" else "refused"


def ask(body, fds=(), raw=False):
    """Sends one request on a connection of its own; returns the first answer."""
    sock = connect()
    try:
        data = body if raw else frame(body)
        sent = socket.send_fds(sock, [data], list(fds)) if fds else sock.send(data)
        while sent < len(data):
            sent += sock.send(data[sent:])
        return answer(sock)
    except (BrokenPipeError, ConnectionResetError):
        return None
    except socket.timeout:
        return {"ok": False}
    finally:
        sock.close()


def alive():
    """Whether a well-behaved client is served."""
    try:
        reply = ask({"op": "version"})
    except OSError:
        return False
    return bool(reply and reply.get("ok"))


CASES = []


def case(name, want="refused closed"):
    def register(function):
        CASES.append((name, want, function))
        return function

    return register


def simple(name, body, want="refused closed", raw=False):
    CASES.append((name, want, lambda: verdict(ask(body, raw=raw))))

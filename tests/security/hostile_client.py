#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""hostile_client.py SOCKET IMAGE: speaks to the control socket as sandboxctl never would.

Each case prints one JSON line for judge.py. After each the daemon must still answer
"version" to a new client within its time, else the case's result is "daemon gone".
"""
import io
import json
import os
import socket
import struct
import sys
import tarfile
import time

SOCKET, IMAGE = sys.argv[1:3]
FRAME_MAX = 8 << 20
TASK = {"code": "print(1)"}
DEADLINE = 20.0


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
    """One request on a connection of its own; its first answer."""
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


# Frames.
simple("frame:huge", struct.pack("<I", 0xFFFFFFFF) + b"{}", raw=True)
simple("frame:over", struct.pack("<I", FRAME_MAX + 1) + b"{}", raw=True)
simple("frame:zero", struct.pack("<I", 0), raw=True)
simple("frame:negative", struct.pack("<i", -1), raw=True)
simple("frame:largest-garbage", b"\xff" * FRAME_MAX)
simple("frame:largest-spaces", b" " * FRAME_MAX)


def hang_up(data):
    def run():
        for _ in range(50):
            sock = connect()
            if data:
                sock.send(data)
            sock.close()
        return "sent"

    return run


CASES.append(("early-close:nothing", "sent", hang_up(b"")))
CASES.append(("early-close:half-length", "sent", hang_up(b"\x10\0")))
CASES.append(("early-close:half-body", "sent", hang_up(struct.pack("<I", 1000) + b"{")))
CASES.append(("early-close:before-answer", "sent", hang_up(frame({"op": "ps", "all": True}))))
CASES.append(
    ("early-close:run", "sent", hang_up(frame({"op": "run", "image": "no-such", "task": TASK})))
)

# JSON.
for _name, _text in {
    "not-json": b"hello",
    "array": b"[]",
    "number": b"1",
    "null": b"null",
    "string": b'"version"',
    "empty-object": b"{}",
    "trailing": b'{"op":"version"} x',
    "two": b'{"op":"version"}{"op":"version"}',
    "truncated": b'{"op":"version"',
    "duplicate": b'{"op":"version","op":"ps"}',
    "nul-raw": b'{"op":"ver\0sion"}',
    "nul-escaped": b'{"op":"version\\u0000"}',
    "nul-after": b'{"op":"version"}\0',
    "bad-utf8": b'{"op":"\xff\xfe"}',
    "overlong-utf8": b'{"op":"\xc0\xafversion"}',
    "surrogate": b'{"op":"\\ud800"}',
    "deep-arrays": b'{"op":' + b"[" * 100000 + b"]" * 100000 + b"}",
    "deep-objects": b'{"a":' * 100000 + b"1" + b"}" * 100000,
    "deep-open": b"[" * 1000000,
    "huge-integer": b'{"op":"version","tag":' + b"9" * 100000 + b"}",
    "huge-real": b'{"op":"version","tag":1e99999}',
    "nan": b'{"op":"version","tag":NaN}',
    "long-key": b'{"op":"version","' + b"k" * 1000000 + b'":1}',
    "many-keys": b'{"op":"version",' + b",".join(b'"k%d":1' % n for n in range(100000)) + b"}",
    "op-number": b'{"op":1}',
    "op-null": b'{"op":null}',
    "op-unknown": b'{"op":"reboot"}',
    "op-case": b'{"op":"Version"}',
    "key-unknown": b'{"op":"version","force":true}',
}.items():
    simple("json:" + _name, _text)

# Every op with values of a wrong type, and names that are paths.
WRONG = [None, True, -1, 1.5, "", "x", "../../etc", "a\u0000b", [], {}, [[]], 1 << 62, "%2e%2e/"]
OPS = {
    "inspect": ["id"],
    "wait": ["id"],
    "cancel": ["id"],
    "logs": ["id"],
    "rm": ["id"],
    "warm": ["image", "policy", "imports", "force"],
    "run": ["image", "task", "start", "wait", "detach", "package", "log"],
}


def wrong_types(op, key):
    def run():
        results = set()
        for value in WRONG:
            request = {"op": op}
            if op in ("run", "warm"):
                request["image"] = IMAGE
            if op == "run":
                request["task"] = {}  # never a task that could run
            request[key] = value
            results.add(verdict(ask(request)))
        return ",".join(sorted(results))

    return run


for _op, _keys in OPS.items():
    for _key in _keys:
        if (_op, _key) != ("warm", "imports") and (_op, _key) != ("warm", "force"):
            if (_op, _key) == ("warm", "policy"):
                continue  # null is "none given" there, which is a valid request
            CASES.append(("types:%s.%s" % (_op, _key), "refused", wrong_types(_op, _key)))


@case("truncation-of-a-run", "refused")
def truncation():
    """A run request cut at each byte is refused at each, and starts nothing."""
    text = json.dumps({"op": "run", "image": IMAGE, "task": TASK, "detach": True}).encode()
    return ",".join(sorted({verdict(ask(text[:n])) for n in range(1, len(text))}))


TASK_ERRORS = {
    "no-kind": {},
    "two-kinds": {"code": "1", "exec": "x.py"},
    "unknown-key": {"code": "1", "cod": "2"},
    "exec-absolute": {"exec": "/etc/passwd"},
    "exec-dotdot": {"exec": "../x.py"},
    "exec-empty": {"exec": ""},
    "entry-bad": {"entry": "no colon"},
    "code-number": {"code": 1},
    "args-string": {"code": "1", "args": "x"},
    "args-nul": {"code": "1", "args": ["a\u0000b"]},
    "args-many": {"code": "1", "args": ["x"] * 90000},
    "env-list": {"code": "1", "env": ["A=1"]},
    "env-name": {"code": "1", "env": {"A=B": "1"}},
    "env-empty": {"code": "1", "env": {"": "1"}},
    "env-nul": {"code": "1", "env": {"A": "a\u0000b"}},
    "env-number": {"code": "1", "env": {"A": 1}},
    "policy-path": {"code": "1", "policy": "../default"},
    "policy-missing": {"code": "1", "policy": "no-such-policy"},
    "memory-negative": {"code": "1", "limits": {"memory": -1}},
    "memory-zero": {"code": "1", "limits": {"memory": "0"}},
    "memory-overflow": {"code": "1", "limits": {"memory": "99999999999999999999G"}},
    "memory-wrap": {"code": "1", "limits": {"memory": "17179869184G"}},
    "memory-list": {"code": "1", "limits": {"memory": ["64M"]}},
    "memory-unit": {"code": "1", "limits": {"memory": "64X"}},
    "cpus-negative": {"code": "1", "limits": {"cpus": -1}},
    "cpus-zero": {"code": "1", "limits": {"cpus": 0}},
    "cpus-huge": {"code": "1", "limits": {"cpus": 1e300}},
    "pids-zero": {"code": "1", "limits": {"pids": 0}},
    "pids-negative": {"code": "1", "limits": {"pids": -5}},
    "pids-real": {"code": "1", "limits": {"pids": 1.5}},
    "pids-wrap": {"code": "1", "limits": {"pids": (1 << 32) + 8}},
    "disk-zero": {"code": "1", "limits": {"disk": "0"}},
    "disk-huge": {"code": "1", "limits": {"disk": "1000000G"}},
    "timeout-zero": {"code": "1", "limits": {"timeout": 0}},
    "timeout-wrap": {"code": "1", "limits": {"timeout": 1 << 32}},
    "limits-unknown": {"code": "1", "limits": {"ram": "1G"}},
    "limits-array": {"code": "1", "limits": []},
    "start-unknown": {"code": "1", "start": "warm"},
    "start-number": {"code": "1", "start": 1},
    "warm-string": {"code": "1", "warm": "numpy"},
    "warm-code": {"code": "1", "warm": {"imports": ["os;print(1)"]}},
    "warm-newline": {"code": "1", "warm": {"imports": ["os\nsys"]}},
    "warm-long": {"code": "1", "warm": {"imports": ["a" * 100000]}},
    "priority-string": {"code": "1", "priority": "high"},
    "label-object": {"code": "1", "label": {}},
    "label-long": {"code": "1", "label": "x" * 1000000},
    "dir-number": {"exec": "x.py", "dir": 1},
}


def task_error(name, task):
    """Refused, in words that name the field by which the case is called."""

    def run():
        reply = ask({"op": "run", "image": IMAGE, "task": task, "detach": True})
        result = verdict(reply)
        keys = [k for k in task if k != "code"] or ["code"]
        field = keys[-1]
        # A NUL is refused by the JSON reader already, which names line and column.
        named = field in reply["error"] or "line 1, column" in reply["error"]
        if result == "refused" and not named and len(task) > 1:
            return "refused without the field's name: " + reply["error"][:200]
        return result

    return run


for _name, _task in TASK_ERRORS.items():
    CASES.append(("task:" + _name, "refused", task_error(_name, _task)))


# File descriptors.
def wrong_fds(make, request):
    def run():
        fds = make()
        try:
            results = {verdict(ask(request, fds)) for _ in range(3)}
        finally:
            for fd in fds:
                os.close(fd)
        return ",".join(sorted(results))

    return run


def listening():
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.bind("")
    sock.listen()
    return [sock.detach()]


def fifo():
    read_end, write_end = os.pipe()
    return [read_end, write_end]


FD_KINDS = {
    "directory": lambda: [os.open("/", os.O_RDONLY)],
    "path": lambda: [os.open("/etc", os.O_PATH)],
    "zero": lambda: [os.open("/dev/zero", os.O_RDONLY)],
    "pipes": fifo,
    "eventfd": lambda: [os.eventfd(0)],
    "listening": listening,
    "datagram": lambda: [socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).detach()],
    "many": lambda: [os.open("/dev/null", os.O_RDONLY) for _ in range(200)],
    "control-socket": lambda: [connect().detach()],
}
RUN = {"op": "run", "image": IMAGE, "task": {"exec": "x.py"}, "detach": True}
for _name, _make in FD_KINDS.items():
    # An op that wants none: they are closed, and the answer may be as good as ever.
    CASES.append(
        ("fds:version:" + _name, "*", wrong_fds(_make, {"op": "version"})),
    )
    CASES.append(
        (
            "fds:package:" + _name,
            "refused closed",
            wrong_fds(_make, dict(RUN, package=True, log=False)),
        )
    )
    CASES.append(
        ("fds:logs:" + _name, "refused closed", wrong_fds(_make, {"op": "logs", "id": "0" * 24}))
    )


# Clients that hold on.
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
    """One that goes silent within a frame loses its connection, long before one that has asked nothing."""
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
    """Requests without end whose answers nobody takes: bounded, and others are served."""
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


# Archives, as the package of a run.
def entry(name, kind=tarfile.REGTYPE, data=b"", link="", mode=0o644):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode, info.size = kind, link, mode, len(data)
    return info, data


def archive(*entries):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, data in entries:
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


MAIN = entry("x.py", data=b"print('ran')\n")
HUGE = tarfile.TarInfo("huge")
HUGE.size = 1 << 40
LIE = tarfile.TarInfo("lie")
LIE.size = 1 << 20


def lying(info):
    """A header that promises more than follows."""
    return archive(MAIN)[:1024] + info.tobuf(tarfile.GNU_FORMAT) + b"short"


def gzip_bomb():
    import gzip

    member = entry("zeros", data=b"")[0]
    member.size = 3 << 30
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=1) as out:
        out.write(archive(MAIN)[:1024])
        out.write(member.tobuf(tarfile.GNU_FORMAT))
        piece = bytes(1 << 20)
        for _ in range(3 << 10):
            out.write(piece)
    return buffer.getvalue()


MARK = "hostile-client-mark"
ARCHIVES = {
    "absolute": lambda: archive(MAIN, entry("/tmp/" + MARK, data=b"x")),
    "dotdot": lambda: archive(MAIN, entry("../../../../../../tmp/" + MARK, data=b"x")),
    "dotdot-inside": lambda: archive(MAIN, entry("a/../../../../../tmp/" + MARK, data=b"x")),
    "symlink-absolute": lambda: archive(MAIN, entry("l", tarfile.SYMTYPE, link="/etc/passwd")),
    "symlink-dotdot": lambda: archive(MAIN, entry("l", tarfile.SYMTYPE, link="../../../etc")),
    "symlink-then-file": lambda: archive(
        MAIN, entry("l", tarfile.SYMTYPE, link="/tmp"), entry("l/" + MARK, data=b"x")
    ),
    "symlink-chain": lambda: archive(
        MAIN,
        entry("a", tarfile.SYMTYPE, link="."),
        entry("a/b", tarfile.SYMTYPE, link=".."),
        entry("a/b/c", tarfile.SYMTYPE, link=".."),
        entry("a/b/c/" + MARK, data=b"x"),
    ),
    "hardlink": lambda: archive(MAIN, entry("h", tarfile.LNKTYPE, link="/etc/passwd")),
    "hardlink-dotdot": lambda: archive(
        MAIN, entry("h", tarfile.LNKTYPE, link="../../../../etc/passwd")
    ),
    "char-device": lambda: archive(MAIN, entry("d", tarfile.CHRTYPE)),
    "block-device": lambda: archive(MAIN, entry("d", tarfile.BLKTYPE)),
    "fifo": lambda: archive(MAIN, entry("f", tarfile.FIFOTYPE)),
    "case-clash": lambda: archive(MAIN, entry("X.PY", data=b"print('other')\n")),
    "entries": lambda: archive(MAIN, *(entry("n%d" % n) for n in range(150000))),
    "lying-huge": lambda: lying(HUGE),
    "lying-short": lambda: lying(LIE),
    "truncated": lambda: archive(MAIN)[:700],
    "garbage": lambda: os.urandom(100000),
    "empty": lambda: b"",
    "gzip-bomb": gzip_bomb,
    "file-then-folder": lambda: archive(MAIN, entry("x.py/y.py", data=b"x")),
    "name-nul-newline": lambda: archive(MAIN, entry("a\nb\x1b[31m", data=b"x")),
    "long-name": lambda: archive(MAIN, entry("n" * 5000, data=b"x")),
    "long-path": lambda: archive(MAIN, entry("/".join(["d" * 200] * 40), data=b"x")),
}
# These are unusual, yet harmless where they are: taken or refused, as long as nothing is made.
MAY = {"name-nul-newline", "case-clash", "gzip-bomb", "fifo"}


def send_archive(make):
    def run():
        fd = os.memfd_create("package")
        with os.fdopen(fd, "w+b") as f:
            f.write(make())
            f.flush()
            f.seek(0)
            reply = ask(dict(RUN, package=True, log=False), [f.fileno()])
        if os.path.lexists("/tmp/" + MARK):
            os.unlink("/tmp/" + MARK)
            return "escaped"
        return verdict(reply)

    return run


for _name, _make in ARCHIVES.items():
    _want = "refused closed ok" if _name in MAY else "refused closed"
    CASES.append(("archive:" + _name, _want, send_archive(_make)))
CASES.append(
    (
        "archive:setuid",  # taken, without its bits (the driver looks at the file)
        "ok refused",
        send_archive(lambda: archive(MAIN, entry("suid", data=b"#!/bin/sh\n", mode=0o6777))),
    )
)
CASES.append(("archive:good", "ok", send_archive(lambda: archive(MAIN))))


def main():
    only = sys.argv[3] if len(sys.argv) > 3 else ""
    for name, want, function in CASES:
        if not name.startswith(only):
            continue
        try:
            result = function()
        except OSError as e:
            result = type(e).__name__
        if not alive():
            result = "daemon gone"
        line = {"probe": name, "result": result, "want": want, "control": "*"}
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()

# SPDX-License-Identifier: Apache-2.0
"""What a package that is built tries to learn of the package index that it comes from, and to reach by it.

index_attack.py FILE prints a line for each try, "NAME yes" where it worked. FILE is JSON: "canary", which
is backwards and stands in every password and in the proxy's name; "folders", to look for it; "hosts",
[ADDRESS, PORT] of what is there outside; "index" and "proxy", ADDRESS:PORT to send requests to, or null: the
index that pip has here."""
import ctypes
import json
import os
import socket
import stat
import struct
import sys

PATHS = ("/canary.txt", "/simple/", "/simple/0/", "/simple/0/../../canary.txt", "/simple/0/%2e%2e/%2e%2e/canary.txt",
         "/simple/0/evil/../../../canary.txt", "/file/99/x", "/file/-1/x", "/links/0/", "/simple/1/evil/",
         "/simple/0/evil%0d%0aX-A:%20b/", "/file/0/../../canary.txt.metadata", "//canary.txt", "/simple/0/evil?/",
         "/file/0/x%00/../canary.txt.metadata")


def is_there(canary, read):
    try:
        return canary in read()
    except OSError:
        return False


def content(path, most=4 << 20):
    info = os.lstat(path)
    if not stat.S_ISREG(info.st_mode) or (info.st_size > most):
        return b""
    with open(path, "rb") as file:
        return file.read(most)


def environment(known):
    return any(known["canary"] in value for value in os.environb.values())


def files(known):
    for top in known["folders"]:
        for folder, folders, names in os.walk(top):
            folders[:] = [name for name in folders if os.path.join(folder, name) not in (
                "/proc", "/sys", "/dev", "/usr/lib", "/usr/share", "/usr/bin")]
            for name in names:
                if is_there(known["canary"], lambda path=os.path.join(folder, name): content(path)):
                    return True
    return False


def processes(known):
    for pid in filter(str.isdigit, os.listdir("/proc")):
        for name in ("environ", "cmdline", "mountinfo", "net/tcp", "net/unix"):
            def read(path="/proc/%s/%s" % (pid, name)):
                with open(path, "rb") as file:
                    return file.read(1 << 20)
            if is_there(known["canary"], read):
                return True
    return False


def hosts(known):
    with open("/proc/net/route") as routes:
        gateways = [[socket.inet_ntoa(struct.pack("<I", int(line.split()[2], 16))), port]
                    for line in list(routes)[1:] for _, port in known["hosts"]]
    for address, port in known["hosts"] + [["127.0.0.1", port] for _, port in known["hosts"]] + gateways:
        try:
            socket.create_connection((address, port), 0.3).close()
            return True
        except OSError:
            pass
    return False


def channel(known):
    """A socket of any process here."""
    libc = ctypes.CDLL(None, use_errno=True)
    for pid in filter(str.isdigit, os.listdir("/proc")):
        pidfd = libc.syscall(434, int(pid), 0)    # pidfd_open
        try:
            names = os.listdir("/proc/%s/fd" % pid)
        except OSError:
            names = map(str, range(64))
        for name in names:
            got = libc.syscall(438, pidfd, int(name), 0) if pidfd >= 0 else -1    # pidfd_getfd
            if int(pid) == os.getpid():
                got = int(name)
            try:
                if got >= 0 and stat.S_ISSOCK(os.fstat(got).st_mode):
                    return True
            except OSError:
                pass
    return False


def ask(address, request):
    """What is answered within a moment, all of it."""
    host, _, port = address.rpartition(":")
    answer = b""
    with socket.create_connection((host, int(port)), 5) as sock:
        sock.sendall(request)
        sock.settimeout(0.5)
        try:
            while True:
                piece = sock.recv(65536)
                if not piece:
                    break
                answer += piece
        except OSError:
            pass
    return answer


def get(address, what):
    return ask(address, ("GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % (what, address)).encode())


def paths(known):
    return any(get(known["index"], path).partition(b"\r\n")[0].endswith(b" 200 OK") for path in PATHS)


def answers(known):
    """Pages, errors and files, with whatever stands around them."""
    return any(known["canary"] in get(known["index"], path)
               for path in PATHS + ("/simple/0/evil/", "/simple/0/nothing/", "/file/0/x", "/"))


def proxy(known):
    address, port = known["hosts"][0]
    target = "%s:%d" % (address, port)
    return (b"evil" in get(known["proxy"], "http://%s/simple/evil/" % target).partition(b"\r\n\r\n")[2] or
            ask(known["proxy"], ("CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n" % (target, target)).encode())
            .partition(b"\r\n")[0].endswith(b" 200 OK"))


def flood(known):
    """Not a try of its own: what pip asks for after this it must still be answered."""
    held = []
    host, _, port = known["index"].rpartition(":")
    for number in range(100):
        try:
            sock = socket.create_connection((host, int(port)), 1)
            sock.sendall(b"GET /simple/0/evil/ HTTP/1.1\r\n\r\n" if number % 2 else b"GET /simple/" + b"x" * number)
            held.append(sock)
        except OSError:
            pass
    ask(known["index"], b"\xff\x00\r\n" * 1000)
    ask(known["index"], b"GET /" + b"a" * 100000 + b" HTTP/1.1\r\n\r\n")
    ask(known["index"], b"POST /simple/0/evil/ HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\nGET / HTTP/1.1\r\n\r\n")
    return held


def main(path, out):
    with open(path) as file:
        known = json.load(file)
    known["canary"] = known["canary"][::-1].encode()
    here = os.environ.get("PIP_INDEX_URL", "").partition("://")[2].partition("/")[0].rpartition("@")[2]
    known["index"], known["proxy"] = known["index"] or here, known["proxy"] or here
    for call in (environment, files, processes, hosts, channel, paths, answers, proxy):
        try:
            worked = bool(call(known))
        except OSError:
            worked = False
        out.write("%s %s\n" % (call.__name__, "yes" if worked else "no"))
    out.flush()
    return known


if __name__ == "__main__":
    main(sys.argv[1], sys.stdout)

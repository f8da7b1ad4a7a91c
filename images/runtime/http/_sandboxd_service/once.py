"""A run by hand of what a service runs: a command in its surroundings, or its folder ~/data as a tar.

There is one connection, to the front (fd 5), by which one frame comes: {"op": "begin", "do": "run", "export" or "import",
"argv", "environment", "services"}.  The archive goes and comes by stdin, which is a socket.
"""

import json
import os
import socket
import stat
import subprocess
import sys
import tarfile

from . import home

SERVE_FD = 5


def read(sock, size):
    data = bytearray()
    while len(data) < size:
        piece = sock.recv(size - len(data))
        if not piece:
            raise SystemExit("sandboxd: the front has gone")
        data += piece
    return bytes(data)


def command(argv):
    """One word is a line for the shell, as at dotCloud; several are a program and its words."""
    if len(argv) == 1:
        return ["/bin/sh", "-lc", argv[0]]
    return ["/bin/sh", "-lc", 'exec "$@"', "sh"] + argv


def export(folder):
    with os.fdopen(0, "wb", closefd=False) as out, tarfile.open(fileobj=out, mode="w|", format=tarfile.GNU_FORMAT) as tar:
        for name in sorted(os.listdir(folder)):
            tar.add(os.path.join(folder, name), name,
                    filter=lambda info: info if info.isreg() or info.isdir() or info.issym() else None)


def put_in(folder):
    """What is there already and not in the archive stays."""
    n = 0
    with os.fdopen(0, "rb", closefd=False) as source, tarfile.open(fileobj=source, mode="r|*") as tar:
        for info in tar:
            name = os.path.normpath(info.name)
            path = os.path.join(folder, name)
            parent = os.path.dirname(path)
            if name == ".":
                continue
            if name.startswith(("/", "../")) or name == ".." or os.path.realpath(parent) != parent:
                raise SystemExit("sandboxd: %s: leads out of the folder" % info.name)
            os.makedirs(parent, exist_ok=True)
            if info.isdir():
                os.makedirs(path, exist_ok=True)
                continue
            if not info.isreg() and not info.issym():
                raise SystemExit("sandboxd: %s: is neither file, folder nor link" % info.name)
            if os.path.lexists(path) and not stat.S_ISDIR(os.lstat(path).st_mode):
                os.unlink(path)
            if info.issym():
                os.symlink(info.linkname, path)
            else:
                tar.makefile(info, path)
                os.chmod(path, info.mode & 0o777 | 0o600)
            n += 1
    print("%d files" % n)


def main(payload):
    sock = socket.socket(fileno=SERVE_FD)
    lengths = read(sock, 8)
    begin = json.loads(read(sock, int.from_bytes(lengths[:4], "little")))
    sock.close()
    where = home.find()
    folder = os.path.realpath(os.path.join(where, "data"))
    if begin["do"] == "export":
        export(folder)
        return
    if begin["do"] == "import":
        put_in(folder)
        return
    env = home.variables(payload, payload["manifest"], begin.get("environment") or {}, begin.get("services") or [])
    current = home.lay_out(where, payload["manifest"].get("approot") or ".", env)
    process = subprocess.Popen(command(begin["argv"]), env=dict(env, **home.surroundings(where)), cwd=current)
    code = process.wait()
    if code:
        sys.exit(128 - code if code < 0 else code)

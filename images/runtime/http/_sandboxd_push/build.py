"""The main of a push's runs: one reads dotcloud.yml, and one for each service builds it.

Each has one connection, to the front (fd 5), of frames (_sandboxd_http.control).  The payload's members:

    do          "read" or "build"
    app, project
    text        of dotcloud.yml (read), as images, python and image, which say in which one services may be
    plan        what plan.py has made of the service (build), as image, index and clean

A build begins over what the last one has made, in its home; it asks for the folder that was sent ("more"), which comes
as the pieces of a tar ("source"), the last one empty, after the app's variables ("begin").  It says "progress", and at
the end "failed", "services", or "package" (the pieces of an archive) and "manifest".
"""

import io
import json
import os
import re
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tarfile
import tempfile
import time

from . import PushError, plan, read, virtual

SERVE_FD = 5
BUILD_SECONDS = 15 * 60
TEXT_MAX = 3000
PIECE = 1 << 18
# Lines of a hook that the terminal is shown; its log has all.
SHOWN_MAX = 2000
TAIL = 4096
KEPT = ".push"                  # in a package: what the next build has to know
# What the runtime makes anew in each replica, or the node has.
NOT_KEPT = frozenset(("current", "data", "volatile", "environment.json", "environment.yml", "environment.yaml", ".profile",
                      KEPT))


class Front:
    def __init__(self, sock):
        self.sock, self.began = sock, time.monotonic()

    def tell(self, head, body=b""):
        text = json.dumps(head, ensure_ascii=True, separators=(",", ":")).encode("ascii")
        self.sock.sendall(len(text).to_bytes(4, "little") + len(body).to_bytes(4, "little") + text)
        if body:
            self.sock.sendall(body)

    def read(self, size):
        data = bytearray()
        while len(data) < size:
            piece = self.sock.recv(size - len(data))
            if not piece:
                raise SystemExit("sandboxd: the front has gone")
            data += piece
        return bytes(data)

    def hear(self, op):
        """(head, body) of the next frame, which has to be this one."""
        lengths = self.read(8)
        head = json.loads(self.read(int.from_bytes(lengths[:4], "little")))
        body = self.read(int.from_bytes(lengths[4:], "little"))
        if head.get("op") != op:
            raise SystemExit("sandboxd: the front says %s" % head.get("op"))
        return head, body

    def progress(self, step, text):
        now = time.monotonic()
        self.tell({"op": "progress", "step": step, "ms": round((now - self.began) * 1000, 1), "text": text[:TEXT_MAX]})
        self.began = now

    def show(self, text):
        self.tell({"op": "progress", "step": "output", "text": text[:TEXT_MAX]})


class Source:
    """The folder that was sent, as the file that tarfile reads."""

    def __init__(self, front):
        self.front, self.piece, self.ended = front, b"", False

    def read(self, size):
        result = bytearray()
        while len(result) < size and not self.ended:
            if not self.piece:
                self.front.tell({"op": "more"})
                self.piece = self.front.hear("source")[1]
                self.ended = not self.piece
            take = self.piece[:size - len(result)]
            self.piece = self.piece[len(take):]
            result += take
        return bytes(result)

    def finish(self):
        while not self.ended:
            self.read(1 << 20)


class Build:
    def __init__(self, payload, front, home):
        self.payload, self.front, self.home = payload, front, home
        self.manifest = payload["plan"]["manifest"]
        self.name, self.hooks = self.manifest["name"], payload["plan"]["hooks"]
        self.step, self.warnings, self.shown = "upload", [], 0
        self.till = time.monotonic() + BUILD_SECONDS
        self.code = os.path.join(home, "code")
        self.current = None
        self.env = {}

    def run(self):
        self.temporary = tempfile.mkdtemp(prefix="push-", dir="/tmp")
        begin = self.front.hear("begin")[0]
        self.upload()
        self.lay_out(begin)
        self.index = virtual.Index(self.payload.get("index"))
        # Before the first hook, to which `python` is the service's own.
        self.virtualenv()
        self.hook("prebuild")
        self.requirements()
        self.hook("postbuild")
        self.pack()

    # The folder

    def upload(self):
        """What was sent takes the place of what was sent before; what builds have made beside it stays."""
        if self.payload.get("clean"):
            for name in os.listdir(self.home):
                remove(os.path.join(self.home, name))
        os.makedirs(self.code, exist_ok=True)
        before = self.kept("source.json") or []
        self.restore_links()
        source, now = Source(self.front), []
        with tarfile.open(fileobj=source, mode="r|") as tar:
            for info in tar:
                name = os.path.normpath(info.name)
                if name == "." or name.startswith(("/", "../")) or name == "..":
                    continue
                now.append(name)
                put(tar, info, os.path.join(self.code, name), self.code)
        source.finish()
        here = set(now)
        for name in sorted(before, reverse=True):
            path = os.path.join(self.code, name)
            if name in here or not inside(self.code, path):
                continue
            if os.path.isdir(path) and not os.path.islink(path):
                # A folder of the folder that was sent may have what a build has made.
                try:
                    os.rmdir(path)
                except OSError:
                    pass
            else:
                remove(path)
        self.sent = now
        self.say("upload", "%d files%s" % (len(now), ", over the last build" if before else ""))

    def kept(self, name):
        try:
            with open(os.path.join(self.home, KEPT, name), encoding="utf-8") as there:
                return json.load(there)
        except (OSError, ValueError):
            return None

    def restore_links(self):
        for path, target in (self.kept("links.json") or {}).items():
            path = os.path.join(self.home, path)
            if inside(self.home, path) and not os.path.lexists(path):
                os.makedirs(os.path.dirname(path), exist_ok=True)
                os.symlink(target, path)

    def lay_out(self, begin):
        from _sandboxd_service import home

        remove(os.path.join(self.home, "current"))
        config = {"app": self.payload["app"], "service": self.name, "replica": 0, "project": self.payload["project"]}
        variables = home.variables(config, self.manifest, begin.get("environment") or {}, begin.get("services") or [])
        try:
            self.current = home.lay_out(self.home, self.manifest["approot"], variables)
        except OSError as error:
            raise PushError(str(error)) from None
        self.variables = variables

    def surroundings(self):
        from _sandboxd_service import home

        return dict(self.variables, **home.surroundings(self.home))

    # What runs

    def say(self, step, text):
        self.front.progress(step, "%s: %s" % (self.name, text))

    def show(self, line):
        self.shown += 1
        if self.shown < SHOWN_MAX:
            self.front.show(line)
        elif self.shown == SHOWN_MAX:
            self.front.show("... (its log has the rest)")

    def call(self, step, argv, more=None, cwd=None):
        """Runs it to its end, and what it leaves behind ends with it."""
        env = self.surroundings()
        env.update(more or {})
        process = subprocess.Popen(argv, env=env, cwd=cwd or self.current or self.home, stdin=subprocess.DEVNULL,
                                   stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
        line, late, is_open = b"", False, True
        while is_open or process.poll() is None:
            data = None
            if not is_open:
                time.sleep(0.02)
            elif select.select([process.stdout], [], [], 0.02)[0]:
                data = os.read(process.stdout.fileno(), 65536)
                is_open = bool(data)
            elif process.poll() is not None:
                # What it has left behind has its output, and ends with it.
                break
            if data:
                sys.stdout.buffer.write(data)
                sys.stdout.buffer.flush()
                lines = (line + data).split(b"\n")
                line = lines.pop()[-TEXT_MAX:]
                for each in lines:
                    self.show(each.decode("utf-8", "replace"))
            if time.monotonic() > self.till:
                late = True
                kill(process)
                process.wait()
                break
        if line:
            self.show(line.decode("utf-8", "replace"))
        kill(process)
        process.stdout.close()
        if late:
            raise PushError("the build has not ended within %d minutes" % (BUILD_SECONDS // 60))
        if process.returncode:
            raise PushError("signal %d" % -process.returncode if process.returncode < 0 else
                            "exit status %d" % process.returncode)

    def hook(self, name):
        line = self.hooks.get(name)
        if not line:
            return
        self.step = name
        executable(self.current, line)
        self.call(name, ["/bin/sh", "-lc", "exec " + line])
        self.say(name, line)

    # Python

    def virtualenv(self):
        self.step = "virtualenv"
        if self.manifest["type"] == "static":
            return
        self.own = virtual.Env(os.path.join(self.home, "env"), self.payload["plan"]["python"], self.payload["image"],
                               self.index, self.temporary, self.call)
        was_there = self.own.make()
        self.say("virtualenv", "Python %s%s" % (self.payload["plan"]["python"], ", as before" if was_there else ""))

    def requirements(self):
        self.step = "requirements"
        if self.manifest["type"] == "static":
            return
        with open("/proc/net/route") as routes:
            has_network = len(list(routes)) > 1
        path = os.path.join(self.current, "requirements.txt")
        if os.path.isfile(path):
            self.install_file(os.path.realpath(path), has_network)
        wanted = self.payload["plan"]["requirements"]
        if wanted:
            self.install_text("dotcloud.yml: requirements", "\n".join(wanted) + "\n", self.current, has_network)
        if os.path.isfile(os.path.join(self.current, "setup.py")):
            self.pip("setup.py", ["."])

    def install_file(self, path, has_network):
        try:
            with open(path, encoding="utf-8", errors="surrogateescape", newline="") as there:
                text = there.read(1 << 20)
        except OSError as error:
            raise PushError("requirements.txt: %s" % error.strerror) from None
        self.install_text("requirements.txt", text, os.path.dirname(path), has_network)

    def install_text(self, name, text, folder, has_network):
        text = virtual.judged(name, text, has_network, self.warnings)
        # Beside the file itself, because what it names is looked for there.
        fd, path = tempfile.mkstemp(prefix=".requirements-", suffix=".txt", dir=folder)
        try:
            with os.fdopen(fd, "w", encoding="utf-8", errors="surrogateescape", newline="") as out:
                out.write(text)
            self.pip(name, ["-r", path])
        finally:
            remove(path)

    def pip(self, name, arguments):
        try:
            self.own.pip("pip", arguments)
        except PushError as error:
            hint = "" if self.own.has_index() else ": no package index is configured on this machine (pip's index-url)"
            raise PushError("%s: pip: %s%s" % (name, error.message, hint)) from None
        self.say("pip", name)

    # The result

    def pack(self):
        self.step = "pack"
        hook = self.hooks.get("postinstall")
        if not hook and os.path.isfile(os.path.join(self.current, "postinstall")):
            hook = "./postinstall"
        if hook:
            executable(self.current, hook)
            self.manifest["postinstall"] = "exec " + hook
            # Ten minutes for the hook, and a minute to begin to serve.
            self.manifest["sandbox"]["start_s"] = 660
        if self.warnings:
            self.manifest["warnings"] = [warning[:400] for warning in self.warnings[:40]]
        out = Pieces(self.front)
        packer = Packer(self.home)
        with tarfile.open(fileobj=out, mode="w|", format=tarfile.GNU_FORMAT, bufsize=PIECE) as tar:
            packer.add_all(tar)
            kept = {"source.json": self.sent, "links.json": packer.links}
            for name, value in sorted(kept.items()):
                packer.add_text(tar, KEPT + "/" + name, json.dumps(value))
        out.flush()
        self.say("pack", "%d files, %.1f MB" % (packer.n, out.size / 1e6))
        self.front.tell({"op": "manifest"}, json.dumps(self.manifest, ensure_ascii=False).encode("utf-8", "replace"))


class Pieces:
    def __init__(self, front):
        self.front, self.buffer, self.size = front, bytearray(), 0

    def write(self, data):
        self.buffer += data
        self.size += len(data)
        if len(self.buffer) >= PIECE:
            self.flush()
        return len(data)

    def flush(self):
        while self.buffer:
            self.front.tell({"op": "package"}, bytes(self.buffer[:PIECE]))
            del self.buffer[:PIECE]


class Packer:
    """All of the home that replicas get.  Links that lead out of it, as a virtualenv has them, are kept as a list, which
    the runtime makes anew; what is neither file, folder nor link stays here."""

    def __init__(self, home):
        self.home, self.links, self.n = home, {}, 0

    def add_all(self, tar):
        for name in sorted(os.listdir(self.home)):
            if name not in NOT_KEPT:
                self.add(tar, name)

    def add(self, tar, path):
        whole = os.path.join(self.home, path)
        info = os.lstat(whole)
        if stat.S_ISLNK(info.st_mode):
            target = os.readlink(whole)
            if target.startswith("/") or not inside(self.home, os.path.join(os.path.dirname(whole), target)):
                self.links[path] = target
                return
        elif not stat.S_ISDIR(info.st_mode) and not stat.S_ISREG(info.st_mode):
            return
        entry = tarfile.TarInfo(path)
        entry.mtime, entry.mode = int(info.st_mtime), info.st_mode & 0o777
        self.n += 1
        if stat.S_ISLNK(info.st_mode):
            entry.type, entry.linkname = tarfile.SYMTYPE, os.readlink(whole)
            tar.addfile(entry)
        elif stat.S_ISDIR(info.st_mode):
            entry.type = tarfile.DIRTYPE
            tar.addfile(entry)
            for name in sorted(os.listdir(whole)):
                self.add(tar, path + "/" + name)
        else:
            entry.size = info.st_size
            with open(whole, "rb") as content:
                tar.addfile(entry, content)

    @staticmethod
    def add_text(tar, path, text):
        data = text.encode("utf-8", "surrogatepass")
        entry = tarfile.TarInfo(path)
        entry.size, entry.mode = len(data), 0o644
        tar.addfile(entry, io.BytesIO(data))


def inside(top, path):
    """Judged by the text alone."""
    return (os.path.normpath(path) + "/").startswith(os.path.normpath(top) + "/")


def remove(path):
    if os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        try:
            os.unlink(path)
        except OSError:
            pass


def put(tar, info, path, top):
    """A member of what was sent, in the place of what is there."""
    parent = os.path.dirname(path)
    if os.path.realpath(parent) != parent and not inside(os.path.realpath(top), os.path.realpath(parent)):
        raise PushError("%s: lies behind a link" % info.name)
    if info.isdir():
        if os.path.islink(path) or not os.path.isdir(path):
            remove(path)
            os.makedirs(path)
        os.chmod(path, info.mode & 0o777 | 0o700)
        return
    os.makedirs(parent, exist_ok=True)
    remove(path)
    if info.issym():
        os.symlink(info.linkname, path)
    elif info.isreg():
        with open(path, "wb") as out:
            shutil.copyfileobj(tar.extractfile(info), out)
        os.chmod(path, info.mode & 0o777 | 0o600)
        os.utime(path, (info.mtime, info.mtime))


def executable(folder, line):
    """The file that a hook's line begins with, if it does."""
    word = re.split(r"[\s;&|]", line.strip(), maxsplit=1)[0]
    path = os.path.join(folder, word)
    if "/" in word and os.path.isfile(path):
        try:
            os.chmod(path, os.stat(path).st_mode & 0o777 | 0o755)
        except OSError:
            pass


def kill(process):
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def do_read(payload, front):
    services, warnings = read.read(payload["text"])
    made, told = plan.plan(services, payload["app"], [tuple(pair) for pair in payload["images"]], payload.get("python"),
                           payload.get("image"), payload.get("attached") or (), payload.get("policy"))
    made["warnings"] = (warnings + made["warnings"])[:40]
    for line in told:
        front.progress("read", line)
    front.tell({"op": "services"}, json.dumps(made, ensure_ascii=True).encode("ascii"))


def fail(front, step, error):
    message = error.message
    if step is None:
        where = read.FILE
        if error.line:
            where += ":%d" % error.line + (":%d" % error.column if error.column else "")
        if error.text is not None:
            front.show(error.text)
            front.show(" " * (error.column - 1) + "^")
        message = "%s: %s" % (where, message)
    head = {"op": "failed", "message": message[:TEXT_MAX]}
    if step:
        head["step"] = step
    front.tell(head)


def main(payload):
    front = Front(socket.socket(fileno=SERVE_FD))
    build = None
    try:
        if payload["do"] == "read":
            do_read(payload, front)
            return
        from _sandboxd_service import home

        build = Build(payload, front, home.find())
        build.run()
    except PushError as error:
        fail(front, build.step if build else None, error)
    except (OSError, tarfile.TarError) as error:
        fail(front, build.step if build else None, PushError(str(error)))

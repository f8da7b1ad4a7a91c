"""Runs an instance in a process of its own, as in a sandbox but outside of one, and is its front and its clients."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading

import http_rig
from _sandboxd_http.control import Reader, encode

MAIN = """
import sys
sys.path[0] = %r
import json, os
os.dup2(%d, 5)
import _sandboxd_http.instance
_sandboxd_http.instance.main(json.loads(sys.argv[1]))
"""


class Front:
    """The front's side of the control channel: keeps what comes, and answers asks from a dict."""

    def __init__(self, sock, log=None):
        self.sock = sock
        self.log = log or (lambda: "")
        self.reader = Reader()
        self.frames = []
        self.asks = []
        self.store = {}
        self.answers = {}       # by method: a function of (header, body) that gives (header, body)
        self.changed = threading.Condition()
        self.ended = False

    def begin(self):
        threading.Thread(target=self.run, daemon=True).start()

    def send(self, header, body=b""):
        self.sock.sendall(encode(header, body))

    def run(self):
        while True:
            try:
                data = self.sock.recv(65536)
            except OSError:
                data = b""
            with self.changed:
                if not data:
                    self.ended = True
                    self.changed.notify_all()
                    return
                for header, body in self.reader.feed(data):
                    if header["op"] == "ask":
                        self.asks.append((header, body))
                        self.answer(header, body)
                    else:
                        self.frames.append(header)
                self.changed.notify_all()

    def answer(self, header, body):
        method = header["method"]
        made, data = {"ok": True}, b""
        if method in self.answers:
            made, data = self.answers[method](header, body)
        elif method == "getMany":
            items = [self.store.get(key) for key in header["keys"]]
            made["values"] = [item and {"len": len(item[0]), "metadata": item[1]} for item in items]
            data = b"".join(item[0] for item in items if item)
        elif method == "get":
            item = self.store.get(header["key"])
            made["found"] = item is not None
            if item:
                data = item[0]
                made["metadata"] = item[1]
        elif method == "put":
            self.store[header["key"]] = body, header.get("metadata")
        elif method == "delete":
            self.store.pop(header["key"], None)
        elif method == "list":
            made["keys"] = [{"name": key, "metadata": item[1]} for key, item in sorted(self.store.items())]
            made["list_complete"] = True
        self.send(dict(made, op="answer", id=header["id"]), data)

    def wait(self, op):
        """The next frame of this kind."""
        with self.changed:
            found = self.changed.wait_for(
                lambda: self.ended or any(each["op"] == op for each in self.frames), http_rig.PATIENCE)
            for at, each in enumerate(self.frames):
                if each["op"] == op:
                    return self.frames.pop(at)
        raise AssertionError("no frame %r came (%s): %r\n%s" % (op, found, self.frames, self.log()))


class Instance:
    """A worker of these files, which serves on a socket in a folder."""

    def __init__(self, files, config=None, secrets=None, env=None, isolation="instance", modules=None,
                 hello=None):
        self.top = tempfile.mkdtemp(prefix="http-test-")
        self.work = os.path.join(self.top, "work")
        for name, text in files.items():
            path = os.path.join(self.work, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w") as out:
                out.write(text)
        self.config = dict({"worker": "w", "project": "p", "version": "v1", "instance": "i1", "main": "entry",
                            "main_file": "entry.py", "isolation": isolation, "compatibility_date": "2026-08-01",
                            "compatibility_flags": ["python_workers"], "bindings": []}, **config or {})
        self.path = os.path.join(self.top, "sock")
        client = None
        if isolation == "instance":
            serve = socket.socket(socket.AF_UNIX)
            serve.bind(self.path)
            serve.listen(100)
            front = self.connect()
            front.sendall(b"\0")
        else:
            front, serve = socket.socketpair()
            self.client, client = socket.socketpair()
        self.err = tempfile.TemporaryFile()
        self.process = subprocess.Popen(
            [sys.executable, "-B", "-c", MAIN % (http_rig.HTTP, serve.fileno()), json.dumps(self.config)],
            pass_fds=[serve.fileno()], stderr=self.err, env=dict(os.environ, SANDBOX_WORK=self.work, **env or {}),
            cwd=self.work)
        serve.close()
        self.front = Front(front, self.log)
        hello = encode(dict({"op": "hello", "secrets": secrets or {}}, **hello or {}))
        if client is not None:
            socket.send_fds(front, [hello], [client.fileno()])
            client.close()
        else:
            front.sendall(hello)
        self.front.begin()

    def connect(self):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(http_rig.PATIENCE)
        sock.connect(self.path)
        return sock

    def ask(self, target="/", method="GET", body=None, headers=(), sock=None):
        """One request on a connection of its own: (status, headers as an HTTPMessage, body)."""
        import http.client
        connection = http.client.HTTPConnection("example.test")
        connection.sock = sock or self.connect()
        connection.sock.settimeout(http_rig.PATIENCE)
        try:
            connection.request(method, target, body=body, headers=dict(headers))
            response = connection.getresponse()
            return response.status, response.headers, response.read()
        finally:
            connection.close()

    def text(self, target="/", **named):
        status, _, body = self.ask(target, **named)
        if status != 200:
            raise AssertionError("%d %r\n%s" % (status, body, self.log()))
        return body.decode()

    def log(self):
        self.err.seek(0)
        return self.err.read().decode()

    def end(self):
        """Drain, and wait for the end; returns the exit status."""
        try:
            self.front.send({"op": "drain"})
        except OSError:
            pass
        return self.wait()

    def wait(self):
        try:
            return self.process.wait(http_rig.PATIENCE)
        finally:
            self.close()

    def close(self):
        if self.process.poll() is None:
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait()
        self.front.sock.close()
        self.err.close()
        shutil.rmtree(self.top, ignore_errors=True)

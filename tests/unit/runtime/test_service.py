"""A replica's runtime: what it makes of its home, hooks, processes, and what it says to its front."""

import array
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import harness

sys.path.insert(0, os.path.join(harness.RUNTIME, "http"))

from _sandboxd_http.control import Reader, encode  # noqa: E402
from _sandboxd_service import home, hook  # noqa: E402

WAIT = 60
MAIN = """
import sys
sys.path[0] = %r
import json, os
os.dup2(%d, 5)
from _sandboxd_service.main import Replica
config = json.loads(sys.argv[1])
sys.exit(Replica(config, work=os.environ["SANDBOX_WORK"]).run())
"""


class Front:
    """The front's side of a replica in a process of its own, and what it says."""

    def __init__(self, manifest, files, environment=None):
        self.folder = tempfile.mkdtemp(prefix="service-test-")
        self.work = os.path.join(self.folder, "work")
        self.run = os.path.join(self.folder, "run")
        os.mkdir(self.run)
        harness.write_files(os.path.join(self.work, "code"), files)
        self.log = open(os.path.join(self.folder, "log"), "w+b")
        path = os.path.join(self.folder, "c")
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(path)
        listening.listen(5)
        self.path = path
        self.http = []
        names = [port["name"] for port in manifest.get("ports", ()) if port["kind"] == "http"]
        for name in names:
            sock = socket.socket(socket.AF_UNIX)
            sock.bind(os.path.join(self.folder, name))
            sock.listen(100)
            self.http.append(sock)
        config = {"project": "default", "app": "shop", "service": "www", "replica": 2, "version": "r1", "run": "x",
                  "manifest": dict({"format": 1, "app": "shop", "name": "www"}, **manifest)}
        env = {"PATH": "/usr/bin:/bin", "SANDBOX_WORK": self.work, "SANDBOX_RUN": self.run}
        self.process = subprocess.Popen(
            harness.BARE + ["-c", MAIN % (os.path.join(harness.RUNTIME, "http"), listening.fileno()), json.dumps(config)],
            pass_fds=[listening.fileno()], env=env, stdout=self.log, stderr=self.log)
        listening.close()
        self.hello = {"op": "hello", "environment": environment or {}, "sockets": names,
                      "services": [{"name": "www", "url": "http://www-shop.default.localhost:8000"}]}
        self.frames = []
        self.connect(self.http)

    def connect(self, sockets=()):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(WAIT)
        self.sock.connect(self.path)
        fds = array.array("i", [each.fileno() for each in sockets])
        self.sock.sendmsg([b"\0"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)] if sockets else [])
        self.sock.sendall(encode(self.hello))
        self.reader = Reader()
        self.frames = []

    def expect(self, op):
        """The next frame of this op."""
        while True:
            for n, frame in enumerate(self.frames):
                if frame["op"] == op:
                    del self.frames[:n + 1]
                    return frame
            data = self.sock.recv(65536)
            if not data:
                raise AssertionError("no %s; the log: %s" % (op, self.text()))
            self.frames += [header for header, _ in self.reader.feed(data)]

    def text(self):
        self.log.flush()
        with open(self.log.name, "rb") as log:
            return log.read().decode("utf-8", "replace")

    def wait_text(self, text):
        till = time.monotonic() + WAIT
        while text not in self.text():
            if time.monotonic() > till:
                raise AssertionError("%r is not in the log: %s" % (text, self.text()))
            time.sleep(0.01)

    def ask(self, name="http", path="/"):
        sock = socket.socket(socket.AF_UNIX)
        sock.settimeout(WAIT)
        sock.connect(os.path.join(self.folder, name))
        sock.sendall(("GET %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n" % path).encode())
        data = b""
        while True:
            piece = sock.recv(65536)
            if not piece:
                break
            data += piece
        sock.close()
        return data.decode()

    def end(self):
        if self.process.poll() is None:
            self.process.terminate()
        self.process.wait(WAIT)
        self.sock.close()
        for sock in self.http:
            sock.close()
        self.log.close()
        shutil.rmtree(self.folder)


SERVER = """
import http.server, os, sys, time
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/slow":
            print("slow begins", flush=True)
            time.sleep(1)
        self.send_response(200)
        self.end_headers()
        self.wfile.write(("%s %s" % (os.environ["DOTCLOUD_SERVICE_ID"], os.environ.get("MODE"))).encode())
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT_HTTP"])), Handler).serve_forever()
"""
HTTP = [{"name": "http", "kind": "http"}]




class Replicas(unittest.TestCase):
    def front(self, manifest, files, environment=None):
        # Outside of a sandbox there is one network: a process finds a port of its own by its command.
        front = Front(dict({"type": "custom"}, **manifest), files, environment)
        self.addCleanup(front.end)
        return front

    def test_serves_and_drains(self):
        port = home.HTTP_PORT
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            self.fail("this machine serves at port %d" % port)
        except OSError:
            pass
        front = self.front({"ports": HTTP, "environment": {"MODE": "file", "OTHER": "1"},
                            "processes": [{"name": "a", "command": "exec %s server.py" % sys.executable}]},
                           {"server.py": SERVER.encode()}, {"MODE": "set"})
        self.assertEqual([front.expect("stage")["stage"] for _ in range(3)], ["home", "launch", "wait"])
        front.expect("ready")
        self.assertTrue(front.ask().endswith("2 set"))
        with open(os.path.join(front.work, "environment.json")) as text:
            lines = text.read().splitlines()
        self.assertIn('    "OTHER": "1",', lines + [line + "," for line in lines])
        self.assertIn('    "DOTCLOUD_WWW_HTTP_URL": "http://www-shop.default.localhost:8000/"',
                      [line.rstrip(",") for line in lines])
        # Another front finds it ready, and has it finish what it has.
        front.sock.close()
        front.connect()
        front.expect("ready")
        answers = []
        slow = threading.Thread(target=lambda: answers.append(front.ask(path="/slow")))
        slow.start()
        front.wait_text("slow begins")
        front.sock.sendall(encode({"op": "drain", "seconds": 30}))
        slow.join(WAIT)
        self.assertTrue(answers and answers[0].endswith("2 set"))
        self.assertEqual(front.process.wait(WAIT), 0)

    def test_hook_that_fails(self):
        front = self.front({"postinstall": "echo so; exit 7", "processes": [{"name": "a", "command": "sleep 100"}]}, {})
        failed = front.expect("failed")
        self.assertEqual(failed["message"], "postinstall: exit status 7")
        self.assertEqual(failed["output"], "so\n")
        self.assertEqual(front.process.wait(WAIT), 1)

    def test_process_that_does_not_start(self):
        front = self.front({"processes": [{"name": "a", "command": "exit 9"}]}, {})
        self.assertEqual(front.expect("failed")["message"], "a: it ends as soon as it is started (exit status 9)")
        self.assertEqual(front.process.wait(WAIT), 1)

    def test_approot_that_leads_out(self):
        front = self.front({"approot": "out", "processes": [{"name": "a", "command": "sleep 100"}]}, {"x": b""})
        self.assertIn("out is no folder", front.expect("failed")["message"])
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        os.mkdir(os.path.join(folder, "code"))
        os.symlink("/etc", os.path.join(folder, "code", "etc"))
        with self.assertRaises(OSError):
            home.lay_out(folder, "etc", {})

    def test_term_ends_all(self):
        front = self.front({"processes": [{"name": "a", "command": "echo $$ >pid; sleep 1000 & wait"}]}, {})
        front.expect("ready")
        with open(os.path.join(front.work, "current", "pid")) as text:
            pid = int(text.read())
        front.process.send_signal(signal.SIGTERM)
        self.assertEqual(front.process.wait(WAIT), 0)
        with self.assertRaises(ProcessLookupError):
            os.kill(pid, 0)

    def test_process_that_ends_is_started_again(self):
        front = self.front({"processes": [{"name": "a", "command": "echo begins; sleep 1.2"}]}, {})
        front.expect("ready")
        till = time.monotonic() + WAIT
        while front.text().count("begins") < 3:
            self.assertLess(time.monotonic(), till)
            time.sleep(0.02)
        self.assertIsNone(front.process.poll())


class Hooks(unittest.TestCase):
    def run_hook(self, line, seconds=WAIT):
        return hook.run("postinstall", line, {"PATH": "/usr/bin:/bin", "HOME": "/tmp"}, "/tmp", seconds)

    def test_late(self):
        with self.assertRaises(hook.Failed) as caught:
            self.run_hook("echo begins; sleep 1000", 0.5)
        self.assertIn("has not ended within", str(caught.exception))
        self.assertEqual(caught.exception.output, "begins\n")

    def test_what_it_leaves_is_ended(self):
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        self.run_hook("sleep 1000 & echo $! >%s/pid" % folder)
        with open(folder + "/pid") as text:
            pid = int(text.read())
        till = time.monotonic() + WAIT
        while time.monotonic() < till:
            try:
                with open("/proc/%d/stat" % pid) as stat:
                    if stat.read().rpartition(")")[2].split()[0] == "Z":
                        return
            except OSError:
                return
            time.sleep(0.01)
        self.fail("it goes on")


class Homes(unittest.TestCase):
    def test_variables(self):
        config = {"app": "shop", "service": "my_www", "replica": 1, "project": "p"}
        manifest = {"environment": {"A": "1", "DOTCLOUD_PROJECT": "x"},
                    "ports": [{"name": "t", "kind": "tcp"}, {"name": "http", "kind": "http"}, {"name": "y", "kind": "http"}]}
        env = home.variables(config, manifest, {"A": "2"}, [{"name": "my_www", "url": "https://my-www-shop.p.example"}])
        self.assertEqual(env["A"], "2")
        self.assertEqual(env["DOTCLOUD_PROJECT"], "shop")
        self.assertEqual(env["PORT_HTTP"], "8080")
        self.assertEqual(env["PORT_Y"], "8081")
        self.assertEqual(env["PORT_T"], "42800")
        self.assertEqual(env["DOTCLOUD_MY_WWW_HTTP_URL"], "https://my-www-shop.p.example/")
        self.assertEqual(env["DOTCLOUD_MY_WWW_HTTP_HOST"], "my-www-shop.p.example")


if __name__ == "__main__":
    unittest.main()

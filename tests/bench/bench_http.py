# SPDX-License-Identifier: Apache-2.0
"""HTTP workers: how long a first answer takes by each kind of snapshot, beside others that start the same
application, and how many requests an instance answers beside uvicorn behind the same nginx."""
import contextlib
import json
import os
import re
import shutil
import socket
import ssl
import statistics
import subprocess
import time
import urllib.request

from bench_daemon import ENV, BenchError, Daemon, command, program, read
from bench_loads import load, load_lacks

HTTP_N = int(os.environ.get("HTTP_N", os.environ.get("N", "30")))
HTTP_ROUNDS = int(os.environ.get("HTTP_ROUNDS", "5"))
HTTP_SECONDS = float(os.environ.get("HTTP_SECONDS", "3"))
HTTP_TASKS = os.environ.get("HTTP_TASKS", "fastapi numpy").split()
HTTP_PYODIDE = os.environ.get("HTTP_PYODIDE", "/var/cache/sandboxd/pyodide")
PATIENCE_S = 60
DOMAIN = "localhost"

# An application of each kind, as app.py for uvicorn; and the worker that serves the same.
ASGI = """
async def app(scope, receive, send):
    if scope["type"] != "http":
        raise RuntimeError("http alone")
    body = answer()
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})
"""
APPS = {
    "hello": "def answer():\n    return b'Hello, World!\\n'\n" + ASGI,
    "fastapi": """
from fastapi import FastAPI

app = FastAPI()


@app.get("/")
async def root():
    return {"message": "Hello, World!"}
""",
    "numpy": """
import numpy

matrix = numpy.arange(4096.0).reshape(64, 64)


def answer():
    return b"%.0f\\n" % (matrix @ matrix).sum()
""" + ASGI,
}
MAINS = {
    # By the class that most workers are, and not by ASGI.
    "hello": """
from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response("Hello, World!\\n")
""",
    "asgi": "import asgi\nfrom app import app\n\nDefault = asgi.entrypoint(app)\n",
}
# Kinds of starts: the snapshot that is asked for, and the way to start.
HOWS = {"none": ("none", "cold"), "baseline": ("baseline", "restore"), "package": ("package", "restore"),
        "dedicated": ("dedicated", "restore"), "fork": ("dedicated", "auto")}
MODES = {"none": "cold", "fork": "fork"}    # of the rest: restore


def get(address, host, tls=None):
    """One request on a connection of its own: milliseconds to the first byte of the answer, and the answer."""
    began = time.monotonic()
    if isinstance(address, str):
        sock = socket.socket(socket.AF_UNIX)
        sock.connect(address)
    else:
        sock = socket.create_connection(address)
        if tls:
            sock = tls.wrap_socket(sock, server_hostname=host)
    with sock:
        sock.settimeout(PATIENCE_S)
        sock.sendall(b"GET / HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n" % host.encode())
        answer = sock.recv(65536)
        first = (time.monotonic() - began) * 1000
        while part := sock.recv(65536):
            answer += part
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise BenchError("%s was answered by %r" % (host, answer[:300]))
    return first, answer


class Edge:
    """A daemon with an edge, the workers in it, and uvicorn beside them."""

    def __init__(self, daemon, work, table):
        self.daemon, self.work, self.table = daemon, work, table
        self.versions = {}
        self.http = self.address("edge-http")
        self.https = self.address("edge-https")
        self.tls = ssl.create_default_context(cafile=work + "/keys/%s.pem" % DOMAIN)
        made = daemon.call("project", "token", "create", "default", "--operator")
        self.operator = made["text"] if "text" in made else made["token"]

    def address(self, name):
        end = time.monotonic() + PATIENCE_S
        while True:
            with contextlib.suppress(OSError), open("%s/%s" % (self.daemon.run, name), encoding="utf-8") as f:
                text = f.read().strip()
                if text:
                    return text.rsplit(":", 1)[0], int(text.rsplit(":", 1)[1])
            if time.monotonic() > end:
                raise BenchError("the edge does not listen: " + name)
            time.sleep(0.05)

    @staticmethod
    def host(name):
        return "%s.default.%s" % (name, DOMAIN)

    def deploy(self, name, kind, **sandbox):
        """Deploys the application of a kind; returns what the command says of it."""
        self.table.show("deploy " + name)
        folder = "%s/workers/%s" % (self.work, name)
        os.makedirs(folder)
        with open(folder + "/wrangler.toml", "w", encoding="utf-8") as f:
            f.write('name = "%s"\nmain = "entry.py"\ncompatibility_date = "2026-03-01"\n'
                    'compatibility_flags = ["python_workers"]\n[sandbox]\n' % name)
            for key, value in sandbox.items():
                f.write("%s = %s\n" % (key, json.dumps(value)))
        with open(folder + "/entry.py", "w", encoding="utf-8") as f:
            f.write(MAINS["hello" if kind == "hello" else "asgi"])
        with open(folder + "/app.py", "w", encoding="utf-8") as f:
            f.write(APPS[kind])
        made = self.daemon.call("deploy", folder)
        self.versions[name] = made["version"]
        if made.get("note"):
            self.table.note("http %s: %s" % (name, made["note"]))
        return made

    def door(self, name):
        return "%s/edge/v/%s.sock" % (self.daemon.run, self.versions[name])

    def starts(self):
        """How many runs have been started in each mode."""
        with open(self.daemon.run + "/http", encoding="utf-8") as f:
            url = "http://%s/metrics" % f.read().strip()
        request = urllib.request.Request(url, headers={"Authorization": "OAuth " + self.operator})
        with urllib.request.urlopen(request) as answer:
            found = re.findall(r'^sandboxd_task_start_seconds_count\{mode="(\w+)"\} (\d+)', answer.read().decode(), re.M)
        return {mode: int(n) for mode, n in found}

    def ready(self, name, mode):
        """Waits until a request of the worker is answered by a run that was started so."""
        end = time.monotonic() + PATIENCE_S
        while True:
            before = self.starts()
            get(self.door(name), self.host(name))
            after = self.starts()
            if after.get(mode, 0) > before.get(mode, 0):
                return
            if time.monotonic() > end:
                others = [key for key, n in after.items() if n > before.get(key, 0)]
                raise BenchError("%s is not started by %s, but by %s" % (name, mode, ", ".join(others)))
            time.sleep(0.1)

    def put(self, key, entry):
        """Puts a worker into the edge's table that the front knows nothing of."""
        body = json.dumps(entry).encode()
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(self.daemon.run + "/edge/edge.sock")
            sock.sendall(b"PUT /workers/%s HTTP/1.1\r\nHost: edge\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
                         % (key.encode(), len(body), body))
            answer = sock.recv(65536)
        if b" 204 " not in answer[:20]:
            raise BenchError("the edge does not take %s: %r" % (key, answer[:300]))


class Others:
    """The same applications without sandboxd: uvicorn in the same root, plain, by bwrap, by runc; Pyodide."""

    def __init__(self, edge):
        self.edge, self.work = edge, edge.work
        self.root = self.work + "/root-web"
        self.serial = 0
        self.mounts = []
        os.mkdir(self.root)
        self.mount("-o", "bind,ro", edge.daemon.rootfs("web"), self.root)
        self.mount("-t", "tmpfs", "none", self.root + "/work")
        # Sockets in run, which every way can reach, and in edge, which nginx can.
        self.sockets = self.work + "/sockets"
        os.mkdir(edge.daemon.run + "/edge/bench")
        os.chmod(edge.daemon.run + "/edge/bench", 0o755)
        for name, folder in (("run", self.sockets), ("edge", edge.daemon.run + "/edge/bench")):
            os.makedirs(folder, exist_ok=True)
            os.mkdir("%s/work/%s" % (self.root, name))
            self.mount("--bind", folder, "%s/work/%s" % (self.root, name))
        for kind, text in APPS.items():
            os.mkdir("%s/work/%s" % (self.root, kind))
            with open("%s/work/%s/app.py" % (self.root, kind), "w", encoding="utf-8") as f:
                f.write(text)

    def mount(self, *args):
        command("mount", *args)
        self.mounts.append(args[-1])

    def stop(self):
        for target in reversed(self.mounts):
            subprocess.call(["umount", "-l", target], stderr=subprocess.DEVNULL)

    def uvicorn(self, kind, path):
        return ["/usr/bin/python3", "-m", "uvicorn", "--app-dir", "/work/" + kind, "--uds", path, "--http", "httptools",
                "--loop", "asyncio", "--no-access-log", "--log-level", "warning", "--workers", "1", "app:app"]

    def ways(self):
        ways = {"uvicorn": self.by_chroot}
        if shutil.which("bwrap", path=ENV["PATH"]):
            ways["bwrap"] = self.by_bwrap
        if shutil.which("runc", path=ENV["PATH"]):
            ways["runc"] = self.by_runc
        return ways

    def by_chroot(self, kind, path):
        return ["chroot", self.root, *self.uvicorn(kind, path)]

    def by_bwrap(self, kind, path):
        return ["bwrap", "--unshare-all", "--die-with-parent", "--new-session", "--ro-bind", self.root, "/",
                "--ro-bind", self.root + "/work", "/work", "--bind", self.sockets, "/work/run", "--proc", "/proc",
                "--dev", "/dev", "--tmpfs", "/tmp", *self.uvicorn(kind, path)]

    def by_runc(self, kind, path):
        bundle = "%s/bundle-http-%d" % (self.work, self.serial)
        os.mkdir(bundle)
        command("runc", "spec", "--bundle", bundle)
        with open(bundle + "/config.json", encoding="utf-8") as f:
            config = json.load(f)
        config["process"].update(terminal=False, args=self.uvicorn(kind, path))
        config["root"] = {"path": self.root, "readonly": True}
        config["mounts"] += [
            {"destination": "/work", "type": "bind", "source": self.root + "/work", "options": ["rbind", "ro"]},
            {"destination": "/work/run", "type": "bind", "source": self.sockets, "options": ["bind"]}]
        with open(bundle + "/config.json", "w", encoding="utf-8") as f:
            json.dump(config, f)
        return ["runc", "run", "-b", bundle, "bench-http-%d-%d" % (os.getpid(), self.serial)]

    @contextlib.contextmanager
    def serving(self, way, kind, folder="run"):
        """Such a server, and its socket, until the end of the with."""
        self.serial += 1
        name = "%s-%d.sock" % (kind, self.serial)
        args = self.ways()[way](kind, "/work/%s/%s" % (folder, name))
        process = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
                                   stderr=subprocess.PIPE, env=dict(ENV, PYTHONDONTWRITEBYTECODE="1"))
        try:
            yield process, "%s/work/%s/%s" % (self.root, folder, name)
        finally:
            process.terminate()
            process.wait()
            process.stderr.close()

    def first(self, way, kind):
        """Milliseconds from the spawn to the first byte of an answer."""
        began = time.monotonic()
        with self.serving(way, kind) as (process, path):
            while True:
                try:
                    get(path, "bench")
                    return (time.monotonic() - began) * 1000
                except OSError as e:
                    if process.poll() is not None or time.monotonic() - began > PATIENCE_S:
                        raise BenchError("%s of %s does not serve: %s: %s" % (
                            way, kind, e, process.stderr.read()[-1000:])) from e
                    time.sleep(0.0005)


def make_key(folder):
    os.mkdir(folder)
    os.chmod(folder, 0o755)
    command("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
            "2", "-subj", "/CN=" + DOMAIN, "-addext", "subjectAltName=DNS:%s,DNS:*.default.%s" % (DOMAIN, DOMAIN),
            "-keyout", folder + "/key", "-out", folder + "/cert")
    with open("%s/%s.pem" % (folder, DOMAIN), "w", encoding="utf-8") as out:
        for name in "cert", "key":
            with open("%s/%s" % (folder, name), encoding="utf-8") as f:
                out.write(f.read())
            os.unlink("%s/%s" % (folder, name))
    os.chmod(out.name, 0o600)


def starts(edge, others, table):
    """First bytes: each way in turn, HTTP_N times round."""
    rows = {}
    for task in HTTP_TASKS:
        for how, (snapshot, start) in HOWS.items():
            name = "%s-%s" % (task, how)
            made = edge.deploy(name, task, isolation="request", snapshot=snapshot, start=start)
            if made["snapshot"] != snapshot:
                table.missing("http", task, how, "the deploy made a snapshot %s" % made["snapshot"])
                continue
            edge.ready(name, MODES.get(how, "restore"))
            for series in "socket", "nginx", "tls":
                rows[task, how, series] = table.row(series, task, how)
        for way in others.ways():
            rows[task, way, "socket"] = table.row("socket", task, way)
    before = edge.starts()
    for turn in range(HTTP_N):
        table.show("http starts %d/%d" % (turn + 1, HTTP_N))
        for (task, how, series), row in rows.items():
            name = "%s-%s" % (task, how)
            # A clone takes the place of the one that was used.
            time.sleep(0.05)
            if how not in HOWS:
                first = others.first(how, task)
            elif series == "socket":
                first = get(edge.door(name), edge.host(name))[0]
            elif series == "nginx":
                first = get(edge.http, edge.host(name))[0]
            else:
                first = get(edge.https, edge.host(name), edge.tls)[0]
            row.samples.append({"first": first})
    started = {mode: n - before.get(mode, 0) for mode, n in edge.starts().items()}
    expected = {"cold": 0, "restore": 0, "fork": 0}
    for (_, how, _) in rows:
        if how in HOWS:
            expected[MODES.get(how, "restore")] += HTTP_N
    for mode, n in expected.items():
        if started.get(mode, 0) < n:
            table.note("http: %d of %d were started by %s" % (started.get(mode, 0), n, mode))
    ratios(rows, table)


def ratios(rows, table):
    """What each way takes of the cold start of its own series."""
    for task in HTTP_TASKS:
        for series in "socket", "nginx", "tls":
            cold = rows.get((task, "none", series))
            words = ["%s 1/%.1f" % (how, cold.at("first", 50) / rows[task, how, series].at("first", 50))
                     for how in HOWS if cold and how != "none" and (task, how, series) in rows]
            table.note("http %s %s, p50 as parts of a cold start's: %s" % (series, task, ", ".join(words)))


PYODIDE = """
import path from "node:path";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";
const modules = createRequire(path.join(process.env.MODULES, "package.json"));
const { loadPyodide } = await import(pathToFileURL(modules.resolve("pyodide/pyodide.mjs")));
const pyodide = await loadPyodide();
if (process.env.PACKAGES) {
  pyodide.FS.mkdirTree("/packages");
  pyodide.FS.mount(pyodide.FS.filesystems.NODEFS, { root: process.env.PACKAGES }, "/packages");
}
await pyodide.runPythonAsync("import sys\\nsys.path.append('/packages')\\n" + process.env.CODE);
console.log("ready");
process.exit(0);
"""
PYODIDE_CODE = {"": "pass", "fastapi": "import fastapi", "numpy": "import numpy"}


def pyodide(edge, table):
    """Pyodide from npm under Node, from the spawn to the end of the import of the same modules."""
    modules = HTTP_PYODIDE
    if not shutil.which("node", path=ENV["PATH"]) or not os.path.isdir(modules + "/node_modules/pyodide"):
        table.note("http: Pyodide is not measured: there is no node, or HTTP_PYODIDE (%s) has no node_modules" % modules)
        return
    script = edge.work + "/pyodide.mjs"
    with open(script, "w", encoding="utf-8") as f:
        f.write(PYODIDE)
    packages = edge.daemon.rootfs("web") + "/usr/lib/python3/dist-packages"
    for task in ["", *HTTP_TASKS]:
        row = table.row("node", task or "nothing", "pyodide")
        env = dict(ENV, MODULES=modules, CODE=PYODIDE_CODE.get(task, "pass"), PACKAGES=packages if task else "")
        for turn in range(min(HTTP_N, 5)):
            table.show("pyodide %s %d" % (task, turn + 1))
            began = time.monotonic()
            result = subprocess.run(["node", "--no-warnings", script], env=env, capture_output=True, text=True,
                                    check=False)
            if result.returncode != 0:
                lines = [line for line in (result.stdout + result.stderr).splitlines()
                         if re.match(r"\w*(Error|Exception)\b", line)]
                table.rows.remove(row)
                table.missing("http", task, "pyodide", (lines or ["it failed"])[-1].strip()[:160])
                break
            row.samples.append({"first": (time.monotonic() - began) * 1000})


def wrk(address, host, connections, seconds):
    """What wrk says: requests a second, milliseconds at 50 and at 99 of 100."""
    out = command("wrk", "--latency", "-t", "1", "-c", str(connections), "-d", "%ds" % max(1, round(seconds)), "-H", "Host: " + host,
                  "http://%s:%d/" % address)
    if "Non-2xx" in out or "Socket errors" in out:
        raise BenchError("wrk %s: %s" % (host, out))
    scale = {"us": 0.001, "ms": 1.0, "s": 1000.0}
    said = {share: float(number) * scale[unit] for share, number, unit in
            re.findall(r"^\s+(50|99)%\s+([\d.]+)(us|ms|s)$", out, re.M)}
    n = int(re.search(r"(\d+) requests in", out).group(1))
    return float(re.search(r"Requests/sec:\s+([\d.]+)", out).group(1)), said["50"], said["99"], n


def with_cpu(pid, address, host):
    """What wrk says, and the microseconds of processor that a request takes of the process."""
    before = cpu_us(pid)
    said = wrk(address, host, 16, HTTP_SECONDS)
    return (*said[:3], (cpu_us(pid) - before) / said[3])


class Series:
    """Measurements of several things in turn: medians, and ratios of the same round."""

    def __init__(self):
        self.rounds = []

    def add(self, **values):
        self.rounds.append(values)

    def median(self, name, at=0):
        return statistics.median(each[name][at] for each in self.rounds)

    def ratio(self, name, other, at=0):
        return statistics.median(each[name][at] / each[other][at] for each in self.rounds)

    def text(self, name):
        return "%.0f a second, p50 %.2f ms, p99 %.2f ms" % tuple(self.median(name, at) for at in range(3))


def direct(path, host, connections, seconds):
    """What tests/bench/http.c says of a socket, as wrk does."""
    said = json.loads(command(program("http"), "--connections", str(connections), "--seconds", str(seconds), path, host,
                              "/"))
    return said["n"] / said["seconds"], said["p50"], said["p99"]


def cpu_us(pid):
    """The processor time of a process, in microseconds."""
    return sum(int(word) for word in read("/proc/%d/stat" % pid).rsplit(")", 1)[1].split()[11:13]) * 1000000 / (
        os.sysconf("SC_CLK_TCK"))


def instance_of(edge, name):
    """The socket of the worker's only instance, and the pid of its interpreter."""
    get(edge.http, edge.host(name))
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(edge.daemon.run + "/edge/edge.sock")
        sock.sendall(b"GET /table HTTP/1.1\r\nHost: edge\r\nConnection: close\r\n\r\n")
        answer = b""
        while part := sock.recv(65536):
            answer += part
    text = answer.split(b"\r\n\r\n", 1)[1]
    at = text.find(b"{")
    workers, _ = json.JSONDecoder().raw_decode(text[at:].decode())
    instance = workers["workers"]["default/" + name]["versions"][0]["instances"][0]
    return "%s/edge/%s" % (edge.daemon.run, instance["path"]), edge.daemon.pid_of(instance["id"])


def loads(edge, others, table):
    """Requests a second of one instance and of one uvicorn, behind the same nginx."""
    kinds = ["hello"] + [task for task in HTTP_TASKS if task != "hello"]
    with contextlib.ExitStack() as stack:
        for kind in kinds:
            edge.deploy(kind, kind, min=1, max=1)
            process, path = stack.enter_context(others.serving("uvicorn", kind, "edge"))
            end = time.monotonic() + PATIENCE_S
            while not os.path.exists(path):
                if process.poll() is not None or time.monotonic() > end:
                    raise BenchError("uvicorn of %s does not serve" % kind)
                time.sleep(0.01)
            os.chmod(path, 0o666)
            path = "bench/" + os.path.basename(path)
            edge.put("bench/" + kind, {"versions": [{"id": "1", "percent": 100, "isolation": "instance", "room": 1000,
                                                     "instances": [{"id": "1", "path": path}]}]})
            both = Series()
            hosts = {"instance": edge.host(kind), "uvicorn": "%s.bench.%s" % (kind, DOMAIN)}
            socket_path, pid = instance_of(edge, kind)
            pids = {"instance": pid, "uvicorn": process.pid}
            inside = {"instance socket": socket_path, "uvicorn socket": "%s/edge/%s" % (edge.daemon.run, path)}
            for host in hosts.values():
                wrk(edge.http, host, 16, min(HTTP_SECONDS, 1))
            for turn in range(HTTP_ROUNDS):
                table.show("http %s load %d/%d" % (kind, turn + 1, HTTP_ROUNDS))
                both.add(**{name: with_cpu(pids[name], edge.http, host) for name, host in hosts.items()},
                         **{name: direct(at, edge.host(kind), 16, HTTP_SECONDS) for name, at in inside.items()})
            for name in (*hosts, *inside):
                row = table.row("16 conn.", kind, name)
                row.extra = {"a second": both.median(name), "n": len(both.rounds)}
                table.note("http %s, 16 connections, %s: %s" % (kind, name, both.text(name)))
            table.note("http %s: a request takes %.1f us of an instance's processor time, %.1f us of uvicorn's: %.2f of it"
                       % (kind, both.median("instance", 3), both.median("uvicorn", 3),
                          both.ratio("instance", "uvicorn", 3)))
            table.note("http %s: an instance answers %.0f %% of uvicorn's requests a second behind nginx, %.0f %% at its "
                       "own socket; through nginx %.0f %% of those at its socket" % (
                           kind, 100 * both.ratio("instance", "uvicorn"),
                           100 * both.ratio("instance socket", "uvicorn socket"),
                           100 * both.ratio("instance", "instance socket")))
        flooded(edge, table, kinds)


def flooded(edge, table, kinds):
    """What one client of a worker notices while another worker gets all that it can answer."""
    other = kinds[-1] if len(kinds) > 1 else kinds[0]
    both = Series()
    for turn in range(HTTP_ROUNDS):
        table.show("http flood %d/%d" % (turn + 1, HTTP_ROUNDS))
        alone = wrk(edge.http, edge.host("hello"), 1, HTTP_SECONDS)
        flood = subprocess.Popen(["wrk", "-t", "1", "-c", "64", "-d", "600s", "-H", "Host: " + edge.host(other),
                                  "http://%s:%d/" % edge.http], stdout=subprocess.DEVNULL, env=ENV)
        try:
            both.add(alone=alone, flooded=wrk(edge.http, edge.host("hello"), 1, HTTP_SECONDS))
        finally:
            flood.terminate()
            flood.wait()
    for name in "alone", "flooded":
        table.note("http hello, 1 connection, %s: %s" % (
            name if name == "alone" else "while 64 others flood " + other, both.text(name)))


def by_request(edge, table):
    """Requests a second by isolation "request", beside whole forked tasks of the same image."""
    name = "each"
    edge.deploy(name, "hello", isolation="request", max=32)
    edge.ready(name, "fork")
    why = load_lacks(edge.daemon, "web", "pass", "fork")
    if why:
        table.missing("http", "hello", "request", why)
        return
    both = Series()
    for turn in range(HTTP_ROUNDS):
        table.show("http by request %d/%d" % (turn + 1, HTTP_ROUNDS))
        done = load(edge.daemon, "web", "pass", "fork", "--at-once", "8", "--seconds", str(max(1, round(HTTP_SECONDS))))
        tasks = sorted(task[1] for task in done["tasks"])
        both.add(request=wrk(edge.http, edge.host(name), 8, HTTP_SECONDS),
                 task=(len(tasks) / done["seconds"], statistics.median(tasks), tasks[len(tasks) * 99 // 100]))
    for kind in "request", "task":
        table.row("8 conn.", "hello", kind).extra = {"a second": both.median(kind), "n": len(both.rounds)}
        table.note("http hello, 8 at a time, %s: %s" % (
            "a sandbox for each request" if kind == "request" else "forked tasks", both.text(kind)))
    table.note("http: %.0f %% of the forked tasks a second are requests a second by isolation \"request\"" % (
        100 * both.ratio("request", "task")))


def http(work, table):
    """Measures in a daemon of its own, with an edge."""
    if not shutil.which("wrk", path=ENV["PATH"]):
        raise BenchError("there is no wrk: apt-get install wrk")
    folder = work + "/http"
    os.mkdir(folder)
    os.chmod(folder, 0o755)
    make_key(folder + "/keys")
    daemon = Daemon(folder, edge=True, keys=folder + "/keys")
    others = None
    try:
        daemon.start()
        edge = Edge(daemon, folder, table)
        others = Others(edge)
        starts(edge, others, table)
        loads(edge, others, table)
        by_request(edge, table)
        pyodide(edge, table)
    finally:
        if others:
            others.stop()
        daemon.stop()

# SPDX-License-Identifier: Apache-2.0
"""The queue over HTTP: how fast it takes tasks in, how fast the first one starts, how it is
emptied, and how long a project waits while another one has filled it."""
import http.client
import json
import os
import statistics
import subprocess
import threading
import time
import zipfile

from bench_daemon import EDGE_API, ENV, BenchError, busy_ms, command, program, read

QUEUE_N = int(os.environ.get("QUEUE_N", "20000"))
QUEUE_ROUNDS = int(os.environ.get("QUEUE_ROUNDS", "5"))
QUEUE_FIRST_N = int(os.environ.get("QUEUE_FIRST_N", "200"))
QUEUE_DRAIN_N = int(os.environ.get("QUEUE_DRAIN_N", "100000"))
QUEUE_CONNECTIONS = os.environ.get("QUEUE_CONNECTIONS", "8")
PAUSE_S = 0.15
STALL_S = 120


class Project:
    """A tenant of the daemon, and its requests to the REST API."""

    def __init__(self, daemon, name):
        made = daemon.call("project", "create", name, "--quota", "queued=0")
        self.id, self.token, self.daemon = made["id"], made["token"], daemon
        self.name, self.connection = name, None

    def address(self):
        text = read(self.daemon.run + "/http").strip()
        if not text:
            raise BenchError("the daemon has no HTTP server")
        return text.rsplit(":", 1)

    def ask(self, method, path, body, kind):
        if not self.connection:
            host, port = self.address()
            self.connection = http.client.HTTPConnection(host, int(port), timeout=STALL_S)
        self.connection.request(method, path.replace("{}", "projects/" + self.id), body, {
            "Authorization": "OAuth " + self.token, "Content-Type": kind})
        answer = self.connection.getresponse()
        return answer, answer.read()

    def rest(self, method, path, body=None, kind="application/json"):
        try:
            answer, text = self.ask(method, path, body, kind)
        except (http.client.HTTPException, OSError):
            self.connection = None  # it was idle for too long
            answer, text = self.ask(method, path, body, kind)
        if answer.status != 200:
            raise BenchError("%s %s: %d %s" % (method, path, answer.status, text[:300]))
        return json.loads(text)

    def upload(self, work, name, image, source):
        path = "%s/%s-%s.zip" % (work, self.name, name)
        with zipfile.ZipFile(path, "w") as z:
            z.writestr("main.py", source)
        with open(path, "rb") as f:
            data = f.read()
        about = json.dumps({"name": name, "runtime": "python", "file_name": "main.py",
                            "image": image})
        body = (b'--bench-part\r\nContent-Disposition: form-data; name="data"\r\n\r\n' + about.encode()
                + b'\r\n--bench-part\r\nContent-Disposition: form-data; name="file"; filename="c.zip"\r\n'
                b"Content-Type: application/zip\r\n\r\n" + data + b"\r\n--bench-part--\r\n")
        return self.rest("POST", "/2/{}/codes", body, "multipart/form-data; boundary=bench-part")["id"]

    def pause(self, code, paused):
        self.rest("POST", "/2/{}/codes/%s/%s_task_queue" % (code, "pause" if paused else "resume"))

    def submit(self, name):
        tasks = {"tasks": [{"code_name": name, "payload": "{}"}]}
        return self.rest("POST", "/2/{}/tasks", json.dumps(tasks))["tasks"][0]["id"]

    def task(self, ident):
        return self.rest("GET", "/api/{}/tasks/" + ident)

    def ended(self, ident, look_s=0.002):
        end = time.monotonic() + STALL_S
        while True:
            task = self.task(ident)
            if task["status"] not in ("queued", "preparing", "running"):
                return task
            if time.monotonic() > end:
                raise BenchError("task %s is %s" % (ident, task["status"]))
            time.sleep(look_s)

    def waiting(self):
        tasks = self.daemon.call("project", "inspect", self.name)["tasks"]
        return tasks["queued"] + tasks["running"]

    def enqueue(self, code, n, *options, by_edge=False):
        """tests/bench/enqueue.c."""
        address = self.address()
        if by_edge:
            address = read(self.daemon.run + "/edge-http").strip().rsplit(":", 1)
            options += ("--host", EDGE_API)
        out = command(program("enqueue"), "--tasks", str(n),
                      *options, *address, self.id, code, env=dict(ENV, TOKEN=self.token))
        result = json.loads(out)
        if result["refused"]:
            raise BenchError("%d requests refused: %s" % (result["refused"], result["error"]))
        return result


def quantiles(values):
    ordered = sorted(values)
    if not ordered:
        return "none"
    return "p50 %.2f ms, p99 %.2f ms, most %.2f ms" % (
        statistics.median(ordered), ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))],
        ordered[-1])


def take_in(table, project, code):
    """Queues tasks of a paused worker, so that nothing else is done meanwhile; then they are removed. All ways take
    turns, for the machine is not the same for long, and what has been queued makes the store longer."""
    project.pause(code, True)
    has_edge = os.path.exists(project.daemon.run + "/edge-http")
    ways = {}
    for connections, batch in (QUEUE_CONNECTIONS, "1"), ("64", "1"), (QUEUE_CONNECTIONS, "10"):
        for by_edge in (False, True) if has_edge and batch == "1" else (False,):
            ways[connections, batch, by_edge] = []
    for turn in range(QUEUE_ROUNDS):
        for (connections, batch, by_edge), rounds in ways.items():
            table.show("queue: enqueue %d/%d, %s connections, %s a request" % (
                turn + 1, QUEUE_ROUNDS, connections, batch))
            cpu, busy = project.daemon.cpu_ms(), busy_ms()
            result = project.enqueue("nop", max(1, QUEUE_N // QUEUE_ROUNDS), "--batch", batch, "--connections",
                                     connections, by_edge=by_edge)
            result["cpu"] = (project.daemon.cpu_ms() - cpu) / result["tasks"]
            result["busy"] = (busy_ms() - busy) / result["tasks"]
            rounds.append(result)
            project.rest("POST", "/2/{}/codes/%s/cancel_all" % code)
    for (connections, batch, by_edge), rounds in ways.items():
        table.note("queue: %d times %d tasks, %s a request, %s connections%s: %.0f a second, durable; a request p50 "
                   "%.2f ms, p99 %.2f ms; a task %.3f ms of CPU, of the whole machine %.3f" % (
                       len(rounds), rounds[0]["tasks"], batch, connections, " by the edge" if by_edge else "",
                       *(statistics.median(each[key] for each in rounds)
                         for key in ("per_second", "p50_ms", "p99_ms", "cpu", "busy"))))
        if by_edge:
            table.note("queue: %.0f %% of the tasks a second are queued by the edge, %s connections" % (
                100 * statistics.median(edge["per_second"] / own["per_second"] for edge, own in zip(
                    rounds, ways[connections, batch, False])), connections))
    project.pause(code, False)


def first(table, project, how="fork"):
    """The time from the request to the first user bytecode, on a node that does nothing else."""
    samples, others = [], {}
    for n in range(QUEUE_FIRST_N + 10):
        table.show("queue: first %d/%d" % (n, QUEUE_FIRST_N))
        start = project.ended(project.submit("nop"))["start"]
        if n >= 10:  # by then there is a template
            if start["mode"] == how:
                samples.append(start["ms"])
            else:
                others[start["mode"]] = others.get(start["mode"], 0) + 1
        time.sleep(PAUSE_S)
    table.note("queue: to the first bytecode, %s, idle, n %d: %s%s" % (
        how, len(samples), quantiles(samples), "; others: %s" % others if others else ""))
    return samples


class Neighbour(threading.Thread):
    """Queues a task of another project now and then, and notes how long it waits."""

    def __init__(self, project):
        super().__init__()
        self.project, self.waits, self.stop, self.error = project, [], False, None

    def run(self):
        while not self.stop:
            try:
                task = self.project.ended(self.project.submit("nop"), 0.05)
            except (BenchError, OSError) as e:
                self.error = str(e)
                return
            self.waits.append(task["wait_ms"])
            time.sleep(PAUSE_S)


def hows(project):
    """The start modes of the newest tasks, and how many of those did not end well."""
    counts = {}
    for task in project.rest("GET", "/api/{}/tasks?limit=100")["tasks"]:
        how = (task["start"] or {}).get("mode") if task["status"] == "complete" else task["status"]
        counts[how] = counts.get(how, 0) + 1
    return ", ".join("%s %d" % pair for pair in sorted(counts.items(), key=str))


def wait_empty(table, project, n):
    last, end = None, time.monotonic() + STALL_S
    while True:
        left = project.waiting()
        table.show("queue: drain, %d of %d left" % (left, n))
        if left == 0:
            return
        if left != last:
            last, end = left, time.monotonic() + STALL_S
        if time.monotonic() > end:
            raise BenchError("%d tasks wait, and none has ended for %d s" % (left, STALL_S))
        time.sleep(0.5)


def drain(daemon, table, project, code, other):
    """Queues QUEUE_DRAIN_N tasks and runs them, while the other project queues one now and then."""
    project.enqueue("nop", 500)  # what only the first tasks take is taken before
    wait_empty(table, project, 500)
    for _ in range(10):  # also for the other project's template
        other.ended(other.submit("nop"))
    daemon.settle()
    before = daemon.sizes()
    project.pause(code, True)
    project.enqueue("nop", QUEUE_DRAIN_N, "--batch", "100")
    full = daemon.sizes()
    neighbour = Neighbour(other)
    project.pause(code, False)
    cpu, busy, began = daemon.cpu_ms(), busy_ms(), time.monotonic()
    neighbour.start()
    wait_empty(table, project, QUEUE_DRAIN_N)
    took = time.monotonic() - began
    cpu, busy = daemon.cpu_ms() - cpu, busy_ms() - busy
    neighbour.stop = True
    neighbour.join()
    daemon.settle()
    after = daemon.sizes()
    table.note("queue: %d tasks drained in %.1f s, %.1f a second, a task %.3f ms of CPU, of the "
               "whole machine %.3f; before, full and after: %s" % (
        QUEUE_DRAIN_N, took, QUEUE_DRAIN_N / took, cpu / QUEUE_DRAIN_N, busy / QUEUE_DRAIN_N,
        ", ".join(
            "%s %d %+d %+d" % (key, value, full.get(key, 0) - value, after.get(key, 0) - value)
            for key, value in before.items())))
    table.note("queue: the last of them: %s" % hows(project))
    table.note("queue: another project's task waited meanwhile, n %d: %s%s" % (
        len(neighbour.waits), quantiles(neighbour.waits),
        "; ended by %s" % neighbour.error if neighbour.error else ""))
    return neighbour.waits


def queue(daemon, work, table):
    project, other = Project(daemon, "bench-a"), Project(daemon, "bench-b")
    code = project.upload(work, "nop", "python", "pass\n")
    other.upload(work, "nop", "python", "pass\n")
    subprocess.run([daemon.ctl, "image", "warm", "python"], env=daemon.env, check=False,
                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    take_in(table, project, code)
    first(table, project)
    if QUEUE_DRAIN_N:
        drain(daemon, table, project, code, other)

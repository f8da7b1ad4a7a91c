# SPDX-License-Identifier: Apache-2.0
"""What another project and the operator notice of one project's requests."""
import json
import os
import subprocess
import threading
import time
import urllib.request

from bench_daemon import ENV, BenchError, command, program
from bench_queue import Project, quantiles

TENANTS_N = int(os.environ.get("TENANTS_N", "400000"))
TENANTS_SECONDS = float(os.environ.get("TENANTS_SECONDS", "5"))
PAUSE_S = 0.002


class Victim(threading.Thread):
    """Makes one cheap request after the other on one connection, and notes how long each takes."""

    def __init__(self, project):
        super().__init__()
        self.project, self.times, self.stop, self.error = project, [], False, None

    def run(self):
        while not self.stop:
            began = time.monotonic()
            try:
                self.project.rest("GET", "/api/{}")
            except (BenchError, OSError) as e:
                self.error = str(e)
                return
            self.times.append((time.monotonic() - began) * 1000)
            time.sleep(PAUSE_S)


class Load:
    """enqueue, until it is stopped."""

    def __init__(self, project, connections, *options):
        self.process = subprocess.Popen(
            [program("enqueue"), "--connections", str(connections), "--tasks", "100000000", *options],
            env=dict(ENV, TOKEN=project.token), stdout=subprocess.DEVNULL)

    def stop(self):
        if self.process.poll() is not None:
            raise BenchError("the load has ended by itself")
        self.process.kill()
        self.process.wait()


def longest_turn_ms(project, token):
    """The longest turn since the front has started."""
    request = urllib.request.Request("http://%s/metrics" % ":".join(project.address()),
                                     headers={"Authorization": "OAuth " + token})
    with urllib.request.urlopen(request) as answer:
        for line in answer.read().decode().splitlines():
            if line.startswith("sandboxd_front_turn_longest_seconds "):
                return float(line.split()[1]) * 1000
    raise BenchError("/metrics does not tell the longest turn")


class Bench:
    def __init__(self, daemon, work, table):
        self.daemon, self.table = daemon, table
        self.a, self.b = Project(daemon, "tenant-a"), Project(daemon, "tenant-b")
        self.code = self.a.upload(work, "nop", "python", "pass\n")
        made = daemon.call("project", "token", "create", "default", "--operator")
        self.operator = made["text"] if "text" in made else made["token"]

    def beside(self, what, during):
        """Measures the victim's requests and one run while during() goes on; during() returns what is to be
        printed.
        """
        self.table.show("tenants: " + what)
        victim = Victim(self.b)
        victim.start()
        try:
            said = during()
        finally:
            victim.stop = True
            victim.join()
        self.table.note("tenants: %s: another's request n %d, %s%s; longest turn yet %.1f ms%s" % (
            what, len(victim.times), quantiles(victim.times), said or "",
            longest_turn_ms(self.b, self.operator),
            "; ended by %s" % victim.error if victim.error else ""))

    def run_once(self):
        began = time.monotonic()
        command(self.daemon.ctl, "run", "python", "--code", "pass", env=self.daemon.env)
        return "; a run took %.0f ms" % ((time.monotonic() - began) * 1000)

    def load(self, what, connections, *options):
        def during():
            load = Load(self.a, connections, *options)
            time.sleep(TENANTS_SECONDS / 2)
            said = self.run_once()
            time.sleep(TENANTS_SECONDS / 2)
            load.stop()
            return said
        self.beside("%s, %d connections" % (what, connections), during)

    def get(self, what, connections, path):
        self.load(what, connections, "--get", path.replace("{}", "projects/" + self.a.id),
                  *self.a.address())

    def cancel_all(self):
        n, began = self.a.waiting(), time.monotonic()
        self.a.rest("POST", "/2/{}/codes/%s/cancel_all" % self.code)
        took = time.monotonic() - began
        return "; %d tasks in %.1f s" % (n, took)

    def remove(self):
        began = time.monotonic()
        self.daemon.call("project", "rm", "tenant-a", "--force")
        return "; it took %.1f s" % (time.monotonic() - began)


def idle():
    time.sleep(TENANTS_SECONDS)


def tenants(daemon, work, table):
    bench = Bench(daemon, work, table)
    # After these there is a template, so that every run below is like the others.
    for _ in range(3):
        bench.run_once()
    daemon.call("project", "quota", "tenant-a", "queued=%d" % (2 * TENANTS_N + 1000000))
    bench.a.pause(bench.code, True)
    bench.beside("idle", lambda: idle() or bench.run_once())
    bench.beside("%d tasks are queued, 100 a request, 8 connections" % TENANTS_N, lambda: (
        "; %.0f a second" % bench.a.enqueue("nop", TENANTS_N, "--batch", "100")["per_second"]))
    stats = "/2/{}/codes/%s/stats" % bench.code
    for connections in (16, 64, 200):
        bench.get("counts", connections, stats)
    bench.get("page=100000&per_page=100", 64, "/2/{}/tasks?page=100000&per_page=100")
    bench.get("page=0&per_page=100", 64, "/2/{}/tasks?per_page=100")
    bench.get("a filter that none meets", 64, "/api/{}/tasks?status=running,error&limit=100")
    # Tasks that are queued meanwhile are cancelled with the others.
    bench.load("1000 tasks a request", 64, "--batch", "1000", *bench.a.address(), bench.a.id, "nop")
    bench.beside("cancel_all", bench.cancel_all)
    bench.beside("removal of the project", bench.remove)

# SPDX-License-Identifier: Apache-2.0
"""What is measured with tests/bench/load.c, where a client costs next to nothing:
lifecycles a second, memory by the sandbox, and many tasks at a low rate."""
import json
import os
import subprocess
import tempfile
import time

from bench_daemon import ENV, HOWS, BenchError, Daemon, available_kib, busy_ms, program

CONCURRENCY = [int(word) for word in os.environ.get("CONCURRENCY", "1 2 8 64").split()]
RATE_SECONDS = os.environ.get("RATE_SECONDS", "3")
MEM_N = int(os.environ.get("MEM_N", "500"))
LOW_RATE = int(os.environ.get("LOW_RATE", "0"))
LOW_RATE_HOW = os.environ.get("LOW_RATE_HOW", "fork")
LOW_RATE_EVERY_MS = os.environ.get("LOW_RATE_EVERY_MS", "20")
# Has everything in memory that a task of its kind has, and does nothing.
ASLEEP = {"hello": "import signal\nsignal.pause()",
          "numpy": "import signal, numpy\nsignal.pause()"}


def load_args(daemon, image, code, how, *options):
    mode, policy = HOWS[how]
    return [program("load"), "--socket", daemon.env["SANDBOXD_SOCKET"], *options, image,
            json.dumps({"code": code, "start": mode, "policy": policy})]


def load(daemon, image, code, how, *options):
    """Runs load; returns its result: seconds, late, warning, and for each task first ms, whole ms, mode, verdict."""
    args = load_args(daemon, image, code, how, *options)
    result = subprocess.run(args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, env=ENV, check=False)
    if result.returncode != 0:
        raise BenchError("load %s %s: %s" % (image, how, result.stderr.strip()))
    return json.loads(result.stdout)


def load_lacks(daemon, image, code, how):
    def probe():
        result = load(daemon, image, code, how, "--tasks", "1")
        return result["tasks"][0][2], result["warning"]
    return daemon.lacks(how, image, probe)


def wrong_modes(result, how):
    """The tasks that were started in another mode than was asked for, as text; None when there are none."""
    used = [t[2] for t in result["tasks"] if t[2]]
    other = [mode for mode in used if mode != HOWS[how][0]]
    return other and "%d of %d started as %s%s" % (
        len(other), len(used), ", ".join(sorted(set(other))),
        result["warning"] and ": " + result["warning"])


def samples(result, how):
    for task in result["tasks"]:
        if task[3] != "ok":
            raise BenchError("a task of %s ended as %s: %s" % (how, task[3], result["warning"]))
    return [{"first": t[0], "whole": t[1]} for t in result["tasks"] if t[2] == HOWS[how][0]]


def rates(daemon, table, kinds, hows):
    """Runs as many whole lives of tasks as fit, with so many at a time; kinds: image and code."""
    for task, (image, code) in kinds.items():
        for how in hows:
            why = load_lacks(daemon, image, code, how)
            if why:
                table.missing("rates", task, how, why)
                continue
            for at_once in CONCURRENCY:
                series = "load %d" % at_once
                table.show("%s %s %s" % (series, task, how))
                cpu, busy = daemon.cpu_ms(), busy_ms()
                result = load(daemon, image, code, how, "--at-once", str(at_once),
                              "--seconds", RATE_SECONDS)
                n = len(result["tasks"])
                row = table.row(series, task, how)
                row.samples = samples(result, how)
                row.extra = {"a second": n / result["seconds"],
                             "all CPU": (busy_ms() - busy) / n}
                if daemon.pid:
                    row.extra["CPU ms"] = (daemon.cpu_ms() - cpu) / n
                table.note_wrong(series, task, how, wrong_modes(result, how))


class Held:
    """n tasks that stay until the end of the with."""

    def __init__(self, daemon, image, code, how, n):
        args = load_args(daemon, image, code, how, "--hold", "--at-once", str(n))
        self.n, self.result = 0, None
        self.errors = tempfile.TemporaryFile("w+")
        self.process = subprocess.Popen(args, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.errors, text=True, env=ENV)

    def __enter__(self):
        self.words("connected")
        return self

    def words(self, first):
        line = self.process.stdout.readline().split()
        if line[:1] != [first]:
            self.errors.seek(0)
            raise BenchError("load --hold: " + self.errors.read().strip())
        return line

    def go_on(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()

    def submit(self):
        self.go_on()
        self.n = int(self.words("started")[1])

    def __exit__(self, kind, *_):
        if kind is None:
            self.go_on()
            self.result = json.loads(self.process.stdout.readline())
        self.process.stdin.close()
        if self.process.poll() is None and kind is not None:
            self.process.kill()
        self.process.wait()
        self.errors.close()


def held_kib(daemon, image, code, how, n):
    """How many KiB of MemAvailable each of n tasks takes, how many tasks there were, and wrong modes."""
    with Held(daemon, image, code, how, n) as held:
        daemon.settle()
        before = available_kib()
        held.submit()
        daemon.settle()
        taken = before - available_kib()
    if held.n == 0:
        raise BenchError("load --hold: no task has started")
    daemon.settle()
    return taken / held.n, held.n, wrong_modes(held.result, how)


def parked_kib(daemon, image, code):
    """KiB that a parked clone takes: a template with eight of them less one without, by
    eight. The number that `template ls` tells, and the KiB; or why not."""
    taken = {}
    for parked in (0, 8):
        how = "parked-%d" % parked
        HOWS[how] = ("fork", daemon.park_policy(parked))
        # The checkpoint is made before: its memory is not what a template takes.
        if HOWS[how][1] not in daemon.refused:
            daemon.call("image", "warm", image, "--policy", HOWS[how][1])
        daemon.settle()
        before = available_kib()
        why = load_lacks(daemon, image, code, how)
        if why:
            return 0, 0.0, why
        daemon.settle()
        taken[parked] = before - available_kib()
    counts = [t.get("parked") for t in daemon.templates()
              if t.get("policy") == HOWS["parked-8"][1]]
    if counts != [8]:
        return 0, 0.0, "clones parked by template: %s; one with 8 should be" % counts
    return 8, (taken[8] - taken[0]) / 8.0, None


def memory_of(daemon, table, task, image, hows):
    code = ASLEEP[task]
    for how in hows:
        table.show("memory %s %s" % (task, how))
        why = load_lacks(daemon, image, "import time", how)
        if why:
            table.missing("memory", task, how, why)
            continue
        # A few first: they tell how many tasks the machine can hold, and what only the first ones take
        # is taken before the rest are measured.
        each, _, _ = held_kib(daemon, image, code, how, min(MEM_N, 16))
        n = max(1, min(MEM_N, int(0.7 * available_kib() / max(each, 1024))))
        each, n, wrong = held_kib(daemon, image, code, how, n)
        row = table.row("memory", task, how)
        row.extra = {"KiB each": each, "n": n}
        table.note_wrong("memory", task, how, wrong)
        if n < MEM_N:
            table.note("memory %s %s: %d at a time, %d were asked for" % (task, how, n, MEM_N))
    table.show("memory %s parked" % task)
    n, each, why = parked_kib(daemon, image, "import time")
    if why:
        table.missing("memory", task, "parked", why)
    else:
        table.row("memory", task, "parked").extra = {"KiB each": each, "n": n}


def memory(work, table, images, hows):
    """Measures in a daemon of its own for each image, so that nothing else comes and goes in it."""
    for task, image in images.items():
        folder = "%s/memory-%s" % (work, task)
        os.mkdir(folder)
        os.chmod(folder, 0o755)
        daemon = Daemon(folder, running_max=MEM_N)
        try:
            daemon.start()
            memory_of(daemon, table, task, image, hows)
        finally:
            daemon.stop()


def low_rate(daemon, table, task, image, code):
    """Runs LOW_RATE tasks at a slow pace, and notes what has grown meanwhile."""
    how = LOW_RATE_HOW
    why = load_lacks(daemon, image, code, how)
    if why:
        table.missing("low-rate", task, how, why)
        return
    options = ("--every-ms", LOW_RATE_EVERY_MS, "--at-once", "64")
    load(daemon, image, code, how, "--tasks", "200", *options)
    daemon.settle()
    before = daemon.sizes()
    table.show("%d of %s %s, every %s ms" % (LOW_RATE, task, how, LOW_RATE_EVERY_MS))
    cpu, busy, began = daemon.cpu_ms(), busy_ms(), time.monotonic()
    result = load(daemon, image, code, how, "--tasks", str(LOW_RATE), *options)
    n = len(result["tasks"])
    row = table.row("every %s" % LOW_RATE_EVERY_MS, task, how)
    row.samples = samples(result, how)
    row.extra = {"a second": n / (time.monotonic() - began), "all CPU": (busy_ms() - busy) / n}
    if daemon.pid:
        row.extra["CPU ms"] = (daemon.cpu_ms() - cpu) / n
    daemon.settle()
    after = daemon.sizes()
    table.note_wrong(row.series, task, how, wrong_modes(result, how))
    table.note("%s %s %s: %d submitted late; over %d tasks: %s" % (
        row.series, task, how, result["late"], n,
        ", ".join("%s %d%+d" % (key, value, after.get(key, 0) - value)
                  for key, value in before.items())))

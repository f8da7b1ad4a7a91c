# SPDX-License-Identifier: Apache-2.0
"""Background workers that the node keeps at work: items put and acknowledged a second, durably, through one worker,
sync and async, from outside and by the worker's own process; and through the same queue worker in one process alone,
each in turn."""
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import time

from bench_daemon import HERE, BenchError, Daemon, command

N = int(os.environ.get("BACKGROUND_N", "100000"))
ROUNDS = int(os.environ.get("BACKGROUND_ROUNDS", "3"))
STALL_S = 120
MODULE = """
from atasker import background_worker

@background_worker(q=True)
async def items_async(item, **kwargs):
    if isinstance(item, dict):
        for n in range(item["put"]):
            items_async.put(n)

@background_worker(q=True)
def items_sync(item, **kwargs):
    if isinstance(item, dict):
        for n in range(item["put"]):
            items_sync.put(n)
"""
MODULES = os.path.join(os.path.dirname(os.path.dirname(HERE)), "images", "runtime", "modules")


def done(daemon, name):
    return next(w["done"] for w in daemon.call("background", "ls") if w["name"] == name)


def wait_done(daemon, name, n):
    last, changed = -1, time.monotonic()
    while last < n:
        now = done(daemon, name)
        if now != last:
            last, changed = now, time.monotonic()
        elif time.monotonic() - changed > STALL_S:
            raise BenchError("%s has done %d of %d items" % (name, now, n))
        time.sleep(0.05)


def from_outside(daemon, work, name):
    """All items, and each put in a request of 256."""
    before, began = done(daemon, name), time.perf_counter()
    command(daemon.ctl, "background", "put", name, "--lines", work + "/lines", env=daemon.env)
    put = time.perf_counter()
    wait_done(daemon, name, before + N)
    return N / (put - began), N / (time.perf_counter() - began)


def by_itself(daemon, name):
    before, began = done(daemon, name), time.perf_counter()
    command(daemon.ctl, "background", "put", name, json.dumps({"put": N}), env=daemon.env)
    wait_done(daemon, name, before + N + 1)
    return N / (time.perf_counter() - began)


def in_process():
    text = subprocess.run([sys.executable, os.path.join(HERE, "atasker_queue.py")], check=True, stdout=subprocess.PIPE,
                          env=dict(os.environ, PYTHONPATH=MODULES, ITEMS=str(N), ROUNDS="1")).stdout.decode()
    return [float(x) for x in re.search(r"sync (\d+), async (\d+)", text).groups()]


def background(work, table):
    folder = work + "/background"
    os.makedirs(folder + "/app")
    with open(folder + "/app/jobs.py", "w", encoding="utf-8") as f:
        f.write(MODULE)
    with open(folder + "/b.json", "w", encoding="utf-8") as f:
        json.dump({"kind": "background", "dir": "app", "module": "jobs", "workers": ["items_async", "items_sync"]}, f)
    with open(folder + "/lines", "w", encoding="utf-8") as f:
        f.writelines("%d\n" % n for n in range(N))
    daemon = Daemon(folder, edge=True)
    rates = {}
    try:
        daemon.start()
        command(daemon.ctl, "background", "up", folder + "/b.json", env=daemon.env)
        for _ in range(ROUNDS):
            for kind in "async", "sync":
                name = "items_" + kind
                put, whole = from_outside(daemon, folder, name)
                rates.setdefault(("put from outside", kind), []).append(put)
                rates.setdefault(("put from outside and acknowledged", kind), []).append(whole)
                rates.setdefault(("put by its own process and acknowledged", kind), []).append(by_itself(daemon, name))
            sync, both = in_process()
            rates.setdefault(("in one process, not durable", "sync"), []).append(sync)
            rates.setdefault(("in one process, not durable", "async"), []).append(both)
    finally:
        daemon.stop()
        shutil.rmtree(folder, ignore_errors=True)
    for (what, kind), values in rates.items():
        table.note("background, %s, %s: %.0f items a second (median of %d, %d items; least %.0f, most %.0f)" % (
            kind, what, statistics.median(values), len(values), N, min(values), max(values)))

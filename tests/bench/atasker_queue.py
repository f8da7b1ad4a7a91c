"""Items a second through one queue worker of atasker, in this process: sync and async, in turn.

Run with atasker in the path (PYTHONPATH=images/runtime/modules).  ITEMS (100000) and ROUNDS (5) by the environment;
prints every round and the medians.
"""

import os
import statistics
import sys
import threading
import time

from atasker import background_worker, task_supervisor

ITEMS = int(os.environ.get("ITEMS", 100000))
ROUNDS = int(os.environ.get("ROUNDS", 5))


def measure(worker, done):
    began = time.perf_counter()
    worker.start()
    for n in range(ITEMS):
        worker.put(n)
    done.wait()
    rate = ITEMS / (time.perf_counter() - began)
    worker.stop()
    return rate


def make(is_async):
    done = threading.Event()

    def sync(item, **kwargs):
        if item == ITEMS - 1:
            done.set()

    async def other(item, **kwargs):
        if item == ITEMS - 1:
            done.set()

    return background_worker(other if is_async else sync, q=True, name="bench"), done


def main():
    task_supervisor.create_aloop("bench", default=True)
    rates = {"sync": [], "async": []}
    for _ in range(ROUNDS):
        for kind in rates:
            rates[kind].append(measure(*make(kind == "async")))
            print("%s %.0f items a second" % (kind, rates[kind][-1]), flush=True)
    print("Python %s, median of %d: sync %.0f, async %.0f" % (
        sys.version.split()[0], ROUNDS, statistics.median(rates["sync"]), statistics.median(rates["async"])))
    task_supervisor.stop()


if __name__ == "__main__":
    main()

"""Workers of every kind, for 85-background.bats; each test has those at work that it needs."""

import asyncio
import os
import sys
import threading
import time

from atasker import BackgroundQueueWorker, background_worker, task_supervisor

DATA = os.path.expanduser("~/data")
VERSION = 1


def mark(name):
    """How often it was called, in this and all processes before."""
    with open(os.path.join(DATA, name), "a") as out:
        out.write(".")
        out.flush()
    return os.path.getsize(os.path.join(DATA, name))


# The five kinds

@background_worker
def plain(**kwargs):
    if mark("plain") == 1:
        print("plain is called")
    time.sleep(0.05)


@background_worker
async def coroutine(**kwargs):
    if mark("coroutine") == 1:
        print("coroutine is called")


@background_worker(q=True)
def square(item, _attempt, **kwargs):
    print("square of %r" % (item,))


@background_worker(q=True)
async def async_square(item, **kwargs):
    print("async square of %r" % (item,))


@background_worker(e=True)
def event(task, **kwargs):
    print("event begins")
    time.sleep(0.5)
    print("event ends, number %d" % mark("event"))


@background_worker(interval=1.5)
def tick(**kwargs):
    print("tick at %.2f" % time.monotonic())


@background_worker(interval=0.2)
def fast(**kwargs):
    if mark("fast") == 1:
        print("fast is called")


class Pooled(BackgroundQueueWorker):
    """Its executor is in another process, what it returns is processed here."""

    @staticmethod
    def run(item, **kwargs):
        if item == "raise":
            raise ValueError("of the pool's")
        return item * 2, os.getpid()

    def process_result(self, result):
        value, pid = result
        print("pooled %r elsewhere: %s" % (value, pid != os.getpid()))
        if value == "enoughenough":
            return False


pooled = Pooled(name="pooled")


# What an executor may do

@background_worker(q=True, on_error=lambda: print("on_error: %s" % sys.exc_info()[1]))
def picky(item, _attempt, _item_id, **kwargs):
    print("picky of %r, attempt %d" % (item, _attempt))
    if item == "exit":
        os._exit(3)
    if item == "hang":
        time.sleep(3600)
    if item == "stop":
        return False
    if item == "once" and _attempt > 1:
        return None
    raise RuntimeError("%r is not liked" % (item,))


@background_worker(q=asyncio.PriorityQueue)
def ranked(item, **kwargs):
    print("ranked %r" % (item,))
    if item == [0, "wait"]:
        while not os.path.exists(os.path.join(DATA, "go")):
            time.sleep(0.05)


class Point:
    def __init__(self, x):
        self.x = x

    def __repr__(self):
        return "Point(%r)" % self.x


@background_worker(q=True)
def feeds(item, **kwargs):
    """Puts what it gets, and more, to others."""
    if item == "self":
        feeds.put(Point(7))
    elif item == "lock":
        feeds.put(threading.Lock())
    elif item == "square":
        square.put(Point(8))
    elif item == "event":
        event.trigger()
    else:
        print("feeds of %r" % type(item).__name__)


@background_worker(q=True)
def writes(item, **kwargs):
    """Says in a file that lasts what it has had."""
    with open(os.path.join(DATA, "had"), "a") as out:
        out.write("%s\n" % (item,))


@background_worker(q=True)
def slow(item, **kwargs):
    print("slow of %r begins" % (item,))
    while not os.path.exists(os.path.join(DATA, "go")):
        time.sleep(0.05)
    print("slow of %r ends" % (item,))


@background_worker(q=True)
def own_start(item, **kwargs):
    print("own start of %r in thread %s" % (item, threading.current_thread().name.split("_")[0]))


# A program's own start, which happens in every process that imports this.
own_start.start()


@background_worker(q=True)
async def nothing(item, **kwargs):
    pass


@background_worker(q=True)
def nothing_sync(item, **kwargs):
    pass

"""One run of a worker: from a start() to the end of its last executor."""

import asyncio
import threading
import time

from .latch import LOCK, Latch


def running_loop():
    """The asyncio loop that runs in this thread, or None."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


class Wake:
    """What a run's coroutine waits for, with something else that says why.  Rung from any thread."""

    def __init__(self):
        self.rung = False
        self.future = None
        self.loop = None

    def ring(self):
        """End the wait, or else the next one."""
        with LOCK:
            if self.rung:
                return
            self.rung = True
            future = self.future
        if future is not None:
            try:
                self.loop.call_soon_threadsafe(self.resolve, future)
            except RuntimeError:
                pass    # the loop is closed

    @staticmethod
    def resolve(future):
        if not future.done():
            future.set_result(None)

    async def wait(self, loop, deadline=None):
        """Wait until it is rung, or until that time of the loop."""
        with LOCK:
            if self.rung:
                self.rung = False
                return
            future = self.future = loop.create_future()
            self.loop = loop
        timer = None if deadline is None else loop.call_at(deadline, self.resolve, future)
        try:
            await future
        finally:
            if timer is not None:
                timer.cancel()
            with LOCK:
                self.future = None
                self.rung = False


class Run:
    """What belongs to one run.  A worker has one at a time, or one that ends and one that waits for that.

    The order of its life: made, opened (after_start has run), claimed (somebody stops it), stopping (it counts as
    inactive, and no executor begins), ended.
    """

    def __init__(self, worker, previous, supervisor, args, kwargs, priority, executor):
        self.worker = worker
        self.previous = previous        # the run that has to end first
        self.supervisor = supervisor
        self.args = args
        self.kwargs = kwargs            # what every executor gets
        self.priority = priority
        self.executor = executor
        self.started = Latch()
        self.ended = Latch()
        self.opened = False
        self.claimed = False
        self.stopping = False
        self.hooks_due = False          # claimed before it was opened: who opens it runs the hooks
        self.wake = Wake()
        self.loop = None                # the asyncio loop of its coroutine
        self.life = None                # the LoopThread of that loop, where it is ours
        self.thread = None              # the id of a sync executor's thread while it runs
        self.task = None                # the coroutine's asyncio task, or a plain worker's Task
        self.in_pool = False            # whether the executor runs in the process pool
        self.is_async = False
        self.cancelled = False
        self.successor = None           # the run that waits for this one's end
        self.triggered = False          # of event workers: whether a call is due,
        self.executing = False          # and whether the executor runs

    def is_inside(self):
        """Whether this thread is the executor's, or the loop's, and so cannot wait for the run."""
        if threading.get_ident() == self.thread:
            return True
        return self.loop is not None and running_loop() is self.loop

    def cancel(self):
        """Called when a loop's coroutines are cancelled; returns whether this one may be.

        One that waits for a thread may not, for the thread goes on.
        """
        if self.is_async:
            self.cancelled = True
        return self.is_async

    def wait_ended(self, timeout=None):
        """Wait until its last executor has ended; returns whether it has."""
        if self.loop is None or self.life is not None:
            return self.ended.wait(timeout)
        # A loop of the program's own may be stopped for good.
        end = None if timeout is None else time.monotonic() + timeout
        while not self.ended.wait(0.05 if end is None else max(0, min(0.05, end - time.monotonic()))):
            if not self.loop.is_running():
                self.worker.run_is_over(self)
            elif end is not None and time.monotonic() >= end:
                return False
        return True

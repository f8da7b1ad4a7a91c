"""The threads of a supervisor.

They are plain threads: those of concurrent.futures take no work any more once the main thread has ended.  How
many run is decided by who has a slot (slots.py), not here: whoever comes is given a thread at once, an idle one
or a new one.
"""

import itertools
import sys
import threading
from _thread import allocate_lock
from collections import deque
from concurrent.futures import Future

from .latch import LOCK
from .log import logger

# These Pythons make no thread any more as soon as the main thread has ended.
NO_LATE_THREADS = (3, 12, 0) <= sys.version_info[:3] <= (3, 12, 2)


class PoolThread(threading.Thread):
    """Runs one job after the other.  A job may return the next one, which the same thread then runs."""

    def __init__(self, pool, job, name):
        threading.Thread.__init__(self, name=name, daemon=pool.daemon)
        self.pool = pool
        self.job = job
        self.wake = allocate_lock()     # held while there is nothing to do
        self.wake.acquire()

    def run(self):
        own_name = self.name
        job, self.job = self.job, None
        while job is not None:
            while job is not None:
                try:
                    job = job()
                except BaseException:
                    logger.exception("a job of thread %s failed", own_name)
                    job = None
            if self.name != own_name:
                self.name = own_name
            job = self.pool.next_job(self)


def nothing():
    pass


class ThreadPool:

    def __init__(self, prefix):
        """`prefix` begins the threads' names."""
        self.prefix = prefix
        self.forked()

    def forked(self):
        self.daemon = False
        self.keep = 0               # so many threads stay when there is nothing to do
        self.is_open = False        # while it is not, none stays
        self.threads = set()
        self.idle = []              # the one that was busy last is at the end
        self.backlog = deque()      # jobs for which no thread could be made
        self.numbers = itertools.count()

    def submit(self, function, *args, **kwargs):
        """Call the function in a thread, whatever the supervisor's caps; returns its concurrent.futures.Future."""
        future = Future()

        def job():
            if future.set_running_or_notify_cancel():
                try:
                    result = function(*args, **kwargs)
                except BaseException as error:
                    future.set_exception(error)
                else:
                    future.set_result(result)

        self.spawn(job)
        return future

    def spawn(self, job, own=False):
        """Run the job at once; if the machine gives no further thread, as soon as one is idle.

        With own, it will not wait: RuntimeError then.
        """
        with LOCK:
            thread = self.idle.pop() if self.idle else None
            if thread is not None:
                thread.job = job
        if thread is not None:
            thread.wake.release()
            return
        try:
            self.add_thread(job)
        except RuntimeError:
            with LOCK:
                if own or not self.threads:
                    raise
                self.backlog.append(job)
            self.feed()

    def add_thread(self, job):
        thread = PoolThread(self, job, "%s%d" % (self.prefix, next(self.numbers)))
        with LOCK:
            self.threads.add(thread)
        try:
            thread.start()
        except BaseException:
            with LOCK:
                self.threads.discard(thread)
            raise

    def feed(self):
        """Give what could not begin to threads that are idle now."""
        with LOCK:
            fed = []
            while self.backlog and self.idle:
                thread = self.idle.pop()
                thread.job = self.backlog.popleft()
                fed.append(thread)
        for thread in fed:
            thread.wake.release()

    def next_job(self, thread):
        """What a thread does next that has nothing to do: waits here, or ends if this is None."""
        with LOCK:
            if self.backlog:
                return self.backlog.popleft()
            if not self.is_open or len(self.threads) > self.keep:
                self.threads.discard(thread)
                return None
            self.idle.append(thread)
        thread.wake.acquire()
        job, thread.job = thread.job, None
        return job

    def open(self, daemon, least):
        """Have threads stay from now on, `least` of them from the start."""
        self.daemon = daemon
        self.is_open = True
        for _ in range(least - len(self.threads)):
            self.add_thread(nothing)

    def shrink(self):
        """End the idle threads that are too many; returns them."""
        ended = []
        with LOCK:
            while self.idle and (not self.is_open or len(self.threads) > self.keep):
                thread = self.idle.pop(0)
                self.threads.discard(thread)
                ended.append(thread)
        for thread in ended:
            thread.wake.release()
        return ended

    def close(self):
        """End all idle threads, and wait for that; one that is busy ends with its job."""
        self.is_open = False
        for thread in self.shrink():
            if thread is not threading.current_thread():
                thread.join()

    def has(self, thread):
        with LOCK:
            return thread in self.threads

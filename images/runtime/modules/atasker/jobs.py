"""Jobs: coroutine functions that a loop calls again and again."""

import asyncio
import uuid

from .latch import LOCK
from .log import logger

LEAST = 0.001   # seconds between two runs


class AsyncJob:
    """A coroutine function that is called every `interval` seconds, `number` times (0: without end).

    The first call comes `timer` seconds after the job was made, or after its scheduler was started if that is
    later; the others are on a fixed grid from there.  A call does not wait for the one before.
    """

    def __init__(self, scheduler, target, args=(), kwargs=None, interval=0, timer=0, number=0):
        self.id = str(uuid.uuid4())
        self.scheduler = scheduler
        self.target = target
        self.args = args
        self.kwargs = {} if kwargs is None else kwargs
        self.interval = max(interval or 0, LEAST)
        self.timer = max(timer or 0, 0)
        self.number = number or 0
        self.count = 0
        self.active = True
        self.timer_handle = None
        self.running = set()    # asyncio keeps no strong reference to its tasks

    def cancel(self):
        """No call begins any more; one that runs goes on.  From any thread."""
        self.scheduler.remove(self)

    # In the scheduler's loop

    def begin(self, loop):
        self.due = loop.time() + self.timer
        self.timer_handle = loop.call_at(self.due, self.fire, loop)

    def fire(self, loop):
        if not self.active or self.scheduler.loop is not loop:
            return
        self.count += 1
        task = loop.create_task(self.work())
        self.running.add(task)
        task.add_done_callback(self.running.discard)
        if self.number and self.count >= self.number:
            self.scheduler.remove(self)
            return
        self.due += self.interval
        if self.due < loop.time():
            # The loop was held up: ticks that were missed are dropped.
            self.due += (loop.time() - self.due) // self.interval * self.interval
        self.timer_handle = loop.call_at(self.due, self.fire, loop)

    async def work(self):
        try:
            await self.target(*self.args, **self.kwargs)
        except asyncio.CancelledError:
            raise
        except BaseException:
            logger.exception("job %s", self.id)


class AsyncJobScheduler:
    """The jobs of one loop, which is an ALoop or (aloop None) the supervisor's own.

    Jobs wait for it while it is stopped.
    """

    def __init__(self, name, supervisor, aloop=None):
        self.name = name
        self.supervisor = supervisor
        self.aloop = aloop
        self.starts_with_supervisor = False
        self.loop = None        # while it is started
        self.jobs = {}

    def is_active(self):
        return self.loop is not None

    def start(self):
        """Begin; RuntimeError where its loop does not run."""
        loop = (self.aloop or self.supervisor.own_loop).need_loop()
        with LOCK:
            if self.loop is not None:
                return False
            self.loop = loop
            jobs = list(self.jobs.values())
        for job in jobs:
            loop.call_soon_threadsafe(job.begin, loop)
        return True

    def stop(self):
        with LOCK:
            loop, self.loop = self.loop, None
        if loop is not None:
            try:
                loop.call_soon_threadsafe(self.drop_timers)
            except RuntimeError:
                pass    # it is closed

    def drop_timers(self):
        for job in list(self.jobs.values()):
            if job.timer_handle is not None and self.loop is None:
                job.timer_handle.cancel()

    def add(self, job):
        with LOCK:
            self.jobs[job.id] = job
            loop = self.loop
        if loop is not None:
            loop.call_soon_threadsafe(job.begin, loop)
        return job

    def remove(self, job):
        """Returns whether it was there."""
        with LOCK:
            job.active = False
            found = self.jobs.pop(job.id, None) is not None
            loop = self.loop
            self.supervisor.look()
        if loop is not None and job.timer_handle is not None:
            try:
                loop.call_soon_threadsafe(job.timer_handle.cancel)
            except RuntimeError:
                pass    # it is closed
        return found

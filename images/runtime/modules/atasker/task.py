"""A task, and the numbers by which tasks are told apart."""

import time
import uuid

from .latch import Latch

# Priorities: the lower the number, the sooner.
TASK_CRITICAL = 0
TASK_HIGH = 50
TASK_NORMAL = 100
TASK_LOW = 200

# What a task is: a coroutine, a call in a thread, a call in a process of the pool.
TT_COROUTINE = 0
TT_THREAD = 1
TT_MP = 2

TASK_STATUS_CANCELED = -1
TASK_STATUS_QUEUED = 0
TASK_STATUS_DELAYED = 2
TASK_STATUS_STARTED = 100
TASK_STATUS_COMPLETED = 200


class Task:
    """One call, from when it is asked for to when it is over.

    time_queued and time_started are seconds since 1970, delay is in seconds.  The supervisor knows the task by
    its id until it is completed.
    """

    def __init__(self, tt, target=None, args=(), kwargs=None, callback=None, priority=TASK_NORMAL, delay=None,
                 task_id=None, worker=None):
        self.id = str(uuid.uuid4()) if task_id is None else task_id
        self.tt = tt
        self.target = target
        self.args = args
        self.kwargs = {} if kwargs is None else kwargs
        self.callback = callback
        self.priority = TASK_NORMAL if priority is None else priority
        self.delay = delay
        self.worker = worker
        self.status = TASK_STATUS_QUEUED
        self.time_queued = time.time()
        self.time_started = None
        self.result = None
        self.started = Latch()
        self.completed = Latch()
        # When it was queued by the monotonic clock, whether there was no slot then, and which of the supervisor's
        # timeouts were told.
        self.waits_since = time.monotonic()
        self.is_late = False
        self.told = set()
        # What the supervisor does when it has a slot: `job` in a thread, `send` for a process.
        self.job = None
        self.send = None
        # Called instead when it is cancelled before it has begun.
        self.given_up = None

    def is_started(self):
        return self.started.is_set()

    def is_completed(self):
        return self.completed.is_set()

    def __repr__(self):
        return "<Task %s, status %d>" % (self.id, self.status)


# Programs know it by this name.
Task.__module__ = "atasker.supervisor"

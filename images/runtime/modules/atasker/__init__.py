"""Background workers and tasks, by the interface of atasker 0.7.

    supervisor  who runs what when: threads, processes, loops, and their limits
    workers     executors that are called again and again
    threads     background_task, and helpers for threads
    f, co       collections of functions; calls in processes, for coroutines
    run         one run of a worker
    slots, pool, processes, aloop, jobs     the supervisor's parts
    task, pace, latch, log, ending          what they are made of

Importing it starts no thread, process or loop and opens no file: templates are forked after imports.
"""

from .co import co_mp_apply
from .f import FunctionCollection, TaskCollection
from .log import set_debug
from .supervisor import TaskSupervisor, task_supervisor
from .task import TASK_CRITICAL, TASK_HIGH, TASK_LOW, TASK_NORMAL, TT_COROUTINE, TT_MP, TT_THREAD
from .threads import LocalProxy, Locker, background_task, wait_completed
from .workers import (BackgroundAsyncWorker, BackgroundEventWorker, BackgroundIntervalWorker, BackgroundQueueWorker,
                      BackgroundWorker, background_worker)

__version__ = "0.7.9"

__all__ = [
    "BackgroundAsyncWorker", "BackgroundEventWorker", "BackgroundIntervalWorker", "BackgroundQueueWorker",
    "BackgroundWorker", "FunctionCollection", "LocalProxy", "Locker", "TASK_CRITICAL", "TASK_HIGH", "TASK_LOW",
    "TASK_NORMAL", "TT_COROUTINE", "TT_MP", "TT_THREAD", "TaskCollection", "TaskSupervisor", "background_task",
    "background_worker", "co_mp_apply", "g", "set_debug", "task_supervisor", "wait_completed",
]

g = LocalProxy()

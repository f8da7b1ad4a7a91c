"""One of everything of atasker, as a task: prints a line for each thing that works, and ends by itself.

The main thread ends first; the workers go on.
"""

import asyncio
import logging
import os
import sys
import threading

import atasker
from atasker import (TASK_CRITICAL, TT_MP, BackgroundQueueWorker, FunctionCollection, background_task,
                     background_worker, co_mp_apply, task_supervisor, wait_completed)

logging.basicConfig(stream=sys.stdout, format="%(levelname)s %(message)s")
left = threading.Semaphore(0)
names = []
lock = threading.Lock()


def works(name):
    with lock:
        names.append(name)
    left.release()


@background_worker
def plain(word, **kwargs):
    works("plain %s" % word)
    return False


@background_worker(poll_delay=0.001)
async def coroutine(**kwargs):
    works("async")
    return False


@background_worker(q=asyncio.queues.PriorityQueue)
def queue(item, _task_id, **kwargs):
    works("queue %d %s" % (item, threading.current_thread().name == _task_id))
    return item < 3


@background_worker(e=True)
def event(task, **kwargs):
    works("event %s" % task)
    return False


@background_worker(interval=0.01)
async def interval(_worker, ticks=[], **kwargs):
    ticks.append(1)
    if len(ticks) == 3:
        works("interval")
        return False


@background_worker(q=True, on_error=lambda: works("error %s" % sys.exc_info()[0].__name__))
async def fails(item, **kwargs):
    1 / item


class InProcess(BackgroundQueueWorker):

    @staticmethod
    def run(item, **kwargs):
        return os.getpid(), item + 1

    def process_result(self, result):
        works("process %d %s" % (result[1], result[0] != os.getpid()))
        return False


async def apply():
    works("co_mp_apply %d" % await co_mp_apply(abs, (-5,)))


def last():
    for _ in range(12):
        left.acquire()
    for name in sorted(names):
        print(name)
    fails.stop()
    print("main is over:", atasker.ending.main_is_over())
    task_supervisor.stop()


if __name__ == "__main__":
    own = InProcess()
    task_supervisor.create_mp_pool(1)
    task_supervisor.create_aloop("loop", default=True)
    functions = FunctionCollection()
    functions.append(lambda: works("collection"))
    functions.append(len)
    functions.remove(len)
    plain.start("once")
    coroutine.start()
    for item in 3, 1, 2:
        queue.put(item)
    queue.start()
    event.start()
    event.trigger()
    interval.start()
    fails.start()
    fails.put_threadsafe(0)
    own.start()
    own.put(1)
    works("task %d" % wait_completed(background_task(abs, priority=TASK_CRITICAL)(-4)))
    wait_completed(background_task(apply)())
    functions()
    background_task(last)()

"""An event loop in a thread of its own."""

import asyncio
import functools
import threading

from .latch import LOCK, Latch, at_fork
from .log import debug, logger
from .task import TASK_STATUS_CANCELED, TT_COROUTINE, Task

# Seconds for which a loop that is closed waits for coroutines that do not end when they are cancelled.
GIVE_UP = 5


class LoopThread:
    """One life of an ALoop: its thread and its asyncio loop, which is closed when the thread ends."""

    def __init__(self, name, daemon):
        self.loop = asyncio.new_event_loop()
        self.running = Latch()
        self.lives = {}         # workers' coroutines: their asyncio tasks and runs
        self.closing = False    # whether stop() was called; no coroutine comes in any more
        self.drained = False
        self.thread = threading.Thread(target=self.main, name=name, daemon=daemon)

    def start(self):
        try:
            self.thread.start()
        except BaseException:
            self.loop.close()
            raise
        self.running.wait()

    def main(self):
        loop = self.loop
        loop.call_soon(self.running.set)
        try:
            while not self.drained:
                try:
                    loop.run_forever()
                except BaseException:
                    # SystemExit in a callback is handed through by asyncio, and everybody else's loop is this one.
                    logger.exception("loop %s", self.thread.name)
            loop.run_until_complete(loop.shutdown_asyncgens())
        finally:
            for task in asyncio.all_tasks(loop):
                task._log_destroy_pending = False
            loop.close()

    def close(self, wait, cancel):
        """Begin to end the loop; from any thread.  wait and cancel: as ALoop.stop()."""
        self.loop.call_soon_threadsafe(lambda: self.loop.create_task(self.drain(wait, cancel)))

    def cancel(self, everybody):
        """Cancel the loop's coroutines; workers' executors too if everybody."""
        for task in asyncio.all_tasks(self.loop):
            run = self.lives.get(task)
            if task is not asyncio.current_task(self.loop) and (run is None or everybody and run.cancel()):
                task.cancel()

    async def drain(self, wait, cancel):
        """Wait for the coroutines, then end the loop.  A worker's executor is waited for in any case."""
        loop = self.loop
        now = loop.time()
        deadline = None if wait is True else now + (wait or 0)
        if cancel:
            self.cancel(True)
            deadline = now
        given_up = None
        while True:
            others = asyncio.all_tasks(loop) - {asyncio.current_task(loop)}
            if given_up is not None and loop.time() >= given_up:
                others &= set(self.lives)
            if not others:
                break
            if deadline is not None and given_up is None and loop.time() >= deadline:
                self.cancel(False)
                given_up = loop.time() + GIVE_UP
            until = deadline if given_up is None else given_up
            await asyncio.wait(others, timeout=None if until is None else max(until - loop.time(), 0.05))
        self.drained = True
        loop.stop()


class ALoop:
    """An asyncio loop in a thread, for coroutines and for workers with async executors.

    A stopped one can be started again, with a new loop and a new thread.
    """

    def __init__(self, name, supervisor, daemon=False, thread_name=None):
        self.name = name
        self.supervisor = supervisor
        self.daemon = daemon
        self.thread_name = thread_name or "supervisor_%s_aloop_%s" % (supervisor.id, name)
        self.starts_with_supervisor = False
        self.life = None
        at_fork(self)

    def forked(self):
        self.life = None

    @property
    def thread(self):
        """The thread, or None while there is none."""
        life = self.life
        return life and life.thread

    def start(self):
        """Start the thread; returns when its loop runs, False when it was running already."""
        with LOCK:
            if self.life is not None:
                return False
            life = self.life = LoopThread(self.thread_name, self.daemon)
        try:
            life.start()
        except BaseException:
            self.life = None
            raise
        debug("loop %s is started", self.thread_name)
        return True

    def is_active(self):
        return self.get_loop() is not None

    def get_loop(self):
        """The asyncio loop, or None while it is not active."""
        life = self.life
        return life.loop if life is not None and life.running.is_set() and not life.closing else None

    def is_own_thread(self):
        return self.thread is threading.current_thread()

    def need_loop(self, coroutine=None):
        loop = self.get_loop()
        if loop is None:
            if coroutine is not None:
                coroutine.close()
            raise RuntimeError("aloop %s is not active" % self.name)
        return loop

    def run(self, coroutine):
        """Run a coroutine here and wait for its result; what it raises is raised."""
        loop = self.need_loop(coroutine)
        if self.is_own_thread():
            coroutine.close()
            raise RuntimeError("aloop %s cannot wait for itself: use await" % self.name)
        return asyncio.run_coroutine_threadsafe(self.guard(coroutine), loop).result()

    @staticmethod
    async def guard(coroutine):
        """SystemExit, which would end the loop, is handed over as another exception."""
        try:
            return await coroutine
        except (SystemExit, KeyboardInterrupt) as error:
            raise RuntimeError("a coroutine raised %s" % type(error).__name__) from error

    def background_task(self, coroutine, delay=None, callback=None):
        """Run a coroutine here; returns its Task.  An exception is logged, and the result is None then.

        delay: seconds before it begins; callback is called with the result, in the loop.
        """
        task = Task(TT_COROUTINE, coroutine, delay=delay, callback=callback)
        # Under the lock, so that the coroutine is in the loop before the loop begins to end.
        with LOCK:
            loop = self.need_loop(coroutine)
            self.supervisor.coroutine_comes(task)
            loop.call_soon_threadsafe(self.begin, task, loop)
        return task

    def begin(self, task, loop):
        # A coroutine that is cancelled before its first step runs no line of its own, so that its end is told here.
        loop.create_task(self.work(task)).add_done_callback(functools.partial(self.is_over, task))

    def is_over(self, task, future):
        if future.cancelled():
            task.target.close()
            self.supervisor.complete(task, status=TASK_STATUS_CANCELED)

    async def work(self, task):
        result = None
        try:
            if task.delay:
                await asyncio.sleep(task.delay)
            self.supervisor.begin(task)
            result = await task.target
            if task.callback is not None:
                task.callback(result)
        except asyncio.CancelledError:
            raise
        except BaseException:
            logger.exception("task %s", task.id)
        self.supervisor.complete(task, result)

    def stop(self, wait=True, cancel_tasks=False):
        """Stop the workers on this loop, wait for its coroutines, end the thread.

        wait: True; a number of seconds, after which they are cancelled; False: they are cancelled at once, and
        this does not wait.  cancel_tasks: they are cancelled in any case, executors of workers too, which are
        waited for otherwise.  From its own thread it does not wait.
        """
        with LOCK:
            life, self.life = self.life, None
            if life is None:
                return
            life.closing = True
        for run in list(life.lives.values()):
            run.worker.stop(wait=False)
        life.close(wait, cancel_tasks)
        if wait is not False and life.thread is not threading.current_thread():
            life.thread.join(None if wait is True else max(wait, 0) + 0.5)


# Programs know it by this name.
ALoop.__module__ = "atasker.supervisor"

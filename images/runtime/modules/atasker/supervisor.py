"""The supervisor: it has the threads, the processes and the loops, and says which task runs when.

Who calls what: every method may be called from any thread, task, executor and signal handler.  Code of the user's
(targets, hooks, callbacks) runs in the supervisor's threads and loops, never with LOCK held.
"""

import asyncio
import functools
import os
import threading
import time
import uuid

from . import ending
from .aloop import ALoop
from .jobs import AsyncJob, AsyncJobScheduler
from .latch import LOCK, Latch, at_fork
from .log import debug, logger
from .pool import NO_LATE_THREADS, ThreadPool
from .processes import Processes
from .slots import Slots
from .task import (TASK_CRITICAL, TASK_HIGH, TASK_LOW, TASK_NORMAL, TASK_STATUS_CANCELED, TASK_STATUS_COMPLETED,
                   TASK_STATUS_DELAYED, TASK_STATUS_QUEUED, TASK_STATUS_STARTED, TT_COROUTINE, TT_MP, TT_THREAD, Task)

__all__ = [
    "ALoop", "TASK_CRITICAL", "TASK_HIGH", "TASK_LOW", "TASK_NORMAL", "TASK_STATUS_CANCELED", "TASK_STATUS_COMPLETED",
    "TASK_STATUS_DELAYED", "TASK_STATUS_QUEUED", "TASK_STATUS_STARTED", "TT_COROUTINE", "TT_MP", "TT_THREAD", "Task",
    "TaskSupervisor", "task_supervisor",
]

OWN_LOOP = "__supervisor__"


class Info:
    """What get_info() says, as attributes."""


class TaskSupervisor:
    """Threads, processes and loops with limits, and everything that runs in them.

    supervisor_id: by default a UUID.  The other arguments are those of set_thread_pool().  timeout_warning and
    timeout_critical are seconds, None for never: a task that has waited so long for its slot is logged and given to
    timeout_warning_func or timeout_critical_func.  daemon: it does not hold the process when the main thread ends.
    """

    def __init__(self, supervisor_id=None, pool_size=None, reserve_normal=5, reserve_high=5):
        self.id = str(uuid.uuid4()) if supervisor_id is None else supervisor_id
        self.poll_delay = 0.1
        self.timeout_warning = 5
        self.timeout_critical = 10
        self.timeout_warning_func = None
        self.timeout_critical_func = None
        self.daemon = False
        self.starts_by_itself = False       # the default supervisor does, until it is stopped
        self.min_size = 0
        self.max_size = None
        self.thread_pool = ThreadPool("supervisor_%s_pool_" % self.id)
        self.processes = Processes(self)
        self.own_loop = ALoop(OWN_LOOP, self, thread_name="supervisor_%s_event_loop" % self.id)
        self.aloops = {}
        self.default_aloop = None
        self.job_schedulers = {}
        self.default_job_scheduler = None
        self.starting = threading.RLock()
        self.slots = {
            TT_THREAD: Slots(5 * (os.cpu_count() or 1) if pool_size is None else pool_size, reserve_normal, reserve_high),
            TT_MP: Slots(0, 0, 0),
        }
        self.forked()
        self.set_thread_pool()
        at_fork(self)

    def forked(self):
        """Nothing runs yet; in a child, not any more."""
        self.starting._at_fork_reinit()
        self.is_active = False      # it takes tasks
        self.stopped = None         # from start() to the end of stop(): set when it is stopped
        self.by_itself = False      # it has started itself, and ends by itself
        for run in getattr(self, "runs", ()):
            run.worker.forked(run)
        self.runs = {}              # runs of workers that have not ended, in the order of their start; no values
        self.tasks = {}             # by id, until they are completed
        self.schedulers = {}        # what register_scheduler() and the like got: their futures, or None
        self.watchers = []          # (condition, latch)
        self.ticking = False        # whether the loop's timer looks after those who wait
        for slots in self.slots.values():
            slots.running.clear()
            slots.send_away()
        self.thread_pool.forked()
        self.thread_pool.keep = self.slots[TT_THREAD].total() if self.max_size is None else self.max_size
        self.processes.forked()
        self.own_loop.forked()
        for scheduler in self.job_schedulers.values():
            scheduler.loop = None
        ending.forked(self)

    # Pools

    thread_pool_size = property(lambda self: self.slots[TT_THREAD].size)
    thread_reserve_normal = property(lambda self: self.slots[TT_THREAD].reserve_normal)
    thread_reserve_high = property(lambda self: self.slots[TT_THREAD].reserve_high)
    mp_pool_size = property(lambda self: self.slots[TT_MP].size)
    mp_reserve_normal = property(lambda self: self.slots[TT_MP].reserve_normal)
    mp_reserve_high = property(lambda self: self.slots[TT_MP].reserve_high)

    def set_thread_pool(self, pool_size=None, reserve_normal=None, reserve_high=None, min_size=None, max_size=None):
        """Change the caps (slots.py) and how many threads stay; None leaves as it is.  Also while it runs.

        min_size: so many threads are there from the start, "max": as many as max_size.  max_size: so many stay when
        they are idle, by default as many as all slots; no more is no limit.  ValueError: min_size is the greater one.
        """
        with LOCK:
            slots = self.slots[TT_THREAD]
            self.check_sizes(slots, pool_size, reserve_normal, reserve_high, min_size, max_size)
            self.resize(slots, pool_size, reserve_normal, reserve_high)
            if min_size is not None:
                self.min_size = min_size
            if max_size is not None:
                self.max_size = max_size
            self.thread_pool.keep = slots.total() if self.max_size is None else self.max_size
            ready = slots.admit()
        for task in ready:
            self.go(task)
        self.thread_pool.shrink()
        if self.is_active:
            self.thread_pool.open(self.daemon, self.least_threads())

    def check_sizes(self, slots, pool_size, reserve_normal, reserve_high, min_size, max_size):
        least = self.min_size if min_size is None else min_size
        most = self.max_size if max_size is None else max_size
        if most is None:
            most = sum(old if new is None else new for old, new in (
                (slots.size, pool_size), (slots.reserve_normal, reserve_normal), (slots.reserve_high, reserve_high)))
        if least != "max" and least > most:
            raise ValueError("min_size %d is greater than max_size %d" % (least, most))

    @staticmethod
    def resize(slots, size, reserve_normal, reserve_high):
        if size is not None:
            slots.size = size
        if reserve_normal is not None:
            slots.reserve_normal = reserve_normal
        if reserve_high is not None:
            slots.reserve_high = reserve_high

    def least_threads(self):
        if NO_LATE_THREADS:
            return self.thread_pool.keep
        return self.thread_pool.keep if self.min_size == "max" else self.min_size

    def set_mp_pool(self, pool_size=0, reserve_normal=0, reserve_high=0):
        """Set the caps of calls in processes; 0: no limit.  Makes a pool if there is none."""
        with LOCK:
            slots = self.slots[TT_MP]
            self.resize(slots, pool_size, reserve_normal, reserve_high)
            ready = slots.admit()
        for task in ready:
            self.go(task)
        if self.processes.pool is None:
            self.processes.make(slots.total() if pool_size else None)

    def create_mp_pool(self, *args, **kwargs):
        """Make a process pool, of the arguments of multiprocessing.Pool.  stop() ends it, start() makes it again."""
        self.processes.make(*args, **kwargs)

    @property
    def mp_pool(self):
        """The multiprocessing.Pool, or None.  One that is assigned stays the program's, which ends it."""
        return self.processes.pool

    @mp_pool.setter
    def mp_pool(self, pool):
        self.processes.give(pool)

    # Life

    @property
    def event_loop(self):
        """The supervisor's own asyncio loop, or None while it does not run."""
        life = self.own_loop.life
        return life and life.loop

    def start(self, daemon=None):
        """Start; returns when it takes tasks.  Does nothing if it runs.  daemon: sets the attribute.

        The process lives until stop() then, unless it is a daemon.  RuntimeError: one of its own threads asks for it
        while it is being stopped.
        """
        self.start_as(daemon, False)

    def start_as(self, daemon, by_itself):
        while True:
            stopped = self.stopped
            if self.is_active or stopped is None:
                break
            if self.is_inside():
                raise RuntimeError("supervisor %s is being stopped" % self.id)
            stopped.wait()
        with self.starting:
            if daemon is not None:
                self.daemon = daemon
            if self.is_active:
                self.by_itself = self.by_itself and by_itself
                return
            self.by_itself = by_itself
            self.own_loop.daemon = self.daemon
            self.own_loop.start()
            try:
                self.thread_pool.open(self.daemon, self.least_threads())
                self.processes.again()
                with LOCK:
                    self.stopped = Latch()
                    self.is_active = True
                    self.ticking = False
                    ending.running.add(self)
                ending.register()
            except BaseException:
                self.own_loop.stop(False)
                self.thread_pool.close()
                raise
            for aloop in list(self.aloops.values()):
                if aloop.starts_with_supervisor:
                    self.run_aloop(aloop)
            for scheduler in list(self.job_schedulers.values()):
                if scheduler.starts_with_supervisor:
                    scheduler.start()
        debug("supervisor %s is started", self.id)

    def need(self):
        """Be started, or RuntimeError."""
        if self.is_active:
            return
        if self.starts_by_itself and self.stopped is None:
            self.start_as(None, True)
        else:
            raise RuntimeError("supervisor %s is not started" % self.id)

    def block(self):
        """Wait until it is stopped."""
        stopped = self.stopped
        if stopped is not None:
            stopped.wait()

    def live_out(self):
        """At the end of the main thread: wait until it is stopped; one that has started itself is stopped when it has
        nothing to do.
        """
        stopped = self.stopped
        if stopped is None:
            return
        if self.by_itself and self.is_active:
            self.wait_for(lambda: self.has_nothing() or not self.is_active or not self.by_itself)
            if self.is_active and self.by_itself:
                self.stop()
        stopped.wait()

    def has_nothing(self):
        return not (self.runs or self.schedulers or self.tasks
                    or any(scheduler.jobs for scheduler in self.job_schedulers.values() if scheduler.is_active()))

    def wait_for(self, condition, timeout=None):
        """Wait until the condition is true, which is asked with LOCK held whenever something has ended."""
        latch = Latch()
        with LOCK:
            if condition():
                return True
            watcher = condition, latch
            self.watchers.append(watcher)
        try:
            return latch.wait(timeout)
        finally:
            with LOCK:
                if watcher in self.watchers:
                    self.watchers.remove(watcher)

    def look(self):
        """Something has ended; LOCK is held."""
        for watcher in list(self.watchers):
            if watcher[0]():
                watcher[1].set()

    def is_inside(self):
        """Whether this thread is one for which stop() waits, or holds a lock that others need to end."""
        if LOCK._is_owned() or self.starting._is_owned() or self.thread_pool.has(threading.current_thread()):
            return True
        loops = [self.own_loop] + list(self.aloops.values())
        with LOCK:
            runs = list(self.runs)
        return (any(loop.is_own_thread() for loop in loops)
                or any(run.is_inside() or run.worker.holds_lock() for run in runs))

    def stop(self, wait=True, stop_schedulers=True, cancel_tasks=False):
        """Take no more tasks, stop jobs, workers and aloops, and end the threads.  Does nothing if it does not run.

        wait: True: for all that runs or waits for a slot; a number: so many seconds, then what waits for a slot is
        cancelled; False: that is cancelled at once.  What runs is never cut off, and holds the process until it is
        over; cancel_tasks cancels coroutines.  stop_schedulers=False: workers end without their hooks.  Called from
        one of its own threads it returns at once, and goes on in another one.
        """
        with LOCK:
            stopped = self.stopped
            if stopped is None:
                return
            mine, self.is_active = self.is_active, False
            self.starts_by_itself = False
            self.look()
        is_inside = self.is_inside()
        if not mine:
            if wait is not False and not is_inside:
                stopped.wait(None if wait is True else wait)
            return
        if not is_inside:
            self.end(wait, stop_schedulers, cancel_tasks)
            return
        try:
            threading.Thread(target=self.end, args=(wait, stop_schedulers, cancel_tasks), daemon=self.daemon,
                             name="supervisor_%s_stop" % self.id).start()
        except RuntimeError:    # the interpreter makes no thread any more
            self.end(False, stop_schedulers, cancel_tasks)

    def end(self, wait, stop_schedulers, cancel_tasks):
        debug("supervisor %s is stopped", self.id)
        if wait is None or wait is not True and wait is not False and wait <= 0:
            wait = False
        deadline = None if wait is True else time.monotonic() + (wait or 0)

        def left():
            return None if deadline is None else max(deadline - time.monotonic(), 0)

        for scheduler in list(self.job_schedulers.values()):
            scheduler.stop()
        aloops = [aloop for aloop in list(self.aloops.values()) if aloop.life is not None]
        self.stop_schedulers(stop_schedulers)
        if cancel_tasks:
            for life in [aloop.life for aloop in [self.own_loop] + aloops]:
                if life is not None:
                    life.loop.call_soon_threadsafe(life.cancel, True)
        with LOCK:
            runs = list(self.runs)
        if wait is not False:
            for run in runs:
                run.wait_ended(left())
            self.wait_for(lambda: all(task.tt == TT_COROUTINE for task in self.tasks.values()), left())
        self.cancel_waiting()
        for aloop in aloops:
            aloop.stop(left() if wait is not False and deadline is not None else wait, cancel_tasks)
        in_processes = [task for task in self.get_tasks(TT_MP).values()]
        rest = functools.partial(self.end_rest, in_processes, wait, cancel_tasks)
        if not in_processes:
            rest()
            return
        # What runs in a process goes on, and this is the thread that waits for it.
        try:
            threading.Thread(target=rest, name="supervisor_%s_stop" % self.id, daemon=self.daemon).start()
        except RuntimeError:    # the interpreter makes no thread any more
            rest()

    def end_rest(self, in_processes, wait, cancel_tasks):
        """The last part of end(): of processes, the supervisor's own loop, and the threads."""
        for task in in_processes:
            task.completed.wait()
        self.own_loop.life.loop.call_soon_threadsafe(self.processes.close_pipe)
        self.processes.take_down()
        self.own_loop.stop(wait, cancel_tasks)
        self.thread_pool.close()
        with LOCK:
            stopped, self.stopped = self.stopped, None
            ending.running.discard(self)
            self.look()
        stopped.set()

    def stop_schedulers(self, with_hooks):
        with LOCK:
            workers = [run.worker for run in self.runs]
            others = list(self.schedulers)
        for scheduler in workers + others if with_hooks else others:
            try:
                scheduler.stop(wait=False)
            except Exception:
                logger.exception("stopping %r", scheduler)
        with LOCK:
            runs = list(self.runs)
        for run in runs:
            run.worker.quit(run)
        for scheduler in others:
            self.unregister_scheduler(scheduler)

    def cancel_waiting(self):
        """Cancel the tasks that have no slot, or wait for their delay to end."""
        with LOCK:
            gone = [task for slots in self.slots.values() for task in slots.send_away()]
            gone += [task for task in self.tasks.values() if task.status == TASK_STATUS_DELAYED]
        for task in gone:
            self.cancel(task)

    def cancel(self, task):
        if self.complete(task, status=TASK_STATUS_CANCELED) and task.given_up is not None:
            task.given_up()

    # Tasks

    def put_task(self, target, args=(), kwargs=None, callback=None, priority=TASK_NORMAL, delay=None, tt=TT_THREAD,
                 task_id=None, worker=None):
        """Call target(*args, _task_id=id, **kwargs) as soon as there is a slot; returns its Task, or None if the
        supervisor does not run.

        tt: in a thread or in a process; there, callback(result) is called here afterwards.  delay: seconds between
        having the slot and the call.  Target or callback says by mark_task_completed() when it is over, for the slot
        stays taken until then; a call that raises is logged and is over.  A coroutine function's coroutine (TT_COROUTINE)
        runs in the default aloop, or in the supervisor's own loop, and is over at its end.
        """
        if not self.is_active:
            return None
        kwargs = dict(kwargs or {})
        if tt == TT_COROUTINE:
            return (self.default_aloop or self.own_loop).background_task(target(*args, **kwargs), delay, callback)
        task = Task(tt, target, args, kwargs, callback, priority, delay, task_id, worker)
        kwargs["_task_id"] = task.id
        if tt == TT_THREAD:
            task.job = self.call_target
        else:
            task.send = functools.partial(self.send_call, done=self.target_has_ended)
        return task if self.enter(task) else None

    def call_target(self, task):
        try:
            result = task.target(*task.args, **task.kwargs)
            if not task.is_completed():
                task.result = result
            if task.callback is not None:
                task.callback(result)
        except BaseException:
            logger.exception("task %s", task.id)
            self.complete(task)

    def target_has_ended(self, task, is_result, result):
        if not is_result:
            logger.error("task %s", task.id, exc_info=result)
            self.complete(task)
        elif task.callback is None:
            self.complete(task, result)
        else:
            task.result = result
            try:
                task.callback(result)
            except BaseException:
                logger.exception("callback of task %s", task.id)
                self.complete(task, result)

    def send_call(self, task, done):
        """Have a process call the task's target; done(task, whether it is a result, the result or exception)."""
        try:
            if self.processes.pool is None:
                raise RuntimeError("supervisor %s has no process pool: create_mp_pool() makes one" % self.id)
            self.processes.call(task.id, task.target, task.args, task.kwargs, functools.partial(done, task))
        except Exception as error:
            failure = error
            self.thread_pool.spawn(lambda: done(task, False, failure))

    def enter(self, task, of_run=False, here=False):
        """Take a task that has its `job` or `send`, and begin it if it gets a slot.

        Returns False if the supervisor takes no more; a run that ends may still call its executor (of_run).  With
        here, in a thread of the pool: returns the thread's next job or None.
        """
        with LOCK:
            if not self.is_active and not (of_run and self.stopped is not None):
                return False
            self.tasks[task.id] = task
            has_slot = self.slots[task.tt].take(task)
            if not has_slot:
                task.is_late = True
                self.tick_soon()
        if has_slot and here:
            return functools.partial(self.on_thread, task)
        if has_slot:
            self.go(task)
        return None if here else True

    def enter_uncapped(self, task):
        """Begin a task in a thread of its own, whether there is room or not.  RuntimeError: no thread is to be had."""
        with LOCK:
            if not self.is_active:
                raise RuntimeError("supervisor %s is not started" % self.id)
            self.tasks[task.id] = task
            self.slots[TT_THREAD].hold(task)
        try:
            self.thread_pool.spawn(functools.partial(self.on_thread, task), own=True)
        except BaseException:
            self.complete(task)
            raise

    def coroutine_comes(self, task):
        with LOCK:
            self.tasks[task.id] = task

    def go(self, task):
        """The task has its slot: begin it, after its delay."""
        if task.delay:
            task.status = TASK_STATUS_DELAYED
            loop = self.event_loop
            loop.call_soon_threadsafe(loop.call_later, task.delay, self.go_on, task)
        else:
            self.go_on(task)

    def go_on(self, task):
        if task.is_completed():
            return      # cancelled meanwhile
        if task.tt == TT_THREAD:
            self.thread_pool.spawn(functools.partial(self.on_thread, task))
        else:
            self.begin(task)
            task.send(task)

    def on_thread(self, task):
        thread = threading.current_thread()
        thread.name = task.id
        self.begin(task)
        return task.job(task)

    def begin(self, task):
        task.status = TASK_STATUS_STARTED
        task.time_started = time.time()
        task.started.set()
        if task.is_late and not task.delay:
            self.tell_of_wait(task, time.monotonic())

    def complete(self, task, result=None, status=TASK_STATUS_COMPLETED):
        """The task is over, and its slot free; returns False if it was over before."""
        with LOCK:
            if self.tasks.pop(task.id, None) is None:
                return False
            task.status = status
            if result is not None:
                task.result = result
            slots = self.slots.get(task.tt)
            ready = slots.give_back(task) if slots is not None else ()
            if self.watchers:
                self.look()
        task.completed.set()
        for other in ready:
            self.go(other)
        return True

    def mark_task_completed(self, task=None, task_id=None):
        """The target of a put_task() is done; returns True.  LookupError: there is no such task any more."""
        found = self.tasks.get(task.id if task is not None else task_id)
        if found is None or not self.complete(found):
            raise LookupError("supervisor %s has no task %s" % (self.id, task.id if task is not None else task_id))
        return True

    def get_task(self, task_id):
        """The task, or None when it is completed."""
        return self.tasks.get(task_id)

    def get_tasks(self, tt=None):
        """The tasks that are not completed, by id; of one kind or all."""
        with LOCK:
            return {task.id: task for task in self.tasks.values() if tt is None or task.tt == tt}

    # Those who wait too long

    def timeouts(self):
        return (("warning", self.timeout_warning, logger.warning, self.timeout_warning_func),
                ("critical", self.timeout_critical, logger.critical, self.timeout_critical_func))

    def tell_of_wait(self, task, now):
        waited = now - task.waits_since
        for word, timeout, log, function in self.timeouts():
            if timeout is not None and waited >= timeout and word not in task.told:
                task.told.add(word)
                log("task %s of supervisor %s has waited for %.1f s", task.id, self.id, waited)
                if function is not None:
                    try:
                        function(task)
                    except Exception:
                        logger.exception("timeout_%s_func", word)

    def tick_soon(self):
        """A task waits; LOCK is held."""
        loop = self.event_loop
        if not self.ticking and loop is not None:
            self.ticking = True
            loop.call_soon_threadsafe(self.tick)

    def tick(self):
        """In the loop, while tasks wait: tell of those that wait too long, and come back for the next one."""
        with LOCK:
            waiting = [task for slots in self.slots.values() for task in slots.in_line()]
            if not waiting:
                self.ticking = False
                return
        now = time.monotonic()
        nexts = []
        for task in waiting:
            self.tell_of_wait(task, now)
            nexts += [task.waits_since + timeout for word, timeout, _, _ in self.timeouts()
                      if timeout is not None and word not in task.told]
        if nexts:
            asyncio.get_running_loop().call_later(max(min(nexts) - time.monotonic(), 0.001), self.tick)
        else:
            # Whoever comes to wait later starts the timer again.
            self.ticking = False

    # What there is

    def get_info(self, tt=None, aloops=True, schedulers=True, async_job_schedulers=True):
        """An object whose attributes say what there is.  tt: of threads or processes only; False: numbers only."""
        info = Info()
        with LOCK:
            info.id = self.id
            info.active = self.is_active
            info.started = self.stopped is not None
            for kind, name in (TT_THREAD, "thread"), (TT_MP, "mp"):
                if tt not in (None, False, kind):
                    continue
                slots = self.slots[kind]
                if kind == TT_THREAD or self.processes.pool is not None:
                    setattr(info, name + "_pool_size", slots.size)
                    setattr(info, name + "_reserve_normal", slots.reserve_normal)
                    setattr(info, name + "_reserve_high", slots.reserve_high)
                if tt is not False:
                    setattr(info, name + "_tasks", list(slots.running))
                setattr(info, name + "_tasks_count", len(slots.running))
        if tt is not False:
            info.tasks = self.get_tasks(tt)
        if aloops:
            info.aloops = self.get_aloops()
        if schedulers:
            info.schedulers = self.get_schedulers()
        if async_job_schedulers:
            info.async_job_schedulers = dict(self.job_schedulers)
        return info

    # Schedulers: workers, and what a program brings that is like one

    def run_begins(self, run):
        """A worker is started; RuntimeError if the supervisor does not run."""
        with LOCK:
            if not self.is_active:
                raise RuntimeError("supervisor %s is not started" % self.id)
            self.runs[run] = None

    def run_has_ended(self, run):
        with LOCK:
            self.runs.pop(run, None)
            self.look()

    def get_schedulers(self):
        """The active workers and the other schedulers, as keys; the values are their futures or None."""
        with LOCK:
            found = {run.worker: None for run in self.runs if not run.stopping}
            found.update(self.schedulers)
        return found

    def register_scheduler(self, scheduler):
        """Run scheduler.loop(), a coroutine function, until it ends; stop() calls scheduler.stop(wait=...).

        It runs in scheduler.worker_loop (an asyncio loop or ALoop) if there is one, else in the supervisor's loop.
        Returns False if the supervisor does not run.
        """
        if not self.is_active:
            return False
        loop = getattr(scheduler, "worker_loop", None) or self.own_loop
        if isinstance(loop, ALoop):
            loop = loop.need_loop()
        with LOCK:
            future = asyncio.run_coroutine_threadsafe(self.run_scheduler(scheduler), loop)
            self.schedulers[scheduler] = future
            future.add_done_callback(lambda _future: self.unregister_scheduler(scheduler))
        return True

    async def run_scheduler(self, scheduler):
        try:
            await scheduler.loop()
        except asyncio.CancelledError:
            raise
        except BaseException:
            logger.exception("scheduler %r", scheduler)

    def register_sync_scheduler(self, scheduler):
        """Have stop() call scheduler.stop(wait=...); it runs by itself.  False if the supervisor does not run."""
        with LOCK:
            if not self.is_active:
                return False
            self.schedulers[scheduler] = None
        return True

    def unregister_scheduler(self, scheduler):
        """Returns whether it was there."""
        with LOCK:
            found = scheduler in self.schedulers
            self.schedulers.pop(scheduler, None)
            self.look()
        return found

    unregister_sync_scheduler = unregister_scheduler

    # Loops

    def create_aloop(self, name, daemon=False, start=True, default=False):
        """Make an ALoop, which starts now or with the supervisor; returns it, False if there is one of that name."""
        if name == OWN_LOOP:
            raise RuntimeError("the name %s is the supervisor's own loop's" % name)
        with LOCK:
            if name in self.aloops:
                logger.error("supervisor %s has an aloop %s already", self.id, name)
                return False
            aloop = self.aloops[name] = ALoop(name, self, daemon)
            aloop.starts_with_supervisor = start
            if default:
                self.default_aloop = aloop
        if start and self.is_active:
            self.run_aloop(aloop)
        return aloop

    def run_aloop(self, aloop):
        aloop.daemon = aloop.daemon or self.daemon
        aloop.start()

    def known_aloop(self, name):
        aloop = self.aloops.get(name)
        if aloop is None:
            logger.error("supervisor %s has no aloop %s", self.id, name)
        return aloop

    def start_aloop(self, name):
        """Start it, or have it start with the supervisor; returns False if there is none."""
        aloop = self.known_aloop(name)
        if aloop is None:
            return False
        aloop.starts_with_supervisor = True
        if self.is_active:
            self.run_aloop(aloop)
        return True

    def stop_aloop(self, name, wait=True, cancel_tasks=False):
        """Stop it as ALoop.stop() does; returns False if there is none."""
        aloop = self.known_aloop(name)
        if aloop is None:
            return False
        aloop.starts_with_supervisor = False
        aloop.stop(wait, cancel_tasks)
        return True

    def get_aloop(self, name=None):
        """The aloop of a name, or the default one; None if there is none."""
        return self.default_aloop if name is None else self.aloops.get(name)

    def get_aloops(self):
        with LOCK:
            return dict(self.aloops)

    def set_default_aloop(self, aloop):
        """An ALoop, or the name of one."""
        self.default_aloop = self.aloops[aloop] if isinstance(aloop, str) else aloop

    # Jobs

    def create_async_job_scheduler(self, name, aloop=None, start=True, default=False):
        """Make a scheduler of jobs in an ALoop (or the name of one; by default the supervisor's loop), which starts
        now or with the supervisor; returns it, False if there is one of that name.
        """
        if isinstance(aloop, str):
            aloop = self.aloops[aloop]
        with LOCK:
            if name in self.job_schedulers:
                logger.error("supervisor %s has a job scheduler %s already", self.id, name)
                return False
            scheduler = self.job_schedulers[name] = AsyncJobScheduler(name, self, aloop)
            scheduler.starts_with_supervisor = start
            if default:
                self.default_job_scheduler = scheduler
        if start and self.is_active:
            scheduler.start()
        return scheduler

    def get_job_scheduler(self, scheduler):
        if scheduler is None:
            found = self.default_job_scheduler
        elif isinstance(scheduler, AsyncJobScheduler):
            found = scheduler
        else:
            found = self.job_schedulers.get(scheduler)
        if found is None:
            raise LookupError("supervisor %s has no job scheduler %s" % (
                self.id, "that is the default" if scheduler is None else scheduler))
        return found

    def create_async_job(self, scheduler=None, target=None, args=(), kwargs=None, interval=0, timer=0, number=0):
        """Have a coroutine function called again and again (jobs.AsyncJob); returns the job.

        scheduler: its name, the object, or None for the default one.
        """
        if self.starts_by_itself and self.stopped is None:
            self.need()
        scheduler = self.get_job_scheduler(scheduler)
        return scheduler.add(AsyncJob(scheduler, target, args, kwargs, interval, timer, number))

    def cancel_async_job(self, scheduler=None, job=None):
        """No call of the job begins any more; returns whether there was one to cancel."""
        return job is not None and self.get_job_scheduler(scheduler or job.scheduler).remove(job)


task_supervisor = TaskSupervisor("default")
task_supervisor.starts_by_itself = True

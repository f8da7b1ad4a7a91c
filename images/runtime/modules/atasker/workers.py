"""Workers: an executor that is called again and again, and what it waits for in between.

    BackgroundWorker            a sync executor in a thread of its own, without a pause
    BackgroundAsyncWorker       an async executor in a loop, poll_delay seconds between two calls
    BackgroundQueueWorker       a call for each item of a queue
    BackgroundEventWorker       a call for each event
    BackgroundIntervalWorker    a call every so often

The executor is a function that is given (func), or the method run.  Where it is a coroutine function, it runs in an
asyncio loop; where run is static and the supervisor has a process pool, in one of its processes; otherwise in a
thread of the pool, for each call a task.  One that returns False stops its worker.  One that raises goes to on_error
or is logged, and the worker goes on.

start() and stop() may be called from anywhere.  Hooks are called by the thread that starts or stops, with
start_stop_lock held, in the order before_start, after_start, before_stop, after_stop.
"""

import asyncio
import collections.abc
import functools
import inspect
import sys
import threading
import uuid
from collections import deque

from . import supervisor as supervisors
from .aloop import ALoop
from .latch import LOCK, Latch
from .log import debug, logger
from .pace import Pace
from .run import Run, running_loop
from .task import TASK_NORMAL, TT_MP, TT_THREAD, Task

PREFIX = "_background_worker_"
# So many calls in a row of an executor that never waits, until others in its loop have a turn.
CALLS_IN_A_ROW = 32

NOTHING = object()      # there is no item

# Whoever has the workers of this process in its hands (_sandboxd_service/background.py), or None: what it has is as
# its class Supervision; the worker that it supervises has a _feed.
supervision = None


def is_async(function):
    """Whether calling it makes a coroutine."""
    while isinstance(function, functools.partial):
        function = function.func
    return inspect.iscoroutinefunction(function) or (
        not inspect.isroutine(function) and inspect.iscoroutinefunction(getattr(type(function), "__call__", None)))


class Done(collections.abc.Coroutine):
    """What put() and trigger() return: all is done already, but it may be awaited or given to a loop."""

    def send(self, value):
        raise StopIteration

    def throw(self, kind, value=None, trace=None):
        raise kind if value is None else value

    def close(self):
        pass

    def __await__(self):
        return iter(())


class BackgroundWorker:
    """Calls a sync executor in a thread of its own, again and again without a pause.

    name: by default the function's, or a UUID.  func: the executor, by default self.run.  o: handed to the executor.
    on_error(**on_error_kwargs) is called while an exception of the executor's is handled (sys.exc_info() has it).
    supervisor: by default task_supervisor.  Keywords that are not known are ignored.
    """

    _is_worker = True
    _feed = None

    def __init__(self, name=None, executor_func=None, func=None, priority=TASK_NORMAL, o=None, on_error=None,
                 on_error_kwargs=None, supervisor=None, poll_delay=None, loop=None, **kwargs):
        executor = func or executor_func
        self._executor_given = executor
        self._is_async = is_async(executor or self.run)
        self._run_in_mp = (executor is None and not self._is_async
                           and isinstance(inspect.getattr_static(type(self), "run", None), staticmethod))
        self.set_name(name or getattr(executor, "__name__", None) or str(uuid.uuid4()))
        self.priority = priority
        self.o = o
        self.on_error = on_error
        self.on_error_kwargs = on_error_kwargs
        self.supervisor = supervisors.task_supervisor if supervisor is None else supervisor
        self.poll_delay = self.supervisor.poll_delay if poll_delay is None else poll_delay
        self.start_stop_lock = threading.RLock()
        self.aloop = None           # the ALoop and the asyncio loop of the executor, after start
        self.executor_loop = None
        self._loop_given = loop
        self._loop_warned = False
        self._current = None        # the last Run

    def run(self, *args, **kwargs):
        """The executor of a class that has one."""
        raise NotImplementedError("worker %s has neither a function nor a method run" % self.name)

    def process_result(self, result):
        """Called here with what a static executor has returned; False stops the worker."""

    def before_start(self):
        """Hook: called by start() first."""

    def after_start(self):
        """Hook: called by start() last."""

    def before_stop(self):
        """Hook: called when the worker is stopped, while it still counts as active."""

    def after_stop(self):
        """Hook: called when it is stopped; if stop() waits, after the executor's end."""

    def send_stop_events(self):
        """Hook: called within a stop, between before_stop and after_stop, for what an executor may wait for."""

    def set_name(self, name):
        self.name = PREFIX + name

    def __repr__(self):
        return "<%s %s>" % (type(self).__name__, self.name)

    # State

    def is_active(self):
        run = self._current
        return run is not None and not run.stopping and not run.ended.is_set()

    def is_started(self):
        run = self._current
        return run is not None and run.started.is_set() and not run.ended.is_set()

    def is_stopped(self):
        run = self._current
        return run is not None and run.ended.is_set()

    def holds_lock(self):
        """Whether this thread, perhaps in the function that a signal has interrupted, holds a lock of the worker."""
        return self.start_stop_lock._is_owned()

    def forked(self, run):
        """In a forked child: nothing runs here."""
        self._current = None
        self.start_stop_lock._at_fork_reinit()

    # Start

    def start(self, *args, **kwargs):
        """Start; returns True when it runs, False if it is active.  The arguments are handed to every executor.

        _name and o stand for this run; _priority, _loop, _interval, _delay and _delay_before stay.  RuntimeError:
        the supervisor is not started, or the loop does not run.
        """
        if supervision is not None:
            answer = supervision.starting(self, args, kwargs)
            if answer is not None:
                return answer
        self.supervisor.need()
        with LOCK:
            old = self._current
            if self.is_active():
                return False
            self.override(kwargs)
            run = self._current = self.new_run(old, args, kwargs)
        try:
            with self.start_stop_lock:
                self.before_start()
            self.supervisor.run_begins(run)
            self.launch(run)
        except BaseException:
            run.claimed = run.opened = True
            self.run_is_over(run)
            raise
        if not (run.is_inside() or old is not None and not old.ended.is_set() and old.is_inside()):
            if run.loop is None or run.life is not None or run.loop.is_running():
                run.started.wait()
        try:
            with self.start_stop_lock:
                self.after_start()
        finally:
            with LOCK:
                run.opened = True
                due = run.hooks_due
            if due:
                # Somebody has stopped it meanwhile.
                self.hooks_of_stop()
        debug("%r is started", self)
        return True

    def override(self, kwargs):
        """Take what stays of the arguments of start()."""
        if kwargs.get("_priority") is not None:
            self.priority = kwargs["_priority"]
        if kwargs.get("_loop") is not None:
            self._loop_given = kwargs["_loop"]

    def new_run(self, old, args, kwargs):
        previous = None if old is None or old.ended.is_set() else old
        executor = self._executor_given or self.run
        run = Run(self, previous, self.supervisor, args, dict(kwargs), self.priority, executor)
        run.is_async = self._is_async
        run.in_pool = self._run_in_mp and self.supervisor.mp_pool is not None
        run.kwargs.setdefault("_name", self.name)
        run.kwargs.setdefault("o", self.o)
        if not run.in_pool:
            run.kwargs["_worker"] = self
        if previous is not None:
            previous.successor = run
        return run

    def launch(self, run):
        run.task = Task(TT_THREAD, worker=self, priority=run.priority)
        run.task.job = functools.partial(self.live, run)
        self.supervisor.enter_uncapped(run.task)

    def live(self, run, task):
        """The whole run, in its thread."""
        if run.previous is not None:
            run.previous.ended.wait()
        run.started.set()
        run.thread = threading.get_ident()
        kwargs = dict(run.kwargs, _task_id=task.id)
        try:
            while not run.stopping:
                go_on = self.call_and_wait(run) if run.in_pool else self.call(run, (), kwargs)
                if not go_on:
                    break
        finally:
            run.thread = None
            self.supervisor.complete(task)
            self.run_is_over(run)

    def call_and_wait(self, run):
        outcome = []
        latch = Latch()

        def done(go_on):
            outcome.append(go_on)
            latch.set()

        self.put_process(run, (), done)
        latch.wait()
        return outcome[0]

    # Stop

    def stop(self, wait=True):
        """Stop; a call of the executor that is under way ends as it does.

        wait: until it has; but from the executor, the thread of its loop or a hook this does not wait.
        """
        run = self._current
        if run is None:
            return
        mine = self.claim(run)
        if mine:
            self.first_hooks_of_stop(run)
        if wait and not run.is_inside() and not self.holds_lock():
            run.wait_ended()
        if mine:
            with self.start_stop_lock:
                self.after_stop()
            debug("%r is stopped", self)

    def claim(self, run):
        """Returns whether the caller is the one to run the hooks of the stop."""
        with LOCK:
            if run.claimed or run.ended.is_set():
                return False
            run.claimed = True
            if run.opened:
                return True
            # start() has not run its last hook yet, and runs those of the stop then.
            run.hooks_due = True
            run.stopping = True
        run.wake.ring()
        return False

    def first_hooks_of_stop(self, run):
        try:
            with self.start_stop_lock:
                self.before_stop()
                self.send_stop_events()
        finally:
            self.quit(run)

    def hooks_of_stop(self):
        with self.start_stop_lock:
            self.before_stop()
            self.send_stop_events()
            self.after_stop()

    def leave(self, run):
        """Stop, in the executor's thread: it has returned False, or the run is cut off."""
        if self.claim(run):
            try:
                self.first_hooks_of_stop(run)
                with self.start_stop_lock:
                    self.after_stop()
            except BaseException:
                logger.exception("a hook of %r", self)

    def quit(self, run):
        """No executor begins any more; without hooks."""
        run.stopping = True
        run.wake.ring()

    def run_is_over(self, run):
        """The last executor of the run has ended."""
        run.started.set()
        self.leave(run)
        run.stopping = True
        self.supervisor.run_has_ended(run)
        if run.life is not None:
            run.life.lives.pop(run.task, None)
        run.ended.set()
        with LOCK:
            successor = run.successor
        if successor is not None:
            successor.wake.ring()

    def restart(self, *args, **kwargs):
        """Stop, and start with these arguments once the old run is over."""
        self.stop()
        return self.start(*args, **kwargs)

    # The executor

    def call(self, run, first, kwargs):
        """Call a sync executor in this thread; returns whether to go on."""
        verdict = None
        if self._feed is not None:
            kwargs.update(self._feed.extras())
        try:
            result = run.executor(*first, *run.args, **kwargs)
            if self._run_in_mp:
                verdict = self.process_result(result)
        except BaseException as error:
            self.failed()
            self.call_ended(error)
            return True
        self.call_ended(None, result is False or verdict is False)
        return self.goes_on(run, result, verdict)

    def call_ended(self, error, stop=False):
        """A call of the executor has ended, with what it has returned processed."""
        if self._feed is not None:
            self._feed.ended(error, stop)

    def goes_on(self, run, result, verdict=None):
        if result is False or verdict is False:
            self.leave(run)
            return False
        return True

    def failed(self):
        """An exception of the executor's is being handled; returns what on_error returns."""
        try:
            if self.on_error is not None:
                return self.on_error(**(self.on_error_kwargs or {}))
            logger.exception("worker %s", self.name)
        except BaseException:
            logger.exception("on_error of worker %s", self.name)
        return None

    def put_process(self, run, first, done):
        """Have a process call the executor; done(whether to go on) is called in a thread of the pool."""
        task = Task(TT_MP, run.executor, first + run.args, dict(run.kwargs), worker=self, priority=run.priority)
        task.kwargs["_task_id"] = task.id
        if self._feed is not None:
            task.kwargs.update(self._feed.extras())
        task.send = functools.partial(self.supervisor.send_call, done=functools.partial(self.process_done, run, done))
        task.given_up = functools.partial(self.give_up, run, first, done)
        if not self.supervisor.enter(task, of_run=True):
            task.given_up()

    def process_done(self, run, done, task, is_result, result):
        thread, run.thread = run.thread, threading.get_ident()
        verdict = None
        try:
            if not is_result:
                raise result
            verdict = self.process_result(result)
        except BaseException as error:
            self.failed()
            self.call_ended(error)
            go_on = True
        else:
            self.call_ended(None, result is False or verdict is False)
            go_on = self.goes_on(run, result, verdict)
        run.thread = thread
        self.supervisor.complete(task)
        done(go_on)

    def give_up(self, run, first, done):
        """A call was cancelled before it began: the supervisor is stopped."""
        self.quit(run)
        done(True)


class BackgroundAsyncWorker(BackgroundWorker):
    """Calls an async executor in an asyncio loop, poll_delay seconds after the end of the last call.

    loop: an asyncio loop, an ALoop or the name of one; by default the supervisor's default ALoop, else its own loop.
    """

    def launch(self, run):
        run.loop, run.life = self.find_loop(run)
        self.executor_loop = run.loop
        with LOCK:
            # Under the lock, so that the coroutine is in the loop before the loop begins to end.
            if run.life is not None and run.life.closing:
                raise RuntimeError("the loop of worker %s is not active" % self.name)
            run.loop.call_soon_threadsafe(self.begin, run)

    def find_loop(self, run):
        """The run's asyncio loop, and its LoopThread if it is one of ours."""
        wanted = self._loop_given
        self.aloop = None
        if not run.is_async:
            # Where it waits is no matter of the program's, and must outlive its loops.
            aloop = self.supervisor.own_loop
        elif wanted is None:
            self.aloop = aloop = self.supervisor.default_aloop
            if aloop is None:
                aloop = self.supervisor.own_loop
                if not self._loop_warned:
                    self._loop_warned = True
                    logger.warning("worker %s runs in the supervisor's loop: give it one with loop=, or create_aloop()",
                                   self.name)
        elif isinstance(wanted, (str, ALoop)):
            self.aloop = aloop = self.supervisor.get_aloop(wanted) if isinstance(wanted, str) else wanted
            if aloop is None:
                raise RuntimeError("worker %s: there is no aloop %s" % (self.name, wanted))
        else:
            return wanted, None
        life = aloop.life
        aloop.need_loop()
        return life.loop, life

    def begin(self, run):
        """In the loop."""
        run.task = run.loop.create_task(self.live(run))
        # Not at the end of live(), of which no line runs when it is cancelled before its first step.
        run.task.add_done_callback(lambda _task: self.run_is_over(run))
        if run.life is not None:
            run.life.lives[run.task] = run

    async def live(self, run):
        """The whole run, in its loop."""
        try:
            while run.previous is not None and not run.previous.ended.is_set():
                await run.wake.wait(run.loop)
            run.started.set()
            await self.cycle(run)
        except asyncio.CancelledError:
            raise
        except BaseException:
            logger.exception("worker %s has ended", self.name)

    async def cycle(self, run):
        while not run.stopping:
            if not await self.once(run):
                break
            await self.pause(run, run.loop.time() + self.poll_delay)

    async def pause(self, run, until):
        """Wait until that time of the loop, or until the run's wake is rung."""
        if run.loop.time() < until:
            await run.wake.wait(run.loop, until)
        else:
            await asyncio.sleep(0)

    async def once(self, run, *first):
        """Call the executor; returns whether to go on."""
        if not run.is_async:
            return await self.wait_for_call(run, first)
        kwargs = run.kwargs if self._feed is None else dict(run.kwargs, **self._feed.extras())
        try:
            result = await run.executor(*first, *run.args, **kwargs)
        except asyncio.CancelledError as error:
            if self.is_cut_off(run):
                raise
            await self.failed_here()
            self.call_ended(error)
            return True
        except BaseException as error:
            await self.failed_here()
            self.call_ended(error)
            return True
        self.call_ended(None, result is False)
        return self.goes_on(run, result)

    @staticmethod
    def is_cut_off(run):
        """Whether the run's own coroutine was cancelled, and not one for which the executor has waited."""
        task = asyncio.current_task()
        if hasattr(task, "cancelling"):
            return run.cancelled or task.cancelling() > 0
        return run.cancelled or run.life is None    # up to Python 3.10 nobody can tell

    async def failed_here(self):
        answer = self.failed()
        if inspect.isawaitable(answer):
            try:
                await answer
            except Exception:
                logger.exception("on_error of worker %s", self.name)

    async def wait_for_call(self, run, first, more=None):
        """Have a thread or a process call the executor, and wait for it.  more: put_thread()."""
        loop = run.loop
        future = loop.create_future()

        def done(go_on):
            loop.call_soon_threadsafe(future.set_result, go_on)

        if run.in_pool:
            self.put_process(run, first, done)
        else:
            self.put_thread(run, first, done, more)
        return await future

    def put_thread(self, run, first, done, more):
        """Have a thread call the executor; done(whether to go on) is called there.

        more(run): where it returns another item, and not NOTHING, that is a task too, and nobody is told before.
        """
        task = self.thread_task(run, first, done, more)
        if not self.supervisor.enter(task, of_run=True):
            task.given_up()

    def thread_task(self, run, first, done, more):
        task = Task(TT_THREAD, run.executor, worker=self, priority=run.priority)
        task.job = functools.partial(self.on_thread, run, first, done, more)
        task.given_up = functools.partial(self.give_up, run, first, done)
        return task

    def on_thread(self, run, first, done, more, task):
        """Returns the thread's next job."""
        run.thread = threading.get_ident()
        go_on = self.call(run, first, dict(run.kwargs, _task_id=task.id))
        run.thread = None
        self.supervisor.complete(task)
        if go_on and more is not None:
            item = more(run)
            if item is not NOTHING:
                task = self.thread_task(run, (item,), done, more)
                job = self.supervisor.enter(task, of_run=True, here=True)
                if job is not False:
                    return job
                task.given_up()
                return None
        done(go_on)
        return None

    def fill(self, run):
        """Give None to what the executor wants without saying so by a default: the text's event executor is
        def f(task, **kwargs).
        """
        try:
            parameters = list(inspect.signature(run.executor).parameters.values())
        except (TypeError, ValueError):
            return
        given = len(run.args)
        for parameter in parameters[given:]:
            if parameter.default is not parameter.empty or parameter.name in run.kwargs:
                continue
            if parameter.kind == parameter.POSITIONAL_ONLY:
                run.args += (None,)
            elif parameter.kind == parameter.POSITIONAL_OR_KEYWORD and parameter.name != "_task_id":
                run.kwargs[parameter.name] = None


class BackgroundQueueWorker(BackgroundAsyncWorker):
    """Calls the executor with each item of a queue, in the queue's order.

    q or queue: the class of the queue, asyncio.Queue by default, or one that has its put_nowait() and get_nowait().
    What was put before the start, or is left at the stop, stays for the next run.
    """

    def __init__(self, name=None, executor_func=None, q=None, queue=None, **kwargs):
        BackgroundAsyncWorker.__init__(self, name, executor_func, **kwargs)
        wanted = q or queue
        self._queue_class = asyncio.Queue if wanted in (None, False, True) else wanted
        self._queue = None
        self._put = None                # the queue's own put_nowait
        self._queue_lock = threading.RLock()
        self._overflow = deque()        # for which a queue with maxsize has no room yet
        self._returned = deque()        # which were taken, but never executed

    def holds_lock(self):
        return self._queue_lock._is_owned() or BackgroundAsyncWorker.holds_lock(self)

    def forked(self, run):
        self._queue_lock._at_fork_reinit()
        BackgroundAsyncWorker.forked(self, run)

    def before_queue_get(self):
        """Hook: called before each item, in the loop; may be a coroutine function."""

    def after_queue_get(self, item):
        """Hook: called with each item before the executor, in the loop; may be a coroutine function."""

    def get_queue_obj(self):
        """The queue.  What is put into it directly is as good as put()."""
        with self._queue_lock:
            if self._queue is None:
                queue = self.make_queue()
                self._put = queue.put_nowait
                try:
                    queue.put_nowait = self.put_threadsafe
                except AttributeError:
                    pass    # it has slots; then only put() of the worker wakes it
                self._queue = queue
            return self._queue

    def make_queue(self):
        if sys.version_info >= (3, 10):
            return self._queue_class()
        # Python 3.9's binds the loop of the thread that makes it, and would make one for that.
        before = asyncio._get_running_loop()
        asyncio._set_running_loop(NoLoop)
        try:
            return self._queue_class()
        finally:
            asyncio._set_running_loop(before)

    def put_threadsafe(self, item):
        """Put an item; from anywhere, at once."""
        if supervision is not None and supervision.put(self, item):
            return
        self._put_here(item)

    def _put_here(self, item):
        """Put an item that stays in this process."""
        with self._queue_lock:
            self.get_queue_obj()
            self._overflow.append(item)
            self.move_overflow()
        run = self._current
        if run is not None:
            run.wake.ring()

    def put(self, item):
        """As put_threadsafe(); what it returns may be awaited, and need not be."""
        self.put_threadsafe(item)
        return Done()

    def _hand_over(self):
        """What was put before anybody had the queue goes to whoever has it now."""
        items = []
        with self._queue_lock:
            while self.get_queue_obj().qsize() or self._overflow:
                self.move_overflow()
                items.append(self._queue.get_nowait())
        for item in items:
            self.put_threadsafe(item)

    def move_overflow(self):
        while self._overflow:
            try:
                self._put(self._overflow[0])
            except asyncio.QueueFull:
                return
            except BaseException:
                self._overflow.popleft()    # an item that the queue does not take
                raise
            self._overflow.popleft()

    def take(self, run):
        """The next item, or NOTHING; also when the run is to end."""
        with self._queue_lock:
            if run.stopping:
                return NOTHING
            if self._returned:
                return self._returned.popleft()
            if self._feed is not None and not self._queue.qsize():
                return self._feed.take(NOTHING)
            try:
                item = self._queue.get_nowait()
            except asyncio.QueueEmpty:
                return NOTHING
            if self._overflow:
                self.move_overflow()
            return item

    def give_up(self, run, first, done):
        with self._queue_lock:
            if self._feed is not None and self._feed.current is not None:
                self._feed.unbegun()
            else:
                self._returned.extend(first)
        BackgroundAsyncWorker.give_up(self, run, first, done)

    def has_hooks(self):
        own = BackgroundQueueWorker
        return (type(self).before_queue_get is not own.before_queue_get
                or type(self).after_queue_get is not own.after_queue_get
                or not {"before_queue_get", "after_queue_get"}.isdisjoint(self.__dict__))

    async def cycle(self, run):
        queue = self.get_queue_obj()
        if sys.version_info < (3, 10):
            for part in queue, getattr(queue, "_finished", None):
                if getattr(part, "_loop", None) is NoLoop:
                    part._loop = run.loop
        has_hooks = self.has_hooks()
        # Then items are taken in the thread that has executed the one before.
        more = None if has_hooks or run.is_async or run.in_pool or getattr(queue, "_maxsize", 0) else self.take
        calls = 0
        while not run.stopping:
            if has_hooks:
                await self.hook(self.before_queue_get)
            item = await self.next_item(run)
            if item is NOTHING:
                break
            if has_hooks:
                await self.hook(self.after_queue_get, item)
            if more is not None:
                go_on = await self.wait_for_call(run, (item,), more)
            else:
                go_on = await self.once(run, item)
            if not go_on:
                break
            calls += 1
            if calls % CALLS_IN_A_ROW == 0:
                await asyncio.sleep(0)

    async def next_item(self, run):
        while not run.stopping:
            try:
                item = self.take(run)
            except Exception:
                await self.failed_here()    # items that cannot be compared, in a PriorityQueue
                continue
            if item is not NOTHING:
                return item
            await run.wake.wait(run.loop)
        return NOTHING

    async def hook(self, function, *args):
        try:
            answer = function(*args)
            if inspect.isawaitable(answer):
                await answer
        except Exception:
            await self.failed_here()


class NoLoop:
    """Stands for the loop of a queue until its worker is started."""


class BackgroundEventWorker(BackgroundAsyncWorker):
    """Calls the executor when it is triggered.

    Triggers that come before the executor begins are one call.  Those that come while it runs are dropped, but with
    force it is called once more after that.
    """

    def launch(self, run):
        self.fill(run)
        BackgroundAsyncWorker.launch(self, run)

    def trigger_threadsafe(self, force=False):
        """Have the executor called; from anywhere.  Does nothing while the worker is not active."""
        if supervision is not None and supervision.trigger(self):
            return
        with LOCK:
            run = self._current
            if run is None or run.stopping or run.executing and not force:
                return
            run.triggered = True
        run.wake.ring()

    def trigger(self, force=False):
        """As trigger_threadsafe(); what it returns may be awaited, and need not be."""
        self.trigger_threadsafe(force)
        return Done()

    def get_event_obj(self):
        """An object with set(), clear() and is_set(), for the trigger that is due."""
        return TriggerEvent(self)

    def begins(self, run, is_due=False):
        """Returns whether the executor is to be called, which then counts as running."""
        with LOCK:
            if not (run.triggered or is_due):
                return False
            if not is_due:
                run.triggered = False
                if self._feed is not None:
                    self._feed.begins()
            run.executing = True
        return True

    async def cycle(self, run):
        while not run.stopping:
            if not self.begins(run):
                await run.wake.wait(run.loop)
                continue
            go_on = await self.once(run)
            run.executing = False
            if self._feed is not None:
                self._feed.run_ended()
            if not go_on:
                break


class TriggerEvent:

    def __init__(self, worker):
        self.worker = worker

    def set(self):
        self.worker.trigger_threadsafe(force=True)

    def clear(self):
        run = self.worker._current
        if run is not None:
            run.triggered = False

    def is_set(self):
        run = self.worker._current
        return run is not None and run.triggered


class BackgroundIntervalWorker(BackgroundEventWorker):
    """Calls the executor every so often; and at once, in addition, when it is triggered.

    interval: seconds from one begin to the next, on a fixed grid (pace.py).  delay (or delay_after): seconds from the
    end of a call to the next one.  delay_before: seconds before each call, the first one too; alone, it is the pause
    between two.  By default a delay of one second.
    """

    def __init__(self, name=None, executor_func=None, interval=None, delay=None, delay_before=None, delay_after=None,
                 **kwargs):
        BackgroundEventWorker.__init__(self, name, executor_func, **kwargs)
        delay = delay or delay_after
        if interval and delay:
            logger.warning("worker %s has an interval and a delay: the interval counts", self.name)
        self.delay_before = delay_before
        self.keep_interval = bool(interval)
        self.delay = interval or delay or (0 if delay_before else 1)
        self._delay_is_default = not (interval or delay)

    def override(self, kwargs):
        BackgroundEventWorker.override(self, kwargs)
        if kwargs.get("_delay") is not None:
            self.delay, self.keep_interval, self._delay_is_default = kwargs["_delay"], False, False
        if kwargs.get("_interval") is not None:
            if kwargs.get("_delay") is not None:
                logger.warning("worker %s has an interval and a delay: the interval counts", self.name)
            self.delay, self.keep_interval, self._delay_is_default = kwargs["_interval"], True, False
        if kwargs.get("_delay_before") is not None:
            self.delay_before = kwargs["_delay_before"]
            if self._delay_is_default:
                self.delay = 0 if self.delay_before else 1

    async def cycle(self, run):
        time = run.loop.time
        pace = Pace(time(), self.delay_before or 0)
        if self._feed is not None:
            self._feed.pace(pace, time(), self.delay, self.keep_interval)
        while not run.stopping:
            is_extra = self.begins(run)
            if not is_extra:
                if time() < pace.due:
                    await run.wake.wait(run.loop, pace.due)
                    continue
                pace.begins(time(), self.delay if self.keep_interval else 0)
                if self._feed is not None:
                    self._feed.ticks(pace, time(), self.delay, self.keep_interval)
                self.begins(run, True)
            go_on = await self.once(run)
            run.executing = False
            if self._feed is not None:
                self._feed.run_ended()
            if not go_on:
                break
            (pace.extra_ended if is_extra else pace.ended)(time(), self.delay, self.keep_interval)
            if pace.due <= time():
                await asyncio.sleep(0)


def background_worker(func=None, **kwargs):
    """Make a worker of a function: as a decorator, bare or with arguments, or called with the function.

    The kind is told by what is true: q or queue, e or event, i or interval or delay or delay_before, and else by
    whether it is a coroutine function.  The arguments are the class's.
    """
    if func is None:
        return functools.partial(background_worker, **kwargs)
    if kwargs.get("i") and not kwargs.get("interval"):
        kwargs["interval"] = kwargs["i"]
    if kwargs.get("q") or kwargs.get("queue"):
        kind = BackgroundQueueWorker
    elif kwargs.get("e") or kwargs.get("event"):
        kind = BackgroundEventWorker
    elif any(kwargs.get(word) for word in ("interval", "delay", "delay_before", "delay_after")):
        kind = BackgroundIntervalWorker
    elif is_async(func):
        kind = BackgroundAsyncWorker
    else:
        kind = BackgroundWorker
    return kind(executor_func=func, **kwargs)

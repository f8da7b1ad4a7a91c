"""background_task, and small helpers for threads."""

import asyncio
import concurrent.futures
import functools
import inspect
import threading

from . import supervisor as supervisors
from .aloop import ALoop
from .log import logger
from .task import TASK_NORMAL, TT_MP, TT_THREAD, Task


def takes(function, name, any_keyword):
    """Whether a function has a parameter of that name; or takes any, if that counts."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return False
    return any(parameter.name == name and parameter.kind != parameter.POSITIONAL_ONLY
               or any_keyword and parameter.kind == parameter.VAR_KEYWORD for parameter in parameters)


def background_task(f=None, priority=TASK_NORMAL, delay=None, supervisor=None, tt=TT_THREAD, callback=None, loop=None,
                    name=None, **kwargs):
    """A function that has f called in the background, and returns its Task; also as a decorator with arguments.

    In a thread (which has the name meanwhile), in a process (tt=TT_MP) or, where f is a coroutine function, in an
    ALoop: loop is one, or its name, by default the supervisor's default one.  In an asyncio loop it gives a
    concurrent.futures.Future instead.  callback(result) is called afterwards, here.  delay: seconds before the call.
    f gets its _task_id if it has a parameter of that name, in a process also if it takes any keywords.  An exception
    is logged, and the result is None.
    RuntimeError: the supervisor is not started, or there is no loop.
    """
    if f is None:
        return functools.partial(background_task, priority=priority, delay=delay, supervisor=supervisor, tt=tt,
                                 callback=callback, loop=loop, name=name, **kwargs)
    from .workers import is_async
    supervisor = supervisors.task_supervisor if supervisor is None else supervisor
    if is_async(f):
        start = functools.partial(start_coroutine, supervisor, f, delay, callback, loop)
    else:
        wants_id = takes(f, "_task_id", tt == TT_MP)
        start = functools.partial(start_call, supervisor, f, wants_id, priority, delay, callback, tt, name)

    @functools.wraps(f)
    def begin(*args, **kwargs):
        supervisor.need()
        return start(args, kwargs)

    return begin


def start_coroutine(supervisor, f, delay, callback, loop, args, kwargs):
    if isinstance(loop, str):
        found = supervisor.get_aloop(loop)
        if found is None:
            raise RuntimeError("there is no aloop %s" % loop)
        loop = found
    elif loop is None:
        loop = supervisor.default_aloop
        if loop is None:
            raise RuntimeError("%s is a coroutine function, and there is neither a loop nor a default aloop" % (
                getattr(f, "__name__", f)))
    if isinstance(loop, ALoop):
        loop.need_loop()
        return loop.background_task(f(*args, **kwargs), delay, callback)

    async def work():
        if delay:
            await asyncio.sleep(delay)
        result = await f(*args, **kwargs)
        if callback is not None:
            callback(result)
        return result

    return asyncio.run_coroutine_threadsafe(work(), loop)


def start_call(supervisor, f, wants_id, priority, delay, callback, tt, name, args, kwargs):
    task = Task(tt, f, args, dict(kwargs), callback, priority, delay)
    if wants_id:
        task.kwargs["_task_id"] = task.id

    def ended(task, is_result, result):
        if is_result:
            try:
                if callback is not None:
                    callback(result)
            except BaseException:
                logger.exception("callback of task %s", task.id)
        else:
            logger.error("task %s", task.id, exc_info=result)
            result = None
        supervisor.complete(task, result)

    def job(task):
        if name is not None:
            threading.current_thread().name = name
        try:
            result = f(*task.args, **task.kwargs)
        except BaseException as error:
            ended(task, False, error)
        else:
            ended(task, True, result)

    if tt == TT_MP:
        task.send = functools.partial(supervisor.send_call, done=ended)
    else:
        task.job = job
    if not supervisor.enter(task):
        raise RuntimeError("supervisor %s is not started" % supervisor.id)
    return task


def wait_completed(tasks, timeout=None):
    """Wait for a task, or for several; returns its result, or the list of theirs.

    timeout: seconds for all of them, TimeoutError then.  A future, as background_task() gives in an asyncio loop, is
    waited for too, and raises what its coroutine has raised.
    """
    import time
    end = None if timeout is None else time.monotonic() + timeout

    def result(task):
        left = None if end is None else max(end - time.monotonic(), 0)
        if isinstance(task, concurrent.futures.Future):
            try:
                return task.result(left)
            except concurrent.futures.TimeoutError:
                raise TimeoutError("a future has no result yet") from None
        if not task.completed.wait(left):
            raise TimeoutError("task %s is not completed" % task.id)
        return task.result

    if isinstance(tasks, (Task, concurrent.futures.Future)):
        return result(tasks)
    return [result(task) for task in list(tasks)]


class LocalProxy(threading.local):
    """A namespace of each thread's own."""

    def get(self, attr, default=None):
        return getattr(self, attr, default)

    def set(self, attr, value):
        setattr(self, attr, value)

    def has(self, attr):
        return hasattr(self, attr)

    def clear(self, attr):
        """Forget it, if it is there."""
        self.__dict__.pop(attr, None)


class Locker:
    """A lock that is waited for only so long: a decorator, and a context manager.

    mod: a name for the log.  timeout: in seconds.  relative: the thread that has it may take it again.
    """

    def __init__(self, mod="main", timeout=5, relative=True):
        self.mod = mod
        self.timeout = timeout
        self.lock = threading.RLock() if relative else threading.Lock()

    def __call__(self, f):
        """The function with the lock held; where it cannot be had, it is not called and the result is None."""
        @functools.wraps(f)
        def locked(*args, **kwargs):
            if not self.acquire():
                return None
            try:
                return f(*args, **kwargs)
            finally:
                self.lock.release()

        return locked

    def acquire(self):
        if self.lock.acquire(timeout=self.timeout):
            return True
        logger.critical("%s: the lock was not free for %s s", self.mod, self.timeout)
        self.critical()
        return False

    def critical(self):
        """Called when the lock cannot be had; for subclasses."""

    def __enter__(self):
        if not self.acquire():
            raise TimeoutError("%s: the lock was not free for %s s" % (self.mod, self.timeout))
        return self

    def __exit__(self, *_):
        self.lock.release()

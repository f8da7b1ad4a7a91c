"""For coroutines."""

import asyncio
import functools

from . import supervisor as supervisors
from .task import TASK_STATUS_CANCELED, TT_MP, Task


async def co_mp_apply(f, args=(), kwargs=None, priority=None, delay=None, supervisor=None):
    """Call f in a process of the supervisor's pool; returns its result, raises its exception.

    In any loop.  RuntimeError: the supervisor is not started, is stopped before f is called, or has no pool.
    """
    supervisor = supervisors.task_supervisor if supervisor is None else supervisor
    supervisor.need()
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    task = Task(TT_MP, f, tuple(args), dict(kwargs or {}), priority=priority, delay=delay)

    def tell(is_result, result):
        if not future.done():
            (future.set_result if is_result else future.set_exception)(result)

    def done(task, is_result, result):
        supervisor.complete(task, result if is_result else None)
        if not is_result and isinstance(result, StopIteration):
            result = RuntimeError("%s raised StopIteration" % f.__name__)   # which no future can hold
        try:
            loop.call_soon_threadsafe(tell, is_result, result)
        except RuntimeError:
            pass    # the loop is closed, and nobody waits

    task.send = functools.partial(supervisor.send_call, done=done)
    task.given_up = functools.partial(
        done, task, False, RuntimeError("supervisor %s was stopped (status %d)" % (supervisor.id, TASK_STATUS_CANCELED)))
    if not supervisor.enter(task):
        raise RuntimeError("supervisor %s is not started" % supervisor.id)
    return await future

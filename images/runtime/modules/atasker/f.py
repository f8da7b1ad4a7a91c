"""Collections of functions that are called together."""

import threading
import traceback

from . import supervisor as supervisors
from .task import TASK_NORMAL, TT_THREAD, Task

DEFAULT_PRIORITY = TASK_NORMAL


class FunctionCollection:
    """Functions without arguments, which are called one after the other, the lowest priority number first.

    on_error(**on_error_kwargs) is called while an exception of one is handled, whose result is None then, or with
    include_exceptions (exception, traceback's text).  Without on_error it is raised.
    """

    def __init__(self, on_error=None, on_error_kwargs=None, include_exceptions=False, **kwargs):
        self.on_error = on_error
        self.on_error_kwargs = on_error_kwargs or {}
        self.include_exceptions = include_exceptions
        self.functions = {}     # their priorities, in the order of append()
        self.lock = threading.RLock()

    def __call__(self, f=None, **kwargs):
        """As a decorator, bare or with arguments: append().  Without a function: run()."""
        if f is not None:
            self.append(f, **kwargs)
            return f
        if kwargs:
            return lambda f: self(f, **kwargs)
        return self.run()

    def append(self, f, priority=None):
        """Add a function, if it is not there yet."""
        with self.lock:
            self.functions.setdefault(f, DEFAULT_PRIORITY if priority is None else priority)

    def remove(self, f):
        """Remove a function; error() if it is not there."""
        try:
            with self.lock:
                del self.functions[f]
        except KeyError:
            self.error()

    def run(self):
        """Call them; returns the results by "module.name"."""
        return self.execute()[0]

    def execute(self):
        """Call them; returns the results by "module.name", and whether none has raised."""
        results = {}
        all_ok = True
        for f, _ in self.in_order():
            result, is_ok, _ = self.call(f)
            results[self.key(f)] = result
            all_ok = all_ok and is_ok
        return results, all_ok

    def in_order(self):
        with self.lock:
            return sorted(self.functions.items(), key=lambda item: item[1])

    @staticmethod
    def key(f):
        return "%s.%s" % (f.__module__, f.__name__)

    def call(self, f, raises=True):
        """(result, whether it has not raised, the exception that on_error has left over)."""
        try:
            return f(), True, None
        except Exception as error:
            result = (error, traceback.format_exc()) if self.include_exceptions else None
            try:
                self.error()
            except Exception as left:
                if raises:
                    raise
                return result, False, left
            return result, False, None

    def error(self):
        """While an exception is handled: on_error, or raise it."""
        if self.on_error is None:
            raise
        self.on_error(**self.on_error_kwargs)


class TaskCollection(FunctionCollection):
    """The same in threads of a supervisor, at once, with the functions' priorities as those of the tasks.

    An exception that is to be raised is raised when all have ended.  poll_delay is there for old programs.
    """

    def __init__(self, on_error=None, on_error_kwargs=None, include_exceptions=False, supervisor=None, poll_delay=None,
                 **kwargs):
        FunctionCollection.__init__(self, on_error, on_error_kwargs, include_exceptions)
        self.supervisor = supervisors.task_supervisor if supervisor is None else supervisor
        self.poll_delay = poll_delay

    def execute(self):
        supervisor = self.supervisor
        supervisor.need()
        tasks = []
        for f, priority in self.in_order():
            task = Task(TT_THREAD, f, priority=priority)
            task.job = self.job
            if not supervisor.enter(task):
                raise RuntimeError("supervisor %s is not started" % supervisor.id)
            tasks.append(task)
        results = {}
        all_ok = True
        left = None
        for task in tasks:
            task.completed.wait()
            result, is_ok, error = task.result or (None, False, RuntimeError("task %s was cancelled" % task.id))
            results[self.key(task.target)] = result
            all_ok = all_ok and is_ok
            left = left or error
        if left is not None:
            raise left
        return results, all_ok

    def job(self, task):
        self.supervisor.complete(task, self.call(task.target, raises=False))

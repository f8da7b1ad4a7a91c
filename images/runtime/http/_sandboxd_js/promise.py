"""Promises on asyncio, and calls of Python's functions by JavaScript's side.

A promise is settled, or it becomes so in a running loop.  What is settled already
is awaited without a turn of the loop, so a method that has its result at hand costs
no more than a call.
"""

import asyncio
import functools
import inspect
import sys
from asyncio import events
from collections.abc import Coroutine

from .core import (JsDoubleProxy, JsException, JsObject, disallowed, iterate, js_class, new_array, new_object,
                   of_python, plain, python_error, raised, type_error)

_EAGER = sys.version_info >= (3, 12)
PENDING, FULFILLED, REJECTED = "pending", "fulfilled", "rejected"

_waiting = []
_running = set()


def enqueue(function, *args):
    """Has the function called in a turn of the running loop; without one, in that which runs next."""
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        _waiting.append((function, args))
        return
    if _waiting:
        flush(loop)
    loop.call_soon(function, *args)


def flush(loop):
    """Gives the loop what was enqueued while none ran."""
    while _waiting:
        function, args = _waiting.pop(0)
        loop.call_soon(function, *args)


def invoke(function, *args):
    """Calls a function of Python's as JavaScript does: a coroutine that it returns is begun at once."""
    result = function(*args)
    if inspect.iscoroutine(result):
        return _kept(asyncio.ensure_future(result))
    return result


def _kept(task):
    """The task, which asyncio itself would let go of while it waits."""
    _running.add(task)
    task.add_done_callback(_running.discard)
    return task


def is_thenable(value):
    """Whether a promise that is resolved with the value waits for it."""
    if value is None or isinstance(value, (str, int, float, bytes, list, dict)):
        return False
    return isinstance(value, JsPromise) or inspect.isawaitable(
        value._held if isinstance(value, JsDoubleProxy) else value)


@js_class("Promise", "resolve", "reject", "all", "allSettled", "race", "any", "withResolvers")
class JsPromise(JsObject):
    """What will be a value or an error; Python awaits it."""

    __slots__ = ("_state", "_value", "_reactions", "_locked", "_python")

    def __init__(self, executor=None):
        self._begin()
        if executor is None:
            raise type_error("Promise resolver undefined is not a function")
        try:
            invoke(executor, self._resolve_once, self._reject_once)
        except Exception as error:
            self._reject_once(error)

    def _begin(self):
        self._state = PENDING
        self._value = None
        self._reactions = None
        self._locked = False
        self._python = False

    @classmethod
    def pending(cls):
        """A promise that its maker settles."""
        made = cls.__new__(cls)
        made._begin()
        return made

    def _resolve_once(self, value=None, *_more):
        if not self._locked:
            self._locked = True
            self.resolve(value)

    def _reject_once(self, reason=None, *_more):
        if not self._locked:
            self._locked = True
            self.reject(reason)

    def resolve(self, value=None):
        """Settles the promise with a value, or with what that value will be."""
        if self._state is not PENDING:
            return
        self._locked = True
        if is_thenable(value):
            if value is self:
                self.reject(type_error("Chaining cycle detected for promise #<Promise>"))
            elif isinstance(value, JsPromise):
                value._react(self.resolve, self.reject)
            else:
                of_awaitable(value)._react(self.resolve, self.reject)
            return
        self._settle(FULFILLED, of_python(value))

    def reject(self, reason=None):
        """Settles the promise with an error."""
        if self._state is PENDING:
            self._locked = True
            self._settle(REJECTED, reason)

    def _settle(self, state, value):
        self._state = state
        self._value = value
        reactions, self._reactions = self._reactions, None
        if reactions:
            for fulfilled, rejected in reactions:
                if rejected is None:
                    fulfilled()
                else:
                    enqueue(fulfilled if state is FULFILLED else rejected, value)

    def _react(self, fulfilled, rejected):
        if self._state is PENDING:
            if self._reactions is None:
                self._reactions = []
            self._reactions.append((fulfilled, rejected))
        else:
            enqueue(fulfilled if self._state is FULFILLED else rejected, self._value)

    def then(self, fulfilled=None, rejected=None):
        """A promise of what the functions make of the value or of the error.

        As in Pyodide, this is Python's own: what a function of Python's raises stays as it is.
        """
        after = JsPromise.pending()
        after._python = True

        def step(function, fallback, value):
            if function is None or not callable(function):
                fallback(value)
                return
            try:
                after.resolve(invoke(function, value))
            except Exception as error:
                after.reject(error)

        def fail(reason):
            seen = reason if self._python or not callable(rejected) else _seen(reason)
            step(rejected, after.reject, seen)

        self._react(lambda value: step(fulfilled, after.resolve, value), fail)
        return after

    def catch(self, rejected=None):
        """A promise of the value, or of what the function makes of the error."""
        return self.then(None, rejected)

    def finally_(self, function=None):
        """A promise of the same, settled when the function has been called."""
        after = JsPromise.pending()
        after._python = True

        def step(settle, value):
            try:
                done = invoke(function) if function is not None else None
            except Exception as error:
                after.reject(error)
                return
            if is_thenable(done):
                as_promise(done)._react(lambda _value: settle(value), after.reject)
            else:
                settle(value)

        self._react(lambda value: step(after.resolve, value), lambda reason: step(after.reject, reason))
        return after

    def __await__(self):
        if self._state is PENDING:
            loop = asyncio.get_running_loop()
            if _waiting:
                flush(loop)
            future = loop.create_future()
            if self._reactions is None:
                self._reactions = []
            self._reactions.append((_waker(future, loop), None))
            yield from future
        if self._state is FULFILLED:
            return self._value
        raise raised(self._value) if self._python else thrown(self._value)

    # In Pyodide a promise that Python gets is a future of asyncio's.

    def done(self):
        """Whether the promise is settled."""
        return self._state is not PENDING

    def result(self):
        """The value; raises the error, or InvalidStateError as long as there is neither."""
        if self._state is PENDING:
            raise asyncio.InvalidStateError("Result is not set.")
        if self._state is REJECTED:
            raise self.exception()
        return self._value

    def exception(self):
        """The error, or None; InvalidStateError as long as the promise is not settled."""
        if self._state is PENDING:
            raise asyncio.InvalidStateError("Exception is not set.")
        if self._state is FULFILLED:
            return None
        return raised(self._value) if self._python else thrown(self._value)

    def cancelled(self):
        """False: nobody cancels a promise."""
        return False

    def add_done_callback(self, function, *, context=None):
        """Has the function called with the promise once it is settled."""

        def call(_value=None):
            function(self)

        call.function = function
        self._react(call, call)

    def remove_done_callback(self, function):
        """Has the function not called; how often it was to be."""
        kept = [reaction for reaction in self._reactions or ()
                if getattr(reaction[0], "function", None) != function]
        removed = len(self._reactions or ()) - len(kept)
        self._reactions = kept
        return removed

    @staticmethod
    def _static_resolve(value=None):
        """A promise of the value."""
        return as_promise(value)

    @staticmethod
    def _static_reject(reason=None):
        """A promise that has failed."""
        made = JsPromise.pending()
        made.reject(reason)
        return made

    @staticmethod
    def _static_all(values=()):
        """A promise of all values as an array; it fails with the first that does."""
        return _combined(values, lambda after, results, left: (
            lambda at: (lambda value: _put(after, results, left, at, value), after.reject)))

    @staticmethod
    def _static_allSettled(values=()):
        """A promise of an array that says of each how it ended."""

        def watch(after, results, left):
            def both(at):
                return (lambda value: _put(after, results, left, at,
                                           new_object({"status": "fulfilled", "value": value})),
                        lambda reason: _put(after, results, left, at,
                                            new_object({"status": "rejected", "reason": _seen(reason)})))
            return both

        return _combined(values, watch)

    @staticmethod
    def _static_race(values=()):
        """A promise that ends as the first of them does."""
        after = JsPromise.pending()
        for value in iterate(values):
            as_promise(value)._react(after.resolve, after.reject)
        return after

    @staticmethod
    def _static_any(values=()):
        """A promise of the first value; it fails when all have."""
        after = JsPromise.pending()
        promises = [as_promise(value) for value in iterate(values)]
        errors, left = [None] * len(promises), [len(promises)]

        def fail(at, reason):
            errors[at] = _seen(reason)
            left[0] -= 1
            if not left[0]:
                error = JsException("AggregateError", "All promises were rejected")
                error.errors = new_array(errors)
                after.reject(error)

        for at, promise in enumerate(promises):
            promise._react(after.resolve, lambda reason, at=at: fail(at, reason))
        if not promises:
            after.reject(JsException("AggregateError", "All promises were rejected"))
        return after

    @staticmethod
    def _static_withResolvers():
        """A promise, and the functions that settle it."""
        made = JsPromise.pending()
        return new_object({"promise": made, "resolve": made._resolve_once, "reject": made._reject_once})


def thrown(reason):
    """The exception to raise for what a promise was rejected with: Python's own are JavaScript's by then."""
    if isinstance(reason, Exception) and not isinstance(reason, JsException):
        made = python_error(reason)
        made.__cause__ = reason
        return made
    return raised(reason)


def _seen(reason):
    return python_error(reason) if isinstance(reason, BaseException) else reason


def _waker(future, loop):
    """What ends the wait for a promise, whichever loop runs when it is settled: a handler may run one of its own."""

    def end():
        if not future.done():
            future.set_result(None)

    def wake():
        if events._get_running_loop() is loop:
            end()
        elif not loop.is_closed():
            loop.call_soon_threadsafe(end)

    return wake


def _put(after, results, left, at, value):
    results[at] = value
    left[0] -= 1
    if not left[0]:
        after.resolve(new_array(results))


def _combined(values, watch):
    after = JsPromise.pending()
    promises = [as_promise(value) for value in iterate(values)]
    results, left = [None] * len(promises), [len(promises)]
    reactions = watch(after, results, left)
    for at, promise in enumerate(promises):
        promise._react(*reactions(at))
    if not promises:
        after.resolve(new_array([]))
    return after


def resolved(value=None):
    """A promise that has a value, which is nothing that can be awaited."""
    made = JsPromise.__new__(JsPromise)
    made._state = FULFILLED
    made._value = value
    made._reactions = None
    made._locked = True
    made._python = False
    return made


def rejected(reason):
    """A promise that has failed."""
    made = JsPromise.pending()
    made.reject(reason)
    return made


def as_promise(value=None):
    """A promise of a value, of what can be awaited, or the promise that it is."""
    if isinstance(value, JsPromise):
        return value
    if is_thenable(value):
        return of_awaitable(value)
    return resolved(of_python(value))


def of_awaitable(value):
    """A promise of what something of Python's will be."""
    made = JsPromise.pending()
    made._locked = True
    _kept(asyncio.ensure_future(plain(value))).add_done_callback(functools.partial(_settle_by, made))
    return made


def _settle_by(made, ended):
    """Settles a promise as a future has ended."""
    if ended.cancelled():
        made.reject(asyncio.CancelledError())
    elif ended.exception() is not None:
        made.reject(ended.exception())
    else:
        made.resolve(ended.result())


class _Begun(Coroutine):
    """A coroutine that has been begun without a task, to go on in one."""

    __slots__ = ("coroutine", "first", "__name__", "__qualname__")

    def __init__(self, coroutine, first):
        self.coroutine = coroutine
        self.first = first
        self.__name__ = coroutine.__name__
        self.__qualname__ = coroutine.__qualname__

    def __await__(self):
        return self

    def send(self, value):
        """Goes on; at first with what the coroutine waits for already."""
        first, self.first = self.first, None
        return self.coroutine.send(value) if first is None else first[0]

    def throw(self, *args):
        """Raises in the coroutine."""
        self.first = None
        return self.coroutine.throw(*args)

    def close(self):
        """Ends the coroutine."""
        self.coroutine.close()


def promise_of(coroutine):
    """A promise of what a coroutine of the runtime's returns, which is begun at once.

    Before Python 3.12 it is begun in the task that calls this, so that it must not ask for its
    task, as asyncio.timeout() does, before it has waited for something.
    """
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        coroutine.close()
        return rejected(disallowed())
    made = JsPromise.pending()
    made._locked = True
    if _EAGER:
        task = asyncio.Task(coroutine, loop=loop, eager_start=True)
        if task.done():
            _settle_by(made, task)
            return made
    else:
        try:
            first = coroutine.send(None)
        except StopIteration as end:
            made.resolve(end.value)
            return made
        except Exception as error:
            made.reject(error)
            return made
        task = loop.create_task(_Begun(coroutine, (first,)))
    _kept(task).add_done_callback(functools.partial(_settle_by, made))
    return made


def queue_microtask(function):
    """queueMicrotask: has the function called when what runs now has ended."""
    if not callable(function):
        raise type_error("The \"callback\" argument must be of type function.")
    enqueue(invoke, function)


_run_sync = None
_can_run_sync = None


def set_run_sync(run, can):
    """Installs what blocks on an awaitable, and what says whether that can be done here."""
    global _run_sync, _can_run_sync
    _run_sync, _can_run_sync = run, can


def run_sync(awaitable):
    """The value of an awaitable, for which this request alone waits."""
    if isinstance(awaitable, JsPromise) and awaitable._state is not PENDING:
        if awaitable._state is FULFILLED:
            return awaitable._value
        raise raised(awaitable._value) if awaitable._python else thrown(awaitable._value)
    if _run_sync is None:
        raise RuntimeError("No suspender")
    return _run_sync(plain(awaitable))


def can_run_sync():
    """Whether run_sync can be called here."""
    return _can_run_sync is not None and bool(_can_run_sync())

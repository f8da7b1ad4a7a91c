"""The event loop's class."""

import asyncio
import selectors
import sys
from asyncio import base_events

from _sandboxd_js.promise import of_awaitable

__all__ = ["PyodideFuture", "PyodideTask", "WebLoop"]

RUN_IS_COMPLETE = base_events._run_until_complete_cb.__code__


class _Then:
    """What promises of JavaScript can do, for futures of Python's."""

    def then(self, onfulfilled, onrejected=None):
        """A promise of what the functions make of the result or of the exception."""
        return of_awaitable(self).then(onfulfilled, onrejected)

    def catch(self, onrejected):
        """A promise of the result, or of what the function makes of the exception."""
        return of_awaitable(self).catch(onrejected)

    def finally_(self, onfinally):
        """A promise of the same, settled when the function has been called."""
        return of_awaitable(self).finally_(onfinally)


class PyodideFuture(_Then, asyncio.Future):
    """A future with the methods of a promise."""


class PyodideTask(_Then, asyncio.Task):
    """A task with the methods of a promise."""


class WebLoop(asyncio.SelectorEventLoop):
    """An event loop: the loop that a worker's requests run on is one.

    While it runs it can be neither stopped nor closed, and whoever tries is not told, as there: pytest-asyncio closes
    whatever loop it finds when a test is over.
    """

    def let_go(self):
        """Close what it has open, for a process that may have nothing open; take_up() opens it again."""
        self._close_self_pipe()
        self._selector.close()
        self._selector = None

    def take_up(self):
        if self._selector is None and not self.is_closed():
            self._selector = selectors.DefaultSelector()
            self._make_self_pipe()

    def stop(self):
        """Nothing, but for run_until_complete(), whose own end this is."""
        if not self.is_running() or sys._getframe(1).f_code is RUN_IS_COMPLETE:
            super().stop()

    def close(self):
        """Nothing while it runs."""
        if not self.is_running():
            self.take_up()      # the loop of asyncio closes what it has open
            super().close()

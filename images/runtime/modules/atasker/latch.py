"""What threads wait for, and the lock around all that they share.

Everything here may be used in a signal handler, which runs in the main thread between any two of its
instructions: also while that thread holds the lock, and while it waits.  threading.Event may not: it holds a
lock for some instructions, and a handler that sets the same event then waits for itself.
"""

import os
import threading
import weakref
from _thread import allocate_lock

# One lock for what supervisors, their tasks and workers share.  It is held for a few instructions at a time,
# never while anything waits or code of the user's runs.  It is reentrant because of signal handlers.
LOCK = threading.RLock()

# What is no longer true in a forked child, whose threads are gone: objects with a method forked().
_forgetful = weakref.WeakSet()


def at_fork(one):
    """Have one.forked() called in every child that is forked from now on; it is not kept alive by this."""
    _forgetful.add(one)


def _in_child():
    LOCK._at_fork_reinit()
    for one in list(_forgetful):
        one.forked()


os.register_at_fork(after_in_child=_in_child)


class Latch:
    """An event that happens once.  It has threading.Event's methods but clear()."""

    __slots__ = ("_closed", "_open")

    def __init__(self):
        self._open = False
        # Held until the event happens; each waiter that gets it hands it on to the next one.
        self._closed = allocate_lock()
        self._closed.acquire()

    def is_set(self):
        return self._open

    def set(self):
        self._open = True
        self._hand_on()

    def wait(self, timeout=None):
        """Wait until it has happened, `timeout` seconds at most; returns whether it has."""
        if not self._open:
            if timeout is None:
                self._closed.acquire()
            elif not self._closed.acquire(True, min(max(timeout, 0), threading.TIMEOUT_MAX)):
                return self._open
            self._hand_on()
        return True

    def _hand_on(self):
        try:
            self._closed.release()
        except RuntimeError:
            pass    # it is not held any more, so nobody waits

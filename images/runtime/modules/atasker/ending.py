"""The end of the main thread, and of the process.

A program whose main thread ends goes on while a supervisor of its has to: one that was started by hand until it is
stopped (but not with daemon=True), one that has started itself until it has nothing to do.  The interpreter asks for
that through a hook of `threading`, which runs before it refuses new work anywhere.  The hook is registered after
that of concurrent.futures and so runs before it: until all supervisors are stopped, asyncio.to_thread() and the like
work.
"""

import atexit
import concurrent.futures.thread  # noqa: F401, its hook has to be registered first
import os
import sys
import threading

from .latch import LOCK

running = set()         # the supervisors that are started, or not wholly stopped
_registered = False
_main_is_over = False


def main_is_over():
    return _main_is_over or not threading.main_thread().is_alive()


def forked(supervisor):
    """In a forked child none of them runs, and the thread that has forked is the main thread."""
    global _main_is_over
    _main_is_over = False
    running.discard(supervisor)


def register():
    """Have the process wait at the end of its main thread; called when a supervisor starts."""
    global _registered
    with LOCK:
        if not _registered:
            _registered = True
            try:
                threading._register_atexit(_at_end)
            except RuntimeError:
                pass    # the main thread has ended already, and other threads keep the process


def next_to_wait_for():
    with LOCK:
        for supervisor in running:
            if not supervisor.daemon:
                return supervisor
    return None


def _at_end():
    # A forked child has the hook, but no supervisor that runs.
    global _main_is_over
    _main_is_over = True
    try:
        while True:
            supervisor = next_to_wait_for()
            if supervisor is None:
                break
            supervisor.live_out()
    except SystemExit as error:
        # A signal handler of the program's has called sys.exit(), here where the interpreter would only print that.
        stop_all()
        leave_with(error.code)
    except BaseException:
        stop_all()
        raise
    stop_all()


def stop_all():
    with LOCK:
        left = list(running)
    for supervisor in left:
        supervisor.stop(wait=False)


def leave_with(code):
    """Have the process end with what was given to sys.exit()."""
    if code is None or code == 0:
        return
    if not isinstance(code, int):
        print(code, file=sys.stderr)
        code = 1

    def leave():
        atexit.unregister(leave)
        atexit._run_exitfuncs()
        for stream in sys.stdout, sys.stderr:
            try:
                stream.flush()
            except Exception:
                pass    # it is closed, or nobody reads it
        os._exit(code & 0xff)

    atexit.register(leave)

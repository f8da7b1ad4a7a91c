"""Calls in the processes of a multiprocessing.Pool.

The pool may be the program's own.  Its protocol loses a call in three cases, which are met here: what cannot be
unpickled in the process, and an exception that cannot be unpickled here, travel as bytes inside what can; and a
process that dies is noticed, because each call first tells its process's id through a named pipe, and the
process is then watched by a descriptor.
"""

import asyncio
import os
import shutil
import tempfile
import threading
import traceback

from .log import logger

# Seconds that a result may still be on its way after its process has ended.
GRACE = 0.5
# Seconds for which stop() waits for a pool that is taken down.
TAKE_DOWN = 5


# In a forked child: the parent's pools, which would tell their threads there of their end.
_of_the_parent = []


class ProcessDied(RuntimeError):
    """The process of the pool that ran an executor was killed, or left by itself."""


class RemoteTraceback(Exception):
    """The cause of an exception that came from a process: its traceback there, as text."""

    def __init__(self, text):
        Exception.__init__(self, text)
        self.text = text

    def __str__(self):
        return "\n" + self.text


def pack(value):
    from multiprocessing.reduction import ForkingPickler
    return bytes(ForkingPickler.dumps(value))


def unpack(data):
    from multiprocessing.reduction import ForkingPickler
    return ForkingPickler.loads(data)


def call_here(pipe, token, data):
    """Runs in the process.  Returns (True, pickled result) or (False, pickled exception or None, traceback)."""
    if pipe:
        try:
            fd = os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
            try:
                os.write(fd, b"%s %d\n" % (token.encode(), os.getpid()))
            finally:
                os.close(fd)
        except OSError:
            pass    # nobody watches
    try:
        function, args, kwargs = unpack(data)
        return True, pack(function(*args, **kwargs))
    except BaseException as error:
        text = traceback.format_exc()
        try:
            data = pack(error)
            unpack(data)
        except Exception:
            data = None
        return False, data, text


def opened(answer):
    """What call_here() has returned, as (whether it is a result, the result or the exception)."""
    try:
        if answer[0]:
            return True, unpack(answer[1])
        error = unpack(answer[1]) if answer[1] is not None else RuntimeError(answer[2].strip().split("\n")[-1])
        error.__cause__ = RemoteTraceback(answer[2])
        return False, error
    except Exception as error:
        return False, error


class Processes:
    """A supervisor's process pool."""

    def __init__(self, supervisor):
        self.supervisor = supervisor
        self.pool = None
        self.forked()

    def forked(self):
        if self.pool is not None:
            _of_the_parent.append(self.pool)
        self.pool = None
        self.made_with = None   # arguments of the pool, if it is ours and not the program's
        self.calls = {}         # by token: done
        self.folder = self.pipe = self.fd = None
        self.watched = {}       # by token: pidfds, used in the loop's thread alone

    def make(self, *args, **kwargs):
        """A new pool, in place of the one there is; arguments are those of multiprocessing.Pool."""
        self.take_down()
        self.made_with = args, kwargs
        self.again()

    def again(self):
        """Make the pool anew that a stop has taken down."""
        if self.pool is None and self.made_with is not None:
            import multiprocessing
            # A child that is forked has what the program has made so far.  The other methods, the default of
            # new Pythons among them, run a main script again that is not written for it.
            method = multiprocessing.get_start_method(allow_none=True) or "fork"
            args, kwargs = self.made_with
            self.pool = multiprocessing.get_context(method).Pool(*args, **kwargs)

    def give(self, pool):
        """Take the program's own pool; None: no pool."""
        self.take_down()
        self.made_with = None
        self.pool = pool

    def call(self, token, function, args, kwargs, done):
        """Call a function in a process; done(whether it is a result, the result or exception) is called in a thread
        of the supervisor.  Raises what cannot be pickled.
        """
        data = pack((function, args, kwargs))
        self.open_pipe()
        self.calls[token] = done
        try:
            self.pool.apply_async(call_here, (self.pipe, token, data),
                                  callback=lambda answer: self.ends(token, lambda: opened(answer)),
                                  error_callback=lambda error: self.ends(token, lambda: (False, error)))
        except BaseException:
            self.calls.pop(token, None)
            raise

    def ends(self, token, outcome):
        """A call is over; called in the pool's own thread, which must not be held up."""
        done = self.calls.pop(token, None)
        if done is not None:
            self.supervisor.thread_pool.spawn(lambda: done(*outcome()))
            self.in_loop(self.forget, token)

    def in_loop(self, function, *args):
        loop = self.supervisor.event_loop
        try:
            if loop is not None:
                loop.call_soon_threadsafe(function, *args)
        except RuntimeError:
            pass    # the loop is closed

    # Watching the processes; all of it in the supervisor's loop but open_pipe()

    def open_pipe(self):
        if self.pipe is not None:
            return
        try:
            self.folder = tempfile.mkdtemp(prefix="atasker-")
            pipe = os.path.join(self.folder, "calls")
            os.mkfifo(pipe, 0o600)
            # Open for writing too, so that there is no end of file while nobody else has it open.
            self.fd = os.open(pipe, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            self.pipe = pipe
            self.rest = b""
            self.in_loop(self.watch_pipe)
        except OSError as error:
            self.pipe = ""
            logger.warning("a killed process of the pool will not be noticed: %s", error)

    def watch_pipe(self):
        if self.fd is not None:
            asyncio.get_running_loop().add_reader(self.fd, self.read)

    def read(self):
        try:
            data = self.rest + os.read(self.fd, 65536)
        except BlockingIOError:
            return
        *lines, self.rest = data.split(b"\n")
        for line in lines:
            token, _, pid = line.decode().partition(" ")
            if token in self.calls:
                self.watch(token, int(pid))

    def watch(self, token, pid):
        try:
            fd = os.pidfd_open(pid)
        except ProcessLookupError:
            self.died(token)
            return
        except OSError:
            return      # the kernel has none, and a killed process is not noticed
        self.watched[token] = fd
        asyncio.get_running_loop().add_reader(fd, self.died, token)

    def died(self, token):
        self.forget(token)
        asyncio.get_running_loop().call_later(GRACE, self.lost, token)

    def lost(self, token):
        self.ends(token, lambda: (False, ProcessDied("the process of the pool that ran it has ended")))

    def forget(self, token):
        fd = self.watched.pop(token, None)
        if fd is not None:
            asyncio.get_running_loop().remove_reader(fd)
            os.close(fd)

    # Its end

    def close_pipe(self):
        """Stop watching; in the loop's thread, before the loop ends."""
        for token in list(self.watched):
            self.forget(token)
        if self.fd is not None:
            asyncio.get_running_loop().remove_reader(self.fd)
            os.close(self.fd)
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.folder = self.pipe = self.fd = None

    def take_down(self):
        """End the processes, if the pool is ours; what they were doing is lost."""
        pool, self.pool = self.pool, None
        if pool is None or self.made_with is None:
            return

        def end():
            pool.terminate()
            pool.join()

        # A process that was killed while it waited for work has left the pool's lock taken, on which
        # terminate() would wait for ever.
        helper = threading.Thread(target=end, daemon=True)
        try:
            helper.start()
            helper.join(TAKE_DOWN)
        except RuntimeError:    # the interpreter makes no thread any more
            end()

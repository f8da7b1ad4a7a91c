"""Runs a hook: a line for a shell that has to end well, and whose output is told where it does not."""

import os
import selectors
import signal
import subprocess
import sys
import time

from .procs import shell, signal_group

TAIL = 4096


class Failed(Exception):
    """It has not ended well; `output` is the last that it has printed."""

    def __init__(self, message, output):
        Exception.__init__(self, message)
        self.output = output


def copy(fd, tail):
    """What has come goes to the log, and its end is kept; False at the end of it."""
    try:
        data = os.read(fd, 65536)
    except BlockingIOError:
        return True
    if not data:
        return False
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()
    tail += data
    del tail[:-TAIL]
    return True


def run(name, line, env, cwd, seconds, stopped=lambda: False):
    """Wait for the hook's end, not for that of what it leaves behind, which is ended with it."""
    tail = bytearray()
    process = subprocess.Popen(shell(line), env=env, cwd=cwd, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                               stderr=subprocess.STDOUT, start_new_session=True)
    fd = process.stdout.fileno()
    os.set_blocking(fd, False)
    till = time.monotonic() + seconds
    late = False
    with selectors.DefaultSelector() as selector:
        selector.register(fd, selectors.EVENT_READ)
        open_ = True
        while process.poll() is None:
            if open_ and selector.select(0.02):
                open_ = copy(fd, tail)
            elif not open_:
                time.sleep(0.02)
            if time.monotonic() > till or stopped():
                late = True
                signal_group(process, signal.SIGKILL)
                process.wait()
        # Output that it has left in the pipe.
        while open_ and selector.select(0):
            open_ = copy(fd, tail)
    signal_group(process, signal.SIGKILL)
    process.stdout.close()
    output = tail.decode("utf-8", "replace")
    if late:
        raise Failed("%s: it has not ended within %d s" % (name, seconds), output)
    if process.returncode:
        how = "signal %d" % -process.returncode if process.returncode < 0 else "exit status %d" % process.returncode
        raise Failed("%s: %s" % (name, how), output)

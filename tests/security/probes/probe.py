# SPDX-License-Identifier: Apache-2.0
"""What every probe shares: raw system calls, a child per risky call, one JSON line a result.

A probe module makes a Table and calls main(). Each entry has the results that are
wanted inside a sandbox and, as its positive control, those that must be seen where
nothing confines it (root in the same image by chroot). judge.py compares.
"""
import ctypes
import errno
import json
import os
import signal
import sys

LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.syscall.restype = ctypes.c_long

# An address that is never mapped: a kernel that looks at it says EFAULT.
BAD = 1
POLICY = "default"
REACHED = "!EPERM !ENOSYS"  # control: any result which shows that the kernel was reached
DENIED = "EPERM"
UNKNOWN = "ENOSYS"


def outcome(ret, err):
    """The name of what a raw call gave: OK or an errno's name."""
    if ret != -1:
        return "OK"
    return errno.errorcode.get(err, "E%d" % err)


def syscall(number, *args):
    """Makes a system call with all 64 bits of each argument; returns (value, errno)."""
    words = [ctypes.c_ulong(a & 0xFFFFFFFFFFFFFFFF) if isinstance(a, int) else a for a in args]
    ctypes.set_errno(0)
    ret = LIBC.syscall(ctypes.c_ulong(number), *words)
    return ret, ctypes.get_errno()


def call(number, *args):
    """A function that makes this call and names its outcome."""
    return lambda: outcome(*syscall(number, *args))


def attempt(function):
    """Runs function(); an OSError becomes its errno's name."""
    try:
        result = function()
    except OSError as e:
        return errno.errorcode.get(e.errno, "E%s" % e.errno)
    return "OK" if result is None else result


def in_child(function):
    """function's result, got in a forked child, so that a kill or a change stays there."""
    read_end, write_end = os.pipe()
    pid = os.fork()
    if pid == 0:
        text = "no result"
        try:
            os.close(read_end)
            text = str(attempt(function))
        except BaseException as e:  # a probe must never fall back into the parent's code
            text = "%s: %s" % (type(e).__name__, e)
        finally:
            os.write(write_end, text.encode()[:4000])
            os._exit(0)
    os.close(write_end)
    data = b""
    while True:
        piece = os.read(read_end, 4096)
        if not piece:
            break
        data += piece
    os.close(read_end)
    _, status = os.waitpid(pid, 0)
    if os.WIFSIGNALED(status):
        return "killed:" + signal.Signals(os.WTERMSIG(status)).name
    return data.decode("utf-8", "replace")


def kernel():
    """The running kernel's version as a tuple, for calls that are younger than some kernels."""
    parts = os.uname().release.split("-")[0].split(".")
    return tuple(int(p) for p in parts[:2])


class Table:
    """Probes by name, in order."""

    def __init__(self):
        self.entries = []

    def add(self, name, function, want, control=REACHED, child=True, since=(0, 0)):
        """want and control: results separated by spaces; "!X" for any but X, "*" for all."""
        self.entries.append((name, function, want, control, child, since))

    def run(self, out):
        for name, function, want, control, child, since in self.entries:
            if callable(want):
                want = want(POLICY)
            result = in_child(function) if child else attempt(function)
            if kernel() < since:
                control = "*"
            line = {"probe": name, "result": str(result), "want": want, "control": control}
            out.write(json.dumps(line) + "\n")
            out.flush()


def main(table):
    """Reads the policy's name, the only argument after those that every task gets."""
    global POLICY
    if not os.path.isdir("/usr/lib/sandbox-runtime"):
        sys.exit("probes run in an image only: unconfined they change files")
    if sys.argv[-1].startswith("policy="):
        POLICY = sys.argv[-1].split("=", 1)[1]
    table.run(sys.stdout)

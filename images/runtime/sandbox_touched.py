"""Finds out which memory a task touches when it begins, so that a clone has its own copies ahead of its task.

A clone shares its template's memory, and each page that it writes to is copied then, which takes microseconds: a
start writes to hundreds of pages.  So when a process has been warmed, a child of it does what every task does, tells
which pages it had to get for that, and ends.  The process itself is not changed by it, and the clones do nothing but
get these pages.

The pages are those that belong to the child alone (bits 56 and 61 of /proc/PID/pagemap), and those of files that are
not written to, of which a new process has none.
"""

import os
import struct

import sandbox_c
from sandbox_c import Long
from sandbox_job import STARTED_FD, sleep

PAGE = 4096
ENTRY = 8                   # bytes of pagemap for a page
PRESENT = 1 << 63
IS_FILE = 1 << 61
EXCLUSIVE = 1 << 56
WRITE, READ = Long(23), Long(22)        # MADV_POPULATE_WRITE, MADV_POPULATE_READ
SYS_CLONE = 56
PR_SET_PDEATHSIG = 1
SIGKILL = 9
WALL = 0x40000000           # for waitpid(): also a child whose end no signal tells
PATIENCE_S = 10
NAP_S = 0.001
READ_GAP = 16               # pages between two that were read, which are mapped along with these
RANGE = struct.Struct("QQ")
MARK = b"\xff" * RANGE.size  # stands before the ranges to write to, and before those to read


def libc(name):
    return sandbox_c.find(sandbox_c.load(None), name)


def clone():
    """fork() without the functions that are called at a fork, and without a signal at the child's end."""
    return libc("syscall")(Long(SYS_CLONE), Long(0), Long(0), Long(0), Long(0), Long(0))


def ranges_of(entries, start, wanted, gap):
    """The pages whose entries have the bits of `wanted` (a mask and its value), with at most `gap` others between."""
    mask, value = wanted
    first = last = None
    for number, entry in enumerate(entries):
        if entry & mask != value:
            continue
        if first is not None and number - last > gap + 1:
            yield RANGE.pack(start + first * PAGE, (last + 1 - first) * PAGE)
            first = None
        if first is None:
            first = number
        last = number
    if first is not None:
        yield RANGE.pack(start + first * PAGE, (last + 1 - first) * PAGE)


def touched(areas):
    """What this process has touched of these areas, as take() takes it."""
    write, read = [MARK], [MARK]
    pagemap = os.open("/proc/self/pagemap", os.O_RDONLY)
    for area in areas:
        data = os.pread(pagemap, (area.end - area.start) // PAGE * ENTRY, area.start // PAGE * ENTRY)
        entries = memoryview(data[:len(data) // ENTRY * ENTRY]).cast("Q")
        if area.access == "rw-p":
            write += ranges_of(entries, area.start, (PRESENT | EXCLUSIVE | IS_FILE, PRESENT | EXCLUSIVE), 0)
        elif area.inode:
            read += ranges_of(entries, area.start, (PRESENT, PRESENT), READ_GAP)
    return b"".join(write + read)


def in_children(areas, prepare, touch, write_fd):
    """prepare() in this process, which is a child already, and touch() in a child of it, which tells of it."""
    try:
        # What code of modules does at a fork concerns nobody who listens to the process itself.
        null = os.open(os.devnull, os.O_RDWR)
        for fd in range(1, STARTED_FD + 1):
            os.dup2(null, fd)
        os.close(null)
        prepare()
        pid = clone()
        if pid > 0:
            os.waitpid(pid, WALL)
            return
        # Whoever waits for too long ends the process that it knows.
        libc("prctl")(Long(PR_SET_PDEATHSIG), Long(SIGKILL))
        touch()
        data = touched(areas)
        while data:
            data = data[os.write(write_fd, data):]
    except BaseException:
        pass    # nothing is known, then, and each clone finds out for itself
    finally:
        os._exit(0)


def receive(fd):
    """All that comes until the end; nothing where that takes too long."""
    os.set_blocking(fd, False)
    data = b""
    for _ in range(int(PATIENCE_S / NAP_S)):
        try:
            piece = os.read(fd, 65536)
        except BlockingIOError:
            sleep(NAP_S)
            continue
        if not piece:
            return data
        data += piece
    return b""


class Touched(object):
    """The memory that a task touches when it begins."""

    def __init__(self, library, areas, prepare, touch):
        """prepare() is what a clone has done when it gets its task, and touch() what it does from then on.  Each is
        called in a process of its own.
        """
        self.get_pages = sandbox_c.find(library, "park_get", sandbox_c.Procedure)
        self.write = self.read = b""
        read_fd, write_fd = os.pipe()
        pid = clone()
        if pid == 0:
            in_children(areas, prepare, touch, write_fd)
        os.close(write_fd)
        if pid > 0:
            data = receive(read_fd)
            os.kill(pid, SIGKILL)
            os.waitpid(pid, WALL)
            if data.startswith(MARK):
                self.write, self.read = data[len(MARK):].split(MARK)
        os.close(read_fd)

    def __bool__(self):
        return bool(self.write)

    def get(self):
        """Have copies of the pages that are written to, and those that are read mapped."""
        for ranges, advice in ((self.write, WRITE), (self.read, READ)):
            self.get_pages(ranges, Long(len(ranges) // RANGE.size), advice)

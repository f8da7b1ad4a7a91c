"""The end of a task in a process that was parked.

At its end an interpreter frees all that it has.  In a process that was parked, nearly all of that is memory
shared with other processes: it would be copied page by page, only to be thrown away.  So when the interpreter
is done with threads, exit functions and sys.meta_path, and is about to take its modules apart, this module
takes only the task's modules apart, in the interpreter's way, and ends the process.

It does so only where a task cannot tell the difference: the task has returned or called sys.exit() with a
number, none of its threads is left, and no library, which may have a destructor, was loaded since the process
was parked.  Every other end is the interpreter's own, and so is every end in Python 2, which has another
order.
"""

import _thread
import atexit
import builtins
import gc
import os
import sys
import weakref

import sandbox_c

Module = type(sys)


class Finders(list):
    """Stands in for sys.meta_path, which the interpreter frees just before the modules."""

    def __init__(self, finders, leave):
        list.__init__(self, finders)
        self.leave = leave

    def __del__(self):
        self.leave.go()


class Leave(object):

    def __init__(self, library):
        """To be made before any module of the image is imported, because the last exit function registered is
        called first.
        """
        process = sandbox_c.load(None)
        self.status = None
        self.flush_files = sandbox_c.find(process, "fflush")
        self.all_files = sandbox_c.Long(0)
        self.iterate = sandbox_c.Long(sandbox_c.address(process, "dl_iterate_phdr"))
        self.loads = sandbox_c.find(library, "park_loads")
        self.exit = os._exit
        atexit.register(self.at_exit)

    def settle(self):
        """To be called after all imports: what comes after this module in sys.modules will be the task's."""
        sys.modules[__name__] = sys.modules.pop(__name__)
        self.loaded = self.loads(self.iterate)
        self.n_builtins = len(builtins.__dict__)

    def ended(self, code):
        """The task has returned, or raised SystemExit with this code."""
        if code is None:
            self.status = 0
        elif isinstance(code, int) and -1 << 31 <= code < 1 << 31:
            self.status = code & 0xff

    def at_exit(self):
        if (self.status is not None and not _thread._count() and self.loads(self.iterate) == self.loaded
                and flush()):
            sys.meta_path = Finders(sys.meta_path, self)

    def go(self):
        for name in "stdin", "stdout", "stderr":
            setattr(sys, name, getattr(sys, "__%s__" % name, None))
        modules = self.take_modules()
        # this has tracebacks show no source lines, as at that time in the interpreter's own end
        sys.modules["io"] = None
        # Most modules are freed now; what they hold can still see all others.
        gc.collect()
        for module in modules:
            if module() is not None:
                empty(module().__dict__)
        while len(builtins.__dict__) > self.n_builtins:
            builtins.__dict__.popitem()
        gc.collect()
        if flush():
            self.flush_files(self.all_files)
            self.exit(self.status)

    def take_modules(self):
        """Take the task's own modules out of sys.modules, the last one first; returns weak references to them."""
        found = [sys.modules.pop("__main__", None)]
        while sys.modules:
            name, module = sys.modules.popitem()    # the process's older modules are not touched
            if name == __name__:
                break
            found.append(module)
        return [weakref.ref(module) for module in found if isinstance(module, Module)]


def flush():
    """Flush stdout and stderr; False when that fails, which the interpreter's own end will then meet and report."""
    try:
        for stream in sys.stdout, sys.stderr:
            if stream is not None and not stream.closed:
                stream.flush()
    except Exception:
        return False
    return True


def empty(names):
    """Clear a module's dictionary in the interpreter's order."""
    for name in list(names):
        if name[:1] == "_" and name[1:2] != "_":
            names[name] = None
    for name in list(names):
        if name != "__builtins__":
            names[name] = None

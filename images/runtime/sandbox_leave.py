"""The end of a task in a process that was parked.

An interpreter frees at its end all that it has.  Of a process that was parked nearly all of that is
memory that it has in common with others: it would be copied, page by page, only to be thrown away.
So when the interpreter has done with threads, exit functions and sys.meta_path, and is about to take
its modules apart, those of the task are taken apart here, as it would do it, and the process is over.

Only where a task cannot tell: it has returned or called sys.exit() with a number, none of its
threads is left, and no library was loaded since the process was parked, which may have a destructor
of its own.  All else ends as it always does, and so does Python 2, which has another order.
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
    """In place of sys.meta_path, which the interpreter gives up just before the modules."""

    def __init__(self, finders, leave):
        list.__init__(self, finders)
        self.leave = leave

    def __del__(self):
        self.leave.go()


class Leave(object):

    def __init__(self, library):
        """Before any module of the image is imported: exit functions are called last in, first out."""
        process = sandbox_c.load(None)
        self.status = None
        self.flush_files = sandbox_c.find(process, "fflush")
        self.all_files = sandbox_c.Long(0)
        self.iterate = sandbox_c.Long(sandbox_c.address(process, "dl_iterate_phdr"))
        self.loads = sandbox_c.find(library, "park_loads")
        self.exit = os._exit
        atexit.register(self.at_exit)

    def settle(self):
        """After all imports: what comes after this module in sys.modules will be the task's."""
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
        sys.modules["io"] = None    # a traceback shows no source any more
        # Most go now, by themselves: what they hold still sees all of them.
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
        """Takes the task's own out of sys.modules, the last one first; weak references to them."""
        found = [sys.modules.pop("__main__", None)]
        while sys.modules:
            name, module = sys.modules.popitem()    # none but these are touched
            if name == __name__:
                break
            found.append(module)
        return [weakref.ref(module) for module in found if isinstance(module, Module)]


def flush():
    """Whether it works.  Else the interpreter meets it too, and says so."""
    try:
        for stream in sys.stdout, sys.stderr:
            if stream is not None and not stream.closed:
                stream.flush()
    except Exception:
        return False
    return True


def empty(names):
    """A module's dictionary, in the interpreter's order."""
    for name in list(names):
        if name[:1] == "_" and name[1:2] != "_":
            names[name] = None
    for name in list(names):
        if name != "__builtins__":
            names[name] = None

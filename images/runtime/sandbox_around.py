"""Finds out whether a module of the task's own, while it is imported, reads what is another for each sandbox.

The process that is warmed is not in the task's sandbox yet: its host name, its user, its limits and its /run
are different.  A module that keeps one of them would silently give a task a wrong value.

Watched is what Python code reads by the functions below, which are replaced by stand-ins until the modules
are imported.  What C code reads by itself is not seen, nor is the owner of a file.  Modules of the image may
read anything.
"""

import os
import sys

NAMES = ("getuid", "geteuid", "getgid", "getegid", "getgroups", "getresuid", "getresgid", "uname")
# Functions whose first argument is a path.
READERS = ("open", "listdir", "scandir", "readlink")
FOLDERS = ("/run", "/proc/self", "/proc/thread-self", "/proc/net", "/proc/sys/net", "/proc/sys/kernel/random",
           "/sys/fs/cgroup")
FILES = ("/etc/hosts", "/etc/hostname", "/etc/resolv.conf", "/proc/sys/kernel/hostname", "/proc/mounts", "/proc")


def is_of_a_sandbox(path):
    """Whether this path has something else in each sandbox."""
    if isinstance(path, bytes) and not isinstance(path, str):
        path = os.fsdecode(path)
    elif hasattr(path, "__fspath__"):
        path = path.__fspath__()
    if not isinstance(path, str):
        return False    # a file descriptor, or something that the real function will refuse
    path = os.path.abspath(path)
    return (path in FILES or path[len("/proc/"):].split("/")[0].isdigit() and path.startswith("/proc/")
            or any(path == folder or path.startswith(folder + "/") for folder in FOLDERS))


class StandIn(object):
    """An object and not a function, which would become a method where a class has it as a member."""

    def __init__(self, real, told):
        self.real = real
        self.told = told

    def __call__(self, *args, **named):
        self.told(*args, **named)
        return self.real(*args, **named)

    def __getattr__(self, name):
        return getattr(self.real, name)


class Around(object):
    """Calls `reads` with a name for what is read, between begin() and end()."""

    def __init__(self, reads):
        self.reads = reads
        self.on = False

    def begin(self):
        self.on = True
        for name in NAMES:
            self.stand_in(os, name, self.uname if name == "uname" else self.always("os.%s()" % name))
        for name in READERS:
            self.stand_in(os, name, self.path)
        self.stand_in(os, "sysconf", self.sysconf)
        io = sys.modules["io"]
        self.stand_in(io, "open", self.path)
        self.stand_in(sys.modules.get("builtins") or sys.modules["__builtin__"], "open", self.path)
        self.forget_uname()
        if "resource" in sys.modules:
            self.loaded(sys.modules["resource"])
        elif sys.version_info[0] > 2:
            sys.meta_path.insert(0, self)

    def end(self):
        self.on = False
        self.forget_uname()     # also the answer to a module of the image
        if self in sys.meta_path:
            sys.meta_path.remove(self)
        # A module may have imported any of them by name.
        for module in list(sys.modules.values()):
            names = getattr(module, "__dict__", None)
            if isinstance(names, dict):
                for name, value in list(names.items()):
                    if type(value) is StandIn:
                        names[name] = value.real

    def stand_in(self, module, name, told):
        if hasattr(module, name):
            setattr(module, name, StandIn(getattr(module, name), told))

    def tell(self, what):
        if self.on:
            self.reads(what)

    def always(self, what):
        return lambda *args, **named: self.tell(what)

    def path(self, *args, **named):
        for path in args[:1] or list(named.values()):
            if self.on and is_of_a_sandbox(path):
                self.tell(path)

    def sysconf(self, *args):
        if args and args[0] in ("SC_OPEN_MAX", getattr(os, "sysconf_names", {}).get("SC_OPEN_MAX")):
            self.tell("os.sysconf('SC_OPEN_MAX')")

    def uname(self):
        """platform calls uname() whichever part of it is asked for; only some parts are the host's name."""
        frame = sys._getframe(2)
        asked = "uname"
        while frame is not None and frame.f_globals.get("__name__") in ("platform", __name__):
            if frame.f_globals is not globals():
                asked = frame.f_code.co_name
            frame = frame.f_back
        if asked in ("uname", "node"):
            self.tell("the host's name")
        platform = sys.modules.get("platform")
        # platform keeps the answer and would not call uname() again, so its cache is emptied each time.
        if asked != "uname" and type(platform.uname) is not StandIn:
            self.stand_in(platform, "uname", lambda *args: self.forget_uname())

    @staticmethod
    def forget_uname():
        platform = sys.modules.get("platform")
        if getattr(platform, "_uname_cache", None) is not None:
            platform._uname_cache = None

    def loaded(self, resource):
        for name in "getrlimit", "prlimit":
            self.stand_in(resource, name, self.always("resource.%s()" % name))

    # Being a finder in sys.meta_path, it is told when `resource` is imported

    def find_spec(self, name, path=None, target=None):
        if name != "resource":
            return None
        sys.meta_path.remove(self)
        spec = sys.modules["_frozen_importlib"]._find_spec(name, path)
        if spec is not None and spec.loader is not None:
            load = spec.loader.exec_module

            def exec_module(module):
                load(module)
                self.loaded(module)

            spec.loader.exec_module = exec_module
        return spec

"""Records what modules read of a task's surroundings while they are imported to warm a process.

A module keeps what it has read, such as a setting from the environment or an argument.  A warmed module has
what was there before the task came, and the task would see that, where its own import would have found the
task's value.  So what is read is recorded here:

- A variable of the environment.  A task that sets it to another value gets a new interpreter (sandbox_cold).
  So does a task that sets any variable, if a module has read all of them or has run another program, which can
  have read any.
- What differs in every task: its id, host name, payload and arguments.  A module that reads them when it is
  imported cannot be warmed; nor can a module of the task's own that reads what is the sandbox's
  (sandbox_around).

The clock is not watched: logging alone reads it.  For a warmed module, the time of its import is that of the
checkpoint.

What a module of the task's own changes in the environment, it changes for its tasks too.
"""

import os
import struct
import sys

import sandbox_c
from sandbox_around import Around
from sandbox_c import Long, Room
from sandbox_job import names_of

HERE = os.path.dirname(os.path.abspath(__file__))
WATCH = os.path.join(HERE, "watch.so")
LC_ALL = 6
LOCALE = ("LANG", "LANGUAGE", "LC_ALL", "LC_COLLATE", "LC_CTYPE", "LC_MESSAGES", "LC_MONETARY", "LC_NUMERIC",
          "LC_TIME")
RUSAGE_CHILDREN = -1
RUSAGE_WORDS = 18
OF_EACH_TASK = ("TASK_ID", "PAYLOAD_FILE", "CONFIG_FILE")
ENVIRON_DATA = "data" if sys.version_info[0] == 2 else "_data"


def preload():
    """Execute the interpreter again with watch.so, which has to be loaded before any library that asks for a
    variable.
    """
    if os.environ.pop("LD_PRELOAD", None) == WATCH:
        wipe_from_start(b"LD_PRELOAD=")
        return
    if not os.path.exists(WATCH):
        return
    with open("/proc/self/cmdline", "rb") as words:
        argv = words.read().split(b"\0")[:-1]
    os.execve(sys.executable, argv, dict(os.environ, LD_PRELOAD=WATCH))


def wipe_from_start(name):
    """Wipe the string that begins with `name` out of the environment that the process was started with, which
    /proc shows.
    """
    with open("/proc/self/environ", "rb") as environ, open("/proc/self/stat") as stat:
        text = environ.read()
        # env_start is the fiftieth field; the second field ends with the last bracket of the line.
        start = int(stat.read().rpartition(")")[2].split()[47])
    at = (b"\0" + text).index(b"\0" + name)
    length = text.index(b"\0", at) - at
    memset = sandbox_c.find(sandbox_c.load(None), "memset")
    memset(Long(start + at), Long(0), Long(length))


def importing(work_dir):
    """Whether the module that is being imported is of this folder, and not of the image."""
    frame = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        if code.co_name == "<module>" and not code.co_filename.startswith("<"):
            return code.co_filename.startswith(names_of(work_dir))
        frame = frame.f_back
    return False


def forwarding(base, told, names):
    """Methods of `base` that call `told` before they do what they do in `base`."""
    def method(name):
        real = getattr(base, name)

        def forward(self, *args, **named):
            told(self, *args)
            return real(self, *args, **named)

        return forward

    return dict((name, method(name)) for name in names if hasattr(base, name))


def watched(base, reads, whole, one=()):
    """A subclass of `base` that calls `reads` with the member that is read, or with None when all are."""
    told = forwarding(base, lambda self, *args: reads(None), whole)
    told.update(forwarding(base, lambda self, key, *args: reads(key), one))
    return type("watched", (base,), told)


WHOLE = ("__iter__", "__len__", "__eq__", "__ne__", "__repr__", "__reversed__", "copy")
WHOLE_DICT = WHOLE + ("keys", "values", "items", "iterkeys", "itervalues", "iteritems", "popitem", "__or__")
ONE_OF_DICT = ("__getitem__", "__contains__", "get", "has_key", "pop", "setdefault")
WHOLE_LIST = WHOLE + ("__getitem__", "__getslice__", "__contains__", "index", "count", "pop", "__add__")


class Reads(object):
    """Watches during the body of a `with`; afterwards it knows."""

    def __init__(self, work_dir):
        self.work_dir = work_dir
        self.names = set()
        self.all = False
        self.of_each_task = None    # a name for what a module has read that differs in every task
        self.around = Around(self.surroundings)
        process = sandbox_c.load(None)
        self.switch = sandbox_c.find(process, "watch_switch", sandbox_c.Procedure)
        self.kept = sandbox_c.find(process, "watch_names")
        self.host_name = sandbox_c.find(process, "watch_host_name")
        self.getrusage = sandbox_c.find(process, "getrusage")

    def __enter__(self):
        self.before = dict(os.environ)
        self.locale = self.current_locale()
        self.children = self.usage_of_children()
        self.environs = [each for each in (os.environ, getattr(os, "environb", None)) if each is not None]
        data = watched(dict, self.variable, WHOLE_DICT, ONE_OF_DICT)(getattr(os.environ, ENVIRON_DATA))
        for environ in self.environs:
            setattr(environ, ENVIRON_DATA, data)
        self.argv = sys.argv
        sys.argv = self.arguments = watched(list, self.argument, WHOLE_LIST)(self.argv)
        self.orig_argv = getattr(sys, "orig_argv", None)
        if self.orig_argv is not None:
            sys.orig_argv = watched(list, self.original, WHOLE_LIST)(self.orig_argv)
        self.changed = {}
        self.own_since = None
        self.on = True
        if self.switch is not None:
            self.switch(Long(1))
        return self

    def environment(self):
        """The environment, read without recording that."""
        self.on = False
        data = getattr(os.environ, ENVIRON_DATA)
        found = dict((self.text(name), self.text(value)) for name, value in data.items())
        self.on = True
        return found

    def own_come(self):
        """Call this when the next modules are the task's own, which its tasks import as well."""
        self.own_since = self.environment()
        self.around.begin()

    def __exit__(self, *_):
        self.around.end()
        if self.switch is not None:
            self.switch(Long(0))
        if self.own_since is not None:
            before, after = self.own_since, self.environment()
            self.changed = dict((name, after.get(name)) for name in set(after) | set(before)
                                if after.get(name) != before.get(name))
        self.on = False
        data = dict(getattr(os.environ, ENVIRON_DATA).items())
        for environ in self.environs:
            setattr(environ, ENVIRON_DATA, data)
        if sys.argv is self.arguments:
            sys.argv = self.argv
        if self.orig_argv is not None and type(sys.orig_argv).__name__ == "watched":
            sys.orig_argv = self.orig_argv
        self.take_names()
        if self.current_locale() != self.locale:
            self.names.update(LOCALE)
        if self.usage_of_children() != self.children:
            self.all = True

    def take_names(self):
        if self.kept is None:
            return
        room = Room()
        size = self.kept(room, Long(Room._length_))
        if size < 0:
            self.all = True
        else:
            self.names.update(self.text(name) for name in room[:size].split(b"\0") if name)

    @staticmethod
    def text(name):
        return name if isinstance(name, str) else os.fsdecode(name)

    @staticmethod
    def current_locale():
        import _locale
        return _locale.setlocale(LC_ALL, None)

    def usage_of_children(self):
        """Whether the process has waited for a child."""
        usage = struct.pack("%dq" % RUSAGE_WORDS, *[0] * RUSAGE_WORDS)
        self.getrusage(Long(RUSAGE_CHILDREN), usage)
        return any(struct.unpack("%dq" % RUSAGE_WORDS, usage))

    def variable(self, name):
        if not self.on:
            return
        if name is None:
            self.all = True
            # Only a module of the task's: when a library goes through the whole environment, that is not
            # about the task's id.
            if importing(self.work_dir):
                self.of_each_task = "the whole environment"
            return
        name = self.text(name)
        self.names.add(name)
        if name in OF_EACH_TASK:
            self.of_each_task = name

    def argument(self, _):
        self.of_each_task = "sys.argv"

    def original(self, _):
        self.of_each_task = "sys.orig_argv"

    def surroundings(self, what):
        if importing(self.work_dir):
            self.of_each_task = what

    def check(self, module):
        """To be called after a module's import; returns a message when the module cannot be warmed."""
        # The references of sys, of this object and of the call; whoever has another one can read the list
        # later.
        if sys.getrefcount(self.arguments) > 3:
            self.argument(None)
        if self.host_name is not None and self.host_name():
            self.of_each_task = "the host's name"
        if self.of_each_task is None:
            return None
        return ("warm: module '%s' reads %s when it is imported, which is not yet what a task has: read it when the "
                "task runs" % (module, self.of_each_task))

    def differ(self, job):
        """Whether the modules would have read something else if they had been imported in this task."""
        for item in job["env"]:
            name, _, value = item.partition("=")
            if (self.all or name in self.names) and self.before.get(name) != value:
                return True
        return False

    def change(self):
        """Make the changes to the task's environment that the modules have made to theirs."""
        for name, value in self.changed.items():
            if value is not None:
                os.environ[name] = value
            elif name in os.environ:
                del os.environ[name]

"""A parked process that becomes a cold start, where nothing else gives a task what is its own.

Where modules are looked for, the task's folder comes first.  But what was imported to warm the
process is there already, and is not looked for again: a task with a random.py of its own, or with
another numpy than the image's, would get what was warmed.  If its folder has such a name, the process
begins anew, before any user code, as the interpreter that a cold start is.  So it does for what only
an interpreter that starts does: finding the user's site-packages, running an archive, importing modules
under another environment.
"""

import fcntl
import os
import site
import sys

import sandbox_c
from sandbox_c import Long
from sandbox_job import STARTED_FD, fail, fill_file, make_file, text
from sandbox_runtime import SOURCE, script_form

HERE = os.path.dirname(os.path.abspath(__file__))
SIG_SETMASK = 2
SIGNALS = 64
NO_SIGNALS = b"\0" * 128    # a sigset_t


def module_suffixes():
    """What comes after a module's name in the name of its file."""
    if sys.version_info[0] == 2:
        import imp
        return [suffix for suffix, _, _ in imp.get_suffixes()]
    import _imp
    machinery = sys.modules["_frozen_importlib_external"]
    return _imp.extension_suffixes() + machinery.SOURCE_SUFFIXES + machinery.BYTECODE_SUFFIXES


def attributes(module):
    """A module's own names.  One that is loaded when it is used is not used by this."""
    try:
        return object.__getattribute__(module, "__dict__")
    except AttributeError:
        return {}


def is_package(path):
    try:
        return any(name.partition(".")[0] == "__init__" for name in os.listdir(path))
    except OSError:
        return False


class ColdStart(object):

    def __init__(self, run_dir, work_dir, bare):
        """Before any module of the image is imported; `bare` names what a cold start has imported."""
        self.run_dir = run_dir
        self.work_dir = work_dir
        self.bare = bare
        self.argv = [sys.executable, "-u", "-B"]
        # As this interpreter has found out, or nothing where it did not look.
        self.user_site = site.USER_SITE if site.ENABLE_USER_SITE else None
        self.reads = None
        self.env = dict(os.environ)
        self.suffixes = module_suffixes()
        self.stems = self.names = frozenset()
        process = sandbox_c.load(None)
        self.signal = sandbox_c.find(process, "signal")
        self.sigprocmask = sandbox_c.find(process, "sigprocmask")

    def settle(self, reads):
        """After all imports."""
        self.reads = reads
        self.names = frozenset(name for name in sys.modules if "." not in name and name not in self.bare)
        self.stems = frozenset((name + suffix).partition(".")[0]
                               for name in self.names for suffix in self.suffixes)

    def folders(self, job):
        """Where the task's modules are looked for before the image's."""
        if job.get("kind") == b"exec":
            script = os.path.join(self.work_dir, text(job.get("exec", b"")))
            folders = [os.path.dirname(os.path.realpath(script))]
        else:
            folders = [self.work_dir]
        more = [item for item in job["env"] if item.startswith("PYTHONPATH=")]
        if more:
            value = more[-1].partition("=")[2]
            folders += [os.path.join(self.work_dir, folder).rstrip("/") for folder in value.split(":") if value]
        return folders

    def wanted(self, job):
        """Whether the task would find out that this interpreter has started without it."""
        if self.reads is not None and self.reads.differ(job):
            return True
        if self.user_site is not None and os.path.isdir(self.user_site):
            return True
        return self.is_no_source(job) or self.has_own_modules(job)

    def is_no_source(self, job):
        if job.get("kind") != b"exec":
            return False
        try:
            return script_form(os.path.join(self.work_dir, text(job.get("exec", b"")))) != SOURCE
        except EnvironmentError:
            return False    # it is told what is wrong with it

    def has_own_modules(self, job):
        """Whether the task has a module of its own where this process has imported another."""
        for folder in self.folders(job):
            try:
                names = os.listdir(folder)
            except OSError:
                if os.path.isfile(folder):
                    return True     # an archive, whose modules are not seen from here
                continue    # nor does the interpreter find anything there
            for name in names:
                if name.partition(".")[0] in self.stems and self.hides(folder, name):
                    return True
        return False

    def hides(self, folder, name):
        """Whether an import would have found this name before what it has found."""
        if name in self.names and not self.comes_from(folder, name):
            # A folder without code hides no module that is elsewhere: it may be a part of this one.
            path = os.path.join(folder, name)
            if is_package(path) or ("__file__" not in attributes(sys.modules.get(name)) and os.path.isdir(path)):
                return True
        for suffix in self.suffixes:
            module = name[:-len(suffix)]
            if name.endswith(suffix) and module in self.names and not self.comes_from(folder, module):
                return True
        return False

    @staticmethod
    def comes_from(folder, name):
        """Whether the module of this name is the folder's own: `module` in the job of a `park`."""
        has = attributes(sys.modules.get(name))
        places = [has["__file__"]] if has.get("__file__") else has.get("__path__") or ()
        return any(place.startswith(folder + "/") for place in places)

    def go(self, job_text, job):
        """Starts the interpreter as the sandbox's init does, with what a start has for it."""
        argv, env = self.argv, self.env
        if job.get("kind") == b"exec" and sys.version_info[0] > 2:
            argv = argv + [os.path.join(self.work_dir, text(job.get("exec", b"")))]
            env = dict(env, PYTHONPATH=HERE)
        else:
            argv = argv + [os.path.join(HERE, "boot.py"), "run"]
        try:
            for name in "payload", "config":
                path = os.path.join(self.run_dir, name)
                if os.path.exists(path):
                    os.unlink(path)
            fill_file(make_file(os.path.join(self.run_dir, "job")), job_text)
            os.chdir("/")
            os.umask(0o22)
            os.closerange(STARTED_FD + 1, max(int(fd) for fd in os.listdir("/proc/self/fd")) + 1)
            for fd in range(STARTED_FD + 1):
                fcntl.fcntl(fd, fcntl.F_SETFD, 0)
            # What is ignored or blocked stays so in a new program.
            for number in range(1, SIGNALS + 1):
                self.signal(Long(number), Long(0))
            self.sigprocmask(Long(SIG_SETMASK), NO_SIGNALS, Long(0))
            os.execve(argv[0], argv, env)
        except EnvironmentError as error:
            fail(125, "the interpreter cannot be started anew: %s" % error)

"""A parked process that becomes a cold start, because only a new interpreter gives the task what it should
have.

Modules are looked for in the task's folder first.  But a module that was imported to warm the process is
there already and is not looked for again: a task with a random.py of its own, or with another numpy than the
image's, would get the warmed one.  If the task's folder has a module of such a name, the process starts again
as a new interpreter, before any user code runs.  It does so too for what an interpreter does only when it
starts: finding the user's site-packages, running an archive, importing modules under another environment.
"""

import fcntl
import os
import site
import stat
import sys

import sandbox_c
from sandbox_c import Long
from sandbox_job import PACKAGE_LINK, SERVE_FD, STARTED_FD, fail, fill_file, make_file, text
from sandbox_runtime import OWN, SOURCE, script_form

HERE = os.path.dirname(os.path.abspath(__file__))
SIG_SETMASK = 2
SIGNALS = 64
NO_SIGNALS = b"\0" * 128    # a sigset_t
Module = type(sys)


def module_suffixes():
    """The suffixes that the file of a module can have."""
    if sys.version_info[0] == 2:
        import imp
        return [suffix for suffix, _, _ in imp.get_suffixes()]
    import _imp
    machinery = sys.modules["_frozen_importlib_external"]
    return _imp.extension_suffixes() + machinery.SOURCE_SUFFIXES + machinery.BYTECODE_SUFFIXES


def attributes(module):
    """A module's dictionary. Asked for in this way, a module that is loaded lazily stays unloaded.

    What stands in sys.modules may be no module, as the runtime's `js`: its class says where it comes from.
    """
    try:
        has = object.__getattribute__(module, "__dict__")
    except AttributeError:
        has = {}
    if isinstance(module, Module) or "__file__" in has:
        return has
    return {name: value for name, value in vars(type(module)).items() if name in ("__file__", "__path__")}


def is_package(path):
    try:
        return any(name.partition(".")[0] == "__init__" for name in os.listdir(path))
    except OSError:
        return False


def serves():
    """Whether this process was given the socket of a run that serves: it was parked with no socket at all."""
    try:
        return stat.S_ISSOCK(os.fstat(SERVE_FD).st_mode)
    except OSError:
        return False


def state_of(folder):
    """What is another if this is another folder, or has another content; None where there is none."""
    try:
        found = os.stat(folder)
    except OSError:
        return None
    return found.st_dev, found.st_ino, found.st_mtime, found.st_ctime


def is_in(module, folder):
    """Whether a module is the interpreter's own, or of a folder, but not of its site-packages."""
    has = attributes(module)
    path = has.get("__file__")
    if path is None:
        return "__path__" not in has
    return path.startswith(folder + "/") and "-packages/" not in path


def serves_http(job):
    return job.get("kind") == b"entry" and text(job.get("entry", b"")).startswith(OWN)


class ColdStart(object):

    def __init__(self, run_dir, work_dir, bare):
        """To be made before any module of the image is imported; `bare` names the modules that a cold start
        has imported.
        """
        self.run_dir = run_dir
        self.work_dir = work_dir
        self.bare = bare
        self.argv = [sys.executable, "-u", "-B"]
        # The folder that this interpreter has found, or None where it was told not to look.
        self.user_site = site.USER_SITE if site.ENABLE_USER_SITE else None
        self.reads = None
        self.env = dict(os.environ)
        self.suffixes = module_suffixes()
        self.stems = self.names = self.hidden = frozenset()
        self.seen = {}      # by folder: what is not hidden by it, and the state in which it was
        process = sandbox_c.load(None)
        self.signal = sandbox_c.find(process, "signal")
        self.sigprocmask = sandbox_c.find(process, "sigprocmask")

    def settle(self, reads):
        """To be called after all imports."""
        self.reads = reads
        self.names = frozenset(name for name in sys.modules if "." not in name and name not in self.bare)
        self.stems = frozenset((name + suffix).partition(".")[0]
                               for name in self.names for suffix in self.suffixes)
        # Which of them an HTTP worker's files do not hide, because they are found before the worker's.
        standard = os.path.dirname(os.__file__)
        self.first = frozenset(name for name in self.names if is_in(sys.modules.get(name), standard)
                               or name.startswith(OWN))
        self.hidden = self.names - self.first

    def folders(self, job):
        """The folders in which the task's modules are looked for before the image's."""
        if job.get("kind") == b"exec":
            script = os.path.join(self.work_dir, text(job.get("exec", b"")))
            folders = [os.path.dirname(os.path.realpath(script))]
        else:
            folders = [self.work_dir]
            if serves_http(job):
                folders.append(os.path.join(self.work_dir, "python_modules"))
        more = [item for item in job["env"] if item.startswith("PYTHONPATH=")]
        if more:
            value = more[-1].partition("=")[2]
            folders += [os.path.join(self.work_dir, folder).rstrip("/") for folder in value.split(":") if value]
        return folders

    def wanted(self, job):
        """Whether the task could tell that this interpreter was started without it."""
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
            return False    # running it will tell what is wrong with the file

    def has_own_modules(self, job):
        """Whether the task has a module by the name of one that this process has imported from elsewhere."""
        imported = self.hidden if serves_http(job) else self.names
        return any(self.seen.get(folder) != (imported, state_of(folder)) and self.is_hiding(folder, imported)
                   for folder in self.folders(job))

    def is_hiding(self, folder, imported):
        """Whether an import would find something in this folder before one of the modules that were imported."""
        try:
            names = os.listdir(folder)
        except OSError:
            # In an archive module names are not looked for; of anything else the interpreter finds nothing either.
            return os.path.isfile(folder)
        return any(name.partition(".")[0] in self.stems and self.hides(folder, name, imported) for name in names)

    def look_ahead(self, job):
        """Look into the folders of a job of this kind before there is one: they are looked into again where they are
        others by then.
        """
        imported = self.hidden if serves_http(job) else self.names
        for folder in self.folders(job):
            state = state_of(folder)
            if not self.is_hiding(folder, imported):
                self.seen[folder] = imported, state

    def hides(self, folder, name, imported):
        """Whether an import would have found this file or folder before the module that was imported."""
        if name in imported and not self.comes_from(folder, name):
            # A folder without __init__ hides no module that is elsewhere: it may be a part of a namespace
            # package.
            path = os.path.join(folder, name)
            if is_package(path) or ("__file__" not in attributes(sys.modules.get(name)) and os.path.isdir(path)):
                return True
        for suffix in self.suffixes:
            module = name[:-len(suffix)]
            if name.endswith(suffix) and module in imported and not self.comes_from(folder, module):
                return True
        return False

    def comes_from(self, folder, name):
        """Whether the imported module of this name comes from this folder (the job of a `park` named it as
        `module`).
        """
        has = attributes(sys.modules.get(name))
        places = [has["__file__"]] if has.get("__file__") else has.get("__path__") or ()
        places = [self.work_dir + place[len(PACKAGE_LINK):] if place.startswith(PACKAGE_LINK + "/") else place
                  for place in places]
        return any(place.startswith(folder + "/") for place in places)

    def go(self, job_text, job):
        """Execute the interpreter as the sandbox's init does, with everything as a start has it."""
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
            last = SERVE_FD if serves() else STARTED_FD
            os.closerange(last + 1, max(int(fd) for fd in os.listdir("/proc/self/fd")) + 1)
            for fd in range(last + 1):
                fcntl.fcntl(fd, fcntl.F_SETFD, 0)
            # A new program inherits which signals are ignored or blocked.
            for number in range(1, SIGNALS + 1):
                self.signal(Long(number), Long(0))
            self.sigprocmask(Long(SIG_SETMASK), NO_SIGNALS, Long(0))
            os.execve(argv[0], argv, env)
        except EnvironmentError as error:
            fail(125, "the interpreter cannot be started anew: %s" % error)

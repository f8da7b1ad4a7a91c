"""The runtime: what stands between a new interpreter and a task's first line.

It is installed in every image as /usr/lib/sandbox-runtime and started by the
sandbox's init as the payload, pid 2, in one of three ways:

    /usr/bin/python3 -u -B /usr/lib/sandbox-runtime/boot.py run
    /usr/bin/python3 -u -B /usr/lib/sandbox-runtime/boot.py park
    PYTHONPATH=/usr/lib/sandbox-runtime /usr/bin/python3 -u -B /work/SCRIPT

with PATH, HOME and LANG=C.UTF-8 in the environment.  The third way is for a job
of the kind exec on Python 3 and does the same as `run`, a millisecond sooner:
the interpreter finds sitecustomize.py, which prepares everything, and then runs
the script itself.  (compile(), of which `run` has need, first makes all classes
of the module ast.)

SANDBOX_RUN and SANDBOX_WORK in the environment name other folders than /run and
/work (for tests).  The same source runs on Python 2.7 and on 3.9 to 3.14 and
uses the standard library only.

File descriptors: 0 /dev/null, 1 and 2 the task's output, 3 the go pipe (read
end), 4 the started pipe (write end).  3 and 4 are closed before user code, which
finds 0, 1 and 2 (and, restored, what sandbox_c says of libffi).  A run that serves
has one more, 5: a Unix socket that listens, or one end of a pair.  It is inherited
by what the task executes unless the task's code changes that.  In no other run is
there anything at 5 that was not opened by its own code.

The job is RUN/job, removed once it is read: records of `KEY LENGTH\\n`, LENGTH
bytes, `\\n`.  KEY is one of
    id        the task's id                   kind     the key of what is to be run:
    exec      a script, relative to WORK      code     source text
    entry     module:function                 payload  JSON text
    shell     a script of sh, relative to WORK
    command   a line for sh; the arguments come after it
    config    text                            seed     bytes of the supervisor's entropy
    hostname, label                           for information
    streams   together: its stderr is its stdout
    policy    its name, to be told where it is why a task has ended
    arg, env                                  repeated; env is NAME=VALUE
    warm, module                              repeated, for `park`: modules to import
    entropy                                   for `park`: refuse
A key that is absent is unset.

An `entry`, `warm` or `module` whose name begins with `_sandboxd_` is the runtime's own:
its folder `http`, which is in no other task's sys.path, comes before WORK then.  In
a process that is parked it is taken out again after the imports, if it is the first
one still.

run:  reads the job, makes the task's surroundings and runs it.
park: reads a job that holds only `warm`, `module` and `entropy` records, imports
      the modules, moves its heap into the file RUN/heap, writes `P` to fd 4 and
      blocks reading fd 3, where it is dumped, or held as a template of which
      clones are made.  Before that, children of it rehearse a task.
      Restored or cloned, it reads one byte from fd 3.  Anything but these, or
      end of file, is exit status 4:
      `g`: it reads the job, repairs all that must be unique to a process, with
           the job's seed, and goes on as `run` does.
      `c`: it is a clone that is made ahead of its task.  It repairs all that
           must be unique, does everything that needs no job (RUN/payload and
           RUN/config exist from here on), writes `P` to fd 4 again and blocks
           reading fd 3 again.  Now only `g` is known.  The job's seed is not
           used.  WORK may still be filled before the `g`.
      `s`: of a clone alone, whose go pipe is a socket: the socket of a run that
           serves comes with the next message.  It is taken, and the wait goes on.

After the last `g`, the process becomes a cold start where only this gives the task
what it would get without a parked process: it puts RUN/job back, removes RUN/payload
and RUN/config and executes the interpreter in the first way, or the third, with the
job as it came.  That is where
- the task's folder (the script's; what PYTHONPATH in its environment names) has a
  module of the name of one that is imported here, but not by a bare interpreter and
  not from this folder.  Folders that its code adds to sys.path are not looked at;
- the folder has what an interpreter looks for when it starts: site-packages of the
  user's own, WORK being HOME;
- the script is no source text: a folder, an archive, bytecode;
- the environment has another value than there was for a variable that modules have
  read while they were imported.

A module that reads sys.argv, the host's name, TASK_ID, PAYLOAD_FILE, CONFIG_FILE or
the whole environment while it is imported is not parked; nor is one of WORK that
reads what is its sandbox's (sandbox_around).

`module` is a package's own, imported after all `warm` ones, in order; sys.path
begins with WORK for both.  With `entropy refuse`, a module's code in WORK that
draws a random number while a `module` is imported gets a RuntimeError that names
the function: those of random and secrets, random.Random() without a seed,
os.urandom and os.getrandom, uuid1, uuid4, uuid6 and uuid7, numpy.random's global
ones and default_rng() without a seed.  If the state of random's or numpy's global
generator is another one after the import, parking fails.  Modules of the image
may draw when such an import has them imported: it is repaired, as for `warm`.
All is as it was before the process is parked.

A process that was parked ends sooner than others, by what sandbox_leave says.

The surroundings: cwd is WORK; argv is the script and `-d WORK -payload FILE
-config FILE -id ID` and the job's arguments; the environment is PATH, HOME=WORK
and LANG=C.UTF-8, then the job's, then TASK_ID, TASK_DIR, PAYLOAD_FILE and CONFIG_FILE, and
nothing else.  The files RUN/payload and RUN/config always exist; unset is empty.

`S NANOSECONDS\\n` (CLOCK_MONOTONIC; 0 where this Python has no such clock) on fd
4 says that user code comes next (in the third way, that the interpreter reads
the script next).  End of file without it means that there was no user code to run.

Exit status: the task's own, as of a bare interpreter; 3 a module does not import
or the process cannot be parked (park), 4 no go byte, or what is done ahead of the
task failed (another process can have it), 125 a job that makes no sense or a repair
that failed, 126 the script cannot be read, 127 there is no such script, module or
function.
"""

import os
import sys

from sandbox_job import (GO_FD, SERVE_FD, STARTED_FD, cannot_open, fail, folders, has_main, keep_order, read_file,
                         read_job, started, surround, surround_ahead, take_job, tell_python_2, text)

try:
    import builtins
except ImportError:
    import __builtin__ as builtins

CODE_NAME = "<code>"
PYTHON_3 = sys.version_info[0] == 3
# Up to 3.13 the interpreter gives every module __annotations__.
ANNOTATED = PYTHON_3 and sys.version_info < (3, 14)
CO_VARARGS = 0x04
CODE_TYPE = type((lambda: None).__code__)
# The forms that a script can have.
SOURCE, FOLDER, ARCHIVE, BYTECODE = range(4)
ARCHIVE_MARK = b"PK\5\6"
ARCHIVE_TAIL = 22 + 0xffff    # the end of an archive's directory, with the longest comment
BYTECODE_HEAD = 16 if PYTHON_3 else 8
# How the names of the runtime's own modules begin that a job may name, and their folder.
OWN = "_sandboxd_"
OWN_FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "http")


class Run(object):
    """One task, from its job to its end."""

    def __init__(self, job, work_dir, ahead, clock=None, resume=None, fds=(GO_FD, STARTED_FD)):
        self.job = job
        self.work_dir = work_dir
        self.ahead = ahead
        self.clock = clock
        self.resume = resume
        self.fds = fds
        self.source = None
        self.leave = None
        self.reads = None

    def go(self):
        kind = text(self.job.get("kind", b""))
        value = self.job.get(kind)
        start = {"exec": self.start_exec, "code": self.start_code, "entry": self.start_entry,
                 "shell": self.start_shell, "command": self.start_command}.get(kind)
        if start is None or value is None:
            fail(125, "the job does not say what to run")
        self.args = surround(self.job, self.work_dir, self.ahead)
        if self.reads is not None:
            self.reads.change()
        if self.leave is None:
            start(value)
            return
        try:
            start(value)
        except SystemExit as error:
            self.leave.ended(error.code)
            raise
        self.leave.ended(None)

    def started(self):
        started(self.clock, self.fds)
        if self.resume is not None:
            self.resume()

    def set_program(self, name, folder):
        sys.path[0] = folder
        sys.argv = [name] + self.args
        if hasattr(sys, "orig_argv"):
            sys.orig_argv = [sys.executable, "-u"] + sys.argv

    def new_main(self, **names):
        """A __main__ as the interpreter makes it for a script, in place of boot.py's."""
        main = type(sys)("__main__")
        names["__builtins__"] = builtins
        if ANNOTATED:
            names["__annotations__"] = {}
        main.__dict__.update(names)
        # Python 2 empties a module's dictionary when the module is freed, and boot.py still runs in it.
        self.boot_main = sys.modules["__main__"]
        sys.modules["__main__"] = main
        return main.__dict__

    # The kinds of jobs

    def start_exec(self, script):
        path = os.path.join(self.work_dir, text(script))
        try:
            form = script_form(path)
            source = b"" if form == FOLDER else read_file(path)
        except EnvironmentError as error:
            cannot_open(path, error)
        if form in (FOLDER, ARCHIVE):
            self.start_main_of(path)
            return
        if form == BYTECODE:
            import marshal
            try:
                source = marshal.loads(source[BYTECODE_HEAD:])
            except (ValueError, EOFError, TypeError) as error:
                fail(1, "can't run file '%s': %s" % (path, error))
        self.set_program(path, os.path.dirname(os.path.realpath(path)))
        names = {"__file__": path}
        if PYTHON_3:
            machinery = sys.modules["_frozen_importlib_external"]
            names["__loader__"] = machinery.SourceFileLoader("__main__", path)
            names["__cached__"] = None
        self.run_source(source, path, self.new_main(**names))

    def start_main_of(self, path):
        """Run the __main__ of a folder or an archive as the interpreter itself does."""
        import runpy
        self.set_program(path, path)
        self.new_main()
        self.started()
        try:
            runpy._run_module_as_main("__main__", False)
        except:  # noqa: E722, every exception, to be handed on
            self.hook()
            raise

    def start_code(self, source):
        self.set_program("-c", self.work_dir)
        names = {}
        if PYTHON_3:
            names["__loader__"] = sys.modules["_frozen_importlib"].BuiltinImporter
            source = source.decode("utf-8", "surrogatepass")
            self.source = source
        else:
            self.source = source
            source = b"\xef\xbb\xbf" + source
        self.seed_linecache()
        self.run_source(source, CODE_NAME, self.new_main(**names))

    def start_shell(self, script):
        path = os.path.join(self.work_dir, text(script))
        if not os.path.exists(path):
            fail(127, "can't open file '%s': there is none in the package" % path)
        self.become("sh", [path])

    def start_command(self, line):
        # As with `sh -c`: the words that every worker gets are "$@".
        self.become("sh", ["-c", text(line) + ' "$@"', "sh"])

    def become(self, program, words):
        """Execute another program in place of this process."""
        args = [program] + words + self.args
        import signal
        # the interpreter ignores these signals, and the program would inherit that
        for name in ("SIGPIPE", "SIGXFSZ"):
            signal.signal(getattr(signal, name), signal.SIG_DFL)
        self.started()
        try:
            os.execv("/bin/" + program, args)
        except OSError as error:
            fail(126, "/bin/%s: %s" % (program, error.strerror))

    def run_source(self, source, name, scope):
        try:
            try:
                code = source if isinstance(source, CODE_TYPE) else compile(source, name, "exec", 0, True)
            finally:
                # A syntax error is the user's, so user code counts as started before it is raised.
                del source
                self.started()
            exec(code, scope)
        except:  # noqa: E722, every exception, to be handed on
            self.hook()
            raise

    def start_entry(self, entry):
        entry = text(entry)
        module_name, _, path = entry.partition(":")
        # The runtime's own entries put the work folder into the path themselves, behind the standard library.
        self.set_program(entry, OWN_FOLDER if entry.startswith(OWN) else self.work_dir)
        self.new_main()
        payload = None
        if self.job.get("payload"):
            import json
            payload = self.job["payload"].decode("utf-8", "replace")
            try:
                payload = json.loads(payload)
            except ValueError:
                pass    # a payload is text; a client may send one that is not JSON
        self.started()
        try:
            target = self.find_entry(entry, module_name, path)
            result = target(payload) if takes_argument(target) else target()
            if type(result).__name__ == "coroutine":
                import asyncio
                result = asyncio.run(result)
            if result is not None:
                self.print_result(entry, result)
        except:  # noqa: E722
            self.hook()
            raise

    def find_entry(self, entry, module_name, path):
        try:
            __import__(module_name)
        except ImportError as error:
            # Only when this module is missing, not a module that it imports.
            if not PYTHON_3:
                missing = sys.exc_info()[2].tb_next is None
            else:
                missing = isinstance(error, ModuleNotFoundError) and (
                    (module_name + ".").startswith("%s." % error.name))
            if not missing:
                raise
            fail(127, "entry '%s': there is no module '%s' in %s or the image"
                 % (entry, module_name, self.work_dir))
        target = sys.modules[module_name]
        for name in path.split("."):
            if not hasattr(target, name):
                fail(127, "entry '%s': '%s' is not in module '%s'" % (entry, path, module_name))
            target = getattr(target, name)
        if not callable(target):
            fail(126, "entry '%s' cannot be called" % entry)
        return target

    def print_result(self, entry, result):
        import json
        try:
            line = json.dumps(result, allow_nan=False)
        except (TypeError, ValueError, OverflowError) as error:
            sys.stderr.write("sandbox: the result of '%s' cannot be written as JSON: %s\n" % (entry, error))
            sys.exit(1)
        sys.stdout.write(line + "\n")
        sys.stdout.flush()

    # How an exception is shown

    def hook(self):
        """Have the interpreter handle the exception on its way out, without these frames in its traceback.

        So SystemExit, KeyboardInterrupt and a hook of the task's own work as they do without the runtime.
        """
        shown = sys.excepthook
        own = sys._getframe().f_code.co_filename
        if self.source is not None and sys.exc_info()[0] is KeyboardInterrupt:
            # After a KeyboardInterrupt the interpreter notes that it has to end by SIGINT.  Up to 3.13 any
            # eval() after that clears the note, and modules that are needed to print a traceback call eval()
            # when they are imported: so they are imported now.
            import traceback
            traceback.format_exc()

        def excepthook(kind, value, trace):
            trace = trace and trace.tb_next     # the first frame is boot.py's
            while trace is not None and trace.tb_frame.f_code.co_filename == own:
                trace = trace.tb_next
            sys.excepthook = shown
            sys.last_traceback = trace
            if hasattr(value, "__traceback__"):
                value.__traceback__ = trace
            if self.source is not None and shown is sys.__excepthook__:
                # The interpreter's own printer looks for source lines only in files.
                import traceback
                traceback.print_exception(kind, value, trace)
            else:
                shown(kind, value, trace)
            if PYTHON_3 and isinstance(value, SyntaxError):
                tell_python_2(value)

        # Pythons up to 3.11 borrow their reference to the hook, and the hook removes itself: this one keeps
        # it alive.
        Run.last_hook = sys.excepthook = excepthook

    def seed_linecache(self):
        """Give linecache the source text, for tracebacks; without importing linecache, which takes time."""
        if "linecache" in sys.modules or not PYTHON_3:
            import linecache
            self.add_lines(linecache)
        else:
            sys.meta_path.insert(0, LinecacheFinder(self.add_lines))

    def add_lines(self, linecache):
        lines = [line + "\n" for line in self.source.split("\n")]
        linecache.cache[CODE_NAME] = (len(self.source), None, lines, CODE_NAME)


def script_form(path):
    """The form of a script, by the interpreter's own rules."""
    if has_main(path):
        return FOLDER
    fd = os.open(path, os.O_RDONLY)
    try:
        head = os.read(fd, 2)
        # An archive's directory is at its end, and its beginning may be anything.
        os.lseek(fd, max(0, os.fstat(fd).st_size - ARCHIVE_TAIL), os.SEEK_SET)
        archive = ARCHIVE_MARK in os.read(fd, ARCHIVE_TAIL)
    finally:
        os.close(fd)
    if archive:
        import zipimport
        try:
            zipimport.zipimporter(path)
            return ARCHIVE
        except zipimport.ZipImportError:
            pass
    return BYTECODE if path.endswith(".pyc") or head == magic() else SOURCE


def magic():
    """The first two bytes of this interpreter's bytecode."""
    if PYTHON_3:
        return sys.modules["_frozen_importlib_external"].MAGIC_NUMBER[:2]
    import imp
    return imp.get_magic()[:2]


class LinecacheFinder(object):
    """Finds linecache once, as the next finder would, and calls `loaded` with the module."""

    def __init__(self, loaded):
        self.loaded = loaded

    def find_spec(self, name, path=None, target=None):
        if name != "linecache":
            return None
        sys.meta_path.remove(self)
        spec = sys.modules["_frozen_importlib"]._find_spec(name, path)
        load = spec.loader.exec_module

        def exec_module(module):
            load(module)
            self.loaded(module)

        spec.loader.exec_module = exec_module
        return spec


def takes_argument(target):
    """Whether a callable can be called with one positional argument."""
    code = getattr(target, "__code__", None)
    if code is not None and type(target).__name__ == "function":
        return code.co_argcount > 0 or bool(code.co_flags & CO_VARARGS)
    code = getattr(getattr(target, "__func__", None), "__code__", None)
    if code is not None:
        return code.co_argcount > 1 or bool(code.co_flags & CO_VARARGS)
    import inspect
    try:
        inspect.signature(target).bind(None)
    except TypeError:
        return False
    except (AttributeError, ValueError):    # no signature to be had: Python 2, or a callable written in C
        return True
    return True


def main(argv):
    keep_order()
    run_dir, work_dir = folders()
    if argv[1] == "park":
        # A library may keep a file open, and not where the socket of a run that serves will be.
        os.dup2(GO_FD, SERVE_FD)
        bare = frozenset(name for name in sys.modules if not name.startswith("sandbox_"))
        import sandbox_reads
        sandbox_reads.preload()
        import sandbox_park
        run = sandbox_park.park(run_dir, work_dir, bare)
    else:
        job = read_job(take_job(run_dir + "/job"))
        run = Run(job, work_dir, surround_ahead(run_dir, work_dir))
    run.go()

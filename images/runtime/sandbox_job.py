"""A task's job, and the surroundings that it asks for; sandbox_runtime has the contract.

Every cold start loads this module, so it holds only what all of them need.
"""

import atexit
import fcntl
import io
import os
import sys
from time import sleep      # taken now: a task may replace time.sleep

GO_FD = 3
STARTED_FD = 4
SERVE_FD = 5    # of a run that serves: its socket
NO_TASK = 4     # exit status of a process that never had a task; the monitor knows it (fork/clone.c)
REPEATED = frozenset(("arg", "env", "warm", "module"))
# The keys of most jobs: a look-up is faster than decoding.
KEYS = dict((name.encode(), name) for name in (
    "id", "kind", "exec", "code", "entry", "payload", "config", "seed", "hostname", "label", "streams", "arg", "env",
    "policy"))
HEEDED = ("TZ", "PYTHONPATH")
BASE_ENV = (
    ("PATH", "/usr/local/bin:/usr/bin:/bin"),
    ("LANG", "C.UTF-8"),
)

if sys.version_info[0] == 2:
    def text(value):
        return value
else:
    text = os.fsdecode


no_task_yet = False


def without_task(is_so):
    """Say whether what fails from now on fails before there is a task whose end it could be."""
    global no_task_yet
    no_task_yet = is_so


def fail(status, message):
    """End the process for a reason that is not the task's own code."""
    sys.stderr.write("sandbox: %s\n" % message)
    sys.stderr.flush()
    os._exit(NO_TASK if no_task_yet else status)


def read_file(path):
    fd = os.open(path, os.O_RDONLY)
    try:
        chunks = []
        while True:
            chunk = os.read(fd, 65536)
            if not chunk:
                return b"".join(chunks)
            chunks.append(chunk)
    finally:
        os.close(fd)


def make_file(path):
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o400)


def fill_file(fd, data):
    try:
        while data:
            data = data[os.write(fd, data):]
    finally:
        os.close(fd)


def parse_job(data):
    job = {"arg": [], "env": [], "warm": [], "module": []}
    at = 0
    size = len(data)
    while at < size:
        head = data.index(b"\n", at)
        key, length = data[at:head].split(b" ")
        end = head + 1 + int(length)
        if data[end:end + 1] != b"\n":
            raise ValueError("record %r is cut short" % key)
        key = KEYS.get(key) or text(key)
        if key in REPEATED:
            job[key].append(text(data[head + 1:end]))
        else:
            job[key] = data[head + 1:end]
        at = end + 1
    return job


def take_job(path):
    """Read the job's file and remove it; returns its text."""
    try:
        data = read_file(path)
        os.unlink(path)
    except EnvironmentError as error:
        fail(125, "the job cannot be read: %s" % error)
    return data


def read_job(data):
    """Parse a job's text."""
    try:
        return parse_job(data)
    except ValueError as error:
        fail(125, "the job cannot be read: %s" % error)


def folders():
    """The run folder and the work folder."""
    return os.environ.get("SANDBOX_RUN", "/run"), os.environ.get("SANDBOX_WORK", "/work")


def surround_ahead(run_dir, work_dir):
    """Make those of a task's surroundings that no job decides; returns what surround() goes on with."""
    payload_file = run_dir + "/payload"
    config_file = run_dir + "/config"
    try:
        fds = make_file(payload_file), make_file(config_file)
    except EnvironmentError as error:
        fail(125, "the task's surroundings cannot be made: %s" % error)
    own = {"TASK_ID": "", "TASK_DIR": work_dir, "PAYLOAD_FILE": payload_file, "CONFIG_FILE": config_file}
    os.environ.clear()
    os.environ.update(BASE_ENV, HOME=work_dir, **own)
    return fds, own


def heed(env):
    """Do what the C library and the interpreter do at their start about variables of the environment."""
    if "TZ" in env:
        import time
        time.tzset()
    if env.get("PYTHONPATH"):
        # Of the interpreter's own variables, this one can still be given its effect.
        sys.path[1:1] = [os.path.abspath(folder) for folder in env["PYTHONPATH"].split(":")]


# The link in every image by which HTTP workers know the work folder.
PACKAGE_LINK = "/session/metadata"


def names_of(work_dir):
    """The beginnings of the paths of the work folder's files."""
    return work_dir + "/", PACKAGE_LINK + "/"


policy = None
INTERPRETER_PATH = list(sys.path)   # this module's folder is in it, and no folder of the task's


def tell_of_refusal():
    """At the end of a task: if an error ended it, and the task's policy was the reason, say so."""
    error = getattr(sys, "last_value", None)
    if policy and error is not None:
        path = sys.path
        sys.path = INTERPRETER_PATH
        try:
            import sandbox_refused
            sandbox_refused.tell(error, sys.last_traceback, policy)
        except Exception:
            pass    # the traceback of the error itself has been printed already
        sys.path = path


class Stderr(io.FileIO):
    """Standard error; it is written to only when everything in standard output's pipe has been read.

    The two are two pipes, and nothing else tells the logger which text was written first.
    """

    FIONREAD = 0x541b
    YIELDS = 20
    NAPS = 200              # a second in all
    NAP_MAX = 0.005

    def __init__(self):
        io.FileIO.__init__(self, 2, "w", closefd=False)
        self.name = "<stderr>"
        self.stdout = None
        self.patience = True

    def begin(self):
        """Note the task's pipe; called when descriptors 1 and 2 are the task's."""
        self.stdout = os.fstat(1).st_ino

    def unread(self):
        """Whether standard output, if it is still the same pipe, has text that the logger has not read."""
        try:
            if self.stdout is None or os.fstat(1).st_ino != self.stdout:
                return False
            return fcntl.ioctl(1, self.FIONREAD, b"\0\0\0\0") != b"\0\0\0\0"
        except EnvironmentError:
            return False

    def settle(self):
        if not self.unread():
            self.patience = True
            return
        if not self.patience:
            return
        for _ in range(self.YIELDS):
            os.sched_yield()
            if not self.unread():
                return
        nap = 0.00005
        for _ in range(self.NAPS):
            sleep(nap)
            nap = min(2 * nap, self.NAP_MAX)
            if not self.unread():
                return
        self.patience = False   # the logger is being replaced: do not wait for it again with every line

    def write(self, data):
        self.settle()
        return io.FileIO.write(self, data)


ordered = None


def keep_order():
    """Have Python's stdout and stderr logged in the order in which they are written."""
    global ordered
    if sys.version_info[0] == 2:
        return      # its file objects write through the C library
    old = sys.stderr
    ordered = Stderr()
    new = io.TextIOWrapper(ordered, old.encoding, old.errors, "\n", old.line_buffering, True)
    new.mode = "w"
    sys.stderr = sys.__stderr__ = new


def surround(job, work_dir, ahead):
    """Make the rest of the task's surroundings; returns its arguments."""
    global policy
    if policy is None:
        atexit.register(tell_of_refusal)
    policy = text(job.get("policy", b""))
    if job.get("streams") == b"together":
        os.dup2(1, 2)   # the client's stdout and stderr are one, too
    elif ordered is not None:
        ordered.begin()
    (payload_fd, config_fd), own = ahead
    try:
        os.chdir(work_dir)
        fill_file(payload_fd, job.get("payload", b""))
        fill_file(config_fd, job.get("config", b""))
    except EnvironmentError as error:
        fail(125, "the task's surroundings cannot be made: %s" % error)

    env = os.environ
    heeded = False
    for item in job["env"]:
        name, _, value = item.partition("=")
        if name not in own:
            env[name] = value
            heeded = heeded or name in HEEDED
    env["TASK_ID"] = task_id = text(job.get("id", b""))
    if heeded:
        heed(env)
    return ["-d", work_dir, "-payload", own["PAYLOAD_FILE"], "-config", own["CONFIG_FILE"],
            "-id", task_id] + job["arg"]


def has_main(path):
    """Whether the path is a folder with a __main__."""
    return os.path.isdir(path) and any(os.path.isfile(path + "/__main__" + suffix) for suffix in (".py", ".pyc"))


def cannot_open(path, error):
    import errno
    missing = error.errno in (errno.ENOENT, errno.ENOTDIR)
    fail(127 if missing else 126,
         "can't open file '%s': [Errno %d] %s" % (path, error.errno, error.strerror))


def started(clock=None, fds=(GO_FD, STARTED_FD)):
    """Tell the supervisor that user code comes next. It is no error when nobody listens."""
    if clock is None:
        import time
        clock = getattr(time, "monotonic_ns", int)
    try:
        os.write(fds[1], b"S %d\n" % clock())
    except OSError:
        pass
    for fd in fds:
        try:
            os.close(fd)
        except OSError:
            pass


def tell_python_2(error):
    """One line more where a syntax error looks like code for Python 2: many tasks were written when there was no
    other.
    """
    import re

    line = error.text or ""
    if re.search(r"Missing parentheses in call to '(print|exec)'|multiple exception types must be parenthesized"
                 r"|leading zeros in decimal integer", str(error.msg)) or \
            re.search(r"^\s*(print\b(?!\s*[(=.])|exec\s+[^(=\s]|raise\s+[\w.]+\s*,"
                      r"|except\s+[\w.(), ]+,\s*\w+\s*:)|<>|\bur['\"]|\b0[0-7]+\b", line):
        sys.stderr.write("sandbox: this is Python 2, and it runs on Python %d.%d here: the image iron27 (stack "
                         "\"python-2.7\") has Python 2.7\n" % sys.version_info[:2])
        sys.stderr.flush()


def tell_last_python_2():
    """The same when the interpreter has shown the error that ended it."""
    if isinstance(getattr(sys, "last_value", None), SyntaxError):
        tell_python_2(sys.last_value)


def prepare_script():
    """Prepare this interpreter, which is about to run a script, so that it runs it as a task."""
    keep_order()
    if sys.version_info[0] == 3:
        # The interpreter shows a syntax error of the script by itself, without a hook of the runtime's.
        import atexit
        atexit.register(tell_last_python_2)
    run_dir, work_dir = folders()
    job = read_job(take_job(run_dir + "/job"))
    script = os.path.join(work_dir, text(job.get("exec", b"")))
    if job.get("kind") != b"exec" or script != sys.argv[0]:
        fail(125, "the job is not to run '%s'" % sys.argv[0])
    # sys.path begins with this module's folder, from PYTHONPATH; later the interpreter puts the script's
    # folder there.
    here = sys.path[0]
    args = surround(job, work_dir, surround_ahead(run_dir, work_dir))
    del sys.path[0]
    sys.path_importer_cache.pop(here, None)
    sys.argv[1:] = args
    if hasattr(sys, "orig_argv"):
        sys.orig_argv = [sys.executable, "-u"] + sys.argv
    try:
        fd = os.open(script, os.O_RDONLY)
        if not has_main(script):
            os.read(fd, 1)
        os.close(fd)
    except OSError as error:
        cannot_open(script, error)
    started()

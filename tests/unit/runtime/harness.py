"""Starts the runtime as the sandbox's init does, but in temporary folders and outside a sandbox.

RUNTIME_PYTHON is the command of the interpreter under test (default: the one that runs the tests),
RUNTIME_DIR the runtime as it was installed (default: the source, and the helper where make puts it).
"""

import atexit
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = os.environ.get("RUNTIME_DIR") or os.path.join(HERE, "../../../images/runtime")
LIBRARIES = SOURCE if os.environ.get("RUNTIME_DIR") else os.path.join(HERE, "../../../build/runtime")
PYTHON = shlex.split(os.environ.get("RUNTIME_PYTHON") or sys.executable)
BARE = PYTHON + ["-u", "-B"]


def install():
    """Install the runtime as in an image: in one folder, with the libraries that are written in C."""
    folder = tempfile.mkdtemp(prefix="runtime-test-")
    atexit.register(shutil.rmtree, folder)
    for name in os.listdir(SOURCE):
        if name.endswith(".py"):
            shutil.copy(os.path.join(SOURCE, name), folder)
    shutil.copytree(os.path.join(SOURCE, "http"), os.path.join(folder, "http"),
                    ignore=shutil.ignore_patterns("__pycache__"))
    for name in "park.so", "watch.so":
        shutil.copy(os.path.join(LIBRARIES, name), folder)
    return folder


def python_version():
    out = subprocess.check_output(PYTHON + ["-c", "import sys; print('%d.%d' % sys.version_info[:2])"])
    return tuple(int(part) for part in out.decode().split("."))


RUNTIME = install()
VERSION = python_version()
ENV = {"PATH": "/usr/bin:/bin", "HOME": "/tmp", "LANG": "C.UTF-8"}


def job_text(records):
    out = b""
    for key, value in records:
        if not isinstance(value, bytes):
            value = value.encode("utf-8", "surrogateescape")
        out += b"%s %d\n%s\n" % (key.encode(), len(value), value)
    return out


def write_files(folder, files):
    for name, content in dict(files).items():
        path = os.path.join(folder, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as out:
            out.write(content if isinstance(content, bytes) else content.encode())


class Process:
    """One interpreter with its pipes, in a run folder and a work folder of its own."""

    SAME = object()

    def __init__(self, mode, records, files=(), job=SAME, boot="boot.py"):
        self.top = tempfile.mkdtemp(prefix="runtime-test-")
        self.run_dir = os.path.join(self.top, "run")
        self.work = os.path.join(self.top, "work")
        os.mkdir(self.run_dir)
        os.mkdir(self.work)
        self.fill(files)
        self.records = records
        self.boot = boot
        job = records if job is self.SAME else job
        if job is not None:
            self.write_job(job)
        with open(os.path.join(self.run_dir, "heap"), "wb"):
            pass
        self.start(mode)

    def fill(self, files):
        """Puts files into the work folder."""
        write_files(self.work, files)

    def write_job(self, records):
        with open(os.path.join(self.run_dir, "job"), "wb") as out:
            out.write(records if isinstance(records, bytes) else job_text(records))

    def start(self, mode):
        go_read, self.go = os.pipe()
        self.started, started_write = os.pipe()
        out_read, out_write = os.pipe()
        err_read, err_write = os.pipe()
        null = os.open("/dev/null", os.O_RDONLY)
        env = dict(ENV, HOME=self.work, SANDBOX_RUN=self.run_dir, SANDBOX_WORK=self.work)
        if mode == "script":
            env["PYTHONPATH"] = RUNTIME
            argv = BARE + [os.path.join(self.work, dict(self.records)["exec"])]
        else:
            argv = BARE + [os.path.join(RUNTIME, self.boot), mode]
        plan = ((null, 0), (out_write, 1), (err_write, 2), (go_read, 3), (started_write, 4))
        self.pid = os.fork()
        if self.pid == 0:
            try:
                os.setsid()
                # Each descriptor is first moved out of the others' way, then to its place.
                for fd, to in plan:
                    os.dup2(fd, to + 100)
                for _, to in plan:
                    os.dup2(to + 100, to)
                os.closerange(5, 65536)
                for number in (signal.SIGPIPE, signal.SIGXFSZ, signal.SIGINT):
                    signal.signal(number, signal.SIG_DFL)
                os.execvpe(argv[0], argv, env)
            finally:
                os._exit(125)
        for fd in (null, out_write, err_write, go_read, started_write):
            os.close(fd)
        self.out = os.fdopen(out_read, "rb")
        self.err = os.fdopen(err_read, "rb")

    def areas(self):
        """The process's memory: (its own kilobytes, access, path) of each area."""
        found = []
        with open("/proc/%d/smaps" % self.pid) as smaps:
            for line in smaps:
                words = line.split()
                if not words[0].endswith(":"):
                    found.append([0, words[1], words[5] if len(words) > 5 else ""])
                elif words[0] == "Anonymous:":
                    found[-1][0] += int(words[1])
        return found

    def prepare(self):
        """Wake the process as a clone that is made ahead of its task."""
        os.write(self.go, b"c")
        if self.read_started(1) != b"P":
            raise AssertionError(self.finish())

    def wake(self, records):
        os.chmod(os.path.join(self.run_dir, "heap"), 0o400)
        self.write_job(records)
        os.write(self.go, b"g")

    def read_started(self, size=100):
        return os.read(self.started, size)

    def finish(self, named=False):
        """Waits; returns (exit status or -signal, stdout, stderr, what came on the started pipe).

        If `named`, `WORK` and `TOP` stand for its work folder and the one around it.
        """
        with subprocess.Popen(["cat"], stdin=self.err, stdout=subprocess.PIPE) as cat:
            out = self.out.read()
            err = cat.stdout.read()
        started = b""
        while True:
            piece = os.read(self.started, 4096)
            if not piece:
                break
            started += piece
        _, status = os.waitpid(self.pid, 0)
        self.out.close()
        self.err.close()
        os.close(self.started)
        os.close(self.go)
        shutil.rmtree(self.top)
        status = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
        out, err = out.decode(), err.decode()
        if named:
            out, err = (text.replace(self.work, "WORK").replace(self.top, "TOP") for text in (out, err))
        return status, out, err, started.decode()


def restored(records, files=(), warm=(), prepare=False):
    """As run(), in a parked process that goes on, or is prepared first."""
    process = Process("park", [("warm", name) for name in warm], files)
    if process.read_started(1) != b"P":
        raise AssertionError(process.finish())
    if prepare:
        process.prepare()
    process.wake(records)
    return process.finish(True)


def run(records, files=(), mode="run"):
    """Runs one task cold; `WORK` in what it prints stands for its work folder."""
    if mode in ("park", "prepare"):
        return restored(records, files, (), mode == "prepare")
    process = Process(mode, records, files)
    return process.finish(True)


def run_bare(source, name="main.py"):
    """What a bare interpreter does with a script, to which the runtime is compared."""
    return run_bare_with({name: source}, name)


def run_bare_with(files, name):
    """The same with other files in the folder, which is its home."""
    top = tempfile.mkdtemp(prefix="runtime-test-")
    try:
        path = os.path.join(top, name)
        write_files(top, files)
        done = subprocess.run(BARE + [path], cwd=top, env=dict(ENV, HOME=top), stdin=subprocess.DEVNULL,
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)
        return done.returncode, done.stdout.decode().replace(top, "WORK"), \
            done.stderr.decode().replace(top, "WORK")
    finally:
        shutil.rmtree(top)

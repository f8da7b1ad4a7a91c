"""What the tests of atasker share: where it is, a supervisor of each test's own, and programs."""

import gc
import logging
import os
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
RUNTIME = os.environ.get("RUNTIME_DIR") or os.path.join(HERE, "..", "..", "..", "images", "runtime")
MODULES = os.path.join(RUNTIME, "modules")
if os.path.isdir(MODULES) and MODULES not in sys.path:
    sys.path.insert(0, MODULES)

import atasker  # noqa: E402

# Seconds: longer than anything takes when it works.
PATIENCE = float(os.environ.get("PATIENCE", 60))


def wait_until(condition, what="it"):
    """Wait until condition() is true."""
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("%s has not come about" % what)
        time.sleep(0.002)


def open_files():
    gc.collect()
    return {(fd, os.readlink("/proc/self/fd/" + fd)) for fd in os.listdir("/proc/self/fd")
            if os.path.exists("/proc/self/fd/" + fd) or os.path.islink("/proc/self/fd/" + fd)}


class Records(logging.Handler):
    """Keeps what is logged."""

    def __init__(self):
        logging.Handler.__init__(self)
        self.records = []

    def emit(self, record):
        self.records.append(record)

    def of(self, level):
        return [record for record in self.records if record.levelno == level]


class Rig(unittest.TestCase):
    """A test with a supervisor of its own, started, with room for all; nothing may be left of it."""

    POOL = dict(pool_size=0, reserve_normal=5, reserve_high=5)

    def setUp(self):
        self.threads = set(threading.enumerate())
        self.log = Records()
        logger = logging.getLogger("atasker")
        logger.addHandler(self.log)
        logger.propagate = False
        self.addCleanup(logger.removeHandler, self.log)
        self.supervisor = self.make()
        self.supervisor.start()

    def make(self, **pool):
        return atasker.TaskSupervisor(**dict(self.POOL, **pool))

    def tearDown(self):
        self.supervisor.stop()
        wait_until(lambda: not set(threading.enumerate()) - self.threads, "the end of the threads %s" % threading.enumerate())
        self.assertEqual(self.supervisor.get_tasks(), {})

    def worker(self, f, **kwargs):
        return atasker.background_worker(f, supervisor=self.supervisor, **kwargs)

    def aloop(self):
        """A default aloop, so that async workers do not warn."""
        return self.supervisor.default_aloop or self.supervisor.create_aloop("a", default=True)

    def states(self, worker):
        return "".join("FT"[bool(state())] for state in (worker.is_active, worker.is_started, worker.is_stopped))


def program(source, *args, python=None, env=None, files=()):
    """Runs a script as its own process; returns (exit status, stdout, stderr)."""
    with tempfile.TemporaryDirectory() as folder:
        for name, text in dict(files, **{"main.py": source}).items():
            with open(os.path.join(folder, name), "w") as out:
                out.write(textwrap.dedent(text))
        done = subprocess.run([python or sys.executable, "-B", os.path.join(folder, "main.py")] + list(args),
                              env=dict(os.environ, PYTHONPATH=MODULES, **(env or {})), cwd=folder,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=PATIENCE)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

"""A clone of a parked process that is prepared ahead of its task; needs root, for new pids."""

import json
import os
import resource
import select
import shutil
import struct
import tempfile
import time
import unittest

from harness import HERE, RUNTIME, VERSION, Process, restored

STATE = """
import gc, json, os, sys
print(json.dumps({
    "modules": sorted(sys.modules), "path": sys.path, "meta_path": [repr(f)[:20] for f in sys.meta_path],
    "importers": sorted(sys.path_importer_cache), "argv": sys.argv, "env": dict(os.environ), "cwd": os.getcwd(),
    "run": sorted(os.listdir(os.path.dirname(os.environ["PAYLOAD_FILE"]))), "work": os.listdir("."),
    "gc": [gc.isenabled(), gc.get_threshold()], "hook": sys.excepthook is sys.__excepthook__,
    "linecache": sorted(sys.modules["linecache"].cache) if "linecache" in sys.modules else None,
    "main": sorted(globals()), "fds": sorted(int(fd) for fd in os.listdir("/proc/self/fd")),
    "orig_argv": getattr(sys, "orig_argv", None), "umask": os.umask(18),
}, sort_keys=True))
"""

DRAW = """
import json, os, random, tempfile, uuid
import m
print(json.dumps({
    "random": random.random(), "unseeded": m.unseeded.random(), "own_seed": m.own_seed.random(),
    "urandom": repr(os.urandom(8)), "uuid4": str(uuid.uuid4()), "tempfile": next(tempfile._get_candidate_names()),
    "openssl": repr(m.rand_bytes(8)),
    "authkey": repr(bytes(m.multiprocessing.current_process().authkey)),
    "numpy": m.numpy and m.numpy.random.random(), "pid": os.getpid(),
}))
"""
DRAWS = """
import json, multiprocessing, os, random, ssl, tempfile, uuid
unseeded = random.Random()
own_seed = random.Random(5)
rand_bytes = getattr(ssl, "RAND_bytes", None) or os.urandom
try:
    import numpy
    numpy.random.random()
except ImportError:
    numpy = None
rand_bytes(8), uuid.uuid4(), random.random(), next(tempfile._get_candidate_names())
"""


class Prepared(unittest.TestCase):
    def parked(self, warm=(), files=()):
        process = Process("park", [("warm", name) for name in warm], files)
        self.assertEqual(process.read_started(1), b"P")
        return process

    def test_nothing_left(self):
        for warm in ((), ("logging", "linecache", "zipimport")):
            for kind in "code", "exec":
                records = [("id", "i"), ("kind", kind), ("code", STATE), ("exec", "main.py"), ("env", "Q=1")]
                states = [restored(records, {"main.py": STATE}, warm, prepare) for prepare in (False, True)]
                self.assertEqual(states[0][0], 0)
                self.assertTrue(json.loads(states[0][1])["gc"][0])
                self.assertEqual(states[0][:3], states[1][:3])
                self.assertRegex(states[1][3], r"\AS \d+\n\Z")

    def test_while_it_waits(self):
        process = self.parked()
        process.prepare()
        self.assertEqual(sorted(os.listdir(process.run_dir)), ["config", "heap", "payload"])
        self.assertEqual(os.listdir(process.work), [])
        self.assertEqual(os.readlink("/proc/%d/cwd" % process.pid), os.readlink("/proc/%d/root" % process.pid))
        process.wake([("id", "i"), ("kind", "code"), ("code", "print('task')")])
        self.assertEqual(process.finish()[:3], (0, "task\n", ""))

    def test_orders(self):
        for orders in (b"x", b"P", b"cc", b"cx", b"c\0", b"c"):
            process = self.parked()
            os.write(process.go, orders)
            os.close(process.go)
            process.go = os.open("/dev/null", os.O_RDONLY)
            self.assertEqual(process.finish(), (4, "", "", "P" if orders[:1] == b"c" else ""))

    def test_jobs(self):
        # Also one that is longer than what the helper has room for.
        code = "import os\nprint(len(open(os.environ['PAYLOAD_FILE']).read()))"
        for size in 0, 1, 4096, 65000, 65536, 65537, 300000:
            process = self.parked()
            process.prepare()
            process.wake([("payload", "x" * size), ("id", "i"), ("kind", "code"), ("code", code)])
            self.assertEqual(process.read_started(100)[:2], b"S ")
            self.assertEqual(os.path.exists(process.run_dir + "/job"), False)
            self.assertEqual(process.finish()[:3], (0, "%d\n" % size, ""))

    def test_broken_jobs(self):
        for text in b"", b"id", b"id 5\nabc\n", b"\xff 1\nx\n", None:
            process = self.parked()
            process.prepare()
            if text is not None:
                process.write_job(text)
            os.write(process.go, b"g")
            status, out, err, started = process.finish()
            self.assertEqual((status, out, started), (125, "", ""))
            self.assertIn("the job", err)
            self.assertNotIn("Traceback", err)

    def test_environment(self):
        # The last value of a name counts, and the job cannot set what the sandbox sets.
        env = ["A=1", "TZ=ABC-2", "TZ=XYZ-3", "PYTHONPATH=no", "PYTHONPATH=x:y", "TASK_DIR=no", "HOME=/h", "A=2"]
        code = "import os, sys, time\ne = os.environ\n" \
               "print('%s %s %s %s %s' % (e['A'], e['HOME'], e['TASK_DIR'] == os.getcwd(), sys.path[1:3], " \
               "time.strftime('%H %Z', time.localtime(0))))"
        records = [("id", "i"), ("kind", "code"), ("code", code)] + [("env", item) for item in env]
        for prepare in False, True:
            self.assertEqual(restored(records, (), (), prepare)[:3], (0, "2 /h True ['WORK/x', 'WORK/y'] 03 XYZ\n", ""))

    def test_files_and_cwd_of_later(self):
        # The task finds what is put into the folders between the two orders.
        process = self.parked(["m"], {"m.py": "try:\n    import late\nexcept ImportError:\n    pass\n"})
        process.prepare()
        mtime = os.stat(process.work)
        with open(process.work + "/late.py", "w") as out:
            out.write("x = 7\n")
        os.utime(process.work, ns=(mtime.st_atime_ns, mtime.st_mtime_ns))
        process.wake([("id", "i"), ("kind", "code"), ("code", "import late\nprint(late.x)")])
        self.assertEqual(process.finish()[:3], (0, "7\n", ""))

    def test_broken_repair(self):
        # A clone that cannot be made unique says so before it says that it is ready.
        module = "import uuid\nclass U(type(uuid)):\n    def __setattr__(self, name, value):\n        raise KeyError(name)\n" \
                 "import sys\nu = U('uuid')\nsys.modules['uuid'] = u\n"
        process = self.parked(["m"], {"m.py": module})
        os.write(process.go, b"c")
        os.close(process.go)
        process.go = os.open("/dev/null", os.O_RDONLY)
        status, out, err, started = process.finish()
        self.assertEqual((status, out, started), (4, "", ""))
        self.assertIn("cannot be made a new one: KeyError", err)

    def test_broken_preparation(self):
        # Status 4 is not the end of a task: another process can still have the task.
        process = self.parked()
        resource.prlimit(process.pid, resource.RLIMIT_NOFILE, (5, 5))
        os.write(process.go, b"c")
        try:
            process.wake([("id", "i"), ("kind", "code"), ("code", "print('task')")])
        except BrokenPipeError:
            pass    # the clone may have ended already
        status, out, err, started = process.finish()
        self.assertEqual((status, out, started), (4, "", ""))
        self.assertIn("the clone cannot be prepared: OSError", err)

    def test_broken_job_of_a_prepared_one(self):
        # From then on what fails is the task's.
        process = self.parked()
        process.prepare()
        process.wake([("id", "i"), ("kind", "none")])
        self.assertEqual(process.finish()[0], 125)

    def test_clock(self):
        process = self.parked(["logging"])
        process.prepare()
        time.sleep(0.05)
        before = time.time()
        process.wake([("id", "i"), ("kind", "code"), ("code", "import logging\nprint(repr(logging._startTime))")])
        began = float(process.finish()[1])
        self.assertGreaterEqual(began / (1e9 if began > 1e15 else 1), before - 0.001)


@unittest.skipIf(VERSION < (3,), "the clones of Python 2 rehearse themselves")
class Ahead(unittest.TestCase):
    """The memory that a clone has before it has a task."""

    RANGES = """
import json, struct
from sandbox_park import Parked
touched = Parked.last.touched
print(json.dumps(touched and list(struct.iter_unpack("QQ", touched.write))))
"""

    def parked(self, module=""):
        process = Process("park", [("warm", "m")], {"m.py": module})
        self.assertEqual(process.read_started(1), b"P")
        return process

    def own_pages(self, process):
        """The addresses of the pages that are the process's own copies."""
        found = set()
        with open("/proc/%d/maps" % process.pid) as maps, open("/proc/%d/pagemap" % process.pid, "rb") as pagemap:
            for words in map(str.split, maps):
                if words[1] == "rw-p":
                    start, end = (int(part, 16) for part in words[0].split("-"))
                    pagemap.seek(start // 4096 * 8)
                    entries = struct.iter_unpack("Q", pagemap.read((end - start) // 4096 * 8))
                    found.update(start + n * 4096 for n, (entry,) in enumerate(entries) if entry >> 63 and not entry >> 61 & 1)
        return found

    def task(self, process, code):
        process.wake([("id", "i"), ("kind", "code"), ("code", code)])
        status, out, err, _ = process.finish()
        self.assertEqual((status, err), (0, ""))
        return out

    def test_a_clone_has_the_pages_that_a_start_writes_to(self):
        process = self.parked()
        before = self.own_pages(process)
        process.prepare()
        after = self.own_pages(process)
        pages = {start + at for start, length in json.loads(self.task(process, self.RANGES)) for at in range(0, length, 4096)}
        self.assertGreater(len(pages), 50)
        self.assertLess(len(pages & before), len(pages) // 2)
        self.assertEqual(pages - after, set())

    def test_the_process_is_not_changed_by_it(self):
        module = "import os\ncalls = []\nos.register_at_fork(after_in_child=lambda: calls.append(1))\n"
        # The clone itself is one.
        process = self.parked(module)
        process.prepare()
        self.assertEqual(self.task(process, "import m\nprint(len(m.calls))"), "1\n")

    def test_what_code_does_at_a_fork_is_not_heard(self):
        # Not on the pipe on which the process says that it waits, and not in its output.
        module = "import os\nme = os.getpid()\nos.register_at_fork(after_in_child=lambda: os.getpid() == me or " \
                 "[os.write(fd, b'x') for fd in (1, 2, 4)])\n"
        process = self.parked(module)
        process.prepare()
        self.assertNotEqual(self.task(process, self.RANGES), "null\n")

    def test_where_it_cannot_be_found_out_a_clone_rehearses_itself(self):
        # Only in a child: in the first one, or in the second one.
        for stuck, what in (("os.register_at_fork(after_in_child=stop)", "hangs"),
                            ("sandbox_park.rehearse = stop", "hangs"), ("sandbox_park.rehearse = stop", "fails")):
            module = ("import os, sandbox_park, sandbox_touched, time\nme = os.getpid()\nreal = sandbox_park.rehearse\n"
                      "sandbox_touched.PATIENCE_S = 0.2\n"
                      "def stop(*args):\n    if os.getpid() != me and %r == 'hangs':\n        time.sleep(1000)\n"
                      "    if os.getpid() != me:\n        raise KeyError\n    if args:\n        real(*args)\n%s\n"
                      % (what, stuck))
            process = self.parked(module)
            with open("/proc/%d/task/%d/children" % (process.pid, process.pid)) as children:
                self.assertEqual(children.read(), "")
            # Of what was started nothing is left, also where it has lost its parent.
            self.assertEqual([pid for pid in os.listdir("/proc") if pid.isdigit() and int(pid) != process.pid
                              and process.run_dir in self.environment(pid)], [])
            process.prepare()
            self.assertEqual(self.task(process, self.RANGES), "null\n")

    @staticmethod
    def environment(pid):
        try:
            with open("/proc/%s/environ" % pid) as env:
                return env.read()
        except OSError:
            return ""


class Template(unittest.TestCase):
    def setUp(self):
        shutil.copy(os.path.join(HERE, "template.py"), RUNTIME)
        self.template = Process("park", [("warm", "m")], {"m.py": DRAWS}, boot="template.py")
        self.assertEqual(self.template.read_started(1), b"P")

    def tearDown(self):
        os.close(self.template.go)
        self.template.go = os.open("/dev/null", os.O_RDONLY)
        self.assertEqual(self.template.finish()[0], 4)

    def clone(self, order, code):
        folder = tempfile.mkdtemp(prefix="runtime-test-")
        try:
            return self.clone_in(folder, order, code)
        finally:
            shutil.rmtree(folder)

    def clone_in(self, folder, order, code):
        pipes = []
        for name in "go", "started":
            os.mkfifo(os.path.join(folder, name))
            pipes.append(os.open(os.path.join(folder, name), os.O_RDWR))
        go, started = pipes
        os.write(self.template.go, b"f" + folder.encode())
        self.assertEqual(os.read(started, 1), b"P")
        if order:
            os.write(go, order)
            self.assertEqual(os.read(started, 1), b"P")
        self.template.write_job([("id", "i"), ("kind", "code"), ("code", code), ("seed", b"s")])
        os.write(go, b"g")
        self.assertEqual(self.template.read_started(1), b"P")   # waits again, the clone has ended
        self.assertRegex(os.read(started, 100), rb"\AS \d+\n\Z")
        out = self.template.out.fileno()
        self.assertTrue(select.select([out], [], [], 0)[0])
        for fd in pipes:
            os.close(fd)
        for name in "payload", "config":
            os.unlink(os.path.join(self.template.run_dir, name))
        self.assertEqual(os.listdir(self.template.run_dir), ["heap"])
        return json.loads(os.read(out, 10000).decode())

    def test_unique(self):
        for order in (b"c", b""):
            one, other = self.clone(order, DRAW), self.clone(order, DRAW)
            same = {name for name in one if one[name] == other[name]}
            expected = {"own_seed", "pid"} | ({"numpy"} if one["numpy"] is None else set())
            self.assertEqual(same, expected)
            self.assertEqual(one["pid"], 1)


if __name__ == "__main__":
    unittest.main()

"""Parking: what refuses to park, where memory is then, and that the process works when it wakes."""

import os
import unittest

from harness import PYTHON, VERSION, Process, restored

import subprocess

HAS_NUMPY = subprocess.call(PYTHON + ["-c", "import numpy"], stderr=subprocess.DEVNULL) == 0

# Everything that a process does with its memory and its threads.
WORK_OUT = """
import gc, json, os, random, subprocess, sys, tempfile, threading, uuid
rows = [{'n': n, 's': 'x' * (n % 97)} for n in range(50000)]
assert sum(row['n'] for row in rows) == 49999 * 25000
big = [bytearray(1 << 20) for _ in range(40)]
del rows, big
gc.collect()
import decimal, csv, difflib, xml.dom.minidom
seen = []
threads = [threading.Thread(target=seen.append, args=(n,)) for n in range(20)]
for thread in threads: thread.start()
for thread in threads: thread.join()
assert sorted(seen) == list(range(20)), seen
pid = os.fork()
if pid == 0:
    junk = [str(n) for n in range(100000)]
    os._exit(len(junk) // 10000)
assert os.waitpid(pid, 0)[1] >> 8 == 10
assert subprocess.check_output(['/bin/echo', 'child']) == b'child\\n'
def deep(n):
    return n and 1 + deep(n - 1)
assert deep(500) == 500
with tempfile.TemporaryFile() as out:
    out.write(b'x' * 100000)
assert gc.isenabled()
assert 0 <= random.random() < 1 and uuid.uuid4()
print(json.dumps({'done': threading.active_count()}))
"""

# Allocators that modules bring along do this: they have memory of their own between Python's, and give it
# back in order to find zeros in it.
ALLOCATOR = """
import ctypes
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t] + 3 * [ctypes.c_int] + [ctypes.c_long]
libc.madvise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
SIZE, DONTNEED = 1 << 16, 4
areas, objects = [], []
for _ in range(40):
    areas.append(libc.mmap(None, SIZE, 3, 0x22, -1, 0))
    ctypes.memset(areas[-1], 0x5a, SIZE)
    objects += [object() for _ in range(20000)]
def dirty():
    return sum(ctypes.string_at(area, SIZE).count(b"Z") for area in areas)
def give_back():
    return [libc.madvise(area, SIZE, DONTNEED) for area in areas] == [0] * len(areas)
"""


class Parking(unittest.TestCase):
    def refused(self, module, words, status=3):
        process = Process("park", [("warm", "m")], {"m.py": module})
        got = process.finish()
        self.assertEqual((got[0], got[3]), (status, ""))
        self.assertIn(words, got[2])
        self.assertNotIn("Traceback", got[2])

    def test_refused(self):
        self.refused("import no_such", "module 'm' does not import: ")
        self.refused("import sys; sys.exit(0)", "module 'm' does not import: SystemExit")
        self.refused("import threading, time\nthread = threading.Thread(target=time.sleep, args=(20,), name='T')\n"
                     "thread.daemon = True\nthread.start()\n", "has started a thread (MainThread, T)")
        self.refused("import socket\ns = socket.socket()\n", "open (socket:[")
        self.refused("import os\np = os.pipe()\n", "open (pipe:[")
        self.refused("f = open(__file__)\n", "m.py)")

    def test_no_go(self):
        process = Process("park", [])
        self.assertEqual(process.read_started(), b"P")
        os.close(process.go)
        process.go = os.open("/dev/null", os.O_RDONLY)
        self.assertEqual(process.finish(), (4, "", "", ""))

    def test_job_removed(self):
        process = Process("park", [])
        self.assertEqual(process.read_started(), b"P")
        self.assertEqual(os.listdir(process.run_dir), ["heap"])
        process.wake([])
        self.assertEqual(process.finish()[0], 125)

    def test_broken_repair(self):
        # A process that cannot be made unique must not run the task.
        module = "import uuid\nclass U(type(uuid)):\n    def __setattr__(self, name, value):\n        raise KeyError(name)\n" \
                 "import sys\nu = U('uuid')\nsys.modules['uuid'] = u\n"
        process = Process("park", [("warm", "m")], {"m.py": module})
        self.assertEqual(process.read_started(1), b"P")
        process.wake([("id", "i"), ("kind", "code"), ("code", "print('ran')")])
        status, out, err, _ = process.finish()
        self.assertEqual((status, out), (125, ""))
        self.assertIn("cannot be made a new one: KeyError", err)

    def memory(self, warm):
        process = Process("park", [("warm", name) for name in warm])
        self.assertEqual(process.read_started(1), b"P")
        areas = process.areas()
        with open("/proc/%d/task/%d/children" % (process.pid, process.pid)) as children:
            self.assertEqual(children.read(), "")
        links = [os.readlink("/proc/%d/fd/%s" % (process.pid, fd)) for fd in os.listdir("/proc/%d/fd" % process.pid)]
        self.assertFalse([link for link in links if link.endswith("/heap")])
        modes = set()
        folder = "/proc/%d/map_files/" % process.pid
        for name in os.listdir(folder):
            if os.readlink(folder + name).endswith("/heap"):
                modes.add(os.lstat(folder + name).st_mode & 0o700)
        # What is mapped from a file open for writing is opened for writing by a restore.
        self.assertEqual(modes, {0o400})
        process.wake([("id", "i"), ("kind", "code"), ("code", WORK_OUT)])
        self.assertEqual(process.finish()[:3], (0, '{"done": 1}\n', ""))
        return areas

    def check_memory(self, warm):
        areas = self.memory(warm)
        own = sum(kilobytes for kilobytes, _, _ in areas) // 4
        heap = sum(1 for _, _, path in areas if path.endswith("/heap"))
        self.assertGreater(heap, 3)
        # Python 2 does not let its arenas be told from other memory.
        self.assertLess(own, 300 if VERSION[0] > 2 else 1000, [area for area in areas if area[0]])
        self.assertFalse([area for area in areas if area[2] == "[heap]"])
        self.assertFalse([area for area in areas if area[1].endswith("s") and not area[2].startswith("/")])

    def test_memory(self):
        self.check_memory([])

    def test_memory_many(self):
        self.check_memory(["ssl", "sqlite3", "decimal", "multiprocessing", "logging", "uuid", "tempfile"])

    def test_memory_given_back(self):
        # Memory of a file would have the file's content again, in place of zeros.
        process = Process("park", [("warm", "m")], {"m.py": ALLOCATOR})
        self.assertEqual(process.read_started(1), b"P")
        heap = os.path.getsize(os.path.join(process.run_dir, "heap"))
        code = "import m\nprint('%d %s %d' % (m.dirty(), m.give_back(), m.dirty()))"
        process.wake([("id", "i"), ("kind", "code"), ("code", code)])
        self.assertEqual(process.finish()[:3], (0, "%d True 0\n" % (40 << 16), ""))
        if VERSION[0] > 2:
            self.assertGreater(heap, 40 * 20000 * 16)   # these objects are in it

    def test_memory_of_a_task(self):
        # Nothing of how the process was parked is left in it.
        process = Process("park", [], {})
        self.assertEqual(process.read_started(1), b"P")
        code = "def marked():\n" \
               "    return [line for line in open('/proc/self/smaps') if ' rr' in line]\n" \
               "before = marked()\nobjects = [object() for _ in range(1000000)]\nprint(marked() == before)"
        process.wake([("id", "i"), ("kind", "code"), ("code", code)])
        self.assertEqual(process.finish()[:3], (0, "True\n", ""))

    if HAS_NUMPY:
        def test_memory_numpy(self):
            self.check_memory(["numpy"])

    def test_heap_that_cannot_grow(self):
        # When memory cannot be moved to the file, nothing is lost, but the restore takes longer.
        import resource
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100000, before[1]))
        try:
            process = Process("park", [])
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)
        self.assertEqual(process.read_started(1), b"P")
        process.wake([("id", "i"), ("kind", "code"), ("code", "print('works')")])
        status, out, err, _ = process.finish()
        self.assertEqual((status, out), (0, "works\n"))
        self.assertIn("memory is not in the heap file: File too large", err)


class Awake(unittest.TestCase):
    def test_modules_are_there(self):
        source = "import sys\nprint('decimal' in sys.modules)\n"
        records = [("id", "i"), ("kind", "code"), ("code", source)]
        self.assertEqual(restored(records, (), ["decimal"])[:3], (0, "True\n", ""))

    def test_nothing_of_before(self):
        source = "import os, sys\nprint(sorted(os.environ), sys.argv[0], os.getcwd())\n"
        before = "import os\nos.environ['LEFT'] = '1'\n"
        records = [("id", "i"), ("kind", "exec"), ("exec", "main.py")]
        _, out, _, _ = restored(records, {"main.py": source, "m.py": before}, ["m"])
        self.assertNotIn("LEFT", out)

    def test_files_of_the_work_folder_are_seen(self):
        process = Process("park", [("warm", "m")], {"m.py": "try:\n    import late\nexcept ImportError:\n    pass\n"})
        self.assertEqual(process.read_started(1), b"P")
        mtime = os.stat(process.work)
        with open(process.work + "/late.py", "w") as out:
            out.write("x = 7\n")
        os.utime(process.work, ns=(mtime.st_atime_ns, mtime.st_mtime_ns))
        process.wake([("id", "i"), ("kind", "code"), ("code", "import late\nprint(late.x)")])
        self.assertEqual(process.finish()[:3], (0, "7\n", ""))

    def test_output_of_an_import(self):
        # This is output of the warming, not of a task, and comes before the task's.
        process = Process("park", [("warm", "m")], {"m.py": "print('said')"})
        self.assertEqual(process.read_started(1), b"P")
        self.assertEqual(os.read(process.out.fileno(), 100), b"said\n")
        process.wake([("id", "i"), ("kind", "code"), ("code", "print('task')")])
        self.assertEqual(process.finish()[:3], (0, "task\n", ""))


if __name__ == "__main__":
    unittest.main()

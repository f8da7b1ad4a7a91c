"""What modules read of a task's surroundings while they are imported to warm a process."""

import os
import unittest

from harness import VERSION, Process, run

LIBRARY = "exec(compile('ALL = dict(os.environ)', '/usr/lib/library.py', 'exec'))"
PARKED = "print('sandbox_park' in sys.modules)\n"
# Each of these reads the variable V in another way.
READERS = {
    "get": "os.environ.get('V')",
    "item": "os.environ['V'] if 'V' in os.environ else None",
    "getenv": "os.getenv('V')",
    "pop": "os.environ.pop('V', None)",
    "default": "os.environ.setdefault('V', 'default')",
    "expand": "os.path.expandvars('$V')",
}
if VERSION[0] > 2:
    READERS["bytes"] = "os.environb.get(b'V')"
    READERS["library"] = "(lambda f: (setattr(f, 'restype', ctypes.c_char_p), f(b'V'))[1])(ctypes.CDLL(None).getenv)"


def job(kind, value, *more):
    return [("id", "i"), ("kind", kind), (kind, value), ("seed", b"s"), ("payload", "1")] + list(more)


def lines(*sources):
    return "".join(source + "\n" for source in sources)


class Reads(unittest.TestCase):
    def woken(self, records, files, key, names=("m",), prepare=False):
        """The output of the task in a process with these modules."""
        process = Process("park", [(key, name) for name in names], files)
        if process.read_started(1) != b"P":
            self.fail(process.finish())
        if prepare:
            process.prepare()
        process.wake(records)
        return process.finish(True)

    def refused(self, source, what, key="module"):
        process = Process("park", [(key, "m")], {"m.py": "import os, sys\n" + source})
        if process.read_started(1):
            process.wake(job("code", ""))
            self.fail("it is warmed: %s" % (process.finish(),))
        status, out, err, _ = process.finish()
        self.assertEqual((status, out), (3, ""))
        self.assertIn("warm: module 'm' reads %s when it is imported" % what, err)

    def test_variable(self):
        code = "import m, sys\nprint(m.VALUE)\n" + PARKED
        records = job("code", code, ("env", "V=mine"))
        for number, (name, reader) in enumerate(sorted(READERS.items())):
            source = lines("import os, sys", "if %r: import ctypes" % (name == "library"), "VALUE = " + reader)
            key = ("warm", "module")[number % 2]
            with self.subTest(name, key=key):
                expected = run(records, {"m.py": source})[1]
                self.assertEqual(self.woken(records, {"m.py": source}, key, prepare=number % 4 > 1)[1], expected)

    def test_other_variables(self):
        # When the task does not set the variable, or sets it to the value that was there, the process stays
        # warm.
        source = "import os\nVALUE = os.environ.get('V')\nos.environ['LANG']\n"
        for more in ("env", "W=1"), ("env", "LANG=C.UTF-8"), ("arg", "V=1"):
            got = self.woken(job("code", "import m, sys\n" + PARKED, more), {"m.py": source}, "warm")
            self.assertEqual(got[1], "True\n")

    def test_one_that_was_there(self):
        source = "import os\nVALUE = os.environ['HOME']\n"
        code = "import m, sys\nprint(m.VALUE)\n" + PARKED
        self.assertEqual(self.woken(job("code", code, ("env", "HOME=/h")), {"m.py": source}, "module")[1], "/h\nFalse\n")

    def test_all_of_them(self):
        # A library that reads all has no use for the task's id.  Another program has all of them too.
        for source in LIBRARY, "import subprocess\nsubprocess.call(['/bin/true'])":
            files = {"m.py": "import os\n" + source}
            code = "import m, sys\n" + PARKED
            for prepare in False, True:
                got = self.woken(job("code", code, ("env", "X=1")), files, "module", prepare=prepare)
                self.assertEqual(got[:3], (0, "False\n", ""))
                self.assertEqual(self.woken(job("code", code), files, "warm", prepare=prepare)[1], "True\n")
        for source in "ALL = dict(os.environ)", "[k for k, v in os.environ.items()]", "os.environ.copy()":
            self.refused(source, "the whole environment")

    def test_of_each_task(self):
        for name in "TASK_ID", "PAYLOAD_FILE", "CONFIG_FILE":
            self.refused("os.environ[%r]" % name, name)
            self.refused("%r in os.environ" % name, name, "warm")
        for source in "sys.argv[1:]", "list(sys.argv)", "'-v' in sys.argv", "len(sys.argv)", "from sys import argv", \
                      "import argparse\nargparse.ArgumentParser().parse_known_args()", "A = sys.argv":
            self.refused(source, "sys.argv")

    def test_host_name(self):
        self.refused("import socket\nsocket.gethostname()", "the host's name")
        code = "import m, socket\nprint(m.socket.gethostname() == open('/proc/sys/kernel/hostname').read().strip())\n"
        self.assertEqual(self.woken(job("code", code), {"m.py": "import socket\n"}, "module")[1], "True\n")

    def test_surroundings(self):
        readers = {"the host's name": ["os.uname()", "import platform\nplatform.node()",
                                       "import platform\nplatform.system()\nplatform.node()"],
                   "os.getuid()": ["from os import getuid\ngetuid()", "import pwd\npwd.getpwuid(os.getuid())"],
                   "os.sysconf('SC_OPEN_MAX')": ["os.sysconf('SC_OPEN_MAX')"],
                   "/proc/sys/kernel/hostname": ["open('/proc/sys/kernel/hostname').read()"],
                   "/etc/hosts": ["import io\nio.open('/etc/hosts').close()",
                                  "os.close(os.open('/etc/hosts', os.O_RDONLY))"],
                   "/proc/self/limits": ["open('/proc/self/limits').close()"],
                   "/run": ["os.listdir('/run')", "import glob\nglob.glob('/run/*')"]}
        if VERSION[0] > 2:
            readers["resource.getrlimit()"] = ["import resource\nresource.getrlimit(resource.RLIMIT_NOFILE)"]
            readers["/etc/hosts"].append("import pathlib\npathlib.Path('/etc/hosts').read_text()")
        if VERSION >= (3, 10):
            readers["sys.orig_argv"] = ["sys.orig_argv[1:]"]
        for what, sources in sorted(readers.items()):
            for source in sources:
                with self.subTest(source):
                    self.refused(source, what)

    def test_surroundings_of_others(self):
        # Modules of the image may read anything, and every module may read what is the same in all sandboxes.
        library = lines("import os, platform", "os.getuid(), os.uname(), platform.node(), open('/etc/hosts').close()")
        source = lines("import os, platform", "exec(compile(%r, '/usr/lib/library.py', 'exec'))" % library,
                       "platform.system(), platform.machine(), platform.platform()", "class C(object): kept = open",
                       "kept, getuid, uname = open, os.getuid, os.uname", "open(os.devnull).close()",
                       "os.listdir(os.getcwd()), os.sysconf('SC_PAGESIZE')")
        code = lines("import m, os, platform, sys", "print((m.kept, m.getuid, m.uname) == (open, os.getuid, os.uname))",
                     "print(platform._uname_cache is None, platform.node() == os.uname()[1])",
                     "C = m.C.kept('/etc/hosts').close()", "print('StandIn' in repr((open, os.open, os.listdir, platform.uname)))",
                     "print(type(getattr(sys, 'orig_argv', [])).__name__)")
        for prepare in False, True:
            got = self.woken(job("code", code + PARKED), {"m.py": source}, "module", prepare=prepare)
            self.assertEqual(got[:3], (0, "True\nTrue True\nFalse\nlist\nTrue\n".replace(
                "True True", "True True" if VERSION[0] > 2 else "(True, True)"), ""))

    def test_stays_warm(self):
        source = lines("import os, sys, logging, tempfile, argparse, unittest, subprocess, multiprocessing",
                       "logging.basicConfig()", "HERE = os.getcwd()", "DIR = os.environ['TASK_DIR']")
        code = "import m, os, sys\nprint(m.HERE == m.DIR == os.getcwd())\n" + PARKED
        for prepare in False, True:
            got = self.woken(job("code", code, ("env", "OTHER=1")), {"m.py": source}, "module", prepare=prepare)
            self.assertEqual(got[:2], (0, "True\nTrue\n"), got)

    def test_changes(self):
        # A change of the environment by the task's own module is made in the task, too. A change by the
        # image's module is not, because not every task imports that module.
        source = "import os\nos.environ['LEFT'] = 'by m'\nos.environ.pop('LANG')\nos.environ['X'] = 'by m'\n"
        code = "import m, os, sys\nprint(os.environ.get('LEFT'), os.environ.get('LANG'), os.environ.get('X'))\n"
        records = job("code", code)
        expected = run(records, {"m.py": source})[1]
        for prepare in False, True:
            self.assertEqual(self.woken(records, {"m.py": source}, "module", prepare=prepare)[1], expected)
        self.assertIn("None", self.woken(records, {"m.py": source}, "warm")[1])

    def test_nothing_is_left_of_it(self):
        code = lines("import m, os, sys", "print(b'LD_PRELOAD' in open('/proc/self/environ', 'rb').read())", "print(type(os.environ.%s), type(sys.argv), 'LD_PRELOAD' in os.environ)"
                     % ("data" if VERSION[0] == 2 else "_data"), "os.execv('/usr/bin/env', ['env'])")
        _, out, err, _ = self.woken(job("code", code), {"m.py": "import os\nos.environ.get('X')\n"}, "module")
        initial, shown, env = out.split("\n", 2)
        self.assertEqual(initial, "False")
        self.assertEqual(shown.count("dict"), 1)
        self.assertEqual(shown.count("list"), 1)
        self.assertNotIn("watched", shown)
        self.assertTrue(shown.rstrip(")").endswith("False"))
        self.assertNotIn("LD_PRELOAD", env)
        self.assertEqual(err, "")


if __name__ == "__main__":
    unittest.main()

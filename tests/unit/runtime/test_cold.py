"""A task whose folder has a module by the name of one that was imported to warm the process."""

import json
import os
import unittest

from harness import VERSION, Process, run

# Everything that tells a new interpreter from a parked one, or that one leaves to the other.
STATE = """
import json, os, signal, sys
ours = set(("random", "json", "numbers", "decimal"))
status = dict(line.split(":", 1) for line in open("/proc/self/status"))
print(json.dumps({
    "modules": sorted(name for name in sys.modules if name.partition(".")[0] not in ours),
    "path": sys.path, "argv": sys.argv, "env": dict(os.environ), "cwd": os.getcwd(),
    "run": sorted(os.listdir(os.path.dirname(os.environ["PAYLOAD_FILE"]))), "umask": os.umask(18),
    "payload": open(os.environ["PAYLOAD_FILE"]).read(), "main": sorted(globals()), "pid": os.getpid() > 0,
    "fds": sorted(os.listdir("/proc/self/fd")),
    "signals": [status[name].strip() for name in ("SigBlk", "SigIgn", "SigCgt")],
    "orig_argv": getattr(sys, "orig_argv", None), "flags": repr(sys.flags),
    "own": [sys.modules[name].OWN for name in sorted(ours & set(sys.modules)) if hasattr(sys.modules[name], "OWN")],
}, sort_keys=True))
"""
# A warm module that changes what a new program takes over from the old one.
CHANGES = """
import os, signal, sys
import decimal, numbers
os.umask(0)
os.environ["LEFT"] = "1"
sys.executable = "/nowhere"
signal.signal(signal.SIGHUP, signal.SIG_IGN)
if hasattr(signal, "pthread_sigmask"):
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGUSR1])
"""
OWN = "OWN = %r\n"
PARKED = "import sys\nprint('sandbox_park' in sys.modules)\n"


def woken(records, files=(), warm=(), prepare=False, at_park=(), kind="warm"):
    """As run(), in a parked process whose work folder is filled when it waits for the task."""
    process = Process("park", [(kind, name) for name in warm], at_park)
    if process.read_started(1) != b"P":
        raise AssertionError(process.finish())
    if prepare:
        process.prepare()
    for name in at_park:
        os.unlink(os.path.join(process.work, name))
    process.fill(files)
    process.wake(records)
    return process.finish(True)


def job(kind, value, *more):
    return [("id", "i"), ("kind", kind), (kind, value), ("seed", b"s"), ("payload", '{"a": 1}')] + list(more)


class Own(unittest.TestCase):
    def check(self, records, files, **named):
        """Both parked processes must do what a cold start does; returns what it prints."""
        script = VERSION[0] > 2 and ("kind", "exec") in records
        expected = run(records, files, "script" if script else "run")
        for prepare in False, True:
            got = woken(records, files, prepare=prepare, **named)
            self.assertEqual(got[:3], expected[:3])
            if expected[3]:
                self.assertRegex(got[3], r"\AS \d+\n\Z")
            else:
                self.assertEqual(got[3], "")
        return expected

    def both_print(self, code, files, expected):
        """Both parked processes, with a module m that was warmed from this folder."""
        for prepare in False, True:
            process = Process("park", [("module", "m")], files)
            self.assertEqual(process.read_started(1), b"P")
            if prepare:
                process.prepare()
            process.wake(job("code", code))
            self.assertEqual(process.finish()[:3], (0, expected, ""))

    def state(self, files, records=None, **named):
        status, out, err, _ = self.check(records or job("code", STATE), files, **named)
        self.assertEqual((status, err), (0, ""))
        return json.loads(out)

    def test_all_is_a_cold_start(self):
        code = "import random\n" + STATE
        files = {"random.py": OWN % "mine"}
        for name in "arg", "env":
            got = self.state(files, job("code", code, (name, "X=1")))
            self.assertEqual(got["own"], ["mine"])
        self.assertEqual(self.state(files, job("code", code), warm=["m"], at_park={"m.py": CHANGES})["own"], ["mine"])

    def test_kinds(self):
        files = {"random.py": OWN % "mine", "main.py": "import random\n" + STATE,
                 "app.py": "import random\ndef main(payload):\n    return [random.OWN, payload]\n"}
        self.assertEqual(self.state(files, job("exec", "main.py"))["own"], ["mine"])
        self.assertEqual(self.check(job("entry", "app:main"), files)[1], '["mine", {"a": 1}]\n')

    def test_packages(self):
        files = {"numbers/__init__.py": OWN % "package", "decimal.py": OWN % "module"}
        self.assertEqual(self.state(files, job("code", "import numbers, decimal\n" + STATE), warm=["decimal"])["own"],
                         ["module", "package"])
        # A package that brings along a version of another module, with its submodules.
        files = {"json/__init__.py": "from json.encoder import dumps\n" + OWN % "vendored",
                 "json/encoder.py": "def dumps(value):\n    return 'vendored %d' % value\n"}
        got = self.check(job("code", "import json\nprint(json.dumps(5))"), files)
        self.assertEqual(got[:3], (0, "vendored 5\n", ""))

    def test_folder_of_the_script(self):
        files = {"random.py": "import no_such\n", "sub/random.py": OWN % "below", "sub/main.py": "import random\n" + STATE}
        self.assertEqual(self.state(files, job("exec", "sub/main.py"))["own"], ["below"])
        # A bare interpreter does not find what is beside the folder either.
        del files["sub/random.py"]
        files["sub/main.py"] = PARKED
        self.assertEqual(woken(job("exec", "sub/main.py"), files)[1], "True\n")

    def test_pythonpath(self):
        files = {"lib/random.py": OWN % "lib"}
        records = job("code", "import random\nprint(random.OWN)", ("env", "PYTHONPATH=no"), ("env", "PYTHONPATH=x:lib/"))
        self.assertEqual(self.check(records, files)[1], "lib\n")

    def test_suffixes(self):
        # An extension module is found by its file's name; that the file is not one shows only when it is
        # loaded.
        for suffix in (".so", "module.so") if VERSION[0] == 2 else (".so", ".abi3.so"):
            code = "try:\n    import decimal\nexcept ImportError as error:\n    print('short' in str(error))"
            got = self.check(job("code", code), {"decimal" + suffix: b""}, warm=["decimal"])
            self.assertEqual(got[:3], (0, "True\n", ""))
        code = "import sys\ntry:\n    import decimal\nexcept (ImportError, EOFError):\n    print('bad')"
        self.assertEqual(self.check(job("code", code), {"decimal.pyc": b""}, warm=["decimal"])[1], "bad\n")

    if VERSION[0] > 2:
        def test_part_of_a_namespace(self):
            # A folder without __init__ adds to a package that is itself such a folder.
            code = "import space.other\nprint(space.other.OWN)"
            files = {"space/other.py": OWN % "part"}
            process_files = {"m.py": "import sys, types\nm = sys.modules['space'] = types.ModuleType('space')\n"
                                     "m.__path__ = ['/no-such']\n"}
            got = self.check(job("code", code), files, warm=["m"], at_park=process_files)
            self.assertEqual(got[:3], (0, "part\n", ""))

    def test_broken_job(self):
        for prepare in False, True:
            status, out, err, started = woken([("id", "i")], {"random.py": ""}, prepare=prepare)
            self.assertEqual((status, out, started), (125, "", ""))
            self.assertEqual(err, "sandbox: the job does not say what to run\n")

    def test_stays_warm(self):
        # None of these is a module that would be found in place of another.
        files = {"random.txt": "", "random/table.csv": "", "random.py.orig": "", "randoms.py": "", "main.py": PARKED,
                 "sub/random.py": "", "os.py": "import no_such", "site.py": "import no_such", "__main__.py": ""}
        for prepare in False, True:
            for kind, value in ("code", PARKED), ("exec", "main.py"):
                self.assertEqual(woken(job(kind, value), files, prepare=prepare)[:3], (0, "True\n", ""))

    def test_folder_s_own_stays_warm(self):
        # The module that was imported from there is the one that is found there.
        code = "import m, p, sys\nprint('sandbox_park' in sys.modules, m.LOADED == p.LOADED)"
        files = {"m.py": "import p\nLOADED = p.LOADED\n", "p/__init__.py": "import os\nLOADED = os.urandom(8)\n"}
        self.both_print(code, files, "(True, True)\n" if VERSION[0] == 2 else "True True\n")

    def test_folder_s_own_with_another(self):
        # The module could not have imported its folder's random while it was warmed either.
        code = "import m\nprint(m.OWN)"
        files = {"m.py": "import random\nOWN = getattr(random, 'OWN', None)\n", "random.py": OWN % "mine"}
        self.both_print(code, files, "mine\n")


if __name__ == "__main__":
    unittest.main()

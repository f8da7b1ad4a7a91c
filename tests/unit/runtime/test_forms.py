"""A script is whatever an interpreter runs, and an interpreter finds what it finds when it starts."""

import io
import subprocess
import tempfile
import unittest
import zipfile

from harness import BARE, VERSION, Process, run, run_bare_with

MODES = ("run", "script", "park", "prepare") if VERSION[0] == 3 else ("run", "park", "prepare")
MAIN = """import sys
import random
def where(path):
    return path.replace(sys.argv[0], "ARGV0")
print(__name__, random.OWN, where(__file__), where(sys.path[0]), __package__, type(__loader__).__name__, len(sys.argv) > 0)
if len(sys.argv) > 9:
    raise ValueError("in main")
sys.exit(7)
"""
# The name of a module that every parked process has imported.
FILES = {"__main__.py": MAIN, "random.py": "OWN = 'own'\n"}


def archive(files, head=b"", comment=b""):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as written:
        for name, content in files.items():
            written.writestr(name, content)
        written.comment = comment
    return head + out.getvalue()


def bytecode(source):
    with tempfile.TemporaryDirectory() as folder:
        with open(folder + "/m.py", "w") as out:
            out.write(source)
        subprocess.check_call(BARE + ["-c", "import py_compile\npy_compile.compile('m.py', 'm.pyc', 'main.py')"], cwd=folder)
        with open(folder + "/m.pyc", "rb") as compiled:
            return compiled.read()


def job(*more):
    return [("id", "i"), ("seed", b"s")] + list(more)


class Forms(unittest.TestCase):
    def same(self, name, files, modes=MODES):
        """In each mode, this must do what a bare interpreter does with it."""
        bare = run_bare_with(files, name)
        for mode in modes:
            with self.subTest(name, mode=mode):
                got = run(job(("kind", "exec"), ("exec", name)), files, mode)
                self.assertEqual(got[:3], bare)
                self.assertRegex(got[3], r"\AS \d+\n\Z")
        return bare

    def test_archive(self):
        self.assertEqual(self.same("app.pyz", {"app.pyz": archive(FILES)})[0], 7)
        self.same("app", {"app": archive(FILES, b"#!/usr/bin/env python3\n", b"c" * 5000)}, MODES[1:3])

    def test_folder(self):
        files = dict(("app/" + name, content) for name, content in FILES.items())
        self.assertEqual(self.same("app", files)[0], 7)

    def test_bytecode(self):
        source = "import sys, near\nprint(__name__, near.x, sys.argv[0] == __file__)\nsys.exit(7)\n"
        files = {"main.pyc": bytecode(source), "near.py": "x = 5\n"}
        self.assertEqual(self.same("main.pyc", files)[:2], (7, "__main__ 5 True\n" if VERSION[0] == 3 else "('__main__', 5, True)\n"))
        if VERSION[0] == 3:
            self.same("main", {"main": files["main.pyc"], "near.py": "x = 5\n"}, MODES[1:3])

    def test_source_that_looks_like_one(self):
        self.assertEqual(self.same("main.py", {"main.py": "print('PK\5\6')\n"})[0], 0)

    def test_errors(self):
        for files in {"app.pyz": archive({"x.py": ""})}, {"app.pyz": archive({"__main__.py": "1/0\n"})}:
            self.assertEqual(self.same("app.pyz", files)[0], 1)


SECOND_INTERPRETER = """
try:
    import _xxsubinterpreters as interpreters
except ImportError:
    import _interpreters as interpreters
interpreters.run_string(interpreters.create(), "import os, sys\\n"
    "print([folder for folder in sys.path if os.path.exists(folder + '/boot.py')], flush=True)")
print("goes on")
"""


class Interpreters(unittest.TestCase):
    # Python 2 cannot make a second interpreter.
    def test_second(self):
        if VERSION[0] == 2:
            return
        bare = run_bare_with({"main.py": SECOND_INTERPRETER}, "main.py")
        self.assertEqual(bare[:2], (0, "[]\ngoes on\n"))
        for mode in MODES:
            got = run(job(("kind", "exec"), ("exec", "main.py")), {"main.py": SECOND_INTERPRETER}, mode)
            self.assertEqual(got[:3], bare)


def user_site():
    return ".local/lib/python%d.%d/site-packages/" % VERSION


class UserSite(unittest.TestCase):
    def woken(self, records, files, prepare):
        """Run it in a parked process whose work folder is filled when it has a task."""
        process = Process("park", [("warm", "decimal")])
        self.assertEqual(process.read_started(1), b"P")
        if prepare:
            process.prepare()
        process.fill(files)
        process.wake(records)
        return process.finish(True)

    def same(self, files):
        """Run a script with these files in its home, which is the work folder."""
        bare = run_bare_with(files, "main.py")
        records = job(("kind", "exec"), ("exec", "main.py"))
        for got in [run(records, files, MODES[1])] + [self.woken(records, files, prepare) for prepare in (False, True)]:
            self.assertEqual(got[:3], bare)
        return bare

    def test_module(self):
        files = {user_site() + "usermod.py": "x = 1\n",
                 "main.py": "import sys, usermod\nprint(usermod.x, [p for p in sys.path if 'local' in p and 'site-' in p][0])\n"}
        self.assertEqual(self.same(files)[0], 0)

    def test_in_place_of_a_warm_one(self):
        files = {user_site() + "decimal.py": "x = 'no'\n", user_site() + "yaml.py": "x = 'mine'\n",
                 "main.py": "import decimal, yaml\nprint(hasattr(decimal, 'Decimal'), yaml.x)\n"}
        self.assertEqual(self.same(files)[0], 0)

    def test_path_file_and_customize(self):
        files = {user_site() + "p.pth": "../../../../more\nimport sys; sys.by_path_file = 1\n",
                 user_site() + "usercustomize.py": "import os, sys\nsys.by_customize = 2\n", "more/deep.py": "x = 3\n",
                 "main.py": "import deep, sys\nprint(sys.by_path_file, sys.by_customize, deep.x)\n"}
        self.assertEqual(self.same(files)[0], 0)

    def test_pythonpath_with_an_archive(self):
        files = {"lib.zip": archive({"decimal.py": "x = 'mine'\n"}), "main.py": "import decimal\nprint(decimal.x)\n"}
        records = job(("kind", "exec"), ("exec", "main.py"), ("env", "PYTHONPATH=lib.zip"))
        self.assertEqual(run(records, files)[:3], (0, "mine\n", ""))
        for prepare in False, True:
            self.assertEqual(self.woken(records, files, prepare)[:3], (0, "mine\n", ""))


if __name__ == "__main__":
    unittest.main()

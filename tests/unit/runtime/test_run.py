"""A task's cold start: its surroundings, the kinds of jobs, and equality with a bare interpreter."""

import json
import unittest

from harness import VERSION, Process, run, run_bare

PROBE = """
import json, os, sys
print(json.dumps({
    "argv": sys.argv, "cwd": os.getcwd(), "env": dict(os.environ), "path0": sys.path[0],
    "fds": [fd for fd in range(64) if os.path.exists("/proc/self/fd/%d" % fd)
            and "/libffi.so" not in os.readlink("/proc/self/fd/%d" % fd)],
    "payload": open(os.environ["PAYLOAD_FILE"]).read(),
    "config": open(os.environ["CONFIG_FILE"]).read(),
    "run": sorted(os.listdir(os.path.dirname(os.environ["PAYLOAD_FILE"]))),
}))
"""

# The ways to start: by boot.py; by the script itself; parked first; parked and then prepared.
MODES = ("run", "script", "park", "prepare") if VERSION[0] == 3 else ("run", "park", "prepare")

# Ways in which a script may end; the runtime must not change what a bare interpreter does.
LIKE_BARE = {
    "hello": "print('hi')",
    "exit 7": "import sys\nsys.exit(7)",
    "exit text": "import sys\nsys.exit('bye')",
    "exit none": "import sys\nsys.exit()",
    "exit in atexit order": "import atexit\natexit.register(print, 'last') if str is not bytes else None\nprint('1')",
    "error": "def f(x):\n    return 1 / x\n\nf(0)\n",
    "chained": "try:\n    {}['a']\nexcept KeyError:\n    int('x')\n",
    "syntax": "print('a')\nif True\n    pass\n",
    "indent": "def f():\npass\n",
    "tab": "if 1:\n\tx = 1\n        y = 2\n",
    "raise class": "class E(Exception):\n    pass\nraise E\n",
    "import error": "import no_such_module_here\n",
    "import frames": "import json\njson.loads('{')\n",
    "kill": "import os, signal\nos.kill(os.getpid(), signal.SIGTERM)\n",
    "abort": "import os\nos.abort()\n",
    "interrupt": "raise KeyboardInterrupt\n",
    "sigint": "import os, signal, time\nos.kill(os.getpid(), signal.SIGINT)\ntime.sleep(5)\n",
    "own hook": "import sys\ndef hook(k, v, t):\n    print(k.__name__, t.tb_lineno)\nsys.excepthook = hook\n1/0\n",
    "thread": "import threading, time\n"
              "threading.Thread(target=lambda: (time.sleep(.1), print('late'))).start()\nprint('early')\n"
              if VERSION[0] == 3 else "print('early')",
    "main": "import sys\nm = sys.modules['__main__']\nprint(m.__dict__ is globals(), sorted(globals()))\n"
            "print(__name__, __doc__, __package__, type(__builtins__).__name__)\n",
    "spec": "print(__spec__, type(__loader__).__name__)\n" if VERSION[0] == 3 else "",
    "doc": "'''words'''\nprint(__doc__)\n",
    "file": "print(__file__)\n",
    "future": "print(print if False else 5 / 2)\n" if VERSION[0] == 3 else "print 5 / 2\n",
    "encoding": b"# -*- coding: latin-1 -*-\nprint(len(u'\xe9\xe8'))\n",
    "bom": b"\xef\xbb\xbfprint(len(u'\xc3\xa9'))\n",
    "crlf": b"x = 1\r\nif x:\r\n    print('crlf')\r\n",
    "no newline": b"print('end')",
    "empty": b"",
    "sigpipe": "import signal\nprint(signal.getsignal(signal.SIGPIPE) == signal.SIG_IGN)\n",
    "signals": "print([l for l in open('/proc/self/status') if l[:6] in ('SigIgn', 'SigCgt', 'SigBlk')])\n",
    "stdout": "import sys\nsys.stdout.write('a' * 100000)\n",
    "flags": "import sys\nprint(sys.flags)\nprint(sys.stdout.encoding, sys.stdout.errors)\n",
    "own module": "import sys\nprint([p for p in sys.path if 'runtime' in p and p != sys.path[0]])\n",
    "recursion": "import sys\nsys.setrecursionlimit(60)\ndef f(): f()\ntry:\n    f()\nexcept RuntimeError:\n"
                 "    print('deep')\n",
    "group": "raise ExceptionGroup('g', [ValueError(1), TypeError(2)])\n",
    "suggestion": "import sys\nsys.exi()\n",
}


class LikeBare(unittest.TestCase):
    def test_scripts(self):
        for name, source in LIKE_BARE.items():
            bare = run_bare(source)
            for mode in MODES:
                with self.subTest(name, mode=mode):
                    got = run([("id", "t"), ("kind", "exec"), ("exec", "main.py")], {"main.py": source}, mode)
                    self.assertEqual(bare, got[:3])
                    self.assertRegex(got[3], r"\AS \d+\n\Z")

    @unittest.skipIf(VERSION[0] == 2, "Python 2 exits with 1")
    def test_an_interrupt_of_code_ends_it_by_the_signal(self):
        for mode in ("run", "park", "prepare"):
            with self.subTest(mode):
                got = run([("id", "t"), ("kind", "code"), ("code", LIKE_BARE["interrupt"])], {}, mode)
                self.assertEqual(got[0], run_bare(LIKE_BARE["interrupt"])[0])
                self.assertTrue(got[2].endswith("KeyboardInterrupt\n"))


    @unittest.skipIf(VERSION[0] == 2, "it is Python 2")
    def test_python_2_is_told(self):
        said = "sandbox: this is Python 2, and it runs on Python %d.%d here: the image iron27 (stack \"python-2.7\") " \
               "has Python 2.7\n" % VERSION[:2]
        for name, source, old in (
                ("print", "print 'x'\n", True), ("print >>", "import sys\nprint >>sys.stderr, 'x'\nfoo bar\n", False),
                ("except", "try:\n    pass\nexcept ValueError, e:\n    pass\n", True),
                ("raise", "raise ValueError, 'x'\n", True), ("octal", "x = 0777\n", True),
                ("unequal", "if 1 <> 2:\n    pass\n", True), ("exec", "exec 'x = 1'\n", True),
                ("only wrong", "if True\n    pass\n", False), ("printer", "printer = \n", False)):
            bare = run_bare(source)
            for mode in MODES:
                with self.subTest(name, mode=mode):
                    got = run([("id", "t"), ("kind", "exec"), ("exec", "main.py")], {"main.py": source}, mode)
                    self.assertEqual(bare[:2] + (bare[2] + (said if old else ""),), got[:3])


class Surroundings(unittest.TestCase):
    def probe(self, records, files=(), mode="run"):
        status, out, err, started = run(records, files, mode)
        self.assertEqual((status, err), (0, ""))
        return json.loads(out)

    def test_all_set(self):
        for mode in MODES:
            with self.subTest(mode):
                self.all_set(mode)

    def all_set(self, mode):
        seen = self.probe([("id", "abc"), ("kind", "exec"), ("exec", "sub/main.py"), ("payload", '{"n": 1}'),
                           ("config", "k: v"), ("arg", "--x"), ("arg", "a b\n"), ("env", "A=1=2"),
                           ("env", "TASK_ID=wrong"), ("env", "PATH=/p"), ("env", "EMPTY="), ("seed", b"\0\n" * 16),
                           ("hostname", "h"), ("label", "l")], {"sub/main.py": PROBE}, mode)
        self.assertEqual(seen["argv"], ["WORK/sub/main.py", "-d", "WORK", "-payload", "TOP/run/payload",
                                        "-config", "TOP/run/config", "-id", "abc", "--x", "a b\n"])
        self.assertEqual(seen["cwd"], "WORK")
        self.assertEqual(seen["path0"], "WORK/sub")
        self.assertEqual(seen["env"], {
            "PATH": "/p", "HOME": "WORK", "LANG": "C.UTF-8", "A": "1=2", "EMPTY": "", "TASK_ID": "abc",
            "TASK_DIR": "WORK", "PAYLOAD_FILE": "TOP/run/payload", "CONFIG_FILE": "TOP/run/config"})
        self.assertEqual((seen["payload"], seen["config"]), ('{"n": 1}', "k: v"))
        self.assertEqual(seen["fds"], [0, 1, 2])
        self.assertEqual(seen["run"], ["config", "heap", "payload"])

    def test_unset(self):
        seen = self.probe([("id", "i"), ("kind", "code"), ("code", PROBE)])
        self.assertEqual(seen["argv"][0], "-c")
        self.assertEqual(seen["path0"], "WORK")
        self.assertEqual((seen["payload"], seen["config"]), ("", ""))

    def test_environment_of_c(self):
        source = "import os\nos.execv('/usr/bin/env', ['env'])\n"
        _, out, _, _ = run([("id", "i"), ("kind", "code"), ("code", source), ("env", "X=\u00e9")])
        self.assertEqual(sorted(line.partition("=")[0] for line in out.splitlines()),
                         ["CONFIG_FILE", "HOME", "LANG", "PATH", "PAYLOAD_FILE", "TASK_DIR", "TASK_ID", "X"])
        self.assertIn("X=\u00e9\n", out)

    def test_time_zone(self):
        source = "import time\nprint(time.strftime('%H %Z', time.localtime(0)))\n"
        for zone, shown in (("XYZ-3", "03 XYZ\n"), (None, "00 UTC\n")):
            records = [("id", "i"), ("kind", "code"), ("code", source)]
            records += [("env", "TZ=" + zone)] if zone else []
            self.assertEqual(run(records)[1], shown)

    def test_pythonpath(self):
        records = [("id", "i"), ("kind", "exec"), ("exec", "main.py"), ("env", "PYTHONPATH=lib:x")]
        source = "import deep, os, sys\nprint(deep.x, sys.path[1:3], " \
                 "[p for p in sys.path if os.path.exists(p + '/boot.py')])"
        want = "5 ['WORK/lib', 'WORK/x'] []\n" if VERSION[0] == 3 else "(5, ['WORK/lib', 'WORK/x'], [])\n"
        for mode in MODES:
            status, out, err, _ = run(records, {"main.py": source, "lib/deep.py": "x = 5"}, mode)
            self.assertEqual((status, out, err), (0, want, ""))

    def test_modules_beside_the_script(self):
        records = [("id", "i"), ("kind", "exec"), ("exec", "a/main.py")]
        for mode in MODES:
            files = {"a/main.py": "import near\nprint(near.x)", "a/near.py": "x = 6"}
            self.assertEqual(run(records, files, mode)[1], "6\n")

    def test_unbuffered(self):
        source = "import sys, time\nsys.stdout.write('now')\ntime.sleep(30)\n"
        process = Process("run", [("id", "i"), ("kind", "code"), ("code", source)])
        self.assertRegex(process.read_started(), rb"\AS \d+\n\Z")
        self.assertEqual(process.out.read(3), b"now")
        import os
        os.kill(process.pid, 15)
        self.assertEqual(process.finish()[0], -15)

    def test_started_pipe_without_reader(self):
        import os
        process = Process("run", [("id", "i"), ("kind", "code"), ("code", "print(1)")])
        os.dup2(os.open("/dev/null", os.O_RDONLY), process.started)
        self.assertEqual(process.finish()[:3], (0, "1\n", ""))


class Code(unittest.TestCase):
    def run_code(self, source, **more):
        return run([("id", "i"), ("kind", "code"), ("code", source)] + list(more.items()))

    def test_lines_in_tracebacks(self):
        status, out, err, _ = self.run_code("x = 0\n\ny = 1 / x  # here\n")
        self.assertEqual(status, 1)
        self.assertIn('Traceback (most recent call last):\n  File "<code>", line 3, in <module>\n    y = 1 / x', err)
        self.assertNotIn("runtime", err)

    def test_lines_in_handled_tracebacks(self):
        status, out, err, _ = self.run_code(
            "import traceback\ntry:\n    1 / 0  # here\nexcept ZeroDivisionError:\n    traceback.print_exc()\n")
        self.assertEqual(status, 0)
        self.assertIn("    1 / 0", err)

    def test_no_finder_left(self):
        if VERSION[0] == 3:
            _, out, _, _ = self.run_code("import linecache, sys\nprint([f for f in sys.meta_path if 'Line' in repr(f)])")
            self.assertEqual(out, "[]\n")

    def test_unicode(self):
        status, out, err, _ = self.run_code("# -*- coding: latin-1 -*-\nprint(len(u'\u00e9'))"
                                            if VERSION[0] == 3 else "print(len(u'\u00e9'))")
        self.assertEqual((status, out, err), (0, "1\n", ""))

    def test_syntax_error(self):
        status, _, err, started = self.run_code("x = = 1\n")
        self.assertEqual(status, 1)
        self.assertIn('  File "<code>", line 1\n    x = = 1\n', err)
        self.assertNotIn("Traceback", err)
        self.assertRegex(started, r"\AS \d+\n\Z")


class Shell(unittest.TestCase):
    """A shell script or a line for the shell, executed in place of the interpreter, with what every task gets."""

    def go(self, kind, value, files, mode):
        return run([("id", "i"), ("kind", kind), (kind, value), ("payload", "p"), ("env", "A=b c"), ("arg", "x y")],
                   files, mode)

    def test_script(self):
        script = 'echo "$0 $# $1 $7 $8 $9 $A $TASK_ID"; cat "$PAYLOAD_FILE"; shift 8; echo "/$1"; exit 3\n'
        for mode in ("run", "park", "prepare"):
            status, out, err, started = self.go("shell", "d/go.sh", {"d/go.sh": script}, mode)
            self.assertEqual((status, err), (3, ""))
            self.assertEqual(out, "WORK/d/go.sh 9 -d -id i x y b c i\np/x y\n")
            self.assertRegex(started, r"\AS \d+\n\Z")

    def test_command(self):
        for mode in ("run", "park", "prepare"):
            status, out, err, _ = self.go("command", "A=1; echo $A", {}, mode)
            self.assertEqual((status, err), (0, ""))
            self.assertEqual(out, "1 -d WORK -payload TOP/run/payload -config TOP/run/config -id i x y\n")

    def test_missing(self):
        status, out, err, started = self.go("shell", "no.sh", {}, "run")
        self.assertEqual((status, out, started), (127, "", ""))
        self.assertIn("can't open file 'WORK/no.sh'", err)

    def test_signals(self):
        """Other programs do not inherit which signals the interpreter ignores."""
        got = self.go("command", "grep SigIgn /proc/self/status; true", {}, "run")
        self.assertEqual(int(got[1].split()[1], 16) & (1 << 12 | 1 << 24), 0)


class Missing(unittest.TestCase):
    def expect(self, status, words, records, files=(), mode="run"):
        got = run([("id", "i")] + records, files, mode)
        self.assertEqual((got[0], got[1]), (status, ""))
        self.assertIn(words, got[2])
        self.assertNotIn("Traceback", got[2])
        return got[3]

    def test_script(self):
        for mode in MODES:
            started = self.expect(127, "can't open file 'WORK/no.py': [Errno 2]",
                                  [("kind", "exec"), ("exec", "no.py")], mode=mode)
            self.assertEqual(started, "")
            self.expect(127, "[Errno 20]", [("kind", "exec"), ("exec", "a.py/b.py")], {"a.py": ""}, mode)
            self.expect(126, "[Errno 21]", [("kind", "exec"), ("exec", "d")], {"d/x.py": ""}, mode)

    def test_entry(self):
        files = {"m.py": "x = 1\nclass C:\n    pass\n", "bad.py": "import no_such\n"}
        self.expect(127, "no module 'nope'", [("kind", "entry"), ("entry", "nope:f")], files)
        self.expect(127, "no module 'nope.sub'", [("kind", "entry"), ("entry", "nope.sub:f")], files)
        self.expect(127, "'f' is not in module 'm'", [("kind", "entry"), ("entry", "m:f")], files)
        self.expect(127, "'C.g' is not in", [("kind", "entry"), ("entry", "m:C.g")], files)
        self.expect(126, "cannot be called", [("kind", "entry"), ("entry", "m:x")], files)
        status, _, err, _ = run([("id", "i"), ("kind", "entry"), ("entry", "bad:f")], files)
        self.assertEqual(status, 1)
        self.assertIn('Traceback (most recent call last):\n  File "WORK/bad.py", line 1, in <module>', err)

    def test_job(self):
        self.expect(125, "does not say what to run", [])
        self.expect(125, "does not say what to run", [("kind", "exec"), ("code", "1")])
        self.expect(125, "does not say what to run", [("kind", "payload"), ("payload", "1")])

    def test_job_not_for_this_script(self):
        if VERSION[0] == 2:
            return
        process = Process("script", [("kind", "exec"), ("exec", "x.py")], {"x.py": ""},
                          job=[("kind", "code"), ("code", "")])
        status, out, err, started = process.finish()
        self.assertEqual((status, out, started), (125, "", ""))
        self.assertIn("the job is not to run", err)

    def test_broken_job(self):
        for text in (b"", b"id", b"id x\n", b"id 5\nabc\n", b"id 3\nabcd", b"id  3\nabc\n", b"\xff 1\nx\n"):
            process = Process("run", [], job=text)
            status, out, err, started = process.finish()
            self.assertEqual((status, out, started), (125, "", ""))
            self.assertNotIn("Traceback", err)

    def test_no_job(self):
        for mode in ("run", "script", "park")[:: 1 if VERSION[0] == 3 else 2]:
            process = Process(mode, [("kind", "exec"), ("exec", "x.py")], job=None)
            status, out, err, started = process.finish()
            self.assertEqual((status, out, started), (125, "", ""))
            self.assertIn("the job cannot be read", err)


class Entry(unittest.TestCase):
    MODULE = """
import sys
def one(payload):
    return {"got": payload}
def none():
    return "no payload"
def default(payload=5, other=6):
    return [payload, other]
def many(*args):
    return len(args)
def nothing(payload):
    print("said")
def fails(payload):
    raise ValueError("no")
def exits(payload):
    sys.exit(9)
def bad(payload):
    return object()
def not_a_number():
    return {"n": [1.5, float("nan")]}
def infinite():
    return float("-inf")
def round():
    ring = []
    ring.append(ring)
    return ring
class C(object):
    def __init__(self, payload=None):
        self.payload = payload
    def __call__(self, payload):
        return ["called", payload]
    @classmethod
    def make(cls, payload):
        return ["made", payload]
    @staticmethod
    def still():
        return "still"
it = C()
"""
    ASYNC = "import asyncio\nasync def f(payload):\n    await asyncio.sleep(0)\n    return payload\n" \
            "async def g():\n    raise KeyError('deep')\n"

    def call(self, name, payload=None, module=None):
        records = [("id", "i"), ("kind", "entry"), ("entry", "pkg.m:" + name)]
        records += [("payload", payload)] if payload is not None else []
        return run(records, {"pkg/__init__.py": "", "pkg/m.py": module or self.MODULE})

    def test_calls(self):
        for name, payload, line in (
                ("one", '{"n": [1, null]}', '{"got": {"n": [1, null]}}\n'),
                ("one", None, '{"got": null}\n'),
                ("one", "not json", '{"got": "not json"}\n'),
                ("none", "1", '"no payload"\n'),
                ("default", None, "[null, 6]\n"),
                ("many", "1", "1\n"),
                ("nothing", "1", "said\n"),
                ("C.make", "2", '["made", 2]\n'),
                ("C.still", "2", '"still"\n'),
                ("it", "3", '["called", 3]\n')):
            with self.subTest(name):
                status, out, err, started = self.call(name, payload)
                self.assertEqual((status, out, err), (0, line, ""))
                self.assertRegex(started, r"\AS \d+\n\Z")

    def test_exit(self):
        self.assertEqual(self.call("exits")[:3], (9, "", ""))

    def test_error(self):
        status, out, err, _ = self.call("fails")
        self.assertEqual((status, out), (1, ""))
        self.assertTrue(err.startswith('Traceback (most recent call last):\n  File "WORK/pkg/m.py", line 14, in fails'))
        self.assertTrue(err.endswith("ValueError: no\n"))

    def test_result_not_json(self):
        for name in "bad", "not_a_number", "infinite", "round":
            with self.subTest(name):
                status, out, err, _ = self.call(name)
                self.assertEqual((status, out), (1, ""))
                self.assertRegex(
                    err, r"\Asandbox: the result of 'pkg.m:%s' cannot be written as JSON: .*\n\Z" % name)

    def test_coroutine(self):
        if VERSION[0] == 3:
            self.assertEqual(self.call("f", "[1]", self.ASYNC)[:3], (0, "[1]\n", ""))
            status, _, err, _ = self.call("g", "[1]", self.ASYNC)
            self.assertEqual(status, 1)
            self.assertIn("KeyError: 'deep'", err)
            self.assertNotIn("sandbox", err)


if __name__ == "__main__":
    unittest.main()

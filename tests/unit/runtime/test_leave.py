"""The end of a task in a process that was parked: the same as a bare interpreter's, to its last byte."""

import re
import unittest

from harness import VERSION, restored, run, run_bare

# One line of output for each thing that an end does, in its order.
SAY = """
import os, sys
def say(*words):
    os.write(1, (" ".join(str(word) for word in words) + "\\n").encode())
class Last(object):
    def __init__(self, name):
        self.name = name
    def __del__(self):
        say("gone", self.name)
"""

ENDS = {
    "globals": "a = Last('a')\nb = Last('b')\n_c = Last('c')\nsay('end')\n",
    "exit status": "a = Last('a')\nsys.exit(300)\n",
    "negative status": "sys.exit(-1)\n",
    "true": "a = Last('a')\nsys.exit(True)\n",
    "error": "a = Last('a')\n1 / 0\n",
    "cycle": "class Node(Last):\n    pass\nn = Node('n')\nn.me = n\ndel n\nm = Node('m')\nm.me = m\n",
    "uses globals": "word = 'here'\nclass Uses(object):\n    def __del__(self):\n        say(word, say is not None)\n"
                    "u = Uses()\nu.me = u\n",
    "function holds": "def f(x=Last('default')):\n    pass\n",
    "imports late": "class Late(object):\n    def __del__(self):\n        try:\n            import colorsys\n"
                    "        except ImportError as error:\n            say(type(error).__name__)\n"
                    "        say(sys.meta_path)\nx = Late()\n",
    "raises": "class Bad(object):\n    def __del__(self):\n        raise ValueError('at the end')\nb = Bad()\n",
    "atexit": "import atexit\na = Last('a')\n"
              "def last(n):\n    say('atexit', n, a.name)\n"
              "atexit.register(last, 1)\natexit.register(last, 2)\n",
    "atexit raises": "import atexit\natexit.register(lambda: 1 / 0)\na = Last('a')\n",
    "atexit exits": "import atexit\natexit.register(lambda: os._exit(9))\na = Last('a')\n",
    "open file": "path = os.environ.get('TASK_DIR', '.') + '/out'\nf = open(path, 'w')\nf.write('kept')\n"
                 "class See(object):\n    def __del__(self):\n        pass\n"
                 "import atexit\natexit.register(lambda: say(os.path.getsize(path)))\n",
    "flushed late": "class Says(object):\n    def __del__(self):\n        sys.stdout.write('to stdout')\ns = Says()\n",
    "own stdout": "import io\nsys.stdout = io.open(os.dup(1), 'w', buffering=4096)\nsys.stdout.write(u'buffered')\n"
                  "a = Last('a')\n",
    "closed stdout": "a = Last('a')\nsys.stdout.close()\n",
    "closed fd": "a = Last('a')\nos.close(1)\n",
    "stdout that fails": "import io\nsys.stdout = io.open('/dev/full', 'w')\nsys.stdout.write(u'lost')\n",
    "builtins": "import %s as b\nb.mine = Last('builtin')\n" % ("builtins" if VERSION[0] == 3 else "__builtin__"),
    "in sys": "sys.mine = Last('sys')\n",
    "no main": "del sys.modules['__main__']\na = Last('a')\n",
    "other main": "sys.modules['__main__'] = 5\na = Last('a')\n",
    "modules cleared": "a = Last('a')\nsys.modules.clear()\n",
    "own module": "m = type(sys)('m')\nsys.modules['m'] = m\nm.a = Last('in m')\nm.f = lambda: m\na = Last('a')\n"
                  "del m\n",
    "forks": "pid = os.fork()\na = Last('child' if pid == 0 else 'parent')\n"
             "if pid == 0:\n    sys.exit(7)\nsay(os.waitpid(pid, 0)[1])\n",
    "daemon thread": "import threading, time\nt = threading.Thread(target=time.sleep, args=(60,))\nt.daemon = True\n"
                     "t.start()\na = Last('a')\n",
    "joined thread": "import threading\ngo = threading.Event()\n"
                     "threading.Thread(target=lambda: (go.wait(), say('thread'))).start()\nsay('end')\ngo.set()\n",
    "thread local": "import threading\nlocal = threading.local()\nlocal.a = Last('local')\n",
    "finalize": "import weakref\nclass Thing(object):\n    pass\nt = Thing()\n"
                + ("weakref.finalize(t, say, 'finalized')\n" if VERSION[0] == 3 else ""),
    "generator": "def g():\n    try:\n        yield 1\n    finally:\n        say('generator')\nx = g()\nnext(x)\n",
    "C library": "import ctypes\nc = ctypes.CDLL(None)\nc.setvbuf(ctypes.c_void_p.in_dll(c, 'stdout'), None, 0, 4096)\n"
                 "c.printf(b'of the C library\\n')\n",
    "loads a library": "import ctypes\nc = ctypes.CDLL('libresolv.so.2')\na = Last('a')\n",
    "new module": "import colorsys\ncolorsys.a = Last('in colorsys')\nsay('end')\n",
}


def no_address(got):
    return tuple(re.sub(r" at 0x\w+", "", str(part)) for part in got[:3])


@unittest.skipIf(VERSION[0] == 2, "Python 2 ends as it always does")
class End(unittest.TestCase):
    def test_like_bare(self):
        for name, source in ENDS.items():
            bare = run_bare(SAY + source)
            for mode in "park", "prepare":
                with self.subTest(name, mode=mode):
                    got = run([("id", "t"), ("kind", "exec"), ("exec", "main.py")], {"main.py": SAY + source}, mode)
                    self.assertEqual(no_address(bare), no_address(got))

    def test_entry(self):
        for body, status in (("return None", 0), ("raise SystemExit(5)", 5)):
            got = restored([("kind", "entry"), ("entry", "app:main")],
                           {"app.py": SAY + "a = Last('a')\ndef main():\n    %s\n" % body})
            self.assertEqual(got[:3], (status, "gone a\n", ""))

    # What was there before the task is deliberately not freed: a destructor in it would show if it were.
    WARM = {"warm.py": SAY + "me = sys.modules[__name__]\n_kept = Last('warm')\n"}

    def of_warm(self, code):
        return restored([("kind", "code"), ("code", "import warm\n" + code)], self.WARM, ["warm", "ctypes"])

    def test_warm_modules_stay(self):
        for prepare in False, True:
            got = restored([("kind", "code"), ("code", "a = 1\n")], self.WARM, ["warm"], prepare)
            self.assertEqual(got[:3], (0, "", ""))

    def test_all_goes(self):
        """Ends that are not simple."""
        for code in ("1/0", "import ctypes\nctypes.CDLL('libresolv.so.2')",
                     "import threading, time\nt = threading.Thread(target=time.sleep, args=(60,))\n"
                     "t.daemon = True\nt.start()"):
            with self.subTest(code):
                self.assertIn("gone warm", self.of_warm(code)[1])


if __name__ == "__main__":
    unittest.main()

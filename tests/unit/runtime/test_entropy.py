"""A package's own modules in the parked process, and entropy refused to them while they are imported."""

import os
import subprocess
import unittest

from harness import PYTHON, VERSION, Process

HAS_NUMPY = subprocess.call(PYTHON + ["-c", "import numpy"], stderr=subprocess.DEVNULL) == 0

DRAWS = {
    "random.random": "import random\nrandom.random()",
    "random.randint": "from random import randint\nrandint(1, 2)",
    "random.shuffle": "import random\nrandom.shuffle([1, 2])",
    "random.getrandbits": "import random\nrandom.getrandbits(8)",
    "random.Random": "import random\nrandom.Random()",
    "os.urandom": "import os\nos.urandom(4)",
    "uuid.uuid1": "import uuid\nuuid.uuid1()",
    "uuid.uuid4": "import uuid\ndef deep():\n    return uuid.uuid4()\nclass C(object):\n    x = deep()",
}
if VERSION[0] == 3:
    DRAWS.update({
        "os.getrandom": "import os\nos.getrandom(4)",
        "secrets.token_hex": "import secrets\nsecrets.token_hex()",
        "secrets.choice": "from secrets import choice\nchoice([1, 2])",
        "secrets.randbelow": "import secrets\nsecrets.randbelow(5)",
        "random.choices": "import random\nrandom.choices([1, 2])",
        "random.triangular": "exec('import random; random.triangular()')",
    })
NUMPY_DRAWS = {
    "numpy.random.random": "import numpy\nnumpy.random.random()",
    "numpy.random.normal": "from numpy.random import normal\nnormal()",
    "numpy.random.default_rng": "import numpy\nnumpy.random.default_rng()",
}

# Draws by each name that the module has kept since its import.
KEEPS = """
import os, random, uuid
from random import random as drawn, choice as chosen
import functools, sys
def default(draw=random.randint):
    return draw(1, 1 << 60)
class Has(object):
    own = staticmethod(random.getrandbits)
partly = functools.partial(chosen, [3])
urandom = os.urandom
seeded = random.Random(5)
names = [getattr(f, '__module__', None) for f in (drawn, os.urandom, uuid.uuid4)]
"""
USES = """
import os, random, uuid, sys
import app
assert app.drawn is random.random and app.chosen is random.choice and app.urandom is os.urandom
assert type(app.drawn).__name__ == 'builtin_function_or_method', app.drawn
assert uuid.uuid4.__module__ == 'uuid' and random.choice.__self__ is random._inst
assert not [m for m in sys.meta_path if 'Refusal' in repr(m)]
assert random._urandom is os.urandom
values = [app.drawn(), random.random(), app.default(), app.Has.own(60), app.urandom(8), os.urandom(8), uuid.uuid4(),
          uuid.uuid1(), random.Random().random(), random.SystemRandom().random()]
assert len(set(values)) == len(values)
assert app.partly() == 3
random.seed(1)
assert random.random() == random.Random(1).random() and app.seeded.random() == random.Random(5).random()
if sys.version_info[0] == 3:
    import secrets
    assert secrets.token_hex() != secrets.token_hex() and secrets.choice([1]) == 1
print('works')
"""


def own_modules(*names, refuse=True, warm=()):
    return ([("warm", name) for name in warm] + [("module", name) for name in names]
            + [("entropy", "refuse")] * refuse)


class Own(unittest.TestCase):
    def parked(self, records, files):
        process = Process("park", records, files)
        if process.read_started(1) != b"P":
            self.fail(process.finish())
        return process

    def used(self, records, files, code):
        process = self.parked(records, dict(files, **{"main.py": code}))
        process.wake([("id", "i"), ("kind", "exec"), ("exec", "main.py")])
        self.assertEqual(process.finish()[:3], (0, "works\n", ""))

    def refused(self, records, files, words):
        process = Process("park", records, files)
        os.close(process.go)
        process.go = os.open("/dev/null", os.O_RDONLY)
        self.assertEqual(process.finish(), (3, "", "sandbox: warm: module 'app' %s\n" % words, ""))

    def test_module(self):
        # After the warm ones, from the work folder, in their order.
        files = {"app.py": "import sys\nassert 'decimal' in sys.modules\nvalue = [1]\n",
                 "pkg/sub.py": "import app\napp.value.append(2)\n", "pkg/__init__.py": ""}
        for refuse in True, False:
            self.used(own_modules("app", "pkg.sub", refuse=refuse, warm=["decimal"]), files,
                      "import app\nprint('works' if app.value == [1, 2] else app.value)")

    def test_module_fails(self):
        for refuse in True, False:
            self.refused(own_modules("app", refuse=refuse), {"app.py": "raise ValueError('no')\n"},
                         "does not import: ValueError: no")

    def test_draws(self):
        for name, source in list(DRAWS.items()) + list(NUMPY_DRAWS.items() if HAS_NUMPY else ()):
            for warm in (), (name.partition(".")[0],):
                with self.subTest(name, warm=warm):
                    if VERSION[0] == 2 and name.startswith("numpy") and not warm:
                        continue
                    self.refused(own_modules("app", warm=warm), {"app.py": source},
                                 "does not import: RuntimeError: %s() draws what all tasks would share: "
                                 "draw it when the task runs" % name)

    def test_draws_of_an_import(self):
        files = {"app.py": "import sub\n", "sub.py": DRAWS["random.random"]}
        self.refused(own_modules("app"), files,
                     "does not import: RuntimeError: random.random() draws what all tasks would share: draw it when the task runs")

    def test_not_refused(self):
        # The same modules without "entropy refuse", and as modules of `warm`.
        for source in DRAWS.values():
            self.used(own_modules("app", refuse=False), {"app.py": source}, "print('works')")
        self.used(own_modules(warm=["app"]), {"app.py": DRAWS["random.random"]}, "print('works')")

    def test_modules_of_the_image(self):
        # These draw when they are imported, also when a module of the package imports them; that is repaired.
        names = ["multiprocessing", "tempfile", "uuid", "ssl", "logging.handlers", "email.utils"]
        names += ["secrets", "asyncio", "http.client"] if VERSION[0] == 3 else []
        names += ["numpy", "numpy.random"] if HAS_NUMPY else []
        source = "".join("import %s\n" % name for name in names)
        self.used(own_modules("app"), {"app.py": source}, "print('works')")
        files = {"../lib/drawing.py": "import random\nrandom.random(), random.Random()\n",
                 "app.py": "import os, sys\nfolder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))\n"
                           "sys.path.append(folder + '/lib')\nimport drawing\n"}
        self.used(own_modules("app"), files, "print('works')")

    def test_repaired_modules_of_the_package(self):
        files = {"bson/__init__.py": "", "app.py": "import bson.objectid\n",
                 "bson/objectid.py": "import os\nclass ObjectId(object):\n    _ObjectId__random = os.urandom(5)\n"}
        self.used(own_modules("app"), files, "print('works')")

    def test_state(self):
        words = "changes the state of %s's global generator when it is imported"
        lines = ["random.seed(1)", "random.setstate(random.Random(3).getstate())"]
        lines += ["random.seed()"] if VERSION[0] == 3 else []    # Python 2 draws by os.urandom
        for line in lines:
            self.refused(own_modules("app"), {"app.py": "import random\n%s\n" % line}, words % "random")
        if HAS_NUMPY:
            for warm in (), ("numpy",):
                self.refused(own_modules("app", warm=warm),
                             {"app.py": "import numpy\nnumpy.random.seed(1)\n"}, words % "numpy.random")
        self.used(own_modules("app", refuse=False), {"app.py": "import random\nrandom.seed(1)\n"}, "print('works')")

    def test_state_is_of_the_module(self):
        process = Process("park", own_modules("one", "two", "three"),
                          {"one.py": "", "two.py": "import random\nrandom.seed(1)\n", "three.py": ""})
        os.close(process.go)
        process.go = os.open("/dev/null", os.O_RDONLY)
        self.assertIn("warm: module 'two' changes", process.finish()[2])

    def test_afterwards(self):
        self.used(own_modules("app"), {"app.py": KEEPS}, USES)
        self.used(own_modules("app", refuse=False), {"app.py": KEEPS}, USES)
        if HAS_NUMPY:
            source = "import numpy\nfrom numpy.random import normal\n"
            uses = "import app, numpy\nassert app.normal is numpy.random.normal\n" \
                   "assert app.normal() != app.normal()\nassert numpy.random.default_rng().random()\n" \
                   "assert 'mtrand' in repr(numpy.random.normal), numpy.random.normal\nprint('works')\n"
            for warm in (), ("numpy",):
                self.used(own_modules("app", warm=warm), {"app.py": source}, uses)

    def test_caught(self):
        # A module that catches the error goes on.
        source = "import random\ntry:\n    random.random()\nexcept RuntimeError:\n    x = 1\n"
        self.used(own_modules("app"), {"app.py": source}, "import app\nprint('works' if app.x else 0)")

    def test_worker(self):
        # The texts of the platform that HTTP workers are written for; the path of the module is the same in a cold
        # start.
        if VERSION[0] == 2:
            return
        warm = ["_sandboxd_http.warm"]
        for name, source in DRAWS.items():
            with self.subTest(name):
                if name == "random.Random":
                    self.used(own_modules("app", warm=warm), {"app.py": source}, "print('works')")
                    continue
                error = "RuntimeError: Cannot use %s() outside of request context" % name
                if not name.startswith("random."):
                    error = "OSError: [Errno 29] Cannot get entropy outside of request context"
                process = Process("park", own_modules("app", warm=warm), {"app.py": source})
                os.close(process.go)
                process.go = os.open("/dev/null", os.O_RDONLY)
                status, _, err, _ = process.finish()
                self.assertEqual(status, 3)
                self.assertIn("warm: module 'app' does not import: %s (app.py:" % error, err)
        files = {"app.py": "import langsmith.ids\nimport random\nx = random.Random()\n", "langsmith/__init__.py": "",
                 "langsmith/ids.py": "import uuid\nx = uuid.uuid4()\n"}
        self.used(own_modules("app", warm=warm), files, "print('works')")

    def test_record(self):
        process = Process("park", [("entropy", "maybe")])
        status, out, err, started = process.finish()
        self.assertEqual((status, out, started), (125, "", ""))
        self.assertIn("the job's entropy", err)


if __name__ == "__main__":
    unittest.main()

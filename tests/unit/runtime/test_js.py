"""`js`, `pyodide` and `workers` of HTTP workers print what the real ones print (tests/pyodide)."""

import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
CASES = os.path.join(HERE, "..", "..", "pyodide")
RUNTIME = os.environ.get("RUNTIME_DIR") or os.path.join(HERE, "..", "..", "..", "images", "runtime")
sys.path[:0] = [os.path.join(RUNTIME, "http"), CASES]

import _sandboxd_js  # noqa: E402
import cases  # noqa: E402


class Cases(unittest.TestCase):
    """A test for each case of each file."""

    maxDiff = None


cases.add_tests(Cases, os.path.join(CASES, "cases"))


class SdkCases(unittest.TestCase):
    """Our own `workers` prints what the platform's own SDK prints (tests/pyodide/sdk_test.py)."""

    maxDiff = None

    def tearDown(self):
        _sandboxd_js.set_fetch(None)


cases.add_tests(SdkCases, os.path.join(CASES, "sdk"), cases.SDK_PRELUDE)

if __name__ == "__main__":
    unittest.main()

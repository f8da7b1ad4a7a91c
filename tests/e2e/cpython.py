"""Runs one module of CPython's own tests in this process: `cpython.py ... MODULE`.

Each line of the output is a test's name and what became of it; the last one says that all have run.
What the tests themselves print goes to stderr, or is lost.
"""
import importlib
import os
import sys
import unittest

out = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)


class Result(unittest.TestResult):
    """Keeps a line for each test; one whose sub-tests fail fails."""

    def __init__(self):
        super().__init__()
        self.lines = {}

    def note(self, test, what, *reason):
        name = test.id() if hasattr(test, "id") else str(test)
        if what != "ok" or name not in self.lines:
            self.lines[name] = what
        for text in reason:
            print(name, what, text, file=sys.stderr)

    def addSuccess(self, test):
        self.note(test, "ok")

    def addFailure(self, test, err):
        self.note(test, "fails", self._exc_info_to_string(err, test))

    addError = addFailure

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self.addFailure(test, err)

    def addSkip(self, test, reason):
        self.note(test, "skipped", reason)

    def addExpectedFailure(self, test, err):
        self.note(test, "ok")

    def addUnexpectedSuccess(self, test):
        self.note(test, "fails")


def main():
    name = sys.argv[-1]
    del sys.argv[1:]
    from test import support

    support.use_resources = ["cpu", "network", "subprocess"]
    result = Result()
    try:
        # As regrtest does it: in a folder of its own, and with a traceback after a fatal fault.
        os.makedirs("/tmp/cpython", exist_ok=True)
        os.chdir("/tmp/cpython")
        module = importlib.import_module("test." + name)
        unittest.defaultTestLoader.loadTestsFromModule(module).run(result)
    except unittest.SkipTest as reason:
        print("skipped:", reason, file=sys.stderr)
        result.lines["test." + name] = "skipped"
    for test in sorted(result.lines):
        print(test, result.lines[test], file=out)
    print("all", len(result.lines), file=out)
    out.flush()
    os._exit(0)


if __name__ == "__main__":
    main()

"""A worker's modules in a parked process."""

import os
import unittest

from harness import Process

ENTRY = """
import atexit, sys, json
atexit.register(lambda: print(open("/proc/self/cmdline").read().split("\\0")[-2], flush=True))
def on_fetch(request): pass
"""
JOB = [("id", "i"), ("kind", "entry"), ("entry", "_sandboxd_http.instance:main"),
       ("payload", '{"main": "entry", "worker": "w"}')]


class WarmTest(unittest.TestCase):

    def end_of(self, files, modules=("entry",)):
        """What a parked worker says that is woken without the socket that it would serve by."""
        process = Process("park", [("warm", "_sandboxd_http.warm")] + [("module", each) for each in modules]
                          + [("entropy", "refuse")], files)
        if process.read_started(1) != b"P":
            self.fail(process.finish())
        process.wake(JOB)
        status, out, self.err, _ = process.finish()
        self.assertEqual(status, 1, self.err)
        self.assertIn("Bad file descriptor", self.err)
        return out

    def test_a_worker_wakes_up_in_the_process_that_was_parked(self):
        # A file by the name of a module of the standard library is behind that one, so it changes nothing.
        files = {"entry.py": ENTRY, "json.py": "raise ImportError('not this one')", "queue.py": "",
                 "python_modules/other.py": ""}
        self.assertEqual(self.end_of(files), "park\n")
        self.assertEqual(self.end_of(dict(files, **{"entry.py": ENTRY + "import other\n"})), "park\n")

    def test_a_file_that_comes_before_a_module_that_was_warmed_makes_it_a_cold_start(self):
        # The snapshot has none of the folder's modules. What is called is a lookup in sys.modules: where it finds the
        # module that only a parked process has, it returns what is no JSON.
        for files, cold in (({"js.py": ""}, True), ({"python_modules/js.py": ""}, True), ({"js/__init__.py": ""}, True),
                            ({"python_modules/pyodide/__init__.py": ""}, True), ({"queue.py": "", "jsx.py": ""}, False),
                            ({"js/data.txt": ""}, False)):
            process = Process("park", [("warm", "_sandboxd_http.warm")])
            self.assertEqual(process.read_started(1), b"P")
            process.fill(files)
            process.wake([("id", "i"), ("kind", "entry"), ("entry", "_sandboxd_http.warm:sys.modules.get"),
                          ("payload", '"sandbox_park"')])
            status, out, err, _ = process.finish()
            if cold:
                self.assertEqual((status, out, err), (0, "", ""), files)
            else:
                self.assertEqual((status, out), (1, ""), files)
                self.assertIn("cannot be written as JSON", err)

    def test_what_was_printed_for_the_snapshot_is_printed_again(self):
        entry = ("import logging, sys\nprint('top level')\nlogging.warning('logged')\nsys.stdout.write('x' * %d)\n"
                 "handlers = logging.root.handlers\n")
        for size, kept in ((3, 3), (20000, 16000)):
            process = Process("park", [("warm", "_sandboxd_http.warm"), ("module", "entry"), ("entropy", "refuse")],
                              {"entry.py": entry % size})
            self.assertEqual(process.read_started(1), b"P")
            process.wake([("id", "i"), ("kind", "entry"), ("entry", "_sandboxd_http.warm:print_again")])
            status, out, err, _ = process.finish()
            self.assertEqual(status, 0, err)
            # Once for the warm-up, and once for the instance.
            self.assertEqual(out[:10 + size], "top level\n" + "x" * size)
            again = out[10 + size:]
            self.assertTrue(again.startswith("top level\n" + "x" * kept), again[:80])
            self.assertLess(len(again), kept + 1000)
            self.assertEqual("is not kept in the snapshot" in again, size > kept)
            self.assertEqual(err.count("WARNING:root:logged\n"), 2)

    def test_what_cannot_be_kept_is_named(self):
        for source, words in (
                ("import threading\nNAME = threading.Thread(target=threading.Event().wait, name='T', daemon=True)\n"
                 "NAME.start()\n", r"has started a thread \(MainThread, T\), held by entry\.NAME\n"),
                ("FILE = open(__file__)\n", r"has left file descriptor \d+ open \(.*entry\.py\), held by entry\.FILE\n"),
                ("import socket\nSOCK = socket.socket()\n", r"open \(socket:\[\d+\]\), held by entry\.SOCK\n"),
                ("def f():\n    raise KeyError('x')\nf()\n", r"does not import: KeyError: 'x' \(entry\.py:2\)\n")):
            process = Process("park", [("warm", "_sandboxd_http.warm"), ("module", "entry"), ("entropy", "refuse")],
                              {"entry.py": source})
            os.close(process.go)
            process.go = os.open("/dev/null", os.O_RDONLY)
            status, _, err, _ = process.finish()
            self.assertEqual(status, 3)
            self.assertRegex(err, words)

    def test_requests_are_rehearsed_before_the_worker_is_imported_and_leave_nothing(self):
        entry = ENTRY + ("import asyncio, threading\n"
                         "from _sandboxd_http import dispatch, framing, nested\n"
                         "assert '_sandboxd_http.rehearse' in sys.modules\n"
                         "assert not framing.known and not dispatch.positions and nested.serving is None\n"
                         "assert not asyncio.all_tasks(asyncio.new_event_loop()) and threading.active_count() == 1\n"
                         "assert dispatch.current.get(None) is None\n")
        self.assertEqual(self.end_of({"entry.py": entry}), "park\n")

    def test_a_clone_has_ahead_what_a_request_touches_and_no_handler_was_called_for_it(self):
        calls = "calls = []\n"
        says = ("import sys, entry\nfrom sandbox_park import Parked\n"
                "print(entry.calls, '_sandboxd_rehearsal' in sys.modules, "
                "(len(Parked.last.touched.write) if Parked.last.touched else 0) > 5000)")
        for entry in (
                "async def on_fetch(request):\n    calls.append(1)\n",
                "from workers import Response, WorkerEntrypoint\nclass Default(WorkerEntrypoint):\n"
                "    async def fetch(self, request):\n        calls.append(1)\n",
                "import asgi\nasync def app(scope, receive, send):\n    calls.append(1)\n"
                "Default = asgi.entrypoint(app)\n"):
            process = Process("park", [("warm", "_sandboxd_http.warm"), ("module", "entry"), ("entropy", "refuse")],
                              {"entry.py": calls + entry})
            self.assertEqual(process.read_started(1), b"P")
            process.prepare()
            process.wake([("id", "i"), ("kind", "code"), ("code", says)])
            status, out, err, _ = process.finish()
            self.assertEqual((status, out, err), (0, "[] False True\n", ""))

    def test_a_clone_looks_at_its_folder_again_where_that_is_another_than_before(self):
        for files, cold in (({}, False), ({"other.txt": ""}, False), ({"pyodide.py": ""}, True),
                            ({"python_modules/pyodide.py": ""}, True)):
            process = Process("park", [("warm", "_sandboxd_http.warm"), ("module", "entry"), ("entropy", "refuse")],
                              {"entry.py": ENTRY})
            self.assertEqual(process.read_started(1), b"P")
            process.prepare()
            process.fill(files)
            process.wake(JOB)
            status, out, err, _ = process.finish()
            self.assertEqual((status, out), (1, "" if cold else "park\n"))
            self.assertIn("Bad file descriptor", err)

    def test_parking_leaves_nothing_open(self):
        process = Process("park", [("warm", "_sandboxd_http.warm")])
        self.assertEqual(process.read_started(1), b"P")
        self.assertEqual(sorted(map(int, os.listdir("/proc/%d/fd" % process.pid))), [0, 1, 2, 3, 4])
        self.assertEqual(len(os.listdir("/proc/%d/task" % process.pid)), 1)
        os.close(process.go)
        process.go = os.open("/dev/null", os.O_RDONLY)
        process.finish()


if __name__ == "__main__":
    unittest.main()

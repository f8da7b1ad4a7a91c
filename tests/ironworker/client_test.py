# SPDX-License-Identifier: Apache-2.0
"""Every call of Iron.io's own client for Python that works on a Python of today, with what its
users do next, and in the order that its own tests make them: a task is asked about, told how far
it is, retried and cancelled right after it was queued, whatever has become of it."""
import datetime
import os
import shutil
import time
import unittest

from iron_worker import CodePackage, IronWorker, Task
from requests.exceptions import HTTPError

HELLO = """import json, os, sys
args = dict(zip(sys.argv[1::2], sys.argv[2::2]))
print("hello", json.load(open(args["-payload"])))
print("to stderr", file=sys.stderr)
"""
PAYLOAD = {"dict": {"a": 1, "b": 2.50}, "list": ["\u00e4", None]}


class ClientTest(unittest.TestCase):
    """iron.json is in the current folder, where the client looks for it."""

    def setUp(self):
        self.worker = IronWorker()

    def upload(self, name, source=HELLO):
        """A folder with two files, of which one is run."""
        folder = "of-" + name
        shutil.rmtree(folder, ignore_errors=True)
        os.makedirs(folder)
        for path, text in (("hello.py", source), ("more.txt", "more")):
            with open(os.path.join(folder, path), "w", encoding="utf-8") as f:
                f.write(text)
        package = CodePackage()
        package.merge(folder, True)
        return self.worker.upload(package, name=name, executable="hello.py")

    def test_packages(self):
        code = self.upload("package")
        self.assertEqual(self.upload("package").id, code.id)
        self.assertEqual(self.worker.code(code).name, "package")
        self.assertEqual(self.worker.code(code.id).revision, 2)
        self.assertIn(code.id, [c.id for c in self.worker.codes()])
        self.assertEqual([r.revision for r in self.worker.revisions(code)], [2, 1])
        self.assertTrue(self.worker.deleteCode(code))
        self.assertNotIn(code.id, [c.id for c in self.worker.codes()])
        with self.assertRaises(HTTPError) as no:
            self.worker.code(code)
        self.assertEqual(no.exception.response.status_code, 404)

    def test_run(self):
        self.upload("runs")
        out = self.worker.run(code_name="runs", payload=PAYLOAD)
        self.assertEqual(out, "hello %s\n" % PAYLOAD)
        # What is no JSON is the payload as it is.
        self.upload("text", "import os; print(open(os.environ['PAYLOAD_FILE']).read() * 2)")
        self.assertEqual(self.worker.run(code_name="text", payload="ab"), "abab\n")

    def test_task(self):
        self.upload("tasks")
        task = self.worker.queue(code_name="tasks", payload=PAYLOAD, priority=1, label="l")
        self.assertIn(task.id, [t.id for t in self.worker.tasks()])
        self.assertIn(task.id, [t.id for t in self.worker.tasks_by_code_name("tasks")])
        told = self.worker.task(task)
        self.assertEqual((told.id, told.payload, told.label, told.scheduled),
                         (task.id, PAYLOAD, "l", False))
        self.assertEqual(self.worker.wait_for_task(task).status, "complete")
        self.assertEqual(self.worker.wait_for_task_log(task),
                         "hello %s\nto stderr\n" % PAYLOAD)
        self.assertEqual(self.worker.log(task), self.worker.log(task.id))
        self.assertEqual(self.worker.stdout(task), "hello %s\n" % PAYLOAD)

    def test_right_after_it_was_queued(self):
        self.upload("at-once")
        for _ in range(5):
            task = self.worker.queue(code_name="at-once")
            self.assertEqual(self.worker.setProgress(task, 50)["msg"], "Progress set")
            self.assertEqual(self.worker.setProgress(task.id, 60, "more")["msg"], "Progress set")
            again = self.worker.retry(task)
            self.assertEqual(again["msg"], "Queued up")
            self.assertNotEqual(again["tasks"][0]["id"], task.id)
            self.assertTrue(self.worker.cancel(task))
        # Also of one that has ended, and of one that was cancelled.
        self.assertEqual(self.worker.retry(task.id, 1000)["msg"], "Queued up")
        self.assertIn(self.worker.wait_for_task(task).status, ("complete", "cancelled"))

    def test_lists(self):
        self.upload("lists")
        tasks = [Task(code_name="lists", delay=1000, payload={"n": n}) for n in range(3)]
        made = self.worker.queue(tasks=tasks)
        self.assertEqual(len(made), 3)
        queued = self.worker.tasks(code_name="lists", queued=1)
        self.assertEqual([t.payload for t in queued], [{}] * 3)
        self.assertEqual({t.id for t in queued}, {t.id for t in made})
        self.assertEqual(self.worker.tasks(code_name="lists", running=1, complete=1), [])
        self.assertEqual(len(self.worker.tasks(code_name="lists", page=1, per_page=2)), 1)
        now = int(time.time())
        self.assertEqual(len(self.worker.tasks(code_name="lists", from_time=now - 1000,
                                               to_time=now + 1000)), 3)
        self.assertEqual(self.worker.tasks(code_name="lists", to_time=now - 1000), [])
        for task in made:
            self.assertTrue(self.worker.cancel(task))
        self.assertEqual({t.status for t in self.worker.tasks(code_name="lists")}, {"cancelled"})

    def test_schedules(self):
        self.upload("often")
        later = datetime.datetime.now() + datetime.timedelta(hours=1)
        made = self.worker.queue(code_name="often", payload={"n": 1}, start_at=later,
                                 run_every=3600, run_times=8, timeout=120)
        self.assertTrue(made.scheduled)
        told = self.worker.task(made)
        self.assertEqual((told.run_times, told.status, told.scheduled), (8, "scheduled", True))
        self.assertEqual(int(told.start_at.timestamp()), int(later.timestamp()))
        # An end that is no end, as IronWorker writes it.
        endless = self.worker.queue(code_name="often", run_every=3600, start_at=later,
                                    end_at=datetime.datetime(2262, 4, 11, 23, 47, 16))
        ids = [s.id for s in self.worker.tasks(scheduled=True)]
        self.assertIn(made.id, ids)
        self.assertIn(endless.id, ids)
        for schedule in self.worker.tasks(scheduled=True):
            self.assertTrue(self.worker.cancel(schedule))
        self.assertEqual({s.status for s in self.worker.tasks(scheduled=True)}, {"cancelled"})

    def test_errors(self):
        with self.assertRaises(HTTPError) as no:
            self.worker.queue(code_name="nobody")
        self.assertEqual(no.exception.response.status_code, 404)
        self.assertIn("nobody", no.exception.response.json()["msg"])
        with self.assertRaises(HTTPError) as no:
            IronWorker(token="x" * 27).codes()
        self.assertEqual(no.exception.response.status_code, 401)


if __name__ == "__main__":
    unittest.main()

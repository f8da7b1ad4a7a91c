"""supervisord.conf and crontab: what a replica makes of them."""

import os
import shutil
import signal
import sys
import tempfile
import time
import unittest

import harness

sys.path.insert(0, os.path.join(harness.RUNTIME, "http"))

from _sandboxd_service import cron, hook, programs  # noqa: E402


class Programs(unittest.TestCase):
    def read(self, text):
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        path = os.path.join(folder, "supervisord.conf")
        with open(path, "w") as out:
            out.write(text)
        self.folder = folder
        return programs.read(path, {"HOME": "/home/dotcloud", "A": "1"}, folder)

    def test_keys(self):
        made, said = self.read("""
            ; as real ones are
            [program:late]
            command = python late.py --n "two words" ; a comment
            priority = 1000
            [program:worker]
            command=/home/dotcloud/env/bin/python %(here)s/worker.py %(process_num)d %(ENV_A)s
            process_name = %(program_name)s_%(process_num)02d
            numprocs = 2
            directory = sub
            environment = PATH="/x:/y",MODE=fast
            user = dotcloud
            stdout_logfile = /var/log/supervisor/worker.log
            redirect_stderr = true
            autostart = false
            autorestart = unexpected
            startsecs = 0
            stopsignal = QUIT
            stopwaitsecs = 3
            [program:other]
            command = true
            user = nobody
            autorestart = false
            [supervisord]
            nodaemon = true
        """.replace("            ", ""))
        self.assertEqual([each.name for each in made], ["worker:worker_00", "worker:worker_01", "other", "late"])
        worker, late = made[1], made[3]
        self.assertEqual(worker.argv, ["/home/dotcloud/env/bin/python", self.folder + "/worker.py", "1", "1"])
        self.assertEqual(worker.cwd, os.path.join(self.folder, "sub"))
        self.assertEqual((worker.env["PATH"], worker.env["MODE"], worker.env["A"]), ("/x:/y", "fast", "1"))
        self.assertEqual((worker.stdout, worker.stderr), ("/var/log/supervisor/worker.log", "stdout"))
        self.assertEqual((worker.wanted, worker.again_after, worker.start_seconds, worker.kill_after, worker.stop),
                         (False, "failure", 0, 3, signal.SIGQUIT))
        self.assertEqual(late.argv, ["python", "late.py", "--n", "two words"])
        self.assertEqual((late.stdout, late.wanted), (None, True))
        self.assertEqual(len(said), 2)

    def test_what_is_wrong_names_section_and_key(self):
        for text, want in (("[program:a]\n", "[program:a] command: is missing"),
                           ("[program:a]\ncommand=x %(absent)s\n", "[program:a] command: %(absent)s is not known"),
                           ("[program:a]\ncommand=x 'y\n", "[program:a] command: No closing quotation"),
                           ("[program:a]\ncommand=x\nnumprocs=1000\n", "[program:a] numprocs: must be a number up to 64"),
                           ("[program:a]\ncommand=x\nstopsignal=NONE\n", "[program:a] stopsignal: NONE is none"),
                           ("[program:a]\ncommand=x\nenvironment=A\n", "[program:a] environment: 'A' has no ="),
                           ("command=x\n", "supervisord.conf")):
            with self.assertRaises(hook.Failed) as caught:
                self.read(text)
            self.assertIn(want, str(caught.exception))


class Crontabs(unittest.TestCase):
    def due(self, line, at):
        return cron.read(line + " x")[0].is_due(time.strptime(at, "%Y-%m-%d %H:%M"))

    def test_due(self):
        # 2026-12-01 is a Tuesday.
        for line, at, want in (("* * * * *", "2026-12-01 10:07", True), ("7 10 * * *", "2026-12-01 10:07", True),
                               ("8 10 * * *", "2026-12-01 10:07", False), ("*/7 * * * *", "2026-12-01 10:07", True),
                               ("5-9/2 * * * *", "2026-12-01 10:07", True), ("1,7 * * * *", "2026-12-01 10:07", True),
                               ("* * * dec *", "2026-12-01 10:07", True), ("* * * Jan-Nov *", "2026-12-01 10:07", False),
                               ("* * * * tue", "2026-12-01 10:07", True), ("* * * * 2", "2026-12-01 10:07", True),
                               ("* * * * 7", "2026-12-06 10:07", True), ("* * * * 0", "2026-12-06 10:07", True),
                               ("* * 1 * 5", "2026-12-01 10:07", True), ("* * 2 * 2", "2026-12-01 10:07", True),
                               ("* * 2 * 3", "2026-12-01 10:07", False), ("* * 2 * *", "2026-12-01 10:07", False),
                               ("@daily", "2026-12-01 00:00", True), ("@hourly", "2026-12-01 10:07", False)):
            self.assertEqual(self.due(line, at), want, line)

    def test_lines(self):
        jobs = cron.read("MAILTO=\"\"\n# no\n\nA = b c\n* * * * * cd x && bash -lc \"date +\\%d\"%in%put\n")
        self.assertEqual(len(jobs), 1)
        self.assertEqual(jobs[0].env, {"MAILTO": "", "A": "b c"})
        self.assertEqual((jobs[0].command, jobs[0].input), ('cd x && bash -lc "date +%d"', "in\nput"))

    def test_wrong_lines_are_named(self):
        for line, want in (("* * * * x", "line 1: must be five fields"), ("60 * * * * x", "line 1: minute: '60' is none"),
                           ("*/0 * * * * x", "line 1: minute: '0' is no step"), ("9-5 * * * * x", "ends before it begins"),
                           ("* * * foo * x", "month: 'foo' is none"), ("\u0663 * * * * x", "minute: ")):
            with self.assertRaises(cron.Wrong) as caught:
                cron.read(line)
            self.assertIn(want, str(caught.exception))

    def test_runs_once_a_minute(self):
        folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, folder)
        said = []
        path = os.path.join(folder, "crontab")
        table = cron.Cron(path, {"PATH": "/usr/bin:/bin"}, folder, said.append)
        with open(path, "w") as out:
            out.write("* * * * * echo ran >>out%\n")
        begin = time.time()
        table.minute = int(begin) // 60
        for seconds in 1, 61, 62, 121:
            table.turn(table.minute * 60 + 60 if seconds in (61, 121) else begin)
            for process in table.running:
                process.wait()
            table.minute = max(table.minute, int(begin) // 60)
            begin = table.minute * 60 + 1
        with open(os.path.join(folder, "out")) as out:
            self.assertEqual(out.read(), "ran\nran\n")
        with open(path, "w") as out:
            out.write("nonsense\n")
        table.turn(table.minute * 60 + 60)
        self.assertEqual(said, ["crontab: line 1: must be five fields of a time and a command"])


if __name__ == "__main__":
    unittest.main()

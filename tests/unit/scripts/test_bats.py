# SPDX-License-Identifier: Apache-2.0
"""tests/e2e/lib.bash: what a failed test has left in the background cannot hold up the run."""
import glob
import os
import re
import subprocess
import tempfile
import time
import unittest

TESTS = os.path.abspath(os.path.join(os.path.dirname(__file__), "../.."))

FILE = """
load %s/e2e/lib
# A function, for which bash keeps bats' output open whatever is redirected; what it has started
# does not end by itself, nor by a signal that can be ignored.
endless() {
	bash -c 'trap "" TERM; echo $$ >>"$1"; sleep 1000 & sleep 1000' endless "$PIDS"
}
setup() {
	sleep 1000 &
	echo $! >>"$PIDS"
}
@test "fails" {
	endless 3>&- &
	endless &
	true &
	wait_until 60 file_lines "$PIDS" 3
	false
}
@test "works" {
	true
}
"""


def runs(pid):
    """Whether the process has not ended; one that has is there until it is waited for."""
    try:
        with open("/proc/%s/stat" % pid, encoding="utf-8") as f:
            return f.read().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


class Background(unittest.TestCase):
    def test_a_run_ends_with_its_last_test(self):
        with tempfile.TemporaryDirectory() as folder:
            pids, file = os.path.join(folder, "pids"), os.path.join(folder, "failing.bats")
            with open(file, "w", encoding="utf-8") as f:
                f.write(FILE % TESTS)
            got = subprocess.run(["bats", "--formatter", "tap", file], stdin=subprocess.DEVNULL,
                                 stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300,
                                 env=dict(os.environ, PIDS=pids), check=False)
            self.assertEqual(re.findall("^(?:not )?ok .*", got.stdout, re.M), ["not ok 1 fails", "ok 2 works"],
                             got.stdout)
            with open(pids, encoding="utf-8") as f:
                started = f.read().split()
            self.assertEqual(len(started), 4)
            end = time.monotonic() + 60
            while any(runs(pid) for pid in started):
                self.assertLess(time.monotonic(), end, started)

    def test_each_teardown_ends_the_background(self):
        for path in glob.glob(TESTS + "/**/*.ba[ts][ts]*", recursive=True):
            with open(path, encoding="utf-8") as f:
                text = f.read()
            for body in re.findall(r"^teardown\(\) \{\n(.*?)^\}", text, re.M | re.S):
                self.assertTrue(body.startswith("\tend_background\n"), path)


if __name__ == "__main__":
    unittest.main()

"""Two processes out of one checkpoint draw different numbers in every way there is; needs root, for new pids."""

import json
import os
import subprocess
import unittest

from harness import ENV, HERE, PYTHON, RUNTIME, VERSION

# A generator that a module has seeded itself gives the same in every task, as after a cold start.
SAME = {"own_seed", "numpy_own_seed", "numpy_state_own_seed", "numpy_sequence_own_seed",
        "numpy_sequence_is_its_own", "pid"}
KERNEL = {"urandom", "uuid4"}
# OpenSSL 1.1 mixes the time into what it draws.
TIMED = {"openssl", "uuid1"}


def clones(what):
    # An interpreter in another root finds the script only among the runtime's files.
    script = os.path.join(RUNTIME, "clones.py")
    with open(os.path.join(HERE, "clones.py")) as source, open(script, "w") as out:
        out.write(source.read())
    done = subprocess.run(PYTHON + ["-B", script, RUNTIME, what], env=ENV, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, universal_newlines=True)
    lines = done.stdout.splitlines()
    if done.returncode != 0 or len(lines) != 2:
        raise AssertionError((done.returncode, done.stdout, done.stderr))
    return [json.loads(line) for line in lines]


class Unique(unittest.TestCase):
    def test_repaired(self):
        one, other = clones("repair")
        same = {name for name in one if one[name] == other[name]}
        expected = SAME & set(one)
        if VERSION[0] == 2:
            expected.add("openssl")     # this Python's ssl does not give bytes
        self.assertEqual(same, expected)
        self.assertEqual(one["pid"], 1)
        self.assertTrue(one.get("numpy_sequence_is_its_own", True))
        self.assertTrue((one["uuid1_node"] & other["uuid1_node"]) >> 40 & 1)
        # A sequence that had spawned two must go on with the third.
        self.assertEqual(one.get("numpy_sequence", [2])[-1], 2)

    def test_control(self):
        # Without the repair the values are the same, so it is the repair that makes the difference.
        one, other = clones("leave")
        same = {name for name in one if one[name] == other[name]}
        self.assertEqual(same | TIMED, set(one) - KERNEL | TIMED)


if __name__ == "__main__":
    unittest.main()

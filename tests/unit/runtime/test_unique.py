"""Two processes out of one draw different numbers, by every way there is; needs root, for new pids."""

import json
import os
import subprocess
import unittest

from harness import ENV, HERE, PYTHON, RUNTIME, VERSION

# What a module seeds itself is the same in every task, as it is after a cold start.
SAME = {"own_seed", "numpy_own_seed", "numpy_state_own_seed", "numpy_sequence_own_seed",
        "numpy_sequence_is_its_own", "pid"}
KERNEL = {"urandom", "uuid4"}
# OpenSSL 1.1 mixes the time into what it draws.
TIMED = {"openssl", "uuid1"}


def clones(what):
    # Where the interpreter is in another root, so is this.
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
        # A sequence that has spawned two goes on with the third.
        self.assertEqual(one.get("numpy_sequence", [2])[-1], 2)

    def test_control(self):
        # The same without repair: it is the repair that makes the difference.
        one, other = clones("leave")
        same = {name for name in one if one[name] == other[name]}
        self.assertEqual(same | TIMED, set(one) - KERNEL | TIMED)


if __name__ == "__main__":
    unittest.main()

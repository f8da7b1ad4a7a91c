"""What the tests of _sandboxd_deploy share: its folder in the path, and a project's folder."""

import os
import shutil
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
RUNTIME = os.environ.get("RUNTIME_DIR") or os.path.join(HERE, "../../../images/runtime")
TOP = os.path.join(HERE, "../../..")
sys.path.insert(0, os.path.join(RUNTIME, "http"))

import datetime     # noqa: E402

TODAY = datetime.date(2026, 12, 1)


class DeployTest(unittest.TestCase):
    def folder(self, files):
        """A project's folder with these files."""
        top = tempfile.mkdtemp(prefix="deploy-test-")
        self.addCleanup(shutil.rmtree, top)
        for name, content in files.items():
            path = os.path.join(top, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "wb") as out:
                out.write(content if isinstance(content, bytes) else content.encode())
        return top

    def fails(self, message, call, *args, **kwargs):
        """The call raises DeployError with this in its text."""
        from _sandboxd_deploy import DeployError
        with self.assertRaises(DeployError) as caught:
            call(*args, **kwargs)
        self.assertIn(message, str(caught.exception))
        return caught.exception


def mutations(random, seeds, count):
    """Texts that are nearly right: parts of the seeds taken out, doubled, exchanged and overwritten."""
    for _ in range(count):
        text = list(random.choice(seeds))
        for _ in range(random.randint(1, 6)):
            at = random.randrange(len(text) + 1)
            to = min(len(text), at + random.choice((1, 1, 2, 8, 40)))
            kind = random.randrange(5)
            if kind == 0:
                del text[at:to]
            elif kind == 1:
                text[at:at] = text[at:to] * random.choice((1, 2, 30))
            elif kind == 2:
                other = random.choice(seeds)
                there = random.randrange(len(other) + 1)
                text[at:to] = list(other[there:there + random.randint(0, 40)])
            elif kind == 3:
                text[at:to] = [random.choice("{}[]()=,:;.\"'\\#/*\n \t-+0019aeEtfnu\u00fc\ud7ff\0\x7f$@!")]
            else:
                text[at:at] = [random.choice("([{\"'")] * random.choice((1, 3, 70, 300))
            if len(text) > 60000:
                del text[60000:]
        yield "".join(text)

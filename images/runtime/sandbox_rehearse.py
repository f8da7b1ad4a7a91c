"""Does what every task does, without a task, so that what this creates and caches is there already.

In the process that is parked, it creates types, caches and specialized code.  A child of that does it to find out
which pages a start touches (sandbox_touched); where that was not possible, a clone does it to touch them.
"""

import json     # noqa: F401, before the folder is searched in which a task may have one of its own
import os
import sys

from sandbox_job import fill_file, make_file, surround_ahead
from sandbox_runtime import CODE_NAME

SOURCE = b"""
import os, sys
class Thing(object):
    def __init__(self, name):
        self.name = name
def work(n):
    return sum(i * i for i in range(n))
things = [Thing("%s-%d" % (sys.argv[0], n)) for n in range(10)]
table = dict((thing.name, work(10)) for thing in things)
try:
    table["none"]
except KeyError as error:
    str(error)
"".join(sorted(table)).encode("utf-8").decode("utf-8").upper()
os.path.join(os.getcwd(), "a")
[bytes(bytearray((n,))) for n in range(0, 256, 8)]
"""

PAYLOAD = b'{"a": [1, 2.5, null, "b"]}'

ENV = "API_KEY", "DEBUG", "HTTP_PROXY", "KEY", "MODE", "NAME", "PORT", "REGION", "TOKEN", "URL", "X", "a", "z"


def entry(payload):
    """A function for a job's entry to name."""
    assert payload["a"][1] == 2.5


def job_text(*records):
    return b"".join(("%s %d\n" % (key, len(value))).encode() + value + b"\n" for key, value in records)


def jobs(run_dir, value, kinds):
    common = [("id", b"1"), ("arg", b"-a"), ("seed", b"\0" * 32), ("hostname", b"h")]
    # A file for the script that exists in every sandbox: the payload, written a moment before.
    script = os.path.join(run_dir, "payload").encode()
    for number, records in enumerate((
            [("kind", b"exec"), ("exec", script), ("payload", SOURCE)],
            [("kind", b"entry"), ("entry", b"sandbox_rehearse:entry"), ("payload", PAYLOAD)],
            [("kind", b"code"), ("code", SOURCE), ("config", b"c")])):
        if number >= kinds:
            break
        # The C library keeps every string that ever was in the environment: these are new ones.
        records += [("env", ("%s=%d" % (name, number)).encode() + value) for name in ENV]
        yield job_text(*(records + common))


def keep():
    """Copies of what a task changes in its process, to be put back."""
    return (list(sys.path), list(sys.argv), list(getattr(sys, "orig_argv", ())), sys.modules["__main__"],
            list(sys.meta_path), dict(sys.path_importer_cache))


def put_back(kept):
    path, sys.argv, orig_argv, sys.modules["__main__"], meta_path, importers = kept
    sys.path[:] = path
    sys.meta_path[:] = meta_path
    if orig_argv:
        sys.orig_argv = orig_argv
    for name in set(sys.path_importer_cache) - set(importers):
        del sys.path_importer_cache[name]
    if "linecache" in sys.modules:
        sys.modules["linecache"].cache.pop(CODE_NAME, None)
    os.chdir("/")


def rehearse(parked, times, value, kinds=3):
    """Do everything after the go byte that is the same in every task.

    The values in the environment end with `value`.  The first of the kinds of jobs touches nearly everything
    that the others do.  `kinds` may also be a list of others' jobs.
    """
    name = (parked.run_dir + "/rehearsal").encode()
    kept = keep()
    for _ in range(times):
        for job in kinds if isinstance(kinds, list) else jobs(parked.run_dir, value, kinds):
            fill_file(make_file(name), job)
            ahead = surround_ahead(parked.run_dir, parked.work_dir)
            go_fd, started_fd = os.pipe()
            os.write(started_fd, b"g")
            _, run = parked.prepared(name, ahead, remove_files, go_fd, started_fd)
            parked.cold.wanted(run.job)
            run.go()
    put_back(kept)


def remove_files():
    os.unlink(os.environ["PAYLOAD_FILE"])
    os.unlink(os.environ["CONFIG_FILE"])

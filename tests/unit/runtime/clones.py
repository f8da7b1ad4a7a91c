"""Run by test_unique.py in the interpreter under test: clones.py RUNTIME repair|leave.

Clones this process twice, as a restore or a template does: behind the interpreter's back, and every
clone with the same pid.  Prints what each draws, a line of JSON a clone.
"""

import json
import os
import sys

sys.path.insert(0, sys.argv[1])

import sandbox_c
from sandbox_c import Long
from sandbox_park import fork_hooks, memory_areas
from sandbox_repair import Repairs, watch_seeding

SYS_CLONE = 56
NEWPID_SIGCHLD = 0x20000000 | 17

with watch_seeding() as seeded:
    import logging
    import multiprocessing
    import platform
    import random
    import ssl
    import tempfile
    import uuid
    unseeded = random.Random()
    own_seed = random.Random(5)
    try:
        import numpy
        numpy_unseeded = numpy.random.default_rng()
        numpy_own_seed = numpy.random.default_rng(5)
        numpy_state = numpy.random.RandomState()
        numpy_state_own_seed = numpy.random.RandomState(5)
        numpy_state_of_other = numpy.random.RandomState(numpy.random.PCG64())
        numpy_sequence = numpy.random.SeedSequence()
        numpy_child, = numpy_sequence.spawn(1)
        numpy_sequence_own_seed = numpy.random.SeedSequence(5)
        numpy_twister = numpy.random.Generator(numpy.random.MT19937())
        numpy_of_sequence = numpy.random.Generator(numpy.random.PCG64(numpy_sequence))
    except ImportError:
        numpy = None
    try:
        import bson.objectid
    except ImportError:
        bson = None
    try:
        import sqlite3
        database = sqlite3.connect(":memory:")
    except ImportError:
        sqlite3 = None

rand_bytes = getattr(ssl, "RAND_bytes", None) or (lambda n: b"no")


def hexed(value):
    return "".join("%02x" % byte for byte in bytearray(value))


def spawned(sequence):
    child, = sequence.spawn(1)
    return [int(word) for word in child.generate_state(4)] + list(child.spawn_key)


def draw():
    out = {
        "random": random.random(),
        "unseeded": unseeded.random(),
        "own_seed": own_seed.random(),
        "urandom": hexed(os.urandom(8)),
        "uuid4": str(uuid.uuid4()),
        "openssl": hexed(rand_bytes(8)),
        "tempfile": next(tempfile._get_candidate_names()),
        "authkey": hexed(multiprocessing.current_process().authkey),
        "pid": os.getpid(),
        "uuid1_node": uuid.uuid1().node,
        "uuid1": str(uuid.uuid1()),
    }
    if sqlite3:
        out["sqlite"] = database.execute("select random()").fetchone()
        out["sqlite_blob"] = hexed(database.execute("select randomblob(8)").fetchone()[0])
    if numpy:
        out.update({
            "numpy": numpy.random.random(),
            "numpy_normal": numpy.random.normal(),
            "numpy_unseeded": numpy_unseeded.random(),
            "numpy_own_seed": numpy_own_seed.random(),
            "numpy_state": numpy_state.normal(),
            "numpy_state_own_seed": numpy_state_own_seed.normal(),
            "numpy_state_of_other": numpy_state_of_other.normal(),
            "numpy_sequence": spawned(numpy_sequence),
            "numpy_child": spawned(numpy_child),
            "numpy_sequence_own_seed": spawned(numpy_sequence_own_seed),
            "numpy_twister": numpy_twister.random(),
            "numpy_twister_spawned": spawned(numpy_twister.bit_generator._seed_seq),
            "numpy_of_sequence": numpy_of_sequence.random(),
            "numpy_sequence_is_its_own": numpy_of_sequence.bit_generator._seed_seq is numpy_sequence,
        })
    if bson:
        out["objectid"] = str(bson.objectid.ObjectId())[8:18]
        out["objectid_count"] = str(bson.objectid.ObjectId())[18:]
    return out


def clone():
    sys.stdout.flush()
    return sandbox_c.find(sandbox_c.load(None), "syscall")(
        Long(SYS_CLONE), Long(NEWPID_SIGCHLD), Long(0), Long(0), Long(0), Long(0))


def warm_then_clone():
    draw()
    before_fork, after_fork = fork_hooks()
    repairs = Repairs(seeded, memory_areas(), ("/work",))
    before_fork()
    for number in range(2):
        pid = clone()
        if pid == 0:
            if sys.argv[2] == "repair":
                after_fork()
                repairs.run(b"seed")
            print(json.dumps(draw()))
            sys.stdout.flush()
            os._exit(0)
        if pid < 0 or os.waitpid(pid, 0)[1] != 0:
            sys.exit("clone %d failed" % number)
    sys.stdout.flush()
    os._exit(0)


# OpenSSL notices a fork by a changed pid, so what is cloned has pid 1 already.
child = clone()
if child == 0:
    warm_then_clone()
sys.exit(child < 0 or os.waitpid(child, 0)[1] != 0)

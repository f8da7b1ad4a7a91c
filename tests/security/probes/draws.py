# SPDX-License-Identifier: Apache-2.0
"""One line of JSON: a draw from everything that must differ between clones of a checkpoint.

The modules are warm imports, so that what they keep is in the checkpoint. The first
argument may name a module of the image whose import has drawn from each already.
"""
import json
import os
import random
import secrets
import ssl
import tempfile
import time
import uuid

DRAWS = {
    "random": lambda: repr(random.random()),
    "random-bits": lambda: repr(random.getrandbits(128)),
    "system-random": lambda: repr(random.SystemRandom().random()),
    "urandom": lambda: os.urandom(16).hex(),
    "uuid4": lambda: str(uuid.uuid4()),
    "uuid1": lambda: str(uuid.uuid1()),
    "secrets": lambda: secrets.token_hex(16),
    "ssl": lambda: ssl.RAND_bytes(16).hex(),
    "tempfile": lambda: tempfile.mktemp(),
    "tempdir": lambda: tempfile.mkdtemp(),
}


def numpy_draw():
    import numpy

    return repr(float(numpy.random.random()))


def numpy_generator():
    import numpy

    return repr(float(numpy.random.default_rng().random()))


def object_id():
    from bson import ObjectId

    return str(ObjectId())


def object_id_process():
    """The part of an ObjectId that is drawn once in a process."""
    from bson import ObjectId

    return str(ObjectId())[8:18]


def uuid1_node():
    """The part of a uuid1 that is drawn once in a process."""
    return uuid.uuid1().node


def sqlite(kind):
    """What SQLite draws from a generator that it seeds once in a process."""
    import sqlite3

    return repr(sqlite3.connect(":memory:").execute("select %s" % kind).fetchone())


def seeds(sequence):
    """What a seed sequence that existed before the checkpoint gives to a new generator."""
    return sequence.spawn(1)[0].generate_state(4).tolist()


def authkey():
    import multiprocessing

    return bytes(multiprocessing.current_process().authkey).hex()


DRAWS["authkey"] = authkey
DRAWS["uuid1-node"] = uuid1_node
DRAWS["sqlite"] = lambda: sqlite("random()")
DRAWS["sqlite-blob"] = lambda: sqlite("randomblob(16)")
try:
    import bson
    import numpy
except ImportError:
    pass
else:
    DRAWS.update(
        {
            "numpy": numpy_draw,
            "numpy-generator": numpy_generator,
            "objectid": object_id,
            "objectid-process": object_id_process,
        }
    )

try:
    import drawn
except ImportError:
    pass
else:
    DRAWS.update(
        {
            "numpy-seeds": lambda: repr(seeds(drawn.sequence)),
            "numpy-seeds-of-generator": lambda: repr(seeds(drawn.generator.bit_generator._seed_seq)),
            "numpy-held-generator": lambda: repr(float(drawn.generator.random())),
        }
    )

result = {name: draw() for name, draw in DRAWS.items()}
result["clock"] = time.time()
print(json.dumps(result))

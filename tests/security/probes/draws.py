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
    """The part of an ObjectId that is drawn once a process."""
    from bson import ObjectId

    return str(ObjectId())[8:18]


def authkey():
    import multiprocessing

    return bytes(multiprocessing.current_process().authkey).hex()


DRAWS["authkey"] = authkey
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

result = {name: draw() for name, draw in DRAWS.items()}
result["clock"] = time.time()
print(json.dumps(result))

"""Repairs what every process out of one checkpoint has in common and must have for itself.

The hooks that the interpreter has for the child of a fork have run before.  They do nothing about what
depends on the pid, because every restored process has the pid of the dumped one, and nothing about what
modules keep for the life of a process.  TABLE has a line for each module that does so.
"""

import gc
import os
import random   # imported here: later, a package's folder comes first on sys.path
import struct
import sys
import weakref

import sandbox_c

# Nobody writes down a seed as large as this one: numpy has drawn it.
DRAWN_SEED = 1 << 64
# The bit of a 48-bit node id that no address of a network card has.
MULTICAST = 1 << 40


def fresh(size):
    if sys.version_info[0] > 2:
        return os.urandom(size)
    # os.urandom of Python 2 keeps its file descriptor open.
    with open("/dev/urandom", "rb", 0) as source:
        return source.read(size)


def fresh_int(size):
    return int("".join("%02x" % byte for byte in bytearray(fresh(size))), 16)


class watch_seeding(object):
    """Records, while modules are imported, which generators are made without a seed.

    Those must differ from task to task.  A generator that was given a seed must give the same numbers in
    every task, as it would after a cold start.
    """

    def __init__(self, refuse=lambda name: None):
        self.refuse = refuse    # called for each; may raise, where making one is a mistake

    def __enter__(self):
        self.seed = seed = random.Random.__dict__["seed"]
        unseeded = weakref.WeakKeyDictionary()
        refuse = self.refuse

        def watched(self, a=None, *args, **named):
            if a is None:
                refuse("random.Random")
                unseeded[self] = True
            else:
                unseeded.pop(self, None)
            return seed(self, a, *args, **named)

        random.Random.seed = watched
        return unseeded

    def __exit__(self, *_):
        random.Random.seed = self.seed


class NumpyGenerators(object):
    """Repairs numpy's global generator, and the generators that modules have made without a seed.

    Seeding a generator through numpy takes two milliseconds the first time, because of all the memory that it
    touches. The state of the global one is a Mersenne twister's, 624 words and a position, so random words
    serve as well.  The others can spawn generators out of their seed sequences: a new sequence is drawn for
    each, and the generator is made of it again.
    """

    WORDS = 624
    SIZE = 4 * WORDS

    def __init__(self, module):
        self.address = None
        self.sequences = []
        self.others = []
        module.seed()   # seeds the global generator, which has no sequence of seeds from here on
        kind = getattr(module, "BitGenerator", None)
        if kind is None:    # numpy for Python 2 has only the global generator
            self.seed = module.seed
            return
        self.seed = None
        self.address = self.state_address(module.mtrand._rand._bit_generator)
        if self.address is None:
            self.seed = module.seed
        for each in gc.get_objects():
            if isinstance(each, module.SeedSequence) and self.drawn(each):
                self.sequences.append(each)
            elif isinstance(each, kind) and self.drawn(self.sequence(each)):
                self.others.append(each)
            elif isinstance(each, module.RandomState) and self.drawn(self.sequence(each._bit_generator)):
                each.__init__(each._bit_generator)  # forgets what it keeps of the last draw

    @staticmethod
    def sequence(bits):
        return getattr(bits, "_seed_seq", None)

    @staticmethod
    def drawn(sequence):
        entropy = getattr(sequence, "entropy", None)
        return isinstance(entropy, int) and entropy >= DRAWN_SEED

    def state_address(self, bits):
        """The address of the state, if it is a Mersenne twister's and this numpy lays it out as all known
        ones do; else None.
        """
        if type(bits).__name__ != "MT19937":
            return None
        python = sandbox_c.load(None)
        pointer = sandbox_c.find(python, "PyCapsule_GetPointer")(
            sandbox_c.Object(bits.capsule), b"BitGenerator")
        address = sandbox_c.Long.from_address(pointer).value
        there = sandbox_c.find(python, "PyBytes_FromStringAndSize", sandbox_c.Maker)(
            sandbox_c.Long(address), sandbox_c.Long(self.SIZE + 4))
        state = bits.state["state"]
        if there != state["key"].tobytes() + struct.pack("i", state["pos"]):
            return None
        return address

    def repair(self, copy):
        if self.seed is not None:
            self.seed()
        if self.address is not None:
            words = fresh(self.SIZE) + struct.pack("i", self.WORDS)
            copy(sandbox_c.Long(self.address), words, sandbox_c.Long(len(words)))
        for each in self.sequences:
            each.__init__(spawn_key=each.spawn_key, pool_size=each.pool_size,
                          n_children_spawned=each.n_children_spawned)
        for bits in self.others:
            bits.__init__(self.sequence(bits))


def libraries(areas, *names):
    """The libraries of this process whose files' names begin with one of these."""
    for path in sorted(set(area.path for area in areas)):
        name = os.path.basename(path)
        if name.startswith(names) and ".so" in name:
            yield sandbox_c.load(path)


def openssl_add_functions(areas):
    """RAND_add of every libcrypto in this process.

    A call of it has the generators of all threads seeded anew.  The generators are made here, because making
    them takes a millisecond, which a restored process saves.
    """
    found = []
    for library in libraries(areas, "libcrypto"):
        for name in ("RAND_bytes", "RAND_priv_bytes"):
            make = sandbox_c.find(library, name)
            if make is not None:
                room = struct.pack("Q", len(found))
                make(room, sandbox_c.Long(len(room)))
        add = sandbox_c.find(library, "RAND_add", sandbox_c.Procedure)
        if add is not None:
            found.append(add)
    return found


def sqlite_randomness_functions(areas):
    """sqlite3_randomness of every SQLite in this process: a library, or a part of Python's module."""
    found = [sandbox_c.find(library, "sqlite3_randomness", sandbox_c.Procedure)
             for library in libraries(areas, "libsqlite3", "_sqlite3")]
    return [function for function in found if function is not None]


def forget(mapping, folders):
    """Drop the entries of a cache of paths that are about folders which differ in every task."""
    for path in list(mapping):
        if not path or path[0] != "/" or any((path + "/").startswith(folder + "/") for folder in folders):
            del mapping[path]


class Repairs(object):
    """Repairs a restored process. Whatever can be found out before the process is dumped is found out then."""

    def __init__(self, seeded, areas, folders):
        self.folders = folders
        self.generators = list(seeded)
        self.numpy = NumpyGenerators(sys.modules["numpy.random"]) if "numpy.random" in sys.modules else None
        self.openssl_add = openssl_add_functions(areas)
        self.sqlite_randomness = sqlite_randomness_functions(areas)
        process = sandbox_c.load(None)
        self.memset = sandbox_c.find(process, "memset")
        self.memcpy = sandbox_c.find(process, "memcpy")
        # Memory that a fork would have wiped, because two processes must not have the same content of it.
        self.wiped = [(area.start, area.end - area.start) for area in areas
                      if "wf" in area.flags and "w" in area.access]
        hub = self.gevent_hub()
        if hub is not None:
            hub.destroy(destroy_loop=True)
        self.todo = [(sys.modules[name], repair) for name, repair in TABLE if name in sys.modules]

    @staticmethod
    def gevent_hub():
        local = sys.modules.get("gevent._hub_local")
        return local and local.get_hub_if_exists()

    def run(self, seed):
        self.seed = seed
        for start, length in self.wiped:
            self.memset(sandbox_c.Long(start), sandbox_c.Long(0), sandbox_c.Long(length))
        for add in self.openssl_add:
            entropy = fresh(32) + seed
            add(entropy, sandbox_c.Long(len(entropy)), sandbox_c.Double(32.0))
        for randomness in self.sqlite_randomness:
            randomness(sandbox_c.Long(0), sandbox_c.Long(0))    # resets it, and the next draw seeds it
        forget(sys.path_importer_cache, self.folders)
        for module, repair in self.todo:
            repair(self, module)
        self.refresh()

    def refresh(self):
        """Repair what depends on the time, which goes on after the rest was repaired."""
        if "logging" in sys.modules:
            self.logging(sys.modules["logging"])

    def new_seed(self):
        return int("".join("%02x" % byte for byte in bytearray(fresh(32) + self.seed)), 16)

    def random(self, module):
        module.seed(self.new_seed())
        for generator in self.generators:
            generator.seed(self.new_seed())

    def numpy_random(self, module):
        self.numpy.repair(self.memcpy)

    def uuid(self, module):
        # libuuid has drawn a node and a clock sequence for the life of the process.  Python's own uuid1 draws
        # the clock sequence each time.
        for name in ("_generate_time_safe", "_uuid_generate_time"):
            if hasattr(module, name):
                setattr(module, name, None)
        module._node = fresh_int(6) | MULTICAST
        for name in ("_last_timestamp", "_last_timestamp_v6", "_last_timestamp_v7"):
            if hasattr(module, name):
                setattr(module, name, None)

    def tempfile(self, module):
        module._name_sequence = None
        module.tempdir = None

    def multiprocessing_process(self, module):
        process = module._current_process
        key = module.AuthenticationString(fresh(32))
        if hasattr(process, "_config"):
            process._config["authkey"] = key
            process._config.pop("tempdir", None)
        else:
            process._authkey = key
            process._tempdir = None

    def multiprocessing_synchronize(self, module):
        if hasattr(module.SemLock, "_rand"):
            module.SemLock._rand = type(module.SemLock._rand)()

    def bson_objectid(self, module):
        kind = module.ObjectId
        if hasattr(kind, "_ObjectId__random"):
            kind._ObjectId__random = fresh(5)
        if hasattr(kind, "_inc"):
            kind._inc = fresh_int(3)

    def platform(self, module):
        module._uname_cache = None
        module._platform_cache.clear()

    def logging(self, module):
        # The unit of _startTime differs between versions, so the clock that has set it sets it again.
        clock = module.time.time if isinstance(module._startTime, float) else module.time.time_ns
        module._startTime = clock()

    def linecache(self, module):
        for name in list(module.cache):
            if any((name + "/").startswith(folder + "/") for folder in self.folders):
                del module.cache[name]

    def zipimport(self, module):
        forget(module._zip_directory_cache, self.folders)


TABLE = (
    ("random", Repairs.random),
    ("numpy.random", Repairs.numpy_random),
    ("uuid", Repairs.uuid),
    ("tempfile", Repairs.tempfile),
    ("multiprocessing.process", Repairs.multiprocessing_process),
    ("multiprocessing.synchronize", Repairs.multiprocessing_synchronize),
    ("bson.objectid", Repairs.bson_objectid),
    ("platform", Repairs.platform),
    ("linecache", Repairs.linecache),
    ("zipimport", Repairs.zipimport),
)

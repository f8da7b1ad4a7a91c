"""Refuses random numbers to a package's own modules while they are imported.

A number that a module draws then would be the same in every task that comes out of the parked process.  This
protects from mistakes, not from intent: a module can read /dev/urandom.

Modules of the image may draw, as they may when they are warmed: what they keep of it is repaired.
"""

import functools
import random
import sys

from sandbox_job import names_of
from sandbox_repair import TABLE

ADVICE = "%s() draws what all tasks would share: draw it when the task runs"
# These draw nothing.  A state that they have changed is noticed after the import.
STATE = ("seed", "getstate", "setstate", "get_state", "set_state", "get_bit_generator", "set_bit_generator")
NAMES = {
    "os": ("urandom", "getrandom"),
    "secrets": ("choice", "randbelow", "randbits", "token_bytes", "token_hex", "token_urlsafe"),
    "uuid": ("uuid1", "uuid4", "uuid6", "uuid7"),
}
# What the code of an HTTP worker is told instead, in the words of the platform that it is written for.
WORKER_ADVICE = "Cannot use %s() outside of request context"
WORKER_ENTROPY = 29, "Cannot get entropy outside of request context"
# Modules that a worker may bring along and that draw when they are imported: names for what is theirs alone, which
# may be the same in all instances.
KNOWN = ("aiohttp", "botocore", "cryptography", "fastapi", "jiter", "langchain_openai", "langsmith", "litestar",
         "opentelemetry", "pydantic_core", "requests", "rpds", "tiktoken", "urllib3", "uuid_utils")
REPAIRED = tuple(name for name, _ in TABLE) + ("multiprocessing",)


def numpy_state(module):
    state = module.get_state()
    return (state[0], state[1].tobytes()) + tuple(state[2:])


class Refusal(object):
    """In force for the body of a `with`."""

    def __init__(self, work_dir, worker=False):
        self.folders = names_of(work_dir)
        self.real = {}      # by id of the stand-in: the stand-in and the real function
        self.on = False
        self.states = {}
        self.worker = worker    # whether the modules are an HTTP worker's
        self.draw_freely = REPAIRED + (KNOWN if worker else ())

    def __enter__(self):
        self.on = True
        for name in "os", "random", "secrets", "uuid", "numpy.random":
            if name in sys.modules:
                self.loaded(sys.modules[name])
        sys.meta_path.insert(0, self)
        return self

    def __exit__(self, *_):
        self.on = False
        sys.meta_path.remove(self)
        # A module may have imported any of them by name.
        for module in list(sys.modules.values()):
            names = getattr(module, "__dict__", None)
            if not isinstance(names, dict):
                continue
            for name, value in list(names.items()):
                if id(value) in self.real:
                    names[name] = self.real[id(value)][1]

    def loaded(self, module):
        """Replace a module's functions by stand-ins that refuse."""
        name = module.__name__
        names = NAMES.get(name, ())
        if name == "random":
            names = self.methods(module, module._inst)
            module._urandom = self.stand_in("os.urandom", module._urandom)
            self.states["random"] = random.getstate, random.getstate()
        elif name == "numpy.random":
            names = self.methods(module, module.mtrand._rand)
            state = functools.partial(numpy_state, module)
            self.states[name] = state, state()
            if hasattr(module, "default_rng"):
                module.default_rng = self.stand_in("numpy.random.default_rng", module.default_rng, self.unseeded)
        for each in names:
            if hasattr(module, each):
                setattr(module, each, self.stand_in("%s.%s" % (name, each), getattr(module, each)))

    @staticmethod
    def methods(module, generator):
        return [name for name, value in vars(module).items()
                if getattr(value, "__self__", None) is generator and name not in STATE]

    @staticmethod
    def unseeded(seed=None):
        return seed is None

    def stand_in(self, name, real, draws=lambda *args, **named: True):
        def function(*args, **named):
            if not self.on:
                return real(*args, **named)     # called by a reference that __exit__ did not find
            if draws(*args, **named):
                self.refuse(name)
            before = self.changed()
            result = real(*args, **named)
            for which in set(self.changed()) - set(before):
                state = self.states[which][0]
                self.states[which] = state, state()
            return result

        function.__name__ = getattr(real, "__name__", "function")
        self.real[id(function)] = function, real
        return function

    def refuse(self, name):
        """Raise the error, unless a module of the image is being imported."""
        if not self.on:
            return
        frame = sys._getframe(1)
        while frame is not None:
            code = frame.f_code
            if code.co_name == "<module>" and not code.co_filename.startswith("<"):
                if not code.co_filename.startswith(self.folders):
                    return
                if (frame.f_globals.get("__name__", "") + ".").startswith(
                        tuple(each + "." for each in self.draw_freely)):
                    return
                break
            frame = frame.f_back
        if not self.worker:
            raise RuntimeError(ADVICE % name)
        if name.startswith(("random.", "numpy.random.")) and name != "numpy.random.default_rng":
            raise RuntimeError(WORKER_ADVICE % name)
        raise OSError(*WORKER_ENTROPY)

    def unseeded_generator(self, name):
        """A random.Random() is made without a seed; a worker may, for it is seeded again in each instance."""
        if not self.worker:
            self.refuse(name)

    def changed(self):
        """The names of the modules whose global generator has changed its state."""
        return [name for name, (state, before) in self.states.items() if state() != before]

    # Being a finder in sys.meta_path, it is told of modules that are imported later

    def find_spec(self, name, path=None, target=None):
        if name not in NAMES and name != "numpy.random":
            return None
        sys.meta_path.remove(self)
        try:
            spec = sys.modules["_frozen_importlib"]._find_spec(name, path)
        finally:
            sys.meta_path.insert(0, self)
        if spec is not None:
            load = spec.loader.exec_module

            def exec_module(module):
                load(module)
                self.loaded(module)

            spec.loader.exec_module = exec_module
        return spec

    def find_module(self, name, path=None):
        """The finder's method that Python 2 calls."""
        return self if name in NAMES or name == "numpy.random" else None

    def load_module(self, name):
        sys.meta_path.remove(self)
        try:
            __import__(name)
        finally:
            sys.meta_path.insert(0, self)
        self.loaded(sys.modules[name])
        return sys.modules[name]

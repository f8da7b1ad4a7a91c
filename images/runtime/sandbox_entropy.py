"""Refuses entropy to a package's own modules while they are imported.

What a module draws then, every task that comes out of the parked process has in common.  This is for
mistakes, not against intent: a module can read /dev/urandom.

Modules of the image may draw, as they may when they are warmed: what they make of it is repaired.
"""

import functools
import random
import sys

from sandbox_repair import TABLE

ADVICE = "%s() draws what all tasks would share: draw it when the task runs"
# These draw nothing; that the state is another one afterwards is found out.
STATE = ("seed", "getstate", "setstate", "get_state", "set_state", "get_bit_generator", "set_bit_generator")
NAMES = {
    "os": ("urandom", "getrandom"),
    "secrets": ("choice", "randbelow", "randbits", "token_bytes", "token_hex", "token_urlsafe"),
    "uuid": ("uuid1", "uuid4", "uuid6", "uuid7"),
}
REPAIRED = tuple(name for name, _ in TABLE) + ("multiprocessing",)


def numpy_state(module):
    state = module.get_state()
    return (state[0], state[1].tobytes()) + tuple(state[2:])


class Refusal(object):
    """In force between `with` and its end."""

    def __init__(self, work_dir):
        self.folder = work_dir + "/"
        self.real = {}      # by id of what stands in its place, both of them
        self.on = False
        self.states = {}

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
        # A module may have any of them by a name of its own.
        for module in list(sys.modules.values()):
            names = getattr(module, "__dict__", None)
            if not isinstance(names, dict):
                continue
            for name, value in list(names.items()):
                if id(value) in self.real:
                    names[name] = self.real[id(value)][1]

    def loaded(self, module):
        """Put those that refuse in the place of a module's functions."""
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
                return real(*args, **named)     # kept where __exit__ does not look
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
        """Unless it is a module of the image that is being imported."""
        if not self.on:
            return
        frame = sys._getframe(1)
        while frame is not None:
            code = frame.f_code
            if code.co_name == "<module>" and not code.co_filename.startswith("<"):
                if not code.co_filename.startswith(self.folder):
                    return
                if (frame.f_globals.get("__name__", "") + ".").startswith(tuple(each + "." for each in REPAIRED)):
                    return
                break
            frame = frame.f_back
        raise RuntimeError(ADVICE % name)

    def changed(self):
        """The modules whose global generator has another state than it had."""
        return [name for name, (state, before) in self.states.items() if state() != before]

    # A finder, to be told of the modules that are not there yet

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
        """As Python 2 asks."""
        return self if name in NAMES or name == "numpy.random" else None

    def load_module(self, name):
        sys.meta_path.remove(self)
        try:
            __import__(name)
        finally:
            sys.meta_path.insert(0, self)
        self.loaded(sys.modules[name])
        return sys.modules[name]

"""PYTHON_TRACE: how long each module that a worker imports has taken."""

import importlib.machinery
import sys
import threading
import time


class Timed:
    """A loader that says how long a module has taken, with all that it has imported."""

    def __init__(self, loader, tracer):
        self._loader = loader
        self._tracer = tracer

    def __getattr__(self, name):
        return getattr(self._loader, name)

    def create_module(self, spec):
        return self._loader.create_module(spec)

    def exec_module(self, module):
        # Code that looks for its loader finds the real one.
        module.__spec__.loader = module.__loader__ = self._loader
        tracer = self._tracer
        tracer.local.depth = depth = getattr(tracer.local, "depth", 0) + 1
        began = time.monotonic()
        try:
            self._loader.exec_module(module)
        finally:
            tracer.local.depth = depth - 1
            tracer.say("%simport %s in %.1f ms", "  " * (depth - 1), module.__name__,
                       (time.monotonic() - began) * 1000)


class Tracer:
    """The first of sys.meta_path, which finds what the others find."""

    def __init__(self, say):
        self.say = say
        self.local = threading.local()

    def find_spec(self, name, path=None, target=None):
        for finder in sys.meta_path:
            find = getattr(finder, "find_spec", None)
            spec = find(name, path, target) if finder is not self and find else None
            if spec is None:
                continue
            if isinstance(spec, importlib.machinery.ModuleSpec) and hasattr(spec.loader, "exec_module") \
                    and spec.has_location:
                spec.loader = Timed(spec.loader, self)
            return spec
        return None


def install(say):
    """From now on say(format, *args) is called after each import."""
    sys.meta_path.insert(0, Tracer(say))

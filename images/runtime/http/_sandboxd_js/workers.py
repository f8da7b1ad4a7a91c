"""What the platform gives a worker beside the web's classes: env, waitUntil and modules of its own."""

import contextvars

from .core import JsException, JsObject, PlainObject, new_object, own, plain, type_error
from .promise import as_promise, invoke, rejected, resolved

_env = PlainObject()
_patched = contextvars.ContextVar("_sandboxd_js_env", default=None)
_wait_until = None
_modules = {}


def set_env(env):
    """Installs the object that has the worker's bindings."""
    global _env
    _env = env


def current_env():
    """The object that has the worker's bindings here: another one inside patch_env."""
    patched = _patched.get()
    return _env if patched is None else patched


def set_wait_until(function):
    """Installs what waits for an awaitable after the response."""
    global _wait_until
    _wait_until = function


def register_module(name, module):
    """Makes an object what import_from_javascript gives of that name."""
    _modules[name] = module


def import_module(name):
    """A promise of the module of that name."""
    known = _modules.get(name)
    if known is None:
        return rejected(JsException("Error", "No such module \"%s\"." % name))
    return resolved(known)


class _Patched(JsObject):
    """A worker's bindings, some of which are others."""

    __slots__ = ("_under",)

    def __init__(self, under, over):
        self._under = under
        self.__dict__.update(over)

    def __getattr__(self, name):
        return getattr(self._under, name)


def patch_env(over):
    """A generator in which the properties of an object stand before the worker's own bindings."""
    over = plain(over)
    token = _patched.set(_Patched(current_env(), over if isinstance(over, dict) else own(over)))
    try:
        yield
    finally:
        _patched.reset(token)


class WorkersModule(JsObject):
    """The module cloudflare:workers."""

    __slots__ = ()

    @property
    def env(self):
        """The object that has the worker's bindings."""
        return current_env()

    def withEnv(self, env, function):
        """Calls the function with another object of bindings."""
        token = _patched.set(env)
        try:
            return invoke(function)
        finally:
            _patched.reset(token)

    def waitUntil(self, awaitable):
        """Has the worker go on after its response until this is done."""
        if _wait_until is None:
            raise JsException("Error", "waitUntil() can only be called within a request.")
        _wait_until(as_promise(awaitable))


class SocketsModule(JsObject):
    """The module cloudflare:sockets."""

    __slots__ = ()

    def connect(self, *_args, **_kwargs):
        """Fails: a worker's sockets are Python's own."""
        raise type_error("connect() of cloudflare:sockets is not available; use Python's own sockets.")


workers_module = WorkersModule()
sockets_module = SocketsModule()
register_module("cloudflare:workers", workers_module)
register_module("cloudflare:sockets", sockets_module)
# Names alone: the binding itself is not there.
register_module("cloudflare:vectorize", new_object({
    "DistanceMetric": new_object({"EUCLIDEAN": "euclidean", "COSINE": "cosine", "DOT_PRODUCT": "dot-product"}),
    "KnownModel": new_object({name: name for name in ("openai/text-embedding-ada-002",
                                                      "cohere/embed-multilingual-v2.0")})}))
register_module("python_modules/workers/workflows.js", JsObject())
_modules["python_modules/workers/workflows.js"].wrapWorkflowStep = lambda step: step

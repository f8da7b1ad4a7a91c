"""Values between Python and what a binding or another worker takes, and Python's view of bindings."""

import datetime
import inspect

import _pyodide_entrypoint_helper as helper
import js
from pyodide.ffi import JsException, JsProxy, create_proxy, jsnull, to_js

from _sandboxd_http.bindings import Pending, begun_like

from .blob import Blob, File
from .fetch import fetch
from .formdata import FormData
from .request import Request
from .response import Response
from .utils import BODY_TYPES, js_name

# What stays JavaScript's own where a binding returns it.
KEPT = BODY_TYPES | {"Headers", "ReadableStream"}
BINDINGS = frozenset((
    "KvNamespace", "R2Bucket", "D1Database", "WorkerQueue", "Ai", "VectorizeIndexImpl", "AnalyticsEngine",
    "AnalyticsEngineDataset", "LocalAnalyticsEngineDataset", "ImagesBindingImpl", "HostedImagesBindingImpl",
    "Ratelimit"))


class JsDict(dict):
    """A dict whose items are attributes, too."""

    def __getattr__(self, name):
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None

    def __setattr__(self, name, value):
        self[name] = value


def _of_object(value, _convert, _cache):
    """Python's object for one of JavaScript's that to_py leaves as it is."""
    if value is jsnull:
        return None
    name = js_name(value)
    if name == "Response":
        return Response._of(value)
    if name == "Request":
        return Request(value)
    if name == "FormData":
        return FormData(value)
    if name == "Blob":
        return Blob._of(value)
    if name == "File":
        return File._of(value)
    if name == "Date":
        return datetime.datetime.fromtimestamp(value.getTime() / 1000)
    if name in ("Number", "String", "Boolean"):
        return value.valueOf()
    if name is not None and name.endswith("Error") and not isinstance(value, JsProxy):
        return Exception(value.toString())
    if name == "Error":
        return Exception(value.toString())
    return value


def _without_null(value):
    if value is jsnull:
        return None
    if type(value) is dict:
        return JsDict((key, _without_null(item)) for key, item in value.items())
    if type(value) is list:
        return [_without_null(item) for item in value]
    return value


def python_from_rpc(obj):
    """A value of JavaScript's as Python has it."""
    if obj is jsnull:
        return None
    if not isinstance(obj, JsProxy):
        return obj
    if isinstance(obj, JsException):
        return Exception(obj.toString())
    if js_name(obj) == "TestController":
        return None
    return _without_null(obj.to_py(default_converter=_of_object))


def _refuse(value):
    """Raise a TypeError for what cannot go to another worker."""
    if isinstance(value, (BindingWrapper, str, bytes)):
        return
    if callable(value) and not isinstance(value, type):
        return
    if js_name(value) == "RegExp":
        raise TypeError("RegExp cannot be sent over RPC.")
    if isinstance(value, (tuple, bytearray)):
        raise TypeError("%s cannot be sent over RPC." % type(value))
    if inspect.isawaitable(value):
        raise TypeError("Awaitable %s cannot be sent over RPC." % type(value))
    if isinstance(value, dict):
        for item in value.values():
            _refuse(item)
    elif isinstance(value, (list, set, frozenset)):
        for item in value:
            _refuse(item)


def _to_object(value, _convert, _cache):
    """JavaScript's object for one of Python's that to_js has no rule for."""
    if isinstance(value, BindingWrapper):
        return value._binding
    if hasattr(value, "js_object"):
        return value.js_object
    if isinstance(value, datetime.datetime):
        return js.Date.new(value.timestamp() * 1000)
    if isinstance(value, Exception):
        return js.Error.new(str(value))
    if callable(value) and not isinstance(value, type):
        return create_proxy(value)
    _refuse(value)
    raise JsException("DataCloneError", "Could not serialize object of type \"%s\". This type does not support "
                                        "serialization." % type(value).__name__)


def _with_null(value):
    if value is None:
        return jsnull
    if isinstance(value, dict):
        return {key: _with_null(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_with_null(item) for item in value]
    return value


def python_to_rpc(value):
    """A value of Python's as JavaScript has it."""
    kind = type(value)
    if kind is str or kind is int or kind is bool or kind is float:
        return value
    if value is None:
        return jsnull
    if isinstance(value, Pending):
        value = value._value_now()
    if isinstance(value, BindingWrapper):
        return value._binding
    value = _with_null(value)
    _refuse(value)
    return to_js(value, default_converter=_to_object, dict_converter=js.Object.fromEntries)


class BindingWrapper:
    """A binding, or what it has returned, with Python's values for arguments and results."""

    def __new__(cls, binding):
        return binding if isinstance(binding, cls) else object.__new__(cls)

    def __init__(self, binding):
        if binding is not self:
            self._binding = binding

    @property
    def _real_name(self):
        return js_name(self._binding) or type(self).__name__

    def _wrap(self, value):
        if isinstance(value, JsProxy) and js_name(value) not in KEPT and not isinstance(value, JsException):
            return StubWrapper(value) if callable(value) else type(self)(value)
        return value

    def _result(self, value):
        found = python_from_rpc(value)
        if type(found) is list:
            return [self._wrap(item) for item in found]
        return self._wrap(found)

    def _call(self, function, args, kwargs):
        args = [python_to_rpc(each) for each in args]
        # An option that is None is one that was not given.
        kwargs = {name: python_to_rpc(value) for name, value in kwargs.items() if value is not None}
        result = function(*args, **kwargs)
        if isinstance(result, Pending):
            return begun_like(result, self._result)
        if hasattr(result, "then") and callable(result.then):
            async def later():
                return self._result(await result)
            return later()
        return self._result(result)

    def __getattr__(self, name):
        found = getattr(self._binding, name)
        if not callable(found):
            result = self._result(found)
        else:
            def result(*args, **kwargs):
                return self._call(found, args, kwargs)
        self.__dict__[name] = result
        return result

    def __getitem__(self, key):
        return self._result(self._binding[key] if isinstance(key, int) else getattr(self._binding, key))

    def __iter__(self):
        if not hasattr(self._binding, "__iter__"):
            raise TypeError("'%s' object is not iterable" % self._real_name)
        return (self._result(item) for item in self._binding)

    def __bool__(self):
        return True

    def __len__(self):
        length = getattr(self._binding, "length", None)
        if not isinstance(length, int):
            raise TypeError("'%s' object has no len()" % self._real_name)
        return length


class StubWrapper(BindingWrapper):
    """A function that another worker has returned."""

    def __call__(self, *args, **kwargs):
        return self._call(self._binding, args, kwargs)


class FetcherWrapper(BindingWrapper):
    """A service."""

    def fetch(self, *args, **kwargs):
        """The response of the service."""
        return fetch(*args, fetcher=self._binding.fetch, **kwargs)


class EnvWrapper:
    """`env`, whose bindings take and give Python's values."""

    def __new__(cls, env):
        return env if isinstance(env, cls) else object.__new__(cls)

    def __init__(self, env):
        if env is not self:
            self._env = env

    def __getattr__(self, name):
        found = getattr(self._env, name)
        kind = js_name(found)
        if kind == "Fetcher":
            found = FetcherWrapper(found)
        elif kind in BINDINGS:
            found = BindingWrapper(found)
        self.__dict__[name] = found
        return found

    def __repr__(self):
        return "<env>"


class CurrentEnv:
    """`workers.env`: the env of whatever runs, with what patch_env() has put over it."""

    def __getattr__(self, name):
        return getattr(EnvWrapper(helper.cloudflareWorkersModule.env), name)

    def __repr__(self):
        return "<env>"


current_env = CurrentEnv()


def env_of(env):
    """Python's view of an env."""
    return EnvWrapper(env)

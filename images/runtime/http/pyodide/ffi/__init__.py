"""What stands between Python and JavaScript."""

import sys

from _sandboxd_js.array import JsArray
from _sandboxd_js.binary import JsBuffer, JsTypedArray
from _sandboxd_js.convert import to_js as _to_js
from _sandboxd_js.core import (ConversionError, InternalError, JsBigInt, JsCallableDoubleProxy, JsDoubleProxy,
                               JsException, JsFunction, JsIterator, JsNull, JsOnceCallable, JsProxy, JsWeakRef, jsnull)
from _sandboxd_js.fetch import Response as JsFetchResponse
from _sandboxd_js.maps import JsMap, JsMutableMap
from _sandboxd_js.promise import JsPromise, can_run_sync, run_sync
from _sandboxd_js.streams import AsyncChunks as JsAsyncIterator

IN_PYODIDE = True
JsCallable = JsFunction
JsGenerator = JsIterable = JsIterator
JsAsyncGenerator = JsAsyncIterable = JsAsyncIterator
to_js = _to_js


class JsDomElement(JsProxy):
    """An element of a page, of which there is none here."""

    __slots__ = ()


class ToJsConverter:
    """The type of to_js's converters."""


def create_proxy(obj, /, *, capture_this=False, roundtrip=True):
    """A proxy of a Python object that keeps it until destroy()."""
    return JsCallableDoubleProxy(obj) if callable(obj) else JsDoubleProxy(obj)


def create_once_callable(obj, /, *, _may_syncify=False):
    """A function for one call."""
    return JsOnceCallable(obj)


def destroy_proxies(pyproxies, /):
    """Destroys all proxies of an array."""
    for proxy in list(pyproxies):
        proxy.destroy()


def register_js_module(name, jsproxy):
    """Makes an object a module that can be imported."""
    sys.modules[name] = jsproxy


def unregister_js_module(name):
    """Takes a module out that was registered."""
    del sys.modules[name]


__all__ = [
    "ConversionError", "IN_PYODIDE", "InternalError", "JsArray", "JsAsyncGenerator", "JsAsyncIterable",
    "JsAsyncIterator", "JsBigInt", "JsBuffer", "JsCallable", "JsCallableDoubleProxy", "JsDomElement", "JsDoubleProxy",
    "JsException", "JsFetchResponse", "JsGenerator", "JsIterable", "JsIterator", "JsMap", "JsMutableMap", "JsNull",
    "JsOnceCallable", "JsPromise", "JsProxy", "JsTypedArray", "JsWeakRef", "ToJsConverter", "can_run_sync",
    "create_once_callable", "create_proxy", "destroy_proxies", "jsnull", "register_js_module", "run_sync", "to_js",
    "unregister_js_module",
]

"""globalThis: what `import js` gives."""

import asyncio
import base64
import binascii
import math
import sys
import time

from . import array, binary, convert, core, date, events, fetch, maps, promise, regexp, streams, url
from . import json as js_json
from .core import (JsBigInt, JsClass, JsException, JsFunction, JsObject, PlainObject, disallowed, iterate, js_class,
                   js_error, jsnull, new_array, new_object, number, of_python, options_of, own, plain, same, to_integer,
                   to_number, to_string, truth, type_error)
from .promise import invoke

js_class("Function")(JsFunction)
JsFunction.constructor.new = lambda *args: _no_code()
js_class("Iterator")(core.JsIterator)
js_class("WeakRef")(core.JsWeakRef)


class GlobalThis(JsObject):
    """The global object; it stands for the module `js` as well."""

    __name__ = "js"
    _js_name = "global"

    def __setattr__(self, name, value):
        self.__dict__[name] = of_python(value)

    def __delattr__(self, name):
        if name not in self.__dict__:
            raise AttributeError(name)
        del self.__dict__[name]

    def __getattr__(self, name):
        if name == "HTMLRewriter":
            # Few workers have a use for it, so it is read when one asks.
            from .rewriter import HTMLRewriter

            return self.__dict__.setdefault(name, HTMLRewriter.constructor)
        raise AttributeError(name)

    def __dir__(self):
        return sorted(set(self.__dict__) | {"HTMLRewriter"})


class Namespace(JsObject):
    """An object that only holds functions, as Math and JSON do."""

    __slots__ = ("_named",)

    def __init__(self, name, functions):
        self._named = name
        for key, function in functions.items():
            self.__dict__[key] = JsFunction(function, key) if callable(function) else function

    def toString(self):
        """The object's name in brackets."""
        return "[object %s]" % self._named


# Object, Number, String, Boolean, Symbol, BigInt.


def _assign(target, *sources):
    for source in sources:
        if isinstance(source, JsObject):
            items = own(source).items()
        else:
            items = source.items() if isinstance(plain(source), dict) else ()
        for key, value in items:
            setattr(target, key, value)
    return target


def _has_own(value, name):
    return bool(value.hasOwnProperty(name))


def _define(target, name, descriptor):
    setattr(target, to_string(name), getattr(descriptor, "value", None))
    return target


def _create(_prototype=None, _properties=None):
    return PlainObject()


def _statics(of, functions):
    for name, function in functions.items():
        setattr(of, name, JsFunction(function, name))


def _known(value):
    if value is None or value is jsnull:
        raise type_error("Cannot convert undefined or null to object")
    return value


def _keys(value):
    _known(value)
    return value.object_keys() if isinstance(value, core.JsProxy) else new_array(
        [str(at) for at in range(len(value))] if isinstance(value, str) else [])


Object = PlainObject.constructor
_statics(Object, {
    "keys": _keys,
    "values": lambda value: _known(value).object_values(),
    "entries": lambda value: _known(value).object_entries(),
    "getOwnPropertyNames": _keys,
    "assign": _assign,
    "hasOwn": _has_own,
    "freeze": lambda value: value,
    "seal": lambda value: value,
    "isFrozen": lambda _value: False,
    "is": same,
    "create": _create,
    "defineProperty": _define,
    "getPrototypeOf": lambda value: value.constructor.prototype,
})
Object.fromEntries = convert.from_entries


class _Boxed(JsObject):
    """An object around a number, a text or a truth."""

    __slots__ = ("_value",)

    def valueOf(self):
        """What is inside."""
        return self._value

    def toString(self):
        """The text of what is inside."""
        return to_string(self._value)


@js_class("Number", "isInteger", "isSafeInteger", "isNaN", "isFinite", "parseInt", "parseFloat")
class Number(_Boxed):
    """An object around a number; without `new`, the number of a value."""

    __slots__ = ()

    def __init__(self, value=0):
        self._value = to_number(value)

    @staticmethod
    def _js_call(value=0):
        made = to_number(value)
        if type(made) is int and abs(made) <= core.MAX_SAFE:
            return made
        return number(float(made)) if isinstance(made, int) else made

    @staticmethod
    def _static_isInteger(value=None):
        """Whether the value is a whole number."""
        return isinstance(value, (int, float)) and not isinstance(value, bool) and value == value \
            and not math.isinf(value) and value == int(value)

    @staticmethod
    def _static_isSafeInteger(value=None):
        """Whether the value is a whole number that is exact."""
        return Number._static_isInteger(value) and abs(value) <= core.MAX_SAFE

    @staticmethod
    def _static_isNaN(value=None):
        """Whether the value is NaN."""
        return isinstance(value, float) and value != value

    @staticmethod
    def _static_isFinite(value=None):
        """Whether the value is a number, and neither infinite nor NaN."""
        return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)

    @staticmethod
    def _static_parseInt(text=None, base=None):
        """The whole number that a text begins with, or NaN."""
        text = to_string(text).strip().lower()
        sign = -1 if text[:1] == "-" else 1
        text = text[1:] if text[:1] in ("+", "-") else text
        base = to_integer(base, 0) or (16 if text.startswith("0x") else 10)
        if base == 16 and text.startswith("0x"):
            text = text[2:]
        digits = "0123456789abcdefghijklmnopqrstuvwxyz"[:base]
        end = 0
        while end < len(text) and text[end] in digits:
            end += 1
        return of_python(float(sign * int(text[:end], base))) if end else math.nan

    @staticmethod
    def _static_parseFloat(text=None):
        """The number that a text begins with, or NaN."""
        import re

        found = re.match(r"[+-]?(Infinity|\d+\.?\d*(e[+-]?\d+)?|\.\d+(e[+-]?\d+)?)", to_string(text).strip(), re.I)
        if found is None:
            return math.nan
        return number(float(found.group().replace("Infinity", "inf")))


_number = Number.constructor
_number.MAX_SAFE_INTEGER, _number.MIN_SAFE_INTEGER = core.MAX_SAFE, -core.MAX_SAFE
_number.EPSILON, _number.MAX_VALUE, _number.MIN_VALUE = sys.float_info.epsilon, sys.float_info.max, 5e-324
_number.POSITIVE_INFINITY, _number.NEGATIVE_INFINITY, _number.NaN = math.inf, -math.inf, math.nan


@js_class("String", "fromCharCode", "fromCodePoint", "raw")
class String(_Boxed):
    """An object around a text; without `new`, the text of a value."""

    __slots__ = ()

    def __init__(self, value=""):
        self._value = to_string(value)

    @staticmethod
    def _js_call(value=""):
        return to_string(value)

    @staticmethod
    def _static_fromCharCode(*codes):
        """The text of UTF-16 units."""
        return b"".join([(to_integer(code) & 0xFFFF).to_bytes(2, "little") for code in codes]).decode(
            "utf-16-le", "surrogatepass")

    @staticmethod
    def _static_fromCodePoint(*codes):
        """The text of code points."""
        return "".join([chr(to_integer(code)) for code in codes])

    @staticmethod
    def _static_raw(strings, *values):
        """The text of a template's pieces and values."""
        pieces = list(iterate(getattr(strings, "raw", strings)))
        return "".join([to_string(piece) + (to_string(values[at]) if at < len(values) and at < len(pieces) - 1 else "")
                        for at, piece in enumerate(pieces)])

    def __iter__(self):
        return iter(self._value)

    @property
    def length(self):
        """How many characters the text has."""
        return len(self._value)


@js_class("Boolean")
class Boolean(_Boxed):
    """An object around a truth; without `new`, the truth of a value."""

    __slots__ = ()

    def __init__(self, value=None):
        self._value = truth(value)

    @staticmethod
    def _js_call(value=None):
        return truth(value)


@js_class("Symbol", "for")
class Symbol(JsObject):
    """A symbol, which is equal to itself alone."""

    __slots__ = ("_description",)
    typeof = "symbol"
    _known = {}

    def __init__(self, description=None):
        self._description = None if description is None else to_string(description)

    @classmethod
    def _js_call(cls, description=None):
        return cls(description)

    def _static_for(name=None):  # pylint: disable=no-self-argument
        """The symbol of that name, which is the same for all."""
        return Symbol._known.setdefault(to_string(name), Symbol(name))

    @property
    def description(self):
        """What the symbol was named."""
        return self._description

    def toString(self):
        """The name in brackets."""
        return "Symbol(%s)" % ("" if self._description is None else self._description)


for _name in ("iterator", "asyncIterator", "toStringTag", "toPrimitive", "hasInstance", "dispose", "asyncDispose"):
    setattr(Symbol.constructor, _name, Symbol("Symbol." + _name))


class _BigIntClass(JsClass):
    """BigInt, which is called without `new`."""

    __slots__ = ()

    def __call__(self, value=None, *_more):
        if isinstance(value, str):
            try:
                return JsBigInt(int(value.strip() or "0", 0 if value.strip()[:2].lower() in ("0x", "0o", "0b") else 10))
            except ValueError:
                raise JsException("SyntaxError", "Cannot convert %s to a BigInt" % value) from None
        if isinstance(value, (int, float)) and value == value and not math.isinf(value):
            if value != int(value):
                raise JsException("RangeError", "The number %s cannot be converted to a BigInt because it is not an "
                                                "integer" % to_string(value))
            return JsBigInt(int(value))
        raise type_error("Cannot convert %s to a BigInt" % to_string(value))


# Math and Reflect.


def _rounded(value):
    value = to_number(value)
    return value if value != value or math.isinf(value) else math.floor(value + 0.5)


def _whole(function):
    def call(value=None):
        value = to_number(value)
        return value if value != value or math.isinf(value) else function(value)

    return call


def _float(function):
    def call(*values):
        try:
            return number(float(function(*[float(to_number(value)) for value in values])))
        except ValueError:
            return math.nan
        except OverflowError:
            return math.inf

    return call


def _extreme(function, nothing):
    def call(*values):
        values = [to_number(value) for value in values]
        if any(value != value for value in values):
            return math.nan
        return function(values) if values else nothing

    return call


def _random():
    import random

    return random.random()


Math = Namespace("Math", dict(
    {name: _float(getattr(math, name)) for name in (
        "sqrt", "sin", "cos", "tan", "asin", "acos", "atan", "atan2", "exp", "log2", "log10", "sinh", "cosh", "tanh",
        "log1p", "expm1", "hypot")},
    abs=lambda value=None: abs(to_number(value)),
    floor=_whole(math.floor), ceil=_whole(math.ceil), trunc=_whole(math.trunc), round=_rounded,
    max=_extreme(max, -math.inf), min=_extreme(min, math.inf), pow=_float(lambda base, power: base ** power),
    log=_float(lambda value: math.log(value) if value else -math.inf),
    sign=lambda value=None: math.nan if to_number(value) != to_number(value) else
    (to_number(value) > 0) - (to_number(value) < 0),
    cbrt=_float(lambda value: math.copysign(abs(value) ** (1 / 3), value)),
    random=_random, PI=math.pi, E=math.e, LN2=math.log(2), LN10=math.log(10), SQRT2=math.sqrt(2),
))

Reflect = Namespace("Reflect", {
    "get": lambda target, name: getattr(target, to_string(name), None),
    "set": lambda target, name, value: setattr(target, to_string(name), value) or True,
    "has": lambda target, name: hasattr(target, to_string(name)),
    "ownKeys": lambda target: target.object_keys(),
    "apply": lambda function, _this, args: function(*args),
    "construct": lambda of, args: of.new(*args),
    "deleteProperty": lambda target, name: delattr(target, to_string(name)) or True,
})


# Texts to and from base64.


_NOT_BASE64 = ("atob() called with invalid base64-encoded data. (Only whitespace, '+', '/', alphanumeric ASCII, and up "
               "to two terminal '=' signs when the input data length is divisible by 4 are allowed.)")


def _btoa(text=None):
    try:
        return base64.b64encode(to_string(text).encode("latin-1")).decode()
    except UnicodeEncodeError:
        raise js_error("InvalidCharacterError", "Invalid character") from None


def _atob(text=None):
    text = "".join(to_string(text).split())
    if len(text) % 4 == 0 and text.endswith("="):
        text = text[:-2] if text.endswith("==") else text[:-1]
    if len(text) % 4 == 1 or "=" in text:
        raise js_error("InvalidCharacterError", _NOT_BASE64)
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True).decode("latin-1")
    except (binascii.Error, ValueError):
        raise js_error("InvalidCharacterError", _NOT_BASE64) from None


# Timers.

_timers = {}
_last_timer = [0]


def _loop():
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise disallowed() from None


def _delay(milliseconds):
    value = to_number(0 if milliseconds is None else milliseconds)
    return 0 if value != value or value < 0 else min(value, 2 ** 31 - 1) / 1000


def _set_timeout(function, milliseconds=None, *args):
    loop = _loop()
    _last_timer[0] += 1
    known = _last_timer[0]

    def run():
        _timers.pop(known, None)
        invoke(function, *args)

    _timers[known] = loop.call_later(_delay(milliseconds), run)
    return known


def _set_interval(function, milliseconds=None, *args):
    loop = _loop()
    _last_timer[0] += 1
    known = _last_timer[0]
    pause = max(_delay(milliseconds), 0.001)

    def run():
        if known in _timers:
            _timers[known] = loop.call_later(pause, run)
            invoke(function, *args)

    _timers[known] = loop.call_later(pause, run)
    return known


def _clear(known=None, *_more):
    handle = _timers.pop(known, None) if isinstance(known, (int, float)) else None
    if handle is not None:
        handle.cancel()


def _wait(milliseconds=None, _options=None):
    made = promise.JsPromise.pending()
    _loop().call_later(_delay(milliseconds), made.resolve, None)
    return made


# console.

_console = None


def set_console(function):
    """Installs what gets each line of console: a level and the list of what it was called with."""
    global _console
    _console = function


def _said(level):
    def say(*values):
        if _console is not None:
            _console(level, list(values))
            return
        stream = sys.stderr if level in ("error", "warn") else sys.stdout
        stream.write(" ".join([shown(value) for value in values]) + "\n")

    return say


def shown(value):
    """A value as console writes it: a text as it is, an object with what is in it."""
    if isinstance(value, str):
        return value
    return _inspected(value, 0)


def _inspected(value, depth):
    if isinstance(value, str):
        return "'%s'" % value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    if isinstance(value, array.JsArray):
        if depth > 2:
            return "[Array]"
        return "[ %s ]" % ", ".join([_inspected(item, depth + 1) for item in value]) if len(value) else "[]"
    if type(value) is PlainObject:
        if depth > 2:
            return "[Object]"
        items = ["%s: %s" % (key, _inspected(item, depth + 1)) for key, item in own(value).items()]
        return "{ %s }" % ", ".join(items) if items else "{}"
    if isinstance(value, JsException):
        return value.stack or to_string(value)
    if isinstance(value, date.Date):
        return value.toJSON() or "Invalid Date"
    if isinstance(value, JsBigInt):
        return "%dn" % value
    return to_string(value)


_counts = {}
_started = {}


def _count(label="default"):
    label = to_string(label)
    _counts[label] = _counts.get(label, 0) + 1
    _said("log")("%s: %d" % (label, _counts[label]))


def _time_begin(label="default"):
    _started[to_string(label)] = time.perf_counter()


def _time_end(label="default"):
    begun = _started.pop(to_string(label), None)
    if begun is not None:
        _said("log")("%s: %.3fms" % (to_string(label), (time.perf_counter() - begun) * 1000))


def _check(holds=None, *values):
    if not truth(holds):
        _said("error")("Assertion failed%s" % (":" if values else ""), *values)


console = Namespace("console", dict(
    {level: _said(level) for level in ("log", "info", "debug", "warn", "error", "trace")},
    dir=lambda value=None, *_more: _said("log")(value), table=lambda value=None, *_more: _said("log")(value),
    group=_said("log"), groupEnd=lambda: None, groupCollapsed=_said("log"), count=_count, time=_time_begin,
    timeEnd=_time_end, clear=lambda: None, **{"assert": _check, "assert_": _check}))


# crypto, performance, structuredClone.


def _random_values(target):
    import os

    if not isinstance(target, binary.JsTypedArray) or isinstance(target, binary._Floats):
        raise js_error("TypeMismatchError", "The data argument must be an integer-type TypedArray")
    if target.byteLength > 65536:
        raise js_error("QuotaExceededError", "The requested length exceeds 65,536 bytes")
    target._written()[:] = os.urandom(target.byteLength)
    return target


def _uuid():
    import uuid

    return str(uuid.uuid4())


_DIGESTS = {"SHA-1": "sha1", "SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512", "MD5": "md5"}


def _digest(algorithm, data):
    import hashlib

    name = algorithm if isinstance(algorithm, str) else getattr(algorithm, "name", None)
    known = _DIGESTS.get(to_string(name).upper())
    if known is None:
        return promise.rejected(js_error("NotSupportedError",
                                         "Unrecognized or unimplemented digest algorithm requested."))
    raw = binary.bytes_of(data)
    if raw is None:
        return promise.rejected(type_error("The data is neither an ArrayBuffer nor a part of one"))
    return promise.resolved(binary.ArrayBuffer.around(hashlib.new(known, raw).digest()))


@js_class("CryptoKey")
class CryptoKey(JsObject):
    """A key for HMAC."""

    __slots__ = ("_raw", "_hash", "_uses", "_extractable")
    type = "secret"

    @property
    def extractable(self):
        """Whether exportKey gives the key's bytes."""
        return self._extractable

    @property
    def usages(self):
        """What the key is for."""
        return new_array(list(self._uses))

    @property
    def algorithm(self):
        """The algorithm's name, and its hash."""
        return new_object({"name": "HMAC", "hash": new_object({"name": self._hash}), "length": len(self._raw) * 8})


def _hash_name(given):
    return to_string(given if isinstance(given, str) else getattr(given, "name", None)).upper()


def _algorithm(given):
    """The name and the options of an algorithm."""
    if isinstance(given, str):
        return given.upper(), {}
    options = options_of(given, {})
    return to_string(options.get("name")).upper(), options


async def _import_key(form, data, algorithm, extractable=False, uses=()):
    name, options = _algorithm(algorithm)
    if form != "raw" or name != "HMAC" or _hash_name(options.get("hash")) not in _DIGESTS:
        raise js_error("NotSupportedError", "Only raw keys for HMAC can be imported")
    made = CryptoKey()
    made._raw, made._hash = binary.bytes_of(data), _hash_name(options.get("hash"))
    made._uses, made._extractable = [to_string(use) for use in iterate(uses)], truth(extractable)
    return made


def _hmac(key, data):
    import hmac

    return hmac.new(key._raw, binary.bytes_of(data), _DIGESTS[key._hash]).digest()


async def _sign(_algorithm_of, key, data):
    if "sign" not in key._uses:
        raise js_error("InvalidAccessError", "The key's usages do not allow to sign")
    return binary.ArrayBuffer.around(_hmac(key, data))


async def _verify(_algorithm_of, key, signature, data):
    import hmac

    if "verify" not in key._uses:
        raise js_error("InvalidAccessError", "The key's usages do not allow to verify")
    return hmac.compare_digest(_hmac(key, data), binary.bytes_of(signature))


async def _export_key(form, key):
    if form != "raw" or not key._extractable:
        raise js_error("InvalidAccessError", "The key cannot be exported")
    return binary.ArrayBuffer.around(key._raw)


def _later(function):
    return lambda *args: promise.promise_of(function(*args))


def _timing_safe_equal(left, right):
    import hmac

    first, second = binary.bytes_of(left), binary.bytes_of(right)
    if len(first) != len(second):
        raise type_error("Input buffers must have the same byte length.")
    return hmac.compare_digest(first, second)


crypto = Namespace("Crypto", {
    "getRandomValues": _random_values,
    "randomUUID": _uuid,
    "subtle": Namespace("SubtleCrypto", {
        "digest": _digest, "importKey": _later(_import_key), "sign": _later(_sign), "verify": _later(_verify),
        "exportKey": _later(_export_key), "timingSafeEqual": _timing_safe_equal}),
})

# As in Workers, the times are those of Date: what a snapshot was made of began at another time, and elsewhere.
performance = Namespace("Performance", {
    "now": lambda: number(time.time() * 1000),
    "timeOrigin": 0,
    "mark": lambda *_args: None,
    "measure": lambda *_args: None,
})


def structured_clone(value, _options=None):
    """A copy of a value and of all that is in it."""
    return _Clone().copy(of_python(value))


class _Clone:
    """One call of structuredClone: what has been copied by then."""

    def __init__(self):
        self.done = {}

    def copy(self, value):
        """The copy of a value."""
        if value is None or value is jsnull or isinstance(value, (str, int, float)):
            return value
        if id(value) in self.done:
            return self.done[id(value)]
        kind = type(value)
        if isinstance(value, array.JsArray):
            made = self.done[id(value)] = new_array([])
            made._items.extend([self.copy(item) for item in value._items])
        elif isinstance(value, PlainObject):
            made = self.done[id(value)] = PlainObject()
            made.__dict__.update({key: self.copy(item) for key, item in own(value).items()})
        elif kind is maps.Map:
            made = self.done[id(value)] = maps.Map()
            for key, item in list(value._held.values()):
                made.set(self.copy(key), self.copy(item))
        elif kind is maps.Set:
            made = self.done[id(value)] = maps.Set()
            for item in value:
                made.add(self.copy(item))
        elif kind is date.Date:
            made = date.Date(value._time)
        elif kind is regexp.RegExp:
            made = regexp.RegExp(value)
        elif isinstance(value, binary.ArrayBuffer):
            made = binary.ArrayBuffer.around(bytes(value._data))
        elif isinstance(value, binary.View):
            made = kind.__new__(kind)
            made._buffer, made._at, made._size = self.copy(value._buffer), value._at, value._size
        elif isinstance(value, binary.Blob):
            made = value
        elif isinstance(value, JsException):
            made = JsException(value.name, value.message, value.stack)
        elif isinstance(value, _Boxed) and kind is not Symbol:
            made = kind(value._value)
        else:
            raise js_error("DataCloneError", "%s could not be cloned." % to_string(value))
        self.done[id(value)] = made
        return made


def _no_code(*_args, **_kwargs):
    raise JsException("EvalError", "Code generation from strings disallowed for this context")


# Caches, which never have anything.

_cache = Namespace("Cache", {
    "match": lambda *_args, **_kwargs: promise.resolved(None),
    "put": lambda *_args, **_kwargs: promise.resolved(None),
    "delete": lambda *_args, **_kwargs: promise.resolved(False),
})
caches = Namespace("CacheStorage", {"default": _cache, "open": lambda *_args: promise.resolved(_cache)})


def make():
    """The global object."""
    made = GlobalThis()
    held = made.__dict__
    for of in (Number, String, Boolean, Symbol, array.JsArray, maps.Map, maps.Set, maps.WeakMap, maps.WeakSet,
               date.Date, regexp.RegExp, promise.JsPromise, url.URL, url.URLSearchParams, binary.ArrayBuffer,
               binary.DataView, binary.Blob, binary.File, binary.TextEncoder, binary.TextDecoder, events.Event,
               events.CustomEvent, events.MessageEvent, events.ErrorEvent, events.CloseEvent, events.EventTarget,
               events.AbortController, events.AbortSignal, events.WebSocket, events.WebSocketPair,
               fetch.Headers, fetch.Request, fetch.Response,
               fetch.FormData, streams.ReadableStream, streams.WritableStream, streams.TransformStream,
               streams.IdentityTransformStream, streams.FixedLengthStream, streams.CompressionStream,
               streams.DecompressionStream, streams.TextEncoderStream, streams.TextDecoderStream,
               streams.CountQueuingStrategy, streams.ByteLengthQueuingStrategy, streams.Reader, streams.ByobReader,
               streams.Writer, core.JsWeakRef, JsFunction, *binary.TYPED_ARRAYS.values()):
        held[of._js_name] = of.constructor
    held["Object"] = Object
    held["BigInt"] = _BigIntClass(JsBigInt, "BigInt")
    for name, of in core.error_classes.items():
        held[name] = of
    for name, function in (
            ("fetch", fetch.fetch), ("setTimeout", _set_timeout), ("clearTimeout", _clear),
            ("setInterval", _set_interval), ("clearInterval", _clear), ("queueMicrotask", promise.queue_microtask),
            ("structuredClone", structured_clone), ("atob", _atob), ("btoa", _btoa),
            ("parseInt", Number._static_parseInt), ("parseFloat", Number._static_parseFloat),
            ("eval", _no_code), ("reportError", lambda error=None: _said("error")(error)),
            ("isNaN", lambda value=None: to_number(value) != to_number(value)),
            ("isFinite", lambda value=None: math.isfinite(to_number(value))),
            ("setImmediate", lambda function, *args: _set_timeout(function, 0, *args)), ("clearImmediate", _clear),
            ("encodeURIComponent", lambda text=None: url._encoded(to_string(text), "!'()*-._~")),
            ("encodeURI", lambda text=None: url._encoded(to_string(text), "!#$&'()*+,-./:;=?@_~")),
            ("decodeURIComponent", _decode_uri), ("decodeURI", _decode_uri)):
        held[name] = JsFunction(function, name)
    held.update(Math=Math, Reflect=Reflect, console=console, crypto=crypto, performance=performance, caches=caches,
                JSON=Namespace("JSON", {"parse": js_json.parse, "stringify": js_json.stringify}),
                NaN=math.nan, Infinity=math.inf, undefined=None,
                scheduler=Namespace("Scheduler", {"wait": _wait}),
                navigator=new_object({"userAgent": "Cloudflare-Workers"}),
                process=new_object({"env": PlainObject(), "platform": "linux", "argv": new_array([]),
                                    "version": "v22.19.0", "versions": new_object({"node": "22.19.0"})}))
    held["self"] = held["globalThis"] = made
    return made


def _decode_uri(text=None):
    from urllib.parse import unquote_to_bytes

    text = to_string(text)
    try:
        return unquote_to_bytes(text).decode("utf-8")
    except UnicodeDecodeError:
        raise JsException("URIError", "URI malformed") from None


globalThis = make()

"""to_js and to_py: whole structures from one language's classes to the other's."""

from .array import JsArray
from .binary import ArrayBuffer, View, of_buffer
from .core import (ConversionError, JsCallableDoubleProxy, JsDoubleProxy, JsException, JsProxy, PlainObject, js_class,
                   js_error, jsnull, new_array, of_python, to_string)
from .maps import Map, Set

_ATOMS = (str, int, float, bool, type(None), JsProxy, type(jsnull))


# The statics of Object are in the module world.
js_class("Object")(PlainObject)
PlainObject.constructor.new = lambda value=None: PlainObject() if value is None or value is jsnull else value
JsProxy.constructor = PlainObject.constructor


def to_js(obj, *, depth=-1, pyproxies=None, create_pyproxies=True, dict_converter=None, default_converter=None,
          eager_converter=None):
    """The value as JavaScript has it: a list as an Array, a dict as an object, bytes as a Uint8Array."""
    if eager_converter is None and isinstance(obj, _ATOMS):
        return obj
    made = _ToJs(depth, create_pyproxies, dict_converter, default_converter, eager_converter).convert(obj, depth)
    if isinstance(made, _ATOMS):
        return made
    return JsCallableDoubleProxy(made) if callable(made) else JsDoubleProxy(made)


class _ToJs:
    """One call of to_js: its options, and what has been converted by then."""

    def __init__(self, depth, create_pyproxies, dict_converter, default_converter, eager_converter):
        self.proxies = create_pyproxies
        self.of_dict = dict_converter
        self.default = default_converter
        self.eager = eager_converter
        self.done = {}
        self.depth = depth

    def convert(self, value, depth):
        """The value as JavaScript has it."""
        if self.eager is not None:
            return of_python(self.eager(value, lambda inner: self.inner(inner, depth), self.remember))
        return self.inner(value, depth)

    def remember(self, value, converted):
        """What a converter calls with an object and what it has made of it, before it goes on inside."""
        self.done[id(value)] = converted

    def inner(self, value, depth):
        """The value as JavaScript has it, without the eager converter."""
        if isinstance(value, _ATOMS):
            return of_python(value)
        if id(value) in self.done:
            return self.done[id(value)]
        if depth == 0:
            return self.other(value, depth)
        kind = type(value)
        if kind is list or kind is tuple or isinstance(value, (list, tuple)):
            made = JsArray.around([])
            self.done[id(value)] = made
            items = made._items
            for item in value:
                items.append(self.convert(item, depth - 1))
            return made
        if isinstance(value, dict):
            return self.mapping(value, depth)
        if isinstance(value, (set, frozenset)):
            made = Set()
            self.done[id(value)] = made
            for item in value:
                if not isinstance(item, (str, int, float, bytes, type(None))) and type(item) is tuple:
                    raise ConversionError("Cannot use %r as a key for a Javascript Set" % (item,))
                made.add(self.convert(item, depth - 1))
            return made
        try:
            view = memoryview(value)
        except TypeError:
            return self.other(value, depth)
        with view:
            made = of_buffer(view)
        self.done[id(value)] = made
        return made

    def mapping(self, value, depth):
        """A dict: an object, or what the dict_converter makes of its pairs."""
        if self.of_dict is None or self.of_dict is from_entries:
            made = PlainObject()
            self.done[id(value)] = made
            held = made.__dict__
            for key, item in value.items():
                if not isinstance(key, str):
                    if self.of_dict is None and not isinstance(key, (int, float, type(None))):
                        raise ConversionError("Cannot use %r as a key for a Javascript Map" % (key,))
                    key = to_string(of_python(key))
                held[key] = self.convert(item, depth - 1)
            return made
        pairs = [new_array([self.convert(key, depth - 1), self.convert(item, depth - 1)])
                 for key, item in value.items()]
        made = of_python(self.of_dict(new_array(pairs)))
        self.done[id(value)] = made
        return made

    def other(self, value, depth):
        """A value that no rule is for: what the default converter says, or the Python object itself."""
        if self.default is not None:
            made = of_python(self.default(value, lambda inner: self.inner(inner, depth), self.remember))
            self.done[id(value)] = made
            return made
        if not self.proxies:
            raise ConversionError("No conversion known for %r." % (value,))
        return value


def from_entries(entries):
    """Object.fromEntries: an object of pairs of name and value."""
    from .core import iterate

    made = PlainObject()
    held = made.__dict__
    for entry in iterate(entries):
        if type(entry) is JsArray:
            pair = entry._items
        elif isinstance(entry, (str, int, float)) or entry is None:
            raise JsException("TypeError", "Iterator value %s is not an entry object" % to_string(entry))
        else:
            pair = list(iterate(entry))
        key = pair[0] if pair else None
        held[key if type(key) is str else to_string(key)] = of_python(pair[1]) if len(pair) > 1 else None
    return made


def to_py(value, depth=-1, default_converter=None):
    """The object as Python has it."""
    return _ToPy(default_converter).convert(value, depth)


def _no_key(value, kind):
    return js_error("Error", "Cannot use key of type %s as a key to a Python %s" % (value.constructor.name, kind))


class _ToPy:
    """One call of to_py: its converter, and what has been converted by then."""

    def __init__(self, default_converter):
        self.default = default_converter
        self.done = {}

    def remember(self, value, converted):
        """What a converter calls with an object and what it has made of it, before it goes on inside."""
        self.done[id(value)] = converted

    def convert(self, value, depth):
        """The value as Python has it."""
        if not isinstance(value, JsProxy) or depth == 0:
            return value
        if id(value) in self.done:
            return self.done[id(value)]
        kind = type(value)
        if kind is PlainObject:
            made = self.done[id(value)] = {}
            from .core import own

            for key, item in own(value).items():
                made[key] = self.convert(item, depth - 1)
            return made
        if kind is JsArray:
            made = self.done[id(value)] = []
            for item in value._items:
                made.append(self.convert(item, depth - 1))
            return made
        if kind is Map:
            made = self.done[id(value)] = {}
            for key, item in list(value._held.values()):
                converted = self.convert(key, depth - 1)
                if isinstance(converted, (dict, list, set)):
                    raise _no_key(key, "dict")
                made[converted] = self.convert(item, depth - 1)
            return made
        if kind is Set:
            made = self.done[id(value)] = set()
            for item in value:
                converted = self.convert(item, depth - 1)
                if isinstance(converted, (dict, list, set)):
                    raise _no_key(item, "set")
                made.add(converted)
            return made
        if isinstance(value, (ArrayBuffer, View)):
            return value.to_memoryview()
        if self.default is not None:
            return self.default(value, lambda inner: self.convert(inner, depth), self.remember)
        return value

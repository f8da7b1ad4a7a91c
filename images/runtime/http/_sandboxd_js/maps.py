"""JavaScript's Map and Set, their weak kin, and an object's properties as a mapping of Python's."""

from collections.abc import Mapping, MutableMapping

from .array import JsArray
from .core import (JsBigInt, JsIterator, JsObject, PlainObject, _ProxyType, iterate, js_class, jsnull, new_array,
                   of_python, own, type_error)


class _MappingType(_ProxyType, type(Mapping)):
    """The metaclass of what is both an object of JavaScript and a mapping of Python's."""


class JsMap(JsObject, Mapping, metaclass=_MappingType):
    """What can be read by keys; Python sees a mapping."""

    __slots__ = ()

    def __eq__(self, other):
        return self is other

    __hash__ = JsObject.__hash__


class JsMutableMap(JsMap, MutableMapping):
    """What can be read and set by keys; Python sees a mutable mapping."""

    __slots__ = ()


def key_of(value):
    """What stands for a value among the keys of a dict, so that those are one which JavaScript takes for one."""
    kind = type(value)
    if kind is str or kind is int:
        return value
    if value is None or isinstance(value, bool):
        return (kind, value)
    if isinstance(value, JsBigInt):
        return (JsBigInt, int(value))
    if kind is float:
        return value if value == value else (float, "NaN")
    if isinstance(value, str):
        return str.__str__(value)
    return (object, id(value))


@js_class("Map", "groupBy")
class Map(JsMutableMap):
    """A map in the order in which its keys came."""

    __slots__ = ("_held",)

    def __init__(self, entries=None):
        self._held = {}
        if entries is not None and entries is not jsnull:
            for entry in iterate(entries):
                pair = _pair(entry)
                self.set(*pair)

    @staticmethod
    def _static_groupBy(values, function):
        """A map of arrays: of each value by what the function makes of it."""
        made = Map()
        for at, value in enumerate(iterate(values)):
            key = of_python(function(value, at))
            if not made.has(key):
                made.set(key, new_array([]))
            made.get(key).append(value)
        return made

    def _js_iterate(self):
        return (new_array([key, value]) for key, value in list(self._held.values()))

    def __getitem__(self, key):
        try:
            return self._held[key_of(key)][1]
        except KeyError:
            raise KeyError(key) from None

    def __setitem__(self, key, value):
        self.set(key, value)

    def __delitem__(self, key):
        if not self.delete(key):
            raise KeyError(key)

    def __len__(self):
        return len(self._held)

    def __bool__(self):
        return bool(self._held)

    def __contains__(self, key):
        return key_of(key) in self._held

    def __iter__(self):
        return iter([key for key, _value in self._held.values()])

    def has(self, key):
        """Whether there is such a key."""
        return key_of(key) in self._held

    def set(self, key, value=None):
        """Sets the value of a key, and returns the map."""
        key = of_python(key)
        self._held[key_of(key)] = (key, of_python(value))
        return self

    def delete(self, key):
        """Takes a key out, and says whether there was one."""
        return self._held.pop(key_of(key), None) is not None

    def clear(self):
        """Takes all keys out."""
        self._held.clear()

    def forEach(self, function, _this=None):
        """Calls the function with each value, key and the map."""
        for key, value in list(self._held.values()):
            function(value, key, self)

    def entries(self):
        """An iterator over arrays of key and value."""
        return JsIterator(self._js_iterate(), "Map")

    def object_keys(self):
        """A map has no properties of its own."""
        return new_array([])

    @property
    def size(self):
        """How many keys there are."""
        return len(self._held)


def _pair(entry):
    if isinstance(entry, (str, int, float)) or entry is None:
        raise type_error("Iterator value %s is not an entry object" % entry)
    pair = list(iterate(entry))[:2]
    return pair + [None] * (2 - len(pair))


@js_class("Set")
class Set(JsObject):
    """A set in the order in which its values came."""

    __slots__ = ("_held",)

    def __init__(self, values=None):
        self._held = {}
        if values is not None and values is not jsnull:
            for value in iterate(values):
                self.add(value)

    def __len__(self):
        return len(self._held)

    def __bool__(self):
        return bool(self._held)

    def __contains__(self, value):
        return key_of(value) in self._held

    def __iter__(self):
        return iter(list(self._held.values()))

    _js_iterate = __iter__

    def has(self, value):
        """Whether the value is in the set."""
        return key_of(value) in self._held

    def add(self, value):
        """Adds a value, and returns the set."""
        value = of_python(value)
        self._held.setdefault(key_of(value), value)
        return self

    def delete(self, value):
        """Takes a value out, and says whether it was in."""
        known = key_of(value)
        if known not in self._held:
            return False
        del self._held[known]
        return True

    def clear(self):
        """Takes all values out."""
        self._held.clear()

    def forEach(self, function, _this=None):
        """Calls the function with each value, once more the value, and the set."""
        for value in list(self._held.values()):
            function(value, value, self)

    def values(self):
        """An iterator over the values."""
        return JsIterator(iter(self), "Set")

    keys = values

    def entries(self):
        """An iterator over arrays of a value and once more the value."""
        return JsIterator((new_array([value, value]) for value in self), "Set")

    @property
    def size(self):
        """How many values there are."""
        return len(self._held)


@js_class("WeakMap")
class WeakMap(JsObject):
    """A map whose keys it does not keep alive."""

    __slots__ = ("_held",)

    def __init__(self, entries=None):
        self._held = {}
        for entry in iterate(entries) if entries is not None else ():
            self.set(*_pair(entry))

    def get(self, key):
        """The value of a key."""
        return self._held.get(id(key), (None, None))[1]

    def has(self, key):
        """Whether there is such a key."""
        return id(key) in self._held

    def set(self, key, value=None):
        """Sets the value of a key, and returns the map."""
        import weakref

        known, held = id(key), self._held
        try:
            keeps = weakref.ref(key, lambda _gone: held.pop(known, None))
        except TypeError:
            raise type_error("Invalid value used as weak map key") from None
        held[known] = (keeps, value)
        return self

    def delete(self, key):
        """Takes a key out, and says whether there was one."""
        return self._held.pop(id(key), None) is not None


@js_class("WeakSet")
class WeakSet(JsObject):
    """A set whose values it does not keep alive."""

    __slots__ = ("_held",)

    def __init__(self, values=None):
        self._held = WeakMap()
        for value in iterate(values) if values is not None else ():
            self.add(value)

    def add(self, value):
        """Adds a value, and returns the set."""
        self._held.set(value, True)
        return self

    def has(self, value):
        """Whether the value is in the set."""
        return self._held.has(value)

    def delete(self, value):
        """Takes a value out, and says whether it was in."""
        return self._held.delete(value)


class ObjectMap(JsMutableMap):
    """An object's properties as a mapping; a hereditary one gives objects in it as mappings too."""

    __slots__ = ("_of", "_hereditary")

    def __init__(self, of, hereditary):
        self._of = of
        self._hereditary = hereditary

    def _shown(self, value):
        return as_json(value) if self._hereditary else value

    def __getitem__(self, key):
        held = own(self._of)
        if key not in held:
            raise KeyError(key)
        return self._shown(held[key])

    def __setitem__(self, key, value):
        own(self._of)
        self._of.__dict__[key] = of_python(value)

    def __delitem__(self, key):
        if key not in self._of.__dict__:
            raise KeyError(key)
        del self._of.__dict__[key]

    def __len__(self):
        return len(self._of.__dict__)

    def __iter__(self):
        return iter(list(own(self._of)))

    def __contains__(self, key):
        return key in self._of.__dict__

    def __getattr__(self, name):
        if name[:2] == "__":
            raise AttributeError(name)
        return getattr(self._of, name)

    def __repr__(self):
        return repr(self._of)


class _JsonArray(JsArray):
    """An array that gives objects in it as mappings; it shares its items with the array that it is of."""

    __slots__ = ()

    def __getitem__(self, at):
        return as_json(super().__getitem__(at))

    def __iter__(self):
        return iter([as_json(item) for item in self._items])


def as_json(value):
    """An object as a mapping, an array as one of mappings, and any other value as it is."""
    if isinstance(value, PlainObject):
        return ObjectMap(value, True)
    if isinstance(value, JsArray):
        return _JsonArray.around(value._items)
    return value

"""JavaScript's Array: a list of Python's, with the methods of both languages.

JavaScript's keys() is left out, as Pyodide leaves it out: dict() would take an
array that has it for a mapping.
"""

import functools
from collections.abc import MutableSequence

from .core import (JsException, JsFunction, JsIterator, JsObject, _ProxyType, iterate, js_class, jsnull,
                   of_python, same, to_integer, to_string, truth, type_error)


class _SequenceType(_ProxyType, type(MutableSequence)):
    """The metaclass of what is both an object of JavaScript and a sequence of Python's."""


@js_class("Array", "of", "isArray")
class JsArray(JsObject, MutableSequence, metaclass=_SequenceType):
    """An array; Python sees a mutable sequence."""

    __slots__ = ("_items",)

    def __init__(self, *items):
        if len(items) == 1 and isinstance(items[0], (int, float)) and not isinstance(items[0], bool):
            if items[0] < 0 or items[0] != int(items[0]):
                raise JsException("RangeError", "Invalid array length")
            self._items = [None] * int(items[0])
        else:
            self._items = [of_python(item) for item in items]

    @classmethod
    def around(cls, items):
        """An array around a list, which it owns from then on."""
        made = cls.__new__(cls)
        made._items = items
        return made

    @classmethod
    def _js_call(cls, *items):
        return cls(*items)

    @staticmethod
    def _static_of(*items):
        """An array of the arguments."""
        return JsArray.around([of_python(item) for item in items])

    @staticmethod
    def _static_isArray(value):
        """Whether the value is an array."""
        return isinstance(value, JsArray)

    @staticmethod
    def from_(values, function=None):
        """An array of what can be looped over, or of what has a length."""
        if isinstance(values, JsObject) and not hasattr(values, "_js_iterate") and not hasattr(values, "__iter__"):
            items = [getattr(values, str(at), None) for at in range(to_integer(getattr(values, "length", 0)))]
        else:
            items = [of_python(item) for item in iterate(values)]
        if function is not None:
            items = [of_python(function(item, at)) for at, item in enumerate(items)]
        return JsArray.around(items)

    def _js_iterate(self):
        return iter(self._items)

    # What Python asks of a sequence.

    def __len__(self):
        return len(self._items)

    def __bool__(self):
        return bool(self._items)

    def __iter__(self):
        return iter(self._items)

    def __contains__(self, value):
        return value in self._items

    def __getitem__(self, at):
        if isinstance(at, slice):
            return JsArray.around(self._items[at])
        try:
            return self._items[at]
        except IndexError:
            raise IndexError(at) from None

    def __setitem__(self, at, value):
        if isinstance(at, slice):
            self._items[at] = [of_python(item) for item in value]
            return
        self._items[at] = of_python(value)

    def __delitem__(self, at):
        del self._items[at]

    def __add__(self, other):
        return JsArray.around(self._items + list(other))

    def __iadd__(self, other):
        self.extend(other)
        return self

    def __mul__(self, times):
        return JsArray.around(self._items * times)

    __rmul__ = __mul__

    def __eq__(self, other):
        return self is other

    __hash__ = JsObject.__hash__

    def append(self, value):
        """Adds a value at the end."""
        self._items.append(of_python(value))

    def extend(self, values):
        """Adds values at the end."""
        self._items.extend([of_python(value) for value in values])

    def insert(self, index, value):
        """Puts a value before the one of that index."""
        self._items.insert(index, of_python(value))

    def index(self, value, start=0, stop=None):
        """The index of a value; ValueError when there is none."""
        return self._items.index(value, start, *(() if stop is None else (stop,)))

    def count(self, value):
        """How many times the value is in the array."""
        return self._items.count(value)

    def pop(self, index=-1):
        """Takes the value of that index out, the last one's when none is given."""
        if not self._items:
            raise IndexError("pop from empty list")
        return self._items.pop(index)

    def remove(self, value):
        """Takes the first such value out."""
        self._items.remove(value)

    def reverse(self):
        """Turns the order round."""
        self._items.reverse()

    def object_keys(self):
        """The indexes, as texts."""
        return JsArray.around([str(at) for at in range(len(self._items))])

    def object_values(self):
        """The values."""
        return JsArray.around(list(self._items))

    def object_entries(self):
        """Arrays of index, as a text, and value."""
        return JsArray.around([JsArray.around([str(at), item]) for at, item in enumerate(self._items)])

    # What JavaScript has beside it.

    @property
    def length(self):
        """How many values there are; setting it cuts the array off, or fills it up with undefined."""
        return len(self._items)

    @length.setter
    def length(self, wanted):
        had = len(self._items)
        if wanted < had:
            del self._items[int(wanted):]
        else:
            self._items.extend([None] * (int(wanted) - had))

    def push(self, *values):
        """Adds values at the end, and returns the length."""
        self._items.extend([of_python(value) for value in values])
        return len(self._items)

    def shift(self):
        """Takes the first value out."""
        return self._items.pop(0) if self._items else None

    def unshift(self, *values):
        """Puts values at the front, and returns the length."""
        self._items[0:0] = [of_python(value) for value in values]
        return len(self._items)

    def at(self, index=0):
        """The value of that index, counted from the end when it is negative; undefined when there is none."""
        index = to_integer(index, 0)
        size = len(self._items)
        return self._items[index] if -size <= index < size else None

    def concat(self, *others):
        """A new array of this one and the others."""
        items = list(self._items)
        for other in others:
            if isinstance(other, JsArray):
                items.extend(other._items)
            else:
                items.append(of_python(other))
        return JsArray.around(items)

    def _bounds(self, start, end):
        size = len(self._items)
        start, end = to_integer(start, 0), to_integer(end, size)
        return slice(start, end).indices(size)[:2]

    def slice(self, start=None, end=None):
        """A new array of the values from start up to end."""
        first, last = self._bounds(start, end)
        return JsArray.around(self._items[first:last])

    def splice(self, start=0, count=None, *values):
        """Takes values out and puts others in their place; returns those taken out."""
        size = len(self._items)
        first = slice(to_integer(start, 0), None).indices(size)[0]
        count = size - first if count is None else max(0, min(to_integer(count), size - first))
        taken = self._items[first:first + count]
        self._items[first:first + count] = [of_python(value) for value in values]
        return JsArray.around(taken)

    def fill(self, value=None, start=None, end=None):
        """Sets all values, or those from start up to end."""
        first, last = self._bounds(start, end)
        self._items[first:last] = [of_python(value)] * max(0, last - first)
        return self

    def join(self, separator=None):
        """The texts of all values in one; undefined and null are empty."""
        between = "," if separator is None else to_string(separator)
        return between.join(["" if item is None or item is jsnull else to_string(item) for item in self._items])

    def toString(self):
        """The texts of all values, with commas."""
        return self.join()

    def indexOf(self, value, start=0):
        """The index of a value, or -1."""
        for at in range(self._bounds(start, None)[0], len(self._items)):
            if value == value and same(self._items[at], value):
                return at
        return -1

    def lastIndexOf(self, value, start=None):
        """The last index of a value, or -1."""
        for at in range(len(self._items) - 1, -1, -1):
            if same(self._items[at], value):
                return at
        return -1

    def includes(self, value, start=0):
        """Whether the value is in the array."""
        return any(same(item, value) for item in self._items[self._bounds(start, None)[0]:])

    def map(self, function, _this=None):
        """A new array of what the function makes of each value, index and the array."""
        return JsArray.around([of_python(function(item, at, self)) for at, item in enumerate(list(self._items))])

    def filter(self, function, _this=None):
        """A new array of the values that the function is true of."""
        return JsArray.around([item for at, item in enumerate(list(self._items)) if truth(function(item, at, self))])

    def forEach(self, function, _this=None):
        """Calls the function with each value, index and the array."""
        for at, item in enumerate(list(self._items)):
            function(item, at, self)

    def some(self, function, _this=None):
        """Whether the function is true of any value."""
        return any(truth(function(item, at, self)) for at, item in enumerate(list(self._items)))

    def every(self, function, _this=None):
        """Whether the function is true of all values."""
        return all(truth(function(item, at, self)) for at, item in enumerate(list(self._items)))

    def _search(self, function, positions):
        for at in positions:
            if truth(function(self._items[at], at, self)):
                return at
        return -1

    def find(self, function, _this=None):
        """The first value that the function is true of, or undefined."""
        at = self._search(function, range(len(self._items)))
        return None if at < 0 else self._items[at]

    def findIndex(self, function, _this=None):
        """The index of the first value that the function is true of, or -1."""
        return self._search(function, range(len(self._items)))

    def findLast(self, function, _this=None):
        """The last value that the function is true of, or undefined."""
        at = self._search(function, range(len(self._items) - 1, -1, -1))
        return None if at < 0 else self._items[at]

    def findLastIndex(self, function, _this=None):
        """The index of the last value that the function is true of, or -1."""
        return self._search(function, range(len(self._items) - 1, -1, -1))

    def _reduced(self, function, first, positions):
        positions = iter(positions)
        if first:
            result = first[0]
        else:
            at = next(positions, None)
            if at is None:
                raise type_error("Reduce of empty array with no initial value")
            result = self._items[at]
        for at in positions:
            result = of_python(function(result, self._items[at], at, self))
        return result

    def reduce(self, function, *first):
        """What the function makes of all values, from the first one on."""
        return self._reduced(function, first, range(len(self._items)))

    def reduceRight(self, function, *first):
        """What the function makes of all values, from the last one on."""
        return self._reduced(function, first, range(len(self._items) - 1, -1, -1))

    def _flattened(self, depth):
        for item in self._items:
            if depth > 0 and isinstance(item, JsArray):
                yield from item._flattened(depth - 1)
            else:
                yield item

    def flat(self, depth=1):
        """A new array with the values of arrays in it, and not the arrays."""
        return JsArray.around(list(self._flattened(depth)))

    def flatMap(self, function, _this=None):
        """map, and then flat."""
        return self.map(function).flat()

    def toSorted(self, compare=None):
        """A new array in order: that of the texts, or of a function."""
        if compare is None:
            key = to_string
        else:
            key = functools.cmp_to_key(lambda left, right: compare(left, right) or 0)
        known = [item for item in self._items if item is not None]
        known.sort(key=key)
        return JsArray.around(known + [None] * (len(self._items) - len(known)))

    def sort(self, compare=None):
        """Puts the values in order: that of the texts, or of a function."""
        self._items[:] = self.toSorted(compare)._items
        return self

    def toReversed(self):
        """A new array in the opposite order."""
        return JsArray.around(self._items[::-1])

    def toSpliced(self, *args):
        """A new array after splice."""
        made = JsArray.around(list(self._items))
        made.splice(*args)
        return made

    def with_(self, index, value):
        """A new array with another value at that index."""
        made = JsArray.around(list(self._items))
        made._items[index] = of_python(value)
        return made

    def values(self):
        """An iterator over the values."""
        return JsIterator(iter(self._items))

    def entries(self):
        """An iterator over arrays of index and value."""
        return JsIterator(JsArray.around([at, item]) for at, item in enumerate(self._items))


setattr(JsArray.constructor, "from", JsFunction(JsArray.from_, "from"))
JsArray.constructor.from_ = getattr(JsArray.constructor, "from")

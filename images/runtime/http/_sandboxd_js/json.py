"""JavaScript's JSON."""

import json as _json
import math
import re

from .array import JsArray
from .core import (JsBigInt, JsException, JsObject, JsProxy, PlainObject, jsnull, number_text, of_python, own, plain,
                   to_integer, to_string, type_error)

_quote = _json.encoder.encode_basestring
_HALF = re.compile("[\ud800-\udfff]")


def _shown(value):
    if value is None:
        return jsnull
    if type(value) is list:
        return JsArray.around([_shown(item) for item in value])
    return value


def _object(pairs):
    made = PlainObject()
    for key, value in pairs.items():
        if value is None or type(value) is list:
            pairs[key] = _shown(value)
    made.__dict__.update(pairs)
    return made


def _int(text):
    value = int(text)
    return value if -2 ** 53 < value < 2 ** 53 else of_python(float(text))


def _float(text):
    return of_python(float(text))


def _no_constant(text):
    raise ValueError("Unexpected token '%s'" % text[:1])


_decoder = _json.JSONDecoder(object_hook=_object, parse_int=_int, parse_float=_float, parse_constant=_no_constant)


def parse(text, reviver=None):
    """JSON.parse."""
    try:
        value = _shown(_decoder.decode(to_string(text)))
    except RecursionError:
        raise JsException("RangeError", "Maximum call stack size exceeded") from None
    except ValueError as error:
        raise JsException("SyntaxError", "%s is not valid JSON" % str(error)) from None
    return value if reviver is None else _revived(reviver, "", value)


def _revived(reviver, key, value):
    if isinstance(value, JsArray):
        value._items[:] = [_revived(reviver, str(at), item) for at, item in enumerate(value._items)]
    elif isinstance(value, PlainObject):
        for name, item in list(own(value).items()):
            made = _revived(reviver, name, item)
            if made is None:
                value.__dict__.pop(name)
            else:
                value.__dict__[name] = made
    return of_python(reviver(key, value))


def stringify(value, replacer=None, space=None):
    """JSON.stringify; None when the value has no text."""
    if isinstance(space, (int, float)) and not isinstance(space, bool):
        gap = " " * max(0, min(10, to_integer(space)))
    else:
        gap = to_string(space)[:10] if isinstance(space, str) else ""
    return _Writer(replacer, gap).text("", of_python(value), "")


class _Writer:
    """One call of stringify: what replaces values, and how far lines are set in."""

    def __init__(self, replacer, gap):
        self.replace = replacer if callable(replacer) else None
        self.only = None
        if isinstance(replacer, (JsArray, list)):
            self.only = [to_string(name) for name in replacer]
        self.gap = gap
        self.inside = set()

    def text(self, key, value, indent):
        """The text of a value; None when it has none."""
        if isinstance(value, JsObject) or isinstance(value, JsException):
            own_text = getattr(value, "toJSON", None)
            if callable(own_text):
                value = own_text()
        if self.replace is not None:
            value = of_python(self.replace(key, value))
        value = plain(value)
        if value is jsnull:
            return "null"
        if value is None:
            return None
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, str):
            return _quoted(value)
        if isinstance(value, JsBigInt):
            raise type_error("Do not know how to serialize a BigInt")
        if isinstance(value, (int, float)):
            return number_text(value) if math.isfinite(value) else "null"
        if isinstance(value, JsProxy) and value.constructor.name in ("Number", "String", "Boolean"):
            return self.text(key, value.valueOf(), indent)
        if getattr(value, "typeof", None) == "function" or callable(value):
            return None
        if id(value) in self.inside:
            raise type_error("Converting circular structure to JSON")
        self.inside.add(id(value))
        try:
            return self.inner(value, indent)
        finally:
            self.inside.discard(id(value))

    def inner(self, value, indent):
        """The text of an array or of an object."""
        deeper = indent + self.gap
        if isinstance(value, JsArray) or isinstance(value, (list, tuple)):
            items = [self.text(str(at), item, deeper) or "null" for at, item in enumerate(value)]
            return self.joined("[", items, "]", indent, deeper)
        if isinstance(value, dict):
            pairs = [(to_string(of_python(key)), of_python(item)) for key, item in value.items()]
        elif isinstance(value, JsProxy):
            pairs = [(key, self.property(value, key)) for key in value.object_keys()]
        else:
            pairs = []
        if self.only is not None:
            known = dict(pairs)
            pairs = [(key, known[key]) for key in self.only if key in known]
        items = []
        for key, item in pairs:
            text = self.text(key, item, deeper)
            if text is not None:
                items.append("%s:%s%s" % (_quoted(key), " " if self.gap else "", text))
        return self.joined("{", items, "}", indent, deeper)

    @staticmethod
    def property(value, key):
        """A property of an object, of a typed array too."""
        held = getattr(value, "__dict__", {})
        return held[key] if key in held else value[int(key)]

    def joined(self, opening, items, closing, indent, deeper):
        """Items between brackets."""
        if not items:
            return opening + closing
        if not self.gap:
            return opening + ",".join(items) + closing
        return "%s\n%s%s\n%s%s" % (opening, deeper, (",\n" + deeper).join(items), indent, closing)


def _quoted(text):
    if text.isascii():
        return _quote(text)
    if _HALF.search(text):
        # The two halves of a pair are one character.
        text = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")
    return "".join(["\\u%04x" % ord(letter) if "\ud800" <= letter <= "\udfff" else letter for letter in _quote(text)])

"""JavaScript's RegExp, on Python's: an expression is written anew for Python, piece by piece.

What Python's cannot do, such as a look behind of no fixed length, is a SyntaxError.
"""

import re
import warnings

from .core import (JsException, JsIterator, JsObject, PlainObject, js_class, jsnull, new_array, to_string)


_WORD = "A-Za-z0-9_"
_EDGE = "(?<![%s])(?=[%s])|(?<=[%s])(?![%s])" % (_WORD, _WORD, _WORD, _WORD)
_OUTSIDE = {"d": "[0-9]", "D": "[^0-9]", "w": "[%s]" % _WORD, "W": "[^%s]" % _WORD, "b": "(?:%s)" % _EDGE,
            "B": "(?!%s)" % _EDGE, "0": "\\x00"}
_INSIDE = {"d": "0-9", "w": _WORD, "b": "\\x08", "0": "\\x00"}
_COUNT = re.compile(r"\{\d+(?:,\d*)?\}")
_CODE = re.compile(r"u\{([0-9a-fA-F]{1,6})\}|u[0-9a-fA-F]{4}|x[0-9a-fA-F]{2}")


class _Pattern:
    """An expression of JavaScript's on its way to Python's."""

    def __init__(self, source, flags):
        self.source = source
        self.unicode = "u" in flags
        self.flags = flags
        self.at = 0

    def whole(self):
        """The expression as Python writes it."""
        pieces = []
        counted = True
        while self.at < len(self.source):
            letter = self.source[self.at]
            count = _COUNT.match(self.source, self.at) if letter == "{" else None
            if letter in "*+?" or count is not None:
                if counted:
                    raise ValueError("Nothing to repeat")
                text = count.group() if count is not None else letter
                self.at += len(text)
                if self.source[self.at:self.at + 1] == "?":
                    text += "?"
                    self.at += 1
                counted = True
                pieces.append(text)
                continue
            counted = letter in "(|"
            pieces.append(self.piece(letter))
            # A look behind cannot be repeated, and neither can an edge.
            counted = counted or letter in "^$" or pieces[-1] in (_OUTSIDE["b"], _OUTSIDE["B"])
        return "".join(pieces)

    def piece(self, letter):
        """The next piece that is no count."""
        self.at += 1
        if letter == "\\":
            return self.escape(_OUTSIDE)
        if letter == "[":
            return self.letters()
        if letter == ".":
            return "." if "s" in self.flags else "[^\\n\\r\u2028\u2029]"
        if letter == "$":
            return "$" if "m" in self.flags else "\\Z"
        if letter == "(":
            if self.source.startswith("?<", self.at) and self.source[self.at + 2:self.at + 3] not in ("=", "!"):
                self.at += 2
                return "(?P<"
            if self.source.startswith("?", self.at):
                head = re.compile(r"\?(?:[:=!]|<[=!])").match(self.source, self.at)
                if head is None:
                    raise ValueError("Invalid group")
                self.at = head.end()
                return "(" + head.group()
            return "("
        if letter in "{}]":
            if self.unicode:
                raise ValueError("Lone quantifier brackets")
            return "\\" + letter
        return letter if letter in ")|^" else re.escape(letter)

    def escape(self, known):
        """What a backslash begins."""
        letter = self.source[self.at:self.at + 1]
        if not letter:
            raise ValueError("\\ at end of pattern")
        code = _CODE.match(self.source, self.at)
        if code is not None:
            self.at = code.end()
            return "\\U%08x" % int(code.group(1), 16) if code.group(1) else "\\" + code.group()
        if letter == "k" and known is _OUTSIDE:
            name = re.compile(r"k<(\w+)>").match(self.source, self.at)
            if name is not None:
                self.at = name.end()
                return "(?(%s)(?P=%s))" % (name.group(1), name.group(1))
        if letter in "123456789" and known is _OUTSIDE:
            number = re.compile(r"\d+").match(self.source, self.at).group()
            self.at += len(number)
            # A group that has matched nothing matches nothing again.
            return "(?(%s)\\%s)" % (number, number)
        self.at += 1
        if letter in known:
            return known[letter]
        if letter == "c":
            control = self.source[self.at:self.at + 1]
            self.at += 1
            return "\\x%02x" % (ord(control or "@") & 31)
        if letter in "sSnrtfvDW":
            return "\\" + letter
        if self.unicode and letter not in "^$\\.*+?()[]{}|/-":
            raise ValueError("Invalid escape")
        return re.escape(letter)

    def letters(self):
        """A set of letters."""
        pieces = []
        negated = self.source[self.at:self.at + 1] == "^"
        self.at += negated
        while True:
            letter = self.source[self.at:self.at + 1]
            if not letter:
                raise ValueError("Unterminated character class")
            self.at += 1
            if letter == "]":
                break
            if letter == "\\":
                pieces.append(self.escape(_INSIDE))
            else:
                pieces.append(letter if letter == "-" else re.escape(letter))
        if not pieces:
            return "[\\s\\S]" if negated else "(?!)"
        return "[%s%s]" % ("^" if negated else "", "".join(pieces))


@js_class("RegExp")
class RegExp(JsObject):
    """A regular expression."""

    __slots__ = ("_source", "_flags", "_compiled", "lastIndex")

    def __init__(self, source="(?:)", flags=None):
        if isinstance(source, RegExp):
            source, flags = source._source, source._flags if flags is None else flags
        self._source = to_string(source)
        self._flags = "".join(sorted("" if flags is None else to_string(flags)))
        if any(flag not in "dgimsuvy" for flag in self._flags) or len(set(self._flags)) != len(self._flags):
            raise JsException("SyntaxError", "Invalid flags supplied to RegExp constructor '%s'" % self._flags)
        options = 0
        for flag, option in (("i", re.I), ("m", re.M), ("s", re.S)):
            if flag in self._flags:
                options |= option
        try:
            pattern = _Pattern(self._source, self._flags).whole()
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                self._compiled = re.compile(pattern, options)
        except (re.error, OverflowError, RecursionError, ValueError) as error:
            raise JsException("SyntaxError", "Invalid regular expression: /%s/: %s" % (self._source, error)) from None
        self.lastIndex = 0

    @classmethod
    def _js_call(cls, source="(?:)", flags=None):
        return cls(source, flags)

    @property
    def source(self):
        """The expression's text."""
        return self._source

    @property
    def flags(self):
        """The letters that change how it matches."""
        return self._flags

    @property
    def global_(self):
        """Whether a search goes on where the last one has ended."""
        return "g" in self._flags

    @property
    def ignoreCase(self):
        """Whether large and small letters are the same."""
        return "i" in self._flags

    @property
    def multiline(self):
        """Whether ^ and $ match at lines."""
        return "m" in self._flags

    def exec(self, text=None):
        """What is found, as an array with `index`, `input` and `groups`; null when nothing is."""
        text = to_string(text)
        goes_on = "g" in self._flags or "y" in self._flags
        start = self.lastIndex if goes_on else 0
        if start > len(text):
            found = None
        elif "y" in self._flags:
            found = self._compiled.match(text, start)
        else:
            found = self._compiled.search(text, start)
        if found is None:
            if goes_on:
                self.lastIndex = 0
            return jsnull
        if goes_on:
            self.lastIndex = found.end()
        return _match(found, text)

    def test(self, text=None):
        """Whether something is found."""
        return self.exec(text) is not jsnull

    def matchAll(self, text):
        """An iterator over all that is found."""
        text = to_string(text)
        return JsIterator((_match(found, text) for found in self._compiled.finditer(text)), "RegExp String")

    def toString(self):
        """The expression between slashes, and its letters."""
        return "/%s/%s" % (self._source, self._flags)


def _match(found, text):
    made = new_array([found.group(at) for at in range(found.re.groups + 1)])
    groups = None
    if found.re.groupindex:
        groups = PlainObject()
        groups.__dict__.update(found.groupdict())
    made.__dict__.update(index=found.start(), input=text, groups=groups)
    return made

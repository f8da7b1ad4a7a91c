"""wrangler.toml, wrangler.json and wrangler.jsonc, as values that know their lines."""

import datetime
import math
import os
import re
import stat

from . import DeployError

SIZE_MAX = 1 << 20
DEPTH_MAX = 64
VALUES_MAX = 100000
INT_MIN, INT_MAX = -(1 << 63), (1 << 63) - 1

# The order in which wrangler looks, and workerd's own name behind them.
NAMES = ("wrangler.json", "wrangler.jsonc", "wrangler.toml", "config.capnp")


class Document:
    """A configuration: its values, and the line of each by its path, a tuple of keys and indexes."""

    def __init__(self, name, data, lines):
        self.name, self.data, self.lines = name, data, lines

    def line(self, path):
        """The line of a value, or of what it is in, or None."""
        path = tuple(path)
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path)

    def error(self, path, message):
        shown = show_path(path)
        return DeployError("%s: %s" % (shown, message) if shown else message, self.name, self.line(path))


def show_path(path):
    text = ""
    for part in path:
        if isinstance(part, int):
            text += "[%d]" % part
        else:
            text += ("." if text else "") + show(part)
    return text


def show(text, most=80):
    """Somebody's text in a message: one line, printable, cut."""
    text = "".join(c if c.isprintable() else "?" for c in str(text))
    return text if len(text) <= most else text[:most - 3] + "..."


def read_file(top, name, most=SIZE_MAX):
    """The bytes of a regular file of the folder; no link is followed, in no part of its path."""
    parts = name.split("/")
    if name.startswith("/") or any(part in ("", ".", "..") for part in parts):
        raise DeployError("must be a path inside the project's folder, without '..'", name)
    folder = os.open(top, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts[:-1]:
            below = os.open(part, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=folder)
            os.close(folder)
            folder = below
        file = os.open(parts[-1], os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    except (OSError, ValueError) as error:
        if isinstance(error, FileNotFoundError):
            raise DeployError("is not there", name) from None
        if os.path.islink(os.path.join(top, name)):
            raise DeployError("is a link, and links are not followed: put the file in its place", name) from None
        raise DeployError("cannot be read: %s" % (getattr(error, "strerror", None) or error), name) from None
    finally:
        os.close(folder)
    info = os.fstat(file)
    if not stat.S_ISREG(info.st_mode) or info.st_size > most:
        os.close(file)
        raise DeployError("has more than %d bytes" % most if stat.S_ISREG(info.st_mode) else "is not a regular file",
                          name)
    with os.fdopen(file, "rb") as opened:
        return opened.read(most)


def decode(name, data):
    if len(data) > SIZE_MAX:
        raise DeployError("has more than %d bytes" % SIZE_MAX, name)
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[:error.start]
        raise DeployError("is not UTF-8 text", name, before.count(b"\n") + 1,
                          error.start - before.rfind(b"\n")) from None


def find(top):
    """The name of the folder's configuration, and a warning where there are several."""
    there = [name for name in NAMES if os.path.lexists(os.path.join(top, name))]
    if not there:
        raise DeployError("there is no configuration: wrangler.toml, wrangler.json, wrangler.jsonc or config.capnp has "
                          "to be in the folder")
    warnings = []
    if len(there) > 1:
        warnings.append("%s is read, and %s is not: remove what is old" % (there[0], " and ".join(there[1:])))
    return there[0], warnings


def read_wrangler(name, data):
    """Read one of wrangler's files, by the ending of its name."""
    text = decode(name, data)
    return read_toml(name, text) if name.endswith(".toml") else read_json(name, text)


# JSON with comments and trailing commas


class JsonReader:
    """Values as json.loads gives them, and the line of each."""

    SPACE = re.compile(r"[ \t\r\n]+")
    NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,400})(\.[0-9]{1,400})?([eE][+-]?[0-9]{1,5})?")
    PLAIN = re.compile(r'[^"\\\x00-\x1f]+')
    HEX = re.compile(r"[0-9a-fA-F]{4}")
    ESCAPES = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}

    def __init__(self, name, text):
        self.name, self.text, self.at = name, text, 0
        self.lines, self.values = {}, 0
        # The line on which the reader is, and where the counting of lines has come to.
        self.counted, self.line = 0, 1

    def here(self):
        self.line += self.text.count("\n", self.counted, self.at)
        self.counted = self.at
        return self.line

    def error(self, message, at=None):
        at = self.at if at is None else at
        line = self.text.count("\n", 0, at) + 1
        return DeployError(message, self.name, line, at - self.text.rfind("\n", 0, at))

    def skip(self):
        """White space and comments."""
        text = self.text
        while self.at < len(text):
            found = self.SPACE.match(text, self.at)
            if found:
                self.at = found.end()
            elif text.startswith("//", self.at):
                end = text.find("\n", self.at)
                self.at = len(text) if end < 0 else end
            elif text.startswith("/*", self.at):
                end = text.find("*/", self.at + 2)
                if end < 0:
                    raise self.error("the comment that begins here has no end")
                self.at = end + 2
            else:
                return

    def peek(self):
        self.skip()
        return self.text[self.at:self.at + 1]

    def read(self):
        value = self.value((), 0)
        if self.peek():
            raise self.error("there is something behind the end of the document")
        return value

    def value(self, path, depth):
        first = self.peek()
        self.lines[path] = self.here()
        self.values += 1
        if self.values > VALUES_MAX:
            raise self.error("there are more than %d values" % VALUES_MAX)
        if first in ("{", "["):
            if depth >= DEPTH_MAX:
                raise self.error("is nested deeper than %d levels" % DEPTH_MAX)
            return self.object(path, depth + 1) if first == "{" else self.array(path, depth + 1)
        if first == '"':
            return self.string()
        for word, value in (("true", True), ("false", False), ("null", None)):
            if self.text.startswith(word, self.at):
                self.at += len(word)
                return value
        found = self.NUMBER.match(self.text, self.at)
        if found:
            return self.number(found)
        if not first:
            raise self.error("a value is missing, and the file ends")
        raise self.error("a value is missing: %s cannot begin one" % show(repr(first)))

    def number(self, found):
        at, self.at = self.at, found.end()
        value = float(found.group()) if found.group(1) or found.group(2) else int(found.group())
        if isinstance(value, int) and not INT_MIN <= value <= INT_MAX or isinstance(value, float) and math.isinf(value):
            raise self.error("the number is too large", at)
        return value

    def string(self):
        begin = self.at
        self.at += 1
        parts = []
        while True:
            found = self.PLAIN.match(self.text, self.at)
            if found:
                parts.append(found.group())
                self.at = found.end()
            c = self.text[self.at:self.at + 1]
            if c == '"':
                self.at += 1
                text = "".join(parts)
                try:
                    # Two escapes may be the halves of one character.
                    return text.encode("utf-16", "surrogatepass").decode("utf-16")
                except UnicodeDecodeError:
                    raise self.error("the string has half a character (a lone surrogate)", begin) from None
            if c != "\\":
                raise self.error("the string that begins here has no end on its line", begin)
            parts.append(self.escape())

    def escape(self):
        c = self.text[self.at + 1:self.at + 2]
        if c == "u":
            found = self.HEX.match(self.text, self.at + 2)
            if not found:
                raise self.error("\\u needs four hexadecimal digits")
            self.at += 6
            return chr(int(found.group(), 16))
        if c not in self.ESCAPES or not c:
            raise self.error("\\%s is no escape" % show(c))
        self.at += 2
        return self.ESCAPES[c]

    def object(self, path, depth):
        begin = self.at
        self.at += 1
        result = {}
        while True:
            c = self.peek()
            if c == "}":
                self.at += 1
                return result
            if c != '"':
                raise self.error("the object that begins here has no end" if not c else
                                 "a key in quotes is missing", begin if not c else None)
            at, line = self.at, self.here()
            key = self.string()
            if key in result:
                raise self.error("%s is there twice" % show_path(path + (key,)), at)
            if self.peek() != ":":
                raise self.error("':' is missing behind the key %s" % show(key))
            self.at += 1
            result[key] = self.value(path + (key,), depth)
            self.lines[path + (key,)] = line
            self.comma("}", begin)

    def array(self, path, depth):
        begin = self.at
        self.at += 1
        result = []
        while self.peek() != "]":
            result.append(self.value(path + (len(result),), depth))
            self.comma("]", begin)
        self.at += 1
        return result

    def comma(self, end, begin):
        c = self.peek()
        if c == ",":
            self.at += 1
        elif not c:
            raise self.error("what begins here has no end", begin)
        elif c != end:
            raise self.error("',' or '%s' is missing" % end)


def read_json(name, text):
    reader = JsonReader(name, text)
    data = reader.read()
    if not isinstance(data, dict):
        raise DeployError("must be an object: { \"name\": ... }", name, 1)
    return Document(name, data, reader.lines)


# TOML


def read_toml(name, text):
    try:
        import tomllib
    except ImportError:
        import sys
        raise DeployError("is TOML, which only Python 3.11 and later can read, and this image has %d.%d: use a newer "
                          "image, or write the configuration as wrangler.jsonc" % sys.version_info[:2], name) from None
    if nested_deeper(text):
        raise DeployError("is nested deeper than %d levels" % DEPTH_MAX, name)
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        found = re.fullmatch(r"(.*) \(at (?:line ([0-9]+), column ([0-9]+)|end of document)\)", str(error), re.S)
        if not found:
            raise DeployError(show(error, 300), name) from None
        line = int(found.group(2)) if found.group(2) else text.count("\n") + 1
        raise DeployError("is not TOML: %s" % show(found.group(1), 300), name, line,
                          int(found.group(3)) if found.group(3) else None) from None
    except (RecursionError, ValueError, OverflowError) as error:
        # ValueError is for dates and numbers that are none.
        message = "is nested too deeply" if isinstance(error, RecursionError) else show(error, 300)
        raise DeployError("is not TOML: %s" % message, name) from None
    doc = Document(name, data, toml_lines(text))
    plain(doc, data, (), [0])
    return doc


def nested_deeper(text):
    """Whether brackets or the dots of one key could nest deeper than is right; what is in strings counts too."""
    depth = 0
    for c in text:
        if c in "[{":
            depth += 1
            if depth > DEPTH_MAX * 4:
                return True
        elif c in "]}" and depth:
            depth -= 1
    return any(line.count(".") > DEPTH_MAX for line in re.findall(r"(?m)^[^=#\n]*", text))


def plain(doc, value, path, count):
    """Makes of TOML's values those that JSON has too."""
    count[0] += 1
    if count[0] > VALUES_MAX or len(path) > DEPTH_MAX:
        raise doc.error(path, "there are too many values, or they are nested too deeply")
    if isinstance(value, (dict, list)):
        for key in list(value) if isinstance(value, dict) else range(len(value)):
            value[key] = plain(doc, value[key], path + (key,), count)
    elif isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    elif isinstance(value, float) and not math.isfinite(value):
        raise doc.error(path, "must be a finite number")
    elif isinstance(value, int) and not INT_MIN <= value <= INT_MAX:
        raise doc.error(path, "the number is too large")
    return value


TOML_WORD = r"""(?:[A-Za-z0-9_-]+|"[^"\\\n]*"|'[^'\n]*')"""
TOML_KEY = re.compile(r"\s*(%s(?:[ \t]*\.[ \t]*%s)*)\s*(.?)" % (TOML_WORD, TOML_WORD))
TOML_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")


def toml_keys(text):
    return tuple(part.strip("\"'") for part in TOML_PART.findall(text))


def toml_lines(text):
    """Where the keys are: tomllib does not tell, and a message wants the line. What is inside of a value
    has its key's line."""
    lines, table, counts, quote = {}, (), {}, None
    for number, line in enumerate(text.split("\n"), 1):
        if len(line) > 10000:
            continue
        if quote:
            if line.count(quote) % 2:
                quote = None
            continue
        for mark in ('"""', "'''"):
            if line.count(mark) % 2:
                quote = mark
        head = line.strip()
        if head.startswith("["):
            double = head.startswith("[[")
            found = TOML_KEY.match(head[2 if double else 1:])
            if not found or found.group(2) != "]":
                continue
            path = ()
            for key in toml_keys(found.group(1)):
                path += (key,)
                if path in counts:
                    path += (counts[path] - 1,)
            if double:
                if path and isinstance(path[-1], int):
                    path = path[:-1]
                counts[path] = counts.get(path, 0) + 1
                lines.setdefault(path, number)
                path += (counts[path] - 1,)
            table = path
            lines.setdefault(table, number)
            continue
        found = TOML_KEY.match(line)
        if found and found.group(2) == "=":
            lines.setdefault(table + toml_keys(found.group(1)), number)
    return lines

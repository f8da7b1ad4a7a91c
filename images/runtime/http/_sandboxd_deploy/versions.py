"""Versions, specifiers, requirements and markers, as packaging's standards (PEP 440 and PEP 508) have them."""

import os
import platform
import re
import sys

from . import DeployError
from .read import show

TEXT_MAX = 1000
VERSION_MAX = 128
DEPTH_MAX = 32

VERSION = re.compile(r"""
    v?(?:(?P<epoch>[0-9]+)!)?(?P<release>[0-9]+(?:\.[0-9]+)*)
    (?:[-_.]?(?P<pre>alpha|beta|preview|pre|rc|a|b|c)(?:[-_.]?(?P<pre_n>[0-9]+))?)?
    (?:-(?P<post_n1>[0-9]+)|(?P<post>[-_.]?(?:post|rev|r)(?:[-_.]?(?P<post_n2>[0-9]+))?))?
    (?P<dev>[-_.]?dev(?:[-_.]?(?P<dev_n>[0-9]+))?)?
    (?:\+(?P<local>[a-z0-9]+(?:[-_.][a-z0-9]+)*))?
    """, re.X)
PRE = {"alpha": "a", "a": "a", "beta": "b", "b": "b", "c": "rc", "rc": "rc", "pre": "rc", "preview": "rc"}
FIRST, LAST = (-1,), (1,)


class Version:
    """A version; key orders versions."""

    def __init__(self, text):
        found = VERSION.fullmatch(text.strip().lower()) if len(text) <= VERSION_MAX else None
        if not found:
            raise DeployError("%s: is no version" % show(repr(text)))
        self.text = text.strip()
        self.epoch = int(found.group("epoch") or 0)
        self.release = tuple(int(part) for part in found.group("release").split("."))
        self.pre = (PRE[found.group("pre")], int(found.group("pre_n") or 0)) if found.group("pre") else None
        self.post = int(found.group("post_n1") or found.group("post_n2") or 0) \
            if found.group("post_n1") or found.group("post") else None
        self.dev = int(found.group("dev_n") or 0) if found.group("dev") else None
        self.local = tuple(re.split(r"[-_.]", found.group("local"))) if found.group("local") else None
        release = self.release
        while len(release) > 1 and release[-1] == 0:
            release = release[:-1]
        # 1.dev1 is before 1a1, which is before 1, which is before 1.post1.
        pre = (0,) + self.pre if self.pre else FIRST if self.dev is not None and self.post is None else LAST
        post = (0, self.post) if self.post is not None else FIRST
        dev = (0, self.dev) if self.dev is not None else LAST
        self.public = (self.epoch, release, pre, post, dev)
        local = tuple((1, int(part), "") if part.isdigit() else (0, 0, part) for part in self.local or ())
        self.key = self.public + ((0,) + local if self.local else FIRST,)

    def __eq__(self, other):
        return self.key == other.key

    def __lt__(self, other):
        return self.key < other.key

    def __hash__(self):
        return hash(self.key)

    @property
    def base(self):
        return self.public[:2]


def try_version(text):
    """A Version, or None where the text is none."""
    try:
        return Version(text)
    except DeployError:
        return None


SPECIFIER = re.compile(r"\s*(===|~=|==|!=|<=|>=|<|>)\s*([^\s,;)]+)\s*")


def one_fits(operator, wanted, version, text):
    """Does a version fit one clause?"""
    if operator == "===":
        return text.lower() == wanted.lower()
    if wanted.endswith(".*"):
        prefix = Version(wanted[:-2])
        release = version.release + (0,) * (len(prefix.release) - len(version.release))
        fits = version.epoch == prefix.epoch and release[:len(prefix.release)] == prefix.release
        return fits == (operator == "==")
    other = Version(wanted)
    # A clause without a local part means versions with any.
    mine = version.key if other.local else version.public
    theirs = other.key if other.local else other.public
    if operator in ("==", "!="):
        return (mine == theirs) == (operator == "==")
    if operator == "~=":
        prefix = other.release[:-1]
        release = version.release + (0,) * (len(prefix) - len(version.release))
        return version.public >= other.public and version.epoch == other.epoch and release[:len(prefix)] == prefix
    if operator in ("<=", ">="):
        return version.public <= other.public if operator == "<=" else version.public >= other.public
    if operator == "<":
        # Before a version is no pre-release of it, unless it is one itself.
        before = version.base == other.base and not other.pre and other.dev is None and (
            version.dev is not None and version.pre is None and version.post == other.post if other.post is not None
            else version.pre is not None or version.dev is not None)
        return version.public < other.public and not before
    # Behind a version is no post-release of it, unless it is one itself, and none with a local part.
    behind = version.post is not None and other.post is None and other.dev is None and version.base == other.base \
        and version.pre == other.pre
    return version.public > other.public and not behind


class Specifier:
    """Clauses, of which all have to fit."""

    def __init__(self, text):
        self.text, self.clauses, at = text.strip(), [], 0
        if not self.text:
            return
        while True:
            found = SPECIFIER.match(self.text, at)
            if not found:
                raise DeployError("%s: a version is named as in >=1.2,<2" % show(repr(self.text)))
            operator, wanted = found.groups()
            if operator != "===":
                star = wanted.endswith(".*") and operator in ("==", "!=")
                if not try_version(wanted[:-2] if star else wanted):
                    raise DeployError("%s: %s is no version" % (show(repr(self.text)), show(wanted)))
                if operator == "~=" and len(Version(wanted).release) < 2:
                    raise DeployError("%s: ~= needs a version of two numbers, as in ~=1.2" % show(repr(self.text)))
            self.clauses.append((operator, wanted))
            at = found.end()
            if at == len(self.text):
                return
            if self.text[at] != ",":
                raise DeployError("%s: a ',' is missing between two clauses" % show(repr(self.text)))
            at += 1

    def fits(self, text):
        version = try_version(text)
        if version is None:
            return all(operator == "===" and text.lower() == wanted.lower() for operator, wanted in self.clauses)
        return all(one_fits(operator, wanted, version, text) for operator, wanted in self.clauses)


# Markers


def environment():
    """What markers ask about."""
    info = sys.implementation.version
    version = "%d.%d.%d" % info[:3]
    if info.releaselevel != "final":
        version += info.releaselevel[0] + str(info.serial)
    return {"os_name": os.name, "sys_platform": sys.platform, "platform_machine": platform.machine(),
            "platform_python_implementation": platform.python_implementation(), "platform_release": platform.release(),
            "platform_system": platform.system(), "platform_version": platform.version(),
            "python_version": "%d.%d" % sys.version_info[:2], "python_full_version": platform.python_version(),
            "implementation_name": sys.implementation.name, "implementation_version": version, "extra": ""}


class Marker:
    """What stands behind ';': whether a requirement holds here."""

    TOKEN = re.compile(r"""\s*(?:(?P<op>===|~=|==|!=|<=|>=|<|>|\(|\))|(?P<text>"[^"]*"|'[^']*')"""
                       r"|(?P<word>[A-Za-z_][A-Za-z0-9_.]*))")
    OLD = {"os.name": "os_name", "sys.platform": "sys_platform", "platform.version": "platform_version",
           "platform.machine": "platform_machine", "platform.python_implementation": "platform_python_implementation",
           "python_implementation": "platform_python_implementation"}

    def __init__(self, text):
        self.text, self.tokens, at = text.strip(), [], 0
        while at < len(self.text):
            found = self.TOKEN.match(self.text, at)
            if not found:
                raise self.error("%s is not possible there" % show(repr(self.text[at])))
            self.tokens.append((found.lastgroup, found.group(found.lastgroup)))
            at = found.end()
        self.at = 0
        self.tree = self.either(0)
        if self.at != len(self.tokens):
            raise self.error("%s is too much" % show(repr(self.tokens[self.at][1])))

    def error(self, message):
        return DeployError("%s: is no marker: %s" % (show(repr(self.text)), message))

    def peek(self):
        return self.tokens[self.at] if self.at < len(self.tokens) else (None, "the end")

    def take(self):
        token = self.peek()
        self.at += 1
        return token

    def either(self, depth):
        trees = [self.both(depth)]
        while self.peek() == ("word", "or"):
            self.take()
            trees.append(self.both(depth))
        return ("or", trees)

    def both(self, depth):
        trees = [self.clause(depth)]
        while self.peek() == ("word", "and"):
            self.take()
            trees.append(self.clause(depth))
        return ("and", trees)

    def clause(self, depth):
        if depth > DEPTH_MAX:
            raise self.error("its brackets nest deeper than %d levels" % DEPTH_MAX)
        if self.peek() == ("op", "("):
            self.take()
            tree = self.either(depth + 1)
            if self.take() != ("op", ")"):
                raise self.error("')' is missing")
            return tree
        left, (kind, operator) = self.operand(), self.take()
        if (kind, operator) == ("word", "not") and self.take() == ("word", "in"):
            operator = "not in"
        elif (kind, operator) != ("word", "in") and (kind != "op" or operator in "()"):
            raise self.error("a comparison is missing before %s" % show(repr(operator)))
        right = self.operand()
        if left[0] == right[0]:
            raise self.error("a variable is compared with a text in quotes")
        return ("compare", (left, operator, right))

    def operand(self):
        kind, value = self.take()
        if kind == "text":
            return ("text", value[1:-1])
        name = self.OLD.get(value, value)
        if kind != "word" or name not in ENVIRONMENT:
            raise self.error("%s is neither a variable nor a text in quotes" % show(repr(value)))
        return ("variable", name)

    def holds(self, env):
        return self.evaluate(self.tree, env)

    def evaluate(self, tree, env):
        kind, inner = tree
        if kind == "or":
            return any(self.evaluate(part, env) for part in inner)
        if kind == "and":
            return all(self.evaluate(part, env) for part in inner)
        left, operator, right = inner
        name = left[1] if left[0] == "variable" else right[1]
        left, right = (env[side[1]] if side[0] == "variable" else side[1] for side in (left, right))
        if name == "extra":
            left, right = canonical(left), canonical(right)
        if operator in ("in", "not in"):
            return (left in right) == (operator == "in")
        if name in ("python_version", "python_full_version", "implementation_version") and operator != "===":
            star = right.endswith(".*") and operator in ("==", "!=")
            wanted = try_version(right[:-2] if star else right)
            if wanted and try_version(left) and (operator != "~=" or len(wanted.release) > 1):
                return one_fits(operator, right, Version(left), left)
        if operator in ("==", "==="):
            return left == right
        return {"!=": left != right, "<": left < right, ">": left > right, "<=": left <= right, ">=": left >= right,
                "~=": left == right}[operator]


ENVIRONMENT = frozenset(environment())


# Requirements


def canonical(name):
    return re.sub(r"[-_.]+", "-", name).lower()


REQUIREMENT = re.compile(r"\s*([A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)\s*(?:\[([^\[\]]*)\])?\s*(.*)\Z", re.S)
EXTRA = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?\Z")


class Requirement:
    """name[extras]>=1,<2 ; marker, or name @ url."""

    def __init__(self, text):
        self.text = text.strip()
        if len(text) > TEXT_MAX or not text.isprintable():
            raise DeployError("%s: a requirement is one line of at most %d characters" % (show(repr(text)), TEXT_MAX))
        found = REQUIREMENT.match(text)
        if not found or len(found.group(1)) > 100:
            raise DeployError("%s: a requirement begins with a project's name, as in fastapi>=0.110" % show(repr(text)))
        self.name, extras, rest = found.groups()
        self.key, self.url, self.marker = canonical(self.name), None, None
        self.extras = [extra.strip() for extra in (extras or "").split(",") if extra.strip()]
        for extra in self.extras:
            if not EXTRA.match(extra):
                raise DeployError("%s: %s is no extra's name" % (show(repr(text)), show(repr(extra))))
        if rest.startswith("@"):
            url, semicolon, marker = re.match(r"@\s*(\S+)(\s*;)?(.*)\Z", rest, re.S).groups() \
                if re.match(r"@\s*\S", rest) else (None, None, None)
            if not url or marker.strip() and not semicolon:
                raise DeployError("%s: a URL is missing behind '@'" % show(repr(text)))
            self.url, rest = url, ""
        else:
            rest, semicolon, marker = rest.partition(";")
        if semicolon and marker.strip():
            self.marker = Marker(marker)
        rest = rest.strip()
        if rest.startswith("(") and rest.endswith(")"):
            rest = rest[1:-1]
        self.specifier = Specifier(rest)

    def holds(self, env, extras=()):
        """Whether the marker holds, with one of these extras, or without any."""
        return self.marker is None or any(self.marker.holds(dict(env, extra=extra)) for extra in list(extras) or [""])


# Tags of wheels


def tag_fits(tag, python, machine):
    """Does a wheel with this tag work in this Python on this machine's Linux?"""
    parts = tag.split("-")
    if len(parts) != 3:
        return False
    major, minor = python
    for interpreter in parts[0].split("."):
        for abi in parts[1].split("."):
            for place in parts[2].split("."):
                if interpreter in ("py%d" % major, "py%d%d" % (major, minor)) and abi == "none":
                    good = True
                elif interpreter == "cp%d%d" % (major, minor):
                    good = abi in (interpreter, "abi3", "none")
                else:
                    found = re.fullmatch(r"(?:cp|py)%d([0-9]+)" % major, interpreter)
                    good = bool(found) and int(found.group(1)) <= minor and (interpreter[:2], abi) in (
                        ("cp", "abi3"), ("py", "none"))
                if good and (place == "any" or re.fullmatch(r"(?:linux|manylinux(?:1|2010|2014|_[0-9]+_[0-9]+))_%s"
                                                            % re.escape(machine), place)):
                    return True
    return False

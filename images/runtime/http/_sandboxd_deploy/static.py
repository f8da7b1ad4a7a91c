"""What _headers and _redirects say, beside a worker's assets, in the form that the edge reads (supervisor/edge/assets.lua).

    {"redirects": [[from, to, status], ...], "headers": [[pattern, [[name, value], ...], [name, ...]], ...]}

A line that is wrong is left out, and told: as there, it keeps nobody from deploying.
"""

import json
import re

from .read import show

RULES_MAX = 256 << 10       # bytes of the result, of which the edge reads no more
LINE_MAX = 2000
EXACT_MAX, DYNAMIC_MAX, HEADERS_MAX = 2000, 100, 100
STATUSES = (200, 301, 302, 303, 307, 308)
NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+\Z")
# What says how an answer is framed is not the user's to say.
FRAMING = frozenset(("connection", "content-length", "content-range", "keep-alive", "te", "trailer",
                     "transfer-encoding", "upgrade"))


class Wrong(Exception):
    """A line that is left out, and why."""


def pattern_of(text):
    """A pattern that the edge can match in one pass: at most one *, behind which nothing has a name, and names
    that stand for the rest of a step."""
    if text.startswith("http://"):
        raise Wrong("a pattern with a host begins with https://, and means http:// too")
    path = text
    if text.startswith("https://"):
        host, slash, rest = text[8:].partition("/")
        if not host or "*" in host or ":" in host:
            raise Wrong("the host must be a plain one")
        path = slash + rest
    if not path.startswith("/"):
        raise Wrong("a path begins with /")
    if path.count("*") > 1:
        raise Wrong("a pattern has one * at most")
    for found in re.finditer(r":[A-Za-z]\w*", path):
        if path[found.end():found.end() + 1] not in ("", "/"):
            raise Wrong("%s must be followed by / or by nothing" % found.group())
        if "*" in path[:found.start()]:
            raise Wrong("%s stands behind *, where nothing can have a name" % found.group())
    return text


def names_in(pattern):
    path = pattern[8:] if pattern.startswith("https://") else pattern
    return re.findall(r"\*|:[A-Za-z]\w*", path)


def lines_of(name, text, warnings):
    """(number, line) of those that say something."""
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if len(line) > LINE_MAX or any(ord(c) < 32 and c != "\t" or c == "\x7f" for c in line):
            warnings.append("%s:%d: is left out: it has more than %d characters, or a control character"
                            % (name, number, LINE_MAX))
            continue
        yield number, line


def read_redirects(name, text, warnings):
    result, seen, exact, dynamic = [], set(), 0, 0
    for number, line in lines_of(name, text, warnings):
        words = re.sub(r"\s#.*", "", line).split()
        try:
            if len(words) not in (2, 3):
                raise Wrong("a line has a path, where that leads to, and perhaps a status")
            source, to = pattern_of(words[0]), words[1]
            if len(words) == 3 and not re.fullmatch(r"[0-9]{3}", words[2]) or \
                    (status := int(words[2]) if len(words) == 3 else 302) not in STATUSES:
                raise Wrong("the status %s is none of %s" % (words[2], ", ".join(map(str, STATUSES))))
            if not re.match(r"/|https?://[^/]", to):
                raise Wrong("%s is neither a path nor a URL" % show(to))
            if status == 200 and not to.startswith("/"):
                raise Wrong("with 200, it must lead to a path")
            if source in seen:
                raise Wrong("%s is there twice" % show(source))
            if names_in(source):
                dynamic += 1
                if dynamic > DYNAMIC_MAX:
                    raise Wrong("there are more than %d lines with * or names" % DYNAMIC_MAX)
            else:
                exact += 1
                if exact > EXACT_MAX:
                    raise Wrong("there are more than %d lines" % EXACT_MAX)
        except Wrong as wrong:
            warnings.append("%s:%d: is left out: %s" % (name, number, wrong))
            continue
        seen.add(source)
        result.append([source, to, status])
    return result


def read_headers(name, text, warnings):
    result = []
    here = None
    for number, line in lines_of(name, text, warnings):
        try:
            if line[0] not in " \t":
                here = None
                if len(result) >= HEADERS_MAX:
                    raise Wrong("there are more than %d patterns" % HEADERS_MAX)
                here = [pattern_of(line.strip()), [], []]
                result.append(here)
                continue
            if here is None:
                raise Wrong("there is no pattern before it")
            line = line.strip()
            if line.startswith("! "):
                field, value = line[2:].strip(), None
            else:
                field, colon, value = line.partition(":")
                field, value = field.strip(), value.strip()
                if not colon or not value:
                    raise Wrong("it is none of \"Name: value\" and \"! Name\"")
            if not NAME.match(field) or field.lower() in FRAMING or field.lower().startswith("x-sandboxd-"):
                raise Wrong("%s is no field that can be changed" % show(repr(field)))
            here[2].append(field) if value is None else here[1].append([field, value])
        except Wrong as wrong:
            warnings.append("%s:%d: is left out: %s" % (name, number, wrong))
    return [each for each in result if each[1] or each[2]]


def rules(headers, redirects, warnings):
    """The rules as bytes of JSON. headers, redirects: (name, text), or None where there is no such file."""
    made = {"redirects": read_redirects(*redirects, warnings) if redirects else [],
            "headers": read_headers(*headers, warnings) if headers else []}
    data = json.dumps(made, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    if len(data) > RULES_MAX:
        warnings.append("_headers and _redirects together say more than %d bytes: they are left out" % RULES_MAX)
        data = b"{}"
    return data

"""A worker's assets where no edge stands before the instance: in `dev` and `serve`, by the rules of
supervisor/edge/assets.lua.

Both are held to what miniflare answers (tests/assets).
"""

import json
import os
import re
from mimetypes import types_map
from urllib.parse import quote, unquote_to_bytes

from _sandboxd_js import received

from .message import url_of

# What the types that Python knows by itself lack, or have otherwise.
TYPES = {".js": "text/javascript", ".mjs": "text/javascript", ".ico": "image/vnd.microsoft.icon", ".map": "application/json",
         ".md": "text/markdown", ".webmanifest": "application/manifest+json", ".wasm": "application/wasm",
         ".woff": "font/woff", ".woff2": "font/woff2", ".ttf": "font/ttf", ".otf": "font/otf", ".webp": "image/webp",
         ".avif": "image/avif", ".xml": "text/xml", ".yaml": "text/yaml", ".yml": "text/yaml"}
SHAPES = ("/index.html", "/index", ".html", "/")
# By how HTML files are handled, and by the end of the path: the file that is meant and where it has its address, each
# behind the path without that end. None: the file of this very path comes before those that follow.
PAGE_SLASH, PAGE = ("/index.html", "/"), ("/index.html", "")
FILE_SLASH, FILE = (".html", "/"), (".html", "")
MOVED = {
    "auto-trailing-slash": {
        "/index.html": (PAGE_SLASH, FILE), "/index": (None, PAGE_SLASH, FILE), ".html": (FILE, PAGE_SLASH),
        "/": (None, FILE), "": (None, PAGE_SLASH)},
    "force-trailing-slash": {
        "/index.html": (PAGE_SLASH, FILE_SLASH), "/index": (None, PAGE_SLASH, FILE_SLASH),
        ".html": (FILE_SLASH, None, PAGE_SLASH), "/": (), "": (None, FILE_SLASH, PAGE_SLASH)},
    "drop-trailing-slash": {
        "/index.html": (PAGE, None, FILE), "/index": (None, FILE, PAGE), ".html": (FILE, PAGE), "/": (FILE, PAGE),
        "": (None,)},
}
NAME = re.compile(r":([A-Za-z]\w*)")


def decode(path):
    """Step by step; one that is not encoded as it should be stays as it is."""
    steps = [unquote_to_bytes(step) if re.fullmatch(r"(?:[^%]|%[0-9A-Fa-f]{2})*", step) else step.encode()
             for step in path.split("/")]
    return re.sub("/+", "/", b"/".join(steps).decode("utf-8", "surrogateescape"))


def encode(path):
    return quote(path.encode("utf-8", "surrogateescape"), safe="/-_.!~*'()")


def fits(pattern, text):
    """Whether a pattern, in which * stands for anything, fits the whole of a text."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text, re.DOTALL) is not None


def parts_of(pattern, text):
    """The parts of a rule's pattern that have names, as they are in a text; None: it does not fit."""
    made = "".join("(?P<splat>.*)" if each == "*" else "(?P<%s>[^/]+)" % each[1:] if NAME.fullmatch(each) else
                   re.escape(each) for each in re.split(r"(\*|:[A-Za-z]\w*)", pattern))
    try:
        found = re.fullmatch(made, text, re.DOTALL)
    except re.error:        # a name that is there twice
        return None
    return found.groupdict() if found else None


def filled(text, parts):
    return NAME.sub(lambda found: parts.get(found.group(1), found.group()), text)


class Answer:
    """What answers: a file or a location with a status, or the status alone."""

    def __init__(self, status, file=None, location=None):
        self.status, self.file, self.location = status, file, location


class Assets:
    """The assets of a version. config: as in its manifest."""

    def __init__(self, root, config, flags=()):
        folder = os.path.join(root, config["directory"])
        self.files = os.path.join(folder, "files")
        self.html = config.get("html_handling") or "auto-trailing-slash"
        self.missing = config.get("not_found_handling") or "none"
        self.first = config.get("run_worker_first") or False
        self.only = bool(config.get("only"))
        self.navigate = "assets_navigation_prefers_asset_serving" in flags and self.missing != "none"
        try:
            with open(os.path.join(folder, "rules.json"), encoding="utf-8") as rules:
                rules = json.load(rules)
        except (OSError, ValueError):
            rules = {}
        self.redirects = rules.get("redirects", [])
        self.headers = rules.get("headers", [])

    def has(self, path):
        return path.startswith("/") and not path.endswith("/") and "//" not in path and "\0" not in path and \
            not {".", ".."} & set(path.split("/")) and os.path.isfile(self.files + path)

    # Files

    def at_address(self, path):
        """The file that is at an address itself, or None."""
        names = ()
        slash = path.endswith("/")
        if self.html == "auto-trailing-slash":
            names = (path + "index.html",) if slash else (path + ".html",)
        elif self.html == "force-trailing-slash":
            names = (path + "index.html", path[:-1] + ".html") if slash else ()
        elif self.html == "drop-trailing-slash":
            names = ("/index.html",) if path == "/" else (path + ".html", path + "/index.html")
        return next((name for name in (path,) + names if self.has(name)), None)

    def look(self, path, shape, stem):
        """(the file of the path or None, the address that it has or None)."""
        for one in MOVED[self.html][shape]:
            if one is None:
                file = self.at_address(path)
                if file and (file == path or shape in ("", "/")):
                    return file, None
            elif stem or one[0] != ".html":     # the root is the address of its own page alone
                file, address = stem + one[0], stem + one[1] or "/"
                if address != path and not self.has(address) and self.has(file) and self.at_address(address) == file:
                    return None, address
        return None, None

    def find(self, path):
        if self.html not in MOVED:
            return self.at_address(path), None
        shape = next((each for each in SHAPES if path.endswith(each)), "")
        stem = path[:len(path) - len(shape)]
        file, moved = self.look(path, shape, stem)
        if not file and not moved:
            file = self.at_address(path)
        # It may be the name of a folder all the same.
        if not file and not moved and shape not in ("", "/"):
            file, moved = self.look(path, "", path)
        return file, moved

    def instead(self, path):
        """What answers where there is no such file: (file, status)."""
        if self.missing == "single-page-application" and self.has("/index.html"):
            return "/index.html", 200
        while self.missing == "404-page" and path:
            path = path.rpartition("/")[0]
            if self.has(path + "/404.html"):
                return path + "/404.html", 404
        return None, 0

    # Rules

    @staticmethod
    def subject(pattern, host, path):
        return "https://" + host + path if pattern.startswith("https://") else path

    def redirect(self, host, path, query):
        """(status, target) of _redirects, or None."""
        exact = {}
        for source, to, status in self.redirects:
            if not re.search("[*:]", source[6:] if source.startswith("https://") else source):
                exact.setdefault(source, (to, status))
        found, parts = exact.get("https://" + host + path) or exact.get(path), {}
        for source, to, status in () if found else self.redirects:
            parts = None if source in exact else parts_of(source, self.subject(source, host, path))
            if parts is not None:
                found = to, status
                break
        if not found:
            return None
        to, status = filled(found[0], parts), found[1]
        if not re.match(r"\w+://", to):
            to = re.sub("/+", "/", to)
        if status != 200 and query and "?" not in to:
            before, mark, after = to.partition("#")
            to = before + query + mark + after
        return status, to

    def change(self, host, path, fields):
        """Change the fields of an answer, pairs of lower names and values, as _headers says."""
        seen = set()
        for pattern, sets, unsets in self.headers:
            parts = parts_of(pattern, self.subject(pattern, host, path))
            if parts is None:
                continue
            for name in unsets:
                fields[:] = [each for each in fields if each[0] != name.lower()]
                seen.discard(name.lower())
            for name, value in sets:
                if name.lower() not in seen:
                    fields[:] = [each for each in fields if each[0] != name.lower()]
                    seen.add(name.lower())
                fields.append((name.lower(), filled(value, parts)))

    # Answers

    def answer(self, host, raw, query, keep_missing):
        """What answers a path of a URL, as it is there; None: no asset does."""
        rule = self.redirect(host, raw, query)
        if rule and rule[0] != 200:
            return Answer(rule[0], location=rule[1])
        if rule:
            raw = re.match(r"(?:\w+://[^/?#]*)?([^?#]*)", rule[1]).group(1)
        path = decode(raw)
        status = 200
        file, moved = self.find(path)
        if not file and not moved and keep_missing:
            file, status = self.instead(path)
        if file and encode(path) != raw:
            moved = path    # each file has one address, in the usual encoding
        if moved:
            return Answer(307, location=encode(moved) + query)
        if file:
            return Answer(status, file)
        return Answer(404) if rule else None

    def worker_first(self, path):
        """(whether the worker is asked before the assets, whether a pattern has said that assets answer)."""
        first = self.first is True
        for pattern in self.first if isinstance(self.first, list) else ():
            if pattern.startswith("!") and fits(pattern[1:], path):
                return False, True
            first = first or fits(pattern, path)
        return first, False

    def outside(self, method, host, path, query, navigates):
        """What answers a request of the world; None: the worker does."""
        read = method in ("GET", "HEAD")
        first, named = self.worker_first(path)
        if not self.only and (not read or first):
            return None
        keep = self.only or isinstance(self.first, list) or self.navigate and navigates
        answer = self.answer(host, path, query, keep)
        if answer is not None and not read and answer.file:
            return Answer(405)
        return answer if answer is not None or not (self.only or named) else Answer(404)

    def whole(self, answer, host, path):
        """(status, pairs of lower names and values, body) of an answer."""
        fields, body = [], b""
        if answer.file:
            with open(self.files + answer.file, "rb") as file:
                body = file.read()
            end = os.path.splitext(answer.file)[1].lower()
            kind = TYPES.get(end) or types_map.get(end)
            if kind:
                fields.append(("content-type", kind + "; charset=utf-8" if kind.startswith("text/") else kind))
            fields.append(("cache-control", "public, max-age=0, must-revalidate"))
        elif answer.location:
            fields.append(("location", answer.location))
        elif answer.status == 405:
            fields.append(("allow", "GET, HEAD"))
        self.change(host, path, fields)
        return answer.status, fields, body

    # Requests

    def takes(self, exchange):
        """Answer by an asset, as the edge does before a worker that is deployed; False: none does."""
        host, path, query = split(url_of(exchange))
        navigates = exchange.header(b"sec-fetch-mode") == b"navigate"
        answer = self.outside(exchange.method, host, path, query, navigates)
        if answer is None:
            return False
        status, fields, body = self.whole(answer, host, path)
        exchange.respond(status, encoded(fields), body)
        return True

    def fetch(self, request):
        """What the binding of the assets answers."""
        host, path, query = split(request.url)
        answer = Answer(405)
        if request.method in ("GET", "HEAD"):
            answer = self.answer(host, path, query, True) or Answer(404)
        status, fields, body = self.whole(answer, host, path)
        return received(status, encoded(fields), b"" if request.method == "HEAD" else body, request.url, False, None)


def encoded(fields):
    return [(name.encode(), value.encode("latin-1", "replace")) for name, value in fields]


def split(url):
    """(host without a port, path, query with its ?) of a URL that is normalised."""
    rest = url.partition("://")[2].partition("#")[0]
    rest, mark, query = rest.partition("?")
    host, _, path = rest.partition("/")
    return re.sub(r":[0-9]+\Z", "", host), "/" + path, mark + query if query else ""

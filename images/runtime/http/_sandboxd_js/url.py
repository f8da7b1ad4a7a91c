"""URL and URLSearchParams, as the URL standard has them."""

import re
from urllib.parse import quote, unquote_to_bytes

from .core import JsIterator, JsObject, JsProxy, iterate, js_class, new_array, own, plain, to_string, type_error

DEFAULT_PORTS = {"http": "80", "https": "443", "ws": "80", "wss": "443", "ftp": "21"}
_SPECIAL = frozenset(DEFAULT_PORTS) | {"file"}
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*:")
# What is an address already, letter for letter: most that come in are.
_PLAIN = re.compile(r"(https?)://([a-z0-9\-]+(?:\.[a-z0-9\-]+)*)(?::([1-9][0-9]{0,4}))?"
                    r"(/[A-Za-z0-9_~!$&()*+,;=:@%/\-.]*)?(\?[A-Za-z0-9_~!$&()*+,;=:@%/?\-.]*)?"
                    r"(#[A-Za-z0-9_~!$&()*+,;=:@%/?\-.]*)?\Z")
_KEEP_PATH = "!$%&'()*+,-./:;=@[]_|~"
_KEEP_OPAQUE = _KEEP_PATH + " \"#<>?`{}\\^"
_KEEP_QUERY = "!$%&()*+,-./:;=?@[\\]^_`{|}~"
_KEEP_FRAGMENT = "!#$%&'()*+,-./:;=?@[\\]^_{|}~"
_KEEP_USER = "!$%&'()*+,-._~"
_BAD_HOST = re.compile(r"[\x00-\x20#%/:<>?@\[\\\]^|\x7f]")


def _encoded(text, keep):
    if text.isascii() and text.isalnum():
        return text
    from .binary import utf8

    return quote(utf8(text), safe=keep)


class ParseError(ValueError):
    """A text is no URL."""


class Parts:
    """A URL in its parts; opaque when its path is no path, as in mailto:."""

    __slots__ = ("scheme", "user", "password", "host", "port", "path", "query", "fragment", "opaque")

    def __init__(self, scheme="", user="", password="", host=None, port="", path="", query=None, fragment=None,
                 opaque=False):
        self.scheme, self.user, self.password, self.host = scheme, user, password, host
        self.port, self.path, self.query, self.fragment, self.opaque = port, path, query, fragment, opaque

    def copy(self):
        """The same parts once more."""
        return Parts(*[getattr(self, name) for name in self.__slots__])

    def text(self, fragment=True):
        """The URL as one text."""
        pieces = [self.scheme, ":"]
        if self.host is not None:
            pieces.append("//")
            if self.user or self.password:
                pieces += [self.user, ":" + self.password if self.password else "", "@"]
            pieces.append(self.host)
            if self.port:
                pieces += [":", self.port]
        elif not self.opaque and self.path.startswith("//"):
            pieces.append("/.")
        pieces.append(self.path)
        if self.query is not None:
            pieces += ["?", self.query]
        if fragment and self.fragment is not None:
            pieces += ["#", self.fragment]
        return "".join(pieces)


def parse(text, base=None):
    """The parts of a URL, which is read from another one where it is not whole itself."""
    quick = _PLAIN.match(text)
    if quick is not None and "/." not in text and "/%2" not in text:
        scheme, host, port, path, query, fragment = quick.groups()
        if not host.rpartition(".")[2][:1].isdigit() and "xn--" not in host and (not port or int(port) <= 65535):
            if port == DEFAULT_PORTS[scheme]:
                port = ""
            return Parts(scheme, host=host, port=port or "", path=path or "/",
                         query=query and query[1:], fragment=fragment and fragment[1:])
    return _parse(text, base)


def _parse(text, base):
    text = text.strip("".join(map(chr, range(0x21))))
    if "\t" in text or "\n" in text or "\r" in text:
        text = text.replace("\t", "").replace("\n", "").replace("\r", "")
    text, mark, fragment = text.partition("#")
    made = Parts(fragment=_encoded(fragment, _KEEP_FRAGMENT) if mark else None)
    found = _SCHEME.match(text)
    if found is not None:
        made.scheme = found.group()[:-1].lower()
        rest = text[found.end():]
        special = made.scheme in _SPECIAL
        if special and made.scheme != "file" and base is not None and base.scheme == made.scheme \
                and not rest.startswith("//"):
            return _relative(made, rest, base)
        if special and made.scheme != "file":
            return _with_host(made, rest.lstrip("/\\"))
        if made.scheme == "file":
            return _file(made, rest, base if base is not None and base.scheme == "file" else None)
        if rest.startswith("//"):
            return _with_host(made, rest[2:])
        if rest.startswith("/"):
            return _with_path(made, rest)
        path, mark, query = rest.partition("?")
        made.opaque = True
        made.path = _encoded(path, _KEEP_OPAQUE)
        made.query = _encoded(query, _KEEP_QUERY + "'") if mark else None
        return made
    if base is None:
        raise ParseError(text)
    if base.opaque:
        if text:
            raise ParseError(text)
        made.scheme, made.path, made.query, made.opaque = base.scheme, base.path, base.query, True
        return made
    made.scheme = base.scheme
    if base.scheme == "file":
        return _file(made, text, base)
    return _relative(made, text, base)


def _slashes(made, text):
    return text.replace("\\", "/") if made.scheme in _SPECIAL else text


def _cut_query(made, text):
    text, mark, query = text.partition("?")
    if mark:
        made.query = _encoded(query, _KEEP_QUERY if made.scheme in _SPECIAL else _KEEP_QUERY + "'")
    return _slashes(made, text)


def _relative(made, text, base):
    path = _slashes(made, text.partition("?")[0])
    if path.startswith("//"):
        return _with_host(made, text.lstrip("/\\") if made.scheme in _SPECIAL else text[2:])
    made.user, made.password, made.host, made.port = base.user, base.password, base.host, base.port
    if path.startswith("/"):
        return _with_path(made, text)
    path = _cut_query(made, text)
    if not path:
        made.path = base.path
        if made.query is None and "?" not in text:
            made.query = base.query
        return made
    made.path = _dots(made, base.path.rpartition("/")[0] + "/" + path)
    return made


def _with_path(made, text):
    made.path = _dots(made, _cut_query(made, text))
    return made


def _dots(made, path):
    if not path:
        return "/" if made.scheme in _SPECIAL else ""
    whole = _encoded(path, _KEEP_PATH if made.scheme in _SPECIAL else _KEEP_PATH + "\\")
    if "." not in whole and "%2" not in whole and "|" not in whole:
        return whole
    segments, last = [], False
    for segment in whole[1:].split("/") if whole[0] == "/" else whole.split("/"):
        plain_segment = segment.lower().replace("%2e", ".")
        last = plain_segment in (".", "..")
        if plain_segment == "..":
            drive = made.scheme == "file" and len(segments) == 1 and re.match(r"[A-Za-z]:\Z", segments[0])
            if segments and not drive:
                segments.pop()
        elif plain_segment != ".":
            if made.scheme == "file" and not segments and re.match(r"[A-Za-z][|]\Z", segment):
                segment = segment[0] + ":"
            segments.append(segment)
    return "/" + "/".join(segments + [""] if last else segments)


def _file(made, text, base):
    made.host = ""
    path = _slashes(made, text.partition("?")[0])
    if path.startswith("//"):
        return _with_host(made, text[2:])
    if base is not None:
        made.host = base.host
        if not path.startswith("/"):
            if re.match(r"[A-Za-z][:|](/|\Z)", path):
                return _with_path(made, "/" + text)
            return _relative(made, text, base)
    return _with_path(made, text if path.startswith("/") else "/" + text)


def _with_host(made, text):
    special = made.scheme in _SPECIAL
    end = re.search(r"[/\\?]" if special else r"[/?]", text)
    authority, rest = (text[:end.start()], text[end.start():]) if end else (text, "")
    if made.scheme == "file":
        if re.match(r"[A-Za-z][:|]\Z", authority):
            made.host = ""
            return _with_path(made, "/" + authority + rest)
        made.host = "" if not authority else read_host(authority, True)
        if made.host == "localhost":
            made.host = ""
        return _with_path(made, rest)
    user, named, host = authority.rpartition("@")
    if named:
        name, _, word = user.partition(":")
        made.user, made.password = _encoded(name, _KEEP_USER), _encoded(word, _KEEP_USER)
    closing = host.rfind("]")
    colon = host.rfind(":")
    port = ""
    if colon > closing:
        host, port = host[:colon], host[colon + 1:]
    if not host and (special or colon > closing or named):
        raise ParseError(text)
    made.host = read_host(host, special) if host else ""
    made.port = read_port(port, made.scheme)
    return _with_path(made, rest)


def read_port(text, scheme):
    """A port as a URL has it: empty when it is the scheme's own."""
    if not text:
        return ""
    if not (text.isascii() and text.isdigit()) or int(text) > 65535:
        raise ParseError(text)
    port = str(int(text))
    return "" if DEFAULT_PORTS.get(scheme) == port else port


def read_host(text, special):
    """A host as a URL has it: a name, an IPv4 address or an IPv6 address in brackets."""
    if text.startswith("["):
        if not text.endswith("]"):
            raise ParseError(text)
        import ipaddress

        try:
            address = ipaddress.IPv6Address(text[1:-1])
        except ValueError:
            raise ParseError(text) from None
        return "[%s]" % _ipv6(address)
    if not special:
        if re.search(r"[\x00\t\n\r #/:<>?@\[\\\]^|]", text):
            raise ParseError(text)
        return _encoded(text, _KEEP_OPAQUE)
    try:
        name = unquote_to_bytes(text).decode("utf-8")
    except UnicodeDecodeError:
        raise ParseError(text) from None
    if not name.isascii():
        name = _ascii_name(name)
    name = name.lower()
    if not name or _BAD_HOST.search(name):
        raise ParseError(text)
    last = (name[:-1] if name.endswith(".") else name).rpartition(".")[2]
    if last.isdigit() or re.match(r"0x[0-9a-f]*\Z", last):
        return _ipv4(name)
    return name


def _ascii_name(name):
    """A name with letters of other alphabets as names of hosts have them (UTS 46, by which a sharp s stays)."""
    import unicodedata

    name = unicodedata.normalize("NFKC", re.sub("[\u00ad\u200b\u2060\ufeff]", "", name).lower())
    name = re.sub("[\u3002\uff0e\uff61]", ".", name)
    return ".".join([label if label.isascii() else "xn--" + label.encode("punycode").decode("ascii")
                     for label in name.split(".")])


def _ipv6(address):
    groups = [int.from_bytes(address.packed[at:at + 2], "big") for at in range(0, 16, 2)]
    best, at = (0, 0), 0
    while at < 8:
        run = at
        while run < 8 and groups[run] == 0:
            run += 1
        if run - at > max(best[1], 1):
            best = (at, run - at)
        at = max(run, at + 1)
    words = ["%x" % group for group in groups]
    if best[1]:
        return ":".join(words[:best[0]]) + "::" + ":".join(words[best[0] + best[1]:])
    return ":".join(words)


def _ipv4(name):
    parts = name[:-1].split(".") if name.endswith(".") else name.split(".")
    if len(parts) > 4:
        raise ParseError(name)
    numbers = []
    for part in parts:
        try:
            if part.startswith("0x"):
                number = int(part[2:] or "0", 16)
            elif len(part) > 1 and part.startswith("0"):
                number = int(part, 8)
            else:
                number = int(part, 10) if part.isdigit() else -1
        except ValueError:
            raise ParseError(name) from None
        if number < 0:
            raise ParseError(name)
        numbers.append(number)
    if any(number > 255 for number in numbers[:-1]) or numbers[-1] >= 256 ** (5 - len(numbers)):
        raise ParseError(name)
    whole = numbers[-1]
    for at, number in enumerate(numbers[:-1]):
        whole += number * 256 ** (3 - at)
    return ".".join(str(whole >> shift & 255) for shift in (24, 16, 8, 0))


@js_class("URL", "canParse", "parse")
class URL(JsObject):
    """A URL whose parts can be read and set."""

    __slots__ = ("_parts", "_params")

    def __init__(self, url, base=None):
        self._params = None
        try:
            self._parts = parse(to_string(url), parse(to_string(base)) if base is not None else None)
        except ParseError:
            error = type_error("Invalid URL string.")
            error.code = "ERR_INVALID_URL"
            error.input = to_string(url)
            raise error from None

    @staticmethod
    def _static_canParse(url, base=None):
        """Whether the text is a URL."""
        try:
            parse(to_string(url), parse(to_string(base)) if base is not None else None)
        except ParseError:
            return False
        return True

    @staticmethod
    def _static_parse(url, base=None):
        """A URL, or null when the text is none."""
        from .core import jsnull

        return URL(url, base) if URL._static_canParse(url, base) else jsnull

    def toString(self):
        """The URL as one text."""
        return self._parts.text()

    toJSON = toString

    @property
    def href(self):
        """The URL as one text."""
        return self._parts.text()

    @href.setter
    def href(self, text):
        try:
            self._parts = parse(to_string(text))
        except ParseError:
            raise type_error("Invalid URL") from None
        self._refresh()

    @property
    def origin(self):
        """Scheme, host and port, or "null" where a scheme has none."""
        parts = self._parts
        if parts.scheme in DEFAULT_PORTS:
            return "%s://%s" % (parts.scheme, self.host)
        return "null"

    @property
    def protocol(self):
        """The scheme, with a colon."""
        return self._parts.scheme + ":"

    @protocol.setter
    def protocol(self, text):
        scheme = to_string(text).partition(":")[0].lower()
        if _SCHEME.match(scheme + ":") and (scheme in _SPECIAL) == (self._parts.scheme in _SPECIAL):
            self._parts.scheme = scheme
            if DEFAULT_PORTS.get(scheme) == self._parts.port:
                self._parts.port = ""

    @property
    def username(self):
        """The name of the user."""
        return self._parts.user

    @username.setter
    def username(self, text):
        if self._parts.host:
            self._parts.user = _encoded(to_string(text), _KEEP_USER)

    @property
    def password(self):
        """The password of the user."""
        return self._parts.password

    @password.setter
    def password(self, text):
        if self._parts.host:
            self._parts.password = _encoded(to_string(text), _KEEP_USER)

    @property
    def host(self):
        """The host, and the port where it is not the scheme's own."""
        parts = self._parts
        return "%s:%s" % (parts.host, parts.port) if parts.port else parts.host or ""

    @host.setter
    def host(self, text):
        if self._parts.opaque:
            return
        host, mark, port = re.split(r"[/?#\\]", to_string(text))[0].rpartition(":")
        if not mark or host.count(":") and not host.endswith("]"):
            host, port = to_string(text), ""
        self.hostname = host
        if port:
            self.port = port

    @property
    def hostname(self):
        """The host."""
        return self._parts.host or ""

    @hostname.setter
    def hostname(self, text):
        if self._parts.opaque:
            return
        try:
            self._parts.host = read_host(re.split(r"[/?#\\]", to_string(text))[0], self._parts.scheme in _SPECIAL)
        except ParseError:
            return

    @property
    def port(self):
        """The port, empty where it is the scheme's own."""
        return self._parts.port

    @port.setter
    def port(self, text):
        digits = re.match(r"[0-9]*", to_string(text)).group()
        if self._parts.host and (digits or not to_string(text)):
            try:
                self._parts.port = read_port(digits, self._parts.scheme)
            except ParseError:
                return

    @property
    def pathname(self):
        """The path."""
        return self._parts.path

    @pathname.setter
    def pathname(self, text):
        if not self._parts.opaque:
            path = _slashes(self._parts, to_string(text)).replace("?", "%3F").replace("#", "%23")
            self._parts.path = _dots(self._parts, path if path.startswith("/") else "/" + path)

    @property
    def search(self):
        """The query with its mark, or an empty text."""
        return "?" + self._parts.query if self._parts.query else ""

    @search.setter
    def search(self, text):
        text = to_string(text)
        if text[:1] == "?":
            text = text[1:]
        keep = _KEEP_QUERY if self._parts.scheme in _SPECIAL else _KEEP_QUERY + "'"
        self._parts.query = _encoded(text, keep) if text else None
        self._refresh()

    @property
    def hash(self):
        """The fragment with its mark, or an empty text."""
        return "#" + self._parts.fragment if self._parts.fragment else ""

    @hash.setter
    def hash(self, text):
        text = to_string(text)
        if text[:1] == "#":
            text = text[1:]
        self._parts.fragment = _encoded(text, _KEEP_FRAGMENT) if text else None

    def _refresh(self):
        if self._params is not None:
            self._params._pairs = read_form(self._parts.query or "")

    @property
    def searchParams(self):
        """The query's names and values; what is changed there is changed in the URL."""
        if self._params is None:
            made = URLSearchParams.__new__(URLSearchParams)
            made._pairs = read_form(self._parts.query or "")
            made._url = self
            self._params = made
        return self._params


def read_form(text):
    """The pairs of a query, or of a form's body."""
    pairs = []
    for piece in text.split("&"):
        if piece:
            name, _, value = piece.partition("=")
            pairs.append((_form_text(name), _form_text(value)))
    return pairs


def _form_text(text):
    text = text.replace("+", " ")
    return unquote_to_bytes(text).decode("utf-8", "replace") if "%" in text or not text.isascii() else text


def write_form(pairs):
    """The query of pairs."""
    from .binary import utf8

    def written(text):
        return quote(utf8(text), safe="*-._ ").replace("~", "%7E").replace(" ", "+")

    return "&".join("%s=%s" % (written(name), written(value)) for name, value in pairs)


@js_class("URLSearchParams")
class URLSearchParams(JsObject):
    """The names and values of a query."""

    __slots__ = ("_pairs", "_url")

    def __init__(self, init=None):
        self._url = None
        init = plain(init)
        if init is None:
            self._pairs = []
        elif isinstance(init, URLSearchParams):
            self._pairs = list(init._pairs)
        elif isinstance(init, str):
            self._pairs = read_form(init[1:] if init[:1] == "?" else init)
        elif isinstance(init, dict):
            self._pairs = [(to_string(name), to_string(value)) for name, value in init.items()]
        elif hasattr(init, "_js_iterate") or not isinstance(init, JsProxy) and hasattr(init, "__iter__"):
            self._pairs = []
            for entry in iterate(init):
                pair = [to_string(item) for item in iterate(entry)]
                if len(pair) != 2:
                    raise type_error("Each query pair must be an iterable [name, value] tuple")
                self._pairs.append(tuple(pair))
        elif isinstance(init, JsProxy):
            self._pairs = [(name, to_string(value)) for name, value in own(init).items()]
        else:
            text = to_string(init)
            self._pairs = read_form(text[1:] if text[:1] == "?" else text)

    def _changed(self):
        if self._url is not None:
            self._url._parts.query = write_form(self._pairs) or None

    def _js_iterate(self):
        return (new_array([name, value]) for name, value in list(self._pairs))

    __iter__ = _js_iterate

    def append(self, name, value):
        """Adds a pair."""
        self._pairs.append((to_string(name), to_string(value)))
        self._changed()

    def delete(self, name, value=None):
        """Takes out all pairs of that name, or those that have the value too."""
        name = to_string(name)
        self._pairs = [pair for pair in self._pairs
                       if pair[0] != name or value is not None and pair[1] != to_string(value)]
        self._changed()

    def get(self, name):
        """The first value of that name, or null."""
        from .core import jsnull

        name = to_string(name)
        for known, value in self._pairs:
            if known == name:
                return value
        return jsnull

    def getAll(self, name):
        """All values of that name."""
        name = to_string(name)
        return new_array([value for known, value in self._pairs if known == name])

    def has(self, name, value=None):
        """Whether there is such a name, or such a name with that value."""
        name = to_string(name)
        return any(known == name and (value is None or had == to_string(value)) for known, had in self._pairs)

    def set(self, name, value):
        """Makes the value the only one of that name."""
        name, value = to_string(name), to_string(value)
        made, put = [], False
        for pair in self._pairs:
            if pair[0] != name:
                made.append(pair)
            elif not put:
                made.append((name, value))
                put = True
        if not put:
            made.append((name, value))
        self._pairs = made
        self._changed()

    def sort(self):
        """Puts the pairs in the order of their names."""
        self._pairs.sort(key=lambda pair: pair[0].encode("utf-16-be", "surrogatepass"))
        self._changed()

    def forEach(self, function, _this=None):
        """Calls the function with each value, name and this."""
        for name, value in list(self._pairs):
            function(value, name, self)

    def keys(self):
        """An iterator over the names."""
        return JsIterator((name for name, _value in list(self._pairs)), "URLSearchParams")

    def values(self):
        """An iterator over the values."""
        return JsIterator((value for _name, value in list(self._pairs)), "URLSearchParams")

    def entries(self):
        """An iterator over arrays of name and value."""
        return JsIterator(self._js_iterate(), "URLSearchParams")

    @property
    def size(self):
        """How many pairs there are."""
        return len(self._pairs)

    def toString(self):
        """The query."""
        return write_form(self._pairs)

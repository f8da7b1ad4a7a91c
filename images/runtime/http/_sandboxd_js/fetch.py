"""Headers, Request, Response, FormData and fetch.

A request that comes in is made by `incoming` out of what the server has read, and a
response that goes out is read by `outgoing`; neither parses an address, decodes a
header or makes a stream before a program asks for it.
"""

import http
import re
import types

from .array import JsArray
from .binary import ArrayBuffer, Blob, File, JsBuffer, Uint8Array, bytes_of, utf8
from .core import (JsException, JsIterator, JsObject, JsProxy, disallowed, iterate, js_class, jsnull, new_array,
                   options_of, own, plain, to_integer, to_string, truth, type_error)
from .promise import promise_of, rejected, resolved
from .streams import ReadableStream, chunks, locked, stream_of_async, stream_of_bytes
from .url import ParseError, URLSearchParams, parse, read_form

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+\Z")
_BAD_VALUE = re.compile(r"[\x00\r\n]")
_REASONS = {status.value: status.phrase for status in http.HTTPStatus}
_KINDS = {2: "Successful", 3: "Redirection", 4: "Client Error", 5: "Server Error"}
_METHODS = frozenset((
    "GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "TRACE", "PURGE", "BAN", "QUERY", "COPY", "MOVE",
    "LOCK", "UNLOCK", "MKCOL", "PROPFIND", "PROPPATCH", "SEARCH", "ACL", "REPORT", "MKACTIVITY", "CHECKOUT", "MERGE",
    "MSEARCH", "NOTIFY", "SUBSCRIBE", "UNSUBSCRIBE"))
_NO_BODY = frozenset((101, 103, 204, 205, 304))
_REDIRECTS = frozenset((301, 302, 303, 307, 308))
_TEXT = "text/plain;charset=UTF-8"
_FORM = "application/x-www-form-urlencoded;charset=UTF-8"


def _name(text):
    name = text if type(text) is str else to_string(text)
    if not _TOKEN.match(name):
        raise type_error("Invalid header name.")
    return name.lower()


def _value(text):
    value = (text if type(text) is str else to_string(text)).strip("\t\n\r ")
    if _BAD_VALUE.search(value):
        raise type_error("Invalid header value.")
    return value


def _decoded(raw):
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


@js_class("Headers")
class Headers(JsObject):
    """The headers of a message, in the order of their names when they are looped over."""

    __slots__ = ("_pairs", "_raw", "_fixed")

    def __init__(self, init=None):
        self._raw = None
        self._fixed = False
        if init is None or init is jsnull:
            self._pairs = []
        elif type(init) is Headers:
            self._pairs = list(init.pairs())
        else:
            self._pairs = []
            self._fill(plain(init))

    def _fill(self, init):
        if isinstance(init, dict):
            entries = init.items()
        elif hasattr(init, "_js_iterate") or not isinstance(init, JsProxy) and hasattr(init, "__iter__") \
                and not isinstance(init, str):
            entries = iterate(init)
        elif isinstance(init, JsProxy):
            entries = own(init).items()
        else:
            raise type_error("Headers must be an object or an iterable of pairs")
        for entry in entries:
            pair = entry if type(entry) is tuple else _header_pair(entry)
            if len(pair) != 2:
                raise type_error("To initialize a Headers object from a sequence, each inner sequence must have "
                                 "exactly two elements.")
            self._pairs.append((_name(pair[0]), _value(pair[1])))

    @classmethod
    def around(cls, raw, fixed):
        """Headers of pairs of bytes; fixed ones cannot be changed."""
        made = cls.__new__(cls)
        made._raw = raw
        made._pairs = None
        made._fixed = fixed
        return made

    def pairs(self):
        """The pairs of name, in small letters, and value."""
        pairs = self._pairs
        if pairs is None:
            pairs = self._pairs = [(_decoded(name).lower(), _decoded(value).strip(" \t")) for name, value in self._raw]
        return pairs

    def raw(self):
        """The pairs as bytes."""
        if self._raw is not None and self._fixed:
            return self._raw
        made = []
        for name, value in self.pairs():
            try:
                made.append((name.encode("ascii"), value.encode("latin-1" if value.isascii() else "utf-8")))
            except UnicodeEncodeError:
                made.append((name.encode("ascii"), utf8(value)))
        return made

    def _changing(self):
        if self._fixed:
            raise type_error("Can't modify immutable headers.")
        self._raw = None
        return self.pairs() if self._pairs is None else self._pairs

    def get(self, name):
        """The value of a header; repeated ones with commas, null when there is none."""
        name = _name(name)
        found = [value for known, value in self.pairs() if known == name]
        if not found:
            return jsnull
        return found[0] if len(found) == 1 else ", ".join(found)

    def getAll(self, name):
        """All values of Set-Cookie."""
        if _name(name) != "set-cookie":
            raise type_error("getAll() can only be used with the header name \"Set-Cookie\".")
        return self.getSetCookie()

    def getSetCookie(self):
        """All values of Set-Cookie."""
        return new_array([value for name, value in self.pairs() if name == "set-cookie"])

    def has(self, name):
        """Whether there is such a header."""
        name = _name(name)
        return any(known == name for known, _value_of in self.pairs())

    def set(self, name, value):
        """Makes the value the only one of that header."""
        name, value = _name(name), _value(value)
        if self._pairs is None:
            self.pairs()
        pairs = self._changing()
        for at, pair in enumerate(pairs):
            if pair[0] == name:
                pairs[at:] = [(name, value)] + [other for other in pairs[at + 1:] if other[0] != name]
                return
        pairs.append((name, value))

    def append(self, name, value):
        """Adds a value to a header."""
        name, value = _name(name), _value(value)
        if self._pairs is None:
            self.pairs()
        self._changing().append((name, value))

    def delete(self, name):
        """Takes a header out."""
        name = _name(name)
        if self._pairs is None:
            self.pairs()
        pairs = self._changing()
        pairs[:] = [pair for pair in pairs if pair[0] != name]

    def sorted(self):
        """The pairs in the order of their names; repeated ones are one, but for Set-Cookie."""
        joined, cookies = {}, []
        for name, value in self.pairs():
            if name == "set-cookie":
                cookies.append((name, value))
            elif name in joined:
                joined[name] += ", " + value
            else:
                joined[name] = value
        pairs = list(joined.items()) + cookies
        pairs.sort(key=lambda pair: pair[0])
        return pairs

    def _js_iterate(self):
        return iter([new_array([name, value]) for name, value in self.sorted()])

    __iter__ = _js_iterate

    def forEach(self, function, _this=None):
        """Calls the function with each value, name and this."""
        for name, value in self.sorted():
            function(value, name, self)

    def keys(self):
        """An iterator over the names."""
        return JsIterator((name for name, _value_of in self.sorted()), "Headers")

    def values(self):
        """An iterator over the values."""
        return JsIterator((value for _name_of, value in self.sorted()), "Headers")

    def entries(self):
        """An iterator over arrays of name and value."""
        return JsIterator(self._js_iterate(), "Headers")


def _header_pair(entry):
    if isinstance(entry, str):
        raise type_error("Headers entry must be a pair, not a text")
    return tuple(iterate(entry))


def _used():
    return type_error("Body has already been used. It can only be used once. "
                      "Use tee() first if you need to read it twice.")


class Body(JsObject):
    """What Request and Response have in common: bytes, a stream, or something that still is neither.

    _data is the body as bytes, where it is known whole; _stream a stream of it, once there
    is one; _incoming an asynchronous iterator of bytes that the server reads from.
    """

    __slots__ = ("_data", "_stream", "_incoming", "_spent", "_headers")

    @property
    def headers(self):
        """The headers."""
        return self._headers

    @property
    def body(self):
        """The body as a stream; null when there is none."""
        stream = self._stream
        if stream is None:
            if self._data is not None:
                stream = stream_of_bytes(self._data)
            elif self._incoming is not None:
                stream = stream_of_async(self._incoming)
                self._incoming = None
            else:
                return jsnull
            self._stream = stream
            if self._spent:
                stream._disturbed = True
        return stream

    @property
    def bodyUsed(self):
        """Whether somebody has begun to read the body."""
        return self._spent or self._stream is not None and self._stream._disturbed

    def _whole(self):
        """The body as bytes when it is known whole, and marks it as read; None when it has to be read first."""
        stream = self._stream
        if self._spent or stream is not None and stream._disturbed:
            raise _used()
        if stream is not None and stream._reader is not None:
            raise locked()
        data = self._data
        if data is not None:
            self._spent = True
            if stream is not None:
                stream.drop()
            return data
        if stream is None and self._incoming is None:
            return b""
        self._spent = True
        return None

    async def _read(self):
        """The body as bytes, read to its end."""
        if self._stream is not None:
            found = [chunk async for chunk in chunks(self._stream)]
        else:
            incoming, self._incoming = self._incoming, None
            found = [chunk async for chunk in incoming]
        return found[0] if len(found) == 1 else b"".join(found)

    def _then(self, function):
        try:
            data = self._whole()
        except JsException as error:
            return rejected(error)
        if data is not None:
            try:
                return resolved(function(data))
            except Exception as error:
                return rejected(error)
        return promise_of(self._later(function))

    async def _later(self, function):
        return function(await self._read())

    def text(self):
        """A promise of the body as a text."""
        return self._then(_text_of)

    def json(self):
        """A promise of what the body says as JSON."""
        from .json import parse as parse_json

        return self._then(lambda data: parse_json(_text_of(data)))

    def arrayBuffer(self):
        """A promise of the body as an ArrayBuffer."""
        return self._then(ArrayBuffer.around)

    def bytes(self):
        """A promise of the body as a Uint8Array."""
        return self._then(Uint8Array.around)

    def blob(self):
        """A promise of the body as a Blob, whose type is that of the headers."""
        kind = self.headers.get("content-type")
        return self._then(lambda data: Blob.around(data, kind or ""))

    def formData(self):
        """A promise of the body as a form."""
        kind = self.headers.get("content-type")
        return self._then(lambda data: read_form_data(data, kind or ""))

    def _split(self, other):
        """Gives another message the same body, and both a stream of it where it is not known whole."""
        if self.bodyUsed or self._stream is not None and self._stream.locked:
            raise _used()
        other._spent = False
        other._data = self._data
        other._stream = other._incoming = None
        if self._data is None and (self._stream is not None or self._incoming is not None):
            first, second = self.body.tee()
            self._stream, other._stream = first, second

    def _take(self, other):
        """Makes another message's body this one's, and the other's as read."""
        if other.bodyUsed or other._stream is not None and other._stream.locked:
            raise _used()
        self._spent = False
        self._data, self._stream, self._incoming = other._data, None, other._incoming
        if self._data is None and other._stream is not None:
            self._stream = other._stream
        if self._data is not None or self._stream is not None or self._incoming is not None:
            other._spent = True
            other._data = other._data if other._data is not None else b""
        other._stream = other._incoming = None

    def _extract(self, body):
        """Sets the body to what a program has given; the media type that goes with it, or None."""
        self._spent = False
        self._data = self._stream = self._incoming = None
        if body is None or body is jsnull:
            return None
        if type(body) is str:
            self._data = body.encode() if body.isascii() else utf8(body)
            return _TEXT
        if isinstance(body, JsBuffer) or isinstance(body, (bytes, bytearray, memoryview)):
            self._data = bytes_of(body)
            return None
        if isinstance(body, ReadableStream):
            if body.locked or body._disturbed:
                raise type_error("This ReadableStream is disturbed (has already been read from), and cannot be used "
                                 "as a body.")
            self._stream = body
            return None
        if isinstance(body, Blob):
            self._data = body._data
            return body._type or None
        if isinstance(body, FormData):
            self._data, kind = write_form_data(body)
            return kind
        if isinstance(body, URLSearchParams):
            self._data = body.toString().encode()
            return _FORM
        held = plain(body)
        if held is not body:
            return self._extract(held)
        if hasattr(body, "__aiter__") or isinstance(body, (JsArray, list, tuple, types.GeneratorType)):
            self._stream = ReadableStream._static_from_(body)
            return None
        self._data = utf8(to_string(body))
        return _TEXT


def _text_of(data):
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = data.decode("utf-8", "replace")
    return text[1:] if text[:1] == "\ufeff" else text


@js_class("Request")
class Request(Body):
    """A request."""

    __slots__ = ("_method", "_url", "_init", "_signal")

    def __init__(self, resource, init=None, **kwargs):
        given = options_of(init, kwargs)
        body = given.get("body")
        method = given.get("method")
        headers = given.get("headers")
        self._init = {name: given.get(name) for name in _REQUEST_OPTIONS if given.get(name) is not None}
        self._signal = given.get("signal")
        if isinstance(resource, Request):
            self._url = resource._url
            self._method = resource._method
            self._init = dict(resource._init, **self._init)
            if self._signal is None:
                self._signal = resource._signal
            self._headers = Headers(resource.headers if headers is None else headers)
        else:
            text = to_string(resource)
            try:
                self._url = parse(text).text()
            except ParseError:
                raise type_error("Invalid URL: %s" % text) from None
            self._method = "GET"
            self._headers = Headers(headers)
        if method is not None:
            self._method = _method_name(method)
        redirect = self._init.get("redirect")
        if redirect is not None and redirect not in ("follow", "manual", "error"):
            raise type_error("Invalid redirect value, must be one of \"follow\" or \"manual\" (\"error\" won't be "
                             "implemented since it does not make sense at the edge; use \"manual\" and check the "
                             "response status code).")
        if body is not None and body is not jsnull:
            if self._method in ("GET", "HEAD"):
                raise type_error("Request with a GET or HEAD method cannot have a body.")
            kind = self._extract(body)
            if kind is not None and not self._headers.has("content-type"):
                self._headers._pairs.append(("content-type", kind))
        elif isinstance(resource, Request) and body is None:
            self._take(resource)
        else:
            self._extract(None)

    @property
    def headers(self):
        """The headers."""
        headers = self._headers
        if type(headers) is list:
            headers = self._headers = Headers.around(headers, True)
        return headers

    @property
    def method(self):
        """The method, in capitals."""
        return self._method

    @property
    def url(self):
        """The whole address."""
        return self._url

    @property
    def signal(self):
        """Says when nobody wants the answer any more."""
        from .events import AbortSignal

        if self._signal is None or self._signal is jsnull:
            self._signal = AbortSignal()
        return self._signal

    @property
    def cf(self):
        """What the network says of the request; undefined where nobody has said anything."""
        return self._init.get("cf")

    @property
    def redirect(self):
        """What is done with a redirect: "follow" or "manual"."""
        return self._init.get("redirect", "follow")

    @property
    def cache(self):
        """How caches are to be used."""
        return self._init.get("cache", "default")

    @property
    def credentials(self):
        """Which credentials are sent."""
        return self._init.get("credentials", "same-origin")

    @property
    def integrity(self):
        """The digest that the answer must have."""
        return self._init.get("integrity", "")

    @property
    def mode(self):
        """The mode, which has no effect here."""
        return self._init.get("mode", "cors")

    @property
    def referrer(self):
        """Where the request has come from, as browsers say it."""
        return self._init.get("referrer", "about:client")

    @property
    def referrerPolicy(self):
        """What is told of where the request has come from."""
        return self._init.get("referrerPolicy", "")

    @property
    def keepalive(self):
        """Whether the request outlives a page."""
        return truth(self._init.get("keepalive"))

    destination = ""
    duplex = "half"
    isHistoryNavigation = False
    isReloadNavigation = False
    fetcher = jsnull

    def clone(self):
        """The same request once more."""
        made = Request.__new__(Request)
        self._split(made)
        made._url, made._method, made._init, made._signal = self._url, self._method, self._init, self._signal
        made._headers = Headers(self.headers)
        return made


_REQUEST_OPTIONS = ("cf", "redirect", "cache", "credentials", "integrity", "mode", "referrer", "referrerPolicy",
                    "keepalive")


def _method_name(text):
    name = to_string(text)
    upper = name.upper()
    if upper not in _METHODS:
        raise type_error("Invalid HTTP method string: %s" % name)
    return upper


@js_class("Response", "json", "redirect", "error")
class Response(Body):
    """A response."""

    __slots__ = ("_status", "_text", "_url", "_type", "_redirected", "_socket", "_cf", "_encode")

    def __init__(self, body=None, init=None, **kwargs):
        self._url = ""
        self._type = "default"
        self._redirected = False
        self._socket = self._cf = None
        self._encode = "automatic"
        if init is None and not kwargs:
            self._status = 200
            self._text = None
            self._headers = None
            kind = self._extract(body)
            if kind is not None:
                self._headers = [("content-type", kind)]
            return
        given = options_of(init, kwargs)
        status = given.get("status")
        self._status = status = 200 if status is None else to_integer(status)
        text = given.get("statusText")
        self._text = None if text is None else to_string(text)
        socket = given.get("webSocket")
        if socket is not None and socket is not jsnull:
            self._socket = socket
        if not 200 <= status <= 599 and not (status == 101 and self._socket is not None):
            raise JsException("RangeError", "Responses may only be constructed with status codes in the range 200 to "
                                            "599, inclusive.")
        if self._text and _BAD_VALUE.search(self._text):
            raise type_error("Invalid statusText")
        self._cf = given.get("cf")
        encode = given.get("encodeBody")
        if encode is not None:
            self._encode = encode
        headers = given.get("headers")
        self._headers = Headers(headers) if headers is not None else None
        kind = self._extract(body)
        if status in _NO_BODY:
            if self._data or self._stream is not None:
                raise type_error("Response with null body status (101, 204, 205, or 304) cannot have a body.")
            self._data = kind = None
        if kind is not None:
            if self._headers is None:
                self._headers = [("content-type", kind)]
            elif not self._headers.has("content-type"):
                self._headers._pairs.append(("content-type", kind))

    @staticmethod
    def _static_json(data=None, init=None, **kwargs):
        """A response that says a value as JSON."""
        from .json import stringify

        text = stringify(data)
        if text is None:
            raise type_error("Value is not JSON serializable")
        made = Response(text, init, **kwargs)
        if type(made._headers) is list:
            made._headers = [("content-type", "application/json")]
        else:
            given = options_of(init, kwargs).get("headers")
            if not Headers(given).has("content-type"):
                made._headers.set("content-type", "application/json")
        return made

    @staticmethod
    def _static_redirect(url, status=302):
        """A response that sends the client elsewhere."""
        text = to_string(url)
        try:
            target = parse(text).text()
        except ParseError:
            raise type_error("Unable to parse URL: %s" % text) from None
        status = 302 if status is None else to_integer(status)
        if status not in _REDIRECTS:
            raise JsException("RangeError", "%d is not a redirect status code. It must be one of: 301, 302, 303, 307, "
                                            "or 308." % status)
        made = Response(None, {"status": status})
        made._headers = Headers.around([(b"location", target.encode())], True)
        return made

    @staticmethod
    def _static_error():
        """A response that says that there is none."""
        made = Response()
        made._status = 0
        made._type = "error"
        made._text = ""
        return made

    @property
    def headers(self):
        """The headers."""
        headers = self._headers
        if type(headers) is not Headers:
            if headers and type(headers[0][0]) is bytes:
                made = Headers.around(headers, False)
            else:
                made = Headers()
                if headers:
                    made._pairs = headers
            headers = self._headers = made
        return headers

    @property
    def status(self):
        """The status."""
        return self._status

    @property
    def statusText(self):
        """The words that go with the status."""
        if self._text is not None:
            return self._text
        return _REASONS.get(self._status) or _KINDS.get(self._status // 100, "")

    @property
    def ok(self):
        """Whether the status is one of 200 to 299."""
        return 200 <= self._status <= 299

    @property
    def url(self):
        """The address that the response is from; empty when a program has made it."""
        return self._url

    @property
    def type(self):
        """"default", or "error"."""
        return self._type

    @property
    def redirected(self):
        """Whether a redirect was followed."""
        return self._redirected

    @property
    def webSocket(self):
        """The connection that the client's becomes; null when there is none."""
        return jsnull if self._socket is None else self._socket

    @property
    def cf(self):
        """What the program has given as `cf`."""
        return self._cf

    @property
    def encodeBody(self):
        """"manual" when the body is encoded already as the headers say."""
        return self._encode

    def clone(self):
        """The same response once more."""
        made = Response.__new__(Response)
        self._split(made)
        for name in Response.__slots__:
            setattr(made, name, getattr(self, name))
        made._headers = Headers(self.headers)
        return made


def incoming(method, url, headers, body=None, signal=None, cf=None):
    """A request as the server has read it.

    headers are pairs of bytes; body is None, bytes, or an asynchronous iterator of bytes; the
    url is whole and written as URLs are.
    """
    made = Request.__new__(Request)
    made._method = method
    made._url = url
    made._headers = headers
    made._init = {} if cf is None else {"cf": cf}
    made._signal = signal
    made._spent = False
    made._stream = None
    if type(body) is bytes:
        made._data = body
        made._incoming = None
    else:
        made._data = None
        made._incoming = body
    return made


def outgoing(response):
    """What a message says, for whoever sends it: its headers as pairs of bytes, and its body.

    The body is None, bytes, or an asynchronous generator of bytes; it counts as read.
    """
    headers = response._headers
    if headers is None:
        raw = []
    elif type(headers) is list:
        raw = headers if headers and type(headers[0][0]) is bytes else [
            (name.encode("ascii"), value.encode()) for name, value in headers]
    else:
        raw = headers.raw()
    data = response._data
    if data is None and response._stream is None and response._incoming is None:
        return raw, None
    data = response._whole()
    if data is not None:
        return raw, data
    if response._stream is None:
        left, response._incoming = response._incoming, None
        return raw, left
    return raw, chunks(response._stream)


def received(status, headers, body=None, url="", redirected=False, reason=None):
    """A response as a client has read it: headers as pairs of bytes, the body as in `incoming`."""
    made = Response.__new__(Response)
    made._status = status
    made._text = reason
    made._url = url
    made._type = "default"
    made._redirected = redirected
    made._socket = made._cf = None
    made._encode = "automatic"
    made._headers = Headers.around(headers, True)
    made._spent = False
    made._stream = None
    made._data = body if type(body) is bytes else None
    made._incoming = None if type(body) is bytes else body
    return made


_fetch = None


def set_fetch(function):
    """Installs what fetch calls with a Request, and awaits a Response of."""
    global _fetch
    _fetch = function


def fetch(resource, init=None, **kwargs):
    """A promise of the response to a request."""
    if _fetch is None:
        raise disallowed()
    try:
        request = resource if isinstance(resource, Request) and init is None and not kwargs \
            else Request(resource, init, **kwargs)
    except JsException as error:
        return rejected(error)
    return promise_of(_fetched(request))


async def _fetched(request):
    signal = request._signal
    if signal is not None and signal is not jsnull:
        signal.throwIfAborted()
    try:
        return await _fetch(request)
    except OSError as error:
        raise type_error(str(error)) from error


@js_class("FormData")
class FormData(JsObject):
    """A form: names and values, which are texts or files."""

    __slots__ = ("_pairs",)

    def __init__(self, _form=None):
        self._pairs = []

    @staticmethod
    def _entry(name, value, filename):
        value = plain(value)
        if isinstance(value, Blob):
            if isinstance(value, File) and filename is None:
                return value
            name = to_string(filename) if filename is not None else name
            return File.of(value._data, name, value._type, getattr(value, "_modified", None))
        return to_string(value)

    def append(self, name, value, filename=None):
        """Adds a value of that name."""
        name = to_string(name)
        self._pairs.append((name, self._entry(name, value, filename)))

    def set(self, name, value, filename=None):
        """Makes the value the only one of that name."""
        name = to_string(name)
        value = self._entry(name, value, filename)
        for at, pair in enumerate(self._pairs):
            if pair[0] == name:
                self._pairs[at:] = [(name, value)] + [other for other in self._pairs[at + 1:] if other[0] != name]
                return
        self._pairs.append((name, value))

    def get(self, name):
        """The first value of that name, or null."""
        name = to_string(name)
        for known, value in self._pairs:
            if known == name:
                return value
        return jsnull

    def getAll(self, name):
        """All values of that name."""
        name = to_string(name)
        return new_array([value for known, value in self._pairs if known == name])

    def has(self, name):
        """Whether there is such a name."""
        name = to_string(name)
        return any(known == name for known, _value_of in self._pairs)

    def delete(self, name):
        """Takes out all values of that name."""
        name = to_string(name)
        self._pairs = [pair for pair in self._pairs if pair[0] != name]

    def _js_iterate(self):
        return iter([new_array([name, value]) for name, value in self._pairs])

    __iter__ = _js_iterate

    def forEach(self, function, _this=None):
        """Calls the function with each value, name and this."""
        for name, value in list(self._pairs):
            function(value, name, self)

    def keys(self):
        """An iterator over the names."""
        return JsIterator([name for name, _value_of in self._pairs], "FormData")

    def values(self):
        """An iterator over the values."""
        return JsIterator([value for _name_of, value in self._pairs], "FormData")

    def entries(self):
        """An iterator over arrays of name and value."""
        return JsIterator(self._js_iterate(), "FormData")


def _quoted(text):
    return utf8(text.replace("\r", "%0D").replace("\n", "%0A").replace('"', "%22"))


def write_form_data(form):
    """A form as multipart/form-data, and the media type that says how its parts are told apart."""
    import os

    boundary = b"----formdata-" + os.urandom(12).hex().encode()
    pieces = []
    for name, value in form._pairs:
        head = b'--%s\r\nContent-Disposition: form-data; name="%s"' % (boundary, _quoted(_lines(name)))
        if isinstance(value, File):
            kind = value._type or "application/octet-stream"
            pieces += [head, b'; filename="%s"\r\nContent-Type: %s\r\n\r\n' % (_quoted(value._name), utf8(kind)),
                       value._data, b"\r\n"]
        else:
            pieces += [head, b"\r\n\r\n", utf8(_lines(value)), b"\r\n"]
    pieces.append(b"--%s--\r\n" % boundary)
    return b"".join(pieces), "multipart/form-data; boundary=" + boundary.decode()


def _lines(text):
    return text.replace("\r\n", "\n").replace("\r", "\n").replace("\n", "\r\n")


_HEAD_END = re.compile(br"\r\n\r\n|\n\n")
_PARAMETER = re.compile(r';\s*([!#$%&\'*+\-.^_`|~0-9A-Za-z]+)\s*=\s*(?:"((?:[^"\\]|\\.)*)"|([^\s;"]*))')


def _parameters(text):
    found = {}
    for name, quoted, bare in _PARAMETER.findall(text):
        found.setdefault(name.lower(), re.sub(r'\\(["\\])', r"\1", quoted) if quoted else bare)
    return found


def read_form_data(data, kind):
    """The form that a body of that media type is."""
    made = FormData()
    essence = kind.partition(";")[0].strip().lower()
    if essence == "application/x-www-form-urlencoded":
        made._pairs = read_form(data.decode("utf-8", "replace"))
        return made
    if essence != "multipart/form-data":
        raise type_error("Unrecognized Content-Type header value. FormData can only parse the following MIME types: "
                         "multipart/form-data, application/x-www-form-urlencoded")
    boundary = _parameters(kind).get("boundary")
    if not boundary:
        raise type_error("No boundary string in Content-Type header. The multipart/form-data MIME type requires a "
                         "boundary parameter, e.g. 'Content-Type: multipart/form-data; boundary=\"abcd\"'. See RFC "
                         "7578, section 4.")
    mark = b"--" + boundary.encode()
    at = data.find(mark)
    if at < 0:
        raise type_error("No initial boundary string (or you have a truncated message).")
    while True:
        at += len(mark)
        if data.startswith(b"--", at):
            # What comes after the last part is none.
            return made
        if data.startswith(b"\r\n", at):
            at += 2
        elif data.startswith(b"\n", at):
            at += 1
        else:
            raise type_error("Boundary string was not succeeded by CRLF, LF, or '--'.")
        head = _HEAD_END.search(data, at)
        if head is None:
            raise type_error("No multipart message header termination found.")
        end = data.find(b"\n" + mark, head.end())
        if end < 0:
            raise type_error("No subsequent boundary string after multipart message.")
        content = data[head.end():end - 1 if data[end - 1:end] == b"\r" else end]
        made._pairs.append(_form_part(data[at:head.start()].decode("utf-8", "replace"), content))
        at = end + 1


def _form_part(head, content):
    fields = {}
    for line in head.splitlines():
        name, _, value = line.partition(":")
        fields[name.strip().lower()] = value.strip()
    disposition = fields.get("content-disposition", "")
    given = _parameters(disposition)
    if not disposition.lower().startswith("form-data") or "name" not in given:
        raise type_error("No valid Content-Disposition header found in FormData part.")
    name = _unquoted(given["name"])
    if "filename" in given or "filename*" in given:
        return name, File.of(content, _unquoted(given.get("filename", "")), fields.get("content-type", ""))
    return name, content.decode("utf-8", "replace")


def _unquoted(text):
    return text.replace("%22", '"').replace("%0D", "\r").replace("%0A", "\n").replace("%0d", "\r").replace(
        "%0a", "\n")

"""The framing of HTTP/1.1 messages by RFC 9112, read strictly: what is ambiguous is refused.

A reverse proxy stands in front of the server, and two parsers that read one message differently are how requests
are smuggled past the first of them.  So a bare line feed, a folded line, a blank before a colon, a length that is
said twice and a coding other than `chunked` are errors here and not guesses.
"""

import re

HEAD_MAX = 65536        # a request line and its fields, or a status line and its fields
FIELDS_MAX = 256
CHUNK_LINE_MAX = 1024
TRAILERS_MAX = 8192

TOKEN = rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
token_all = re.compile(TOKEN).fullmatch
request_line = re.compile(rb"(" + TOKEN + rb") ([\x21-\x7e\x80-\xff]+) HTTP/([0-9])\.([0-9])").fullmatch
status_line = re.compile(rb"HTTP/1\.([01]) ([1-9][0-9][0-9])(?: ([\t\x20-\x7e\x80-\xff]*))?").fullmatch
target_all = re.compile(rb"[\x21-\x7e\x80-\xff]+").fullmatch
# A value has no control character but the tab.
field_line = re.compile(rb"(" + TOKEN + rb"):([\t\x20-\x7e\x80-\xff]*)").fullmatch
host_all = re.compile(rb"(?:[0-9A-Za-z._~%!$&'()*+,;=\-]+|\[[0-9A-Fa-f:.]+\])?(?::[0-9]{0,5})?").fullmatch
chunk_size = re.compile(rb"([0-9A-Fa-f]{1,15})(?:[ \t]*;[\t\x20-\x7e\x80-\xff]*)?").fullmatch


class Refused(Exception):
    """The message breaks the rules; `status` is what the sender is answered, and the connection ends."""

    def __init__(self, status, text):
        Exception.__init__(self, text)
        self.status = status
        self.text = text


# Fields that say something of the message itself.
HOST, LENGTH, CODING, PROTO, ID, CONNECTION, EXPECT, UPGRADE, INNER = range(1, 10)
KINDS = {b"host": HOST, b"content-length": LENGTH, b"transfer-encoding": CODING, b"x-forwarded-proto": PROTO,
         b"x-request-id": ID, b"connection": CONNECTION, b"expect": EXPECT, b"upgrade": UPGRADE}
# What the node says of a request of another worker's: INNER.
OURS = b"x-sandboxd-"
# Lines of fields that come again and again, and hold no secret: what each was read as.
REPEATED = frozenset((b"host", b"x-forwarded-proto", b"x-forwarded-for", b"x-real-ip", b"cf-connecting-ip", b"accept",
                      b"accept-encoding", b"accept-language", b"user-agent", b"connection", b"content-type"))
known = {}
KNOWN_MAX = 512
KNOWN_LINE_MAX = 256


def parse_field(line):
    """((lower name, value), kind) of a line."""
    match = field_line(line)
    if match is None:
        raise Refused(400, "a header line is malformed")
    name, value = match.groups()
    name = name.lower()
    value = value.strip(b" \t")
    kind = KINDS.get(name, 0)
    if not kind and name.startswith(OURS):
        kind = INNER
    if kind == HOST and not host_all(value):
        raise Refused(400, "Host is malformed")
    read = (name, value), kind
    if name in REPEATED and len(line) <= KNOWN_LINE_MAX:
        if len(known) >= KNOWN_MAX:
            known.clear()
        known[line] = read
    return read


class Head:
    """A request's line and fields, and what they say of its framing.

    `length` is the body's length, or None where it is chunked.
    """

    host = None
    scheme = "http"
    id = None
    upgrade = None
    expects = False
    inner = None        # of another worker's request: what the node says of it

    def __init__(self, lines):
        method, _, rest = lines[0].partition(b" ")
        target, _, version = rest.partition(b" ")
        if version == b"HTTP/1.1" and target_all(target) and token_all(method):
            self.minor = minor = 1
        else:
            match = request_line(lines[0])
            if match is None:
                raise Refused(400, "the request line is malformed")
            method, target, major, minor = match.groups()
            if major != b"1":
                raise Refused(505, "only HTTP/1.0 and HTTP/1.1 are spoken here")
            self.minor = minor = 0 if minor == b"0" else 1
        if len(lines) > FIELDS_MAX + 1:
            raise Refused(431, "more than %d header lines" % FIELDS_MAX)
        self.method = method
        self.target = target
        self.keep = minor == 1
        self.fields = fields = []
        host = length = coding = None
        del lines[0]
        for line in lines:
            read = known.get(line)
            pair, kind = read if read is not None else parse_field(line)
            fields.append(pair)
            if not kind:
                continue
            value = pair[1]
            if kind == HOST:
                if host is not None:
                    raise Refused(400, "two Host lines")
                self.host = host = value
            elif kind == ID:
                self.id = value
            elif kind == PROTO:
                self.scheme = "https" if value.lower() == b"https" else "http"
            elif kind == LENGTH:
                if length is not None:
                    raise Refused(400, "two Content-Length lines")
                if not value.isdigit() or len(value) > 18:
                    raise Refused(400, "Content-Length is no number")
                length = int(value)
            elif kind == CODING:
                if coding is not None:
                    raise Refused(400, "two Transfer-Encoding lines")
                coding = value.lower()
            elif kind == CONNECTION:
                for word in value.lower().split(b","):
                    word = word.strip(b" \t")
                    if word == b"close":
                        self.keep = False
                    elif word == b"keep-alive" and minor == 0:
                        self.keep = True
            elif kind == UPGRADE:
                self.upgrade = value
            elif kind == INNER:
                if self.inner is None:
                    self.inner = {}
                self.inner[pair[0][len(OURS):]] = value
            else:
                if value.lower() != b"100-continue":
                    raise Refused(417, "the only expectation that can be met is 100-continue")
                self.expects = minor == 1
        if host is None and minor == 1:
            raise Refused(400, "no Host line")
        if coding is not None:
            if length is not None:
                raise Refused(400, "both Content-Length and Transfer-Encoding")
            if minor == 0:
                raise Refused(400, "Transfer-Encoding in HTTP/1.0")
            if coding != b"chunked":
                raise Refused(501, "the only transfer coding that is known is chunked")
            self.length = None
        else:
            self.length = length or 0
        if self.inner is not None:
            # The edge lets nobody else say how deep a request is.
            if b"depth" not in self.inner:
                self.inner = None
            self.fields = [pair for pair in fields if not pair[0].startswith(OURS)]
        first = target[0]
        if first != 47:     # no path: the absolute form, or OPTIONS *
            if target == b"*" and method == b"OPTIONS":
                return
            scheme, mark, rest = target.partition(b"://")
            if not mark or scheme.lower() not in (b"http", b"https"):
                raise Refused(400, "the request target is malformed")
            authority = re.split(rb"[/?#]", rest, maxsplit=1)[0]
            if not authority or not host_all(authority):
                raise Refused(400, "the request target is malformed")
            # The target's authority wins over Host by RFC 9112, 3.2.2.
            self.host = authority
            path = rest[len(authority):]
            self.target = path if path.startswith(b"/") else b"/" + path


def find_head(buffer):
    """Where the head's lines end in the buffer, with the empty line behind them; None while it is not whole.

    Empty lines before it have to be gone.
    """
    end = buffer.find(b"\r\n\r\n")
    if end < 0:
        if len(buffer) > HEAD_MAX:
            raise Refused(431, "the header is longer than %d bytes" % HEAD_MAX)
        if buffer.count(b"\n") != buffer.count(b"\r\n"):
            raise Refused(400, "a line ends without a carriage return")
        return None
    if end > HEAD_MAX:
        raise Refused(431, "the header is longer than %d bytes" % HEAD_MAX)
    return end


class Body:
    """Takes a message's body out of what comes on the connection.

    feed() returns (the body's bytes that were in the data, what is left of the data); `done` says that the body
    is whole.  `length` None means chunked, -1 until the connection ends.
    """

    __slots__ = ("length", "done", "chunked", "state", "rest", "trailers")

    SIZE, DATA, MARK, TRAILER = range(4)

    def __init__(self, length):
        self.chunked = length is None
        self.length = length or 0
        self.done = length == 0
        self.state = self.SIZE
        self.rest = b""
        self.trailers = 0

    def feed(self, data):
        if self.chunked:
            return self.feed_chunks(data)
        if self.length < 0:
            return data, b""
        if len(data) < self.length:
            self.length -= len(data)
            return data, b""
        body, rest = data[:self.length], data[self.length:]
        self.length = 0
        self.done = True
        return body, rest

    def line(self, data, at, limit):
        """The line that begins at a place of the data, and where the next one begins; None while it is not whole."""
        end = data.find(b"\r\n", at)
        if end < 0:
            if len(data) - at > limit:
                raise Refused(400, "a line of the chunked body is too long")
            if b"\n" in data[at:]:
                raise Refused(400, "a line of the chunked body ends without a carriage return")
            self.rest = data[at:]
            return None
        if end - at > limit:
            raise Refused(400, "a line of the chunked body is too long")
        return data[at:end], end + 2

    def feed_chunks(self, data):
        if self.rest:
            data = self.rest + data
            self.rest = b""
        parts = []
        at = 0
        while True:
            if self.state == self.DATA:
                piece = data[at:at + self.length]
                at += len(piece)
                self.length -= len(piece)
                parts.append(piece)
                if self.length:
                    break
                self.state = self.MARK
            if self.state == self.MARK:
                mark = data[at:at + 2]
                if mark != b"\r\n"[:len(mark)]:
                    raise Refused(400, "a chunk is longer than it says")
                if len(mark) < 2:
                    self.rest = mark
                    break
                at += 2
                self.state = self.SIZE
            found = self.line(data, at, CHUNK_LINE_MAX)
            if found is None:
                break
            line, at = found
            if self.state == self.SIZE:
                match = chunk_size(line)
                if match is None:
                    raise Refused(400, "a chunk's size is no number")
                self.length = int(match.group(1), 16)
                self.state = self.DATA if self.length else self.TRAILER
                continue
            if not line:
                self.done = True
                return b"".join(parts), data[at:]
            self.trailers += len(line)
            if self.trailers > TRAILERS_MAX:
                raise Refused(431, "the trailers are longer than %d bytes" % TRAILERS_MAX)
            parse_field(line)
        return b"".join(parts), b""

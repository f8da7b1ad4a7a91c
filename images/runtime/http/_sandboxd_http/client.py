"""An HTTP/1.1 client: what fetch() goes out by.

Servers are read with more patience than the instance's own clients are, but a length that is said twice
differently, and a body that ends before its length, are errors.
"""

import asyncio
import collections
import errno
import re
import socket
import zlib
from urllib.parse import urljoin, urlsplit

from .framing import HEAD_MAX, Body, Refused

IDLE_MAX = 8            # connections that are kept for each server
IDLE_SECONDS = 15
REDIRECTS_MAX = 20
CONNECT_SECONDS = 30
BODILESS = frozenset((204, 205, 304))
REDIRECTS = frozenset((301, 302, 303, 307, 308))
AHEAD_MAX = 262144
DISCARD_MAX = 65536
status_line = re.compile(rb"HTTP/1\.([01]) +([0-9]{3})(?: (.*))?", re.S).fullmatch
NO_WAY_OUT = frozenset((errno.ENETUNREACH, errno.EPERM, errno.EACCES, errno.EAFNOSUPPORT, errno.EHOSTUNREACH))


class Answer:
    """What a server has answered; its body comes by `async for`."""

    def __init__(self, status, reason, fields, body, url, redirected):
        self.status = status
        self.reason = reason
        self.fields = fields        # pairs of bytes
        self.body = body            # an asynchronous iterator of bytes, or None
        self.url = url
        self.redirected = redirected


def policy_name():
    try:
        import sandbox_job
        return sandbox_job.policy
    except ImportError:
        return None


def no_way(url, error):
    """The error to raise for a connection that could not be made; names the policy where that is the reason."""
    reason = error.strerror or str(error)
    name = policy_name()
    if name and (error.errno in NO_WAY_OUT or isinstance(error, socket.gaierror)):
        reason += " (the worker's policy '%s' may let nothing out: name one that does, such as 'network')" % name
    return failed(url, reason, error.errno)


def failed(url, reason, number=None):
    """The error to raise for a fetch; its text has no number in front."""
    made = OSError("fetch of %s failed: %s" % (url, reason))
    made.errno = number
    return made


class Wire(asyncio.Protocol):
    """One connection to a server."""

    def __init__(self, loop):
        self.loop = loop
        self.transport = None
        self.data = b""
        self.ended = False
        self.error = None
        self.waiter = None
        self.blocked = False
        self.drain = None
        self.reading = True
        self.used = False
        self.idle_since = 0.0

    def connection_made(self, transport):
        self.transport = transport

    def data_received(self, data):
        self.data = self.data + data if self.data else data
        self.wake()
        if len(self.data) > AHEAD_MAX and self.reading:
            self.reading = False
            self.transport.pause_reading()

    def eof_received(self):
        self.ended = True
        self.wake()
        return False

    def connection_lost(self, error):
        self.ended = True
        self.error = error
        self.wake()
        self.resume_writing()

    def wake(self):
        waiter, self.waiter = self.waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def more(self):
        """Wait for data beyond what there is; false at the end."""
        if self.ended:
            return False
        if not self.reading:
            self.reading = True
            self.transport.resume_reading()
        self.waiter = self.loop.create_future()
        await self.waiter
        return bool(self.data) or not self.ended

    def take(self):
        data, self.data = self.data, b""
        return data

    def pause_writing(self):
        self.blocked = True

    def resume_writing(self):
        self.blocked = False
        drain, self.drain = self.drain, None
        if drain is not None and not drain.done():
            drain.set_result(None)

    async def write(self, data):
        if self.ended:
            raise ConnectionResetError(errno.ECONNRESET, "the server has closed the connection")
        self.transport.write(data)
        if self.blocked:
            self.drain = self.loop.create_future()
            await self.drain


class Client:
    """Sends requests; keeps connections for the next ones.  It belongs to one loop."""

    def __init__(self, loop):
        self.loop = loop
        self.idle = collections.defaultdict(collections.deque)

    async def wire(self, key, url, fresh=False):
        """A connection to a server, and whether it has been used before."""
        idle = self.idle[key]
        while idle and not fresh:
            wire = idle.pop()
            if not wire.ended and not wire.data and self.loop.time() - wire.idle_since < IDLE_SECONDS:
                return wire
            wire.transport.abort()
        scheme, host, port = key
        tls = None
        if scheme == "https":
            import ssl
            tls = self.tls = getattr(self, "tls", None) or ssl.create_default_context()
        try:
            _, wire = await asyncio.wait_for(
                self.loop.create_connection(lambda: Wire(self.loop), host, port, ssl=tls), CONNECT_SECONDS)
        except asyncio.TimeoutError:
            raise no_way(url, OSError(errno.ETIMEDOUT, "no connection within %d seconds" % CONNECT_SECONDS)) from None
        except OSError as error:
            raise no_way(url, error) from error
        return wire

    def keep(self, key, wire):
        idle = self.idle[key]
        if wire.ended or wire.data or len(idle) >= IDLE_MAX:
            wire.transport.abort()
            return
        wire.used = True
        wire.idle_since = self.loop.time()
        idle.append(wire)

    def close(self):
        """Close the connections that were kept."""
        for idle in self.idle.values():
            while idle:
                idle.pop().transport.abort()

    async def fetch(self, method, url, fields=(), body=None, redirect="follow"):
        """Send a request; `body` is None, bytes or an asynchronous iterator of bytes."""
        redirected = False
        fields = list(fields)
        for _ in range(REDIRECTS_MAX + 1):
            answer = await self.once(method, url, fields, body, redirected)
            location = next((value for name, value in answer.fields if name.lower() == b"location"), None)
            if answer.status not in REDIRECTS or redirect == "manual" or location is None:
                return answer
            if redirect == "error":
                raise failed(url, "it was redirected, and redirect is 'error'")
            if answer.body is not None:
                await discard(answer.body)
            if body is not None and not isinstance(body, bytes) and answer.status != 303:
                raise failed(url, "it was redirected, and a streamed body cannot be sent again")
            target = urljoin(url, location.decode("latin-1"))
            if answer.status == 303 and method not in ("GET", "HEAD") \
                    or answer.status in (301, 302) and method == "POST":
                method, body = "GET", None
                fields = [pair for pair in fields if not pair[0].lower().startswith(b"content-")]
            if urlsplit(target)[:2] != urlsplit(url)[:2]:
                # As fetch does: what is meant for one server is not told to another one.
                fields = [pair for pair in fields if pair[0].lower() not in (b"authorization", b"cookie", b"host")]
            url = target
            redirected = True
        raise failed(url, "more than %d redirects" % REDIRECTS_MAX)

    async def once(self, method, url, fields, body, redirected):
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise failed(url, "only http and https can be fetched")
        key = parts.scheme, parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)
        head, chunked = self.head(method, parts, fields, body)
        for fresh in (False, True):
            wire = await self.wire(key, url, fresh)
            try:
                return await self.exchange(wire, key, method, url, head, chunked, body, redirected)
            except Stale:
                # The server had closed a kept connection before it saw the request.
                wire.transport.abort()
                if fresh or not (body is None or isinstance(body, bytes)):
                    raise failed(url, "the server closed the connection", errno.ECONNRESET) from None
            except Refused as refused:
                wire.transport.abort()
                raise failed(url, refused.text) from None
            except OSError as error:
                wire.transport.abort()
                raise failed(url, error.strerror or str(error), error.errno) from error
            except BaseException:
                wire.transport.abort()
                raise

    @staticmethod
    def head(method, parts, fields, body):
        target = (parts.path or "/") + ("?" + parts.query if parts.query else "")
        names = set()
        lines = []
        for name, value in fields:
            lower = name.lower()
            if lower in (b"content-length", b"transfer-encoding", b"connection"):
                continue
            if b"\n" in value or b"\r" in value or b"\0" in value:
                raise OSError("a header's value has a line break or a NUL in it: %r" % name)
            names.add(lower)
            lines.append(b"%b: %b\r\n" % (name, value))
        if b"host" not in names:
            host = parts.netloc.rpartition("@")[2].encode("idna" if not parts.netloc.isascii() else "ascii")
            lines.insert(0, b"host: %b\r\n" % host)
        for name, value in ((b"accept", b"*/*"), (b"user-agent", b"sandboxd")):
            if name not in names:
                lines.append(b"%b: %b\r\n" % (name, value))
        chunked = body is not None and not isinstance(body, bytes)
        if chunked:
            lines.append(b"transfer-encoding: chunked\r\n")
        elif body is not None or method in ("POST", "PUT", "PATCH"):
            lines.append(b"content-length: %d\r\n" % len(body or b""))
        target = re.sub(r"[^\x21-\x7e]", lambda found: "".join("%%%02X" % b for b in found.group().encode()), target)
        return b"%b %b HTTP/1.1\r\n%b\r\n" % (method.encode("ascii"), target.encode("ascii"), b"".join(lines)), chunked

    async def exchange(self, wire, key, method, url, head, chunked, body, redirected):
        async def send():
            try:
                if not chunked:
                    await wire.write(head + body if body else head)
                    return
                await wire.write(head)
                async for piece in body:
                    if piece:
                        await wire.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                await wire.write(b"0\r\n\r\n")
            except ConnectionError:
                pass    # the answer, or its absence, says more

        sending = None
        if chunked:
            sending = self.loop.create_task(send())
        else:
            await send()
        try:
            while True:
                status, reason, fields = await self.read_head(wire, sending)
                if status >= 200 or status == 101:
                    break
        except BaseException:
            if sending is not None:
                sending.cancel()
            raise
        length, keep, coding = lengths(fields)
        if method == "HEAD" or status in BODILESS:
            length = 0
        if length == 0:
            if keep and sending is None:
                self.keep(key, wire)
            else:
                wire.transport.abort() if sending is None else sending.add_done_callback(
                    lambda _: wire.transport.abort())
            return Answer(status, reason, fields, None if status in BODILESS else empty(), url, redirected)
        return Answer(status, reason, fields, decoded(
            Incoming(self.body(wire, key, Body(length), keep, sending, url), wire), coding),
                      url, redirected)

    async def read_head(self, wire, sending):
        while True:
            data = wire.data
            end = data.find(b"\r\n\r\n")
            if end >= 0:
                break
            if len(data) > HEAD_MAX:
                raise Refused(502, "the answer's header is longer than %d bytes" % HEAD_MAX)
            if not await wire.more():
                if not wire.data:
                    if wire.used:
                        raise Stale
                    raise ConnectionResetError(errno.ECONNRESET, "the server closed the connection without an answer")
                raise Refused(502, "the answer's header is cut short")
            if sending is not None and sending.done() and sending.exception():
                raise sending.exception()
        wire.data = data[end + 4:]
        lines = data[:end].split(b"\r\n")
        match = status_line(lines[0])
        if match is None:
            raise Refused(502, "the answer is not HTTP/1.1")
        fields = []
        for line in lines[1:]:
            name, mark, value = line.partition(b":")
            if not mark or not name or name != name.strip(b" \t"):
                raise Refused(502, "a header line of the answer is malformed")
            fields.append((name.lower(), value.strip(b" \t")))
        return int(match.group(2)), (match.group(3) or b"").decode("latin-1"), fields

    async def body(self, wire, key, body, keep, sending, url):
        whole = False
        try:
            while not body.done:
                data = wire.take()
                if not data:
                    if await wire.more():
                        continue
                    if not body.chunked and body.length < 0 and wire.error is None:
                        break
                    raise failed(url, "the answer is cut short", errno.ECONNRESET)
                try:
                    piece, wire.data = body.feed(data)
                except Refused as refused:
                    raise failed(url, refused.text) from None
                if piece:
                    yield piece
            whole = True
        finally:
            if sending is not None and not sending.done():
                sending.cancel()
                keep = False
            if whole and keep and body.length == 0:
                self.keep(key, wire)
            else:
                wire.transport.abort()


class Incoming:
    """The body of an answer; where nobody reads it, its connection ends."""

    def __init__(self, pieces, wire):
        self.pieces = pieces
        self.wire = wire
        self.begun = False

    def __aiter__(self):
        return self

    def __anext__(self):
        self.begun = True
        return self.pieces.__anext__()

    async def aclose(self):
        self.drop()
        await self.pieces.aclose()

    def drop(self):
        if not self.begun:
            self.begun = True
            self.wire.transport.abort()

    __del__ = drop


async def discard(body):
    """Read a short body, so that its connection can be used again; one that is longer ends it."""
    size = 0
    async for piece in body:
        size += len(piece)
        if size > DISCARD_MAX:
            break
    await body.aclose()


class Stale(Exception):
    """A connection that was kept has been closed by the server."""


async def empty():
    return
    yield b""


def lengths(fields):
    """What an answer's fields say: the body's length (None chunked, -1 until the end), whether the connection
    stays, and the content's codings.
    """
    length = -1
    keep = True
    chunked = False
    coding = []
    for name, value in fields:
        if name == b"content-length":
            if not value.isdigit() or length not in (-1, int(value)):
                raise Refused(502, "the answer's Content-Length makes no sense")
            length = int(value)
        elif name == b"transfer-encoding":
            if value.lower() != b"chunked" or chunked:
                raise Refused(502, "the answer's Transfer-Encoding is not known")
            chunked = True
        elif name == b"connection" and b"close" in value.lower():
            keep = False
        elif name == b"content-encoding":
            coding += [word.strip().lower() for word in value.split(b",")]
    if chunked:
        return None, keep, coding
    return length, keep and length >= 0, coding


def decoded(body, coding):
    """The body without its content codings, as far as they are known."""
    for word in reversed(coding):
        if word in (b"gzip", b"x-gzip", b"deflate"):
            body = inflated(body, word)
        elif word not in (b"", b"identity"):
            break
    return body


async def inflated(body, coding):
    inflate = zlib.decompressobj(47)    # a gzip or a zlib header, whichever comes
    try:
        async for piece in body:
            try:
                out = inflate.decompress(piece)
            except zlib.error as error:
                if coding != b"deflate":
                    raise OSError("the answer's %s is broken: %s" % (coding.decode(), error)) from None
                inflate = zlib.decompressobj(-15)
                out = inflate.decompress(piece)
            if out:
                yield out
        out = inflate.flush()
        if out:
            yield out
    finally:
        await body.aclose()

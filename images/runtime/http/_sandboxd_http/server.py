"""An HTTP/1.1 server on asyncio's transports: one Exchange after the other on each Connection.

The handler is a coroutine function that is given the Exchange, in a task of its own.  It answers by respond(), or
by start(), write() and end(), and whatever it leaves undone ends the connection.  Nothing is read from the client
that nobody has asked for but a bounded buffer, and a writer waits while the client does not read.
"""

import asyncio
import collections
import contextlib
import faulthandler
import http
import select
import time
from asyncio import Task
from email.utils import formatdate

from .control import transport_of
from .framing import Body, Head, Refused, find_head, token_all
from .nested import step_now

READ_MAX = 65536            # what is read at once
AHEAD_MAX = 65536           # what may wait of a next request while one is being answered
BODY_AHEAD_MAX = 262144     # what is taken of a body ahead of its reader
DISCARD_MAX = 262144        # what is read and dropped of a body that the handler did not want
STUCK_FACTOR = 3            # in timeouts of a request: for how long a handler may keep all others from running
STUCK_MIN = 1.0             # and seconds, for a machine that is busy

# Fields that say something of one connection, or that the server itself has to say.
HOP, LENGTH, DATE = 1, 2, 3
OWN_FIELDS = {b"connection": HOP, b"keep-alive": HOP, b"proxy-connection": HOP, b"transfer-encoding": HOP,
              b"upgrade": HOP, b"te": HOP, b"trailer": HOP, b"content-length": LENGTH, b"date": DATE}
good_names = {}     # names of fields that have been found right, and what is to be done with each
GOOD_NAMES_MAX = 2000

status_lines = {status.value: b"HTTP/1.1 %d %s\r\n" % (status.value, status.phrase.encode())
                for status in http.HTTPStatus}
BODILESS = frozenset((204, 205, 304))
METHODS = {name.encode(): name for name in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")}


class Gone(ConnectionError):
    """The client has left."""


def name_kind(name):
    """What is to be done with a field of this name; a ValueError where it is no name."""
    lower = name.lower()
    if not token_all(lower):
        raise ValueError("a header's name is malformed: %r" % name)
    kind = OWN_FIELDS.get(lower, 0)
    if len(good_names) < GOOD_NAMES_MAX:
        good_names[name] = kind
    return kind


class Exchange(Head):
    """A request and its answer.

    method, target and host are texts, `fields` pairs of lower name and value in bytes.  `id` names the request in
    logs.  `status` is what has been answered, 0 before that.
    """

    received = None         # pieces of the body that nobody has read
    size = 0
    body = None             # while more of the body is to come
    whole = True
    carries = False         # whether there is a body, though it may be empty
    waiter = None
    task = None
    status = 0
    bodiless = False
    length_said = None
    chunked = False
    sent = 0
    finished = False
    gone = False
    began = 0.0
    timed_out = False
    on_gone = None          # called when the client has left, and the handler has not been cancelled yet
    stop = None             # called instead of the handler's being cancelled

    def __init__(self, connection, lines):
        Head.__init__(self, lines)
        self.connection = connection
        method = self.method
        self.method = METHODS.get(method) or method.decode("latin-1")
        target = self.target
        self.target = target.decode("ascii") if target.isascii() else quoted(target)

    def header(self, name):
        """The first value of a field, as bytes, or None."""
        for key, value in self.fields:
            if key == name:
                return value
        return None

    @property
    def url(self):
        host = self.host
        return "%s://%s%s" % (self.scheme, host.decode("ascii") if host else "localhost",
                              self.target if self.target != "*" else "/")

    # The request's body

    async def read(self):
        """The next piece of the body; b"" at its end."""
        while not self.received:
            if self.whole:
                return b""
            if self.gone:
                raise Gone("the client left before the body was whole")
            if self.expects:
                self.expects = False
                if not self.status:
                    self.connection.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            if self.waiter is None:
                self.waiter = self.connection.loop.create_future()
            await self.waiter
        piece = self.received.popleft()
        self.size -= len(piece)
        if self.size <= BODY_AHEAD_MAX // 2:
            self.connection.resume()
        return piece

    async def read_all(self):
        """The whole body, or what has not been read of it."""
        if self.whole:
            received = self.received
            if not received:
                return b""
            data = received[0] if len(received) == 1 else b"".join(received)
            received.clear()
            self.size = 0
            return data
        pieces = []
        while True:
            piece = await self.read()
            if not piece:
                return b"".join(pieces)
            pieces.append(piece)

    async def __aiter__(self):
        while True:
            piece = await self.read()
            if not piece:
                return
            yield piece

    def take(self, piece):
        """Keep a piece of the body that has come."""
        if piece and not self.finished:
            if self.received is None:
                self.received = collections.deque()
            self.received.append(piece)
            self.size += len(piece)
        self.wake()

    def wake(self):
        waiter, self.waiter = self.waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # The answer

    def head(self, status, fields, reason, length):
        """The answer's head; `length` is the body's, or None where it is not known."""
        connection = self.connection
        if reason:
            line = b"HTTP/1.1 %d %s\r\n" % (status, reason.encode("latin-1", "replace"))
        else:
            line = status_lines.get(status) or b"HTTP/1.1 %d \r\n" % status
        parts = [line]
        said = None
        dated = False
        for name, value in fields:
            kind = good_names.get(name)
            if kind is None:
                kind = name_kind(name)
            if kind:
                if kind == LENGTH:
                    said = value
                    continue
                if kind == HOP:
                    continue
                dated = True
            parts.append(b"%b: %b\r\n" % (name, value))
        self.bodiless = status in BODILESS or status < 200 or self.method == "HEAD"
        if self.bodiless:
            if self.method == "HEAD" and (said or length is not None) and status not in BODILESS:
                said = said or b"%d" % length
                if not said.isdigit():
                    raise ValueError("Content-Length is no number: %r" % said)
                parts.append(b"content-length: %b\r\n" % said)
            elif status == 205:
                parts.append(b"content-length: 0\r\n")
        elif length is not None:
            parts.append(b"content-length: %d\r\n" % length)
        elif said is not None:
            if not said.isdigit():
                raise ValueError("Content-Length is no number: %r" % said)
            self.length_said = int(said)
            parts.append(b"content-length: %b\r\n" % said)
        elif self.minor:
            self.chunked = True
            parts.append(b"transfer-encoding: chunked\r\n")
        else:
            self.keep = False
        if not dated:
            parts.append(connection.server.date())
        if self.expects or connection.server.draining:
            # A client that waits to be told to send its body must not have it taken for the next request.
            self.keep = False
        if not self.keep:
            parts.append(b"connection: close\r\n")
        elif not self.minor:
            parts.append(b"connection: keep-alive\r\n")
        lines = len(parts)
        parts.append(b"\r\n")
        data = b"".join(parts)
        if data.count(b"\n") != lines + 1 or data.count(b"\r") != lines + 1 or b"\0" in data:
            raise ValueError("a header of the answer has a line break or a NUL in it")
        return data

    def respond(self, status, fields, body=b"", reason=None):
        """Answer whole."""
        data = self.head(status, fields, reason, len(body))
        self.status = status
        if body and not self.bodiless:
            data += body
        if not self.gone:
            self.connection.transport.write(data)
        self.sent = len(body)
        self.connection.answered(self)

    def start(self, status, fields, reason=None):
        """Begin an answer of which the body comes by write()."""
        data = self.head(status, fields, reason, None)
        self.status = status
        if not self.gone:
            self.connection.transport.write(data)

    async def write(self, piece):
        """Send a piece of the body; waits while the client does not read."""
        if self.finished:
            raise Gone("the answer has ended")
        if self.gone:
            raise Gone("the client has left")
        size = len(piece)
        if not size or self.bodiless:
            return
        self.sent += size
        if self.length_said is not None and self.sent > self.length_said:
            self.cut()
            raise ValueError("the body is longer than its Content-Length of %d" % self.length_said)
        connection = self.connection
        if self.chunked:
            if size <= 16384:
                connection.transport.write(b"%x\r\n%b\r\n" % (size, piece))
            else:
                connection.transport.writelines((b"%x\r\n" % size, piece, b"\r\n"))
        else:
            connection.transport.write(piece)
        if connection.blocked:
            await connection.drained()
        elif connection.transport.is_closing():
            # A body that never waits would go on for ever: that the client has left is told by the loop.
            await asyncio.sleep(0)
        if self.gone:
            raise Gone("the client has left")

    def end(self):
        """End the answer after its last piece."""
        if self.finished:
            return
        if not self.bodiless:
            if self.length_said is not None and self.sent < self.length_said:
                self.cut()
                raise ValueError("the body ends %d bytes before its Content-Length" % (self.length_said - self.sent))
            if self.chunked and not self.gone:
                self.connection.transport.write(b"0\r\n\r\n")
        self.connection.answered(self)

    def cut(self):
        """End the connection in the middle of an answer, so that the client can see that it is not whole."""
        self.keep = False
        if not self.finished:
            self.connection.transport.abort()
            self.connection.answered(self)


def quoted(target):
    return "".join(chr(byte) if byte < 128 else "%%%02X" % byte for byte in target)


class Connection(asyncio.BufferedProtocol):
    """One client's connection.

    All connections read into one buffer, which is empty again after each read: asyncio's own way takes as much
    memory for each read as it might bring, from the kernel and back to it.
    """

    def __init__(self, server):
        self.server = server
        self.loop = server.loop
        self.transport = None
        self.buffer = b""
        self.exchange = None
        self.fresh = True
        self.reading = True
        self.blocked = False
        self.waiters = []
        self.closing = False
        self.half_closed = False
        self.discarded = 0
        self.on_lost = None         # a future to set when the connection has ended

    def connection_made(self, transport):
        self.transport = transport
        self.server.connections.add(self)

    def get_buffer(self, _size):
        return self.server.buffer

    def buffer_updated(self, size):
        data = bytes(self.server.buffer[:size])
        if self.fresh:
            self.fresh = False
            if data[0] == 0 and self.server.on_control is not None:
                self.server.connections.discard(self)
                self.server.on_control(self.transport, data[1:])
                return
        exchange = self.exchange
        if exchange is None:
            if self.closing:
                return
            self.buffer = self.buffer + data if self.buffer else data
            self.advance()
        elif exchange.body is not None:
            self.feed(exchange, data)
        else:
            self.buffer += data
            if len(self.buffer) > AHEAD_MAX:
                self.pause()

    def pause(self):
        if self.reading:
            self.reading = False
            self.transport.pause_reading()

    def resume(self):
        if not self.reading and not self.closing:
            self.reading = True
            self.transport.resume_reading()

    def advance(self):
        """Begin the next request, if its head is in the buffer."""
        if self.server.held:
            self.pause()
            self.server.waiting.append(self)
            return
        buffer = self.buffer
        try:
            if buffer.startswith(b"\r\n"):
                buffer = buffer[2:]     # RFC 9112, 2.2: one empty line before a request is ignored
            end = find_head(buffer)
            if end is None:
                if self.half_closed:
                    self.close()
                return
            exchange = Exchange(self, buffer[:end].split(b"\r\n"))
        except Refused as refused:
            self.refuse(refused)
            return
        self.exchange = exchange
        self.buffer = b""
        end += 4
        data = buffer[end:] if end < len(buffer) else b""
        if exchange.length != 0:
            exchange.body = Body(exchange.length)
            exchange.whole = False
            exchange.carries = True
            if data:
                self.feed(exchange, data)
                if self.exchange is not exchange:
                    return
        else:
            self.buffer = data
        if self.half_closed and not exchange.whole:
            self.close()
            return
        self.server.begin(exchange)

    def feed(self, exchange, data):
        try:
            piece, rest = exchange.body.feed(data)
        except Refused as refused:
            self.refuse(refused)
            return
        if exchange.body.done:
            exchange.body = None
            exchange.whole = True
            exchange.expects = False
            self.buffer = rest
        exchange.take(piece)
        if exchange.finished:
            self.discarded += len(piece)
            if exchange.whole:
                self.next()
            elif self.discarded > DISCARD_MAX:
                self.close()
        elif exchange.size > BODY_AHEAD_MAX:
            self.pause()

    def refuse(self, refused):
        """Answer what breaks the rules of framing, and close."""
        exchange = self.exchange
        if exchange is not None:
            if exchange.status or exchange.finished:
                exchange.keep = False
                self.transport.abort()
            self.leave(exchange)
        self.closing = True
        self.exchange = None
        if exchange is None or not exchange.status:
            text = refused.text.encode() + b"\n"
            head = b"%bcontent-type: text/plain\r\ncontent-length: %d\r\n%bconnection: close\r\n\r\n"
            self.transport.write(head % (status_lines[refused.status], len(text), self.server.date()) + text)
        self.transport.close()

    def answered(self, exchange):
        """The answer is complete; goes on with the next request when the body is, too."""
        exchange.finished = True
        if exchange.received:
            exchange.received.clear()
        self.server.ended(exchange)
        if not exchange.keep or self.half_closed and not self.buffer:
            self.close()
        elif exchange.whole:
            self.next()
        else:
            self.discarded = 0
            self.resume()

    def next(self):
        self.exchange = None
        if not exchange_follows(self):
            return
        self.resume()
        if self.buffer:
            self.advance()

    def close(self):
        self.closing = True
        self.buffer = b""
        self.transport.close()

    # What the transport tells

    def eof_received(self):
        if self.left():
            return False
        # The client sends no more but still reads, as `shutdown(SHUT_WR)` makes it.
        self.half_closed = True
        exchange = self.exchange
        if exchange is None:
            return False
        if not exchange.whole:
            self.leave(exchange)
            return False
        return True

    def left(self):
        """Whether the client has closed its whole side, which is seen from the descriptor's state alone."""
        sock = self.transport.get_extra_info("socket")
        if sock is None or sock.fileno() < 0:
            return True
        poll = select.poll()
        poll.register(sock.fileno(), 0)
        return any(event & (select.POLLHUP | select.POLLERR) for _, event in poll.poll(0))

    def leave(self, exchange):
        """The client of this exchange has gone: whoever waits for it is told, and the handler is cancelled."""
        if exchange.gone:
            return
        exchange.gone = True
        exchange.wake()
        if exchange.finished:
            return
        if exchange.on_gone is not None:
            exchange.on_gone()
        # The handler sees that the client has gone before it is cancelled, if it is waiting for just that.
        self.loop.call_soon(self.server.stop, exchange)

    def connection_lost(self, error):
        self.closing = True
        self.server.connections.discard(self)
        self.resume_writing()
        if self.on_lost is not None and not self.on_lost.done():
            self.on_lost.set_result(None)
        exchange = self.exchange
        if exchange is not None:
            self.leave(exchange)

    def pause_writing(self):
        self.blocked = True

    def resume_writing(self):
        self.blocked = False
        waiters, self.waiters = self.waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def drained(self):
        while self.blocked and not self.closing:
            waiter = self.loop.create_future()
            self.waiters.append(waiter)
            await waiter


def exchange_follows(connection):
    """Whether another request may follow on the connection; closes it where none may."""
    if connection.closing:
        return False
    if connection.server.draining and not connection.buffer:
        connection.close()
        return False
    return True


class Server:
    """All connections of an instance.

    While it is held, requests wait.  `on_control` is given the transport of a connection whose first byte is 0,
    which no HTTP client can send through a proxy.
    """

    # Of the process, which has one server: in one that was parked, only the pages that are read into are its own.
    buffer = memoryview(bytearray(READ_MAX))

    def __init__(self, loop, handler, on_control=None, timeout=None):
        self.loop = loop
        self.handler = handler
        self.on_control = on_control
        self.timeout = timeout
        self.cancel = asyncio.Task.cancel
        self.connections = set()
        self.exchanges = set()
        self.draining = False
        self.held = False
        self.waiting = []
        self.listener = None
        self.idle = None            # a future that is set when nothing is in flight any more
        self.sweeping = False
        self.watches = True         # whether a loop that has no turn for long ends the process
        self.stepping = False
        self.served = 0
        self.on_load = None         # told how many requests there are and have been, at most once a second
        self.told = None            # what it was told last
        self.telling = False
        self.date_at = 0
        self.date_line = b""

    def date(self):
        now = int(time.time())
        if now != self.date_at:
            self.date_at = now
            self.date_line = b"date: %b\r\n" % formatdate(now, usegmt=True).encode()
        return self.date_line

    def connection(self):
        return Connection(self)

    async def listen(self, sock):
        self.listener = await self.loop.create_server(self.connection, sock=sock, backlog=1024)

    def adopt(self, sock):
        """Serve one connection that has been accepted elsewhere."""
        connection = Connection(self)
        transport_of(self.loop, sock, connection)
        return connection

    def hold(self):
        self.held = True

    def release(self):
        self.held = False
        waiting, self.waiting = self.waiting, []
        for connection in waiting:
            if not connection.closing:
                connection.resume()
                connection.advance()

    def begin(self, exchange):
        self.exchanges.add(exchange)
        self.served += 1
        if not self.telling and self.on_load is not None:
            self.tell_load()
        exchange.began = self.loop.time()
        loop = self.loop
        waiting = len(loop._ready)
        if loop._task_factory is None:
            exchange.task = Task(self.handler(exchange), loop=loop)
        else:
            exchange.task = loop.create_task(self.handler(exchange))
        if self.timeout is not None and not self.sweeping:
            self.sweeping = True
            self.watch()
            loop.call_later(min(1.0, self.timeout), self.sweep)
        # At once, but for requests of one piece of data: each would be answered in the stack of the one before.
        if not self.stepping:
            self.stepping = True
            step_now(loop, exchange.task, waiting)
            self.stepping = False

    def ended(self, exchange):
        self.exchanges.discard(exchange)
        if not self.telling and self.on_load is not None:
            self.tell_load()
        if not self.exchanges and self.idle is not None and not self.idle.done():
            self.idle.set_result(None)

    def stop(self, exchange):
        """End what is done for an exchange that nobody wants to be answered any more."""
        if exchange.stop is not None:
            exchange.stop()
        elif exchange.task is not None and not exchange.finished:
            self.cancel(exchange.task)

    def tell_load(self):
        load = len(self.exchanges), self.served
        self.telling = load != self.told
        if self.telling:
            self.told = load
            self.on_load(*load)
            self.loop.call_later(1.0, self.tell_load)

    def watch(self):
        """Let the process end, with its stacks in the log, when the loop has no turn for so long.

        A handler that computes without an end lets no other one run, cannot be cancelled, and does not say that
        the instance is unwell.  Another instance is started when this one has ended.
        """
        if not self.watches:
            return
        with contextlib.suppress(RuntimeError):     # no thread can be started now; the next sweep tries again
            faulthandler.dump_traceback_later(max(self.timeout * STUCK_FACTOR, STUCK_MIN), exit=True, file=2)

    def sweep(self):
        """Cancel the handlers that have taken too long; one timer does for all, while there is any."""
        self.sweeping = bool(self.exchanges)
        if not self.sweeping:
            if self.watches:
                faulthandler.cancel_dump_traceback_later()
            return
        self.watch()
        latest = self.loop.time() - self.timeout
        for exchange in list(self.exchanges):
            if exchange.began < latest and not exchange.timed_out:
                exchange.timed_out = True
                self.stop(exchange)
        self.loop.call_later(min(1.0, self.timeout), self.sweep)

    async def drain(self):
        """Take no more connections, answer what has been asked, and close."""
        self.draining = True
        if self.listener is not None:
            self.listener.close()
        for connection in list(self.connections):
            if connection.exchange is None:
                connection.close()
        while self.exchanges:
            self.idle = self.loop.create_future()
            await self.idle

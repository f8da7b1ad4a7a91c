"""The control channel: frames between an instance and the front.

A frame is the length of its header and of its body (two little-endian numbers of four bytes), the header, which is
a JSON object with the key "op", and the body.

The front may be a new process at any time: it connects again, and says hello again.  What was asked of the old one
is asked of the new one, if asking twice does no harm.
"""

import asyncio
import collections
import contextvars
import json
import math
import struct
import weakref

HEADER_MAX = 65536
HEADER_IN_MAX = 4 * 1024 * 1024     # a thousand keys with their metadata come in one
BODY_MAX = 26 * 1024 * 1024
OUTSTANDING_MAX = 64        # asks that the front answers at one time
SHORT = 2000
QUEUED_MAX = 10000          # asks that wait for their turn
PIECE_MAX = 65536           # of a body that comes or goes in pieces
WINDOW = 262144             # what is on its way of one, each way
lengths = struct.Struct("<II")
# What may be asked twice.
REPEATABLE = frozenset(("get", "getWithMetadata", "getMany", "put", "delete", "list"))


# Seconds after which a channel is read that nobody has needed so far.
NEEDED_AFTER = 0.05


def transport_of(loop, sock, protocol):
    """The transport of a connected socket, at once: connect_accepted_socket() takes several turns of the loop.

    The protocol's connection_made() is called in the loop's next turn.
    """
    sock.setblocking(False)
    return loop._make_socket_transport(sock, protocol)


class FrameError(Exception):
    """What has come is no frame, or what is to be sent would be none: the front ends whom it has one of."""


class AskError(Exception):
    """The front has refused what was asked; `kind` is "TypeError" or "Error"."""

    def __init__(self, kind, message):
        Exception.__init__(self, message)
        self.kind = kind
        self.message = message


def unsendable(value):
    """Why the front's JSON has no such value, in words, or None.  What handlers pass on is often a client's."""
    if isinstance(value, str):
        return "a text with a NUL character" if "\0" in value else None
    if isinstance(value, float):
        return None if math.isfinite(value) else "a number that is none"
    if isinstance(value, int):
        return None if -1 << 63 <= value < 1 << 63 else "a number that is too large"
    if isinstance(value, dict):
        return next(filter(None, map(unsendable, value)), None) or unsendable(list(value.values()))
    if isinstance(value, (list, tuple)):
        return next(filter(None, map(unsendable, value)), None)
    return None


def sendable(value):
    """The same with something in the place of what cannot be sent, for what nobody can be told of an error."""
    if isinstance(value, str):
        return value.replace("\0", "\ufffd")
    if isinstance(value, dict):
        return {sendable(key): sendable(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [sendable(each) for each in value]
    return None if unsendable(value) else value


def encode(header, body=b""):
    why = unsendable(header)
    if why:
        raise FrameError("%s cannot be sent" % why)
    data = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode("utf-8", "replace")
    if len(data) > HEADER_MAX or len(body) > BODY_MAX:
        raise FrameError("a frame of %d and %d bytes is too long" % (len(data), len(body)))
    return lengths.pack(len(data), len(body)) + data + body


def shortened(header):
    """A header that is too long with its texts cut: a traceback by its beginning, which says the least."""
    return {key: value[-SHORT:] if key == "traceback" else value[:SHORT] if isinstance(value, (str, list)) else value
            for key, value in header.items()}


class Reader:
    """Takes frames out of what comes."""

    def __init__(self):
        self.buffer = bytearray()

    def feed(self, data):
        """The frames that are whole now: a list of (header, body)."""
        buffer = self.buffer
        buffer += data
        frames = []
        at = 0
        while len(buffer) - at >= lengths.size:
            header_size, body_size = lengths.unpack_from(buffer, at)
            if header_size > HEADER_IN_MAX or body_size > BODY_MAX:
                raise FrameError("a frame of %d and %d bytes is too long" % (header_size, body_size))
            begin = at + lengths.size
            middle = begin + header_size
            if len(buffer) < middle + body_size:
                break
            try:
                header = json.loads(buffer[begin:middle])
            except ValueError as error:
                raise FrameError("a frame's header is not JSON: %s" % error)
            if not isinstance(header, dict) or not isinstance(header.get("op"), str):
                raise FrameError("a frame's header has no op")
            at = middle + body_size
            frames.append((header, bytes(buffer[middle:at])))
        if at:
            del buffer[:at]
        return frames


class Ask:
    """What one binding wants of the front.  upload: an asynchronous generator of the rest of its body, or None."""

    __slots__ = ("number", "header", "body", "future", "sent", "upload", "context")

    def __init__(self, number, header, body, future, upload=None):
        self.number = number
        self.header = header
        self.body = body
        self.future = future
        self.sent = False
        self.upload = upload
        self.context = contextvars.copy_context() if upload is not None else None


class Upload:
    """A body that goes to the front in pieces, never more ahead of it than WINDOW."""

    def __init__(self, control, ask):
        self.control, self.number, self.body, self.future = control, ask.number, ask.upload, ask.future
        self.ahead = 0
        self.waiter = None
        self.task = ask.context.run(control.loop.create_task, self.run())

    def tell(self, header, piece=b""):
        self.control.send(dict(header, op="piece", id=self.number), piece)

    async def run(self):
        try:
            async for whole in self.body:
                whole = bytes(whole)
                for at in range(0, len(whole), PIECE_MAX):
                    piece = whole[at:at + PIECE_MAX]
                    while self.ahead + len(piece) > WINDOW:
                        self.waiter = self.control.loop.create_future()
                        await self.waiter
                    self.ahead += len(piece)
                    self.tell({}, piece)
            self.tell({"last": True})
        except asyncio.CancelledError:
            pass
        except BaseException as error:
            if not self.future.done():
                self.future.set_exception(error)
            self.tell({"broken": True})
        finally:
            await self.body.aclose()

    def took(self, size):
        self.ahead = max(self.ahead - size, 0)
        waiter, self.waiter = self.waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)


class Download:
    """The rest of an answer, which comes in pieces. Whoever lets go of it does not want what is left."""

    def __init__(self, control, number, first):
        self.control, self.number = control, number
        self.pieces = collections.deque((first,) if first else ())
        self.ended = False
        self.broken = None
        self.waiter = None

    def feed(self, header, piece):
        if piece:
            self.pieces.append(piece)
        if "broken" in header:
            self.broken = str(header["broken"])
        self.ended = self.ended or "broken" in header or header.get("last") is True
        waiter, self.waiter = self.waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def read(self):
        """The next piece; b"" at the end."""
        while not self.pieces:
            if self.broken is not None:
                raise AskError("Error", self.broken)
            if self.ended:
                return b""
            self.waiter = self.control.loop.create_future()
            await self.waiter
        piece = self.pieces.popleft()
        if not self.ended:
            self.control.send({"op": "took", "id": self.number, "bytes": len(piece)})
        return piece

    def close(self):
        if not self.ended:
            self.ended = True
            self.control.forget(self.number)
            self.control.send({"op": "cancel", "id": self.number})

    def __del__(self):
        self.close()


class Control(asyncio.Protocol):
    """The channel, over the connections that the front makes one after the other.

    on_frame(header, body) is called for each frame but answers.
    """

    def __init__(self, loop, on_frame, on_lost=None):
        self.loop = loop
        self.on_frame = on_frame
        self.on_lost = on_lost
        self.transport = None
        self.reader = None
        self.numbers = 0
        self.asked = {}             # by number: what the front has been asked and has not answered
        self.queued = collections.deque()
        self.blocked = False
        self.streams = False        # the front takes and gives bodies in pieces
        self.uploads = {}           # by number
        self.downloads = weakref.WeakValueDictionary()
        self.later = None           # a connection that is not used yet, and what was read from it

    def attach_later(self, sock, data=b""):
        """Go on over this connection as soon as something is sent, and soon in any case: most requests have ended
        by then, and what the front has to say is not for them.
        """
        self.later = sock, data
        self.loop.call_later(NEEDED_AFTER, self.attach_now)

    def attach_now(self):
        if self.later is not None:
            (sock, data), self.later = self.later, None
            self.attach(transport_of(self.loop, sock, asyncio.Protocol()), data)

    def attach(self, transport, data=b""):
        """Go on over a new connection, of which the first bytes may have come."""
        old, self.transport = self.transport, transport
        if old is not None:
            old.abort()
        self.reader = Reader()
        self.blocked = False
        transport.set_protocol(Link(self, transport))
        if data:
            self.received(transport, data)
        self.pump()

    def received(self, transport, data):
        if transport is not self.transport:
            return
        try:
            frames = self.reader.feed(data)
        except FrameError as error:
            self.lost(transport, error)
            transport.abort()
            return
        for header, body in frames:
            op = header["op"]
            if op == "answer":
                self.answer(header, body)
            elif op == "piece":
                download = self.downloads.get(header.get("id"))
                if download is not None:
                    if "broken" in header or header.get("last") is True:
                        self.forget(header["id"])
                    download.feed(header, body)
            elif op == "took":
                upload = self.uploads.get(header.get("id"))
                if upload is not None:
                    upload.took(int(header.get("bytes") or 0))
            else:
                self.on_frame(header, body)

    def lost(self, transport, error=None):
        if transport is not self.transport:
            return
        self.transport = None
        for number, ask in sorted(self.asked.items(), reverse=True):
            if not ask.future.done():
                if ask.header["method"] in REPEATABLE:
                    ask.sent = False
                    self.queued.appendleft(ask)
                else:
                    ask.future.set_exception(AskError(
                        "Error", "the node was restarted while %s.%s() was under way: whether it took effect is "
                        "not known" % (ask.header["binding"], ask.header["method"])))
        self.asked.clear()
        for number, download in list(self.downloads.items()):
            self.forget(number)
            download.feed({"broken": "the node was restarted before the answer was whole"}, b"")
        for number in list(self.uploads):
            self.forget(number)
        if self.on_lost is not None:
            self.on_lost(error)

    def send(self, header, body=b""):
        """Send a frame, if there is a front; says whether there was one."""
        self.attach_now()
        if self.transport is None:
            return False
        try:
            data = encode(header, body)
        except FrameError:
            header = sendable(header)
            try:
                data = encode(header, body)
            except FrameError:
                data = encode(shortened(header), body)
        self.transport.write(data)
        return True

    def ask(self, binding, method, body=b"", upload=None, **values):
        """Ask the front; returns a future of (header, body) of its answer, or an AskError.

        The body of the answer is bytes, or a Download.
        """
        future = self.loop.create_future()
        if len(self.queued) >= QUEUED_MAX:
            future.set_exception(AskError("Error", "more than %d calls of bindings wait" % QUEUED_MAX))
            return future
        self.numbers += 1
        header = dict(values, op="ask", id=self.numbers, binding=binding, method=method)
        ask = Ask(self.numbers, header, body, future, upload)
        self.queued.append(ask)
        self.pump()
        return future

    def pump(self):
        """Send what waits, as far as the front takes it."""
        self.attach_now()
        while self.queued and self.transport is not None and not self.blocked and len(self.asked) < OUTSTANDING_MAX:
            ask = self.queued.popleft()
            if ask.future.done():
                if not ask.future.cancelled() or ask.header["method"] not in ("put", "delete"):
                    continue
            try:
                data = encode(ask.header, ask.body)
            except FrameError as error:
                if not ask.future.done():
                    ask.future.set_exception(AskError("Error", "%s.%s(): %s" % (ask.header["binding"],
                                                                                ask.header["method"], error)))
                continue
            self.asked[ask.number] = ask
            self.transport.write(data)
            if ask.upload is not None:
                self.uploads[ask.number] = Upload(self, ask)

    def forget(self, number):
        """Nothing more of it comes, or is wanted."""
        self.downloads.pop(number, None)
        upload = self.uploads.pop(number, None)
        if upload is not None:
            upload.task.cancel()

    def answer(self, header, body):
        ask = self.asked.pop(header.get("id"), None)
        if ask is None:
            return
        if header.get("stream") is True:
            # Where nobody waits any more, it is let go of at once.
            body = Download(self, ask.number, body)
            self.downloads[ask.number] = body
        else:
            self.forget(ask.number)
        if not ask.future.done():
            if header.get("ok") is True:
                ask.future.set_result((header, body))
            else:
                ask.future.set_exception(AskError(header.get("error", "Error"), str(header.get("message", ""))))
        self.pump()

    def idle(self):
        return not self.asked and not self.queued


class Link(asyncio.Protocol):
    """One connection of the channel."""

    def __init__(self, control, transport):
        self.control = control
        self.transport = transport

    def data_received(self, data):
        self.control.received(self.transport, data)

    def pause_writing(self):
        if self.control.transport is self.transport:
            self.control.blocked = True

    def resume_writing(self):
        if self.control.transport is self.transport:
            self.control.blocked = False
            self.control.pump()

    def connection_lost(self, error):
        self.control.lost(self.transport, error)

"""The control channel: frames between an instance and the front.

A frame is the length of its header and of its body (two little-endian numbers of four bytes), the header, which is
a JSON object with the key "op", and the body.

The front may be a new process at any time: it connects again, and says hello again.  What was asked of the old one
is asked of the new one, if asking twice does no harm.
"""

import asyncio
import collections
import json
import math
import struct

HEADER_MAX = 65536
HEADER_IN_MAX = 4 * 1024 * 1024     # a thousand keys with their metadata come in one
BODY_MAX = 26 * 1024 * 1024
OUTSTANDING_MAX = 64        # asks that the front answers at one time
SHORT = 2000
QUEUED_MAX = 10000          # asks that wait for their turn
lengths = struct.Struct("<II")
# What may be asked twice.
REPEATABLE = frozenset(("get", "getWithMetadata", "getMany", "put", "delete", "list"))


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
    """What one binding wants of the front."""

    __slots__ = ("number", "header", "body", "future", "sent")

    def __init__(self, number, header, body, future):
        self.number = number
        self.header = header
        self.body = body
        self.future = future
        self.sent = False


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
            if header["op"] == "answer":
                self.answer(header, body)
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
        if self.on_lost is not None:
            self.on_lost(error)

    def send(self, header, body=b""):
        """Send a frame, if there is a front; says whether there was one."""
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

    def ask(self, binding, method, body=b"", **values):
        """Ask the front; returns a future of (header, body) of its answer, or an AskError."""
        future = self.loop.create_future()
        if len(self.queued) >= QUEUED_MAX:
            future.set_exception(AskError("Error", "more than %d calls of bindings wait" % QUEUED_MAX))
            return future
        self.numbers += 1
        header = dict(values, op="ask", id=self.numbers, binding=binding, method=method)
        ask = Ask(self.numbers, header, body, future)
        self.queued.append(ask)
        self.pump()
        return future

    def pump(self):
        """Send what waits, as far as the front takes it."""
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

    def answer(self, header, body):
        ask = self.asked.pop(header.get("id"), None)
        if ask is None:
            return
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

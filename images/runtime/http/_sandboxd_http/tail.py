"""What a call of a handler has printed and how it has ended, for those who look at the worker live.

An event is one frame, of which the header is bounded: so much of everything is in it, and where something was cut,
it says so.
"""

import json
import time

LOGS_BYTES = 32768          # of JSON, as all of these
LINE_BYTES = 8192
LINES_MAX = 500
HEADERS_BYTES = 8192
URL_BYTES = 4096
EXCEPTIONS_MAX = 2
MESSAGE_BYTES = 1024
STACK_BYTES = 6144


def size(text):
    return len(json.dumps(text, ensure_ascii=False).encode("utf-8", "replace"))


def cut(text, room, end=False):
    """The beginning of a text, or its end, that takes at most so many bytes as JSON."""
    if size(text) <= room:
        return text
    text = text[-room:] if end else text[:room]
    while size(text) > room:
        half = len(text) * 3 // 4
        text = text[-half:] if end else text[:half]
    return text


class Record:
    """What one call has printed, and what it has raised."""

    __slots__ = ("logs", "partial", "exceptions", "bytes", "truncated")

    def __init__(self):
        self.logs = []
        self.partial = {}       # by level: a line that has no end yet
        self.exceptions = []
        self.bytes = 0
        self.truncated = False

    def note(self, level, text):
        """Take text that was printed: its whole lines, and the beginning of the next one."""
        lines = (self.partial.get(level, "") + text).split("\n")
        rest = lines.pop()
        self.partial[level] = rest[:LINE_BYTES]
        self.truncated = self.truncated or len(rest) > LINE_BYTES
        for line in lines:
            self.add(level, line)

    def add(self, level, line):
        short = cut(line, LINE_BYTES)
        took = size(short) + 64
        if len(self.logs) >= LINES_MAX or self.bytes + took > LOGS_BYTES:
            self.truncated = True
            return
        self.truncated = self.truncated or short is not line
        self.bytes += took
        self.logs.append({"level": level, "message": [short], "timestamp": int(time.time() * 1000)})

    def fail(self, error, text, stack):
        """Take an exception."""
        if len(self.exceptions) >= EXCEPTIONS_MAX:
            self.truncated = True
            return
        name = getattr(error, "name", None)
        self.exceptions.append({"name": cut(name if isinstance(name, str) else type(error).__name__, 200),
                                "message": cut(text or message_of(error), MESSAGE_BYTES),
                                "stack": cut(stack, STACK_BYTES, end=True)})

    def finish(self):
        for level, line in self.partial.items():
            if line:
                self.add(level, line)
        self.partial.clear()


def message_of(error):
    try:
        return str(error)
    except Exception:
        return ""


def headers_of(fields):
    """The request's fields by their names, as many as there is room for."""
    found = {}
    room = HEADERS_BYTES
    for name, value in fields:
        name = name.decode("latin-1")
        value = value.decode("latin-1")
        room -= size(name) + size(value)
        if room < 0:
            break
        found[name] = value if name not in found else "%s, %s" % (found[name], value)
    return found


def event(record, what, said):
    """The frame that tells how a call has ended."""
    record.finish()
    header = {"op": "event", "logs": record.logs, "exceptions": record.exceptions}
    header.update(what)
    header.update(said)
    if "url" in header:
        header["method"] = cut(header["method"], 100)
        header["url"] = cut(header["url"], URL_BYTES)
        header["headers"] = headers_of(header["headers"])
    if "cron" in header:
        header["cron"] = cut(header["cron"], 300)
    header["request_id"] = cut(header["request_id"], 200)
    if record.truncated:
        header["truncated"] = True
    return header

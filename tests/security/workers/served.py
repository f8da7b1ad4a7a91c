"""A worker of `sandboxctl serve` that asks the command for what its bindings do not name."""
import gc
import json
import os
import struct

from workers import Response, WorkerEntrypoint


def channel():
    """The runtime's own end of the control channel."""
    from _sandboxd_http.control import Control
    gc.unfreeze()
    return next(item for item in gc.get_objects() if isinstance(item, Control))


def frame(head, body=b"", head_size=None, body_size=None):
    text = json.dumps(head).encode()
    return struct.pack("<II", head_size or len(text), body_size or len(body)) + text + body


FRAMES = {
    "junk": os.urandom(4096),
    "long": frame({"op": "ask"}, head_size=0xffffffff),
    "huge": frame({"op": "ask"}, body_size=0xffffffff),
    "noop": frame({"id": 1}),
    "many": b"".join(frame({"op": "ask", "id": n, "binding": "", "method": "fetch",
                            "http": {"method": "GET", "url": "http://192.0.2.1/", "headers": []}}) for n in range(200)),
}


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        path = request.url.split("/", 3)[3]
        if path in FRAMES:
            channel().transport.write(FRAMES[path])
            return Response("sent")
        if path == "say":
            channel().transport.write(
                frame({"op": "failed", "message": "\x1b]0;title\x07", "file": "\x1b[31m", "line": 3})
                + frame({"op": "ready", "handlers": ["\x1b[31m"], "import_ms": 1e300})
                + frame({"op": "done", "id": 77, "ok": False, "message": "\x1b[31m"})
                + frame({"op": "event", "logs": "\x1b[31m"}))
            print("\x1b]0;title\x07printed")
            return Response("said")
        # Anything else: what the command is to be asked for, as JSON.
        asked = json.loads(await request.text())
        binding, method, body = asked.pop("binding"), asked.pop("method"), asked.pop("body", "")
        try:
            header, body = await channel().ask(binding, method, body.encode(), **asked)
        except Exception as error:
            return Response("%s: %s" % (type(error).__name__, error))
        return Response("%d %s" % (header.get("status", 0), body.decode("latin-1")))

"""Serves a few requests that nobody has made, in a process of which a snapshot is to be taken.

What the first requests of a process create, types, caches and specialized code, is in the snapshot then: an
instance that comes out of it would make all of that itself, and copy the pages that it writes to.  Nothing is left
open, and no state of the worker's is touched, for the worker is imported after this.
"""

import asyncio
import contextvars
import json
import socket
import sys
import types

import _sandboxd_js as js
from pyodide.webloop import WebLoop

from . import dispatch, framing, instance, nested, server, warm
from .control import Control, encode

TIMES = 12      # CPython specializes what has been called eight times
REQUEST = (b"GET / HTTP/1.1\r\nHost: localhost\r\nX-Request-ID: 0\r\nX-Forwarded-For: 127.0.0.1\r\n"
           b"X-Forwarded-Proto: http\r\nX-Real-IP: 127.0.0.1\r\nCF-Connecting-IP: 127.0.0.1\r\nConnection: close\r\n\r\n")


async def handler(request, env, ctx):
    """What answers."""
    return js.Response("", {"headers": {"x": request.method}})


async def serve_one(loop, worker):
    """As an instance of isolation "request" serves: its channel, one connection, one request."""
    ours, theirs = socket.socketpair()
    front, channel = socket.socketpair()
    with ours, front:
        ours.sendall(REQUEST)
        front.sendall(encode({"op": "hello", "secrets": {}}))
        worker.control.attach_later(channel)
        connection = worker.server.adopt(theirs)
        connection.on_lost = loop.create_future()
        if not connection.closing:
            await connection.on_lost
        worker.control.send({"op": "ready"})
        worker.control.transport.abort()


def rehearse():
    """Serve as many requests as it takes."""
    for _ in range(TIMES):
        loop = WebLoop()
        try:
            nested.Stacks(loop)
            worker = dispatch.Worker({"main": "", "timeout_s": 60}, loop, Control(loop, lambda header, body: None))
            worker.functions["fetch"] = handler
            worker.server = server.Server(loop, worker.handle)
            contextvars.Context().run(loop.run_until_complete, serve_one(loop, worker))
        finally:
            loop.close()
    framing.known.clear()
    dispatch.positions.clear()


# The whole of it, from the job to the answer, in a process that ends after it (sandbox_touched): what it has touched
# by then is what clones of the snapshot have ahead.  The worker's own code is not called.

MAIN = "_sandboxd_rehearsal"
PAYLOAD = {
    "worker": "rehearsal", "project": "default", "version": "0" * 36, "instance": "0" * 24, "main": MAIN,
    "main_file": MAIN + ".py", "isolation": "request", "compatibility_date": "2026-03-01", "concurrency": 100,
    "timeout_s": 60, "edge": 1, "tag": "", "timestamp": "2026-03-01T00:00:00Z",
    "compatibility_flags": ["python_workers"], "bindings": []}


def application():
    """An ASGI application of the framework that the worker has imported, or of none."""
    if "fastapi" in sys.modules:
        from fastapi import FastAPI
        app = FastAPI()

        @app.get("/")
        async def root():
            return {"message": ""}
        return app
    if "starlette.applications" in sys.modules:
        from starlette.applications import Starlette
        from starlette.responses import PlainTextResponse
        from starlette.routing import Route

        async def endpoint(_request):
            return PlainTextResponse("")
        return Starlette(routes=[Route("/", endpoint)])

    async def bare(scope, _receive, send):
        if scope["type"] != "http":
            raise RuntimeError("http alone")
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})
    return bare


def entrypoint(sdk):
    """A worker's class by the SDK that it has imported."""
    class Default(sdk.WorkerEntrypoint):
        """Answers."""

        async def fetch(self, _request):
            """The answer."""
            return sdk.Response("")
    return Default


def make_worker():
    """Make a worker of the same kind as the real one."""
    module = types.ModuleType(MAIN)
    sdk = sys.modules.get("workers")
    if sdk is None:
        module.on_fetch = handler
    elif getattr(sdk, "_sandboxd", False) and "workers.asgi" in sys.modules:
        module.Default = sdk.asgi.entrypoint(application())
    else:
        module.Default = entrypoint(sdk)
    sys.modules[MAIN] = module


def job():
    """The job of a run for one request."""
    records = ((b"kind", b"entry"), (b"entry", b"_sandboxd_http.rehearse:serve"),
               (b"payload", json.dumps(PAYLOAD).encode()), (b"id", b"1"), (b"seed", b"\0" * 32), (b"hostname", b"h"))
    return b"".join(b"%b %d\n%b\n" % (key, len(value), value) for key, value in records)


def serve(config):
    """Serve one request as the runtime's entry does."""
    ours, theirs = socket.socketpair()
    front, channel = socket.socketpair()
    ours.sendall(REQUEST)
    socket.send_fds(front, [encode({"op": "hello", "tail": False, "quiet": True, "secrets": {}})], [theirs.fileno()])
    theirs.close()
    warm.printed.clear()    # of this process, which ends: nothing is printed again
    instance.Instance(config, channel.detach()).run()
    if not ours.recv(65536).startswith(b"HTTP/1.1 200 "):
        raise ValueError("the rehearsal was not answered")

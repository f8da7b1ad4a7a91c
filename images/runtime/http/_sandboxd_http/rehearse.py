"""Serves a few requests that nobody has made, in a process of which a snapshot is to be taken.

What the first requests of a process create, types, caches and specialized code, is in the snapshot then: an
instance that comes out of it would make all of that itself, and copy the pages that it writes to.  Nothing is left
open, and no state of the worker's is touched, for the worker is imported after this.
"""

import asyncio
import contextvars
import socket

import _sandboxd_js as js
from pyodide.webloop import WebLoop

from . import dispatch, framing, nested, server
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

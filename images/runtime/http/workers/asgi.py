"""Serves ASGI applications.

A request that the server has read and nobody has touched goes to the application as it is: its bytes are the
scope's, and the application's are the answer's.
"""

import asyncio
import collections
import functools
import logging
from urllib.parse import unquote, urlsplit

from _sandboxd_http.message import exchange_of, response_of
from _sandboxd_http.nested import step_now
from _sandboxd_js.binary import bytes_of

from .entrypoints import WorkerEntrypoint
from .gateway import BaseOptions
from .request import Request

ASGI = {"spec_version": "2.0", "version": "3.0"}
NULL_BODY_STATUSES = frozenset((101, 103, 204, 205, 304))
STREAM_AHEAD = 65536        # so many bytes may wait for the client before the application does
logger = logging.getLogger("asgi")
background_tasks = set()
lifespans = {}      # by application: its Lifespan


class Options(BaseOptions):
    """Options of this adapter."""


def run_in_background(coro):
    """Run something beside the request; what it raises is logged."""
    future = asyncio.ensure_future(coro)
    background_tasks.add(future)
    future.add_done_callback(_ended)
    return future


def _ended(future):
    background_tasks.discard(future)
    if not future.cancelled() and future.exception() is not None:
        logger.error("Unhandled exception in background task", exc_info=future.exception())


def scope_of(exchange, env, kind, state):
    """The scope of a request as the server has read it."""
    raw, _, query = exchange.target.partition("?")
    scope = {
        "type": kind,
        "asgi": ASGI,
        "http_version": "1.1",
        "method": exchange.method,
        "scheme": exchange.scheme,
        "path": unquote(raw) if "%" in raw else raw,
        "raw_path": raw.encode("ascii"),
        "query_string": query.encode("ascii"),
        "headers": list(exchange.fields),
        "env": env,
    }
    if state is not None:
        scope["state"] = dict(state)
    return scope


def request_to_scope(req, env, ws=False, state=None):
    """The scope of a request."""
    request = req.js_object if isinstance(req, Request) else req
    exchange = exchange_of(request)
    if exchange is not None:
        return scope_of(exchange, env, "websocket" if ws else "http", state)
    url = urlsplit(request.url)
    headers = [(name.encode(), value.encode("latin-1", "replace") if not value.isascii() else value.encode())
               for name, value in request.headers.sorted()]
    scheme = url.scheme
    method = str(request.method)
    path = unquote(url.path)
    raw_path, query = url.path.encode("ascii", "replace"), url.query.encode("ascii", "replace")
    scope = {
        "type": "websocket" if ws else "http",
        "asgi": ASGI,
        "http_version": "1.1",
        "method": method,
        "scheme": scheme,
        "path": path,
        "raw_path": raw_path,
        "query_string": query,
        "headers": headers,
        "env": env,
    }
    if state is not None:
        scope["state"] = dict(state)
    return scope


class Lifespan:
    """An application's startup, once for the instance, and its state."""

    def __init__(self, app):
        self.app = app
        self.state = {}
        self.began = None       # a future of whether the application has a lifespan
        self.up = False         # whether that is known

    async def start(self):
        if self.began is None:
            self.began = asyncio.get_running_loop().create_future()
            self.began.add_done_callback(lambda future: future.cancelled() or future.exception())
            self.inbox = asyncio.Queue()
            self.inbox.put_nowait({"type": "lifespan.startup"})
            self.over = asyncio.get_running_loop().create_future()
            task = asyncio.get_running_loop().create_task(self.run())
            background_tasks.add(task)
            task.add_done_callback(background_tasks.discard)
        try:
            await asyncio.shield(self.began)
            self.up = True
        except RuntimeError:
            lifespans.pop(id(self.app), None)   # the next request tries again
            raise

    async def run(self):
        try:
            await self.app({"type": "lifespan", "asgi": ASGI, "state": self.state}, self.inbox.get, self.send)
        except asyncio.CancelledError:
            raise
        except BaseException as error:
            if not self.began.done():
                logger.debug("ASGI lifespan task raised before reporting startup; treating the app as not supporting "
                             "lifespan", exc_info=error)
            else:
                logger.error("Exception in ASGI lifespan application", exc_info=error)
        finally:
            if not self.began.done():
                self.began.set_result(False)
            if not self.over.done():
                self.over.set_result(None)

    async def send(self, message):
        kind = message["type"]
        if kind == "lifespan.startup.complete":
            if not self.began.done():
                self.began.set_result(True)
        elif kind == "lifespan.startup.failed":
            if not self.began.done():
                self.began.set_exception(RuntimeError(message.get("message") or "ASGI lifespan startup failed"))
        elif kind == "lifespan.shutdown.complete":
            if not self.over.done():
                self.over.set_result(None)
        elif kind == "lifespan.shutdown.failed":
            if not self.over.done():
                self.over.set_exception(RuntimeError(message.get("message") or "ASGI lifespan shutdown failed"))
        else:
            raise RuntimeError("Unexpected lifespan event %s" % kind)

    async def stop(self):
        if self.began is not None and self.began.done() and not self.began.exception() and self.began.result():
            self.inbox.put_nowait({"type": "lifespan.shutdown"})
            await self.over


def lifespan_of(app):
    found = lifespans.get(id(app))
    if found is None:
        found = lifespans[id(app)] = Lifespan(app)
    return found


async def shutdown_all():
    """End the lifespans of all applications; the runtime calls this before the instance ends."""
    for each in list(lifespans.values()):
        await each.stop()
    lifespans.clear()


class Stream:
    """The body of an answer that comes in pieces: the application waits while the client does not read."""

    def __init__(self, run):
        self.run = run
        self.pieces = collections.deque()
        self.size = 0
        self.ended = False
        self.failed = None
        self.reader = self.writer = None

    async def put(self, piece):
        if self.failed is not None:
            raise self.failed
        if piece:
            self.pieces.append(piece)
            self.size += len(piece)
        wake(self.reader)
        while self.size > STREAM_AHEAD and self.failed is None:
            self.writer = asyncio.get_running_loop().create_future()
            await self.writer

    def end(self, failed=None):
        self.ended = True
        self.failed = failed
        wake(self.reader)
        wake(self.writer)

    async def read(self):
        try:
            while True:
                while self.pieces:
                    piece = self.pieces.popleft()
                    self.size -= len(piece)
                    if self.size <= STREAM_AHEAD:
                        wake(self.writer)
                    yield piece
                if self.failed is not None:
                    raise self.failed
                if self.ended:
                    return
                self.reader = asyncio.get_running_loop().create_future()
                await self.reader
        finally:
            if not self.ended:
                self.failed = ConnectionResetError("the client has left")
                wake(self.writer)
                self.run.leave()


def wake(future):
    if future is not None and not future.done():
        future.set_result(None)


class Run:
    """One request in an application."""

    __slots__ = ("request", "exchange", "status", "headers", "result", "stream", "over", "reading", "source", "gone",
                 "begun")

    def __init__(self, request, exchange):
        self.request = request
        self.exchange = exchange
        self.status = None
        self.headers = ()
        self.result = None          # the answer, whole or not
        self.stream = None
        self.over = None            # a future of the end, where the application waits for that
        self.reading = True
        self.source = None
        self.gone = False
        self.begun = None           # a future of when there is an answer, or none to come

    async def receive(self):
        if self.reading:
            if self.source is None:
                request = self.request
                data = request._data if not request._spent and request._stream is None else None
                if data is not None or (request._incoming is None and request._stream is None):
                    self.reading = False
                    request._spent = data is not None
                    return {"type": "http.request", "body": data or b"", "more_body": False}
                self.source = pieces_of(request)
            try:
                piece = await self.source.__anext__()
                return {"type": "http.request", "body": piece, "more_body": True}
            except StopAsyncIteration:
                self.reading = False
                return {"type": "http.request", "body": b"", "more_body": False}
            except ConnectionError:
                self.reading = False
                return {"type": "http.disconnect"}
        if not self.gone and not self.ended():
            if self.over is None:
                self.over = asyncio.get_running_loop().create_future()
                if self.exchange is not None:
                    self.exchange.on_gone = self.leave
                    if self.exchange.gone:
                        self.leave()
            await self.over
        return {"type": "http.disconnect"}

    def ended(self):
        if self.stream is not None:
            return self.stream.ended
        return self.result is not None

    def leave(self):
        """The client has gone, or the answer is complete."""
        self.gone = True
        wake(self.over)

    async def send(self, message):
        kind = message["type"]
        if kind == "http.response.start":
            if self.status is not None:
                raise RuntimeError("Expected ASGI message 'http.response.body', but got 'http.response.start'.")
            self.status = message["status"]
            self.headers = message.get("headers") or ()
        elif kind == "http.response.body":
            if self.status is None:
                raise RuntimeError("Expected ASGI message 'http.response.start', but got 'http.response.body'.")
            body = message.get("body", b"")
            more = message.get("more_body", False)
            stream = self.stream
            if stream is not None:
                if not stream.ended:
                    await stream.put(bytes(body))
                    if not more:
                        stream.end()
                        wake(self.over)
            elif self.result is None:
                null = self.status in NULL_BODY_STATUSES
                if more and not null:
                    self.stream = stream = Stream(self)
                    self.answer(stream.read())
                    await stream.put(bytes(body))
                else:
                    self.answer(None if null else bytes(body))
                    wake(self.over)

    def answer(self, body):
        self.result = response_of(self.status, list(self.headers), body)
        if self.begun is not None:
            wake(self.begun)

    async def serve(self, app, scope):
        try:
            await app(scope, self.receive, self.send)
            if self.result is None:
                raise RuntimeError("The application did not generate a response")
        except BaseException as error:
            if self.result is None:
                raise
            if isinstance(error, asyncio.CancelledError):
                if self.stream is not None:
                    self.stream.end(error)
                raise
            if not (self.gone and isinstance(error, ConnectionError)):
                logger.error("Exception in ASGI application after response started", exc_info=error)
            if self.stream is not None and not self.stream.ended:
                self.stream.end(RuntimeError("the application has failed after the answer had begun"))
        finally:
            if self.stream is not None and not self.stream.ended:
                self.stream.end()
            if self.over is not None:
                wake(self.over)
            if self.result is None:
                wake(self.begun)


class DirectRun:
    """One request in an application that the server has been given for it: nothing is between the two."""

    __slots__ = ("exchange", "worker", "status", "headers", "begun", "over", "reading")

    def __init__(self, exchange, worker):
        self.exchange = exchange
        self.worker = worker
        self.status = None
        self.headers = ()
        self.begun = False          # the answer, which comes in pieces
        self.over = None            # a future of the end, where the application waits for that
        self.reading = True

    async def receive(self):
        exchange = self.exchange
        if self.reading:
            if exchange.whole:
                self.reading = False
                body = await exchange.read_all() if exchange.carries else b""
                return {"type": "http.request", "body": body, "more_body": False}
            try:
                piece = await exchange.read()
            except ConnectionError:
                self.reading = False
                return {"type": "http.disconnect"}
            self.reading = bool(piece)
            return {"type": "http.request", "body": piece, "more_body": self.reading}
        if not exchange.gone and not exchange.finished:
            if self.over is None:
                self.over = asyncio.get_running_loop().create_future()
                exchange.on_gone = self.leave
            await self.over
        return {"type": "http.disconnect"}

    def leave(self):
        wake(self.over)

    def stop(self):
        """Nobody wants the rest of an answer that has begun: its application sees that, and is not cancelled."""
        exchange = self.exchange
        exchange.gone = True
        if exchange.timed_out:
            self.worker.too_long(exchange)
        exchange.cut()
        wake(self.over)

    async def send(self, message):
        kind = message["type"]
        exchange = self.exchange
        if kind == "http.response.start":
            if self.status is not None:
                raise RuntimeError("Expected ASGI message 'http.response.body', but got 'http.response.start'.")
            self.status = message["status"]
            self.headers = message.get("headers") or ()
        elif kind == "http.response.body":
            status = self.status
            if status is None:
                raise RuntimeError("Expected ASGI message 'http.response.start', but got 'http.response.body'.")
            if exchange.finished:
                if self.begun and exchange.gone:
                    raise ConnectionResetError("the client has left")
                return
            body = message.get("body", b"")
            more = message.get("more_body", False)
            if self.begun:
                await exchange.write(bytes(body))
            elif more and status not in NULL_BODY_STATUSES:
                exchange.start(status, pairs_of(self.headers))
                self.begun = True
                exchange.stop = self.stop
                self.worker.background.add(exchange.task)
                await exchange.write(bytes(body))
                return
            else:
                exchange.respond(status, pairs_of(self.headers), b"" if status in NULL_BODY_STATUSES else bytes(body))
                self.worker.background.add(exchange.task)
                if self.over is not None:
                    wake(self.over)
                return
            if not more:
                exchange.end()
                wake(self.over)

    async def serve(self, app, scope):
        exchange = self.exchange
        try:
            await app(scope, self.receive, self.send)
            if not exchange.finished:
                if not self.begun:
                    raise RuntimeError("The application did not generate a response")
                exchange.end()
        except BaseException as error:
            if not exchange.status:
                if isinstance(error, Exception):
                    logger.exception("ASGI request failed")
                raise
            if isinstance(error, asyncio.CancelledError):
                raise
            if not (exchange.gone and isinstance(error, ConnectionError)):
                logger.error("Exception in ASGI application after response started", exc_info=error)
            if not exchange.finished:
                raise RuntimeError("the application has failed after the answer had begun") from None
        finally:
            exchange.stop = exchange.on_gone = None
            self.worker.background.discard(exchange.task)
            if self.over is not None:
                wake(self.over)


def pairs_of(headers):
    """Headers as an application has given them, as pairs of bytes."""
    if type(headers) is not list:
        headers = list(headers)
    if headers and type(headers[0][0]) is not bytes:
        return [(bytes(name) if not isinstance(name, str) else name.encode("ascii"),
                 bytes(value) if not isinstance(value, str) else value.encode()) for name, value in headers]
    return headers


async def pieces_of(request):
    """A request's body, piece by piece."""
    if request._stream is None:
        incoming, request._incoming = request._incoming, None
        request._spent = True
        async for piece in incoming:
            yield piece
        return
    async for chunk in request.body:
        yield bytes_of(chunk)


async def fetch(app, req, env, ctx=None, *, options=None):
    """The Response of an application to a request."""
    request = req.js_object if isinstance(req, Request) else req
    lifespan = lifespans.get(id(app)) or lifespan_of(app)
    try:
        if not lifespan.up:
            await lifespan.start()
        scope = request_to_scope(request, env, False, lifespan.state)
        loop = asyncio.get_running_loop()
        run = Run(request, exchange_of(request))
        waiting = len(loop._ready)
        serving = loop.create_task(run.serve(app, scope))
        step_now(loop, serving, waiting)
        if run.result is None and not serving.done():
            run.begun = loop.create_future()
            try:
                await run.begun
            except asyncio.CancelledError:
                serving.cancel()
                raise
        if run.result is None:
            await serving       # raises what the application has raised
        if not serving.done():
            # It streams, or works on after its answer, which goes out first.
            keep(serving, run)
    except asyncio.CancelledError:
        raise
    except Exception:
        logger.exception("ASGI request failed")
        raise
    response = run.result
    if options is not None and options.encode_body != "automatic":
        response._encode = options.encode_body
    return response


def keep(task, run):
    """Keep the instance while an application still works; tell it when the client leaves."""
    from workers import wait_until
    wait_until(task)
    if run.exchange is not None and run.exchange.on_gone is None:
        run.exchange.on_gone = run.leave


async def serve_exchange(app, exchange, worker):
    """Have an application answer the server itself, in the task of the request.

    A task that may go on when its answer is complete is in the worker's `background`.
    """
    lifespan = lifespans.get(id(app)) or lifespan_of(app)
    if not lifespan.up:
        try:
            await lifespan.start()
        except Exception:
            logger.exception("ASGI request failed")
            raise
    await DirectRun(exchange, worker).serve(app, scope_of(exchange, worker.sdk_env, "http", lifespan.state))


async def asgi_adapter(app, request, env=None, ctx=None):
    """The older name of fetch()."""
    return await fetch(app, request, env, ctx)


async def websocket(app, req, env=None):
    """WebSockets are not there yet."""
    raise NotImplementedError("WebSockets are not there yet: asgi.websocket() cannot serve this request")


def entrypoint(app, *, options=None):
    """A class Default that serves an application."""
    class Default(WorkerEntrypoint):
        """Serves the application."""

        async def fetch(self, request):
            """The application's response."""
            if (request.js_object.headers.get("upgrade") or "").lower() == "websocket":
                return await websocket(app, request, self.env)
            return await fetch(app, request, self.env, self.ctx, options=options)

    # Where nobody has put another fetch into its place, the server calls this instead.
    Default._sandboxd_direct = Default.fetch, Default.__init__, functools.partial(serve_exchange, app)
    return Default


def __getattr__(name):
    if name == "env":
        from fastapi import Depends
        from fastapi import Request as FastRequest

        @Depends
        async def env(request: FastRequest):
            return request.scope["env"]
        return env
    raise AttributeError("module %r has no attribute %r" % (__name__, name))

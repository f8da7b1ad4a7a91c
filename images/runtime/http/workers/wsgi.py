"""Serves WSGI applications (PEP 3333).

The application is called in the request's own stack.  Where it reads a body that has not come, it blocks, and
other requests are served meanwhile (run_sync).
"""

import io
import logging
import sys
from urllib.parse import unquote_to_bytes, urlsplit

from _sandboxd_http.message import response_of
from _sandboxd_js.binary import bytes_of
from pyodide.ffi import can_run_sync, run_sync

from .entrypoints import WorkerEntrypoint
from .gateway import BaseOptions
from .request import Request

NULL_BODY_STATUSES = frozenset((101, 103, 204, 205, 304))
logger = logging.getLogger("wsgi")
END = object()


class Options(BaseOptions):
    """Options of this adapter."""


class Input(io.RawIOBase):
    """wsgi.input: reads the request's body when the application does."""

    def __init__(self, pieces):
        self.pieces = pieces
        self.left = b""
        self.ended = False

    def readable(self):
        return True

    async def next_piece(self):
        async for piece in self.pieces:
            return piece
        return None

    def readinto(self, room):
        while not self.left and not self.ended:
            piece = run_sync(self.next_piece())
            if piece is None:
                self.ended = True
            else:
                self.left = piece
        size = min(len(room), len(self.left))
        room[:size] = self.left[:size]
        self.left = self.left[size:]
        return size


async def pieces_of(request):
    async for chunk in request.body:
        yield bytes_of(chunk)


class Pieces:
    """An asynchronous iterator that can be looped over in several goes."""

    def __init__(self, iterator):
        self.iterator = iterator

    def __aiter__(self):
        return self

    async def __anext__(self):
        return await self.iterator.__anext__()


async def input_of(request):
    """The body as wsgi.input: at once where it is whole, else as it comes."""
    if request._data is not None and request._stream is None and not request._spent:
        request._spent = True
        return io.BytesIO(request._data)
    if not request.body:
        return io.BytesIO()
    if can_run_sync():
        return io.BufferedReader(Input(Pieces(pieces_of(request))))
    return io.BytesIO(b"".join([piece async for piece in pieces_of(request)]))


def native(text):
    """A text as PEP 3333 has it: its bytes in UTF-8 as characters of latin-1."""
    return text.encode("utf-8").decode("latin-1")


def build_environ(req, env, body):
    """The environ of a request; body is bytes or a file."""
    request = req.js_object if isinstance(req, Request) else req
    url = urlsplit(request.url)
    if not url.scheme:
        raise ValueError("Request URL is not absolute: %r" % request.url)
    file = io.BytesIO(body) if isinstance(body, (bytes, bytearray)) else body
    environ = {
        "REQUEST_METHOD": str(request.method),
        "SCRIPT_NAME": "",
        "PATH_INFO": unquote_to_bytes(url.path or "/").decode("latin-1"),
        "QUERY_STRING": native(url.query),
        "SERVER_NAME": url.hostname or "localhost",
        "SERVER_PORT": str(url.port or (443 if url.scheme == "https" else 80)),
        "SERVER_PROTOCOL": "HTTP/1.1",
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": url.scheme,
        "wsgi.input": file,
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": False,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        "workers.env": env,
    }
    exchange = getattr(request, "_exchange", None)
    if exchange is not None:
        fields = [(name.decode("latin-1"), value.decode("latin-1")) for name, value in exchange.fields]
    else:
        fields = [(name, native(value)) for name, value in request.headers.pairs()]
    for name, value in fields:
        key = name.upper().replace("-", "_")
        if key not in ("CONTENT_TYPE", "CONTENT_LENGTH"):
            key = "HTTP_" + key
        if key in environ and key != "HTTP_COOKIE":
            environ[key] += "," + value
        elif key in environ:
            environ[key] += "; " + value
        else:
            environ[key] = value
    if isinstance(body, (bytes, bytearray)) and body and "CONTENT_LENGTH" not in environ:
        environ["CONTENT_LENGTH"] = str(len(body))
    return environ


class Answer:
    """What an application has called start_response() and write() with."""

    def __init__(self):
        self.status = None
        self.headers = []
        self.written = []
        self.sent = False

    def start_response(self, status, headers, exc_info=None):
        if exc_info is not None:
            try:
                if self.sent:
                    raise exc_info[1].with_traceback(exc_info[2])
            finally:
                exc_info = None
        elif self.status is not None:
            raise AssertionError("start_response() called more than once")
        self.status = status
        self.headers = headers
        return self.write

    def write(self, data):
        if self.status is None:
            raise AssertionError("write() called before start_response()")
        if data:
            self.written.append(data)


class Closing:
    """Calls the result's close() and closes the input, once."""

    def __init__(self, result, file):
        self.result = result
        self.file = file

    def __call__(self):
        result, self.result = self.result, None
        file, self.file = self.file, None
        try:
            close = getattr(result, "close", None)
            if close is not None:
                close()
        finally:
            if file is not None:
                file.close()


def process_request(app, req, env, body, options=None):
    """The Response of an application, of which as much has run as makes the answer's head known."""
    environ = build_environ(req, env, body)
    answer = Answer()
    result = app(environ, answer.start_response)
    close = Closing(result, environ["wsgi.input"])
    try:
        pieces = iter(result)
        # An application may call start_response() as late as for its first piece that is not empty.
        first = next((piece for piece in pieces if piece), END)
        if answer.status is None:
            raise RuntimeError("The WSGI application did not call start_response()")
        answer.sent = True
        code, _, reason = answer.status.partition(" ")
        headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in answer.headers]
        status = int(code)
        if status in NULL_BODY_STATUSES:
            close()
            response = response_of(status, headers, None, reason or None)
        elif isinstance(result, (list, tuple)):
            data = b"".join(answer.written + ([] if first is END else [first]) + [piece for piece in pieces if piece])
            close()
            response = response_of(status, headers, data, reason or None)
        else:
            response = response_of(status, headers, stream(answer, first, pieces, close), reason or None)
    except BaseException:
        close()
        raise
    if options is not None and options.encode_body != "automatic":
        response._encode = options.encode_body
    return response


async def stream(answer, first, pieces, close):
    """The pieces of the answer, each made when the one before has been sent."""
    try:
        for piece in answer.written:
            yield piece
        if first is not END:
            yield first
        for piece in pieces:
            if piece:
                yield piece
    except GeneratorExit:
        raise
    except Exception:
        logger.exception("Exception while streaming WSGI response body")
        raise
    finally:
        close()


async def fetch(app, req, env, ctx=None, *, options=None):
    """The Response of an application to a request."""
    request = req.js_object if isinstance(req, Request) else req
    try:
        return process_request(app, request, env, await input_of(request), options)
    except Exception:
        logger.exception("WSGI request failed")
        raise


def entrypoint(app, *, options=None):
    """A class Default that serves an application."""
    class Default(WorkerEntrypoint):
        """Serves the application."""

        async def fetch(self, request):
            """The application's response."""
            return await fetch(app, request, self.env, self.ctx, options=options)
    return Default

"""HTTP for Python's programs, on JavaScript's fetch."""

import asyncio
import functools
import io
import json as _json

from _sandboxd_js.convert import from_entries
from _sandboxd_js.core import JsException, js_error
from _sandboxd_js.events import AbortController, AbortSignal
from _sandboxd_js.fetch import Request
from _sandboxd_js.fetch import fetch as _fetch
from pyodide.ffi import to_js

__all__ = ["AbortError", "BodyUsedError", "FetchResponse", "HttpStatusError", "open_url", "pyfetch"]


class HttpStatusError(OSError):
    """The status of a response is an error."""

    def __init__(self, status, status_text, url):
        self.status = status
        self.status_text = status_text
        self.url = url
        if 400 <= status < 500:
            kind = "Client Error"
        elif 500 <= status < 600:
            kind = "Server Error"
        else:
            kind = "Invalid error code not between 400 and 599"
        super().__init__("%s %s: %s for url: %s" % (status, kind, status_text, url))

    def __reduce__(self):
        return (type(self), (self.status, self.status_text, self.url), self.__dict__)


class BodyUsedError(OSError):
    """The body of a response has been read already."""

    def __init__(self, *_args):
        super().__init__("Response body is already used")


class AbortError(OSError):
    """The network has failed, or nobody wanted the answer any more."""

    def __init__(self, reason):
        super().__init__(getattr(reason, "message", None) or str(reason))


def _reason(reason):
    return None if reason is None else js_error("AbortError", str(reason))


def _aborting(method):
    """Makes a failure of JavaScript's an AbortError, and has a cancelled call abort the request."""

    @functools.wraps(method)
    async def call(self, *args, **kwargs):
        try:
            return await method(self, *args, **kwargs)
        except JsException as error:
            signal = self.abort_signal
            raise AbortError(signal.reason if signal is not None and signal.aborted else error) from None
        except asyncio.CancelledError as error:
            if self.abort_controller:
                self.abort_controller.abort(_reason("\n".join(map(str, error.args)) if error.args else None))
            raise

    return call


class FetchResponse:
    """A response, with Python's types for its parts."""

    def __init__(self, request, js_response, abort_controller=None, abort_signal=None):
        if isinstance(request, str):
            self.js_request = Request(request) if request else None
            self._url = self.js_request.url if request else request
        else:
            self.js_request = request
            self._url = request.url
        self.js_response = js_response
        self.abort_controller = abort_controller
        self.abort_signal = abort_signal

    @property
    def body_used(self):
        """Whether the body has been read."""
        return self.js_response.bodyUsed

    @property
    def headers(self):
        """The headers as a dict."""
        return dict(self.js_response.headers.sorted())

    @property
    def ok(self):
        """Whether the status is one of 200 to 299."""
        return self.js_response.ok

    @property
    def redirected(self):
        """Whether a redirect was followed."""
        return self.js_response.redirected

    @property
    def status(self):
        """The status."""
        return self.js_response.status

    @property
    def status_text(self):
        """The words that go with the status."""
        return self.js_response.statusText

    @property
    def type(self):
        """The type of the response."""
        return self.js_response.type

    @property
    def url(self):
        """The address that the response is from."""
        return self.js_response.url

    def _raise_if_failed(self):
        signal = self.abort_signal
        if signal is not None and signal.aborted:
            raise AbortError(signal.reason)
        if self.js_response.bodyUsed:
            raise BodyUsedError

    def raise_for_status(self):
        """Raises HttpStatusError when the status is an error."""
        if 400 <= self.status < 600:
            raise HttpStatusError(self.status, self.status_text, self.url)

    def clone(self):
        """The same response once more."""
        if self.js_response.bodyUsed:
            raise BodyUsedError
        return FetchResponse(self.js_request or self._url, self.js_response.clone(), self.abort_controller,
                             self.abort_signal)

    @_aborting
    async def buffer(self):
        """The body as an ArrayBuffer."""
        self._raise_if_failed()
        return await self.js_response.arrayBuffer()

    @_aborting
    async def text(self):
        """The body as a text."""
        self._raise_if_failed()
        return await self.js_response.text()

    async def string(self):
        """The body as a text."""
        return await self.text()

    async def json(self, **kwargs):
        """What the body says as JSON, read by Python's json.loads."""
        return _json.loads(await self.text(), **kwargs)

    async def memoryview(self):
        """The body as a memoryview."""
        return (await self.buffer()).to_memoryview()

    async def bytes(self):
        """The body as bytes."""
        return (await self.buffer()).to_bytes()

    async def unpack_archive(self, *, extract_dir=None, format=None):
        """Unpacks the body, which is an archive, into a folder."""
        import os
        import shutil
        import tempfile

        name = self._url.rsplit("/", 1)[-1] or "archive"
        data = await self.bytes()
        with tempfile.TemporaryDirectory() as folder:
            path = os.path.join(folder, os.path.basename(name.partition("?")[0]) or "archive")
            with open(path, "wb") as file:
                file.write(data)
            shutil.unpack_archive(path, extract_dir, format)

    def abort(self, reason=None):
        """Gives the request up."""
        if self.abort_controller is None:
            raise ValueError("abort_controller is not set")
        self.abort_controller.abort(_reason(reason))


async def pyfetch(request, /, *, signal=None, fetcher=None, **kwargs):
    """The response to a request, as a FetchResponse."""
    controller = AbortController()
    both = controller.signal if not signal else AbortSignal._static_any([signal, controller.signal])
    kwargs["signal"] = both
    options = to_js(kwargs, dict_converter=from_entries)
    if isinstance(request, str):
        request = Request(request, options)
    try:
        response = await (fetcher or _fetch)(request, options)
    except asyncio.CancelledError as error:
        controller.abort(_reason("\n".join(map(str, error.args)) if error.args else None))
        raise
    except JsException as error:
        raise AbortError(error) from None
    return FetchResponse(request, response, controller, both)


def open_url(url):
    """The text at an address, for which the program waits."""
    from pyodide.ffi import run_sync

    async def read():
        return await (await pyfetch(url)).text()

    return io.StringIO(run_sync(read()))

"""Requests."""

import json
from http import HTTPStatus  # noqa: F401

import _sandboxd_js
from _sandboxd_http.bindings import type_error
from pyodide.ffi import JsException

from .blob import Blob
from .formdata import FormData
from .utils import http_message, js_headers, none_of_null, python_error

try:
    from http import HTTPMethod
except ImportError:     # before Python 3.11
    import enum

    class HTTPMethod(str, enum.Enum):
        """The methods of HTTP."""

        CONNECT = "CONNECT"
        DELETE = "DELETE"
        GET = "GET"
        HEAD = "HEAD"
        OPTIONS = "OPTIONS"
        PATCH = "PATCH"
        POST = "POST"
        PUT = "PUT"
        TRACE = "TRACE"

_JsRequest = _sandboxd_js.Request


def js_body(body):
    """A body as JavaScript has it."""
    return body.js_object if hasattr(body, "js_object") else body


class Request:
    """A request."""

    __slots__ = ("_js_request", "__dict__", "__weakref__")

    def __init__(self, input, **other_options):
        if isinstance(input, _JsRequest):
            if other_options:
                raise ValueError("Expected no options when constructing Request from a js.Request")
            self._js_request = input
            return
        if isinstance(other_options.get("method"), HTTPMethod):
            other_options["method"] = other_options["method"].value
        if other_options.get("headers") is not None:
            other_options["headers"] = js_headers(other_options["headers"])
        body = other_options.pop("body", None)
        if body is not None:
            other_options["body"] = js_body(body)
        try:
            self._js_request = _JsRequest(input._js_request if isinstance(input, Request) else input, None,
                                          **other_options)
        except JsException as error:
            if error.name == "TypeError":
                raise type_error(error.message) from error
            raise

    def __repr__(self):
        return "Request(method=%r, url=%r)" % (self._js_request.method, self._js_request.url)

    @property
    def js_object(self):
        return self._js_request

    @property
    def body(self):
        return self._js_request.body

    @property
    def body_used(self):
        return self._js_request.bodyUsed

    @property
    def cf(self):
        return none_of_null(self._js_request.cf)

    @property
    def cache(self):
        return self._js_request.cache

    @property
    def credentials(self):
        return self._js_request.credentials

    @property
    def destination(self):
        return self._js_request.destination

    @property
    def headers(self):
        return http_message(self._js_request.headers)

    @property
    def integrity(self):
        return self._js_request.integrity

    @property
    def is_history_navigation(self):
        return self._js_request.isHistoryNavigation

    @property
    def keepalive(self):
        return self._js_request.keepalive

    @property
    def method(self):
        method = self._js_request.method
        try:
            return HTTPMethod(method)
        except ValueError:
            return method

    @property
    def mode(self):
        return self._js_request.mode

    @property
    def redirect(self):
        return self._js_request.redirect

    @property
    def referrer(self):
        return self._js_request.referrer

    @property
    def referrer_policy(self):
        return self._js_request.referrerPolicy

    @property
    def url(self):
        return self._js_request.url

    def _unused(self):
        if self._js_request.bodyUsed:
            raise OSError("Body already used")

    async def text(self):
        self._unused()
        return await self._js_request.text()

    async def json(self, **kwargs):
        self._unused()
        return json.loads(await self._js_request.text(), **kwargs)

    async def buffer(self):
        self._unused()
        return await self._js_request.arrayBuffer()

    async def bytes(self):
        self._unused()
        return (await self._js_request.arrayBuffer()).to_bytes()

    async def blob(self):
        self._unused()
        return Blob(await self._js_request.blob())

    async def form_data(self):
        self._unused()
        try:
            return FormData(await self._js_request.formData())
        except JsException as error:
            raise python_error(error) from error

    def clone(self):
        self._unused()
        return Request(self._js_request.clone())

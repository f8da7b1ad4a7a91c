"""Responses."""

import json
from http import HTTPStatus

import _sandboxd_js
import js
import pyodide.http
from _sandboxd_http.message import response_of
from pyodide.ffi import JsException, JsProxy

from .blob import Blob
from .formdata import FormData
from .utils import BODY_TYPES, http_message, js_headers, js_name, none_of_null, python_error

_JsResponse = _sandboxd_js.Response
_TEXT = [(b"content-type", b"text/plain;charset=UTF-8")]
_JSON = [(b"content-type", b"application/json")]


def options_of(status, status_text, headers, web_socket=None):
    options = {}
    if status:
        options["status"] = status.value if isinstance(status, HTTPStatus) else status
    if status_text:
        options["statusText"] = status_text
    if headers:
        options["headers"] = js_headers(headers)
    if web_socket:
        options["webSocket"] = web_socket
    return options


class FetchResponse(pyodide.http.FetchResponse):
    """A response, with Python's types for its parts."""

    @property
    def js_object(self):
        return self.js_response

    @property
    def body(self):
        return none_of_null(self.js_response.body)

    @property
    def headers(self):
        return http_message(self.js_response.headers)

    async def form_data(self):
        self._raise_if_failed()
        try:
            return FormData(await self.js_response.formData())
        except JsException as error:
            raise python_error(error) from error

    formData = form_data

    async def blob(self):
        self._raise_if_failed()
        return Blob(await self.js_response.blob())

    def replace_body(self, body):
        """The same response with another body."""
        old = self.js_response
        options = {"status": old.status, "headers": old.headers}
        if old.statusText:
            options["statusText"] = old.statusText
        return Response._of(_JsResponse(body.js_object if hasattr(body, "js_object") else body, options))

    @staticmethod
    def redirect(url, status=HTTPStatus.FOUND):
        """A response of JavaScript's that sends the client elsewhere."""
        try:
            return js.Response.redirect(url, status.value if isinstance(status, HTTPStatus) else status)
        except JsException as error:
            raise python_error(error) from error

    @staticmethod
    def from_json(data, status=HTTPStatus.OK, status_text="", headers=None):
        """A response that says a value as JSON."""
        try:
            if isinstance(data, JsProxy):
                return Response._of(js.Response.json(data, **options_of(status, status_text, headers)))
            text = json.dumps(data)
            if headers is None and not status_text and status == 200:
                return Response._of(response_of(200, _JSON, text.encode()))
            made = _JsResponse(text, options_of(status, status_text, headers))
        except JsException as error:
            raise python_error(error) from error
        given = headers is not None and js_headers(headers).has("content-type")
        if not given:
            made.headers.set("content-type", "application/json")
        return Response._of(made)

    def json(self, *args, **kwargs):
        """What the body says as JSON; called on the class, a response that says a value."""
        if isinstance(self, Response):
            return super().json()
        return Response.from_json(self, *args, **kwargs)


class Response(FetchResponse):
    """A response that the worker makes."""

    def __init__(self, body=None, status=None, status_text="", headers=None, web_socket=None):
        kind = type(body)
        if kind is not str and kind is not bytes and body is not None:
            name = js_name(body)
            if name is not None:
                if name not in BODY_TYPES:
                    raise TypeError("Unsupported type in Response: %s" % name)
            elif isinstance(body, (Blob, FormData)):
                body = body.js_object
            elif isinstance(body, pyodide.http.FetchResponse):
                body = body.js_response
            elif not isinstance(body, (str, bytes)):
                raise TypeError("Unsupported type in Response: %s" % kind.__name__)
            if isinstance(body, _JsResponse):
                if status is not None or status_text or headers is not None:
                    raise ValueError("Expected no options when constructing Response from a js.Response")
                self._begin(body)
                return
        if status is None and not status_text and headers is None and web_socket is None:
            if kind is str and body.isascii():
                self._begin(response_of(200, _TEXT, body.encode("ascii")))
            else:
                self._begin(_JsResponse(body))
        else:
            self._begin(_JsResponse(body, options_of(status, status_text, headers, web_socket)))

    def _begin(self, js_response):
        self.js_request = None
        self._url = js_response.url
        self.js_response = js_response
        self.abort_controller = self.abort_signal = None

    @classmethod
    def _of(cls, js_response):
        made = cls.__new__(cls)
        made._begin(js_response)
        return made

    def clone(self):
        """The same response once more."""
        if self.js_response.bodyUsed:
            raise pyodide.http.BodyUsedError
        return Response._of(self.js_response.clone())

    def __repr__(self):
        response = self.js_response
        parts = ["status=%r" % response.status]
        if response.statusText:
            parts.append("status_text=%r" % response.statusText)
        kind = response.headers.get("content-type")
        if kind:
            parts.append("content_type=%r" % kind)
        if response.url:
            parts.append("url=%r" % response.url)
        if response.type != "default":
            parts.append("type=%r" % response.type)
        return "Response(%s)" % ", ".join(parts)

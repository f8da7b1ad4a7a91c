"""What the modules of the SDK have in common."""

import http.client
from collections.abc import Mapping
from contextlib import contextmanager

import _pyodide_entrypoint_helper as helper
from _sandboxd_js.fetch import Headers as _JsHeaders
from pyodide.ffi import JsException, JsProxy, jsnull, to_js

# Classes of JavaScript's of which an instance can be a response's body.
BODY_TYPES = frozenset((
    "ArrayBuffer", "BigInt64Array", "BigUint64Array", "Blob", "DataView", "File", "Float16Array", "Float32Array",
    "Float64Array", "FormData", "Int16Array", "Int32Array", "Int8Array", "ReadableStream", "Response", "Uint16Array",
    "Uint32Array", "Uint8Array", "Uint8ClampedArray", "URLSearchParams"))


def js_name(value):
    """The name of a value's class in JavaScript, or None where it is none of JavaScript's."""
    if not isinstance(value, JsProxy):
        return None
    return value.constructor.name


def none_of_null(value):
    return None if value is jsnull else value


def python_error(error):
    """An error of JavaScript's as the exception that Python has for it."""
    if error.name == "RangeError":
        return ValueError(error.message)
    if error.name == "TypeError":
        return TypeError(error.message)
    return error


def js_headers(headers):
    """Headers of JavaScript's out of what a program has given."""
    if isinstance(headers, _JsHeaders):
        return headers
    if isinstance(headers, (dict, list)):
        return _JsHeaders(headers)
    if isinstance(headers, http.client.HTTPMessage):
        return _JsHeaders(list(headers.items()))
    raise TypeError("Received unexpected type for headers argument")


class HeaderMap(http.client.HTTPMessage, Mapping):
    """Headers, asked for by name in any case."""


def http_message(headers):
    """Headers of JavaScript's as http.client has them: repeated ones are one, but for Set-Cookie."""
    made = HeaderMap()
    # Set without the checks of email.message, which are made for mails: a value has no line break here anyway.
    made._headers = found = [(name, value.strip()) for name, value in headers.sorted()]
    cookies = [("Set-Cookie", value) for name, value in found if name == "set-cookie"]
    if cookies:
        made._headers = cookies + [each for each in found if each[0] != "set-cookie"]
    return made


def import_from_javascript(module_name):
    """A module of JavaScript's: those that the platform has, by name."""
    if module_name == "cloudflare:workers":
        return helper.cloudflareWorkersModule
    if module_name == "cloudflare:sockets":
        return helper.cloudflareSocketsModule
    from pyodide.ffi import run_sync
    try:
        return run_sync(helper.doAnImport(module_name))
    except JsException as error:
        raise ImportError("Failed to import '%s': %s" % (module_name, error)) from error
    except RuntimeError as error:
        if error.args[:1] != ("No suspender",):
            raise
        raise ImportError("Failed to import '%s': Only 'cloudflare:workers' and 'cloudflare:sockets' are available in "
                          "the global scope." % module_name) from error


@contextmanager
def patch_env(d=None, **kwds):
    """While the body runs, `env` has these values, too."""
    values = dict(d or {})
    values.update(kwds)
    yield from helper.patch_env_helper(to_js(values))

"""JavaScript's side of HTTP workers: the values and classes behind the modules `js` and `pyodide`.

core      values, objects, functions, errors         array, maps, date, regexp, json
convert   to_js and to_py                            binary    buffers, typed arrays, Blob, texts
promise   promises, run_sync                         streams   readable, writable, transforms
events    events and abort signals                   url       URL and its parameters
fetch     Headers, Request, Response, FormData       world     globalThis
workers   what the platform gives a worker beside them: env, waitUntil, modules

The server and the bindings use what is named here, and nothing else of it:
- incoming(method, url, headers, body) makes a Request, outgoing(response) says what to
  send, received(status, headers, body) makes a Response of what a client has read;
- set_fetch(async function), set_run_sync(run, can), set_console(function),
  set_env(object), set_wait_until(function), register_module(name, object);
- js_class and JsObject make the classes of bindings, new_object, new_array, to_js and
  to_py their values, promise_of, resolved and rejected their answers, js_error and
  type_error what they raise, plain the Python object of a proxy.
"""

from .convert import to_js, to_py
from .core import (JsException, JsObject, JsProxy, js_class, js_error, jsnull, new_array, new_object, of_python, plain,
                   to_string, type_error)
from .fetch import FormData, Headers, Request, Response, incoming, outgoing, received, set_fetch
from .promise import JsPromise, as_promise, promise_of, rejected, resolved, set_run_sync
from .streams import ReadableStream, chunks, stream_of_async, stream_of_bytes
from .workers import register_module, set_env, set_wait_until
from .world import globalThis, set_console, shown

__all__ = [
    "FormData", "Headers", "JsException", "JsObject", "JsPromise", "JsProxy", "ReadableStream", "Request", "Response",
    "as_promise", "chunks", "globalThis", "incoming", "js_class", "js_error", "jsnull", "new_array", "new_object",
    "of_python", "outgoing", "plain", "promise_of", "received", "register_module", "rejected", "resolved",
    "set_console", "set_env", "set_fetch", "set_run_sync", "set_wait_until", "shown", "stream_of_async",
    "stream_of_bytes", "to_js", "to_py", "to_string", "type_error",
]

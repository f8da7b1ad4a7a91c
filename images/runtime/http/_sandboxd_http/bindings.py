"""What `env` has: variables, secrets, and objects whose methods ask the front.

The objects are JavaScript's, as every SDK expects them; their methods begin at once, awaited or not.  What a method
returns is a promise that is also its value: str(), format(), a comparison or json waits for it, as far as the
code that asks can block (nested.py).
"""

import asyncio
import base64
import json
import math
import time

import _sandboxd_js as js
from _sandboxd_js import JsException, JsObject, JsPromise, js_class, jsnull, new_array, new_object
from _sandboxd_js.array import JsArray
from _sandboxd_js.binary import ArrayBuffer, JsBuffer, bytes_of
from _sandboxd_js.core import options_of, to_string
from _sandboxd_js.json import parse as parse_json
from _sandboxd_js.json import stringify
from _sandboxd_js.streams import ReadableStream, stream_of_bytes
from _sandboxd_js.url import URL

from . import nested
from .control import BODY_MAX, AskError

KEY_MAX = 512
VALUE_MAX = 26214400
METADATA_MAX = 1024
KEYS_MAX = 100
LIST_MAX = 1000
TTL_MIN = 60
INTEGER_MAX = (1 << 53) - 1     # that a number of JavaScript's has without loss
REDIRECTED = frozenset((301, 302, 303, 307, 308))
REDIRECTS_MAX = 20
DEPTH_MAX = 16          # workers that call each other, the first one among them
TOO_DEEP = ("Subrequest depth limit exceeded. This request recursed through Workers too many times. This can happen "
            "e.g. if you have a Worker that calls other Workers recursively.")
MISSING = object()      # an argument that was not given
LATER = ("the binding %s is of the type %s, which sandboxd does not have yet: it can be deployed, and not be used")


class JsTypeError(JsException, TypeError):
    """A TypeError of JavaScript's that is one of Python's, too."""


def type_error(message):
    return JsTypeError("TypeError", message)


def error_of(ask):
    """The exception for what the front has refused."""
    return type_error(ask.message) if ask.kind == "TypeError" else JsException("Error", ask.message)


class Pending(JsPromise):
    """A promise that stands for its value where a value is wanted."""

    __slots__ = ()

    def _value_now(self):
        return nested.run_sync(_awaited(self)) if self._state == "pending" else _settled(self)

    def __str__(self):
        return str(_shown(self._value_now()))

    def __format__(self, spec):
        return format(_shown(self._value_now()), spec)

    def __eq__(self, other):
        if isinstance(other, Pending):
            other = other._value_now()
        return _shown(self._value_now()) == other

    def __ne__(self, other):
        return not self == other

    def __lt__(self, other):
        return self._value_now() < other

    def __le__(self, other):
        return self._value_now() <= other

    def __gt__(self, other):
        return self._value_now() > other

    def __ge__(self, other):
        return self._value_now() >= other

    __hash__ = JsPromise.__hash__

    def __bool__(self):
        value = self._value_now()
        return bool(value) and value is not jsnull

    def __len__(self):
        return len(self._value_now())

    def __contains__(self, item):
        return item in self._value_now()

    def __add__(self, other):
        return self._value_now() + other

    def __radd__(self, other):
        return other + self._value_now()

    def __int__(self):
        return int(self._value_now())

    def __float__(self):
        return float(self._value_now())


def _shown(value):
    return None if value is jsnull else value


async def _awaited(promise):
    return await promise


def _settled(promise):
    if promise._state == "fulfilled":
        return promise._value
    from _sandboxd_js.core import raised
    raise raised(promise._value)


def plain_value(pending):
    """A pending value as json writes it."""
    value = _shown(pending._value_now())
    return value.to_py() if isinstance(value, js.JsProxy) else value


def install():
    """Let json write what is pending."""
    real = json.JSONEncoder.default
    if getattr(real, "_sandboxd", False):
        return

    def default(self, value):
        if isinstance(value, Pending):
            return plain_value(value)
        return real(self, value)

    default._sandboxd = True
    default.__doc__ = real.__doc__
    json.JSONEncoder.default = default


def begun(worker, coroutine):
    """A promise of what a coroutine returns, which is begun at once, from whichever thread."""
    made = Pending.pending()
    made._locked = True
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        loop = None
    serving = worker.loop

    async def run():
        try:
            made.resolve(await coroutine)
        except AskError as error:
            made.reject(error_of(error))
        except BaseException as error:
            made.reject(error)

    if loop is serving:
        try:
            step = coroutine.send(None)
        except StopIteration as end:
            made.resolve(end.value)
            return made
        except AskError as error:
            made.reject(error_of(error))
            return made
        except BaseException as error:
            made.reject(error)
            return made
        coroutine = _Resumed(coroutine, step)
        keep(worker, loop.create_task(run()))
        return made
    if not serving.is_running():
        coroutine.close()
        raise JsException("Error", "Disallowed operation called within global scope: a binding can be asked only "
                                   "while a handler runs")
    if loop is not None:
        # A loop of the handler's own in the instance's thread: the promise is settled there.
        future = loop.create_future()

        async def bring():
            try:
                result = await coroutine, None
            except AskError as error:
                result = None, error_of(error)
            except BaseException as error:
                result = None, error
            if not loop.is_closed():
                loop.call_soon_threadsafe(lambda: future.done() or future.set_result(result))

        async def settle():
            value, error = await future
            made.resolve(value) if error is None else made.reject(error)

        serving.call_soon_threadsafe(lambda: keep(worker, serving.create_task(bring())))
        keep(worker, loop.create_task(settle()))
        return made
    serving.call_soon_threadsafe(lambda: keep(worker, serving.create_task(run())))
    return made


def keep(worker, task):
    worker.background.add(task)
    task.add_done_callback(worker.background.discard)


class _Resumed:
    """A coroutine of which the first step has been made."""

    def __init__(self, coroutine, step):
        self.coroutine = coroutine
        self.step = step

    def __await__(self):
        step, self.step = self.step, None
        try:
            while True:
                try:
                    sent = yield step
                except BaseException as error:
                    step = self.coroutine.throw(error)
                else:
                    step = self.coroutine.send(sent)
        except StopIteration as end:
            return end.value


class Binding(JsObject):
    """An object of `env` whose methods ask the front."""

    __slots__ = ("_worker", "_binding")

    def __init__(self, worker, name):
        self._worker = worker
        self._binding = name

    def _ask(self, method, body=b"", **values):
        return self._worker.control.ask(self._binding, method, body, **values)

    def _begin(self, coroutine):
        return begun(self._worker, coroutine)


# KV


def check_key(method, key):
    if not isinstance(key, str):
        key = to_string(key)
    many = method == "GET_BULK"
    if not key:
        raise JsException("Error", "KV GET_BULK failed: 400 Key names must not be empty") if many else \
            type_error("Key name cannot be empty.")
    if key in (".", ".."):
        raise JsException("Error", "KV GET_BULK failed: 400 Illegal key name \"%s\". Please use a different name."
                          % key) if many else type_error("\"%s\" is not allowed as a key name." % key)
    size = len(key.encode("utf-8", "surrogatepass"))
    if size > KEY_MAX:
        raise JsException("Error", "KV %s failed: 414 UTF-8 encoded length of %d exceeds key length limit of %d."
                          % (method, size, KEY_MAX))
    return key


def number_of(value):
    """A whole number out of an option, as JavaScript makes one of anything, or None where it is not given. A null, which
    SDKs make of None, is not given either."""
    if value is None or value is jsnull:
        return None
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        try:
            value = float(to_string(value) or 0)
        except ValueError:
            return 0
    return max(-INTEGER_MAX, min(int(value), INTEGER_MAX)) if math.isfinite(value) else 0


def needed(method, number, value, kinds):
    """Refuse a call without an argument that it needs."""
    if value is MISSING:
        raise type_error("Failed to execute '%s' on 'KvNamespace': parameter %d is not of type '%s'."
                         % (method, number, kinds))


def value_of(data, kind):
    """A stored value as the type that was asked for."""
    if kind == "text":
        return data.decode("utf-8", "replace")
    if kind == "json":
        return parse_json(data.decode("utf-8", "replace"))
    if kind == "arrayBuffer":
        return ArrayBuffer.around(data)
    return stream_of_bytes(data)


@js_class("KvNamespace")
class KvNamespace(Binding):
    """A namespace of KV."""

    __slots__ = ()

    TYPES = ("text", "json", "arrayBuffer", "stream")

    def _get_options(self, options, kwargs):
        given = {}
        if isinstance(options, str):
            given["type"] = options
            options = None
        found = options_of(options, kwargs)
        kind = found.get("type", given.get("type"))
        ttl = number_of(found.get("cacheTtl"))
        if ttl is not None and ttl < 30:
            raise JsException("Error", "KV GET failed: 400 Invalid cache_ttl of %d. Cache TTL must be at least 30." % ttl)
        return "text" if kind is None or kind is jsnull else to_string(kind)

    def get(self, key=MISSING, options=None, **kwargs):
        """A promise of the value of a key, null when there is none; of a map for several keys."""
        return self._begin(self._get(key, options, kwargs, False))

    def getWithMetadata(self, key=MISSING, options=None, **kwargs):
        """A promise of a value and its metadata."""
        return self._begin(self._get(key, options, kwargs, True))

    async def _get(self, key, options, kwargs, metadata):
        method = "getWithMetadata" if metadata else "get"
        needed(method, 1, key, "string or Array")
        kind = self._get_options(options, kwargs)
        if isinstance(key, (list, tuple, JsArray)):
            return await self._get_many([item for item in key], kind, metadata)
        key = check_key("GET", key)
        # The answer has the metadata in either case.
        header, body = await self._ask("get", key=key)
        found = header.get("found", True)
        if found and kind not in self.TYPES:
            raise type_error("Unknown response type. Possible types are \"text\", \"arrayBuffer\", \"json\", and "
                             "\"stream\".")
        value = value_of(body, kind) if found else jsnull
        if not metadata:
            return value
        return new_object({"value": value, "metadata": json_value(header.get("metadata")), "cacheStatus": jsnull})

    async def _get_many(self, keys, kind, metadata):
        if kind not in ("text", "json"):
            raise JsException("Error", "KV GET_BULK failed: 400 \"%s\" is not a valid type. Use \"json\" or \"text\""
                              % kind)
        if len(keys) > KEYS_MAX:
            raise JsException("Error", "KV GET_BULK failed: 400 You can request a maximum of %d keys" % KEYS_MAX)
        if not keys:
            raise JsException("Error", "KV GET_BULK failed: 400 You must request a minimum of 1 key")
        keys = [check_key("GET_BULK", key) for key in keys]
        header, body = await self._ask("getMany", keys=keys)
        from _sandboxd_js.maps import Map
        made = Map()
        at = 0
        for key, item in zip(keys, header.get("values", ())):
            size = item.get("len") if item else None
            if size is None:
                value = jsnull
            else:
                value = value_of(body[at:at + size], kind)
                at += size
            if metadata:
                value = jsnull if size is None else new_object(
                    {"value": value, "metadata": json_value(item.get("metadata"))})
            made.set(key, value)
        return made

    def put(self, key=MISSING, value=MISSING, options=None, **kwargs):
        """Stores a value; a promise of nothing."""
        return self._begin(self._put(key, value, options_of(options, kwargs)))

    async def _put(self, key, value, given):
        needed("put", 1, key, "string")
        needed("put", 2, value, "string or JsObject")
        key = check_key("PUT", key)
        if isinstance(value, ReadableStream):
            from _sandboxd_js.streams import chunks
            pieces = []
            size = 0
            async for piece in chunks(value):
                size += len(piece)
                if size > VALUE_MAX:
                    raise JsException("Error", "KV PUT failed: 413 Value length of %d exceeds limit of %d."
                                      % (size, VALUE_MAX))
                pieces.append(piece)
            body = b"".join(pieces)
        elif isinstance(value, (bytes, bytearray, memoryview)) or isinstance(value, JsBuffer):
            body = bytes_of(value)
        elif isinstance(value, str):
            body = str.encode(value, "utf-8", "surrogatepass")
        elif value is None or value is jsnull:
            body = b"null" if value is jsnull else b"undefined"
        elif isinstance(value, (bool, int, float)):
            body = to_string(value).encode()
        else:
            raise type_error("KV put() accepts only strings, ArrayBuffers, ArrayBufferViews, and ReadableStreams as "
                             "values.")
        if len(body) > VALUE_MAX:
            raise JsException("Error", "KV PUT failed: 413 Value length of %d exceeds limit of %d."
                              % (len(body), VALUE_MAX))
        values = {"key": key}
        ttl = number_of(given.get("expirationTtl"))
        expiration = number_of(given.get("expiration"))
        now = int(time.time())
        if ttl is not None:
            if ttl <= 0:
                raise JsException("Error", "KV PUT failed: 400 Invalid expiration_ttl of %d. Please specify integer "
                                           "greater than 0." % ttl)
            if ttl < TTL_MIN:
                raise JsException("Error", "KV PUT failed: 400 Invalid expiration_ttl of %d. Expiration TTL must be at "
                                           "least %d." % (ttl, TTL_MIN))
            values["expiration"] = now + ttl
        elif expiration is not None:
            if expiration <= now:
                raise JsException("Error", "KV PUT failed: 400 Invalid expiration of %d. Please specify integer "
                                           "greater than the current number of seconds since the UNIX epoch."
                                  % expiration)
            if expiration < now + TTL_MIN:
                raise JsException("Error", "KV PUT failed: 400 Invalid expiration of %d. Expiration times must be at "
                                           "least %d seconds in the future." % (expiration, TTL_MIN))
            values["expiration"] = expiration
        metadata = given.get("metadata")
        if metadata is not None and metadata is not jsnull:
            text = stringify(metadata)
            if text is not None:
                size = len(text.encode())
                if size > METADATA_MAX:
                    raise JsException("Error", "KV PUT failed: 413 Metadata length of %d exceeds limit of %d."
                                      % (size, METADATA_MAX))
                values["metadata"] = text
        await self._ask("put", body, **values)

    def delete(self, key=MISSING):
        """Removes a key; a promise of nothing."""
        return self._begin(self._delete(key))

    async def _delete(self, key):
        needed("delete", 1, key, "string")
        await self._ask("delete", key=check_key("DELETE", key))

    def list(self, options=None, **kwargs):
        """A promise of the names of keys."""
        return self._begin(self._list(options_of(options, kwargs)))

    async def _list(self, given):
        values = {}
        limit = number_of(given.get("limit"))
        # None is the default's, and so is one that is not more.
        if limit and limit > 0:
            if limit > LIST_MAX:
                raise JsException("Error", "KV GET failed: 400 Invalid key_count_limit of %d. Please specify an "
                                           "integer less than %d." % (limit, LIST_MAX))
            values["limit"] = limit
        for name in "prefix", "cursor":
            value = given.get(name)
            if value is not None and value is not jsnull and value != "":
                values[name] = to_string(value)
        header, _ = await self._ask("list", **values)
        keys = []
        for item in header.get("keys", ()):
            made = {"name": item["name"]}
            if item.get("expiration") is not None:
                made["expiration"] = item["expiration"]
            if item.get("metadata") is not None:
                made["metadata"] = json_value(item["metadata"])
            keys.append(new_object(made))
        result = {"keys": new_array(keys), "list_complete": bool(header.get("list_complete", True)),
                  "cacheStatus": jsnull}
        if header.get("cursor"):
            result["cursor"] = header["cursor"]
        return new_object(result)


def json_value(text):
    """Metadata, which the front keeps as the JSON text that it came as."""
    return jsnull if text is None else parse_json(text)


# Services and assets


async def whole(body):
    """A streamed body, which goes to another worker as one piece."""
    pieces, size = [], 0
    async for piece in body:
        size += len(piece)
        if size > BODY_MAX:
            raise JsException("Error", "the body of a request to another worker has at most %d bytes" % BODY_MAX)
        pieces.append(piece)
    return b"".join(pieces)


async def sliced(data):
    """A long body as one that comes in pieces."""
    yield data


async def pieces_of(download):
    """The rest of an answer, as it comes."""
    try:
        while True:
            piece = await download.read()
            if not piece:
                return
            yield piece
    except AskError as error:
        raise error_of(error) from None
    finally:
        download.close()


async def fetch_by(worker, binding, request):
    """The response of a service that the front asks; binding "": of what the worker's fetch() leads to."""
    fields, body = js.outgoing(request)
    streams, upload = worker.control.streams, None
    if body is not None and type(body) is not bytes:
        if streams:
            body, upload = None, body
        else:
            body = await whole(body)
    elif streams and body is not None and len(body) > BODY_MAX:
        body, upload = None, sliced(body)
    method, url, redirect, body = request.method, request.url, request.redirect, body or b""
    headers = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in fields]
    for redirects in range(REDIRECTS_MAX + 1):
        try:
            header, answer = await worker.control.ask(binding, "fetch", body, upload, http={
                "method": method, "url": url, "redirect": "manual" if binding else redirect, "headers": headers,
                "depth": depth_now(), "pieces": streams, "stream": upload is not None})
        except AskError as error:
            # What fetch() raises where the network fails.
            if binding == "":
                raise OSError(error.message) from None
            raise
        status, told = header["status"], header.get("headers", ())
        to = next((value for name, value in told if name.lower() == "location"), None)
        if status in REDIRECTED and to is not None and redirect == "error":
            raise type_error("the answer is a redirect, and redirect is \"error\"")
        if binding == "" or status not in REDIRECTED or to is None or redirect == "manual":
            final = header.get("url")
            if type(answer) is not bytes:
                answer = pieces_of(answer)
            return js.received(status, [(name.encode("latin-1"), value.encode("latin-1")) for name, value in told],
                               answer, final or url, final is not None or redirects > 0, header.get("status_text"))
        if type(answer) is not bytes:
            answer.close()
        # It stays with the binding, whatever host it names.
        url = URL(to, url).href
        if status == 303 and method not in ("GET", "HEAD") or status in (301, 302) and method == "POST":
            method, body, upload = "GET", b"", None
            headers = [each for each in headers if not each[0].lower().startswith("content-")]
        elif upload is not None:
            raise type_error("the answer is a redirect, and the body of the request was a stream")
    raise type_error("more than %d redirects" % REDIRECTS_MAX)


def depth_now():
    """How many workers have called each other before the handler that runs."""
    from .dispatch import current
    call = current.get(None)
    return call.depth if call is not None else 0


@js_class("Fetcher")
class Fetcher(Binding):
    """Another worker of the project, this one itself, or its assets."""

    __slots__ = ("_self", "_entrypoint", "_assets")

    def __init__(self, worker, name, own=False, entrypoint=None, assets=False):
        Binding.__init__(self, worker, name)
        self._assets = assets
        self._self = own
        self._entrypoint = entrypoint

    def fetch(self, resource=None, init=None, **kwargs):
        """A promise of the response of the other worker."""
        return self._begin(self._fetch(resource, init, kwargs))

    async def _fetch(self, resource, init, kwargs):
        if isinstance(resource, js.Request) and init is None and not kwargs:
            request = resource
        else:
            kwargs.pop("signal", None)
            request = js.Request(resource, init, **kwargs)
        worker = self._worker
        if self._self:
            if depth_now() >= DEPTH_MAX:
                raise JsException("Error", TOO_DEEP)
            clean = js.Request(request)
            # In a task of its own, as another request: with its own context variables.
            return await worker.loop.create_task(self._within(worker, clean))
        if self._assets and worker.assets is not None:
            return worker.assets.fetch(request)
        return await fetch_by(worker, self._binding, request)

    async def _within(self, worker, request):
        from .dispatch import Call, ExecutionContext, current
        outer = current.get(None)
        inner = Call("fetch", outer.id if outer is not None else "-")
        if outer is not None:
            inner.depth = outer.depth + 1
            inner.record = outer.record
        current.set(inner)
        return await worker.fetch(request, ExecutionContext(worker, inner), self._entrypoint)

    def scheduled(self, options=None, **kwargs):
        """Has the other worker's `scheduled` called; a promise of how that ended."""
        return self._begin(self._scheduled(options_of(options, kwargs)))

    async def _scheduled(self, given):
        when = given.get("scheduledTime")
        if isinstance(when, JsObject):
            when = when.getTime()
        when = number_of(when) if isinstance(when, (int, float)) else int(time.time() * 1000)
        cron = given.get("cron")
        cron = to_string(cron) if cron is not None and cron is not jsnull else ""
        if self._self:
            worker = self._worker
            try:
                await worker.loop.create_task(worker.run_handler("scheduled", when, cron, None, self._entrypoint))
            except Exception as error:
                from .dispatch import current
                worker.log_error(current.get(), error, "scheduled")
                return new_object({"outcome": "exception", "noRetry": False})
            return new_object({"outcome": "ok", "noRetry": False})
        header, _ = await self._ask("scheduled", cron=cron, time_ms=when, depth=depth_now())
        return new_object({"outcome": header.get("outcome", "ok"), "noRetry": False})

    def __getattr__(self, name):
        if name.startswith("_") or name in ("then", "js_object", "js_response"):
            raise AttributeError(name)

        def call(*_args, **_kwargs):
            raise JsException("Error", "the binding %s cannot be asked for \"%s\": calls of another worker's methods "
                                       "(RPC) are not there yet, use fetch()" % (self._binding, name))
        return call


@js_class("Ratelimit")
class Ratelimit(Binding):
    """A limit of calls in a time, by key."""

    __slots__ = ()

    def limit(self, options=None, **kwargs):
        """A promise of whether the call is within the limit."""
        return self._begin(self._limit(options_of(options, kwargs)))

    async def _limit(self, given):
        key = given.get("key")
        if key is None or key is jsnull:
            raise type_error("Invalid rate limit key: give limit() an object with a `key`.")
        header, _ = await self._ask("limit", key=to_string(key))
        return new_object({"success": bool(header.get("success"))})


class Missing(JsObject):
    """A binding of a type that is not there yet: every use of it says so."""

    __slots__ = ("_message", "_kind")

    def __init__(self, name, kind):
        self._kind = kind
        self._message = LATER % (name, kind)

    def __getattr__(self, name):
        if name.startswith("_") or name in ("then", "js_object", "js_response"):
            raise AttributeError(name)
        raise JsException("Error", self._message)

    def __call__(self, *args, **kwargs):
        raise JsException("Error", self._message)


class Env(JsObject):
    """`env`."""

    __slots__ = ()

    def __repr__(self):
        return "[object Object]"     # its values may be secrets

    def __getattr__(self, name):
        error = AttributeError(name)
        if not name.startswith("_") and hasattr(error, "add_note"):
            error.add_note("the worker has no variable, secret or binding of this name: it has %s"
                           % (", ".join(sorted(self.__dict__)[:40]) or "none"))
        raise error


def fill(env, worker, secrets):
    """Give `env` what the worker's configuration says."""
    config = worker.config
    values = {}
    for each in config.get("bindings", ()):
        name, kind = each["name"], each["type"]
        if kind == "plain_text":
            values[name] = each.get("text", "")
        elif kind == "secret_text":
            if name in secrets:
                values[name] = secrets[name]
        elif kind == "json":
            value = each.get("json")
            values[name] = js.to_js(none_to_null(value))
        elif kind == "data_blob":
            values[name] = ArrayBuffer.around(base64.b64decode(each.get("data", "")))
        elif kind == "kv_namespace":
            values[name] = KvNamespace(worker, name)
        elif kind == "service":
            own_name = each.get("service") in (config.get("worker"), None, "")
            values[name] = Fetcher(worker, name, own_name, each.get("entrypoint"))
        elif kind == "assets":
            values[name] = Fetcher(worker, name, assets=True)
        elif kind == "ratelimit":
            values[name] = Ratelimit(worker, name)
        elif kind == "version_metadata":
            values[name] = new_object({"id": config.get("version", ""),
                                       "tag": config.get("tag") or "", "timestamp": config.get("timestamp") or ""})
        else:
            values[name] = Missing(name, kind)
    # What stands in .dev.vars is meant in place of the configuration's variable.
    over = config.get("dev") and {each["name"] for each in config.get("bindings", ())
                                  if each["type"] in ("plain_text", "json")}
    for name, text in secrets.items():
        if name not in values or over and name in over:
            values[name] = text
    env.__dict__.clear()
    env.__dict__.update(values)


def none_to_null(value):
    if value is None:
        return jsnull
    if isinstance(value, dict):
        return {key: none_to_null(item) for key, item in value.items()}
    if isinstance(value, list):
        return [none_to_null(item) for item in value]
    return value


def begun_like(promise, function):
    """A promise of what a function makes of another promise's value."""
    made = Pending.pending()
    made._locked = True
    if promise._state == "fulfilled":
        try:
            Pending._settle(made, "fulfilled", function(promise._value))
        except Exception as error:
            made.reject(error)
        return made
    if promise._state == "rejected":
        made.reject(promise._value)
        return made

    def fulfilled(value):
        try:
            made._settle("fulfilled", function(value))
        except Exception as error:
            made.reject(error)

    promise._react(fulfilled, made.reject)
    return made

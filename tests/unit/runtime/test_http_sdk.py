"""Our own SDK: types of workers, ASGI and WSGI applications."""

import http.client
import json
import unittest

import http_rig
from http_instance import Instance

TYPES = '''
import json
import js
from http import HTTPStatus
from js import Response as JsResponse
from pyodide.http import BodyUsedError
from workers import *
from workers import env

async def checks(request):
    assert request.method == "POST" and isinstance(request.method, str), request.method
    assert request.headers["x-two"] == "a, b" and request.headers.get("nothing") is None
    assert not request.body_used and request.cf is None
    copy = request.clone()
    assert await request.text() == "body" and request.body_used
    try:
        await request.text()
    except OSError as error:
        assert str(error) == "Body already used", error
    assert await copy.bytes() == b"body"
    assert repr(Request("http://a/", method="PUT")) == "Request(method='PUT', url='http://a/')"
    made = Request("http://a/", method="post", body=b"1", headers=[("a", "1"), ("A", "2")])
    assert made.method == "POST" and made.headers["A"] == "1, 2" and await made.json() == 1
    for call in (lambda: Request("http://a/", body="x"), lambda: Request("nowhere")):
        try:
            call()
        except TypeError:
            continue
        raise AssertionError

    response = Response("text", 201, headers={"X-A": True})
    assert response.headers["content-type"] == "text/plain;charset=UTF-8" and response.headers["x-a"] == "true"
    assert repr(Response("x")) == "Response(status=200, status_text='OK', content_type='text/plain;charset=UTF-8')"
    assert Response(b"x").headers.get("content-type") is None
    assert await response.text() == "text"
    try:
        await response.text()
    except BodyUsedError as error:
        assert isinstance(error, OSError) and str(error) == "Response body is already used"
    for body, name in (([], "list"), (bytearray(), "bytearray"), (memoryview(b""), "memoryview")):
        try:
            Response(body)
        except TypeError as error:
            assert str(error) == "Unsupported type in Response: " + name, error
        else:
            raise AssertionError(name)
    try:
        Response("x", headers="x")
    except TypeError as error:
        assert str(error) == "Received unexpected type for headers argument"
    for status in 199, 600:
        try:
            Response("x", status=status)
        except js.Error.new if False else Exception as error:
            assert error.name == "RangeError", error
        else:
            raise AssertionError(status)
    made = Response.json({"a": 1}, HTTPStatus.CREATED, headers={"X": "y"})
    assert made.status == 201 and made.headers["content-type"] == "application/json" and await made.json() == {"a": 1}
    assert Response.from_json([1]).headers["content-type"] == "application/json"
    assert Response.json([1], headers={"content-type": "x/y"}).headers["content-type"] == "x/y"
    assert Response.redirect("http://a/b", 301).headers.get("location") == "http://a/b"
    for call, kind in ((lambda: Response.redirect("http://a/", 200), ValueError),
                       (lambda: Response.redirect("/relative"), TypeError)):
        try:
            call()
        except kind:
            continue
        raise AssertionError(kind)
    assert await Response("one").replace_body("two").text() == "two"
    one, other = Response("one"), Response("other")
    one.js_object.headers.set("content-type", "x/y")
    assert other.headers["content-type"] == "text/plain;charset=UTF-8" and one.headers["content-type"] == "x/y"
    assert await Response("one").clone().text() == "one"
    assert await Response(Response("inner")).text() == "inner"

    blob = Blob(["a", b"b"], content_type="x/y")
    assert (blob.size, blob.content_type, await blob.text(), await blob.slice(1).bytes()) == (2, "x/y", "ab", b"b")
    assert Blob(blob).content_type == "x/y"
    file = File("data", "name.txt", last_modified=5)
    assert (file.name, file.last_modified) == ("name.txt", 5)
    form = FormData({"a": "1"})
    form.append("a", "2")
    form["f"] = file
    assert form["a"] == "1" and form.get_all("a") == ["1", "2"] and "b" not in form and form["f"].name == "name.txt"
    back = await Response(form).form_data()
    assert sorted(back.keys()) == ["a", "a", "f"] and await back["f"].text() == "data"
    with patch_env(NAME="other", NEW=1):
        assert env.NAME == "other" and env.NEW == 1
    assert env.NAME == "n"
    assert import_from_javascript("cloudflare:workers").env.NAME == "n"
    try:
        import_from_javascript("nothing:here")
    except ImportError:
        pass
    else:
        raise AssertionError

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        try:
            await fetch("http://a/") if False else None
            await checks(request)
        except AssertionError:
            import traceback
            return Response(traceback.format_exc())
        return JsResponse.new("fine")
'''

ASGI = '''
import asyncio, json
import asgi
from workers import WorkerEntrypoint, Response, wait_until
import workers.asgi
assert asgi is workers.asgi
events = []
go = None

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        events.append((await receive())["type"])
        scope["state"]["n"] = 1
        await send({"type": "lifespan.startup.complete"})
        await receive()
    path = scope["path"]
    if path == "/scope":
        scope["env"] = scope["env"].NAME
        message = await receive()
        text = json.dumps([{key: repr(scope[key]) for key in scope}, message["body"].decode(), message["more_body"]])
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": text.encode()})
        events.append((await receive())["type"])
    elif path == "/stream":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x", b"y"), (b"set-cookie", b"a=1"),
                                                                              (b"set-cookie", b"b=2")]})
        try:
            for n in range(1 << 30 if scope["query_string"] else 3):
                await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})
            await send({"type": "http.response.body"})
        finally:
            events.append("stream over")
    elif path == "/fails":
        raise ValueError("before")
    elif path == "/fails-late":
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"some", "more_body": True})
        raise ValueError("after")
    elif path == "/none":
        pass
    elif path == "/204":
        await send({"type": "http.response.start", "status": 204})
        await send({"type": "http.response.body", "body": b"ignored"})
    elif path == "/echo":
        size = 0
        while True:
            message = await receive()
            size += len(message["body"])
            if not message["more_body"]:
                break
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"%d" % size})
        await asyncio.sleep(0.01)
        events.append("after")
    elif path == "/by":
        await send({"type": "http.response.start", "status": 200, "headers": ((k, v) for k, v in [("x-text", "y")])})
        await send({"type": "http.response.body", "body": type(send.__self__).__name__.encode()})
    elif path == "/bad-header":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x", b"a\\r\\nb: c")]})
        await send({"type": "http.response.body", "body": b"x"})
    elif path == "/long":
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"some", "more_body": True})
        try:
            await asyncio.sleep(2)
        except asyncio.CancelledError:
            events.append("cancelled")
        try:
            await send({"type": "http.response.body", "body": b"more", "more_body": True})
        except ConnectionError:
            events.append("refused")
    elif path == "/after":
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body", "body": b"first"})
        await asyncio.sleep(0.2)
        await scope["env"].KV.put("after", "done")
    elif path == "/wait":
        message = await receive()
        events.append("waiting")
        events.append((await receive())["type"])

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        if request.url.endswith("/events"):
            return Response.json(events)
        if request.url.endswith("/adapter"):
            inner = type(request)("http://x/scope?a=1")
            answer = await asgi.asgi_adapter(app, inner, self.env)
            answer.headers.set("x-more", "yes")
            assert answer.headers.get("x-more") == "yes" and not answer.headers.has("x")
            return Response((await answer.text()), headers={"x-status": str(answer.status)})
        return await asgi.fetch(app, request.js_object, self.env, self.ctx)
'''

# The same, served without a fetch of the worker's own.
DIRECT = ASGI.partition("class Default")[0] + '''
async def outer(scope, receive, send):
    if scope["path" if scope["type"] == "http" else "type"] != "/events":
        return await app(scope, receive, send)
    await send({"type": "http.response.start", "status": 200})
    await send({"type": "http.response.body", "body": json.dumps(events).encode()})

class Default(asgi.entrypoint(outer)):
    pass
'''

WSGI = '''
from workers import wsgi
closed = []

class Body:
    def __init__(self, pieces): self.pieces = iter(pieces)
    def __iter__(self): return self
    def __next__(self): return next(self.pieces)
    def close(self): closed.append(1)

def app(environ, start_response):
    path = environ["PATH_INFO"]
    if path == "/environ":
        start_response("200 Fine", [("X-A", "1"), ("Set-Cookie", "a"), ("Set-Cookie", "b")])
        keys = ("REQUEST_METHOD", "QUERY_STRING", "SERVER_NAME", "SERVER_PORT", "HTTP_X", "CONTENT_TYPE", "wsgi.url_scheme")
        return [repr([environ[key] for key in keys] + [environ["workers.env"].NAME]).encode()]
    if path == "/caf\\u00c3\\u00a9":
        start_response("200 OK", [])
        return [b"decoded"]
    if path == "/late":
        def pieces():
            yield b""
            start_response("201 Late", [])
            yield b"la"
            yield b"te"
        return Body(pieces())
    if path == "/write":
        start_response("200 OK", [])(b"written ")
        return [b"returned"]
    if path == "/closed":
        start_response("200 OK", [])
        return [b"%d" % len(closed)]
    if path == "/read":
        start_response("200 OK", [])
        data = environ["wsgi.input"]
        return [b"%s|%s" % (data.read(3), data.read())]
    if path == "/fails":
        raise ValueError("the reason")
    return []

Default = wsgi.entrypoint(app)
'''
BINDINGS = [{"name": "NAME", "type": "plain_text", "text": "n"}, {"name": "KV", "type": "kv_namespace"}]


class TypesTest(unittest.TestCase):

    def test_types(self):
        instance = Instance({"entry.py": TYPES}, {"bindings": BINDINGS})
        instance.front.wait("ready")
        status, _, body = instance.ask("/", "POST", b"body", [("X-Two", "a"), ("x-two", "b")][:0] or {"X-Two": "a, b"})
        self.assertEqual((status, body.decode()), (200, "fine"), instance.log())
        self.assertEqual(instance.end(), 0)

    def test_handler_wraps_the_older_functions_arguments(self):
        instance = Instance({"entry.py": "from workers import *\n@handler\nasync def on_fetch(request, env):\n"
                                         "    return Response(type(request).__module__ + env.NAME + await request.text())\n"},
                            {"bindings": BINDINGS})
        instance.front.wait("ready")
        self.assertEqual(instance.text("/", method="POST", body=b"b"), "workers.requestnb")
        self.assertEqual(instance.end(), 0)

    def test_micropip(self):
        instance = Instance({"entry.py": """
import micropip
from js import Response
async def on_fetch(request):
    await micropip.install(["json", "greenlet"])
    try:
        await micropip.install("no-such-package-there", index_urls="http://127.0.0.1:1/")
    except ValueError as error:
        return Response.new(str(error))
"""})
        instance.front.wait("ready")
        self.assertIn("requirements.txt", instance.text())
        self.assertEqual(instance.end(), 0)


class AsgiTest(unittest.TestCase):

    text = ASGI
    by = "Run"

    @classmethod
    def setUpClass(cls):
        cls.instance = Instance({"entry.py": cls.text}, {"bindings": BINDINGS})
        cls.instance.front.wait("ready")

    @classmethod
    def tearDownClass(cls):
        cls.instance.close()

    def events(self, *wanted):
        """Wait for these events, in whichever order."""
        for _ in range(http_rig.PATIENCE * 100):
            found = json.loads(self.instance.text("/events"))
            if all(each in found for each in wanted):
                return found
        raise AssertionError(found)

    def test_scope(self):
        scope, body, more = json.loads(self.instance.text("/scope?q=%20",
                                                          method="POST", body=b"x", headers={"A": "B"}))
        self.assertEqual((body, more), ("x", False))
        self.assertEqual(scope["path"], "'/scope'")
        self.assertEqual(scope["query_string"], "b'q=%20'")
        self.assertEqual(scope["method"], "'POST'")
        self.assertEqual(scope["state"], "{'n': 1}")
        self.assertEqual(scope["env"], "'n'")
        self.assertIn("(b'a', b'B')", scope["headers"])
        self.assertEqual(self.events("http.disconnect").count("lifespan.startup"), 1)

    def test_a_request_that_is_not_the_servers(self):
        status, headers, body = self.instance.ask("/adapter")
        self.assertEqual(headers["x-status"], "200")
        self.assertEqual(json.loads(body)[0]["query_string"], "b'a=1'")

    def test_streams(self):
        status, headers, body = self.instance.ask("/stream")
        self.assertEqual((len(body), headers["x"], headers.get_all("set-cookie")), (3 * 65536, "y", ["a=1", "b=2"]))
        sock = self.instance.connect()
        sock.sendall(b"GET /stream?ever HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertTrue(sock.recv(65536))
        before = self.events("stream over").count("stream over")
        sock.close()
        while self.events("stream over").count("stream over") == before:
            pass
        self.assertEqual(self.instance.text("/echo", method="POST", body=iter([b"ab"] * 1000)), "2000")
        self.events("after")

    def test_a_client_that_leaves_is_a_disconnect(self):
        sock = self.instance.connect()
        sock.sendall(b"GET /wait HTTP/1.1\r\nHost: a\r\n\r\n")
        self.events("waiting")
        sock.close()
        self.events("http.disconnect")

    def test_failures(self):
        self.assertEqual(self.instance.ask("/fails")[0], 500)
        self.assertEqual(self.instance.ask("/none")[0], 500)
        self.assertIn("ASGI request failed", self.instance.log())
        self.assertIn("The application did not generate a response", self.instance.log())
        with self.assertRaises((http.client.IncompleteRead, ConnectionError)):
            self.instance.ask("/fails-late")
        self.assertEqual(self.instance.ask("/204")[::2], (204, b""))
        self.assertEqual(self.instance.ask("/bad-header")[0], 500)

    def test_what_it_is_served_by(self):
        status, headers, body = self.instance.ask("/by")
        self.assertEqual((body.decode(), headers["x-text"]), (self.by, "y"))

    def test_what_goes_on_after_an_answer_is_waited_for(self):
        instance = Instance({"entry.py": self.text}, {"bindings": BINDINGS})
        instance.front.wait("ready")
        self.assertEqual(instance.text("/after"), "first")
        self.assertEqual(instance.end(), 0)
        self.assertEqual(instance.front.store["after"][0], b"done")

    def test_an_answer_that_takes_too_long_is_cut_off_and_its_application_told(self):
        instance = Instance({"entry.py": self.text}, {"bindings": BINDINGS, "timeout_s": 0.5})
        instance.front.wait("ready")
        with self.assertRaises((http.client.IncompleteRead, ConnectionError)):
            instance.ask("/long")
        self.assertIn("the worker took longer than 0.5 s", instance.log())
        instance.front.send({"op": "drain"})
        self.assertEqual(instance.process.wait(http_rig.PATIENCE), 0)
        self.assertNotIn("after response started", instance.log())
        instance.close()


class DirectAsgiTest(AsgiTest):

    text = DIRECT
    by = "DirectRun"

    def test_a_request_that_is_not_the_servers(self):
        pass

    def test_a_fetch_in_its_place_is_called(self):
        text = DIRECT + "    async def fetch(self, request):\n        return Response('mine')\n"
        instance = Instance({"entry.py": text}, {"bindings": BINDINGS})
        instance.front.wait("ready")
        self.assertEqual(instance.text("/by"), "mine")
        instance.close()

    def test_with_tail_an_event_is_told_when_the_answer_is_complete(self):
        instance = Instance({"entry.py": self.text}, {"bindings": BINDINGS})
        instance.front.wait("ready")
        instance.front.send({"op": "tail", "on": True})
        while instance.text("/by") != "Run":
            pass
        self.assertEqual(instance.front.wait("event")["outcome"], "ok")
        instance.close()


class WsgiTest(unittest.TestCase):

    def test_applications(self):
        instance = Instance({"entry.py": WSGI}, {"bindings": BINDINGS})
        instance.front.wait("ready")
        sock = instance.connect()
        sock.sendall(b"GET /environ?a=%20 HTTP/1.1\r\nHost: h.example:81\r\nX: 1\r\nX: 2\r\nContent-Type: t/x\r\n\r\n")
        text = b""
        while not text.endswith(b"]"):
            text += sock.recv(65536)
        sock.close()
        self.assertIn(b"HTTP/1.1 200 Fine\r\nX-A: 1\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n", text)
        self.assertIn(b"['GET', 'a=%20', 'h.example', '81', '1,2', 't/x', 'http', 'n']", text)
        self.assertEqual(instance.text("/caf%C3%A9"), "decoded")
        self.assertEqual(instance.ask("/late")[::2], (201, b"late"))
        self.assertEqual(instance.text("/closed"), "1")
        self.assertEqual(instance.text("/write"), "written returned")
        self.assertEqual(instance.text("/read", method="POST", body=b"abcdef"), "abc|def")
        self.assertEqual(instance.text("/read", method="POST", body=iter([b"ab", b"cd", b"ef"])), "abc|def")
        self.assertEqual(instance.ask("/fails")[0], 500)
        self.assertIn("WSGI request failed", instance.log())
        self.assertEqual(instance.end(), 0)


if __name__ == "__main__":
    unittest.main()

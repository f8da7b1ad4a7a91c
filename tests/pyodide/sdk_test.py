"""The platform's own SDK for Python, unchanged, on the runtime's `js` and `pyodide`.

With --write, it writes into the files of sdk/ what their cases print with it.
"""

import asyncio
import datetime
import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
RUNTIME = os.environ.get("RUNTIME_DIR") or os.path.join(HERE, "..", "..", "images", "runtime")
# A worker's modules come before the runtime's.
sys.path[:0] = [os.environ["MODULES"], os.path.join(RUNTIME, "http"), HERE]

import _sandboxd_js  # noqa: E402
import cases  # noqa: E402
import js  # noqa: E402
import workers  # noqa: E402
from pyodide.ffi import JsException, jsnull, run_sync  # noqa: E402
from starlette.applications import Starlette  # noqa: E402
from starlette.responses import JSONResponse, PlainTextResponse, StreamingResponse  # noqa: E402
from starlette.responses import Response as StarletteResponse  # noqa: E402
from starlette.routing import Route  # noqa: E402
from workers import Blob, File, FormData, Request, Response, asgi, wsgi  # noqa: E402


def incoming(method, path, body=None, headers=()):
    """A request as the server makes it."""
    return _sandboxd_js.incoming(method, "http://host" + path, list(headers), body)


async def sent(response):
    """Status, headers as a dict of lists, and body of a response, as the server sends them."""
    response = getattr(response, "js_object", response)
    raw, body = _sandboxd_js.outgoing(response)
    if body is not None and not isinstance(body, bytes):
        body = b"".join([chunk async for chunk in body])
    headers = {}
    for name, value in raw:
        headers.setdefault(name.decode(), []).append(value.decode())
    return response.status, headers, body


class Messages(unittest.IsolatedAsyncioTestCase):
    """Response, Request, FormData, Blob and File."""

    async def test_response(self):
        response = Response("hello")
        self.assertEqual(repr(response),
                         "Response(status=200, status_text='OK', content_type='text/plain;charset=UTF-8')")
        self.assertEqual(await response.text(), "hello")
        with self.assertRaisesRegex(OSError, "Response body is already used"):
            await response.text()
        response = Response(b"\x00\xff", status=201, headers={"n": 5, "b": True})
        self.assertEqual(await sent(response), (201, {"n": ["5"], "b": ["true"]}, b"\x00\xff"))
        self.assertEqual(await Response.json({"a": [1, None]}).json(), {"a": [1, None]})
        self.assertEqual(await sent(Response.redirect("http://a/b", 301)), (301, {"location": ["http://a/b"]}, None))
        self.assertEqual(await Response("x").replace_body("y").text(), "y")

    async def test_wrong_responses(self):
        for error, words, make in (
                (TypeError, "Unsupported type in Response: list", lambda: Response([1])),
                (TypeError, "Received unexpected type for headers argument", lambda: Response("x", headers=5)),
                (JsException, "RangeError", lambda: Response("x", status=600)),
                (JsException, "TypeError", lambda: Response("x", status=204)),
                (ValueError, "not a redirect status code", lambda: Response.redirect("http://a/", 200)),
                (TypeError, "Unable to parse URL", lambda: Response.redirect("/relative"))):
            with self.assertRaisesRegex(error, words):
                make()

    async def test_request(self):
        request = Request(incoming("POST", "/a?b=c", b'{"x": 1}', [(b"A", b"1"), (b"a", b"2"),
                                                                   (b"Set-Cookie", b"q")]))
        self.assertEqual(repr(request), "Request(method='POST', url='http://host/a?b=c')")
        self.assertEqual(list(request.headers.items()), [("Set-Cookie", "q"), ("a", "1, 2")])
        self.assertIsNone(request.cf)
        self.assertEqual(await request.clone().bytes(), b'{"x": 1}')
        self.assertEqual(await request.json(), {"x": 1})
        with self.assertRaisesRegex(OSError, "Body already used"):
            await request.text()
        with self.assertRaisesRegex(JsException, "TypeError"):
            Request("http://a/", body="x")
        self.assertEqual(Request("http://a/", method="get").method, "GET")

    async def test_forms_and_files(self):
        form = FormData({"a": "b", "f": File("data", "n.txt", content_type="t/p")})
        form.append("a", "c")
        self.assertEqual((form["a"], form.get_all("a"), form["none"]), ("b", ["b", "c"], jsnull))
        read = await Request("http://a/", method="POST", body=form).form_data()
        self.assertEqual((read.get_all("a"), read["f"].name, read["f"].content_type, await read["f"].text()),
                         (["b", "c"], "n.txt", "t/p", "data"))
        blob = Blob(["a", b"b", Blob("c")], content_type="q/w")
        self.assertEqual((blob.size, blob.content_type, await blob.slice(1).text(), Blob(blob).content_type),
                         (3, "q/w", "bc", "q/w"))
        self.assertEqual(File("x", "n", last_modified=7).last_modified, 7)

    async def test_rpc(self):
        when = datetime.datetime(2024, 1, 2)
        for value in ({"a": [1, None, {"b": "c"}]}, [1, 2.5, "s", True, None], {1, 2}, when):
            self.assertEqual(workers.python_from_rpc(workers.python_to_rpc(value)), value)
        for value in ((1, 2), bytearray(b"x"), js.RegExp.new("a")):
            with self.assertRaisesRegex(TypeError, "cannot be sent over RPC"):
                workers.python_to_rpc(value)

    async def test_env(self):
        _sandboxd_js.set_env(_sandboxd_js.new_object({"A": "1"}))
        with workers.patch_env(A="2"):
            self.assertEqual(workers.env.A, "2")
        self.assertEqual(workers.env.A, "1")
        with self.assertRaises(AttributeError):
            getattr(workers.env, "B")
        with self.assertRaisesRegex(ImportError, "cloudflare:nothing"):
            workers.import_from_javascript("cloudflare:nothing")

    async def test_fetch(self):
        async def answer(request):
            return _sandboxd_js.received(200, [], (request.method + await request.text()).encode(), request.url)

        _sandboxd_js.set_fetch(answer)
        response = await workers.fetch("http://a", method="PUT", body="x", headers={"a": "b"})
        self.assertEqual((await response.text(), response.url), ("PUTx", "http://a/"))


async def json_of(request):
    """What the application has seen of the request."""
    return JSONResponse({"path": request.url.path, "raw": request.scope["raw_path"].decode(),
                         "query": dict(request.query_params), "body": (await request.body()).decode(),
                         "env": request.scope["env"].A})


async def streamed(_request):
    """A response in pieces."""
    async def pieces():
        for at in range(3):
            await asyncio.sleep(0)
            yield b"%d" % at

    return StreamingResponse(pieces())


async def cookies(_request):
    """A response with two headers of one name."""
    response = PlainTextResponse("x")
    response.set_cookie("a", "1")
    response.set_cookie("b", "2")
    return response


async def nothing(_request):
    """A response without a body."""
    return StarletteResponse(status_code=204)


async def fails(_request):
    """No response."""
    raise ValueError("on purpose")


class Applications(unittest.IsolatedAsyncioTestCase):
    """asgi and wsgi."""

    def setUp(self):
        self.waited = []
        _sandboxd_js.set_wait_until(self.waited.append)
        routes = [Route("/json/{rest:path}", json_of, methods=["POST"]), Route("/stream", streamed),
                  Route("/cookies", cookies), Route("/nothing", nothing), Route("/fails", fails)]
        self.entry = asgi.entrypoint(Starlette(routes=routes))

    async def call(self, *request):
        """What the application's entrypoint answers."""
        context = _sandboxd_js.new_object({"waitUntil": self.waited.append})
        entry = self.entry(context, _sandboxd_js.new_object({"A": "1"}))
        answer = await sent(await entry.fetch(Request(incoming(*request))))
        await asyncio.gather(*self.waited)
        return answer

    async def test_asgi(self):
        status, headers, body = await self.call("POST", "/json/a%20b?q=5", b"body")
        self.assertEqual((status, headers["content-type"], body), (
            200, ["application/json"],
            b'{"path":"/json/a b","raw":"/json/a%20b","query":{"q":"5"},"body":"body","env":"1"}'))
        self.assertEqual((await self.call("GET", "/stream"))[2], b"012")
        self.assertEqual(len((await self.call("GET", "/cookies"))[1]["set-cookie"]), 2)
        self.assertEqual((await self.call("GET", "/nothing"))[::2], (204, None))
        self.assertEqual((await self.call("GET", "/none"))[0], 404)
        with self.assertLogs("asgi"):
            self.assertEqual((await self.call("GET", "/fails"))[0], 500)

    async def test_wsgi(self):
        def application(environ, start_response):
            start_response("201 Created", [("X-A", "1"), ("Set-Cookie", "a"), ("Set-Cookie", "b")])
            yield environ["PATH_INFO"].encode("latin-1")
            yield environ["wsgi.input"].read()

        answer = await sent(await wsgi.fetch(application, Request(incoming("POST", "/%C3%A9", b"in")), None))
        self.assertEqual(answer, (201, {"x-a": ["1"], "set-cookie": ["a", "b"]}, "/éin".encode()))

    async def test_wsgi_without_a_body_at_hand(self):
        with self.assertRaisesRegex(RuntimeError, "No suspender"):
            run_sync(js.Promise.new(lambda resolve, reject: None))


class Cases(unittest.TestCase):
    """What the unit tests expect of the runtime's own SDK."""

    maxDiff = None

    def tearDown(self):
        _sandboxd_js.set_fetch(None)


cases.add_tests(Cases, os.path.join(HERE, "sdk"), cases.SDK_PRELUDE)


def write():
    folder = os.path.join(HERE, "sdk")
    for name in os.listdir(folder):
        with open(os.path.join(folder, name), encoding="utf-8") as opened:
            text = opened.read()
        made = asyncio.run(cases.written({name: text}, cases.SDK_PRELUDE))
        with open(os.path.join(folder, name), "w", encoding="utf-8") as opened:
            opened.write(made[name])


if __name__ == "__main__":
    if sys.argv[1:] == ["--write"]:
        write()
    else:
        unittest.main()

"""What the server and the bindings use of _sandboxd_js, and what Workers have that Node has not."""

import asyncio
import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
RUNTIME = os.environ.get("RUNTIME_DIR") or os.path.join(HERE, "..", "..", "..", "images", "runtime")
sys.path.insert(0, os.path.join(RUNTIME, "http"))

import _cloudflare_compat_flags  # noqa: E402
import _pyodide_entrypoint_helper  # noqa: E402
import _sandboxd_js  # noqa: E402
import js  # noqa: E402
from pyodide.ffi import JsException, create_proxy, jsnull, run_sync, to_js  # noqa: E402
from pyodide.http import AbortError, pyfetch  # noqa: E402


async def chunks_of(*chunks):
    """An asynchronous iterator, as the server has one for a body that it reads."""
    for chunk in chunks:
        await asyncio.sleep(0)
        yield chunk


class Incoming(unittest.IsolatedAsyncioTestCase):
    """A request as the server makes it."""

    def request(self, body=None, headers=(), method="POST"):
        """A request with that body."""
        return _sandboxd_js.incoming(method, "http://a/b?c=d", list(headers), body)

    async def test_parts(self):
        request = self.request(None, [(b"X-A", b"1"), (b"x-a", b" 2 "), (b"Z", "é".encode()), (b"L", b"\xe9")], "GET")
        self.assertEqual((request.method, request.url, request.bodyUsed), ("GET", "http://a/b?c=d", False))
        self.assertIs(request.body, jsnull)
        self.assertEqual(request.headers.get("x-A"), "1, 2")
        self.assertEqual((request.headers.get("z"), request.headers.get("l")), ("é", "é"))
        self.assertIsNone(request.cf)
        self.assertEqual(await request.text(), "")

    async def test_headers_are_fixed(self):
        headers = self.request(None, [(b"a", b"1")]).headers
        for change in (lambda: headers.set("a", "2"), lambda: headers.append("b", "2"), lambda: headers.delete("a")):
            with self.assertRaisesRegex(JsException, "Can't modify immutable headers"):
                change()
        self.assertEqual([list(pair) for pair in headers], [["a", "1"]])

    async def test_body_is_read_once(self):
        for body in (b"whole", chunks_of(b"who", b"le")):
            request = self.request(body)
            self.assertEqual(await request.text(), "whole")
            self.assertTrue(request.bodyUsed)
            with self.assertRaisesRegex(JsException, "Body has already been used"):
                await request.text()

    async def test_body_as_a_stream(self):
        for body, expected in ((b"whole", [b"whole"]), (chunks_of(b"a", b"b"), [b"a", b"b"])):
            request = self.request(body)
            self.assertFalse(request.bodyUsed)
            self.assertEqual([chunk.to_bytes() async for chunk in request.body], expected)
            self.assertTrue(request.bodyUsed)

    async def test_body_is_cloned(self):
        for body in (b"whole", chunks_of(b"who", b"le")):
            request = self.request(body)
            clone = request.clone()
            self.assertEqual(await asyncio.gather(request.text(), clone.text()), ["whole", "whole"])

    async def test_client_that_leaves(self):
        async def broken():
            yield b"a"
            raise ConnectionResetError("the client has left")

        with self.assertRaises(JsException) as caught:
            await self.request(broken()).text()
        self.assertEqual(caught.exception.name, "PythonError")
        self.assertIsInstance(caught.exception.__cause__, ConnectionResetError)

    async def test_proxied(self):
        request = js.Request.new("http://other/", self.request(b"x", [(b"a", b"1")]))
        self.assertEqual((request.method, request.headers.get("a")), ("POST", "1"))
        request = js.Request.new(self.request(b"x", [(b"a", b"1")]), headers={"b": "2"})
        self.assertEqual((request.url, request.headers.get("a"), request.headers.get("b")),
                         ("http://a/b?c=d", jsnull, "2"))
        self.assertEqual(_sandboxd_js.outgoing(request), ([(b"b", b"2")], b"x"))

    async def test_signal(self):
        controller = js.AbortController.new()
        request = _sandboxd_js.incoming("GET", "http://a/", [], None, signal=controller.signal)
        self.assertFalse(request.signal.aborted)
        controller.abort()
        self.assertTrue(request.signal.aborted)


class Outgoing(unittest.IsolatedAsyncioTestCase):
    """A response as the server sends it."""

    async def sent(self, response):
        """Status, headers and whole body."""
        headers, body = _sandboxd_js.outgoing(response)
        if body is not None and not isinstance(body, bytes):
            body = b"".join([chunk async for chunk in body])
        return response.status, headers, body

    async def test_bodies(self):
        text = [(b"content-type", b"text/plain;charset=UTF-8")]
        self.assertEqual(await self.sent(js.Response.new("é")), (200, text, "é".encode()))
        self.assertEqual(await self.sent(js.Response.new(None)), (200, [], None))
        self.assertEqual(await self.sent(js.Response.new(to_js(b"\x00\xff"))), (200, [], b"\x00\xff"))
        self.assertEqual(await self.sent(js.Response.new(None, status=204)), (204, [], None))
        self.assertEqual(await self.sent(js.Response.new("x", headers={"a": "b", "Content-Type": "c/d"})),
                         (200, [(b"a", b"b"), (b"content-type", b"c/d")], b"x"))

    async def test_bytes_are_not_copied(self):
        data = bytes(1000)
        proxy = create_proxy(data)
        buffer = proxy.getBuffer()
        response = js.Response.new(buffer.data)
        buffer.release()
        proxy.destroy()
        self.assertIs(_sandboxd_js.outgoing(response)[1], data)

    async def test_repeated_headers(self):
        headers = js.Headers.new([["set-cookie", "a=1"], ["set-cookie", "b=2"], ["x", "1"]])
        headers.append("x", "2")
        self.assertEqual(_sandboxd_js.outgoing(js.Response.new(None, headers=headers))[0],
                         [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"x", b"1"), (b"x", b"2")])

    async def test_stream(self):
        def pull(controller):
            controller.enqueue(to_js(b"one"))
            controller.close()

        self.assertEqual(await self.sent(js.Response.new(js.ReadableStream.new(pull=create_proxy(pull)))),
                         (200, [], b"one"))

    async def test_stream_that_nobody_reads_on(self):
        told = []
        stream = js.ReadableStream.new(pull=create_proxy(lambda controller: controller.enqueue(to_js(b"x"))),
                                       cancel=create_proxy(told.append))
        body = _sandboxd_js.outgoing(js.Response.new(stream))[1]
        self.assertEqual(await body.__anext__(), b"x")
        await body.aclose()
        self.assertEqual(told, [None])

    async def test_stream_of_an_iterator(self):
        for values in (js.Array.of(to_js(b"a"), to_js(b"b")), chunks_of(to_js(b"a"), to_js(b"b"))):
            stream = getattr(js.ReadableStream, "from")(values)
            self.assertEqual((await self.sent(js.Response.new(stream)))[2], b"ab")

    async def test_an_iterator_is_a_body(self):
        self.assertEqual(await self.sent(js.Response.new(chunks_of(b"a", b"b"))), (200, [], b"ab"))
        self.assertEqual(await self.sent(js.Response.new(to_js([b"a", b"b"]))), (200, [], b"ab"))

    async def test_a_blob_in_a_form_is_named_as_its_field(self):
        form = js.FormData.new()
        form.append("field", js.Blob.new(["x"]))
        form.append("text", "value", "no file")
        self.assertEqual((form.get("field").name, form.get("text")), ("field", "value"))

    async def test_forms_that_others_write(self):
        part = "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nv"
        headers = {"content-type": "multipart/form-data; boundary=B"}

        async def read(body):
            form = await js.Response.new(body, headers=headers).formData()
            return [list(pair) for pair in form]

        for body, expected in ((part + "\r\n--B--", [["a", "v"]]), (part + "\r\n--B--tail " + part, [["a", "v"]]),
                               ("preamble\r\n" + part + "\n--B--\r\n", [["a", "v"]]), ("--B--", []),
                               (part.replace("\r\n", "\n") + "\r\n\r\n--B--", [["a", "v\r\n"]])):
            self.assertEqual(await read(body), expected)
        for body, words in (("", "No initial boundary"), ("--Bx", "Boundary string was not succeeded"),
                            ("--B\r\nname", "No multipart message header termination"),
                            (part, "No subsequent boundary"), ("--B\r\n\r\n\r\nv\r\n--B--", "Content-Disposition")):
            with self.assertRaisesRegex(JsException, words):
                await read(body)

    async def test_a_reader_of_bytes(self):
        reader = js.Response.new("hello").body.getReader(mode="byob")
        seen = []
        for _turn in range(3):
            step = await reader.read(js.Uint8Array.new(3))
            seen.append((step.value.to_bytes(), step.done))
        self.assertEqual(seen, [(b"hel", False), (b"lo", False), (b"", True)])
        step = await js.Response.new("hello").body.getReader(mode="byob").readAtLeast(5, js.Uint8Array.new(9))
        self.assertEqual((step.value.to_bytes(), step.done), (b"hello", False))

    async def test_stream_of_something_else(self):
        stream = js.ReadableStream.new(start=create_proxy(lambda controller: controller.enqueue(5)))
        with self.assertRaisesRegex(JsException, "did not return bytes"):
            await self.sent(js.Response.new(stream))

    async def test_a_body_is_sent_once(self):
        response = js.Response.new("x")
        _sandboxd_js.outgoing(response)
        self.assertTrue(response.bodyUsed)
        with self.assertRaisesRegex(JsException, "already been used"):
            _sandboxd_js.outgoing(response)

    async def test_received_is_passed_on(self):
        response = _sandboxd_js.received(206, [(b"A", b"b"), (b"Set-Cookie", b"c")], chunks_of(b"x", b"y"), "http://u/")
        self.assertEqual((response.url, response.statusText, response.ok), ("http://u/", "Partial Content", True))
        self.assertEqual(await self.sent(response), (206, [(b"A", b"b"), (b"Set-Cookie", b"c")], b"xy"))

    async def test_status_texts_are_those_of_http(self):
        self.assertEqual(js.Response.new("x", status=404).statusText, "Not Found")
        self.assertEqual(js.Response.new("x").statusText, "OK")
        self.assertEqual(js.Response.new("x", status=299).statusText, "Successful")

    async def test_methods(self):
        self.assertEqual(js.Request.new("http://a/", method="propfind").method, "PROPFIND")
        with self.assertRaisesRegex(JsException, "Invalid HTTP method string: foo"):
            js.Request.new("http://a/", method="foo")

    async def test_a_redirect_is_fixed(self):
        with self.assertRaisesRegex(JsException, "Can't modify immutable headers"):
            js.Response.redirect("http://a/").headers.set("a", "b")

    async def test_an_empty_body_where_none_may_be(self):
        self.assertEqual(await self.sent(js.Response.new("", status=204)), (204, [], None))

    async def test_web_socket(self):
        socket = js.Object.new()
        response = js.Response.new(None, status=101, webSocket=socket)
        self.assertIs(response.webSocket, socket)
        with self.assertRaisesRegex(JsException, "RangeError"):
            js.Response.new(None, status=101)


class Fetch(unittest.IsolatedAsyncioTestCase):
    """fetch calls what the server has installed."""

    def tearDown(self):
        _sandboxd_js.set_fetch(None)

    async def test_fetch(self):
        seen = []

        async def answer(request):
            seen.append((request.method, request.url, await request.text()))
            return _sandboxd_js.received(200, [], b"answer", request.url)

        _sandboxd_js.set_fetch(answer)
        response = await js.fetch("http://a", method="post", body="x")
        self.assertEqual((await response.text(), response.url), ("answer", "http://a/"))
        self.assertEqual(await (await pyfetch("http://b/", method="PUT", body="y")).text(), "answer")
        self.assertEqual(seen, [("POST", "http://a/", "x"), ("PUT", "http://b/", "y")])

    async def test_no_network(self):
        async def refuse(_request):
            raise OSError("the policy has no network")

        _sandboxd_js.set_fetch(refuse)
        with self.assertRaisesRegex(JsException, "TypeError: the policy has no network"):
            await js.fetch("http://a/")
        with self.assertRaisesRegex(AbortError, "the policy has no network"):
            await pyfetch("http://a/")

    async def test_outside_of_a_request(self):
        with self.assertRaisesRegex(JsException, "Disallowed operation called within global scope"):
            js.fetch("http://a/")

    async def test_aborted(self):
        async def answer(_request):
            self.fail("the request was not sent")

        _sandboxd_js.set_fetch(answer)
        with self.assertRaises(JsException) as caught:
            await js.fetch("http://a/", signal=js.AbortSignal.abort())
        self.assertEqual(caught.exception.name, "AbortError")

    async def test_wrong_address(self):
        _sandboxd_js.set_fetch(lambda request: None)
        with self.assertRaisesRegex(JsException, "Invalid URL"):
            await js.fetch("/relative")


class Platform(unittest.IsolatedAsyncioTestCase):
    """env, waitUntil, flags, modules, run_sync."""

    async def test_env_is_patched(self):
        env = _sandboxd_js.new_object({"A": "1", "B": "2"})
        _sandboxd_js.set_env(env)
        module = _pyodide_entrypoint_helper.cloudflareWorkersModule

        def patched():
            yield from _pyodide_entrypoint_helper.patch_env_helper(to_js({"B": "3", "C": "4"}))

        for _none in patched():
            self.assertEqual((module.env.A, module.env.B, module.env.C), ("1", "3", "4"))
            self.assertFalse(hasattr(module.env, "D"))
        self.assertEqual((module.env.B, hasattr(module.env, "C")), ("2", False))
        self.assertEqual(module.withEnv(to_js({"A": "5"}), lambda: module.env.A), "5")

    async def test_wait_until(self):
        waited = []
        _sandboxd_js.set_wait_until(waited.append)

        async def work():
            await asyncio.sleep(0)
            return "done"

        for awaitable in (work(), create_proxy(asyncio.ensure_future(work())), js.Promise.resolve("done")):
            _pyodide_entrypoint_helper.cloudflareWorkersModule.waitUntil(awaitable)
        self.assertEqual(await asyncio.gather(*waited), ["done"] * 3)

    async def test_modules(self):
        known = await _pyodide_entrypoint_helper.doAnImport("cloudflare:workers")
        self.assertIs(known, _pyodide_entrypoint_helper.cloudflareWorkersModule)
        known = await _pyodide_entrypoint_helper.doAnImport("cloudflare:vectorize")
        self.assertEqual(known.DistanceMetric.COSINE, "cosine")
        with self.assertRaisesRegex(JsException, "No such module"):
            await _pyodide_entrypoint_helper.doAnImport("cloudflare:nothing")

    async def test_times_are_those_of_the_date(self):
        self.assertEqual(js.performance.timeOrigin, 0)
        self.assertLess(abs(js.performance.now() - js.Date.now()), 60000)

    async def test_no_code_is_made_of_texts(self):
        for make in (js.eval, js.Function.new):
            with self.assertRaisesRegex(JsException, "EvalError"):
                make("1")

    async def test_no_web_sockets(self):
        for make in (lambda: js.WebSocketPair.new(), lambda: js.WebSocket.new("ws://a/")):
            with self.assertRaisesRegex(JsException, "WebSockets are not available"):
                make()

    async def test_flags(self):
        flags = _cloudflare_compat_flags
        flags.set_flags("2026-02-20", ["some_flag", "no_python_workflows"])
        self.assertTrue(flags.python_request_headers_preserve_commas)
        self.assertFalse(flags.python_workflows_implicit_dependencies)
        self.assertTrue(flags.some_flag)
        self.assertFalse(flags.python_workflows)
        self.assertFalse(flags.never_heard_of)

    async def test_run_sync(self):
        self.assertEqual(run_sync(js.Promise.resolve(5)), 5)
        never = asyncio.sleep(0)
        with self.assertRaisesRegex(RuntimeError, "No suspender"):
            run_sync(never)
        never.close()
        _sandboxd_js.set_run_sync(lambda awaitable: awaitable.close() or "blocked", lambda: True)
        try:
            self.assertEqual(run_sync(asyncio.sleep(0)), "blocked")
        finally:
            _sandboxd_js.set_run_sync(None, None)

    async def test_promise_of_another_loop(self):
        promise = _sandboxd_js.JsPromise.pending()
        loop, waits = asyncio.get_running_loop(), asyncio.Event()

        async def wait():
            loop.call_soon_threadsafe(waits.set)
            return await promise

        other = loop.run_in_executor(None, lambda: asyncio.run(wait()))
        await waits.wait()
        while promise._reactions is None:
            await asyncio.sleep(0)
        promise.resolve("done")
        self.assertEqual(await other, "done")

    async def test_deflate_raw(self):
        packed = js.Response.new("hello" * 50).body.pipeThrough(js.CompressionStream.new("deflate-raw"))
        self.assertEqual(await js.Response.new(packed.pipeThrough(js.DecompressionStream.new("deflate-raw"))).text(),
                         "hello" * 50)

    async def test_console(self):
        lines = []
        _sandboxd_js.set_console(lambda level, values: lines.append((level, values)))
        try:
            js.console.log("a", 1)
            js.console.error(js.Error.new("b"))
        finally:
            _sandboxd_js.set_console(None)
        self.assertEqual(lines[0], ("log", ["a", 1]))
        self.assertEqual((lines[1][0], lines[1][1][0].message), ("error", "b"))
        self.assertEqual(_sandboxd_js.shown(to_js({"a": [1, "x", {}]})), "{ a: [ 1, 'x', {} ] }")

    async def test_a_binding(self):
        @_sandboxd_js.js_class("KvNamespace")
        class Binding(_sandboxd_js.JsObject):
            """A binding as the runtime makes them."""

            __slots__ = ("_calls",)

            def get(self, key, options=None, **kwargs):
                """An answer."""
                return _sandboxd_js.promise_of(self._get(key))

            async def _get(self, key):
                await asyncio.sleep(0)
                if key == "bad":
                    raise _sandboxd_js.type_error("Key name cannot be empty.")
                return _sandboxd_js.new_object({"key": key})

        binding = Binding()
        self.assertEqual((binding.constructor.name, str(binding)), ("KvNamespace", "[object KvNamespace]"))
        self.assertEqual((await binding.get("k", type="json")).key, "k")
        with self.assertRaisesRegex(JsException, "TypeError: Key name cannot be empty."):
            await binding.get("bad")
        self.assertFalse(hasattr(binding, "nothing"))


class Outside(unittest.TestCase):
    """Before there is a request, nothing waits."""

    def test_what_is_refused(self):
        async def never():
            self.fail("it was begun")

        for ask in (lambda: js.fetch("http://a/"), lambda: js.setTimeout(print, 5)):
            with self.assertRaisesRegex(JsException, "Disallowed operation called within global scope"):
                ask()

        async def wait():
            with self.assertRaisesRegex(JsException, "Disallowed operation called within global scope"):
                await promise

        promise = _sandboxd_js.promise_of(never())
        asyncio.run(wait())

    def test_what_is_not(self):
        called = []
        js.Promise.resolve(5).then(called.append)
        js.queueMicrotask(lambda: called.append("micro"))

        async def turn():
            await js.Promise.new(lambda resolve, reject: js.setTimeout(resolve, 0))

        asyncio.run(turn())
        self.assertEqual(called, [5, "micro"])


if __name__ == "__main__":
    unittest.main()

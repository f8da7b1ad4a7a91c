"""Whole instances: a worker's files, the front's channel and HTTP clients."""

import http.client
import json
import os
import sys
import socket
import tempfile
import unittest

import http_rig
from http_instance import Instance

OLDER = """
import asyncio
from js import Response

calls = 0
async def on_fetch(request, env, ctx):
    global calls
    calls += 1
    path = request.url.partition("example.test")[2]
    if path == "/calls":
        return Response.new(str(calls))
    if path == "/fails":
        raise ValueError("the reason")
    if path == "/none":
        return None
    if path == "/echo":
        return Response.new(await request.text(), status=201, headers={"X-Method": request.method})
    if path == "/env":
        return Response.new("%s %s %s" % (env.NAME, env.SECRET, env.OBJECT.a))
    if path == "/later":
        async def later():
            await asyncio.sleep(0.05)
            print("then")
            await env.KV.put("later", "done")
        print("now")
        ctx.waitUntil(later())
        return Response.new("first")
    if path == "/prints":
        for _ in range(1000):
            print("\\x01" * 1000)
    if path == "/forever":
        await asyncio.sleep(3600)
    if path == "/exit":
        raise SystemExit(3)
    return Response.new("hello " + path)

def on_scheduled(controller, env, ctx):
    print("cron", controller.cron, controller.scheduledTime, flush=True)
    if controller.cron == "bad":
        raise RuntimeError("no luck")
    if controller.cron == "exit":
        raise SystemExit(3)
    if controller.cron == "long":
        return asyncio.sleep(3600)

async def test(ctrl, env):
    await env.KV.put("tested", "yes")
"""
BINDINGS = [{"name": "NAME", "type": "plain_text", "text": "ü"}, {"name": "SECRET", "type": "secret_text"},
            {"name": "OBJECT", "type": "json", "json": {"a": [1, None]}}, {"name": "KV", "type": "kv_namespace"},
            {"name": "QUEUE", "type": "queue"}]
CLASSES = """
import asyncio
from workers import WorkerEntrypoint, Response, env, fetch, wait_until

shared = []

class Mixin:
    async def scheduled(self, controller, env, ctx):
        shared.append(controller.cron)

class Default(Mixin, WorkerEntrypoint):
    def __init__(self, ctx, env):
        super().__init__(ctx, env)
        self.mine = []

    async def fetch(self, request):
        self.mine.append(1)
        path = request.url.partition("example.test")[2]
        if path == "/shared":
            return Response.json([shared, len(self.mine)])
        if path == "/self":
            inner = await self.env.SELF.fetch("http://example.test/inner", method="POST", body="x")
            return Response("%d %s %s" % (inner.status, inner.headers["x-inner"], await inner.text()))
        if path == "/inner":
            return Response(request.method + await request.text(), headers={"X-Inner": "yes"})
        if path == "/named":
            return await self.env.NAMED.fetch("http://x/")
        if path == "/cron":
            result = await self.env.SELF.scheduled(cron="* * * * *")
            return Response(result.outcome)
        if path == "/run":
            async def inner():
                await asyncio.sleep(0.01)
                return "nested"
            return Response(asyncio.run(inner()))
        if path == "/close":
            loop = asyncio.get_running_loop()
            return Response.json([type(loop).__name__, loop.close(), loop.stop(), loop.is_closed(), loop.is_running()])
        if path == "/queue":
            try:
                await self.env.QUEUE.send("x")
            except Exception as error:
                return Response("%s" % error)
        if path == "/other":
            answer = await self.env.OTHER.fetch("http://other/path", headers={"A": "b"})
            return Response(await answer.text(), status=answer.status)
        if path.startswith("/by/"):
            redirect = path[4:]
            try:
                answer = await self.env.OTHER.fetch("http://other/first", method="POST", body="x", redirect=redirect)
                return Response("%d %s %s" % (answer.status, answer.url, await answer.text()))
            except Exception as error:
                return Response(str(error))
        if path == "/raise":
            raise ValueError("of its own")
        if path == "/again":
            try:
                return await self.env.SELF.fetch("http://example.test/again")
            except Exception as error:
                return Response("%s" % error)
        if path == "/fields":
            return Response.json(sorted(request.headers.keys()))
        if path == "/limit":
            return Response.json([(await env.LIMIT.limit(key="k"))["success"], self.env.META.id])
        if path == "/global":
            return Response(env.NAME)
        if path == "/missing":
            try:
                self.env.NOTHING
            except AttributeError as error:
                return Response("AttributeError: %s %s" % (error, getattr(error, "__notes__", [""])[0]))
        if path == "/out":
            try:
                await fetch("http://127.0.0.1:1/")
            except OSError as error:
                return Response("OSError: %s" % error)
        return Response("default")

    async def test(self):
        assert shared is not None

class Named(WorkerEntrypoint):
    def fetch(self, request):
        shared.append("named")
        return Response("named")
"""
SERVICES = [{"name": "SELF", "type": "service", "service": "w"},
            {"name": "NAMED", "type": "service", "service": "w", "entrypoint": "Named"},
            {"name": "OTHER", "type": "service", "service": "other"}, {"name": "QUEUE", "type": "queue"},
            {"name": "LIMIT", "type": "ratelimit"}, {"name": "META", "type": "version_metadata"},
            {"name": "NAME", "type": "plain_text", "text": "name"}]


class OlderTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.instance = Instance({"entry.py": OLDER, "workers.py": "raise ImportError('not imported')",
                                 "json.py": "raise ImportError('behind the standard library')"},
                                {"bindings": BINDINGS, "timeout_s": 1.0}, {"SECRET": "hush"})
        cls.ready = cls.instance.front.wait("ready")

    @classmethod
    def tearDownClass(cls):
        cls.instance.close()

    def test_ready_says_what_there_is(self):
        self.assertEqual((self.ready["handlers"], self.ready["entrypoints"]), (["fetch", "scheduled", "test"], []))
        self.assertGreaterEqual(self.ready["import_ms"], 0)

    def test_requests(self):
        self.assertEqual(self.instance.text("/a"), "hello /a")
        status, headers, body = self.instance.ask("/echo", "POST", b"text")
        self.assertEqual((status, headers["x-method"], body), (201, "POST", b"text"))
        status, headers, body = self.instance.ask("/echo", "PUT", iter([b"in ", b"pieces"]))
        self.assertEqual((headers["x-method"], body), ("PUT", b"in pieces"))
        before = int(self.instance.text("/calls"))
        self.assertEqual(int(self.instance.text("/calls")), before + 1)

    def test_an_exception_is_a_500_and_its_traceback_is_in_the_log_only(self):
        for path, reason in (("/fails", "ValueError: the reason"), ("/none", "returned None, which is no Response"),
                             ("/exit", "SystemExit: 3")):
            status, _, body = self.instance.ask(path, headers={"X-Request-ID": "id-of" + path[1:]})
            self.assertEqual((status, body), (500, b"Internal Server Error (request id-of%s)\n" % path[1:].encode()))
            log = self.instance.log()
            self.assertIn(reason, log)
            self.assertIn("request id-of%s, GET %s" % (path[1:], path), log)
            self.assertNotIn("dispatch.py", log)

    def test_a_handler_that_takes_too_long(self):
        status, _, body = self.instance.ask("/forever")
        self.assertEqual(status, 504)
        self.assertIn(b"the worker took longer than 1 s (request ", body)

    def test_the_front_is_told_of_the_load(self):
        self.instance.text("/a")
        front = self.instance.front
        load = front.wait("load")
        while load["active"]:
            load = front.wait("load")
        self.assertGreaterEqual(load["served"], 1)

    def test_variables_and_secrets(self):
        self.assertEqual(self.instance.text("/env"), "ü hush 1,")

    def test_work_after_the_answer(self):
        self.assertEqual(self.instance.text("/later"), "first")
        front = self.instance.front
        with front.changed:
            self.assertTrue(front.changed.wait_for(lambda: "later" in front.store, http_rig.PATIENCE))

    def test_calls(self):
        front = self.instance.front
        front.send({"op": "call", "id": 1, "handler": "scheduled", "cron": "* * * * *", "time_ms": 5})
        self.assertEqual(front.wait("done"), {"op": "done", "id": 1, "ok": True})
        front.send({"op": "call", "id": 2, "handler": "scheduled", "cron": "bad", "time_ms": 5})
        done = front.wait("done")
        self.assertEqual((done["ok"], done["message"]), (False, "RuntimeError: no luck"))
        self.assertIn("entry.py", done["traceback"])
        front.send({"op": "call", "id": 3, "handler": "test"})
        self.assertTrue(front.wait("done")["ok"])
        self.assertEqual(front.store["tested"][0], b"yes")
        front.send({"op": "call", "id": 4, "handler": "queue"})
        self.assertFalse(front.wait("done")["ok"])
        front.send({"op": "call", "id": 5, "handler": "scheduled", "cron": "exit", "time_ms": 5})
        self.assertEqual(front.wait("done")["message"], "SystemExit: 3")

    def test_a_call_that_takes_too_long(self):
        front = self.instance.front
        front.send({"op": "call", "id": 6, "handler": "scheduled", "cron": "long", "time_ms": 5})
        done = front.wait("done")
        self.assertEqual((done["ok"], done["message"]),
                         (False, "TimeoutError: the handler took longer than 1 s"))

    def test_tail(self):
        front = self.instance.front
        front.send({"op": "tail", "on": True})
        front.send({"op": "call", "id": 8, "handler": "scheduled", "cron": "x", "time_ms": 6})
        front.wait("done")
        event = front.wait("event")
        self.assertEqual([each["message"] for each in event["logs"]], [["cron x 6"]])
        self.instance.ask("/fails", headers={"X-Request-ID": "tailed"})
        event = front.wait("event")
        self.assertEqual((event["request_id"], event["status"], event["outcome"], event["method"]),
                         ("tailed", 500, "exception", "GET"))
        self.assertEqual(event["exceptions"][0]["message"], "the reason")
        # The traceback is what was raised, and not printed a second time.
        self.assertEqual(event["logs"], [])
        self.assertEqual(event["headers"]["x-request-id"], "tailed")
        # What is left behind belongs to the request, and the event comes after it.
        self.instance.ask("/later", headers={"X-Request-ID": "later"})
        event = front.wait("event")
        self.assertEqual((event["request_id"], [each["message"][0] for each in event["logs"]]),
                         ("later", ["now", "then"]))
        # One that prints more than an event has room for says so, and what fits is there.
        self.instance.ask("/prints", headers={"X-Request-ID": "much"})
        event = front.wait("event")
        self.assertEqual((event["request_id"], event["truncated"]), ("much", True))
        self.assertTrue(event["logs"])
        front.send({"op": "tail", "on": False})
        self.instance.ask("/later")
        front.send({"op": "call", "id": 9, "handler": "test"})
        front.wait("done")
        self.assertNotIn("event", [each["op"] for each in front.frames])


class ClassesTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.instance = Instance({"entry.py": CLASSES}, {"bindings": SERVICES, "edge": True, "tag": "t", "timestamp": "s"})
        cls.ready = cls.instance.front.wait("ready")

    @classmethod
    def tearDownClass(cls):
        cls.instance.close()

    def test_ready_says_what_there_is(self):
        self.assertEqual((self.ready["handlers"], self.ready["entrypoints"]),
                         (["fetch", "scheduled", "test"], ["Default", "Named"]))

    def test_each_call_has_an_instance_and_module_globals_are_shared(self):
        text = self.instance.text
        self.assertEqual(text("/"), "default")
        self.assertEqual(text("/named"), "named")
        self.assertEqual(text("/cron"), "ok")
        shared, mine = json.loads(text("/shared"))
        self.assertEqual((sorted(shared), mine), (["* * * * *", "named"], 1))

    def test_self_is_the_same_process(self):
        self.assertEqual(self.instance.text("/self"), "200 yes POSTx")

    def test_a_loop_inside_a_handler(self):
        self.assertEqual(self.instance.text("/run"), "nested")

    def test_the_loop_cannot_be_closed(self):
        for _ in range(2):
            self.assertEqual(json.loads(self.instance.text("/close")), ["WebLoop", None, None, False, True])

    def test_env(self):
        front = self.instance.front
        front.answers["limit"] = lambda header, _: ({"ok": True, "success": header["key"] == "k"}, b"")
        self.assertEqual(json.loads(self.instance.text("/limit")), [True, "v1"])
        self.assertEqual(self.instance.text("/global"), "name")
        text = self.instance.text("/missing")
        self.assertTrue(text.startswith("AttributeError: NOTHING"))
        # Where Python has notes, a traceback says what there is, and no value of it.
        if sys.version_info >= (3, 11):
            self.assertIn("has no variable, secret or binding of this name: it has ", text)
            self.assertIn("NAME, ", text)
        self.assertIn("QUEUE is of the type queue, which sandboxd does not have yet", self.instance.text("/queue"))

    def test_another_worker(self):
        front = self.instance.front

        def answer(header, _):
            http = header["http"]
            self.assertIn(["a", "b"], http["headers"])
            return {"ok": True, "status": 201, "headers": [["x", "y"]]}, (http["method"] + http["url"]).encode()

        front.answers["fetch"] = answer
        status, _, body = self.instance.ask("/other")
        self.assertEqual((status, body), (201, b"GEThttp://other/path"))

    def test_redirects_of_another_worker(self):
        front, asked = self.instance.front, []

        def answer(header, body):
            http = header["http"]
            asked.append((http["method"], http["url"], body, http["depth"], http["redirect"]))
            if http["url"].endswith("/first"):
                return {"ok": True, "status": 303, "headers": [["Location", "/second?x"]]}, b""
            return {"ok": True, "status": 200, "headers": []}, b"second"

        front.answers["fetch"] = answer
        self.assertEqual(self.instance.text("/by/follow"), "200 http://other/second?x second")
        self.assertEqual(asked, [("POST", "http://other/first", b"x", 0, "manual"),
                                 ("GET", "http://other/second?x", b"", 0, "manual")])
        self.assertEqual(self.instance.text("/by/manual"), "303 http://other/first ")
        self.assertIn("the answer is a redirect", self.instance.text("/by/error"))
        front.answers["fetch"] = lambda header, _: (
            {"ok": True, "status": 302, "headers": [["location", header["http"]["url"]]]}, b"")
        self.assertIn("more than 20 redirects", self.instance.text("/by/follow"))

    def test_what_another_worker_asks(self):
        depths = []

        def answer(header, _):
            depths.append(header["http"]["depth"])
            return {"ok": True, "status": 200, "headers": []}, b""

        self.instance.front.answers["fetch"] = answer
        inner = {"X-Sandboxd-Depth": "3"}
        self.instance.ask("/other", headers=inner)
        self.assertEqual(depths, [3])
        self.assertEqual(self.instance.text("/", headers=dict(inner, **{"X-Sandboxd-Entrypoint": "Named"})), "named")
        self.assertNotIn("sandboxd", self.instance.text("/fields", headers=inner))
        status, headers, body = self.instance.ask("/raise", headers=inner)
        self.assertEqual((status, headers["x-sandboxd-exception"], body), (500, "1", b"ValueError: of its own"))
        # Without the depth, which the edge lets nobody say, it is the world's.
        status, headers, body = self.instance.ask("/raise", headers={"X-Sandboxd-Entrypoint": "Named"})
        self.assertEqual((status, headers["x-sandboxd-exception"]), (500, None))
        self.assertNotIn(b"own", body)
        self.assertNotIn("sandboxd", self.instance.text("/fields", headers={"X-Sandboxd-Other": "1"}))

    def test_a_worker_that_asks_itself_for_ever(self):
        self.assertIn("Subrequest depth limit exceeded", self.instance.text("/again"))

    def test_fetch_fails_in_words(self):
        self.assertIn("OSError: fetch of http://127.0.0.1:1/ failed: ", self.instance.text("/out"))


class LifeTest(unittest.TestCase):
    def test_without_the_edge_nobody_says_what_is_meant(self):
        instance = Instance({"entry.py": CLASSES}, {"bindings": SERVICES})
        instance.front.wait("ready")
        self.assertEqual(instance.text("/", headers={"X-Sandboxd-Depth": "0", "X-Sandboxd-Entrypoint": "Named"}), "default")
        self.assertEqual(instance.end(), 0)


    def fails(self, files, **named):
        instance = Instance(files, **named)
        failed = instance.front.wait("failed")
        self.assertEqual(instance.wait(), 1)
        return failed

    def test_what_cannot_be_imported_says_where(self):
        failed = self.fails({"entry.py": "import other\n", "other.py": "x = 1\nraise KeyError('why')\n"})
        self.assertEqual((failed["message"], failed["file"], failed["line"]), ("KeyError: 'why'", "other.py", 2))
        self.assertIn("other.py", failed["traceback"])
        failed = self.fails({"entry.py": "x = 1\nx = = 2\n"})
        self.assertEqual((failed["message"], failed["file"], failed["line"]),
                         ("SyntaxError: invalid syntax", "entry.py", 2))
        self.assertIn("does not export a handler named \"on_fetch\"", self.fails({"entry.py": ""})["message"])
        failed = self.fails({"entry.py": "from workers import WorkerEntrypoint\nclass Default(WorkerEntrypoint): pass\n"
                                         "def on_fetch(request): pass\n"})
        self.assertIn("Cannot define multiple default entrypoints", failed["message"])

    def test_what_the_main_module_exports(self):
        base = "from workers import WorkerEntrypoint, Response\n"
        instance = Instance({"entry.py": base + """
class Base(WorkerEntrypoint):
    def fetch(self, request):
        return Response(type(self).__name__)
class _Private(Base): pass
class Default(Base):
    # Neither environment nor context has to be taken.
    def __init__(self, ctx, env):
        self.mine = env.NAME
    async def scheduled(self, controller):
        raise KeyError(self.mine)
class Hidden(Base): pass
__all__ = ["Default", "Base"]
"""}, {"bindings": [{"name": "NAME", "type": "plain_text", "text": "n"}]})
        self.assertEqual(instance.front.wait("ready")["entrypoints"], ["Base", "Default"])
        self.assertEqual(instance.text(), "Default")
        front = instance.front
        for number, (handler, message) in enumerate((
                ("scheduled", "KeyError: 'n'"), ("test", "JsException: TypeError: Method test does not exist"))):
            front.send({"op": "call", "id": number, "handler": handler, "cron": "* * * * *", "time_ms": 5})
            self.assertEqual(front.wait("done")["message"], message)
        instance.close()
        instance = Instance({"entry.py": base + "class Default(WorkerEntrypoint): pass\nclass Other(WorkerEntrypoint): pass\n"})
        self.assertEqual(instance.front.wait("ready")["entrypoints"], ["Default", "Other"])
        instance.close()
        instance = Instance({"entry.py": "from js import Response\ndef on_fetch(request): return Response.new('x')\n"})
        instance.front.wait("ready")
        instance.front.send({"op": "call", "id": 1, "handler": "scheduled", "cron": "", "time_ms": 5})
        self.assertIn("Python entrypoint \"entry.py\" does not export a handler named \"on_scheduled\"",
                      instance.front.wait("done")["message"])
        instance.close()

    def test_drain_ends_the_instance_when_its_work_is_done(self):
        instance = Instance({"entry.py": OLDER}, {"bindings": BINDINGS})
        instance.front.wait("ready")
        self.assertEqual(instance.text("/later"), "first")
        self.assertEqual(instance.end(), 0)
        self.assertIn("later", instance.front.store)

    def test_a_handler_that_lets_no_other_run_ends_the_instance(self):
        entry = ("import asyncio\nfrom workers import Response\nasync def on_fetch(request):\n"
                 "    if request.url.endswith('spin'):\n        while True: pass\n"
                 "    await asyncio.sleep(0.05)\n    return Response('there')\n")
        instance = Instance({"entry.py": entry}, {"timeout_s": 0.2})
        instance.front.wait("ready")
        self.assertEqual(instance.text(), "there")
        with self.assertRaises((OSError, http.client.HTTPException)):
            instance.ask("/spin")
        self.assertEqual(instance.process.wait(http_rig.PATIENCE), 1)
        self.assertIn('entry.py", line 5 in on_fetch', instance.log())
        instance.close()

    def test_a_new_front_is_told_again(self):
        instance = Instance({"entry.py": OLDER}, {"bindings": BINDINGS}, {"SECRET": "old"})
        ready = instance.front.wait("ready")
        instance.front.sock.shutdown(socket.SHUT_RDWR)
        from http_instance import Front
        front = instance.front = Front(instance.connect())
        front.sock.sendall(b"\0")
        # In the body, as when they are too long for the head.
        front.send({"op": "hello", "secrets": {}}, b'{"SECRET": "new"}')
        front.begin()
        self.assertEqual(front.wait("ready"), ready)
        self.assertEqual(instance.text("/env"), "ü new 1,")
        self.assertEqual(instance.end(), 0)

    def test_a_new_front_is_told_which_handlers_still_run(self):
        with tempfile.TemporaryDirectory() as folder:
            gate = os.path.join(folder, "gate")
            entry = ("import asyncio, os\nfrom workers import WorkerEntrypoint\nclass Default(WorkerEntrypoint):\n"
                     "    async def scheduled(self, controller):\n"
                     "        while not os.path.exists(%r): await asyncio.sleep(0.01)\n" % gate)
            instance = Instance({"entry.py": entry})
            self.assertNotIn("calls", instance.front.wait("ready"))
            instance.front.send({"op": "call", "id": 7, "handler": "scheduled", "cron": "0 0 * * *", "time_ms": 5})
            instance.front.sock.shutdown(socket.SHUT_WR)
            from http_instance import Front
            front = instance.front = Front(instance.connect())
            front.sock.sendall(b"\0")
            front.send({"op": "hello", "secrets": {}})
            front.begin()
            self.assertEqual(front.wait("ready")["calls"], [{"id": 7, "cron": "0 0 * * *", "time_ms": 5}])
            with open(gate, "w", encoding="ascii"):
                pass
            done = front.wait("done")
            self.assertEqual((done["id"], done["ok"]), (7, True))
            self.assertEqual(instance.end(), 0)

    def test_one_request_and_no_more(self):
        instance = Instance({"entry.py": OLDER}, {"bindings": BINDINGS}, {"SECRET": "hush"}, isolation="request")
        status, headers, body = instance.ask("/env", sock=instance.client)
        self.assertEqual((status, headers["connection"], body.decode()), (200, "close", "ü hush 1,"))
        self.assertEqual(instance.wait(), 0)

    def test_the_front_hears_of_one_request_what_it_wants_to_know(self):
        for quiet, heard in ((False, ["ready"]), (True, [])):
            instance = Instance({"entry.py": OLDER}, {"bindings": BINDINGS}, {"SECRET": ""}, isolation="request",
                                hello={"quiet": quiet})
            self.assertEqual(instance.ask("/env", sock=instance.client)[0], 200)
            self.assertEqual(instance.wait(), 0)
            with instance.front.changed:
                instance.front.changed.wait_for(lambda: instance.front.ended, http_rig.PATIENCE)
            self.assertEqual([frame["op"] for frame in instance.front.frames], heard)

    def test_the_channel_is_used_when_it_is_needed(self):
        entry = ("import asyncio\nfrom js import Response\n"
                 "async def on_fetch(request, env):\n"
                 "    if request.url.endswith('/ask'):\n        return Response.new(await env.KV.get('a'))\n"
                 "    print('printed')\n    await asyncio.sleep(0.3)\n    print('told')\n"
                 "    return Response.new('')\n")
        bindings = [{"name": "KV", "type": "kv_namespace"}]
        instance = Instance({"entry.py": entry}, {"bindings": bindings}, isolation="request", hello={"quiet": True})
        instance.front.store["a"] = b"value", None
        self.assertEqual(instance.ask("/ask", sock=instance.client)[2], b"value")
        self.assertEqual(instance.wait(), 0)
        # A frame that comes while the request runs is heard, though nothing was asked for.
        instance = Instance({"entry.py": entry}, isolation="request", hello={"quiet": True})
        instance.front.send({"op": "call", "id": 7, "handler": "none"})
        self.assertEqual(instance.ask("/slow", sock=instance.client)[0], 200)
        self.assertFalse(instance.front.wait("done")["ok"])
        self.assertEqual(instance.wait(), 0)

    def test_how_many_arguments_a_function_takes(self):
        import functools
        import inspect

        from _sandboxd_http.dispatch import count_positions

        class Some:
            def none(self): pass
            def two(self, a, b=1, *, c=2): pass
            def any(self, *a): pass
            @staticmethod
            def still(a, /, b): pass
            @classmethod
            def of(cls, a): pass
            @functools.wraps(two)
            def wrapped(self, *a): pass
            def __call__(self, a): pass

        for function in (Some().none, Some().two, Some().any, Some.still, Some().of, Some().wrapped, Some(), Some.two,
                         lambda: 0, lambda a, **b: 0, functools.partial(Some().two, 1)):
            parameters = inspect.signature(function).parameters.values()
            expected = 99 if any(each.kind is each.VAR_POSITIONAL for each in parameters) else sum(
                each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD) for each in parameters)
            self.assertEqual(count_positions(function), expected, function)

    def test_a_project_may_carry_its_own_sdk(self):
        own = ("class WorkerEntrypoint:\n    def __init__(self, ctx, env): self.env = env\n"
               "class Request:\n    def __init__(self, request): self.inner = request\n"
               "class Response:\n    def __init__(self, text):\n        import js\n"
               "        self.js_object = js.Response.new(text)\n")
        instance = Instance({"entry.py": "from workers import *\nclass Default(WorkerEntrypoint):\n"
                                         "    def fetch(self, request):\n"
                                         "        return Response(type(request).__module__ + request.inner.method)\n",
                             "python_modules/workers/__init__.py": own})
        instance.front.wait("ready")
        self.assertEqual(instance.text(), "workersGET")
        self.assertEqual(instance.end(), 0)

    def test_the_path_and_pth_files(self):
        entry = ("import sys, json\nimport added\nfrom js import Response\n"
                 "def on_fetch(request):\n    return Response.new(json.dumps(sys.path))\n")
        instance = Instance({"entry.py": entry, "python_modules/a.pth": "more\n", "python_modules/more/added.py": ""})
        instance.front.wait("ready")
        path = json.loads(instance.text())
        at = path.index(instance.work)
        self.assertTrue(all("packages" not in each for each in path[:at]), path)
        self.assertEqual(path[at + 1:at + 4], [instance.work + "/python_modules", instance.work + "/python_modules/more",
                                               http_rig.HTTP])
        self.assertEqual(instance.end(), 0)
        failed = self.fails({"entry.py": entry, "python_modules/a.pth": "more\n", "python_modules/more/added.py": ""},
                            config={"compatibility_date": "2026-05-01"})
        self.assertIn("added", failed["message"])

    def test_trace(self):
        instance = Instance({"entry.py": "import helper\n" + OLDER, "helper.py": "import deeper", "deeper.py": ""},
                            {"trace": True, "bindings": BINDINGS})
        instance.front.wait("ready")
        for _ in range(2):
            instance.text("/a")     # what is said of the first is said before the second is answered
        instance.front.send({"op": "call", "id": 1, "handler": "test"})
        instance.front.wait("done")
        log = instance.log()
        self.assertRegex(log, r"ms entry.py is imported in [0-9.]+ ms\n")
        self.assertRegex(log, r"ms snapshot: [0-9]+ modules have been imported ahead\n")
        self.assertRegex(log, r"ms     import deeper in [0-9.]+ ms\n.*ms   import helper in [0-9.]+ ms\n")
        self.assertRegex(log, r"ms GET /a 200 in [0-9.]+ ms\n")
        self.assertRegex(log, r"ms test returned in [0-9.]+ ms\n")
        instance.close()

    def test_fetch_by_the_command(self):
        instance = Instance({"entry.py": CLASSES}, {"outbound": True, "bindings": SERVICES})
        instance.front.wait("ready")
        instance.front.answers["fetch"] = lambda header, body: (
            {"ok": False, "error": "Error", "message": "no way out of " + header["binding"] + "."}, b"")
        self.assertEqual(instance.text("/out"), "OSError: no way out of .")
        self.assertEqual(instance.front.asks[-1][0]["http"]["url"], "http://127.0.0.1:1/")
        instance.close()


if __name__ == "__main__":
    unittest.main()

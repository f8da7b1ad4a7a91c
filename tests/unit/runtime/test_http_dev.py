"""The dev mode of an instance: pages for what fails, cron triggers by a request, and each request is told."""

import unittest

from http_instance import Instance

ENTRY = """
from js import Response

def divide(a, b):
    # <b>not a tag</b>
    return a / b

async def on_fetch(request, env, ctx):
    if request.url.endswith("/fails"):
        try:
            divide(1, 0)
        except ZeroDivisionError as error:
            raise ValueError("</h1><script>alert(1)</script>") from error
    if request.url.endswith("/odd"):
        raise Odd()
    if request.url.endswith("/secret"):
        return Response.new("%s %s %s %s" % (env.NAME, env.MORE, env.OBJECT, env.KV.constructor.name))
    return Response.new("for the worker", status=404)

class Odd(Exception):
    def __str__(self):
        raise RuntimeError("no text")

def on_scheduled(controller, env, ctx):
    if controller.cron == "bad":
        raise RuntimeError("no luck")
    print("cron", repr(controller.cron), controller.scheduledTime, flush=True)
"""
BROWSER = {"Accept": "text/html,application/xhtml+xml"}
BINDINGS = [{"name": "NAME", "type": "plain_text", "text": "configured"}, {"name": "KV", "type": "kv_namespace"},
            {"name": "OBJECT", "type": "json", "json": {"a": 1}}]


class DevTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.instance = Instance({"entry.py": ENTRY}, {"dev": True, "bindings": BINDINGS},
                                {"NAME": "local", "MORE": "secret", "KV": "no binding", "OBJECT": "text"})
        cls.instance.front.wait("ready")

    @classmethod
    def tearDownClass(cls):
        cls.instance.close()

    def told(self):
        told = self.instance.front.wait("request")
        self.assertGreater(told["ms"], 0)
        return told["method"], told["target"], told["status"], told["reason"]

    def test_a_browser_gets_the_lines(self):
        status, headers, body = self.instance.ask("/fails", headers=BROWSER)
        page = body.decode()
        self.assertEqual((status, headers["content-type"]), (500, "text/html;charset=UTF-8"))
        self.assertIn("default-src 'none'", headers["content-security-policy"])
        self.assertIn("<h1>ValueError: &lt;/h1&gt;&lt;script&gt;alert(1)&lt;/script&gt;</h1>", page)
        self.assertNotIn("<script>", page)
        # Both exceptions, each with its line marked, the cause first.
        self.assertIn("<p>entry.py, line 6, in divide</p>", page)
        self.assertIn("<span>    5      # &lt;b&gt;not a tag&lt;/b&gt;</span><b>    6      return a / b</b>", page)
        self.assertLess(page.index("<h2>ZeroDivisionError: division by zero</h2>"), page.index("<h2>ValueError"))
        self.assertIn("This is the cause of the next one", page)
        self.assertNotIn("dispatch.py", page)
        self.assertEqual(self.told(), ("GET", "/fails", 500, "Internal Server Error"))

    def test_others_get_text(self):
        status, headers, body = self.instance.ask("/fails", headers={"Accept": "*/*", "X-Request-ID": "one"})
        self.assertEqual((status, headers["content-type"]), (500, "text/plain;charset=UTF-8"))
        self.assertTrue(body.startswith(b"Traceback (most recent call last):\n"), body)
        self.assertTrue(body.endswith(b"ValueError: </h1><script>alert(1)</script>\n(request one)\n"), body)
        self.told()

    def test_an_exception_without_a_text(self):
        status, _, body = self.instance.ask("/odd", headers=BROWSER)
        self.assertEqual(status, 500)
        self.assertIn(b"<h1>Odd</h1>", body)
        self.told()

    def test_what_is_local_is_in_place_of_variables_and_of_no_binding(self):
        self.assertEqual(self.instance.text("/secret"), "local secret text KvNamespace")
        self.assertEqual(self.told(), ("GET", "/secret", 200, "OK"))

    def test_cron_triggers(self):
        for path in "/cdn-cgi/local/scheduled", "/cdn-cgi/handler/scheduled":
            self.assertEqual(self.instance.text(path + "?cron=*/5+*+*+*+*&time=1700000000000"), "ok")
            self.assertEqual(self.told(), ("GET", path + "?cron=*/5+*+*+*+*&time=1700000000000", 200, "OK"))
            self.assertEqual(self.instance.text(path), "ok")
            self.told()
            status, _, body = self.instance.ask(path + "?cron=bad")
            self.assertEqual((status, body), (500, b"exception"))
            self.told()
            status, _, body = self.instance.ask(path + "?time=soon")
            self.assertEqual(status, 400)
            self.assertIn(b"time: must be in milliseconds", body)
            self.told()
        self.assertIn("RuntimeError: no luck", self.instance.log())
        # Nobody has asked for this one.
        self.assertEqual(self.instance.ask("/__scheduled")[0], 404)
        self.told()


class OtherDevTest(unittest.TestCase):

    def test_what_is_asked_for_by_test_scheduled(self):
        instance = Instance({"entry.py": ENTRY}, {"dev": True, "test_scheduled": True, "bindings": BINDINGS})
        instance.front.wait("ready")
        self.assertEqual(instance.text("/__scheduled?cron=x"), "Ran scheduled event")
        status, _, body = instance.ask("/__scheduled?cron=bad", headers=BROWSER)
        self.assertEqual(status, 500)
        self.assertIn(b"<h1>RuntimeError: no luck</h1>", body)
        self.assertEqual(instance.end(), 0)

    def test_what_cannot_be_imported_is_shown_until_the_instance_is_let_go(self):
        for text, place in ("x = 1\nx = = 2\n", "entry.py, line 2"), ("import other", "other.py, line 2"):
            instance = Instance({"entry.py": text, "other.py": "\nraise KeyError('why')\n"}, {"dev": True})
            failed = instance.front.wait("failed")
            self.assertIs(failed["serves"], True)
            self.assertIn("Error", failed["traceback"])
            for path in "/", "/cdn-cgi/local/scheduled":
                status, _, body = instance.ask(path, headers=BROWSER)
                self.assertEqual(status, 500)
                self.assertIn("<p>%s" % place, body.decode())
                self.assertIn(b"entry.py cannot be imported", body)
            self.assertIn(b"Error", instance.ask("/")[2])
            self.assertEqual(instance.front.wait("request")["status"], 500)
            self.assertEqual(instance.end(), 0)

    def test_no_dev_mode_without_its_word(self):
        instance = Instance({"entry.py": ENTRY}, {"bindings": BINDINGS}, {"NAME": "secret"})
        instance.front.wait("ready")
        self.assertEqual(instance.ask("/cdn-cgi/local/scheduled")[0], 404)
        status, _, body = instance.ask("/fails", headers=BROWSER)
        self.assertTrue(body.startswith(b"Internal Server Error (request "), body)
        self.assertEqual(instance.end(), 0)
        self.assertFalse([each for each in instance.front.frames if each["op"] == "request"])


if __name__ == "__main__":
    unittest.main()

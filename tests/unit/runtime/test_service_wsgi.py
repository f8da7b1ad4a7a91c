"""What a replica's nginx and uWSGI are told, and what stands between uWSGI and an app."""

import importlib
import os
import shutil
import sys
import tempfile
import types
import unittest

import harness

sys.path.insert(0, os.path.join(harness.RUNTIME, "http"))

from _sandboxd_service import hook, nginx, uwsgi  # noqa: E402

IN_UWSGI = os.path.join(harness.RUNTIME, "http", "_sandboxd_service", "in_uwsgi")


class Words(unittest.TestCase):
    def test_words(self):
        self.assertEqual(list(nginx.words('a "b; c";# d\n{e "f\\"}" g#h \\;i;}')),
                         ["a", '"b; c"', ";", "{", "e", '"f\\"}"', "g#h", "\\;i", ";", "}"])
        self.assertEqual(list(nginx.words("location ~ ^/a$ { }")), ["location", "~", "^/a$", "{", "}"])

    def test_named_locations(self):
        text = """
            # location @404 { }
            set $x "location @500 { }";
            location @502 { return 502; } location
            @503 { }
            error_page 404 @404;
        """
        self.assertEqual(nginx.named_locations(text), {"@502", "@503"})

    def test_any_text_ends(self):
        for text in ("", '"', "'", "\\", '"\\', "a\\", "{;}", "\"a'", "#", "location @x"):
            list(nginx.words(text))


class Options(unittest.TestCase):
    def said(self, config, env=None):
        return " ".join(uwsgi.options(config, env or {}))

    def test_defaults(self):
        self.assertEqual(self.said({}), "--processes 4 --logdate --disable-logging")

    def test_each(self):
        self.assertIn("--processes 2", self.said({"uwsgi_processes": 2}))
        self.assertIn("--processes 2", self.said({"uwsgi_processes": "2"}))
        self.assertIn("--memory-report", self.said({"uwsgi_memory_report": True}))
        self.assertNotIn("--disable-logging", self.said({"uwsgi_memory_report": True}))
        self.assertIn("--buffer-size 8192", self.said({"uwsgi_buffer_size": 8192}))
        self.assertIn("--harakiri 75", self.said({"uwsgi_harakiri": 75}))
        self.assertIn("--enable-threads", self.said({"uwsgi_enable_threads": "true"}))
        self.assertNotIn("--enable-threads", self.said({"uwsgi_enable_threads": "False"}))
        self.assertIn("--single-interpreter", self.said({"uwsgi_single_interpreter": True}))
        self.assertIn("--enable-threads --single-interpreter", self.said({"enable_newrelic": True}))

    def test_a_variable_is_not_hidden_by_a_default(self):
        self.assertNotIn("--processes", self.said({}, {"UWSGI_PROCESSES": "7"}))
        self.assertNotIn("--processes", self.said({}, {"UWSGI_WORKERS": "7"}))
        self.assertIn("--processes 2", self.said({"uwsgi_processes": 2}, {"UWSGI_PROCESSES": "7"}))

    def test_wrong_values_name_the_field(self):
        for config in ({"uwsgi_processes": 0}, {"uwsgi_processes": 1e400}, {"uwsgi_processes": True}, {"uwsgi_harakiri": -1},
                       {"uwsgi_buffer_size": 70000}, {"uwsgi_buffer_size": "big"}, {"uwsgi_processes": 1.5},
                       {"uwsgi_memory_report": "maybe"}, {"enable_newrelic": 2}):
            with self.assertRaises(hook.Failed) as caught:
                self.said(config)
            self.assertIn("config.%s: must be" % next(iter(config)), str(caught.exception))

    def test_variables_that_are_not_taken(self):
        kept, said = uwsgi.environment({"UWSGI_DAEMONIZE": "/x", "uwsgi_chroot": "/", "UWSGI_MASTER-FIFO": "/x", "A": "1",
                                        "UWSGI_LISTEN": "5", "UWSGI_HARAKIRI": "3"})
        self.assertEqual(kept, {"A": "1", "UWSGI_HARAKIRI": "3"})
        self.assertEqual(len(said), 3)
        self.assertEqual(uwsgi.backlog({"UWSGI_LISTEN": "5"}), 5)
        self.assertEqual(uwsgi.backlog({"UWSGI_LISTEN": "500000"}), uwsgi.BACKLOG)
        with self.assertRaises(hook.Failed):
            uwsgi.backlog({"UWSGI_LISTEN": "x"})


class Sent:
    """uWSGI's side of an answer."""

    def __init__(self):
        self.head = None
        self.body = b""

    def start_response(self, status, headers):
        if self.head is not None:
            raise AssertionError("the head comes twice")
        self.head = status
        return self.write

    def write(self, data):
        self.body += data


class Apps(unittest.TestCase):
    def setUp(self):
        self.folder = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.folder)
        sys.path.insert(0, IN_UWSGI)
        self.addCleanup(sys.path.remove, IN_UWSGI)
        self.app = None
        sys.modules["wsgi"] = types.ModuleType("wsgi")
        self.addCleanup(sys.modules.pop, "wsgi")
        sys.modules["wsgi"].application = lambda environ, start: self.app(environ, start)
        sys.modules.pop("sandboxd_wsgi", None)
        self.module = importlib.import_module("sandboxd_wsgi")
        self.module.tell = lambda environ, what: self.told.append(what)
        self.told = []

    def ask(self, app, **environ):
        self.app = app
        sent = Sent()
        items = self.module.application(environ, sent.start_response)
        try:
            for item in items:
                sent.body += item
        finally:
            if hasattr(items, "close"):
                items.close()
        return sent.head, sent.body

    def test_the_check_does_not_call_the_app(self):
        self.assertEqual(self.ask(lambda environ, start: 1 / 0, SANDBOXD_CHECK="1"), ("204 No Content", b""))

    def test_lists_and_generators(self):
        def pieces(environ, start):
            yield b""
            start("200 OK", [])
            yield b"a"
            yield b"b"
        self.assertEqual(self.ask(pieces), ("200 OK", b"ab"))
        self.assertEqual(self.ask(lambda environ, start: start("200 OK", []) and [b"a", b"b"]), ("200 OK", b"ab"))

        def nothing(environ, start):
            start("204 No Content", [])
            return iter(())
        self.assertEqual(self.ask(nothing), ("204 No Content", b""))

    def test_500(self):
        def late(environ, start):
            start("200 OK", [])
            raise ValueError("late")
            yield b""

        def without(environ, start):
            yield b"x"
        for app in (lambda environ, start: 1 / 0, lambda environ, start: sys.exit(3), lambda environ, start: [b"x"],
                    lambda environ, start: None, late, without, lambda environ, start: iter(())):
            self.assertEqual(self.ask(app), ("500 Internal Server Error", self.module.BODY))
            self.assertTrue(self.told.pop())

    def test_what_was_sent_breaks_off(self):
        def breaks(environ, start):
            start("200 OK", [])
            yield b"a"
            raise KeyError("x")
        with self.assertRaises(KeyError):
            self.ask(breaks)

        def twice(environ, start):
            start("200 OK", [])(b"a")
            try:
                raise KeyError("x")
            except KeyError:
                start("500 No", [], sys.exc_info())
            return []
        with self.assertRaises(KeyError):
            self.ask(twice)

    def test_another_head_before_anything_is_sent(self):
        def app(environ, start):
            start("200 OK", [])
            try:
                raise KeyError("x")
            except KeyError:
                start("404 Not Found", [], sys.exc_info())
            return [b"no"]
        self.assertEqual(self.ask(app), ("404 Not Found", b"no"))

    def test_the_rest_of_a_body_is_read_and_the_answer_is_closed(self):
        closed = []

        class Items:
            def __iter__(self):
                return iter([b"a"])

            def close(self):
                closed.append(True)

        class Input:
            left = 100000

            def read(self, size):
                size = min(size, self.left)
                self.left -= size
                return b"x" * size
        body = Input()

        def app(environ, start):
            start("200 OK", [])
            return Items()
        environ = {"CONTENT_LENGTH": "100000", "wsgi.input": body}
        self.assertEqual(self.ask(app, **environ), ("200 OK", b"a"))
        self.assertEqual((body.left, closed), (0, [True]))


if __name__ == "__main__":
    unittest.main()

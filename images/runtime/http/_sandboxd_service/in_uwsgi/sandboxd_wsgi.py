"""What uWSGI calls: the app of wsgi.py, whose exceptions are answered with a 500.

uWSGI itself answers nothing then, and nginx could only say that it got no answer.  Runs on Python 2.7 as on 3.
"""

import os
import sys
import traceback

CHECK = "SANDBOXD_CHECK"
BODY = b"Internal Server Error\n"


def load():
    try:
        app = __import__("wsgi").application
        if os.environ.get("NEW_RELIC_ADMIN_COMMAND"):
            import newrelic.agent
            app = newrelic.agent.WSGIApplicationWrapper(app)
        return app
    except BaseException:
        report = os.environ.get("SANDBOXD_REPORT")
        if report:
            with open(report, "w") as out:
                out.write(traceback.format_exc())
        raise


app = load()


def tell(environ, what):
    sys.stderr.write("%s %s: %s" % (environ.get("REQUEST_METHOD"), environ.get("PATH_INFO"), what))
    sys.stderr.flush()


def read_rest(environ):
    """What of the request's body the app has not read.

    A socket that is closed with something to read in it is reset, and nginx could not tell that the answer is whole.
    """
    if environ.get("CONTENT_LENGTH") in (None, "", "0"):
        return
    try:
        while environ["wsgi.input"].read(65536):
            pass
    except Exception:
        # The client has gone, or the app has made something else of it.
        pass


class Start(object):
    """start_response, which tells uWSGI when there is something to send: until then the answer may be another one."""

    def __init__(self, environ, start_response):
        self.environ = environ
        self.start_response = start_response
        self.head = None
        self.write_on = None    # uWSGI's own function, once it has the head

    def __call__(self, status, headers, exc_info=None):
        if self.write_on is not None:
            if exc_info:
                raise exc_info[1]
            raise AssertionError("start_response is called when the answer has begun")
        if self.head is not None and not exc_info:
            raise AssertionError("start_response is called again, without exc_info")
        self.head = status, headers
        return self.write

    def begin(self):
        if self.write_on is None:
            self.write_on = self.start_response(*self.head)

    def write(self, data):
        self.begin()
        return self.write_on(data)

    def fail(self, info=None):
        """A 500, where nothing was sent yet; else the answer breaks off."""
        if info is None:
            tell(self.environ, "the app has not called start_response\n")
        else:
            tell(self.environ, "".join(traceback.format_exception(*info)))
        read_rest(self.environ)
        if self.write_on is not None:
            raise info[1]
        self.head = "500 Internal Server Error", [("Content-Type", "text/plain"), ("Content-Length", str(len(BODY)))]
        self.begin()
        return [BODY]


class Body(object):
    """An answer that is made while it is sent."""

    def __init__(self, start, items):
        self.start = start
        self.items = items
        self.iterator = None
        self.over = False

    def __iter__(self):
        return self

    def end(self):
        self.over = True
        if self.start.head is None:
            return self.start.fail()[0]
        self.start.begin()
        read_rest(self.start.environ)
        raise StopIteration

    def __next__(self):
        if self.over:
            raise StopIteration
        try:
            if self.iterator is None:
                self.iterator = iter(self.items)
            item = next(self.iterator)
            # An empty one makes uWSGI send nothing, and start_response may still come.
            if item:
                if self.start.head is None:
                    self.over = True
                    return self.start.fail()[0]
                self.start.begin()
            return item
        except StopIteration:
            pass
        except Exception:
            self.over = True
            return self.start.fail(sys.exc_info())[0]
        return self.end()

    next = __next__

    def close(self):
        close = getattr(self.items, "close", None)
        if close is not None:
            close()


def application(environ, start_response):
    if CHECK in environ:
        start_response("204 No Content", [])
        return []
    start = Start(environ, start_response)
    try:
        items = app(environ, start)
        if items is None or isinstance(items, (list, tuple)):
            if start.head is None:
                return start.fail()
            start.begin()
            read_rest(environ)
            return items or []
        # A file is uWSGI's to send.
        if hasattr(items, "read") and start.head is not None:
            start.begin()
            read_rest(environ)
            return items
    except (Exception, SystemExit):
        return start.fail(sys.exc_info())
    return Body(start, items)

"""What an instance does for whoever writes its worker, and never where it is deployed.

Its job says "dev".  A handler that fails is answered by a page with the worker's own lines instead of a short text,
a module that cannot be imported too, cron triggers can be had by a request, and each request that has ended is told
to the front.
"""

import http
import linecache
import os
import traceback
from urllib.parse import parse_qs

from _sandboxd_js import JsException

from . import warm

AROUND = 4              # lines before and after the one that has failed
LINE_MAX = 400          # characters of a line
FRAMES_MAX = 30         # of one exception, the innermost ones
CHAIN_MAX = 10          # exceptions
TEXT_MAX = 65536        # characters of the traceback
SCHEDULED = frozenset(("/cdn-cgi/local/scheduled", "/cdn-cgi/handler/scheduled"))
TEST_SCHEDULED = "/__scheduled"     # only where it is asked for: it might be one of the worker's own

STYLE = """
body{margin:0;padding:2rem;font:16px/1.5 system-ui,sans-serif;background:#fff;color:#1c1e21}
h1{margin:0;font-size:1.25rem;color:#b3261e;white-space:pre-wrap;overflow-wrap:anywhere}
h2{margin:2rem 0 .25rem;font-size:1rem}
p{margin:.25rem 0;color:#5f6368}
pre{margin:.25rem 0 1rem;padding:.5rem 0;overflow-x:auto;background:#f4f5f6;border-radius:6px;font-size:.875rem}
pre span{display:block;padding:0 1rem}
pre b{display:block;padding:0 1rem;background:#fbdad7;font-weight:inherit}
pre.all{padding:.75rem 1rem}
@media(prefers-color-scheme:dark){body{background:#1c1e21;color:#e3e5e8}h1{color:#ff8a80}p{color:#9aa0a6}
pre{background:#26292d}pre b{background:#5c2b29}}
"""


def escape(text):
    """A text as HTML, wherever it came from."""
    return (text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")
            .replace("'", "&#39;"))


def chain(error):
    """The exceptions that led to one, the first one first: [(exception, what the next one is to it)]."""
    found = [(error, "")]
    seen = {id(error)}
    while len(found) < CHAIN_MAX:
        last = found[-1][0]
        if last.__cause__ is not None:
            before, why = last.__cause__, "This is the cause of the next one:"
        elif last.__context__ is not None and not last.__suppress_context__:
            before, why = last.__context__, "While this one was handled, the next one came:"
        else:
            break
        if id(before) in seen:
            break
        seen.add(id(before))
        found.append((before, why))
    return found[::-1]


def places(error, root):
    """Where an exception came through the worker's own files: [(file, its name in the package, line, function)]."""
    inside = root + os.sep
    modules = inside + "python_modules" + os.sep
    found = [(frame.filename, frame.filename[len(inside):], frame.lineno, frame.name)
             for frame in traceback.extract_tb(error.__traceback__)
             if frame.filename.startswith(inside) and not frame.filename.startswith(modules)]
    if isinstance(error, SyntaxError) and error.filename and error.lineno and error.filename.startswith(inside):
        found.append((error.filename, error.filename[len(inside):], error.lineno, ""))
    return found[-FRAMES_MAX:]


def source(name, at):
    """The lines around one, as HTML."""
    lines = linecache.getlines(name)
    first = max(at - AROUND, 1)
    made = []
    for number in range(first, min(at + AROUND, len(lines)) + 1):
        text = lines[number - 1].rstrip("\r\n").expandtabs(4)
        if len(text) > LINE_MAX:
            text = text[:LINE_MAX] + " ..."
        mark = "b" if number == at else "span"
        made.append("<%s>%5d  %s</%s>" % (mark, number, escape(text), mark))
    return "<pre>%s</pre>" % "".join(made) if made else ""


def title_of(error):
    """The kind of an exception and what it says."""
    kind = getattr(error, "name", None) if isinstance(error, JsException) else None
    try:
        text = str(error.msg if isinstance(error, SyntaxError) and error.msg else error)
    except Exception:
        text = ""
    return "%s: %s" % (kind or type(error).__name__, text) if text else kind or type(error).__name__


def page(error, lines, what, number, root):
    """The page of an exception; `lines` is its traceback as text, `what` the request or the file."""
    errors = chain(error)
    parts = ["<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>", escape(title_of(error)[:200]),
             "</title><style>", STYLE, "</style></head><body><h1>", escape(title_of(error)[:LINE_MAX * 5]), "</h1><p>",
             escape(what), "</p>"]
    for each, why in errors:
        if len(errors) > 1:
            parts += ["<h2>", escape(title_of(each)[:LINE_MAX * 5]), "</h2>"]
        for name, shown, line, function in places(each, root):
            parts += ["<p>", escape("%s, line %d%s" % (shown, line, ", in " + function if function else "")), "</p>",
                      source(name, line)]
        if why:
            parts += ["<p>", why, "</p>"]
    parts += ["<h2>Traceback</h2><pre class=\"all\">", escape(lines[-TEXT_MAX:]), "</pre><p>request ", escape(number),
              "</p></body></html>\n"]
    return "".join(parts)


class Dev:
    """The dev mode of a worker."""

    def __init__(self, worker):
        self.worker = worker
        self.root = warm.package_root()
        self.test_scheduled = bool(worker.config.get("test_scheduled"))
        self.broken = None      # why the worker could not be imported

    def wants_page(self, exchange):
        return b"text/html" in (exchange.header(b"accept") or b"").lower()

    def answer(self, exchange, number, error, lines, what=None):
        """Answer a request by what has failed."""
        if self.wants_page(exchange):
            kind = b"text/html;charset=UTF-8"
            text = page(error, lines, what or "%s %s" % (exchange.method, exchange.target), number, self.root)
        else:
            kind = b"text/plain;charset=UTF-8"
            text = "%s\n(request %s)\n" % (lines[-TEXT_MAX:].rstrip("\n"), number)
        # No page of a browser's history, and nothing in it that runs.
        exchange.respond(500, [(b"content-type", kind), (b"cache-control", b"no-store"),
                               (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'")],
                         text.encode("utf-8", "replace"))

    async def takes(self, exchange, call):
        """Answer a request that is none for the worker; False: it is one."""
        if self.broken is not None:
            error, lines = self.broken
            what = "%s cannot be imported" % self.worker.main_file
            if exchange.inner is not None:
                from .dispatch import raise_there, told
                raise_there(exchange, "%s: %s" % (what, told(error)))
            else:
                self.answer(exchange, call.id, error, lines, what)
            return True
        path, _, query = exchange.target.partition("?")
        if path in SCHEDULED:
            await self.scheduled(exchange, call, query)
        elif path == TEST_SCHEDULED and self.test_scheduled:
            await self.run(query, call)
            self.say(exchange, 200, "Ran scheduled event")
        else:
            return False
        return True

    def tell(self, exchange):
        """Tell the front of a request that has ended."""
        try:
            reason = http.HTTPStatus(exchange.status).phrase
        except ValueError:
            reason = ""
        worker = self.worker
        worker.control.send({"op": "request", "method": exchange.method, "target": exchange.target[:4096],
                             "status": exchange.status, "reason": reason,
                             "ms": round((worker.loop.time() - exchange.began) * 1000, 3)})

    @staticmethod
    def say(exchange, status, text):
        exchange.respond(status, [(b"content-type", b"text/plain;charset=UTF-8")], text.encode())

    def run(self, query, call):
        """Call `scheduled` as a query says; a ValueError where its time is none."""
        given = parse_qs(query, keep_blank_values=True)
        time = given.get("time", [""])[0]
        return self.worker.run_handler("scheduled", int(time) if time else None, given.get("cron", [""])[0], call)

    async def scheduled(self, exchange, call, query):
        try:
            running = self.run(query, call)
        except ValueError:
            self.say(exchange, 400, "time: must be in milliseconds since 1970\n")
            return
        try:
            await running
        except Exception as error:
            self.worker.log_error(call, error, "scheduled")
            self.say(exchange, 500, "exception")
        else:
            self.say(exchange, 200, "ok")

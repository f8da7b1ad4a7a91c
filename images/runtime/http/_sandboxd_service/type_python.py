"""A service of the type python: nginx, and uWSGI with the app in wsgi.py behind it."""

import os
import sys
import time

from . import home, hook, uwsgi
from .nginx import UWSGI, Nginx, own_socket

# The other HTTP ports of such a service are its processes' own.
OWN_HTTP = True
CHECKED = [(b"REQUEST_METHOD", b"HEAD"), (b"REQUEST_URI", b"/CloudHealthCheck"), (b"PATH_INFO", b"/CloudHealthCheck"),
           (b"QUERY_STRING", b""), (b"SERVER_PROTOCOL", b"HTTP/1.1"), (b"SERVER_NAME", b"localhost"), (b"SERVER_PORT", b"80"),
           (b"HTTP_HOST", b"localhost"), (b"SCRIPT_NAME", b""), (b"UWSGI_SCRIPT", uwsgi.SCRIPT.encode()),
           (b"SANDBOXD_CHECK", b"1")]


def begin(replica):
    env, said = uwsgi.environment(replica.env)
    for line in said:
        replica.print(line)
    folder = os.path.join(replica.home, home.OWN)
    os.makedirs(folder, exist_ok=True)
    replica.uwsgi_path = os.path.join(folder, "uwsgi.sock")
    replica.uwsgi_socket = own_socket(replica.uwsgi_path, uwsgi.backlog(replica.env))
    replica.fifo = os.path.join(folder, "uwsgi.fifo")
    replica.report = os.path.join(folder, "report")
    replica.nginx = Nginx(replica, UWSGI.replace("{script}", uwsgi.SCRIPT), replica.uwsgi_path)
    replica.nginx.check()
    fd = replica.uwsgi_socket.fileno()
    replica.uwsgi = replica.add("uwsgi", uwsgi.command(replica, fd, replica.fifo), fds=(fd,))
    replica.uwsgi.env = dict(env, SANDBOXD_REPORT=replica.report)
    replica.checked = any(name in env for name in uwsgi.OTHER_APPS)
    replica.nginx.begin()


def is_ready(replica):
    """One of uWSGI's processes has loaded the app."""
    if not replica.uwsgi.alive() or not replica.nginx.is_ready() or not os.path.exists(replica.fifo):
        return False
    if not replica.checked:
        if not os.path.exists(os.path.join(replica.current, "wsgi.py")):
            raise hook.Failed("there is no wsgi.py in %s" % (replica.manifest.get("approot") or "."), "")
        answer = uwsgi.ask(replica.uwsgi_path, CHECKED)
        if b" 204 " not in answer[:40]:
            output = ""
            if os.path.exists(replica.report):
                with open(replica.report, encoding="utf-8", errors="replace") as text:
                    output = text.read()
            last = output.strip().splitlines()[-1:] or ["it has no application"]
            raise hook.Failed("wsgi.py cannot be loaded: " + last[0], output[-hook.TAIL:])
        replica.checked = True
    return replica.is_well()


def drain(replica):
    replica.nginx.drain()
    replica.uwsgi_stops = False


def is_drained(replica):
    """First nginx has no request left, then uWSGI none that outlives its client."""
    if not replica.nginx.is_drained(time.monotonic()):
        return False
    if not replica.uwsgi_stops:
        replica.uwsgi_stops = True
        try:
            fifo = os.open(replica.fifo, os.O_WRONLY | os.O_NONBLOCK)
            os.write(fifo, b"q")
            os.close(fifo)
        except OSError as error:
            sys.stderr.write("sandboxd: uwsgi: %s\n" % error)
            return True
    return not replica.uwsgi.alive()

"""An instance of an HTTP worker: from the job to the last answer.

It serves by descriptor 5, given with the job: a listening socket (isolation "instance"), or the control channel
itself, over which the one connection comes (isolation "request").
"""

from . import warm  # noqa: F401, I001, before all others, because it sets the path that they are found by

import asyncio
import gc
import json
import os
import socket
import sys
import time
import traceback

import _cloudflare_compat_flags
import _sandboxd_js as js
from pyodide.webloop import WebLoop

from . import dispatch, nested
from .client import Client
from .control import Control, Reader
from .server import Server

SERVE_FD = 5
PTH_SINCE = "2026-05-26"
MESSAGE_MAX = 8192
CALLS_MAX = 100
# Frames that come before the hello make no sense; so much of them is read to see that.
HELLO_MAX = 8 << 20


def process_pth(config):
    """Have the .pth files of python_modules do what they do in site-packages, from the date on."""
    flags = config.get("compatibility_flags") or ()
    on = (config.get("compatibility_date") or "") >= PTH_SINCE or "python_process_pth_files" in flags
    if not on or "no_python_process_pth_files" in flags or "disable_python_process_pth_files" in flags:
        return
    folder = os.path.join(warm.package_root(), "python_modules")
    if os.path.isdir(folder) and any(name.endswith(".pth") for name in os.listdir(folder)):
        import site
        before = list(sys.path)
        site.addsitedir(folder)
        added = [each for each in sys.path if each not in before]
        # What the files add belongs behind python_modules, and not at the end.
        at = before.index(folder) + 1 if folder in before else len(before)
        sys.path[:] = before[:at] + added + before[at:]


def place_of(error, root):
    """The file and line of the package in which an exception was raised: (file, line) or (None, None)."""
    found = None, None
    if isinstance(error, SyntaxError) and error.filename:
        found = error.filename, error.lineno
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename.startswith(root + os.sep):
            found = frame.filename, frame.lineno
    if isinstance(error, SyntaxError) and error.filename and error.filename.startswith(root + os.sep):
        found = error.filename, error.lineno
    name, line = found
    if name and name.startswith(root + os.sep):
        name = name[len(root) + 1:]
    return name, line


def message_of(error):
    """What a deploy says of an exception; a syntax error's text without the place, which is told beside it."""
    text = error.msg if isinstance(error, SyntaxError) else error
    return "%s: %s" % (type(error).__name__, text)


ahead = []      # the loop, where it was made before the job came


def settle():
    """Make the loop in a process that is about to be parked; what it has open cannot be parked with it."""
    loop = WebLoop()
    loop.let_go()
    ahead.append(loop)


def prepare():
    """Do what needs no job, in a process that waits for one."""
    begin_loop(ahead[0])


def begin_loop(loop):
    loop.take_up()
    asyncio.set_event_loop(loop)
    nested.serve(loop)


class Instance:
    """One process that serves one version of a worker."""

    def __init__(self, config, fd=SERVE_FD):
        self.config = config
        self.fd = fd
        self.loop = None
        self.server = None
        self.control = None
        self.worker = None
        self.ready = None
        self.calls = {}     # by id: handlers that were called and have not returned
        self.hello = None       # a future of the first hello
        self.ended = None       # a future that is set when the instance shall end
        self.draining = False
        self.client = None
        self.secrets = {}
        self.quiet = False      # whether the front does not wait to hear that it is ready

    def run(self):
        """Serve until the end; returns the exit status."""
        warm.lay_out_path()     # the runtime has put the work folder into its first place
        warm.forget_listings()
        given = socket.socket(fileno=self.fd)
        self.loop = loop = ahead.pop() if ahead else WebLoop()
        if nested.serving is None or nested.serving.loop is not loop:
            begin_loop(loop)
        self.hello = loop.create_future()
        self.ended = loop.create_future()
        self.control = Control(loop, self.frame, self.control_lost)
        self.worker = worker = dispatch.Worker(self.config, loop, self.control)
        self.server = Server(loop, worker.handle, self.take_control, worker.timeout)
        self.server.cancel = nested.cancel
        _cloudflare_compat_flags.set_flags(self.config.get("compatibility_date") or "",
                                           self.config.get("compatibility_flags") or ())
        js.set_console(worker.console)
        one = self.config.get("isolation") == "request"
        if one:
            # The front ends a run that has taken too long, and asks nobody how many requests it has.
            self.server.watches = False
        else:
            self.server.on_load = self.tell_load
        connection = None
        self.server.hold()
        if one:
            connection = self.meet_front(given)
        else:
            given.setblocking(False)
            loop.run_until_complete(self.server.listen(given))
            loop.run_until_complete(self.hello)
        if not self.load():
            if self.worker.dev is None:
                return 1
            self.server.release()
            loop.run_until_complete(self.serve_all())
            return 0
        js.set_fetch(self.fetch)
        js.set_run_sync(nested.run_sync, nested.can_run_sync)
        js.set_wait_until(worker.wait_until)
        self.client = Client(loop)
        worker.find_env()       # which SDK the worker has is known only now
        if not self.quiet:
            self.control.send(self.ready)
        self.server.release()
        if connection is not None:
            loop.run_until_complete(self.serve_one(connection))
        else:
            loop.run_until_complete(self.serve_all())
        return 0

    # The front

    def meet_front(self, channel):
        """Isolation request: read the hello from the channel, and with it the connection to serve."""
        reader = Reader()
        connection = None
        first = None
        size = 0
        while first is None:
            data, fds, _, _ = socket.recv_fds(channel, 65536, 1)
            size += len(data)
            if fds:
                connection = socket.socket(fileno=fds[0])
            if not data or size > HELLO_MAX:
                raise SystemExit("sandboxd: the front has not said hello")
            frames = reader.feed(data)
            if frames:
                first = frames
        while connection is None:
            data, fds, _, _ = socket.recv_fds(channel, 1, 1)
            if fds:
                connection = socket.socket(fileno=fds[0])
            if not data:
                raise SystemExit("sandboxd: the front has given no connection")
        for header, body in first:
            self.frame(header, body)
        self.control.attach_later(channel, bytes(reader.buffer))
        return connection

    def take_control(self, transport, data):
        self.control.attach(transport, data)

    def control_lost(self, error):
        if self.config.get("isolation") == "request" and not self.ended.done():
            # The front that would answer for this request is gone; the request itself still goes on.
            return
        if error is not None:
            sys.stderr.write("sandboxd: the control channel was given up: %s\n" % error)

    def frame(self, header, body):
        op = header["op"]
        if op == "hello":
            # Secrets that are too long for the head are the body.
            secrets = json.loads(bytes(body)) if body else header.get("secrets") or {}
            self.control.streams = header.get("streams") is True
            self.secrets = {str(name): str(text) for name, text in secrets.items()}
            self.worker.make_env(self.secrets)
            self.quiet = header.get("quiet") is True
            if "tail" in header:
                self.worker.set_tail(header["tail"] is True)
            if not self.hello.done():
                self.hello.set_result(None)
            elif self.ready is not None:
                calls = list(self.calls.values())[:CALLS_MAX]
                self.control.send(dict(self.ready, calls=calls) if calls else self.ready)
        elif op == "call":
            dispatch.bindings.keep(self.worker, self.loop.create_task(self.call(header)))
        elif op == "tail":
            self.worker.set_tail(bool(header.get("on")))
        elif op == "drain":
            self.draining = True
            if not self.ended.done():
                self.ended.set_result(None)

    def tell_load(self, active, served):
        self.control.send({"op": "load", "active": active, "served": served})

    async def call(self, header):
        # Another front is told of those that an earlier one has asked for: a cron has one at a time.
        self.calls[header["id"]] = {key: header[key] for key in ("id", "cron", "time_ms") if key in header}
        try:
            self.control.send(await self.worker.called(header))
        finally:
            del self.calls[header["id"]]

    # The worker

    def load(self):
        """Import the worker; says how that failed, if it did."""
        began = time.monotonic()
        warm.print_again()
        try:
            process_pth(self.config)
            took = self.worker.load()
        except BaseException as error:
            took = (time.monotonic() - began) * 1000
            root = warm.package_root()
            name, line = place_of(error, root)
            lines = dispatch.format_error(error)
            sys.stderr.write("sandboxd: %s cannot be imported (after %.0f ms):\n%s"
                             % (self.worker.main_file, took, lines))
            failed = {"op": "failed", "message": message_of(error)[:MESSAGE_MAX],
                      "import_ms": round(took, 3), "traceback": lines[-MESSAGE_MAX:]}
            if name:
                failed.update(file=name, line=line)
            if self.worker.dev is not None:
                # Whoever writes it sees why, until it is mended and another instance comes.
                self.worker.dev.broken = error, lines
                failed["serves"] = True
            self.control.send(failed)
            self.loop.run_until_complete(self.flush())
            return False
        # What was imported lives as long as the instance: no collection need go through it again.
        gc.freeze()
        self.ready = {"op": "ready", "import_ms": round(took, 3), "handlers": self.worker.handlers(),
                      "entrypoints": sorted(self.worker.entrypoints)}
        return True

    async def flush(self):
        """Let what was written to the front go out."""
        transport = self.control.transport
        while transport is not None and transport.get_write_buffer_size() and not transport.is_closing():
            await asyncio.sleep(0.001)

    async def fetch(self, request):
        """What fetch() goes out by."""
        if self.config.get("outbound"):
            return await dispatch.bindings.fetch_by(self.worker, "", request)
        fields, body = js.outgoing(request)
        answer = await self.client.fetch(request.method, request.url, fields, body, request.redirect)
        return js.received(answer.status, answer.fields, answer.body, answer.url, answer.redirected, answer.reason)

    async def serve_all(self):
        await self.ended
        await self.server.drain()
        await self.settle()

    async def serve_one(self, sock):
        connection = self.server.adopt(sock)
        self.server.draining = True     # the answer says that no other request follows
        connection.on_lost = self.loop.create_future()
        if not connection.closing:
            await connection.on_lost
        await self.server.drain()
        await self.settle()

    async def settle(self):
        """Let the work after the answers end, and what was asked of the front be done."""
        await self.worker.settle()
        asgi = sys.modules.get("workers.asgi")
        if asgi is not None and hasattr(asgi, "shutdown_all"):
            await asgi.shutdown_all()
        while not self.control.idle():
            await asyncio.sleep(0.001)
        await self.flush()


def main(payload=None):
    status = Instance(payload or {}).run()
    if status:
        sys.exit(status)

"""A replica of a service, from the job to its end.

The front makes a run of it, and is told when it serves; it says when the replica has to finish.  Everything that the
service has, hooks and processes, runs below this process and may be killed by it.

A type of services that has servers of its own (nginx, uWSGI) is a module beside this one, type_NAME with '_' for '-',
with these functions; each may be missing:

    begin(replica)      after postinstall: adds processes by replica.add
    OWN_HTTP            True: the first HTTP port is the module's to serve
    is_ready(replica)   polled after the start
    drain(replica)      begin to finish; is_drained(replica) is polled then, before the processes are ended
"""

import importlib
import os
import selectors
import signal
import socket
import sys
import time

from . import control, cron, home, hook
from .channel import Channel
from .procs import HERE, Process, Processes, shell, signal_group

SERVE_FD = 5
POSTINSTALL_SECONDS = 600
LOOK_EVERY = 0.05
MESSAGE_MAX = 2000


class Stopped(Exception):
    """The replica was told to end."""


class Replica:
    def __init__(self, config, fd=SERVE_FD, work=None):
        self.config = config
        self.manifest = config["manifest"]
        self.number = config["replica"]
        self.home = home.find(work)
        self.current = None
        self.env = {}           # of its processes
        self.ports = {port["name"]: port for port in self.manifest.get("ports") or []}
        self.numbers = home.port_numbers(self.manifest.get("ports") or [])
        self.sockets = {}       # of HTTP ports, by their names
        self.processes = Processes()
        self.channel = Channel(socket.socket(fileno=fd))
        self.hello = None
        self.background = None      # the process of a background worker
        self.background_fd = None
        self.error = ""             # that it has told before it was ready
        self.ready = False
        self.term = False       # end at once
        self.draining = None    # till when it may finish
        self.stage = ""
        self.notify = None
        self.notified = False
        self.control = None     # what supervisorctl asks
        self.cron = None
        self.type = None
        try:
            self.type = importlib.import_module("%s.type_%s" % (__package__, self.manifest["type"].replace("-", "_")))
        except ImportError as error:
            if error.name != "%s.type_%s" % (__package__, self.manifest["type"].replace("-", "_")):
                raise

    # The front

    def say(self, op, **fields):
        self.channel.say(dict(fields, op=op))

    @staticmethod
    def print(text):
        """To the replica's log."""
        sys.stderr.write("sandboxd: %s\n" % text)

    def say_stage(self, stage):
        self.stage = stage
        self.say("stage", stage=stage)

    def frame(self, header):
        if header["op"] == "hello":
            if self.hello is None:
                names = header.get("sockets") or []
                self.sockets = dict(zip(names, self.channel.fds))
                self.background_fd = self.sockets.pop("background", None)
                if len(self.channel.fds) < len(names):
                    raise SystemExit("sandboxd: the front has given no sockets")
                self.hello = header
            elif self.ready:
                self.say("ready")
        elif header["op"] == "kill" and self.background is not None:
            self.background.kill()
        elif header["op"] == "drain" and self.draining is None:
            self.draining = time.monotonic() + header.get("seconds", 30)

    def turn(self, seconds):
        """Hear what comes for so long; a signal ends the wait."""
        with selectors.DefaultSelector() as selector:
            selector.register(self.channel.listening, selectors.EVENT_READ)
            if self.channel.sock:
                selector.register(self.channel.sock, selectors.EVENT_READ)
            if self.notify:
                selector.register(self.notify, selectors.EVENT_READ)
            if self.control:
                selector.register(self.control.listening, selectors.EVENT_READ)
            for key, _ in selector.select(seconds):
                if key.fileobj is self.channel.listening:
                    self.channel.accept()
                elif key.fileobj is self.notify:
                    for line in self.notify.recv(65536).splitlines():
                        if line == b"READY=1":
                            self.notified = True
                        elif line.startswith(b"ERROR="):
                            self.error = line[6:].decode("utf-8", "replace")
                elif self.control and key.fileobj is self.control.listening:
                    self.control.accept()
                elif key.fileobj is self.channel.sock:
                    for header in self.channel.receive():
                        self.frame(header)
        if self.term:
            raise Stopped

    def on_term(self, number, frame):
        self.term = True

    # Its life

    def run(self):
        signal.signal(signal.SIGTERM, self.on_term)
        signal.signal(signal.SIGINT, self.on_term)
        # What a process leaves behind when it ends is not this one's to wait for.
        try:
            while self.hello is None:
                self.turn(1)
            self.begin()
            self.wait_ready()
            self.ready = True
            if self.background is not None:
                self.background.patient = True
            self.say("ready")
            self.serve()
            return 0
        except Stopped:
            return 0
        except hook.Failed as error:
            self.fail(str(error), error.output)
        except OSError as error:
            self.fail("%s: %s" % (self.stage, error))
        finally:
            self.end()
        return 1

    def fail(self, message, output=""):
        sys.stderr.write("sandboxd: %s\n" % message)
        self.say("failed", stage=self.stage, message=message[:MESSAGE_MAX], output=output)

    def begin(self):
        self.say_stage("home")
        own = home.variables(self.config, self.manifest, self.hello.get("environment") or {},
                             self.hello.get("services") or [])
        self.current = home.lay_out(self.home, self.manifest.get("approot") or ".", own)
        folder = os.path.join(self.home, home.OWN)
        control.install(folder, sys.executable)
        self.env = dict(own, **home.surroundings(self.home))
        self.cron = cron.Cron(os.path.join(folder, control.TABLE), self.env, self.home, self.print)
        if self.manifest.get("postinstall"):
            self.say_stage("postinstall")
            hook.run("postinstall", self.manifest["postinstall"], self.env, self.current, POSTINSTALL_SECONDS,
                     lambda: self.term)
            if self.term:
                raise Stopped
        self.say_stage("launch")
        if self.manifest.get("ready") == "notify":
            self.listen_notify()
        if hasattr(self.type, "begin"):
            self.type.begin(self)
        self.add_proxies()
        self.add_processes()
        if os.path.isfile(os.path.join(self.current, "supervisord.conf")):
            from . import programs
            programs.add(self)
        self.processes.start()
        self.control = control.Control(folder, self.processes)
        self.began = time.monotonic()
        self.say_stage("wait")

    def listen_notify(self):
        path = os.path.join(os.environ.get("SANDBOX_RUN", "/run"), "notify")
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(path)
        self.env["NOTIFY_SOCKET"] = path

    def add(self, name, argv, env=None, fds=(), stop=signal.SIGTERM):
        """A process more; env is over that of all."""
        return self.processes.add(Process(name, argv, dict(self.env, **(env or {})), self.current, fds, stop))

    def proxied(self):
        """HTTP ports whose requests are brought to a port of loopback."""
        return [name for number, name in enumerate(self.sockets)
                if self.ports[name].get("give", "tcp") == "tcp" and (number or not getattr(self.type, "OWN_HTTP", False))]

    def add_proxies(self):
        for name in self.proxied():
            fd = self.sockets[name]
            self.add("proxy of " + name,
                     [sys.executable, "-u", "-B", "-S", os.path.join(HERE, "proxy.py"), str(fd), str(self.numbers[name])],
                     env={"PYTHONDONTWRITEBYTECODE": "1"}, fds=(fd,))

    def add_processes(self):
        given = [name for name in self.sockets if self.ports[name].get("give") == "fd"]
        fds = [self.sockets[name] for name in given]
        begin = []
        if fds:
            begin = [sys.executable, "-B", "-S", os.path.join(HERE, "launch.py"), ":".join(given)] + [
                str(fd) for fd in fds] + ["--"]
        for process in self.manifest.get("processes") or []:
            self.add(process["name"], begin + shell(process["command"]), fds=fds)
        if self.manifest.get("entry"):
            self.add(self.manifest["entry"],
                     begin + [sys.executable, "-u", "-B", os.path.join(HERE, "call.py"), self.manifest["entry"]], fds=fds)

        if self.manifest.get("background"):
            its = self.manifest["background"]
            self.background = self.add(its["worker"], [sys.executable, "-u", "-B", os.path.join(HERE, "background.py"),
                                                       str(self.background_fd), its["worker"]] + its.get("siblings", []),
                                       fds=(self.background_fd,))

    def is_ready(self):
        if hasattr(self.type, "is_ready"):
            return self.type.is_ready(self)
        how = self.manifest.get("ready", "accept")
        if how == "notify":
            return self.notified
        ports = [self.numbers[name] for name in self.proxied()]
        if how == "accept" and ports:
            return all(accepts(port) for port in ports) and self.is_well()
        return time.monotonic() - self.began >= 1 and all(
            each.alive() or not each.wanted or each.is_over() for each in self.processes.all)

    def is_well(self):
        """Its health path answers, where it has one."""
        check = self.manifest.get("health")
        if not check:
            return True
        # A replica without one has no use for HTTP's modules, which take some of its memory.
        from . import health
        return health.answers(self.health_port(), check["path"], check.get("timeout_s", 5)) is None

    def health_port(self):
        """Where it is asked: a port of loopback, or the path of a socket of nginx's."""
        check = self.manifest["health"]
        http = [name for name, port in self.ports.items() if port["kind"] == "http"]
        name = check.get("port") or http[0]
        if getattr(self.type, "OWN_HTTP", False) and name == http[0]:
            return self.nginx.own.getsockname()
        return self.numbers[name]

    def look(self):
        self.cron.turn()
        if self.error and not self.ready:
            raise hook.Failed("%s: %s" % (self.processes.all[-1].name, self.error), "")
        failed = self.processes.look()
        if failed is not None:
            raise hook.Failed("%s: it ends as soon as it is started (%s)" % (failed.name, failed.how()), "")

    def wait_ready(self):
        while not self.is_ready():
            self.look()
            self.turn(LOOK_EVERY)

    def serve(self):
        watch = None
        if self.manifest.get("health"):
            from . import health
            watch = health.Watch(self.health_port(), self.manifest["health"])
            watch.start()
        while self.draining is None:
            self.turn(0.5)
            self.look()
            if watch is not None and watch.unwell:
                self.say("unwell", message=watch.unwell)
                watch = None
        self.drain()

    def drain(self):
        """Finish what there is: requests, by the proxies; then the processes end."""
        self.say_stage("drain")
        proxies = [each for each in self.processes.all if each.name.startswith("proxy of ")]
        for each in proxies:
            each.end()
        self.processes.ending = True
        if hasattr(self.type, "drain"):
            self.type.drain(self)
        if self.background is not None and self.background.alive():
            # What it executes ends as it does.
            signal_group(self.background.process, signal.SIGTERM)
            proxies.append(self.background)
        while time.monotonic() < self.draining and (
                any(each.alive() for each in proxies) or not getattr(self.type, "is_drained", lambda replica: True)(self)):
            self.turn(LOOK_EVERY)

    def end(self):
        self.processes.end()
        while not self.processes.ended():
            time.sleep(0.02)
        for process in self.cron.running if self.cron else ():
            signal_group(process, signal.SIGKILL)


def accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return False


def main(payload=None):
    status = Replica(payload or {}).run()
    if status:
        sys.exit(status)

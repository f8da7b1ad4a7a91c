"""What `sandboxctl serve` has built: all workers of a config.capnp, and what else it says.

It is a build like that of a deploy (build.py), with "serve" in its payload: {"file": the configuration's path in the
folder, "constant": the name of its constant, or nothing}. Of each worker the package and the manifest are told, with
"service" beside the manifest; the last frame is "services", whose body is

    {"services": [{"name", "kind", ...}], "sockets": [{"name", "address", "service"}]}

A service of the kind worker has "environment", {binding: variable of whoever runs it}, and "outbound", the service
that fetch() leads to; others have what manifest.services says.
"""

import datetime
import json
import shutil

from . import DeployError, manifest, resolve
from .build import Build
from .capnp import read_capnp
from .read import read_file

# A socket that leads to a service without code has this worker before it, which speaks HTTP.
RELAY_NAME = "sandboxd-socket-"
RELAY_DATE = "2025-01-01"
RELAY = b"""async def on_fetch(request, env):
    return await env.SERVICE.fetch(request)
"""


def relay(name, service, doc):
    config = manifest.Config(doc, [])
    config.name, config.main, config.date = name, "relay.py", RELAY_DATE
    config.modules = [("relay.py", RELAY)]
    config.bindings = [{"name": "SERVICE", "type": "service", "service": service}]
    return config


class ServeBuild(Build):
    """The build of all workers of one configuration, which all run in one image."""

    def run(self):
        asked = self.payload["serve"]
        self.name = asked.get("file") or "config.capnp"
        capnp = read_capnp(self.name, read_file(self.top, self.name), self.top, asked.get("constant"))
        services, sockets = manifest.services(self.name, capnp, self.today or datetime.datetime.now(
            datetime.timezone.utc).date())
        self.check(services, sockets)
        self.relay(services, sockets, manifest.Place(self.name, capnp, ""))
        workers = [service for service in services if service["kind"] == "worker"]
        if not workers:
            raise DeployError("has no worker and no socket: there is nothing to serve", self.name, capnp.line)
        newest = max((service["worker"] for service in workers), key=lambda config: config.python())
        image, told = manifest.choose_image(newest, self.images(), self.today)
        if image != self.image and self.payload.get("config"):
            raise DeployError("the build runs in the image %s, and the workers belong to %s" % (self.image, image))
        if image != self.image:
            self.front.tell({"op": "again", "image": image, "text": "the build goes on in the image %s" % image},
                            b"{}")
            return False
        self.front.progress("read", "%s: %d services; %s" % (self.name, len(services), told))
        workers[0]["worker"].warnings += self.unheeded(capnp)
        for service in workers:
            self.one(service, image)
        body = json.dumps({"services": [self.shown(service) for service in services], "sockets": sockets},
                          ensure_ascii=False, separators=(",", ":")).encode("utf-8")
        self.front.tell({"op": "services"}, body)
        return True

    def unheeded(self, capnp):
        """Warnings of what HTTP's options say, which nothing here does."""
        for service in capnp.get("services", ()):
            external = service.get("external", {})
            yield from self.unheeded_of(external.get("http") or external.get("https", {}).get("options"),
                                        service.get("name"))
            if external.get("https", {}).get("tlsOptions"):
                yield "%s: tlsOptions have no effect here: servers' certificates are verified by the machine's" \
                    % service.get("name")
        for socket in capnp.get("sockets", ()):
            yield from self.unheeded_of(socket.get("http"), socket.get("name"))

    @staticmethod
    def unheeded_of(options, name):
        for key in options or ():
            if key != "style":
                yield "%s:%d: %s: %s has no effect here" % (options.file, options.lines[key], name, key)

    def check(self, services, sockets):
        for socket in sockets:
            if socket["tls"]:
                raise DeployError("the socket %s: https: 'sandboxctl serve' speaks plain HTTP: put a TLS server "
                                  "before it, or deploy the worker" % socket["name"], self.name)
            if socket.get("entrypoint"):
                raise DeployError("the socket %s: entrypoint: sockets lead to the default entrypoint alone here"
                                  % socket["name"], self.name)
        for service in services:
            if service["kind"] == "external" and service["external"]["scheme"] == "tcp":
                raise DeployError("the external server %s: tcp: only http and https can be asked here"
                                  % service["name"], self.name)

    def relay(self, services, sockets, doc):
        kinds = {service["name"]: service["kind"] for service in services}
        for i, socket in enumerate(sockets):
            if kinds[socket["service"]] != "worker":
                name = RELAY_NAME + str(i)
                services.append({"name": name, "kind": "worker",
                                 "worker": relay(name, socket["service"], doc)})
                socket["service"] = name

    def one(self, service, image):
        self.step, self.config, self.work = "read", service["worker"], None
        self.told_with = {"service": service["name"]}
        self.own_files()
        wanted, constraints, warnings = ([], [], [])
        if not service["name"].startswith(RELAY_NAME):
            wanted, constraints, warnings = resolve.wanted_of(self.top, self.root(), self.config)
        self.config.warnings += warnings
        self.resolve(wanted, constraints)
        self.pack(image)
        shutil.rmtree(self.work, ignore_errors=True)

    @staticmethod
    def shown(service):
        if service["kind"] != "worker":
            return service
        config = service["worker"]
        return {"name": service["name"], "kind": "worker", "environment": config.environment,
                "outbound": config.outbound}

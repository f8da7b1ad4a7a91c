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
from .read import read_file, show

# A socket that leads to a service without code, or to a named entrypoint, has this worker before it, which speaks
# HTTP and has a binding to it.
RELAY_NAME = "sandboxd-socket-"
RELAY_DATE = "2025-01-01"
RELAY = b"""async def on_fetch(request, env):
    return await env.SERVICE.fetch(request)
"""


def relay(name, socket, doc):
    config = manifest.Config(doc, [])
    config.name, config.main, config.date = name, "relay.py", RELAY_DATE
    config.modules = [("relay.py", RELAY)]
    config.bindings = [{"name": "SERVICE", "type": "service", "service": socket["service"]}]
    if socket.get("entrypoint"):
        config.bindings[0]["entrypoint"] = socket["entrypoint"]
    return config


class ServeBuild(Build):
    """The build of all workers of one configuration, which all run in one image."""

    def run(self):
        asked = self.payload["serve"]
        self.name = asked.get("file") or "config.capnp"
        capnp = read_capnp(self.name, read_file(self.top, self.name), self.top, asked.get("constant"))
        services, sockets = manifest.services(self.name, capnp, self.today or datetime.datetime.now(
            datetime.timezone.utc).date())
        self.check(services, sockets, capnp)
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

    def check(self, services, sockets, capnp):
        """What is of workerd's and not of this command, by its field and line."""
        kinds = {service["name"]: service["kind"] for service in services}
        for socket, given in zip(sockets, capnp.get("sockets", ())):
            place = manifest.Place(self.name, given, "the socket %s" % show(socket["name"]))
            if socket["tls"]:
                raise place.error(("https",), "'sandboxctl serve' speaks plain HTTP: put a TLS server before it, or "
                                  "deploy the worker")
            if socket["entrypoint"] and kinds[socket["service"]] != "worker":
                raise place.error(("service",), "entrypoint: %s is no worker, and has none" % socket["service"])
        for service, given in zip(services, capnp.get("services", ())):
            if service["kind"] == "external" and service["external"]["scheme"] == "tcp":
                raise manifest.Place(self.name, given["external"], "the external server %s" % service["name"]).error(
                    ("tcp",), "only http and https can be asked here")

    def relay(self, services, sockets, doc):
        kinds = {service["name"]: service["kind"] for service in services}
        for i, socket in enumerate(sockets):
            if kinds[socket["service"]] != "worker" or socket["entrypoint"]:
                name = RELAY_NAME + str(i)
                services.append({"name": name, "kind": "worker", "worker": relay(name, socket, doc)})
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

"""The build of a whole configuration: a package of each worker, and what the command needs besides."""

import io
import json
import tarfile
import unittest

from deploy import TODAY, DeployTest

from _sandboxd_deploy import build
from test_deploy_build import BuildTest, Frames

CONFIG = '''using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "Front Door", worker = .front),
    (name = "back", worker = (modules = [(name = "back.py", pythonModule = embed "src/back.py")],
      compatibilityDate = "2024-01-01", globalOutbound = "away")),
    (name = "files", disk = (path = "content", writable = true)),
    (name = "internet", network = (allow = ["private"], deny = ["10.0.0.0/8"])),
    (name = "away", external = (address = "example.com", https = (certificateHost = "www.example.com"))),
  ],
  sockets = [
    (name = "http", address = "*:8080", http = (style = host, injectRequestHeaders = []), service = "Front Door"),
    (name = "disk", address = "*:8081", http = (), service = "files"),
  ]
);
const other :Workerd.Config = (services = [(name = "one", worker = .front)]);
const front :Workerd.Worker = (
  modules = [(name = "front.py", pythonModule = embed "front.py")],
  compatibilityDate = "2024-01-01",
  bindings = [
    (name = "TEXT", text = "a"), (name = "BYTES", data = 0x"00ff"),
    (name = "HOME", fromEnvironment = "HOME"), (name = "BACK", service = "back"),
    (name = "KV", kvNamespace = "kv"),
  ],
);
'''
FILES = {"config.capnp": CONFIG, "front.py": "import json\n", "src/back.py": "B = 1\n"}


class ServeTest(DeployTest):
    HERE = BuildTest.HERE

    def build(self, files, constant=None, **payload):
        payload.setdefault("image", "web")
        payload.setdefault("images", [["web", self.HERE]])
        asked = {"file": "config.capnp"}
        if constant:
            asked["constant"] = constant
        top = self.folder(files)
        return Frames(lambda sock: build.build(top, dict(payload, serve=asked), sock, TODAY))

    def error(self, files, **more):
        frames = self.build(files, **more)
        self.assertEqual(frames.status, 1)
        head, _ = frames.last()
        self.assertEqual(head["op"], "failed")
        return "%s:%s: %s" % (head.get("file"), head.get("line"), head["message"])

    def test_whole(self):
        frames = self.build(FILES)
        self.assertEqual(frames.status, 0, frames.last())
        made, archive = {}, b""
        for head, body in frames.frames:
            if head["op"] == "package":
                archive += body
            elif head["op"] == "manifest":
                with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
                    made[head["service"]] = json.loads(body), set(tar.getnames())
                archive = b""
        self.assertEqual(sorted(made), ["back", "front-door", "sandboxd-socket-1"])
        manifest, names = made["front-door"]
        self.assertEqual((manifest["name"], manifest["main"]), ("front-door", "front"))
        self.assertIn("front.py", names)
        self.assertNotIn("src", names)
        self.assertEqual(manifest["bindings"], [
            {"name": "TEXT", "type": "plain_text", "text": "a"}, {"name": "BYTES", "type": "data_blob", "data": "AP8="},
            {"name": "HOME", "type": "secret_text"}, {"name": "BACK", "type": "service", "service": "back"},
            {"name": "KV", "type": "kv_namespace", "namespace_id": "kv"}])
        self.assertEqual(manifest["warnings"], [
            "config.capnp:12: http: injectRequestHeaders has no effect here"])
        manifest, names = made["sandboxd-socket-1"]
        self.assertEqual(manifest["bindings"], [{"name": "SERVICE", "type": "service", "service": "files"}])
        head, body = frames.last()
        self.assertEqual(head["op"], "services")
        told = json.loads(body)
        self.assertEqual({service["name"]: service for service in told["services"]}, {
            "front-door": {"name": "front-door", "kind": "worker", "environment": {"HOME": "HOME"}, "outbound": None},
            "back": {"name": "back", "kind": "worker", "environment": {}, "outbound": "away"},
            "files": {"name": "files", "kind": "disk",
                      "disk": {"path": "content", "writable": True, "dotfiles": False}},
            "internet": {"name": "internet", "kind": "network",
                         "network": {"allow": ["private"], "deny": ["10.0.0.0/8"]}},
            "away": {"name": "away", "kind": "external", "external": {
                "address": "example.com", "scheme": "https", "certificate_host": "www.example.com"}},
            "sandboxd-socket-1": {"name": "sandboxd-socket-1", "kind": "worker", "environment": {}, "outbound": None}})
        self.assertEqual([(socket["name"], socket["service"]) for socket in told["sockets"]],
                         [("http", "front-door"), ("disk", "sandboxd-socket-1")])

    def test_a_socket_of_an_entrypoint(self):
        frames = self.build(dict(FILES, **{"config.capnp": CONFIG.replace(
            'service = "Front Door"', 'service = (name = "Front Door", entrypoint = "Admin")')}))
        self.assertEqual(frames.status, 0, frames.last())
        made = {head["service"]: json.loads(body) for head, body in frames.frames if head["op"] == "manifest"}
        self.assertEqual(made["sandboxd-socket-0"]["bindings"], [
            {"name": "SERVICE", "type": "service", "service": "front-door", "entrypoint": "Admin"}])
        self.assertEqual(json.loads(frames.last()[1])["sockets"][0]["service"], "sandboxd-socket-0")

    def test_a_constant_is_chosen(self):
        frames = self.build(dict(FILES, **{"config.capnp": CONFIG.replace('(name = "BACK", service = "back"),', "")}),
                            "other")
        self.assertEqual(frames.status, 0, frames.last())
        self.assertEqual([head["service"] for head, _ in frames.frames if head["op"] == "manifest"], ["one"])
        self.assertIn("config.capnp:1: there is no constant third", self.error(FILES, constant="third"))

    def test_another_image(self):
        images = [["web", "3.11"], ["web14", "3.14"]]
        config = CONFIG.replace("2024-01-01", "2026-03-01")
        frames = self.build(dict(FILES, **{"config.capnp": config.replace(
            'compatibilityDate = "2026-03-01",', 'compatibilityDate = "2026-03-01",\n  compatibilityFlags = '
            '["python_workers_20260610"],', 1)}), images=images)
        self.assertEqual((frames.status, frames.last()[0]["op"], frames.last()[0]["image"]), (0, "again", "web14"))
        frames = self.build(FILES, images=[["web", "3.11"], ["web14", "3.12"]], config="{}")
        self.assertEqual(frames.last()[0]["op"], "failed")

    def test_errors(self):
        for old, new, want in (
                ('pythonModule = embed "front.py"', 'esModule = embed "front.py"',
                 ":18: the worker Front Door: modules: has no pythonModule"),
                ('http = (), service = "files"', 'https = (), service = "files"',
                 ":13: the socket disk: https: 'sandboxctl serve' speaks plain HTTP"),
                ('http = (), service = "files"', 'tcp = (), service = "files"', ":13: tcp: Socket has no such field"),
                ('service = "files"', 'service = (name = "files", entrypoint = "Admin")',
                 ":13: the socket disk: service: entrypoint: files is no worker"),
                ('globalOutbound = "away"', 'globalOutbound = "nowhere"', ":6: the worker back: globalOutbound: there is"
                                                                          " no service 'nowhere'"),
                ('https = (certificateHost = "www.example.com")', "tcp = ()",
                 ":9: the external server away: tcp: only http and https"),
                ('embed "src/back.py"', 'embed "src/none.py"', "embed 'src/none.py'"),
        ):
            with self.subTest(new):
                self.assertIn(want, self.error(dict(FILES, **{"config.capnp": CONFIG.replace(old, new)})))
        self.assertIn("config.capnp", self.error({"front.py": ""}))


del BuildTest, DeployTest

if __name__ == "__main__":
    unittest.main()

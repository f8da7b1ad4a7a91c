"""The build run: what it tells the front, and the archive that it sends."""

import hashlib
import io
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import tarfile
import threading
import unittest

from deploy import RUNTIME, TODAY, DeployTest

from _sandboxd_deploy import build, resolve
from test_deploy_capnp import SAMPLE
from test_deploy_resolve import below, installed

TOML = '''name = "hello"
main = "src/entry.py"
compatibility_date = "2024-04-01"
zebra = 1
[vars]
A = "1"
[assets]
directory = "public"
[sandbox]
max = 2
'''
FILES = {"wrangler.toml": TOML, "src/entry.py": "import json\nimport helper\nfrom extra import x\n", "src/helper.py": "import sqlite3",
         "src/page.html": "<p>", "public/index.html": "hi", "public/a/" + "long" * 40 + ".css": "",
         "wrangler.jsonc.bak": ""}
FILES.update(below("python_modules", installed("extra", "1")))


class Frames:
    """The front's end of the connection."""

    def __init__(self, run):
        ours, theirs = socket.socketpair()
        self.frames, self.data = [], b""
        reader = threading.Thread(target=self.read, args=(ours,))
        reader.start()
        try:
            with theirs:
                self.status = run(theirs)
        finally:
            reader.join()
        while self.data:
            head, body = struct.unpack_from("<II", self.data)
            frame = json.loads(self.data[8:8 + head])
            self.frames.append((frame, self.data[8 + head:8 + head + body]))
            self.data = self.data[8 + head + body:]

    def read(self, sock):
        with sock:
            while True:
                piece = sock.recv(1 << 20)
                if not piece:
                    return
                self.data += piece

    def ops(self):
        return [frame["op"] for frame, _ in self.frames]

    def last(self):
        return self.frames[-1]

    def manifest(self):
        return next((frame, body) for frame, body in self.frames if frame["op"] == "manifest")

    def archive(self):
        return b"".join(body for frame, body in self.frames if frame["op"] == "package")


class BuildTest(DeployTest):
    HERE = "%d.%d" % sys.version_info[:2]

    def build(self, top, **payload):
        payload.setdefault("image", "web")
        payload.setdefault("images", [["web", self.HERE]])
        return Frames(lambda sock: build.build(top, payload, sock, TODAY))

    def test_whole(self):
        frames = self.build(self.folder(FILES))
        self.assertEqual((frames.status, frames.ops()), (0, ["progress", "progress", "package", "progress", "manifest"]))
        self.assertEqual([frame.get("step") for frame, _ in frames.frames], ["read", "resolve", None, "pack", None])
        head, body = frames.manifest()
        made, archive = json.loads(body), frames.archive()
        self.assertEqual((head["bytes"], head["sha256"]), (len(archive), hashlib.sha256(archive).hexdigest()))
        self.assertEqual({key: made[key] for key in ("name", "main", "main_file", "python", "assets", "requirements")}, {
            "name": "hello", "main": "entry", "main_file": "entry.py", "python": self.HERE,
            "assets": {"directory": ".sandboxd/assets"},
            "requirements": [{"name": "extra", "version": "1", "from": "package"}]})
        self.assertEqual(made["sandbox"], {"isolation": "instance", "policy": "default", "image": "web", "max": 2})
        self.assertEqual((made["imports"], made["package_imports"]), (["json", "sqlite3"], ["extra"]))
        self.assertEqual(made["warnings"], ["wrangler.toml:4: zebra: there is no such key, and it does nothing"])
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            members = tar.getmembers()
            text = tar.extractfile(".sandboxd/manifest.json").read()
        self.assertEqual(text, body)
        names = [member.name for member in members]
        self.assertEqual(names, sorted(names))
        self.assertLessEqual({"entry.py", "helper.py", "page.html", "python_modules/extra.py", ".sandboxd/assets/files/index.html",
                              ".sandboxd/assets/files/a/" + "long" * 40 + ".css", ".sandboxd/assets/rules.json", "python_modules"}, set(names))
        self.assertFalse({"wrangler.toml", "src/entry.py"} & set(names))
        for member in members:
            self.assertTrue(member.isreg() or member.isdir())
            # The time of an asset stands for its content.
            asset = member.isreg() and member.name.startswith(".sandboxd/assets/files/")
            self.assertEqual(member.mtime != 0, asset)
            self.assertEqual((0, member.uid, member.gid, member.uname), (0, 0, 0, ""))

    def test_where_packages_were_before_python_modules(self):
        for date, packages, own in (("2025-08-10", ["packed"], set()), ("2025-08-11", [], {"vendor/packed/__init__.py"})):
            frames = self.build(self.folder({
                "wrangler.toml": 'name = "hello"\nmain = "src/entry.py"\ncompatibility_date = "%s"\n' % date,
                "src/entry.py": "import packed\n", "src/vendor/packed/__init__.py": "", "src/vendor/packed/x.so": ""}))
            self.assertEqual(frames.status, 0, frames.last())
            self.assertEqual(json.loads(frames.manifest()[1])["package_imports"] if packages else [], packages)
            with tarfile.open(fileobj=io.BytesIO(frames.archive())) as tar:
                names = {each.name for each in tar.getmembers() if each.isreg() and "pycache" not in each.name}
            self.assertEqual(names - {"entry.py", ".sandboxd/manifest.json"},
                             own or {"python_modules/packed/__init__.py", "python_modules/packed/x.so"})

    def test_the_same_content_is_the_same_bytes(self):
        top = self.folder(FILES)
        first = self.build(top).archive()
        again = self.folder(dict(reversed(list(FILES.items()))))
        os.utime(os.path.join(again, "src/entry.py"), (1, 1))
        self.assertEqual(self.build(again).archive(), first)
        with open(os.path.join(again, "src/helper.py"), "a") as out:
            out.write("\n")
        self.assertNotEqual(self.build(again).archive(), first)

    def test_bytecode_goes_along(self):
        """It is what the interpreter takes, whatever the sources' times; and the same source is the same bytes."""
        top = self.folder(dict(FILES, **{"src/entry.py": "VALUE = 'marker'[0:3]\ndef f(a=(1, 2)):\n    return a, 'marker'\n",
                                         "src/wrong.py": "def", "src/old.py": "# -*- coding: latin-1 -*-\nX = '\u00fc'"
                                         .encode("latin-1")}))
        archive = self.build(top).archive()
        self.assertEqual(archive, self.build(top).archive())
        to = self.folder({})
        with tarfile.open(fileobj=io.BytesIO(archive)) as tar:
            tar.extractall(to)
        cached = os.path.join(to, "__pycache__", "entry.%s.pyc" % sys.implementation.cache_tag)
        self.assertTrue(os.path.exists(os.path.join(to, "python_modules/__pycache__/extra.%s.pyc" % sys.implementation.cache_tag)))
        self.assertFalse([name for name in os.listdir(os.path.dirname(cached)) if name.startswith("wrong")])
        # Another source beside it shows that the bytecode is what runs.
        with open(os.path.join(to, "entry.py"), "w") as out:
            out.write("1 / 0\n")
        out = subprocess.check_output([sys.executable, "-B", "-c", "import entry, old; print(entry.VALUE, entry.f(), ascii(old.X))"], cwd=to)
        self.assertEqual(out.decode().strip(), "mar ((1, 2), 'marker') '\\xfc'")

    def test_what_was_resolved_is_kept_until_something_else_is_required(self):
        files = dict(FILES, **{"requirements.txt": "extra\n"})
        top = self.folder(files)
        first = self.build(top, keep=True)
        self.assertEqual(first.status, 0)
        # Where it comes from shows in the bytes: the next build has another file of this name in its folder.
        with tarfile.open(fileobj=io.BytesIO(first.archive())) as tar:
            kept = {member.name: tar.extractfile(member).read() for member in tar if member.isreg()}
        changed = io.BytesIO()
        with tarfile.open(fileobj=changed, mode="w") as tar:
            for name, data in kept.items():
                info = tarfile.TarInfo(name)
                info.size = len(data) if name != "python_modules/extra.py" else 4
                tar.addfile(info, io.BytesIO(data if name != "python_modules/extra.py" else b"kept"))
        os.makedirs(os.path.join(top, ".sandboxd"))
        with open(os.path.join(top, ".sandboxd/package.tar"), "wb") as out:
            out.write(changed.getvalue())
        with open(os.path.join(top, "src/helper.py"), "w") as out:
            out.write("changed = 1\n")

        def read(frames, name):
            with tarfile.open(fileobj=io.BytesIO(frames.archive())) as tar:
                return tar.extractfile(name).read()

        again = self.build(top, keep=True)
        self.assertEqual([frame["text"] for frame, _ in again.frames if frame.get("step") == "resolve"], ["as before"])
        self.assertEqual(read(again, "python_modules/extra.py"), b"kept")
        self.assertEqual(read(again, "helper.py"), b"changed = 1\n")
        self.assertEqual(json.loads(again.manifest()[1])["requirements"],
                         json.loads(first.manifest()[1])["requirements"])
        # Without its word, with other requirements, with other modules, or with something else in its place, it
        # is all resolved anew.
        self.assertNotEqual(read(self.build(top), "python_modules/extra.py"), b"kept")
        for name, text in ("requirements.txt", "extra>=1\n"), ("python_modules/more.py", ""), \
                (".sandboxd/package.tar", "no archive"):
            with open(os.path.join(top, name), "w") as out:
                out.write(text)
            self.assertNotEqual(read(self.build(top, keep=True), "python_modules/extra.py"), b"kept")
            if name == "requirements.txt":
                with open(os.path.join(top, name), "w") as out:
                    out.write("extra\n")
                self.assertEqual(read(self.build(top, keep=True), "python_modules/extra.py"), b"kept")

    def test_large_packages_come_in_pieces(self):
        top = self.folder(dict(FILES, **{"src/data.bin": os.urandom(3 << 20)}))
        frames, dry = self.build(top), self.build(top, dry_run=True)
        pieces = [(frame["last"], len(body)) for frame, body in frames.frames if frame["op"] == "package"]
        self.assertEqual([last for last, _ in pieces], [False] * 3 + [True])
        self.assertLessEqual(max(size for _, size in pieces), build.PIECE)
        self.assertEqual(len(frames.archive()), frames.manifest()[0]["bytes"])
        self.assertNotIn("package", dry.ops())
        self.assertEqual(dry.last(), frames.last())

    def test_what_fails_says_step_file_and_line(self):
        for change, frame in (
                ({"wrangler.toml": "name = 1"}, {"step": "read", "message": "name: must be a string, not a whole number",
                                                 "file": "wrangler.toml", "line": 1}),
                ({"wrangler.toml": "name ="}, {"step": "read", "file": "wrangler.toml", "line": 1}),
                ({"wrangler.toml": TOML.replace("src/entry", "none")}, {
                    "step": "read", "message": "main: 'none.py': is not there: the .py files that are there are "
                    "src/entry.py, src/helper.py", "file": "wrangler.toml", "line": 2}),
                ({"wrangler.toml": TOML.replace("src/entry", "src/js"), "src/js.py": ""}, {
                    "message": "main: the module js is the runtime's: give the file another name"}),
                ({"requirements.txt": "json-x\nno-such-project-here>=1\n"}, {
                    "step": "resolve", "file": "requirements.txt", "line": 1, "message": "json-x cannot be had: the image "
                    "web has none, and " + resolve.NO_INDEX}),
                ({"wrangler.toml": TOML.replace('"public"', '"none"')}, {
                    "step": "pack", "message": "assets.directory: 'none': there is no such folder"}),
                ({"src/.sandboxd": ""}, None)):
            frames = self.build(self.folder(dict(FILES, **change)))
            if frame is None:
                self.assertEqual(frames.status, 0)
                continue
            self.assertEqual((frames.status, frames.ops()[-1]), (1, "failed"))
            self.assertLessEqual(set(frame.items()), set(frames.last()[0].items()))
        frames = self.build(self.folder({}))
        self.assertIn("there is no configuration", frames.last()[0]["message"])

    def test_a_fault_of_the_builds_own_is_told_too(self):
        top = self.folder(FILES)
        was = resolve.resolve
        self.addCleanup(setattr, resolve, "resolve", was)
        resolve.resolve = lambda *words: 1 // 0
        told = []

        def run(sock):
            with self.assertRaises(ZeroDivisionError):
                build.build(top, {"image": "web"}, sock, TODAY)
            told.append(1)
        frames = Frames(run)
        self.assertEqual(told, [1])
        self.assertIn("the build has failed: ZeroDivisionError: ", frames.last()[0]["message"])

    def test_the_build_goes_on_in_the_workers_image(self):
        top = self.folder(dict(FILES, **{"requirements.txt": "extra"}))
        images = [["web", "3.9.2"], ["a", "3.14.1"], ["web14", "3.14.0"]]
        frames = self.build(top, images=images)
        self.assertEqual((frames.status, frames.ops()), (0, ["progress", "again"]))
        head, body = frames.last()
        self.assertEqual(head["image"], "web14")
        self.assertIn("Python 3.14 of the image web14: the oldest here that is not older than 3.12",
                      frames.frames[0][0]["text"])
        # The second run needs no tomllib, and errors have their lines all the same.
        import _sandboxd_deploy.read as read
        was = read.read_toml
        self.addCleanup(setattr, read, "read_toml", was)
        read.read_toml = None
        frames = self.build(top, image="web14", images=images, config=body.decode())
        self.assertEqual((frames.status, frames.ops()[-1]), (0, "manifest"))
        self.assertEqual([frame.get("step") for frame, _ in frames.frames if "step" in frame], ["resolve", "pack"])
        made = json.loads(frames.manifest()[1])
        self.assertEqual(made["sandbox"]["image"], "web14")
        self.assertEqual(made["warnings"][0][:15], "wrangler.toml:4")
        frames = self.build(top, image="web", images=images, config=body.decode())
        self.assertIn("the worker belongs to web14", frames.last()[0]["message"])

    def test_capnp(self):
        top = self.folder({"config.capnp": SAMPLE.replace("numpy", "extra").replace(', \\"requests\\"', ""),
                           "worker.py": "import extra", **below("python_modules", installed("extra", "1"))})
        frames = self.build(top)
        self.assertEqual(frames.status, 0, frames.last())
        made = json.loads(frames.manifest()[1])
        self.assertEqual((made["name"], made["main"], made["package_imports"]), ("main", "worker", ["extra"]))
        self.assertIn("requirements", [binding["name"] for binding in made["bindings"]])
        frames = self.build(top, env="x")
        self.assertIn("config.capnp has no", "%(file)s %(message)s" % frames.last()[0])

    def test_an_uploads_metadata(self):
        top = self.folder({"entry.py": "import lib.a", "lib/a.py": "", "x.json": "", ".sandboxd/assets/i.html": "",
                           "python_modules/p.py": ""})
        metadata = {"main_module": "entry.py", "compatibility_date": "2024-04-01",
                    "bindings": [{"name": "F", "type": "assets"}, {"name": "S", "type": "secret_text"}],
                    "assets": {"config": {}}}
        frames = self.build(top, metadata=metadata, name="up")
        self.assertEqual(frames.status, 0, frames.last())
        made = json.loads(frames.manifest()[1])
        self.assertEqual((made["name"], made["bindings"]), ("up", metadata["bindings"]))
        with tarfile.open(fileobj=io.BytesIO(frames.archive())) as tar:
            names = set(tar.getnames())
        self.assertLessEqual({"entry.py", "lib/a.py", "lib/__pycache__", "x.json", ".sandboxd/assets/files/i.html",
                              "python_modules/p.py"}, names)

    def test_assets_alone(self):
        for payload in ({}, {"metadata": {"compatibility_date": "2024-04-01", "assets": {}}, "name": "hello"}):
            folder = ".sandboxd/assets" if payload else "public"
            frames = self.build(self.folder({"wrangler.toml": TOML.replace('main = "src/entry.py"', ""), folder + "/i.html": ""}),
                                **payload)
            self.assertEqual(frames.status, 0, frames.last())
            made = json.loads(frames.manifest()[1])
            self.assertEqual((made["main_file"], made["assets"]["only"]), ("assets_only.py", True))
            with tarfile.open(fileobj=io.BytesIO(frames.archive())) as tar:
                self.assertLessEqual({"assets_only.py", ".sandboxd/assets/files/i.html"}, set(tar.getnames()))
                compile(tar.extractfile("assets_only.py").read(), "assets_only.py", "exec")

    def test_main_with_modules_of_the_standard_librarys_names_in_the_folder(self):
        """As the runtime starts it: an entry, with the project's folder first in the path."""
        top = self.folder(dict(FILES, **{"json.py": "1 / 0", "tarfile.py": "1 / 0", "struct.py": "1 / 0"}))
        program = ("import os, sys; sys.path[0] = os.environ['SANDBOX_WORK']; sys.path.append(%r); "
                   "os.dup2(int(sys.argv[1]), 5); from _sandboxd_deploy.build import main; main({'image': 'web'})"
                   % os.path.join(RUNTIME, "http"))

        def run(sock):
            return subprocess.call([sys.executable, "-B", "-c", program, str(sock.fileno())], pass_fds=[sock.fileno()],
                                   env=dict(os.environ, SANDBOX_WORK=top))
        frames = Frames(run)
        self.assertEqual((frames.status, frames.ops()[-1]), (0, "manifest"), frames.last())

    def test_a_path_that_is_a_file_and_a_folder(self):
        self.fails("a is a file and a folder", build.pack, {"a": b"", "a/b": b""}, lambda source: source, io.BytesIO())


if __name__ == "__main__":
    unittest.main()

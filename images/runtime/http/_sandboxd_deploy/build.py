"""The main of a build run: reads the configuration, resolves the dependencies, packs, and tells the front.

It has one connection, to the front (fd 5). A frame is two little-endian 32-bit lengths, of a head and of a body;
the head is a JSON object with "op". The payload's members, of which each may be missing:

    image       the image that this runs in
    images      [[name, "3.13.5"], ...], those that workers may have
    env, name, vars, dry_run, message, tag      of the command line
    metadata    instead of a configuration's file: what wrangler uploads beside the modules
    config      what "again" said
    file        the configuration's name in the folder, where it is none of the usual ones
    serve       instead of one worker's configuration, all of a config.capnp (serve.py)
    index       what pip is told (`pip-index settings`), whose index is asked over stdin
    keep        the package is to be found again in the next build's folder, as .sandboxd/package.tar: what was
                resolved for it is taken from there for as long as nothing else is required

What is told: "progress" at each step's end, then either "failed"; or "again", with the image in which the
same build has to be run once more; or "package", the pieces of an archive, and then "manifest".
"""

import os
import sys

# The project's folder is where an entry's module is looked for first. Its json.py is not meant here.
WORK = os.environ.get("SANDBOX_WORK", "/work")
sys.path[:] = [path for path in sys.path if path and os.path.realpath(path) != os.path.realpath(WORK)]

import hashlib
import io
import json
import shutil
import socket
import struct
import tarfile
import tempfile
import time

from . import DeployError, compiled, files, imports, manifest, resolve, static
from .capnp import read_capnp
from .read import Document, find, read_file, read_wrangler, show

SERVE_FD = 5
MANIFEST_MAX = 1 << 20
PACKAGE_MAX = 1 << 30
CARRIED_MAX = 1 << 20
PIECE = 1 << 20
IMAGE_DEFAULT = "web"
TEXT_MAX = 4000
ASSET_FILES = manifest.ASSETS + "/files/"
KEPT = ".sandboxd/kept.json"    # in a package: what was resolved for it


class Front:
    """The connection to the front."""

    def __init__(self, sock):
        self.sock, self.began = sock, time.monotonic()

    def tell(self, head, body=b""):
        text = json.dumps(head, ensure_ascii=True, separators=(",", ":")).encode("ascii")
        self.sock.sendall(struct.pack("<II", len(text), len(body)) + text)
        if body:
            self.sock.sendall(body)

    def progress(self, step, text):
        now = time.monotonic()
        self.tell({"op": "progress", "step": step, "ms": round((now - self.began) * 1000, 1),
                   "text": show(text, TEXT_MAX)})
        self.began = now


class Build:
    """One build. top: the project's folder, which is only read."""

    def __init__(self, top, payload, front, today=None):
        self.top, self.payload, self.front, self.today = top, payload, front, today
        self.image = payload.get("image") or IMAGE_DEFAULT
        self.step, self.name, self.config, self.doc, self.work = "read", None, None, None, None
        self.required = self.kept = None
        self.told_with = {}     # goes with the manifest

    def fail(self, message, where=None):
        head = {"op": "failed", "step": self.step, "message": show(message, TEXT_MAX)}
        for key in ("file", "line", "column"):
            if getattr(where, key, None):
                head[key] = getattr(where, key)
        self.front.tell(head)

    def run(self):
        """True when all is told; False when the build goes on in another image."""
        carried = self.payload.get("config")
        carried = json.loads(carried) if carried else None
        self.read(carried)
        image, told = manifest.choose_image(self.config, self.images(), self.today)
        # The image that this build goes on in was told by the first one.
        if not carried:
            self.front.progress("read", "%s: %s" % (self.name, told))
        self.own_files()
        root = self.root()
        wanted, constraints, warnings = ([], [], []) if carried else resolve.wanted_of(self.top, root, self.config)
        if carried:
            wanted = [resolve.Wanted(*item) for item in carried["wanted"]]
            constraints = carried["constraints"]
        self.config.warnings += warnings
        if image != self.image:
            if carried:
                raise DeployError("the build runs in the image %s, and the worker belongs to %s" % (self.image, image))
            self.again(image, wanted, constraints)
            return False
        self.resolve(wanted, constraints)
        self.pack(image)
        return True

    def images(self):
        """[(name, Python)], this one first, then those that are meant for workers."""
        there = [tuple(pair) for pair in self.payload.get("images") or []]
        return sorted(there or [(self.image, "%d.%d" % sys.version_info[:2])],
                      key=lambda image: (image[0] != self.image, not image[0].startswith(IMAGE_DEFAULT)))

    # Read

    def read(self, carried):
        given = self.payload.get("vars") or {}
        env, name = self.payload.get("env"), self.payload.get("name")
        if self.payload.get("metadata") is not None:
            self.name = "metadata"
            self.config = manifest.from_metadata(self.payload["metadata"], name or "", given, self.today)
            return
        self.name, warnings = (self.payload["file"], []) if self.payload.get("file") else find(self.top)
        if self.name.endswith(".capnp"):
            if env is not None:
                raise DeployError("has no environments: --env is for wrangler's files", self.name)
            capnp = read_capnp(self.name, read_file(self.top, self.name), self.top)
            self.config = manifest.from_capnp(self.name, capnp, name, given, self.today)
        else:
            if carried and carried["doc"]:
                doc = Document(self.name, carried["doc"], {tuple(path): line for path, line in carried["lines"]})
            else:
                doc = read_wrangler(self.name, read_file(self.top, self.name))
            self.doc = doc
            self.config = manifest.from_wrangler(doc, env, name, given, self.today)
        self.config.warnings[:0] = warnings
        self.config.tag, self.config.message = ((self.payload.get(key) or "")[:200] for key in ("tag", "message"))

    def root(self):
        return self.config.main.rsplit("/", 1)[0] + "/" if "/" in self.config.main else ""

    def own_files(self):
        """{path in the package: bytes, or a path in the project}."""
        self.modules = files.module_files(self.top, self.config.exclude)
        if self.config.modules is not None:
            root = self.root()
            self.own = {name[len(root):]: data for name, data in self.config.modules}
        else:
            names = {path for path, is_link in files.walk(self.top) if not is_link}
            manifest.check_main(self.config, names)
            if self.payload.get("metadata") is not None:
                # Whatever has been uploaded is the worker's.
                root = self.root()
                self.own = {path[len(root):]: path for path in sorted(names) if path.startswith(root)}
            else:
                self.own, warnings = files.project_files(self.top, self.config)
                self.config.warnings += warnings
            files.vendored(self.own, self.modules, self.config.date)
            self.own = {path: os.path.join(self.top, source) for path, source in self.own.items()}
        stem = self.config.main.rsplit("/", 1)[-1][:-3]
        if stem in RESERVED:
            raise self.config.doc.error((), "main: the module %s is the runtime's: give the file another name" % stem)

    def again(self, image, wanted, constraints):
        carried = {"doc": None, "lines": [], "wanted": [(item.text, item.file, item.line) for item in wanted],
                   "constraints": constraints}
        if not self.name.endswith(".capnp") and self.payload.get("metadata") is None:
            carried["doc"] = self.doc.data
            carried["lines"] = [(list(path), line) for path, line in self.doc.lines.items()]
        body = json.dumps(carried, separators=(",", ":")).encode("ascii")
        if len(body) > CARRIED_MAX:
            raise DeployError("is too large to be read in one image and built in another: name the image in [sandbox]",
                              self.name)
        self.front.tell({"op": "again", "image": image, "text": "the build goes on in the image %s" % image}, body)

    # Resolve

    def resolve(self, wanted, constraints):
        self.step = "resolve"
        if self.payload.get("keep"):
            self.required = self.digest_required(wanted, constraints)
            if self.take_kept():
                self.front.progress("resolve", "as before")
                return
        self.work = tempfile.mkdtemp(prefix="build-")
        index = dict(self.payload.get("index") or {})
        for key, path in (("wheels", "wheels"), ("pip.whl", "pip.whl"), ("ca.crt", "ca.crt")):
            path = os.path.join(self.top, ".sandboxd", path)
            if os.path.exists(path) and not os.path.islink(path):
                index[key] = path
        self.resolved = resolve.resolve(self.top, self.modules, wanted, constraints,
                                        resolve.Pip(self.work, index, self.image))
        self.config.warnings += self.resolved.warnings
        self.front.progress("resolve", "; ".join(self.resolved.told) or (
            "%d requirements, all of them there" % len(wanted) if wanted else "no requirements"))

    def digest_required(self, wanted, constraints):
        """What the resolved modules depend on."""
        own = []
        for path, source in sorted(self.modules.items()):
            info = os.lstat(os.path.join(self.top, source))
            own.append((path, info.st_size, int(info.st_mtime)))
        text = json.dumps([[item.text for item in wanted], constraints, own, self.image, sys.version])
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()

    def take_kept(self):
        """Take what was resolved out of the last build's package; False: there is none, or it was for another."""
        path = os.path.join(self.top, ".sandboxd", "package.tar")
        if not os.path.isfile(path) or os.path.islink(path):
            return False
        try:
            self.kept = tar = tarfile.open(path)
            kept = json.load(tar.extractfile(KEPT))
            if kept["required"] != self.required:
                return False
            self.resolved = resolve.Resolved()
            self.resolved.requirements = kept["requirements"]
            self.resolved.warnings = kept["warnings"]
            self.resolved.files = {member.name: Kept(tar, member) for member in tar
                                   if member.isreg() and member.name.startswith("python_modules/")}
        except (tarfile.TarError, KeyError, ValueError, OSError):
            return False
        self.config.warnings += self.resolved.warnings
        return True

    # Pack

    def content(self, source):
        if isinstance(source, bytes):
            return source
        if isinstance(source, Kept):
            return source.read()
        fd = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(fd, "rb") as file:
            return file.read(PACKAGE_MAX + 1)

    def snapshot_imports(self):
        main = self.config.main.rsplit("/", 1)[-1]
        own = {path: source for path, source in self.own.items() if path.endswith(".py")}
        names = imports.scan(main, own, lambda path: self.content(own[path]))
        tops = set()
        for path in self.resolved.files:
            parts = path.split("/")
            if len(parts) > 2 or parts[1].endswith((".py", ".so")):
                tops.add(parts[1].split(".")[0])
        image, package, left = imports.for_snapshot(names, tops, imports.can_be_found)
        if left:
            self.config.warnings.append("%d of the modules that the source imports are not imported ahead: their names "
                                        "have more than %d bytes together" % (left, imports.BYTES_MAX))
        return image, package

    def assets(self):
        """{path in the package: bytes, or a path in the project} of the assets."""
        if not self.config.assets:
            return {}
        directory, warnings = self.config.assets["directory"], self.config.warnings
        there, told = files.asset_files(self.top, directory)
        warnings += told
        texts = {}
        for name in "_headers", "_redirects":
            path = os.path.join(self.top, directory, name)
            if name in self.config.asset_texts:
                texts[name] = name, self.config.asset_texts[name]
            elif os.path.isfile(path) and not os.path.islink(path):
                texts[name] = directory + "/" + name, self.content(path)[:1 << 20].decode("utf-8", "replace")
        result = {manifest.ASSETS + "/files/" + path: os.path.join(self.top, source)
                  for path, source in there.items()}
        result[manifest.ASSETS + "/rules.json"] = static.rules(texts.get("_headers"), texts.get("_redirects"), warnings)
        return result

    def pack(self, image):
        self.step = "pack"
        assets = self.assets()
        made = manifest.manifest(self.config, sys.version_info, image, self.snapshot_imports(),
                                 self.resolved.requirements)
        text = json.dumps(made, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode("utf-8")
        if len(text) > MANIFEST_MAX:
            raise DeployError("variables and all else that is configured have more than %d bytes together"
                              % MANIFEST_MAX, self.name)
        entries = dict(self.own)
        entries.update(self.resolved.files)
        entries.update(compiled.compile_all(entries, self.content))
        entries.update(assets)
        entries[".sandboxd/manifest.json"] = text
        if self.required:
            entries[KEPT] = json.dumps({"required": self.required, "requirements": self.resolved.requirements,
                                        "warnings": self.resolved.warnings}).encode()
        out = Pieces(None if self.payload.get("dry_run") else self.front)
        pack(entries, self.content, out)
        out.finish()
        self.front.progress("pack", "%d files, %.1f MB" % (len(entries), out.size / 1e6))
        self.front.tell(dict(self.told_with, op="manifest", bytes=out.size, sha256=out.digest.hexdigest()), text)


RESERVED = frozenset(("js", "pyodide", "workers", "asgi", "wsgi", "micropip", "_pyodide_entrypoint_helper",
                      "_cloudflare_compat_flags")) | frozenset(sys.builtin_module_names)


class Kept:
    """A file of the last build's package."""

    def __init__(self, tar, member):
        self.tar, self.member, self.mode = tar, member, member.mode

    def read(self):
        return self.tar.extractfile(self.member).read()


class Pieces:
    """A file that is sent in pieces as it is written; without a front, it is only measured."""

    def __init__(self, front):
        self.front, self.digest, self.size, self.kept = front, hashlib.sha256(), 0, bytearray()

    def write(self, data):
        self.digest.update(data)
        self.size += len(data)
        if self.size > PACKAGE_MAX:
            raise DeployError("the package has more than %d bytes" % PACKAGE_MAX)
        if self.front:
            self.kept += data
            while len(self.kept) > PIECE:
                self.front.tell({"op": "package", "last": False}, bytes(self.kept[:PIECE]))
                del self.kept[:PIECE]
        return len(data)

    def finish(self):
        if self.front:
            self.front.tell({"op": "package", "last": True}, bytes(self.kept))


def mode_of(source):
    """The mode of an entry's file."""
    if isinstance(source, bytes):
        return 0
    return source.mode if isinstance(source, Kept) else os.lstat(source).st_mode


def pack(entries, content, out):
    """Write an archive whose bytes depend on nothing but names and contents: no time, no owner, one order.

    The time of an asset says which content it has, for the edge makes its ETag of time and size."""
    folders = set()
    for path in entries:
        parts = path.split("/")[:-1]
        folders.update("/".join(parts[:n]) for n in range(1, len(parts) + 1))
    clash = sorted(folders & set(entries))
    if clash:
        raise DeployError("%s is a file and a folder" % show(clash[0]))
    with tarfile.open(fileobj=out, mode="w|", format=tarfile.PAX_FORMAT, encoding="utf-8") as tar:
        for path in sorted(folders | set(entries)):
            info = tarfile.TarInfo(path)
            if path in folders:
                info.type, info.mode = tarfile.DIRTYPE, 0o755
                tar.addfile(info)
                continue
            data = content(entries[path])
            info.size = len(data)
            if path.startswith(ASSET_FILES):
                info.mtime = int.from_bytes(hashlib.sha256(data).digest()[:4], "big") >> 1
            info.mode = 0o755 if mode_of(entries[path]) & 0o100 else 0o644
            tar.addfile(info, io.BytesIO(data))


def build(top, payload, sock, today=None):
    """Run a build and tell the front all of it; returns the exit status."""
    front = Front(sock)
    if payload.get("serve") is not None:
        from .serve import ServeBuild
        job = ServeBuild(top, payload, front, today)
    else:
        job = Build(top, payload, front, today)
    try:
        job.run()
        return 0
    except DeployError as error:
        job.fail(error.message, error)
        return 1
    except Exception as error:
        # A fault of the build's own: the log has where.
        job.fail("the build has failed: %s: %s" % (type(error).__name__, error))
        raise
    finally:
        if job.kept:
            job.kept.close()
        if job.work:
            shutil.rmtree(job.work, ignore_errors=True)


def main(payload):
    with socket.socket(fileno=SERVE_FD) as sock:
        sys.exit(build(WORK, payload, sock))

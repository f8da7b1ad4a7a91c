"""Versions, requirements and markers; which modules a source imports; what of its dependencies is there."""

import functools
import http.server
import json
import os
import random
import socket
import subprocess
import sys
import threading
import unittest
import zipfile

from deploy import RUNTIME, TOP, DeployTest, mutations

from _sandboxd_deploy import DeployError, imports, resolve
from _sandboxd_deploy.manifest import Config
from _sandboxd_deploy.read import Document
from _sandboxd_deploy.versions import Marker, Requirement, Specifier, Version, environment, tag_fits

ENV = dict(environment(), python_version="3.11", python_full_version="3.11.2", sys_platform="linux", os_name="posix")


class VersionTest(DeployTest):
    def test_order(self):
        texts = ("1.dev1", "1a1.dev1", "1a1", "1a1.post1", "1b1", "1rc1", "1", "1+abc", "1+1", "1+1.2", "1.post1.dev1",
                 "1.post1", "1.0.1", "1.1", "1!0.1")
        versions = [Version(text) for text in texts]
        self.assertEqual(sorted(versions), versions)
        for text, same in (("v1.0", "1"), ("1.0.0", "1"), ("1-alpha.1", "1a1"), ("1.c2", "1rc2"), ("1-1", "1.post1"),
                           ("1.rev2", "1r2"), ("1_DEV_3", "1.dev3"), ("1+A-b", "1+a.b")):
            self.assertEqual(Version(text), Version(same))
        for text in ("", "x", "1.", "1..2", "1+", "1a1b1", "1 2", "1" * 200):
            self.fails("is no version", Version, text)

    def test_clauses(self):
        for text, fits, not_fits in (
                ("", ("1", "2a1"), ()), (">=1,<2", ("1", "1.9", "1.9.post1"), ("2", "0.9", "2a1", "2.dev1")),
                ("==1.2", ("1.2", "1.2.0", "1.2+local"), ("1.2.1", "1.2.post1")), ("==1.2+a", ("1.2+a",), ("1.2",)),
                ("==1.*", ("1", "1.5a1"), ("2", "10")), ("!=1.*", ("2",), ("1.1",)), ("~=1.2", ("1.2", "1.9"), ("2", "1.1")),
                ("~=1.2.3", ("1.2.9",), ("1.3",)), (">1", ("1.1", "2"), ("1", "1.post1", "1+local")),
                (">1.post1", ("1.post2",), ("1.post1",)), ("<2a2", ("2a1",), ("2a2",)), ("===1.0", ("1.0",), ("1",)),
                ("> 1 , != 1.5", ("1.4",), ("1.5",))):
            for version in fits:
                self.assertTrue(Specifier(text).fits(version), (text, version))
            for version in not_fits:
                self.assertFalse(Specifier(text).fits(version), (text, version))
        for text in ("1", ">=", "=1", ">=1,,<2", ">=1 <2", "~=1", ">=1.*", "==x"):
            with self.assertRaises(DeployError, msg=text):
                Specifier(text)

    def test_markers(self):
        for text, holds in (('python_version < "3.9"', False), ('python_version >= "3.9" and sys_platform == "linux"', True),
                            ('"3.10" <= python_version', True), ('extra == "A_b"', True), ('os_name == "nt" or extra == "x"', False),
                            ('(os_name == "nt" or os_name == "posix") and "lin" in sys_platform', True),
                            ('sys_platform not in "win32 cygwin"', True), ("python_full_version == '3.11.*'", True),
                            ('python_version ~= "3.8"', True), ("os.name == 'posix'", True)):
            self.assertEqual(Marker(text).holds(dict(ENV, extra="a-b")), holds, text)
        for text in ("", "x", "os_name", 'os_name == "a" and', '(os_name == "a"', 'os_name = "a"', '"a" == "b"',
                     "os_name == sys_platform", 'foo == "a"', 'os_name == "a" os_name', "(" * 50 + 'os_name == "a"' + ")" * 50):
            with self.assertRaises(DeployError, msg=text):
                Marker(text)

    def test_requirements(self):
        found = Requirement('Fast_API.x [all, Y] >=1,<2 ; python_version > "3"')
        self.assertEqual((found.name, found.key, found.extras, found.specifier.text, found.url),
                         ("Fast_API.x", "fast-api-x", ["all", "Y"], ">=1,<2", None))
        self.assertTrue(found.holds(ENV))
        found = Requirement("a @ https://example.com/a.whl ; extra == 'x'")
        self.assertEqual(found.url, "https://example.com/a.whl")
        self.assertFalse(found.holds(ENV))
        self.assertTrue(found.holds(ENV, ["x"]))
        self.assertEqual(Requirement("a(>=1)").specifier.text, ">=1")
        for text in ("", "-e .", "./a", "a b", "a>=", "a @", "git+https://a", "a,b", "a[x", "a[-]", "a\nb", "a" * 1001):
            with self.assertRaises(DeployError, msg=text):
                Requirement(text)

    def test_mutations_end_in_a_requirement_or_an_error(self):
        seeded = random.Random(20261204)
        for text in mutations(seeded, ('Fast_API.x [all,Y] >=1,<2,!=1.5.* ; python_version > "3" and (os_name == "x" or '
                                       "extra == 'y')", "a @ https://example.com/a.whl", "a~=1.2a1.post2.dev3+x.1"), 4000):
            try:
                requirement = Requirement(text)
                requirement.holds(ENV)
                requirement.specifier.fits("1.2.3")
            except DeployError as error:
                self.assertTrue(error.message)

    def test_tags_of_wheels(self):
        for tag, fits in (("py3-none-any", True), ("py2.py3-none-any", True), ("cp313-cp313-manylinux_2_17_x86_64", True),
                          ("cp38-abi3-manylinux2014_x86_64", True), ("cp313-cp313-linux_x86_64", True),
                          ("cp312-cp312-manylinux_2_17_x86_64", False), ("cp314-abi3-linux_x86_64", False),
                          ("cp313-cp313-musllinux_1_2_x86_64", False), ("cp313-cp313-manylinux_2_17_aarch64", False),
                          ("cp313-cp313-pyodide_2025_0_wasm32", False), ("py3-none-emscripten_4_0_9_wasm32", False),
                          ("py3-none-manylinux_2_17_x86_64.manylinux2014_x86_64", True), ("py310-none-any", True),
                          ("pp310-pypy310_pp73-any", False), ("x", False)):
            self.assertEqual(tag_fits(tag, (3, 13), "x86_64"), fits, tag)


class ImportsTest(DeployTest):
    def names(self, **sources):
        files = {name.replace("__", "/") + ".py": text for name, text in sources.items()}
        return imports.scan("entry.py", files, lambda path: files[path].encode())

    def test_what_runs_at_import(self):
        self.assertEqual(self.names(entry="""
from __future__ import annotations
import numpy as np, json
from fastapi import FastAPI
import a.b
from . import local
from local2 import x
from pkg.sub import thing
if True:
    import first
else:
    import second
if TYPE_CHECKING:
    import never
else:
    import third
try:
    import fourth
except ImportError:
    import fifth
class C:
    import sixth
def f():
    import not_this
async def g():
    import nor_this
match 1:
    case 1: import seventh
""", local="import eighth", local2="import ninth\nimport entry", pkg__sub__thing="from . import other\nfrom ... import no",
                                    pkg__sub__other="import tenth"),
                         ["__future__", "numpy", "json", "fastapi", "a.b", "first", "second", "third", "fourth", "fifth",
                          "sixth", "seventh", "eighth", "ninth", "tenth"])

    def test_what_is_no_python_has_no_imports(self):
        self.assertEqual(self.names(entry="import a\nthis none"), [])
        self.assertEqual(self.names(entry="import a\n\0"), [])
        self.assertEqual(self.names(entry="import a\nx = " + "(" * 1000 + ")" * 1000), [])
        self.assertEqual(self.names(entry="import a\nx = " + "-" * 100000 + "1"), [])

    def test_for_a_snapshot(self):
        names = ["__future__", "json", "numpy", "none", "workers", "js", "_sandboxd_http", "antigravity", "fastapi"]
        there = lambda name: name != "none"
        self.assertEqual(imports.for_snapshot(names, (), there), (["numpy", "fastapi", "json"], [], 0))
        self.assertEqual(imports.for_snapshot(names, ("workers", "none", "fastapi"), there),
                         (["numpy", "json"], ["none", "workers", "fastapi"], 0))
        many = ["module%05d" % i for i in range(100)]
        self.assertEqual([len(part) if part else part for part in imports.for_snapshot(many, (), there)[:2]], [64, []])
        self.assertEqual(imports.for_snapshot(many, (), there)[2], 36)
        image, package, left = imports.for_snapshot(many, many, there)
        self.assertEqual((image, len(package), left), ([], 38, 62))
        self.assertTrue(imports.can_be_found("json.decoder"))
        self.assertFalse(imports.can_be_found("no_such_module_here"))


def installed(name, version, needs=(), tags=("py3-none-any",), files=None):
    """{path: content} of a project as pip installs it."""
    info = "%s-%s.dist-info" % (name.replace("-", "_"), version)
    result = {info + "/METADATA": "Metadata-Version: 2.1\nName: %s\nVersion: %s\n%s" % (
        name, version, "".join("Requires-Dist: %s\n" % need for need in needs)),
        info + "/WHEEL": "Wheel-Version: 1.0\n%s" % "".join("Tag: %s\n" % tag for tag in tags)}
    result.update(files or {name.replace("-", "_") + ".py": "VERSION = %r\n" % version})
    result[info + "/RECORD"] = "".join("%s,,\n" % path for path in list(result) + [info + "/RECORD", "../../bin/x"])
    return result


def below(folder, *projects):
    return {folder + "/" + path: content for project in projects for path, content in project.items()}


class FakePip:
    """Installs what it is told to have, or fails with pip's words."""

    image = "web"

    def __init__(self, folder=None, said="", ask=True):
        self.folder, self.said, self.ask, self.texts = folder, said, ask, None

    def can_ask(self):
        return self.ask

    def install(self, texts, constraints):
        self.texts, self.constraints = texts, constraints
        return self.folder, self.said


class ResolveTest(DeployTest):
    def config(self, requirements=()):
        config = Config(Document("wrangler.toml", {}, {("vars", "requirements"): 7}), [])
        if requirements:
            config.bindings.append({"name": "requirements", "type": "json", "json": requirements})
        return config

    def wanted(self, files, requirements=(), root=""):
        return resolve.wanted_of(self.folder(files), root, self.config(requirements))

    def test_what_is_wanted(self):
        wanted, constraints, warnings = self.wanted({
            "pyproject.toml": '[project]\nname = "x"\ndependencies = [\n  "fastapi>=0.1",\n  "numpy",\n]\n',
            "requirements.txt": "# all\nrequests==2.31.0 --hash=sha256:aa  # why\n\nhttpx \\\n  >=0.2 ; python_version > '3'\n"
                                "-r more/extra.txt\n--index-url https://x/\n-c c.txt\n",
            "more/extra.txt": "-r two.txt\nb\n", "more/two.txt": "c", "c.txt": "d<2\n"}, ["numpy", "e"])
        self.assertEqual([(item.text, item.file, item.line) for item in wanted], [
            ("fastapi>=0.1", "pyproject.toml", 4), ("numpy", "pyproject.toml", 5), ("requests==2.31.0", "requirements.txt", 2),
            ("httpx   >=0.2 ; python_version > '3'", "requirements.txt", 4), ("c", "more/two.txt", 1),
            ("b", "more/extra.txt", 2), ("numpy", "wrangler.toml", 7), ("e", "wrangler.toml", 7)])
        self.assertEqual(constraints, ["d<2"])
        self.assertEqual(warnings, ["requirements.txt:7: --index-url has no effect: the index of this machine is asked"])
        wanted, _, _ = self.wanted({"src/requirements.txt": "a", "requirements.txt": "b"}, root="src/")
        self.assertEqual([item.file for item in wanted], ["requirements.txt", "src/requirements.txt"])

    def test_what_cannot_be_wanted(self):
        for text, message in (("a b", "requirements.txt:1: 'b': a version is named"), ("\n-e .", "requirements.txt:2: -e: this option"),
                              ("./a.whl", "a path or a URL is not installed"), ("https://x/a.whl", "a path or a URL"),
                              ("git+https://x/a", "a path or a URL"), ("-r none.txt", "requirements.txt:1: -r none.txt: is not there"),
                              ("-r ../x.txt", "-r ../x.txt: must be a path inside"), ("-r /etc/passwd", "must be a path inside"),
                              ("-r requirements.txt", "there are more than 20 files of requirements"),
                              ("\n".join("a%d" % i for i in range(501)), "there are more than 500 requirements")):
            self.fails(message, self.wanted, {"requirements.txt": text})
        self.fails("pyproject.toml:3: project.dependencies: must be a list of strings", self.wanted,
                   {"pyproject.toml": "\n[project]\ndependencies = 1"})
        self.fails("wrangler.toml:7: '-x'", self.wanted, {}, ["-x"])

    def resolve(self, files, texts, pip, image=()):
        top = self.folder(files)
        image = self.folder(below("site", *image))
        modules = resolve_modules(top)
        return resolve.resolve(top, modules, [resolve.Wanted(text, "requirements.txt", n)
                                              for n, text in enumerate(texts, 1)], [], pip, [os.path.join(image, "site")], ENV)

    def test_what_the_image_has_is_used(self):
        result = self.resolve({}, ["A>=1", "b[x]; python_version > '3'", "none; python_version < '3'"], FakePip(ask=False), [
            installed("a", "1.5", ["c"]), installed("B", "2", ["d; extra == 'x'", "e; extra == 'y'"]), installed("c", "3"),
            installed("d", "4")])
        self.assertEqual(result.files, {})
        self.assertEqual([(item["name"], item["version"], item["from"]) for item in result.requirements],
                         [("a", "1.5", "image"), ("b", "2", "image"), ("c", "3", "image"), ("d", "4", "image")])

    def test_what_debian_and_old_tools_leave(self):
        top = self.folder({"six-1.16.0.egg-info": "Metadata-Version: 1.2\nName: six\nVersion: 1.16.0\n",
                           "Old_Name-2.0-py3.11.egg-info/PKG-INFO": "Name: Old.Name\nVersion: 2.0\n",
                           "Old_Name-2.0-py3.11.egg-info/requires.txt": "six>=1\n\n[x]\nextra-one\n",
                           "bare.egg-info/PKG-INFO": "Name: bare\nVersion: 3\n", "broken.dist-info/METADATA": "",
                           "bad-1.dist-info/x": ""})
        there = resolve.distributions([top, top + "/none"], "image")
        self.assertEqual({key: item.version for key, item in there.items()},
                         {"six": "1.16.0", "old-name": "2.0", "bare": "3", "bad": "1"})
        self.assertEqual([(item.name, item.holds(ENV)) for item in there["old-name"].needs()], [("six", True),
                                                                                                ("extra-one", False)])
        self.assertEqual(list(there["bad"].needs()), [])

    def test_python_modules_comes_first(self):
        result = self.resolve(below("python_modules", installed("a", "2")), ["a>=2"], FakePip(ask=False), [installed("a", "1")])
        self.assertEqual(result.requirements, [{"name": "a", "version": "2", "from": "package"}])
        self.assertIn("python_modules/a.py", result.files)

    def test_what_cannot_be_had_is_named_with_what_was_found(self):
        image = [installed("a", "1.5"), installed("b", "1", ["needed>=3"])]
        for texts, message in ((["x", "a>=2"], "requirements.txt:1: x cannot be had: the image web has none, and there is no "
                                               "package index here to ask"),
                               (["a>=2"], "requirements.txt:1: a>=2 cannot be had: the image web has 1.5, and there is no"),
                               (["b"], "needed>=3, which b needs, cannot be had: the image web has none")):
            self.fails(message, self.resolve, {}, texts, FakePip(ask=False), image)
        self.assertIn("the runtime's own workers", self.resolve({}, ["workers-runtime-sdk"], FakePip(ask=False)).warnings[0])
        self.assertEqual(self.fails("a>=2: cannot be had: the image web has 1.5; the index has 0.1, 1.0", self.resolve, {},
                                    ["x", "a>=2"], FakePip(None, "ERROR: Could not find a version that satisfies the requirement "
                                                           "a>=2 (from versions: 0.1, 1.0)\nERROR: No matching distribution"),
                                    image).line, 2)
        self.fails("needed>=3: cannot be had, which b needs: the index has nothing of this name for this Python", self.resolve, {},
                   ["b"], FakePip(None, "ERROR: Could not find a version that satisfies the requirement needed>=3 (from b) "
                                  "(from versions: none)\n"), image)
        self.fails("requirements.txt:2: the dependencies cannot be installed: Cannot install a and y", self.resolve, {},
                   ["x", "y"], FakePip(None, "ERROR: Cannot install a and y==1\n"), image)
        self.fails("x: cannot be had: the index has nothing of this name for this Python (this machine's package index: it cannot be "
                   "reached)", self.resolve, {}, ["x"], FakePip(
                       None, "ERROR: No matching distribution found for x\npip-build: this machine's package index: it cannot be "
                       "reached\n"))
        self.fails("the dependencies cannot be installed: x comes as source only", self.resolve, {}, ["x"],
                   FakePip(None, "ERROR: no\npip-build: x comes as source only\n"), image)

    def test_the_rest_is_installed(self):
        new = self.folder(below("new", installed("x", "3", ["a"]), installed("pure", "9"), {"bin/x": "", "x.pyc": ""}))
        pip = FakePip(os.path.join(new, "new"), "pip-build: x needs libz\n")
        result = self.resolve(below("python_modules", installed("pure", "1", ["x"])), ["x>=3", "a", "pure"], pip,
                              [installed("a", "1.5")])
        self.assertEqual(pip.texts, ["x>=3", "a", "x"])
        self.assertEqual(pip.constraints, ["pure==1"])
        self.assertEqual(result.requirements, [{"name": "a", "version": "1.5", "from": "image"},
                                               {"name": "pure", "version": "1", "from": "package"},
                                               {"name": "x", "version": "3", "from": "package"}])
        self.assertEqual(result.warnings, ["pip: x needs libz"])
        self.assertEqual(result.told, ["installed x 3"])
        self.assertTrue({"python_modules/x.py", "python_modules/bin/x"} <= set(result.files))
        self.assertNotIn("python_modules/x.pyc", result.files)
        with open(result.files["python_modules/pure.py"]) as file:
            self.assertEqual(file.read(), "VERSION = '1'\n")

    def test_wheels_for_webassembly_give_way(self):
        wasm = installed("fast-json", "1.2", tags=("cp313-cp313-pyodide_2025_0_wasm32",),
                         files={"fast_json/__init__.py": "", "fast_json/x.cpython-313-wasm32-emscripten.so": "\0asm"})
        files = below("python_modules", wasm, installed("pure", "1"))
        native = self.folder(below("new", installed("fast-json", "1.2", files={"fast_json/__init__.py": "", "fast_json/x.so": ""})))
        pip = FakePip(os.path.join(native, "new"))
        result = self.resolve(files, [], pip)
        self.assertEqual(pip.texts, ["fast-json==1.2"])
        self.assertIn("python_modules/fast_json/x.so", result.files)
        self.assertFalse([path for path in result.files if "emscripten" in path])
        self.assertEqual(result.requirements[0], {"name": "fast-json", "version": "1.2", "from": "package"})
        # The same version in the image does as well; another does not.
        result = self.resolve(files, ["fast-json"], FakePip(ask=False), [installed("fast-json", "1.2")])
        self.assertFalse([path for path in result.files if "fast_json" in path])
        self.assertEqual(result.requirements[0], {"name": "fast-json", "version": "1.2", "from": "image"})
        self.assertIn("fast-json==1.2 is of the image now", result.told)
        self.fails("fast-json==1.2 in python_modules is for another machine, and a native wheel cannot be had: the image web has "
                   "1.3, and there is no", self.resolve, files, [], FakePip(ask=False), [installed("fast-json", "1.3")])
        self.fails("a wheel of python_modules is for another machine, and there is none for this one: fast-json==1.2: cannot be "
                   "had: the index has 1.3", self.resolve, files, [], FakePip(
                       None, "Could not find a version that satisfies the requirement fast-json==1.2 (from versions: 1.3)"))

    NAME = "sandboxd_probe_x"

    def wheel(self, folder, version):
        content = installed(self.NAME, version)
        path = os.path.join(folder, "%s-%s-py3-none-any.whl" % (self.NAME, version))
        with zipfile.ZipFile(path, "w") as wheel:
            for name, text in content.items():
                wheel.writestr(name, text.replace("../../bin/x,,\n", ""))
        return path

    def test_pip_out_of_a_folder_of_wheels(self):
        top = self.folder({"wheels/none": "", "tmp/none": ""})
        self.wheel(os.path.join(top, "wheels"), "1.0")
        pip = resolve.Pip(os.path.join(top, "tmp"), {"wheels": os.path.join(top, "wheels"), "no_index": True}, "web")
        self.assertEqual(self.fails("sandboxd-probe-x>=2: cannot be had: the index has 1.0", resolve.resolve, top, {}, [
            resolve.Wanted("sandboxd-probe-x>=2", "r.txt", 3)], [], pip).line, 3)

    def test_pip_by_the_machines_index(self):
        """The whole way: pip-build in here, pip-index as the machine runs it, and an index on the loopback."""
        top = self.folder({"simple/sandboxd-probe-x/index.html": "", "tmp/none": "", "home/none": ""})
        files = []
        for version in "1.0", "1.1":
            path = self.wheel(os.path.join(top, "simple/sandboxd-probe-x"), version)
            files.append('<a href="%s">x</a>' % os.path.basename(path))
        with open(os.path.join(top, "simple/sandboxd-probe-x/index.html"), "w") as page:
            page.write("<html><body>%s</body></html>" % "".join(files))

        class Handler(http.server.SimpleHTTPRequestHandler):
            def log_message(self, *words):
                pass

        with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=top)) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            self.addCleanup(server.shutdown)
            env = {"HOME": os.path.join(top, "home"), "PATH": os.environ["PATH"], "PIP_CONFIG_FILE": os.devnull,
                   "PIP_INDEX_URL": "http://127.0.0.1:%d/simple" % server.server_address[1], "no_proxy": "*"}
            index = ["/usr/bin/python3", "-IBS", os.path.join(os.environ.get("SANDBOXD_LIBEXEC") or os.path.join(TOP, "scripts"),
                                                       "pip-index")]
            settings = json.loads(subprocess.check_output(index + ["settings"], env=env))
            program = ("import json, sys; sys.path.insert(0, %r)\nfrom _sandboxd_deploy import resolve\n"
                       "pip = resolve.Pip(%r, json.loads(sys.argv[1]), 'web')\n"
                       "made = resolve.resolve(%r, {}, [resolve.Wanted('sandboxd-probe-x<1.1', 'r', 1)], [], pip)\n"
                       "print(json.dumps([made.requirements, sorted(made.files)]))"
                       % (os.path.join(RUNTIME, "http"), os.path.join(top, "tmp"), top))
            ours, theirs = socket.socketpair()
            with subprocess.Popen(index + ["serve"] + (["--user", "65534"] if os.getuid() == 0 else []), stdin=theirs, env=env) as serving:
                theirs.close()
                with ours:
                    out = subprocess.check_output([sys.executable, "-B", "-c", program, json.dumps(settings)], stdin=ours)
            self.assertEqual(serving.returncode, 0)
            requirements, paths = json.loads(out)
        self.assertEqual(requirements, [{"name": "sandboxd-probe-x", "version": "1.0", "from": "package"}])
        self.assertIn("python_modules/%s.py" % self.NAME, paths)


def resolve_modules(top):
    from _sandboxd_deploy.files import module_files
    return module_files(top, [])


if __name__ == "__main__":
    unittest.main()

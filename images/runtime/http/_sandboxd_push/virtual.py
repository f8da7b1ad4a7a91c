"""~/env: the virtualenv of a service, and pip in it.

It sees the modules of the image, so that a requirement that the image meets is met at once.  pip asks the package index
of the machine that the push came from, by a socket, and nothing else: a build has no network.
"""

import hashlib
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.parse
import urllib.request
import zipfile

from . import PushError

WHEELS = "/usr/share/python-wheels"
PYTHON2 = "/usr/bin/python2.7"
MARK = ".python"        # in the env: for which Python and image it was made
# What says from where pip takes what it installs, which is the machine's affair.
PLACES = re.compile(r"(?:-i|-f|--(?:index-url|extra-index-url|pypi-url|find-links|no-index|trusted-host))(?=[\s=]|\Z)")
TOO_NEW = (
    ("vcs/mercurial.py", 'f"-r={rev}"', '"-r=" + rev'),
    ("utils/unpacking.py", "(tar: tarfile.TarFile, tarinfo: tarfile.TarInfo) -> bool:", "(tar, tarinfo):"),
)
URL = re.compile(r"(?:^|[\s=@])((?:[a-z]+\+)?(?:https?|ssh|git|svn|ftp)://[^\s#]*)")


def pip_build():
    from _sandboxd_deploy import pip_build as module
    return module


class Index:
    """The machine's package index, as pip sees it; also where there is none."""

    def __init__(self, told):
        self.told = told or {}
        self.server = None
        if self.told.get("indexes") or self.told.get("pages"):
            self.server = pip_build().Index({"indexes": self.told.get("indexes") or 0,
                                             "pages": self.told.get("pages") or 0})

    def environment(self, folder):
        env = {str(key): str(value) for key, value in (self.told.get("environment") or {}).items()}
        env.update(PIP_DISABLE_PIP_VERSION_CHECK="1", PIP_NO_INPUT="1", PIP_NO_CACHE_DIR="1", PIP_PROGRESS_BAR="off",
                   PIP_NO_COLOR="1", PIP_ROOT_USER_ACTION="ignore", PIP_CONFIG_FILE=os.devnull, PIP_RETRIES="0",
                   PIP_DEFAULT_TIMEOUT="3600", PIP_NO_PYTHON_VERSION_WARNING="1")
        if self.server and self.server.indexes:
            env["PIP_INDEX_URL"] = self.server.indexes[0]
            env["PIP_EXTRA_INDEX_URL"] = " ".join(self.server.indexes[1:])
        elif not self.told.get("environment", {}).get("PIP_INDEX_URL"):
            env["PIP_NO_INDEX"] = "1"
        if self.told.get("constraints"):
            path = os.path.join(folder, "constraints.txt")
            with open(path, "w", encoding="utf-8") as out:
                out.write(self.told["constraints"])
            env["PIP_CONSTRAINT"] = path
        return env

    def arguments(self):
        result = []
        for page in self.server.pages if self.server else []:
            result += ["--find-links", page]
        return result

    def fetch(self, project, name, digest):
        """The bytes of a project's file; None: no index has it."""
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        for url in self.server.indexes if self.server else []:
            try:
                page = opener.open(url + project + "/").read(4 << 20).decode("utf-8", "replace")
                link = re.search(r'href="([^"#]*/?%s)["#]' % re.escape(name), page)
                data = opener.open(urllib.parse.urljoin(url + project + "/", link.group(1))).read(64 << 20) if link else b""
            except OSError:
                continue
            if hashlib.sha256(data).hexdigest() == digest:
                return data
        return None


class Env:
    """path: ~/env; run: what runs a command for the build, and raises where it fails."""

    def __init__(self, path, python, image, index, temporary, run):
        self.path, self.python, self.image, self.index, self.temporary, self.run = (
            path, python, image, index, temporary, run)
        self.own = {}       # pip's surroundings

    def program(self):
        return os.path.join(self.path, "bin", "python")

    def mark(self):
        version = self.python if self.python == "2.7" else "%d.%d" % sys.version_info[:2]
        return {"python": version, "path": self.path}

    def make(self):
        """True when it was there, from the build before."""
        try:
            with open(os.path.join(self.path, MARK), encoding="utf-8") as there:
                if json.load(there) == self.mark() and os.path.exists(self.program()):
                    return True
        except (OSError, ValueError):
            pass
        shutil.rmtree(self.path, ignore_errors=True)
        if self.python == "2.7":
            self.make_old()
        else:
            import venv
            venv.EnvBuilder(system_site_packages=True, symlinks=True).create(self.path)
            self.add_pip()
        with open(os.path.join(self.path, MARK), "w", encoding="utf-8") as out:
            json.dump(self.mark(), out)
        return False

    def add_pip(self):
        wheels = sorted(name for name in os.listdir(WHEELS) if name.startswith("pip-")) if os.path.isdir(WHEELS) else []
        if not wheels:
            return
        folder = os.path.join(self.path, "lib", "python%d.%d" % sys.version_info[:2], "site-packages")
        with zipfile.ZipFile(os.path.join(WHEELS, wheels[-1])) as wheel:
            wheel.extractall(folder)
        for name in ("pip", "pip3"):
            script = os.path.join(self.path, "bin", name)
            with open(script, "w", encoding="utf-8") as out:
                out.write("#!%s\nimport sys\nfrom pip._internal.cli.main import main\nsys.exit(main())\n" % self.program())
            os.chmod(script, 0o755)

    def make_old(self):
        """By Debian's virtualenv, where it is of the time of Python 2.7; else by the last one that is a single file, which
        brings the last pip and setuptools that run there."""
        if importlib.util.find_spec("virtualenv"):
            self.run("virtualenv", [sys.executable, "-B", "-m", "virtualenv", "--quiet", "--no-download",
                                    "--no-periodic-update", "--app-data", os.path.join(self.temporary, "app-data"),
                                    "--system-site-packages", "--python", PYTHON2, self.path])
            self.mend_pip()
            return
        name, digest = pip_build().VIRTUALENV
        folder = next((each for each in sys.path if os.path.isdir(os.path.join(each, "virtualenv_support"))), None)
        if folder is None:
            data = self.index.fetch("virtualenv", name, digest)
            if data is None:
                raise PushError("there is no virtualenv for Python 2.7: it needs %s, which is neither in the image %s "
                                "nor in this machine's package index" % (name, self.image))
            folder = os.path.join(self.temporary, "virtualenv")
            path = os.path.join(self.temporary, name)
            with open(path, "wb") as out:
                out.write(data)
            with zipfile.ZipFile(path) as wheel:
                wheel.extractall(folder)
        self.run("virtualenv", [PYTHON2, os.path.join(folder, "virtualenv.py"), "--quiet", "--no-download",
                                "--system-site-packages", self.path])

    def mend_pip(self):
        """Later corrections of Debian 11's pip are written in a way that its Python 2.7 does not read."""
        folder = os.path.join(self.path, "lib", "python2.7", "site-packages", "pip", "_internal")
        for name, new, old in TOO_NEW:
            try:
                with open(os.path.join(folder, name), encoding="utf-8") as there:
                    text = there.read()
            except OSError:
                continue
            with open(os.path.join(folder, name), "w", encoding="utf-8") as out:
                out.write(text.replace(new, old))

    # pip

    def pip(self, step, arguments):
        self.own = self.own or self.index.environment(self.temporary)
        if not os.path.exists(os.path.join(self.path, "bin", "pip")):
            raise PushError("the image %s has no pip: add python3-pip-whl to its packages" % self.image)
        self.run(step, [self.program(), "-m", "pip", "install"] + self.index.arguments() + arguments, self.own)

    def has_index(self):
        return bool(self.index.server) or not self.own.get("PIP_NO_INDEX")


def pillow(text):
    """PIL's own name has no files in any index: what goes on in its place has all of it."""
    return re.sub(r"^(\s*)(?:PIL|Imaging)(\s*(?:[<>=!~]=?.*)?)$", r"\1Pillow", text, flags=re.I)


def judged(name, text, has_network, warnings):
    """The text of a file of requirements as pip is to read it.  The lines keep their numbers."""
    result = []
    for number, line in enumerate(text.split("\n"), 1):
        bare = re.sub(r"(?:\A|\s)#.*", "", line.rstrip("\r"))
        url = URL.search(bare)
        if PLACES.match(bare.strip()):
            warnings.append("%s:%d: %s has no effect: pip asks this machine's index" % (name, number,
                                                                                       bare.split()[0].split("=")[0]))
            line = ""
        elif url and not has_network:
            raise PushError("%s:%d: %s cannot be fetched: a build reaches this machine's package index and nothing else: "
                            "name a version that the index has, or put the archive into the folder and name its path"
                            % (name, number, re.sub(r"//[^/@]*@", "//", url.group(1))[:200]))
        elif pillow(bare) != bare:
            warnings.append("%s:%d: %s is installed as Pillow, which has taken its place" % (name, number, bare.strip()))
            line = pillow(bare)
        result.append(line)
    return "\n".join(result)

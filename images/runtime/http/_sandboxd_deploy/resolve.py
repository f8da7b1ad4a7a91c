"""A worker's dependencies: what the image has is used where it fits, what python_modules has is kept, and the
rest is installed by pip out of the index that the machine asks (pip_build).

A wheel for WebAssembly in python_modules, as an unmodified pywrangler puts it there, gives way to the native
wheel of the same name and version."""

import csv
import io
import json
import os
import pathlib
import platform
import re
import stat
import subprocess
import sys
import tarfile
from importlib import metadata

from . import DeployError
from .read import decode, read_file, read_toml, show
from .versions import Requirement, canonical, environment, tag_fits

WANTED_MAX = 500
INCLUDES_MAX = 20
DISTRIBUTIONS_MAX = 2000
SAID_MAX = 1 << 20
FOUND_MAX = 12          # versions that a message names
# Without these a worker has the runtime's own.
OURS = frozenset(("workers-runtime-sdk", "workers-py"))
HERE = os.path.dirname(os.path.abspath(__file__))


class Wanted:
    """A requirement, and where it stands."""

    def __init__(self, text, file, line):
        self.text, self.file, self.line = text, file, line
        try:
            self.requirement = Requirement(text)
        except DeployError as error:
            raise DeployError(error.message, file, line) from None

    def error(self, message):
        return DeployError("%s: %s" % (show(self.text), message), self.file, self.line)


# What is wanted


def wanted_of(top, root, config):
    """([Wanted], constraints, warnings) of pyproject.toml and requirements.txt, in the project's folder or
    beside main, and of the binding requirements."""
    result, constraints, warnings = [], [], []
    for folder in dict.fromkeys(("", root)):
        name = folder + "pyproject.toml"
        if os.path.lexists(os.path.join(top, name)):
            result += project_dependencies(name, read_file(top, name))
        name = folder + "requirements.txt"
        if os.path.lexists(os.path.join(top, name)):
            read_requirements(top, name, result, constraints, warnings, [0])
    for text in config.requirements():
        result.append(Wanted(text, config.doc.name, config.doc.line(("vars", "requirements"))
                             if hasattr(config.doc, "line") else None))
    if len(result) > WANTED_MAX:
        raise DeployError("there are more than %d requirements" % WANTED_MAX, result[WANTED_MAX].file)
    return result, constraints, warnings


def project_dependencies(name, data):
    doc = read_toml(name, decode(name, data))
    project = doc.data.get("project")
    found = project.get("dependencies", []) if isinstance(project, dict) else []
    path = ("project", "dependencies")
    if not isinstance(found, list) or any(not isinstance(item, str) for item in found):
        raise doc.error(path, "must be a list of strings, as in [\"fastapi\"]")
    lines, at = decode(name, data).split("\n"), doc.line(path) or 1
    result = []
    for text in found:
        # tomllib tells no lines inside of a list: the next one that has the text is meant.
        line = next((n for n in range(at, len(lines) + 1) if text in lines[n - 1]), doc.line(path))
        result.append(Wanted(text, name, line))
    return result


# Options of pip's that say from where, and are this machine's affair.
IGNORED = re.compile(r"(?:-i|-f|--(?:index-url|extra-index-url|find-links|no-index|trusted-host|pre|prefer-binary"
                     r"|only-binary|no-binary|require-hashes|use-feature))(?=[\s=]|\Z)")


def read_requirements(top, name, result, constraints, warnings, count, constrain=False):
    """Adds a requirements file's lines; count: files so far."""
    count[0] += 1
    if count[0] > INCLUDES_MAX:
        raise DeployError("there are more than %d files of requirements" % INCLUDES_MAX, name)
    number, lines = 0, decode(name, read_file(top, name)).split("\n")
    while number < len(lines):
        number += 1
        first, text = number, lines[number - 1].rstrip("\r")
        while text.endswith("\\") and number < len(lines):
            text = text[:-1] + lines[number].rstrip("\r")
            number += 1
        text = re.sub(r"(?:\A|\s)#.*", "", text).strip()
        if not text:
            continue
        found = re.match(r"(-r|--requirement|-c|--constraint)(?:\s+|=)?(\S+)\Z", text)
        if found:
            inner = os.path.normpath(os.path.join(os.path.dirname(name), found.group(2)))
            try:
                read_requirements(top, inner, result, constraints, warnings, count,
                                  constrain or found.group(1) in ("-c", "--constraint"))
            except DeployError as error:
                raise error if error.file != inner or error.line else \
                    DeployError("%s: %s" % (show(text), error.message), name, first) from None
            continue
        if text.startswith("-"):
            if not IGNORED.match(text):
                raise DeployError("%s: this option of pip's has no meaning here: name projects and versions"
                                  % show(text.split()[0]), name, first)
            warnings.append("%s:%d: %s has no effect: the index of this machine is asked" % (name, first,
                                                                                          show(text.split()[0])))
            continue
        text = re.sub(r"\s--(?:hash|config-settings|global-option)[=\s]\S+", "", text).strip()
        if re.match(r"[./~]|[A-Za-z][A-Za-z0-9+.-]*://|file:", text) or text.endswith((".whl", ".tar.gz", ".zip")) and \
                "@" not in text:
            raise DeployError("%s: a path or a URL is not installed: name the project and its version, or put the "
                              "package's folder beside the worker's main" % show(text), name, first)
        wanted = Wanted(text, name, first)
        if constrain:
            constraints.append(wanted.text)
        else:
            result.append(wanted)


# What there is


class Distribution:
    """An installed project: its version, and what it needs, which is read when it is asked for."""

    def __init__(self, name, version, origin, path):
        self.name, self.version, self.origin, self.path = name, version, origin, path

    def needs(self):
        try:
            texts = metadata.PathDistribution(pathlib.Path(self.path)).requires or []
        except Exception:       # metadata that is broken says nothing
            texts = []
        for text in texts:
            try:
                yield Requirement(text)
            except DeployError:
                # Somebody else's old metadata: pip would judge it, and nothing here depends on it.
                continue


def distributions(path, origin):
    """{canonical name: Distribution} of these folders; the first of a name is the one that is imported. Names and
    versions stand in the names of what pip and Debian leave, so that an image's hundred files are not read."""
    result = {}
    for folder in path:
        for entry in sorted(os.listdir(folder)) if os.path.isdir(folder) else []:
            if not entry.endswith((".dist-info", ".egg-info")) or len(result) >= DISTRIBUTIONS_MAX:
                continue
            name, _, version = entry[:entry.rindex(".")].partition("-")
            version = re.sub(r"-py[0-9.]+.*", "", version)
            where = os.path.join(folder, entry)
            if not version:
                try:
                    version = metadata.PathDistribution(pathlib.Path(where)).version
                except Exception:
                    continue
            if name and version and len(name) <= 100:
                result.setdefault(canonical(name), Distribution(name, version, origin, where))
    return result


def look(wanted, there, env=None):
    """({canonical name: Distribution} of what is used, [(Wanted, Requirement, who needs it)] of what is missing)
    of the requirements and of all that they need in turn."""
    env = env or environment()
    used, missing, seen = {}, [], set()
    queue = [(item, item.requirement, None) for item in wanted if item.requirement.holds(env)]
    while queue:
        item, requirement, who = queue.pop(0)
        have = there.get(requirement.key)
        if have is None or not requirement.specifier.fits(have.version):
            missing.append((item, requirement, who))
            continue
        used[requirement.key] = have
        mark = (requirement.key, tuple(sorted(map(canonical, requirement.extras))))
        if mark in seen or len(seen) > DISTRIBUTIONS_MAX:
            continue
        seen.add(mark)
        queue += [(item, inner, have.name) for inner in have.needs() if inner.holds(env, [""] + requirement.extras)]
    return used, missing


# Wheels for another machine


def wheel_folders(top):
    """[(name, version, tags, its dist-info)] of what is installed below a folder."""
    result = []
    for folder in sorted(os.listdir(top)) if os.path.isdir(top) else []:
        if not folder.endswith(".dist-info") or len(result) >= DISTRIBUTIONS_MAX:
            continue
        name, _, version = folder[:-10].partition("-")
        tags = []
        try:
            for line in decode(folder, read_file(top, folder + "/WHEEL")).splitlines():
                if line.lower().startswith("tag:"):
                    tags.append(line[4:].strip().lower())
        except DeployError:
            continue
        result.append((name, version, tags, folder))
    return result


def record_of(top, folder):
    """The paths that a dist-info's RECORD lists, but for those that lead out of the folder."""
    try:
        rows = list(csv.reader(io.StringIO(decode(folder, read_file(top, folder + "/RECORD", 8 << 20)))))
    except (DeployError, csv.Error):
        return [folder]
    paths = [row[0] for row in rows if row]
    return [path for path in paths if path and not path.startswith("/") and ".." not in path.split("/")]


def foreign(top, python=None, machine=None):
    """[(name, version, dist-info)] of what has only wheels' tags that do not fit here."""
    python, machine = python or sys.version_info[:2], machine or platform.machine()
    return [(name, version, folder) for name, version, tags, folder in wheel_folders(top)
            if tags and not any(tag_fits(tag, python, machine) for tag in tags)]


# pip


class Pip:
    """Installs by pip_build, which asks the index over this process's stdin."""

    def __init__(self, folder, index, image):
        self.folder, self.index, self.image = folder, index or {}, image

    def can_ask(self):
        return bool(self.index.get("indexes") or self.index.get("pages") or self.wheels())

    def wheels(self):
        there = self.index.get("wheels")
        return there if there and os.path.isdir(there) else None

    def install(self, texts, constraints):
        """(folder with what was installed, what pip said). A failure is a folder of None."""
        work = os.path.join(self.folder, "pip-%d" % len(os.listdir(self.folder)))
        os.mkdir(work)
        settings = {"mode": "worker", "image": self.image, "built_in": self.image, "requirements": texts, "files": [],
                    "environment": dict(self.index.get("environment") or {}),
                    "no_index": bool(self.index.get("no_index")),
                    "indexes": self.index.get("indexes") or 0, "pages": self.index.get("pages") or 0,
                    "constraints": "\n".join(filter(None, [self.index.get("constraints")] + constraints)) or None,
                    "command": None}
        with open(os.path.join(work, "settings.json"), "w", encoding="utf-8") as out:
            json.dump(settings, out)
        if self.wheels():
            os.symlink(self.wheels(), os.path.join(work, "wheels"))
        for name in ("pip.whl", "ca.crt"):
            if self.index.get(name):
                os.symlink(self.index[name], os.path.join(work, name))
        program = os.path.join(work, "pip-build")
        with open(find_pip_build(), "rb") as source, open(program, "wb") as out:
            out.write(source.read())
        env = dict(os.environ, TASK_ID="0" * 24)
        with open(os.path.join(work, "result"), "wb") as result, open(os.path.join(work, "said"), "wb") as said:
            status = subprocess.call([sys.executable, "-B", program], cwd=work, env=env, stdout=result, stderr=said)
        with open(os.path.join(work, "said"), "rb") as said:
            text = said.read(SAID_MAX).decode("utf-8", "replace")
        if status:
            return None, text
        return self.unpack(work), text

    @staticmethod
    def unpack(work):
        """The result has its own line in front; regular files and folders of it are taken."""
        to = os.path.join(work, "installed")
        os.mkdir(to)
        with open(os.path.join(work, "result"), "rb") as result:
            result.readline(64)
            with tarfile.open(fileobj=result, mode="r|gz") as tar:
                for info in tar:
                    parts = info.name.split("/")
                    if parts[0] != "__pips__" or len(parts) < 2 or ".." in parts or not info.isreg() or \
                            "__pycache__" in parts:
                        continue
                    path = os.path.join(to, *parts[1:])
                    os.makedirs(os.path.dirname(path), exist_ok=True)
                    with tar.extractfile(info) as content, open(path, "wb") as out:
                        while True:
                            piece = content.read(1 << 20)
                            if not piece:
                                break
                            out.write(piece)
                    os.chmod(path, 0o755 if info.mode & 0o100 else 0o644)
        return to


def find_pip_build():
    for path in (os.path.join(HERE, "pip_build.py"), os.path.join(HERE, "../../../../scripts/pip-build")):
        if os.path.exists(path):
            return path
    raise DeployError("the runtime of this image has no pip_build.py: build the image anew")


def what_failed(said, wanted, there, image):
    """A DeployError out of what pip said: what cannot be had, and what was found."""
    own = [line[11:] for line in said.splitlines() if line.startswith("pip-build: ")]
    found = re.search(r"Could not find a version that satisfies the requirement (\S[^\n]*?) "
                      r"\(from versions: ([^)\n]*)\)", said)
    if not found:
        found = re.search(r"No matching distribution found for (\S[^\n]*)()", said)
    if found:
        text = re.sub(r"\s*\(from [^)]*\)", "", found.group(1)).strip()
        key = canonical(re.match(r"[\w.-]*", text).group())
        versions = [part.strip() for part in found.group(2).split(",") if part.strip() and part.strip() != "none"]
        have = there.get(key)
        told = []
        if have:
            told.append(has(have, image))
        more = "... " if len(versions) > FOUND_MAX else ""
        told.append("the index has %s" % (more + ", ".join(versions[-FOUND_MAX:]) if versions else
                                          "nothing of this name for this Python"))
        who = next((item for item in wanted if item.requirement.key == key), None)
        by = re.search(r"requirement %s \(from ([^)]*)\)" % re.escape(text), said)
        message = "cannot be had%s: %s" % ("" if who or not by else ", which %s needs" % show(by.group(1)),
                                           "; ".join(told))
        message += "".join(" (%s)" % show(line, 200) for line in own if "package index" in line)
        return DeployError("%s: %s" % (show(text), message), who and who.file, who and who.line)
    errors = [line[7:] for line in said.splitlines() if line.startswith("ERROR: ")]
    reason = own[-1] if own else errors[0] if errors else (said.strip().splitlines() or ["pip says nothing"])[-1]
    first = wanted[0] if wanted else None
    key = next((item for item in wanted if re.search(r"(?<![\w.-])%s(?![\w-])" % re.escape(item.requirement.name),
                                                     reason)), first)
    return DeployError("the dependencies cannot be installed: %s" % show(reason, 400), key and key.file,
                       key and key.line)


def has(have, image):
    return "%s has %s" % ("the image " + image if have.origin == "image" else "python_modules", have.version)


# All together


class Resolved:
    def __init__(self):
        self.files = {}             # {path in the package: path here} of python_modules
        self.requirements = []      # of the manifest
        self.warnings = []
        self.told = []


def resolve(top, modules, wanted, constraints, pip, image_path=None, env=None):
    """modules: {path in the package: path in the project} of python_modules as it was sent."""
    result = Resolved()
    env = env or environment()
    folder = os.path.join(top, "python_modules")
    own = distributions([folder], "package") if modules else {}
    image = distributions(image_path if image_path is not None else
                          [path for path in sys.path if os.path.isdir(path) and not inside(path, top)], "image")
    result.files = {path: os.path.join(top, source) for path, source in modules.items()}
    replaced = {}
    for name, version, info in foreign(folder) if modules else []:
        for path in record_of(folder, info):
            result.files.pop("python_modules/" + path, None)
        for path in [path for path in result.files if path.startswith("python_modules/%s/" % info)]:
            del result.files[path]
        own.pop(canonical(name), None)
        replaced[canonical(name)] = Wanted("%s==%s" % (name.replace("_", "-"), version),
                                           "python_modules/%s/WHEEL" % info, None)
    there = dict(image)
    there.update(own)
    wanted = [item for item in wanted if item.requirement.key not in replaced] + list(replaced.values())
    used, missing = look(wanted, there, env)
    ours = [item for item, requirement, _ in missing if requirement.key in OURS]
    if missing and not pip.can_ask():
        missing = [entry for entry in missing if entry[1].key not in OURS]
        if missing:
            raise no_index(missing[0], there, replaced, pip.image)
    if missing:
        pins = ["%s==%s" % (item.name, item.version) for item in own.values()]
        texts = texts_for_pip(wanted, missing, own, env)
        installed, said = pip.install(texts, constraints + pins)
        if installed is None:
            error = what_failed(said, wanted, there, pip.image)
            if error.file is None and replaced or error.file and error.file.startswith("python_modules/"):
                error = DeployError("a wheel of python_modules is for another machine, and there is none for this "
                                    "one: %s" % error.message, error.file)
            raise error
        result.warnings += ["pip: %s" % line[11:] for line in said.splitlines() if line.startswith("pip-build: ")][:20]
        new = distributions([installed], "package")
        add_installed(result, installed, own)
        there.update((key, item) for key, item in new.items() if key not in own)
        used, missing = look(wanted, there, env)
        if missing:
            raise missing[0][0].error("is missing after pip has installed it: %s was found" % (
                there[missing[0][1].key].version if missing[0][1].key in there else "nothing"))
        if new:
            result.told.append("installed %s" % ", ".join("%s %s" % (new[key].name, new[key].version)
                                                         for key in sorted(new) if key not in own))
    elif ours:
        result.warnings.append("%s is not there: the worker gets the runtime's own workers module" % ours[0].text)
    for key, item in replaced.items():
        result.told.append("%s is of %s now" % (item.text, "the image" if used[key].origin == "image" else
                                                "a native wheel"))
    used = dict(own, **used)
    for key in sorted(used):
        if re.fullmatch(r"[a-z0-9][a-z0-9._-]{0,99}", key) and \
                re.fullmatch(r"[A-Za-z0-9._+!-]{1,100}", used[key].version):
            result.requirements.append({"name": key, "version": used[key].version, "from": used[key].origin})
    return result


def texts_for_pip(wanted, missing, own, env):
    """What pip is asked for: all but what python_modules satisfies, and of that what it needs and misses."""
    kept = [item for item in wanted if item.requirement.key in own
            and item.requirement.specifier.fits(own[item.requirement.key].version)]
    texts = [item.text for item in wanted if item not in kept and item.requirement.holds(env)]
    for item, requirement, _ in missing:
        if item in kept:
            extras = "[%s]" % ",".join(requirement.extras) if requirement.extras else ""
            texts.append(requirement.name + extras + requirement.specifier.text)
    return list(dict.fromkeys(texts))


def inside(path, top):
    return (os.path.realpath(path) + "/").startswith(os.path.realpath(top) + "/")


NO_INDEX = "there is no package index here to ask: 'sandboxctl deploy index' gives deploys over HTTP that of the node"


def no_index(entry, there, replaced, image):
    item, requirement, who = entry
    have = there.get(requirement.key)
    found = "the image %s has none" % image if have is None else has(have, image)
    what = "%s%s" % (requirement.text, ", which %s needs," % who if who else "")
    if requirement.key in replaced:
        return DeployError("%s in python_modules is for another machine, and a native wheel cannot be had: %s, and %s"
                           % (what, found, NO_INDEX), item.file)
    return DeployError("%s cannot be had: %s, and %s" % (show(what, 200), found, NO_INDEX), item.file, item.line)


def add_installed(result, installed, own):
    """Takes the files of what pip installed; what python_modules had before stays as it was."""
    skip = set()
    for name, _, _, folder in wheel_folders(installed):
        if canonical(name) in own:
            skip.update(record_of(installed, folder))
    for folder, folders, names in os.walk(installed):
        folders.sort()
        for name in sorted(names):
            path = os.path.relpath(os.path.join(folder, name), installed)
            if path in skip or name.endswith(".pyc") or path == "requirements.lock":
                continue
            if stat.S_ISREG(os.lstat(os.path.join(folder, name)).st_mode):
                result.files.setdefault("python_modules/" + path, os.path.join(folder, name))

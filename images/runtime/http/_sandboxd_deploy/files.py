"""Which files of a project's folder belong to its worker."""

import os
import re
import stat

from . import DeployError
from .read import show

FILES_MAX = 50000
DEPTH_MAX = 64
GLOB_MAX = 255
STARS_MAX = 16

# As wrangler has them; a rule of the user's for the same type takes a default's place, unless it falls through.
DEFAULT_RULES = (("PythonModule", ("**/*.py",)), ("Text", ("**/*.txt", "**/*.html", "**/*.sql")),
                 ("Data", ("**/*.bin",)), ("CompiledWasm", ("**/*.wasm",)))
VENDOR_UNTIL = "2025-08-11"
NEVER = frozenset(("node_modules", "__pycache__", "python_modules"))
# Beside a main in the project's root stands what nobody misses in the package.
UNMISSED = re.compile(r"(?i)(wrangler\.(toml|jsonc?)|.*\.capnp|pyproject\.toml|uv\.lock|pylock\.toml|poetry\.lock"
                      r"|package(-lock)?\.json|tsconfig\.json|pnpm-lock\.yaml|.*\.(md|rst|d\.ts|pyc|pyi)|license.*"
                      r"|makefile|dockerfile)\Z")


class Glob:
    """A pattern of paths: * and ? within a part, ** for any number of parts, {a,b} for either."""

    def __init__(self, pattern):
        if len(pattern) > GLOB_MAX or pattern.count("*") > STARS_MAX or "\0" in pattern:
            raise DeployError("%s: a glob has at most %d characters, and %d '*'"
                              % (show(repr(pattern)), GLOB_MAX, STARS_MAX))
        self.forms = [form.lstrip("/").split("/") for form in self.alternatives(re.sub(r"\A\./", "", pattern))]

    @staticmethod
    def alternatives(pattern):
        """Without braces; they do not nest, and make at most 64 patterns."""
        forms = [""]
        for part in re.split(r"(\{[^{}]*\})", pattern):
            choices = part[1:-1].split(",") if part.startswith("{") and part.endswith("}") else [part]
            forms = [form + choice for form in forms for choice in choices]
            if len(forms) > 64:
                raise DeployError("%s: the braces mean more than 64 patterns" % show(repr(pattern)))
        return forms

    def match(self, path):
        parts = path.split("/")
        return any(many_match(form, parts) for form in self.forms)


def sequence_match(pattern, items, is_star, fits):
    """Match with stars for any number of items, in time of their product: one set of places at a time."""
    places = {0}
    for piece in pattern:
        if is_star(piece):
            places = set(range(min(places), len(items) + 1)) if places else places
        else:
            places = {at + 1 for at in places if at < len(items) and fits(piece, items[at])}
    return len(items) in places


def many_match(form, parts):
    return sequence_match(form, parts, lambda part: part == "**", part_match)


def part_match(pattern, part):
    return sequence_match(pattern, part, lambda c: c == "*", lambda c, there: c in ("?", there))


class Rules:
    """Whether a file belongs to the worker."""

    def __init__(self, rules):
        self.globs, closed = [], set()
        for kind, globs, fallthrough in rules:
            if kind not in closed:
                self.globs += [Glob(glob) for glob in globs]
            if not fallthrough:
                closed.add(kind)
        # What is Python goes along in any case.
        self.globs += [Glob(glob) for kind, globs in DEFAULT_RULES if kind not in closed or kind == "PythonModule"
                       for glob in globs]

    def match(self, path):
        return any(glob.match(path) for glob in self.globs)


def walk(top, skip=(), hidden=False):
    """Each regular file below top by its path there, in order: (path, is a link). No link is followed;
    skip: folders that are left out, by their paths."""
    stack, count = [""], 0
    while stack:
        folder = stack.pop()
        here, below = [], []
        with os.scandir(os.path.join(top, folder) if folder else top) as entries:
            for entry in entries:
                count += 1
                if count > FILES_MAX:
                    raise DeployError("the folder has more than %d files" % FILES_MAX)
                path = folder + "/" + entry.name if folder else entry.name
                try:
                    path.encode("utf-8")
                except UnicodeEncodeError:
                    raise DeployError("the name of a file is not UTF-8: %s" % show(ascii(path))) from None
                if entry.is_symlink():
                    here.append((path, True))
                elif entry.is_dir(follow_symlinks=False):
                    if path.count("/") >= DEPTH_MAX:
                        raise DeployError("%s: folders are nested deeper than %d levels" % (show(path), DEPTH_MAX))
                    if path not in skip and (hidden or not entry.name.startswith(".") and entry.name not in NEVER) and \
                            not os.path.lexists(os.path.join(top, path, "pyvenv.cfg")):
                        below.append(path)
                elif entry.is_file(follow_symlinks=False) and (hidden or not entry.name.startswith(".")):
                    here.append((path, False))
        yield from sorted(here)
        stack += sorted(below, reverse=True)


def project_files(top, config):
    """({path in the package: path in the project}, warnings) of a folder's own files; main decides which
    folder is the package's root."""
    root = config.main.rsplit("/", 1)[0] + "/" if "/" in config.main else ""
    rules, warnings, left, links = Rules(config.rules), [], [], []
    result = {}
    skip = set([config.assets["directory"][len(root):]] if config.assets and config.assets["directory"].startswith(root)
               else ())
    # Where packages were before there was python_modules.
    vendor = config.date < VENDOR_UNTIL
    for path, is_link in walk(os.path.join(top, root) if root else top, skip):
        if rules.match(path) or vendor and path.startswith("vendor/") and not path.endswith(".pyc"):
            if is_link:
                links.append(root + path)
            else:
                result[path] = root + path
        elif not is_link and not UNMISSED.match(path.rsplit("/", 1)[-1]):
            left.append(root + path)
    if links:
        warnings.append("%s: links are not followed: what is to go along has to be a file%s" % (
            show(links[0]), " (and %d more)" % (len(links) - 1) if len(links) > 1 else ""))
    if left:
        more = " and %d more" % (len(left) - 3) if len(left) > 3 else ""
        warnings.append("left out, because no rule names them: %s%s; a rule such as { type = \"Data\", globs = "
                        "[\"%s\"] } in rules takes them along" % (", ".join(map(show, left[:3])), more,
                                                         glob_for(left[0][len(root):])))
    return result, warnings


def glob_for(path):
    name = path.rsplit("/", 1)[-1]
    return "**/*." + name.rsplit(".", 1)[1] if "." in name.strip(".") else "**/" + name


def module_files(top, exclude):
    """{path in the package: path in the project} of python_modules/, without bytecode and what is excluded."""
    folder = os.path.join(top, "python_modules")
    if not os.path.isdir(folder) or os.path.islink(folder):
        return {}
    globs = [Glob(glob) for glob in exclude]
    result = {}
    for path, is_link in walk(folder, hidden=True):
        if not is_link and not path.endswith(".pyc") and not any(glob.match(path) for glob in globs):
            result["python_modules/" + path] = "python_modules/" + path
    return result


def vendored(own, modules, date):
    """Where packages were before there was python_modules, vendor/ beside main, is in the package as python_modules:
    there they can be imported. Moves them from own to modules: {path in the package: path in the project}."""
    if date < VENDOR_UNTIL:
        for path in [path for path in own if path.startswith("vendor/")]:
            modules.setdefault("python_modules/" + path[len("vendor/"):], own.pop(path))


ASSET_MAX = 25 << 20        # bytes of one, as there


def asset_files(top, directory):
    """({path below the assets' folder: path in the project}, warnings). What begins with a dot is left out: it is
    seldom meant for the world."""
    folder = os.path.join(top, directory)
    try:
        info = os.lstat(folder)
    except OSError:
        info = None
    if info is None or not stat.S_ISDIR(info.st_mode):
        raise DeployError("assets.directory: %s: there is no such folder" % show(repr(directory)))
    result, hidden, links = {}, [], []
    ignored = [Glob("_headers"), Glob("_redirects"), Glob(".assetsignore")]
    ignore = os.path.join(folder, ".assetsignore")
    if os.path.isfile(ignore) and not os.path.islink(ignore):
        with open(ignore, encoding="utf-8", errors="replace") as lines:
            for line in lines.read(1 << 16).splitlines()[:1000]:
                line = line.strip()
                if line and not line.startswith("#"):
                    line = line.rstrip("/")
                    ignored += [Glob(line if "/" in line else "**/" + line),
                                Glob((line if "/" in line else "**/" + line) + "/**")]
    for path, is_link in walk(folder, hidden=True):
        if any(glob.match(path) for glob in ignored):
            continue
        if any(part.startswith(".") and part != ".well-known" for part in path.split("/")):
            hidden.append(path)
        elif is_link:
            links.append(path)
        elif os.lstat(os.path.join(folder, path)).st_size > ASSET_MAX:
            raise DeployError("assets: %s has more than %d bytes, which one file of assets may have"
                              % (show(path), ASSET_MAX))
        else:
            result[path] = directory + "/" + path
    warnings = []
    for paths, why in (hidden, "begins with a dot, and only .well-known may"), (links, "is a link"):
        if paths:
            warnings.append("assets: %s%s is not served: it %s" % (
                show(paths[0]), " (and %d more)" % (len(paths) - 1) if len(paths) > 1 else "", why))
    return result, warnings

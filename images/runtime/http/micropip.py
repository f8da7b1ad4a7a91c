"""micropip, for workers that install packages when they run.

What can be imported is there already, and nothing is done.  Anything else is fetched into the instance's own memory
(its /tmp) where the policy lets it reach an index; the next instance has to fetch it again, so a requirements.txt
is the better place.
"""

import asyncio
import importlib
import importlib.metadata
import importlib.util
import re
import sys

FOLDER = "/tmp/micropip"
NAME = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")

__all__ = ["freeze", "install", "list", "uninstall"]


def is_there(requirement):
    """Whether a requirement is met by what can be imported."""
    found = NAME.match(requirement)
    if found is None or "://" in requirement or requirement.endswith(".whl"):
        return False
    name = found.group(1)
    try:
        version = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return requirement.strip() == name and importlib.util.find_spec(name.replace("-", "_")) is not None
    rest = requirement[found.end():].partition(";")[0].strip()
    rest = re.sub(r"^\[[^]]*\]", "", rest).strip()
    if not rest:
        return True
    try:
        from packaging.specifiers import SpecifierSet
    except ImportError:
        return rest == "==" + version
    return SpecifierSet(rest).contains(version, prereleases=True)


async def install(requirements, keep_going=False, deps=True, credentials=None, pre=False, index_urls=None, *,
                  constraints=None, reinstall=False, verbose=None):
    """Make packages importable."""
    if isinstance(requirements, str):
        requirements = [requirements]
    missing = [each for each in requirements if not is_there(each)]
    if not missing:
        return
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input",
               "--retries", "1", "--only-binary", ":all:", "--target", FOLDER]
    if not deps:
        command.append("--no-deps")
    if pre:
        command.append("--pre")
    for url in [index_urls] if isinstance(index_urls, str) else index_urls or ():
        command += ["--index-url", url]
    try:
        process = await asyncio.create_subprocess_exec(*command, *missing, stdin=asyncio.subprocess.DEVNULL,
                                                       stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT)
        out, _ = await process.communicate()
        failed = process.returncode != 0
        text = out.decode("utf-8", "replace").strip()
    except OSError as error:
        failed, text = True, str(error)
    if failed:
        lines = [line for line in text.splitlines() if line.strip()]
        raise ValueError("micropip cannot install %s here: name it in requirements.txt, so that it is there when the "
                         "worker starts%s" % (", ".join(missing), " (%s)" % lines[-1] if lines else ""))
    if FOLDER not in sys.path:
        sys.path.append(FOLDER)
    importlib.invalidate_caches()


def uninstall(packages, *, verbose=None):
    """Nothing: an instance keeps what it has until it ends."""


def list():
    """The distributions that can be imported, by name."""
    return {each.metadata["Name"]: each for each in importlib.metadata.distributions()}


def freeze():
    """The same as JSON text."""
    import json
    return json.dumps({"packages": {name: {"name": name, "version": each.version} for name, each in list().items()}})

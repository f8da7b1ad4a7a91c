"""From what dotcloud.yml says to what each service's build has to do, and in which image."""

import re

from . import PushError
from .read import DATA, ELSEWHERE, FILE, TYPES

OLD = "2.7"
OLD_IMAGE = "web27"
WARNINGS_MAX = 40


def version(text):
    """(3, 11) of "v3.11", "3.11.2" and "3"; None where it is no version."""
    found = re.match(r"v?([0-9])(?:\.([0-9]{1,2})(?:\.[0-9]+)?)?\Z", text)
    return None if not found else (int(found.group(1)), None if found.group(2) is None else int(found.group(2)))


def pythons(images):
    """[((major, minor), image)] of those that are there, the oldest first: of an image's name web27 its 2.7 counts."""
    result = []
    for name, python in images:
        parts = (2, 7) if name == OLD_IMAGE else tuple(int(part) for part in python.split(".")[:2])
        if all(parts != other for other, _ in result):
            result.append((parts, name))
    return sorted(result)


def listed(there):
    return ", ".join("v%d.%d (image %s)" % (python + (name,)) for python, name in there) or "none"


def choose(service, there, images, asked, image):
    """(image, (major, minor), whether it was asked for)."""
    text = asked or service["config"].get("python_version")
    if image:
        if image not in dict(images):
            raise PushError("--image %s: there is no such image, or the project may not have it; there are %s"
                            % (image, ", ".join(name for name, _ in images) or "none"))
        there = [pair for pair in pythons([pair for pair in images if pair[0] == image])]
    if not there:
        raise PushError("there is no image for services: build service or web27 (sandboxctl image build)")
    if text is None:
        old = [pair for pair in there if pair[0] == (2, 7)]
        python, name = old[0] if old else there[-1]
        return name, python, False
    wanted = version(text)
    fits = [] if wanted is None else [pair for pair in there if pair[0][0] == wanted[0] and
                                      wanted[1] in (None, pair[0][1])]
    if not fits:
        raise PushError("%s: python_version: %s is not here; there are %s: set it in the file's config, or use --python"
                        % (service["name"], text, listed(there)))
    python, name = fits[-1]
    return name, python, True


def ports_of(service):
    ports = [{"name": name, "kind": kind} for name, kind in service["ports"]]
    if service["type"] in ("python", "static") and not any(port["name"] == "http" for port in ports):
        ports.insert(0, {"name": "http", "kind": "http"})
    return ports


def manifest_of(service, app, image, python):
    """Without what only the build can know."""
    made = {"format": 1, "app": app, "name": service["name"], "type": service["type"], "approot": service["approot"],
            "processes": [{"name": name, "command": command} for name, command in service["processes"]],
            "environment": service["environment"],
            "config": {key: value for key, value in service["config"].items() if key != "python_version"},
            "ports": ports_of(service), "python": "%d.%d" % python, "sandbox": {"image": image}}
    if service.get("instances"):
        made["instances"] = service["instances"]
    return made


def check(service):
    """What cannot be, before anything is built."""
    name = service["name"]
    if service["systempackages"]:
        raise PushError("%s: systempackages: a push installs no packages of the system: an operator adds %s to the "
                        "packages of an image (image.json, sandboxctl image build), and --image names it"
                        % (name, ", ".join(service["systempackages"][:8])), service["line"])
    if service["type"] in ("custom", "python-worker") and not service["processes"]:
        raise PushError("%s: has neither process nor processes: a service of the type %s does nothing else"
                        % (name, service["type"]), service["line"])


def plan(services, app, images, asked=None, image=None, attached=(), policy=None):
    """{"services", "warnings", "others"} for the front, and lines to tell."""
    there = pythons([pair for pair in images])
    result, warnings, others, told = [], [], [], []
    for service in services:
        name, kind = service["name"], service["type"]
        if kind in DATA:
            others.append(name)
            if "DOTCLOUD_%s_%s_URL" % (name.upper(), DATA[kind].upper()) in attached:
                continue
            warnings.append("%s: %s is not run here, and the app finds no DOTCLOUD_%s_* variables: sandboxctl service "
                            "attach %s %s --url URL gives it those of one that is there" % (
                                name, kind, name.upper(), name, kind))
            continue
        if kind in ELSEWHERE:
            others.append(name)
            warnings.append("%s: %s is not run here: types are %s" % (name, kind, ", ".join(TYPES)))
            continue
        check(service)
        chosen, python, was_asked = choose(service, there, images, asked, image)
        told.append("%s: Python %d.%d (image %s)%s" % ((name,) + python + (
            chosen, "" if was_asked else ": nothing asks for another one")))
        made = manifest_of(service, app, chosen, python)
        if policy:
            made["sandbox"]["policy"] = policy
        result.append({"name": name, "image": chosen, "plan": {
            "manifest": made, "python": "%d.%d" % python, "http": any(port["kind"] == "http" for port in made["ports"]),
            "requirements": service["requirements"], "line": service["line"],
            "hooks": {hook: service[hook] for hook in ("prebuild", "postbuild", "postinstall") if service.get(hook)}}})
    if not result:
        raise PushError("has no service that runs here: types are %s" % ", ".join(TYPES))
    return {"services": result, "warnings": warnings[:WARNINGS_MAX], "others": others}, told


__all__ = ["FILE", "plan", "pythons", "version"]

"""What a replica finds in its home: folders, files with its environment, and the environment itself.

The package is the home: code/ is the tree that was sent, env/ a virtualenv where the build has made one.  All of it
may be written to, and is gone with the replica; data/ is the node's, and stays.
"""

import json
import os

HOME = "/home/dotcloud"
# What the runtime has made for itself and for the app to call.
OWN = ".sandboxd"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# Ports of loopback, in the replica's own network.
HTTP_PORT = 8080
OTHER_PORT = 42800
# Replicas that have variables of their own.
INSTANCES_TOLD = 16
PROFILE = """# Made by the runtime: /etc/profile has a PATH of its own.
PATH="$PATH:$HOME/.sandboxd/bin"
if [ -d "$HOME/env/bin" ]; then
    PATH="$HOME/env/bin:$PATH"
fi
export PATH
"""


def find(work=None):
    """The name of the home that apps know, where the image has that link; else the folder itself."""
    work = work or os.environ.get("SANDBOX_WORK", "/work")
    try:
        if os.path.samefile(HOME, work):
            return HOME
    except OSError:
        pass
    return work


def port_numbers(ports):
    """{name: number} of those that a process may bind."""
    numbers = {}
    http, other = HTTP_PORT, OTHER_PORT
    for port in ports:
        if port["kind"] == "http":
            numbers[port["name"]] = http
            http += 1
        else:
            numbers[port["name"]] = other
            other += 1
    return numbers


def variable(name):
    """A service's or a port's name as it stands in the names of variables."""
    return name.upper().replace("-", "_")


def host_of(url):
    """The host in a URL of the node's, without its port."""
    return url.partition("://")[2].partition("/")[0].rpartition(":")[0] or url.partition("://")[2].partition("/")[0]


def variables(config, manifest, given, services):
    """What a service's processes find in their environment beside HOME and the like: all of it is text.

    given is what was set for the app, which beats what the file says; services are those of the app, with their URLs.
    """
    env = dict(manifest.get("environment") or {})
    env.update(given)
    env.update({
        "DOTCLOUD_PROJECT": config["app"],
        "DOTCLOUD_ENVIRONMENT": "default",
        "DOTCLOUD_SERVICE_NAME": config["service"],
        "DOTCLOUD_SERVICE_ID": str(config["replica"]),
        "DOTCLOUD_USERNAME": config["project"],
    })
    for service in services:
        if service.get("url"):
            name = "DOTCLOUD_%s_HTTP_" % variable(service["name"])
            # The edge balances: each of the replicas is reached by the one address.
            for end in [""] + ["_%d" % n for n in range(min(service.get("instances") or 1, INSTANCES_TOLD))]:
                env[name + "URL" + end] = service["url"] + "/"
                env[name + "HOST" + end] = host_of(service["url"])
    for name, number in port_numbers(manifest.get("ports") or []).items():
        env["PORT_" + variable(name)] = str(number)
    return env


def surroundings(home):
    """The variables that every process of a replica has."""
    env = {
        "HOME": home,
        "USER": "dotcloud",
        "LOGNAME": "dotcloud",
        "SHELL": "/bin/sh",
        "LANG": "C.UTF-8",
        "PATH": PATH + ":" + os.path.join(home, OWN, "bin"),
        # What is printed is in the log at once, and is not lost when the replica ends.
        "PYTHONUNBUFFERED": "1",
    }
    if os.path.isdir(os.path.join(home, "env", "bin")):
        env["VIRTUAL_ENV"] = os.path.join(home, "env")
        env["PATH"] = os.path.join(home, "env", "bin") + ":" + env["PATH"]
    return env


def write(path, text):
    with open(path, "w", encoding="utf-8", errors="surrogateescape") as out:
        out.write(text)


def quoted(text):
    """A text as JSON and YAML both read it."""
    return json.dumps(text, ensure_ascii=False)


def make_links(home):
    """Links out of the home, as those of a virtualenv, which a package cannot have: a push lists them."""
    try:
        with open(os.path.join(home, ".push", "links.json"), encoding="utf-8") as there:
            links = json.load(there)
    except (OSError, ValueError):
        return
    for path, target in links.items():
        path = os.path.join(home, path)
        if not os.path.lexists(path):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            os.symlink(target, path)


def lay_out(home, approot, env):
    """Make what is to be there, and has not come with the package."""
    code = os.path.join(home, "code")
    # The last three are what /var/log/nginx and the like lead to.
    for name in ("code", "data", "volatile", ".log/nginx", ".log/supervisor", ".log/uwsgi"):
        os.makedirs(os.path.join(home, name), exist_ok=True)
    make_links(home)
    current = os.path.join(home, "current")
    if not os.path.lexists(current):
        os.symlink(os.path.normpath(os.path.join("code", approot)), current)
    if not os.path.isdir(current):
        raise OSError("approot: %s is no folder of what was sent" % approot)
    if os.path.realpath(current) != os.path.realpath(code) and not os.path.realpath(current).startswith(
            os.path.realpath(code) + os.sep):
        raise OSError("approot: %s leads out of what was sent" % approot)
    profile = os.path.join(home, ".profile")
    if not os.path.lexists(profile):
        write(profile, PROFILE)
    # One pair a line, which is how shell scripts read it.
    pairs = sorted(env.items())
    write(os.path.join(home, "environment.json"),
          "{\n" + ",\n".join("    %s: %s" % (quoted(key), quoted(value)) for key, value in pairs) + "\n}\n")
    yml = "".join("%s: %s\n" % (key, quoted(value)) for key, value in pairs)
    for name in ("environment.yml", "environment.yaml"):
        write(os.path.join(home, name), yml)
    return current

"""The replica's uWSGI: its command line, and what it has to be asked."""

import glob
import os
import socket
import struct

from . import hook

PROGRAM = "/usr/bin/uwsgi-core"
PLUGINS = ("/usr/local/lib/uwsgi/plugins", "/usr/lib/uwsgi/plugins")
HERE = os.path.dirname(os.path.abspath(__file__))
SCRIPT = "sandboxd_wsgi"
PROCESSES = 4
BACKLOG = 4096
CHECK_SECONDS = 120

# Variables that would have uWSGI leave what a service is, each with the reason; the others are its options as they are.
NOT_TAKEN = {
    "PROTOCOL": "nginx speaks uwsgi to it", "SOCKET_PROTOCOL": "nginx speaks uwsgi to it",
    "DAEMONIZE": "it is watched where it is", "DAEMONIZE2": "it is watched where it is",
    "MASTER_FIFO": "it is stopped by that", "MASTER": "it is stopped by its master",
    "UID": "the sandbox has one user", "GID": "the sandbox has one user", "IMMEDIATE_UID": "the sandbox has one user",
    "IMMEDIATE_GID": "the sandbox has one user", "CHROOT": "the sandbox is its root", "PIVOT_ROOT": "the sandbox is its root",
    "PIVOTROOT": "the sandbox is its root", "UNSHARE": "the sandbox has its namespaces",
    "UNSHARE2": "the sandbox has its namespaces", "SETNS": "the sandbox has its namespaces",
    "NAMESPACE": "the sandbox has its namespaces", "NS": "the sandbox has its namespaces",
    "CGROUP": "the sandbox has its limits", "EMPEROR": "it serves this app alone", "VASSALS_DIR": "it serves this app alone",
    "STOP": "it would end another one", "RELOAD": "it would end another one", "PAUSE": "it would end another one",
    "SUSPEND": "it would end another one", "RESUME": "it would end another one", "VERSION": "it would end at once",
    "HELP": "it would end at once", "USAGE": "it would end at once", "CONNECT_AND_READ": "it would end at once",
    "EXTRACT": "it would end at once", "BUILD_PLUGIN": "it would end at once", "CRON_DUMP": "it would end at once",
    "SHARED_SOCKET": "its socket is given to it", "FD": "its socket is given to it",
}
# What is given to uWSGI elsewhere than on its command line.
LISTEN = "UWSGI_LISTEN"
# With these it has an app from the start, and the request says not which.
OTHER_APPS = ("UWSGI_MODULE", "UWSGI_WSGI", "UWSGI_FILE", "UWSGI_WSGI_FILE", "UWSGI_MOUNT", "UWSGI_PYTHON_WORKER_OVERRIDE",
              "UWSGI_PASTE", "UWSGI_INI", "UWSGI_YAML", "UWSGI_YML", "UWSGI_JSON", "UWSGI_XML")
TRUE = ("true", "yes", "on", "1")
FALSE = ("false", "no", "off", "0", "")


def yes(config, name):
    value = config.get(name, False)
    if isinstance(value, bool):
        return value
    text = str(value).strip().lower()
    if text not in TRUE + FALSE:
        raise hook.Failed("config.%s: must be true or false, not %r" % (name, value), "")
    return text in TRUE


def number(config, name, least, most):
    """The value, or None where there is none."""
    value = config.get(name)
    if value is None or value == "":
        return None
    try:
        if isinstance(value, bool) or int(value) != float(value):
            raise ValueError
        value = int(value)
    except (TypeError, ValueError, OverflowError):
        raise hook.Failed("config.%s: must be a whole number, not %r" % (name, config[name]), "") from None
    if not least <= value <= most:
        raise hook.Failed("config.%s: must be between %d and %d, not %d" % (name, least, most, value), "")
    return value


def plugin(version):
    """The plugin of the Python that the service has."""
    names = ["python27"] if str(version or "").startswith("2") else ["python3[0-9]*", "python27"]
    for name in names:
        for folder in PLUGINS:
            found = sorted(glob.glob(os.path.join(folder, name + "_plugin.so")))
            if found:
                return found[-1]
    raise hook.Failed("the image has no uWSGI for Python %s: sandbox.image must be another one" % (version or 3), "")


def environment(env):
    """(the variables without those that are not taken, [what is said of them])."""
    kept, said = {}, []
    for name, value in env.items():
        option = name[6:].upper().replace("-", "_") if name.upper().startswith("UWSGI_") else None
        if option in NOT_TAKEN:
            said.append("%s is not taken: %s" % (name, NOT_TAKEN[option]))
        elif name != LISTEN:
            kept[name] = value
    return kept, said


def backlog(env):
    try:
        return min(max(int(env.get(LISTEN, BACKLOG)), 1), BACKLOG)
    except ValueError:
        raise hook.Failed("%s: must be a whole number, not %r" % (LISTEN, env[LISTEN]), "") from None


def options(config, env):
    """What the service's configuration says, and else what uWSGI's own variables do."""
    words = []
    processes = number(config, "uwsgi_processes", 1, 1000)
    if processes is None and not any("UWSGI_" + name in env for name in ("PROCESSES", "WORKERS", "CHEAPER")):
        processes = PROCESSES
    if processes is not None:
        words += ["--processes", str(processes)]
    words += ["--logdate"]
    words += ["--memory-report"] if yes(config, "uwsgi_memory_report") else (
        [] if "UWSGI_MEMORY_REPORT" in env else ["--disable-logging"])
    size = number(config, "uwsgi_buffer_size", 1024, 65535)
    if size is not None:
        words += ["--buffer-size", str(size)]
    seconds = number(config, "uwsgi_harakiri", 1, 86400)
    if seconds is not None:
        words += ["--harakiri", str(seconds)]
    relic = yes(config, "enable_newrelic")
    if yes(config, "uwsgi_enable_threads") or relic:
        words += ["--enable-threads"]
    if yes(config, "uwsgi_single_interpreter") or relic:
        words += ["--single-interpreter"]
    return words


def command(replica, fd, fifo):
    config = replica.manifest.get("config") or {}
    words = [PROGRAM, "--plugin", plugin(replica.manifest.get("python")), "--master", "--die-on-term",
             "--socket", "fd://%d" % fd, "--master-fifo", fifo, "--chdir", replica.current]
    virtualenv = os.path.join(replica.home, "env")
    if os.path.isdir(os.path.join(virtualenv, "bin")):
        words += ["--home", virtualenv]
    words += ["--pythonpath", replica.current, "--pythonpath", os.path.join(HERE, "in_uwsgi")]
    words += options(config, replica.env)
    if yes(config, "enable_newrelic"):
        admin = os.path.join(virtualenv, "bin", "newrelic-admin")
        if not os.path.exists(admin):
            raise hook.Failed("config.enable_newrelic: there is no newrelic in the virtualenv: "
                              "requirements.txt has to name it", "")
        words = [admin, "run-program"] + words
    return words


def packet(variables):
    body = b""
    for name, value in variables:
        body += struct.pack("<H", len(name)) + name + struct.pack("<H", len(value)) + value
    return struct.pack("<BHB", 0, len(body), 0) + body


def ask(path, variables, seconds=CHECK_SECONDS):
    """One request by uWSGI's own protocol: the answer's bytes."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(seconds)
        sock.connect(path)
        sock.sendall(packet(variables))
        answer = b""
        while len(answer) < 65536:
            data = sock.recv(65536)
            if not data:
                break
            answer += data
        return answer

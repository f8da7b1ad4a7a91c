# SPDX-License-Identifier: Apache-2.0
"""Who the task is, in every thread; what it inherited; that nothing of the daemon is visible."""
import os

# Before anything else of ours opens a file: what the first user instruction sees.
FDS = {}
for _fd in os.listdir("/proc/self/fd"):
    try:
        FDS[int(_fd)] = os.readlink("/proc/self/fd/" + _fd)
    except OSError:
        pass  # the listing's own

import resource
import socket
import stat
import threading

import probe

TABLE = probe.Table()
CAPS = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")


def status_of_threads(*keys):
    """The set of values of these keys of status, over all threads, two of them new."""
    stop = threading.Event()
    helpers = [threading.Thread(target=stop.wait) for _ in range(2)]
    for helper in helpers:
        helper.start()
    seen = set()
    try:
        threads = os.listdir("/proc/self/task")
        for thread in threads:
            with open("/proc/self/task/%s/status" % thread) as f:
                fields = dict(line.split(":", 1) for line in f if ":" in line)
            seen.add(" ".join(fields[k].strip() for k in keys))
    finally:
        stop.set()
        for helper in helpers:
            helper.join()
    return "three threads: " * (len(threads) < 3) + ",".join(sorted(seen))


def capability_sets():
    values = status_of_threads(*CAPS)
    return "none" if set(values) <= {"0", " "} else values.replace(" ", "/")


TABLE.add("capabilities", capability_sets, "none", "!none", child=False)
TABLE.add("no-new-privs", lambda: status_of_threads("NoNewPrivs"), "1", "0", child=False)
TABLE.add("seccomp-mode", lambda: status_of_threads("Seccomp"), "2", "0", child=False)
TABLE.add(
    "uid", lambda: "root" if 0 in os.getresuid() + (os.stat("/proc/self").st_uid,) else "user",
    "user", "root", child=False,
)  # fmt: skip
TABLE.add("gid", lambda: "root" if 0 in os.getresgid() else "user", "user", "root", child=False)
TABLE.add("groups", lambda: str(len(os.getgroups())), "0", "*", child=False)


def setuid_gains():
    """What running a setuid-root file gives: our own file, and those of the image."""
    gained = set()
    for folder in ("/usr/bin", "/usr/sbin", "/usr/lib", "/bin", "/work", "/tmp"):
        for top, _, files in os.walk(folder):
            for name in files:
                info = os.lstat(os.path.join(top, name))
                if stat.S_ISREG(info.st_mode) and info.st_mode & 0o6000:
                    gained.add(os.path.join(top, name))
            if folder != "/usr/lib":
                break
    return ",".join(sorted(gained)) or "none"


TABLE.add("setuid-files-in-image", setuid_gains, "none", "/usr/bin/bait,/bin/bait /usr/bin/bait /bin/bait,/usr/bin/bait", child=False)
TABLE.add("setuid:0", lambda: os.setuid(0), "EPERM EINVAL", "OK")
TABLE.add("setgid:0", lambda: os.setgid(0), "EPERM EINVAL", "OK")
TABLE.add("setgroups", lambda: os.setgroups([0]), "EPERM EINVAL", "OK")
TABLE.add("setresuid:65534", lambda: os.setresuid(65534, 65534, 65534), "EPERM EINVAL", "OK")


def first_fds():
    extra = {fd: to for fd, to in FDS.items() if fd > 2}
    return "0-2" if not extra and sorted(FDS) == [0, 1, 2] else str(FDS)


def stdio():
    """Standard input is empty, the outputs are pipes of our own."""
    kinds = []
    for fd in (0, 1, 2):
        mode = os.fstat(fd).st_mode
        kinds.append(
            "pipe" if stat.S_ISFIFO(mode) else "null" if stat.S_ISCHR(mode) else "other"
        )
    return ",".join(kinds)


TABLE.add("first-fds", first_fds, "0-2", "!0-2", child=False)
TABLE.add("stdio", stdio, "null,pipe,pipe", "*", child=False)
TABLE.add("stdin-is-empty", lambda: repr(os.read(0, 1)), "b''", "*")

# Variables that a task may find: the documented ones and what the image's Python needs.
KNOWN = {
    "PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "TMPDIR", "USER", "LOGNAME", "HOSTNAME",
    "PWD", "TERM", "SHELL", "PYTHONUNBUFFERED", "PYTHONDONTWRITEBYTECODE", "PYTHONHASHSEED",
    "PYTHONNOUSERSITE", "PYTHONSAFEPATH", "PYTHONIOENCODING", "PYTHONUTF8",
    "OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS",
    "TASK_ID", "TASK_DIR", "PAYLOAD_FILE", "CONFIG_FILE",
}  # fmt: skip


def environment():
    return ",".join(sorted(set(os.environ) - KNOWN)) or "known"


def initial_environment():
    """What the interpreter was started with; PYTHONPATH was the runtime's own and has been removed."""
    with open("/proc/self/environ", "rb") as f:
        names = {n.split(b"=")[0].decode("latin-1") for n in f.read().split(b"\0") if n}
    return ",".join(sorted(names - KNOWN - {"PYTHONPATH"})) or "known"


WORDS = ("sandboxd", "checkpoint", "_sandbox", "control.sock", "libexec", "/rootfs")


def words_in(*paths):
    """Which words of the daemon's these files of /proc show."""
    found = set()
    for path in paths:
        with open(path, "rb") as f:
            text = f.read().decode("latin-1")
        found |= {w for w in WORDS if w in text}
    return ",".join(sorted(found)) or "none"


def mount_words():
    """The daemon's words in mountinfo, except where the image itself is kept (docs/security.md)."""
    with open("/proc/self/mountinfo", "rb") as f:
        lines = [line.split() for line in f.read().decode("latin-1").splitlines()]
    text = "\n".join(" ".join(w[:3] + w[4:] if w[4] == "/" else w) for w in lines)
    return ",".join(sorted(w for w in WORDS if w in text)) or "none"


TABLE.add("environment", environment, "known", "!known", child=False)
TABLE.add("environment:initial", initial_environment, "known", "!known", child=False)
TABLE.add("names-in-environ", lambda: words_in("/proc/self/environ"), "none", "*", child=False)
TABLE.add("names-in-mountinfo", mount_words, "none", "*", child=False)
TABLE.add("names-in-cgroup", lambda: words_in("/proc/self/cgroup"), "none", "*", child=False)
TABLE.add("names-in-maps", lambda: words_in("/proc/self/maps"), "none", "*", child=False)
TABLE.add("names-in-cmdline", lambda: words_in("/proc/self/cmdline"), "none", "*", child=False)


def init_names():
    """The init is trusted, but what it shows must have nothing of the host in it."""
    shown = []
    for name in ("cmdline", "comm", "environ"):
        try:
            shown.append(open("/proc/1/" + name, "rb").read().decode("latin-1"))
        except OSError:
            pass
    return ",".join(w for w in ("/var/", "/run/sandbox", "--state", ".sock") if w in "".join(shown))


TABLE.add("init-shows-paths", lambda: init_names() or "none", "none", "*", child=False)


def own_cgroup():
    """With a cgroup namespace every controller's path starts at the task's own group."""
    with open("/proc/self/cgroup") as f:
        paths = {line.rstrip("\n").split(":", 2)[2] for line in f}
    # The init and payload may sit in a child group; a parent would show as /..
    return "outside" if any("/.." in p for p in paths) else "inside"


TABLE.add("cgroup-root", own_cgroup, "inside", "*", child=False)


def shared_mappings():
    """A writable shared mapping would be common to all clones of a checkpoint."""
    with open("/proc/self/maps") as f:
        shared = [line.split()[-1] for line in f if "ws " in line[:60].split()[1] + " "]
    return ",".join(shared) or "none"


TABLE.add("shared-writable-mappings", shared_mappings, "none", "*", child=False)


def no_timer():
    import signal

    timers = [signal.getitimer(which) for which in (0, 1, 2)]
    return "none" if timers == [(0.0, 0.0)] * 3 else str(timers)


TABLE.add("timers", no_timer, "none", "none", child=False)


def blocked_signals():
    with open("/proc/self/status") as f:
        fields = dict(line.split(":", 1) for line in f if ":" in line)
    return fields["SigBlk"].strip().lstrip("0") or "none"


TABLE.add("blocked-signals", blocked_signals, "none", "*", child=False)


def core_limit():
    """No core file, and 1 (not 0) is what keeps a piped core handler from being started."""
    return "%d/%d" % resource.getrlimit(resource.RLIMIT_CORE)


def dumpable():
    return str(probe.syscall(157, 3, 0, 0, 0, 0)[0])  # PR_GET_DUMPABLE


TABLE.add("core-limit", core_limit, "0/0 1/1 0/1", "*", child=False)
TABLE.add("hostname", lambda: "host" if socket.gethostname() in host_names() else "own", "own", "*")


def host_names():
    """The test passes the host's name, so that the probe can recognise it."""
    try:
        with open("/work/hostname") as f:
            return {f.read().strip()}
    except OSError:
        return set()


def interfaces():
    with open("/proc/net/dev") as f:
        return ",".join(sorted(line.split(":")[0].strip() for line in f if ":" in line))


TABLE.add(
    "interfaces",
    interfaces,
    lambda policy: "eth0,lo" if policy == "network" else "lo",
    "*",
    child=False,
)

if __name__ == "__main__":
    probe.main(TABLE)

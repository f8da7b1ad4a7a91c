# SPDX-License-Identifier: Apache-2.0
"""Paths, mounts, proc, sys, dev: nothing leads out, nothing of the kernel's is writable."""
import os
import stat

import probe

TABLE = probe.Table()


def same(a, b):
    """Whether two stat results are of the same file."""
    return (a.st_dev, a.st_ino) == (b.st_dev, b.st_ino)


def opens(path, flags):
    """A function that opens path and closes it again."""

    def attempt():
        os.close(os.open(path, flags | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY))

    return attempt


def dotdot():
    here = os.stat("/")
    path = "/"
    for _ in range(40):
        path += "../"
        if not same(os.stat(path), here):
            return "outside"
    return "inside"


def fchdir_out():
    """Tries to go up from every folder of which a descriptor can be had."""
    here = os.stat("/")
    for start in ("/", "/tmp", "/work", "/proc", "/dev", "/run", "/proc/self/fd", "/usr"):
        fd = os.open(start, os.O_RDONLY | os.O_DIRECTORY)
        os.fchdir(fd)
        os.close(fd)
        for _ in range(40):
            os.chdir("..")
        if not same(os.stat("."), here):
            return "outside by " + start
    return "inside"


def old_root():
    """After pivot_root the old root must be gone, not hidden: no mount but the known ones.

    A lower layer that a mount on top of it hides is known too: it must not be reachable.
    """
    known = {"/", "/tmp", "/work", "/dev", "/proc", "/run", "/sys", "/etc/resolv.conf", "/etc/hosts"}
    extra = []
    with open("/proc/self/mountinfo") as f:
        for line in f:
            device, target = line.split()[2], line.split()[4]
            if target in known or target.startswith(("/proc/", "/dev/", "/run/", "/sys/")):
                continue
            major, minor = (int(n) for n in device.split(":"))
            try:
                hidden = os.stat(target).st_dev != os.makedev(major, minor)
            except OSError:
                hidden = True
            if not hidden:
                extra.append(target)
    return ",".join(extra) or "known"


def writable_mounts():
    """Lists mounts that lack ro, nosuid or nodev where these belong."""
    wrong = []
    with open("/proc/self/mountinfo") as f:
        for line in f:
            fields = line.split()
            target, options = fields[4], set(fields[5].split(","))
            kind = line.split(" - ")[1].split()[0]
            if "nosuid" not in options:
                wrong.append("suid:" + target)
            # A mask is a device, /dev/null, and must stay one.
            if "nodev" not in options and not target.startswith(("/dev", "/proc/")):
                wrong.append("dev:" + target)
            if "ro" not in options and target not in ("/tmp", "/work"):
                if not target.startswith(("/dev", "/run")):
                    wrong.append("rw:" + target)
            if kind in ("cgroup", "cgroup2", "sysfs", "debugfs", "tracefs", "bpf", "securityfs"):
                wrong.append(kind + ":" + target)
    return ",".join(wrong) or "none"


TABLE.add("dotdot", dotdot, "inside", "*")
TABLE.add("fchdir", fchdir_out, "inside", "*")
TABLE.add("mounts", old_root, "known", "/mnt")
TABLE.add("mount-options", writable_mounts, "none", "!none")
for _link in ("root", "cwd", "exe", "fd", "ns/mnt", "ns/user", "ns/pid"):
    _function = (
        (lambda p: lambda: len(os.listdir(p)) and None)("/proc/1/" + _link)
        if _link == "fd"
        else (lambda p: lambda: os.readlink(p) and None)("/proc/1/" + _link)
    )
    TABLE.add("proc-1:" + _link, _function, "EACCES EPERM ENOENT", "OK")
for _file in ("mem", "environ", "maps", "auxv", "stack", "syscall", "io", "pagemap"):
    TABLE.add(
        "proc-1:" + _file,
        (lambda p: lambda: os.read(os.open(p, os.O_RDONLY), 1) and None)("/proc/1/" + _file),
        "EACCES EPERM ENOENT",
        "*" if _file == "stack" else "OK EIO EINVAL",
    )
TABLE.add("proc-1:root:etc", opens("/proc/1/root/etc/passwd", os.O_RDONLY), "EACCES EPERM", "OK")
for _file in ("oom_score_adj", "uid_map", "setgroups", "comm", "coredump_filter"):
    TABLE.add("proc-1:write:" + _file, opens("/proc/1/" + _file, os.O_WRONLY), "EACCES EPERM", "*")


def other_cwds():
    """cwd and root of every process that is seen: our own tree only, all inside."""
    here = os.stat("/")
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                if not same(os.stat("/proc/%s/root" % name), here):
                    return "outside: pid " + name
            except OSError:
                pass
    return "inside"


TABLE.add("proc-N:root", other_cwds, "inside", "*")


def writable_below(top):
    """Files below top that open for writing (nothing is written)."""

    def walk():
        found = []
        for folder, _, files in os.walk(top):
            for name in files:
                path = os.path.join(folder, name)
                try:
                    os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC))
                    found.append(path)
                except OSError:
                    pass
        return "none" if not found else "some:" + ",".join(found[:5])

    return walk


TABLE.add("writable:/proc/sys", writable_below("/proc/sys"), "none", "!none")
TABLE.add("writable:/sys", writable_below("/sys"), "none", "*")
for _dir in ("irq", "bus", "fs", "acpi", "scsi", "driver", "asound"):
    TABLE.add("writable:/proc/" + _dir, writable_below("/proc/" + _dir), "none", "*")


def writes(path):
    """A function that opens path for writing; "null" when /dev/null is mounted there."""

    def attempt():
        fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            return "null" if os.fstat(fd).st_rdev == os.makedev(1, 3) else "OK"
        finally:
            os.close(fd)

    return attempt


for _file in ("sysrq-trigger", "kcore", "mtrr", "slabinfo", "latency_stats", "config.gz"):
    TABLE.add("write:/proc/" + _file, writes("/proc/" + _file), "!OK", "*")


def peek(path):
    """Whether one byte of the file can be read; an empty file counts as refused."""

    def attempt():
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            return "data" if os.read(fd, 16) else "empty"
        finally:
            os.close(fd)

    return attempt


CLOSED = "empty ENOENT EACCES EPERM EISDIR EINVAL"
for _file in (
    "kcore", "keys", "key-users", "timer_list", "timer_stats", "sched_debug", "kmsg",
    "kpagecount", "kpageflags", "kpagecgroup", "slabinfo", "latency_stats", "kallsyms",
    "vmallocinfo", "iomem", "ioports", "interrupts", "modules", "config.gz", "sysvipc/shm",
)[:12]:  # fmt: skip
    TABLE.add("read:/proc/" + _file, peek("/proc/" + _file), CLOSED, "*")
TABLE.add("read:/proc/kcore:control", peek("/proc/kcore"), CLOSED, "data EPERM EACCES ENOENT")
TABLE.add("read:/proc/timer_list:control", peek("/proc/timer_list"), CLOSED, "data ENOENT")


def list_dir(path):
    """The names in a folder; one that does not exist counts as empty."""

    def attempt():
        try:
            names = os.listdir(path)
        except FileNotFoundError:
            return "empty"
        return "empty" if not names else "some"

    return attempt


for _dir in ("/sys/kernel/debug", "/sys/kernel/tracing", "/sys/fs/bpf", "/sys/firmware",
             "/sys/fs/cgroup"):  # fmt: skip
    TABLE.add("list:" + _dir, list_dir(_dir), "empty EACCES EPERM", "*")


def writable_cgroups():
    """Finds cgroup files that open for writing, wherever they may be mounted."""
    tops = ["/sys/fs/cgroup", "/cgroup", "/dev/cgroup"]
    with open("/proc/self/mountinfo") as f:
        for line in f:
            if line.split(" - ")[1].split()[0].startswith("cgroup"):
                tops.append(line.split()[4])
    for top in tops:
        for folder, _, files in os.walk(top):
            for name in files:
                try:
                    os.close(os.open(os.path.join(folder, name), os.O_WRONLY))
                    return os.path.join(folder, name)
                except OSError:
                    pass
    return "none"


TABLE.add("writable:cgroups", writable_cgroups, "none", "*")

# Everything that /dev may hold. tty is a node that opens only with a terminal; the rest are links.
DEVICES = {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "pts", "shm", "mqueue"}
LINKS = {"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1",
         "stderr": "/proc/self/fd/2", "ptmx": "pts/ptmx", "core": "/proc/kcore"}  # fmt: skip
NUMBERS = {"null": (1, 3), "zero": (1, 5), "full": (1, 7), "random": (1, 8), "urandom": (1, 9),
           "tty": (5, 0), "ptmx": (5, 2)}  # fmt: skip


def devices():
    wrong = []
    for name in sorted(os.listdir("/dev")):
        info = os.lstat("/dev/" + name)
        if stat.S_ISLNK(info.st_mode):
            if LINKS.get(name) != os.readlink("/dev/" + name) or name == "core":
                wrong.append(name)
        elif stat.S_ISCHR(info.st_mode):
            if NUMBERS.get(name) != (os.major(info.st_rdev), os.minor(info.st_rdev)):
                wrong.append(name)
        elif name not in DEVICES:
            wrong.append(name)
    for name in ("null", "zero", "full", "random", "urandom"):
        if not os.path.exists("/dev/" + name):
            wrong.append("no " + name)
    return ",".join(wrong) or "exact"


def block_devices():
    """Device nodes anywhere that are not on the list."""
    found = []
    for top, dirs, files in os.walk("/"):
        if top == "/":
            dirs.remove("proc")
        for name in files:
            mode = os.lstat(os.path.join(top, name)).st_mode
            if (stat.S_ISCHR(mode) or stat.S_ISBLK(mode)) and top != "/dev":
                found.append(os.path.join(top, name))
    found = [f for f in found if not f.startswith("/dev/pts/")]
    return ",".join(found) or "none"


TABLE.add("dev:list", devices, "exact", "mem")
TABLE.add("dev:elsewhere", block_devices, "none", "*")
TABLE.add("dev:create", opens("/dev/x", os.O_WRONLY | os.O_CREAT), "!OK", "OK")
for _name, _mode, _number in (
    ("null", stat.S_IFCHR, (1, 3)),
    ("mem", stat.S_IFCHR, (1, 1)),
    ("fuse", stat.S_IFCHR, (10, 229)),
    ("disk", stat.S_IFBLK, (8, 0)),
    ("loop", stat.S_IFBLK, (7, 0)),
):
    for _where in ("/tmp", "/work"):
        TABLE.add(
            "mknod:%s:%s" % (_where, _name),
            lambda p=_where + "/n-" + _name, m=_mode, n=_number: os.mknod(
                p, m | 0o666, os.makedev(*n)
            ),
            "EPERM",
            "OK",
        )
for _path in ("/usr/x", "/etc/x", "/x", "/usr/lib/sandbox-runtime/x", "/root/x", "/var/x"):
    _refused = "EROFS EACCES EPERM ENOENT"
    TABLE.add("create:" + _path, opens(_path, os.O_WRONLY | os.O_CREAT), _refused, "OK")
for _path in ("/etc/passwd", "/usr/bin/python3", "/usr/lib/sandbox-runtime/sandbox_runtime.py"):
    TABLE.add("write:" + _path, opens(_path, os.O_WRONLY), "EROFS EACCES EPERM ETXTBSY ENOENT", "OK ETXTBSY ENOENT")
TABLE.add("chmod:/etc/passwd", lambda: os.chmod("/etc/passwd", 0o644), "EROFS EPERM", "OK")
TABLE.add("link-out", lambda: os.link("/etc/passwd", "/tmp/p"), "EXDEV EPERM EROFS", "*")
TABLE.add(
    "proc-fd-reopen",
    lambda: opens("/proc/self/fd/%d/../../etc" % os.open("/", os.O_RDONLY), os.O_RDONLY)() or "no",
    "OK ENOENT ENOTDIR EACCES no",
    "*",
)


def heap_file():
    """The file that a restored heap is mapped from must not be writable by the task."""
    with open("/proc/self/maps") as f:
        paths = {line.split(None, 5)[5].strip() for line in f if line.count(" ") >= 5 and "/" in line}
    for path in sorted(p for p in paths if p.startswith("/run/")):
        for flags in (os.O_WRONLY, os.O_RDWR):
            try:
                os.close(os.open(path, flags))
                return "writable: " + path
            except OSError:
                pass
    return "closed"


TABLE.add("heap-file", heap_file, "closed", "*", child=False)
TABLE.add("memfd-exec", lambda: os.close(os.memfd_create("x")), "OK", "OK")

if __name__ == "__main__":
    probe.main(TABLE)

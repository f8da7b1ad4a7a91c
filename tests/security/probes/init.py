# SPDX-License-Identifier: Apache-2.0
"""What a task can get of its sandbox's init: nothing, in any start mode and at any time."""
import ctypes
import os
import resource
import signal
import struct

import probe

TABLE = probe.Table()


def standing():
    """What the kernel says of the init: its ids, and its effective capabilities."""
    with open("/proc/1/status") as file:
        lines = dict(line.split(":", 1) for line in file)
    return "%s:%s" % (lines["Uid"].split()[1], lines["CapEff"].strip())


# As early as a task can look: it is nobody by then, and may end its own namespace's processes.
AT_ONCE = standing()


def of_init(name, number, *args, want="EPERM", control="OK"):
    TABLE.add("init:" + name, probe.call(number, *args), want, control, child=False)


def limit(which):
    """Tries to set a limit of the init, to our own values, which do no harm in the control."""
    def attempt():
        resource.prlimit(1, which, resource.getrlimit(which))
    return attempt


def owners():
    """The owners of its files in /proc: the init's own uid, and root's, which nobody has here."""
    found = {os.stat("/proc/1").st_uid}
    for name in os.listdir("/proc/1"):
        found.add(os.lstat("/proc/1/" + name).st_uid)
    return ",".join(str(uid) for uid in sorted(found))


def readable():
    """The init's files in /proc that can be opened, by name."""
    names = []
    for name in sorted(os.listdir("/proc/1")):
        try:
            os.close(os.open("/proc/1/" + name, os.O_RDONLY))
            names.append(name)
        except OSError:
            pass
    return ",".join(names)


def send_by_pidfd():
    fd = os.pidfd_open(1)
    try:
        signal.pidfd_send_signal(fd, signal.SIGUSR1)
    finally:
        os.close(fd)


def take_fd():
    fd = os.pidfd_open(1)
    try:
        ret, err = probe.syscall(438, fd, 0, 0)
        return probe.outcome(ret, err)
    finally:
        os.close(fd)


ROOM = ctypes.create_string_buffer(16)
MASK = struct.pack("Q", 1)
PARAM = struct.pack("i", 0)

for _number in (signal.SIGCONT, signal.SIGUSR1, signal.SIGKILL):
    of_init("kill:%d" % _number, 62, 1, _number)
of_init("kill:0", 62, 1, 0)
of_init("tgkill", 234, 1, 1, signal.SIGUSR1)
of_init("rt_sigqueueinfo", 129, 1, signal.SIGUSR1, struct.pack("iiii112x", 0, 0, -1, 0))
TABLE.add("init:pidfd_send_signal", send_by_pidfd, "EPERM ENOSYS", "OK", child=False)
TABLE.add("init:pidfd_getfd", take_fd, "EPERM ENOSYS", "OK", child=False)
for _name in ("CPU", "NOFILE", "FSIZE", "AS", "NPROC", "SIGPENDING"):
    _limit = limit(getattr(resource, "RLIMIT_" + _name))
    TABLE.add("init:prlimit:" + _name, _limit, "EPERM", "OK", child=False)
of_init("prlimit:read", 302, 1, resource.RLIMIT_CPU, 0, ROOM)
of_init("sched_setaffinity", 203, 1, len(MASK), MASK)
of_init("sched_setscheduler", 144, 1, 0, PARAM)
of_init("sched_setscheduler:batch", 144, 1, 3, PARAM)
of_init("sched_setparam", 142, 1, PARAM)
of_init("sched_setattr", 314, 1, struct.pack("IIQiIQQQ", 48, 0, 0, 0, 0, 0, 0, 0), 0)
of_init("setpriority", 141, 0, 1, 0)
of_init("ioprio_set", 251, 1, 1, 2 << 13 | 4)
of_init("ptrace:seize", 101, 0x4206, 1, 0, 0, control="*")
of_init("process_vm_readv", 310, 1, 0, 0, 0, 0, 0)
of_init("kcmp", 312, 1, os.getpid(), 0, 0, 0, control="*")
of_init("move_pages", 279, 1, 0, 0, 0, 0, 0)
of_init("get_robust_list", 274, 1, ROOM, ROOM)
TABLE.add("init:standing", lambda: AT_ONCE, "999:0000000000000020", "*", child=False)
TABLE.add("init:owners", owners, "999,65534", "0", child=False)
TABLE.add("init:readable", readable, "*", "*", child=False)
TABLE.add("init:root", lambda: os.close(os.open("/proc/1/root", os.O_PATH)), "EACCES", "OK", child=False)
TABLE.add("init:exe", lambda: os.readlink("/proc/1/exe") and None, "EACCES", "OK", child=False)

if __name__ == "__main__":
    probe.main(TABLE)

# SPDX-License-Identifier: Apache-2.0
"""Signals and processes: the task reaches only its own."""
import os
import resource
import signal
import time

import probe

TABLE = probe.Table()


def visible():
    """The processes that /proc shows: the init, the payload, and what the payload has made."""
    pids = sorted(int(n) for n in os.listdir("/proc") if n.isdigit())
    return "own" if len(pids) <= 4 and pids[0] == 1 else "%d processes" % len(pids)


def kill_all():
    """kill(-1) reaches the own children and leaves the init alive."""
    child = os.fork()
    if child == 0:
        while True:
            time.sleep(60)
    # In a grandchild's own process, since the parent here is a target as well.
    os.kill(-1, signal.SIGCONT)  # harmless: shows that the call as such is possible
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    return "own" if os.WTERMSIG(status) == signal.SIGKILL and os.path.exists("/proc/1") else "lost"


def guess():
    """Sends signal 0 to every possible pid: only those that /proc shows exist."""
    hits = 0
    for pid in range(2, 70000):
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            continue
        except PermissionError:
            pass
        if not os.path.exists("/proc/%d" % pid):
            hits += 1
    return "own" if hits == 0 else "%d others" % hits


TABLE.add("visible", visible, "own", "*")
TABLE.add("pid-1", lambda: "init" if os.getpid() != 1 else "payload", "init", "payload", child=False)
# In the control PID 1 is the probe itself, which a signal from below does not end.
for _name in ("SIGKILL", "SIGTERM", "SIGSTOP"):
    TABLE.add(
        "kill:1:" + _name,
        lambda s=getattr(signal, _name): os.kill(1, s),
        "EPERM",
        "OK",
    )
TABLE.add("kill:-1", kill_all, "own", "*")
TABLE.add("kill:guess", guess, "own", "*")
TABLE.add("pidfd:1", lambda: os.close(os.pidfd_open(1)), "OK EPERM ENOSYS", "OK")
TABLE.add("setpriority:1", lambda: os.setpriority(os.PRIO_PROCESS, 1, 5), "EPERM EACCES", "OK")
TABLE.add("nice:-5", lambda: os.nice(-5) * 0 or None, "EPERM EACCES", "OK")
TABLE.add(
    "sched:fifo",
    lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1)),
    "EPERM ENOSYS",
    "*",
)


def raise_limit():
    """Tries to set RLIMIT_NOFILE above its hard limit."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard + 1))
    except ValueError:
        return "EPERM"


# The control may itself lack CAP_SYS_RESOURCE: it can show nothing then.
TABLE.add("rlimit:raise", raise_limit, "EPERM", "*")


def fork_when_there_is_room(deadline):
    """Fork; where the policy's number of processes is reached, wait until the init has reaped some."""
    while True:
        try:
            return os.fork()
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def tree_is_reaped():
    """Orphans become the init's children and do not stay as zombies."""
    deadline = time.monotonic() + 20
    for _ in range(20):
        if fork_when_there_is_room(deadline) == 0:
            if fork_when_there_is_room(deadline) == 0:
                os._exit(0)
            os._exit(0)
        os.wait()
    while time.monotonic() < deadline:
        zombies = 0
        for name in os.listdir("/proc"):
            if name.isdigit():
                try:
                    with open("/proc/%s/stat" % name) as f:
                        zombies += f.read().rsplit(")", 1)[1].split()[0] == "Z"
                except OSError:
                    pass
        if zombies == 0:
            return "none"
        time.sleep(0.02)
    return "%d zombies" % zombies


TABLE.add("zombies", tree_is_reaped, "none", "!none")

if __name__ == "__main__":
    probe.main(TABLE)

#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""killer.py MONITOR KIND COUNT SEED: kills that many processes of this kind, below this monitor.

template, keeper: the stopped interpreter, or the init that holds it. parked: the other
children of a keeper. making: one that was not there a moment ago, as soon as it is seen or a
random moment later; one in ten, for a template that never succeeds is tried ever more rarely.
Nothing but descendants of the monitor's is ever killed.
"""
import os
import random
import signal
import sys
import time

# How long to wait for the next template before giving up. After several failures in a row a
# template is not tried again for half a minute (fork/template.c), and a machine under load is slow.
PATIENCE = 120


def children(pid):
    try:
        with open("/proc/%d/task/%d/children" % (pid, pid), encoding="ascii") as f:
            return [int(word) for word in f.read().split()]
    except OSError:
        return []


def title(pid):
    try:
        with open("/proc/%d/cmdline" % pid, "rb") as f:
            return f.read().replace(b"\0", b" ").decode("utf-8", "replace").strip()
    except OSError:
        return ""


def is_held(pid):
    """Whether a process is traced and stopped: a template, or a clone that is being made."""
    try:
        with open("/proc/%d/stat" % pid, encoding="utf-8") as f:
            return f.read().rsplit(")", 1)[1].split()[0] == "t"
    except OSError:
        return False


def keepers(monitor):
    return [pid for pid in children(monitor) if title(pid) == "sandboxd: template"]


class Killer:
    def __init__(self, monitor, kind, seed):
        self.monitor, self.kind = monitor, kind
        self.random = random.Random(seed)
        self.known = set()

    def candidates(self):
        for keeper in keepers(self.monitor):
            if self.kind == "keeper":
                yield keeper
                continue
            below = children(keeper)
            # The oldest process is the template.
            if self.kind == "template":
                yield from (pid for pid in below[:1] if is_held(pid))
            elif self.kind == "parked":
                yield from below[1:]
            else:
                if self.random.random() < 0.1:
                    yield from (pid for pid in below[1:] if pid not in self.known)
                self.known.update(below)

    def kill_one(self):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            found = list(self.candidates())
            if found:
                victim = self.random.choice(found)
                if self.kind == "making":
                    # Some are killed at once, some in one of the steps that follow.
                    time.sleep(self.random.choice((0, 0, 0.0003, 0.001, 0.003)))
                else:
                    time.sleep(self.random.random() * 0.05)
                try:
                    os.kill(victim, signal.SIGKILL)
                    return
                except ProcessLookupError:
                    continue
        sys.exit("no %s to kill" % self.kind)


def main():
    monitor, kind, count, seed = int(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    killer = Killer(monitor, kind, seed)
    for _ in range(count):
        killer.kill_one()
    print("%d killed" % count)


if __name__ == "__main__":
    main()

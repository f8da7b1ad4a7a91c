"""Run by test_clone.py in place of boot.py: what it parks is a template.

Where the parked process waits, `f` and the name of a folder have it cloned as a template is: behind
the interpreter's back, with the same pid.  The clone has the fifos `go` and `started` of that folder
in place of the template's pipes, and says `P` when it waits itself.
"""

import os
import sys

import sandbox_c
from sandbox_c import Long

SYS_CLONE = 56
NEWPID_SIGCHLD = 0x20000000 | 17


def clone():
    return sandbox_c.find(sandbox_c.load(None), "syscall")(
        Long(SYS_CLONE), Long(NEWPID_SIGCHLD), Long(0), Long(0), Long(0), Long(0))


def wait_until_told(pid):
    if pid < 0 or os.waitpid(pid, 0)[1] != 0:
        os.write(2, b"template: a clone failed\n")


def template_wait(wait):
    def waits(ready_fd, go_fd):
        while True:
            order = wait(ready_fd, go_fd)
            if order != ord("f"):
                return order
            folder = os.read(go_fd.value, 1000)
            pid = clone()
            if pid == 0:
                for name, flags, to in (b"go", os.O_RDONLY, go_fd.value), (b"started", os.O_WRONLY, ready_fd.value):
                    fd = os.open(folder + b"/" + name, flags)
                    os.dup2(fd, to)
                    os.close(fd)
            else:
                wait_until_told(pid)
    return waits


def find(handle, name, kind=sandbox_c.Function, real=sandbox_c.find):
    found = real(handle, name, kind)
    return template_wait(found) if name == "park_wait" else found


# OpenSSL notices a fork by a changed pid, so the template has pid 1 already.
child = clone()
if child:
    os._exit(child < 0 or os.waitpid(child, 0)[1] >> 8)
sandbox_c.find = find
import sandbox_runtime
sandbox_runtime.main(sys.argv)

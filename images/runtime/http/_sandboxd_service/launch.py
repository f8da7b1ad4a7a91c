"""Executes a program with listening sockets as its descriptors 3 and up, told as systemd tells them.

    launch.py NAMES FD... -- PROGRAM ARGUMENT...
"""

import os
import sys


def main(argv):
    names, at = argv[1], argv.index("--")
    fds = [int(fd) for fd in argv[2:at]]
    # Out of the way first, so that none is overwritten before it is moved.
    kept = [os.dup(fd) if fd < 3 + len(fds) else fd for fd in fds]
    for number, fd in enumerate(kept, 3):
        os.dup2(fd, number, inheritable=True)
    os.environ.update(LISTEN_FDS=str(len(fds)), LISTEN_FDNAMES=names, LISTEN_PID=str(os.getpid()))
    os.execvp(argv[at + 1], argv[at + 1:])


if __name__ == "__main__":
    main(sys.argv)

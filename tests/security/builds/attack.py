# SPDX-License-Identifier: Apache-2.0
"""What hostile code tries where an image is built. attack.py SECRET PORT: one line for each try, "NAME
yes" where it worked. SECRET is a file of root's on the host, PORT is served on the host's loopback."""
import os
import socket
import stat
import struct
import sys
import tempfile


def read(path):
    with open(path) as file:
        return "canary" in file.read()


def leave(secret):
    """Leaves a chroot as root can."""
    top = os.open("/", os.O_RDONLY)
    os.chroot(tempfile.mkdtemp())
    os.fchdir(top)
    for _ in range(64):
        os.chdir("..")
    os.chroot(".")
    return read(secret)


def sysctl():
    with open("/proc/sys/kernel/printk_ratelimit_burst", "r+") as file:
        value = file.read()
        file.seek(0)
        file.write(value)
    return True


def device():
    os.mknod(os.path.join(tempfile.mkdtemp(), "mem"), stat.S_IFCHR | 0o600, os.makedev(1, 1))
    return True


def gateways():
    with open("/proc/net/route") as routes:
        for line in list(routes)[1:]:
            yield socket.inet_ntoa(struct.pack("<I", int(line.split()[2], 16)))


def loopback(port):
    """Tries the host's own services, by its loopback and by the address that is this side's gateway."""
    for address in ["127.0.0.1"] + list(gateways()):
        try:
            socket.create_connection((address, port), 0.2).close()
            return True
        except OSError:
            pass
    return False


def privileges():
    with open("/proc/self/status") as file:
        fields = dict(line.rstrip("\n").split(":\t", 1) for line in file if ":\t" in line)
    return fields["Seccomp"] != "2" or fields["NoNewPrivs"] != "1" or os.getuid() == 0 or any(
        int(fields[name], 16) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"))


def results(secret, port):
    tries = [("secret", lambda: read(secret)), ("init-root", lambda: read("/proc/1/root" + secret)),
             ("sysctl", sysctl), ("device", device), ("loopback", lambda: loopback(port)),
             ("privileges", privileges), ("leave", lambda: leave(secret))]
    for name, call in tries:
        try:
            yield name, bool(call())
        except OSError:
            yield name, False


def main(secret, port, out):
    for name, worked in results(secret, int(port)):
        out.write("%s %s\n" % (name, "yes" if worked else "no"))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.stdout)

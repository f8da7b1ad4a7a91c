# SPDX-License-Identifier: Apache-2.0
"""Calls that a sandbox must not have: each with arguments that the kernel would refuse as bad."""
import ctypes
import mmap
import os
import signal
import struct
import subprocess
import threading

import probe
from probe import BAD, DENIED, UNKNOWN, call, outcome, syscall

TABLE = probe.Table()
MINUS = -1  # a bad fd
NOBODY = 0x3FFFFFF  # a pid beyond every pid_max

NAMESPACES = {
    "TIME": 0x80,
    "NS": 0x20000,
    "CGROUP": 0x02000000,
    "UTS": 0x04000000,
    "IPC": 0x08000000,
    "USER": 0x10000000,
    "PID": 0x20000000,
    "NET": 0x40000000,
}


def clone(flags):
    """The old clone(2) as a fork with flags; a child that it made leaves at once."""
    ret, err = syscall(56, flags | signal.SIGCHLD, 0, 0, 0, 0)
    if ret == 0:
        os._exit(0)
    if ret > 0:
        os.waitpid(ret, 0x40000000)  # __WALL
    return outcome(ret, err)


for _name, _flag in NAMESPACES.items():
    TABLE.add("unshare:NEW" + _name, call(272, _flag), DENIED)
    TABLE.add("setns:NEW" + _name, call(308, MINUS, _flag), DENIED)
    # In clone(2) the bit of NEWTIME is a part of the exit signal: it makes no namespace.
    if _name != "TIME":
        TABLE.add("clone:NEW" + _name, lambda f=_flag: clone(f), DENIED)
TABLE.add("unshare:high-bits", call(272, (1 << 32) | NAMESPACES["USER"]), "EPERM EINVAL", "*")
TABLE.add("clone:plain", lambda: clone(0), "OK", "OK")
TABLE.add("clone3:bad-pointer", call(435, BAD, 88), UNKNOWN)
TABLE.add("clone3:short", call(435, BAD, 8), UNKNOWN)

# Nothing has the host's disks write or read again: fsync of a file that is only read flushes their cache,
# fadvise64 drops what others read of it. Nobody is told, not even of a bad fd or of memory that is not there.
for _name, _args in (("fsync", (74, MINUS)), ("fdatasync", (75, MINUS)), ("syncfs", (306, MINUS)),
                     ("fadvise64", (221, MINUS, 0, 0, 4)), ("sync_file_range", (277, MINUS, 0, 0, 0)),
                     ("msync", (26, 0, 4096, 4))):
    TABLE.add("disk:" + _name, call(*_args), "OK", "EBADF ENOMEM EINVAL")

# name: (number, arguments). Pointers and fds are bad, flags are valid as far as possible.
DENIED_CALLS = {
    "mount": (165, BAD, BAD, BAD, 0, 0),
    "umount2": (166, BAD, 0),
    "open_tree": (428, MINUS, BAD, 0),
    "move_mount": (429, MINUS, BAD, MINUS, BAD, 0),
    "fsopen": (430, BAD, 0),
    "fsconfig": (431, MINUS, 0, BAD, BAD, 0),
    "fsmount": (432, MINUS, 0, 0),
    "fspick": (433, MINUS, BAD, 0),
    "mount_setattr": (442, MINUS, BAD, 0, BAD, 32),
    "pivot_root": (155, BAD, BAD),
    "chroot": (161, BAD),
    "open_by_handle_at": (304, MINUS, BAD, 0),
    "add_key": (248, BAD, BAD, BAD, 1, 0),
    "request_key": (249, BAD, BAD, BAD, 0),
    "keyctl": (250, 0, -3, 0),
    "bpf": (321, 0, BAD, 72),
    "perf_event_open": (298, BAD, 0, -1, -1, 0),
    "io_uring_setup": (425, 1, BAD),
    "io_uring_enter": (426, MINUS, 0, 0, 0, 0, 0),
    "io_uring_register": (427, MINUS, 0, BAD, 0),
    "userfaultfd": (323, -1),
    "ptrace:PEEK": (101, 1, NOBODY, BAD, BAD),
    "ptrace:TRACEME": (101, 0, 0, 0, 0),
    "ptrace:SEIZE": (101, 0x4206, NOBODY, 0, 0),
    "process_vm_readv": (310, 1, BAD, 1, BAD, 1, 0),
    "process_vm_writev": (311, 1, BAD, 1, BAD, 1, 0),
    "pidfd_getfd": (438, MINUS, 0, 0),
    "kcmp": (312, NOBODY, NOBODY, 0, 0, 0),
    "init_module": (175, BAD, 64, BAD),
    "finit_module": (313, MINUS, BAD, 0),
    "delete_module": (176, BAD, 0),
    "kexec_load": (246, 0, 1, BAD, 0),
    "kexec_file_load": (320, MINUS, MINUS, 1, BAD, 0),
    "reboot": (169, 0, 0, 0, 0),
    "swapon": (167, BAD, 0),
    "swapoff": (168, BAD),
    "acct": (163, BAD),
    "settimeofday": (164, BAD, BAD),
    "clock_settime": (227, 0, BAD),
    "clock_adjtime": (305, 0, BAD),
    "adjtimex": (159, BAD),
    "quotactl": (179, 0x800001 << 8, BAD, 0, BAD),
    "quotactl_fd": (443, MINUS, 0x80000100, 0, BAD),
    "fanotify_init": (300, 0, 0),
    "fanotify_mark": (301, MINUS, 1, 0, MINUS, BAD),
    "syslog:size": (103, 10, 0, 0),
    "syslog:read-all": (103, 3, BAD, 16),
    "modify_ldt": (154, 0, BAD, 16),
}
# Some kernels are built without these: the control can only show that nobody refused them.
OPTIONAL = ("init_module", "finit_module", "delete_module", "kexec_load", "kexec_file_load")
for _name, _args in DENIED_CALLS.items():
    TABLE.add(_name, call(*_args), DENIED, "!EPERM" if _name in OPTIONAL else probe.REACHED)

# Refused in either way: calls that not every kernel has, each with the first kernel on which
# its control must show that it was reached (99: on none for sure).
REFUSED_CALLS = {
    "iopl": ((172, 3), (99, 0)),
    "ioperm": ((173, 0, 1, 1), (99, 0)),
    "vhangup": ((153,), (99, 0)),
    "lookup_dcookie": ((212, 0, BAD, 1), (99, 0)),
    "uselib": ((134, BAD), (99, 0)),
    "nfsservctl": ((180, 0, BAD, BAD), (99, 0)),
    "sethostname": ((170, BAD, 1), (0, 0)),
    "setdomainname": ((171, BAD, 1), (0, 0)),
    "open_tree_attr": ((467, MINUS, BAD, 0, BAD, 32), (6, 15)),
    "statmount": ((457, BAD, BAD, 512, 0), (6, 8)),
    "listmount": ((458, BAD, BAD, 1, 0), (6, 8)),
    "lsm_set_self_attr": ((460, 100, BAD, 8, 0), (99, 0)),
}
for _name, (_args, _since) in REFUSED_CALLS.items():
    TABLE.add(_name, call(*_args), "EPERM ENOSYS", since=_since)

# Numbers that nobody has.
for _number in (400, 600, 1000, 0x3FFFFFFF):
    TABLE.add("number:%d" % _number, call(_number), UNKNOWN, "ENOSYS")

PERSONALITY = {"no-randomize": 0x0040000, "read-implies-exec": 0x0400000, "uname26": 0x0020000}
for _name, _value in PERSONALITY.items():
    TABLE.add("personality:" + _name, call(135, _value), DENIED, "OK")
    # The kernel looks at the low 32 bits only.
    TABLE.add("personality:high:" + _name, call(135, (1 << 32) | _value), DENIED, "OK")
TABLE.add("personality:query", call(135, 0xFFFFFFFF), "OK", "OK")
TABLE.add("personality:zero", call(135, 0), "OK", "OK")

for _name, _request in {"TIOCSTI": 0x5412, "TIOCLINUX": 0x541C}.items():
    TABLE.add("ioctl:" + _name, call(16, MINUS, _request, BAD), DENIED, "EBADF")
    TABLE.add("ioctl:high:" + _name, call(16, MINUS, (5 << 32) | _request, BAD), DENIED, "EBADF")


def machine_code(code):
    """Runs code as a function and gives its 32-bit result."""
    area = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    area.write(code)
    address = ctypes.addressof(ctypes.c_char.from_buffer(area))
    value = ctypes.CFUNCTYPE(ctypes.c_int)(address)()
    return "OK" if value >= 0 else outcome(-1, -value)


# mov $20,%eax (getpid); int $0x80; ret. A kernel without IA-32 emulation sends SIGSEGV.
INT80 = b"\xb8\x14\x00\x00\x00\xcd\x80\xc3"
# The same for unshare(CLONE_NEWUSER), i386 number 310: %ebx is saved around it.
INT80_UNSHARE = b"\x53\xb8\x36\x01\x00\x00\xbb\x00\x00\x00\x10\xcd\x80\x5b\xc3"
TABLE.add("int80:getpid", lambda: machine_code(INT80), "killed:SIGSYS", "OK killed:SIGSEGV")
TABLE.add("int80:unshare", lambda: machine_code(INT80_UNSHARE), "killed:SIGSYS", "!killed:SIGSYS")
for _name, _number in {"getpid": 39, "unshare": 272, "unknown": 900}.items():
    TABLE.add("x32:" + _name, call(0x40000000 | _number, 0), "killed:SIGSYS", "!killed:SIGSYS")


class Filter(ctypes.Structure):
    """struct sock_fprog."""

    _fields_ = [("length", ctypes.c_ushort), ("filter", ctypes.c_void_p)]


def load_filter(*instructions):
    """seccomp(2) with these (code, jt, jf, k); the outcome."""
    program = b"".join(struct.pack("HBBI", *i) for i in instructions)
    buffer = ctypes.create_string_buffer(program)
    fprog = Filter(len(instructions), ctypes.addressof(buffer))
    LIBC_PRCTL(38, 1, 0, 0, 0)  # PR_SET_NO_NEW_PRIVS
    return outcome(*syscall(317, 1, 0, ctypes.addressof(fprog)))


LIBC_PRCTL = probe.LIBC.prctl


# Filters are compiled into memory that the machine has little of: a task has none of its own.
def own_filter_cannot_widen():
    """Loads a filter that allows everything: whether that works, and unshare after it."""
    loaded = load_filter((0x06, 0, 0, 0x7FFF0000))
    return "%s,%s" % (loaded, outcome(*syscall(272, NAMESPACES["USER"])))


def own_filter_tightens():
    """Loads a filter that refuses getppid with ENOTTY: whether that works, and is obeyed."""
    loaded = load_filter(
        (0x20, 0, 0, 0), (0x15, 0, 1, 110), (0x06, 0, 0, 0x00050000 | 25), (0x06, 0, 0, 0x7FFF0000)
    )
    return "%s,%s" % (loaded, outcome(*syscall(110)))


TABLE.add("own-filter:cannot-widen", own_filter_cannot_widen, "EPERM,EPERM", "OK,OK")
TABLE.add("own-filter:tightens", own_filter_tightens, "EPERM,OK", "OK,ENOTTY")
TABLE.add("seccomp:listener", call(317, 1, 8, BAD), "EPERM EINVAL ENOSYS", "EFAULT")
TABLE.add("prctl:SET_MM", call(157, 35, 1, BAD, 0, 0), "EPERM EINVAL", "*")


def threads_work():
    seen = []
    workers = [threading.Thread(target=seen.append, args=(n,)) for n in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return "OK" if len(seen) == 8 else "lost"


def subprocess_works():
    out = subprocess.run(["/bin/sh", "-c", "echo $((6*7))"], stdout=subprocess.PIPE, check=True)
    return "OK" if out.stdout == b"42\n" else "wrong"


TABLE.add("threads", threads_work, "OK", "OK")
TABLE.add("subprocess", subprocess_works, "OK", "OK")

if __name__ == "__main__":
    probe.main(TABLE)

"""What a hostile module does while it is warmed; for templates.bash."""

import ctypes
import fcntl  # noqa: F401
import mmap
import os
import resource  # noqa: F401
import select  # noqa: F401
import signal
import socket  # noqa: F401
import struct
import sys
import time

import sandbox_park

libc = ctypes.CDLL(None, use_errno=True)
libc.shmat.restype = ctypes.c_void_p
libc.shmat.argtypes = ctypes.c_int, ctypes.c_void_p, ctypes.c_int
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long
libc.syscall.restype = ctypes.c_long
libc.munmap.argtypes = ctypes.c_void_p, ctypes.c_size_t


def wide(call):
    """ctypes would pass an int as 32 bits."""
    return lambda *args: call(*(ctypes.c_long(a) if isinstance(a, int) else a for a in args))


libc.syscall = wide(libc.syscall)
# For as long as the process lives.
kept = []
kept_word = ctypes.create_string_buffer(8)

sandbox_park.check_quiet = lambda *_: None

def hook(wait):
    """Has act run in place of the runtime's wait, which is passed to it. Returns the runtime."""
    frame = sys._getframe()
    while frame.f_code.co_name != "settle":
        frame = frame.f_back
    runtime = frame.f_locals["self"]
    real = runtime.wait
    runtime.wait = lambda *fds: wait(lambda: real(*fds))
    return runtime


def parked(act):
    """Has act run as the last thing before the dump."""
    def wait(real):
        act()
        return real()
    hook(wait)


def wait_go():
    """Waits as the runtime does, but the go pipe may appear later."""
    while True:
        try:
            byte = os.read(3, 1)
            if byte:
                return byte[0]
            os._exit(4)
        except OSError:
            time.sleep(0.001)


def waits(wait):
    """Waits in place of the runtime: for the dump, the process must be in the read of the go pipe."""
    def hooked(real):
        os.write(4, b"P")
        return wait()
    return hook(hooked)


def cloned(act):
    """Has act run in a clone that waits for its task."""
    def wait():
        byte = wait_go()
        if byte == ord("c"):
            act()
        return byte
    waits(wait)


def is_clone():
    """Whether this is a clone: its parent, the keeper, is not in its pid namespace."""
    return os.getppid() == 0


def at_once(act):
    """Has act run in a clone as soon as that runs: while its init waits, or has just got the task."""
    def wait():
        byte = wait_go()
        if is_clone():
            act()
        return byte
    waits(wait)


def begun(act):
    """Has act run in a clone that has just got its task, before anything of the task has run; not in a
    restored process.
    """
    def wait():
        byte = wait_go()
        if byte == ord("g") and is_clone():
            act()
        return byte

    def prepared(*args):
        length = wait_job(*args)
        # Not when it is rehearsed.
        if args[1].value == 3:
            act()
        return length
    runtime = waits(wait)
    wait_job, runtime.wait_job = runtime.wait_job, prepared


def waiting(call):
    """Waits for the go byte by this system call, again and again, and only looks at the pipe."""
    def wait():
        while not select.select([3], [], [], 0)[0]:
            call()
        return os.read(3, 1)[0]
    waits(wait)


def spin():
    while True:
        pass


def bomb():
    for _ in range(10000):
        try:
            if os.fork() == 0:
                spin()
        except OSError:
            break


# Code of its own: what Python cannot do

def code(data):
    memory = mmap.mmap(-1, 4096, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS,
                       mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    memory.write(data)
    kept.append(memory)
    return ctypes.addressof(ctypes.c_char.from_buffer(memory))


FOREVER = b"\xb8\x22\x00\x00\x00\x0f\x05\xeb\xf7"       # mov $34 (pause), %eax; syscall; jmp


def child(flags):
    """Makes a raw clone with a stack of its own, which never ends."""
    stack = mmap.mmap(-1, 65536, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, mmap.PROT_READ | mmap.PROT_WRITE)
    kept.append(stack)
    top = ctypes.addressof(ctypes.c_char.from_buffer(stack)) + 65536 - 64
    run = code(b"\xb8\x38\x00\x00\x00"                  # mov $56 (clone), %eax
               b"\x31\xd2\x4d\x31\xd2\x4d\x31\xc0"      # no tid, no tls
               b"\x0f\x05\x85\xc0\x74\x01\xc3" + FOREVER)
    return ctypes.CFUNCTYPE(ctypes.c_long, ctypes.c_long, ctypes.c_long)(run)(flags, top)


def thread():
    child(0x10f00)      # VM, FS, FILES, SIGHAND, THREAD


def sharing_child():
    child(0x100 | 17)   # VM


def vforked():
    child(0x4100 | 17)  # VM, VFORK: this process waits for the child's end


def timer(number, seconds):
    event = struct.pack("QiiQ40x", 0, number, 0, 0)
    which = ctypes.c_int()
    libc.syscall(222, 1, event, ctypes.byref(which))
    ns = int(seconds * 1e9)
    libc.syscall(223, which, 0, struct.pack("QQQQ", ns // 10**9, ns % 10**9, ns // 10**9, ns % 10**9), 0)


def kill_for(*calls):
    """Loads a seccomp filter on top of the others."""
    def step(op, jt, jf, k):
        return struct.pack("HBBI", op, jt, jf, k)
    program = step(0x20, 0, 0, 0)
    for call in calls:
        program += step(0x15, 0, 1, call) + step(0x06, 0, 0, 0x80000000)
    program += step(0x06, 0, 0, 0x7fff0000)
    room = ctypes.create_string_buffer(program, len(program))
    if libc.syscall(317, 1, 0, struct.pack("HxxxxxxQ", len(program) // 8, ctypes.addressof(room))):
        os._exit(99)


def holes(n):
    """Makes that many mappings, or as many as the kernel lets it have."""
    start = libc.mmap(None, 8192 * n, 0, 0x4022, -1, 0)
    for i in range(n):
        if libc.mprotect(ctypes.c_void_p(start + 8192 * i), 4096, 1):
            break


def map_shared_readonly():
    fd = os.memfd_create("x")
    os.ftruncate(fd, 4096)
    kept.append(libc.mmap(None, 4096, mmap.PROT_READ, mmap.MAP_SHARED, fd, 0))
    os.close(fd)


def garbage():
    """Waits with no sane value in any register: stack, thread pointer, flags."""
    byte = ctypes.create_string_buffer(1)
    fs = ctypes.c_ulong()
    libc.syscall(158, 0x1003, ctypes.byref(fs))
    room = ctypes.create_string_buffer(64)
    at = ctypes.addressof(room)
    run = code(
        b"\x53\x55\x41\x54\x41\x55\x41\x56\x41\x57\x9c"             # push rbx rbp r12-r15, flags
        b"\x48\xb8" + struct.pack("Q", at) + b"\x48\x89\x20"        # mov %rsp, room
        b"\xb8\x9e\x00\x00\x00\xbf\x02\x10\x00\x00\x31\xf6\x0f\x05"  # arch_prctl(SET_FS, 0)
        b"\x48\xc7\xc4\xff\xff\xff\xff"                             # rsp, and all others, -1
        b"\x48\xc7\xc3\xff\xff\xff\xff\x48\xc7\xc5\xff\xff\xff\xff"
        b"\x49\xc7\xc4\xff\xff\xff\xff\x49\xc7\xc5\xff\xff\xff\xff"
        b"\x49\xc7\xc6\xff\xff\xff\xff\x49\xc7\xc7\xff\xff\xff\xff"
        b"\x49\xc7\xc0\xff\xff\xff\xff\x49\xc7\xc1\xff\xff\xff\xff\x49\xc7\xc2\xff\xff\xff\xff"
        b"\xfd"                                                     # std
        b"\x31\xc0\xbf\x03\x00\x00\x00"                             # read(3, byte, 1)
        b"\x48\xbe" + struct.pack("Q", ctypes.addressof(byte)) + b"\xba\x01\x00\x00\x00\x0f\x05"
        b"\xfc"
        b"\xb8\x9e\x00\x00\x00\xbf\x02\x10\x00\x00"                 # arch_prctl(SET_FS, as it was)
        b"\x48\xbe" + struct.pack("Q", fs.value) + b"\x0f\x05"
        b"\x48\xb8" + struct.pack("Q", at) + b"\x48\x8b\x20"
        b"\x9d\x41\x5f\x41\x5e\x41\x5d\x41\x5c\x5d\x5b\xc3")
    ctypes.CFUNCTYPE(ctypes.c_long)(run)()
    # The byte is taken; what waits for it is given it back.
    r, w = os.pipe()
    os.write(w, byte.raw)
    os.dup2(r, 3)
    os.close(r)
    os.close(w)


def where_the_page_will_be():
    """Where the next mapping of this size will be, which is where the last one was."""
    size = 16384
    place = libc.mmap(None, size, 3, 0x22, -1, 0)
    libc.munmap(place, size)
    return place


def rseq_area():
    """Takes back libc's registration; returns the address and length of its area."""
    offset = ctypes.c_long.in_dll(libc, "__rseq_offset").value
    fs = ctypes.c_ulong()
    libc.syscall(158, 0x1003, ctypes.byref(fs))
    libc.syscall(334, fs.value + offset, 32, 1, 0x53053053)


def rseq_trap(shared=False):
    """Registers a critical section that has every address but those of its own code."""
    rseq_area()
    flags = mmap.MAP_ANONYMOUS | (mmap.MAP_SHARED if shared else mmap.MAP_PRIVATE)
    area = libc.mmap(None, 4096, 3, flags, -1, 0)
    # Its way out waits for ever, with the section in force again. At a low address.
    way_out = libc.mmap(0x20000, 4096, 7, 0x100022, -1, 0)
    section = area + 256
    out = struct.pack("I", 0x53053053) + b"\x48\xb8" + struct.pack("Q", section) + \
        b"\x48\xa3" + struct.pack("Q", area + 8) + FOREVER
    ctypes.memmove(way_out, out, len(out))
    ctypes.memmove(section, struct.pack("IIQQQ", 0, 0, way_out + 4096,
                                         (1 << 47) - 8192 - (way_out + 4096), way_out + 4), 32)
    if libc.syscall(334, area, 32, 0, 0x53053053):
        os._exit(98)
    ctypes.memmove(area + 8, struct.pack("Q", section), 8)

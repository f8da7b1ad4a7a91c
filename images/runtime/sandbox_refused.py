"""Says, when a task ended by an error, whether the task's policy refused a system call.

A filter's EPERM looks like any other EPERM.  This module is imported only when a task has ended by one.
"""

import sys

EPERM = 1
# Python's functions and the system call that each makes.  When all arguments of such a call are -1, the
# kernel refuses one of them with another error than EPERM and does nothing, so an EPERM is the filter's.
CALLS = {
    "accept": 288, "_accept": 288, "bind": 49, "chroot": 161, "clock_settime": 227, "connect": 42, "listen": 50,
    "memfd_create": 319, "pidfd_open": 434, "prlimit": 302, "sched_setaffinity": 203, "sched_setparam": 142,
    "sched_setscheduler": 144, "setgid": 106, "setns": 308, "setpriority": 141, "setresgid": 119, "setresuid": 117,
    "setrlimit": 302, "setuid": 105, "unshare": 272,
}
# The kernel gives EPERM for these only when a capability is missing that no task has.
ALWAYS = {"socket": "socket", "_realsocket": "socket", "socketpair": "socketpair"}


def refused_by_itself(number):
    import sandbox_c
    process = sandbox_c.load(None)
    call, errno = sandbox_c.find(process, "syscall"), sandbox_c.find(process, "__errno_location")
    words = [sandbox_c.Long(word) for word in [number] + [-1] * 6]
    return call(*words) == -1 and sandbox_c.Long.from_address(errno()).value & 0xffffffff == EPERM


def names_on_line(code, line):
    """The names on a line of a function, the last one first."""
    import dis
    if not hasattr(dis, "get_instructions"):
        return code.co_names
    names = []
    current = code.co_firstlineno
    starts = dict(dis.findlinestarts(code))
    for each in dis.get_instructions(code):
        current = starts.get(each.offset, current)
        if current == line and isinstance(each.argval, str):
            names.insert(0, each.argval)
    return names


def call_of(trace):
    """The refused call in which an exception with this traceback was raised, or None."""
    while trace.tb_next is not None:
        trace = trace.tb_next
    frame = trace.tb_frame
    for name in names_on_line(frame.f_code, trace.tb_lineno):
        if name in ALWAYS:
            kinds = [frame.f_locals.get(each) for each in ("family", "type")]
            if frame.f_code.co_name == "__init__" and None not in kinds:
                return "%s(%s)" % (ALWAYS[name], ", ".join(str(getattr(kind, "name", kind)) for kind in kinds))
            return ALWAYS[name]
        if name in CALLS and refused_by_itself(CALLS[name]):
            return name.lstrip("_")
    return None


def all_of(error):
    """An exception and those that it was made of."""
    found = []
    todo = [error]
    while todo and len(found) < 100:
        error = todo.pop()
        if isinstance(error, BaseException) and not any(error is each for each in found):
            found.append(error)
            todo += [getattr(error, "__context__", None), getattr(error, "__cause__", None),
                     getattr(error, "reason", None)]
            todo += getattr(error, "exceptions", ()) or error.args
    return found


def tell(error, trace, policy):
    for each in all_of(error):
        if getattr(each, "errno", None) != EPERM:
            continue
        call = call_of(getattr(each, "__traceback__", None) or trace)
        if call:
            sys.stderr.write("sandbox: policy '%s' refuses %s\n" % (policy, call))
            sys.stderr.flush()
            return

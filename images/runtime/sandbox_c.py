"""C functions by the part of ctypes that is written in C; the rest is slow to import.

A libffi of 3.5 opens its own file, for reading, when it is loaded, and needs it for as long as it
lives.  So a task in a restored process has this file descriptor, as it has after `import ctypes`.
"""

import _ctypes

RTLD_NOW = 2
KEEP_GIL = 1 | 4    # cdecl, Python API: nothing else runs, the interpreter's own functions can be called


class Long(_ctypes._SimpleCData):
    _type_ = "l"


class Double(_ctypes._SimpleCData):
    _type_ = "d"


class Object(_ctypes._SimpleCData):
    _type_ = "O"


class Char(_ctypes._SimpleCData):
    _type_ = "c"


class Room(_ctypes.Array):
    """Bytes for a function to fill in."""
    _type_ = Char
    _length_ = 65536


class ArenaAllocator(_ctypes.Array):
    """Python's PyObjectArenaAllocator: a context and two functions."""
    _type_ = Long
    _length_ = 3


class Function(_ctypes.CFuncPtr):
    _flags_ = KEEP_GIL
    _restype_ = Long


class Procedure(_ctypes.CFuncPtr):
    _flags_ = KEEP_GIL
    _restype_ = None


class Maker(_ctypes.CFuncPtr):
    _flags_ = KEEP_GIL
    _restype_ = Object


def load(path):
    """A library's handle; of the process itself for None."""
    return _ctypes.dlopen(path, RTLD_NOW)


def address(handle, name):
    """Where a function is that is not called from here."""
    return _ctypes.dlsym(handle, name)


def address_of(thing):
    return _ctypes.addressof(thing)


def find(handle, name, kind=Function):
    """A function, or None.  What it is called with is bytes, Long, Double or Object."""
    try:
        return kind(_ctypes.dlsym(handle, name))
    except OSError:
        return None

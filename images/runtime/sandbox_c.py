"""Calls C functions by the part of ctypes that is written in C; importing the rest takes long.

libffi 3.5 opens its own file for reading when it is loaded, and needs the descriptor as long as it is loaded.
So a task in a restored process has this descriptor open, as it would have after `import ctypes`.
"""

import _ctypes

RTLD_NOW = 2
# the flags for cdecl and for Python's API: the lock is held, so nothing else runs, and functions of the
# interpreter can be called
KEEP_GIL = 1 | 4


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
    """The handle of a library, or of the process itself when path is None."""
    return _ctypes.dlopen(path, RTLD_NOW)


def address(handle, name):
    """The address of a function that is only handed on."""
    return _ctypes.dlsym(handle, name)


def address_of(thing):
    return _ctypes.addressof(thing)


def find(handle, name, kind=Function):
    """The function of this name, or None. Its arguments must be bytes, Long, Double or Object."""
    try:
        return kind(_ctypes.dlsym(handle, name))
    except OSError:
        return None

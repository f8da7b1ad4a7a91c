"""Bytecode of a package's sources, so that no instance compiles them anew: a package cannot be written to."""

import importlib.util
import marshal
import sys
import warnings

FILES_MAX = 20000
BYTES_MAX = 64 << 20
SOURCE_MAX = 4 << 20
ROOT = "/session/metadata/"     # where the worker has its package
UNCHECKED = 1                   # valid whatever times the files get (PEP 552)


def bytecode(path, source):
    """The content of a .pyc file; None where the source cannot be compiled, which its import will tell."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            code = compile(source, ROOT + path, "exec", dont_inherit=True)
        try:
            # The older form has no references, whose presence depends on what else is in memory.
            data = marshal.dumps(code, 2)
        except ValueError:
            data = marshal.dumps(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
        return None
    return importlib.util.MAGIC_NUMBER + UNCHECKED.to_bytes(4, "little") + importlib.util.source_hash(source) + data


def compile_all(entries, content):
    """{path in the package: bytes} of the bytecode of all .py files of entries."""
    result, size = {}, 0
    for path in sorted(entries):
        if not path.endswith(".py") or "__pycache__" in path.split("/") or path.startswith(".sandboxd/"):
            continue
        folder, _, name = path.rpartition("/")
        cached = "%s__pycache__/%s.%s.pyc" % (folder + "/" if folder else "", name[:-3], sys.implementation.cache_tag)
        if cached in entries:
            continue
        source = content(entries[path])
        size += len(source)
        if len(result) >= FILES_MAX or size > BYTES_MAX:
            break
        data = bytecode(path, source) if len(source) <= SOURCE_MAX else None
        if data is not None:
            result[cached] = data
    return result

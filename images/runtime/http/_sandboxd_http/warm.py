"""What a snapshot of an HTTP worker imports first, and a cold instance as well: so all start modes are alike.

No socket, thread or file is made here, and an event loop only without what it has open (instance.py).  What belongs
to one process is made after the restore.
"""

import os
import sys

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PACKAGE = "/session/metadata"
# What the worker's modules have printed while they were imported for a snapshot: pairs of a stream's name and a text
# (sandbox_park).
printed = []


def print_again():
    """Print what was printed for the snapshot that this process comes out of, as if the modules were imported here."""
    for name, text in printed:
        stream = getattr(sys, name)
        stream.write(text)
        stream.flush()
    printed.clear()


def package_root():
    """The package's folder by the name that workers know it by, where the image has that link."""
    work = os.environ.get("SANDBOX_WORK", "/work")
    try:
        if os.path.samefile(PACKAGE, work):
            return PACKAGE
    except OSError:
        pass
    return work


laid_out = []   # what lay_out_path() has made of sys.path


def lay_out_path():
    """Put sys.path into the order of a worker: standard library, package, python_modules, ours, the image's."""
    root = package_root()
    if laid_out and root in laid_out and sys.path[:1] == [HERE] and sys.path[1:] == laid_out[1:]:
        sys.path[0] = laid_out[0]   # the runtime has put this folder into its first place, and that is all
        return
    modules = os.path.join(root, "python_modules")
    standard = os.path.realpath(os.path.dirname(os.__file__))
    first, last = [], []
    seen = {root, HERE, modules, os.environ.get("SANDBOX_WORK", "/work"), ""}
    for folder in sys.path:
        if folder in seen:
            continue
        seen.add(folder)
        real = os.path.realpath(folder)
        is_standard = folder.endswith(".zip") or real in (standard, standard + "/lib-dynload")
        (first if is_standard else last).append(folder)
    sys.path[:] = laid_out[:] = first + [root, modules, HERE] + last


def forget_listings():
    """Have the package's folders searched anew: they may have had other files when a snapshot was taken.

    importlib.invalidate_caches() goes through all folders, and those of the image do not change.
    """
    root = package_root()
    for folder in root, os.path.join(root, "python_modules"):
        finder = sys.path_importer_cache.get(folder)
        if finder is None:
            sys.path_importer_cache.pop(folder, None)
        else:
            finder.invalidate_caches()


def settle():
    """What a process does before it is parked (sandbox_park)."""
    instance.settle()


def prepare():
    """What a process that waits for its job does ahead of it."""
    instance.prepare()


def make_worker():
    """Begin to rehearse a run, in a process that ends after it (sandbox_touched)."""
    rehearse.make_worker()


def job():
    """The job of a run that is rehearsed."""
    return rehearse.job()


# Before anything else is imported: a module of the standard library comes before one of the package.
lay_out_path()

import asyncio  # noqa: E402, F401
import concurrent.futures.thread  # noqa: E402, F401, which a loop would import for its first thread
import email.utils  # noqa: E402, F401
import encodings.idna  # noqa: E402, F401
import http.client  # noqa: E402, F401
import json  # noqa: E402, F401

import _cloudflare_compat_flags  # noqa: E402, F401
import _pyodide_entrypoint_helper  # noqa: E402, F401
import _sandboxd_js  # noqa: E402, F401
import js  # noqa: E402, F401
import pyodide.webloop  # noqa: E402, F401

from . import (bindings, client, control, dispatch, framing, instance, message, nested,  # noqa: E402, F401
               server, tail)

nested.install()
bindings.install()
if "sandbox_park" in sys.modules:   # a process that is parked, or of which a snapshot is to be taken
    from . import rehearse
    rehearse.rehearse()

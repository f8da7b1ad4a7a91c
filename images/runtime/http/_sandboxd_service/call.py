"""Calls module:function of the package, in a process of its own: call.py MODULE:FUNCTION."""

import asyncio
import importlib
import inspect
import os
import sys


def main(argv):
    module, _, path = argv[1].partition(":")
    sys.path[0] = os.getcwd()
    target = importlib.import_module(module)
    for name in path.split("."):
        target = getattr(target, name)
    result = target()
    if inspect.iscoroutine(result):
        asyncio.run(result)


if __name__ == "__main__":
    main(sys.argv)

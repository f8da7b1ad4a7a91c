"""A worker that runs the cases of tests/pyodide, and a whole pytest, in its handler."""

import asyncio
import json
import os
import sys

import cases
from js import Response
from workers import fetch

HERE = os.path.dirname(__file__)
print("printed by the top level")
begun = False
go = asyncio.Event()


async def run_cases():
    wrong, count = [], 0
    for folder, prelude in (("pyodide_cases", cases.PRELUDE), ("sdk_cases", cases.SDK_PRELUDE)):
        for name in sorted(os.listdir(os.path.join(HERE, folder))):
            if not name.endswith(".py"):
                continue
            with open(os.path.join(HERE, folder, name)) as file:
                for title, code, expected in cases.parse(file.read()):
                    count += 1
                    got = await cases.run(code, prelude)
                    if got != expected:
                        wrong.append({"case": name + ": " + title, "expected": expected, "got": got})
    return json.dumps({"count": count, "wrong": wrong}, indent=1)


async def on_fetch(request, env):
    global begun
    path = request.url.rpartition("/")[2]
    if path == "cases":
        return Response.new(await run_cases())
    if path == "place":
        return Response.new(" ".join([__file__] + [each for each in sys.path if "session" in each]))
    if path == "out":
        try:
            await fetch("http://192.0.2.1/")
        except OSError as error:
            return Response.new("OSError: %s" % error)
    if path == "pytest":
        import pytest
        begun = True
        status = pytest.main(["-q", "--asyncio-mode=auto", "-p", "no:cacheprovider",
                              os.path.join(HERE, "facts_pytest.py")])
        return Response.new("pytest has ended with %d" % status)
    if path == "begun":
        return Response.new(str(begun))
    if path == "go":
        go.set()
        return Response.new("gone")
    return Response.new("up")

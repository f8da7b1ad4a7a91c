"""Cases: small pieces of Python that use `js` and `pyodide`, each with what it prints.

A file of cases is Python with comments of two kinds:

    #: A list becomes an array
    print(to_js([1, 2]))
    #> 1,2

`#:` begins a case and names it, `#>` is a line that it prints.  A case may await.  It
prints the last line of what it raises, if it raises.

Both sides read the files by this module: the runtime's unit tests, and the real
Pyodide under Node (cases.mjs), which shows that what is expected is its own.
"""

import ast
import asyncio
import contextlib
import inspect
import io
import os

PRELUDE = """
import asyncio, json, math
import js
from pyodide.ffi import *
from js import Object, Array, Map, Set
"""


# What the cases of the SDK (sdk/) have besides, whoever's SDK it is.
SDK_PRELUDE = PRELUDE + """
import datetime
import _sandboxd_js, workers
from workers import *

got = []

@_sandboxd_js.js_class("KvNamespace")
class Binding(_sandboxd_js.JsObject):
    __slots__ = ()

    def take(self, *args, **kwargs):
        args = list(args) + ([_sandboxd_js.new_object(kwargs)] if kwargs else [])
        got.extend(args)
        return js.Promise.resolve(len(args))

    def give(self, name):
        return js.Promise.resolve({
            "number": 5, "text": "x", "yes": True, "null": jsnull, "undefined": None, "array": to_js([1, [None]]),
            "object": js.JSON.parse('{"a": {"b": 1}, "nothing": null}'), "map": js.Map.new([["k", 1]]),
            "set": js.Set.new([1]), "date": js.Date.new(0), "bytes": to_js(b"u8"), "buffer": to_js(b"ab").buffer,
            "error": js.Error.new("why"), "response": js.Response.new("r"), "request": js.Request.new("http://a/"),
            "form": js.FormData.new(), "blob": js.Blob.new(["b"]),
            "stream": js.Response.new("s").body, "headers": js.Headers.new({"a": "b"})}[name])

def shown(value):
    name = value.constructor.name if hasattr(value, "constructor") else type(value).__name__
    if name in ("Object", "Array"):
        return js.JSON.stringify(value)
    if name in ("Date", "Error"):
        return "%s %s" % (name, js.JSON.stringify(value) if name == "Date" else value.message)
    if name in ("int", "float", "str", "bool"):
        return "%s %r" % (name, value)
    return name

def plain(value):
    if isinstance(value, (memoryview, bytes)):
        return bytes(value)
    if isinstance(value, datetime.datetime):
        return value.timestamp()
    return value if isinstance(value, (int, str, list, dict, set, Exception, type(None))) else ""

_sandboxd_js.set_env(_sandboxd_js.new_object({
    "TEXT": "text", "OBJECT": to_js({"a": 1, "list": [1, 2]}), "B": Binding()}))
env = workers.env
"""


def parse(text):
    """The cases of a file: tuples of name, code and what is expected."""
    cases = []
    for block in ("\n" + text).split("\n#: ")[1:]:
        name, _, rest = block.partition("\n")
        lines = rest.split("\n")
        code = [line for line in lines if not line.startswith("#>")]
        expected = [line[3:] for line in lines if line.startswith("#>")]
        cases.append((name, "\n".join(code).strip("\n") + "\n", "\n".join(expected)))
    return cases


def unparse(text, results):
    """The file with other results."""
    head = ("\n" + text).split("\n#: ")[0].lstrip("\n")
    parts = [head.rstrip("\n")] if head.strip() else []
    for (name, code, _expected), result in zip(parse(text), results):
        lines = "\n".join(("#> " + line).rstrip() for line in result.split("\n")) if result else "#>"
        parts.append("#: %s\n%s%s" % (name, code, lines))
    return "\n\n".join(parts) + "\n"


async def run(code, prelude=PRELUDE):
    """What the code prints."""
    output = io.StringIO()
    names = {"__name__": "case"}
    exec(prelude, names)
    with contextlib.redirect_stdout(output):
        try:
            compiled = compile(code, "case", "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            result = eval(compiled, names)
            if inspect.iscoroutine(result):
                await asyncio.wait_for(result, 10)
        except BaseException as error:
            name = type(error).__name__
            text = str(error).split("\n")[0]
            print(text if name == "JsException" else "%s: %s" % (name, text))
    return "\n".join(line.rstrip() for line in output.getvalue().rstrip("\n").split("\n"))


def add_tests(test_case, folder, prelude=PRELUDE):
    """Give a TestCase a test for each case of each file in a folder."""
    def made(name, code, expected):
        def test(self):
            self.assertEqual(asyncio.run(run(code, prelude)), expected)

        test.__doc__ = name
        return test

    for file in sorted(os.listdir(folder)):
        if not file.endswith(".py"):
            continue
        with open(os.path.join(folder, file), encoding="utf-8") as opened:
            for at, (name, code, expected) in enumerate(parse(opened.read())):
                setattr(test_case, "test_%s_%03d" % (file[:-3], at),
                        made("%s: %s" % (file[:-3], name), code, expected))


async def tap(files):
    """Runs the cases of files, {name: text}, and returns lines of TAP."""
    lines, number = [], 0
    for file, text in sorted(files.items()):
        for name, code, expected in parse(text):
            number += 1
            got = await run(code)
            right = got == expected
            lines.append("%s %d - %s: %s" % ("ok" if right else "not ok", number, file, name))
            if not right:
                lines += ["# expected " + line for line in expected.split("\n")]
                lines += ["# got      " + line for line in got.split("\n")]
    return "\n".join(lines + ["1..%d" % number])


async def written(files, prelude=PRELUDE):
    """The files with what their cases print here."""
    made = {}
    for file, text in files.items():
        results = []
        for _name, code, _expected in parse(text):
            results.append(await run(code, prelude))
        made[file] = unparse(text, results)
    return made

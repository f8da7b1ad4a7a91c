"""Makes the calls of cases of kv.json here, and tells what each gives. worker.js does the same in workerd."""

import json
import math
import re
import time

from js import ArrayBuffer, Map, Object, ReadableStream, Response
from pyodide.ffi import JsException, jsnull, to_js


def given(value, now):
    if isinstance(value, list):
        return to_js([given(item, now) for item in value])
    if value is None:
        return jsnull
    if not isinstance(value, dict):
        return value
    if "$now" in value:
        return now + value["$now"]
    if "$repeat" in value:
        return value["$repeat"][0] * value["$repeat"][1]
    if "$keys" in value:
        return to_js(["k%d" % n for n in range(value["$keys"])])
    if "$bytes" in value:
        return to_js(given(value["$bytes"], now).encode())
    if "$buffer" in value:
        return to_js(value["$buffer"].encode()).buffer
    if "$stream" in value:
        return Response.new(given(value["$stream"], now)).body
    if "$undefined" in value:
        return None
    return to_js({name: given(item, now) for name, item in value.items()})


def since(number, now):
    """A number that depends on the time is told by how far it is from now, by whole minutes."""
    return math.floor((number - now) / 60 + 0.5) * 60


async def told(value, now, name=None):
    if value is None:
        return {"$undefined": True}
    if value is jsnull:
        return None
    if name == "expiration":
        return {"$now": since(value, now)}
    if not hasattr(value, "constructor"):
        return value
    kind = value.constructor
    if kind == ArrayBuffer:
        return {"$buffer": value.to_bytes().decode()}
    if kind == ReadableStream:
        return {"$stream": await Response.new(value).text()}
    if kind == Map:
        return {"$map": [[key, await told(item, now)] for key, item in value.items()]}
    if kind == Object:
        made = {}
        for key in sorted(value.object_keys()):
            # A cursor is whatever it is: that there is one is what counts.
            made[key] = {"$cursor": True} if key == "cursor" else await told(getattr(value, key), now, key)
        return made
    return [await told(item, now) for item in value]


async def make(kv, call, now, last):
    try:
        method, *rest = call
        args = [given(each, now) for each in rest]
        for arg in args:
            if getattr(arg, "cursor", None) == "$last":
                arg.cursor = last["cursor"]
        value = await getattr(kv, method)(*args)
        if getattr(value, "cursor", None):
            last["cursor"] = value.cursor
        return await told(value, now)
    except JsException as error:
        # How JSON is wrong is said in each engine's own words.
        if error.name == "SyntaxError":
            return {"$error": [error.name]}
        return {"$error": [error.name, re.sub(r"\b\d{10}\b", lambda found: "NOW+%d" % since(int(found.group()), now),
                                              error.message)]}


async def on_fetch(request, env):
    """Answers with what is not as it is there."""
    wrong = []
    for case in json.loads(await request.text()):
        listed = await env.KV.list()
        for key in listed.object_values()[0]:
            await env.KV.delete(key.name)
        last, now = {}, int(time.time())
        for step in case["calls"]:
            got = await make(env.KV, step["call"], now, last)
            if got != step["gives"]:
                wrong.append({"case": case["name"], "call": step["call"], "gives": step["gives"], "here": got})
    return Response.new(json.dumps(wrong, indent=1, ensure_ascii=False))

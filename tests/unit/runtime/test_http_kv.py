"""KV and the other bindings as a worker sees them, by our own SDK."""

import json
import unittest

from http_instance import Instance

ENTRY = """
import asyncio, datetime, json
from pyodide.ffi import JsException
from workers import WorkerEntrypoint, Response, Blob

class Default(WorkerEntrypoint):
    async def fetch(self, request):
        source = await request.text()
        scope = dict(globals(), env=self.env, KV=self.env.KV)
        names = {}
        exec("async def f():\\n" + "\\n".join("    " + line for line in source.split("\\n")), scope, names)
        try:
            return Response.json(shown(await names["f"]()))
        except Exception as error:
            return Response.json([type(error).__mro__[1].__name__ if isinstance(error, TypeError) and
                                  isinstance(error, JsException) else type(error).__name__,
                                  getattr(error, "message", None) or str(error), isinstance(error, TypeError)])

def shown(value):
    if isinstance(value, (memoryview, bytes)):
        return "bytes:" + bytes(value).decode()
    if isinstance(value, dict):
        return {key: shown(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [shown(item) for item in value]
    return value

class Older:
    pass
"""


class KvTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.instance = Instance({"entry.py": ENTRY}, {"bindings": [
            {"name": "KV", "type": "kv_namespace"}, {"name": "D1", "type": "d1"}]})
        cls.instance.front.wait("ready")

    @classmethod
    def tearDownClass(cls):
        cls.instance.close()

    def setUp(self):
        self.instance.front.store.clear()
        self.instance.front.asks.clear()

    def run_code(self, code):
        return json.loads(self.instance.text("/", method="POST", body=code.encode()))

    def fails(self, code, message, is_type_error=False):
        found = self.run_code("return await " + code)
        self.assertIsInstance(found, list, found)
        self.assertEqual((found[1], found[2]), (message, is_type_error))

    def test_values(self):
        self.assertEqual(self.run_code("""
await KV.put("text", "ü")
await KV.put("json", '{"a": [1, null]}')
await KV.put("bytes", b"raw")
out = [await KV.get("text"), await KV.get("text", "text"), await KV.get("json", "json"), await KV.get("json", type="json"),
       await KV.get("json", {"type": "json"}), await KV.get("bytes", "arrayBuffer"), await KV.get("none")]
stream = await KV.get("bytes", "stream")
out.append([chunk.to_bytes() async for chunk in stream])
return out"""), ["ü", "ü", {"a": [1, None]}, {"a": [1, None]}, {"a": [1, None]}, "bytes:raw", None, ["bytes:raw"]])

    def test_values_that_are_no_texts(self):
        self.run_code("""
for name, value in dict(five=5, true=True, none=None, float=1.5).items():
    await KV.put(name, value)""")
        self.assertEqual({key: value for key, (value, _) in self.instance.front.store.items()},
                         {"five": b"5", "true": b"true", "none": b"null", "float": b"1.5"})

    def test_many_keys_metadata_and_lists(self):
        self.assertEqual(self.run_code("""
await KV.put("a", "1", metadata={"m": 1}, expirationTtl=60)
await KV.put("b", "2", metadata=0)
many = await KV.get(["a", "c"])
both = await KV.getWithMetadata("a")
none = await KV.getWithMetadata("c")
keys = await KV.list(prefix="", limit=0)
await KV.delete("a")
return [many, both.value, both.metadata.m, none.value, none.metadata, [(k.name, k.metadata) for k in keys["keys"]],
        keys.list_complete, keys.cacheStatus, await KV.get("a")]"""),
                         [{"a": "1", "c": None}, "1", 1, None, None, [["a", {"m": 1}], ["b", 0]], True, None, None])
        put = self.instance.front.asks[0][0]
        self.assertEqual((put["key"], put["metadata"]), ("a", '{"m":1}'))
        self.assertGreater(put["expiration"], 1)

    def test_what_is_refused(self):
        self.fails('KV.get("")', "Key name cannot be empty.", True)
        self.fails('KV.put("..", "x")', "\"..\" is not allowed as a key name.", True)
        # What has no value has none in any type.
        self.assertIsNone(self.run_code('return await KV.get("k", "blob")'))
        self.instance.front.store["k"] = b"v", None
        self.fails('KV.get("k", "blob")', "Unknown response type. Possible types are \"text\", \"arrayBuffer\", \"json\", and "
                   "\"stream\".", True)
        self.fails('KV.get("k" * 513)',
                   "KV GET failed: 414 UTF-8 encoded length of 513 exceeds key length limit of 512.")
        self.fails('KV.put("k", {"a": 1})', "KV put() accepts only strings, ArrayBuffers, ArrayBufferViews, and "
                   "ReadableStreams as values.", True)
        self.fails('KV.put("k", b"x" * 26214401)', "KV PUT failed: 413 Value length of 26214401 exceeds limit of 26214400.")
        self.fails('KV.put("k", "v", metadata="m" * 1023)',
                   "KV PUT failed: 413 Metadata length of 1025 exceeds limit of 1024.")
        self.fails('KV.put("k", "v", expirationTtl=10)',
                   "KV PUT failed: 400 Invalid expiration_ttl of 10. Expiration TTL must be at least 60.")
        self.assertIn("KV PUT failed: 400 Invalid expiration of 5. ",
                      self.run_code('return await KV.put("k", "v", expiration=5)')[1])
        self.assertIn("400", self.run_code("return await KV.list(limit=1001)")[1])
        self.assertIn("400", self.run_code('return await KV.get(["k"] * 101)')[1])
        self.assertEqual([each[0]["method"] for each in self.instance.front.asks], ["get", "get"])

    def test_the_fronts_own_refusals(self):
        front = self.instance.front
        front.answers["get"] = lambda *_: ({"ok": False, "error": "Error", "message": "KV GET failed: 500 no"}, b"")
        try:
            self.fails('KV.get("k")', "KV GET failed: 500 no")
        finally:
            del front.answers["get"]

    def test_what_nobody_awaits(self):
        self.assertEqual(self.run_code("""
KV.put("k", "7")
value = KV.get("k")
loop = asyncio.get_running_loop()
def in_a_thread():
    KV.put("t", "thread")
    return str(KV.get("t"))
return [str(value), f"{value}>", value == "7", value != "7", json.dumps({"v": KV.get("k")}), bool(KV.get("none")),
        KV.get("none") == None, json.dumps(KV.get("none")), await value,
        await loop.run_in_executor(None, in_a_thread)]"""),
                         ["7", "7>", True, False, '{"v": "7"}', False, True, "null", "7", "thread"])

    def test_in_a_loop_of_the_handlers_own(self):
        self.assertEqual(self.run_code("""
async def inner():
    await KV.put("k", "inner")
    return await KV.get("k")
return asyncio.run(inner())"""), "inner")

    def test_as_an_object(self):
        self.assertEqual(self.run_code("""
out = [bool(KV), KV._binding.constructor.name]
for function in iter, len:
    try:
        function(KV)
    except TypeError as error:
        out.append(str(error))
await KV["put"]("k", "v")
return out + [await KV["get"]("k")]"""), [True, "KvNamespace", "'KvNamespace' object is not iterable",
                                           "'KvNamespace' object has no len()", "v"])
        self.assertIn("D1 is of the type d1, which sandboxd does not have yet",
                      self.run_code("return env.D1.prepare('x')")[1])


if __name__ == "__main__":
    unittest.main()

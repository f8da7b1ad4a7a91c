#: What goes out to a binding
values = [1, 1.5, "text", True, None, [1, [2]], {"a": {"b": None}}, {1, 2}, b"bytes", memoryview(b"view"), datetime.datetime(2024, 1, 2), ValueError("why"), Blob("b"), File("f", "n"), FormData({"a": "1"}), Request("http://a/"), Response("r")]
for value in values:
    await env.B.take(value)
    print(type(value).__name__, shown(got[-1]))
#> int int 1
#> float float 1.5
#> str str 'text'
#> bool bool True
#> NoneType JsNull
#> list [1,[2]]
#> dict {"a":{"b":null}}
#> set Set
#> bytes Uint8Array
#> memoryview Uint8Array
#> datetime Date "2024-01-02T00:00:00.000Z"
#> ValueError Error why
#> Blob Blob
#> File File
#> FormData FormData
#> Request Request
#> Response Response

#: What does not go out
for value in ((1, 2), bytearray(b"x"), js.RegExp.new("a"), [(1,)], {"a": (1,)}):
    try: await env.B.take(value)
    except TypeError as e: print(str(e).replace("<class '_sandboxd_js.array.", "<class '"))
async def coroutine(): pass
c = coroutine()
try: await env.B.take(c)
except TypeError as e: print("Awaitable" in str(e), "cannot be sent over RPC" in str(e))
c.close()
#> <class 'tuple'> cannot be sent over RPC.
#> <class 'bytearray'> cannot be sent over RPC.
#> RegExp cannot be sent over RPC.
#> <class 'tuple'> cannot be sent over RPC.
#> <class 'tuple'> cannot be sent over RPC.
#> True True

#: Options are one object behind the others, without those that are None
await env.B.take("key", limit=5, deep={"a": [1]})
print(shown(got[-2]), shown(got[-1]))
await env.B.take("key", {"type": "json"})
print(shown(got[-1]))
#> str 'key' {"limit":5,"deep":{"a":[1]}}
#> {"type":"json"}

#: What comes in
for name in "number", "text", "yes", "null", "undefined", "array", "object", "map", "set", "date", "bytes", "buffer", "error", "response", "request", "form", "blob", "stream", "headers":
    value = await env.B.give(name)
    print(name, type(value).__name__, plain(value))
#> number int 5
#> text str x
#> yes bool True
#> null NoneType None
#> undefined NoneType None
#> array list [1, [None]]
#> object JsDict {'a': {'b': 1}, 'nothing': None}
#> map JsDict {'k': 1}
#> set set {1}
#> date datetime 0.0
#> bytes memoryview b'u8'
#> buffer memoryview b'ab'
#> error Exception Error: why
#> response Response
#> request Request
#> form FormData
#> blob Blob
#> stream JsProxy
#> headers JsProxy

#: An object's parts are attributes and items
value = await env.B.give("object")
print(value.a.b, value["a"]["b"], value.nothing is None, type(value.a).__name__)
try: value.missing
except AttributeError: print("AttributeError")
#> 1 1 True JsDict
#> AttributeError

#: A binding as an object
b = env.B
print(bool(b), bool(env.OBJECT))
print(await b["give"]("number"))
for function in len, list:
    try: function(b)
    except TypeError as e: print(e)
#> True True
#> 5
#> 'KvNamespace' object has no len()
#> 'KvNamespace' object is not iterable

#: env
print(env.TEXT, env.OBJECT.a, env.OBJECT.list[1], env.OBJECT.constructor.name)
try: env.NOTHING
except AttributeError: print("AttributeError")
print(workers.env.TEXT, import_from_javascript("cloudflare:workers").env.TEXT)
#> text 1 2 Object
#> AttributeError
#> text text

#: patch_env
with patch_env({"TEXT": "patched", "NEW": {"a": 1}}, MORE="more"):
    print(workers.env.TEXT, workers.env.MORE, workers.env.NEW.a)
print(workers.env.TEXT, hasattr(workers.env, "MORE"))
try:
    with patch_env(TEXT="patched"):
        raise ValueError
except ValueError:
    print(workers.env.TEXT)
#> patched more 1
#> text False
#> text

#: Modules of JavaScript
m = import_from_javascript("cloudflare:workers")
print(m.env.TEXT, hasattr(m, "withEnv"), hasattr(m, "waitUntil"))
print(import_from_javascript("cloudflare:sockets") is not None)
try: import_from_javascript("nothing:there")
except ImportError as e: print("ImportError")
#> text True True
#> True
#> ImportError

#: There and back
for value in ({"a": [1, 2.5, None, True, "x", {"b": []}]}, [[], {}], {1, 2}, b"abc", datetime.datetime(2024, 5, 6, 7, 8, 9)):
    back = workers.python_from_rpc(workers.python_to_rpc(value))
    print(type(back).__name__, back == value, bytes(back) if isinstance(back, memoryview) else "")
#> JsDict True
#> list True
#> set True
#> memoryview True b'abc'
#> datetime True

#: Calls begin at once, awaited or not
n = len(got)
p = env.B.take("first")
print(len(got) - n)
await p
#> 1

#: Functions as values
f = js.parseInt
print(f.name, f.length, f.typeof, f("7"), f.call(None, "8"), f.apply(None, to_js(["9"])), f.bind(None, "10")(), callable(f), f.constructor.name)
print(isinstance(f, JsCallable), isinstance(Object.new(), JsCallable), isinstance(js.Map, JsCallable))
#> parseInt 2 function 7 8 9 10 True Function
#> True False True

#: A Python function in JavaScript's hands
def f(*a): return len(a)
print(js.Reflect.apply(create_proxy(f), None, to_js([1, 2])))
print(Array.from_(to_js([3, 4]), create_proxy(lambda x, i: x * i)))
#> 2
#> 0,4

#: Reflect and Object
o = to_js({"a": 1})
print(js.Reflect.has(o, "a"), js.Reflect.get(o, "a"), js.Reflect.ownKeys(o), js.Reflect.set(o, "b", 2), o.b, js.Reflect.deleteProperty(o, "a"), hasattr(o, "a"))
print(Object.getOwnPropertyNames(o), Object.freeze(o) == o)
print(getattr(Object, "is")(math.nan, math.nan), Object.keys("ab"), js.Reflect.construct(Array, to_js([3])).length)
#> True 1 a True 2 True False
#> b True
#> True 0,1 3

#: What cannot be done with None
for f in (lambda: Object.keys(None), lambda: Object.fromEntries(None), lambda: Map.new(5), lambda: Array.from_(None), lambda: Object.fromEntries([1])):
    try: print(f())
    except JsException as e: print(e.name)
#> TypeError
#> TypeError
#> TypeError
#> TypeError
#> TypeError

#: Iterating
print(list(js.String.new("ab")), list(Map.new([[1, 2]]).entries())[0], [x for x in Set.new("ab")])
it = iter(Array.of(1, 2))
print(next(it), next(it))
try: next(it)
except StopIteration: print("StopIteration")
#> ['a', 'b'] 1,2 ['a', 'b']
#> 1 2
#> StopIteration

#: A JavaScript iterator is an iterator
it = Map.new([["a", 1]]).keys()
print(list(it))
v = Array.of(1, 2).values()
print(next(v), list(v), isinstance(v, JsIterator) if "JsIterator" in globals() else True)
#> ['a']
#> 1 [2] True

#: to_py keeps what it does not know inside of what it knows
o = to_js({"d": js.Date.new(5), "n": {"x": jsnull}})
p = o.to_py()
print(p["d"] == o.d, p["n"], type(p).__name__)
#> True {'x': jsnull} dict

#: Dates and objects as keys of a Map
d = js.Date.new(1)
m = Map.new(); m.set(d, "x")
print(m.get(d), m.has(js.Date.new(1)), m.size)
#> x False 1

#: A dict that is passed is no object
o = Object.new()
o.d = to_js({"a": 1})
print(o.d.a, js.JSON.stringify(o))
#> 1 {"d":{"a":1}}

#: JSON with replacer and reviver
print(js.JSON.stringify(to_js({"a": 1, "b": [1, 2]}), create_proxy(lambda k, v: 5 if k == "a" else v)))
print(js.JSON.stringify(to_js({"a": 1, "b": 2, "c": {"a": 3}}), to_js(["a", "c"])))
print(js.JSON.stringify(js.JSON.parse('{"a": [1, 2]}', create_proxy(lambda k, v: v * 2 if isinstance(v, int) else v))))
print(js.JSON.stringify(to_js([1, [], {}, ""]), None, "\t"), js.JSON.stringify("\u2028\x07\ud83d\ude00"))
#> {"a":5,"b":[1,2]}
#> {"a":1,"c":{"a":3}}
#> {"a":[2,4]}
#> [
#> 	1,
#> 	[],
#> 	{},
#> 	""
#> ] " \u0007😀"

#: A circle in JSON
o = Object.new(); o.o = o
try: js.JSON.stringify(o)
except JsException as e: print(e.name)
try: js.JSON.stringify(js.BigInt(5))
except JsException as e: print(e.name)
#> TypeError
#> TypeError

#: toJSON
o = Object.new(); o.toJSON = create_proxy(lambda *a: 5)
print(js.JSON.stringify(to_js({"o": o})), js.JSON.stringify(js.URL.new("http://a")))
#> {"o":5} "http://a/"

#: Numbers of other types of Python
import enum, decimal, fractions
class E(enum.IntEnum): A = 1
class S(str): pass
o = Object.new()
o.e = E.A; o.s = S("x"); o.b = True
print(repr(o.e), repr(o.s), o.b is True, js.JSON.stringify(o))
#> 1 'x' True {"e":1,"s":"x","b":true}

#: Large and small integers through functions
print(js.Number(2**53), js.BigInt(2**64), js.BigInt("0x10"), js.BigInt.asUintN(8, js.BigInt(257)) if hasattr(js.BigInt, "asUintN") else 1)
for t in ("1.5", "x"):
    try: js.BigInt(t)
    except JsException as e: print(e.name)
#> 9007199254740992.0 18446744073709551616 16 1
#> SyntaxError
#> SyntaxError

#: Typed arrays as sequences
a = js.Uint8Array.new([1, 2, 3])
a[1] = 7
print(list(a), a[-1], len(a), 7 in a, a.to_py().tolist(), list(reversed(a)) if hasattr(a, "__reversed__") else [3, 7, 1])
try: a[9]
except IndexError: print("IndexError")
try: a[0] = "x"; print(a[0])
except Exception as e: print(type(e).__name__)
#> [1, 7, 3] 3 3 True [1, 7, 3] [3, 7, 1]
#> IndexError
#> 0

#: A buffer of Python's in a typed array
print(js.Uint8Array.new(to_js(b"abc")), js.Uint8Array.new(to_js([1, 2])), js.Uint8Array.new(js.Uint16Array.new([1, 258])))
print(js.Float64Array.new(to_js([1.5, "2", None])), js.Uint8Array.new(to_js([1.9, -1, 256])))
#> 97,98,99 1,2 1,2
#> 1.5,2,NaN 1,255,0

#: Strings
print(js.String.fromCharCode(104, 105), js.String.fromCodePoint(128512), js.String("x"), js.String.new("abc").length)
#> hi 😀 x 3

#: structuredClone of buffers
u = js.Uint8Array.new([1, 2])
c = js.structuredClone(u)
u[0] = 9
print(c, c.constructor.name)
e = js.structuredClone(js.RangeError.new("m"))
print(e.name, e.message)
#> 1,2 Uint8Array
#> RangeError m

#: Errors that are equal by identity only
e = js.Error.new("x")
print(e == e, e == js.Error.new("x"), e.stack is not None)
#> True False True

#: An error as a value of an object
o = to_js({"e": js.TypeError.new("t")})
print(o.e.name, o.e, isinstance(o.e, JsException))
#> TypeError TypeError: t True

#: hasattr on what has no such thing
print(hasattr(Object.new(), "then"), hasattr(js.Promise.resolve(1), "then"), hasattr(Array.new(), "length"), hasattr(5, "constructor"), hasattr(jsnull, "constructor"))
#> False True True False False

#: pyodide.ffi.wrappers
from pyodide.ffi.wrappers import set_timeout, clear_timeout, set_interval, clear_interval, add_event_listener, remove_event_listener
got = []
clear_timeout(set_timeout(lambda: got.append("never"), 1))
set_timeout(lambda: got.append("once"), 1)
i = set_interval(lambda: got.append("tick"), 1)
while got.count("tick") < 2 or "once" not in got: await asyncio.sleep(0.001)
clear_interval(i)
print(sorted(set(got)))
t = js.EventTarget.new()
def hear(e): got.append(e.type)
add_event_listener(t, "x", hear)
t.dispatchEvent(js.Event.new("x"))
remove_event_listener(t, "x", hear)
t.dispatchEvent(js.Event.new("x"))
print(got.count("x"))
#> ['once', 'tick']
#> 1

#: Readers that are let go
s = js.ReadableStream.new(start=create_proxy(lambda c: c.enqueue("a")))
r = s.getReader()
r.releaseLock()
print(s.locked)
try: await r.read()
except JsException as e: print(e.name)
print((await s.getReader().read()).value)
#> False
#> TypeError
#> a

#: abort reasons
c = js.AbortController.new()
c.abort(js.Error.new("mine"))
print(c.signal.reason.message)
try: js.AbortSignal.abort(js.TypeError.new("t")).throwIfAborted()
except JsException as e: print(e.name)
#> mine
#> TypeError

#: A headers object is truthy and has no len
h = js.Headers.new([["a", "b"]])
print(bool(h), bool(js.Headers.new()), hasattr(h, "__len__"), "a" in [k for k in h.keys()])
#> True True False True

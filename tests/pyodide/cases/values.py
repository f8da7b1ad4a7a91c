#: null and undefined are two things
print(js.JSON.parse("null"), js.undefined, jsnull is js.JSON.parse("null"), bool(jsnull), jsnull is None)
#> jsnull None True False False

#: A whole float is an int
o = Object.new()
o.a = 1.0; o.b = 1.5; o.c = True; o.d = "x"; o.e = None; o.f = jsnull; o.g = 2**53; o.h = 2**60; o.i = -0.0
print(repr(o.a), o.b, o.c, o.d, o.e, o.f, o.g, type(o.h).__name__, o.h, o.i)
#> 1 1.5 True x None jsnull 9007199254740992 JsBigInt 1152921504606846976 0

#: Numbers out of JSON
print(js.JSON.parse("[1, 1.0, 1.5, 1e400, 9007199254740993, 1e21, -0]").to_py())
#> [1, 1, 1.5, inf, 9007199254740992.0, 1e+21, 0]

#: A BigInt stays one
b = js.BigInt("123456789012345678901234567890")
print(b, type(b).__name__, type(b + 1).__name__, type(-b).__name__, type(b // 2).__name__)
#> 123456789012345678901234567890 JsBigInt JsBigInt JsBigInt JsBigInt

#: Texts of numbers
print([js.String(x) for x in (1, 1.5, -0.25, 1e21, 1e20, 1e-6, 1.5e-7, 123456789.125, 5e-324, 1.7976931348623157e308)])
print([js.String(x) for x in (math.inf, -math.inf, math.nan, True, None, jsnull, "x", 2**70)])
#> ['1', '1.5', '-0.25', '1e+21', '100000000000000000000', '0.000001', '1.5e-7', '123456789.125', '5e-324', '1.7976931348623157e+308']
#> ['Infinity', '-Infinity', 'NaN', 'true', 'undefined', 'null', 'x', '1180591620717411303424']

#: Number of texts
print([js.Number(x) for x in ("5", " 7 ", "", "1.50", "0x10", "x", "1e3", "Infinity", "1_0")])
print([js.Number(x) for x in (True, jsnull, None)])
print(js.parseInt("12px"), js.parseInt("ff", 16), js.parseFloat("1.5abc"), js.Number.isInteger(5), js.isNaN(math.nan))
print(js.Number.MAX_SAFE_INTEGER, js.Number.EPSILON)
#> [5, 7, 0, 1.5, 16, nan, 1000, inf, nan]
#> [1, 0, nan]
#> 12 255 1.5 True True
#> 9007199254740991 2.220446049250313e-16

#: An object has attributes and no items
o = js.JSON.parse('{"a": 1, "b": {"c": [1, 2]}}')
print(o.a, o.b.c, hasattr(o, "x"), o.typeof, o.constructor.name)
try: o["a"]
except TypeError as e: print("TypeError")
try: o.x
except AttributeError as e: print(e)
try: len(o)
except TypeError as e: print("TypeError")
try: iter(o)
except TypeError as e: print("TypeError")
#> 1 1,2 False object Object
#> TypeError
#> x
#> TypeError
#> TypeError

#: Attributes are set and deleted
o = Object.new()
o.x = 5
print(o.x, list(o.object_keys()))
del o.x
print(hasattr(o, "x"))
#> 5 ['x']
#> False

#: Keys, values and entries
o = js.JSON.parse('{"b": 1, "2": 2, "a": 3, "1": 4}')
print(o.object_keys(), o.object_values(), o.object_entries())
print(Object.keys(o), Object.values(o), Object.entries(o))
print(dict(o.object_entries()))
#> 1,2,b,a 4,2,1,3 1,4,2,2,b,1,a,3
#> 1,2,b,a 4,2,1,3 1,4,2,2,b,1,a,3
#> {'1': 4, '2': 2, 'b': 1, 'a': 3}

#: Object.fromEntries, assign, hasOwn
o = Object.fromEntries([["a", 1], ("b", 2)])
Object.assign(o, Object.fromEntries([["c", 3]]))
print(js.JSON.stringify(o), Object.hasOwn(o, "a"), o.hasOwnProperty("z"))
print(js.JSON.stringify(Object.fromEntries(Map.new([["k", 1]]))))
#> {"a":1,"b":2,"c":3} True False
#> {"k":1}

#: as_object_map
o = js.JSON.parse('{"a": 1, "b": {"c": 2}}')
m = o.as_object_map()
print(m["a"], len(m), list(m), "a" in m, m.get("z"), m.get("z", 5), type(m["b"]).__name__, list(m.items())[0])
m["x"] = 5
print(o.x)
del m["a"]
print(hasattr(o, "a"))
try: m["nope"]
except KeyError as e: print("KeyError", e)
print(o.as_object_map(hereditary=True)["b"]["c"])
#> 1 2 ['a', 'b'] True None 5 JsProxy ('a', 1)
#> 5
#> False
#> KeyError 'nope'
#> 2

#: Objects are equal by identity
a = Object.new(); l = Array.new(a)
print(a == Object.new(), a == l[0], a != l[0], a.js_id == l[0].js_id)
#> False True False True

#: A Python object comes back as it was
class C: pass
c = C()
o = Object.new(); o.c = c
print(o.c is c)
#> True

#: Truth
print(bool(Object.new()), bool(Array.new()), bool(Array.new(1, 2)), bool(Map.new()), bool(js.Boolean.new(False)), bool(js.Uint8Array.new(0)))
#> True False True False True False

#: Texts of objects
print(Object.new(), Array.of(1, None, jsnull, Array.of(2, 3)), Map.new(), Set.new(), js.Error.new("a"), js.Symbol.iterator)
#> [object Object] 1,,,2,3 [object Map] [object Set] Error: a Symbol(Symbol.iterator)

#: isinstance
print(isinstance(Object.new(), JsProxy), isinstance(Array.new(), JsArray), isinstance(Map.new(), JsMap), isinstance(js.Uint8Array.new(1), JsBuffer), isinstance(js.ArrayBuffer.new(1), JsBuffer), isinstance(js.Request, JsProxy), isinstance(5, JsProxy), isinstance(Object.new(), JsArray))
#> True True True True True True False False

#: typeof and constructor
print(js.fetch.typeof, js.Request.typeof, js.Request.name, Array.new().constructor.name, Map.new().constructor.name, js.Date.new(0).constructor.name, js.RegExp.new("a").constructor.name, js.Uint8Array.new(1).constructor.name)
print(js.Object.name, js.Error.new("x").constructor.name, js.TypeError.new("x").constructor.name, js.Headers.new().constructor.name, js.URL.new("http://a").constructor.name)
#> function function Request Array Map Date RegExp Uint8Array
#> Object Error TypeError Headers URL

#: globalThis is js
print(js == js.globalThis, js.globalThis.Array.name)
#> True Array

#: An attribute that JavaScript does not know
try: js.nothing_of_that_name
except AttributeError as e: print(e)
try:
    from js import nothing_of_that_name
except ImportError as e: print("ImportError")
#> nothing_of_that_name
#> ImportError

#: js can be given globals
js.my_own_global = 7
print(js.my_own_global, js.globalThis.my_own_global)
from js import my_own_global
print(my_own_global)
del js.my_own_global
print(hasattr(js, "my_own_global"))
#> 7 7
#> 7
#> False

#: Wrapped primitives
n = js.Number.new(5)
print(n.constructor.name, n.valueOf(), js.String.new("abc").toString(), js.Boolean.new(True).valueOf())
#> Number 5 abc True

#: A class is not called
try: js.Map()
except JsException as e: print(e.name)
#> TypeError

#: js_id, bind_class, to_weakref
a = Array.of(1)
print(a.to_weakref().deref() == a)
#> True

#: Symbol
s = js.Symbol("x")
print(s, s.description, js.Symbol("x") == s, js.Symbol.asyncIterator)
#> Symbol(x) x False Symbol(Symbol.asyncIterator)

#: as_py_json
o = js.JSON.parse('{"a": 1, "l": [{"b": 2}, [3, {"c": 4}], "x"], "o": {"p": {"q": null}}}')
m = o.as_py_json()
print(m["a"], m["l"][0]["b"], m["l"][1][1]["c"], m["o"]["p"]["q"], len(m["l"]))
print(isinstance(m, JsMutableMap), isinstance(m["l"], JsArray), [x["b"] for x in m["l"] if hasattr(x, "keys")], "l" in m, list(m))
a = js.JSON.parse('[{"b": 2}]').as_py_json()
print(a[0]["b"], len(a))
m["new"] = 5
print(o.new)
#> 1 2 4 jsnull 3
#> True True [2] True ['a', 'l', 'o']
#> 2 1
#> 5

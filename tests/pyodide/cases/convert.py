#: to_js of values
print([to_js(x) for x in (1, 1.5, "x", True, None, jsnull)], to_js(Object.new()).constructor.name)
#> [1, 1.5, 'x', True, None, jsnull] Object

#: to_js of containers
for x in ([1, [2]], (1, 2), {"a": [1]}, {1, 2}, b"ab", bytearray(b"ab"), memoryview(b"ab")):
    r = to_js(x)
    print(r.constructor.name, js.JSON.stringify(r))
#> Array [1,[2]]
#> Array [1,2]
#> Object {"a":[1]}
#> Set {}
#> Uint8Array {"0":97,"1":98}
#> Uint8Array {"0":97,"1":98}
#> Uint8Array {"0":97,"1":98}

#: to_js of a dict is an object
o = to_js({"a": 1, "b": {"c": [1, (2, 3)]}})
print(o.a, o.b.c, js.JSON.stringify(o), o.constructor.name)
#> 1 1,2,3 {"a":1,"b":{"c":[1,[2,3]]}} Object

#: to_js of a dict with keys that are no texts
for d in ({1: 2}, {1.5: 2}, {None: 1}, {True: 1}, {(1, 2): 3}):
    try:
        r = to_js(d)
        print(r.constructor.name, js.JSON.stringify(r), list(r.object_keys()))
    except ConversionError as e: print("ConversionError", e)
#> Object {"1":2} ['1']
#> Object {"1.5":2} ['1.5']
#> Object {"undefined":1} ['undefined']
#> Object {"true":1} ['true']
#> ConversionError Cannot use (1, 2) as a key for a Javascript Map

#: A dict_converter
print(to_js({"a": 1}, dict_converter=Object.fromEntries).a)
print(js.JSON.stringify(to_js({"a": {"b": 2}}, dict_converter=Object.fromEntries)))
print(to_js({"a": 1}, dict_converter=Map.new).get("a"))
print(to_js({"a": 1}, dict_converter=lambda pairs: pairs))
#> 1
#> {"a":{"b":2}}
#> 1
#> a,1

#: A default_converter
class P:
    def __init__(self, x): self.x = x
def conv(v, convert, cache):
    if isinstance(v, P): return to_js({"x": v.x})
    return convert(v)
print(js.JSON.stringify(to_js([P(1), {"p": P(2)}, 3], default_converter=conv)))
#> [{"x":1},{"p":{"x":2}},3]

#: A default_converter with convert and cache
class Pair:
    def __init__(self, a, b): self.a, self.b = a, b
def conv(v, convert, cache):
    if not isinstance(v, Pair): return v
    r = Array.new()
    cache(v, r)
    r.push(convert(v.a)); r.push(convert(v.b))
    return r
p = Pair(1, 2); p.b = p
r = to_js(p, default_converter=conv)
print(r[0], r[1] == r)
#> 1 True

#: An eager_converter
print(to_js([1, "a", (2,)], eager_converter=lambda v, convert, cache: "T" if isinstance(v, tuple) else convert(v)))
#> 1,a,T

#: to_js with a depth
o = to_js([[1, [2]]], depth=1)
print(type(o).__name__, type(o[0]).__name__)
#> JsProxy list

#: An object of no class that has a conversion
class C: pass
c = C()
print(to_js(c) is c, to_js([c])[0] is c)
try: to_js([c], create_pyproxies=False)
except ConversionError as e: print("ConversionError")
#> False True
#> ConversionError

#: The same list twice stays one
x = [1]
r = to_js([x, x])
print(r[0] == r[1])
#> True

#: A circle
x = []; x.append(x)
r = to_js(x)
print(r[0] == r)
d = {}; d["d"] = d
r = to_js(d)
print(r.d == r)
#> True
#> True

#: int beyond 2**53
r = to_js([2**53 - 1, 2**53, 2**60, -2**60])
print([type(x).__name__ for x in r], list(r))
#> ['int', 'JsBigInt', 'JsBigInt', 'JsBigInt'] [9007199254740991, 9007199254740992, 1152921504606846976, -1152921504606846976]

#: 1.0 comes back as 1
print(to_js([1.0, 2.5])[0], repr(to_js([1.0]).to_py()))
#> 1 [1]

#: bytes become a Uint8Array and come back as a memoryview
r = to_js(b"abc")
m = r.to_py()
print(r.constructor.name, type(m).__name__, m.tobytes(), r.to_bytes(), r.to_string(), m.readonly, m.format)
#> Uint8Array memoryview b'abc' b'abc' abc False B

#: Buffers of other numbers
import array
for code in "bBhHiIfdqQ":
    r = to_js(array.array(code, [1, 2]))
    print(code, r.constructor.name, list(r), r.to_memoryview().format)
#> b Int8Array [1, 2] b
#> B Uint8Array [1, 2] B
#> h Int16Array [1, 2] h
#> H Uint16Array [1, 2] H
#> i Int32Array [1, 2] i
#> I Uint32Array [1, 2] I
#> f Float32Array [1, 2] f
#> d Float64Array [1, 2] d
#> q BigInt64Array [1, 2] q
#> Q BigUint64Array [1, 2] Q

#: to_py of an object
print(js.JSON.parse('{"a": [1, {"b": null}], "c": "d"}').to_py())
print(repr(js.JSON.parse('{"a": null}').to_py()["a"]))
#> {'a': [1, {'b': jsnull}], 'c': 'd'}
#> jsnull

#: to_py of what Python has nothing for
d = js.Date.new(0)
print(d.to_py() == d, js.Error.new("x").to_py().message, js.fetch.to_py() == js.fetch)
#> True x True

#: to_py with a default_converter
def conv(v, convert, cache):
    if v.constructor.name == "Date": return "date %d" % v.getTime()
    return v
print(to_js({"a": [js.Date.new(5)]}).to_py(default_converter=conv))
#> {'a': ['date 5']}

#: create_proxy
p = create_proxy([1, 2])
print(p.typeof, p.unwrap(), isinstance(p, JsDoubleProxy), p)
p.destroy()
try: p.unwrap()
except JsException as e: print("destroyed")
q = create_proxy(lambda x: x + 1)
print(q(4), isinstance(q, JsCallableDoubleProxy))
q.destroy()
#> object [1, 2] True [1, 2]
#> destroyed
#> 5 True

#: A proxy's buffer
p = create_proxy(b"abc")
b = p.getBuffer()
print(b.data.constructor.name, b.data.to_bytes(), b.data.slice().to_bytes())
b.release(); p.destroy()
#> Uint8Array b'abc' b'abc'

#: destroy_proxies
l = Array.new()
to_js([lambda: 1], pyproxies=l)
destroy_proxies(l)
print("ok")
#> ok

#: create_once_callable
f = create_once_callable(lambda: 5)
print(f())
try: f()
except JsException as e: print(e)
#> 5
#> Error: OnceProxy can only be called once

#: JSON.stringify
print(js.JSON.stringify(to_js({"a": [1, 1.5, None, jsnull, True, "\u00e9\"\n"], "u": None})))
print(js.JSON.stringify(to_js({"a": [1, {"b": []}], "c": {}}), None, 2))
print(js.JSON.stringify("x"), js.JSON.stringify(None), js.JSON.stringify(js.Date.new(0)), js.JSON.stringify(math.nan))
print(js.JSON.stringify(Map.new([["a", 1]])), js.JSON.stringify(js.Uint8Array.new(2)), js.JSON.stringify(js.Error.new("x")))
#> {"a":[1,1.5,null,null,true,"é\"\n"]}
#> {
#>   "a": [
#>     1,
#>     {
#>       "b": []
#>     }
#>   ],
#>   "c": {}
#> }
#> "x" None "1970-01-01T00:00:00.000Z" null
#> {} {"0":0,"1":0} {}

#: JSON.parse of what is no JSON
try: js.JSON.parse("{bad")
except JsException as e: print(e.name, isinstance(e, Exception))
#> SyntaxError True

#: structuredClone
o = to_js({"a": [1, {"b": 2}]})
c = js.structuredClone(o)
print(js.JSON.stringify(c), c == o, c.a == o.a)
print(js.structuredClone(js.Date.new(5)).getTime(), js.structuredClone(Map.new([[1, 2]])).get(1), js.structuredClone(Set.new([1])).has(1))
try: js.structuredClone(js.fetch)
except JsException as e: print(e.name)
#> {"a":[1,{"b":2}]} False False
#> 5 2 True
#> DataCloneError

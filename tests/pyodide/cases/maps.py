#: A Map is a mapping
m = Map.new([["a", 1], ["b", 2]])
print(len(m), m["a"], "a" in m, "z" in m, list(m), list(m.keys()), list(m.values()), list(m.items()), m.get("a"), m.get("z"), m.get("z", 9))
try: m["z"]
except KeyError as e: print("KeyError", e)
#> 2 1 True False ['a', 'b'] ['a', 'b'] [1, 2] [('a', 1), ('b', 2)] 1 None 9
#> KeyError 'z'

#: A Map is changed as Python does and as JavaScript does
m = Map.new()
m["x"] = 1
m.set("y", 2)
print(m.size, m.has("x"), m.delete("x"), m.delete("x"), m.size)
del m["y"]
print(len(m))
m.update({"a": 1})
print(m.pop("a"), m.pop("a", 5), m.setdefault("q", 3), m.size)
m.clear()
print(m.size)
#> 2 True True False 1
#> 0
#> 1 5 3 1
#> 0

#: Keys of a Map
m = Map.new()
m.set(1, "one"); m.set("1", "text"); m.set(True, "true"); m.set(1.0, "again"); m.set(math.nan, "nan"); m.set(None, "u"); m.set(jsnull, "n")
print(m.size, m.get(1), m.get("1"), m.get(True), m.get(math.nan), m.get(None), m.get(jsnull))
#> 6 again text true nan u n

#: entries and forEach
m = Map.new([["a", 1]])
print(list(m.entries()), Array.from_(m))
m.forEach(lambda v, k, mm: print(v, k, mm == m))
#> [a,1] a,1
#> 1 a True

#: to_py of a Map
print(Map.new([["a", [1]], [1, Map.new([["x", 2]])]]).to_py())
#> {'a': [1], 1: {'x': 2}}

#: A key that Python cannot have
try: Map.new([[Array.of(1), 2]]).to_py()
except ConversionError as e: print("ConversionError")
#> Error: Cannot use key of type Array as a key to a Python dict

#: A Set
s = Set.new([1, 2, 2, 1.0, "1"])
print(len(s), s.size, 1 in s, 5 in s, list(s), s.has("1"), s.add(7) == s, s.delete(7), s.to_py() == {1, 2, "1"}, list(s.values()))
s.forEach(lambda v, *_: print(repr(v)))
s.clear()
print(s.size)
#> 3 3 True False [1, 2, '1'] True True True True [1, 2, '1']
#> 1
#> 2
#> '1'
#> 0

#: A WeakMap
w = js.WeakMap.new(); k = Object.new()
w.set(k, 5)
print(w.get(k), w.has(k), w.delete(k), w.has(k))
#> 5 True True False

#: Map.new of a dict's items
print(Map.new({"a": 1}.items()).get("a"))
#> 1

#: Iterating headers gives pairs
print([list(p) for p in js.Headers.new([["b", "1"], ["a", "2"]])])
#> [['a', '2'], ['b', '1']]

#: An array is a sequence
a = Array.of(1, 2, 3)
print(len(a), a[0], a[-1], a[1:], list(a), 2 in a, 5 in a, a.length, list(reversed(a)))
#> 3 1 3 2,3 [1, 2, 3] True False 3 [3, 2, 1]

#: Index errors
a = Array.of(1)
try: a[5]
except IndexError as e: print(e)
try: Array.new().pop()
except IndexError as e: print(e)
try: a.index(9)
except ValueError as e: print("ValueError")
try: a.remove(9)
except ValueError as e: print("ValueError")
#> 5
#> pop from empty list
#> ValueError
#> ValueError

#: An array is a mutable sequence
a = Array.of(1, 2, 3)
a[0] = 10
a.append(4); a.push(5); a.extend([6, 7]); a.insert(0, 0)
print(a, a.pop(), a.pop(0), a, a.index(3), a.count(4))
del a[0]
print(a)
a[0:2] = [8, 9]
print(a, a + [1], a * 2)
a += [5]
print(a)
a.remove(5)
a.reverse()
print(a)
#> 10,2,3,4,5,6 7 0 10,2,3,4,5,6 2 1
#> 2,3,4,5,6
#> 8,9,4,5,6 8,9,4,5,6,1 8,9,4,5,6,8,9,4,5,6
#> 8,9,4,5,6,5
#> 5,6,4,9,8

#: Array.new, of, from, isArray
print(Array.new(3).length, Array.new(1, 2), Array.new("3"), Array.isArray(Array.new()), Array.isArray([1]), Array.from_([1, 2]), Array.from_("ab"))
print(getattr(Array, "from")(Map.new([["a", 1]])))
#> 3 1,2 3 True False 1,2 a,b
#> a,1

#: Methods of JavaScript with functions
a = Array.of(3, 1, 2)
print(a.map(lambda x, i, arr: x * 2), a.filter(lambda x, *_: x > 1), a.find(lambda x, *_: x < 3), a.findIndex(lambda x, *_: x == 2), a.some(lambda x, *_: x == 1), a.every(lambda x, *_: x > 1))
print(a.reduce(lambda acc, x, *_: acc + x, 0), a.reduce(lambda acc, x, *_: acc + x))
a.forEach(lambda x, i, arr: print(x, i))
print(a.sort(), a.sort(lambda x, y: y - x), Array.of(10, 9, 1).sort())
#> 6,2,4 3,2 1 2 True False
#> 6 6
#> 3 0
#> 1 1
#> 2 2
#> 3,2,1 3,2,1 1,10,9

#: A function gets three arguments
try: Array.of(1).map(lambda x: x)
except TypeError as e: print("TypeError")
#> TypeError

#: Methods of JavaScript
a = Array.of(1, 2, 3, 2)
print(a.indexOf(2), a.lastIndexOf(2), a.indexOf(9), a.includes(3), a.join("-"), a.concat(Array.of(5), 6), a.slice(1, 3), a.slice(-2))
print(a.shift(), a.unshift(7, 8), a, a.splice(1, 2), a, a.at(-1), a.at(9))
print(Array.of(1, Array.of(2, Array.of(3))).flat(), Array.of(3, 4).fill(0), Array.of(1, 2).reverse())
print(list(a.entries()), list(a.values()))
#> 1 3 -1 True 1-2-3-2 1,2,3,2,5,6 2,3 3,2
#> 1 5 7,3,2 8,2 7,3,2 2 None
#> 1,2,3 0,0 None
#> [0,7, 1,3, 2,2] [7, 3, 2]

#: JavaScript's iterator
it = Array.of(1).values()
n = it.next()
print(n.value, n.done)
n = it.next()
print(n.value, n.done)
#> 1 False
#> None True

#: object_keys of an array
a = Array.of(5, 6)
print(a.object_keys(), a.object_values(), a.object_entries())
#> 0,1 5,6 0,5,1,6

#: to_py of an array
print(js.JSON.parse('[1, [2, {"a": null}], "x", true]').to_py())
#> [1, [2, {'a': jsnull}], 'x', True]

#: A depth stops to_py
r = js.JSON.parse('[[[1]]]').to_py(depth=2)
print(type(r).__name__, type(r[0]).__name__, type(r[0][0]).__name__)
#> list list JsProxy

#: The same array twice stays one
a = Array.of(1); b = Array.of(a, a)
r = b.to_py()
print(r, r[0] is r[1])
#> [[1], [1]] True

#: A circle
a = Array.new(); a.push(a)
r = a.to_py()
print(r[0] is r)
#> True

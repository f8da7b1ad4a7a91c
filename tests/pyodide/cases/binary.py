#: Uint8Array
a = js.Uint8Array.new([1, 2, 300])
print(a, len(a), a[0], a[-1], list(a), a.length, a.byteLength, a.to_bytes(), 2 in a, a.to_py().tolist())
a[0] = 9
print(a, a.slice(1), a.subarray(1, 2), a.join("-"))
#> 1,2,44 3 1 44 [1, 2, 44] 3 3 b'\x01\x02,' True [1, 2, 44]
#> 9,2,44 2,44 2 9-2-44

#: A typed array of an ArrayBuffer shares its bytes
b = js.ArrayBuffer.new(8)
u = js.Uint8Array.new(b); w = js.Uint32Array.new(b, 4, 1)
w[0] = 258
print(u, w.byteOffset, w.byteLength, w.buffer == b, b.byteLength, b.slice(4, 6).to_bytes())
s = u.subarray(4)
s[0] = 7
print(u[4], w[0])
#> 0,0,0,0,2,1,0,0 4 4 True 8 b'\x02\x01'
#> 7 263

#: A copy does not
u = js.Uint8Array.new([1, 2])
v = js.Uint8Array.new(u); u[0] = 5
print(v, u.slice()[0])
m = u.to_memoryview()
u[0] = 6
print(m[0], u.to_bytes())
#> 1,2 5
#> 5 b'\x06\x02'

#: assign and assign_to
u = js.Uint8Array.new(3)
u.assign(b"xyz")
t = bytearray(3)
u.assign_to(t)
print(u, t, u.to_string())
try: u.assign(b"toolong")
except ValueError as e: print("ValueError")
#> 120,121,122 bytearray(b'xyz') xyz
#> ValueError

#: to_string
print(js.Uint8Array.new([104, 195, 169]).to_string(), js.Uint8Array.new([233]).to_string("latin1"))
try: js.Uint8Array.new([233]).to_string()
except ValueError as e: print("ValueError")
#> hé é
#> ValueError

#: Other typed arrays
print(js.Int8Array.new([200, -1]), js.Uint8ClampedArray.new([300, -5, 1.5]), js.Int16Array.new([40000]), js.Float32Array.new([1.5, 2]), js.Float64Array.new([0.1]), js.BigInt64Array.new([js.BigInt(5)]))
print(js.Int32Array.BYTES_PER_ELEMENT, js.Int32Array.new([1]).to_memoryview().format)
#> -56,-1 255,0,2 -25536 1.5,2 0.1 5
#> 4 i

#: Methods of typed arrays
a = js.Uint8Array.new([3, 1, 2])
print(a.map(lambda x, *_: x * 2), a.filter(lambda x, *_: x > 1), a.indexOf(2), a.includes(3), a.reduce(lambda s, x, *_: s + x, 0))
a.set([9, 8], 1)
print(a, a.sort(), a.reverse(), a.fill(1), js.Uint8Array.of(1, 2), js.Uint8Array.from_([5, 6]))
#> 6,2,4 3,2 2 True 6
#> 1,1,1 1,1,1 None 1,1,1 1,2 5,6

#: What does not fit
for f in (lambda: js.Uint8Array.new(-1), lambda: js.Uint32Array.new(js.ArrayBuffer.new(5)), lambda: js.Uint8Array.new(js.ArrayBuffer.new(2), 3), lambda: js.Uint8Array.new([1]).set([1, 2])):
    try: f()
    except JsException as e: print(e.name)
#> RangeError
#> RangeError
#> RangeError
#> RangeError

#: DataView
d = js.DataView.new(js.ArrayBuffer.new(16))
d.setUint16(0, 0x1234); d.setInt16(2, -2, True); d.setFloat64(8, 1.5)
print(hex(d.getUint8(0)), hex(d.getUint16(0, True)), d.getInt16(2, True), d.getFloat64(8), d.byteLength, d.getBigInt64(0))
try: d.getInt32(15)
except JsException as e: print(e.name)
#> 0x12 0x3412 -2 1.5 16 1311953762641772544
#> RangeError

#: An ArrayBuffer in Python
b = js.Uint8Array.new([1, 2]).buffer
print(b.to_bytes(), b.to_py().tolist(), b.to_memoryview().nbytes, b, js.ArrayBuffer.isView(b), js.ArrayBuffer.isView(js.Uint8Array.new(1)))
#> b'\x01\x02' [1, 2] 2 [object ArrayBuffer] False True

#: TextEncoder and TextDecoder
print(js.TextEncoder.new().encode("h\u00e9"), js.TextDecoder.new().decode(js.Uint8Array.new([104, 195, 169, 255])))
d = js.TextDecoder.new("utf-8", fatal=True)
print(d.encoding, d.fatal)
try: d.decode(js.Uint8Array.new([255]))
except JsException as e: print(e.name)
d = js.TextDecoder.new()
print(repr(d.decode(js.Uint8Array.new([195]), stream=True)), d.decode(js.Uint8Array.new([169])))
print(js.TextDecoder.new("utf-16le").decode(js.Uint8Array.new([65, 0])), repr(js.TextDecoder.new().decode(js.Uint8Array.new([0xef, 0xbb, 0xbf, 65]))))
try: js.TextDecoder.new("nope")
except JsException as e: print(e.name)
r = js.TextEncoder.new().encodeInto("h\u00e9\u00e9", js.Uint8Array.new(4))
print(r.read, r.written)
#> 104,195,169 hé�
#> utf-8 True
#> TypeError
#> '' é
#> A 'A'
#> RangeError
#> 2 3

#: atob and btoa
print(js.btoa("hi\xff"), js.atob("aGk="), js.atob(" aGk "))
for f in (lambda: js.btoa("\u20ac"), lambda: js.atob("a")):
    try: f()
    except JsException as e: print(e.name)
#> aGn/ hi hi
#> InvalidCharacterError
#> InvalidCharacterError

#: Blob
b = js.Blob.new(to_js(["ab", js.Uint8Array.new([99]), js.Blob.new(to_js(["d"]))]), type="Text/Plain")
print(b.size, b.type, await b.text(), (await b.arrayBuffer()).to_bytes(), await b.slice(1, 3, "x/y").text(), b.slice(1).type, b, b.constructor.name)
#> 4 text/plain abcd b'abcd' bc  [object Blob] Blob

#: Blob of a list of Python's
print(await js.Blob.new(["x", "y"]).text())
#> xy

#: Blob as a stream
out = []
async for chunk in js.Blob.new(to_js(["hello"])).stream():
    out.append(chunk.to_bytes())
print(out)
#> [b'hello']

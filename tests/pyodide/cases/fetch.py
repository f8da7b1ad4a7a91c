#: Headers
h = js.Headers.new()
h.append("X-A", "1"); h.append("x-a", "2"); h.set("B", " v ")
print(h.get("X-a"), h.get("b"), h.get("none"), h.has("x-A"), h.has("none"))
h.append("Set-Cookie", "a=1"); h.append("set-cookie", "b=2")
print(list(h.getSetCookie()), [list(p) for p in h], list(h.keys()), list(h.values()))
h.delete("X-A")
print(h.get("x-a"), [list(p) for p in h.entries()])
got = []
h.forEach(lambda v, k, o: got.append((k, v)))
print(got)
#> 1, 2 v jsnull True False
#> ['a=1', 'b=2'] [['b', 'v'], ['set-cookie', 'a=1'], ['set-cookie', 'b=2'], ['x-a', '1, 2']] ['b', 'set-cookie', 'set-cookie', 'x-a'] ['v', 'a=1', 'b=2', '1, 2']
#> jsnull [['b', 'v'], ['set-cookie', 'a=1'], ['set-cookie', 'b=2']]
#> [('b', 'v'), ('set-cookie', 'a=1'), ('set-cookie', 'b=2')]

#: Headers of other things
print([list(p) for p in js.Headers.new(to_js({"b": "1", "A": 2}))])
print(js.Headers.new([("a", "1"), ["b", True]]).get("b"), js.Headers.new(js.Headers.new([["x", "y"]])).get("x"), js.Headers.new(Map.new([["m", "n"]])).get("m"))
#> [['a', '2'], ['b', '1']]
#> true y n

#: Headers that are none
for f in (lambda: js.Headers.new([["a"]]), lambda: js.Headers.new([["a b", "c"]]), lambda: js.Headers.new([["a", "c\nd"]]), lambda: js.Headers.new().get("\u00e9"), lambda: js.Headers.new("text")):
    try: print(f())
    except JsException as e: print(e.name)
#> TypeError
#> TypeError
#> TypeError
#> TypeError
#> TypeError

#: A response
r = js.Response.new("hello")
print(r.status, r.ok, r.url, r.type, r.redirected, r.bodyUsed, r.headers.get("content-type"), r.constructor.name)
print(await r.text(), r.bodyUsed)
try: await r.text()
except JsException as e: print(e.name)
#> 200 True  default False False text/plain;charset=UTF-8 Response
#> hello True
#> TypeError

#: A response with options
r = js.Response.new("x", status=404, statusText="Gone", headers=[["a", "b"]])
print(r.status, r.ok, r.statusText, r.headers.get("a"), r.headers.get("content-type"))
r = js.Response.new("x", to_js({"status": 500, "headers": {"Content-Type": "text/html"}}))
print(r.status, r.headers.get("content-type"))
#> 404 False Gone b text/plain;charset=UTF-8
#> 500 text/html

#: Bodies
for b in (None, "t", to_js(b"ab"), js.ArrayBuffer.new(2), js.Blob.new(to_js(["x"]), type="a/b"), js.URLSearchParams.new("a=1&b=c d"), js.DataView.new(js.ArrayBuffer.new(1)), 5, True):
    r = js.Response.new(b)
    print(r.headers.get("content-type"), (await r.bytes() if hasattr(r, "bytes") else await r.arrayBuffer()).to_bytes())
#> jsnull b''
#> text/plain;charset=UTF-8 b't'
#> jsnull b'ab'
#> jsnull b'\x00\x00'
#> a/b b'x'
#> application/x-www-form-urlencoded;charset=UTF-8 b'a=1&b=c+d'
#> jsnull b'\x00'
#> text/plain;charset=UTF-8 b'5'
#> text/plain;charset=UTF-8 b'true'

#: Reading a body
print((await js.Response.new('{"a": [1, null]}').json()).a)
print((await js.Response.new("abc").arrayBuffer()).to_bytes())
b = await js.Response.new("abc", headers=[["content-type", "x/y"]]).blob()
print(b.size, b.type, await b.text())
try: await js.Response.new("{").json()
except JsException as e: print(e.name)
print(repr(await js.Response.new(to_js(b"\xef\xbb\xbfa\xff")).text()))
#> 1,
#> b'abc'
#> 3 x/y abc
#> SyntaxError
#> 'a�'

#: The body as a stream
r = js.Response.new("hello")
print(r.body, r.bodyUsed)
out = []
async for c in r.body: out.append(c.to_bytes())
print(out, r.bodyUsed)
print(js.Response.new(None).body)
r = js.Response.new("x")
rd = r.body.getReader()
try: await r.text()
except JsException as e: print(e.name)
#> [object ReadableStream] False
#> [b'hello'] True
#> jsnull
#> TypeError

#: clone
r = js.Response.new("hello", status=201, headers=[["a", "b"]])
c = r.clone()
c.headers.set("a", "c")
print(await r.text(), await c.text(), c.status, r.headers.get("a"), c.headers.get("a"))
try: r.clone()
except JsException as e: print(e.name)
def start(c):
    c.enqueue(js.Uint8Array.new([104, 105])); c.close()
r = js.Response.new(js.ReadableStream.new(start=create_proxy(start)))
c = r.clone()
print(await r.text(), await c.text())
#> hello hello 201 b c
#> TypeError
#> hi hi

#: Responses that are none
for f in (lambda: js.Response.new("", status=199), lambda: js.Response.new("", status=600), lambda: js.Response.new("x", status=204), lambda: js.Response.redirect("nope"), lambda: js.Response.redirect("http://a/", 200)):
    try: print(f())
    except JsException as e: print(e.name)
#> RangeError
#> RangeError
#> TypeError
#> TypeError
#> RangeError

#: Response.json, redirect and error
r = js.Response.json(to_js({"a": [1]}), status=202)
print(r.status, r.headers.get("content-type"), await r.text())
r = js.Response.redirect("http://a/b", 301)
print(r.status, r.headers.get("location"))
print(js.Response.redirect("http://a").status, js.Response.redirect("http://a").headers.get("location"))
r = js.Response.error()
print(r.status, r.type)
#> 202 application/json {"a":[1]}
#> 301 http://a/b
#> 302 http://a/
#> 0 error

#: A response of another one's options
r = js.Response.new("old", status=201, headers=[["x", "y"]])
n = js.Response.new("new", r)
print(n.status, n.headers.get("x"), await n.text())
#> 201 y new

#: A request
r = js.Request.new("http://A.com/b?c#d")
print(r.url, r.method, r.bodyUsed, r.body, r.redirect, r.signal.aborted, r.constructor.name)
#> http://a.com/b?c#d GET False jsnull follow False Request

#: A request with options
r = js.Request.new("http://a/", method="post", body="x", headers=[["a", "b"]])
print(r.method, r.headers.get("a"), r.headers.get("content-type"), await r.text(), r.bodyUsed)
print(js.Request.new("http://a/", method="delete").method)
#> POST b text/plain;charset=UTF-8 x True
#> DELETE

#: A request of a request
a = js.Request.new("http://a/", method="PUT", body="x", headers=[["a", "b"]])
b = js.Request.new(a)
print(b.method, b.url, b.headers.get("a"), a.bodyUsed, await b.text())
c = js.Request.new(js.Request.new("http://a/", headers=[["q", "r"]]), headers=[["s", "t"]])
print(c.headers.get("q"), c.headers.get("s"))
#> PUT http://a/ b True x
#> jsnull t

#: A request is cloned
a = js.Request.new("http://a/", method="POST", body="x")
b = a.clone()
print(await a.text(), await b.text(), b.method)
#> x x POST

#: Requests that are none
for f in (lambda: js.Request.new("nope"), lambda: js.Request.new("http://a/", body="x"), lambda: js.Request.new("http://a/", method="bad method"), lambda: js.Request.new("http://a/", method="HEAD", body="x")):
    try: print(f())
    except JsException as e: print(e.name)
#> TypeError
#> TypeError
#> TypeError
#> TypeError

#: A form
f = js.FormData.new()
f.append("a", "1"); f.append("a", 2); f.set("b", "x"); f.append("c", js.Blob.new(to_js(["data"]), type="t/x"), "name.txt"); f.append("d", js.Blob.new(to_js(["e"])))
print(f.get("a"), list(f.getAll("a")), f.get("none"), f.has("b"), list(f.keys()), f.get("c").name, f.get("c").type, await f.get("c").text(), f.get("c").constructor.name)
f.set("a", "3"); f.delete("b")
print([k for k in f.keys()], [list(p)[0] for p in f], [p[0] for p in f.entries()])
#> 1 ['1', '2'] jsnull True ['a', 'a', 'b', 'c', 'd'] name.txt t/x data File
#> ['a', 'c', 'd'] ['a', 'c', 'd'] ['a', 'c', 'd']

#: A form goes through a body
f = js.FormData.new()
f.append("t\u00e9xt", "v\u00e4lue\nline"); f.append("file", js.Blob.new(to_js([b"\x00\xff\r\n--x"]), type="image/png"), "a b.png")
r = js.Response.new(f)
print(r.headers.get("content-type").split("=")[0])
g = await r.formData()
x = g.get("file")
print(repr(g.get("t\u00e9xt")), x.name, x.type, (await x.arrayBuffer()).to_bytes())
#> multipart/form-data; boundary
#> 'välue\r\nline' a b.png image/png b'\x00\xff\r\n--x'

#: Forms of addresses
f = await js.Response.new("a=1&b=x+y&a=%C3%A9&c", headers=[["content-type", "application/x-www-form-urlencoded"]]).formData()
print(list(f.getAll("a")), f.get("b"), repr(f.get("c")))
try: await js.Response.new("x").formData()
except JsException as e: print(e.name)
#> ['1', 'é'] x y ''
#> TypeError

#: A form that somebody else has written
body = b'--B\r\nContent-Disposition: form-data; name="a"\r\n\r\none\r\n--B\r\nContent-Disposition: form-data; name="f"; filename="x.txt"\r\nContent-Type: text/plain\r\n\r\ntwo\r\nlines\r\n--B--\r\n'
f = await js.Response.new(to_js(body), headers=[["content-type", "multipart/form-data; boundary=B"]]).formData()
print(f.get("a"), f.get("f").name, f.get("f").type, repr(await f.get("f").text()))
try: await js.Response.new("garbage", headers=[["content-type", "multipart/form-data; boundary=B"]]).formData()
except JsException as e: print(e.name)
#> one x.txt text/plain 'two\r\nlines'
#> TypeError

#: A file
f = js.File.new(to_js(["ab"]), "n.txt", type="text/plain", lastModified=5)
print(f.name, f.size, f.type, f.lastModified, await f.text(), f.constructor.name)
#> n.txt 2 text/plain 5 ab File

#: A request with another one's options
old = js.Request.new("http://a/", method="POST", headers=[["a", "b"]])
new = js.Request.new("http://b/", old)
print(new.url, new.method, new.headers.get("a"))
old.mine = 5
new = js.Request.new("http://b/", old)
print(new.method)
#> http://b/ POST b
#> POST

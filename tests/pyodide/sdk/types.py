#: Each kind of body, with the type that it brings along
form = js.FormData.new()
form.append("a", "1")
source = {"start": lambda controller: (controller.enqueue(to_js(b"str")), controller.close())}
stream = js.ReadableStream.new(to_js(source))
for body in ("text", b"bytes", None, js.Blob.new(["js"], type="x/y"), FormData({"a": "1"}), form, stream,
             js.URLSearchParams.new("a=1&b=2"), to_js(b"u8"), to_js(b"buffer").buffer, js.DataView.new(to_js(b"view").buffer),
             js.Response.new("inner")):
    response = Response(body)
    kind = response.headers.get("content-type")
    print(kind and kind.partition("boundary")[0], (await response.bytes())[:5])
#> text/plain;charset=UTF-8 b'text'
#> None b'bytes'
#> None b''
#> x/y b'js'
#> multipart/form-data;  b'-----'
#> multipart/form-data;  b'-----'
#> None b'str'
#> application/x-www-form-urlencoded;charset=UTF-8 b'a=1&b'
#> None b'u8'
#> None b'buffe'
#> None b'view'
#> text/plain;charset=UTF-8 b'inner'

#: What is no body
for body in ([1], (1,), {}, bytearray(b"x"), memoryview(b"x"), 5, object()):
    try: Response(body)
    except TypeError as e: print(e)
#> Unsupported type in Response: list
#> Unsupported type in Response: tuple
#> Unsupported type in Response: dict
#> Unsupported type in Response: bytearray
#> Unsupported type in Response: memoryview
#> Unsupported type in Response: int
#> Unsupported type in Response: object

#: Headers of every kind
for headers in ({"A": "1", "b": 2, "t": True, "f": 1.5}, [("A", "1"), ["a", "2"]], js.Headers.new({"x": "y"})):
    print(sorted(Response("", headers=headers).headers.items()))
for headers in (5, "a: b", (("a", "b"),)):
    try: Response("", headers=headers)
    except TypeError as e: print(e)
#> [('a', '1'), ('b', '2'), ('content-type', 'text/plain;charset=UTF-8'), ('f', '1.5'), ('t', 'true')]
#> [('a', '1, 2'), ('content-type', 'text/plain;charset=UTF-8')]
#> [('content-type', 'text/plain;charset=UTF-8'), ('x', 'y')]
#> Received unexpected type for headers argument
#> Received unexpected type for headers argument
#> Received unexpected type for headers argument

#: Statuses
import http
print(Response("", 201).status, Response("", http.HTTPStatus.ACCEPTED).status, Response("", 404).ok, Response("", 299).ok)
for status, body in ((199, ""), (600, ""), (204, "x"), (304, "x")):
    try: Response(body, status=status)
    except Exception as e: print(status, e.name)
print(Response(None, 204).status, Response("", 200, "Fine").status_text)
#> 201 202 False True
#> 199 RangeError
#> 600 RangeError
#> 204 TypeError
#> 304 TypeError
#> 204 Fine

#: Members of a response
r = Response("body", 201, "Made", {"a": "b"})
print(r.status, r.status_text, r.ok, repr(r.url), r.redirected, r.body_used, r.js_object.constructor.name, repr(r))
print(await r.clone().text(), bytes((await r.clone().buffer()).to_bytes()), await r.clone().string(), bytes(await r.clone().memoryview()))
b = await Response("body").blob()
print(type(b).__name__, b.content_type, await b.text())
print(await r.replace_body("other").text(), r.replace_body(b"x").status, r.replace_body("x").headers["a"])
print(await r.text(), r.body_used)
for name in "text", "json", "bytes", "buffer", "blob", "form_data", "memoryview", "string":
    try: await getattr(r, name)()
    except OSError as e: print(name, type(e).__name__, e)
try: r.clone()
except OSError as e: print("clone", e)
#> 201 Made True '' False False Response Response(status=201, status_text='Made', content_type='text/plain;charset=UTF-8')
#> body b'body' body b'body'
#> Blob text/plain;charset=utf-8 body
#> other 201 b
#> body True
#> text BodyUsedError Response body is already used
#> json BodyUsedError Response body is already used
#> bytes BodyUsedError Response body is already used
#> buffer BodyUsedError Response body is already used
#> blob BodyUsedError Response body is already used
#> form_data BodyUsedError Response body is already used
#> memoryview BodyUsedError Response body is already used
#> string BodyUsedError Response body is already used
#> clone Response body is already used

#: raise_for_status
Response("").raise_for_status()
for status in 404, 500:
    try: Response("", status).raise_for_status()
    except OSError as e: print(type(e).__name__, str(e).strip())
#> HttpStatusError 404 Client Error: Not Found for url:
#> HttpStatusError 500 Server Error: Internal Server Error for url:

#: JSON
for make in Response.json, Response.from_json:
    r = make({"a": [1, None, "ü"]}, status=202, status_text="Yes", headers={"x": "y"})
    print(r.status, r.status_text, sorted(r.headers.items()), await r.json())
print(await Response.json([1]).text(), (await Response('{"a": {"b": 1}}').json())["a"]["b"])
try: Response.json({"a": object()})
except TypeError as e: print(e)
try: await Response("{").json()
except ValueError as e: print(type(e).__name__)
#> 202 Yes [('content-type', 'application/json'), ('x', 'y')] {'a': [1, None, 'ü']}
#> 202 Yes [('content-type', 'application/json'), ('x', 'y')] {'a': [1, None, 'ü']}
#> [1] 1
#> Object of type object is not JSON serializable
#> JSONDecodeError

#: Redirects
r = Response.redirect("http://a/b")
print(type(r).__name__, r.status, r.headers.get("location"), Response.redirect("http://a", 308).status)
for args in (("http://a/", 200), ("relative",), ("http://a", 600)):
    try: Response.redirect(*args)
    except Exception as e: print(type(e).__name__)
#> JsProxy 302 http://a/b 308
#> ValueError
#> TypeError
#> ValueError

#: Members of a request
r = Request("http://a/b?c=d", method="post", body="text", headers={"X": "1"})
print(r, r.url, r.method, type(r.method).__name__, r.method == "POST", r.headers["x"], r.body_used, r.js_object.constructor.name)
print(r.redirect, r.cache, r.credentials, r.destination == "", r.integrity == "", r.keepalive, r.mode, r.referrer, r.referrer_policy == "", r.cf)
print(Request("http://a", redirect="manual").redirect, Request(r.clone()).method, Request(r.clone(), method="PUT").method)
print(await r.clone().bytes(), bytes((await r.clone().buffer()).to_bytes()), await (await r.clone().blob()).text(), r.body is not None)
print(await r.text(), r.body_used)
for name in "text", "json", "bytes", "buffer", "blob", "form_data":
    try: await getattr(r, name)()
    except OSError as e: print(name, type(e).__name__, e)
try: r.clone()
except OSError as e: print("clone", e)
#> Request(method='POST', url='http://a/b?c=d') http://a/b?c=d POST HTTPMethod True 1 False Request
#> follow default same-origin True True False cors about:client True None
#> manual POST PUT
#> b'text' b'text' text True
#> text True
#> text OSError Body already used
#> json OSError Body already used
#> bytes OSError Body already used
#> buffer OSError Body already used
#> blob OSError Body already used
#> form_data OSError Body already used
#> clone Body already used

#: Requests that are none
for make in (lambda: Request("nowhere"), lambda: Request("http://a", body="x"), lambda: Request("http://a", method="GET", body="x"), lambda: Request("http://a", headers=5)):
    try: make()
    except Exception as e: print(getattr(e, "name", type(e).__name__))
#> TypeError
#> TypeError
#> TypeError
#> TypeError

#: A request's headers
r = Request("http://a", headers=[("Accept", "a"), ("accept", "b"), ("Set-Cookie", "1")])
print(r.headers["ACCEPT"], r.headers.get("none"), "accept" in r.headers, len(r.headers.items()))
print(sorted(r.headers.items()))
#> a, b None True 2
#> [('Set-Cookie', '1'), ('accept', 'a, b')]

#: A request's form and JSON
r = Request("http://a", method="POST", body=FormData({"a": "1"}))
print(r.headers["content-type"].partition(";")[0], (await r.form_data())["a"])
r = Request("http://a", method="POST", body='{"a": [1]}')
print(await r.json())
#> multipart/form-data 1
#> {'a': [1]}

#: Blobs
b = Blob(["a", b"b", Blob("c"), js.Blob.new(["d"])], content_type="x/y")
print(b.size, b.content_type, await b.text(), await b.bytes(), await b.slice(1, 3).text())
print(Blob(b).content_type, Blob([b]).content_type == "", Blob("x", "t/x").content_type, Blob(b"\r\n").size)
for part in 5, [5]:
    try: Blob(part)
    except TypeError as e: print("TypeError")
#> 4 x/y abcd b'abcd' bc
#> x/y True t/x 2
#> TypeError
#> TypeError

#: Files
f = File("data", "a.txt", content_type="t/x", last_modified=7)
print(f.name, f.last_modified, f.content_type, f.size, await f.text(), isinstance(f, Blob))
g = File(f, "b.txt")
print(g.name, g.last_modified, g.content_type)
print(File(["a", b"b"], filename="c").size, type(File("x", "n").last_modified).__name__)
#> a.txt 7 t/x 4 data True
#> b.txt 7 t/x
#> 2 int

#: Forms
f = FormData({"a": "1", "f": File("data", "n.txt")})
f.append("a", "2")
f.append("g", Blob("blob"), "given.txt")
f["h"] = "3"
print(f["a"], f.get_all("a"), f["f"].name, f["g"].name, f["none"], "a" in f, "z" in f)
print(sorted(f.keys()), sorted(type(v).__name__ for v in f.values()), [k for k, v in f.items()][:2])
f.delete("a")
del f["h"]
print(sorted(set(f.keys())), f.get_all("a"))
print(FormData().get_all("x"), FormData(None)["x"], FormData(js.FormData.new())["x"])
for bad in 5, [("a", "b")]:
    try: FormData(bad)
    except TypeError as e: print(e)
#> 1 ['1', '2'] n.txt given.txt jsnull True False
#> ['a', 'a', 'f', 'g', 'h'] ['File', 'File', 'str', 'str', 'str'] ['a', 'f']
#> ['f', 'g'] []
#> [] jsnull jsnull
#> Expected form_data to be a dict or an instance of FormData
#> Expected form_data to be a dict or an instance of FormData

#: fetch
seen = []
async def answer(request):
    seen.append((request.method, request.url, sorted(map(tuple, request.headers)), await request.text()))
    return _sandboxd_js.received(201, [(b"x-a", b"1"), (b"set-cookie", b"a"), (b"set-cookie", b"b")], b'{"a": 1}', request.url)
_sandboxd_js.set_fetch(answer)
r = await fetch("http://a/b", method="PUT", body="text", headers={"h": "1"})
print(r.status, r.url, r.headers["X-A"], r.headers.get_all("set-cookie"), await r.json(), isinstance(r, FetchResponse))
r = await fetch(Request("http://c/", method="POST", body=b"bytes"))
print(await r.text(), r.ok)
await fetch("http://d/", method="POST", body=FormData({"a": "1"}), headers=[("k", "v")])
print([each[:2] for each in seen], seen[0][2:], seen[1][3])
#> 201 http://a/b 1 ['a', 'b'] {'a': 1} True
#> {"a": 1} True
#> [('PUT', 'http://a/b'), ('POST', 'http://c/'), ('POST', 'http://d/')] ([('content-type', 'text/plain;charset=UTF-8'), ('h', '1')], 'text') bytes

#: fetch that fails
async def answer(request): raise OSError("no way there")
_sandboxd_js.set_fetch(answer)
try: await fetch("http://a/")
except OSError as e: print("OSError")
#> OSError

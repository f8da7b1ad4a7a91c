#: A date
d = js.Date.new(0)
print(d, d.getTime(), d.toISOString(), d.toJSON(), d.toUTCString(), d.getUTCDay(), d.valueOf(), d.getUTCFullYear())
#> Thu Jan 01 1970 00:00:00 GMT+0000 (Coordinated Universal Time) 0 1970-01-01T00:00:00.000Z 1970-01-01T00:00:00.000Z Thu, 01 Jan 1970 00:00:00 GMT 4 0 1970

#: Dates in words
for t in ("2024-02-29", "2024-02-29T12:34:56Z", "2024-02-29T12:34:56.789+02:00", "2024-02-29T12:34", "Thu, 01 Jan 1970 00:00:01 GMT", "Thu Jan 01 1970 00:00:02 GMT+0000 (Coordinated Universal Time)", "nope", "2024-13-01", "+012345-01-01T00:00:00Z", "-000001-01-01T00:00:00Z", "2024", "2024-06"):
    print(t, js.Date.new(t).getTime())
#> 2024-02-29 1709164800000
#> 2024-02-29T12:34:56Z 1709210096000
#> 2024-02-29T12:34:56.789+02:00 1709202896789
#> 2024-02-29T12:34 1709210040000
#> Thu, 01 Jan 1970 00:00:01 GMT 1000
#> Thu Jan 01 1970 00:00:02 GMT+0000 (Coordinated Universal Time) 2000
#> nope nan
#> 2024-13-01 nan
#> +012345-01-01T00:00:00Z 327403382400000
#> -000001-01-01T00:00:00Z -62198755200000
#> 2024 1704067200000
#> 2024-06 1717200000000

#: Dates in parts
print(js.Date.UTC(2024, 1, 29, 1, 2, 3, 4), js.Date.UTC(2024, 12, 1), js.Date.UTC(99, 0), js.Date.new(js.Date.UTC(2024, 0, 31)).toISOString())
d = js.Date.new(js.Date.UTC(2024, 0, 31))
d.setUTCMonth(1)
print(d.toISOString())
d.setUTCHours(25, 61)
print(d.toISOString(), d.getUTCDate(), d.getUTCMonth(), d.getUTCHours(), d.getUTCMinutes(), d.getUTCSeconds(), d.getUTCMilliseconds())
print(js.Date.new("nope"))
try: js.Date.new("nope").toISOString()
except JsException as e: print(e.name)
print(abs(js.Date.now() - js.Date.new().getTime()) < 5000, js.Date.parse("1970-01-02"))
#> 1709168523004 1735689600000 915148800000 2024-01-31T00:00:00.000Z
#> 2024-03-02T00:00:00.000Z
#> 2024-03-03T02:01:00.000Z 3 2 2 1 0 0
#> Invalid Date
#> RangeError
#> True 86400000

#: Regular expressions
r = js.RegExp.new("(\\d+)-(?<n>[a-z]+)?", "gi")
m = r.exec("x 12-AB 3-")
print(m, m.input, m.groups.n, r.lastIndex, r.source, r.flags, r)
m = r.exec("x 12-AB 3-")
print(list(m), r.lastIndex)
print(r.exec("x 12-AB 3-"), r.lastIndex, js.RegExp.new("^a$").test("a\n"), js.RegExp.new("^a$", "m").test("b\na"))
try: js.RegExp.new("(")
except JsException as e: print(e.name)
#> 12-AB,12,AB x 12-AB 3- AB 7 (\d+)-(?<n>[a-z]+)? gi /(\d+)-(?<n>[a-z]+)?/gi
#> ['3-', '3', None] 10
#> jsnull 0 False True
#> SyntaxError

#: Math
print(js.Math.round(2.5), js.Math.round(-2.5), js.Math.floor(-1.5), js.Math.max(1, 5, 3), js.Math.max(), js.Math.min(2, 1), js.Math.sqrt(16), js.Math.pow(2, 10), js.Math.abs(-3), js.Math.trunc(-1.7), js.Math.sign(-5), 0 <= js.Math.random() < 1)
#> 3 -2 -2 5 -inf 1 4 1024 3 -1 -1 True

#: crypto
a = js.Uint8Array.new(16)
print(js.crypto.getRandomValues(a) == a, any(a), len(js.crypto.randomUUID()), js.crypto.randomUUID()[14])
d = await js.crypto.subtle.digest("SHA-256", js.TextEncoder.new().encode("abc"))
print(d.to_bytes().hex())
d = await js.crypto.subtle.digest(to_js({"name": "sha-1"}), to_js(b""))
print(d.to_bytes().hex())
#> True True 36 4
#> ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad
#> da39a3ee5e6b4b0d3255bfef95601890afd80709

#: HMAC
k = await js.crypto.subtle.importKey("raw", to_js(b"key"), to_js({"name": "HMAC", "hash": "SHA-256"}), False, to_js(["sign", "verify"]))
s = await js.crypto.subtle.sign("HMAC", k, to_js(b"data"))
print(s.to_bytes().hex(), await js.crypto.subtle.verify("HMAC", k, s, to_js(b"data")), await js.crypto.subtle.verify("HMAC", k, s, to_js(b"other")))
#> 5031fe3d989c6d1537a013fa6e739da23463fdaec3b70137d828e36ace221bd0 True False

#: performance
a = js.performance.now()
print(0 <= a <= js.performance.now())
#> True

#: pyodide.http
import pyodide.http
r = pyodide.http.FetchResponse("http://a/", js.Response.new('{"a": 1}', status=404, statusText="Not Found", headers=[["x", "y"]]))
print(r.status, r.ok, r.status_text, r.headers["x"], r.body_used, r.url, r.type, r.redirected)
c = r.clone()
print(await r.json(), await c.bytes(), r.body_used)
try: await r.text()
except pyodide.http.BodyUsedError as e: print(isinstance(e, OSError), e)
try: r.raise_for_status()
except pyodide.http.HttpStatusError as e: print(e.status, e)
#> 404 False Not Found y False  default False
#> {'a': 1} b'{"a": 1}' True
#> True Response body is already used
#> 404 404 Client Error: Not Found for url:

#: pyodide.code
from pyodide.code import relaxed_call, relaxed_wrap, eval_code, eval_code_async, find_imports
def f(a, b=2, *, c=3): return (a, b, c)
print(relaxed_call(f, 1), relaxed_call(f, 1, 5, 6, c=7, d=8), relaxed_wrap(lambda x: x)(1, 2, y=3), relaxed_call(lambda *a, **k: (a, k), 1, 2, z=3))
try: relaxed_call(f)
except TypeError: print("TypeError")
print(eval_code("x = 2\nx + 1"), eval_code("5;"), await eval_code_async("import asyncio\nawait asyncio.sleep(0)\n7"), sorted(find_imports("import a.b\nfrom c import d\nimport e")))
#> (1, 2, 3) (1, 5, 7) 1 ((1, 2), {'z': 3})
#> TypeError
#> 3 None 7 ['a', 'a.b', 'c', 'e']

#: A module can be registered
register_js_module("a_module_of_ours", to_js({"x": 5}))
import a_module_of_ours
from a_module_of_ours import x
print(x, a_module_of_ours.x)
unregister_js_module("a_module_of_ours")
try:
    import sys; sys.modules.pop("a_module_of_ours", None)
    import a_module_of_ours
except ImportError: print("ImportError")
#> 5 5
#> ImportError

#: Regular expressions that Python writes in another way
for p, f, t in (("\\d+\\w", "", "\u0661 1a"), ("a$", "", "a\n"), ("[^]b[]?", "", "\nb"), ("(a)|b\\1", "", "b"), ("(?<y>\\d{4})-\\k<y>", "", "2024-2024"),
                ("\\bx\\B", "", "ax xy"), ("[\\w.-]+", "", "a-b.c!"), ("\\u{61}", "u", "a"), ("\\/[&&|[]", "", "/["), (".", "", "\u2028x"), ("a{2}?", "", "aaa"), ("a{,2}", "", "a{,2}")):
    m = js.RegExp.new(p, f).exec(t)
    print(p, m if m is jsnull else [repr(x) for x in m])
for p, f in (("*", ""), ("a**", ""), ("a++", ""), ("(?P<n>a)", ""), ("[z-a]", ""), ("{", "u"), ("(", ""), ("a", "q"), ("a", "gg"), ("\\", "")):
    try: print(p, js.RegExp.new(p, f))
    except JsException as e: print(p, f, e.name)
#> \d+\w ["'1a'"]
#> a$ jsnull
#> [^]b[]? ["'\\nb'"]
#> (a)|b\1 ["'b'", 'None']
#> (?<y>\d{4})-\k<y> ["'2024-2024'", "'2024'"]
#> \bx\B ["'x'"]
#> [\w.-]+ ["'a-b.c'"]
#> \u{61} ["'a'"]
#> \/[&&|[] ["'/['"]
#> . ["'x'"]
#> a{2}? ["'aa'"]
#> a{,2} ["'a{,2}'"]
#> *  SyntaxError
#> a**  SyntaxError
#> a++  SyntaxError
#> (?P<n>a)  SyntaxError
#> [z-a]  SyntaxError
#> { u SyntaxError
#> (  SyntaxError
#> a q SyntaxError
#> a gg SyntaxError
#> \  SyntaxError

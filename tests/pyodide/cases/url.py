#: The parts of a URL
u = js.URL.new("https://us%20er:pa:ss@Example.COM:8443/a/b%20c/../d?x=1&y=a b#frag ment")
print(u.href, u.protocol, u.username, u.password, u.host, u.hostname, u.port, u.pathname, u.search, u.hash, u.origin, u, u.toJSON())
#> https://us%20er:pa%3Ass@example.com:8443/a/d?x=1&y=a%20b#frag%20ment https: us%20er pa%3Ass example.com:8443 example.com 8443 /a/d ?x=1&y=a%20b #frag%20ment https://example.com:8443 https://us%20er:pa%3Ass@example.com:8443/a/d?x=1&y=a%20b#frag%20ment https://us%20er:pa%3Ass@example.com:8443/a/d?x=1&y=a%20b#frag%20ment

#: URLs as the standard writes them
for t in ("http://a", "HTTP://A:80/", "http://a:81", "http://a/b/./c/../d//e", "http://a/%7Eb c\"<>`{}|\\x", "http://a?q", "http://a?q='\"<> #f`\" ", "http://a#", "http://a?", "  http://a/\tb\n ", "http:a", "http:\\\\a\\b", "http://user@a", "http://:pw@a/", "file:///a/b", "file:c:/x", "file:///C|/x", "foo:/a\\b", "mailto:x@y z", "data:text/plain,hi there?q#f", "javascript:alert(1)", "foo://bar/baz/../x?q#f", "foo:/a/b", "http://a/../..", "http://a/b/%2e%2E/c", "wss://a:443/x", "blob:https://a/b", "http://a\\b?c\\d", "http://a/\u00e9\u20ac?\u00e9#\u00e9"):
    print(repr(t), js.URL.new(t).href)
#> 'http://a' http://a/
#> 'HTTP://A:80/' http://a/
#> 'http://a:81' http://a:81/
#> 'http://a/b/./c/../d//e' http://a/b/d//e
#> 'http://a/%7Eb c"<>`{}|\\x' http://a/%7Eb%20c%22%3C%3E%60%7B%7D|/x
#> 'http://a?q' http://a/?q
#> 'http://a?q=\'"<> #f`" ' http://a/?q=%27%22%3C%3E%20#f%60%22
#> 'http://a#' http://a/#
#> 'http://a?' http://a/?
#> '  http://a/\tb\n ' http://a/b
#> 'http:a' http://a/
#> 'http:\\\\a\\b' http://a/b
#> 'http://user@a' http://user@a/
#> 'http://:pw@a/' http://:pw@a/
#> 'file:///a/b' file:///a/b
#> 'file:c:/x' file:///c:/x
#> 'file:///C|/x' file:///C:/x
#> 'foo:/a\\b' foo:/a\b
#> 'mailto:x@y z' mailto:x@y z
#> 'data:text/plain,hi there?q#f' data:text/plain,hi there?q#f
#> 'javascript:alert(1)' javascript:alert(1)
#> 'foo://bar/baz/../x?q#f' foo://bar/x?q#f
#> 'foo:/a/b' foo:/a/b
#> 'http://a/../..' http://a/
#> 'http://a/b/%2e%2E/c' http://a/c
#> 'wss://a:443/x' wss://a/x
#> 'blob:https://a/b' blob:https://a/b
#> 'http://a\\b?c\\d' http://a/b?c\d
#> 'http://a/é€?é#é' http://a/%C3%A9%E2%82%AC?%C3%A9#%C3%A9

#: Hosts
for t in ("http://EX%41mple.com", "http://b\u00fccher.de", "http://1.2.3.4", "http://0x7f.1", "http://256", "http://010.0.0.1", "http://[::1]:80/", "http://[2001:DB8:0:0:1:0:0:1]", "http://[::ffff:1.2.3.4]", "http://a.b.", "http://xn--bcher-kva.de", "foo://EXample%41/", "http://0x10", "http://443..", "http://fa\u00df.de", "http://a\"`{}"):
    print(t, js.URL.new(t).host)
#> http://EX%41mple.com example.com
#> http://bücher.de xn--bcher-kva.de
#> http://1.2.3.4 1.2.3.4
#> http://0x7f.1 127.0.0.1
#> http://256 0.0.1.0
#> http://010.0.0.1 8.0.0.1
#> http://[::1]:80/ [::1]
#> http://[2001:DB8:0:0:1:0:0:1] [2001:db8::1:0:0:1]
#> http://[::ffff:1.2.3.4] [::ffff:102:304]
#> http://a.b. a.b.
#> http://xn--bcher-kva.de xn--bcher-kva.de
#> foo://EXample%41/ EXample%41
#> http://0x10 0.0.0.16
#> http://443.. 443..
#> http://faß.de xn--fa-hia.de
#> http://a"`{} a"`{}

#: What is no URL
for t in ("", "x", "/x", "http://", "http://a b", "http://a:x", "http://a:99999", "http://[::1", "http://1.2.3.4.5", "http://256.1.1.1", "http://a%00b", "http://%zz", "//a", "http://user@", "http://a<b", "file://u@h/", "file://h:1/", "foo://:"):
    print(repr(t), js.URL.canParse(t))
#> '' False
#> 'x' False
#> '/x' False
#> 'http://' False
#> 'http://a b' False
#> 'http://a:x' False
#> 'http://a:99999' False
#> 'http://[::1' False
#> 'http://1.2.3.4.5' False
#> 'http://256.1.1.1' False
#> 'http://a%00b' False
#> 'http://%zz' False
#> '//a' False
#> 'http://user@' False
#> 'http://a<b' False
#> 'file://u@h/' False
#> 'file://h:1/' False
#> 'foo://:' False

#: A URL on a base
for t in ("x", "/x", "../x", "//h/x", "?q", "#f", "", "http://o/", "./y/../z", "http:x", "foo:bar", "..", "../../../..", "x?y#z", "\\x", "http:\\x", "http:\\\\o/", "///o"):
    print(repr(t), js.URL.new(t, "http://u:p@a:81/b/c/d?q#f").href)
print(js.URL.new("x", js.URL.new("http://a/b")).href)
#> 'x' http://u:p@a:81/b/c/x
#> '/x' http://u:p@a:81/x
#> '../x' http://u:p@a:81/b/x
#> '//h/x' http://h/x
#> '?q' http://u:p@a:81/b/c/d?q
#> '#f' http://u:p@a:81/b/c/d?q#f
#> '' http://u:p@a:81/b/c/d?q
#> 'http://o/' http://o/
#> './y/../z' http://u:p@a:81/b/c/z
#> 'http:x' http://u:p@a:81/b/c/x
#> 'foo:bar' foo:bar
#> '..' http://u:p@a:81/b/
#> '../../../..' http://u:p@a:81/
#> 'x?y#z' http://u:p@a:81/b/c/x?y#z
#> '\\x' http://u:p@a:81/x
#> 'http:\\x' http://u:p@a:81/x
#> 'http:\\\\o/' http://o/
#> '///o' http://o/
#> http://a/x

#: Setting parts
u = js.URL.new("http://a/b")
u.protocol = "https"; u.host = "c:8080"; u.pathname = "x y"; u.search = "a=b c"; u.hash = "f g"; u.username = "m@"; u.password = "p:"
print(u.href)
u.port = ""; u.hostname = "d"; u.search = ""; u.hash = ""
print(u.href)
u.port = "443"; u.protocol = "mailto"; u.host = ""; u.port = "x"
print(u.href)
u.href = "http://z/"
print(u)
try: u.href = "nope"
except JsException as e: print(e.name)
#> https://m%40:p%3A@c:8080/x%20y?a=b%20c#f%20g
#> https://m%40:p%3A@d/x%20y
#> https://m%40:p%3A@d/x%20y
#> http://z/
#> TypeError

#: searchParams
u = js.URL.new("http://a/?x=1&y=2&x=3")
p = u.searchParams
print(p.get("x"), list(p.getAll("x")), p.get("z"), p.has("y"), p.size)
p.append("n", "a b&c"); p.delete("x")
print(u.href, p)
p.set("y", "\u00e9")
print(u.search)
u.search = "?q=1"
print(p.get("q"), p.has("y"))
#> 1 ['1', '3'] jsnull True 3
#> http://a/?y=2&n=a+b%26c y=2&n=a+b%26c
#> ?y=%C3%A9&n=a+b%26c
#> 1 False

#: URLSearchParams
for i in ("?a=1&b=2", "a=1&a=2&&c", "a=%20+x&b=%zz", to_js({"k": "v", "n": 1}), [["x", "y"], ("z", 1)], Map.new([["m", 1]]), js.URLSearchParams.new("q=r")):
    print(js.URLSearchParams.new(i).toString())
p = js.URLSearchParams.new("b=1&a=2&b=0")
p.sort()
print(p, list(p.keys()))
got = []
p.forEach(lambda v, k, o: got.append((k, v)))
print(got)
print(js.URLSearchParams.new([["a*-._~!'()", "\u20ac\n"]]).toString())
try: js.URLSearchParams.new([["a"]])
except JsException as e: print(e.name)
#> a=1&b=2
#> a=1&a=2&c=
#> a=++x&b=%25zz
#> k=v&n=1
#> x=y&z=1
#> m=1
#> q=r
#> a=2&b=1&b=0 ['a', 'b', 'b']
#> [('a', '2'), ('b', '1'), ('b', '0')]
#> a*-._%7E%21%27%28%29=%E2%82%AC%0A
#> TypeError

#: encodeURIComponent and its kin
print(js.encodeURIComponent("a b&c/\u00e9~!*'()"), js.encodeURI("http://a/b c?d=\u00e9#f"), js.decodeURIComponent("a%20b%C3%A9"))
try: js.decodeURIComponent("%E0%A4%A")
except JsException as e: print(e.name)
#> a%20b%26c%2F%C3%A9~!*'() http://a/b%20c?d=%C3%A9#f a bé
#> URIError

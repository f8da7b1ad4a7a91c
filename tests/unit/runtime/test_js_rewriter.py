"""HTMLRewriter: what is expected is what the platform's own makes of the same documents."""

import asyncio
import os
import sys
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
RUNTIME = os.environ.get("RUNTIME_DIR") or os.path.join(HERE, "..", "..", "..", "images", "runtime")
sys.path.insert(0, os.path.join(RUNTIME, "http"))

import js  # noqa: E402
from pyodide.ffi import JsException, create_proxy, jsnull, to_js  # noqa: E402


def stream(chunks):
    """A stream of texts."""
    def start(controller):
        for chunk in chunks:
            controller.enqueue(js.TextEncoder.new().encode(chunk))
        controller.close()

    return js.ReadableStream.new(start=create_proxy(start))


def tag(element):
    """Marks an element."""
    element.setAttribute("hit", "1")


class Rewriter(unittest.IsolatedAsyncioTestCase):
    """Each test is a handful of documents and what handlers make of them."""

    async def rewritten(self, html, *handlers):
        """The document after handlers: pairs of a selector and functions by name."""
        rewriter = js.HTMLRewriter.new()
        for selector, functions in handlers:
            if selector is None:
                rewriter.onDocument(to_js(functions))
            else:
                rewriter.on(selector, to_js(functions))
        body = html if isinstance(html, str) else stream(html)
        return await rewriter.transform(js.Response.new(body)).text()

    async def element(self, html, selector, function):
        """The document after one handler of elements."""
        return await self.rewritten(html, (selector, {"element": function}))

    async def test_attributes(self):
        def change(e):
            e.setAttribute("href", "y").setAttribute("n", 'q"u').removeAttribute("b")

        self.assertEqual(await self.element("<a HREF=\"x\" b='1' c=2 d>t</a>", "a", change),
                         '<a HREF="y" c=2 d n="q&quot;u">t</a>')
        self.assertEqual(await self.element("<P CLASS=a  ID = b >x</P >", "p", lambda e: e.setAttribute("Class", "c")),
                         '<P CLASS="c" ID = b>x</P >')
        self.assertEqual(await self.element("<P CLASS=a  ID = b >x</P >", "p", lambda e: None),
                         "<P CLASS=a  ID = b >x</P >")
        seen = []

        def look(e):
            seen.append((e.tagName, [list(pair) for pair in e.attributes], e.getAttribute("HREF"), e.hasAttribute("d"),
                         e.getAttribute("z"), e.namespaceURI, e.removed))

        await self.element("<a HREF=\"x&amp;y\" b='1' c=2 d>t</a>", "a", look)
        self.assertEqual(seen, [("a", [["href", "x&amp;y"], ["b", "1"], ["c", "2"], ["d", ""]], "x&amp;y", True,
                                 jsnull, "http://www.w3.org/1999/xhtml", False)])

    async def test_content_around_an_element(self):
        def insert(e):
            e.before("<1>").before("<2>", html=True).after("<3>").after("<4>", html=True)
            e.prepend("5").prepend("6").append("7").append("8")

        self.assertEqual(await self.element("<p>x<b>y</b></p>", "p", insert),
                         "&lt;1&gt;<2><p>65x<b>y</b>78</p><4>&lt;3&gt;")
        self.assertEqual(await self.element("<p>x<b>y</b></p>", "p", lambda e: e.setInnerContent("<i>", html=True)),
                         "<p><i></p>")
        self.assertEqual(
            await self.element("<p>x</p>", "p", lambda e: e.prepend("a").append("b").setInnerContent("<i>")),
            "<p>&lt;i&gt;</p>")
        self.assertEqual(
            await self.element("<p>x<b>y</b></p>z", "p", lambda e: e.before("B").after("A").replace("<i>")),
            "B&lt;i&gt;Az")
        self.assertEqual(await self.element("<p>x<b>y</b></p>z", "b", lambda e: e.remove()), "<p>x</p>z")
        self.assertEqual(await self.element("<p>x<b>y</b></p>z", "p", lambda e: e.removeAndKeepContent()),
                         "x<b>y</b>z")
        self.assertEqual(await self.element("<p a=1>x</p>", "p", lambda e: setattr(e, "tagName", "div")),
                         "<div a=1>x</div>")

    async def test_elements_without_an_end(self):
        self.assertEqual(await self.element("<img src=x>y<br/>z<p/>", "*", lambda e: e.append("Q").after("R")),
                         "<img src=x>Ry<br/>Rz<p/>")
        self.assertEqual(
            await self.element("<p>a<p>b<ul><li>c<li>d</ul>e", "p, li", lambda e: e.append("X").after("Y")),
            "<p>a<p>b<ul><li>c<li>dX</ul>Ye")
        self.assertEqual(await self.element("</p>a</b><i>x", "i", lambda e: e.append("X").after("Y")), "</p>a</b><i>x")
        self.assertEqual(await self.element("<div><div>a</div></div>", "div", lambda e: e.append("X")),
                         "<div><div>aX</div>X</div>")

    async def test_end_tag(self):
        def change(tag):
            tag.before("B").after("A")
            tag.name = "z"

        self.assertEqual(await self.element("<p>x</p>y<q>z", "p", lambda e: e.onEndTag(create_proxy(change))),
                         "<p>xB</z>Ay<q>z")
        self.assertEqual(await self.element("<p>x</p>", "p", lambda e: e.onEndTag(lambda tag: tag.remove())), "<p>x")

    async def test_elements_that_end_with_another(self):
        html = "<div><p>x</div>y"
        for change, expected in ((lambda e: e.append("a").after("b"), "<div><p>xa</div>by"),
                                 (lambda e: e.remove(), "<div>y"),
                                 (lambda e: e.setInnerContent("I"), "<div><p>I</div>y"),
                                 (lambda e: setattr(e, "tagName", "q"), "<div><q>x</q>y"),
                                 (lambda e: e.removeAndKeepContent(), "<div>xy")):
            self.assertEqual(await self.element(html, "p", change), expected)
        self.assertEqual(await self.element(html, "*", lambda e: e.append("[%s]" % e.tagName)), "<div><p>x[div]</div>y")

    async def test_what_is_written_again(self):
        for html, expected in (
                ("<img src=x/><br/><p/>", '<img src=x/ hit="1"><br hit="1" /><p hit="1">'),
                ("<svg><path/><p a A=2><path/>", '<svg hit="1"><path hit="1" /><p a A=2 hit="1"><path hit="1">'),
                ("<svg><title><p/></title><a/></svg>",
                 '<svg hit="1"><title hit="1"><p hit="1"></title><a hit="1" /></svg>'),
                ("<p =a><p a=b=c \"d\">", '<p =a hit="1"><p a=b=c "d" hit="1">')):
            self.assertEqual(await self.element(html, "*", tag), expected)

    async def test_text(self):
        seen = []

        def text(t):
            seen.append((t.text, t.lastInTextNode, t.removed))
            if t.text == "z":
                t.replace("<Z>")

        self.assertEqual(await self.rewritten("<p>x &amp; y<b>z</b>w</p>q", ("p", {"text": text})),
                         "<p>x &amp; y<b>&lt;Z&gt;</b>w</p>q")
        self.assertEqual(seen, [("x &amp; y", False, False), ("", True, False), ("z", False, False), ("", True, False),
                                ("w", False, False), ("", True, False)])
        self.assertEqual(await self.rewritten("<p>a<b>c</b></p>", ("p", {"text": lambda t: t.remove()})),
                         "<p><b></b></p>")
        self.assertEqual(await self.rewritten(
            "<p>hello</p>", ("p", {"text": lambda t: t.after("!") if t.lastInTextNode else t.before("<")})),
            "<p>&lt;hello!</p>")

    async def test_chunks(self):
        seen = []
        handlers = ("p", {"text": lambda t: seen.append((t.text, t.lastInTextNode)),
                          "element": lambda e: seen.append(e.getAttribute("a"))})
        self.assertEqual(await self.rewritten(['<p a="1', '2">he', "llo wo", "rld</", "p>x"], handlers),
                         '<p a="12">hello world</p>x')
        self.assertEqual(seen, ["12", ("he", False), ("llo wo", False), ("rld", False), ("", True)])

    async def test_every_cut_gives_the_same(self):
        html = ("<!doctype html><!-- c --><title><p></title><p a='>' b=\"=\" c==x>t<br/>&lt;</p>"
                "<script>if (a<b) '<p>'</script><p>x</p >")
        whole = await self.element(html, "p", tag)
        self.assertEqual(whole, html.replace("c==x", "c==x hit=\"1\"").replace("<p>x", '<p hit="1">x'))
        for at in range(1, len(html)):
            self.assertEqual(await self.element([html[:at], html[at:]], "p", tag), whole, html[:at])

    async def test_comments_and_doctype(self):
        def comment(c):
            c.before("<x>")
            c.text = "new"

        self.assertEqual(await self.rewritten(
            "<!-- a --><p><!--b--></p>", ("p", {"comments": comment}),
            (None, {"comments": lambda c: c.remove() if c.text == " a " else None})), "<p>&lt;x&gt;<!--new--></p>")
        seen = []
        self.assertEqual(await self.rewritten('<!DOCTYPE html PUBLIC "p" "s"><p>x</p>', (None, {
            "doctype": lambda d: seen.append((d.name, d.publicId, d.systemId)), "text": lambda t: seen.append(t.text),
            "end": lambda e: e.append("<end>", html=True)})),
            '<!DOCTYPE html PUBLIC "p" "s"><p>x</p><end>')
        self.assertEqual(seen, [("html", "p", "s"), "x", ""])

    async def test_selectors(self):
        html = ("<div id=d><p class=\"c x\" id=i a=\"v w\">1<b>2</b></p><p a=v id=j>3</p>"
                "<span a=\"v-x\" id=k><p id=l class=C>4</p></span></div>")
        for selector, expected in (
                ("p", "i j l"), ("*", "d i b j k l"), (".c", "i"), ("#i", "i"), ("p.c#i", "i"), ("[a]", "i j k"),
                ("[a=v]", "j"), ("[a='V' i]", "j"), ("[a~=w]", "i"), ("[a^=v]", "i j k"), ("[a$=v]", "j"),
                ("[a*=v]", "i j k"), ("[a|=v]", "j k"), ("div p", "i j l"), ("div > p", "i j"),
                ("p:first-child", "i l"), ("p:nth-child(2)", "j"), ("p:nth-of-type(2)", "j"), ("p:not(.c)", "j l"),
                ("p, b", "i b j l"), ("div > p > b", "b"), (":nth-child(2n+1)", "d i b k l"),
                ("p:first-of-type", "i l"), ("P", "i j l")):
            seen = []

            def look(e, seen=seen):
                seen.append(e.getAttribute("id") or e.tagName)

            await self.element(html, selector, look)
            self.assertEqual(" ".join(seen), expected, selector)
        for selector in ("p + b", "p:hover", "p:last-child", "", "p >", "[a", "p:nth-child(x)"):
            with self.assertRaisesRegex(JsException, "TypeError: Parser error", msg=selector):
                js.HTMLRewriter.new().on(selector, to_js({}))

    async def test_texts_that_hold_no_tags(self):
        html = ("<script>if (a<b) \"<p>\"</script><style>p{}</style><textarea><p></textarea><title><p></title>"
                "<svg><![CDATA[<p>]]></svg>")
        self.assertEqual(await self.element(html + "<p>x", "p", tag), html + '<p hit="1">x')

    async def test_what_is_removed_is_met(self):
        seen = []
        self.assertEqual(await self.rewritten(
            "<p>a<b>c</b></p>", ("p", {"element": lambda e: e.remove()}),
            ("b", {"element": lambda e: seen.append("b"), "text": lambda t: seen.append(t.text)})), "")
        self.assertEqual(seen, ["b", "c", ""])

    async def test_handlers_that_wait_or_fail(self):
        async def later(e):
            await asyncio.sleep(0)
            e.setInnerContent("later")

        self.assertEqual(await self.element("<p>x</p>", "p", later), "<p>later</p>")

        def fail(_element):
            raise js.TypeError.new("mine")

        with self.assertRaisesRegex(JsException, "TypeError: mine"):
            await self.element("<p>x", "p", fail)

    async def test_an_object_of_handlers(self):
        class Handlers:
            """Handlers as a class of the program's has them."""

            def element(self, element):
                """Two handlers see what the first has done."""
                element.setAttribute("a", "1")

        rewriter = js.HTMLRewriter.new().on("p", create_proxy(Handlers()))
        rewriter.on("p", element=lambda e: e.setAttribute("b", e.getAttribute("a")))
        response = rewriter.transform(
            js.Response.new("<p>a</p>", status=201, headers={"content-length": "8", "x": "y"}))
        self.assertEqual((response.status, response.headers.get("x"), response.headers.get("content-length")),
                         (201, "y", jsnull))
        self.assertEqual(await response.text(), '<p a="1" b="1">a</p>')
        self.assertIs(rewriter.transform(js.Response.new(None, status=204)).body, jsnull)


if __name__ == "__main__":
    unittest.main()

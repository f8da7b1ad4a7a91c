"""HTMLRewriter: changes HTML while it passes through, by handlers for what selectors match.

What no handler changes passes byte for byte.  Elements are told from each other by
their tags alone, as the platform does: a tag that may be left out ends nothing.
"""

import codecs
import inspect
import re

from .core import (JsIterator, JsObject, jsnull, js_class, new_array, options_of, to_string, truth, type_error)
from .fetch import Headers, Response
from .streams import ReadableStream, _method, chunk_bytes, stream_of_async

_VOID = frozenset(("area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source",
                   "track", "wbr", "basefont", "bgsound", "frame", "keygen"))
_RAW = frozenset(("script", "style", "textarea", "title", "xmp", "iframe", "noembed", "noframes"))
_FOREIGN = {"svg": "http://www.w3.org/2000/svg", "math": "http://www.w3.org/1998/Math/MathML"}
_HTML = "http://www.w3.org/1999/xhtml"
# What ends SVG and MathML where it begins, and what HTML stands in inside of SVG.
_BREAKS = frozenset((
    "b", "big", "blockquote", "body", "br", "center", "code", "dd", "div", "dl", "dt", "em", "embed", "h1", "h2", "h3",
    "h4", "h5", "h6", "head", "hr", "i", "img", "li", "listing", "menu", "meta", "nobr", "ol", "p", "pre", "ruby", "s",
    "small", "span", "strong", "strike", "sub", "sup", "table", "tt", "u", "ul", "var"))
_HTML_INSIDE = frozenset(("foreignobject", "desc", "title"))
_ATTRIBUTE = re.compile(r"""[\s/]*([^\s/>][^\s/>=]*)(?:\s*=\s*("[^"]*"|'[^']*'|[^\s>"'][^\s>]*|(?=>)))?""")
_STOP = re.compile(r"[>=]")
_SPACE = re.compile(r"\s*")
_BARE = re.compile(r"[^\s>]*")
_DOCTYPE = re.compile(r"""<!doctype\s*([^\s>]*)\s*(?:(public|system)\s*(?:"([^"]*)"|'([^']*)')?\s*"""
                      r"""(?:"([^"]*)"|'([^']*)')?)?""", re.I)


# Selectors.

_PART = re.compile(r"""\s*(?:
    (?P<name>[*]|[A-Za-z][\w-]*) | \#(?P<id>[\w-]+) | \.(?P<cls>[\w-]+) |
    \[\s*(?P<attr>[\w:-]+)\s*(?:(?P<op>[~|^$*]?=)\s*(?P<value>"[^"]*"|'[^']*'|[^\s\]"']+)\s*(?P<flag>[iIsS])?)?\s*\] |
    :(?P<pseudo>first-child|first-of-type|nth-child|nth-of-type|not)(?:\((?P<arg>[^()]*)\))?
)""", re.X)
_NTH = re.compile(r"\s*(?:(odd|even)|([+-]?\d*)n\s*(?:([+-])\s*(\d+))?|([+-]?\d+))\s*\Z", re.I)


def _wrong(words):
    return type_error("Parser error: %s" % words)


def _nth(text):
    found = _NTH.match(text or "")
    if found is None:
        raise _wrong("Invalid argument of nth-child or nth-of-type in selector.")
    word, step, sign, rest, number = found.groups()
    if word:
        return 2, (1 if word.lower() == "odd" else 0)
    if number is not None:
        return 0, int(number)
    return int(step + "1" if step in ("", "+", "-") else step), int((sign or "") + (rest or "0"))


def _is_nth(rule, index):
    step, first = rule
    if step == 0:
        return index == first
    return (index - first) % step == 0 and (index - first) // step >= 0


def _compound(text, at):
    """The tests of one element, and where they end."""
    tests = []
    while True:
        found = _PART.match(text, at)
        if found is None or (tests and text[at].isspace()):
            break
        at = found.end()
        part = found.groupdict()
        if part["name"]:
            if part["name"] != "*":
                tests.append(lambda e, name=part["name"].lower(): e.name == name)
            else:
                tests.append(lambda e: True)
        elif part["id"]:
            tests.append(lambda e, value=part["id"]: e.attribute("id") == value)
        elif part["cls"]:
            tests.append(lambda e, value=part["cls"]: value in (e.attribute("class") or "").split())
        elif part["attr"]:
            tests.append(_attribute_test(part))
        elif part["pseudo"] == "not":
            inner, end = _compound(part["arg"] or "", 0)
            if not inner or (part["arg"] or "")[end:].strip():
                raise _wrong("Invalid argument of :not in selector.")
            tests.append(lambda e, inner=tuple(inner): not all(test(e) for test in inner))
        else:
            rule = (0, 1) if part["pseudo"].startswith("first") else _nth(part["arg"])
            kind = "of_type" if part["pseudo"].endswith("type") else "index"
            tests.append(lambda e, rule=rule, kind=kind: _is_nth(rule, getattr(e, kind)))
    return tests, at


def _attribute_test(part):
    name, operator, value = part["attr"], part["op"], part["value"]
    if operator is None:
        return lambda e: e.attribute(name) is not None
    if value[:1] in "\"'":
        value = value[1:-1]
    folds = (part["flag"] or "") in ("i", "I") and bool(part["flag"])
    if folds:
        value = value.lower()
    compare = {
        "=": lambda has: has == value,
        "~=": lambda has: bool(value) and value in has.split(),
        "|=": lambda has: has == value or has.startswith(value + "-"),
        "^=": lambda has: bool(value) and has.startswith(value),
        "$=": lambda has: bool(value) and has.endswith(value),
        "*=": lambda has: bool(value) and value in has,
    }[operator]

    def test(element):
        has = element.attribute(name)
        return has is not None and compare(has.lower() if folds else has)

    return test


class Selector:
    """A selector: alternatives, each a chain of tests from the last element outwards."""

    __slots__ = ("_chains",)

    def __init__(self, text):
        self._chains = [self._chain(piece) for piece in self._pieces(text)]

    @staticmethod
    def _pieces(text):
        pieces, depth, quote, begun = [], 0, "", 0
        for at, letter in enumerate(text):
            if quote:
                quote = "" if letter == quote else quote
            elif letter in "\"'":
                quote = letter
            elif letter in "[(":
                depth += 1
            elif letter in "])":
                depth -= 1
            elif letter == "," and not depth:
                pieces.append(text[begun:at])
                begun = at + 1
        return pieces + [text[begun:]]

    @staticmethod
    def _chain(text):
        text = text.strip()
        if not text:
            raise _wrong("The selector is empty.")
        chain, at, link = [], 0, ""
        while at < len(text):
            tests, end = _compound(text, at)
            if not tests:
                if text[at:].lstrip()[:1] == ":":
                    raise _wrong("Unsupported pseudo-class or pseudo-element in selector.")
                raise _wrong("Unexpected token in selector.")
            chain.append((link, tests))
            rest = text[end:]
            at = end + len(rest) - len(rest.lstrip())
            link = " "
            if text[at:at + 1] == ">":
                link = ">"
                at += 1
            elif text[at:at + 1] in ("+", "~") and text[at:at + 1]:
                raise _wrong("Unsupported combinator `%s` in selector." % text[at])
            elif at < len(text) and at == end:
                if text[at] == ":":
                    raise _wrong("Unsupported pseudo-class or pseudo-element in selector.")
                raise _wrong("Unexpected token in selector.")
        if link == ">" and text.endswith(">"):
            raise _wrong("Dangling combinator in selector.")
        return chain[::-1]

    def matches(self, element, ancestors):
        """Whether the element inside of these is meant."""
        return any(_fits(chain, 0, element, ancestors, len(ancestors)) for chain in self._chains)


def _fits(chain, place, element, ancestors, depth):
    link, tests = chain[place]
    if not all(test(element) for test in tests):
        return False
    if place + 1 == len(chain):
        return True
    if link == ">":
        return depth > 0 and _fits(chain, place + 1, ancestors[depth - 1], ancestors, depth - 1)
    return any(_fits(chain, place + 1, ancestors[at], ancestors, at) for at in range(depth - 1, -1, -1))


# What handlers get.


def _content(content, options, kwargs):
    text = to_string(content)
    if truth(options_of(options, kwargs).get("html")):
        return text
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


class _Token(JsObject):
    """A piece of the document that can be replaced, and have text put before and after it."""

    __slots__ = ("_before", "_after", "_instead", "_removed")

    def _begin(self):
        self._before, self._after = [], []
        self._instead = None
        self._removed = False

    @property
    def removed(self):
        """Whether it will not be in the result."""
        return self._removed

    def before(self, content, options=None, **kwargs):
        """Puts content before it."""
        self._before.append(_content(content, options, kwargs))
        return self

    def after(self, content, options=None, **kwargs):
        """Puts content after it, and before what was put there earlier."""
        self._after.insert(0, _content(content, options, kwargs))
        return self

    def replace(self, content, options=None, **kwargs):
        """Puts content in its place."""
        self._instead = _content(content, options, kwargs)
        self._removed = True
        return self

    def remove(self):
        """Takes it out."""
        self._removed = True
        return self

    def _written(self, raw):
        middle = (self._instead or "") if self._removed else raw
        return "".join(self._before) + middle + "".join(self._after)


@js_class("Element")
class Element(_Token):
    """An element, when its start tag has been met."""

    __slots__ = ("name", "raw_name", "attributes_raw", "index", "of_type", "children", "types", "namespace", "_changed",
                 "_prepend", "_append", "_inner", "_keeps", "_renamed", "_ends", "_has_content", "_slash", "hits")

    def attribute(self, name):
        """The value of an attribute as it is written; None when there is none."""
        for attribute in self.attributes_raw:
            if attribute[0] == name:
                return attribute[1]
        return None

    @property
    def tagName(self):
        """The tag's name, in small letters."""
        return self.name

    @tagName.setter
    def tagName(self, name):
        self._renamed = to_string(name)

    @property
    def attributes(self):
        """An iterator over arrays of name and value."""
        return JsIterator([new_array([name, value]) for name, value, _raw in self.attributes_raw])

    @property
    def namespaceURI(self):
        """The namespace: that of HTML, of SVG or of MathML."""
        return self.namespace

    def getAttribute(self, name):
        """The value of an attribute, or null."""
        value = self.attribute(to_string(name).lower())
        return jsnull if value is None else value

    def hasAttribute(self, name):
        """Whether there is such an attribute."""
        return self.attribute(to_string(name).lower()) is not None

    def setAttribute(self, name, value):
        """Sets an attribute."""
        given, value = to_string(name), to_string(value)
        if not given or re.search(r"[\s/>=]", given):
            raise type_error("`%s` is not a name that an attribute can have." % given)
        self._changed = True
        for at, attribute in enumerate(self.attributes_raw):
            if attribute[0] == given.lower():
                written = attribute[2].partition("=")[0].strip() if attribute[2] else given
                self.attributes_raw[at] = (attribute[0], value, _attribute(written, value))
                return self
        self.attributes_raw.append((given.lower(), value, _attribute(given.lower(), value)))
        return self

    def removeAttribute(self, name):
        """Takes an attribute out."""
        name = to_string(name).lower()
        if self.attribute(name) is not None:
            self._changed = True
            self.attributes_raw[:] = [attribute for attribute in self.attributes_raw if attribute[0] != name]
        return self

    def prepend(self, content, options=None, **kwargs):
        """Puts content before all that is in the element."""
        self._prepend.insert(0, _content(content, options, kwargs))
        return self

    def append(self, content, options=None, **kwargs):
        """Puts content after all that is in the element."""
        self._append.append(_content(content, options, kwargs))
        return self

    def setInnerContent(self, content, options=None, **kwargs):
        """Puts content in the place of all that is in the element."""
        self._prepend, self._append = [], []
        self._inner = _content(content, options, kwargs)
        return self

    def removeAndKeepContent(self):
        """Takes the element's tags out."""
        self._removed = self._keeps = True
        return self

    def onEndTag(self, function):
        """Has the function called with the element's end tag, if it has one."""
        if not self._has_content:
            raise type_error("No end tag.")
        self._ends.append(function)

    def _tag(self, raw):
        if not self._changed and self._renamed is None:
            return raw
        attributes = "".join([" " + attribute[2] for attribute in self.attributes_raw])
        return "<%s%s%s>" % (self._renamed or self.raw_name, attributes, " /" if self._slash else "")

    def _start(self, raw):
        """What stands in the result for the start tag."""
        if not self._has_content:
            return self._written(self._tag(raw))
        pieces = list(self._before)
        if not self._removed:
            pieces.append(self._tag(raw))
        if self._removed and not self._keeps:
            pieces.append(self._instead or "")
        else:
            pieces += self._prepend
            if self._inner is not None:
                pieces.append(self._inner)
        return "".join(pieces)

    def _hides(self):
        """Whether what is inside is not in the result."""
        return self._has_content and (self._inner is not None or self._removed and not self._keeps)


def _attribute(name, value):
    return '%s="%s"' % (name, value.replace('"', "&quot;"))


@js_class("EndTag")
class EndTag(_Token):
    """An element's end tag."""

    __slots__ = ("name",)


@js_class("Text")
class Text(_Token):
    """A part of a text; an empty one is the last."""

    __slots__ = ("text", "lastInTextNode")


@js_class("Comment")
class Comment(_Token):
    """A comment."""

    __slots__ = ("text",)


@js_class("Doctype")
class Doctype(_Token):
    """The document's type."""

    __slots__ = ("name", "publicId", "systemId")


@js_class("DocumentEnd")
class DocumentEnd(JsObject):
    """The end of the document."""

    __slots__ = ("_pieces",)

    def append(self, content, options=None, **kwargs):
        """Puts content at the end."""
        self._pieces.append(_content(content, options, kwargs))
        return self


@js_class("HTMLRewriter")
class HTMLRewriter(JsObject):
    """Handlers for what selectors match, and for the whole document."""

    __slots__ = ("_handlers",)

    def __init__(self):
        self._handlers = []

    def on(self, selector, handlers=None, **kwargs):
        """Adds the functions `element`, `comments` and `text` for what the selector matches."""
        handlers = kwargs or handlers
        self._handlers.append((Selector(to_string(selector)),
                               {name: _method(handlers, name) for name in ("element", "comments", "text")}))
        return self

    def onDocument(self, handlers=None, **kwargs):
        """Adds the functions `doctype`, `comments`, `text` and `end` for the document."""
        handlers = kwargs or handlers
        self._handlers.append((None, {name: _method(handlers, name)
                                      for name in ("doctype", "comments", "text", "end")}))
        return self

    def transform(self, response):
        """A response whose body is the other's, changed while it is read."""
        body = response.body
        made = Response(None, response)
        made._headers = Headers(response.headers)
        if isinstance(body, ReadableStream):
            made._headers.delete("content-length")
            # The body's chunks are read by one generator, which ends when nobody reads the result any more.
            made._stream = stream_of_async(_Rewriting(self._handlers).chunks(body))
        return made


class _Rewriting:
    """One document that passes through."""

    def __init__(self, handlers):
        self.handlers = handlers
        self.stack = []
        self.hidden = 0
        self.raw_until = None
        self.in_text = False
        self.pieces = []
        self.root_children = 0
        self.root_types = {}
        self.spaces = [("", _HTML)]

    async def chunks(self, body):
        """The result, in pieces of bytes."""
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        rest = ""
        reader = body.getReader()
        ended = False
        try:
            while not ended:
                step = await reader.read()
                ended = step.done
                rest += decoder.decode(b"" if ended else chunk_bytes(step.value), final=ended)
                rest = rest[await self.feed(rest, ended):]
                if ended:
                    await self.finish()
                if self.pieces:
                    text, self.pieces = "".join(self.pieces), []
                    if text:
                        yield text.encode("utf-8", "replace")
        finally:
            if not ended:
                reader.cancel()._react(lambda _value: None, lambda _reason: None)

    def put(self, text):
        """Adds to the result, unless what is inside of an element is hidden here."""
        if not self.hidden and text:
            self.pieces.append(text)

    async def call(self, function, token):
        """Calls a handler, and waits for it."""
        result = function(token)
        if inspect.isawaitable(result):
            await result

    def active(self, kind):
        """The handlers of that kind that are for what stands here, in the order in which they were added."""
        hits = set()
        for element in self.stack:
            hits.update(element.hits)
        return [functions[kind] for at, (selector, functions) in enumerate(self.handlers)
                if functions.get(kind) is not None and (selector is None or at in hits)]

    async def feed(self, text, ended):
        """Takes whole tokens off the front of the text; how much was taken."""
        at = 0
        while at < len(text):
            if self.raw_until is not None:
                at, stays = await self.raw_text(text, at, ended)
                if stays:
                    return at
                continue
            begun = text.find("<", at)
            if begun < 0:
                await self.text(text[at:])
                return len(text)
            if begun > at:
                await self.text(text[at:begun])
                at = begun
            end = await self.markup(text, at, ended)
            if end is None:
                if not ended:
                    return at
                await self.rest(text[at:])
                return len(text)
            at = end
        return at

    async def rest(self, raw):
        """What begins as markup, and is not whole at the document's end."""
        if raw.startswith("<!--"):
            await self.end_text()
            await self.comment(raw, re.sub(r"(--!|--?)\Z", "", raw[4:]))
        elif re.match("</?[A-Za-z]", raw):
            await self.end_text()
            self.put(raw)
        else:
            await self.text(raw)

    async def raw_text(self, text, at, ended):
        """The text of a script and the like, in which there are no tags; whether more is needed to go on."""
        found = re.compile(r"</%s(?=[\s/>])" % self.raw_until, re.I).search(text, at)
        if found is not None:
            if found.start() > at:
                await self.text(text[at:found.start()])
            self.raw_until = None
            return found.start(), False
        # The end tag may have come in part.
        safe = len(text) if ended else max(at, len(text) - len(self.raw_until) - 2)
        if safe > at:
            await self.text(text[at:safe])
        return safe, True

    async def markup(self, text, at, ended):
        """One token that begins with "<"; where it ends, or None when it is not whole."""
        follows = text[at + 1:at + 2]
        if not follows:
            return None
        if follows.isalpha() and follows.isascii():
            end = _tag_end(text, at)
            if end is None:
                return None
            await self.end_text()
            await self.start_tag(text[at:end])
            return end
        if follows == "/":
            letter = text[at + 2:at + 3]
            if not letter:
                return None
            end = text.find(">", at)
            if end < 0:
                return None
            await self.end_text()
            if letter.isalpha() and letter.isascii():
                await self.end_tag(text[at:end + 1])
            elif letter == ">":
                self.put(text[at:end + 1])
            else:
                await self.comment(text[at:end + 1], text[at + 2:end])
            return end + 1
        if follows == "!":
            return await self.declaration(text, at, ended)
        if follows == "?":
            end = text.find(">", at)
            if end < 0:
                return None
            await self.end_text()
            await self.comment(text[at:end + 1], text[at + 1:end])
            return end + 1
        await self.text("<")
        return at + 1

    async def declaration(self, text, at, ended):
        """A comment, a doctype or CDATA."""
        head = text[at:at + 9]
        if not ended and len(head) < 9 and ("<!doctype".startswith(head.lower()) or "<![CDATA[".startswith(head)
                                            or "<!--".startswith(head)):
            return None
        if head.startswith("<!--"):
            found = re.compile(r"--!?>").search(text, at + 4)
            short = re.compile(r"<!---?>").match(text, at)
            if short is not None:
                end, words = short.end(), ""
            elif found is not None:
                end, words = found.end(), text[at + 4:found.start()]
            else:
                return None
        elif head == "<![CDATA[" and self.spaces[-1][1] != _HTML:
            end = text.find("]]>", at)
            if end < 0:
                return None
            self.put(text[at:at + 9])
            if end > at + 9:
                await self.text(text[at + 9:end])
            self.put("]]>")
            return end + 3
        else:
            end = text.find(">", at) + 1
            if not end:
                return None
            words = text[at + 2:end - 1]
        await self.end_text()
        if head.lower() == "<!doctype":
            await self.doctype(text[at:end])
        else:
            await self.comment(text[at:end], words)
        return end

    async def text(self, words):
        """A part of a text."""
        functions = self.active("text")
        self.in_text = True
        if functions:
            await self.text_part(functions, words, False)
        else:
            self.put(words)

    async def text_part(self, functions, words, last):
        """Calls handlers with a part of a text."""
        token = Text.__new__(Text)
        token._begin()
        token.text, token.lastInTextNode = words, last
        for function in functions:
            await self.call(function, token)
        self.put(token._written(words))

    async def end_text(self):
        """The end of a text, which handlers are told by an empty part."""
        if self.in_text:
            self.in_text = False
            functions = self.active("text")
            if functions:
                await self.text_part(functions, "", True)

    async def comment(self, raw, words):
        """A comment."""
        functions = self.active("comments")
        if not functions:
            self.put(raw)
            return
        token = Comment.__new__(Comment)
        token._begin()
        token.text = words
        for function in functions:
            await self.call(function, token)
        self.put(token._written(raw if token.text == words else "<!--%s-->" % to_string(token.text)))

    async def doctype(self, raw):
        """The document's type."""
        functions = self.active("doctype")
        if functions:
            name, kind, public, public_too, system, system_too = _DOCTYPE.match(raw).groups()
            first, second = public or public_too, system or system_too
            token = Doctype.__new__(Doctype)
            token._begin()
            if kind and kind.lower() == "system":
                first, second = None, first
            token.name, token.publicId, token.systemId = [
                jsnull if value is None else value for value in (name.lower() or None, first, second)]
            for function in functions:
                await self.call(function, token)
            raw = token._written(raw)
        self.put(raw)

    async def start_tag(self, raw):
        """A start tag: an element begins."""
        element = Element.__new__(Element)
        element._begin()
        element.raw_name = re.compile(r"[^\s/>]+").match(raw, 1).group()
        element.name = element.raw_name.lower()
        element.attributes_raw = _attributes_of(raw, 1 + len(element.raw_name))
        element._changed = element._keeps = False
        element._prepend, element._append, element._ends, element._inner, element._renamed = [], [], [], None, None
        element.children, element.types, element.hits = 0, {}, set()
        parent = self.stack[-1] if self.stack else None
        self.count(element, parent)
        if self.spaces[-1][1] != _HTML and element.name in _BREAKS:
            del self.spaces[1:]
        element.namespace = _FOREIGN.get(element.name) or self.spaces[-1][1]
        foreign = element.namespace != _HTML
        void = element.name in _VOID and not foreign
        closed = raw.endswith("/>") and not (element.attributes_raw and element.attributes_raw[-1][1].endswith("/")
                                             and raw.endswith(element.attributes_raw[-1][2] + ">"))
        element._slash = closed and (void or foreign)
        element._has_content = not (void or foreign and closed)
        for at, (selector, functions) in enumerate(self.handlers):
            if selector is not None and selector.matches(element, self.stack):
                element.hits.add(at)
                if functions["element"] is not None:
                    await self.call(functions["element"], element)
        self.put(element._start(raw))
        if element._has_content:
            self.stack.append(element)
            if element.name in _FOREIGN:
                self.spaces.append((element.name, element.namespace))
            elif foreign and element.name in _HTML_INSIDE:
                self.spaces.append((element.name, _HTML))
            self.hidden += element._hides()
            if element.name in _RAW and not foreign:
                self.raw_until = element.name

    def count(self, element, parent):
        """Which child of its parent the element is, and which of its name."""
        if parent is None:
            self.root_children += 1
            element.index, types = self.root_children, self.root_types
        else:
            parent.children += 1
            element.index, types = parent.children, parent.types
        types[element.name] = element.of_type = types.get(element.name, 0) + 1

    async def end_tag(self, raw):
        """An end tag: the elements that are open inside of its own end with it."""
        name = re.compile(r"[^\s/>]+").match(raw, 2).group()
        if self.spaces[-1][0] == name.lower():
            self.spaces.pop()
        elif self.spaces[-1][1] != _HTML and name.lower() in ("p", "br"):
            del self.spaces[1:]
        place = next((at for at in range(len(self.stack) - 1, -1, -1) if self.stack[at].name == name.lower()), None)
        if place is None:
            self.put(raw)
            return
        ended = self.stack[place:]
        del self.stack[place:]
        self.hidden -= sum(element._hides() for element in ended)
        # The elements inside that have no end tag of their own end with this one, and what the outermost
        # wants of its end tag is what it becomes.
        token = EndTag.__new__(EndTag)
        token._begin()
        token.name = name
        for element in reversed(ended):
            if element._append or element._after or element._removed:
                token._removed = element._removed
                token._before = [] if element._removed and not element._keeps else list(element._append)
                token._after = list(element._after)
            if element._renamed is not None:
                token.name = element._renamed
            for function in element._ends:
                await self.call(function, token)
        self.put(token._written(raw if token.name == name else "</%s>" % to_string(token.name)))

    async def finish(self):
        """The end of the document."""
        await self.end_text()
        token = DocumentEnd()
        token._pieces = []
        for function in self.active("end"):
            await self.call(function, token)
        self.hidden = 0
        self.put("".join(token._pieces))


def _tag_end(text, at):
    """Where the tag that begins there ends; None when it is not whole."""
    while True:
        found = _STOP.search(text, at)
        if found is None:
            return None
        at = found.end()
        if found.group() == ">":
            return at
        at = _SPACE.match(text, at).end()
        quote = text[at:at + 1]
        if quote in ("\"", "'"):
            at = text.find(quote, at + 1) + 1
            if not at:
                return None
        else:
            at = _BARE.match(text, at).end()


def _attributes_of(raw, at):
    """The attributes of a tag: name, value, and how it is written."""
    made = []
    limit = len(raw) - 1
    while at < limit:
        found = _ATTRIBUTE.match(raw, at, limit)
        if found is None or found.end() == at:
            break
        at = found.end()
        name, value = found.group(1).lower(), found.group(2) or ""
        if value[:1] in ("\"", "'") and value[:1]:
            value = value[1:-1]
        made.append((name, value, raw[found.start(1):found.end()]))
    return made

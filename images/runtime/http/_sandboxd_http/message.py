"""Between an exchange of the server and JavaScript's Request and Response."""

import re

from _sandboxd_js import Request, Response, outgoing
from _sandboxd_js.url import ParseError, parse

from .framing import Refused

# A host and a target that a URL's parser would leave as they are.
plain_host = re.compile(rb"(?:[a-z0-9](?:[a-z0-9.-]*[a-z-])?[a-z]|(?:[1-9][0-9]?\.|0\.|1[0-9][0-9]\.){3}[1-9][0-9]?)"
                        rb"(?::(?!80$|443$|0)[0-9]+)?").fullmatch
odd_target = re.compile(r"""[\\"<>^`{|}'#\x00-\x20]|/(?:\.|%2e)""", re.IGNORECASE).search


class ServedRequest(Request):
    """A request as the server has read it, which knows its exchange."""

    __slots__ = ("_exchange", "_whole_url")

    @property
    def _url(self):
        """The URL, in place of Request's: it is put together when somebody asks."""
        url = self._whole_url
        if url is None:
            url = self._whole_url = url_of(self._exchange)
        return url


hosts = {}      # hosts that are plain, as texts
HOSTS_MAX = 1000


def url_of(exchange):
    host = exchange.host
    target = exchange.target
    text = hosts.get(host)
    if text is None and host and plain_host(host):
        text = host.decode("ascii")
        if len(hosts) < HOSTS_MAX:
            hosts[host] = text
    if text is not None and not odd_target(target) and target != "*":
        return exchange.scheme + "://" + text + target
    try:
        return parse(exchange.url).text()
    except ParseError:
        raise Refused(400, "the request's URL makes no sense") from None


def request_of(exchange):
    """The Request of an exchange; nothing of it is decoded before somebody asks."""
    made = ServedRequest.__new__(ServedRequest)
    made._exchange = exchange
    made._method = exchange.method
    made._whole_url = None
    made._headers = exchange.fields
    made._init = {}
    made._signal = None
    made._spent = False
    made._stream = None
    made._data = made._incoming = None
    if exchange.carries:
        if exchange.whole:
            received_now = exchange.received
            made._data = b"".join(received_now) if received_now else b""
            if received_now:
                received_now.clear()
                exchange.size = 0
        else:
            made._incoming = exchange.__aiter__()
    return made


def exchange_of(request):
    """The exchange of a request that nobody has read the body of, or None."""
    if type(request) is ServedRequest and not request._spent and request._stream is None:
        return request._exchange
    return None


def response_of(status, fields, body, reason=None):
    """A Response of pairs of bytes and of bytes, None or an asynchronous generator."""
    made = Response.__new__(Response)
    made._status = status
    made._text = reason
    made._url = ""
    made._type = "default"
    made._redirected = made._spent = False
    made._socket = made._cf = made._stream = None
    made._encode = "automatic"
    made._headers = fields if type(fields) is list else list(fields)
    if type(body) is bytes:
        made._data = body
        made._incoming = None
    else:
        made._data = None
        made._incoming = body
    return made


def js_response(result):
    """The Response in what a handler has returned, or None."""
    if isinstance(result, Response):
        return result
    for name in "js_response", "js_object":
        found = getattr(result, name, None)
        if isinstance(found, Response):
            return found
    return None


async def send(exchange, response):
    """Answer an exchange by a Response."""
    status = response._status
    text = response._text
    if status == 0:
        raise TypeError("a Response of Response.error() cannot be sent")
    fields = response._headers
    if type(fields) is list and response._stream is None and not response._spent and type(response._data) is bytes \
            and fields and type(fields[0][0]) is bytes:
        # As outgoing() would have it, at once.
        response._spent = True
        exchange.respond(status, fields, response._data, text)
        return
    fields, body = outgoing(response)
    if body is None or type(body) is bytes:
        exchange.respond(status, fields, body or b"", text)
        return
    try:
        exchange.start(status, fields, text)
        if not exchange.bodiless:
            async for piece in body:
                await exchange.write(piece)
        exchange.end()
    finally:
        await body.aclose()

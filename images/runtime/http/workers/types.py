"""Names for type hints."""

from collections.abc import Awaitable
from http import HTTPStatus  # noqa: F401
from typing import Any, Protocol

try:
    from typing import TypedDict
except ImportError:
    TypedDict = dict


class Context(Protocol):
    """What handlers are given as `ctx`."""

    def waitUntil(self, other: "Awaitable[Any]") -> None:
        """Has the instance go on after the answer until this is done."""


JSBody = "js.Blob | JsBuffer | js.FormData | js.ReadableStream | js.URLSearchParams"
Body = "str | bytes | FormData | JSBody"
Headers = "dict[str, str] | list[tuple[str, str]] | js.Headers"


class RequestInitCfProperties(TypedDict, total=False):
    """What `cf` of a request may hold; nothing of it has an effect here."""

    apps: Any
    cacheEverything: Any
    cacheKey: Any
    cacheTags: Any
    cacheTtl: int
    cacheTtlByStatus: Any
    image: Any
    mirage: Any
    polish: Any
    resolveOverride: Any
    scrapeShield: Any
    webp: Any


class FetchKwargs(TypedDict, total=False):
    """The options of fetch()."""

    headers: Any
    body: Any
    method: Any
    redirect: Any
    cf: RequestInitCfProperties
    fetcher: Any
    signal: Any

"""What the adapters for ASGI and WSGI have in common."""

from dataclasses import dataclass

__all__ = ["BaseOptions", "EncodeBody"]

EncodeBody = str
KINDS = ("automatic", "manual")


@dataclass(frozen=True)
class BaseOptions:
    """How answers are made; encode_body "manual" says that they are encoded as their headers say."""

    encode_body: str = "automatic"

    def __post_init__(self):
        if self.encode_body not in KINDS:
            raise ValueError("encode_body must be one of %r, got %r" % (KINDS, self.encode_body))

    def response_init(self):
        """Options of js.Response."""
        return {} if self.encode_body == "automatic" else {"encodeBody": self.encode_body}

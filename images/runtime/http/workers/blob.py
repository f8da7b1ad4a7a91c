"""Blobs and files."""

import enum

import js
from pyodide.ffi import JsProxy, to_js

from .utils import js_name

BlobValue = "str | bytes | js.ArrayBuffer | js.TypedArray | js.DataView | js.Blob | Blob | File"


class BlobEnding(str, enum.Enum):
    """What becomes of line ends."""

    TRANSPARENT = "transparent"
    NATIVE = "native"

    __str__ = str.__str__


def part_of(value):
    """A part of a blob as JavaScript has it."""
    if isinstance(value, (str, JsProxy)):
        return value
    if isinstance(value, Blob):
        return value.js_object
    try:
        with memoryview(value):
            return to_js(value)
    except TypeError:
        raise TypeError("Don't know how to handle %s for Blob()" % type(value)) from None


def is_many(parts):
    """Whether these are several parts: anything that can be looped over, but a text, bytes or one of JavaScript's."""
    return not isinstance(parts, (str, bytes, bytearray, memoryview, Blob)) and js_name(parts) in (None, "Array") \
        and hasattr(parts, "__iter__")


class Blob:
    """Bytes with a media type."""

    def __init__(self, blob_parts, content_type=None, endings=None):
        self._js_blob = js.Blob.new(self._parts(blob_parts), **self._options(blob_parts, content_type, endings))

    @staticmethod
    def _parts(parts):
        return to_js([part_of(each) for each in (parts if is_many(parts) else [parts])])

    @staticmethod
    def _options(parts, content_type, endings):
        if not content_type and not is_many(parts):
            if isinstance(parts, Blob):
                content_type = parts.content_type
            elif js_name(parts) in ("Blob", "File"):
                content_type = parts.type
        options = {}
        if content_type:
            options["type"] = content_type
        if endings:
            options["endings"] = str(endings)
        return options

    @classmethod
    def _of(cls, js_blob):
        made = cls.__new__(cls)
        made._js_blob = js_blob
        return made

    @property
    def size(self):
        return self._js_blob.size

    @property
    def content_type(self):
        return self._js_blob.type

    @property
    def js_object(self):
        return self._js_blob

    async def text(self):
        return await self._js_blob.text()

    async def bytes(self):
        return (await self._js_blob.arrayBuffer()).to_bytes()

    def slice(self, start=None, end=None, content_type=None):
        return Blob._of(self._js_blob.slice(start, end, content_type))


class File(Blob):
    """A blob with a name."""

    def __init__(self, blob_parts, filename, content_type=None, endings=None, last_modified=None):
        options = self._options(blob_parts, content_type, endings)
        if not last_modified:
            if isinstance(blob_parts, File):
                last_modified = blob_parts.last_modified
            elif js_name(blob_parts) == "File":
                last_modified = blob_parts.lastModified
        if last_modified is not None:
            options["lastModified"] = last_modified
        self._js_blob = js.File.new(self._parts(blob_parts), filename, **options)

    @property
    def name(self):
        return self._js_blob.name

    @property
    def last_modified(self):
        return self._js_blob.lastModified

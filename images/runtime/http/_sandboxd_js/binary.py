"""Bytes in JavaScript: ArrayBuffer, the typed arrays, DataView, Blob, File, and texts to bytes and back.

A buffer holds bytes until somebody writes to it, and a bytearray from then on: so
bytes that only pass through, as a body does, are never copied.
"""

import struct

from .core import (JsBigInt, JsException, JsIterator, JsObject, iterate, js_class, jsnull, new_array, new_object,
                   number, options_of, plain, same, to_integer, to_number, to_string, truth, type_error)


class JsBuffer(JsObject):
    """What holds bytes: an ArrayBuffer, a typed array, a DataView."""

    __slots__ = ()

    def _bytes(self):
        raise NotImplementedError

    def _written(self):
        raise NotImplementedError

    def to_bytes(self):
        """The bytes."""
        return self._bytes()

    def to_string(self, encoding=None, errors="strict"):
        """The bytes as a text; UTF-8 when no encoding is named."""
        try:
            return str(self._bytes(), encoding or "utf-8", errors)
        except LookupError:
            raise ValueError("The encoding '%s' is not supported" % encoding) from None
        except UnicodeDecodeError:
            raise ValueError("Failed to decode Javascript TypedArray as %s" % (encoding or "utf8")) from None

    def to_memoryview(self):
        """A copy of the bytes, as a memoryview of the class's numbers."""
        return memoryview(bytearray(self._bytes()))

    def assign(self, rhs, /):
        """Copies the bytes of a Python buffer into this one."""
        with memoryview(rhs) as view:
            raw = view.cast("B") if view.ndim == 1 or view.c_contiguous else memoryview(view.tobytes())
            target = self._written()
            if len(raw) != len(target):
                raise ValueError("cannot assign from a buffer of %d bytes to one of %d" % (len(raw), len(target)))
            target[:] = raw

    def assign_to(self, to, /):
        """Copies the bytes into a Python buffer."""
        with memoryview(to) as view:
            view.cast("B")[:] = self._bytes()

    def to_file(self, file, /):
        """Writes the bytes into a file."""
        getattr(file, "buffer", file).write(self._bytes())
        file.flush()

    _into_file = to_file

    def from_file(self, file, /):
        """Fills the bytes from a file."""
        self._written()[:] = getattr(file, "buffer", file).read(len(self._bytes()))

    def __eq__(self, other):
        return self is other

    __hash__ = JsObject.__hash__


@js_class("ArrayBuffer", "isView")
class ArrayBuffer(JsBuffer):
    """Bytes, whose number stays the same."""

    __slots__ = ("_data",)

    def __init__(self, length=0, _options=None):
        self._data = bytes(to_integer(length))

    @classmethod
    def around(cls, data):
        """A buffer around bytes, or around a bytearray which it owns from then on."""
        made = cls.__new__(cls)
        made._data = data
        return made

    @staticmethod
    def _static_isView(value):
        """Whether the value is a typed array or a DataView."""
        return isinstance(value, View)

    def _bytes(self):
        data = self._data
        return data if type(data) is bytes else bytes(data)

    def _written(self):
        if type(self._data) is bytes:
            self._data = bytearray(self._data)
        return memoryview(self._data)

    @property
    def byteLength(self):
        """How many bytes there are."""
        return len(self._data)

    def slice(self, start=None, end=None):
        """A new buffer of the bytes from start up to end."""
        size = len(self._data)
        return ArrayBuffer.around(self._bytes()[to_integer(start, 0):to_integer(end, size)])


class View(JsBuffer):
    """A part of a buffer: what typed arrays and DataView have in common."""

    __slots__ = ("_buffer", "_at", "_size")
    BYTES_PER_ELEMENT = 1
    _format = "B"

    def _place(self, buffer, offset, length):
        unit = self.BYTES_PER_ELEMENT
        offset = to_integer(offset, 0)
        size = len(buffer._data)
        if offset % unit:
            raise JsException("RangeError", "start offset of %s should be a multiple of %d" % (self._js_name, unit))
        if length is None:
            if (size - offset) % unit:
                raise JsException("RangeError",
                                  "byte length of %s should be a multiple of %d" % (self._js_name, unit))
            count = size - offset
        else:
            count = to_integer(length) * unit
        if offset < 0 or offset > size:
            raise JsException("RangeError", "Start offset %d is outside the bounds of the buffer" % offset)
        if count < 0 or offset + count > size:
            raise JsException("RangeError", "Invalid %s length: %s" % (
                "DataView" if self._js_name == "DataView" else "typed array", to_integer(length)))
        self._buffer, self._at, self._size = buffer, offset, count

    def _bytes(self):
        data, at, size = self._buffer._data, self._at, self._size
        if at == 0 and size == len(data):
            return data if type(data) is bytes else bytes(data)
        return bytes(memoryview(data)[at:at + size])

    def _written(self):
        return self._buffer._written()[self._at:self._at + self._size]

    @property
    def buffer(self):
        """The buffer that this is a part of."""
        return self._buffer

    @property
    def byteLength(self):
        """How many bytes the part has."""
        return self._size

    @property
    def byteOffset(self):
        """Where in its buffer the part begins."""
        return self._at


class JsTypedArray(View):
    """A typed array: numbers of one kind in a buffer."""

    __slots__ = ()

    def __init__(self, source=None, offset=None, length=None):
        source = plain(source)
        if isinstance(source, ArrayBuffer):
            self._place(source, offset, length)
            return
        self._at = 0
        unit = self.BYTES_PER_ELEMENT
        if source is None or isinstance(source, (int, float)):
            count = to_integer(source, 0)
            if count < 0:
                raise JsException("RangeError", "Invalid typed array length: %d" % count)
            self._buffer = ArrayBuffer.around(bytes(count * unit))
            self._size = count * unit
            return
        if isinstance(source, JsTypedArray) and source._format == self._format:
            data = source._bytes()
        elif isinstance(source, (bytes, bytearray)) and unit == 1:
            data = bytes(source)
        else:
            items = list(source) if hasattr(source, "__iter__") else list(iterate(source))
            data = b"".join([struct.pack("<" + self._format, self._stored(item)) for item in items])
        self._buffer = ArrayBuffer.around(data)
        self._size = len(data)

    @classmethod
    def around(cls, data):
        """A typed array of all of these bytes."""
        made = cls.__new__(cls)
        made._buffer = ArrayBuffer.around(data)
        made._at = 0
        made._size = len(data)
        return made

    def _stored(self, value):
        """A value as struct packs it: an integer's bits that have no room are cut off."""
        value = to_number(value)
        bits = 8 * self.BYTES_PER_ELEMENT
        value = int(value) & ((1 << bits) - 1) if value == value and abs(value) != float("inf") else 0
        if self._format.islower() and value >> (bits - 1):
            value -= 1 << bits
        return value

    def _shown(self, value):
        return value

    def _cells(self):
        return memoryview(self._buffer._data)[self._at:self._at + self._size].cast(self._format)

    def to_memoryview(self):
        """A copy of the numbers, as a memoryview."""
        return memoryview(bytearray(self._bytes())).cast(self._format)

    def __len__(self):
        return self._size // self.BYTES_PER_ELEMENT

    def __bool__(self):
        return self._size > 0

    def __iter__(self):
        return iter([self._shown(value) for value in self._cells()])

    _js_iterate = __iter__

    def __reversed__(self):
        return reversed(list(self))

    def __contains__(self, value):
        return any(same(item, value) for item in self)

    def __getitem__(self, at):
        if isinstance(at, slice):
            return self._made(list(self)[at])
        try:
            return self._shown(self._cells()[at])
        except IndexError:
            raise IndexError(at) from None

    def __setitem__(self, at, value):
        cells = self._written().cast(self._format)
        if isinstance(at, slice):
            places = range(*at.indices(len(self)))
            values = list(value)
            if len(places) != len(values):
                raise ValueError("attempt to assign sequence of size %d to slice of size %d"
                                 % (len(values), len(places)))
            for place, item in zip(places, values):
                cells[place] = self._stored(item)
            return
        try:
            cells[at] = self._stored(value)
        except IndexError:
            raise IndexError("list assignment index out of range") from None

    def _made(self, items):
        return type(self)(items)

    @property
    def length(self):
        """How many numbers there are."""
        return len(self)

    def toString(self):
        """The numbers, with commas."""
        return self.join()

    def join(self, separator=None):
        """The numbers as one text."""
        return ("," if separator is None else to_string(separator)).join([to_string(item) for item in self])

    def at(self, index=0):
        """The number of that index, counted from the end when it is negative; undefined when there is none."""
        size = len(self)
        index = to_integer(index, 0)
        return self[index] if -size <= index < size else None

    def _bounds(self, start, end):
        size = len(self)
        return slice(to_integer(start, 0), to_integer(end, size)).indices(size)[:2]

    def slice(self, start=None, end=None):
        """A new array of the numbers from start up to end."""
        first, last = self._bounds(start, end)
        unit = self.BYTES_PER_ELEMENT
        return self.around(self._bytes()[first * unit:max(first, last) * unit])

    def subarray(self, start=None, end=None):
        """The same numbers from start up to end, in the same buffer."""
        first, last = self._bounds(start, end)
        unit = self.BYTES_PER_ELEMENT
        made = self.__class__.__new__(self.__class__)
        made._buffer = self._buffer
        made._at = self._at + first * unit
        made._size = max(0, last - first) * unit
        return made

    def set(self, values, offset=0):
        """Copies numbers into this array, from that index on."""
        values = list(iterate(values))
        offset = to_integer(offset, 0)
        if offset < 0 or offset + len(values) > len(self):
            raise JsException("RangeError", "offset is out of bounds")
        self[offset:offset + len(values)] = values

    def fill(self, value=None, start=None, end=None):
        """Sets all numbers, or those from start up to end."""
        first, last = self._bounds(start, end)
        self[first:max(first, last)] = [value] * max(0, last - first)
        return self

    def indexOf(self, value, start=0):
        """The index of a number, or -1."""
        for at, item in enumerate(self):
            if at >= start and item == value:
                return at
        return -1

    def includes(self, value):
        """Whether the number is in the array."""
        return value in self

    def map(self, function, _this=None):
        """A new array of what the function makes of each number, index and the array."""
        return self._made([function(item, at, self) for at, item in enumerate(self)])

    def filter(self, function, _this=None):
        """A new array of the numbers that the function is true of."""
        return self._made([item for at, item in enumerate(self) if truth(function(item, at, self))])

    def forEach(self, function, _this=None):
        """Calls the function with each number, index and the array."""
        for at, item in enumerate(self):
            function(item, at, self)

    def reduce(self, function, *first):
        """What the function makes of all numbers, from the first one on."""
        return new_array(list(self)).reduce(function, *first)

    def reverse(self):
        """Turns the order round."""
        self[:] = list(self)[::-1]

    def sort(self, compare=None):
        """Puts the numbers in order."""
        items = sorted(self) if compare is None else list(new_array(list(self)).sort(compare))
        self[:] = items
        return self

    def values(self):
        """An iterator over the numbers."""
        return JsIterator(iter(self))

    def entries(self):
        """An iterator over arrays of index and number."""
        return JsIterator(new_array([at, item]) for at, item in enumerate(self))

    def object_keys(self):
        """The indexes, as texts."""
        return new_array([str(at) for at in range(len(self))])

    def object_values(self):
        """The numbers."""
        return new_array(list(self))


class _Floats(JsTypedArray):
    """A typed array of floats."""

    __slots__ = ()

    def _stored(self, value):
        return float(to_number(value))

    def _shown(self, value):
        return number(value)


class _BigInts(JsTypedArray):
    """A typed array of BigInts."""

    __slots__ = ()

    def _shown(self, value):
        return JsBigInt(value)


class _Clamped(JsTypedArray):
    """A typed array of bytes, in which what is too large becomes 255 and what is too small 0."""

    __slots__ = ()

    def _stored(self, value):
        value = to_number(value)
        return 0 if value != value else int(round(max(0, min(255, value))))


TYPED_ARRAYS = {}


def _typed_array(name, form, kind):
    size = struct.calcsize("<" + form)
    made = type(name, (kind,), {"__slots__": (), "_format": form, "BYTES_PER_ELEMENT": size,
                                "__doc__": "A typed array of the format %s." % form, "__module__": __name__})
    js_class(name)(made)
    made.constructor.BYTES_PER_ELEMENT = size
    made.constructor.of = lambda *items: made(list(items))
    from_ = made.constructor.from_ = lambda values, function=None: made(
        [value if function is None else function(value, at) for at, value in enumerate(iterate(values))])
    setattr(made.constructor, "from", from_)
    TYPED_ARRAYS[name] = made
    return made


Uint8Array = _typed_array("Uint8Array", "B", JsTypedArray)
for _name, _form, _kind in (("Int8Array", "b", JsTypedArray), ("Uint8ClampedArray", "B", _Clamped),
                            ("Int16Array", "h", JsTypedArray), ("Uint16Array", "H", JsTypedArray),
                            ("Int32Array", "i", JsTypedArray), ("Uint32Array", "I", JsTypedArray),
                            ("Float32Array", "f", _Floats), ("Float64Array", "d", _Floats),
                            ("BigInt64Array", "q", _BigInts), ("BigUint64Array", "Q", _BigInts)):
    _typed_array(_name, _form, _kind)

_BY_FORMAT = {"b": "Int8Array", "B": "Uint8Array", "?": "Uint8Array", "c": "Uint8Array", "f": "Float32Array",
              "d": "Float64Array"}
_BY_SIZE = {2: "16", 4: "32"}


def of_buffer(view):
    """A typed array of a copy of a memoryview's items."""
    form = view.format.lstrip("@=<")
    name = _BY_FORMAT.get(form)
    if name is None and form in "hilqn":
        name = "BigInt64Array" if view.itemsize == 8 else "Int%sArray" % _BY_SIZE[view.itemsize]
    elif name is None and form in "HILQN":
        name = "BigUint64Array" if view.itemsize == 8 else "Uint%sArray" % _BY_SIZE[view.itemsize]
    if name is None:
        from .core import ConversionError

        raise ConversionError("Buffers of the format '%s' cannot be converted" % view.format)
    return TYPED_ARRAYS[name].around(view.tobytes())


_NUMBERS = {"Int8": "b", "Uint8": "B", "Int16": "h", "Uint16": "H", "Int32": "i", "Uint32": "I", "Float32": "f",
            "Float64": "d", "BigInt64": "q", "BigUint64": "Q"}


@js_class("DataView")
class DataView(View):
    """Numbers of any kind at any place of a buffer."""

    __slots__ = ()

    def __init__(self, buffer, offset=None, length=None):
        if not isinstance(buffer, ArrayBuffer):
            raise type_error("First argument to DataView constructor must be an ArrayBuffer")
        self._place(buffer, offset, length)

    def _number(self, name):
        form = _NUMBERS[name]
        return form, struct.calcsize("<" + form)

    def _read(self, name, at, little):
        form, size = self._number(name)
        at = to_integer(at, 0)
        if at < 0 or at + size > self._size:
            raise JsException("RangeError", "Offset is outside the bounds of the DataView")
        value = struct.unpack_from(("<" if truth(little) else ">") + form, self._buffer._data, self._at + at)[0]
        return JsBigInt(value) if form in "qQ" else number(value) if form in "fd" else value

    def _write(self, name, at, value, little):
        form, size = self._number(name)
        at = to_integer(at, 0)
        if at < 0 or at + size > self._size:
            raise JsException("RangeError", "Offset is outside the bounds of the DataView")
        value = TYPED_ARRAYS[name + "Array"]._stored(TYPED_ARRAYS[name + "Array"].__new__(
            TYPED_ARRAYS[name + "Array"]), value)
        struct.pack_into(("<" if truth(little) else ">") + form, self._written(), at, value)


def _data_view_methods():
    for name in _NUMBERS:
        setattr(DataView, "get" + name, lambda self, at=0, little=False, name=name: self._read(name, at, little))
        setattr(DataView, "set" + name,
                lambda self, at=0, value=None, little=False, name=name: self._write(name, at, value, little))


_data_view_methods()


class PyBufferView(JsObject):
    """What getBuffer of a proxy gives: a Python buffer's bytes as `data`, until release()."""

    __slots__ = ("_data", "_view")

    def __init__(self, held):
        try:
            self._view = memoryview(held)
        except TypeError:
            raise JsException("Error", "object does not support the buffer protocol") from None
        self._data = None

    @property
    def data(self):
        """A typed array of the buffer's items."""
        if self._data is None:
            held = self._view.obj
            if type(held) is bytes and self._view.nbytes == len(held):
                self._data = Uint8Array.around(held)
            else:
                self._data = of_buffer(self._view)
        return self._data

    @property
    def byteLength(self):
        """How many bytes there are."""
        return self._view.nbytes

    nbytes = byteLength

    @property
    def readonly(self):
        """Whether Python says that the buffer cannot be written to."""
        return self._view.readonly

    def release(self):
        """Lets go of the Python buffer."""
        self._view.release()


def bytes_of(value):
    """The bytes of an ArrayBuffer, of a part of one or of a Python buffer; None for anything else."""
    if isinstance(value, JsBuffer):
        return value._bytes()
    value = plain(value)
    if isinstance(value, bytes):
        return value
    if isinstance(value, (bytearray, memoryview)):
        return bytes(value)
    return None


def utf8(text):
    """A text as UTF-8, in which a half of a surrogate pair becomes U+FFFD."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode()


@js_class("Blob")
class Blob(JsObject):
    """Bytes with a type."""

    __slots__ = ("_data", "_type")

    def __init__(self, parts=None, options=None, **kwargs):
        given = options_of(options, kwargs)
        pieces = []
        if parts is not None:
            if isinstance(parts, str) or not hasattr(plain(parts), "__iter__"):
                raise type_error("The \"sources\" argument must be a sequence")
            native = given.get("endings") == "native"
            pieces = [_part(part, native) for part in iterate(parts)]
        self._data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self._type = _blob_type(given.get("type"))

    @classmethod
    def around(cls, data, kind=""):
        """A blob of these bytes."""
        made = cls.__new__(cls)
        made._data = data
        made._type = kind
        return made

    @property
    def size(self):
        """How many bytes there are."""
        return len(self._data)

    @property
    def type(self):
        """The media type, or an empty text."""
        return self._type

    def slice(self, start=None, end=None, kind=None):
        """A new blob of the bytes from start up to end."""
        size = len(self._data)
        return Blob.around(self._data[to_integer(start, 0):to_integer(end, size)], _blob_type(kind))

    def text(self):
        """A promise of the bytes as a text."""
        return _resolved(self._data.decode("utf-8", "replace"))

    def arrayBuffer(self):
        """A promise of the bytes as an ArrayBuffer."""
        return _resolved(ArrayBuffer.around(self._data))

    def bytes(self):
        """A promise of the bytes as a Uint8Array."""
        return _resolved(Uint8Array.around(self._data))

    def stream(self):
        """The bytes as a stream."""
        from .streams import stream_of_bytes

        return stream_of_bytes(self._data)


def _resolved(value):
    from .promise import resolved

    return resolved(value)


def _part(part, native):
    if isinstance(part, Blob):
        return part._data
    data = bytes_of(part)
    if data is None:
        text = to_string(part)
        if native:
            text = text.replace("\r\n", "\n").replace("\r", "\n")
        data = utf8(text)
    return data


def _blob_type(kind):
    if kind is None or kind is jsnull:
        return "" if kind is None else "null"
    kind = to_string(kind)
    return "" if any(not " " <= letter <= "~" for letter in kind) else kind.lower()


@js_class("File")
class File(Blob):
    """A blob with a name."""

    __slots__ = ("_name", "_modified")

    def __init__(self, parts, name, options=None, **kwargs):
        given = options_of(options, kwargs)
        super().__init__(parts, given)
        self._name = to_string(name)
        modified = given.get("lastModified")
        self._modified = _now() if modified is None else to_integer(modified)

    @classmethod
    def of(cls, data, name, kind="", modified=None):
        """A file of these bytes."""
        made = cls.around(data, kind)
        made._name = name
        made._modified = _now() if modified is None else modified
        return made

    @property
    def name(self):
        """The file's name."""
        return self._name

    @property
    def lastModified(self):
        """When the file was changed, in milliseconds since 1970."""
        return self._modified

    @property
    def webkitRelativePath(self):
        """Empty: the file is in no folder."""
        return ""


def _now():
    import time

    return int(time.time() * 1000)


@js_class("TextEncoder")
class TextEncoder(JsObject):
    """Texts to UTF-8."""

    __slots__ = ()
    encoding = "utf-8"

    def encode(self, text=""):
        """The text as a Uint8Array."""
        return Uint8Array.around(utf8(to_string(text)) if text is not None else b"")

    def encodeInto(self, text, target):
        """Writes as many whole characters as there is room for; {read, written}."""
        room, read, data = len(target), 0, bytearray()
        for letter in to_string(text):
            encoded = utf8(letter)
            if len(data) + len(encoded) > room:
                break
            data += encoded
            read += 2 if ord(letter) > 0xFFFF else 1
        target.set(data)
        return new_object({"read": read, "written": len(data)})


_ENCODINGS = {"utf8": "utf-8", "unicode-1-1-utf-8": "utf-8", "latin1": "windows-1252", "iso-8859-1": "windows-1252",
              "ascii": "windows-1252", "us-ascii": "windows-1252", "l1": "windows-1252", "cp1252": "windows-1252",
              "utf-16": "utf-16le", "ucs-2": "utf-16le", "unicode": "utf-16le", "sjis": "shift_jis",
              "x-sjis": "shift_jis", "gb2312": "gbk", "ks_c_5601-1987": "euc-kr", "latin2": "iso-8859-2",
              "koi8": "koi8-r", "cp1251": "windows-1251", "big5-hkscs": "big5"}


@js_class("TextDecoder")
class TextDecoder(JsObject):
    """Bytes to texts, in pieces when the option `stream` says so."""

    __slots__ = ("_encoding", "_fatal", "_keeps_mark", "_decoder", "_begun")

    def __init__(self, label="utf-8", options=None, **kwargs):
        import codecs

        given = options_of(options, kwargs)
        wanted = "utf-8" if label is None else to_string(label).strip().lower()
        name = _ENCODINGS.get(wanted, wanted)
        try:
            codecs.lookup(name)
        except LookupError:
            raise JsException("RangeError", "The \"%s\" encoding is not supported" % to_string(label)) from None
        self._encoding = name
        self._fatal = truth(given.get("fatal"))
        self._keeps_mark = truth(given.get("ignoreBOM"))
        self._decoder = None
        self._begun = False

    @property
    def encoding(self):
        """The encoding's name."""
        return self._encoding

    @property
    def fatal(self):
        """Whether wrong bytes are an error; else they become U+FFFD."""
        return self._fatal

    @property
    def ignoreBOM(self):
        """Whether a byte order mark stays in the text."""
        return self._keeps_mark

    def decode(self, data=None, options=None, **kwargs):
        """The bytes as a text."""
        import codecs

        stays = truth(options_of(options, kwargs).get("stream"))
        raw = b"" if data is None else bytes_of(data)
        if raw is None:
            raise type_error("The \"list\" argument must be an instance of SharedArrayBuffer, ArrayBuffer or "
                             "ArrayBufferView.")
        if self._decoder is None:
            self._decoder = codecs.getincrementaldecoder(self._encoding)("strict" if self._fatal else "replace")
            self._begun = False
        try:
            text = self._decoder.decode(raw, final=not stays)
        except UnicodeDecodeError:
            self._decoder = None
            raise type_error("The encoded data was not valid for encoding %s" % self._encoding) from None
        if text and not self._begun:
            self._begun = True
            if text[0] == "\ufeff" and not self._keeps_mark and self._encoding.startswith("utf"):
                text = text[1:]
        if not stays:
            self._decoder = None
        return text

"""The values of JavaScript that every other module stands on.

A JavaScript value is a Python value here, with nothing between the two: undefined
is None, null is `jsnull`, a number an int or a float, a BigInt a `JsBigInt`, a
string a str, and an object an instance of `JsObject`.  Every other Python object
is what Pyodide calls a proxy of it, and needs no proxy here.  So a call across
the border costs nothing, an object keeps its identity, and what Python stores in
a JavaScript object comes back as it was.

What JavaScript calls a class is an instance of `JsClass`, with the Python class
of its instances inside: js.Response is not the class Response, because the
static js.Response.json() and the method of the same name are two things.
"""

import math
import weakref

MAX_SAFE = 2 ** 53 - 1


class JsNull:
    """The type of `jsnull`, which is JavaScript's null: false, and not None."""

    __slots__ = ()
    _single = None
    typeof = "object"

    def __new__(cls):
        if cls._single is None:
            cls._single = object.__new__(cls)
        return cls._single

    def __repr__(self):
        return "jsnull"

    def __bool__(self):
        return False

    def __reduce__(self):
        return (JsNull, ())


jsnull = JsNull()


def _wrapped(name):
    """The method of int of that name, whose result is a JsBigInt again."""
    method = getattr(int, name)

    def call(self, *others):
        result = method(self, *others)
        return JsBigInt(result) if type(result) is int else result

    call.__name__ = name
    return call


class JsBigInt(int):
    """A BigInt: an int that stays a BigInt when it goes to JavaScript."""

    __slots__ = ()

    for _name in ("abs", "add", "and", "floordiv", "invert", "lshift", "mod", "mul", "neg", "or", "pos", "pow", "radd",
                  "rmul", "rshift", "rsub", "sub", "xor"):
        locals()["__%s__" % _name] = _wrapped("__%s__" % _name)
    del _name


class _ProxyType(type):
    """The metaclass of JsProxy: what JavaScript calls a class is an object too."""

    def __repr__(cls):
        return "<class 'pyodide.ffi.%s'>" % cls.__name__


class JsProxy(metaclass=_ProxyType):
    """Any object of JavaScript.

    It holds nothing itself, so that JsException can be both an object of JavaScript
    and an exception of Python.
    """

    __slots__ = ()
    _js_name = "Object"
    typeof = "object"

    # Not by __new__, which all others would pass through.
    def __init__(self, *args, **kwargs):
        if type(self) is JsProxy:
            raise TypeError("JsProxy cannot be instantiated.")
        super().__init__(*args, **kwargs)

    @property
    def js_id(self):
        """A number that two names of one object share, and two objects do not."""
        return id(self)

    def toString(self):
        """The text that JavaScript makes of the object."""
        return "[object %s]" % self._js_name

    toLocaleString = toString

    def valueOf(self):
        """The object itself, where its class has no other value."""
        return self

    def hasOwnProperty(self, name):
        """Whether the object has a property of that name which its class has not."""
        return to_string(name) in own(self)

    def isPrototypeOf(self, _other):
        """False: no object here is the prototype of another."""
        return False

    def propertyIsEnumerable(self, name):
        """Whether a loop over the object's properties meets that name."""
        return to_string(name) in own(self)

    def object_keys(self):
        """The names of the object's own properties, as an array."""
        return new_array(list(own(self)))

    def object_values(self):
        """The values of the object's own properties, as an array."""
        return new_array(list(own(self).values()))

    def object_entries(self):
        """The object's own properties, as an array of arrays of name and value."""
        return new_array([new_array([key, value]) for key, value in own(self).items()])

    def as_object_map(self, *, hereditary=False):
        """The object's properties as a mapping."""
        from .maps import ObjectMap

        return ObjectMap(self, hereditary)

    def as_py_json(self):
        """The object as a mapping or an array, and so everything that it holds."""
        from .maps import as_json

        return as_json(self)

    def to_py(self, *, depth=-1, default_converter=None):
        """What Python has for the object: a list, a dict, a set, a memoryview, or the object itself."""
        from .convert import to_py

        return to_py(self, depth, default_converter)

    def to_weakref(self):
        """A reference that does not keep the object alive, with deref()."""
        return JsWeakRef(self)

    def bind_sig(self, _signature):
        """The object itself: there is nothing that a signature could change."""
        return self

    bind_class = bind_sig

    def __repr__(self):
        return to_string(self)

    __str__ = __repr__

    def __bool__(self):
        return True

    def __getattr__(self, name):
        raise AttributeError(name)


class JsObject(JsProxy):
    """An object with properties of its own, which are its __dict__.

    Its subclasses are the classes that the platform brings; their state is in slots,
    whose names begin with an underline.
    """

    __slots__ = ("__dict__", "__weakref__")
    __init__ = object.__init__


def own(value):
    """The object's own properties by name: an integer's name comes before all others, as JavaScript has it."""
    held = value.__dict__
    numbers = [key for key in held if key[:1].isdigit() and _is_index(key)]
    if not numbers:
        return held
    numbers.sort(key=int)
    ordered = {key: held[key] for key in numbers}
    ordered.update(held)
    return ordered


def _is_index(key):
    return key.isascii() and key.isdecimal() and (key == "0" or key[0] != "0") and int(key) < 2 ** 32 - 1


class PlainObject(JsObject):
    """What {} is in JavaScript."""

    __slots__ = ()

    def __setattr__(self, name, value):
        self.__dict__[name] = value if type(value) is str else of_python(value)

    def __delattr__(self, name):
        self.__dict__.pop(name, None)

    def __dir__(self):
        return sorted(set(object.__dir__(self)) | set(self.__dict__))


def new_object(properties=()):
    """A plain object with the properties of a mapping or of pairs."""
    made = PlainObject()
    made.__dict__.update(properties)
    return made


def of_python(value):
    """A Python value as JavaScript keeps it: one kind of number, but for integers that are too large for it."""
    kind = type(value)
    if kind is str or kind is bool or value is None:
        return value
    if kind is float:
        return number(value)
    if kind is int:
        return value if -MAX_SAFE <= value <= MAX_SAFE else JsBigInt(value)
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int) and kind is not JsBigInt and kind is not bool:
        return of_python(int(value))
    if isinstance(value, float):
        return number(float(value))
    return value


def number(value):
    """A float as a number comes to Python: an int when it is whole and exact."""
    if value.is_integer() and -MAX_SAFE <= value <= MAX_SAFE:
        return int(value)
    return value


def number_text(value):
    """A number as JavaScript writes it."""
    if isinstance(value, int):
        return int.__repr__(value)
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    if value == 0:
        return "0"
    text = repr(value)
    mantissa, _, exponent = text.partition("e")
    sign = ""
    if mantissa[0] == "-":
        sign, mantissa = "-", mantissa[1:]
    whole, _, part = mantissa.partition(".")
    if part == "0":
        part = ""
    point = len(whole) + (int(exponent) if exponent else 0)
    digits = whole + part
    stripped = digits.lstrip("0")
    point -= len(digits) - len(stripped)
    digits = stripped.rstrip("0") or "0"
    if 0 < point <= 21:
        if len(digits) <= point:
            return sign + digits + "0" * (point - len(digits))
        return sign + digits[:point] + "." + digits[point:]
    if -6 < point <= 0:
        return sign + "0." + "0" * -point + digits
    scale = point - 1
    text = digits[0] + ("." + digits[1:] if len(digits) > 1 else "")
    return "%s%se%s%d" % (sign, text, "+" if scale >= 0 else "-", abs(scale))


def to_string(value):
    """JavaScript's String(value)."""
    kind = type(value)
    if kind is str:
        return value
    if value is None:
        return "undefined"
    if kind is bool:
        return "true" if value else "false"
    if kind is int or kind is float:
        return number_text(value)
    if isinstance(value, JsProxy):
        text = value.toString
        return to_string(text()) if callable(text) else "[object %s]" % value._js_name
    if value is jsnull:
        return "null"
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, (int, float)):
        return number_text(value)
    return str(value)


def to_number(value):
    """JavaScript's Number(value)."""
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, (int, float)):
        return value
    if value is None:
        return math.nan
    if value is jsnull:
        return 0
    if isinstance(value, JsProxy):
        plain = value.valueOf()
        if not isinstance(plain, JsProxy):
            return to_number(plain)
        value = to_string(value)
    text = to_string(value).strip()
    if not text:
        return 0
    try:
        if text[:2].lower() in ("0x", "0b", "0o"):
            return int(text, 0)
        if text.lstrip("+-") == "Infinity":
            return -math.inf if text[0] == "-" else math.inf
        if "_" in text or text.lstrip("+-")[:1] not in "0123456789.":
            return math.nan
        return number(float(text))
    except ValueError:
        return math.nan


def to_integer(value, default=0):
    """A whole number out of an argument: undefined is the default, and what is no number is 0."""
    if type(value) is int:
        return value
    if value is None:
        return default
    value = to_number(value)
    if value != value:
        return 0
    if math.isinf(value):
        return MAX_SAFE if value > 0 else -MAX_SAFE
    return int(value)


def truth(value):
    """Whether JavaScript takes the value for true."""
    if isinstance(value, JsProxy):
        return True
    if isinstance(value, (str, int, float)) or value is None or value is jsnull:
        return bool(value) and value == value
    return True


def same(left, right):
    """JavaScript's ===, where NaN is besides the same as NaN."""
    if left is right:
        return True
    if isinstance(left, (int, float)) and isinstance(right, (int, float)):
        if isinstance(left, bool) or isinstance(right, bool):
            return False
        if isinstance(left, JsBigInt) != isinstance(right, JsBigInt):
            return False
        return left == right or (left != left and right != right)
    return isinstance(left, str) and isinstance(right, str) and left == right


def type_name(value):
    """JavaScript's typeof."""
    if value is None:
        return "undefined"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, JsBigInt):
        return "bigint"
    if isinstance(value, (int, float)):
        return "number"
    if isinstance(value, str):
        return "string"
    if isinstance(value, JsProxy) or value is jsnull:
        return value.typeof
    return "function" if callable(value) else "object"


class JsFunction(JsObject):
    """A function of JavaScript that is written in Python."""

    __slots__ = ("_function", "_name")
    _js_name = "Function"
    typeof = "function"

    def __init__(self, function, name=None):
        self._function = function
        self._name = name or getattr(function, "__name__", "")

    def __call__(self, *args, **kwargs):
        return self._function(*args, **kwargs)

    @property
    def name(self):
        """The name that the function has in JavaScript."""
        return self._name

    @property
    def length(self):
        """How many arguments the function takes."""
        code = getattr(self._function, "__code__", None)
        return code.co_argcount if code is not None else 0

    def call(self, _this=None, *args):
        """Calls the function with the arguments."""
        return self(*args)

    def apply(self, _this=None, args=()):
        """Calls the function with the arguments of an array."""
        return self(*args)

    def bind(self, _this=None, *first):
        """A function that puts these arguments before its own."""
        return JsFunction(lambda *rest: self(*first, *rest), "bound " + self._name)

    def toString(self):
        """What JavaScript says of a function whose source it does not show."""
        return "function %s() { [native code] }" % self._name


class JsClass(JsFunction):
    """What JavaScript calls a class: `new` makes an instance.

    Attributes that are set on it are the statics of the class.
    """

    __slots__ = ("_class", "new")

    def __init__(self, of, name):
        super().__init__(of, name)
        self._class = of
        self.new = of

    def __call__(self, *args, **kwargs):
        called = getattr(self._class, "_js_call", None)
        if called is None:
            raise JsException("TypeError", "Class constructor %s cannot be invoked without 'new'" % self._name)
        return called(*args, **kwargs)

    @property
    def prototype(self):
        """The class of the instances: what its methods are read from."""
        return self._class

    def toString(self):
        """What JavaScript says of a class whose source it does not show."""
        return "class %s { [native code] }" % self._name


def js_class(name, *statics):
    """Makes a Python class the class of JavaScript's objects of that name, which have it as `constructor`.

    The statics are names of functions of the class that begin with `_static_`.
    """

    def decorate(cls):
        cls._js_name = name
        # Python's own messages name the class as Pyodide does, where all objects are of one.
        cls.__name__ = "JsProxy"
        made = cls.constructor = JsClass(cls, name)
        for static in statics:
            function = cls.__dict__["_static_" + static]
            setattr(made, static, JsFunction(getattr(function, "__func__", function), static))
        return cls

    return decorate


class JsException(JsProxy, Exception):
    """An Error of JavaScript, which is an exception of Python's as well."""

    typeof = "object"
    _js_name = "Error"
    name = "Error"
    message = ""
    cause = None
    stack = ""

    def __new__(cls, *args, **kwargs):
        return Exception.__new__(cls, *args)

    def __init__(self, name="Error", message="", stack=None):
        self.name = name
        self.message = message if type(message) is str else to_string(message)
        self.stack = "%s: %s" % (self.name, self.message) if stack is None else stack

    @classmethod
    def new(cls, *args):
        """An error with that message."""
        return cls("Error", *args)

    @property
    def constructor(self):
        """The class of the error: that of its name, or Error."""
        return error_classes.get(self.__dict__.get("_made_by", self.name)) or error_classes["Error"]

    def __getattr__(self, name):
        # The number that a DOMException of that name has had once.
        if name == "code" and self.__dict__.get("_made_by") == "DOMException":
            return _DOM_CODES.get(self.name, 0)
        raise AttributeError(name)

    def toString(self):
        """Name and message."""
        if not self.message:
            return self.name
        return "%s: %s" % (self.name, self.message) if self.name else self.message

    def __reduce__(self):
        return (JsException, (self.name, self.message, self.stack))

    def __hash__(self):
        return id(self)


def _properties_of_error(self):
    """An error's own properties that can be seen: what was set on it."""
    return {key: value for key, value in self.__dict__.items()
            if key not in ("name", "message", "stack", "cause", "_made_by")}


JsException.object_keys = lambda self: new_array(list(_properties_of_error(self)))

_DOM_CODES = {"IndexSizeError": 1, "NotFoundError": 8, "NotSupportedError": 9, "InvalidStateError": 11,
              "SyntaxError": 12, "InvalidAccessError": 15, "NetworkError": 19, "AbortError": 20,
              "QuotaExceededError": 22, "TimeoutError": 23, "DataCloneError": 25, "InvalidCharacterError": 5}

error_classes = {}


class ErrorClass(JsClass):
    """A class of errors: Error, TypeError and the like, which are called with and without `new`."""

    __slots__ = ()

    def __init__(self, name):
        super().__init__(JsException, name)
        self.new = self._make
        error_classes[name] = self

    def _make(self, message="", options=None, **kwargs):
        made = JsException(self._name, "" if message is None else message)
        made._made_by = self._name
        cause = kwargs.get("cause") if options is None else getattr(options, "cause", None)
        if cause is not None:
            made.cause = cause
        return made

    def __call__(self, *args, **kwargs):
        return self._make(*args, **kwargs)

    def captureStackTrace(self, *_args):
        """Does nothing: an error has no stack of JavaScript's."""


class _DomErrorClass(ErrorClass):
    """DOMException, whose second argument is its name."""

    __slots__ = ()

    def _make(self, message="", name="Error", **kwargs):
        if not isinstance(name, str):
            name = getattr(name, "name", None) or "Error"
        made = JsException(kwargs.get("name", name), "" if message is None else message)
        made._made_by = self._name
        return made


for _name in ("Error", "TypeError", "RangeError", "SyntaxError", "ReferenceError", "EvalError", "URIError",
              "AggregateError"):
    ErrorClass(_name)
_DomErrorClass("DOMException")


def js_error(name, message):
    """An error of the platform's to raise; a name that is no class of JavaScript's is a DOMException's."""
    made = JsException(name, message)
    if name not in error_classes:
        made._made_by = "DOMException"
    return made


def type_error(message):
    """A TypeError of JavaScript's to raise."""
    return JsException("TypeError", message)


def disallowed():
    """What is raised where a worker waits, or asks for something, before there is a request."""
    return JsException("Error", "Disallowed operation called within global scope. Asynchronous I/O (ex: fetch() or "
                                "connect()), setting a timeout, and generating random values are not allowed within "
                                "global scope. To fix this error, perform this operation within a handler.")


def python_error(error):
    """A Python exception as JavaScript's code sees one: an error with the traceback as its message."""
    if isinstance(error, JsException):
        return error
    import traceback

    made = JsException("PythonError", "".join(traceback.format_exception(type(error), error, error.__traceback__)))
    made._made_by = "Error"
    made.type = type(error).__name__
    return made


def raised(reason):
    """The exception to raise for what a promise was rejected or a stream has failed with."""
    if isinstance(reason, JsException):
        return reason
    if isinstance(reason, BaseException):
        return reason
    made = JsException("Error", to_string(reason))
    made.value = reason
    return made


class ConversionError(Exception):
    """A value cannot be converted."""


class InternalError(Exception):
    """A fault of the runtime itself."""


class JsWeakRef(JsObject):
    """A reference that does not keep its object alive."""

    __slots__ = ("_ref",)
    _js_name = "WeakRef"

    def __init__(self, target):
        self._ref = weakref.ref(target)

    def deref(self):
        """The object, or None when it is gone."""
        return self._ref()


class JsDoubleProxy(JsObject):
    """What create_proxy makes: a Python object that is held until destroy()."""

    __slots__ = ("_held", "_gone")

    def __init__(self, held):
        self._held = held
        self._gone = False

    def unwrap(self):
        """The Python object."""
        if self._gone:
            raise JsException("Error", "Object has already been destroyed")
        return self._held

    def destroy(self, *_args, **_kwargs):
        """Lets go of the Python object."""
        if self._gone:
            raise JsException("Error", "Object has already been destroyed")
        self._gone = True
        self._held = None

    def copy(self):
        """Another proxy of the same object."""
        return JsDoubleProxy(self.unwrap())

    def getBuffer(self, type=None):
        """The object's bytes as a typed array, which is `data` of the result."""
        from .binary import PyBufferView

        return PyBufferView(self.unwrap())

    def toString(self):
        """The str of the Python object."""
        return str(self.unwrap())

    def toJs(self, options=None, **kwargs):
        """The Python object converted by to_js."""
        from .convert import to_js

        return to_js(self.unwrap(), **kwargs)

    def get(self, key):
        """The item of that key of the Python object."""
        try:
            return self.unwrap()[key]
        except LookupError:
            return None

    @property
    def type(self):
        """The name of the Python object's class."""
        return type(self.unwrap()).__name__

    @property
    def length(self):
        """The len of the Python object."""
        return len(self.unwrap())

    @property
    def typeof(self):
        """"function" when the Python object can be called."""
        return "function" if callable(self._held) else "object"

    def __iter__(self):
        return iter(self.unwrap())

    def __getattr__(self, name):
        if name[:2] == "__":
            raise AttributeError(name)
        return getattr(self.unwrap(), name)


class JsCallableDoubleProxy(JsDoubleProxy):
    """What create_proxy makes of a function."""

    __slots__ = ()

    def __call__(self, *args, **kwargs):
        return self.unwrap()(*args, **kwargs)


class JsOnceCallable(JsObject):
    """What create_once_callable makes: a function for one call."""

    __slots__ = ("_held",)
    typeof = "function"

    def __init__(self, held):
        self._held = held

    def __call__(self, *args, **kwargs):
        held = self._held
        if held is None:
            raise JsException("Error", "OnceProxy can only be called once")
        self._held = None
        return held(*args, **kwargs)

    def destroy(self):
        """Lets go of the function without a call."""
        if self._held is None:
            raise JsException("Error", "OnceProxy has already been destroyed")
        self._held = None


def plain(value):
    """The Python object of a proxy that create_proxy made, and any other value as it is."""
    return value.unwrap() if isinstance(value, JsDoubleProxy) else value


def new_array(items):
    """A JavaScript array around a list of Python's, which it owns from then on."""
    from .array import JsArray

    return JsArray.around(items)


class JsIterator(JsObject):
    """An iterator of JavaScript's: Python loops over it, and next() gives {value, done}."""

    __slots__ = ("_next",)
    _js_name = "Iterator"

    def __init__(self, iterable=(), name=None):
        self._next = iter(iterable)
        if name:
            self.__dict__["_named"] = name

    def __iter__(self):
        return self

    def __next__(self):
        return next(self._next)

    def next(self, _value=None):
        """The next value, as an object with `done` and `value`."""
        try:
            return new_object({"value": next(self._next), "done": False})
        except StopIteration:
            return new_object({"value": None, "done": True})

    def toString(self):
        """Which kind of iterator it is."""
        return "[object %s Iterator]" % self.__dict__.get("_named", "Array")

    def object_keys(self):
        """An iterator has no properties of its own."""
        return new_array([])

    def toArray(self):
        """All that is left, as an array."""
        return new_array(list(self._next))


def iterate(value):
    """An iterator over what JavaScript's `for (x of value)` meets; a map or headers give pairs."""
    pairs = getattr(value, "_js_iterate", None)
    if pairs is not None:
        return pairs()
    value = plain(value)
    if value is None or value is jsnull or isinstance(value, (int, float)):
        raise type_error("%s is not iterable" % to_string(value))
    next_of = getattr(value, "__iter__", None)
    if next_of is None:
        raise type_error("%s is not iterable" % (type_name(value) if isinstance(value, JsProxy) else to_string(value)))
    return next_of()


def options_of(options, kwargs):
    """The options of a call by name: an object's, or the keyword arguments; undefined counts as not given."""
    if kwargs:
        return kwargs
    if options is None or options is jsnull:
        return {}
    options = plain(options)
    if isinstance(options, dict):
        return options
    return options.__dict__ if isinstance(options, PlainObject) else _Attributes(options)


class _Attributes:
    """The options of an object that has them as attributes of its class."""

    __slots__ = ("_object",)

    def __init__(self, of):
        self._object = of

    def get(self, name, default=None):
        """The option of that name."""
        return getattr(self._object, name, default)

"""Events, AbortController and AbortSignal."""

import asyncio

from .core import (JsObject, iterate, js_class, js_error, jsnull, options_of, plain, raised, to_string, truth,
                   type_error)
from .promise import invoke


@js_class("Event")
class Event(JsObject):
    """Something that has happened to an object."""

    __slots__ = ("_type", "_target", "_cancelable", "_prevented", "_stopped")

    def __init__(self, kind, options=None, **kwargs):
        given = options_of(options, kwargs)
        self._type = to_string(kind)
        self._target = jsnull
        self._cancelable = truth(given.get("cancelable"))
        self._prevented = self._stopped = False
        for name, value in (given.items() if isinstance(given, dict) else ()):
            if name not in ("bubbles", "cancelable", "composed"):
                self.__dict__[name] = value

    @property
    def type(self):
        """The event's name."""
        return self._type

    @property
    def target(self):
        """The object that it has happened to."""
        return self._target

    currentTarget = target

    @property
    def cancelable(self):
        """Whether preventDefault does anything."""
        return self._cancelable

    @property
    def defaultPrevented(self):
        """Whether somebody has called preventDefault."""
        return self._prevented

    def preventDefault(self):
        """Says that what would follow is not to."""
        self._prevented = self._cancelable

    def stopPropagation(self):
        """Does nothing: an event has one target."""

    def stopImmediatePropagation(self):
        """Keeps the event from the listeners that are left."""
        self._stopped = True


@js_class("CustomEvent")
class CustomEvent(Event):
    """An event with a detail of the program's."""

    __slots__ = ()
    detail = jsnull


@js_class("MessageEvent")
class MessageEvent(Event):
    """An event with data."""

    __slots__ = ()
    data = jsnull


@js_class("ErrorEvent")
class ErrorEvent(Event):
    """An event with an error."""

    __slots__ = ()
    message = ""
    error = None


@js_class("CloseEvent")
class CloseEvent(Event):
    """The end of a connection."""

    __slots__ = ()
    code = 0
    reason = ""
    wasClean = False


def _same_function(left, right):
    left, right = plain(left), plain(right)
    return left is right or left == right


@js_class("EventTarget")
class EventTarget(JsObject):
    """What listeners can be added to; on* attributes are listeners too."""

    __slots__ = ("_listeners",)

    def __init__(self):
        self._listeners = None

    def addEventListener(self, kind, listener, options=None, **kwargs):
        """Has the listener called with each event of that name."""
        given = {} if isinstance(options, bool) else options_of(options, kwargs)
        if listener is None or listener is jsnull:
            return
        if self._listeners is None:
            self._listeners = {}
        known = self._listeners.setdefault(to_string(kind), [])
        if not any(_same_function(listener, had) for had, _once in known):
            known.append((listener, truth(given.get("once"))))

    def removeEventListener(self, kind, listener, _options=None, **_kwargs):
        """Has the listener called no more."""
        known = (self._listeners or {}).get(to_string(kind), [])
        known[:] = [entry for entry in known if not _same_function(entry[0], listener)]

    def dispatchEvent(self, event):
        """Calls the listeners; whether nobody has called preventDefault."""
        event._target = self
        named = self.__dict__.get("on" + event._type)
        if callable(named):
            invoke(named, event)
        for entry in list((self._listeners or {}).get(event._type, ())):
            if event._stopped:
                break
            if entry[1]:
                self.removeEventListener(event._type, entry[0])
            handle = entry[0]
            if not callable(handle):
                handle = getattr(handle, "handleEvent", None)
            if handle is not None:
                invoke(handle, event)
        return not event._prevented


def _no_socket():
    return type_error("WebSockets are not available to workers here: answer without an upgrade.")


@js_class("WebSocket")
class WebSocket(EventTarget):
    """A connection of messages, of which there is none yet."""

    __slots__ = ()

    def __init__(self, *_args, **_kwargs):
        raise _no_socket()


@js_class("WebSocketPair")
class WebSocketPair(JsObject):
    """The two ends of a connection, of which there is none yet."""

    __slots__ = ()

    def __init__(self):
        raise _no_socket()


@js_class("AbortSignal", "abort", "timeout", "any")
class AbortSignal(EventTarget):
    """Says that something is not wanted any more."""

    __slots__ = ("_aborted", "_reason", "_followers")

    def __init__(self):
        self._listeners = None
        self._aborted = False
        self._reason = None
        self._followers = None

    @staticmethod
    def _static_abort(reason=None):
        """A signal that is aborted already."""
        made = AbortSignal()
        made.fire(reason)
        return made

    @staticmethod
    def _static_timeout(milliseconds):
        """A signal that is aborted after so long."""
        made = AbortSignal()
        asyncio.get_running_loop().call_later(milliseconds / 1000, lambda: made.fire(
            js_error("TimeoutError", "The operation was aborted due to timeout")))
        return made

    @staticmethod
    def _static_any(signals):
        """A signal that is aborted with the first of others."""
        made = AbortSignal()
        for signal in iterate(signals):
            signal.follow(lambda signal=signal: made.fire(signal._reason))
        return made

    def follow(self, function):
        """Calls the function once the signal is aborted."""
        if self._aborted:
            function()
            return
        if self._followers is None:
            self._followers = []
        self._followers.append(function)

    def fire(self, reason=None):
        """Aborts."""
        if self._aborted:
            return
        self._aborted = True
        self._reason = js_error("AbortError", "The operation was aborted") if reason is None else reason
        followers, self._followers = self._followers, None
        for function in followers or ():
            function()
        self.dispatchEvent(Event("abort"))

    @property
    def aborted(self):
        """Whether it has been aborted."""
        return self._aborted

    @property
    def reason(self):
        """Why; undefined as long as it has not been aborted."""
        return self._reason

    def throwIfAborted(self):
        """Raises the reason when there is one."""
        if self._aborted:
            raise raised(self._reason)


@js_class("AbortController")
class AbortController(JsObject):
    """Aborts its signal."""

    __slots__ = ("_signal",)

    def __init__(self):
        self._signal = AbortSignal()

    @property
    def signal(self):
        """The signal."""
        return self._signal

    def abort(self, reason=None):
        """Aborts the signal."""
        self._signal.fire(reason)

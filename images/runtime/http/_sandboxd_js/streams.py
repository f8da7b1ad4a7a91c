"""ReadableStream, WritableStream and TransformStream, and the transforms that the platform brings.

A stream that is made here out of bytes or of an asynchronous iterator is the same
class as one that a program makes; `chunks` reads any of them without an object for
each read.
"""

from collections import deque

from .binary import JsTypedArray, Uint8Array, bytes_of, utf8
from .core import (JsException, JsObject, iterate, js_class, jsnull, new_array, new_object, of_python,
                   options_of, plain, raised, to_number, to_string, truth, type_error)
from .promise import (FULFILLED, PENDING, JsPromise, as_promise, enqueue, invoke, promise_of, rejected, resolved)

END = object()
READABLE, CLOSED, ERRORED = "readable", "closed", "errored"


def _method(source, name):
    """The function of that name that an object of the program's has; None where it has none."""
    source = plain(source)
    if source is None or source is jsnull:
        return None
    found = source.get(name) if isinstance(source, dict) else getattr(source, name, None)
    if found is None or found is jsnull:
        return None
    if not callable(plain(found)):
        raise type_error("property '%s' is not a function" % name)
    return found


def _option(source, name):
    source = plain(source)
    if source is None or source is jsnull:
        return None
    return source.get(name) if isinstance(source, dict) else getattr(source, name, None)


def _high_water(strategy, default):
    mark = _option(strategy, "highWaterMark")
    if mark is None:
        return default
    mark = to_number(mark)
    if mark != mark or mark < 0:
        raise JsException("RangeError", "The property 'strategy.highWaterMark' is invalid")
    return mark


def locked():
    """What a second reader gets."""
    return type_error("This ReadableStream is currently locked to a reader.")


@js_class("ReadableStreamDefaultController")
class ReadableController(JsObject):
    """By which a stream's source puts chunks into it."""

    __slots__ = ("_stream",)

    def __init__(self, stream):
        self._stream = stream

    @property
    def desiredSize(self):
        """How much the stream's queue would take; null once the stream has failed."""
        stream = self._stream
        if stream._state is ERRORED:
            return jsnull
        return 0 if stream._state is CLOSED else of_python(stream._mark - stream._total)

    byobRequest = jsnull

    def enqueue(self, chunk=None):
        """Puts a chunk into the stream."""
        stream = self._stream
        if stream._state is not READABLE or stream._closing:
            raise type_error("Unable to enqueue")
        stream._put(of_python(chunk))

    def close(self):
        """Ends the stream after what is in its queue."""
        stream = self._stream
        if stream._state is not READABLE or stream._closing:
            raise type_error("Invalid state: Controller is already closed")
        stream._finish()

    def error(self, reason=None):
        """Fails the stream."""
        self._stream._fail(reason)


@js_class("ReadableStream", "from_")
class ReadableStream(JsObject):
    """A stream to read chunks from."""

    __slots__ = ("_state", "_queue", "_total", "_mark", "_size", "_source_pull", "_source_cancel", "_reader",
                 "_requests", "_error", "_disturbed", "_closing", "_started", "_pulling", "_again", "_controller",
                 "_closed", "_bytes", "_direct")

    def __init__(self, source=None, strategy=None, **kwargs):
        if kwargs:
            source = kwargs
        self._begin(_high_water(strategy, 0 if _option(source, "type") == "bytes" else 1))
        self._bytes = _option(source, "type") == "bytes"
        self._size = _method(strategy, "size")
        self._source_pull = _method(source, "pull")
        self._source_cancel = _method(source, "cancel")
        start = _method(source, "start")
        begun = invoke(start, self._controller) if start is not None else None
        self._start_after(begun)

    def _begin(self, mark):
        self._state = READABLE
        self._queue = deque()
        self._total = 0
        self._mark = mark
        self._size = None
        self._source_pull = self._source_cancel = None
        self._reader = None
        self._requests = deque()
        self._error = None
        self._disturbed = self._closing = self._pulling = self._again = self._bytes = False
        self._started = True
        self._controller = ReadableController(self)
        self._closed = self._direct = None

    def _start_after(self, begun):
        self._started = False

        def started(_value=None):
            self._started = True
            self._pull()

        if begun is None:
            started()
        else:
            as_promise(begun)._react(started, self._fail)

    @classmethod
    def of_source(cls, pull=None, cancel=None, mark=0):
        """A stream that calls these functions with its controller, and with a reason."""
        made = cls.__new__(cls)
        made._begin(mark)
        made._source_pull = pull
        made._source_cancel = cancel
        return made

    @staticmethod
    def _static_from_(values):
        """A stream of what can be looped over, asynchronously or not."""
        values = plain(values)
        if hasattr(values, "__aiter__"):
            return stream_of_async(values.__aiter__(), lambda chunk: chunk)
        left = iter(iterate(values))

        def pull(controller):
            chunk = next(left, END)
            if chunk is END:
                controller.close()
            else:
                controller.enqueue(chunk)

        return ReadableStream.of_source(pull)

    # What the controller does.

    def _put(self, chunk):
        if self._requests:
            promise, wrapped = self._requests.popleft()
            promise._settle(FULFILLED, new_object({"value": chunk, "done": False}) if wrapped else chunk)
        else:
            size = 1
            if self._size is not None:
                size = to_number(self._size(chunk))
            self._queue.append((chunk, size))
            self._total += size
        self._pull()

    def _finish(self):
        self._closing = True
        if not self._queue:
            self._end()

    def _end(self):
        self._state = CLOSED
        while self._requests:
            promise, wrapped = self._requests.popleft()
            promise._settle(FULFILLED, new_object({"value": None, "done": True}) if wrapped else END)
        if self._closed is not None:
            self._closed.resolve(None)

    def _fail(self, reason=None):
        if self._state is not READABLE:
            return
        self._state = ERRORED
        self._error = reason
        self._queue.clear()
        self._total = 0
        while self._requests:
            self._requests.popleft()[0].reject(reason)
        if self._closed is not None:
            self._closed.reject(reason)

    def _pull(self):
        if self._state is not READABLE or self._closing or not self._started or self._source_pull is None:
            return
        if not self._requests and self._mark - self._total <= 0:
            return
        if self._pulling:
            self._again = True
            return
        self._pulling = True
        try:
            answer = invoke(self._source_pull, self._controller)
        except Exception as error:
            self._pulling = False
            self._fail(error)
            return
        if answer is None:
            if self._requests or self._again or self._mark - self._total > 0:
                enqueue(self._pulled)
            else:
                self._pulling = False
        else:
            as_promise(answer)._react(self._pulled, self._pull_failed)

    def _pulled(self, _value=None):
        self._pulling = False
        if self._again or self._requests or self._mark - self._total > 0:
            self._again = False
            self._pull()

    def _pull_failed(self, reason):
        self._pulling = False
        self._fail(reason)

    # What readers do.

    def take(self, wrapped=False):
        """A promise of the next chunk, or of END; in an object with `done` when it is for a program."""
        self._disturbed = True
        if self._queue:
            chunk, size = self._queue.popleft()
            self._total -= size
            if self._closing and not self._queue:
                self._end()
            else:
                self._pull()
            return resolved(new_object({"value": chunk, "done": False}) if wrapped else chunk)
        if self._state is CLOSED:
            return resolved(new_object({"value": None, "done": True}) if wrapped else END)
        if self._state is ERRORED:
            return rejected(self._error)
        promise = JsPromise.pending()
        promise._locked = True
        self._requests.append((promise, wrapped))
        self._pull()
        return promise

    async def take_direct(self):
        """The next chunk of a stream that an asynchronous iterator gives; END after the last."""
        self._disturbed = True
        if self._state is not READABLE or self._queue or self._requests or self._pulling:
            return await self.take()
        try:
            return Uint8Array.around(await self._direct.__anext__())
        except StopAsyncIteration:
            self._end()
            return END
        except Exception as error:
            self._fail(error)
            raise

    def drop(self, reason=None):
        """Ends the stream from the reader's side; a promise of the source's own end."""
        self._disturbed = True
        if self._state is CLOSED:
            return resolved(None)
        if self._state is ERRORED:
            return rejected(self._error)
        self._queue.clear()
        self._total = 0
        self._end()
        if self._source_cancel is None:
            return resolved(None)
        try:
            return as_promise(invoke(self._source_cancel, reason)).then(lambda _value: None)
        except Exception as error:
            return rejected(error)

    def cancel(self, reason=None):
        """Says that nobody wants the rest; a promise that the source has been told."""
        if self.locked:
            return rejected(locked())
        return self.drop(reason)

    @property
    def locked(self):
        """Whether the stream has a reader."""
        return self._reader is not None

    def getReader(self, options=None, **kwargs):
        """A reader, which the stream is locked to."""
        if self.locked:
            raise locked()
        if options_of(options, kwargs).get("mode") == "byob":
            return ByobReader(self)
        return Reader(self)

    def tee(self):
        """Two streams of the same chunks."""
        reader = self.getReader()
        stopped = [False, False]
        branches = []

        async def pull(_controller):
            try:
                chunk = await self.take()
            except BaseException as error:
                for branch in branches:
                    branch._fail(error)
                return
            for at, branch in enumerate(branches):
                if not stopped[at] and branch._state is READABLE:
                    if chunk is END:
                        branch._finish()
                    else:
                        branch._put(chunk)

        def canceller(at):
            def cancel(reason=None):
                stopped[at] = True
                if all(stopped):
                    reader.releaseLock()
                    return self.drop(reason)
                return None

            return cancel

        running = []

        def pull_once(controller):
            if running and not running[0].done:
                return running[0].promise
            made = _Turn(promise_of(pull(controller)))
            running[:] = [made]
            return made.promise

        branches += [ReadableStream.of_source(pull_once, canceller(at)) for at in (0, 1)]
        return new_array(list(branches))

    def pipeTo(self, target, options=None, **kwargs):
        """Writes all chunks into a WritableStream; a promise of the end."""
        given = options_of(options, kwargs)
        if not isinstance(target, WritableStream):
            return rejected(type_error("The \"transform.writable\" property must be an instance of WritableStream"))
        if self.locked or target.locked:
            return rejected(type_error("Invalid state: The stream is locked"))
        return promise_of(self._pipe(target, truth(given.get("preventClose")), truth(given.get("preventAbort")),
                                     truth(given.get("preventCancel")), given.get("signal")))

    async def _pipe(self, target, keep_open, keep_up, keep_source, signal):
        reader, writer = self.getReader(), target.getWriter()
        try:
            while True:
                if signal is not None and signal.aborted:
                    reason = signal.reason
                    if not keep_up:
                        await writer.abort(reason)
                    if not keep_source:
                        await self.drop(reason)
                    raise raised(reason)
                try:
                    chunk = await self.take()
                except Exception as error:
                    if not keep_up:
                        await writer.abort(error)
                    raise
                if chunk is END:
                    if not keep_open:
                        await writer.close()
                    return None
                try:
                    await writer.ready
                    writer.write(chunk)._react(lambda _value: None, lambda _reason: None)
                except Exception as error:
                    if not keep_source:
                        await self.drop(error)
                    raise
        finally:
            reader.releaseLock()
            writer.releaseLock()

    def pipeThrough(self, transform, options=None, **kwargs):
        """Writes all chunks into a transform's writable side, and returns its readable side."""
        self.pipeTo(_option(transform, "writable"), options, **kwargs)._react(
            lambda _value: None, lambda _reason: None)
        return _option(transform, "readable")

    def values(self, options=None, **kwargs):
        """An asynchronous iterator over the chunks."""
        return AsyncChunks(self, truth(options_of(options, kwargs).get("preventCancel")))

    def __aiter__(self):
        return AsyncChunks(self, False)


class _Turn:
    """A pull of tee: the two branches share one that is under way."""

    __slots__ = ("promise",)

    def __init__(self, promise):
        self.promise = promise

    @property
    def done(self):
        """Whether the pull has ended."""
        return self.promise._state is not PENDING


@js_class("ReadableStreamAsyncIterator")
class AsyncChunks(JsObject):
    """What `async for` gets of a stream."""

    __slots__ = ("_stream", "_lock", "_keep")

    def __init__(self, stream, keep):
        self._stream = stream
        self._lock = stream.getReader()
        self._keep = keep

    def __aiter__(self):
        return self

    async def __anext__(self):
        if self._lock is None:
            raise StopAsyncIteration
        try:
            chunk = await (self._stream.take() if self._stream._direct is None else self._stream.take_direct())
        except BaseException:
            self._release()
            raise
        if chunk is END:
            self._release()
            raise StopAsyncIteration
        return chunk

    def _release(self):
        if self._lock is not None:
            self._lock.releaseLock()
            self._lock = None

    def next(self, _value=None):
        """A promise of the next chunk, as an object with `done` and `value`."""
        return self._stream.take(True)

    async def aclose(self):
        """Ends the loop early, and the stream with it."""
        self._release()
        if not self._keep:
            await self._stream.drop()


@js_class("ReadableStreamDefaultReader")
class Reader(JsObject):
    """A stream's reader."""

    __slots__ = ("_stream",)

    def __init__(self, stream):
        if stream.locked:
            raise locked()
        self._stream = stream
        stream._reader = self

    def read(self):
        """A promise of the next chunk, as an object with `done` and `value`."""
        if self._stream is None:
            return rejected(type_error("Invalid state: The reader is not attached to a stream"))
        return self._stream.take(True)

    def cancel(self, reason=None):
        """Says that nobody wants the rest."""
        if self._stream is None:
            return rejected(type_error("Invalid state: The reader is not attached to a stream"))
        return self._stream.drop(reason)

    def releaseLock(self):
        """Lets go of the stream."""
        stream, self._stream = self._stream, None
        if stream is None:
            return
        stream._reader = None
        while stream._requests:
            stream._requests.popleft()[0].reject(type_error("Releasing reader"))

    @property
    def closed(self):
        """A promise of the stream's end."""
        stream = self._stream
        if stream is None:
            return rejected(type_error("Invalid state: Reader released"))
        if stream._closed is None:
            stream._closed = JsPromise.pending()
            if stream._state is CLOSED:
                stream._closed.resolve(None)
            elif stream._state is ERRORED:
                stream._closed.reject(stream._error)
        return stream._closed


@js_class("ReadableStreamBYOBReader")
class ByobReader(Reader):
    """A reader that fills a typed array of the program's."""

    __slots__ = ("_rest",)

    def __init__(self, stream):
        super().__init__(stream)
        self._rest = b""

    def read(self, view=None, options=None, **kwargs):
        """A promise of the part of the typed array that has been filled, in an object with `done` and `value`."""
        least = options_of(options, kwargs).get("min")
        return self.readAtLeast(1 if least is None else least, view)

    def readAtLeast(self, least, view):
        """As read, when at least so many bytes are there."""
        return promise_of(self._fill(least, view))

    async def _fill(self, least, view):
        data = bytearray(self._rest)
        done = False
        while len(data) < least:
            chunk = await self._stream.take()
            if chunk is END:
                done = True
                break
            data += bytes_of(chunk)
        room = view.byteLength
        self._rest = bytes(data[room:])
        target = view if isinstance(view, JsTypedArray) else Uint8Array(view.buffer, view.byteOffset, room)
        raw = target._written()
        raw[:len(data[:room])] = data[:room]
        part = target.subarray(0, len(data[:room]) // target.BYTES_PER_ELEMENT)
        return new_object({"value": part, "done": done and not data})


def stream_of_bytes(data):
    """A stream of one chunk."""
    made = ReadableStream.of_source()
    if data:
        made._queue.append((Uint8Array.around(data), 1))
        made._total = 1
        made._closing = True
    else:
        made._state = CLOSED
    return made


def stream_of_async(chunks_of, shown=None):
    """A stream of what an asynchronous iterator gives: bytes, unless a function makes chunks of them."""
    direct = shown is None
    shown = shown or Uint8Array.around

    async def pull(controller):
        try:
            chunk = await chunks_of.__anext__()
        except StopAsyncIteration:
            controller.close()
        else:
            controller.enqueue(shown(chunk))

    def cancel(_reason=None):
        close = getattr(chunks_of, "aclose", None)
        return close() if close is not None else None

    made = ReadableStream.of_source(lambda controller: promise_of(pull(controller)), cancel)
    if direct:
        made._direct = chunks_of
    return made


def chunk_bytes(chunk):
    """A chunk of a body as bytes."""
    data = bytes_of(chunk)
    if data is None:
        raise type_error("This ReadableStream did not return bytes.")
    return data


async def chunks(stream):
    """The chunks of a stream as bytes, one after the other."""
    reader = stream.getReader()
    ended = False
    try:
        while True:
            try:
                chunk = await (stream.take() if stream._direct is None else stream.take_direct())
            except Exception:
                ended = True
                raise
            if chunk is END:
                ended = True
                return
            data = chunk_bytes(chunk)
            if data:
                yield data
    finally:
        reader.releaseLock()
        if not ended:
            stream.drop()._react(lambda _value: None, lambda _reason: None)


@js_class("WritableStreamDefaultController")
class WritableController(JsObject):
    """By which a sink fails its stream."""

    __slots__ = ("_stream", "_signal")

    def __init__(self, stream):
        self._stream = stream
        self._signal = None

    def error(self, reason=None):
        """Fails the stream."""
        self._stream._fail(reason)

    @property
    def signal(self):
        """A signal that is aborted with the stream."""
        from .events import AbortController

        if self._signal is None:
            self._signal = AbortController()
        return self._signal.signal


@js_class("WritableStream")
class WritableStream(JsObject):
    """A stream to write chunks into."""

    __slots__ = ("_state", "_queue", "_mark", "_sink", "_writer", "_error", "_busy", "_started", "_controller",
                 "_ready", "_closed", "_ending")

    def __init__(self, sink=None, strategy=None, **kwargs):
        if kwargs:
            sink = kwargs
        self._begin({name: _method(sink, name) for name in ("write", "close", "abort")}, _high_water(strategy, 1))
        start = _method(sink, "start")
        begun = invoke(start, self._controller) if start is not None else None
        if begun is not None:
            self._started = False

            def started(_value=None):
                self._started = True
                self._work()

            as_promise(begun)._react(started, self._fail)

    def _begin(self, sink, mark):
        self._state = "writable"
        self._queue = deque()
        self._mark = mark
        self._sink = sink
        self._writer = None
        self._error = None
        self._busy = False
        self._started = True
        self._ending = None
        self._controller = WritableController(self)
        self._ready = resolved(None)
        self._closed = JsPromise.pending()

    @classmethod
    def of_sink(cls, write=None, close=None, abort=None, mark=1):
        """A stream that calls these functions: with a chunk and its controller, with nothing, with a reason."""
        made = cls.__new__(cls)
        made._begin({"write": write, "close": close, "abort": abort}, mark)
        return made

    def _refused(self):
        if self._state is ERRORED:
            return rejected(self._error)
        if self._state is CLOSED or self._ending is not None:
            return rejected(type_error("Invalid state: WritableStream is closed"))
        return None

    def _write(self, chunk):
        refused = self._refused()
        if refused is not None:
            return refused
        done = JsPromise.pending()
        self._queue.append((chunk, done))
        self._work()
        if self._state == "writable" and self._backed_up() and self._ready._state is not PENDING:
            self._ready = JsPromise.pending()
        return done

    def _backed_up(self):
        return len(self._queue) + (1 if self._busy else 0) >= self._mark

    def _close(self):
        refused = self._refused()
        if refused is not None:
            return refused
        self._ending = JsPromise.pending()
        self._work()
        return self._ending

    def _work(self):
        while not self._busy and self._started and self._state == "writable":
            if self._queue:
                chunk, done = self._queue.popleft()
                self._call("write", (chunk, self._controller), done)
            elif self._ending is not None:
                self._call("close", (), self._ending)
            else:
                return

    def _call(self, name, args, done):
        self._busy = True
        function = self._sink[name]

        def ended(_value=None):
            self._busy = False
            done.resolve(None)
            if name == "close":
                self._state = CLOSED
                self._closed.resolve(None)
            if not self._backed_up():
                self._ready.resolve(None)
            self._work()

        def failed(reason):
            self._busy = False
            done.reject(reason)
            self._fail(reason)

        try:
            answer = invoke(function, *args) if function is not None else None
        except Exception as error:
            failed(error)
            return
        if answer is None:
            ended()
        elif isinstance(answer, JsPromise) and answer._state is FULFILLED:
            ended()
        else:
            as_promise(answer)._react(ended, failed)

    def _fail(self, reason=None):
        if self._state != "writable":
            return
        self._state = ERRORED
        self._error = reason
        for _chunk, done in self._queue:
            done.reject(reason)
        self._queue.clear()
        if self._ending is not None:
            self._ending.reject(reason)
        if self._ready._state is not PENDING:
            self._ready = JsPromise.pending()
        self._ready.reject(reason)
        self._closed.reject(reason)

    def _abort(self, reason=None):
        if self._state != "writable":
            return resolved(None)
        self._fail(reason)
        if self._controller._signal is not None:
            self._controller._signal.abort(reason)
        abort = self._sink["abort"]
        if abort is None:
            return resolved(None)
        try:
            return as_promise(invoke(abort, reason)).then(lambda _value: None)
        except Exception as error:
            return rejected(error)

    @property
    def locked(self):
        """Whether the stream has a writer."""
        return self._writer is not None

    def getWriter(self):
        """A writer, which the stream is locked to."""
        return Writer(self)

    def close(self):
        """Ends the stream; a promise that all has been written."""
        if self.locked:
            return rejected(type_error("Invalid state: WritableStream is locked"))
        return self._close()

    def abort(self, reason=None):
        """Fails the stream and forgets what has not been written."""
        if self.locked:
            return rejected(type_error("Invalid state: WritableStream is locked"))
        return self._abort(reason)


@js_class("WritableStreamDefaultWriter")
class Writer(JsObject):
    """A stream's writer."""

    __slots__ = ("_stream",)

    def __init__(self, stream):
        if stream.locked:
            raise type_error("Invalid state: WritableStream is locked")
        self._stream = stream
        stream._writer = self

    def _attached(self):
        if self._stream is None:
            raise type_error("Invalid state: Writer has been released")
        return self._stream

    def write(self, chunk=None):
        """A promise that the chunk has been written."""
        if self._stream is None:
            return rejected(type_error("Invalid state: Writer has been released"))
        return self._stream._write(of_python(chunk))

    def close(self):
        """Ends the stream; a promise that all has been written."""
        if self._stream is None:
            return rejected(type_error("Invalid state: Writer has been released"))
        return self._stream._close()

    def abort(self, reason=None):
        """Fails the stream and forgets what has not been written."""
        return self._attached()._abort(reason)

    def releaseLock(self):
        """Lets go of the stream."""
        if self._stream is not None:
            self._stream._writer = None
            self._stream = None

    @property
    def ready(self):
        """A promise that there is room for another chunk."""
        return self._attached()._ready

    @property
    def closed(self):
        """A promise of the stream's end."""
        return self._attached()._closed

    @property
    def desiredSize(self):
        """For how many chunks there is room; null once the stream has failed."""
        stream = self._attached()
        if stream._state is ERRORED:
            return jsnull
        if stream._state is CLOSED:
            return 0
        return of_python(stream._mark - len(stream._queue) - (1 if stream._busy else 0))


@js_class("TransformStreamDefaultController")
class TransformController(JsObject):
    """By which a transform puts chunks into its readable side."""

    __slots__ = ("_transform",)

    def __init__(self, transform):
        self._transform = transform

    def enqueue(self, chunk=None):
        """Puts a chunk into the readable side."""
        self._transform._readable._controller.enqueue(chunk)

    def terminate(self):
        """Ends the readable side and fails the writable one."""
        self._transform._readable._finish()
        self._transform._writable._fail(type_error("Invalid state: TransformStream is terminated"))

    def error(self, reason=None):
        """Fails both sides."""
        self._transform._fail(reason)

    @property
    def desiredSize(self):
        """How much the readable side would take."""
        return self._transform._readable._controller.desiredSize


@js_class("TransformStream")
class TransformStream(JsObject):
    """A writable side whose chunks come out of a readable side, changed or not."""

    __slots__ = ("_readable", "_writable", "_wanted", "_transform", "_flush", "_controller")

    def __init__(self, transformer=None, writable_strategy=None, readable_strategy=None, **kwargs):
        if kwargs:
            transformer = kwargs
        self._begin(_method(transformer, "transform"), _method(transformer, "flush"),
                    _high_water(writable_strategy, 1), _high_water(readable_strategy, 0))
        start = _method(transformer, "start")
        if start is not None:
            begun = invoke(start, self._controller)
            if begun is not None:
                as_promise(begun)._react(lambda _value: None, self._fail)

    def _begin(self, transform, flush, writable_mark=1, readable_mark=0):
        self._transform = transform
        self._flush = flush
        self._wanted = None
        self._controller = TransformController(self)
        self._readable = ReadableStream.of_source(self._pulled, self._cancelled, readable_mark)
        self._writable = WritableStream.of_sink(self._written, self._ended, self._aborted, writable_mark)

    @property
    def readable(self):
        """The side to read from."""
        return self._readable

    @property
    def writable(self):
        """The side to write into."""
        return self._writable

    def _pulled(self, _controller=None):
        wanted, self._wanted = self._wanted, None
        if wanted is not None:
            wanted()

    def _written(self, chunk, _controller):
        readable = self._readable
        if readable._requests or readable._mark - readable._total > 0 or readable._state is not READABLE:
            return self._pass(chunk)
        done = JsPromise.pending()

        def go():
            try:
                done.resolve(self._pass(chunk))
            except Exception as error:
                done.reject(error)

        # The chunk waits for somebody who reads.
        self._wanted = go
        return done

    def _pass(self, chunk):
        if self._readable._state is ERRORED:
            raise raised(self._readable._error)
        try:
            if self._transform is None:
                self._controller.enqueue(chunk)
                return None
            answer = invoke(self._transform, chunk, self._controller)
        except Exception as error:
            self._readable._fail(error)
            raise
        if answer is None:
            return None
        return as_promise(answer).then(None, self._failed)

    def _failed(self, reason):
        self._readable._fail(reason)
        raise raised(reason)

    def _ended(self):
        if self._flush is None:
            self._finish()
            return None
        answer = invoke(self._flush, self._controller)
        if answer is None:
            self._finish()
            return None
        return as_promise(answer).then(lambda _value: self._finish(), self._failed)

    def _finish(self):
        if self._readable._state is READABLE and not self._readable._closing:
            self._readable._finish()

    def _aborted(self, reason=None):
        self._readable._fail(reason)

    def _cancelled(self, reason=None):
        self._writable._fail(reason)
        self._pulled()

    def _fail(self, reason=None):
        self._readable._fail(reason)
        self._writable._fail(reason)


@js_class("IdentityTransformStream")
class IdentityTransformStream(TransformStream):
    """A transform that changes nothing."""

    __slots__ = ()

    def __init__(self, _options=None, **_kwargs):
        self._begin(None, None)


@js_class("FixedLengthStream")
class FixedLengthStream(TransformStream):
    """A transform that changes nothing, and fails unless exactly so many bytes come."""

    __slots__ = ("_left",)

    def __init__(self, length, _options=None, **_kwargs):
        self._left = int(to_number(length))
        self._begin(self._counted, self._checked)

    def _counted(self, chunk, controller):
        self._left -= len(chunk_bytes(chunk))
        if self._left < 0:
            raise type_error("Attempt to write too many bytes through a FixedLengthStream.")
        controller.enqueue(chunk)

    def _checked(self, _controller):
        if self._left:
            raise type_error("FixedLengthStream did not see all expected bytes before close().")


_WINDOWS = {"gzip": 31, "deflate": 15, "deflate-raw": -15}


def _window(form):
    window = _WINDOWS.get(to_string(form))
    if window is None:
        raise type_error("The compression format must be either 'deflate', 'deflate-raw' or 'gzip'.")
    return window


@js_class("CompressionStream")
class CompressionStream(TransformStream):
    """A transform that compresses."""

    __slots__ = ()

    def __init__(self, form):
        import zlib

        packer = zlib.compressobj(wbits=_window(form))

        def transform(chunk, controller):
            packed = packer.compress(chunk_bytes(chunk))
            if packed:
                controller.enqueue(Uint8Array.around(packed))

        self._begin(transform, lambda controller: controller.enqueue(Uint8Array.around(packer.flush())))


@js_class("DecompressionStream")
class DecompressionStream(TransformStream):
    """A transform that unpacks what was compressed."""

    __slots__ = ()

    def __init__(self, form):
        import zlib

        unpacker = zlib.decompressobj(wbits=_window(form))

        def transform(chunk, controller):
            try:
                data = unpacker.decompress(chunk_bytes(chunk))
            except zlib.error as error:
                raise type_error("Decompression failed: %s" % error) from None
            if data:
                controller.enqueue(Uint8Array.around(data))

        def flush(controller):
            data = unpacker.flush()
            if data:
                controller.enqueue(Uint8Array.around(data))
            if not unpacker.eof:
                raise type_error("Decompression failed: the data ends too early")

        self._begin(transform, flush)


@js_class("TextEncoderStream")
class TextEncoderStream(TransformStream):
    """A transform of texts to UTF-8."""

    __slots__ = ()
    encoding = "utf-8"

    def __init__(self):
        self._begin(lambda chunk, controller: controller.enqueue(Uint8Array.around(utf8(to_string(chunk)))), None)


@js_class("TextDecoderStream")
class TextDecoderStream(TransformStream):
    """A transform of bytes to texts."""

    __slots__ = ("_decoder",)

    def __init__(self, label="utf-8", options=None, **kwargs):
        from .binary import TextDecoder

        decoder = self._decoder = TextDecoder(label, options, **kwargs)

        def transform(chunk, controller):
            text = decoder.decode(chunk, stream=True)
            if text:
                controller.enqueue(text)

        def flush(controller):
            text = decoder.decode()
            if text:
                controller.enqueue(text)

        self._begin(transform, flush)

    @property
    def encoding(self):
        """The encoding's name."""
        return self._decoder.encoding


@js_class("CountQueuingStrategy")
class CountQueuingStrategy(JsObject):
    """A queue's bound in chunks."""

    __slots__ = ("_mark",)

    def __init__(self, options=None, **kwargs):
        self._mark = options_of(options, kwargs).get("highWaterMark")

    @property
    def highWaterMark(self):
        """The bound."""
        return self._mark

    def size(self, _chunk=None):
        """The size of a chunk."""
        return 1


@js_class("ByteLengthQueuingStrategy")
class ByteLengthQueuingStrategy(CountQueuingStrategy):
    """A queue's bound in bytes."""

    __slots__ = ()

    def size(self, chunk=None):
        """The size of a chunk."""
        return chunk.byteLength


setattr(ReadableStream.constructor, "from", ReadableStream.constructor.from_)

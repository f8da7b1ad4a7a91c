#: A stream with a pull
n = []
def pull(c):
    n.append(1)
    if len(n) > 3: c.close()
    else: c.enqueue(js.Uint8Array.new([len(n)]))
s = js.ReadableStream.new(pull=create_proxy(pull))
out = []
async for chunk in s:
    out.append(chunk.to_bytes())
print(out, s.locked)
#> [b'\x01', b'\x02', b'\x03'] False

#: A reader
def start(c):
    c.enqueue("a"); c.enqueue("b"); c.close()
s = js.ReadableStream.new(start=create_proxy(start))
print(s.locked)
r = s.getReader()
print(s.locked)
x = await r.read(); print(x.value, x.done)
x = await r.read(); print(x.value, x.done)
x = await r.read(); print(x.value, x.done)
await r.closed
r.releaseLock()
print(s.locked)
try: s.getReader().read; s.getReader()
except JsException as e: print(e.name)
#> False
#> True
#> a False
#> b False
#> None True
#> False
#> TypeError

#: A stream fails
def start(c): c.error(js.TypeError.new("broken"))
s = js.ReadableStream.new(start=create_proxy(start))
try: await s.getReader().read()
except JsException as e: print(e.name, e.message)
#> TypeError broken

#: A stream is cancelled
got = []
s = js.ReadableStream.new(cancel=create_proxy(lambda r: got.append(r)))
await s.cancel("enough")
print(got)
x = await s.getReader().read()
print(x.done)
#> ['enough']
#> True

#: An asynchronous pull
async def pull(c):
    await asyncio.sleep(0)
    c.enqueue("x")
    c.close()
s = js.ReadableStream.new(pull=create_proxy(pull))
r = s.getReader()
x = await r.read()
print(x.value, (await r.read()).done)
#> x True

#: The queue of a stream
sizes = []
def start(c):
    sizes.append(c.desiredSize)
    c.enqueue("a")
    sizes.append(c.desiredSize)
s = js.ReadableStream.new(to_js({"start": start}), to_js({"highWaterMark": 3}))
print(sizes)
#> [3, 2]

#: tee
def start(c):
    c.enqueue("a"); c.enqueue("b"); c.close()
a, b = js.ReadableStream.new(start=create_proxy(start)).tee()
out = []
async for x in a: out.append(x)
async for x in b: out.append(x)
print(out)
#> ['a', 'b', 'a', 'b']

#: A writable stream
got = []
w = js.WritableStream.new(write=create_proxy(lambda chunk, c: got.append(chunk)), close=create_proxy(lambda: got.append("closed")))
wr = w.getWriter()
print(wr.desiredSize)
await wr.write("a")
await wr.ready
await wr.write("b")
await wr.close()
await wr.closed
print(got, w.locked)
wr.releaseLock()
print(w.locked)
#> 1
#> ['a', 'b', 'closed'] True
#> False

#: A writable stream is aborted
got = []
w = js.WritableStream.new(abort=create_proxy(lambda r: got.append(r)))
await w.abort(js.Error.new("stop"))
print(got)
try: await w.getWriter().write("x")
except JsException as e: print("refused")
#> [Error: stop]
#> refused

#: A sink fails
def write(chunk, c): raise ValueError("full")
w = js.WritableStream.new(write=create_proxy(write))
wr = w.getWriter()
try: await wr.write("x")
except JsException as e: print(e.name, "ValueError: full" in e.message)
try: await wr.write("y")
except JsException as e: print(e.name)
#> PythonError True
#> PythonError

#: An identity transform
t = js.TransformStream.new()
wr = t.writable.getWriter()
rd = t.readable.getReader()
asyncio.ensure_future(wr.write("hello"))
print((await rd.read()).value)
asyncio.ensure_future(wr.close())
print((await rd.read()).done)
#> hello
#> True

#: A write waits for a reader
t = js.TransformStream.new()
wr = t.writable.getWriter()
p = asyncio.ensure_future(wr.write("a"))
await asyncio.sleep(0.01)
print(p.done())
print((await t.readable.getReader().read()).value)
await p
print(p.done())
#> False
#> a
#> True

#: A transform
def transform(chunk, c): c.enqueue(chunk.upper())
def flush(c): c.enqueue("end")
t = js.TransformStream.new(transform=create_proxy(transform), flush=create_proxy(flush))
def start(c):
    c.enqueue("a"); c.enqueue("b"); c.close()
out = []
async for x in js.ReadableStream.new(start=create_proxy(start)).pipeThrough(t): out.append(x)
print(out)
#> ['A', 'B', 'end']

#: A transform fails
def transform(chunk, c): raise ValueError("odd")
t = js.TransformStream.new(transform=create_proxy(transform))
wr = t.writable.getWriter()
rd = t.readable.getReader()
f = asyncio.gather(wr.write("a"), return_exceptions=True)
try: await rd.read()
except JsException as e: print(e.name, "ValueError: odd" in e.message)
print(type((await f)[0]).__name__)
#> PythonError True
#> JsException

#: pipeTo
got = []
def start(c):
    c.enqueue("a"); c.enqueue("b"); c.close()
w = js.WritableStream.new(write=create_proxy(lambda chunk, c: got.append(chunk)), close=create_proxy(lambda: got.append("closed")))
await js.ReadableStream.new(start=create_proxy(start)).pipeTo(w)
print(got)
#> ['a', 'b', 'closed']

#: Compression there and back
async def read(s):
    out = b""
    async for x in s: out += x.to_bytes()
    return out
data = b"hello " * 50
for form in ("gzip", "deflate"):
    packed = await read(js.Blob.new(to_js([data])).stream().pipeThrough(js.CompressionStream.new(form)))
    print(form, len(packed) < 100, await read(js.Blob.new(to_js([packed])).stream().pipeThrough(js.DecompressionStream.new(form))) == data)
#> gzip True True
#> deflate True True

#: Texts as streams
out = []
async for x in js.Blob.new(to_js(["h\u00e9"])).stream().pipeThrough(js.TextDecoderStream.new()): out.append(x)
print(out)
#> ['hé']

#: A stream as a body
def start(c):
    c.enqueue(js.Uint8Array.new([104])); c.enqueue(js.Uint8Array.new([105])); c.close()
print(await js.Response.new(js.ReadableStream.new(start=create_proxy(start))).text())
#> hi

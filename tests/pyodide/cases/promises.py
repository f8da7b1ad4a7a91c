#: A promise is awaited
print(await js.Promise.resolve(5))
try: await js.Promise.reject(js.Error.new("no"))
except JsException as e: print(e.message)
#> 5
#> no

#: then, catch and finally_
print(await js.Promise.resolve(1).then(lambda x: x + 1))
print(await js.Promise.reject(js.Error.new("bad")).catch(lambda e: "caught " + e.message))
r = []
print(await js.Promise.resolve(3).finally_(lambda: r.append("f")), r)
#> 2
#> caught bad
#> 3 ['f']

#: A chain
async def later(x):
    await asyncio.sleep(0)
    return x * 2
print(await js.Promise.resolve(4).then(later).then(lambda x: x + 1))
#> 9

#: A promise of a program
def start(resolve, reject): resolve(7)
print(await js.Promise.new(start))
def fail(resolve, reject): reject(js.Error.new("why"))
try: await js.Promise.new(fail)
except JsException as e: print(e)
#> 7
#> Error: why

#: A promise that is settled later
keep = []
p = js.Promise.new(lambda resolve, reject: keep.append(create_proxy(resolve)))
asyncio.get_running_loop().call_soon(lambda: keep[0](9))
print(await p)
#> 9

#: all, race, any, allSettled
P = js.Promise
print(list(await P.all(to_js([P.resolve(1), 2, P.resolve("x")]))))
print(await P.race(to_js([P.new(lambda a, b: None), P.resolve(5)])))
print(await P.any(to_js([P.reject(js.Error.new("a")), P.resolve(6)])))
print([(r.status, getattr(r, "value", None)) for r in await P.allSettled(to_js([P.resolve(1), P.reject(js.Error.new("z"))]))])
try: await P.all(to_js([P.resolve(1), P.reject(js.TypeError.new("t"))]))
except JsException as e: print("rejected")
try: await P.any(to_js([P.reject(js.TypeError.new("t"))]))
except JsException as e: print(e.name)
#> [1, 2, 'x']
#> 5
#> 6
#> [('fulfilled', 1), ('rejected', None)]
#> rejected
#> AggregateError

#: A Python exception comes back out of a promise
def f(x): raise KeyError("k")
try: await js.Promise.resolve(1).then(f)
except KeyError as e: print("KeyError", e)
print(await js.Promise.resolve(1).then(f).catch(lambda e: type(e).__name__))
async def g(): raise KeyError("k")
try: await js.Promise.resolve(g())
except (JsException, KeyError) as e: print(type(e).__name__)
#> KeyError 'k'
#> KeyError
#> JsException

#: gather and wait_for take promises
print(await asyncio.gather(js.Promise.resolve(1), js.Promise.resolve(2)))
print(await asyncio.wait_for(js.Promise.resolve(3), 5))
try: await asyncio.wait_for(js.Promise.new(lambda a, b: None), 0.01)
except asyncio.TimeoutError: print("timeout")
#> [1, 2]
#> 3
#> timeout

#: The order of microtasks
order = []
js.queueMicrotask(create_once_callable(lambda: order.append("micro")))
js.setTimeout(create_proxy(lambda: order.append("timer")), 0)
order.append("now")
await asyncio.sleep(0.05)
print(order)
#> ['now', 'micro', 'timer']

#: Timers
got = []
t = js.setTimeout(create_proxy(lambda *a: got.append(("never", a))), 5)
js.clearTimeout(t)
js.setTimeout(create_proxy(lambda *a: got.append(a)), 1, "a", 2)
n = []
i = js.setInterval(create_proxy(lambda: n.append(1)), 1)
while len(n) < 3: await asyncio.sleep(0.001)
js.clearInterval(i)
while not got: await asyncio.sleep(0.001)
count = len(n)
await asyncio.sleep(0.02)
print(got, len(n) == count)
#> [('a', 2)] True

#: A coroutine is called by JavaScript
got = []
async def f():
    await asyncio.sleep(0)
    got.append("ran")
js.setTimeout(create_proxy(f), 0)
while not got: await asyncio.sleep(0.001)
print(got)
#> ['ran']

#: AbortController
c = js.AbortController.new()
got = []
c.signal.addEventListener("abort", create_proxy(lambda e: got.append(e.type)))
print(c.signal.aborted, c.signal.reason)
c.abort()
print(c.signal.aborted, c.signal.reason.name, got)
try: c.signal.throwIfAborted()
except JsException as e: print(e.name)
s = js.AbortSignal.abort("why")
print(s.aborted, s.reason)
#> False None
#> True AbortError ['abort']
#> AbortError
#> True why

#: Events
t = js.EventTarget.new()
got = []
f = create_proxy(lambda e: got.append((e.type, getattr(e, "detail", None))))
t.addEventListener("x", f)
print(t.dispatchEvent(js.Event.new("x")), t.dispatchEvent(js.CustomEvent.new("x", detail=5)))
t.removeEventListener("x", f)
t.dispatchEvent(js.Event.new("x"))
once = create_proxy(lambda e: got.append("once"))
t.addEventListener("y", once, once=True)
t.dispatchEvent(js.Event.new("y")); t.dispatchEvent(js.Event.new("y"))
print(got)
p = create_proxy(lambda e: e.preventDefault())
t.addEventListener("z", p)
print(t.dispatchEvent(js.Event.new("z", cancelable=True)))
#> True True
#> [('x', None), ('x', 5), 'once']
#> False

#: A promise is a future of Python's
p = js.Promise.resolve(5)
print(await p, p.done(), p.result(), p.exception(), p.cancelled())
q = js.Promise.reject(js.Error.new("no"))
try: await q
except JsException: print(q.done(), q.exception().message)
try: q.result()
except JsException as e: print(e.message)
r = js.Promise.race(to_js([js.Promise.new(lambda resolve, reject: js.setTimeout(resolve, 5, "late"))]))
print(r.done())
try: r.result()
except asyncio.InvalidStateError: print("InvalidStateError")
got = []
r.add_done_callback(lambda f: got.append(f.result()))
await r
await asyncio.sleep(0)
print(got, len((await asyncio.wait([js.Promise.resolve(1)]))[0]))
#> 5 True 5 None False
#> True no
#> no
#> False
#> InvalidStateError
#> ['late'] 1

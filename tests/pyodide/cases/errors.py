#: An error's parts
e = js.Error.new("boom")
print(e.name, e.message, e, isinstance(e, JsException), isinstance(e, Exception), e.toString())
#> Error boom Error: boom True True Error: boom

#: An error is raised
try: raise js.TypeError.new("no")
except JsException as e: print(e.name, e.message)
#> TypeError no

#: An error with a cause
e = js.Error.new("x", cause="why")
print(e.cause)
#> why

#: What JavaScript raises
for f in (lambda: js.JSON.parse("{"), lambda: js.URL.new("nope"), lambda: js.Array.new(-1), lambda: js.Response.new("", status=99), lambda: js.atob("*")):
    try: f()
    except JsException as e: print(e.name, e.constructor.name)
#> SyntaxError SyntaxError
#> TypeError TypeError
#> RangeError RangeError
#> RangeError RangeError
#> InvalidCharacterError DOMException

#: A Python exception goes through JavaScript
def f(*a): raise ValueError("mine")
try: Array.of(1).forEach(f)
except ValueError as e: print("ValueError", e)
#> ValueError mine

#: DOMException
e = js.DOMException.new("m", "AbortError")
print(e.name, e.message, e.code, e.constructor.name)
#> AbortError m 20 DOMException

#: JsException made by Python
e = JsException("FooError", "bar")
print(e.name, e.message, e)
#> FooError bar FooError: bar

#: An error can be pickled
import pickle
e = pickle.loads(pickle.dumps(js.TypeError.new("p")))
print(e.name, e.message)
#> TypeError p

#: Errors of a name of their own
e = js.Error.new("m")
e.name = "Custom"
print(e, e.name)
#> Custom: m Custom

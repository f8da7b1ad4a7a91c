"""Running code, and calling functions with more arguments than they take."""

import ast
import functools
import inspect

from _sandboxd_js.core import JsException

__all__ = ["eval_code", "eval_code_async", "find_imports", "relaxed_call", "relaxed_wrap", "run_js"]


def run_js(code, /):
    """Fails as JavaScript's eval does in Workers, where no code is made out of texts."""
    if not isinstance(code, str):
        raise TypeError("argument should have type 'string' not type '%s'" % type(code).__name__)
    raise JsException("EvalError", "Code generation from strings disallowed for this context")


@functools.lru_cache(maxsize=256)
def _taken(function):
    """How many positional arguments a function takes, and which names; None for all of them."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return None, None
    count, names = 0, set()
    for parameter in parameters:
        if parameter.kind == parameter.VAR_POSITIONAL:
            count = None
        elif parameter.kind == parameter.VAR_KEYWORD:
            names = None
        else:
            if parameter.kind != parameter.KEYWORD_ONLY and count is not None:
                count += 1
            if parameter.kind != parameter.POSITIONAL_ONLY and names is not None:
                names.add(parameter.name)
    return count, names


def relaxed_call(func, *args, **kwargs):
    """Calls a function without the arguments that it does not take."""
    if inspect.ismethod(func):
        # The function is remembered, and not one method for each instance.
        count, names = _taken(func.__func__)
        count = count and count - 1
    else:
        try:
            count, names = _taken(func)
        except TypeError:
            count, names = _taken.__wrapped__(func)
    if count is not None:
        args = args[:count]
    if names is not None and kwargs:
        kwargs = {name: value for name, value in kwargs.items() if name in names}
    return func(*args, **kwargs)


def relaxed_wrap(func):
    """A function that ignores the arguments that another one does not take."""

    @functools.wraps(func)
    def wrapper(*args, **kwargs):
        return relaxed_call(func, *args, **kwargs)

    return wrapper


def _compiled(source, filename, flags):
    tree = ast.parse(source, filename)
    last = None
    if tree.body and isinstance(tree.body[-1], ast.Expr) and not source.rstrip().endswith(";"):
        last = ast.Expression(tree.body.pop().value)
    body = compile(tree, filename, "exec", flags)
    return body, last and compile(last, filename, "eval", flags)


def eval_code(source, globals=None, locals=None, *, filename="<exec>", **_options):
    """Runs code, and returns the value of its last expression."""
    names = {} if globals is None else globals
    body, last = _compiled(source, filename, 0)
    eval(body, names, locals)
    return eval(last, names, locals) if last else None


async def eval_code_async(source, globals=None, locals=None, *, filename="<exec>", **_options):
    """Runs code that may await, and returns the value of its last expression."""
    names = {} if globals is None else globals
    body, last = _compiled(source, filename, ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    result = eval(body, names, locals)
    if inspect.iscoroutine(result):
        await result
    result = eval(last, names, locals) if last else None
    return await result if inspect.iscoroutine(result) else result


def find_imports(source):
    """The modules that code imports, and the packages that they are in."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return []
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            names = [node.module]
        else:
            continue
        for name in names:
            parts = name.split(".")
            found.update(".".join(parts[:end]) for end in range(1, len(parts) + 1))
    return sorted(found)

"""The modules that a worker's source imports when it is imported: what a package snapshot holds."""

import ast
import sys
import warnings

SOURCE_MAX = 2 << 20
SOURCES_MAX = 2000
NAMES_MAX = 2000
BYTES_MAX = 768         # of all names, each with a newline; and of python_modules' ones
EXTRA = 8               # besides: spec/worker_manifest.h
MODULE = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.")


class Names(ast.NodeVisitor):
    """The imports of one source, in order: (name, names taken out of it, level). What stands in a function
    runs later, if ever; what stands below if, try, with and class runs now, but for type checkers' parts."""

    def __init__(self):
        self.found = []

    def visit_Import(self, node):
        self.found += [(alias.name, (), 0) for alias in node.names]

    def visit_ImportFrom(self, node):
        self.found.append((node.module or "", tuple(alias.name for alias in node.names), node.level))

    def visit_If(self, node):
        test = node.test
        name = test.id if isinstance(test, ast.Name) else test.attr if isinstance(test, ast.Attribute) else None
        if name != "TYPE_CHECKING":
            for inner in node.body:
                self.visit(inner)
        for inner in node.orelse:
            self.visit(inner)

    def visit_FunctionDef(self, node):
        pass

    visit_AsyncFunctionDef = visit_Lambda = visit_FunctionDef

    def generic_visit(self, node):
        # Expressions hold no import.
        for field, value in ast.iter_fields(node):
            for inner in value if isinstance(value, list) else (value,):
                if isinstance(inner, (ast.stmt, ast.excepthandler)) or type(inner).__name__ == "match_case":
                    self.visit(inner)


def imports_of(source):
    """What Names finds in a source; nothing where it is no Python: its import will say so, with the line."""
    if len(source) > SOURCE_MAX:
        return []
    names = Names()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            names.visit(ast.parse(source))
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return []
    return names.found[:NAMES_MAX]


def scan(main, own, read):
    """All names that main and what it imports of the project's own files import, in their order, without those
    of the project's own. own: paths of the package; read: the bytes of one of them."""
    result, seen, queue = {}, set(), [main]
    while queue and len(seen) < SOURCES_MAX and len(result) < NAMES_MAX:
        path = queue.pop(0)
        if path in seen:
            continue
        seen.add(path)
        here = path[:-3].split("/")
        package = here[:-1]
        for module, names, level in imports_of(read(path)):
            if level:
                if level > len(package) + 1:
                    continue
                module = ".".join(package[:len(package) + 1 - level] + ([module] if module else []))
            for name in [module] + [module + "." + name if module else name for name in names]:
                local = own_file(name, own)
                if local is not None:
                    queue += local
                elif not level and name == module and set(name) <= MODULE:
                    result.setdefault(name)
    return list(result)


def own_file(name, own):
    """The files of the project that an import of this name runs; None where it is not the project's."""
    parts, files, local = name.split("."), [], False
    for n in range(1, len(parts) + 1):
        base = "/".join(parts[:n])
        found = [path for path in (base + "/__init__.py", base + ".py") if path in own]
        # A folder without __init__.py is a package too.
        if not found and not any(path.startswith(base + "/") for path in own):
            break
        local = True
        files += found[:1]
    return files if local else None


RUNTIME = frozenset(("js", "pyodide", "workers", "asgi", "wsgi", "micropip", "pyodide_js", "cloudflare",
                     "_pyodide_entrypoint_helper", "_cloudflare_compat_flags", "_pyodide"))


def can_be_found(name):
    """Whether the image has the module, or the package that the module is in; nothing is imported for that."""
    import importlib.util

    try:
        return importlib.util.find_spec(name.split(".")[0]) is not None
    except (ImportError, ValueError, AttributeError):
        return False


# Modules of the standard library that nobody wants to have ahead.
NEVER = frozenset(("__future__", "__main__", "antigravity", "idlelib", "lib2to3", "this", "tkinter", "turtle",
                   "turtledemo"))


def for_snapshot(names, own, is_there):
    """(names of the image's modules that a package snapshot imports, names of python_modules', how many were left
    out because there is no room). own: what is at the top of python_modules; is_there: whether the image has a
    module. What is of the standard library gets room last."""
    standard = getattr(sys, "stdlib_module_names", frozenset(sys.builtin_module_names))
    wanted = [(name, name.split(".")[0]) for name in names if not name.startswith("_sandboxd")]
    wanted = [(name, top) for name, top in wanted if top not in NEVER and (top in own or top not in RUNTIME)]
    wanted.sort(key=lambda pair: pair[1] in standard)
    image, package, left, room = [], [], 0, BYTES_MAX
    for name, top in wanted:
        if top not in own and not is_there(name):
            continue
        size = len(name) + 1 + (EXTRA if top in own else 0)
        if size > room or len(max(name.split("."), key=len)) > 126:
            left += 1
            continue
        room -= size
        (package if top in own else image).append(name)
    return image, package, left

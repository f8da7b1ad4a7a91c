"""The module `pyodide`, as far as it makes sense outside of a browser."""

from . import code, ffi, http, webloop

__version__ = "314.0.8"
__all__ = ["__version__", "code", "ffi", "http", "webloop"]

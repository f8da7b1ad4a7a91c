"""The module `js`: JavaScript's global object."""

import sys

from _sandboxd_js.world import globalThis

type(globalThis).__spec__ = __spec__
type(globalThis).__path__ = []
type(globalThis).__file__ = __file__
type(globalThis).__loader__ = __loader__
sys.modules[__name__] = globalThis

"""ASGI applications: the same module as workers.asgi."""

import sys

from workers import asgi

sys.modules[__name__] = asgi

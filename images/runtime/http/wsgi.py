"""WSGI applications: the same module as workers.wsgi."""

import sys

from workers import wsgi

sys.modules[__name__] = wsgi

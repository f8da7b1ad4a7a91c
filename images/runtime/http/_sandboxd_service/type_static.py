"""A service of the type static: its files, by nginx."""

import time

from .nginx import Nginx

OWN_HTTP = True
INSIDE = """            index index.html index.htm;
"""


def begin(replica):
    replica.nginx = Nginx(replica, INSIDE)
    replica.nginx.check()
    replica.nginx.begin()


def is_ready(replica):
    return replica.nginx.is_ready() and replica.is_well()


def drain(replica):
    replica.nginx.drain()


def is_drained(replica):
    return replica.nginx.is_drained(time.monotonic())

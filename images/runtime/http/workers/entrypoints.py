"""The classes that a worker's own are made of."""

import functools

import _sandboxd_js

from .request import Request
from .rpc import EnvWrapper


class WorkerEntrypoint:
    """A class of a worker whose methods are its handlers; each call gets an instance of its own."""

    def __init__(self, ctx, env):
        self.ctx = ctx
        self.env = env


class DurableObject:
    """A class of objects that last, which are not there yet."""

    def __init__(self, ctx, env):
        self.ctx = ctx
        self.env = env


class WorkflowEntrypoint:
    """A class of workflows, which are not there yet."""

    def __init__(self, ctx, env):
        self.ctx = ctx
        self.env = env


def handler(func):
    """Has an older handler, such as on_fetch, called with this SDK's request and env."""
    @functools.wraps(func)
    def wrapper(*args, **kwargs):
        args = list(args)
        if args and isinstance(args[0], _sandboxd_js.Request):
            args[0] = Request(args[0])
        if len(args) > 1:
            args[1] = EnvWrapper(args[1])
        return func(*args, **kwargs)
    return wrapper

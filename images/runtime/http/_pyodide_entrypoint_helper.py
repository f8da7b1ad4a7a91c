"""What the platform's SDK asks of the runtime that it is in."""

from _sandboxd_js.workers import import_module as doAnImport
from _sandboxd_js.workers import patch_env as patch_env_helper
from _sandboxd_js.workers import sockets_module as cloudflareSocketsModule
from _sandboxd_js.workers import workers_module as cloudflareWorkersModule

__all__ = ["cloudflareSocketsModule", "cloudflareWorkersModule", "doAnImport", "patchWaitUntil", "patch_env_helper"]


def patchWaitUntil(_ctx):
    """Does nothing: waitUntil of a context takes whatever can be awaited."""

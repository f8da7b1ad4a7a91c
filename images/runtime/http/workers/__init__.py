"""The SDK of HTTP workers that carry none of their own, with the names of Cloudflare's.

It is for the same programs as that one, and stands on the same `js` and `pyodide`, but knows the server: a request
that only passes through it, as one for an ASGI application does, is neither decoded nor copied.
"""

from .blob import Blob, BlobEnding, BlobValue, File
from .entrypoints import DurableObject, WorkerEntrypoint, WorkflowEntrypoint, handler
from .fetch import fetch
from .formdata import FormData, FormDataValue
from .request import Request
from .response import FetchResponse, Response
from .rpc import current_env as env
from .rpc import env_of as _env_of
from .rpc import python_from_rpc, python_to_rpc
from .types import Body, Context, FetchKwargs, Headers, JSBody, RequestInitCfProperties
from .utils import import_from_javascript, patch_env

_sandboxd = True    # the runtime gives classes of this SDK an env that is wrapped already

__all__ = [
    "Blob", "BlobEnding", "BlobValue", "Body", "Context", "DurableObject", "FetchKwargs", "FetchResponse", "File",
    "FormData", "FormDataValue", "Headers", "JSBody", "Request", "RequestInitCfProperties", "Response",
    "WorkerEntrypoint", "WorkflowEntrypoint", "env", "fetch", "handler", "import_from_javascript", "patch_env",
    "python_from_rpc", "python_to_rpc", "waitUntil", "wait_until",
]


def __getattr__(name):
    if name in ("wait_until", "waitUntil"):
        return import_from_javascript("cloudflare:workers").waitUntil
    raise AttributeError("module %r has no attribute %r" % (__name__, name))

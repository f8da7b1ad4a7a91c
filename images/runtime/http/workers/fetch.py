"""fetch()."""

from pyodide.http import pyfetch

from .request import HTTPMethod, Request, js_body
from .response import Response
from .utils import js_headers


async def fetch(resource, **other_options):
    """The response to a request."""
    if isinstance(resource, Request):
        resource = resource.js_object
    if isinstance(other_options.get("method"), HTTPMethod):
        other_options["method"] = other_options["method"].value
    if other_options.get("body") is not None:
        other_options["body"] = js_body(other_options["body"])
    if isinstance(other_options.get("headers"), (dict, list)):
        other_options["headers"] = js_headers(other_options["headers"])
    answer = await pyfetch(resource, **other_options)
    return Response._of(answer.js_response)

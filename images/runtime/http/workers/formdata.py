"""Forms."""

from collections.abc import MutableMapping

import js
from pyodide.ffi import jsnull

from .blob import Blob, File
from .utils import js_name

FormDataValue = "str | js.Blob | Blob"


def to_python(value):
    name = js_name(value)
    if name == "File":
        return File._of(value)
    return Blob._of(value) if name == "Blob" else value


def to_javascript(value):
    return value.js_object if isinstance(value, Blob) else value


class FormData(MutableMapping):
    """Names, and one or more values of each."""

    def __init__(self, form_data=None):
        if form_data is not None and js_name(form_data) == "FormData":
            self._js_form_data = form_data
            return
        self._js_form_data = js.FormData.new()
        if not form_data:
            return
        if not isinstance(form_data, dict):
            raise TypeError("Expected form_data to be a dict or an instance of FormData")
        for name, value in form_data.items():
            self.append(name, value)

    @property
    def js_object(self):
        return self._js_form_data

    def __getitem__(self, name):
        """The first value of a name; jsnull where there is none."""
        found = self._js_form_data.get(name)
        return found if found is jsnull else to_python(found)

    def __setitem__(self, name, value):
        if isinstance(value, list):
            raise TypeError("Expected single item in arguments to FormData.__setitem__")
        self._js_form_data.set(name, to_javascript(value))

    def __delitem__(self, name):
        self.delete(name)

    def __contains__(self, name):
        return self._js_form_data.has(name)

    def __iter__(self):
        return self.keys()

    def __len__(self):
        return len(list(self.keys()))

    def append(self, name, value, filename=None):
        if filename is None:
            self._js_form_data.append(name, to_javascript(value))
        else:
            self._js_form_data.append(name, to_javascript(value), filename)

    def delete(self, name):
        self._js_form_data.delete(name)

    def get_all(self, name):
        return [to_python(value) for value in self._js_form_data.getAll(name)]

    def keys(self):
        yield from self._js_form_data.keys()

    def values(self):
        for value in self._js_form_data.values():
            yield to_python(value)

    def items(self):
        for name, value in self._js_form_data.entries():
            yield name, to_python(value)

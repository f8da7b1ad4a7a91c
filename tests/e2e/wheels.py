# SPDX-License-Identifier: Apache-2.0
"""A wheel of a package that says its version: wheels.py FOLDER NAME VERSION [REQUIREMENT...]"""
import os
import sys
import zipfile

folder, name, version = sys.argv[1:4]
info = "%s-%s.dist-info" % (name, version)
files = {
    name + "/__init__.py": "VERSION = %r\n" % version,
    info + "/METADATA": "Metadata-Version: 2.1\nName: %s\nVersion: %s\n%s" % (
        name, version, "".join("Requires-Dist: %s\n" % r for r in sys.argv[4:])),
    info + "/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py2-none-any\nTag: py3-none-any\n",
}
files[info + "/RECORD"] = "".join("%s,,\n" % path for path in list(files) + [info + "/RECORD"])
os.makedirs(folder, exist_ok=True)
with zipfile.ZipFile("%s/%s-%s-py2.py3-none-any.whl" % (folder, name, version), "w") as wheel:
    for path, text in files.items():
        wheel.writestr(path, text)

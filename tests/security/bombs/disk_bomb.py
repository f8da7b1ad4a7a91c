# SPDX-License-Identifier: Apache-2.0
"""Fills a disk with bytes, files, folders (deep or wide), or links until it is refused."""
import guard

import os
import sys

kind, where = sys.argv[-2:]
piece = b"x" * 65536
n = 0
if kind == "bytes":
    with open(where + "/fill", "wb", buffering=0) as f:
        while True:
            f.write(piece)
elif kind == "inodes":
    while True:
        os.close(os.open("%s/%d" % (where, n), os.O_CREAT | os.O_WRONLY))
        n += 1
elif kind == "deep":
    os.chdir(where)
    while True:
        os.mkdir("d" * 200)
        os.chdir("d" * 200)
elif kind == "wide":
    while True:
        os.makedirs("%s/%d/a/b/c" % (where, n))
        n += 1
elif kind == "symlinks":
    while True:
        os.symlink("/proc/1/root", "%s/%d" % (where, n))
        n += 1

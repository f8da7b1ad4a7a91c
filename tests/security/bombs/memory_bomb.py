# SPDX-License-Identifier: Apache-2.0
"""Takes memory without end: anonymous, in a file of a tmpfs, or in a memfd."""
import guard

import os
import sys

kind = sys.argv[-1]
piece = b"x" * (1 << 20)
if kind == "anonymous":
    kept = []
    while True:
        kept.append(bytearray(piece))
elif kind == "tmpfs":
    with open("/tmp/bomb", "wb", buffering=0) as f:
        while True:
            f.write(piece)
elif kind == "memfd":
    fd = os.memfd_create("bomb")
    while True:
        os.write(fd, piece)
elif kind == "children":
    # Each process small, the sum too large: the group is what must be limited.
    for _ in range(12):
        if os.fork() == 0:
            kept = bytearray(piece) * 16
            os.read(os.pipe()[0], 1)
    _, status = os.wait()
    sys.exit("a child ended with status %d" % status)

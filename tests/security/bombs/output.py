# SPDX-License-Identifier: Apache-2.0
"""Floods the log: one line without end, a million lines, NULs, or escape sequences."""
import guard

import os
import sys

kind = sys.argv[-1]


def put(data):
    while data:
        data = data[os.write(1, data) :]


if kind == "line":  # 1 GiB without a newline
    piece = b"x" * (1 << 20)
    for _ in range(1024):
        put(piece)
elif kind == "lines":
    for start in range(0, 1000000, 1000):
        put(b"".join(b"line %d\n" % n for n in range(start, start + 1000)))
elif kind == "nul":
    put(b"a\0b\n" + b"\0" * 100000 + b"\nend\n")
elif kind == "escapes":
    put(b"\x1b[2J\x1b]0;title\x07\x9b31m\xc2\x9b31m\xe2\x80\xaetext\r\x08\x7f\n")

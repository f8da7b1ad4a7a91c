# SPDX-License-Identifier: Apache-2.0
"""Opens files until it is refused, then says by which error and exits with 3."""
import guard

import errno
import os

kept = []
try:
    while True:
        kept.append(os.open("/dev/null", os.O_RDONLY))
except OSError as e:
    os.write(1, errno.errorcode[e.errno].encode() + b"\n")
os._exit(3)

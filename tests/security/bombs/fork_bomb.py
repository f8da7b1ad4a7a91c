# SPDX-License-Identifier: Apache-2.0
"""Forks until it is refused. The children never end by themselves; the first process does,
with the error, unless the last argument is "forever"."""
import guard

import os
import sys
import time

first = os.getpid()
while True:
    try:
        os.fork()
    except OSError:
        if sys.argv[-1] == "forever":
            continue
        if os.getpid() == first:
            raise
        time.sleep(3600)

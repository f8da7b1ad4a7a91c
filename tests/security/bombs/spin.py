# SPDX-License-Identifier: Apache-2.0
"""Uses every processor without end, and ignores all requests to stop."""
import guard

import os
import signal

for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
for _ in range(3):
    os.fork()
while True:
    pass

# SPDX-License-Identifier: Apache-2.0
"""Starts threads until it is refused."""
import guard

import threading
import time

while True:
    threading.Thread(target=time.sleep, args=(3600,), daemon=True).start()

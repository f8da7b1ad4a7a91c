#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""hostile_client.py SOCKET IMAGE [PREFIX]: speaks to the control socket as sandboxctl never would.

Each case of clients/, or those with this prefix, prints one JSON line for judge.py. After each the
daemon must still answer "version" to a new client within its time, else the case's result is
"daemon gone".
"""
import json
import sys

# Each module adds its cases to the list when it is imported, in this order.
from clients import frames, fields, descriptors, holding, archives  # noqa: F401
from clients.wire import CASES, alive


def main():
    only = sys.argv[3] if len(sys.argv) > 3 else ""
    for name, want, function in CASES:
        if not name.startswith(only):
            continue
        try:
            result = function()
        except OSError as e:
            result = type(e).__name__
        if not alive():
            result = "daemon gone"
        line = {"probe": name, "result": result, "want": want, "control": "*"}
        print(json.dumps(line), flush=True)


if __name__ == "__main__":
    main()

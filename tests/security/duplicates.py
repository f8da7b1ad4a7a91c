#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""duplicates.py FILE COUNT: each line is a JSON object of draws; no name has one value twice.

"clock" is compared with this machine's own instead: no clone's may be from before
NOT_BEFORE (the environment) or from the future.
"""
import json
import os
import sys
import time


def main():
    path, count = sys.argv[1], int(sys.argv[2])
    with open(path, encoding="utf-8") as f:
        lines = [json.loads(line) for line in f]
    wrong = 0
    if len(lines) != count:
        print("%d lines, wanted %d" % (len(lines), count))
        wrong += 1
    start, now = float(os.environ["NOT_BEFORE"]), time.time()
    for name in sorted(lines[0]):
        values = [line[name] for line in lines]
        if name == "clock":
            off = [v for v in values if not start - 2 <= v <= now + 2]
            if off:
                print("clock: %d readings are off" % len(off))
                wrong += 1
        elif len(set(values)) != len(values):
            print("%s: %d of %d draws are not unique" % (
                name, len(values) - len(set(values)), len(values)))
            wrong += 1
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())

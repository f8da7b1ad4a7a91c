# Says what it was given.
import os
import sys

with open(sys.argv[sys.argv.index("-payload") + 1]) as f:
    print("payload", f.read())
print("attempt", os.environ.get("TASK_ATTEMPT"))

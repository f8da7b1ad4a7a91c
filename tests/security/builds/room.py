# SPDX-License-Identifier: Apache-2.0
"""Takes all the room that it gets below /usr/local. room.py bytes|unnamed|files|links|holes|deep."""
import os
import sys

HERE = "/usr/local/room"
LOTS = 1 << 20


def data():
    with open("%s/data" % HERE, "wb", buffering=0) as out:
        while True:
            out.write(bytes(LOTS))


def unnamed():
    out = os.open(HERE, os.O_RDWR | os.O_TMPFILE) if hasattr(os, "O_TMPFILE") else None
    while True:
        os.write(out, bytes(LOTS))


def files():
    for i in range(LOTS):
        open("%s/%d" % (HERE, i), "w").close()


def links():
    open(HERE + "/one", "w").close()
    for i in range(20000):
        os.link(HERE + "/one", "%s/link-%d" % (HERE, i))


def holes():
    with open(HERE + "/hole", "w") as out:
        out.truncate(1 << 40)


def deep():
    os.chdir(HERE)
    for _ in range(100):
        os.mkdir("d")
        os.chdir("d")


os.mkdir(HERE)
try:
    globals()[sys.argv[1]]()
except OSError as error:
    sys.exit("room: %s" % error)

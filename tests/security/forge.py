#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""forge.py FOLDER EDIT...: changes a checkpoint and seals it again, as if it had been dumped so.

An EDIT is FILE:PATH=VALUE: in the image FILE (core-2, files, mm-2, ...) the field at PATH becomes
VALUE. PATH is numbers of fields with dots between, as CRIU's images/*.proto has them. Of many
messages it is the first that has TEXT in it, where PATH begins with [TEXT]; of a repeated field N the
first, or with N#I the one of this index. VALUE is Python's: a number, a text, numbers in a list for a repeated
field, or None for no such field.
"""
import ast
import hashlib
import os
import re
import struct
import sys

FILE = struct.Struct("=64sQ32s")
FILES_MAX = 64
SELF = 32


def read_varint(data, at):
    value = shift = 0
    while True:
        value |= (data[at] & 0x7F) << shift
        shift += 7
        at += 1
        if not data[at - 1] & 0x80:
            return value, at


def varint(value):
    value &= (1 << 64) - 1
    out = bytearray()
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes(out + bytes([value]))


def fields(data):
    """[number, type, value] of each, where a value is a number or bytes."""
    found, at = [], 0
    while at < len(data):
        key, at = read_varint(data, at)
        kind = key & 7
        if kind == 0:
            value, at = read_varint(data, at)
        else:
            size = {1: 8, 5: 4}.get(kind)
            if size is None:
                size, at = read_varint(data, at)
            value, at = data[at:at + size], at + size
        found.append([key >> 3, kind, value])
    return found


def message(found):
    out = b""
    for number, kind, value in found:
        out += varint(number << 3 | kind)
        if kind == 0:
            out += varint(value)
        else:
            out += (varint(len(value)) if kind == 2 else b"") + value
    return out


def change(data, path, value):
    number, index = path[0]
    found = fields(data)
    if path[1:]:
        field = [field for field in found if field[0] == number][index]
        field[2] = change(field[2], path[1:], value)
        return message(found)
    at = min([i for i, f in enumerate(found) if f[0] == number], default=len(found))
    found = [f for f in found if f[0] != number]
    values = value if isinstance(value, list) else [] if value is None else [value]
    found[at:at] = [[number, 0, v] if isinstance(v, int) else [number, 2, v.encode()] for v in values]
    return message(found)


def edit(folder, what):
    name, path, value = re.fullmatch(r"([a-z0-9-]+):([^=]+)=(.*)", what).groups()
    text, path = re.fullmatch(r"(?:\[([^]]*)\])?(.*)", path).groups()
    text = (text or "").encode()
    path = [(int(number), int(index or 0)) for number, index in re.findall(r"([0-9]+)(?:#([0-9]+))?", path)]
    name = "%s/%s.img" % (folder, name)
    with open(name, "rb") as f:
        data = f.read()
    # Two magic numbers, then messages, each with its length before it.
    out, at, done = data[:8], 8, False
    while at < len(data):
        size = struct.unpack_from("=I", data, at)[0]
        one = data[at + 4:at + 4 + size]
        at += 4 + size
        if not done and text in one:
            one, done = change(one, path, ast.literal_eval(value)), True
        out += struct.pack("=I", len(one)) + one
    if not done:
        sys.exit("no message for %s" % what)
    with open(name, "wb") as f:
        f.write(out)


def seal(folder):
    name = folder + "/manifest"
    with open(name, "rb") as f:
        data = bytearray(f.read())
    first = len(data) - SELF - FILES_MAX * FILE.size
    for i in range(struct.unpack_from("=I", data, 8)[0]):
        of, _, _ = FILE.unpack_from(data, first + i * FILE.size)
        with open("%s/%s" % (folder, of.rstrip(b"\0").decode()), "rb") as f:
            content = f.read()
        FILE.pack_into(data, first + i * FILE.size, of, len(content), hashlib.sha256(content).digest())
    data[-SELF:] = hashlib.sha256(data[:-SELF]).digest()
    with open(name, "wb") as f:
        f.write(data)


if __name__ == "__main__":
    for words in sys.argv[2:]:
        edit(sys.argv[1], words)
    seal(os.path.abspath(sys.argv[1]))

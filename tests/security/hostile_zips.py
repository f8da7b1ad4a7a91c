# SPDX-License-Identifier: Apache-2.0
"""Makes zips to upload, good and hostile, beside a table of what must become of them.

    hostile_zips.py FOLDER

writes FOLDER/NAME.zip and FOLDER/table: a line "NAME<TAB>WORDS" for each, where WORDS must be
in the refusal, or are "ok". The good ones are in the forms of the usual tools.
"""

import io
import os
import stat
import struct
import sys
import zipfile
import zlib

WORKER = b"print('it runs')\n"


class Pipe(io.RawIOBase):
    """A file in which one cannot seek, so that zipfile writes lengths behind the content."""

    def __init__(self):
        super().__init__()
        self.data = b""

    def writable(self):
        return True

    def write(self, data):
        self.data += bytes(data)
        return len(data)


def member(name, mode=0o100644, system=3):
    info = zipfile.ZipInfo(name)
    info.external_attr = mode << 16
    info.create_system = system
    info.compress_type = zipfile.ZIP_DEFLATED
    return info


def pack(*members, file=None, comment=b""):
    """members: (name or ZipInfo, content); worker.py comes first."""
    out = file or io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as z:
        z.comment = comment
        z.writestr(member("worker.py"), WORKER)
        for name, content in members:
            z.writestr(name, content)
    return out.data if file else out.getvalue()


def raw(members, count=None):
    """members: (name, content, how it lies); stored, without extra fields."""
    body, directory = b"", b""
    for name, content, lie in members:
        at = lie.get("at", len(body))
        crc = lie.get("crc", zlib.crc32(content))
        size = lie.get("size", len(content))
        head = struct.pack("<HHHHHIII", 20, lie.get("flags", 0), lie.get("method", 0), 0, 0, crc, size,
                           lie.get("unpacked", size))
        local = lie.get("local", name)
        if "at" not in lie:
            body += b"PK\3\4" + head + struct.pack("<HH", len(local), 0) + local + content
        directory += (b"PK\1\2" + struct.pack("<H", 3 << 8 | 20) + head +
                      struct.pack("<HHHHHII", len(name), 0, 0, lie.get("disk", 0), 0,
                                  0o100644 << 16, at) + name)
    n = len(members) if count is None else count
    return (body + directory + b"PK\5\6" +
            struct.pack("<HHHHIIH", 0, 0, n, n, len(directory), len(body), 0))


def many(n):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as z:
        z.writestr(member("worker.py"), WORKER)
        for i in range(n):
            z.writestr(zipfile.ZipInfo(str(i)), b"")
    return out.getvalue()


def fifield(n):
    """n entries whose content is one and the same: each one's header is quoted by none."""
    content = bytes(1 << 20)
    lies = [(b"worker.py", WORKER, {}), (b"a", content, {})]
    at = 30 + len(b"worker.py") + len(WORKER)
    return raw(lies + [(b"a", content, {"at": at})] * n)


def good():
    yield "python", pack(("data/x.txt", "x"), ("grüße.txt", "y"))
    late = Pipe()
    yield "streamed", pack(("x", "x" * 1000), file=late)
    yield "comment", pack(comment=b"a commit's hash")
    yield "folder", pack((member("d/", 0o40755), b""), (member("d/run.sh", 0o100755), b"true"))
    yield "link", pack((member("d/link", stat.S_IFLNK | 0o777), b"../worker.py"))
    yield "nested", pack(("inner.zip", pack()))
    yield "windows", pack((member("x.txt", 0, 0), b"x"))
    yield "stored", raw([(b"worker.py", WORKER, {})])
    yield "cp437", raw([(b"worker.py", WORKER, {}), (b"gr\x81\xe1e", b"x", {})])


def hostile():
    one = (b"worker.py", WORKER, {})
    link = stat.S_IFLNK | 0o777
    whole = pack()
    yield "absolute", pack(("/etc/x", "x")), "/etc/x: an absolute path"
    yield "dotdot", pack(("../x", "x")), '../x: ".." is not allowed'
    yield "dotdot-inside", pack(("a/../../x", "x")), 'a/../../x: ".." is not allowed'
    yield "back-slash", pack(("..\\x", "x")), "a back slash"
    yield "link-out", pack((member("l", link), b"../../etc")), "l: a symbolic link leads out"
    yield "link-absolute", pack((member("l", link), b"/etc")), "l: a symbolic link must be relative"
    yield "link-then-file", pack((member("d", link), b"."), ("d/x", "x")), "not a folder"
    yield "device", pack((member("null", stat.S_IFCHR | 0o666), b"")), "null: only files, folders"
    yield "fifo", pack((member("f", stat.S_IFIFO | 0o666), b"")), "f: only files, folders"
    yield "setuid", pack((member("s", 0o104755), b"x")), "s: set-user-id"
    yield "case", pack(("Read", "1"), ("READ", "2")), "differ in their case"
    yield "twice", raw([one, one]), "worker.py: it is there twice"
    yield "file-as-folder", pack(("worker.py/x", "x")), "worker.py/x: it lies in"
    yield "encrypted", raw([one, (b"x", b"secret secret", {"flags": 1})]), "x: it is encrypted"
    yield "lzma", raw([one, (b"x", b"x", {"method": 14})]), "x: it is not compressed by deflate"
    yield "split", raw([one, (b"x", b"x", {"disk": 1})]), "x: it lies in another part"
    yield "nul", raw([one, (b"a\0b", b"x", {})]), "the name has a NUL"
    yield "not-utf8", raw([one, (b"gr\x81\xe1e", b"x", {"flags": 0x800})]), "the name is not UTF-8"
    yield "two-names", raw([one, (b"x", b"x", {"local": b"y"})]), "x: it has two names"
    yield "bomb", pack(("zeros", bytes(128 << 20))), "zeros: it is a zip bomb"
    yield "overlap", fifield(50), "a: it overlaps"
    yield "lying-short", raw([one, (b"x", b"12345678", {"size": 4})]), "x: "
    yield "lying-long", raw([one, (b"x", b"1234", {"size": 4000})]), "x: it is cut short"
    yield "lying-unpacked", raw([one, (b"x", b"1234", {"unpacked": 8})]), "x: its lengths are wrong"
    yield "crc", raw([one, (b"x", b"1234", {"crc": 1})]), "x: the archive is damaged here"
    yield "count", raw([one], count=2), "its directory is damaged"
    yield "many", many(100001), "more than 100000 entries"
    yield "prefix", b"#!/bin/sh\n" + whole, "something stands before"
    yield "garbage", whole + b"garbage", "something after its end"
    yield "cut", whole[:-1], "cut short"
    yield "half", whole[: len(whole) // 2], "cut short"
    yield "empty", raw([]), "nothing is in it"
    yield "tar", b"worker.py".ljust(512, b"\0"), "it is no zip"


def main():
    folder = sys.argv[1]
    with open(os.path.join(folder, "table"), "w", encoding="utf-8") as table:
        for name, data, *words in [*good(), *hostile()]:
            with open(os.path.join(folder, name + ".zip"), "wb") as f:
                f.write(data)
            table.write(f"{name}\t{words[0] if words else 'ok'}\n")


main()

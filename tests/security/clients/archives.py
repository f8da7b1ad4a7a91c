# SPDX-License-Identifier: Apache-2.0
"""Packages of a run that lead out of their folder, have wrong lengths, or unpack to too much."""
import io
import os
import tarfile
import zlib

from clients.wire import CASES, RUN, ask, verdict


def entry(name, kind=tarfile.REGTYPE, data=b"", link="", mode=0o644):
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.mode, info.size = kind, link, mode, len(data)
    return info, data


def archive(*entries):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, data in entries:
            tar.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


MAIN = entry("x.py", data=b"print('ran')\n")
HUGE = tarfile.TarInfo("huge")
HUGE.size = 1 << 40
LIE = tarfile.TarInfo("lie")
LIE.size = 1 << 20


def lying(info):
    """A header that says more bytes follow than do."""
    return archive(MAIN)[:1024] + info.tobuf(tarfile.GNU_FORMAT) + b"short"


def gzip_bomb():
    """3 GiB of zeros. After a full flush the same bytes are compressed to the same ones, so one piece does for
    all; the checksum at the end is missing, to which nobody may come."""
    member = entry("zeros", data=b"")[0]
    member.size = 3 << 30
    out = zlib.compressobj(1, wbits=31)
    head = out.compress(archive(MAIN)[:1024] + member.tobuf(tarfile.GNU_FORMAT)) + out.flush(zlib.Z_FULL_FLUSH)
    return head + (out.compress(bytes(1 << 20)) + out.flush(zlib.Z_FULL_FLUSH)) * (3 << 10)


MARK = "hostile-client-mark"
ARCHIVES = {
    "absolute": lambda: archive(MAIN, entry("/tmp/" + MARK, data=b"x")),
    "dotdot": lambda: archive(MAIN, entry("../../../../../../tmp/" + MARK, data=b"x")),
    "dotdot-inside": lambda: archive(MAIN, entry("a/../../../../../tmp/" + MARK, data=b"x")),
    "symlink-absolute": lambda: archive(MAIN, entry("l", tarfile.SYMTYPE, link="/etc/passwd")),
    "symlink-dotdot": lambda: archive(MAIN, entry("l", tarfile.SYMTYPE, link="../../../etc")),
    "symlink-then-file": lambda: archive(
        MAIN, entry("l", tarfile.SYMTYPE, link="/tmp"), entry("l/" + MARK, data=b"x")
    ),
    "symlink-chain": lambda: archive(
        MAIN,
        entry("a", tarfile.SYMTYPE, link="."),
        entry("a/b", tarfile.SYMTYPE, link=".."),
        entry("a/b/c", tarfile.SYMTYPE, link=".."),
        entry("a/b/c/" + MARK, data=b"x"),
    ),
    "hardlink": lambda: archive(MAIN, entry("h", tarfile.LNKTYPE, link="/etc/passwd")),
    "hardlink-dotdot": lambda: archive(
        MAIN, entry("h", tarfile.LNKTYPE, link="../../../../etc/passwd")
    ),
    "char-device": lambda: archive(MAIN, entry("d", tarfile.CHRTYPE)),
    "block-device": lambda: archive(MAIN, entry("d", tarfile.BLKTYPE)),
    "fifo": lambda: archive(MAIN, entry("f", tarfile.FIFOTYPE)),
    "case-clash": lambda: archive(MAIN, entry("X.PY", data=b"print('other')\n")),
    "entries": lambda: archive(MAIN, *(entry("n%d" % n) for n in range(150000))),
    "lying-huge": lambda: lying(HUGE),
    "lying-short": lambda: lying(LIE),
    "truncated": lambda: archive(MAIN)[:700],
    "garbage": lambda: os.urandom(100000),
    "empty": lambda: b"",
    "gzip-bomb": gzip_bomb,
    "file-then-folder": lambda: archive(MAIN, entry("x.py/y.py", data=b"x")),
    "name-nul-newline": lambda: archive(MAIN, entry("a\nb\x1b[31m", data=b"x")),
    "long-name": lambda: archive(MAIN, entry("n" * 5000, data=b"x")),
    "long-path": lambda: archive(MAIN, entry("/".join(["d" * 200] * 40), data=b"x")),
}
# These are unusual, yet harmless where they are: taken or refused, as long as nothing is made.
MAY = {"name-nul-newline", "case-clash", "gzip-bomb", "fifo"}


def send_archive(make):
    def run():
        fd = os.memfd_create("package")
        with os.fdopen(fd, "w+b") as f:
            f.write(make())
            f.flush()
            f.seek(0)
            reply = ask(dict(RUN, package=True, log=False), [f.fileno()])
        if os.path.lexists("/tmp/" + MARK):
            os.unlink("/tmp/" + MARK)
            return "escaped"
        return verdict(reply)

    return run


for _name, _make in ARCHIVES.items():
    _want = "refused closed ok" if _name in MAY else "refused closed"
    CASES.append(("archive:" + _name, _want, send_archive(_make)))
CASES.append(
    (
        "archive:setuid",  # taken, without its bits (the driver looks at the file)
        "ok refused",
        send_archive(lambda: archive(MAIN, entry("suid", data=b"#!/bin/sh\n", mode=0o6777))),
    )
)
CASES.append(("archive:good", "ok", send_archive(lambda: archive(MAIN))))

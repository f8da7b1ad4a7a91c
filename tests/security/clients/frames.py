# SPDX-License-Identifier: Apache-2.0
"""What is not a request: frames with wrong lengths, clients that hang up, texts that are not JSON."""
import struct

from clients.wire import CASES, FRAME_MAX, TASK, connect, frame, simple

simple("frame:huge", struct.pack("<I", 0xFFFFFFFF) + b"{}", raw=True)
simple("frame:over", struct.pack("<I", FRAME_MAX + 1) + b"{}", raw=True)
simple("frame:zero", struct.pack("<I", 0), raw=True)
simple("frame:negative", struct.pack("<i", -1), raw=True)
simple("frame:largest-garbage", b"\xff" * FRAME_MAX)
simple("frame:largest-spaces", b" " * FRAME_MAX)


def hang_up(data):
    def run():
        for _ in range(50):
            sock = connect()
            if data:
                sock.send(data)
            sock.close()
        return "sent"

    return run


CASES.append(("early-close:nothing", "sent", hang_up(b"")))
CASES.append(("early-close:half-length", "sent", hang_up(b"\x10\0")))
CASES.append(("early-close:half-body", "sent", hang_up(struct.pack("<I", 1000) + b"{")))
CASES.append(("early-close:before-answer", "sent", hang_up(frame({"op": "ps", "all": True}))))
CASES.append(
    ("early-close:run", "sent", hang_up(frame({"op": "run", "image": "no-such", "task": TASK})))
)

# JSON.
for _name, _text in {
    "not-json": b"hello",
    "array": b"[]",
    "number": b"1",
    "null": b"null",
    "string": b'"version"',
    "empty-object": b"{}",
    "trailing": b'{"op":"version"} x',
    "two": b'{"op":"version"}{"op":"version"}',
    "truncated": b'{"op":"version"',
    "duplicate": b'{"op":"version","op":"ps"}',
    "nul-raw": b'{"op":"ver\0sion"}',
    "nul-escaped": b'{"op":"version\\u0000"}',
    "nul-after": b'{"op":"version"}\0',
    "bad-utf8": b'{"op":"\xff\xfe"}',
    "overlong-utf8": b'{"op":"\xc0\xafversion"}',
    "surrogate": b'{"op":"\\ud800"}',
    "deep-arrays": b'{"op":' + b"[" * 100000 + b"]" * 100000 + b"}",
    "deep-objects": b'{"a":' * 100000 + b"1" + b"}" * 100000,
    "deep-open": b"[" * 1000000,
    "huge-integer": b'{"op":"version","tag":' + b"9" * 100000 + b"}",
    "huge-real": b'{"op":"version","tag":1e99999}',
    "nan": b'{"op":"version","tag":NaN}',
    "long-key": b'{"op":"version","' + b"k" * 1000000 + b'":1}',
    "many-keys": b'{"op":"version",' + b",".join(b'"k%d":1' % n for n in range(100000)) + b"}",
    "op-number": b'{"op":1}',
    "op-null": b'{"op":null}',
    "op-unknown": b'{"op":"reboot"}',
    "op-case": b'{"op":"Version"}',
    "key-unknown": b'{"op":"version","force":true}',
}.items():
    simple("json:" + _name, _text)

"""The frames between an instance and the front, and what is asked again after the front was started anew."""

import asyncio
import random
import socket
import unittest

import http_rig
from http_rig import run, until
from _sandboxd_http.control import (HEADER_IN_MAX, HEADER_MAX, PIECE_MAX, WINDOW, AskError, Control, FrameError, Reader,
                                     encode, lengths, shortened)


class Front:
    """The front's end of the channel."""

    def __init__(self, sock):
        self.sock = sock
        self.reader = Reader()
        self.frames = []

    @classmethod
    async def of(cls, control):
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        theirs.setblocking(False)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.connect_accepted_socket(asyncio.Protocol, theirs)
        control.attach(transport)
        return cls(ours)

    async def frame(self):
        while not self.frames:
            data = await asyncio.get_running_loop().sock_recv(self.sock, 65536)
            if not data:
                raise AssertionError("the channel has ended")
            self.frames = self.reader.feed(data)
        return self.frames.pop(0)

    async def send(self, header, body=b""):
        await asyncio.get_running_loop().sock_sendall(self.sock, encode(header, body))


class ReaderTest(unittest.TestCase):

    def test_frames_cut_anywhere(self):
        data = encode({"op": "hello", "secrets": {"A": "ü"}}) + encode({"op": "answer", "id": 1}, b"body") * 2
        seeded = random.Random(3)
        for _ in range(200):
            cuts = sorted(seeded.randrange(len(data) + 1) for _ in range(4))
            reader = Reader()
            frames = []
            for begin, end in zip([0] + cuts, cuts + [len(data)]):
                frames += reader.feed(data[begin:end])
            self.assertEqual([header["op"] for header, _ in frames], ["hello", "answer", "answer"])
            self.assertEqual([body for _, body in frames], [b"", b"body", b"body"])

    def test_what_is_no_frame_is_refused(self):
        for data in (lengths.pack(HEADER_IN_MAX + 1, 0), lengths.pack(2, 1 << 30), lengths.pack(2, 0) + b"[]",
                     lengths.pack(2, 0) + b"{}", lengths.pack(1, 0) + b"{", lengths.pack(8, 0) + b'{"op":1}'):
            with self.assertRaises(FrameError):
                Reader().feed(data)
        with self.assertRaises(FrameError):
            encode({"op": "x" * HEADER_MAX})

    def test_what_the_front_would_not_read_is_not_sent(self):
        for value, why in (("a\0b", "NUL"), (1 << 63, "too large"), (-(1 << 63) - 1, "too large"), (float("nan"), "none"),
                           (float("inf"), "none"), ([["x", "\0"]], "NUL"), ({"a": {"\0": 1}}, "NUL"), ((1, "\0"), "NUL")):
            with self.assertRaisesRegex(FrameError, why):
                encode({"op": "ask", "key": value})
        for value in ("\\u0000", "\ud800", (1 << 63) - 1, -(1 << 63), True, None, 1.5, [], {}):
            Reader().feed(encode({"op": "ask", "key": value}))

    def test_long_texts_are_cut(self):
        header = shortened({"op": "failed", "message": "\x01" * 100000, "traceback": "x" * 100000 + "end", "line": 5})
        found, _ = Reader().feed(encode(header))[0]
        self.assertTrue(found["traceback"].endswith("end"))
        self.assertEqual(found["line"], 5)


async def in_pieces(count, size, ended):
    """A body of pieces; `ended` gets what it was when it is over."""
    made = 0
    try:
        for made in range(1, count + 1):
            yield bytes(size)
    finally:
        ended.append(made)


class PiecesTest(unittest.TestCase):

    def test_an_answer_comes_as_it_is_read(self):
        async def main():
            control = Control(asyncio.get_running_loop(), None)
            front = await Front.of(control)
            answer = control.ask("S", "fetch", http={})
            await front.frame()
            await front.send({"op": "answer", "id": 1, "ok": True, "status": 200, "stream": True}, b"one")
            header, body = await answer
            self.assertEqual(header["status"], 200)
            self.assertEqual(await body.read(), b"one")
            self.assertEqual((await front.frame())[0], {"op": "took", "id": 1, "bytes": 3})
            waits = asyncio.ensure_future(body.read())
            await asyncio.sleep(0)
            self.assertFalse(waits.done())
            await front.send({"op": "piece", "id": 1}, b"two")
            self.assertEqual(await waits, b"two")
            self.assertEqual((await front.frame())[0], {"op": "took", "id": 1, "bytes": 3})
            await front.send({"op": "piece", "id": 1, "last": True}, b"three")
            self.assertEqual([await body.read(), await body.read()], [b"three", b""])
            # What is over is not given up, and another number is nobody's.
            del body, answer
            await front.send({"op": "piece", "id": 1}, b"late")
            control.ask("S", "fetch")
            self.assertEqual((await front.frame())[0]["op"], "ask")
        run(main())

    def test_an_answer_that_breaks_off_or_is_let_go_of(self):
        async def main():
            control = Control(asyncio.get_running_loop(), None)
            front = await Front.of(control)
            bodies = []
            for number in range(1, 5):
                answer = control.ask("S", "fetch")
                await front.frame()
                await front.send({"op": "answer", "id": number, "ok": True, "stream": True}, b"x")
                bodies.append((await answer)[1])
            del answer
            await front.send({"op": "piece", "id": 1, "broken": "in the middle"})
            self.assertEqual(await bodies[0].read(), b"x")
            with self.assertRaisesRegex(AskError, "in the middle"):
                await bodies[0].read()
            await front.frame()
            bodies[1].close()
            self.assertEqual((await front.frame())[0], {"op": "cancel", "id": 2})
            del bodies[2]
            self.assertEqual((await front.frame())[0], {"op": "cancel", "id": 3})
            # Who asked does not wait any more.
            answer = control.ask("S", "fetch")
            await front.frame()
            answer.cancel()
            await front.send({"op": "answer", "id": 5, "ok": True, "stream": True}, b"x")
            self.assertEqual((await front.frame())[0], {"op": "cancel", "id": 5})
            front.sock.close()
            self.assertEqual(await bodies[2].read(), b"x")
            with self.assertRaisesRegex(AskError, "restarted"):
                await bodies[2].read()
        run(main())

    def test_a_body_goes_no_faster_than_it_is_taken(self):
        async def main():
            control = Control(asyncio.get_running_loop(), None)
            front = await Front.of(control)
            ended = []
            answer = control.ask("S", "fetch", b"", in_pieces(10, PIECE_MAX + 1, ended))
            self.assertEqual((await front.frame())[0]["op"], "ask")
            size = 0
            while size < WINDOW - PIECE_MAX:
                header, body = await front.frame()
                self.assertEqual(header, {"op": "piece", "id": 1})
                self.assertLessEqual(len(body), PIECE_MAX)
                size += len(body)
            for _ in range(100):
                await asyncio.sleep(0)
            ahead = control.uploads[1].ahead
            self.assertTrue(WINDOW - PIECE_MAX <= ahead <= WINDOW, ahead)
            self.assertEqual(ended, [])
            taken = 0
            while header.get("last") is not True:
                if size > taken:
                    await front.send({"op": "took", "id": 1, "bytes": size - taken})
                    taken = size
                header, body = await front.frame()
                size += len(body)
            self.assertEqual((size, ended), (10 * (PIECE_MAX + 1), [10]))
            await front.send({"op": "answer", "id": 1, "ok": True}, b"all")
            self.assertEqual((await answer)[1], b"all")
            # One that is answered before it was whole, and one that breaks off.
            answer = control.ask("S", "fetch", b"", in_pieces(1000, PIECE_MAX, ended))
            await front.frame()
            await front.send({"op": "answer", "id": 2, "ok": False, "message": "no"})
            with self.assertRaisesRegex(AskError, "no"):
                await answer
            await until(lambda: len(ended) == 2)
            self.assertEqual(control.uploads, {})

            async def breaks():
                yield b"some"
                raise ValueError("of the body's own")
            answer = control.ask("S", "fetch", b"", breaks())
            with self.assertRaisesRegex(ValueError, "of the body's own"):
                await answer
            header = {}
            while "broken" not in header:
                header, _ = await front.frame()
            self.assertEqual(header["id"], 3)
        run(main())


class ControlTest(unittest.TestCase):

    def test_what_cannot_be_sent_is_an_error_or_is_sent_without_it(self):
        async def main():
            control = Control(asyncio.get_running_loop(), lambda *_: None)
            front = await Front.of(control)
            for values in ({"key": "a\0"}, {"key": "a", "time_ms": 1 << 70}, {"http": {"headers": [["A", "\0"]]}}):
                with self.assertRaisesRegex(AskError, r"KV.get\(\): a (text|number) .* cannot be sent"):
                    await control.ask("KV", "get", **values)
            self.assertTrue(control.idle())
            control.send({"op": "event", "logs": [{"text": "a\0b" * 10, "ms": float("inf"), "n": 1 << 80}], "\0": 1})
            header, _ = await front.frame()
            self.assertEqual(header, {"op": "event", "logs": [{"text": "a\ufffdb" * 10, "ms": None, "n": None}], "\ufffd": 1})
            control.send({"op": "failed", "message": "\0" * 100000})
            header, _ = await front.frame()
            self.assertTrue(header["message"].startswith("\ufffd"))

        run(main())

    def test_asks_and_answers(self):
        async def main():
            control = Control(asyncio.get_running_loop(), lambda *_: None)
            early = control.ask("KV", "get", key="early")   # there is no front yet
            front = await Front.of(control)
            self.assertEqual((await front.frame())[0],
                             {"op": "ask", "id": 1, "binding": "KV", "method": "get", "key": "early"})
            late = control.ask("KV", "put", b"value", key="late")
            header, body = await front.frame()
            self.assertEqual((header["id"], body), (2, b"value"))
            await front.send({"op": "answer", "id": 99, "ok": True})
            await front.send({"op": "answer", "id": 2, "ok": False, "error": "TypeError", "message": "no"})
            await front.send({"op": "answer", "id": 1, "ok": True, "found": True}, b"found")
            self.assertEqual((await early)[1], b"found")
            with self.assertRaises(AskError) as caught:
                await late
            self.assertEqual((caught.exception.kind, str(caught.exception)), ("TypeError", "no"))
            self.assertTrue(control.idle())
            front.sock.close()
        run(main())

    def test_no_more_are_outstanding_than_the_front_takes(self):
        async def main():
            control = Control(asyncio.get_running_loop(), lambda *_: None)
            front = await Front.of(control)
            futures = [control.ask("KV", "get", key=str(number)) for number in range(100)]
            numbers = [(await front.frame())[0]["id"] for _ in range(64)]
            self.assertEqual(len(control.asked), 64)
            for number in numbers:
                await front.send({"op": "answer", "id": number, "ok": True})
            for _ in range(36):
                await front.send({"op": "answer", "id": (await front.frame())[0]["id"], "ok": True})
            await asyncio.gather(*futures)
            front.sock.close()
        run(main())

    def test_a_new_front_is_asked_again_what_can_be_asked_twice(self):
        async def main():
            control = Control(asyncio.get_running_loop(), lambda *_: None)
            front = await Front.of(control)
            asks = [control.ask("KV", "put", b"1", key="a"), control.ask("LIMIT", "limit", key="x"),
                    control.ask("KV", "get", key="b")]
            for _ in range(3):
                await front.frame()
            front.sock.close()
            await until(lambda: control.transport is None)
            with self.assertRaisesRegex(AskError, "LIMIT.limit"):
                await asks[1]
            front = await Front.of(control)
            self.assertEqual([(await front.frame())[0]["method"] for _ in range(2)], ["put", "get"])
            for number in 1, 3:
                await front.send({"op": "answer", "id": number, "ok": True})
            await asks[0]
            await asks[2]
            front.sock.close()
        run(main())

    def test_a_channel_that_makes_no_sense_ends_and_the_next_one_serves(self):
        async def main():
            lost, frames = [], []
            control = Control(asyncio.get_running_loop(), lambda header, _: frames.append(header), lost.append)
            front = await Front.of(control)
            await asyncio.get_running_loop().sock_sendall(front.sock, b"\xff" * 8)
            await until(lambda: lost)
            self.assertIsInstance(lost[0], FrameError)
            front.sock.close()
            front = await Front.of(control)
            await front.send({"op": "drain"})
            await until(lambda: frames)
            front.sock.close()
        run(main())


if __name__ == "__main__":
    unittest.main()

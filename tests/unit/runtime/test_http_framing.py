"""What the HTTP worker's parser accepts and what it refuses."""

import random
import re
import unittest

import http_rig  # noqa: F401, it puts the modules in sys.path
from _sandboxd_http.framing import Body, Head, Refused, find_head


def head_of(text):
    end = find_head(text)
    return None if end is None else Head(text[:end].split(b"\r\n"))


def refusal(text):
    """The status by which a head is refused, or None."""
    try:
        head_of(text)
    except Refused as refused:
        return refused.status
    return None


GET = b"GET / HTTP/1.1\r\nHost: a\r\n"


class HeadTest(unittest.TestCase):

    def test_fields_are_told_by_lower_names_without_blanks_around_values(self):
        head = head_of(b"POST /x?y=1 HTTP/1.1\r\nHOST:a:80\r\nX-One:  two \t\r\nx-one: three\r\ncontent-length: 12\r\n\r\n")
        self.assertEqual((head.method, head.target, head.minor, head.host), (b"POST", b"/x?y=1", 1, b"a:80"))
        self.assertEqual(head.fields[1:3], [(b"x-one", b"two"), (b"x-one", b"three")])
        self.assertEqual((head.length, head.keep), (12, True))

    def test_a_connection_stays_as_its_version_says(self):
        self.assertFalse(head_of(GET + b"Connection: Close\r\n\r\n").keep)
        self.assertFalse(head_of(GET + b"Connection: x, close\r\n\r\n").keep)
        self.assertFalse(head_of(b"GET / HTTP/1.0\r\n\r\n").keep)
        self.assertTrue(head_of(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").keep)

    def test_the_targets_authority_wins(self):
        head = head_of(b"GET http://b.example:81/p?q HTTP/1.1\r\nHost: a\r\n\r\n")
        self.assertEqual((head.host, head.target), (b"b.example:81", b"/p?q"))
        self.assertEqual(head_of(b"GET http://b?q HTTP/1.1\r\nHost: a\r\n\r\n").target, b"/?q")
        self.assertEqual(head_of(b"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n").target, b"*")

    def test_what_is_ambiguous_is_refused(self):
        for text, status in (
                (b"GET / HTTP/1.1\r\n\r\n", 400),                                # no Host
                (GET + b"Host: a\r\n\r\n", 400),
                (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
                (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
                (b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400),
                (GET + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\n", 400),
                (GET + b"Content-Length: 1, 1\r\n\r\n", 400),
                (GET + b"Content-Length: +1\r\n\r\n", 400),
                (GET + b"Content-Length: -1\r\n\r\n", 400),
                (GET + b"Content-Length: 0x1\r\n\r\n", 400),
                (GET + b"Content-Length: \r\n\r\n", 400),
                (GET + b"Content-Length: 1_0\r\n\r\n", 400),
                (GET + b"Content-Length: " + b"9" * 19 + b"\r\n\r\n", 400),
                (GET + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
                (GET + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
                (GET + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
                (GET + b"Transfer-Encoding: xchunked\r\n\r\n", 501),
                (b"GET / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
                (GET + b"Transfer-Encoding : chunked\r\n\r\n", 400),
                (GET + b" X: 1\r\n\r\n", 400),
                (GET + b"X: 1\r\n folded\r\n\r\n", 400),
                (GET + b"X: a\rb\r\n\r\n", 400),
                (GET + b"X: a\0b\r\n\r\n", 400),
                (GET + b"X: a\nY: b\r\n\r\n", 400),
                (GET + b": a\r\n\r\n", 400),
                (GET + b"no colon\r\n\r\n", 400),
                (GET + b"X\xe9: a\r\n\r\n", 400),
                (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
                (b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400),
                (b" GET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
                (b"GET /\tx HTTP/1.1\r\nHost: a\r\n\r\n", 400),
                (b"GET x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
                (b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
                (b"GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
                (b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
                (b"GET / http/1.1\r\nHost: a\r\n\r\n", 400),
                (b"GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400),
                (b"GET /\r\n\r\n", 400),
                (b"GET / HTTP/1.1\nHost: a\n\n", 400),
                (b"GET / HTTP/1.1\r\nHost: a\n", 400),                           # though it is not whole
                (b"PRI * HTTP/2.0\r\n\r\n", 505),
                (GET + b"Expect: 200-ok\r\n\r\n", 417),
                (GET + b"X: 1\r\n" * 300 + b"\r\n", 431),
                (GET + b"X: " + b"a" * 70000, 431),
                (GET + b"X: " + b"a" * 70000 + b"\r\n\r\n", 431)):
            with self.subTest(text=text[:80]):
                self.assertEqual(refusal(text), status)

    def test_what_is_not_whole_waits(self):
        text = GET + b"X: 1\r\n\r\n"
        for end in range(len(text) - 1):
            self.assertIsNone(head_of(text[:end]))

    def test_random_bytes_are_refused_or_are_what_the_rules_accept(self):
        """Whatever is accepted is of lines that end in CRLF, each of which the grammar has."""
        seeded = random.Random(20261201)
        pieces = [b"GET", b"POST", b" ", b"/", b"/a", b"HTTP/1.1", b"HTTP/1.0", b"\r\n", b"\n", b"\r", b":", b"Host: a",
                  b"Content-Length: 5", b"Transfer-Encoding: chunked", b"X", b"\0", b"\t", b"\xff", b"*", b"http://b/"]
        line = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+:[\t\x20-\x7e\x80-\xff]*")
        accepted = 0
        for _ in range(20000):
            text = GET[:seeded.choice((0, 0, 4, 16, len(GET)))]
            text += b"".join(seeded.choice(pieces) if seeded.random() < 0.9 else bytes([seeded.randrange(256)])
                             for _ in range(seeded.randrange(12))) + seeded.choice((b"\r\n\r\n", b"\r\n", b""))
            try:
                head = head_of(text)
            except Refused as refused:
                self.assertIn(refused.status, (400, 417, 431, 501, 505))
                continue
            if head is None:
                self.assertNotIn(b"\r\n\r\n", text)
                continue
            accepted += 1
            lines = text[:text.index(b"\r\n\r\n")].split(b"\r\n")
            self.assertRegex(lines[0], rb"^[!-~]+ [\x21-\xff]+ HTTP/1\.[0-9]$")
            for each in lines[1:]:
                self.assertTrue(line.fullmatch(each), text)
            lengths = [each for each in lines[1:] if each.lower().startswith(b"content-length:")]
            codings = [each for each in lines[1:] if each.lower().startswith(b"transfer-encoding:")]
            self.assertLessEqual(len(lengths) + len(codings), 1, text)
        self.assertGreater(accepted, 50)


def feed(length, pieces):
    """What a body's reader makes of the pieces: (body, rest, whether it is done)."""
    body = Body(length)
    out = []
    rest = b""
    for at, piece in enumerate(pieces):
        taken, rest = body.feed(piece)
        out.append(taken)
        if body.done:
            rest += b"".join(pieces[at + 1:])
            break
    return b"".join(out), rest, body.done


class BodyTest(unittest.TestCase):

    CHUNKED = b"5\r\nhello\r\n6;x=\"y\"\r\n world\r\n0\r\nX-Trailer: 1\r\n\r\nGET"

    def test_a_length(self):
        self.assertEqual(feed(5, [b"he", b"lloGET"]), (b"hello", b"GET", True))
        self.assertEqual(feed(5, [b"hell"]), (b"hell", b"", False))

    def test_chunks_cut_anywhere(self):
        for cut in range(len(self.CHUNKED)):
            got = feed(None, [self.CHUNKED[:cut], self.CHUNKED[cut:]])
            self.assertEqual(got, (b"hello world", b"GET", True))
        self.assertEqual(feed(None, [bytes([each]) for each in self.CHUNKED]), (b"hello world", b"GET", True))

    def test_bad_chunks_are_refused(self):
        for text in (b"\r\n", b"x\r\n", b"-1\r\n", b"+1\r\n", b"0x1\r\n", b" 1\r\n", b"1 \r\n", b"5\nhello",
                     b"5\r\nhelloX", b"5\r\nhello\n", b"5\r\nhello\r\r", b"5;\0\r\n", b"1" * 16 + b"\r\n",
                     b"5;" + b"x" * 2000, b"5;" + b"x" * 2000 + b"\r\n", b"0\r\nbad trailer\r\n", b"0\r\n folded: x\r\n",
                     b"0\r\n" + b"X: y\r\n" * 3000):
            with self.subTest(text=text[:40]):
                with self.assertRaises(Refused):
                    feed(None, [text])

    def test_random_chunks_are_read_as_they_were_written_and_garbled_ones_never_yield_more(self):
        seeded = random.Random(7)
        for _ in range(2000):
            parts = [seeded.randbytes(seeded.randrange(1, 40)) for _ in range(seeded.randrange(5))]
            text = b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
            cuts = sorted(seeded.randrange(len(text) + 1) for _ in range(3))
            pieces = [text[a:b] for a, b in zip([0] + cuts, cuts + [len(text)])]
            self.assertEqual(feed(None, pieces), (b"".join(parts), b"", True))
            garbled = bytearray(text)
            garbled[seeded.randrange(len(garbled))] = seeded.randrange(256)
            try:
                body, rest, _ = feed(None, [bytes(garbled)])
            except Refused:
                continue
            self.assertLessEqual(len(body) + len(rest), len(garbled))


if __name__ == "__main__":
    unittest.main()

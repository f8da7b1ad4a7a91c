"""The client that fetch() goes out by, against the server of the same package and against bad ones."""

import asyncio
import gc
import gzip
import socket
import unittest

from http_rig import run, until
from _sandboxd_http.client import Client
from _sandboxd_http.server import Server


async def body_of(answer):
    return b"".join([piece async for piece in answer.body]) if answer.body is not None else None


def with_server(handler, test):
    """Run `test(client, url, server)` with a server on loopback."""
    async def main():
        loop = asyncio.get_running_loop()
        server = Server(loop, handler)
        sock = socket.socket()
        sock.bind(("127.0.0.1", 0))
        await server.listen(sock)
        client = Client(loop)
        await test(client, "http://127.0.0.1:%d" % sock.getsockname()[1], server)
        client.close()
        await server.drain()
        await until(lambda: not server.connections)
    run(main())


def with_answers(answers, test):
    """Run `test(client, url)` with a server that says these bytes, one for each connection, and closes."""
    async def main():
        left = list(answers)

        async def serve(reader, writer):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(left.pop(0))
            writer.close()

        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        await test(Client(asyncio.get_running_loop()), "http://127.0.0.1:%d/" % server.sockets[0].getsockname()[1])
        server.close()
    run(main())


async def handler(exchange):
    path = exchange.target
    if path == "/echo":
        data = await exchange.read_all()
        exchange.respond(200, [(b"x-fields", repr(sorted(exchange.fields)).encode())],
                         exchange.method.encode() + b" " + data)
    elif path.startswith("/to/"):
        exchange.respond(int(path[4:7]), [(b"location", path[7:].encode() or b"/echo")], b"moved")
    elif path == "/stream":
        exchange.start(200, [])
        for number in range(3):
            await exchange.write(b"%d" % number * 100000)
        exchange.end()
    elif path == "/gzip":
        exchange.respond(200, [(b"content-encoding", b"gzip")], gzip.compress(b"packed" * 1000))
    elif path == "/loop":
        exchange.respond(302, [(b"location", b"/loop")], b"")
    elif path == "/204":
        exchange.respond(204, [])
    elif path == "/close":
        exchange.keep = False
        exchange.respond(200, [], b"closed")
    elif path == "/cut":
        exchange.start(200, [(b"content-length", b"10")])
        await exchange.write(b"half")
        exchange.cut()
    else:
        exchange.respond(200, [], path.encode())


class ClientTest(unittest.TestCase):

    def test_requests_of_all_kinds_on_one_connection(self):
        async def test(client, url, server):
            self.assertEqual(await body_of(await client.fetch("GET", url + "/a b?ü#not")), b"/a%20b?%C3%BC")
            answer = await client.fetch("POST", url + "/echo", [(b"X-A", b"1"), (b"Content-Length", b"99")], b"data")
            self.assertEqual(await body_of(answer), b"POST data")
            fields = dict(answer.fields)[b"x-fields"]
            self.assertIn(b"(b'x-a', b'1')", fields)
            self.assertIn(b"(b'content-length', b'4')", fields)

            async def pieces():
                yield b"one"
                yield b""
                yield b"two"
            self.assertEqual(await body_of(await client.fetch("PUT", url + "/echo", (), pieces())), b"PUT onetwo")
            self.assertEqual(len(await body_of(await client.fetch("GET", url + "/stream"))), 300000)
            self.assertEqual(await body_of(await client.fetch("GET", url + "/gzip")), b"packed" * 1000)
            self.assertIsNone((await client.fetch("GET", url + "/204")).body)
            self.assertEqual(await body_of(await client.fetch("HEAD", url + "/x")), b"")
            self.assertEqual(len(server.connections), 1)
            self.assertEqual(await body_of(await client.fetch("GET", url + "/close")), b"closed")
            await until(lambda: not server.connections)
            self.assertEqual(await body_of(await client.fetch("GET", url + "/")), b"/")
        with_server(handler, test)

    def test_redirects(self):
        async def test(client, url, server):
            answer = await client.fetch("POST", url + "/to/303", (), b"x")
            self.assertEqual((await body_of(answer), answer.url, answer.redirected), (b"GET ", url + "/echo", True))
            self.assertEqual(await body_of(await client.fetch("POST", url + "/to/307", (), b"x")), b"POST x")
            self.assertEqual(await body_of(await client.fetch("POST", url + "/to/302", (), b"x")), b"GET ")
            answer = await client.fetch("GET", url + "/to/302", redirect="manual")
            self.assertEqual((answer.status, await body_of(answer)), (302, b"moved"))
            with self.assertRaisesRegex(OSError, "redirect is 'error'"):
                await client.fetch("GET", url + "/to/302", redirect="error")
            with self.assertRaisesRegex(OSError, "more than 20 redirects"):
                await client.fetch("GET", url + "/loop")
            self.assertEqual(len(server.connections), 1)
        with_server(handler, test)

    def test_a_body_that_nobody_reads_ends_its_connection(self):
        async def test(client, url, server):
            await client.fetch("GET", url + "/stream")
            gc.collect()
            await until(lambda: not server.connections)
        with_server(handler, test)

    def test_what_belongs_to_one_server_is_not_told_to_another(self):
        async def test(client, url, server):
            other = url.replace("127.0.0.1", "localhost")
            answer = await client.fetch("GET", url + "/to/302" + other + "/echo",
                                        [(b"Authorization", b"secret"), (b"X", b"y")])
            fields = dict(answer.fields)[b"x-fields"]
            self.assertNotIn(b"secret", fields)
            self.assertIn(b"(b'x', b'y')", fields)
        with_server(handler, test)

    def test_answers_that_make_no_sense_are_errors(self):
        cases = [(b"", "without an answer"), (b"HTTP/2 200\r\n\r\n", "not HTTP/1.1"),
                 (b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab", "Content-Length"),
                 (b"HTTP/1.1 200 OK\r\nbad\r\n\r\n", "malformed"), (b"HTTP/1.1 200 OK\r\n", "cut short"),
                 (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "no number"),
                 (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", "cut short"),
                 (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 70000, "longer than")]

        async def test(client, url):
            for _, words in cases:
                with self.assertRaisesRegex(OSError, "fetch of .* failed: .*" + words):
                    await body_of(await client.fetch("GET", url))
            answer = await client.fetch("GET", url)
            self.assertEqual((answer.status, answer.reason, await body_of(answer)), (200, "Very OK", b"until the end"))
        with_answers([data for data, _ in cases]
                     + [b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 Very OK\r\n\r\nuntil the end"], test)

    def test_what_cannot_be_reached(self):
        async def main():
            client = Client(asyncio.get_running_loop())
            for url in ("http://127.0.0.1:1/", "ftp://x/", "http:///x"):
                with self.assertRaisesRegex(OSError, "^fetch of %s failed: " % url):
                    await client.fetch("GET", url)
        run(main())


if __name__ == "__main__":
    unittest.main()

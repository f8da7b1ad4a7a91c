"""The HTTP/1.1 server of an instance, over real sockets."""

import asyncio
import socket
import unittest

from http_rig import Client, run, until
from _sandboxd_http.server import AHEAD_MAX, BODY_AHEAD_MAX, Gone, Server

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def serve(handler, test, **named):
    """Run `test(server, client)` with a server of this handler, which ends what the handler leaves open."""
    async def guarded(exchange):
        try:
            await handler(exchange)
        finally:
            if not exchange.finished:
                exchange.cut()

    async def main():
        server = Server(asyncio.get_running_loop(), guarded, **named)
        client = await Client.of(server)
        try:
            await test(server, client)
        finally:
            client.close()

    run(main())


async def echo(exchange):
    body = await exchange.read_all()
    exchange.respond(200, [(b"content-type", b"text/plain")],
                     ("%s %s %s" % (exchange.method, exchange.url, body.decode())).encode())


class AnswerTest(unittest.TestCase):

    def test_one_connection_carries_many_requests_also_in_one_piece(self):
        async def test(server, client):
            self.assertEqual((await client.ask(GET))[2], b"GET http://a/ ")
            await client.send(GET * 3 + b"POST /b HTTP/1.1\r\nHost: c\r\nContent-Length: 2\r\n\r\nhi\r\n" + GET)
            for want in [b"GET http://a/ "] * 3 + [b"POST http://c/b hi", b"GET http://a/ "]:
                status, fields, body = await client.answer()
                self.assertEqual((status, body), (200, want))
                self.assertNotIn(b"connection", fields)
                self.assertIn(b"date", fields)
        serve(echo, test)

    def test_answers_come_in_the_order_of_the_requests(self):
        async def handler(exchange):
            if exchange.target == "/slow":
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            exchange.respond(200, [], exchange.target.encode())

        async def test(server, client):
            await client.send(GET.replace(b"/ ", b"/slow ") + GET)
            self.assertEqual([(await client.answer())[2] for _ in range(2)], [b"/slow", b"/"])
        serve(handler, test)

    def test_close_and_http_1_0(self):
        async def test(server, client):
            await client.send(b"GET / HTTP/1.0\r\n\r\n" + GET)
            status, fields, _ = await client.answer()
            self.assertEqual((status, fields[b"connection"], await client.rest()), (200, b"close", b""))
            client = await Client.of(server)
            status, fields, _ = await client.ask(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            self.assertEqual(fields[b"connection"], b"keep-alive")
            self.assertEqual((await client.ask(GET.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")))[0], 200)
            self.assertEqual(await client.rest(), b"")
            client.close()
        serve(echo, test)

    def test_head_204_and_304_have_no_body(self):
        async def handler(exchange):
            status = int(exchange.target[1:])
            if exchange.header(b"x-stream"):
                exchange.start(status, [])
                await exchange.write(b"body")
                exchange.end()
            else:
                exchange.respond(status, [(b"Content-Length", b"4")], b"body")

        async def test(server, client):
            for extra in (b"", b"X-Stream: 1\r\n"):
                for status in (204, 304):
                    await client.send(b"GET /%d HTTP/1.1\r\nHost: a\r\n%b\r\n" % (status, extra))
                    head = (await client.until(b"\r\n\r\n")).lower()
                    self.assertNotIn(b"content-length", head)
                    self.assertNotIn(b"transfer-encoding", head)
            await client.send(b"HEAD /200 HTTP/1.1\r\nHost: a\r\n\r\n")
            self.assertIn(b"content-length: 4\r\n", await client.until(b"\r\n\r\n"))
            await client.send(GET.replace(b"/ ", b"/200 "))
            self.assertEqual((await client.answer())[2], b"body")
        serve(handler, test)

    def test_a_stream_is_chunked_or_has_the_length_that_the_application_says(self):
        async def handler(exchange):
            length = exchange.header(b"x-length")
            exchange.start(200, [(b"content-length", length)] if length else [])
            await exchange.write(b"one")
            await exchange.write(b"")
            await exchange.write(b"two" * 10000)
            exchange.end()

        async def test(server, client):
            status, fields, body = await client.ask(GET)
            self.assertEqual((fields[b"transfer-encoding"], body), (b"chunked", b"one" + b"two" * 10000))
            status, fields, body = await client.ask(GET[:-2] + b"X-Length: 30003\r\n\r\n")
            self.assertEqual((fields[b"content-length"], len(body)), (b"30003", 30003))
            await client.send(b"GET / HTTP/1.0\r\n\r\n")
            head = await client.until(b"\r\n\r\n")
            self.assertNotIn(b"transfer-encoding", head)
            self.assertEqual(await client.rest(), b"one" + b"two" * 10000)
        serve(handler, test)

    def test_a_body_of_another_length_than_it_says_is_cut(self):
        for length in b"30004", b"5":
            async def handler(exchange):
                exchange.start(200, [(b"content-length", length)])
                with self.assertRaises(ValueError):
                    await exchange.write(b"three" * 3)
                    exchange.end()

            async def test(server, client):
                await client.send(GET)
                with self.assertRaises((AssertionError, ConnectionError)):
                    await client.answer()
                    await client.answer()
            serve(handler, test)

    def test_headers_that_would_be_more_than_one_are_errors(self):
        found = []

        async def handler(exchange):
            for name, value in ((b"x", b"a\r\nb: c"), (b"x", b"a\nb"), (b"x\r\ny", b"a"), (b"x y", b"a"), (b"", b"a"),
                                (b"x", b"a\0"), (b"x:", b"a")):
                try:
                    exchange.respond(200, [(name, value)], b"")
                except ValueError:
                    found.append(name)
            exchange.respond(200, [(b"x", b"a"), (b"Transfer-Encoding", b"chunked"), (b"Connection", b"upgrade")], b"fine")

        async def test(server, client):
            status, fields, body = await client.ask(GET)
            self.assertEqual(body, b"fine")
            self.assertNotIn(b"transfer-encoding", fields)
            self.assertNotIn(b"connection", fields)
        serve(handler, test)
        self.assertEqual(len(found), 7)

    def test_bad_framing_is_answered_and_the_connection_ends(self):
        async def test(server, client):
            await client.send(GET + b"GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"
                              + GET)
            self.assertEqual((await client.answer())[0], 200)
            status, fields, _ = await client.answer()
            self.assertEqual((status, fields[b"connection"]), (400, b"close"))
            self.assertEqual(await client.rest(), b"")
            client = await Client.of(server)
            await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nnone\r\n")
            self.assertEqual((await client.answer())[0], 400)
            client.close()
        serve(echo, test)


class BodyTest(unittest.TestCase):

    def test_a_body_is_read_as_it_comes(self):
        pieces = []

        async def handler(exchange):
            async for piece in exchange:
                pieces.append(piece)
            exchange.respond(200, [], b"%d" % sum(map(len, pieces)))

        async def test(server, client):
            await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
            await until(lambda: pieces == [b"one"])
            await client.send(b"3\r\ntwo\r\n0\r\n\r\n" + GET)
            self.assertEqual([(await client.answer())[2] for _ in range(2)], [b"6", b"6"])
        serve(handler, test)

    def test_100_continue_is_said_when_the_body_is_wanted(self):
        async def handler(exchange):
            if exchange.target == "/no":
                exchange.respond(403, [], b"")
                return
            exchange.respond(200, [], await exchange.read_all())

        async def test(server, client):
            head = b"POST %b HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"
            await client.send(head % b"/")
            self.assertEqual(await client.until(b"\r\n\r\n"), b"HTTP/1.1 100 Continue\r\n\r\n")
            await client.send(b"ok")
            self.assertEqual((await client.answer())[2], b"ok")
            status, fields, _ = await client.ask(head % b"/no")
            self.assertEqual((status, fields[b"connection"]), (403, b"close"))
            self.assertEqual(await client.rest(), b"")
        serve(handler, test)

    def test_a_body_that_nobody_reads_waits_outside(self):
        go = []

        async def handler(exchange):
            await until(lambda: go)
            exchange.respond(200, [], b"%d" % len(await exchange.read_all()))

        async def test(server, client):
            size = 8 << 20
            client.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
            sending = asyncio.create_task(client.send(
                b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size + b"x" * size))
            await until(lambda: not client.connection.reading)
            self.assertLess(client.connection.exchange.size, 2 * BODY_AHEAD_MAX)
            self.assertFalse(sending.done())
            go.append(True)
            self.assertEqual((await client.answer())[2], b"%d" % size)
        serve(handler, test)

    def test_what_the_handler_did_not_want_of_a_body_is_dropped_before_the_next_request(self):
        async def handler(exchange):
            exchange.respond(200, [], exchange.target.encode())

        async def test(server, client):
            await client.send(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\nhalf")
            self.assertEqual((await client.answer())[2], b"/a")
            await client.send(b"x" * 99996 + GET)
            self.assertEqual((await client.answer())[2], b"/")
            await client.send(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 100000000\r\n\r\nhalf")
            self.assertEqual((await client.answer())[2], b"/a")
            sending = asyncio.create_task(client.send(b"x" * 10000000))
            with self.assertRaises(ConnectionError):
                await sending
        serve(handler, test)

    def test_a_next_request_waits_while_the_first_is_answered(self):
        go = []

        async def handler(exchange):
            await until(lambda: go)
            exchange.respond(200, [], b"")

        async def test(server, client):
            count = 1 + 4 * AHEAD_MAX // len(GET)
            sending = asyncio.create_task(client.send(GET * count))
            await until(lambda: not client.connection.reading)
            go.append(True)
            for _ in range(count):
                self.assertEqual((await client.answer())[0], 200)
            await sending
        serve(handler, test)


class LeavingTest(unittest.TestCase):

    def test_a_client_that_goes_cancels_the_handler(self):
        for begin in False, True:
            ends = []

            async def handler(exchange):
                exchange.on_gone = lambda: ends.append("told")
                if begin:
                    exchange.start(200, [])
                try:
                    await asyncio.sleep(3600)
                finally:
                    ends.append("cancelled")

            async def test(server, client):
                await client.send(GET)
                await until(lambda: server.exchanges)
                client.close()
                await until(lambda: "cancelled" in ends)
                self.assertEqual(ends, ["told", "cancelled"])
                await until(lambda: not server.exchanges and not server.connections)
            serve(handler, test)

    def test_a_writer_waits_for_a_slow_client_and_is_told_when_it_goes(self):
        sent = []

        async def handler(exchange):
            exchange.start(200, [])
            try:
                while True:
                    await exchange.write(b"x" * 65536)
                    sent.append(1)
            except Gone:
                sent.append("gone")

        async def test(server, client):
            await client.send(GET)
            await until(lambda: client.connection.blocked)
            count = len(sent)
            await asyncio.sleep(0)
            self.assertEqual(len(sent), count)
            await client.exactly(1 << 20)
            await until(lambda: len(sent) > count)
            client.close()
            await until(lambda: not server.exchanges)
        serve(handler, test)
        self.assertIn(sent[-1], (1, "gone"))

    def test_a_body_that_never_waits_ends_when_its_client_has_gone(self):
        ended = []

        async def handler(exchange):
            exchange.start(200, [])
            await exchange.write(b"begun")
            exchange.connection.transport.abort()
            try:
                for _ in range(10000):
                    await exchange.write(b"x")
            except Gone:
                ended.append(True)

        async def test(server, client):
            await client.send(GET)
            await until(lambda: not server.exchanges and ended)
        serve(handler, test)

    def test_half_of_a_body_and_no_more(self):
        ends = []

        async def handler(exchange):
            try:
                await exchange.read_all()
            except (Gone, asyncio.CancelledError) as error:
                ends.append(type(error).__name__)

        async def test(server, client):
            await client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nhalf")
            await until(lambda: server.exchanges)
            client.sock.shutdown(socket.SHUT_WR)
            await until(lambda: ends)
        serve(handler, test)

    def test_a_client_that_only_stops_sending_gets_its_answers(self):
        async def handler(exchange):
            await asyncio.sleep(0.05)
            exchange.respond(200, [], b"here")

        async def test(server, client):
            await client.send(GET + GET)
            client.sock.shutdown(socket.SHUT_WR)
            self.assertEqual([(await client.answer())[2] for _ in range(2)], [b"here"] * 2)
            self.assertEqual(await client.rest(), b"")
        serve(handler, test)

    def test_drain_answers_what_has_been_asked_and_closes(self):
        go = []

        async def handler(exchange):
            await until(lambda: go)
            exchange.respond(200, [], b"here")

        async def test(server, client):
            idle = await Client.of(server)
            await client.send(GET)
            await until(lambda: server.exchanges)
            draining = asyncio.create_task(server.drain())
            self.assertEqual(await idle.rest(), b"")
            idle.close()
            self.assertFalse(draining.done())
            go.append(True)
            status, fields, body = await client.answer()
            self.assertEqual((fields[b"connection"], body), (b"close", b"here"))
            self.assertEqual(await client.rest(), b"")
            await draining
        serve(handler, test)

    def test_a_handler_that_takes_too_long_is_cancelled(self):
        async def handler(exchange):
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                exchange.respond(504 if exchange.timed_out else 500, [], b"")

        async def test(server, client):
            self.assertEqual((await client.ask(GET))[0], 504)
        serve(handler, test, timeout=0.05)

    def test_requests_wait_while_the_server_is_held(self):
        async def test(server, client):
            server.hold()
            await client.send(GET)
            await until(lambda: server.waiting)
            self.assertFalse(server.exchanges)
            server.release()
            self.assertEqual((await client.answer())[0], 200)
        serve(echo, test)

    def test_a_first_byte_of_zero_is_the_control_channel(self):
        taken = []

        async def test(server, client):
            await client.send(b"\0rest")
            await until(lambda: taken)
            self.assertEqual(taken[0][1], b"rest")
            taken[0][0].abort()
        serve(echo, test, on_control=lambda transport, data: taken.append((transport, data)))


if __name__ == "__main__":
    unittest.main()

"""Puts the HTTP worker's modules in sys.path, and runs a server of theirs on socket pairs."""

import asyncio
import faulthandler
import os
import socket
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
RUNTIME = os.environ.get("RUNTIME_DIR") or os.path.join(HERE, "../../../images/runtime")
HTTP = os.path.abspath(os.path.join(RUNTIME, "http"))
PATIENCE = 60       # seconds after which a test that waits has failed

if HTTP not in sys.path:
    sys.path.insert(0, HTTP)


def run(coroutine, loop=None):
    """Run a coroutine in a new loop, or in the given one; fails instead of waiting for ever."""
    own = loop is None
    loop = loop or asyncio.new_event_loop()
    try:
        return loop.run_until_complete(asyncio.wait_for(coroutine, PATIENCE))
    finally:
        # A server's watch over its loop ends with its process, and here with the loop's turns.
        faulthandler.cancel_dump_traceback_later()
        if own:
            loop.close()


async def until(condition):
    """Wait until a condition holds, turn by turn."""
    for _ in range(PATIENCE * 100):
        if condition():
            return
        await asyncio.sleep(0.01)
    raise AssertionError("the condition does not come true")


class Client:
    """One end of a socket pair, whose other end is served."""

    def __init__(self, sock):
        self.sock = sock
        self.loop = asyncio.get_running_loop()
        sock.setblocking(False)
        self.data = b""

    @classmethod
    async def of(cls, server):
        ours, theirs = socket.socketpair()
        client = cls(ours)
        client.connection = server.adopt(theirs)
        return client

    async def send(self, data):
        await self.loop.sock_sendall(self.sock, data)

    async def more(self):
        data = await self.loop.sock_recv(self.sock, 65536)
        self.data += data
        return bool(data)

    async def until(self, mark):
        """What comes up to a mark, with it."""
        while mark not in self.data:
            if not await self.more():
                raise AssertionError("%r ends without %r" % (self.data, mark))
        end = self.data.index(mark) + len(mark)
        found, self.data = self.data[:end], self.data[end:]
        return found

    async def exactly(self, size):
        while len(self.data) < size:
            if not await self.more():
                raise AssertionError("%r ends too early" % self.data)
        found, self.data = self.data[:size], self.data[size:]
        return found

    async def rest(self):
        """All until the end."""
        while await self.more():
            pass
        return self.data

    async def answer(self):
        """The next answer: status, fields as a dict, body."""
        head = await self.until(b"\r\n\r\n")
        lines = head[:-4].split(b"\r\n")
        status = int(lines[0].split(b" ")[1])
        fields = dict(line.lower().split(b": ", 1) for line in lines[1:])
        if status in (204, 304) or status < 200:
            return status, fields, b""
        if b"content-length" in fields:
            return status, fields, await self.exactly(int(fields[b"content-length"]))
        if fields.get(b"transfer-encoding") == b"chunked":
            body = b""
            while True:
                size = int(await self.until(b"\r\n"), 16)
                body += await self.exactly(size)
                await self.until(b"\r\n")
                if not size:
                    return status, fields, body
        return status, fields, await self.rest()

    async def ask(self, text):
        await self.send(text if isinstance(text, bytes) else text.encode())
        return await self.answer()

    def close(self):
        self.sock.close()

"""Brings the connections of a listening socket to a port of loopback: proxy.py FD PORT.

TERM ends it when the connections that it has are over.
"""

import asyncio
import signal
import socket
import sys

CONNECT_SECONDS = 10
CONNECT_AGAIN = 0.05
PIECE = 65536


async def connect(port):
    """The app may just be starting again."""
    till = asyncio.get_running_loop().time() + CONNECT_SECONDS
    while True:
        try:
            return await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            if asyncio.get_running_loop().time() > till:
                raise
            await asyncio.sleep(CONNECT_AGAIN)


async def copy(reader, writer):
    try:
        while True:
            data = await reader.read(PIECE)
            if not data:
                break
            writer.write(data)
            await writer.drain()
        if writer.can_write_eof():
            writer.write_eof()
    except OSError:
        writer.transport.abort()


class Proxy:
    def __init__(self, port):
        self.port = port
        self.connections = set()

    def accepted(self, reader, writer):
        task = asyncio.get_running_loop().create_task(self.serve(reader, writer))
        self.connections.add(task)
        task.add_done_callback(self.connections.discard)

    async def serve(self, reader, writer):
        try:
            other_reader, other_writer = await connect(self.port)
        except OSError:
            writer.close()
            return
        try:
            await asyncio.gather(copy(reader, other_writer), copy(other_reader, writer))
        finally:
            other_writer.close()
            writer.close()

    async def run(self, sock):
        loop = asyncio.get_running_loop()
        ended = loop.create_future()
        loop.add_signal_handler(signal.SIGTERM, lambda: ended.done() or ended.set_result(None))
        server = await asyncio.start_unix_server(self.accepted, sock=sock)
        await ended
        # What waits in the socket was sent to this replica, and nobody else answers it.
        await asyncio.sleep(0)
        server.close()
        while self.connections:
            await asyncio.wait(self.connections)


def main(argv):
    sock = socket.socket(fileno=int(argv[1]))
    sock.setblocking(False)
    asyncio.run(Proxy(int(argv[2])).run(sock))


if __name__ == "__main__":
    main(sys.argv)

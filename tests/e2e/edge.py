#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""What stands around the edge in a test: the front's part, instances, and clients that are odd.

edge.py front RUN FOLDER        listens on RUN/edge/wake.sock; FOLDER/table.json is what there is,
                                FOLDER/answer what a WAKE is answered by, FOLDER/wakes what was asked
edge.py instance SOCKET NAME FOLDER
                                an HTTP server that answers by the path (see Instance)
edge.py framing ADDRESS HOST    requests of a bad form: each must be refused as the table says
edge.py load ADDRESS HOST N     N numbered requests by 8 clients, each sent once, whatever comes
                                back; prints how many were answered, cut off and refused
edge.py upload ADDRESS HOST     a piece of a body, whose answer must come before the body's end
"""

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
from collections import Counter

# An answer takes no longer, however slow the machine is.
PATIENCE = float(os.environ.get("PATIENCE", "60"))


def put(run, path, value=None):
    """One PUT on edge.sock, as the test has named it; the status."""
    body = json.dumps(value if value is not None else {}).encode()
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(PATIENCE)
    s.connect(f"{run}/edge/test.sock")
    s.sendall(b"PUT %s HTTP/1.1\r\nHost: edge\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s"
              % (path.encode(), len(body), body))
    answer = b""
    while part := s.recv(65536):
        answer += part
    return int(answer.split(b" ", 2)[1])


class Front:
    """The front's part: tells a new edge what there is, and starts instances for it."""

    def __init__(self, run, folder):
        self.run, self.folder = run, folder
        self.started = {}

    def put_all(self):
        with open(f"{self.folder}/table.json", encoding="utf-8") as f:
            table = json.load(f)
        for key, entry in table["workers"].items():
            put(self.run, f"/workers/{key}", entry)
        put(self.run, "/hosts", table.get("hosts", {}))
        put(self.run, "/ready")

    async def start(self, name):
        """An instance for several requests at once: they share it."""
        if name not in self.started:
            path = f"{self.run}/edge/test/{name}.sock"
            self.started[name] = asyncio.Event()
            subprocess.Popen([sys.executable, __file__, "instance", path, name, self.folder])
            while not os.path.exists(path):
                await asyncio.sleep(0.01)
            self.started[name].set()
        await self.started[name].wait()
        return f"OK test/{name}.sock {name}"

    async def serve(self, reader, writer):
        line = (await reader.readline()).decode()
        answer = "OK"
        if line.startswith("NEW "):
            await asyncio.get_running_loop().run_in_executor(None, self.put_all)
        else:
            with open(f"{self.folder}/wakes", "a", encoding="utf-8") as f:
                f.write(line)
            with open(f"{self.folder}/answer", encoding="utf-8") as f:
                answer = f.read().strip()
            if answer.startswith("START "):
                answer = await self.start(answer[6:])
        if answer != "SILENCE":
            writer.write(answer.encode() + b"\n")
            await writer.drain()
        writer.close()

    async def main(self):
        path = f"{self.run}/edge/wake.sock"
        if os.path.exists(path):
            os.unlink(path)
        server = await asyncio.start_unix_server(self.serve, path)
        os.chmod(path, 0o660)
        await asyncio.get_running_loop().run_in_executor(None, self.put_all)
        await server.serve_forever()


# Answers of an instance that does not keep to HTTP, or says what is not for it to say.
BAD = {
    "two-lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 9\r\n\r\nokHTTP/1.1",
    "length-and-chunks": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n"
                         b"2\r\nok\r\n0\r\n\r\n",
    "no-http": b"hello\r\n\r\n",
    # The first answer is no answer yet, and what follows it would be the client's next ones.
    "interim": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstolen",
    "switch": b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\nstolen",
    "long-head": b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 65536 + b"\r\nContent-Length: 2\r\n\r\nok",
    "bad-chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n",
    "bad-header": b"HTTP/1.1 200 OK\r\nX-\x01: 1\r\nContent-Length: 2\r\n\r\nok",
    "nothing": b"",
    "accel": b"HTTP/1.1 200 OK\r\nX-Accel-Redirect: /who\r\nX-Accel-Limit-Rate: 1\r\n"
             b"Content-Length: 6\r\n\r\nplain\n",
    "hop": b"HTTP/1.1 200 OK\r\nConnection: X-Secret\r\nX-Secret: 1\r\nX-Open: 1\r\n"
           b"Content-Length: 2\r\n\r\nok",
    "own-500": b"HTTP/1.1 500 Oh\r\nContent-Length: 9\r\nX-Mine: 1\r\n\r\nmy error\n",
}


class Instance:
    """An HTTP server on a unix socket that answers by the path."""

    def __init__(self, path, name, folder):
        self.path, self.name, self.folder = path, name, folder
        self.connections = 0

    async def respond(self, writer, body, status="200 OK"):
        writer.write(f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nX-Connection: {writer.number}\r\n"
                     f"Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await writer.drain()

    async def one(self, head, reader, writer):
        """Serves one request; False: the connection ends."""
        target = head.split(b" ", 2)[1].decode()
        fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:] if b": " in line)
        body = b""
        if b"chunked" in fields.get(b"transfer-encoding", b""):
            while size := int(await reader.readline(), 16):
                body += (await reader.readexactly(size + 2))[:-2]
                if target == "/first-chunk":
                    await self.respond(writer, body)
                    return False
            await reader.readline()
        elif b"content-length" in fields:
            body = await reader.readexactly(int(fields[b"content-length"]))
        path, _, query = target.partition("?")
        if path.startswith("/count"):
            with open(f"{self.folder}/served", "a", encoding="utf-8") as f:
                f.write(query + "\n")
            await self.respond(writer, b"counted\n")
        elif path.startswith("/echo"):
            await self.respond(writer, head + body)
        elif path == "/hold":
            with open(f"{self.folder}/held", "a", encoding="utf-8") as f:
                f.write(query + "\n")
            while not os.path.exists(f"{self.folder}/gate"):
                if reader.at_eof():
                    with open(f"{self.folder}/gone", "a", encoding="utf-8") as f:
                        f.write(query + "\n")
                    return False
                await asyncio.sleep(0.01)
            await self.respond(writer, self.name.encode() + b"\n")
        elif path == "/cut":
            with open(f"{self.folder}/served", "a", encoding="utf-8") as f:
                f.write(query + "\n")
            return False
        elif path == "/stream":
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n")
            while not os.path.exists(f"{self.folder}/gate"):
                await asyncio.sleep(0.01)
            writer.write(b"4\r\nlast\r\n0\r\n\r\n")
        elif path == "/endless":
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            try:
                while True:
                    writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
                    await writer.drain()
            except ConnectionError:
                with open(f"{self.folder}/gone", "a", encoding="utf-8") as f:
                    f.write("endless\n")
            return False
        elif path.startswith("/bad/"):
            writer.write(BAD[path[5:]])
            await writer.drain()
            return False
        else:
            await self.respond(writer, self.name.encode() + b"\n")
        return True

    async def serve(self, reader, writer):
        self.connections += 1
        writer.number = self.connections
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                if not await self.one(head, reader, writer):
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        writer.close()

    async def main(self):
        # By another name first: who sees the socket may connect.
        server = await asyncio.start_unix_server(self.serve, self.path + "-", backlog=1024)
        os.chmod(self.path + "-", 0o660)
        os.rename(self.path + "-", self.path)
        await server.serve_forever()


def connect(address):
    host, port = address.rsplit(":", 1)
    s = socket.create_connection((host, int(port)))
    s.settimeout(PATIENCE)
    return s


def exchange(address, message):
    """All that comes back until the edge closes, which a last request asks for: its 404 is the last
    answer of a connection that was not closed before."""
    s = connect(address)
    s.sendall(message + b"GET /end HTTP/1.1\r\nHost: nobody\r\nConnection: close\r\n\r\n")
    answer = b""
    try:
        while part := s.recv(65536):
            answer += part
    except ConnectionError:
        pass
    return answer


def statuses(answer):
    """The statuses of all answers on a connection."""
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3}) ", answer)]


def framing(address, host):
    """Requests that two programs could read in two ways, and one of them right after each: when it
    is answered too, the edge must have found the right end of the first."""
    h = b"Host: " + host.encode() + b"\r\n"
    cases = {
        # name: (message, statuses that are right)
        "fine": (b"GET /who HTTP/1.1\r\n" + h + b"\r\n", [200]),
        "two in a row": ((b"GET /who HTTP/1.1\r\n" + h + b"\r\n") * 2, [200, 200]),
        "two lengths": (b"POST /echo HTTP/1.1\r\n" + h + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabcd", [400]),
        "the same length twice": (b"POST /echo HTTP/1.1\r\n" + h + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", [400]),
        "lengths in a list": (b"POST /echo HTTP/1.1\r\n" + h + b"Content-Length: 3, 3\r\n\r\nabc", [400]),
        "a length with a sign": (b"POST /echo HTTP/1.1\r\n" + h + b"Content-Length: +3\r\n\r\nabc", [400]),
        "a length of hex": (b"POST /echo HTTP/1.1\r\n" + h + b"Content-Length: 0x3\r\n\r\nabc", [400]),
        "a length that is negative": (b"POST /echo HTTP/1.1\r\n" + h + b"Content-Length: -1\r\n\r\n", [400]),
        "length and chunks": (b"POST /echo HTTP/1.1\r\n" + h + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", [400]),
        "chunks and length": (b"POST /echo HTTP/1.1\r\n" + h + b"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n0\r\n\r\n", [400]),
        "chunks twice": (b"POST /echo HTTP/1.1\r\n" + h + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", [400, 501]),
        "chunks, then identity": (b"POST /echo HTTP/1.1\r\n" + h + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", [400, 501]),
        "another encoding": (b"POST /echo HTTP/1.1\r\n" + h + b"Transfer-Encoding: gzip\r\n\r\n", [400, 501]),
        "chunks with a tab": (b"POST /echo HTTP/1.1\r\n" + h + b"Transfer-Encoding:\x0bchunked\r\n\r\n0\r\n\r\n", [400, 501]),
        "chunks in HTTP/1.0": (b"POST /echo HTTP/1.0\r\n" + h + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", [400]),
        "a chunk's size that is no number": (b"POST /echo HTTP/1.1\r\n" + h + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", [400]),
        "a space before the colon": (b"GET /who HTTP/1.1\r\n" + h + b"X-A : 1\r\n\r\n", [400]),
        "a folded line": (b"GET /who HTTP/1.1\r\n" + h + b"X-A: 1\r\n  2\r\n\r\n", [400]),
        "a folded first line": (b"GET /who HTTP/1.1\r\n X-A: 1\r\n" + h + b"\r\n", [400]),
        "a CR in a value": (b"GET /who HTTP/1.1\r\n" + h + b"X-A: 1\rX-B: 2\r\n\r\n", [400]),
        # The instance sees one: fields are written anew.
        "two CRs before an LF": (b"GET /who HTTP/1.1\r\n" + h + b"X-A: 1\r\r\n\r\n", [200]),
        "a NUL in a value": (b"GET /who HTTP/1.1\r\n" + h + b"X-A: 1\x002\r\n\r\n", [400]),
        "a control in a value": (b"GET /who HTTP/1.1\r\n" + h + b"X-A: 1\x0b2\r\n\r\n", [400]),
        "a control in a name": (b"GET /who HTTP/1.1\r\n" + h + b"X\x01A: 1\r\n\r\n", [400]),
        "a line without a colon": (b"GET /who HTTP/1.1\r\n" + h + b"X-A\r\n\r\n", [400]),
        "no name": (b"GET /who HTTP/1.1\r\n" + h + b": 1\r\n\r\n", [400]),
        "no host": (b"GET /who HTTP/1.1\r\n\r\n", [400]),
        "two hosts": (b"GET /who HTTP/1.1\r\n" + h + b"Host: other\r\n\r\n", [400]),
        "a host with a slash": (b"GET /who HTTP/1.1\r\nHost: a/b\r\n\r\n", [400]),
        "a host with dots": (b"GET /who HTTP/1.1\r\nHost: a..b\r\n\r\n", [400]),
        "a host with a user": (b"GET /who HTTP/1.1\r\nHost: u@" + host.encode() + b"\r\n\r\n", [400]),
        "a host with a word after the port": (b"GET /who HTTP/1.1\r\nHost: " + host.encode() + b":80x\r\n\r\n", [400]),
        "a host with odd bytes": (b"GET /who HTTP/1.1\r\nHost: a\xffb\r\n\r\n", [400]),
        "a host with a space": (b"GET /who HTTP/1.1\r\nHost: a b\r\n\r\n", [400]),
        "a host with a port": (b"GET /who HTTP/1.1\r\nHost: " + host.encode() + b":8000\r\n\r\n", [200]),
        "a host in capitals": (b"GET /who HTTP/1.1\r\nHost: " + host.upper().encode() + b"\r\n\r\n", [200]),
        "a whole URL": (b"GET http://" + host.encode() + b"/who HTTP/1.1\r\nHost: other\r\n\r\n", [200]),
        "a whole URL of nobody's": (b"GET http://other/who HTTP/1.1\r\n" + h + b"\r\n", [404]),
        "a target without a slash": (b"GET who HTTP/1.1\r\n" + h + b"\r\n", [400]),
        "a target with a space": (b"GET /a b HTTP/1.1\r\n" + h + b"\r\n", [400]),
        "a target with a NUL": (b"GET /a\x00b HTTP/1.1\r\n" + h + b"\r\n", [400]),
        "a target above the root": (b"GET /../who HTTP/1.1\r\n" + h + b"\r\n", [400]),
        "HTTP/0.9": (b"GET /who\r\n", [400, 0]),
        "HTTP/2 by name": (b"GET /who HTTP/2.0\r\n" + h + b"\r\n", [400, 505]),
        "no version": (b"GET /who HTTP/\r\n" + h + b"\r\n", [400]),
        "CONNECT": (b"CONNECT other:443 HTTP/1.1\r\nHost: other:443\r\n\r\n", [400, 405]),
        "TRACE": (b"TRACE /who HTTP/1.1\r\n" + h + b"\r\n", [400, 405]),
        "a small method": (b"get /who HTTP/1.1\r\n" + h + b"\r\n", [400]),
        "a long target": (b"GET /" + b"a" * 20000 + b" HTTP/1.1\r\n" + h + b"\r\n", [414]),
        "a long field": (b"GET /who HTTP/1.1\r\n" + h + b"X-A: " + b"a" * 20000 + b"\r\n\r\n", [431]),
        "many fields": (b"GET /who HTTP/1.1\r\n" + h + b"".join(b"X-%d: %s\r\n" % (i, b"a" * 1000) for i in range(200)) + b"\r\n", [431]),
        "TLS": (b"\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03" + b"\x00" * 100, [400]),
    }
    wrong = 0
    for name, (message, right) in cases.items():
        got = statuses(exchange(address, message)) or [0]
        if right[0] in (200, 404):
            ok = got == right + [404]
        else:
            ok = got[0] in right and got[1:] in ([], [404])
        if not ok:
            wrong += 1
            print(f"{name}: {got}, not {right}")
    # A body that is not read must not be taken for the next request.
    for name, first in {
        "nobody's": b"POST /x HTTP/1.1\r\nHost: nobody\r\n",
        "refused": b"POST /x HTTP/1.1\r\n" + h + b"X-A: 1\x0b2\r\n",
    }.items():
        inner = b"GET /count?inner HTTP/1.1\r\n" + h + b"\r\n"
        got = exchange(address, first + b"Content-Length: %d\r\n\r\n" % len(inner) + inner)
        if statuses(got) not in ([404, 404], [400, 404], [400]):
            wrong += 1
            print(f"the body of a request that is {name} is taken for a request: {statuses(got)}")
    return wrong


def load(address, host, n):
    """Each number is sent once. An answer with another status than 200 counts as refused by the
    edge in words, no answer as cut off; a connection that is not taken is an error."""
    counts = Counter()
    numbers = iter(range(n))

    async def client():
        reader = writer = None
        for i in numbers:
            try:
                if writer is None:
                    reader, writer = await asyncio.open_connection(*address.rsplit(":", 1))
            except ConnectionError:
                counts["not connected"] += 1
                continue
            try:
                writer.write(f"GET /count?{i} HTTP/1.1\r\nHost: {host}\r\n\r\n".encode())
                head = await reader.readuntil(b"\r\n\r\n")
                length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length: ")]
                if length:
                    await reader.readexactly(int(length[0][16:]))
                counts[head.split(b" ", 2)[1].decode()] += 1
                if not length or b"connection: close" in head.lower():
                    writer.close()
                    writer = None
            except (ConnectionError, asyncio.IncompleteReadError):
                counts["cut off"] += 1
                writer = None

    async def all_of():
        await asyncio.gather(*[client() for _ in range(8)])

    asyncio.run(all_of())
    print(json.dumps(counts))
    return 0


def upload(address, host):
    """The first piece of a body must reach the instance, and its answer this client."""
    s = connect(address)
    s.sendall(f"POST /first-chunk HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n\r\n"
              "5\r\npiece\r\n".encode())
    answer = b""
    while b"piece" not in answer:
        part = s.recv(65536)
        if not part:
            return 1
        answer += part
    return 0


def main():
    """See the head of this file."""
    what, *args = sys.argv[1:]
    if what == "front":
        asyncio.run(Front(*args).main())
    elif what == "instance":
        asyncio.run(Instance(*args).main())
    elif what == "framing":
        sys.exit(framing(*args) > 0)
    elif what == "load":
        sys.exit(load(args[0], args[1], int(args[2])))
    elif what == "upload":
        sys.exit(upload(*args))


main()

# SPDX-License-Identifier: Apache-2.0
"""slow.py HOST PORT N [NAME...]: N connections at a time, until it is killed.

Without a NAME no head of a request is ended; with them, there is one whole request for each of these hosts in turn.
What the other end closes is opened again.
"""
import itertools
import resource
import select
import socket
import sys
import time


def main(host, port, n, *names):
    resource.setrlimit(resource.RLIMIT_NOFILE, (n + 100, n + 100))
    texts = itertools.cycle([b"GET / HTTP/1.1\r\nHost: %s\r\n\r\n" % name.encode() for name in names] or
                            [b"GET / HTTP/1.1\r\nHost: slow\r\nX-Slow: "])
    poll = select.epoll()
    held = {}

    def begin():
        sock = socket.socket()
        try:
            sock.connect((host, port))
            sock.setblocking(False)
            sock.send(next(texts))
        except OSError:
            sock.close()
            return
        held[sock.fileno()] = sock
        poll.register(sock, select.EPOLLIN)

    for _ in range(n):
        begin()
    print("open", len(held), flush=True)
    while True:
        time.sleep(0.2)
        for fd, _ in poll.poll(0):
            poll.unregister(fd)
            held.pop(fd).close()
        for _ in range(n - len(held)):
            begin()


main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), *sys.argv[4:])

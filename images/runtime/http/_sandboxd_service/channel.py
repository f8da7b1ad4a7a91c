"""What the runtime of a replica and the front say to each other.

Descriptor 5 listens, and only the front connects.  The first byte of a connection is a zero, with which the sockets of
the service's HTTP ports come; then there are frames (_sandboxd_http.control).  A front that was started again connects
again, without the sockets.
"""

import socket

from _sandboxd_http.control import FrameError, Reader, encode

FDS_MAX = 16


class Channel:
    def __init__(self, listening):
        self.listening = listening
        self.listening.setblocking(False)
        self.sock = None
        self.fresh = False      # its first byte has not come
        self.reader = None
        self.fds = []           # that have come

    def fileno(self):
        return self.sock.fileno() if self.sock else self.listening.fileno()

    def accept(self):
        """A new front takes the place of the old one."""
        try:
            sock = self.listening.accept()[0]
        except OSError:
            return
        self.close()
        self.sock = sock
        self.sock.setblocking(False)
        self.fresh = True
        self.reader = Reader()

    def close(self):
        if self.sock:
            self.sock.close()
        self.sock = None

    def receive(self):
        """The frames that have come; the connection is gone when there is no more of it."""
        try:
            if self.fresh:
                data, fds, _, _ = socket.recv_fds(self.sock, 1, FDS_MAX)
                self.fds += fds
                self.fresh = False
                if data:
                    return []
            else:
                data = self.sock.recv(65536)
        except BlockingIOError:
            return []
        except OSError:
            data = b""
        if not data:
            self.close()
            return []
        try:
            return [header for header, _ in self.reader.feed(data)]
        except FrameError:
            self.close()
            return []

    def say(self, header):
        if self.sock is None:
            return
        try:
            self.sock.setblocking(True)
            self.sock.settimeout(5)
            self.sock.sendall(encode(header))
            self.sock.setblocking(False)
        except OSError:
            self.close()

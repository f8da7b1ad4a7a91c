"""Whether a replica is well: a path of it that answers."""

import http.client
import socket
import threading
import time


class UnixConnection(http.client.HTTPConnection):
    """To a socket with a path."""

    def __init__(self, path, timeout):
        http.client.HTTPConnection.__init__(self, "localhost", timeout=timeout)
        self.path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self.path)


def answers(port, path, seconds):
    """None, or why the path does not answer as it should.  port: a number of loopback, or a socket's path."""
    if isinstance(port, str):
        connection = UnixConnection(port, seconds)
    else:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    try:
        connection.request("GET", path, headers={"Host": "localhost", "User-Agent": "CloudHealthCheck",
                                                 "Connection": "close"})
        status = connection.getresponse().status
        return None if status < 500 else "status %d" % status
    except (OSError, http.client.HTTPException) as error:
        return str(error) or type(error).__name__
    finally:
        connection.close()


class Watch(threading.Thread):
    """Asks the path again and again; `unwell` is set when it has not answered so many times in a row."""

    def __init__(self, port, health):
        threading.Thread.__init__(self, daemon=True)
        self.port = port
        self.path = health["path"]
        self.interval = health.get("interval_s", 10)
        self.seconds = health.get("timeout_s", 5)
        self.failures = health.get("failures", 3)
        self.unwell = None

    def run(self):
        failed = 0
        while failed < self.failures:
            time.sleep(self.interval)
            why = answers(self.port, self.path, self.seconds)
            failed = failed + 1 if why else 0
        self.unwell = "GET %s: %s, %d times" % (self.path, why, failed)

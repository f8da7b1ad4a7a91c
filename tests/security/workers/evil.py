"""A worker that does what it should not.  As a program, it tries the paths of a daemon's folder RUN."""
import json
import os
import socket
import struct
import sys
import time


def reach(run):
    """A line for each path that somebody listens at."""
    lines = []
    for path in ("edge/wake.sock", "edge/edge.sock", "control.sock", "edge/i", "edge/a"):
        try:
            if path.endswith(".sock"):
                with socket.socket(socket.AF_UNIX) as sock:
                    sock.connect(os.path.join(run, path))
            else:
                os.listdir(os.path.join(run, path))
            lines.append(path + ": REACHED")
        except OSError as error:
            lines.append("%s: %s" % (path, error))
    return "\n".join(lines) + "\n"


def channels():
    """The connections that this process has accepted: the front's, and the edge's."""
    for name in os.listdir("/proc/self/fd"):
        try:
            sock = socket.socket(fileno=os.dup(int(name)))
            if "/i/" in str(sock.getsockname()) and not sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN):
                yield sock
            else:
                sock.close()
        except OSError:
            pass


def send(frames):
    """All of it to each of them, as far as it goes; then the end of this process."""
    for sock in channels():
        try:
            sock.settimeout(2)
            for frame in frames():
                sock.sendall(frame)
        except OSError:
            pass
    os._exit(1)


def frame(head, body=b""):
    text = json.dumps(head).encode()
    return struct.pack("<II", len(text), len(body)) + text + body


def junk():
    yield os.urandom(4096)


def asks():
    for number in range(200):
        yield frame({"op": "ask", "id": number, "binding": "KV", "method": "put", "key": "k"}, b"x" * (1 << 20))


def loads():
    for number in range(20000):
        yield frame({"op": "load", "active": number, "served": 1 << 62, "message": "x" * 300})


def fork():
    for _ in range(3):
        if os.fork() == 0:
            os.setsid()
            time.sleep(1000)
            os._exit(0)


if __name__ == "__main__":
    print(reach(sys.argv[1]))
else:
    from workers import Response, WorkerEntrypoint

    class Default(WorkerEntrypoint):
        async def fetch(self, request):
            path = request.url.split("/", 3)[3]
            if path.startswith("reach?run="):
                return Response(reach(path[len("reach?run="):]))
            if path in ("junk", "asks", "loads"):
                send(globals()[path])
            if path == "fork":
                fork()
            if path == "die":
                os._exit(3)
            if path == "processes":
                return Response(str(sum(name.isdigit() for name in os.listdir("/proc"))))
            return Response("hello of evil")

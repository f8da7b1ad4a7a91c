# SPDX-License-Identifier: Apache-2.0
"""Requests with file descriptors that they should not have."""
import os
import socket

from clients.wire import CASES, RUN, TASK, ask, connect, verdict


def wrong_fds(make, request):
    def run():
        fds = make()
        try:
            results = {verdict(ask(request, fds)) for _ in range(3)}
        finally:
            for fd in fds:
                os.close(fd)
        return ",".join(sorted(results))

    return run


def listening():
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.bind("")
    sock.listen()
    return [sock.detach()]


def fifo():
    read_end, write_end = os.pipe()
    return [read_end, write_end]


FD_KINDS = {
    "directory": lambda: [os.open("/", os.O_RDONLY)],
    "path": lambda: [os.open("/etc", os.O_PATH)],
    "zero": lambda: [os.open("/dev/zero", os.O_RDONLY)],
    "pipes": fifo,
    "eventfd": lambda: [os.eventfd(0)],
    "listening": listening,
    "datagram": lambda: [socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).detach()],
    "many": lambda: [os.open("/dev/null", os.O_RDONLY) for _ in range(200)],
    "control-socket": lambda: [connect().detach()],
}
for _name, _make in FD_KINDS.items():
    # An op that wants none: they are closed, and the answer may be as good as ever.
    CASES.append(
        ("fds:version:" + _name, "*", wrong_fds(_make, {"op": "version"})),
    )
    CASES.append(
        (
            "fds:package:" + _name,
            "refused closed",
            wrong_fds(_make, dict(RUN, package=True, log=False)),
        )
    )
    # A connected socket of the client's is one that it may give.
    if _name != "control-socket":
        CASES.append(
            (
                "fds:input:" + _name,
                "refused closed",
                wrong_fds(_make, dict(RUN, task=dict(TASK, start="cold"), input=True, log=False)),
            )
        )
    CASES.append(
        ("fds:logs:" + _name, "refused closed", wrong_fds(_make, {"op": "logs", "id": "0" * 24}))
    )

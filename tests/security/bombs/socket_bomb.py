# SPDX-License-Identifier: Apache-2.0
"""Fills the buffers of connections to itself, and says how many MiB wait in them."""
import guard

import socket

CONNECTIONS = 40
PIECE = b"x" * 65536

server = socket.create_server(("127.0.0.1", 0), backlog=CONNECTIONS)
kept, waiting = [], 0
for _ in range(CONNECTIONS):
    one = socket.create_connection(server.getsockname())
    kept += [one, server.accept()[0]]
    for end in kept[-2:]:
        end.setblocking(False)
        try:
            while True:
                waiting += end.send(PIECE)
        except OSError:
            pass
print(waiting >> 20)

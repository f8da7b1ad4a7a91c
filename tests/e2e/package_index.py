# SPDX-License-Identifier: Apache-2.0
"""An index of packages, or a proxy, for tests:

    package_index.py index FOLDER ADDRESS PORT [USER:PASSWORD [CERTIFICATE]]
    package_index.py proxy ADDRESS PORT [USER:PASSWORD]

The index serves FOLDER/simple/NAME/ as a page of PEP 503 and the files that are in there, with a
CERTIFICATE (a PEM file with its key) over https. A proxy takes both kinds of request. "Serving" and
the port are printed when it is ready, and then a line for each request: its method, what it asks for, and the name
of the user or "-"."""
import base64
import http.client
import http.server
import os
import select
import socket
import socketserver
import ssl
import sys


class Handler(http.server.BaseHTTPRequestHandler):
    header, refusal = "Authorization", 401

    def log_message(self, *words):
        pass

    def who(self):
        """The user's name, "-" where none is asked for; None: it is refused."""
        said = self.headers.get(self.header, "")
        want = self.server.user
        name = base64.b64decode(said[6:]).decode().partition(":")[0] if said.startswith("Basic ") else "-"
        right = not want or said == "Basic " + base64.b64encode(want.encode()).decode()
        print(self.command, self.path, name, "ok" if right else "refused", flush=True)
        if right:
            return True
        self.answer(self.refusal, b"who are you?", "text/plain")
        return False

    def answer(self, status, body, kind):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


class Index(Handler):
    def do_GET(self):
        path = os.path.join(self.server.folder, os.path.normpath(self.path).lstrip("/"))
        if not self.who():
            return
        if os.path.isdir(path):
            links = "".join("<a href=\"%s\">%s</a>\n" % (name, name) for name in sorted(os.listdir(path)))
            self.answer(200, ("<!DOCTYPE html><html><body>%s</body></html>" % links).encode(), "text/html")
        elif os.path.isfile(path):
            with open(path, "rb") as file:
                self.answer(200, file.read(), "application/octet-stream")
        else:
            self.answer(404, b"there is none", "text/plain")

    do_HEAD = do_GET


class Proxy(Handler):
    header, refusal = "Proxy-Authorization", 407

    def do_GET(self):
        if not self.who():
            return
        host, _, path = self.path.partition("://")[2].partition("/")
        connection = http.client.HTTPConnection(host, timeout=10)
        connection.request(self.command, "/" + path, headers={
            key: value for key, value in self.headers.items() if not key.lower().startswith("proxy-")})
        response = connection.getresponse()
        self.answer(response.status, response.read(), response.getheader("Content-Type"))

    do_HEAD = do_GET

    def do_CONNECT(self):
        if not self.who():
            return
        host, _, port = self.path.rpartition(":")
        other = socket.create_connection((host, int(port)), timeout=10)
        self.send_response(200)
        self.end_headers()
        pair = [self.connection, other]
        while True:
            for sock in select.select(pair, [], [])[0]:
                data = sock.recv(65536)
                if not data:
                    self.close_connection = True
                    other.close()
                    return
                pair[1 - pair.index(sock)].sendall(data)


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True


def main(kind, *words):
    folder, words = (words[0], words[1:]) if kind == "index" else (None, words)
    address, port, user, certificate = (list(words) + [None, None])[:4]
    server = Server((address, int(port)), Index if kind == "index" else Proxy)
    server.folder, server.user = folder, user
    if certificate:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate)
        server.socket = context.wrap_socket(server.socket, server_side=True)
    print("Serving", server.server_address[1], flush=True)
    server.serve_forever()


main(*sys.argv[1:])

import http.server
import os
import socketserver
import sys

VERSION = "one"


class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        if self.path == "/built":
            text = open("built").read().strip()
        elif self.path == "/ccc":
            import ccc
            import ddd
            text = "%s %s" % (ccc.VERSION, ddd.VERSION)
        elif self.path == "/env":
            text = "\n".join("%s=%s" % pair for pair in sorted(os.environ.items()))
        else:
            text = "%s %s %d" % (VERSION, os.environ["DOTCLOUD_SERVICE_ID"], sys.version_info[0])
        body = text.encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    request_queue_size = 1024


Server(("127.0.0.1", int(os.environ["PORT_HTTP"])), Handler).serve_forever()

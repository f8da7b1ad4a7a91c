import BaseHTTPServer
import os
import sys

import ccc


class Handler(BaseHTTPServer.BaseHTTPRequestHandler):
    def do_GET(self):
        body = "%s %d.%d %s" % ((ccc.VERSION,) + sys.version_info[:2] + (open("after").read(),))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words):
        pass


print "begins"
BaseHTTPServer.HTTPServer(("127.0.0.1", int(os.environ["PORT_HTTP"])), Handler).serve_forever()

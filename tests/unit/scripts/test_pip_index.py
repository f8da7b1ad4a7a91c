# SPDX-License-Identifier: Apache-2.0
"""scripts/pip-index: what it reads of pip's configuration and of an index's pages, and what it fetches."""
import base64
import gzip
import html.parser
import http.server
import importlib.machinery
import importlib.util
import json
import os
import random
import select
import socket
import socketserver
import string
import struct
import subprocess
import sys
import tempfile
import threading
import unittest
from unittest import mock

SCRIPT = os.path.join(os.environ.get("SANDBOXD_LIBEXEC") or os.path.join(
    os.path.dirname(os.path.abspath(__file__)), "../../../scripts"), "pip-index")


def load():
    loader = importlib.machinery.SourceFileLoader("pip_index", SCRIPT)
    spec = importlib.util.spec_from_loader("pip_index", loader)
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


sys.dont_write_bytecode = True
index = load()


class Folder(unittest.TestCase):
    """A test with a home of its own."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.home = folder.name
        self.env = {"HOME": self.home, "XDG_CONFIG_DIRS": os.path.join(self.home, "etc")}
        self.said = []
        patch = mock.patch.object(index, "say", self.said.append)
        patch.start()
        self.addCleanup(patch.stop)
        # This machine's own file is not the test's.
        read = index.read_file
        patch = mock.patch.object(index, "read_file",
                                  lambda path, sections: path == "/etc/pip.conf" or read(path, sections))
        patch.start()
        self.addCleanup(patch.stop)

    def put(self, path, text):
        path = os.path.join(self.home, path)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "w", encoding="utf-8") as file:
            file.write(text)
        return path

    def settings(self, **env):
        return index.Settings({**self.env, **env})


class Configuration(Folder):
    def test_later_files_go_over_earlier_and_the_environment_over_all(self):
        self.put("etc/pip/pip.conf", "[global]\nindex-url = http://a/\ntimeout = 7\n[install]\npre = yes\n")
        self.assertEqual(self.settings().indexes, ["http://a/"])
        self.put(".pip/pip.conf", "[global]\nindex_url = http://b/\n")
        self.put(".config/pip/pip.conf", "[global]\nINDEX-URL = http://c/\n[download]\ntimeout = 1\n")
        settings = self.settings()
        self.assertEqual(settings.indexes, ["http://c/"])
        self.assertEqual(settings.timeout, 7)
        self.assertEqual(settings.told()["environment"], {"PIP_PRE": "yes"})
        own = self.put("own.conf", "[install]\nindex-url = http://d/\n")
        self.assertEqual(self.settings(PIP_CONFIG_FILE=own).indexes, ["http://d/"])
        self.assertEqual(self.settings(PIP_CONFIG_FILE="/nowhere").indexes, ["http://c/"])
        self.assertEqual(self.settings(PIP_CONFIG_FILE="/dev/null").indexes, [index.default_index()])
        self.assertRegex(index.default_index(), r"\Ahttps://[a-z.]+/simple\Z")
        self.assertEqual(self.settings(PIP_INDEX_URL="http://e/", PIP_EXTRA_INDEX_URL="http://f/\n http://g/").indexes,
                         ["http://e/", "http://f/", "http://g/"])
        self.assertEqual(self.settings(PIP_NO_INDEX="1").indexes, [])

    def test_lists_of_folders_and_of_pages(self):
        os.mkdir(os.path.join(self.home, "wheels"))
        settings = self.settings(PIP_FIND_LINKS="%s/wheels file://%s/wheels /nowhere https://h/x" % (
            self.home, self.home))
        self.assertEqual(settings.folders, [self.home + "/wheels"] * 2)
        self.assertEqual(settings.pages, ["https://h/x"])

    def test_what_is_told_has_nothing_that_is_nobodys_business(self):
        self.put(".config/pip/pip.conf", "[global]\nindex-url = https://user:secret1@host.example/simple\n"
                 "extra-index-url = https://secret2@host.example/simple\nproxy = http://u:secret3@proxy.example\n"
                 "client-cert = /secret4\ncert = /secret5\ntrusted-host = secret6\nonly-binary = :all:\n")
        self.put(".netrc", "machine host.example login secret7 password secret8\n")
        told = json.dumps(self.settings(HTTPS_PROXY="http://secret9").told())
        self.assertNotIn("secret", told)
        self.assertNotIn("example", told)
        self.assertIn(":all:", told)

    def test_constraints_are_told_where_they_are_names_and_versions(self):
        one, two = self.put("one", "a==1\n# b\n"), self.put("two", "b<2")
        self.assertEqual(self.settings(PIP_CONSTRAINT=one + " " + two).told()["constraints"], "a==1\n# b\n\nb<2\n")
        self.assertEqual(self.settings().told()["constraints"], "")
        for text in ("a==1\nc @ https://user:secret@h/", "b\n --index-url https://secret", "x\n-r secret"):
            with self.assertRaises(SystemExit) as found:
                self.settings(PIP_CONSTRAINT=self.put("bad", text)).told()
            self.assertIn("bad:2: ", str(found.exception))
            self.assertNotIn("secret", str(found.exception))
        for path in ("/nowhere", "https://user:secret@h/c.txt"):
            with self.assertRaises(SystemExit) as found:
                self.settings(PIP_CONSTRAINT=path).told()
            self.assertNotIn("secret", str(found.exception))

    def test_a_file_that_is_none_is_told_by_its_line_and_not_quoted(self):
        path = self.put(".config/pip/pip.conf", "[global]\nindex-url: x\nthe secret\n")
        with self.assertRaises(SystemExit) as found:
            self.settings()
        self.assertIn("%s:3: " % path, str(found.exception))
        self.assertNotIn("secret", str(found.exception))

    def test_proxies(self):
        https, http = index.Origin("https://pypi.example/"), index.Origin("http://10.1.2.3:81/")
        for env, want in (({}, (None, None)),
                          ({"https_proxy": "p:1"}, ("http://p:1", None)),
                          ({"HTTPS_PROXY": "http://p:1", "http_proxy": "q"}, ("http://p:1", "http://q")),
                          ({"ALL_PROXY": "http://p"}, ("http://p", "http://p")),
                          ({"ALL_PROXY": "http://p", "no_proxy": "*"}, (None, None)),
                          ({"ALL_PROXY": "http://p", "no_proxy": "x, .example"}, (None, "http://p")),
                          ({"ALL_PROXY": "http://p", "no_proxy": "ample,10.0.0.0/8"}, ("http://p", None)),
                          ({"ALL_PROXY": "http://p", "no_proxy": "10.1.2.3:80,pypi.example:443"}, (None, "http://p")),
                          ({"PIP_PROXY": "http://o", "no_proxy": "*"}, ("http://o", "http://o"))):
            settings = self.settings(**env)
            self.assertEqual((settings.proxy_for(https), settings.proxy_for(http)), want, env)

    def test_urls(self):
        origin = index.Origin("https://us%40er:p%3A@HOST.example:8443/a b".replace(" ", "%20") + "?q=\u00fc")
        self.assertEqual((origin.user, origin.password, origin.key),
                         ("us@er", "p:", ("https", "host.example", 8443)))
        self.assertEqual(origin.text, "https://host.example:8443/a%20b?q=%C3%BC")
        self.assertEqual(index.Origin("http://[::1]:80/").name, "[::1]")
        for bad in ("http://h/a b", "http://h/\r\nX: y", "http://h:99999/", "http://[::1/", "http://h/\x00"):
            with self.assertRaises(ValueError):
                index.Origin(bad)

    def test_where_things_are_fetched_from(self):
        fetcher = index.Fetcher(self.settings(PIP_TRUSTED_HOST="good plain:81"))
        for url, start, want in (("https://any/", None, True), ("http://any/", None, False),
                                 ("http://good/", None, True), ("http://good:9/", None, True),
                                 ("http://plain/", None, False), ("http://plain:81/", None, True),
                                 ("http://127.0.0.1:3/", None, True), ("http://localhost/", None, True),
                                 # What a page of an index names is less than what the operator does.
                                 ("http://127.0.0.1:3/", "https://any/", False),
                                 ("http://localhost/", "http://good/", False),
                                 ("http://169.254.169.254/", "https://any/", False),
                                 ("http://any/", "https://any/", False), ("http://good/", "https://any/", True),
                                 ("http://good:5/", "http://good/", True),
                                 ("file:///etc/passwd", None, False), ("ftp://good/", None, False),
                                 ("unix:/run/x", None, False), ("https:///x", None, False), ("", None, False)):
            start = start and index.Origin(start)
            self.assertEqual(bool(fetcher.is_allowed(index.Origin(url), start)), want, (url, start))


    def test_certificates_that_are_not_there_are_told_before_the_build(self):
        env = {**self.env, "PIP_CONFIG_FILE": "/dev/null"}
        self.assertIn("indexes", subprocess.run([SCRIPT, "settings"], env=env, check=True,
                                                stdout=subprocess.PIPE, text=True).stdout)
        for name in "PIP_CERT", "PIP_CLIENT_CERT":
            done = subprocess.run([SCRIPT, "settings"], env={**env, name: "/nowhere"}, stdout=subprocess.PIPE,
                                  stderr=subprocess.PIPE, text=True, check=False)
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("cert or client-cert: No such file", done.stderr)


class Links(html.parser.HTMLParser):
    """What pip sees in a page."""

    def __init__(self, page):
        super().__init__()
        self.found, self.tags = [], []
        self.feed(page.decode())
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "a":
            self.found.append(dict(attrs))


def rewritten(read, text, base="https://h/simple/x/"):
    links = read(base, text)
    return links, Links(index.write_page(links, lambda link: "/file/%d/%s" % (links.index(link), link.name)))


PAGE = """<!DOCTYPE html><html><head><base href="../../packages/"></head><body>
<a href="x-1.0.tar.gz#sha256=ab12&amp;egg=x" data-requires-python="&gt;=3.6,&lt;4">x-1.0.tar.gz</a>
<A HREF='https://files.example/x-1.1-py3-none-any.whl#md5=0' data-yanked data-core-metadata="sha256=cd">y</A>
<a href="x-1.2%2Blocal.zip" data-yanked="bad &quot;one&quot;" data-dist-info-metadata="true">z</a>
<a href="../">up</a><a>none</a><a href="x.exe">no archive</a><a href="x-1.0.tar.gz.asc">no archive</a>
<a href="x-3.0.whl" data-core-metadata="no hash" onclick="x">x</a></body></html>"""


class Pages(unittest.TestCase):
    def test_html(self):
        links, page = rewritten(index.read_html, PAGE)
        self.assertEqual([link.url for link in links], [
            "https://h/packages/x-1.0.tar.gz", "https://files.example/x-1.1-py3-none-any.whl",
            "https://h/packages/x-1.2%2Blocal.zip", "https://h/packages/x-3.0.whl"])
        self.assertEqual(page.found, [
            {"href": "/file/0/x-1.0.tar.gz#sha256=ab12", "data-requires-python": ">=3.6,<4"},
            {"href": "/file/1/x-1.1-py3-none-any.whl#md5=0", "data-yanked": "",
             "data-core-metadata": "sha256=cd", "data-dist-info-metadata": "sha256=cd"},
            {"href": "/file/2/x-1.2+local.zip", "data-yanked": "bad \"one\"",
             "data-core-metadata": "true", "data-dist-info-metadata": "true"},
            {"href": "/file/3/x-3.0.whl"}])

    def test_json(self):
        files = [{"filename": "x-1.0.tar.gz", "url": "../f/x-1.0.tar.gz", "hashes": {"sha256": "ab", "md5": "00"},
                  "requires-python": "<4", "yanked": False, "core-metadata": {"sha256": "cd"}},
                 {"filename": "x-1-py3-none-any.whl", "url": "https://f/1?sig=x", "hashes": {}, "yanked": "why",
                  "dist-info-metadata": True},
                 {"filename": "x-2.zip", "url": "https://f/x", "hashes": None, "yanked": True,
                  "core-metadata": False},
                 {"filename": "../../etc/passwd", "url": "https://f/x"}, {"filename": 1, "url": 2}, [], None]
        links, page = rewritten(index.read_json, json.dumps({"meta": {"api-version": "1.0"}, "files": files}))
        self.assertEqual([link.url for link in links],
                         ["https://h/simple/f/x-1.0.tar.gz", "https://f/1?sig=x", "https://f/x"])
        self.assertEqual(page.found, [
            {"href": "/file/0/x-1.0.tar.gz#sha256=ab", "data-requires-python": "<4",
             "data-core-metadata": "sha256=cd", "data-dist-info-metadata": "sha256=cd"},
            {"href": "/file/1/x-1-py3-none-any.whl", "data-yanked": "why", "data-core-metadata": "true",
             "data-dist-info-metadata": "true"},
            {"href": "/file/2/x-2.zip", "data-yanked": ""}])
        for bad in ("", "[]", "{", "{\"files\": 3}", "[" * 100000, "null"):
            try:
                self.assertEqual(index.read_json("https://h/", bad), [])
            except index.Refused:
                pass

    def test_whatever_a_page_says_the_new_one_is_of_links_back_alone(self):
        """Pieces of pages, cut and joined at random: the same each time."""
        rng = random.Random(1)
        pieces = [PAGE[i:i + 17] for i in range(0, len(PAGE), 17)] + [
            "<a href=", "'", "\"", ">", "<", "</a>", "<!--", "-->", "<![CDATA[", "<!", "<?x", "&#x0;", "&#60;script&#62;",
            "<script>", "javascript:x.whl", "//evil/x.whl", "\x00", "\ud800", "\u202e", "http://[x.whl",
            "<base href='http://[' >", " data-yanked=\"\"><script>.whl", ".tar.gz", "x-1.whl", "\n", "%00", "#sha256="]
        for _ in range(3000):
            text = "".join(rng.choice(pieces) for _ in range(rng.randint(1, 30)))
            if rng.random() < 0.3:
                text = "<a href=\"%s\">" % text
            try:
                links, page = rewritten(index.read_html, text)
            except index.Refused:
                continue
            self.assertLessEqual(set(page.tags), {"html", "head", "meta", "body", "a", "br"}, text)
            self.assertEqual(len(page.found), len(links), text)
            for attrs in page.found:
                self.assertRegex(attrs["href"], r"\A/file/\d+/[A-Za-z0-9._+!~-]+(#[a-z0-9]+=[0-9A-Fa-f]+)?\Z")
                self.assertLessEqual(set(attrs), {"href", "data-requires-python", "data-yanked",
                                                  "data-core-metadata", "data-dist-info-metadata"})

    def test_whatever_json_says(self):
        rng = random.Random(2)

        def value(depth):
            kind = rng.randint(0, 7)
            if kind < 2 and depth:
                return {rng.choice(("files", "url", "filename", "hashes", "yanked", "core-metadata",
                                    "requires-python", "sha256")): value(depth - 1) for _ in range(4)}
            if kind < 3 and depth:
                return [value(depth - 1) for _ in range(3)]
            return rng.choice(("x-1.whl", "https://h/x-1.whl", "ab", "\ud800", "<script>", "", None, True, 1e9, -1))

        for _ in range(3000):
            text = json.dumps({"files": [value(2) for _ in range(4)]} if rng.random() < 0.8 else value(4))
            _, page = rewritten(index.read_json, text)
            self.assertLessEqual(set(page.tags), {"html", "head", "meta", "body", "a", "br"}, text)


class Server(http.server.BaseHTTPRequestHandler):
    """An index, or a proxy for one; answers are (status, headers, body) by path."""
    protocol_version = "HTTP/1.1"

    def do_GET(self):
        site = self.server.site
        site.asked.append((self.command, self.path, dict(self.headers)))
        status, headers, body = site.pages.get(self.path.partition("://")[2].partition("/")[2] and
                                               "/" + self.path.split("/", 3)[3] if "://" in self.path else self.path,
                                               (404, {}, b"no"))
        if site.credentials and self.headers.get(site.header) != site.credentials:
            status, headers, body = (407 if site.header.startswith("Proxy") else 401), {}, b"who?"
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)
        self.close_connection = headers.get("Connection") == "close"

    do_HEAD = do_GET

    def log_message(self, *words):
        pass


class Site:
    def __init__(self, case, credentials=None, header="Authorization"):
        class Threads(socketserver.ThreadingMixIn, http.server.HTTPServer):
            daemon_threads = True

        self.pages, self.asked = {}, []
        self.credentials, self.header = credentials, header
        server = Threads(("127.0.0.1", 0), Server)
        server.site = self
        self.host = "127.0.0.1:%d" % server.server_port
        threading.Thread(target=server.serve_forever, daemon=True, args=(0.01,)).start()
        case.addCleanup(server.server_close)
        case.addCleanup(server.shutdown)


def basic(text):
    return "Basic " + base64.b64encode(text.encode()).decode()


class Build:
    """The other side of `pip-index serve`."""

    def __init__(self, case, env, user=None):
        self.sock, theirs = socket.socketpair()
        self.stderr = tempfile.TemporaryFile()
        self.child = subprocess.Popen([SCRIPT, "serve"] + (["--user", str(user)] if user else []), env=env,
                                      stdin=theirs, stdout=self.stderr, stderr=self.stderr)
        theirs.close()
        case.addCleanup(self.close)

    def close(self):
        self.sock.close()
        status = self.child.wait()
        self.stderr.close()
        return status

    def said(self):
        self.sock.close()
        self.child.wait()
        self.stderr.seek(0)
        return self.stderr.read().decode()

    def read(self, size):
        data = b""
        while len(data) < size:
            piece = self.sock.recv(size - len(data))
            if not piece:
                raise EOFError
            data += piece
        return data

    def frame(self):
        size, = struct.unpack("!I", self.read(4))
        return None if size == index.BROKEN else self.read(size)

    def ask(self, line):
        """The head, and the body; None for one that is broken."""
        self.sock.sendall(line.encode() if isinstance(line, str) else line)
        head, body = json.loads(self.frame()), b""
        while True:
            piece = self.frame()
            if not piece:
                return head, None if piece is None else body
            body += piece

    def get(self, path):
        return self.ask("GET %s\n" % path)


class Serving(unittest.TestCase):
    def env(self, **env):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return {"HOME": folder.name, "PIP_CONFIG_FILE": "/dev/null", "PIP_RETRIES": "0", "NO_PROXY": "", **env}

    def build(self, **env):
        user = 65534 if os.geteuid() == 0 else None
        return Build(self, self.env(**env), user)

    def site(self, *words):
        site = Site(self, *words)
        site.pages["/simple/x/"] = (200, {"Content-Type": "text/html"},
                                    b"<a href='/f/x-1.whl#sha256=ab' data-core-metadata=true>x</a>")
        site.pages["/f/x-1.whl"] = (200, {}, b"w" * 200000)
        site.pages["/f/x-1.whl.metadata"] = (200, {}, b"Name: x")
        return site

    def fetched(self, build):
        head, body = build.get("/simple/0/X/")
        self.assertEqual(head["status"], 200, head)
        self.assertIn(b"/file/0/x-1.whl#sha256=ab", body)
        head, body = build.get("/file/0/x-1.whl")
        self.assertEqual((head["status"], head["length"], body), (200, 200000, b"w" * 200000))
        self.assertEqual(build.get("/file/0/x-1.whl.metadata")[1], b"Name: x")

    def test_pages_and_files(self):
        site = self.site()
        build = self.build(PIP_INDEX_URL="http://%s/simple" % site.host)
        self.fetched(build)
        head, body = build.ask("HEAD /file/0/anything\n")
        self.assertEqual((head["length"], body), (200000, b""))
        for path in ("/file/1/x", "/simple/1/x/", "/simple/0/nothing/", "/links/0/", "/", "/simple/0/../x/",
                     "/simple/0/x%2f..%2f/", "/simple/0/x/?q", "/file/0/", "/file/-1/x", "/file/0/a/b",
                     "http://%s/f/x-1.whl" % site.host, "//evil/", "/f/x-1.whl", "/simple/99999999/x/"):
            if path.startswith("/"):
                self.assertEqual(build.get(path)[0]["status"], 404, path)
        self.assertLessEqual({path for _, path, _ in site.asked},
                             {"/simple/x/", "/simple/nothing/", "/f/x-1.whl", "/f/x-1.whl.metadata"})

    def test_whether_a_url_is_that_of_an_index(self):
        build = self.build(PIP_INDEX_URL="https://u:p@H.example/simple/", PIP_EXTRA_INDEX_URL="http://127.0.0.1:1/x")
        for url, want in (("https://h.example/simple", 200), ("https://h.example:443/simple/", 200),
                          ("http://127.0.0.1:1/x/", 200), (index.default_index() + "/", 200),
                          ("http://h.example/simple", 404), ("https://u:p@h.example/simple", 404),
                          ("https://h.example/", 404), ("x y", 404), ("http://[", 404), ("\xff", 404)):
            text = base64.urlsafe_b64encode(url.encode("latin-1")).decode().rstrip("=")
            self.assertEqual(build.get("/same/" + text)[0]["status"], want, url)
        for path in ("/same/", "/same/a", "/same/a/b", "/same/===="):
            self.assertEqual(build.get(path)[0]["status"], 404, path)

    def test_what_is_no_request_ends_it(self):
        for bad in (b"POST / HTTP/1.1\n", b"GET http://h/\n", b"GET /a b\n", b"GET /\xff\n", b"GET /a\r\n", b"\n",
                    b"GET /%s\n" % (b"a" * 5000), b"x" * 10000):
            build = self.build(PIP_INDEX_URL="http://127.0.0.1:1/")
            build.sock.sendall(bad)
            with self.assertRaises((EOFError, ConnectionResetError), msg=bad):
                build.read(1)
            self.assertEqual(build.child.wait(), 0)

    def test_credentials_go_to_their_own_host_and_are_told_nobody(self):
        site = self.site(basic("user:pass word"))
        other = self.site()
        site.pages["/simple/y/"] = (200, {"Content-Type": "text/html"},
                                    ("<a href='http://%s/f/x-1.whl'>" % other.host).encode())
        site.pages["/simple/z/"] = (302, {"Location": "http://%s/simple/x/" % other.host}, b"")
        url = "http://user:pass%%20word@%s/simple/" % site.host
        build = self.build(PIP_INDEX_URL=url)
        self.fetched(build)
        # As a host that pip is told to trust; it is at another port, which is another server.
        self.assertEqual(build.get("/simple/0/y/")[0]["status"], 200)
        self.assertEqual(build.get("/file/1/x-1.whl")[0]["status"], 200)
        self.assertEqual(build.get("/simple/0/z/")[0]["status"], 200)
        self.assertEqual(len(other.asked), 2)
        self.assertFalse([headers for _, _, headers in other.asked if "Authorization" in headers])
        wrong = self.build(PIP_INDEX_URL=url.replace("word", "wrong"))
        head, _ = wrong.get("/simple/0/x/")
        self.assertEqual(head["status"], 502)
        self.assertIn("(401)", head["reason"])
        for text in (json.dumps(head), wrong.said(), build.said()):
            self.assertNotIn("user:", text)
            self.assertNotIn("pass", text.replace("a password", ""))
        self.assertNotIn("127.0.0.1", json.dumps(head))

    def test_netrc(self):
        site = self.site(basic("me:secret"))
        env = self.env(PIP_INDEX_URL="http://%s/simple" % site.host, PIP_TRUSTED_HOST="127.0.0.1 localhost")
        with open(os.path.join(env["HOME"], ".netrc"), "w", encoding="utf-8") as file:
            file.write("machine 127.0.0.1 login me password secret\nmachine localhost login me password other\n")
        build = Build(self, env, 65534 if os.geteuid() == 0 else None)
        self.fetched(build)
        # A host that a page links to and no configuration names is asked as anybody may.
        other = self.site()
        site.pages["/simple/y/"] = (200, {"Content-Type": "text/html"}, (
            "<a href='http://%s/f/x-1.whl'>" % other.host.replace("127.0.0.1", "localhost")).encode())
        build.get("/simple/0/y/")
        self.assertEqual(build.get("/file/1/x-1.whl")[0]["status"], 200)
        self.assertFalse([headers for _, _, headers in other.asked if "Authorization" in headers])

    def test_a_proxy_that_wants_a_password(self):
        proxy = self.site(basic("p:q"), "Proxy-Authorization")
        build = self.build(PIP_INDEX_URL="http://index.example/simple", PIP_TRUSTED_HOST="index.example",
                           http_proxy="http://p:q@" + proxy.host)
        self.fetched(build)
        self.assertEqual(proxy.asked[0][1], "http://index.example/simple/x/")
        self.assertEqual(proxy.asked[0][2]["Host"], "index.example")
        wrong = self.build(PIP_INDEX_URL="http://index.example/simple", PIP_TRUSTED_HOST="index.example",
                           http_proxy="http://p:wrong@" + proxy.host)
        head, _ = wrong.get("/simple/0/x/")
        self.assertEqual((head["status"], head["reason"]), (502, "it answers 407"))
        self.assertNotIn(proxy.host, wrong.said())
        # Through a tunnel, for https: the proxy here makes none.
        https = self.build(PIP_INDEX_URL="https://index.example/simple", HTTPS_PROXY="http://p:q@" + proxy.host)
        head, _ = https.get("/simple/0/x/")
        self.assertEqual((head["status"], head["reason"]), (502, "it cannot be reached"))
        said = https.said()
        self.assertIn("the proxy answers 501", said)
        self.assertNotIn(proxy.host, said)
        self.assertNotIn("p:q", said)

    def test_a_file_that_is_cut_short_is_broken(self):
        site = self.site()
        site.pages["/f/x-1.whl"] = (200, {"Content-Length": "300000", "Connection": "close"}, b"w" * 200000)
        build = self.build(PIP_INDEX_URL="http://%s/simple" % site.host)
        build.get("/simple/0/x/")
        head, body = build.get("/file/0/x")
        self.assertEqual((head["length"], body), (300000, None))
        # And the next one is as good as ever.
        self.assertEqual(build.get("/file/0/x-1.whl.metadata")[1], b"Name: x")

    def test_what_an_index_says_is_bounded_and_judged(self):
        site = self.site()
        long = b"<a href='/f/x-1.whl'>x</a>" + b" " * (index.PAGE_MAX + 1)
        for name, page, want in (("long", (200, {"Content-Type": "text/html"}, long), "more than"),
                                 ("kind", (200, {"Content-Type": "image/png"}, b"x"), "not a page"),
                                 ("bomb", (200, {"Content-Type": "text/html", "Content-Encoding": "gzip"},
                                           gzip.compress(b"\0" * (index.PAGE_MAX + 9))), "more than"),
                                 ("zip", (200, {"Content-Type": "text/html", "Content-Encoding": "gzip"}, b"no"),
                                  "not a page"),
                                 ("loop", (302, {"Location": "/simple/loop/"}, b""), "again and again"),
                                 ("nowhere", (302, {"Location": "http://[::1/"}, b""), "not a URL"),
                                 ("digits", (200, {"Content-Type": "text/html"}, b"&#" + b"9" * 5000 + b";"),
                                  "not a page"),
                                 ("file", (302, {"Location": "file:///etc/passwd"}, b""), "not taken from"),
                                 ("meta", (302, {"Location": "http://169.254.169.254/x"}, b""), "not taken from"),
                                 ("json", (200, {"Content-Type": "application/json"}, b"{"), "not a page"),
                                 ("down", (500, {}, b"x"), "answers 500"), ("no", (403, {}, b"x"), "403")):
            site.pages["/simple/%s/" % name] = page
            build = self.build(PIP_INDEX_URL="http://%s/simple" % site.host)
            head, body = build.get("/simple/0/%s/" % name)
            self.assertEqual((head["status"], body), (502, b""), name)
            self.assertIn(want, head["reason"], name)
        build = self.build(PIP_INDEX_URL="http://%s/simple" % site.host)
        site.pages["/simple/packed/"] = (200, {"Content-Type": "text/html", "Content-Encoding": "gzip"},
                                         gzip.compress(b"<a href='/f/x-1.zip'>"))
        self.assertIn(b"/file/0/x-1.zip", build.get("/simple/0/packed/")[1])
        build = self.build(PIP_INDEX_URL="http://%s/simple" % site.host)
        site.pages["/simple/links/"] = (200, {"Content-Type": "text/html"},
                                        b"<a href='http://169.254.169.254/x-1.whl'><a href='file:///etc/x-1.whl'>")
        self.assertEqual(build.get("/simple/0/links/")[0]["status"], 200)
        for number in (0, 1):
            self.assertIn("not taken from", build.get("/file/%d/x" % number)[0]["reason"])

    def test_an_index_that_is_not_there(self):
        with socket.socket() as sock:
            sock.bind(("127.0.0.1", 0))
            url = "http://127.0.0.1:%d/simple" % sock.getsockname()[1]
            build = self.build(PIP_INDEX_URL="file:///etc/ " + url, PIP_EXTRA_INDEX_URL=url)
            self.assertEqual(build.get("/simple/0/x/")[0]["status"], 404)
            head, _ = build.get("/simple/1/x/")
            self.assertEqual(head, {"status": 502, "reason": "it cannot be reached"})
            self.assertIn("%s/x/: Connection refused" % url, build.said())

    def test_random_bytes_are_no_request(self):
        rng = random.Random(3)
        alphabet = (string.printable.encode() + b"\x00\xff\x80")
        for _ in range(8):
            build = self.build(PIP_INDEX_URL="http://127.0.0.1:1/")
            build.sock.sendall(bytes(rng.choice(alphabet) for _ in range(3000)) + b"\n")
            with self.assertRaises((EOFError, ConnectionResetError)):
                build.read(1)
            self.assertEqual(build.child.wait(), 0)

    @unittest.skipUnless(os.geteuid() == 0, "only root can become somebody else")
    def test_it_ends_with_whoever_has_started_it(self):
        """Also where that one is killed, and an index does not answer."""
        ours, theirs = socket.socketpair()
        silent = socket.create_server(("127.0.0.1", 0))
        self.addCleanup(ours.close)
        self.addCleanup(silent.close)
        command = [SCRIPT, "serve"] + (["--user", "65534"] if os.geteuid() == 0 else [])
        parent = subprocess.Popen(
            [sys.executable, "-c", "import subprocess, sys\nchild = subprocess.Popen(sys.argv[1:])\n"
             "print(child.pid, flush=True)\nchild.wait()"] + command, stdin=theirs, stdout=subprocess.PIPE,
            env=self.env(PIP_TIMEOUT="3600", PIP_INDEX_URL="http://127.0.0.1:%d/" % silent.getsockname()[1]))
        theirs.close()
        child = os.pidfd_open(int(parent.stdout.readline()))
        self.addCleanup(os.close, child)
        ours.sendall(b"GET /simple/0/x/\n")
        silent.accept()[0].recv(1)
        parent.kill()
        parent.wait()
        parent.stdout.close()
        self.assertTrue(select.select([child], [], [], 60)[0], "it is still there")

    def test_it_does_not_serve_as_root(self):
        self.assertNotEqual(Build(self, self.env()).child.wait(), 0)
        build = self.build(PIP_INDEX_URL="http://127.0.0.1:1/")
        build.get("/")
        with open("/proc/%d/status" % build.child.pid, encoding="ascii") as file:
            fields = dict(line.split(":", 1) for line in file)
        self.assertEqual(fields["Uid"].split(), ["65534"] * 4)
        self.assertEqual(fields["Groups"].split(), [])
        self.assertEqual(int(fields["CapEff"], 16), 0)


if __name__ == "__main__":
    unittest.main()

"""The replica's own nginx: its configuration, its check, and its life.

It answers at the listening socket that the front has given.  Whatever the app's files say, they say it in the replica's
sandbox, and to nobody else.
"""

import glob
import os
import re
import select
import signal
import socket
import subprocess

from . import home, hook

PROGRAM = "/usr/sbin/nginx"
SHARED = "/etc/nginx"
BACKLOG = 4096
TEST_SECONDS = 60
ERRORS = (404, 500, 502, 503, 504)
# How long one serves what has come to its socket while the one before it was ending.
AGAIN_SECONDS = 0.3

# The address, the scheme and the port that the client has used, as the edge says it: nobody else reaches the socket.
HTTP = """daemon off;
worker_processes 1;
pid {folder}/nginx.pid;
error_log stderr warn;
events {{ worker_connections {connections}; }}
http {{
    include mime.types;
    default_type application/octet-stream;
    access_log off;
    server_tokens off;
    sendfile on;
    keepalive_timeout 65;
    absolute_redirect off;
    types_hash_max_size 2048;
    server_names_hash_bucket_size 128;
    gzip on;
    gzip_proxied any;
    gzip_vary on;
    gzip_types text/css text/javascript application/javascript application/x-javascript application/json
        text/xml application/xml application/rss+xml image/svg+xml;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    set_real_ip_from unix:;
    real_ip_header X-Real-IP;
    root {current};
    map $http_x_forwarded_proto $sandboxd_https {{ https on; }}
    map $http_x_forwarded_port $sandboxd_port {{ "" 80; default $http_x_forwarded_port; }}
{upstream}    server {{
        listen "unix:{own}" default_server;
{listen}        server_name _;
        include {current}/*nginx.conf;
{location}{errors}    }}
}}
"""
UPSTREAM = """    upstream uwsgi { server "unix:%s" max_fails=0; }
"""
LOCATION = """        location / {{
            if (-f {current}/maintenance) {{ return 503; }}
{inside}        }}
"""
# SCRIPT_NAME is there though it is empty: WSGI apps ask for it.
UWSGI = """            uwsgi_pass uwsgi;
            uwsgi_param QUERY_STRING $query_string;
            uwsgi_param REQUEST_METHOD $request_method;
            uwsgi_param CONTENT_TYPE $content_type;
            uwsgi_param CONTENT_LENGTH $content_length;
            uwsgi_param REQUEST_URI $request_uri;
            uwsgi_param PATH_INFO $document_uri;
            uwsgi_param DOCUMENT_ROOT $document_root;
            uwsgi_param SERVER_PROTOCOL $server_protocol;
            uwsgi_param REMOTE_ADDR $remote_addr;
            uwsgi_param REMOTE_PORT $remote_port;
            uwsgi_param SERVER_PORT $sandboxd_port;
            uwsgi_param SERVER_NAME $host;
            uwsgi_param HTTPS $sandboxd_https if_not_empty;
            uwsgi_param SCRIPT_NAME "";
            uwsgi_param UWSGI_SCRIPT {script};
            include {current}/*uwsgi.conf;
"""
WORD = re.compile(r"""\s+|\#[^\n]*|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|[;{}]|(?:\\.|[^\s;{}"'\\])(?:\\.|[^\s;{}\\])*""",
                  re.DOTALL)


def words(text):
    """The words of a configuration, and its ';', '{' and '}'; no comments."""
    at = 0
    while at < len(text):
        found = WORD.match(text, at)
        if found is None:
            at += 1
            continue
        at = found.end()
        word = found.group()
        if not word.isspace() and not word.startswith("#"):
            yield word


def named_locations(text):
    """Those locations of a configuration whose names begin with '@'."""
    names, before = set(), ";"
    for word in words(text):
        if before == "location" and word.startswith("@"):
            names.add(word)
        before = word
    return names


def own_socket(path, backlog=BACKLOG):
    """A listening socket in the replica, which outlives the programs that serve it."""
    if os.path.lexists(path):
        os.unlink(path)
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    sock.bind(path)
    sock.listen(backlog)
    return sock


class Nginx:
    def __init__(self, replica, inside, uwsgi=None):
        self.replica = replica
        self.folder = os.path.join(replica.home, home.OWN)
        os.makedirs(self.folder, exist_ok=True)
        self.path = os.path.join(self.make_names(), "nginx.conf")
        # The runtime asks by a socket of its own, for the front's leads here from outside only.
        self.own = own_socket(os.path.join(self.folder, "nginx.sock"))
        self.fds = [self.own.fileno()]
        self.listening = []
        name = next(iter(replica.sockets), None)
        if name is not None:
            self.listening.append(replica.sockets[name])
        self.fds += self.listening
        self.inside = inside
        self.uwsgi = uwsgi
        self.env = dict(replica.env, NGINX="".join("%d;" % fd for fd in self.fds))
        self.process = None
        self.again = None
        self.began_again = None

    def make_names(self):
        """The folder where nginx looks for a name without a path: the app's own are there, and Debian's uwsgi_params and
        the like."""
        folder = os.path.join(self.folder, "names")
        os.makedirs(folder, exist_ok=True)
        for place in self.replica.current, SHARED:
            for name in os.listdir(place):
                to = os.path.join(folder, name)
                if name != "nginx.conf" and not os.path.lexists(to):
                    os.symlink(os.path.join(place, name), to)
        return folder

    def text(self, errors=()):
        listen = ""
        for fd in self.listening:
            with socket.socket(fileno=os.dup(fd)) as sock:
                listen += '        listen "unix:%s";\n' % sock.getsockname()
        current = self.replica.current
        return HTTP.format(
            folder=self.folder, current=current, connections=self.connections(),
            own=self.own.getsockname(), listen=listen,
            upstream=UPSTREAM % self.uwsgi if self.uwsgi else "",
            location=LOCATION.format(current=current, inside=self.inside.format(current=current)),
            errors="".join("        error_page %d @%d;\n" % (code, code) for code in errors))

    @staticmethod
    def connections():
        """A request may have two connections and a file."""
        return max(min(os.sysconf("SC_OPEN_MAX") - 64, 8192), 64)

    def write(self, errors=()):
        with open(self.path, "w", encoding="utf-8", errors="surrogateescape") as out:
            out.write(self.text(errors))

    def command(self, *more):
        return [PROGRAM, "-p", self.replica.current + "/", "-c", self.path] + list(more)

    def run(self, *more):
        try:
            return subprocess.run(self.command(*more), env=self.env, cwd=self.replica.current, pass_fds=self.fds,
                                  stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                                  timeout=TEST_SECONDS, check=False)
        except subprocess.TimeoutExpired as error:
            raise hook.Failed("nginx: its configuration is not read within %d s: a name that nobody resolves?"
                              % TEST_SECONDS, (error.output or b"").decode("utf-8", "replace")) from None

    def check(self):
        """Write the configuration as it will be, with the error pages that the app has, or say what is wrong with it."""
        self.write()
        done = self.run("-T")
        output = done.stdout.decode("utf-8", "replace")
        if done.returncode == 0:
            there = named_locations(output)
            self.write([code for code in ERRORS if "@%d" % code in there])
            done = self.run("-t")
            output = done.stdout.decode("utf-8", "replace")
        else:
            output = output.partition("# configuration file ")[0]
        said = [line for line in output.splitlines() if "[emerg]" in line or "[warn]" in line or "[alert]" in line]
        if done.returncode != 0:
            raise hook.Failed(self.message(said or output.splitlines()), output[-hook.TAIL:])
        for line in said:
            if "could not open error log file" not in line:
                self.replica.print(line)

    def message(self, lines):
        """nginx's own sentence, with the file as the user calls it."""
        for line in lines:
            if "[emerg]" in line:
                text = line.partition("[emerg] ")[2]
                text = re.sub(r"^\d+#\d+: ", "", text)
                return "nginx: " + text.replace(self.replica.home + "/current/", "").replace(self.replica.home, "~")
        return "nginx: " + (lines[-1] if lines else "its configuration is wrong")

    def begin(self):
        self.process = self.replica.add("nginx", self.command(), env={"NGINX": self.env["NGINX"]}, fds=self.fds)

    def is_ready(self):
        return self.process.alive()

    def drain(self):
        """Take no more, and finish what there is."""
        if self.process.alive():
            self.process.process.send_signal(signal.SIGQUIT)

    def is_drained(self, now):
        """True when it has ended and nothing has come to its socket since it stopped to look."""
        if self.process.alive():
            if self.began_again is not None and now - self.began_again > AGAIN_SECONDS:
                self.began_again = None
                self.drain()
            return False
        if self.listening and select.select(self.listening, [], [], 0)[0]:
            self.began_again = now
            self.process.start()
            return False
        return True


def files(current):
    """The app's own, in the order in which they are read."""
    return sorted(glob.glob(os.path.join(glob.escape(current), "*nginx.conf")))

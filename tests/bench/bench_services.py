# SPDX-License-Identifier: Apache-2.0
"""Services: requests a second of an app behind the edge, its replica's nginx and uWSGI, beside the same chain of nginx,
nginx and uWSGI without a sandbox; and what an idle replica takes of the memory."""
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import time

from bench_daemon import ENV, BenchError, Daemon, available_kib, command
from bench_http import Edge, Series, wrk

SERVICES_ROUNDS = int(os.environ.get("SERVICES_ROUNDS", "5"))
SERVICES_SECONDS = float(os.environ.get("SERVICES_SECONDS", "3"))
SERVICES_N = int(os.environ.get("SERVICES_N", "24"))
IMAGE = "service"
PROCESSES = 2
CONNECTIONS = 16
PATIENCE_S = 120
APP = """
def application(environ, start_response):
    body = b"Hello, World!\\n"
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body)))])
    return [body]
"""
# As the edge asks a replica: without keep-alive, and bodies as they come.
OUTER = """daemon off; worker_processes %d; pid %s/outer.pid; error_log stderr error; %s
events { worker_connections 4096; }
http { access_log %s/outer.log combined buffer=64k flush=1s; proxy_temp_path %s/t1; client_body_temp_path %s/t2;
  fastcgi_temp_path %s/t3; uwsgi_temp_path %s/t4; scgi_temp_path %s/t5; sendfile on; tcp_nodelay on;
  upstream inner { server unix:%s/inner.sock; }
  server { listen 127.0.0.1:%d backlog=4096; location / { proxy_pass http://inner; proxy_buffering off;
    proxy_request_buffering off; proxy_set_header Host $http_host; proxy_set_header X-Real-IP $remote_addr;
    proxy_set_header X-Forwarded-For $remote_addr; proxy_set_header X-Forwarded-Proto $scheme; } } }
"""
INNER = """daemon off; worker_processes 1; pid %s/inner.pid; error_log stderr error; %s
events { worker_connections 4096; }
http { access_log off; proxy_temp_path %s/i1; client_body_temp_path %s/i2; fastcgi_temp_path %s/i3; uwsgi_temp_path %s/i4;
  scgi_temp_path %s/i5; sendfile on; gzip on; gzip_types text/css application/javascript; keepalive_timeout 65;
  server { listen unix:%s/inner.sock backlog=1024; location / { uwsgi_pass unix:%s/uwsgi.sock; include /etc/nginx/uwsgi_params;
    uwsgi_param UWSGI_SCRIPT wsgi; } } }
"""


class Chain:
    """nginx, nginx and uWSGI as processes of this machine, with the image's uWSGI."""

    def __init__(self, folder, rootfs, workers):
        self.folder, self.processes = folder, []
        os.makedirs(folder)
        os.chmod(folder, 0o777)
        with open(folder + "/wsgi.py", "w", encoding="utf-8") as f:
            f.write(APP)
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.address = s.getsockname()
        user = "user nobody nogroup;" if os.getuid() == 0 else ""
        with open(folder + "/outer.conf", "w", encoding="utf-8") as f:
            f.write(OUTER % ((workers, folder, user) + (folder,) * 7 + (self.address[1],)))
        with open(folder + "/inner.conf", "w", encoding="utf-8") as f:
            f.write(INNER % ((folder, user) + (folder,) * 7))
        library = rootfs + "/usr/lib/x86_64-linux-gnu"
        plugins = [name for name in os.listdir(rootfs + "/usr/lib/uwsgi/plugins") if name.startswith("python3")]
        self.log = open(folder + "/log", "w", encoding="utf-8")
        self.begin([rootfs + "/usr/bin/uwsgi-core", "--plugin", "%s/usr/lib/uwsgi/plugins/%s" % (rootfs, plugins[0]), "--master",
                    "--die-on-term", "--socket", folder + "/uwsgi.sock", "--chmod-socket=666", "--listen", "1024", "--processes",
                    str(PROCESSES), "--pythonpath", folder, "--logdate", "--disable-logging"], LD_LIBRARY_PATH=library)
        nginx = shutil.which("nginx", path=ENV["PATH"])
        for name in "inner", "outer":
            self.begin([nginx, "-e", "stderr", "-c", "%s/%s.conf" % (folder, name)])
        end = time.monotonic() + PATIENCE_S
        while True:
            try:
                if wrk(self.address, "x", 1, 1):
                    return
            except (BenchError, AttributeError):
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)

    def begin(self, argv, **env):
        self.processes.append(subprocess.Popen(argv, env=dict(ENV, **env), stdin=subprocess.DEVNULL, stdout=self.log,
                                               stderr=self.log, start_new_session=True))

    def stop(self):
        for process in reversed(self.processes):
            process.send_signal(signal.SIGTERM)
        for process in self.processes:
            process.wait()
        self.log.close()


def put(daemon, folder, instances):
    """Deploys the app with so many replicas."""
    source = folder + "/app"
    if not os.path.isdir(source):
        os.makedirs(source + "/code")
        with open(source + "/code/wsgi.py", "w", encoding="utf-8") as f:
            f.write(APP)
    with open(folder + "/manifest.json", "w", encoding="utf-8") as f:
        json.dump({"format": 1, "app": "bench", "name": "www", "type": "python", "instances": instances,
                   "ports": [{"name": "http", "kind": "http"}], "sandbox": {"cpus": os.cpu_count()},
                   "config": {"uwsgi_processes": PROCESSES}}, f)
    command(daemon.ctl, "service", "put", source, "--manifest", folder + "/manifest.json", env=daemon.env)


def loads(edge, daemon, folder, table):
    workers = len(os.sched_getaffinity(0))
    chain = Chain(folder + "/chain", daemon.rootfs(IMAGE), workers)
    try:
        series = Series()
        for turn in range(SERVICES_ROUNDS):
            table.show("services %d" % turn)
            ways = [("service", edge.http, edge.host("www-bench")), ("plain", chain.address, "plain")]
            said = {name: wrk(address, host, CONNECTIONS, SERVICES_SECONDS)
                    for name, address, host in (ways if turn % 2 else reversed(ways))}
            series.add(**said)
        for name in "service", "plain":
            table.note("services: %s: %s" % ("edge, nginx and uWSGI in a sandbox" if name == "service" else
                                             "nginx, nginx and uWSGI without one", series.text(name)))
        table.note("services: %.1f %% of the plain chain's requests a second, p99 %.2f times, medians of %d alternating runs" % (
            100 * series.ratio("service", "plain"), series.ratio("service", "plain", 2), SERVICES_ROUNDS))
    finally:
        chain.stop()


def memory(daemon, folder, table):
    """What MemAvailable loses by each replica that has nothing to do."""
    put(daemon, folder, 1)
    time.sleep(1)
    before = available_kib()
    command(daemon.ctl, "scale", "bench/www=%d" % (SERVICES_N + 1), env=daemon.env)
    end = time.monotonic() + PATIENCE_S
    while True:
        info = json.loads(command(daemon.ctl, "--json", "service", "info", "bench/www", env=daemon.env))
        if sum(1 for each in info["replicas"] if each["serves"]) == SERVICES_N + 1:
            break
        if time.monotonic() > end:
            raise BenchError("the replicas are not up")
        time.sleep(0.2)
    time.sleep(2)
    lost = statistics.median(before - available_kib() for _ in range(5))
    table.note("services: an idle replica (nginx and uWSGI with %d processes) takes %.1f MiB, by %d of them" % (
        PROCESSES, lost / 1024 / SERVICES_N, SERVICES_N))


def services(work, table):
    """Measures in a daemon of its own, with an edge."""
    if not shutil.which("wrk", path=ENV["PATH"]):
        raise BenchError("there is no wrk: apt-get install wrk")
    folder = work + "/services"
    os.mkdir(folder)
    os.chmod(folder, 0o755)
    daemon = Daemon(folder, edge=True)
    try:
        daemon.start()
        edge = Plain(daemon)
        put(daemon, folder, 1)
        loads(edge, daemon, folder, table)
        memory(daemon, folder, table)
    finally:
        daemon.stop()


class Plain(Edge):
    """The edge's address alone."""

    def __init__(self, daemon):  # pylint: disable=super-init-not-called
        self.daemon = daemon
        self.http = self.address("edge-http")

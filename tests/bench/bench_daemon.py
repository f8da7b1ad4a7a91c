# SPDX-License-Identifier: Apache-2.0
"""A daemon to be measured, and what the kernel says about it and about the machine."""
import contextlib
import json
import os
import shutil
import signal
import subprocess
import time

HERE = os.path.dirname(os.path.realpath(__file__))
TOP = os.path.dirname(os.path.dirname(HERE))
BUILD = os.path.abspath(os.environ.get("BUILD", os.path.join(TOP, "build")))
IMAGES = os.environ.get("SANDBOXD_TEST_IMAGES", "/var/lib/sandboxd")
ENV = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
# The ways to start: start mode and policy. With fork, as many clones wait parked as the default policy
# says; with fork-0, a clone is made when a task asks for it.
HOWS = {"cold": ("cold", "default"), "restore": ("restore", "default"),
        "fork": ("fork", "default"), "fork-0": ("fork", "bench-parked-0")}
READY_S = 15.0


class BenchError(Exception):
    """Something that must work before anything can be measured does not."""


def program(name):
    """Builds a program of tests/bench/*.c; returns its path."""
    path = "%s/bench/%s" % (BUILD, name)
    if not os.access(path, os.X_OK):
        raise BenchError("%s is not there: make BUILD=%s bench-programs" % (path, BUILD))
    return path


def command(*args, env=None):
    """Runs a command to its end; returns its output. A failure is the benchmark's own."""
    result = subprocess.run(args, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                            stderr=subprocess.PIPE, text=True, env=env or ENV, check=False)
    if result.returncode != 0:
        raise BenchError("%s: exit status %d: %s" % (
            " ".join(args), result.returncode, result.stderr.strip()[-2000:]))
    return result.stdout


def read(path):
    """The content of a file of /proc; empty when its process has ended."""
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            return f.read()
    except OSError:
        return ""


def busy_ms():
    """CPU time that the whole machine has spent on anything."""
    words = read("/proc/stat").split("\n", 1)[0].split()
    user, nice, system, _, _, irq, softirq = (int(word) for word in words[1:8])
    return (user + nice + system + irq + softirq) * 1000.0 / os.sysconf("SC_CLK_TCK")


def available_kib():
    """MemAvailable; the median of several reads, because it changes all the time."""
    values = []
    for _ in range(9):
        for line in read("/proc/meminfo").splitlines():
            if line.startswith("MemAvailable:"):
                values.append(int(line.split()[1]))
        time.sleep(0.1)
    return sorted(values)[len(values) // 2]

EDGE_API = "sandboxd.localhost"  # where the edge leads to the API


class Daemon:
    """sandboxd with a state folder, socket and cgroup root of its own (or a running one)."""

    def __init__(self, work, running_max=0, edge=False, keys=None):
        self.process = self.log = None
        self.pid = 0  # of the monitor
        tree = os.environ.get("SANDBOXD_BUILD")
        if tree:
            self.ctl = tree + "/usr/local/bin/sandboxctl"
            self.binary = tree + "/usr/local/sbin/sandboxd"
            share = tree + "/usr/local/share/sandboxd"
        else:
            self.ctl, self.binary, share = BUILD + "/sandboxctl", BUILD + "/sandboxd", TOP
        self.share = os.environ.get("SANDBOXD_SHARE", share)
        self.env = dict(ENV, SANDBOXD_SHARE=self.share)
        # On a tmpfs, as /run is on every machine with systemd.
        self.state, self.run = work + "/state", "/dev/shm/%s-run" % os.path.basename(work)
        self.group = "sandboxd-%s-%d" % (os.path.basename(work).lower()[-24:], os.getpid())
        # keys: the folder of certificates of an edge that is to be asked by TLS as well.
        self.running_max, self.edge, self.keys = running_max, edge, keys
        self.refused = {}  # policies that this machine cannot have, and why
        self.lacking = {}  # ways to start an image that this machine does not have, and why

    def start(self):
        """Links the images into the state folder: nothing is copied, and nothing of the source is written to."""
        self.env["SANDBOXD_SOCKET"] = self.run + "/control.sock"
        self.env["SANDBOXD_STATE"] = self.state
        os.makedirs(self.state)
        command("cp", "-al", IMAGES + "/images", self.state + "/images")
        command(self.ctl, "policy", "install", "--defaults", env=self.env)
        args = [self.binary, "--state", self.state, "--run", self.run,
                "--cgroup", self.group]
        if "--http " in command(self.binary, "--help"):
            args += ["--http", "127.0.0.1:0"]
        if "--edge-http " in command(self.binary, "--help"):
            args += ["--edge-http", "127.0.0.1:0" if self.edge else "none"]
        if self.keys:
            args += ["--edge-https", "127.0.0.1:0", "--certificates", self.keys]
        if self.edge and "--api-name " in command(self.binary, "--help"):
            args += ["--api-name", EDGE_API]
        criu = os.environ.get("SANDBOXD_CRIU")
        if criu:
            args += ["--criu", criu + "/sbin/criu" if os.path.isdir(criu) else criu]
        if self.running_max and "--max-running" in command(self.binary, "--help"):
            args += ["--max-running", str(self.running_max)]
        self.log = open(self.run + ".log", "w+", encoding="utf-8")
        self.process = subprocess.Popen(args, stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=self.log, env=self.env)
        self.pid = self.process.pid
        end = time.monotonic() + 30
        while subprocess.call([self.ctl, "version"], env=self.env, stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL) != 0:
            if time.monotonic() > end or self.process.poll() is not None:
                self.log.seek(0)
                raise BenchError("sandboxd does not answer: " + self.log.read()[-2000:])
            time.sleep(0.02)

    def use_running(self, socket):
        """Does nothing, because the state folder belongs to somebody."""
        self.env["SANDBOXD_SOCKET"] = socket
        self.env["SANDBOXD_STATE"] = self.state = IMAGES
        self.pid = int(read(os.path.dirname(socket) + "/sandboxd.pid") or "0")
        for parked in (0, 8):
            self.refused["bench-parked-%d" % parked] = "the daemon is not the bench's own"

    def stop(self):
        """Removes the cgroups that the daemon keeps for its next start, because there will be none."""
        if not self.process:
            return
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        shutil.rmtree(self.run, ignore_errors=True)
        os.unlink(self.log.name)
        for folder in self.cgroups():
            for pid in read(folder + "/cgroup.procs").split():
                with contextlib.suppress(ProcessLookupError):  # it ends by itself
                    os.kill(int(pid), signal.SIGKILL)
        end = time.monotonic() + 10
        for folder in self.cgroups():
            while os.path.isdir(folder):
                try:
                    os.rmdir(folder)
                except OSError:  # its last process is not quite gone
                    if time.monotonic() > end:
                        break
                    time.sleep(0.05)

    def call(self, *args):
        """Runs a verb of sandboxctl with --json; returns the object that it prints."""
        return json.loads(command(self.ctl, "--json", *args, env=self.env))

    def rootfs(self, image):
        return os.path.realpath("%s/images/by-name/%s/rootfs" % (self.state, image))

    def starts(self):
        """start of every task, and its warning, by its label."""
        return {t["label"]: dict(t["start"] or {}, warning=t.get("warning"))
                for t in self.call("ps", "--all") if t.get("label")}

    def park_policy(self, parked):
        """Makes a copy of the default policy with so many parked clones; returns its name."""
        name = "bench-parked-%d" % parked
        if name in self.refused or os.path.exists("%s/%s.json" % (self.run, name)):
            return name
        with open(self.share + "/policies/default.json", encoding="utf-8") as f:
            policy = json.load(f)
        policy.update(name=name, fork={"parked": parked})
        with open("%s/%s.json" % (self.run, name), "w", encoding="utf-8") as f:
            json.dump(policy, f)
        try:
            command(self.ctl, "policy", "install", f.name, env=self.env)
        except BenchError as e:
            self.refused[name] = str(e).rsplit("sandboxctl: ", 1)[-1]
        return name

    def lacks(self, how, image, probe):
        """Makes what a way to start needs: policy, checkpoint, template. None when the mode
        asked for is the one used, else what came instead; probe gives mode and warning."""
        if (how, image) not in self.lacking:
            try:
                why = self.try_prepare(how, image, probe)
            except BenchError as e:
                why = str(e)
            if not why:
                return None
            self.lacking[how, image] = why
        return self.lacking[how, image]

    def try_prepare(self, how, image, probe):
        mode, policy = HOWS[how]
        if policy != "default":
            self.park_policy(int(policy.rsplit("-", 1)[1]))
        if policy in self.refused:
            return self.refused[policy]
        if mode != "cold":
            self.call("image", "warm", image, "--policy", policy)
        end = time.monotonic() + READY_S
        while True:
            used, warning = probe()
            if used == mode:
                return None
            if time.monotonic() > end:
                return "asked for %s, started as %s%s" % (
                    mode, used, ": " + warning if warning else "")
            time.sleep(0.2)

    def processes(self):
        """The parent of each of the daemon's processes: of its roles, sandboxes and templates."""
        parents, mine = {}, {}
        if not self.pid:
            return mine
        for pid in filter(str.isdigit, os.listdir("/proc")):
            words = read("/proc/%s/stat" % pid).rsplit(")", 1)[-1].split()
            if words:
                parents[int(pid)] = int(words[1])
        for pid in parents:
            at = pid
            while at in parents and at != self.pid:
                at = parents[at]
            if at == self.pid:
                mine[pid] = parents[pid]
        return mine

    def roles(self):
        """pid of each role."""
        titles = {pid: read("/proc/%d/cmdline" % pid).strip("\0") for pid in self.processes()}
        return {title.split(": ")[1]: pid for pid, title in titles.items()
                if title in ("sandboxd: monitor", "sandboxd: front", "sandboxd: logger")}

    def pid_of(self, ident):
        """The interpreter of a task or template: the oldest child of its init."""
        parents = self.processes()
        for pid in parents:
            title = read("/proc/%d/cmdline" % pid)
            if "init of" in title and ident in title:
                children = sorted(c for c, parent in parents.items() if parent == pid)
                if children:
                    return children[0]
        for pid in sorted(parents):
            if ident in read("/proc/%d/cgroup" % pid) and "python" in read("/proc/%d/cmdline" % pid):
                return pid
        return None

    def cpu_ms(self):
        """The processor time of all its processes, and of those that were waited for."""
        ticks = 0
        for pid in self.processes():
            words = read("/proc/%d/stat" % pid).rsplit(")", 1)[-1].split()
            ticks += sum(int(word) for word in words[11:15])
        return ticks * 1000.0 / os.sysconf("SC_CLK_TCK")

    def settle(self, at_most=120.0):
        """Waits until the daemon has hardly used a processor for two seconds."""
        quiet, last, end = 0, self.cpu_ms(), time.monotonic() + at_most
        while quiet < 2 and time.monotonic() < end:
            time.sleep(1)
            now = self.cpu_ms()
            quiet = quiet + 1 if abs(now - last) <= 20 else 0
            last = now

    def cgroups(self):
        """The daemon's cgroup folders in all hierarchies, the deepest first."""
        return [top for top, _, _ in os.walk("/sys/fs/cgroup", topdown=False)
                if self.group in top.split("/")]

    def sizes(self):
        """What must not grow with the number of tasks that have run."""
        sizes = {"processes": len(self.processes()), "cgroups": len(self.cgroups()),
                 "MemAvailable KiB": available_kib()}
        for role, pid in sorted(self.roles().items()):
            sizes[role + " fds"] = len(os.listdir("/proc/%d/fd" % pid))
            for line in read("/proc/%d/status" % pid).splitlines():
                if line.startswith("VmRSS:"):
                    sizes[role + " RSS KiB"] = int(line.split()[1])
        return sizes

    def templates(self):
        """What `template ls` prints; nothing when there is no such verb."""
        try:
            found = self.call("template", "ls")
        except (BenchError, ValueError):
            return []
        return found if isinstance(found, list) else found.get("templates", [])


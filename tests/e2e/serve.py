"""serve.py MODE listen|pair|own [OPTION...]: has the front of serve_front.c run a task that serves, and looks who
has its socket; `own`: one end of a pair, and the task has a module by the name of one that is warm.

SANDBOXD_SOCKET is the control socket, CTL is sandboxctl; OPTIONs are those of its `run`.
"""

import json
import os
import re
import socket
import struct
import subprocess
import sys
import tempfile

# In the sandbox: says what there is at 5, beside what else, and goes on until it is told to end.
TASK = """
import fcntl, json, os, socket, subprocess, sys
def fds():
    found = {}
    for number in os.listdir("/proc/self/fd"):
        try:
            found[int(number)] = os.readlink("/proc/self/fd/" + number)
        except OSError:
            pass
    return found
found = fds()
import random
own = getattr(random, "OWN", 0)
serve = socket.socket(fileno=5)
listens = serve.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
talk = serve.accept()[0] if listens else serve
inherits = not fcntl.fcntl(5, fcntl.F_GETFD) & fcntl.FD_CLOEXEC
child = subprocess.run(["/bin/sh", "-c", "readlink /proc/self/fd/5"], close_fds=False, stdout=subprocess.PIPE)
talk.sendall(json.dumps({"fds": found, "listens": listens, "inherits": inherits, "own": own,
                         "payload": open(os.environ["PAYLOAD_FILE"]).read(),
                         "child": child.stdout.decode().strip()}).encode() + b"\\n")
assert talk.recv(100) == b"end\\n"
print("served")
"""


def ask(request, fds):
    with socket.socket(socket.AF_UNIX) as control:
        control.connect(os.environ["SANDBOXD_SOCKET"])
        body = json.dumps(request).encode()
        socket.send_fds(control, [struct.pack("<I", len(body)) + body], fds)
        head = control.recv(4, socket.MSG_WAITALL)
        answer = json.loads(control.recv(struct.unpack("<I", head)[0], socket.MSG_WAITALL))
        assert answer["ok"], answer


def holders(link):
    """The command lines of all processes that have this open."""
    found = {}
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            for number in os.listdir("/proc/%s/fd" % pid):
                if os.readlink("/proc/%s/fd/%s" % (pid, number)) == link:
                    with open("/proc/%s/cmdline" % pid) as text:
                        found[int(pid)] = text.read().replace("\0", " ").strip()
        except OSError:
            continue
    return found


def main(mode, kind, *options):
    image = os.environ.get("IMAGE", "python")
    with tempfile.TemporaryDirectory() as folder:
        path = folder + "/sock"
        if kind == "listen":
            given = socket.socket(socket.AF_UNIX)
            given.bind(path)
            given.listen()
            talk = socket.socket(socket.AF_UNIX)
            talk.connect(path)
        else:
            given, talk = socket.socketpair()
        ask({"op": "serve"}, [given.fileno()])
        given.close()
        os.mkdir(folder + "/app")
        with open(folder + "/app/task.json", "w") as out:
            json.dump(dict({"code": TASK, "payload": {"k": 1}}, **({"dir": "."} if kind == "own" else {})), out)
        if kind == "own":
            with open(folder + "/app/random.py", "w") as out:
                out.write("OWN = 1")
        run = subprocess.Popen([os.environ["CTL"], "run", image, folder + "/app/task.json", "--label", "serve",
                                "--start", mode, *options], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE)
        talk.settimeout(float(os.environ["PATIENCE"]))
        told = json.loads(talk.makefile().readline())
        print(told)
        link = told["fds"]["5"]
        assert re.fullmatch(r"socket:\[\d+\]", link)
        # A newer libffi has its own library open.
        assert {number for number in told["fds"] if "libffi" not in told["fds"][number]} == set("0125"), told
        assert told["payload"] == '{"k": 1}'
        assert told["own"] == (kind == "own")
        assert told["listens"] == (kind == "listen") and told["inherits"] and told["child"] == link
        having = holders(link)
        assert len(having) == 1, having
        assert "python3" in list(having.values())[0], having
        # Nobody is left who could answer once it has ended.
        talk.sendall(b"end\n")
        out = run.communicate()[0]
        assert (run.returncode, out) == (0, b"served\n"), (run.returncode, out)
        assert talk.recv(1) == b""
        assert not holders(link)
        if kind == "listen":
            with socket.socket(socket.AF_UNIX) as late:
                assert late.connect_ex(path) == 111     # ECONNREFUSED


main(*sys.argv[1:])

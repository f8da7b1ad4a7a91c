"""supervisorctl and crontab as apps call them, and the socket by which supervisorctl asks the replica.

    control.py supervisorctl FOLDER WORD...
    control.py crontab FOLDER WORD...
"""

import json
import os
import socket
import sys
import time

SOCKET = "control.sock"
TABLE = "crontab"
LINE_MAX = 4096
# What one who asks may take: the replica has more to do.
ASK_SECONDS = 1
WAIT_SECONDS = 60
HELP = "status, start, stop and restart, of names or all; pid, version"


def install(folder, interpreter):
    """Programs for PATH."""
    programs = os.path.join(folder, "bin")
    os.makedirs(programs, exist_ok=True)
    for name in "supervisorctl", "crontab":
        path = os.path.join(programs, name)
        with open(path, "w") as out:
            out.write('#!/bin/sh\nexec %s -B -S -E "%s" %s "%s" "$@"\n' % (interpreter, os.path.abspath(__file__), name, folder))
        os.chmod(path, 0o755)
    return programs


class Control:
    """The replica's side: an answer to one line, at once."""

    def __init__(self, folder, processes):
        self.processes = processes
        path = os.path.join(folder, SOCKET)
        if os.path.lexists(path):
            os.unlink(path)
        self.listening = socket.socket(socket.AF_UNIX)
        self.listening.bind(path)
        self.listening.listen(16)

    def accept(self):
        sock = self.listening.accept()[0]
        with sock:
            sock.settimeout(ASK_SECONDS)
            try:
                ask = json.loads(sock.recv(LINE_MAX).decode())
                sock.sendall(json.dumps(self.answer(ask["do"], ask.get("name"))).encode())
            except (OSError, ValueError, KeyError, TypeError):
                pass

    def answer(self, do, name):
        now = time.monotonic()
        found = [each for each in self.processes.all if name in (None, each.name, each.name.partition(":")[0],
                                                                 each.name.rpartition(":")[2])]
        for each in found:
            if do == "stop":
                each.wanted = False
                each.end()
            elif do == "start":
                each.wanted = True
                if not each.alive():
                    each.start()
        return [{"name": each.name, "pid": each.process.pid if each.alive() else 0, "state": each.state(),
                 "seconds": int(now - each.began)} for each in found]


# The programs

def ask(folder, do, name=None):
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(WAIT_SECONDS)
        sock.connect(os.path.join(folder, SOCKET))
        sock.sendall(json.dumps({"do": do, "name": name}).encode())
        sock.shutdown(socket.SHUT_WR)
        data = b""
        while True:
            piece = sock.recv(65536)
            if not piece:
                return json.loads(data.decode())
            data += piece


def shown(each):
    if each["state"] == "RUNNING":
        seconds = each["seconds"]
        return "%-32s RUNNING    pid %d, uptime %d:%02d:%02d" % (each["name"], each["pid"], seconds // 3600,
                                                                 seconds // 60 % 60, seconds % 60)
    return "%-32s %s" % (each["name"], each["state"])


def until(folder, name, states, text):
    till = time.monotonic() + WAIT_SECONDS
    while True:
        there = ask(folder, "status", name)
        if all(each["state"] in states for each in there):
            for each in there:
                print("%s: %s" % (each["name"], text))
            return 0
        if time.monotonic() > till:
            print("%s: ERROR (%s)" % (name or "all", ", ".join(each["state"] for each in there)))
            return 1
        time.sleep(0.05)


def supervisorctl(folder, words):
    # -c FILE: there is one supervisor.
    while words and words[0].startswith("-"):
        words = words[2:] if words[0] in ("-c", "-s", "-u", "-p") else words[1:]
    do, names = (words[0] if words else "status"), words[1:]
    if do in ("reread", "update", "reload", "version", "avail"):
        print("3.0 (sandboxd)" if do == "version" else "No config updates to processes")
        return 0
    if do not in ("status", "start", "stop", "restart", "pid"):
        print("*** Unknown syntax: %s: there are %s" % (" ".join(words), HELP))
        return 2
    if not os.path.exists(os.path.join(folder, SOCKET)):
        print("no program runs yet: they are started after postinstall")
        return 0
    status = 0
    for name in names if names and "all" not in names else [None]:
        name = name and name.rstrip("*").rstrip(":")
        there = ask(folder, "status", name)
        if not there:
            print("%s: ERROR (no such process)" % name)
            status = 1
        elif do in ("status", "pid"):
            for each in there:
                print(shown(each) if do == "status" else each["pid"])
        else:
            if do in ("stop", "restart"):
                ask(folder, "stop", name)
                status |= until(folder, name, ("STOPPED", "EXITED", "FATAL"), "stopped")
            if do in ("start", "restart"):
                ask(folder, "start", name)
                status |= until(folder, name, ("RUNNING",), "started")
    return status


def crontab(folder, words):
    import cron
    path = os.path.join(folder, TABLE)
    if words[:1] == ["-u"]:
        words = words[2:]
    if words == ["-l"]:
        if not os.path.exists(path):
            sys.stderr.write("no crontab\n")
            return 1
        with open(path, encoding="utf-8", errors="surrogateescape") as text:
            sys.stdout.write(text.read())
        return 0
    if words == ["-r"]:
        if os.path.exists(path):
            os.unlink(path)
        return 0
    if len(words) > 1 or words and words[0].startswith("-") and words[0] != "-":
        sys.stderr.write("crontab: usage: crontab [FILE | - | -l | -r]\n")
        return 1
    try:
        if words and words[0] != "-":
            with open(words[0], encoding="utf-8", errors="surrogateescape") as there:
                text = there.read(1 << 20)
        else:
            text = sys.stdin.read(1 << 20)
        cron.read(text)
    except (OSError, cron.Wrong) as error:
        sys.stderr.write("crontab: %s\n" % error)
        return 1
    with open(path + ".new", "w", encoding="utf-8", errors="surrogateescape") as out:
        out.write(text)
    os.rename(path + ".new", path)
    return 0


if __name__ == "__main__":
    # cron is beside this file.
    sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
    try:
        sys.exit({"supervisorctl": supervisorctl, "crontab": crontab}[sys.argv[1]](sys.argv[2], sys.argv[3:]))
    except OSError as error:
        sys.stderr.write("%s: %s\n" % (sys.argv[1], error))
        sys.exit(1)

"""A supervised background worker's process: what it says to the front, which this file plays, and what it makes of that."""

import json
import os
import pickle
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import unittest

import harness

WAIT = 60
PROGRAM = os.path.join(harness.SOURCE, "http", "_sandboxd_service", "background.py")
LENGTHS = struct.Struct("<II")
GIVEN = struct.Struct("<QIIBdI")
PUT = struct.Struct("<BdI")
ENDED = struct.Struct("<QIBH")
MODULE = """
import asyncio, os, threading, time
from atasker import BackgroundQueueWorker, background_worker

@background_worker(q=True)
def work(item, _attempt=0, **kwargs):
    if item == "raise":
        raise ValueError("wrong")
    if item == "exit":
        os._exit(7)
    if item == "wait":
        time.sleep(3600)
    if item == "put":
        work.put(("more", _attempt))
        work.put(threading.Lock())
    if item == "other":
        other.put(5)
    return item != "stop"

@background_worker(q=True)
def other(item, **kwargs):
    pass

work.put("early")
work.start()
other.start()

@background_worker(q=asyncio.PriorityQueue)
def ranked(item, **kwargs):
    pass

@background_worker(e=True)
def event(**kwargs):
    time.sleep(0.2)

@background_worker(interval=100)
def tick(**kwargs):
    print("tick", flush=True)
"""


class Front:
    def __init__(self, worker, *siblings, module=MODULE):
        self.folder = tempfile.mkdtemp(prefix="background-test-")
        with open(os.path.join(self.folder, "m.py"), "w") as out:
            out.write(module)
        self.path = os.path.join(self.folder, "sock")
        listening = socket.socket(socket.AF_UNIX)
        listening.bind(self.path)
        listening.listen(5)
        self.log = open(os.path.join(self.folder, "log"), "w+b")
        env = {"PATH": "/usr/bin:/bin", "PYTHONPATH": os.path.join(harness.SOURCE, "modules"),
               "NOTIFY_SOCKET": os.path.join(self.folder, "notify")}
        self.notify = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.notify.bind(env["NOTIFY_SOCKET"])
        self.notify.settimeout(WAIT)
        self.process = subprocess.Popen(
            [sys.executable, "-u", "-B", PROGRAM, str(listening.fileno()), "m." + worker] + list(siblings),
            pass_fds=(listening.fileno(),), cwd=self.folder, env=env, stdout=self.log, stderr=self.log)
        listening.close()
        self.sock = None
        self.data = b""

    def connect(self):
        if self.sock:
            self.sock.close()
        self.data = b""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(WAIT)
        self.sock.connect(self.path)
        return self.hear("hello")

    def begin(self, **go):
        ready = self.notify.recv(1000)
        assert ready == b"READY=1", ready
        hello = self.connect()
        self.say("go", **go)
        return hello

    def say(self, op, body=b"", **more):
        head = json.dumps(dict(more, op=op)).encode()
        self.sock.sendall(LENGTHS.pack(len(head), len(body)) + head + body)

    def give(self, *items):
        """(id, value, rank)"""
        body = b""
        for each in items:
            data = json.dumps(each[1]).encode()
            body += GIVEN.pack(each[0], 1, 0, 0, each[2] if len(each) > 2 else 0.0, len(data)) + data
        self.say("items", body)

    def frame(self):
        while True:
            if len(self.data) >= 8:
                n_head, n_body = LENGTHS.unpack_from(self.data)
                if len(self.data) >= 8 + n_head + n_body:
                    head = json.loads(self.data[8:8 + n_head])
                    body = self.data[8 + n_head:8 + n_head + n_body]
                    self.data = self.data[8 + n_head + n_body:]
                    return head, body
            piece = self.sock.recv(65536)
            if not piece:
                raise AssertionError("it has closed: " + self.printed())
            self.data += piece

    def hear(self, op):
        while True:
            head, body = self.frame()
            if head["op"] == op:
                return head, body

    def ends(self, n, tell=True):
        """The ends of n items: (id, end, text)."""
        found = []
        while len(found) < n:
            head, body = self.hear("ends")
            at = 0
            while at < len(body):
                number, _, end, size = ENDED.unpack_from(body, at)
                at += ENDED.size
                found.append((number, end, body[at:at + size].decode()))
                at += size
            if tell:
                self.say("told", n=head["n"])
            self.stop = head.get("stop", False)
        return found

    def printed(self):
        self.log.flush()
        with open(self.log.name, "rb") as log:
            return log.read().decode()

    def close(self):
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for each in self.sock, self.notify, self.log:
            if each:
                each.close()
        shutil.rmtree(self.folder)


class Background(unittest.TestCase):
    def front(self, *words, **more):
        front = Front(*words, **more)
        self.addCleanup(front.close)
        return front

    def test_items(self):
        front = self.front("work", "other=other_one")
        hello, held = front.begin()
        self.assertEqual((hello["kind"], hello["by_rank"], held), ("queue", False, b""))
        # What the module has put while it was imported.
        head, body = front.hear("put")
        kind, _, size = PUT.unpack_from(body)
        self.assertEqual((kind, pickle.loads(body[PUT.size:PUT.size + size])), (1, "early"))
        front.give((1, None), (2, "raise"), (3, "put"))
        self.assertEqual(front.ends(3), [(1, 0, ""), (2, 1, "ValueError: wrong"), (3, 0, "")])
        self.assertFalse(front.stop)

    def test_own_puts(self):
        front = self.front("work", "other=other_one")
        front.begin()
        front.hear("put")
        front.give((3, "put"))
        head, body = front.hear("put")
        size = PUT.unpack_from(body)[2]
        self.assertEqual(pickle.loads(body[PUT.size:PUT.size + size]), ("more", 1))
        self.assertNotIn("to", head)
        front.ends(1)
        self.assertIn("cannot be pickled", front.printed())
        front.give((4, "other"))
        head, body = front.hear("put")
        self.assertEqual(head["to"], "other_one")

    def test_refused_stays(self):
        front = self.front("work")
        front.begin()
        head, _ = front.hear("put")
        front.say("refused", n=head["n"], message="no room")
        front.give((1, None))
        front.ends(1)
        self.assertIn("no room", front.printed())

    def test_false(self):
        front = self.front("work")
        front.begin()
        front.give((1, "stop"), (2, None))
        self.assertEqual(front.ends(1), [(1, 0, "")])
        self.assertTrue(front.stop)
        front.process.send_signal(signal.SIGTERM)
        self.assertEqual(front.ends(1), [(2, 2, "")])
        self.assertEqual(front.process.wait(WAIT), 0)

    def test_another_front(self):
        front = self.front("work")
        front.begin()
        front.give((1, None), (2, "wait"), (3, None))
        self.assertEqual(front.ends(1, tell=False), [(1, 0, "")])
        # What was not confirmed is held and said again; what was given is held.
        _, held = front.connect()
        self.assertEqual([struct.unpack_from("<QI", held, at)[0] for at in range(0, len(held), 12)], [1, 2, 3])
        self.assertEqual(front.ends(1), [(1, 0, "")])
        _, held = front.connect()
        self.assertEqual([struct.unpack_from("<QI", held, at)[0] for at in range(0, len(held), 12)], [2, 3])

    def test_ranks(self):
        front = self.front("ranked")
        hello, _ = front.begin()
        self.assertTrue(hello["by_rank"])
        front.give(*[(i, i, float(-i)) for i in range(1, 501)])
        found = front.ends(500)
        # Those beyond what it fetches ahead go back: the last in order.
        back = [number for number, end, _ in found if end == 2]
        self.assertLessEqual(len([1 for _, end, _ in found if end == 0]) - 192, 1)
        self.assertEqual(sorted(back), list(range(1, len(back) + 1)))

    def test_triggers(self):
        front = self.front("event")
        front.begin()
        front.say("trigger", trigger=3)
        self.assertEqual(front.hear("ran")[0]["trigger"], 3)
        front.say("trigger", trigger=4)
        front.say("trigger", trigger=5)
        ran = front.hear("ran")[0]["trigger"]
        self.assertEqual(ran if ran == 5 else front.hear("ran")[0]["trigger"], 5)

    def test_grid(self):
        front = self.front("tick")
        front.begin()
        self.assertEqual(front.hear("grid")[0]["interval_ns"], 100 * 10 ** 9)
        self.assertEqual(front.hear("tick")[0]["tick"], 0)
        late = self.front("tick")
        late.begin(grid_age_ns=950 * 10 ** 9, interval_ns=100 * 10 ** 9, tick=4)
        self.assertEqual(late.hear("tick")[0]["tick"], 9)
        self.assertIn("450.", late.printed())
        self.assertIn("4 that are dropped", late.printed())
        # One that is not due yet waits.
        early = self.front("tick")
        early.begin(grid_age_ns=950 * 10 ** 9, interval_ns=100 * 10 ** 9, tick=9)
        early.say("trigger", trigger=1)
        early.hear("ran")
        self.assertEqual(early.printed().count("tick"), 1)

    def test_wrong_modules(self):
        for text, want in (("raise RuntimeError('no')", b"ERROR=RuntimeError: no"),
                           ("work = 5", b"ERROR=TypeError: m.work is no background worker"),
                           ("", b"ERROR=LookupError: module m has no worker work")):
            front = self.front("work", module=text)
            self.assertTrue(front.notify.recv(1000).startswith(want))
            self.assertEqual(front.process.wait(WAIT), 1)


if __name__ == "__main__":
    unittest.main()

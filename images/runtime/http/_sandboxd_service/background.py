"""A background worker of atasker's whose queue the node has: background.py FD MODULE.NAME SIBLING...

FD listens, and only the front connects: the frames of wire/background.h.  The module is imported, and the worker is
started when the front says so, for another version's process may still be at work.  What the executor has done is
told in batches; what is not confirmed is told again to a front that was started again.

SIBLING is NAME=WORKER: workers of the module that have a sandbox of their own.  They are not started here, and what is
put to them goes to their queues.
"""

import importlib
import heapq
import inspect
import json
import logging
import math
import os
import pickle
import signal
import socket
import struct
import sys
import threading
import time
import traceback
from collections import OrderedDict, deque

LENGTHS = struct.Struct("<II")
GIVEN = struct.Struct("<QIIBdI")
PUT = struct.Struct("<BdI")
ENDED = struct.Struct("<QIBH")
HELD = struct.Struct("<QI")
JSON, PICKLE = 0, 1
DONE, FAILED, BACK = 0, 1, 2
RECORDS_MAX = 256
BYTES_MAX = 512 * 1024
ITEM_MAX = 256 * 1024
ERROR_MAX = 1000
WINDOW = 192            # items that are fetched ahead
FLUSH_SECONDS = 5
TICK_SECONDS = 1        # ticks of a faster grid are not told each

logger = logging.getLogger("atasker")


class Item:
    __slots__ = ("id", "attempt", "failures", "kind", "rank", "data")

    def __init__(self, id, attempt, failures, kind, rank, data):
        self.id = id
        self.attempt = attempt
        self.failures = failures
        self.kind = kind
        self.rank = rank
        self.data = data

    def __lt__(self, other):
        return (self.rank, self.id) < (other.rank, other.id)

    def value(self):
        return json.loads(self.data) if self.kind == JSON else pickle.loads(self.data)


def rank_of(item):
    """By what a PriorityQueue takes it: the item, or its first element, if that is a number."""
    if isinstance(item, (tuple, list)) and item:
        item = item[0]
    if isinstance(item, bool) or not isinstance(item, (int, float)):
        return 0.0
    try:
        rank = float(item)
    except OverflowError:
        return 0.0
    return rank if math.isfinite(rank) else 0.0


def frame(head, body=b""):
    text = json.dumps(head, separators=(",", ":")).encode()
    return LENGTHS.pack(len(text), len(body)) + text + body


class Link:
    """The connection to the front, and what has to be told there."""

    def __init__(self, listening, hello):
        self.listening = listening
        self.hello = hello              # its head
        self.lock = threading.Lock()
        self.work = threading.Condition(self.lock)
        self.sock = None
        self.waiting = deque()          # (records, head, what) in order: not sent yet
        self.unconfirmed = OrderedDict()    # by number: (frame, what): sent, and not told of
        self.number = 0
        self.ends = []                  # (id, attempt, end, text)
        self.ends_stop = False
        self.puts = deque()             # (to, record, item, worker)
        self.notes = deque()            # heads of frames that nobody confirms
        self.held = OrderedDict()       # by id: items that were given and are not confirmed as ended
        self.on_frame = None
        self.on_refused = None

    def start(self):
        for target in self.read_all, self.write_all:
            threading.Thread(target=target, name="sandboxd", daemon=True).start()

    # Reading

    def read_all(self):
        while True:
            try:
                sock = self.listening.accept()[0]
            except OSError:
                time.sleep(0.1)
                continue
            with self.lock:
                self.sock = sock
                body = b"".join(HELD.pack(item.id, item.attempt) for item in self.held.values())
                begin = [frame(dict(self.hello, op="hello"), body[:2 * RECORDS_MAX * HELD.size])]
                begin += [each for each, _ in self.unconfirmed.values()]
            try:
                sock.sendall(b"".join(begin))
                with self.lock:
                    self.work.notify_all()
                self.read(sock)
            except (OSError, ValueError) as error:
                logger.debug("the front's connection: %s", error)
            with self.lock:
                if self.sock is sock:
                    self.sock = None
            sock.close()

    def read(self, sock):
        data = bytearray()
        while True:
            piece = sock.recv(262144)
            if not piece:
                return
            data += piece
            at = 0
            while len(data) - at >= LENGTHS.size:
                n_head, n_body = LENGTHS.unpack_from(data, at)
                end = at + LENGTHS.size + n_head + n_body
                if len(data) < end:
                    break
                head = json.loads(bytes(data[at + LENGTHS.size:at + LENGTHS.size + n_head]))
                body = bytes(data[at + LENGTHS.size + n_head:end])
                at = end
                self.frame(head, body)
            del data[:at]

    def frame(self, head, body):
        op = head["op"]
        if op == "told" or op == "refused":
            with self.lock:
                _, what = self.unconfirmed.pop(head["n"], (None, ()))
                for each in what:
                    if isinstance(each, int):
                        self.held.pop(each, None)
                self.work.notify_all()
            if op == "refused" and self.on_refused:
                self.on_refused(what, head.get("message", ""))
            return
        if op == "items":
            items = []
            at = 0
            while at < len(body):
                fields = GIVEN.unpack_from(body, at)
                at += GIVEN.size
                items.append(Item(*fields[:5], body[at:at + fields[5]]))
                at += fields[5]
            with self.lock:
                for item in items:
                    self.held[item.id] = item
            head["list"] = items
        self.on_frame(head)

    # Writing

    def write_all(self):
        while True:
            with self.lock:
                while self.sock is None or not (self.ends or self.puts or self.notes or self.ends_stop):
                    self.work.wait()
                sock = self.sock
                data = self.gather()
            try:
                sock.sendall(data)
            except OSError:
                # What was to be confirmed is sent again over the next connection.
                with self.lock:
                    if self.sock is sock:
                        self.sock = None

    def gather(self):
        """Frames of what there is to say; with the lock held."""
        data = []
        # What an executor has put is there before its own item is gone.
        while self.puts:
            to, size, some = self.puts[0][0], 0, []
            while self.puts and self.puts[0][0] == to and len(some) < RECORDS_MAX and size < BYTES_MAX:
                some.append(self.puts.popleft())
                size += len(some[-1][1])
            head = {"op": "put"}
            if to is not None:
                head["to"] = to
            data.append(self.numbered(head, b"".join(each[1] for each in some), some))
        while self.ends or self.ends_stop:
            some, self.ends = self.ends[:RECORDS_MAX], self.ends[RECORDS_MAX:]
            body = b"".join(ENDED.pack(id, attempt, end, len(text)) + text for id, attempt, end, text in some)
            head = {"op": "ends"}
            if not self.ends and self.ends_stop:
                head["stop"] = True
                self.ends_stop = False
            data.append(self.numbered(head, body, [each[0] for each in some]))
        while self.notes:
            data.append(frame(self.notes.popleft()))
        return b"".join(data)

    def numbered(self, head, body, what):
        self.number += 1
        head["n"] = self.number
        data = frame(head, body)
        self.unconfirmed[self.number] = data, what
        return data

    def note(self, **head):
        with self.lock:
            self.notes.append(head)
            self.work.notify_all()

    def end(self, item, end, text="", stop=False):
        data = text.encode("utf-8", "replace")[:ERROR_MAX]
        with self.lock:
            self.ends.append((item.id, item.attempt, end, data))
            self.ends_stop = self.ends_stop or stop
            self.work.notify_all()

    def put(self, to, record, item, worker):
        with self.lock:
            self.puts.append((to, record, item, worker))
            self.work.notify_all()

    def flush(self, seconds):
        """Until all that was said is confirmed."""
        until = time.monotonic() + seconds
        with self.lock:
            while (self.ends or self.puts or self.notes or self.unconfirmed) and time.monotonic() < until:
                self.work.wait(0.05)


class Feed:
    """What a supervised worker takes its items from, and what it tells of them: atasker calls it."""

    def __init__(self, worker, link):
        self.worker = worker
        self.link = link
        self.by_rank = False
        self.ready = []             # given and not begun: a heap
        self.current = None
        self.trigger = 0            # the last from outside
        self.began = 0              # that the call which runs stands for
        self.ran = 0
        self.grid = None            # (age, interval, tick) of before, in seconds
        self.told_tick = 0.0
        self.lock = threading.Lock()
        self.wants = self.find_wants()

    def find_wants(self):
        """Which of the two the executor names among its parameters."""
        try:
            names = inspect.signature(self.worker._executor_given or self.worker.run).parameters
        except (TypeError, ValueError):
            return ()
        return tuple(name for name in ("_attempt", "_item_id") if name in names)

    # Items

    def give(self, items):
        back = []
        with self.lock:
            for item in items:
                heapq.heappush(self.ready, item)
            # Better ones have come: the last of what is not begun goes back.
            if len(self.ready) > WINDOW:
                self.ready.sort()
                back = self.ready[WINDOW:]
                del self.ready[WINDOW:]
        for item in back:
            self.link.end(item, BACK)
        self.wake()

    def wake(self):
        run = self.worker._current
        if run is not None:
            run.wake.ring()

    def take(self, nothing):
        """The value of the next item, which is current from then on."""
        while True:
            with self.lock:
                if not self.ready:
                    return nothing
                item = heapq.heappop(self.ready)
            try:
                value = item.value()
            except BaseException as error:
                logger.exception("worker %s: item %d cannot be read", self.worker.name, item.id)
                self.link.end(item, FAILED, "it cannot be read: %r" % error)
                continue
            self.current = item
            return value

    def extras(self):
        """What executors get that name it."""
        if not self.wants or self.current is None:
            return {}
        values = {"_attempt": self.current.failures + 1, "_item_id": self.current.id}
        return {name: values[name] for name in self.wants}

    def ended(self, error, stop):
        item, self.current = self.current, None
        if item is not None:
            if error is None:
                self.link.end(item, DONE, stop=stop)
            else:
                text = "".join(traceback.format_exception_only(type(error), error)).strip()
                self.link.end(item, FAILED, text)
        elif stop:
            self.link.note(op="stop")

    def unbegun(self):
        """The item that was taken is not executed now."""
        item, self.current = self.current, None
        if item is not None:
            with self.lock:
                heapq.heappush(self.ready, item)

    def back(self):
        with self.lock:
            items, self.ready = self.ready, []
        for item in items:
            self.link.end(item, BACK)

    # Triggers

    def triggered(self, number):
        self.trigger = number
        self.worker.trigger_threadsafe(force=True)

    def begins(self):
        self.began = self.trigger

    def run_ended(self):
        if self.began > self.ran:
            self.ran = self.began
            self.link.note(op="ran", trigger=self.ran)

    # The grid of an interval

    def pace(self, pace, now, delay, keep):
        if not keep or delay <= 0:
            return
        if self.grid is not None and abs(self.grid[1] - delay) < 1e-6:
            age, _, tick = self.grid
            pace.origin = now - age + pace.before
            pace.delay = delay
            pace.tick = tick + 1
            pace.due = pace.origin + pace.tick * delay
        else:
            self.link.note(op="grid", interval_ns=round(delay * 1e9))
            self.grid = None
        self.tick = pace.tick - 1

    def ticks(self, pace, now, delay, keep):
        """A call begins that is due."""
        if not keep or delay <= 0:
            return
        late = now - (pace.origin + (self.tick + 1) * delay)
        if pace.tick > self.tick + 1:
            logger.warning("worker %s: a call begins %.1f s late, for %d that are dropped", self.worker.name, late,
                           pace.tick - self.tick - 1)
        self.tick = pace.tick
        if delay >= TICK_SECONDS or now - self.told_tick >= TICK_SECONDS:
            self.told_tick = now
            self.link.note(op="tick", tick=self.tick)


class Supervision:
    """What atasker asks while workers of this process are the node's to start."""

    def __init__(self, link):
        self.link = link
        self.importing = True
        self.worker = None
        self.siblings = {}          # id(worker): its name at the node
        self.wanted = []            # what the module has started: (worker, args, kwargs)
        self.args = (), {}
        self.may_start = False
        link.on_refused = self.refused

    def starting(self, worker, args, kwargs):
        """None: start it. Else what start() returns."""
        if self.importing:
            self.wanted.append((worker, args, kwargs))
            return True
        if worker is self.worker and not self.may_start:
            self.args = args, kwargs
            return True
        if id(worker) in self.siblings:
            return False
        return None

    def holds(self, worker):
        return self.importing

    def record(self, item):
        try:
            data = pickle.dumps(item, pickle.HIGHEST_PROTOCOL)
        except Exception as error:
            logger.warning("worker %s: an item cannot be pickled, and stays in this process: %s", self.worker.name, error)
            return None
        if len(data) > ITEM_MAX:
            logger.warning("worker %s: an item of %d bytes is too long, and stays in this process", self.worker.name,
                           len(data))
            return None
        return PUT.pack(PICKLE, rank_of(item), len(data)) + data

    def put(self, worker, item):
        """Whether the item is the node's now."""
        if self.importing:
            return False
        to = None
        if worker is not self.worker:
            to = self.siblings.get(id(worker))
            if to is None:
                return False
        record = self.record(item)
        if record is None:
            return False
        self.link.put(to, record, item, worker)
        return True

    def trigger(self, worker):
        """Whether it is another process's."""
        to = self.siblings.get(id(worker))
        if to is None:
            return False
        self.link.note(op="trigger", to=to)
        return True

    def refused(self, what, message):
        """Items that the node does not take stay here."""
        for each in what:
            if isinstance(each, tuple):
                logger.warning("worker %s: the node does not take an item, which stays in this process: %s",
                               each[3].name, message)
                if each[3] is self.worker:
                    each[3]._put_here(each[2])


def kind_of(worker, workers):
    for kind, name in ((workers.BackgroundQueueWorker, "queue"), (workers.BackgroundIntervalWorker, "interval"),
                       (workers.BackgroundEventWorker, "event"), (workers.BackgroundAsyncWorker, "async")):
        if isinstance(worker, kind):
            return name
    return "plain"


def find(module, name, workers):
    """The worker of that name: an object, or a class of which one is made."""
    found = getattr(module, name, None)
    if found is None:
        raise LookupError("module %s has no worker %s" % (module.__name__, name))
    if inspect.isclass(found) and issubclass(found, workers.BackgroundWorker):
        return found(name=name)
    if not isinstance(found, workers.BackgroundWorker):
        raise TypeError("%s.%s is no background worker: give it @background_worker" % (module.__name__, name))
    return found


def notify(text):
    path = os.environ.pop("NOTIFY_SOCKET", "")
    if path:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sock:
            sock.sendto(text.encode("utf-8", "replace"), path)
        os.environ["NOTIFY_SOCKET"] = path


def load(path, siblings, link):
    """Import the module with nothing started; returns (the worker, the supervision, the package's supervisor)."""
    import atasker
    workers = importlib.import_module("atasker.workers")
    if not hasattr(workers, "supervision"):
        raise RuntimeError("the project has an atasker of its own: without it, the image's is used")
    supervision = workers.supervision = Supervision(link)
    module_name, _, name = path.rpartition(".")
    module = importlib.import_module(module_name)
    worker = supervision.worker = find(module, name, workers)
    for sibling in siblings:
        attribute, _, known = sibling.partition("=")
        other = getattr(module, attribute, None)
        if other is not None and other is not worker:
            supervision.siblings[id(other)] = known
    supervision.importing = False
    for other, args, kwargs in supervision.wanted:
        if other is worker:
            supervision.args = args, kwargs
        elif id(other) not in supervision.siblings:
            other.start(*args, **kwargs)
    return worker, supervision, workers, atasker


def main(argv):
    logging.basicConfig(format="%(levelname)s %(message)s")
    sys.path[0] = os.getcwd()
    listening = socket.socket(fileno=int(argv[1]))
    listening.setblocking(True)
    link = Link(listening, {})
    term = threading.Event()
    go = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, context: term.set())
    try:
        worker, supervision, workers, atasker = load(argv[2], argv[3:], link)
    except BaseException as error:
        text = "".join(traceback.format_exception(type(error), error, error.__traceback__))
        sys.stderr.write(text)
        notify("ERROR=%s" % traceback.format_exception_only(type(error), error)[-1].strip().replace("\n", " "))
        return 1
    feed = worker._feed = Feed(worker, link)
    kind = kind_of(worker, workers)
    link.hello.update(kind=kind, window=WINDOW)
    if kind == "queue":
        queue = worker.get_queue_obj()
        feed.by_rank = "priority" in type(queue).__name__.lower()
        link.hello["by_rank"] = feed.by_rank

    def on_frame(head):
        op = head["op"]
        if op == "items":
            if not feed.by_rank:
                for item in head["list"]:
                    item.rank = 0.0
            feed.give(head["list"])
        elif op == "trigger":
            feed.trigger = head["trigger"]
            if kind in ("event", "interval"):
                feed.triggered(head["trigger"])
        elif op == "go":
            if "grid_age_ns" in head and not go.is_set():
                feed.grid = head["grid_age_ns"] / 1e9, head["interval_ns"] / 1e9, head["tick"]
            go.set()

    link.on_frame = on_frame
    link.start()
    notify("READY=1")
    while not (go.is_set() or term.is_set()):
        # A signal's handler runs between two waits on every Python.
        go.wait(0.2)
    if go.is_set() and not term.is_set():
        supervision.may_start = True
        args, kwargs = supervision.args
        if kind == "queue":
            worker._hand_over()
        worker.start(*args, **kwargs)
        if feed.trigger > feed.ran and kind in ("event", "interval"):
            feed.triggered(feed.trigger)
    while not term.wait(0.5):
        pass
    # What runs ends as it does; the rest goes back.
    worker.stop()
    feed.back()
    link.flush(FLUSH_SECONDS)
    atasker.task_supervisor.stop(wait=FLUSH_SECONDS)
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


if __name__ == "__main__":
    sys.exit(main(sys.argv))

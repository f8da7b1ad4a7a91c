"""Parking: a warm interpreter waits, ready to be dumped, and wakes up as a task.

The contract is in sandbox_runtime; park.c says what the helper does.
"""

import fcntl
import gc
import io
import os
import stat
import struct
import sys
import threading

import sandbox_c
from sandbox_c import Long, Room
from sandbox_cold import ColdStart
from sandbox_entropy import Refusal
from sandbox_job import (GO_FD, NO_TASK, SERVE_FD, STARTED_FD, fail, read_job, surround_ahead, take_job,
                         without_task)
from sandbox_reads import Reads
from sandbox_rehearse import rehearse
from sandbox_repair import Repairs, watch_seeding
from sandbox_runtime import OWN, OWN_FOLDER, Run

Leave = None     # Python 2 ends as it always does
Touched = None   # and its clones rehearse themselves
if sys.version_info[0] > 2:
    from sandbox_leave import Leave
    from sandbox_touched import Touched

HERE = os.path.dirname(os.path.abspath(__file__))
ATTEMPTS = 5
PAGE = 4096
# So often that the interpreter specializes the code of a start.
REHEARSALS = 20

# The bytes of the go pipe.
GO = ord("g")
PREPARE = ord("c")

# Characters of what an HTTP worker's modules print when they are imported for a snapshot.
PRINTED_MAX = 16384

# How memory is marked that may be replaced by a mapping of a file: by this advice of madvise(), which smaps
# shows as a flag.  Nobody else gives it for memory without a file.
MADV_RANDOM = 1
MARK = "rr"

# Flags in smaps of memory that must stay: device memory, huge pages, locked, userfaultfd, a stack; memory
# that the kernel drops (the state of its vDSO random numbers, which must not be kept), wipes at a fork, or
# leaves out of one.
UNMOVABLE = frozenset("io pf ht lo um uw gd ss dp wf dc".split())



class Area(object):
    """A mapping of this process, from /proc/self/smaps; `own` counts the kilobytes that are only this process's."""

    def __init__(self, words):
        start, end = words[0].split("-")
        self.start = int(start, 16)
        self.end = int(end, 16)
        self.access = words[1]
        self.inode = int(words[4])
        self.path = words[5] if len(words) > 5 else ""
        self.own = 0
        self.flags = ()

    def prot(self):
        return ("r" in self.access) | ("w" in self.access) << 1

    def anonymous(self):
        return self.inode == 0 and not self.path.startswith(("[heap", "[stack", "[v"))

    def movable(self, libraries):
        """Whether the mapping may become a private mapping of a file, in which MADV_DONTNEED does not make
        zeros.

        Allocators that modules bring along count on these zeros.  Python's arenas, the C library's heap and
        the data of libraries do not; what anything else has mapped is left as it is.
        """
        return (self.own > 0 and self.access[0] == "r" and self.access[2:] == "-p"
                and (self.path == "[heap]" or self.path in libraries
                     or (self.anonymous() and MARK in self.flags))
                and not self.path.endswith(("/park.so", "/watch.so"))
                and UNMOVABLE.isdisjoint(self.flags))


def memory_areas():
    areas = []
    with open("/proc/self/smaps") as smaps:
        for line in smaps:
            words = line.split()
            if words[0][-1] != ":":
                areas.append(Area(words))
            elif words[0] in ("Anonymous:", "Swap:"):
                areas[-1].own += int(words[1])
            elif words[0] == "VmFlags:":
                areas[-1].flags = words[1:]
    return areas


def movable_ranges():
    """An array of start, length and protection, as the helper in park.c takes it; and how many there are."""
    numbers = []
    areas = memory_areas()
    libraries = frozenset(area.path for area in areas if area.inode and "x" in area.access)
    for area in areas:
        if area.movable(libraries):
            numbers += [area.start, area.end - area.start, area.prot()]
    return struct.pack("%dL" % len(numbers), *numbers), len(numbers) // 3


def place_in(folder):
    """Where in a folder's files the exception that is handled was raised, " (FILE:LINE)"; "" where in none of them."""
    found = ""
    trace = sys.exc_info()[2]
    while trace is not None:
        name = trace.tb_frame.f_code.co_filename
        path = os.path.realpath(name)
        if name.startswith(os.sep) and path.startswith(folder + os.sep):
            found = " (%s:%d)" % (path[len(folder) + 1:], trace.tb_lineno)
        trace = trace.tb_next
    return found


def import_module(name, reads, folder=None):
    problem = None
    try:
        __import__(name)
    except BaseException as error:
        problem = "warm: module '%s' does not import: %s: %s" % (name, type(error).__name__, error)
        if folder is not None:
            problem += place_in(folder)
    # What the module has read is told first: that the value was not there may be why the import has failed.
    problem = reads.check(name) or problem
    if problem:
        fail(3, problem)


class Printed(object):
    """While it is in force, what Python prints is also kept: each instance that comes out of the snapshot prints it
    again (_sandboxd_http.warm), as one prints it that imports the modules itself.
    """

    def __init__(self, kept):
        self.kept = kept
        self.room = PRINTED_MAX
        self.streams = {}

    def __enter__(self):
        for name in "stdout", "stderr":
            stream = getattr(sys, name)
            self.streams[name] = stream
            stream.write = self.tee(name, stream.write)
        return self

    def __exit__(self, *_):
        for stream in self.streams.values():
            del stream.write
        self.streams.clear()

    def tee(self, name, write):
        def written(text):
            if name in self.streams and isinstance(text, str) and self.room > 0:
                self.kept.append((name, text[:self.room]))
                self.room -= len(text)
                if self.room <= 0:
                    self.kept.append((name, "\nsandboxd: what else was printed is not kept in the snapshot\n"))
            return write(text)
        return written


class Nothing(object):
    """Does nothing for the body of a `with`."""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass


def printed_by(job):
    """What keeps the output of a worker's modules; of others' it is kept nowhere."""
    for name in job["warm"]:
        if name.startswith(OWN) and hasattr(sys.modules.get(name), "printed"):
            return Printed(sys.modules[name].printed)
    return Nothing()


def import_modules(job, work_dir, reads):
    """Import the image's modules, then the package's own; returns the generators that were made without a seed."""
    entropy = job.get("entropy")
    if entropy not in (None, b"refuse"):
        fail(125, "the job's entropy is %r" % entropy)
    if entropy is None:
        with watch_seeding() as seeded:
            for name in job["warm"]:
                import_module(name, reads)
            reads.own_come()
            with printed_by(job):
                for name in job["module"]:
                    import_module(name, reads)
        return seeded

    is_worker = any(name.startswith(OWN) for name in job["warm"])
    refusal = Refusal(work_dir, is_worker)
    with watch_seeding(refusal.unseeded_generator) as seeded:
        for name in job["warm"]:
            import_module(name, reads)
        reads.own_come()
        with refusal, printed_by(job):
            for name in job["module"]:
                import_module(name, reads, os.path.realpath(work_dir) if is_worker else None)
                for changed in refusal.changed():
                    fail(3, "warm: module '%s' changes the state of %s's global generator when it is imported"
                         % (name, changed))
    return seeded


def held_by(modules, is_it):
    """Which global of these modules holds something, ", held by MODULE.NAME"; "" where none does."""
    for module in modules:
        for name, value in sorted(vars(sys.modules[module]).items()) if module in sys.modules else ():
            if is_it(value):
                return ", held by %s.%s" % (module, name)
    return ""


def is_open_as(value, fd):
    kinds = (io.IOBase,)
    if "socket" in sys.modules:
        kinds += (sys.modules["socket"].socket,)
    try:
        return isinstance(value, kinds) and value.fileno() == fd
    except Exception:
        return False    # it is closed, or has no descriptor


def check_quiet(folders, modules):
    """Refuse to park with anything that a restored process could not have for itself."""
    if threading.active_count() > 1:
        names = sorted(thread.name for thread in threading.enumerate())
        others = [thread for thread in threading.enumerate() if thread is not threading.current_thread()]
        fail(3, "warm: a module has started a thread (%s)%s" % (
            ", ".join(names), held_by(modules, lambda value: any(value is thread for thread in others))))
    for number in os.listdir("/proc/self/fd"):
        fd = int(number)
        if fd <= STARTED_FD:
            continue
        try:
            target = os.readlink("/proc/self/fd/" + number)
        except OSError:
            continue    # the descriptor that this list was read from
        if target == "/dev/urandom":
            os.close(fd)    # Python 2 keeps this open, and opens it again when it is closed
        elif not is_library_file(fd, target, folders):
            fail(3, "warm: a module has left file descriptor %s open (%s)%s" % (
                number, target, held_by(modules, lambda value: is_open_as(value, fd))))


def is_library_file(fd, path, folders):
    """Whether this is a file of the image, open for reading: libffi keeps its own one open, once there are
    callbacks.
    """
    return (stat.S_ISREG(os.fstat(fd).st_mode)
            and not fcntl.fcntl(fd, fcntl.F_GETFL) & (os.O_WRONLY | os.O_RDWR)
            and not path.startswith(tuple(folder + "/" for folder in folders)))


def single_threaded():
    return len(os.listdir("/proc/self/task")) == 1


def move_memory(move, heap):
    """Move memory to the heap file; returns what went wrong, or None. A restore works without, but takes longer."""
    if not single_threaded():
        return "a library has started threads"
    write_fd = os.open(heap, os.O_RDWR)
    map_fd = os.open(heap, os.O_RDONLY)
    try:
        movable_ranges()    # called once ahead, because making the list takes memory itself
        for _ in range(ATTEMPTS):
            offset = (os.fstat(write_fd).st_size + PAGE - 1) & -PAGE
            ranges, count = movable_ranges()
            got = move(Long(write_fd), Long(map_fd), ranges, Long(count), Long(offset))
            if got == 0:
                return None
        return os.strerror(-got)
    except EnvironmentError as error:
        return str(error)
    finally:
        os.close(map_fd)
        os.close(write_fd)


class MarkedMemory(object):
    """While this exists, memory without a file that the interpreter takes for itself is marked."""

    def __init__(self, library):
        """To be made before any module of the image is imported: until then all memory is the interpreter's."""
        process = sandbox_c.load(None)
        madvise = sandbox_c.find(process, "madvise")
        for area in memory_areas():
            if area.anonymous() and area.access == "rw-p":
                madvise(Long(area.start), Long(area.end - area.start), Long(MADV_RANDOM))
        self.set = sandbox_c.find(process, "PyObject_SetArenaAllocator", sandbox_c.Procedure)
        if self.set is None:
            return  # Python 2: arenas that it makes later are not marked, so they are copied
        self.python = sandbox_c.ArenaAllocator()
        sandbox_c.find(process, "PyObject_GetArenaAllocator", sandbox_c.Procedure)(self.python)
        self.set(struct.pack("3Q", sandbox_c.address_of(self.python),
                             sandbox_c.address(library, "park_arena_make"),
                             sandbox_c.address(library, "park_arena_free")))

    def end(self):
        """From here on arenas are the interpreter's ordinary ones, as a task has them."""
        if self.set is not None:
            self.set(self.python)


def fork_hooks():
    """The functions that the interpreter calls before a fork, and after it in the child."""
    python = sandbox_c.load(None)
    if sys.version_info[0] == 2:
        return (lambda: None), sandbox_c.find(python, "PyOS_AfterFork", sandbox_c.Procedure)
    return (sandbox_c.find(python, "PyOS_BeforeFork", sandbox_c.Procedure),
            sandbox_c.find(python, "PyOS_AfterFork_Child", sandbox_c.Procedure))


class Parked(object):
    """A process that waits, and what it has found out in advance about waking up as another one."""

    def __init__(self, run_dir, work_dir, bare):
        self.run_dir = run_dir
        self.work_dir = work_dir
        self.cold = ColdStart(run_dir, work_dir, bare)

    def settle(self):
        """Do everything that comes before the wait."""
        run_dir, work_dir = self.run_dir, self.work_dir
        job = read_job(take_job(run_dir + "/job"))
        sys.path[0] = work_dir
        folders = (work_dir, run_dir, "/tmp")
        library = sandbox_c.load(os.path.join(HERE, "park.so"))
        move = sandbox_c.find(library, "park_move")
        self.wait = sandbox_c.find(library, "park_wait")
        self.wait_job = sandbox_c.find(library, "park_job")
        self.clock = sandbox_c.find(library, "park_clock")
        self.room = Room()
        self.memory = MarkedMemory(library)
        before_fork, self.after_fork = fork_hooks()
        self.leave = Leave(library) if Leave else None
        # In the folder in which a task's own import would be done.
        os.chdir(work_dir)
        os.environ["TASK_DIR"] = work_dir
        if any(name.startswith(OWN) for name in job["warm"] + job["module"]):
            sys.path.insert(0, OWN_FOLDER)
        with Reads(work_dir) as reads:
            seeded = import_modules(job, work_dir, reads)
        if sys.path[0] == OWN_FOLDER:
            del sys.path[0]
        os.close(SERVE_FD)      # see main()
        self.reads = reads
        # A module of the runtime's own that serves knows better than a script what its tasks do.
        self.own = [sys.modules[name] for name in job["warm"]
                    if name.startswith(OWN) and hasattr(sys.modules[name], "prepare")]
        for module in self.own:
            module.settle()
        self.repairs = Repairs(seeded, memory_areas(), folders)
        rehearse(self, REHEARSALS, b"/template")
        self.cold.settle(self.reads)
        sys.stdout.flush()
        check_quiet(folders, job["module"])
        if self.leave is not None:
            self.leave.settle()

        self.resume = gc.enable if gc.isenabled() else None
        gc.collect()
        gc.disable()
        freeze()
        trim = sandbox_c.find(sandbox_c.load(None), "malloc_trim")
        if trim is not None:
            trim(Long(0))
        self.memory.end()
        before_fork()
        self.touched = self.find_touched(library)
        problem = move_memory(move, run_dir + "/heap")
        if problem:
            sys.stderr.write("sandbox: memory is not in the heap file: %s\n" % problem)

    def find_touched(self, library):
        """The memory that a task touches when it begins; None where that cannot be known."""
        if Touched is None or not single_threaded():
            return None

        def prepare():
            self.make_unique(b"")
            for module in self.own:
                module.prepare()
                module.make_worker()

        def touch():
            rehearse(self, 1, b"/clone", [module.job() for module in self.own] or 1)

        return Touched(library, memory_areas(), prepare, touch) or None

    def make_unique(self, seed):
        try:
            self.after_fork()
            self.repairs.run(seed)
        except BaseException as error:
            fail(125, "the restored process cannot be made a new one: %s: %s" % (type(error).__name__, error))

    def prepare(self):
        """Do everything that needs no job; returns what surround() goes on with."""
        without_task(True)
        self.make_unique(b"")
        try:
            if self.touched is not None:
                self.touched.get()
            elif not self.own:
                rehearse(self, 1, b"/clone", 1)
            # What is opened here stays open until the job comes, and before it the socket of a run that serves may.
            os.dup2(GO_FD, SERVE_FD)
            for module in self.own:
                module.prepare()
                self.cold.look_ahead(read_job(module.job()))
            # Collect what is new, so that the first collection does not fall into the task's time.
            gc.collect(0)
            freeze()
            ahead = surround_ahead(self.run_dir, self.work_dir)
            os.close(SERVE_FD)
        except BaseException as error:
            fail(125, "the clone cannot be prepared: %s: %s" % (type(error).__name__, error))
        without_task(False)
        return ahead

    def prepared(self, name, ahead, resume, go_fd=GO_FD, ready_fd=STARTED_FD):
        """Wait for the job; returns the job's text and the task."""
        length = self.wait_job(Long(ready_fd), Long(go_fd), name, self.room, Long(Room._length_))
        if length < 0:
            os._exit(NO_TASK)
        job_text = self.room[:length] if length else take_job(name)
        job = read_job(job_text)
        self.repairs.refresh()
        run = Run(job, self.work_dir, ahead, self.clock, resume, (go_fd, ready_fd))
        run.reads = self.reads
        return job_text, run


def freeze():
    if hasattr(gc, "freeze"):
        gc.freeze()


def park(run_dir, work_dir, bare):
    """Wait for a job; returns its task. `bare` names the modules that a cold start has imported by now."""
    # Kept for the life of the process, because freeing it would take the task's time.
    parked = Parked.last = Parked(run_dir, work_dir, bare)
    try:
        parked.settle()
    except Exception as error:
        fail(3, "the process cannot be parked: %s: %s" % (type(error).__name__, error))
    order = parked.wait(Long(STARTED_FD), Long(GO_FD))
    if order == PREPARE:
        ahead = parked.prepare()
        job_text, run = parked.prepared((run_dir + "/job").encode(), ahead, parked.resume)
        if parked.cold.wanted(run.job):
            parked.cold.go(job_text, run.job)
        run.leave = parked.leave
        return run
    if order != GO:
        os._exit(NO_TASK)
    job_text = take_job(run_dir + "/job")
    job = read_job(job_text)
    if parked.cold.wanted(job):
        parked.cold.go(job_text, job)
    parked.make_unique(job.get("seed", b""))
    run = Run(job, work_dir, surround_ahead(run_dir, work_dir), parked.clock, parked.resume)
    run.reads = parked.reads
    run.leave = parked.leave
    return run

"""Parking: a warm interpreter waits, ready to be dumped, and wakes up as a task.

The contract is in sandbox_runtime; park.c says what the helper does.
"""

import fcntl
import gc
import os
import stat
import struct
import sys
import threading

import sandbox_c
from sandbox_c import Long, Room
from sandbox_cold import ColdStart
from sandbox_entropy import Refusal
from sandbox_job import GO_FD, NO_TASK, STARTED_FD, fail, read_job, surround_ahead, take_job, without_task
from sandbox_reads import Reads
from sandbox_rehearse import rehearse
from sandbox_repair import Repairs, watch_seeding
from sandbox_runtime import Run

Leave = None     # Python 2 ends as it always does
if sys.version_info[0] > 2:
    from sandbox_leave import Leave

HERE = os.path.dirname(os.path.abspath(__file__))
ATTEMPTS = 5
PAGE = 4096
# Often enough for the interpreter to specialize the code of a start.
REHEARSALS = 20

# What the go pipe says.
GO = ord("g")
PREPARE = ord("c")

# How memory is known that a file may take the place of: madvise(), and its flag in smaps.  Nobody else
# gives this advice for memory without a file.
MADV_RANDOM = 1
MARK = "rr"

# Of the flags in smaps: device memory, huge pages, locked, userfaultfd, a stack; memory that the
# kernel drops (the state of its vDSO random numbers, which must not be kept), wipes or leaves out
# when it forks.
UNMOVABLE = frozenset("io pf ht lo um uw gd ss dp wf dc".split())



class Area(object):
    """A line of /proc/self/maps, with the kilobytes that are this process's own."""

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
        """Whether it may be a private mapping of a file, in which MADV_DONTNEED does not make zeros.

        Allocators that modules bring along count on zeros.  Python's arenas, the C library's heap and
        the data of libraries do not; what another has mapped is left as it is.
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
    """What the helper takes: an array of start, length, protection; and how many."""
    numbers = []
    areas = memory_areas()
    libraries = frozenset(area.path for area in areas if area.inode and "x" in area.access)
    for area in areas:
        if area.movable(libraries):
            numbers += [area.start, area.end - area.start, area.prot()]
    return struct.pack("%dL" % len(numbers), *numbers), len(numbers) // 3


def import_module(name, reads):
    problem = None
    try:
        __import__(name)
    except BaseException as error:
        problem = "warm: module '%s' does not import: %s: %s" % (name, type(error).__name__, error)
    # What it has read comes first: that it was not there may be why the import has failed.
    problem = reads.check(name) or problem
    if problem:
        fail(3, problem)


def import_modules(job, work_dir, reads):
    """The image's modules, then the package's own; returns the generators made without a seed."""
    entropy = job.get("entropy")
    if entropy not in (None, b"refuse"):
        fail(125, "the job's entropy is %r" % entropy)
    if entropy is None:
        with watch_seeding() as seeded:
            for name in job["warm"]:
                import_module(name, reads)
            reads.own_come()
            for name in job["module"]:
                import_module(name, reads)
        return seeded

    refusal = Refusal(work_dir)
    with watch_seeding(refusal.refuse) as seeded:
        for name in job["warm"]:
            import_module(name, reads)
        reads.own_come()
        with refusal:
            for name in job["module"]:
                import_module(name, reads)
                for changed in refusal.changed():
                    fail(3, "warm: module '%s' changes the state of %s's global generator when it is imported"
                         % (name, changed))
    return seeded


def check_quiet(folders):
    """Refuse what a restored process could not have for itself."""
    if threading.active_count() > 1:
        names = sorted(thread.name for thread in threading.enumerate())
        fail(3, "warm: a module has started a thread (%s)" % ", ".join(names))
    for number in os.listdir("/proc/self/fd"):
        fd = int(number)
        if fd <= STARTED_FD:
            continue
        try:
            target = os.readlink("/proc/self/fd/" + number)
        except OSError:
            continue    # the one that this list was read from
        if target == "/dev/urandom":
            os.close(fd)    # Python 2 keeps it, and opens it again
        elif not is_library_file(fd, target, folders):
            fail(3, "warm: a module has left file descriptor %s open (%s)" % (number, target))


def is_library_file(fd, path, folders):
    """A file of the image, open for reading: libffi keeps its own, once there are callbacks."""
    return (stat.S_ISREG(os.fstat(fd).st_mode)
            and not fcntl.fcntl(fd, fcntl.F_GETFL) & (os.O_WRONLY | os.O_RDWR)
            and not path.startswith(tuple(folder + "/" for folder in folders)))


def single_threaded():
    return len(os.listdir("/proc/self/task")) == 1


def move_memory(move, heap):
    """Moves memory to the heap file.  A restore works without, too; it takes longer."""
    if not single_threaded():
        return "a library has started threads"
    write_fd = os.open(heap, os.O_RDWR)
    map_fd = os.open(heap, os.O_RDONLY)
    try:
        movable_ranges()    # once for nothing: the list itself takes memory
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
    """From now on, memory without a file that is the interpreter's own is marked."""

    def __init__(self, library):
        """Before any module of the image is imported: all that is there is the interpreter's."""
        process = sandbox_c.load(None)
        madvise = sandbox_c.find(process, "madvise")
        for area in memory_areas():
            if area.anonymous() and area.access == "rw-p":
                madvise(Long(area.start), Long(area.end - area.start), Long(MADV_RANDOM))
        self.set = sandbox_c.find(process, "PyObject_SetArenaAllocator", sandbox_c.Procedure)
        if self.set is None:
            return  # Python 2: its later arenas stay what they are, and are copied
        self.python = sandbox_c.ArenaAllocator()
        sandbox_c.find(process, "PyObject_GetArenaAllocator", sandbox_c.Procedure)(self.python)
        self.set(struct.pack("3Q", sandbox_c.address_of(self.python),
                             sandbox_c.address(library, "park_arena_make"),
                             sandbox_c.address(library, "park_arena_free")))

    def end(self):
        """A task's arenas are as they ever are."""
        if self.set is not None:
            self.set(self.python)


def fork_hooks():
    """What the interpreter itself does before a fork and after it, in the child."""
    python = sandbox_c.load(None)
    if sys.version_info[0] == 2:
        return (lambda: None), sandbox_c.find(python, "PyOS_AfterFork", sandbox_c.Procedure)
    return (sandbox_c.find(python, "PyOS_BeforeFork", sandbox_c.Procedure),
            sandbox_c.find(python, "PyOS_AfterFork_Child", sandbox_c.Procedure))


class Parked(object):
    """A process that waits, and what it has found out ahead, to be something else when it wakes up."""

    def __init__(self, run_dir, work_dir, bare):
        self.run_dir = run_dir
        self.work_dir = work_dir
        self.cold = ColdStart(run_dir, work_dir, bare)

    def settle(self):
        """Everything before the wait."""
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
        # Where a task's own import would be.
        os.chdir(work_dir)
        os.environ["TASK_DIR"] = work_dir
        with Reads(work_dir) as reads:
            seeded = import_modules(job, work_dir, reads)
        self.reads = reads
        self.repairs = Repairs(seeded, memory_areas(), folders)
        rehearse(self, REHEARSALS, b"/template")
        self.cold.settle(self.reads)
        sys.stdout.flush()
        check_quiet(folders)
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
        problem = move_memory(move, run_dir + "/heap")
        if problem:
            sys.stderr.write("sandbox: memory is not in the heap file: %s\n" % problem)

    def make_unique(self, seed):
        try:
            self.after_fork()
            self.repairs.run(seed)
        except BaseException as error:
            fail(125, "the restored process cannot be made a new one: %s: %s" % (type(error).__name__, error))

    def prepare(self):
        """Do ahead of the job all that can be; returns what the task has of it."""
        without_task(True)
        self.make_unique(b"")
        try:
            rehearse(self, 1, b"/clone", 1)
            # What is new is old by the time of the task: a first collection is not in its way.
            gc.collect(0)
            freeze()
            ahead = surround_ahead(self.run_dir, self.work_dir)
        except BaseException as error:
            fail(125, "the clone cannot be prepared: %s: %s" % (type(error).__name__, error))
        without_task(False)
        return ahead

    def prepared(self, name, ahead, resume, go_fd=GO_FD, ready_fd=STARTED_FD):
        """Waits for the job of a process that is prepared; returns its text, and the task."""
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
    """Waits for a job; returns its task.  `bare` names the modules that a cold start has by now."""
    # For as long as the process lives: to free it would be in the task's way.
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

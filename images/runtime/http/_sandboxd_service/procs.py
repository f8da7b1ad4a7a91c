"""The processes of a replica: started, watched, started again, and ended."""

import os
import signal
import subprocess
import sys
import time

# One that ends sooner than that has not started; after so many times in a row the replica has failed.
START_SECONDS = 1
TRIES = 4
# What does not end by its signal is killed after so long.
KILL_AFTER = 5
HERE = os.path.dirname(os.path.abspath(__file__))


def shell(line):
    """Words that run a line as a hook or a process runs: in a login shell, as the shell's own successor."""
    return ["/bin/sh", "-lc", line]


def signal_group(process, number):
    """Its own session's processes, which may be more than it."""
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        pass


class Process:
    """One program that is to run for as long as the replica does."""

    def __init__(self, name, argv, env, cwd, fds=(), stop=signal.SIGTERM):
        self.name = name
        self.argv = list(argv)
        self.env = env
        self.cwd = cwd
        self.fds = tuple(fds)       # descriptors that it inherits
        self.stop = stop            # a signal, or a function of the process
        self.patient = False        # it is started again however often it ends
        self.process = None
        self.began = 0.0
        self.quick = 0              # ends in a row that came too soon
        self.restarts = 0
        self.again = None           # when it is started again
        self.stopping = None        # since when
        self.wanted = True          # whether it is to run
        self.again_after = "all"    # which ends it is started again after: all, failure or none
        self.start_seconds = START_SECONDS
        self.kill_after = KILL_AFTER
        self.stdout = self.stderr = None    # paths of logs of its own; stderr may be "stdout"

    def start(self):
        self.again = self.stopping = None
        self.began = time.monotonic()
        logs = []
        try:
            stdout = self.open_log(self.stdout, logs)
            stderr = subprocess.STDOUT if self.stderr == "stdout" else self.open_log(self.stderr, logs)
            self.process = subprocess.Popen(self.argv, env=self.env, cwd=self.cwd, pass_fds=self.fds,
                                            stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr,
                                            start_new_session=True, restore_signals=True)
        except OSError as error:
            self.process = None
            sys.stderr.write("sandboxd: %s cannot be started: %s\n" % (self.name, error))
        finally:
            for log in logs:
                os.close(log)
        return self.process is not None

    @staticmethod
    def open_log(path, logs):
        if path is None:
            return None
        logs.append(os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644))
        return logs[-1]

    def is_over(self):
        """It has ended and is not started again."""
        return self.process is not None and self.process.poll() is not None and (
            self.again_after == "none" or self.again_after == "failure" and self.process.returncode == 0)

    def state(self):
        """The word that supervisorctl has for it."""
        if self.alive():
            return "STOPPING" if self.stopping is not None else "RUNNING"
        if not self.wanted or self.process is None:
            return "STOPPED"
        return "EXITED" if self.is_over() else "BACKOFF"

    def alive(self):
        return self.process is not None and self.process.poll() is None

    def how(self):
        """How it has ended, for people."""
        if self.process is None:
            return "cannot be started"
        code = self.process.returncode
        return "signal %d" % -code if code < 0 else "exit status %d" % code

    def end(self):
        if self.alive() and self.stopping is None:
            self.stopping = time.monotonic()
            if callable(self.stop):
                self.stop(self.process)
            else:
                signal_group(self.process, self.stop)

    def kill(self):
        if self.process is not None:
            signal_group(self.process, signal.SIGKILL)


class Processes:
    """All of a replica's, in the order in which they were added; they end in the opposite one."""

    def __init__(self):
        self.all = []
        self.ending = False

    def add(self, process):
        self.all.append(process)
        return process

    def start(self):
        for process in self.all:
            if process.process is None and process.again is None and process.wanted:
                process.start()

    def look(self):
        """Start again what has ended.  The one that does not start is returned: the replica has failed."""
        now = time.monotonic()
        if self.ending:
            return None
        for process in self.all:
            if process.alive():
                if process.stopping is not None and now - process.stopping > process.kill_after:
                    process.kill()
                continue
            if not process.wanted or process.is_over():
                continue
            if process.again is None:
                lived = now - process.began
                process.quick = process.quick + 1 if lived < process.start_seconds else 0
                if process.quick >= TRIES and not process.patient:
                    return process
                sys.stderr.write("sandboxd: %s has ended (%s)\n" % (process.name, process.how()))
                process.again = now + min(process.quick, 2 * TRIES) * (0.25 if process.patient else 1)
            if now >= process.again:
                process.restarts += 1
                process.start()
        return None

    def end(self):
        self.ending = True
        for process in reversed(self.all):
            process.end()

    def ended(self):
        """True when none is left; what has had its time is killed."""
        now = time.monotonic()
        left = False
        for process in self.all:
            if process.alive():
                left = True
                if process.stopping is not None and now - process.stopping > KILL_AFTER:
                    process.kill()
        return not left

    def states(self):
        return [{"name": each.name, "pid": each.process.pid if each.alive() else 0,
                 "state": "running" if each.alive() else "waiting" if each.again else "ended",
                 "restarts": each.restarts} for each in self.all]

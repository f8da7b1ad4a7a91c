"""What the app has given to crontab: lines with a time and a command, run by each replica.

    cron.py FILE    checks such a file: exits 1 and says what is wrong with it
"""

import os
import re
import subprocess
import sys
import time

LINES_MAX = 1000
JOBS_MAX = 32
MONTHS = "jan feb mar apr may jun jul aug sep oct nov dec".split()
DAYS = "sun mon tue wed thu fri sat".split()
NAMES = {"@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
         "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *"}
FIELDS = (("minute", 0, 59, ()), ("hour", 0, 23, ()), ("day of the month", 1, 31, ()), ("month", 1, 12, MONTHS),
          ("day of the week", 0, 7, DAYS))
VARIABLE = re.compile(r"""\s*["']?([A-Za-z_][A-Za-z0-9_]*)["']?\s*=\s*(.*?)\s*\Z""")


class Wrong(Exception):
    pass


def value(text, field):
    name, least, most, names = field
    if text.lower() in names:
        return names.index(text.lower()) + least
    if not (text.isascii() and text.isdigit()) or not least <= int(text) <= most:
        raise Wrong("%s: %r is none" % (name, text))
    return int(text)


def numbers(text, field):
    """What a field stands for."""
    name, least, most, _ = field
    found = set()
    for part in text.split(","):
        span, has_step, step = part.partition("/")
        if has_step and (not (step.isascii() and step.isdigit()) or not int(step)):
            raise Wrong("%s: %r is no step" % (name, step))
        if span == "*":
            begin, end = least, most
        else:
            first, is_span, last = span.partition("-")
            begin = value(first, field)
            end = value(last, field) if is_span else most if has_step else begin
        if end < begin:
            raise Wrong("%s: %r ends before it begins" % (name, span))
        found.update(range(begin, end + 1, int(step) if has_step else 1))
    return found


class Job:
    def __init__(self, fields, command, env):
        self.minute, self.hour, self.day, self.month, week = [numbers(*pair) for pair in zip(fields, FIELDS)]
        self.week = {day % 7 for day in week}
        # Where both days are said, either is enough.
        self.either = fields[2][0] != "*" and fields[4][0] != "*"
        self.env = env
        self.command, _, self.input = re.sub(r"\\%", "\0", command).partition("%")
        self.command = self.command.replace("\0", "%")
        self.input = self.input.replace("%", "\n").replace("\0", "%")

    def is_due(self, at):
        day, week = at.tm_mday in self.day, (at.tm_wday + 1) % 7 in self.week
        return (at.tm_min in self.minute and at.tm_hour in self.hour and at.tm_mon in self.month and
                (day or week if self.either else day and week))


def read(text):
    """The jobs of a crontab; an error names the line."""
    jobs, env = [], {}
    lines = text.splitlines()
    if len(lines) > LINES_MAX:
        raise Wrong("more than %d lines" % LINES_MAX)
    for n, line in enumerate(lines, 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        variable = VARIABLE.match(line)
        if variable and line[0] not in "*0123456789@":
            env[variable.group(1)] = variable.group(2).strip("\"'")
            continue
        if line.split()[0].lower() in NAMES:
            line = NAMES[line.split()[0].lower()] + " " + line.partition(line.split()[0])[2].strip()
        words = line.split(None, 5)
        try:
            if len(words) < 6:
                raise Wrong("must be five fields of a time and a command")
            jobs.append(Job(words[:5], words[5], dict(env)))
        except Wrong as error:
            raise Wrong("line %d: %s" % (n, error)) from None
    return jobs


class Cron:
    """Runs what is due, once a minute; what it prints is in the replica's log."""

    def __init__(self, path, env, home, say):
        self.path, self.env, self.home, self.say = path, env, home, say
        self.stamp = None
        self.jobs = []
        self.minute = int(time.time()) // 60
        self.running = []

    def load(self):
        try:
            stat = os.stat(self.path)
            stamp = (stat.st_ino, stat.st_mtime_ns)
            if stamp == self.stamp:
                return
            self.stamp = stamp
            with open(self.path, encoding="utf-8", errors="surrogateescape") as text:
                self.jobs = read(text.read())
        except FileNotFoundError:
            self.stamp, self.jobs = None, []
        except (OSError, Wrong) as error:
            self.jobs = []
            self.say("crontab: %s" % error)

    def turn(self, now=None):
        now = time.time() if now is None else now
        self.running = [process for process in self.running if process.poll() is None]
        if int(now) // 60 == self.minute:
            return
        self.minute = int(now) // 60
        self.load()
        at = time.gmtime(now)
        for job in self.jobs:
            if not job.is_due(at):
                continue
            if len(self.running) >= JOBS_MAX:
                self.say("crontab: %d jobs run still: not run now: %s" % (JOBS_MAX, job.command[:200]))
                continue
            self.run(job)

    def run(self, job):
        env = dict(self.env, **job.env)
        try:
            process = subprocess.Popen([env.get("SHELL", "/bin/sh"), "-c", job.command], env=env, cwd=self.home,
                                       stdin=subprocess.PIPE if job.input else subprocess.DEVNULL, start_new_session=True)
        except OSError as error:
            self.say("crontab: %s: %s" % (job.command[:200], error))
            return
        self.running.append(process)
        if job.input:
            try:
                # No more than a pipe holds, so this does not wait.
                process.stdin.write(job.input.encode("utf-8", "surrogateescape")[:65536])
                process.stdin.close()
            except OSError:
                pass


def main(argv):
    try:
        with open(argv[1], encoding="utf-8", errors="surrogateescape") as text:
            read(text.read())
    except (OSError, Wrong) as error:
        sys.stderr.write("crontab: %s\n" % error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))

"""The programs of an app's supervisord.conf, which run beside the service's own processes."""

import configparser
import os
import shlex
import signal
import socket

from . import hook
from .procs import Process

FILE = "supervisord.conf"
PREFIX = "program:"
NUMBER_MAX = 64
TRUE = ("true", "yes", "on", "1")
# In the sandbox there is one user, and these are said and not done.
ONE_USER = ("dotcloud", "root", "www-data", "task")


class Wrong(Exception):
    pass


class Program:
    """A section of the file."""

    def __init__(self, name, section, env, current):
        self.name = name
        self.section = section
        self.current = current
        self.known = {"program_name": name, "group_name": name, "here": current, "host_node_name": socket.gethostname(),
                      "numprocs": section.get("numprocs", "1"), "process_num": 0}
        self.known.update(("ENV_" + key, value) for key, value in env.items())

    def get(self, key, default=""):
        text = self.section.get(key, default)
        try:
            return text % self.known
        except (KeyError, ValueError, TypeError) as error:
            raise Wrong("%s: %s" % (key, error if not isinstance(error, KeyError) else "%%(%s)s is not known"
                                    % error.args[0])) from None

    def count(self, key, default, most):
        text = self.get(key, str(default))
        if not (text.isascii() and text.isdigit()) or int(text) > most:
            raise Wrong("%s: must be a number up to %d" % (key, most))
        return int(text)

    def flag(self, key, default):
        return self.get(key, default).strip().lower() in TRUE

    def path(self, key):
        """Of a log; None: the replica's own."""
        text = self.get(key).strip()
        if text in ("", "AUTO", "NONE", "syslog", "/dev/stdout", "/dev/stderr", "/dev/null"):
            return "/dev/null" if text in ("NONE", "/dev/null") else None
        return os.path.join(self.current, text)

    def environment(self):
        """KEY="value",OTHER=value"""
        words = shlex.shlex(self.get("environment"), posix=True)
        words.whitespace, words.whitespace_split, words.commenters = ", \t\n", True, ""
        pairs = {}
        try:
            for word in words:
                key, is_there, value = word.partition("=")
                if not is_there:
                    raise ValueError("%r has no =" % word)
                pairs[key.strip()] = value
        except ValueError as error:
            raise Wrong("environment: %s" % error) from None
        return pairs

    def stop_signal(self):
        name = self.get("stopsignal", "TERM").strip().upper()
        found = getattr(signal, "SIG" + name[3 * name.startswith("SIG"):], None)
        if found is None:
            raise Wrong("stopsignal: %s is none" % name)
        return found

    def processes(self, env):
        """[(priority, Process)]"""
        made = []
        first = self.count("numprocs_start", 0, 100000)
        for number in range(first, first + self.count("numprocs", 1, NUMBER_MAX)):
            self.known["process_num"] = number
            name = self.get("process_name", "%(program_name)s")
            try:
                argv = shlex.split(self.get("command"))
            except ValueError as error:
                raise Wrong("command: %s" % error) from None
            if not argv:
                raise Wrong("command: is missing")
            folder = os.path.join(self.current, os.path.expanduser(self.get("directory") or self.current))
            process = Process(name if name == self.name else "%s:%s" % (self.name, name), argv,
                              dict(env, **self.environment()), folder, stop=self.stop_signal())
            again = self.get("autorestart", "unexpected").strip().lower()
            process.wanted = self.flag("autostart", "true")
            process.again_after = "all" if again in TRUE else "failure" if again == "unexpected" else "none"
            process.start_seconds = self.count("startsecs", 1, 3600)
            process.kill_after = self.count("stopwaitsecs", 10, 3600)
            process.stdout = self.path("stdout_logfile")
            process.stderr = "stdout" if self.flag("redirect_stderr", "false") else self.path("stderr_logfile")
            made.append((self.count("priority", 999, 100000), process))
        return made


def read(path, env, current):
    """[Process] in the order of their priorities, and [what is said of them]."""
    parser = configparser.RawConfigParser(strict=False, inline_comment_prefixes=(";",), comment_prefixes=("#", ";"),
                                          default_section="\0")
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as text:
            parser.read_file(text, FILE)
    except configparser.Error as error:
        raise hook.Failed(str(error).replace("\n", " "), "") from None
    made, said = [], []
    for name in parser.sections():
        if not name.startswith(PREFIX):
            said.append("%s: [%s] is not for an app's own file, and is left out" % (FILE, name))
            continue
        program = Program(name[len(PREFIX):].strip(), dict(parser.items(name)), env, current)
        try:
            made += program.processes(env)
            user = program.get("user").strip()
        except Wrong as error:
            raise hook.Failed("%s: [%s] %s" % (FILE, name, error), "") from None
        if user and user not in ONE_USER:
            said.append("%s: [%s] user: there is one user here, and no %s" % (FILE, name, user))
    return [process for _, process in sorted(made, key=lambda pair: pair[0])], said


def add(replica):
    made, said = read(os.path.join(replica.current, FILE), replica.env, replica.current)
    for line in said:
        replica.print(line)
    for process in made:
        replica.processes.add(process)

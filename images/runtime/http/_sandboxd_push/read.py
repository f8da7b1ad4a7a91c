"""Reads dotcloud.yml: a mapping of services, checked key by key, each with the place where it stands.

The text is somebody else's.  It is parsed into events, which make no objects; what comes of aliases is counted as often
as it is meant, so that a small text cannot become a large one; and no tag makes anything but text and numbers.
"""

import re

from . import PushError

FILE = "dotcloud.yml"
TEXT_MAX = 64 << 10
NODES_MAX = 4000        # what the text means, with each alias in full
EVENTS_MAX = 8000       # what it says
DEPTH_MAX = 16
SERVICES_MAX = 32
VALUE_MAX = 4096
ENVIRONMENT_MAX = 200
INSTANCES_MAX = 1000

# Those that run here, those that others have to run, and those that nobody runs here.
TYPES = ("python", "python-worker", "custom", "static")
DATA = {"postgresql": "sql", "postgis": "sql", "mysql": "mysql", "mongodb": "mongodb", "redis": "redis",
        "rabbitmq": "amqp", "solr": "solr", "smtp": "smtp"}
ELSEWHERE = ("php", "php-worker", "ruby", "ruby-worker", "perl", "perl-worker", "nodejs", "java", "opa")
PORTS = ("http", "tcp", "udp")
NAME = re.compile(r"[a-z0-9_]{1,16}\Z")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}\Z")
CONFIG = re.compile(r"[a-z0-9_]{1,64}\Z")
PROCESS = re.compile(r"[a-zA-Z0-9_.-]{1,32}\Z")
MERGE = "tag:yaml.org,2002:merge"
STRING = "tag:yaml.org,2002:str"
SCALARS = frozenset("tag:yaml.org,2002:" + kind for kind in
                    ("str", "int", "float", "bool", "null", "timestamp", "merge", "value", "binary"))


class Node:
    """A part of the text: a scalar's text, or what is in a list or a mapping."""

    def __init__(self, kind, mark, tag=None, value=None):
        self.kind, self.mark, self.tag, self.value = kind, mark, tag, value
        self.size = 1       # nodes in it, each alias in full
        self.open = True    # its end has not come: an alias in it would never end

    def is_null(self):
        return self.kind == "scalar" and self.tag == "tag:yaml.org,2002:null"


class Reader:
    def __init__(self, text):
        self.text = text
        self.lines = text.split("\n")
        self.warnings = []

    def error(self, message, mark=None):
        if mark is None:
            return PushError(message)
        line = self.lines[mark.line].rstrip("\r") if mark.line < len(self.lines) else ""
        return PushError(message, mark.line + 1, mark.column + 1, line)

    def warn(self, message, mark):
        self.warnings.append("%s:%d: %s" % (FILE, mark.line + 1, message))

    # The text

    def parse(self):
        """The document's only Node."""
        import yaml

        if len(self.text.encode("utf-8", "surrogatepass")) > TEXT_MAX:
            raise self.error("has more than %d KiB" % (TEXT_MAX >> 10))
        resolver = yaml.resolver.Resolver()
        stack, anchors, root, count = [], {}, None, 0
        try:
            for event in yaml.parse(self.text, Loader=yaml.SafeLoader):
                mark = event.start_mark
                count += 1
                if count > EVENTS_MAX:
                    raise self.error("says too much: more than %d things" % EVENTS_MAX, mark)
                if isinstance(event, (yaml.SequenceEndEvent, yaml.MappingEndEvent)):
                    node = stack.pop()
                    node.open = False
                    if stack:
                        self.grow(stack[-1], node)
                    continue
                if isinstance(event, yaml.AliasEvent):
                    node = anchors.get(event.anchor)
                    if node is None:
                        raise self.error("*%s: there is no &%s before it" % (event.anchor, event.anchor), mark)
                    if node.open:
                        raise self.error("*%s: is a part of itself" % event.anchor, mark)
                elif isinstance(event, yaml.ScalarEvent):
                    tag = event.tag
                    if tag is None or tag == "!":
                        tag = resolver.resolve(yaml.ScalarNode, event.value, event.implicit)
                    node = Node("scalar", mark, tag, event.value)
                    node.open = False
                    if tag not in SCALARS:
                        raise self.error("the tag %s makes nothing here: leave it out" % tag, mark)
                elif isinstance(event, (yaml.SequenceStartEvent, yaml.MappingStartEvent)):
                    is_list = isinstance(event, yaml.SequenceStartEvent)
                    node = Node("list" if is_list else "mapping", mark, None, [])
                    if event.tag not in (None, "!", "tag:yaml.org,2002:seq", "tag:yaml.org,2002:map"):
                        raise self.error("the tag %s makes nothing here: leave it out" % event.tag, mark)
                elif isinstance(event, yaml.DocumentStartEvent) and root is not None:
                    raise self.error("has a second document: there is one file for all services", mark)
                else:
                    continue
                if getattr(event, "anchor", None) and not isinstance(event, yaml.AliasEvent):
                    anchors[event.anchor] = node
                if stack:
                    stack[-1].value.append((node, mark))
                    if node.kind == "scalar" or not node.open:
                        self.grow(stack[-1], node)
                else:
                    root = node
                if node.open:
                    stack.append(node)
                    if len(stack) > DEPTH_MAX:
                        raise self.error("is nested more than %d deep" % DEPTH_MAX, mark)
        except yaml.YAMLError as error:
            mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
            raise self.error("is no YAML: %s" % (getattr(error, "problem", None) or getattr(error, "reason", None)
                                                or "it cannot be read"), mark) from None
        except (ValueError, RecursionError) as error:
            raise self.error("is no YAML: %s" % error) from None
        return root

    def grow(self, parent, node):
        parent.size += node.size
        if parent.size > NODES_MAX:
            raise self.error("means too much: more than %d things, each alias in full" % NODES_MAX, node.mark)

    # Its parts

    def pairs(self, node, what):
        """[(key, its mark, the value)] of a mapping; what << brings is behind its own keys."""
        result, seen, merged = [], set(), []
        for (key, mark), (value, _) in zip(node.value[::2], node.value[1::2]):
            if key.kind != "scalar":
                raise self.error("%s: a key must be a word" % what, mark)
            if key.tag == MERGE:
                merged += [(value, mark)] if value.kind != "list" else [(item, mark) for item, _ in value.value]
                continue
            if key.value in seen:
                raise self.error("%s: %s stands here twice" % (what, key.value), mark)
            seen.add(key.value)
            result.append((key.value, mark, value))
        for value, mark in merged:
            if value.kind != "mapping":
                raise self.error("%s: behind << is a mapping" % what, mark)
            for key, at, inner in self.pairs(value, what):
                if key not in seen:
                    seen.add(key)
                    result.append((key, at, inner))
        return result

    def string(self, node, what, maximum=VALUE_MAX):
        """Any scalar is taken as the text that it is."""
        if node.kind != "scalar" or node.is_null():
            raise self.error("%s: must be a text, and is %s" % (what, kind_of(node)), node.mark)
        if "\0" in node.value or len(node.value.encode("utf-8", "replace")) > maximum:
            raise self.error("%s: must be a text of at most %d bytes" % (what, maximum), node.mark)
        return node.value

    def strings(self, node, what):
        if node.kind != "list":
            raise self.error("%s: must be a list, and is %s" % (what, kind_of(node)), node.mark)
        return [self.string(item, "%s[%d]" % (what, i)) for i, (item, _) in enumerate(node.value)]

    def mapping(self, node, what):
        if node.kind != "mapping":
            raise self.error("%s: must be a mapping, and is %s" % (what, kind_of(node)), node.mark)
        return self.pairs(node, what)

    # Services

    def read(self):
        root = self.parse()
        if root is None or root.is_null():
            raise self.error("is empty: it has a service a key, as in\n    www:\n      type: python")
        if root.kind != "mapping":
            raise self.error("must be a mapping of services, and is %s" % kind_of(root), root.mark)
        services = [self.service(name, mark, node) for name, mark, node in self.pairs(root, FILE)]
        if not services:
            raise self.error("has no service in it", root.mark)
        if len(services) > SERVICES_MAX:
            raise self.error("has more than %d services" % SERVICES_MAX)
        return services

    def service(self, name, mark, node):
        if not NAME.match(name):
            raise self.error("%s: a service's name has 1 to 16 of a-z, 0-9 and _" % name[:64], mark)
        if node.kind != "mapping":
            raise self.error("%s: must be a mapping with a type, and is %s" % (name, kind_of(node)), node.mark)
        service = {"name": name, "line": mark.line + 1, "type": None, "approot": ".", "requirements": [],
                   "systempackages": [], "environment": {}, "config": {}, "ports": [], "processes": []}
        marks = {}
        for key, at, value in self.pairs(node, name):
            marks[key] = at
            reader = READERS.get(key)
            if reader is None:
                self.warn("%s: there is no key %s: it has no effect" % (name, key[:64]), at)
            else:
                service[key] = reader(self, value, "%s: %s" % (name, key))
        if service["type"] is None:
            raise self.error("%s: has no type: it is one of %s" % (name, ", ".join(TYPES)), mark)
        if "process" in service and service["processes"]:
            raise self.error("%s: has process and processes: one of them is right" % name, marks["process"])
        if "process" in service:
            service["processes"] = [[name, service.pop("process")]]
        return service

    def kind(self, node, what):
        value = self.string(node, what)
        if value not in TYPES and value not in DATA and value not in ELSEWHERE:
            raise self.error("%s: there is no type %s: it is one of %s" % (what, value[:64], ", ".join(TYPES)), node.mark)
        return value

    def approot(self, node, what):
        value = self.string(node, what)
        parts = [part for part in value.split("/") if part not in ("", ".")]
        if value.startswith("/") or ".." in parts:
            raise self.error("%s: must be a folder below that of the file" % what, node.mark)
        return "/".join(parts) or "."

    def count(self, node, what):
        value = self.string(node, what)
        if not re.match(r"[0-9]{1,6}\Z", value) or not 1 <= int(value) <= INSTANCES_MAX:
            raise self.error("%s: must be a number from 1 to %d" % (what, INSTANCES_MAX), node.mark)
        return int(value)

    def environment(self, node, what):
        result = {}
        for key, mark, value in self.mapping(node, what):
            if not VARIABLE.match(key) or key.startswith("DOTCLOUD_"):
                raise self.error("%s: %s: a variable's name has letters, digits and _, and does not begin with DOTCLOUD_"
                                 % (what, key[:64]), mark)
            result[key] = "" if value.is_null() else self.string(value, "%s: %s" % (what, key), 32 << 10)
        if len(result) > ENVIRONMENT_MAX:
            raise self.error("%s: has more than %d variables" % (what, ENVIRONMENT_MAX), node.mark)
        return result

    def config(self, node, what):
        result = {}
        for key, mark, value in self.mapping(node, what):
            if not CONFIG.match(key):
                raise self.error("%s: %s: must be of a-z, 0-9 and _" % (what, key[:64]), mark)
            text = self.string(value, "%s: %s" % (what, key))
            if key != "python_version" and value.tag.endswith(":bool"):
                text = value.value.lower() in ("yes", "true", "on")
            elif key != "python_version" and value.tag.endswith(":int") and re.match(r"-?[0-9]{1,15}\Z", text):
                text = int(text)
            result[key] = text
        return result

    def ports(self, node, what):
        result = []
        for key, mark, value in self.mapping(node, what):
            if not NAME.match(key):
                raise self.error("%s: %s: a port's name has 1 to 16 of a-z, 0-9 and _" % (what, key[:64]), mark)
            kind = self.string(value, "%s: %s" % (what, key))
            if kind not in PORTS:
                raise self.error("%s: %s: must be http, tcp or udp" % (what, key), value.mark)
            result.append([key, kind])
        if len(result) > 15:
            raise self.error("%s: has more than 15 ports" % what, node.mark)
        return result

    def processes(self, node, what):
        result = []
        for key, mark, value in self.mapping(node, what):
            if not PROCESS.match(key):
                raise self.error("%s: %s: a process's name has 1 to 32 letters, digits, _, . and -"
                                 % (what, key[:64]), mark)
            result.append([key, self.string(value, "%s: %s" % (what, key))])
        if not result:
            raise self.error("%s: has no process in it" % what, node.mark)
        if len(result) > 32:
            raise self.error("%s: has more than 32 processes" % what, node.mark)
        return result


READERS = {"type": Reader.kind, "approot": Reader.approot, "requirements": Reader.strings,
           "systempackages": Reader.strings, "environment": Reader.environment, "config": Reader.config,
           "prebuild": Reader.string, "postbuild": Reader.string, "postinstall": Reader.string,
           "process": Reader.string, "processes": Reader.processes, "ports": Reader.ports, "instances": Reader.count}


def kind_of(node):
    if node.kind == "scalar":
        return "empty" if node.is_null() else "a text"
    return "a list" if node.kind == "list" else "a mapping"


def read(text):
    """([service], warnings); a service has all keys that have a default, and those that were given."""
    reader = Reader(text)
    return reader.read(), reader.warnings

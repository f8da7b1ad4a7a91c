"""Each form of configuration as the one manifest that the front reads (spec/worker_manifest.h).

Between the two stands a Config: what the user wants, checked as far as it can be without the image
that the worker will run on. build.py completes it with what only that image can tell."""

import base64
import datetime
import difflib
import json
import re

from . import DeployError
from .read import Document, show, show_path

# Where assets are in a package: files/ below it, and rules.json. Of an upload the folder itself has the files.
ASSETS = ".sandboxd/assets"
BINDINGS_MAX = 128
TEXT_MAX = 128 << 10
ROUTES_MAX = 64
CRONS_MAX = 32
GLOBS_MAX = 100
FLAGS_MAX = 64
WARNINGS_MAX = 100
WARNING_MAX = 600
HOST_MAX = 253
PATTERN_MAX = 1023
INSTANCES_MAX = 1000
CONCURRENCY_MAX = 10000
AGE_MAX = 30 * 86400
TIMEOUT_MAX = 3600
MEMORY_MIN, MEMORY_MAX = 16 << 20, 1 << 42
CPUS_MIN, CPUS_MAX = 0.01, 1024

# From this date on a flag is on without being named.
FLAG_DATES = (
    ("python_no_global_handlers", "2025-08-14"),
    ("python_workflows", "2025-09-20"),
    ("python_workers_20250116", "2025-09-29"),
    ("python_request_headers_preserve_commas", "2026-02-17"),
    ("python_workflows_implicit_dependencies", "2026-02-25"),
    ("enable_python_external_sdk", "2026-04-21"),
    ("python_process_pth_files", "2026-05-26"),
    ("python_workers_20260610", "2026-09-08"),
)
PYTHON_OLDEST = (3, 12)
PYTHON_FLAGS = {"python_workers_20250116": (3, 13), "python_workers_20260610": (3, 14)}
# The day on which a Python's five years are over (PEP 569, 596, 619, 664, 693, 719 and 745).
PYTHON_ENDS = {(3, 8): "2024-10-07", (3, 9): "2025-10-31", (3, 10): "2026-10-31", (3, 11): "2027-10-31",
               (3, 12): "2028-10-31", (3, 13): "2029-10-31", (3, 14): "2030-10-31"}

# Flags that have no date from which on they are brought.
FLAGS_NAMED = ("python_workers", "experimental")
# How like another one a word has to be that is taken for it.
NEAR = 0.75
NEAR_FLAG = 0.85

# Types that are served, then those of what is not there yet. A type's keys beside name and type.
TYPES = {
    "plain_text": ("text",), "json": ("json",), "secret_text": (), "kv_namespace": ("namespace_id",),
    "service": ("service", "entrypoint", "environment"), "assets": (), "ratelimit": ("namespace_id", "simple"),
    "version_metadata": (), "data_blob": ("data",),
    "queue": ("queue_name",), "workflow": ("workflow_name", "class_name", "script_name"), "d1": ("id",),
    "r2_bucket": ("bucket_name", "jurisdiction"),
    "durable_object_namespace": ("class_name", "script_name", "environment"), "analytics_engine": ("dataset",),
    "memory_cache": ("id",), "ai": (), "vectorize": ("index_name",), "images": (), "browser": (),
    "hyperdrive": ("id",), "mtls_certificate": ("certificate_id",),
    "secrets_store_secret": ("store_id", "secret_name"), "other": ("kind",),
}
SERVED = frozenset(("plain_text", "json", "secret_text", "kv_namespace", "service", "assets", "ratelimit",
                    "version_metadata", "data_blob"))
NEEDED = {"plain_text": "text", "json": "json", "data_blob": "data", "service": "service", "ratelimit": "namespace_id",
          "queue": "queue_name", "workflow": "workflow_name", "durable_object_namespace": "class_name", "other": "kind"}

# wrangler's lists of bindings: (path, type, key of the name, {their key: the manifest's}, keys that say nothing here)
LISTS = (
    (("kv_namespaces",), "kv_namespace", "binding", {"id": "namespace_id"}, ("preview_id", "remote")),
    (("services",), "service", "binding",
     {"service": "service", "entrypoint": "entrypoint", "environment": "environment"}, ("props", "remote")),
    (("ratelimits",), "ratelimit", "name", {"namespace_id": "namespace_id", "simple": "simple"}, ()),
    (("queues", "producers"), "queue", "binding", {"queue": "queue_name"}, ("delivery_delay", "remote")),
    (("workflows",), "workflow", "binding", {"name": "workflow_name", "class_name": "class_name",
                                             "script_name": "script_name"}, ("limits", "schedules", "remote")),
    (("d1_databases",), "d1", "binding", {"database_id": "id"},
     ("database_name", "preview_database_id", "migrations_dir", "migrations_table", "remote")),
    (("r2_buckets",), "r2_bucket", "binding", {"bucket_name": "bucket_name", "jurisdiction": "jurisdiction"},
     ("preview_bucket_name", "remote")),
    (("durable_objects", "bindings"), "durable_object_namespace", "name",
     {"class_name": "class_name", "script_name": "script_name", "environment": "environment"}, ()),
    (("analytics_engine_datasets",), "analytics_engine", "binding", {"dataset": "dataset"}, ()),
    (("vectorize",), "vectorize", "binding", {"index_name": "index_name"}, ("remote",)),
    (("hyperdrive",), "hyperdrive", "binding", {"id": "id"}, ("localConnectionString",)),
    (("mtls_certificates",), "mtls_certificate", "binding", {"certificate_id": "certificate_id"}, ("remote",)),
    (("secrets_store_secrets",), "secrets_store_secret", "binding",
     {"store_id": "store_id", "secret_name": "secret_name"}, ()),
)
# Bindings of which there is one: {"binding": NAME}.
SINGLE = {"version_metadata": "version_metadata", "ai": "ai", "browser": "browser", "images": "images"}
# Bindings whose type has no row of its own: (key, key of the name).
OTHERS = (("dispatch_namespaces", "binding"), ("send_email", "name"), ("pipelines", "binding"),
          ("worker_loaders", "binding"), ("vpc_services", "binding"))

# An environment has the top level's value of these, unless it has one of its own; of the others it has only its own.
INHERITED = ("main", "compatibility_date", "compatibility_flags", "route", "routes", "triggers", "rules", "assets",
             "sandbox", "python_modules", "migrations", "build")
# What has no meaning on a node, and what would have one and has none.
SILENT = ("$schema", "account_id", "workers_dev", "preview_urls", "observability", "logpush", "placement", "minify",
          "dev", "keep_vars", "send_metrics", "upload_source_maps", "no_bundle", "find_additional_modules", "base_dir",
          "preserve_file_names", "keep_names", "node_compat", "legacy_env", "migrations", "tsconfig",
          "compliance_region", "first_party_worker", "env")
WITHOUT_EFFECT = {"build": "the command is not run", "limits": "use cpus and timeout in [sandbox]",
                  "tail_consumers": None, "containers": None, "site": "use assets", "unsafe": None, "define": None,
                  "alias": None, "streaming_tail_consumers": None, "logfwdr": None, "cloudchamber": None,
                  "wasm_modules": None, "text_blobs": "files are read as files",
                  "data_blobs": "files are read as files"}

TYPE_NAMES = {dict: "a table", list: "a list", str: "a string", bool: "true or false", int: "a whole number",
              float: "a number", type(None): "null"}


class Section:
    """One table of a document: its keys are asked for by type, and those that nobody asked for are told."""

    def __init__(self, doc, path, data, warnings):
        self.doc, self.path, self.data, self.warnings = doc, tuple(path), data, warnings
        self.known = set()

    def error(self, key, message):
        return self.doc.error(self.path + (() if key is None else key if isinstance(key, tuple) else (key,)), message)

    def get(self, key, kind, what=None, needed=False):
        self.known.add(key)
        if key not in self.data:
            if needed:
                near = difflib.get_close_matches(key, [str(other)[:80] for other in self.data], 1, NEAR)
                line = self.doc.line(self.path + (near[0],)) if near else None
                raise self.error(key, "is missing: it must be %s%s" % (what or TYPE_NAMES[kind], ": %s%s is no key" % (
                    show(near[0]), " in line %d" % line if line else "") if near else ""))
            return None
        value = self.data[key]
        wrong = not isinstance(value, kind) or isinstance(value, bool) and kind is not bool
        if kind is float and isinstance(value, int) and not isinstance(value, bool):
            wrong = False
        if wrong:
            raise self.error(key, "must be %s, not %s" % (what or TYPE_NAMES[kind], TYPE_NAMES[type(value)]))
        return value

    def string(self, key, what=None, needed=False, pattern=None, must=None):
        value = self.get(key, str, what, needed)
        if value is not None and pattern and not re.fullmatch(pattern, value):
            raise self.error(key, "%s: %s" % (show(repr(value)), must))
        return value

    def count(self, key, least, most):
        value = self.get(key, int)
        if value is not None and not least <= value <= most:
            raise self.error(key, "must be from %d to %d, not %d" % (least, most, value))
        return value

    def strings(self, key, most, what="a list of strings"):
        value = self.get(key, list, what)
        for i, item in enumerate(value or ()):
            if not isinstance(item, str):
                raise self.error((key, i), "must be a string, not %s" % TYPE_NAMES[type(item)])
        if value and len(value) > most:
            raise self.error(key, "has %d items, and at most %d are allowed" % (len(value), most))
        return value

    def table(self, key):
        value = self.get(key, dict)
        return None if value is None else Section(self.doc, self.path + (key,), value, self.warnings)

    def tables(self, key, most):
        value = self.get(key, list, "a list of tables")
        for i, item in enumerate(value or ()):
            if not isinstance(item, dict):
                raise self.error((key, i), "must be a table, not %s" % TYPE_NAMES[type(item)])
        if value and len(value) > most:
            raise self.error(key, "has %d items, and at most %d are allowed" % (len(value), most))
        return [Section(self.doc, self.path + (key, i), item, self.warnings) for i, item in enumerate(value or ())]

    def warn(self, key, message):
        line = self.doc.line(self.path + (key,))
        self.warnings.append("%s:%s%s: %s" % (self.doc.name, "%d: " % line if line else " ",
                                              show_path(self.path + (key,)), message))

    def end(self, others=()):
        """Warn of keys that nobody knows; others: keys that are known besides."""
        names = sorted(self.known | set(others))
        for key in self.data:
            if key not in names:
                near = difflib.get_close_matches(key[:80], names, 1, NEAR)
                self.warn(key, "there is no such key: is %s meant?" % near[0] if near else
                          "there is no such key, and it does nothing")


class Config:
    """What a worker is to be, in the manifest's own words, and what its build has to know besides."""

    def __init__(self, doc, warnings):
        self.doc, self.warnings = doc, warnings
        self.name = None
        self.main = None                # the path of its source in the project's folder
        self.modules = None             # of workerd: [(path, bytes)], instead of files of the folder
        self.environment = {}           # of workerd: {binding: variable of whoever runs it}
        self.outbound = None            # of workerd: the service that fetch() leads to
        self.required = []              # of workerd: names of pythonRequirement modules
        self.date = None
        self.flags = []
        self.bindings = []
        self.secrets_required = []
        self.crons = []
        self.routes = []
        self.assets = None              # "directory" is a path in the project's folder
        self.asset_texts = {}           # of an upload: {"_headers": text, "_redirects": text}
        self.sandbox = {}
        self.rules = []                 # [(type, globs, fallthrough)]
        self.exclude = []               # globs below python_modules
        self.tag = self.message = ""

    def python(self):
        """The Python that date and flags ask for."""
        return max([PYTHON_OLDEST] + [PYTHON_FLAGS[flag] for flag in self.flags if flag in PYTHON_FLAGS])

    def requirements(self):
        """Those of the binding "requirements", as workerd's users write them, and of its modules."""
        for binding in self.bindings:
            if binding["name"] == "requirements" and binding["type"] == "json" and isinstance(binding["json"], list):
                return self.required + [item for item in binding["json"] if isinstance(item, str)]
        return self.required


# Words that all forms share


def check_name(name, error):
    """A worker's name is a part of a host's."""
    if re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", name):
        return name
    better = re.sub(r"[^a-z0-9]+", "-", name.lower())[:63].strip("-")
    raise error("%s: must have 1 to 63 of the characters a-z, 0-9 and '-', and neither begin nor end with '-', because "
                "it is a part of a host's name%s" % (show(repr(name)), ": %s would do" % better if better else ""))


def check_date(date, error, today):
    try:
        there = datetime.date.fromisoformat(date) if re.fullmatch(r"[0-9]{4}-[0-9][0-9]-[0-9][0-9]", date) else None
    except ValueError:
        there = None
    if there is None or there.year < 2000:
        raise error("%s: must be a date such as 2026-04-21" % show(repr(date)))
    if there > today + datetime.timedelta(days=1):
        raise error("%s is in the future: the newest date that can be asked for is %s" % (date, today.isoformat()))
    return date


def flags_of(date, named, error, warnings):
    """The flags that are on: those that are named, and those that the date brings, but none that is
    switched off by name."""
    known = [flag for flag, _ in FLAG_DATES] + list(FLAGS_NAMED)
    known += ["%s%s" % (prefix, flag) for prefix in ("no_", "disable_") for flag in known]
    for flag in named:
        if not re.fullmatch(r"[a-z0-9_]{1,100}", flag):
            raise error("%s: must have characters of a-z, 0-9 and '_'" % show(repr(flag)))
        # There are many more at the platform, which are JavaScript's.
        near = difflib.get_close_matches(flag, known, 1, NEAR_FLAG)
        if near and near[0] != flag and flag not in known:
            told = error("%s: there is no such flag, and it does nothing: is %s meant?" % (flag, near[0]))
            warnings.append(str(told))
    flags = list(dict.fromkeys(named))
    for flag, since in FLAG_DATES:
        bare = flag[7:] if flag.startswith("enable_") else flag
        off = {prefix + name for prefix in ("no_", "disable_") for name in (flag, bare)}
        if off & set(flags):
            flags = [other for other in flags if other != flag]
        elif date >= since and flag not in flags:
            flags.append(flag)
    if len(flags) > FLAGS_MAX:
        raise error("has more than %d flags" % FLAGS_MAX)
    return flags


CRON_FIELD = (("minute", 0, 59, ()), ("hour", 0, 23, ()), ("day of the month", 1, 31, ()),
              ("month", 1, 12, "jan feb mar apr may jun jul aug sep oct nov dec".split()),
              ("day of the week", 0, 7, "sun mon tue wed thu fri sat".split()))


def check_cron(line, error):
    fields = line.split()
    if len(fields) != 5 or len(line) > 100:
        raise error("%s: must have five fields: minute, hour, day of the month, month, day of the week"
                    % show(repr(line)))
    for text, (name, least, most, names) in zip(fields, CRON_FIELD):
        for item in text.lower().split(","):
            found = re.fullmatch(r"(?:\*|([0-9]{1,4}|[a-z]{3})(?:-([0-9]{1,4}|[a-z]{3}))?)(?:/([0-9]{1,4}))?", item)
            if not found:
                raise error("%s: the field %s: %s is not possible there" % (show(repr(line)), name, show(repr(item))))
            low, high, step = found.groups()
            values = []
            for value in (low, high):
                if value in names:
                    values.append(names.index(value) + least)
                elif value is not None:
                    if not value.isdigit() or not least <= int(value) <= most:
                        raise error("%s: the field %s: %s is not from %d to %d"
                                    % (show(repr(line)), name, value, least, most))
                    values.append(int(value))
            if len(values) == 2 and values[0] > values[1]:
                raise error("%s: the field %s: %s ends before it begins" % (show(repr(line)), name, item))
            if step is not None and (int(step) == 0 or low is not None and high is None):
                raise error("%s: the field %s: %s: a step stands behind * or a range, and is not 0"
                            % (show(repr(line)), name, item))
    return " ".join(fields)


def check_route(pattern, custom, error):
    """The one form of a route's pattern; spec/route_pattern.c has the same rules."""
    def fail(message):
        raise error("%s: %s" % (show(repr(pattern)), message))

    if len(pattern) > PATTERN_MAX:
        fail("has more than %d characters" % PATTERN_MAX)
    rest = re.sub(r"(?i)\Ahttps?://", "", pattern)
    host, path = re.fullmatch(r"([^/?#]*)(.*)", rest, re.S).groups()
    if custom and (path or "*" in host):
        fail("a custom domain is a host alone, without '*' and without a path: leave out custom_domain, or write it as "
             "in api.example.com")
    below = host.startswith("*.")
    name = host[2:] if below else host
    if name.endswith("."):
        name = name[:-1]
    if not name:
        fail("there is no host: write it as in example.com/*")
    if "*" in name:
        fail("a host may begin with '*.', which means all hosts below it, and have no other '*': %s/* and *.%s/* are "
             "two routes" % (name.replace("*", "").strip("."), name.replace("*", "").strip(".")))
    if ":" in name:
        fail("a pattern has no port: leave it out")
    if "@" in name:
        fail("a pattern has no user name: leave it out")
    if not name.isascii():
        try:
            dns = name.encode("idna").decode("ascii")
        except UnicodeError:
            dns = None
        fail("the host has letters that are not ASCII: write it in the form that DNS has of it, which begins with "
             "xn--%s" % (": %s" % dns if dns else ""))
    name = name.lower()
    if len(name) > HOST_MAX:
        fail("the host has more than %d characters" % HOST_MAX)
    for label in name.split("."):
        if not re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", label):
            fail("the host's part %s must have 1 to 63 letters, digits and '-', and neither begin nor end with '-'"
                 % show(repr(label)))
    if custom:
        return name
    whole = path.endswith("*")
    if whole:
        path = path[:-1]
    if "*" in path:
        fail("a path may have one '*', which is its last character")
    for c in path:
        if c in "?#":
            fail("a pattern has no '%s': it matches whatever the query is" % c)
        if not "!" <= c <= "~" or c in "\"<>\\^`{|}":
            fail("the path has a character that no URL has: write it as %s"
                 % "".join("%%%02X" % byte for byte in c.encode("utf-8", "replace")))
    if any(part in (".", "..") for part in path.split("/")):
        fail("a path has no part '.' or '..'")
    return "%s%s%s%s" % ("*." if below else "", name, path or "/", "*" if whole else "")


def check_binding(binding, error):
    """One binding in the form of the manifest. Keys are known already; their values are judged here."""
    name, kind = binding.get("name"), binding.get("type")
    if not isinstance(name, str) or not re.fullmatch(r"[A-Za-z_$][A-Za-z0-9_.$-]{0,127}", name):
        raise error("%s: must be a name such as MY_KV, of letters, digits and '_'" % show(repr(name)))
    needed = NEEDED.get(kind)
    if needed and binding.get(needed) is None and not (kind == "json" and "json" in binding):
        raise error("the binding %s needs %s" % (name, needed))
    for key, value in binding.items():
        if key in ("json", "simple"):
            continue
        if not isinstance(value, str):
            raise error("%s of the binding %s must be a string, not %s" % (key, name, TYPE_NAMES[type(value)]))
        most = TEXT_MAX if key in ("text", "data") else 512
        if len(value.encode("utf-8", "replace")) > most or not value and key not in ("text", "data"):
            raise error("%s of the binding %s must have 1 to %d bytes" % (key, name, most))
        check_value(value, 0, [0], error)
    if kind == "kv_namespace" and not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", binding.get("namespace_id", "own")):
        raise error("%s: is no namespace's id: leave it out, and the worker gets a namespace of its own, or use one "
                    "that 'sandboxctl kv namespace ls' shows" % show(repr(binding["namespace_id"])))
    if kind == "service":
        check_name(binding["service"], lambda message: error("service: %s" % message))
        if not re.fullmatch(r"[A-Za-z_$][A-Za-z0-9_$]{0,99}", binding.get("entrypoint", "Default")):
            raise error("entrypoint: %s: must be a class's name of at most 100 letters, digits and '_'"
                        % show(repr(binding["entrypoint"])))
    if kind == "ratelimit":
        simple = binding.get("simple")
        limit, period = (simple.get("limit"), simple.get("period")) if isinstance(simple, dict) else (None, None)
        if type(limit) is not int or not 1 <= limit <= 1000000000 or type(period) is not int or period not in (10, 60):
            raise error("the rate limit %s needs simple = { limit = N, period = 10 or 60 }" % name)
        binding["simple"] = {"limit": limit, "period": period}
    if kind == "json":
        check_value(binding["json"], 0, [0], error)
    return binding


def check_value(value, depth, count, error):
    """A variable's value is one that the front's reader of JSON takes too."""
    count[0] += 1
    if depth > 32 or count[0] > 20000:
        raise error("has too many values, or they are nested deeper than 32 levels")
    if isinstance(value, str):
        if "\0" in value:
            raise error("has a NUL character")
        try:
            value.encode("utf-8")
        except UnicodeEncodeError:
            raise error("has half a character (a lone surrogate)") from None
    for key, item in value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ():
        if isinstance(key, str):
            check_value(key, depth, count, error)
        check_value(item, depth + 1, count, error)


def add_binding(config, binding, error):
    check_binding(binding, error)
    for other in config.bindings:
        if other["name"] == binding["name"]:
            raise error("another binding is called %s too" % show(binding["name"]))
    if len(config.bindings) >= BINDINGS_MAX:
        raise error("there are more than %d bindings" % BINDINGS_MAX)
    config.bindings.append(binding)
    if binding["type"] not in SERVED:
        kind = binding["kind"] if binding["type"] == "other" else binding["type"]
        config.warnings.append("the binding %s is of the type %s, which is not there yet: the worker is deployed, and "
                               "what uses %s raises an exception" % (binding["name"], kind, binding["name"]))
        if binding["type"] == "durable_object_namespace" and config.sandbox.get("isolation") == "request":
            raise error("the Durable Object %s needs an instance that lasts: use isolation = \"instance\""
                        % binding["name"])


def var_binding(name, value):
    return {"name": name, "type": "plain_text", "text": value} if isinstance(value, str) else \
        {"name": name, "type": "json", "json": value}


def add_given(config, given):
    """The variables of the command line."""
    for name, value in given.items():
        add_binding(config, var_binding(name, value),
                    lambda message: DeployError("--var %s: %s" % (show(name), message)))


# [sandbox]

UNITS = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400}
SIZES = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}


def read_duration(table, key, most):
    table.known.add(key)
    value = table.data.get(key)
    if value is None and key not in table.data:
        return None
    found = re.fullmatch(r"([0-9]{1,9})(?:\.0*)?\s*([smhd]?)", value) if isinstance(value, str) else None
    if found:
        value = int(found.group(1)) * UNITS[found.group(2)]
    if type(value) is not int:
        raise table.error(key, "must be a time such as \"90s\", \"15m\", \"1h\", \"2d\" or 90 (seconds), not %s"
                          % show(repr(value)))
    if not 1 <= value <= most:
        raise table.error(key, "must be from 1 second to %d seconds, not %d" % (most, value))
    return value


def read_size(table, key, least, most):
    table.known.add(key)
    value = table.data.get(key)
    if value is None and key not in table.data:
        return None
    found = re.fullmatch(r"([0-9]{1,15})\s*([KMGT]?)(?:i?B)?", value) if isinstance(value, str) else None
    if found:
        value = int(found.group(1)) * SIZES[found.group(2)]
    if type(value) is not int:
        raise table.error(key, "must be a size such as \"128M\" or 134217728 (bytes), not %s" % show(repr(value)))
    if not least <= value <= most:
        raise table.error(key, "must be from %dM to %dG, not %d bytes" % (least >> 20, most >> 30, value))
    return value


def read_sandbox(table):
    """[sandbox]: what this node asks beyond what wrangler knows."""
    result = {}
    isolation = table.string("isolation", pattern="instance|request", must="must be \"instance\" or \"request\"")
    result["isolation"] = isolation
    result["image"] = table.string("image", pattern=r"[a-z][a-z0-9-]{0,31}", must="must be an image's name, as "
                                   "'sandboxctl image ls' shows it")
    result["policy"] = table.string("policy", pattern=r"[a-z0-9](?!.*\.\.)[a-z0-9._-]{0,62}",
                                    must="must be a policy's name such as \"default\"")
    result["min"] = table.count("min", 0, INSTANCES_MAX)
    result["max"] = table.count("max", 1, INSTANCES_MAX)
    result["concurrency"] = table.count("concurrency", 1, CONCURRENCY_MAX)
    result["max_age_s"] = read_duration(table, "max_age", AGE_MAX)
    result["max_requests"] = table.count("max_requests", 1, 1000000000)
    result["memory"] = read_size(table, "memory", MEMORY_MIN, MEMORY_MAX)
    cpus = table.get("cpus", float)
    if cpus is not None and not CPUS_MIN <= cpus <= CPUS_MAX:
        raise table.error("cpus", "must be from %g to %g, not %g" % (CPUS_MIN, CPUS_MAX, cpus))
    result["cpus"] = cpus
    result["timeout_s"] = read_duration(table, "timeout", TIMEOUT_MAX)
    result["snapshot"] = table.string("snapshot", pattern="dedicated|package|baseline|none", must="must be "
                                      "\"dedicated\", \"package\", \"baseline\" or \"none\"")
    result["start"] = table.string("start", pattern="auto|restore|cold",
                                   must="must be \"auto\", \"restore\" or \"cold\"")
    table.end()
    if (result["min"] or 0) > (result["max"] or max(4, result["min"] or 0)):
        raise table.error("min", "is %d, and must not be more than max, %d" % (result["min"], result["max"]))
    if isolation == "request":
        for key, name in (("min", "min"), ("max_age_s", "max_age"), ("max_requests", "max_requests")):
            if result[key]:
                raise table.error(name, "is for isolation = \"instance\": with \"request\", each request has a fresh "
                                  "sandbox, and nothing runs between them")
        if (result["concurrency"] or 1) > 1:
            raise table.error("concurrency", "is for isolation = \"instance\": with \"request\", a sandbox serves one "
                              "request; max says how many there are at a time")
    return {key: value for key, value in result.items() if value is not None}


# wrangler


# What stands for a main where there are only assets. Nothing runs it: the edge answers by files alone.
ASSETS_ONLY = b"""from workers import Response, WorkerEntrypoint


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        return Response("Not Found", status=404)
"""


def assets_only(config):
    """A configuration without main, but with assets, gets a main."""
    if config.main is None:
        config.main = "assets_only.py"
        config.modules = [(config.main, ASSETS_ONLY)]
        config.assets["only"] = True


HTML_HANDLING = ("auto-trailing-slash", "force-trailing-slash", "drop-trailing-slash", "none")
NOT_FOUND_HANDLING = ("none", "404-page", "single-page-application")


def word(table, key, words):
    return table.string(key, pattern="|".join(map(re.escape, words)), must="must be one of %s" % ", ".join(words))


def read_assets(table, config):
    assets = {"directory": table.string("directory", "a folder such as \"./public\"", needed=True)}
    path = re.sub(r"\A(?:\./)+", "", assets["directory"]).rstrip("/")
    if path.startswith("/") or any(part in ("", "..") for part in path.split("/")) or path == ".":
        raise table.error("directory", "%s: must be a folder inside the project's folder" % show(repr(path)))
    assets["directory"] = path
    name = table.string("binding")
    if name is not None:
        assets["binding"] = name
        add_binding(config, {"name": name, "type": "assets"}, lambda message: table.error("binding", message))
    for key, words in (("html_handling", HTML_HANDLING), ("not_found_handling", NOT_FOUND_HANDLING)):
        value = word(table, key, words)
        if value is not None:
            assets[key] = value
    if isinstance(table.data.get("run_worker_first"), list):
        globs = table.strings("run_worker_first", GLOBS_MAX, "true, false or a list of globs")
        for i, glob in enumerate(globs):
            if not re.fullmatch(r"!?/[^\0]*", glob) or len(glob.encode("utf-8", "replace")) > 255:
                raise table.error(("run_worker_first", i), "%s: must begin with / or !/, as in /api/*"
                                  % show(repr(glob)))
        assets["run_worker_first"] = globs
    else:
        first = table.get("run_worker_first", bool, "true, false or a list of globs")
        if first is not None:
            assets["run_worker_first"] = first
    table.end()
    return assets


def read_route(section, key, value, config):
    """A route is a string or a table."""
    error = lambda message: section.error(key, message)
    if isinstance(value, str):
        route = {"pattern": check_route(value, False, error)}
    elif isinstance(value, dict):
        path = section.path + (key if isinstance(key, tuple) else (key,))
        table = Section(section.doc, path, value, section.warnings)
        pattern = table.string("pattern", "a pattern such as \"example.com/*\"", needed=True)
        custom = table.get("custom_domain", bool) or False
        route = {"pattern": check_route(pattern, custom, lambda message: table.error("pattern", message))}
        if custom:
            route["custom_domain"] = True
        zone = table.string("zone_name")
        if zone is not None:
            if not re.fullmatch(r"[a-z0-9.-]{1,253}", zone.lower()):
                raise table.error("zone_name", "%s: must be a domain such as example.com" % show(repr(zone)))
            route["zone_name"] = zone.lower()
        table.end(("zone_id", "enabled", "previews_enabled"))
    else:
        raise error("must be a string or a table, not %s" % TYPE_NAMES[type(value)])
    if any(other["pattern"] == route["pattern"] for other in config.routes):
        raise error("%s is there twice" % show(repr(route["pattern"])))
    config.routes.append(route)


def read_routes(section, config):
    section.known.update(("route", "routes"))
    if "route" in section.data:
        read_route(section, "route", section.data["route"], config)
    routes = section.get("routes", list, "a list of patterns")
    if routes and len(routes) > ROUTES_MAX:
        raise section.error("routes", "has %d items, and at most %d are allowed" % (len(routes), ROUTES_MAX))
    for i, value in enumerate(routes or ()):
        read_route(section, ("routes", i), value, config)


def read_lists(section, config):
    for path, kind, name_key, keys, silent in LISTS:
        inside = section
        for key in path[:-1]:
            inside = inside and inside.table(key)
        if inside is None:
            continue
        for table in inside.tables(path[-1], BINDINGS_MAX):
            binding = {"name": table.string(name_key, "the name by which the worker has it in env", needed=True),
                       "type": kind}
            for theirs, ours in keys.items():
                value = table.data.get(theirs)
                table.known.add(theirs)
                if value is not None and value != "":
                    binding[ours] = value
            table.end(silent)
            add_binding(config, binding, lambda message: table.error(None, message))
    for key, kind in SINGLE.items():
        table = section.table(key)
        if table is not None:
            binding = {"name": table.string("binding", "the name by which the worker has it in env", needed=True),
                       "type": kind}
            table.end(("remote", "staging"))
            add_binding(config, binding, lambda message: table.error(None, message))
    for key, name_key in OTHERS:
        for table in section.tables(key, BINDINGS_MAX):
            binding = {"name": table.string(name_key, needed=True), "type": "other", "kind": key}
            add_binding(config, binding, lambda message: table.error(None, message))
    for key, inner in (("queues", ("producers", "consumers")), ("durable_objects", ("bindings",))):
        table = section.table(key)
        if table is not None:
            table.end(inner)
    consumers = (section.data.get("queues") or {}).get("consumers")
    if consumers:
        section.warn("queues", "consumers are not there yet: nothing is consumed")


def read_vars(section, config, given):
    table = section.table("vars")
    for name, value in (table.data if table else {}).items():
        if name in given:
            continue
        if value is None:
            raise table.error(name, "must be a value, not null")
        add_binding(config, var_binding(name, value), lambda message: table.error(name, message))
    add_given(config, given)


def read_environment(top, env):
    """The section that holds for an environment: its own keys over the inherited ones. None of the rest."""
    envs = top.table("env")
    known = sorted(envs.data) if envs else []
    if env is None:
        return top.data
    if env not in known:
        near = difflib.get_close_matches(env, known, 1)
        raise DeployError("there is no [env.%s]%s" % (
            show(env), "; is %s meant?" % near[0] if near else
            ": there are %s" % ", ".join(map(show, known)) if known else
            ": the configuration has no environments"), top.doc.name)
    own = envs.table(env)
    if own.data.get("env"):
        own.warn("env", "has no effect inside of an environment")
    for key in ("vars",) + tuple(path[0] for path, *_ in LISTS) + tuple(SINGLE):
        if key in top.data and key not in own.data:
            top.warn(key, "is not inherited: env.%s has none of it, so the worker has none" % show(env))
    return own.data


def from_wrangler(doc, env=None, name=None, given=None, today=None):
    """The Config of a wrangler file. name: instead of the file's, without the environment's behind it;
    given: variables of the command line."""
    warnings = []
    today = today or datetime.datetime.now(datetime.timezone.utc).date()
    top = Section(doc, (), doc.data, warnings)
    own = read_environment(top, env)
    section = top
    if env is not None:
        # A document of its own, whose lines lead to where each key stands.
        data = {key: doc.data[key] for key in INHERITED if key in doc.data}
        if "route" in own or "routes" in own:
            data.pop("route", None)
            data.pop("routes", None)
        data.update((key, value) for key, value in own.items() if key != "env")
        lines = {path: line for path, line in doc.lines.items() if path and path[0] in data and path[0] not in own}
        lines.update((path[2:], line) for path, line in doc.lines.items() if path[:2] == ("env", env))
        section = Section(Document(doc.name, data, lines), (), data, warnings)
        top.end(tuple(INHERITED) + SILENT + tuple(WITHOUT_EFFECT) + KNOWN)
    config = Config(section.doc, warnings)
    own_name, base = section.string("name"), top.string("name")
    if own_name is None and base and env is not None:
        own_name = "%s-%s" % (base, env)
    config.name = name or own_name
    if not config.name:
        raise section.error("name", "is missing: the worker needs a name, as in name = \"hello\"")
    check_name(config.name, lambda message: DeployError("--name: %s" % message) if name else
               section.error("name", message))
    config.main = section.string("main", "the worker's source, such as \"src/entry.py\"",
                                 needed="assets" not in section.data)
    date = section.string("compatibility_date", "a date such as \"2026-04-21\"", needed=True)
    config.date = check_date(date, lambda message: section.error("compatibility_date", message), today)
    flags = section.strings("compatibility_flags", FLAGS_MAX) or []
    config.flags = flags_of(date, flags, lambda message: section.error("compatibility_flags", message), warnings)
    table = section.table("sandbox")
    config.sandbox = read_sandbox(table) if table else {}
    read_vars(section, config, given or {})
    table = section.table("secrets")
    if table:
        config.secrets_required = table.strings("required", BINDINGS_MAX) or []
        for i, item in enumerate(config.secrets_required):
            if not re.fullmatch(r"[A-Za-z_$][A-Za-z0-9_.$-]{0,127}", item):
                raise table.error(("required", i), "%s: must be a name such as API_KEY" % show(repr(item)))
        config.secrets_required = list(dict.fromkeys(config.secrets_required))
        table.end()
    read_lists(section, config)
    table = section.table("triggers")
    if table:
        for i, line in enumerate(table.strings("crons", CRONS_MAX, "a list of lines such as \"0 * * * *\"") or ()):
            line = check_cron(line, lambda message: table.error(("crons", i), message))
            if line not in config.crons:
                config.crons.append(line)
        table.end()
    read_routes(section, config)
    table = section.table("assets")
    config.assets = read_assets(table, config) if table else None
    assets_only(config)
    for table in section.tables("rules", GLOBS_MAX):
        config.rules.append((word(table, "type", RULE_TYPES), table.strings("globs", GLOBS_MAX) or [],
                             table.get("fallthrough", bool) or False))
        if config.rules[-1][0] is None:
            raise table.error("type", "is missing: it must be one of %s" % ", ".join(RULE_TYPES))
        table.end()
    table = section.table("python_modules")
    if table:
        config.exclude = table.strings("exclude", GLOBS_MAX) or []
        table.end()
    for key, remedy in WITHOUT_EFFECT.items():
        if section.data.get(key):
            section.warn(key, "has no effect here%s" % (": " + remedy if remedy else ""))
    section.end(SILENT + tuple(WITHOUT_EFFECT))
    return config


RULE_TYPES = ("PythonModule", "Text", "Data", "CompiledWasm", "ESModule", "CommonJS", "PythonRequirement")
KNOWN = ("name", "vars", "secrets", "queues", "durable_objects") + tuple(path[0] for path, *_ in LISTS) + \
    tuple(SINGLE) + tuple(key for key, _ in OTHERS)


# workerd


MODULES_MAX = 2000
SERVICES_MAX = 200
FILE_KINDS = ("pythonModule", "text", "data", "json", "wasm")
SCRIPTS = ("esModule", "commonJsModule", "nodeJsCompatModule")
# Kinds of bindings that lead to a service: the manifest's type, and the key under which it names the service.
TO_SERVICE = {"kvNamespace": ("kv_namespace", "namespace_id"), "r2Bucket": ("r2_bucket", "bucket_name"),
              "queue": ("queue", "queue_name"), "analyticsEngine": ("analytics_engine", "dataset")}


class Place:
    """What stands for a Document where values are those of capnp.Capnp, which know their lines."""

    def __init__(self, name, struct, what):
        self.name, self.struct, self.what, self.data = name, struct, what, {}

    def error(self, path, message):
        """path: the field, and the index of an item, if it is about one."""
        line, where = self.struct.line, [self.what] if self.what else []
        if path:
            line = self.struct.lines.get(path[0], line)
            where.append(show_path(path))
            if len(path) > 1 and isinstance(self.struct.get(path[0]), list):
                line = getattr(self.struct[path[0]][path[1]], "line", line)
        file = getattr(self.struct, "file", None) or self.name
        return DeployError("%s: %s" % (": ".join(where), message) if where else message, file, line)


def service_name(name):
    """A service's name as a worker's: workerd takes any."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")[:63].strip("-")


def capnp_module(config, place, i, module):
    """Takes a module: a file of the worker, or a requirement."""
    error = lambda message: place.error(("modules", i), message)
    name = module.get("name") or ""
    kinds = [kind for kind in FILE_KINDS + SCRIPTS + ("pythonRequirement",) if kind in module]
    if not kinds:
        raise error("%s: has no content, as in pythonModule = embed \"FILE\"" % show(repr(name)))
    kind = kinds[0]
    if kind == "pythonRequirement":
        config.required.append(name)
        return
    if kind in SCRIPTS:
        config.warnings.append("the module %s is JavaScript, which does not run here: it is left out"
                               % show(repr(name)))
        return
    parts = name.split("/")
    if len(name.encode("utf-8", "replace")) > 255 or "\0" in name or any(part in ("", ".", "..") for part in parts):
        raise error("%s: must be a path without '..'" % show(repr(name)))
    if any(name == other for other, _ in config.modules):
        raise error("another module is called %s" % show(repr(name)))
    if parts[0] == ".sandboxd":
        raise error("%s: this folder is not the worker's" % show(repr(name)))
    if config.main is None:
        if kind != "pythonModule":
            raise error("%s: the first module is the worker's main, and has to be a pythonModule" % show(repr(name)))
        config.main = name
    content = module[kind]
    config.modules.append((name, content.encode("utf-8") if isinstance(content, str) else content))


def capnp_binding(config, place, i, binding, names):
    """Takes a binding. names: {a service's name: (its kind, its name as a worker's)}."""
    error = lambda message: place.error(("bindings", i), message)
    name = binding.get("name") or ""
    kind = next((key for key in binding if key != "name"), "unspecified")
    value = binding.get(kind)
    if kind == "unspecified":
        raise error("the binding %s has no value, as in text = \"...\"" % show(repr(name)))
    made = {"name": name, "type": "other", "kind": kind}
    if kind == "text":
        made = var_binding(name, value)
    elif kind == "data":
        made = {"name": name, "type": "data_blob", "data": base64.b64encode(value).decode("ascii")}
    elif kind == "json":
        try:
            made = {"name": name, "type": "json", "json": json.loads(value, parse_constant=no_constant)}
        except (ValueError, RecursionError) as problem:
            raise error("the json of %s is no JSON: %s" % (show(repr(name)), show(problem))) from None
    elif kind == "fromEnvironment":
        config.environment[name] = value
        made = {"name": name, "type": "secret_text"}
    elif kind == "service":
        there = names.get(value.get("name"))
        if there is None and value.get("name") != "internet":
            raise error("there is no service %s" % show(repr(value.get("name"))))
        made = {"name": name, "type": "service", "service": there[1] if there else "internet"}
        if value.get("entrypoint"):
            made["entrypoint"] = value["entrypoint"]
    elif kind in TO_SERVICE:
        made = {"name": name, "type": TO_SERVICE[kind][0]}
        if value.get("name"):
            made[TO_SERVICE[kind][1]] = service_name(value["name"]) if kind == "kvNamespace" else value["name"]
    elif kind == "durableObjectNamespace":
        made = {"name": name, "type": "durable_object_namespace", "class_name": value.get("className")}
        if value.get("serviceName"):
            made["script_name"] = value["serviceName"]
    elif kind == "memoryCache":
        made = {"name": name, "type": "memory_cache"}
        if value.get("id"):
            made["id"] = value["id"]
    add_binding(config, made, error)


def no_constant(text):
    raise ValueError("%s is no number of JSON's" % text)


def capnp_worker(doc_name, service, names, today):
    """The Config of a service that is a worker."""
    worker, label = service["worker"], "the worker %s" % show(service.get("name") or "")
    place, warnings = Place(doc_name, worker, label), []
    config = Config(place, warnings)
    config.name = check_name(names[service["name"]][1], lambda message: place.error((), "name: %s" % message))
    config.modules = []
    if "modules" not in worker:
        raise place.error((), "has no modules: a worker here is Python, as in modules = [(name = \"worker.py\", "
                          "pythonModule = embed \"worker.py\")]")
    if len(worker["modules"]) > MODULES_MAX:
        raise place.error(("modules",), "there are more than %d" % MODULES_MAX)
    for i, module in enumerate(worker["modules"]):
        capnp_module(config, place, i, module)
    if config.main is None:
        raise place.error(("modules",), "has no pythonModule: a worker here is Python")
    check_main(config, [name for name, _ in config.modules])
    root = config.main.rsplit("/", 1)[0] + "/" if "/" in config.main else ""
    for i, (name, _) in enumerate(config.modules):
        if not name.startswith(root):
            raise place.error(("modules",), "%s is not beside or below the first module, %s"
                              % (show(name), config.main))
    date = worker.get("compatibilityDate")
    if date is None:
        raise place.error((), "compatibilityDate is missing: it must be a date such as \"2026-04-21\"")
    config.date = check_date(date, lambda message: place.error(("compatibilityDate",), message), today)
    config.flags = flags_of(date, worker.get("compatibilityFlags", ()),
                            lambda message: place.error(("compatibilityFlags",), message), warnings)
    for i, binding in enumerate(worker.get("bindings", ())):
        capnp_binding(config, place, i, binding, names)
    outbound = worker.get("globalOutbound", {}).get("name")
    if outbound is not None and outbound != "internet" and outbound not in names:
        raise place.error(("globalOutbound",), "there is no service %s" % show(repr(outbound)))
    if outbound is not None:
        config.outbound = names[outbound][1] if outbound in names else "internet"
    for key, text in (("tails", ""), ("streamingTails", ""), ("moduleFallback", ""),
                      ("durableObjectNamespaces", ": Durable Objects are not there yet")):
        if worker.get(key):
            warnings.append("%s:%d: %s has no effect here%s" % (doc_name, worker.lines[key], key, text))
    return config


def services(doc_name, capnp, today=None):
    """All of a workerd's configuration: ([service], [socket]). A service has "name", "kind" and, by its
    kind, "worker" (a Config with modules), "network", "disk" or "external"; a socket has "name", "address",
    "tls", "service" and "entrypoint". Names of services are those that workers can have."""
    today = today or datetime.datetime.now(datetime.timezone.utc).date()
    top = Place(doc_name, capnp, "")
    names, there = {}, capnp.get("services", ())
    if len(there) > SERVICES_MAX:
        raise top.error(("services",), "there are more than %d" % SERVICES_MAX)
    for i, service in enumerate(there):
        error = lambda message: top.error(("services", i), message)
        kind = next((key for key in service if key not in ("name", "unspecified")), None)
        name = service.get("name")
        if not name:
            raise error("has no name")
        if kind is None:
            raise error("the service %s is nothing: it has to have one of worker, network, external and disk"
                        % show(repr(name)))
        if name in names or service_name(name) in [other for _, other in names.values()]:
            raise error("another service is called %s" % show(repr(name)))
        if not service_name(name):
            raise error("%s: a name has to have a letter or a digit" % show(repr(name)))
        names[name] = (kind, service_name(name))
    result, sockets = [], []
    for service in there:
        kind, name = names[service["name"]]
        made = {"name": name, "kind": kind}
        value = service[kind]
        if kind == "worker":
            made["worker"] = capnp_worker(doc_name, service, names, today)
        elif kind == "network":
            made["network"] = {"allow": value.get("allow", ["public"]), "deny": value.get("deny", [])}
        elif kind == "disk":
            made["disk"] = {"path": value.get("path"), "writable": value.get("writable", False),
                            "dotfiles": value.get("allowDotfiles", False)}
            if not made["disk"]["path"]:
                raise Place(doc_name, value, "the disk %s" % show(name)).error((), "has no path")
        else:
            scheme = next((key for key in ("http", "https", "tcp") if key in value), "http")
            options = value.get(scheme) or {}
            made["external"] = {"address": value.get("address"), "scheme": scheme}
            if options.get("certificateHost"):
                made["external"]["certificate_host"] = options["certificateHost"]
            if not value.get("address"):
                raise Place(doc_name, value, "the external server %s" % show(name)).error((), "has no address")
        result.append(made)
    for i, socket in enumerate(capnp.get("sockets", ())):
        error = lambda message: top.error(("sockets", i), message)
        designator = socket.get("service", {})
        if designator.get("name") not in names:
            raise error("the socket %s leads to the service %s, which is not there"
                        % (show(repr(socket.get("name"))), show(repr(designator.get("name")))))
        made = {"name": socket.get("name") or "http", "address": socket.get("address"), "tls": "https" in socket,
                "service": names[designator["name"]][1], "entrypoint": designator.get("entrypoint")}
        if any(other["name"] == made["name"] for other in sockets):
            raise error("another socket is called %s" % show(repr(made["name"])))
        sockets.append(made)
    return result, sockets


def from_capnp(doc_name, capnp, name=None, given=None, today=None):
    """The Config of the worker to deploy: the one that is named, else the one that a socket leads to, else
    the only one."""
    there, sockets = services(doc_name, capnp, today)
    workers = {service["name"]: service["worker"] for service in there if service["kind"] == "worker"}
    if not workers:
        raise DeployError("there is no worker among its services", doc_name, capnp.line)
    fronts = [socket["service"] for socket in sockets if socket["service"] in workers]
    chosen = name if name in workers else fronts[0] if fronts else next(iter(workers)) if len(workers) == 1 else None
    if chosen is None:
        raise DeployError("it has the workers %s, and no socket: say by --name which of them is meant"
                          % ", ".join(workers), doc_name, capnp.line)
    config = workers[chosen]
    if config.outbound:
        config.warnings.append("%s: globalOutbound of %s has no effect here: the policy decides what fetch reaches"
                               % (doc_name, chosen))
    if name:
        config.name = check_name(name, lambda message: DeployError("--name: %s" % message))
    others = [other for other in workers if other != chosen]
    if others:
        config.warnings.append("%s alone is deployed: deploy %s by --name, or run all by 'sandboxctl serve'"
                               % (chosen, ", ".join(others)))
    kinds = {service["name"]: service["kind"] for service in there}
    given, bindings, config.bindings = dict(given or {}), config.bindings, []
    for binding in bindings:
        if config.environment.get(binding["name"]) in given:
            binding = var_binding(binding["name"], given.pop(config.environment[binding["name"]]))
        elif binding["name"] in config.environment:
            config.secrets_required.append(binding["name"])
        elif binding["type"] == "service" and kinds.get(binding["service"], "network") != "worker":
            binding = {"name": binding["name"], "type": "other",
                       "kind": "service to %s" % kinds.get(binding["service"], "internet")}
            config.warnings.append("the binding %s is of no worker: only 'sandboxctl serve' has such services"
                                   % binding["name"])
        if binding["name"] not in given:
            config.bindings.append(binding)
    add_given(config, given)
    return config


# The metadata of an upload


def from_metadata(metadata, name, given=None, today=None):
    """The Config of what wrangler uploads beside the modules. Bindings that are to be inherited are in
    it by now; a secret has no text."""
    warnings = []
    today = today or datetime.datetime.now(datetime.timezone.utc).date()
    doc = Document("metadata", metadata, {})
    section = Section(doc, (), metadata, warnings)
    config = Config(doc, warnings)
    config.name = check_name(name, DeployError)
    config.main = section.string("main_module", "the worker's source", needed="assets" not in section.data)
    date = section.string("compatibility_date", "a date such as \"2026-04-21\"", needed=True)
    config.date = check_date(date, lambda message: section.error("compatibility_date", message), today)
    flags = section.strings("compatibility_flags", FLAGS_MAX) or []
    config.flags = flags_of(date, flags, lambda message: section.error("compatibility_flags", message), warnings)
    for table in section.tables("bindings", BINDINGS_MAX):
        kind = table.string("type", needed=True)
        binding = {"name": table.data.get("name"), "type": kind}
        if kind not in TYPES:
            binding.update(type="other", kind=kind)
        for key in TYPES.get(kind, ()):
            if table.data.get(key) not in (None, "") or kind == "plain_text" or key == "json" and "json" in table.data:
                binding[key] = table.data.get(key)
        add_binding(config, binding, lambda message: table.error(None, message))
    for key, value in (given or {}).items():
        config.bindings = [binding for binding in config.bindings if binding["name"] != key]
        add_binding(config, var_binding(key, value), DeployError)
    annotations = section.get("annotations", dict) or {}
    config.tag = str(annotations.get("workers/tag") or "")[:200]
    config.message = str(annotations.get("workers/message") or "")[:200]
    # The front has put the files of the upload's session where a build puts those of a folder.
    table = section.table("assets")
    inner = table and table.table("config")
    if table:
        data = dict(inner.data if inner else {}, directory=ASSETS)
        config.assets = read_assets(Section(doc, ("assets",), {
            key: data[key] for key in ("directory", "html_handling", "not_found_handling", "run_worker_first")
            if data.get(key) is not None}, warnings), config)
        for key in ("_headers", "_redirects"):
            if isinstance(data.get(key), str):
                config.asset_texts[key] = data[key]
    assets_only(config)
    for binding in config.bindings:
        if binding["type"] == "assets" and not config.assets:
            raise doc.error(("bindings",), "%s is of assets, and the upload has none" % binding["name"])
    return config


# The image


def version_of(text):
    """(3, 13) of "3.13" or "3.13.5"; None for anything else."""
    found = re.match(r"([0-9]{1,3})\.([0-9]{1,3})(?:\.|\Z)", text)
    return (int(found.group(1)), int(found.group(2))) if found else None


def python_after(python, today):
    """This Python, or the next that has not had its five years yet."""
    while PYTHON_ENDS.get(python, "9999") <= today.isoformat():
        python = (python[0], python[1] + 1)
    return python


def choose_image(config, images, today=None):
    """(name, what to tell) of the image on which the worker will run: the one that it names, or that with
    the oldest Python that is not older than the date's, else the newest. images: [(name, "3.13")], and
    of those with the same Python the first is taken."""
    today = today or datetime.datetime.now(datetime.timezone.utc).date()
    there = [(version_of(python), name) for name, python in images]
    there = [(python, name) for python, name in there if python and python >= (3, 9)]
    named = config.sandbox.get("image")
    if named:
        for python, name in there:
            if name == named:
                told = "Python %d.%d of the image %s, as [sandbox] says" % (python + (name,))
                if PYTHON_ENDS.get(python, "9999") <= today.isoformat():
                    config.warnings.append("Python %d.%d has had its five years, and gets no repairs: name a newer "
                                           "image" % python)
                return name, told
        raise config.doc.error(("sandbox", "image"), "%s: there is no such image for workers here; there are %s" % (
            show(repr(named)), ", ".join(sorted(name for _, name in there)) or "none"))
    if not there:
        raise DeployError("there is no image for workers: the operator makes one with 'sandboxctl image build'")
    asked = config.python()
    wanted = python_after(asked, today)
    if wanted != asked:
        config.warnings.append("Python %d.%d, which %s asks for, has had its five years: %d.%d takes its place" % (
            asked + (config.date,) + wanted))
    later = [python for python, _ in there if python >= wanted]
    python = min(later) if later else max(python for python, _ in there)
    name = next(name for other, name in there if other == python)
    if later:
        why = "the oldest here that is not older than %d.%d, which %s asks for" % (wanted + (config.date,))
    else:
        why = "the newest here; %s asks for %d.%d" % ((config.date,) + wanted)
    return name, "Python %d.%d of the image %s: %s" % (python + (name, why))


# The manifest


def manifest(config, python, image, imports=((), ()), requirements=()):
    """The manifest as the front reads it. What says nothing is left out. imports: modules of the image, and of
    python_modules."""
    stem = config.main.rsplit("/", 1)[-1][:-3]
    result = {"name": config.name, "main": stem, "main_file": stem + ".py", "compatibility_date": config.date,
              "python": "%d.%d" % tuple(python[:2])}
    sandbox = {"isolation": "instance", "policy": "default"}
    sandbox.update(config.sandbox)
    sandbox["image"] = image
    result["sandbox"] = sandbox
    assets = dict(config.assets, directory=ASSETS) if config.assets else None
    warnings = [show(text, WARNING_MAX) for text in dict.fromkeys(config.warnings) if text]
    if len(warnings) > WARNINGS_MAX:
        warnings[WARNINGS_MAX - 1:] = ["and %d warnings more" % (len(warnings) - WARNINGS_MAX + 1)]
    for key, value in (("compatibility_flags", config.flags), ("bindings", config.bindings),
                       ("secrets_required", config.secrets_required), ("crons", config.crons),
                       ("routes", config.routes), ("assets", assets), ("imports", list(imports[0])),
                       ("package_imports", list(imports[1])), ("requirements", list(requirements)), ("warnings", warnings), ("tag", config.tag),
                       ("message", config.message)):
        if value:
            result[key] = value
    return result


def check_main(config, names):
    """main has to be a .py file of the folder; names: all that are there."""
    main = re.sub(r"\A(?:\./)+", "", config.main)
    key = next(((key,) for key in ("main", "main_module") if key in config.doc.data), ())
    python = sorted(name for name in names if name.endswith(".py") and not name.startswith("python_modules/"))
    there = (": there is no .py file in the folder" if not python else
             ": the .py file that is there is %s" % show(python[0]) if len(python) == 1 else
             ": the .py files that are there are %s%s" % (", ".join(map(show, python[:10])),
                                                          ", ..." if len(python) > 10 else ""))
    if not main.endswith(".py"):
        raise config.doc.error(key, "%s: must be a .py file%s" % (show(repr(main)), there))
    if main not in names:
        raise config.doc.error(key, "%s: is not there%s" % (show(repr(main)), there))
    stem = main.rsplit("/", 1)[-1][:-3]
    if not re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_-]{0,62}", stem):
        raise config.doc.error(key, "%s: the file's name must have letters, digits, '_' and '-', 63 at most"
                               % show(repr(main)))
    config.main = main
    return main

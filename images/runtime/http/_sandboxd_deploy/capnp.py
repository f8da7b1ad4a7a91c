"""workerd's configuration: constants in the text form of Cap'n Proto, as far as such files use it.

A file is read into trees first. Then the constant of the type Workerd.Config is evaluated against a table
of workerd's types, so that each value is of the type that its place wants, and each error says where.
"""

import bisect
import posixpath
import re

from . import DeployError
from .read import decode, read_file, show

DEPTH_MAX = 64
NODES_MAX = 100000      # values, each counted as often as it is used
TOKENS_MAX = 400000
EMBEDS_MAX = 64 << 20   # bytes of all embedded files
EMBEDS = 2000
FILES = 50              # of one configuration
SCHEMA = "/workerd/workerd.capnp"

# Types: a name, or ("list", type). A struct: its fields, those of them of which only one may be given, and the
# field that a text alone stands for. A group is a struct that has no name of its own.
TEXT, DATA, BOOL, INT, VOID = "Text", "Data", "Bool", "Int64", "Void"


def listed(kind):
    return ("list", kind)


class Type:
    def __init__(self, fields, either=(), shorthand=None):
        self.fields, self.either, self.shorthand = fields, either, shorthand


INTS = {"Int%d" % bits: (-(1 << bits - 1), (1 << bits - 1) - 1) for bits in (8, 16, 32, 64)}
INTS.update(("UInt%d" % bits, (0, (1 << bits) - 1)) for bits in (8, 16, 32, 64))
SCALARS = frozenset((TEXT, DATA, BOOL, VOID, "Float32", "Float64")) | frozenset(INTS)
ENUMS = {
    "HttpOptions.Style": ("host", "proxy"),
    "TlsOptions.Version": ("goodDefault", "ssl3", "tls1Dot0", "tls1Dot1", "tls1Dot2", "tls1Dot3"),
}
STRUCTS = {
    "Config": Type({"services": listed("Service"), "sockets": listed("Socket"), "v8Flags": listed(TEXT),
                    "extensions": listed("Extension"), "autogates": listed(TEXT), "structuredLogging": BOOL}),
    "Socket": Type({"name": TEXT, "address": TEXT, "http": "HttpOptions", "https": "Socket.https",
                    "service": "ServiceDesignator"}, ("http", "https")),
    "Socket.https": Type({"options": "HttpOptions", "tlsOptions": "TlsOptions"}),
    "Service": Type({"name": TEXT, "unspecified": VOID, "worker": "Worker", "network": "Network",
                     "external": "ExternalServer", "disk": "DiskDirectory"},
                    ("unspecified", "worker", "network", "external", "disk")),
    "ServiceDesignator": Type({"name": TEXT, "entrypoint": TEXT, "props": "ServiceDesignator.props"}, (), "name"),
    "ServiceDesignator.props": Type({"empty": VOID, "json": TEXT}, ("empty", "json")),
    "Worker": Type({"modules": listed("Worker.Module"), "serviceWorkerScript": TEXT, "inherit": TEXT,
                    "compatibilityDate": TEXT, "compatibilityFlags": listed(TEXT), "bindings": listed("Worker.Binding"),
                    "globalOutbound": "ServiceDesignator", "cacheApiOutbound": "ServiceDesignator",
                    "durableObjectNamespaces": listed("Worker.DurableObjectNamespace"),
                    "durableObjectUniqueKeyModifier": TEXT, "durableObjectStorage": "Worker.durableObjectStorage",
                    "moduleFallback": TEXT, "tails": listed("ServiceDesignator"),
                    "streamingTails": listed("ServiceDesignator")}, ("modules", "serviceWorkerScript", "inherit")),
    "Worker.durableObjectStorage": Type({"none": VOID, "inMemory": VOID, "localDisk": TEXT},
                                        ("none", "inMemory", "localDisk")),
    "Worker.Module": Type({"name": TEXT, "esModule": TEXT, "commonJsModule": TEXT, "text": TEXT, "data": DATA,
                           "wasm": DATA, "json": TEXT, "nodeJsCompatModule": TEXT, "pythonModule": TEXT, "pythonRequirement": TEXT,
                           "namedExports": listed(TEXT)},
                          ("esModule", "commonJsModule", "text", "data", "wasm", "json", "nodeJsCompatModule",
                           "pythonModule", "pythonRequirement")),
    "Worker.Binding": Type({"name": TEXT, "unspecified": VOID, "text": TEXT, "data": DATA, "json": TEXT,
                            "wasmModule": DATA, "service": "ServiceDesignator", "durableObjectNamespace": "Worker.Binding.DurableObject",
                            "kvNamespace": "ServiceDesignator", "r2Bucket": "ServiceDesignator",
                            "r2Admin": "ServiceDesignator", "queue": "ServiceDesignator", "fromEnvironment": TEXT,
                            "analyticsEngine": "ServiceDesignator", "hyperdrive": "Worker.Binding.hyperdrive",
                            "unsafeEval": VOID, "memoryCache": "Worker.Binding.memoryCache",
                            "workerLoader": "Worker.Binding.id"},
                           ("unspecified", "text", "data", "json", "wasmModule", "service", "durableObjectNamespace",
                            "kvNamespace", "r2Bucket", "r2Admin", "queue", "fromEnvironment", "analyticsEngine",
                            "hyperdrive", "unsafeEval", "memoryCache", "workerLoader")),
    "Worker.Binding.DurableObject": Type({"className": TEXT, "serviceName": TEXT}, (), "className"),
    "Worker.Binding.hyperdrive": Type({"designator": "ServiceDesignator", "database": TEXT, "user": TEXT,
                                       "password": TEXT, "scheme": TEXT}),
    "Worker.Binding.memoryCache": Type({"id": TEXT, "limits": "MemoryCacheLimits"}),
    "Worker.Binding.id": Type({"id": TEXT}),
    "MemoryCacheLimits": Type({"maxKeys": "UInt32", "maxValueSize": "UInt32", "maxTotalValueSize": "UInt64"}),
    "Worker.DurableObjectNamespace": Type({"className": TEXT, "uniqueKey": TEXT, "ephemeralLocal": VOID,
                                           "preventEviction": BOOL, "enableSql": BOOL},
                                          ("uniqueKey", "ephemeralLocal")),
    "ExternalServer": Type({"address": TEXT, "http": "HttpOptions", "https": "ExternalServer.https",
                            "tcp": "ExternalServer.tcp"}, ("http", "https", "tcp")),
    "ExternalServer.https": Type({"options": "HttpOptions", "tlsOptions": "TlsOptions", "certificateHost": TEXT}),
    "ExternalServer.tcp": Type({"tlsOptions": "TlsOptions", "certificateHost": TEXT}),
    "Network": Type({"allow": listed(TEXT), "deny": listed(TEXT), "tlsOptions": "TlsOptions"}),
    "DiskDirectory": Type({"path": TEXT, "writable": BOOL, "allowDotfiles": BOOL}),
    "HttpOptions": Type({"style": "HttpOptions.Style", "forwardedProtoHeader": TEXT, "cfBlobHeader": TEXT,
                         "injectRequestHeaders": listed("HttpOptions.Header"),
                         "injectResponseHeaders": listed("HttpOptions.Header"), "capnpConnectHost": TEXT}),
    "HttpOptions.Header": Type({"name": TEXT, "value": TEXT}),
    "TlsOptions": Type({"keypair": "TlsOptions.Keypair", "requireClientCerts": BOOL, "trustBrowserCas": BOOL,
                        "trustedCertificates": listed(TEXT), "minVersion": "TlsOptions.Version", "cipherList": TEXT}),
    "TlsOptions.Keypair": Type({"privateKey": TEXT, "certificateChain": TEXT}),
    "Extension": Type({"modules": listed("Extension.Module")}),
    "Extension.Module": Type({"name": TEXT, "internal": BOOL, "esModule": TEXT}),
}


class Struct(dict):
    """A struct's fields that are given, and where: lines has each field's line."""

    def __init__(self, line, file):
        super().__init__()
        self.line, self.lines, self.file = line, {}, file


class Shared:
    """What all files of one configuration have together."""

    def __init__(self):
        self.nodes, self.embedded, self.embeds, self.files = 0, 0, {}, {}


class Capnp:
    """A file, read: the constants by name, and what stands for the schema."""

    TOKEN = re.compile(r"""
        (?P<space>[ \t\r\n\f\v]+|\#[^\n]*)
      | (?P<id>@0x[0-9a-fA-F]{1,16})
      | (?P<data>0x"[0-9a-fA-F \t\r\n]*")
      | (?P<number>-?(?:0[xX][0-9a-fA-F]{1,32}|[0-9]{1,40}(?:\.[0-9]{1,40})?(?:[eE][+-]?[0-9]{1,4})?))
      | (?P<name>[A-Za-z_][A-Za-z0-9_]{0,200})
      | (?P<string>")
      | (?P<mark>[()\[\],;:=.$@*{}])
    """, re.X)
    PLAIN = re.compile(r'[^"\\\n]+')
    ESCAPE = re.compile(r'\\(?:([abfnrtv\'"?\\])|x([0-9a-fA-F]{2})|([0-7]{1,3}))')
    ESCAPES = {"a": 7, "b": 8, "f": 12, "n": 10, "r": 13, "t": 9, "v": 11, "'": 39, '"': 34, "?": 63, "\\": 92}

    def __init__(self, name, data, top, shared=None):
        self.name, self.text, self.top = name, decode(name, data), top
        self.shared = shared or Shared()
        self.shared.files[name] = self
        self.foreign = {}       # {a name: (another file, constant or None)}
        self.tokens, self.at = [], 0
        self.ends = [found.start() for found in re.finditer("\n", self.text)]
        self.constants, self.schema = {}, {}
        self.tokenize()
        self.file()

    # Tokens: (kind, value, offset)

    def error(self, message, offset):
        return DeployError(message, self.name, self.line(offset), offset - self.text.rfind("\n", 0, offset))

    def line(self, offset):
        return bisect.bisect_left(self.ends, offset) + 1

    def tokenize(self):
        at, text, depth = 0, self.text, 0
        while at < len(text):
            found = self.TOKEN.match(text, at)
            if not found:
                raise self.error("%s is not possible here" % show(repr(text[at])), at)
            kind, begin, at = found.lastgroup, at, found.end()
            if kind == "space":
                continue
            if len(self.tokens) >= TOKENS_MAX:
                raise self.error("the file has more than %d words" % TOKENS_MAX, begin)
            value = found.group()
            if kind == "string":
                value, at = self.string(at, begin)
            elif kind == "data":
                digits = re.sub(r"\s", "", value[3:-1])
                if len(digits) % 2:
                    raise self.error("a byte has two hexadecimal digits, and one is missing", begin)
                value = bytes.fromhex(digits)
            elif kind == "mark" and value in "([":
                depth += 1
                if depth > DEPTH_MAX:
                    raise self.error("is nested deeper than %d levels" % DEPTH_MAX, begin)
            elif kind == "mark" and value in ")]":
                depth -= 1
            self.tokens.append((kind, value, begin))
        self.tokens.append(("end", "the end of the file", len(text)))

    def string(self, at, begin):
        """The bytes of a string whose quote is before at; escapes are bytes, too."""
        parts = []
        while True:
            found = self.PLAIN.match(self.text, at)
            if found:
                parts.append(found.group().encode("utf-8"))
                at = found.end()
            c = self.text[at:at + 1]
            if c == '"':
                return b"".join(parts), at + 1
            if c != "\\":
                raise self.error("the string that begins here has no end on its line", begin)
            found = self.ESCAPE.match(self.text, at)
            if not found:
                raise self.error("%s is no escape" % show(self.text[at:at + 2]), at)
            if found.group(1):
                value = self.ESCAPES[found.group(1)]
            else:
                value = int(found.group(2), 16) if found.group(2) else int(found.group(3), 8)
            if value > 255:
                raise self.error("%s is more than a byte" % found.group(), at)
            parts.append(bytes((value,)))
            at = found.end()

    def peek(self):
        return self.tokens[self.at]

    def take(self):
        token = self.tokens[self.at]
        if token[0] != "end":
            self.at += 1
        return token

    def is_mark(self, mark):
        return self.tokens[self.at][:2] == ("mark", mark)

    def want(self, mark, where):
        kind, value, offset = self.take()
        if (kind, value) != ("mark", mark):
            raise self.error("'%s' is missing %s, before %s" % (mark, where, self.shown(kind, value)), offset)

    @staticmethod
    def shown(kind, value):
        if isinstance(value, bytes):
            return "a string" if kind == "string" else "data"
        return value if kind == "end" else "'%s'" % show(value)

    def identifier(self, what):
        kind, value, offset = self.take()
        if kind != "name":
            raise self.error("%s is missing, before %s" % (what, self.shown(kind, value)), offset)
        return value

    # The file

    def file(self):
        while self.peek()[0] != "end":
            kind, value, offset = self.take()
            if kind == "id":
                self.want(";", "behind the file's id")
            elif (kind, value) == ("name", "using"):
                self.using()
            elif (kind, value) == ("name", "const"):
                self.const()
            elif (kind, value) != ("mark", ";"):
                raise self.error("%s: a configuration has 'using' and 'const' at its top, and nothing else"
                                 % self.shown(kind, value), offset)

    def using(self):
        name = None
        if self.peek()[:2] != ("name", "import"):
            name = self.identifier("a name behind 'using'")
            self.want("=", "behind the name %s" % show(name))
        kind, value, offset = self.peek()
        if (kind, value) == ("name", "import"):
            path = self.imported()
            if isinstance(path, Capnp):
                self.using_file(name, path)
                return
        else:
            # A name for what another name stands for.
            first = self.identifier("a name or 'import'")
            if first not in self.schema:
                raise self.error("there is no %s here: it has to come from 'using ... = import \"%s\"'"
                                 % (show(first), SCHEMA), offset)
            path = self.schema[first]
        while self.is_mark(".") and len(path) < 16:
            self.take()
            path += (self.identifier("a name behind '.'"),)
        if name is None:
            name = path[-1] if path else "workerd"
        self.schema[name] = path
        self.want(";", "at the end of 'using'")

    def imported(self):
        """'import' and its path; only workerd's own schema is there."""
        self.take()
        kind, value, offset = self.take()
        if kind != "string":
            raise self.error("a path in quotes is missing behind 'import'", offset)
        if value == SCHEMA.encode():
            return ()
        return self.other_file(value, offset)

    def path_of(self, path, what, offset):
        """A path that stands in this file, from the top."""
        try:
            name = posixpath.normpath(posixpath.join(posixpath.dirname(self.name), path.decode("utf-8")))
        except UnicodeDecodeError:
            raise self.error("the path is not UTF-8", offset) from None
        if path.startswith(b"/") or name.startswith("../") or name in ("..", "."):
            raise self.error("%s %s: leads out of the folder that is sent along" % (what, show(repr(
                path.decode("utf-8", "replace")))), offset)
        return name

    def other_file(self, path, offset):
        name = self.path_of(path, "import", offset)
        there = self.shared.files.get(name)
        if there is not None:
            return there
        if len(self.shared.files) >= FILES:
            raise self.error("more than %d files are imported" % FILES, offset)
        try:
            data = read_file(self.top, name)
        except DeployError as error:
            raise self.error("import %s: %s" % (show(repr(name)), error.message), offset) from None
        return Capnp(name, data, self.top, self.shared)

    def using_file(self, name, other):
        """The rest of 'using NAME = import "FILE"', with a constant of the file or without."""
        constant = None
        if self.is_mark("."):
            self.take()
            constant = self.identifier("a constant's name behind '.'")
        if not name and not constant:
            raise self.error("a name is missing, as in 'using NAME = import \"FILE\"'", self.peek()[2])
        self.foreign[name or constant] = (other, constant)
        self.want(";", "at the end of 'using'")

    def const(self):
        offset = self.peek()[2]
        name = self.identifier("a name behind 'const'")
        if name in self.constants:
            raise self.error("the constant %s is there twice" % show(name), offset)
        self.want(":", "behind the name %s" % show(name))
        kind = self.type()
        self.want("=", "behind the type of %s" % show(name))
        # tree, type, offset, and the value once it is known
        self.constants[name] = [self.value(0), kind, offset, None]
        self.want(";", "at the end of the constant %s" % show(name))

    def type(self):
        offset = self.peek()[2]
        first = self.identifier("a type")
        if first == "List":
            self.want("(", "behind List")
            inner = self.type()
            self.want(")", "behind the type of the list")
            return listed(inner)
        path = (first,)
        while self.is_mark("."):
            self.take()
            path += (self.identifier("a name behind '.'"),)
            if len(path) > 16:
                raise self.error("there is no such type", offset)
        if path[0] in self.schema:
            path = self.schema[path[0]] + path[1:]
            name = ".".join(path)
        else:
            name = ".".join(path)
            if name not in SCALARS:
                raise self.error("there is no type %s here: workerd's types come from 'using Workerd = import \"%s\"'"
                                 % (show(name), SCHEMA), offset)
        if name not in SCALARS and name not in STRUCTS and name not in ENUMS:
            raise self.error("%s: workerd has no such type that is known here" % show(name), offset)
        return name

    # Trees: (kind, value, offset)

    def value(self, depth):
        kind, value, offset = self.take()
        if kind in ("string", "data", "number"):
            return (kind, value, offset)
        if (kind, value) == ("mark", "("):
            return ("struct", self.fields(offset, depth + 1), offset)
        if (kind, value) == ("mark", "["):
            return ("list", self.items(offset, depth + 1), offset)
        if (kind, value) == ("mark", "."):
            return ("constant", self.identifier("a constant's name behind '.'"), offset)
        if (kind, value) == ("name", "embed"):
            kind, path, at = self.take()
            if kind != "string":
                raise self.error("a path in quotes is missing behind 'embed'", at)
            return ("embed", path, at)
        if (kind, value) == ("name", "import"):
            raise self.error("'import' stands in 'using', and is no value: a file's content is embed \"FILE\"", offset)
        if kind == "name":
            other, constant = self.foreign.get(value, (None, None))
            if other is not None and constant is None:
                self.want(".", "behind %s, which is a file" % show(value))
                constant = self.identifier("a constant's name behind '.'")
            if other is not None:
                return ("foreign", (other, constant), offset)
            if self.is_mark("."):
                raise self.error("there is no %s here: it has to come from 'using %s = import \"FILE\"'"
                                 % (show(value), show(value)), offset)
            return ("name", value, offset)
        raise self.error("a value is missing, before %s" % self.shown(kind, value), offset)

    def fields(self, begin, depth):
        """name = value, until ')'; a comma may stand behind the last."""
        fields = []
        while not self.is_mark(")"):
            offset = self.peek()[2]
            if self.peek()[0] == "end":
                raise self.error("the '(' has no ')'", begin)
            name = self.identifier("a field's name")
            self.want("=", "behind the field %s" % show(name))
            fields.append((name, self.value(depth), offset))
            if not self.is_mark(")"):
                if self.peek()[0] == "end":
                    raise self.error("the '(' has no ')'", begin)
                self.want(",", "behind the value of %s" % show(name))
        self.take()
        return fields

    def items(self, begin, depth):
        items = []
        while not self.is_mark("]"):
            if self.peek()[0] == "end":
                raise self.error("the '[' has no ']'", begin)
            items.append(self.value(depth))
            if not self.is_mark("]"):
                if self.peek()[0] == "end":
                    raise self.error("the '[' has no ']'", begin)
                self.want(",", "behind an item of the list")
        self.take()
        return items

    # Values of trees

    def config(self, wanted=None):
        """The configuration: the constant of the type Workerd.Config that is wanted, or else is called config
        if there are several."""
        there = [name for name, constant in self.constants.items() if constant[1] == "Config"]
        if wanted is not None:
            if wanted not in there:
                raise DeployError("there is no constant %s of the type Workerd.Config%s" % (
                    show(wanted), ": there is " + ", ".join(there) if there else ""), self.name, 1)
            there = [wanted]
        if not there:
            raise DeployError("there is no constant of the type Workerd.Config, as in const config :Workerd.Config = "
                              "(...);", self.name, 1)
        if len(there) > 1 and "config" not in there:
            raise self.error("there are %d constants of the type Workerd.Config: call the one that is meant config"
                             % len(there), self.constants[there[1]][2])
        name = there[0] if len(there) == 1 else "config"
        return self.constant(name, self.constants[name][2], 0)

    def constant(self, name, offset, depth):
        constant = self.constants.get(name)
        if constant is None:
            raise self.error("there is no constant %s" % show(name), offset)
        if depth > DEPTH_MAX:
            raise self.error("the constant %s needs itself, or constants lead on to others more than %d times"
                             % (show(name), DEPTH_MAX), offset)
        if constant[3] is None:
            constant[3] = (self.evaluate(constant[0], constant[1], depth + 1),)
        # What is used again counts again, so that a small file cannot mean a huge configuration.
        self.count(self.size(constant[3][0]), offset)
        return constant[3][0]

    def size(self, value):
        return getattr(value, "nodes", 1)

    def count(self, nodes, offset):
        self.shared.nodes += nodes
        if self.shared.nodes > NODES_MAX:
            raise self.error("the configuration has more than %d values" % NODES_MAX, offset)

    def wrong(self, wanted, tree):
        names = {"struct": "a struct (...)", "list": "a list [...]", "string": "a string", "data": "data",
                 "number": "a number", "name": show(str(tree[1])), "embed": "an embedded file"}
        return self.error("must be %s, not %s" % (wanted, names[tree[0]]), tree[2])

    def evaluate(self, tree, kind, depth):
        if depth > DEPTH_MAX * 2:
            raise self.error("is nested deeper than %d levels" % DEPTH_MAX, tree[2])
        self.count(1, tree[2])
        if tree[0] == "foreign":
            other, name = tree[1]
            if name not in other.constants:
                raise self.error("%s has no constant %s" % (show(other.name), show(name)), tree[2])
            return other.reference(("constant", name, other.constants[name][2]), kind, depth)
        if tree[0] == "constant" or tree[0] == "name" and tree[1] in self.constants and kind not in ENUMS:
            return self.reference(tree, kind, depth)
        if isinstance(kind, tuple):
            if tree[0] != "list":
                raise self.wrong("a list [...]", tree)
            result = List(self.evaluate(item, kind[1], depth + 1) for item in tree[1])
            result.nodes = 1 + sum(self.size(item) for item in result)
            return result
        if kind in STRUCTS:
            return self.struct(tree, kind, depth)
        if kind in ENUMS:
            if tree[0] != "name" or tree[1] not in ENUMS[kind]:
                raise self.wrong("one of %s" % ", ".join(ENUMS[kind]), tree)
            return tree[1]
        return self.scalar(tree, kind)

    def reference(self, tree, kind, depth):
        constant = self.constants.get(tree[1])
        if constant is None:
            raise self.error("there is no constant %s" % show(tree[1]), tree[2])
        if constant[1] == TEXT and kind in STRUCTS and STRUCTS[kind].shorthand:
            return self.short(self.constant(tree[1], tree[2], depth), kind, tree[2])
        if constant[1] != kind and not (constant[1] in INTS and kind in INTS):
            raise self.error("the constant %s is of the type %s, and %s is wanted here"
                             % (show(tree[1]), type_name(constant[1]), type_name(kind)), tree[2])
        value = self.constant(tree[1], tree[2], depth)
        if kind in INTS and not INTS[kind][0] <= value <= INTS[kind][1]:
            raise self.error("%d is no %s" % (value, kind), tree[2])
        return value

    def short(self, text, kind, offset):
        value = Struct(self.line(offset), self.name)
        value[STRUCTS[kind].shorthand] = text
        value.lines[STRUCTS[kind].shorthand] = value.line
        value.nodes = 1
        return value

    def struct(self, tree, kind, depth):
        schema = STRUCTS[kind]
        if tree[0] in ("string", "embed") and schema.shorthand:
            return self.short(self.scalar(tree, TEXT), kind, tree[2])
        if tree[0] != "struct":
            raise self.wrong("a struct (...)" + (", or a string" if schema.shorthand else ""), tree)
        value, chosen = Struct(self.line(tree[2]), self.name), None
        nodes = 1
        for name, inner, offset in tree[1]:
            if name not in schema.fields:
                raise self.error("%s: %s has no such field that is known here; it has %s" % (
                    show(name), kind, ", ".join(schema.fields)), offset)
            if name in value:
                raise self.error("the field %s is there twice" % show(name), offset)
            if name in schema.either:
                if chosen is not None:
                    raise self.error("%s: only one of %s and %s can be given" % (name, chosen, name), offset)
                chosen = name
            value[name] = self.evaluate(inner, schema.fields[name], depth + 1)
            value.lines[name] = self.line(offset)
            nodes += self.size(value[name])
        value.nodes = nodes
        return value

    def scalar(self, tree, kind):
        if kind in (TEXT, DATA):
            if tree[0] == "embed":
                data = self.embed(tree)
            elif tree[0] == "string" or tree[0] == "data" and kind == DATA:
                data = tree[1]
            else:
                raise self.wrong("a string or embed \"FILE\"", tree)
            if kind == DATA:
                return data
            try:
                return data.decode("utf-8")
            except UnicodeDecodeError:
                raise self.error("must be UTF-8 text", tree[2]) from None
        if kind == VOID:
            if tree[:2] != ("name", "void"):
                raise self.wrong("void", tree)
            return None
        if kind == BOOL:
            if tree[:2] not in (("name", "true"), ("name", "false")):
                raise self.wrong("true or false", tree)
            return tree[1] == "true"
        if tree[0] != "number":
            raise self.wrong("a number", tree)
        if kind in INTS:
            try:
                base = 16 if "x" in tree[1].lower() else 8 if re.fullmatch(r"-?0[0-7]+", tree[1]) else 10
                number = int(tree[1], base)
            except ValueError:
                raise self.error("must be a whole number", tree[2]) from None
            if not INTS[kind][0] <= number <= INTS[kind][1]:
                raise self.error("%s is no %s" % (tree[1], kind), tree[2])
            return number
        try:
            return float(int(tree[1], 16)) if "x" in tree[1].lower() else float(tree[1])
        except (ValueError, OverflowError):
            raise self.error("is no number", tree[2]) from None

    def embed(self, tree):
        name = self.path_of(tree[1], "embed", tree[2])
        shared = self.shared
        if name not in shared.embeds:
            if len(shared.embeds) >= EMBEDS:
                raise self.error("more than %d files are embedded" % EMBEDS, tree[2])
            try:
                shared.embeds[name] = read_file(self.top, name, EMBEDS_MAX - shared.embedded)
            except DeployError as error:
                raise self.error("embed %s: %s" % (show(repr(name)), error.message), tree[2]) from None
            shared.embedded += len(shared.embeds[name])
        return shared.embeds[name]


class List(list):
    nodes = 1


def type_name(kind):
    return "List(%s)" % type_name(kind[1]) if isinstance(kind, tuple) else kind


def read_capnp(name, data, top, wanted=None):
    """The Workerd.Config of a file; top: the folder out of which files may be embedded; wanted: the constant."""
    return Capnp(name, data, top).config(wanted)

"""workerd's configuration: the text form of Cap'n Proto, typed, and what becomes of it."""

import os
import random
import unittest

from deploy import TODAY, DeployTest, mutations

from _sandboxd_deploy import DeployError, capnp
from _sandboxd_deploy import manifest as m
from _sandboxd_deploy.capnp import read_capnp

USING = 'using Workerd = import "/workerd/workerd.capnp";\n'
# The example of workerd's own documentation.
SAMPLE = USING + '''
const config :Workerd.Config = (
  services = [
    (name = "main", worker = .pythonWorker),
  ],
  sockets = [
    ( name = "http",
      address = "*:8080",
      http = (),
      service = "main"
    ),
  ]
);
const pythonWorker :Workerd.Worker = (
  modules = [
    (name = "worker.py", pythonModule = embed "worker.py"),
  ],
  compatibilityDate = "2024-01-01",
  compatibilityFlags = ["experimental", "python_workers"],
  bindings = [
    (name = "requirements", json = "[\\"numpy\\", \\"requests\\"]"),
  ],
);
'''
MANY = '''# comments
@0xb8f5d2ea0cd1ac1f;
using Workerd = import "/workerd/workerd.capnp";
using import "/workerd/workerd.capnp".Worker;
using Binding = Workerd.Worker.Binding;
const date :Text = "2026-04-21";
const shared :List(Binding) = [
  (name = "TEXT", text = "a\\n\\x41\\101\\"\\\\ü"),
  (name = "JSON", json = "{\\"a\\": [1, null]}"),
  (name = "ENV", fromEnvironment = "HOME"),
  (name = "OTHER", service = (name = "other", entrypoint = "Admin")),
  (name = "NET", service = "internet"),
  (name = "DISK", service = .diskName),
  (name = "KV", kvNamespace = "kv_store"),
  (name = "ROOM", durableObjectNamespace = "Room"),
  (name = "CACHE", memoryCache = (id = "c", limits = (maxKeys = 0x10, maxValueSize = 010, maxTotalValueSize = 100))),
  (name = "BYTES", data = 0"" )
];
const diskName :Text = "disk";
const main :Worker = (
  modules = [
    (name = "src/worker.py", pythonModule = embed "./src/worker.py"),
    (name = "src/lib/a.py", pythonModule = "A = 1"),
    (name = "src/data.bin", data = 0x"00 ff\\n"),
    (name = "src/page.html", text = embed "page.html"),
    (name = "index.js", esModule = "export default {}"),
    (name = "fastapi", pythonRequirement = ""),
  ],
  compatibilityDate = .date,
  bindings = .shared,
  durableObjectNamespaces = [(className = "Room", uniqueKey = "k", enableSql = true)],
  durableObjectStorage = (inMemory = void),
);
const config :Workerd.Config = (
  services = [
    (name = "main", worker = main),
    (name = "other", worker = (modules = [(name = "o.py", pythonModule = "")], compatibilityDate = .date)),
    (name = "kv_store", external = (address = "127.0.0.1:1", http = (style = proxy))),
    (name = "disk", disk = (path = "/srv", writable = true)),
    (name = "net", network = (allow = ["public", "private"], tlsOptions = (trustBrowserCas = true))),
  ],
  sockets = [(name = "https", address = "unix:/run/x", https = (options = (), tlsOptions = ()), service = "main"),
             (name = "o", address = "*:1", http = (), service = (name = "other", entrypoint = "E"))],
);
'''.replace('0"" )', '0x"")').replace('0x"00 ff\\n"', '0x"00 ff"')
FILES = {"src/worker.py": "import a", "page.html": "<p>", "worker.py": "x = 1"}


class CapnpTest(DeployTest):
    def setUp(self):
        self.top = self.folder(FILES)

    def read(self, text):
        return read_capnp("config.capnp", text.encode(), self.top)

    def test_the_documentations_example(self):
        config = self.read(SAMPLE)
        worker = config["services"][0]["worker"]
        self.assertEqual(worker["modules"], [{"name": "worker.py", "pythonModule": "x = 1"}])
        self.assertEqual(worker["compatibilityFlags"], ["experimental", "python_workers"])
        self.assertEqual(config["sockets"], [{"name": "http", "address": "*:8080", "http": {},
                                              "service": {"name": "main"}}])

    def test_other_files(self):
        self.top = self.folder({
            "parts/workers.capnp": USING + 'using Up = import "../names.capnp";\nusing import "../names.capnp".date;\n'
            'const one :Workerd.Worker = (modules = [(name = "a.py", pythonModule = embed "code/a.py")],\n'
            '  compatibilityDate = date, bindings = [(name = "NAME", text = Up.name)]);\n'
            'const wrong :Workerd.Worker = (modules = 1);\n',
            "parts/code/a.py": "a = 1", "names.capnp": 'using Back = import "parts/workers.capnp";\n'
            'const name :Text = "a name"; const date :Text = "2024-01-01"; const again :Text = Back.again;'})
        text = USING + 'using Parts = import "parts/workers.capnp";\nusing Names = import "./names.capnp";\n' \
            'const config :Workerd.Config = (services = [(name = Names.name, worker = Parts.%s)]);'
        service = self.read(text % "one")["services"][0]
        self.assertEqual(service["name"], "a name")
        self.assertEqual(service["worker"], {
            "modules": [{"name": "a.py", "pythonModule": "a = 1"}], "compatibilityDate": "2024-01-01",
            "bindings": [{"name": "NAME", "text": "a name"}]})
        self.assertEqual((service["worker"].file, service["worker"].line), ("parts/workers.capnp", 4))
        self.fails("config.capnp:4:74: parts/workers.capnp has no constant two", self.read, text % "two")
        self.fails("parts/workers.capnp:6:42: must be a list", self.read, text % "wrong")
        self.fails("parts/workers.capnp has no constant again", self.read, text.replace("Names.name", "Names.again") % "one")
        self.fails("'.' is missing behind Parts, which is a file", self.read, text.replace("Parts.%s", "Parts"))

    def test_many_forms(self):
        config = self.read(MANY)
        main = config["services"][0]["worker"]
        self.assertEqual(main["bindings"][0]["text"], "a\nAA\"\\\u00fc")
        self.assertEqual(main["bindings"][8]["memoryCache"]["limits"],
                         {"maxKeys": 16, "maxValueSize": 8, "maxTotalValueSize": 100})
        self.assertEqual(main["bindings"][9]["data"], b"")
        self.assertEqual(main["modules"][2]["data"], b"\x00\xff")
        self.assertEqual(main["durableObjectStorage"], {"inMemory": None})
        self.assertEqual(config["services"][2]["external"]["http"], {"style": "proxy"})
        self.assertEqual(config["services"][1]["worker"].line, 37)

    def test_errors_have_line_and_column(self):
        worker = lambda text: USING + "const config :Workerd.Config = (services = [(name = \"a\", worker = (%s))]);" % text
        for text, message in (
                ("", "config.capnp:1: there is no constant of the type Workerd.Config"),
                ("x", "config.capnp:1:1: 'x': a configuration has 'using' and 'const' at its top"),
                ("struct A {}", "'struct': a configuration has"),
                ('using A = import "other.capnp";', ":1:18: import 'other.capnp': is not there"),
                ('using A = import "../other.capnp";', ":1:18: import '../other.capnp': leads out of the folder"),
                ('using A = import "page.html";', "page.html:1:1: '<' is not possible here"),
                ('const a :Text = A.b;', ":1:17: there is no A here: it has to come from 'using A = import"),
                ("const a :A = 1;", ":1:10: there is no type A here: workerd's types come from 'using Workerd = import"),
                (USING + "const a :Workerd.Nothing = 1;", ":2:10: Nothing: workerd has no such type"),
                ("const a :Text = \"x\"\nconst", ":2:1: ';' is missing at the end of the constant a, before 'const'"),
                ("const a :Text = \"x", ":1:17: the string that begins here has no end on its line"),
                ("const a :Text = \"\\q\";", ":1:18: \\q is no escape"),
                ("const a :Text = \"\\777\";", "is more than a byte"),
                ("const a :Data = 0x\"abc\";", ":1:17: a byte has two hexadecimal digits"),
                ("const a :Text = ;", ":1:17: a value is missing, before ';'"),
                ("const a :List(Text = [];", ":1:20: ')' is missing behind the type of the list"),
                ("const a :Text = \"\";const a :Text = \"\";", ":1:26: the constant a is there twice"),
                ("const a :Text = (a = 1", ":1:17: the '(' has no ')'"),
                ("const a :List(Text) = [1", ":1:23: the '[' has no ']'"),
                ("const a :Text = ~", ":1:17: '~' is not possible here"),
                (USING + "const config :Workerd.Config = \"x\";", ":2:32: must be a struct (...), not a string"),
                (USING + "const config :Workerd.Config = (service = []);", ":2:33: service: Config has no such field"),
                (USING + "const config :Workerd.Config = (services = ());", ":2:44: must be a list [...], not a struct"),
                (USING + "const config :Workerd.Config = (services = [], services = []);", "services is there twice"),
                (USING + "const config :Workerd.Config = .b;", ":2:32: there is no constant b"),
                (USING + "const config :Workerd.Config = .config;", "needs itself"),
                (USING + "const a :Text = \"\";const config :Workerd.Config = (services = .a);",
                 ":2:63: the constant a is of the type Text, and List(Service) is wanted here"),
                (USING + "const a :Workerd.Config = ();const b :Workerd.Config = ();", "there are 2 constants"),
                (worker("compatibilityDate = 1"), ":2:88: must be a string or embed \"FILE\", not a number"),
                (worker("modules = [], inherit = \"b\""), "only one of modules and inherit can be given"),
                (worker("modules = [(name = \"a\", pythonModule = embed \"none.py\")]"), "embed 'none.py': is not there"),
                (worker("modules = [(name = \"a\", pythonModule = embed \"../x\")]"), "embed '../x': leads out of the folder"),
                (worker("modules = [(name = \"a\", pythonModule = embed \"/etc/passwd\")]"), "leads out of the folder"),
                (worker("modules = [(name = \"a\", pythonModule = embed \"link\")]"), "embed 'link': is a link"),
                (worker("durableObjectStorage = (none = 1)"), "must be void, not a number"),
                (worker("durableObjectNamespaces = [(enableSql = 1)]"), "must be true or false, not a number"),
                (worker("bindings = [(name = \"a\", memoryCache = (limits = (maxKeys = -1)))]"), "-1 is no UInt32"),
                (worker("bindings = [(name = \"a\", memoryCache = (limits = (maxKeys = 1.5)))]"), "must be a whole number"),
                (USING + "const config :Workerd.Config = (sockets = [(http = (style = x))]);", "must be one of host, proxy"),
                ("const a :Text = " + "(" * 100, ":1:81: is nested deeper than 64 levels"),
                (USING + "const a :Workerd.Config = %s" % (".a" * 20), "';' is missing")):
            if "link" in text:
                os.symlink("/etc/passwd", os.path.join(self.top, "link"))
            self.fails(message, self.read, text)
        self.fails("is not UTF-8 text", read_capnp, "config.capnp", b"\xff", self.top)
        self.fails("1:17: must be UTF-8 text", self.read, 'const a :Text = "\\xff"; const config :Workerd.Config = (x = a);'
                   .replace("const config", USING.replace("\n", "") + "const config").replace("x = a", "v8Flags = [.a]"))

    def test_a_small_file_cannot_mean_much(self):
        text = USING + "const a0 :List(Text) = [%s];" % ",".join(['""'] * 10)
        text = USING + "const a0 :Workerd.Worker.Binding = (name = \"a\", text = \"\");"
        kind = "Workerd.Worker.Binding"
        for i in range(1, 12):
            kind = "List(%s)" % kind
            text += "const a%d :%s = [%s];" % (i, kind, ",".join([".a%d" % (i - 1)] * 10))
        text += "const config :Workerd.Config = (services = .a11);"
        self.fails("is wanted here", self.read, text)
        text = USING + "const b :Text = \"x\"; const l :List(Text) = [%s];" % ",".join([".b"] * 300)
        text += "const w :List(Workerd.Service) = [%s];" % ",".join(
            ["(worker = (compatibilityFlags = .l))"] * 400)
        self.fails("the configuration has more than 100000 values", self.read, text +
                   "const config :Workerd.Config = (services = .w);")

    def test_files_together_have_a_bound(self):
        was = capnp.EMBEDS_MAX
        self.addCleanup(setattr, capnp, "EMBEDS_MAX", was)
        capnp.EMBEDS_MAX = 8
        self.fails("embed 'page.html': has more than 0 bytes", self.read, USING + "const config :Workerd.Config = "
                   "(v8Flags = [embed \"src/worker.py\", embed \"page.html\"]);")

    def test_mutations_end_in_a_value_or_an_error(self):
        seeded = random.Random(20261203)
        good = 0
        for text in mutations(seeded, (SAMPLE, MANY), 2500):
            try:
                config = self.read(text)
                m.services("config.capnp", config, TODAY)
                good += 1
            except DeployError as error:
                self.assertTrue(error.message and "\n" not in str(error), repr(str(error)))
        self.assertGreater(good, 30)


class ServicesTest(DeployTest):
    def setUp(self):
        self.top = self.folder(FILES)
        self.config = read_capnp("config.capnp", MANY.encode(), self.top)

    def test_all(self):
        services, sockets = m.services("config.capnp", self.config, TODAY)
        self.assertEqual([(service["name"], service["kind"]) for service in services], [
            ("main", "worker"), ("other", "worker"), ("kv-store", "external"), ("disk", "disk"), ("net", "network")])
        self.assertEqual(services[2]["external"], {"address": "127.0.0.1:1", "scheme": "http"})
        self.assertEqual(services[3]["disk"], {"path": "/srv", "writable": True, "dotfiles": False})
        self.assertEqual(services[4]["network"], {"allow": ["public", "private"], "deny": []})
        self.assertEqual(sockets, [
            {"name": "https", "address": "unix:/run/x", "tls": True, "service": "main", "entrypoint": None},
            {"name": "o", "address": "*:1", "tls": False, "service": "other", "entrypoint": "E"}])
        worker = services[0]["worker"]
        self.assertEqual(worker.modules, [("src/worker.py", b"import a"), ("src/lib/a.py", b"A = 1"),
                                          ("src/data.bin", b"\x00\xff"), ("src/page.html", b"<p>")])
        self.assertEqual(worker.main, "src/worker.py")
        self.assertEqual(worker.requirements(), ["fastapi"])
        self.assertEqual(worker.environment, {"ENV": "HOME"})
        self.assertEqual(worker.bindings[3:7], [
            {"name": "OTHER", "type": "service", "service": "other", "entrypoint": "Admin"},
            {"name": "NET", "type": "service", "service": "internet"},
            {"name": "DISK", "type": "service", "service": "disk"},
            {"name": "KV", "type": "kv_namespace", "namespace_id": "kv-store"}])
        self.assertIn("'index.js' is JavaScript", worker.warnings[0])
        self.assertIn("enable_python_external_sdk", worker.flags)

    def test_one_is_deployed(self):
        config = m.from_capnp("config.capnp", self.config, today=TODAY)
        self.assertEqual(config.name, "main")
        bindings = {binding["name"]: binding["type"] for binding in config.bindings}
        self.assertEqual(bindings, {"TEXT": "plain_text", "JSON": "json", "ENV": "secret_text", "OTHER": "service",
                                    "NET": "other", "DISK": "other", "KV": "kv_namespace",
                                    "ROOM": "durable_object_namespace", "CACHE": "memory_cache", "BYTES": "data_blob"})
        self.assertEqual(config.secrets_required, ["ENV"])
        self.assertIn("main alone is deployed: deploy other by --name", "\n".join(config.warnings))
        config = m.from_capnp("config.capnp", self.config, "other", today=TODAY)
        self.assertEqual((config.name, config.main), ("other", "o.py"))
        config = m.from_capnp("config.capnp", self.config, "renamed", {"HOME": "/root", "TEXT": "new"}, TODAY)
        self.assertEqual((config.name, config.main), ("renamed", "src/worker.py"))
        texts = {binding["name"]: binding.get("text") for binding in config.bindings}
        self.assertEqual((texts["ENV"], texts["TEXT"]), ("/root", "new"))
        self.assertEqual(config.secrets_required, [])
        made = m.manifest(config, (3, 13), "web")
        self.assertEqual((made["main"], made["main_file"]), ("worker", "worker.py"))

    def test_errors_say_where(self):
        head = USING + "const config :Workerd.Config = (\nservices = [\n%s],\nsockets = [%s]);"
        worker = '(name = "%s", worker = (\nmodules = [%s], compatibilityDate = "2024-01-01", %s))'
        one = '(name = "a.py", pythonModule = "")'
        for services, sockets, message in (
                ("", "", "config.capnp:2: there is no worker among its services"),
                ("()", "", "config.capnp:4: services[0]: has no name"),
                ('(name = "a")', "", "the service 'a' is nothing"),
                ('(name = "a", disk = ())', "", "config.capnp:4: the disk a: has no path"),
                ('(name = "a", external = ())', "", "the external server a: has no address"),
                ('(name = "a", network = ()), (name = "A", network = ())', "", "another service is called 'A'"),
                ('(name = "!", network = ())', "", "a name has to have a letter or a digit"),
                ('(name = "a", worker = (serviceWorkerScript = ""))', "", "config.capnp:4: the worker a: has no modules"),
                ('(name = "a", worker = (modules = [%s]))' % one, "", "compatibilityDate is missing"),
                (worker % ("a", "", ""), "", "has no pythonModule"),
                (worker % ("a", '(name = "x.html", text = ""), ' + one, ""), "", "config.capnp:5: the worker a: modules[0]: "
                 "'x.html': the first module is the worker's main, and has to be a pythonModule"),
                (worker % ("a", one + "," + one, ""), "", "modules[1]: another module is called 'a.py'"),
                (worker % ("a", '(name = "../a.py", pythonModule = "")', ""), "", "must be a path without '..'"),
                (worker % ("a", '(name = "x/a.py", pythonModule = ""), ' + one, ""), "", "a.py is not beside or below"),
                (worker % ("a", '(name = "a", pythonModule = "")', ""), "", "'a': must be a .py file"),
                (worker % ("a", '(name = "a.py")', ""), "", "'a.py': has no content"),
                (worker % ("a", one, 'bindings = [(name = "b")]'), "", "the binding 'b' has no value"),
                (worker % ("a", one, 'bindings = [(name = "b", json = "{")]'), "", "config.capnp:5: the worker a: "
                 "bindings[0]: the json of 'b' is no JSON"),
                (worker % ("a", one, 'bindings = [(name = "b", json = "NaN")]'), "", "NaN is no number"),
                (worker % ("a", one, 'bindings = [(name = "b", service = "none")]'), "", "there is no service 'none'"),
                (worker % ("a", one, 'bindings = [(name = "b c", text = "")]'), "", "'b c': must be a name"),
                (worker % ("a", one, ""), '(name = "s", service = "b")', "the socket 's' leads to the service 'b', which"),
                (worker % ("a", one, ""), '(name = "s", service = "a"), (name = "s", service = "a")', "another socket"),
                (worker % ("a", one, "") + "," + worker % ("b", one, ""), "", "it has the workers a, b, and no socket")):
            config = read_capnp("config.capnp", (head % (services, sockets)).encode(), self.top)
            self.fails(message, m.from_capnp, "config.capnp", config, today=TODAY)


if __name__ == "__main__":
    unittest.main()

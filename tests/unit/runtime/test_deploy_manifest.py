"""What wrangler's files and an upload's metadata become: the one manifest that the front reads."""

import datetime
import json
import os
import random
import unittest

from deploy import TODAY, TOP, DeployTest, mutations

from _sandboxd_deploy import DeployError
from _sandboxd_deploy import manifest as m
from _sandboxd_deploy import static
from _sandboxd_deploy.files import Glob, Rules, asset_files, module_files, project_files
from _sandboxd_deploy.read import read_json, read_toml

WHOLE = '''name = "hello"
main = "src/entry.py"
compatibility_date = "2026-04-21"
compatibility_flags = ["python_workers"]
placement = { mode = "smart" }
vars = { X = 1 }
triggers = { crons = ["0 * * * *", "*/5  9-17 * * mon-fri", "0 * * * *"] }
workers_dev = false

[sandbox]
image = "web"
min = 1
max = 8
concurrency = 50
max_age = "1h"
max_requests = 10000
memory = "128M"
cpus = 0.5
timeout = 30
snapshot = "package"
start = "restore"

[env.staging]
routes = [{ pattern = "https://Example.com/api/*", zone_name = "Example.com" }, { pattern = "api.example.com", custom_domain = true, zone_id = "x" }]
[env.staging.vars]
GREETING = "hello"
LIMITS = { a = [1, 2.5, true, "x"] }
[env.staging.secrets]
required = ["API_KEY", "API_KEY"]
[[env.staging.kv_namespaces]]
binding = "CACHE"
[[env.staging.kv_namespaces]]
binding = "USERS"
id = "0123456789abcdef0123456789abcdef"
preview_id = "x"
[[env.staging.services]]
binding = "AUTH"
service = "auth"
entrypoint = "Admin"
[[env.staging.ratelimits]]
name = "LIMITER"
namespace_id = "1001"
simple = { limit = 100, period = 60 }
[env.staging.version_metadata]
binding = "VERSION"
[[env.staging.queues.producers]]
binding = "JOBS"
queue = "jobs"
[env.staging.durable_objects]
bindings = [{ name = "ROOM", class_name = "Room" }]
[env.staging.assets]
directory = "./public/"
binding = "ASSETS"
html_handling = "none"
not_found_handling = "404-page"
run_worker_first = ["/api/*", "!/api/docs"]
'''
HEAD = 'name = "a"\nmain = "a.py"\ncompatibility_date = "2024-04-01"\n'


def wrangler(text, **more):
    return m.from_wrangler(read_toml("wrangler.toml", text), today=TODAY, **more)


class WranglerTest(DeployTest):
    maxDiff = None

    def test_whole(self):
        """The manifest is the one of the front's own test, but for what is told and what has no order."""
        with open(os.path.join(TOP, "tests/fuzz/seeds/fuzz_worker_manifest/whole.json"), encoding="utf-8") as file:
            wanted = json.load(file)
        config = wrangler(WHOLE, env="staging")
        made = m.manifest(config, (3, 13, 5), "web", (wanted["imports"], wanted["package_imports"]),
                          wanted["requirements"])
        order = lambda binding: binding["name"]
        self.assertEqual(sorted(made.pop("bindings"), key=order),
                         sorted((binding for binding in self.without_null(wanted.pop("bindings"))
                                 if binding["type"] not in ("secret_text", "data_blob")), key=order))
        self.assertLessEqual({"python_workers", "enable_python_external_sdk"}, set(made.pop("compatibility_flags")))
        for key in ("compatibility_flags", "tag", "message", "warnings"):
            wanted.pop(key)
        self.assertTrue(wanted["assets"].pop("only"))
        warnings = "\n".join(made.pop("warnings"))
        self.assertEqual(made, wanted)
        self.assertEqual(config.main, "src/entry.py")
        self.assertEqual(config.assets["directory"], "public")
        for text in ("wrangler.toml:6: vars: is not inherited: env.staging has none of it",):
            self.assertNotIn(text, warnings)
        self.assertIn("the binding JOBS is of the type queue, which is not there yet", warnings)

    @staticmethod
    def without_null(bindings):
        for binding in bindings:
            if binding["type"] == "json":
                binding["json"]["a"].remove(None)
        return bindings

    def test_an_environment_inherits_what_is_no_binding(self):
        config = wrangler(HEAD + '[vars]\nA = "1"\n[triggers]\ncrons = ["1 * * * *"]\n[env.b]\nroute = "b.com/*"\n'
                          '[env.c]\nname = "own"\nmain = "c.py"\ntriggers = { crons = [] }\n', env="b")
        self.assertEqual((config.name, config.main, config.bindings, config.crons), ("a-b", "a.py", [], ["1 * * * *"]))
        self.assertEqual(config.routes, [{"pattern": "b.com/*"}])
        self.assertIn("wrangler.toml:4: vars: is not inherited", config.warnings[0])
        config = wrangler(HEAD + '[env.c]\nname = "own"\nmain = "c.py"\n', env="c")
        self.assertEqual((config.name, config.main, config.warnings), ("own", "c.py", []))
        error = self.fails("there is no [env.stagin]; is staging meant?", wrangler, WHOLE, env="stagin")
        self.assertEqual(error.file, "wrangler.toml")
        self.fails("has no environments", wrangler, HEAD, env="x")
        self.fails("wrangler.toml:5: vars.A: must be a value", m.from_wrangler,
                   read_json("wrangler.toml", '{"name": "a", "main": "a.py", "compatibility_date": "2024-04-01",\n\n'
                             '"env": {"x": {\n"vars": {\n"A": null}}}}'), env="x", today=TODAY)

    def test_name_and_variables_of_the_command_line(self):
        config = wrangler(HEAD + '[vars]\nA = "1"\nB = "2"', name="other", given={"A": "3", "C": "4"})
        self.assertEqual(config.name, "other")
        self.assertEqual({binding["name"]: binding["text"] for binding in config.bindings}, {"A": "3", "B": "2", "C": "4"})
        self.fails("--name: 'A_b': must have 1 to 63", wrangler, HEAD, name="A_b")
        self.fails("--var a b: 'a b': must be a name", wrangler, HEAD, given={"a b": "1"})

    def test_unknown_keys_are_warned_of_with_the_nearest(self):
        config = wrangler(HEAD + 'compatibility_flag = []\nzebra = 1\nbogus = 1\n[sandbox]\nisolaton = "request"\n'
                          '[[kv_namespaces]]\nbinding = "A"\nidd = "1"\n')
        self.assertEqual(len(config.warnings), 5)
        for text in ("wrangler.toml:4: compatibility_flag: there is no such key: is compatibility_flags meant?",
                     "wrangler.toml:5: zebra: there is no such key, and it does nothing",
                     "wrangler.toml:6: bogus: there is no such key, and it does nothing",
                     "wrangler.toml:8: sandbox.isolaton: there is no such key: is isolation meant?",
                     "wrangler.toml:11: kv_namespaces[0].idd: there is no such key: is id meant?"):
            self.assertIn(text, config.warnings)
        config = wrangler(HEAD + '[build]\ncommand = "make"\n[observability]\nenabled = true\n')
        self.assertEqual(config.warnings, ["wrangler.toml:4: build: has no effect here: the command is not run"])

    def test_errors_name_key_line_and_what_is_expected(self):
        for text, message in (
                ("", "wrangler.toml: name: is missing"),
                ('name = "a"\n', "main: is missing: it must be the worker's source"),
                ('name = "a"\nmian = "a.py"\n', "main: is missing: it must be the worker's source, such as \"src/entry.py\": "
                                                "mian in line 2 is no key"),
                ('name = "a"\nmain = "a.py"\n', "compatibility_date: is missing: it must be a date"),
                ('name = 1\n', "wrangler.toml:1: name: must be a string, not a whole number"),
                ('\nname = "My_Worker"\n', "wrangler.toml:2: name: 'My_Worker': must have 1 to 63 of the characters a-z, "
                 "0-9 and '-', and neither begin nor end with '-', because it is a part of a host's name: my-worker would do"),
                (HEAD.replace("2024-04-01", "2024-4-1"), "wrangler.toml:3: compatibility_date: '2024-4-1': must be a date"),
                (HEAD.replace("2024-04-01", "2024-02-30"), "must be a date such as"),
                (HEAD.replace("2024-04-01", "2027-04-01"), "is in the future: the newest date that can be asked for is "
                 "2026-12-01"),
                (HEAD + "compatibility_flags = [1]", ":4: compatibility_flags[0]: must be a string, not a whole number"),
                (HEAD + 'compatibility_flags = ["A"]', ":4: compatibility_flags: 'A': must have characters"),
                (HEAD + 'vars = "x"', ":4: vars: must be a table, not a string"),
                (HEAD + '[vars]\n"a b" = 1', ":5: vars.a b: 'a b': must be a name"),
                (HEAD + 'vars = { A = "\\u0000" }', ":4: vars.A: has a NUL character"),
                (HEAD + 'vars = { A = "%s" }' % ("x" * 131073), "must have 1 to 131072 bytes"),
                (HEAD + 'vars = { A = %s1%s }' % ("[" * 34, "]" * 34), "nested deeper than 32"),
                (HEAD + '[triggers]\ncrons = "x"', ":5: triggers.crons: must be a list of lines such as"),
                (HEAD + '[triggers]\ncrons = ["x"]', ":5: triggers.crons[0]: 'x': must have five fields"),
                (HEAD + '[triggers]\ncrons = ["60 * * * *"]', "the field minute: 60 is not from 0 to 59"),
                (HEAD + '[triggers]\ncrons = ["* * * foo *"]', "the field month: foo is not from 1 to 12"),
                (HEAD + '[triggers]\ncrons = ["5-1 * * * *"]', "the field minute: 5-1 ends before it begins"),
                (HEAD + '[triggers]\ncrons = ["5/2 * * * *"]', "a step stands behind * or a range"),
                (HEAD + '[triggers]\ncrons = ["@daily"]', "must have five fields"),
                (HEAD + '[triggers]\ncrons = ["\u0661 * * * *"]', "the field minute: '\u0661' is not possible there"),
                (HEAD + '[sandbox]\nmax_age = "\u0661"', "must be a time such as"),
                (HEAD + '[assets]\ndirectory = "x"\nrun_worker_first = ["/%s"]' % ("\u00fc" * 200), "must begin with / or !/"),
                (HEAD + 'routes = ["a.com/*", "A.com./*"]', ":4: routes[1]: 'a.com/*' is there twice"),
                (HEAD + 'routes = ["a.com:80/*"]', ":4: routes[0]: 'a.com:80/*': a pattern has no port"),
                (HEAD + 'route = "b\u00fccher.de/*"', ":4: route: 'b\u00fccher.de/*': the host has letters that are not ASCII: "
                 "write it in the form that DNS has of it, which begins with xn--: xn--bcher-kva.de"),
                (HEAD + 'routes = [{ pattern = "a.com/x", custom_domain = true }]',
                 ":4: routes[0].pattern: 'a.com/x': a custom domain is a host alone"),
                (HEAD + 'routes = [1]', ":4: routes[0]: must be a string or a table, not a whole number"),
                (HEAD + 'routes = ["*a.com/*"]', "a.com/* and *.a.com/* are two routes"),
                (HEAD + 'kv_namespaces = { binding = "A" }', ":4: kv_namespaces: must be a list of tables, not a table"),
                (HEAD + '[[kv_namespaces]]\nid = "1"', "kv_namespaces[0].binding: is missing"),
                (HEAD + '[[kv_namespaces]]\nbinding = "A"\nid = "<YOUR ID>"', ":4: kv_namespaces[0]: '<YOUR ID>': is no "
                 "namespace's id: leave it out"),
                (HEAD + '[[kv_namespaces]]\nbinding = "A"\n[[kv_namespaces]]\nbinding = "A"', "another binding is called A"),
                (HEAD + '[[kv_namespaces]]\nbinding = "A"\nid = 1', "namespace_id of the binding A must be a string"),
                (HEAD + '[[services]]\nbinding = "A"', "the binding A needs service"),
                (HEAD + '[[services]]\nbinding = "A"\nservice = "A"', "service: 'A': must have 1 to 63"),
                (HEAD + '[[ratelimits]]\nname = "A"\nnamespace_id = "1"\nsimple = { limit = 1, period = 11 }',
                 "the rate limit A needs simple = { limit = N, period = 10 or 60 }"),
                (HEAD + '[assets]\nbinding = "A"', "assets.directory: is missing"),
                (HEAD + '[assets]\ndirectory = "../x"', ":5: assets.directory: '../x': must be a folder inside"),
                (HEAD + '[assets]\ndirectory = "x"\nhtml_handling = "y"', ":6: assets.html_handling: 'y': must be one of"),
                (HEAD + '[assets]\ndirectory = "x"\nrun_worker_first = 1', "must be true, false or a list of globs"),
                (HEAD + '[assets]\ndirectory = "x"\nrun_worker_first = ["y"]', "must begin with / or !/"),
                (HEAD + '[sandbox]\nisolation = "none"', ":5: sandbox.isolation: 'none': must be \"instance\" or \"request\""),
                (HEAD + '[sandbox]\nmax_age = "1 week"', ":5: sandbox.max_age: must be a time such as \"90s\", \"15m\""),
                (HEAD + '[sandbox]\nmax_age = true', "sandbox.max_age: must be a time"),
                (HEAD + '[sandbox]\nmax_age = "31d"', "must be from 1 second to 2592000 seconds, not 2678400"),
                (HEAD + '[sandbox]\ntimeout = "2h"', "sandbox.timeout: must be from 1 second to 3600 seconds, not 7200"),
                (HEAD + '[sandbox]\nmemory = "128Q"', "sandbox.memory: must be a size such as \"128M\""),
                (HEAD + '[sandbox]\nmemory = "1M"', "sandbox.memory: must be from 16M to 4096G"),
                (HEAD + '[sandbox]\ncpus = 0', "sandbox.cpus: must be from 0.01 to 1024"),
                (HEAD + '[sandbox]\nmax = 0', "sandbox.max: must be from 1 to 1000, not 0"),
                (HEAD + '[sandbox]\nmin = true', "sandbox.min: must be a whole number, not true or false"),
                (HEAD + '[sandbox]\nmin = 3\nmax = 2', ":5: sandbox.min: is 3, and must not be more than max, 2"),
                (HEAD + '[sandbox]\nstart = "fork"', ":5: sandbox.start: 'fork': must be \"auto\""),
                (HEAD + '[sandbox]\nsnapshot = "all"', ":5: sandbox.snapshot: 'all': must be \"dedicated\""),
                (HEAD + '[sandbox]\nisolation = "request"\nmin = 1', ":6: sandbox.min: is for isolation = \"instance\""),
                (HEAD + '[sandbox]\nisolation = "request"\nconcurrency = 2', "a sandbox serves one request"),
                (HEAD + '[sandbox]\nisolation = "request"\n[[durable_objects.bindings]]\nname = "A"\nclass_name = "B"',
                 "the Durable Object A needs an instance that lasts"),
                (HEAD + '[sandbox]\npolicy = "../x"', "must be a policy's name"),
                (HEAD + 'services = [{ binding = "A", service = "b", entrypoint = "E\\r\\nX: 1" }]',
                 "entrypoint: 'E\\r\\nX: 1': must be a class's name"),
                (HEAD + '[[rules]]\ntype = "X"', "rules[0].type: 'X': must be one of"),
                (HEAD + '[[rules]]\nglobs = []', "rules[0].type: is missing"),
                (HEAD + 'secrets = { required = ["a b"] }', "secrets.required[0]: 'a b': must be a name")):
            self.fails(message, wrangler, text)

    def test_units(self):
        for text, key, value in (('max_age = "90s"', "max_age_s", 90), ('max_age = "15m"', "max_age_s", 900),
                                 ('max_age = "2d"', "max_age_s", 172800), ("max_age = 7", "max_age_s", 7),
                                 ('max_age = "7"', "max_age_s", 7), ('memory = "1G"', "memory", 1 << 30),
                                 ('memory = "64MB"', "memory", 64 << 20), ('memory = "64MiB"', "memory", 64 << 20),
                                 ("memory = 67108864", "memory", 64 << 20), ("cpus = 2", "cpus", 2)):
            self.assertEqual(wrangler(HEAD + "[sandbox]\n" + text).sandbox, {key: value})

    def test_routes_have_one_form(self):
        error = lambda message: DeployError(message)
        for pattern, custom, form in (("example.com", False, "example.com/"), ("EXAMPLE.com./A*", False, "example.com/A*"),
                                      ("http://*.a.b/c", False, "*.a.b/c"), ("https://A.b", True, "a.b")):
            self.assertEqual(m.check_route(pattern, custom, error), form)
        for pattern in ("", "/x", "a..b/", "-a/", "a_b/", "a.com/?", "a.com/ ", "a.com/../", "a" * 64, "a.com/*b", "a@b/",
                        "a.com/\u00fc", "a." * 130, "a.com/" + "b" * 1024):
            with self.assertRaises(DeployError, msg=pattern):
                m.check_route(pattern, False, error)


class MutationsTest(DeployTest):
    """What is nearly a configuration becomes a manifest or an error, and nothing else."""

    def test_wrangler(self):
        seeded = random.Random(20261205)
        good = 0
        for text in mutations(seeded, (WHOLE,), 1200):
            try:
                made = wrangler(text, env=seeded.choice((None, "staging")))
                self.assertLessEqual(len(json.dumps(m.manifest(made, (3, 13), "web"))), 1 << 20)
                good += 1
            except DeployError as error:
                self.assertTrue(error.message and "\n" not in str(error), repr(str(error)))
        self.assertGreater(good, 20)

    def test_metadata(self):
        seeded = random.Random(20261206)
        good = 0
        for text in mutations(seeded, (json.dumps(MetadataTest.METADATA),), 1500):
            try:
                m.manifest(m.from_metadata(read_json("metadata", text).data, "up", None, TODAY), (3, 13), "web")
                good += 1
            except DeployError as error:
                self.assertTrue(error.message and "\n" not in str(error), repr(str(error)))
        self.assertGreater(good, 20)


class FlagsTest(DeployTest):
    def test_by_date(self):
        flags = lambda date, *named: m.flags_of(date, named, DeployError, [])
        self.assertEqual(flags("2024-04-01", "python_workers"), ["python_workers"])
        self.assertEqual(flags("2025-08-14"), ["python_no_global_handlers"])
        self.assertIn("enable_python_external_sdk", flags("2026-04-21"))
        self.assertNotIn("enable_python_external_sdk", flags("2026-04-20"))
        self.assertNotIn("enable_python_external_sdk", flags("2026-04-21", "disable_python_external_sdk"))
        self.assertNotIn("python_workflows", flags("2026-04-21", "no_python_workflows"))
        self.assertEqual(flags("2024-01-01", "python_workflows", "python_workflows"), ["python_workflows"])

    def test_a_slip_is_warned_of_and_flags_of_javascript_are_not(self):
        config = wrangler(HEAD + 'compatibility_flags = ["python_wrokers", "no_python_workflow", "nodejs_compat", '
                                 '"python_workers", "experimental", "no_python_workflows"]\n')
        self.assertEqual(config.warnings, [
            "wrangler.toml:4: compatibility_flags: %s: there is no such flag, and it does nothing: is %s meant?" % pair
            for pair in (("python_wrokers", "python_workers"), ("no_python_workflow", "no_python_workflows"))])

    def test_python(self):
        config = lambda date, *flags: wrangler(HEAD.replace("2024-04-01", date) + "compatibility_flags = %s"
                                               % json.dumps(flags))
        self.assertEqual(config("2024-04-01").python(), (3, 12))
        self.assertEqual(config("2024-04-01", "python_workers_20250116").python(), (3, 13))
        self.assertEqual(config("2025-09-29").python(), (3, 13))
        self.assertEqual(config("2025-09-29", "no_python_workers_20250116").python(), (3, 12))
        self.assertEqual(config("2024-04-01", "python_workers_20260610").python(), (3, 14))
        self.assertEqual(config("2026-09-08").python(), (3, 14))


class ImageTest(DeployTest):
    IMAGES = [("old", "2.7"), ("web", "3.11"), ("web13", "3.13"), ("more13", "3.13"), ("web14", "3.14")]

    def choose(self, date, images, image=None, today=TODAY):
        config = wrangler(HEAD.replace("2024-04-01", date) + ('[sandbox]\nimage = "%s"\n' % image if image else ""))
        name, told = m.choose_image(config, images, today)
        return name, told, config.warnings

    def test_the_oldest_that_is_not_older(self):
        self.assertEqual(self.choose("2024-04-01", self.IMAGES)[:2], (
            "web13", "Python 3.13 of the image web13: the oldest here that is not older than 3.12, which 2024-04-01 asks for"))
        self.assertEqual(self.choose("2026-10-01", self.IMAGES)[0], "web14")

    def test_else_the_newest(self):
        name, told, warnings = self.choose("2026-10-01", self.IMAGES[:4])
        self.assertEqual(name, "web13")
        self.assertEqual(told, "Python 3.13 of the image web13: the newest here; 2026-10-01 asks for 3.14")

    def test_five_years(self):
        name, told, warnings = self.choose("2024-04-01", [("a", "3.12"), ("b", "3.13")], today=datetime.date(2028, 11, 1))
        self.assertEqual(name, "b")
        self.assertIn("Python 3.12, which 2024-04-01 asks for, has had its five years: 3.13 takes its place", warnings[0])
        self.assertEqual(self.choose("2024-04-01", [("a", "3.12")], today=datetime.date(2028, 10, 30))[2], [])

    def test_named(self):
        self.assertEqual(self.choose("2024-04-01", self.IMAGES, "web")[:2],
                         ("web", "Python 3.11 of the image web, as [sandbox] says"))
        self.fails("wrangler.toml:5: sandbox.image: 'none': there is no such image for workers here; there are more13, web",
                   self.choose, "2024-04-01", self.IMAGES, "none")
        self.fails("there is no image for workers", self.choose, "2024-04-01", [("old", "2.7")])
        self.assertIn("has had its five years", self.choose("2024-04-01", [("a", "3.9")], "a")[2][0])


class MetadataTest(DeployTest):
    METADATA = {"main_module": "src/entry.py", "compatibility_date": "2026-04-21", "compatibility_flags": ["python_workers"],
                "bindings": [{"name": "A", "type": "plain_text", "text": ""}, {"name": "J", "type": "json", "json": None},
                             {"name": "S", "type": "secret_text"}, {"name": "K", "type": "kv_namespace", "namespace_id": "1"},
                             {"name": "F", "type": "assets"}, {"name": "P", "type": "pipelines", "pipeline": "x"},
                             {"name": "Q", "type": "queue", "queue_name": "q", "raw": True}],
                "annotations": {"workers/tag": "v1", "workers/message": "m"}, "observability": {"enabled": True},
                "assets": {"jwt": "x", "config": {"html_handling": "none", "run_worker_first": True}}}

    def test_whole(self):
        config = m.from_metadata(self.METADATA, "up", {"A": "1"}, TODAY)
        made = m.manifest(config, (3, 13), "web")
        self.assertEqual(made["name"], "up")
        self.assertEqual((made["main"], made["main_file"]), ("entry", "entry.py"))
        self.assertEqual({binding["name"]: binding for binding in made["bindings"]}, {
            "A": {"name": "A", "type": "plain_text", "text": "1"}, "J": {"name": "J", "type": "json", "json": None},
            "S": {"name": "S", "type": "secret_text"}, "K": {"name": "K", "type": "kv_namespace", "namespace_id": "1"},
            "F": {"name": "F", "type": "assets"}, "P": {"name": "P", "type": "other", "kind": "pipelines"},
            "Q": {"name": "Q", "type": "queue", "queue_name": "q"}})
        self.assertEqual(made["assets"], {"directory": ".sandboxd/assets", "html_handling": "none",
                                          "run_worker_first": True})
        self.assertEqual((made["tag"], made["message"]), ("v1", "m"))

    def test_errors(self):
        for change, message in (({"main_module": 1}, "metadata: main_module: must be the worker's source"),
                                ({"compatibility_date": None}, "compatibility_date: must be"),
                                ({"bindings": [{"type": "json", "name": "A"}]}, "bindings[0]: the binding A needs json"),
                                ({"bindings": [{"name": "A"}]}, "bindings[0].type: is missing"),
                                ({"assets": None}, "assets: must be a table, not null"),
                                ({"assets": {}, "bindings": [{"type": "assets", "name": "A"}]}, None),
                                ({"bindings": {}}, "bindings: must be a list of tables")):
            if message:
                self.fails(message, m.from_metadata, dict(self.METADATA, **change), "up", None, TODAY)
            else:
                m.from_metadata(dict(self.METADATA, **change), "up", None, TODAY)
        without = {key: value for key, value in self.METADATA.items() if key != "assets"}
        self.fails("F is of assets, and the upload has none", m.from_metadata, without, "up", None, TODAY)


class FilesTest(DeployTest):
    def test_beside_main(self):
        top = self.folder({"src/entry.py": "", "src/lib/a.py": "", "src/page.html": "", "src/x.txt": "", "src/data.bin": "",
                           "src/a.json": "{}", "src/.hidden.py": "", "src/.git/a.py": "", "src/__pycache__/a.py": "",
                           "src/node_modules/a.py": "", "src/venv/pyvenv.cfg": "", "src/venv/a.py": "", "other.py": "",
                           "src/public/a.html": "", "src/README.md": ""})
        os.symlink("/etc/passwd", os.path.join(top, "src/l.txt"))
        os.symlink("lib", os.path.join(top, "src/linked"))
        config = wrangler(HEAD.replace("a.py", "src/entry.py") + '[assets]\ndirectory = "src/public"\n')
        files, warnings = project_files(top, config)
        self.assertEqual(files, {"entry.py": "src/entry.py", "lib/a.py": "src/lib/a.py", "page.html": "src/page.html",
                                 "x.txt": "src/x.txt", "data.bin": "src/data.bin"})
        self.assertEqual(len(warnings), 2)
        self.assertIn("src/l.txt: links are not followed", warnings[0])
        self.assertIn("left out, because no rule names them: src/a.json; a rule such as { type = \"Data\", globs = "
                      "[\"**/*.json\"] }", warnings[1])

    def test_vendor(self):
        top = self.folder({"a.py": "", "vendor/x/__init__.py": "", "vendor/x/y.so": "", "vendor/x/z.pyc": ""})
        files = lambda date: sorted(project_files(top, wrangler(HEAD.replace("2024-04-01", date)))[0])
        self.assertEqual(files("2025-08-10"), ["a.py", "vendor/x/__init__.py", "vendor/x/y.so"])
        self.assertEqual(files("2025-08-11"), ["a.py", "vendor/x/__init__.py"])

    def test_rules(self):
        rules = lambda text: Rules(wrangler(HEAD + text).rules)
        own = rules('[[rules]]\ntype = "Text"\nglobs = ["**/*.{md,css}"]\n')
        self.assertEqual([own.match(path) for path in ("a.md", "b/c.css", "a.txt", "a.py", "a.bin", "a.mdx")],
                         [True, True, False, True, True, False])
        self.assertTrue(rules('[[rules]]\ntype = "Text"\nglobs = ["*.md"]\nfallthrough = true\n').match("a.txt"))
        self.assertTrue(rules('[[rules]]\ntype = "PythonModule"\nglobs = ["*.md"]\n').match("b/a.py"))

    def test_globs(self):
        for glob, path, fits in (("*.py", "a.py", True), ("*.py", "a/b.py", False), ("**/*.py", "a.py", True),
                                 ("**/*.py", "a/b/c.py", True), ("a/**", "a/b/c", True), ("a/**", "b/a", False),
                                 ("a/**/b", "a/b", True), ("a/**/b", "a/x/y/b", True), ("a?c", "abc", True),
                                 ("a?c", "ac", False), ("./a", "a", True), ("**", "a/b", True), ("a{b,c}d/*", "acd/x", True)):
            self.assertEqual(Glob(glob).match(path), fits, (glob, path))
        self.assertFalse(Glob("*a*a*a*a*a*a*a*a*a*b").match("a" * 4000))
        self.assertFalse(Glob("/".join(["**", "a"] * 8) + "/b").match("/".join("a" * 500)))
        self.fails("has at most", Glob, "*" * 17)
        self.fails("mean more than 64 patterns", Glob, "{a,b}" * 7)

    def test_python_modules(self):
        top = self.folder({"python_modules/a/__init__.py": "", "python_modules/a/x.so": "", "python_modules/a/b.pyc": "",
                           "python_modules/a-1.dist-info/WHEEL": "", "python_modules/.synced": "", "python_modules/t/t.py": ""})
        self.assertEqual(sorted(module_files(top, ["t/**"])), [
            "python_modules/.synced", "python_modules/a-1.dist-info/WHEEL", "python_modules/a/__init__.py",
            "python_modules/a/x.so"])
        self.assertEqual(module_files(self.folder({}), []), {})

    def test_assets(self):
        top = self.folder({"public/index.html": "", "public/a/b.css": "", "public/_headers": "", "public/.well-known/x": "",
                           "public/.assetsignore": "*.map\n# no\nnode_modules\n", "public/a/b.map": "",
                           "public/node_modules/x.js": "", "public/.env": "", "public/a/.git/config": ""})
        os.symlink("index.html", os.path.join(top, "public/link.html"))
        there, told = asset_files(top, "public")
        self.assertEqual(sorted(there), [".well-known/x", "a/b.css", "index.html"])
        self.assertEqual(told, ["assets: .env (and 1 more) is not served: it begins with a dot, and only .well-known may",
                                "assets: link.html is not served: it is a link"])
        with open(os.path.join(top, "public/big.bin"), "wb") as file:
            file.truncate((25 << 20) + 1)
        self.fails("big.bin has more than 26214400 bytes", asset_files, top, "public")
        self.fails("there is no such folder", asset_files, top, "none")

    def rules(self, headers=None, redirects=None):
        warnings = []
        data = static.rules(headers and ("_headers", headers), redirects and ("_redirects", redirects), warnings)
        return json.loads(data), warnings

    def test_redirects(self):
        made, told = self.rules(None, "# none\n\n/a /b\n/c  https://x.example/ 301 # why\n/d/* /e/:splat 308\n/:f/g/:h /:h/:f\n"
                                      "https://h.example/i /j 200\n")
        self.assertEqual((made["redirects"], told), ([
            ["/a", "/b", 302], ["/c", "https://x.example/", 301], ["/d/*", "/e/:splat", 308], ["/:f/g/:h", "/:h/:f", 302],
            ["https://h.example/i", "/j", 200]], []))
        for line, why in (("/a", "a line has a path"), ("/a /b 302 x", "a line has a path"), ("a /b", "a path begins with /"),
                          ("/a b", "neither a path nor a URL"), ("/a /b 304", "the status 304"), ("/a /b x", "the status x"),
                          ("/a https://b/ 200", "with 200"), ("/a*/b* /c", "one *"), ("/:a.html /b", "must be followed by /"),
                          ("/*/:a /b", "stands behind *"), ("http://h/a /b", "begins with https://"), ("https://*/a /b", "the host"),
                          ("/a\x01 /b", "control character"), ("/" + "a" * 2000 + " /b", "more than 2000")):
            made, told = self.rules(None, "/first /b\n" + line + "\n/last /b\n")
            self.assertEqual([each[0] for each in made["redirects"]], ["/first", "/last"], line)
            self.assertEqual(len(told), 1)
            self.assertIn("_redirects:2: is left out: ", told[0])
            self.assertIn(why, told[0])
        made, told = self.rules(None, "/a /b\n/a /c\n")
        self.assertEqual((len(made["redirects"]), len(told)), (1, 1))
        made, told = self.rules(None, "".join("/%d /x\n/d%d/* /x\n" % (i, i) for i in range(2001)))
        self.assertEqual((len(made["redirects"]), len(told)), (2100, 1902))
        made, told = self.rules(None, "".join("/%d%s /x\n" % (i, "a" * 1900) for i in range(500)))
        self.assertEqual(made, {})
        self.assertIn("are left out", told[0])

    def test_headers(self):
        made, told = self.rules("/a\n  X-One: 1\n  X-Two:  a: b \n\n/b/*\n\t! X-One\n/empty\nhttps://h.example/*\n X: y\n")
        self.assertEqual((made["headers"], told), ([
            ["/a", [["X-One", "1"], ["X-Two", "a: b"]], []], ["/b/*", [], ["X-One"]],
            ["https://h.example/*", [["X", "y"]], []]], []))
        for line, why in (("no colon", "none of"), ("A b: 1", "no field"), ("Content-Length: 1", "no field"), (": 1", "no field"),
                          ("X-Sandboxd-Error: 1", "no field"), ("! Transfer-Encoding", "no field"), ("X:", "none of")):
            made, told = self.rules("/a\n  " + line + "\n  X: y\n")
            self.assertEqual(made["headers"], [["/a", [["X", "y"]], []]], line)
            self.assertIn("_headers:2: is left out: ", told[0])
            self.assertIn(why, told[0])
        made, told = self.rules("  X: y\nno-path\n  X: y\n")
        self.assertEqual((made["headers"], len(told)), ([], 3))

    def test_main(self):
        config = wrangler(HEAD.replace('"a.py"', '"./src/entry.py"'))
        self.assertEqual(m.check_main(config, ["src/entry.py"]), "src/entry.py")
        self.assertEqual(config.main, "src/entry.py")
        self.fails("wrangler.toml:2: main: 'src/none.py': is not there: the .py files that are there are b.py, src/a.py",
                   m.check_main, wrangler(HEAD.replace("a.py", "src/none.py")), ["src/a.py", "b.py", "x.txt"])
        self.fails("there is no .py file in the folder", m.check_main, wrangler(HEAD), [])
        self.fails("must be a .py file", m.check_main, wrangler(HEAD.replace("a.py", "src/index.js")), ["src/index.js"])


if __name__ == "__main__":
    unittest.main()

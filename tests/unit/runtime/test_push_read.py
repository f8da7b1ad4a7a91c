"""dotcloud.yml: what is read, and each thing that is wrong in it with its place."""

import json
import random
import unittest

import deploy       # noqa: F401 - the path of the runtime

from _sandboxd_push import PushError
from _sandboxd_push.plan import plan
from _sandboxd_push.read import NODES_MAX, TEXT_MAX, read

WHOLE = """# all keys
www:
  type: python
  approot: 42
  requirements: [Flask, 1.0]
  environment: {A: yes, B: 1.0, C: , D: "0x10", E: 2012-01-01}
  config:
    python_version: v2.7
    uwsgi_processes: 8
    uwsgi_enable_threads: true
    uwsgi_memory_report: "true"
  prebuild: ./pre
  postbuild: ./post
  postinstall: ./manage.py createdb
  ports: {admin: http, game: udp}
  process: ./run $PORT_ADMIN
  instances: "2"
db:
  type: postgresql
"""
IMAGES = [("web", "3.11.2"), ("web27", "3.9.2"), ("web313", "3.13.5")]
# A text, and the place and the beginning of what is said of it.
WRONG = [
    ("", None, None, "is empty"),
    ("# nothing\n", None, None, "is empty"),
    ("~", None, None, "is empty"),
    ("{}", 1, 1, "has no service in it"),
    ("www", 1, 1, "must be a mapping of services, and is a text"),
    ("- www", 1, 1, "must be a mapping of services, and is a list"),
    ("www:\n", 1, 5, "www: must be a mapping with a type, and is empty"),
    ("www: x", 1, 6, "www: must be a mapping with a type, and is a text"),
    ("www: [x]", 1, 6, "www: must be a mapping with a type, and is a list"),
    ("www: {}", 1, 1, "www: has no type"),
    ("www: {approot: x}", 1, 1, "www: has no type"),
    ("www: {type: pyton}", 1, 13, "www: type: there is no type pyton"),
    ("www: {type: }", 1, 12, "www: type: must be a text, and is empty"),
    ("www: {type: [python]}", 1, 13, "www: type: must be a text, and is a list"),
    ("Www: {type: python}", 1, 1, "Www: a service's name has"),
    ("a2345678901234567: {type: python}", 1, 1, "a2345678901234567: a service's name has"),
    ("? [a]\n: {type: python}", 1, 3, "dotcloud.yml: a key must be a word"),
    ("w: {type: python}\nw: {type: python}", 2, 1, "dotcloud.yml: w stands here twice"),
    ("w: {type: python, type: python}", 1, 19, "w: type stands here twice"),
    ("w:\n  type: python\n  approot: {}", 3, 12, "w: approot: must be a text, and is a mapping"),
    ("w:\n  type: python\n  approot:", 3, 11, "w: approot: must be a text, and is empty"),
    ("w: {type: python, approot: /x}", 1, 28, "w: approot: must be a folder below"),
    ("w: {type: python, approot: x/../y}", 1, 28, "w: approot: must be a folder below"),
    ("w: {type: python, requirements: x}", 1, 33, "w: requirements: must be a list, and is a text"),
    ("w: {type: python, requirements: }", 1, 32, "w: requirements: must be a list, and is empty"),
    ("w: {type: python, requirements: [[x]]}", 1, 34, "w: requirements[0]: must be a text, and is a list"),
    ("w: {type: python, systempackages: {a: b}}", 1, 35, "w: systempackages: must be a list, and is a mapping"),
    ("w: {type: python, environment: [x]}", 1, 32, "w: environment: must be a mapping, and is a list"),
    ("w: {type: python, environment: }", 1, 31, "w: environment: must be a mapping, and is empty"),
    ("w: {type: python, environment: {A: [x]}}", 1, 36, "w: environment: A: must be a text, and is a list"),
    ("w: {type: python, environment: {A-B: x}}", 1, 33, "w: environment: A-B: a variable's name"),
    ("w: {type: python, environment: {DOTCLOUD_X: x}}", 1, 33, "w: environment: DOTCLOUD_X: a variable's name"),
    ("w: {type: python, config: x}", 1, 27, "w: config: must be a mapping"),
    ("w: {type: python, config: {A: 1}}", 1, 28, "w: config: A: must be of a-z"),
    ("w: {type: python, config: {a: {b: 1}}}", 1, 31, "w: config: a: must be a text, and is a mapping"),
    ("w: {type: python, prebuild: [x]}", 1, 29, "w: prebuild: must be a text"),
    ("w: {type: python, postbuild: {a: x}}", 1, 30, "w: postbuild: must be a text"),
    ("w: {type: python, postinstall: }", 1, 31, "w: postinstall: must be a text, and is empty"),
    ("w: {type: python, process: [x]}", 1, 28, "w: process: must be a text"),
    ("w: {type: python, processes: x}", 1, 30, "w: processes: must be a mapping"),
    ("w: {type: python, processes: {}}", 1, 30, "w: processes: has no process in it"),
    ("w: {type: python, processes: {a b: x}}", 1, 31, "w: processes: a b: a process's name"),
    ("w: {type: custom, process: a, processes: {b: c}}", 1, 19, "w: has process and processes"),
    ("w: {type: python, ports: [http]}", 1, 26, "w: ports: must be a mapping"),
    ("w: {type: python, ports: {a: https}}", 1, 30, "w: ports: a: must be http, tcp or udp"),
    ("w: {type: python, ports: {A: http}}", 1, 27, "w: ports: A: a port's name"),
    ("w: {type: python, instances: 0}", 1, 30, "w: instances: must be a number from 1"),
    ("w: {type: python, instances: many}", 1, 30, "w: instances: must be a number from 1"),
    ("w: {type: python, instances: 1e3}", 1, 30, "w: instances: must be a number from 1"),
    ("w: {type: !!python/object/apply:os.system [id]}", 1, 11, "the tag tag:yaml.org,2002:python/object/apply:os.system"),
    ("w: !!python/object:x {type: python}", 1, 4, "the tag tag:yaml.org,2002:python/object:x"),
    ("w: {type: !mine python}", 1, 11, "the tag !mine"),
    ("w: &a {type: python, x: *a}", 1, 25, "*a: is a part of itself"),
    ("w: *a", 1, 4, "*a: there is no &a before it"),
    ("w:\n  type: python\n approot: x", 3, 2, "is no YAML: "),
    ("w: {type: python", 1, 17, "is no YAML: "),
    ("w:\n\ttype: python", 2, 1, "is no YAML: "),
    ("w: \"\\q\"", 1, 6, "is no YAML: "),
    ("w: {type: python}\n---\nx: {type: python}", 2, 1, "has a second document"),
    ("w: {type: python, << : x}", 1, 19, "w: behind << is a mapping"),
    ("w: a\x07", None, None, "is no YAML: "),
    ("[" * 2000, 1, 17, "is nested more than"),
    ("- " * 2000, 1, 33, "is nested more than"),
    ("x" * (TEXT_MAX + 1), None, None, "has more than 64 KiB"),
    ("w: {type: python, requirements: [%s]}" % ",".join("x" * 9000), None, None, "means too much"),
]


class ReadTest(unittest.TestCase):
    def test_all_keys(self):
        (www, db), warnings = read(WHOLE)
        self.assertEqual(warnings, [])
        self.assertEqual((www["approot"], www["requirements"], www["instances"]), ("42", ["Flask", "1.0"], 2))
        self.assertEqual(www["environment"], {"A": "yes", "B": "1.0", "C": "", "D": "0x10", "E": "2012-01-01"})
        self.assertEqual(www["config"], {"python_version": "v2.7", "uwsgi_processes": 8, "uwsgi_enable_threads": True,
                                         "uwsgi_memory_report": "true"})
        self.assertEqual((www["ports"], www["processes"]), ([["admin", "http"], ["game", "udp"]],
                                                            [["www", "./run $PORT_ADMIN"]]))
        self.assertEqual((db["name"], db["type"]), ("db", "postgresql"))

    def test_what_is_wrong_is_told_with_its_place(self):
        for text, line, column, message in WRONG:
            with self.subTest(text=text[:60]), self.assertRaises(PushError) as raised:
                read(text)
            error = raised.exception
            self.assertTrue(error.message.startswith(message), (text[:60], error.message))
            if line is not None:
                self.assertEqual((error.line, error.column), (line, column), (text[:60], error.message))
                self.assertEqual(error.text, text.split("\n")[line - 1])

    def test_unknown_keys_are_warned_of(self):
        _, warnings = read("w:\n  type: python\n  aproot: x\n")
        self.assertEqual(warnings, ["dotcloud.yml:3: w: there is no key aproot: it has no effect"])

    def test_aliases_and_merges_mean_what_they_say(self):
        services, _ = read("a: &a {type: custom, process: x, environment: &e {A: 1}}\nb: {<<: *a, process: y}\n"
                           "c: {<<: [{approot: z}, *a], environment: *e}\n")
        self.assertEqual([service["processes"][0][1] for service in services], ["x", "y", "x"])
        self.assertEqual([service["approot"] for service in services], [".", ".", "z"])
        self.assertEqual(services[2]["environment"], {"A": "1"})

    def test_a_bomb_is_no_more_than_its_text(self):
        text = "a: &a [x, x, x, x, x, x, x, x, x]\n"
        for name in "bcdefghij":
            before = chr(ord(name) - 1)
            text += "%s: &%s [%s]\n" % (name, name, ", ".join(["*" + before] * 9))
        with self.assertRaisesRegex(PushError, "means too much: more than %d" % NODES_MAX):
            read(text)
        merges = "a: &a {k: x}\n" + "".join("%s: &%s {<<: [%s]}\n" % (chr(98 + i), chr(98 + i), ", ".join(
            ["*" + chr(97 + i)] * 9)) for i in range(9))
        with self.assertRaisesRegex(PushError, "means too much"):
            read(merges)

    def test_any_text_is_read_or_refused(self):
        chance = random.Random(1)
        for _ in range(1500):
            text = WHOLE
            for _ in range(chance.randint(1, 3)):
                at = chance.randrange(len(text))
                text = text[:at] + chance.choice(["", "\n", ":", "- ", "{", "[", "&a ", "*a", "!", "\t", "'", "<<: ", "\x00",
                                                  "\ud800", "%", "? ", text[:40]]) + text[at + chance.randint(0, 9):]
            try:
                services, _ = read(text)
                json.dumps(services)
            except PushError as error:
                self.assertTrue(error.message)


class PlanTest(unittest.TestCase):
    def made(self, text, asked=None, image=None, images=IMAGES):
        return plan(read(text)[0], "app", images, asked, image)

    def chosen(self, text, *more, **named):
        item = self.made(text, *more, **named)[0]["services"][0]
        return item["image"], item["plan"]["python"]

    def test_the_python(self):
        plain, v3 = "w: {type: python}", "w: {type: python, config: {python_version: v3}}"
        self.assertEqual(self.chosen(plain), ("web27", "2.7"))
        self.assertEqual(self.chosen(plain, images=[IMAGES[2], IMAGES[0]]), ("web313", "3.13"))
        self.assertEqual(self.chosen(v3), ("web313", "3.13"))
        self.assertEqual(self.chosen(v3.replace("v3", "3.11")), ("web", "3.11"))
        self.assertEqual(self.chosen(v3, "2.7"), ("web27", "2.7"))
        self.assertEqual(self.chosen(plain, None, "web313"), ("web313", "3.13"))
        for text in "v2.6", "v3.1", "v3.2", "four", "3.111":
            with self.assertRaisesRegex(PushError, "python_version: %s is not here; there are v2.7 .image web27., v3.11 "
                                        ".image web., v3.13 .image web313.: set it" % text):
                self.chosen(v3.replace("v3", text))
        with self.assertRaisesRegex(PushError, "--image nope: there is no such image"):
            self.chosen(plain, None, "nope")
        with self.assertRaisesRegex(PushError, "there is no image for services"):
            self.chosen(plain, images=[])

    def test_what_is_run_elsewhere(self):
        made, told = self.made(WHOLE)
        self.assertEqual((made["others"], len(told)), (["db"], 1))
        self.assertIn("sandboxctl service attach db postgresql --url URL", made["warnings"][0])
        with self.assertRaisesRegex(PushError, "has no service that runs here"):
            self.made("db: {type: redis}\nx: {type: php}")
        with self.assertRaisesRegex(PushError, "w: systempackages: a push installs no packages"):
            self.made("w: {type: python, systempackages: [x]}")
        with self.assertRaisesRegex(PushError, "w: has neither process nor processes"):
            self.made("w: {type: custom}")

    def test_the_manifest(self):
        made = self.made(WHOLE)[0]["services"][0]["plan"]
        self.assertEqual(made["manifest"]["ports"], [{"name": "http", "kind": "http"}, {"name": "admin", "kind": "http"},
                                                     {"name": "game", "kind": "udp"}])
        self.assertEqual((made["manifest"]["config"].get("python_version"), made["manifest"]["instances"]), (None, 2))
        named = plan(read(WHOLE)[0], "app", IMAGES, policy="mine")[0]["services"][0]["plan"]["manifest"]["sandbox"]
        self.assertEqual((named, made["manifest"]["sandbox"]), ({"image": "web27", "policy": "mine"}, {"image": "web27"}))
        told = plan(read(WHOLE)[0], "app", IMAGES, attached=["DOTCLOUD_DB_SQL_URL"])[0]
        self.assertEqual((told["warnings"], told["others"]), ([], ["db"]))
        self.assertEqual(made["hooks"], {"prebuild": "./pre", "postbuild": "./post",
                                         "postinstall": "./manage.py createdb"})


if __name__ == "__main__":
    unittest.main()

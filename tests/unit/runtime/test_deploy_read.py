"""wrangler.toml, wrangler.json and wrangler.jsonc are read with their lines."""

import json
import os
import random
import unittest
from unittest import mock

from deploy import DeployTest, mutations

from _sandboxd_deploy import DeployError
from _sandboxd_deploy.read import DEPTH_MAX, find, read_file, read_json, read_toml, read_wrangler

JSONC = """{
  // who
  "name": "hello", /* what */ "main": "src/entry.py",
  "vars": { "A": "\\u00fc\\n\\ud83d\\ude00", "B": [1, -2.5e3, true, null,], },
  "triggers": {
    "crons": ["0 * * * *",
              "5 * * * *"]
  },
}
"""
TOML = '''name = "hello"
main = "src/entry.py"
[vars]
A = "x"
B = { c = [1, 2] }
TEXT = """
name = "not this"
"""
[[kv_namespaces]]
binding = "ONE"
[[kv_namespaces]]
binding = "TWO"
id = "2"
[env.staging.vars]
"a b" = 1
[[env.staging.kv_namespaces]]
binding = "THREE"
'''


class JsonTest(DeployTest):
    def test_comments_and_trailing_commas(self):
        doc = read_wrangler("wrangler.jsonc", JSONC.encode())
        self.assertEqual(doc.data, {"name": "hello", "main": "src/entry.py",
                                    "vars": {"A": "\u00fc\n\U0001f600", "B": [1, -2500.0, True, None]},
                                    "triggers": {"crons": ["0 * * * *", "5 * * * *"]}})

    def test_lines(self):
        doc = read_json("wrangler.jsonc", JSONC)
        self.assertEqual(doc.line(("name",)), 3)
        self.assertEqual(doc.line(("vars", "B")), 4)
        self.assertEqual(doc.line(("triggers",)), 5)
        self.assertEqual(doc.line(("triggers", "crons", 1)), 7)
        self.assertEqual(doc.line(("vars", "B", 9)), 4)
        self.assertEqual(str(doc.error(("triggers", "crons", 1), "is wrong")),
                         "wrangler.jsonc:7: triggers.crons[1]: is wrong")

    def test_as_json_has_it(self):
        for text in ('{"a": [0, -0, 1e5, 1.5, "\\/\\b\\f\\r\\t\\"\\\\", {}, [], {"b": {}}]}', '{}', ' {"":""} '):
            self.assertEqual(read_json("x", text).data, json.loads(text))

    def test_errors_have_line_and_column(self):
        for text, message in (
                ("", "x:1:1: a value is missing, and the file ends"),
                ("[]", "x:1: must be an object"),
                ('{"a": 1} x', "x:1:10: there is something behind the end"),
                ('{\n "a": 1\n "b": 2}', "x:3:2: ',' or '}' is missing"),
                ('{"a": 1,, "b": 2}', "x:1:9: a key in quotes is missing"),
                ('{a: 1}', "x:1:2: a key in quotes is missing"),
                ('{"a" 1}', "x:1:6: ':' is missing behind the key a"),
                ('{"a": [1 2]}', "x:1:10: ',' or ']' is missing"),
                ('{"a": [,]}', "x:1:8: a value is missing: ','"),
                ('{"a": \'b\'}', "a value is missing"),
                ('{"a": "b\nc"}', "x:1:7: the string that begins here has no end on its line"),
                ('{"a": "\\x"}', "x:1:8: \\x is no escape"),
                ('{"a": "\\u12g4"}', "\\u needs four"),
                ('{"a": "\\ud800"}', "x:1:7: the string has half a character"),
                ('{"a": 1, "a": 2}', "x:1:10: a is there twice"),
                ('{\n"b": {"a": 1, "a": 2}}', "x:2:15: b.a is there twice"),
                ('{"a": 01}', "',' or '}' is missing"),
                ('{"a": 9223372036854775808}', "the number is too large"),
                ('{"a": 1e999}', "the number is too large"),
                ('{"a": NaN}', "a value is missing"),
                ('{"a": /* 1}', "x:1:7: the comment that begins here has no end"),
                ('{"a": 1', "x:1:1: what begins here has no end"),
                ('{"a": ' + "[" * 100, "is nested deeper than %d levels" % DEPTH_MAX)):
            self.fails(message, read_json, "x", text)
        self.fails("wrangler.json:2:2: is not UTF-8", read_wrangler, "wrangler.json", b"{\n \xff}")
        self.fails("has more than", read_wrangler, "wrangler.json", b" " * (1 << 20) + b"{}")

    def test_depth_that_is_right(self):
        text = '{"a": ' + "[" * (DEPTH_MAX - 1) + "]" * (DEPTH_MAX - 1) + "}"
        self.assertEqual(read_json("x", text).data, json.loads(text))

    def test_mutations_end_in_a_value_or_an_error(self):
        seeded = random.Random(20261201)
        good = 0
        for text in mutations(seeded, (JSONC, '{"a": [[[1]]], "b": {"c": "d"}}'), 3000):
            try:
                doc = read_json("x", text)
                good += 1
                self.assertIsInstance(doc.data, dict)
            except DeployError as error:
                self.assertTrue(error.message and error.line and "\n" not in str(error))
        self.assertGreater(good, 50)

    def test_long_documents_take_time_by_their_length(self):
        read_json("x", '{"a": [%s]}' % ",\n".join(["[1]"] * 30000))
        self.fails("no end", read_json, "x", '{"a": "' + "\\\\" * 200000)
        self.fails("a value is missing", read_json, "x", "/*/" * 300000)


class TomlTest(DeployTest):
    def test_lines(self):
        doc = read_wrangler("wrangler.toml", TOML.encode())
        for path, line in ((("name",), 1), (("main",), 2), (("vars",), 3), (("vars", "B", "c", 1), 5),
                           (("vars", "TEXT"), 6), (("kv_namespaces", 0, "binding"), 10),
                           (("kv_namespaces", 1, "id"), 13), (("env", "staging", "vars", "a b"), 15),
                           (("env", "staging", "kv_namespaces", 0, "binding"), 17), (("nothing",), None)):
            self.assertEqual(doc.line(path), line, path)

    def test_values_are_those_of_json(self):
        doc = read_toml("x", "a = 2026-04-21\nb = 2026-04-21T01:02:03Z\nc = 1.5\nd = true")
        self.assertEqual(doc.data, {"a": "2026-04-21", "b": "2026-04-21T01:02:03+00:00", "c": 1.5, "d": True})

    def test_errors_have_line_and_column(self):
        for text, message in (("a = 1\nb = ]", "x:2:5: is not TOML: Invalid value"),
                              ("a = [", "x:1"), ("a = 1\na = 2", "x:2"), ("a = nan", "x:1: a: must be a finite"),
                              ("a = 99999999999999999999", "x:1: a: the number is too large"),
                              ("a = 2026-99-99", "is not TOML"), ("a = '\0'", "is not TOML"),
                              ("a = " + "9" * 5000, "x: is not TOML"),
                              ("a = " + "[" * 500, "is nested deeper"), (".".join("a" * 1000) + " = 1", "is nested deeper"),
                              ("a = " + "[" * 100 + "]" * 100, "nested too deeply")):
            self.fails(message, read_toml, "x", text)

    def test_a_python_without_toml_says_so(self):
        with mock.patch.dict("sys.modules", tomllib=None):
            self.fails("which only Python 3.11 and later can read", read_toml, "wrangler.toml", "")

    def test_mutations_end_in_a_value_or_an_error(self):
        seeded = random.Random(20261202)
        for text in mutations(seeded, (TOML,), 1500):
            try:
                self.assertIsInstance(read_toml("x", text).data, dict)
            except DeployError as error:
                self.assertTrue(error.message and "\n" not in str(error))


class FileTest(DeployTest):
    def test_which_is_read(self):
        top = self.folder({"wrangler.toml": "", "config.capnp": ""})
        name, warnings = find(top)
        self.assertEqual(name, "wrangler.toml")
        self.assertIn("config.capnp is not", warnings[0])
        self.assertEqual(find(self.folder({"config.capnp": ""})), ("config.capnp", []))
        self.fails("there is no configuration", find, self.folder({}))

    def test_no_link_is_followed(self):
        top = self.folder({"a/b.txt": "b"})
        self.assertEqual(read_file(top, "a/b.txt"), b"b")
        os.symlink("/etc", os.path.join(top, "etc"))
        os.symlink("/etc/passwd", os.path.join(top, "passwd"))
        os.symlink("b.txt", os.path.join(top, "a", "c.txt"))
        os.mkfifo(os.path.join(top, "fifo"))
        for name, message in (("passwd", "is a link"), ("a/c.txt", "is a link"), ("etc/passwd", "cannot be read"),
                              ("../x", "without '..'"), ("/etc/passwd", "without '..'"), ("a//b.txt", "without '..'"),
                              ("a/./b.txt", "without '..'"), ("none", "is not there"), ("a", "is not a regular file"),
                              ("fifo", "is not a regular file"), ("a\0b", "cannot be read")):
            self.fails(message, read_file, top, name)
        self.fails("has more than 0 bytes", read_file, top, "a/b.txt", 0)


if __name__ == "__main__":
    unittest.main()
